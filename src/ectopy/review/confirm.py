"""Confirm the results of a review: the files of ``OUT/<recording>.review/confirmed/``."""

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ectopy.batch.ledger import TABLE_FILE
from ectopy.batch.results import BusyError, atomic_directory, lock_output, write_summary
from ectopy.batch.reviews import CHANGES_FILE, CONFIRMED, has_files
from ectopy.report import write_outputs
from ectopy.report.confirmation import Confirmation
from ectopy.report.fhir import MissingLibraryError, require_library
from ectopy.review.changes import Changes, changes_document, find_changes, review_seconds
from ectopy.review.edits import Confirm, Entry
from ectopy.review.history import history
from ectopy.review.log import EditLog
from ectopy.review.recordings import StoredResult
from ectopy.review.state import replay

logger = logging.getLogger(__name__)

REOPENED = "reopened"
"""Begin of the names of folders whose files were confirmed once, and then reopened."""


def confirm(  # noqa: PLR0913 - each has a default
    result: StoredResult,
    log: EditLog,
    *,
    by: str,
    at: datetime | None = None,
    seconds: float | None = None,
    expected_last_id: int | None = None,
) -> Entry:
    """Confirm the results of a recording as the log leaves them, and write them.

    The files replace those that were confirmed before, all of them or none. Nothing is confirmed unless they
    could be written. A process may die between the entry of the log and the files; then
    :func:`settle_confirmation` writes them.

    Parameters
    ----------
    result
        The automatic results.
    log
        The log of the review.
    by
        Initials of the reader.
    at
        The time; by default now.
    seconds
        How long the review took; by default it is estimated from the log.
    expected_last_id
        Id of the last entry that the reader saw; by default the last one that was read.

    Returns
    -------
    The entry of the log.

    Raises
    ------
    EditError, EditConflictError
        As :meth:`ectopy.review.log.EditLog.append`.
    BusyError
        If another process is confirming the same recording.
    """
    at = (at or datetime.now(UTC)).astimezone(UTC)
    seconds = review_seconds(log.entries) if seconds is None else seconds
    seen = log.last_id if expected_last_id is None else expected_last_id
    changes = find_changes(replay(result.analysis, log.entries, base=result.base))
    confirmation = _confirmation(changes, by, at.isoformat(timespec="milliseconds"))
    with (
        lock_output(result.review_folder),
        atomic_directory(result.review_folder / CONFIRMED) as folder,
    ):
        _write(folder, result, changes, confirmation, seconds)
        entry = log.append(Confirm(seconds), by=by, base=result.base, at=at, expected_last_id=seen)
    _renew_index(result.out)
    return entry


def settle_confirmation(result: StoredResult, entries: Sequence[Entry]) -> bool:
    """Have the confirmed files be what the log says.

    If a process died before they had their name, they are written; the log says what was confirmed, so they
    are the same. Results that were reopened are not final any more: their files get another name. Nothing is
    done while another process confirms, and nothing written if the recording has been scored again, with
    other results.

    Parameters
    ----------
    result
        The automatic results.
    entries
        The entries of the log.

    Returns
    -------
    Whether they were written.
    """
    entry = history(entries).confirmed
    if entry is None:
        _set_aside(result)
        return False
    if entry.base != result.base or has_files(result.review_folder, entry.at):
        return False
    assert isinstance(entry.action, Confirm)
    changes = find_changes(replay(result.analysis, entries[: entry.id - 1], base=result.base))
    with suppress(BusyError), lock_output(result.review_folder):
        with atomic_directory(result.review_folder / CONFIRMED) as folder:
            _write(folder, result, changes, _confirmation(changes, entry.by, entry.at), entry.action.seconds)
        _renew_index(result.out)
        return True
    return False


def _set_aside(result: StoredResult) -> None:
    """Rename the files of results that were reopened, by the time at which they were confirmed."""
    folder = result.review_folder / CONFIRMED
    if not folder.is_dir():
        return
    with suppress(BusyError), lock_output(result.review_folder):
        with suppress(OSError, ValueError, KeyError):
            at = str(read_changes(folder)["confirmed_at"]).replace(":", "")  # which Windows refuses in names
            folder.rename(folder.with_name(f"{REOPENED}-{at}"))
        _renew_index(result.out)


def _confirmation(changes: Changes, by: str, at: str) -> Confirmation:
    events = changes.state.events
    starts = {item.event: item.strip_start for item in events if item.counts and item.strip_start is not None}
    return Confirmation(by, at, changes.sentences(), changes.comments(), starts)


def _write(
    folder: Path, result: StoredResult, changes: Changes, confirmation: Confirmation, seconds: float
) -> None:
    write_outputs(
        folder,
        changes.state.analysis,
        result.provenance,
        fhir=_can_write_fhir(),
        mark_text=True,  # the automatic results hold the texts only if they were asked for
        confirmation=confirmation,
    )
    document = changes_document(changes, confirmation, seconds=seconds)
    document["model_id"] = result.provenance["model_id"]
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / CHANGES_FILE).write_text(text + "\n", encoding="utf-8")


def _can_write_fhir() -> bool:
    try:
        require_library()
    except MissingLibraryError as error:
        logger.warning("no fhir.json is written. %s", error)
        return False
    return True


def _renew_index(out: Path) -> None:
    """Write summary.csv and index.html again; a run that is writing, and that of an inbox, will do it."""
    if not (out / TABLE_FILE).exists():
        with suppress(BusyError), lock_output(out):
            write_summary(out, ())


def read_changes(folder: Path) -> Mapping[str, Any]:
    """Read the ``changes.json`` of a folder of confirmed results."""
    changes: Mapping[str, Any] = json.loads((folder / CHANGES_FILE).read_text(encoding="utf-8"))
    return changes
