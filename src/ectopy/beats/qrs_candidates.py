"""Candidates for beats: the maxima of the QRS energy in a block of signal.

A candidate is a local maximum of the energy between about 5 and 25 Hz. In this band, a QRS complex stands out
from P waves, T waves and baseline wander. :mod:`ectopy.beats.beat_selection` selects the beats among them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ectopy import compiled
from ectopy.ecg import Mask, Samples, Signal
from ectopy.signal.filters import (
    WORKING_FS,
    ShortFilter,
    short_filter,
)
from ectopy.signal.rolling import maximum_filter1d, minimum_filter1d, uniform_filter1d

REACH_S = 7.0
"""Signal on either side of a candidate on which the candidate and its features depend, in seconds."""

# Finding candidates
_QRS_HZ, _QRS_SD_HZ = 15.0, 6.0  # on DS1, this band separated beats from the rest best, among 6 to 18 Hz
_APART_S = 0.12  # candidates closer than this are one candidate
_LEAD_NEAR_S = 0.06  # greatest time between the peaks of two leads
_LEVEL_S = 3.0  # leads are normalised by their mean energy within this time on either side
_MIN_BACKGROUND = 1e-3  # of the mean energy: simulated signals may have no background
_EDGE_S = 0.1  # beside an unusable interval, the filters respond to its end and not to the heart
_ENDS_S = (0.1, 0.05)  # as at the beginning of a recording, when amplifiers settle, and at its end
_R_NEAR_S = 0.12  # greatest time between the R peak and the energy peak, also in wide beats
_BASELINE_SD_S = 0.06  # width (sigma) of the mean that is the baseline of an R peak


Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Candidates for beats in order of time, on the grid of WORKING_FS."""

    sample: Samples
    """[n], the R peaks."""
    strength: NDArray[np.float32]
    """[n, n_leads], the peak amplitude in the QRS band in mV; NaN where the lead is unusable."""
    height: NDArray[np.float32]
    """[n, n_leads], the largest deflection from the baseline near the candidate in mV, as for ``strength``.

    A wide beat has little in the QRS band, but it is high.
    """
    background: NDArray[np.float32]
    """[n, n_leads], the geometric mean of that amplitude around the candidate in mV.

    Beats are short, so this is the level between beats.
    """

    def __len__(self) -> int:
        return len(self.sample)

    def __getitem__(self, index: slice | NDArray[np.generic]) -> Self:
        """Return the candidates of a slice, mask or index array."""
        return type(self)(*(getattr(self, field.name)[index] for field in fields(self)))

    def between(self, start: int, stop: int) -> Self:
        """Return the candidates of an interval.

        Parameters
        ----------
        start, stop
            The interval [start, stop) in samples.

        Returns
        -------
        The candidates of the interval.
        """
        first, last = np.searchsorted(self.sample, (start, stop))
        return self[first:last]

    def shifted(self, by: int) -> Self:
        """Return the same candidates ``by`` samples later."""
        return type(self)(self.sample + by, *(getattr(self, field.name) for field in fields(self)[1:]))


def join(parts: Sequence[Candidates]) -> Candidates:
    """Concatenate the candidates of successive blocks, at least one."""
    columns = ([getattr(part, field.name) for part in parts] for field in fields(Candidates))
    return Candidates(*(np.concatenate(column) for column in columns))


def mean_of_leads(values: NDArray[Any]) -> NDArray[np.float64]:
    """Compute the mean over the last axis, [..., n_leads], of the finite values; NaN where there is none."""
    usable = np.isfinite(values)
    total, number = np.where(usable, values, 0).sum(axis=-1), usable.sum(axis=-1)
    return np.asarray(np.where(number > 0, total / np.maximum(number, 1), np.nan))


def find_candidates(filtered: Signal, usable: Mask) -> Candidates:
    """Find the candidates for beats in a block of signal.

    Parameters
    ----------
    filtered
        [n, n_leads], band-passed signal in mV at WORKING_FS.
    usable
        [n, n_leads], which samples can be analysed.

    Returns
    -------
    The candidates.
    """
    if not usable.any():
        empty = np.empty((0, filtered.shape[1]), dtype=np.float32)
        return Candidates(np.empty(0, dtype=np.int64), empty, empty, empty)
    inside = _inside(usable)
    energy = _qrs_energy(filtered)
    if not inside.all():
        energy[~inside] = 0
    level = _level(energy, inside)
    combined = np.sqrt(np.square(energy / level).sum(axis=1))
    first, last = (round(length_s * WORKING_FS) for length_s in _ENDS_S)
    combined[:first] = combined[-last:] = 0
    peak = _peaks(combined)
    strength, _ = _largest_near(energy, peak, round(_LEAD_NEAR_S * WORKING_FS))
    deflection = np.abs(_without_baseline()(filtered)[: len(filtered)])
    height, offset = _largest_near(deflection, peak, round(_R_NEAR_S * WORKING_FS))
    lead = _lead_of_r_peak(strength / level[peak])
    sample = np.clip(peak + offset[np.arange(len(peak)), lead], 0, len(filtered) - 1)
    height[strength == 0] = strength[strength == 0] = np.nan
    background = _background(energy, level, inside, peak)
    order = np.argsort(sample, kind="stable")
    return Candidates(sample[order], strength[order], height[order], background[order])


def _inside(usable: Mask) -> Mask:
    """Find the usable samples that are not near an unusable one."""
    if usable.all():
        return usable
    return minimum_filter1d(usable, 2 * round(_EDGE_S * WORKING_FS) + 1)


def _largest_near(signal: Signal, sample: Samples, reach: int) -> tuple[Signal, Samples]:
    """Find the largest value of each lead within ``reach`` samples of some samples, and its offset from them.

    Both are [n_samples, n_leads]. Of equal values, the first counts.
    """
    if compiled.is_compiled():
        leads = [compiled.largest_near(lead, sample, reach) for lead in signal.T]
        largest, offset = (np.stack(values, axis=1) for values in zip(*leads, strict=True))
        return largest, offset
    padded = np.pad(signal.T, ((0, 0), (reach, reach)), mode="edge")
    around = np.moveaxis(sliding_window_view(padded, 2 * reach + 1, axis=1)[:, sample], 0, 1)
    return around.max(axis=2), around.argmax(axis=2) - reach


def _qrs_energy(filtered: Signal) -> Signal:
    """Compute the envelope of the QRS band: the magnitude of a Gabor wavelet's response."""
    real, imaginary = _wavelet()
    pieces = real.pieces(filtered)
    even, odd = (part.of_pieces(pieces) for part in (real, imaginary))
    np.square(even, out=even)
    even += np.square(odd, out=odd)
    return np.sqrt(even, out=even)[: len(filtered)]


@lru_cache
def _wavelet() -> tuple[ShortFilter, ShortFilter]:
    """Build the real and the imaginary part of the wavelet."""
    sd_s = 1 / (2 * np.pi * _QRS_SD_HZ)
    time_s = _offsets(3 * sd_s) / WORKING_FS
    window = np.exp(-0.5 * np.square(time_s / sd_s))
    wavelet = window * np.exp(2j * np.pi * _QRS_HZ * time_s)
    wavelet -= window * wavelet.sum() / window.sum()  # no response to a constant
    wavelet *= 2 / np.abs(wavelet).sum()
    return short_filter(wavelet.real), short_filter(wavelet.imag)


@lru_cache
def _without_baseline() -> ShortFilter:
    """Build the filter that subtracts the mean around each sample, weighted by a normal distribution."""
    taps = np.exp(-0.5 * np.square(_offsets(3 * _BASELINE_SD_S) / (_BASELINE_SD_S * WORKING_FS)))
    return short_filter((_offsets(3 * _BASELINE_SD_S) == 0) - taps / taps.sum())


def _offsets(reach_s: float) -> Samples:
    """Return the offsets from ``-reach_s`` to ``reach_s`` in samples."""
    half = round(reach_s * WORKING_FS)
    return np.arange(-half, half + 1)


def _level(energy: Signal, inside: Mask) -> Signal:
    """Compute the mean energy of each lead in the neighbourhood, over its usable samples."""
    reach = round(_LEVEL_S * WORKING_FS)
    mean = uniform_filter1d(energy, 2 * reach + 1, mode="constant")
    share = _share_inside(len(energy), reach) if inside.all() else _running_share(inside, reach)
    return np.maximum(mean / share, np.finfo(np.float32).tiny)


def _running_share(inside: Mask, reach: int) -> Signal:
    size = 2 * reach + 1
    return np.maximum(uniform_filter1d(inside, size, mode="constant"), np.float32(1 / size))


def _share_inside(n: int, reach: int) -> Signal:
    """Compute the fraction of each neighbourhood that lies between the ends of n samples, [n, 1]."""
    n_before = np.minimum(np.arange(n, dtype=np.float32)[:, None], np.float32(reach))
    return (n_before + n_before[::-1] + np.float32(1)) / np.float32(2 * reach + 1)


def _background(energy: Signal, level: Signal, inside: Mask, peak: Samples) -> Signal:
    """Compute the geometric mean of the energy around each peak, over its usable samples."""
    reach = round(_LEVEL_S * WORKING_FS)
    first, last = np.maximum(peak - reach, 0), np.minimum(peak + reach + 1, len(energy))

    def total(values: NDArray[Any]) -> Floats:
        if compiled.is_compiled() and values.dtype == np.float32:
            totals = [compiled.running_total(lead) for lead in values.T]
            return np.stack([lead[last] - lead[first] for lead in totals], axis=1)
        summed = np.cumsum(values, axis=0, dtype=np.float64)
        return np.asarray(summed[last - 1] - summed[first] + values[first])

    height = np.log(np.maximum(energy, _MIN_BACKGROUND * level))
    if inside.all():
        return np.asarray(np.exp(total(height) / (last - first)[:, None]), dtype=np.float32)
    height[~inside] = 0
    return np.asarray(np.exp(total(height) / np.maximum(total(inside), 1)), dtype=np.float32)


def _peaks(energy: Signal) -> Samples:
    """Find the maxima within _APART_S on either side."""
    apart = round(_APART_S * WORKING_FS)
    highest = maximum_filter1d(energy, 2 * apart + 1, mode="constant")
    peak = np.flatnonzero((energy == highest) & (energy > 0))
    return peak[np.diff(peak, prepend=-apart) >= apart]


def _lead_of_r_peak(prominence: Signal) -> Samples:
    """Return the lead in which the R peak is sought: the first, unless another is twice as prominent, [n]."""
    return np.asarray((prominence * np.where(np.arange(prominence.shape[1]) == 0, 2, 1)).argmax(axis=1))
