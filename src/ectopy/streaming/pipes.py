"""A running signal from a pipe, such as standard input: CSV with a line per sample, or raw numbers."""

import queue
import re
from collections.abc import Iterator
from contextlib import suppress
from threading import Thread
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Signal
from ectopy.streaming.sources import POLL_S, Packet, Source, Stop, StreamSourceError, nothing

RAW_TYPES = {"int16": "<i2", "float32": "<f4"}
"""Types of raw numbers, little endian."""
DEFAULT_GAIN = 200.0
"""Raw whole numbers per mV, as in WFDB."""
_AT_ONCE = 2**16
_LONGEST_LINE = 2**16


def csv_source(stream: BinaryIO, fs: float, leads: tuple[str, ...] | None = None) -> Source:
    """Return lines of numbers in mV as a source.

    Parameters
    ----------
    stream
        What is read. Its first line may have the names of the leads. A cell that is no number is a missing
        sample.
    fs
        Sampling rate in Hz.
    leads
        Names of the columns, if the first line does not have them.

    Returns
    -------
    The source.

    Raises
    ------
    StreamSourceError
        If there is no line, or not as many columns as names.
    """
    line = stream.readline(_LONGEST_LINE)
    first = line.decode("utf-8-sig", "replace").strip()
    if not first:
        raise StreamSourceError(
            "standard input: empty. Send a line per sample, with a number in mV per lead."
        )
    if len(line) >= _LONGEST_LINE:
        raise _not_lines()
    mark = next((mark for mark in ";\t," if mark in first), None)
    cells = [cell.strip().strip('"') for cell in first.split(mark)]
    is_header = any(
        re.search(r"[^\W\d_]", cell) and np.isnan(_number(cell)) and cell.lower() != "nan" for cell in cells
    )
    names = tuple(cells) if is_header else leads or tuple(f"lead {n}" for n in range(1, len(cells) + 1))
    if len(names) != len(cells) or len(set(names)) != len(names) or not all(names):
        raise StreamSourceError(
            f"standard input: {len(cells)} columns for the leads {', '.join(names)}. Name each column once."
        )

    def rows(text: bytes) -> Signal:
        lines = text.decode("utf-8", "replace").splitlines()
        return _table([line.split(mark) for line in lines if line.strip()], len(names))

    def packets(stopped: Stop) -> Iterator[Packet]:
        if not is_header:
            yield Packet(_table([list(cells)], len(names)))
        rest = b""
        for content in _reads(stream, stopped):
            whole, end, rest = (rest + content).rpartition(b"\n") if content else (b"", b"", rest)
            if len(rest) > _LONGEST_LINE:
                raise _not_lines()
            yield Packet(rows(whole + end)) if whole else nothing(len(names))
        if rest.strip():
            yield Packet(rows(rest))

    return Source("stream", fs, names, packets, waits=True)


def raw_source(
    stream: BinaryIO,
    fs: float,
    leads: tuple[str, ...],
    kind: Literal["int16", "float32"],
    *,
    gain: float = DEFAULT_GAIN,
) -> Source:
    """Return raw numbers, little endian, with one of each lead per sample, as a source.

    Parameters
    ----------
    stream
        What is read.
    fs
        Sampling rate in Hz.
    leads
        Names of the leads, in the order of the numbers.
    kind
        "int16" for numbers of which ``gain`` are one mV, with -32768 for a missing one. "float32" for mV.
    gain
        Whole numbers per mV.

    Returns
    -------
    The source.
    """
    dtype = np.dtype(RAW_TYPES[kind])
    width = dtype.itemsize * len(leads)

    def packets(stopped: Stop) -> Iterator[Packet]:
        rest = b""
        for content in _reads(stream, stopped):
            content = rest + content  # noqa: PLW2901 - a sample may be cut anywhere
            n = len(content) // width * width
            stored = np.frombuffer(content[:n], dtype=dtype).reshape(-1, len(leads))
            rest = content[n:]
            yield Packet(_in_mv(stored, gain))

    return Source("stream", fs, leads, packets, waits=True)


def _not_lines() -> StreamSourceError:
    return StreamSourceError(
        "standard input: no end of a line for thousands of characters. Send a line per sample, or give --raw."
    )


def _in_mv(stored: NDArray[np.int16] | NDArray[np.float32], gain: float) -> Signal:
    if stored.dtype.kind == "f":
        return stored.astype(np.float32)
    signal = (stored / gain).astype(np.float32)
    signal[stored == np.iinfo(np.int16).min] = np.nan
    return signal


def _table(rows: list[list[str]], n_leads: int) -> Signal:
    table = [list(map(_number, row)) if len(row) == n_leads else [np.nan] * n_leads for row in rows]
    return np.array(table, dtype=np.float32).reshape(-1, n_leads)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _reads(stream: BinaryIO, stopped: Stop) -> Iterator[bytes]:
    """Yield what comes, and nothing while nothing comes.

    A thread reads, because a read cannot be interrupted.
    """
    parts: queue.Queue[bytes] = queue.Queue(maxsize=8)
    read = getattr(stream, "read1", stream.read)

    def fetch() -> None:
        content = b"begin"
        while content:
            content = b""
            with suppress(OSError, ValueError):  # a pipe that breaks has ended
                content = read(_AT_ONCE)
            parts.put(content)

    Thread(target=fetch, daemon=True, name="reader").start()
    while not stopped.is_set():
        try:
            content = parts.get(timeout=POLL_S)
        except queue.Empty:
            yield b""
        else:
            if not content:
                return
            yield content
