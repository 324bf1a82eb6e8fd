"""What the entries of a log amount to: which edits count, what can be undone, and who confirmed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ectopy.ecg import Samples, merge_intervals
from ectopy.review.edits import (
    Action,
    AddEvent,
    Comment,
    Confirm,
    DeleteBeats,
    Edit,
    EditError,
    Entry,
    ExcludeRates,
    InsertBeat,
    LabelSimilar,
    MarkInterval,
    MoveEvent,
    Redo,
    RelabelBeats,
    Reopen,
    Undo,
)

BEATS = "beats"
"""What edits of beats and intervals touch; an edit of an event touches its kind."""


class History(NamedTuple):
    """The edits that count, in the order in which they were made, and those that were undone.

    ``undone`` has what one undo took back each, the last at the end: an edit, and the similar beats that had
    followed it. ``confirmed`` is the entry that confirmed the results, or None if they are open.
    """

    done: tuple[Entry, ...]
    undone: tuple[tuple[Entry, ...], ...]
    confirmed: Entry | None

    @property
    def next_undo(self) -> tuple[Entry, ...]:
        """What an undo takes back, the edit that it names first; nothing if there is none."""
        at = max((number for number, entry in enumerate(self.done) if not _follows(entry)), default=0)
        return self.done[at:]

    @property
    def next_redo(self) -> tuple[Entry, ...]:
        """What a redo brings back, the edit that it names first; a new edit leaves nothing."""
        return self.undone[-1] if self.undone else ()


def history(entries: Sequence[Entry]) -> History:
    """Find which edits of a log count.

    Parameters
    ----------
    entries
        The entries of the log, in order.

    Returns
    -------
    The history.
    """
    done: dict[int, Entry] = {}
    undone: dict[int, tuple[Entry, ...]] = {}
    followed: dict[int, int] = {}
    confirmed = None
    for entry in entries:
        action = entry.action
        if isinstance(action, Undo) and action.entry in done:
            taken = [number for number in done if action.entry in {number, followed.get(number)}]
            undone[action.entry] = tuple(done.pop(number) for number in sorted(taken))
        elif isinstance(action, Redo) and action.entry in undone:
            done |= {each.id: each for each in undone.pop(action.entry)}
        elif isinstance(action, Confirm):
            confirmed = entry
        elif isinstance(action, Reopen):
            confirmed = None
        elif not isinstance(action, Undo | Redo):
            if _follows(entry):
                followed[entry.id] = max((number for number in done if number not in followed), default=0)
            done[entry.id] = entry
            undone.clear()
    return History(tuple(done[number] for number in sorted(done)), tuple(undone.values()), confirmed)


def _follows(entry: Entry) -> bool:
    """Check whether an entry belongs to the edit before it."""
    return isinstance(entry.action, LabelSimilar)


def check_possible(action: Action, entries: Sequence[Entry]) -> None:
    """Check that an action is possible after the entries of a log.

    Parameters
    ----------
    action
        The action.
    entries
        The entries, in order.

    Raises
    ------
    EditError
        If it is not.
    """
    past = history(entries)
    if isinstance(action, Reopen):
        if past.confirmed is None:
            raise EditError("reopen: the results are not confirmed.")
    elif past.confirmed is not None:
        raise EditError(f"the results are confirmed by {past.confirmed.by}. Reopen them first.")
    if isinstance(action, Undo) and action.entry not in {entry.id for entry in past.done}:
        raise EditError(f"undo: entry {action.entry} is not an edit that counts.")
    if isinstance(action, Redo) and action.entry not in {entries[0].id for entries in past.undone}:
        raise EditError(f"redo: entry {action.entry} is not the edit that was undone last.")


def is_independent(action: Action, entry: Entry) -> bool:
    """Check that an action may follow an entry that its window has not seen.

    Parameters
    ----------
    action
        The action.
    entry
        The entry of another window.

    Returns
    -------
    False if they concern the same beats or events, or if either is more than an edit. A comment is
    independent of all, but what is confirmed must have been seen with its comments.
    """
    other = entry.action
    if isinstance(action, Confirm):
        return False
    if isinstance(action, Comment) or isinstance(other, Comment):
        return True
    if isinstance(action, Undo | Redo | Reopen) or isinstance(other, Undo | Redo | Confirm | Reopen):
        return False
    if isinstance(action, LabelSimilar) or isinstance(other, LabelSimilar):
        return True  # what a reader says goes before what is only similar
    (topic, spans), (other_topic, other_spans) = touched(action), touched(other)
    return topic != other_topic or not _overlap(spans, other_spans)


def touched(action: Edit) -> tuple[str, Samples]:
    """Return what an edit touches: BEATS or a kind of event, and its intervals in samples, [k, 2]."""
    if isinstance(action, RelabelBeats | LabelSimilar | DeleteBeats):
        return BEATS, np.stack((action.samples, action.samples + 1), axis=1)
    if isinstance(action, InsertBeat):
        return BEATS, _span(action.sample, action.sample + 1)
    if isinstance(action, MarkInterval | ExcludeRates):
        return BEATS, _span(action.start, action.stop)
    if isinstance(action, AddEvent):
        return action.kind, _span(action.onset, action.offset)
    event = getattr(action, "event", None)
    if event is None:
        return "", np.empty((0, 2), dtype=np.int64)
    spans = _span(event.onset, event.offset)
    if isinstance(action, MoveEvent):
        spans = merge_intervals(np.concatenate((spans, _span(action.onset, action.offset))))
    return event.kind, spans


def _span(start: int, stop: int) -> Samples:
    return np.array([[start, stop]], dtype=np.int64)


def _overlap(spans: Samples, others: Samples) -> bool:
    """Check whether any interval overlaps one of the others; both are in order and apart."""
    first = np.searchsorted(others[:, 1], spans[:, 0], side="right")
    last = np.searchsorted(others[:, 0], spans[:, 1], side="left")
    return bool((last > first).any())
