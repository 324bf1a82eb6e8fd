"""Decode the Huffman codes of SCP-ECG, with the default table or with tables of section 2."""

import re
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import UnreadableError

DEFAULT = 19999
"""Number of tables that means: the default table."""
_MOST_TABLES, _LONGEST_PREFIX, _LONGEST_VALUE = 256, 32, 32
_MOST_CODES = 512
"""Maximum number of codes of a table; the default table has 19. They are tried one after another."""


class Code(NamedTuple):
    """Meaning of a prefix: ``value`` plus the number in ``extra_bits``, or a switch to table ``value``."""

    value: int
    extra_bits: int = 0
    is_switch: bool = False


Table: TypeAlias = Mapping[str, Code]
"""Codes by prefix, which is a string of bits in the order of the stream."""

# EN 1064, C.3.7.4: 0 is one 0 bit; n is n ones, a zero and the sign; larger numbers follow verbatim.
DEFAULT_TABLE: Table = {
    "0": Code(0),
    **{"1" * n + "00": Code(n) for n in range(1, 9)},
    **{"1" * n + "01": Code(-n) for n in range(1, 9)},
    "1111111110": Code(0, extra_bits=8),
    "1111111111": Code(0, extra_bits=16),
}


def read_tables(path: Path, section: bytes | None) -> Sequence[Table]:
    """Read the Huffman tables of section 2.

    Parameters
    ----------
    path
        File to name in messages.
    section
        Content of section 2; None if the file has none.

    Returns
    -------
    The tables; empty if the samples are not coded.

    Raises
    ------
    UnreadableError
        The section is damaged.
    """
    if section is None:
        return ()
    try:
        (n_tables,) = struct.unpack_from("<H", section)
        if n_tables == DEFAULT:
            return (DEFAULT_TABLE,)
        position, tables = 2, []
        for _ in range(min(n_tables, _MOST_TABLES)):
            (n_codes,) = struct.unpack_from("<H", section, position)
            codes = [
                struct.unpack_from("<BBBhI", section, position + 2 + 9 * number) for number in range(n_codes)
            ]
            tables.append({_prefix(code[0], code[4]): _code(*code[:4]) for code in codes})
            position += 2 + 9 * n_codes
    except (struct.error, ValueError) as error:
        raise UnreadableError(
            f"{path}: the Huffman tables in section 2 are damaged. Export the recording again."
        ) from error
    if not tables or not all(tables):
        raise UnreadableError(
            f"{path}: a Huffman table in section 2 has no codes. Export the recording again."
        )
    if (most := max(map(len, tables))) > _MOST_CODES:
        raise UnreadableError(
            f"{path}: a Huffman table has {most} codes, more than the limit of {_MOST_CODES}. "
            "Export the recording again."
        )
    return tables


def _prefix(n_bits: int, code: int) -> str:
    """Return a prefix as bits in the order of the stream; it is stored with its first bit lowest."""
    if not 1 <= n_bits <= _LONGEST_PREFIX:
        raise ValueError(n_bits)
    return f"{code % (1 << n_bits):0{n_bits}b}"[::-1]


def _code(n_prefix: int, n_bits: int, mode: int, value: int) -> Code:
    if not 0 <= n_bits - n_prefix <= _LONGEST_VALUE:
        raise ValueError(n_bits)
    return Code(value, extra_bits=n_bits - n_prefix, is_switch=mode == 0)


def decode(path: Path, coded: bytes, tables: Sequence[Table], n_samples: int) -> NDArray[np.int64]:
    """Decode Huffman-coded samples; an incomplete code at the end is ignored.

    Parameters
    ----------
    path
        File to name in messages.
    coded
        The coded samples.
    tables
        Huffman tables, at least one.
    n_samples
        Maximum number of samples.

    Returns
    -------
    Decoded numbers, [n], with n at most ``n_samples``.

    Raises
    ------
    UnreadableError
        The bits are not codes of the tables.
    """
    bits = f"{int.from_bytes(coded):0{8 * len(coded)}b}" if coded else ""
    if any(code.is_switch for table in tables for code in table.values()):
        return np.array(_switching(path, bits, tables, n_samples), dtype=np.int64)
    values = _Values(tables[0])
    words = values.pattern.findall(bits)[:n_samples]
    decoded = "".join(words)
    left = len(bits) - len(decoded)
    if not bits.startswith(decoded) or (len(words) < n_samples and left >= values.longest):
        raise UnreadableError(
            f"{path}: the samples are not codes of the Huffman tables. Copy or export the file again."
        )
    return np.array([values[word] for word in words], dtype=np.int64)


class _Values(dict[str, int]):
    """Decoded numbers by their bits, computed on first use, and the regular expression of such bits."""

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
    """Decode code by code with several tables."""
    table, lengths = tables[0], _lengths(tables[0])
    decoded: list[int] = []
    position = 0
    while position < len(bits) and len(decoded) < n_samples:
        n = next((n for n in lengths if bits[position : position + n] in table), 0)
        if not n:
            if len(bits) - position < max(lengths):
                break
            raise UnreadableError(
                f"{path}: the samples are not codes of the Huffman tables. Copy or export the file again."
            )
        code = table[bits[position : position + n]]
        position += n + code.extra_bits
        if code.is_switch:
            table = _table(path, tables, code.value)
            lengths = _lengths(table)
        elif position <= len(bits):
            decoded.append(code.value + _signed(bits[position - code.extra_bits : position]))
    return decoded


def _lengths(table: Table) -> list[int]:
    return sorted({len(prefix) for prefix in table})


def _table(path: Path, tables: Sequence[Table], number: int) -> Table:
    if not 1 <= number <= len(tables):
        raise UnreadableError(
            f"{path}: the samples refer to Huffman table {number} of {len(tables)}. "
            "Export the recording again."
        )
    return tables[number - 1]


def _signed(bits: str) -> int:
    return int(bits, 2) - (bits[0] == "1") * (1 << len(bits)) if bits else 0
