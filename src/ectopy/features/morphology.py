"""Morphology features: each beat compared with the template beat, with its neighbours and with similar beats.

The template of a segment is the median of its *template beats*, which come latest relative to the local RR.
Such a beat is never premature. The median of all beats would be ectopic in a patient with many ectopic beats
(record 232).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ectopy.beats.windows import BEFORE, LARGEST_SHIFT, QRS, WINDOW, WINDOW_FS, Floats
from ectopy.ecg import Mask, distinct
from ectopy.features.columns import EPS, log_ratio, stack_columns
from ectopy.signal.rolling import median_filter, medians

ALL_LEADS: Mapping[str, str] = MappingProxyType(
    {
        "correlation in own spread": (
            "Fisher's z of the correlation with the template QRS over all leads, minus its median in the "
            "template beats, over twice their spread plus 0.05; limited to +-6"
        ),
        "residual in own spread": (
            "log of the norm of QRS minus template QRS over the norm of the template QRS, over all leads, "
            "minus its median in the template beats, over twice their spread plus 0.05; limited to +-6"
        ),
        "P correlation nearby": "median over 33 beats of the higher P correlation of the two leads",
    }
)
"""Name and meaning of each feature of all leads together, in the order of the columns."""

CLUSTER: Mapping[str, str] = MappingProxyType(
    {
        "share of similar beats": (
            "log of 0.01 plus the fraction of the beats of the segment that are similar"
        ),
        "prematurity of similar beats": "mean over the similar beats of the log of RR over the local RR",
        "pause after similar beats": "mean over the similar beats of the log of the next RR over RR",
        "share of similar beats in time": (
            "fraction of the similar beats, 0 to 1, that are not premature (log of RR over the local RR "
            "above -0.05) and not followed by a pause (log of the next RR over RR below 0.15)"
        ),
    }
)
"""Name and meaning of each feature of the cluster of similar beats, in the order of the columns."""

MORPHOLOGY: Mapping[str, str] = MappingProxyType(
    {
        "correlation": (
            "Fisher's z of the correlation of the QRS with the template QRS, at the best alignment within "
            "40 ms"
        ),
        "residual": (
            "log of the norm of QRS minus template QRS over the norm of the template QRS; limited to +-3"
        ),
        "amplitude": (
            "log of the peak-to-peak amplitude of the QRS over that of the template QRS; limited to +-1.5"
        ),
        "width": "log of the QRS width over that of the template QRS; limited to +-1.5",
        "area": (
            "log of the sum of absolute deflections of the QRS from its median, over that of the template "
            "QRS; limited to +-1.5"
        ),
        "polarity": (
            "projection of the QRS on the template QRS: 1 if equal, negative if inverted; limited to -2 to 3"
        ),
        "width in 0.1 s": "QRS width in units of 0.1 s, not relative to the template",
        "P correlation": "Fisher's z of the correlation with the template 0.28 to 0.08 s before the R peak",
        "P residual": (
            "log of the norm of the difference from the template 0.28 to 0.08 s before the R peak, over the "
            "peak-to-peak amplitude of the template QRS; limited to +-3"
        ),
        "P correlation without T": (
            "Fisher's z of the correlation with the template P wave, without the template T wave of the beat "
            "before"
        ),
        "P residual without T": (
            "log of the norm of the signal 0.28 to 0.08 s before the R peak, without the template T wave of "
            "the beat before, over the peak-to-peak amplitude of the template QRS; limited to +-3"
        ),
        "T correlation": "Fisher's z of the correlation with the template 0.15 to 0.45 s after the R peak",
        "correlation with beat before": (
            "Fisher's z of the correlation of the QRS with the QRS of the beat before"
        ),
        "correlation with beat after": (
            "Fisher's z of the correlation of the QRS with the QRS of the beat after"
        ),
        "readable": "1 if the lead is readable at the beat, else 0; then all features of the lead are 0",
    }
)
"""Name and meaning of each feature of a single lead, in the order of the columns."""

N_PROBES = 256
"""Beats that represent the beats of a segment when similar beats are counted."""

_P = slice(BEFORE - 28, BEFORE - 8)
_T = slice(BEFORE + 15, BEFORE + 45)


class LeadMorphology(NamedTuple):
    """Morphology of the beats of one lead; 0 where the lead cannot be read.

    ``qrs`` and ``template`` hold QRS complexes without their mean, aligned, in units of the norm of the
    template.
    """

    features: Floats
    """[n, len(MORPHOLOGY)]."""
    qrs: Floats
    """[n, QRS], the QRS complex of each beat."""
    template: Floats
    """[n, QRS], the template QRS for each beat."""


def morphology_features(
    windows: Floats, scale: Floats, readable: Mask, rr_s: Floats, template_beats: NDArray[np.intp]
) -> LeadMorphology:
    """Compare the beats of one lead with the template beat and with their neighbours.

    Parameters
    ----------
    windows
        [n, WINDOW], each window scaled to a largest deflection of 1.
    scale
        [n], the largest deflection in mV.
    readable
        [n], whether the lead can be read at the beat.
    rr_s
        [n], the RR interval that ends at each beat, in seconds.
    template_beats
        Indices of the template beats.

    Returns
    -------
    Features and aligned QRS complexes.
    """
    if not readable.any():
        empty = np.zeros_like(windows[:, QRS])
        return LeadMorphology(np.zeros((len(windows), len(MORPHOLOGY)), dtype=np.float32), empty, empty)
    readable_template = template_beats[readable[template_beats]]
    chosen = readable_template if len(readable_template) else np.flatnonzero(readable)
    relative = scale / np.median(scale[chosen])
    beats = windows * relative[:, None]
    correlation, beats = _align(beats, medians(beats[chosen].T))
    template = medians(beats[chosen].T)
    qrs, template_qrs = beats[:, QRS], template[QRS]
    features = stack_columns(
        {
            "correlation": _fisher_z(correlation),
            **_compare_qrs(qrs, template_qrs),
            **_compare_waves(beats, template),
            **_compare_p_without_t(beats, template, rr_s),
            **_compare_neighbours(_unit(qrs)),
            "readable": np.ones(len(beats), dtype=np.float32),
        },
        MORPHOLOGY,
    )
    mask = readable[:, None].astype(np.float32)
    size = np.linalg.norm(_centre(template_qrs)) + EPS
    return LeadMorphology(features * mask, _centre(qrs) / size * mask, _centre(template_qrs) / size * mask)


def all_lead_features(
    qrs: Floats, template: Floats, p_correlation: Floats, template_beats: NDArray[np.intp]
) -> Floats:
    """Compare the QRS complexes of all leads at once with the template.

    Differences are measured in the spread of the template beats, which contains noise and breathing.

    Parameters
    ----------
    qrs, template
        [n, N_LEADS * QRS], ``qrs`` and ``template`` of :class:`LeadMorphology`, one lead after the other.
    p_correlation
        [n, N_LEADS], the feature "P correlation" of each lead.
    template_beats
        Indices of the template beats.

    Returns
    -------
    [n, len(ALL_LEADS)].
    """
    size = np.linalg.norm(template, axis=1)
    correlation = (qrs * template).sum(axis=1) / (np.linalg.norm(qrs, axis=1) * size + EPS)
    residual = log_ratio(np.linalg.norm(qrs - template, axis=1), size, limit=3)
    return stack_columns(
        {
            "correlation in own spread": _in_spread(_fisher_z(correlation), template_beats),
            "residual in own spread": _in_spread(residual, template_beats),
            "P correlation nearby": median_filter(p_correlation.max(axis=1), size=33, mode="nearest"),
        },
        ALL_LEADS,
    )


def cluster_features(qrs: Floats, template_beats: NDArray[np.intp], rr_ratios: Floats) -> Floats:
    """Compute how many beats of the segment are similar to each beat, and how premature those are.

    This is a soft clustering. N_PROBES beats, spread evenly over the segment, represent all of them. The
    distance of similar beats depends on the patient: within it, template beats have a sixteenth of all beats.

    Parameters
    ----------
    qrs
        [n, N_LEADS * QRS], ``qrs`` of :class:`LeadMorphology`, one lead after the other.
    template_beats
        Indices of the template beats.
    rr_ratios
        [n, 2], the logs of RR over the local RR and of the next RR over RR.

    Returns
    -------
    [n, len(CLUSTER)].
    """
    probe = distinct(np.linspace(0, len(qrs) - 1, N_PROBES).round().astype(np.int64))
    power = (qrs**2).sum(axis=1)
    both = power[:, None] + power[probe]
    distance = both - 2 * qrs @ qrs[probe].T
    np.maximum(distance, 0, out=distance)  # in place, here and below: the array is large
    distance /= both + EPS
    np.sqrt(distance, out=distance)
    rank = len(probe) // 16
    near = np.median(np.partition(distance[template_beats], rank, axis=1)[:, rank])
    distance /= 1.5 * np.clip(near, 0.05, 0.4)
    weight = np.clip(2 - distance, 0, 1) + EPS
    total = weight.sum(axis=1, keepdims=True)
    in_time = (rr_ratios[probe, :1] > -0.05) & (rr_ratios[probe, 1:] < 0.15)
    means = weight @ np.concatenate([rr_ratios[probe], in_time], axis=1, dtype=np.float32) / total
    return stack_columns(
        {
            "share of similar beats": np.log(total / len(probe) + 0.01)[:, 0],
            "prematurity of similar beats": means[:, 0],
            "pause after similar beats": means[:, 1],
            "share of similar beats in time": means[:, 2],
        },
        CLUSTER,
    )


def _fisher_z(correlation: Any) -> Floats:
    """Compute Fisher's z (1915), which spreads the correlations near 1, where most beats are."""
    return np.asarray(np.arctanh(np.clip(correlation, -0.999, 0.999)), dtype=np.float32)


def _centre(x: Floats) -> Floats:
    return np.asarray(x - x.mean(axis=-1, keepdims=True))


def _unit(x: Floats) -> Floats:
    """Subtract the mean along the last axis and scale it to length 1."""
    centred = _centre(x)
    return np.asarray(centred / (np.linalg.norm(centred, axis=-1, keepdims=True) + EPS))


def _compare_qrs(qrs: Floats, template: Floats) -> dict[str, Floats]:
    """Compare the QRS complexes [n, QRS] with the template QRS [QRS]."""
    deviation = np.abs(qrs - medians(qrs)[:, None])
    template_deviation = np.abs(template - np.median(template))
    width_s = _width_s(deviation)
    return {
        "residual": log_ratio(np.linalg.norm(qrs - template, axis=1), np.linalg.norm(template), limit=3),
        "amplitude": log_ratio(np.ptp(qrs, axis=1), np.ptp(template)),
        "width": log_ratio(width_s, _width_s(template_deviation[None])),
        "area": log_ratio(deviation.sum(axis=1), template_deviation.sum()),
        "polarity": np.clip((qrs @ template) / (template @ template + EPS), -2, 3),
        "width in 0.1 s": 10 * width_s,
    }


def _compare_waves(beats: Floats, template: Floats) -> dict[str, Floats]:
    """Compare the P wave and the T wave of beats [n, WINDOW] with those of the template."""
    p, template_p = _centre(beats[:, _P]), _centre(template[_P])
    difference = np.linalg.norm(p - template_p, axis=1)
    return {
        "P correlation": _fisher_z(_unit(p) @ _unit(template_p)),
        "P residual": log_ratio(difference, np.ptp(template[QRS]), limit=3),
        "T correlation": _fisher_z(_unit(beats[:, _T]) @ _unit(template[_T])),
    }


def _compare_p_without_t(beats: Floats, template: Floats, rr_s: Floats) -> dict[str, Floats]:
    """Look for a P wave of beats [n, WINDOW] under the T wave of the beat before, which is subtracted.

    The T wave is that of the template. A premature beat of the atria has a P wave there; one of the
    ventricles has none.
    """
    t_wave = np.where(np.arange(WINDOW) < _T.start, np.median(template[_P]), template)
    after_beat_before = np.round(rr_s * WINDOW_FS).astype(np.intp)[:, None] + np.arange(_P.start, _P.stop)
    p = _centre(beats[:, _P] - t_wave[np.minimum(after_beat_before, WINDOW - 1)])
    return {
        "P correlation without T": _fisher_z(_unit(p) @ _unit(template[_P])),
        "P residual without T": log_ratio(np.linalg.norm(p, axis=1), np.ptp(template[QRS]), limit=3),
    }


def _compare_neighbours(unit: Floats) -> dict[str, Floats]:
    """Correlate each QRS with the one before and the one after; rows of ``unit`` have length 1."""
    if len(unit) == 1:
        before = after = np.ones(1, dtype=np.float32)
    else:
        neighbours = _fisher_z((unit[1:] * unit[:-1]).sum(axis=1))
        before, after = np.append(neighbours[:1], neighbours), np.append(neighbours, neighbours[-1:])
    return {"correlation with beat before": before, "correlation with beat after": after}


def _align(beats: Floats, template: Floats) -> tuple[Floats, Floats]:
    """Shift each beat [n, WINDOW] to where its QRS correlates best; return that correlation and the beats."""
    reach = LARGEST_SHIFT
    padded = np.pad(beats, ((0, 0), (reach, reach)), mode="edge")
    fit = _correlations(padded[:, QRS.start : QRS.stop + 2 * reach], template[QRS])
    best = fit.argmax(axis=1)
    rows = np.arange(len(beats))
    return fit[rows, best], sliding_window_view(padded, WINDOW, axis=1)[rows, best]


def _correlations(waves: Floats, wave: Floats) -> Floats:
    """Correlate one wave with every part of ``waves`` [n, k] of its length: [n, k - len(wave) + 1]."""
    n_lags = waves.shape[1] - len(wave) + 1
    lag = np.arange(waves.shape[1])[:, None] - np.arange(n_lags)  # sample of the wave at each sample of waves
    meets = (lag >= 0) & (lag < len(wave))
    unit = np.where(meets, _unit(wave)[np.clip(lag, 0, len(wave) - 1)], np.float32(0))
    centred = _centre(waves)
    total, power = centred @ meets.astype(np.float32), np.square(centred) @ meets.astype(np.float32)
    # Beside an artefact, the variance may be smaller than the rounding error of this difference.
    size = np.sqrt(np.maximum(power - np.square(total) / len(wave), EPS * power))
    return np.asarray(centred @ unit / (size + EPS))


def _width_s(deviation: Floats) -> Floats:
    """Compute the width of QRS complexes [n, QRS]: the spread of the deflection in time, times sqrt(12).

    The factor makes it the width of a rectangular pulse.
    """
    time_s = np.arange(deviation.shape[1], dtype=np.float32) / np.float32(WINDOW_FS)
    weight = deviation**2 + EPS
    weight /= weight.sum(axis=1, keepdims=True)
    centre = weight @ time_s
    return np.asarray(np.sqrt(np.maximum(weight @ time_s**2 - centre**2, 0) * 12))


def _in_spread(x: Floats, template_beats: NDArray[np.intp]) -> Floats:
    """Compute the distance of values from the median of the template beats, in units of their spread."""
    middle = np.median(x[template_beats])
    spread = 1.48 * np.median(np.abs(x[template_beats] - middle))  # standard deviation if they are normal
    return np.asarray(np.clip((x - middle) / (2 * spread + 0.05), -6, 6), dtype=np.float32)
