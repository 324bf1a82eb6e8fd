"""T waves that were selected as beats.

A T wave follows its beat at the same distance each time, and most are much smaller than the beat. A
ventricular beat on the T wave does not: most beats of the kind before it are not followed by one.
"""

import numpy as np
from numpy.typing import NDArray

from ectopy.beats.qrs_candidates import Candidates, mean_of_leads
from ectopy.beats.windows import BEFORE, WINDOW_FS, BeatWindows, Floats, qrs_vectors
from ectopy.ecg import Mask
from ectopy.signal.filters import WORKING_FS

_LATEST_S = 0.34  # after an R peak; the next beat comes later, except in fast tachycardia
# On DS1 and svdb, 260 of 262 beats within 0.32 s of another have at least this share of its size. Of 46 false
# ones, most of them T waves, 37 have less.
_SMALL = float(np.log(0.55))
_NEIGHBOURS = 20  # beats on either side among which those of the same kind are sought
_ALIKE = 0.9  # least correlation of QRS complexes of one kind
_UNLIKE = 0.8  # successive beats of a tachycardia correlate more than a beat and its T wave
_QRS = slice(BEFORE - round(0.1 * WINDOW_FS), BEFORE + round(0.1 * WINDOW_FS))  # without the T wave
_SAME_DISTANCE_S = 0.04  # T waves of one kind of beat vary less in their distance
_COMPARABLE = float(np.log(0.5))  # T waves of one kind of beat vary less in size
_FEW = 3  # fewer beats of one kind do not tell what follows them
_MANY = 5  # so many tell it even where the T wave is as large as the beat
_USUALLY, _ALWAYS = 0.5, 0.9  # share of the beats of one kind that are followed alike
_LATER = 1.2  # the next beat is at least this much further from a T wave than the T wave from its beat
_CHUNK = 1024  # pairs in memory at once

Seconds = NDArray[np.float64]


def t_waves(candidates: Candidates, windows: BeatWindows, beat: Mask) -> NDArray[np.intp]:
    """Find the T waves among the candidates that were selected as beats.

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
    Indices of the T waves.
    """
    beats = np.flatnonzero(beat)
    time_s = candidates.sample / WORKING_FS
    early = np.flatnonzero(np.diff(time_s[beats], prepend=-np.inf) < _LATEST_S)
    chunks = [early[start : start + _CHUNK] for start in range(0, len(early), _CHUNK)]
    found = [chunk[_are_t_waves(candidates, windows, beats, chunk)] for chunk in chunks]
    return np.asarray(beats[np.concatenate([np.empty(0, dtype=np.intp), *found])])


def _are_t_waves(
    candidates: Candidates, windows: BeatWindows, beats: NDArray[np.intp], early: NDArray[np.intp]
) -> Mask:
    """Return which of some early beats, given by their number among the beats, are T waves."""
    before, suspect = beats[early - 1], beats[early]
    time_s = candidates.sample / WORKING_FS
    distance_s = time_s[suspect] - time_s[before]
    next_s = np.append(time_s[beats], np.inf)[early + 1]
    size = np.log(np.stack((candidates.strength, candidates.height)))
    small = _relative(size, suspect, before) < _SMALL

    nearby = early[:, None] - 1 + np.arange(-_NEIGHBOURS, _NEIGHBOURS + 1)
    other = beats[np.clip(nearby, 0, len(beats) - 1)]
    same_kind = (_correlation(windows, before, other) > _ALIKE) & (nearby >= 0) & (nearby < len(beats))
    expected_s = time_s[other] + distance_s[:, None]
    follower = _nearest(time_s, expected_s)
    followed = np.abs(time_s[follower] - expected_s) < _SAME_DISTANCE_S
    followed &= _relative(size, follower, suspect[:, None]) > _COMPARABLE
    n_same = same_kind.sum(axis=1)
    share = (same_kind & followed).sum(axis=1) / n_same

    unlike = _correlation(windows, before, suspect[:, None])[:, 0] < _UNLIKE
    alternating = next_s - time_s[suspect] > _LATER * distance_s
    recurrent = (n_same >= _MANY) & (share > _ALWAYS) & unlike & alternating
    return np.asarray(recurrent | (small & ((share > _USUALLY) | (n_same < _FEW))))


def _relative(size: Floats, candidate: NDArray[np.intp], reference: NDArray[np.intp]) -> Floats:
    """Compute the log ratio of the sizes of candidates, the mean of the usable leads; 0 without any.

    In each lead the larger ratio counts, that of the strength or that of the height.
    """
    ratio = (size[:, candidate] - size[:, reference]).max(axis=0)
    return np.asarray(np.nan_to_num(mean_of_leads(ratio)))


def _correlation(windows: BeatWindows, beat: NDArray[np.intp], others: NDArray[np.intp]) -> Floats:
    """Compute the correlation [m, k] of the QRS complexes of m beats and k others of each, over all leads."""
    one, many = (qrs_vectors(windows, beats, _QRS) for beats in (beat, others))
    return np.asarray(np.einsum("mj,mkj->mk", one, many))


def _nearest(times_s: Seconds, wanted_s: Seconds) -> NDArray[np.intp]:
    """Return the index of the time nearest to each wanted one."""
    after = np.clip(np.searchsorted(times_s, wanted_s), 1, len(times_s) - 1)
    return np.asarray(after - (wanted_s - times_s[after - 1] < times_s[after] - wanted_s))
