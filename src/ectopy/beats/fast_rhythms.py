"""Beats of rhythms so fast that no other wave fits between them.

The selection judges candidates by their size and distance. It takes every second beat of such a rhythm for
a wave of the beat before. Their shape tells: successive candidates that are alike and follow each other
regularly are all beats. A T wave is unlike its QRS complex, and noise is seldom regular. Flutter waves
between two beats are alike and regular, but they are much smaller than the beats.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ectopy.beats.beat_selection import relative_strength
from ectopy.beats.qrs_candidates import Candidates, mean_of_leads
from ectopy.beats.windows import BEFORE, WINDOW_FS, BeatWindows, qrs_vectors
from ectopy.ecg import Mask, true_intervals
from ectopy.signal.filters import WORKING_FS

_RR_S = (0.18, 0.36)  # 170 to 330 beats a minute; in slower rhythms, the selection needs no help
_ALIKE = 0.85  # least correlation of successive QRS complexes
_SAME_SIZE = 0.4  # greatest difference of their log strength, the mean of the leads
_REGULAR = 0.2  # greatest difference of successive log RR intervals
_LARGE = float(np.log(0.5))  # least strength relative to the beats around; flutter waves have less
_SHORTEST = 5  # successive pairs
_GAP_S, _FEWEST = 2.0, 4  # a gap between beats, and the candidates as large as beats that fill it
_REFRACTORY_S = 0.24  # an irregular rhythm is not faster than this
_CLEAR = 5.0  # they exceed the background by this factor
_QRS = slice(BEFORE - round(0.08 * WINDOW_FS), BEFORE + round(0.08 * WINDOW_FS))
_CHUNK = 4096  # pairs in memory at once


def fast_beats(candidates: Candidates, windows: BeatWindows, beat: Mask) -> Mask:
    """Find the beats of fast and regular rhythms.

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
    Mask [n]: the candidates that are beats; of the others nothing is said.
    """
    if len(candidates) < 2:
        return np.zeros(len(candidates), dtype=bool)
    rr_s = np.diff(candidates.sample) / WORKING_FS
    change = np.abs(np.diff(np.log(np.maximum(rr_s, _RR_S[0] / 2)), prepend=0))
    change[0] = 0
    pair = (rr_s >= _RR_S[0]) & (rr_s <= _RR_S[1])
    run = _long(pair & (change < _REGULAR))
    if not run.any():
        return np.zeros(len(candidates), dtype=bool)
    large = mean_of_leads(relative_strength(candidates, beat)) > _LARGE
    run &= large[1:] & large[:-1]
    asked, windows = np.flatnonzero(run), replace(windows, scale=windows.scale * windows.readable)
    for start in range(0, len(asked), _CHUNK):
        chunk = asked[start : start + _CHUNK]
        run[chunk] = _are_alike(candidates, windows, chunk)
    run = _long(run)
    return np.asarray(np.append(run, False) | np.append(False, run))


def beats_in_gaps(candidates: Candidates, beat: Mask) -> Mask:
    """Find the beats of a fast and irregular rhythm, where the selection left out several in a row.

    Where nothing is quiet between the beats, each weighs little, and irregular intervals cost more than that.
    So the selection prefers a pause of some seconds. Candidates that are as large as the beats around it are
    beats if they stand out of the background; the lead in which they do so most decides.

    Parameters
    ----------
    candidates
        The n candidates.
    beat
        [n], which of them were selected.

    Returns
    -------
    Mask [n] of the beats that were left out.
    """
    left_out = np.zeros_like(beat)
    beats = np.flatnonzero(beat)
    is_gap = np.diff(candidates.sample[beats]) > _GAP_S * WORKING_FS
    gaps = np.flatnonzero(is_gap & (np.diff(beats) > _FEWEST))
    if not len(gaps):
        return left_out
    relative, shortest = relative_strength(candidates, beat), _REFRACTORY_S * WORKING_FS
    clear = np.nan_to_num(candidates.strength / candidates.background)
    for first, last in zip(beats[gaps], beats[gaps + 1], strict=True):
        gap = np.arange(first + 1, last)
        lead = np.median(clear[gap], axis=0).argmax()
        large = np.append(first, gap[np.abs(relative[gap, lead]) < _SAME_SIZE])
        apart = np.diff(candidates.sample[large], prepend=-shortest) >= shortest
        large = large[apart & (candidates.sample[last] - candidates.sample[large] >= shortest)][1:]
        left_out[large] = len(large) >= _FEWEST and np.median(clear[large, lead]) > _CLEAR
    return left_out


def _long(run: Mask) -> Mask:
    """Keep the runs of _SHORTEST pairs or more."""
    long = np.zeros_like(run)
    for start, stop in true_intervals(run).tolist():
        long[start:stop] = stop - start >= _SHORTEST
    return long


def _are_alike(candidates: Candidates, windows: BeatWindows, first: NDArray[np.intp]) -> Mask:
    """Check which candidates are like the next one, in shape and in size of the readable leads."""
    earlier, later = (qrs_vectors(windows, beats, _QRS) for beats in (first, first + 1))
    likeness = np.einsum("ij,ij->i", earlier, later)
    ratio = mean_of_leads(np.log(candidates.strength[first + 1] / candidates.strength[first]))
    return np.asarray((likeness > _ALIKE) & (np.abs(ratio) < _SAME_SIZE))  # False for NaN
