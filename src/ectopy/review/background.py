"""What takes long and nobody waits for: the clusters of recordings, and how many questions are open on them.

Both are computed in another process. So its memory is given back, and the pages get their answers at once.
Both are kept beside the log of the review, in files that may be deleted at any time.
"""

import json
import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from ectopy.batch.results import atomic_file
from ectopy.batch.reviews import review_folder
from ectopy.parallel.worker_pool import WorkerPool
from ectopy.review.clusters import find_clusters, load_clusters, save_clusters
from ectopy.review.decisions import next_decisions
from ectopy.review.log import EditLog
from ectopy.review.recordings import StoredResult, open_result
from ectopy.review.state import replay

logger = logging.getLogger(__name__)

CLUSTERS_FILE = "clusters.npz"
COUNT_FILE = "questions.json"
_LOWEST_PRIORITY = 19


def write_clusters(folder: Path, *, originals: Path | None = None) -> None:
    """Find the clusters of a recording and write them beside its results.

    Parameters
    ----------
    folder
        The folder of its results.
    originals
        A folder of originals, if they are not where they were scored.
    """
    _write_clusters(open_result(folder.parent, folder.name, originals=originals))


def _write_clusters(stored: StoredResult) -> None:
    analysis = stored.analysis
    clusters = find_clusters(analysis.recording, analysis.columns, analysis.beats)
    stored.review_folder.mkdir(exist_ok=True)
    save_clusters(stored.review_folder / CLUSTERS_FILE, clusters, stored.base)


def write_count(folder: Path, *, originals: Path | None = None) -> None:
    """Count the open questions on a recording and write their number; nothing if its signal is not there.

    Parameters
    ----------
    folder, originals
        As for :func:`write_clusters`.
    """
    if hasattr(os, "nice"):
        os.nice(_LOWEST_PRIORITY)
    stored = open_result(folder.parent, folder.name, originals=originals)
    if not stored.has_signal:
        return
    path = stored.review_folder / CLUSTERS_FILE
    if load_clusters(path, stored.base) is None:
        _write_clusters(stored)
    clusters = load_clusters(path, stored.base)
    assert clusters is not None
    entries = EditLog(stored.log_path).entries
    state = replay(stored.analysis, entries, base=stored.base)
    keep_count(folder, len(next_decisions(state, clusters)), last_id=state.last_id)


def keep_count(folder: Path, n_open: int, *, last_id: int) -> None:
    """Write how many questions are open on a recording, if that is possible.

    Parameters
    ----------
    folder
        The folder of its results.
    n_open
        The number.
    last_id
        Id of the last entry of its log.
    """
    path = review_folder(folder.parent, folder.name) / COUNT_FILE
    with suppress(OSError):  # it can be counted again
        path.parent.mkdir(exist_ok=True)
        with atomic_file(path) as new:
            new.write_text(json.dumps({"open": n_open, "after": [_scored_ns(folder), last_id]}) + "\n")


def read_count(folder: Path, *, last_id: int) -> int | None:
    """Read how many questions are open on a recording.

    Parameters
    ----------
    folder, last_id
        As for :func:`keep_count`.

    Returns
    -------
    The number; None if nobody has counted since the last edit and the last scoring.
    """
    path = review_folder(folder.parent, folder.name) / COUNT_FILE
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["after"] == [_scored_ns(folder), last_id]:
            return int(kept["open"])
    return None


def _scored_ns(folder: Path) -> int:
    return (folder / "summary.json").stat().st_mtime_ns


class BackgroundCount:
    """Counts open questions, one recording after the other, until none is left or :meth:`stop` is called.

    Parameters
    ----------
    next_folder
        Returns the folder of the results whose turn it is, or None if none is left.
    originals
        A folder of originals, if they are not where they were scored.
    """

    def __init__(self, next_folder: Callable[[], Path | None], *, originals: Path | None = None) -> None:
        self._originals = originals
        self._next_folder = next_folder
        self._stopped = threading.Event()
        self._process = WorkerPool(1)
        self._thread = threading.Thread(target=self._run, daemon=True, name="count")
        self._thread.start()

    def stop(self) -> None:
        """End at once; what is being counted is given up."""
        self._stopped.set()
        self._process.interrupt()
        self._thread.join(timeout=3)

    def wait(self) -> None:
        """Wait until none is left."""
        self._thread.join()

    def _run(self) -> None:
        with self._process:
            while (folder := self._next_folder()) and not self._stopped.is_set():
                try:
                    self._process.call(partial(write_count, originals=self._originals), folder)
                except (OSError, ValueError, RuntimeError) as error:
                    if not self._stopped.is_set():
                        logger.warning("%s: questions not counted (%s)", folder.name, type(error).__name__)
