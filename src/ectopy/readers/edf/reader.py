"""Read EDF, EDF+ and BDF: the header when the file is opened, samples in blocks from the file.

This does not use edfio, which loads a BDF whole and joins the parts of a discontinuous file without their
gaps. Headers as in Kemp 1992, Kemp & Olivan 2003 (EDF+) and BioSemi's description of BDF.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Recording, Signal, UnreadableError
from ectopy.readers.edf.annotations import read_moments
from ectopy.readers.edf.header import ANNOTATIONS, Header, SignalHeader, read_header
from ectopy.readers.lead_names import FRANK, is_numbered, is_other, lead_of, name_for_notes
from ectopy.readers.marks import add_marks
from ectopy.readers.validation import (
    HEADER_REMEDY,
    LOWEST_16_BIT,
    UNIT_REMEDY,
    check_rate,
    check_size,
    leave_out,
    may_be_voltage,
    millivolts,
    most_common_rate,
    note_on_unit,
    read_stored,
    scale_problem,
    unique_names,
    unit_problem,
)

SUFFIXES: tuple[str, ...] = (".edf", ".bdf", ".rec")
_MOST_PARTED = 2**25
"""Maximum number of data records of a discontinuous file; the onset of each is kept in memory."""
_MOST_PADDED = 2**20
"""Maximum number of samples at the end of a lead that are examined for padding."""
_JITTER_S = 0.01
"""Precision of the onsets of data records; parts closer than this are contiguous."""
_READ_BYTES = 2**24
_ONSET = re.compile(rb"([+-]\d{1,12}(?:\.\d{0,9})?)\x14")


@dataclass(frozen=True, eq=False)
class _Layout:
    """Leads of a file that are read, and the position of its runs of contiguous data records in time.

    ``in_mv`` is the unit of each lead. ``first_record`` and ``first_sample`` hold the start of each run, in
    order; their last element is the end of the last run.
    """

    header: Header
    numbers: tuple[int, ...]
    in_mv: tuple[float, ...]
    per_record: int
    first_record: NDArray[np.int64]
    first_sample: NDArray[np.int64]
    n_padded: int = 0


def matches(path: Path, head: bytes, *, fs: float | None = None) -> bool:  # noqa: ARG001
    """Return whether the file starts with the version of EDF or BDF, or has their suffix."""
    version, header_bytes = head[:8], head[184:192].strip()
    edf = version.strip(b" \0") == b"0" and header_bytes.isdigit()
    return edf or version == b"\xffBIOSEMI" or path.suffix.lower() in {".edf", ".bdf"}


def companion_files(path: Path) -> tuple[Path, ...]:
    """Return the file: a recording is one file."""
    return (path,)


def open_recording(path: Path, *, fs: float | None = None, unit: str | None = None) -> Recording:  # noqa: ARG001 - EDF has a rate
    """Open the ECG leads of a file that share the most common sampling rate."""
    header = read_header(path)
    leads = _ecg_leads(header, unit)
    signals = {number: header.signals[number] for number in leads}
    names = {number: name_for_notes(signal.label, number + 1) for number, signal in signals.items()}
    problems = [(names[number], _problem(signal, unit)) for number, signal in signals.items()]
    blank = any(millivolts(signal.unit) is None for signal in signals.values())
    usable, left_out = leave_out(path, problems, remedy=UNIT_REMEDY if blank else HEADER_REMEDY)
    numbers = [list(leads)[place] for place in usable]
    chosen, other_rates = most_common_rate({number: _rate(header, signals[number]) for number in numbers})
    given = note_on_unit([(names[number], signals[number].unit) for number in chosen], unit)
    per_record = signals[chosen[0]].per_record
    rate = check_rate(path, _rate(header, signals[chosen[0]]))
    in_mv = tuple(millivolts(signals[number].unit, unit) or np.nan for number in chosen)
    layout = _without_padding(_layout(header, tuple(chosen), in_mv, per_record))
    n_records, first_onset_s = int(layout.first_record[-1]), _first_onset_s(header)
    recording = Recording(
        name=path.stem,
        fs=rate,
        leads=unique_names(leads[number] for number in chosen),
        n_samples=check_size(path, int(layout.first_sample[-1]), rate, n_leads=len(chosen)),
        read=partial(_read, layout),
        start=_start(header, first_onset_s),
        notes=(*left_out, *other_rates, *given, *_note_on_records(header, n_records)),
        incomplete=header.n_records < header.n_stated,
        patient=header.patient,
    )
    return add_marks(recording, read_moments(header, n_records, first_onset_s), "file")


def _rate(header: Header, signal: SignalHeader) -> float:
    return signal.per_record / header.record_s if header.record_s > 0 else 0.0


def _note_on_records(header: Header, n_read: int) -> tuple[str, ...]:
    if header.n_stated < 0 or header.n_stated == n_read:
        return ()
    counted = "which are read" if n_read else "and none is read"
    return (f"the header states {header.n_stated} data records, the file has {n_read} whole ones, {counted}",)


def _ecg_leads(header: Header, unit: str | None) -> dict[int, str]:
    """Return the ECG leads by signal number: named as ECG, else all leads of a recorder that counts them.

    Leads whose unit is missing or unknown are among them.
    """
    signals = {
        number: signal
        for number, signal in enumerate(header.signals)
        if signal.label not in ANNOTATIONS and may_be_voltage(signal.unit)
    }
    named = {number: lead for number, signal in signals.items() if (lead := lead_of(signal.label))}
    labels = {signal.label.upper() for signal in signals.values()}
    described = {
        number: signal.label or f"lead {number + 1}"
        for number, signal in signals.items()
        if lead_of(signal.transducer) or (labels >= FRANK and signal.label.upper() in FRANK)
    }
    others = any(is_other(signal.label) for signal in header.signals if signal.label not in ANNOTATIONS)
    counted = {
        number: signal.label or f"lead {number + 1}"
        for number, signal in signals.items()
        if is_numbered(signal.label) and not others
    }
    ways = [leads for leads in (named, described, counted) if leads]
    in_volts = [leads for leads in ways if any(millivolts(signals[number].unit, unit) for number in leads)]
    if not ways:
        raise UnreadableError(
            f"{header.path}: no ECG lead in a unit of voltage. Check the labels and units of the signals."
        )
    return (in_volts or ways)[0]


def _problem(signal: SignalHeader, unit: str | None) -> str:
    """Return why a lead cannot be used; nothing if it can."""
    if millivolts(signal.unit, unit) is None:
        return unit_problem(signal.unit)
    if signal.per_record == 0:
        return "it has no samples"
    return "it has no physical range" if scale_problem(signal.gain) else ""


def _layout(header: Header, numbers: tuple[int, ...], in_mv: tuple[float, ...], per_record: int) -> _Layout:
    onsets = _onsets(header, header.n_records if header.discontinuous else 0)
    if len(onsets) == 0:
        first_record, end = np.array([0, header.n_records]), header.n_records * per_record
        return _Layout(header, numbers, in_mv, per_record, first_record, np.array([0, end]))
    sample = np.round((onsets - onsets[0]) / header.record_s * per_record).astype(np.int64)
    jitter = max(round(_JITTER_S * per_record / header.record_s), 1)
    if (np.diff(sample) < per_record - jitter).any():
        raise UnreadableError(
            f"{header.path}: the data records are not in order of time, or they overlap. "
            "Export the recording again."
        )
    begins = np.flatnonzero(np.concatenate(([True], np.abs(np.diff(sample) - per_record) > jitter)))
    first_record = np.append(begins, len(sample))
    lengths = np.diff(first_record) * per_record
    return _Layout(
        *(header, numbers, in_mv, per_record, first_record),
        np.append(sample[begins], sample[begins[-1]] + lengths[-1]),
    )


def _without_padding(layout: _Layout) -> _Layout:
    """Count the samples at the end of the last data record that only fill it up, in all leads."""
    header = layout.header
    if header.sample_bytes != 2 or not layout.first_record[-1]:
        return layout
    n, last = layout.per_record, int(layout.first_record[-1]) - 1
    digital = np.stack(list(_digital(layout, last, max(n - _MOST_PADDED, 0), n)))
    recorded = np.flatnonzero(np.any(digital != LOWEST_16_BIT, axis=0))
    n_padded = digital.shape[1] - (int(recorded[-1]) + 1 if len(recorded) else 0)
    # A single such sample may be a recorded one at the lowest value.
    return replace(layout, n_padded=n_padded if n_padded > 1 else 0)


def _read(layout: _Layout, start: int, stop: int) -> Signal:
    """Read samples [start, stop) in mV; NaN between the runs of a discontinuous file."""
    block = np.full((stop - start, len(layout.numbers)), np.nan, dtype=np.float32)
    runs = range(
        max(int(np.searchsorted(layout.first_sample[:-1], start, side="right")) - 1, 0),
        int(np.searchsorted(layout.first_sample[:-1], stop)),
    )
    for run in runs:
        begin, records = int(layout.first_sample[run]), layout.first_record[run : run + 2]
        first, last = max(start, begin), min(stop, begin + int(np.diff(records)[0]) * layout.per_record)
        if first < last:
            before = begin - int(records[0]) * layout.per_record
            _fill(layout, first - before, last - before, block[first - start : last - start])
    block[max(int(layout.first_sample[-1]) - layout.n_padded - start, 0) :] = np.nan
    return block


@np.errstate(over="ignore")  # a damaged range may make infinite samples, which count as missing
def _fill(layout: _Layout, start: int, stop: int, block: Signal) -> None:
    """Read the stored samples [start, stop), counted without gaps, into [n_samples, n_leads] in mV."""
    header, n = layout.header, layout.per_record
    step = max(_READ_BYTES // header.record_bytes, 1)
    for record in range(start // n, -(-stop // n), step):
        first, last = max(start, record * n), min(stop, (record + step) * n)
        stored = _digital(layout, record, first - record * n, last - record * n)
        for column, (number, digital) in enumerate(zip(layout.numbers, stored, strict=True)):
            physical = digital * header.signals[number].gain + header.signals[number].offset
            block[first - start : last - start, column] = physical * layout.in_mv[column]


def _digital(layout: _Layout, record: int, first: int, last: int) -> Iterator[NDArray[np.int64]]:
    """Yield the stored samples [first, last) of each lead, counted from the start of a data record.

    Records are read whole; of a very long one, which may be the whole recording, only these samples.
    """
    header = layout.header
    begin, size = header.n_bytes + record * header.record_bytes, header.sample_bytes
    places = [header.places[number] for number in layout.numbers]
    if header.record_bytes > _READ_BYTES:
        for place in places:
            at = begin + place.start + first * size
            yield _whole_numbers(read_stored(header.path, "u1", first=at, count=(last - first) * size), size)
        return
    count = -(-last // layout.per_record) * header.record_bytes
    raw = read_stored(header.path, "u1", first=begin, count=count).reshape(-1, header.record_bytes)
    for place in places:
        yield _whole_numbers(raw[:, place], size)[first:last]


def _whole_numbers(raw: NDArray[Any], sample_bytes: int) -> NDArray[np.int64]:
    if sample_bytes == 2:
        return np.ascontiguousarray(raw).view("<i2").reshape(-1).astype(np.int64)
    low, middle, high = raw.reshape(-1, 3).T.astype(np.int64)
    return ((low | middle << 8 | high << 16) ^ 0x800000) - 0x800000


def _onsets(header: Header, n_records: int) -> NDArray[np.float64]:
    """Read the onsets of the first data records in s after the start, from the first annotation of each."""
    places = [
        place
        for signal, place in zip(header.signals, header.places, strict=True)
        if signal.label in ANNOTATIONS
    ]
    if not places or not n_records:
        return np.empty(0)
    if n_records > _MOST_PARTED:
        raise UnreadableError(
            f"{header.path}: {n_records} data records in a discontinuous file, more than the limit of "
            f"{_MOST_PARTED}. Split the recording into shorter files."
        )
    onsets = np.empty(n_records)
    step = max(_READ_BYTES // header.record_bytes, 1)
    for first in range(0, n_records, step):
        texts = _annotations(header, places[0], first, min(step, n_records - first))
        onsets[first : first + len(texts)] = list(map(_onset, texts))
    known = int(np.argmax(np.isnan(onsets))) if np.isnan(onsets).any() else n_records
    if (
        known < n_records and not 0 < header.n_stated <= known
    ):  # what follows the stated records may be anything
        raise UnreadableError(
            f"{header.path}: a data record does not state its onset. Export the recording again."
        )
    return onsets[:known]


def _annotations(header: Header, place: slice, record: int, count: int) -> list[bytes]:
    """Read the first annotation signal of some data records; of one record alone if it is long."""
    begin = header.n_bytes + record * header.record_bytes
    if count == 1:
        return [
            read_stored(
                header.path, "u1", first=begin + place.start, count=place.stop - place.start
            ).tobytes()
        ]
    raw = read_stored(header.path, "u1", first=begin, count=count * header.record_bytes)
    return [text.tobytes() for text in raw.reshape(count, -1)[:, place]]


def _onset(text: bytes) -> float:
    onset = _ONSET.match(text)
    return float(onset[1]) if onset else np.nan


def _first_onset_s(header: Header) -> float:
    """Return the onset of the first data record, which may be a fraction of a second; 0 if it is missing."""
    with suppress(UnreadableError):  # a missing fraction of a second does not make a recording unreadable
        return float(np.sum(_onsets(header, min(header.n_records, 1))))
    return 0.0


def _start(header: Header, first_onset_s: float) -> datetime | None:
    """Return date and time of the first sample; None if the date is anonymised (``Startdate X``)."""
    with suppress(OverflowError):
        return header.start + timedelta(seconds=first_onset_s) if header.start else None
    return None
