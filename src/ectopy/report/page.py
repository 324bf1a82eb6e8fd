"""The report of one recording as one self-contained page: what the template needs, and nothing else."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ectopy.ecg import Analysis, Event, Recording
from ectopy.report import drawing
from ectopy.report.findings import Finding, elapsed, of_kind
from ectopy.report.strips import MEAN_MM, Strip, mean_beats, strip
from ectopy.report.summary import HOUR_S, Summary, by_period, rates
from ectopy.report.templates import render
from ectopy.rhythm import KINDS, heart_rate

NOT_CLAIMED = (
    "Atrial fibrillation and flutter",
    "Ventricular flutter and fibrillation: where no beat is found they appear as a pause",
    "Atrioventricular block, ST segment, QT interval: they need P and T waves",
    "Pacemaker function",
)
TICKS = 5
"""A trend has about so many times along its axis."""
LISTED = 12
"""So many unreadable stretches are listed one by one."""


@dataclass(frozen=True)
class Clock:
    """Times since the start of a recording, and by the clock where the recording knows it."""

    start: datetime | None

    def time(self, seconds: float) -> str:
        """Time of day, or since the start where that is not known."""
        if self.start is None:
            return elapsed(seconds)
        return f"{self.start + timedelta(seconds=seconds):%H:%M:%S}"

    def both(self, seconds: float) -> str:
        """Time since the start, followed by the time of day where it is known."""
        return elapsed(seconds) if self.start is None else f"{elapsed(seconds)} ({self.time(seconds)})"


class Lane(NamedTuple):
    """A row below the heart-rate trend."""

    title: str
    note: str
    path: str
    kind: str


class Tick(NamedTuple):
    """A mark on an axis, its place in percent."""

    at: float
    text: str


class Trend(NamedTuple):
    """Heart rate over the whole recording in columns; y from 0 (``high``) to 100 (``low``)."""

    band: str
    line: str
    unreadable: str
    rates: list[Tick]
    times: list[Tick]
    lanes: list[Lane]
    description: str


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
        rate=_heart_rate(analysis),
        trend=trend(analysis),
        periods=by_period(analysis, period_s(analysis.duration_s)),
        strips=strips(analysis, recording, summary.findings),
        mean_mm=MEAN_MM,
        mean_beats=mean_beats(analysis, recording),
        counts=[(known, of_kind(analysis.events, kind)) for kind, known in KINDS.items() if kind != "af"],
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


def trend(analysis: Analysis) -> Trend | None:
    """Draw the heart rate and every kind of event over time; None without a heart rate."""
    of = rates(analysis)
    reduced = drawing.envelope(of.time_s, of.rate_bpm, analysis.duration_s)
    if np.isnan(reduced.mean).all():
        return None
    low, high = (20 * float(step) for step in _bounds(reduced))
    y = [100 * (high - values) / (high - low) for values in reduced]
    marks = np.arange(low, high + 1, 20 if high - low <= 120 else 40).tolist()
    edges = analysis.unreadable / analysis.fs
    return Trend(
        band=drawing.band_path(y[0], y[2]),
        line=drawing.line_path(y[1]),
        unreadable=drawing.bars(drawing.occupied(edges[:, 0], edges[:, 1], analysis.duration_s)),
        rates=[Tick(100 * (high - mark) / (high - low), f"{mark:.0f}") for mark in marks],
        times=time_ticks(analysis.duration_s, Clock(analysis.start)),
        lanes=list(_lanes(analysis)),
        description=f"Heart rate between {np.nanmin(reduced.low):.0f} and {np.nanmax(reduced.high):.0f} bpm",
    )


def time_ticks(duration_s: float, clock: Clock) -> list[Tick]:
    """Round times along the recording, by the clock where it is known."""
    steps = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800)
    step = next((step for step in steps if duration_s / step <= TICKS), steps[-1])
    start = clock.start
    lead_s = 0.0 if start is None else start.hour * 3600 + start.minute * 60 + start.second
    first = -lead_s % step
    at = np.arange(first, duration_s, step).tolist()
    # A text at the very end would hang over the edge.
    near_s = 0.96 * duration_s
    return [
        Tick(100 * time_s / duration_s, _short(clock.time(time_s), step)) for time_s in at if time_s < near_s
    ]


def _bounds(reduced: drawing.Envelope) -> tuple[float, float]:
    low, high = np.floor(np.nanmin(reduced.low) / 20), np.ceil(np.nanmax(reduced.high) / 20)
    return float(low), float(max(high, low + 2))


def _short(time: str, step: int) -> str:
    return time.rpartition(":")[0] if step % 60 == 0 else time


def _lanes(analysis: Analysis) -> Iterator[Lane]:
    beats, duration_s = analysis.beats, analysis.duration_s
    for title, letter in (("V beats", "V"), ("S beats", "S")):
        time_s = beats.time_s[beats.label == letter]
        if len(time_s):
            path, _ = drawing.histogram(time_s, duration_s)
            yield Lane(title, f"{len(time_s):,}", path, letter)
    for kind, known in KINDS.items():
        events = of_kind(analysis.events, kind)
        if events:
            yield Lane(known.title, f"{len(events):,}", _marks(events, duration_s), kind)


def _marks(events: list[Event], duration_s: float) -> str:
    edges = np.array([(event.onset_s, event.offset_s) for event in events])
    return drawing.bars(drawing.occupied(edges[:, 0], edges[:, 1], duration_s))


def _heart_rate(analysis: Analysis) -> Mapping[str, float]:
    return heart_rate(*rates(analysis))._asdict()
