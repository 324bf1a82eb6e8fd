"""What a reader changed in the automatic analysis: in numbers, in sentences and as ``changes.json``."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ectopy.ecg import Event
from ectopy.report.beat_letters import BEAT_NAMES, PACED, class_of, shown_letters
from ectopy.report.confirmation import Confirmation
from ectopy.report.statistics import Stats, recording_stats, stats
from ectopy.review.edits import Entry, LabelSimilar
from ectopy.review.reviewed_events import EventStatus, ReviewedEvent
from ectopy.review.state import ReviewState
from ectopy.rhythm.kinds import KINDS
from ectopy.rhythm.wording import count, elapsed

SCHEMA_VERSION = 1
NONE = ""
"""Label of a beat that is not there, before or after."""
LONGEST_THOUGHT_S = 120.0
"""A longer time between two edits is a break."""
COMPARED = (
    "n_beats",
    "hr_mean_bpm",
    "hr_min_bpm",
    "hr_max_bpm",
    "n_veb",
    "n_sveb",
    "n_couplets",
    "n_vt_runs",
    "longest_vt_beats",
    "n_sv_runs",
    "n_pauses",
    "longest_pause_s",
    "af_burden_pct",
)
"""Figures that ``changes.json`` gives before and after."""


class LabelChange(NamedTuple):
    """Number of beats whose class was changed, by their letters on the pages; "" where there is no beat."""

    was: str
    to: str
    n: int


@dataclass(frozen=True, eq=False)
class Changes:
    """What a reader changed.

    ``labels`` are the beats whose class differs from the automatic one, by both letters. ``events`` are those
    that a reader rejected, changed or added. ``decisions`` is the number of edits that count.
    """

    state: ReviewState
    labels: tuple[LabelChange, ...]
    events: tuple[ReviewedEvent, ...]
    decisions: int

    @property
    def corrections(self) -> int:
        """Number of beats that the reader corrected."""
        return sum(change.n for change in self.labels)

    @property
    def per_1000_beats(self) -> float | None:
        """Corrections per 1,000 automatic beats; None if there are no beats."""
        n_beats = len(self.state.automatic.beats)
        return round(1000 * self.corrections / n_beats, 3) if n_beats else None

    @cached_property
    def figures(self) -> dict[str, tuple[object, object]]:
        """Figures that differ, before and after."""
        before, after = _figures(self.state.automatic), _figures(self.state.analysis)
        return {name: (before[name], after[name]) for name in COMPARED if before[name] != after[name]}

    def sentences(self) -> tuple[str, ...]:
        """Return one sentence for each change."""
        return (*map(_label_sentence, self.labels), *map(_event_sentence, self.events))

    def comments(self) -> tuple[tuple[str, str], ...]:
        """Return the comments, each with its subject."""
        on_events = ((_title(item.event), item.comment) for item in self.state.events if item.comment)
        return (*([("Recording", self.state.comment)] if self.state.comment else []), *on_events)


def find_changes(state: ReviewState) -> Changes:
    """Find what a reader changed in the automatic analysis.

    Parameters
    ----------
    state
        The reviewed state.

    Returns
    -------
    The changes.
    """
    own = (EventStatus.REJECTED, EventStatus.CHANGED, EventStatus.ADDED)
    return Changes(
        state,
        _label_changes(state),
        tuple(item for item in state.events if item.status in own),
        sum(not isinstance(entry.action, LabelSimilar) for entry in state.history.done),
    )


def review_seconds(entries: Sequence[Entry]) -> float:
    """Estimate how long a review took, from the times of its entries; a long break counts as two minutes."""
    times = [datetime.fromisoformat(entry.at).timestamp() for entry in entries]
    return round(float(np.clip(np.diff(times), 0, LONGEST_THOUGHT_S).sum()), 1)


def changes_document(changes: Changes, confirmation: Confirmation, *, seconds: float) -> dict[str, Any]:
    """Return the content of ``changes.json``.

    Parameters
    ----------
    changes
        What the reader changed.
    confirmation
        Who confirmed the results, and when.
    seconds
        How long the review took.

    Returns
    -------
    JSON values.
    """
    state = changes.state
    return {
        "schema_version": SCHEMA_VERSION,
        "recording": state.automatic.name,
        "confirmed_by": confirmation.by,
        "confirmed_at": confirmation.at,
        "base": state.base,
        "last_entry": state.last_id,
        "decisions": changes.decisions,
        "seconds": seconds,
        "n_beats": len(state.automatic.beats),
        "corrections": changes.corrections,
        "corrections_per_1000_beats": changes.per_1000_beats,
        "beats": _classes_changed(changes.labels),
        "events": [_event_document(item) for item in changes.events],
        "figures": {
            name: {"automatic": before, "confirmed": after}
            for name, (before, after) in changes.figures.items()
        },
        "conflicts": [conflict._asdict() for conflict in state.conflicts],
    }


def _label_changes(state: ReviewState) -> tuple[LabelChange, ...]:
    """Count the beats by their letters before and after, where their classes differ."""
    before, after = state.automatic.beats, state.beats
    sample = np.concatenate((before.sample, np.setdiff1d(after.sample, before.sample)))
    was, to = np.full((2, len(sample)), NONE, dtype="U1")
    was[: len(before)] = shown_letters(state.automatic)
    order = np.argsort(sample, kind="stable")
    to[order[np.searchsorted(sample[order], after.sample)]] = shown_letters(state.analysis)
    counts = Counter(zip(was.tolist(), to.tolist(), strict=True))
    return tuple(
        LabelChange(*letters, n)
        for letters, n in sorted(counts.items())
        if len(set(map(class_of, letters))) > 1  # a beat that is no longer in paced rhythm keeps its class
    )


def _classes_changed(changes: Sequence[LabelChange]) -> list[dict[str, object]]:
    """Return the changes by class, as files have it: a paced beat is one of class Q."""
    counts: Counter[tuple[str, str]] = Counter()
    for was, to, n in changes:
        counts[class_of(was), class_of(to)] += n
    return [{"was": was or None, "to": to or None, "n": n} for (was, to), n in sorted(counts.items())]


def _figures(analysis: Any) -> Stats:
    return stats(recording_stats(analysis), 0, analysis.duration_s)


def _label_sentence(change: LabelChange) -> str:
    beats = count(change.n, "beat")
    was, to = _spoken(change.was), _spoken(change.to)
    if change.was == NONE:
        return f"{beats} added as {to}"
    if change.to == NONE:
        return f"{beats} called {was} left out, as artefact or as no beat"
    return f"{beats} relabelled from {was} to {to}"


def _spoken(letter: str) -> str:
    """Return a letter as a sentence has it: P is paced, because readers know P as a wave."""
    return BEAT_NAMES[PACED].lower() if letter == PACED else letter


def _event_sentence(item: ReviewedEvent) -> str:
    if item.status != EventStatus.CHANGED or item.was is None:
        return f"{_title(item.event)}: {item.status}"
    if item.was.kind != item.event.kind:
        return f"{_title(item.was)}: now {KINDS[item.event.kind].title.lower()}"
    return f"{_title(item.was)}: now from {elapsed(item.event.onset_s)} to {elapsed(item.event.offset_s)}"


def _title(event: Event) -> str:
    return f"{KINDS[event.kind].title} at {elapsed(event.onset_s)}"


def _event_document(item: ReviewedEvent) -> dict[str, object]:
    was = None if item.was is None else _span(item.was)
    return {"status": str(item.status), **_span(item.event), "was": was}


def _span(event: Event) -> dict[str, object]:
    return {"kind": event.kind, "onset_s": round(event.onset_s, 3), "offset_s": round(event.offset_s, 3)}
