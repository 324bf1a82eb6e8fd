"""The inbox: each recording that arrives there is scored once.

This holds if a run is killed at any moment. A worker process writes the results of a recording completely or
not at all. Then the run, which has locked ``out``, updates the ledger. So a killed run leaves two traces.
Some results are not in the ledger; the next run recognises them by their hash. Marks name the recordings that
were being read; they count as crashes of these recordings.

Only what reading a recording did is its fault. Whatever else goes wrong, the recording waits.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from ectopy.batch import planning, results, runner
from ectopy.batch.faults import UnforeseenError, reason_of, recording_at_fault
from ectopy.batch.ledger import TABLE_FILE, Entry, Ledger, Status, open_ledger
from ectopy.batch.planning import Job, ScoreOptions
from ectopy.batch.pseudonyms import redact_names
from ectopy.batch.results import SummaryRow
from ectopy.batch.search import FoundRecordings, find_recordings
from ectopy.batch.storage import FileInfo, Storage, download, storage_at
from ectopy.ecg import NotAnalysableError, UnreadableError
from ectopy.parallel.worker_pool import LimitExceededError, ResourceLimits, WorkerDiedError, shared_pool
from ectopy.printable import printable
from ectopy.report.index import OpenFile

logger = logging.getLogger(__name__)

REASON_FILE = "reason.txt"
_DIED = "the worker process died"
_WHY = {
    Status.WAITING: "it had changed shortly before the last run, or the run was stopped",
    Status.OTHER: "not a recording; signals without a header wait for it",
}
_UNREADABLE = (UnreadableError, NotAnalysableError)


class DeferredError(ValueError):
    """Recordings that could not be scored because of the machine; the next run tries again.

    ``rows`` are those of the other recordings of the run.
    """

    def __init__(self, message: str, rows: Sequence[SummaryRow] = ()) -> None:
        super().__init__(message)
        self.rows = list(rows)


@dataclass(frozen=True)
class InboxPolicy:
    """When a recording is scored, and when it is given up.

    ``settle_s``: it is scored when none of its files has changed for this many seconds.
    ``incomplete_timeout_s``: for this many seconds a recording that is unreadable, or has less than its
    header states, may still be uploading. Then an unreadable one is bad, and of another one all that is there
    is scored. ``max_attempts``: it is bad after this many crashes. ``limits``: of the processes that look at
    files.
    """

    settle_s: float = 60.0
    incomplete_timeout_s: float = 3600.0
    max_attempts: int = 3
    limits: ResourceLimits = field(default_factory=ResourceLimits)


@contextmanager
def open_inbox(
    address: str | Path, out: Path, policy: InboxPolicy, options: ScoreOptions
) -> Iterator["Inbox"]:
    """Open an inbox for one run, which locks ``out``.

    Parameters
    ----------
    address
        A folder, or an fsspec address such as ``s3://bucket/inbox``.
    out
        The folder of results.
    policy
        When a recording is scored, and when it is given up.
    options
        How recordings are scored.

    Yields
    ------
    The inbox.

    Raises
    ------
    BusyError
        If another run has locked ``out``.
    """
    storage = storage_at(address)
    with results.lock_output(out) as interrupted, open_ledger(out) as ledger:
        inbox = Inbox(storage, out, policy, options, ledger)
        for name in interrupted:
            inbox.record_crash(name)
        inbox.quarantine()
        yield inbox


def score_new(job: Job) -> SummaryRow:
    """Score a recording, unless a killed run has already done so; download it first if it has an address."""
    runner.ready_model(job.options)
    with (
        results.reading(job.out, job.name),
        recording_at_fault(),
        redact_names(job.options.pseudonyms, Path(job.address or job.source)),
        download(job.address) if job.address else nullcontext(job.source) as source,
    ):
        local = replace(job, source=source)
        return runner.result_of_same_input(local) or runner.score_one(local)


class Inbox:
    """An inbox during one run."""

    def __init__(
        self, storage: Storage, out: Path, policy: InboxPolicy, options: ScoreOptions, ledger: Ledger
    ) -> None:
        self._storage = storage
        self._out = out
        self._policy = policy
        self._options = options
        self._ledger = ledger
        self._rows: list[SummaryRow] = []
        self._given_up: set[str] = set()
        self._deferred: list[str] = []

    def plan(self) -> list[Job]:
        """Return a job for each recording to score; recordings that crashed a process come last."""
        recordings, errors = self._scan()
        settled = {path: errors[path] for path in map(Path, recordings) if path in errors}
        jobs = [
            replace(job, complete_only=self._may_be_incomplete(self._ledger.entry(job.path)))
            for job in planning.plan(recordings, self._out, self._options, settled)
        ]
        self._ledger.set_names((job.path, job.name) for job in jobs)
        for job in jobs:
            if isinstance(job.error, LimitExceededError):
                self._blame(job.path, reason_of(job.error), at_once=True)
            elif isinstance(job.error, WorkerDiedError | UnforeseenError):
                self.record_crash(job.name, reason_of(job.error))
            elif job.error:
                self._defer(job.path, reason_of(job.error))
        return [job for job in jobs if not job.error]

    def record_outcome(self, job: Job, outcome: SummaryRow | Exception) -> None:
        """Record the outcome of a job whose results, if any, are on disk.

        Parameters
        ----------
        job
            The recording.
        outcome
            Its row of the summary, or why it could not be scored.
        """
        if not isinstance(outcome, Exception):
            self._ledger.set_status(job.path, Status.SCORED)
            self._rows.append(outcome)
        elif isinstance(outcome, LimitExceededError):
            results.remove_leftovers(self._out, job.name)
            self._blame(job.path, reason_of(outcome), at_once=True)
        elif isinstance(outcome, _UNREADABLE):
            self._blame(job.path, reason_of(outcome), at_once=not job.complete_only)
        elif isinstance(outcome, UnforeseenError):
            self.record_crash(job.name, reason_of(outcome))
        elif isinstance(outcome, WorkerDiedError) and results.remove_leftovers(self._out, job.name):
            self.record_crash(job.name)
        else:
            self._defer(job.path, reason_of(outcome))

    def record_crash(self, name: str, reason: str = _DIED) -> None:
        """Count a crash against a recording; give it up after the last attempt.

        Parameters
        ----------
        name
            The name of its results.
        reason
            What happened.
        """
        self._ledger.count_crash(name, reason)
        for entry in self._ledger.entries(Status.WAITING):
            if entry.crashes >= self._policy.max_attempts:
                self._give_up(entry.path, _after_attempts(entry))

    def finish(self) -> list[SummaryRow]:
        """Quarantine bad recordings and write the summary; return the rows of this run.

        Raises
        ------
        DeferredError
            If recordings could not be scored because of the machine.
        """
        self.quarantine()
        failed = self._ledger.entries(Status.BAD, Status.QUARANTINED)
        rows = {entry.path: self._failed_row(entry) for entry in failed}
        if self._summary_is_outdated():
            results.write_summary(
                self._out,
                [*rows.values(), *self._rows],
                replaced=[entry.path for entry in failed],
                open_files=self.open_files(),
            )
        of_this_run = [*self._rows, *(rows[path] for path in sorted(self._given_up))]
        if self._deferred:
            ((cause, _),) = Counter(self._deferred).most_common(1)
            n = len(self._deferred)
            waiting = "1 recording waits" if n == 1 else f"{n} recordings wait"
            raise DeferredError(f"{waiting}: {cause.rstrip('.')}. The next run tries again.", of_this_run)
        return of_this_run

    def open_files(self) -> list[OpenFile]:
        """Return the recordings that wait, and the other files, each since when and why."""
        entries = self._ledger.entries(Status.WAITING, Status.OTHER)
        return [
            OpenFile(
                planning.display_name(entry.path, self._options),
                time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(entry.first_seen_s)),
                self._hidden(entry, entry.reason) or _WHY[entry.status],
                entry.status == Status.WAITING,
            )
            for entry in entries
        ]

    def counts(self) -> dict[str, int]:
        """Return the number of recordings by status."""
        return dict(Counter(entry.status.value for entry in self._ledger.entries(*Status)))

    def failed(self) -> dict[str, str]:
        """Return why each recording failed, by the name of its results."""
        rows = [self._failed_row(entry) for entry in self._ledger.entries(Status.BAD, Status.QUARANTINED)]
        return {str(row["recording"]): str(row["reason"]) for row in rows}

    def _failed_row(self, entry: Entry) -> SummaryRow:
        path = planning.display_name(entry.path, self._options)
        name = entry.name
        if self._options.pseudonyms:  # the entry may be older than the salt
            pseudonym = self._options.pseudonyms.of(Path(entry.path).stem)
            name = name if name.startswith(pseudonym) else pseudonym
        return results.failed_row(name, path, self._hidden(entry, entry.reason))

    def _hidden(self, entry: Entry, text: str) -> str:
        """Return a text without the names of the files of an entry, if there are pseudonyms."""
        pseudonyms = self._options.pseudonyms
        if not pseudonyms:
            return text
        return pseudonyms.redact(
            text, [Path(entry.path), *(Path(self._storage.uri(name)) for name in entry.files)]
        )

    def quarantine(self) -> None:
        """Move the files of bad recordings to the quarantine, each with its reason.

        This completes moves that a killed run has begun. A file that belongs to another recording too stays.
        """
        others = self._ledger.entries(Status.WAITING, Status.SCORED)
        shared = set(chain.from_iterable(entry.files for entry in others))
        for entry in self._ledger.entries(Status.BAD):
            try:
                self._move_to_quarantine(entry, shared)
            except OSError as error:  # it stays in the inbox and, being BAD, is not scored again
                logger.warning("%s: not moved to quarantine: %s", entry.name, error.strerror)
            else:
                self._ledger.set_status(entry.path, Status.QUARANTINED, entry.reason)

    def _move_to_quarantine(self, entry: Entry, shared: set[str]) -> None:
        first_seen = time.strftime("%Y%m%dT%H%M%S", time.gmtime(entry.first_seen_s))
        folder = f"{self._storage.quarantine}/{entry.name}.{first_seen}"
        self._storage.write(f"{folder}/{REASON_FILE}", f"{entry.path}\n{entry.reason}\n")
        for file in sorted(set(entry.files) - shared):
            with suppress(FileNotFoundError):
                self._storage.move(file, f"{folder}/{file}")

    def _scan(self) -> tuple[list[Path | str], dict[Path, Exception]]:
        """Add all files to the ledger; return the recordings whose files have not changed for long enough.

        Also return those of them that must not be opened, with the reason.
        """
        files, now = self._storage.list_files(), time.time()
        done = self._unchanged_and_done(files)
        with self._storage.preview(files.keys() - done) as folder:
            found = self._search(folder, done)
        recordings = [
            tuple(file.relative_to(folder).as_posix() for file in names) for names in found.files.values()
        ]
        errors = {
            Path(self._storage.uri(path.relative_to(folder).as_posix())): error
            for path, error in found.errors.items()
        }
        others = files.keys() - done - set(chain.from_iterable(recordings))
        self._ledger.update(self._entry(names, files, now) for names in recordings)
        self._ledger.update(self._entry((name,), files, now)._replace(status=Status.OTHER) for name in others)
        present = files.keys() | self._note_unlisted(folder, found.unlisted, now)
        unfinished = self._ledger.entries(Status.WAITING, Status.OTHER)
        self._ledger.forget(entry.path for entry in unfinished if entry.files[0] not in present)
        return [
            self._storage.uri(entry.files[0])
            for entry in self._ledger.entries(Status.WAITING)
            if entry.files[0] in files and _unchanged_for_s(entry, files) >= self._policy.settle_s
        ], errors

    def _note_unlisted(self, folder: Path, unlisted: Mapping[Path, Exception], now: float) -> set[str]:
        """Add folders that cannot be listed to what waits; return their names, with a slash at the end."""
        names = {f"{path.relative_to(folder).as_posix()}/": error for path, error in unlisted.items()}
        for name, error in names.items():
            entry = self._entry((name,), {}, now)
            logger.warning("%s: %s", planning.display_name(entry.path, self._options), error)
            self._ledger.update([entry])
            self._ledger.set_status(entry.path, Status.WAITING, reason_of(error))
        return set(names)

    def _search(self, folder: Path, done: Iterable[str]) -> FoundRecordings:
        """Find the recordings in a folder; links are ignored."""
        return find_recordings(
            [folder],
            shared_pool(self._policy.limits),
            outside=self._out.absolute(),
            done={folder / name for name in done},
            follow_links=False,
        )

    def _entry(self, names: tuple[str, ...], files: Mapping[str, FileInfo], now: float) -> Entry:
        path = printable(self._storage.uri(names[0]))
        return Entry(path, names, _stamp(names, files), now)

    def _unchanged_and_done(self, files: Mapping[str, FileInfo]) -> set[str]:
        """Return the files with a final status; they need no attention until they change."""
        entries = self._ledger.entries(*(status for status in Status if status != Status.WAITING))
        unchanged = [entry.files for entry in entries if entry.stamp == _stamp(entry.files, files)]
        return set(chain.from_iterable(unchanged))

    def _may_be_incomplete(self, entry: Entry) -> bool:
        return time.time() - entry.first_seen_s < self._policy.incomplete_timeout_s

    def _blame(self, path: str, reason: str, *, at_once: bool) -> None:
        """Call a recording bad, unless it may be incomplete, has changed meanwhile or is gone."""
        entry = self._ledger.entry(path)
        try:
            unchanged = _stamp(entry.files, self._storage.describe(entry.files)) == entry.stamp
        except OSError as error:
            self._defer(path, reason_of(error))
            return
        if unchanged and at_once:
            self._give_up(path, reason)
        else:
            self._ledger.set_status(path, Status.WAITING, reason)

    def _give_up(self, path: str, reason: str) -> None:
        self._given_up.add(path)
        self._ledger.set_status(path, Status.BAD, reason)

    def _defer(self, path: str, reason: str) -> None:
        self._deferred.append(reason)
        self._ledger.set_status(path, Status.WAITING, reason)

    def _summary_is_outdated(self) -> bool:
        """Check whether this run or a killed one has changed the ledger since the summary was written."""
        summary, table = self._out / "summary.csv", self._out / TABLE_FILE
        return not summary.exists() or summary.stat().st_mtime_ns < table.stat().st_mtime_ns


def _stamp(names: Sequence[str], files: Mapping[str, FileInfo]) -> str:
    return ", ".join(files[name].stamp if name in files else "missing" for name in names)


def _unchanged_for_s(entry: Entry, files: Mapping[str, FileInfo]) -> float:
    """Return how long no file has changed, by the times of the storage, else since it was first seen."""
    now = time.time()
    changed = [files[name].changed_s for name in entry.files if name in files]
    known = [
        changed_s if changed_s is not None and changed_s <= now else entry.first_seen_s
        for changed_s in changed
    ]
    return now - max(known)


def _after_attempts(entry: Entry) -> str:
    if entry.reason == _DIED:
        return f"{_DIED} {entry.crashes} times, perhaps for lack of memory"
    return f"{entry.reason.rstrip('.')}, in {entry.crashes} attempts"
