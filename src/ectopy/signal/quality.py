"""Find the samples of each lead that can be analysed: not missing, not flat, not at the rail of the recorder.

Noise is recognised later, from the beats: see :mod:`ectopy.beats.signal_to_noise`.
"""

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Mask, Signal, true_intervals
from ectopy.signal.filters import all_finite, rate_ratio, working_length
from ectopy.signal.rolling import maximum_filter1d, minimum_filter1d, uniform_filter1d

FLAT_S = 2.0
"""A lead that is constant for this time has no electrode or is at the rail.

The noise of a recorder changes its last bit more often than that.
"""
MISSING_S = 0.1
"""Shorter gaps are bridged: no QRS complex fits into them."""
RAIL_S = 0.2
"""A peak may be cut off at the rail for a moment, but no peak lasts this long."""
_RAIL_NEAR_S = 2.0  # a rail is the highest or lowest value within this time on either side,
_RAIL_FRACTION = (
    0.3  # and at least this fraction of the range away from the mean; the isoelectric line is nearer
)

_STRIDES = 8  # samples of a run that are tested before all of them are

Floats = NDArray[np.floating]


def usable(signal: Signal, fs: float) -> Mask:
    """Find the samples that can be analysed.

    Parameters
    ----------
    signal
        [n, n_leads] in mV; NaN where missing.
    fs
        Its sampling rate in Hz.

    Returns
    -------
    Mask [n_working, n_leads] at WORKING_FS.
    """
    constant = long_runs(_unchanged(signal), round(RAIL_S * fs))
    bad = long_runs(constant, round(FLAT_S * fs))
    if not all_finite(signal):
        bad |= long_runs(~np.isfinite(signal), round(MISSING_S * fs))
    if constant.any():
        bad |= constant & _extreme(np.where(np.isfinite(signal), signal, np.float32(0)), fs)
    if not bad.any():
        return np.ones((working_length(len(signal), fs), signal.shape[1]), dtype=bool)
    return ~bad[_nearest_samples(len(signal), fs)]


def _unchanged(signal: Signal) -> Mask:
    """Find the samples that equal the one before or the one after."""
    unchanged = np.zeros_like(signal, dtype=bool)
    equal = signal[1:] == signal[:-1]
    unchanged[1:] = equal
    unchanged[:-1] |= equal
    return unchanged


def long_runs(mask: Mask, n_samples: int) -> Mask:
    """Keep the long runs of True along each lead.

    Parameters
    ----------
    mask
        [n, n_leads].
    n_samples
        Least length of a run. In a shorter recording, a run must fill all of it.

    Returns
    -------
    Mask [n, n_leads] of the long runs.
    """
    n_samples = max(min(n_samples, len(mask)), 1)
    long = np.zeros_like(mask)
    for lead in np.flatnonzero(_may_last(mask, n_samples)).tolist():
        edges = true_intervals(mask[:, lead])
        for start, stop in edges[edges[:, 1] - edges[:, 0] >= n_samples].tolist():
            long[start:stop, lead] = True
    return long


def _may_last(mask: Mask, n_samples: int) -> Mask:
    """Check for each lead whether a run of ``n_samples`` is possible, from a few samples of it."""
    stride = n_samples // _STRIDES
    if not stride:
        return np.asarray(mask.any(axis=0))
    in_a_row = mask[::stride].T  # a long run contains at least _STRIDES of these in a row
    for _ in range(_STRIDES - 1):
        in_a_row = in_a_row[:, 1:] & in_a_row[:, :-1]
    return np.asarray(in_a_row.any(axis=1))


def _extreme(signal: Signal, fs: float) -> Mask:
    """Find the samples that are the highest or lowest nearby and far from the mean."""
    size = 2 * round(_RAIL_NEAR_S * fs) + 1
    highest, lowest = maximum_filter1d(signal, size), minimum_filter1d(signal, size)
    away = np.abs(signal - uniform_filter1d(signal.astype(np.float64), size))
    outermost = (signal == highest) | (signal == lowest)
    return np.asarray(outermost & (away > _RAIL_FRACTION * (highest - lowest)))


def _nearest_samples(n_samples: int, fs: float) -> NDArray[np.int64]:
    ratio = rate_ratio(fs)
    working = np.arange(working_length(n_samples, fs))
    nearest = (working * ratio.denominator + ratio.numerator // 2) // ratio.numerator
    return np.minimum(nearest, n_samples - 1)
