"""An analysis as files: WFDB annotations, Parquet, CSV, JSON and HTML."""

from collections.abc import Mapping
from pathlib import Path

from ectopy.ecg import Analysis, Recording
from ectopy.monitoring.drift import Counts
from ectopy.report.data_files import write_annotation_file, write_beats, write_events, write_summary
from ectopy.report.fhir import write_fhir
from ectopy.report.index import write_index
from ectopy.report.page import write_page
from ectopy.report.summary import SUMMARY_COLUMNS, summarise

__all__ = ["SUMMARY_COLUMNS", "write_fhir", "write_index", "write_outputs"]


def write_outputs(
    folder: Path,
    analysis: Analysis,
    recording: Recording,
    provenance: Mapping[str, object],
    *,
    profile: Counts | None = None,
) -> dict[str, object]:
    """Write the five files of one recording into ``folder``, which exists; return its row of the summary.

    ``provenance`` holds ``recording`` (the name that the files and the page bear), ``path``,
    ``input_sha256``, ``model``, ``model_id``, ``versions`` and ``settings``; ``profile`` is what drift is
    found by (see :mod:`ectopy.monitoring.drift`). Columns of what is not analysed are "".
    """
    summary = summarise(analysis, recording, provenance)
    write_annotation_file(folder / str(provenance["recording"]), analysis, summary.why_not)
    write_beats(folder / "beats.parquet", analysis)
    write_events(folder / "events.csv", analysis.events)
    write_summary(folder / "summary.json", analysis, summary, provenance, profile)
    write_page(folder / "report.html", analysis, recording, summary, provenance)
    return summary.row
