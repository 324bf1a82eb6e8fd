"""Paced rhythm: beats that a spike of a pacemaker precedes, always by nearly the same time.

A spike alone says little: an electrode that moves gives one too. Only what is locked to the beats is a
pacemaker. A beat of paced rhythm whose spike was not found is paced too, if it looks like those beside it.
An early beat from above the ventricles looks like those that are paced in the atria, and stays what it is.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ectopy.beats.windows import QRS, BeatWindows, qrs_vectors
from ectopy.ecg import BeatClass, Beats, Mask, Samples, is_inside, true_intervals
from ectopy.rhythm.finders import Spans, shortest_episode_s
from ectopy.rhythm.rhythm_intervals import Rhythm, RhythmInterval
from ectopy.signal.rolling import parts_in_context

SHORTEST_S = 10.0
"""A paced rhythm lasts as long, in seconds; in a short recording, half of it is enough."""
SPIKE_S = (-0.06, 0.3)
"""A spike comes so long before the R peak, in seconds: it may be the first steep part of the QRS complex.

The longest is an atrioventricular delay of 0.3 s, for a pacemaker of the atria.
"""
STEADY_S = 0.012
"""Delays that differ by less are equal. The R peak of a wide QRS complex is not sharp."""
AROUND = 11
"""Beats of which SPIKED must have a spike, and EQUAL the same delay."""
SPIKED, EQUAL = 0.5, 0.3
"""A pacemaker on demand leaves out beats, and R may be one of two peaks.

Of the beats of a record without a pacemaker, 0.15 at most have what looks like a spike (12 beats of ludb).
"""
APART_S = 5.0
"""Paced beats further apart, in seconds, are of two intervals."""
ALIKE = 0.9
"""Correlation of the QRS complexes of two paced beats at least."""
_BESIDE = 4  # paced beats on either side that a beat is compared with
_NO_SPANS: Spans = np.empty((0, 2), dtype=np.intp)


class Pacing(NamedTuple):
    """Which beats are paced, [n], and the half-open [start, stop) spans of beats in paced rhythm, [k, 2]."""

    beats: Mask
    spans: Spans


def find_pacing(
    beats: Beats, spikes: Samples | None, windows: BeatWindows | None, *, duration_s: float
) -> Pacing:
    """Find the paced beats of a recording, and the intervals of paced rhythm.

    Parameters
    ----------
    beats
        Classified beats, [n].
    spikes
        Pacing spikes on the grid of the beats, in order, [m]; None if none were sought.
    windows
        The windows of the beats; without them, a paced beat is one with a spike.
    duration_s
        Length of the recording in seconds.

    Returns
    -------
    Paced beats, all within the spans.
    """
    paced = np.zeros(len(beats), dtype=bool)
    if spikes is None or not len(spikes) or not len(beats):
        return Pacing(paced, _NO_SPANS)
    is_steady = np.empty(len(beats), dtype=bool)
    for part in parts_in_context(len(beats), AROUND // 2):
        delay_s = _delays_s(beats.sample[part.around], beats.fs, spikes)
        is_steady[part.core] = _is_steady(delay_s)[part.inside]
    steady = np.flatnonzero(is_steady)
    time_s = beats.time_s[steady]
    linked = np.append(False, np.diff(time_s) <= APART_S)[: len(steady)]
    chains = true_intervals(linked) - (1, 0)
    lasting = time_s[chains[:, 1] - 1] - time_s[chains[:, 0]] >= shortest_episode_s(SHORTEST_S, duration_s)
    spans = np.column_stack((steady[chains[lasting, 0]], steady[chains[lasting, 1] - 1] + 1))
    paced[steady[is_inside(steady, spans)]] = True
    others = np.flatnonzero(~paced & (beats.label != BeatClass.SVEB))
    others = others[is_inside(others, spans)]
    if windows is not None and len(others):
        paced[others[_look_paced(windows, others, np.flatnonzero(paced))]] = True
    return Pacing(paced, spans)


def name_paced_beats(beats: Beats, paced: Mask, clear: Mask) -> Beats:
    """Return the beats with the class Q for those that are paced, as in ANSI/AAMI EC57.

    The doubts of the classifier say nothing about them.

    Parameters
    ----------
    beats
        Classified beats, [n].
    paced
        Which of them are paced, [n].
    clear
        Which of them do not lie in noise, [n]. If they are paced, they are confident.

    Returns
    -------
    Beats with new labels.
    """
    if not paced.any():
        return beats
    label = np.where(paced, BeatClass.UNKNOWN, beats.label).astype(beats.label.dtype)
    return replace(beats, label=label, confident=beats.confident | (paced & clear))


def without_paced_vt(
    intervals: Sequence[RhythmInterval], beats: Beats, paced: Mask
) -> tuple[RhythmInterval, ...]:
    """Return the rhythm intervals without VT of which most beats are paced: their waves look alike.

    Parameters
    ----------
    intervals
        The rhythm intervals of a recording.
    beats
        Its beats, [n].
    paced
        Which of them are paced, [n].

    Returns
    -------
    The intervals that are left.
    """

    def is_paced(interval: RhythmInterval) -> bool:
        inside = paced[beats.between(interval.start_s, interval.stop_s)]
        return bool(2 * inside.sum() > len(inside))

    return tuple(interval for interval in intervals if interval.rhythm != Rhythm.VT or not is_paced(interval))


def _delays_s(r_peaks: Samples, fs: float, spikes: Samples) -> NDArray[np.float64]:
    """Compute the time from the last spike to each R peak in seconds, [n]; NaN without a spike near it."""
    latest_s, earliest_s = SPIKE_S
    at = np.searchsorted(spikes, r_peaks - latest_s * fs, side="right") - 1
    delay_s = (r_peaks - spikes[np.maximum(at, 0)]) / fs
    return np.where((at >= 0) & (delay_s <= earliest_s), delay_s, np.nan)


def _is_steady(delay_s: NDArray[np.float64]) -> Mask:
    """Check which beats have a spike with the delay of others around them, [n]."""
    n, side = len(delay_s), AROUND // 2
    padded = np.pad(delay_s, side, constant_values=np.nan)
    equal, spiked = np.zeros((2, n), dtype=np.int8)
    for other in (padded[at : at + n] for at in range(AROUND)):
        equal += np.abs(other - delay_s) <= STEADY_S  # False for NaN
        spiked += np.isfinite(other)
    beat = np.arange(n)
    n_around = np.minimum(beat + side + 1, n) - np.maximum(beat - side, 0)
    return np.asarray((equal >= EQUAL * n_around) & (spiked >= SPIKED * n_around) & np.isfinite(delay_s))


def _look_paced(windows: BeatWindows, some: NDArray[np.intp], paced: NDArray[np.intp]) -> Mask:
    """Check which of some beats have a QRS complex like that of a paced beat beside them, [k]."""
    at = np.searchsorted(paced, some)[:, None] + np.arange(-_BESIDE, _BESIDE)
    beside = paced[np.clip(at, 0, len(paced) - 1)]
    one, others = qrs_vectors(windows, some, QRS), qrs_vectors(windows, beside, QRS)
    return np.asarray((np.einsum("km,kjm->kj", one, others) >= ALIKE).any(axis=1))
