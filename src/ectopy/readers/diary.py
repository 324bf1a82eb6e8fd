"""Read the diary of a patient: a table of times and texts, or the notes of a WFDB annotation file.

A table has a line of names with ``time`` and perhaps ``text``. Times are seconds from the start of the
recording, times of day (``14:05``, ``14:05:30``), or dates with times (ISO 8601). Times of day and dates are
those of the recorder's clock.
"""

import csv
import io
import math
import re
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from ectopy.annotations import read_annotations
from ectopy.ecg import Recording, UnreadableError
from ectopy.readers.marks import MOST_MARKS, Moment, add_marks
from ectopy.readers.validation import read_whole

SUFFIX: Final = ".diary.csv"
"""End of the name of a diary beside its recording: ``holter.diary.csv`` beside ``holter.edf``."""
_TABLES = (".csv", ".tsv", ".txt")
_TIMES, _TEXTS = ("time", "time_s", "onset"), ("text", "event", "symptom", "note")
_DELIMITERS = (",", ";", "\t")
_MOST_BYTES = 2**20
_DAY = timedelta(days=1)
_TIME_OF_DAY = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d{1,6})?))?")


def diary_path(path: Path) -> Path:
    """Return where the diary beside a recording would be."""
    return path.with_name(f"{path.stem}{SUFFIX}")


def diary_beside(path: Path) -> Path | None:
    """Return the diary beside a recording, or None.

    A link is none, unless the recording is a link too: whoever may add a link to a folder must not have
    other files read.
    """
    diary = diary_path(path)
    with suppress(OSError):  # a name that is too long, a folder that may not be entered
        if diary.is_file() and (path.is_symlink() or not diary.is_symlink()):
            return diary
    return None


def is_diary(path: Path) -> bool:
    """Return whether a file is a diary by its name."""
    return path.name.lower().endswith(SUFFIX)


def add_diary(recording: Recording, diary: Path, *, annotation_fs: float | None = None) -> Recording:
    """Add the marks of a diary to a recording.

    Parameters
    ----------
    recording
        The recording.
    diary
        A table (``.csv``, ``.tsv``, ``.txt``), else a WFDB annotation file, whose notes are read.
    annotation_fs
        Number of samples in a second by which a WFDB annotation file counts; by default the sampling rate.

    Returns
    -------
    The recording with these marks.

    Raises
    ------
    UnreadableError
        The diary cannot be read. The message names it.
    """
    if diary.suffix.lower() in _TABLES:
        moments = _read_table(diary, recording)
    else:
        moments = _read_notes(diary, annotation_fs or recording.fs)
    if len(moments) > MOST_MARKS:
        raise UnreadableError(f"{diary}: more than {MOST_MARKS} marks. Keep those of the patient only.")
    return add_marks(recording, moments, "diary")


def _read_notes(path: Path, fs: float) -> list[Moment]:
    """Return the notes of an annotation file that have a text; its beats and rhythms are not read."""
    annotations = read_annotations(path.with_suffix(""), path.suffix.removeprefix("."))
    notes = zip(annotations.sample.tolist(), annotations.symbol.tolist(), annotations.aux, strict=True)
    return [(sample / fs, text) for sample, symbol, text in notes if symbol == '"' and text.strip()]


def _read_table(path: Path, recording: Recording) -> list[Moment]:
    rows = read_rows(path, "diary", limit=_MOST_BYTES)
    names = [name.strip().lower() for name in rows[0]] if rows else []
    times = [column for column, name in enumerate(names) if name in _TIMES]
    texts = [column for column, name in enumerate(names) if name in _TEXTS]
    if not times:
        raise UnreadableError(
            f"{path}: the first line of a diary names no column time. Begin it with the line: time,text"
        )
    moments = []
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        cell = row[times[0]].strip() if times[0] < len(row) else ""
        text = row[texts[0]] if texts and texts[0] < len(row) else ""
        moments.append((_seconds(cell, recording, f"{path}: line {number}"), text))
    return moments


def read_rows(path: Path, what: str, *, limit: int, strict: bool = False) -> list[list[str]]:
    """Read the cells of a table; programs for offices also write semicolons, tabs and Windows-1252.

    Parameters
    ----------
    path
        The table.
    what
        What it is called in messages.
    limit
        Largest size of the file in bytes.
    strict
        Whether a quotation mark that is not closed is refused; else it takes in all rows that follow.

    Returns
    -------
    Its rows.
    """
    content = read_whole(path, limit=limit)
    if b"\0" in content:
        raise UnreadableError(f"{path}: a {what} is a table of text in UTF-8. Save it as CSV (UTF-8).")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    head = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=head.count)
    try:
        # Not splitlines: it also ends a row at characters such as U+2028, in the middle of a cell.
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict))
    except csv.Error as error:
        raise UnreadableError(
            f"{path}: the {what} is not a table ({error}). Save it as CSV (UTF-8)."
        ) from error


def _seconds(cell: str, recording: Recording, place: str) -> float:
    """Return the time of a cell in seconds from the start of the recording."""
    with suppress(ValueError):
        seconds = float(cell.replace(",", "."))
        if math.isfinite(seconds):
            return seconds
    time_of_day = _TIME_OF_DAY.fullmatch(cell)
    moment = _time_of_day(time_of_day) if time_of_day else _date_and_time(cell)
    if moment is None:
        raise UnreadableError(
            f"{place} has no valid time. "
            "Give seconds from the start, a time of day such as 14:05:30, or 2024-02-29 14:05:30."
        )
    if recording.start is None:
        raise UnreadableError(
            f"{place} has a time of day, but the start of the recording is not known. "
            "Give seconds from its start."
        )
    if isinstance(moment, datetime):
        return (moment - recording.start).total_seconds()
    if recording.duration_s > _DAY.total_seconds():
        raise UnreadableError(
            f"{place} has a time of day without its date, in a recording of more than a day. "
            "Give the date too, such as 2024-02-29 14:05:30."
        )
    midnight = recording.start.replace(hour=0, minute=0, second=0, microsecond=0)
    return ((midnight + moment - recording.start) % _DAY).total_seconds()


def _time_of_day(found: re.Match[str]) -> timedelta | None:
    hours, minutes, seconds = int(found[1]), int(found[2]), float(found[3] or 0)
    if hours > 23 or minutes > 59 or seconds >= 60:
        return None
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _date_and_time(cell: str) -> datetime | None:
    """Return a date with a time, without its time zone; a date alone is none."""
    with suppress(ValueError):
        if ":" in cell:
            return datetime.fromisoformat(cell).replace(tzinfo=None)
    return None
