"""What the network reads of a beat: its timing and its likeness to the patient's own beats.

Everything is relative to the patient, after de Chazal 2004 and Llamedo & Martinez 2011: RR intervals over
the patient's own RR, shapes against the patient's own typical beat. A segment is half an hour, so that a day
is read as the training recordings were.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ectopy.beats.windows import (
    AFTER_S,
    BEFORE_S,
    N_LEADS,
    WINDOW,
    WINDOW_FS,
    BeatWindows,
    Floats,
    cut_windows,
    join,
    pad_leads,
)
from ectopy.ecg import Samples
from ectopy.features.morphology import (
    ALL_LEADS,
    CLUSTER,
    MORPHOLOGY,
    all_lead_features,
    cluster_features,
    log_ratio,
    morphology_features,
)
from ectopy.signal.filters import WORKING_FS
from ectopy.signal.rolling import median_filter, minimum_filter1d, uniform_filter1d

__all__ = (
    "AFTER_S",
    "ALL_LEADS",
    "BEFORE_S",
    "CLUSTER",
    "FEATURE_NAMES",
    "MORPHOLOGY",
    "N_LEADS",
    "TIMING",
    "WINDOW",
    "WINDOW_FS",
    "BeatWindows",
    "Floats",
    "cut_windows",
    "extract_features",
    "in_parts",
    "iter_features",
    "join",
    "segments",
)

SEGMENT_S = 1800.0
TEMPLATE_SHARE = 0.15
_ENTROPY_LAGS = 24
"""Intervals before each that are looked through for its like; twice as many are averaged."""


TIMING = (
    "rr over late rr",
    "next rr over late rr",
    "rr over segment median",
    "rr over local median",
    "next rr over rr",
    "rr over rr before",
    "two rr over two local medians",
    "local irregularity",
    "wide irregularity",
    "local median rr",
    "rr over local median, in local spreads",
    "sample entropy",
    "rr recurrence",
    "rr over shortest unhurried rr nearby",
    "share of hurried beats nearby",
)
_EARLY = [TIMING.index("rr over local median"), TIMING.index("next rr over rr")]
FEATURE_NAMES = (
    *TIMING,
    *ALL_LEADS,
    *CLUSTER,
    *(f"lead {slot + 1}: {name}" for slot in range(N_LEADS) for name in MORPHOLOGY),
)


def extract_features(shapes: BeatWindows) -> Floats:
    """Describe each beat by float32 [n, len(FEATURE_NAMES)]; 0 where a lead cannot be read."""
    return np.concatenate([np.empty((0, len(FEATURE_NAMES)), dtype=np.float32), *iter_features(shapes)])


def iter_features(shapes: BeatWindows) -> Iterator[Floats]:
    """Describe the beats of one segment after the other, as they are asked for."""
    if not len(shapes):
        return
    rr_s = _rr(shapes.sample)
    for part in segments(shapes.sample):
        yield _segment_features(shapes.take(part), rr_s[part])


def in_parts(features: Floats | Iterable[Floats]) -> Iterable[Floats]:
    """Give features in parts, [n_i, k]: one, where they come whole."""
    return [features] if isinstance(features, np.ndarray) else features


def segments(sample: Samples) -> list[slice]:
    """Split beats into stretches of equal length, as near to SEGMENT_S as they come."""
    extent_s = float(sample[-1] - sample[0]) / WORKING_FS
    n_segments = max(1, round(extent_s / SEGMENT_S))
    edges = np.searchsorted(sample, np.linspace(sample[0], sample[-1] + 1, n_segments + 1))
    return [slice(start, stop) for start, stop in pairwise(edges.tolist()) if stop > start]


def _rr(sample: Samples) -> Floats:
    """RR intervals in seconds ending at each beat; the first beat, which has none, takes the second's."""
    rr_s = np.diff(sample, prepend=sample[:1]).astype(np.float32) / np.float32(WORKING_FS)
    if len(rr_s) > 1:
        rr_s[0] = rr_s[1]
    return np.asarray(np.clip(rr_s, 0.1, 5.0), dtype=np.float32)


def _segment_features(shapes: BeatWindows, rr_s: Floats) -> Floats:
    local_s = median_filter(rr_s, size=21, mode="nearest")
    late = _template_beats(_rr_ratio(rr_s))
    timing = _timing(rr_s, local_s, late_s=np.median(rr_s[late]))
    windows = pad_leads(shapes.windows).astype(np.float32)
    leads = [
        morphology_features(windows[:, slot], shapes.scale[:, slot], shapes.readable[:, slot], late)
        for slot in range(N_LEADS)
    ]
    qrs = np.concatenate([lead.qrs for lead in leads], axis=1)
    typical = np.concatenate([lead.template for lead in leads], axis=1)
    columns = [timing, all_lead_features(qrs, typical, late), cluster_features(qrs, late, timing[:, _EARLY])]
    return np.concatenate([*columns, *(lead.features for lead in leads)], axis=1, dtype=np.float32)


def _rr_ratio(rr_s: Floats) -> Floats:
    """Say how late each beat comes for the local pace; a pause that makes up for an early beat is not late.

    In a patient with many ventricular beats such pauses would set the pace, and all others seem early.
    """
    before_s = np.append(rr_s[:1], rr_s[:-1])
    pace_s = median_filter((before_s + rr_s) / 2, size=21, mode="nearest")
    return np.asarray(np.minimum(rr_s, (2 * before_s + rr_s) / 3) / pace_s)


def _template_beats(lateness: Floats) -> NDArray[np.intp]:
    n_late = max(min(5, len(lateness)), round(TEMPLATE_SHARE * len(lateness)))
    return np.sort(np.argsort(lateness, kind="stable")[-n_late:])


def _timing(rr_s: Floats, local_s: Floats, *, late_s: np.floating) -> Floats:
    next_s = np.append(rr_s[1:], rr_s[-1:])
    before_s = np.append(rr_s[:1], rr_s[:-1])
    step = np.abs(log_ratio(rr_s, before_s))
    from_local = log_ratio(rr_s, local_s)
    spread = uniform_filter1d(np.abs(from_local), size=65, mode="nearest")
    unhurried_s = np.where(from_local > -0.08, rr_s, np.float32(9))
    return np.stack(
        [
            log_ratio(rr_s, late_s),
            log_ratio(next_s, late_s),
            log_ratio(rr_s, np.median(rr_s)),
            from_local,
            log_ratio(next_s, rr_s),
            log_ratio(rr_s, before_s),
            log_ratio(rr_s + next_s, 2 * local_s),
            median_filter(step, size=33, mode="nearest"),
            uniform_filter1d(step, size=129, mode="nearest"),
            log_ratio(local_s, 1.0),
            np.clip(from_local / (spread + 0.02), -5, 5),
            *_entropy(rr_s),
            log_ratio(rr_s, minimum_filter1d(unhurried_s, 15, mode="nearest")),
            uniform_filter1d((from_local < -0.12).astype(np.float32), 61, mode="nearest"),
        ],
        axis=1,
    )


def _entropy(rr_s: Floats) -> tuple[Floats, Floats]:
    """Give the sample entropy of RR intervals about each beat, and how often an interval comes again.

    After Lake & Moorman (2011): intervals within 5 % match; entropy compares matches of single intervals
    with those of pairs. Fibrillation never repeats itself, while early beats, bigeminy too, come in patterns.
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
