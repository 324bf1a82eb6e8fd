"""Patients that the training records lack, made of those that are there by giving their beats other times.

A few patients with fibrillation or many supraventricular beats are too few to learn from what an irregular
rhythm says about an early beat, and what an early beat looks like in anybody else. Timing is read from the
times of beats, so a true record's beats at other times are a new patient for next to nothing. Ventricular
and unlabelled beats keep their shape and label, and stay as early as they were.
"""

from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, median_filter

from ectopy.ecg import Labels, Mask, Samples
from ectopy.features import AFTER_S, BEFORE_S, N_SLOTS, WINDOW_FS, BeatShapes
from ectopy.filters import WORKING_FS

Floats: TypeAlias = NDArray[np.floating[Any]]
Patient: TypeAlias = tuple[BeatShapes, Labels]

SHARES = {
    "fibrillating": 1.0,
    "early beats": 0.6,
    "breathing": 0.3,
    "breathing with early beats": 0.3,
}
"""How often each kind of patient is drawn among those that are made, by cross-validation on DS1."""

_P_STOP = round((BEFORE_S - 0.07) * WINDOW_FS)  # index in a window at which the QRS may begin
_PREMATURE = (0.55, 0.88)  # of the usual RR
_RUNS = (1, 1, 1, 1, 2, 3, 6, 10)  # lengths of what comes early, equally likely
_RATES = (0.01, 0.03, 0.1)  # of early beats, one for a patient
_SHORTEST_S = 0.25


def made(
    given: BeatShapes, label: Labels, rng: np.random.Generator, *, fibrillates: bool
) -> dict[str, Patient]:
    """Make other patients of one, by what is new in them; one who fibrillates has no sinus rhythm."""
    patients = {"fibrillating": fibrillate(given, label, rng)}
    if fibrillates:
        return patients
    return patients | {
        "early beats": bring_forward(given, label, rng),
        "breathing": breathe(given, label, rng),
        "breathing with early beats": breathe(*bring_forward(given, label, rng), rng),
    }


def fibrillate(shapes: BeatShapes, label: Labels, rng: np.random.Generator) -> Patient:
    """Give the same beats in atrial fibrillation: RR at random, fibrillatory waves for P waves, no SVEB.

    Ventricular beats stay as early as they were, on a base that varies.
    """
    n_beats = len(label)
    usual_s = rng.uniform(0.45, 1.05) * np.exp(0.003 * rng.standard_normal(n_beats).cumsum())
    drawn_s = usual_s * np.exp(rng.uniform(0.08, 0.3) * rng.standard_normal(n_beats))
    shortest_s = rng.uniform(0.3, 0.4) + 0.05 * rng.random(n_beats)
    hz = rng.uniform(4.5, 8, n_beats)
    waves = _f_waves(hz, rng.uniform(0, 1, n_beats), rng.uniform(0.02, 0.1, N_SLOTS))
    return _without_p(shapes, label, drawn_s, waves, shortest_s, rng)


def bring_forward(shapes: BeatShapes, label: Labels, rng: np.random.Generator) -> Patient:
    """Give the same patient with SVEB: normal beats come early, alone, in pairs and in runs.

    The T wave of the beat before then lies where the P wave was.
    """
    rate, early, start = rng.choice(_RATES), np.zeros(len(label), dtype=bool), 3
    while (start := start + 1 + int(rng.geometric(rate))) < len(label):
        stop = start + int(rng.choice(_RUNS))
        early[start:stop] = True
        start = stop
    return _hasten(shapes, label, early, (0.98, 1.35), rng)


def breathe(shapes: BeatShapes, label: Labels, rng: np.random.Generator) -> Patient:
    """Give the same patient with sinus arrhythmia, at another rate that changes, and with sinus pauses.

    Respiration modulates RR at 0.12 to 0.35 Hz (Task Force 1996), by up to a third between breaths.
    """
    rr_s, n_beats = _rr_s(shapes.sample) * rng.uniform(0.75, 1.35), len(label)
    breath = rng.uniform(0.12, 0.35) * np.exp(0.15 * _wander(n_beats, 5, rng))
    depth = rng.uniform(0.02, 0.17) * np.exp(0.4 * _wander(n_beats, 15, rng))
    slow = rng.uniform(0, 0.15) * _wander(n_beats, rng.choice((10, 30, 100)), rng)
    rr_s *= np.exp(depth * np.sin(2 * np.pi * (breath * rr_s).cumsum()) + slow)
    pause = (rng.random(n_beats) < rng.choice((0, 0, 0.003, 0.02))) & _among(label, "N")
    rr_s[pause] *= rng.uniform(1.3, 2.2, int(pause.sum()))
    return replace(shapes, sample=_at(shapes.sample, rr_s)), label.copy()


def _wander(n_beats: int, n_smooth: int, rng: np.random.Generator) -> Floats:
    """Give smooth noise of standard deviation 1."""
    noise = gaussian_filter1d(rng.standard_normal(n_beats), n_smooth, mode="wrap")
    return np.asarray(noise * np.sqrt(2 * n_smooth * np.sqrt(np.pi)))


def _among(label: Labels, name: str) -> Mask:
    """Say which beats have that label and so has the one before."""
    own = label == name
    return np.asarray(own & np.append([False], own[:-1]))


def _hasten(
    shapes: BeatShapes, label: Labels, early: Mask, pause: tuple[float, float], rng: np.random.Generator
) -> Patient:
    """Let normal beats come early where told, if normal ones are about, and normal ones after a pause.

    One focus fires early in a patient, and its P wave is another than the sinus node's.
    """
    rr_s, prematurity = _rr_s(shapes.sample), rng.uniform(*_PREMATURE)
    usual_s = _usual(rr_s)
    new, n_beats = early & _among(label, "N"), len(label)
    new[-1:] = False
    first = new & ~np.append([False], new[:-1])
    run_s = usual_s * prematurity * np.exp(0.06 * rng.standard_normal(n_beats))
    run_s = run_s[np.maximum.accumulate(np.arange(n_beats) * first)] * np.exp(
        0.03 * rng.standard_normal(n_beats)
    )
    after = np.append([False], new[:-1]) & ~new & (label == "N")
    rr_s = np.where(new, np.maximum(run_s, 0.3), rr_s)
    rr_s[after] = (usual_s * rng.uniform(*pause, n_beats))[after]
    beats = np.flatnonzero(new)
    windows = shapes.windows.astype(np.float32)
    windows[beats, :, :_P_STOP] = _under_t(shapes, beats, rr_s[beats], rng)
    moved = replace(shapes, sample=_at(shapes.sample, rr_s), windows=windows.astype(np.float16))
    return moved, np.where(new, "S", label)


def _rr_s(sample: Samples) -> Floats:
    return np.asarray(np.diff(sample, prepend=sample[:1]) / WORKING_FS)


def _usual(rr_s: Floats) -> Floats:
    return np.asarray(np.maximum(median_filter(rr_s, size=21, mode="nearest"), 0.3))


def _at(sample: Samples, rr_s: Floats) -> Samples:
    """Put beats at the first one's time and the RR intervals after it."""
    steps = np.round(np.maximum(rr_s, _SHORTEST_S) * WORKING_FS).astype(np.int64)
    return np.asarray(sample[0] + steps.cumsum() - steps[0])


def _f_waves(hz: Floats, phase: Floats, size: Floats) -> Floats:
    """Give fibrillatory or flutter waves [n, n_slots, P window] from each beat's rate and phase in turns."""
    time_s = np.arange(_P_STOP) / WINDOW_FS
    turns = hz[:, None] * time_s + phase[:, None]
    return np.asarray(size[:, None] * np.sin(2 * np.pi * turns)[:, None])


def _without_p(  # noqa: PLR0913, PLR0917 - a rhythm is its times and its waves
    shapes: BeatShapes,
    label: Labels,
    drawn_s: Floats,
    waves: Floats,
    shortest_s: Floats,
    rng: np.random.Generator,
) -> Patient:
    """Give an atrial rhythm's RR and waves to all but ectopic beats, which stay as early as they were."""
    rr_s = _rr_s(shapes.sample)
    base_s = median_filter(drawn_s, size=21, mode="nearest")
    kept_s = base_s * rr_s / _usual(rr_s) * np.exp(0.15 * rng.standard_normal(len(label)))
    new_s = np.maximum(np.where(np.isin(label, ("N", "S")), drawn_s, kept_s), shortest_s)
    windows = shapes.windows.astype(np.float32)
    p = windows[:, :, :_P_STOP]
    baseline = windows[:, :, _P_STOP, None] * np.linspace(0.6, 1, _P_STOP)
    left = 0.3 * (p - p.mean(axis=2, keepdims=True)) * rng.standard_normal((len(label), 1, 1))
    windows[:, :, :_P_STOP] = baseline + waves + left
    moved = replace(shapes, sample=_at(shapes.sample, new_s), windows=windows.astype(np.float16))
    return moved, np.where(label == "S", "N", label)


def _under_t(
    shapes: BeatShapes, beats: NDArray[np.intp], rr_s: Floats, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Give the P windows of beats that come ``rr_s`` after the ones before, with some P wave left."""
    from_r = np.round(rr_s * WINDOW_FS).astype(np.intp)[:, None] + np.arange(_P_STOP)
    at = np.clip(from_r, 0, round((BEFORE_S + AFTER_S) * WINDOW_FS))
    before = np.take_along_axis(shapes.windows[beats - 1].astype(np.float32), at[:, None, :], axis=2)
    before *= (shapes.scale[beats - 1] / shapes.scale[beats])[:, :, None]
    own = shapes.windows[beats].astype(np.float32)
    onset = own[:, :, _P_STOP, None]
    focus = 0.5 * rng.standard_normal() + 0.25 * rng.standard_normal((len(beats), 1, 1))
    p_wave = focus * (own[:, :, :_P_STOP] - onset)
    return np.asarray(before - before[:, :, -1:] + onset + p_wave, dtype=np.float32)
