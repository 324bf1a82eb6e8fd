"""Evaluation of one record: it is analysed once, and compared with its annotations by all rules of EC57."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from ectopy import pipeline
from ectopy.annotations import Annotations, read_annotations
from ectopy.ec57 import (
    BeatComparison,
    BeatMap,
    EpisodeComparison,
    RunComparison,
    classes_of,
    compare_episodes,
    compare_record,
)
from ectopy.ec57.reference import DETECTED, EC57_MAP, GIVEN, Reference
from ectopy.evaluation.calibration import CalibrationData, collect_calibration
from ectopy.evaluation.flutter import (
    clear_rhythm,
    flutter_as_fibrillation,
    flutter_intervals,
    flutter_too,
)
from ectopy.model.classifier import load_classifier
from ectopy.readers import open_recording
from ectopy.report.data_files import annotations_of


class NothingToEvaluateError(ValueError):
    """A database without a record of a held-out patient."""


@dataclass(frozen=True)
class EvaluationJob:
    """A record and the model to evaluate on it.

    ``members`` are the networks of the ensemble, which are also evaluated one by one. ``held_out`` is false
    for a training record. Its model must be a network of the cross-validation that has not seen the patient.
    """

    record: Path
    patient: str
    model: Path
    members: tuple[Path, ...] = ()
    held_out: bool = True


@dataclass(frozen=True, eq=False)
class Outcome:
    """Comparison of one record by all rules of EC57: beats, runs, and episodes of AF.

    ``af`` leaves the time of flutter out (see :mod:`ectopy.evaluation.flutter`). ``af_epicmp`` counts AF
    detected during flutter as false, as ``epicmp`` does. ``flutter`` holds how much of the annotated
    flutter was detected as AF.
    """

    beats: BeatComparison
    ventricular: RunComparison
    supraventricular: RunComparison
    af: EpisodeComparison
    af_epicmp: EpisodeComparison
    flutter: EpisodeComparison
    paced: bool

    @classmethod
    def compare(cls, reference: Reference, test: Annotations, *, beat_map: BeatMap = "dechazal") -> Self:
        """Compare the annotations of an analysis with the reference.

        Parameters
        ----------
        reference
            The annotated record.
        test
            Annotations of its analysis, at the record's own sampling rate.
        beat_map
            The mapping of beat annotations to classes.

        Returns
        -------
        The comparison by beats, runs and AF episodes.
        """
        annotations, fs, n_samples = reference.annotations, reference.fs, reference.n_samples
        record = compare_record(annotations, test, fs, beat_map=beat_map, n_samples=n_samples)
        called = flutter_too(test)
        called_outside = clear_rhythm(called, flutter_intervals(annotations))
        flutter = flutter_as_fibrillation(annotations)
        return cls(
            record.beats,
            record.runs["ventricular"],
            record.runs["supraventricular"],
            compare_episodes(annotations, called_outside, fs, kind="AF", n_samples=n_samples),
            record.episodes["AF"],
            compare_episodes(flutter, called, fs, kind="AF", n_samples=n_samples),
            record.paced,
        )


@dataclass(frozen=True, eq=False)
class RecordEvaluation:
    """Results of a model on one record, by condition (see :data:`ectopy.ec57.reference.CONDITIONS`).

    ``members`` are the results of each network of the ensemble, on detected beats. ``test`` holds the
    annotations of the analysis with detected beats, which used the leads in ``columns``.
    ``path`` is the path of the record without suffix.
    """

    path: Path
    reference: Reference
    held_out: bool
    columns: tuple[int, ...]
    test: Annotations
    by_condition: Mapping[str, Outcome]
    members: tuple[Outcome, ...]
    calibration: CalibrationData

    @property
    def record(self) -> str:
        """Name of the record."""
        return self.reference.record

    @property
    def outcome(self) -> Outcome:
        """Outcome behind the headline metrics: detected beats, escape beats as N."""
        return self.by_condition[DETECTED]

    @property
    def duration_s(self) -> float:
        """Length of the record."""
        return self.reference.n_samples / self.reference.fs


def evaluate_record(job: EvaluationJob) -> RecordEvaluation:
    """Analyse a record with detected beats, and if it is held out also with given R peaks; compare both."""
    recording, classify = open_recording(job.record), load_classifier(job.model)
    annotations = read_annotations(job.record, "atr")
    reference = Reference(job.record.name, job.patient, annotations, recording.fs, recording.n_samples)
    prepared = pipeline.prepare(recording)
    features = [*prepared.features]  # computed once for all networks
    analysis = pipeline.classify_beats(prepared, classify, features=features)
    test = annotations_of(analysis)
    by_condition = {
        DETECTED: Outcome.compare(reference, test),
        EC57_MAP: Outcome.compare(reference, test, beat_map="ec57"),
    }
    if job.held_out:
        r_peaks = np.unique(annotations.sample[classes_of(annotations.symbol) != ""])
        r_peaks = r_peaks[r_peaks < recording.n_samples]  # svdb 860 has a beat at the sample after its end
        given = pipeline.analyse(recording, classify, r_peaks=r_peaks)
        # With given R peaks there is no shutdown: its marks would be split at the beats inside it.
        given = replace(given, unreadable=given.unreadable[:0])
        by_condition[GIVEN] = Outcome.compare(reference, annotations_of(given))
    members = [
        pipeline.classify_beats(prepared, load_classifier(member), features=features)
        for member in job.members
    ]
    return RecordEvaluation(
        path=job.record,
        reference=reference,
        held_out=job.held_out,
        columns=analysis.columns,
        test=test,
        by_condition=by_condition,
        members=tuple(Outcome.compare(reference, annotations_of(member)) for member in members),
        calibration=collect_calibration(reference, analysis.beats),
    )


def beats_by_condition(
    evaluations: Mapping[str, RecordEvaluation], condition: str
) -> dict[str, BeatComparison]:
    """Return the beat comparison of each record under one condition.

    Parameters
    ----------
    evaluations
        The evaluated records by name.
    condition
        One of :data:`ectopy.ec57.reference.CONDITIONS`.

    Returns
    -------
    Beat comparisons by record.
    """
    return {record: evaluation.by_condition[condition].beats for record, evaluation in evaluations.items()}
