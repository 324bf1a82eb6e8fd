"""What comparisons of beats, runs and episodes share: figures, gross, record average, bootstrap."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import ClassVar, Protocol, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Counts: TypeAlias = NDArray[np.int64]
"""The cells of a comparison, or of many in front: [..., *cells]."""
Cells: TypeAlias = NDArray[np.int64] | NDArray[np.float64]
"""The same where some of them are durations."""


@dataclass(frozen=True, eq=False)
class Ratio:
    """A figure: one weighted sum of cells divided by another, NaN where that is 0 or ``needs`` sums to 0."""

    numerator: Counts
    denominator: Counts
    required: Counts | None = None

    def sums(self, cells: Cells) -> tuple[Cells, Cells]:
        """Give what is divided by what, for cells [..., *cells]."""
        axes = tuple(range(-self.denominator.ndim, 0))
        return (cells * self.numerator).sum(axes), (cells * self.denominator).sum(axes)

    def __call__(self, cells: Cells) -> NDArray[np.float64]:
        """Give the figure [...] of cells [..., *cells]."""
        part, whole = self.sums(cells)
        there = whole if self.required is None else Ratio(self.numerator, self.required).sums(cells)[1]
        return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=(whole > 0) & (there > 0))


class Additive(Protocol):
    """What adds up over records."""

    def __add__(self, other: Self, /) -> Self: ...


class Comparison(Additive, Protocol):
    """One record or a sum of them: cells that add up, and the figures they give."""

    METRICS: ClassVar[Mapping[str, Ratio]]

    @property
    def cells(self) -> Cells:
        """All that the figures are made of."""


def compute_metrics(comparison: Comparison) -> dict[str, float]:
    """Give every figure of a comparison by name, as fractions; NaN where undefined."""
    return {name: float(figure(comparison.cells)) for name, figure in comparison.METRICS.items()}


A = TypeVar("A", bound=Additive)


def gross(comparisons: Iterable[A]) -> A:
    """Pool records: every beat, run or second counts the same (EC57 calls this gross)."""
    return reduce(add, comparisons)


def average(comparisons: Sequence[Comparison]) -> dict[str, float]:
    """Average records: every record counts the same, where its figure is defined."""
    each = [compute_metrics(comparison) for comparison in comparisons]
    return {name: _mean([record[name] for record in each]) for name in each[0]} if each else {}


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
    """Give the interval of one gross figure, see :func:`intervals`."""
    return intervals(by_patient, rng=rng, n=n, level=level)[metric]


def intervals(
    by_patient: Iterable[Sequence[Comparison]],
    *,
    rng: np.random.Generator,
    n: int = 2000,
    level: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """Give the interval of every gross figure when patients, not beats, are drawn with replacement.

    ``by_patient`` holds the comparisons of each patient, at least one. Draws in which a figure is undefined
    are left out; its interval is (NaN, NaN) where all are. Percentile bootstrap (Efron & Tibshirani 1993).
    """
    patients = [gross(records) for records in by_patient]
    if not patients:
        raise ValueError("at least one patient expected, none came")
    draws = rng.multinomial(len(patients), np.full(len(patients), 1 / len(patients)), size=n)
    cells = np.tensordot(draws, np.stack([patient.cells for patient in patients]), axes=1)
    return {name: _interval(figure(cells), level) for name, figure in patients[0].METRICS.items()}


def _interval(values: NDArray[np.float64], level: float) -> tuple[float, float]:
    defined = values[~np.isnan(values)]
    if not defined.size:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)
