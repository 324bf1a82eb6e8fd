"""Which stretches of each lead can be analysed: not missing, not flat."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_opening

from ectopy.ecg import Mask, Signal
from ectopy.filters import rate_ratio

FLAT_S = 2.0
"""No recorder's noise stays below its last bit for so long: no electrode, or a rail."""
MISSING_S = 0.1
"""Gaps up to this are bridged: no QRS complex hides in one."""


def usable(signal: Signal, fs: float) -> Mask:
    """Tell which samples, [n_working, n_leads] at WORKING_FS, of a signal in mV at ``fs`` can be analysed."""
    missing = ~np.isfinite(signal)
    still = np.diff(signal, axis=0, append=signal[-1:]) == 0
    flat_s = min(FLAT_S, len(signal) / fs)  # what is shorter and all flat is no less flat
    bad = _lasting(missing, round(MISSING_S * fs)) | _lasting(still, round(flat_s * fs))
    return ~bad[_nearest_samples(len(signal), fs)]


def _lasting(mask: Mask, n_samples: int) -> Mask:
    """Keep the runs of True along each lead that last ``n_samples`` or more."""
    return binary_opening(mask, np.ones((max(n_samples, 1), 1), dtype=bool))


def _nearest_samples(n_samples: int, fs: float) -> NDArray[np.int64]:
    ratio = rate_ratio(fs)
    n_working = -(-n_samples * ratio.numerator // ratio.denominator)
    nearest = (np.arange(n_working) * ratio.denominator + ratio.numerator // 2) // ratio.numerator
    return np.minimum(nearest, n_samples - 1)
