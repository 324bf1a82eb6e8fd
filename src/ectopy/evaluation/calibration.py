"""Calibration: how reliable the probabilities are, and the error when low-confidence beats are left out.

Only beats after the learning period that match an annotated beat of a modelled class count (de Chazal's
map). Abstention never changes a label. The error is that of the most likely class, over the beats that the
model does not abstain from.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ectopy.ec57 import LEARNING_S, MATCH_WINDOW_S
from ectopy.ec57.reference import Reference
from ectopy.ecg import CLASSES, Beats, Labels, Mask
from ectopy.model.calibration import calibration_error
from ectopy.model.training_set import labels_near
from ectopy.model.training_sources import TRAINED_LABELS, labelled_beats

Numbers = NDArray[np.floating]

COVERAGES = (1.0, 0.99, 0.98, 0.97, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Shares of the beats, the most confident first, at which the error is reported."""
N_BINS = 15


@dataclass(frozen=True, eq=False)
class CalibrationData:
    """Predictions for beats whose class is known.

    ``probability`` has the shape [n, len(TRAINED_LABELS)]. ``reference`` holds the annotated classes, and
    ``confident`` is the mask of :class:`ectopy.ecg.Beats`.
    """

    probability: Numbers
    reference: Labels
    confident: Mask

    @property
    def confidence(self) -> Numbers:
        """Probability of the most likely class."""
        return np.asarray(self.probability.max(axis=1))

    @property
    def correct(self) -> Mask:
        """Mask of the beats whose most likely class is the annotated one."""
        return np.asarray(np.array(TRAINED_LABELS)[self.probability.argmax(axis=1)] == self.reference)


def collect_calibration(reference: Reference, beats: Beats) -> CalibrationData:
    """Collect the analysed beats whose class is known.

    Parameters
    ----------
    reference
        The annotated record.
    beats
        The beats of its analysis, with samples at the record's own sampling rate.

    Returns
    -------
    Probabilities and annotated classes of the beats that match an annotated N, S or V.
    """
    reference_sample, label = labelled_beats(reference.annotations)
    tolerance = round(MATCH_WINDOW_S * reference.fs)
    annotated = labels_near(beats.sample, reference_sample, label, tolerance=tolerance)
    counted = (annotated != "") & (beats.sample >= LEARNING_S * reference.fs)
    modelled = [CLASSES.index(name) for name in TRAINED_LABELS]
    return CalibrationData(
        beats.probability[counted][:, modelled], annotated[counted], beats.confident[counted]
    )


def join(records: Iterable[CalibrationData]) -> CalibrationData:
    """Return the beats of all records as one."""
    records = list(records)
    return CalibrationData(
        np.concatenate([record.probability for record in records]),
        np.concatenate([record.reference for record in records]),
        np.concatenate([record.confident for record in records]),
    )


def join_without(records: Mapping[str, CalibrationData], left_out: Sequence[str]) -> CalibrationData:
    """Return the beats of all records but some as one.

    Parameters
    ----------
    records
        Calibration data by record.
    left_out
        Names of the records to leave out.

    Returns
    -------
    Beats of the other records.
    """
    return join(data for record, data in records.items() if record not in left_out)


def reliability_data(data: CalibrationData) -> dict[str, tuple[Numbers, Mask]]:
    """Return predicted probability and outcome per beat: of the most likely class, and of each class."""
    most_likely = {"likeliest class": (data.confidence, data.correct)}
    return most_likely | {
        label: (data.probability[:, column], data.reference == label)
        for column, label in enumerate(TRAINED_LABELS)
    }


def calibration_errors(data: CalibrationData) -> dict[str, float]:
    """Compute the expected calibration error of the most likely class, and of each class against the rest."""
    return {
        name: calibration_error(probability, outcome, n_bins=N_BINS) if len(outcome) else float("nan")
        for name, (probability, outcome) in reliability_data(data).items()
    }


def reliability(probability: Numbers, outcome: Mask) -> tuple[Numbers, Numbers, NDArray[np.intp]]:
    """Compute the points of a reliability diagram, over bins of equal width that are not empty.

    Parameters
    ----------
    probability
        Predicted probability of each beat.
    outcome
        Whether the prediction came true.

    Returns
    -------
    Mean predicted probability, share that came true and number of beats, by bin.
    """
    index = np.minimum((probability * N_BINS).astype(int), N_BINS - 1)
    n = np.bincount(index, minlength=N_BINS)
    filled = n > 0
    sums = (np.bincount(index, values, minlength=N_BINS)[filled] for values in (probability, outcome))
    mean, share = (total / n[filled] for total in sums)
    return mean, share, n[filled]


def risk_curve(data: CalibrationData) -> Numbers:
    """Compute the share of wrong labels among the k most confident beats, for k from 1 to all."""
    order = np.argsort(-data.confidence, kind="stable")
    wrong = ~data.correct[order]
    return np.asarray(np.cumsum(wrong) / np.arange(1, len(wrong) + 1))


def risk_coverage_area(data: CalibrationData) -> float:
    """Compute the area under the risk-coverage curve, which is the error averaged over all coverages."""
    return float(risk_curve(data).mean()) if len(data.reference) else float("nan")


def risk_table(data: CalibrationData) -> dict[str, list[object]]:
    """Return a table by column: the error at each of COVERAGES, then at the model's own threshold."""
    n, curve = len(data.reference), risk_curve(data)
    rows: list[tuple[object, ...]] = []
    for coverage in COVERAGES if n else ():
        k = max(round(coverage * n), 1)
        rows.append((f"{100 * coverage:g} %", _percent(k / n), k, _percent(curve[k - 1])))
    own = abstention(data)
    n_own = int(data.confident.sum())
    rows.append(("own threshold", _percent(1 - own["share"]), n_own, _percent(own["error of the rest"])))
    columns = ("most confident", "coverage", "beats", "error")
    return {column: [row[k] for row in rows] for k, column in enumerate(columns)}


def abstention(data: CalibrationData) -> dict[str, float]:
    """Compute the share of low-confidence beats, total and by class, and the error with and without them."""
    shares = {
        "share": _mean(~data.confident),
        "error of all": _mean(~data.correct),
        "error of the rest": _mean(~data.correct[data.confident]),
        "error of the abstained": _mean(~data.correct[~data.confident]),
    }
    return shares | {
        f"share of {label}": _mean(~data.confident[data.reference == label]) for label in TRAINED_LABELS
    }


def abstention_sentence(data: CalibrationData) -> str:
    """Return a sentence on how many beats have low confidence, and how many of their labels are wrong."""
    percent = {
        name: f"{100 * share:.2f} %" if np.isfinite(share) else "-"
        for name, share in abstention(data).items()
    }
    by_class = ", ".join(f"{percent[f'share of {label}']} of {label}" for label in TRAINED_LABELS)
    return (
        f"The model abstains from {percent['share']} of the beats ({by_class}). "
        f"{percent['error of the abstained']} of their labels are wrong, "
        f"and {percent['error of the rest']} of the labels of the other beats."
    )


def calibration_table(subsets: Mapping[str, CalibrationData]) -> dict[str, list[object]]:
    """Return a table by column: the calibration errors, with one row per subset of the records."""
    table: dict[str, list[object]] = {"records": list(subsets)}
    table["beats"] = [len(data.reference) for data in subsets.values()]
    errors = [calibration_errors(data) for data in subsets.values()]
    for name in ("likeliest class", *TRAINED_LABELS):
        table[name] = [round(error[name], 4) for error in errors]
    return table


def metrics(data: CalibrationData) -> dict[str, float]:
    """Compute calibration errors, the risk-coverage curve and abstention as metrics by name, to be logged."""
    n, curve = len(data.reference), risk_curve(data)
    errors = {
        f"error at {100 * coverage:g}": float(curve[max(round(coverage * n), 1) - 1])
        for coverage in (COVERAGES if n else ())
    }
    groups = {
        "calibration_error": calibration_errors(data),
        "risk_coverage": errors | {"area": risk_coverage_area(data)},
        "abstention": abstention(data),
    }
    return {
        f"{group}/{name.replace(' ', '_')}": value
        for group, values in groups.items()
        for name, value in values.items()
    }


def _mean(mask: Mask) -> float:
    return float(mask.mean()) if mask.size else float("nan")


def _percent(share: float) -> float:
    return round(100 * float(share), 3)
