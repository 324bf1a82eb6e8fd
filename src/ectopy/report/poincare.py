"""Each RR interval over the one before it: regular, irregular and ectopic rhythms look different."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Analysis, Mask, true_intervals
from ectopy.report.trend import Tick
from ectopy.rhythm.finders import supraventricular, ventricular
from ectopy.rhythm.heart_rate import Seconds

LEAST_S, MOST_S = 0.2, 2.2
"""Extent of both axes: 300 down to 27 bpm."""
CELLS = 125
"""Parts of an axis, of 16 ms: finer than the dots of a plot this size."""
SHADES = (1, 3, 10)
"""A cell of normal beats is the darker the more pairs it holds: from so many on."""
TICKS_S = (0.4, 0.8, 1.2, 1.6, 2.0)


Counts = NDArray[np.int64]


class Poincare(NamedTuple):
    """Pairs of successive RR intervals in cells, x the earlier, y the later and upwards.

    ``normal`` holds a path a shade, the lightest first; ``n_outside`` pairs lie beyond the axes.
    """

    normal: list[str]
    ventricular: str
    supraventricular: str
    n_normal: int
    n_ventricular: int
    n_supraventricular: int
    n_outside: int
    ticks: list[Tick]


def poincare(analysis: Analysis) -> Poincare | None:
    """Sort the pairs by the three beats that make them; None where there is no pair."""
    beats = analysis.beats
    rr_s = analysis.rr_s
    earlier, later = rr_s[1:-1], rr_s[2:]
    known = np.isfinite(earlier) & np.isfinite(later)
    if not known.any():
        return None
    v, s = (_any_of_three(of(beats)) & known for of in (ventricular, supraventricular))
    s &= ~v
    inside = known & (np.minimum(earlier, later) >= LEAST_S) & (np.maximum(earlier, later) < MOST_S)
    normal = known & ~v & ~s
    counts = [_cells(earlier, later, mask & inside) for mask in (normal, v, s)]
    return Poincare(
        normal=_shaded(counts[0]),
        ventricular=triangles(counts[1] > 0),
        supraventricular=diamonds(counts[2] > 0),
        n_normal=int(normal.sum()),
        n_ventricular=int(v.sum()),
        n_supraventricular=int(s.sum()),
        n_outside=int((known & ~inside).sum()),
        ticks=[Tick(100 * (at - LEAST_S) / (MOST_S - LEAST_S), f"{at:g}") for at in TICKS_S],
    )


def _any_of_three(mask: Mask) -> Mask:
    return mask[:-2] | mask[1:-1] | mask[2:]


def _cells(earlier: Seconds, later: Seconds, mask: Mask) -> Counts:
    """Count pairs in cells, [row, column], the longest ``later`` in the first row."""
    extent = (LEAST_S, MOST_S)
    counts = np.histogram2d(later[mask], earlier[mask], bins=CELLS, range=(extent, extent))[0]
    return counts[::-1].astype(np.int64)


def _shaded(counts: Counts) -> list[str]:
    most = (*SHADES[1:], np.inf)
    return [squares((counts >= least) & (counts < below)) for least, below in zip(SHADES, most, strict=True)]


def squares(mask: Mask) -> str:
    """Path of cells, those side by side in one piece."""
    return "".join(
        f"M{start} {row}h{stop - start}v1H{start}z"
        for row in np.flatnonzero(mask.any(axis=1)).tolist()
        for start, stop in true_intervals(mask[row]).tolist()
    )


def triangles(mask: Mask) -> str:
    """Path of a triangle about each cell."""
    return "".join(f"M{x} {y - 0.5:g}l1.2 2h-2.4z" for x, y in _middles(mask))


def diamonds(mask: Mask) -> str:
    """Path of a diamond about each cell."""
    return "".join(f"M{x} {y - 1:g}l1 1-1 1-1-1z" for x, y in _middles(mask))


def _middles(mask: Mask) -> list[list[float]]:
    middles: list[list[float]] = (np.argwhere(mask)[:, ::-1] + 0.5).tolist()
    return middles
