"""XLI, the compression of Philips: per lead LZW with codes of ten bits, over bytes of second differences."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import UnreadableError

_BITS = 10
_LAST_CODE = (1 << _BITS) - 2
_BIAS = 64
"""Predictions are kept this much too high."""


def expand(path: Path, packed: bytes, *, n_leads: int, most_samples: int) -> list[NDArray[np.int64]]:
    """Unpack so many leads; refuse one that swells to more than ``most_samples``."""
    leads: list[NDArray[np.int64]] = []
    at = 0
    for _ in range(n_leads):
        if len(packed) < at + 8:
            raise UnreadableError(f"{path}: {n_leads} packed leads expected, {len(leads)} came")
        size, _, last = struct.unpack_from("<ihh", packed, at)
        if size < 0 or len(packed) < at + 8 + size:
            raise UnreadableError(
                f"{path}: {size} bytes of a packed lead promised, {len(packed) - at - 8} came"
            )
        high_and_low = unpack(path, packed[at + 8 : at + 8 + size], most_bytes=2 * most_samples)
        leads.append(_integrated(high_and_low, last))
        at += 8 + size
    return leads


def unpack(path: Path, packed: bytes, *, most_bytes: int) -> bytes:
    """Undo LZW; a code of all ones, or too few bits for another code, is the end."""
    strings = [bytes((byte,)) for byte in range(256)]
    found, n_bytes, previous = [], 0, b""
    n_codes = 8 * len(packed) // _BITS
    bits = int.from_bytes(packed) >> (8 * len(packed) - n_codes * _BITS) if n_codes else 0
    for code in _codes(bits, n_codes):
        if code > _LAST_CODE:
            break
        if code < len(strings):
            string = strings[code]
        elif code == len(strings) and previous:
            string = previous + previous[:1]
        else:
            raise UnreadableError(f"{path}: packed waveforms expected, an unknown code came")
        if previous and len(strings) <= _LAST_CODE:
            strings.append(previous + string[:1])
        found.append(string)
        previous = string
        n_bytes += len(string)
        if n_bytes > most_bytes:
            raise UnreadableError(f"{path}: at most {most_bytes} bytes expected, more came once unpacked")
    return b"".join(found)


def _codes(bits: int, n_codes: int) -> list[int]:
    text = f"{bits:0{n_codes * _BITS}b}" if n_codes else ""
    return [int(text[at : at + _BITS], 2) for at in range(0, len(text), _BITS)]


def _integrated(high_and_low: bytes, last: int) -> NDArray[np.int64]:
    """Join high and low bytes, which stand apart, and undo the second differences."""
    padded = high_and_low + b"\0" * (len(high_and_low) % 2)
    half = len(padded) // 2
    joined = np.frombuffer(
        bytes(byte for pair in zip(padded[:half], padded[half:], strict=True) for byte in pair), ">i2"
    )
    samples = joined.astype(np.int64)
    if len(samples) > 2:
        # Each sample is 2 y - x - last, where last is the difference before it, less the bias.
        steps = np.concatenate(([samples[1] - samples[0]], -np.concatenate(([last], samples[2:-1] - _BIAS))))
        samples = np.concatenate((samples[:1], steps.cumsum())).cumsum()
    return samples.astype(np.int16).astype(np.int64)  # as in 16 bits it was reckoned
