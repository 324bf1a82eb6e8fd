"""The report of one recording as one self-contained page: what the template needs, and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from ectopy.ecg import Analysis, BeatClass, Event
from ectopy.report.average_beats import AXIS_MM, MEAN_MM, TICKS_MS, ZOOM, average_beats
from ectopy.report.full_disclosure import full_disclosure
from ectopy.report.poincare import CELLS, poincare
from ectopy.report.signal_overview import CUT_BEFORE_S, signal_overview
from ectopy.report.statistics import Stats
from ectopy.report.strips import Strip, strip
from ectopy.report.summary import HOUR_S, Summary, by_period
from ectopy.report.templates import render
from ectopy.report.times import Clock
from ectopy.report.trend import trend
from ectopy.rhythm.heart_rate import heart_rate
from ectopy.rhythm.hrv import Variability
from ectopy.rhythm.kinds import KINDS
from ectopy.rhythm.limits import PAUSE_S
from ectopy.rhythm.wording import Finding

NOT_CLAIMED = (
    "Atrial flutter: regular with a constant block, called fibrillation with a changing one",
    "Ventricular flutter and fibrillation: where no beat is found they appear as a pause",
    "Atrioventricular block, ST segment, QT interval: they need P and T waves",
    "Pacemaker function",
)
VARIABILITY = (
    ("mean_nn_ms", "Mean NN", 0, " ms", "mean N-N interval"),
    ("sdnn_ms", "SDNN", 0, " ms", "standard deviation of all N-N intervals"),
    ("sdann_ms", "SDANN", 0, " ms", "standard deviation of the means of five minutes"),
    ("sdnn_index_ms", "SDNN index", 0, " ms", "mean of the standard deviations of five minutes"),
    ("rmssd_ms", "RMSSD", 0, " ms", "root mean square of successive differences"),
    ("pnn50_pct", "pNN50", 1, " %", "successive differences above 50 ms"),
    ("lf_ms2", "LF", 0, " ms\N{SUPERSCRIPT TWO}", "power at 0.04 to 0.15 Hz"),
    ("hf_ms2", "HF", 0, " ms\N{SUPERSCRIPT TWO}", "power at 0.15 to 0.4 Hz"),
    ("lf_hf", "LF/HF", 2, "", "ratio of the two"),
)
"""Figures of :class:`ectopy.rhythm.hrv.Variability` as they are shown: name, digits, unit, what it is."""
LISTED = 12
"""So many unreadable stretches are listed one by one."""


def write_page(
    path: Path,
    analysis: Analysis,
    summary: Summary,
    provenance: Mapping[str, object],
) -> None:
    """Write the page; it names the recording as the outputs do and shows nothing else of its header."""
    overview = signal_overview(analysis)
    page = render(
        "report.html.j2",
        analysis=analysis,
        clock=Clock(analysis.start),
        findings=summary.findings,
        row=summary.row,
        burden=burden_pct(analysis),
        rate=heart_rate(*summary.recording.rates),
        trend=trend(summary.recording),
        periods=periods(summary),
        strips=strips(analysis, summary.findings),
        mean_beats=average_beats(analysis, overview.cuts),
        mean={
            "width_mm": MEAN_MM,
            "axis_mm": AXIS_MM,
            "zoom": ZOOM,
            "ticks_ms": TICKS_MS,
            "before_ms": 1000 * CUT_BEFORE_S,
        },
        longest_pause_at_s=summary.stats["longest_pause_at_s"],
        pause_s=PAUSE_S,
        n_low_confidence=summary.stats["n_low_confidence"],
        poincare=poincare(analysis),
        cells=CELLS,
        variability=variability(summary.hrv),
        nn_share_pct=summary.hrv.nn_share_pct,
        overview=full_disclosure(analysis, overview),
        counts=[(kind, summary.stats[kind.count]) for kind in KINDS.values()],
        unreadable=(analysis.unreadable / analysis.fs).tolist(),
        listed=LISTED,
        not_claimed=NOT_CLAIMED,
        provenance=provenance,
    )
    path.write_text(page, encoding="utf-8")


def burden_pct(analysis: Analysis) -> dict[str, float]:
    """Share of all beats that each class has."""
    label = analysis.beats.label
    return {str(letter): 100 * float((label == letter).mean()) for letter in BeatClass if len(label)}


def variability(hrv: Variability) -> list[tuple[str, str, str]]:
    """Name and write the figures of heart rate variability that there are, with what they are."""
    values = asdict(hrv)
    return [
        (name, f"{values[field]:.{digits}f}{unit}", what)
        for field, name, digits, unit, what in VARIABILITY
        if values[field] is not None
    ]


def periods(summary: Summary) -> Sequence[Stats]:
    """Figures of the rows of the table."""
    each_s = period_s(summary.recording.analysis.duration_s)
    return summary.hourly if each_s == HOUR_S else tuple(by_period(summary.recording, each_s))


def period_s(duration_s: float) -> float:
    """Rows of the table: hours, or in a shorter recording ten, five minutes or one."""
    steps = ((3600, HOUR_S), (1800, 600.0), (600, 300.0))
    return next((step for longer_than, step in steps if duration_s > longer_than * 1.01), 60.0)


def strips(analysis: Analysis, findings: tuple[Finding, ...]) -> dict[Event, Strip]:
    """Draw the event that each finding points to, once, in their order; without any, the middle."""
    events = dict.fromkeys(finding.event for finding in findings if finding.event is not None)
    if not events and analysis.n_samples:
        events = {Event("signal", *2 * (analysis.duration_s / 2,), 0, float("nan")): None}
    return {event: strip(analysis, event) for event in events}
