"""Building blocks of augmentation: choose beats, change their RR intervals, redraw the signal before them.

All functions work on RR intervals. An RR interval belongs to the beat that ends it; that of the first beat
is 0. :func:`place_beats` turns new RR intervals back into beat times. When a beat moves towards the beat
before it, the T wave of that beat moves to where the P wave was. :func:`t_wave_under_p` draws this.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, median_filter

from ectopy.beats.windows import AFTER_S, BEFORE_S, WINDOW_FS, BeatWindows
from ectopy.ecg import Labels, Mask, Samples
from ectopy.signal.filters import WORKING_FS

Floats: TypeAlias = NDArray[np.floating[Any]]
Patient: TypeAlias = tuple[BeatWindows, Labels]
"""The beats of a patient and their labels."""

P_STOP = round((BEFORE_S - 0.07) * WINDOW_FS)
"""Index in a window at which the QRS complex may begin; the P wave lies before it."""
_EPISODE_BEATS = (1, 1, 1, 1, 2, 3, 6, 10)  # lengths of premature episodes, equally likely
_EPISODE_RATES = (0.01, 0.03, 0.1)  # episodes per beat, one rate for each patient
PREMATURE = (0.55, 0.88)
"""RR of a premature beat over the local median RR: lowest and highest mean of an episode."""
_SHORTEST_S = 0.25


def smooth_noise(n_beats: int, sd_beats: int, rng: np.random.Generator) -> Floats:
    """Return noise of standard deviation 1 that varies slowly from beat to beat.

    Parameters
    ----------
    n_beats
        Number of beats.
    sd_beats
        Standard deviation of the Gaussian that smooths the noise, in beats.
    rng
        Source of random numbers.

    Returns
    -------
    Noise [n_beats].
    """
    noise = gaussian_filter1d(rng.standard_normal(n_beats), sd_beats, mode="wrap")
    return np.asarray(noise * np.sqrt(2 * sd_beats * np.sqrt(np.pi)))


def consecutive(labels: Labels, label: str) -> Mask:
    """Find the beats that have a label and follow a beat with the same label.

    Parameters
    ----------
    labels
        Labels [n].
    label
        The label to look for.

    Returns
    -------
    Mask [n].
    """
    own = labels == label
    return np.asarray(own & np.append([False], own[:-1]))


def random_episodes(n_beats: int, first: int, gap: Callable[[], int], length: Callable[[], int]) -> Mask:
    """Choose episodes of consecutive beats.

    Parameters
    ----------
    n_beats
        Number of beats.
    first
        Index of the first beat of the first episode.
    gap
        Draws the number of beats between two episodes.
    length
        Draws the number of beats of an episode.

    Returns
    -------
    Mask [n_beats] of the beats in episodes.
    """
    chosen, start = np.zeros(n_beats, dtype=bool), first
    while start < n_beats:
        stop = start + int(length())
        chosen[start:stop] = True
        start = stop + int(gap())
    return chosen


def singles_and_runs(n_beats: int, rng: np.random.Generator) -> Mask:
    """Choose single beats, couplets and short runs, at a rate that is drawn once for the patient.

    Parameters
    ----------
    n_beats
        Number of beats.
    rng
        Source of random numbers.

    Returns
    -------
    Mask [n_beats] of the chosen beats.
    """
    rate = rng.choice(_EPISODE_RATES)
    length, gap = (lambda: rng.choice(_EPISODE_BEATS)), (lambda: 1 + rng.geometric(rate))
    return random_episodes(n_beats, 4 + rng.geometric(rate), gap, length)


def every_nth_beat(n_beats: int, rng: np.random.Generator) -> Mask:
    """Choose every second, third or fourth beat during episodes, as in bigeminy, trigeminy and quadrigeminy.

    Parameters
    ----------
    n_beats
        Number of beats.
    rng
        Source of random numbers.

    Returns
    -------
    Mask [n_beats] of the chosen beats.
    """
    period, mean_repeats = int(rng.choice((2, 2, 3, 4))), rng.choice((6, 20, 100))
    length, gap = (
        (lambda: period * rng.geometric(1 / mean_repeats)),
        (lambda: rng.choice((20, 100, 300))),
    )
    return np.asarray(random_episodes(n_beats, 5, gap, length) & (np.arange(n_beats) % period == 0))


def movable_beats(chosen: Mask, labels: Labels) -> Mask:
    """Return the chosen beats that may be moved: N after N, and not the last beat, which no beat follows.

    Parameters
    ----------
    chosen
        Mask [n] of the beats to move if possible.
    labels
        Labels [n].

    Returns
    -------
    Mask [n].
    """
    movable = chosen & consecutive(labels, "N")
    movable[-1:] = False
    return movable


def following_beats(mask: Mask) -> Mask:
    """Return the mask of the beats that follow a beat of a mask directly and are not in the mask."""
    return np.asarray(np.append([False], mask[:-1]) & ~mask)


def make_premature(  # noqa: PLR0913 - which beats, how early, and the pause after them
    beats: BeatWindows,
    labels: Labels,
    chosen: Mask,
    rng: np.random.Generator,
    *,
    pause: tuple[float, float],
    prematurity: tuple[float, float] = PREMATURE,
) -> Patient:
    """Turn normal beats into supraventricular premature beats (label S), each episode followed by a pause.

    Beats of an episode have nearly the same RR interval, because one focus fires. The P wave of the focus
    differs from that of the sinus node.

    Parameters
    ----------
    beats
        Beats of the patient.
    labels
        Labels [n].
    chosen
        Mask [n] of the beats to move; only N after N are moved.
    rng
        Source of random numbers.
    pause
        Lowest and highest RR of the N after an episode, over the local median RR.
    prematurity
        Lowest and highest RR of the premature beats of an episode, over the local median RR.

    Returns
    -------
    The changed beats, and their labels.
    """
    rr_s, n_beats = rr_intervals(beats.sample), len(labels)
    median_s, premature = local_median(rr_s), movable_beats(chosen, labels)
    onset = premature & ~np.append([False], premature[:-1])
    episode_s = median_s * rng.uniform(*prematurity) * np.exp(0.06 * rng.standard_normal(n_beats))
    episode_s = episode_s[np.maximum.accumulate(np.arange(n_beats) * onset)]
    episode_s = episode_s * np.exp(0.03 * rng.standard_normal(n_beats))
    rr_s = np.where(premature, np.maximum(episode_s, 0.3), rr_s)
    after = following_beats(premature) & (labels == "N")
    rr_s[after] = (median_s * rng.uniform(*pause, n_beats))[after]
    index = np.flatnonzero(premature)
    windows = beats.signal.astype(np.float32)
    windows[index, :, :P_STOP] = t_wave_under_p(beats, index, rr_s[index], rng)
    moved = replace(beats, sample=place_beats(beats.sample, rr_s), signal=windows.astype(np.float16))
    return moved, np.where(premature, "S", labels)


def rr_intervals(sample: Samples) -> Floats:
    """Return the RR interval in seconds that ends at each beat; that of the first beat is 0."""
    return np.asarray(np.diff(sample, prepend=sample[:1]) / WORKING_FS)


def local_median(rr_s: Floats) -> Floats:
    """Return the median of 21 RR intervals around each beat, in seconds, at least 0.3."""
    return np.asarray(np.maximum(median_filter(rr_s, size=21, mode="nearest"), 0.3))


def place_beats(sample: Samples, rr_s: Floats) -> Samples:
    """Compute beat times from RR intervals; no interval is shorter than 0.25 s.

    Parameters
    ----------
    sample
        Old times of the beats on the grid of WORKING_FS; the first beat stays.
    rr_s
        New RR intervals [n] in seconds, each ending at its beat.

    Returns
    -------
    Times [n] on the grid of WORKING_FS.
    """
    steps = np.round(np.maximum(rr_s, _SHORTEST_S) * WORKING_FS).astype(np.int64)
    return np.asarray(sample[0] + steps.cumsum() - steps[0])


def t_wave_under_p(
    beats: BeatWindows,
    index: NDArray[np.intp],
    rr_s: Floats,
    rng: np.random.Generator,
    *,
    own_p: bool = False,
) -> NDArray[np.float32]:
    """Draw the signal before the QRS of beats that have moved closer to the beat before them.

    The signal is that of the beat before, at the same time after its R peak, plus a P wave of random height,
    possibly inverted. The height is mostly the same for all beats of the call.

    Parameters
    ----------
    beats
        Beats of the patient, before they move.
    index
        Indices [m] of the beats that move.
    rr_s
        Their new RR intervals [m], in seconds.
    rng
        Source of random numbers.
    own_p
        Whether each beat keeps its own P wave, as in sinus rhythm.

    Returns
    -------
    Windows [m, n_leads, P_STOP] up to the QRS, on the scale of each beat.
    """
    from_r = np.round(rr_s * WINDOW_FS).astype(np.intp)[:, None] + np.arange(P_STOP)
    columns = np.clip(from_r, 0, round((BEFORE_S + AFTER_S) * WINDOW_FS))
    before = np.take_along_axis(beats.signal[index - 1].astype(np.float32), columns[:, None, :], axis=2)
    before *= (beats.scale[index - 1] / beats.scale[index])[:, :, None]
    own = beats.signal[index].astype(np.float32)
    onset = own[:, :, P_STOP, None]
    focus = 0.5 * rng.standard_normal() + 0.25 * rng.standard_normal((len(index), 1, 1))
    p_wave = (1 if own_p else focus) * (own[:, :, :P_STOP] - onset)
    return np.asarray(before - before[:, :, -1:] + onset + p_wave, dtype=np.float32)
