"""The events of a recording as a reader has left them.

Events are found again from the reviewed beats. Those that do not follow from beats stay as they were found:
atrial fibrillation and flutter, paced rhythm, and the rhythms of the waves of the signal. Then the edits of
events are applied.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

import numpy as np

from ectopy.ecg import Analysis, Beats, Event, Samples, merge_intervals
from ectopy.review.edits import (
    AcceptEvent,
    Action,
    AddEvent,
    ChooseStrip,
    Comment,
    Edit,
    EventRef,
    MarkInterval,
    MoveEvent,
    RejectEvent,
    RelabelEvent,
)
from ectopy.rhythm.events import find_events
from ectopy.rhythm.kinds import ATRIAL, KINDS
from ectopy.rhythm.named_intervals import ARTEFACT, SINUS, STANDSTILL_WITH_P
from ectopy.rhythm.rhythm_events import event_between

KIND_OF_RHYTHM = {kind.rhythm: name for name, kind in KINDS.items() if kind.rhythm} | {
    STANDSTILL_WITH_P: "asystole"
}
"""Kind of the event that a rhythm is; sinus rhythm and artefact are none."""

_RHYTHMS = frozenset(KIND_OF_RHYTHM.values()) - {"bradycardia", "tachycardia"}
"""Kinds of which a moment has one; a slow or fast rate is beside them, whatever its origin."""


class EventStatus(StrEnum):
    """What a reader says of an event."""

    AUTOMATIC = "automatic"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CHANGED = "changed"
    ADDED = "added"


@dataclass(frozen=True)
class ReviewedEvent:
    """An event with what a reader says of it.

    ``was`` is the event before it was changed, or None. ``strip_start`` is the sample at which its strip
    begins, if a reader has chosen it.
    """

    event: Event
    status: EventStatus = EventStatus.AUTOMATIC
    was: Event | None = None
    strip_start: int | None = None
    comment: str = ""

    @property
    def counts(self) -> bool:
        """Whether the event is part of the results."""
        return self.status != EventStatus.REJECTED


def event_ref(event: Event, fs: float) -> EventRef:
    """Return how edits name an event.

    Parameters
    ----------
    event
        The event.
    fs
        Sampling rate of its recording in Hz.

    Returns
    -------
    Its kind, onset and offset in samples.
    """
    return EventRef(event.kind, round(event.onset_s * fs), round(event.offset_s * fs))


class EventList:
    """The events of a recording while edits are applied to them, in no order."""

    def __init__(self, events: Sequence[Event], beats: Beats) -> None:
        self.events = [ReviewedEvent(event) for event in events]
        self._beats = beats

    def apply(self, edit: Action) -> bool:
        """Apply an edit; one of beats changes nothing here. Return False if there is no such event."""
        if isinstance(edit, MarkInterval):
            self._mark(edit)
        elif isinstance(edit, AddEvent):
            self._put(ReviewedEvent(self._event(edit.kind, edit.onset, edit.offset), EventStatus.ADDED))
        elif isinstance(edit, RejectEvent):
            return self._reject(edit.event)
        elif isinstance(edit, AcceptEvent | RelabelEvent | MoveEvent | ChooseStrip | Comment):
            return edit.event is None or self._change(edit.event, edit)
        return True

    def spans(self, kind: str) -> Samples:
        """Return the events of a kind that count, in samples, [k, 2]."""
        events = [item.event for item in self.events if item.counts and item.event.kind == kind]
        edges_s = np.array([(event.onset_s, event.offset_s) for event in events]).reshape(-1, 2)
        return merge_intervals(np.round(edges_s * self._beats.fs).astype(np.int64))

    def in_order(self) -> tuple[ReviewedEvent, ...]:
        """Return all events in order of onset, those that are rejected too."""
        return tuple(sorted(self.events, key=lambda item: (item.event.onset_s, item.event.kind)))

    def _event(self, kind: str, onset: int, offset: int) -> Event:
        fs = self._beats.fs
        event = event_between(kind, onset / fs, offset / fs, self._beats)
        return event if KINDS[kind].has_rate else replace(event, rate_bpm=float("nan"))

    def _find(self, event: EventRef) -> list[int]:
        """Return the numbers of the events that an edit may mean, the likeliest first.

        Another scoring may find it a little longer or shorter: half of the shorter of both must overlap. One
        that counts goes before one that is rejected, and then the one that overlaps most.
        """
        overlaps = {}
        for number, item in enumerate(self.events):
            if item.event.kind != event.kind:
                continue
            other = event_ref(item.event, self._beats.fs)
            overlap = min(event.offset, other.offset) - max(event.onset, other.onset)
            shorter = min(event.offset - event.onset, other.offset - other.onset)
            if overlap >= 0 and 2 * overlap >= shorter:
                overlaps[number] = (item.counts, overlap)
        return sorted(overlaps, key=overlaps.__getitem__, reverse=True)

    def _reject(self, event: EventRef) -> bool:
        numbers = self._find(event)
        for number in numbers:
            self.events[number] = replace(self.events[number], status=EventStatus.REJECTED)
        return bool(numbers)

    def _change(self, event: EventRef, edit: Edit) -> bool:
        numbers = self._find(event)
        if numbers:
            item = self.events.pop(numbers[0])
            self._put(self._changed(item, edit))
        return bool(numbers)

    def _changed(self, item: ReviewedEvent, edit: Edit) -> ReviewedEvent:
        if isinstance(edit, Comment):
            return replace(item, comment=edit.text)
        if isinstance(edit, ChooseStrip):
            return replace(item, strip_start=edit.start)
        if isinstance(edit, AcceptEvent):
            is_own = item.status in {EventStatus.ADDED, EventStatus.CHANGED}
            return item if is_own else replace(item, status=EventStatus.ACCEPTED)
        _, onset, offset = vars(event_ref(item.event, self._beats.fs)).values()
        kind = item.event.kind
        if isinstance(edit, RelabelEvent):
            kind = edit.kind
        if isinstance(edit, MoveEvent):
            onset, offset = edit.onset, edit.offset
        status = EventStatus.ADDED if item.status == EventStatus.ADDED else EventStatus.CHANGED
        return replace(
            item, event=self._event(kind, onset, offset), status=status, was=item.was or item.event
        )

    def _put(self, item: ReviewedEvent) -> None:
        """Add an event; it replaces others of its kind that it overlaps, as events of one kind never do."""
        event = item.event
        for number, other in enumerate(self.events):
            overlaps = other.event.onset_s < event.offset_s and event.onset_s < other.event.offset_s
            if (
                other.event.kind == event.kind
                and overlaps
                and item.status in {EventStatus.ADDED, EventStatus.CHANGED}
            ):
                self.events[number] = replace(other, status=EventStatus.REJECTED)
        self.events.append(item)

    def _mark(self, edit: MarkInterval) -> None:
        """Cut [start, stop) out of the rhythms that are there, and add the one that a reader has marked."""
        cut = self.events
        self.events = []
        for item in cut:
            self.events += self._cut(item, edit) if item.counts and item.event.kind in _RHYTHMS else [item]
        if edit.rhythm not in {SINUS, ARTEFACT}:
            added = self._event(KIND_OF_RHYTHM[edit.rhythm], edit.start, edit.stop)
            self._put(ReviewedEvent(added, EventStatus.ADDED))

    def _cut(self, item: ReviewedEvent, edit: MarkInterval) -> list[ReviewedEvent]:
        kind, onset, offset = vars(event_ref(item.event, self._beats.fs)).values()
        if offset <= edit.start or edit.stop <= onset:
            return [item]
        if edit.start <= onset and offset <= edit.stop:
            return [replace(item, status=EventStatus.REJECTED)]
        if edit.rhythm == ARTEFACT:
            return [item]  # what cannot be read interrupts no rhythm
        parts = [(onset, min(offset, edit.start)), (max(onset, edit.stop), offset)]
        return [
            replace(
                item, event=self._event(kind, *part), status=EventStatus.CHANGED, was=item.was or item.event
            )
            for part in parts
            if part[0] < part[1]
        ]


def automatic_only(automatic: Analysis, beats: Beats) -> list[Event]:
    """Return the automatic events that do not follow from the beats.

    Parameters
    ----------
    automatic
        The automatic analysis.
    beats
        The reviewed beats, which are counted in atrial fibrillation and flutter, and in paced rhythm.

    Returns
    -------
    The events.
    """
    carried, _ = _carried_and_covered(automatic)
    return [
        event_between(event.kind, event.onset_s, event.offset_s, beats)
        if event.kind in {*ATRIAL, "paced"}
        else event
        for event in carried
    ]


def events_of_beats(analysis: Analysis, fibrillation: Samples, automatic: Analysis) -> list[Event]:
    """Find the events of reviewed beats, without those that a rhythm of the waves has covered.

    Parameters
    ----------
    analysis
        The analysis with the reviewed beats.
    fibrillation
        Half-open [start, stop) intervals of ventricular fibrillation, in samples, [k, 2].
    automatic
        The automatic analysis.

    Returns
    -------
    The events.
    """
    _, covered = _carried_and_covered(automatic)
    return [event for event in _found(analysis, fibrillation) if _key(event) not in covered]


@lru_cache(maxsize=2)
def _carried_and_covered(automatic: Analysis) -> tuple[tuple[Event, ...], frozenset[tuple[object, ...]]]:
    """Compare the automatic events with those that its beats alone give: those missing, and those covered."""
    fibrillation = EventList(automatic.events_of("vf"), automatic.beats).spans("vf")
    found = {_key(event) for event in _found(automatic, fibrillation)}
    known = {_key(event) for event in automatic.events}
    return tuple(event for event in automatic.events if _key(event) not in found), frozenset(found - known)


def _found(analysis: Analysis, fibrillation: Samples) -> tuple[Event, ...]:
    return find_events(
        analysis.beats,
        analysis.rr_s,
        duration_s=analysis.duration_s,
        unreadable=merge_intervals(np.concatenate((analysis.unreadable, fibrillation))),
        criteria=analysis.criteria,
    )


def _key(event: Event) -> tuple[object, ...]:
    """Return what makes two events the same; in microseconds, as stored times may differ by rounding."""
    return event.kind, round(event.onset_s, 3), round(event.offset_s, 3), event.n_beats
