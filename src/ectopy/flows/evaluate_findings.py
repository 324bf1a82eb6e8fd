"""Evaluate findings: episodes found, and false findings per 24 h, on every database that has labels."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from ectopy.evaluation.evaluate_record import NothingToEvaluateError
from ectopy.evaluation.finding_jobs import FindingModel, find_model, finding_jobs
from ectopy.evaluation.finding_page import PAGE, build_page
from ectopy.evaluation.finding_summary import FindingGroup, group_findings, metrics_of
from ectopy.evaluation.log_findings import log_finding_data, log_findings
from ectopy.evaluation.record_findings import FindingJob, RecordFindings, evaluate_record_findings
from ectopy.flows.expected import without_traceback
from ectopy.flows.progress import announce, progress
from ectopy.flows.tasks import without_failures
from ectopy.parallel.worker_pool import WorkerPool
from ectopy.registry import model_versions, runs
from ectopy.registry.closing import Study, of_overview
from ectopy.registry.shipped_champion import REGISTERED_NAME, register_shipped
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
) -> Study:
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
    The page, its summary, where it lies, and the run.

    Raises
    ------
    NothingToEvaluateError
        If there is no record to evaluate.
    """
    settings = load_settings()
    runs.connect(tracking_uri or settings.tracking_uri, experiment)
    chosen = find_model(model)
    data_dir = data_dir or settings.data_dir
    jobs = finding_jobs(chosen, databases, data_dir, held_out=bool(held_out))
    version = chosen.version or register_shipped(REGISTERED_NAME)
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
        datasets = log_finding_data(jobs, data_dir, held_out=bool(held_out))
        results = evaluate_jobs(jobs, settings.workers)
        groups = group_findings(results)
        model_id = model_versions.model_id_of(version) if version else None
        log_findings(results, groups, model_id=model_id, datasets=datasets)
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
        if out:
            (out / PAGE).write_text(page, encoding="utf-8")
        path = str(out / PAGE) if out else runs.path_of(run_id, PAGE)
        return Study(page, "\n".join(of_overview(_glance(groups))), path, run_id)


def _glance(groups: Mapping[str, FindingGroup]) -> dict[str, list[str]]:
    """Return the table for the terminal by column: the first metrics of each database."""
    metrics = metrics_of(groups)
    titles = {
        "malignant episodes named, %": ("malignant/named_share", 100),
        "false urgent per 24 h": ("findings/false_urgent_per_24h", 1),
        "false important per 24 h": ("findings/false_important_per_24h", 1),
    }
    names = [name for name in groups if " " not in name]
    values = {
        title: [unit * metrics.get(f"{name}/{metric}", math.nan) for name in names]
        for title, (metric, unit) in titles.items()
    }
    cells = {
        title: [f"{value:.1f}" if math.isfinite(value) else "-" for value in column]
        for title, column in values.items()
    }
    return {"database": names, **cells}


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
