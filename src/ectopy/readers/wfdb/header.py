"""Read WFDB headers, see header(5), and find the files that belong to them."""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path

import numpy as np

from ectopy.ecg import UnreadableError
from ectopy.printable import quoted

DEFAULT_FS = 250.0
"""Rate in Hz of a header without one; gain and unit have defaults too, see header(5)."""
DEFAULT_GAIN, DEFAULT_UNIT = 200.0, "mV"
_LONGEST = 2**24
"""Bytes that are read at most; a file with the name of a header may be of any size."""

_MOST_SIGNALS = 2048
_LONGEST_NAME = 255
"""Longest file name of common file systems, in bytes."""

_NUMBER = r"-?(\d{1,15}\.?\d{0,15}|\.\d{1,15})(e[+-]?\d{1,2})?"
_RECORD_LINE = re.compile(
    rf"""(?P<name>[^\s/]+) (/(?P<n_segments>\d{{1,6}}))? \s+ (?P<n_signals>\d{{1,6}})
    (\s+ (?P<fs>{_NUMBER}) (/\S*)? (\s+ (?P<n_frames>\d{{1,15}}) (\s+ (?P<start>.*))? )? )? \s*""",
    re.VERBOSE | re.IGNORECASE,
)
_SIGNAL_LINE = re.compile(
    rf"""(?P<file>\S+) \s+ (?P<format>\d{{1,4}})
    (x(?P<per_frame>\d{{1,4}}))? (:(?P<skew>\d{{1,9}}))? (\+(?P<offset>\d{{1,15}}))?
    (\s+ (?P<gain>{_NUMBER}|-?nan|-?inf) (\((?P<baseline>-?\d{{1,10}})\))? (/(?P<unit>\S+))? )?
    (\s+ \d+)? (\s+ (?P<zero>-?\d{{1,10}}))? (\s+ (?P<initial>-?\d{{1,15}}))? (\s+ -?\d+){{,2}}
    (\s+ (?P<lead>\D.*))? \s*""",
    re.VERBOSE | re.IGNORECASE,
)
# The last one is not part of WFDB; headers of the CinC Challenge 2017 use it, and wfdb refuses them.
_START_FORMATS = ("%H:%M:%S %d/%m/%Y", "%H:%M:%S.%f %d/%m/%Y", "%Y-%m-%d %H:%M:%S")


@dataclass(frozen=True)
class SignalLine:
    """Signal of a header: its file, its storage format there, and the meaning of a stored unit."""

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
    """Content of a header: either signals, or segments (name and number of frames).

    ``n_frames`` is 0 if the header does not state it.
    """

    path: Path
    fs: float
    n_frames: int
    start: datetime | None
    signals: tuple[SignalLine, ...]
    segments: tuple[tuple[str, int], ...]
    states_rate: bool


@dataclass(frozen=True)
class SignalFile:
    """Signal file with interleaved signals.

    A frame has ``width`` samples; ``columns`` maps the number of a signal to its samples in a frame.
    """

    path: Path
    format: int
    offset: int
    width: int
    columns: dict[int, slice]


def read_header(path: Path, *, default_fs: float = DEFAULT_FS) -> Header:
    """Read a header; comments are skipped, as they may contain a patient's name.

    Parameters
    ----------
    path
        The header file.
    default_fs
        Rate in Hz of a header without one.

    Returns
    -------
    The header, with signals or with segments.

    Raises
    ------
    UnreadableError
        The file is not a WFDB header, or describes no lead.
    """
    record, *lines = _lines(path)
    line = _RECORD_LINE.fullmatch(record)
    if line is None:
        raise UnreadableError(
            f"{path}: not a WFDB header (the first line describes no record). "
            "Correct the line, or rename the file."
        )
    if (n_signals := int(line["n_signals"])) > _MOST_SIGNALS:
        raise UnreadableError(
            f"{path}: the header has {n_signals} signals, more than the limit of {_MOST_SIGNALS}. "
            "Correct the number in the first line."
        )
    n_lines = int(line["n_segments"] or n_signals)
    if n_lines == 0 or n_signals == 0:
        raise UnreadableError(f"{path}: the header describes no lead. Correct the numbers in the first line.")
    if len(lines) < n_lines:
        raise UnreadableError(
            f"{path}: the header needs {n_lines} lines after the first, but has {len(lines)}. "
            "Copy the complete header again."
        )
    further = _SIGNAL_LINE.fullmatch(lines[n_lines]) if len(lines) > n_lines else None
    if further and further["file"] in {text.split()[0] for text in lines[:n_lines]}:
        raise UnreadableError(
            f"{path}: the first line states {n_lines} signals, but more of them are described. "
            "Correct the number in the first line."
        )
    described = list(enumerate(lines[:n_lines], start=1))
    return Header(
        path,
        fs=float(line["fs"] or default_fs),
        n_frames=int(line["n_frames"] or 0),
        start=_start(line["start"]) if line["start"] else None,
        signals=() if line["n_segments"] else tuple(_signal_line(path, *signal) for signal in described),
        segments=tuple(_segment_line(path, *segment) for segment in described) if line["n_segments"] else (),
        states_rate=line["fs"] is not None,
    )


def signal_files(header: Header) -> list[SignalFile]:
    """Return the signal files in the order of the header; the name ``~`` means that there is no file."""
    grouped = groupby(enumerate(header.signals), key=lambda numbered: numbered[1].file)
    return [_signal_file(header, name, dict(group)) for name, group in grouped if name != "~"]


def segment_header(header: Header, name: str) -> Path:
    """Return the path of the header of a segment.

    Parameters
    ----------
    header
        Header of the record.
    name
        Name of the segment.

    Returns
    -------
    The path, in the folder of the record.
    """
    return _beside(header.path, f"{name}.hea")


def _lines(path: Path) -> list[str]:
    """Return the lines that are neither empty nor comments; one empty line if there are none."""
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST)
    except OSError as error:
        raise UnreadableError(
            f"{path}: cannot read the WFDB header ({error.strerror}). Check that it exists and may be read."
        ) from error
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # the micro sign of older headers
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")] or [""]


def _start(text: str) -> datetime | None:
    """Return date and time of the start; None for a time without a date, or in another notation."""
    for pattern in _START_FORMATS:
        with suppress(ValueError):
            return datetime.strptime(text.strip(), pattern)  # noqa: DTZ007 - WFDB knows no time zones
    return None


def _signal_line(path: Path, number: int, text: str) -> SignalLine:
    line = _SIGNAL_LINE.fullmatch(text)
    if line is None:
        raise UnreadableError(
            f"{path}: the line of signal {number} is not a WFDB signal line. "
            "Correct it as header(5) describes."
        )
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
        raise UnreadableError(
            f"{path}: the line of segment {number} is not a WFDB segment line. "
            "Correct it as header(5) describes."
        )
    return line[1], int(line[2])


def _beside(header: Path, name: str) -> Path:
    """Return the path of a file that a header names; names and links out of the folder are refused.

    If the header is a link itself, links may lead anywhere, as in git-annex or a folder of selected records.
    """
    if name in {".", ".."} or any(mark in name for mark in "/\\:\0"):
        raise UnreadableError(
            f"{header}: the header names a file outside its own folder. "
            "Copy the file next to the header and write only its name."
        )
    if len(name.encode()) > _LONGEST_NAME:
        raise UnreadableError(
            f"{header}: the header names a file with {len(name)} characters, more than a file system allows. "
            "Correct the name in the header."
        )
    path = header.parent / name
    if path.is_symlink() and not header.is_symlink() and path.resolve().parent != header.parent.resolve():
        raise UnreadableError(
            f"{header}: {quoted(name)} is a link to a file outside the folder. "
            "Copy the file itself into the folder."
        )
    return path


def _signal_file(header: Header, name: str, signals: dict[int, SignalLine]) -> SignalFile:
    first = next(iter(signals.values()))
    if any((line.format, line.offset) != (first.format, first.offset) for line in signals.values()):
        raise UnreadableError(
            f"{header.path}: the signals of {quoted(name)} have different formats or offsets. "
            "Correct the header: all signals of a file share one format and one offset."
        )
    stops = np.cumsum([line.per_frame for line in signals.values()]).tolist()
    columns = dict(zip(signals, map(slice, [0, *stops[:-1]], stops), strict=True))
    return SignalFile(_beside(header.path, name), first.format, first.offset, stops[-1], columns)
