"""Read the header of an EDF or BDF file, and check it against the size of the file."""

import math
import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path

from ectopy.ecg import PatientHeader, UnreadableError
from ectopy.readers.patients import iso_date, patient_header
from ectopy.readers.validation import LEAST_S, read_stored

ANNOTATIONS = {"EDF Annotations", "BDF Annotations"}
_MOST_SIGNALS = 2048
# Widths of the fields, in the order of the file; each field lists the values of all signals in turn.
_SIGNAL_FIELDS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_PIVOT = 85
"""Two-digit years from here on belong to the 20th century."""


@dataclass(frozen=True)
class SignalHeader:
    """Header of one signal; ``digital * gain + offset`` is in its unit, NaN if the header is inconsistent."""

    label: str
    transducer: str
    unit: str
    gain: float
    offset: float
    per_record: int


@dataclass(frozen=True)
class Header:
    """Header of a file with ``n_records`` data records of ``record_s`` seconds from byte ``n_bytes`` on.

    These are all whole records of the file. ``n_stated`` is their number as the header states it; it is
    negative if the header does not know it.
    """

    path: Path
    n_bytes: int
    sample_bytes: int
    discontinuous: bool
    n_records: int
    n_stated: int
    record_s: float
    start: datetime | None
    signals: tuple[SignalHeader, ...]
    patient: PatientHeader | None = field(default=None, repr=False)

    @cached_property
    def places(self) -> tuple[slice, ...]:
        """Position of the bytes of each signal within a data record."""
        ends = accumulate((signal.per_record * self.sample_bytes for signal in self.signals), initial=0)
        return tuple(slice(*pair) for pair in pairwise(ends))

    @property
    def record_bytes(self) -> int:
        """Size of a data record in bytes."""
        return int(self.places[-1].stop)


def read_header(path: Path) -> Header:
    """Read a header."""
    size = path.stat().st_size
    fixed = bytes(read_stored(path, "u1", first=0, count=min(256, size)))
    if len(fixed) < 256 or not (fixed[:8].strip(b" \0") == b"0" or fixed[:8] == b"\xffBIOSEMI"):
        raise UnreadableError(
            f"{path}: not an EDF or BDF file (bad header). Export the recording again as EDF."
        )
    n_signals = _whole(path, fixed[252:256], "number of signals")
    n_bytes = 256 * (n_signals + 1)
    if not 1 <= n_signals <= _MOST_SIGNALS:
        raise UnreadableError(
            f"{path}: the header states {n_signals} signals, outside 1 to {_MOST_SIGNALS}. "
            "Export the recording again."
        )
    if size < n_bytes:
        raise UnreadableError(
            f"{path}: the header needs {n_bytes} bytes, but the file has {size}. "
            "Copy the complete file again."
        )
    if (stated := _whole(path, fixed[184:192], "size of the header")) != n_bytes:
        raise UnreadableError(
            f"{path}: the header states its size as {stated} bytes, but {n_signals} signals need {n_bytes}. "
            "Export the recording again."
        )
    signals = _signals(path, bytes(read_stored(path, "u1", first=256, count=n_bytes - 256)), n_signals)
    sample_bytes = 3 if fixed[:1] == b"\xff" else 2
    record_bytes = sum(signal.per_record for signal in signals) * sample_bytes
    if record_bytes == 0:
        raise UnreadableError(f"{path}: the data records contain no samples. Export the recording again.")
    stated_number = _number_or_nan(fixed[236:244])
    record_s = _number(path, fixed[244:252], "duration of a data record")
    header = Header(
        path=path,
        n_bytes=n_bytes,
        sample_bytes=sample_bytes,
        discontinuous=_text(fixed[192:236]).startswith(("EDF+D", "BDF+D")),
        n_records=(size - n_bytes) // record_bytes,
        n_stated=int(stated_number) if math.isfinite(stated_number) else -1,
        record_s=record_s,
        start=_start(_text(fixed[88:168]), _text(fixed[168:184])),
        signals=signals,
        patient=_patient(_text(fixed[8:88]), _text(fixed[88:168])),
    )
    if header.n_records < header.n_stated and header.n_records * record_s < LEAST_S:
        raise UnreadableError(
            f"{path}: the header states {header.n_stated} data records of {record_bytes} bytes, "
            f"but {size - n_bytes} bytes follow it. Copy the complete file again."
        )
    return header


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
        raise UnreadableError(
            f"{path}: a signal has {per_record} samples per data record. Export the recording again."
        )
    gain, offset = _calibration([_number_or_nan(field) for field in ranges])
    return SignalHeader(_text(label), _text(transducer), _text(unit), gain, offset, per_record)


def _calibration(ranges: list[float]) -> tuple[float, float]:
    """Return gain and offset from physical and digital minimum and maximum; NaN if undefined."""
    low, high, digital_low, digital_high = ranges
    if not digital_high > digital_low:
        return math.nan, math.nan
    gain = (high - low) / (digital_high - digital_low)
    return gain, low - gain * digital_low


def _start(recorded: str, day_and_time: str) -> datetime | None:
    """Return the start; EDF+ repeats the full date, or has an X in place of an anonymised date."""
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


def _patient(patient: str, recorded: str) -> PatientHeader | None:
    """Return who was recorded: EDF+ has code, sex, birth date and name, EDF any text; spaces are ``_``."""
    coded = re.match(r"(\S+) ([MFX]) (?:(\d{2})-([A-Z]{3})-(\d{4})|X) ?(\S*)", patient)
    recorder = recorded.split(" ")[4:5] if recorded.startswith("Startdate ") else []
    about = {"recorder": "".join(recorder).replace("_", " ")}
    if not coded:
        return patient_header(name=patient, **about)
    code, sex, day, month, year, name = (part or "" for part in coded.groups())
    known = month in _MONTHS
    return patient_header(
        name=name.replace("_", " "),
        identifier=code.replace("_", " "),
        sex=sex,
        birth_date=iso_date(int(year), _MONTHS.index(month) + 1, int(day)) if known else "",
        **about,
    )


def _text(field: bytes) -> str:
    return field.decode("latin-1").strip(" \0")


def _number_or_nan(field: bytes) -> float:
    with suppress(ValueError):
        return float(
            _text(field).replace(",", ".")
        )  # some programs write a decimal comma, as is usual in many countries
    return math.nan


def _number(path: Path, field: bytes, what: str) -> float:
    number = _number_or_nan(field)
    if not math.isfinite(number):
        raise UnreadableError(
            f"{path}: the {what} in the header is not a number. Export the recording again."
        )
    return number


def _whole(path: Path, field: bytes, what: str) -> int:
    number = _number(path, field, what)
    if number != round(number):
        raise UnreadableError(
            f"{path}: the {what} in the header is {number:g}, not a whole number. Export the recording again."
        )
    return round(number)
