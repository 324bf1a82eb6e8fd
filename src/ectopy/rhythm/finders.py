"""The rules of rhythm: which beats make a run, a couplet, a pattern, a pause or an episode.

A rule is a mask over the beats and its runs. Each finder takes the :class:`RhythmContext` of a recording and
returns half-open [start, stop) spans of beats, [k, 2]. The registry in :mod:`ectopy.rhythm.kinds` names them.

Conventions are those of Holter reading. In couplets, runs and patterns, ventricular means V or F, as in the
runs of ANSI/AAMI EC57. A count of VEB is one of V alone, as in the beat table of EC57. So V + F = singles
+ 2 x couplets + beats in runs, see :func:`count_groups`.

A missing RR interval ends every couplet, run and pattern. So does a pause: beats that are further apart than
2 s are not consecutive.
"""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ectopy.ecg import BeatClass, Beats, Mask, true_intervals
from ectopy.rhythm.heart_rate import Seconds, mean_bpm
from ectopy.rhythm.limits import BRADYCARDIA_BPM, CYCLES, FAST_BPM, PAUSE_S, RATE_INTERVALS, RUN_BEATS
from ectopy.rhythm.r_on_t import may_fall_on_t

Spans = NDArray[np.intp]


class RhythmContext(NamedTuple):
    """What finders need to know of a recording.

    ``rr_s`` are the RR intervals in seconds that rules may use, [n], and ``rate_bpm`` the heart rate at each
    beat, [n]. ``af`` are the spans of beats in atrial fibrillation, which is found before the labels are
    final. ``shortest_s`` is the length in seconds that makes an episode.
    """

    beats: Beats
    rr_s: Seconds
    rate_bpm: Seconds
    af: Spans
    shortest_s: float


def ventricular(beats: Beats) -> Mask:
    """Return which beats begin in the ventricles, wholly or in part: V and F."""
    return np.isin(beats.label, (BeatClass.VEB, BeatClass.FUSION))


def supraventricular(beats: Beats) -> Mask:
    """Return which beats are premature beats from above the ventricles: S."""
    return np.asarray(beats.label == BeatClass.SVEB)


def is_consecutive(rr_s: Seconds) -> Mask:
    """Return which beats follow the beat before: the interval is known and is not a pause."""
    return rr_s <= PAUSE_S  # False for NaN


def runs(mask: Mask, rr_s: Seconds) -> Spans:
    """Find the runs of True in a mask over beats, each cut where the beats are not consecutive.

    Parameters
    ----------
    mask
        True for the beats of interest, [n].
    rr_s
        RR intervals in seconds that end at each beat, [n].

    Returns
    -------
    Half-open [start, stop) pairs of beats, [k, 2].
    """
    linked = mask[1:] & mask[:-1] & is_consecutive(rr_s)[1:]
    start = np.flatnonzero(mask & ~np.append(False, linked)[: len(mask)])
    stop = np.flatnonzero(mask & ~np.append(linked, False)[: len(mask)]) + 1
    return np.column_stack((start, stop))


class EctopyCounts(NamedTuple):
    """Ectopic beats that stand alone, in pairs, in threes, in runs of three or more; beats in those runs."""

    singles: int
    couplets: int
    triplets: int
    runs: int
    run_beats: int


def count_groups(spans: Spans) -> EctopyCounts:
    """Count :func:`runs` of ectopic beats by their length; a triplet is a run of exactly three."""
    length = np.diff(spans)[:, 0]
    in_runs = length >= RUN_BEATS
    counts = ((length == 1).sum(), (length == 2).sum(), (length == RUN_BEATS).sum())
    return EctopyCounts(*map(int, (*counts, in_runs.sum(), length[in_runs].sum())))


def atrial_fibrillation(context: RhythmContext) -> Spans:
    """Return the episodes of atrial fibrillation, which were found before the labels were final."""
    return context.af


def ventricular_couplets(context: RhythmContext) -> Spans:
    """Find two ventricular beats in a row, no more and no fewer."""
    return _pairs(runs(ventricular(context.beats), context.rr_s))


def supraventricular_couplets(context: RhythmContext) -> Spans:
    """Find two supraventricular ectopic beats in a row, no more and no fewer."""
    return _pairs(runs(supraventricular(context.beats), context.rr_s))


def ventricular_tachycardia(context: RhythmContext) -> Spans:
    """Find three or more ventricular beats in a row above 100 bpm."""
    spans = long_runs(ventricular(context.beats), context.rr_s)
    return spans[mean_bpm(context.beats, spans) > FAST_BPM]


def idioventricular_rhythm(context: RhythmContext) -> Spans:
    """Find three or more ventricular beats in a row at 100 bpm or less."""
    spans = long_runs(ventricular(context.beats), context.rr_s)
    return spans[mean_bpm(context.beats, spans) <= FAST_BPM]


def supraventricular_runs(context: RhythmContext) -> Spans:
    """Find three or more S in a row above 100 bpm; slower ones are an atrial rhythm and no event."""
    spans = long_runs(supraventricular(context.beats), context.rr_s)
    return spans[mean_bpm(context.beats, spans) > FAST_BPM]


def ventricular_bigeminy(context: RhythmContext) -> Spans:
    """Find episodes in which every second beat is ventricular."""
    return _pattern(context, ventricular(context.beats), period=2)


def ventricular_trigeminy(context: RhythmContext) -> Spans:
    """Find episodes in which every third beat is ventricular."""
    return _pattern(context, ventricular(context.beats), period=3)


def supraventricular_bigeminy(context: RhythmContext) -> Spans:
    """Find episodes in which every second beat is supraventricular ectopic."""
    return _pattern(context, supraventricular(context.beats), period=2)


def pauses(context: RhythmContext) -> Spans:
    """Find RR intervals longer than PAUSE_S, from beat to beat."""
    last = np.flatnonzero(context.rr_s > PAUSE_S)
    return np.column_stack((last - 1, last + 1))


def r_on_t(context: RhythmContext) -> Spans:
    """Find V that may fall on the T wave of a normal or supraventricular beat, from that beat to V."""
    beats = context.beats
    conducted = np.isin(beats.label, (BeatClass.NORMAL, BeatClass.SVEB))
    # A fusion beat comes when the next beat was due, long after any T wave.
    early = may_fall_on_t(context.rr_s, context.rate_bpm, beats.label == BeatClass.VEB, conducted)
    last = np.flatnonzero(early)
    return np.column_stack((last - 1, last + 1))


def bradycardia(context: RhythmContext) -> Spans:
    """Find episodes of a heart rate below BRADYCARDIA_BPM."""
    return _episodes(context, context.rate_bpm < BRADYCARDIA_BPM)


def tachycardia(context: RhythmContext) -> Spans:
    """Find episodes of a heart rate above FAST_BPM, whatever its origin."""
    return _episodes(context, context.rate_bpm > FAST_BPM)


def long_runs(mask: Mask, rr_s: Seconds) -> Spans:
    """Find the :func:`runs` of RUN_BEATS beats or more.

    Parameters
    ----------
    mask
        True for the beats of interest, [n].
    rr_s
        RR intervals in seconds that end at each beat, [n].

    Returns
    -------
    Half-open [start, stop) pairs of beats, [k, 2].
    """
    spans = runs(mask, rr_s)
    return spans[np.diff(spans)[:, 0] >= RUN_BEATS]


def _pairs(spans: Spans) -> Spans:
    return np.asarray(spans[np.diff(spans)[:, 0] == 2])


def _pattern(context: RhythmContext, ectopic: Mask, *, period: int) -> Spans:
    """Find CYCLES cycles or more in which every ``period``-th beat alone is ectopic; a cycle ends ectopic."""
    beats, consecutive = context.beats, is_consecutive(context.rr_s)
    if len(beats) < period:
        return np.empty((0, 2), dtype=np.intp)
    regular = ~ectopic & np.isin(beats.label, (BeatClass.NORMAL, BeatClass.SVEB))
    cycle = np.append(np.ones(period - 1, dtype=bool), False)
    in_order = (sliding_window_view(regular, period) == cycle).all(axis=1) & ectopic[period - 1 :]
    unbroken = sliding_window_view(consecutive, period)[:, 1:].all(axis=1)
    first = np.flatnonzero(in_order & unbroken)
    linked = (np.diff(first) == period) & consecutive[first[1:]]
    chains = true_intervals(np.append(linked, False)[: len(first)])
    # A chain of k links joins k + 1 cycles.
    chains = chains[np.diff(chains)[:, 0] >= CYCLES - 1]
    return np.asarray(np.column_stack((first[chains[:, 0]], first[chains[:, 1]] + period)), dtype=np.intp)


def _episodes(context: RhythmContext, beyond: Mask) -> Spans:
    """Find unions of the windows of ``rate_bpm`` that are beyond a limit, where they last long enough."""
    # A window that ends at beat i holds the intervals i - 7 ... i, hence the beats i - 8 ... i.
    ahead = sliding_window_view(np.append(beyond, np.zeros(RATE_INTERVALS, dtype=bool)), RATE_INTERVALS)
    spans = true_intervals(np.asarray(ahead.any(axis=1))[:-1]) - (1, 0)
    time_s = context.beats.time_s
    lasting = time_s[spans[:, 1] - 1] - time_s[spans[:, 0]] >= context.shortest_s
    return np.asarray(spans[lasting], dtype=np.intp)
