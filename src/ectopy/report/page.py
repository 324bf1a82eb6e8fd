"""Write the report of one recording as one self-contained page: collect the values for its template."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ectopy.criteria import CRITERIA, Criteria, toml_value
from ectopy.ecg import Analysis, BeatClass, Event
from ectopy.report.average_beats import AXIS_MM, MEAN_MM, TICKS_MS, ZOOM, average_beats
from ectopy.report.conclusion import draft_conclusion
from ectopy.report.confirmation import Confirmation
from ectopy.report.episodes import episode_lists
from ectopy.report.examples import examples, extreme_rates
from ectopy.report.full_disclosure import full_disclosure
from ectopy.report.marks import AROUND_S, MarkedMoment
from ectopy.report.patient import patient_facts, running_head
from ectopy.report.periods import HOUR_S, Day, by_period, with_hours
from ectopy.report.poincare import CELLS, poincare
from ectopy.report.sheet import has_sheets, sheets
from ectopy.report.signal_overview import CUT_BEFORE_S, signal_overview
from ectopy.report.statistics import Stats
from ectopy.report.strips import Strip, strips
from ectopy.report.summary import Summary
from ectopy.report.templates import render
from ectopy.report.times import Clock, has_days
from ectopy.report.trend import trend
from ectopy.rhythm.heart_rate import heart_rate
from ectopy.rhythm.hrv import Variability
from ectopy.rhythm.kinds import KINDS, EventKind
from ectopy.rhythm.wording import confidence_is_known

NOT_CLAIMED = (
    "Atrial flutter: not detected with a constant block, and as fibrillation where its waves are small",
    "Junctional rhythm, and paced rhythm without visible spikes: counted as sinus rhythm",
    "Atrioventricular block, ST segment and QT interval: P and T waves are not measured",
    "Pacemaker function",
)
"""What the analysis does not do, in the words of the report."""
AF_NOT_SOUGHT = "Atrial fibrillation and flutter: not looked for, by the criteria of this study"
VARIABILITY = (
    ("mean_nn_ms", "Mean NN", 0, " ms", "mean NN interval"),
    ("sdnn_ms", "SDNN", 0, " ms", "standard deviation of all NN intervals"),
    ("sdann_ms", "SDANN", 0, " ms", "standard deviation of the 5-minute means of NN intervals"),
    ("sdnn_index_ms", "SDNN index", 0, " ms", "mean of the 5-minute standard deviations of NN intervals"),
    ("rmssd_ms", "RMSSD", 0, " ms", "root mean square of differences between successive NN intervals"),
    ("pnn50_pct", "pNN50", 1, " %", "differences between successive NN intervals above 50 ms"),
    ("lf_ms2", "LF", 0, " ms\N{SUPERSCRIPT TWO}", "low-frequency power, 0.04 to 0.15 Hz"),
    ("hf_ms2", "HF", 0, " ms\N{SUPERSCRIPT TWO}", "high-frequency power, 0.15 to 0.4 Hz"),
    ("lf_hf", "LF/HF", 2, "", "ratio of LF and HF power"),
)
"""Measures of :class:`ectopy.rhythm.hrv.Variability` on the page: field, name, digits, unit, explanation."""
MAX_LISTED = 12
"""Maximum number of intervals that could not be analysed and are listed one by one."""
SHORT_PAGE_S = 60.0
"""A recording of up to this length has one strip for each finding: they show most of it."""
COLUMNS_BY_TIME = (
    ("Beats", "n_beats", 0),
    ("Mean bpm", "hr_mean_bpm", 0),
    ("Min", "hr_min_bpm", 0),
    ("Max", "hr_max_bpm", 0),
    ("VEB", "n_veb", 0),
    ("VEB %", "veb_burden_pct", 1),
    ("Couplets", "n_couplets", 0),
    ("VT runs", "n_vt_runs", 0),
    ("SVEB", "n_sveb", 0),
    ("SVEB %", "sveb_burden_pct", 1),
    ("AF or flutter %", "af_burden_pct", 1),
    ("Pauses", "n_pauses", 0),
)
"""Columns of the tables by hour and by day: title, statistic and digits."""
MAX_CHANGES = 40
"""Maximum number of changes of a reader that are listed."""
MAX_MARKS, MAX_MARK_STRIPS = 100, 12
"""Maximum number of marks of the patient that are listed, and of those that have a strip."""


def write_page(
    path: Path,
    analysis: Analysis,
    summary: Summary,
    provenance: Mapping[str, object],
    confirmation: Confirmation | None = None,
) -> None:
    """Write the page. It names the recording as the other outputs do.

    Apart from the patient header, the start and the names of the leads, the page shows nothing of the header
    of the recording. It shows when the patient made a mark, and the text of a mark if the analysis has one,
    see :func:`ectopy.report.write_outputs`.

    Parameters
    ----------
    path
        The file to write.
    analysis
        The analysis of the recording.
    summary
        Its summary.
    provenance, confirmation
        As for :func:`ectopy.report.write_outputs`.
    """
    overview, criteria, is_sheet = signal_overview(analysis), analysis.criteria, has_sheets(analysis)
    page = render(
        "report.html.j2",
        analysis=analysis,
        clock=Clock.of(analysis),
        findings=summary.findings,
        row=summary.row,
        burden=_share_pct(analysis),
        stats=summary.stats,
        sheets=sheets(analysis) if is_sheet else [],
        trend=None if is_sheet else trend(summary.recording),
        periods=_periods(summary),
        days=_days(summary),
        extremes=summary.extremes,
        marks=summary.marks[:MAX_MARKS],
        n_marks=len(summary.marks),
        mark_strips={} if is_sheet else _mark_strips(analysis, summary.marks[:MAX_MARKS]),
        around_s=AROUND_S,
        kinds=KINDS,
        strips={}
        if is_sheet
        else _strips(analysis, summary, confirmation.strip_starts if confirmation else {}),
        mean_beats=average_beats(analysis, overview.cuts),
        mean={
            "width_mm": MEAN_MM,
            "axis_mm": AXIS_MM,
            "zoom": ZOOM,
            "ticks_ms": TICKS_MS,
            "before_ms": 1000 * CUT_BEFORE_S,
        },
        poincare=None if is_sheet else poincare(analysis),
        cells=CELLS,
        variability=_variability(summary.hrv),
        nn_share_pct=summary.hrv.nn_share_pct,
        overview=None if is_sheet else full_disclosure(analysis, overview),
        counts=_counts(summary, criteria),
        criteria=criteria,
        changed_criteria=_changed(criteria),
        not_analysed=(analysis.not_analysed / analysis.fs).tolist(),
        rhythm=summary.rhythm,
        conclusion=draft_conclusion(summary),
        patient=patient_facts(analysis),
        running_head=running_head(analysis, str(provenance["recording"])),
        confidence_known=confidence_is_known(analysis),
        time_columns=COLUMNS_BY_TIME,
        episodes=[] if is_sheet else episode_lists(analysis),
        max_listed=MAX_LISTED,
        not_claimed=NOT_CLAIMED if criteria.detect_af else (AF_NOT_SOUGHT, *NOT_CLAIMED),
        provenance=provenance,
        confirmation=confirmation,
        max_changes=MAX_CHANGES,
    )
    path.write_text(page, encoding="utf-8")


def _counts(summary: Summary, criteria: Criteria) -> list[tuple[EventKind, object]]:
    """Return the kinds of events that were looked for, with their rules by the criteria and their numbers."""
    sought = [kind for kind in KINDS.values() if kind.is_sought(criteria)]
    return [(kind.stated(criteria), summary.stats[kind.count]) for kind in sought]


def _changed(criteria: Criteria) -> list[tuple[str, str, str]]:
    """Return name, value and default of each criterion that is not the default."""
    return [
        (name, toml_value(value), toml_value(CRITERIA[name].default))
        for name, value in criteria.changed().items()
    ]


def _share_pct(analysis: Analysis) -> dict[str, float]:
    """Compute the share of each class among all beats, in percent with the digits of ``summary.csv``."""
    label = analysis.beats.label
    return {
        str(letter): round(100 * float((label == letter).mean()), 2) for letter in BeatClass if len(label)
    }


def _variability(hrv: Variability) -> list[tuple[str, str, str]]:
    """Return name, value and explanation of each measure of heart rate variability that has a value."""
    values = vars(hrv)
    return [
        (name, f"{values[field]:.{digits}f}{unit}", explanation)
        for field, name, digits, unit, explanation in VARIABILITY
        if values[field] is not None
    ]


def _days(summary: Summary) -> Sequence[Day]:
    """Return the statistics of each day and its hours; none if the recording is not longer than a day."""
    is_long = has_days(summary.recording.analysis.duration_s)
    return with_hours(summary.recording, summary.daily) if is_long else ()


def _periods(summary: Summary) -> Sequence[Stats]:
    """Return the statistics of each row of the table of a recording without days."""
    row_s = period_s(summary.recording.analysis.duration_s)
    return summary.hourly if row_s == HOUR_S else tuple(by_period(summary.recording, row_s))


def period_s(duration_s: float) -> float:
    """Return the length of a row of the table in seconds: an hour, or 10, 5 or 1 min if it is short."""
    steps = ((3600, HOUR_S), (1800, 600.0), (600, 300.0))
    return next((step for longer_than, step in steps if duration_s > longer_than * 1.01), 60.0)


def _strips(analysis: Analysis, summary: Summary, starts: Mapping[Event, int]) -> dict[Event, Strip]:
    """Draw examples of each finding in their order, then the slowest and the fastest rate.

    Those whose strip a reader has chosen come last, unless a finding shows them. A recording of a few strips
    has only one of each finding; without any, its middle is drawn.
    """
    if analysis.duration_s > SHORT_PAGE_S:
        rates = extreme_rates(heart_rate(*summary.recording.rates))
        shown = (*examples(analysis, summary.findings), *rates)
    else:
        shown = tuple(finding.event for finding in summary.findings if finding.event)
    events = dict.fromkeys((*shown, *starts))
    if not events and analysis.n_samples:
        events = {Event("signal", *2 * (analysis.duration_s / 2,), 0, float("nan")): None}
    return strips(analysis, {event: starts.get(event) for event in events})


def _mark_strips(analysis: Analysis, marks: Sequence[MarkedMoment]) -> dict[int, Strip]:
    """Draw the strips of the first marks, those with events around them before the others, by number."""
    chosen = sorted(marks, key=lambda moment: not moment.events)[:MAX_MARK_STRIPS]
    events = {moment.number: moment.event for moment in sorted(chosen, key=lambda m: m.number)}
    drawn = strips(analysis, dict.fromkeys(events.values()))
    return {number: drawn[event] for number, event in events.items()}
