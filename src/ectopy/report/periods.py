"""Cut a recording into hours and days, and compute the statistics of each.

Days and hours are those of the recorder's clock, which knows no time zone: a day has 24 hours, also when
summer time begins or ends.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ectopy.report.statistics import RecordingStats, Stats, stats
from ectopy.report.times import DAY_S

HOUR_S = 3600.0
_SHORTEST_HOUR_S = 1.0
"""A shorter rest is no hour of its own: edges of days and hours differ by rounding."""


class Day(NamedTuple):
    """Statistics of one day of a recording, and of each of its hours."""

    stats: Stats
    hours: tuple[Stats, ...]


def by_period(recording: RecordingStats, period_s: float) -> Iterator[Stats]:
    """Compute the statistics of each period of a recording.

    Parameters
    ----------
    recording
        The values that all periods need.
    period_s
        Length of a period in seconds. The last period may be shorter. A rest below a tenth of a period is
        added to it.

    Returns
    -------
    Statistics of each period, with ``start_s`` and ``stop_s``.
    """
    end = recording.analysis.duration_s
    starts = [0.0, *np.arange(period_s, end - period_s / 10, period_s).tolist()]
    return _between(recording, (*starts, end))


def by_day(recording: RecordingStats) -> Iterator[Stats]:
    """Compute the statistics of each day of a recording that has more than one.

    Days are calendar days, from midnight to midnight. If the start of the recording is not known, they are
    24 hours from its start, as in :func:`by_period`.

    Parameters
    ----------
    recording
        The values that all days need.

    Returns
    -------
    Statistics of each day, with ``date`` (ISO 8601, or None), ``start_s`` and ``stop_s``. None if the
    recording lies within one day.
    """
    analysis = recording.analysis
    if analysis.start is None:
        days = list(by_period(recording, DAY_S)) if analysis.duration_s > DAY_S else []
        yield from ({"date": None, **day} for day in days if len(days) > 1)
        return
    edges_s = midnights_s(analysis.start, analysis.duration_s)
    if not edges_s:
        return
    days = list(_between(recording, (0.0, *edges_s, analysis.duration_s)))
    for number, day in enumerate(days):
        yield {"date": _date(analysis.start, number).isoformat(), **day}


def midnights_s(start: datetime, duration_s: float) -> list[float]:
    """Return the midnights within a recording, in seconds from its start.

    Parameters
    ----------
    start
        Time of day of the first sample.
    duration_s
        Length of the recording in seconds.

    Returns
    -------
    Times above 0 and below the length.
    """
    first_s = DAY_S - _into_s(start, DAY_S)
    return np.arange(first_s, duration_s, DAY_S).tolist()


def with_hours(recording: RecordingStats, days: Sequence[Stats]) -> list[Day]:
    """Compute the statistics of the hours of each day.

    Parameters
    ----------
    recording
        The values that all hours need.
    days
        Statistics of the days, of :func:`by_day`.

    Returns
    -------
    The days. Their hours begin on the hour; without a known start they are counted from the start.
    """
    start, end_s = recording.analysis.start, recording.analysis.duration_s
    first_s = 0.0 if start is None else -_into_s(start, HOUR_S) % HOUR_S
    on_the_hour = np.arange(first_s, end_s, HOUR_S)
    return [Day(day, tuple(_between(recording, _hours_of(day, on_the_hour)))) for day in days]


def _hours_of(day: Stats, on_the_hour: np.ndarray) -> list[float]:
    start_s, stop_s = float(str(day["start_s"])), float(str(day["stop_s"]))
    inside = (on_the_hour > start_s + _SHORTEST_HOUR_S) & (on_the_hour < stop_s - _SHORTEST_HOUR_S)
    return [start_s, *on_the_hour[inside].tolist(), stop_s]


def _between(recording: RecordingStats, edges_s: Sequence[float]) -> Iterator[Stats]:
    """Compute the statistics between each edge and the next one."""
    for start, stop in pairwise(edges_s):
        yield {"start_s": start, "stop_s": stop, **stats(recording, start, stop)}


def _into_s(start: datetime, period_s: float) -> float:
    """Return how far a time of day is into its day or hour, in seconds."""
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    return (start - midnight).total_seconds() % period_s


def _date(start: datetime, number: int) -> date:
    return start.date() + timedelta(days=number)
