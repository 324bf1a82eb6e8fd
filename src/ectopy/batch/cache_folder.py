"""A folder of files that can be made again, bounded in size: what was not used for longest goes first.

Many processes may use the folder at once, and each may die at any moment. A file appears complete or not at
all, and no file is changed once it is there. So nothing needs a lock.
"""

import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from io import BufferedReader
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from ectopy.private_files import take_from_others

logger = logging.getLogger(__name__)

SUBFOLDER = "ectopy-prepared"
"""Folder of the cache within the one that the user names, which may hold other things."""
RESERVE_BYTES = 10**9
"""The cache leaves as much of the disk free, so that results can be written."""
LEFT_BEHIND_S = 3600.0
"""A temporary file that is older is of a process that was killed."""

_NEW = ".new"
_SPARE = 8  # one in so many parts of the cache is for what all processes write before they look again
_AT_ONCE = max(8, os.cpu_count() or 1)  # processes that share this part


@dataclass(frozen=True)
class CacheFolder:
    """A folder of at most ``max_bytes`` bytes, for files with short names that can be made again."""

    path: Path
    max_bytes: int

    def open(self, name: str) -> BufferedReader | None:
        """Open a file to read and mark it as used; return None if there is none that can be read."""
        path = self.path / name
        with suppress(OSError):
            if path.is_file():  # opening a pipe would wait for ever
                file = path.open("rb")
                with suppress(OSError):  # one that others wrote, or a folder that may only be read
                    os.utime(path)
                return file
        return None

    @contextmanager
    def write(self, name: str, n_bytes: int) -> Iterator[BinaryIO]:
        """Open a temporary file, which becomes ``name`` when the block ends without an error.

        It is not forced to the disk: what a power cut leaves of it has another checksum.

        Parameters
        ----------
        name
            The name of the file.
        n_bytes
            Its size, for which others are removed if necessary.

        Yields
        ------
        The temporary file.

        Raises
        ------
        OSError
            If it cannot be written, or is larger than the cache or the disk allow.
        """
        if not self._has_room(n_bytes):
            raise OSError("a recording needs more room than the cache may take, or the disk is nearly full")
        temporary = self.path / f"{name}.{token_hex(4)}{_NEW}"
        try:
            with temporary.open("xb") as file:
                yield file
            temporary.replace(self.path / name)
        finally:
            temporary.unlink(missing_ok=True)

    def _has_room(self, n_bytes: int) -> bool:
        """Check whether a file has room, and remove others if it has not.

        All files are looked at only now and then: there may be very many.
        """
        room = _room.get(self, 0)
        if n_bytes > room or shutil.disk_usage(self.path).free - n_bytes < RESERVE_BYTES:
            room = self._make_room(n_bytes)
        _room[self] = room - n_bytes
        return n_bytes <= room

    def _make_room(self, n_bytes: int) -> int:
        """Remove what killed processes left, then what was not used for longest; return the room there is."""
        files = sorted(files_in(self.path))
        used = sum(size for _, size, _ in files)
        limit = min(self.max_bytes, used + shutil.disk_usage(self.path).free - RESERVE_BYTES)
        if n_bytes > limit:
            return 0
        kept, killed_before = limit - limit // _SPARE - n_bytes, time.time() - LEFT_BEHIND_S
        for used_at, size, path in files:
            left_behind = path.suffix == _NEW and used_at < killed_before
            if left_behind or used > kept:
                with suppress(OSError):  # another process was faster, or reads it on Windows
                    path.unlink()
                used -= size
        return max(limit // _SPARE // _AT_ONCE, n_bytes)


_room: dict[CacheFolder, int] = {}
"""Bytes that this process may write before it looks at all files again."""


def files_in(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield the time at which each file of a cache was used, its size in bytes and its path."""
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):  # another process has just removed it
                if entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    yield status.st_mtime, status.st_size, Path(entry.path)


def open_cache(folder: Path | None, max_gb: float) -> CacheFolder | None:
    """Return the cache within a folder; make it if it is not there.

    Parameters
    ----------
    folder
        The folder that the user names; None for no cache.
    max_gb
        The largest size of all files together in GB.

    Returns
    -------
    The cache; None, after a warning, if there can be none.
    """
    if folder is None:
        return None
    path = folder.absolute() / SUBFOLDER
    try:
        path.mkdir(mode=0o770, parents=True, exist_ok=True)
        take_from_others(path)
    except OSError as error:
        warn_once(path, error)
        return None
    return CacheFolder(path, int(max_gb * 1e9))


@cache
def _warn(path: Path, reason: str) -> None:
    logger.warning(
        "%s: nothing is kept: %s. Scoring goes on. Check the folder, or set another one.", path, reason
    )


def warn_once(path: Path, error: OSError) -> None:
    """Warn that a cache cannot be used, once per process and reason.

    Parameters
    ----------
    path
        The folder of the cache.
    error
        The reason.
    """
    _warn(path, error.strerror or str(error))
