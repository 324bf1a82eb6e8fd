"""From classified beats to final labels and events, in one direction.

1. RR intervals that rules may use (:mod:`ectopy.rhythm.heart_rate`), and paced beats, which have no other
   class (:mod:`ectopy.rhythm.pacing`).
2. Sinus, supraventricular or ventricular tachycardia (:mod:`ectopy.rhythm.tachycardia`). In a rhythm interval
   of VT, the fast beats are ventricular and not supraventricular.
3. Atrial fibrillation, from RR intervals, the ventricular beats and the morphology
   (:mod:`ectopy.rhythm.atrial_fibrillation`). Where its waves are regular, it is flutter
   (:mod:`ectopy.rhythm.atrial_flutter`).
4. Final labels: in either no beat is supraventricular ectopic, and elsewhere none that is less
   premature than the reader asks for (:mod:`ectopy.rhythm.prematurity`).
5. Every other event, once, from the final labels (:mod:`ectopy.rhythm.kinds`).
6. The events of rhythm intervals, in which there may be no beats (:mod:`ectopy.rhythm.rhythm_events`).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ectopy.beats.windows import BeatWindows, Floats
from ectopy.criteria import DEFAULT_CRITERIA, Criteria
from ectopy.ecg import CLASSES, BeatClass, Beats, Event, Mask, Samples, is_inside, merge_intervals
from ectopy.rhythm.atrial_fibrillation import (
    STRIP_S,
    extend_over_runs,
    find_atrial_fibrillation,
    find_fibrillating_strip,
)
from ectopy.rhythm.atrial_flutter import find_atrial_flutter
from ectopy.rhythm.finders import (
    RhythmContext,
    Spans,
    long_runs,
    shortest_episode_s,
    supraventricular,
    ventricular,
)
from ectopy.rhythm.heart_rate import Seconds, mean_bpm, rate_bpm, rr_intervals_s
from ectopy.rhythm.kinds import KINDS, EventKind
from ectopy.rhythm.limits import CERTAIN_PROBABILITY
from ectopy.rhythm.pacing import find_pacing, name_paced_beats, without_paced_vt
from ectopy.rhythm.prematurity import keep_premature_sveb
from ectopy.rhythm.rhythm_events import (
    add_rhythm_events,
    spans_of,
    without_beats_in_asystole,
    without_unreadable,
)
from ectopy.rhythm.rhythm_intervals import Rhythm, RhythmInterval
from ectopy.rhythm.tachycardia import exchange_classes, name_wide_runs, settle_tachycardia

NOTHING_UNREADABLE: Samples = np.empty((0, 2), dtype=np.int64)
_CUT_S = 0.1  # a beat this close to an end of the recording is cut off: too little of it to be called ectopic
NO_SPANS: Spans = np.empty((0, 2), dtype=np.intp)


class RhythmAnalysis(NamedTuple):
    """Beats with final labels, the RR intervals in seconds that rules use [n], and events by onset.

    ``artefact`` are half-open [start, stop) intervals of artefact in samples, [k, 2].
    """

    beats: Beats
    rr_s: Seconds
    events: tuple[Event, ...]
    artefact: Samples


def analyse_rhythm(  # noqa: PLR0913 - the beats, and what signal and windows say of them
    beats: Beats,
    *,
    duration_s: float,
    unreadable: Samples,
    low_quality: Mask | None = None,
    af_penalty: Floats | None = None,
    windows: BeatWindows | None = None,
    intervals: Sequence[RhythmInterval] = (),
    spikes: Samples | None = None,
    criteria: Criteria = DEFAULT_CRITERIA,
    keep_labels: bool = False,
) -> RhythmAnalysis:
    """Find atrial fibrillation, settle the labels, then find every event once.

    Parameters
    ----------
    beats
        Classified beats in order of time, [n].
    duration_s
        Length of the recording in seconds.
    unreadable
        Half-open [start, stop) intervals in samples in which no lead could be read, int64 [k, 2].
    low_quality
        True where a beat lies in noise, [n]; see :func:`ectopy.rhythm.heart_rate.rr_intervals_s`.
    af_penalty
        What the morphology says against atrial fibrillation, [n]; without it, RR intervals alone decide. See
        :func:`ectopy.rhythm.atrial_fibrillation.af_penalty_from_morphology`.
    windows
        The windows of the beats. They show whether a tachycardia has the usual QRS, and whether fibrillation
        is flutter; without them, it has and it is not.
    intervals
        The rhythm intervals; without them, the beats decide everywhere.
    spikes
        Pacing spikes in samples, in order, [m]; without them, no beat is paced.
    criteria
        The criteria of the reader.
    keep_labels
        Whether the labels are final already: then the events are found from them as they are.

    Returns
    -------
    Beats with their final labels, RR intervals, events and artefact.
    """
    given = beats if keep_labels else None
    cut = np.minimum(beats.time_s, np.abs(duration_s - beats.time_s)) < _CUT_S
    for ectopic in (BeatClass.SVEB, BeatClass.VEB):
        beats = exchange_classes(beats, cut & (beats.label == ectopic), BeatClass.NORMAL, ectopic)
    pacing = find_pacing(beats, spikes, windows, duration_s=duration_s)
    clear = np.ones(len(beats), dtype=bool) if low_quality is None else ~low_quality
    beats = name_paced_beats(beats, pacing.beats, clear)
    intervals = without_unreadable(intervals, unreadable / beats.fs)
    intervals = without_beats_in_asystole(intervals, beats.time_s[clear])
    intervals = without_paced_vt(intervals, beats, pacing.beats)
    fibrillation, artefact = (spans_of(intervals, name, beats.fs) for name in (Rhythm.VF, Rhythm.ARTEFACT))
    if len(fibrillation) or len(artefact):
        in_artefact = is_inside(beats.sample, artefact)
        confident = beats.confident & ~in_artefact & ~is_inside(beats.sample, fibrillation)
        label = np.where(in_artefact & (beats.label != BeatClass.NORMAL), BeatClass.UNKNOWN, beats.label)
        beats = replace(beats, label=label, confident=confident)
        unreadable = merge_intervals(np.concatenate((unreadable, fibrillation)))
        low_quality = in_artefact if low_quality is None else low_quality | in_artefact
    rr_s = rr_intervals_s(beats, unreadable, low_quality)
    beats = settle_tachycardia(beats, rr_s)
    if windows is not None:
        beats = name_wide_runs(beats, rr_s, windows)
    in_vt = is_inside(beats.sample, spans_of(intervals, Rhythm.VT, beats.fs))
    beats = exchange_classes(beats, in_vt & supraventricular(beats), BeatClass.SVEB, BeatClass.VEB)
    af = flutter = NO_SPANS
    if criteria.detect_af:
        not_conducted = ventricular(beats) | pacing.beats | in_vt
        af, flutter = _find_af(beats, rr_s, not_conducted, af_penalty, windows, duration_s, criteria.af_s)
    atrial = np.concatenate((af, flutter))
    beats = keep_premature_sveb(suppress_sveb_in_af(beats, atrial), rr_s, criteria.sv_prematurity_pct)
    if duration_s <= STRIP_S:
        beats = without_doubtful_veb(beats, rr_s, clear)
    if given is not None:
        beats = given
    events = find_events(
        beats,
        rr_s,
        duration_s=duration_s,
        unreadable=unreadable,
        af=af,
        flutter=flutter,
        paced=pacing.spans,
        criteria=criteria,
    )
    in_order = _in_order(add_rhythm_events(events, intervals, beats, criteria))
    return RhythmAnalysis(beats, rr_s, in_order, artefact)


def _find_af(  # noqa: PLR0913, PLR0917 - the beats, and what signal and windows say of them
    beats: Beats,
    rr_s: Seconds,
    not_conducted: Mask,
    af_penalty: Floats | None,
    windows: BeatWindows | None,
    duration_s: float,
    af_s: float,
) -> tuple[Spans, Spans]:
    """Find the spans of beats in atrial fibrillation, and in flutter with a changing block."""
    early, time_s, shortest_s = supraventricular(beats), beats.time_s, shortest_episode_s(af_s, duration_s)
    penalty = np.zeros(len(beats), dtype=np.float32) if af_penalty is None else af_penalty
    spans = find_atrial_fibrillation(
        time_s, rr_s, not_conducted, early, af_penalty=penalty, shortest_s=shortest_s
    )
    spans = extend_over_runs(spans, long_runs(early, rr_s), time_s)
    if windows is None:
        return spans, NO_SPANS
    if duration_s <= STRIP_S and not len(spans):
        spans = find_fibrillating_strip(time_s, rr_s, not_conducted, early, windows)
    return find_atrial_flutter(spans, time_s, windows, not_conducted, shortest_s=shortest_s)


def find_events(  # noqa: PLR0913 - the beats, and what surrounds them
    beats: Beats,
    rr_s: Seconds,
    *,
    duration_s: float,
    unreadable: Samples = NOTHING_UNREADABLE,
    af: Spans | Sequence[Sequence[int]] = (),
    flutter: Spans | Sequence[Sequence[int]] = (),
    paced: Spans | Sequence[Sequence[int]] = (),
    criteria: Criteria = DEFAULT_CRITERIA,
) -> tuple[Event, ...]:
    """Find every event of :data:`ectopy.rhythm.kinds.KINDS`; events may overlap.

    Parameters
    ----------
    beats
        Beats with final labels, in order of time, [n].
    rr_s
        RR intervals in seconds that end at each beat, NaN where unknown, [n].
    duration_s
        Length of the recording in seconds.
    unreadable
        As for :func:`analyse_rhythm`.
    af, flutter, paced
        Half-open [start, stop) spans of beats in atrial fibrillation, in atrial flutter and in paced rhythm,
        [k, 2].
    criteria
        The criteria of the reader.

    Returns
    -------
    Events in order of onset. An event lasts from the R peak of its first beat to that of its last. A pause
    may also begin or end where the recording, or what is readable of it, does.

    Examples
    --------
    >>> import numpy as np
    >>> from ectopy import Beats
    >>> label = np.array(list("NNVVNN"))
    >>> probability = np.ones((6, 4), dtype=np.float32) / 4
    >>> beats = Beats(np.arange(6) * 200, label, probability, np.ones(6, dtype=bool), fs=250.0)
    >>> (event,) = find_events(beats, beats.rr_s, duration_s=60)
    >>> event.kind, event.onset_s, event.n_beats
    ('veb_couplet', 1.6, 2)
    """
    fibrillating, fluttering, with_spikes = (
        np.asarray(some, dtype=np.intp).reshape(-1, 2) for some in (af, flutter, paced)
    )
    rate = rate_bpm(beats, rr_s)
    context = RhythmContext(beats, rr_s, rate, fibrillating, fluttering, with_spikes, duration_s, criteria)
    events = [event for kind in KINDS.values() for event in _events_of(kind, context)]
    events += _silences(beats, unreadable / beats.fs, duration_s, criteria.no_beat_s)
    return _in_order(events)


def _in_order(events: Sequence[Event]) -> tuple[Event, ...]:
    return tuple(sorted(events, key=lambda event: (event.onset_s, event.kind)))


def suppress_sveb_in_af(beats: Beats, af: Spans) -> Beats:
    """Return the beats with no supraventricular ectopic beat in atrial fibrillation or flutter.

    No beat is premature where no beat is on time. Annotators agree: in the atrial fibrillation of DS1, one
    beat in two hundred that is not ventricular is annotated as SVEB. The other classes keep their
    proportions. What is unclassifiable stays so.

    Parameters
    ----------
    beats
        Classified beats, [n].
    af
        Half-open [start, stop) spans of beats in atrial fibrillation, [k, 2].

    Returns
    -------
    Beats with new labels and probabilities inside the spans.
    """
    within = in_spans(af, len(beats)) & (beats.label != BeatClass.UNKNOWN)
    if not within.any():
        return beats
    label, probability = beats.label.copy(), beats.probability.copy()
    left = probability[within]
    left[:, CLASSES.index(BeatClass.SVEB)] = 0
    left[:, CLASSES.index(BeatClass.NORMAL)] += np.float32(1e-6)  # so that the sum is not 0
    left /= left.sum(axis=1, keepdims=True)
    label[within], probability[within] = np.array(CLASSES, dtype="U1")[left.argmax(axis=1)], left
    return replace(beats, label=label, probability=probability)


def without_doubtful_veb(beats: Beats, rr_s: Seconds, clear: Mask) -> Beats:
    """Return the beats of a strip with no single ventricular beat or couplet that is doubtful.

    A strip has too few beats to know the usual one, and the hand-held recorder moves. On strips of 30 s of
    DS1 and svdb, out of fold, this limit of the probability gives the highest VEB F1. A run does not change.

    Parameters
    ----------
    beats
        Classified beats, [n].
    rr_s
        RR intervals in seconds that end at each beat, NaN where unknown, [n].
    clear
        Which of them do not lie in noise, [n].

    Returns
    -------
    Beats in which a less probable one is normal, and one in noise is unclassifiable.
    """
    single = ventricular(beats)
    for start, stop in long_runs(single, rr_s).tolist():
        single[start:stop] = False
    single &= beats.label == BeatClass.VEB
    certain = beats.probability[:, CLASSES.index(BeatClass.VEB)] >= CERTAIN_PROBABILITY
    beats = exchange_classes(beats, single & ~certain, BeatClass.NORMAL, BeatClass.VEB)
    return replace(beats, label=np.where(single & certain & ~clear, BeatClass.UNKNOWN, beats.label))


def in_spans(spans: Spans, n_beats: int) -> Mask:
    """Return which of ``n_beats`` beats lie in half-open spans of beats.

    Parameters
    ----------
    spans
        Half-open [start, stop) pairs of beats, [k, 2].
    n_beats
        Number of beats of the recording.

    Returns
    -------
    A mask over the beats, [n_beats].
    """
    within = np.zeros(n_beats, dtype=bool)
    for start, stop in spans.tolist():
        within[start:stop] = True
    return within


def _events_of(kind: EventKind, context: RhythmContext) -> list[Event]:
    if kind.find is None:
        return []
    spans, time_s = kind.find(context), context.beats.time_s
    bpm = mean_bpm(context.beats, spans) if kind.has_rate else np.full(len(spans), np.nan)
    columns = (time_s[spans[:, 0]], time_s[spans[:, 1] - 1], np.diff(spans)[:, 0], bpm)
    return [Event(kind.name, *row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _silences(beats: Beats, unreadable_s: Seconds, duration_s: float, no_beat_s: float) -> list[Event]:
    """Find readable signal of ``no_beat_s`` or more without a beat, which no RR interval measures.

    It begins or ends with the recording or with an unreadable interval: a heart that stops or fibrillates
    until the end of the recording has no next beat. Without any beat, the recording is not analysable.
    """
    time_s = beats.time_s
    if not len(time_s):
        return []
    begins, ends = np.append(0.0, unreadable_s[:, 1]), np.append(unreadable_s[:, 0], duration_s)
    first, after = np.searchsorted(time_s, begins), np.searchsorted(time_s, ends)
    beat_at_end = np.searchsorted(time_s, ends, side="right") > after
    until = np.where(first < after, time_s[np.minimum(first, len(time_s) - 1)], ends)
    silences = [begins, until, (first < after) | beat_at_end]
    last = (first < after) & ~beat_at_end
    silences_behind = [time_s[after[last] - 1], ends[last], np.ones(last.sum(), dtype=bool)]
    columns = [np.concatenate(pair) for pair in zip(silences, silences_behind, strict=True)]
    silent = columns[1] - columns[0] >= no_beat_s
    rows = zip(*(column[silent].tolist() for column in columns), strict=True)
    return [Event("pause", start, end, int(n_beats), float("nan")) for start, end, n_beats in rows]
