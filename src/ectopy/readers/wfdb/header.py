"""What a WFDB header says, see header(5), and which files belong to it."""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path

import numpy as np

from ectopy.ecg import UnreadableError

DEFAULT_FS = 250.0
"""What a header means that names no rate; and so for gain and unit."""
DEFAULT_GAIN, DEFAULT_UNIT = 200.0, "mV"
_LONGEST = 2**24
"""In bytes; a file that bears the name of a header may be of any size."""

_MOST_SIGNALS = 2048
_LONGEST_NAME = 255
"""In bytes, of one file in any file system."""

_NUMBER = r"-?(\d{1,15}\.?\d{0,15}|\.\d{1,15})(e[+-]?\d{1,2})?"
_RECORD_LINE = re.compile(
    rf"""(?P<name>[^\s/]+) (/(?P<n_segments>\d{{1,6}}))? \s+ (?P<n_signals>\d{{1,6}})
    (\s+ (?P<fs>{_NUMBER}) (/\S*)? (\s+ (?P<n_frames>\d{{1,15}}) (\s+ (?P<start>.*))? )? )? \s*""",
    re.VERBOSE | re.IGNORECASE,
)
_SIGNAL_LINE = re.compile(
    rf"""(?P<file>\S+) \s+ (?P<format>\d{{1,4}})
    (x(?P<per_frame>\d{{1,4}}))? (:(?P<skew>\d{{1,9}}))? (\+(?P<offset>\d{{1,15}}))?
    (\s+ (?P<gain>{_NUMBER}) (\((?P<baseline>-?\d{{1,10}})\))? (/(?P<unit>\S+))? )?
    (\s+ \d+)? (\s+ (?P<zero>-?\d{{1,10}}))? (\s+ (?P<initial>-?\d{{1,15}}))? (\s+ -?\d+){{,2}}
    (\s+ (?P<lead>\D.*))? \s*""",
    re.VERBOSE | re.IGNORECASE,
)
# The last is not WFDB's: the headers of the CinC challenge of 2017 have it, and wfdb refuses them for it.
_START_FORMATS = ("%H:%M:%S %d/%m/%Y", "%H:%M:%S.%f %d/%m/%Y", "%Y-%m-%d %H:%M:%S")


@dataclass(frozen=True)
class SignalLine:
    """One signal: its file, how it is stored there, and what a stored unit means."""

    file: str
    format: int
    per_frame: int
    skew: int
    offset: int
    gain: float
    baseline: int
    initial: int
    unit: str
    lead: str


@dataclass(frozen=True)
class Header:
    """One header: signals, or else segments by name and frames; ``n_frames`` is 0 where it is not said."""

    path: Path
    fs: float
    n_frames: int
    start: datetime | None
    signals: tuple[SignalLine, ...]
    segments: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class SignalFile:
    """Interleaved signals: ``columns`` says which of the ``width`` samples of a frame are whose."""

    path: Path
    format: int
    offset: int
    width: int
    columns: dict[int, slice]


def read_header(path: Path, *, default_fs: float = DEFAULT_FS) -> Header:
    """Read a header; comments, which may bear a patient's name, are dropped unread."""
    record, *lines = _lines(path)
    line = _RECORD_LINE.fullmatch(record)
    if line is None:
        raise UnreadableError(f"{path}: a WFDB header expected, its first line describes no record")
    if (n_signals := int(line["n_signals"])) > _MOST_SIGNALS:
        raise UnreadableError(f"{path}: at most {_MOST_SIGNALS} signals expected, {n_signals} came")
    n_lines = int(line["n_segments"] or n_signals)
    if n_lines == 0 or n_signals == 0:
        raise UnreadableError(f"{path}: at least one lead expected, the header names 0")
    if len(lines) < n_lines:
        raise UnreadableError(f"{path}: {n_lines} lines expected after the first, {len(lines)} came")
    described = list(enumerate(lines[:n_lines], start=1))
    return Header(
        path,
        fs=float(line["fs"] or default_fs),
        n_frames=int(line["n_frames"] or 0),
        start=_start(line["start"] or ""),
        signals=() if line["n_segments"] else tuple(_signal_line(path, *signal) for signal in described),
        segments=tuple(_segment_line(path, *segment) for segment in described) if line["n_segments"] else (),
    )


def signal_files(header: Header) -> list[SignalFile]:
    """Give the signal files in the order of the header; ``~`` stands for none."""
    grouped = groupby(enumerate(header.signals), key=lambda numbered: numbered[1].file)
    return [_signal_file(header, name, dict(group)) for name, group in grouped if name != "~"]


def segment_header(header: Header, name: str) -> Path:
    """Give the path of the header of a segment."""
    return _beside(header.path, f"{name}.hea")


def _lines(path: Path) -> list[str]:
    """Give the lines that are neither empty nor comments, at least one."""
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST)
    except OSError as error:
        raise UnreadableError(f"{path}: a WFDB header expected, {error.strerror}") from error
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # the micro sign of older headers
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")] or [""]


def _start(text: str) -> datetime | None:
    """Read a time with its date; alone, or written in another way, it says nothing of the start."""
    for pattern in _START_FORMATS:
        with suppress(ValueError):
            return datetime.strptime(text.strip(), pattern)  # noqa: DTZ007 - WFDB knows no time zones
    return None


def _signal_line(path: Path, number: int, text: str) -> SignalLine:
    line = _SIGNAL_LINE.fullmatch(text)
    if line is None:
        raise UnreadableError(f"{path}: signal {number} is not described as WFDB has it")
    return SignalLine(
        file=line["file"],
        format=int(line["format"]),
        per_frame=int(line["per_frame"] or 0) or 1,
        skew=int(line["skew"] or 0),
        offset=int(line["offset"] or 0),
        gain=float(line["gain"] or 0) or DEFAULT_GAIN,
        baseline=int(line["baseline"] or line["zero"] or 0),
        initial=int(line["initial"] or line["zero"] or 0),
        unit=line["unit"] or DEFAULT_UNIT,
        lead=(line["lead"] or "").strip() or f"lead {number}",
    )


def _segment_line(path: Path, number: int, text: str) -> tuple[str, int]:
    line = re.fullmatch(r"(\S+)\s+(\d{1,15})", text)
    if line is None:
        raise UnreadableError(f"{path}: segment {number} is not described as WFDB has it")
    return line[1], int(line[2])


def _beside(header: Path, name: str) -> Path:
    """Give the path of a file that a header names; refuse every name, and every link, that leaves the folder.

    Beside a header that is a link itself links may lead anywhere: so annexes and selections are laid out.
    """
    if name in {".", ".."} or any(mark in name for mark in "/\\:\0"):
        raise UnreadableError(f"{header}: the name of a file in its own folder expected, a path came")
    if len(name.encode()) > _LONGEST_NAME:
        raise UnreadableError(f"{header}: the name of a file expected, {len(name)} characters came")
    path = header.parent / name
    if path.is_symlink() and not header.is_symlink() and path.resolve().parent != header.parent.resolve():
        raise UnreadableError(f"{header}: a file in its own folder expected, {name} is a link out of it")
    return path


def _signal_file(header: Header, name: str, signals: dict[int, SignalLine]) -> SignalFile:
    first = next(iter(signals.values()))
    if any((line.format, line.offset) != (first.format, first.offset) for line in signals.values()):
        raise UnreadableError(f"{header.path}: one format and offset expected in {name}, several came")
    stops = np.cumsum([line.per_frame for line in signals.values()]).tolist()
    columns = dict(zip(signals, map(slice, [0, *stops[:-1]], stops), strict=True))
    return SignalFile(_beside(header.path, name), first.format, first.offset, stops[-1], columns)
