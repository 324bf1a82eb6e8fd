"""Beats at other times: which come early or late, by how much, and what then lies under their P wave."""

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

P_STOP = round((BEFORE_S - 0.07) * WINDOW_FS)  # index in a window at which the QRS may begin
_RUNS = (1, 1, 1, 1, 2, 3, 6, 10)  # lengths of what comes early, equally likely
_RATES = (0.01, 0.03, 0.1)  # of early beats, one for a patient
PREMATURE = (0.55, 0.88)  # early beats' RR over the usual
_SHORTEST_S = 0.25


def wander(n_beats: int, n_smooth: int, rng: np.random.Generator) -> Floats:
    """Give smooth noise of standard deviation 1."""
    noise = gaussian_filter1d(rng.standard_normal(n_beats), n_smooth, mode="wrap")
    return np.asarray(noise * np.sqrt(2 * n_smooth * np.sqrt(np.pi)))


def duplicate(label: Labels, name: str) -> Mask:
    """Say which beats have that label and so has the one before."""
    own = label == name
    return np.asarray(own & np.append([False], own[:-1]))


def random_episodes(n_beats: int, first: int, apart: Callable[[], int], lasts: Callable[[], int]) -> Mask:
    """Tell some beats from others, in stretches that last so many beats and are so many apart."""
    told, start = np.zeros(n_beats, dtype=bool), first
    while start < n_beats:
        stop = start + int(lasts())
        told[start:stop] = True
        start = stop + int(apart())
    return told


def singles_and_runs(n_beats: int, rng: np.random.Generator) -> Mask:
    """Tell single beats, couplets and short runs from others, at a rate of the patient's own."""
    rate = rng.choice(_RATES)
    lasts, apart = (lambda: rng.choice(_RUNS)), (lambda: 1 + rng.geometric(rate))
    return random_episodes(n_beats, 4 + rng.geometric(rate), apart, lasts)


def in_pattern(n_beats: int, rng: np.random.Generator) -> Mask:
    """Tell every second, third or fourth beat from others, for stretches."""
    period, usual = int(rng.choice((2, 2, 3, 4))), rng.choice((6, 20, 100))
    lasts, apart = (lambda: period * rng.geometric(1 / usual)), (lambda: rng.choice((20, 100, 300)))
    return np.asarray(random_episodes(n_beats, 5, apart, lasts) & (np.arange(n_beats) % period == 0))


def movable_beats(told: Mask, label: Labels) -> Mask:
    """Keep the normal beats after normal ones, but for the last, which nothing follows."""
    free = told & duplicate(label, "N")
    free[-1:] = False
    return free


def following_beats(mask: Mask) -> Mask:
    """Say which beats come right after those of a mask and are not of it."""
    return np.asarray(np.append([False], mask[:-1]) & ~mask)


def make_premature(  # noqa: PLR0913 - what comes early, how early, and how long the heart rests
    shapes: BeatWindows,
    label: Labels,
    early: Mask,
    rng: np.random.Generator,
    *,
    pause: tuple[float, float],
    prematurity: tuple[float, float] = PREMATURE,
) -> Patient:
    """Let normal beats come early where told, if normal ones are about, and normal ones after a pause.

    One focus fires early in a patient, and its P wave is another than the sinus node's.
    """
    rr_s, n_beats = rr_of(shapes.sample), len(label)
    usual_s, new = usual_of(rr_s), movable_beats(early, label)
    first = new & ~np.append([False], new[:-1])
    run_s = usual_s * rng.uniform(*prematurity) * np.exp(0.06 * rng.standard_normal(n_beats))
    run_s = run_s[np.maximum.accumulate(np.arange(n_beats) * first)]
    run_s = run_s * np.exp(0.03 * rng.standard_normal(n_beats))
    rr_s = np.where(new, np.maximum(run_s, 0.3), rr_s)
    after = following_beats(new) & (label == "N")
    rr_s[after] = (usual_s * rng.uniform(*pause, n_beats))[after]
    beats = np.flatnonzero(new)
    windows = shapes.windows.astype(np.float32)
    windows[beats, :, :P_STOP] = t_wave_under_p(shapes, beats, rr_s[beats], rng)
    moved = replace(shapes, sample=retimed(shapes.sample, rr_s), windows=windows.astype(np.float16))
    return moved, np.where(new, "S", label)


def rr_of(sample: Samples) -> Floats:
    """Give the RR intervals in seconds that end at each beat, 0 for the first."""
    return np.asarray(np.diff(sample, prepend=sample[:1]) / WORKING_FS)


def usual_of(rr_s: Floats) -> Floats:
    """Give the usual RR about each beat."""
    return np.asarray(np.maximum(median_filter(rr_s, size=21, mode="nearest"), 0.3))


def retimed(sample: Samples, rr_s: Floats) -> Samples:
    """Put beats at the first one's time and the RR intervals after it."""
    steps = np.round(np.maximum(rr_s, _SHORTEST_S) * WORKING_FS).astype(np.int64)
    return np.asarray(sample[0] + steps.cumsum() - steps[0])


def t_wave_under_p(
    shapes: BeatWindows, beats: NDArray[np.intp], rr_s: Floats, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Give the P windows of beats that come ``rr_s`` after the ones before, with some P wave left."""
    from_r = np.round(rr_s * WINDOW_FS).astype(np.intp)[:, None] + np.arange(P_STOP)
    at = np.clip(from_r, 0, round((BEFORE_S + AFTER_S) * WINDOW_FS))
    before = np.take_along_axis(shapes.windows[beats - 1].astype(np.float32), at[:, None, :], axis=2)
    before *= (shapes.scale[beats - 1] / shapes.scale[beats])[:, :, None]
    own = shapes.windows[beats].astype(np.float32)
    onset = own[:, :, P_STOP, None]
    focus = 0.5 * rng.standard_normal() + 0.25 * rng.standard_normal((len(beats), 1, 1))
    p_wave = focus * (own[:, :, :P_STOP] - onset)
    return np.asarray(before - before[:, :, -1:] + onset + p_wave, dtype=np.float32)
