"""Heart rate variability, as the Task Force of ESC and NASPE defines it (1996, Eur Heart J 17: 354).

All measures are computed from normal-to-normal (NN) intervals. An NN interval runs from one N beat to the
next N beat. It is readable throughout, is not a pause and does not lie in atrial fibrillation. The Task Force
asks for manual editing, which is not done here: wrongly labelled beats affect the measures. Where NN
intervals fill less than MIN_NN_SHARE of the time, no measure is computed. Variance grows with the length of
the recording, so recordings of different length cannot be compared.

R peaks lie on a grid of 5 ms, or on the grid of the recording where that is coarser. That adds up to 3.5 ms
to RMSSD, in quadrature, and about 1.4 ms² to the HF power at 75 bpm. The triangular index is left out: it
needs bins of 7.8 ms, and such a grid fills them unevenly.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import BeatClass, Beats, Mask
from ectopy.signal.filters import WORKING_FS

SEGMENT_S = 300.0
"""Shortest recording with measures, and length of the segments of SDANN and SDNN index: five minutes."""
MIN_NN_SHARE = 0.75
"""Share of the time that NN intervals must fill: the Task Force asks for 18 hours of 24."""
MIN_SEGMENTS = 12
"""SDANN and SDNN index need an hour of segments, and MIN_NN_SHARE of all segments of the recording."""
SHORTEST_NN_S = 0.3
"""A shorter interval is not a sinus beat: no sinus rhythm is faster than 200 bpm."""
LONGEST_NN_S = 2.0
"""A longer interval is a pause, or a beat is missing."""
NN50_MS = 50.0
LF_HZ, HF_HZ = (0.04, 0.15), (0.15, 0.4)
SLOWEST_NN_S = 1 / (2 * HF_HZ[1])
"""With longer intervals, a cycle in the HF band has fewer than two beats."""
STEP_HZ = 1 / (2 * SEGMENT_S)
"""Step of the spectrum: half the frequency resolution of a segment."""
MIN_HF_TO_JITTER = 5.0
"""LF/HF is computed only if the HF power is this many times the power that the grid of the R peaks causes."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NormalIntervals:
    """NN intervals in order of time.

    ``time_s`` is the time at which each interval ends, in seconds, [n]. ``nn_ms`` are the intervals in ms,
    [n]. ``adjacent`` is True where the interval before is an NN interval too, [n].
    """

    time_s: Floats
    nn_ms: Floats
    adjacent: Mask

    def between(self, start_s: float, stop_s: float) -> "NormalIntervals":
        """Return the intervals that end in a part of the recording.

        Parameters
        ----------
        start_s, stop_s
            The half-open part [start_s, stop_s), in seconds.

        Returns
        -------
        The intervals of that part.
        """
        part = slice(*np.searchsorted(self.time_s, (start_s, stop_s)).tolist())
        return NormalIntervals(self.time_s[part], self.nn_ms[part], self.adjacent[part])

    def share(self, duration_s: float) -> float:
        """Compute the share of a duration that the intervals fill."""
        return float(self.nn_ms.sum()) / 1000 / duration_s if duration_s > 0 else 0.0

    def enough_for(self, duration_s: float) -> bool:
        """Return whether the intervals suffice for the measures of a part of this length."""
        return duration_s >= SEGMENT_S and self.share(duration_s) >= MIN_NN_SHARE


@dataclass(frozen=True)
class Variability:
    """Measures of a recording or a part of it; None where there are too few NN intervals.

    ``n_segments`` is the number of five-minute segments with enough NN intervals. SDANN, SDNN index and the
    powers are computed from these segments.
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


def normal_intervals(beats: Beats, rr_s: Floats, in_af: Mask, *, with_sveb: bool = False) -> NormalIntervals:
    """Select the NN intervals of a recording.

    Parameters
    ----------
    beats
        Beats in order of time, [n].
    rr_s
        RR intervals in seconds that end at each beat, NaN where unknown, [n].
    in_af
        True for beats in atrial fibrillation, [n].
    with_sveb
        Whether supraventricular ectopic beats count as normal ones, as some readers want it.

    Returns
    -------
    The NN intervals.
    """
    letters = [BeatClass.NORMAL, *([BeatClass.SVEB] if with_sveb else [])]
    sinus = np.isin(beats.label, letters) & ~in_af
    usable = sinus & _before(sinus) & (rr_s >= SHORTEST_NN_S) & (rr_s <= LONGEST_NN_S)  # False for NaN
    return NormalIntervals(beats.time_s[usable], 1000 * rr_s[usable], (usable & _before(usable))[usable])


def _before(mask: Mask) -> Mask:
    return np.append(False, mask)[: len(mask)]


def variability(nn: NormalIntervals, duration_s: float, fs: float) -> Variability:
    """Compute all measures of a whole recording.

    Parameters
    ----------
    nn
        NN intervals of the recording; times count from its start.
    duration_s
        Length of the recording in seconds.
    fs
        Sampling rate of the recording in Hz.

    Returns
    -------
    The measures.
    """
    short = short_term(nn, duration_s)
    if short.sdnn_ms is None:
        return short
    parts = list(_segments(nn, duration_s))
    powers = [power for part in parts if (power := _band_powers(part)) is not None]
    lf, hf = np.mean(powers, axis=0).tolist() if powers else (float("nan"), 0.0)
    long_term = len(parts) >= max(MIN_SEGMENTS, MIN_NN_SHARE * (duration_s // SEGMENT_S))
    return replace(
        short,
        n_segments=len(parts),
        sdann_ms=_sdann_ms(parts) if long_term else None,
        sdnn_index_ms=_sdnn_index_ms(parts) if long_term else None,
        lf_ms2=_rounded(lf) if powers else None,
        hf_ms2=_rounded(hf) if powers else None,
        lf_hf=_rounded(lf / hf, 2) if hf > MIN_HF_TO_JITTER * jitter_ms2(nn, fs) else None,
    )


def short_term(nn: NormalIntervals, duration_s: float) -> Variability:
    """Compute the measures that need no segments.

    Parameters
    ----------
    nn
        NN intervals of a recording or a part of it.
    duration_s
        Length of the recording or part in seconds.

    Returns
    -------
    Measures without those of segments, which are None.
    """
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
    """Compute the standard deviation of all NN intervals in ms."""
    return float(nn.nn_ms.std(ddof=1))


def rmssd_ms(nn: NormalIntervals) -> float | None:
    """Compute the root mean square of differences between adjacent NN intervals in ms; None without any."""
    difference = _differences(nn)
    return float(np.sqrt(np.mean(difference**2))) if len(difference) else None


def pnn50_pct(nn: NormalIntervals) -> float | None:
    """Compute the percentage of differences between adjacent NN intervals above 50 ms; None without any.

    Differs from the Task Force, who divide by the number of NN intervals. Here, not all of these are
    adjacent.
    """
    difference = _differences(nn)
    # Slightly more than 50 ms: two intervals of 0.80 and 0.75 s differ by 50.0000000001 ms.
    return 100 * float((np.abs(difference) > NN50_MS + 1e-6).mean()) if len(difference) else None


def _differences(nn: NormalIntervals) -> Floats:
    return np.diff(nn.nn_ms)[nn.adjacent[1:]]


def _segments(nn: NormalIntervals, duration_s: float) -> Iterator[NormalIntervals]:
    """Split a recording into segments of five minutes; yield those with enough NN intervals."""
    for number in range(int(duration_s // SEGMENT_S)):
        part = nn.between(number * SEGMENT_S, (number + 1) * SEGMENT_S)
        if part.enough_for(SEGMENT_S):
            yield part


def _sdann_ms(parts: list[NormalIntervals]) -> float | None:
    """Compute the standard deviation of the mean NN intervals of segments."""
    return _rounded(float(np.std([part.nn_ms.mean() for part in parts], ddof=1)))


def _sdnn_index_ms(parts: list[NormalIntervals]) -> float | None:
    """Compute the mean of the standard deviations of NN intervals of segments."""
    return _rounded(float(np.mean([sdnn_ms(part) for part in parts])))


def _band_powers(part: NormalIntervals) -> tuple[float, float] | None:
    """Compute the power of a segment in LF and HF, in ms²; None where the heart rate is too slow for HF.

    The periodogram of Lomb (1976) and Scargle (1982) uses the beats at their own times. Resampling to a
    regular grid would invent beats in gaps. A linear trend over the segment is removed first.
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
    """Compute the periodogram of Lomb and Scargle, as ``scipy.signal.lombscargle`` does.

    At each frequency it is the power of the best-fitting cosine and sine. The complex wave of 43 steps is the
    product of those of 40 and 3 steps. So all sums over beats are one product of two matrices: every 16th
    wave and the first 16 waves.

    Parameters
    ----------
    time_s
        Times of the values in seconds, [n].
    value
        The values, [n].
    step
        Frequencies as consecutive multiples of STEP_HZ, [k].

    Returns
    -------
    The power at each frequency, in squared units of ``value``, [k].
    """
    angle = 2 * np.pi * STEP_HZ * time_s
    coarse, fine = (np.exp(1j * np.outer(steps, angle)) for steps in (step[::16], np.arange(16)))
    pairs = (coarse * value, fine), (coarse**2, fine**2)
    fit, double = ((left @ right.T).ravel()[: len(step)] for left, right in pairs)
    cosine, both, sine = (len(value) + double.real) / 2, double.imag / 2, (len(value) - double.real) / 2
    explained = fit.real**2 * sine - 2 * fit.real * fit.imag * both + fit.imag**2 * cosine
    return np.asarray(explained / (cosine * sine - both**2) / 2)


def without_trend(value: Floats) -> Floats:
    """Subtract the best-fitting straight line from equally spaced values, [n]."""
    x = np.arange(len(value)) - (len(value) - 1) / 2
    return np.asarray(value - value.mean() - x * (x @ value) / max(float(x @ x), 1.0))


def _integral(frequency: Floats, density: Floats, band: tuple[float, float]) -> float:
    inside = (frequency > band[0] - STEP_HZ / 2) & (frequency < band[1] + STEP_HZ / 2)
    return float(np.trapezoid(density[inside], frequency[inside]))


def jitter_ms2(nn: NormalIntervals, fs: float) -> float:
    """Compute the HF power caused by rounding R peaks to the grids of the analysis and of the recording.

    Parameters
    ----------
    nn
        NN intervals.
    fs
        Sampling rate of the recording in Hz.

    Returns
    -------
    Power in ms².
    """
    variance_ms2 = 1e6 * (1 / WORKING_FS**2 + 1 / fs**2) / 12
    spacing_s = float(nn.nn_ms.mean()) / 1000
    frequency = np.arange(HF_HZ[0], HF_HZ[1] + STEP_HZ / 2, STEP_HZ)
    # An interval has the errors of two peaks: its spectrum is that of their difference.
    density = 2 * spacing_s * variance_ms2 * (2 - 2 * np.cos(2 * np.pi * frequency * spacing_s))
    return float(np.trapezoid(density, frequency))


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)
