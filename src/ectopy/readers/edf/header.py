"""What the header of an EDF or BDF file says, held against the size of the file."""

import math
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path

from ectopy.ecg import UnreadableError
from ectopy.readers.validation import read_stored

ANNOTATIONS = {"EDF Annotations", "BDF Annotations"}
_MOST_SIGNALS = 2048
# By width, in the order of the file; of each field the values of all signals follow one another.
_SIGNAL_FIELDS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_PIVOT = 85
"""Years from here on are of the last century."""


@dataclass(frozen=True)
class SignalHeader:
    """One signal; ``digital * gain + offset`` is in its unit, NaN where the header makes no sense of it."""

    label: str
    transducer: str
    unit: str
    gain: float
    offset: float
    per_record: int


@dataclass(frozen=True)
class Header:
    """One file: ``n_records`` data records of ``record_s`` seconds from byte ``n_bytes``."""

    path: Path
    n_bytes: int
    sample_bytes: int
    discontinuous: bool
    n_records: int
    record_s: float
    start: datetime | None
    signals: tuple[SignalHeader, ...]

    @cached_property
    def places(self) -> tuple[slice, ...]:
        """Where in a data record the bytes of each signal lie."""
        ends = accumulate((signal.per_record * self.sample_bytes for signal in self.signals), initial=0)
        return tuple(slice(*pair) for pair in pairwise(ends))

    @property
    def record_bytes(self) -> int:
        """Size of a data record."""
        return int(self.places[-1].stop)


def read_header(path: Path) -> Header:
    """Read a header; who was recorded is dropped unread."""
    size = path.stat().st_size
    fixed = bytes(read_stored(path, "u1", first=0, count=min(256, size)))
    if len(fixed) < 256 or not (fixed[:8].strip(b" \0") == b"0" or fixed[:8] == b"\xffBIOSEMI"):
        raise UnreadableError(f"{path}: a header of EDF or BDF expected, something else came")
    n_signals = _whole(path, fixed[252:256], "number of signals")
    n_bytes = 256 * (n_signals + 1)
    if not 1 <= n_signals <= _MOST_SIGNALS:
        raise UnreadableError(f"{path}: a header of 1 to {_MOST_SIGNALS} signals expected, {n_signals} came")
    if size < n_bytes:
        raise UnreadableError(f"{path}: a header of {n_bytes} bytes expected, {size} bytes came")
    if (said := _whole(path, fixed[184:192], "size of the header")) != n_bytes:
        raise UnreadableError(f"{path}: a header of {n_bytes} bytes expected, {said} came")
    signals = _signals(path, bytes(read_stored(path, "u1", first=256, count=n_bytes - 256)), n_signals)
    sample_bytes = 3 if fixed[:1] == b"\xff" else 2
    record_bytes = sum(signal.per_record for signal in signals) * sample_bytes
    return Header(
        path=path,
        n_bytes=n_bytes,
        sample_bytes=sample_bytes,
        discontinuous=_text(fixed[192:236]).startswith(("EDF+D", "BDF+D")),
        n_records=_n_records(
            path, _whole(path, fixed[236:244], "number of data records"), size - n_bytes, record_bytes
        ),
        record_s=_number(path, fixed[244:252], "duration of a data record"),
        start=_start(_text(fixed[88:168]), _text(fixed[168:184])),
        signals=signals,
    )


def _n_records(path: Path, said: int, size: int, record_bytes: int) -> int:
    """Hold the number of data records against the file; -1 stands for all there are."""
    if record_bytes == 0:
        raise UnreadableError(f"{path}: samples in a data record expected, 0 came")
    if said == -1:
        return size // record_bytes
    if said < 0 or size < said * record_bytes:
        raise UnreadableError(
            f"{path}: {said} data records of {record_bytes} bytes promised, {size} bytes came"
        )
    return said


def _signals(path: Path, raw: bytes, n: int) -> tuple[SignalHeader, ...]:
    ends = list(accumulate((width * n for width in _SIGNAL_FIELDS), initial=0))
    columns = [
        [raw[begin + number * width : begin + (number + 1) * width] for number in range(n)]
        for begin, width in zip(ends, _SIGNAL_FIELDS, strict=False)
    ]
    return tuple(_signal(path, fields) for fields in zip(*columns, strict=True))


def _signal(path: Path, fields: tuple[bytes, ...]) -> SignalHeader:
    label, transducer, unit, *ranges = fields[:7]
    per_record = _whole(path, fields[8], "samples in a data record")
    if per_record < 0:
        raise UnreadableError(f"{path}: a number of samples expected, {per_record} came")
    gain, offset = _calibration([_number_or_nan(field) for field in ranges])
    return SignalHeader(_text(label), _text(transducer), _text(unit), gain, offset, per_record)


def _calibration(ranges: list[float]) -> tuple[float, float]:
    """Give gain and offset of physical and digital minimum and maximum; NaN where there is none."""
    low, high, digital_low, digital_high = ranges
    if not digital_high > digital_low:
        return math.nan, math.nan
    gain = (high - low) / (digital_high - digital_low)
    return gain, low - gain * digital_low


def _start(recorded: str, day_and_time: str) -> datetime | None:
    """Read date and time; EDF+ says the full date again, or an X for one that was taken away."""
    parts = [
        int(part) for part in re.findall(r"\d+", day_and_time[:8]) + re.findall(r"\d+", day_and_time[8:])
    ]
    if len(parts) != 6:
        return None
    day, month, year, hour, minute, second = parts
    year += 1900 if year >= _PIVOT else 2000
    if recorded.upper().startswith("STARTDATE"):
        full = re.match(r"STARTDATE (\d{1,2})-([A-Z]{3})-(\d{4})(\s|$)", recorded.upper())
        if full is None or full[2] not in _MONTHS:
            return None
        day, month, year = int(full[1]), _MONTHS.index(full[2]) + 1, int(full[3])
    with suppress(ValueError):
        return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - EDF knows no time zones
    return None


def _text(field: bytes) -> str:
    return field.decode("latin-1").strip(" \0")


def _number_or_nan(field: bytes) -> float:
    with suppress(ValueError):
        return float(_text(field).replace(",", "."))  # as some programs write it where a comma is the custom
    return math.nan


def _number(path: Path, field: bytes, what: str) -> float:
    number = _number_or_nan(field)
    if not math.isfinite(number):
        raise UnreadableError(f"{path}: a number expected as {what}, something else came")
    return number


def _whole(path: Path, field: bytes, what: str) -> int:
    number = _number(path, field, what)
    if number != round(number):
        raise UnreadableError(f"{path}: a whole number expected as {what}, {number:g} came")
    return round(number)
