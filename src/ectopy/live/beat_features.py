"""Features of each beat of a stream, from the beats before it only.

They mean the same as :mod:`ectopy.features.extraction`, but nothing is known of the future. The patient's own
beats are known as a few shapes that are learnt on the way: each has a running mean of its QRS complex, and of
how premature its beats are. The shape of the normal beat is that with most beats that are not premature.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ectopy.live.front_end import LIVE_FS

Floats = NDArray[np.float32]

N_LEADS = 2
BEFORE, AFTER = round(0.12 * LIVE_FS), round(0.152 * LIVE_FS)
"""Samples of a QRS complex on either side of its R peak."""
QRS = BEFORE + 1 + AFTER
_SHIFT = 4  # samples by which a QRS complex is moved at most to align it with the normal one
P = slice(-round(0.28 * LIVE_FS), -round(0.08 * LIVE_FS))
"""The part before the R peak in which a P wave is."""
WINDOW_BEFORE, WINDOW_AFTER = -P.start + _SHIFT, AFTER + _SHIFT
"""Samples of signal that a beat needs on either side of its R peak."""
N_SHAPES = 6
"""Shapes of QRS complexes that are remembered."""

_MIN_RR_S, _MAX_RR_S = 0.1, 5.0
_LOCAL = 17  # pairs of RR intervals whose median is the local RR
_LATE = 48  # RR intervals whose 80th percentile is the late RR
_RECENT = 24  # RR intervals with which one is compared
_SAME_RR = 0.05  # RR intervals match within this
_SAME_SHAPE = 0.35  # distance of equal QRS complexes
_FORGET = 0.998  # decay of the count of a shape with each beat
_LEAST_RATE = 0.05  # of a running mean of a shape
_PREMATURE = -0.12
_EPS = 1e-6

_ALL_LEADS: Mapping[str, str] = {
    "rr over local": "log of RR over the local RR: the median of 17 means of two successive RR; limited to +-1.5",
    "rr over rr before": "log of RR over the RR of the beat before, limited to +-1.5",
    "rr over rr two before": "log of RR over the RR two beats before, limited to +-1.5",
    "two rr over two local": "log of RR plus the RR before over twice the local RR, limited to +-1.5",
    "local rr": "log of the local RR in seconds, limited to +-1.5",
    "rr over late rr": "log of RR over the 80th percentile of the last 48 RR, limited to +-1.5",
    "rr over shortest": "log of RR over the shortest RR of the last 8 that are not premature, limited to +-1.5",
    "rr over local longer": (
        "log of RR over the local longer RR: the median of 16 of the longer of two successive RR; +-1.5"
    ),
    "rr in own spread": "log of RR over the local RR, over 0.02 plus its running mean size; limited to +-5",
    "irregularity": "median of the last 16 absolute logs of RR over the RR before",
    "irregularity of every second beat": "median of the last 16 absolute logs of RR over the RR two before",
    "wide irregularity": "running mean, over about 64 beats, of the absolute log of RR over the RR before",
    "recurrence": "log of 0.2 plus how many of the last 24 RR match RR within 5 %",
    "entropy": "log of the running means of matching RR over matching pairs of RR, as in sample entropy",
    "share of premature beats": "running share, over about 32 beats, of the beats that are premature",
    "share of shape": "log of 0.01 plus the share of the beats that have the shape of this one",
    "prematurity of shape": "running mean of the log of RR over the local RR of beats of this shape",
    "pause after shape": "running mean of the log of the next RR over RR of beats of this shape",
    "share in time of shape": "running share of the beats of this shape that are not premature",
    "distance from shape": "log of the distance of the QRS from the shape that is most like it",
    "correlation in own spread": "correlation with the normal QRS, in running spreads of normal beats; +-6",
    "residual in own spread": "residual from the normal QRS, in running spreads of normal beats; +-6",
    "P correlation nearby": "running mean, over about 16 beats, of the higher P correlation of the leads",
    "beats so far": "log of the number of beats so far, at most 200, over 200",
}
_OF_LEAD: Mapping[str, str] = {
    "correlation": "Fisher's z of the correlation with the normal QRS, at the best alignment within 32 ms",
    "residual": "log of the norm of QRS minus normal QRS over the norm of the normal QRS; limited to +-3",
    "amplitude": "log of the peak-to-peak amplitude over that of the normal QRS; limited to +-1.5",
    "width": "log of the width over that of the normal QRS; limited to +-1.5",
    "area": "log of the absolute area over that of the normal QRS; limited to +-1.5",
    "polarity": "projection on the normal QRS: 1 if equal, negative if inverted; limited to -2 to 3",
    "width in 0.1 s": "QRS width in units of 0.1 s",
    "P correlation": "Fisher's z of the correlation with the P wave of normal beats, 0.28 to 0.08 s before R",
    "P residual": "log of the norm of the difference from that P wave over the normal amplitude; +-3",
    "correlation with beat before": "Fisher's z of the correlation with the QRS of the beat before",
    "readable": "1 if the lead is readable at the beat, else 0; then all features of the lead are 0",
}
FEATURES: Mapping[str, str] = MappingProxyType(
    {
        **_ALL_LEADS,
        **{f"lead {n}: {name}": text for n in range(1, N_LEADS + 1) for name, text in _OF_LEAD.items()},
    }
)
"""Name and meaning of each feature, in the order of the columns."""


@dataclass(frozen=True, eq=False)
class Patient:
    """What is known of a patient after some beats; never changed, so that a guess can be taken back."""

    rr: tuple[float, ...] = ()
    """The last RR intervals in seconds, the latest last."""
    pairs_s: tuple[float, ...] = ()
    """The means of the last pairs of successive RR intervals."""
    longer: tuple[float, ...] = ()
    """The longer of the last pairs."""
    steps: tuple[float, ...] = ()
    second_steps: tuple[float, ...] = ()
    n_beats: int = 0
    spread: float = 0.05
    wide: float = 0.05
    matches: float = 1.0
    pairs: float = 1.0
    premature: float = 0.0
    p_nearby: float = 0.5
    qrs: Floats | None = None
    """[N_LEADS, QRS], the QRS complex before; None at the beginning."""
    shape: int = -1
    """The shape of the beat before."""
    shapes: Floats | None = None
    """[N_SHAPES, N_LEADS, QRS] in mV, without mean."""
    of_shapes: Floats | None = None
    """[N_SHAPES, 4]: decayed count, prematurity, pause after, share in time."""
    p_wave: Floats | None = None
    """[N_LEADS, P], the P wave of normal beats."""
    typical: tuple[float, float, float, float] = (2.5, 0.5, -1.5, 0.5)
    """Of normal beats: mean and spread of the correlation (Fisher's z), and of the log residual."""

    @property
    def normal(self) -> int:
        """The shape of normal beats."""
        assert self.of_shapes is not None
        return int(np.argmax(_normality(self.of_shapes)))


def _normality(of_shapes: Floats) -> Floats:
    return of_shapes[:, 0] * np.exp(4 * np.clip(of_shapes[:, 1], -1, 0))


def describe(patient: Patient, window: Floats, readable: NDArray[np.bool_], rr_s: float) -> tuple[Floats, Patient]:
    """Compute the features of a beat, and what is known of the patient after it.

    Parameters
    ----------
    patient
        What is known before the beat.
    window
        [N_LEADS, WINDOW_BEFORE + 1 + WINDOW_AFTER], the signal around the R peak in mV.
    readable
        [N_LEADS], which leads can be read.
    rr_s
        The RR interval that ends at the beat, in seconds; NaN at the beginning and after a gap.

    Returns
    -------
    Features [len(FEATURES)], and the patient after the beat.
    """
    timing, patient, from_local = _timing(patient, rr_s)
    shape, patient = _morphology(patient, window, readable, from_local)
    return np.array(timing + shape, dtype=np.float32), replace(patient, n_beats=patient.n_beats + 1)


def _timing(patient: Patient, rr_s: float) -> tuple[list[float], Patient, float]:
    known = patient.rr
    if math.isnan(rr_s):
        rr_s = _median(known[-_LOCAL:]) if known else 0.8
    rr_s = min(max(rr_s, _MIN_RR_S), _MAX_RR_S)
    before = known[-1] if known else rr_s
    two_before = known[-2] if len(known) > 1 else before
    recent = known[-_RECENT:]
    rr = (*known, rr_s)[-_LATE:]
    longer = (*patient.longer, max(rr_s, before))[-_LOCAL:]
    # In bigeminy, the median of all RR intervals may be that of the premature beats. That of pairs is not.
    pairs_s = (*patient.pairs_s, (rr_s + before) / 2)[-_LOCAL:]
    local = _median(pairs_s)
    from_local = _log_ratio(rr_s, local)
    step, second = abs(_log_ratio(rr_s, before)), abs(_log_ratio(rr_s, two_before))
    steps, seconds = (*patient.steps, step)[-_LOCAL:], (*patient.second_steps, second)[-_LOCAL:]
    spread = patient.spread + (abs(from_local) - patient.spread) / 32
    wide = patient.wide + (step - patient.wide) / 64
    match = [abs(one - rr_s) < _SAME_RR * rr_s for one in recent]
    both = [
        now and abs(earlier - before) < _SAME_RR * before for earlier, now in zip(recent, match[1:], strict=False)
    ]
    matches = patient.matches + (sum(match) - patient.matches) / 32
    pairs = patient.pairs + (sum(both) - patient.pairs) / 32
    premature = patient.premature + ((from_local < _PREMATURE) - patient.premature) / 32
    ordered = sorted(rr)
    late = ordered[(4 * len(ordered)) // 5]
    in_time = [one for one in rr[-8:] if one > local * math.exp(-0.08)]
    features = [
        from_local,
        _log_ratio(rr_s, before),
        _log_ratio(rr_s, two_before),
        _log_ratio(rr_s + before, 2 * local),
        _log_ratio(local, 1.0),
        _log_ratio(rr_s, late),
        _log_ratio(rr_s, min(in_time, default=local)),
        _log_ratio(rr_s, _median(longer)),
        _clip(from_local / (spread + 0.02), 5),
        _median(steps),
        _median(seconds),
        wide,
        math.log(sum(match) + 0.2),
        math.log((matches + 0.2) / (pairs + 0.2)),
        premature,
    ]
    after = replace(
        patient,
        rr=rr,
        pairs_s=pairs_s,
        longer=longer,
        steps=steps,
        second_steps=seconds,
        spread=spread,
        wide=wide,
        matches=matches,
        pairs=pairs,
        premature=premature,
    )
    if after.shape >= 0:
        after = _note_pause(after, _log_ratio(rr_s, before))
    return features, after, from_local


def _note_pause(patient: Patient, pause: float) -> Patient:
    """Note the RR after the beat before, which is now known, with its shape."""
    assert patient.of_shapes is not None
    of_shapes = patient.of_shapes.copy()
    own = of_shapes[patient.shape]
    own[2] += (pause - own[2]) * max(1 / max(own[0], 1), _LEAST_RATE)
    return replace(patient, of_shapes=of_shapes)


def _morphology(
    patient: Patient, window: Floats, readable: NDArray[np.bool_], from_local: float
) -> tuple[list[float], Patient]:
    window = window * readable[:, None]
    if patient.shapes is None or patient.of_shapes is None or patient.p_wave is None or patient.qrs is None:
        qrs = _centre(window[:, WINDOW_BEFORE - BEFORE : WINDOW_BEFORE + AFTER + 1])
        shapes = np.zeros((N_SHAPES, N_LEADS, QRS), dtype=np.float32)
        shapes[0] = qrs
        of_shapes = np.zeros((N_SHAPES, 4), dtype=np.float32)
        of_shapes[0] = (1, 0, 0, 1)
        patient = replace(
            patient, shapes=shapes, of_shapes=of_shapes, p_wave=_p_wave(window, 0), qrs=qrs, shape=0
        )
    shapes, of_shapes = patient.shapes, patient.of_shapes
    assert shapes is not None and of_shapes is not None
    assert patient.p_wave is not None and patient.qrs is not None
    normal = patient.normal
    template = shapes[normal]
    shift, qrs = _align(window, template)
    p_wave = _p_wave(window, shift)

    # The shape that is most like it, over the leads that can be read.
    difference = np.square(shapes - qrs).sum(axis=(1, 2))
    power = (np.square(shapes).sum(axis=2) * readable).sum(axis=1)
    own_power = float(np.square(qrs).sum())
    unread = (np.square(shapes).sum(axis=2) * ~readable).sum(axis=1)
    distance = np.sqrt(np.maximum(difference - unread, 0) / (power + own_power + _EPS))
    distance[of_shapes[:, 0] == 0] = 2.0
    own = int(np.argmin(distance))
    own_distance = float(distance[own])
    of_shapes = of_shapes * np.array((_FORGET, 1, 1, 1), dtype=np.float32)
    if readable.any():
        shapes = shapes.copy()
        if own_distance > _SAME_SHAPE:
            own = int(np.argmin(of_shapes[:, 0]))
            shapes[own] = qrs
            of_shapes[own] = (0, from_local, 0, 1)
        of_shapes[own, 0] += 1
        rate = max(1 / of_shapes[own, 0], _LEAST_RATE)
        shapes[own] += rate * (qrs - shapes[own]) * readable[:, None]
        of_shapes[own, 1] += rate * (from_local - of_shapes[own, 1])
        of_shapes[own, 3] += rate * ((from_local > -0.05) - of_shapes[own, 3])

    correlation = _correlation(qrs.ravel(), (template * readable[:, None]).ravel())
    residual = _log_ratio(
        _norm(qrs - template * readable[:, None]), _norm(template * readable[:, None]), 3
    )
    mean_z, spread_z, mean_r, spread_r = patient.typical
    z = _fisher_z(correlation)
    p_best, columns = 0.0, []
    for lead in range(N_LEADS):
        of_lead = _of_lead(patient, qrs[lead], template[lead], p_wave[lead], lead) if readable[lead] else None
        columns += of_lead or [0.0] * len(_OF_LEAD)
        if of_lead:
            p_best = max(p_best, of_lead[7])
    is_normal = own == normal
    typical = patient.typical
    if is_normal and readable.any():
        typical = (
            mean_z + (z - mean_z) / 16,
            spread_z + (abs(z - mean_z) - spread_z) / 16,
            mean_r + (residual - mean_r) / 16,
            spread_r + (abs(residual - mean_r) - spread_r) / 16,
        )
    p_nearby = patient.p_nearby + (p_best - patient.p_nearby) / 16
    features = [
        math.log(float(of_shapes[own, 0]) / float(of_shapes[:, 0].sum()) + 0.01),
        float(of_shapes[own, 1]),
        float(of_shapes[own, 2]),
        float(of_shapes[own, 3]),
        math.log(min(own_distance, 2.0) + 0.02),
        _clip((z - mean_z) / (2 * spread_z + 0.05), 6),
        _clip((residual - mean_r) / (2 * spread_r + 0.05), 6),
        p_nearby,
        math.log(min(patient.n_beats + 1, 200) / 200),
        *columns,
    ]
    normal_p = patient.p_wave
    if is_normal and from_local > -0.08:
        rate = max(1 / float(of_shapes[own, 0]), _LEAST_RATE)
        normal_p = normal_p + np.float32(rate) * (p_wave - normal_p) * readable[:, None]
    after = replace(
        patient,
        shapes=shapes,
        of_shapes=of_shapes,
        p_wave=normal_p,
        qrs=np.where(readable[:, None], qrs, patient.qrs),
        shape=own,
        typical=typical,
        p_nearby=p_nearby,
    )
    return features, after


def _of_lead(patient: Patient, qrs: Floats, template: Floats, p_wave: Floats, lead: int) -> list[float]:
    assert patient.p_wave is not None and patient.qrs is not None
    size = _norm(template)
    extent = float(np.ptp(template))
    width, normal_width = _width_s(qrs), _width_s(template)
    normal_p = patient.p_wave[lead]
    return [
        _fisher_z(_correlation(qrs, template)),
        _log_ratio(_norm(qrs - template), size, 3),
        _log_ratio(float(np.ptp(qrs)), extent),
        _log_ratio(width, normal_width),
        _log_ratio(float(np.abs(qrs).sum()), float(np.abs(template).sum())),
        min(max(float(qrs @ template) / (size * size + _EPS), -2.0), 3.0),
        10 * width,
        _fisher_z(_correlation(p_wave, normal_p)),
        _log_ratio(_norm(p_wave - normal_p), extent, 3),
        _fisher_z(_correlation(qrs, patient.qrs[lead])),
        1.0,
    ]


def _align(window: Floats, template: Floats) -> tuple[int, Floats]:
    """Return the shift at which the QRS complex is most like the normal one, and the complex there."""
    first = WINDOW_BEFORE - BEFORE - _SHIFT
    views = sliding_window_view(window[:, first : first + QRS + 2 * _SHIFT], QRS, axis=1)
    centred = views - views.mean(axis=2, keepdims=True)
    fit = (centred * template[:, None]).sum(axis=(0, 2))
    power = np.square(centred).sum(axis=(0, 2))
    best = int(np.argmax(fit / np.sqrt(power + _EPS)))
    return best - _SHIFT, centred[:, best]


def _p_wave(window: Floats, shift: int) -> Floats:
    at = WINDOW_BEFORE + shift
    return _centre(window[:, at + P.start : at + P.stop])


def _centre(waves: Floats) -> Floats:
    return np.asarray(waves - waves.mean(axis=-1, keepdims=True))


def _correlation(one: Floats, other: Floats) -> float:
    return float(one @ other) / (_norm(one) * _norm(other) + _EPS)


def _norm(wave: Floats) -> float:
    flat = wave.ravel()
    return math.sqrt(float(flat @ flat))


def _fisher_z(correlation: float) -> float:
    return math.atanh(_clip(correlation, 0.999))


def _width_s(qrs: Floats) -> float:
    """Compute the width of a QRS complex: the spread of its power in time, times the square root of 12."""
    power = np.square(qrs) + np.float32(_EPS)
    total = float(power.sum())
    centre = float(power @ _TIME_S) / total
    return math.sqrt(max(float(power @ _TIME_SQUARED) / total - centre * centre, 0.0) * 12)


_TIME_S = np.arange(QRS, dtype=np.float32) / np.float32(LIVE_FS)
_TIME_SQUARED = np.square(_TIME_S)


def _median(values: tuple[float, ...]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _log_ratio(value: float, unit: float, limit: float = 1.5) -> float:
    return _clip(math.log((value + _EPS) / (unit + _EPS)), limit)


def _clip(value: float, limit: float) -> float:
    return min(max(value, -limit), limit)
