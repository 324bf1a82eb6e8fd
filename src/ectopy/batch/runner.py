"""Score a batch of jobs: a folder of results for each recording, and a row of the summary.

``with WorkerPool(2) as workers, lock_output(out):
write_summary(out, run(plan(recordings, out, options), workers))`` scores a batch.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ectopy.batch.faults import machine_at_fault, reason_of, recording_at_fault
from ectopy.batch.planning import Job, Model, ScoreOptions, load_model
from ectopy.batch.provenance import InputFiles, input_sha256, job_provenance
from ectopy.batch.pseudonyms import redact_names
from ectopy.batch.results import SummaryRow, atomic_directory, earlier_result, failed_row
from ectopy.parallel.memory import return_freed_memory
from ectopy.parallel.worker_pool import WorkerPool

if TYPE_CHECKING:
    from ectopy.ecg import Analysis, PatientHeader, Recording

logger = logging.getLogger(__name__)


def run(jobs: Sequence[Job], workers: WorkerPool) -> Iterator[SummaryRow]:
    """Score a batch; one thread waits for each process.

    Parameters
    ----------
    jobs
        The recordings to score.
    workers
        The processes that score.

    Yields
    ------
    The row of each recording, as they finish.
    """
    score = partial(score_or_fail, partial(workers.call, skip_or_score))
    with ThreadPoolExecutor(workers.n) as threads:
        try:
            for future in as_completed([threads.submit(score, job) for job in jobs]):
                yield future.result()
        except BaseException:
            workers.interrupt()
            raise
        finally:
            threads.shutdown(cancel_futures=True)


def split_cached(jobs: Sequence[Job], workers: WorkerPool) -> tuple[list[SummaryRow], list[Job]]:
    """Find the jobs that need no scoring.

    Parameters
    ----------
    jobs
        The recordings.
    workers
        The processes that read the recordings.

    Returns
    -------
    The rows of recordings that have up-to-date results or must not be opened; and the other jobs.
    """
    may_be_opened = [job for job in jobs if not job.error]
    cached = zip(may_be_opened, workers.call_each(cached_result, may_be_opened), strict=True)
    rows = {job.name: row for job, row in cached if isinstance(row, dict)}
    rows |= {job.name: failed_job(job, job.error) for job in jobs if job.error}
    return list(rows.values()), [job for job in jobs if job.name not in rows]


def skip_or_score(job: Job) -> SummaryRow:
    """Score one recording, unless it has up-to-date results."""
    return cached_result(job) or score_one(job)


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
    if job.error:
        return failed_job(job, job.error)
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
    place = f"{job.display_path}: " if error is job.error else ""
    return failed_row(job.name, job.display_path, place + reason_of(error))


def import_libraries() -> None:
    """Import what scoring needs, for instance in a process that has been started ahead of its first task."""
    from pyarrow import parquet  # noqa: F401

    from ectopy import pipeline, report  # noqa: F401
    from ectopy.model import classifier  # noqa: F401


def ready_model(options: ScoreOptions) -> Model:
    """Load the model and all libraries that scoring needs, before the recording is looked at.

    Raises :class:`ectopy.batch.faults.MachineError` if that fails.
    """
    with machine_at_fault():
        import_libraries()
        model = load_model(options.model)
        model.open_network()
        return model


def score_one(job: Job) -> SummaryRow:
    """Score one recording and write its results, all of them or none."""
    model = ready_model(job.options)
    diaries = [job.options.diary] if job.options.diary else []
    with redact_names(job.options.pseudonyms, job.source, *diaries), recording_at_fault():
        return _score_one(job, model)


def _score_one(job: Job, model: Model) -> SummaryRow:
    from ectopy.beats.detection import LONG_S
    from ectopy.ecg import UnreadableError
    from ectopy.readers import open_recording
    from ectopy.report import write_outputs
    from ectopy.report.fhir import require_library
    from ectopy.report.pdf import require_weasyprint, write_pdf

    with atomic_directory(job.out / job.name) as folder:
        files = InputFiles.of(job.source)  # before they are opened
        recording = open_recording(
            job.source, fs=job.options.fs, unit=job.options.unit, diary=job.options.diary
        )
        if job.complete_only and recording.incomplete:
            raise UnreadableError(
                f"{job.source}: the file is shorter than its header states; it may still be uploading. "
                "Wait, or copy the complete file again."
            )
        recording = replace(_begun(recording, job.stop), patient=_shown_patient(recording, job))
        # Hashed now: the file may change during the analysis.
        provenance = job_provenance(job, model)
        files = replace(files, sha256=provenance.input_sha256)
        analysis, profile = _analyse(recording, job.options, model, files)
        if recording.duration_s > LONG_S:
            return_freed_memory()  # the windows of the beats, and what found the events
        fhir = job.options.fhir or _is_renewed(job, "fhir.json", require_library)
        row = write_outputs(
            folder,
            analysis,
            provenance.as_dict(),
            profile=profile,
            fhir=fhir,
            mark_text=job.options.mark_text,
        )
        if job.options.pdf or _is_renewed(job, "report.pdf", require_weasyprint):
            write_pdf(folder / "report.html", folder / "report.pdf")
        return row


def _begun(recording: "Recording", stop: int | None) -> "Recording":
    """Return the beginning of a recording, if the stream of it ended early."""
    if stop is None or stop >= recording.n_samples:
        return recording
    note = f"ended after {stop / recording.fs:.1f} s of {recording.duration_s:.1f} s"
    marks = tuple(mark for mark in recording.marks if mark.time_s * recording.fs <= stop)
    return replace(recording, n_samples=stop, marks=marks, notes=(*recording.notes, note))


def _shown_patient(recording: "Recording", job: Job) -> "PatientHeader | None":
    """Return the patient header that outputs show: nothing of it with pseudonyms."""
    from ectopy.readers.patients import completed

    return None if job.options.pseudonyms else completed(job.patient, recording.patient)


def _is_renewed(job: Job, name: str, require: Callable[[], None]) -> bool:
    """Check whether a file that earlier results have, but nobody asks for now, can be written again."""
    from ectopy.report.fhir import MissingLibraryError

    if not (job.out / job.name / name).is_file():
        return False
    try:
        require()
    except MissingLibraryError as error:
        logger.warning("%s: %s shows earlier results and is removed. %s", job.name, name, error)
        return False
    return True


def _analyse(
    recording: "Recording", options: ScoreOptions, model: Model, files: InputFiles
) -> "tuple[Analysis, dict[str, list[int]] | None]":
    """Analyse a recording; also count its features if the model has a reference profile for drift."""
    from ectopy.batch.prepared_cache import prepared
    from ectopy.model.classifier import Classifier
    from ectopy.model.rhythm_classifier import load_rhythm_classifier
    from ectopy.monitoring.drift import ProfilingClassifier
    from ectopy.pipeline import classify_beats

    name_rhythm, criteria = load_rhythm_classifier(), options.criteria
    if not isinstance(model, Classifier):
        from ectopy.live.analysis import analyse_live

        leads = options.leads or None
        analysis = analyse_live(recording, model, name_rhythm=name_rhythm, leads=leads, criteria=criteria)
        return analysis, None
    profiling = ProfilingClassifier(model, model.reference) if model.reference else None
    with prepared(recording, options, files) as (whole, features):
        analysis = classify_beats(
            whole, profiling or model, features=features, name_rhythm=name_rhythm, criteria=criteria
        )
    return analysis, profiling.by_name if profiling else None


def cached_result(job: Job) -> SummaryRow | None:
    """Return the row of results that the same input, model and settings have already led to, as skipped."""
    folder = job.out / job.name
    earlier = earlier_result(folder)
    optional = {"fhir.json": job.options.fhir, "report.pdf": job.options.pdf}
    missing = any(wanted and not (folder / name).is_file() for name, wanted in optional.items())
    if job.options.force or missing or earlier is None:
        return None
    with suppress(OSError, ValueError):  # an unreadable recording fails later, when it is scored
        model = load_model(job.options.model)
        same_model = model.version_id == earlier.provenance.get("model_id")  # else the files need not be read
        if same_model and job_provenance(job, model).gives_same_results(earlier.provenance):
            return earlier.row | {"status": "skipped"}
    return None


def result_of_same_input(job: Job) -> SummaryRow | None:
    """Return the row of results that the same input has led to with any model, as skipped."""
    earlier = earlier_result(job.out / job.name)
    with suppress(OSError, ValueError):
        if earlier and earlier.provenance.get("input_sha256") == input_sha256(job.source):
            return earlier.row | {"status": "skipped"}
    return None
