"""Find the longest and the fastest event of each kind."""

from collections.abc import Iterator
from operator import attrgetter
from typing import NamedTuple

from ectopy.ecg import Analysis, Event
from ectopy.rhythm.kinds import KINDS, EventKind


class KindExtremes(NamedTuple):
    """Extremes of the events of one kind that occurs.

    ``fastest`` is None for a kind without a rate, and for one that is defined by a low rate; such a kind has
    ``slowest``. Of equal events the first counts.
    """

    kind: EventKind
    n_events: int
    longest: Event
    fastest: Event | None
    slowest: Event | None


def find_extremes(analysis: Analysis) -> Iterator[KindExtremes]:
    """Find the extremes of each kind whose events differ in length.

    Parameters
    ----------
    analysis
        The analysis of a recording.

    Yields
    ------
    Extremes of each kind that occurs, in the order of the registry.
    """
    for kind in KINDS.values():
        events = analysis.events_of(kind.name) if kind.has_length else []
        if events:
            rated = [event for event in events if event.rate_bpm > 0] if kind.has_rate else []
            yield KindExtremes(
                kind,
                len(events),
                longest=max(events, key=attrgetter("duration_s")),
                fastest=None if kind.is_slow else max(rated, key=attrgetter("rate_bpm"), default=None),
                slowest=min(rated, key=attrgetter("rate_bpm"), default=None) if kind.is_slow else None,
            )
