"""Draw strips of ECG paper around events."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ectopy.ecg import Analysis, Event
from ectopy.report.beat_letters import BEAT_NAMES, shown_letters
from ectopy.report.signal_overview import CUT_AFTER_S, CUT_BEFORE_S
from ectopy.report.svg import MM_PER_S, Trace, traces
from ectopy.rhythm.kinds import KINDS
from ectopy.rhythm.wording import confidence_is_known

STRIP_S = 7.2
"""Length of a strip in seconds: 18 cm of paper, the width of an A4 page."""
MIN_LEAD_IN_S, MAX_LEAD_IN_S = 1.2, 2.2
"""Signal before the onset, in seconds. A phone does not show an event that begins further right at once."""
MARK_LEAD_IN_S = 3.5
"""Signal before a mark, in seconds: what the patient felt came before it, and a phone shows 3.6 s."""
HEADER_MM = 9.0
"""Height of the letters and RR intervals above the leads."""
LETTER_MM = 2.0
"""Half the width of a letter with a question mark, and its minimum distance from either end."""
MIN_LEAD_MM, MAX_REACH_MM = 15.0, 30.0
"""Minimum height of a lead, and maximum reach to either side of its median; the rest is cut off."""
TITLES = {
    **{name: kind.title for name, kind in KINDS.items()},
    **{letter: f"{name} beat" for letter, name in BEAT_NAMES.items()},
    "signal": "Recorded signal",
    "mark": "Patient mark",
    "slowest_rate": "Lowest heart rate",
    "fastest_rate": "Highest heart rate",
}


class BeatMark(NamedTuple):
    """Letter of a beat above a strip, and the RR interval that ends there."""

    x_mm: float
    label: str
    confident: bool
    rr_ms: str
    rr_x_mm: float


class LeadTrace(NamedTuple):
    """Lead of a strip: its name, the positions of its top and its baseline, and its trace."""

    name: str
    top_mm: float
    height_mm: float
    baseline_mm: float
    trace: Trace


class Strip(NamedTuple):
    """Strip of ECG paper; the event is framed from ``from_mm`` to ``to_mm``."""

    title: str
    event: Event
    start_s: float
    width_mm: float
    height_mm: float
    from_mm: float
    to_mm: float
    beats: list[BeatMark]
    leads: list[LeadTrace]


def strips(analysis: Analysis, starts: Mapping[Event, int | None]) -> dict[Event, Strip]:
    """Draw the strips around short events, or from the onset of long ones.

    Parameters
    ----------
    analysis
        The analysis of a recording.
    starts
        The events to show, with the samples at which their strips begin; None where that is to be chosen.

    Returns
    -------
    The strip of each event.
    """
    windows = {
        event: window(event, analysis.n_samples, analysis.fs, start=start) for event, start in starts.items()
    }
    signals = [analysis.read(*samples).T for samples in windows.values()]
    if not signals:
        return {}
    drawn, n_leads = traces(np.concatenate(signals), analysis.fs), len(analysis.leads)
    return {
        event: on_paper(analysis, event, samples, analysis.leads, drawn[first : first + n_leads])
        for (event, samples), first in zip(windows.items(), range(0, len(drawn), n_leads), strict=True)
    }


def on_paper(
    analysis: Analysis, event: Event, samples: tuple[int, int], names: tuple[str, ...], drawn: list[Trace]
) -> Strip:
    """Place the traces of some leads below each other, with the letters of the beats above them.

    Parameters
    ----------
    analysis
        The analysis of a recording.
    event
        The event to frame.
    samples
        The part of the recording, half-open [start, stop).
    names
        Names of the leads.
    drawn
        Their traces.

    Returns
    -------
    The strip.
    """
    fs, (start, stop) = analysis.fs, samples
    leads, height_mm = stacked(names, drawn, drawn, HEADER_MM)
    frame_s = (event.onset_s, event.offset_s)
    if event.n_beats == 1:
        frame_s = (event.onset_s - CUT_BEFORE_S, event.onset_s + CUT_AFTER_S)
    from_mm, to_mm = (
        min(max(edge_s - start / fs, 0.0), (stop - start) / fs) * MM_PER_S for edge_s in frame_s
    )
    return Strip(
        title=TITLES.get(event.kind, event.kind),
        event=event,
        start_s=start / fs,
        width_mm=(stop - start) / fs * MM_PER_S,
        height_mm=height_mm,
        from_mm=from_mm,
        to_mm=to_mm,
        beats=list(beat_marks(analysis, start, stop)),
        leads=leads,
    )


def window(event: Event, n_samples: int, fs: float, *, start: int | None = None) -> tuple[int, int]:
    """Choose the part of the recording to show of an event: STRIP_S long, inside the recording.

    Parameters
    ----------
    event
        The event to show.
    n_samples
        Number of samples of the recording.
    fs
        Sampling rate in Hz.
    start
        Where it begins, if a reader has chosen that.

    Returns
    -------
    Half-open [start, stop) in samples.
    """
    length = min(round(STRIP_S * fs), n_samples)
    if start is not None:
        start = min(start, n_samples - length)
        return start, start + length
    spare_s = STRIP_S - (event.offset_s - event.onset_s)
    lead_in_s = (
        MARK_LEAD_IN_S if event.kind == "mark" else min(max(spare_s / 2, MIN_LEAD_IN_S), MAX_LEAD_IN_S)
    )
    start_s = event.onset_s - lead_in_s
    start = min(max(round(start_s * fs), 0), n_samples - length)
    return start, start + length


def beat_marks(analysis: Analysis, start: int, stop: int) -> Iterator[BeatMark]:
    """Place the letters of beats above a strip.

    Parameters
    ----------
    analysis
        The analysis of a recording.
    start, stop
        The part on the strip, half-open [start, stop) in samples.

    Yields
    ------
    One mark per beat.
    """
    beats, letters, known = analysis.beats, shown_letters(analysis), confidence_is_known(analysis)
    first, last = np.searchsorted(beats.sample, (start, stop)).tolist()
    width_mm = (stop - start) / analysis.fs * MM_PER_S
    for beat in range(first, last):
        x_mm = (int(beats.sample[beat]) - start) / analysis.fs * MM_PER_S
        rr = float(analysis.rr_s[beat])
        inside = rr * MM_PER_S <= x_mm  # False for NaN
        yield BeatMark(
            min(max(x_mm, LETTER_MM), max(width_mm - LETTER_MM, LETTER_MM)),
            str(letters[beat]),
            bool(beats.confident[beat]) or not known,
            f"{rr * 1000:.0f}" if inside else "",
            x_mm - rr * MM_PER_S / 2 if inside else 0.0,
        )


def stacked(
    names: tuple[str, ...], traces: list[Trace], all_traces: list[Trace], top_mm: float
) -> tuple[list[LeadTrace], float]:
    """Place leads below each other, with heights of whole squares of 5 mm.

    Parameters
    ----------
    names
        Names of the leads.
    traces
        Traces of the leads.
    all_traces
        Traces that must fit into the same heights: those of the leads, in order, of every drawing.
    top_mm
        Position of the top of the first lead.

    Returns
    -------
    The leads, and the position of the bottom of the last one in mm.
    """
    leads = []
    for column, (name, lead) in enumerate(zip(names, traces, strict=True)):
        same_lead = all_traces[column :: len(names)]
        above = min(-min(trace.top_mm for trace in same_lead), MAX_REACH_MM) + 3
        below = min(max(trace.bottom_mm for trace in same_lead), MAX_REACH_MM) + 2
        height_mm = float(np.ceil(max(above + below, MIN_LEAD_MM) / 5) * 5)
        leads.append(LeadTrace(name, top_mm, height_mm, top_mm + above, lead))
        top_mm += height_mm
    return leads, top_mm
