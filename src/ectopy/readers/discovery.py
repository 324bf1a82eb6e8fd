"""From what a user names to recordings: files, directories and globs."""

import glob
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from ectopy.ecg import UnreadableError
from ectopy.readers import companion_files, is_recording, locate


@dataclass(frozen=True)
class FoundRecordings:
    """Recordings by absolute path, each once, in order; and how many files of a search are none."""

    recordings: tuple[Path, ...]
    n_other: int


def find_recordings(
    paths: Iterable[str | Path],
    *,
    outside: Path | None = None,
    fs: float | None = None,
    follow_links: bool = True,
) -> FoundRecordings:
    """Find recordings; a directory is searched recursively, except ``outside``, where results go.

    ``fs`` is the rate of files that carry none: where it is given, tables without names are recordings too.
    Without ``follow_links`` a link is no recording: who fills a directory cannot have others read for him.

    A file that is named and is no recording stands for the header that names it, else for itself: it is
    a recording that cannot be read. Raises FileNotFoundError for what does not exist.
    """
    owners = cache(_owners)
    recognised = partial(is_recording, fs=fs)
    recordings: list[Path] = []
    others: set[Path] = set()
    for path in paths:
        named, searched = _expand(path, outside)
        ours = (file for file in searched if follow_links or not file.is_symlink())
        own = [file for file in ours if file not in owners(file.parent)]
        recordings += [owners(file.parent).get(file, file) for file in named]
        found = list(filter(recognised, own))
        recordings += found
        others.update(set(own) - set(found))
    return FoundRecordings(tuple(dict.fromkeys(recordings)), len(others))


def _expand(path: str | Path, outside: Path | None) -> tuple[list[Path], list[Path]]:
    """Give the files that a path names, and those that it asks to search through; all absolute."""
    here = Path(path).absolute()
    if here.is_dir():
        return [], list(_files_below(here, outside))
    if (file := locate(here)).is_file():
        return [file], []
    found = glob.glob(str(path), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    matches = [Path(match).absolute() for match in sorted(found)]
    if not matches:
        raise FileNotFoundError(f"{path}: no such file or directory")
    below = [file for match in matches if match.is_dir() for file in _files_below(match, outside)]
    return [], [*(match for match in matches if match.is_file()), *below]


def _files_below(folder: Path, outside: Path | None) -> Iterator[Path]:
    """Walk in order of name; what begins with a dot is not meant for us (``._100.hea`` of a Mac)."""
    for parent, folders, names in os.walk(folder):
        here = Path(parent)
        folders[:] = sorted(name for name in folders if name[0] != "." and here / name != outside)
        # Plain files alone: a pipe would keep its reader waiting, a device would never end.
        yield from (here / name for name in sorted(names) if name[0] != "." and (here / name).is_file())


def _owners(folder: Path) -> dict[Path, Path]:
    """Give each file that a header of the folder names, with that header; a header never owns its owner."""
    owners: dict[Path, Path] = {}
    for header in sorted(folder.glob("*.hea")):
        with suppress(UnreadableError):  # it owns nothing, and fails when its turn comes
            owners |= {file: header for file in companion_files(header)[1:] if owners.get(header) != file}
    return owners
