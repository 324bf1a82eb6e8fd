"""Tasks that several flows share."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE

from ectopy.evaluation import EvaluationJob, RecordEvaluation, evaluate_record
from ectopy.flows.progress import progress
from ectopy.model import training, training_set
from ectopy.model.network import TrainConfig
from ectopy.model.training_sources import SourceRecords
from ectopy.parallel.worker_pool import WorkerPool
from ectopy.registry import runs

T = TypeVar("T")
logger = logging.getLogger(__name__)


def hardly_train(config: TrainConfig) -> TrainConfig:
    """Return settings for a check that a study works, within minutes. Its metrics mean nothing."""
    return replace(config, n_folds=2, epochs=2, windows_per_epoch=64, batch_windows=16)


def read_records(jobs: Sequence[training_set.RecordJob], workers: int) -> list[training_set.RecordJob]:
    """Read records for training in parallel, one task each.

    Parameters
    ----------
    jobs
        The records to read.
    workers
        The number of processes.

    Returns
    -------
    The same jobs, whose training records are now on disk.
    """
    with progress("reading records", len(jobs)) as step, WorkerPool(workers) as processes:

        @task(task_run_name="read {job.record.key}", cache_policy=NO_CACHE)
        def read_record(job: training_set.RecordJob) -> training_set.RecordJob:
            done = processes.call(training_set.run_job, job)
            step(job.record.key)
            return done

        return read_record.map(jobs).result()


class Keyed(Protocol):
    """A job of a record, which has a key such as ``mitdb/101``."""

    @property
    def key(self) -> str:
        """Name of the record among those of all databases."""


def without_failures(jobs: Sequence[Keyed], outcomes: Sequence[T | Exception]) -> list[T]:
    """Return the results of records; one that failed is named in a warning and left out.

    Parameters
    ----------
    jobs
        The records.
    outcomes
        The result or the error of each.

    Returns
    -------
    The results, in the order of the jobs.
    """
    for job, outcome in zip(jobs, outcomes, strict=True):
        if isinstance(outcome, Exception):
            logger.warning("%s is left out: %s", job.key, outcome)
    return [outcome for outcome in outcomes if not isinstance(outcome, Exception)]


def evaluate_records(jobs: Sequence[EvaluationJob], workers: int) -> list[RecordEvaluation]:
    """Evaluate records in parallel, one task each.

    Parameters
    ----------
    jobs
        The records and their models.
    workers
        The number of processes.

    Returns
    -------
    The results, in the order of the jobs.
    """
    with progress("evaluating records", len(jobs)) as step, WorkerPool(workers) as processes:

        @task(task_run_name="evaluate {job.record.name}", cache_policy=NO_CACHE)
        def evaluate_one(job: EvaluationJob) -> RecordEvaluation:
            evaluation = processes.call(evaluate_record, job)
            step(job.record.name)
            return evaluation

        return evaluate_one.map(jobs).result()


def fit_networks(
    jobs: Sequence[training.NetworkJob],
    workers: int,
    on_epoch: Callable[[training.EpochReport], None] = lambda _: None,
) -> list[training.FittedNetwork]:
    """Train networks in parallel, one task each.

    Parameters
    ----------
    jobs
        The networks to train.
    workers
        The number of processes.
    on_epoch
        A function that is called after each epoch of each network, in threads.

    Returns
    -------
    The trained networks, in the order of the jobs.
    """
    with progress("training", sum(job.config.epochs for job in jobs)) as step:

        def note(report: training.EpochReport) -> None:
            loss = report.losses.get("loss", math.nan)
            step(f"{report.network}, epoch {report.epoch + 1}, loss {loss:.4f}")
            on_epoch(report)

        return _fit_networks(jobs, WorkerPool(workers, on_report=note))


def _fit_networks(jobs: Sequence[training.NetworkJob], processes: WorkerPool) -> list[training.FittedNetwork]:
    with processes:

        @task(task_run_name="{job.name}", cache_policy=NO_CACHE)
        def fit_network(job: training.NetworkJob) -> training.FittedNetwork:
            return processes.call(training.fit_network, job)

        return fit_network.map(jobs).result()


def log_data(sources: Sequence[SourceRecords], jobs: Sequence[training_set.RecordJob]) -> dict[str, Any]:
    """Log the training data of each database, with the SHA-256 of its files.

    Parameters
    ----------
    sources
        The records of each database.
    jobs
        The jobs that have written the training records.

    Returns
    -------
    The data set of each database, on which metrics can be logged.
    """
    datasets = {}
    for source in sources:
        name, version = source.database.name, source.database.version
        datasets[name] = runs.log_data(
            f"{name} {version}, training records",
            source.database.address,
            *training.given_beats([job for job in jobs if job.record.database == name]),
            context="training",
            digest=source.digest(),
        )
        runs.log_parameters(source.parameters())
    return datasets
