"""Evaluate findings: episodes found, and false findings per 24 h, on every database that has labels."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from ectopy.ec57.report import align
from ectopy.evaluation.evaluate_record import NothingToEvaluateError
from ectopy.evaluation.finding_jobs import FindingModel, find_model, finding_jobs
from ectopy.evaluation.finding_page import PAGE, build_page
from ectopy.evaluation.finding_summary import (
    FindingGroup,
    false_table,
    group_findings,
    headline_of,
    metrics_of,
    missed_table,
)
from ectopy.evaluation.record_findings import FindingJob, RecordFindings, evaluate_record_findings
from ectopy.flows.expected import without_traceback
from ectopy.flows.progress import announce, progress
from ectopy.flows.tasks import without_failures
from ectopy.parallel.worker_pool import WorkerPool
from ectopy.registry import runs
from ectopy.settings import load_settings

logger = logging.getLogger(__name__)

_AT_ONCE = 16
"""Records in one task: most are strips of some seconds."""


@flow
@without_traceback
def evaluate_findings(  # noqa: PLR0913, PLR0917 - the parameters of a flow are its form in Prefect
    databases: Sequence[str] = (),
    data_dir: Path | None = None,
    model: str = "shipped",
    out: Path | None = None,
    held_out: str | None = None,
    experiment: str = "ectopy-findings",
    tracking_uri: str | None = None,
) -> str:
    """Evaluate the findings of a model on patients that it has not seen.

    Parameters
    ----------
    databases
        Names of the databases; none stands for all that are here and have labels.
    data_dir
        The folder of databases; by default that of the settings.
    model
        ``shipped``, or a model of the registry, such as ``models:/ectopy@champion``.
    out
        A folder to which the page is written too.
    held_out
        Why the held-out records are evaluated now; without a reason, those for training are.
    experiment
        The name of the MLflow experiment.
    tracking_uri
        The MLflow tracking store; by default that of the settings.

    Returns
    -------
    The page, as Markdown.

    Raises
    ------
    NothingToEvaluateError
        If there is no record to evaluate.
    """
    settings = load_settings()
    runs.connect(tracking_uri or settings.tracking_uri, experiment)
    chosen = find_model(model)
    jobs = finding_jobs(chosen, databases, data_dir or settings.data_dir, held_out=bool(held_out))
    if out:
        out.mkdir(parents=True, exist_ok=True)
    description = f"Episodes found by {chosen.name}, and false findings. Read `{PAGE}` among the artifacts."
    tags = {"why": held_out} if held_out else None
    with runs.run(f"findings of {chosen.name}", description=description, tags=tags) as run_id:
        announce(run_id)
        runs.log_parameters(
            {
                "model": model,
                "model name": chosen.name,
                "databases": ",".join(dict.fromkeys(job.database for job in jobs)),
                "held out": bool(held_out),
            }
        )
        results = evaluate_jobs(jobs, settings.workers)
        groups = group_findings(results)
        log_findings(groups)
        runs.log_table(false_table(results), "false-findings.json")
        runs.log_table(missed_table(results), "missed-episodes.json")
        evaluated_on = list(dict.fromkeys(job.database for job in jobs))
        commands = _commands(chosen, evaluated_on, model, held_out)
        evaluated = {result.reference.key for result in results}
        page = build_page(
            results,
            groups,
            model=chosen.name,
            commands=commands,
            held_out=bool(held_out),
            left_out=[job.key for job in jobs if job.key not in evaluated],
        )
        runs.log_text(page, PAGE)
        for line in align(_glance(groups)).splitlines():
            logger.info(line)
        if out:
            (out / PAGE).write_text(page, encoding="utf-8")
        return page


def _glance(groups: Mapping[str, FindingGroup]) -> list[list[str]]:
    """Return titles and rows of the first metrics of each database, for the terminal."""
    metrics = metrics_of(groups)
    titles = {
        "malignant episodes named, %": ("malignant/named_share", 100),
        "false urgent per 24 h": ("findings/false_urgent_per_24h", 1),
        "false important per 24 h": ("findings/false_important_per_24h", 1),
    }
    rows = [
        [
            name,
            *(f"{unit * metrics.get(f'{name}/{metric}', math.nan):.1f}" for metric, unit in titles.values()),
        ]
        for name in groups
        if " " not in name
    ]
    return [["database", *titles], *rows]


def log_findings(groups: Mapping[str, FindingGroup]) -> None:
    """Log the metrics of all groups of records as a table, and the first of them as metrics."""
    metrics = metrics_of(groups)
    runs.log_results(metrics, headline_of(metrics))


def evaluate_jobs(jobs: Sequence[FindingJob], workers: int) -> list[RecordFindings]:
    """Evaluate records in parallel; one that cannot be evaluated is named in a warning and left out.

    Parameters
    ----------
    jobs
        The records and their models.
    workers
        The number of processes.

    Returns
    -------
    The results, in the order of the jobs.

    Raises
    ------
    NothingToEvaluateError
        If no record could be evaluated.
    """
    parts = [jobs[start : start + _AT_ONCE] for start in range(0, len(jobs), _AT_ONCE)]
    with progress("evaluating records", len(parts)) as step, WorkerPool(workers) as processes:

        @task(task_run_name="evaluate {jobs[0].key} and more", cache_policy=NO_CACHE)
        def evaluate_some(jobs: Sequence[FindingJob]) -> list[RecordFindings | Exception]:
            done = processes.call_each(evaluate_record_findings, jobs)
            step(f"up to {jobs[-1].key}")
            return done

        outcomes = [outcome for part in evaluate_some.map(parts).result() for outcome in part]
    results = without_failures(jobs, outcomes)
    if not results:
        raise NothingToEvaluateError(f"{jobs[0].record}: {outcomes[0]} No record could be evaluated.")
    return results


def _commands(model: FindingModel, databases: Sequence[str], address: str, held_out: str | None) -> list[str]:
    """Return the commands that repeat the page; a model of the registry is trained and promoted first."""
    reason = f' --held-out "{held_out}"' if held_out else ""
    evaluate = " ".join(["ectopy evaluate-findings", *databases, f"--model {address}", "--out DIR"]) + reason
    ingest = ["ectopy ingest", *dict.fromkeys((*model.training, *databases))]
    if address == "shipped":
        return [" ".join(["ectopy ingest", *databases]), evaluate]
    return [
        " ".join(ingest),
        " ".join(["ectopy train", *(f"--database {name}" for name in model.training)]),
        "ectopy models promote N --reason TEXT",
        "ectopy train-rhythm --model models:/ectopy/N",
        evaluate,
    ]
