"""ISHNE Holter recordings (Badilini 1998): the header at once, samples by block; and their annotations."""

import struct
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ectopy.annotations import Annotations
from ectopy.ecg import Recording, Signal, UnreadableError
from ectopy.readers.validation import (
    check_length,
    check_rate,
    check_scale,
    read_stored,
    read_whole,
    unique_names,
)

SUFFIXES: tuple[str, ...] = (".ecg",)
_MAGIC, _MAGIC_ANNOTATIONS = b"ISHNE1.0", b"ANN  1.0"
_HEADER_BYTES = 522
_MOST_LEADS = 12
# By their number; 0 is unknown, 1 a bipolar lead of no name.
_NAMES = "X Y Z I II III aVR aVL aVF V1 V2 V3 V4 V5 V6 ES AS AI"
_LEADS = ("", "", *_NAMES.split())
# ISHNE's own labels that MIT has another symbol for.
_SYMBOLS = {"X": "|", "C": "~", "!": "~", "U": "Q", "P": "/"}
_LARGEST_ANNOTATIONS = 2**28


class _Header(NamedTuple):
    n_said: int
    first_byte: int
    fs: float
    leads: tuple[str, ...]
    nanovolts: tuple[int, ...]
    start: datetime | None


def matches(path: Path, head: bytes, *, fs: float | None = None) -> bool:  # noqa: ARG001
    """Tell by the first bytes: ``.ecg`` is the suffix of much else."""
    return head.startswith(_MAGIC)


def companion_files(path: Path) -> tuple[Path, ...]:
    """Give the file: annotations beside it change nothing of the recording."""
    return (path,)


def open_recording(path: Path, *, fs: float | None = None) -> Recording:  # noqa: ARG001 - ISHNE has a rate
    """Open a recording; who was recorded is dropped unread."""
    header = _read_header(path, _MAGIC)
    n_samples = check_length(path, _n_samples(path, header), header.fs)
    scale = [
        check_scale(path, nv * 1e-6, lead) for lead, nv in zip(header.leads, header.nanovolts, strict=True)
    ]
    return Recording(
        name=path.stem,
        fs=header.fs,
        leads=header.leads,
        n_samples=n_samples,
        read=partial(_read, path, header.first_byte, np.array(scale)),
        start=header.start,
    )


def read_annotations(path: Path) -> Annotations:
    """Read the annotations of an ``.ann`` file; symbols are those of MIT."""
    header = _read_header(path, _MAGIC_ANNOTATIONS)
    stored = read_whole(path, limit=_LARGEST_ANNOTATIONS)[header.first_byte :]
    if len(stored) < 4:
        raise UnreadableError(f"{path}: annotations expected after the header, {len(stored)} bytes came")
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
        raise UnreadableError(f"{path}: a header of {magic.decode()} expected, something else came")
    n_said, _, first_byte = struct.unpack_from("<3i", raw, 14)
    n_leads, *numbers = struct.unpack_from("<13h", raw, 156)
    (fs,) = struct.unpack_from("<h", raw, 272)
    if not 1 <= n_leads <= _MOST_LEADS:
        raise UnreadableError(f"{path}: 1 to {_MOST_LEADS} leads expected, {n_leads} came")
    if not _HEADER_BYTES <= first_byte <= size:
        raise UnreadableError(f"{path}: samples within {size} bytes expected, from byte {first_byte} came")
    names = [
        _LEADS[n] if 0 <= n < len(_LEADS) and _LEADS[n] else f"lead {at}" for at, n in enumerate(numbers, 1)
    ]
    return _Header(
        n_said,
        first_byte,
        check_rate(path, float(fs)),
        unique_names(names[:n_leads]),
        struct.unpack_from("<12h", raw, 206)[:n_leads],
        _start(raw),
    )


def _start(raw: bytes) -> datetime | None:
    day, month, year, *clock = struct.unpack_from("<3h", raw, 138) + struct.unpack_from("<3h", raw, 150)
    with suppress(ValueError):
        return datetime(year, month, day, *clock)  # noqa: DTZ001 - ISHNE knows no time zones
    return None


def _n_samples(path: Path, header: _Header) -> int:
    """Hold the length against the file: some headers count the samples of all leads together.

    Then the file ends within a second of them; a file that ends elsewhere was cut off.
    """
    n_leads = len(header.leads)
    here = (path.stat().st_size - header.first_byte) // (2 * n_leads)
    if header.n_said <= 0:
        return here
    if header.n_said <= here:
        return header.n_said
    if 0 <= here - header.n_said // n_leads < header.fs:
        return header.n_said // n_leads
    raise UnreadableError(f"{path}: {header.n_said} samples of {n_leads} leads promised, {here} came")


def _read(path: Path, first_byte: int, scale: NDArray[np.float64], start: int, stop: int) -> Signal:
    n_leads = len(scale)
    at, count = first_byte + 2 * n_leads * start, n_leads * (stop - start)
    stored = read_stored(path, "<i2", first=at, count=count).reshape(-1, n_leads)
    block: Signal = (stored * scale).astype(np.float32)
    return block
