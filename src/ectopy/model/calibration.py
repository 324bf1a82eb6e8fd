"""Calibration."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ectopy.annotations import Annotations
from ectopy.ec57 import BeatComparison
from ectopy.ec57.reference import Reference
from ectopy.ecg import Labels
from ectopy.features import extraction
from ectopy.model.classifier import by_class, softmax
from ectopy.model.training_set import TRAINED_LABELS, TrainingSequence, stacked
from ectopy.monitoring import drift
from ectopy.monitoring.drift import ReferenceProfile


@dataclass(frozen=True)
class Calibration:
    """Temperature of the logits, and the probability below which the classifier abstains."""

    temperature: float
    confidence_threshold: float
    expected_error: float = field(default=float("nan"))


UNCALIBRATED = Calibration(temperature=1.0, confidence_threshold=0.0)


def calibrate(logits: extraction.Floats, label: Labels, *, coverage: float) -> Calibration:
    """Fit the temperature (Guo 2017) on beats of held-out patients; abstain on the least certain of them."""
    from scipy.optimize import minimize_scalar

    known = label != ""
    logits, target = logits[known], np.array([TRAINED_LABELS.index(name) for name in label[known]])
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
    certainty: NDArray[np.floating], right: NDArray[np.bool_], *, n_bins: int = 15
) -> float:
    """Give the expected calibration error over bins of equal width (Naeini 2015)."""
    index = np.minimum((certainty * n_bins).astype(int), n_bins - 1)
    gap = np.bincount(index, certainty - right, minlength=n_bins)
    return float(np.abs(gap).sum() / max(len(certainty), 1))


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What a network that never saw the patient says of one example: logits [n, n_labels]."""

    sequence: TrainingSequence
    reference: Reference
    logits: extraction.Floats

    def compare(self) -> BeatComparison:
        """Judge the likeliest labels by EC57."""
        label = np.array(TRAINED_LABELS)[self.logits.argmax(axis=1)]
        none = np.zeros(len(label), dtype=np.int64)
        return self.reference.compare(Annotations(self.sequence.sample, label, none, ("",) * len(label)))


def comparisons(held_out: Iterable[HeldOut]) -> dict[str, BeatComparison]:
    """Judge what was said of each record."""
    return {held.reference.record: held.compare() for held in held_out}


def calibrate_on(held_out: Sequence[HeldOut], *, coverage: float) -> Calibration:
    """Calibrate on what was said of held-out patients."""
    return calibrate(
        np.concatenate([held.logits for held in held_out]),
        np.concatenate([held.sequence.label for held in held_out]),
        coverage=coverage,
    )


def reference_of(held_out: Sequence[HeldOut], calibration: Calibration) -> ReferenceProfile:
    """Sum up the training patients, each as a network that never saw them reads the detected beats."""
    patients: dict[str, list[HeldOut]] = {held.sequence.patient: [] for held in held_out}
    for held in held_out:
        patients[held.sequence.patient].append(held)
    rows, probability = [], []
    for of_one in patients.values():
        logits: extraction.Floats = np.concatenate([held.logits for held in of_one])
        calibrated = softmax(logits / np.float32(calibration.temperature))
        rows.append(stacked([held.sequence for held in of_one]))
        probability.append(by_class(calibrated, TRAINED_LABELS))
    return drift.fit_reference(rows, probability)
