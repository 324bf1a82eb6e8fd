"""Caches: files that ectopy makes again when it needs them, and what killed commands left behind.

Results, models, databases, logs of reviews and the stores of Prefect and MLflow are no caches.
"""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ectopy.batch.cache_folder import SUBFOLDER, files_in
from ectopy.batch.reviews import REVIEW_SUFFIX
from ectopy.review.background import CLUSTERS_FILE, COUNT_FILE

LEFT_BEHIND_S = 86_400.0
"""A temporary folder that is younger may belong to a command that is running."""

_TEMPORARY = re.compile(r"ectopy-(model|fetched)-[a-z0-9_]{8}")


@dataclass(frozen=True)
class Cache:
    """A file or a folder that may be removed, what it is for, and its size in bytes."""

    path: Path
    what: str
    n_bytes: int


def find_caches(results: Iterable[Path], cache_dir: Path | None = None) -> list[Cache]:
    """Find what may be removed.

    Parameters
    ----------
    results
        Folders of results, whose reviews have caches; those that do not exist are left out.
    cache_dir
        The folder of the setting ECTOPY_CACHE_DIR.

    Returns
    -------
    The caches, in order. No link is among them or followed.
    """
    return [*_of_scoring(cache_dir), *_of_reviews(results), *_left_behind()]


def remove(caches: Iterable[Cache]) -> int:
    """Remove caches; return how many bytes that freed. What is gone already is no error."""
    freed = 0
    for cache in caches:
        if cache.path.is_dir() and not cache.path.is_symlink():
            shutil.rmtree(cache.path, ignore_errors=True)
        else:
            cache.path.unlink(missing_ok=True)
        freed += 0 if cache.path.exists() else cache.n_bytes
    return freed


def _of_scoring(cache_dir: Path | None) -> Iterator[Cache]:
    """Yield the folder of what does not depend on the model, if there is one with anything in it."""
    folder = cache_dir and cache_dir.absolute() / SUBFOLDER
    if folder and folder.is_dir() and not folder.is_symlink():
        n_bytes = sum(size for _, size, _ in files_in(folder))
        if n_bytes:
            yield Cache(folder, "prepared recordings, for another model", n_bytes)


def _of_reviews(results: Iterable[Path]) -> Iterator[Cache]:
    """Yield the templates and the numbers of questions beside the logs of reviews."""
    kinds = {CLUSTERS_FILE: "templates of a review", COUNT_FILE: "number of open questions"}
    for folder in sorted({out.resolve() for out in results if out.is_dir()}):
        for review in sorted(folder.glob(f"*{REVIEW_SUFFIX}")):
            for name, what in kinds.items():
                path = review / name
                if path.is_file() and not path.is_symlink() and not review.is_symlink():
                    yield Cache(path, what, path.stat().st_size)


def _left_behind() -> Iterator[Cache]:
    """Yield the temporary folders of killed commands of this user."""
    oldest = time.time() - LEFT_BEHIND_S
    own_uid = os.getuid() if hasattr(os, "getuid") else 0  # on Windows every file has 0
    with os.scandir(tempfile.gettempdir()) as entries:
        folders = [
            Path(entry.path)
            for entry in entries
            if _TEMPORARY.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
        ]
    for folder in sorted(folders):
        status = folder.lstat()
        if status.st_uid == own_uid and status.st_mtime < oldest:
            yield Cache(folder, "left behind by a killed command", _size(folder))


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
