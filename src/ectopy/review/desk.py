"""The desk of a reader: the recordings of a folder of results, and the one or two that lie open on it."""

import logging
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

from ectopy.batch.results import earlier_result
from ectopy.batch.reviews import LOG_FILE, has_files, review_folder
from ectopy.review.background import (
    BackgroundCount,
    read_count,
)
from ectopy.review.edits import (
    Entry,
)
from ectopy.review.history import history
from ectopy.review.log import DamagedLogError, EditLog
from ectopy.review.open_review import OpenReview
from ectopy.review.recordings import open_result, result_names
from ectopy.review.state import ReviewStatus, review_status
from ectopy.rhythm.wording import Urgency
from ectopy.row_findings import findings_of

logger = logging.getLogger(__name__)

MOST_HOURS_COUNTED = 100.0
"""Hours of signal in which questions are counted in the background, from the most urgent recording on."""
_A_WHILE_S = 1.0
MOST_OPEN = 2
"""Recordings that are in memory at once."""


class UnknownRecordingError(ValueError):
    """A name that is none of the recordings."""


class Desk:
    """The recordings of a folder of results.

    Parameters
    ----------
    out
        The folder, as ``ectopy score`` wrote it.
    follows
        Whether beats that nobody has labelled follow the answers on similar beats.
    originals
        A folder of originals, if they are not where they were scored.
    """

    def __init__(self, out: Path, *, follows: bool = True, originals: Path | None = None) -> None:
        self.out = out
        self._originals = originals
        self._follows = follows
        self._open: OrderedDict[str, tuple[tuple[int, ...], OpenReview]] = OrderedDict()
        self._statuses: dict[Path, tuple[tuple[int, int], tuple[ReviewStatus, Entry | None, int]]] = {}
        self._tried: set[str] = set()
        self._hours_to_count = MOST_HOURS_COUNTED
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Return the names of the recordings."""
        return result_names(self.out)

    def open(self, name: str) -> OpenReview:
        """Return a recording, opened anew if it has been scored again.

        Parameters
        ----------
        name
            One of :meth:`names`; it never becomes part of a path before it has been found there.

        Returns
        -------
        The recording with its edits.

        Raises
        ------
        UnknownRecordingError
            If there is none of this name.
        """
        with self._lock:
            if name not in self._open and name not in self.names():
                raise UnknownRecordingError(f"There is no recording of this name in {self.out}.")
            stamp = self._stamp(name)
            known = self._open.get(name)
            if known is None or known[0] != stamp:
                stored = open_result(self.out, name, verify=False, originals=self._originals)
                known = stamp, OpenReview(stored, follows=self._follows)
                self._open[name] = known
            self._open.move_to_end(name)
            while len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)
            return known[1]

    def _stamp(self, name: str) -> tuple[int, ...]:
        """Return what changes when a recording is scored again, or its original comes or goes."""
        status = (self.out / name / "summary.json").stat()
        return status.st_mtime_ns, status.st_ino

    def rows(self) -> list[dict[str, Any]]:
        """Return what the work list shows of each recording."""
        with self._lock:
            opened = {name: review for name, (_, review) in self._open.items()}
        return [row for name in self.names() if (row := self._row(name, opened.get(name)))]

    def _row(self, name: str, review: OpenReview | None) -> dict[str, Any] | None:
        earlier = earlier_result(self.out / name)
        if earlier is None:
            return None
        folder = review_folder(self.out, name)
        status, confirmed, last_id = self._status(folder / LOG_FILE)
        if confirmed and not has_files(folder, confirmed.at):
            status = ReviewStatus.IN_REVIEW  # opening it writes the files that are missing
        row, found = earlier.row, findings_of(earlier.row)
        n_open = review.n_open if review else None
        if status == ReviewStatus.CONFIRMED:
            n_open = 0
        elif n_open is None:
            n_open = read_count(self.out / name, last_id=last_id)
        return {
            "name": name,
            "status": status,
            "confirmed_by": confirmed.by if confirmed and status == ReviewStatus.CONFIRMED else "",
            "urgency": found[0][0] if found else "",
            "findings": [{"urgency": urgency, "text": text} for urgency, text in found],
            "n_decisions": n_open,
            "n_beats": _whole(row["n_beats"]),
            "veb_pct": _number(row["veb_burden_pct"]),
            "sveb_pct": _number(row["sveb_burden_pct"]),
            "af_pct": _number(row["af_burden_pct"]),
            "hours": (_number(row["duration_s"]) or 0.0) / 3600,
        }

    def _status(self, log: Path) -> tuple[ReviewStatus, Entry | None, int]:
        """Return how far a review is, the entry that confirmed it, and the last id; read only what is new."""
        try:
            stamp = (log.stat().st_mtime_ns, log.stat().st_size) if log.exists() else (0, 0)
            if self._statuses.get(log, ((), None))[0] != stamp:
                entries = EditLog(log).entries
                past = history(entries)
                self._statuses[log] = stamp, (review_status(past, len(entries)), past.confirmed, len(entries))
            return self._statuses[log][1]
        except (DamagedLogError, OSError) as error:  # opening it gives the reason; the others can be reviewed
            logger.warning("%s: cannot be read (%s)", log.name, type(error).__name__)
            return ReviewStatus.IN_REVIEW, None, 0

    def count_in_background(self) -> BackgroundCount:
        """Count the open questions on recordings that nobody has opened, the most urgent first."""
        return BackgroundCount(self._next_uncounted, originals=self._originals)

    def _next_uncounted(self) -> Path | None:
        """Return the results whose questions are to be counted next; None after so many hours of signal."""
        with self._lock:
            opened = {name: review for name, (_, review) in self._open.items()}
        while any(review.is_preparing for review in opened.values()):
            time.sleep(_A_WHILE_S)  # somebody waits for those clusters
        rows = [row for row in self.rows() if row["n_decisions"] is None and row["name"] not in opened]
        rows = [row for row in rows if row["name"] not in self._tried]
        if not rows or self._hours_to_count <= 0:
            return None
        row = max(rows, key=lambda row: (_rank(row["urgency"]), row["veb_pct"] or 0.0))
        self._tried.add(row["name"])
        self._hours_to_count -= row["hours"]
        return self.out / str(row["name"])


def _rank(urgency: str) -> int:
    return Urgency[urgency.upper()] if urgency else -1


def _number(value: object) -> float | None:
    return None if value is None or value == "" else float(str(value))


def _whole(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)
