"""The signals of one WFDB header, read by block.

All formats of signal(5) are read straight from their file, one seek a block: no second is spent on importing
wfdb (and pandas), and blocks of differences and skewed signals are those of the whole.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Signal, UnreadableError
from ectopy.readers.facts import check_scale, millivolts
from ectopy.readers.wfdb_header import Header, SignalFile, SignalLine, signal_files

# Bits a sample takes, see signal(5).
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
FLAC_BITS = {508: 8, 516: 16, 524: 24}
"""Formats of no fixed width: FLAC, with the bits a sample takes once unpacked."""
DIFFERENCES = 8
"""Format in which the difference to the sample before is stored."""
# The value that stands for a missing sample: the lowest of its width. Differences have none.
_WIDTHS = {16: 16, 24: 24, 32: 32, 61: 16, 80: 8, 160: 16, 212: 12, 310: 10, 311: 10, **FLAC_BITS}
MISSING = {number: -(2 ** (width - 1)) for number, width in _WIDTHS.items()}
_WHOLE_BYTES = {8: "i1", 16: "<i2", 32: "<i4", 61: ">i2", 80: "u1", 160: "<u2"}
_OFFSET_BINARY = {80: 2**7, 160: 2**15}
_FRAMES_A_SUM = 2**16

Physical: TypeAlias = NDArray[np.float64]
"""Samples of one lead in the unit of its header."""


def check_signals(header: Header) -> Header:
    """Hold the files against their header; give it with its number of frames."""
    held = signal_files(header)
    for file in held:
        if not file.path.is_file():
            raise UnreadableError(f"{header.path}: {file.path.name} expected beside it, none there")
        if file.format not in BITS and file.format not in FLAC_BITS:
            raise UnreadableError(f"{header.path}: a storage format of WFDB expected, {file.format} came")
    for line in header.signals:
        check_scale(header.path, 1 / line.gain, line.lead)
    n_frames = header.n_frames or min((_room(file) for file in held), default=0)
    for file in held:
        promised = file.offset + math.ceil(n_frames * file.width * BITS.get(file.format, Fraction(0)) / 8)
        if (size := file.path.stat().st_size) < promised:
            raise UnreadableError(f"{file.path}: {promised} bytes promised by its header, {size} came")
    return replace(header, n_frames=n_frames)


def _room(file: SignalFile) -> int:
    """Tell how many frames a file has room for, where the header does not say."""
    if file.format in FLAC_BITS:
        with _flac(file) as sound:
            return int(sound.frames) // _per_frame(file)
    return math.floor(max(0, file.path.stat().st_size - file.offset) * 8 / (file.width * BITS[file.format]))


def read_signals(header: Header, numbers: Sequence[int], start: int, stop: int) -> Signal:
    """Read [start, stop) of signals of one rate in mV, a column each; NaN where a sample is missing."""
    lines = [header.signals[number] for number in numbers]
    per_frame = lines[0].per_frame
    first, last = start // per_frame, -(-stop // per_frame)
    columns = _physical_signals(header, numbers, first, last)
    scale = [millivolts(line.unit) or np.nan for line in lines]
    block = np.stack(columns, axis=1)[start - first * per_frame :][: stop - start]
    return (block * scale).astype(np.float32)


def _physical_signals(header: Header, numbers: Sequence[int], first: int, last: int) -> list[Physical]:
    signals: dict[int, Physical] = {}
    for file in signal_files(header):
        wanted = sorted(file.columns.keys() & set(numbers))
        for skew in {header.signals[number].skew for number in wanted}:
            # A skewed signal was sampled later than the others, and ends as much earlier.
            there = max(min(last + skew, header.n_frames), first + skew)
            frames = _stored(file, header, first + skew, there)
            for number in wanted:
                line = header.signals[number]
                if line.skew == skew:
                    physical = _physical(line, frames[:, file.columns[number]].reshape(-1))
                    missing = (last + skew - there) * line.per_frame
                    signals[number] = np.pad(physical, (0, missing), constant_values=np.nan)
    return [signals[number] for number in numbers]


def _physical(line: SignalLine, stored: NDArray[np.int64]) -> Physical:
    physical = np.asarray((stored - float(line.baseline)) / line.gain, dtype=np.float64)
    if line.format in MISSING:
        physical[stored == MISSING[line.format]] = np.nan
    return physical


def _stored(file: SignalFile, header: Header, first: int, last: int) -> NDArray[np.int64]:
    """Read the stored numbers of frames [first, last) of a file, [n_frames, width]."""
    if file.format in FLAC_BITS:
        return _unpacked(file, first, last)
    start, stop = first * file.width, last * file.width
    decode = {24: _three_bytes, 212: _twelve_bits, 310: _ten_bits, 311: _ten_bits}.get(
        file.format, _whole_bytes
    )
    stored = decode(file, start, stop)
    if len(stored) < stop - start:
        raise UnreadableError(f"{file.path}: {stop - start} samples expected, {len(stored)} came")
    frames = stored.reshape(-1, file.width)
    return _summed(file, header, first, frames) if file.format == DIFFERENCES else frames


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


def _ten_bits(file: SignalFile, start: int, stop: int) -> NDArray[np.int64]:
    """Three samples in four bytes: 311 one after the other, 310 the third in what two words leave."""
    triple, skipped = divmod(start, 3)
    n_bytes = math.ceil((stop - 3 * triple) * 4 / 3)
    stored = np.fromfile(file.path, np.uint8, n_bytes, offset=file.offset + 4 * triple)
    n_stored = len(stored) * 3 // 4
    words = np.pad(stored, (0, -len(stored) % 4)).view("<u4").astype(np.int64)
    if file.format == 311:
        parts = (words, words >> 10, words >> 20)
    else:
        parts = (words >> 1, words >> 17, words >> 11 & 0x1F | words >> 22 & 0x3E0)
    triples = np.column_stack([part & 0x3FF for part in parts]).reshape(-1)
    return _signed(triples[skipped:n_stored][: stop - start], 10)


def _signed(stored: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Read numbers of so many bits as two's complement."""
    sign = 1 << (bits - 1)
    return (stored ^ sign) - sign


def _summed(file: SignalFile, header: Header, first: int, steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Add up differences from the initial value of the header on, whatever lies before ``first``."""
    whole, skipped = divmod(first, _FRAMES_A_SUM)
    rest = _whole_bytes(file, (first - skipped) * file.width, first * file.width).reshape(-1, file.width)
    sums = _sums(file.path, file.offset, file.width, file.path.stat().st_size)
    before = sums[whole] + rest.sum(axis=0)
    summed = np.empty_like(steps)
    for number, column in file.columns.items():
        initial = header.signals[number].initial + before[column].sum()
        summed[:, column] = (steps[:, column].reshape(-1).cumsum() + initial).reshape(len(steps), -1)
    return summed


@lru_cache(maxsize=8)
def _sums(path: Path, offset: int, width: int, size: int) -> NDArray[np.int64]:
    """Add up the differences before every so many frames, [n, width]; once a file."""
    n_frames = max(size - offset, 0) // width
    sums = np.zeros((n_frames // _FRAMES_A_SUM + 1, width), dtype=np.int64)
    for at in range(1, len(sums)):
        begin = offset + (at - 1) * _FRAMES_A_SUM * width
        steps = np.fromfile(path, np.int8, _FRAMES_A_SUM * width, offset=begin).astype(np.int64)
        sums[at] = sums[at - 1] + steps.reshape(-1, width).sum(axis=0)
    return sums


def _flac(file: SignalFile) -> Any:
    """Open a FLAC file; soundfile is imported when one is."""
    import soundfile

    try:
        sound = soundfile.SoundFile(file.path)
    except (RuntimeError, OSError) as error:
        raise UnreadableError(f"{file.path}: samples in FLAC expected, something else came") from error
    if sound.channels != len(file.columns) or file.offset:
        sound.close()
        raise UnreadableError(f"{file.path}: {len(file.columns)} signals expected, {sound.channels} came")
    return sound


def _per_frame(file: SignalFile) -> int:
    """Give the samples a frame, which all signals of a FLAC file share."""
    per_frame, rest = divmod(file.width, len(file.columns))
    if rest or any(column.stop - column.start != per_frame for column in file.columns.values()):
        raise UnreadableError(f"{file.path}: signals of one rate expected in FLAC, several came")
    return per_frame


def _unpacked(file: SignalFile, first: int, last: int) -> NDArray[np.int64]:
    per_frame, n_signals = _per_frame(file), len(file.columns)
    with _flac(file) as sound:
        try:
            sound.seek(first * per_frame)
            stored = sound.read((last - first) * per_frame, dtype="int32", always_2d=True)
        except (RuntimeError, OSError, ValueError) as error:
            raise UnreadableError(f"{file.path}: samples in FLAC expected, something else came") from error
    if len(stored) < (last - first) * per_frame:
        raise UnreadableError(
            f"{file.path}: {(last - first) * per_frame} samples expected, {len(stored)} came"
        )
    whole: NDArray[np.int64] = stored.astype(np.int64) >> (32 - FLAC_BITS[file.format])
    return whole.reshape(-1, per_frame, n_signals).transpose(0, 2, 1).reshape(-1, file.width)
