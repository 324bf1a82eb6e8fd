"""Strips of ECG paper around events."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ectopy.ecg import Analysis, BeatClass, Event, Signal
from ectopy.report.signal_overview import CUT_AFTER_S, CUT_BEFORE_S
from ectopy.report.svg import MM_PER_S, Trace, trace
from ectopy.rhythm.kinds import KINDS

STRIP_S = 7.2
"""18 cm of paper: the width of an A4 page."""
LEAST_LEAD_IN_S, MOST_LEAD_IN_S = 1.2, 2.2
"""Shown before the onset; an event that begins further right is not seen at once on a phone."""
HEADER_MM = 9.0
LETTER_MM = 2.0
"""Half the width of a letter with a question mark: at either end it stands that far inside."""
LEAST_MM, MOST_MM = 15.0, 30.0
"""Height of a lead at least; reach to either side of its median at most, more is cut off."""
CLASS_NAMES = {
    BeatClass.NORMAL: "Normal",
    BeatClass.SVEB: "Supraventricular ectopic",
    BeatClass.VEB: "Ventricular ectopic",
    BeatClass.FUSION: "Fusion",
    BeatClass.UNKNOWN: "Unclassifiable",
}
TITLES = {
    **{name: kind.title for name, kind in KINDS.items()},
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


def strip(analysis: Analysis, event: Event) -> Strip:
    """Cut the strip that shows an event best: around a short one, from the onset of a long one."""
    fs = analysis.fs
    start, stop = window(event, analysis.n_samples, fs)
    signal = analysis.read(start, stop)
    drawn = traces(signal, fs)
    leads, height_mm = stacked(analysis.leads, drawn, drawn, HEADER_MM)
    frame_s = (event.onset_s, event.offset_s)
    if event.n_beats == 1:
        frame_s = (event.onset_s - CUT_BEFORE_S, event.onset_s + CUT_AFTER_S)
    from_mm, to_mm = np.clip(np.array(frame_s) - start / fs, 0, (stop - start) / fs) * MM_PER_S
    return Strip(
        title=TITLES.get(event.kind, event.kind),
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
    width_mm = (stop - start) / analysis.fs * MM_PER_S
    for beat in range(first, last):
        x_mm = (int(beats.sample[beat]) - start) / analysis.fs * MM_PER_S
        rr = float(analysis.rr_s[beat])
        inside = rr * MM_PER_S <= x_mm  # False for NaN
        yield BeatMark(
            min(max(x_mm, LETTER_MM), max(width_mm - LETTER_MM, LETTER_MM)),
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


def traces(signal: Signal, fs: float) -> list[Trace]:
    """Draw each lead of [n, n_leads]."""
    return [trace(lead, fs) for lead in signal.T]
