"""Events of rhythm intervals, and what such an interval means for the beats in it.

Ventricular fibrillation has no beats, and artefact may look like some. What was detected there as beats is
not confident, and makes no run or couplet. In artefact it is no ectopic beat either, but unclassifiable. A
long time without a beat is reported in artefact too: it may be asystole.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ectopy.criteria import Criteria
from ectopy.ecg import Beats, Event, Samples, merge_intervals
from ectopy.rhythm.limits import CONSECUTIVE_S
from ectopy.rhythm.rhythm_intervals import Rhythm, RhythmInterval
from ectopy.rhythm.wording import overlap_s

SHORTEST_S = 3.0
"""A shorter interval of VT, VF or asystole is no event."""
_COVERED = 0.5  # of an interval or an event


def spans_of(intervals: Sequence[RhythmInterval], rhythm: Rhythm, fs: float) -> Samples:
    """Return the intervals of a rhythm that are long enough for an event, in samples, [k, 2].

    Parameters
    ----------
    intervals
        The rhythm intervals of a recording.
    rhythm
        The rhythm.
    fs
        Its sampling rate in Hz.

    Returns
    -------
    Half-open [start, stop) intervals in order; artefact of any length.
    """
    spans = [
        (round(interval.start_s * fs), round(interval.stop_s * fs))
        for interval in intervals
        if interval.rhythm == rhythm and (rhythm == Rhythm.ARTEFACT or _is_long(interval))
    ]
    return merge_intervals(np.array(spans, dtype=np.int64).reshape(-1, 2))


def without_unreadable(
    intervals: Sequence[RhythmInterval], unreadable_s: NDArray[np.float64]
) -> tuple[RhythmInterval, ...]:
    """Return the rhythm intervals without asystole and VT where the signal could not be read.

    Hum of open electrodes has no beat either. Fibrillation stays: it may look like noise.

    Parameters
    ----------
    intervals
        The rhythm intervals of a recording.
    unreadable_s
        [start, stop) intervals in seconds in which no lead could be read, [k, 2], apart from each other.

    Returns
    -------
    The intervals that are left.
    """

    def is_readable(interval: RhythmInterval) -> bool:
        inside_s = np.clip(unreadable_s, interval.start_s, interval.stop_s)
        return bool(np.diff(inside_s).sum() < _COVERED * (interval.stop_s - interval.start_s))

    return tuple(
        interval
        for interval in intervals
        if interval.rhythm not in {Rhythm.ASYSTOLE, Rhythm.VT} or is_readable(interval)
    )


def without_beats_in_asystole(
    intervals: Sequence[RhythmInterval], clear_s: NDArray[np.float64]
) -> tuple[RhythmInterval, ...]:
    """Return the rhythm intervals without asystole in which the heart beats: packets may be lost there.

    Parameters
    ----------
    intervals
        The rhythm intervals of a recording.
    clear_s
        Times in seconds of the beats that do not lie in noise, [n].

    Returns
    -------
    The intervals that are left.
    """

    def beats(interval: RhythmInterval) -> bool:
        first, stop = np.searchsorted(clear_s, interval[1:])
        return bool((stop - first) * CONSECUTIVE_S >= interval.stop_s - interval.start_s)

    return tuple(
        interval for interval in intervals if interval.rhythm != Rhythm.ASYSTOLE or not beats(interval)
    )


def add_rhythm_events(
    events: Sequence[Event], intervals: Sequence[RhythmInterval], beats: Beats, criteria: Criteria
) -> list[Event]:
    """Add the events that rhythm intervals are; leave out what they name better.

    Parameters
    ----------
    events
        The events of the beats.
    intervals
        The rhythm intervals of the recording.
    beats
        Its beats.
    criteria
        The criteria of the reader: what is called no beat, and not a pause.

    Returns
    -------
    All events, in no order.
    """
    of = {
        rhythm: [interval for interval in intervals if interval.rhythm == rhythm and _is_long(interval)]
        for rhythm in Rhythm
    }
    kept = list(events)
    for interval in of[Rhythm.VT]:
        kept = _with_vt(kept, interval, beats, criteria)
    for interval in of[Rhythm.ASYSTOLE]:
        pauses = [event for event in kept if event.kind == "pause" and _overlap_s(event, interval) > 0]
        longest_s = max([interval.stop_s - interval.start_s, *(pause.duration_s for pause in pauses)])
        if pauses and longest_s < criteria.no_beat_s:
            continue  # it stays a pause
        kept = [event for event in kept if event not in pauses]
        edges_s = [(pause.onset_s, pause.offset_s) for pause in pauses]
        if sum(_overlap_s(pause, interval) for pause in pauses) < _COVERED * (
            interval.stop_s - interval.start_s
        ):
            edges_s.append(interval[1:])  # else the beats know better when it begins and ends
        onset_s, offset_s = min(edge for edge, _ in edges_s), max(edge for _, edge in edges_s)
        kept.append(Event("asystole", onset_s, offset_s, 0, float("nan")))
    kept += [
        replace(event_between("vf", *interval[1:], beats), rate_bpm=float("nan"))
        for interval in of[Rhythm.VF]
    ]
    return kept


def _with_vt(events: list[Event], interval: RhythmInterval, beats: Beats, criteria: Criteria) -> list[Event]:
    """Add an interval of VT, unless events of VT cover half of it; runs in it become part of it.

    A rate that is no tachycardia says that beats were missed, so the rate is unknown.
    """
    runs = [event for event in events if event.kind == "vt" and _overlap_s(event, interval) > 0]
    length_s = interval.stop_s - interval.start_s
    if sum(_overlap_s(run, interval) for run in runs) >= _COVERED * length_s:
        return events
    onset_s = min([interval.start_s, *(run.onset_s for run in runs)])
    offset_s = max([interval.stop_s, *(run.offset_s for run in runs)])
    parts = {"vt", "short_v_run", "idioventricular_rhythm", "veb_couplet", "sv_run", "pause"}
    others = [
        event
        for event in events
        if event not in runs
        and not (event.kind in parts and _overlap_s(event, interval) >= _COVERED * event.duration_s)
    ]
    vt = event_between("vt", onset_s, offset_s, beats)
    return [*others, vt if vt.rate_bpm > criteria.vt_bpm - 1 else replace(vt, rate_bpm=float("nan"))]


def event_between(kind: str, onset_s: float, offset_s: float, beats: Beats) -> Event:
    """Return an event with the number and the mean rate of the beats between two times.

    Parameters
    ----------
    kind
        The kind of the event.
    onset_s, offset_s
        When it begins and ends, in seconds.
    beats
        The beats of the recording.

    Returns
    -------
    The event; its rate is NaN if it has fewer than two beats.
    """
    sample = beats.sample[beats.between(onset_s, offset_s)]
    n, lasting = len(sample), int(sample[-1] - sample[0]) if len(sample) > 1 else 0
    return Event(kind, onset_s, offset_s, n, 60 * beats.fs * (n - 1) / lasting if lasting else float("nan"))


def _is_long(interval: RhythmInterval) -> bool:
    return interval.stop_s - interval.start_s >= SHORTEST_S


def _overlap_s(event: Event, interval: RhythmInterval) -> float:
    return overlap_s([event], interval.start_s, interval.stop_s)
