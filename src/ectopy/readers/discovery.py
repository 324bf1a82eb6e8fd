"""Search for recordings in the files, folders and glob patterns that a user names."""

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
    """Result of a search: the absolute path of each recording, in order and without duplicates.

    ``n_other`` is the number of files in searched folders that are not recordings.
    """

    recordings: tuple[Path, ...]
    n_other: int


def find_recordings(
    paths: Iterable[str | Path],
    *,
    outside: Path | None = None,
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
    outside
        Folder that is not searched, such as the folder of the results.
    fs
        Sampling rate in Hz for files without one. If it is given, tables without lead names count too.
    follow_links
        Whether symbolic links in folders are followed. Without it, nobody who may fill a folder can have
        other files read.

    Returns
    -------
    The recordings, and the number of other files.

    Raises
    ------
    FileNotFoundError
        A path does not exist, or a pattern matches nothing.
    """
    owners = cache(_owners)
    matches = partial(is_recording, fs=fs)
    recordings: list[Path] = []
    others: set[Path] = set()
    for path in paths:
        named, searched = _expand(path, outside)
        allowed = (file for file in searched if follow_links or not file.is_symlink())
        unowned = [file for file in allowed if file not in owners(file.parent)]
        recordings += [owners(file.parent).get(file, file) for file in named]
        matching = list(filter(matches, unowned))
        recordings += matching
        others.update(set(unowned) - set(matching))
    return FoundRecordings(tuple(dict.fromkeys(recordings)), len(others))


def _expand(path: str | Path, outside: Path | None) -> tuple[list[Path], list[Path]]:
    """Return the files that a path names, and the files that it asks to search; all absolute."""
    absolute = Path(path).absolute()
    if absolute.is_dir():
        return [], list(_files_below(absolute, outside))
    if (file := locate(absolute)).is_file():
        return [file], []
    names = glob.glob(str(path), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    matches = [Path(name).absolute() for name in sorted(names)]
    if not matches:
        raise FileNotFoundError(f"{path}: no such file or directory. Check the path or the pattern.")
    below = [file for match in matches if match.is_dir() for file in _files_below(match, outside)]
    return [], [*(match for match in matches if match.is_file()), *below]


def _files_below(folder: Path, outside: Path | None) -> Iterator[Path]:
    """Yield the files below a folder, sorted by name; hidden ones (``._100.hea`` of macOS) are skipped."""
    for parent_name, folders, names in os.walk(folder):
        parent = Path(parent_name)
        folders[:] = sorted(name for name in folders if name[0] != "." and parent / name != outside)
        # Only regular files: reading a pipe would block, and a device may never end.
        yield from (parent / name for name in sorted(names) if name[0] != "." and (parent / name).is_file())


def _owners(folder: Path) -> dict[Path, Path]:
    """Return the header that names each file of a folder; of two headers that name each other one counts."""
    owners: dict[Path, Path] = {}
    for header in sorted(folder.glob("*.hea")):
        with suppress(UnreadableError):  # a damaged header owns no files, and fails when it is opened
            owners |= {file: header for file in companion_files(header)[1:] if owners.get(header) != file}
    return owners
