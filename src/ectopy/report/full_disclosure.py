"""Draw the full disclosure: the whole recording, compressed line by line, with ectopic beats in colour."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Analysis, BeatClass, Mask, Samples, Signal, true_intervals
from ectopy.report.beat_letters import shown_letters
from ectopy.report.signal_overview import SignalOverview
from ectopy.report.svg import bars, path, quantile
from ectopy.report.times import Clock

LINE_MM = 165.0
"""Width of a line on an A4 page in mm; on a screen, lines are as wide as the page."""
FEW_LINES = 60
TALL_MM, FLAT_MM = 7.0, 4.5
"""Height of a line in mm with at most FEW_LINES lines, and with more lines."""
CUT_OFF = 0.005
"""Share of the values that may be cut off at the top of a line, and at the bottom."""
MIN_HEIGHT_MV = 0.5
"""Minimum range of a line in mV, so that a flat lead is not magnified."""
BEAT_BEFORE_S, BEAT_AFTER_S = 0.15, 0.35
"""Seconds around an R peak that are drawn in the colour of its class; in long lines only its bin is."""
COLOURED = (BeatClass.UNKNOWN, BeatClass.FUSION, BeatClass.SVEB, BeatClass.VEB)
"""Where two classes fall into one bin, the later one in this order is shown. Paced beats have no colour."""
TICK = 5
"""Length of a tick in units: above the line for ventricular beats, below it for supraventricular beats."""


class Line(NamedTuple):
    """Line of the overview: its start, a path for each class that occurs, ticks, and unreadable intervals."""

    time: str
    paths: list[tuple[str, str]]
    above: str
    below: str
    unreadable: str


class Disclosure(NamedTuple):
    """Drawing in lines of ``line_s`` seconds, ``width`` by ``height`` units and ``height_mv`` mV high."""

    lead: str
    line_s: float
    width: int
    height: int
    height_mv: float
    lines: list[Line]


class _Bins(NamedTuple):
    """All bins of the recording, each with two heights from the top and the class that it shows.

    ``present`` is False where the signal of a bin is missing.
    """

    y: Samples
    present: Mask
    shown: Samples
    ticks: dict[BeatClass, Mask]
    unreadable: Mask


def full_disclosure(analysis: Analysis, overview: SignalOverview) -> Disclosure | None:
    """Draw the first analysed lead of the whole recording.

    Parameters
    ----------
    analysis
        The analysis of a recording.
    overview
        The extremes of the lead in each bin.

    Returns
    -------
    The drawing; None where every sample is missing.
    """
    if not np.isfinite(overview.low).any():
        return None
    n_lines = -(-len(overview.low) // overview.line_bins)
    width = 2 * overview.line_bins
    height = round((TALL_MM if n_lines <= FEW_LINES else FLAT_MM) / LINE_MM * width)
    y, height_mv = _heights(overview, height)
    bins = _Bins(
        y,
        np.isfinite(overview.low),
        classes(analysis, overview),
        {letter: _r_peak_bins(analysis, overview, letter) for letter in (BeatClass.VEB, BeatClass.SVEB)},
        covered(analysis.not_analysed[:, 0], analysis.not_analysed[:, 1], overview.edges),
    )
    clock = Clock.of(analysis)
    lines = [
        _line(bins, slice(first, first + overview.line_bins), clock.short(line * overview.line_s), height)
        for line, first in enumerate(range(0, len(overview.low), overview.line_bins))
    ]
    return Disclosure(analysis.leads[0], overview.line_s, width, height, height_mv, lines)


def _heights(overview: SignalOverview, height: int) -> tuple[Samples, float]:
    """Compute the heights of the extremes of each bin, [n_bins, 2], and the height of a line in mV.

    The order of the two extremes alternates: downwards in one bin, upwards in the next. The baseline of a
    line is its median. All lines have the same scale.
    """
    baseline = _baseline((overview.low + overview.high) / 2, overview.line_bins)
    low, high = overview.low - baseline, overview.high - baseline
    bottom_mv, top_mv = (
        float(quantile(low, CUT_OFF, axis=0)[0]),
        float(quantile(high, 1 - CUT_OFF, axis=0)[0]),
    )
    spare_mv = max(MIN_HEIGHT_MV - (top_mv - bottom_mv), 0.0)
    top_mv, height_mv = top_mv + spare_mv / 2, top_mv - bottom_mv + spare_mv
    mv = np.column_stack((high, low))
    mv[1::2] = mv[1::2, ::-1]
    y = np.round((top_mv - np.nan_to_num(mv)) * height / height_mv)
    return np.clip(y, 0, height).astype(np.int64), height_mv


def classes(analysis: Analysis, overview: SignalOverview) -> Samples:
    """Find the class that each bin shows.

    Parameters
    ----------
    analysis
        The analysis of a recording.
    overview
        The bins of the recording.

    Returns
    -------
    Positions in COLOURED, counted from 1, or 0 for none, [n_bins].
    """
    fine = overview.line_s / overview.line_bins < BEAT_BEFORE_S
    before, after = (round(reach_s * analysis.fs) if fine else 0 for reach_s in (BEAT_BEFORE_S, BEAT_AFTER_S))
    letters, shown = shown_letters(analysis), np.zeros(len(overview.low), dtype=np.int64)
    for number, letter in enumerate(COLOURED, 1):
        sample = analysis.beats.sample[letters == letter]
        shown[covered(sample - before, sample + after + 1, overview.edges)] = number
    return shown


def _r_peak_bins(analysis: Analysis, overview: SignalOverview, letter: BeatClass) -> Mask:
    """Find the bins that hold an R peak of one class."""
    sample = analysis.beats.sample[analysis.beats.label == letter]
    return covered(sample, sample + 1, overview.edges)


def covered(start: Samples, stop: Samples, edges: Samples) -> Mask:
    """Find the bins that half-open intervals reach into.

    Parameters
    ----------
    start, stop
        Starts and ends of the intervals in samples, [k].
    edges
        Edges of the bins in samples, [n_bins + 1].

    Returns
    -------
    A mask over the bins, [n_bins].
    """
    n_bins = len(edges) - 1
    first = np.clip(np.searchsorted(edges, start, side="right") - 1, 0, n_bins)
    last = np.clip(np.searchsorted(edges, stop, side="left"), 0, n_bins)
    steps = np.bincount(first, minlength=n_bins + 1) - np.bincount(last, minlength=n_bins + 1)
    return np.asarray(np.cumsum(steps)[:n_bins] > 0)


def _baseline(middle: NDArray[np.floating], line_bins: int) -> Signal:
    """Return the median of its line for each bin; 0 where a whole line is missing."""
    n_lines = -(-len(middle) // line_bins)
    lines = np.full((n_lines, line_bins), np.nan, dtype=np.float32)
    lines.ravel()[: len(middle)] = middle
    medians = np.nan_to_num(quantile(lines, 0.5, axis=1))
    return np.asarray(np.broadcast_to(medians, lines.shape).ravel()[: len(middle)])


def _line(bins: _Bins, part: slice, time: str, height: int) -> Line:
    y, present, shown = bins.y[part].ravel(), bins.present[part], bins.shown[part]
    letters = (BeatClass.NORMAL, *COLOURED)
    return Line(
        time,
        [
            (str(letters[number]), path(_pieces(y, present, shown == number)))
            for number in np.flatnonzero(np.bincount(shown[present])).tolist()
        ],
        _ticks(bins.ticks[BeatClass.VEB][part], 0),
        _ticks(bins.ticks[BeatClass.SVEB][part], height - TICK),
        bars(bins.unreadable[part]),
    )


def _pieces(y: Samples, present: Mask, in_class: Mask) -> Iterator[Samples]:
    """Yield the points of each part of a line in one class; it begins where the part before it ends."""
    points = np.column_stack((np.arange(len(y)), y))
    for start, stop in true_intervals(present & in_class).tolist():
        joined = start > 0 and bool(present[start - 1])
        yield _merged(points[2 * start - joined : 2 * stop], 1 + joined)


def _merged(points: Samples, second: int) -> Samples:
    """Return points in which neighbours of two bins that are a unit apart at most are one, the outer one.

    ``second`` is the position of the second point of the first bin.
    """
    last = np.arange(second, len(points) - 1, 2)
    last = last[np.abs(points[last, 1] - points[last + 1, 1]) <= 1]
    both, before = (points[last, 1], points[last + 1, 1]), points[last - 1, 1]
    points = points.copy()
    points[last, 1] = np.where(both[0] >= before, np.maximum(*both), np.minimum(*both))
    return np.delete(points, last + 1, axis=0)


def _ticks(mask: Mask, y: int) -> str:
    """Draw a tick for each bin; all but the first are placed from the end of the one before."""
    columns = 2 * np.flatnonzero(mask) + 1
    if not len(columns):
        return ""
    return f"M{columns[0]} {y}v{TICK}" + "".join(
        f"m{step}-{TICK}v{TICK}" for step in np.diff(columns).tolist()
    )
