"""Calibration of the network on held-out patients: temperature and confidence threshold."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ectopy.ec57 import BeatComparison
from ectopy.ec57.reference import Reference
from ectopy.ecg import Labels
from ectopy.features.extraction import Floats
from ectopy.model.classifier import by_class, softmax
from ectopy.model.training_set import TrainingSequence, stack_features
from ectopy.model.training_sources import TRAINED_LABELS
from ectopy.monitoring import drift
from ectopy.monitoring.drift import ReferenceProfile


@dataclass(frozen=True)
class Calibration:
    """Temperature by which logits are divided, and the probability below which a beat is not confident.

    ``expected_error`` is the expected calibration error on the patients of the calibration.
    """

    temperature: float
    confidence_threshold: float
    expected_error: float = field(default=float("nan"))


UNCALIBRATED = Calibration(temperature=1.0, confidence_threshold=0.0)
"""Leaves probabilities unchanged; all beats are confident."""


def calibrate(logits: Floats, label: Labels, *, coverage: float) -> Calibration:
    """Fit the temperature (Guo 2017) and the confidence threshold on beats of held-out patients.

    Parameters
    ----------
    logits
        Logits [n, n_labels] of the network.
    label
        True labels [n]; beats with '' are ignored.
    coverage
        Share of beats that are confident afterwards, 0 to 1.

    Returns
    -------
    The calibration, with its expected error on the same beats.
    """
    from scipy.optimize import minimize_scalar

    labelled = label != ""
    logits, target = logits[labelled], np.array([TRAINED_LABELS.index(name) for name in label[labelled]])
    rows = np.arange(len(target))

    def loss(log_temperature: float) -> float:
        probability = softmax(logits / np.float32(np.exp(log_temperature)))[rows, target]
        return -float(np.log(probability + 1e-12).mean())

    temperature = float(np.exp(minimize_scalar(loss, bounds=(-2, 2), method="bounded").x))
    probability = softmax(logits / np.float32(temperature))
    certainty = probability.max(axis=1)
    error = calibration_error(certainty, probability.argmax(axis=1) == target)
    return Calibration(temperature, float(np.quantile(certainty, 1 - coverage)), error)


def calibration_error(
    certainty: NDArray[np.floating], correct: NDArray[np.bool_], *, n_bins: int = 15
) -> float:
    """Compute the expected calibration error over bins of equal width (Naeini 2015).

    Parameters
    ----------
    certainty
        Probability [n] of the predicted class.
    correct
        Whether the predicted class is the true one [n].
    n_bins
        Number of bins between 0 and 1.

    Returns
    -------
    Mean difference between certainty and accuracy, 0 to 1.
    """
    index = np.minimum((certainty * n_bins).astype(int), n_bins - 1)
    gap = np.bincount(index, certainty - correct, minlength=n_bins)
    return float(np.abs(gap).sum() / max(len(certainty), 1))


@dataclass(frozen=True, eq=False)
class OutOfFoldPrediction:
    """Logits [n, n_labels] of one sequence, from a network that was not trained on its patient."""

    sequence: TrainingSequence
    reference: Reference
    logits: Floats

    def compare(self) -> BeatComparison:
        """Compare the most likely labels with the reference by EC57."""
        label = np.array(TRAINED_LABELS)[self.logits.argmax(axis=1)]
        return self.reference.compare_labels(self.sequence.sample, label)


def compare_records(predictions: Iterable[OutOfFoldPrediction]) -> dict[str, BeatComparison]:
    """Compare the predictions of each record with its reference by EC57; return them by key of the record."""
    return {prediction.sequence.record: prediction.compare() for prediction in predictions}


def calibrate_predictions(predictions: Sequence[OutOfFoldPrediction], *, coverage: float) -> Calibration:
    """Calibrate on predictions for patients that the networks have not seen.

    Parameters
    ----------
    predictions
        Predictions, each by a network that was not trained on the patient.
    coverage
        Share of beats that are confident afterwards, 0 to 1.

    Returns
    -------
    The calibration.
    """
    return calibrate(
        np.concatenate([prediction.logits for prediction in predictions]),
        np.concatenate([prediction.sequence.label for prediction in predictions]),
        coverage=coverage,
    )


def errors_by_database(
    predictions: Sequence[OutOfFoldPrediction], calibration: Calibration
) -> dict[str, float]:
    """Compute the expected calibration error on the labelled beats of each database.

    Parameters
    ----------
    predictions
        Predictions, each by networks that were not trained on the patient.
    calibration
        Calibration of the predictions.

    Returns
    -------
    Expected calibration error by database, 0 to 1.
    """
    groups: dict[str, list[OutOfFoldPrediction]] = {}
    for prediction in predictions:
        groups.setdefault(prediction.sequence.record.partition("/")[0], []).append(prediction)
    return {database: _error(group, calibration) for database, group in groups.items()}


def _error(predictions: Sequence[OutOfFoldPrediction], calibration: Calibration) -> float:
    label = np.concatenate([prediction.sequence.label for prediction in predictions])
    logits: Floats = np.concatenate([prediction.logits for prediction in predictions])
    probability = softmax(logits[label != ""] / np.float32(calibration.temperature))
    called = np.array(TRAINED_LABELS)[probability.argmax(axis=1)]
    return calibration_error(probability.max(axis=1), called == label[label != ""])


def reference_profile(
    predictions: Sequence[OutOfFoldPrediction], calibration: Calibration
) -> ReferenceProfile:
    """Summarise features and probabilities of the training patients, as the reference for drift monitoring.

    Parameters
    ----------
    predictions
        Predictions, each by a network that was not trained on the patient.
    calibration
        Calibration of the predictions.

    Returns
    -------
    The reference profile over all patients.
    """
    by_patient: dict[str, list[OutOfFoldPrediction]] = {
        prediction.sequence.patient: [] for prediction in predictions
    }
    for prediction in predictions:
        by_patient[prediction.sequence.patient].append(prediction)
    features, probability = [], []
    for of_patient in by_patient.values():
        logits: Floats = np.concatenate([prediction.logits for prediction in of_patient])
        calibrated = softmax(logits / np.float32(calibration.temperature))
        features.append(stack_features([prediction.sequence for prediction in of_patient]))
        probability.append(by_class(calibrated, TRAINED_LABELS))
    return drift.fit_reference(features, probability)
