"""Write a page as PDF with WeasyPrint (extra ``pdf``), on A4 with strips at their true size."""

import logging
import re
from pathlib import Path

from ectopy.report.fhir import MissingLibraryError
from ectopy.report.templates import source

_VARIABLE = re.compile(r"var\((--[a-z]+)\)")
_SET = re.compile(r"(--[a-z]+):\s*([^;}]+)")
_PICTURE = re.compile(r"<svg\b[^>]*\bviewBox=[^>]*>")


def require_weasyprint() -> None:
    """Check that WeasyPrint is installed, and the system library Pango that it needs.

    Raises
    ------
    MissingLibraryError
        If one of them is not.
    """
    try:
        import weasyprint  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingLibraryError(
            "--pdf: weasyprint is not installed. Run `pip install 'ectopy[pdf]'`."
        ) from error
    except OSError as error:  # WeasyPrint loads Pango when it is imported
        raise MissingLibraryError(
            f"--pdf: the system library Pango could not be loaded ({error}). Install Pango."
        ) from error


def write_pdf(page: Path, pdf: Path) -> None:
    """Write the PDF of a report.

    Parameters
    ----------
    page
        The report, HTML of :mod:`ectopy.report.page`.
    pdf
        The file to write.
    """
    import weasyprint

    # WeasyPrint warns of every property that it does not know; the page has a fallback for each.
    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    text = with_styled_pictures(page.read_text(encoding="utf-8"))
    weasyprint.HTML(string=text).write_pdf(pdf, pdf_tags=True)


def with_styled_pictures(page: str) -> str:
    """Insert the style sheet and the paper into each picture, because WeasyPrint draws it apart."""
    style = f"<style>{picture_style()}</style>"
    paper = f"<defs>{source('grid.svg')}</defs>"

    def styled(tag: re.Match[str]) -> str:
        return tag[0] + style + (paper if 'class="mm' in tag[0] else "")

    return _PICTURE.sub(styled, page)


def picture_style() -> str:
    """Return the style sheet of pictures, with light colours in place of CSS variables."""
    light = source("style.css").partition("}")[0]
    colours = dict(_SET.findall(light))
    return _VARIABLE.sub(lambda variable: colours[variable[1]], source("pictures.css"))
