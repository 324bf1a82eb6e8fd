"""Networks made smaller: pruned by magnitude, quantised to eight bits; how large and how fast a file is.

What is made smaller is an ONNX file or a list of weights.
"""

import gzip
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ectopy.features.extraction import Floats
from ectopy.model.classifier import in_chunks

Weights = list[NDArray[Any]]
Run = Callable[[Floats], Floats]
"""Standardised features [n, k] to logits [n, m]."""
AT_ONCE = 32
"""Sequences: attention over all of a day's at once would take 6 GB."""
DAY_BEATS = 100_000
"""About a day of heartbeats."""


def quantise(path: Path) -> None:
    """Let ONNX Runtime compute in eight bits what it can: dense layers and LSTMs, but no GRU."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(path, path, skip_symbolic_shape=True)
    quantize_dynamic(path, path, weight_type=QuantType.QInt8, per_channel=True)


def pruned(weights: Weights, sparsity: float) -> Weights:
    """Set the smallest weights of all matrices to zero (Han 2015), such a share of them; biases stay."""
    sizes = np.concatenate([np.abs(w).ravel() for w in weights if _is_matrix(w)])
    least = np.quantile(sizes, sparsity)
    return [w * (np.abs(w) > least) if _is_matrix(w) else w for w in weights]


def sparsity_of_file(path: Path) -> float:
    """Give the share of zeros in the matrices of an ONNX file."""
    from onnx import load, numpy_helper

    constants = [numpy_helper.to_array(each) for each in load(path).graph.initializer]
    zeros = [w.ravel() == 0 for w in constants if _is_matrix(w)]
    return float(np.concatenate(zeros).mean()) if zeros else 0.0


def _is_matrix(w: NDArray[Any]) -> bool:
    return w.ndim >= 2 and w.shape[-2] > 2  # the two biases of a GRU look like a matrix of two rows


@dataclass(frozen=True)
class Size:
    """Bytes of a file, and of the same file after gzip."""

    plain: int
    zipped: int


def size_of(path: Path) -> Size:
    """Measure a file."""
    content = path.read_bytes()
    return Size(len(content), len(gzip.compress(content, mtime=0)))


def runner(path: Path) -> Run:
    """Load an ONNX network as scoring does, on one thread."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(sequences: Floats) -> Floats:
        parts = [sequences[at : at + AT_ONCE] for at in range(0, len(sequences), AT_ONCE)]
        return np.concatenate([session.run(None, {name: part})[0] for part in parts])

    return lambda standard: in_chunks(run, standard)


def seconds_for(run: Run, n_beats: int, n_features: int, *, repeats: int = 3) -> float:
    """Time the reading of so many beats in CPU seconds: the best of some repeats, after one to warm up."""
    standard = np.random.default_rng(0).standard_normal((n_beats, n_features), dtype=np.float32)
    run(standard)
    return min(_seconds(run, standard) for _ in range(repeats))


def _seconds(run: Run, x: Floats) -> float:
    start = time.process_time()
    run(x)
    return time.process_time() - start
