"""ECG leads drawn from Gaussian waves, with R peaks at chosen times."""

import numpy as np

from ectopy.ecg import Signal

FS = 360.0
# Centre and width (sigma) in s from the R peak, height in mV: P, Q, R, S and T.
WAVES = (
    (-0.17, 0.022, 0.12),
    (-0.028, 0.008, -0.1),
    (0.0, 0.011, 1.0),
    (0.03, 0.009, -0.2),
    (0.26, 0.05, 0.25),
)
WIDE_WAVES = ((0.0, 0.035, 1.6), (0.28, 0.06, -0.5))  # a ventricular beat and its T wave
RR_S = (0.8, 0.82, 0.78, 0.81, 0.79)


def drawn(
    r_peak_s: list[float], seconds: float, *, fs: float = FS, wide: frozenset[int] = frozenset()
) -> Signal:
    """Draw one lead with beats at the given times and 5 uV of noise."""
    time_s = np.arange(round(seconds * fs)) / fs
    signal = np.random.default_rng(0).normal(scale=0.005, size=len(time_s))
    for number, r_peak in enumerate(r_peak_s):
        for centre, width, height in WIDE_WAVES if number in wide else WAVES:
            signal += height * np.exp(-0.5 * ((time_s - r_peak - centre) / width) ** 2)
    return signal.astype(np.float32)[:, None]


def steady(seconds: float) -> list[float]:
    """Return the R-peak times of a sinus rhythm of about 75 a minute, the first at 0.5 s."""
    rr_s = np.resize(RR_S, round(seconds / 0.8))
    return [float(time_s) for time_s in 0.5 + np.cumsum(rr_s) - rr_s[0] if time_s < seconds - 0.5]
