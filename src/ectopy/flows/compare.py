"""Compare network architectures: one budget, folds by patient, several seeds; all metrics are out of fold."""

import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import as_completed

from ectopy import ablation
from ectopy.ablation.log_trials import log_results, log_trial
from ectopy.flows.expected import without_traceback
from ectopy.flows.progress import announce, progress
from ectopy.flows.tasks import log_data, read_records
from ectopy.flows.train import require_training
from ectopy.model import network, training
from ectopy.model.architectures import ARCHITECTURES
from ectopy.model.training import EpochReport, TrainingFolder
from ectopy.model.training_sources import SourceRecords, TrainingSource
from ectopy.parallel.worker_pool import WorkerPool
from ectopy.registry import runs
from ectopy.registry.closing import Study
from ectopy.settings import load_settings

LENGTHS = (16, 32, 64, 128, 256)
_DESCRIPTION = """Architectures on the same data and budget, by cross-validation.

* **Artifacts**: `comparison.md` is the page, and `trials.json` has each architecture and seed.
* **Metrics**: VEB and SVEB F1 of each architecture, mean over seeds.
* The runs below this one are an architecture with a seed each."""


@flow
@without_traceback
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
) -> Study:
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
    The results page, its summary, where it lies, and the run.
    """
    settings, config = load_settings(), config or network.TrainConfig()
    data_dir = data_dir or settings.data_dir
    selected, sources = require_architectures(database, data_dir, architectures, lengths, config)
    work = TrainingFolder(data_dir / "training" / database)
    runs.connect(tracking_uri or settings.tracking_uri, experiment)
    with (
        runs.run(f"architectures on {database}", description=_DESCRIPTION) as run_id,
        tempfile.TemporaryDirectory() as compiled,
    ):
        announce(run_id)
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
        return log_results(trials, config, database=database, out=out, run_id=run_id)


def require_architectures(
    database: str,
    data_dir: Path,
    architectures: Sequence[str],
    lengths: Sequence[int],
    config: network.TrainConfig,
) -> tuple[Sequence[ablation.Architecture], Sequence[SourceRecords]]:
    """List what is compared, and find the records; refuse what cannot be trained before any work begins.

    Parameters
    ----------
    database
        The name of the training database.
    data_dir
        The folder of databases.
    architectures
        Names of architectures.
    lengths
        Sequence lengths, in beats, that the shipped architecture is also trained on.
    config
        The choices that all trials share.

    Returns
    -------
    The architectures, and the records of the database.

    Raises
    ------
    UnknownArchitectureError
        If there is no architecture of a name.
    TooFewPatientsError
        If there are fewer patients than folds.
    """
    selected = ablation.select_architectures(architectures, lengths, config)
    return selected, require_training([TrainingSource(database)], data_dir, config)


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
    with progress("training", sum(each.config.n_folds * each.config.epochs for each in attempts)) as step:

        def note(report: EpochReport) -> None:
            loss = report.losses.get("loss", math.nan)
            step(f"{report.network}, epoch {report.epoch + 1}, loss {loss:.4f}")

        yield from _run_attempts(attempts, WorkerPool(workers, on_report=note))


def _run_attempts(attempts: Sequence[ablation.Attempt], processes: WorkerPool) -> Iterator[ablation.Trial]:
    with processes:

        @task(task_run_name="{attempt.architecture.name}, seed {attempt.seed}", cache_policy=NO_CACHE)
        def run_attempt(attempt: ablation.Attempt) -> ablation.Trial:
            return processes.call(ablation.run_attempt, attempt)

        for future in as_completed(run_attempt.map(attempts)):
            yield future.result()
