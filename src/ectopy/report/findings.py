"""Findings: what a reader should know of an analysis, in ranked short sentences."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from ectopy.ecg import Analysis, BeatClass, Event, Mask
from ectopy.report.times import duration, elapsed
from ectopy.rhythm.events import (
    BRADYCARDIA_BPM,
    FAST_BPM,
    KINDS,
    NO_RATE_S,
    RUN_BEATS,
    beats_of,
    heart_rate,
    rate_bpm,
    readable_rr_s,
)

FREQUENT_PCT, VERY_FREQUENT_PCT = 1.0, 10.0
"""Ventricular ectopy below 1 % of beats is rare, above 10 % very frequent."""
URGENT_PAUSE_S = 3.0
URGENT_VT_BEATS = 6
SUSTAINED_S = 30.0
"""From 30 s on a tachycardia is sustained."""
FAST_AF_BPM = 110.0
"""Atrial fibrillation above this rate is urgent: the limit of lenient rate control (RACE II, 2010)."""
FEWEST_INTERVALS = 3
SHORT_S = 900.0
"""In a quarter of an hour ectopy is called neither rare nor frequent, and counts say little of an hour."""


class Urgency(IntEnum):
    """How soon somebody should look."""

    INFO = 0
    NOTE = 1
    IMPORTANT = 2
    URGENT = 3


@dataclass(frozen=True)
class Finding:
    """One sentence without a semicolon, and what shows it best.

    ``event`` is an event or, of the kinds ``V``, ``S`` and ``signal``, a single beat or a piece of signal.
    """

    urgency: Urgency
    text: str
    event: Event | None = None

    def __str__(self) -> str:
        return f"{self.urgency.name.lower()}: {self.text}"


def find_findings(analysis: Analysis, why_not: str = "") -> tuple[Finding, ...]:
    """Find what there is to say, the most urgent first; ``why_not`` says why nothing was analysable."""
    if why_not:
        shown = _middle(analysis) if analysis.n_samples else None
        return (Finding(Urgency.IMPORTANT, f"not analysable: {why_not}", shown),)
    findings = [finding for rule in RULES for finding in rule(analysis)]
    if not any(finding.event for finding in findings):
        findings.append(Finding(Urgency.INFO, "No ectopic beat, run, pause or change of rate found"))
    return tuple(sorted(findings, key=lambda finding: -finding.urgency))


def of_kind(events: Sequence[Event], kind: str) -> list[Event]:
    """Events of one kind, in order of time."""
    return [event for event in events if event.kind == kind]


def analysable_s(analysis: Analysis, start_s: float, stop_s: float) -> float:
    """Readable time between two times of a recording."""
    edges = np.clip(analysis.unreadable / analysis.fs, start_s, stop_s)
    return float(stop_s - start_s - (edges[:, 1] - edges[:, 0]).sum())


def seconds(event: Event) -> float:
    """How long an event lasts."""
    return event.offset_s - event.onset_s


def ventricular_tachycardia(analysis: Analysis) -> Iterator[Finding]:
    """VT; sustained from 30 s on, which is urgent, as are 6 beats of it."""
    runs = of_kind(analysis.events, "vt")
    sustained = [run for run in runs if seconds(run) >= SUSTAINED_S]
    if sustained:
        text = f"Sustained ventricular tachycardia: {_runs(sustained)}{_doubted(sustained, analysis)}"
        yield Finding(Urgency.URGENT, text, _long(sustained))
    if shorter := [run for run in runs if seconds(run) < SUSTAINED_S]:
        longest = _long(shorter)
        urgency = Urgency.URGENT if longest.n_beats >= URGENT_VT_BEATS else Urgency.IMPORTANT
        text = f"Non-sustained ventricular tachycardia: {_runs(shorter)}{_doubted(shorter, analysis)}"
        yield Finding(urgency, text, longest)


def pause(analysis: Analysis) -> Iterator[Finding]:
    """RR intervals above 2 s; urgent from 3 s on."""
    pauses = of_kind(analysis.events, "pause")
    if not pauses:
        return
    longest = max(pauses, key=seconds)
    if seconds(longest) >= NO_RATE_S:
        text = f"No beat for {_lasting(longest)}: asystole, ventricular fibrillation or lost signal"
        yield Finding(Urgency.URGENT, text, longest)
    urgency = Urgency.URGENT if seconds(longest) >= URGENT_PAUSE_S else Urgency.NOTE
    yield Finding(
        urgency, f"{_count(len(pauses), 'pause')} longer than 2 s, longest {_lasting(longest)}", longest
    )


def idioventricular_rhythm(analysis: Analysis) -> Iterator[Finding]:
    """Ventricular runs at 100 bpm or less; a note where the classifier is unsure of each of them."""
    runs = of_kind(analysis.events, "idioventricular_rhythm")
    if runs:
        urgency = Urgency.NOTE if all(unsure(run, analysis) for run in runs) else Urgency.IMPORTANT
        text = f"Idioventricular rhythm: {_runs(runs)}{_doubted(runs, analysis)}"
        yield Finding(urgency, text, _long(runs))


def atrial_fibrillation(analysis: Analysis) -> Iterator[Finding]:
    """Atrial fibrillation: burden, longest, rate; urgent where an episode is faster than 110 bpm."""
    found = of_kind(analysis.events, "af")
    if not found:
        return
    longest, fastest = max(found, key=seconds), max(found, key=lambda episode: episode.rate_bpm)
    urgent = fastest.rate_bpm > FAST_AF_BPM
    share = burden_pct(found, analysis, 0, analysis.duration_s)
    rate = f"{_rate_bpm(found):.0f} bpm"
    if len(found) > 1:
        rate += f", fastest {fastest.rate_bpm:.0f} bpm at {elapsed(fastest.onset_s)}"
    yield Finding(
        Urgency.URGENT if urgent else Urgency.IMPORTANT,
        f"Atrial fibrillation: {_count(len(found), 'episode')}, {share:.1f} % of the time analysed, "
        f"longest {_lasting(longest)}, {rate}",
        fastest if urgent else longest,
    )


def overlap_s(events: Sequence[Event], start_s: float, stop_s: float) -> float:
    """Time of events that lies in [start_s, stop_s)."""
    spans = ((max(event.onset_s, start_s), min(event.offset_s, stop_s)) for event in events)
    return sum((max(offset - onset, 0.0) for onset, offset in spans), start=0.0)


def burden_pct(events: Sequence[Event], analysis: Analysis, start_s: float, stop_s: float) -> float:
    """Share of the analysable time in [start_s, stop_s) that events take, NaN where there is no such time."""
    analysable = analysable_s(analysis, start_s, stop_s)
    spans = ((max(event.onset_s, start_s), min(event.offset_s, stop_s)) for event in events)
    taken = sum(analysable_s(analysis, onset, offset) for onset, offset in spans if offset > onset)
    return 100 * taken / analysable if analysable else float("nan")


def supraventricular_runs(analysis: Analysis) -> Iterator[Finding]:
    """Supraventricular runs; urgent above 30 s."""
    runs = of_kind(analysis.events, "sv_run")
    sustained = [run for run in runs if seconds(run) > SUSTAINED_S]
    if sustained:
        text = f"Sustained supraventricular tachycardia: {_runs(sustained)}{_doubted(sustained, analysis)}"
        yield Finding(Urgency.URGENT, text, _long(sustained))
    if shorter := [run for run in runs if seconds(run) <= SUSTAINED_S]:
        text = f"Supraventricular runs: {_runs(shorter)}{_doubted(shorter, analysis)}"
        yield Finding(Urgency.NOTE, text, _long(shorter))


def ventricular_ectopy(analysis: Analysis) -> Iterator[Finding]:
    """Burden of ventricular beats: rare below 1 %, very frequent above 10 %."""
    return _ectopy(analysis, BeatClass.VEB, "ventricular")


def supraventricular_ectopy(analysis: Analysis) -> Iterator[Finding]:
    """Burden of supraventricular beats, in the same words."""
    return _ectopy(analysis, BeatClass.SVEB, "supraventricular")


def couplets(analysis: Analysis) -> Iterator[Finding]:
    """Couplets of either origin."""
    for kind in ("veb_couplet", "sveb_couplet"):
        pairs = of_kind(analysis.events, kind)
        if pairs:
            fastest = max(pairs, key=lambda pair: pair.rate_bpm)
            text = f"{_count(len(pairs), KINDS[kind].title.lower())}, shortest {_lasting(fastest)}"
            yield Finding(Urgency.NOTE, text + _doubted(pairs, analysis), fastest)


def r_on_t(analysis: Analysis) -> Iterator[Finding]:
    """V that may fall on a T wave: a hint where to look, never more than a note."""
    found = of_kind(analysis.events, "r_on_t")
    if found:
        earliest = min(found, key=seconds)
        share = 100 * len(found) / int((analysis.beats.label == BeatClass.VEB).sum())
        told = f"{_count(len(found), 'ventricular beat')} ({share:.1f} % of them) may fall on a T wave"
        text = f"{told}, by timing alone: the earliest after {_lasting(earliest)}"
        yield Finding(Urgency.NOTE, text, earliest)


def episodes(analysis: Analysis) -> Iterator[Finding]:
    """Bigeminy, trigeminy, slow and fast rates: how many, how long, the longest."""
    for kind in ("bigeminy", "trigeminy", "sveb_bigeminy", "bradycardia", "tachycardia"):
        found = of_kind(analysis.events, kind)
        if found:
            longest = max(found, key=seconds)
            total = duration(sum(map(seconds, found)))
            text = f"{KINDS[kind].title}: {_count(len(found), 'episode')}, {total} in all"
            yield Finding(Urgency.NOTE, f"{text}, longest {_lasting(longest)}", longest)


def mean_rate(analysis: Analysis) -> Iterator[Finding]:
    """Slow and fast rates of a strip with too few beats for an episode, yet three intervals or more."""
    rr_s = readable_rr_s(analysis.beats, analysis.unreadable)
    rate = heart_rate(analysis.beats.time_s, rr_s, rate_bpm(analysis.beats, rr_s))
    told = np.isnan(rate.min_bpm) and np.isfinite(rr_s).sum() >= FEWEST_INTERVALS
    if told and not BRADYCARDIA_BPM <= rate.mean_bpm <= FAST_BPM:
        name = "Bradycardia" if rate.mean_bpm < BRADYCARDIA_BPM else "Tachycardia"
        n_beats = _count(len(analysis.beats), "beat")
        yield Finding(Urgency.NOTE, f"{name}: {rate.mean_bpm:.0f} bpm, mean of {n_beats}", _middle(analysis))


def doubt(analysis: Analysis) -> Iterator[Finding]:
    """Beats that the classifier is not sure of."""
    unsure = int((~analysis.beats.confident).sum())
    if unsure:
        share = 100 * unsure / len(analysis.beats)
        urgency = Urgency.NOTE if share >= FREQUENT_PCT else Urgency.INFO
        yield Finding(urgency, f"{_count(unsure, 'beat')} ({share:.1f} %) of uncertain class")


def readable(analysis: Analysis) -> Iterator[Finding]:
    """Time that could not be analysed."""
    lost_s = analysis.duration_s - analysis.analysable_s
    if lost_s > 0:
        share = 100 * lost_s / analysis.duration_s
        urgency = Urgency.IMPORTANT if share >= 50 else Urgency.NOTE if share >= 5 else Urgency.INFO
        yield Finding(urgency, f"{duration(lost_s)} ({share:.1f} %) could not be analysed")


# Within one urgency, findings keep this order.
RULES: tuple[Callable[[Analysis], Iterator[Finding]], ...] = (
    ventricular_tachycardia,
    pause,
    atrial_fibrillation,
    supraventricular_runs,
    idioventricular_rhythm,
    ventricular_ectopy,
    couplets,
    r_on_t,
    supraventricular_ectopy,
    episodes,
    mean_rate,
    readable,
    doubt,
)


def _ectopy(analysis: Analysis, letter: BeatClass, origin: str) -> Iterator[Finding]:
    ectopic = analysis.beats.label == letter
    count = int(ectopic.sum())
    if not count:
        return
    share = 100 * count / len(ectopic)
    urgency = Urgency.IMPORTANT if share > VERY_FREQUENT_PCT else Urgency(int(share >= FREQUENT_PCT))
    told = f"{_count(count, 'beat')} ({share:.1f} %)"
    if analysis.analysable_s > SHORT_S:
        word = ("Rare", "Frequent", "Very frequent")[urgency]
        text = f"{word} {origin} ectopy: {told}, {3600 * count / analysis.analysable_s:,.0f} an hour"
    else:
        text = f"{origin.capitalize()} ectopy: {told}"
    n_unsure = int((ectopic & ~analysis.beats.confident).sum())
    of_them = f", {n_unsure:,} of them uncertain" if 0 < n_unsure < count else ", uncertain"
    yield Finding(urgency, text + (of_them if n_unsure else ""), _example(analysis, ectopic))


def unsure(event: Event, analysis: Analysis) -> bool:
    """Tell whether the classifier abstains on half of the beats of an event, or more."""
    beats = analysis.beats
    return float(beats.confident[beats_of(event, beats.time_s)].mean()) <= 0.5


def _doubted(events: Sequence[Event], analysis: Analysis) -> str:
    """Say how many of some events the classifier is unsure of; nothing where it is sure of all."""
    count = sum(unsure(event, analysis) for event in events)
    if count == len(events):
        return ", uncertain" if count == 1 else ", all uncertain"
    return f", {count:,} of them uncertain" if count else ""


def _middle(analysis: Analysis) -> Event:
    """Give the middle of a recording, to show what was recorded."""
    middle_s = analysis.duration_s / 2
    return Event("signal", middle_s, middle_s, 0, float("nan"))


def _example(analysis: Analysis, ectopic: Mask) -> Event:
    """Choose the middle one of the beats that stand alone and are sure, if there are such."""
    alone = ectopic & ~np.append(False, ectopic[:-1]) & ~np.append(ectopic[1:], False)
    sure = alone & analysis.beats.confident
    best = next(mask for mask in (sure, alone, ectopic) if mask.any())
    which = np.flatnonzero(best)
    time_s = float(analysis.beats.time_s[which[len(which) // 2]])
    return Event(str(analysis.beats.label[which[0]]), time_s, time_s, 1, float("nan"))


def _long(runs: Sequence[Event]) -> Event:
    return max(runs, key=lambda run: run.n_beats)


def _runs(runs: Sequence[Event]) -> str:
    longest, fastest = _long(runs), max(runs, key=lambda run: run.rate_bpm)
    lasting = f" ({duration(seconds(longest))})" if seconds(longest) >= SUSTAINED_S else ""
    if len(runs) == 1:
        name = "1 triplet" if longest.n_beats == RUN_BEATS else f"1 run of {longest.n_beats} beats{lasting}"
        return f"{name} at {elapsed(longest.onset_s)}, {longest.rate_bpm:.0f} bpm"
    n_triplets = sum(run.n_beats == RUN_BEATS for run in runs)
    triplets = f" ({_count(n_triplets, 'triplet')})" if n_triplets else ""
    return (
        f"{_count(len(runs), 'run')}{triplets}, "
        f"longest {longest.n_beats} beats{lasting} at {elapsed(longest.onset_s)}, "
        f"fastest {fastest.rate_bpm:.0f} bpm at {elapsed(fastest.onset_s)}"
    )


def _rate_bpm(events: Sequence[Event]) -> float:
    intervals = sum(event.n_beats - 1 for event in events)
    return 60 * intervals / sum(map(seconds, events))


def _lasting(event: Event) -> str:
    return f"{duration(seconds(event))} at {elapsed(event.onset_s)}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
