"""Log an evaluation of findings to MLflow: how good a model is on each database, what is false or missed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ectopy.datasets import catalogue, download
from ectopy.evaluation.finding_summary import (
    FindingGroup,
    false_table,
    headline_of,
    metrics_of,
    missed_table,
)
from ectopy.evaluation.record_findings import FindingJob, RecordFindings
from ectopy.model.training_sources import digest_of
from ectopy.registry import runs


def log_finding_data(jobs: Sequence[FindingJob], data_dir: Path, *, held_out: bool) -> dict[str, Any]:
    """Log on which records of each database the findings are evaluated.

    Parameters
    ----------
    jobs
        The records.
    data_dir
        The folder of databases.
    held_out
        Whether they are held-out records of databases with training records.

    Returns
    -------
    The data set of each database, on which metrics can be logged.
    """
    records: dict[str, list[Path]] = {}
    for job in jobs:
        records.setdefault(job.database, []).append(job.record)
    return {name: _log_data(name, paths, data_dir, held_out=held_out) for name, paths in records.items()}


def _log_data(name: str, records: Sequence[Path], data_dir: Path, *, held_out: bool) -> Any:
    database = catalogue.find_database(name)
    folder = download.database_folder(database, data_dir)
    is_split = bool(database.training and database.held_out)
    which = ("held-out " if held_out else "training ") if is_split else ""
    names = [record.relative_to(folder).as_posix() for record in records]
    return runs.log_test_data(
        f"{name} {database.version}, {which}records", database.address, digest=digest_of(folder, names)
    )


def log_findings(
    results: Sequence[RecordFindings],
    groups: Mapping[str, FindingGroup],
    *,
    model_id: str | None = None,
    datasets: Mapping[str, Any] | None = None,
) -> None:
    """Log the metrics of all groups of records, false findings and missed episodes.

    Parameters
    ----------
    results
        The evaluated records.
    groups
        The same by group. All metrics are rows of a table, and the first of each database metrics in MLflow.
    model_id
        Id of the logged model that was evaluated.
    datasets
        The data set of each database, from :func:`log_finding_data`.
    """
    metrics = metrics_of(groups)
    runs.log_results(metrics, ())
    for name in headline_of(metrics):
        dataset = (datasets or {}).get(name.partition("/")[0])
        runs.log_metrics({name: metrics[name]}, model_id=model_id, dataset=dataset)
    runs.log_table(false_table(results), "false-findings.json")
    runs.log_table(missed_table(results), "missed-episodes.json")
