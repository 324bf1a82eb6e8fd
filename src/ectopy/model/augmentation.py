"""Augmentation: new patients made from the beats of the training patients.

The training set has some 80 recordings. Few of their patients have atrial fibrillation (AF), and in DS1 few
have many supraventricular premature beats. The network cannot learn from them alone which premature beats are
ectopic in which rhythm.

An augmentation changes the RR intervals of a real patient, the signal before the QRS (P wave), and the labels
that follow from this. It can also insert ventricular beats of another patient. Beats that it does not move
keep their label.

fibrillating
    The whole recording is in AF: random RR intervals, f waves instead of P waves; S becomes N. The network
    learns that a short RR interval means nothing when all intervals are irregular.
fibrillating at times
    Episodes of AF, and sinus rhythm with premature beats between them. The rhythm around a beat decides, not
    the patient.
early beats
    Normal beats come early, alone, in couplets or in runs, and become S. The network sees other rates of S,
    other coupling intervals and other pauses than those of the training patients.
early beats in a pattern
    Bigeminy, trigeminy, quadrigeminy: every second to fourth beat comes early and becomes S. The short RR
    interval is then as common as the long one, and still marks the ectopic beat.
breathing
    Respiratory sinus arrhythmia; labels do not change. Not every short RR interval is a premature beat.
breathing with early beats
    Both of these in one patient. The network must tell one from the other.
atrial runs between pauses
    Sick sinus syndrome: fast atrial runs become S, sinus beats between them come late. Ectopic beats can be
    the majority.
sinus pauses
    Normal beats come late: sinus pauses, blocked beats, Wenckebach cycles; labels do not change. A normal
    beat among late ones is not premature.
sinus tachycardia
    The rate rises and falls over tens of seconds, up to 180 bpm; labels do not change. A fast beat among fast
    beats is not premature.
ventricular beats of another
    Some normal beats are replaced by ventricular beats of a donor and become V. This gives pairs of normal
    and ventricular morphology that no training patient has.
ventricular beats of another with early beats
    As "early beats", then as above: S and V in one patient.
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
    consecutive,
    every_nth_beat,
    following_beats,
    local_median,
    make_premature,
    movable_beats,
    place_beats,
    random_episodes,
    rr_intervals,
    singles_and_runs,
    smooth_noise,
    t_wave_under_p,
)

SAMPLING_WEIGHTS = {
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
    "sinus tachycardia": 0.3,
}
"""How often training draws from each augmentation, relative to the others.

Chosen by cross-validation by patient.
"""
WITH_DONOR = ("ventricular beats of another", "ventricular beats of another with early beats")
"""The augmentations that borrow beats of a second patient."""
MIN_DONOR_VENTRICULAR = 10
"""Ventricular beats that a patient needs to be a donor."""

TACHYCARDIC = (0.38, 0.66)
"""RR of a fast atrial run over that of the sinus rhythm: lowest and highest mean of a run."""


def augment_patient(
    beats: BeatWindows,
    labels: Labels,
    rng: np.random.Generator,
    *,
    has_af: bool,
    donor: Patient | None = None,
) -> dict[str, Patient]:
    """Make new patients from one patient, by each augmentation that applies.

    Parameters
    ----------
    beats
        Beats of the patient.
    labels
        Labels [n].
    rng
        Source of random numbers.
    has_af
        Whether the patient has AF; augmentations that need sinus rhythm are then left out.
    donor
        Another patient; if it has enough ventricular beats, some are inserted.

    Returns
    -------
    Beats and labels of each new patient, by the name of the augmentation.
    """
    patient = beats, labels
    patients = {"fibrillating": simulate_af(*patient, rng)}
    donor_fits = donor is not None and is_donor(donor[1])
    if donor is not None and donor_fits:
        patients["ventricular beats of another"] = borrow_ventricular_beats(*patient, rng, donor=donor)
    if has_af:
        return patients
    premature = add_premature_beats(*patient, rng)
    patients |= {
        "early beats": premature,
        "early beats in a pattern": add_bigeminy(*patient, rng),
        "breathing": add_respiratory_arrhythmia(*patient, rng),
        "breathing with early beats": add_respiratory_arrhythmia(*add_premature_beats(*patient, rng), rng),
        "atrial runs between pauses": add_atrial_runs(*patient, rng),
        "sinus pauses": add_sinus_pauses(*patient, rng),
        "sinus tachycardia": add_sinus_tachycardia(*patient, rng),
        "fibrillating at times": simulate_paroxysmal_af(*patient, rng),
    }
    if donor is not None and donor_fits:
        both = borrow_ventricular_beats(*premature, rng, donor=donor)
        patients["ventricular beats of another with early beats"] = both
    return patients


def is_donor(labels: Labels) -> bool:
    """Check that a patient has enough ventricular beats to lend some, and normal ones for comparison."""
    return bool(np.count_nonzero(labels == "V") >= MIN_DONOR_VENTRICULAR and (labels == "N").any())


def simulate_af(beats: BeatWindows, labels: Labels, rng: np.random.Generator) -> Patient:
    """Turn the whole recording into atrial fibrillation.

    RR intervals are drawn independently around a mean that drifts. Fibrillatory waves of 4.5 to 8 Hz replace
    the P waves. S beats become N, because no beat of AF is supraventricular premature. Ventricular beats keep
    their RR interval relative to the mean.

    Parameters
    ----------
    beats
        Beats of the patient.
    labels
        Labels [n].
    rng
        Source of random numbers.

    Returns
    -------
    The changed beats, and their labels.
    """
    n_beats = len(labels)
    mean_s = rng.uniform(0.45, 1.05) * np.exp(0.003 * rng.standard_normal(n_beats).cumsum())
    random_s = mean_s * np.exp(rng.uniform(0.08, 0.3) * rng.standard_normal(n_beats))
    shortest_s = rng.uniform(0.3, 0.4) + 0.05 * rng.random(n_beats)
    frequency_hz = rng.uniform(4.5, 8, n_beats)
    f_waves = _f_waves(frequency_hz, rng.uniform(0, 1, n_beats), rng.uniform(0.02, 0.1, N_LEADS))
    return _without_p_waves(beats, labels, random_s, f_waves, shortest_s, rng)


def simulate_paroxysmal_af(beats: BeatWindows, labels: Labels, rng: np.random.Generator) -> Patient:
    """Turn some intervals into AF, and add premature beats to the sinus rhythm between them.

    Parameters
    ----------
    beats
        Beats of the patient.
    labels
        Labels [n].
    rng
        Source of random numbers.

    Returns
    -------
    The changed beats, and their labels.
    """
    sinus, af = add_premature_beats(beats, labels, rng), simulate_af(beats, labels, rng)
    length, gap = (lambda: rng.choice((20, 60, 200, 600))), (lambda: rng.choice((60, 200, 500)))
    in_af = random_episodes(len(labels), int(rng.integers(5, 80)), gap, length)
    rr_s = np.where(in_af, rr_intervals(af[0].sample), rr_intervals(sinus[0].sample))
    windows = np.where(in_af[:, None, None], af[0].signal, sinus[0].signal)
    both = replace(beats, sample=place_beats(beats.sample, rr_s), signal=windows)
    return both, np.where(in_af, af[1], sinus[1])


def add_premature_beats(beats: BeatWindows, labels: Labels, rng: np.random.Generator) -> Patient:
    """Turn some normal beats into supraventricular premature beats: singles, couplets and runs.

    Each episode is followed by a pause of 0.98 to 1.35 times the usual RR interval. The T wave of the beat
    before a premature beat moves to where the P wave was.

    Parameters
    ----------
    beats
        Beats of the patient.
    labels
        Labels [n].
    rng
        Source of random numbers.

    Returns
    -------
    The changed beats, and their labels.
    """
    return make_premature(beats, labels, singles_and_runs(len(labels), rng), rng, pause=(0.98, 1.35))


def add_bigeminy(beats: BeatWindows, labels: Labels, rng: np.random.Generator) -> Patient:
    """Make every second, third or fourth beat premature during episodes; a moved beat becomes S.

    Parameters
    ----------
    beats
        Beats of the patient.
    labels
        Labels [n].
    rng
        Source of random numbers.

    Returns
    -------
    The changed beats, and their labels.
    """
    chosen = every_nth_beat(len(labels), rng)
    return make_premature(beats, labels, chosen, rng, prematurity=(0.55, 0.94), pause=(0.95, 1.3))


def add_atrial_runs(beats: BeatWindows, labels: Labels, rng: np.random.Generator) -> Patient:
    """Simulate sick sinus syndrome: fast atrial runs (label S), and late sinus beats between them.

    The runs may contain most beats of the recording.

    Parameters
    ----------
    beats
        Beats of the patient.
    labels
        Labels [n].
    rng
        Source of random numbers.

    Returns
    -------
    The changed beats, and their labels.
    """
    mean_run, mean_sinus = rng.choice((2, 5, 15, 40)), rng.choice((1, 3, 8, 20))
    length, gap = (lambda: 1 + rng.geometric(1 / mean_run)), (lambda: rng.geometric(1 / mean_sinus))
    runs = random_episodes(len(labels), 3, gap, length)
    rr_ratio = rng.uniform(0.75, 1.3) * np.exp(0.08 * smooth_noise(len(labels), 60, rng))
    retimed = replace(beats, sample=place_beats(beats.sample, rr_ratio * rr_intervals(beats.sample)))
    late = rng.uniform(1.0, 1.6)
    return make_premature(retimed, labels, runs, rng, prematurity=TACHYCARDIC, pause=(0.9 * late, 1.1 * late))


def add_sinus_pauses(beats: BeatWindows, labels: Labels, rng: np.random.Generator) -> Patient:
    """Make normal beats late without a premature beat before them; no label changes.

    One of three patterns is drawn. The first is grouped beats as in Wenckebach block. The others are single
    long RR intervals: about twice the usual RR (a blocked beat), or 1.2 to 1.6 times (a sinus pause).

    Parameters
    ----------
    beats
        Beats of the patient.
    labels
        Labels [n].
    rng
        Source of random numbers.

    Returns
    -------
    The changed beats, and their labels.
    """
    n_beats = len(labels)
    late = rng.random(n_beats) < rng.choice((0.02, 0.1))
    period = int(rng.integers(3, 8))
    phase = np.arange(n_beats) % period
    wenckebach = np.where(phase == 0, rng.uniform(1.4, 1.9), 1.0 + 0.1 * (phase == 1) - 0.02 * phase)
    blocked = np.where(late, rng.uniform(1.8, 2.1), 1.0)
    paused = np.where(late, rng.uniform(1.2, 1.6), 1.0)
    patterns = (wenckebach, blocked, paused)
    lengthening = np.where(consecutive(labels, "N"), patterns[rng.choice(3)], 1.0)
    rr_s = rr_intervals(beats.sample) * lengthening * rng.uniform(0.8, 1.2)
    rr_s *= np.exp(0.01 * rng.standard_normal(n_beats))
    return replace(beats, sample=place_beats(beats.sample, rr_s)), labels.copy()


def borrow_ventricular_beats(
    beats: BeatWindows, labels: Labels, rng: np.random.Generator, *, donor: Patient
) -> Patient:
    """Replace some normal beats by ventricular beats of a donor (label V).

    An inserted beat keeps its height relative to the normal beats. In half of the calls it keeps its RR
    interval relative to the usual RR. In the others all are late (end-diastolic), or all are interpolated:
    the normal beat after them is on time. Each lead is inverted with a probability of 1/4, because the
    polarity of a lead is arbitrary.

    Parameters
    ----------
    beats
        Beats of the patient.
    labels
        Labels [n].
    rng
        Source of random numbers.
    donor
        Beats and labels of another patient.

    Returns
    -------
    The changed beats, and their labels.
    """
    donor_beats, donor_labels = donor
    chosen = (singles_and_runs, singles_and_runs, every_nth_beat)[rng.integers(3)](len(labels), rng)
    index = np.flatnonzero(movable_beats(chosen, labels))
    ventricular = np.flatnonzero(donor_labels == "V")
    borrowed = rng.choice(ventricular[ventricular > 0], min(len(ventricular), 40))
    source = borrowed[rng.integers(len(borrowed), size=len(index))]
    inserted = np.isin(np.arange(len(labels)), index)
    rr_s, median_s = rr_intervals(beats.sample), local_median(rr_intervals(beats.sample))
    donor_rr_s = rr_intervals(donor_beats.sample)
    rr_ratio = np.clip(donor_rr_s / local_median(donor_rr_s), 0.4, 1.3)[source]
    pause = rng.uniform(1.0, 1.5, len(labels))
    coupling = rng.choice(("as in the donor", "as in the donor", "late", "interpolated"))
    if coupling == "late":
        rr_ratio = rng.uniform(0.8, 1.0) * np.exp(0.06 * rng.standard_normal(len(index)))
        pause = rng.uniform(0.95, 1.2, len(labels))
    elif coupling == "interpolated":  # both intervals together are one usual RR
        rr_ratio = rng.uniform(0.42, 0.6) * np.exp(0.05 * rng.standard_normal(len(index)))
        pause[index + 1] = rng.uniform(1.0, 1.12, len(index)) - rr_ratio
    rr_s[index] = np.maximum(median_s[index] * rr_ratio, 0.3)
    after = following_beats(inserted) & (labels == "N")
    rr_s[after] = np.maximum(median_s * pause, 0.3)[after]
    windows, scale, readable = beats.signal.copy(), beats.scale.copy(), beats.readable.copy()
    polarity = rng.choice((1, 1, 1, -1), (1, N_LEADS, 1)).astype(np.float16)
    gain = np.median(beats.scale, axis=0) / np.median(donor_beats.scale[donor_labels == "N"], axis=0)
    windows[index], scale[index] = donor_beats.signal[source] * polarity, donor_beats.scale[source] * gain
    readable[index] &= donor_beats.readable[source]
    sample = place_beats(beats.sample, rr_s)
    changed = replace(beats, sample=sample, signal=windows, scale=scale, readable=readable)
    return changed, np.where(inserted, "V", labels)


def add_respiratory_arrhythmia(beats: BeatWindows, labels: Labels, rng: np.random.Generator) -> Patient:
    """Add respiratory sinus arrhythmia at another heart rate, and in some patients sinus pauses.

    Respiration modulates the RR interval at 0.12 to 0.35 Hz (Task Force 1996), by up to a third within a
    breath. No label changes.

    Parameters
    ----------
    beats
        Beats of the patient.
    labels
        Labels [n].
    rng
        Source of random numbers.

    Returns
    -------
    The changed beats, and their labels.
    """
    rr_s, n_beats = rr_intervals(beats.sample) * rng.uniform(0.75, 1.35), len(labels)
    breath_hz = rng.uniform(0.12, 0.35) * np.exp(0.15 * smooth_noise(n_beats, 5, rng))
    depth = rng.uniform(0.02, 0.17) * np.exp(0.4 * smooth_noise(n_beats, 15, rng))
    drift = rng.uniform(0, 0.15) * smooth_noise(n_beats, rng.choice((10, 30, 100)), rng)
    rr_s *= np.exp(depth * np.sin(2 * np.pi * (breath_hz * rr_s).cumsum()) + drift)
    late = (rng.random(n_beats) < rng.choice((0, 0, 0.003, 0.02))) & consecutive(labels, "N")
    rr_s[late] *= rng.uniform(1.3, 2.2, int(late.sum()))
    return replace(beats, sample=place_beats(beats.sample, rr_s)), labels.copy()


def add_sinus_tachycardia(beats: BeatWindows, labels: Labels, rng: np.random.Generator) -> Patient:
    """Make the sinus rate rise and fall over tens of seconds to minutes, as in exercise; labels stay.

    Parameters
    ----------
    beats
        Beats of the patient.
    labels
        Labels [n].
    rng
        Source of random numbers.

    Returns
    -------
    The changed beats, and their labels.
    """
    rr_s, n_beats = rr_intervals(beats.sample), len(labels)
    effort = np.zeros(n_beats)  # from 0 at rest to 1 at the fastest rate
    for start in rng.integers(0, n_beats, rng.integers(1, 5)):
        lengths = ((15, 40, 100, 250), (10, 60, 300), (30, 100, 400))  # beats of rise, plateau and fall
        corners = start + np.append(0, np.cumsum([rng.choice(choices) for choices in lengths]))
        effort = np.maximum(effort, np.interp(np.arange(n_beats), corners, (0, 1, 1, 0)))
    fastest_s = rng.uniform(0.33, 0.55)
    faster = max(float(np.median(rr_s)) / fastest_s, 1.15)
    new_s = rr_s * faster**-effort
    index = np.flatnonzero((new_s < rr_s - 0.06) & (labels != "V") & (np.arange(n_beats) > 0))
    windows = beats.signal.astype(np.float32)
    windows[index, :, :P_STOP] = t_wave_under_p(beats, index, new_s[index], rng, own_p=True)
    moved = replace(beats, sample=place_beats(beats.sample, new_s), signal=windows.astype(np.float16))
    return moved, labels.copy()


def _f_waves(frequency_hz: Floats, phase: Floats, amplitude: Floats) -> Floats:
    """Return fibrillatory waves [n, n_leads, P_STOP] from the frequency and phase (in turns) of each beat."""
    time_s = np.arange(P_STOP) / WINDOW_FS
    turns = frequency_hz[:, None] * time_s + phase[:, None]
    return np.asarray(amplitude[:, None] * np.sin(2 * np.pi * turns)[:, None])


def _without_p_waves(  # noqa: PLR0913, PLR0917 - an atrial rhythm is its RR intervals and its waves
    beats: BeatWindows,
    labels: Labels,
    new_s: Floats,
    f_waves: Floats,
    shortest_s: Floats,
    rng: np.random.Generator,
) -> Patient:
    """Apply new RR intervals to N and S, replace the P waves, and keep the relative RR of other beats."""
    rr_s = rr_intervals(beats.sample)
    mean_s = median_filter(new_s, size=21, mode="nearest")
    ectopic_s = mean_s * rr_s / local_median(rr_s) * np.exp(0.15 * rng.standard_normal(len(labels)))
    new_rr_s = np.maximum(np.where(np.isin(labels, ("N", "S")), new_s, ectopic_s), shortest_s)
    windows = beats.signal.astype(np.float32)
    p_wave = windows[:, :, :P_STOP]
    baseline = windows[:, :, P_STOP, None] * np.linspace(0.6, 1, P_STOP)
    remainder = 0.3 * (p_wave - p_wave.mean(axis=2, keepdims=True)) * rng.standard_normal((len(labels), 1, 1))
    windows[:, :, :P_STOP] = baseline + f_waves + remainder
    moved = replace(beats, sample=place_beats(beats.sample, new_rr_s), signal=windows.astype(np.float16))
    return moved, np.where(labels == "S", "N", labels)
