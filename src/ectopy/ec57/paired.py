"""Two models compared on the same records: differences of metrics, with intervals by patient.

Both models are given the same drawn patients, so what is hard about a patient cancels out. The interval of
the difference is therefore narrower than those of the two metrics suggest. Method: paired bootstrap of whole
patients (Efron & Tibshirani 1993).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ectopy.ec57.beats import BEAT_METRICS, QRS_F1, BeatComparison
from ectopy.ec57.summary import Cells, Ratio

Values = NDArray[np.float64]


class RecordPair(NamedTuple):
    """Beat comparisons of one record by two models."""

    patient: str
    record: str
    first: BeatComparison
    second: BeatComparison


class Difference(NamedTuple):
    """A metric of two models, and the 95 % interval of the difference ``second - first``.

    The bounds are NaN for a single patient.
    """

    first: float
    second: float
    low: float
    high: float

    @property
    def value(self) -> float:
        """The difference, as a fraction."""
        return self.second - self.first


def _gross(metric: Ratio, cells: Cells, weights: NDArray[np.int64]) -> Values:
    return metric(np.tensordot(weights, cells, axes=1))


def _average(metric: Ratio, cells: Cells, weights: NDArray[np.int64]) -> Values:
    values = metric(cells)
    defined = ~np.isnan(values)
    counts = weights[:, defined].sum(axis=1)
    means = np.full(len(weights), np.nan)
    np.divide(weights[:, defined] @ values[defined], counts, out=means, where=counts > 0)
    return means


COMPARED: Mapping[str, tuple[Callable[..., Values], Ratio]] = MappingProxyType(
    {
        "gross/qrs_f1": (_gross, QRS_F1),
        "gross/veb_f1": (_gross, BEAT_METRICS["veb_f1"]),
        "gross/sveb_f1": (_gross, BEAT_METRICS["sveb_f1"]),
        "average/veb_f1": (_average, BEAT_METRICS["veb_f1"]),
        "average/sveb_f1": (_average, BEAT_METRICS["sveb_f1"]),
    }
)
"""How the records are summarised, and the metric, by name; averages are over records."""


def compare_pairs(pairs: Sequence[RecordPair], *, seed: int = 0, n: int = 2000) -> dict[str, Difference]:
    """Compare two models on the same records.

    Parameters
    ----------
    pairs
        The records in any order.
    seed
        Seed of the bootstrap.
    n
        Number of draws of patients.

    Returns
    -------
    Differences by metric; metrics that a model does not have on these records are absent.
    """
    pairs = sorted(pairs, key=lambda pair: (pair.patient, pair.record))
    names, patient = np.unique([pair.patient for pair in pairs], return_inverse=True)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n)
    as_they_are = np.ones((1, len(names)), dtype=np.int64)
    weights = np.concatenate((as_they_are, draws))[:, patient]
    sides = (
        np.stack([pair.first.counts for pair in pairs]),
        np.stack([pair.second.counts for pair in pairs]),
    )
    differences = {}
    for name, (summarise, metric) in COMPARED.items():
        first, second = (summarise(metric, cells, weights) for cells in sides)
        if math.isfinite(second[0] - first[0]):
            low, high = np.nanquantile((second - first)[1:], (0.025, 0.975))
            bounds = (float(low), float(high)) if len(names) > 1 else (math.nan, math.nan)
            differences[name] = Difference(float(first[0]), float(second[0]), *bounds)
    return differences
