"""What streaming networks say of patients that they have not seen, compared with the reference by EC57."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ectopy.ec57 import BeatComparison, compute_metrics, gross
from ectopy.ec57.reference import Reference
from ectopy.ecg import BeatClass, Labels, Mask
from ectopy.live.beat_features import Floats
from ectopy.live.paroxysm import Paroxysm
from ectopy.model.calibration import Calibration, calibrate
from ectopy.model.training_set import TrainingSequence
from ectopy.model.training_sources import TRAINED_LABELS

COLUMNS = ("qrs_sensitivity", "qrs_positive_predictivity", "veb_f1", "sveb_f1")


class Answers(NamedTuple):
    """Logits [n_beats, look_ahead + 1, n_labels] for the beats of a record, and its reference."""

    sequence: TrainingSequence
    reference: Reference
    logits: Floats

    def compare(self, after: int) -> BeatComparison:
        """Compare the labels after some further beats with the reference."""
        at_once, label = (
            np.array(TRAINED_LABELS)[self.logits[:, seen].argmax(axis=1)] for seen in (0, after)
        )
        label[self._paroxysmal(at_once) & (label == BeatClass.NORMAL)] = BeatClass.SVEB
        return self.reference.compare_labels(self.sequence.sample, label)

    def _paroxysmal(self, label: Labels) -> Mask:
        """Find the beats in a paroxysmal tachycardia, as a stream does, [n]."""
        rr_s = np.diff(self.sequence.sample, prepend=0) / self.reference.fs
        paroxysm, active = Paroxysm(), np.zeros(len(label), dtype=bool)
        for number, (one, interval_s) in enumerate(zip(label.tolist(), rr_s.tolist(), strict=True)):
            paroxysm = paroxysm.after(one, math.log(interval_s) if number else None)
            active[number] = paroxysm.active
        return active


def calibrate_answers(answers: Sequence[Answers], *, coverage: float) -> list[Calibration]:
    """Calibrate the labels after 0, 1, 2 ... further beats.

    Parameters
    ----------
    answers
        What networks say of patients that they have not seen.
    coverage
        Share of beats that are confident afterwards, 0 to 1.

    Returns
    -------
    A calibration for each number of further beats.
    """
    label = np.concatenate([one.sequence.label for one in answers])
    logits = np.concatenate([one.logits for one in answers])
    return [calibrate(logits[:, after], label, coverage=coverage) for after in range(logits.shape[1])]


def metrics_by_look_ahead(answers: Sequence[Answers]) -> dict[str, list[dict[str, float]]]:
    """Compute the gross metrics after 0, 1, 2 ... further beats, by database and for ``all``."""
    groups: dict[str, list[Answers]] = {"all": list(answers)}
    for one in answers:
        groups.setdefault(one.sequence.record.partition("/")[0], []).append(one)
    n_answers = answers[0].logits.shape[1]
    return {
        name: [compute_metrics(gross([one.compare(after) for one in group])) for after in range(n_answers)]
        for name, group in groups.items()
    }


def table(metrics: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Return the metrics in percent as a table in Markdown."""
    lines = ["| database | further beats | QRS Se / +P | VEB F1 | SVEB F1 |", "|---|---|---|---|---|"]
    for name, rows in metrics.items():
        for after, row in enumerate(rows):
            se, ppv, veb, sveb = (f"{100 * row[column]:.2f}" for column in COLUMNS)
            lines.append(f"| {name} | {after} | {se} / {ppv} | {veb[:-1]} | {sveb[:-1]} |")
    return "\n".join(lines)
