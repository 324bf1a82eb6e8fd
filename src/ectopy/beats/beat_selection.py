"""Selection of the beats among the candidates of some hours.

Each candidate is judged in its context. In each lead, the log amplitudes of beats and of other candidates
form two populations that drift with time. Dynamic programming finds the most likely sequence of beats, given
amplitudes and rhythm. This one optimum replaces separate rules for search-back, refractory period and T-wave
rejection. Only ratios of amplitudes count, so neither gain nor polarity matters.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ectopy import compiled
from ectopy.beats.qrs_candidates import Candidates, Floats
from ectopy.ecg import Mask, Samples
from ectopy.signal.filters import WORKING_FS
from ectopy.signal.rolling import maximum_filter1d, median_filter

# Amplitudes and RR intervals are natural logarithms; log likelihood ratios (LLR) are in nats.
_REFRACTORY_S = 0.24  # 250 beats a minute; see :mod:`ectopy.beats.fast_rhythms` for more
_SPREAD = 0.5  # standard deviation of log amplitude, of beats and of other candidates
# Other candidates are assumed to have at least a twentieth of the amplitude of a beat. In clean signal they
# have almost none.
_MAX_CONTRAST = 3.0
_FIRST_CONTRAST = 1.8  # the first estimate: a sixth of the amplitude of a beat
_MAX_LLR = 9.0  # limit of the evidence of one lead for or against a candidate
_LEAD_OFF = -1.5  # a lead that stays below a quarter of its beats for two seconds is off
_CLEAR = 2.0  # evidence of a lead that counts as a beat of this lead
_LACKING, _RECOVERY_S = 2, 2  # a lead that lacks two beats in three seconds is disturbed, as are two around
_RR_SPREAD = 0.25  # standard deviation of log RR
_MAX_RR_PENALTY = 4.0  # limit of the penalty for an unlikely RR interval: pauses and ectopic beats exist
_FIRST_RR_S = 0.6  # the first estimate of the RR interval
# Beats of a fast rhythm have nothing quiet between them: the other candidates are the flanks of wide beats,
# or the few beats that were not chosen yet. The contrast is then at least this, if the beats have one size.
# On nstdb, the median deviation of log amplitude in noise is mostly above this; in tachycardia it is less.
_MIN_CONTRAST, _ONE_SIZE = 0.6, 0.16
_NEIGHBOURS = 17  # beats, or other candidates, in the running median of their level
_LOOK_BACK = 14  # candidates among which the previous beat is sought
_ROUNDS = 3  # of estimating levels from beats, and beats from levels


def select_beats(candidates: Candidates) -> Samples:
    """Return the indices of the candidates that are beats, in order."""
    if len(candidates) == 0:
        return np.empty(0, dtype=np.int64)
    time_s = candidates.sample / WORKING_FS
    amplitude = np.log(candidates.strength.astype(np.float64, order="F"))
    high = _by_lead(_first_level, amplitude, time_s)
    llr = _log_likelihood_ratio(amplitude, high, high - _FIRST_CONTRAST)
    beat = _most_likely_beats(time_s, llr.sum(axis=1), np.full(len(time_s), _FIRST_RR_S))
    for _ in range(_ROUNDS):
        high = _by_lead(_running_median, amplitude, beat)
        low = _by_lead(_running_median, amplitude, ~beat)
        llr = _log_likelihood_ratio(amplitude, high, _below_beats(low, amplitude, high, beat))
        relative = amplitude - high
        llr[_lead_off(relative, time_s) & (llr < 0)] = 0
        llr[_lead_disturbed(relative, llr, time_s)] = 0
        before, beat = beat, _most_likely_beats(time_s, llr.sum(axis=1), _usual_rr(time_s, beat))
        if np.array_equal(beat, before):  # all further rounds would give the same beats
            break
    return np.flatnonzero(beat)


def relative_strength(candidates: Candidates, beat: Mask) -> Floats:
    """Compute the log strength of candidates less that of the beats around, in each lead.

    Parameters
    ----------
    candidates
        The n candidates.
    beat
        [n], which of them are beats.

    Returns
    -------
    [n, n_leads]; NaN where a lead is unusable or has no beats.
    """
    amplitude = np.log(candidates.strength.astype(np.float64, order="F"))
    return amplitude - _by_lead(_running_median, amplitude, beat)


def _by_lead(level: Callable[[Floats, NDArray[Any]], Floats], amplitude: Floats, by: NDArray[Any]) -> Floats:
    """Apply ``level`` to the amplitudes of each lead where the lead is usable; NaN elsewhere."""
    levels = np.full_like(amplitude, np.nan)
    for lead, usable in enumerate(~np.isnan(amplitude.T)):
        if usable.any():
            levels[usable, lead] = level(amplitude[usable, lead], by[usable])
    return levels


def _first_level(amplitude: Floats, time_s: Floats) -> Floats:
    """Estimate the height of beats: the highest candidate in every two seconds, then a running median.

    Every two seconds contain a beat. Noise is the highest in few of them, which the median ignores.
    """
    start = np.flatnonzero(np.diff(time_s // 2, prepend=-1))
    highest = median_filter(np.maximum.reduceat(amplitude, start), 7, mode="reflect")
    return np.repeat(highest, np.diff(np.append(start, len(amplitude))))


def _running_median(values: Floats, where: Mask) -> Floats:
    """Compute the running median of _NEIGHBOURS values among those of ``where``; NaN if there are none."""
    if not where.any():
        return np.full_like(values, np.nan)
    medians = median_filter(values[where], _NEIGHBOURS, mode="reflect")
    return np.asarray(medians[np.maximum(np.cumsum(where) - 1, 0)])


def _below_beats(low: Floats, amplitude: Floats, high: Floats, beat: Mask) -> Floats:
    """Lower the level of other candidates to _MIN_CONTRAST where all leads show a rhythm without rest.

    In such a rhythm the other candidates are as high as the beats, and the beats have one size. In noise the
    other candidates are as high as the beats, too, but the beats have many sizes.
    """
    restless: Mask = ~(high - low >= _MIN_CONTRAST) & ~(np.isnan(low) & ~np.isnan(high))
    restless = np.asarray(restless.all(axis=1) & ~np.isnan(high).all(axis=1))
    if not restless.any():
        return low
    deviation = _by_lead(_running_median, np.abs(amplitude - high), beat)
    restless &= ~(deviation >= _ONE_SIZE).any(axis=1)
    return np.asarray(np.where(restless[:, None], np.fmin(low, high - _MIN_CONTRAST), low))


def _log_likelihood_ratio(amplitude: Floats, high: Floats, low: Floats) -> Floats:
    """Compute the log likelihood ratio of beat against no beat, [n, n_leads].

    Both populations are normal with the same spread. A lead in which other candidates are as high as beats
    gives no evidence, whatever its amplitude.
    """
    low = np.clip(np.nan_to_num(low, nan=-np.inf), high - _MAX_CONTRAST, high)
    ratio = (high - low) * (amplitude - (high + low) / 2) / _SPREAD**2
    return np.clip(np.nan_to_num(ratio), -_MAX_LLR, _MAX_LLR)


def _lead_off(relative: Floats, time_s: Floats) -> Mask:
    """Find where a lead, but not every lead, has no beat at all for two seconds: its electrode is off."""
    second = time_s.astype(np.int64)
    highest = np.full((second[-1] + 1, relative.shape[1]), -np.inf)
    first = np.flatnonzero(np.diff(second, prepend=-1))
    highest[second[first]] = np.maximum.reduceat(np.nan_to_num(relative, nan=-np.inf), first)
    low = maximum_filter1d(highest, 3)[second] < _LEAD_OFF
    return np.asarray(low & ~low.all(axis=1, keepdims=True))


def _lead_disturbed(relative: Floats, llr: Floats, time_s: Floats) -> Mask:
    """Find where a lead lacks successive beats of another lead: its electrode jumps and recovers.

    Where both leads show a beat, neither is disturbed. Jumps of one lead are in no other.
    """
    second = time_s.astype(np.int64)
    clear = llr > _CLEAR
    lacks = (relative < _LEAD_OFF) & clear.any(axis=1, keepdims=True)
    agree = clear.sum(axis=1) > 1
    count = np.zeros((second[-1] + 1, relative.shape[1] + 1))
    for column, mask in enumerate((*lacks.T, agree)):
        count[:, column] = np.bincount(second[mask], minlength=len(count))
    nearby = sliding_window_view(np.pad(count, ((1, 1), (0, 0))), 3, axis=0).sum(axis=-1)
    disturbed = (nearby[:, :-1] >= _LACKING) & (nearby[:, -1:] == 0)
    return np.asarray(maximum_filter1d(disturbed, 2 * _RECOVERY_S + 1)[second])


def _usual_rr(time_s: Floats, beat: Mask) -> Floats:
    """Compute the running median RR interval at each candidate, in seconds."""
    rr_s = np.diff(time_s, prepend=np.nan)
    if beat.sum() < 2:
        return np.full_like(rr_s, _FIRST_RR_S)
    rr_s[beat] = np.diff(time_s[beat], prepend=2 * time_s[beat][0] - time_s[beat][1])
    return _running_median(rr_s, beat)


def _most_likely_beats(time_s: Floats, llr: Floats, usual_rr_s: Floats) -> Mask:
    """Find the sequence of beats with the highest sum of LLRs, less the penalties of its RR intervals."""
    # A beat can save its neighbours one penalty at most. Stronger evidence against it excludes it.
    possible = np.flatnonzero(llr > -_MAX_RR_PENALTY)
    certain = _certain_beats(time_s[possible], llr[possible])
    searched = possible[maximum_filter1d(~certain, 3)]  # the others, and the certain beats beside them
    path = _best_sequence(time_s[searched], llr[searched], usual_rr_s[searched])
    beat = np.zeros(len(time_s), dtype=bool)
    beat[possible[certain]] = True
    beat[searched[path]] = True
    return beat


def _certain_beats(time_s: Floats, llr: Floats) -> Mask:
    """Find the candidates that are in every best sequence: most beats of a recording without noise.

    Including a candidate costs at most the penalties of two intervals, and one beat on either side that is
    too close. Between two certain beats, the best sequence is independent of the rest. Only candidates beside
    others therefore need to be searched.
    """
    cost = np.zeros((2, len(time_s)))  # before, after
    gain = np.maximum(llr, 0)
    for k in range(1, len(time_s)):
        too_close = time_s[k:] - time_s[:-k] < _REFRACTORY_S
        if not too_close.any():
            break
        cost[0, k:] = np.maximum(cost[0, k:], gain[:-k] * too_close)
        cost[1, :-k] = np.maximum(cost[1, :-k], gain[k:] * too_close)
    return np.asarray(llr > 2 * _MAX_RR_PENALTY + cost.sum(axis=0))


def _best_sequence(time_s: Floats, llr: Floats, usual_rr_s: Floats) -> list[int]:
    if compiled.is_compiled():
        limits = (_REFRACTORY_S, 2 * _RR_SPREAD**2, _MAX_RR_PENALTY)
        return compiled.best_sequence(time_s, llr, usual_rr_s, _LOOK_BACK, *limits)
    return _viterbi(time_s.tolist(), llr.tolist(), usual_rr_s.tolist())


def _viterbi(time_s: list[float], llr: list[float], usual_rr_s: list[float]) -> list[int]:
    """Find the best sequence by dynamic programming.

    ``best[i]`` is the score of the best sequence that ends with candidate i, and ``previous[i]`` the
    candidate before it. Among the candidates before the last _LOOK_BACK, only the one with the highest score
    counts.
    """
    best, previous = [0.0] * len(time_s), [-1] * len(time_s)
    running_best = [0.0] * len(time_s)  # the highest of ``best`` so far: if it is too low, so are all before
    oldest, oldest_score, highest, spread = -1, 0.0, -math.inf, 2 * _RR_SPREAD**2
    for current, (now, evidence, usual) in enumerate(zip(time_s, llr, usual_rr_s, strict=True)):
        first = current - _LOOK_BACK if current > _LOOK_BACK else 0
        if first and best[first - 1] > oldest_score:
            oldest, oldest_score = first - 1, best[first - 1]
        before, score = oldest, oldest_score - _MAX_RR_PENALTY
        for earlier in range(current - 1, first - 1, -1):
            if running_best[earlier] <= score:
                break
            rr_s, after = now - time_s[earlier], best[earlier]
            if after > score and rr_s >= _REFRACTORY_S:
                unlikely = math.log(rr_s / usual)
                penalty = unlikely * unlikely / spread
                after -= penalty if penalty < _MAX_RR_PENALTY else _MAX_RR_PENALTY  # noqa: FURB136 - min is slow
                if after > score:
                    before, score = earlier, after
        score += evidence
        best[current], previous[current] = score, before
        running_best[current] = highest = score if score > highest else highest  # noqa: FURB136 - max is slow
    return _backtrack(best, previous)


def _backtrack(best: list[float], previous: list[int]) -> list[int]:
    """Return the best sequence, followed back from its end."""
    current = max(range(len(best)), key=best.__getitem__, default=-1)
    path = []
    while current >= 0:
        path.append(current)
        current = previous[current]
    return path[::-1]
