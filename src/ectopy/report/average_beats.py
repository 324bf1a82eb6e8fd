"""Draw the mean beat of each class in each lead, and how much the beats of the class differ."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ectopy.ecg import Analysis, Signal
from ectopy.report.beat_letters import BEAT_NAMES, shown_letters
from ectopy.report.signal_overview import CUT_AFTER_S, CUT_BEFORE_S
from ectopy.report.strips import LeadTrace, stacked
from ectopy.report.svg import MM_PER_S, Trace, bands, quantiles, traces

MEAN_MM = (CUT_BEFORE_S + CUT_AFTER_S) * MM_PER_S
ZOOM = 2
AXIS_MM = 3.5
"""Height of the time axis below the leads."""
TICKS_MS = (-200, 0, 200, 400)
BAND_LOW, BAND_HIGH = 0.1, 0.9
"""The band holds the middle 80 % of the beats."""
MIN_BAND_BEATS = 5
"""A band needs this many beats."""


class MeanBeat(NamedTuple):
    """Mean beat of a class: one trace and one band per lead, on one piece of ECG paper.

    The mean is that of ``n_drawn`` of the ``n_beats`` beats of the class. Lengths are in millimetres.
    """

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


def average_beats(analysis: Analysis, cuts: Mapping[str, Signal]) -> list[MeanBeat]:
    """Draw the mean beat of each class; all classes have the same height.

    Parameters
    ----------
    analysis
        The analysis of one recording.
    cuts
        Signal around beats of each letter in mV, [n_beats, n_samples, n_leads].

    Returns
    -------
    One drawing per class.
    """
    shapes = {letter: _shape(class_cuts, analysis.fs) for letter, class_cuts in cuts.items()}
    traces = [lead for shape in shapes.values() for lead in shape.traces]
    return [_mean_beat(analysis, letter, shape, traces) for letter, shape in shapes.items()]


def mean(cuts: Signal) -> Signal:
    """Compute the mean of beats, [n_beats, n_samples, n_leads], without their missing samples."""
    present = np.isfinite(cuts)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(present, cuts, 0).sum(axis=0) / present.sum(axis=0), dtype=np.float32)


def level(cuts: Signal) -> Signal:
    """Subtract its median from each beat, [n_beats, n_samples, n_leads]."""
    return cuts - np.nan_to_num(quantiles(cuts, 0.5, axis=1)[0])


def _shape(cuts: Signal, fs: float) -> _Shape:
    levelled = level(cuts)
    middle = mean(levelled)
    low, high = (edge[0] for edge in quantiles(levelled, BAND_LOW, BAND_HIGH, axis=0))
    return _Shape(len(cuts), middle, low, high, traces(middle.T, fs, centred=False))


def _mean_beat(analysis: Analysis, letter: str, shape: _Shape, traces: list[Trace]) -> MeanBeat:
    leads, height_mm = stacked(analysis.leads, shape.traces, traces, 0.0)
    in_class = shown_letters(analysis) == letter
    has_band = shape.n_drawn >= MIN_BAND_BEATS
    return MeanBeat(
        label=letter,
        name=BEAT_NAMES[letter],
        n_beats=int(in_class.sum()),
        n_low_confidence=int((in_class & ~analysis.beats.confident).sum()),
        n_drawn=shape.n_drawn,
        leads=leads,
        bands=bands(shape.low.T, shape.high.T, analysis.fs) if has_band else [""] * len(leads),
        extents=[_extent(name, lead) for name, lead in zip(analysis.leads, shape.mean.T, strict=True)],
        height_mm=height_mm + AXIS_MM,
    )


def _extent(name: str, lead: Signal) -> str:
    present = lead[np.isfinite(lead)]
    return f"{name} {present.min():+.2f} to {present.max():+.2f} mV" if len(present) else f"{name} missing"
