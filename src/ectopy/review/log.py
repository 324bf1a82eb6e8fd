"""The log of edits of a recording: a file that is only ever appended to.

An edit is on the disk before :meth:`EditLog.append` returns. Two windows or two processes may append to one
log: each sees what the other has added.
"""

import errno
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from ectopy.batch.results import fsync_path
from ectopy.printable import printable
from ectopy.review.edits import ACTIONS, Action, EditError, Entry
from ectopy.review.history import check_possible, is_independent

_MODE = 0o660  # as results: for the owner and the group
_BINARY = getattr(os, "O_BINARY", 0)  # without it Windows changes the ends of lines


class DamagedLogError(ValueError):
    """A log that is damaged before its last line, or that a newer version wrote."""


class EditConflictError(ValueError):
    """An edit that another window has forestalled; ``entries`` are those that it has not seen."""

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        self.entries = entries
        who = ", ".join(dict.fromkeys(entry.by for entry in entries))
        super().__init__(f"{who} changed the same beats or the same event meanwhile. Look at it again.")


class EditLog:
    """The edits of one recording.

    ``entries`` are those read so far; :meth:`refresh` reads what others have added. ``notes`` state what was
    lost, one sentence each.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: tuple[Entry, ...] = ()
        self.notes: tuple[str, ...] = ()
        self._size = 0  # of the lines that were read, in bytes
        self.refresh()

    @property
    def last_id(self) -> int:
        """Id of the last entry, or 0."""
        return len(self.entries)

    def refresh(self) -> tuple[Entry, ...]:
        """Read the entries that others have added, and return them."""
        if not self.path.exists():
            return ()
        with _locked(self.path, os.O_RDONLY) as file:
            return self._read(file)

    def append(
        self,
        action: Action,
        *,
        by: str,
        base: str,
        at: datetime | None = None,
        expected_last_id: int | None = None,
    ) -> Entry:
        """Append an action; it is on the disk when this returns.

        Parameters
        ----------
        action
            The action.
        by
            Initials of the reader.
        base
            Hash of the automatic results that the reader saw.
        at
            The time; by default now.
        expected_last_id
            Id of the last entry that the reader saw; by default the last one that was read.

        Returns
        -------
        The entry.

        Raises
        ------
        EditConflictError
            If another window has changed the same beats or the same event meanwhile. Nothing is written.
        EditError
            If the action is not possible now, such as an edit of confirmed results, or if the log has fewer
            entries than the reader saw.
        """
        seen = self.last_id if expected_last_id is None else expected_last_id
        self.path.parent.mkdir(exist_ok=True)
        with _locked(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT) as file:
            self._read(file)
            if seen > self.last_id:  # the log was restored from a backup
                raise EditError("this window shows edits that the log does not have. Load the page again.")
            unseen = self.entries[seen:]
            if not all(is_independent(action, entry) for entry in unseen):
                raise EditConflictError(unseen)
            check_possible(action, self.entries)
            self._set_damage_aside(file)
            stamp = (at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds")
            entry = Entry(self.last_id + 1, stamp, by, base, action)
            self._write(file, entry.to_line())
            self.entries = (*self.entries, entry)
        return entry

    def _read(self, file: int) -> tuple[Entry, ...]:
        """Read the entries after those known; a damaged end is left out, and noted."""
        size = os.fstat(file).st_size
        if size < self._size:
            raise DamagedLogError(f"{self.path}: shorter than it was. Restore it from a backup.")
        *lines, end = _read_from(file, self._size).split(b"\n")
        entries = []
        for number, line in enumerate(lines):
            entry = _entry(line)
            if entry is None or entry.id != self.last_id + number + 1:
                if unknown := _unknown(line):
                    raise DamagedLogError(
                        f"{self.path}: this version of ectopy does not know {printable(unknown)}. "
                        "Use the version that wrote it."
                    )
                self._check_end(lines[number + 1 :], self.last_id + number + 1)
                break
            entries.append(entry)
            self._size += len(line) + 1
        self.entries = (*self.entries, *entries)
        if size > self._size and not self.notes:
            n_lost = max(1, sum(bool(line.strip()) for line in [*lines[len(entries) :], end]))
            lost = "the last edit is" if n_lost == 1 else f"the last {n_lost:,} edits are"
            self.notes = (f"{self.path.name}: its end was damaged, so {lost} lost",)
        return tuple(entries)

    def _check_end(self, lines: Sequence[bytes], number: int) -> None:
        """Check that no entry follows a damaged line: then it is not the end that a crash has damaged."""
        if any(_entry(line) for line in lines):
            raise DamagedLogError(
                f"{self.path}: line {number} is damaged, but not the last. Restore it from a backup."
            )

    def _set_damage_aside(self, file: int) -> None:
        """Move a damaged end to another file, so that entries can follow."""
        size = os.fstat(file).st_size
        if size > self._size:
            with self.path.with_name(f"{self.path.name}.damaged").open("ab") as kept:
                kept.write(_read_from(file, self._size))
            os.ftruncate(file, self._size)

    def _write(self, file: int, line: bytes) -> None:
        """Write a line and wait until it is on the disk; after an error, none of it is left."""
        try:
            _write_all(file, line)
            os.fsync(file)
            if not self._size:  # a new file: its name must last too
                fsync_path(self.path.parent)
                fsync_path(self.path.parent.parent)
        except OSError:
            os.ftruncate(file, self._size)
            raise
        self._size += len(line)


def _write_all(file: int, line: bytes) -> None:
    if os.write(file, line) < len(line):
        raise OSError(errno.ENOSPC, "the disk is full. Free some space")


def _entry(line: bytes) -> Entry | None:
    """Read a line; return None if it is no entry."""
    with suppress(EditError):
        return Entry.from_line(line)
    return None


def _unknown(line: bytes) -> str:
    """Return what a newer version wrote in an entry, which is whole and not damaged; "" for other lines."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return ""
    action = values.get("action") if isinstance(values, dict) else None
    if not isinstance(action, str):
        return ""
    if action not in ACTIONS:
        return f"the action {action}"
    is_whole = values.keys() >= {"id", "at", "by", "base"}
    return f"all that {action} states" if is_whole and not _entry(line) else ""


def _read_from(file: int, start: int) -> bytes:
    """Read the bytes from ``start`` on; Windows has no ``os.pread``."""
    os.lseek(file, start, os.SEEK_SET)
    return os.read(file, os.fstat(file).st_size - start)


@contextmanager
def _locked(path: Path, flags: int) -> Iterator[int]:
    """Open a file and lock it, except on Windows: for others too if it is only read."""
    file = os.open(path, flags | _BINARY, _MODE)
    try:
        with suppress(ImportError):
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX if flags & os.O_RDWR else fcntl.LOCK_SH)
        yield file
    finally:
        os.close(file)
