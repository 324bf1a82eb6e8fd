"""P waves in a standstill: small, narrow waves that come at a steady rate where no QRS complex is.

Sinus nodes beat at 40 to 150 a minute. So the signal is like itself 0.4 s to 1.5 s later, and only then.
Fibrillation and tremor repeat sooner, and a slow sway of the baseline is like itself a moment later too.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Signal

SHORTEST_S = 3.0
"""A shorter piece of signal has too few P waves to tell."""
PIECE_S = 8.0
"""Length of the pieces that are judged, as the rate changes; P waves go on if half of them have some."""
LAGS_S = (0.4, 1.5)
"""The time from one P wave to the next."""
ALIKE, NARROW = 0.4, 0.25
"""Least autocorrelation at the best lag, and how much more it is than beside this lag and at short lags."""
OPPOSITE = -0.45
"""Autocorrelation of a wave that goes up and down all the time. Between P waves, the signal rests."""
BESIDE_S, SOON_S = 0.15, (0.12, 0.35)
SMALLEST_MV = 0.01
"""Waves of a smaller range are noise."""
_SMOOTH_S, _LEVEL_S = 0.04, 0.4  # noise faster than this is removed, and the level over that time


def has_p_waves(signal: Signal, fs: float) -> bool:
    """Check whether P waves go on in a standstill.

    Parameters
    ----------
    signal
        [n, n_leads] in mV, without any QRS complex or T wave; NaN where missing.
    fs
        Its sampling rate in Hz.

    Returns
    -------
    True if at least half of its pieces have P waves on one lead. False if it is too short to tell.
    """
    duration_s = len(signal) / fs
    if duration_s < SHORTEST_S:
        return False
    edges = np.linspace(0, len(signal), max(round(duration_s / PIECE_S), 1) + 1).astype(int)
    pieces = (signal[first:stop] for first, stop in pairwise(edges.tolist()))
    found = [any(_has_p_waves(lead, fs) for lead in piece.T) for piece in pieces]
    return 2 * sum(found) >= len(found)


def _has_p_waves(lead: Signal, fs: float) -> bool:
    if not np.isfinite(lead).all():
        return False
    smooth, level = (_mean_over(lead - lead.mean(), round(time_s * fs)) for time_s in (_SMOOTH_S, _LEVEL_S))
    waves = smooth - level
    if np.ptp(waves) < SMALLEST_MV:
        return False
    alike = _autocorrelation(waves)
    lags = slice(*(round(lag_s * fs) for lag_s in LAGS_S))
    best = lags.start + int(alike[lags].argmax())
    beside = round(BESIDE_S * fs)
    others = max(alike[best - beside], alike[min(best + beside, len(alike) - 1)])
    soon = alike[slice(*(round(lag_s * fs) for lag_s in SOON_S))].max()
    narrow = alike[best] - max(others, soon) >= NARROW
    return bool(alike[best] >= ALIKE and narrow and alike[:best].min() > OPPOSITE)


def _mean_over(lead: NDArray[np.float32], width: int) -> NDArray[np.float64]:
    """Compute the mean over some samples around each; the ends are repeated."""
    padded = np.pad(lead.astype(np.float64), (width // 2, width - width // 2 - 1), mode="edge")
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")


def _autocorrelation(waves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the autocorrelation at each lag, by the number of pairs of samples at that lag."""
    n = len(waves)
    spectrum = np.fft.rfft(waves - waves.mean(), 2 * n)
    pairs = np.fft.irfft(np.abs(spectrum) ** 2)[:n] / np.arange(n, 0, -1)
    return np.asarray(pairs / pairs[0])
