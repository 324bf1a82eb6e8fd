"""Fill the templates of the pages."""

import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from importlib import resources
from pathlib import Path

from jinja2 import Environment, FileSystemBytecodeCache, PackageLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup, escape

from ectopy.report.strips import BeatMark
from ectopy.report.svg import COLUMNS, STEP_MM
from ectopy.rhythm.wording import duration, elapsed, whole_bpm

NO_VALUE = "\N{EN DASH}"
"""Text in place of a value that does not exist."""


def mm(value: float) -> str:
    """Return a coordinate as text, without trailing zeros."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def dash(value: object) -> object:
    """Return a value, or a dash where there is none."""
    return NO_VALUE if value is None or value == "" else value


def whole(value: float) -> int | None:
    """Return a value rounded to a whole number; None for NaN."""
    return round(value) if value == value else None  # noqa: PLR0124 - NaN


def thousands(value: int) -> str:
    """Return a count as text with a separator of thousands."""
    return f"{value:,}"


def unit(value: float) -> str:
    """Return a scale as text, with more digits than a coordinate: its error multiplies."""
    return f"{value:.6g}"


def percent(value: float | None, whole_name: str = "") -> str:
    """Return a share as text.

    Parameters
    ----------
    value
        The share in percent, or None.
    whole_name
        The words after it, for example ``of beats``.

    Returns
    -------
    For example ``2.5 % of beats``; "" for None.
    """
    return "" if value is None else f"{value:.1f} % {whole_name}".rstrip()


def cell(value: float | None, digits: int) -> str:
    """Return a value of a table as text: a dash for none, a plain 0 for zero.

    Parameters
    ----------
    value
        The value, or None.
    digits
        Digits after the point.

    Returns
    -------
    The text, with a separator of thousands.
    """
    return NO_VALUE if value is None else f"{value:,.{digits if value else 0}f}"


def line_length(seconds: float) -> str:
    """Return the length of a line of the overview, such as ``one minute``."""
    if seconds < 60:
        return duration(seconds)
    number, name = (seconds / 60, "minute") if seconds < 3600 else (seconds / 3600, "hour")
    return f"one {name}" if number == 1 else f"{number:g} {name}s"


def bpm(value: float | None) -> str | None:
    """Return a heart rate as a whole number; None where there is none, or NaN."""
    return whole_bpm(value) if value is not None and value == value else None  # noqa: PLR0124 - NaN


def css_text(text: str) -> str:
    """Return a text as a string of CSS, in which no character can end the string or the style sheet."""
    return '"' + "".join(c if c.isalnum() else f"\\{ord(c):06x}" for c in text) + '"'


def beat_letters(beats: Iterable[BeatMark]) -> Markup:
    """Return the letters of the beats of a strip, and the RR intervals between them, as text of SVG."""
    shown = (_letter(beat) + (_rr(beat) if beat.rr_ms else "") for beat in beats)
    return Markup("".join(shown))  # noqa: S704 - letters of classes, and numbers


def _letter(beat: BeatMark) -> str:
    doubt = "" if beat.confident else "?"
    return f'<text class="beat {beat.label}" x="{mm(beat.x_mm)}" y="3.4">{beat.label}{doubt}</text>'


def _rr(beat: BeatMark) -> str:
    return f'<text class="rr" x="{mm(beat.rr_x_mm)}" y="6.6">{beat.rr_ms}</text>'


def table_rows(rows: Iterable[Iterable[str]]) -> Markup:
    """Return rows of a table; all their text is escaped at once, and a cell has neither tab nor line feed."""
    cells = escape("\n".join("\t".join(row) for row in rows))
    between = cells.replace("\t", Markup("</td><td>")).replace("\n", Markup("</td></tr>\n<tr><td>"))
    return Markup("<tr><td>{}</td></tr>").format(between)


FILTERS = (
    *(mm, unit, dash, whole, thousands, percent, cell, line_length),
    *(css_text, bpm, elapsed, duration, beat_letters, table_rows),
)


class _CompiledTemplates(FileSystemBytecodeCache):
    """Compiled templates, where Python keeps its compiled modules: they take longer than most reports."""

    def __init__(self) -> None:
        super().__init__(str(Path(__file__).parent / "__pycache__"), "%s.jinja")

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a compiled template, unless the folder cannot be written to or Python keeps nothing either."""
        if not sys.dont_write_bytecode:
            with suppress(OSError):
                super().dump_bytecode(bucket)


@lru_cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("ectopy.report"),
        bytecode_cache=_CompiledTemplates(),
        auto_reload=False,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({function.__name__: function for function in FILTERS})
    environment.globals.update(columns=COLUMNS, step_mm=STEP_MM)
    return environment


def render(template: str, **context: object) -> str:
    """Fill a template and return the page; every value is escaped."""
    return _environment().get_template(template).render(context)


def source(template: str) -> str:
    """Read the text of a template or of a file that templates include."""
    return resources.files("ectopy.report.templates").joinpath(template).read_text(encoding="utf-8")
