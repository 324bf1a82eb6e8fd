"""Strips of ECG paper around events, and the mean beat of each class."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ectopy.ecg import Analysis, BeatClass, Event, Recording, Signal
from ectopy.report.drawing import MM_PER_S, Trace, trace
from ectopy.rhythm import KINDS, readable_rr_s

STRIP_S = 7.2
"""18 cm of paper: the width of an A4 page."""
LEAST_LEAD_IN_S, MOST_LEAD_IN_S = 1.2, 2.2
"""Shown before the onset; an event that begins further right is not seen at once on a phone."""
HEADER_MM = 9.0
LEAST_MM, MOST_MM = 15.0, 30.0
"""Height of a lead at least; reach to either side of its median at most, more is cut off."""
MEAN_BEFORE_S, MEAN_AFTER_S = 0.3, 0.5
MEAN_MM = (MEAN_BEFORE_S + MEAN_AFTER_S) * MM_PER_S
MEAN_OF = 12
"""Beats in a mean: enough to lift it out of the noise, few enough to be read at once."""
CLASS_NAMES = {
    BeatClass.NORMAL: "Normal",
    BeatClass.SVEB: "Supraventricular ectopic",
    BeatClass.VEB: "Ventricular ectopic",
    BeatClass.FUSION: "Fusion",
    BeatClass.UNKNOWN: "Unclassifiable",
}
TITLES = {
    **{kind: known.title for kind, known in KINDS.items()},
    **{str(letter): f"{name} beat" for letter, name in CLASS_NAMES.items()},
    "signal": "What was recorded",
}


class BeatMark(NamedTuple):
    """A beat's letter above a strip, and the interval that ends there."""

    x_mm: float
    label: str
    confident: bool
    rr_ms: str
    rr_x_mm: float


class LeadTrace(NamedTuple):
    """One lead of a strip: where its name and its baseline stand, the cut and the trace."""

    name: str
    top_mm: float
    height_mm: float
    baseline_mm: float
    trace: Trace


class Strip(NamedTuple):
    """A piece of recording on paper; ``from_mm`` and ``to_mm`` frame the event."""

    title: str
    event: Event
    start_s: float
    width_mm: float
    height_mm: float
    from_mm: float
    to_mm: float
    beats: list[BeatMark]
    leads: list[LeadTrace]


class MeanBeat(NamedTuple):
    """Mean of some beats of one class, a trace a lead, on one piece of paper."""

    label: str
    name: str
    n_beats: int
    leads: list[LeadTrace]
    height_mm: float


def strip(analysis: Analysis, recording: Recording, event: Event) -> Strip:
    """Cut the strip that shows an event best: around a short one, from the onset of a long one."""
    fs = analysis.fs
    start, stop = window(event, analysis.n_samples, fs)
    signal = _analysed(analysis, recording, start, stop)
    drawn = traces(signal, fs)
    leads, height_mm = stacked(analysis.leads, drawn, drawn, HEADER_MM)
    frame_s = (event.onset_s, event.offset_s)
    if event.n_beats == 1:
        frame_s = (event.onset_s - MEAN_BEFORE_S, event.onset_s + MEAN_AFTER_S)
    from_mm, to_mm = np.clip(np.array(frame_s) - start / fs, 0, (stop - start) / fs) * MM_PER_S
    return Strip(
        title=TITLES[event.kind],
        event=event,
        start_s=start / fs,
        width_mm=(stop - start) / fs * MM_PER_S,
        height_mm=height_mm,
        from_mm=float(from_mm),
        to_mm=float(to_mm),
        beats=list(beat_marks(analysis, start, stop)),
        leads=leads,
    )


def window(event: Event, n_samples: int, fs: float) -> tuple[int, int]:
    """Choose the samples to show of an event: STRIP_S of them, inside the recording."""
    length = min(round(STRIP_S * fs), n_samples)
    spare_s = STRIP_S - (event.offset_s - event.onset_s)
    start_s = event.onset_s - min(max(spare_s / 2, LEAST_LEAD_IN_S), MOST_LEAD_IN_S)
    start = min(max(round(start_s * fs), 0), n_samples - length)
    return start, start + length


def beat_marks(analysis: Analysis, start: int, stop: int) -> Iterator[BeatMark]:
    """Place the letters of the beats in [start, stop)."""
    beats = analysis.beats
    first, last = np.searchsorted(beats.sample, (start, stop)).tolist()
    rr_s = readable_rr_s(beats, analysis.unreadable)
    for beat in range(first, last):
        x_mm = (int(beats.sample[beat]) - start) / analysis.fs * MM_PER_S
        rr = float(rr_s[beat])
        inside = rr * MM_PER_S <= x_mm  # False for NaN
        yield BeatMark(
            x_mm,
            str(beats.label[beat]),
            bool(beats.confident[beat]),
            f"{rr * 1000:.0f}" if inside else "",
            x_mm - rr * MM_PER_S / 2 if inside else 0.0,
        )


def stacked(
    names: tuple[str, ...], drawn: list[Trace], room: list[Trace], top_mm: float
) -> tuple[list[LeadTrace], float]:
    """Set leads below each other, on whole centimetres of paper with ``room`` for other traces too."""
    leads = []
    for column, (name, lead) in enumerate(zip(names, drawn, strict=True)):
        others = room[column :: len(names)]
        above = min(-min(trace.top_mm for trace in others), MOST_MM) + 3
        below = min(max(trace.bottom_mm for trace in others), MOST_MM) + 2
        height_mm = float(np.ceil(max(above + below, LEAST_MM) / 5) * 5)
        leads.append(LeadTrace(name, top_mm, height_mm, top_mm + above, lead))
        top_mm += height_mm
    return leads, top_mm


def mean_beats(analysis: Analysis, recording: Recording) -> list[MeanBeat]:
    """Average some beats of each class that occurs, drawn with the same room for each."""
    label, names = analysis.beats.label, analysis.leads
    classes = [letter for letter in BeatClass if (label == letter).any()]
    drawn = [traces(mean_beat(analysis, recording, letter), analysis.fs) for letter in classes]
    room = [lead for leads in drawn for lead in leads]
    return [
        MeanBeat(letter, CLASS_NAMES[letter], int((label == letter).sum()), *stacked(names, leads, room, 0.0))
        for letter, leads in zip(classes, drawn, strict=True)
    ]


def mean_beat(analysis: Analysis, recording: Recording, letter: BeatClass) -> Signal:
    """Average up to MEAN_OF beats of one class, spread over the recording, each about its own median."""
    which = np.flatnonzero(analysis.beats.label == letter)
    chosen = which[np.linspace(0, len(which) - 1, min(MEAN_OF, len(which))).round().astype(int)]
    cuts = [_around(analysis, recording, sample) for sample in analysis.beats.sample[chosen].tolist()]
    # At either end of the recording, and in gaps, fewer beats make the mean.
    mean = np.ma.masked_invalid(cuts).mean(axis=0)
    return np.asarray(np.ma.filled(mean, np.nan), dtype=np.float32)


def traces(signal: Signal, fs: float) -> list[Trace]:
    """Draw each lead of [n, n_leads]."""
    return [trace(lead, fs) for lead in signal.T]


def _around(analysis: Analysis, recording: Recording, sample: int) -> Signal:
    before, after = round(MEAN_BEFORE_S * analysis.fs), round(MEAN_AFTER_S * analysis.fs)
    start, stop = max(sample - before, 0), min(sample + after, analysis.n_samples)
    cut = np.full((before + after, len(analysis.leads)), np.nan, dtype=np.float32)
    at = start - sample + before
    cut[at : at + stop - start] = _analysed(analysis, recording, start, stop)
    seen = np.isfinite(cut)
    middle = [np.median(lead[there]) if there.any() else 0 for lead, there in zip(cut.T, seen.T, strict=True)]
    return cut - np.asarray(middle, dtype=np.float32)


def _analysed(analysis: Analysis, recording: Recording, start: int, stop: int) -> Signal:
    return recording.read(start, stop)[:, columns_of(analysis.leads, recording.leads)]


def columns_of(leads: tuple[str, ...], recorded: tuple[str, ...]) -> list[int]:
    """Find the columns of leads by name; of several recorded under one name, each in its turn."""
    columns: list[int] = []
    for lead in leads:
        columns.append(next(at for at, name in enumerate(recorded) if name == lead and at not in columns))
    return columns
