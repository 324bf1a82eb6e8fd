"""Log an ablation study to MLflow: a run for each trial, the results page and its figure."""

from collections.abc import Sequence
from pathlib import Path

from ectopy.ablation import results_page
from ectopy.ablation.trials import Trial, costs_of, parameters_of
from ectopy.model.network import TrainConfig
from ectopy.registry import runs


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
        runs.log_metrics(trial.metrics, prefix="out_of_fold/detected/")
        runs.log_metrics(costs_of(trial))
        if trial.variants:
            runs.log_table(results_page.variant_columns(trial), "smaller.json")


def log_results(trials: Sequence[Trial], config: TrainConfig, *, database: str, out: Path | None) -> str:
    """Log the results page, its figure and the table of all trials.

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

    Returns
    -------
    The page, as Markdown.
    """
    page = results_page.build_page(trials, config, database=database)
    figure = results_page.draw_figure(trials, config)
    runs.log_text(page, "comparison.md")
    runs.log_figure(figure, "comparison.png")
    runs.log_table(results_page.trial_columns(trials), "trials.json")
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / "comparison.md").write_text(page, encoding="utf-8")
        figure.savefig(out / "comparison.png", dpi=100)
    return page
