"""Draw the full disclosure: the whole recording, compressed line by line, with ectopic beats in colour."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Analysis, BeatClass, Mask, Samples, Signal
from ectopy.report.beat_letters import shown_letters
from ectopy.report.signal_overview import SignalOverview
from ectopy.report.svg import COMMANDS, bars, joined, numbers, paths, quantiles
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
_LETTERS = tuple(map(str, (BeatClass.NORMAL, *COLOURED)))
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
    drawn = _paths(y, np.isfinite(overview.low), classes(analysis, overview), overview.line_bins)
    above, below = (
        _ticks(_r_peak_bins(analysis, overview, letter), top, overview.line_bins)
        for letter, top in ((BeatClass.VEB, 0), (BeatClass.SVEB, height - TICK))
    )
    not_read = covered(analysis.not_analysed[:, 0], analysis.not_analysed[:, 1], overview.edges)
    clock = Clock.of(analysis)
    lines = [
        Line(
            clock.short(line * overview.line_s),
            drawn.get(line, []),
            above.get(line, ""),
            below.get(line, ""),
            bars(not_read[first : first + overview.line_bins]),
        )
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
    bottom_mv = float(quantiles(low, CUT_OFF, axis=0)[0][0])
    top_mv = float(quantiles(high, 1 - CUT_OFF, axis=0)[0][0])
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
    medians = np.nan_to_num(quantiles(lines, 0.5, axis=1)[0])
    return np.asarray(np.broadcast_to(medians, lines.shape).ravel()[: len(middle)])


def _paths(y: Samples, present: Mask, shown: Samples, line_bins: int) -> dict[int, list[tuple[str, str]]]:
    """Draw bins with two heights each, [n_bins, 2]; return the paths of each line with their classes.

    The part of a line in one class begins where the part before it ends.
    """
    line, column = np.divmod(np.arange(len(y)), line_bins)
    follows = present & np.append(False, present[:-1]) & (column > 0)
    goes_on = follows & (shown == np.roll(shown, 1))
    is_merged, second = _merged(y, goes_on)
    heights = np.column_stack((np.roll(y[:, 1], 1), y[:, 0], second))
    points = np.stack((2 * column[:, None] + (-1, 0, 1), heights)).astype(np.int32)
    kept = np.column_stack((follows & ~goes_on, present & ~is_merged, present))

    number = len(_LETTERS) * line + shown  # of the path
    order = np.argsort(number, kind="stable")
    points, kept = points.take(order, axis=1).reshape(2, -1), kept.take(order, axis=0).ravel()
    n_before = np.cumsum(kept)[::3] - kept[::3]
    begins_here = (present & ~goes_on)[order]
    begins, number = n_before[begins_here], number[order][begins_here]
    opens = np.flatnonzero(np.diff(number, prepend=-1))
    drawn: dict[int, list[tuple[str, str]]] = {}
    for path, at in zip(
        paths(points.compress(kept, axis=1), begins, begins[opens]),
        number[opens].tolist(),
        strict=True,
    ):
        drawn.setdefault(at // len(_LETTERS), []).append((_LETTERS[at % len(_LETTERS)], path))
    return drawn


def _merged(y: Samples, goes_on: Mask) -> tuple[Mask, Samples]:
    """Merge neighbours of two bins that are a unit apart at most to one point, the outer one.

    Parameters
    ----------
    y
        The two heights of each bin, [n_bins, 2].
    goes_on
        Whether the line goes on from the bin before, [n_bins].

    Returns
    -------
    Which bins have no first point of their own, [n_bins], and the heights of the second points, [n_bins].
    """
    is_merged = goes_on & (np.abs(np.roll(y[:, 1], 1) - y[:, 0]) <= 1)
    at, second = np.flatnonzero(is_merged), y[:, 1].copy()
    ends, begins = y[at - 1, 1], y[at, 0]
    second[at - 1] = np.where(ends >= y[at - 1, 0], np.maximum(ends, begins), np.minimum(ends, begins))
    return is_merged, second


def _ticks(mask: Mask, top: int, line_bins: int) -> dict[int, str]:
    """Draw a tick for each bin; return a path per line with ticks.

    All ticks of a line but the first are placed from the end of the one before.
    """
    line, column = np.divmod(np.flatnonzero(mask), line_bins)
    first = np.flatnonzero(np.diff(line, prepend=-1))
    x = 2 * column + 1
    steps, before = np.diff(x, prepend=0), np.full(len(x), COMMANDS.index("m"))
    steps[first], before[first] = x[first], COMMANDS.index("M")
    rest = np.full(len(x), f"-{TICK}v{TICK}", dtype="S12")
    rest[first] = f" {top}v{TICK}".encode()
    text = np.column_stack((numbers(steps, before), rest))
    return dict(zip(line[first].tolist(), joined(text, first), strict=True))
