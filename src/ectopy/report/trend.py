"""Draw the heart rate and the events over the whole recording."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ectopy.ecg import Analysis, BeatClass, Event
from ectopy.report import svg
from ectopy.report.statistics import RecordingStats
from ectopy.report.times import Clock
from ectopy.rhythm.kinds import KINDS
from ectopy.rhythm.named_intervals import ARTEFACT, RHYTHM_NAMES, named_intervals
from ectopy.rhythm.underlying_rhythm import rhythm_shares
from ectopy.rhythm.wording import confidence_is_known

MAX_TICKS = 5
"""Maximum number of times along the axis, so that a phone can show them."""


class Lane(NamedTuple):
    """Row of marks below the heart-rate trend: beats of one class or events of one kind."""

    title: str
    note: str
    path: str
    colour: str


class BandPart(NamedTuple):
    """One rhythm in the band of rhythms: all its intervals, and the share of the recording that they take."""

    title: str
    share: str
    path: str
    colour: str


class Tick(NamedTuple):
    """Mark on an axis, with its position in percent of the length of the axis."""

    position_pct: float
    text: str


class Trend(NamedTuple):
    """Heart rate over the whole recording, in columns.

    In a short recording the line goes through every beat and there is no band. y goes from 0 (the highest of
    ``rates``) to 100 (the lowest).
    """

    band: str
    line: str
    unreadable: str
    rates: list[Tick]
    times: list[Tick]
    rhythms: list[BandPart]
    lanes: list[Lane]
    description: str


def trend(recording: RecordingStats) -> Trend | None:
    """Draw the heart rate and every kind of event over time; return None without a heart rate."""
    analysis, rates = recording.analysis, recording.rates
    reduced = svg.envelope(rates.time_s, rates.rate_bpm, analysis.duration_s)
    if np.isnan(reduced.mean).all():
        return None
    low, high = (20 * float(step) for step in _bounds(reduced))
    few = len(rates.time_s) < svg.COLUMNS
    drawn = (rates.rate_bpm,) if few else reduced
    y = [100 * (high - values) / (high - low) for values in drawn]
    grid_bpm = np.arange(low, high + 1, 20 if high - low <= 120 else 40).tolist()
    edges = analysis.not_analysed / analysis.fs
    return Trend(
        band="" if few else svg.band_path(y[0], y[2]),
        line=svg.through(rates.time_s, y[0], analysis.duration_s) if few else svg.line_path(y[1]),
        unreadable=svg.bars(svg.occupied(edges[:, 0], edges[:, 1], analysis.duration_s)),
        rates=[Tick(100 * (high - bpm) / (high - low), f"{bpm:.0f}") for bpm in grid_bpm],
        times=time_ticks(analysis.duration_s, Clock.of(analysis)),
        rhythms=rhythm_band(analysis),
        lanes=list(_lanes(analysis)),
        description=f"Heart rate between {np.nanmin(reduced.low):.0f} and {np.nanmax(reduced.high):.0f} bpm",
    )


def rhythm_band(analysis: Analysis) -> list[BandPart]:
    """Draw the rhythm of every interval in one band, the most urgent rhythm on top.

    An interval is at least one column wide, so that no short episode is lost in a long recording.

    Parameters
    ----------
    analysis
        The analysis of the recording.

    Returns
    -------
    The rhythms that it has, from the one below to the one on top. Their shares are of the time analysed, as
    in the findings; that of artefact is of the recording.
    """
    intervals, duration_s = named_intervals(analysis), analysis.duration_s
    named_s = sum(stop_s - start_s for name, start_s, stop_s in intervals if name != ARTEFACT)
    seconds = dict(rhythm_shares(analysis))
    parts = []
    for name, rhythm in reversed([*RHYTHM_NAMES.items()]):
        spans_s = np.array([interval[1:] for interval in intervals if interval.rhythm == name])
        if len(spans_s):
            path = svg.bars(svg.occupied(spans_s[:, 0], spans_s[:, 1], duration_s))
            share_pct = 100 * seconds[name] / (duration_s if name == ARTEFACT else named_s)
            share = "below 0.1 %" if share_pct < 0.1 else f"{share_pct:.1f} %"
            share += " of the recording" if name == ARTEFACT else ""
            parts.append(BandPart(rhythm.title, share, path, rhythm.colour))
    return parts


def time_ticks(duration_s: float, clock: Clock) -> list[Tick]:
    """Return the ticks of the time axis, at round times.

    Parameters
    ----------
    duration_s
        Length of the recording in seconds.
    clock
        The clock of the recording; times of day are used where it knows them.

    Returns
    -------
    Ticks in order of time.
    """
    steps = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800)
    step = next((step for step in steps if duration_s / step <= MAX_TICKS), steps[-1])
    start = clock.start
    lead_s = 0.0 if start is None else start.hour * 3600 + start.minute * 60 + start.second
    first = -lead_s % step
    ticks_s = np.arange(first, duration_s, step).tolist()
    # A text at the very end would exceed the edge.
    last_s = 0.92 * duration_s
    return [
        Tick(100 * time_s / duration_s, _short(clock, time_s, step)) for time_s in ticks_s if time_s < last_s
    ]


def _bounds(reduced: svg.Envelope) -> tuple[float, float]:
    low, high = np.floor(np.nanmin(reduced.low) / 20), np.ceil(np.nanmax(reduced.high) / 20)
    return float(low), float(max(high, low + 2))


def _short(clock: Clock, time_s: float, step: int) -> str:
    """Return the text of a tick; midnights of a recording of several days have the date."""
    time = clock.time(time_s)
    if clock.start and clock.dated and time == "00:00:00":
        return clock.short(time_s).partition(" ")[0]
    return time.rpartition(":")[0] if step % 60 == 0 else time


def _lanes(analysis: Analysis) -> Iterator[Lane]:
    beats, duration_s = analysis.beats, analysis.duration_s
    counted = {
        "ventricular": ("V beats", beats.label == BeatClass.VEB),
        "supraventricular": ("S beats", beats.label == BeatClass.SVEB),
        "low-confidence": ("Low-confidence beats", ~beats.confident & confidence_is_known(analysis)),
    }
    for colour, (title, mask) in counted.items():
        time_s = beats.time_s[mask]
        if len(time_s):
            path, _ = svg.histogram(time_s, duration_s)
            yield Lane(title, f"{len(time_s):,}", path, colour)
    if marks := analysis.recording.marks:
        moments = [Event("mark", mark.time_s, mark.time_s, 0, np.nan) for mark in marks]
        yield Lane("Patient marks", f"{len(marks):,}", _marks(moments, duration_s), "important")
    for kind in KINDS.values():
        if events := analysis.events_of(kind.name):
            yield Lane(kind.title, f"{len(events):,}", _marks(events, duration_s), kind.colour)


def _marks(events: list[Event], duration_s: float) -> str:
    edges = np.array([(event.onset_s, event.offset_s) for event in events])
    return svg.bars(svg.occupied(edges[:, 0], edges[:, 1], duration_s))
