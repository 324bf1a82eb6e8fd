"""CSV: found out by its first lines, read whole."""

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Recording, UnreadableError
from ectopy.readers.in_memory import Piece, in_memory_recording
from ectopy.readers.tables.columns import SECONDS, Columns, Grid, infer_columns, infer_time_grid, rate_in
from ectopy.readers.validation import check_length, millivolts

_HEAD_BYTES = 2**16
_LARGEST = 2**30
_MOST_COLUMNS = 256
_ENOUGH_ROWS = 3
_DELIMITERS = (",", ";", "\t", " ")
_MISSING = ("", "-", "--", "?", "na", "nan", "null", "none", "n/a", "inf", "-inf")
# Every digit can be matched in one way only: else a long row of them takes the square of its length.
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,3})?", re.IGNORECASE)
_CLOCK = re.compile(r"\[?(\d{4}-\d\d-\d\d[ T])?(\d{1,3}:)?\d{1,2}:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?\]?")
_PAIR = re.compile(r"[#;%\s\"']*([^\W\d][\w \-]{0,40}?)[\"']?\s*[:=,;\t]\s*[\"']?([^\"']{1,80})")
_FIRST_FORMATS = (
    "recorded date",
    "recording date",
    "start",
    "start time",
    "starttime",
    "date",
    "datetime",
    "aufnahmedatum",
)
_RATES = ("sample rate", "sampling rate", "abtastrate", "sampling frequency", "sample frequency")


@dataclass(frozen=True)
class _Layout:
    """How a file is written: rows of numbers from line ``n_before``, and what stands before them."""

    encoding: str
    delimiter: str
    decimal: str
    n_before: int
    n_columns: int
    names: tuple[str, ...]
    units: tuple[str, ...]
    said: dict[str, str]
    rows: tuple[tuple[str, ...], ...]


def matches(path: Path, head: bytes, *, fs: float | None = None) -> bool:
    """Tell a table of numbers under names of leads; one without names where its rate is given."""
    if path.suffix.lower() not in {".csv", ".tsv", ".txt"}:
        return False
    layout = _layout(head)
    if layout is None:
        return False
    return _columns(layout).named if layout.names or "lead" in layout.said else bool(fs)


def open_recording(path: Path, *, fs: float | None = None) -> Recording:
    """Read a table whole; ``fs`` is for one that neither says its rate nor has a column of times."""
    if (size := path.stat().st_size) > _LARGEST:
        raise UnreadableError(f"{path}: at most {_LARGEST} bytes of text expected, {size} came")
    with path.open("rb") as file:
        layout = _layout(file.read(_HEAD_BYTES))
    if layout is None:
        raise UnreadableError(f"{path}: a table of numbers expected, something else came")
    columns = _columns(layout)
    if not columns.leads:
        raise UnreadableError(f"{path}: a column of a lead of ECG expected, none came")
    leads, times = _read(path, layout, columns)
    grid = infer_time_grid(path, [times * columns.time_s]) if times is not None else None
    rate = (grid.fs if grid else None) or rate_in(layout.said) or fs
    if not rate:
        raise UnreadableError(
            f"{path}: a sampling rate expected (a column of times, `# fs: 250` or --fs), none came"
        )
    return in_memory_recording(
        path, list(_pieces(path, columns, leads, grid)), fs=float(rate), start=_start(layout.said)
    )


def _layout(head: bytes) -> _Layout | None:
    """Find out how the first lines are written; None where no rows of numbers come."""
    if b"\0" in head[:4] and head[:2] not in {b"\xff\xfe", b"\xfe\xff"}:
        return None
    encoding, text = _decoded(head)
    lines = re.split(r"\r\n|\n|\r", text)
    if len(lines) > 1 and len(head) >= 2**14:
        lines = lines[:-1]  # the last one may be cut
    found = [_rows_of(lines, delimiter) for delimiter in _DELIMITERS]
    best = max(found, key=lambda rows: (rows[1], -rows[0]) if rows else (0, 0), default=None)
    if best is None:
        return None
    n_before, n_columns, delimiter = best
    if n_columns > _MOST_COLUMNS:
        return None
    rows = tuple(tuple(_cells(line, delimiter)) for line in lines[n_before : n_before + 200] if line.strip())
    decimal = "," if delimiter != "," and any("," in cell for row in rows for cell in row) else "."
    names, units, n_names = _names(lines[:n_before], delimiter, n_columns)
    said = _said(lines[: n_before - n_names])
    return _Layout(encoding, delimiter, decimal, n_before, n_columns, names, units, said, rows)


def _decoded(head: bytes) -> tuple[str, str]:
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return "utf-16", head.decode("utf-16", errors="ignore")
    cut = head[:-4] if len(head) > 4 else head  # a character may be cut
    with suppress(UnicodeDecodeError):
        cut.decode("utf-8")
        return "utf-8-sig", head.decode("utf-8-sig", errors="ignore")
    return "latin-1", head.decode("latin-1")


def _rows_of(lines: Sequence[str], delimiter: str) -> tuple[int, int, str] | None:
    """Find the first line from which on rows of as many numbers follow; with how many columns."""
    counts = [_n_numbers(line, delimiter) for line in lines]
    kept = [(at, n) for at, n in enumerate(counts) if lines[at].strip()]
    for position, (at, n) in enumerate(kept):
        following = [count for _, count in kept[position : position + _ENOUGH_ROWS]]
        if n and len(following) == min(_ENOUGH_ROWS, len(kept)) and set(following) == {n}:
            return at, n, delimiter
    return None


def _n_numbers(line: str, delimiter: str) -> int:
    """Count the cells of a line of numbers, at least one of which is there; 0 for another line."""
    cells = _cells(line, delimiter)
    kinds = [_is_number(cell, delimiter) for cell in cells]
    filled = [
        kind
        for kind, cell in zip(kinds, cells, strict=True)
        if kind or cell.strip().casefold() not in _MISSING
    ]
    clock = [bool(_CLOCK.fullmatch(cell.strip(" '\""))) for cell in cells]
    valid = all(filled) or (all(filled[1:]) and clock[0])
    return len(cells) if valid and any(kinds) else 0


def _is_number(cell: str, delimiter: str) -> bool:
    cell = cell.strip(" '\"")
    return bool(_NUMBER.fullmatch(cell.replace(",", ".", 1) if delimiter != "," else cell))


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
    """Give names and units of the columns, and how many of the lines before the rows they take."""
    filled = [line for line in before if line.strip()]
    last = [_cells(line.lstrip("#%; "), delimiter) for line in filled[-2:]]
    fitting = [cells for cells in last if len(cells) == n_columns]
    if not fitting or len(last[-1]) != n_columns or (n_columns == 1 and _PAIR.match(filled[-1])):
        return (), (), 0
    if n_columns == 2 and _PAIR.match(filled[-1]) and rate_in(_said(filled[-1:])):
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


def _said(lines: Sequence[str]) -> dict[str, str]:
    """Read what is said before the rows, one thing a line; who was recorded is dropped unread."""
    pairs = [found.groups() for line in lines[:100] if (found := _PAIR.match(line))]
    said = {key.strip().casefold(): value.strip() for key, value in pairs}
    kept = {
        key: value
        for key, value in said.items()
        if key in {"unit", "units", "einheit", "lead", "ableitung", *_FIRST_FORMATS}
    }
    rates = {key: value for key, value in said.items() if rate_in({key: value}) or key in _RATES}
    return kept | {"fs" if key in _RATES else key: value for key, value in rates.items()}


def _columns(layout: _Layout) -> Columns:
    unit = layout.said.get("unit") or layout.said.get("units") or layout.said.get("einheit") or ""
    lead = (
        (layout.said.get("lead") or layout.said.get("ableitung") or "")
        .removeprefix("Lead ")
        .removeprefix("Ableitung ")
    )
    if layout.names:
        units = [_plain_unit(cell) for cell in layout.units]
        return infer_columns(layout.names, units, unit=_plain_unit(unit), lead=lead)
    counter = _counting(layout)
    counters = [counter] if counter else []
    names = [*counters, *(f"lead {at}" for at in range(1, layout.n_columns + 1 - len(counters)))]
    return infer_columns(
        [lead] if lead and layout.n_columns == 1 else names, unit=_plain_unit(unit), lead=lead
    )


def _plain_unit(text: str) -> str:
    return text.strip(" '\"[]()")


def _counting(layout: _Layout) -> str | None:
    """Tell whether the first of several nameless columns counts samples or seconds; None for a lead."""
    firsts = [row[0].strip(" '\"").replace(",", ".") for row in layout.rows if row]
    if layout.n_columns < 2 or len(firsts) < 2 or not all(map(_NUMBER.fullmatch, firsts)):
        return None
    steps = np.diff([float(first) for first in firsts])
    if (steps == 1).all():
        return "sample"
    return "time" if (steps > 0).all() and np.ptp(steps) <= 0.5 * float(np.median(steps)) + 1e-9 else None


def _read(
    path: Path, layout: _Layout, columns: Columns
) -> tuple[NDArray[np.float32], NDArray[np.float64] | None]:
    """Read the leads, [n_rows, n_leads], and the times in their unit."""
    import pandas as pd

    times: Any = [] if columns.time is None else [columns.time]
    clock = bool(times) and not _is_number(layout.rows[0][columns.time or 0], layout.delimiter)
    dtype: dict[int, Any] = dict.fromkeys((*columns.leads, *times), np.float64)
    dtype |= dict.fromkeys(times, str) if clock else {}
    try:
        parts = pd.read_csv(
            path,
            sep=r"\s+" if layout.delimiter == " " else layout.delimiter,
            header=None,
            skiprows=layout.n_before,
            usecols=sorted(dtype),
            dtype=dtype,
            decimal=layout.decimal,
            na_values=["-", "--", "?"],
            encoding=layout.encoding,
            encoding_errors="replace",
            compression=None,
            skipinitialspace=True,
            chunksize=2**18,
        )
        leads, held = [], []
        for part in parts:
            leads.append(part[list(columns.leads)].to_numpy(np.float32))
            held += [part[at] for at in times]
    except (ValueError, OverflowError, MemoryError) as error:  # pandas' ParserError is a ValueError
        raise UnreadableError(f"{path}: rows of {layout.n_columns} numbers expected, others came") from error
    if not times:
        return np.concatenate(leads), None
    whole = pd.concat(held)
    return np.concatenate(leads), _clock_s(path, whole) if clock else whole.to_numpy(np.float64)


def _clock_s(path: Path, written: Any) -> NDArray[np.float64]:
    """Read times of day or moments, such as 0:01.004 or 2020-01-31 12:00:00.25, in s."""
    import pandas as pd

    plain = written.str.strip(" '\"[]")
    try:
        if plain.iloc[0][4:5] == "-":
            moments = pd.to_datetime(plain, format="ISO8601", utc=True)
            return np.asarray((moments - moments.iloc[0]).dt.total_seconds(), dtype=np.float64)
        full = plain.where(plain.str.count(":") == 2, "0:" + plain)
        return np.asarray(pd.to_timedelta(full).dt.total_seconds(), dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise UnreadableError(f"{path}: times of day or moments expected, others came") from error


def _pieces(path: Path, columns: Columns, leads: NDArray[np.float32], grid: Grid | None) -> Iterator[Piece]:
    """Give each run of rows without a gap, a piece a lead; a nameless column without a number is no lead."""
    rows = [0] if grid is None else grid.row.tolist()
    samples = [0] if grid is None else grid.sample.tolist()
    check_length(path, samples[-1] + len(leads) - rows[-1], grid.fs if grid else 50_000.0)
    there = [bool(np.isfinite(leads[:, at]).any()) for at in range(leads.shape[1])]
    for at, (column, lead) in enumerate(columns.leads.items()):
        if there[at] or columns.named:
            for (first, last), sample in zip(pairwise([*rows, len(leads)]), samples, strict=True):
                yield Piece(lead, leads[first:last, at], columns.in_mv[column], start=sample)


def _start(said: dict[str, str]) -> datetime | None:
    """Give when the recording began, where it is said with its date; a zone changes no clock."""
    for key in _FIRST_FORMATS:
        found = re.match(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?", said.get(key, ""))
        if found:
            with suppress(ValueError):
                return datetime.fromisoformat(found[0])
    return None
