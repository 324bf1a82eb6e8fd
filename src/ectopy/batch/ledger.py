"""Status of each recording of an inbox, in one SQLite file whose transactions are atomic."""

import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from ectopy.batch.results import set_aside

logger = logging.getLogger(__name__)

TABLE_FILE = ".inbox.db"
_LATEST_S = 1e11  # the year 5138; damaged times are beyond


class LedgerError(OSError):
    """A ledger that cannot be read or written because of the machine, such as a full disk."""


class Status(StrEnum):
    """Status of a file or recording. Only WAITING ones are scored, and only BAD ones are quarantined."""

    WAITING = "waiting"
    SCORED = "scored"
    BAD = "bad"
    QUARANTINED = "quarantined"
    OTHER = "other"


class Entry(NamedTuple):
    """A recording, or another file of the inbox.

    ``path`` is the path or address that results state. ``files`` are names relative to the inbox. ``stamp``
    changes when any of the files changes. ``first_seen_s`` is when this stamp was first seen, in seconds
    since 1970. ``reason`` is why it has no result. ``crashes`` counts the processes that died while they
    scored it. ``name`` is that of its results.
    """

    path: str
    files: tuple[str, ...]
    stamp: str
    first_seen_s: float
    status: Status = Status.WAITING
    reason: str = ""
    crashes: int = 0
    name: str = ""


# The column names are those of version 0.1: existing files keep working.
_TABLE = """
CREATE TABLE IF NOT EXISTS recordings (
    path TEXT PRIMARY KEY, files TEXT NOT NULL, stamp TEXT NOT NULL, seen_s REAL NOT NULL,
    status TEXT NOT NULL, reason TEXT NOT NULL, deaths INTEGER NOT NULL, name TEXT NOT NULL
) STRICT
"""
_COLUMNS = [
    (name, int(name == "path"))
    for name in ("path", "files", "stamp", "seen_s", "status", "reason", "deaths", "name")
]
"""Names of the columns, each with 1 if it is the key."""
_UPSERT = """
INSERT INTO recordings VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (path) DO UPDATE SET files = excluded.files, stamp = excluded.stamp, seen_s = excluded.seen_s,
    status = excluded.status, reason = '', deaths = 0
WHERE stamp <> excluded.stamp OR (status = 'other') <> (excluded.status = 'other')
"""


# Codes of SQLite for a file that is no database, a damaged one, or one with another table.
_DAMAGED = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


@contextmanager
def open_ledger(folder: Path) -> Iterator["Ledger"]:
    """Open the ledger of a folder of results; create it if it does not exist or is damaged.

    A damaged one is kept under another name. Raises :class:`LedgerError` if the disk or the system is at
    fault.
    """
    path = folder / TABLE_FILE
    with _machine_errors(path):
        if path.exists() and _is_damaged(path):
            path.with_name(f"{TABLE_FILE}-journal").unlink(missing_ok=True)  # it would damage the new one
            set_aside(path)
        with closing(sqlite3.connect(path)) as table:
            table.execute(_TABLE)
            ledger = Ledger(table)
            ledger.drop_damaged()
            yield ledger


def _is_damaged(path: Path) -> bool:
    if not path.is_file():
        return True
    try:
        with closing(sqlite3.connect(path)) as table:
            table.execute(_TABLE)
            columns = [(name, key) for _, name, *_, key in table.execute("PRAGMA table_info(recordings)")]
            table.execute("SELECT * FROM recordings").fetchall()
            return columns != _COLUMNS or table.execute("PRAGMA quick_check(1)").fetchone() != ("ok",)
    except sqlite3.DatabaseError as error:
        code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)  # text that is no UTF-8 has none
        if code & 0xFF in _DAMAGED:  # the lower byte is the code, the rest its details
            return True
        raise


@contextmanager
def _machine_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise LedgerError(f"{path}: {error}. Check the disk and who else has the file open.") from error


class Ledger:
    """The table of recordings. Each method is one transaction."""

    def __init__(self, table: sqlite3.Connection) -> None:
        self._table = table

    def drop_damaged(self) -> None:
        """Drop the rows that are no entries; their recordings are looked at again."""
        damaged = []
        for rowid, *row in self._table.execute("SELECT rowid, * FROM recordings"):
            try:
                _entry(*row)
            except (TypeError, ValueError, RecursionError):
                damaged.append((rowid,))
        if damaged:
            logger.warning(
                "%s: dropped %d damaged rows; their files are looked at again", TABLE_FILE, len(damaged)
            )
            with self._table as table:
                table.executemany("DELETE FROM recordings WHERE rowid = ?", damaged)

    def forget(self, paths: Iterable[str]) -> None:
        """Remove the entries with these paths."""
        with self._table as table:
            table.executemany("DELETE FROM recordings WHERE path = ?", [(path,) for path in paths])

    def update(self, entries: Iterable[Entry]) -> None:
        """Add new entries and replace changed ones; entries with the same stamp keep their status."""
        with self._table as table:
            table.executemany(
                _UPSERT, [(entry.path, json.dumps(entry.files), *entry[2:]) for entry in entries]
            )

    def entries(self, *statuses: Status) -> list[Entry]:
        """Return the entries with these statuses; recordings that crashed a process come last."""
        marks = ", ".join("?" * len(statuses))
        query = f"SELECT * FROM recordings WHERE status IN ({marks}) ORDER BY deaths, path"  # noqa: S608
        return [_entry(*row) for row in self._table.execute(query, statuses)]

    def entry(self, path: str) -> Entry:
        """Return the entry of a recording, which must exist."""
        return _entry(*self._table.execute("SELECT * FROM recordings WHERE path = ?", (path,)).fetchone())

    def set_names(self, names: Iterable[tuple[str, str]]) -> None:
        """Record the names of results, given as pairs of path and name."""
        with self._table as table:
            values = [(name, path) for path, name in names]
            table.executemany("UPDATE recordings SET name = ? WHERE path = ?", values)

    def set_status(self, path: str, status: Status, reason: str = "") -> None:
        """Record the new status of a recording.

        Parameters
        ----------
        path
            The path of its entry.
        status
            The new status.
        reason
            Why it has no result, if it has none.
        """
        with self._table as table:
            command = (
                "UPDATE recordings SET status = ?1, reason = ?2 "
                "WHERE path = ?3 AND (status <> ?1 OR reason <> ?2)"  # the file changes only if an entry does
            )
            table.execute(command, (status, reason, path))

    def count_crash(self, name: str, reason: str) -> None:
        """Count a crash against a waiting recording.

        Parameters
        ----------
        name
            The name of its results.
        reason
            What happened.
        """
        with self._table as table:
            command = (
                "UPDATE recordings SET deaths = deaths + 1, reason = ? WHERE name = ? AND status = 'waiting'"
            )
            table.execute(command, (reason, name))


def _entry(path: str, files: str, *others: Any) -> Entry:
    names = tuple(json.loads(files))
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{files}: not the names of files")
    entry = Entry(path, names, *others)
    if not 0 <= entry.first_seen_s < _LATEST_S:
        raise ValueError(f"{entry.first_seen_s}: not a time")
    return entry._replace(status=Status(entry.status))
