"""Training of a model, step by step, from file to file.

Each step reads the training records and the networks that it needs from disk, and writes its result there.
The steps exchange paths, records and small values only, so each can run as a task or process of its own:

``record_jobs`` -> ``training_set.run_job`` -> ``make_folds`` -> ``fold_networks`` and ``member_networks`` ->
``fit_network`` -> ``save_fold`` -> ``load_predictions`` -> ``calibrate_members`` -> ``save_ensemble`` ->
``save_reference_profile``.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ectopy.ec57 import BeatComparison
from ectopy.ec57.reference import DETECTED, GIVEN
from ectopy.features.extraction import Floats
from ectopy.model import calibration, folds, network
from ectopy.model.calibration import UNCALIBRATED, Calibration, OutOfFoldPrediction
from ectopy.model.classifier import load_classifier
from ectopy.model.folds import Fold
from ectopy.model.network import Epoch, Network, TrainConfig
from ectopy.model.training_set import RecordJob, TrainingRecord, stack_features
from ectopy.model.training_sources import LabelledRecord, SourceRecords
from ectopy.monitoring.drift import write_reference
from ectopy.parallel.worker_pool import report


@dataclass(frozen=True)
class TrainingFolder:
    """The folder in which one training keeps its files."""

    path: Path

    @property
    def model(self) -> Path:
        """The model directory of the ensemble."""
        return self.path / "model"

    @property
    def compiled(self) -> Path:
        """The folder of compiled programs, which all networks of a training share."""
        return self.path / "compiled"

    def record(self, key: str) -> Path:
        """Return the file of the training record with a key such as ``mitdb/101``."""
        return self.path / f"{key}.npz"

    def fold(self, number: int) -> Path:
        """Return the model directory of the ensemble of a fold."""
        return self.path / f"fold-{number}" / "model"

    def fold_network(self, number: int, member: int) -> Path:
        """Return the model directory of one network of a fold.

        Parameters
        ----------
        number
            The number of the fold, from 0.
        member
            The number of the network, from 0.

        Returns
        -------
        The model directory.
        """
        return self.path / f"fold-{number}" / f"network-{member}"

    def member(self, number: int) -> Path:
        """Return the model directory of one network of the ensemble."""
        return self.path / f"member-{number}"


def record_jobs(
    sources: Sequence[SourceRecords], config: TrainConfig, work: TrainingFolder
) -> list[RecordJob]:
    """Return a job for each record to read; records of all other patients may donate beats.

    Parameters
    ----------
    sources
        The records of each database.
    config
        Supplies the jitter of the R peaks, the seed, and whether doubtful labels are used.
    work
        Where the training records go.

    Returns
    -------
    The jobs, in the order of ``sources``.
    """
    use_doubtful = config.use_doubtful_labels
    records = [record for source in sources for record in source.labelled(use_doubtful=use_doubtful)]
    return [
        RecordJob(
            record=record,
            training_record=work.record(record.key),
            jitter_s=config.jitter_s,
            seed=config.seed,
            donors=_others(records, record),
        )
        for record in records
    ]


def _others(records: Sequence[LabelledRecord], record: LabelledRecord) -> tuple[LabelledRecord, ...]:
    return tuple(other for other in records if other.patient != record.patient)


def load_records(jobs: Sequence[RecordJob]) -> list[TrainingRecord]:
    """Load the training records that these jobs have written, with all their variants."""
    return [job.load() for job in jobs]


def given_beats(jobs: Sequence[RecordJob]) -> tuple[Floats, list[str]]:
    """Return the features [n, k] and the labels [n] of all annotated beats."""
    sequences = [job.load({GIVEN}).get(GIVEN) for job in jobs]
    return stack_features(sequences), [label for sequence in sequences for label in sequence.label]


def make_folds(jobs: Sequence[RecordJob], config: TrainConfig) -> tuple[Fold, ...]:
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
    return folds.split_folds([job.load({GIVEN}) for job in jobs], config.n_folds, seed=config.seed)


@dataclass(frozen=True)
class NetworkJob:
    """A network to train: on all training records, or without the patients of a fold.

    ``config`` has the seed of this network. ``compiled`` is the folder of compiled programs. With a fold, the
    network is applied to the fold's held-out records.
    """

    name: str
    records: tuple[RecordJob, ...]
    config: TrainConfig
    model: Path
    compiled: Path
    fold: Fold | None = None

    @property
    def predictions(self) -> Path:
        """The file of the logits on the held-out records, beside the model directory."""
        return self.model.with_suffix(".npz")


@dataclass(frozen=True)
class FittedNetwork:
    """A network that was trained: the losses of each epoch, and the CPU time of the whole training in s."""

    job: NetworkJob
    losses: tuple[Mapping[str, float], ...]
    cpu_s: float


def fold_networks(
    jobs: Sequence[RecordJob], split: Sequence[Fold], config: TrainConfig, work: TrainingFolder
) -> list[list[NetworkJob]]:
    """Return the networks of each fold, which differ in their seed only.

    Parameters
    ----------
    jobs
        The jobs that have written the training records.
    split
        The folds.
    config
        The choices of the experiment.
    work
        The folder of this training.

    Returns
    -------
    The networks to train, by fold.
    """
    return [
        [
            NetworkJob(
                name=f"fold {number}, network {member}",
                records=tuple(jobs),
                config=replace(config, seed=config.seed + member),
                model=work.fold_network(number, member),
                compiled=work.compiled,
                fold=fold,
            )
            for member in range(config.fold_members)
        ]
        for number, fold in enumerate(split)
    ]


def member_networks(jobs: Sequence[RecordJob], config: TrainConfig, work: TrainingFolder) -> list[NetworkJob]:
    """Return the networks of the ensemble, which differ in their seed only.

    Parameters
    ----------
    jobs
        The jobs that have written the training records.
    config
        The choices of the experiment.
    work
        The folder of this training.

    Returns
    -------
    The networks to train.
    """
    return [
        NetworkJob(
            name=f"member {number}",
            records=tuple(jobs),
            config=replace(config, seed=config.seed + number),
            model=work.member(number),
            compiled=work.compiled,
        )
        for number in range(config.members)
    ]


class EpochReport(NamedTuple):
    """What a network in training reports after each epoch: its losses there."""

    network: str
    epoch: int
    losses: Mapping[str, float]


def fit_network(job: NetworkJob) -> FittedNetwork:
    """Train a network, write its model directory, and apply it to the held-out records; runs in any process.

    Each epoch is reported, see :func:`ectopy.parallel.worker_pool.report`.

    Parameters
    ----------
    job
        The network to train.

    Returns
    -------
    The losses of each epoch, and the time.
    """
    start_s, losses = time.process_time(), []

    def note(epoch: Epoch) -> None:
        losses.append(epoch.losses)
        report(EpochReport(job.name, epoch.number, epoch.losses))

    records = _load_once(job.records)
    with network.compilation_cache(job.compiled):
        if job.fold is None:
            sequences = [sequence for record in records for sequence in record.sequences]
            fitted = network.fit(sequences, job.config, seed=job.config.seed, callbacks=[note])
            run = "one of the ensemble"
        else:
            fitted, predictions = network.fit_fold(records, job.fold, job.config, callbacks=[note])
            run = "out of fold"
        network.save(fitted, job.model, UNCALIBRATED, name=job.name, run=run)
    if job.fold is not None:
        logits = {prediction.sequence.record: prediction.logits for prediction in predictions}
        np.savez(job.predictions, allow_pickle=False, **logits)
    return FittedNetwork(job, tuple(losses), time.process_time() - start_s)


@lru_cache(maxsize=1)
def _load_once(jobs: tuple[RecordJob, ...]) -> list[TrainingRecord]:
    """Load the training records once for all networks that this process trains."""
    return load_records(jobs)


def save_fold(jobs: Sequence[NetworkJob], model: Path) -> dict[str, BeatComparison]:
    """Write the ensemble of a fold.

    Parameters
    ----------
    jobs
        The networks of the fold, which are trained.
    model
        The model directory to write.

    Returns
    -------
    The EC57 comparison of each held-out record by its key.
    """
    name, members = jobs[0].name.partition(",")[0], [job.model for job in jobs]
    save_ensemble(members, model, UNCALIBRATED, name=name, run="out of fold")
    return calibration.compare_records(load_predictions([jobs]))


def load_predictions(by_fold: Sequence[Sequence[NetworkJob]]) -> list[OutOfFoldPrediction]:
    """Load the logits of held-out records, with the detected beats that they belong to.

    Parameters
    ----------
    by_fold
        The networks of each fold, which are trained.

    Returns
    -------
    The held-out records in the order of the folds. Their logits are the mean over the networks of the fold.
    """
    predictions = []
    for jobs in by_fold:
        by_key = {job.record.key: job for job in jobs[0].records}
        by_network = [_load_arrays(job.predictions) for job in jobs]
        for key in by_network[0]:
            record = by_key[key].load({DETECTED})
            logits: Floats = np.mean([arrays[key] for arrays in by_network], axis=0)
            predictions.append(OutOfFoldPrediction(record.get(DETECTED), record.reference, logits))
    return predictions


def _load_arrays(path: Path) -> dict[str, Floats]:
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def calibrate_members(members: Sequence[Path], calibrated: Calibration) -> None:
    """Write the calibration of the ensemble into the model directory of each of its networks.

    Parameters
    ----------
    members
        The model directories of the networks.
    calibrated
        The calibration of the ensemble.
    """
    for member in members:
        specification = load_classifier(member).specification
        network.write_specification(
            replace(
                specification,
                temperature=calibrated.temperature,
                confidence_threshold=calibrated.confidence_threshold,
            ),
            member,
        )


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
    predictions: Sequence[OutOfFoldPrediction], calibrated: Calibration, model: Path
) -> None:
    """Write the profile of the training patients into a model directory; drift is measured against it.

    Parameters
    ----------
    predictions
        Predictions, each by networks that were not trained on the patient.
    calibrated
        The calibration of the model.
    model
        The model directory.
    """
    write_reference(calibration.reference_profile(predictions, calibrated), model)


def _load_network(model: Path) -> Network:
    specification = load_classifier(model).specification
    mean, scale = (np.array(values, dtype=np.float32) for values in (specification.mean, specification.scale))
    return Network(network.load_keras(model), mean, scale, specification.features)
