"""Write times for readers: since the start of the recording, and the time of day where it is known."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ectopy.ecg import Analysis
from ectopy.rhythm.wording import elapsed

DAY_S = 86_400.0
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")  # strftime would use the locale


def has_days(duration_s: float) -> bool:
    """Return whether a recording is longer than a day; recorders run some minutes longer than they should."""
    return duration_s > DAY_S * 1.01


@dataclass(frozen=True)
class Clock:
    """Clock of a recording: writes times since its start, and times of day where the start is known.

    ``dated`` adds the date to times of day, for a recording of several days.
    """

    start: datetime | None
    dated: bool = False

    @classmethod
    def of(cls, analysis: Analysis) -> "Clock":
        """Return the clock of the recording of an analysis."""
        return cls(analysis.start, dated=has_days(analysis.duration_s))

    def moment(self, seconds: float) -> str:
        """Return both times, but in a recording of several days the date and the time of day alone."""
        if self.start is None or not self.dated:
            return self.both(seconds)
        return f"{self.start + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S}"

    def short(self, seconds: float) -> str:
        """Return the time of day, in a recording of several days with month and day."""
        if self.start is None or not self.dated:
            return self.time(seconds)
        return f"{self.start + timedelta(seconds=seconds):%m-%d %H:%M}"

    def time(self, seconds: float) -> str:
        """Return the time of day, or the time since the start where the time of day is not known."""
        if self.start is None:
            return elapsed(seconds)
        return f"{self.start + timedelta(seconds=seconds):%H:%M:%S}"

    def both(self, seconds: float) -> str:
        """Return the time since the start, followed by the time of day where it is known."""
        if self.start is None:
            return elapsed(seconds)
        date = f"{self.start + timedelta(seconds=seconds):%Y-%m-%d} " if self.dated else ""
        return f"{elapsed(seconds)} ({date}{self.time(seconds)})"

    def day(self, number: int, seconds: float) -> str:
        """Return the name of a day of the recording: its date where it is known, else its number.

        Parameters
        ----------
        number
            Number of the day, from 1 on.
        seconds
            A time on that day, since the start of the recording.

        Returns
        -------
        For example ``Thu 2024-02-29``.
        """
        if self.start is None:
            return f"Day {number}"
        moment = self.start + timedelta(seconds=seconds)
        return f"{_WEEKDAYS[moment.weekday()]} {moment:%Y-%m-%d}"
