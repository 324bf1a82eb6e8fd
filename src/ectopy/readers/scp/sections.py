"""Read the sections of an SCP-ECG file (EN 1064, ISO 11073-91064), and verify their checksums."""

import struct
from binascii import crc_hqx
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from ectopy.ecg import UnreadableError
from ectopy.readers.validation import read_whole

RHYTHM = 6
"""Number of the section with the rhythm."""
MARK = b"SCPECG"
"""Mark at byte 16 of every file since version 1.3."""
_LARGEST = 2**28
_HEADER_BYTES = 16
_POINTER_BYTES = 10

Sections: TypeAlias = Mapping[int, bytes]
"""Content of each section without its header, by section number."""


def read_sections(path: Path) -> Sections:
    """Read all sections that are not empty; raise UnreadableError if a checksum is wrong."""
    content = read_whole(path, limit=_LARGEST)
    if len(content) < 6 + _HEADER_BYTES:
        raise UnreadableError(
            f"{path}: not an SCP-ECG file (only {len(content)} bytes). Copy the complete file again."
        )
    (stated,) = struct.unpack_from("<I", content, 2)
    pointers = _section(path, content, 0, 6, struct.unpack_from("<I", content, 10)[0])
    sections: dict[int, bytes] = {}
    for number, length, index in struct.iter_unpack("<HII", pointers[: len(pointers) // 10 * _POINTER_BYTES]):
        if number and length > _HEADER_BYTES and number not in sections:
            begin, end = index - 1, index - 1 + length
            if stated > len(content) and end > len(content):
                sections |= _cut_section(path, content, number, begin, stated)
            else:
                sections[number] = _section(path, content, number, begin, length)
    return sections


def _cut_section(path: Path, content: bytes, number: int, begin: int, stated: int) -> Sections:
    """Return what is left of the rhythm, the last section of a file that was cut; it has no checksum."""
    left = content[begin + _HEADER_BYTES :]
    if number != RHYTHM or begin < 6 or not left or content[begin + 2 : begin + 4] != bytes((RHYTHM, 0)):
        raise UnreadableError(
            f"{path}: the file has {len(content)} bytes, but its header states {stated}. "
            "Copy the complete file again."
        )
    return {number: left}


def _section(path: Path, content: bytes, number: int, begin: int, length: int) -> bytes:
    if begin < 6 or length < _HEADER_BYTES or begin + length > len(content):
        raise UnreadableError(
            f"{path}: section {number} lies outside the {len(content)} bytes of the file. "
            "Copy or export the file again."
        )
    section = content[begin : begin + length]
    checksum, own_number = struct.unpack_from("<HH", section)
    if own_number != number:
        raise UnreadableError(
            f"{path}: section {own_number} was found in place of section {number}. "
            "Export the recording again."
        )
    # Programs that compute no checksum write 0.
    if checksum and checksum != (computed := crc_hqx(section[2:], 0xFFFF)):
        raise UnreadableError(
            f"{path}: section {number} has checksum {computed}, but {checksum} is stored. "
            "Copy the file again."
        )
    return section[_HEADER_BYTES:]
