"""ECG leads drawn from Gaussian waves, with R peaks at chosen times."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from ectopy.ecg import Signal

FS = 360.0
Waves: TypeAlias = tuple[tuple[float, float, float], ...]
# Centre and width (sigma) in s from the R peak, height in mV: P, Q, R, S and T.
WAVES: Waves = (
    (-0.17, 0.022, 0.12),
    (-0.028, 0.008, -0.1),
    (0.0, 0.011, 1.0),
    (0.03, 0.009, -0.2),
    (0.26, 0.05, 0.25),
)
WIDE_WAVES: Waves = ((0.0, 0.035, 1.6), (0.28, 0.06, -0.5))  # a ventricular beat and its T wave
REACH = 8.0  # widths from the centre of a wave; farther away it is below 1e-13 mV
RR_S = (0.8, 0.82, 0.78, 0.81, 0.79)


def drawn(
    r_peak_s: list[float], seconds: float, *, fs: float = FS, wide: frozenset[int] = frozenset()
) -> Signal:
    """Draw one lead with beats at the given times and 5 uV of noise."""
    normal = [time_s for number, time_s in enumerate(r_peak_s) if number not in wide]
    ectopic = [time_s for number, time_s in enumerate(r_peak_s) if number in wide]
    return sketched({WAVES: normal, WIDE_WAVES: ectopic}, seconds, fs=fs)


def sketched(r_peaks_s: Mapping[Waves, Sequence[float]], seconds: float, *, fs: float = FS) -> Signal:
    """Draw one lead with waves of several kinds, each at its own times, and 5 uV of noise."""
    time_s = np.arange(round(seconds * fs)) / fs
    signal = np.random.default_rng(0).normal(scale=0.005, size=len(time_s))
    for waves, peaks_s in r_peaks_s.items():
        for peak_s in peaks_s:
            for centre, width, height in waves:
                at_s = peak_s + centre
                near = slice(*np.searchsorted(time_s, (at_s - REACH * width, at_s + REACH * width)))
                signal[near] += height * np.exp(-0.5 * ((time_s[near] - at_s) / width) ** 2)
    return signal.astype(np.float32)[:, None]


def steady(seconds: float) -> list[float]:
    """Return the R-peak times of a sinus rhythm of about 75 a minute, the first at 0.5 s."""
    rr_s = np.resize(RR_S, round(seconds / 0.8))
    return [float(time_s) for time_s in 0.5 + np.cumsum(rr_s) - rr_s[0] if time_s < seconds - 0.5]
