"""Numbers -> SVG path data; the templates put it on the page.

Traces are in millimetres of ECG paper: 25 mm/s, 10 mm/mV.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Mask, Samples, true_intervals

MM_PER_S = 25.0
MM_PER_MV = 10.0
STEP_MM = 0.1
"""Traces are drawn in steps of 10 uV or less: finer than a screen shows, and mostly one digit an element."""
MOST_HZ = 500.0
"""Above this rate a trace is thinned to the extremes of short stretches."""
COLUMNS = 600
"""Width of the trends; no path there has more elements."""

Values = NDArray[np.floating]


class Trace(NamedTuple):
    """Path of a lead; its x and y count ``unit_mm``, ``top_mm`` and ``bottom_mm`` are its extent.

    One unit for both: a stroke is then as wide across as along in every reader of SVG.
    """

    path: str
    unit_mm: float
    top_mm: float
    bottom_mm: float


def trace(lead: Values, fs: float, *, centred: bool = True) -> Trace:
    """Draw a lead in mV, [n], its median at 0 where ``centred``; missing samples (NaN) leave a gap."""
    lead, fs = thin(lead, fs)
    unit_mm, step = units(fs)
    seen = np.isfinite(lead)
    if not seen.any():
        return Trace("", unit_mm, 0.0, 0.0)
    up_mm = (lead - (np.median(lead[seen]) if centred else 0)) * MM_PER_MV
    y = np.round(-np.where(seen, up_mm, 0) / unit_mm).astype(np.int64)
    path = "".join(
        polyline(start * step, y[start:stop], step=step) for start, stop in true_intervals(seen).tolist()
    )
    return Trace(path, unit_mm, float(y.min()) * unit_mm, float(y.max()) * unit_mm)


def band(low: Values, high: Values, fs: float) -> str:
    """Path of the area between two lines in mV, [n], in the units of a :func:`trace`."""
    unit_mm, step = units(fs)
    top, bottom = (
        np.round(-np.nan_to_num(line) * MM_PER_MV / unit_mm).astype(np.int64) for line in (high, low)
    )
    return "".join(
        f"{polyline(start * step, top[start:stop], step=step)}"
        f"L{polyline((stop - 1) * step, bottom[start:stop][::-1], step=-step)[1:]}z"
        for start, stop in true_intervals(np.isfinite(low) & np.isfinite(high)).tolist()
    )


def units(fs: float) -> tuple[float, int]:
    """Size of a unit of a trace, and the units from one sample to the next."""
    step = int(np.ceil(MM_PER_S / fs / STEP_MM))
    return MM_PER_S / fs / step, step


def polyline(x: int, y: Samples, *, step: int = 1) -> str:
    """Path through whole heights at every ``step`` from ``x`` on; a lone one is a dash."""
    steps = f" {step} ".join(map(str, np.diff(y).tolist()))
    return f"M{x} {y[0]}" + (f"l{step} {steps}".replace(" -", "-") if steps else f"h{step}")


def thin(lead: Values, fs: float) -> tuple[Values, float]:
    """Keep the extremes of every few samples, in order, where the rate exceeds MOST_HZ."""
    few = int(np.ceil(2 * fs / MOST_HZ))
    if fs <= MOST_HZ or len(lead) < few:
        return lead, fs
    groups = lead[: len(lead) // few * few].reshape(-1, few)
    ends = np.sort(np.column_stack((groups.argmin(axis=1), groups.argmax(axis=1))), axis=1)
    return np.take_along_axis(groups, ends, axis=1).ravel(), 2 * fs / few


def occupied(onset_s: Values, offset_s: Values, duration_s: float) -> Mask:
    """Columns of a trend that events reach into."""
    first, last = (_column(edge, duration_s) for edge in (onset_s, offset_s))
    steps = np.bincount(first, minlength=COLUMNS + 1) - np.bincount(last + 1, minlength=COLUMNS + 1)
    return np.asarray(np.cumsum(steps)[:COLUMNS] > 0)


def bars(mask: Mask) -> str:
    """Path of the True columns as bars from 0 to 1."""
    return "".join(f"M{start} 0h{stop - start}v1H{start}z" for start, stop in true_intervals(mask).tolist())


class Envelope(NamedTuple):
    """Least, mean and greatest value in each column of a trend; NaN where there is none."""

    low: Values
    mean: Values
    high: Values


def envelope(time_s: Values, value: Values, duration_s: float) -> Envelope:
    """Reduce values at rising times to the columns of a trend; NaN values count for nothing."""
    known = np.isfinite(value)
    column, value = _column(time_s[known], duration_s), value[known]
    reduced = Envelope(*np.full((3, COLUMNS), np.nan))
    if not len(value):
        return reduced
    there, first = np.unique(column, return_index=True)
    reduced.low[there] = np.minimum.reduceat(value, first)
    reduced.high[there] = np.maximum.reduceat(value, first)
    reduced.mean[there] = np.add.reduceat(value, first) / np.diff(first, append=len(value))
    return reduced


def line_path(y: Values) -> str:
    """Path through the middle of each column; NaN interrupts it."""
    return "".join(
        "M" + "L".join(f"{x + 0.5:g} {y[x]:.1f}" for x in range(start, stop)) + f"H{stop}"
        for start, stop in true_intervals(np.isfinite(y)).tolist()
    )


def through(time_s: Values, y: Values, duration_s: float) -> str:
    """Path through values at rising times, as wide as the columns; NaN interrupts it."""
    x = COLUMNS * time_s / duration_s
    return "".join(
        "M" + "L".join(f"{x[at]:.1f} {y[at]:.1f}" for at in range(start, stop))
        for start, stop in true_intervals(np.isfinite(y)).tolist()
    )


def band_path(low: Values, high: Values) -> str:
    """Area between two lines, a step a column."""
    return "".join(
        "M"
        + "L".join(f"{x} {high[x]:.1f}h1" for x in range(start, stop))
        + "L"
        + "L".join(f"{x + 1} {low[x]:.1f}h-1" for x in range(stop - 1, start - 1, -1))
        + "z"
        for start, stop in true_intervals(np.isfinite(low)).tolist()
    )


def histogram(time_s: Values, duration_s: float, n_bars: int = 120) -> tuple[str, int]:
    """Path of counts in bars of equal time, the highest reaching from 1 up to 0, and the highest count."""
    counts = np.histogram(time_s, bins=n_bars, range=(0, max(duration_s, 1e-9)))[0]
    most = int(counts.max())
    width = COLUMNS / n_bars
    path = "".join(
        f"M{bar * width:g} 1V{1 - counts[bar] / most:.2f}h{width:g}V1z" for bar in np.flatnonzero(counts)
    )
    return path, most


def quantile(values: Values, share: float, *, axis: int) -> Values:
    """Element below which a share of the others lies, missing ones left out; the axis keeps a length of 1."""
    known = np.isfinite(values).sum(axis=axis, keepdims=True)
    at = np.maximum(np.round(share * (known - 1)).astype(np.intp), 0)
    return np.take_along_axis(np.sort(values, axis=axis), at, axis=axis)  # NaN is sorted last


def _column(time_s: Values, duration_s: float) -> Samples:
    share = np.asarray(time_s) / duration_s
    return np.clip((share * COLUMNS).astype(np.int64), 0, COLUMNS - 1)
