"""The container of SCP-ECG (EN 1064, ISO 11073-91064): sections, found by pointers and checked by sums."""

import struct
from binascii import crc_hqx
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from ectopy.ecg import UnreadableError
from ectopy.readers.validation import read_whole

MARK = b"SCPECG"
"""Stands at byte 16 of every file since version 1.3."""
_LARGEST = 2**28
_HEADER_BYTES = 16
_POINTER_BYTES = 10

Sections: TypeAlias = Mapping[int, bytes]
"""What each section holds, by its number, without its header."""


def read_sections(path: Path) -> Sections:
    """Read the sections that hold anything; refuse a sum that does not fit."""
    content = read_whole(path, limit=_LARGEST)
    if len(content) < 6 + _HEADER_BYTES:
        raise UnreadableError(f"{path}: an SCP-ECG record expected, {len(content)} bytes came")
    (said,) = struct.unpack_from("<I", content, 2)
    if said > len(content):
        raise UnreadableError(f"{path}: {said} bytes promised by its header, {len(content)} came")
    pointers = _section(path, content, 0, 6, struct.unpack_from("<I", content, 10)[0])
    found = {}
    for number, length, index in struct.iter_unpack("<HII", pointers[: len(pointers) // 10 * _POINTER_BYTES]):
        if number and length > _HEADER_BYTES and number not in found:
            found[number] = _section(path, content, number, index - 1, length)
    return found


def _section(path: Path, content: bytes, number: int, begin: int, length: int) -> bytes:
    if begin < 6 or length < _HEADER_BYTES or begin + length > len(content):
        raise UnreadableError(f"{path}: section {number} expected within {len(content)} bytes, it is not")
    section = content[begin : begin + length]
    said, own_number = struct.unpack_from("<HH", section)
    if own_number != number:
        raise UnreadableError(f"{path}: section {number} expected, {own_number} came")
    if said and said != (here := crc_hqx(section[2:], 0xFFFF)):  # 0: a program that reckons none
        raise UnreadableError(f"{path}: check sum {said} of section {number} expected, {here} came")
    return section[_HEADER_BYTES:]
