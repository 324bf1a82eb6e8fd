"""Score a batch of jobs: a folder of results for each recording, and a row of the summary.

``with lock_output(out): write_summary(out, run(plan(recordings, out, options), workers=2))`` scores a batch.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from ectopy.batch.planning import Job, ScoreOptions, load_model, printable
from ectopy.batch.provenance import job_provenance
from ectopy.batch.pseudonyms import redact_names
from ectopy.batch.results import SummaryRow, atomic_directory, earlier_result
from ectopy.parallel.worker_pool import LimitExceededError, WorkerDiedError, WorkerPool
from ectopy.readers import open_recording

if TYPE_CHECKING:
    from ectopy.ecg import Analysis, Recording
    from ectopy.monitoring.drift import Counts

logger = logging.getLogger(__name__)


def run(jobs: Sequence[Job], *, workers: int) -> Iterator[SummaryRow]:
    """Score a batch.

    Parameters
    ----------
    jobs
        The recordings to score.
    workers
        The largest number of processes.

    Yields
    ------
    The row of each recording: first those with earlier results, then the others as they finish.
    """
    new = []
    for job in jobs:
        if row := cached_result(job):
            yield row
        else:
            new.append(job)
    if min(workers, len(new)) <= 1:  # starting a process takes longer than it saves
        yield from map(partial(score_or_fail, score_one), new)
    else:
        yield from _run_parallel(new, min(workers, len(new)))


def _run_parallel(jobs: Sequence[Job], workers: int) -> Iterator[SummaryRow]:
    """Score in parallel; one thread waits for each process."""
    with WorkerPool(workers) as processes, ThreadPoolExecutor(workers) as threads:
        score = partial(score_or_fail, partial(processes.call, score_one))
        try:
            for future in as_completed([threads.submit(score, job) for job in jobs]):
                yield future.result()
        finally:
            threads.shutdown(cancel_futures=True)


def split_cached(jobs: Sequence[Job]) -> tuple[list[SummaryRow], list[Job]]:
    """Return the rows of the jobs that have up-to-date results, and the other jobs."""
    rows = {job.name: row for job in jobs if (row := cached_result(job))}
    return list(rows.values()), [job for job in jobs if job.name not in rows]


def score_or_fail(score: Callable[[Job], SummaryRow], job: Job) -> SummaryRow:
    """Score one recording; turn any error into a row with the reason.

    Parameters
    ----------
    score
        The function that scores.
    job
        The recording.

    Returns
    -------
    The row of the summary.
    """
    try:
        return score(job)
    except Exception as error:  # one recording must not stop the others
        logger.debug("%s", job.name, exc_info=error)
        return failed_job(job, error)


def failed_job(job: Job, error: Exception) -> SummaryRow:
    """Return the row of a recording that could not be scored.

    Parameters
    ----------
    job
        The recording.
    error
        Why it could not be scored.

    Returns
    -------
    The row of the summary.
    """
    return failed_row(job.name, job.display_path, reason_of(error))


def reason_of(error: Exception) -> str:
    """Return the message of an error as one line, with the type of error if it is unexpected."""
    expected = isinstance(error, ValueError | OSError | WorkerDiedError | LimitExceededError)
    message = (expected and str(error)) or repr(error)
    return printable(" ".join(message.split()))


def failed_row(name: str, path: str, reason: str) -> SummaryRow:
    """Return a row without metrics.

    Parameters
    ----------
    name
        The name of the result.
    path
        The path that the summary states.
    reason
        Why the recording could not be scored.

    Returns
    -------
    The row of the summary.
    """
    from ectopy.report import SUMMARY_COLUMNS

    empty: SummaryRow = dict.fromkeys(SUMMARY_COLUMNS, "")
    return empty | {"recording": name, "path": path, "status": "failed", "reason": reason}


def score_one(job: Job) -> SummaryRow:
    """Score one recording and write its results, all of them or none."""
    with redact_names(job.options.pseudonyms, job.source):
        return _score_one(job)


def _score_one(job: Job) -> SummaryRow:
    from ectopy.report import write_outputs
    from ectopy.report.pdf import write_pdf

    # The folder is made first: after a crash its remains name the recording.
    with atomic_directory(job.out / job.name) as folder:
        recording = open_recording(job.source, fs=job.options.fs)
        provenance = job_provenance(job).as_dict()  # the hash now: the file may change during the analysis
        analysis, profile = _analyse(recording, job.options)
        row = write_outputs(folder, analysis, provenance, profile=profile, fhir=job.options.fhir)
        if job.options.pdf:
            write_pdf(folder / "report.html", folder / "report.pdf")
        return row


def _analyse(recording: "Recording", options: ScoreOptions) -> "tuple[Analysis, Counts | None]":
    """Analyse a recording; also count its features if the model has a reference profile for drift."""
    from ectopy.monitoring.drift import ProfilingClassifier
    from ectopy.pipeline import analyse

    classify, leads = load_model(options.model), options.leads or None
    if classify.reference is None:
        return analyse(recording, classify, leads=leads), None
    profiling = ProfilingClassifier(classify, classify.reference)
    return analyse(recording, profiling, leads=leads), profiling.profile


def cached_result(job: Job) -> SummaryRow | None:
    """Return the row of results that the same input, model and settings have already led to, as skipped."""
    folder = job.out / job.name
    earlier = earlier_result(folder)
    optional = {"fhir.json": job.options.fhir, "report.pdf": job.options.pdf}
    missing = any(wanted and not (folder / name).is_file() for name, wanted in optional.items())
    if job.options.force or missing or earlier is None:
        return None
    with suppress(OSError, ValueError):  # an unreadable recording fails later, when it is scored
        if job_provenance(job).gives_same_results(earlier.provenance):
            return earlier.row | {"status": "skipped"}
    return None
