"""Find R peaks: candidates by block of signal, then beats chosen among the candidates of hours.

A candidate is a local maximum of the energy between about 5 and 25 Hz, where a QRS complex stands out from
P waves, T waves and baseline wander. Which candidates are beats is decided knowing what is around: in each
lead beats and the rest form two populations of log amplitude that drift with time, and the likeliest sequence
of beats, given amplitudes and rhythm, is found by dynamic programming. Search-back, refractory period and
T-wave rejection are that one optimum, no rules of their own. Only ratios of amplitudes count, so neither
gain nor polarity matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ectopy.ecg import Mask, Samples, Signal
from ectopy.signal.filters import (
    WORKING_FS,
    ShortFilter,
    short_filter,
)
from ectopy.signal.rolling import maximum_filter1d, minimum_filter1d, uniform_filter1d

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
