"""Training records of the rhythm network: rhythm features, and which rhythms the labels allow in each tick.

Databases differ in what they state, and strips of noise may have beats all the same. So a label allows one
rhythm or several, and the network may choose among them. cudb does not distinguish VT from VF. Nearly all of
it is VF, and is taken for it. Few databases mark artefact. So records are read twice more: with strong
noise added to intervals of them, and with standstill in their place.
"""

import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ectopy import pipeline
from ectopy.annotations import read_annotations
from ectopy.beats.windows import Floats
from ectopy.datasets import catalogue, download
from ectopy.ecg import Mask, Recording, Signal, true_intervals
from ectopy.evaluation.finding_jobs import FindingModel
from ectopy.evaluation.finding_reference import LABELS, NOISE, FindingReference, read_reference
from ectopy.evaluation.record_findings import FindingJob
from ectopy.features.rhythm import RHYTHM_FEATURES, iter_rhythm_features, tick_middles_s
from ectopy.model.classifier import classifier_in
from ectopy.model.rhythm_training import RhythmExample
from ectopy.readers import open_recording
from ectopy.rhythm.rhythm_intervals import RHYTHMS, Rhythm
from ectopy.signal.noise import add_noise, band_noise, on_and_off
from ectopy.signal.waves import TICK_S

DATABASES = ("mitdb", "svdb", "vfdb", "cudb", "challenge-2017")
_SNR_DB, _NOISY = (-18.0, -3.0), 0.3  # of the added noise: its strength, and the share of a record
_STILL_S, _STILL = 20.0, 0.15  # of made standstill: mean length of an interval, and its share of a record
_STILL_NOISE_MV = (0.003, 0.03)
_CERTAIN_S = 3.0  # where a shorter episode is, anything is allowed
_ARTEFACTS = ("~", "|")
_NEAR_ARTEFACT_S = 3.0
_COLUMN = {rhythm: column for column, rhythm in enumerate(RHYTHMS)}
_ALLOWED = {
    "vt": {Rhythm.VT},
    "vf": {Rhythm.VF},
    "asystole": {Rhythm.ASYSTOLE},
    "ivr": {Rhythm.ORGANISED, Rhythm.VT},
    NOISE: {Rhythm.ARTEFACT},
}
"""Rhythms of the network that an episode of the reference allows; the others are organised."""
_PAUSE = {Rhythm.ORGANISED, Rhythm.ASYSTOLE}


def read_examples(job: FindingJob) -> list[RhythmExample]:
    """Read a training record: its rhythm features, by the beats of a model, and its labels.

    Where its labels name a normal rhythm or beats, there are two more: with noise added, and with standstill.
    """
    recording, database = open_recording(job.record), catalogue.find_database(job.database)
    reference = read_reference(
        database, job.record, patient=job.patient, fs=recording.fs, n_samples=recording.n_samples
    )
    features, confident = _features(recording, job)
    middle_s = tick_middles_s(len(features))
    allowed = allowed_rhythms(reference, middle_s)
    if reference.strip == NOISE:
        allowed[~confident] = _mask(Rhythm.ARTEFACT)
    if LABELS[job.database].beats:
        allowed |= _beside_artefacts(job, recording.fs, middle_s)
    examples = [RhythmExample(job.key, job.patient, features, allowed)]
    if LABELS[job.database].beats or reference.strip == "normal":
        examples += [_noisy_example(examples[0], recording, job), _still_example(examples[0], recording, job)]
    return examples


def _noisy_example(example: RhythmExample, recording: Recording, job: FindingJob) -> RhythmExample:
    """Read a record with strong noise, which is artefact where it is on every lead and hides the beats."""
    rng = np.random.default_rng(zlib.crc32(job.key.encode()))  # the same noise in every training
    noisy = add_noise(recording, rng, snr_db=_SNR_DB, noisy_fraction=_NOISY)
    changed = noisy.read(0, noisy.n_samples) != recording.read(0, recording.n_samples)
    features, confident = _features(noisy, job)
    some, every = (
        _mostly(mask, recording.fs, len(features)) for mask in (changed.any(axis=1), changed.all(axis=1))
    )
    allowed = example.allowed.copy()
    allowed[some, _COLUMN[Rhythm.ARTEFACT]] = True
    organised = (example.allowed == _mask(Rhythm.ORGANISED)).all(axis=1)  # fibrillation may look like noise
    allowed[every & organised & ~confident] = _mask(Rhythm.ARTEFACT)
    return replace(example, features=features, allowed=allowed)


def _still_example(example: RhythmExample, recording: Recording, job: FindingJob) -> RhythmExample:
    """Read a record whose heart stands still in intervals of it."""
    rng = np.random.default_rng(zlib.crc32(job.key.encode()))
    signal, still = with_standstill(recording, rng)
    features, _ = _features(replace(recording, read=lambda start, stop: signal[start:stop]), job)
    allowed, fs = example.allowed.copy(), recording.fs
    inside = _mostly(still, fs, len(allowed))
    beside = np.convolve(inside, np.ones(3), mode="same") > 0
    allowed[beside] |= _mask(Rhythm.ORGANISED, Rhythm.ASYSTOLE)
    allowed[inside] = _mask(Rhythm.ASYSTOLE)
    return replace(example, features=features, allowed=allowed)


def with_standstill(recording: Recording, rng: np.random.Generator) -> tuple[Signal, Mask]:
    """Replace random intervals of a recording by standstill: small noise, and in half of them P waves.

    Parameters
    ----------
    recording
        The recording. All samples are read.
    rng
        Random generator.

    Returns
    -------
    The signal [n, n_leads] in mV, and where it stands still, [n].
    """
    signal, fs = recording.read(0, recording.n_samples).astype(np.float32), recording.fs
    n_leads, mean_length = signal.shape[1], min(_STILL_S, recording.duration_s / 2) * fs
    still = on_and_off(len(signal), share=_STILL, mean_length=mean_length, rng=rng)
    for start, stop in true_intervals(still).tolist():
        n, level = stop - start, np.nan_to_num(signal[[start, stop - 1]])
        noise = rng.uniform(*_STILL_NOISE_MV, n_leads) * band_noise(n, n_leads, fs, (0.5, 40.0), rng)
        drift = level[0] + (level[1] - level[0]) * np.linspace(0, 1, n)[:, None]
        signal[start:stop] = noise + drift + (rng.random() < 0.5) * draw_p_waves(n, n_leads, fs, rng)
    return signal, still


def draw_p_waves(n: int, n_leads: int, fs: float, rng: np.random.Generator) -> Floats:
    """Draw P waves at a sinus rate.

    Parameters
    ----------
    n, n_leads
        Number of samples and of leads.
    fs
        Sampling rate in Hz.
    rng
        Random generator.

    Returns
    -------
    [n, n_leads] in mV.
    """
    times = np.cumsum(rng.normal(rng.uniform(0.5, 1.0), 0.03, int(2 * n / fs) + 2))
    nearest_s = np.abs(np.arange(n)[:, None] / fs - times).min(axis=1)
    wave = np.exp(-0.5 * (nearest_s / 0.025) ** 2)
    return np.asarray(wave[:, None] * rng.uniform(0.03, 0.15, n_leads), dtype=np.float32)


def _features(recording: Recording, job: FindingJob) -> tuple[Floats, Mask]:
    """Compute the rhythm features of a recording, and in which ticks there is a confident beat."""
    prepared = pipeline.prepare(recording)
    beats = pipeline.classify_beats(prepared, classifier_in(job.model)).beats
    empty = np.empty((0, len(RHYTHM_FEATURES)), dtype=np.float32)
    features = np.concatenate([empty, *iter_rhythm_features(prepared.waves, beats, prepared.windows)])
    confident = np.zeros(len(features) + 1, dtype=bool)
    confident[np.minimum(beats.time_s[beats.confident] // TICK_S, len(features)).astype(np.intp)] = True
    return features, confident[:-1]


def _mostly(mask: Mask, fs: float, n_ticks: int) -> Mask:
    """Return the ticks of which most samples are in a mask, [n_ticks]."""
    edges = np.minimum(np.round(np.arange(n_ticks + 1) * TICK_S * fs), len(mask)).astype(np.intp)
    inside = np.append(0, np.cumsum(mask))[edges]
    return np.asarray(2 * np.diff(inside) > np.diff(edges))


def allowed_rhythms(reference: FindingReference, middle_s: NDArray[np.float64]) -> Mask:
    """Return which rhythms the labels of a record allow at some times.

    Parameters
    ----------
    reference
        What its database states.
    middle_s
        The middles of n ticks, in seconds.

    Returns
    -------
    Mask [n, len(RHYTHMS)].
    """
    allowed = np.tile(_mask(Rhythm.ORGANISED), (len(middle_s), 1))
    if reference.strip == "noise":
        allowed[:, _COLUMN[Rhythm.ARTEFACT]] = True
    has_marks = reference.key.startswith("vfdb/")
    for episode in reference.episodes:
        inside = (middle_s >= episode.start_s) & (middle_s < episode.stop_s)
        rhythms = _ALLOWED.get(episode.rhythm, {Rhythm.ORGANISED})
        if episode.rhythm == "asystole" and not has_marks:
            rhythms = _PAUSE
        certain = episode.counts and (episode.duration_s >= _CERTAIN_S or rhythms == {Rhythm.ORGANISED})
        allowed[inside] = _mask(*rhythms) if certain else True
    for window in reference.windows:
        inside = (middle_s >= window.start_s) & (middle_s < window.stop_s)
        not_vf = _mask(*(rhythm for rhythm in RHYTHMS if rhythm != Rhythm.VF))
        allowed[inside] = _mask(Rhythm.VF) if window.shockable else not_vf
    return allowed


def _mask(*rhythms: Rhythm) -> Mask:
    return np.isin(RHYTHMS, rhythms)


def _beside_artefacts(job: FindingJob, fs: float, middle_s: NDArray[np.float64]) -> Mask:
    """Allow artefact where the annotators have marked some."""
    annotations = read_annotations(job.record, "atr")
    marked_s = annotations.sample[np.isin(annotations.symbol, _ARTEFACTS)] / fs
    around = (middle_s - _NEAR_ARTEFACT_S, middle_s + _NEAR_ARTEFACT_S)
    first, stop = np.searchsorted(marked_s, around)
    return np.asarray((stop > first)[:, None] & _mask(Rhythm.ARTEFACT))


def example_jobs(data_dir: Path, model: FindingModel) -> Iterator[FindingJob]:
    """Yield the training records of all databases that are present.

    Parameters
    ----------
    data_dir
        The folder of databases.
    model
        The beat classifier. Where it has a network that has not seen the patient, that is used.

    Yields
    ------
    A job for each record.
    """
    for name in DATABASES:
        database = catalogue.find_database(name)
        folder = download.database_folder(database, data_dir)
        wanted = {Path(record).name for record in database.training}
        for header in sorted(folder.rglob("*.hea")):
            record, key = header.with_suffix(""), f"{name}/{header.stem}"
            if record.name in wanted:
                patient = catalogue.patient_of(database, record.name)
                yield FindingJob(name, record, patient, model.folds.get(key, model.folder))
