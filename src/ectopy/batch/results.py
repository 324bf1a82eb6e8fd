"""Results on disk: one folder per recording, ``summary.csv`` and ``index.html``; written atomically."""

import csv
import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple, TypeAlias

logger = logging.getLogger(__name__)

SummaryRow: TypeAlias = dict[str, object]
"""One recording in ``summary.csv``, by column."""


class EarlierResult(NamedTuple):
    """The row of a recording in ``summary.csv`` and its provenance, as an earlier run wrote them."""

    row: SummaryRow
    provenance: dict[str, object]


class BusyError(ValueError):
    """A folder of results that another run is writing to."""


@contextmanager
def lock_output(out: Path) -> Iterator[list[str]]:
    """Lock ``out`` for one run and remove what a killed run left behind.

    Yields the names of the recordings that the killed run was scoring.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _locked(out):
        interrupted = []
        for leftover in sorted(out.glob(".*.tmp-*")):
            logger.info("%s: removed; a killed run left it behind", leftover.name)
            name = leftover.name[1:].rpartition(".tmp-")[0]
            if leftover.is_file():
                leftover.unlink()
            elif leftover.name.endswith("-old") and not (out / name).exists():
                leftover.rename(out / name)  # killed after moving the old results, before moving the new
            else:
                shutil.rmtree(leftover)
                interrupted.append(name)
        yield interrupted


def earlier_rows(out: Path) -> list[SummaryRow]:
    """Return the rows of earlier runs: from the results themselves, and from the summary for failures."""
    listed = {str(row["recording"]): row for row in _read_summary(out / "summary.csv")}
    rows = {name: row for name, row in listed.items() if row["status"] == "failed"}
    for folder in sorted(path.parent for path in out.glob("[!.]*/summary.json")):
        if folder.name not in rows and (earlier := earlier_result(folder)):
            status = listed.get(folder.name, earlier.row)["status"]
            rows[folder.name] = earlier.row | {"status": status}
    return list(rows.values())


def write_summary(out: Path, rows: Iterable[SummaryRow]) -> list[SummaryRow]:
    """Write ``summary.csv`` and ``index.html`` of all results in a folder.

    Parameters
    ----------
    out
        The folder of results.
    rows
        The rows of this run; those of earlier runs are added.

    Returns
    -------
    All rows, sorted by name.
    """
    from ectopy.report import SUMMARY_COLUMNS, write_index

    by_name = {str(row["recording"]): row for row in [*earlier_rows(out), *rows]}
    ordered = [by_name[name] for name in sorted(by_name)]
    with atomic_file(out / "summary.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, SUMMARY_COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(ordered)
    with atomic_file(out / "index.html") as path:
        write_index(path, ordered)
    return ordered


def earlier_result(folder: Path) -> EarlierResult | None:
    """Read the ``summary.json`` of a folder; return None if ectopy did not write it for this folder.

    An earlier version of ectopy, or somebody, may have written fewer columns; these are empty.
    """
    from ectopy.report import SUMMARY_COLUMNS

    with suppress(OSError, ValueError, KeyError, TypeError):
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        if summary["row"]["recording"] == folder.name:
            row = dict.fromkeys(SUMMARY_COLUMNS, "") | summary["row"]
            return EarlierResult(row, dict(summary["provenance"]))
    return None


def _read_summary(path: Path) -> list[SummaryRow]:
    """Read the rows of a ``summary.csv``; one that was edited may lack columns, which are then empty."""
    from ectopy.report import SUMMARY_COLUMNS

    if not path.is_file():
        return []
    empty: SummaryRow = dict.fromkeys(SUMMARY_COLUMNS, "")
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if {"recording", "path", "status"} <= row.keys()]
    return [empty | row for row in rows]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder, except on Windows; the system releases the lock when the process ends."""
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
        raise BusyError(
            f"{folder}: another run is writing its results there. Wait for its end or choose another folder."
        ) from error
    finally:
        os.close(handle)


@contextmanager
def atomic_directory(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder, which replaces ``folder`` when the block ends without an error."""
    temporary = folder.with_name(f".{folder.name}.tmp-{token_hex(4)}")
    old = folder.with_name(f"{temporary.name}-old")
    temporary.mkdir()
    try:
        yield temporary
        for file in [*temporary.iterdir(), temporary]:
            fsync_path(file)
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
        fsync_path(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def fsync_path(path: Path) -> None:
    """Wait until a file or folder is on the disk; otherwise a name could appear before its content."""
    if os.name != "posix":  # Windows cannot open a folder
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file, which replaces ``path`` when the block ends without an error."""
    temporary = path.with_name(f".{path.name}.tmp-{token_hex(4)}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
