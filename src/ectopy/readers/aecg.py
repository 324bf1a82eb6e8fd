"""Read the rhythm series of an HL7 annotated ECG (aECG, PORT_MT020001), not the derived beats."""

import math
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np

from ectopy.ecg import PatientHeader, Recording, UnreadableError
from ectopy.readers.in_memory import Piece, in_memory_recording
from ectopy.readers.lead_names import lead_of, lead_of_mdc, name_for_notes
from ectopy.readers.patients import date_of_digits, patient_header
from ectopy.readers.safe_xml import children, finite, first, local, read_tree, root_name, text_of
from ectopy.readers.validation import (
    UNIT_REMEDY,
    check_rate,
    leave_out,
    may_be_voltage,
    millivolts,
    note_on_unit,
    unique_names,
    unit_problem,
)

SUFFIXES: tuple[str, ...] = (".aecg",)
_ROOT = "AnnotatedECG"
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0}
_TIME_CODES = {"TIME_ABSOLUTE", "TIME_RELATIVE"}


class _Set(NamedTuple):
    """Sequence set: time of its first sample (absolute, or relative in s), rate in Hz and leads."""

    moment: datetime | None
    start_s: float
    fs: float
    leads: tuple["_Lead", ...]


class _Lead(NamedTuple):
    """Lead of a set, with the name and the unit for notes, and why it cannot be used."""

    piece: Piece
    name: str
    unit: str
    problem: str


def matches(path: Path, head: bytes, *, fs: float | None = None) -> bool:  # noqa: ARG001
    """Return whether the root element is that of an annotated ECG."""
    return root_name(head) == _ROOT


def companion_files(path: Path) -> tuple[Path, ...]:
    """Return the file: a recording is one file."""
    return (path,)


def open_recording(path: Path, *, fs: float | None = None, unit: str | None = None) -> Recording:  # noqa: ARG001 - aECG has a rate
    """Open the longest rhythm series."""
    root = read_tree(path)
    if local(root) != _ROOT:
        raise UnreadableError(
            f"{path}: the document is not an HL7 annotated ECG. Export the recording as aECG."
        )
    rhythms = [
        (series, list(_sets(path, series, unit)))
        for series in children(root, "component", "series")
        if _is_rhythm(series)
    ]
    with_leads = [(series, sets) for series, sets in rhythms if sets]
    if not with_leads:
        raise UnreadableError(
            f"{path}: no rhythm series with ECG leads. Export the recording with its rhythm series."
        )
    series, sets = max(with_leads, key=lambda pair: _duration_s(pair[1]))
    recording = _recording(path, series, [one_set for one_set in sets if one_set.fs == sets[0].fs], unit)
    notes = (f"of {len(with_leads)} rhythm series only the longest is read",) if len(with_leads) > 1 else ()
    return replace(recording, notes=(*recording.notes, *notes), patient=_patient(root, series))


def _patient(root: Element, series: Element) -> PatientHeader | None:
    """Return who was recorded: the subject of the trial; a name is text, or has parts."""
    event = ("componentOf", "timepointEvent", "componentOf", "subjectAssignment")
    subject = first(root, *event, "subject", "trialSubject")
    device = first(series, "author", "seriesAuthor", "manufacturedSeriesDevice", "manufacturerModelName")
    if subject is None:
        return patient_header(recorder=text_of(device))
    person, identifier = first(subject, "subjectDemographicPerson"), first(subject, "id")

    def attribute(name: str, key: str) -> str:
        element = None if person is None else first(person, name)
        return "" if element is None else element.get(key, "")

    name = None if person is None else first(person, "name")
    return patient_header(
        name="" if name is None else " ".join(" ".join(name.itertext()).split()),
        identifier="" if identifier is None else identifier.get("extension", ""),
        birth_date=date_of_digits(attribute("birthTime", "value")),
        sex=attribute("administrativeGenderCode", "code"),
        recorder=text_of(device),
    )


def _is_rhythm(series: Element) -> bool:
    """Check whether a series is a rhythm; one without code counts, as derived ones are stored elsewhere."""
    code = first(series, "code")
    return code is None or code.get("code", "RHYTHM").upper() == "RHYTHM"


def _duration_s(sets: list[_Set]) -> float:
    return sum(max(len(lead.piece.stored) for lead in one_set.leads) / one_set.fs for one_set in sets)


def _recording(path: Path, series: Element, sets: list[_Set], unit: str | None) -> Recording:
    """Place the sets of a series on a common time grid, which starts with the first set."""
    moments = [one_set.moment for one_set in sets if one_set.moment]
    origin, fs = min(moments) if len(moments) == len(sets) else None, sets[0].fs
    begin_s = min(one_set.start_s for one_set in sets)
    pieces = []
    for one_set in sets:
        after_s = (
            (one_set.moment - origin).total_seconds()
            if origin and one_set.moment
            else one_set.start_s - begin_s
        )
        pieces += [
            replace(lead.piece, start=round(after_s * fs)) for lead in one_set.leads if not lead.problem
        ]
    low = first(series, "effectiveTime", "low")
    start = origin or _moment(low.get("value", "") if low is not None else "")
    leads = [lead for one_set in sets for lead in one_set.leads]
    problems = dict.fromkeys((lead.name, lead.problem) for lead in leads)  # a lead has a piece in each set
    _, left_out = leave_out(path, list(problems), remedy=UNIT_REMEDY)
    given = note_on_unit([(lead.name, lead.unit) for lead in leads if not lead.problem], unit)
    return in_memory_recording(path, pieces, fs=fs, start=start, notes=(*left_out, *given))


def _sets(path: Path, series: Element, unit: str | None) -> Iterator[_Set]:
    """Yield the sequence sets of a series that have a time and leads in a unit of voltage."""
    for one_set in children(series, "component", "sequenceSet"):
        sequences = [
            (_code(sequence), first(sequence, "value"))
            for sequence in children(one_set, "component", "sequence")
        ]
        times = [value for code, value in sequences if code in _TIME_CODES and value is not None]
        leads = [(code, value) for code, value in sequences if code not in _TIME_CODES and value is not None]
        found = [
            lead for n, (code, value) in enumerate(leads, 1) if (lead := _lead(path, code, value, n, unit))
        ]
        if times and found:
            names = unique_names(lead.piece.lead for lead in found)
            named = (
                lead._replace(piece=replace(lead.piece, lead=name))
                for name, lead in zip(names, found, strict=True)
            )
            yield _Set(*_time(path, times[0]), tuple(named))


def _code(sequence: Element) -> str:
    code = first(sequence, "code")
    return code.get("code", "") if code is not None else ""


def _time(path: Path, value: Element) -> tuple[datetime | None, float, float]:
    """Return date and time, or seconds, of the first sample of a set, and its rate in Hz."""
    head, increment = first(value, "head"), first(value, "increment")
    if increment is None:
        raise UnreadableError(f"{path}: the time sequence has no increment. Export the recording again.")
    rate = _rate(path, increment.get("value", ""), _SECONDS.get(increment.get("unit", "s"), 0.0))
    text = head.get("value", "") if head is not None else ""
    if moment := _moment(text):
        return moment, 0.0, rate
    head_unit = _SECONDS.get(head.get("unit", "s"), 1.0) if head is not None else 1.0
    with suppress(UnreadableError):
        return None, finite(path, text, "time of the first sample") * head_unit, rate
    return None, 0.0, rate


def _rate(path: Path, text: str, unit_s: float) -> float:
    """Return the rate in Hz of a time step; 0.00333 s is a rounded value of 300 Hz."""
    step_s = finite(path, text, "increment of time") * unit_s
    if step_s <= 0:
        raise UnreadableError(
            f"{path}: the increment of time is not positive, or not in a unit of time. "
            "Export the recording again."
        )
    rate = check_rate(path, 1 / step_s)
    digits, exponent = Decimal(text).as_tuple()[1:]
    is_rounded = abs(1 / round(rate) - step_s) <= 0.5 * 10.0 ** int(exponent) * unit_s
    return float(round(rate)) if is_rounded and len(digits) > 1 else rate


def _moment(text: str) -> datetime | None:
    """Read a local time YYYYMMDDHHMMSS.ssss+zone; a time zone is ignored."""
    match = re.match(r"(\d{8})(\d{2})(\d{2})(\d{2})?(\.\d{1,6})?\d*([+-]\d{4})?$", text)
    if match:
        with suppress(ValueError):
            clock = f"{match[1]}{match[2]}{match[3]}{match[4] or '00'}{match[5] or '.0'}"
            return datetime.strptime(clock, "%Y%m%d%H%M%S.%f")  # noqa: DTZ007
    return None


def _lead(path: Path, code: str, value: Element, number: int, unit: str | None) -> _Lead | None:
    """Read the samples of a sequence; None if it is not an ECG lead, or in a unit of something else."""
    scale, origin, name = first(value, "scale"), first(value, "origin"), lead_of_mdc(code)
    if scale is None or (not code.startswith("MDC_ECG_") and lead_of(name) is None):
        return None
    stated = scale.get("unit", "")
    if not may_be_voltage(stated):
        return None
    in_mv = millivolts(stated, unit)
    step, offset, problem = math.nan, 0.0, "" if in_mv else unit_problem(stated)
    samples = np.empty(0, dtype=np.float32)
    try:
        step = finite(path, scale.get("value"), "scale") * (in_mv or 1)
        if origin is not None and origin.get("value"):
            origin_in_mv = millivolts(origin.get("unit", "")) or in_mv or 1
            offset = finite(path, origin.get("value"), "origin") * origin_in_mv
        samples = _digits(path, "".join(text.text or "" for text in children(value, "digits")))
    except UnreadableError:
        problem = problem or "its scale, origin or samples are not all numbers"
    problem = problem or ("it has no scale" if step == 0 else "")
    return _Lead(Piece(name, samples, step, offset), name_for_notes(name, number), stated, problem)


def _digits(path: Path, text: str) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # fromstring stops at a word with only a warning
            return np.fromstring(text, dtype=np.float32, sep=" ")
    except (ValueError, DeprecationWarning) as error:
        raise UnreadableError(
            f"{path}: the samples of a lead are not all numbers. Copy or export the file again."
        ) from error
