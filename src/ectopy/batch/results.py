"""Results on disk: one folder per recording, ``summary.csv`` and ``index.html``; written atomically.

In a folder of results, ectopy replaces its own files only; all others stay. What is being written lies in the
private folder ``.ectopy-tmp``. So nothing else can be taken for a leftover of a killed run.
"""

import csv
import json
import logging
import math
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from ectopy.report.index import OpenFile

from ectopy.batch.reviews import SCORED_AGAIN, review_of
from ectopy.printable import printable, table_cell, text_of_cell

logger = logging.getLogger(__name__)

SummaryRow: TypeAlias = dict[str, object]
"""One recording in ``summary.csv``, by column."""

PRIVATE_FOLDER = ".ectopy-tmp"
_LEFTOVER = re.compile(r"(?P<name>.+)\.(?P<token>[0-9a-f]{8})\.(?P<kind>new|old)")
_READING = ".reading"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_TEXT_COLUMNS = frozenset(
    {"recording", "path", "status", "reason", "findings", "model", "input_sha256", "notes", "review"}
    | {"start", "rhythm"}
)


class EarlierResult(NamedTuple):
    """The row of a recording in ``summary.csv`` and its provenance, as an earlier run wrote them."""

    row: SummaryRow
    provenance: dict[str, object]


class BusyError(ValueError):
    """A folder of results that another run is writing to."""


@contextmanager
def lock_output(out: Path) -> Iterator[list[str]]:
    """Lock ``out`` for one run and remove what a killed run left behind.

    Yields the names of the recordings that the killed run was reading.
    """
    out.mkdir(parents=True, exist_ok=True)
    with lock_folder(out):
        private = _private_folder(out)
        _clear(private, out)
        try:
            yield _interrupted(private)
        finally:
            with suppress(OSError):  # a worker of another machine may still use it
                private.rmdir()


def _clear(private: Path, out: Path) -> None:
    """Remove half-written results; complete a replacement that was begun."""
    for leftover in sorted(private.iterdir(), reverse=True):  # old results before new ones
        if not (match := _LEFTOVER.fullmatch(leftover.name)):
            continue
        logger.info("%s: removed; a killed run left it behind", leftover.name)
        folder = out / match["name"]
        if match["kind"] == "old" and folder.exists():
            _discard_old(leftover, folder)
        elif match["kind"] == "old":
            leftover.rename(folder)  # killed after moving the old results, before moving the new
        elif leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def _interrupted(private: Path) -> list[str]:
    """Remove the marks of :func:`reading`; return the names, unless the machine has been started since."""
    names = []
    for mark in sorted(private.glob(f"*{_READING}")):
        if mark.read_text(encoding="utf-8") == _boot_id():
            names.append(mark.name.removesuffix(_READING))
        mark.unlink()
    return names


@contextmanager
def reading(out: Path, name: str) -> Iterator[None]:
    """Mark a recording as being read, so that the death of the process is known to be its fault.

    Parameters
    ----------
    out
        The folder of results.
    name
        The name of the result.

    Yields
    ------
    Nothing; the mark is removed at the end, also after an error.
    """
    mark = _private_folder(out) / f"{name}{_READING}"
    mark.write_text(_boot_id(), encoding="utf-8")
    try:
        yield
    finally:
        mark.unlink(missing_ok=True)


def remove_leftovers(out: Path, name: str) -> bool:
    """Remove what a process that died left behind.

    Parameters
    ----------
    out
        The folder of results.
    name
        The name of the result.

    Returns
    -------
    Whether it had begun to read the recording.
    """
    private = _private_folder(out)
    for leftover in private.iterdir():
        match = _LEFTOVER.fullmatch(leftover.name)
        if match and (match["name"], match["kind"]) == (name, "new"):
            shutil.rmtree(leftover, ignore_errors=True)
    mark = private / f"{name}{_READING}"
    was_reading = mark.exists()
    mark.unlink(missing_ok=True)
    return was_reading


def _boot_id() -> str:
    """Return an id that changes when the machine starts; "" where the system has none."""
    return _BOOT_ID.read_text(encoding="utf-8") if _BOOT_ID.exists() else ""


def _private_folder(out: Path) -> Path:
    """Return the private folder; ``out`` must exist, because a disk that is gone must not be made anew."""
    private = out / PRIVATE_FOLDER
    private.mkdir(exist_ok=True)
    return private


def earlier_rows(out: Path) -> list[SummaryRow]:
    """Return the rows of earlier runs: from the results themselves, and from the summary for failures.

    Results whose ``summary.json`` is damaged are a failure too, so that they do not vanish in silence.
    """
    listed = {str(row["recording"]): row for row in _read_summary(out / "summary.csv")}
    rows = {name: row for name, row in listed.items() if row["status"] == "failed"}
    for folder in sorted(path.parent for path in out.glob("[!.]*/summary.json")):
        if folder.name in rows:
            continue
        if earlier := earlier_result(folder):
            status = listed.get(folder.name, earlier.row)["status"] or "scored"
            rows[folder.name] = earlier.row | {"status": status}
        elif (folder / f"{folder.name}.ectopy").is_file():
            rows[folder.name] = _damaged_result(folder.name, listed.get(folder.name, {}))
    return list(rows.values())


def _damaged_result(name: str, listed: SummaryRow) -> SummaryRow:
    reason = f"{name}/summary.json: damaged. Score the recording again"
    return failed_row(name, str(listed.get("path", "")), reason)


def failed_row(name: str, path: str, reason: str) -> SummaryRow:
    """Return a row without metrics.

    Parameters
    ----------
    name
        The name of the result.
    path
        The path that the summary states.
    reason
        Why the recording could not be scored.

    Returns
    -------
    The row of the summary.
    """
    return _empty_row() | {"recording": name, "path": path, "status": "failed", "reason": reason}


def write_summary(
    out: Path,
    rows: Iterable[SummaryRow],
    *,
    replaced: Iterable[str] = (),
    open_files: "Sequence[OpenFile]" = (),
) -> list[SummaryRow]:
    """Write ``summary.csv`` and ``index.html`` of all results in a folder.

    Parameters
    ----------
    out
        The folder of results.
    rows
        The rows of this run; those of earlier runs are added.
    replaced
        Paths whose earlier rows are left out.
    open_files
        Files of an inbox that have no result, for the page.

    Returns
    -------
    All rows, sorted by name.
    """
    from ectopy.report import SUMMARY_COLUMNS, write_index

    left_out = set(replaced)
    earlier = [row for row in earlier_rows(out) if row["path"] not in left_out]
    by_name = {str(row["recording"]): row for row in [*earlier, *rows]}
    ordered = [by_name[name] | {"review": review_of(out, name)} for name in sorted(by_name)]
    for row in ordered:
        if SCORED_AGAIN in str(row["review"]) and row["status"] == "scored":
            logger.warning("%s: %s. The confirmed report stays as it is.", row["recording"], row["review"])
    with atomic_file(out / "summary.csv") as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, SUMMARY_COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: table_cell(value) for name, value in row.items()} for row in ordered)
    with atomic_file(out / "index.html") as path:
        names = {str(row["recording"]) for row in ordered}
        with_pdf = frozenset(name for name in names if (out / name / "report.pdf").is_file())
        write_index(path, ordered, open_files, with_pdf=with_pdf)
    return ordered


def earlier_result(folder: Path) -> EarlierResult | None:
    """Read the ``summary.json`` of a folder; return None if ectopy did not write it for this folder.

    An earlier version of ectopy, or somebody, may have written fewer columns; these are empty. Values of
    another kind than those of their column make the whole file unusable.
    """
    path = folder / "summary.json"
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError):
        if path.is_file():  # opening a pipe would wait for ever
            summary = json.loads(path.read_text(encoding="utf-8"))
            stored = dict(summary["row"])
            row = {column: stored.get(column, "") for column in _empty_row()}
            if row["recording"] == folder.name and all(_is_valid(*item) for item in row.items()):
                return EarlierResult(row, dict(summary["provenance"]))
    return None


def _is_valid(column: str, value: object) -> bool:
    """Check that a value fits its column: text that can be written, or a finite number, or nothing."""
    if column in _TEXT_COLUMNS:
        return isinstance(value, str) and printable(value) == value
    if value is None or value == "":
        return True
    return isinstance(value, int | float | str) and math.isfinite(float(value))


def _read_summary(path: Path) -> list[SummaryRow]:
    """Read which recordings a ``summary.csv`` lists, with their status; set one aside that is damaged.

    Its other columns are those of the results, or empty for a failure. A name that is not one of ectopy's is
    left out, because results are written under it.
    """
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file, strict=True)
            rows = list(table)
        usable = {"recording", "path", "status"} <= set(table.fieldnames or ()) and not any(
            "\0" in str(value) for row in rows for value in row.values()
        )
    except (csv.Error, UnicodeDecodeError, IsADirectoryError):
        usable = False
    if not usable:
        set_aside(path)
        return []
    listed = [
        {name: text_of_cell(row.get(name) or "") for name in ("recording", "path", "status", "reason")}
        for row in rows
    ]
    return [_empty_row() | row for row in listed if _NAME.fullmatch(row["recording"])]


def _empty_row() -> SummaryRow:
    from ectopy.report import SUMMARY_COLUMNS

    return dict.fromkeys(SUMMARY_COLUMNS, "")


def set_aside(path: Path) -> None:
    """Rename a damaged file, so that another can be written; it is kept."""
    kept = path.with_name(
        f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{token_hex(2)}"
    )
    path.rename(kept)
    logger.warning("%s: damaged, so it is written again. The damaged file is kept as %s.", path, kept.name)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
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
    """Yield a temporary folder, whose files replace those of ectopy in ``folder`` when the block ends.

    Nothing is replaced if the block ends with an error. Files in ``folder`` that ectopy did not write stay.
    """
    private, token = _private_folder(folder.parent), token_hex(4)
    new, old = (private / f"{folder.name}.{token}.{kind}" for kind in ("new", "old"))
    new.mkdir()
    try:
        yield new
        # A disk that waits for several files at once waits once.
        list(_threads(os.getpid()).map(fsync_path, [*new.iterdir(), new]))
        _replace(folder, new, old)
    finally:
        shutil.rmtree(new, ignore_errors=True)


@cache
def _threads(_pid: int) -> ThreadPoolExecutor:
    """Return the threads of this process; those of a process that was forked stay behind."""
    return ThreadPoolExecutor(4)


def _replace(folder: Path, new: Path, old: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder}: a file, not a folder of results. Move it away.")
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except BaseException:
        if old.exists():
            old.rename(folder)
        raise
    if old.exists():
        _discard_old(old, folder)
    fsync_path(folder.parent)


def _discard_old(old: Path, folder: Path) -> None:
    """Move all files that ectopy did not write from the old results to the new ones; remove the others."""
    from ectopy.report import output_files

    if old.is_symlink():  # the results were moved elsewhere; they stay there
        old.unlink()
        return
    ours = output_files(folder.name)
    for entry in old.iterdir():
        if entry.name not in ours and not (folder / entry.name).exists():
            entry.rename(folder / entry.name)
    fsync_path(folder)
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
    temporary = _private_folder(path.parent) / f"{path.name}.{token_hex(4)}.new"
    try:
        yield temporary
        fsync_path(temporary)
        if path.is_dir():
            set_aside(path)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
