"""SCP-ECG (EN 1064): rhythm data, whole in memory; differences, Huffman codes and reference beats undone.

Where a reference beat was subtracted and the rest thinned out (bimodal), both are put back as EN 1064
describes; what was thinned out comes back as straight lines between the means that were kept.
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

from ectopy.ecg import Recording, UnreadableError
from ectopy.readers.in_memory import Piece, in_memory_recording
from ectopy.readers.lead_names import lead_of_number
from ectopy.readers.scp.huffman import Table, decode, read_tables
from ectopy.readers.scp.sections import MARK, Sections, read_sections
from ectopy.readers.validation import check_rate, unique_names

SUFFIXES: tuple[str, ...] = (".scp",)
_ABOUT, _TABLES, _LEADS, _QRS, _BEAT, _RHYTHM = 1, 2, 3, 4, 5, 6
_DATE, _TIME, _LAST_TAG = 25, 26, 255
_MOST_LEADS = 64
_FULL = 2**16 - 2
"""Bytes of a lead that its length field can say at most; a longer lead is cut there by its recorder."""
_THINNED = 4
"""Of so many samples outside of QRS complexes a mean was kept."""

Floats = NDArray[np.float64]


class _Lead(NamedTuple):
    """Samples ``first`` to ``last``, counted from 1, of lead number ``number``."""

    first: int
    last: int
    number: int

    @property
    def n_samples(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, eq=False)
class _Signals:
    """Section 5 or 6: stored numbers a lead, of ``nanovolts`` each, one in ``interval_us``."""

    nanovolts: int
    interval_us: int
    bimodal: bool
    leads: tuple[NDArray[np.int64], ...]


class _Qrs(NamedTuple):
    """One QRS complex: its type, where a reference beat was subtracted, and where all samples were kept."""

    kind: int
    start: int
    fiducial: int
    stop: int
    kept_from: int
    kept_to: int


class _Beats(NamedTuple):
    """Sections 4 and 5: QRS complexes, and the reference beat with its fiducial sample."""

    fiducial: int
    complexes: list[_Qrs]
    reference: _Signals


def matches(path: Path, head: bytes, *, fs: float | None = None) -> bool:  # noqa: ARG001
    """Tell by the mark of section 0, or by a name that means nothing else."""
    return head[16 : 16 + len(MARK)] == MARK or path.suffix.lower() == ".scp"


def companion_files(path: Path) -> tuple[Path, ...]:
    """Give the file: it is all there is."""
    return (path,)


def open_recording(path: Path, *, fs: float | None = None) -> Recording:  # noqa: ARG001 - SCP has a rate
    """Open the rhythm data; who was recorded is dropped unread."""
    sections = read_sections(path)
    try:
        return _recording(path, sections)
    except (struct.error, IndexError, OverflowError) as error:
        raise UnreadableError(f"{path}: sections of SCP-ECG expected, one of them ends too early") from error


def _recording(path: Path, sections: Sections) -> Recording:
    if _LEADS not in sections or _RHYTHM not in sections:
        raise UnreadableError(f"{path}: leads and rhythm data expected (sections 3 and 6), none came")
    leads, has_beat = _leads(path, sections[_LEADS])
    tables = read_tables(path, sections.get(_TABLES))
    rhythm = _signals(path, sections[_RHYTHM], tables, [lead.n_samples for lead in leads])
    beats = _beats(path, sections, tables, len(leads)) if has_beat or rhythm.bimodal else None
    interval_us, thinned = _intervals(path, rhythm, beats.reference if beats and has_beat else None)
    kept = [(qrs.kept_from, qrs.kept_to) for qrs in beats.complexes] if beats and rhythm.bimodal else []
    signals = [
        _rebuilt(path, lead, stored.astype(np.float64) * (rhythm.nanovolts * 1e-6), kept, thinned)
        for lead, stored in zip(leads, rhythm.leads, strict=True)
    ]
    if beats and has_beat:
        _add_beats(signals, leads, beats)
    names = unique_names(lead_of_number(lead.number) or f"lead {at}" for at, lead in enumerate(leads, 1))
    first = min(lead.first for lead in leads)
    pieces = [
        Piece(name, signal.astype(np.float32), 1.0, start=lead.first - first)
        for name, lead, signal in zip(names, leads, signals, strict=True)
    ]
    fs = check_rate(path, 1e6 / interval_us)
    return in_memory_recording(path, pieces, fs=fs, start=_start(sections.get(_ABOUT, b"")))


def _leads(path: Path, section: bytes) -> tuple[list[_Lead], bool]:
    """Read section 3: the leads, and whether a reference beat was subtracted from them."""
    n_leads, flags = struct.unpack_from("<BB", section)
    if n_leads > _MOST_LEADS:
        raise UnreadableError(f"{path}: at most {_MOST_LEADS} leads expected, {n_leads} came")
    leads = [_Lead(*struct.unpack_from("<IIB", section, 2 + 9 * number)) for number in range(n_leads)]
    if not leads or any(lead.first < 1 or lead.n_samples < 1 for lead in leads):
        raise UnreadableError(f"{path}: leads with samples expected in section 3, others came")
    return leads, bool(flags & 1)


def _signals(path: Path, section: bytes, tables: Sequence[Table], n_samples: Sequence[int]) -> _Signals:
    """Read section 5 or 6, which are laid out alike; of each lead at most ``n_samples``."""
    nanovolts, interval_us, differences, bimodal = struct.unpack_from("<HHBB", section)
    lengths = struct.unpack_from(f"<{len(n_samples)}H", section, 6)
    if not nanovolts or not interval_us or differences > 2 or bimodal > 1:
        raise UnreadableError(f"{path}: a scale, a rate and a known coding expected, others came")
    at = 6 + 2 * len(n_samples)
    if len(section) < at + sum(lengths):
        raise UnreadableError(f"{path}: {sum(lengths)} bytes of samples promised, {len(section) - at} came")
    stored = []
    for most, length in zip(n_samples, lengths, strict=True):
        coded = section[at : at + length]
        numbers = decode(path, coded, tables, most) if tables else _plain(coded)[:most]
        stored.append(_summed(numbers, differences))
        at += length
    return _Signals(nanovolts, interval_us, bool(bimodal), tuple(stored))


def _plain(coded: bytes) -> NDArray[np.int64]:
    return np.frombuffer(coded[: len(coded) // 2 * 2], "<i2").astype(np.int64)


def _summed(numbers: NDArray[np.int64], differences: int) -> NDArray[np.int64]:
    """Undo first or second differences; before them stand as many samples as they are."""
    if differences == 2 and len(numbers) > 1:
        steps = np.concatenate(([numbers[1] - numbers[0]], numbers[2:])).cumsum()
        return np.concatenate((numbers[:1], steps)).cumsum()
    return numbers.cumsum() if differences else numbers


def _intervals(path: Path, rhythm: _Signals, reference: _Signals | None) -> tuple[int, int]:
    """Give the interval of the whole signal in us, and of how many samples a thinned-out one is the mean."""
    if rhythm.bimodal and reference and rhythm.interval_us == _THINNED * reference.interval_us:
        return reference.interval_us, _THINNED  # some recorders say the interval of what was thinned out
    if reference and reference.interval_us != rhythm.interval_us:
        said, came = rhythm.interval_us, reference.interval_us
        raise UnreadableError(f"{path}: a reference beat every {said} us expected, every {came} us came")
    return rhythm.interval_us, _THINNED if rhythm.bimodal else 1


def _beats(path: Path, sections: Sections, tables: Sequence[Table], n_leads: int) -> _Beats:
    """Read sections 4 and 5: the QRS complexes and the reference beat."""
    if _QRS not in sections or _BEAT not in sections:
        raise UnreadableError(
            f"{path}: QRS complexes and a reference beat expected (sections 4, 5), none came"
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


def _rebuilt(path: Path, lead: _Lead, stored: Floats, kept: list[tuple[int, int]], thinned: int) -> Floats:
    """Give all samples of a lead: those kept as they are, lines between the means of the others."""
    if thinned == 1:
        if len(stored) < lead.n_samples and 2 * len(stored) != _FULL:
            raise UnreadableError(f"{path}: {lead.n_samples} samples a lead promised, {len(stored)} came")
        return stored
    whole: list[Floats] = []
    at, used, end = lead.first, 0, lead.last + 1
    for first, last in [*kept, (end, end)]:
        start = min(max(first, at), end)
        stop = min(max(last + 1, start), end)
        n_means = -(-(start - at) // thinned)
        n_used = used + n_means + stop - start
        if len(stored) < n_used:
            raise UnreadableError(f"{path}: {n_used} stored samples a lead expected, {len(stored)} came")
        if n_means:
            middle = np.arange(n_means) * thinned + (thinned - 1) / 2
            whole.append(np.interp(np.arange(start - at), middle, stored[used : used + n_means]))
        whole.append(stored[used + n_means : n_used])
        at, used = stop, n_used
    return np.concatenate(whole)


def _add_beats(signals: list[Floats], leads: list[_Lead], beats: _Beats) -> None:
    """Add the reference beat where it was subtracted; QRS complexes of another type kept theirs."""
    in_mv = beats.reference.nanovolts * 1e-6
    for signal, lead, stored in zip(signals, leads, beats.reference.leads, strict=True):
        for qrs in beats.complexes:
            # Samples count from 1; the fiducial of the beat lies on that of the complex.
            shift = qrs.fiducial - beats.fiducial
            first = max(qrs.start, lead.first, shift + 1)
            last = min(qrs.stop, lead.first + len(signal) - 1, shift + len(stored))
            if qrs.kind == 0 and first <= last:
                part = slice(first - lead.first, last - lead.first + 1)
                signal[part] += stored[first - shift - 1 : last - shift] * in_mv


def _start(section: bytes) -> datetime | None:
    """Give date and time of acquisition, tags 25 and 26 of section 1."""
    values: dict[int, bytes] = {}
    at = 0
    while at + 3 <= len(section) and section[at] != _LAST_TAG:
        tag, length = struct.unpack_from("<BH", section, at)
        values.setdefault(tag, section[at + 3 : at + 3 + length])
        at += 3 + length
    with suppress(struct.error, ValueError):
        day, clock = (
            struct.unpack_from("<HBB", values.get(_DATE, b"")),
            struct.unpack_from("<BBB", values.get(_TIME, b"")),
        )
        return datetime(*day, *clock)  # noqa: DTZ001 - the zone, where it is said, changes no clock
    return None
