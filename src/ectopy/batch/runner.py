"""The batch: recordings in, a folder of results for each, and one summary of all that lies in ``out``.

``with claim(out): write_summary(out, run(plan(recordings, out, how), workers=2))`` is the whole of it.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from ectopy.batch.planning import Job, ScoreOptions, load_model, printable
from ectopy.batch.provenance import provenance
from ectopy.batch.pseudonyms import redact_names
from ectopy.batch.results import SummaryRow, atomic_directory, earlier_result
from ectopy.parallel.worker_pool import LimitExceededError, WorkerDiedError, WorkerPool
from ectopy.readers import open_recording

if TYPE_CHECKING:
    from ectopy.ecg import Analysis, Recording
    from ectopy.monitoring.drift import Counts

logger = logging.getLogger(__name__)

_DECISIVE = ("input_sha256", "model_id", "settings")


def run(jobs: Sequence[Job], *, workers: int) -> Iterator[SummaryRow]:
    """Give a row for each recording as it comes: first those done before, then those scored now."""
    new = []
    for job in jobs:
        if row := cached_result(job):
            yield row
        else:
            new.append(job)
    if min(workers, len(new)) <= 1:  # no process is worth starting for one
        yield from map(partial(score_or_fail, score_one), new)
    else:
        yield from _run_parallel(new, min(workers, len(new)))


def _run_parallel(jobs: Sequence[Job], workers: int) -> Iterator[SummaryRow]:
    """Score side by side, a thread waiting for each process."""
    with WorkerPool(workers) as processes, ThreadPoolExecutor(workers) as threads:
        score = partial(score_or_fail, partial(processes.call, score_one))
        try:
            for future in as_completed([threads.submit(score, job) for job in jobs]):
                yield future.result()
        finally:
            threads.shutdown(cancel_futures=True)


def score_or_fail(score: Callable[[Job], SummaryRow], job: Job) -> SummaryRow:
    """Score one recording; whatever goes wrong with it is its row and nobody else's."""
    try:
        return score(job)
    except Exception as error:  # one recording must not take the others with it
        logger.debug("%s", job.name, exc_info=error)
        return failed(job, error)


def failed(job: Job, error: Exception) -> SummaryRow:
    """Give the row of a recording that could not be scored."""
    return failed_row(job.name, job.shown, reason_of(error))


def reason_of(error: Exception) -> str:
    """Say in one line what an error says; an unforeseen one is named by its kind."""
    stated = isinstance(error, ValueError | OSError | WorkerDiedError | LimitExceededError) and str(error)
    return printable(" ".join((stated or repr(error)).split()))


def failed_row(name: str, path: str, reason: str) -> SummaryRow:
    """Give a row without figures."""
    from ectopy.report import SUMMARY_COLUMNS

    empty: SummaryRow = dict.fromkeys(SUMMARY_COLUMNS, "")
    return empty | {"recording": name, "path": path, "status": "failed", "reason": reason}


def score_one(job: Job) -> SummaryRow:
    """Score one recording; its results appear whole or not at all."""
    with redact_names(job.how.pseudonyms, job.source):
        return _score_one(job)


def _score_one(job: Job) -> SummaryRow:
    from ectopy.report import write_outputs
    from ectopy.report.pdf import write_pdf

    with atomic_directory(job.out / job.name) as folder:  # from the start: what is left of it tells who died
        recording = open_recording(job.source, fs=job.how.fs)
        origin = provenance(job)  # of what is read now, whatever becomes of the file meanwhile
        analysis, profile = _analysed(recording, job.how)
        row = write_outputs(folder, analysis, origin, profile=profile, fhir=job.how.fhir)
        if job.how.pdf:
            write_pdf(folder / "report.html", folder / "report.pdf")
        return row


def _analysed(recording: "Recording", how: ScoreOptions) -> "tuple[Analysis, Counts | None]":
    """Analyse a recording, and sum its beats up for drift where the model has something to compare with."""
    from ectopy.monitoring.drift import ProfilingClassifier
    from ectopy.pipeline import analyse

    classify, leads = load_model(how.model), how.leads or None
    if classify.reference is None:
        return analyse(recording, classify, leads=leads), None
    watched = ProfilingClassifier(classify, classify.reference)
    return analyse(recording, watched, leads=leads), watched.profile


def cached_result(job: Job) -> SummaryRow | None:
    """Give the row, as skipped, of results that the same input, model and settings have already led to."""
    folder = job.out / job.name
    earlier = earlier_result(folder)
    asked_for = {"fhir.json": job.how.fhir, "report.pdf": job.how.pdf}
    wanting = any(asked and not (folder / name).is_file() for name, asked in asked_for.items())
    if job.how.force or wanting or earlier is None:
        return None
    with suppress(OSError, ValueError):  # what cannot be read now fails when it is scored
        now = provenance(job)
        if all(earlier.provenance.get(key) == now[key] for key in _DECISIVE):
            return earlier.row | {"status": "skipped"}
    return None
