"""Weights of a streaming model as 8-bit integers: a quarter of the memory.

Each output channel of a matrix has a scale of its own. Biases, activations and states stay float32.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ectopy.live.network import Floats, LiveModel

MATRICES = ("dense", "kernel", "recurrent", "out")
"""The weights that are quantised, [inputs, outputs]."""

_LARGEST = 127


def quantise(weights: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Quantise a matrix.

    Parameters
    ----------
    weights
        [inputs, outputs].

    Returns
    -------
    Integers of the same shape, and the scale of each output. Their product is close to the weights.
    """
    scale = np.maximum(np.abs(weights).max(axis=0), np.float32(1e-12)) / np.float32(_LARGEST)
    return np.rint(weights / scale).astype(np.int8), scale.astype(np.float32)


def quantised(model: LiveModel) -> LiveModel:
    """Return the model that a device with 8-bit weights computes.

    Parameters
    ----------
    model
        The model.

    Returns
    -------
    The same model with the nearest weights that 8 bits can express.
    """
    weights = dict(model.weights)
    for name in MATRICES:
        integers, scale = quantise(weights[name])
        weights[name] = integers * scale
    return replace(model, weights=weights)
