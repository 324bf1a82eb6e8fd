"""Files that do harm while their format is found, and worker processes that know them."""

import os
import signal
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from ectopy import readers
from ectopy.ecg import Recording
from ectopy.parallel.worker_pool import WorkerPool

T = TypeVar("T")
R = TypeVar("R")

SUFFIXES: tuple[str, ...] = ()
HARM: dict[bytes, Callable[[], object]] = {
    b"crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    b"hang": lambda: [None for _ in iter(int, 1)],
    b"fill": lambda: bytearray(2**34),
    b"raise": lambda: 1 / 0,
}


def matches(path: Path, head: bytes, *, fs: float | None = None) -> bool:
    if head in HARM:
        HARM[head]()
    return False


def companion_files(path: Path) -> tuple[Path, ...]:
    raise AssertionError


def open_recording(path: Path, *, fs: float | None = None, unit: str | None = None) -> Recording:
    raise AssertionError


class HarmedPool(WorkerPool):
    """Workers whose first format is that of this module."""

    def call(self, function: Callable[[T], R], argument: T, *, time_s: float | None = None) -> R:
        return super().call(partial(_call_with_harm, function), argument, time_s=time_s)


def _call_with_harm(function: Callable[[T], R], argument: T) -> R:
    from tests import harmful

    if harmful not in readers.FORMATS:
        readers.FORMATS = (harmful, *readers.FORMATS)  # in a worker only
    return function(argument)


def nested_parquet(depth: int) -> bytes:
    """Return a Parquet file without rows whose only column lies ``depth`` groups deep.

    Its footer is a struct of Thrift's compact protocol: fields of (delta of number, type) and value.
    """
    root = b"\x48\x01r" + b"\x15\x02" + b"\x00"  # name "r", one child
    group = b"\x35\x02" + b"\x18\x01g" + b"\x15\x02" + b"\x00"  # optional, name "g", one child
    column = b"\x15\x0a" + b"\x25\x02" + b"\x18\x01x" + b"\x00"  # a double, optional, name "x"
    schema = b"\x19\xfc" + _varint(depth + 2) + root + group * depth + column
    footer = b"\x15\x02" + schema + b"\x16\x00" + b"\x19\x0c" + b"\x00"  # version, schema, no rows, no groups
    return b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1"


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])
