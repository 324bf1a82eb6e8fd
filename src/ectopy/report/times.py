"""Times as a reader wants them."""

from dataclasses import dataclass
from datetime import datetime, timedelta


def elapsed(seconds: float) -> str:
    """Time since the start of the recording as h:mm:ss."""
    minutes, second = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"


def duration(seconds: float) -> str:
    """Write a length of time in its two greatest units."""
    if seconds < 59.95:
        return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours} h {minute} min" if hours else f"{minute} min {second} s"


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
