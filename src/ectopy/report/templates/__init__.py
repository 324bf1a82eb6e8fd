"""The pages' templates, and how they are filled."""

from functools import lru_cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined

from ectopy.report.svg import COLUMNS, STEP_MM
from ectopy.rhythm.wording import duration, elapsed

NOTHING = "\N{EN DASH}"


def mm(value: float) -> str:
    """Write a coordinate briefly."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def dash(value: object) -> object:
    """Write a dash for what there is no figure of."""
    return NOTHING if value is None or value == "" else value


def whole(value: float) -> int | None:
    """Round to a whole number; None for NaN."""
    return round(value) if value == value else None  # noqa: PLR0124 - NaN


def thousands(value: int) -> str:
    """Write a count with its thousands apart."""
    return f"{value:,}"


def unit(value: float) -> str:
    """Write a scale: its error grows with what is drawn to it."""
    return f"{value:.6g}"


def percent(value: float | None, of: str = "") -> str:
    """Write a share, and of what."""
    return "" if value is None else f"{value:.1f} % {of}".rstrip()


def cell(value: float | None, digits: int) -> str:
    """Write a figure of a table: a dash for none, a plain 0 for zero, thousands apart."""
    return NOTHING if value is None else f"{value:,.{digits if value else 0}f}"


FILTERS = (mm, unit, dash, whole, thousands, percent, cell, elapsed, duration)


@lru_cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("ectopy.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({function.__name__: function for function in FILTERS})
    environment.globals.update(columns=COLUMNS, step_mm=STEP_MM)
    return environment


def render(template: str, **context: object) -> str:
    """Fill a template; every value is escaped."""
    return _environment().get_template(template).render(context)


def source(template: str) -> str:
    """Read a template, or what one includes, as it is."""
    return resources.files("ectopy.report.templates").joinpath(template).read_text(encoding="utf-8")
