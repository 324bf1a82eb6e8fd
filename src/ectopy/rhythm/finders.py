"""The rules of rhythm: which beats make a run, a couplet, a pattern, a pause or an episode.

A rule is a mask over the beats and its runs. Each finder takes the :class:`RhythmContext` of a recording and
returns half-open [start, stop) spans of beats, [k, 2]. The registry in :mod:`ectopy.rhythm.kinds` names them.

Conventions are those of Holter reading. In couplets, runs and patterns, ventricular means V or F, as in the
runs of ANSI/AAMI EC57. A count of VEB is one of V alone, as in the beat table of EC57. So V + F = singles
+ 2 x couplets + beats in runs, see :func:`count_groups`.

A missing RR interval ends every couplet, run and pattern. So does one longer than CONSECUTIVE_S, whatever the
reader calls a pause.
"""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ectopy.criteria import Criteria
from ectopy.ecg import BeatClass, Beats, Mask, true_intervals
from ectopy.rhythm.heart_rate import Seconds, mean_bpm
from ectopy.rhythm.limits import CONSECUTIVE_S, RATE_INTERVALS, RUN_BEATS
from ectopy.rhythm.r_on_t import may_fall_on_t

Spans = NDArray[np.intp]


class RhythmContext(NamedTuple):
    """What finders need to know of a recording.

    ``rr_s`` are the RR intervals in seconds that rules may use, [n], and ``rate_bpm`` the heart rate at each
    beat, [n]. ``af``, ``flutter`` and ``paced`` are the spans of beats in atrial fibrillation, in atrial
    flutter and in paced rhythm. They are found before the labels are final. ``duration_s`` is the length of
    the recording in seconds, and ``criteria`` are those of the reader.
    """

    beats: Beats
    rr_s: Seconds
    rate_bpm: Seconds
    af: Spans
    flutter: Spans
    paced: Spans
    duration_s: float
    criteria: Criteria


def ventricular(beats: Beats) -> Mask:
    """Return which beats begin in the ventricles, wholly or in part: V and F."""
    return np.asarray((beats.label == BeatClass.VEB) | (beats.label == BeatClass.FUSION))


def supraventricular(beats: Beats) -> Mask:
    """Return which beats are premature beats from above the ventricles: S."""
    return np.asarray(beats.label == BeatClass.SVEB)


def is_consecutive(rr_s: Seconds) -> Mask:
    """Return which beats follow the beat before: the interval is known and not too long."""
    return rr_s <= CONSECUTIVE_S  # False for NaN


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
    length = _n_beats(spans)
    in_runs = length >= RUN_BEATS
    counts = ((length == 1).sum(), (length == 2).sum(), (length == RUN_BEATS).sum())
    return EctopyCounts(*map(int, (*counts, in_runs.sum(), length[in_runs].sum())))


def atrial_fibrillation(context: RhythmContext) -> Spans:
    """Return the episodes of atrial fibrillation, which were found before the labels were final."""
    return context.af


def atrial_flutter(context: RhythmContext) -> Spans:
    """Return the episodes of atrial flutter, which were found before the labels were final."""
    return context.flutter


def paced_rhythm(context: RhythmContext) -> Spans:
    """Return the intervals of paced rhythm, which were found before the labels were final."""
    return context.paced


def ventricular_couplets(context: RhythmContext) -> Spans:
    """Find two ventricular beats in a row, no more and no fewer."""
    return _pairs(runs(ventricular(context.beats), context.rr_s))


def supraventricular_couplets(context: RhythmContext) -> Spans:
    """Find two supraventricular ectopic beats in a row, no more and no fewer."""
    return _pairs(runs(supraventricular(context.beats), context.rr_s))


def ventricular_tachycardia(context: RhythmContext) -> Spans:
    """Find ``vt_beats`` or more ventricular beats in a row above ``vt_bpm``."""
    spans = _fast_ventricular_runs(context)
    return spans[_n_beats(spans) >= context.criteria.vt_beats]


def short_ventricular_runs(context: RhythmContext) -> Spans:
    """Find runs of ventricular beats above ``vt_bpm`` that are too short for ventricular tachycardia."""
    spans = _fast_ventricular_runs(context)
    return spans[_n_beats(spans) < context.criteria.vt_beats]


def idioventricular_rhythm(context: RhythmContext) -> Spans:
    """Find three or more ventricular beats in a row at ``vt_bpm`` or less."""
    spans = long_runs(ventricular(context.beats), context.rr_s)
    return spans[mean_bpm(context.beats, spans) <= context.criteria.vt_bpm]


def supraventricular_runs(context: RhythmContext) -> Spans:
    """Find ``sv_run_beats`` or more S in a row above ``sv_run_bpm``; other runs of S are no event."""
    spans, criteria = long_runs(supraventricular(context.beats), context.rr_s), context.criteria
    fast = mean_bpm(context.beats, spans) > criteria.sv_run_bpm
    return spans[fast & (_n_beats(spans) >= criteria.sv_run_beats)]


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
    """Find RR intervals longer than ``pause_s``, from beat to beat."""
    beats, rr_s, criteria = context.beats, context.rr_s, context.criteria
    pause = rr_s > criteria.pause_s  # False for NaN
    if not criteria.pauses_beside_ectopic_beats:
        normal = beats.label == BeatClass.NORMAL
        # A standstill is one whatever precedes it.
        pause &= (normal & np.append(False, normal)[: len(beats)]) | (rr_s >= criteria.no_beat_s)
    last = np.flatnonzero(pause)
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
    """Find episodes of a heart rate below ``bradycardia_bpm``."""
    criteria = context.criteria
    return _episodes(context, context.rate_bpm < criteria.bradycardia_bpm, criteria.bradycardia_s)


def tachycardia(context: RhythmContext) -> Spans:
    """Find episodes of a heart rate above ``tachycardia_bpm``, whatever its origin."""
    criteria = context.criteria
    return _episodes(context, context.rate_bpm > criteria.tachycardia_bpm, criteria.tachycardia_s)


def shortest_episode_s(wanted_s: float, duration_s: float) -> float:
    """Return how long an episode must last: in a short recording, half of it is enough.

    Parameters
    ----------
    wanted_s
        The length that the criteria ask for, in seconds.
    duration_s
        Length of the recording in seconds.

    Returns
    -------
    Seconds.
    """
    return min(wanted_s, duration_s / 2)


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
    return spans[_n_beats(spans) >= RUN_BEATS]


def _fast_ventricular_runs(context: RhythmContext) -> Spans:
    spans = long_runs(ventricular(context.beats), context.rr_s)
    return spans[mean_bpm(context.beats, spans) > context.criteria.vt_bpm]


def _pairs(spans: Spans) -> Spans:
    return np.asarray(spans[_n_beats(spans) == 2])


def _n_beats(spans: Spans) -> NDArray[np.intp]:
    return np.asarray(np.diff(spans)[:, 0])


def _pattern(context: RhythmContext, ectopic: Mask, *, period: int) -> Spans:
    """Find ``pattern_cycles`` cycles or more; in each, only the last of ``period`` beats is ectopic."""
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
    chains = chains[_n_beats(chains) >= context.criteria.pattern_cycles - 1]
    return np.asarray(np.column_stack((first[chains[:, 0]], first[chains[:, 1]] + period)), dtype=np.intp)


def _episodes(context: RhythmContext, beyond: Mask, wanted_s: float) -> Spans:
    """Find unions of the windows of ``rate_bpm`` that are beyond a limit, where they last long enough."""
    # A window that ends at beat i holds the intervals i - 7 ... i, hence the beats i - 8 ... i.
    ahead = sliding_window_view(np.append(beyond, np.zeros(RATE_INTERVALS, dtype=bool)), RATE_INTERVALS)
    spans = true_intervals(np.asarray(ahead.any(axis=1))[:-1]) - (1, 0)
    time_s = context.beats.time_s
    lasting = time_s[spans[:, 1] - 1] - time_s[spans[:, 0]] >= shortest_episode_s(
        wanted_s, context.duration_s
    )
    return np.asarray(spans[lasting], dtype=np.intp)
