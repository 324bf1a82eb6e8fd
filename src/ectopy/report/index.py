"""The batch at a glance: one page over every recording of a summary."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ectopy.report.templates import render

URGENCIES = ("info", "note", "important", "urgent")


def write_index(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write the page that links every report, the most urgent first, what failed with its reason.

    Rows are those of ``summary.csv``, their values as written or as read back.
    """
    ranked = sorted(rows, key=lambda row: (-urgency(row), str(row["recording"])))
    path.write_text(render("index.html.j2", rows=ranked), encoding="utf-8")


def urgency(row: Mapping[str, object]) -> int:
    """Rank of the most urgent finding of a row, -1 without one."""
    findings = str(row.get("findings") or "").split("; ")
    return max(URGENCIES.index(word) if word in URGENCIES else -1 for word in _words(findings))


def _words(findings: Sequence[str]) -> list[str]:
    return [finding.partition(":")[0] for finding in findings]
