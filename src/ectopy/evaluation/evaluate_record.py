"""A record examined with a model: analysed once, compared with its annotations in every way EC57 knows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

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
from ectopy.evaluation.flutter import flutter_as_fibrillation, flutter_intervals, clear_rhythm
from ectopy.model.classifier import load_classifier
from ectopy.readers import open_recording
from ectopy.report.data_files import annotations_of


class NothingToEvaluateError(ValueError):
    """A database without a record of a held-out patient."""


@dataclass(frozen=True)
class EvaluationJob:
    """A record to be examined with a model.

    ``members`` are the networks of the ensemble, each to be examined alone too; ``held_out`` says whether the
    record is one of the examination, or one learned from and judged by a network that has not seen it.
    """

    record: Path
    patient: str
    model: Path
    members: tuple[Path, ...] = ()
    held_out: bool = True


@dataclass(frozen=True, eq=False)
class Outcome:
    """Everything EC57 asks of one record: beats, runs, and episodes of AF.

    ``af`` has flutter apart (see :mod:`ectopy.evaluation.flutter`), ``af_epicmp`` takes it for no
    fibrillation as epicmp does, ``flutter`` is what the test calls AF of the reference's flutter alone.
    """

    beats: BeatComparison
    ventricular: RunComparison
    supraventricular: RunComparison
    af: EpisodeComparison
    af_epicmp: EpisodeComparison
    flutter: EpisodeComparison
    paced: bool

    @classmethod
    def compare(cls, truth: Reference, test: Annotations, *, beat_map: BeatMap = "dechazal") -> Self:
        """Compare an annotator of a record with what is known of it."""
        reference, fs, n_samples = truth.annotations, truth.fs, truth.n_samples
        whole = compare_record(reference, test, fs, beat_map=beat_map, n_samples=n_samples)
        apart = clear_rhythm(test, flutter_intervals(reference))
        flutter = flutter_as_fibrillation(reference)
        return cls(
            whole.beats,
            whole.runs["ventricular"],
            whole.runs["supraventricular"],
            compare_episodes(reference, apart, fs, kind="AF", n_samples=n_samples),
            whole.episodes["AF"],
            compare_episodes(flutter, test, fs, kind="AF", n_samples=n_samples),
            whole.paced,
        )


@dataclass(frozen=True, eq=False)
class RecordEvaluation:
    """How a model did on one record: in each of WAYS, and each member of the ensemble on detected beats.

    ``test`` are the marks on detected beats, of ``leads``; ``path`` is the record's, without suffix.
    """

    path: Path
    reference: Reference
    held_out: bool
    leads: tuple[str, ...]
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
        """What the headline figures are made of: detected beats, escape beats as N."""
        return self.by_condition[DETECTED]

    @property
    def duration_s(self) -> float:
        """Length of the record."""
        return self.reference.n_samples / self.reference.fs


def evaluate_record(job: EvaluationJob) -> RecordEvaluation:
    """Analyse a record with detected beats and, where it is held out, given R peaks; compare each."""
    recording, classify = open_recording(job.record), load_classifier(job.model)
    annotations = read_annotations(job.record, "atr")
    truth = Reference(
        job.record.name, job.patient, annotations, recording.fs, recording.n_samples
    )
    described = pipeline.prepare(recording)
    read = [*described.features]  # made once for all networks
    analysis = pipeline.classify_beats(described, classify, features=read)
    found = annotations_of(analysis)
    by_way = {DETECTED: Outcome.compare(truth, found), EC57_MAP: Outcome.compare(truth, found, beat_map="ec57")}
    if job.held_out:
        r_peaks = annotations.sample[classes_of(annotations.symbol) != ""]
        told = pipeline.analyse(recording, classify, r_peaks=r_peaks)
        # Told where the beats are, it is not shut down: marks of that would part at the beats inside.
        by_way[GIVEN] = Outcome.compare(truth, annotations_of(replace(told, unreadable=told.unreadable[:0])))
    members = [
        pipeline.classify_beats(described, load_classifier(member), features=read)
        for member in job.members
    ]
    return RecordEvaluation(
        path=job.record,
        reference=truth,
        held_out=job.held_out,
        leads=analysis.leads,
        test=found,
        by_condition=by_way,
        members=tuple(Outcome.compare(truth, annotations_of(each)) for each in members),
        calibration=collect_calibration(truth, analysis.beats),
    )


def beats_by_condition(evaluations: Mapping[str, RecordEvaluation], condition: str) -> dict[str, BeatComparison]:
    """Give the beat comparisons by record as judged in one way."""
    return {record: each.by_condition[condition].beats for record, each in evaluations.items()}
