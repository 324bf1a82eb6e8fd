"""The batch at a glance: one page over every recording of a summary."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ectopy.report.templates import render
from ectopy.rhythm.wording import Urgency, duration

SHOWN = 3
"""So many findings of a recording are shown; its report has them all."""

RANK = {level.name.lower(): int(level) for level in Urgency}


class Line(NamedTuple):
    """One recording of the batch; ``findings`` are (urgency, text), the most urgent first."""

    name: str
    findings: list[tuple[str, str]]
    n_more: int
    figures: list[tuple[str, str]]
    skipped: bool


def write_index(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write the page that links every report, the most urgent first, and names what failed and why.

    Rows are those of ``summary.csv``, their values as made by ``write_outputs`` or as read back.
    """
    failed = [row for row in rows if row["status"] == "failed"]
    scored = sorted((row for row in rows if row["status"] != "failed"), key=_rank)
    lines = [line(row) for row in scored]
    tally = Counter(urgency for of_one in lines for urgency, _ in of_one.findings[:1])
    models = sorted({str(row["model"]) for row in scored} - {""})
    page = render("index.html.j2", n_rows=len(rows), lines=lines, failed=failed, tally=tally, models=models)
    path.write_text(page, encoding="utf-8")


def line(row: Mapping[str, object]) -> Line:
    """Pick what the page shows of a row."""
    findings = split_findings(row)
    return Line(
        str(row["recording"]),
        findings[:SHOWN],
        len(findings[SHOWN:]),
        figures(row),
        row["status"] == "skipped",
    )


def figures(row: Mapping[str, object]) -> list[tuple[str, str]]:
    """Name and write the key figures of a row."""
    length, seen = number(row, "duration_s"), number(row, "analysable_s")
    share = 100 * (seen or 0) / length if length else None
    pause = number(row, "longest_pause_s")
    return [
        ("Length", "" if length is None else duration(length)),
        ("Analysed", "" if share is None else f"{share:.0f} %"),
        ("Mean bpm", written(row, "hr_mean_bpm")),
        ("Min", written(row, "hr_min_bpm")),
        ("Max", written(row, "hr_max_bpm")),
        ("VEB %", written(row, "veb_burden_pct", 1)),
        ("SVEB %", written(row, "sveb_burden_pct", 1)),
        ("AF %", written(row, "af_burden_pct", 1)),
        ("VT runs", written(row, "n_vt_runs")),
        ("Longest pause", "" if pause is None else duration(pause)),
    ]


def split_findings(row: Mapping[str, object]) -> list[tuple[str, str]]:
    """Take the findings of a row apart into (urgency, text)."""
    parts = (finding.partition(": ") for finding in str(row.get("findings") or "").split("; "))
    return [(urgency, text) for urgency, _, text in parts if text]


def number(row: Mapping[str, object], name: str) -> float | None:
    """Read a figure, which may come as text; None where there is none."""
    value = row.get(name)
    return None if value is None or value == "" else float(str(value))


def written(row: Mapping[str, object], name: str, digits: int = 0) -> str:
    """Write a figure; "" where there is none."""
    value = number(row, name)
    return "" if value is None else f"{value:,.{digits}f}"


def _rank(row: Mapping[str, object]) -> tuple[list[int], float, str]:
    # Compares the most urgent finding first, then the next; with all alike, who has more of them.
    levels = [-RANK.get(urgency, 0) for urgency, _ in split_findings(row)]
    return [*sorted(levels), 1], -(number(row, "veb_burden_pct") or 0), str(row["recording"])
