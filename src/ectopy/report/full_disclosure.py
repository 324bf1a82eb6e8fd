"""The whole recording at a glance: line by line, compressed, its ectopic beats told apart."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Analysis, BeatClass, Mask, Samples, Signal, true_intervals
from ectopy.report.signal_overview import SignalOverview
from ectopy.report.svg import bars, polyline, quantile
from ectopy.report.times import Clock

LINE_MM = 165.0
"""Width of a line on an A4 page; on a screen lines are as wide as the page."""
FEW_LINES = 60
TALL_MM, FLAT_MM = 7.0, 4.5
"""Height of a line where they are few, and where they are many."""
CUT_OFF = 0.005
"""Share of the heights that need not find room, above and below each."""
LEAST_REACH_MV = 0.5
BEAT_BEFORE_S, BEAT_AFTER_S = 0.15, 0.35
"""So much about an R peak bears the colour of its class, where a line shows that much."""
COLOURED = (BeatClass.UNKNOWN, BeatClass.FUSION, BeatClass.SVEB, BeatClass.VEB)
"""Where two meet in one bin the later in this order is shown."""
TICK = 5
"""Length of a tick in units: ventricular beats above, supraventricular ones below."""


class Line(NamedTuple):
    """One line: when it begins, a path for each class that is found there, ticks, what is unreadable."""

    time: str
    paths: list[tuple[str, str]]
    above: str
    below: str
    unreadable: str


class Disclosure(NamedTuple):
    """Lines of ``line_s``, ``width`` by ``height`` units each; a line is ``height_mv`` high."""

    lead: str
    line_s: float
    width: int
    height: int
    height_mv: float
    lines: list[Line]


class _Bins(NamedTuple):
    """All bins of the recording: two heights each, from the top; what was seen, and the class shown."""

    y: Samples
    seen: Mask
    shown: Samples
    ticks: dict[BeatClass, Mask]
    unreadable: Mask


def full_disclosure(analysis: Analysis, walked: SignalOverview) -> Disclosure | None:
    """Draw the first analysed lead from its extremes; None where every sample is missing."""
    if not np.isfinite(walked.low).any():
        return None
    n_lines = -(-len(walked.low) // walked.line_bins)
    width = 2 * walked.line_bins
    height = round((TALL_MM if n_lines <= FEW_LINES else FLAT_MM) / LINE_MM * width)
    y, height_mv = heights(walked, height)
    bins = _Bins(
        y,
        np.isfinite(walked.low),
        classes(analysis, walked),
        {letter: at_beats(analysis, walked, letter) for letter in (BeatClass.VEB, BeatClass.SVEB)},
        covered(analysis.unreadable[:, 0], analysis.unreadable[:, 1], walked.edges),
    )
    clock = Clock(analysis.start)
    lines = [
        _line(bins, slice(first, first + walked.line_bins), clock.time(line * walked.line_s), height)
        for line, first in enumerate(range(0, len(walked.low), walked.line_bins))
    ]
    return Disclosure(analysis.leads[0], walked.line_s, width, height, height_mv, lines)


def heights(walked: SignalOverview, height: int) -> tuple[Samples, float]:
    """Place the extremes of each bin, [n_bins, 2], in turns downwards and upwards; how many mV a line shows.

    Each line has its own baseline, its median, and all have one scale.
    """
    baseline = _baseline((walked.low + walked.high) / 2, walked.line_bins)
    low, high = walked.low - baseline, walked.high - baseline
    bottom_mv, top_mv = (
        float(quantile(low, CUT_OFF, axis=0)[0]),
        float(quantile(high, 1 - CUT_OFF, axis=0)[0]),
    )
    spare_mv = max(LEAST_REACH_MV - (top_mv - bottom_mv), 0.0)
    top_mv, height_mv = top_mv + spare_mv / 2, top_mv - bottom_mv + spare_mv
    mv = np.column_stack((high, low))
    mv[1::2] = mv[1::2, ::-1]
    y = np.round((top_mv - np.nan_to_num(mv)) * height / height_mv)
    return np.clip(y, 0, height).astype(np.int64), height_mv


def classes(analysis: Analysis, walked: SignalOverview) -> Samples:
    """Which of COLOURED, counted from 1, a bin shows; 0 for none."""
    fine = walked.line_s / walked.line_bins < BEAT_BEFORE_S
    before, after = (round(reach_s * analysis.fs) if fine else 0 for reach_s in (BEAT_BEFORE_S, BEAT_AFTER_S))
    shown = np.zeros(len(walked.low), dtype=np.int64)
    for number, letter in enumerate(COLOURED, 1):
        sample = analysis.beats.sample[analysis.beats.label == letter]
        shown[covered(sample - before, sample + after + 1, walked.edges)] = number
    return shown


def at_beats(analysis: Analysis, walked: SignalOverview, letter: BeatClass) -> Mask:
    """Bins that hold an R peak of one class."""
    sample = analysis.beats.sample[analysis.beats.label == letter]
    return covered(sample, sample + 1, walked.edges)


def covered(start: Samples, stop: Samples, edges: Samples) -> Mask:
    """Bins that half-open stretches reach into."""
    n_bins = len(edges) - 1
    first = np.clip(np.searchsorted(edges, start, side="right") - 1, 0, n_bins)
    last = np.clip(np.searchsorted(edges, stop, side="left"), 0, n_bins)
    steps = np.bincount(first, minlength=n_bins + 1) - np.bincount(last, minlength=n_bins + 1)
    return np.asarray(np.cumsum(steps)[:n_bins] > 0)


def _baseline(middle: NDArray[np.floating], line_bins: int) -> Signal:
    """Give each bin the median of its line; 0 where a whole line is missing."""
    n_lines = -(-len(middle) // line_bins)
    lines = np.full((n_lines, line_bins), np.nan, dtype=np.float32)
    lines.ravel()[: len(middle)] = middle
    medians = np.nan_to_num(quantile(lines, 0.5, axis=1))
    return np.asarray(np.broadcast_to(medians, lines.shape).ravel()[: len(middle)])


def _line(bins: _Bins, part: slice, time: str, height: int) -> Line:
    y, seen, shown = bins.y[part].ravel(), bins.seen[part], bins.shown[part]
    letters = (BeatClass.NORMAL, *COLOURED)
    return Line(
        time,
        [
            (str(letters[number]), "".join(_pieces(y, seen, shown == number)))
            for number in np.flatnonzero(np.bincount(shown[seen])).tolist()
        ],
        _ticks(bins.ticks[BeatClass.VEB][part], 0),
        _ticks(bins.ticks[BeatClass.SVEB][part], height - TICK),
        bars(bins.unreadable[part]),
    )


def _pieces(y: Samples, seen: Mask, of_class: Mask) -> Iterator[str]:
    for start, stop in true_intervals(seen & of_class).tolist():
        joined = start > 0 and bool(seen[start - 1])
        first = 2 * start - joined
        yield polyline(first, y[first : 2 * stop])


def _ticks(mask: Mask, y: int) -> str:
    return "".join(f"M{2 * column + 1} {y}v{TICK}" for column in np.flatnonzero(mask).tolist())
