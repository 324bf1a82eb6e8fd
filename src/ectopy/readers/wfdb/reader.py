"""Read WFDB records of one or many segments: headers when opened, samples in blocks when needed."""

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
"""Name of a segment without a recording, and of the file of a signal that was not recorded."""


@dataclass(frozen=True)
class _Part:
    """Frames [start, stop) of a recording, with the signal number of each lead there."""

    start: int
    stop: int
    header: Header
    numbers: dict[str, int]


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


def open_recording(path: Path, *, fs: float | None = None) -> Recording:
    """Open the record of a header; ``fs`` is the rate in Hz of a header without one."""
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
    """Return the header with the leads (that of the first segment), and the segments with samples."""
    spans = pairwise(accumulate((n_frames for _, n_frames in header.segments), initial=0))
    present = [(name, *span) for (name, _), span in zip(header.segments, spans, strict=True) if name != GAP]
    headers = {
        name: read_header(segment_header(header, name), default_fs=header.fs)
        for name in _segment_names(header)
    }
    if not present or any(segment.segments for segment in headers.values()):
        raise UnreadableError(
            f"{header.path}: no segment with signals, or a segment that consists of segments itself. "
            "Name only segments that have signal files."
        )
    total = sum(n_frames for _, n_frames in header.segments)
    longest: dict[str, int] = {}
    for name, start, stop in present:
        longest[name] = max(longest.get(name, 0), stop - start)
    # Each segment is checked once. One without samples (layout header) only lists the leads.
    checked = {
        name: _part(0, n_frames, check_signals(replace(headers[name], n_frames=n_frames)))
        for name, n_frames in longest.items()
        if n_frames
    }
    return replace(headers[present[0][0]], n_frames=total), [
        replace(checked[name], start=start, stop=stop, header=replace(headers[name], n_frames=stop - start))
        for name, start, stop in present
        if start < stop
    ]


def _segment_names(header: Header) -> list[str]:
    """Return the names of the segments, each once; a header may repeat one ten thousand times."""
    return [name for name in dict.fromkeys(name for name, _ in header.segments) if name != GAP]


def _part(start: int, stop: int, header: Header) -> _Part:
    names = unique_names(line.lead for line in header.signals)
    stored = {name: number for number, name in enumerate(names) if header.signals[number].file != GAP}
    return _Part(start, stop, header, stored)


def _voltages(header: Header) -> list[int]:
    """Return the signals in a unit of voltage that share a rate; names of other signals are left out."""
    volts = [number for number, line in enumerate(header.signals) if millivolts(line.unit)]
    volts = [number for number in volts if not is_other(header.signals[number].lead)] or volts
    if not volts:
        units = ", ".join(sorted({line.unit for line in header.signals}))
        raise UnreadableError(
            f"{header.path}: no lead in a unit of voltage (units: {units}). Correct the units in the header."
        )
    return most_common_rate(
        header.path, {number: float(header.signals[number].per_frame) for number in volts}
    )


def _read(parts: Sequence[_Part], leads: Sequence[str], per_frame: int, start: int, stop: int) -> Signal:
    """Read samples [start, stop) in mV from the segments; NaN where no segment has a sample."""
    block = np.full((len(leads), stop - start), np.nan, dtype=np.float32)  # C order: one lead after another
    for part in parts:
        begin, end = part.start * per_frame, part.stop * per_frame
        first, last = max(start, begin), min(stop, end)
        if first >= last:
            continue
        signals = part.header.signals
        same = {lead for lead, number in part.numbers.items() if signals[number].per_frame == per_frame}
        if rows := [row for row, lead in enumerate(leads) if lead in same]:
            numbers = [part.numbers[leads[row]] for row in rows]
            block[rows, first - start : last - start] = read_signals(
                part.header, numbers, first - begin, last - begin
            ).T
    return block.T
