"""Two models compared on the same records: differences of metrics, with intervals by patient.

Both models are given the same drawn patients, so what is hard about a patient cancels out. The interval of
the difference is therefore narrower than those of the two metrics suggest. Method: paired bootstrap of whole
patients (Efron & Tibshirani 1993).

The same recipe with other seeds gives another ensemble, whose metrics differ too. Where the single networks
of an ensemble are known, they are drawn as well, and the interval covers both sources of chance.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ectopy.ec57.beats import BEAT_METRICS, QRS_F1, BeatComparison
from ectopy.ec57.summary import Cells, Ratio

Values = NDArray[np.float64]


class RecordPair(NamedTuple):
    """Beat comparisons of one record by two models, and by the single networks of each."""

    patient: str
    record: str
    first: BeatComparison
    second: BeatComparison
    first_networks: tuple[BeatComparison, ...] = ()
    second_networks: tuple[BeatComparison, ...] = ()


class Difference(NamedTuple):
    """A metric of two models, and the 95 % interval of the difference ``second - first``.

    The bounds are NaN for a single patient, and where a model does not have the metric.
    """

    first: float
    second: float
    low: float
    high: float

    @property
    def value(self) -> float:
        """The difference, as a fraction."""
        return self.second - self.first


def gross_of(metric: Ratio, cells: Cells, weights: NDArray[np.int64]) -> Values:
    """Compute a metric of all records together, for drawn records.

    Parameters
    ----------
    metric
        The metric.
    cells
        Cells of each record, [k, *cells].
    weights
        How often each record counts, in n draws, [n, k].

    Returns
    -------
    The metric of each draw, [n].
    """
    return metric(np.tensordot(weights, cells, axes=1))


def average_of(metric: Ratio, cells: Cells, weights: NDArray[np.int64]) -> Values:
    """Compute the mean of a metric over records, for drawn records.

    Parameters
    ----------
    metric
        The metric.
    cells
        Cells of each record, [k, *cells].
    weights
        How often each record counts, in n draws, [n, k].

    Returns
    -------
    The metric of each draw, [n].
    """
    values = metric(cells)
    defined = ~np.isnan(values)
    counts = weights[:, defined].sum(axis=1)
    means = np.full(len(weights), np.nan)
    np.divide(weights[:, defined] @ values[defined], counts, out=means, where=counts > 0)
    return means


ComparedMetrics: TypeAlias = Mapping[str, tuple[Callable[..., Values], Ratio]]
"""How records are summarised, and the metric, by name."""
COMPARED: ComparedMetrics = MappingProxyType(
    {
        "gross/qrs_f1": (gross_of, QRS_F1),
        "gross/veb_f1": (gross_of, BEAT_METRICS["veb_f1"]),
        "gross/sveb_f1": (gross_of, BEAT_METRICS["sveb_f1"]),
        "average/veb_f1": (average_of, BEAT_METRICS["veb_f1"]),
        "average/sveb_f1": (average_of, BEAT_METRICS["sveb_f1"]),
    }
)
"""How the records are summarised, and the metric, by name; averages are over records."""


def summarise(records: Sequence[BeatComparison]) -> dict[str, float]:
    """Compute the compared metrics of one model on some records, NaN where undefined."""
    cells = np.stack([record.counts for record in records])
    once = np.ones((1, len(records)), dtype=np.int64)
    return {name: float(summary(metric, cells, once)[0]) for name, (summary, metric) in COMPARED.items()}


def summarise_networks(records: Sequence[Sequence[BeatComparison]]) -> list[dict[str, float]]:
    """Compute the compared metrics of each network; there are none if a record lacks its networks."""
    return [summarise(network) for network in zip(*records, strict=False)]


def _draw_seeds(values: Sequence[float], rng: np.random.Generator, n: int) -> Values:
    """Draw by how much a metric of an ensemble of other seeds differs [n], from its k single networks.

    The mean of k drawn networks varies less than that of k new ones, by the factor that is undone here.
    """
    k = len(values)
    if k < 2:
        return np.zeros(n)
    means = np.array(values)[rng.integers(k, size=(n, k))].mean(axis=1)
    deviations: Values = (means - np.mean(values)) * math.sqrt(k / (k - 1))
    return deviations


def compare_pairs(
    pairs: Sequence[RecordPair], *, seed: int = 0, n: int = 2000, compared: ComparedMetrics = COMPARED
) -> dict[str, Difference]:
    """Compare two models on the same records.

    Parameters
    ----------
    pairs
        The records in any order.
    seed
        Seed of the bootstrap.
    n
        Number of draws of patients.
    compared
        The metrics to compare.

    Returns
    -------
    Differences by metric. A metric that neither model has on these records is absent. One that only one of
    them has is NaN for the other, and its bounds are NaN.
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
    networks = (
        summarise_networks([pair.first_networks for pair in pairs]),
        summarise_networks([pair.second_networks for pair in pairs]),
    )
    differences = {}
    for name, (summary, metric) in compared.items():
        first, second = (summary(metric, cells, weights) for cells in sides)
        bounds = (math.nan, math.nan)
        if len(names) > 1 and math.isfinite(second[0] - first[0]):
            seeds = [_draw_seeds([network[name] for network in side], rng, n) for side in networks]
            low, high = np.nanquantile((second - first)[1:] + seeds[1] - seeds[0], (0.025, 0.975))
            bounds = (float(low), float(high))
        if math.isfinite(first[0]) or math.isfinite(second[0]):
            differences[name] = Difference(float(first[0]), float(second[0]), *bounds)
    return differences
