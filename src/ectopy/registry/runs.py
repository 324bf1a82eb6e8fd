"""All of MLflow: connect, run, log, register, promote, fetch a model."""

import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # these are read when MLflow is imported
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")


import mlflow
import numpy as np
from matplotlib.figure import Figure
from mlflow.exceptions import MlflowException

from ectopy.features.extraction import Floats
from ectopy.monitoring import plots
from ectopy.monitoring.batch_summary import BatchSummary


class TrackingError(ValueError):
    """A tracking store that does not answer as one."""


def local_database(uri: str) -> Path | None:
    """Give the file of a store in SQLite; None for a server's address."""
    path = uri.removeprefix("sqlite:///")
    return None if path == uri else Path(path).absolute()


def connect(uri: str, experiment: str) -> str:
    """Work on an experiment of a tracking server, or of a SQLite file with its artifacts beside it.

    Gives the experiment's id.
    """
    artifacts = None
    if database := local_database(uri):
        database.parent.mkdir(parents=True, exist_ok=True)
        uri = f"sqlite:///{database}"
        artifacts = (database.parent / "artifacts").as_uri()
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        if mlflow.get_experiment_by_name(experiment) is None:
            mlflow.create_experiment(experiment, artifact_location=artifacts)
        return str(mlflow.set_experiment(experiment).experiment_id)
    except MlflowException as error:
        raise TrackingError(f"{uri}: a tracking store expected, {error.message}") from error


@contextmanager
def run(
    name: str, *, nested: bool = False, tags: Mapping[str, str] | None = None, log_system_metrics: bool = True
) -> Iterator[str]:
    """Open a run, and give its id; one that is not nested watches the machine too, if it is to be watched."""
    log_system_metrics = log_system_metrics and not nested
    with mlflow.start_run(
        run_name=name, nested=nested, tags=dict(tags or {}), log_system_metrics=log_system_metrics
    ) as active:
        mlflow.set_tags({"ectopy_version": version("ectopy"), **commit_tags(Path(__file__))})
        yield str(active.info.run_id)


@cache
def commit_tags(source: Path) -> dict[str, str]:
    """Tell, as tags, which commit a file of a clone belongs to, and whether code was changed since."""
    with suppress(ImportError):  # of the program git, which this calls
        import git  # comes with MLflow

        with suppress(git.InvalidGitRepositoryError, ValueError):  # no clone, or one without a commit
            clone = git.Repo(source.parent, search_parent_directories=True)
            if not clone.ignored(source):  # as in an environment that lies in somebody's repository
                changed = clone.is_dirty(untracked_files=True, path=str(source.parent))
                return {"mlflow.source.git.commit": clone.head.commit.hexsha, "changed since": str(changed)}
    return {}


def log_parameters(parameters: Mapping[str, object]) -> None:
    """Log what the experiment chose."""
    mlflow.log_params(dict(parameters))


def log_config(config: Any, **more: object) -> None:
    """Log a frozen configuration whole."""
    log_parameters({**asdict(config), **more})


def log_metrics(metrics: Mapping[str, float], *, prefix: str = "", step: int | None = None) -> None:
    """Log what is defined of some figures."""
    defined = {prefix + name: value for name, value in metrics.items() if math.isfinite(value)}
    mlflow.log_metrics(defined, step=step)


def log_table(table: Mapping[str, Sequence[object]], file: str) -> None:
    """Log a table, given by column, as JSON that the UI shows."""
    with suppress_warnings():
        mlflow.log_table({name: list(column) for name, column in table.items()}, artifact_file=file)


def log_figure(figure: Figure, file: str) -> None:
    """Log a drawing."""
    mlflow.log_figure(figure, file)


def log_text(text: str, file: str) -> None:
    """Log a page of text."""
    mlflow.log_text(text, file)


def log_folder(folder: Path, name: str) -> None:
    """Log all files of a folder."""
    mlflow.log_artifacts(str(folder), name)


def log_data(name: str, source: str, rows: Floats, labels: Sequence[str], *, context: str) -> None:
    """Log which data were used; MLflow adds a digest of them."""
    data: Any = mlflow.data.from_numpy(rows, source=source, targets=np.array(labels), name=name)  # type: ignore[attr-defined]
    mlflow.log_input(data, context=context)


def tag(**tags: str) -> None:
    """Tag the run in progress."""
    mlflow.set_tags(tags)


def log_batch(batch: BatchSummary, *, index: Path) -> str:
    """Keep what a scoring batch came to as a run of its own, and give its id; ``index`` is its page."""
    told = ", ".join(f"{number} {status}" for status, number in batch.counts.items() if number)
    model = "{model}, {model_from}".format(**batch.model)
    about = "\n\n".join((told, f"Model: {model}", f"Drift: {batch.verdict}", f"Page: {index}"))
    tags = {"index": str(index), "drift": batch.verdict, DESCRIPTION: about}
    with run(told, tags=tags, log_system_metrics=False) as run_id:
        log_parameters(batch.model)
        log_metrics(batch.metrics)
        if batch.failures:
            log_table(
                {"reason": list(batch.failures), "recordings": list(batch.failures.values())}, "failures.json"
            )
        log_figure(plots.recording_histograms(batch), "spread.png")
        if batch.drift:
            log_table(batch.drift.table, "drift.json")
            log_figure(plots.drift_plot(batch.drift), "drift.png")
        return run_id


@contextmanager
def suppress_warnings() -> Iterator[None]:
    """Keep MLflow's warnings about itself and about pandas 4 from users, who can do nothing about them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


DESCRIPTION = "mlflow.note.content"
"""Tag that MLflow shows as the description of a run, in Markdown."""
