"""Runs of MLflow: connect to a tracking store, open a run, and log metrics, tables, plots and files."""

import json
import math
import os
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # MLflow reads these when it is imported
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_UV_AUTO_DETECT", "false")  # it would log the lock file of the working directory

import mlflow
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS

from ectopy.features.extraction import Floats
from ectopy.monitoring import plots
from ectopy.monitoring.batch_summary import HEADLINE, BatchSummary
from ectopy.printable import printable_lines, printable_values
from ectopy.settings import local_database

DESCRIPTION = "mlflow.note.content"
"""Tag that MLflow shows as the description of a run, in Markdown."""

ALL_METRICS = "metrics.json"
"""Artifact with every metric of a run; the headline metrics are also metrics in MLflow."""

_tables: dict[str, dict[str, pd.DataFrame]] = {}
"""Tables of the runs in progress, by run and file: MLflow takes long to log one, and a run may have 30."""


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
    name: str,
    *,
    description: str = "",
    nested: bool = False,
    tags: Mapping[str, str] | None = None,
    log_system_metrics: bool = True,
) -> Iterator[str]:
    """Open a run of the experiment; one that is interrupted gets the status KILLED.

    Parameters
    ----------
    name
        Name of the run.
    description
        What was done and where to look, in Markdown.
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
    # MLflow warns at each run if the library that reads the load is missing.
    log_system_metrics = log_system_metrics and not nested and find_spec("psutil") is not None
    described = {DESCRIPTION: description} if description else {}
    shown = {key: printable_lines(value) for key, value in {**described, **(tags or {})}.items()}
    with mlflow.start_run(
        run_name=name,
        nested=nested,
        tags=shown,
        log_system_metrics=log_system_metrics,
    ) as active:
        mlflow.set_tags({"ectopy_version": metadata.version("ectopy"), **_commit_tags(Path(__file__))})
        run_id = str(active.info.run_id)
        try:
            yield run_id
        except Exception:
            raise
        except BaseException:  # Ctrl-C, or a signal that ends the process
            mlflow.end_run("KILLED")
            raise
        finally:
            _write_tables(run_id)
            _tables.pop(run_id, None)


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


def page_of(run_id: str) -> str:
    """Return the path of the page with the metrics and curves of a run, on MLflow's server.

    It begins with the address of the server, if the tracking store is one.
    """
    info, uri = mlflow.get_run(run_id).info, mlflow.get_tracking_uri()
    server = uri.rstrip("/") if uri.startswith(("http://", "https://")) else ""
    return f"{server}/#/experiments/{info.experiment_id}/runs/{run_id}/model-metrics"


def path_of(run_id: str, file: str) -> str:
    """Return where an artifact of a run lies.

    Parameters
    ----------
    run_id
        Id of the run.
    file
        Name of the artifact.

    Returns
    -------
    Its path on this machine, else its address.
    """
    address = f"{mlflow.get_run(run_id).info.artifact_uri}/{file}"
    return url2pathname(urlsplit(address).path) if address.startswith("file:") else address


def describe(description: str) -> None:
    """Set the description of the run in progress, in Markdown."""
    mlflow.set_tag(DESCRIPTION, printable_lines(description))


def log_parameters(parameters: Mapping[str, object]) -> None:
    """Log parameters of the run in progress."""
    mlflow.log_params(printable_values(parameters))


def log_config(config: Any, **more: object) -> None:
    """Log all fields of a frozen configuration, and further parameters."""
    log_parameters({**asdict(config), **more})


def log_metrics(  # noqa: PLR0913 - what MLflow knows of a metric
    metrics: Mapping[str, float],
    *,
    prefix: str = "",
    step: int | None = None,
    run_id: str | None = None,
    model_id: str | None = None,
    dataset: Any = None,
) -> None:
    """Log those metrics that are defined.

    Parameters
    ----------
    metrics
        Values by name; NaN and infinite ones are left out.
    prefix
        Text before each name.
    step
        Step of the value, such as the epoch.
    run_id
        Id of the run; by default the run in progress.
    model_id
        Id of the logged model that was measured, whose page then shows the metrics.
    dataset
        The data set on which it was measured, from :func:`log_data` or :func:`log_test_data`.
    """
    defined = {prefix + name: value for name, value in metrics.items() if math.isfinite(value)}
    mlflow.log_metrics(defined, step=step, run_id=run_id, model_id=model_id, dataset=dataset)


def log_results(
    metrics: Mapping[str, float],
    headline: Collection[str],
    *,
    prefix: str = "",
    model_id: str | None = None,
    dataset: Any = None,
) -> None:
    """Log all metrics as rows of a table, and a few of them as metrics of the run.

    A page with a thousand metrics answers no question.

    Parameters
    ----------
    metrics
        Values by name; NaN and infinite ones are left out.
    headline
        Names of the few.
    prefix
        Text before each name.
    model_id, dataset
        As for :func:`log_metrics`.
    """
    defined = {prefix + name: value for name, value in metrics.items() if math.isfinite(value)}
    if defined:
        log_table({"metric": list(defined), "value": list(defined.values())}, ALL_METRICS)
    few = {name: metrics[name] for name in headline if name in metrics}
    log_metrics(few, prefix=prefix, model_id=model_id, dataset=dataset)


def all_metrics(run_id: str) -> dict[str, float]:
    """Return every metric of a run by name: the rows of the table, and the metrics in MLflow."""
    rows: list[tuple[str, float]] = []
    _write_tables(run_id)  # if it is in progress
    if ALL_METRICS in {artifact.path for artifact in mlflow.MlflowClient().list_artifacts(run_id)}:
        rows = json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/{ALL_METRICS}"))["data"]
    return {**dict(rows), **mlflow.get_run(run_id).data.metrics}


def log_table(table: Mapping[str, Sequence[object]], file: str) -> None:
    """Log a table as JSON, which the user interface of MLflow shows; it is written when the run ends.

    Parameters
    ----------
    table
        Cells by column; rows after those that the run has logged to the file before.
    file
        Name of the artifact.
    """
    cells = pd.DataFrame({name: printable_values(list(column)) for name, column in table.items()})
    active = mlflow.active_run()
    if active is None:
        raise RuntimeError("no run is in progress. Open one with ectopy.registry.runs.run.")
    tables = _tables.setdefault(active.info.run_id, {})
    tables[file] = pd.concat([tables[file], cells], ignore_index=True) if file in tables else cells


def _write_tables(run_id: str) -> None:
    """Write the tables of a run, as MLflow would one by one."""
    tables = _tables.get(run_id, {})
    for file, cells in tables.items():
        mlflow.log_text(cells.to_json(orient="split", index=False, date_format="iso"), file, run_id=run_id)
    if tables:
        shown = json.dumps([{"path": file, "type": "table"} for file in tables])
        mlflow.MlflowClient().set_tag(run_id, MLFLOW_LOGGED_ARTIFACTS, shown)


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
) -> Any:
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

    Returns
    -------
    The data set, on which metrics can be logged.
    """
    data: Any = mlflow.data.from_numpy(  # type: ignore[attr-defined]
        rows, source=source, targets=np.array(labels), name=name, digest=digest[:_DIGEST_CHARS]
    )
    mlflow.log_input(data, context=context)
    return data


def log_test_data(name: str, source: str | None, *, digest: str) -> Any:
    """Log on which data a model is tested.

    Parameters
    ----------
    name
        Name of the data set.
    source
        Address of the data set; None for data of this machine.
    digest
        A hash of the data, of which MLflow keeps the first characters.

    Returns
    -------
    The data set, on which metrics can be logged.
    """
    origin: Any = HTTPDatasetSource(source) if source else CodeDatasetSource({})  # type: ignore[no-untyped-call]
    data = MetaDataset(origin, name=name, digest=digest[:_DIGEST_CHARS])  # type: ignore[abstract]
    mlflow.log_input(data, context="evaluation")
    return data


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
    tags = {"index": str(index), "drift": batch.verdict}
    with run(counts, description=description, tags=tags, log_system_metrics=False) as run_id:
        log_parameters(batch.origin)
        log_results(batch.metrics, HEADLINE)
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
