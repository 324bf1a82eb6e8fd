"""What a text file says before its rows: rate, unit, lead and start; patient data is not read."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from ectopy.ecg import HIGHEST_HZ, LOWEST_HZ
from ectopy.readers.lead_names import lead_of
from ectopy.readers.validation import millivolts

_MOST_LINES = 100
_PAIR = re.compile(r"[#;%\s\"']*([^\W\d][\w \-.'\u2019()/]{0,60}?)[\"']?\s*[:=,;\t]\s*[\"']?([^\"']{1,80})")
_RATE_KEYS = """
fs sampling_rate sample_rate sampling_frequency sample_frequency samplerate rate frequency hz abtastrate
abtastfrequenz messrate
"""
RATE_KEYS = frozenset(_RATE_KEYS.split())
_UNIT_KEYS = ("unit", "units", "einheit")
_LEAD_KEYS = """
lead ableitung dérivation derivación derivazione derivação afleiding avledning afledning kytkentä
odprowadzenie svod elvezetés отведение 导联 導聯 導程 誘導 유도
"""
LEAD_KEYS = frozenset(_LEAD_KEYS.split())
_START_KEYS = (
    "recorded date",
    "recording date",
    "start",
    "start time",
    "starttime",
    "start_time",
    "date",
    "datetime",
    "aufnahmedatum",
    "aufzeichnungsdatum",
)
_START = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?")
_START_WITH_ZONE = re.compile(rf"{_START.pattern} ?(Z|[+-]\d\d:?\d\d)")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
# Hertz in the languages of recorders: hertz, Herz, herc, hercios, hertsi, ...
_HERTZ = re.compile(
    r"\d+(?:[.,]\d+)*\s*k?(hz|her[tcz]\w{0,6}|гц|герц\w?|赫兹|赫茲|ヘルツ|헤르츠|χερτζ|เฮิรตซ์|هرتز|הרץ)",
    re.IGNORECASE,
)
_FILTER = re.compile(r"filt|notch|pass|mains|netz|line|cut|band", re.IGNORECASE)
_SMALL_VOLTAGE = re.compile("[\N{MICRO SIGN}\N{GREEK SMALL LETTER MU}um]V")


@dataclass(frozen=True)
class Preamble:
    """What a file says before its rows; ``rates`` are the readings of the sampling rate in Hz."""

    rates: tuple[float, ...] = ()
    unit: str = ""
    lead: str = ""
    start: datetime | None = None
    n_pairs: int = 0


def read_preamble(lines: Sequence[str]) -> Preamble:
    """Read the lines before the rows, one pair of key and value each, such as ``Sample Rate,512 hertz``."""
    pairs = [pair.groups() for line in lines[:_MOST_LINES] if (pair := _PAIR.match(line))]
    values = {key.strip().casefold(): value.strip() for key, value in pairs}
    return Preamble(rates_in(values), _unit(values), _lead(values), start_in(values), len(pairs))


def is_pair(line: str) -> bool:
    """Return whether a line is a key with its value."""
    return bool(_PAIR.match(line))


def rates_in(values: Mapping[str, str]) -> tuple[float, ...]:
    """Return the readings of the rate in Hz from keys such as ``fs``, or from the only value in hertz."""
    for key, value in values.items():
        plain = re.sub(r"\s*\(.*", "", key.strip().casefold())  # Sampling frequency(Hz)
        if re.sub(r"[\s\-]+", "_", plain) in RATE_KEYS and (rates := _readings(value)):
            return rates
    in_hertz = {value for key, value in values.items() if _HERTZ.fullmatch(value) and not _FILTER.search(key)}
    return _readings(in_hertz.pop()) if len(in_hertz) == 1 else ()


def start_in(values: Mapping[str, str]) -> datetime | None:
    """Return local date and time of the start, if the file states both; a time zone is ignored."""
    known = [values[key] for key in _START_KEYS if key in values]
    with_zone = [value for value in values.values() if _START_WITH_ZONE.fullmatch(value)]
    for value in [*known, *(with_zone if len(with_zone) == 1 else [])]:
        if match := _START.match(value):
            with suppress(ValueError):
                return datetime.fromisoformat(match[0])
    return None


def _readings(text: str) -> tuple[float, ...]:
    """Return the plausible readings of a rate: ``511,562`` is 511.562 Hz, and ``50,000`` may be two rates."""
    number = _NUMBER.search(text)
    if not number:
        return ()
    digits = number[0]
    factor = 1000.0 if re.match(r"\s*khz", text[number.end() :], re.IGNORECASE) else 1.0
    last = max(digits.rfind(","), digits.rfind("."))
    mixed = "," in digits and "." in digits
    as_decimal = re.sub("[.,]", "", digits[: max(last, 0)]) + digits[max(last, 0) :].replace(",", ".")
    grouped = re.sub("[.,]", "", digits)
    if re.fullmatch(r"\d{1,3}(,\d{3})+", digits):
        texts = [as_decimal, grouped] if digits.count(",") == 1 else [grouped]
    else:
        texts = [as_decimal] if mixed or digits.count(".") + digits.count(",") < 2 else [grouped]
    rates = [float(text) * factor for text in texts]
    plausible = tuple(rate for rate in rates if LOWEST_HZ <= rate <= HIGHEST_HZ)
    return plausible or tuple(rates[:1])


def _unit(values: Mapping[str, str]) -> str:
    """Return the unit of the values, in any language: the line whose value is a unit of voltage."""
    known = [values[key] for key in _UNIT_KEYS if millivolts(values.get(key, "").strip(" '\"[]()"))]
    small = [value for value in values.values() if _SMALL_VOLTAGE.fullmatch(value)]
    return next(iter(known or small), "").strip(" '\"[]()")


def _lead(values: Mapping[str, str]) -> str:
    """Return the lead, in any language: of a known key, or of a value that repeats its key."""
    for key, value in values.items():
        repeats = value.casefold().startswith(f"{key} ")
        named = value[len(key) :].strip() if repeats else value
        if key in LEAD_KEYS or (repeats and lead_of(named)):
            return lead_of(named) or named
    return ""
