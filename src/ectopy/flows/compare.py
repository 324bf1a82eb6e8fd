"""Compare network architectures: one budget, folds by patient, several seeds; all metrics are out of fold."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import as_completed

from ectopy import ablation
from ectopy.ablation.log_trials import log_results, log_trial
from ectopy.flows.tasks import log_data, read_records
from ectopy.model import network, training
from ectopy.model.architectures import ARCHITECTURES
from ectopy.model.training import TrainingFolder
from ectopy.model.training_sources import TrainingSource, select_records
from ectopy.parallel.worker_pool import WorkerPool
from ectopy.registry import runs
from ectopy.settings import load_settings

logger = logging.getLogger(__name__)

LENGTHS = (16, 32, 64, 128, 256)
QUICK = network.TrainConfig(n_folds=2, epochs=2, windows_per_epoch=64, batch_windows=16)
"""A check that it works, within minutes. Its metrics mean nothing."""

_DESCRIPTION = (
    "Architectures on the same data and budget. Read `comparison.md` and `trials.json` among the artifacts."
)


@flow
def compare(  # noqa: PLR0913, PLR0917 - the parameters of a flow are its form in Prefect
    database: str = "mitdb",
    data_dir: Path | None = None,
    seeds: int = 3,
    architectures: Sequence[str] = tuple(ARCHITECTURES),
    lengths: Sequence[int] = LENGTHS,
    config: network.TrainConfig | None = None,
    out: Path | None = None,
    experiment: str = "ectopy-compare",
    tracking_uri: str | None = None,
) -> str:
    """Cross-validate every architecture on the training records.

    Parameters
    ----------
    database
        The name of the training database.
    data_dir
        The folder of databases and models; by default that of the settings.
    seeds
        The number of seeds for each architecture.
    architectures
        Their names.
    lengths
        Sequence lengths, in beats, that the shipped architecture is also trained on.
    config
        The choices that all trials share.
    out
        A folder to which the page and its figure are written too.
    experiment
        The name of the MLflow experiment.
    tracking_uri
        The MLflow tracking store; by default that of the settings.

    Returns
    -------
    The results page, as Markdown.
    """
    settings, config = load_settings(), config or network.TrainConfig()
    selected = ablation.select_architectures(architectures, lengths, config)
    data_dir = data_dir or settings.data_dir
    sources = select_records([TrainingSource(database)], data_dir)
    work = TrainingFolder(data_dir / "training" / database)
    runs.connect(tracking_uri or settings.tracking_uri, experiment)
    with (
        runs.run(f"compare on {database}", description=_DESCRIPTION),
        tempfile.TemporaryDirectory() as compiled,
    ):
        jobs = read_records(training.record_jobs(sources, config, work), settings.workers)
        log_data(sources, jobs)
        runs.log_config(config, database=database, seeds=seeds)
        attempts = [
            ablation.Attempt(architecture, seed, config, tuple(jobs), Path(compiled))
            for seed in range(config.seed, config.seed + seeds)
            for architecture in selected
        ]
        trials = []
        for trial in run_attempts(attempts, settings.workers):
            log_trial(trial, config)
            trials.append(trial)
        trials.sort(key=lambda trial: (trial.seed, selected.index(trial.architecture)))
        return log_results(trials, config, database=database, out=out)


def run_attempts(attempts: Sequence[ablation.Attempt], workers: int) -> Iterator[ablation.Trial]:
    """Cross-validate architectures in parallel, one task each.

    Parameters
    ----------
    attempts
        The architectures and seeds.
    workers
        The number of processes.

    Yields
    ------
    The trials, in the order in which they finish.
    """
    with WorkerPool(workers) as processes:

        @task(task_run_name="{attempt.architecture.name}, seed {attempt.seed}", cache_policy=NO_CACHE)
        def run_attempt(attempt: ablation.Attempt) -> ablation.Trial:
            return processes.call(ablation.run_attempt, attempt)

        for number, future in enumerate(as_completed(run_attempt.map(attempts)), start=1):
            trial = future.result()
            logger.info("%d/%d  %s, seed %d", number, len(attempts), trial.architecture.name, trial.seed)
            yield trial
