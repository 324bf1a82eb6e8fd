"""Which stretches of each lead can be analysed: not missing, flat, at the rail of the recorder, or noise.

The first three are told from the signal, noise from its beats. A lead is clear where beats stand out from
what lies between them, and where each beat has its like nearby, be it ectopic: both measures are logarithms,
and their sum is the lead's clarity. Nearby means among a dozen beats on either side, whatever the rhythm.
After the signal quality indices of Li (2008) and Orphanidou (2015), who compare beats with one template.
"""

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Mask, Signal, true_intervals
from ectopy.signal.filters import all_finite, rate_ratio, working_length
from ectopy.signal.rolling import maximum_filter1d, minimum_filter1d, uniform_filter1d

FLAT_S = 2.0
"""No recorder's noise stays below its last bit for so long: no electrode, or a rail."""
MISSING_S = 0.1
"""Gaps up to this are bridged: no QRS complex hides in one."""
RAIL_S = 0.2
"""A peak may be cut off at the rail for a moment; no peak lasts so long."""
_RAIL_NEAR_S = 2.0  # a rail is the highest or lowest value of this time on either side,
_RAIL_SHARE = 0.3  # and this share of the range away from the mean: the isoelectric line is near it

_STRIDES = 8  # samples of a run that are looked at before all of them are

Floats = NDArray[np.floating]


def usable(signal: Signal, fs: float) -> Mask:
    """Tell which samples, [n_working, n_leads] at WORKING_FS, of a signal in mV at ``fs`` can be analysed."""
    railed = _lasting(_still(signal), round(RAIL_S * fs))
    bad = _lasting(railed, round(FLAT_S * fs))
    if not all_finite(signal):
        bad |= _lasting(~np.isfinite(signal), round(MISSING_S * fs))
    if railed.any():
        bad |= railed & _extreme(np.where(np.isfinite(signal), signal, np.float32(0)), fs)
    if not bad.any():
        return np.ones((working_length(len(signal), fs), signal.shape[1]), dtype=bool)
    return ~bad[_nearest_samples(len(signal), fs)]


def _still(signal: Signal) -> Mask:
    """Tell which samples equal the one before or the one after."""
    still = np.zeros_like(signal, dtype=bool)
    equal = signal[1:] == signal[:-1]
    still[1:] = equal
    still[:-1] |= equal
    return still


def _lasting(mask: Mask, n_samples: int) -> Mask:
    """Keep the runs of True along each lead that last ``n_samples``, or the whole of a shorter recording."""
    n_samples = max(min(n_samples, len(mask)), 1)
    kept = np.zeros_like(mask)
    for lead in np.flatnonzero(_may_last(mask, n_samples)).tolist():
        edges = true_intervals(mask[:, lead])
        for start, stop in edges[edges[:, 1] - edges[:, 0] >= n_samples].tolist():
            kept[start:stop, lead] = True
    return kept


def _may_last(mask: Mask, n_samples: int) -> Mask:
    """Tell of each lead whether a run so long is possible, from one sample in _STRIDES of them."""
    stride = n_samples // _STRIDES
    if not stride:
        return np.asarray(mask.any(axis=0))
    some = mask[::stride].T  # a run holds so many of these in a row
    for _ in range(_STRIDES - 1):
        some = some[:, 1:] & some[:, :-1]
    return np.asarray(some.any(axis=1))


def _extreme(signal: Signal, fs: float) -> Mask:
    """Tell which samples are as high or as low as any near them, and far from their mean."""
    size = 2 * round(_RAIL_NEAR_S * fs) + 1
    highest, lowest = maximum_filter1d(signal, size), minimum_filter1d(signal, size)
    away = np.abs(signal - uniform_filter1d(signal.astype(np.float64), size))
    outermost = (signal == highest) | (signal == lowest)
    return np.asarray(outermost & (away > _RAIL_SHARE * (highest - lowest)))


def _nearest_samples(n_samples: int, fs: float) -> NDArray[np.int64]:
    ratio = rate_ratio(fs)
    at = np.arange(working_length(n_samples, fs))
    nearest = (at * ratio.denominator + ratio.numerator // 2) // ratio.numerator
    return np.minimum(nearest, n_samples - 1)
