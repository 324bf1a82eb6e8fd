"""Entries of a review by hand, for the tests of :mod:`ectopy.review`."""

from collections.abc import Iterable

import numpy as np

from ectopy.ecg import Analysis
from ectopy.review.edits import Action, Entry, EventRef, RelabelBeats
from ectopy.review.reviewed_events import event_ref
from tests.handmade import FS, analysis_of, beats_of, recording_for

BASE = "0" * 64


def entries_of(actions: Iterable[Action], base: str = BASE) -> list[Entry]:
    """Return a log of some actions, a second apart."""
    return [
        Entry(number, f"2026-11-01T10:00:{number % 60:02d}.000+00:00", "AB", base, action)
        for number, action in enumerate(actions, start=1)
    ]


def analysis_from(letters: str, rr_s: float = 0.8) -> Analysis:
    """Analyse beats of given letters; the signal ends a second after the last one."""
    beats = beats_of(letters, rr_s)
    return analysis_of(recording_for(beats, int(beats.sample[-1] + FS)), beats, whole=True)


def relabel(analysis: Analysis, beats: slice | list[int], to: str) -> RelabelBeats:
    """Relabel some beats of an analysis, by number."""
    label = analysis.beats.label[beats]
    return RelabelBeats(analysis.beats.sample[beats], to, "".join(label.tolist()))


def ref(analysis: Analysis, kind: str, number: int = 0) -> EventRef:
    """Name an event of an analysis by its kind and number."""
    return event_ref(analysis.events_of(kind)[number], analysis.fs)


def letters(analysis: Analysis) -> str:
    """Return the labels of all beats as one text."""
    return "".join(analysis.beats.label.tolist())


def kinds(analysis: Analysis) -> list[str]:
    """Return the kinds of all events, in order of onset."""
    return [event.kind for event in analysis.events]


def same(one: Analysis, other: Analysis) -> bool:
    """Check that two analyses have the same beats, RR intervals and events."""
    return all(
        (
            np.array_equal(one.beats.sample, other.beats.sample),
            np.array_equal(one.beats.label, other.beats.label),
            np.array_equal(one.beats.probability, other.beats.probability),
            np.array_equal(one.beats.confident, other.beats.confident),
            np.array_equal(one.rr_s, other.rr_s, equal_nan=True),
            np.array_equal(one.unreadable, other.unreadable),
            [str(event) for event in one.events] == [str(event) for event in other.events],
        )
    )
