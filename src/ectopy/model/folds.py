"""Folds by patient."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ectopy.ec57.reference import GIVEN
from ectopy.model.training_set import TrainingRecord, TrainingSequence


class TooFewPatientsError(ValueError):
    """Data from which nothing can be learned or judged."""


@dataclass(frozen=True)
class Fold:
    """Records to learn from and to judge by; no patient is in both."""

    train: tuple[str, ...]
    test: tuple[str, ...]


def folds(lessons: Sequence[TrainingRecord], n_folds: int, *, seed: int) -> tuple[Fold, ...]:
    """Split records by patient, with the classes spread as evenly as patients allow."""
    from sklearn.model_selection import StratifiedGroupKFold  # training only

    patients = {lesson.reference.patient for lesson in lessons}
    if len(patients) < n_folds:
        raise TooFewPatientsError(f"{n_folds} patients to learn from expected, {len(patients)} are there")
    given = [lesson.variant(GIVEN) for lesson in lessons]
    label = np.concatenate([example.label for example in given])
    index = np.repeat(np.arange(len(given)), [len(example.label) for example in given])
    patient = np.array([example.patient for example in given])[index]
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    names = np.array([example.record for example in given])
    return tuple(
        Fold(tuple(names[np.unique(index[train])]), tuple(names[np.unique(index[test])]))
        for train, test in splitter.split(label, label, patient)
    )


def of_records(lessons: Iterable[TrainingRecord], records: Sequence[str]) -> list[TrainingRecord]:
    """Keep the lessons of some records."""
    return [lesson for lesson in lessons if lesson.reference.record in records]


def training_sequences(lessons: Iterable[TrainingRecord], fold: Fold) -> list[TrainingSequence]:
    """Give what a fold's network may learn from: nothing in which a beat of its held-out patients is lent."""
    lessons = list(lessons)
    unseen = {lesson.reference.patient for lesson in of_records(lessons, fold.test)}
    return [
        example
        for lesson in of_records(lessons, fold.train)
        for example in lesson.sequences
        if not example.patients & unseen
    ]
