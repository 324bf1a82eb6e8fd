"""Band-pass and resampling with finite support: signal in, signal out.

Every filter here is FIR, so a sample of output depends on ``MARGIN_S`` of input on either side and on
nothing else. A recording cut into blocks with that overlap therefore gives the samples of the whole.
"""

from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import firwin, oaconvolve, resample_poly

from ectopy.ecg import Mask, Signal

WORKING_FS = 200.0
"""Rate at which everything is analysed, in Hz; OSEA's choice. Enough for a 40 Hz band."""
LOW_HZ, HIGH_HZ = 0.5, 40.0
"""AHA's band for ambulatory rhythm analysis."""
MARGIN_S = 5.0
"""Reach of what is below on either side: filters 2.2 s, and as much again where they look into a gap."""
_TAPS_S = 4.0
_BRIDGED = 128


def rate_ratio(fs: float) -> Fraction:
    """Give WORKING_FS / fs as a ratio of small whole numbers (rates of recorders are rounded anyway)."""
    return (Fraction(WORKING_FS) / Fraction(fs).limit_denominator(1000)).limit_denominator(1000)


def resample(signal: Signal, fs: float) -> Signal:
    """Bring [n, n_leads] samples without gaps from ``fs`` to WORKING_FS; the ends are held."""
    ratio = rate_ratio(fs)
    if ratio == 1:
        return signal
    resampled = resample_poly(signal, ratio.numerator, ratio.denominator, axis=0, padtype="edge")
    return np.asarray(resampled, dtype=np.float32)


@lru_cache
def _bandpass_taps() -> NDArray[np.float32]:
    n_taps = round(_TAPS_S * WORKING_FS) + 1
    taps = firwin(n_taps, (LOW_HZ, HIGH_HZ), pass_zero="bandpass", fs=WORKING_FS)
    return np.asarray(taps - taps.mean(), dtype=np.float32)  # exactly no response to a constant


def bandpass(signal: Signal) -> Signal:
    """Keep LOW_HZ to HIGH_HZ of [n, n_leads] samples at WORKING_FS, without phase shift; ends held."""
    taps = _bandpass_taps()
    half = len(taps) // 2
    padded = np.pad(signal, ((half, half), (0, 0)), mode="edge")
    return np.asarray(oaconvolve(padded, taps[:, None], mode="valid", axes=0), dtype=np.float32)


def fill_gaps(signal: Signal) -> Signal:
    """Bridge missing samples (NaN) of [n, n_leads]; a lead without a sample becomes 0.

    A gap of up to _BRIDGED samples becomes a straight line. A longer one holds its ends as far as its middle:
    so what lies outside it depends on MARGIN_S of signal only, however long it lasts.
    """
    missing = ~np.isfinite(signal)
    if not missing.any():
        return signal
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
