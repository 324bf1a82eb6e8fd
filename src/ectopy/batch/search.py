"""Search for recordings in the files, folders and glob patterns that a user names.

The names are listed in this process. The files are looked at in worker processes, within limits of time and
memory: one that ends its process, or takes too long, is a recording that fails.
"""

import glob
import os
import stat
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from ectopy.batch.faults import recording_at_fault
from ectopy.parallel.worker_pool import LimitExceededError, WorkerDiedError, WorkerPool

LOOK_TIME_S = 30.0
"""Time to find the format of a file and the files that it names; some milliseconds are usual."""

Look: TypeAlias = tuple[Path, ...] | Exception
"""Files of a recording, the one to open first; none for another file; or why it cannot be looked at."""
OnError: TypeAlias = Callable[[Path, OSError], None]


@dataclass(frozen=True)
class FoundRecordings:
    """Result of a search.

    ``files`` maps the absolute path of each recording to all its files, in order and without duplicates.
    ``n_other`` is the number of files in searched folders that are not recordings. ``errors`` has the
    recordings that must not be opened, each with the reason; ``unlisted`` has the folders that cannot be
    listed.
    """

    files: Mapping[Path, tuple[Path, ...]]
    n_other: int
    errors: Mapping[Path, Exception]
    unlisted: Mapping[Path, Exception]

    @property
    def recordings(self) -> tuple[Path, ...]:
        """The path of each recording."""
        return tuple(self.files)


class UnlistedError(ValueError):
    """A folder that the system does not list."""


def find_recordings(  # noqa: PLR0913 - where and how to search
    paths: Iterable[str | Path],
    workers: WorkerPool,
    *,
    outside: Path | None = None,
    done: Container[Path] = frozenset(),
    fs: float | None = None,
    follow_links: bool = True,
) -> FoundRecordings:
    """Find the recordings in files, folders and glob patterns; folders are searched recursively.

    A named file is always in the result, even if it cannot be read; opening it then gives the reason.
    A signal file of a WFDB record is replaced by the header of the record.

    Parameters
    ----------
    paths
        Files, folders and glob patterns.
    workers
        The processes that look at the files.
    outside
        Folder that is not searched, such as the folder of the results.
    done
        Files in searched folders that are left out.
    fs
        Sampling rate in Hz for files without one. If it is given, tables without lead names count too.
    follow_links
        Whether symbolic links in folders are followed. Without it, nobody who may fill a folder can have
        other files read.

    Returns
    -------
    The recordings, and what else there is.

    Raises
    ------
    FileNotFoundError
        A path does not exist, or a pattern matches nothing.
    """

    def is_allowed(file: Path) -> bool:
        return file not in done and (follow_links or not os.path.islink(file))

    look = partial(_look_at, workers, fs=fs)
    unlisted: dict[Path, Exception] = {}
    expanded = [_expand(path, outside, unlisted, look) for path in paths]
    named = [file for files, _ in expanded for file in files]
    searched = [file for _, files in expanded for file in files if is_allowed(file)]

    looks = look(filter(is_allowed, _headers_beside([*named, *searched])))
    owners = _owners(looks)
    looks |= look(file for file in searched if file not in owners and file not in looks)

    found: dict[Path, tuple[Path, ...]] = {}
    for files, below in expanded:
        whole = [owners.get(file, file) for file in files]
        found |= {file: _files(looks, file) for file in whole}
        found |= {file: _files(looks, file) for file in below if looks.get(file) and file not in owners}
    belonging = {file for files in found.values() for file in files}
    others = {file for file in searched if file not in belonging and file not in owners and not looks[file]}
    errors = {file: seen for file in found if isinstance(seen := looks.get(file), Exception)}
    return FoundRecordings(found, len(others), errors, unlisted)


def files_below(folder: Path, on_error: OnError, *, outside: Path | None = None) -> Iterator[Path]:
    """Find the files below a folder in order; hidden ones (``._100.hea`` of macOS) are left out.

    Links to folders are not followed. Pipes and devices are left out: reading a pipe would block, and a
    device may never end. A file that has just vanished is left out too.

    Parameters
    ----------
    folder
        The folder.
    on_error
        Called with each folder that cannot be listed, and why.
    outside
        A folder that is left out.

    Yields
    ------
    The path of each file.
    """
    pending = [folder]
    while pending:  # not os.walk, which calls itself for each level before Python 3.12
        parent = pending.pop()
        try:
            with os.scandir(parent) as entries:
                names = sorted(entry.name for entry in entries if entry.name[0] != ".")
        except FileNotFoundError:
            continue
        except OSError as error:
            on_error(parent, error)
            continue
        modes = {parent / name: _mode(parent / name) for name in names}
        folders = [path for path, mode in modes.items() if stat.S_ISDIR(mode) and path != outside]
        pending += reversed(folders)
        yield from (path for path, mode in modes.items() if stat.S_ISREG(mode))


def _mode(path: Path) -> int:
    """Return the mode of a path, links followed; a link that leads nowhere counts as a file."""
    try:
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode):
            return mode
        with_target = path.stat().st_mode
    except FileNotFoundError:
        return stat.S_IFREG if os.path.islink(path) else 0
    except OSError:
        return stat.S_IFREG  # opening it gives the reason
    return 0 if stat.S_ISDIR(with_target) else with_target


def _expand(
    path: str | Path,
    outside: Path | None,
    unlisted: dict[Path, Exception],
    look: Callable[[Iterable[Path]], dict[Path, Look]],
) -> tuple[list[Path], list[Path]]:
    """Return the files that a path names, and the files that it asks to search; all absolute."""

    def below(folder: Path) -> Iterator[Path]:
        return files_below(folder, partial(_note_unlisted, unlisted), outside=outside)

    absolute = Path(path).absolute()
    if os.path.isdir(absolute):
        return [], list(below(absolute))
    header = absolute.parent / f"{absolute.name}.hea"
    if os.path.isfile(header) and not (os.path.isfile(absolute) and look([absolute])[absolute]):
        return [header], []
    if _may_be_file(absolute):
        return [absolute], []
    names = glob.glob(str(path), recursive=True)
    matches = {Path(name).absolute(): os.path.isdir(name) for name in sorted(names)}
    if not matches:
        raise FileNotFoundError(f"{path}: no such file or directory. Check the path or the pattern.")
    files = [match for match in matches if stat.S_ISREG(_mode(match))]
    return [], [*files, *(file for match, is_dir in matches.items() if is_dir for file in below(match))]


def _may_be_file(path: Path) -> bool:
    """Return whether a path is a file, or may be one in a folder that may not be entered."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return path.is_symlink()
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False


def _note_unlisted(unlisted: dict[Path, Exception], folder: Path, error: OSError) -> None:
    unlisted[folder] = UnlistedError(
        f"the folder cannot be listed ({error.strerror}). Check that you may read it."
    )


def _headers_beside(files: Iterable[Path]) -> list[Path]:
    """Return all WFDB headers in the folders of some files."""
    folders = dict.fromkeys(file.parent for file in files)
    headers = (header for folder in folders for header in sorted(folder.glob("[!.]*.hea")))
    return [header for header in headers if stat.S_ISREG(_mode(header))]


def _look_at(workers: WorkerPool, files: Iterable[Path], *, fs: float | None) -> dict[Path, Look]:
    """Look at files in a worker process."""
    every = list(dict.fromkeys(files))
    outcomes = workers.call_each(partial(_look, fs=fs), every, time_s=LOOK_TIME_S)
    return dict(zip(every, map(_blamed, outcomes), strict=True))


def _look(path: Path, *, fs: float | None) -> tuple[Path, ...]:
    with recording_at_fault():
        from ectopy.readers import recording_files  # in the worker only: it imports numpy

        return recording_files(path, fs=fs)


def _blamed(outcome: Look) -> Look:
    """Return an outcome; where reading a file did harm, the error names the file as the cause."""
    if isinstance(outcome, WorkerDiedError):
        return WorkerDiedError("reading it ended the process. Remove it or export it again.")
    if isinstance(outcome, LimitExceededError):
        return LimitExceededError(
            f"finding its format took more than {LOOK_TIME_S:g} s or too much memory. "
            "Remove it or export it again."
        )
    return outcome


def _owners(looks: Mapping[Path, Look]) -> dict[Path, Path]:
    """Return the header that names each file; of two headers that name each other one counts."""
    owners: dict[Path, Path] = {}
    for header, files in looks.items():
        if isinstance(files, tuple):  # a damaged header owns no files, and fails when it is opened
            owners |= {file: header for file in files[1:] if owners.get(header) != file}
    return owners


def _files(looks: Mapping[Path, Look], path: Path) -> tuple[Path, ...]:
    seen = looks.get(path)
    return seen if isinstance(seen, tuple) and seen else (path,)
