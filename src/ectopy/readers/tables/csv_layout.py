"""Detect the layout of a CSV file from its first lines: encoding, delimiter, names, units and preamble."""

import csv
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ectopy.readers.lead_names import lead_of
from ectopy.readers.tables.clock import CLOCK, DATE_ONLY
from ectopy.readers.tables.columns import SECONDS, VALUES, Columns, infer_columns, split_unit
from ectopy.readers.tables.commas import Commas, decimal_mark, role_of_commas
from ectopy.readers.tables.opensignals import Header, read_header
from ectopy.readers.tables.preamble import Preamble, is_pair, read_preamble
from ectopy.readers.validation import millivolts

_MOST_COLUMNS = 256
_ENOUGH_ROWS = 3
_ENOUGH_PAIRS = 3
_MOST_ROWS = 1000
"""Rows that are examined."""
_DELIMITERS = (",", ";", "\t", " ")
_MISSING = ("", "-", "--", "?", "na", "nan", "null", "none", "n/a", "inf", "-inf")
# Each digit matches in one way only; otherwise a long row of digits would take quadratic time.
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,3})?", re.IGNORECASE)
_CLOCK = re.compile(f"{CLOCK}|{DATE_ONLY.replace('<date>', '<only>')}")


@dataclass(frozen=True)
class Layout:
    """Layout of a file with rows of numbers from line ``n_before`` on, and the content of the lines before.

    ``rows`` are the cells of the first rows; ``names`` and ``units`` are empty if the file has none.
    ``names_leads`` is whether the last line before the rows names a lead. ``problem`` is why the numbers
    cannot be read, with a remedy; it is empty if they can.
    """

    encoding: str
    delimiter: str
    decimal: str
    n_before: int
    n_columns: int
    names: tuple[str, ...]
    units: tuple[str, ...]
    preamble: Preamble
    opensignals: Header | None
    rows: tuple[tuple[str, ...], ...]
    names_leads: bool
    problem: str

    @property
    def identifies_ecg(self) -> bool:
        """Whether the lines before the rows name columns or a lead; they may identify the file as ECG."""
        return bool(self.names or self.preamble.lead or self.opensignals or self.is_single_lead)

    @property
    def is_single_lead(self) -> bool:
        """Whether the file is one column with its unit and its rate before it, as watches write it."""
        before = self.preamble
        stated = bool(before.rates and before.unit and before.n_pairs >= _ENOUGH_PAIRS)
        return stated and self.n_columns == 1 and not self.names


@lru_cache(maxsize=1)  # a file is asked for its format first, and then opened
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
    if best is None or best[1] > _MOST_COLUMNS:
        return None
    problem, n_leads = "", _n_leads(lines[: best[0]])
    if best[2] == ",":
        has_names = bool(_names(lines[: best[0]], ",", best[1])[0])
        commas = role_of_commas(_rows(lines[best[0] :], ","), has_names=has_names, n_leads_named=n_leads)
        best = (_rows_of(lines, ";") or best) if commas is Commas.DECIMAL else best
        problem = commas.problem
    n_before, n_columns, delimiter = best
    rows = _rows(lines[n_before:], delimiter)
    trailing = n_columns > 1 and all(not row[-1].strip() for row in rows if len(row) == n_columns)
    names, units, n_names = _names(lines[:n_before], delimiter, n_columns, trailing=trailing)
    preamble = read_preamble(lines[: n_before - n_names])
    numbers = [cell for row in rows for cell in row if is_number(cell)]
    decimal, unclear = decimal_mark(numbers, unit_mv=millivolts(preamble.unit))
    return Layout(
        encoding=encoding,
        delimiter=delimiter,
        decimal=decimal,
        n_before=n_before,
        n_columns=n_columns,
        names=names,
        units=units,
        preamble=preamble,
        opensignals=read_header(lines[:n_before], rows[0] if rows else ()),
        rows=rows,
        names_leads=n_leads > 0,
        problem=problem or unclear,
    )


def layout_columns(layout: Layout) -> Columns:
    """Return the columns of time and leads, by their names or, without names, by their first numbers."""
    if layout.opensignals:
        return layout.opensignals.columns
    unit, lead = layout.preamble.unit, layout.preamble.lead
    if layout.names:
        return infer_columns(layout.names, [_plain_unit(cell) for cell in layout.units], unit=unit, lead=lead)
    if layout.n_columns == 1 and (lead or layout.is_single_lead):
        return infer_columns([lead if lead_of(lead) else "ECG"], unit=unit)
    names = _names_by_content(layout)
    number = iter(range(1, layout.n_columns + 1))
    return infer_columns([name or f"lead {next(number)}" for name in names], unit=unit, lead=lead)


def is_number(cell: str) -> bool:
    """Return whether a cell is a number, with a decimal point or comma; False for an empty cell."""
    return bool(_NUMBER.fullmatch(cell.strip(" '\"").replace(",", ".", 1)))


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
    filled = [index for index, line in enumerate(lines) if line.strip()]
    n_rows = max(min(_ENOUGH_ROWS, len(filled)), 1)
    for position in range(len(filled) - n_rows + 1):
        n = _n_numbers(lines[filled[position]], delimiter)
        following = filled[position + 1 : position + n_rows]
        if n and all(_n_numbers(lines[index], delimiter) == n for index in following):
            return filled[position], n, delimiter
    return None


def _n_numbers(line: str, delimiter: str) -> int:
    """Return how many cells a line of numbers, times and missing values has; 0 without any number."""
    cells = _cells(line, delimiter)
    has_number = False
    for cell in cells:
        if is_number(cell):
            has_number = True
        elif cell.strip().casefold() not in _MISSING and not _CLOCK.fullmatch(cell):
            return 0  # most lines of a file end here, at the first cell, for each wrong delimiter
    return len(cells) if has_number else 0


def _cells(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return line.split()
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return []


def _rows(lines: Sequence[str], delimiter: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(_cells(line, delimiter)) for line in lines[:_MOST_ROWS] if line.strip())


def _names(
    before: Sequence[str], delimiter: str, n_columns: int, *, trailing: bool = False
) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    """Return names and units of the columns, and how many of the lines before the rows contain them.

    ``trailing`` is whether the rows end with a delimiter; the names may do without.
    """
    filled = [line for line in before if line.strip()]
    last = [_cells(line.lstrip("#%; "), delimiter) for line in filled[-2:]]
    last = [[*cells, ""] if trailing and len(cells) == n_columns - 1 else cells for cells in last]
    fitting = [cells for cells in last if len(cells) == n_columns]
    if not fitting or len(last[-1]) != n_columns or (n_columns == 1 and is_pair(filled[-1])):
        return (), (), 0
    if n_columns == 2 and is_pair(filled[-1]) and _states_value(filled[-1], last[-1]):
        return (), (), 0
    if len(fitting) == 2 and all(map(_is_unit, fitting[1])):
        return tuple(fitting[0]), tuple(fitting[1]), 2
    return tuple(fitting[-1]), (), 1


def _states_value(line: str, cells: Sequence[str]) -> bool:
    """Return whether two cells are a key and its value (``Unit,mV``), not two names (``time,mV``)."""
    stated = read_preamble([line])
    is_unit = millivolts(_plain_unit(cells[1])) is not None and not _is_unit(cells[0])
    return bool(stated.rates or stated.lead or (is_unit and infer_columns(cells).time is None))


def _n_leads(before: Sequence[str]) -> int:
    """Return how many columns the last line before the rows names, if it names a lead; else 0."""
    filled = [line for line in before if line.strip()]
    cells = [cell.strip(" '\"#%") for cell in re.split("[,;\t]", filled[-1])] if filled else []
    if not cells or re.search("[:=]", filled[-1]) or (len(cells) == 2 and _states_value(filled[-1], cells)):
        return 0
    named = [cell for cell in cells if lead_of(name := split_unit(cell)[0]) or VALUES.fullmatch(name)]
    return len(cells) if named else 0


def _is_unit(cell: str) -> bool:
    plain = _plain_unit(cell).casefold()
    return (
        plain in SECONDS
        or millivolts(plain) is not None
        or plain in {"", "hh:mm:ss.mmm", "mm:ss.mmm", "#", "sample"}
    )


def _plain_unit(text: str) -> str:
    return text.strip(" '\"[]()")


def _names_by_content(layout: Layout) -> list[str]:
    """Return ``time``, ``date`` or ``sample`` for each unnamed column that holds them; else an empty name."""
    names = [""] * layout.n_columns
    full = [row for row in layout.rows if len(row) == layout.n_columns]
    for column in range(layout.n_columns):
        cells = [row[column].strip(" '\"") for row in full]
        if cells and all(map(_CLOCK.fullmatch, cells)):
            names[column] = "time" if ":" in cells[0] else "date"
        elif len(cells) > 1 and layout.n_columns > 1 and all(map(is_number, cells)):
            values = np.array([float(cell.replace(",", ".")) for cell in cells])
            steps = np.diff(values)
            if (steps == 1).all():
                names[column] = "sample"
            elif _counts_again_and_again(values):
                names[column] = "packet"
            elif column == 0 and (steps > 0).all() and np.ptp(steps) <= 0.5 * float(np.median(steps)) + 1e-9:
                names[column] = "time"
    return names


def _counts_again_and_again(values: NDArray[np.float64]) -> bool:
    """Return whether numbers rise by 1 to a highest one and begin again, as those of packets do."""
    falls = np.diff(values)[np.diff(values) != 1]
    return bool(len(falls) and np.ptp(values) > 1 and (falls == -np.ptp(values)).all())
