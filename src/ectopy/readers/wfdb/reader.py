"""WFDB recordings: the facts from the header at once, the samples by block, of one segment or of many."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np

from ectopy.ecg import Recording, Signal, UnreadableError
from ectopy.readers.lead_names import is_other
from ectopy.readers.validation import check_length, check_rate, millivolts, most_common_rate, unique_names
from ectopy.readers.wfdb.header import DEFAULT_FS, Header, read_header, segment_header, signal_files
from ectopy.readers.wfdb.signals import check_signals, read_signals

SUFFIXES: tuple[str, ...] = (".hea",)
GAP = "~"
"""Name of a segment in which nothing was recorded, and of the file of a signal that was not."""


@dataclass(frozen=True)
class _Part:
    """Frames [start, stop) of a recording, and the number that each lead's signal has there."""

    start: int
    stop: int
    header: Header
    numbers: dict[str, int]


def matches(path: Path, head: bytes, *, fs: float | None = None) -> bool:  # noqa: ARG001
    """Tell a header by its name: one that is broken is a recording that cannot be read."""
    return path.suffix == ".hea"


def companion_files(path: Path) -> tuple[Path, ...]:
    """Give the header and all files it names, there or not; none of them lies outside its folder."""
    header = read_header(path)
    parts = [path, *(file.path for file in signal_files(header))]
    for name, _ in header.segments:
        if name != GAP:
            segment = segment_header(header, name)
            inner = signal_files(read_header(segment)) if segment.is_file() else []
            parts += [segment, *(file.path for file in inner)]
    return tuple(dict.fromkeys(parts))


def open_recording(path: Path, *, fs: float | None = None) -> Recording:
    """Open the record of a header; ``fs`` is for a header that names no rate."""
    header = read_header(path, default_fs=fs or DEFAULT_FS)
    described, parts = _segments(header) if header.segments else _single(header)
    names = unique_names(line.lead for line in described.signals)
    chosen = _voltages(described)
    leads, per_frame = tuple(names[number] for number in chosen), described.signals[chosen[0]].per_frame
    rate = check_rate(path, header.fs * per_frame)
    return Recording(
        name=path.stem,
        fs=rate,
        leads=leads,
        n_samples=check_length(path, described.n_frames * per_frame, rate),
        read=partial(_read, parts, leads, per_frame),
        start=header.start,
    )


def _single(header: Header) -> tuple[Header, list[_Part]]:
    whole = check_signals(header)
    return whole, [_part(0, whole.n_frames, whole)]


def _segments(header: Header) -> tuple[Header, list[_Part]]:
    """Give the header that describes the leads, that of the first segment, and all that hold signals."""
    spans = pairwise(accumulate((n_frames for _, n_frames in header.segments), initial=0))
    present = [(name, *span) for (name, _), span in zip(header.segments, spans, strict=True) if name != GAP]
    read = {name: read_header(segment_header(header, name), default_fs=header.fs) for name, *_ in present}
    if not present or any(segment.segments for segment in read.values()):
        raise UnreadableError(f"{header.path}: segments with signals expected, none or others came")
    total = sum(n_frames for _, n_frames in header.segments)
    return replace(read[present[0][0]], n_frames=total), [
        _part(start, stop, check_signals(replace(read[name], n_frames=stop - start)))
        for name, start, stop in present
        if start < stop  # a first segment without samples tells the leads of all others
    ]


def _part(start: int, stop: int, header: Header) -> _Part:
    names = unique_names(line.lead for line in header.signals)
    stored = {name: at for at, name in enumerate(names) if header.signals[at].file != GAP}
    return _Part(start, stop, header, stored)


def _voltages(header: Header) -> list[int]:
    """Choose the signals in a unit of voltage that do not bear the name of something else, of one rate."""
    volts = [number for number, line in enumerate(header.signals) if millivolts(line.unit)]
    volts = [number for number in volts if not is_other(header.signals[number].lead)] or volts
    if not volts:
        units = ", ".join(sorted({line.unit for line in header.signals}))
        raise UnreadableError(f"{header.path}: a lead in a unit of voltage expected, {units} came")
    return most_common_rate(
        header.path, {number: float(header.signals[number].per_frame) for number in volts}
    )


def _read(parts: Sequence[_Part], leads: Sequence[str], per_frame: int, start: int, stop: int) -> Signal:
    """Put [start, stop) together from the parts; what none of them has is missing."""
    block = np.full((len(leads), stop - start), np.nan, dtype=np.float32)  # a lead after the other
    for part in parts:
        begin, end = part.start * per_frame, part.stop * per_frame
        first, last = max(start, begin), min(stop, end)
        same = {lead for lead, at in part.numbers.items() if part.header.signals[at].per_frame == per_frame}
        known = [column for column, lead in enumerate(leads) if lead in same]
        if first < last and known:
            numbers = [part.numbers[leads[column]] for column in known]
            block[known, first - start : last - start] = read_signals(
                part.header, numbers, first - begin, last - begin
            ).T
    return block.T
