"""Find R peaks: candidates by block of signal, then beats chosen among all candidates of a recording.

A candidate is a local maximum of the energy between about 5 and 25 Hz, where a QRS complex stands out from
P waves, T waves and baseline wander. Which candidates are beats is decided on the whole recording: in each
lead beats and the rest form two populations of log amplitude that drift with time, and the most plausible
sequence of beats, given amplitudes and rhythm, is found by dynamic programming. Search-back, refractory
period and T-wave rejection are that one optimum, no rules of their own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, median_filter, uniform_filter1d
from scipy.signal import oaconvolve

from ectopy import quality
from ectopy.ecg import Mask, Samples, Signal
from ectopy.filters import WORKING_FS, bandpass, fill_gaps, rate_ratio, resample

REACH_S = 4.0
"""Signal on either side of a candidate that decides whether it is one, and what its features are."""

_QRS_HZ, _QRS_SD_HZ = 15.0, 6.0
_APART_S = 0.12  # candidates nearer than this are one
_LEAD_NEAR_S = 0.06  # leads peak this far apart at most
_LEVEL_S = (
    3.0  # the level of a lead, against which leads are compared, is a mean over this time on either side
)
_R_NEAR_S = 0.08  # the R peak is this near to the peak of energy
_BASELINE_SD_S = 0.06

_REFRACTORY_S = 0.2
_SPREAD = 0.35  # standard deviation of log amplitude, of beats and of the rest alike
_MOST_EVIDENCE = 12.0  # what one lead may say for or against a candidate, in nats
_RR_SPREAD = 0.25  # standard deviation of log RR
_MOST_SURPRISE = 3.0  # the least likely RR costs no more than this: pauses and ectopic beats exist
_NEIGHBOURS = 17  # beats, or candidates that are none, that make a running level
_LOOK_BACK = 14  # candidates among which the previous beat is looked for
_TINY = np.float32(1e-30)


@dataclass(frozen=True, eq=False)
class Candidates:
    """Where a beat may be, in order of time, on the grid of WORKING_FS.

    ``strength`` is float32 [n, n_leads], the peak amplitude of each lead in the QRS band, in mV; NaN where
    the lead cannot be used.
    """

    sample: Samples
    strength: NDArray[np.float32]

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
    energy = np.where(usable, _qrs_energy(clean), np.float32(0))
    level = _level(energy, usable)
    near = round(_LEAD_NEAR_S * WORKING_FS)
    peak = _peaks(np.sqrt(np.square(energy / level).sum(axis=1)))
    strength: Signal = maximum_filter1d(energy, 2 * near + 1, axis=0)[peak]
    sample = _r_peaks(clean, peak, strength / level[peak])
    strength[strength == 0] = np.nan
    order = np.argsort(sample, kind="stable")
    return Candidates(sample[order], strength[order])


def _qrs_energy(clean: Signal) -> Signal:
    """Give the envelope of the QRS band: the magnitude of a Gabor wavelet's response."""
    sd_s = 1 / (2 * np.pi * _QRS_SD_HZ)
    half = round(3 * sd_s * WORKING_FS)
    time_s = np.arange(-half, half + 1) / WORKING_FS
    window = np.exp(-0.5 * np.square(time_s / sd_s))
    wavelet = window * np.exp(2j * np.pi * _QRS_HZ * time_s)
    wavelet -= window * wavelet.sum() / window.sum()
    wavelet *= 2 / np.abs(wavelet).sum()
    padded = np.pad(clean, ((half, half), (0, 0)), mode="edge")
    return np.abs(oaconvolve(padded, wavelet.astype(np.complex64)[:, None], mode="valid", axes=0))


def _level(energy: Signal, usable: Mask) -> Signal:
    """Give the mean energy of each lead in the neighbourhood, over its usable samples."""
    size = 2 * round(_LEVEL_S * WORKING_FS) + 1
    mean = uniform_filter1d(energy.astype(np.float64), size, axis=0, mode="constant")
    share = uniform_filter1d(usable.astype(np.float64), size, axis=0, mode="constant")
    return np.maximum(mean / np.maximum(share, 1 / size), _TINY).astype(np.float32)


def _peaks(energy: Signal) -> Samples:
    """Find the samples that no other exceeds within _APART_S on either side."""
    apart = round(_APART_S * WORKING_FS)
    highest = maximum_filter1d(energy, 2 * apart + 1, mode="constant")
    peak = np.flatnonzero((energy == highest) & (energy > 0))
    return peak[np.diff(peak, prepend=-apart) >= apart]


def _r_peaks(clean: Signal, peak: Samples, clarity: Signal) -> Samples:
    """Find the largest deflection near each peak, in the first lead unless another is twice as clear."""
    half = round(_R_NEAR_S * WORKING_FS)
    deflection = np.abs(clean - _smooth(clean, _BASELINE_SD_S))
    lead = (clarity * np.where(np.arange(clarity.shape[1]) == 0, 2, 1)).argmax(axis=1)[:, None]
    near = np.clip(peak[:, None] + np.arange(-half, half + 1), 0, len(clean) - 1)
    largest = deflection[near, lead].argmax(axis=1)
    return np.asarray(near[np.arange(len(peak)), largest], dtype=np.int64)


def _smooth(clean: Signal, sd_s: float) -> Signal:
    half = round(3 * sd_s * WORKING_FS)
    taps = np.exp(-0.5 * np.square(np.arange(-half, half + 1) / (sd_s * WORKING_FS))).astype(np.float32)
    padded = np.pad(clean, ((half, half), (0, 0)), mode="edge")
    return oaconvolve(padded, taps[:, None] / taps.sum(), mode="valid", axes=0)


def select_beats(candidates: Candidates) -> Samples:
    """Give the indices of the candidates that are beats, in order."""
    if len(candidates) < 2:
        return np.arange(len(candidates))
    strength = candidates.strength
    amplitude = np.log(np.where(np.isnan(strength), 1, np.maximum(strength, _TINY))).astype(np.float64)
    time_s = candidates.sample / WORKING_FS
    beat = (amplitude - _first_level(amplitude, time_s)).mean(axis=1) > -math.log(2)
    for _ in range(3):
        evidence = np.where(np.isnan(strength), 0, _evidence(amplitude, beat)).sum(axis=1)
        beat = _likeliest_sequence(time_s, evidence, _usual_rr(time_s, beat))
    return np.flatnonzero(beat)


def _first_level(amplitude: NDArray[np.float64], time_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Guess how high a beat is: in every two seconds there is one, and few of its neighbours are noise."""
    start = np.flatnonzero(np.diff(time_s // 2, prepend=-1))
    highest = median_filter(np.maximum.reduceat(amplitude, start), (7, 1), mode="nearest")
    return np.repeat(highest, np.diff(np.append(start, len(amplitude))), axis=0)


def _evidence(amplitude: NDArray[np.float64], beat: Mask) -> NDArray[np.float64]:
    """Log likelihood ratio of beat against no beat, [n, n_leads]: two normal populations of one spread."""
    beats = _running_median(amplitude, beat)
    others = np.minimum(beats, _running_median(amplitude, ~beat))
    ratio = (beats - others) * (amplitude - (beats + others) / 2) / _SPREAD**2
    return np.asarray(np.clip(ratio, -_MOST_EVIDENCE, _MOST_EVIDENCE))


def _running_median(values: NDArray[np.float64], where: Mask) -> NDArray[np.float64]:
    """Give at each row the median of the _NEIGHBOURS nearest rows of ``where``."""
    if not where.any():
        return np.full_like(values, values.min() - 2)
    medians = median_filter(values[where], (_NEIGHBOURS, *(1 for _ in values.shape[1:])), mode="nearest")
    return np.asarray(medians[np.maximum(np.cumsum(where) - 1, 0)])


def _usual_rr(time_s: NDArray[np.float64], beat: Mask) -> NDArray[np.float64]:
    """Give the running median RR at each candidate."""
    if beat.sum() < 2:
        return np.full(len(time_s), 0.8)
    rr_s = np.diff(time_s[beat])
    usual = median_filter(np.append(rr_s[0], rr_s), _NEIGHBOURS, mode="nearest")
    return np.asarray(np.clip(usual[np.maximum(np.cumsum(beat) - 1, 0)], 0.25, 2))


def _likeliest_sequence(
    time_s: NDArray[np.float64], evidence: NDArray[np.float64], usual_rr_s: NDArray[np.float64]
) -> Mask:
    """Mark the candidates of the sequence with the most evidence, less the surprise at its RR intervals."""
    time, weight, usual = time_s.tolist(), evidence.tolist(), usual_rr_s.tolist()
    best, previous = [0.0] * len(time), [-1] * len(time)
    for here, now in enumerate(time):
        top, before = (-_MOST_SURPRISE * here, -1) if here <= _LOOK_BACK else (-math.inf, -1)
        for there in range(max(0, here - _LOOK_BACK), here):
            rr_s = now - time[there]
            if rr_s >= _REFRACTORY_S:
                surprise = min(math.log(rr_s / usual[here]) ** 2 / (2 * _RR_SPREAD**2), _MOST_SURPRISE)
                if best[there] - surprise > top:
                    top, before = best[there] - surprise, there
        best[here], previous[here] = top + weight[here], before
    return _trace(best, previous)


def _trace(best: list[float], previous: list[int]) -> Mask:
    """Follow the best sequence back from its end, which is among the last candidates."""
    chosen = np.zeros(len(best), dtype=bool)
    here = max(range(max(0, len(best) - _LOOK_BACK), len(best)), key=best.__getitem__)
    while here >= 0:
        chosen[here] = True
        here = previous[here]
    return chosen


def detect_qrs(signal: NDArray[np.floating], fs: float) -> Samples:
    """Find R peaks in mV, [n] or [n, n_leads], as samples on the grid of ``fs``; NaN where missing."""
    array = np.asarray(signal, dtype=np.float32)
    array = array[:, None] if array.ndim == 1 else array
    if len(array) == 0:
        return np.empty(0, dtype=np.int64)
    clean = bandpass(resample(fill_gaps(array), fs))
    candidates = find_candidates(clean, quality.usable(array, fs))
    beats = candidates.sample[select_beats(candidates)]
    return np.minimum(np.round(beats / float(rate_ratio(fs))), len(array) - 1).astype(np.int64)
