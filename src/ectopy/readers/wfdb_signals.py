"""The signals of one WFDB header, read by block.

The formats of fixed width are read straight from their file: one seek a block, and no second spent on
importing wfdb (and pandas). Whatever is rarer (skew, differences, ten bits, FLAC) goes through wfdb.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Signal, UnreadableError
from ectopy.readers.facts import millivolts
from ectopy.readers.wfdb_header import Header, SignalFile, SignalLine, signal_files

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


def check_signals(header: Header) -> Header:
    """Hold the files against their header; give it with its number of frames."""
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


def read_signals(header: Header, numbers: Sequence[int], start: int, stop: int) -> Signal:
    """Read [start, stop) of signals of one rate in mV, a column each; NaN where a sample is missing."""
    lines = [header.signals[number] for number in numbers]
    per_frame = lines[0].per_frame
    first, last = start // per_frame, -(-stop // per_frame)
    simple = all(line.format in MISSING and not line.skew for line in header.signals)
    columns = (_frames_directly if simple else _frames_through_wfdb)(header, numbers, first, last)
    scale = [millivolts(line.unit) or np.nan for line in lines]
    block = np.stack(columns, axis=1)[start - first * per_frame :][: stop - start]
    return (block * scale).astype(np.float32)


def _frames_through_wfdb(header: Header, numbers: Sequence[int], first: int, last: int) -> list[Physical]:
    record = str(header.path.absolute().with_suffix(""))  # absolute, thus never taken for an address
    # Format 8 stores differences, so what comes before must be read too; wfdb leaves it out.
    origin = 0 if any(line.format == 8 for line in header.signals) else first
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas 3 deprecations inside wfdb
            import wfdb

            read: Any = wfdb.rdrecord(
                record, sampfrom=origin, sampto=last, channels=list(numbers), smooth_frames=False
            )
    except Exception as error:  # wfdb raises whatever comes: ValueError, IndexError, KeyError ...
        raise UnreadableError(f"{header.path}: WFDB signals expected, {type(error).__name__} came") from error
    skipped = (first - origin) * header.signals[numbers[0]].per_frame
    return [physical[skipped:] for physical in read.e_p_signal]


def _frames_directly(header: Header, numbers: Sequence[int], first: int, last: int) -> list[Physical]:
    signals: dict[int, Physical] = {}
    for file in signal_files(header):
        frames = _stored(file, first, last)
        for number in file.columns.keys() & set(numbers):
            stored = frames[:, file.columns[number]].reshape(-1)
            signals[number] = _physical(header.signals[number], stored)
    return [signals[number] for number in numbers]


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
