"""Recordings from files: one module a format, and the search for what they can read."""

from pathlib import Path
from typing import Protocol

from ectopy.ecg import Recording, UnreadableError
from ectopy.readers import wfdb


class Format(Protocol):
    """What a module here offers; its libraries are imported where a file of the format is opened."""

    def recognise(self, path: Path) -> bool:
        """Tell by name or content, and cheaply, whether a file is of this format."""

    def files(self, path: Path) -> tuple[Path, ...]:
        """Give all files that a recording is made of, the one that was opened first."""

    def open_recording(self, path: Path, *, fs: float | None = None) -> Recording:
        """Open a file; ``fs`` is for one that carries no rate."""


FORMATS: tuple[Format, ...] = (wfdb,)


def is_recording(path: Path) -> bool:
    """Tell whether a file is of a format that is read here."""
    return any(known.recognise(path) for known in FORMATS)


def open_recording(path: str | Path, *, fs: float | None = None) -> Recording:
    """Open a recording of any supported format; a WFDB record also by its name without ``.hea``."""
    path = locate(Path(path))
    return _format_of(path).open_recording(path, fs=fs)


def files(path: Path) -> tuple[Path, ...]:
    """Give all files that a recording is made of, the one that is opened first."""
    return _format_of(path).files(path)


def locate(path: Path) -> Path:
    """Give the file that a recording is opened by: the path itself, or the header of that name."""
    header = path.parent / f"{path.name}.hea"
    if header.is_file() and not (path.is_file() and is_recording(path)):
        return header
    return path


def _format_of(path: Path) -> Format:
    if not path.is_file():
        raise UnreadableError(f"{path}: a recording expected, no such file")
    for known in FORMATS:
        if known.recognise(path):
            return known
    raise UnreadableError(f"{path}: a recording expected, the format is not one that is read")
