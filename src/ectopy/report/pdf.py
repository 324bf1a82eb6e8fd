"""A page as PDF, through WeasyPrint (extra ``pdf``): strips at their true size on A4."""

import logging
import re
from pathlib import Path

from ectopy.report.fhir import MissingLibraryError
from ectopy.report.templates import source

_VARIABLE = re.compile(r"var\((--[a-z]+)\)")
_SET = re.compile(r"(--[a-z]+):\s*([^;}]+)")
_PICTURE = re.compile(r"<svg\b[^>]*\bviewBox=[^>]*>")


def require_weasyprint() -> None:
    """Refuse where WeasyPrint, or Pango, which it needs of the system, is not there."""
    try:
        import weasyprint  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingLibraryError(
            "weasyprint is not installed: --pdf needs `pip install 'ectopy[pdf]'`"
        ) from error
    except OSError as error:  # it loads Pango when it is imported
        raise MissingLibraryError(f"--pdf needs Pango, a library of the system: {error}") from error


def write_pdf(page: Path, pdf: Path) -> None:
    """Write the PDF of a page of ours."""
    import weasyprint

    # It names every property that it does not know; the page has a fallback for each.
    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    text = with_styled_pictures(page.read_text(encoding="utf-8"))
    weasyprint.HTML(string=text).write_pdf(pdf, pdf_tags=True)


def with_styled_pictures(page: str) -> str:
    """Put the pictures' style, and the paper, into each picture: WeasyPrint draws it apart from its page."""
    style = f"<style>{picture_style()}</style>"
    paper = f"<defs>{source('grid.svg')}</defs>"

    def styled(found: re.Match[str]) -> str:
        return found[0] + style + (paper if 'class="mm' in found[0] else "")

    return _PICTURE.sub(styled, page)


def picture_style() -> str:
    """Give the style sheet of pictures in the colours of paper, which SVG cannot take from variables."""
    light = source("style.css").partition("}")[0]
    colours = dict(_SET.findall(light))
    return _VARIABLE.sub(lambda found: colours[found[1]], source("pictures.css"))
