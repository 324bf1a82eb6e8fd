"""Read WFDB records of one or many segments: headers when opened, samples in blocks when needed."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ectopy.ecg import Recording, Signal, UnreadableError
from ectopy.readers.lead_names import is_other, lead_of, name_for_notes
from ectopy.readers.validation import (
    LEAST_S,
    UNIT_REMEDY,
    check_rate,
    check_size,
    leave_out,
    may_be_voltage,
    millivolts,
    most_common_rate,
    note_on_unit,
    scale_problem,
    unique_names,
    unit_problem,
)
from ectopy.readers.wfdb.header import DEFAULT_FS, Header, read_header, segment_header, signal_files
from ectopy.readers.wfdb.signals import SignalStore, open_signals, promised_bytes, read_signals

SUFFIXES: tuple[str, ...] = (".hea",)
GAP = "~"
"""Name of a segment without a recording, and of the file of a signal that was not recorded."""
_PACKED = 4
"""Fewer samples than this at the end of a file may only fill up the last word of a packed format."""


@dataclass(frozen=True)
class _Part:
    """Frames [start, stop) of a recording, with the signal number of each lead there."""

    start: int
    stop: int
    store: SignalStore
    numbers: dict[str, int]


class _Record(NamedTuple):
    """Leads and length of a record, its parts in order of time, and what its files lack."""

    described: Header
    n_frames: int
    parts: list[_Part]
    missing: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    incomplete: bool = False


class _Leads(NamedTuple):
    """Leads that are read, their samples in a frame, and the unit of those that have none."""

    names: tuple[str, ...]
    per_frame: int
    unit: str | None


def matches(path: Path, head: bytes, *, fs: float | None = None) -> bool:  # noqa: ARG001
    """Return whether the suffix is ``.hea``; a damaged header is a recording that cannot be read."""
    return path.suffix == ".hea"


def companion_files(path: Path) -> tuple[Path, ...]:
    """Return the header and all files that it names, also missing ones; all lie in its folder."""
    header = read_header(path)
    parts = [path, *(file.path for file in signal_files(header))]
    for name in _segment_names(header):
        segment = segment_header(header, name)
        inner = signal_files(read_header(segment)) if segment.is_file() else []
        parts += [segment, *(file.path for file in inner)]
    return tuple(dict.fromkeys(parts))


def frames_per_s(path: Path) -> float:
    """Return the rate in Hz by which annotations of a record count; it may be below that of its leads."""
    return read_header(path).fs


def open_recording(path: Path, *, fs: float | None = None, unit: str | None = None) -> Recording:
    """Open the record of a header; ``fs`` is the rate in Hz of a header without one."""
    header = read_header(path, default_fs=fs or DEFAULT_FS)
    record = _segments(header) if header.segments else _single(header)
    signals = record.described.signals
    names = unique_names(line.lead for line in signals)
    chosen, left_out = _leads(record, unit)
    given = note_on_unit([(name_for_notes(names[n], n + 1), signals[n].unit) for n in chosen], unit)
    leads, per_frame = tuple(names[number] for number in chosen), signals[chosen[0]].per_frame
    rate = check_rate(path, header.fs * per_frame)
    return Recording(
        name=path.stem,
        fs=rate,
        leads=leads,
        n_samples=check_size(path, record.n_frames * per_frame, rate, n_leads=len(leads)),
        read=partial(_read, record.parts, _Leads(leads, per_frame, unit)),
        start=header.start,
        notes=(*left_out, *given, *record.notes, *_note_on_rate(header, fs)),
        incomplete=record.incomplete,
    )


def _note_on_rate(header: Header, fs: float | None) -> tuple[str, ...]:
    if header.states_rate or fs:
        return ()
    return (f"the header states no sampling rate, and {DEFAULT_FS:g} Hz is the default of WFDB",)


def _single(header: Header) -> _Record:
    """Read a record without segments; it is as long as its longest signal file."""
    store, stated = open_signals(header), header.n_frames
    if store.error and not store.files:
        raise store.error
    n_frames = max((own for _, own in store.files), default=stated)
    width = min((file.width for file, _ in store.files), default=1)
    if 0 < (n_frames - stated) * width < _PACKED:
        n_frames = stated
    _check_enough([store], n_frames, stated)
    notes = []
    if stated not in {0, n_frames}:
        notes.append(f"the header states {stated} frames, the signal files have {n_frames}, which are read")
    early = max((n_frames - own for _, own in store.files), default=0)
    if early * width >= _PACKED:
        notes.append(f"a signal file ends {early / header.fs:.1f} s before another one")
    return _Record(
        *(header, n_frames, [_part(0, n_frames, store)], store.missing, tuple(notes)),
        incomplete=bool(store.missing) or any(own < stated for _, own in store.files),
    )


def _segments(header: Header) -> _Record:
    """Read a record of segments; the leads are those of the first. A segment that lacks samples has a gap."""
    stores = {name: _segment(header, name) for name in _segment_names(header)}
    found = {name: store for name, store in stores.items() if store}
    if not found or any(store.header.segments for store in found.values()):
        raise UnreadableError(
            f"{header.path}: no segment with signals, or a segment that consists of segments itself. "
            "Name only segments that have signal files."
        )
    # A first segment without samples (layout header) only lists the leads.
    spans = pairwise(accumulate((n_frames for _, n_frames in header.segments), initial=0))
    placed = [
        (name, *span)
        for (name, n_frames), span in zip(header.segments, spans, strict=True)
        if name != GAP and n_frames
    ]
    lengths = [found[name].at_most(stop - start) if name in found else 0 for name, start, stop in placed]
    stated = [stop - start for _, start, stop in placed]
    n_short = sum(own < length for own, length in zip(lengths, stated, strict=True))
    if n_short:
        _check_enough(list(found.values()), sum(lengths), sum(stated))
    parts = {name: _part(0, 0, store) for name, store in found.items()}
    return _Record(
        next(iter(found.values())).header,
        sum(n_frames for _, n_frames in header.segments),
        [replace(parts[name], start=start, stop=stop) for name, start, stop in placed if name in parts],
        notes=(f"{n_short} of {len(placed)} segments are missing or shorter than stated",) if n_short else (),
        incomplete=bool(n_short),
    )


def _segment(header: Header, name: str) -> SignalStore | None:
    """Return the signal files of a segment; None if it has no header."""
    path = segment_header(header, name)
    return open_signals(read_header(path, default_fs=header.fs)) if path.is_file() else None


def _check_enough(stores: Sequence[SignalStore], n_frames: int, stated: int) -> None:
    """Refuse signal files that have hardly anything of what the header states."""
    if n_frames >= min(stated, LEAST_S * stores[0].header.fs):
        return
    if error := next((store.error for store in stores if store.error), None):
        raise error
    file = next(file for store in stores for file, _ in store.files)
    raise UnreadableError(
        f"{file.path}: the file has {file.path.stat().st_size} bytes, but its header describes "
        f"{promised_bytes(file, stated)}. Copy the complete file again."
    )


def _segment_names(header: Header) -> list[str]:
    """Return the names of the segments, each once; a header may repeat one ten thousand times."""
    return [name for name in dict.fromkeys(name for name, _ in header.segments) if name != GAP]


def _part(start: int, stop: int, store: SignalStore) -> _Part:
    signals = store.header.signals
    names = unique_names(line.lead for line in signals)
    stored = {
        name: number
        for number, name in enumerate(names)
        if signals[number].file != GAP and number not in store.missing
    }
    return _Part(start, stop, store, stored)


def _leads(record: _Record, unit: str | None) -> tuple[list[int], tuple[str, ...]]:
    """Return the signals in a unit of voltage that share a rate, with notes on the others.

    Signals that are named as something else than an ECG are left out without a note.
    """
    signals = record.described.signals
    in_mv = [millivolts(line.unit, unit) for line in signals]
    leads = [
        number
        for number, line in enumerate(signals)
        if in_mv[number] or (may_be_voltage(line.unit) and lead_of(line.lead))
    ]
    leads = [number for number in leads if not is_other(signals[number].lead)] or leads
    if not any(in_mv[number] for number in leads):
        described = "; ".join(sorted({unit_problem(line.unit) for line in signals}))
        unknown = any(may_be_voltage(line.unit) for line in signals)
        raise UnreadableError(
            f"{record.described.path}: no lead in a unit of voltage ({described}). "
            f"{UNIT_REMEDY if unknown else 'Correct the units in the header.'}"
        )
    problems = [
        (name_for_notes(signals[number].lead, number + 1), _problem(record, number, in_mv[number]))
        for number in leads
    ]
    usable, left_out = leave_out(record.described.path, problems)
    rates = {leads[place]: float(signals[leads[place]].per_frame) for place in usable}
    chosen, other_rates = most_common_rate(rates)
    return chosen, (*left_out, *other_rates)


def _problem(record: _Record, number: int, in_mv: float | None) -> str:
    line = record.described.signals[number]
    if in_mv is None:
        return unit_problem(line.unit)
    if problem := scale_problem(line.gain):
        return problem
    return "its signal file is missing or damaged" if number in record.missing else ""


def _read(parts: Sequence[_Part], leads: _Leads, start: int, stop: int) -> Signal:
    """Read samples [start, stop) in mV from the segments; NaN where no segment has a sample."""
    names, per_frame, unit = leads
    block = np.full((len(names), stop - start), np.nan, dtype=np.float32)  # C order: one lead after another
    for part in _parts_between(parts, start // per_frame, -(-stop // per_frame)):
        begin, end = part.start * per_frame, part.stop * per_frame
        first, last = max(start, begin), min(stop, end)
        signals = part.store.header.signals
        same = {lead for lead, number in part.numbers.items() if signals[number].per_frame == per_frame}
        if rows := [row for row, lead in enumerate(names) if lead in same]:
            numbers = [part.numbers[names[row]] for row in rows]
            signal = read_signals(part.store, numbers, first - begin, last - begin, unit=unit)
            if signal.shape == block.T.shape:  # so nearly always
                return signal
            block[rows, first - start : last - start] = signal.T
    return block.T


def _parts_between(parts: Sequence[_Part], start: int, stop: int) -> Sequence[_Part]:
    """Return the parts with frames in [start, stop); there may be ten thousand, in order of time."""
    if start >= stop:
        return ()
    return parts[
        bisect_right(parts, start, key=lambda part: part.stop) : bisect_left(
            parts, stop, key=lambda part: part.start
        )
    ]
