"""Features of each beat, from its timing and its morphology.

All features are relative to the patient, so that units, gain and polarity of the recording do not matter.
They are computed by segments of about half an hour, the length of the training records.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

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
from ectopy.ecg import Mask, Samples
from ectopy.features.morphology import (
    ALL_LEADS,
    CLUSTER,
    MORPHOLOGY,
    all_lead_features,
    cluster_features,
    morphology_features,
)
from ectopy.features.timing import LOCAL_BEATS, TIMING, timing_features
from ectopy.parallel.ahead import map_ahead
from ectopy.signal.filters import WORKING_FS
from ectopy.signal.rolling import median_filter

__all__ = (
    "AFTER_S",
    "ALL_LEADS",
    "BEFORE_S",
    "CLUSTER",
    "FEATURES",
    "FEATURE_NAMES",
    "MORPHOLOGY",
    "N_LEADS",
    "TIMING",
    "WINDOW",
    "WINDOW_FS",
    "BeatWindows",
    "Floats",
    "SegmentBeats",
    "as_parts",
    "cut_windows",
    "describe_segments",
    "extract_features",
    "feature_columns",
    "iter_features",
    "join",
    "segments",
)

SEGMENT_S = 1800.0
"""Length of a segment in seconds, approximately."""
TEMPLATE_FRACTION = 0.15
"""Fraction of the beats of a segment that are template beats."""
MIN_TEMPLATE_BEATS = 5
MIN_RR_S, MAX_RR_S = 0.1, 5.0
"""RR intervals are limited to this range."""

FEATURES: Mapping[str, str] = MappingProxyType(
    {
        **TIMING,
        **ALL_LEADS,
        **CLUSTER,
        **{
            f"lead {lead}: {name}": meaning
            for lead in range(1, N_LEADS + 1)
            for name, meaning in MORPHOLOGY.items()
        },
    }
)
"""Name and meaning of each feature, in the order of the columns."""
FEATURE_NAMES = tuple(FEATURES)
"""Names of the features, in the order of the columns. ``model.json`` names those that a model reads."""


class SegmentBeats(NamedTuple):
    """The n beats of a segment.

    ``features`` are [n, len(FEATURES)]. ``qrs`` are their QRS complexes, [n, N_LEADS * QRS], aligned, without
    their mean, in units of the norm of the template of each lead; 0 where a lead cannot be read.
    """

    features: Floats
    qrs: Floats


_P_CORRELATION = list(MORPHOLOGY).index("P correlation")
_RR_RATIOS = [list(TIMING).index(name) for name in ("rr over local median", "next rr over rr")]


def extract_features(windows: BeatWindows) -> Floats:
    """Compute the features of all beats: float32 [n, len(FEATURE_NAMES)]; 0 where a lead cannot be read."""
    empty = np.empty((0, len(FEATURE_NAMES)), dtype=np.float32)
    return np.concatenate([empty, *iter_features(windows)])


def feature_columns(names: Iterable[str]) -> list[int]:
    """Return the columns in which features stand, by their names; ValueError if one is unknown."""
    return [FEATURE_NAMES.index(name) for name in names]


def iter_features(windows: BeatWindows) -> Iterator[Floats]:
    """Compute the features segment by segment, as they are requested."""
    for segment in describe_segments(windows):
        yield segment.features


def describe_segments(windows: BeatWindows) -> Iterator[SegmentBeats]:
    """Compute the features and aligned QRS complexes segment by segment, one ahead of what is requested."""
    if not len(windows):
        return
    rr_s = _rr(windows.sample, windows.after_gap)
    parts = segments(windows.sample)
    in_order = map_ahead if len(parts) > 1 else map
    yield from in_order(lambda part: _segment_features(windows.take(part), rr_s[part]), parts)


def as_parts(features: Floats | Iterable[Floats]) -> Iterable[Floats]:
    """Return features in parts, [n_i, k]; a single array becomes one part."""
    return [features] if isinstance(features, np.ndarray) else features


def segments(sample: Samples) -> list[slice]:
    """Split beats into segments of equal duration, as close to SEGMENT_S as possible; none is empty."""
    duration_s = float(sample[-1] - sample[0]) / WORKING_FS
    n_segments = max(1, round(duration_s / SEGMENT_S))
    edges = np.searchsorted(sample, np.linspace(sample[0], sample[-1] + 1, n_segments + 1))
    return [slice(start, stop) for start, stop in pairwise(edges.tolist()) if stop > start]


def _rr(sample: Samples, after_gap: Mask) -> Floats:
    """Compute the RR interval in seconds that ends at each beat; the first beat takes that of the second.

    An interval across a gap is unknown. It takes the local RR, so that no beat beside it is early or late.
    """
    rr_s = np.diff(sample, prepend=sample[:1]).astype(np.float32) / np.float32(WORKING_FS)
    known = ~after_gap
    known[0] = False
    if after_gap.any() and known.any():
        local_s = median_filter(rr_s[known], size=LOCAL_BEATS, mode="nearest")
        rr_s[~known] = local_s[np.maximum(np.cumsum(known) - 1, 0)][~known]
    elif len(rr_s) > 1:
        rr_s[0] = rr_s[1]
    return np.asarray(np.clip(rr_s, MIN_RR_S, MAX_RR_S), dtype=np.float32)


def _segment_features(windows: BeatWindows, rr_s: Floats) -> SegmentBeats:
    template_beats = _template_beats(_rr_ratio(rr_s))
    timing = timing_features(rr_s, np.median(rr_s[template_beats]))
    signal = pad_leads(windows.signal).astype(np.float32)
    leads = [
        morphology_features(
            signal[:, lead], windows.scale[:, lead], windows.readable[:, lead], rr_s, template_beats
        )
        for lead in range(N_LEADS)
    ]
    qrs = np.concatenate([lead.qrs for lead in leads], axis=1)
    template = np.concatenate([lead.template for lead in leads], axis=1)
    p_correlation = np.stack([lead.features[:, _P_CORRELATION] for lead in leads], axis=1)
    columns = [
        timing,
        all_lead_features(qrs, template, p_correlation, template_beats),
        cluster_features(qrs, template_beats, timing[:, _RR_RATIOS]),
        *(lead.features for lead in leads),
    ]
    return SegmentBeats(np.concatenate(columns, axis=1, dtype=np.float32), qrs)


def _rr_ratio(rr_s: Floats) -> Floats:
    """Compute how late each beat comes, as a ratio to the local RR.

    A pause after a premature beat does not count as late. In a patient with many ventricular beats, such
    pauses would otherwise dominate. All other beats would then seem premature.
    """
    before_s = np.append(rr_s[:1], rr_s[:-1])
    local_s = median_filter((before_s + rr_s) / 2, size=LOCAL_BEATS, mode="nearest")
    return np.asarray(np.minimum(rr_s, (2 * before_s + rr_s) / 3) / local_s)


def _template_beats(rr_ratio: Floats) -> NDArray[np.intp]:
    """Return the indices of the latest beats of a segment, in order."""
    n_template = max(min(MIN_TEMPLATE_BEATS, len(rr_ratio)), round(TEMPLATE_FRACTION * len(rr_ratio)))
    return np.sort(np.argsort(rr_ratio, kind="stable")[-n_template:])
