"""Compression of networks: pruning by magnitude and int8 quantisation; size and speed of ONNX files."""

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
from ectopy.model.onnx_runtime import open_session

Weights = list[NDArray[Any]]
Run = Callable[[Floats], Floats]
"""Applies a network: standardised features [n, k] to logits [n, m]."""
BATCH_CHUNKS = 32
"""Chunks in one call: attention over all chunks of a day at once would take 6 GB."""
DAY_BEATS = 100_000
"""About a day of heartbeats."""


def quantise(path: Path) -> None:
    """Quantise an ONNX file for computation in int8 by ONNX Runtime: dense layers and LSTMs, but no GRU."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(path, path, skip_symbolic_shape=True)
    quantize_dynamic(path, path, weight_type=QuantType.QInt8, per_channel=True)


def prune(weights: Weights, sparsity: float) -> Weights:
    """Set the smallest weights of all matrices together to zero (Han 2015); biases stay.

    Parameters
    ----------
    weights
        Weights of a Keras model.
    sparsity
        Fraction of the weights of matrices to set to zero.

    Returns
    -------
    The pruned weights.
    """
    magnitudes = np.concatenate([np.abs(w).ravel() for w in weights if _is_matrix(w)])
    threshold = np.quantile(magnitudes, sparsity)
    return [w * (np.abs(w) > threshold) if _is_matrix(w) else w for w in weights]


def sparsity_of_file(path: Path) -> float:
    """Return the fraction of zeros in the matrices of an ONNX file."""
    from onnx import load, numpy_helper

    constants = [numpy_helper.to_array(tensor) for tensor in load(path).graph.initializer]
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
    """Return the size of a file in bytes."""
    content = path.read_bytes()
    return Size(len(content), len(gzip.compress(content, mtime=0)))


def load_onnx(path: Path) -> Run:
    """Load an ONNX network for one thread, as scoring does."""
    session = open_session(path)
    name = session.get_inputs()[0].name

    def run(chunks: Floats) -> Floats:
        batches = [chunks[start : start + BATCH_CHUNKS] for start in range(0, len(chunks), BATCH_CHUNKS)]
        return np.concatenate([session.run(None, {name: batch})[0] for batch in batches])

    return lambda standard: in_chunks(run, standard)


def seconds_for(run: Run, n_beats: int, n_features: int, *, repeats: int = 3) -> float:
    """Measure the CPU time of a network.

    Parameters
    ----------
    run
        The network.
    n_beats
        Number of beats.
    n_features
        Number of features of a beat.
    repeats
        Number of measurements, after one run to warm up.

    Returns
    -------
    The shortest time in CPU seconds.
    """
    standard = np.random.default_rng(0).standard_normal((n_beats, n_features), dtype=np.float32)
    run(standard)
    return min(_seconds(run, standard) for _ in range(repeats))


def _seconds(run: Run, x: Floats) -> float:
    start_s = time.process_time()
    run(x)
    return time.process_time() - start_s
