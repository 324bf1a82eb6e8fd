"""Write an analysis as files: WFDB annotations, Parquet, CSV, JSON, HTML, FHIR and PDF."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ectopy.confirmed import AUTOMATIC
from ectopy.ecg import Analysis
from ectopy.printable import printable, printable_values
from ectopy.readers.marks import clean_text
from ectopy.report.confirmation import Confirmation
from ectopy.report.data_files import (
    write_annotation_file,
    write_beats,
    write_events,
    write_rhythm,
    write_summary,
)
from ectopy.report.fhir import write_fhir
from ectopy.report.index import write_index
from ectopy.report.page import write_page
from ectopy.report.summary import SUMMARY_COLUMNS, summarise

__all__ = ["OPTIONAL_FILES", "REVIEWED", "SUMMARY_COLUMNS", "output_files", "write_index", "write_outputs"]

REVIEWED = "reviewed"
"""Annotator of results that a reader has confirmed; that of automatic results is ``ectopy``."""
OPTIONAL_FILES = ("fhir.json", "report.pdf")
_FILES = ("beats.parquet", "events.csv", "rhythm.csv", "summary.json", "report.html", *OPTIONAL_FILES)


def output_files(name: str) -> frozenset[str]:
    """Return the names of all files that ectopy writes into the folder of a recording with this name."""
    return frozenset((*_FILES, f"{name}.ectopy"))


def write_outputs(  # noqa: PLR0913 - each has a default
    folder: Path,
    analysis: Analysis,
    provenance: Mapping[str, object],
    *,
    profile: Mapping[str, Sequence[int]] | None = None,
    fhir: bool = False,
    mark_text: bool = False,
    confirmation: Confirmation | None = None,
) -> dict[str, object]:
    """Write the files of one recording into ``folder``, which exists.

    Parameters
    ----------
    folder
        The output folder of the recording.
    analysis
        The analysis of the recording.
    provenance
        ``recording`` (the name used in the files and on the page), ``path``, ``input_sha256``, ``model``,
        ``model_id``, ``versions`` and ``settings``.
    profile
        The counts for drift detection by variable, see :mod:`ectopy.monitoring.drift`.
    fhir
        Whether to write ``fhir.json`` as well.
    mark_text
        Whether the outputs show what the marks of the patient say, which may be personal.
    confirmation
        Who confirmed the results; None if they are automatic. The annotator is then ``reviewed``.

    Returns
    -------
    The row of the recording in ``summary.csv``.
    """
    provenance = printable_values(provenance)
    analysis = _with_marks_shown(_printable(analysis), mark_text=mark_text)
    review = confirmation.short if confirmation else AUTOMATIC
    summary = summarise(analysis, provenance, review=review)
    if fhir:
        write_fhir(folder, summary, provenance, confirmation)
    annotator = REVIEWED if confirmation else "ectopy"
    record = folder / str(provenance["recording"])
    write_annotation_file(record, analysis, summary.not_analysable, annotator=annotator)
    write_beats(folder / "beats.parquet", analysis)
    write_events(folder / "events.csv", analysis)
    write_rhythm(folder / "rhythm.csv", analysis)
    write_summary(folder / "summary.json", analysis, summary, provenance, profile, confirmation)
    write_page(folder / "report.html", analysis, summary, provenance, confirmation)
    return summary.row


def _printable(analysis: Analysis) -> Analysis:
    """Return an analysis whose texts from the file, the names of leads and the notes, are printable."""
    recording = analysis.recording
    leads, notes = tuple(map(printable, recording.leads)), tuple(map(printable, recording.notes))
    if (leads, notes) == (tuple(recording.leads), recording.notes):
        return analysis
    return replace(analysis, recording=replace(recording, leads=leads, notes=notes))


def _with_marks_shown(analysis: Analysis, *, mark_text: bool) -> Analysis:
    """Return an analysis whose marks have a clean text, or none: all outputs show the text that there is."""
    recording = analysis.recording
    marks = tuple(replace(mark, text=clean_text(mark.text) if mark_text else "") for mark in recording.marks)
    return replace(analysis, recording=replace(recording, marks=marks)) if marks else analysis
