"""Evaluation of the findings of one record: it is analysed once, and compared with its labels."""

from dataclasses import dataclass, replace
from pathlib import Path

from ectopy import pipeline
from ectopy.annotations import read_annotations
from ectopy.datasets.catalogue import find_database
from ectopy.ec57.reference import Reference
from ectopy.evaluation.evaluate_record import Outcome
from ectopy.evaluation.finding_comparison import FindingComparison, called_of, compare_findings
from ectopy.evaluation.finding_reference import LABELS, FindingReference, read_reference
from ectopy.model.calibration import Calibration
from ectopy.model.classifier import Classifier, classifier_in
from ectopy.model.rhythm_classifier import load_rhythm_classifier
from ectopy.readers import open_recording
from ectopy.report.data_files import annotations_of
from ectopy.report.summary import not_analysable_reason


@dataclass(frozen=True)
class FindingJob:
    """A record, and the model to evaluate on it, which has not seen the patient.

    ``calibration`` replaces that of the model: networks of folds are saved without one.
    ``rhythm_model`` is the directory of a rhythm network that has not seen the patient either. Without it,
    the beats decide alone.
    """

    database: str
    record: Path
    patient: str
    model: Path
    calibration: Calibration | None = None
    rhythm_model: Path | None = None

    @property
    def key(self) -> str:
        """Name of the record among those of all databases, such as ``mitdb/101``."""
        return f"{self.database}/{self.record.name}"


@dataclass(frozen=True, eq=False)
class RecordFindings:
    """Result of a model on the findings of one record.

    ``ec57`` is the comparison of its beats, runs and episodes, where the database has labels of beats.
    """

    reference: FindingReference
    comparison: FindingComparison
    ec57: Outcome | None


def classifier_of(job: FindingJob) -> Classifier:
    """Return the classifier of a job with the calibration that it asks for."""
    classifier = classifier_in(job.model)
    if job.calibration is None:
        return classifier
    calibrated = replace(
        classifier.specification,
        temperature=job.calibration.temperature,
        confidence_threshold=job.calibration.confidence_threshold,
    )
    return replace(classifier, specification=calibrated)


def evaluate_record_findings(job: FindingJob) -> RecordFindings:
    """Analyse a record, and compare its findings with its labels."""
    recording = open_recording(job.record)
    fs, n_samples = recording.fs, recording.n_samples
    reference = read_reference(
        find_database(job.database), job.record, patient=job.patient, fs=fs, n_samples=n_samples
    )
    name_rhythm = load_rhythm_classifier(job.rhythm_model) if job.rhythm_model else None
    analysis = pipeline.analyse(recording, classifier_of(job), name_rhythm=name_rhythm)
    not_analysable = "" if len(analysis.beats) else not_analysable_reason(recording)
    comparison = compare_findings(reference, called_of(analysis, not_analysable))
    if not LABELS[job.database].beats:
        return RecordFindings(reference, comparison, None)
    annotated = Reference(job.record.name, job.patient, read_annotations(job.record, "atr"), fs, n_samples)
    return RecordFindings(reference, comparison, Outcome.compare(annotated, annotations_of(analysis)))
