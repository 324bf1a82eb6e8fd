"""Find R peaks: candidates by block of signal, then beats chosen among the candidates of hours.

A candidate is a local maximum of the energy between about 5 and 25 Hz, where a QRS complex stands out from
P waves, T waves and baseline wander. Which candidates are beats is decided knowing what is around: in each
lead beats and the rest form two populations of log amplitude that drift with time, and the likeliest sequence
of beats, given amplitudes and rhythm, is found by dynamic programming. Search-back, refractory period and
T-wave rejection are that one optimum, no rules of their own. Only ratios of amplitudes count, so neither
gain nor polarity matter.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ectopy.ecg import Mask, Samples, Signal
from ectopy.signal import quality
from ectopy.signal.filters import (
    WORKING_FS,
    ShortFilter,
    bandpass,
    fill_gaps,
    rate_ratio,
    resample,
    short_filter,
)
from ectopy.signal.rolling import maximum_filter1d, median_filter, minimum_filter1d, uniform_filter1d

REACH_S = 7.0
"""Signal on either side of a candidate that decides whether it is one, and what its features are."""

# Finding candidates
_QRS_HZ, _QRS_SD_HZ = 15.0, 6.0  # the band that told beats from the rest best on DS1, among 6 to 18 Hz
_APART_S = 0.12  # candidates nearer than this are one
_LEAD_NEAR_S = 0.06  # leads peak this far apart at most
_LEVEL_S = 3.0  # leads are compared by their mean energy over this time on either side
_LEAST_BACKGROUND = 1e-3  # of the mean energy: made signals may have none
_EDGE_S = 0.1  # beside an unusable stretch the filters see its end, not the heart
_R_NEAR_S = 0.12  # the R peak is this near to the peak of energy, in wide beats too
_BASELINE_SD_S = 0.06

# Choosing beats; amplitudes and RR intervals as natural logarithms, evidence in nats
_REFRACTORY_S = 0.24  # 250 beats a minute
_SPREAD = 0.5  # standard deviation of log amplitude, of beats and of the rest alike
_MOST_CONTRAST = (
    3.0  # the rest is taken to be a twentieth of a beat at least: in clean signal it is next to nothing
)
_FIRST_CONTRAST = 1.8  # before anything is known: a sixth
_MOST_EVIDENCE = 9.0  # what one lead may say for or against a candidate
_LOST = -1.5  # a lead that stays below a quarter of its beats for two seconds has lost them
_RR_SPREAD = 0.25  # standard deviation of log RR
_MOST_SURPRISE = 4.0  # the least likely RR costs no more than this: pauses and ectopic beats exist
_FIRST_RR_S = 0.6
_NEIGHBOURS = 17  # beats, or candidates that are none, that make a running level
_LOOK_BACK = 14  # candidates among which the previous beat is looked for
_ROUNDS = 3  # of estimating levels from beats and beats from levels

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Where a beat may be, in order of time, on the grid of WORKING_FS.

    ``sample`` is the R peak. ``strength`` is float32 [n, n_leads], the peak amplitude of each lead in the QRS
    band, in mV; NaN where the lead cannot be used. ``background`` is the geometric mean of that amplitude
    around the candidate: what there is between beats, for they are short.
    """

    sample: Samples
    strength: NDArray[np.float32]
    background: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.sample)

    def __getitem__(self, chosen: slice | NDArray[np.generic]) -> Self:
        """Give the candidates of a slice, mask or index array."""
        return type(self)(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def between(self, start: int, stop: int) -> Self:
        """Give the candidates from sample ``start`` up to, not including, ``stop``."""
        first, last = np.searchsorted(self.sample, (start, stop))
        return self[first:last]

    def shifted(self, by: int) -> Self:
        """Give the same candidates ``by`` samples later."""
        return type(self)(self.sample + by, *(getattr(self, field.name) for field in fields(self)[1:]))


def join(parts: Sequence[Candidates]) -> Candidates:
    """Put the candidates of successive blocks, at least one, in one row."""
    columns = ([getattr(part, field.name) for part in parts] for field in fields(Candidates))
    return Candidates(*(np.concatenate(column) for column in columns))


def find_candidates(clean: Signal, usable: Mask) -> Candidates:
    """Find where a beat may be in [n, n_leads] band-passed samples at WORKING_FS."""
    if len(clean) == 0:
        none = np.empty(clean.shape, dtype=np.float32)
        return Candidates(np.empty(0, dtype=np.int64), none, none)
    inside = _inside(usable)
    energy = _qrs_energy(clean)
    if not inside.all():
        energy[~inside] = 0
    level = _level(energy, inside)
    peak = _peaks(np.sqrt(np.square(energy / level).sum(axis=1)))
    strength = _around(energy, peak, round(_LEAD_NEAR_S * WORKING_FS)).max(axis=2)
    sample = _r_peaks(clean, peak, strength / level[peak])
    strength[strength == 0] = np.nan
    order = np.argsort(sample, kind="stable")
    return Candidates(sample[order], strength[order], _background(energy, level, inside, peak)[order])


def _inside(usable: Mask) -> Mask:
    """Tell what is usable and not near what is not."""
    if usable.all():
        return usable
    return minimum_filter1d(usable, 2 * round(_EDGE_S * WORKING_FS) + 1)


def _around(signal: Signal, at: Samples, reach: int) -> Signal:
    """Cut out what lies around some samples of [n, n_leads], [n_at, n_leads, 2 * reach + 1]; ends held."""
    padded = np.pad(signal.T, ((0, 0), (reach, reach)), mode="edge")
    return np.moveaxis(sliding_window_view(padded, 2 * reach + 1, axis=1)[:, at], 0, 1)


def _qrs_energy(clean: Signal) -> Signal:
    """Give the envelope of the QRS band: the magnitude of a Gabor wavelet's response."""
    even, odd = (np.square(part(clean)) for part in _wavelet())
    even += odd
    return np.sqrt(even, out=even)[: len(clean)]


@lru_cache
def _wavelet() -> tuple[ShortFilter, ShortFilter]:
    """Make the real and the imaginary part of the wavelet."""
    sd_s = 1 / (2 * np.pi * _QRS_SD_HZ)
    time_s = _offsets(3 * sd_s) / WORKING_FS
    window = np.exp(-0.5 * np.square(time_s / sd_s))
    wavelet = window * np.exp(2j * np.pi * _QRS_HZ * time_s)
    wavelet -= window * wavelet.sum() / window.sum()  # no response to a constant
    wavelet *= 2 / np.abs(wavelet).sum()
    return short_filter(wavelet.real), short_filter(wavelet.imag)


@lru_cache
def _without_baseline() -> ShortFilter:
    """Take out the mean around each sample, weighted by a normal distribution."""
    taps = np.exp(-0.5 * np.square(_offsets(3 * _BASELINE_SD_S) / (_BASELINE_SD_S * WORKING_FS)))
    return short_filter((_offsets(3 * _BASELINE_SD_S) == 0) - taps / taps.sum())


def _offsets(reach_s: float) -> Samples:
    """Give the offsets from ``-reach_s`` to ``reach_s`` in samples."""
    half = round(reach_s * WORKING_FS)
    return np.arange(-half, half + 1)


def _level(energy: Signal, inside: Mask) -> Signal:
    """Give the mean energy of each lead in the neighbourhood, over its usable samples."""
    reach = round(_LEVEL_S * WORKING_FS)
    mean = uniform_filter1d(energy, 2 * reach + 1, mode="constant")
    share = _share_inside(len(energy), reach) if inside.all() else _running_share(inside, reach)
    return np.maximum(mean / share, np.finfo(np.float32).tiny)


def _running_share(inside: Mask, reach: int) -> Signal:
    size = 2 * reach + 1
    return np.maximum(uniform_filter1d(inside, size, mode="constant"), np.float32(1 / size))


def _share_inside(n: int, reach: int) -> Signal:
    """Give the share of a neighbourhood that lies between the ends of n samples, [n, 1]."""
    at = np.arange(n, dtype=np.float32)[:, None]
    there = np.minimum(at, np.float32(reach))
    return (there + there[::-1] + np.float32(1)) / np.float32(2 * reach + 1)


def _background(energy: Signal, level: Signal, inside: Mask, peak: Samples) -> Signal:
    """Give the geometric mean of the energy in the neighbourhood of each peak, over its usable samples."""
    reach = round(_LEVEL_S * WORKING_FS)
    first, last = np.maximum(peak - reach, 0), np.minimum(peak + reach + 1, len(energy))

    def total(values: NDArray[np.generic]) -> Floats:
        summed = np.cumsum(values, axis=0, dtype=np.float64)
        return np.asarray(summed[last - 1] - summed[first] + values[first])

    height = np.log(np.maximum(energy, _LEAST_BACKGROUND * level))
    if inside.all():
        return np.asarray(np.exp(total(height) / (last - first)[:, None]), dtype=np.float32)
    height[~inside] = 0
    return np.asarray(np.exp(total(height) / np.maximum(total(inside), 1)), dtype=np.float32)


def _peaks(energy: Signal) -> Samples:
    """Find the samples that no other exceeds within _APART_S on either side."""
    apart = round(_APART_S * WORKING_FS)
    highest = maximum_filter1d(energy, 2 * apart + 1, mode="constant")
    peak = np.flatnonzero((energy == highest) & (energy > 0))
    return peak[np.diff(peak, prepend=-apart) >= apart]


def _r_peaks(clean: Signal, peak: Samples, clarity: Signal) -> Samples:
    """Find the largest deflection near each peak, in the first lead unless another is twice as clear."""
    deflection = np.abs(_without_baseline()(clean)[: len(clean)])
    lead = (clarity * np.where(np.arange(clarity.shape[1]) == 0, 2, 1)).argmax(axis=1)
    reach = round(_R_NEAR_S * WORKING_FS)
    near = _around(deflection, peak, reach)[np.arange(len(peak)), lead]
    at: Samples = np.clip(peak + near.argmax(axis=1) - reach, 0, len(clean) - 1)
    return at


def select_beats(candidates: Candidates) -> Samples:
    """Give the indices of the candidates that are beats, in order."""
    if len(candidates) == 0:
        return np.empty(0, dtype=np.int64)
    time_s = candidates.sample / WORKING_FS
    amplitude = np.log(candidates.strength.astype(np.float64))
    high = _by_lead(_first_level, amplitude, time_s)
    evidence = _evidence(amplitude, high, high - _FIRST_CONTRAST)
    beat = _likeliest_sequence(time_s, evidence.sum(axis=1), np.full(len(time_s), _FIRST_RR_S))
    for _ in range(_ROUNDS):
        high = _by_lead(_running_median, amplitude, beat)
        evidence = _evidence(amplitude, high, _by_lead(_running_median, amplitude, ~beat))
        evidence[_lost(amplitude - high, time_s) & (evidence < 0)] = 0
        before, beat = beat, _likeliest_sequence(time_s, evidence.sum(axis=1), _usual_rr(time_s, beat))
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


def _evidence(amplitude: Floats, high: Floats, low: Floats) -> Floats:
    """Log likelihood ratio of beat against no beat, [n, n_leads]: two normal populations of one spread.

    A lead in which the rest is as high as the beats says nothing, however loud it is.
    """
    low = np.clip(np.nan_to_num(low, nan=-np.inf), high - _MOST_CONTRAST, high)
    ratio = (high - low) * (amplitude - (high + low) / 2) / _SPREAD**2
    return np.clip(np.nan_to_num(ratio), -_MOST_EVIDENCE, _MOST_EVIDENCE)


def _lost(relative: Floats, time_s: Floats) -> Mask:
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


def _likeliest_sequence(time_s: Floats, evidence: Floats, usual_rr_s: Floats) -> Mask:
    """Mark the candidates of the sequence with the most evidence, less the surprise at its RR intervals."""
    # A beat saves its neighbours one surprise at most: what has more against it is in no best sequence.
    possible = np.flatnonzero(evidence > -_MOST_SURPRISE)
    sure = _in_every_best_sequence(time_s[possible], evidence[possible])
    beside = maximum_filter1d(~sure, 3)
    open_to_doubt = possible[beside]
    told = (each[open_to_doubt] for each in (time_s, evidence, usual_rr_s))
    path = _best_path(*(each.tolist() for each in told))
    chosen = np.zeros(len(time_s), dtype=bool)
    chosen[possible[sure]] = True
    chosen[open_to_doubt[path]] = True
    return chosen


def _in_every_best_sequence(time_s: Floats, evidence: Floats) -> Mask:
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
    return np.asarray(evidence > 2 * _MOST_SURPRISE + cost.sum(axis=0))


def _best_path(time_s: list[float], evidence: list[float], usual_rr_s: list[float]) -> list[int]:
    """Find that sequence by dynamic programming; of candidates older than _LOOK_BACK the best one counts."""
    best, previous = [0.0] * len(time_s), [-1] * len(time_s)
    reached = [0.0] * len(time_s)  # the highest of ``best`` so far: where it falls short, so do all before
    oldest, oldest_score, highest, spread = -1, 0.0, -math.inf, 2 * _RR_SPREAD**2
    for here, (now, told, usual) in enumerate(zip(time_s, evidence, usual_rr_s, strict=True)):
        first = here - _LOOK_BACK if here > _LOOK_BACK else 0
        if first and best[first - 1] > oldest_score:
            oldest, oldest_score = first - 1, best[first - 1]
        before, score = oldest, oldest_score - _MOST_SURPRISE
        for there in range(here - 1, first - 1, -1):
            if reached[there] <= score:
                break
            rr_s, after = now - time_s[there], best[there]
            if after > score and rr_s >= _REFRACTORY_S:
                surprise = math.log(rr_s / usual) ** 2 / spread
                after -= surprise if surprise < _MOST_SURPRISE else _MOST_SURPRISE  # noqa: FURB136 - a call costs
                if after > score:
                    before, score = there, after
        score += told
        best[here], previous[here] = score, before
        reached[here] = highest = score if score > highest else highest  # noqa: FURB136
    return _trace(best, previous)


def _trace(best: list[float], previous: list[int]) -> list[int]:
    """Follow the best sequence back from its end."""
    here = max(range(len(best)), key=best.__getitem__, default=-1)
    path = []
    while here >= 0:
        path.append(here)
        here = previous[here]
    return path[::-1]


def detect_qrs(signal: NDArray[np.floating], fs: float) -> Samples:
    """Find R peaks in mV, [n] or [n, n_leads], as samples on the grid of ``fs``; NaN where missing."""
    leads = np.asarray(signal, dtype=np.float32)
    leads = leads[:, None] if leads.ndim == 1 else leads
    clean = bandpass(resample(fill_gaps(leads), fs)) if len(leads) else leads
    candidates = find_candidates(clean, quality.usable(leads, fs))
    beats = candidates.sample[select_beats(candidates)]
    return np.minimum(np.round(beats / float(rate_ratio(fs))), len(leads) - 1).astype(np.int64)
