"""Read EDF, EDF+ and BDF: the header when the file is opened, samples in blocks from the file.

This does not use edfio, which loads a BDF whole and joins the parts of a discontinuous file without their
gaps. Headers as in Kemp 1992, Kemp & Olivan 2003 (EDF+) and BioSemi's description of BDF.
"""

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Recording, Signal, UnreadableError
from ectopy.readers.edf.header import ANNOTATIONS, Header, SignalHeader, read_header
from ectopy.readers.lead_names import FRANK, is_numbered, is_other, lead_of
from ectopy.readers.validation import (
    check_length,
    check_rate,
    check_scale,
    millivolts,
    most_common_rate,
    read_stored,
    unique_names,
)

SUFFIXES: tuple[str, ...] = (".edf", ".bdf", ".rec")
_MOST_PARTED = 2**25
"""Maximum number of data records of a discontinuous file; the onset of each is kept in memory."""
_JITTER_S = 0.01
"""Precision of the onsets of data records; parts closer than this are contiguous."""
_READ_BYTES = 2**24
_PADDING = -(2**15)
"""Missing sample of WFDB, with which its converter fills up the last data record."""
_ONSET = re.compile(rb"([+-]\d{1,12}(?:\.\d{0,9})?)\x14")


@dataclass(frozen=True, eq=False)
class _Layout:
    """Leads of a file that are read, and the position of its runs of contiguous data records in time.

    ``first_record`` and ``first_sample`` hold the start of each run, in order; their last element is the end
    of the last run.
    """

    header: Header
    numbers: tuple[int, ...]
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


def open_recording(path: Path, *, fs: float | None = None) -> Recording:  # noqa: ARG001 - EDF has a rate
    """Open the ECG leads of a file that share the most common sampling rate."""
    header = read_header(path)
    leads = _ecg_leads(header)
    chosen = most_common_rate(path, {number: _rate(header, header.signals[number]) for number in leads})
    per_record = header.signals[chosen[0]].per_record
    rate = check_rate(path, _rate(header, header.signals[chosen[0]]))
    layout = _without_padding(_layout(header, tuple(chosen), per_record))
    return Recording(
        name=path.stem,
        fs=rate,
        leads=unique_names(leads[number] for number in chosen),
        n_samples=check_length(path, int(layout.first_sample[-1]), rate),
        read=partial(_read, layout),
        start=_start(header),
    )


def _rate(header: Header, signal: SignalHeader) -> float:
    return signal.per_record / header.record_s if header.record_s > 0 else 0.0


def _ecg_leads(header: Header) -> dict[int, str]:
    """Return the ECG leads by signal number: named as ECG, else all leads of a recorder that counts them."""
    volts = {number: signal for number, signal in enumerate(header.signals) if millivolts(signal.unit)}
    named = {number: lead_of(signal.label) for number, signal in volts.items()}
    leads = {number: lead for number, lead in named.items() if lead}
    labels = {signal.label.upper() for signal in volts.values()}
    if not leads:
        leads = {
            number: signal.label or f"lead {number + 1}"
            for number, signal in volts.items()
            if lead_of(signal.transducer) or (labels >= FRANK and signal.label.upper() in FRANK)
        }
    if not leads and not any(is_other(signal.label) for signal in header.signals):
        leads = {
            n: signal.label or f"lead {n + 1}" for n, signal in volts.items() if is_numbered(signal.label)
        }
    if not leads:
        raise UnreadableError(
            f"{header.path}: no ECG lead in a unit of voltage. Check the labels and units of the signals."
        )
    return leads


def _layout(header: Header, numbers: tuple[int, ...], per_record: int) -> _Layout:
    for number in numbers:
        check_scale(header.path, header.signals[number].gain, header.signals[number].label)
    onsets = _onsets(header, header.n_records if header.discontinuous else 0)
    if len(onsets) == 0:
        first_record, end = np.array([0, header.n_records]), header.n_records * per_record
        return _Layout(header, numbers, per_record, first_record, np.array([0, end]))
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
        header, numbers, per_record, first_record, np.append(sample[begins], sample[begins[-1]] + lengths[-1])
    )


def _without_padding(layout: _Layout) -> _Layout:
    """Count the samples at the end of the last data record that only fill it up, in all leads."""
    header = layout.header
    if header.sample_bytes != 2 or not header.n_records:
        return layout
    begin = header.n_bytes + (header.n_records - 1) * header.record_bytes
    raw = read_stored(header.path, "u1", first=begin, count=header.record_bytes).reshape(1, -1)
    digital = [_whole_numbers(raw[:, header.places[number]], 2) for number in layout.numbers]
    recorded = np.flatnonzero(np.any(np.stack(digital) != _PADDING, axis=0))
    n_padded = layout.per_record - (int(recorded[-1]) + 1 if len(recorded) else 0)
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
            low, high = (first - begin) // layout.per_record, -(-(last - begin) // layout.per_record)
            part = _records(layout, int(records[0]) + low, int(records[0]) + high)
            skipped = first - begin - low * layout.per_record
            block[first - start : last - start] = part[skipped : skipped + last - first]
    block[max(int(layout.first_sample[-1]) - layout.n_padded - start, 0) :] = np.nan
    return block


def _records(layout: _Layout, first: int, last: int) -> Signal:
    """Read data records [first, last) of the leads in mV, [n_samples, n_leads].

    They are read in parts, as a record may contain hundreds of other channels.
    """
    header, n = layout.header, layout.per_record
    block = np.empty(((last - first) * n, len(layout.numbers)), dtype=np.float32)
    step = max(_READ_BYTES // header.record_bytes, 1)
    for record in range(first, last, step):
        count = min(step, last - record)
        begin = header.n_bytes + record * header.record_bytes
        raw = read_stored(header.path, "u1", first=begin, count=count * header.record_bytes)
        for column, number in enumerate(layout.numbers):
            signal = header.signals[number]
            stored = raw.reshape(count, -1)[:, header.places[number]]
            physical = _whole_numbers(stored, header.sample_bytes) * signal.gain + signal.offset
            in_mv = millivolts(signal.unit) or np.nan
            block[(record - first) * n : (record - first + count) * n, column] = physical * in_mv
    return block


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
        n = min(step, n_records - first)
        begin = header.n_bytes + first * header.record_bytes
        raw = read_stored(header.path, "u1", first=begin, count=n * header.record_bytes)
        texts = raw.reshape(n, -1)[:, places[0]]
        onsets[first : first + n] = [_onset(header.path, text.tobytes()) for text in texts]
    return onsets


def _onset(path: Path, text: bytes) -> float:
    onset = _ONSET.match(text)
    if onset is None:
        raise UnreadableError(f"{path}: a data record does not state its onset. Export the recording again.")
    return float(onset[1])


def _start(header: Header) -> datetime | None:
    """Return date and time of the first sample; None if the date is anonymised (``Startdate X``)."""
    fraction = 0.0
    with suppress(UnreadableError):  # a missing fraction of a second does not make a recording unreadable
        fraction = float(np.sum(_onsets(header, min(header.n_records, 1))))
    with suppress(OverflowError):
        return header.start + timedelta(seconds=fraction) if header.start else None
    return None
