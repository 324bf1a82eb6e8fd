"""Decompress XLI of Philips: per lead LZW with 10-bit codes, over the bytes of second differences."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import UnreadableError

_BITS = 10
_LAST_CODE = (1 << _BITS) - 2
_BIAS = 64
"""Stored predictions are too high by this number."""


def expand(path: Path, packed: bytes, *, n_leads: int, most_samples: int) -> list[NDArray[np.int64]]:
    """Decompress all leads.

    Parameters
    ----------
    path
        File to name in messages.
    packed
        The compressed leads.
    n_leads
        Number of leads.
    most_samples
        Maximum number of samples of a lead.

    Returns
    -------
    Stored numbers of each lead.

    Raises
    ------
    UnreadableError
        The data is damaged or ends too early, or a lead is too long.
    """
    leads: list[NDArray[np.int64]] = []
    position = 0
    for _ in range(n_leads):
        if len(packed) < position + 8:
            raise UnreadableError(
                f"{path}: only {len(leads)} of {n_leads} compressed leads are present. "
                "Copy or export the file again."
            )
        size, _, last = struct.unpack_from("<ihh", packed, position)
        begin = position + 8
        if size < 0 or len(packed) < begin + size:
            raise UnreadableError(
                f"{path}: a compressed lead should have {size} bytes, but {len(packed) - begin} are left. "
                "Copy or export the file again."
            )
        high_and_low = unpack(path, packed[begin : begin + size], most_bytes=2 * most_samples)
        leads.append(_integrated(high_and_low, last))
        position = begin + size
    return leads


def unpack(path: Path, packed: bytes, *, most_bytes: int) -> bytes:
    """Decompress LZW; the data ends with a code of all ones, or with too few bits for another code.

    Parameters
    ----------
    path
        File to name in messages.
    packed
        The compressed bytes.
    most_bytes
        Maximum number of decompressed bytes.

    Returns
    -------
    The decompressed bytes.

    Raises
    ------
    UnreadableError
        A code is invalid, or the result is too long.
    """
    strings = [bytes((byte,)) for byte in range(256)]
    unpacked, n_bytes, previous = [], 0, b""
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
            raise UnreadableError(
                f"{path}: invalid code in the compressed waveforms. Copy or export the file again."
            )
        if previous and len(strings) <= _LAST_CODE:
            strings.append(previous + string[:1])
        unpacked.append(string)
        previous = string
        n_bytes += len(string)
        if n_bytes > most_bytes:
            raise UnreadableError(
                f"{path}: a decompressed lead exceeds the limit of {most_bytes} bytes. "
                "Export the recording again."
            )
    return b"".join(unpacked)


def _codes(bits: int, n_codes: int) -> list[int]:
    text = f"{bits:0{n_codes * _BITS}b}" if n_codes else ""
    return [int(text[begin : begin + _BITS], 2) for begin in range(0, len(text), _BITS)]


def _integrated(high_and_low: bytes, last: int) -> NDArray[np.int64]:
    """Join high and low bytes, which are stored separately, and undo the second differences."""
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
    return samples.astype(np.int16).astype(np.int64)  # the encoder computes in 16 bits
