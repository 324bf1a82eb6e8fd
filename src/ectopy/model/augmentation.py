"""Patients that the training records lack, made of those that are there.

A few patients with fibrillation or many ectopic beats are too few to learn from what a rhythm says about an
early beat, and what an early beat looks like in anybody else. Timing is read from the times of beats, so a
true record's beats at other times are a new patient for next to nothing; and the ventricular beats of one
patient among the beats of another are a new pair of shapes. Beats that are not told to move stay as early as
they were, and keep their label.
"""

from dataclasses import replace

import numpy as np
from scipy.ndimage import median_filter

from ectopy.beats.windows import N_LEADS, WINDOW_FS, BeatWindows
from ectopy.ecg import Labels
from ectopy.model.rr_augmentation import (
    P_STOP,
    Floats,
    Patient,
    duplicate,
    following_beats,
    in_pattern,
    make_premature,
    movable_beats,
    random_episodes,
    retimed,
    rr_of,
    singles_and_runs,
    usual_of,
    wander,
)

SHARES = {
    "fibrillating": 1.0,
    "fibrillating at times": 0.3,
    "early beats": 0.6,
    "early beats in a pattern": 0.3,
    "breathing": 0.3,
    "breathing with early beats": 0.3,
    "atrial runs between pauses": 0.15,
    "sinus pauses": 0.4,
    "ventricular beats of another": 0.6,
    "ventricular beats of another with early beats": 0.5,
}
"""How often each kind of patient is drawn among those that are made, by cross-validation on DS1."""
ENOUGH_VENTRICULAR = 10
"""Ventricular beats from which a patient can lend some to another."""

TACHYCARDIC = (0.38, 0.66)  # an atrial run's RR over the sinus node's


def augmented(
    given: BeatWindows,
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
        patients["ventricular beats of another"] = borrow_ventricular_beats(*patient, rng, donor=donor)
    if fibrillates:
        return patients
    early = add_premature_beats(*patient, rng)
    patients |= {
        "early beats": early,
        "early beats in a pattern": add_bigeminy(*patient, rng),
        "breathing": add_respiratory_arrhythmia(*patient, rng),
        "breathing with early beats": add_respiratory_arrhythmia(*add_premature_beats(*patient, rng), rng),
        "atrial runs between pauses": run_between_pauses(*patient, rng),
        "sinus pauses": pause(*patient, rng),
        "fibrillating at times": fibrillate_at_times(*patient, rng),
    }
    if donor is not None and lends:
        both = borrow_ventricular_beats(*early, rng, donor=donor)
        patients["ventricular beats of another with early beats"] = both
    return patients


def fibrillate(shapes: BeatWindows, label: Labels, rng: np.random.Generator) -> Patient:
    """Give the same beats in atrial fibrillation: RR at random, fibrillatory waves for P waves, no SVEB.

    Ventricular beats stay as early as they were, on a base that varies.
    """
    n_beats = len(label)
    usual_s = rng.uniform(0.45, 1.05) * np.exp(0.003 * rng.standard_normal(n_beats).cumsum())
    drawn_s = usual_s * np.exp(rng.uniform(0.08, 0.3) * rng.standard_normal(n_beats))
    shortest_s = rng.uniform(0.3, 0.4) + 0.05 * rng.random(n_beats)
    hz = rng.uniform(4.5, 8, n_beats)
    waves = _f_waves(hz, rng.uniform(0, 1, n_beats), rng.uniform(0.02, 0.1, N_LEADS))
    return _without_p(shapes, label, drawn_s, waves, shortest_s, rng)


def fibrillate_at_times(shapes: BeatWindows, label: Labels, rng: np.random.Generator) -> Patient:
    """Give the same patient with SVEB in sinus rhythm, and with episodes of atrial fibrillation."""
    sinus, fibrillating = add_premature_beats(shapes, label, rng), fibrillate(shapes, label, rng)
    lasts, apart = (lambda: rng.choice((20, 60, 200, 600))), (lambda: rng.choice((60, 200, 500)))
    now = random_episodes(len(label), int(rng.integers(5, 80)), apart, lasts)
    rr_s = np.where(now, rr_of(fibrillating[0].sample), rr_of(sinus[0].sample))
    windows = np.where(now[:, None, None], fibrillating[0].windows, sinus[0].windows)
    both = replace(shapes, sample=retimed(shapes.sample, rr_s), windows=windows)
    return both, np.where(now, fibrillating[1], sinus[1])


def add_premature_beats(shapes: BeatWindows, label: Labels, rng: np.random.Generator) -> Patient:
    """Give the same patient with SVEB: normal beats come early, alone, in pairs and in runs.

    The T wave of the beat before then lies where the P wave was.
    """
    return make_premature(shapes, label, singles_and_runs(len(label), rng), rng, pause=(0.98, 1.35))


def add_bigeminy(shapes: BeatWindows, label: Labels, rng: np.random.Generator) -> Patient:
    """Give the same patient with every second, third or fourth beat early, for stretches."""
    return make_premature(shapes, label, in_pattern(len(label), rng), rng, pause=(0.95, 1.3))


def run_between_pauses(shapes: BeatWindows, label: Labels, rng: np.random.Generator) -> Patient:
    """Give the same patient with a sick sinus: atrial runs, up to most of all beats, and late sinus beats."""
    usual_run, usual_sinus = rng.choice((2, 5, 15, 40)), rng.choice((1, 3, 8, 20))
    lasts, apart = (lambda: 1 + rng.geometric(1 / usual_run)), (lambda: rng.geometric(1 / usual_sinus))
    runs = random_episodes(len(label), 3, apart, lasts)
    pace = rng.uniform(0.75, 1.3) * np.exp(0.08 * wander(len(label), 60, rng))
    slowed = replace(shapes, sample=retimed(shapes.sample, pace * rr_of(shapes.sample)))
    late = rng.uniform(1.0, 1.6)
    return make_premature(slowed, label, runs, rng, prematurity=TACHYCARDIC, pause=(0.9 * late, 1.1 * late))


def pause(shapes: BeatWindows, label: Labels, rng: np.random.Generator) -> Patient:
    """Give the same patient with late beats that no early beat explains: sinus pauses and blocked beats.

    Either one late beat now and then, by any amount or by a whole cycle, or the grouped beats of Wenckebach.
    """
    n_beats = len(label)
    late = rng.random(n_beats) < rng.choice((0.02, 0.1))
    period = int(rng.integers(3, 8))
    phase = np.arange(n_beats) % period
    grouped = np.where(phase == 0, rng.uniform(1.4, 1.9), 1.0 + 0.1 * (phase == 1) - 0.02 * phase)
    kinds = (grouped, np.where(late, rng.uniform(1.8, 2.1), 1.0), np.where(late, rng.uniform(1.2, 1.6), 1.0))
    lengthened = np.where(duplicate(label, "N"), kinds[rng.choice(3)], 1.0)
    rr_s = rr_of(shapes.sample) * lengthened * rng.uniform(0.8, 1.2)
    rr_s *= np.exp(0.01 * rng.standard_normal(n_beats))
    return replace(shapes, sample=retimed(shapes.sample, rr_s)), label.copy()


def borrow_ventricular_beats(
    shapes: BeatWindows, label: Labels, rng: np.random.Generator, *, donor: Patient
) -> Patient:
    """Give the same patient with ventricular beats of another, as early there as here.

    Which way a lead points is not the beat's: at random, a lead of them is turned over.
    """
    lent, lent_label = donor
    told = (singles_and_runs, singles_and_runs, in_pattern)[rng.integers(3)](len(label), rng)
    beats = np.flatnonzero(movable_beats(told, label))
    ventricular = np.flatnonzero(lent_label == "V")
    chosen = rng.choice(ventricular[ventricular > 0], min(len(ventricular), 40))
    source = chosen[rng.integers(len(chosen), size=len(beats))]
    new = np.isin(np.arange(len(label)), beats)
    rr_s, usual_s = rr_of(shapes.sample), usual_of(rr_of(shapes.sample))
    lateness = np.clip(rr_of(lent.sample) / usual_of(rr_of(lent.sample)), 0.4, 1.3)
    rr_s[beats] = np.maximum(usual_s[beats] * lateness[source], 0.3)
    after = following_beats(new) & (label == "N")
    rr_s[after] = (usual_s * rng.uniform(1.0, 1.5, len(label)))[after]
    windows, scale, readable = shapes.windows.copy(), shapes.scale.copy(), shapes.readable.copy()
    sense = rng.choice((1, 1, 1, -1), (1, N_LEADS, 1)).astype(np.float16)
    gain = np.median(shapes.scale, axis=0) / np.median(lent.scale[lent_label == "N"], axis=0)
    windows[beats], scale[beats] = lent.windows[source] * sense, lent.scale[source] * gain
    readable[beats] &= lent.readable[source]
    at = retimed(shapes.sample, rr_s)
    return BeatWindows(at, windows, scale, readable), np.where(new, "V", label)


def add_respiratory_arrhythmia(shapes: BeatWindows, label: Labels, rng: np.random.Generator) -> Patient:
    """Give the same patient with sinus arrhythmia, at another rate that changes, and with sinus pauses.

    Respiration modulates RR at 0.12 to 0.35 Hz (Task Force 1996), by up to a third between breaths.
    """
    rr_s, n_beats = rr_of(shapes.sample) * rng.uniform(0.75, 1.35), len(label)
    breath = rng.uniform(0.12, 0.35) * np.exp(0.15 * wander(n_beats, 5, rng))
    depth = rng.uniform(0.02, 0.17) * np.exp(0.4 * wander(n_beats, 15, rng))
    slow = rng.uniform(0, 0.15) * wander(n_beats, rng.choice((10, 30, 100)), rng)
    rr_s *= np.exp(depth * np.sin(2 * np.pi * (breath * rr_s).cumsum()) + slow)
    late = (rng.random(n_beats) < rng.choice((0, 0, 0.003, 0.02))) & duplicate(label, "N")
    rr_s[late] *= rng.uniform(1.3, 2.2, int(late.sum()))
    return replace(shapes, sample=retimed(shapes.sample, rr_s)), label.copy()


def _f_waves(hz: Floats, phase: Floats, size: Floats) -> Floats:
    """Give fibrillatory or flutter waves [n, n_slots, P window] from each beat's rate and phase in turns."""
    time_s = np.arange(P_STOP) / WINDOW_FS
    turns = hz[:, None] * time_s + phase[:, None]
    return np.asarray(size[:, None] * np.sin(2 * np.pi * turns)[:, None])


def _without_p(  # noqa: PLR0913, PLR0917 - a rhythm is its times and its waves
    shapes: BeatWindows,
    label: Labels,
    drawn_s: Floats,
    waves: Floats,
    shortest_s: Floats,
    rng: np.random.Generator,
) -> Patient:
    """Give an atrial rhythm's RR and waves to all but ectopic beats, which stay as early as they were."""
    rr_s = rr_of(shapes.sample)
    base_s = median_filter(drawn_s, size=21, mode="nearest")
    kept_s = base_s * rr_s / usual_of(rr_s) * np.exp(0.15 * rng.standard_normal(len(label)))
    new_s = np.maximum(np.where(np.isin(label, ("N", "S")), drawn_s, kept_s), shortest_s)
    windows = shapes.windows.astype(np.float32)
    p = windows[:, :, :P_STOP]
    baseline = windows[:, :, P_STOP, None] * np.linspace(0.6, 1, P_STOP)
    left = 0.3 * (p - p.mean(axis=2, keepdims=True)) * rng.standard_normal((len(label), 1, 1))
    windows[:, :, :P_STOP] = baseline + waves + left
    moved = replace(shapes, sample=retimed(shapes.sample, new_s), windows=windows.astype(np.float16))
    return moved, np.where(label == "S", "N", label)
