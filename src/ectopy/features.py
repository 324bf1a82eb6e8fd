"""What the network reads of a beat: its timing and its likeness to the patient's own beats.

Everything is relative to the patient, after de Chazal 2004 and Llamedo & Martinez 2011: RR intervals over
the patient's own RR, shapes against the patient's own typical beat. The typical beat is the mean of the
*latest* beats of a segment, not of all: a late beat is never premature, while in a patient with many
ectopic beats the median beat is one of them (record 232). A segment is half an hour, so that a day is read
as the training recordings were.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import median_filter, minimum_filter1d, uniform_filter1d

from ectopy.ecg import Mask, Samples, Signal
from ectopy.filters import WORKING_FS

N_SLOTS = 2
"""Leads that are read; a recording with one leaves the second slot unreadable."""
WINDOW_FS = 100.0
"""Rate of the beat windows, enough for the 40 Hz band."""
BEFORE_S, AFTER_S = 0.30, 0.45
"""Extent of a window around its R peak: P wave to the end of a wide beat's T wave."""
SEGMENT_S = 1800.0
LATE_SHARE = 0.15
N_PROBES = 256
"""Beats that stand for a segment's when kin are looked for."""

Floats = NDArray[np.float32]

_STEP = round(WORKING_FS / WINDOW_FS)
_BEFORE, _AFTER = round(BEFORE_S * WINDOW_FS), round(AFTER_S * WINDOW_FS)
WINDOW = _BEFORE + _AFTER + 1
_QRS = slice(_BEFORE - 12, _BEFORE + 15)
_P = slice(_BEFORE - 28, _BEFORE - 8)
_T = slice(_BEFORE + 15, _BEFORE + 45)
_SHIFTS = range(-4, 5)
"""Alignment of a beat with another, +-40 ms."""
_EPS = np.float32(1e-6)
_ENTROPY_LAGS = 24
"""Intervals before each that are looked through for its like; twice as many are averaged."""


@dataclass(frozen=True, eq=False)
class BeatShapes:
    """The small summary of each beat that the first pass keeps.

    ``sample`` int64 [n] on the grid of WORKING_FS; ``windows`` float16 [n, N_SLOTS, WINDOW], each scaled to
    a largest deflection of 1; ``scale`` float32 [n, N_SLOTS] in mV; ``readable`` bool [n, N_SLOTS].
    """

    sample: Samples
    windows: NDArray[np.float16]
    scale: Floats
    readable: Mask

    def __len__(self) -> int:
        return len(self.sample)

    def take(self, index: NDArray[np.intp] | slice) -> "BeatShapes":
        """Keep some of the beats."""
        return BeatShapes(self.sample[index], self.windows[index], self.scale[index], self.readable[index])


def join(parts: Sequence[BeatShapes]) -> BeatShapes:
    """Put the beats of consecutive blocks together."""
    return BeatShapes(
        np.concatenate([part.sample for part in parts]),
        np.concatenate([part.windows for part in parts]),
        np.concatenate([part.scale for part in parts]),
        np.concatenate([part.readable for part in parts]),
    )


def cut_windows(clean: Signal, usable: Mask, r_peaks: Samples) -> BeatShapes:
    """Cut a window around each R peak of [n, n_leads] clean signal at WORKING_FS; the ends are held.

    A lead counts as readable at a beat where 90 % of the window is usable.
    """
    windows = np.zeros((len(r_peaks), N_SLOTS, WINDOW), dtype=np.float32)
    readable = np.zeros((len(r_peaks), N_SLOTS), dtype=bool)
    for lead in range(min(clean.shape[1], N_SLOTS)):
        windows[:, lead] = _around(clean[:, lead], r_peaks)
        readable[:, lead] = _around(usable[:, lead], r_peaks).mean(axis=1) > 0.9
    scale = np.abs(windows).max(axis=2) + np.finfo(np.float32).tiny
    return BeatShapes(r_peaks, (windows / scale[:, :, None]).astype(np.float16), scale, readable)


def _around(lead: NDArray[Any], r_peaks: Samples) -> NDArray[Any]:
    before, after = _BEFORE * _STEP, _AFTER * _STEP
    padded = np.pad(lead, (before, after), mode="edge")
    return sliding_window_view(padded, before + after + 1)[r_peaks, ::_STEP]


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
ALL_LEADS = ("correlation in own spread", "residual in own spread")
KIN = ("share of kin", "prematurity of kin", "pause after kin", "share of kin in time")
LIKENESS = (
    "correlation",
    "residual",
    "amplitude",
    "width",
    "area",
    "polarity",
    "own width",
    "P correlation",
    "P residual",
    "T correlation",
    "correlation with beat before",
    "correlation with beat after",
    "readable",
)
FEATURE_NAMES = (
    *TIMING,
    *ALL_LEADS,
    *KIN,
    *(f"lead {slot + 1}: {name}" for slot in range(N_SLOTS) for name in LIKENESS),
)


def features(shapes: BeatShapes) -> Floats:
    """Describe each beat by float32 [n, len(FEATURE_NAMES)]; 0 where a lead cannot be read."""
    if not len(shapes):
        return np.empty((0, len(FEATURE_NAMES)), dtype=np.float32)
    rr_s = _rr(shapes.sample)
    parts = [_segment_features(shapes.take(part), rr_s[part]) for part in segments(shapes.sample)]
    return np.concatenate(parts)


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


def _segment_features(shapes: BeatShapes, rr_s: Floats) -> Floats:
    local_s = median_filter(rr_s, size=21, mode="nearest")
    late = _latest(rr_s / local_s)
    timing = _timing(rr_s, local_s, late_s=np.median(rr_s[late]))
    windows = shapes.windows.astype(np.float32)
    leads = [
        _likeness(windows[:, slot], shapes.scale[:, slot], shapes.readable[:, slot], late)
        for slot in range(N_SLOTS)
    ]
    qrs = np.concatenate([lead.qrs for lead in leads], axis=1)
    typical = np.concatenate([lead.typical for lead in leads], axis=1)
    columns = [timing, _all_leads(qrs, typical, late), _kin(qrs, late, timing)]
    return np.concatenate([*columns, *(lead.likeness for lead in leads)], axis=1, dtype=np.float32)


def _latest(lateness: Floats) -> NDArray[np.intp]:
    n_late = max(min(5, len(lateness)), round(LATE_SHARE * len(lateness)))
    return np.sort(np.argsort(lateness, kind="stable")[-n_late:])


def _log_ratio(x: Any, unit: Any, *, limit: float = 1.5) -> Floats:
    ratio = np.log((x + _EPS) / (unit + _EPS))
    return np.asarray(np.clip(ratio, -limit, limit), dtype=np.float32)


def _fisher_z(correlation: Any) -> Floats:
    """Spread correlations near 1, where the beats are, after Fisher (1915)."""
    return np.asarray(np.arctanh(np.clip(correlation, -0.999, 0.999)), dtype=np.float32)


def _timing(rr_s: Floats, local_s: Floats, *, late_s: np.floating) -> Floats:
    next_s = np.append(rr_s[1:], rr_s[-1:])
    before_s = np.append(rr_s[:1], rr_s[:-1])
    step = np.abs(_log_ratio(rr_s, before_s))
    from_local = _log_ratio(rr_s, local_s)
    spread = uniform_filter1d(np.abs(from_local), size=65, mode="nearest")
    unhurried_s = np.where(from_local > -0.08, rr_s, np.float32(9))
    return np.stack(
        [
            _log_ratio(rr_s, late_s),
            _log_ratio(next_s, late_s),
            _log_ratio(rr_s, np.median(rr_s)),
            from_local,
            _log_ratio(next_s, rr_s),
            _log_ratio(rr_s, before_s),
            _log_ratio(rr_s + next_s, 2 * local_s),
            median_filter(step, size=33, mode="nearest"),
            uniform_filter1d(step, size=129, mode="nearest"),
            _log_ratio(local_s, 1.0),
            np.clip(from_local / (spread + 0.02), -5, 5),
            *_entropy(rr_s),
            _log_ratio(rr_s, minimum_filter1d(unhurried_s, 15, mode="nearest")),
            uniform_filter1d(np.float32(from_local < -0.12), 61, mode="nearest"),
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


def _unit(x: Floats) -> Floats:
    """Take the mean out of the last axis and scale it to length 1."""
    centred = x - x.mean(axis=-1, keepdims=True)
    return np.asarray(centred / (np.linalg.norm(centred, axis=-1, keepdims=True) + _EPS))


class _Lead(NamedTuple):
    """One lead's ``likeness`` [n, len(LIKENESS)]; each beat's ``qrs`` and the ``typical`` one, [n, QRS].

    The QRS complexes are aligned, in units of the typical one and 0 where the lead cannot be read.
    """

    likeness: Floats
    qrs: Floats
    typical: Floats


def _likeness(windows: Floats, scale: Floats, readable: Mask, late: NDArray[np.intp]) -> _Lead:
    """Compare one lead's beats [n, WINDOW] with their typical beat."""
    if not readable.any():
        none = np.zeros_like(windows[:, _QRS])
        return _Lead(np.zeros((len(windows), len(LIKENESS)), dtype=np.float32), none, none)
    chosen = late[readable[late]] if readable[late].any() else np.flatnonzero(readable)
    relative = scale / np.median(scale[chosen])
    beats = windows * relative[:, None]
    typical = np.median(beats[chosen], axis=0)
    correlation, beats = _align(beats, typical)
    typical = np.median(beats[chosen], axis=0)
    qrs, typical_qrs = beats[:, _QRS], typical[_QRS]
    shape = _unit(qrs)
    deviation = np.abs(qrs - np.median(qrs, axis=1, keepdims=True))
    typical_deviation = np.abs(typical_qrs - np.median(typical_qrs))
    width, typical_width = _width_s(deviation), _width_s(typical_deviation[None])
    p, typical_p = beats[:, _P], typical[_P]
    neighbours = _fisher_z((shape[1:] * shape[:-1]).sum(axis=1))
    likeness = np.stack(
        [
            _fisher_z(correlation),
            _log_ratio(np.linalg.norm(qrs - typical_qrs, axis=1), np.linalg.norm(typical_qrs), limit=3),
            _log_ratio(np.ptp(qrs, axis=1), np.ptp(typical_qrs)),
            _log_ratio(width, typical_width),
            _log_ratio(deviation.sum(axis=1), typical_deviation.sum()),
            np.clip((qrs @ typical_qrs) / (typical_qrs @ typical_qrs + _EPS), -2, 3),
            10 * width,
            _fisher_z(_unit(p) @ _unit(typical_p)),
            _log_ratio(np.linalg.norm(_centre(p) - _centre(typical_p), axis=1), np.ptp(typical_qrs), limit=3),
            _fisher_z(_unit(beats[:, _T]) @ _unit(typical[_T])),
            np.append(neighbours[:1], neighbours) if len(neighbours) else np.ones(1),
            np.append(neighbours, neighbours[-1:]) if len(neighbours) else np.ones(1),
            np.ones(len(beats)),
        ],
        axis=1,
        dtype=np.float32,
    )
    seen = readable[:, None].astype(np.float32)
    unit = np.linalg.norm(_centre(typical_qrs)) + _EPS
    return _Lead(likeness * seen, _centre(qrs) / unit * seen, _centre(typical_qrs) / unit * seen)


def _centre(x: Floats) -> Floats:
    return np.asarray(x - x.mean(axis=-1, keepdims=True))


def _align(beats: Floats, typical: Floats) -> tuple[Floats, Floats]:
    """Shift each beat [n, WINDOW] to where its QRS fits the typical one best."""
    reach = _SHIFTS.stop - 1
    padded = np.pad(beats, ((0, 0), (reach, reach)), mode="edge")
    shifted = sliding_window_view(padded, WINDOW, axis=1)
    fit = np.stack([_unit(shifted[:, k, _QRS]) @ _unit(typical[_QRS]) for k in range(len(_SHIFTS))], axis=1)
    best = fit.argmax(axis=1)
    rows = np.arange(len(beats))
    return fit[rows, best], shifted[rows, best]


def _width_s(deviation: Floats) -> Floats:
    """Width of a QRS [n, QRS] as the spread of its deflection about its centre, times sqrt(12)."""
    at = np.arange(deviation.shape[1], dtype=np.float32) / np.float32(WINDOW_FS)
    weight = deviation**2 + _EPS
    weight /= weight.sum(axis=1, keepdims=True)
    centre = weight @ at
    return np.asarray(np.sqrt(np.maximum(weight @ at**2 - centre**2, 0) * 12))


def _all_leads(qrs: Floats, typical: Floats, late: NDArray[np.intp]) -> Floats:
    """Compare the QRS of all leads at once, [n, N_SLOTS * QRS], with the typical one.

    The yardstick is how much the patient's late beats differ among themselves: noise, breathing.
    """
    size = np.linalg.norm(typical, axis=1)
    fit = (qrs * typical).sum(axis=1) / (np.linalg.norm(qrs, axis=1) * size + _EPS)
    residual = _log_ratio(np.linalg.norm(qrs - typical, axis=1), size, limit=3)
    return np.stack([_in_spread(_fisher_z(fit), late), _in_spread(residual, late)], axis=1)


def _in_spread(x: Floats, late: NDArray[np.intp]) -> Floats:
    """Give how far values are from those of the late beats, in their spread."""
    middle = np.median(x[late])
    spread = 1.48 * np.median(np.abs(x[late] - middle))  # the standard deviation of a normal distribution
    return np.asarray(np.clip((x - middle) / (2 * spread + 0.05), -6, 6), dtype=np.float32)


def _kin(qrs: Floats, late: NDArray[np.intp], timing: Floats) -> Floats:
    """Say how many of the segment's beats look like this one, and how early those came.

    A soft clustering: N_PROBES beats spread over the segment stand for it. How near kin are depends on the
    patient: late beats find kin in a sixteenth of all.
    """
    probe = np.unique(np.linspace(0, len(qrs) - 1, N_PROBES).round().astype(int))
    power = (qrs**2).sum(axis=1)
    both = power[:, None] + power[probe]
    distance = np.sqrt(np.maximum(both - 2 * qrs @ qrs[probe].T, 0) / (both + _EPS))
    near = np.median(np.partition(distance[late], len(probe) // 16, axis=1)[:, len(probe) // 16])
    weight = np.clip(2 - distance / (1.5 * np.clip(near, 0.05, 0.4)), 0, 1) + _EPS
    total = weight.sum(axis=1, keepdims=True)
    early = timing[probe][:, [TIMING.index("rr over local median"), TIMING.index("next rr over rr")]]
    in_time = (early[:, :1] > -0.05) & (early[:, 1:] < 0.15)
    told = weight @ np.concatenate([early, in_time], axis=1, dtype=np.float32) / total
    return np.concatenate([np.log(total / len(probe) + 0.01), told], axis=1, dtype=np.float32)
