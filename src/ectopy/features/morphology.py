"""How a beat's shape relates to the patient's own: to the typical beat, its neighbours and its kin.

The typical beat is the median of the *late* beats of a segment, not of all: a late beat is never premature,
while in a patient with many ectopic beats the median beat is one of them (record 232).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ectopy.beats.windows import BEFORE, WINDOW, WINDOW_FS, Floats
from ectopy.ecg import Mask

ALL_LEADS = ("correlation in own spread", "residual in own spread")
CLUSTER = ("share of kin", "prematurity of kin", "pause after kin", "share of kin in time")
MORPHOLOGY = (
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

N_PROBES = 256
"""Beats that stand for a segment's when kin are looked for."""

_QRS = slice(BEFORE - 12, BEFORE + 15)
_P = slice(BEFORE - 28, BEFORE - 8)
_T = slice(BEFORE + 15, BEFORE + 45)
_SHIFTS = range(-4, 5)
"""Alignment of a beat with another, +-40 ms."""
_EPS = np.float32(1e-6)


def log_ratio(x: Any, unit: Any, *, limit: float = 1.5) -> Floats:
    """Give the logarithm of a ratio, no further than ``limit`` from 0."""
    ratio = np.log((x + _EPS) / (unit + _EPS))
    return np.asarray(np.clip(ratio, -limit, limit), dtype=np.float32)


def _fisher_z(correlation: Any) -> Floats:
    """Spread correlations near 1, where the beats are, after Fisher (1915)."""
    return np.asarray(np.arctanh(np.clip(correlation, -0.999, 0.999)), dtype=np.float32)


def _unit(x: Floats) -> Floats:
    """Take the mean out of the last axis and scale it to length 1."""
    centred = x - x.mean(axis=-1, keepdims=True)
    return np.asarray(centred / (np.linalg.norm(centred, axis=-1, keepdims=True) + _EPS))


class LeadMorphology(NamedTuple):
    """One lead's ``likeness`` [n, len(LIKENESS)]; each beat's ``qrs`` and the ``typical`` one, [n, QRS].

    The QRS complexes are aligned, in units of the typical one and 0 where the lead cannot be read.
    """

    features: Floats
    qrs: Floats
    template: Floats


def morphology_features(
    windows: Floats, scale: Floats, readable: Mask, late: NDArray[np.intp]
) -> LeadMorphology:
    """Compare one lead's beats [n, WINDOW] with their typical beat."""
    if not readable.any():
        none = np.zeros_like(windows[:, _QRS])
        return LeadMorphology(np.zeros((len(windows), len(MORPHOLOGY)), dtype=np.float32), none, none)
    chosen = late[readable[late]] if readable[late].any() else np.flatnonzero(readable)
    relative = scale / np.median(scale[chosen])
    beats = windows * relative[:, None]
    typical = np.median(beats[chosen], axis=0)
    correlation, beats = _align(beats, typical)
    typical = np.median(beats[chosen], axis=0)
    qrs, typical_qrs = beats[:, _QRS], typical[_QRS]
    columns: list[Floats] = [
        _fisher_z(correlation),
        *_compare_qrs(qrs, typical_qrs),
        *_compare_waves(beats, typical),
        *_compare_neighbours(_unit(qrs)),
        np.ones(len(beats), dtype=np.float32),
    ]
    seen = readable[:, None].astype(np.float32)
    unit = np.linalg.norm(_centre(typical_qrs)) + _EPS
    likeness = np.stack(columns, axis=1, dtype=np.float32) * seen
    return LeadMorphology(likeness, _centre(qrs) / unit * seen, _centre(typical_qrs) / unit * seen)


def _compare_qrs(qrs: Floats, typical: Floats) -> list[Floats]:
    """Give residual, amplitude, width, area and polarity of each QRS, and its own width in 0.1 s."""
    deviation = np.abs(qrs - np.median(qrs, axis=1, keepdims=True))
    typical_deviation = np.abs(typical - np.median(typical))
    width_s = _width_s(deviation)
    return [
        log_ratio(np.linalg.norm(qrs - typical, axis=1), np.linalg.norm(typical), limit=3),
        log_ratio(np.ptp(qrs, axis=1), np.ptp(typical)),
        log_ratio(width_s, _width_s(typical_deviation[None])),
        log_ratio(deviation.sum(axis=1), typical_deviation.sum()),
        np.clip((qrs @ typical) / (typical @ typical + _EPS), -2, 3),
        10 * width_s,
    ]


def _compare_waves(beats: Floats, typical: Floats) -> list[Floats]:
    """Give correlation and residual where the P wave is, and the correlation of the T wave."""
    p, typical_p = _centre(beats[:, _P]), _centre(typical[_P])
    return [
        _fisher_z(_unit(p) @ _unit(typical_p)),
        log_ratio(np.linalg.norm(p - typical_p, axis=1), np.ptp(typical[_QRS]), limit=3),
        _fisher_z(_unit(beats[:, _T]) @ _unit(typical[_T])),
    ]


def _compare_neighbours(shape: Floats) -> list[Floats]:
    """Give the correlation of each beat with the one before and the one after, from shapes of length 1."""
    if len(shape) == 1:
        return [np.ones(1, dtype=np.float32)] * 2
    neighbours = _fisher_z((shape[1:] * shape[:-1]).sum(axis=1))
    return [np.append(neighbours[:1], neighbours), np.append(neighbours, neighbours[-1:])]


def _centre(x: Floats) -> Floats:
    return np.asarray(x - x.mean(axis=-1, keepdims=True))


def _align(beats: Floats, typical: Floats) -> tuple[Floats, Floats]:
    """Shift each beat [n, WINDOW] to where its QRS fits the typical one best; give the correlation, too."""
    reach = _SHIFTS.stop - 1
    padded = np.pad(beats, ((0, 0), (reach, reach)), mode="edge")
    fit = _correlations(padded[:, _QRS.start : _QRS.stop + 2 * reach], typical[_QRS])
    best = fit.argmax(axis=1)
    rows = np.arange(len(beats))
    return fit[rows, best], sliding_window_view(padded, WINDOW, axis=1)[rows, best]


def _correlations(waves: Floats, wave: Floats) -> Floats:
    """Correlate one wave with all that is as long in each of ``waves`` [n, k], [n, k - len(wave) + 1]."""
    n_lags = waves.shape[1] - len(wave) + 1
    lag = np.arange(waves.shape[1])[:, None] - np.arange(n_lags)  # sample of the wave that meets each sample
    meets = (lag >= 0) & (lag < len(wave))
    unit = np.where(meets, _unit(wave)[np.clip(lag, 0, len(wave) - 1)], np.float32(0))
    centred = _centre(waves)
    total, power = centred @ meets.astype(np.float32), np.square(centred) @ meets.astype(np.float32)
    # Beside an artefact the difference may be less than what rounding leaves of it.
    size = np.sqrt(np.maximum(power - np.square(total) / len(wave), _EPS * power))
    return np.asarray(centred @ unit / (size + _EPS))


def _width_s(deviation: Floats) -> Floats:
    """Width of a QRS [n, QRS] as the spread of its deflection about its centre, times sqrt(12)."""
    at = np.arange(deviation.shape[1], dtype=np.float32) / np.float32(WINDOW_FS)
    weight = deviation**2 + _EPS
    weight /= weight.sum(axis=1, keepdims=True)
    centre = weight @ at
    return np.asarray(np.sqrt(np.maximum(weight @ at**2 - centre**2, 0) * 12))


def all_lead_features(qrs: Floats, typical: Floats, late: NDArray[np.intp]) -> Floats:
    """Compare the QRS of all leads at once, [n, N_SLOTS * QRS], with the typical one.

    The yardstick is how much the patient's late beats differ among themselves: noise, breathing.
    """
    size = np.linalg.norm(typical, axis=1)
    fit = (qrs * typical).sum(axis=1) / (np.linalg.norm(qrs, axis=1) * size + _EPS)
    residual = log_ratio(np.linalg.norm(qrs - typical, axis=1), size, limit=3)
    return np.stack([_in_spread(_fisher_z(fit), late), _in_spread(residual, late)], axis=1)


def _in_spread(x: Floats, late: NDArray[np.intp]) -> Floats:
    """Give how far values are from those of the late beats, in their spread."""
    middle = np.median(x[late])
    spread = 1.48 * np.median(np.abs(x[late] - middle))  # the standard deviation of a normal distribution
    return np.asarray(np.clip((x - middle) / (2 * spread + 0.05), -6, 6), dtype=np.float32)


def cluster_features(qrs: Floats, late: NDArray[np.intp], early: Floats) -> Floats:
    """Say how many of the segment's beats look like this one, and how early those came.

    ``early`` [n, 2] holds the logarithms of RR over the local median and of the next RR over RR.
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
    in_time = (early[probe, :1] > -0.05) & (early[probe, 1:] < 0.15)
    told = weight @ np.concatenate([early[probe], in_time], axis=1, dtype=np.float32) / total
    return np.concatenate([np.log(total / len(probe) + 0.01), told], axis=1, dtype=np.float32)
