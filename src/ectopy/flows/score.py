"""Score recordings as tasks: the batch of ``ectopy score``, watched by Prefect, here or on a Dask cluster."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from prefect import flow, task, unmapped
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture

from ectopy.batch import planning, results
from ectopy.batch import runner as batch
from ectopy.batch.inbox import InboxPolicy, open_inbox, score_new
from ectopy.batch.pseudonyms import from_salt
from ectopy.flows.log_batch import USUAL, Memory, log_new_batch
from ectopy.flows.task_runners import LOCAL, task_runner
from ectopy.parallel.worker_pool import ResourceLimits, WorkerDiedError, workers_here
from ectopy.settings import Settings, load_settings

logger = logging.getLogger(__name__)

_SHOWN = ("recording", "status", "reason", "n_beats", "veb_burden_pct", "sveb_burden_pct", "findings")


@flow
def score(  # noqa: PLR0913 - parameters of a flow are its form
    paths: list[str],
    out: Path,
    *,
    model: str | None = None,
    leads: tuple[str, ...] = (),
    fs: float | None = None,
    force: bool = False,
    experiment: str = "ectopy-score",
    tracking_uri: str | None = None,
    runner: str = LOCAL,
    workers: int | None = None,
) -> list[results.SummaryRow]:
    """Score recordings, directories and globs into ``out``; one that fails stops no other."""
    settings = load_settings()
    if workers:
        settings = settings.model_copy(update={"workers": workers})
    found = planning.search(paths, out, fs)
    nameless = from_salt(settings.pseudonym_salt)
    how = planning.ScoreOptions(
        planning.find_model(model, settings.data_dir), leads, fs, force, pseudonyms=nameless
    )
    started = time.monotonic()
    planning.load_model(how.model)  # one that cannot be used fails the run, not each recording
    with results.lock_output(out):
        jobs = planning.plan(found.recordings, out, how)
        rows = [row for job in jobs if (row := batch.cached_result(job))]
        done = {row["recording"] for row in rows}
        new = [job for job in jobs if job.name not in done]
        rows += [_row(job, outcome) for job, outcome in score_all(new, batch.score_one, settings, runner)]
        results.write_summary(out, rows)
    _show(rows, out)
    memory = Memory(experiment, tracking_uri)
    log_new_batch(rows, out, how.model, memory, time_s=time.monotonic() - started)
    return rows


@flow
def score_inbox(
    inbox: str | None = None, out: Path | None = None, model: str | None = None, runner: str = LOCAL
) -> list[results.SummaryRow]:
    """Score what has arrived in the inbox, by default ``data/inbox`` into ``data/scored``; once."""
    settings = load_settings()
    out = out or settings.data_dir / "scored"
    how = planning.ScoreOptions(
        planning.find_model(model, settings.data_dir), pseudonyms=from_salt(settings.pseudonym_salt)
    )
    started = time.monotonic()
    planning.load_model(how.model)
    rules = InboxPolicy(settings.inbox_quiet_s, settings.inbox_patience_s, settings.inbox_tries)
    try:
        with open_inbox(inbox or settings.data_dir / "inbox", out, rules) as arrived:
            for job, outcome in score_all(arrived.plan(how), score_new, settings, runner):
                arrived.record_outcome(job, outcome)
            rows = arrived.finish()
    except results.BusyError as busy:
        logger.info("%s: nothing to do", busy)
        return []
    if rows:
        _show(rows, out)
        log_new_batch(rows, out, how.model, USUAL, time_s=time.monotonic() - started)
    return rows


@task(task_run_name="{job.name}", cache_policy=NO_CACHE)
def score_recording(
    job: planning.Job, score_job: Callable[[planning.Job], results.SummaryRow], bounds: ResourceLimits
) -> results.SummaryRow:
    """Score one recording in a process of its own, within bounds."""
    return workers_here(bounds).call(score_job, job)


def score_all(
    jobs: Sequence[planning.Job],
    score_job: Callable[[planning.Job], results.SummaryRow],
    settings: Settings,
    runner: str,
) -> Iterator[tuple[planning.Job, results.SummaryRow | Exception]]:
    """Score, a task a recording; give what became of each."""
    bounds = ResourceLimits(settings.recording_time_s, settings.recording_memory_mb)
    with task_runner(runner, min(settings.workers, len(jobs))) as tasks:
        constant = {"score_job": unmapped(score_job), "bounds": unmapped(bounds)}
        futures = tasks.map(score_recording, {"job": jobs, **constant})  # type: ignore[arg-type] # it is not async
        yield from ((job, task_result(future)) for job, future in zip(jobs, futures, strict=True))


def task_result(future: PrefectFuture[results.SummaryRow]) -> results.SummaryRow | Exception:
    try:
        return future.result(raise_on_failure=False)
    except Exception as error:  # noqa: BLE001 - the runner's own: the task had no say
        return WorkerDiedError(f"the worker that was to score it did not: {error}")


def _row(job: planning.Job, outcome: results.SummaryRow | Exception) -> results.SummaryRow:
    return batch.failed(job, outcome) if isinstance(outcome, Exception) else outcome


def _show(rows: Sequence[results.SummaryRow], out: Path) -> None:
    n_new = sum(row["status"] == "scored" for row in rows)
    create_table_artifact(
        [{column: row[column] for column in _SHOWN} for row in rows],
        key="scored-recordings",
        description=f"{len(rows)} recordings of this run, {n_new} of them scored now, in {out}",
    )


if __name__ == "__main__":
    score_inbox()
