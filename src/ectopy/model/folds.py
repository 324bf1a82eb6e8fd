"""Cross-validation: split the training records by patient, so that no patient is trained and tested on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ectopy.ec57.reference import GIVEN
from ectopy.model.training_set import TrainingRecord, TrainingSequence


class TooFewPatientsError(ValueError):
    """The training set has fewer patients than folds."""


@dataclass(frozen=True)
class Fold:
    """Keys of the records to train on and to test on, such as ``mitdb/101``; no patient is in both."""

    train: tuple[str, ...]
    test: tuple[str, ...]


def require_patients(patients: Iterable[str], n_folds: int) -> None:
    """Refuse fewer patients than folds.

    Parameters
    ----------
    patients
        The patient of each record.
    n_folds
        Number of folds.

    Raises
    ------
    TooFewPatientsError
        If there are fewer patients than folds.
    """
    if (n_patients := len(set(patients))) < n_folds:
        raise TooFewPatientsError(
            f"{n_patients} patients are too few for {n_folds} folds. "
            "Add records with `ectopy ingest`, or lower n_folds."
        )


def split_folds(records: Sequence[TrainingRecord], n_folds: int, *, seed: int) -> tuple[Fold, ...]:
    """Split the records by patient; classes and databases are spread as evenly as the patients allow.

    Parameters
    ----------
    records
        The training set.
    n_folds
        Number of folds; each record is in the test set of one fold.
    seed
        Seed of the split.

    Returns
    -------
    The folds.

    Raises
    ------
    TooFewPatientsError
        If there are fewer patients than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # training only

    require_patients((record.reference.patient for record in records), n_folds)
    given = [record.get(GIVEN) for record in records]
    stratum = np.concatenate([_strata(sequence) for sequence in given])
    index = np.repeat(np.arange(len(given)), [len(sequence.label) for sequence in given])
    patient = np.array([sequence.patient for sequence in given])[index]
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    names = np.array([sequence.record for sequence in given])
    return tuple(
        Fold(tuple(names[np.unique(index[train])]), tuple(names[np.unique(index[test])]))
        for train, test in splitter.split(stratum, stratum, patient)
    )


def _strata(sequence: TrainingSequence) -> NDArray[np.str_]:
    """Return the database and the class of each beat, such as ``mitdb N``."""
    return np.char.add(f"{sequence.record.partition('/')[0]} ", sequence.label)


def pick_records(records: Iterable[TrainingRecord], keys: Sequence[str]) -> list[TrainingRecord]:
    """Select training records by key.

    Parameters
    ----------
    records
        The training set.
    keys
        Keys of records.

    Returns
    -------
    The training records with these keys, in the order of the training set.
    """
    return [record for record in records if record.key in keys]


def training_sequences(records: Iterable[TrainingRecord], fold: Fold) -> list[TrainingSequence]:
    """Collect the sequences on which the network of a fold may be trained.

    A sequence with borrowed beats of a test patient is left out.

    Parameters
    ----------
    records
        The training set.
    fold
        The fold.

    Returns
    -------
    Sequences that contain no beat of a test patient.
    """
    records = list(records)
    test_patients = {record.reference.patient for record in pick_records(records, fold.test)}
    return [
        sequence
        for record in pick_records(records, fold.train)
        for sequence in record.sequences
        if not sequence.patients & test_patients
    ]
