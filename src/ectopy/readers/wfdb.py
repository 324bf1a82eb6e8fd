"""WFDB recordings: the facts from the header at once, the samples by block.

The formats of fixed width are read straight from their file: one seek a block, and no second spent on
importing wfdb (and pandas). Whatever is rarer (several segments, skew, differences, FLAC) goes through wfdb.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Recording, Signal, UnreadableError
from ectopy.readers.facts import check_rate, distinct, millivolts
from ectopy.readers.wfdb_header import (
    DEFAULT_FS,
    Header,
    SignalFile,
    SignalLine,
    read_header,
    segment_headers,
    signal_files,
)

# Bits a sample takes, see signal(5). Formats 508, 516 and 524 (FLAC) have no fixed width.
BITS = {
    number: width
    for width, numbers in (
        (Fraction(8), (8, 80)),
        (Fraction(32, 3), (310, 311)),
        (Fraction(12), (212,)),
        (Fraction(16), (16, 61, 160)),
        (Fraction(24), (24,)),
        (Fraction(32), (32,)),
    )
    for number in numbers
}
# What is read here and not by wfdb, with the value that stands for a missing sample: the lowest of its width.
MISSING = {16: -(2**15), 24: -(2**23), 32: -(2**31), 61: -(2**15), 80: -(2**7), 160: -(2**15), 212: -(2**11)}
_WHOLE_BYTES = {16: "<i2", 32: "<i4", 61: ">i2", 80: "u1", 160: "<u2"}
_OFFSET_BINARY = {80: 2**7, 160: 2**15}

Physical: TypeAlias = NDArray[np.float64]
"""Samples of one lead in the unit of its header."""
ReadFrames: TypeAlias = Callable[[Header, tuple[int, ...], int, int], list[Physical]]


def recognise(path: Path) -> bool:
    """Tell a header by its name: one that is broken is a recording that cannot be read."""
    return path.suffix == ".hea"


def files(path: Path) -> tuple[Path, ...]:
    """Give the header and all files it names, there or not; none of them lies outside its folder."""
    header = read_header(path)
    parts = [path, *(file.path for file in signal_files(header))]
    for segment in segment_headers(header):
        inner = signal_files(read_header(segment)) if segment.is_file() else []
        parts += [segment, *(file.path for file in inner)]
    return tuple(dict.fromkeys(parts))


def open_recording(path: Path, *, fs: float | None = None) -> Recording:
    """Open the record of a header; ``fs`` is for a header that names no rate."""
    header = _checked(read_header(path, default_fs=fs or DEFAULT_FS))
    chosen = _voltages(header)
    lines = [header.signals[number] for number in chosen]
    per_frame = lines[0].per_frame
    simple = not header.segments and all(line.format in MISSING and not line.skew for line in header.signals)
    return Recording(
        name=path.stem,
        fs=check_rate(path, header.fs * per_frame),
        leads=distinct(line.lead for line in lines),
        n_samples=header.n_frames * per_frame,
        read=partial(_read, _frames_directly if simple else _frames_through_wfdb, header, chosen),
        start=header.start,
    )


def _checked(header: Header) -> Header:
    """Hold the files against the header; give it with its number of frames, and with signals."""
    if not header.segments:
        return _checked_signals(header)
    segments = [read_header(path, default_fs=header.fs) for path in segment_headers(header)]
    if not segments or not header.n_frames or any(segment.segments for segment in segments):
        raise UnreadableError(f"{header.path}: segments with signals and their total length expected")
    for segment in segments:
        _checked_signals(segment)
    return replace(header, signals=segments[0].signals)


def _checked_signals(header: Header) -> Header:
    held = signal_files(header)
    for file in held:
        if not file.path.is_file():
            raise UnreadableError(f"{header.path}: {file.path.name} expected beside it, none there")
    n_frames = header.n_frames or min((_room(file) for file in held), default=0)
    for file in held:
        promised = file.offset + math.ceil(n_frames * file.width * BITS.get(file.format, Fraction(0)) / 8)
        if (size := file.path.stat().st_size) < promised:
            raise UnreadableError(f"{file.path}: {promised} bytes promised by its header, {size} came")
    return replace(header, n_frames=n_frames)


def _room(file: SignalFile) -> int:
    """Tell how many frames a file has room for, where the header does not say."""
    if file.format not in BITS:
        raise UnreadableError(f"{file.path}: a number of samples expected in the header, none there")
    return math.floor(max(0, file.path.stat().st_size - file.offset) * 8 / (file.width * BITS[file.format]))


def _voltages(header: Header) -> tuple[int, ...]:
    """Choose the signals in a unit of voltage; of several rates the highest, which is that of the ECG."""
    volts = [number for number, line in enumerate(header.signals) if millivolts(line.unit)]
    if not volts:
        units = ", ".join(sorted({line.unit for line in header.signals}))
        raise UnreadableError(f"{header.path}: a lead in a unit of voltage expected, {units} came")
    highest = max(header.signals[number].per_frame for number in volts)
    return tuple(number for number in volts if header.signals[number].per_frame == highest)


def _read(frames: ReadFrames, header: Header, chosen: tuple[int, ...], start: int, stop: int) -> Signal:
    """Read [start, stop) of the chosen signals in mV: whole frames, then cut."""
    lines = [header.signals[number] for number in chosen]
    per_frame = lines[0].per_frame
    first, last = start // per_frame, -(-stop // per_frame)
    if last <= first:
        return np.empty((0, len(chosen)), dtype=np.float32)
    scale = [millivolts(line.unit) or np.nan for line in lines]
    block = np.stack(frames(header, chosen, first, last), axis=1) * scale
    return block[start - first * per_frame :][: stop - start].astype(np.float32)


def _frames_through_wfdb(header: Header, chosen: tuple[int, ...], first: int, last: int) -> list[Physical]:
    import wfdb

    record = str(header.path.absolute().with_suffix(""))  # absolute, thus never taken for an address
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas 3 deprecations inside wfdb
            read: Any = wfdb.rdrecord(
                record, sampfrom=first, sampto=last, channels=list(chosen), smooth_frames=False
            )
    except Exception as error:  # wfdb raises whatever comes: ValueError, IndexError, KeyError ...
        raise UnreadableError(f"{header.path}: WFDB signals expected, {type(error).__name__} came") from error
    return list(read.e_p_signal)


def _frames_directly(header: Header, chosen: tuple[int, ...], first: int, last: int) -> list[Physical]:
    signals: dict[int, Physical] = {}
    for file in signal_files(header):
        frames = _stored(file, first, last)
        for number in file.columns.keys() & set(chosen):
            stored = frames[:, file.columns[number]].reshape(-1)
            signals[number] = _physical(header.signals[number], stored)
    return [signals[number] for number in chosen]


def _physical(line: SignalLine, stored: NDArray[np.int64]) -> Physical:
    physical = (stored - float(line.baseline)) / line.gain
    return np.where(stored == MISSING[line.format], np.nan, physical)


def _stored(file: SignalFile, first: int, last: int) -> NDArray[np.int64]:
    """Read the stored numbers of frames [first, last) of a file, [n_frames, width]."""
    start, stop = first * file.width, last * file.width
    decode = {24: _three_bytes, 212: _twelve_bits}.get(file.format, _whole_bytes)
    stored = decode(file, start, stop)
    if len(stored) < stop - start:
        raise UnreadableError(f"{file.path}: {stop - start} samples expected, {len(stored)} came")
    return stored.reshape(-1, file.width)


def _whole_bytes(file: SignalFile, start: int, stop: int) -> NDArray[np.int64]:
    dtype = np.dtype(_WHOLE_BYTES[file.format])
    stored = np.fromfile(file.path, dtype, stop - start, offset=file.offset + start * dtype.itemsize)
    return stored.astype(np.int64) - _OFFSET_BINARY.get(file.format, 0)


def _three_bytes(file: SignalFile, start: int, stop: int) -> NDArray[np.int64]:
    stored = np.fromfile(file.path, np.uint8, 3 * (stop - start), offset=file.offset + 3 * start)
    low, middle, high = stored[: len(stored) // 3 * 3].reshape(-1, 3).T.astype(np.int64)
    return _signed(low | middle << 8 | high << 16, 24)


def _twelve_bits(file: SignalFile, start: int, stop: int) -> NDArray[np.int64]:
    """Two samples in three bytes: the low bytes at the ends, both high halves in the middle."""
    pair, skipped = divmod(start, 2)
    n_bytes = math.ceil((stop - 2 * pair) * 3 / 2)
    stored = np.fromfile(file.path, np.uint8, n_bytes, offset=file.offset + 3 * pair)
    n_stored = len(stored) * 2 // 3
    low, halves, high = np.pad(stored, (0, -len(stored) % 3)).reshape(-1, 3).T.astype(np.int64)
    pairs = np.column_stack((low | (halves & 0x0F) << 8, high | (halves & 0xF0) << 4)).reshape(-1)
    return _signed(pairs[skipped:n_stored][: stop - start], 12)


def _signed(stored: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Read numbers of so many bits as two's complement."""
    sign = 1 << (bits - 1)
    return (stored ^ sign) - sign
