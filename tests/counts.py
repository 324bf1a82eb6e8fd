"""Confusion matrices made by hand or drawn, for tests that compare models."""

import numpy as np

from ectopy.ec57 import BeatComparison
from ectopy.ec57.marks import CELLS


def beats(**cells: int) -> BeatComparison:
    """Give a confusion matrix; ``VN=3`` are three V of the reference that were called N."""
    counts = np.zeros((len(CELLS), len(CELLS)), dtype=np.int64)
    for cell, n in cells.items():
        counts[CELLS.index(cell[0]), CELLS.index(cell[1])] = n
    return BeatComparison(counts)


def drawn(patient: int, *, seed: int = 0, found: float = 0.8) -> BeatComparison:
    """Give a patient with N, S and V, of which a model finds a share by chance."""
    n_s, n_v = np.random.default_rng(patient).integers(20, 200, size=2)
    s, v = np.random.default_rng((seed, patient)).binomial((n_s, n_v), found)
    return beats(NN=1000, NS=5, NV=5, SS=s, SN=n_s - s, VV=v, VN=n_v - v)
