"""Read SCP-ECG (EN 1064) into memory: decode Huffman codes and differences, and add the reference beat.

A recorder may subtract a reference beat and decimate the samples outside of QRS complexes (bimodal
compression). Both are undone as EN 1064 describes: decimated parts become straight lines between the stored
means.
"""

import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import PatientHeader, Recording, UnreadableError
from ectopy.readers.in_memory import Piece, in_memory_recording
from ectopy.readers.lead_names import lead_of_number
from ectopy.readers.patients import iso_date, patient_header
from ectopy.readers.scp.huffman import Table, decode, read_tables
from ectopy.readers.scp.sections import MARK, RHYTHM, Sections, read_sections
from ectopy.readers.validation import LEAST_S, check_rate, leave_out, unique_names

SUFFIXES: tuple[str, ...] = (".scp",)
_ABOUT, _TABLES, _LEADS, _QRS, _BEAT, _RHYTHM = 1, 2, 3, 4, 5, RHYTHM
_DATE, _TIME, _LAST_TAG = 25, 26, 255
_LAST_NAME, _FIRST_NAME, _IDENTIFIER, _BORN, _SEX, _INDICATION, _DEVICE = 0, 1, 2, 5, 8, 13, 14
_MODEL = slice(8, 14)
"""Bytes of the value of _DEVICE with the description of the model."""
_MOST_LEADS = 64
_FULL = 2**16 - 2
"""Maximum of the length field of a lead, in bytes; recorders cut a longer lead there."""
_THINNED = 4
"""Number of samples outside of QRS complexes that one stored mean replaces."""

Floats = NDArray[np.float64]


class _Lead(NamedTuple):
    """Lead ``number`` of the SCP table, with samples ``first`` to ``last``, counted from 1."""

    first: int
    last: int
    number: int

    @property
    def n_samples(self) -> int:
        return max(self.last - self.first + 1, 0)

    @property
    def has_samples(self) -> bool:
        return self.first >= 1 and self.last >= self.first


@dataclass(frozen=True, eq=False)
class _Signals:
    """Content of section 5 or 6: numbers of each lead in units of ``nanovolts``, one per ``interval_us``."""

    nanovolts: int
    interval_us: int
    bimodal: bool
    leads: tuple[NDArray[np.int64], ...]


class _Qrs(NamedTuple):
    """QRS complex: its type, the interval of the subtracted reference beat, and that of full resolution."""

    kind: int
    start: int
    fiducial: int
    stop: int
    full_from: int
    full_to: int


class _Beats(NamedTuple):
    """Content of sections 4 and 5: QRS complexes, and the reference beat with its fiducial sample."""

    fiducial: int
    complexes: list[_Qrs]
    reference: _Signals


def matches(path: Path, head: bytes, *, fs: float | None = None) -> bool:  # noqa: ARG001
    """Return whether section 0 has the mark of SCP-ECG, or the suffix is ``.scp``."""
    return head[16 : 16 + len(MARK)] == MARK or path.suffix.lower() == ".scp"


def companion_files(path: Path) -> tuple[Path, ...]:
    """Return the file: a recording is one file."""
    return (path,)


def open_recording(path: Path, *, fs: float | None = None, unit: str | None = None) -> Recording:  # noqa: ARG001 - SCP has a rate
    """Open the rhythm data."""
    sections = read_sections(path)
    try:
        return _recording(path, sections)
    except (struct.error, IndexError, OverflowError) as error:
        raise UnreadableError(
            f"{path}: a section of the SCP-ECG file ends too early. Copy or export the file again."
        ) from error


def _recording(path: Path, sections: Sections) -> Recording:
    if _LEADS not in sections or _RHYTHM not in sections:
        raise UnreadableError(
            f"{path}: no leads or no rhythm data (sections 3 and 6). "
            "Export the recording with its rhythm data."
        )
    leads, has_beat = _leads(path, sections[_LEADS])
    tables = read_tables(path, sections.get(_TABLES))
    n_samples = [lead.n_samples for lead in leads]
    rhythm = _signals(path, sections[_RHYTHM], tables, n_samples, may_be_cut=True)
    beats = _beats(path, sections, tables, len(leads)) if has_beat or rhythm.bimodal else None
    interval_us, decimation = _intervals(path, rhythm, beats.reference if beats and has_beat else None)
    full = [(qrs.full_from, qrs.full_to) for qrs in beats.complexes] if beats and rhythm.bimodal else []
    signals = [
        _rebuilt(path, lead, stored.astype(np.float64) * (rhythm.nanovolts * 1e-6), full, decimation)
        for lead, stored in zip(leads, rhythm.leads, strict=True)
    ]
    if beats and has_beat:
        _add_beats(signals, leads, beats)
    names = unique_names(lead_of_number(lead.number) or f"lead {n}" for n, lead in enumerate(leads, 1))
    usable, left_out = leave_out(
        path,
        [
            (name.removeprefix("lead "), "" if lead.has_samples and len(signal) else "it has no samples")
            for name, lead, signal in zip(names, leads, signals, strict=True)
        ],
    )
    first = min(leads[number].first for number in usable)
    pieces = [
        Piece(names[number], signals[number].astype(np.float32), 1.0, start=leads[number].first - first)
        for number in usable
    ]
    fs = check_rate(path, 1e6 / interval_us)
    short = _note_on_length(path, leads, rhythm, fs) if decimation == 1 else ()
    about = _tags(sections.get(_ABOUT, b""))
    return in_memory_recording(
        *(path, pieces),
        fs=fs,
        start=_start(about),
        notes=(*left_out, *short),
        incomplete=bool(short),
        patient=_patient(about),
    )


def _note_on_length(path: Path, leads: Sequence[_Lead], rhythm: _Signals, fs: float) -> tuple[str, ...]:
    """Return a note if leads have fewer samples than section 3 states; refuse a file that has hardly any."""
    lengths = [(lead.n_samples, len(stored)) for lead, stored in zip(leads, rhythm.leads, strict=True)]
    short = [(n, own) for n, own in lengths if own < n and 2 * own != _FULL]
    if not short:
        return ()
    n_stated, n_stored = max(short, key=lambda pair: pair[1])
    if max(own for _, own in lengths) < LEAST_S * fs:
        raise UnreadableError(
            f"{path}: a lead has {n_stored} samples, but section 3 states {n_stated}. "
            "Copy or export the file again."
        )
    note = f"the longest of them has {n_stored} of {n_stated} samples"
    return (f"leads are shorter than section 3 states, {note}",)


def _leads(path: Path, section: bytes) -> tuple[list[_Lead], bool]:
    """Read section 3: return the leads, and whether a reference beat was subtracted from them."""
    n_leads, flags = struct.unpack_from("<BB", section)
    if n_leads > _MOST_LEADS:
        raise UnreadableError(
            f"{path}: section 3 states {n_leads} leads, more than the limit of {_MOST_LEADS}. "
            "Export the recording again."
        )
    leads = [_Lead(*struct.unpack_from("<IIB", section, 2 + 9 * number)) for number in range(n_leads)]
    if not any(lead.has_samples for lead in leads):
        raise UnreadableError(f"{path}: section 3 has no lead with samples. Export the recording again.")
    return leads, bool(flags & 1)


def _signals(
    path: Path,
    section: bytes,
    tables: Sequence[Table],
    n_samples: Sequence[int],
    *,
    may_be_cut: bool = False,
) -> _Signals:
    """Read section 5 or 6, which share a layout; at most ``n_samples`` of each lead."""
    nanovolts, interval_us, differences, bimodal = struct.unpack_from("<HHBB", section)
    lengths = struct.unpack_from(f"<{len(n_samples)}H", section, 6)
    if not nanovolts or not interval_us or differences > 2 or bimodal > 1:
        raise UnreadableError(
            f"{path}: scale, sampling interval or coding of the samples is invalid. "
            "Export the recording again."
        )
    position = 6 + 2 * len(n_samples)
    if len(section) < position + sum(lengths) and not may_be_cut:
        raise UnreadableError(
            f"{path}: the samples should have {sum(lengths)} bytes, but their section has "
            f"{len(section) - position}. Copy or export the file again."
        )
    stored = []
    for most, length in zip(n_samples, lengths, strict=True):
        coded = section[position : position + length]
        numbers = decode(path, coded, tables, most) if tables else _plain(coded)[:most]
        stored.append(_summed(numbers, differences))
        position += length
    return _Signals(nanovolts, interval_us, bool(bimodal), tuple(stored))


def _plain(coded: bytes) -> NDArray[np.int64]:
    return np.frombuffer(coded[: len(coded) // 2 * 2], "<i2").astype(np.int64)


def _summed(numbers: NDArray[np.int64], differences: int) -> NDArray[np.int64]:
    """Undo first or second differences, which one or two plain samples precede."""
    if differences == 2 and len(numbers) > 1:
        steps = np.concatenate(([numbers[1] - numbers[0]], numbers[2:])).cumsum()
        return np.concatenate((numbers[:1], steps)).cumsum()
    return numbers.cumsum() if differences else numbers


def _intervals(path: Path, rhythm: _Signals, reference: _Signals | None) -> tuple[int, int]:
    """Return the sampling interval of the whole signal in us, and the decimation of the stored samples."""
    if rhythm.bimodal and reference and rhythm.interval_us == _THINNED * reference.interval_us:
        return reference.interval_us, _THINNED  # some recorders state the interval of the decimated samples
    if reference and reference.interval_us != rhythm.interval_us:
        raise UnreadableError(
            f"{path}: the rhythm has a sample every {rhythm.interval_us} us, but the reference beat every "
            f"{reference.interval_us} us. Export the recording again."
        )
    return rhythm.interval_us, _THINNED if rhythm.bimodal else 1


def _beats(path: Path, sections: Sections, tables: Sequence[Table], n_leads: int) -> _Beats:
    """Read the QRS complexes (section 4) and the reference beat (section 5)."""
    if _QRS not in sections or _BEAT not in sections:
        raise UnreadableError(
            f"{path}: the QRS complexes or the reference beat are missing (sections 4 and 5). "
            "Export the recording again."
        )
    section = sections[_QRS]
    length_ms, fiducial, n_qrs = struct.unpack_from("<HHH", section)
    protected = 6 + 14 * n_qrs
    complexes = [
        _Qrs(
            *struct.unpack_from("<HIII", section, 6 + 14 * number),
            *struct.unpack_from("<II", section, protected + 8 * number),
        )
        for number in range(n_qrs)
    ]
    (interval_us,) = struct.unpack_from("<H", sections[_BEAT], 2)
    n_samples = -(-length_ms * 1000 // max(interval_us, 1))
    return _Beats(fiducial, complexes, _signals(path, sections[_BEAT], tables, [n_samples] * n_leads))


def _rebuilt(path: Path, lead: _Lead, stored: Floats, full: list[tuple[int, int]], decimation: int) -> Floats:
    """Return all samples of a lead: those of full resolution unchanged, lines between the means of others."""
    if decimation == 1 or not lead.has_samples:
        return stored
    whole: list[Floats] = []
    position, used, end = lead.first, 0, lead.last + 1
    for first, last in [*full, (end, end)]:
        start = min(max(first, position), end)
        stop = min(max(last + 1, start), end)
        n_means = -(-(start - position) // decimation)
        n_used = used + n_means + stop - start
        if len(stored) < n_used:
            raise UnreadableError(
                f"{path}: a lead has {len(stored)} stored samples, but needs at least {n_used}. "
                "Copy or export the file again."
            )
        if n_means:
            middle = np.arange(n_means) * decimation + (decimation - 1) / 2
            whole.append(np.interp(np.arange(start - position), middle, stored[used : used + n_means]))
        whole.append(stored[used + n_means : n_used])
        position, used = stop, n_used
    return np.concatenate(whole)


def _add_beats(signals: list[Floats], leads: list[_Lead], beats: _Beats) -> None:
    """Add the reference beat where it was subtracted: at the QRS complexes of its type (0)."""
    in_mv = beats.reference.nanovolts * 1e-6
    for signal, lead, stored in zip(signals, leads, beats.reference.leads, strict=True):
        for qrs in beats.complexes:
            # Samples count from 1; the fiducial points of beat and complex coincide.
            shift = qrs.fiducial - beats.fiducial
            first = max(qrs.start, lead.first, shift + 1)
            last = min(qrs.stop, lead.first + len(signal) - 1, shift + len(stored))
            if qrs.kind == 0 and first <= last:
                part = slice(first - lead.first, last - lead.first + 1)
                signal[part] += stored[first - shift - 1 : last - shift] * in_mv


def _tags(section: bytes) -> dict[int, bytes]:
    """Return the values of section 1 by their tags."""
    values: dict[int, bytes] = {}
    position = 0
    while position + 3 <= len(section) and section[position] != _LAST_TAG:
        tag, length = struct.unpack_from("<BH", section, position)
        values.setdefault(tag, section[position + 3 : position + 3 + length])
        position += 3 + length
    return values


def _start(values: dict[int, bytes]) -> datetime | None:
    """Return date and time of acquisition, from tags 25 and 26."""
    with suppress(struct.error, ValueError):
        day, clock = (
            struct.unpack_from("<HBB", values.get(_DATE, b"")),
            struct.unpack_from("<BBB", values.get(_TIME, b"")),
        )
        return datetime(*day, *clock)  # noqa: DTZ001 - local time; a stated zone is ignored
    return None


def _patient(values: dict[int, bytes]) -> PatientHeader | None:
    def text(tag: int, part: slice = slice(None)) -> str:
        return values.get(tag, b"")[part].partition(b"\0")[0].decode("latin-1").strip()

    born = ""
    with suppress(struct.error):
        born = iso_date(*struct.unpack_from("<HBB", values.get(_BORN, b"")))
    return patient_header(
        name=", ".join(filter(None, map(text, (_LAST_NAME, _FIRST_NAME)))),
        identifier=text(_IDENTIFIER),
        birth_date=born,
        sex=str(values[_SEX][0]) if values.get(_SEX) else "",
        indication=text(_INDICATION),
        recorder=text(_DEVICE, _MODEL),
    )
