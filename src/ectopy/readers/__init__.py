"""Recordings from files: one module a format, and the search for what they can read."""

from pathlib import Path
from typing import Protocol

from ectopy.ecg import Recording, UnreadableError
from ectopy.readers import aecg, dicom, edf, ishne, scp, sierra, tables, wfdb

HEAD_BYTES = 2**14
"""What is looked at to recognise a format."""


class Format(Protocol):
    """What a module here offers; its libraries are imported where a file of the format is opened."""

    SUFFIXES: tuple[str, ...]
    """Of files that are taken for this format when they are named and no format is recognised in them."""

    def matches(self, path: Path, head: bytes, *, fs: float | None = None) -> bool:
        """Tell by name or by the first bytes, and cheaply, whether a file is a recording of this format.

        ``fs`` is the rate that the user gives to files that carry none.
        """

    def companion_files(self, path: Path) -> tuple[Path, ...]:
        """Give all files that a recording is made of, the one that was opened first."""

    def open_recording(self, path: Path, *, fs: float | None = None) -> Recording:
        """Open a file; ``fs`` is for one that carries no rate."""


FORMATS: tuple[Format, ...] = (wfdb, edf, ishne, scp, dicom, aecg, sierra, tables)


def is_recording(path: Path, *, fs: float | None = None) -> bool:
    """Tell whether a file is of a format that is read here; ``fs`` is for one that carries no rate."""
    return _recognised(path, fs) is not None


def open_recording(path: str | Path, *, fs: float | None = None) -> Recording:
    """Open a recording of any supported format; a WFDB record also by its name without ``.hea``."""
    path = locate(Path(path))
    return _format_of(path).open_recording(path, fs=fs)


def companion_files(path: Path) -> tuple[Path, ...]:
    """Give all files that a recording is made of, the one that is opened first."""
    return _format_of(path).companion_files(path)


def locate(path: Path) -> Path:
    """Give the file that a recording is opened by: the path itself, or the header of that name."""
    header = path.parent / f"{path.name}.hea"
    if header.is_file() and not (path.is_file() and is_recording(path)):
        return header
    return path


def _format_of(path: Path) -> Format:
    if not path.is_file():
        raise UnreadableError(f"{path}: a recording expected, no such file")
    if recognised := _recognised(path):
        return recognised
    for known in FORMATS:
        if path.suffix.lower() in known.SUFFIXES:
            return known
    raise UnreadableError(f"{path}: a recording expected, the format is not one that is read")


def _recognised(path: Path, fs: float | None = None) -> Format | None:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return None
    return next((known for known in FORMATS if known.matches(path, head, fs=fs)), None)
