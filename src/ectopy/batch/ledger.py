"""Status of each recording of an inbox, in one SQLite file whose transactions are atomic."""

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE_FILE = ".inbox.db"


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
    since 1970. ``crashes`` counts the processes that died while they scored it. ``name`` is that of its
    results.
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
_UPSERT = """
INSERT INTO recordings VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (path) DO UPDATE SET files = excluded.files, stamp = excluded.stamp, seen_s = excluded.seen_s,
    status = excluded.status, reason = '', deaths = 0
WHERE stamp <> excluded.stamp OR (status = 'other') <> (excluded.status = 'other')
"""


@contextmanager
def open_ledger(folder: Path) -> "Iterator[Ledger]":
    """Open the ledger of a folder of results; create it if it does not exist."""
    with closing(sqlite3.connect(folder / TABLE_FILE)) as table:
        table.execute(_TABLE)
        yield Ledger(table)


class Ledger:
    """The table of recordings. Each method is one transaction."""

    def __init__(self, table: sqlite3.Connection) -> None:
        self._table = table

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
            Why it is bad, if it is.
        """
        with self._table as table:
            values = (status, reason, path)
            table.execute("UPDATE recordings SET status = ?, reason = ? WHERE path = ?", values)

    def count_crash(self, name: str) -> None:
        """Count a crash against the waiting recording whose results have this name."""
        with self._table as table:
            command = "UPDATE recordings SET deaths = deaths + 1 WHERE name = ? AND status = 'waiting'"
            table.execute(command, (name,))


def _entry(path: str, files: str, *others: Any) -> Entry:
    entry = Entry(path, tuple(json.loads(files)), *others)
    return entry._replace(status=Status(entry.status))
