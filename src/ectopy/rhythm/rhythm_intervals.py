"""Rhythm intervals as the rhythm network sees them, from its probabilities; they are not what is reported.

The beats and the rules of :mod:`ectopy.rhythm.events` turn them into events, and
:mod:`ectopy.rhythm.named_intervals` names the rhythm of every moment from these.

A rhythm lasts. So the probabilities of all ticks are decoded together by the algorithm of Viterbi, in which
it costs something to enter a rhythm.
"""

from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Mask, true_intervals
from ectopy.signal.waves import TICK_S


class Rhythm(StrEnum):
    """What a tick of signal can be."""

    ORGANISED = "organised"
    """There are beats, which decide on all else."""
    VT = "vt"
    VF = "vf"
    """Ventricular flutter or fibrillation."""
    ASYSTOLE = "asystole"
    ARTEFACT = "artefact"


RHYTHMS = tuple(Rhythm)
"""Order of the columns of the probabilities."""
ENTRY_COST = (3.0, 6.0, 6.0, 6.0, 3.0)
"""What it costs to enter each rhythm, in units of log probability."""
_FLOOR = 1e-4  # a lower probability is no stronger evidence
_SURE = 0.9
_HALF_USABLE = 0.5
_FASTER = 1.1  # a rate that exceeds the limit by less is no certain tachycardia
_MOSTLY = 0.75  # of the ticks of an interval; in VT some have the period of two beats or more


class RhythmInterval(NamedTuple):
    """An interval of one rhythm, in seconds."""

    rhythm: Rhythm
    start_s: float
    stop_s: float


def find_rhythm_intervals(
    probability: NDArray[np.float32], usable: NDArray[np.floating], duration_s: float
) -> tuple[RhythmInterval, ...]:
    """Find the rhythm intervals of a recording; together they cover it exactly once.

    Parameters
    ----------
    probability
        [n_ticks, len(RHYTHMS)], from a network.
    usable
        [n_ticks], the share of each tick in which a lead is usable. Less than half is artefact.
    duration_s
        Length of the recording in seconds.

    Returns
    -------
    The intervals in order of time; one for a recording without a whole tick.
    """
    rhythm = decode(probability)
    rhythm[usable < _HALF_USABLE] = RHYTHMS.index(Rhythm.ARTEFACT)
    if not len(rhythm):
        return (RhythmInterval(Rhythm.ORGANISED, 0.0, duration_s),)
    starts = np.append(0, np.flatnonzero(np.diff(rhythm)) + 1)
    edges_s = [*(float(TICK_S) * starts).tolist(), duration_s]
    return tuple(
        RhythmInterval(RHYTHMS[number], *edges)
        for number, edges in zip(rhythm[starts].tolist(), pairwise(edges_s), strict=True)
    )


def without_slow_vt(
    intervals: Sequence[RhythmInterval], period_s: NDArray[np.floating], limit_bpm: float
) -> tuple[RhythmInterval, ...]:
    """Return the rhythm intervals with VT called organised where its waves come too slowly for a tachycardia.

    Beats with an aberrant conduction are as wide as those of VT. Where they are not fast, the beats decide.
    The beats of VT may alternate, and then their waves come again after two. So half the period counts.

    Parameters
    ----------
    intervals
        The rhythm intervals of a recording.
    period_s
        [n_ticks], seconds after which the waves come again.
    limit_bpm
        The rate above which a ventricular rhythm is VT.

    Returns
    -------
    The intervals, which cover the recording as before.
    """
    slowest_s = 60 / (_FASTER * limit_bpm)

    def is_slow(interval: RhythmInterval) -> bool:
        ticks = slice(int(interval.start_s // TICK_S), max(int(interval.stop_s // TICK_S), 1))
        return bool(interval.rhythm == Rhythm.VT and np.mean(period_s[ticks] / 2 >= slowest_s) >= _MOSTLY)

    return tuple(
        interval._replace(rhythm=Rhythm.ORGANISED) if is_slow(interval) else interval
        for interval in intervals
    )


def decode(probability: NDArray[np.float32], entry_cost: Sequence[float] = ENTRY_COST) -> NDArray[np.intp]:
    """Find the most probable sequence of rhythms.

    Where the first rhythm is sure for so many ticks that leaving it would not pay, the sequence is cut. So a
    long recording in which nothing happens costs hardly any time.

    Parameters
    ----------
    probability
        [n_ticks, n_rhythms].
    entry_cost
        What it costs to enter each rhythm.

    Returns
    -------
    [n_ticks], indices of rhythms.
    """
    rhythm = np.zeros(len(probability), dtype=np.intp)
    # Each sure tick is worth as much. To leave the first rhythm and come back costs two entries at most.
    worth = np.log(_SURE / (1 - _SURE))
    n_sure = int(np.ceil((entry_cost[0] + max(entry_cost)) / worth))
    quiet = _long_runs(np.asarray(probability[:, 0] > _SURE), n_sure)
    for start, stop in true_intervals(~quiet).tolist():
        # One tick of certainty on either side, in which the first rhythm is known.
        around = slice(max(start - 1, 0), stop + 1)
        rhythm[around] = _viterbi(probability[around], np.asarray(entry_cost))
    return rhythm


def _long_runs(mask: Mask, shortest: int) -> Mask:
    """Keep the runs of True that have a number of ticks or more."""
    long = np.zeros(len(mask), dtype=bool)
    for start, stop in true_intervals(mask).tolist():
        long[start:stop] = stop - start >= shortest
    return long


def _viterbi(probability: NDArray[np.float32], entry_cost: NDArray[np.float64]) -> NDArray[np.intp]:
    evidence = np.log(np.maximum(probability, _FLOOR)).astype(np.float64)
    n, k = evidence.shape
    before = np.empty((n, k), dtype=np.intp)
    stays = np.arange(k)
    score = evidence[0] - entry_cost
    for tick in range(1, n):
        best = int(score.argmax())
        entered = score[best] - entry_cost
        enters = entered > score
        before[tick] = np.where(enters, best, stays)
        score = np.where(enters, entered, score) + evidence[tick]
    rhythm = np.empty(n, dtype=np.intp)
    rhythm[-1] = score.argmax()
    for tick in range(n - 1, 0, -1):
        rhythm[tick - 1] = before[tick, rhythm[tick]]
    return rhythm
