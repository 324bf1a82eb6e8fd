"""The batch: recordings in, a folder of results for each, and one summary of all that lies in ``out``.

``with claim(out): write_summary(out, run(plan(recordings, out, how), workers=2))`` is the whole of it.
"""

import csv
import hashlib
import json
import logging
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ectopy.batch.pseudonyms import Pseudonyms, hiding
from ectopy.parallel.worker_pool import DiedError, OutOfBoundsError, Workers
from ectopy.readers import files, open_recording
from ectopy.readers.discovery import Found, find_recordings

if TYPE_CHECKING:
    from ectopy.ecg import Analysis, Recording
    from ectopy.model.classifier import Classifier
    from ectopy.monitoring.drift import Counts

logger = logging.getLogger(__name__)

Row: TypeAlias = dict[str, object]
"""One recording in ``summary.csv``, by column."""
_LONGEST_NAME = 100
_DECISIVE = ("input_sha256", "model_id", "settings")
_TRACED = ("ectopy", "numpy", "scipy", "onnxruntime")


class _Earlier(NamedTuple):
    row: Row
    provenance: Row


class NothingToScoreError(ValueError):
    """A search that found no recording."""


class BusyError(ValueError):
    """A directory that another run is writing its results to."""


@dataclass(frozen=True)
class How:
    """With which model; which leads (none: the analysis chooses); which rate in Hz where a file has none.

    ``force`` does again what is done; ``fhir`` writes ``fhir.json`` too, ``pdf`` the report as PDF. With
    ``pseudonyms`` nothing that is written or said names a file.
    """

    model: Path
    leads: tuple[str, ...] = ()
    fs: float | None = None
    force: bool = False
    fhir: bool = False
    pdf: bool = False
    pseudonyms: Pseudonyms | None = None

    @property
    def settings(self) -> dict[str, object]:
        """What else than the model decides a result."""
        return {"leads": list(self.leads), "fs_hz": self.fs}


@dataclass(frozen=True)
class Job:
    """One recording to score into ``out / name``; unlike a recording it can go to another process.

    ``address`` is where one lies that must be fetched before it can be read.
    """

    source: Path
    name: str
    out: Path
    how: How
    address: str = ""

    @property
    def path(self) -> str:
        """Where the recording is: a file, or an address."""
        return printable(self.address or self.source)

    @property
    def shown(self) -> str:
        """What outputs say of where the source lies."""
        return called(self.path, self.how)


def search(paths: Sequence[str], out: Path, fs: float | None = None) -> Found:
    """Find the recordings that are named, outside of where results go; at least one."""
    found = find_recordings(paths, outside=out.absolute(), fs=fs)
    if not found.recordings:
        raise NothingToScoreError(f"{', '.join(paths)}: no recording found in {found.n_other} files")
    return found


def find_model(model: str | None, data_dir: Path) -> Path:
    """Resolve ``--model``: a directory, a registry address; by default the champion, else what is shipped."""
    if model is None:
        from ectopy.model.classifier import SHIPPED_MODEL

        champion = data_dir / "models" / "champion"
        return champion if champion.is_dir() else SHIPPED_MODEL
    if model.startswith("models:/"):
        from ectopy.registry.tracking import download_model
        from ectopy.settings import load_settings

        return download_model(model, load_settings().tracking_uri)
    if not Path(model).is_dir():
        raise FileNotFoundError(f"{model}: a model directory expected, none there")
    return Path(model)


def origin(model: Path) -> str:
    """Say where a model comes from: shipped with the package, promoted here, or given."""
    from ectopy.model.classifier import SHIPPED_MODEL

    if model == SHIPPED_MODEL:
        return "shipped"
    return "champion" if model.parts[-2:] == ("models", "champion") else "given"


def load_model(model: Path) -> "Classifier":
    """Load a model, once a process; anew where another has taken its place."""
    from ectopy.model.classifier import classifier_in

    return classifier_in(model)


@contextmanager
def claim(out: Path) -> Iterator[list[str]]:
    """Hold ``out`` for one run, free of what a killed one left; tell what that was scoring, by name."""
    out.mkdir(parents=True, exist_ok=True)
    with _locked(out):
        interrupted = []
        for leftover in sorted(out.glob(".*.tmp-*")):
            logger.info("%s: left by a run that was killed, removed", leftover.name)
            name = leftover.name[1:].rpartition(".tmp-")[0]
            if leftover.is_file():
                leftover.unlink()
            elif leftover.name.endswith("-old") and not (out / name).exists():
                leftover.rename(out / name)  # killed between taking these away and putting others there
            else:
                shutil.rmtree(leftover)
                interrupted.append(name)
        yield interrupted


def plan(recordings: Iterable[Path | str], out: Path, how: How) -> list[Job]:
    """Give each recording its name in ``out``: the one it had before, or one that nobody has.

    What is no path is an address.
    """
    earlier = earlier_rows(out)
    known = {row["path"]: str(row["recording"]) for row in earlier}
    taken = {str(row["recording"]).casefold() for row in earlier} | {
        entry.name.casefold() for entry in out.iterdir()
    }
    jobs = []
    for source in recordings:
        address = source if isinstance(source, str) else ""
        stem = called(Path(source).stem, how)
        name = known.get(called(printable(source), how)) or _free_name(stem, taken)
        taken.add(name.casefold())
        jobs.append(Job(Path(source), name, out, how, address))
    return jobs


def run(jobs: Sequence[Job], *, workers: int) -> Iterator[Row]:
    """Give a row for each recording as it comes: first those done before, then those scored now."""
    new = []
    for job in jobs:
        if row := done_before(job):
            yield row
        else:
            new.append(job)
    if min(workers, len(new)) <= 1:  # no process is worth starting for one
        yield from map(partial(attempt, score_one), new)
    else:
        yield from _apart(new, min(workers, len(new)))


def _apart(jobs: Sequence[Job], workers: int) -> Iterator[Row]:
    """Score side by side, a thread waiting for each process."""
    with Workers(workers) as processes, ThreadPoolExecutor(workers) as threads:
        score = partial(attempt, partial(processes.call, score_one))
        try:
            for future in as_completed([threads.submit(score, job) for job in jobs]):
                yield future.result()
        finally:
            threads.shutdown(cancel_futures=True)


def attempt(score: Callable[[Job], Row], job: Job) -> Row:
    """Score one recording; whatever goes wrong with it is its row and nobody else's."""
    try:
        return score(job)
    except Exception as error:  # one recording must not take the others with it
        logger.debug("%s", job.name, exc_info=error)
        return failed(job, error)


def failed(job: Job, error: Exception) -> Row:
    """Give the row of a recording that could not be scored."""
    return failed_row(job.name, job.shown, reason_of(error))


def reason_of(error: Exception) -> str:
    """Say in one line what an error says; an unforeseen one is named by its kind."""
    stated = isinstance(error, ValueError | OSError | DiedError | OutOfBoundsError) and str(error)
    return printable(" ".join((stated or repr(error)).split()))


def failed_row(name: str, path: str, reason: str) -> Row:
    """Give a row without figures."""
    from ectopy.report import SUMMARY_COLUMNS

    empty: Row = dict.fromkeys(SUMMARY_COLUMNS, "")
    return empty | {"recording": name, "path": path, "status": "failed", "reason": reason}


def score_one(job: Job) -> Row:
    """Score one recording; its results appear whole or not at all."""
    with hiding(job.how.pseudonyms, job.source):
        return _score_one(job)


def _score_one(job: Job) -> Row:
    from ectopy.report import write_fhir, write_outputs
    from ectopy.report.pdf import write_pdf

    with _whole_folder(job.out / job.name) as folder:  # from the start: what is left of it tells who died
        recording = open_recording(job.source, fs=job.how.fs)
        origin = provenance(job)  # of what is read now, whatever becomes of the file meanwhile
        analysis, profile = _analysed(recording, job.how)
        if job.how.fhir:
            write_fhir(folder, analysis, recording, origin)
        row = write_outputs(folder, analysis, recording, origin, profile=profile)
        if job.how.pdf:
            write_pdf(folder / "report.html", folder / "report.pdf")
        return row


def _analysed(recording: "Recording", how: How) -> "tuple[Analysis, Counts | None]":
    """Analyse a recording, and sum its beats up for drift where the model has something to compare with."""
    from ectopy.monitoring.drift import Watched
    from ectopy.pipeline import analyse

    classify, leads = load_model(how.model), how.leads or None
    if classify.reference is None:
        return analyse(recording, classify, leads=leads), None
    watched = Watched(classify, classify.reference)
    return analyse(recording, watched, leads=leads), watched.profile


def done_before(job: Job) -> Row | None:
    """Give the row, as skipped, of results that the same input, model and settings have already led to."""
    folder = job.out / job.name
    earlier = _earlier(folder)
    asked_for = {"fhir.json": job.how.fhir, "report.pdf": job.how.pdf}
    wanting = any(asked and not (folder / name).is_file() for name, asked in asked_for.items())
    if job.how.force or wanting or earlier is None:
        return None
    with suppress(OSError, ValueError):  # what cannot be read now fails when it is scored
        now = provenance(job)
        if all(earlier.provenance.get(key) == now[key] for key in _DECISIVE):
            return earlier.row | {"status": "skipped"}
    return None


def told_of_model(model: Path) -> dict[str, str]:
    """Say which model results come from: its name, hash and run, and where it was found."""
    known = load_model(model)
    return {
        "model": known.name,
        "model_id": known.version_id,
        "model_run": known.specification.run,
        "model_from": origin(model),
    }


def provenance(job: Job) -> Row:
    """Say what results come from: input by path and hash, model, versions, settings."""
    return {
        "recording": job.name,
        "path": job.shown,
        "input_sha256": input_sha256(job.source),
        **told_of_model(job.how.model),
        "versions": _versions(),
        "settings": job.how.settings,
    }


def input_sha256(source: Path) -> str:
    """Hash the content of all files of a recording, one after the other, the one that is opened first."""
    digest = hashlib.sha256()
    for path in files(source):
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


def earlier_rows(out: Path) -> list[Row]:
    """Give a row for all that lies in ``out``, from the results themselves, and for what failed."""
    listed = {str(row["recording"]): row for row in _listed(out / "summary.csv")}
    rows = {name: row for name, row in listed.items() if row["status"] == "failed"}
    for folder in sorted(path.parent for path in out.glob("[!.]*/summary.json")):
        if folder.name not in rows and (earlier := _earlier(folder)):
            status = listed.get(folder.name, earlier.row)["status"]
            rows[folder.name] = earlier.row | {"status": status}
    return list(rows.values())


def write_summary(out: Path, rows: Iterable[Row]) -> list[Row]:
    """Write summary.csv and index.html over all of ``out``: these rows, and those of earlier runs."""
    from ectopy.report import SUMMARY_COLUMNS, write_index

    every = {str(row["recording"]): row for row in [*earlier_rows(out), *rows]}
    ordered = [every[name] for name in sorted(every)]
    with _whole_file(out / "summary.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, SUMMARY_COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(ordered)
    with _whole_file(out / "index.html") as path:
        write_index(path, ordered)
    return ordered


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    """Look the versions up, which takes as long as to classify half an hour of beats."""
    return {"python": platform.python_version(), **{name: version(name) for name in _TRACED}}


def _earlier(folder: Path) -> _Earlier | None:
    """Read what a summary.json says of its folder; None where there is none, or one that is not ours."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        if summary["row"]["recording"] == folder.name:
            return _Earlier(summary["row"], dict(summary["provenance"]))
    return None


def _listed(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [dict(row) for row in csv.DictReader(file) if {"recording", "path", "status"} <= row.keys()]


def _free_name(stem: str, taken: set[str]) -> str:
    """Make a name by WFDB's rule, numbered where it is taken; case tells no two folders apart everywhere."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", stem)[:_LONGEST_NAME]
    number = 1
    while (free := name if number == 1 else f"{name}-{number}").casefold() in taken:
        number += 1
    return free


def called(name: str, how: How) -> str:
    """Give what outputs call a recording, or say of where it lies."""
    return how.pseudonyms.of(name) if how.pseudonyms else name


def printable(text: str | Path) -> str:
    """Escape what no text file can hold: the bytes of a file name that is no Unicode."""
    return str(text).encode(errors="backslashreplace").decode()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder where the system can; a lock ends with its process, however that ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise BusyError(f"{folder}: another run is writing its results there") from error
    finally:
        os.close(handle)


@contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to write to, which becomes ``folder`` once all is written."""
    temporary = folder.with_name(f".{folder.name}.tmp-{token_hex(4)}")
    temporary.mkdir()
    try:
        yield temporary
        for file in [*temporary.iterdir(), temporary]:
            _to_disk(file)
        if folder.exists():
            folder.rename(folder.with_name(f"{temporary.name}-old"))
        temporary.rename(folder)
        _to_disk(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(folder.with_name(f"{temporary.name}-old"), ignore_errors=True)


def _to_disk(path: Path) -> None:
    """Wait until a file or a folder is on the disk: a name may be there before what it names."""
    if os.name != "posix":  # Windows opens no folder
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _whole_file(path: Path) -> Iterator[Path]:
    """Give a file to write to, which becomes ``path`` once all is written."""
    temporary = path.with_name(f".{path.name}.tmp-{token_hex(4)}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
