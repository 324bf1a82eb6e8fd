"""Detect the layout of a CSV file from its first lines: encoding, delimiter, names, units and metadata."""

import csv
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from ectopy.readers.tables.columns import SECONDS, Columns, infer_columns, rate_in
from ectopy.readers.validation import millivolts

_MOST_COLUMNS = 256
_ENOUGH_ROWS = 3
_DELIMITERS = (",", ";", "\t", " ")
_MISSING = ("", "-", "--", "?", "na", "nan", "null", "none", "n/a", "inf", "-inf")
# Each digit matches in one way only; otherwise a long row of digits would take quadratic time.
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,3})?", re.IGNORECASE)
_CLOCK = re.compile(r"\[?(\d{4}-\d\d-\d\d[ T])?(\d{1,3}:)?\d{1,2}:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?\]?")
_PAIR = re.compile(r"[#;%\s\"']*([^\W\d][\w \-]{0,40}?)[\"']?\s*[:=,;\t]\s*[\"']?([^\"']{1,80})")
START_KEYS = (
    "recorded date",
    "recording date",
    "start",
    "start time",
    "starttime",
    "date",
    "datetime",
    "aufnahmedatum",
)
"""Keys of the metadata whose value may be the start of the recording."""
_UNIT_KEYS = ("unit", "units", "einheit")
_LEAD_KEYS = ("lead", "ableitung")
_RATE_KEYS = ("sample rate", "sampling rate", "abtastrate", "sampling frequency", "sample frequency")


@dataclass(frozen=True)
class Layout:
    """Layout of a file with rows of numbers from line ``n_before`` on, and the content of the lines before.

    ``rows`` are the cells of the first rows; ``names`` and ``units`` are empty if the file has none.
    """

    encoding: str
    delimiter: str
    decimal: str
    n_before: int
    n_columns: int
    names: tuple[str, ...]
    units: tuple[str, ...]
    metadata: dict[str, str]
    rows: tuple[tuple[str, ...], ...]


def detect_layout(head: bytes) -> Layout | None:
    """Return the layout of a file from its first bytes; None if they contain no rows of numbers."""
    if b"\0" in head[:4] and head[:2] not in {b"\xff\xfe", b"\xfe\xff"}:
        return None
    encoding, text = _decoded(head)
    lines = re.split(r"\r\n|\n|\r", text)
    if len(lines) > 1 and len(head) >= 2**14:
        lines = lines[:-1]  # the last line may be incomplete
    candidates = [_rows_of(lines, delimiter) for delimiter in _DELIMITERS]
    best = max(candidates, key=lambda rows: (rows[1], -rows[0]) if rows else (0, 0), default=None)
    if best is None:
        return None
    n_before, n_columns, delimiter = best
    if n_columns > _MOST_COLUMNS:
        return None
    rows = tuple(tuple(_cells(line, delimiter)) for line in lines[n_before : n_before + 200] if line.strip())
    decimal = "," if delimiter != "," and any("," in cell for row in rows for cell in row) else "."
    names, units, n_names = _names(lines[:n_before], delimiter, n_columns)
    metadata = _metadata(lines[: n_before - n_names])
    return Layout(encoding, delimiter, decimal, n_before, n_columns, names, units, metadata, rows)


def layout_columns(layout: Layout) -> Columns:
    """Return the columns of time and leads, by their names or, without names, by their first numbers."""
    metadata = layout.metadata
    unit = next((metadata[key] for key in _UNIT_KEYS if metadata.get(key)), "")
    lead = next((metadata[key] for key in _LEAD_KEYS if metadata.get(key)), "")
    lead = lead.removeprefix("Lead ").removeprefix("Ableitung ")
    if layout.names:
        units = [_plain_unit(cell) for cell in layout.units]
        return infer_columns(layout.names, units, unit=_plain_unit(unit), lead=lead)
    counter = _counter_name(layout)
    counters = [counter] if counter else []
    names = [*counters, *(f"lead {n}" for n in range(1, layout.n_columns + 1 - len(counters)))]
    return infer_columns(
        [lead] if lead and layout.n_columns == 1 else names, unit=_plain_unit(unit), lead=lead
    )


def is_number(cell: str, delimiter: str) -> bool:
    """Check whether a cell is a number.

    Parameters
    ----------
    cell
        Text of the cell.
    delimiter
        Delimiter of the file; unless it is a comma, a number may have a decimal comma.

    Returns
    -------
    False also for an empty cell.
    """
    cell = cell.strip(" '\"")
    return bool(_NUMBER.fullmatch(cell.replace(",", ".", 1) if delimiter != "," else cell))


def _decoded(head: bytes) -> tuple[str, str]:
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return "utf-16", head.decode("utf-16", errors="ignore")
    cut = head[:-4] if len(head) > 4 else head  # the last character may be incomplete
    with suppress(UnicodeDecodeError):
        cut.decode("utf-8")
        return "utf-8-sig", head.decode("utf-8-sig", errors="ignore")
    return "latin-1", head.decode("latin-1")


def _rows_of(lines: Sequence[str], delimiter: str) -> tuple[int, int, str] | None:
    """Find the first line that starts rows of equally many numbers; return it with the number of columns."""
    counts = [_n_numbers(line, delimiter) for line in lines]
    filled = [(index, n) for index, n in enumerate(counts) if lines[index].strip()]
    for position, (index, n) in enumerate(filled):
        following = [count for _, count in filled[position : position + _ENOUGH_ROWS]]
        if n and len(following) == min(_ENOUGH_ROWS, len(filled)) and set(following) == {n}:
            return index, n, delimiter
    return None


def _n_numbers(line: str, delimiter: str) -> int:
    """Count the cells of a line of numbers and missing values, with at least one number; else return 0."""
    cells = _cells(line, delimiter)
    kinds = [is_number(cell, delimiter) for cell in cells]
    filled = [
        kind
        for kind, cell in zip(kinds, cells, strict=True)
        if kind or cell.strip().casefold() not in _MISSING
    ]
    clock = [bool(_CLOCK.fullmatch(cell.strip(" '\""))) for cell in cells]
    valid = all(filled) or (all(filled[1:]) and clock[0])
    return len(cells) if valid and any(kinds) else 0


def _cells(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return line.split()
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return []


def _names(
    before: Sequence[str], delimiter: str, n_columns: int
) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    """Return names and units of the columns, and how many of the lines before the rows contain them."""
    filled = [line for line in before if line.strip()]
    last = [_cells(line.lstrip("#%; "), delimiter) for line in filled[-2:]]
    fitting = [cells for cells in last if len(cells) == n_columns]
    if not fitting or len(last[-1]) != n_columns or (n_columns == 1 and _PAIR.match(filled[-1])):
        return (), (), 0
    if n_columns == 2 and _PAIR.match(filled[-1]) and rate_in(_metadata(filled[-1:])):
        return (), (), 0
    if len(fitting) == 2 and all(map(_is_unit, fitting[1])):
        return tuple(fitting[0]), tuple(fitting[1]), 2
    return tuple(fitting[-1]), (), 1


def _is_unit(cell: str) -> bool:
    plain = cell.strip(" '\"[]()").casefold()
    return (
        plain in SECONDS
        or millivolts(plain) is not None
        or plain in {"", "hh:mm:ss.mmm", "mm:ss.mmm", "#", "sample"}
    )


def _metadata(lines: Sequence[str]) -> dict[str, str]:
    """Return the metadata before the rows, one pair of key and value per line; patient data is not read."""
    pairs = [pair.groups() for line in lines[:100] if (pair := _PAIR.match(line))]
    values = {key.strip().casefold(): value.strip() for key, value in pairs}
    wanted = {key: value for key, value in values.items() if key in {*_UNIT_KEYS, *_LEAD_KEYS, *START_KEYS}}
    rates = {key: value for key, value in values.items() if rate_in({key: value}) or key in _RATE_KEYS}
    return wanted | {"fs" if key in _RATE_KEYS else key: value for key, value in rates.items()}


def _plain_unit(text: str) -> str:
    return text.strip(" '\"[]()")


def _counter_name(layout: Layout) -> str | None:
    """Return whether the first of several unnamed columns counts samples or is a time; None for a lead."""
    firsts = [row[0].strip(" '\"").replace(",", ".") for row in layout.rows if row]
    if layout.n_columns < 2 or len(firsts) < 2 or not all(map(_NUMBER.fullmatch, firsts)):
        return None
    steps = np.diff([float(first) for first in firsts])
    if (steps == 1).all():
        return "sample"
    return "time" if (steps > 0).all() and np.ptp(steps) <= 0.5 * float(np.median(steps)) + 1e-9 else None
