"""Small true things for tests: a model directory that answers by one rule, records of a minute."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray

from ectopy.batch import search
from ectopy.datasets import simulate
from ectopy.ecg import CLASSES
from ectopy.features.extraction import FEATURE_NAMES
from ectopy.model.classifier import MODEL_FILE, SPECIFICATION_FILE, Specification
from ectopy.parallel import worker_pool
from ectopy.parallel.worker_pool import WorkerPool

FS = 250.0

T = TypeVar("T")
R = TypeVar("R")


class Here(WorkerPool):
    """Workers that are this process, which tests can patch, and which starts at once. One works at a time."""

    def __init__(self, on_report: Callable[[Any], None] | None = None) -> None:
        super().__init__(1, on_report=on_report)

    def start(self, function: Callable[[], object]) -> None:
        """Start nothing: this process has imported what the tasks need, or will."""

    def call(self, function: Callable[[T], R], argument: T, *, time_s: float | None = None) -> R:  # noqa: ARG002
        listener = self._on_report and SimpleNamespace(send=self._on_report)
        with self._free, mock.patch.object(worker_pool, "_sender", listener):
            return function(argument)


def work_here(patch: pytest.MonkeyPatch) -> None:
    """Patch the flows so that they train and evaluate in this process: new ones import Keras first, for seconds."""
    for flows in ("tasks", "compare"):
        patch.setattr(f"ectopy.flows.{flows}.WorkerPool", lambda _, on_report=None: Here(on_report))


def find_recordings(paths: Iterable[str | Path], **options: Any) -> search.FoundRecordings:
    """Search in this process."""
    return search.find_recordings(paths, Here(), **options)


def write_model(
    folder: Path, *, name: str = "small 1 (test)", always: str = "N", bias: list[float] | None = None
) -> Path:
    """Write a model that calls every beat by one letter: a network of one layer without weights.

    Its answer is ``bias``; by default, ``always`` has the greatest value.
    """
    from onnx import TensorProto, helper, save

    n, m = len(FEATURE_NAMES), len(CLASSES)
    bias = bias or [3.0 if letter == always else 0.0 for letter in CLASSES]
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["xw"]),
            helper.make_node("Add", ["xw", "b"], ["logits"]),
        ],
        "one layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "time", n])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "time", m])],
        [
            helper.make_tensor("w", TensorProto.FLOAT, [n, m], [0.0] * n * m),
            helper.make_tensor("b", TensorProto.FLOAT, [m], bias),
        ],
    )
    folder.mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    save(model, folder / MODEL_FILE)
    specification = Specification(
        name=name,
        run="",
        labels=tuple(CLASSES),
        features=FEATURE_NAMES,
        mean=(0.0,) * n,
        scale=(1.0,) * n,
        temperature=1.0,
        confidence_threshold=0.5,
        min_beats=1,
    )
    (folder / SPECIFICATION_FILE).write_text(json.dumps(asdict(specification)))
    return folder


@cache
def signal_of(*, minutes: float = 1.0, fs: float = FS, seed: int = 0) -> NDArray[np.float32]:
    """Give two leads of a simulated patient, in mV."""
    rng = np.random.default_rng(seed)
    recording = simulate.simulate(simulate.draw_patient(rng), minutes=minutes, fs=fs, rng=rng).recording
    signal = recording.read(0, recording.n_samples)
    signal.flags.writeable = False  # shared by all tests
    return signal


def write_record(
    folder: Path, name: str = "r", signal: NDArray[np.floating] | None = None, *, fs: float = FS
) -> Path:
    """Write a record in format 16, NaN as its missing sample; give its header."""
    signal = signal_of(fs=fs) if signal is None else signal
    folder.mkdir(parents=True, exist_ok=True)
    stored = np.where(np.isnan(signal), -(2**15), np.round(signal * 1000)).astype("<i2")
    (folder / f"{name}.dat").write_bytes(stored.tobytes())
    n_leads = signal.shape[1]
    lines = [f"{name}.dat 16 1000/mV 16 0 0 0 0 {lead}" for lead in ("MLII", "V1", "V5")[:n_leads]]
    header = folder / f"{name}.hea"
    header.write_text("\n".join([f"{name} {n_leads} {fs:g} {len(signal)}", *lines]) + "\n")
    return header


def simulated(*, minutes: float = 3.0, fs: float = 360.0, seed: int = 4) -> simulate.SimulatedRecording:
    """Simulate some minutes of a patient."""
    rng = np.random.default_rng(seed)
    return simulate.simulate(simulate.draw_patient(rng), minutes=minutes, fs=fs, rng=rng)
