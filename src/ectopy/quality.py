"""Which stretches of each lead can be analysed: not missing, not flat, not at the rail of the recorder."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, minimum_filter1d, uniform_filter1d

from ectopy.ecg import Mask, Signal, stretches
from ectopy.filters import rate_ratio

FLAT_S = 2.0
"""No recorder's noise stays below its last bit for so long: no electrode, or a rail."""
MISSING_S = 0.1
"""Gaps up to this are bridged: no QRS complex hides in one."""
RAIL_S = 0.2
"""A peak may be cut off at the rail for a moment; no peak lasts so long."""
_RAIL_NEAR_S = 2.0  # a rail is the highest or lowest value of this time on either side,
_RAIL_SHARE = 0.3  # and this share of the range away from the mean: the isoelectric line is near it


def usable(signal: Signal, fs: float) -> Mask:
    """Tell which samples, [n_working, n_leads] at WORKING_FS, of a signal in mV at ``fs`` can be analysed."""
    missing = ~np.isfinite(signal)
    still = _still(signal)
    bad = _lasting(missing, round(MISSING_S * fs)) | _lasting(still, round(FLAT_S * fs))
    railed = _lasting(still, round(RAIL_S * fs))
    if railed.any():
        bad |= railed & _extreme(np.where(missing, np.float32(0), signal), fs)
    return ~bad[_nearest_samples(len(signal), fs)]


def _still(signal: Signal) -> Mask:
    """Tell which samples equal the one before or the one after."""
    equal = np.diff(signal, axis=0) == 0
    return np.asarray(np.pad(equal, ((1, 0), (0, 0))) | np.pad(equal, ((0, 1), (0, 0))))


def _lasting(mask: Mask, n_samples: int) -> Mask:
    """Keep the runs of True along each lead that last ``n_samples``, or the whole of a shorter recording."""
    n_samples = max(min(n_samples, len(mask)), 1)
    kept = np.zeros_like(mask)
    for lead in np.flatnonzero(mask.any(axis=0)):
        edges = stretches(mask[:, lead])
        for start, stop in edges[edges[:, 1] - edges[:, 0] >= n_samples].tolist():
            kept[start:stop, lead] = True
    return kept


def _extreme(signal: Signal, fs: float) -> Mask:
    """Tell which samples are as high or as low as any near them, and far from their mean."""
    size = 2 * round(_RAIL_NEAR_S * fs) + 1
    highest, lowest = maximum_filter1d(signal, size, axis=0), minimum_filter1d(signal, size, axis=0)
    away = np.abs(signal - uniform_filter1d(signal.astype(np.float64), size, axis=0))
    outermost = (signal == highest) | (signal == lowest)
    return np.asarray(outermost & (away > _RAIL_SHARE * (highest - lowest)))


def _nearest_samples(n_samples: int, fs: float) -> NDArray[np.int64]:
    ratio = rate_ratio(fs)
    n_working = -(-n_samples * ratio.numerator // ratio.denominator)
    nearest = (np.arange(n_working) * ratio.denominator + ratio.numerator // 2) // ratio.numerator
    return np.minimum(nearest, n_samples - 1)
