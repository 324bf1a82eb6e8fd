"""Text that leaves the program: for terminals, logs, tables and pages.

File names, lead names, units and names of models come from others. They may hold escape sequences that write
to a terminal, characters that reverse the direction of a line, and line breaks that fake a message. They may
hold formulas that a spreadsheet runs. Whoever prints or writes such a text cleans it here.
"""

import logging
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_STARTS_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_QUOTES = "\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}"
_LONGEST_QUOTE = 40


def printable(text: object) -> str:
    """Return a text as one line that shows what it holds: what cannot be seen is escaped, as in Python."""
    line = str(text)
    if line.isprintable():
        return line
    return "".join(
        character if character.isprintable() or unicodedata.category(character) == "Zs"
        # the bytes of a file name that are no Unicode are escaped too: a text file could not hold them
        else character.encode("unicode_escape").decode()
        for character in line
    )  # fmt: skip


def printable_lines(text: object) -> str:
    """Return a text of several lines, each of them printable."""
    return "\n".join(map(printable, str(text).split("\n")))


def printable_values(value: Any) -> Any:
    """Return a value with every text in it printable, also in mappings, lists and tuples."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable_values(name): printable_values(item) for name, item in value.items()}
    if isinstance(value, list):
        return [printable_values(item) for item in value]
    if isinstance(value, tuple):
        return tuple(printable_values(item) for item in value)
    return value


def table_cell(value: object) -> object:
    """Return a value for a cell of a CSV file; a text that a spreadsheet would run gets an apostrophe."""
    if not isinstance(value, str | Path):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(_STARTS_FORMULA) and not _is_number(text) else text


def text_of_cell(cell: str) -> str:
    """Return the text from which :func:`table_cell` made a cell."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_STARTS_FORMULA) else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def quoted(text: object) -> str:
    """Return text of a file in quotation marks, for a message; pseudonyms hide what is between them."""
    line = printable(text)
    short = line if len(line) <= _LONGEST_QUOTE else f"{line[:_LONGEST_QUOTE]}..."
    return f"{_QUOTES[0]}{short.translate(dict.fromkeys(map(ord, _QUOTES)))}{_QUOTES[1]}"


def hide_quotes(text: str) -> str:
    """Replace all that :func:`quoted` put into a message."""
    first, *rest = text.split(_QUOTES[0])
    return first + "".join(f"{_QUOTES[0]}...{part[part.find(_QUOTES[1]) :]}" for part in rest)


class PrintableFormatter(logging.Formatter):
    """Formatter of log records whose lines are printable; a traceback keeps its lines."""

    def __init__(self) -> None:
        super().__init__("%(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name of the standard library
        """Return the message of a record as one line."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name of the standard library
        """Return a traceback, each of its lines printable."""
        return printable_lines(super().formatException(ei))
