"""The reviewed state of a recording: the automatic analysis with the edits of its log.

:func:`replay` is pure: the same analysis and the same entries give the same state. What a reader says is
final: events are found again from the reviewed beats, but no rule changes a label.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from ectopy import confirmed
from ectopy.ecg import Analysis, Beats, Event, Mask, Samples
from ectopy.review.edits import Action, Comment, Entry, action_name
from ectopy.review.history import History, history
from ectopy.review.reviewed_beats import Conflict, review_beats
from ectopy.review.reviewed_events import EventList, ReviewedEvent, automatic_only, events_of_beats


class ReviewStatus(StrEnum):
    """How far the review of a recording is."""

    AUTOMATIC = confirmed.AUTOMATIC
    IN_REVIEW = confirmed.IN_REVIEW
    CONFIRMED = "confirmed"


@dataclass(frozen=True, eq=False)
class ReviewState:
    """The results of a recording as a reader has left them.

    ``analysis`` has the reviewed beats, and the events that are not rejected. ``events`` are all of them, in
    order of onset. ``by_reader`` is True for the beats whose label a reader has given, [n]. ``artefacts`` are
    the samples that a reader called artefacts, [k]. ``comment`` is the one on the recording. ``base`` is the
    hash of the automatic results.
    """

    automatic: Analysis
    analysis: Analysis
    events: tuple[ReviewedEvent, ...]
    by_reader: Mask
    artefacts: Samples
    conflicts: tuple[Conflict, ...]
    comment: str
    history: History
    last_id: int
    base: str

    @property
    def beats(self) -> Beats:
        """The reviewed beats."""
        return self.analysis.beats

    @property
    def status(self) -> ReviewStatus:
        """How far the review is."""
        return review_status(self.history, self.last_id)

    @property
    def is_outdated(self) -> bool:
        """Whether the recording has been scored again, with other results, since it was confirmed."""
        return bool(self.history.confirmed and self.history.confirmed.base != self.base)


def review_status(past: History, last_id: int) -> ReviewStatus:
    """Return how far a review is.

    Parameters
    ----------
    past
        What the entries of its log amount to.
    last_id
        The id of its last entry; 0 if there is none.

    Returns
    -------
    The status.
    """
    if past.confirmed:
        return ReviewStatus.CONFIRMED
    return ReviewStatus.IN_REVIEW if last_id else ReviewStatus.AUTOMATIC


def replay(automatic: Analysis, entries: Sequence[Entry], *, base: str = "") -> ReviewState:
    """Return the results as the entries of a log leave them.

    Parameters
    ----------
    automatic
        The automatic analysis.
    entries
        The entries of the log, in order.
    base
        Hash of the automatic results; edits that were made on others are checked for conflicts.

    Returns
    -------
    The state.
    """
    past = history(entries)
    reviewed = review_beats(automatic, past.done, base)
    carried = automatic_only(automatic, reviewed.beats)
    fibrillation = _fibrillation(carried, past, reviewed.beats)
    analysis = replace(
        automatic,
        beats=reviewed.beats,
        rr_s=reviewed.rr_s(fibrillation),
        low_quality=reviewed.low_quality,
        unreadable=reviewed.unreadable,
        artefact=reviewed.artefact,
    )
    found = events_of_beats(analysis, fibrillation, automatic)
    events = EventList([*carried, *found], reviewed.beats)
    lost = [entry for entry in past.done if not events.apply(entry.action)]
    conflicts = [
        Conflict(entry.id, f"{_in_words(entry.action)}: this event is not found any more") for entry in lost
    ]
    in_order = events.in_order()
    counting = tuple(item.event for item in in_order if item.counts)
    return ReviewState(
        automatic,
        replace(analysis, events=counting),
        in_order,
        reviewed.by_reader,
        reviewed.artefacts,
        (*reviewed.conflicts, *conflicts),
        _comment(past),
        past,
        entries[-1].id if entries else 0,
        base,
    )


def _fibrillation(carried: Sequence[Event], past: History, beats: Beats) -> Samples:
    """Return where the ventricles fibrillate, by the waves or a reader: RR intervals mean nothing there."""
    events = EventList(carried, beats)
    for entry in past.done:
        events.apply(entry.action)
    return events.spans("vf")


def _comment(past: History) -> str:
    """Return the last comment on the recording."""
    texts = [e.action.text for e in past.done if isinstance(e.action, Comment) and e.action.event is None]
    return texts[-1] if texts else ""


def _in_words(action: Action) -> str:
    return action_name(action).replace("_", " ").capitalize()
