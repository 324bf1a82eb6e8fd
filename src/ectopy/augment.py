"""Patients that the training records lack, made of those that are there: fibrillating, and with early beats.

Two patients with atrial fibrillation and two with many supraventricular beats are too few to learn from what
an irregular rhythm says about an early beat, and what an early beat looks like in anybody else. Timing is
read from the times of beats, so a true record's beats at other times are a new patient for next to nothing.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from ectopy.ecg import Labels, Samples
from ectopy.features import AFTER_S, BEFORE_S, WINDOW_FS, BeatShapes
from ectopy.filters import WORKING_FS

Floats = NDArray[np.floating[Any]]

_P_STOP = round((BEFORE_S - 0.07) * WINDOW_FS)  # index in a window at which the QRS may begin
_PREMATURE = (0.55, 0.88)  # of the usual RR
_RUNS = (1, 1, 1, 1, 2, 3, 6, 10)  # lengths of what comes early, equally likely
_RATES = (0.01, 0.03, 0.1)  # of early beats, one for a patient


def fibrillate(shapes: BeatShapes, label: Labels, rng: np.random.Generator) -> tuple[BeatShapes, Labels]:
    """Give the same beats in atrial fibrillation: RR at random, fibrillatory waves for P waves, no SVEB.

    Ventricular beats stay as early as they were, on a base that varies.
    """
    n_beats = len(label)
    rr_s = _rr_s(shapes.sample)
    usual_s = rng.uniform(0.45, 0.95) * np.exp(0.003 * rng.standard_normal(n_beats).cumsum())
    drawn_s = usual_s * np.exp(rng.uniform(0.12, 0.3) * rng.standard_normal(n_beats))
    kept_s = usual_s * rr_s / _usual(rr_s) * np.exp(0.15 * rng.standard_normal(n_beats))
    shortest_s = rng.uniform(0.3, 0.4) + 0.05 * rng.random(n_beats)
    new_s = np.maximum(np.where(np.isin(label, ("N", "S")), drawn_s, kept_s), shortest_s)
    windows = shapes.windows.astype(np.float32)
    windows[:, :, :_P_STOP] = _without_p(windows, rng)
    moved = replace(shapes, sample=_at(shapes.sample, new_s), windows=windows.astype(np.float16))
    return moved, np.where(label == "S", "N", label)


def bring_forward(shapes: BeatShapes, label: Labels, rng: np.random.Generator) -> tuple[BeatShapes, Labels]:
    """Give the same patient with SVEB: normal beats come early, alone, in pairs and in runs.

    The T wave of the beat before then lies where the P wave was.
    """
    new_s, label = _rr_s(shapes.sample), label.copy()
    usual_s, prematurity = _usual(new_s), rng.uniform(*_PREMATURE)
    windows = shapes.windows.astype(np.float32)
    for start, stop in _stretches(label, rng):
        beats = np.arange(start, stop)
        run_s = usual_s[start] * prematurity * np.exp(0.06 * rng.standard_normal())
        new_s[beats] = np.maximum(run_s * np.exp(0.03 * rng.standard_normal(len(beats))), 0.3)
        new_s[stop] = usual_s[start] * rng.uniform(0.98, 1.35)
        label[beats] = "S"
        windows[beats, :, :_P_STOP] = _under_t(shapes, beats, new_s[beats], rng)
    moved = replace(shapes, sample=_at(shapes.sample, new_s), windows=windows.astype(np.float16))
    return moved, label


def _rr_s(sample: Samples) -> Floats:
    return np.asarray(np.diff(sample, prepend=sample[:1]) / WORKING_FS)


def _usual(rr_s: Floats) -> Floats:
    return np.asarray(np.maximum(median_filter(rr_s, size=21, mode="nearest"), 0.3))


def _at(sample: Samples, rr_s: Floats) -> Samples:
    """Put beats at the first one's time and the RR intervals after it."""
    steps = np.round(np.maximum(rr_s, 0.25) * WORKING_FS).astype(np.int64)
    return np.asarray(sample[0] + steps.cumsum() - steps[0])


def _without_p(windows: Floats, rng: np.random.Generator) -> Floats:
    """Give the P windows of [n, N_SLOTS, WINDOW] with f waves of 4.5 to 8 Hz for what is left of P."""
    n_beats, n_slots, _ = windows.shape
    p = windows[:, :, :_P_STOP]
    time_s = np.arange(_P_STOP) / WINDOW_FS
    hz, phase = rng.uniform(4.5, 8, (n_beats, 1, 1)), rng.uniform(0, 2 * np.pi, (n_beats, n_slots, 1))
    f_waves = rng.uniform(0.02, 0.1, (1, n_slots, 1)) * np.sin(2 * np.pi * hz * time_s + phase)
    baseline = windows[:, :, _P_STOP, None] * np.linspace(0.6, 1, _P_STOP)
    left = 0.3 * (p - p.mean(axis=2, keepdims=True)) * rng.standard_normal((n_beats, 1, 1))
    return np.asarray(baseline + f_waves + left)


def _stretches(label: Labels, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Choose [start, stop) stretches of normal beats among normal beats."""
    rate, stretches, start = rng.choice(_RATES), [], 3
    while (start := start + 1 + int(rng.geometric(rate))) < len(label) - max(_RUNS) - 2:
        stop = start + int(rng.choice(_RUNS))
        if (label[start - 1 : stop + 1] == "N").all():
            stretches.append((start, stop))
            start = stop
    return stretches


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
    p_wave = 0.5 * rng.standard_normal((len(beats), 1, 1)) * (own[:, :, :_P_STOP] - onset)
    return np.asarray(before - before[:, :, -1:] + onset + p_wave, dtype=np.float32)
