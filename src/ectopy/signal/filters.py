"""Band-pass and resampling with finite support: signal in, signal out.

Every filter here is FIR, so a sample of output depends on ``MARGIN_S`` of input on either side and on
nothing else. A recording cut into blocks with that overlap therefore gives the samples of the whole.
scipy.signal has all of them, too, and takes as long to import as half an hour of signal to analyse.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ectopy.ecg import Mask, Signal

WORKING_FS = 200.0
"""Rate at which everything is analysed, in Hz; OSEA's choice. Enough for a 40 Hz band."""
LOW_HZ, HIGH_HZ = 0.5, 40.0
"""AHA's band for ambulatory rhythm analysis."""
MARGIN_S = 5.0
"""Reach of what is below on either side: filters 2.2 s, and as much again where they look into a gap."""
_TAPS_S = 4.0
_BRIDGED = 128
_FFT_SIZE = 4096  # five times the taps of the band-pass, and in the cache
_PIECE = 64  # samples a piece gives at least: about as many as the taps that overlap


def rate_ratio(fs: float) -> Fraction:
    """Give WORKING_FS / fs as a ratio of small whole numbers (rates of recorders are rounded anyway)."""
    return (Fraction(WORKING_FS) / Fraction(fs).limit_denominator(1000)).limit_denominator(1000)


def working_length(n_samples: int, fs: float) -> int:
    """Count the samples that so many at ``fs`` have on the grid of WORKING_FS."""
    ratio = rate_ratio(fs)
    return -(-n_samples * ratio.numerator // ratio.denominator)


def resample(signal: Signal, fs: float) -> Signal:
    """Bring [n, n_leads] samples without gaps from ``fs`` to WORKING_FS; the ends are held."""
    ratio = rate_ratio(fs)
    if ratio == 1:
        return signal
    return _resampler(ratio)(signal)[: working_length(len(signal), fs)]


def bandpass(signal: Signal) -> Signal:
    """Keep LOW_HZ to HIGH_HZ of [n, n_leads] samples at WORKING_FS, without phase shift; ends held."""
    reach = len(_bandpass_taps()) // 2
    pieces = _pieces(signal, reach, size=_FFT_SIZE, step=_FFT_SIZE - 2 * reach)
    spectrum = np.fft.rfft(pieces)
    spectrum *= _bandpass_spectrum()
    filtered = np.fft.irfft(spectrum, _FFT_SIZE)[..., 2 * reach :]  # before, it wraps around
    return np.asarray(filtered.reshape(signal.shape[1], -1)[:, : len(signal)].T, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class ShortFilter:
    """A filter of few taps, as the product of pieces of signal, a ``step`` apart, with one matrix.

    A piece begins ``reach`` samples before its step; it has a row of ``matrix``, and its output a column.
    """

    matrix: NDArray[np.float32]
    step: int
    reach: int

    def __call__(self, signal: Signal) -> Signal:
        """Filter [n, n_leads] samples, their ends held; a part of a piece may follow what was asked for."""
        pieces = _pieces(signal, self.reach, size=len(self.matrix), step=self.step)
        filtered = np.ascontiguousarray(pieces) @ self.matrix  # overlapping rows would not go to BLAS
        return filtered.reshape(signal.shape[1], -1).T


def short_filter(taps: NDArray[np.floating], *, up: int = 1, down: int = 1) -> ShortFilter:
    """Make the filter of an odd number of centred taps; it brings the rate up and down by whole numbers.

    As :func:`scipy.signal.upfirdn` has it: zeros are put between the samples, one in ``down`` is kept.
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
    n_pieces = -(-len(signal) // step)
    after = max((n_pieces - 1) * step + size - reach - len(signal), 0)
    padded = np.pad(np.ascontiguousarray(signal.T), ((0, 0), (reach, after)), mode="edge")
    return sliding_window_view(padded, size, axis=1)[:, ::step][:, :n_pieces]


@lru_cache
def _resampler(ratio: Fraction) -> ShortFilter:
    """Make the filter of :func:`scipy.signal.resample_poly`: below both rates, Kaiser's window."""
    fastest = max(ratio.numerator, ratio.denominator)
    offsets = np.arange(-10 * fastest, 10 * fastest + 1)
    taps = np.sinc(offsets / fastest) * np.kaiser(len(offsets), 5.0)
    return short_filter(taps / taps.sum() * ratio.numerator, up=ratio.numerator, down=ratio.denominator)


@lru_cache
def _bandpass_taps() -> NDArray[np.float32]:
    """Give the taps of :func:`scipy.signal.firwin`, by Hamming's window: gain 1 in the middle of the band."""
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
    """Tell whether no sample is missing: one that is makes their sum so."""
    with np.errstate(invalid="ignore", over="ignore"):
        return bool(np.isfinite(signal.sum()))


def fill_gaps(signal: Signal) -> Signal:
    """Bridge missing samples (NaN) of [n, n_leads]; a lead without a sample becomes 0.

    A gap of up to _BRIDGED samples becomes a straight line. A longer one holds its ends as far as its middle:
    so what lies outside it depends on MARGIN_S of signal only, however long it lasts.
    """
    if all_finite(signal):
        return signal
    missing = ~np.isfinite(signal)
    filled = np.where(missing, np.float32(0), signal)
    for lead in np.flatnonzero(missing.any(axis=0) & ~missing.all(axis=0)):
        filled[:, lead] = _bridge(filled[:, lead], missing[:, lead])
    return filled


def _bridge(lead: NDArray[np.float32], missing: Mask) -> NDArray[np.float32]:
    known, gap = np.flatnonzero(~missing), np.flatnonzero(missing)
    after = np.searchsorted(known, gap)
    left, right = known[np.maximum(after - 1, 0)], known[np.minimum(after, len(known) - 1)]
    held = lead[np.where(np.abs(gap - left) <= np.abs(right - gap), left, right)]
    line = np.interp(gap, known, lead[known])
    bridged = lead.copy()
    bridged[gap] = np.where(right - left <= _BRIDGED, line, held)
    return bridged
