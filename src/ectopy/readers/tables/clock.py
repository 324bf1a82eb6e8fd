"""Times written as text: times of day, dates with times, and elapsed times such as ``0:01.004``."""

from collections.abc import Iterable
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ectopy.readers.tables.time_grid import UnusableTimesError

_DAY_S, _HOUR_S = 86_400.0, 3600.0
_DATE = r"(?P<date>\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d\d))"
_TIME = r"(?:(?P<h>\d{1,3}):)?(?P<m>\d{1,2}):(?P<s>\d{1,2})(?:[.,:](?P<f>\d{1,9}))?"
_HALF_AND_ZONE = r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?(?: ?(?P<zone>Z|UTC|GMT|[+-]\d\d:?(?:\d\d)?))?"
# rdsamp writes the date after the time, and both in brackets.
_DATE_AFTER = r"(?: (?P<date_after>[\d/.\-]{6,10}))?"
CLOCK = rf"""^[\s'"\[]*(?:{_DATE}[T ,]+)?{_TIME}{_HALF_AND_ZONE}{_DATE_AFTER}[\s'"\]]*$"""
"""Pattern of a time, which :mod:`re` and RE2 both understand."""
DATE_ONLY = rf"^{_DATE}$"
_MOST_TURNS = 1000


def read_clock(batches: Iterable[Any]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Read times as text, and let the clock pass midnight and the ends of summer time.

    Parameters
    ----------
    batches
        Times, each batch a PyArrow array of strings.

    Returns
    -------
    Seconds since the first time, [n_rows], and notes on how the times were read.

    Raises
    ------
    UnusableTimesError
        A text is no time.
    """
    of_day, codes, has_zone, without_hours, hours = [], [], False, False, (24, 0)
    dates: dict[str, int] = {}
    row = 0
    for batch in batches:
        fields = _fields(batch, row)
        hour = _whole(fields["h"])
        if _is_any(fields["half"]):
            hour = hour % 12 + 12 * _is_afternoon(fields["half"])
            hours = (0, 24)  # a clock with AM and PM is one of 24 hours
        offset = _offset_s(fields["zone"])
        of_day.append(hour * _HOUR_S + _whole(fields["m"]) * 60.0 + _seconds(fields) - offset)
        codes.append(_date_codes(fields, dates))
        has_zone = has_zone or _is_any(fields["zone"])
        without_hours = without_hours or _is_any(fields["h"], empty=True)
        hours = (min(hours[0], int(hour.min(initial=24))), max(hours[1], int(hour.max(initial=0))))
        row += len(batch)
    times = np.concatenate(of_day)
    dated = any(dates)
    days, notes = _days(list(dates), np.concatenate(codes), times) if dated else (0.0, ())
    times = times + days
    turns = [] if dated else [_DAY_S]
    turns += [_DAY_S / 2] if not dated and hours[0] >= 1 and hours[1] <= 12 else []
    turns += [_HOUR_S] if without_hours else []
    if has_zone:
        return times - times[0], notes
    unwrapped, turned = _unwrapped(times, turns, whole_days=not dated)
    return unwrapped - unwrapped[0], notes + turned


def _fields(batch: Any, row: int) -> dict[str, Any]:
    """Return the parts of each time, as text; an absent part is empty."""
    import pyarrow.compute as pc

    parts = pc.extract_regex(batch, CLOCK)
    if parts.null_count:
        bad = row + int(np.flatnonzero(~parts.is_valid().to_numpy(zero_copy_only=False))[0])
        raise UnusableTimesError("the time is neither a time of day nor a date with a time", row=bad)
    return {name: parts.field(name) for name in ("date", "date_after", "h", "m", "s", "f", "half", "zone")}


def _is_any(texts: Any, *, empty: bool = False) -> bool:
    """Return whether any text is not empty, or is ``empty``."""
    import pyarrow.compute as pc

    return bool(pc.any((pc.equal if empty else pc.not_equal)(texts, "")).as_py())


def _is_afternoon(texts: Any) -> NDArray[np.bool_]:
    import pyarrow.compute as pc

    return np.asarray(pc.equal(pc.utf8_lower(texts), "p").to_numpy(zero_copy_only=False), dtype=bool)


def _whole(texts: Any) -> NDArray[np.float64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    filled = pc.if_else(pc.equal(texts, ""), "0", texts)
    return np.asarray(filled.cast(pa.int64()).to_numpy(), dtype=np.float64)


def _seconds(fields: dict[str, Any]) -> NDArray[np.float64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    return np.asarray(
        pc.binary_join_element_wise(fields["s"], pc.utf8_rpad(fields["f"], 1, "0"), ".")
        .cast(pa.float64())
        .to_numpy()
    )


def _offset_s(zones: Any) -> NDArray[np.float64]:
    """Return the offset of each time zone from UTC in seconds, such as 3600 for ``+01:00``."""
    encoded = zones.dictionary_encode()
    seconds = [0.0]
    for zone in encoded.dictionary.to_pylist():
        digits = zone[1:].replace(":", "").ljust(4, "0") if zone[:1] in {"+", "-"} else "0000"
        seconds.append((int(digits[:2]) * 60 + int(digits[2:])) * (-60.0 if zone[:1] == "-" else 60.0))
    return np.asarray(np.array(seconds[1:])[encoded.indices.to_numpy()])


def _date_codes(fields: dict[str, Any], dates: dict[str, int]) -> NDArray[np.int64]:
    """Return a number for each date, and add new dates to ``dates``."""
    import pyarrow.compute as pc

    before = pc.equal(fields["date"], "")
    encoded = pc.if_else(before, fields["date_after"], fields["date"]).dictionary_encode()
    numbers = [dates.setdefault(text, len(dates)) for text in encoded.dictionary.to_pylist()]
    return np.asarray(np.array(numbers, dtype=np.int64)[encoded.indices.to_numpy()])


def _days(
    dates: list[str], codes: NDArray[np.int64], of_day: NDArray[np.float64]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return the seconds from the calendar until each row's midnight.

    In ``03/04/2024``, the day or the month comes first. Only the order counts in which all dates exist.
    If both do, the one in which the recording is shorter counts: the other one would have a gap of weeks.
    """
    orders = {"day/month": _ordinals(dates, day=0), "month/day": _ordinals(dates, day=1)}
    possible = {name: days[codes] * _DAY_S for name, days in orders.items() if days is not None}
    if not possible:
        raise UnusableTimesError("some dates do not exist", row=0)
    spans = {name: float(np.ptp(days + of_day)) for name, days in possible.items()}
    name = min(spans, key=spans.__getitem__)
    differ = len(spans) == 2 and spans["day/month"] != spans["month/day"]
    return possible[name], (f"the dates are read as {name}/year",) if differ else ()


def _ordinals(dates: list[str], *, day: int) -> NDArray[np.float64] | None:
    """Return the number of each day; ``day`` is the place of the day in dates that begin without the year."""
    numbers = []
    for text in dates:
        parts = [int(part) for part in text.replace("/", "-").replace(".", "-").split("-") if part]
        year_first = len(text) > 4 and text[:4].isdigit()
        try:
            year, month, number = parts if year_first else (parts[2], parts[1 - day], parts[day])
            numbers.append(date(year + 2000 * (year < 100), month, number).toordinal())
        except (ValueError, IndexError):
            return None
    return np.array(numbers, dtype=np.float64)


def _unwrapped(
    times: NDArray[np.float64], turns: list[float], *, whole_days: bool
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return the times of a clock that runs on where it begins again and where summer time begins or ends.

    ``turns`` are the times in s after which it may begin again.
    """
    steps = np.diff(times)
    rising = steps[steps > 0]
    if not len(rising):
        return times, ()
    period = float(np.median(rising))
    falls = np.flatnonzero(steps < 0)
    hour_later = np.abs(steps - _HOUR_S - period) <= 0.5 * period
    on_the_hour = (times[1:] + 1e-6) % _HOUR_S <= period
    skips = np.flatnonzero(hour_later & on_the_hour)
    if len(falls) + len(skips) > _MOST_TURNS:
        return times, ()
    added, notes = np.zeros(len(times)), []
    for at in falls:
        turn = next((turn for turn in turns if abs(steps[at] + turn - period) <= 0.5 * period), None)
        if turn is None and whole_days and steps[at] < -_DAY_S / 2:
            turn = _DAY_S
        if turn is None and abs(steps[at] + _HOUR_S - period) <= 0.5 * period:
            turn = _HOUR_S
            notes.append("the clock is set back by an hour, and the rows are read without an overlap")
        added[at + 1] += turn or 0.0
    for at in skips:
        added[at + 1] -= _HOUR_S
        notes.append("the clock is put forward by an hour, and the rows are read without a gap")
    return times + np.cumsum(added), tuple(dict.fromkeys(notes))
