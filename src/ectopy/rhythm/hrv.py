"""Heart rate variability, as the Task Force of ESC and NASPE defines it (1996, Eur Heart J 17: 354).

All of it rests on normal-to-normal (NN) intervals: from an N to the next N, seen whole, no pause, not in
atrial fibrillation. Nobody has edited them by hand, which the Task Force asks for; what was labelled wrong is
in them. Where they make up less than ENOUGH of the time there is no figure. Figures of recordings of unlike
length cannot be compared: variance grows with the time that is looked at.

R peaks lie on a grid of 5 ms, or of the recording where that is coarser. That adds up to 3.5 ms to RMSSD, in
quadrature, and about 1.4 ms² to the power in HF at 75 bpm. The triangular index needs bins of 7.8 ms, which
such a grid fills unevenly; it is left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import BeatClass, Beats, Mask
from ectopy.rhythm.limits import PAUSE_S
from ectopy.signal.filters import WORKING_FS

SEGMENT_S = 300.0
"""Five minutes: the shortest time that is looked at, and the segments of SDANN and SDNN index."""
ENOUGH = 0.75
"""Share of the time that NN intervals must fill: the Task Force asks for 18 hours of 24."""
LEAST_SEGMENTS = 12
"""SDANN and SDNN index need an hour of them, and ENOUGH of all there are."""
SHORTEST_NN_S = 0.3
"""No sinus rhythm is faster than 200 bpm."""
NN50_MS = 50.0
LF_HZ, HF_HZ = (0.04, 0.15), (0.15, 0.4)
SLOWEST_NN_S = 1 / (2 * HF_HZ[1])
"""Longer intervals sample HF less than twice a cycle."""
STEP_HZ = 1 / (2 * SEGMENT_S)
"""Twice as fine as a segment can tell frequencies apart."""
ABOVE_JITTER = 5.0
"""HF power must be so many times what the grid of the R peaks makes, for LF/HF to mean something."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NormalIntervals:
    """NN intervals by the time at which each ends; ``adjacent`` where the interval before is NN too."""

    time_s: Floats
    nn_ms: Floats
    adjacent: Mask

    def between(self, start_s: float, stop_s: float) -> "NormalIntervals":
        """Those that end in [start_s, stop_s)."""
        part = slice(*np.searchsorted(self.time_s, (start_s, stop_s)).tolist())
        return NormalIntervals(self.time_s[part], self.nn_ms[part], self.adjacent[part])

    def share(self, duration_s: float) -> float:
        """Part of a duration that they fill."""
        return float(self.nn_ms.sum()) / 1000 / duration_s if duration_s > 0 else 0.0

    def enough_for(self, duration_s: float) -> bool:
        """Whether figures of a stretch of this length may rest on them."""
        return duration_s >= SEGMENT_S and self.share(duration_s) >= ENOUGH


@dataclass(frozen=True)
class Variability:
    """Figures of a stretch of recording; None where NN intervals are too few for one.

    ``n_segments`` of five minutes had enough of them; SDANN, SDNN index and the powers are made of those.
    """

    nn_share_pct: float
    n_nn: int
    mean_nn_ms: float | None = None
    sdnn_ms: float | None = None
    rmssd_ms: float | None = None
    pnn50_pct: float | None = None
    n_segments: int = 0
    sdann_ms: float | None = None
    sdnn_index_ms: float | None = None
    lf_ms2: float | None = None
    hf_ms2: float | None = None
    lf_hf: float | None = None


def normal_intervals(beats: Beats, rr_s: Floats, fibrillating: Mask) -> NormalIntervals:
    """Choose the NN intervals; ``rr_s`` is NaN where an interval was not seen."""
    sinus = (beats.label == BeatClass.NORMAL) & ~fibrillating
    usable = sinus & _before(sinus) & (rr_s >= SHORTEST_NN_S) & (rr_s <= PAUSE_S)  # False for NaN
    return NormalIntervals(beats.time_s[usable], 1000 * rr_s[usable], (usable & _before(usable))[usable])


def _before(mask: Mask) -> Mask:
    return np.append(False, mask)[: len(mask)]


def variability(nn: NormalIntervals, duration_s: float, fs: float) -> Variability:
    """Compute all figures of a recording that begins at 0 s and was sampled at ``fs`` Hz."""
    found = short_term(nn, duration_s)
    if found.sdnn_ms is None:
        return found
    parts = list(segments(nn, duration_s))
    powers = [power for part in parts if (power := band_powers(part)) is not None]
    lf, hf = np.mean(powers, axis=0).tolist() if powers else (float("nan"), 0.0)
    long_term = len(parts) >= max(LEAST_SEGMENTS, ENOUGH * (duration_s // SEGMENT_S))
    return replace(
        found,
        n_segments=len(parts),
        sdann_ms=sdann_ms(parts) if long_term else None,
        sdnn_index_ms=sdnn_index_ms(parts) if long_term else None,
        lf_ms2=_rounded(lf) if powers else None,
        hf_ms2=_rounded(hf) if powers else None,
        lf_hf=_rounded(lf / hf, 2) if hf > ABOVE_JITTER * jitter_ms2(nn, fs) else None,
    )


def short_term(nn: NormalIntervals, duration_s: float) -> Variability:
    """Compute the figures that need no segments, of a stretch that lasts ``duration_s``."""
    share_pct, n = round(100 * nn.share(duration_s), 2), len(nn.nn_ms)
    if not nn.enough_for(duration_s):
        return Variability(share_pct, n)
    return Variability(
        share_pct,
        n,
        mean_nn_ms=_rounded(float(nn.nn_ms.mean())),
        sdnn_ms=_rounded(sdnn_ms(nn)),
        rmssd_ms=_rounded(rmssd_ms(nn)),
        pnn50_pct=_rounded(pnn50_pct(nn), 2),
    )


def sdnn_ms(nn: NormalIntervals) -> float:
    """Give the standard deviation of all NN intervals."""
    return float(nn.nn_ms.std(ddof=1))


def rmssd_ms(nn: NormalIntervals) -> float | None:
    """Give the root mean square of the differences between adjacent NN intervals."""
    difference = _differences(nn)
    return float(np.sqrt(np.mean(difference**2))) if len(difference) else None


def pnn50_pct(nn: NormalIntervals) -> float | None:
    """Give the share of differences between adjacent NN intervals above 50 ms.

    Differs from the Task Force, who divide by the number of NN intervals, of which not all are adjacent here.
    """
    difference = _differences(nn)
    # A hair more than 50: two intervals of 0.80 and 0.75 s differ by 50.0000000001 ms.
    return 100 * float((np.abs(difference) > NN50_MS + 1e-6).mean()) if len(difference) else None


def _differences(nn: NormalIntervals) -> Floats:
    return np.diff(nn.nn_ms)[nn.adjacent[1:]]


def segments(nn: NormalIntervals, duration_s: float) -> Iterator[NormalIntervals]:
    """Cut a recording into segments of five minutes; give those with enough NN intervals."""
    for number in range(int(duration_s // SEGMENT_S)):
        part = nn.between(number * SEGMENT_S, (number + 1) * SEGMENT_S)
        if part.enough_for(SEGMENT_S):
            yield part


def sdann_ms(parts: list[NormalIntervals]) -> float | None:
    """Give the standard deviation of the mean NN intervals of segments."""
    return _rounded(float(np.std([part.nn_ms.mean() for part in parts], ddof=1)))


def sdnn_index_ms(parts: list[NormalIntervals]) -> float | None:
    """Give the mean of the standard deviations of NN intervals of segments."""
    return _rounded(float(np.mean([sdnn_ms(part) for part in parts])))


def band_powers(part: NormalIntervals) -> tuple[float, float] | None:
    """Give the power of a segment in LF and HF, ms², None where it beats too slowly for HF.

    By the periodogram of Lomb (1976) and Scargle (1982), which takes beats at their times and invents none in
    gaps, as resampling to a regular grid would. A trend over the segment is taken out first.
    """
    spacing_s = float(part.nn_ms.mean()) / 1000
    if spacing_s > SLOWEST_NN_S:
        return None
    step: NDArray[np.int64] = np.arange(round(LF_HZ[0] / STEP_HZ), round(HF_HZ[1] / STEP_HZ) + 1)
    power = periodogram(part.time_s - part.time_s[0], without_trend(part.nn_ms), step)
    # One-sided density: that of white noise, integrated up to half the rate of beats, is its variance.
    frequency, density = STEP_HZ * step.astype(np.float64), 2 * spacing_s * power
    low, high = (_integral(frequency, density, band) for band in (LF_HZ, HF_HZ))
    return low, high


def periodogram(time_s: Floats, value: Floats, step: NDArray[np.int64]) -> Floats:
    """Give the periodogram of Lomb and Scargle at so many STEP_HZ, rising by 1: that of scipy.signal.

    At each frequency it is the power of the cosine and sine that fit best. A wave of 43 steps is one of 40
    times one of 3: so all sums over beats are a product of two matrices, of every 16th wave and the first 16.
    """
    angle = 2 * np.pi * STEP_HZ * time_s
    coarse, fine = (np.exp(1j * np.outer(steps, angle)) for steps in (step[::16], np.arange(16)))
    pairs = (coarse * value, fine), (coarse**2, fine**2)
    fit, double = ((one @ other.T).ravel()[: len(step)] for one, other in pairs)
    cosine, both, sine = (len(value) + double.real) / 2, double.imag / 2, (len(value) - double.real) / 2
    explained = fit.real**2 * sine - 2 * fit.real * fit.imag * both + fit.imag**2 * cosine
    return np.asarray(explained / (cosine * sine - both**2) / 2)


def without_trend(value: Floats) -> Floats:
    """Take out the straight line that fits best."""
    at = np.arange(len(value)) - (len(value) - 1) / 2
    return np.asarray(value - value.mean() - at * (at @ value) / max(float(at @ at), 1.0))


def _integral(frequency: Floats, density: Floats, band: tuple[float, float]) -> float:
    inside = (frequency > band[0] - STEP_HZ / 2) & (frequency < band[1] + STEP_HZ / 2)
    return float(np.trapezoid(density[inside], frequency[inside]))


def jitter_ms2(nn: NormalIntervals, fs: float) -> float:
    """Power in HF that comes from R peaks being rounded to the grids of the analysis and of the recording."""
    variance_ms2 = 1e6 * (1 / WORKING_FS**2 + 1 / fs**2) / 12
    spacing_s = float(nn.nn_ms.mean()) / 1000
    frequency = np.arange(HF_HZ[0], HF_HZ[1] + STEP_HZ / 2, STEP_HZ)
    # An interval holds the error of two peaks: its spectrum is that of their difference.
    density = 2 * spacing_s * variance_ms2 * (2 - 2 * np.cos(2 * np.pi * frequency * spacing_s))
    return float(np.trapezoid(density, frequency))


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)
