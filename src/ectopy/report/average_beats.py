"""Draw the mean beat of each class in each lead, and how much the beats of the class differ."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ectopy.ecg import Analysis, Signal
from ectopy.report.beat_letters import BEAT_NAMES, shown_letters
from ectopy.report.signal_overview import CUT_AFTER_S, CUT_BEFORE_S
from ectopy.report.strips import LeadTrace, stacked
from ectopy.report.svg import MM_PER_S, bands, quantiles, traces

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
    """Mean beat of a class and the edges of its band in mV, [n_leads, n_samples] each."""

    mean: Signal
    low: Signal
    high: Signal


def average_beats(analysis: Analysis, cuts: Mapping[str, Signal]) -> list[MeanBeat]:
    """Draw the mean beat of each class; all classes have the same height.

    Parameters
    ----------
    analysis
        The analysis of one recording.
    cuts
        Signal around beats of each letter in mV, [n_beats, n_leads, n_samples].

    Returns
    -------
    One drawing per class.
    """
    if not cuts:
        return []
    letters, n_leads = shown_letters(analysis), len(analysis.leads)
    shapes = [_shape(beats) for beats in cuts.values()]
    means, low, high = (np.concatenate(rows) for rows in zip(*shapes, strict=True))
    drawn, spreads = traces(means, analysis.fs, centred=False), bands(low, high, analysis.fs)
    means_of = []
    for number, (letter, beats) in enumerate(cuts.items()):
        mine = slice(number * n_leads, (number + 1) * n_leads)
        leads, height_mm = stacked(analysis.leads, drawn[mine], drawn, 0.0)
        in_class = letters == letter
        means_of.append(
            MeanBeat(
                label=letter,
                name=BEAT_NAMES[letter],
                n_beats=int(in_class.sum()),
                n_low_confidence=int((in_class & ~analysis.beats.confident).sum()),
                n_drawn=len(beats),
                leads=leads,
                bands=spreads[mine] if len(beats) >= MIN_BAND_BEATS else [""] * n_leads,
                extents=list(map(_extent, analysis.leads, means[mine])),
                height_mm=height_mm + AXIS_MM,
            )
        )
    return means_of


def mean(cuts: Signal) -> Signal:
    """Compute the mean of beats, [..., n_beats], without their missing samples."""
    present = np.isfinite(cuts)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(present, cuts, 0).sum(axis=-1) / present.sum(axis=-1), dtype=np.float32)


def level(cuts: Signal) -> Signal:
    """Subtract its median from each beat, [n_beats, n_leads, n_samples].

    Returns
    -------
    The levelled beats, [n_leads, n_samples, n_beats]: the beats of a sample lie beside each other.
    """
    medians = np.nan_to_num(quantiles(cuts, 0.5, axis=2)[0])
    return np.subtract(cuts.transpose(1, 2, 0), medians.transpose(1, 2, 0), order="C")


def _shape(cuts: Signal) -> _Shape:
    levelled = level(cuts)
    low, high = (edge[..., 0] for edge in quantiles(levelled, BAND_LOW, BAND_HIGH, axis=2))
    return _Shape(mean(levelled), low, high)


def _extent(name: str, lead: Signal) -> str:
    present = lead[np.isfinite(lead)]
    return f"{name} {present.min():+.2f} to {present.max():+.2f} mV" if len(present) else f"{name} missing"
