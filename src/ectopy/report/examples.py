"""Choose what the strips show: examples of each finding, and the slowest and the fastest rate."""

from collections.abc import Iterator, Sequence
from operator import attrgetter

import numpy as np

from ectopy.ecg import Analysis, Event
from ectopy.report.strips import STRIP_S
from ectopy.rhythm.heart_rate import HeartRate
from ectopy.rhythm.kinds import KINDS
from ectopy.rhythm.limits import RATE_INTERVALS
from ectopy.rhythm.wording import Finding

MAX_EXAMPLES = 3
"""Maximum number of strips for a finding."""
MAX_STRIPS = 14
"""Maximum number of strips of all findings, unless there are more findings: each takes 25 kB of the page."""
SLOWEST, FASTEST = "slowest_rate", "fastest_rate"
"""Kinds of the moments of the lowest and the highest heart rate."""


def examples(analysis: Analysis, findings: Sequence[Finding]) -> list[Event]:
    """Choose the events that strips show of the findings.

    Parameters
    ----------
    analysis
        The analysis of a recording.
    findings
        Its findings.

    Returns
    -------
    Of each finding its own event first, then others like it: the longest, the fastest, the first, the last,
    the middle one. No two of a finding are on one strip. Beyond MAX_STRIPS, the first findings have most.
    """
    groups = [[finding.event] for finding in findings if finding.event]
    shown = {group[0] for group in groups}
    others = [list(_apart(analysis, group[0], shown)) for group in groups]
    n_strips = len(shown)
    for depth in range(MAX_EXAMPLES - 1):
        for group, more in zip(groups, others, strict=True):
            if depth < len(more) and n_strips < MAX_STRIPS:
                group.append(more[depth])
                n_strips += 1
    return [event for group in groups for event in group]


def _apart(analysis: Analysis, event: Event, shown: set[Event]) -> Iterator[Event]:
    """Yield events like another one that are not shown, and that no strip shows together with it."""
    chosen = [event]
    for other in _others(analysis, event):
        if other not in shown and all(abs(other.onset_s - one.onset_s) > STRIP_S for one in chosen):
            chosen.append(other)
            yield other


def _others(analysis: Analysis, event: Event) -> list[Event]:
    """Return events like another one, the best examples first."""
    if event.kind in KINDS:
        events = analysis.events_of(event.kind)
        rated = [one for one in events if one.rate_bpm > 0]
        fastest = [max(rated, key=attrgetter("rate_bpm"))] if rated else []
        spread = (events[0], events[-1], events[len(events) // 2])
        return [max(events, key=attrgetter("duration_s")), *fastest, *spread]
    same = analysis.beats.label == event.kind
    sure = np.flatnonzero(same & analysis.beats.confident)
    beats = sure if len(sure) else np.flatnonzero(same)
    time_s = analysis.beats.time_s[beats[[0, -1]]].tolist() if len(beats) else []
    return [Event(event.kind, moment_s, moment_s, 1, float("nan")) for moment_s in time_s]


def extreme_rates(rate: HeartRate) -> Iterator[Event]:
    """Return the lowest and the highest heart rate as events over their RR intervals.

    Parameters
    ----------
    rate
        The heart rate of a recording.

    Yields
    ------
    Both of them; none in a recording of too few beats.
    """
    for kind, bpm, at_s in (
        (SLOWEST, rate.min_bpm, rate.min_at_s),
        (FASTEST, rate.max_bpm, rate.max_at_s),
    ):
        if np.isfinite(bpm):
            yield Event(kind, at_s, at_s + 60 * RATE_INTERVALS / bpm, RATE_INTERVALS + 1, bpm)
