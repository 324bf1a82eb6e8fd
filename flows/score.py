"""Score recordings as tasks: the batch of ``ectopy score``, watched by Prefect."""

import time
from collections.abc import Sequence
from pathlib import Path

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from ectopy import score as batch
from ectopy.pseudonyms import by_salt
from ectopy.readers.search import find_recordings
from ectopy.settings import load_settings
from ectopy.workers import Workers
from flows.remember import USUAL, Memory, remember

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
) -> list[batch.Row]:
    """Score recordings, directories and globs into ``out``; one that fails stops no other."""
    settings = load_settings()
    found = batch.search(paths, out)
    nameless = by_salt(settings.pseudonym_salt)
    how = batch.How(batch.find_model(model, settings.data_dir), leads, fs, force, pseudonyms=nameless)
    return _score(found.recordings, out, how, settings.workers, Memory(experiment, tracking_uri))


@flow
def score_inbox(
    inbox: Path | None = None, out: Path | None = None, model: str | None = None
) -> list[batch.Row]:
    """Score what is new in the inbox, by default ``data/inbox`` into ``data/scored``."""
    settings = load_settings()
    inbox = inbox or settings.data_dir / "inbox"
    inbox.mkdir(parents=True, exist_ok=True)
    out = out or settings.data_dir / "scored"
    how = batch.How(batch.find_model(model, settings.data_dir), pseudonyms=by_salt(settings.pseudonym_salt))
    found = find_recordings([inbox], outside=out.absolute(), follow_links=False)
    return _score(found.recordings, out, how, settings.workers)


def _score(
    recordings: Sequence[Path], out: Path, how: batch.How, workers: int, memory: Memory = USUAL
) -> list[batch.Row]:
    started = time.monotonic()
    batch.load_model(how.model)  # one that cannot be used fails the run, not each recording
    with batch.claim(out), Workers(workers) as processes:

        @task(task_run_name="{job.name}", cache_policy=NO_CACHE)
        def score_recording(job: batch.Job) -> batch.Row:
            return processes.call(batch.score_one, job)

        jobs = batch.plan(recordings, out, how)
        rows = [row for job in jobs if (row := batch.done_before(job))]
        new = [job for job in jobs if job.name not in {row["recording"] for row in rows}]
        futures = score_recording.map(new)
        outcomes = [future.result(raise_on_failure=False) for future in futures]
        rows += [_row(job, outcome) for job, outcome in zip(new, outcomes, strict=True)]
        batch.write_summary(out, rows)
    create_table_artifact(
        [{column: row[column] for column in _SHOWN} for row in rows],
        key="scored-recordings",
        description=f"{len(rows)} recordings of this run, {len(new)} of them new, in {out}",
    )
    remember(rows, out, how.model, memory, time_s=time.monotonic() - started)
    return rows


def _row(job: batch.Job, outcome: batch.Row | Exception) -> batch.Row:
    return batch.failed(job, outcome) if isinstance(outcome, Exception) else outcome


if __name__ == "__main__":
    score_inbox()
