"""Training of a model, step by step, from file to file.

Each step reads the training records and the networks that it needs from disk, and writes its result there.
The steps exchange paths, records and small values only, so each can run as a task of its own:

``record_jobs`` -> ``training_set.run_job`` -> ``split_folds`` -> ``fit_fold`` -> ``calibrate_folds`` ->
``fit_member`` -> ``save_ensemble`` -> ``save_reference_profile``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ectopy.ec57 import BeatComparison
from ectopy.ec57.reference import DETECTED, GIVEN
from ectopy.features.extraction import Floats
from ectopy.model import calibration, folds, network
from ectopy.model.calibration import UNCALIBRATED, Calibration, HeldOut
from ectopy.model.classifier import load_classifier
from ectopy.model.folds import Fold
from ectopy.model.network import Callback, Network, TrainConfig
from ectopy.model.training_set import RecordJob, TrainingRecord, stack_features
from ectopy.monitoring.drift import write_reference


@dataclass(frozen=True)
class TrainingFolder:
    """The folder in which one training keeps its files."""

    path: Path

    @property
    def model(self) -> Path:
        """The model directory of the ensemble."""
        return self.path / "model"

    def record(self, name: str) -> Path:
        """Return the file of a training record."""
        return self.path / f"{name}.npz"

    def fold(self, number: int) -> Path:
        """Return the model directory of the network of a fold."""
        return self.path / f"fold-{number}"

    def predictions(self, number: int) -> Path:
        """Return the file of a fold's logits on its held-out records."""
        return self.path / f"fold-{number}-predictions.npz"

    def member(self, number: int) -> Path:
        """Return the model directory of one network of the ensemble."""
        return self.path / f"member-{number}"


def record_jobs(
    folder: Path, patients: Mapping[str, str], config: TrainConfig, work: TrainingFolder
) -> list[RecordJob]:
    """Return a job for each record to read; records of all other patients may donate beats.

    Parameters
    ----------
    folder
        The folder of the database.
    patients
        The patient of each training record.
    config
        Supplies the jitter of the R peaks and the seed.
    work
        Where the training records go.

    Returns
    -------
    The jobs, in the order of ``patients``.
    """
    return [
        RecordJob(
            record=folder / record,
            patient=patient,
            training_record=work.record(record),
            jitter_s=config.jitter_s,
            seed=config.seed,
            donors=tuple((folder / other, owner) for other, owner in patients.items() if owner != patient),
        )
        for record, patient in patients.items()
    ]


def load_records(jobs: Sequence[RecordJob]) -> list[TrainingRecord]:
    """Load the training records that these jobs have written."""
    return [job.load() for job in jobs]


def given_beats(jobs: Sequence[RecordJob]) -> tuple[Floats, list[str]]:
    """Return the features [n, k] and the labels [n] of all annotated beats."""
    sequences = [record.get(GIVEN) for record in load_records(jobs)]
    return stack_features(sequences), [label for sequence in sequences for label in sequence.label]


def split_folds(jobs: Sequence[RecordJob], config: TrainConfig) -> tuple[Fold, ...]:
    """Split the records into the folds of the cross-validation, by patient.

    Parameters
    ----------
    jobs
        The jobs that have written the training records.
    config
        Supplies the number of folds and the seed.

    Returns
    -------
    The folds.
    """
    return folds.split_folds(load_records(jobs), config.n_folds, seed=config.seed)


def fit_fold(  # noqa: PLR0913 - what to train on, how, and where to write
    jobs: Sequence[RecordJob],
    fold: Fold,
    config: TrainConfig,
    *,
    model: Path,
    predictions: Path,
    name: str,
    callbacks: Sequence[Callback] = (),
) -> dict[str, BeatComparison]:
    """Train a network without the patients of a fold, and write its logits on their detected beats.

    Parameters
    ----------
    jobs
        The jobs that have written the training records.
    fold
        The records for training and the held-out records.
    config
        The choices of the experiment.
    model
        The model directory to write.
    predictions
        The ``.npz`` file of logits to write, see :func:`load_held_out`.
    name
        The name of the network.
    callbacks
        Functions that are called after each epoch.

    Returns
    -------
    The EC57 comparison of each held-out record.
    """
    fitted, held_out = network.fit_fold(load_records(jobs), fold, config, callbacks=callbacks)
    network.save(fitted, model, UNCALIBRATED, name=name, run="out of fold")
    np.savez(
        predictions,
        allow_pickle=False,
        **{prediction.reference.record: prediction.logits for prediction in held_out},
    )
    return calibration.compare_records(held_out)


def load_held_out(jobs: Sequence[RecordJob], predictions: Sequence[Path]) -> list[HeldOut]:
    """Load the logits of held-out records, with the detected beats that they belong to.

    Parameters
    ----------
    jobs
        The jobs that have written the training records.
    predictions
        The files that :func:`fit_fold` has written.

    Returns
    -------
    The held-out records, in the order of the folds.
    """
    by_name = {job.record.name: job for job in jobs}
    held_out = []
    for path in predictions:
        with np.load(path, allow_pickle=False) as arrays:
            logits = {name: arrays[name] for name in arrays}
        for name, values in logits.items():
            record = by_name[name].load()
            held_out.append(HeldOut(record.get(DETECTED), record.reference, values))
    return held_out


def calibrate_folds(
    jobs: Sequence[RecordJob], predictions: Sequence[Path], config: TrainConfig
) -> Calibration:
    """Calibrate on the logits of all held-out records.

    Parameters
    ----------
    jobs
        The jobs that have written the training records.
    predictions
        The files that :func:`fit_fold` has written.
    config
        Supplies the fraction of beats that stay confident.

    Returns
    -------
    The temperature and the confidence threshold.
    """
    return calibration.calibrate_held_out(load_held_out(jobs, predictions), coverage=config.coverage)


def fit_member(  # noqa: PLR0913 - what to train on, how, and where to write
    jobs: Sequence[RecordJob],
    config: TrainConfig,
    calibrated: Calibration,
    *,
    model: Path,
    name: str,
    callbacks: Sequence[Callback] = (),
) -> None:
    """Train one network of the ensemble on all training records.

    Parameters
    ----------
    jobs
        The jobs that have written the training records.
    config
        The choices of the experiment, with the seed of this member.
    calibrated
        The calibration of the ensemble, which the model directory repeats.
    model
        The model directory to write.
    name
        The name of the network.
    callbacks
        Functions that are called after each epoch.
    """
    sequences = [sequence for record in load_records(jobs) for sequence in record.sequences]
    fitted = network.fit(sequences, config, seed=config.seed, callbacks=callbacks)
    network.save(fitted, model, calibrated, name=name, run="one of the ensemble")


def member_config(config: TrainConfig, number: int) -> TrainConfig:
    """Return the configuration of one network of the ensemble, which differs in its seed only.

    Parameters
    ----------
    config
        The choices of the experiment.
    number
        The number of the member, from 0.

    Returns
    -------
    The configuration of the member.
    """
    return replace(config, seed=config.seed + number)


def save_ensemble(
    members: Sequence[Path], model: Path, calibrated: Calibration, *, name: str, run: str
) -> None:
    """Write the model directory of an ensemble, whose logits are the mean of its members' logits.

    Parameters
    ----------
    members
        The model directories of the networks.
    model
        The model directory to write.
    calibrated
        The temperature and the confidence threshold.
    name
        The name of the model.
    run
        The id of its MLflow run.
    """
    ensemble = network.ensemble([_load_network(member) for member in members])
    network.save(ensemble, model, calibrated, name=name, run=run)


def save_reference_profile(
    jobs: Sequence[RecordJob], predictions: Sequence[Path], calibrated: Calibration, model: Path
) -> None:
    """Write the profile of the training patients into a model directory; drift is measured against it.

    Parameters
    ----------
    jobs
        The jobs that have written the training records.
    predictions
        The files that :func:`fit_fold` has written.
    calibrated
        The calibration of the model.
    model
        The model directory.
    """
    profile = calibration.reference_profile(load_held_out(jobs, predictions), calibrated)
    write_reference(profile, model)


def _load_network(model: Path) -> Network:
    specification = load_classifier(model).specification
    mean, scale = (np.array(values, dtype=np.float32) for values in (specification.mean, specification.scale))
    return Network(network.load_keras(model), mean, scale)
