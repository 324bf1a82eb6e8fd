"""Infer the columns of a table from their names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ectopy.readers.lead_names import is_numbered, is_other, lead_of, name_for_notes
from ectopy.readers.validation import millivolts, note_on_unit, unique_names

# By case-folded name.
SECONDS = {
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "ms": 1e-3,
    "msec": 1e-3,
    "milliseconds": 1e-3,
}
SECONDS |= {"us": 1e-6, "\N{GREEK SMALL LETTER MU}s": 1e-6, "ns": 1e-9, "min": 60.0}
_TIME = re.compile(
    r"(elapsed\s*)?(time\w*|t|timestamp\w*|date\s*/?\s*time|seconds?|sec|msec|ms|unix|epoch|utc"
    r"|uhrzeit|zeit\w*|laufzeit|temps|heure|tiempo|hora|fecha y hora|tempo|ora|tijd\w*|tid|aika|czas"
    r"|čas|elapsed|время|时间|時間|時刻|시간)",
    re.IGNORECASE,
)
_TIME_OF_SOMETHING = re.compile(
    r"(unix|epoch|utc|local|phone|host|pc|system|sensor|device|sample|packet|recording|relative|rel)"
    r"\s*(time|date)[\w ]*",
    re.IGNORECASE,
)
_DATE = re.compile(r"date|datum|fecha|data e ora|horodatage", re.IGNORECASE)
_BRACKETS = re.compile(r"\s*[(\[].*")
_COUNTER = re.compile(
    r"(unnamed: 0|index|idx|n|no\.?|row|samples?(\s*(#|no\.?|number|index|num))?|n?seq|#|)", re.IGNORECASE
)
VALUES = re.compile(
    r"(values?|signals?|voltage|amplitude|potential|data|raw|ecg\w*|ekg\w*|m?v|uv)", re.IGNORECASE
)
_WITH_UNIT = re.compile(r"(?P<name>.*?)[\s_]*[(\[/_,]\s*(?P<unit>[^\W\d_]{1,12})\s*[)\]]?")

_LONGEST_NAME = 100
_MOST_NUMBERS = 12


@dataclass(frozen=True)
class Columns:
    """Columns by number: time in units of ``time_s`` seconds, names of leads, and their units in mV.

    ``time_s`` is None if no unit is stated. ``left_out`` are the columns that are neither times, nor leads,
    nor numbers of rows.
    """

    time: int | None
    time_s: float | None
    leads: Mapping[int, str]
    in_mv: Mapping[int, float]
    named: bool
    """Whether a column name identifies the table as ECG."""
    offset_mv: Mapping[int, float] = field(default_factory=dict)
    left_out: tuple[int, ...] = ()
    without_unit: tuple[int, ...] = ()
    """Leads whose unit nobody states; they are in mV unless the user knows better."""

    def in_unit(self, unit: str | None) -> tuple["Columns", tuple[str, ...]]:
        """Return the columns with the unit that a user gives for leads without one, and a note on it."""
        if not unit or not self.without_unit:
            return self, ()
        given = dict.fromkeys(self.without_unit, millivolts(unit) or 1.0)
        return replace(self, in_mv={**self.in_mv, **given}), note_on_unit(
            [(name_for_notes(self.leads[column], column + 1), "") for column in self.without_unit], unit
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the columns that are left out, by number: a name may be a patient's."""
        if not self.left_out:
            return ()
        numbers = ", ".join(str(column + 1) for column in self.left_out[:_MOST_NUMBERS])
        more = ", ..." if len(self.left_out) > _MOST_NUMBERS else ""
        one = len(self.left_out) == 1
        return (
            (f"column {numbers} is left out: it is not an ECG lead",)
            if one
            else (f"columns {numbers}{more} are left out: they are not ECG leads",)
        )


def split_unit(name: str) -> tuple[str, str]:
    """Split ``II (mV)``, ``II [uV]`` and ``time_ms`` into name and unit; the unit may be empty."""
    match = _WITH_UNIT.fullmatch(name)
    unit = match["unit"].casefold() if match else ""
    if match and (millivolts(unit) or unit in SECONDS):
        return match["name"].strip(), unit
    return name, ""


def infer_columns(
    names: Sequence[str], units: Sequence[str] = (), *, unit: str = "", lead: str = ""
) -> Columns:
    """Find the columns of time and leads by their names.

    Parameters
    ----------
    names
        Names of the columns, possibly with units.
    units
        Units of the columns, if the table has a row of them.
    unit
        Unit of all leads, from the metadata of the table.
    lead
        Name of the only lead, from the metadata of the table.

    Returns
    -------
    The columns; those that are neither a time nor a lead are left out.
    """
    parts = [split_unit(name.strip(" '\"\ufeff")[:_LONGEST_NAME]) for name in names]
    plain = [name for name, _ in parts]
    own = [
        part_unit or (units[column].strip(" '\"") if column < len(units) else "")
        for column, (_, part_unit) in enumerate(parts)
    ]
    time = _time_of(plain, own)
    in_mv = {n: millivolts(own[n] or unit or "mV") for n in range(len(plain)) if n != time}
    volts = {n: factor for n, factor in in_mv.items() if factor}
    named = {n: name for n in volts if (name := lead_of(plain[n]))}
    leads = named or {
        n: lead if lead and len(volts) == 1 else plain[n] or f"lead {n + 1}"
        for n in volts
        if not _COUNTER.fullmatch(plain[n])
        and not is_other(plain[n])
        and (VALUES.fullmatch(plain[n]) or is_numbered(plain[n]))
    }
    return Columns(
        time=time,
        time_s=_seconds(own[time], plain[time]) if time is not None else None,
        leads=dict(zip(leads, unique_names(leads.values()), strict=True)),
        in_mv={n: volts[n] for n in leads},
        named=bool(named) or bool(leads and (time is not None or lead)),
        without_unit=tuple(n for n in leads if not own[n] and not unit),
        left_out=tuple(
            n
            for n in range(len(plain))
            if n not in {time, *leads} and not _COUNTER.fullmatch(plain[n]) and not _DATE.fullmatch(plain[n])
        ),
    )


def is_time(name: str) -> bool:
    """Return whether a column has the name of a time."""
    plain, unit = split_unit(name[:_LONGEST_NAME])
    return _time_of([plain], [unit]) is not None


def _seconds(unit: str, name: str) -> float | None:
    return SECONDS.get(unit.casefold(), SECONDS.get(name.casefold()))


def _time_of(names: Sequence[str], units: Sequence[str]) -> int | None:
    """Return the column with the name of a time, if there is one; of dates only if there is no other."""
    plain = [_BRACKETS.sub("", name).replace("_", " ") for name in names]
    for pattern in (_TIME, _TIME_OF_SOMETHING, _DATE):
        for column, name in enumerate(plain):
            if pattern.fullmatch(name) and not millivolts(units[column]):
                return column
    return None
