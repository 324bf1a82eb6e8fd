"""Describe events in findings: one ranked sentence for each kind of event.

Each public function that returns :data:`Findings` describes one kind of event. :mod:`ectopy.rhythm.kinds`
names it as ``describe`` of that kind. Its parameters are always ``events``, all events of that kind and at
least one, in order of onset, and ``analysis``, the analysis of their recording. The findings that describe no
event (burden of ectopic beats, mean rate, unreadable time) are in :mod:`ectopy.rhythm.findings`.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from ectopy.ecg import CLASSES, Analysis, BeatClass, Event, Mask, once
from ectopy.rhythm.limits import (
    CERTAIN_PROBABILITY,
    JUDGED_BEATS,
    LOW_CONFIDENCE_SHARE,
    MOST_PCT,
    RUN_BEATS,
    SHORT_S,
    SHORT_VT_S,
)


class Urgency(IntEnum):
    """Urgency of a finding: how soon a reader should look at it."""

    INFO = 0
    NOTE = 1
    IMPORTANT = 2
    URGENT = 3


@dataclass(frozen=True)
class Finding:
    """One sentence without a semicolon, and the event that shows it best.

    ``event`` is one of the events. Or its kind is ``V`` or ``S`` for a single beat, or ``signal`` for a piece
    of signal.
    """

    urgency: Urgency
    text: str
    event: Event | None = None

    def __str__(self) -> str:
        return f"{self.urgency.name.lower()}: {self.text}"


Events = Sequence[Event]
Findings = Iterator[Finding]


def ventricular_fibrillation(events: Events, analysis: Analysis) -> Findings:  # noqa: ARG001  # prose: ok
    """Describe ventricular flutter or fibrillation: always urgent."""
    return _lethal("Ventricular flutter or fibrillation", events)


def asystole(events: Events, analysis: Analysis) -> Findings:  # prose: ok
    """Describe asystole, and standstill with P waves: always urgent."""
    with_p = [has_p_waves(event, analysis) for event in events]
    for name, wanted in (("Asystole", False), ("Ventricular standstill with P waves", True)):
        if some := [event for event, has_some in zip(events, with_p, strict=True) if has_some == wanted]:
            yield from _lethal(name, some)


def ventricular_tachycardia(events: Events, analysis: Analysis) -> Findings:  # prose: ok
    """Describe VT: urgent if sustained or of ``urgent_vt_beats`` beats, a note if short and uncertain."""
    criteria = analysis.criteria
    sustained = [run for run in events if run.duration_s >= criteria.sustained_s]
    if sustained:
        text = f"Sustained ventricular tachycardia: {_runs(sustained, analysis)}"
        yield Finding(Urgency.URGENT, text, _longest_run(sustained))
    if shorter := [run for run in events if run.duration_s < criteria.sustained_s]:
        longest = _longest_run(shorter)
        certain = is_certain(analysis)
        urgency = max(_urgency_of_vt(run, analysis, certain) for run in shorter)
        text = f"Non-sustained ventricular tachycardia: {_runs(shorter, analysis)}"
        yield Finding(urgency, text, longest)


def pauses(events: Events, analysis: Analysis) -> Findings:  # prose: ok
    """Describe pauses: urgent from ``urgent_pause_s`` on, less so if the signal may be lost.

    That is so where the beats on both sides lie in noise. A standstill stays important even then.
    """
    clear, criteria = clear_pauses(events, analysis), analysis.criteria
    longest, longest_clear = max(events, key=_duration_s), max(clear, key=_duration_s, default=None)
    standstills = [(longest_clear, Urgency.URGENT, "")]
    if longest not in clear:
        standstills.append((longest, Urgency.IMPORTANT, ", in noise"))
    for pause, urgency, where in standstills:
        if pause and pause.duration_s >= criteria.no_beat_s:
            cause = "asystole, ventricular fibrillation or lost signal"
            if has_p_waves(pause, analysis):
                cause = "ventricular standstill with P waves"
            text = f"No beat for {_lasting(pause)}{where}: {cause}"
            yield Finding(urgency, text, pause)
    is_urgent = longest_clear and longest_clear.duration_s >= criteria.urgent_pause_s
    text = f"{count(len(events), 'pause')} longer than {criteria.pause_s:g} s, longest {_lasting(longest)}"
    if n_noisy := len(events) - len(clear):
        text += ", in noise" if not clear else f", {n_noisy:,} of them in noise"
    shown = longest_clear if is_urgent else longest
    yield Finding(Urgency.URGENT if is_urgent else Urgency.NOTE, text, shown)


def atrial_fibrillation(events: Events, analysis: Analysis) -> Findings:  # prose: ok
    """Describe AF by its share, longest episode and rate: urgent if one is above ``urgent_af_bpm``."""
    return _atrial("Atrial fibrillation", events, analysis)


def atrial_flutter(events: Events, analysis: Analysis) -> Findings:  # prose: ok
    """Describe atrial flutter like fibrillation."""
    return _atrial("Atrial flutter", events, analysis)


def _atrial(title: str, events: Events, analysis: Analysis) -> Findings:
    longest, fastest = max(events, key=_duration_s), max(events, key=_rate_bpm)
    is_long = longest.duration_s >= analysis.criteria.af_s
    urgent = is_long and fastest.rate_bpm > analysis.criteria.urgent_af_bpm
    share = burden_pct(events, analysis, 0, analysis.duration_s)
    intervals = sum(event.n_beats - 1 for event in events)
    rate = f"mean {whole_bpm(60 * intervals / sum(map(_duration_s, events)))} bpm"
    if len(events) > 1:
        rate += f", fastest {whole_bpm(fastest.rate_bpm)} bpm at {elapsed(fastest.onset_s)}"
    if not is_long:
        rate += f", shorter than {analysis.criteria.af_s:g} s (record longer to confirm)"
    yield Finding(
        Urgency.URGENT if urgent else Urgency.IMPORTANT,
        f"{title}: {count(len(events), 'episode')}, {share:.1f} % of the time analysed, "
        f"longest {_lasting(longest)}, {rate}",
        fastest if urgent else longest,
    )


def supraventricular_runs(events: Events, analysis: Analysis) -> Findings:  # prose: ok
    """Describe supraventricular runs: urgent when longer than ``sustained_s``."""
    sustained_s = analysis.criteria.sustained_s
    sustained = [run for run in events if run.duration_s > sustained_s]
    if sustained:
        text = f"Sustained supraventricular tachycardia: {_runs(sustained, analysis)}"
        yield Finding(Urgency.URGENT, text, _longest_run(sustained))
    if shorter := [run for run in events if run.duration_s <= sustained_s]:
        text = f"Supraventricular runs: {_runs(shorter, analysis)}"
        yield Finding(Urgency.NOTE, text, _longest_run(shorter))


def idioventricular_rhythm(events: Events, analysis: Analysis) -> Findings:  # prose: ok
    """Describe slow ventricular runs: a note where the classifier abstains on each of them."""
    uncertain = all(is_uncertain(run, analysis) for run in events)
    urgency = Urgency.NOTE if uncertain else Urgency.IMPORTANT
    text = f"Idioventricular rhythm: {_runs(events, analysis)}"
    yield Finding(urgency, text, _longest_run(events))


def short_ventricular_runs(events: Events, analysis: Analysis) -> Findings:  # prose: ok
    """Describe fast ventricular runs that the reader does not call tachycardia: a note."""
    yield Finding(Urgency.NOTE, f"Short ventricular runs: {_runs(events, analysis)}", _longest_run(events))


def ventricular_couplets(events: Events, analysis: Analysis) -> Findings:  # prose: ok
    """Describe ventricular couplets: a note."""
    return _couplets("ventricular couplet", events, analysis)


def supraventricular_couplets(events: Events, analysis: Analysis) -> Findings:  # prose: ok
    """Describe supraventricular couplets: a note."""
    return _couplets("supraventricular couplet", events, analysis)


def r_on_t(events: Events, analysis: Analysis) -> Findings:  # prose: ok
    """Describe possible R-on-T: never more than a note, because it only shows where to look."""
    earliest = min(events, key=_duration_s)
    share = 100 * len(events) / int((analysis.beats.label == BeatClass.VEB).sum())
    beats = f"{count(len(events), 'ventricular beat')} ({share:.1f} %)"
    coupling = f"shortest coupling {duration(earliest.duration_s)} (timing only)"
    yield Finding(Urgency.NOTE, f"Possible R-on-T: {beats}, {coupling}", earliest)


def bradycardia(events: Events, analysis: Analysis) -> Findings:  # prose: ok
    """Describe slow rates: important if they take most of a long recording, else a note."""
    return _rates("Bradycardia", events, analysis, f"slowest {whole_bpm(min(map(_rate_bpm, events)))} bpm")


def tachycardia(events: Events, analysis: Analysis) -> Findings:  # prose: ok
    """Describe fast rates: important if they take most of a long recording, else a note."""
    return _rates("Tachycardia", events, analysis, f"fastest {whole_bpm(max(map(_rate_bpm, events)))} bpm")


def _rates(title: str, events: Events, analysis: Analysis, extreme: str) -> Findings:
    longest, total_s = max(events, key=_duration_s), sum(map(_duration_s, events))
    share = burden_pct(events, analysis, 0, analysis.duration_s)
    is_most = share >= MOST_PCT and analysis.duration_s > SHORT_S
    text = f"{title}: {count(len(events), 'episode')}, {duration(total_s)} in all"
    if is_most:
        text += f" ({share:.1f} % of the time analysed)"
    text += f", longest {_lasting(longest)}, {extreme}"
    yield Finding(Urgency.IMPORTANT if is_most else Urgency.NOTE, text, longest)


def episodes(title: str, events: Events) -> Findings:
    """Describe events of a kind without a sentence of its own, as a note: how many, how long, the longest.

    Parameters
    ----------
    title
        Title of the kind.
    events
        All events of that kind, at least one.

    Returns
    -------
    One note.
    """
    longest = max(events, key=_duration_s)
    total = duration(sum(map(_duration_s, events)))
    text = f"{title}: {count(len(events), 'episode')}, {total} in all, longest {_lasting(longest)}"
    yield Finding(Urgency.NOTE, text, longest)


def confidence_is_known(analysis: Analysis) -> bool:
    """Return whether the classifier could judge its confidence: a recording of few beats leaves no choice."""
    return len(analysis.beats) >= JUDGED_BEATS or bool(analysis.beats.confident.any())


def is_uncertain(event: Event, analysis: Analysis) -> bool:
    """Return whether an event is uncertain: too many of its beats have low confidence, or too few have not.

    Parameters
    ----------
    event
        An event of the analysis.
    analysis
        The analysis, for its beats.

    Returns
    -------
    True where the event should be called uncertain.
    """
    beats = analysis.beats
    confident = beats.confident[beats.between(event.onset_s, event.offset_s)]
    if not len(confident):
        return False
    too_few = confident.sum() < min(event.n_beats, RUN_BEATS)
    return bool(too_few or (~confident).mean() >= LOW_CONFIDENCE_SHARE)


@once
def is_certain(analysis: Analysis) -> Mask:
    """Return which beats are certain enough to make a finding loud, [n].

    They do not lie in noise, and their class is probable. They need not be confident: in a recording of few
    beats none is.
    """
    beats, probable = analysis.beats, np.zeros(len(analysis.beats), dtype=bool)
    for column, letter in enumerate(CLASSES):
        probable |= (beats.label == letter) & (beats.probability[:, column] >= CERTAIN_PROBABILITY)
    return probable & ~analysis.in_noise


def clear_pauses(pauses: Events, analysis: Analysis) -> list[Event]:
    """Return the pauses in which the signal is not lost: not all beats at their ends lie in noise.

    Parameters
    ----------
    pauses
        Pauses of the analysis.
    analysis
        The analysis, for its beats.

    Returns
    -------
    The clear ones, among them those without a beat at either end.
    """
    beats, in_noise = analysis.beats, analysis.in_noise
    beside = [in_noise[beats.between(pause.onset_s, pause.offset_s)] for pause in pauses]
    return [pause for pause, noisy in zip(pauses, beside, strict=True) if not (len(noisy) and noisy.all())]


def has_p_waves(event: Event, analysis: Analysis) -> bool:
    """Return whether P waves go on in a standstill.

    Parameters
    ----------
    event
        An asystole or a pause of the analysis.
    analysis
        The analysis.

    Returns
    -------
    True if most of it is a standstill with P waves.
    """
    inside_s = np.clip(analysis.p_waves / analysis.fs, event.onset_s, event.offset_s)
    return bool(2 * np.diff(inside_s).sum() > event.duration_s)


def overlap_s(events: Events, start_s: float, stop_s: float) -> float:
    """Compute the time of events that lies in [start_s, stop_s).

    Parameters
    ----------
    events
        Events in order of time that do not overlap each other.
    start_s, stop_s
        The part of the recording, in seconds.

    Returns
    -------
    Seconds.
    """
    first = bisect_right(events, start_s, key=lambda event: event.offset_s)
    last = bisect_left(events, stop_s, key=lambda event: event.onset_s)
    inside = events[first:last]  # of thousands in two weeks
    spans = ((max(event.onset_s, start_s), min(event.offset_s, stop_s)) for event in inside)
    return sum((max(offset - onset, 0.0) for onset, offset in spans), start=0.0)


def burden_pct(events: Events, analysis: Analysis, start_s: float, stop_s: float) -> float:
    """Compute the share of the readable time in [start_s, stop_s) that events occupy.

    Parameters
    ----------
    events
        Events that do not overlap each other.
    analysis
        The analysis, for its readable time.
    start_s, stop_s
        The part of the recording, in seconds.

    Returns
    -------
    Percent; NaN where nothing was readable.
    """
    readable_s = analysis.readable_s(start_s, stop_s)
    spans = ((max(event.onset_s, start_s), min(event.offset_s, stop_s)) for event in events)
    taken_s = sum(analysis.readable_s(onset, offset) for onset, offset in spans if offset > onset)
    return 100 * taken_s / readable_s if readable_s else float("nan")


def elapsed(seconds: float) -> str:
    """Return the time since the start of the recording as h:mm:ss."""
    minutes, second = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"


def duration(seconds: float) -> str:
    """Return a duration in its two largest units."""
    if seconds < 59.95:
        return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours} h {minute} min" if hours else f"{minute} min {second} s"


def whole_bpm(bpm: float) -> str:
    """Return a heart rate as a whole number: that of its tenths, which the files hold, so that all agree."""
    return f"{math.floor(round(bpm, 1) + 0.5)}"


def count(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1.

    Parameters
    ----------
    number
        The number.
    noun
        The noun in the singular.

    Returns
    -------
    For example ``2 couplets``.
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _urgency_of_vt(run: Event, analysis: Analysis, certain: Mask) -> Urgency:
    """Return the urgency of a run that is not sustained.

    Noise looks like a few ventricular beats. A long run stays urgent: a classifier may well abstain on a
    tachycardia unlike its training records.
    """
    if run.n_beats >= analysis.criteria.urgent_vt_beats:
        return Urgency.URGENT
    certain = certain[analysis.beats.between(run.onset_s, run.offset_s)]
    doubtful = certain.sum() < RUN_BEATS or certain.mean() <= LOW_CONFIDENCE_SHARE
    return Urgency.NOTE if doubtful and run.duration_s < SHORT_VT_S else Urgency.IMPORTANT


def _lethal(name: str, events: Events) -> Findings:
    longest = max(events, key=_duration_s)
    text = f"{name}: {count(len(events), 'episode')}, longest {_lasting(longest)}"
    yield Finding(Urgency.URGENT, text, longest)


def _couplets(name: str, events: Events, analysis: Analysis) -> Findings:
    fastest = max(events, key=_rate_bpm)
    text = f"{count(len(events), name)}, shortest interval {_lasting(fastest)}"
    yield Finding(Urgency.NOTE, text + _uncertain(events, analysis), fastest)


def _uncertain(events: Events, analysis: Analysis) -> str:
    """Return how many events are uncertain, as the end of a sentence; "" where none is."""
    number = sum(is_uncertain(event, analysis) for event in events)
    if number == len(events):
        return ", uncertain" if number == 1 else ", all uncertain"
    return f", {number:,} of them uncertain" if number else ""


def _runs(runs: Events, analysis: Analysis) -> str:
    longest, fastest = _longest_run(runs), max(runs, key=_rate_bpm)
    is_sustained = longest.duration_s >= analysis.criteria.sustained_s
    lasting = f" ({duration(longest.duration_s)})" if is_sustained else ""
    if len(runs) == 1:
        name = "1 triplet" if longest.n_beats == RUN_BEATS else f"1 run of {longest.n_beats} beats{lasting}"
        text = f"{name} at {elapsed(longest.onset_s)}{_at_rate(longest)}"
    else:
        n_triplets = sum(run.n_beats == RUN_BEATS for run in runs)
        if n_triplets == len(runs):
            text = f"{n_triplets:,} triplets, the first at {elapsed(longest.onset_s)}"
        else:
            triplets = f" ({count(n_triplets, 'triplet')})" if n_triplets else ""
            longest_at = f"longest {longest.n_beats} beats{lasting} at {elapsed(longest.onset_s)}"
            text = f"{count(len(runs), 'run')}{triplets}, {longest_at}"
        if fastest.rate_bpm > 0:
            text += f", fastest {whole_bpm(fastest.rate_bpm)} bpm at {elapsed(fastest.onset_s)}"
    return text + _uncertain(runs, analysis)


def _at_rate(run: Event) -> str:
    """Return the rate as the end of a sentence; "" for a tachycardia that shows no beats to count."""
    return f", {whole_bpm(run.rate_bpm)} bpm" if run.rate_bpm > 0 else ""


def _longest_run(runs: Events) -> Event:
    return max(runs, key=lambda run: run.n_beats)


def _lasting(event: Event) -> str:
    return f"{duration(event.duration_s)} at {elapsed(event.onset_s)}"


def _duration_s(event: Event) -> float:
    return event.duration_s


def _rate_bpm(event: Event) -> float:
    """Return the rate, to compare events; 0 where there is none."""
    return event.rate_bpm if event.rate_bpm > 0 else 0.0
