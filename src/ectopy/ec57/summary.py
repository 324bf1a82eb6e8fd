"""Metrics of beats, runs and episodes: gross, averaged over records, and their confidence intervals."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import ClassVar, Protocol, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Counts: TypeAlias = NDArray[np.int64]
"""Cells of one comparison [*cells], or of many [..., *cells]."""
Cells: TypeAlias = NDArray[np.int64] | NDArray[np.float64]
"""Cells that may include durations in s."""


@dataclass(frozen=True, eq=False)
class Ratio:
    """Metric that divides one weighted sum of cells by another.

    It is NaN where the denominator is 0, or where the cells of ``required`` add up to 0.
    """

    numerator: Counts
    denominator: Counts
    required: Counts | None = None

    def sums(self, cells: Cells) -> tuple[Cells, Cells]:
        """Return numerator and denominator [...] of cells [..., *cells]."""
        axes = tuple(range(-self.denominator.ndim, 0))
        return (cells * self.numerator).sum(axes), (cells * self.denominator).sum(axes)

    def __call__(self, cells: Cells) -> NDArray[np.float64]:
        """Return the metric [...] of cells [..., *cells]."""
        numerator, denominator = self.sums(cells)
        required = denominator
        if self.required is not None:
            required = Ratio(self.numerator, self.required).sums(cells)[1]
        undefined = np.full(np.shape(denominator), np.nan)
        return np.divide(numerator, denominator, out=undefined, where=(denominator > 0) & (required > 0))


class Additive(Protocol):
    """Value that can be added up over records."""

    def __add__(self, other: Self, /) -> Self: ...


class Comparison(Additive, Protocol):
    """Result of one record or of a sum of records: cells that add up, and metrics of the cells."""

    METRICS: ClassVar[Mapping[str, Ratio]]

    @property
    def cells(self) -> Cells:
        """The counts and durations from which the metrics are computed."""


def compute_metrics(comparison: Comparison) -> dict[str, float]:
    """Compute every metric of a comparison by name, as fractions; NaN where undefined."""
    return {name: float(metric(comparison.cells)) for name, metric in comparison.METRICS.items()}


A = TypeVar("A", bound=Additive)


def gross(comparisons: Iterable[A]) -> A:
    """Return the sum of all records, in which every beat, run or second counts the same (EC57: gross)."""
    return reduce(add, comparisons)


def average(comparisons: Sequence[Comparison]) -> dict[str, float]:
    """Compute the mean of each metric over the records in which it is defined."""
    by_record = [compute_metrics(comparison) for comparison in comparisons]
    return {name: _mean([record[name] for record in by_record]) for name in by_record[0]} if by_record else {}


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if value == value]  # noqa: PLR0124 - NaN is not itself
    return sum(defined) / len(defined) if defined else float("nan")


def bootstrap(
    by_patient: Iterable[Sequence[Comparison]],
    metric: str,
    *,
    rng: np.random.Generator,
    n: int = 2000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Compute the confidence interval of one gross metric.

    Parameters
    ----------
    by_patient, rng, n, level
        As for :func:`intervals`.
    metric
        Name of the metric.

    Returns
    -------
    Lower and upper bound.
    """
    return intervals(by_patient, rng=rng, n=n, level=level)[metric]


def intervals(
    by_patient: Iterable[Sequence[Comparison]],
    *,
    rng: np.random.Generator,
    n: int = 2000,
    level: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """Compute the confidence interval of every gross metric by a percentile bootstrap over patients.

    Beats of one patient are not independent, so patients are drawn with replacement and not beats. Draws in
    which a metric is undefined are left out. Method: Efron & Tibshirani 1993.

    Parameters
    ----------
    by_patient
        Comparisons of each patient.
    rng
        Source of randomness.
    n
        Number of draws.
    level
        Probability inside the interval.

    Returns
    -------
    Lower and upper bound by metric, (NaN, NaN) where it is undefined in every draw.

    Raises
    ------
    ValueError
        There is no patient.
    """
    patients = [gross(records) for records in by_patient]
    if not patients:
        raise ValueError("no patient to draw from. Pass the comparisons of at least one patient.")
    draws = rng.multinomial(len(patients), np.full(len(patients), 1 / len(patients)), size=n)
    cells = np.tensordot(draws, np.stack([patient.cells for patient in patients]), axes=1)
    return {name: _interval(metric(cells), level) for name, metric in patients[0].METRICS.items()}


def _interval(values: NDArray[np.float64], level: float) -> tuple[float, float]:
    defined = values[~np.isnan(values)]
    if not defined.size:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)
