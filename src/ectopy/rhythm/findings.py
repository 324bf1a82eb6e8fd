"""Findings: what a reader should know of an analysis, in ranked short sentences."""

from collections.abc import Iterator

import numpy as np

from ectopy.criteria import Criteria
from ectopy.ecg import Analysis, BeatClass, Event, Mask
from ectopy.rhythm.heart_rate import heart_rate, rate_bpm
from ectopy.rhythm.kinds import FURTHER, LEADING, EventKind
from ectopy.rhythm.limits import (
    FEW,
    MIN_INTERVAL_SHARE,
    MIN_INTERVALS,
    SHORT_S,
    UNCERTAIN_PCT,
)
from ectopy.rhythm.wording import (
    Finding,
    Urgency,
    confidence_is_known,
    count,
    duration,
    episodes,
    is_certain,
    whole_bpm,
)

NO_BEAT = "no beat was found"
"""Reason for which a recording that can be read is not analysable."""


def find_findings(analysis: Analysis, not_analysable: str = "") -> tuple[Finding, ...]:
    """Find what there is to say about an analysis.

    Parameters
    ----------
    analysis
        The analysis of one recording.
    not_analysable
        The reason if the recording has no beat. Nothing is then found but rhythms that need none.

    Returns
    -------
    Findings, the most urgent first. Of one urgency, the kinds of events that can be urgent come before the
    burden of ectopic beats, and the other kinds after it.
    """
    if not_analysable:
        return _without_beats(analysis, not_analysable)
    findings = [
        *_of_kinds(LEADING, analysis),
        *_ectopy(analysis, BeatClass.VEB, "ventricular"),
        *_ectopy(analysis, BeatClass.SVEB, "supraventricular"),
        *_of_kinds(FURTHER, analysis),
        *_mean_rate(analysis),
        *_unreadable(analysis),
        *_low_confidence(analysis),
    ]
    if not any(finding.event for finding in findings):
        text = "No ectopic beat, run, pause or change of rate found"
        if not confidence_is_known(analysis):
            text += f" in {count(len(analysis.beats), 'beat')}, too few to exclude them"
        findings.append(Finding(Urgency.INFO, text))
    return tuple(sorted(findings, key=lambda finding: -finding.urgency))


def _without_beats(analysis: Analysis, reason: str) -> tuple[Finding, ...]:
    """Describe a recording without a beat: important if the signal could be read, or if it is long."""
    shown = _middle(analysis) if analysis.n_samples else None
    readable = 2 * analysis.analysable_s > analysis.duration_s and reason == NO_BEAT
    urgency = Urgency.NOTE if _is_short(analysis) and not readable else Urgency.IMPORTANT
    return (*_of_kinds(LEADING, analysis), Finding(urgency, f"not analysable: {reason}", shown))


def _of_kinds(kinds: tuple[EventKind, ...], analysis: Analysis) -> Iterator[Finding]:
    for kind in kinds:
        if events := analysis.events_of(kind.name):
            describe = kind.describe
            yield from describe(events, analysis) if describe else episodes(kind.title, events)


def _ectopy(analysis: Analysis, label: BeatClass, origin: str) -> Iterator[Finding]:
    """Describe the burden of ectopic beats of one class: rare, frequent or very frequent.

    Only certain beats make it loud: noise looks like ectopic beats. In a short recording a few beats are a
    large share, so supraventricular ones, and fewer than FEW, are a note at most.
    """
    ectopic = analysis.beats.label == label
    number = int(ectopic.sum())
    if not number:
        return
    share = 100 * number / len(ectopic)
    n_certain = int((ectopic & is_certain(analysis)).sum())
    urgency = _urgency_of_burden(100 * n_certain / len(ectopic), analysis.criteria)
    if _is_short(analysis) and (label == BeatClass.SVEB or n_certain < FEW):
        urgency = min(urgency, Urgency.NOTE)
    beats = (
        f"{count(number, 'beat')} ({round(share, 2):.1f} %)"  # the digits of summary.csv, as in all tables
    )
    if analysis.analysable_s > SHORT_S:
        word = ("Rare", "Frequent", "Very frequent")[_urgency_of_burden(share, analysis.criteria)]
        text = f"{word} {origin} ectopy: {beats}, {3600 * number / analysis.analysable_s:,.0f} per hour"
    else:
        text = f"{origin.capitalize()} ectopy: {beats}"
    n_uncertain = int((ectopic & ~analysis.beats.confident).sum())
    uncertain = f", {n_uncertain:,} of them uncertain" if 0 < n_uncertain < number else ", uncertain"
    yield Finding(urgency, text + (uncertain if n_uncertain else ""), _example(analysis, ectopic))


def _is_short(analysis: Analysis) -> bool:
    return analysis.duration_s <= SHORT_S


def _urgency_of_burden(share_pct: float, criteria: Criteria) -> Urgency:
    if share_pct > criteria.very_frequent_pct:
        return Urgency.IMPORTANT
    return Urgency.NOTE if share_pct >= criteria.frequent_pct else Urgency.INFO


def _mean_rate(analysis: Analysis) -> Iterator[Finding]:
    """Describe a slow or fast mean rate of a strip with too few beats for an episode."""
    beats, rr_s = analysis.beats, analysis.rr_s
    rate = heart_rate(beats.time_s, rr_s, rate_bpm(beats, rr_s))
    # The few intervals that noise leaves of a strip do not speak for it.
    enough = max(MIN_INTERVALS, MIN_INTERVAL_SHARE * (len(beats) - 1))
    has_mean_only = (
        np.isnan(rate.min_bpm) and np.isfinite(rate.mean_bpm) and np.isfinite(rr_s).sum() >= enough
    )
    slow, fast = analysis.criteria.bradycardia_bpm, analysis.criteria.tachycardia_bpm
    if has_mean_only and not slow <= rate.mean_bpm <= fast:
        name = "Bradycardia" if rate.mean_bpm < slow else "Tachycardia"
        text = f"{name}: {whole_bpm(rate.mean_bpm)} bpm, mean of {count(len(beats), 'beat')}"
        yield Finding(Urgency.NOTE, text, _middle(analysis))


def _unreadable(analysis: Analysis) -> Iterator[Finding]:
    """Describe the time that could not be analysed; a short recording is easily made again."""
    lost_s = analysis.duration_s - analysis.analysable_s
    if lost_s > 0:
        share = 100 * lost_s / analysis.duration_s
        urgency = _urgency_of_loss(share, analysis.criteria)
        if _is_short(analysis):
            urgency = min(urgency, Urgency.NOTE)
        yield Finding(urgency, f"Not analysed: {duration(lost_s)} ({share:.1f} %), artefact or no signal")


def _urgency_of_loss(share_pct: float, criteria: Criteria) -> Urgency:
    if share_pct >= criteria.mostly_unreadable_pct:
        return Urgency.IMPORTANT
    return Urgency.NOTE if share_pct >= criteria.partly_unreadable_pct else Urgency.INFO


def _low_confidence(analysis: Analysis) -> Iterator[Finding]:
    """Describe the beats that are not confident, unless the recording has too few to judge any."""
    number = int((~analysis.beats.confident).sum())
    if number and confidence_is_known(analysis):
        share = 100 * number / len(analysis.beats)
        urgency = Urgency.NOTE if share >= UNCERTAIN_PCT else Urgency.INFO
        yield Finding(urgency, f"Class uncertain: {count(number, 'beat')} ({share:.1f} %)")


def _middle(analysis: Analysis) -> Event:
    """Return the middle of a recording, to show what was recorded."""
    middle_s = analysis.duration_s / 2
    return Event("signal", middle_s, middle_s, 0, float("nan"))


def _example(analysis: Analysis, ectopic: Mask) -> Event:
    """Choose the middle one of the beats that stand alone and are confident, if there are such."""
    alone = ectopic & ~np.append(False, ectopic[:-1]) & ~np.append(ectopic[1:], False)
    confident = alone & analysis.beats.confident
    best = next(mask for mask in (confident, alone, ectopic) if mask.any())
    candidates = np.flatnonzero(best)
    time_s = float(analysis.beats.time_s[candidates[len(candidates) // 2]])
    return Event(str(analysis.beats.label[candidates[0]]), time_s, time_s, 1, float("nan"))
