"""Band-pass filter, resampling and bridging of gaps, all with finite reach.

Every filter is FIR, so a sample of output depends on ``MARGIN_S`` of input on either side and on nothing
else. A recording cut into blocks with that overlap therefore gives the same samples as the whole recording.
scipy.signal has the same filters, but its import takes as long as the analysis of half an hour of signal.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ectopy.ecg import Mask, Samples, Signal, true_intervals

WORKING_FS = 200.0
"""Sampling rate of the analysis, in Hz. OSEA uses it too. It is enough for a band of 40 Hz."""
LOW_HZ, HIGH_HZ = 0.5, 40.0
"""Band of the band-pass filter: the AHA's band for ambulatory rhythm analysis."""
MARGIN_S = 5.0
"""Reach of the filters and of :func:`fill_gaps` on either side.

The filters reach 2.2 s. Where they reach into a gap, the signal beyond it counts as far again.
"""
_TAPS_S = 4.0  # length of the band-pass filter
_LARGE_OFFSET_MV = 10.0  # a hundredth is the precision of sums over a block beside it
_BRIDGED_S = 2.0  # length of the longest gap that is bridged by a straight line
_LEVEL_S = 0.2  # greatest time beside a gap whose median is the level there
_FFT_SIZE = 4096  # five times the taps of the band-pass filter, and small enough for the cache
_FFTS_AT_ONCE = 8  # so that all of them stay in the cache
_PIECE = 64  # least number of output samples per piece: about as many as the overlapping taps


def rate_ratio(fs: float) -> Fraction:
    """Return WORKING_FS / fs as a ratio of small whole numbers.

    Real recorders state rounded rates anyway.
    """
    return (Fraction(WORKING_FS) / Fraction(fs).limit_denominator(1000)).limit_denominator(1000)


def working_length(n_samples: int, fs: float) -> int:
    """Return the number of samples at WORKING_FS.

    Parameters
    ----------
    n_samples
        Number of samples of the recording.
    fs
        Its sampling rate in Hz.

    Returns
    -------
    The number of samples after :func:`resample`, rounded up.
    """
    ratio = rate_ratio(fs)
    return -(-n_samples * ratio.numerator // ratio.denominator)


def resample(signal: Signal, fs: float) -> Signal:
    """Resample a signal to WORKING_FS.

    Parameters
    ----------
    signal
        [n, n_leads] without missing samples. The ends are extended by their last value.
    fs
        Sampling rate of the signal in Hz.

    Returns
    -------
    [n_working, n_leads] at WORKING_FS.
    """
    ratio = rate_ratio(fs)
    if ratio == 1:
        return signal
    return _resampler(ratio)(signal)[: working_length(len(signal), fs)]


def bandpass(signal: Signal) -> Signal:
    """Filter [n, n_leads] samples at WORKING_FS to LOW_HZ to HIGH_HZ, without phase shift."""
    reach = len(_bandpass_taps()) // 2
    pieces = _pieces(signal, reach, size=_FFT_SIZE, step=_FFT_SIZE - 2 * reach)
    filtered = np.empty((*pieces.shape[:2], _FFT_SIZE - 2 * reach), dtype=np.float32)
    for lead, of_lead in enumerate(pieces):
        for first in range(0, len(of_lead), _FFTS_AT_ONCE):
            some = slice(first, first + _FFTS_AT_ONCE)
            spectrum = np.fft.rfft(of_lead[some])
            spectrum *= _bandpass_spectrum()
            # The samples before wrap around.
            filtered[lead, some] = np.fft.irfft(spectrum, _FFT_SIZE)[:, 2 * reach :]
    return filtered.reshape(signal.shape[1], -1)[:, : len(signal)].T


@dataclass(frozen=True, eq=False)
class ShortFilter:
    """A filter with few taps, computed as one matrix product per piece of signal.

    Pieces are ``step`` samples apart. A piece begins ``reach`` samples before its step. ``matrix`` has a row
    per sample of input and a column per sample of output.
    """

    matrix: NDArray[np.float32]
    step: int
    reach: int

    def __call__(self, signal: Signal) -> Signal:
        """Filter [n, n_leads] samples; the result may have a few samples too many at its end."""
        return self.of_pieces(self.pieces(signal))

    def pieces(self, signal: Signal) -> NDArray[np.float32]:
        """Cut [n, n_leads] samples into pieces, which filters of the same size can share."""
        pieces = _pieces(signal, self.reach, size=len(self.matrix), step=self.step)
        return np.ascontiguousarray(pieces)  # BLAS does not take overlapping rows

    def of_pieces(self, pieces: NDArray[np.float32]) -> Signal:
        """Filter the pieces of a signal, [n_leads, n_pieces, size]."""
        return (pieces @ self.matrix).reshape(len(pieces), -1).T


def short_filter(taps: NDArray[np.floating], *, up: int = 1, down: int = 1) -> ShortFilter:
    """Build the filter of an odd number of centred taps, which may also change the sampling rate.

    It does the same as :func:`scipy.signal.upfirdn`.

    Parameters
    ----------
    taps
        The impulse response at ``up`` times the rate of the input.
    up
        Factor by which the rate is raised: zeros are put between the samples.
    down
        Factor by which the rate is lowered: one sample in ``down`` is kept.

    Returns
    -------
    The filter.
    """
    half, periods = len(taps) // 2, -(-_PIECE // up)
    reach, step = -(-half // up), periods * down
    row, column = np.ogrid[: step + 2 * reach, : periods * up]
    tap = half + column * down - (row - reach) * up
    inside = (tap >= 0) & (tap < len(taps))
    matrix = np.where(inside, taps[np.clip(tap, 0, len(taps) - 1)], 0)
    return ShortFilter(matrix.astype(np.float32), step, reach)


def _pieces(signal: Signal, reach: int, *, size: int, step: int) -> NDArray[np.float32]:
    """View pieces of each lead, [n_leads, n_pieces, size], that begin ``reach`` before each ``step``."""
    n_pieces, end = -(-len(signal) // step), reach + len(signal)
    padded = np.empty((signal.shape[1], max((n_pieces - 1) * step + size, end)), dtype=np.float32)
    padded[:, reach:end] = signal.T  # np.pad takes several times as long
    padded[:, :reach] = padded[:, reach, None]
    padded[:, end:] = padded[:, end - 1, None]
    return sliding_window_view(padded, size, axis=1)[:, ::step][:, :n_pieces]


@lru_cache
def _resampler(ratio: Fraction) -> ShortFilter:
    """Build the filter of :func:`scipy.signal.resample_poly`: a low-pass below both rates, Kaiser window."""
    fastest = max(ratio.numerator, ratio.denominator)
    offsets = np.arange(-10 * fastest, 10 * fastest + 1)
    taps = np.sinc(offsets / fastest) * np.kaiser(len(offsets), 5.0)
    return short_filter(taps / taps.sum() * ratio.numerator, up=ratio.numerator, down=ratio.denominator)


@lru_cache
def _bandpass_taps() -> NDArray[np.float32]:
    """Compute the taps of :func:`scipy.signal.firwin`: Hamming window, gain 1 in the middle of the band."""
    half = round(_TAPS_S * WORKING_FS) // 2
    offsets = np.arange(-half, half + 1)
    high, low = (2 * hz / WORKING_FS for hz in (HIGH_HZ, LOW_HZ))
    taps = (high * np.sinc(high * offsets) - low * np.sinc(low * offsets)) * np.hamming(len(offsets))
    taps /= (taps * np.cos(np.pi * offsets * (low + high) / 2)).sum()
    return np.asarray(taps - taps.mean(), dtype=np.float32)  # exactly no response to a constant


@lru_cache
def _bandpass_spectrum() -> NDArray[np.complex64]:
    return np.asarray(np.fft.rfft(_bandpass_taps(), _FFT_SIZE))


def all_finite(signal: Signal) -> bool:
    """Check that no sample is missing; the sum is finite only if all samples are."""
    with np.errstate(invalid="ignore", over="ignore"):
        return bool(np.isfinite(signal.sum()))


def without_offset(signal: Signal) -> Signal:
    """Subtract a large constant from each lead of [n, n_leads].

    The electrodes give it to a recorder without a high-pass filter. Single precision would lose the beats
    beside it in sums of many samples, and the stop band of :func:`resample` is not deep enough for it.
    """
    few = signal[:: max(len(signal) // 1000, 1)]
    known = np.isfinite(few)
    offset = np.where(known, few, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    large = np.abs(offset) > _LARGE_OFFSET_MV
    return signal - np.where(large, offset, 0).astype(np.float32) if large.any() else signal


def fill_gaps(signal: Signal, fs: float) -> Signal:
    """Fill missing samples (NaN); a lead without any sample becomes 0.

    Around a gap, the level of a lead is its median over as much signal as is missing. A straight line joins
    the two levels. In a gap longer than _BRIDGED_S, each half has the level of its side. The signal outside
    the gap then depends on MARGIN_S of input only, whatever the length of the gap.

    Parameters
    ----------
    signal
        [n, n_leads] in mV.
    fs
        Sampling rate of the signal in Hz.

    Returns
    -------
    [n, n_leads] without missing samples.
    """
    if all_finite(signal):
        return signal
    missing = ~np.isfinite(signal)
    filled = np.where(missing, np.float32(0), signal)
    for lead in np.flatnonzero(missing.any(axis=0) & ~missing.all(axis=0)):
        _bridge(filled[:, lead], missing[:, lead], fs)
    return filled


def _bridge(lead: NDArray[np.float32], missing: Mask, fs: float) -> None:
    """Fill the gaps of a lead in place."""
    gaps = true_intervals(missing)
    length = gaps[:, 1] - gaps[:, 0]
    known = np.where(missing, np.float32(np.nan), lead)
    reach = np.minimum(length, round(_LEVEL_S * fs))
    left, right = (
        _levels(known, edges, reach, side) for edges, side in ((gaps[:, 0] - 1, -1), (gaps[:, 1], 1))
    )
    left, right = np.where(np.isnan(left), right, left), np.where(np.isnan(right), left, right)
    place = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    share = (place + 1) / np.repeat(length + 1, length)
    share = np.where(np.repeat(length <= _BRIDGED_S * fs, length), share, share > 0.5)
    lead[missing] = np.repeat(left, length) + share * np.repeat(right - left, length)


def _levels(known: NDArray[np.float32], edge: Samples, reach: Samples, side: int) -> NDArray[np.float32]:
    """Compute the median of up to ``reach`` known samples from each edge outwards, [k]; NaN beyond an end."""
    offset = np.arange(reach.max(initial=1))
    at = edge[:, None] + side * offset
    inside = (at >= 0) & (at < len(known)) & (offset < reach[:, None])
    values = np.where(inside, known[np.clip(at, 0, len(known) - 1)], np.float32(np.nan))
    values.sort(axis=1)  # NaN last
    n_known = len(offset) - np.isnan(values).sum(axis=1)
    return np.asarray(values[np.arange(len(values)), np.maximum(n_known - 1, 0) // 2])
