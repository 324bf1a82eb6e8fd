"""Write the index of a batch: one page with every recording of a summary."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ectopy.confirmed import AUTOMATIC
from ectopy.report.templates import render
from ectopy.rhythm.wording import Urgency, duration, whole_bpm
from ectopy.row_findings import findings_of

MAX_FINDINGS = 3
"""Findings shown per recording; its report has all of them."""

MAX_OTHERS = 200
"""Files without a recording that the page lists; an inbox may have thousands of annotations."""

RANK = {level.name.lower(): int(level) for level in Urgency}


class Line(NamedTuple):
    """Recording of the batch; ``findings`` are (urgency, text), the most urgent first.

    ``review`` states how far its review is, "" if it has none. ``confirmed_report`` is the address of the
    report that a reader has confirmed, and ``pdf`` that of the PDF. ``recorded`` is the day and the time of
    the start.
    """

    name: str
    findings: list[tuple[str, str]]
    n_more: int
    key_values: list[tuple[str, str]]
    skipped: bool
    review: str = ""
    confirmed_report: str = ""
    rhythm: str = ""
    recorded: str = ""
    pdf: str = ""


class OpenFile(NamedTuple):
    """File of an inbox without a result. ``since`` is when it was first seen, as text; ``why`` is the reason.

    ``is_recording`` is False for a file that is no recording, so that nothing will become of it.
    """

    name: str
    since: str
    why: str
    is_recording: bool = True


def write_index(
    path: Path,
    rows: Sequence[Mapping[str, object]],
    open_files: Sequence[OpenFile] = (),
    *,
    with_pdf: frozenset[str] = frozenset(),
) -> None:
    """Write the page that links every report, the most urgent first, and lists failed recordings.

    Parameters
    ----------
    path
        The page to write.
    rows
        Rows of ``summary.csv``. Values are those of ``write_outputs``, or text as read back.
    open_files
        Files of an inbox that wait, or that are no recordings.
    with_pdf
        Names of the recordings whose report is there as PDF too.
    """
    failed = [row for row in rows if row["status"] == "failed"]
    scored = sorted((row for row in rows if row["status"] != "failed"), key=_rank)
    lines = [_line(row, with_pdf) for row in scored]
    tally = Counter(urgency for line in lines for urgency, _ in line.findings[:1])
    models = sorted({str(row["model"]) for row in scored} - {""})
    page = render(
        "index.html.j2",
        n_rows=len(rows),
        lines=lines,
        failed=failed,
        waiting=[file for file in open_files if file.is_recording],
        others=[file for file in open_files if not file.is_recording],
        max_others=MAX_OTHERS,
        tally=tally,
        models=models,
    )
    path.write_text(page, encoding="utf-8")


def _line(row: Mapping[str, object], with_pdf: frozenset[str]) -> Line:
    """Return the line of the page for a row."""
    findings, review = findings_of(row), str(row.get("review") or "")
    name = str(row["recording"])
    return Line(
        name,
        findings[:MAX_FINDINGS],
        len(findings[MAX_FINDINGS:]),
        _key_values(row),
        row["status"] == "skipped",
        review if review != AUTOMATIC else "",
        f"{name}.review/confirmed/report.html" if review.startswith("confirmed") else "",
        str(row.get("rhythm") or ""),
        str(row.get("start") or "")[:16],
        f"{name}/report.pdf" if name in with_pdf else "",
    )


def _key_values(row: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the names and the texts of the key values of a row."""
    length, analysed = _number(row, "duration_s"), _number(row, "analysable_s")
    share = 100 * (analysed or 0) / length if length else None
    pause = _number(row, "longest_pause_s")
    return [
        ("Length", "" if length is None else duration(length)),
        ("Analysed", "" if share is None else f"{share:.0f} %"),
        ("Mean bpm", _bpm(row, "hr_mean_bpm")),
        ("Min", _bpm(row, "hr_min_bpm")),
        ("Max", _bpm(row, "hr_max_bpm")),
        ("VEB %", _text(row, "veb_burden_pct", 1)),
        ("SVEB %", _text(row, "sveb_burden_pct", 1)),
        ("AF or flutter %", _text(row, "af_burden_pct", 1)),
        ("VT runs", _text(row, "n_vt_runs")),
        ("Longest pause", "" if pause is None else duration(pause)),
    ]


def _number(row: Mapping[str, object], name: str) -> float | None:
    """Return a value, which may be text, as a number; None where there is none."""
    value = row.get(name)
    return None if value is None or value == "" else float(str(value))


def _text(row: Mapping[str, object], name: str, digits: int = 0) -> str:
    """Return a value as text; "" where there is none."""
    value = _number(row, name)
    return "" if value is None else f"{value:,.{digits}f}"


def _bpm(row: Mapping[str, object], name: str) -> str:
    """Return a heart rate as on the report; "" where there is none."""
    value = _number(row, name)
    return "" if value is None else whole_bpm(value)


def _rank(row: Mapping[str, object]) -> tuple[list[int], float, str]:
    # Compares the most urgent findings first, then the next ones. If all are equal, more findings come first.
    levels = [-RANK.get(urgency, 0) for urgency, _ in findings_of(row)]
    return [*sorted(levels), 1], -(_number(row, "veb_burden_pct") or 0), str(row["recording"])
