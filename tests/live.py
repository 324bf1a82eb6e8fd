"""Small streaming models for tests: one calls wide beats V and early ones S, one has random weights."""

from dataclasses import replace

import numpy as np

from ectopy.live.beat_features import FEATURES, Floats
from ectopy.live.network import LiveModel, LiveSpecification

LABELS = ("N", "S", "V")


def live_model(look_ahead: int = 2) -> LiveModel:
    """Return a model of two units: the width of the beat, and how early it is."""
    n, units = len(FEATURES), 4
    names = list(FEATURES)
    dense = np.zeros((n, units), dtype=np.float32)
    dense[names.index("lead 1: width"), 0] = 4
    dense[names.index("rr over local"), 1] = -4
    dense_bias = np.array([-0.8, -0.8, 0, 0], dtype=np.float32)
    kernel = np.zeros((units, 3 * units), dtype=np.float32)
    kernel[:, 2 * units :] = np.eye(units)
    bias = np.zeros((2, 3 * units), dtype=np.float32)
    bias[0, :units] = -9  # a state that forgets at once
    out = np.zeros((units, 3 * (look_ahead + 1)), dtype=np.float32)
    out_bias = np.tile(np.array([3, 0, 0], dtype=np.float32), look_ahead + 1)
    out[0, 2], out[1, 1] = 9, 6  # answers at once; later it knows nothing more
    specification = LiveSpecification(
        name="small live (test)",
        run="",
        labels=LABELS,
        features=tuple(FEATURES),
        mean=(0.0,) * n,
        scale=(1.0,) * n,
        look_ahead=look_ahead,
        temperature=(1.0,) * (look_ahead + 1),
        confidence_threshold=(0.6,) * (look_ahead + 1),
    )
    weights = {
        "dense": dense,
        "dense_bias": dense_bias,
        "kernel": kernel,
        "recurrent": np.zeros((units, 3 * units), dtype=np.float32),
        "bias": bias,
        "out": out,
        "out_bias": out_bias,
    }
    return LiveModel(specification, weights, "0" * 64)


def random_live_model(seed: int = 0, *, look_ahead: int = 3, dense: int = 24, units: int = 16) -> LiveModel:
    """Return a network of random weights: its labels depend on every feature."""
    small, rng = live_model(look_ahead), np.random.default_rng(seed)

    def normal(*shape: int) -> Floats:
        return rng.normal(scale=1 / np.sqrt(shape[0]), size=shape).astype(np.float32)

    n_out = 3 * (look_ahead + 1)
    weights = {
        "dense": normal(len(small.specification.features), dense),
        "dense_bias": normal(dense),
        "kernel": normal(dense, 3 * units),
        "recurrent": normal(units, 3 * units),
        "bias": normal(2, 3 * units),
        "out": 4 * normal(units, n_out),
        "out_bias": normal(n_out),
    }
    temperature = tuple(1 + 0.2 * seen for seen in range(look_ahead + 1))
    specification = replace(small.specification, temperature=temperature)
    return LiveModel(specification, weights, "0" * 64)
