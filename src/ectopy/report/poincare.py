"""Draw the Poincaré plot: each RR interval over the one before it.

Regular, irregular and ectopic rhythms look different in it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Analysis, Mask, true_intervals
from ectopy.report.svg import COMMANDS, joined, numbers
from ectopy.report.trend import Tick
from ectopy.rhythm.finders import supraventricular, ventricular
from ectopy.rhythm.heart_rate import Seconds

MIN_S, MAX_S = 0.2, 2.2
"""Range of both axes in seconds: 300 down to 27 bpm."""
CELLS = 125
"""Cells along an axis, of 16 ms each: finer than the dots of a plot of this size."""
SHADES = (1, 3, 10)
"""Minimum numbers of pairs in a cell of normal beats for the light, the medium and the dark shade."""
TRIANGLE, DIAMOND = "l1 2h-2z", "l1 1-1 1-1-1z"
"""Paths of the marks of a cell with ectopic beats, from the middle of their top."""
_EDGES_S = np.linspace(MIN_S, MAX_S, CELLS + 1)
TICKS_S = (0.4, 0.8, 1.2, 1.6, 2.0)


Counts = NDArray[np.int64]


class Poincare(NamedTuple):
    """Pairs of successive RR intervals in cells: x is the earlier interval, y the later one, upwards.

    ``normal`` has one path per shade, the lightest first. ``n_outside`` pairs lie beyond the axes.
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
    """Draw the pairs of RR intervals by the class of their three beats; return None without a pair."""
    beats = analysis.beats
    rr_s = analysis.rr_s
    earlier, later = rr_s[1:-1], rr_s[2:]
    present = np.isfinite(earlier) & np.isfinite(later)
    if not present.any():
        return None
    v, s = (_any_of_three(mask) & present for mask in (ventricular(beats), supraventricular(beats)))
    s &= ~v
    inside = present & (np.minimum(earlier, later) >= MIN_S) & (np.maximum(earlier, later) < MAX_S)
    normal = present & ~v & ~s
    cell = _cells(earlier, later)
    counts = [np.bincount(cell[mask & inside], minlength=CELLS**2) for mask in (normal, v, s)]
    counts = [count.reshape(CELLS, CELLS) for count in counts]
    return Poincare(
        normal=_shaded(counts[0]),
        ventricular=_marks(counts[1] > 0, TRIANGLE),
        supraventricular=_marks(counts[2] > 0, DIAMOND),
        n_normal=int(normal.sum()),
        n_ventricular=int(v.sum()),
        n_supraventricular=int(s.sum()),
        n_outside=int((present & ~inside).sum()),
        ticks=[Tick(100 * (tick - MIN_S) / (MAX_S - MIN_S), f"{tick:g}") for tick in TICKS_S],
    )


def _any_of_three(mask: Mask) -> Mask:
    return mask[:-2] | mask[1:-1] | mask[2:]


def _cells(earlier: Seconds, later: Seconds) -> Counts:
    """Return the number of the cell of each pair, row by row; the longest ``later`` are in the first row."""
    column, row = (np.searchsorted(_EDGES_S, edge_s, side="right") - 1 for edge_s in (earlier, later))
    return np.asarray((CELLS - 1 - row) * CELLS + column)


def _shaded(counts: Counts) -> list[str]:
    limits = (*SHADES[1:], np.inf)
    return [
        squares((counts >= least) & (counts < below)) for least, below in zip(SHADES, limits, strict=True)
    ]


def squares(mask: Mask) -> str:
    """Return an SVG path of the True cells, as dashes on the upper edge of their row; neighbours are one.

    All but the first dash are placed from the end of the one before.
    """
    if not mask.any():
        return ""
    apart = np.column_stack((mask, np.zeros(len(mask), dtype=bool)))  # no dash goes on in the next row
    starts, stops = true_intervals(apart.ravel()).T
    row, column = np.divmod(starts, apart.shape[1])
    length = stops - starts
    x, y = column - np.append(0, (column + length)[:-1]), np.diff(row, prepend=0)  # from the end of the last
    before = np.full(len(x), COMMANDS.index("m"))
    before[0] = COMMANDS.index("M")
    dashes = (numbers(x, before), numbers(y), numbers(length, COMMANDS.index("h")))
    return joined(np.stack(dashes, axis=1), np.zeros(1, dtype=np.int64))[0]


def _marks(mask: Mask, shape: str) -> str:
    """Return an SVG path with a closed shape at each True cell, each placed from the one before it."""
    cells = np.argwhere(mask)[:, ::-1]
    steps = np.diff(cells, axis=0, prepend=0).tolist()
    return "".join(f"m{x} {y}{shape}" for x, y in steps).replace(" -", "-")
