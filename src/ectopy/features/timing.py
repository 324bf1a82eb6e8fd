"""Timing features: RR intervals relative to the patient's own RR intervals, and how regular they are.

RR is the interval in seconds that ends at the beat; the next RR begins at it. Features are natural logarithms
of ratios unless stated otherwise. Relative intervals follow de Chazal 2004 and Llamedo & Martinez 2011.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from ectopy.beats.windows import Floats
from ectopy.features.columns import log_ratio, stack_columns
from ectopy.signal.rolling import median_filter, minimum_filter1d, uniform_filter1d

LOCAL_BEATS = 21
"""Beats whose median RR is the local RR: ten on either side."""
_NOT_PREMATURE, _PREMATURE = -0.08, -0.12
"""Log of RR over local RR: above the first a beat is not premature, below the second it is."""
_ENTROPY_LAGS = 24
"""Each interval is compared with the 23 before it. Matches are averaged over 49 beats."""

TIMING: Mapping[str, str] = MappingProxyType(
    {
        "rr over late rr": "log of RR over the median RR of the template beats, limited to +-1.5",
        "next rr over late rr": (
            "log of the next RR over the median RR of the template beats, limited to +-1.5"
        ),
        "rr over segment median": "log of RR over the median RR of the segment, limited to +-1.5",
        "rr over local median": "log of RR over the local RR, the median of 21 beats, limited to +-1.5",
        "next rr over rr": "log of the next RR over RR, limited to +-1.5",
        "rr over rr before": "log of RR over the RR of the beat before, limited to +-1.5",
        "two rr over two local medians": (
            "log of RR plus the next RR over twice the local RR, limited to +-1.5"
        ),
        "local irregularity": "median over 33 beats of the absolute log of RR over the RR before",
        "wide irregularity": "mean over 129 beats of the absolute log of RR over the RR before",
        "local median rr": "log of the local RR in seconds, limited to +-1.5",
        "rr over local median, in local spreads": (
            "log of RR over the local RR, divided by 0.02 plus its mean absolute value over 65 beats, "
            "limited to +-5"
        ),
        "sample entropy": (
            "log of the number of RR intervals that match an interval before within 5 %, over the number of "
            "matching pairs of successive intervals; both are means over 49 beats plus 0.2"
        ),
        "rr recurrence": (
            "log of the number of RR intervals, among the 23 before, that match RR within 5 %; the number "
            "is a mean over 49 beats plus 0.2"
        ),
        "rr over shortest non-premature rr nearby": (
            "log of RR over the shortest RR of a non-premature beat (log of RR over the local RR above "
            "-0.08) among 15 beats, limited to +-1.5"
        ),
        "share of premature beats nearby": (
            "fraction of premature beats among 61 beats, 0 to 1; a beat is premature if the log of RR over "
            "the local RR is below -0.12"
        ),
        "rr over longer neighbour rr": (
            "log of RR over the longer of the RR before and the next RR, limited to +-1.5"
        ),
        "rr over local longer rr": (
            "log of RR over the local longer RR, the median over 21 beats of the longer of RR and the next "
            "RR; limited to +-1.5"
        ),
        "two rr over local longer rr": (
            "log of RR plus the RR before, over the local longer RR; near 0 after an interpolated beat; "
            "limited to +-1.5"
        ),
        "irregularity of every second beat": (
            "median over 33 beats of the absolute log of RR over the RR two beats before"
        ),
    }
)
"""Name and meaning of each timing feature, in the order of the columns."""


def timing_features(rr_s: Floats, template_rr_s: np.floating) -> Floats:
    """Compute the timing features of the beats of a segment.

    Parameters
    ----------
    rr_s
        [n], the RR interval that ends at each beat, in seconds.
    template_rr_s
        Median RR interval of the template beats, in seconds.

    Returns
    -------
    [n, len(TIMING)].
    """
    next_s = np.append(rr_s[1:], rr_s[-1:])
    before_s = np.append(rr_s[:1], rr_s[:-1])
    local_s = median_filter(rr_s, size=LOCAL_BEATS, mode="nearest")
    step = np.abs(log_ratio(rr_s, before_s))
    from_local = log_ratio(rr_s, local_s)
    spread = uniform_filter1d(np.abs(from_local), size=65, mode="nearest")
    not_premature_s = np.where(from_local > _NOT_PREMATURE, rr_s, np.float32(9))  # 9 s is longer than any RR
    shortest_s = minimum_filter1d(not_premature_s, 15, mode="nearest")
    premature = (from_local < _PREMATURE).astype(np.float32)
    entropy, recurrence = _entropy(rr_s)
    # In bigeminy, the median of all RR intervals may be that of the premature beats.
    longer_s = median_filter(np.maximum(rr_s, next_s), size=LOCAL_BEATS, mode="nearest")
    two_before_s = np.append(rr_s[:2], rr_s[:-2])[: len(rr_s)]
    return stack_columns(
        {
            "rr over late rr": log_ratio(rr_s, template_rr_s),
            "next rr over late rr": log_ratio(next_s, template_rr_s),
            "rr over segment median": log_ratio(rr_s, np.median(rr_s)),
            "rr over local median": from_local,
            "next rr over rr": log_ratio(next_s, rr_s),
            "rr over rr before": log_ratio(rr_s, before_s),
            "two rr over two local medians": log_ratio(rr_s + next_s, 2 * local_s),
            "local irregularity": median_filter(step, size=33, mode="nearest"),
            "wide irregularity": uniform_filter1d(step, size=129, mode="nearest"),
            "local median rr": log_ratio(local_s, 1.0),
            "rr over local median, in local spreads": np.clip(from_local / (spread + 0.02), -5, 5),
            "sample entropy": entropy,
            "rr recurrence": recurrence,
            "rr over shortest non-premature rr nearby": log_ratio(rr_s, shortest_s),
            "share of premature beats nearby": uniform_filter1d(premature, 61, mode="nearest"),
            "rr over longer neighbour rr": log_ratio(rr_s, np.maximum(before_s, next_s)),
            "rr over local longer rr": log_ratio(rr_s, longer_s),
            "two rr over local longer rr": log_ratio(rr_s + before_s, longer_s),
            "irregularity of every second beat": median_filter(
                np.abs(log_ratio(rr_s, two_before_s)), size=33, mode="nearest"
            ),
        },
        TIMING,
    )


def _entropy(rr_s: Floats) -> tuple[Floats, Floats]:
    """Compute the sample entropy of RR intervals around each beat, and how often intervals recur.

    After Lake & Moorman (2011): intervals within 5 % match. Entropy compares matches of single intervals with
    matches of pairs. Atrial fibrillation never repeats itself, while premature beats come in patterns, even
    in bigeminy.
    """
    log_rr = np.log(rr_s)
    single, double = np.zeros_like(log_rr), np.zeros_like(log_rr)
    for lag in range(1, min(_ENTROPY_LAGS, len(log_rr))):
        match = np.abs(log_rr[lag:] - log_rr[:-lag]) < 0.05
        single[lag:] += match
        double[lag + 1 :] += match[1:] & match[:-1]
    single, double = (
        0.2 + uniform_filter1d(x, 2 * _ENTROPY_LAGS + 1, mode="nearest") for x in (single, double)
    )
    return np.log(single / double), np.log(single)
