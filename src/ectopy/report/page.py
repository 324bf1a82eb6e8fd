"""The report of one recording as one self-contained page."""

from collections.abc import Mapping
from pathlib import Path

from ectopy.ecg import Analysis, Recording
from ectopy.report.summary import Summary
from ectopy.report.templates import render


def write_page(
    path: Path,
    analysis: Analysis,
    recording: Recording,
    summary: Summary,
    provenance: Mapping[str, object],
) -> None:
    """Write the page; it names the recording as the outputs do and shows nothing else of its header."""
    page = render("report.html.j2", name=provenance["recording"], summary=summary)
    path.write_text(page, encoding="utf-8")
