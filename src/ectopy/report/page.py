"""The report of one recording as one self-contained page: what the template needs, and nothing else."""

from collections.abc import Mapping
from pathlib import Path

from ectopy.ecg import Analysis, Event, Recording
from ectopy.report.findings import Finding, of_kind
from ectopy.report.strips import MEAN_MM, Strip, mean_beats, strip
from ectopy.report.summary import HOUR_S, Summary, by_period, rates
from ectopy.report.templates import render
from ectopy.report.times import Clock
from ectopy.report.trend import trend
from ectopy.rhythm import KINDS, heart_rate

NOT_CLAIMED = (
    "Atrial flutter: regular with a constant block, called fibrillation with a changing one",
    "Ventricular flutter and fibrillation: where no beat is found they appear as a pause",
    "Atrioventricular block, ST segment, QT interval: they need P and T waves",
    "Pacemaker function",
)
LISTED = 12
"""So many unreadable stretches are listed one by one."""


def write_page(
    path: Path,
    analysis: Analysis,
    recording: Recording,
    summary: Summary,
    provenance: Mapping[str, object],
) -> None:
    """Write the page; it names the recording as the outputs do and shows nothing else of its header."""
    page = render(
        "report.html.j2",
        analysis=analysis,
        clock=Clock(analysis.start),
        findings=summary.findings,
        row=summary.row,
        rate=heart_rate(*rates(analysis)),
        trend=trend(analysis),
        periods=by_period(analysis, period_s(analysis.duration_s)),
        strips=strips(analysis, recording, summary.findings),
        mean_mm=MEAN_MM,
        mean_beats=mean_beats(analysis, recording),
        counts=[(known, of_kind(analysis.events, kind)) for kind, known in KINDS.items()],
        unreadable=(analysis.unreadable / analysis.fs).tolist(),
        listed=LISTED,
        not_claimed=NOT_CLAIMED,
        provenance=provenance,
    )
    path.write_text(page, encoding="utf-8")


def period_s(duration_s: float) -> float:
    """Rows of the table: hours, or in a shorter recording ten, five minutes or one."""
    steps = ((3600, HOUR_S), (1800, 600.0), (600, 300.0))
    return next((step for longer_than, step in steps if duration_s > longer_than * 1.01), 60.0)


def strips(analysis: Analysis, recording: Recording, findings: tuple[Finding, ...]) -> dict[Event, Strip]:
    """Draw the event that each finding points to, once, in the order of the findings."""
    events = dict.fromkeys(finding.event for finding in findings if finding.event is not None)
    return {event: strip(analysis, recording, event) for event in events}
