"""What a report says when a reader has confirmed it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ectopy.confirmed import confirmed_by
from ectopy.ecg import Event


@dataclass(frozen=True)
class Confirmation:
    """Who confirmed a report and when, and what the reader changed.

    ``by`` are the initials of the reader, and ``at`` is the time in UTC (ISO 8601). ``changes`` has one
    sentence for each change. ``comments`` are pairs of a subject and what the reader wrote on it.
    ``strip_starts`` are the samples at which strips begin that the reader has chosen, by event.
    """

    by: str
    at: str
    changes: tuple[str, ...] = ()
    comments: tuple[tuple[str, str], ...] = ()
    strip_starts: Mapping[Event, int] = field(default_factory=dict)

    @property
    def when(self) -> str:
        """The time for readers, to the minute."""
        return f"{self.at[:16].replace('T', ' ')} UTC"

    @property
    def short(self) -> str:
        """Who and on which day, as in summary.csv."""
        return confirmed_by(self.by, self.at)

    def __str__(self) -> str:
        return f"Confirmed by {self.by} on {self.when}."
