"""Patients that the training records lack, made of those that are there.

A few patients with fibrillation or many ectopic beats are too few to learn from what a rhythm says about an
early beat, and what an early beat looks like in anybody else. Timing is read from the times of beats, so a
true record's beats at other times are a new patient for next to nothing; and the ventricular beats of one
patient among the beats of another are a new pair of shapes. Beats that are not told to move stay as early as
they were, and keep their label.
"""

from collections.abc import Callable
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
    "fibrillating at times": 0.3,
    "early beats": 0.6,
    "early beats in a pattern": 0.3,
    "breathing": 0.3,
    "breathing with early beats": 0.3,
    "atrial runs between pauses": 0.3,
    "sinus pauses": 0.2,
    "ventricular beats of another": 0.4,
    "ventricular beats of another, early beats": 0.3,
}
"""How often each kind of patient is drawn among those that are made, by cross-validation on DS1."""
ENOUGH_VENTRICULAR = 10
"""Ventricular beats from which a patient can lend some to another."""

_P_STOP = round((BEFORE_S - 0.07) * WINDOW_FS)  # index in a window at which the QRS may begin
_RUNS = (1, 1, 1, 1, 2, 3, 6, 10)  # lengths of what comes early, equally likely
_RATES = (0.01, 0.03, 0.1)  # of early beats, one for a patient
_PREMATURE = (0.55, 0.88)  # early beats' RR over the usual
_TACHYCARDIC = (0.38, 0.66)  # an atrial run's RR over the sinus node's
_SHORTEST_S = 0.25


def made(
    given: BeatShapes,
    label: Labels,
    rng: np.random.Generator,
    *,
    fibrillates: bool,
    donor: Patient | None = None,
) -> dict[str, Patient]:
    """Make other patients of one, by what is new in them; one who fibrillates has no sinus rhythm.

    ``donor`` lends ventricular beats, if it has enough.
    """
    patient = given, label
    patients = {"fibrillating": fibrillate(*patient, rng)}
    lends = donor is not None and np.count_nonzero(donor[1] == "V") >= ENOUGH_VENTRICULAR
    if donor is not None and lends:
        patients["ventricular beats of another"] = lend_ventricular(*patient, rng, donor=donor)
    if fibrillates:
        return patients
    early = bring_forward(*patient, rng)
    patients |= {
        "early beats": early,
        "early beats in a pattern": bring_forward_in_pattern(*patient, rng),
        "breathing": breathe(*patient, rng),
        "breathing with early beats": breathe(*bring_forward(*patient, rng), rng),
        "atrial runs between pauses": run_between_pauses(*patient, rng),
        "sinus pauses": pause(*patient, rng),
        "fibrillating at times": fibrillate_at_times(*patient, rng),
    }
    if donor is not None and lends:
        both = lend_ventricular(*early, rng, donor=donor)
        patients["ventricular beats of another, early beats"] = both
    return patients


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


def fibrillate_at_times(shapes: BeatShapes, label: Labels, rng: np.random.Generator) -> Patient:
    """Give the same patient with SVEB in sinus rhythm, and with episodes of atrial fibrillation."""
    sinus, fibrillating = bring_forward(shapes, label, rng), fibrillate(shapes, label, rng)
    lasts, apart = (lambda: rng.choice((20, 60, 200, 600))), (lambda: rng.choice((60, 200, 500)))
    now = _some(len(label), int(rng.integers(5, 80)), apart, lasts)
    rr_s = np.where(now, _rr_s(fibrillating[0].sample), _rr_s(sinus[0].sample))
    windows = np.where(now[:, None, None], fibrillating[0].windows, sinus[0].windows)
    at_times = replace(shapes, sample=_at(shapes.sample, rr_s), windows=windows)
    return at_times, np.where(now, fibrillating[1], sinus[1])


def bring_forward(shapes: BeatShapes, label: Labels, rng: np.random.Generator) -> Patient:
    """Give the same patient with SVEB: normal beats come early, alone, in pairs and in runs.

    The T wave of the beat before then lies where the P wave was.
    """
    return _hasten(shapes, label, _singles_and_runs(len(label), rng), rng, pause=(0.98, 1.35))


def bring_forward_in_pattern(shapes: BeatShapes, label: Labels, rng: np.random.Generator) -> Patient:
    """Give the same patient with every second, third or fourth beat early, for stretches."""
    return _hasten(shapes, label, _in_pattern(len(label), rng), rng, pause=(0.95, 1.3))


def run_between_pauses(shapes: BeatShapes, label: Labels, rng: np.random.Generator) -> Patient:
    """Give the same patient with a sick sinus: atrial runs, up to most of all beats, and late sinus beats."""
    usual_run, usual_sinus = rng.choice((2, 5, 15, 40)), rng.choice((1, 3, 8, 20))
    lasts, apart = (lambda: 1 + rng.geometric(1 / usual_run)), (lambda: rng.geometric(1 / usual_sinus))
    runs = _some(len(label), 3, apart, lasts)
    pace = rng.uniform(0.75, 1.3) * np.exp(0.08 * _wander(len(label), 60, rng))
    slowed = replace(shapes, sample=_at(shapes.sample, pace * _rr_s(shapes.sample)))
    late = rng.uniform(1.0, 1.6)
    return _hasten(slowed, label, runs, rng, prematurity=_TACHYCARDIC, pause=(0.9 * late, 1.1 * late))


def pause(shapes: BeatShapes, label: Labels, rng: np.random.Generator) -> Patient:
    """Give the same patient with late beats that no early beat explains: sinus pauses and blocked beats.

    Either one late beat now and then, by any amount or by a whole cycle, or the grouped beats of Wenckebach.
    """
    n_beats = len(label)
    late = rng.random(n_beats) < rng.choice((0.02, 0.1))
    period = int(rng.integers(3, 8))
    phase = np.arange(n_beats) % period
    grouped = np.where(phase == 0, rng.uniform(1.4, 1.9), 1.0 + 0.1 * (phase == 1) - 0.02 * phase)
    kinds = (grouped, np.where(late, rng.uniform(1.8, 2.1), 1.0), np.where(late, rng.uniform(1.2, 1.6), 1.0))
    lengthened = np.where(_among(label, "N"), kinds[rng.choice(3)], 1.0)
    rr_s = _rr_s(shapes.sample) * lengthened * rng.uniform(0.8, 1.2)
    rr_s *= np.exp(0.01 * rng.standard_normal(n_beats))
    return replace(shapes, sample=_at(shapes.sample, rr_s)), label.copy()


def lend_ventricular(
    shapes: BeatShapes, label: Labels, rng: np.random.Generator, *, donor: Patient
) -> Patient:
    """Give the same patient with ventricular beats of another, as early there as here.

    Which way a lead points is not the beat's: at random, a lead of them is turned over.
    """
    lent, lent_label = donor
    told = (_singles_and_runs, _singles_and_runs, _in_pattern)[rng.integers(3)](len(label), rng)
    beats = np.flatnonzero(_free(told, label))
    ventricular = np.flatnonzero(lent_label == "V")
    chosen = rng.choice(ventricular[ventricular > 0], min(len(ventricular), 40))
    source = chosen[rng.integers(len(chosen), size=len(beats))]
    new = np.isin(np.arange(len(label)), beats)
    rr_s, usual_s = _rr_s(shapes.sample), _usual(_rr_s(shapes.sample))
    lateness = np.clip(_rr_s(lent.sample) / _usual(_rr_s(lent.sample)), 0.4, 1.3)
    rr_s[beats] = np.maximum(usual_s[beats] * lateness[source], 0.3)
    after = _after(new) & (label == "N")
    rr_s[after] = (usual_s * rng.uniform(1.0, 1.5, len(label)))[after]
    windows, scale, readable = shapes.windows.copy(), shapes.scale.copy(), shapes.readable.copy()
    sense = rng.choice((1, 1, 1, -1), (1, N_SLOTS, 1)).astype(np.float16)
    gain = np.median(shapes.scale, axis=0) / np.median(lent.scale[lent_label == "N"], axis=0)
    windows[beats], scale[beats] = lent.windows[source] * sense, lent.scale[source] * gain
    readable[beats] &= lent.readable[source]
    at = _at(shapes.sample, rr_s)
    return BeatShapes(at, windows, scale, readable), np.where(new, "V", label)


def breathe(shapes: BeatShapes, label: Labels, rng: np.random.Generator) -> Patient:
    """Give the same patient with sinus arrhythmia, at another rate that changes, and with sinus pauses.

    Respiration modulates RR at 0.12 to 0.35 Hz (Task Force 1996), by up to a third between breaths.
    """
    rr_s, n_beats = _rr_s(shapes.sample) * rng.uniform(0.75, 1.35), len(label)
    breath = rng.uniform(0.12, 0.35) * np.exp(0.15 * _wander(n_beats, 5, rng))
    depth = rng.uniform(0.02, 0.17) * np.exp(0.4 * _wander(n_beats, 15, rng))
    slow = rng.uniform(0, 0.15) * _wander(n_beats, rng.choice((10, 30, 100)), rng)
    rr_s *= np.exp(depth * np.sin(2 * np.pi * (breath * rr_s).cumsum()) + slow)
    late = (rng.random(n_beats) < rng.choice((0, 0, 0.003, 0.02))) & _among(label, "N")
    rr_s[late] *= rng.uniform(1.3, 2.2, int(late.sum()))
    return replace(shapes, sample=_at(shapes.sample, rr_s)), label.copy()


def _wander(n_beats: int, n_smooth: int, rng: np.random.Generator) -> Floats:
    """Give smooth noise of standard deviation 1."""
    noise = gaussian_filter1d(rng.standard_normal(n_beats), n_smooth, mode="wrap")
    return np.asarray(noise * np.sqrt(2 * n_smooth * np.sqrt(np.pi)))


def _among(label: Labels, name: str) -> Mask:
    """Say which beats have that label and so has the one before."""
    own = label == name
    return np.asarray(own & np.append([False], own[:-1]))


def _some(n_beats: int, first: int, apart: Callable[[], int], lasts: Callable[[], int]) -> Mask:
    """Tell some beats from others, in stretches that last so many beats and are so many apart."""
    told, start = np.zeros(n_beats, dtype=bool), first
    while start < n_beats:
        stop = start + int(lasts())
        told[start:stop] = True
        start = stop + int(apart())
    return told


def _singles_and_runs(n_beats: int, rng: np.random.Generator) -> Mask:
    rate = rng.choice(_RATES)
    lasts, apart = (lambda: rng.choice(_RUNS)), (lambda: 1 + rng.geometric(rate))
    return _some(n_beats, 4 + rng.geometric(rate), apart, lasts)


def _in_pattern(n_beats: int, rng: np.random.Generator) -> Mask:
    period, usual = int(rng.choice((2, 2, 3, 4))), rng.choice((6, 20, 100))
    lasts, apart = (lambda: period * rng.geometric(1 / usual)), (lambda: rng.choice((20, 100, 300)))
    return np.asarray(_some(n_beats, 5, apart, lasts) & (np.arange(n_beats) % period == 0))


def _free(told: Mask, label: Labels) -> Mask:
    """Keep the normal beats after normal ones, but for the last, which nothing follows."""
    free = told & _among(label, "N")
    free[-1:] = False
    return free


def _after(mask: Mask) -> Mask:
    """Say which beats come right after those of a mask and are not of it."""
    return np.asarray(np.append([False], mask[:-1]) & ~mask)


def _hasten(  # noqa: PLR0913 - what comes early, how early, and how long the heart rests
    shapes: BeatShapes,
    label: Labels,
    early: Mask,
    rng: np.random.Generator,
    *,
    pause: tuple[float, float],
    prematurity: tuple[float, float] = _PREMATURE,
) -> Patient:
    """Let normal beats come early where told, if normal ones are about, and normal ones after a pause.

    One focus fires early in a patient, and its P wave is another than the sinus node's.
    """
    rr_s, n_beats = _rr_s(shapes.sample), len(label)
    usual_s, new = _usual(rr_s), _free(early, label)
    first = new & ~np.append([False], new[:-1])
    run_s = usual_s * rng.uniform(*prematurity) * np.exp(0.06 * rng.standard_normal(n_beats))
    run_s = run_s[np.maximum.accumulate(np.arange(n_beats) * first)]
    run_s = run_s * np.exp(0.03 * rng.standard_normal(n_beats))
    rr_s = np.where(new, np.maximum(run_s, 0.3), rr_s)
    after = _after(new) & (label == "N")
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
