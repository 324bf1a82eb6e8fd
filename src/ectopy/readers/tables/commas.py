"""Decide what a comma means in a table: it separates columns, decimals or thousands."""

import re
from collections.abc import Sequence
from enum import Enum

import numpy as np

_INTEGER = re.compile(r"[+-]?\d+")
_DIGITS = re.compile(r"\d+")
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_SHORT = re.compile(r"[+-]?\d{1,3}")
_FEW_ROWS = 3
_ENOUGH_STEPS = 10
_HIGHEST_MV = 50.0
"""No ECG reaches so far; numbers that would have another reading."""
_ENOUGH_VALUES = 50
"""So many different numbers without a leading zero are no decimals: one in ten would have one."""


class Commas(Enum):
    """What the commas of a table separate; the value is the problem and its remedy, if it cannot be read."""

    COLUMNS = ""
    DECIMAL = " "
    BOTH = (
        "the commas separate columns and decimals alike. "
        "Export the table with semicolons between the columns, or with decimal points."
    )
    UNCLEAR = (
        "`1,234` can be read as two columns of whole numbers, or as one column with decimal commas. "
        "Name the columns in a first line, or export the table with decimal points."
    )

    @property
    def problem(self) -> str:
        """Why the table cannot be read, and the remedy; empty if it can."""
        return self.value.strip()


def role_of_commas(rows: Sequence[Sequence[str]], *, has_names: bool, n_leads_named: int) -> Commas:
    """Decide what the commas between whole numbers separate.

    Parameters
    ----------
    rows
        Cells of the first rows, split at commas.
    has_names
        Whether the line before the rows has one name for each cell.
    n_leads_named
        How many columns that line names, if it names a lead; else 0.

    Returns
    -------
    The role; :attr:`Commas.COLUMNS` if a cell has a decimal mark of its own.
    """
    complete = rows[:-1] if len(rows) > _FEW_ROWS else rows  # the last row may be cut
    plain = [[cell.strip(" '\"") for cell in row] for row in complete]
    if has_names or not all(_INTEGER.fullmatch(cell) for row in plain for cell in row):
        return Commas.COLUMNS
    widths = {len(row) for row in plain}
    fractions_fit = all(_DIGITS.fullmatch(cell) for row in plain for cell in row[1::2])
    if widths == {1, 2}:  # numbers with and without decimals
        return Commas.DECIMAL if fractions_fit else Commas.BOTH
    width = max(widths)
    if len(widths) > 1 or _have_number_first(plain, n_leads_named):
        return Commas.BOTH
    if width % 2 or not fractions_fit:
        return Commas.COLUMNS
    if n_leads_named == width // 2 or _have_decimals(plain):
        return Commas.DECIMAL if width == 2 else Commas.BOTH
    return Commas.COLUMNS if width > 2 or _are_whole(plain) else Commas.UNCLEAR


def decimal_mark(numbers: Sequence[str], *, unit_mv: float | None = None) -> tuple[str, str]:
    """Decide between decimal point and decimal comma.

    Parameters
    ----------
    numbers
        Cells that are numbers.
    unit_mv
        Their unit in mV, if the file states it.

    Returns
    -------
    The mark, and the problem with its remedy if the commas may separate thousands; else an empty text.
    """
    with_comma = [number.strip(" '\"") for number in numbers if "," in number]
    if not with_comma:
        return ".", ""
    others = [number.strip(" '\"") for number in numbers if "," not in number]
    may_be_grouped = all(map(_GROUPED.fullmatch, with_comma)) and all(map(_SHORT.fullmatch, others))
    as_grouped = [float(number.replace(",", "")) for number in with_comma] if may_be_grouped else [0.0]
    if may_be_grouped and not (unit_mv and max(map(abs, as_grouped)) * unit_mv > _HIGHEST_MV):
        return ",", (
            "`1,234` can be read as 1.234, or as 1234 with a comma between the thousands. "
            "Export the table with decimal points and nothing between the thousands."
        )
    return ",", ""


def _have_number_first(rows: Sequence[Sequence[str]], n_leads_named: int) -> bool:
    """Check for the number of the row, or a time, before columns with decimal commas."""
    others = [row[1:] for row in rows]
    if not others[0] or len(others[0]) % 2:
        return False
    fractions_fit = all(_DIGITS.fullmatch(cell) for row in others for cell in row[1::2])
    fits_names = n_leads_named == 1 + len(others[0]) // 2
    return fractions_fit and (fits_names or _have_decimals(others))


def _have_decimals(rows: Sequence[Sequence[str]]) -> bool:
    """Check for what nobody writes as a whole number: ``-0`` before a comma, or ``05`` after it."""
    return any(
        whole in {"-0", "+0"} or (len(fraction) > 1 and fraction[0] == "0")
        for row in rows
        for whole, fraction in zip(row[::2], row[1::2], strict=True)
    )


def _are_whole(rows: Sequence[Sequence[str]]) -> bool:
    """Check whether two columns are whole numbers: many values, and none that looks like decimals."""
    first, second = ([row[column] for row in rows] for column in range(2))
    steps = np.diff(np.array(first, dtype=np.float64))
    if len(steps) >= _ENOUGH_STEPS and (steps == steps[0]).all() and steps[0]:  # numbers of rows, or times
        return True
    return min(len(set(first)), len(set(second))) >= _ENOUGH_VALUES and all(
        len(fraction) > 1 for fraction in set(second)
    )
