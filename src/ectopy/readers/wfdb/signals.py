"""Read the signals of one WFDB header in blocks.

All formats of signal(5) are decoded here, with one seek per block. This saves the second that importing wfdb
(and pandas) takes. Blocks of difference formats and of skewed signals equal those of the whole recording.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ectopy import compiled
from ectopy.ecg import VALUES_AT_ONCE, Signal, UnreadableError
from ectopy.readers.validation import millivolts
from ectopy.readers.wfdb.header import Header, SignalFile, SignalLine, signal_files

# Bits per sample, see signal(5).
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
"""FLAC formats, which have no fixed width, with the bits per decoded sample."""
DIFFERENCES = 8
"""Format that stores the difference to the previous sample."""
# A missing sample is stored as the lowest value of its width. The difference format has no such value.
_WIDTHS = {16: 16, 24: 24, 32: 32, 61: 16, 80: 8, 160: 16, 212: 12, 310: 10, 311: 10, **FLAC_BITS}
MISSING = {number: -(2 ** (width - 1)) for number, width in _WIDTHS.items()}
NO_NUMBER = 2**20
"""No number of 16 bits: of a format that has none for a missing sample."""
_WHOLE_BYTES = {8: "i1", 16: "<i2", 32: "<i4", 61: ">i2", 80: "u1", 160: "<u2"}
_OFFSET_BINARY = {80: 2**7, 160: 2**15}
_FRAMES_A_SUM = 2**16

Stored: TypeAlias = NDArray[np.signedinteger[Any]]
"""Stored numbers, in the smallest convenient integer type."""
Lead: TypeAlias = NDArray[np.float32]
"""Samples of one lead in mV."""


class SignalStore(NamedTuple):
    """The signal files of one header that can be read, with the number of whole frames that each has.

    ``missing`` has the numbers of the signals whose file cannot be read, ``error`` the first reason.
    """

    header: Header
    files: tuple[tuple[SignalFile, int], ...]
    missing: tuple[int, ...]
    error: UnreadableError | None

    def at_most(self, n_frames: int) -> int:
        """Return how many of some frames the files have; a header without files lacks none."""
        if not self.files:
            return 0 if self.error else n_frames
        return min(n_frames, *(own for _, own in self.files))


def open_signals(header: Header) -> SignalStore:
    """Find the signal files of a header and count their frames."""
    files: list[tuple[SignalFile, int]] = []
    missing: list[int] = []
    errors: list[UnreadableError] = []
    for file in signal_files(header):
        try:
            files.append((file, _room(header, file)))
        except UnreadableError as error:
            errors.append(error)
            missing += list(file.columns)
    return SignalStore(header, tuple(files), tuple(missing), errors[0] if errors else None)


def promised_bytes(file: SignalFile, n_frames: int) -> int:
    """Compute the size of a signal file with a number of frames; that of a FLAC file is not known.

    Parameters
    ----------
    file
        The signal file.
    n_frames
        The number of frames.

    Returns
    -------
    Size in bytes.
    """
    return file.offset + math.ceil(n_frames * file.width * BITS.get(file.format, Fraction(0)) / 8)


def _room(header: Header, file: SignalFile) -> int:
    """Compute the number of whole frames that a signal file has."""
    if not file.path.is_file():
        raise UnreadableError(
            f"{header.path}: signal file {file.path.name} not found in the same folder. "
            "Copy it there or correct the header."
        )
    if file.format in FLAC_BITS:
        with _flac(file) as sound:
            return int(sound.frames) // _per_frame(file)
    if file.format not in BITS:
        raise UnreadableError(
            f"{header.path}: unknown storage format {file.format}. "
            "Correct the format in the header, or convert the record to format 16."
        )
    return math.floor(max(0, file.path.stat().st_size - file.offset) * 8 / (file.width * BITS[file.format]))


def read_signals(
    store: SignalStore, numbers: Sequence[int], start: int, stop: int, *, unit: str | None = None
) -> Signal:
    """Read an interval of signals that share a rate, in parts of VALUES_AT_ONCE values of a file.

    Parameters
    ----------
    store
        Signal files.
    numbers
        Numbers of the signals to read.
    start, stop
        First sample, and the sample after the last one.
    unit
        Unit of the signals that have none, or an unknown one.

    Returns
    -------
    Samples in mV, [n_samples, n_signals]; NaN where a sample is missing.
    """
    per_frame = store.header.signals[numbers[0]].per_frame
    step = max(VALUES_AT_ONCE // max(file.width for file, _ in store.files), 1) * per_frame
    parts = [
        _part(store, numbers, first, min(first + step, stop), unit) for first in range(start, stop, step)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _part(store: SignalStore, numbers: Sequence[int], start: int, stop: int, unit: str | None) -> Signal:
    per_frame = store.header.signals[numbers[0]].per_frame
    first, last = start // per_frame, -(-stop // per_frame)
    columns = _signals_in_mv(store, numbers, first, last, unit)
    wanted = slice(start - first * per_frame, stop - first * per_frame)
    return np.stack([column[wanted] for column in columns]).T


def _signals_in_mv(
    store: SignalStore, numbers: Sequence[int], first: int, last: int, unit: str | None
) -> list[Lead]:
    signals: dict[int, Lead] = {}
    header = store.header
    for file, n_frames in store.files:
        wanted = sorted(file.columns.keys() & set(numbers))
        for skew in {header.signals[number].skew for number in wanted}:
            # A skewed signal was sampled later than the others, and ends earlier by as many frames.
            end = max(min(last + skew, n_frames), first + skew)
            frames = _stored(file, header, first + skew, end)
            for number in wanted:
                line = header.signals[number]
                if line.skew == skew:
                    lead = _in_mv(line, frames[:, file.columns[number]].reshape(-1), unit)
                    missing = (last + skew - end) * line.per_frame
                    signals[number] = np.pad(lead, (0, missing), constant_values=np.nan) if missing else lead
    return [signals[number] for number in numbers]


@np.errstate(over="ignore")  # a damaged gain may make infinite samples, which count as missing
def _in_mv(line: SignalLine, stored: Stored, unit: str | None) -> Lead:
    """Convert stored numbers to mV, in float32 where the result equals that of float64 in every bit.

    This holds for the quotient of two numbers that float32 represents (Figueroa 1995, on double rounding).
    """
    scale = millivolts(line.unit, unit) or np.nan
    exact = stored.itemsize <= 2 and abs(line.baseline) < 2**16 and line.gain == float(np.float32(line.gain))
    kind = np.float32 if exact and scale == 1 else np.float64
    if kind is np.float32 and stored.dtype == np.int16 and compiled.is_compiled():
        return compiled.in_mv(stored, line.baseline, line.gain, MISSING.get(line.format, NO_NUMBER))
    lead = (stored - kind(line.baseline)) / kind(line.gain)
    if line.format in MISSING:
        lead[stored == MISSING[line.format]] = np.nan
    return np.asarray(lead * kind(scale) if scale != 1 else lead, dtype=np.float32)


def _stored(file: SignalFile, header: Header, first: int, last: int) -> Stored:
    """Read the stored numbers of frames [first, last) of a file, [n_frames, width]."""
    if first == last:
        return np.empty((0, file.width), dtype=np.int16)
    if file.format in FLAC_BITS:
        return _unpacked(file, first, last)
    start, stop = first * file.width, last * file.width
    decode = {24: _three_bytes, 212: _twelve_bits, 310: _ten_bits, 311: _ten_bits}.get(
        file.format, _whole_bytes
    )
    stored = decode(file, start, stop)
    if len(stored) < stop - start:
        raise UnreadableError(
            f"{file.path}: the file ends too early ({len(stored)} of {stop - start} samples read). "
            "Copy the complete file again."
        )
    frames = stored.reshape(-1, file.width)
    return _summed(file, header, first, frames) if file.format == DIFFERENCES else frames


def _whole_bytes(file: SignalFile, start: int, stop: int) -> Stored:
    dtype = np.dtype(_WHOLE_BYTES[file.format])
    stored = np.fromfile(file.path, dtype, stop - start, offset=file.offset + start * dtype.itemsize)
    if file.format in _OFFSET_BINARY:
        return stored.astype(np.int32) - np.int32(_OFFSET_BINARY[file.format])
    return np.asarray(stored, dtype=dtype.newbyteorder("="))


def _three_bytes(file: SignalFile, start: int, stop: int) -> Stored:
    stored = np.fromfile(file.path, np.uint8, 3 * (stop - start), offset=file.offset + 3 * start)
    low, middle, high = stored[: len(stored) // 3 * 3].reshape(-1, 3).T.astype(np.int64)
    return _signed(low | middle << 8 | high << 16, 24)


def _twelve_bits(file: SignalFile, start: int, stop: int) -> Stored:
    """Read two samples from three bytes: low bytes at the ends, both high halves in the middle.

    A sample is put into the upper 12 of 16 bits and shifted down, which extends its sign.
    """
    pair, skipped = divmod(start, 2)
    n_bytes = math.ceil((stop - 2 * pair) * 3 / 2)
    stored = np.fromfile(file.path, np.uint8, n_bytes, offset=file.offset + 3 * pair)
    n_stored = len(stored) * 2 // 3
    padded = np.append(stored, np.zeros(-len(stored) % 3, dtype=np.uint8)) if len(stored) % 3 else stored
    if compiled.is_compiled():
        return compiled.twelve_bits(padded)[skipped:n_stored][: stop - start]
    low, halves, high = padded.reshape(-1, 3).T.astype(np.uint16)
    pairs = np.empty((len(low), 2), dtype=np.uint16)
    pairs[:, 0] = (low | halves << 8) << 4
    pairs[:, 1] = (high << 4) | (halves & 0xF0) << 8
    return (pairs.view(np.int16) >> 4).reshape(-1)[skipped:n_stored][: stop - start]


def _ten_bits(file: SignalFile, start: int, stop: int) -> Stored:
    """Read three samples from four bytes: 311 in order, 310 with the third in the spare bits of two words."""
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
    """Convert unsigned numbers of ``bits`` bits from two's complement."""
    sign = 1 << (bits - 1)
    return (stored ^ sign) - sign


def _summed(file: SignalFile, header: Header, first: int, steps: Stored) -> Stored:
    """Sum differences from the initial value of the header on, including those before ``first``."""
    whole, skipped = divmod(first, _FRAMES_A_SUM)
    rest = _whole_bytes(file, (first - skipped) * file.width, first * file.width).reshape(-1, file.width)
    sums = _sums(file.path, file.offset, file.width, file.path.stat().st_size)
    before = sums[whole] + rest.sum(axis=0)
    summed = np.empty(steps.shape, dtype=np.int64)
    for number, column in file.columns.items():
        initial = header.signals[number].initial + before[column].sum()
        summed[:, column] = (steps[:, column].reshape(-1).cumsum() + initial).reshape(len(steps), -1)
    return summed


@lru_cache(maxsize=8)
def _sums(path: Path, offset: int, width: int, size: int) -> NDArray[np.int64]:
    """Sum the differences before every ``_FRAMES_A_SUM``-th frame, [n, width]; cached per file."""
    n_frames = max(size - offset, 0) // width
    sums = np.zeros((n_frames // _FRAMES_A_SUM + 1, width), dtype=np.int64)
    for index in range(1, len(sums)):
        begin = offset + (index - 1) * _FRAMES_A_SUM * width
        steps = np.fromfile(path, np.int8, _FRAMES_A_SUM * width, offset=begin).astype(np.int64)
        sums[index] = sums[index - 1] + steps.reshape(-1, width).sum(axis=0)
    return sums


def _flac(file: SignalFile) -> Any:
    """Open a FLAC file; soundfile is imported only here."""
    import soundfile

    try:
        sound = soundfile.SoundFile(file.path)
    except (RuntimeError, OSError) as error:
        raise UnreadableError(
            f"{file.path}: not a FLAC file, as its header says. Copy the file again or correct the header."
        ) from error
    if sound.channels != len(file.columns) or file.offset:
        sound.close()
        raise UnreadableError(
            f"{file.path}: the header describes {len(file.columns)} signals without offset, "
            f"but the FLAC file has {sound.channels}. Correct the header."
        )
    return sound


def _per_frame(file: SignalFile) -> int:
    """Return the number of samples per frame, which all signals of a FLAC file share."""
    per_frame, rest = divmod(file.width, len(file.columns))
    if rest or any(column.stop - column.start != per_frame for column in file.columns.values()):
        raise UnreadableError(
            f"{file.path}: the signals of the FLAC file have different sampling rates. Correct the header."
        )
    return per_frame


def _unpacked(file: SignalFile, first: int, last: int) -> Stored:
    per_frame, n_signals = _per_frame(file), len(file.columns)
    with _flac(file) as sound:
        try:
            sound.seek(first * per_frame)
            stored = sound.read((last - first) * per_frame, dtype="int32", always_2d=True)
        except (RuntimeError, OSError, ValueError) as error:
            raise UnreadableError(
                f"{file.path}: the FLAC samples are damaged. Copy the file again."
            ) from error
    if len(stored) < (n_samples := (last - first) * per_frame):
        raise UnreadableError(
            f"{file.path}: the file ends too early ({len(stored)} of {n_samples} samples read). "
            "Copy the complete file again."
        )
    whole: NDArray[np.int64] = stored.astype(np.int64) >> (32 - FLAC_BITS[file.format])
    return whole.reshape(-1, per_frame, n_signals).transpose(0, 2, 1).reshape(-1, file.width)
