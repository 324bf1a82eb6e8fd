"""Compare kinds of networks: one budget, folds by patient, seeds; every figure is out of fold."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import as_completed

from ectopy import ablation
from ectopy.ablation import ARCHITECTURES, results_page
from ectopy.datasets import catalogue, download
from ectopy.flows.train import log_data, read_records, readings_of
from ectopy.model import network
from ectopy.parallel.worker_pool import WorkerPool
from ectopy.registry import runs
from ectopy.settings import load_settings

logger = logging.getLogger(__name__)

LENGTHS = (16, 32, 64, 128, 256)
QUICK = network.TrainConfig(n_folds=2, epochs=2, windows_per_epoch=64, batch_windows=16)
"""To see that it works, within minutes; its figures mean nothing."""


@flow
def compare(  # noqa: PLR0913, PLR0917 - parameters of a flow are its form
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
    """Cross-validate every kind of network on the training records; give the page about it.

    It and its figure also go to the directory ``out``.
    """
    settings, config = load_settings(), config or network.TrainConfig()
    contenders = ablation.select_architectures(architectures, lengths, config)
    data_dir = data_dir or settings.data_dir
    known = catalogue.find_database(database)
    folder = download.database_folder(known, data_dir)
    records, _ = catalogue.split(known, download.annotated_records(folder))
    runs.connect(tracking_uri or settings.tracking_uri, experiment)
    with runs.run(f"compare on {database}"), tempfile.TemporaryDirectory() as compiled:
        planned = readings_of(known, folder, records, config, data_dir / "training" / database)
        readings = tuple(read_records(planned, settings.workers))
        log_data([reading.load() for reading in readings], known)
        runs.log_config(config, database=database, records=",".join(records), seeds=seeds)
        attempts = [
            ablation.Attempt(contender, seed, config, readings, Path(compiled))
            for seed in range(config.seed, config.seed + seeds)
            for contender in contenders
        ]
        trials = []
        for trial in try_all(attempts, settings.workers):
            log_trial(trial, config)
            trials.append(trial)
        trials.sort(key=lambda trial: (trial.seed, contenders.index(trial.contender)))
        return log_comparison(trials, config, database, out)


def try_all(attempts: Sequence[ablation.Attempt], workers: int) -> Iterator[ablation.Trial]:
    """Try contenders side by side, a task each; they come as they are done."""
    with WorkerPool(workers) as processes:

        @task(task_run_name="{attempt.contender.name}, seed {attempt.seed}", cache_policy=NO_CACHE)
        def try_out(attempt: ablation.Attempt) -> ablation.Trial:
            return processes.call(ablation.try_out, attempt)

        for number, future in enumerate(as_completed(try_out.map(attempts)), start=1):
            trial = future.result()
            logger.info("%d/%d  %s, seed %d", number, len(attempts), trial.contender.name, trial.seed)
            yield trial


def log_trial(trial: ablation.Trial, config: network.TrainConfig) -> None:
    """Log one contender and seed as a run of its own."""
    with runs.run(f"{trial.contender.name}, seed {trial.seed}", nested=True):
        runs.log_parameters(ablation.parameters_of(trial, config))
        for epoch, loss in enumerate(trial.losses):
            runs.log_metrics({"out_of_fold/loss": loss}, step=epoch)
        runs.log_metrics(trial.figures, prefix="out_of_fold/detected/")
        runs.log_metrics(ablation.costs_of(trial))
        if trial.smaller:
            runs.log_table(results_page.variant_columns(trial), "smaller.json")


def log_comparison(
    trials: Sequence[ablation.Trial], config: network.TrainConfig, database: str, out: Path | None
) -> str:
    """Log page and figure of all trials, and write them to ``out`` if it is given."""
    text = results_page.page(trials, config, database=database)
    drawn = results_page.figure(trials, config)
    runs.log_text(text, "comparison.md")
    runs.log_figure(drawn, "comparison.png")
    runs.log_table(results_page.columns(trials), "trials.json")
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / "comparison.md").write_text(text, encoding="utf-8")
        drawn.savefig(out / "comparison.png", dpi=100)
    return text


if __name__ == "__main__":
    compare()
