"""The rhythm of every moment of a recording, by name: each has exactly one.

Events may overlap, and most of a recording lies in none. Where events overlap, the first of their kinds in
the registry names the rhythm. A rhythm of beats lasts until the next beat, or for CONSECUTIVE_S if that comes
later. Where no event is, signal that cannot be read is artefact, and so is a recording without any beat. The
rest is sinus rhythm, which also stands for what ectopy does not name, such as junctional rhythm.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Analysis, Event, distinct, is_inside, merge_intervals, once
from ectopy.rhythm.kinds import KINDS, EventKind
from ectopy.rhythm.limits import CONSECUTIVE_S
from ectopy.rhythm.wording import clear_pauses

NO_RHYTHM = "(N"
"""MIT-BIH rhythm string of every rhythm without one of its own, as in the MIT-BIH AF database."""
SINUS, ARTEFACT = "sinus", "artefact"
"""Names of the rhythms that are no event."""
STANDSTILL_WITH_P = "standstill_with_p"
"""Name of the rhythm of an asystole in which P waves go on."""
SHORTEST_S = 1.0
"""A shorter interval between two of artefact is artefact too."""


class RhythmName(NamedTuple):
    """How a rhythm is called: its title, its MIT-BIH rhythm string, and its colour in the report."""

    title: str
    mit: str
    colour: str


RHYTHM_NAMES: Mapping[str, RhythmName] = MappingProxyType(
    {
        "vf": RhythmName("Ventricular flutter or fibrillation", "(VFL", "vf"),
        STANDSTILL_WITH_P: RhythmName("Ventricular standstill with P waves", "(ASYS", "asystole"),
        "asystole": RhythmName("Asystole or standstill", "(ASYS", "asystole"),
        "vt": RhythmName("Ventricular tachycardia", "(VT", "vt"),
        "af": RhythmName("Atrial fibrillation", "(AFIB", "af"),
        "afl": RhythmName("Atrial flutter", "(AFL", "afl"),
        "svt": RhythmName("Supraventricular tachycardia", "(SVTA", "svt"),
        "idioventricular": RhythmName("Idioventricular rhythm", "(IVR", "idioventricular"),
        "paced": RhythmName("Paced rhythm", "(P", "paced"),
        "bigeminy": RhythmName("Ventricular bigeminy", "(B", "pattern"),
        "trigeminy": RhythmName("Ventricular trigeminy", "(T", "pattern"),
        "sveb_bigeminy": RhythmName("Supraventricular bigeminy", "(AB", "pattern"),
        "sinus_bradycardia": RhythmName("Bradycardia", "(SBR", "slow"),
        "sinus_tachycardia": RhythmName("Sinus tachycardia", NO_RHYTHM, "fast"),
        SINUS: RhythmName("Sinus rhythm", NO_RHYTHM, "sinus"),
        ARTEFACT: RhythmName("Artefact, or not recorded", "(NOISE", "artefact"),
    }
)
"""Every rhythm by its name in ``rhythm.csv``, the most urgent first."""


class NamedInterval(NamedTuple):
    """An interval of one rhythm, in seconds."""

    rhythm: str
    start_s: float
    stop_s: float


@once
def named_intervals(analysis: Analysis) -> tuple[NamedInterval, ...]:
    """Find the rhythm of every interval of a recording.

    Parameters
    ----------
    analysis
        The analysis of the recording.

    Returns
    -------
    The intervals in order of time. Together they cover the recording exactly once, and neighbours differ.
    """
    if not analysis.n_samples:
        return ()
    layers = [(name, spans_s) for name, spans_s in _layers(analysis) if len(spans_s)]
    edges_s = np.concatenate([[0.0, analysis.duration_s], *(spans_s.ravel() for _, spans_s in layers)])
    edges_s = distinct(np.sort(np.clip(edges_s, 0.0, analysis.duration_s)))
    rhythm = np.full(len(edges_s) - 1, SINUS if len(analysis.beats) else ARTEFACT, dtype=object)
    for name, spans_s in layers:
        rhythm[is_inside((edges_s[1:] + edges_s[:-1]) / 2, spans_s)] = name
    with_p = is_inside((edges_s[1:] + edges_s[:-1]) / 2, analysis.p_waves / analysis.fs)
    rhythm[(rhythm == "asystole") & with_p] = STANDSTILL_WITH_P
    starts = np.flatnonzero(np.append(True, rhythm[1:] != rhythm[:-1]))
    bounds_s = pairwise([*edges_s[starts].tolist(), analysis.duration_s])
    return tuple(NamedInterval(rhythm[at], *bounds) for at, bounds in zip(starts, bounds_s, strict=True))


def mit_rhythm(kind: EventKind) -> str:
    """Return the MIT-BIH rhythm string of a kind of events; "" if it is a note, as it has none of its own."""
    mit = RHYTHM_NAMES[kind.rhythm].mit if kind.rhythm else NO_RHYTHM
    return "" if mit == NO_RHYTHM else mit


def rhythms_at(intervals: Sequence[NamedInterval], time_s: Sequence[float]) -> list[str]:
    """Return the names of the rhythm at some times.

    Parameters
    ----------
    intervals
        The intervals of a recording, at least one.
    time_s
        The times in seconds; before the first and after the last interval, that one counts.

    Returns
    -------
    The names, keys of :data:`RHYTHM_NAMES`.
    """
    at = np.searchsorted([interval.start_s for interval in intervals], time_s, side="right") - 1
    return [intervals[number].rhythm for number in np.maximum(at, 0).tolist()]


def _layers(analysis: Analysis) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield rhythms with their spans in seconds, [k, 2]; each covers those before it."""
    unread = np.concatenate((analysis.unreadable, analysis.artefact)) / analysis.fs
    longer = np.array([0, SHORTEST_S])
    yield ARTEFACT, merge_intervals(unread + longer) - longer
    for kind in reversed(KINDS.values()):
        events = analysis.events_of(kind.name)
        if not events:
            continue
        if kind.name == "pause":
            long = [pause for pause in events if pause.duration_s >= analysis.criteria.no_beat_s]
            for name, some in ((ARTEFACT, long), ("asystole", clear_pauses(long, analysis))):
                yield name, _spans_s([(pause.onset_s, pause.offset_s) for pause in some])
        elif kind.rhythm:
            yield kind.rhythm, _spans_s([_lasting(event, analysis) for event in events])


def _spans_s(spans: list[tuple[float, float]]) -> NDArray[np.float64]:
    return merge_intervals(np.array(spans, dtype=np.float64).reshape(-1, 2))


def _lasting(event: Event, analysis: Analysis) -> tuple[float, float]:
    """Return onset and end of the rhythm that an event is: until the beat after its last, if that is soon.

    The rhythm of the first beat begins with the recording, if that is soon before.
    """
    beats = analysis.beats.between(event.onset_s, event.offset_s)
    time_s = analysis.beats.time_s
    if not event.n_beats or beats.start == beats.stop or time_s[beats.stop - 1] < event.offset_s:
        return event.onset_s, event.offset_s  # no beat ends it
    next_s = float(time_s[beats.stop]) if beats.stop < len(time_s) else analysis.duration_s
    begins = beats.start == 0 and event.onset_s <= CONSECUTIVE_S
    return 0.0 if begins else event.onset_s, min(next_s, event.offset_s + CONSECUTIVE_S)
