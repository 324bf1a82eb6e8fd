"""List every episode of each kind: what stands behind the findings."""

from collections.abc import Iterator
from typing import NamedTuple

from ectopy.ecg import Analysis, Event
from ectopy.report.times import Clock
from ectopy.rhythm.kinds import KINDS, EventKind
from ectopy.rhythm.wording import duration, whole_bpm

MAX_EPISODES = 200
"""Maximum number of episodes of a kind that the page lists; events.csv has all."""


class EpisodeList(NamedTuple):
    """The episodes of one kind. ``rows`` have when and how long, as text.

    Those of a kind with a rate also have how many beats and how fast.
    """

    kind: EventKind
    n_episodes: int
    rows: list[tuple[str, ...]]


def episode_lists(analysis: Analysis) -> list[EpisodeList]:
    """List the episodes of each kind in order of time.

    Parameters
    ----------
    analysis
        The analysis of a recording.

    Returns
    -------
    The kinds that occur, in the order of the registry.
    """
    return list(_lists(analysis))


def _lists(analysis: Analysis) -> Iterator[EpisodeList]:
    clock = Clock.of(analysis)
    for kind in KINDS.values():
        if events := analysis.events_of(kind.name):
            rows = [_row(event, kind, clock) for event in events[:MAX_EPISODES]]
            yield EpisodeList(kind, len(events), rows)


def _row(event: Event, kind: EventKind, clock: Clock) -> tuple[str, ...]:
    when = (clock.moment(event.onset_s), duration(event.duration_s))
    if not kind.has_rate:
        return when
    return (*when, f"{event.n_beats:,}", f"{whole_bpm(event.rate_bpm)} bpm" if event.rate_bpm > 0 else "")
