"""The inbox: what arrives there is scored once, whatever happens.

The processes that score write results, whole or not at all; the one run that holds ``out`` notes them in a
table beside them, afterwards. So a run that is killed at any moment leaves results that the table does not
know yet, which the next run finds by their hash, and folders of what it was working on, which tell whom to
suspect.
"""

import errno
import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from ectopy.batch import planning, results, runner
from ectopy.batch.ledger import TABLE_FILE, Entry, Ledger, Status, open_ledger
from ectopy.batch.planning import Job, ScoreOptions
from ectopy.batch.pseudonyms import redact_names
from ectopy.batch.results import SummaryRow
from ectopy.batch.storage import FileInfo, Storage, UnreachableError, download, files_or_itself, storage_at
from ectopy.parallel.worker_pool import LimitExceededError, WorkerDiedError
from ectopy.readers.discovery import find_recordings

logger = logging.getLogger(__name__)

REASON_FILE = "reason.txt"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE}


class DeferredError(ValueError):
    """Recordings that could not be scored now for no fault of theirs; they wait for the next run."""


@dataclass(frozen=True)
class InboxPolicy:
    """When a recording is taken, and when it is given up.

    ``quiet_s``: so long must no file of it have changed. ``patience_s``: so long after it was first seen as
    it is, one that cannot be read is bad and no longer perhaps incomplete. ``tries``: so many processes may
    die on it.
    """

    settle_s: float = 60.0
    incomplete_timeout_s: float = 3600.0
    max_attempts: int = 3


@contextmanager
def open_inbox(address: str | Path, out: Path, rules: InboxPolicy) -> Iterator["Inbox"]:
    """Hold ``out`` and its table for one run; raises BusyError where another run does."""
    place = storage_at(address)
    with results.lock_output(out) as interrupted, open_ledger(out) as ledger:
        inbox = Inbox(place, out, rules, ledger)
        for name in interrupted:
            inbox.record_crash(name)
        inbox.quarantine()
        yield inbox


def score_new(job: Job) -> SummaryRow:
    """Score a recording unless a run that was killed has done it; fetch it first where it is not here."""
    with (
        redact_names(job.how.pseudonyms, Path(job.address or job.source)),
        download(job.address) if job.address else nullcontext(job.source) as source,
    ):
        here = replace(job, source=source)
        return runner.cached_result(here) or runner.score_one(here)


class Inbox:
    """A place where recordings arrive, for one run."""

    def __init__(self, place: Storage, out: Path, rules: InboxPolicy, ledger: Ledger) -> None:
        self._place = place
        self._out = out
        self._rules = rules
        self._ledger = ledger
        self._how: ScoreOptions | None = None
        self._rows: list[SummaryRow] = []
        self._given_up: set[str] = set()
        self._trouble: list[str] = []

    def plan(self, how: ScoreOptions) -> list[Job]:
        """Give each recording that is to be scored its job; those that processes died on come last."""
        self._how = how
        self._scan()
        jobs = planning.plan(self._ready, self._out, how)
        self._ledger.name((job.path, job.name) for job in jobs)
        return jobs

    def record_outcome(self, job: Job, outcome: SummaryRow | Exception) -> None:
        """Note what became of a recording, which is on the disk by now."""
        if not isinstance(outcome, Exception):
            self._ledger.settle(job.path, Status.SCORED)
            self._rows.append(outcome)
        elif isinstance(outcome, WorkerDiedError):
            self._remove_leftovers(job.name)
            self.record_crash(job.name)
        elif isinstance(outcome, UnreachableError) or getattr(outcome, "errno", None) in _NO_ROOM:
            self._trouble.append(runner.reason_of(outcome))
        elif isinstance(outcome, LimitExceededError) or not self._may_be_incomplete(job.path):
            self._give_up(job.path, runner.reason_of(outcome))

    def record_crash(self, name: str) -> None:
        """Count the death of a process against what it was working on; give that up after some."""
        self._ledger.count_crash(name)
        for entry in self._ledger.entries(Status.WAITING):
            if entry.crashes >= self._rules.max_attempts:
                self._give_up(entry.path, f"the process that worked on it died {entry.crashes} times")

    def finish(self) -> list[SummaryRow]:
        """Take bad recordings away and write the summary; give the rows of this run.

        Raises TroubleError where recordings wait because of the machine.
        """
        self.quarantine()
        failed = self._ledger.entries(Status.BAD, Status.QUARANTINED)
        rows = {entry.path: self._failed_row(entry) for entry in failed}
        if self._is_news():
            results.write_summary(self._out, [*rows.values(), *self._rows])
        if self._trouble:
            raise DeferredError(f"{len(self._trouble)} recordings wait: {self._trouble[0]}")
        return [*self._rows, *(rows[path] for path in sorted(self._given_up))]

    def _failed_row(self, entry: Entry) -> SummaryRow:
        path = planning.display_name(entry.path, self._how) if self._how else entry.path
        return runner.failed_row(entry.name, path, entry.reason)

    def quarantine(self) -> None:
        """Move bad recordings to the quarantine, each with its reason; what was broken off is continued.

        A file that belongs to another recording too stays.
        """
        others = self._ledger.entries(Status.WAITING, Status.SCORED)
        kept = set(chain.from_iterable(entry.files for entry in others))
        for entry in self._ledger.entries(Status.BAD):
            try:
                self._quarantine_one(entry, kept)
            except OSError as error:  # it does not come back all the same
                logger.warning("%s: not taken to quarantine: %s", entry.name, error.strerror)
            else:
                self._ledger.settle(entry.path, Status.QUARANTINED, entry.reason)

    def _quarantine_one(self, entry: Entry, kept: set[str]) -> None:
        seen = time.strftime("%Y%m%dT%H%M%S", time.gmtime(entry.seen_s))
        folder = f"{self._place.quarantine}/{entry.name}.{seen}"
        self._place.write(f"{folder}/{REASON_FILE}", f"{entry.path}\n{entry.reason}\n")
        for file in sorted(set(entry.files) - kept):
            with suppress(FileNotFoundError):
                self._place.move(file, f"{folder}/{file}")

    def _scan(self) -> None:
        """Note all that is there; find out which recordings have been quiet long enough."""
        listing, now = self._place.listing(), time.time()
        settled = self._settled(listing)
        with self._place.preview(listing.keys() - settled) as folder:
            arrived = _recordings_in(folder, self._out)
        others = listing.keys() - settled - set(chain.from_iterable(arrived))
        self._ledger.see(self._entry(names, listing, now) for names in arrived)
        self._ledger.see(self._entry((name,), listing, now)._replace(status=Status.OTHER) for name in others)
        self._ready = [
            self._place.uri(entry.files[0])
            for entry in self._ledger.entries(Status.WAITING)
            if entry.files[0] in listing and _quiet_s(entry, listing) >= self._rules.settle_s
        ]

    def _entry(self, names: tuple[str, ...], listing: Mapping[str, FileInfo], now: float) -> Entry:
        path = planning.printable(self._place.uri(names[0]))
        return Entry(path, names, _stamp(names, listing), now)

    def _settled(self, listing: Mapping[str, FileInfo]) -> set[str]:
        """Give the files that nothing is to be done about as long as they stay as they are."""
        known = self._ledger.entries(*(status for status in Status if status != Status.WAITING))
        same = [entry.files for entry in known if entry.stamp == _stamp(entry.files, listing)]
        return set(chain.from_iterable(same))

    def _may_be_incomplete(self, path: str) -> bool:
        return time.time() - self._ledger.entry(path).seen_s < self._rules.incomplete_timeout_s

    def _give_up(self, path: str, reason: str) -> None:
        self._given_up.add(path)
        self._ledger.settle(path, Status.BAD, reason)

    def _remove_leftovers(self, name: str) -> None:
        for leftover in self._out.glob(f".{name}.tmp-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _is_news(self) -> bool:
        """Tell whether anything was noted since the summary was written, by this run or by a killed one."""
        summary, table = self._out / "summary.csv", self._out / TABLE_FILE
        return not summary.exists() or summary.stat().st_mtime_ns < table.stat().st_mtime_ns


def _recordings_in(folder: Path, out: Path) -> list[tuple[str, ...]]:
    """Find recordings: the names of their files, the one that is opened first; links are none."""
    found = find_recordings([folder], outside=out.absolute(), follow_links=False).recordings
    return [tuple(file.relative_to(folder).as_posix() for file in files_or_itself(path)) for path in found]


def _stamp(names: Sequence[str], listing: Mapping[str, FileInfo]) -> str:
    return ", ".join(listing[name].stamp if name in listing else "missing" for name in names)


def _quiet_s(entry: Entry, listing: Mapping[str, FileInfo]) -> float:
    """Say for how long no file has changed: as its place tells it, else since it was seen first."""
    now = time.time()
    changed = [listing[name].changed_s for name in entry.files if name in listing]
    told = [
        changed_s if changed_s is not None and changed_s <= now else entry.seen_s for changed_s in changed
    ]
    return now - max(told)
