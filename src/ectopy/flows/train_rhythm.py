"""Train the rhythm network: records -> rhythm features -> cross-validation by patient -> model directory."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from prefect import flow

from ectopy.batch import results
from ectopy.evaluation.finding_jobs import find_model, rhythm_folder
from ectopy.evaluation.finding_summary import group_findings
from ectopy.evaluation.log_findings import log_findings
from ectopy.evaluation.record_findings import FindingJob
from ectopy.evaluation.rhythm_examples import DATABASES, example_jobs, read_examples
from ectopy.flows.evaluate_findings import evaluate_jobs
from ectopy.flows.expected import without_traceback
from ectopy.flows.progress import announce, progress
from ectopy.flows.tasks import without_failures
from ectopy.model import rhythm_network
from ectopy.model.folds import require_patients
from ectopy.model.rhythm_training import RhythmExample, RhythmTrainConfig
from ectopy.parallel.worker_pool import WorkerPool
from ectopy.registry import runs
from ectopy.settings import load_settings

logger = logging.getLogger(__name__)

_DESCRIPTION = """The network that names malignant rhythms and artefact: cross-validation by patient, then all
records. `metrics.json`, `false-findings.json` and `missed-episodes.json` are among the artifacts."""
_AT_ONCE = 16
"""Records that are read between two steps of the progress."""


@flow
@without_traceback
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
    runs.connect(tracking_uri or settings.tracking_uri, experiment)
    jobs = [*example_jobs(data_dir, find_model(model))]
    require_patients((job.patient for job in jobs), config.n_folds)
    work = rhythm_folder(data_dir)
    work.mkdir(parents=True, exist_ok=True)
    with results.lock_folder(work), runs.run("train rhythm", description=_DESCRIPTION) as run_id:
        announce(run_id)
        examples = read_all_examples(jobs, settings.workers)
        runs.log_config(config, database=",".join(DATABASES), model=model, records=len(jobs))
        held_out: list[FindingJob] = []
        with progress("training folds", config.n_folds) as step:
            for number, patients in enumerate(split_patients(examples, config)):
                folder = work / f"fold-{number}"
                known = [example for example in examples if example.patient not in patients]
                loss = rhythm_network.train(known, config, folder, name=f"rhythm, fold {number}")
                runs.log_metrics({"loss": loss}, step=number)
                step(f"fold {number}, loss {loss:.4f}")
                held_out += [replace(job, rhythm_model=folder) for job in jobs if job.patient in patients]
        evaluated = evaluate_jobs(held_out, settings.workers)
        log_findings(evaluated, group_findings(evaluated))
        logger.info("training on all %d records", len(examples))
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
    parts = [jobs[start : start + _AT_ONCE] for start in range(0, len(jobs), _AT_ONCE)]
    outcomes: list[list[RhythmExample] | Exception] = []
    with progress("reading records", len(parts)) as step, WorkerPool(workers) as processes:
        for part in parts:
            outcomes += processes.call_each(read_examples, part)
            step(f"up to {part[-1].key}")
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
    require_patients(dealt, config.n_folds)
    return folds
