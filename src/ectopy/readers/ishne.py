"""Read ISHNE Holter recordings (Badilini 1998) and annotations: header when opened, samples in blocks."""

import struct
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ectopy.annotations import Annotations
from ectopy.ecg import PatientHeader, Recording, Signal, UnreadableError
from ectopy.readers.lead_names import name_for_notes
from ectopy.readers.patients import iso_date, patient_header
from ectopy.readers.validation import (
    LEAST_S,
    LOWEST_16_BIT,
    check_rate,
    check_size,
    leave_out,
    read_stored,
    read_whole,
    unique_names,
)

SUFFIXES: tuple[str, ...] = (".ecg",)
_MAGIC, _MAGIC_ANNOTATIONS = b"ISHNE1.0", b"ANN  1.0"
_HEADER_BYTES = 522
_MOST_LEADS = 12
# By lead number; 0 is unknown, 1 a bipolar lead without a name.
_NAMES = "X Y Z I II III aVR aVL aVF V1 V2 V3 V4 V5 V6 ES AS AI"
_LEADS = ("", "", *_NAMES.split())
# Labels of ISHNE for which MIT has another symbol.
_SYMBOLS = {"X": "|", "C": "~", "!": "~", "U": "Q", "P": "/"}
_LARGEST_ANNOTATIONS = 2**28


class _Header(NamedTuple):
    n_stated: int
    first_byte: int
    fs: float
    leads: tuple[str, ...]
    nanovolts: tuple[int, ...]
    start: datetime | None
    patient: PatientHeader | None


class _Layout(NamedTuple):
    """Position of the leads that are read among ``n_stored`` interleaved ones, and the mV of a unit."""

    path: Path
    first_byte: int
    n_stored: int
    columns: Sequence[int]
    scale: NDArray[np.float64]


def matches(path: Path, head: bytes, *, fs: float | None = None) -> bool:  # noqa: ARG001
    """Return whether the first bytes are those of ISHNE; other formats use the suffix ``.ecg`` too."""
    return head.startswith(_MAGIC)


def companion_files(path: Path) -> tuple[Path, ...]:
    """Return the file; the recording does not depend on an annotation file in the same folder."""
    return (path,)


def open_recording(path: Path, *, fs: float | None = None, unit: str | None = None) -> Recording:  # noqa: ARG001 - ISHNE has both
    """Open a recording."""
    header = _read_header(path, _MAGIC)
    n_samples, counted, incomplete = _n_samples(path, header)
    problems = [
        (name_for_notes(lead, number), "it has no resolution" if nanovolts <= 0 else "")
        for number, (lead, nanovolts) in enumerate(zip(header.leads, header.nanovolts, strict=True), 1)
    ]
    usable, left_out = leave_out(path, problems)
    scale = np.array(header.nanovolts) * 1e-6
    return Recording(
        name=path.stem,
        fs=header.fs,
        leads=tuple(header.leads[number] for number in usable),
        n_samples=check_size(path, n_samples, header.fs, n_leads=len(usable)),
        read=partial(_read, _Layout(path, header.first_byte, len(scale), usable, scale[usable])),
        start=header.start,
        notes=(*left_out, *counted),
        incomplete=incomplete,
        patient=header.patient,
    )


def read_annotations(path: Path) -> Annotations:
    """Read the annotations of an ``.ann`` file; the symbols are converted to those of MIT."""
    header = _read_header(path, _MAGIC_ANNOTATIONS)
    stored = read_whole(path, limit=_LARGEST_ANNOTATIONS)[header.first_byte :]
    if len(stored) < 4:
        raise UnreadableError(
            f"{path}: no annotations after the header ({len(stored)} bytes). Copy the complete file again."
        )
    first, stored = int.from_bytes(stored[:4], "little"), stored[4:]
    marks = np.frombuffer(
        stored[: len(stored) // 4 * 4], [("label", "S1"), ("detail", "S1"), ("interval", "<u2")]
    )
    labels = [label.decode("latin-1") for label in marks["label"]]
    return Annotations(
        first + np.cumsum(marks["interval"], dtype=np.int64),
        np.array([_SYMBOLS.get(label, label) for label in labels], dtype="U1"),
        np.zeros(len(marks), dtype=np.int64),
        ("",) * len(marks),
    )


def _read_header(path: Path, magic: bytes) -> _Header:
    size = path.stat().st_size
    raw = bytes(read_stored(path, "u1", first=0, count=min(_HEADER_BYTES, size)))
    if len(raw) < _HEADER_BYTES or not raw.startswith(magic):
        raise UnreadableError(
            f"{path}: the file does not start with a complete {magic.decode()} header. "
            "Check the file type, or copy the complete file again."
        )
    n_stated, _, first_byte = struct.unpack_from("<3i", raw, 14)
    n_leads, *codes = struct.unpack_from("<13h", raw, 156)
    (fs,) = struct.unpack_from("<h", raw, 272)
    if not 1 <= n_leads <= _MOST_LEADS:
        raise UnreadableError(
            f"{path}: the header states {n_leads} leads, outside 1 to {_MOST_LEADS}. "
            "Export the recording again."
        )
    if not _HEADER_BYTES <= first_byte <= size:
        raise UnreadableError(
            f"{path}: the samples should start at byte {first_byte}, but the file has {size} bytes. "
            "Copy the complete file again."
        )
    names = [
        _LEADS[code] if 0 <= code < len(_LEADS) and _LEADS[code] else f"lead {number}"
        for number, code in enumerate(codes, 1)
    ]
    return _Header(
        n_stated,
        first_byte,
        check_rate(path, float(fs)),
        unique_names(names[:n_leads]),
        struct.unpack_from("<12h", raw, 206)[:n_leads],
        _start(raw),
        _patient(raw),
    )


def _patient(raw: bytes) -> PatientHeader | None:
    first, last, identifier, recorder = (
        raw[begin : begin + length].partition(b"\0")[0].decode("latin-1").strip()
        for begin, length in ((28, 40), (68, 40), (108, 20), (232, 40))
    )
    sex, _, day, month, year = struct.unpack_from("<5h", raw, 128)
    return patient_header(
        name=", ".join(filter(None, (last, first))),
        identifier=identifier,
        birth_date=iso_date(year, month, day),
        sex=str(sex),
        recorder=recorder,
    )


def _start(raw: bytes) -> datetime | None:
    day, month, year, *clock = struct.unpack_from("<3h", raw, 138) + struct.unpack_from("<3h", raw, 150)
    with suppress(ValueError):
        return datetime(year, month, day, *clock)  # noqa: DTZ001 - ISHNE knows no time zones
    return None


def _n_samples(path: Path, header: _Header) -> tuple[int, tuple[str, ...], bool]:
    """Return the number of samples, a note if the header states another one, and whether samples lack.

    Some headers count the samples of all leads together. That is assumed if the file then ends within a
    second of the stated length.
    """
    n_leads, n_stated = len(header.leads), header.n_stated
    n_stored = (path.stat().st_size - header.first_byte) // (2 * n_leads)
    if n_stated == n_stored or n_stated < 0:  # negative: unknown
        return n_stored, (), False
    if n_leads > 1 and n_stated > 0 and 0 <= n_stored - n_stated // n_leads < header.fs:
        note = f"the header states {n_stated} samples, taken as those of all leads together"
        return n_stated // n_leads, (note,), False
    if n_stored < n_stated and n_stored < LEAST_S * header.fs:
        raise UnreadableError(
            f"{path}: the header states {n_stated} samples of {n_leads} leads, "
            f"but the file has {n_stored}. Copy the complete file again."
        )
    note = f"the header states {n_stated} samples of each lead, the file has {n_stored}, which are read"
    return n_stored, (note,), n_stored < n_stated


def _read(layout: _Layout, start: int, stop: int) -> Signal:
    n_leads = layout.n_stored
    begin, count = layout.first_byte + 2 * n_leads * start, n_leads * (stop - start)
    stored = read_stored(layout.path, "<i2", first=begin, count=count).reshape(-1, n_leads)
    digital = stored[:, layout.columns]
    block: Signal = (digital * layout.scale).astype(np.float32)
    block[digital == LOWEST_16_BIT] = np.nan
    return block
