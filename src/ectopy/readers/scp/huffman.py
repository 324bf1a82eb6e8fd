"""Huffman codes of SCP-ECG: the default table and those of section 2, and the numbers they stand for."""

import re
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import UnreadableError

DEFAULT = 19999
"""Number of tables that stands for: the default one."""
_MOST_TABLES, _LONGEST_PREFIX, _LONGEST_VALUE = 256, 32, 32
_MOST_CODES = 512
"""Of one table; the default one has 19, and each is tried in turn."""


class Code(NamedTuple):
    """What a prefix stands for: ``value``, more by so many ``extra_bits``; or the table of that number."""

    value: int
    extra_bits: int = 0
    is_switch: bool = False


Table: TypeAlias = Mapping[str, Code]
"""Codes by their prefix, in bits as they come."""

# EN 1064, C.3.7.4: 0 is a zero; n is n ones, a zero and the sign; larger numbers stand as they are.
DEFAULT_TABLE: Table = {
    "0": Code(0),
    **{"1" * n + "00": Code(n) for n in range(1, 9)},
    **{"1" * n + "01": Code(-n) for n in range(1, 9)},
    "1111111110": Code(0, extra_bits=8),
    "1111111111": Code(0, extra_bits=16),
}


def read_tables(path: Path, section: bytes | None) -> Sequence[Table]:
    """Read section 2; no table where samples are not coded."""
    if section is None:
        return ()
    try:
        (n_tables,) = struct.unpack_from("<H", section)
        if n_tables == DEFAULT:
            return (DEFAULT_TABLE,)
        at, tables = 2, []
        for _ in range(min(n_tables, _MOST_TABLES)):
            (n_codes,) = struct.unpack_from("<H", section, at)
            codes = [struct.unpack_from("<BBBhI", section, at + 2 + 9 * number) for number in range(n_codes)]
            tables.append({_prefix(code[0], code[4]): _code(*code[:4]) for code in codes})
            at += 2 + 9 * n_codes
    except (struct.error, ValueError) as error:
        raise UnreadableError(f"{path}: Huffman tables expected in section 2, others came") from error
    if not tables or not all(tables):
        raise UnreadableError(f"{path}: codes expected in the Huffman tables of section 2, 0 came")
    if (most := max(map(len, tables))) > _MOST_CODES:
        raise UnreadableError(f"{path}: at most {_MOST_CODES} codes a Huffman table expected, {most} came")
    return tables


def _prefix(n_bits: int, code: int) -> str:
    """Give a prefix in bits as they come: it is stored with its first bit lowest."""
    if not 1 <= n_bits <= _LONGEST_PREFIX:
        raise ValueError(n_bits)
    return f"{code % (1 << n_bits):0{n_bits}b}"[::-1]


def _code(n_prefix: int, n_bits: int, mode: int, value: int) -> Code:
    if not 0 <= n_bits - n_prefix <= _LONGEST_VALUE:
        raise ValueError(n_bits)
    return Code(value, extra_bits=n_bits - n_prefix, is_switch=mode == 0)


def decode(path: Path, coded: bytes, tables: Sequence[Table], n_samples: int) -> NDArray[np.int64]:
    """Decode at most ``n_samples``; what the last bits do not complete is none."""
    bits = f"{int.from_bytes(coded):0{8 * len(coded)}b}" if coded else ""
    if any(code.is_switch for table in tables for code in table.values()):
        return np.array(_switching(path, bits, tables, n_samples), dtype=np.int64)
    values = _Values(tables[0])
    words = values.pattern.findall(bits)[:n_samples]
    decoded = "".join(words)
    left = len(bits) - len(decoded)
    if not bits.startswith(decoded) or (len(words) < n_samples and left >= values.longest):
        raise UnreadableError(f"{path}: codes of its Huffman tables expected, others came")
    return np.array([values[word] for word in words], dtype=np.int64)


class _Values(dict[str, int]):
    """Numbers by the bits that stand for them, reckoned when first met; and the pattern of such bits."""

    def __init__(self, table: Table) -> None:
        super().__init__()
        self.table = table
        in_order = sorted(table.items(), key=lambda item: len(item[0]))
        self.pattern = re.compile("|".join(f"{prefix}[01]{{{code.extra_bits}}}" for prefix, code in in_order))
        self.longest = max(len(prefix) + code.extra_bits for prefix, code in in_order)

    def __missing__(self, word: str) -> int:
        code, n = next((self.table[word[:n]], n) for n in _lengths(self.table) if word[:n] in self.table)
        self[word] = code.value + _signed(word[n:])
        return self[word]


def _switching(path: Path, bits: str, tables: Sequence[Table], n_samples: int) -> list[int]:
    """Decode by several tables, code by code."""
    table, lengths = tables[0], _lengths(tables[0])
    found: list[int] = []
    at = 0
    while at < len(bits) and len(found) < n_samples:
        n = next((n for n in lengths if bits[at : at + n] in table), 0)
        if not n:
            if len(bits) - at < max(lengths):
                break
            raise UnreadableError(f"{path}: codes of its Huffman tables expected, others came")
        code = table[bits[at : at + n]]
        at += n + code.extra_bits
        if code.is_switch:
            table = _table(path, tables, code.value)
            lengths = _lengths(table)
        elif at <= len(bits):
            found.append(code.value + _signed(bits[at - code.extra_bits : at]))
    return found


def _lengths(table: Table) -> list[int]:
    return sorted({len(prefix) for prefix in table})


def _table(path: Path, tables: Sequence[Table], number: int) -> Table:
    if not 1 <= number <= len(tables):
        raise UnreadableError(f"{path}: Huffman table 1 to {len(tables)} expected, {number} came")
    return tables[number - 1]


def _signed(bits: str) -> int:
    return int(bits, 2) - (bits[0] == "1") * (1 << len(bits)) if bits else 0
