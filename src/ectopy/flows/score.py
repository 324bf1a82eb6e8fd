"""Score recordings as tasks: the batch of ``ectopy score`` under Prefect, on this machine or on Dask."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from prefect import flow, task, unmapped
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger
from prefect.states import Failed

from ectopy.batch import planning, provenance, results
from ectopy.batch import runner as batch
from ectopy.batch.cache_folder import open_cache
from ectopy.batch.faults import UnforeseenError, reason_of
from ectopy.batch.inbox import DeferredError, InboxPolicy, open_inbox, score_new
from ectopy.batch.notify import channels_of, notify_urgent
from ectopy.batch.pseudonyms import from_salt
from ectopy.criteria import read_criteria
from ectopy.flows.assets import batch_asset, record_asset, scoring_model_asset
from ectopy.flows.expected import without_traceback
from ectopy.flows.inbox_page import build_page, failure_page, show_inbox
from ectopy.flows.log_batch import DEFAULT_TRACKING, Tracking, log_new_batch
from ectopy.flows.progress import link_to
from ectopy.flows.task_runners import LOCAL, task_runner
from ectopy.parallel.worker_pool import ResourceLimits, WorkerDiedError, shared_pool
from ectopy.printable import printable_values
from ectopy.report.index import OpenFile
from ectopy.settings import Settings, load_settings

logger = logging.getLogger(__name__)

_MAX_OPEN = 200
_SHOWN = ("recording", "status", "reason", "n_beats", "veb_burden_pct", "sveb_burden_pct", "findings")


@flow
@without_traceback
def score(  # noqa: PLR0913 - the parameters of a flow are its form in Prefect
    paths: list[str],
    out: Path,
    *,
    model: str | None = None,
    leads: tuple[str, ...] = (),
    fs: float | None = None,
    unit: str | None = None,
    force: bool = False,
    experiment: str = "ectopy-score",
    tracking_uri: str | None = None,
    runner: str = LOCAL,
    workers: int | None = None,
    data_dir: Path | None = None,
    criteria: Path | None = None,
    diary: Path | None = None,
    mark_text: bool = False,
    patients: Path | None = None,
    cache: Path | None = None,
) -> list[results.SummaryRow]:
    """Score recordings; a recording that fails does not stop the others.

    Parameters
    ----------
    paths
        Recordings, directories or globs.
    out
        The folder of results.
    model
        A model directory, or an address of the registry. By default the champion, else the shipped model.
    leads
        The leads to analyse; if there are none, the analysis chooses.
    fs
        The sampling rate in Hz of files that do not state one.
    unit
        The unit of leads whose unit is missing or unknown: mV, uV, V or nV.
    force
        Whether to score recordings again that have results.
    experiment
        The name of the MLflow experiment.
    tracking_uri
        The MLflow tracking store; by default that of the settings.
    runner
        ``local``, ``dask``, or the address of a Dask scheduler.
    workers
        The number of processes; by default that of the settings.
    data_dir
        The folder with the champion; by default that of the settings.
    criteria
        A TOML file with the criteria of the study; by default that of the settings, else those of ectopy.
    diary
        The diary of the patient, for one recording.
    mark_text
        Whether results show what the marks of a patient say; by default as the settings say.
    patients
        A table of the lab with the patients; by default that of the settings.
    cache
        A folder that keeps what does not depend on the model; by default that of the settings.

    Returns
    -------
    The rows of the summary.
    """
    settings = load_settings()
    by_study = read_criteria(criteria or settings.criteria)
    if workers:
        settings = settings.model_copy(update={"workers": workers})
    here = shared_pool(planning.limits_of(settings))
    search = planning.search(paths, out, here, fs)
    planning.check_diary(diary, search)
    patients, pseudonyms = patients or settings.patients, from_salt(settings.pseudonym_salt)
    planning.check_patients(patients, pseudonyms)
    selected = planning.find_model(model, data_dir or settings.data_dir)
    options = planning.ScoreOptions(
        *(selected.folder, leads, fs, force),
        pseudonyms=pseudonyms,
        model_source=selected.source,
        unit=unit,
        criteria=by_study,
        diary=diary.absolute() if diary else None,
        mark_text=mark_text or settings.mark_text,
        patients=patients,
        cache=open_cache(cache or settings.cache_dir, settings.cache_gb),
    )
    started = time.monotonic()
    used = planning.load_model(options.model)  # an unusable model fails the run, not each recording
    with results.lock_output(out):
        rows, new = batch.split_cached(planning.plan_batch(search, out, options), here)
        rows += [_row(job, outcome) for job, outcome in score_all(new, batch.score_one, settings, runner)]
        results.write_summary(out, rows)
    notify_urgent(rows, out, channels_of(settings), pseudonyms=pseudonyms is not None)
    origin = provenance.batch_provenance(used, options)
    tracking = Tracking(experiment, tracking_uri)
    run_id = log_new_batch(rows, out, origin, used.reference, tracking, time_s=time.monotonic() - started)
    _show(rows, out, run_id=run_id)
    _record_batch(out, origin, rows)
    return rows


@flow
def score_inbox(
    inbox: str | None = None,
    out: Path | None = None,
    model: str | None = None,
    runner: str = LOCAL,
    criteria: Path | None = None,
) -> list[results.SummaryRow]:
    """Score each recording that has arrived in the inbox once.

    Parameters
    ----------
    inbox
        A folder, or an fsspec address. By default the folder ``inbox`` of the data directory.
    out
        The folder of results; by default the folder ``scored`` of the data directory.
    model
        A model directory, or an address of the registry. By default the champion, else the shipped model.
    runner
        ``local``, ``dask``, or the address of a Dask scheduler.
    criteria
        A TOML file with the criteria of the study; by default that of the settings, else those of ectopy.

    Returns
    -------
    The rows of the recordings that this run has scored or given up.
    """
    settings = load_settings()
    inbox, out = inbox or str(settings.data_dir / "inbox"), out or settings.data_dir / "scored"
    try:
        return _score_arrived(inbox, out, model, runner, criteria)
    except results.BusyError as error:
        get_run_logger().info("nothing to do: %s", error)
        return []
    except (ValueError, OSError) as error:  # expected: one line in the log, and no traceback
        if not isinstance(error, DeferredError):  # what waits is on the page, with the reason
            show_inbox(failure_page(inbox, reason_of(error)))
        return Failed(message=reason_of(error), data=error)  # type: ignore[return-value] # as Prefect wants it


def _score_arrived(
    inbox: str, out: Path, model: str | None, runner: str, criteria: Path | None
) -> list[results.SummaryRow]:
    settings = load_settings()
    selected, pseudonyms = planning.find_model(model, settings.data_dir), from_salt(settings.pseudonym_salt)
    planning.check_patients(settings.patients, pseudonyms)
    options = planning.ScoreOptions(
        selected.folder,
        pseudonyms=pseudonyms,
        model_source=selected.source,
        criteria=read_criteria(criteria or settings.criteria),
        mark_text=settings.mark_text,
        patients=settings.patients,
        cache=open_cache(settings.cache_dir, settings.cache_gb),
    )
    started, deferred = time.monotonic(), None
    used = planning.load_model(options.model)
    limits = planning.limits_of(settings)
    policy = InboxPolicy(settings.inbox_quiet_s, settings.inbox_patience_s, settings.inbox_tries, limits)
    with open_inbox(inbox, out, policy, options) as opened:
        for job, outcome in score_all(opened.plan(), score_new, settings, runner):
            opened.record_outcome(job, outcome)
        try:
            rows = opened.finish()
        except DeferredError as error:  # the recordings that were scored are logged all the same
            rows, deferred = error.rows, error
        open_files = opened.open_files()
        show_inbox(build_page(inbox, out, opened.counts(), open_files, opened.failed()))
    notify_urgent(rows, out, channels_of(settings), pseudonyms=pseudonyms is not None)
    run_id = ""
    if rows:
        origin = provenance.batch_provenance(used, options)
        time_s = time.monotonic() - started
        run_id = log_new_batch(rows, out, origin, used.reference, DEFAULT_TRACKING, time_s=time_s)
        _record_batch(out, origin, rows)
    if rows or open_files:
        _show(rows, out, open_files, run_id=run_id)
    if deferred:
        raise deferred
    return rows


def _never(*_: object) -> bool:
    return False


# Prefect prints the traceback of a task without retries. A recording that cannot be read is worth a line.
@task(task_run_name="{job.name}", cache_policy=NO_CACHE, retries=1, retry_condition_fn=_never)
def score_recording(
    job: planning.Job, score_job: Callable[[planning.Job], results.SummaryRow], limits: ResourceLimits
) -> results.SummaryRow:
    """Score one recording in a process of its own.

    Parameters
    ----------
    job
        The recording.
    score_job
        The function that scores.
    limits
        The time and memory that one recording may take.

    Returns
    -------
    The row of the summary.
    """
    try:
        return shared_pool(limits).call(score_job, job)
    except UnforeseenError:
        logger.exception("%s: unforeseen", job.name)
        raise


def score_all(
    jobs: Sequence[planning.Job],
    score_job: Callable[[planning.Job], results.SummaryRow],
    settings: Settings,
    runner: str,
) -> Iterator[tuple[planning.Job, results.SummaryRow | Exception]]:
    """Score recordings in parallel, one task each.

    Parameters
    ----------
    jobs
        The recordings.
    score_job
        The function that scores.
    settings
        Supplies the number of workers and the limits for one recording.
    runner
        ``local``, ``dask``, or the address of a Dask scheduler.

    Yields
    ------
    Each job with its row of the summary, or with the error that stopped it.
    """
    limits = planning.limits_of(settings)
    with task_runner(runner, min(settings.workers, len(jobs))) as tasks:
        constant = {"score_job": unmapped(score_job), "limits": unmapped(limits)}
        futures = tasks.map(score_recording, {"job": jobs, **constant})  # type: ignore[arg-type] # it is not async
        yield from ((job, _task_result(future)) for job, future in zip(jobs, futures, strict=True))


def _task_result(future: PrefectFuture[results.SummaryRow]) -> results.SummaryRow | Exception:
    """Return the row or the error of a task."""
    try:
        return future.result(raise_on_failure=False)
    except Exception as error:  # noqa: BLE001 - an error of the task runner, not of the task
        return WorkerDiedError(f"the Dask worker did not score it: {error}. The next run tries again.")


def _row(job: planning.Job, outcome: results.SummaryRow | Exception) -> results.SummaryRow:
    return batch.failed_job(job, outcome) if isinstance(outcome, Exception) else outcome


def _record_batch(out: Path, origin: Mapping[str, str], rows: Sequence[results.SummaryRow]) -> None:
    """Record the batch as an asset that was made with a model, if anything in it is new."""
    counts = Counter(str(row["status"]) for row in rows)
    if not counts["scored"]:
        return
    made_with = [scoring_model_asset(origin)]
    record_asset(batch_asset(str(out.absolute())), made_with, {**origin, **counts})


def _show(
    rows: Sequence[results.SummaryRow], out: Path, open_files: Sequence[OpenFile] = (), *, run_id: str = ""
) -> None:
    """Show the recordings of this run as a table, the failed ones first."""
    n_new = sum(row["status"] == "scored" for row in rows)
    by_status = sorted(rows, key=lambda row: row["status"] != "failed")
    table = [
        {column: row[column] for column in _SHOWN}
        | {"report": "" if row["status"] == "failed" else str(out / str(row["recording"]) / "report.html")}
        for row in by_status
    ]
    for file in open_files[:_MAX_OPEN]:
        status = "waiting" if file.is_recording else "no recording"
        shown = {"recording": file.name, "status": status, "reason": f"since {file.since}: {file.why}"}
        table.append({column: shown.get(column, "") for column in (*_SHOWN, "report")})
    link = f". [Metrics and drift of the batch]({link_to(run_id)})" if run_id else ""
    create_table_artifact(
        printable_values(table),
        key="scored-recordings",
        description=f"{len(rows)} recordings of this run, {n_new} of them scored now, in {out}{link}",
    )
