"""Tasks that several flows share."""

from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE

from ectopy.datasets import catalogue
from ectopy.evaluation import EvaluationJob, RecordEvaluation, evaluate_record
from ectopy.model import training, training_set
from ectopy.parallel.worker_pool import WorkerPool
from ectopy.registry import runs


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
    with WorkerPool(workers) as processes:

        @task(task_run_name="read {job.record.name}", cache_policy=NO_CACHE)
        def read_record(job: training_set.RecordJob) -> training_set.RecordJob:
            return processes.call(training_set.run_job, job)

        return read_record.map(jobs).result()


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
    with WorkerPool(workers) as processes:

        @task(task_run_name="evaluate {job.record.name}", cache_policy=NO_CACHE)
        def evaluate_one(job: EvaluationJob) -> RecordEvaluation:
            return processes.call(evaluate_record, job)

        return evaluate_one.map(jobs).result()


def log_data(jobs: Sequence[training_set.RecordJob], database: catalogue.Database) -> None:
    """Log the training data and their digest.

    Parameters
    ----------
    jobs
        The jobs that have written the training records.
    database
        The database of the records.
    """
    name = f"{database.name} {database.version}, training records"
    source = f"https://physionet.org/content/{database.name}/{database.version}/"
    runs.log_data(name, source, *training.given_beats(jobs), context="training")
