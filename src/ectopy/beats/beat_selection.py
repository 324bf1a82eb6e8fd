"""Choose the beats among the candidates of hours."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ectopy.beats.qrs_candidates import Candidates, Floats
from ectopy.ecg import Mask, Samples
from ectopy.signal.filters import (
    WORKING_FS,
)
from ectopy.signal.rolling import maximum_filter1d, median_filter

# Choosing beats; amplitudes and RR intervals as natural logarithms, evidence in nats
_REFRACTORY_S = 0.24  # 250 beats a minute

_SPREAD = 0.5  # standard deviation of log amplitude, of beats and of the rest alike

_MAX_CONTRAST = (
    3.0  # the rest is taken to be a twentieth of a beat at least: in clean signal it is next to nothing
)

_FIRST_CONTRAST = 1.8  # before anything is known: a sixth

_MAX_LLR = 9.0  # what one lead may say for or against a candidate

_LOST = -1.5  # a lead that stays below a quarter of its beats for two seconds has lost them

_RR_SPREAD = 0.25  # standard deviation of log RR

_MAX_RR_PENALTY = 4.0  # the least likely RR costs no more than this: pauses and ectopic beats exist

_FIRST_RR_S = 0.6

_NEIGHBOURS = 17  # beats, or candidates that are none, that make a running level

_LOOK_BACK = 14  # candidates among which the previous beat is looked for

_ROUNDS = 3  # of estimating levels from beats and beats from levels


def select_beats(candidates: Candidates) -> Samples:
    """Give the indices of the candidates that are beats, in order."""
    if len(candidates) == 0:
        return np.empty(0, dtype=np.int64)
    time_s = candidates.sample / WORKING_FS
    amplitude = np.log(candidates.strength.astype(np.float64))
    high = _by_lead(_first_level, amplitude, time_s)
    evidence = _log_likelihood_ratio(amplitude, high, high - _FIRST_CONTRAST)
    beat = _most_likely_beats(time_s, evidence.sum(axis=1), np.full(len(time_s), _FIRST_RR_S))
    for _ in range(_ROUNDS):
        high = _by_lead(_running_median, amplitude, beat)
        evidence = _log_likelihood_ratio(amplitude, high, _by_lead(_running_median, amplitude, ~beat))
        evidence[_lead_off(amplitude - high, time_s) & (evidence < 0)] = 0
        before, beat = beat, _most_likely_beats(time_s, evidence.sum(axis=1), _usual_rr(time_s, beat))
        if np.array_equal(beat, before):  # and so it would go on
            break
    return np.flatnonzero(beat)


def _by_lead(level: Callable[[Floats, NDArray[Any]], Floats], amplitude: Floats, by: NDArray[Any]) -> Floats:
    """Apply ``level`` to each lead's amplitudes where it can be used; NaN elsewhere."""
    levels = np.full_like(amplitude, np.nan)
    for lead, usable in enumerate(~np.isnan(amplitude.T)):
        if usable.any():
            levels[usable, lead] = level(amplitude[usable, lead], by[usable])
    return levels


def _first_level(amplitude: Floats, time_s: Floats) -> Floats:
    """Guess how high a beat is: in every two seconds there is one, and few of its neighbours are noise."""
    start = np.flatnonzero(np.diff(time_s // 2, prepend=-1))
    highest = median_filter(np.maximum.reduceat(amplitude, start), 7, mode="reflect")
    return np.repeat(highest, np.diff(np.append(start, len(amplitude))))


def _running_median(values: Floats, where: Mask) -> Floats:
    """Give at each place the median of the _NEIGHBOURS values of ``where`` around it; NaN without any."""
    if not where.any():
        return np.full_like(values, np.nan)
    medians = median_filter(values[where], _NEIGHBOURS, mode="reflect")
    return np.asarray(medians[np.maximum(np.cumsum(where) - 1, 0)])


def _log_likelihood_ratio(amplitude: Floats, high: Floats, low: Floats) -> Floats:
    """Log likelihood ratio of beat against no beat, [n, n_leads]: two normal populations of one spread.

    A lead in which the rest is as high as the beats says nothing, however loud it is.
    """
    low = np.clip(np.nan_to_num(low, nan=-np.inf), high - _MAX_CONTRAST, high)
    ratio = (high - low) * (amplitude - (high + low) / 2) / _SPREAD**2
    return np.clip(np.nan_to_num(ratio), -_MAX_LLR, _MAX_LLR)


def _lead_off(relative: Floats, time_s: Floats) -> Mask:
    """Mark where one lead, but not every lead, has no beat at all for a while: its electrode is off."""
    second = time_s.astype(np.int64)
    highest = np.full((second[-1] + 1, relative.shape[1]), -np.inf)
    np.maximum.at(highest, second, np.nan_to_num(relative, nan=-np.inf))
    low = maximum_filter1d(highest, 3)[second] < _LOST
    return np.asarray(low & ~low.all(axis=1, keepdims=True))


def _usual_rr(time_s: Floats, beat: Mask) -> Floats:
    """Give the running median RR at each candidate."""
    rr_s = np.diff(time_s, prepend=np.nan)
    if beat.sum() < 2:
        return np.full_like(rr_s, _FIRST_RR_S)
    rr_s[beat] = np.diff(time_s[beat], prepend=2 * time_s[beat][0] - time_s[beat][1])
    return _running_median(rr_s, beat)


def _most_likely_beats(time_s: Floats, evidence: Floats, usual_rr_s: Floats) -> Mask:
    """Mark the candidates of the sequence with the most evidence, less the surprise at its RR intervals."""
    # A beat saves its neighbours one surprise at most: what has more against it is in no best sequence.
    possible = np.flatnonzero(evidence > -_MAX_RR_PENALTY)
    sure = _certain_beats(time_s[possible], evidence[possible])
    beside = maximum_filter1d(~sure, 3)
    open_to_doubt = possible[beside]
    told = (each[open_to_doubt] for each in (time_s, evidence, usual_rr_s))
    path = _viterbi(*(each.tolist() for each in told))
    chosen = np.zeros(len(time_s), dtype=bool)
    chosen[possible[sure]] = True
    chosen[open_to_doubt[path]] = True
    return chosen


def _certain_beats(time_s: Floats, evidence: Floats) -> Mask:
    """Tell which candidates no best sequence can do without: most beats of a clear recording.

    To take one in costs the surprise at two intervals and one beat on either side that is too near. Between
    two of them the best sequence is best by itself: only what lies beside others needs to be searched.
    """
    cost = np.zeros((2, len(time_s)))  # before, after
    worth = np.maximum(evidence, 0)
    for k in range(1, len(time_s)):
        near = time_s[k:] - time_s[:-k] < _REFRACTORY_S
        if not near.any():
            break
        cost[0, k:] = np.maximum(cost[0, k:], worth[:-k] * near)
        cost[1, :-k] = np.maximum(cost[1, :-k], worth[k:] * near)
    return np.asarray(evidence > 2 * _MAX_RR_PENALTY + cost.sum(axis=0))


def _viterbi(time_s: list[float], evidence: list[float], usual_rr_s: list[float]) -> list[int]:
    """Find that sequence by dynamic programming; of candidates older than _LOOK_BACK the best one counts."""
    best, previous = [0.0] * len(time_s), [-1] * len(time_s)
    reached = [0.0] * len(time_s)  # the highest of ``best`` so far: where it falls short, so do all before
    oldest, oldest_score, highest, spread = -1, 0.0, -math.inf, 2 * _RR_SPREAD**2
    for here, (now, told, usual) in enumerate(zip(time_s, evidence, usual_rr_s, strict=True)):
        first = here - _LOOK_BACK if here > _LOOK_BACK else 0
        if first and best[first - 1] > oldest_score:
            oldest, oldest_score = first - 1, best[first - 1]
        before, score = oldest, oldest_score - _MAX_RR_PENALTY
        for there in range(here - 1, first - 1, -1):
            if reached[there] <= score:
                break
            rr_s, after = now - time_s[there], best[there]
            if after > score and rr_s >= _REFRACTORY_S:
                surprise = math.log(rr_s / usual) ** 2 / spread
                after -= surprise if surprise < _MAX_RR_PENALTY else _MAX_RR_PENALTY  # noqa: FURB136 - a call costs
                if after > score:
                    before, score = there, after
        score += told
        best[here], previous[here] = score, before
        reached[here] = highest = score if score > highest else highest  # noqa: FURB136
    return _backtrack(best, previous)


def _backtrack(best: list[float], previous: list[int]) -> list[int]:
    """Follow the best sequence back from its end."""
    here = max(range(len(best)), key=best.__getitem__, default=-1)
    path = []
    while here >= 0:
        path.append(here)
        here = previous[here]
    return path[::-1]
