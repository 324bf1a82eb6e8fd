"""Training records of the rhythm network: rhythm features, and which rhythms the labels allow in each tick.

Databases differ in what they state, and strips of noise may have beats all the same. So a label allows one
rhythm or several, and the network may choose among them. cudb does not distinguish VT from VF. Nearly all of
it is VF, and is taken for it.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ectopy import pipeline
from ectopy.annotations import read_annotations
from ectopy.datasets import catalogue, download
from ectopy.ecg import Mask
from ectopy.evaluation.finding_jobs import FindingModel
from ectopy.evaluation.finding_reference import LABELS, NOISE, FindingReference, read_reference
from ectopy.evaluation.record_findings import FindingJob
from ectopy.features.rhythm import RHYTHM_FEATURES, iter_rhythm_features, tick_middles_s
from ectopy.model.classifier import classifier_in
from ectopy.model.rhythm_training import RhythmExample
from ectopy.readers import open_recording
from ectopy.rhythm.rhythm_intervals import RHYTHMS, Rhythm

DATABASES = ("mitdb", "svdb", "vfdb", "cudb", "challenge-2017")
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


def read_example(job: FindingJob) -> RhythmExample:
    """Read a training record: its rhythm features, by the beats of a model, and its labels."""
    recording, database = open_recording(job.record), catalogue.find_database(job.database)
    prepared = pipeline.prepare(recording)
    beats = pipeline.classify_beats(prepared, classifier_in(job.model)).beats
    empty = np.empty((0, len(RHYTHM_FEATURES)), dtype=np.float32)
    features = np.concatenate([empty, *iter_rhythm_features(prepared.waves, beats, prepared.windows)])
    reference = read_reference(
        database, job.record, patient=job.patient, fs=recording.fs, n_samples=recording.n_samples
    )
    middle_s = tick_middles_s(len(features))
    allowed = allowed_rhythms(reference, middle_s)
    if LABELS[job.database].beats:
        allowed |= _beside_artefacts(job, recording.fs, middle_s)
    return RhythmExample(job.key, job.patient, features, allowed)


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
