"""Runs of MLflow: connect to a tracking store, open a run, and log metrics, tables, plots and files."""

import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # MLflow reads these when it is imported
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_UV_AUTO_DETECT", "false")  # it would log the lock file of the working directory

import mlflow
import numpy as np
from matplotlib.figure import Figure
from mlflow.exceptions import MlflowException

from ectopy.features.extraction import Floats
from ectopy.monitoring import plots
from ectopy.monitoring.batch_summary import BatchSummary
from ectopy.printable import printable_lines, printable_values
from ectopy.settings import local_database

DESCRIPTION = "mlflow.note.content"
"""Tag that MLflow shows as the description of a run, in Markdown."""


class TrackingError(ValueError):
    """A tracking store that does not answer correctly."""


def connect(uri: str, experiment: str) -> str:
    """Connect to an experiment of a tracking server or of a SQLite file, and create it if it is missing.

    Artifacts of a SQLite store lie in a folder beside the file.

    Parameters
    ----------
    uri
        Address of the store.
    experiment
        Name of the experiment.

    Returns
    -------
    Id of the experiment.

    Raises
    ------
    TrackingError
        If the address is not that of a tracking store.
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
        raise TrackingError(
            f"{uri}: the tracking store does not answer ({error.message}). "
            "Check the address in ECTOPY_TRACKING_URI."
        ) from error


@contextmanager
def run(
    name: str, *, nested: bool = False, tags: Mapping[str, str] | None = None, log_system_metrics: bool = True
) -> Iterator[str]:
    """Open a run of the experiment.

    Parameters
    ----------
    name
        Name of the run.
    nested
        Whether it is a child of the run in progress.
    tags
        Tags of the run.
    log_system_metrics
        Whether to log the load of the machine; nested runs never do.

    Yields
    ------
    Id of the run.
    """
    log_system_metrics = log_system_metrics and not nested
    shown = {key: printable_lines(value) for key, value in (tags or {}).items()}
    with mlflow.start_run(
        run_name=name,
        nested=nested,
        tags=shown,
        log_system_metrics=log_system_metrics,
    ) as active:
        mlflow.set_tags({"ectopy_version": metadata.version("ectopy"), **_commit_tags(Path(__file__))})
        yield str(active.info.run_id)


@cache
def _commit_tags(source: Path) -> dict[str, str]:
    """Return the commit that a file of a clone belongs to, and whether code has changed since, as tags."""
    with suppress(ImportError):  # raised if the program git is missing
        import git  # comes with MLflow

        with suppress(git.InvalidGitRepositoryError, ValueError):  # no clone, or one without a commit
            clone = git.Repo(source.parent, search_parent_directories=True)
            if not clone.ignored(source):  # as in an environment inside the repository of another project
                changed = clone.is_dirty(untracked_files=True, path=str(source.parent))
                return {"mlflow.source.git.commit": clone.head.commit.hexsha, "changed since": str(changed)}
    return {}


def log_parameters(parameters: Mapping[str, object]) -> None:
    """Log parameters of the run in progress."""
    mlflow.log_params(printable_values(parameters))


def log_config(config: Any, **more: object) -> None:
    """Log all fields of a frozen configuration, and further parameters."""
    log_parameters({**asdict(config), **more})


def log_metrics(metrics: Mapping[str, float], *, prefix: str = "", step: int | None = None) -> None:
    """Log those metrics that are defined.

    Parameters
    ----------
    metrics
        Values by name; NaN and infinite ones are left out.
    prefix
        Text before each name.
    step
        Step of the value, such as the epoch.
    """
    defined = {prefix + name: value for name, value in metrics.items() if math.isfinite(value)}
    mlflow.log_metrics(defined, step=step)


def log_table(table: Mapping[str, Sequence[object]], file: str) -> None:
    """Log a table as JSON, which the user interface of MLflow shows.

    Parameters
    ----------
    table
        Cells by column.
    file
        Name of the artifact.
    """
    with suppress_warnings():
        cells = {name: printable_values(list(column)) for name, column in table.items()}
        mlflow.log_table(cells, artifact_file=file)


def log_figure(figure: Figure, file: str) -> None:
    """Log a plot.

    Parameters
    ----------
    figure
        The plot.
    file
        Name of the artifact.
    """
    mlflow.log_figure(figure, file)


def log_text(text: str, file: str, *, run_id: str | None = None) -> None:
    """Log a page of text.

    Parameters
    ----------
    text
        The text.
    file
        Name of the artifact.
    run_id
        Id of the run; by default the run in progress.
    """
    mlflow.log_text(text, file, run_id=run_id)


def log_folder(folder: Path, name: str) -> None:
    """Log all files of a folder.

    Parameters
    ----------
    folder
        The folder.
    name
        Name of the folder among the artifacts.
    """
    mlflow.log_artifacts(str(folder), name)


_DIGEST_CHARS = 36
"""Length of a digest that MLflow allows."""


def log_data(  # noqa: PLR0913 - what MLflow tells about a data set
    name: str, source: str | None, rows: Floats, labels: Sequence[str], *, context: str, digest: str
) -> None:
    """Log which data were used.

    Parameters
    ----------
    name
        Name of the data set.
    source
        Address of the data set; None for data of this machine.
    rows
        Features, [n, k].
    labels
        Labels, [n].
    context
        Such as ``training``.
    digest
        A hash of the data, of which MLflow keeps the first characters.
    """
    data: Any = mlflow.data.from_numpy(  # type: ignore[attr-defined]
        rows, source=source, targets=np.array(labels), name=name, digest=digest[:_DIGEST_CHARS]
    )
    mlflow.log_input(data, context=context)


def tag(**tags: str) -> None:
    """Set tags on the run in progress."""
    mlflow.set_tags(printable_values(tags))


def log_batch(batch: BatchSummary, *, index: Path) -> str:
    """Log the summary of a scoring batch as a run of its own.

    Parameters
    ----------
    batch
        The summary.
    index
        The index page of the batch.

    Returns
    -------
    Id of the run.
    """
    counts = ", ".join(f"{number} {status}" for status, number in batch.counts.items() if number)
    model = "{model}, {model_from}".format(**batch.origin)
    description = "\n\n".join((counts, f"Model: {model}", f"Drift: {batch.verdict}", f"Page: {index}"))
    tags = {"index": str(index), "drift": batch.verdict, DESCRIPTION: description}
    with run(counts, tags=tags, log_system_metrics=False) as run_id:
        log_parameters(batch.origin)
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
    """Suppress the warnings of MLflow about itself and about pandas 4, which users cannot act on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
