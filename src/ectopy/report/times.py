"""Write times for readers: since the start of the recording, and the time of day where it is known."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ectopy.rhythm.wording import elapsed


@dataclass(frozen=True)
class Clock:
    """Clock of a recording: writes times since its start, and times of day where the start is known."""

    start: datetime | None

    def time(self, seconds: float) -> str:
        """Return the time of day, or the time since the start where the time of day is not known."""
        if self.start is None:
            return elapsed(seconds)
        return f"{self.start + timedelta(seconds=seconds):%H:%M:%S}"

    def both(self, seconds: float) -> str:
        """Return the time since the start, followed by the time of day where it is known."""
        return elapsed(seconds) if self.start is None else f"{elapsed(seconds)} ({self.time(seconds)})"
