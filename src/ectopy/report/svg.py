"""Turn numbers into SVG path data, which the templates put on the page.

Traces are in millimetres of ECG paper: 25 mm/s, 10 mm/mV. Trends have COLUMNS columns of equal time.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Mask, Samples, true_intervals

MM_PER_S = 25.0
MM_PER_MV = 10.0
STEP_MM = 0.1
"""Traces are drawn in steps of 10 uV or less: finer than a screen shows, and mostly one digit per element."""
MAX_OFF_MM = 0.07
"""A point so near to the line between its neighbours is left out: a quarter of the stroke of a trace."""
MAX_TRACE_HZ = 500.0
"""Above this sampling rate, a trace is reduced to the extremes of groups of samples."""
COLUMNS = 600
"""Width of the trends; no path of a trend has more elements."""

Values = NDArray[np.floating]


class Trace(NamedTuple):
    """Path of a lead, with x and y in units of ``unit_mm``; ``top_mm`` and ``bottom_mm`` are its extent.

    Both axes have the same unit, so that a stroke has the same width in both directions in every SVG viewer.
    """

    path: str
    unit_mm: float
    top_mm: float
    bottom_mm: float


def trace(lead: Values, fs: float, *, centred: bool = True) -> Trace:
    """Draw a lead.

    Parameters
    ----------
    lead
        Signal in mV, [n]; missing samples (NaN) leave a gap.
    fs
        Sampling rate in Hz.
    centred
        Whether the median of the lead is the baseline, instead of 0 mV.

    Returns
    -------
    The trace.
    """
    lead, fs = thin(lead, fs)
    unit_mm, step = units(fs)
    present = np.isfinite(lead)
    if not present.any():
        return Trace("", unit_mm, 0.0, 0.0)
    up_mm = (lead - (np.median(lead[present]) if centred else 0)) * MM_PER_MV
    y = np.round(-np.where(present, up_mm, 0) / unit_mm).astype(np.int64)
    points = np.column_stack((step * np.arange(len(y)), y))
    drawn = path(simplified(points[start:stop], unit_mm) for start, stop in true_intervals(present).tolist())
    return Trace(drawn, unit_mm, float(y.min()) * unit_mm, float(y.max()) * unit_mm)


def band(low: Values, high: Values, fs: float) -> str:
    """Draw the area between two lines.

    Parameters
    ----------
    low, high
        The lines in mV, [n]; NaN leaves a gap.
    fs
        Sampling rate in Hz.

    Returns
    -------
    An SVG path in the units of a :func:`trace`.
    """
    unit_mm, step = units(fs)
    top, bottom = (
        np.round(-np.nan_to_num(line) * MM_PER_MV / unit_mm).astype(np.int64) for line in (high, low)
    )
    x = step * np.arange(len(low))
    there, back = (np.column_stack((x, line)) for line in (top, bottom))
    outlines = (
        (simplified(there[start:stop], unit_mm), simplified(back[start:stop], unit_mm)[::-1])
        for start, stop in true_intervals(np.isfinite(low) & np.isfinite(high)).tolist()
    )
    return "".join(path([np.concatenate(outline)]) + "z" for outline in outlines)


def units(fs: float) -> tuple[float, int]:
    """Return the unit of a trace in mm, and the number of units from one sample to the next."""
    step = int(np.ceil(MM_PER_S / fs / STEP_MM))
    return MM_PER_S / fs / step, step


def path(pieces: Iterable[Samples]) -> str:
    """Draw lines; a single point is drawn as a dash.

    Parameters
    ----------
    pieces
        The points (x, y) of each line, integers, [n, 2].

    Returns
    -------
    An SVG path. All but its first point are relative, which takes a digit or two in place of four.
    """
    elements, at = [], None
    for points in pieces:
        move = "M{} {}".format(*points[0]) if at is None else "m{} {}".format(*(points[0] - at))
        steps = np.diff(points, axis=0) if len(points) > 1 else np.array([[1, 0]])
        elements += [move, "l", " ".join(map(str, steps.ravel().tolist()))]
        at = points[0] + steps.sum(axis=0)
    return "".join(elements).replace(" -", "-")


def simplified(points: Samples, unit_mm: float) -> Samples:
    """Leave out points that lie on the line between their neighbours.

    Parameters
    ----------
    points
        The points (x, y) of a line, [n, 2].
    unit_mm
        Their unit in mm.

    Returns
    -------
    The other points. Of every four in a row one stays at least, and what is left out lies within twice
    MAX_OFF_MM of the line.
    """
    for _ in range(2):
        odd = np.arange(1, len(points) - 1, 2)
        (x0, y0), (x, y), (x1, y1) = (points[odd + step].T for step in (-1, 0, 1))
        off = np.abs(y0 + (y1 - y0) * (x - x0) / (x1 - x0) - y)
        points = np.delete(points, odd[off * unit_mm <= MAX_OFF_MM], axis=0)
    return points


def thin(lead: Values, fs: float) -> tuple[Values, float]:
    """Reduce a lead to the extremes of groups of samples, in order, if its rate exceeds MAX_TRACE_HZ.

    Parameters
    ----------
    lead
        Signal, [n].
    fs
        Sampling rate in Hz.

    Returns
    -------
    The reduced signal and its sampling rate.
    """
    group = int(np.ceil(2 * fs / MAX_TRACE_HZ))
    if fs <= MAX_TRACE_HZ or len(lead) < group:
        return lead, fs
    groups = lead[: len(lead) // group * group].reshape(-1, group)
    ends = np.sort(np.column_stack((groups.argmin(axis=1), groups.argmax(axis=1))), axis=1)
    return np.take_along_axis(groups, ends, axis=1).ravel(), 2 * fs / group


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
    present = np.isfinite(value)
    column, value = _column(time_s[present], duration_s), value[present]
    reduced = Envelope(*np.full((3, COLUMNS), np.nan))
    if not len(value):
        return reduced
    filled, first = np.unique(column, return_index=True)
    reduced.low[filled] = np.minimum.reduceat(value, first)
    reduced.high[filled] = np.maximum.reduceat(value, first)
    reduced.mean[filled] = np.add.reduceat(value, first) / np.diff(first, append=len(value))
    return reduced


def line_path(y: Values) -> str:
    """Draw a line through the middle of each column; NaN interrupts it. Return an SVG path."""
    return "".join(
        "M" + "L".join(f"{x + 0.5:g} {y[x]:.1f}" for x in range(start, stop)) + f"H{stop}"
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
    return "".join(
        f"M{start} "
        + "V".join(f"{high[x]:.1f}h1" for x in range(start, stop))
        + "V"
        + "V".join(f"{low[x]:.1f}h-1" for x in range(stop - 1, start - 1, -1))
        + "z"
        for start, stop in true_intervals(np.isfinite(low)).tolist()
    )


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


def quantile(values: Values, share: float, *, axis: int) -> Values:
    """Compute a quantile without interpolation, from the values that are not missing (NaN).

    Parameters
    ----------
    values
        The values, of any shape.
    share
        Share of the values below the quantile, 0 to 1.
    axis
        The axis to reduce.

    Returns
    -------
    The quantiles; ``axis`` is kept with a length of 1.
    """
    n_present = np.isfinite(values).sum(axis=axis, keepdims=True)
    rank = np.maximum(np.round(share * (n_present - 1)).astype(np.intp), 0)
    return np.take_along_axis(np.sort(values, axis=axis), rank, axis=axis)  # NaN is sorted last


def _column(time_s: Values, duration_s: float) -> Samples:
    share = np.asarray(time_s) / duration_s
    return np.clip((share * COLUMNS).astype(np.int64), 0, COLUMNS - 1)
