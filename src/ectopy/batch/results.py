"""Results on disk."""

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


class _Earlier(NamedTuple):
    row: SummaryRow
    provenance: SummaryRow


class BusyError(ValueError):
    """A directory that another run is writing its results to."""


@contextmanager
def lock_output(out: Path) -> Iterator[list[str]]:
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


def earlier_rows(out: Path) -> list[SummaryRow]:
    """Give a row for all that lies in ``out``, from the results themselves, and for what failed."""
    listed = {str(row["recording"]): row for row in _listed(out / "summary.csv")}
    rows = {name: row for name, row in listed.items() if row["status"] == "failed"}
    for folder in sorted(path.parent for path in out.glob("[!.]*/summary.json")):
        if folder.name not in rows and (earlier := earlier_result(folder)):
            status = listed.get(folder.name, earlier.row)["status"]
            rows[folder.name] = earlier.row | {"status": status}
    return list(rows.values())


def write_summary(out: Path, rows: Iterable[SummaryRow]) -> list[SummaryRow]:
    """Write summary.csv and index.html over all of ``out``: these rows, and those of earlier runs."""
    from ectopy.report import SUMMARY_COLUMNS, write_index

    every = {str(row["recording"]): row for row in [*earlier_rows(out), *rows]}
    ordered = [every[name] for name in sorted(every)]
    with atomic_file(out / "summary.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, SUMMARY_COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(ordered)
    with atomic_file(out / "index.html") as path:
        write_index(path, ordered)
    return ordered


def earlier_result(folder: Path) -> _Earlier | None:
    """Read what a summary.json says of its folder; None where there is none, or one that is not ours."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        if summary["row"]["recording"] == folder.name:
            return _Earlier(summary["row"], dict(summary["provenance"]))
    return None


def _listed(path: Path) -> list[SummaryRow]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [dict(row) for row in csv.DictReader(file) if {"recording", "path", "status"} <= row.keys()]


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
def atomic_directory(folder: Path) -> Iterator[Path]:
    """Give a folder to write to, which becomes ``folder`` once all is written."""
    temporary = folder.with_name(f".{folder.name}.tmp-{token_hex(4)}")
    temporary.mkdir()
    try:
        yield temporary
        for file in [*temporary.iterdir(), temporary]:
            fsync_path(file)
        if folder.exists():
            folder.rename(folder.with_name(f"{temporary.name}-old"))
        temporary.rename(folder)
        fsync_path(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(folder.with_name(f"{temporary.name}-old"), ignore_errors=True)


def fsync_path(path: Path) -> None:
    """Wait until a file or a folder is on the disk: a name may be there before what it names."""
    if os.name != "posix":  # Windows opens no folder
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a file to write to, which becomes ``path`` once all is written."""
    temporary = path.with_name(f".{path.name}.tmp-{token_hex(4)}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
