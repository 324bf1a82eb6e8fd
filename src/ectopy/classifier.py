"""The exported network at work: features in, calibrated class probabilities out (ONNX Runtime, no Keras)."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ectopy.drift import Reference, read_reference
from ectopy.ecg import CLASSES, Mask
from ectopy.features import FEATURE_NAMES, Floats

SHIPPED_MODEL = Path(__file__).parent / "models" / "shipped"
MODEL_FILE, SPECIFICATION_FILE, CARD_FILE = "model.onnx", "model.json", "card.md"

_FOLDER_OF_WEIGHTS = "session.model_external_initializers_file_folder_path"

CHUNK = 512
"""Beats that the network reads at once; longer recordings are read in chunks."""
CONTEXT = 64
"""Beats on either side of a chunk's share that only lend context: a training sequence."""
AT_ONCE = 8
"""Chunks of one call: more are no faster, and what the network makes of them in between takes memory."""


class ModelError(ValueError):
    """A model directory that cannot be used; the message says why."""


@dataclass(frozen=True)
class Specification:
    """All that turns features into probabilities, apart from the network itself.

    ``mean`` and ``scale`` standardise ``features``; logits of ``labels`` are divided by ``temperature``;
    below ``confident_from``, or with fewer than ``enough_beats`` beats, the classifier abstains.
    """

    name: str
    run: str
    labels: tuple[str, ...]
    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    temperature: float
    confident_from: float
    enough_beats: int

    def __post_init__(self) -> None:
        if not len(self.features) == len(self.mean) == len(self.scale):
            raise ModelError(
                f"{len(self.features)} features, {len(self.mean)} means, {len(self.scale)} scales"
            )
        if unknown := set(self.labels) - set(CLASSES):
            raise ModelError(
                f"labels out of {', '.join(CLASSES)} expected, {', '.join(sorted(unknown))} came"
            )
        numbers = [*self.mean, *self.scale, self.temperature, self.confident_from, self.enough_beats]
        if not np.isfinite(np.array(numbers, dtype=np.float64)).all():
            raise ModelError("finite numbers expected, others came")
        if not min(*self.scale, self.temperature) > 0:
            raise ModelError("scales and a temperature above 0 expected, others came")


@dataclass(frozen=True, eq=False)
class Classifier:
    """A network with its specification; call it with features [n, k].

    ``version_id`` is the SHA-256 over the files that decide a result, read once: the folder may be replaced.
    ``reference`` sums up the training patients, where the model brings them along.
    """

    folder: Path
    specification: Specification
    network: bytes
    version_id: str
    reference: Reference | None = None

    @property
    def name(self) -> str:
        """What outputs call the model."""
        return self.specification.name

    @cached_property
    def _session(self) -> Any:
        import onnxruntime  # a quarter of a second that --help need not pay

        onnxruntime.set_default_logger_severity(3)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # recordings are scored side by side, by process
        # Weights in files of their own would come from the working directory: a file is no folder of them.
        options.add_session_config_entry(_FOLDER_OF_WEIGHTS, str(self.folder / MODEL_FILE))
        try:
            return onnxruntime.InferenceSession(self.network, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises classes of its own, derived from nothing else
            what = f"{self.folder / MODEL_FILE}: a whole network in ONNX expected"
            raise ModelError(f"{what}, {type(error).__name__} came") from error

    def __call__(self, features: Floats) -> tuple[NDArray[np.float32], Mask]:
        """Give probability [n, 4] in the order of CLASSES and whether to be confident [n]."""
        specification = self.specification
        logits = self.logits(features) / np.float32(specification.temperature)
        probability = by_class(softmax(logits), specification.labels)
        confident = probability.max(axis=1) >= specification.confident_from
        return probability, confident & (len(features) >= specification.enough_beats)

    def logits(self, features: Floats) -> Floats:
        """Give the network's answer before calibration, [n, n_labels]."""
        specification = self.specification
        if features.shape[1:] != (len(specification.features),):
            shape = f"[n, {len(specification.features)}]"
            raise ModelError(f"{self.folder}: features of shape {shape} expected, {features.shape} came")
        if not len(features):
            return np.empty((0, len(specification.labels)), dtype=np.float32)
        return in_chunks(self._run, features, at_once=AT_ONCE)

    def _run(self, sequences: Floats) -> Floats:
        specification = self.specification
        standard = (sequences - np.array(specification.mean)) / np.array(specification.scale)
        name = self._session.get_inputs()[0].name
        (logits,) = self._session.run(None, {name: standard.astype(np.float32)})
        return np.asarray(logits)


def in_chunks(run: Any, x: Floats, *, at_once: int | None = None) -> Floats:
    """Apply ``run``, [batch, time, k] -> [batch, time, m], to a sequence [n, k] in chunks that overlap.

    ``at_once`` is the greatest batch; without it all chunks are one.
    """
    if len(x) <= CHUNK:
        return np.asarray(run(x[None])[0])
    share = CHUNK - 2 * CONTEXT
    starts = [*range(0, len(x) - CHUNK, share), len(x) - CHUNK]
    size = at_once or len(starts)
    batches = (starts[first : first + size] for first in range(0, len(starts), size))
    chunks = np.concatenate([run(np.stack([x[at : at + CHUNK] for at in batch])) for batch in batches])
    y = np.empty((len(x), chunks.shape[2]), dtype=np.float32)
    for start, chunk in zip(starts, chunks, strict=True):
        skip = CONTEXT if start else 0
        y[start + skip : start + CHUNK] = chunk[skip:]
    return y


def by_class(probability: Floats, labels: Sequence[str]) -> Floats:
    """Put probabilities of labels [n, n_labels] in the order of CLASSES, [n, 4]; 0 where none is modelled."""
    every = np.zeros((len(probability), len(CLASSES)), dtype=np.float32)
    every[:, [CLASSES.index(label) for label in labels]] = probability
    return every


def softmax(logits: Floats) -> Floats:
    """Turn logits [n, m] into probabilities."""
    power = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(power / power.sum(axis=1, keepdims=True))


def load_classifier(folder: Path) -> Classifier:
    """Read a model directory: ``model.onnx`` and ``model.json``, nothing that could run code."""
    folder = folder.resolve()  # the champion's is a link, which may be turned to another model meanwhile
    for file in (MODEL_FILE, SPECIFICATION_FILE):
        if not (folder / file).is_file():
            raise ModelError(f"{folder}: a model directory with {file} expected, none there")
    network, specified = ((folder / file).read_bytes() for file in (MODEL_FILE, SPECIFICATION_FILE))
    try:
        told = dict(json.loads(specified))
        told = {key: tuple(value) if isinstance(value, list) else value for key, value in told.items()}
        specification = Specification(**told)
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise ModelError(f"{folder / SPECIFICATION_FILE}: {error}") from error
    if specification.features != FEATURE_NAMES:
        raise ModelError(
            f"{folder}: a model for the features of this version expected; train or score with its own"
        )
    try:
        reference = read_reference(folder)
    except ValueError as error:
        raise ModelError(str(error)) from error
    version_id = hashlib.sha256(network + specified).hexdigest()
    return Classifier(folder, specification, network, version_id, reference)
