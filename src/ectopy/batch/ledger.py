"""What became of each recording of an inbox: a table in one file, of which no line is ever half written."""

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
    """What is to be done about a file or recording: only a waiting one is scored, only a bad one moved."""

    WAITING = "waiting"
    SCORED = "scored"
    BAD = "bad"
    QUARANTINED = "quarantined"
    OTHER = "other"


class Entry(NamedTuple):
    """A recording, or another file: by what results call it; ``files`` are names in the inbox.

    ``stamp`` changes with each of its files, ``seen_s`` is when it was first seen with this stamp, in s since
    1970; ``deaths`` counts processes that died while they worked on it, ``name`` is that of its results.
    """

    path: str
    files: tuple[str, ...]
    stamp: str
    seen_s: float
    status: Status = Status.WAITING
    reason: str = ""
    crashes: int = 0
    name: str = ""


_TABLE = """
CREATE TABLE IF NOT EXISTS recordings (
    path TEXT PRIMARY KEY, files TEXT NOT NULL, stamp TEXT NOT NULL, seen_s REAL NOT NULL,
    status TEXT NOT NULL, reason TEXT NOT NULL, deaths INTEGER NOT NULL, name TEXT NOT NULL
) STRICT
"""
_SEE = """
INSERT INTO recordings VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (path) DO UPDATE SET files = excluded.files, stamp = excluded.stamp, seen_s = excluded.seen_s,
    status = excluded.status, reason = '', deaths = 0
WHERE stamp <> excluded.stamp OR (status = 'other') <> (excluded.status = 'other')
"""


@contextmanager
def open_ledger(folder: Path) -> "Iterator[Ledger]":
    """Open the table of a folder of results, new where there is none."""
    with closing(sqlite3.connect(folder / TABLE_FILE)) as table:
        table.execute(_TABLE)
        yield Ledger(table)


class Ledger:
    """The table; each method leaves it whole on the disk."""

    def __init__(self, table: sqlite3.Connection) -> None:
        self._table = table

    def see(self, entries: Iterable[Entry]) -> None:
        """Note what is there; what is known and has not changed stays as it is."""
        with self._table as table:
            table.executemany(_SEE, [(entry.path, json.dumps(entry.files), *entry[2:]) for entry in entries])

    def entries(self, *statuses: Status) -> list[Entry]:
        """Give what has one of these statuses, what processes died on at last."""
        marks = ", ".join("?" * len(statuses))
        query = f"SELECT * FROM recordings WHERE status IN ({marks}) ORDER BY deaths, path"  # noqa: S608
        return [_entry(*row) for row in self._table.execute(query, statuses)]

    def entry(self, path: str) -> Entry:
        """Give the entry of a recording that was seen."""
        return _entry(*self._table.execute("SELECT * FROM recordings WHERE path = ?", (path,)).fetchone())

    def name(self, names: Iterable[tuple[str, str]]) -> None:
        """Note the names of results, by path."""
        with self._table as table:
            values = [(name, path) for path, name in names]
            table.executemany("UPDATE recordings SET name = ? WHERE path = ?", values)

    def settle(self, path: str, status: Status, reason: str = "") -> None:
        """Note what became of a recording."""
        with self._table as table:
            values = (status, reason, path)
            table.execute("UPDATE recordings SET status = ?, reason = ? WHERE path = ?", values)

    def count_crash(self, name: str) -> None:
        """Count the death of a process against the waiting recording that it was working on."""
        with self._table as table:
            counted = "UPDATE recordings SET deaths = deaths + 1 WHERE name = ? AND status = 'waiting'"
            table.execute(counted, (name,))


def _entry(path: str, files: str, *others: Any) -> Entry:
    entry = Entry(path, tuple(json.loads(files)), *others)
    return entry._replace(status=Status(entry.status))
