"""Log an ablation study to MLflow: a run for each trial, the results page and its figure."""

from collections.abc import Sequence
from pathlib import Path

from ectopy.ablation import results_page
from ectopy.ablation.trials import Trial, costs_of, parameters_of
from ectopy.evaluation.headline_metrics import GROSS
from ectopy.model.network import TrainConfig
from ectopy.registry import runs
from ectopy.registry.closing import Study, of_overview
from ectopy.rhythm.wording import count

PAGE, FIGURE = "comparison.md", "comparison.png"
"""Names of the files of the page."""


def log_trial(trial: Trial, config: TrainConfig) -> None:
    """Log one architecture and seed as a run of its own.

    Parameters
    ----------
    trial
        The results of the cross-validation.
    config
        The choices that all trials share.
    """
    description = "The cross-validation of one architecture with one seed."
    with runs.run(f"{trial.architecture.name}, seed {trial.seed}", description=description, nested=True):
        runs.log_parameters(parameters_of(trial, config))
        for epoch, loss in enumerate(trial.losses):
            runs.log_metrics({"out_of_fold/loss": loss}, step=epoch)
        runs.log_results(trial.metrics, GROSS, prefix="out_of_fold/detected/")
        runs.log_metrics(costs_of(trial))
        if trial.variants:
            runs.log_table(results_page.variant_columns(trial), "smaller.json")


def log_results(
    trials: Sequence[Trial], config: TrainConfig, *, database: str, out: Path | None, run_id: str
) -> Study:
    """Log the results page, its figure, the table of all trials, and F1 of each architecture.

    Parameters
    ----------
    trials
        All trials.
    config
        The choices that all trials share.
    database
        The name of the database.
    out
        A folder to which the page and its figure are written too.
    run_id
        Id of the run in progress.

    Returns
    -------
    The page, its summary, where it lies, and the run.
    """
    page = results_page.build_page(trials, config, database=database)
    figure = results_page.draw_figure(trials, config)
    runs.log_text(page, PAGE)
    runs.log_figure(figure, FIGURE)
    runs.log_table(results_page.trial_columns(trials), "trials.json")
    runs.log_metrics(results_page.mean_f1(trials, config))
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / PAGE).write_text(page, encoding="utf-8")
        figure.savefig(out / FIGURE, dpi=100)
    seeds = len({trial.seed for trial in trials})
    head = f"out of fold on {database}, {count(seeds, 'seed')}; gross F1 in percent"
    verdicts = results_page.verdict_counts(trials, config)
    summary = "\n".join([head, *of_overview(results_page.glance_columns(trials)), *verdicts])
    return Study(page, summary, str(out / PAGE) if out else runs.path_of(run_id, PAGE), run_id)
