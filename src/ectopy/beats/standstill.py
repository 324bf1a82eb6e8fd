"""Ventricular standstill: small waves that were selected as beats after the QRS complexes stopped.

The selection follows the amplitude of the beats, so after some seconds without a QRS complex it takes P waves
for beats. Beats do not become that small at once. Where they seem to, the shape of the whole beat, from P to
T, decides. A lead that lost contact has the same beats, only smaller; after the last QRS complex there is
nothing but P waves. After loud noise, which was taken for large beats, the beats are as they were before it.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ectopy.beats.qrs_candidates import Candidates
from ectopy.beats.windows import BeatWindows, Floats
from ectopy.ecg import Mask, true_intervals
from ectopy.signal.filters import WORKING_FS

# On DS1 and svdb, the average P wave has at most 0.19 of the size of a QRS complex. Of 193,000 beats, 56 have
# less than 0.29 of the recent size, most of them in noise.
_SMALL = 0.29
_RECENT_S, _STEP_S = 480.0, 10.0  # standstill is compared with the beats of this time before, in steps
_GROUP = 9  # beats whose median is their level: artefacts are fewer
_CLEAR = 5.0  # beats exceed the background by this factor, else they may be noise
_SHORTEST_S = 2.0  # a shorter interval without a beat of the usual size is no standstill
# With more between the waves than this, of the strength of beats, a few beats may be hidden in noise. On DS1
# and svdb that is so of at most 3 beats in a row; of many waves, the mean shape is known all the better.
_QUIET, _QUIET_AMONG_MANY, _MANY = 0.04, 0.1, 5
_USUAL = 32  # beats before the standstill whose mean is compared with that of the small waves
_SAME_SIZE = 1.5  # earlier beats within this factor of the size of the small waves may be what they are
_COHERENT = 0.7  # least median correlation of these with their mean; noise has less
_SHIFTS = range(-3, 4)  # R peaks of the means are aligned within 30 ms
# Correlation of the means above which these waves are beats, and below which they are none. On DS1 and
# svdb, a P wave alone reaches 0.83 (one record: more); beats made 5 to 10 times smaller have at least 0.92.
_SAME, _OTHER = 0.92, 0.88


def small_waves(candidates: Candidates, windows: BeatWindows, beat: Mask) -> tuple[Mask, Mask]:
    """Find the waves that were selected as beats during a standstill.

    Parameters
    ----------
    candidates
        The n candidates.
    windows
        Their windows of signal.
    beat
        [n], which of them were selected.

    Returns
    -------
    Masks [n] of the waves that are no beats, and of those that may be beats or not.
    """
    none, uncertain = np.zeros_like(beat), np.zeros_like(beat)
    beats = np.flatnonzero(beat)
    time_s = candidates.sample[beats] / WORKING_FS
    small = _small(candidates[beats], time_s)
    accepted = ~small
    around_s = np.concatenate(([-np.inf], time_s, [np.inf]))
    for start, stop in true_intervals(small).tolist():
        if around_s[stop + 1] - around_s[start] > _SHORTEST_S:
            waves, before = beats[start:stop], np.flatnonzero(accepted[:start])
            usual = beats[before[-_USUAL:]]
            recent = beats[before[time_s[before] > time_s[start] - _RECENT_S]]
            earlier = recent[_is_of_same_size(candidates, recent, waves)]
            similarity = _similarity(windows, usual, waves)
            if len(earlier) >= _GROUP:
                similarity = np.fmax(similarity, _similarity(windows, earlier, waves))
            accepted[start:stop] = similarity >= _SAME
            none[waves] = similarity < _OTHER and _is_quiet(candidates, usual, waves)
            uncertain[waves] = not similarity >= _SAME  # also if it is NaN
    uncertain &= ~none
    return none, uncertain


def _small(beats: Candidates, time_s: NDArray[np.float64]) -> Mask:
    """Find the beats that are much smaller than recent ones, in the QRS band and in height."""
    size = np.stack((beats.strength, beats.height))
    with np.errstate(invalid="ignore"):
        clear = beats.strength > _CLEAR * beats.background
    ratio = (size / _recent(np.where(clear, size, 0), time_s)).max(axis=0)
    usable = np.isfinite(ratio)
    square = np.square(ratio, where=usable, out=np.zeros_like(ratio)).sum(axis=1)
    return np.asarray(square < _SMALL**2 * usable.sum(axis=1))  # False without a usable lead


def _recent(size: Floats, time_s: NDArray[np.float64]) -> Floats:
    """Compute the highest level of the beats in the time before each beat; NaN where there was none."""
    n_groups = len(time_s) // _GROUP
    grouped = size[:, : n_groups * _GROUP].reshape(2, n_groups, _GROUP, size.shape[2])
    level = np.median(grouped, axis=2)
    step = (time_s / _STEP_S).astype(np.int64)
    n_recent = round(_RECENT_S / _STEP_S)
    highest = np.full((2, step.max(initial=0) + 1 + n_recent, size.shape[2]), np.nan, dtype=np.float32)
    group_step = step[_GROUP - 1 :: _GROUP] + n_recent
    for group, at in enumerate(group_step.tolist()):
        highest[:, at] = np.fmax(highest[:, at], level[:, group])
    recent = np.fmax.reduce(sliding_window_view(highest, n_recent + 1, axis=1), axis=-1)
    return np.asarray(np.where(recent[:, step] > 0, recent[:, step], np.nan))


def _is_of_same_size(candidates: Candidates, beats: NDArray[np.intp], waves: NDArray[np.intp]) -> Mask:
    """Find the beats that are about as large as some waves in each usable lead."""
    ratio = candidates.strength[beats] / np.median(candidates.strength[waves], axis=0)
    differs = (ratio < 1 / _SAME_SIZE) | (ratio > _SAME_SIZE)  # False for NaN
    return np.asarray(~differs.any(axis=1))


def _is_quiet(candidates: Candidates, usual: NDArray[np.intp], waves: NDArray[np.intp]) -> bool:
    """Check that there is little between the waves over all usable leads, compared with the usual beats."""
    noise = np.median(candidates.background[waves], axis=0)
    strength = np.median(candidates.strength[usual], axis=0)
    usable = np.isfinite(noise) & np.isfinite(strength)
    limit = _QUIET if len(waves) < _MANY else _QUIET_AMONG_MANY
    return bool(np.square(noise[usable]).sum() < limit**2 * np.square(strength[usable]).sum())


def _similarity(windows: BeatWindows, usual: NDArray[np.intp], waves: NDArray[np.intp]) -> float:
    """Compute the correlation of the mean window of some waves with that of usual beats, over all leads.

    It is NaN without usual beats, and where these differ from each other: they are no measure, as they may be
    noise.
    """
    if not len(usual):
        return np.nan
    reach = max(_SHIFTS)
    beats = _centred(_in_mv(windows, usual)[..., reach:-reach])
    expected = beats.mean(axis=0)
    if np.median(_correlation(beats, expected)) < _COHERENT:
        return np.nan
    shifted = sliding_window_view(_in_mv(windows, waves).mean(axis=0), expected.shape[1], axis=1)
    return float(_correlation(_centred(np.moveaxis(shifted, 1, 0)), expected).max())


def _in_mv(windows: BeatWindows, beats: NDArray[np.intp]) -> Floats:
    """Return the windows of some beats in mV, [n, n_leads, WINDOW]."""
    n_leads = windows.signal.shape[1]
    return np.asarray(windows.signal[beats] * windows.scale[beats, :n_leads, None])


def _centred(windows: Floats) -> Floats:
    """Subtract the mean of each lead of each window."""
    return np.asarray(windows - windows.mean(axis=-1, keepdims=True))


def _correlation(windows: Floats, expected: Floats) -> Floats:
    """Compute the correlation of windows [n, n_leads, k] with one window [n_leads, k], over all leads."""
    covariance = np.einsum("nlk,lk->n", windows, expected)
    length = np.sqrt(np.square(windows).sum(axis=(1, 2)) * np.square(expected).sum())
    return np.asarray(covariance / np.maximum(length, np.finfo(np.float32).tiny))
