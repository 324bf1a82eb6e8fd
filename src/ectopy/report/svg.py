"""Turn numbers into SVG path data, which the templates put on the page.

Traces are in millimetres of ECG paper: 25 mm/s, 10 mm/mV. Trends have COLUMNS columns of equal time.
"""

from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ectopy import compiled
from ectopy.ecg import Mask, Samples, true_intervals
from ectopy.signal.rolling import parts_in_context

MM_PER_S = 25.0
MM_PER_MV = 10.0
STEP_MM = 0.1
"""Traces are drawn in steps of 10 uV or less: finer than a screen shows, and mostly one digit per element."""
MAX_OFF_MM = 0.07
"""A point so near to the line between its neighbours is left out: a quarter of the stroke of a trace."""
COMMANDS = " mlMh"
"""What may stand before a number in a path: a space, or the command whose first number it is."""
_FROM_FIRST = np.zeros(1, dtype=np.int64)
MAX_UNITS = 4999
"""A trace is cut off this far from its baseline: pictures are far lower, and steps have four digits."""
MAX_TRACE_HZ = 500.0
"""Above this sampling rate, a trace is reduced to the extremes of groups of samples."""
COLUMNS = 600
"""Width of the trends; no path of a trend has more elements."""

Values = NDArray[np.floating]
Points = NDArray[np.int32]
"""Points of lines, one line after another, [2, n]: x and y as whole numbers of units."""


class Trace(NamedTuple):
    """Path of a lead, with x and y in units of ``unit_mm``; ``top_mm`` and ``bottom_mm`` are its extent.

    Both axes have the same unit, so that a stroke has the same width in both directions in every SVG viewer.
    """

    path: str
    unit_mm: float
    top_mm: float
    bottom_mm: float


def traces(leads: Values, fs: float, *, centred: bool = True) -> list[Trace]:
    """Draw leads.

    Parameters
    ----------
    leads
        Signal in mV, [n_leads, n]; missing samples (NaN) leave a gap.
    fs
        Sampling rate in Hz.
    centred
        Whether the median of a lead is its baseline, instead of 0 mV.

    Returns
    -------
    The trace of each lead.
    """
    leads, fs = thin(leads, fs)
    unit_mm, step = units(fs)
    present = np.isfinite(leads)
    up_mm = (leads - np.nan_to_num(median(leads)) if centred else leads) * MM_PER_MV
    y = _down(up_mm, unit_mm)
    points, begins, opens = _lines(y, present, step)
    first = np.searchsorted(begins, opens)
    points, begins = simplified(points, begins, unit_mm)
    drawn = iter(paths(points, begins, begins[first]))
    extents_mm = [(float(lead.min()) * unit_mm, float(lead.max()) * unit_mm) for lead in y]
    return [
        Trace(next(drawn) if is_present.any() else "", unit_mm, *extent_mm)
        for is_present, extent_mm in zip(present, extents_mm, strict=True)
    ]


def _down(up_mm: Values, unit_mm: float) -> Points:
    """Return heights in units, downwards as in SVG; 0 where they are missing."""
    units_up = np.nan_to_num(up_mm / unit_mm, posinf=0, neginf=0)
    return np.asarray(-np.round(units_up).clip(-MAX_UNITS, MAX_UNITS), dtype=np.int32)


def _lines(y: Points, present: Mask, step: int) -> tuple[Points, Samples, Samples]:
    """Return the points of some leads, the first of each line, and the first of each lead that has one."""
    x = np.broadcast_to(step * np.arange(y.shape[1], dtype=np.int32), y.shape)
    begin = present.copy()
    begin[:, 1:] &= ~present[:, :-1]
    n_points = present.sum(axis=1)
    opens = (np.cumsum(n_points) - n_points)[n_points > 0]
    return np.stack((x[present], y[present])), np.flatnonzero(begin[present]), opens


def bands(low: Values, high: Values, fs: float) -> list[str]:
    """Draw the areas between pairs of lines.

    Parameters
    ----------
    low, high
        The lines in mV, [k, n]; NaN leaves a gap.
    fs
        Sampling rate in Hz.

    Returns
    -------
    An SVG path for each pair, in the units of :func:`traces`.
    """
    (low, thin_fs), (high, _) = thin(low, fs), thin(high, fs)
    unit_mm, step = units(thin_fs)
    present = np.isfinite(low) & np.isfinite(high)
    if not present.any():
        return [""] * len(low)
    lines = (_lines(_down(line * MM_PER_MV, unit_mm), present, step)[:2] for line in (high, low))
    there, back = (
        np.split(points, begins[1:], axis=1)
        for points, begins in (simplified(*line, unit_mm) for line in lines)
    )
    outlines = [np.concatenate((one, other[:, ::-1]), axis=1) for one, other in zip(there, back, strict=True)]
    begins = np.cumsum([0, *(outline.shape[1] for outline in outlines[:-1])])
    drawn = iter(paths(np.concatenate(outlines, axis=1), begins, begins))
    n_outlines = present[:, 0] + (present[:, 1:] & ~present[:, :-1]).sum(axis=1)
    return ["".join(f"{next(drawn)}z" for _ in range(number)) for number in n_outlines.tolist()]


def units(fs: float) -> tuple[float, int]:
    """Return the unit of a trace in mm, and the number of units from one sample to the next."""
    step = int(np.ceil(MM_PER_S / fs / STEP_MM))
    return MM_PER_S / fs / step, step


def paths(points: Points, begins: Samples, opens: Samples) -> list[str]:
    """Draw lines, many at once; a single point is drawn as a dash.

    Parameters
    ----------
    points
        The points of all lines.
    begins
        The first point of each line, rising from 0, [k].
    opens
        The first point of each path, some of ``begins`` from 0 on, [n_paths].

    Returns
    -------
    The SVG paths. All but the first point of each are relative, which takes a digit or two in place of four.
    """
    if compiled.is_compiled():
        return compiled.path_data(points, begins, opens)
    single = begins[np.diff(begins, append=points.shape[1]) == 1]
    if len(single):
        points = np.insert(points, single + 1, points[:, single] + [[1], [0]], axis=1)
        begins, opens = (first + np.searchsorted(single, first) for first in (begins, opens))
    steps = np.diff(points, axis=1, prepend=0)
    steps[:, opens] = points[:, opens]
    before = np.zeros(points.shape[1], dtype=np.intp)
    for command, where in (("m", begins), ("l", begins + 1), ("M", opens)):
        before[where] = COMMANDS.index(command)
    return joined(np.stack((numbers(steps[0], before), numbers(steps[1])), axis=1), opens)


def numbers(values: NDArray[np.integer], before: Samples | int = 0) -> NDArray[np.bytes_]:
    """Return numbers as they stand in a path, each looked up in a table.

    Parameters
    ----------
    values
        Integers, of any shape.
    before
        What stands before each number, as an index of COMMANDS. A minus sign replaces a space.

    Returns
    -------
    Text of the shape of ``values``.
    """
    digits = len(str(np.abs(values).max(initial=0)))
    return np.asarray(_table(digits)[before, values + 10**digits])


@lru_cache
def _table(digits: int) -> NDArray[np.bytes_]:
    """Return all numbers of so many digits after each of COMMANDS, [n_commands, 2 * 10**digits]."""
    every = np.arange(-(10**digits), 10**digits).astype(f"S{digits + 2}")
    letters = np.zeros((len(COMMANDS), len(every), 1 + every.itemsize), dtype=np.uint8)
    letters[..., 0] = np.frombuffer(COMMANDS.encode(), dtype=np.uint8)[:, None]
    letters[..., 1:] = every.view(np.uint8).reshape(len(every), -1)
    letters[COMMANDS.index(" "), : 10**digits, 0] = 0  # which is left out when the text is joined
    return letters.view(f"S{letters.shape[-1]}")[..., 0]


def joined(text: NDArray[np.bytes_], opens: Samples) -> list[str]:
    """Join the rows of a text from each of some rows up to the next.

    Parameters
    ----------
    text
        Pieces of text, [n, k]; numpy fills them up with zero bytes.
    opens
        The first row of each part, rising, [n_parts].

    Returns
    -------
    The text of each part.
    """
    bounds = pairwise([*opens.tolist(), len(text)])
    return [text[start:stop].tobytes().translate(None, b"\0").decode() for start, stop in bounds]


def simplified(points: Points, begins: Samples, unit_mm: float) -> tuple[Points, Samples]:
    """Leave out points that lie on the line between their neighbours.

    Parameters
    ----------
    points
        The points of all lines.
    begins
        The first point of each line, rising from 0, [k].
    unit_mm
        The unit of the points in mm.

    Returns
    -------
    The other points, and the first of each line. Of every four points in a row one stays at least, and what
    is left out lies within twice MAX_OFF_MM of the line.
    """
    for _ in range(2):
        n = points.shape[1]
        kept = np.arange(n) - np.repeat(begins, np.diff(begins, append=n)) & 1 == 0
        kept[begins[1:] - 1] = kept[-1:] = True
        dx, dy = np.diff(points, axis=1)
        across = np.abs(dy[:-1] * dx[1:] - dy[1:] * dx[:-1])
        kept[1:-1] |= across * np.float32(unit_mm / MAX_OFF_MM) > dx[:-1] + dx[1:]
        points, begins = points.compress(kept, axis=1), np.cumsum(kept)[begins] - 1
    return points, begins


def thin(leads: Values, fs: float) -> tuple[Values, float]:
    """Reduce leads to the extremes of groups of samples, in order, if their rate exceeds MAX_TRACE_HZ.

    Parameters
    ----------
    leads
        Signal, [..., n].
    fs
        Sampling rate in Hz.

    Returns
    -------
    The reduced signal and its sampling rate.
    """
    group, n = int(np.ceil(2 * fs / MAX_TRACE_HZ)), leads.shape[-1]
    if fs <= MAX_TRACE_HZ or n < group:
        return leads, fs
    groups = leads[..., : n // group * group].reshape(*leads.shape[:-1], -1, group)
    ends = np.sort(np.stack((groups.argmin(axis=-1), groups.argmax(axis=-1)), axis=-1))
    return np.take_along_axis(groups, ends, axis=-1).reshape(*leads.shape[:-1], -1), 2 * fs / group


def occupied(onset_s: Values, offset_s: Values, duration_s: float) -> Mask:
    """Find the columns of a trend that events reach into.

    Parameters
    ----------
    onset_s, offset_s
        Starts and ends of the events in seconds, [k].
    duration_s
        Length of the recording in seconds.

    Returns
    -------
    A mask over the columns, [COLUMNS].
    """
    first, last = (_column(edge, duration_s) for edge in (onset_s, offset_s))
    steps = np.bincount(first, minlength=COLUMNS + 1) - np.bincount(last + 1, minlength=COLUMNS + 1)
    return np.asarray(np.cumsum(steps)[:COLUMNS] > 0)


def bars(mask: Mask) -> str:
    """Draw the True columns as bars from 0 to 1; return an SVG path."""
    return "".join(f"M{start} 0h{stop - start}v1H{start}z" for start, stop in true_intervals(mask).tolist())


class Envelope(NamedTuple):
    """Lowest, mean and highest value in each column of a trend; NaN where there is none."""

    low: Values
    mean: Values
    high: Values


def envelope(time_s: Values, value: Values, duration_s: float) -> Envelope:
    """Reduce values to the columns of a trend.

    Parameters
    ----------
    time_s
        Times of the values in seconds, rising, [n].
    value
        The values, [n]; NaN is left out.
    duration_s
        Length of the recording in seconds.

    Returns
    -------
    Lowest, mean and highest value of each column, [COLUMNS] each.
    """
    present, reduced = np.isfinite(value), Envelope(*np.full((3, COLUMNS), np.nan))
    time_s, value = time_s[present], value[present]
    if not len(value):
        return reduced
    column = np.empty(len(value), dtype=np.int16)
    for part in parts_in_context(len(value), 0):
        column[part.core] = _column(time_s[part.core], duration_s)
    first = np.flatnonzero(np.diff(column, prepend=np.int16(-1)))
    filled = column[first]
    reduced.low[filled] = np.minimum.reduceat(value, first)
    reduced.high[filled] = np.maximum.reduceat(value, first)
    reduced.mean[filled] = np.add.reduceat(value, first) / np.diff(first, append=len(value))
    return reduced


def line_path(y: Values) -> str:
    """Draw a line through the middle of each column; NaN interrupts it. Return an SVG path."""
    middles = [f"L{column}.5 ".encode() for column in range(len(y))]
    text = np.column_stack((middles, _tenths(y)))
    return "".join(
        f"M{joined(text[start:stop], _FROM_FIRST)[0][1:]}H{stop}"
        for start, stop in true_intervals(np.isfinite(y)).tolist()
    )


def through(time_s: Values, y: Values, duration_s: float) -> str:
    """Draw a line through values at their times.

    Parameters
    ----------
    time_s
        Times of the values in seconds, rising, [n].
    y
        The values, [n]; NaN interrupts the line.
    duration_s
        Length of the recording in seconds, drawn COLUMNS wide.

    Returns
    -------
    An SVG path.
    """
    x = COLUMNS * time_s / duration_s
    return "".join(
        "M" + "L".join(f"{x[i]:.1f} {y[i]:.1f}" for i in range(start, stop))
        for start, stop in true_intervals(np.isfinite(y)).tolist()
    )


def band_path(low: Values, high: Values) -> str:
    """Draw the area between two stepped lines, one step per column.

    Parameters
    ----------
    low, high
        Heights of the lines in each column, [COLUMNS]; NaN leaves a gap.

    Returns
    -------
    An SVG path.
    """
    there, back = _tenths(high, "V{}h1"), _tenths(low, "V{}h-1")[::-1]
    n = len(low)
    return "".join(
        f"M{start} {joined(there[start:stop], _FROM_FIRST)[0][1:]}"
        f"{joined(back[n - stop : n - start], _FROM_FIRST)[0]}z"
        for start, stop in true_intervals(np.isfinite(low)).tolist()
    )


def _tenths(y: Values, text: str = "{}") -> NDArray[np.bytes_]:
    """Return heights in a trend in a text, with one digit after the point; a number for a missing one."""
    return np.asarray(_heights(text)[np.round(10 * np.nan_to_num(y)).clip(0, 1000).astype(np.intp)])


@lru_cache
def _heights(text: str) -> NDArray[np.bytes_]:
    """Return the heights from 0 to 100 in steps of 0.1, each in the text."""
    return np.array([text.format(f"{height / 10:.1f}") for height in range(1001)], dtype=bytes)


def histogram(time_s: Values, duration_s: float, n_bars: int = 120) -> tuple[str, int]:
    """Draw how many events happen in bars of equal time; the highest bar reaches from 1 up to 0.

    Parameters
    ----------
    time_s
        Times of the events in seconds, [n].
    duration_s
        Length of the recording in seconds.
    n_bars
        Number of bars.

    Returns
    -------
    An SVG path, and the highest count.
    """
    counts = np.histogram(time_s, bins=n_bars, range=(0, max(duration_s, 1e-9)))[0]
    most = int(counts.max())
    width = COLUMNS / n_bars
    path = "".join(
        f"M{bar * width:g} 1V{1 - counts[bar] / most:.2f}h{width:g}V1z" for bar in np.flatnonzero(counts)
    )
    return path, most


def quantiles(values: Values, *shares: float, axis: int) -> list[Values]:
    """Compute quantiles without interpolation, from the values that are not missing (NaN).

    Parameters
    ----------
    values
        The values, of any shape.
    shares
        Shares of the values below the quantiles, 0 to 1.
    axis
        The axis to reduce.

    Returns
    -------
    One array for each share; ``axis`` is kept with a length of 1.
    """
    ordered = np.sort(values, axis=axis)  # NaN is sorted last
    last = np.isfinite(values).sum(axis=axis, keepdims=True) - 1
    ranks = (np.maximum(np.round(share * last).astype(np.intp), 0) for share in shares)
    return [np.take_along_axis(ordered, rank, axis=axis) for rank in ranks]


def median(values: Values) -> Values:
    """Compute the median of each row, from the values that are not missing (NaN), [n_rows, 1]."""
    ordered = np.sort(values, axis=1)
    n_present = np.isfinite(values).sum(axis=1, keepdims=True)
    middle = [
        np.take_along_axis(ordered, rank // 2, axis=1) for rank in (np.maximum(n_present - 1, 0), n_present)
    ]
    return np.asarray((middle[0] + middle[1]) / 2)


def _column(time_s: Values, duration_s: float) -> Samples:
    share = np.asarray(time_s) / duration_s
    return np.clip((share * COLUMNS).astype(np.int64), 0, COLUMNS - 1)
