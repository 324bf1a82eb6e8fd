"""The mean beat of each class in each lead, and how much its beats differ."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ectopy.ecg import Analysis, BeatClass, Signal
from ectopy.report.signal_overview import CUT_AFTER_S, CUT_BEFORE_S
from ectopy.report.strips import CLASS_NAMES, LeadTrace, stacked
from ectopy.report.svg import MM_PER_S, Trace, band, quantile, thin, trace

MEAN_MM = (CUT_BEFORE_S + CUT_AFTER_S) * MM_PER_S
ZOOM = 2
AXIS_MM = 3.5
"""Room below the leads for the time axis."""
TICKS_MS = (-200, 0, 200, 400)
LEAST_SHARE, MOST_SHARE = 0.1, 0.9
"""The band holds the middle 80 % of the beats."""
FEW = 5
"""Of fewer beats no band is drawn."""


class MeanBeat(NamedTuple):
    """Mean of ``n_drawn`` of the ``n_beats`` of a class, a trace and a band a lead, on one piece of paper."""

    label: str
    name: str
    n_beats: int
    n_low_confidence: int
    n_drawn: int
    leads: list[LeadTrace]
    bands: list[str]
    extents: list[str]
    height_mm: float


class _Shape(NamedTuple):
    n_drawn: int
    mean: Signal
    low: Signal
    high: Signal
    traces: list[Trace]


def average_beats(analysis: Analysis, cuts: Mapping[BeatClass, Signal]) -> list[MeanBeat]:
    """Draw the mean of each class, with the same room for each."""
    shapes = {letter: _shape(of_class, analysis.fs) for letter, of_class in cuts.items()}
    room = [lead for of in shapes.values() for lead in of.traces]
    return [_drawn(analysis, letter, of, room) for letter, of in shapes.items()]


def mean(cuts: Signal) -> Signal:
    """Average beats, [n_beats, n_samples, n_leads]; where some are missing the others make it."""
    seen = np.isfinite(cuts)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(seen, cuts, 0).sum(axis=0) / seen.sum(axis=0), dtype=np.float32)


def level(cuts: Signal) -> Signal:
    """Move each beat to its median."""
    return cuts - np.nan_to_num(quantile(cuts, 0.5, axis=1))


def _shape(cuts: Signal, fs: float) -> _Shape:
    levelled = level(cuts)
    middle = mean(levelled)
    low, high = (quantile(levelled, share, axis=0)[0] for share in (LEAST_SHARE, MOST_SHARE))
    return _Shape(len(cuts), middle, low, high, [trace(lead, fs, centred=False) for lead in middle.T])


def _drawn(analysis: Analysis, letter: BeatClass, of: _Shape, room: list[Trace]) -> MeanBeat:
    leads, height_mm = stacked(analysis.leads, of.traces, room, 0.0)
    of_class = analysis.beats.label == letter
    both = zip(of.low.T, of.high.T, strict=True)
    return MeanBeat(
        label=letter,
        name=CLASS_NAMES[letter],
        n_beats=int(of_class.sum()),
        n_low_confidence=int((of_class & ~analysis.beats.confident).sum()),
        n_drawn=of.n_drawn,
        leads=leads,
        bands=[_band(low, high, analysis.fs) if of.n_drawn >= FEW else "" for low, high in both],
        extents=[_extent(name, lead) for name, lead in zip(analysis.leads, of.mean.T, strict=True)],
        height_mm=height_mm + AXIS_MM,
    )


def _band(low: Signal, high: Signal, fs: float) -> str:
    (thin_low, thin_fs), (thin_high, _) = thin(low, fs), thin(high, fs)
    return band(thin_low, thin_high, thin_fs)


def _extent(name: str, lead: Signal) -> str:
    seen = lead[np.isfinite(lead)]
    return f"{name} {seen.min():+.2f} to {seen.max():+.2f} mV" if len(seen) else f"{name} missing"
