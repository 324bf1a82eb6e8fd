"""How far a model's probabilities can be believed: calibration, and the error that abstaining leaves.

Counted are beats after the learning period that match an annotated beat of a modelled class (de Chazal's
map). Abstaining never changes a label: the error is that of the likeliest class, over fewer beats.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ectopy.ec57 import LEARNING_S, MATCH_WINDOW_S
from ectopy.ec57.reference import Reference
from ectopy.ecg import CLASSES, Beats, Labels, Mask
from ectopy.model.calibration import calibration_error
from ectopy.model.training_set import TRAINED_LABELS, labelled_beats, labels_near

Numbers = NDArray[np.floating]

COVERAGES = (1.0, 0.99, 0.98, 0.97, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Shares of the beats, the most confident first, over which the error is told."""
N_BINS = 15


@dataclass(frozen=True, eq=False)
class CalibrationData:
    """What a model says of beats whose class is known.

    ``probability`` is [n, len(TRAINED_LABELS)], ``reference`` the known classes, ``confident`` as in Beats.
    """

    probability: Numbers
    reference: Labels
    confident: Mask

    @property
    def confidence(self) -> Numbers:
        """Probability of the likeliest class."""
        return np.asarray(self.probability.max(axis=1))

    @property
    def correct(self) -> Mask:
        """Where the likeliest class is the known one."""
        return np.asarray(np.array(TRAINED_LABELS)[self.probability.argmax(axis=1)] == self.reference)


def collect_calibration(truth: Reference, beats: Beats) -> CalibrationData:
    """Keep the beats of an analysis whose class is known."""
    reference, label = labelled_beats(truth.annotations)
    known = labels_near(beats.sample, reference, label, tolerance=round(MATCH_WINDOW_S * truth.fs))
    kept = (known != "") & (beats.sample >= LEARNING_S * truth.fs)
    modelled = [CLASSES.index(name) for name in TRAINED_LABELS]
    return CalibrationData(beats.probability[kept][:, modelled], known[kept], beats.confident[kept])


def join(records: Iterable[CalibrationData]) -> CalibrationData:
    """Put the beats of all records together."""
    each = list(records)
    return CalibrationData(
        np.concatenate([judged.probability for judged in each]),
        np.concatenate([judged.reference for judged in each]),
        np.concatenate([judged.confident for judged in each]),
    )


def reliability_data(judged: CalibrationData) -> dict[str, tuple[Numbers, Mask]]:
    """Give what was claimed and what came true, of the likeliest class and of each against the rest."""
    told = {"likeliest class": (judged.confidence, judged.correct)}
    return told | {
        label: (judged.probability[:, column], judged.reference == label)
        for column, label in enumerate(TRAINED_LABELS)
    }


def calibration_errors(judged: CalibrationData) -> dict[str, float]:
    """Give the expected calibration error of each view."""
    return {
        name: calibration_error(claimed, true, n_bins=N_BINS) if len(true) else float("nan")
        for name, (claimed, true) in reliability_data(judged).items()
    }


def reliability(claimed: Numbers, true: Mask) -> tuple[Numbers, Numbers, NDArray[np.intp]]:
    """Give mean probability claimed, share that came true and number of beats, by bin that is not empty."""
    index = np.minimum((claimed * N_BINS).astype(int), N_BINS - 1)
    n = np.bincount(index, minlength=N_BINS)
    there = n > 0
    sums = (np.bincount(index, values, minlength=N_BINS)[there] for values in (claimed, true))
    mean, share = (total / n[there] for total in sums)
    return mean, share, n[there]


def risk_curve(judged: CalibrationData) -> Numbers:
    """Give the share of wrong labels among the k most confident beats, for k from 1 to all."""
    order = np.argsort(-judged.confidence, kind="stable")
    wrong = ~judged.correct[order]
    return np.asarray(np.cumsum(wrong) / np.arange(1, len(wrong) + 1))


def risk_coverage_area(judged: CalibrationData) -> float:
    """Give the area under the risk-coverage curve: the error averaged over all coverages."""
    return float(risk_curve(judged).mean()) if len(judged.reference) else float("nan")


def risk_table(judged: CalibrationData) -> dict[str, list[object]]:
    """Give a table by column: error at each of COVERAGES, and at the model's own threshold last."""
    n, curve = len(judged.reference), risk_curve(judged)
    rows: list[tuple[object, ...]] = []
    for coverage in COVERAGES if n else ():
        k = max(round(coverage * n), 1)
        rows.append((f"{100 * coverage:g} %", _percent(k / n), k, _percent(curve[k - 1])))
    own = abstention(judged)
    n_own = int(judged.confident.sum())
    rows.append(("own threshold", _percent(1 - own["share"]), n_own, _percent(own["error of the rest"])))
    columns = ("most confident", "coverage", "beats", "error")
    return {column: [row[k] for row in rows] for k, column in enumerate(columns)}


def abstention(judged: CalibrationData) -> dict[str, float]:
    """Give the share of beats abstained from, in all and of each class, and the errors with and without."""
    told = {
        "share": _mean(~judged.confident),
        "error of all": _mean(~judged.correct),
        "error of the rest": _mean(~judged.correct[judged.confident]),
        "error of the abstained": _mean(~judged.correct[~judged.confident]),
    }
    return told | {
        f"share of {label}": _mean(~judged.confident[judged.reference == label]) for label in TRAINED_LABELS
    }


def abstention_sentence(judged: CalibrationData) -> str:
    """Tell from how many beats the model abstained, and how many of these it would have called wrong."""
    told = {
        name: f"{100 * share:.2f} %" if np.isfinite(share) else "-"
        for name, share in abstention(judged).items()
    }
    by_class = ", ".join(f"{told[f'share of {label}']} of {label}" for label in TRAINED_LABELS)
    return (
        f"Abstained from {told['share']} of the beats ({by_class}); "
        f"of these labels {told['error of the abstained']} are wrong, "
        f"of the others {told['error of the rest']}."
    )


def calibration_table(subsets: Mapping[str, CalibrationData]) -> dict[str, list[object]]:
    """Give a table by column: expected calibration error of each view, a row a subset of the records."""
    table: dict[str, list[object]] = {"records": list(subsets)}
    table["beats"] = [len(judged.reference) for judged in subsets.values()]
    errors = [calibration_errors(judged) for judged in subsets.values()]
    for name in ("likeliest class", *TRAINED_LABELS):
        table[name] = [round(error[name], 4) for error in errors]
    return table


def metrics(judged: CalibrationData) -> dict[str, float]:
    """Give everything above as figures by name, for tracking."""
    n, curve = len(judged.reference), risk_curve(judged)
    errors = {
        f"error at {100 * coverage:g}": float(curve[max(round(coverage * n), 1) - 1])
        for coverage in (COVERAGES if n else ())
    }
    groups = {
        "calibration_error": calibration_errors(judged),
        "risk_coverage": errors | {"area": risk_coverage_area(judged)},
        "abstention": abstention(judged),
    }
    return {
        f"{group}/{name.replace(' ', '_')}": value
        for group, told in groups.items()
        for name, value in told.items()
    }


def join_without(judged: Mapping[str, CalibrationData], left_out: Sequence[str]) -> CalibrationData:
    """Join all records but some."""
    return join(each for record, each in judged.items() if record not in left_out)


def _mean(mask: Mask) -> float:
    return float(mask.mean()) if mask.size else float("nan")


def _percent(share: float) -> float:
    return round(100 * float(share), 3)
