"""RR intervals and heart rates.

All rules of rhythm use one series of RR intervals, :attr:`ectopy.ecg.Analysis.rr_s`. An interval ends at its
beat. It is NaN for the first beat, across an unreadable interval, and beside a beat in noise.
"""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ectopy.ecg import Beats, Mask, Samples, after_gap
from ectopy.rhythm.limits import NO_RATE_S, RATE_INTERVALS
from ectopy.rhythm.wording import whole_bpm
from ectopy.signal.rolling import parts_in_context

Seconds = NDArray[np.float64]


def rr_intervals_s(beats: Beats, unreadable: Samples, low_quality: Mask | None = None) -> Seconds:
    """Compute the RR intervals that rules of rhythm may use.

    Parameters
    ----------
    beats
        Beats in order of time, [n].
    unreadable
        Half-open [start, stop) intervals in samples, int64 [k, 2]. No RR interval reaches across one.
    low_quality
        True where a beat lies in noise, [n]. A beat may have been missed beside it, or it may be none. So
        its two RR intervals are NaN, unless they are longer than NO_RATE_S: one missed beat does not explain
        those, and they may be asystole or fibrillation.

    Returns
    -------
    Intervals in seconds that end at each beat, [n].
    """
    rr_s = beats.rr_s
    rr_s[after_gap(beats.sample, unreadable)] = np.nan
    if low_quality is not None:
        beside = low_quality | np.append(False, low_quality)[: len(beats)]
        rr_s[beside & (rr_s < NO_RATE_S)] = np.nan
    return rr_s


def rate_bpm(beats: Beats, rr_s: Seconds) -> Seconds:
    """Compute the heart rate at each beat, over the RATE_INTERVALS intervals that end there.

    Parameters
    ----------
    beats
        Beats in order of time, [n].
    rr_s
        Their RR intervals in seconds, [n]; see :func:`rr_intervals_s`.

    Returns
    -------
    Rates in beats a minute, [n]; NaN where one of the intervals is missing.
    """
    rate, sample = np.full(len(beats), np.nan), beats.sample
    for part in parts_in_context(max(len(beats) - RATE_INTERVALS, 0), 0):
        first, stop = part.core.start, part.core.stop + RATE_INTERVALS  # of the beats whose intervals count
        complete = sliding_window_view(rr_s[first + 1 : stop] < NO_RATE_S, RATE_INTERVALS).all(axis=1)
        # From samples: see mean_bpm.
        span = sample[first + RATE_INTERVALS : stop] - sample[part.core]
        rate[first + RATE_INTERVALS : stop][complete] = (60 * beats.fs * RATE_INTERVALS / span)[complete]
    return rate


def mean_bpm(beats: Beats, spans: NDArray[np.intp]) -> Seconds:
    """Compute the mean rate of groups of beats.

    Parameters
    ----------
    beats
        Beats in order of time.
    spans
        Half-open [start, stop) pairs of beats, [k, 2].

    Returns
    -------
    Rates in beats a minute, [k].
    """
    start, last = spans[:, 0], spans[:, 1] - 1
    # From samples: in seconds, a run at exactly 100 bpm might be a hair above.
    return np.asarray(60 * beats.fs * (last - start) / (beats.sample[last] - beats.sample[start]))


class HeartRate(NamedTuple):
    """Mean over all intervals, lowest and highest :func:`rate_bpm`; NaN for none.

    The few means of eight in a short recording may all be slower or faster than the mean of all. Then they do
    not show the lowest and the highest rate, and these are NaN. Rates are compared in whole bpm, as on
    pages.

    The time of a rate is that at which its RATE_INTERVALS intervals begin, in seconds.
    """

    mean_bpm: float
    min_bpm: float
    max_bpm: float
    min_at_s: float
    max_at_s: float


NO_HEART_RATE = HeartRate(*[np.nan] * 5)


def heart_rate(time_s: Seconds, rr_s: Seconds, rate: Seconds) -> HeartRate:
    """Compute the heart rate of a recording or a part of it.

    Parameters
    ----------
    time_s
        Times of the beats in seconds, [n].
    rr_s
        RR intervals that end there, in seconds, [n].
    rate
        :func:`rate_bpm` at each beat, [n].

    Returns
    -------
    Mean, lowest and highest rate.
    """
    beating = rr_s[rr_s < NO_RATE_S]
    if not len(beating):
        return NO_HEART_RATE
    mean = round(60 / float(beating.mean()), 9)  # exactly 50 bpm must not be a hair below
    if np.isnan(rate).all():
        return NO_HEART_RATE._replace(mean_bpm=mean)
    extremes = [np.nanargmin(rate), np.nanargmax(rate)]
    shown = [int(whole_bpm(bpm)) for bpm in (rate[extremes[0]], mean, rate[extremes[1]])]
    if shown != sorted(shown):
        return NO_HEART_RATE._replace(mean_bpm=mean)
    begin_s = time_s[extremes] - 60 * RATE_INTERVALS / rate[extremes]
    return HeartRate(mean, *map(float, (*rate[extremes], *begin_s)))
