"""Train the rhythm network: records -> rhythm features -> cross-validation by patient -> model directory."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from prefect import flow

from ectopy.batch import results
from ectopy.evaluation.finding_jobs import find_model, rhythm_folder
from ectopy.evaluation.finding_summary import false_table, group_findings, metrics_of, missed_table
from ectopy.evaluation.record_findings import FindingJob
from ectopy.evaluation.rhythm_examples import DATABASES, example_jobs, read_examples
from ectopy.flows.evaluate_findings import evaluate_jobs
from ectopy.flows.tasks import without_failures
from ectopy.model import rhythm_network
from ectopy.model.folds import TooFewPatientsError
from ectopy.model.rhythm_training import RhythmExample, RhythmTrainConfig
from ectopy.parallel.worker_pool import WorkerPool
from ectopy.registry import runs
from ectopy.settings import load_settings


@flow
def train_rhythm(
    data_dir: Path | None = None,
    model: str = "shipped",
    config: RhythmTrainConfig | None = None,
    experiment: str = "ectopy-rhythm",
    tracking_uri: str | None = None,
) -> Path:
    """Cross-validate by patient, evaluate the findings, then train on all training records.

    Parameters
    ----------
    data_dir
        The folder of databases and models; by default that of the settings.
    model
        The beat classifier: ``shipped``, or a model of the registry. Only the latter has networks that have
        not seen the patients of mitdb and svdb.
    config
        The settings of the training.
    experiment
        The name of the MLflow experiment.
    tracking_uri
        The MLflow tracking store; by default that of the settings.

    Returns
    -------
    The model directory. ``ectopy evaluate-findings`` uses the networks of the folds beside it.

    Raises
    ------
    TooFewPatientsError
        If there are fewer patients than folds.
    """
    settings, config = load_settings(), config or RhythmTrainConfig()
    data_dir = data_dir or settings.data_dir
    work = rhythm_folder(data_dir)
    work.mkdir(parents=True, exist_ok=True)
    runs.connect(tracking_uri or settings.tracking_uri, experiment)
    with results.lock_folder(work), runs.run("train rhythm") as run_id:
        jobs = [*example_jobs(data_dir, find_model(model))]
        examples = read_all_examples(jobs, settings.workers)
        runs.log_config(config, database=",".join(DATABASES), model=model, records=len(jobs))
        held_out: list[FindingJob] = []
        for number, patients in enumerate(split_patients(examples, config)):
            folder = work / f"fold-{number}"
            known = [example for example in examples if example.patient not in patients]
            loss = rhythm_network.train(known, config, folder, name=f"rhythm, fold {number}")
            runs.log_metrics({"loss": loss}, step=number)
            held_out += [replace(job, rhythm_model=folder) for job in jobs if job.patient in patients]
        evaluated = evaluate_jobs(held_out, settings.workers)
        runs.log_metrics(metrics_of(group_findings(evaluated)))
        runs.log_table(false_table(evaluated), "false-findings.json")
        runs.log_table(missed_table(evaluated), "missed-episodes.json")
        rhythm_network.train(examples, config, work / "model", name=f"rhythm {run_id[:8]}")
        runs.log_folder(work / "model", "model")
    return work / "model"


def read_all_examples(jobs: Sequence[FindingJob], workers: int) -> list[RhythmExample]:
    """Read training records in parallel; one that cannot be read is named in a warning and left out.

    Parameters
    ----------
    jobs
        The records.
    workers
        The number of processes.

    Returns
    -------
    The examples, in the order of the jobs.
    """
    with WorkerPool(workers) as processes:
        outcomes = processes.call_each(read_examples, jobs)
    return [example for examples in without_failures(jobs, outcomes) for example in examples]


def split_patients(examples: Sequence[RhythmExample], config: RhythmTrainConfig) -> list[set[str]]:
    """Split the patients into folds, those of each database evenly.

    Parameters
    ----------
    examples
        The training records.
    config
        Supplies the number of folds and the seed.

    Returns
    -------
    The patients that each fold holds out.
    """
    databases: dict[str, list[str]] = {}
    for example in examples:
        databases.setdefault(example.database, []).append(example.patient)
    rng, folds = np.random.default_rng(config.seed), [set[str]() for _ in range(config.n_folds)]
    dealt: set[str] = set()
    for patients in databases.values():
        new = sorted(set(patients) - dealt)
        for number, at in enumerate(rng.permutation(len(new)).tolist()):
            folds[number % config.n_folds].add(new[at])
        dealt |= set(new)
    if len(dealt) < config.n_folds:
        raise TooFewPatientsError(
            f"{len(dealt)} patients are too few for {config.n_folds} folds. "
            "Download more with `ectopy ingest`."
        )
    return folds
