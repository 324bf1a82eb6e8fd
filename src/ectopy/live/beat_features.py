"""Features of each beat of a stream, from the beats before it only.

They mean the same as :mod:`ectopy.features.extraction`, but nothing is known of the future. The patient's own
beats are known as a few shapes that are learnt on the way: each has a running mean of its QRS complex, and of
how premature its beats are. The shape of the normal beat is that with most beats that are not premature.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
T = slice(round(0.15 * LIVE_FS), round(0.45 * LIVE_FS))
"""The part after the R peak in which a T wave is."""
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
_NOT_PREMATURE, _IN_TIME, _PREMATURE = -0.08, -0.05, -0.12  # logs of RR over the local RR
_EPS = 1e-6

_ALL_LEADS: Mapping[str, str] = {
    "rr over local": "log of RR over the local RR, the median of 17 means of two successive RR; +-1.5",
    "rr over rr before": "log of RR over the RR of the beat before, limited to +-1.5",
    "rr over rr two before": "log of RR over the RR two beats before, limited to +-1.5",
    "two rr over two local": "log of RR plus the RR before over twice the local RR, limited to +-1.5",
    "local rr": "log of the local RR in seconds, limited to +-1.5",
    "rr over late rr": "log of RR over the 80th percentile of the last 48 RR, limited to +-1.5",
    "rr over shortest": "log of RR over the shortest of the last 8 RR that are not premature; +-1.5",
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
    "P correlation without T": "Fisher's z of that correlation without the normal T wave of the beat before",
    "P residual without T": "log of the norm of what is left then over the normal amplitude; limited to +-3",
    "T correlation of beat before": "Fisher's z of the correlation of its T wave with the normal one",
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


def _nothing() -> Floats:
    return np.empty(0, dtype=np.float32)


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
    qrs: Floats = field(default_factory=_nothing)
    """[N_LEADS, QRS], the QRS complex before."""
    shape: int = -1
    """The shape of the beat before; -1 at the beginning."""
    shapes: Floats = field(default_factory=_nothing)
    """[N_SHAPES, N_LEADS, QRS] in mV, without mean."""
    of_shapes: Floats = field(default_factory=_nothing)
    """[N_SHAPES, 4]: decayed count, prematurity, pause after, share in time."""
    p_wave: Floats = field(default_factory=_nothing)
    """[N_LEADS, P], the P wave of normal beats."""
    t_wave: Floats = field(default_factory=_nothing)
    """[N_LEADS, T], the T wave of normal beats."""
    n_t_waves: int = 0
    """How many T waves made it."""
    usual: bool = False
    """Whether the beat before is a normal one that is not premature."""
    typical: tuple[float, float, float, float] = (2.5, 0.5, -1.5, 0.5)
    """Of normal beats: mean and spread of the correlation (Fisher's z), and of the log residual."""

    @property
    def normal(self) -> int:
        """The shape of normal beats."""
        return int(np.argmax(_normality(self.of_shapes)))


def _normality(of_shapes: Floats) -> Floats:
    return of_shapes[:, 0] * np.exp(4 * np.clip(of_shapes[:, 1], -1, 0))


def t_wave_between(rr_s: float) -> bool:
    """Check whether the T wave between two beats has ended when the second one is described.

    Parameters
    ----------
    rr_s
        The RR interval between them, in seconds; NaN if it is unknown.

    Returns
    -------
    Whether it is known.
    """
    return T.stop - WINDOW_AFTER <= rr_s * LIVE_FS <= _MAX_RR_S * LIVE_FS


def describe(
    patient: Patient, window: Floats, t_wave: Floats, readable: NDArray[np.bool_], rr_s: float
) -> tuple[Floats, Patient]:
    """Compute the features of a beat, and what is known of the patient after it.

    Parameters
    ----------
    patient
        What is known before the beat.
    window
        [N_LEADS, WINDOW_BEFORE + 1 + WINDOW_AFTER], the signal around the R peak in mV.
    t_wave
        [N_LEADS, T], the signal after the beat before in mV; zeros where it is unknown.
    readable
        [N_LEADS], which leads can be read.
    rr_s
        The RR interval that ends at the beat, in seconds; NaN at the beginning and after a gap.

    Returns
    -------
    Features [len(FEATURES)], and the patient after the beat.
    """
    timing, patient, from_local = _timing(patient, rr_s)
    shape, patient = _morphology(patient, window, t_wave, readable, rr_s, from_local)
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
        now and abs(earlier - before) < _SAME_RR * before
        for earlier, now in zip(recent, match[1:], strict=False)
    ]
    matches = patient.matches + (sum(match) - patient.matches) / 32
    pairs = patient.pairs + (sum(both) - patient.pairs) / 32
    premature = patient.premature + ((from_local < _PREMATURE) - patient.premature) / 32
    ordered = sorted(rr)
    late = ordered[(4 * len(ordered)) // 5]
    in_time = [one for one in rr[-8:] if one > local * math.exp(_NOT_PREMATURE)]
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
    of_shapes = patient.of_shapes.copy()
    own = of_shapes[patient.shape]
    own[2] += (pause - own[2]) * max(1 / max(own[0], 1), _LEAST_RATE)
    return replace(patient, of_shapes=of_shapes)


def _morphology(  # noqa: PLR0913, PLR0917 - what describe knows, and the log of RR over the local RR
    patient: Patient,
    window: Floats,
    t_wave: Floats,
    readable: NDArray[np.bool_],
    rr_s: float,
    from_local: float,
) -> tuple[list[float], Patient]:
    window, t_wave = window * readable[:, None], _centre(t_wave) * readable[:, None]
    if patient.shape < 0:
        patient = _first_beat(patient, window)
    normal = patient.normal
    template = patient.shapes[normal] * readable[:, None]
    shift, qrs = _align(window, template)
    at = WINDOW_BEFORE + shift
    p_wave = _centre(window[:, at + P.start : at + P.stop])
    p_alone = p_wave if math.isnan(rr_s) else _centre(p_wave - _t_under_p(patient, rr_s, shift))
    own, own_distance, shapes, of_shapes = _assign(patient, qrs, readable, from_local)
    columns, correlation, residual, p_best = _compare(
        patient, qrs, template, (p_wave, p_alone), t_wave, readable
    )
    mean_z, spread_z, mean_r, spread_r = patient.typical
    z = _fisher_z(correlation)
    p_nearby = patient.p_nearby + (p_best - patient.p_nearby) / 16
    count, prematurity, pause, in_time = of_shapes[own].tolist()
    features = [
        math.log(count / float(of_shapes[:, 0].sum()) + 0.01),
        prematurity,
        pause,
        in_time,
        math.log(min(own_distance, 2.0) + 0.02),
        _clip((z - mean_z) / (2 * spread_z + 0.05), 6),
        _clip((residual - mean_r) / (2 * spread_r + 0.05), 6),
        p_nearby,
        math.log(min(patient.n_beats + 1, 200) / 200),
        *columns,
    ]
    typical, normal_p, usual = patient.typical, patient.p_wave, False
    if own == normal and readable.any():
        typical = (
            mean_z + (z - mean_z) / 16,
            spread_z + (abs(z - mean_z) - spread_z) / 16,
            mean_r + (residual - mean_r) / 16,
            spread_r + (abs(residual - mean_r) - spread_r) / 16,
        )
        if from_local > _NOT_PREMATURE:
            rate = np.float32(max(1 / count, _LEAST_RATE))
            normal_p = normal_p + rate * (p_wave - normal_p) * readable[:, None]
            usual = True
    after = replace(
        patient,
        shapes=shapes,
        of_shapes=of_shapes,
        p_wave=normal_p,
        usual=usual,
        qrs=np.where(readable[:, None], qrs, patient.qrs),
        shape=own,
        typical=typical,
        p_nearby=p_nearby,
    )
    return features, _learn_t_wave(after, t_wave) if patient.usual and t_wave.any() else after


def _t_under_p(patient: Patient, rr_s: float, shift: int) -> Floats:
    """Return the normal T wave of the beat before, where the P wave is searched."""
    after_before = np.arange(P.start, P.stop) + shift + round(rr_s * LIVE_FS) - T.start
    return patient.t_wave[:, np.minimum(np.maximum(after_before, 0), T.stop - T.start - 1)]


def _learn_t_wave(patient: Patient, t_wave: Floats) -> Patient:
    """Learn a normal T wave from the leads in which it is known."""
    n = patient.n_t_waves + 1
    rate = np.float32(max(1 / n, _LEAST_RATE))
    learnt = patient.t_wave + rate * (t_wave - patient.t_wave) * np.any(t_wave, axis=1, keepdims=True)
    return replace(patient, t_wave=learnt, n_t_waves=n)


def _first_beat(patient: Patient, window: Floats) -> Patient:
    """Begin with the shapes of the first beat."""
    qrs = _centre(window[:, WINDOW_BEFORE - BEFORE : WINDOW_BEFORE + AFTER + 1])
    shapes = np.zeros((N_SHAPES, N_LEADS, QRS), dtype=np.float32)
    of_shapes = np.zeros((N_SHAPES, 4), dtype=np.float32)
    shapes[0], of_shapes[0] = qrs, (1, 0, 0, 1)
    p_wave = _centre(window[:, WINDOW_BEFORE + P.start : WINDOW_BEFORE + P.stop])
    t_wave = np.zeros((N_LEADS, T.stop - T.start), dtype=np.float32)
    return replace(
        patient, shapes=shapes, of_shapes=of_shapes, p_wave=p_wave, t_wave=t_wave, qrs=qrs, shape=0
    )


def _align(window: Floats, template: Floats) -> tuple[int, Floats]:
    """Return the shift at which the QRS complex is most like the normal one, and the complex there."""
    first = WINDOW_BEFORE - BEFORE - _SHIFT
    views = sliding_window_view(window[:, first : first + QRS + 2 * _SHIFT], QRS, axis=1)
    fit = (views * template[:, None]).sum(axis=2)  # the template has no mean
    power = np.square(views).sum(axis=2) - np.square(views.sum(axis=2)) / QRS
    fit, power = fit[0] + fit[1], power[0] + power[1]
    best = int((fit / np.sqrt(np.maximum(power, 0) + np.float32(_EPS))).argmax())
    return best - _SHIFT, _centre(views[:, best])


def _assign(
    patient: Patient, qrs: Floats, readable: NDArray[np.bool_], from_local: float
) -> tuple[int, float, Floats, Floats]:
    """Find the shape that is most like a QRS complex over the leads that can be read, and let it learn.

    Return the shape, its distance, and all shapes after the beat.
    """
    shapes, of_shapes = patient.shapes, patient.of_shapes * _DECAY
    mask = readable[:, None].astype(np.float32)
    read = shapes * mask
    power = np.square(read).sum(axis=(1, 2)) + float(qrs.ravel() @ qrs.ravel())
    difference = np.square(read - qrs).sum(axis=(1, 2))
    distance = np.sqrt(difference / (power + np.float32(_EPS)))
    distance[of_shapes[:, 0] == 0] = 2.0
    own = int(distance.argmin())
    own_distance = float(distance[own])
    if not readable.any():
        return own, own_distance, shapes, of_shapes
    shapes = shapes.copy()
    if own_distance > _SAME_SHAPE:
        own = int(of_shapes[:, 0].argmin())
        shapes[own] = qrs
        of_shapes[own] = (0, from_local, 0, 1)
    count, prematurity, pause, in_time = of_shapes[own].tolist()
    count += 1
    rate = max(1 / count, _LEAST_RATE)
    shapes[own] += np.float32(rate) * (qrs - shapes[own]) * mask
    is_in_time = float(from_local > _IN_TIME)
    of_shapes[own] = (
        count,
        prematurity + rate * (from_local - prematurity),
        pause,
        in_time + rate * (is_in_time - in_time),
    )
    return own, own_distance, shapes, of_shapes


def _compare(  # noqa: PLR0913, PLR0917 - the parts of a beat
    patient: Patient,
    qrs: Floats,
    template: Floats,
    p_waves: tuple[Floats, Floats],
    t_wave: Floats,
    readable: NDArray[np.bool_],
) -> tuple[list[float], float, float, float]:
    """Compare a beat with the normal one and with the beat before, lead by lead.

    The P wave is compared with and without the T wave of the beat before.

    Return the features of the leads, the correlation and the log residual over all leads, and the higher P
    correlation.
    """
    waves = np.concatenate((qrs, template))  # [2 * N_LEADS, QRS]
    square = np.square(waves)
    power = square.sum(axis=1)
    extent = (waves.max(axis=1) - waves.min(axis=1)).tolist()
    area = np.abs(waves).sum(axis=1).tolist()
    width = _widths_s(square + np.float32(_EPS))
    product = (qrs * template).sum(axis=1).tolist()
    residual = np.square(qrs - template).sum(axis=1).tolist()
    with_before = (qrs * patient.qrs).sum(axis=1).tolist()
    of_before = np.square(patient.qrs).sum(axis=1).tolist()
    p_wave, p_alone = p_waves
    like_p, alone_like_p = (_likeness(wave, patient.p_wave) for wave in p_waves)
    like_t = _likeness(t_wave, patient.t_wave)
    p_residual = np.square(p_wave - patient.p_wave).sum(axis=1).tolist()
    p_left = np.square(p_alone).sum(axis=1).tolist()
    size = np.sqrt(power).tolist()
    columns, p_best = [], 0.0
    for lead, is_read in enumerate(readable.tolist()):
        if not is_read:
            columns += [0.0] * len(_OF_LEAD)
            continue
        mine, usual = size[lead], size[N_LEADS + lead]
        p_best = max(p_best, like_p[lead])
        columns += [
            _fisher_z(product[lead] / (mine * usual + _EPS)),
            _log_ratio(math.sqrt(residual[lead]), usual, 3),
            _log_ratio(extent[lead], extent[N_LEADS + lead]),
            _log_ratio(width[lead], width[N_LEADS + lead]),
            _log_ratio(area[lead], area[N_LEADS + lead]),
            min(max(product[lead] / (usual * usual + _EPS), -2.0), 3.0),
            10 * width[lead],
            like_p[lead],
            _log_ratio(math.sqrt(p_residual[lead]), extent[N_LEADS + lead], 3),
            alone_like_p[lead],
            _log_ratio(math.sqrt(p_left[lead]), extent[N_LEADS + lead], 3),
            like_t[lead],
            _fisher_z(with_before[lead] / (mine * math.sqrt(of_before[lead]) + _EPS)),
            1.0,
        ]
    all_mine, all_usual = (math.hypot(*part) for part in (size[:N_LEADS], size[N_LEADS:]))
    correlation = sum(product) / (all_mine * all_usual + _EPS)
    return columns, correlation, _log_ratio(math.sqrt(sum(residual)), all_usual, 3), p_best


def _likeness(waves: Floats, usual: Floats) -> list[float]:
    """Compute Fisher's z of the correlation of the waves of each lead, [N_LEADS, n] without their mean."""
    product, power, of_usual = (
        (one * other).sum(axis=1).tolist() for one, other in ((waves, usual), (waves, waves), (usual, usual))
    )
    return [_fisher_z(product[n] / (math.sqrt(power[n] * of_usual[n]) + _EPS)) for n in range(N_LEADS)]


def _widths_s(power: Floats) -> list[float]:
    """Compute the width of QRS complexes [n, QRS] from their power.

    It is the spread of the power in time, times the square root of 12: the width of a rectangular pulse.
    """
    moments = power @ _TIMES
    return [
        math.sqrt(max(second / total - (first / total) ** 2, 0.0) * 12)
        for total, first, second in moments.tolist()
    ]


_TIMES = np.stack([np.power(np.arange(QRS) / LIVE_FS, order) for order in range(3)], axis=1).astype(
    np.float32
)
_DECAY = np.array((_FORGET, 1, 1, 1), dtype=np.float32)


def _centre(waves: Floats) -> Floats:
    return np.asarray(waves - waves.sum(axis=-1, keepdims=True) / np.float32(waves.shape[-1]))


def _fisher_z(correlation: float) -> float:
    return math.atanh(_clip(correlation, 0.999))


def _median(values: tuple[float, ...]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _log_ratio(value: float, unit: float, limit: float = 1.5) -> float:
    return _clip(math.log((value + _EPS) / (unit + _EPS)), limit)


def _clip(value: float, limit: float) -> float:
    return min(max(value, -limit), limit)
