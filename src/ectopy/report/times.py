"""Times as a reader wants them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ectopy.rhythm.wording import elapsed


@dataclass(frozen=True)
class Clock:
    """Times since the start of a recording, and by the clock where the recording knows it."""

    start: datetime | None

    def time(self, seconds: float) -> str:
        """Time of day, or since the start where that is not known."""
        if self.start is None:
            return elapsed(seconds)
        return f"{self.start + timedelta(seconds=seconds):%H:%M:%S}"

    def both(self, seconds: float) -> str:
        """Time since the start, followed by the time of day where it is known."""
        return elapsed(seconds) if self.start is None else f"{elapsed(seconds)} ({self.time(seconds)})"
