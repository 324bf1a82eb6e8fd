"""How far the review of a recording is, as summary.csv and index.html state it."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ectopy.confirmed import AUTOMATIC, IN_REVIEW, confirmed_by

REVIEW_SUFFIX: Final = ".review"
"""End of the name of the folder of a review, beside that of the results; a name of results has no dot."""
LOG_FILE: Final = "edits.jsonl"
CONFIRMED: Final = "confirmed"
"""Folder of the confirmed results, in that of the review."""
CHANGES_FILE: Final = "changes.json"
SCORED_AGAIN: Final = "scored again since"
_LAST_BYTES = 4096  # the line of a confirmation is far shorter


def review_folder(out: Path, name: str) -> Path:
    """Return the folder of the review of some results.

    Parameters
    ----------
    out
        The folder of results.
    name
        The name of the recording there.

    Returns
    -------
    The folder, which need not exist.
    """
    return out / f"{name}{REVIEW_SUFFIX}"


def results_hash(folder: Path) -> str:
    """Compute the hash of what edits refer to: the beats and the events of some results."""
    digest = hashlib.sha256()
    for file in ("beats.parquet", "events.csv"):
        digest.update((folder / file).read_bytes())
    return digest.hexdigest()


def review_of(out: Path, name: str) -> str:
    """Return how far the review of a recording is.

    Parameters
    ----------
    out
        The folder of results.
    name
        The name of the recording there.

    Returns
    -------
    ``automatic``, ``in review``, or who confirmed it and when. It also says if the recording has been scored
    again since, with other results.
    """
    log = review_folder(out, name) / LOG_FILE
    if not log.is_file() or not log.stat().st_size:
        return AUTOMATIC
    last = _last_entry(log)
    by, at = str(last.get("by", "")), str(last.get("at", ""))
    if last.get("action") != "confirm" or not has_files(log.parent, at):
        return IN_REVIEW
    confirmed = confirmed_by(by, at)
    with suppress(OSError):
        if results_hash(out / name) != last.get("base"):
            confirmed += f", {SCORED_AGAIN}"
    return confirmed


def has_files(review: Path, at: str) -> bool:
    """Check whether the folder of a review has the files that were confirmed at a time.

    Parameters
    ----------
    review
        The folder of the review.
    at
        The time, as the entry of the log has it.

    Returns
    -------
    False if there are none, or those of an earlier confirmation: then the process died before it ended.
    """
    with suppress(OSError, ValueError, KeyError, TypeError):
        changes = json.loads((review / CONFIRMED / CHANGES_FILE).read_text(encoding="utf-8"))
        return bool(changes["confirmed_at"] == at)
    return False


def _last_entry(log: Path) -> dict[str, Any]:
    """Read the last line of a log if it may be a confirmation; return {} if it is longer or damaged."""
    with log.open("rb") as file:
        file.seek(-min(_LAST_BYTES, log.stat().st_size), os.SEEK_END)
        lines = file.read().splitlines()
    with suppress(ValueError):
        entry = json.loads(lines[-1])
        if isinstance(entry, dict):
            return entry
    return {}
