"""Comparison of directories of annotation files."""

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ectopy.annotations import Annotations, read_annotations
from ectopy.ec57.classes import LEARNING_S, BeatMap
from ectopy.ec57.records import RecordComparison, compare_record
from ectopy.ecg import UnreadableError
from ectopy.readers.wfdb.header import read_header

logger = logging.getLogger(__name__)

_RESOLUTION = re.compile(rb"## time resolution: ([0-9]+(?:\.[0-9]+)?)")
_LATE_S = 1.0
"""An annotation so many seconds after the end of its record cannot belong to it."""
_NO_ANNOTATORS = {".hea", ".dat", ".mat", ".csv", ".txt", ".md", ".html", ""}
"""Suffixes of files that may lie beside annotations."""
_HEAD = 256  # number of bytes at the start of a file in which the resolution is, if it is given


class NothingToCompareError(ValueError):
    """Error of a directory, an annotator or a record that does not exist."""


def compare_directories(  # noqa: PLR0913 - as many as the command has options
    reference: Path,
    test: Path,
    annotator: str,
    *,
    reference_annotator: str = "atr",
    records: Sequence[str] | None = None,
    beat_map: BeatMap = "ec57",
) -> dict[str, RecordComparison]:
    r"""Compare the annotation files of a directory with the reference files of another, by record name.

    The files are ``<record>.<annotator>``, either in the directory itself or in its folder ``<record>/``. The
    header is beside the reference file.

    Parameters
    ----------
    reference
        Directory of the reference.
    test
        Directory of the annotations to judge.
    annotator
        Suffix of the files to judge.
    reference_annotator
        Suffix of the reference files.
    records
        Names of the records; without them, all records of both directories. A record of only one directory is
        then logged as a warning.
    beat_map
        Class of escape beats: "ec57" or "dechazal".

    Returns
    -------
    Comparison of each record by name.

    Raises
    ------
    NothingToCompareError
        A directory, the files of an annotator or a record does not exist.
    UnreadableError
        A file cannot be read or is not comparable: empty, not in order of time, or too short.

    Examples
    --------
    A record of ten minutes, compared with itself:

    >>> import tempfile
    >>> from ectopy.annotations import write_annotations
    >>> marks = Annotations(np.array([40_000, 40_100]), np.array(["N", "V"]), np.zeros(2, int), ("", ""))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_annotations(Path(folder, "100"), "atr", marks, fs=100.0)
    ...     _ = Path(folder, "100.hea").write_text("100 1 100 60000\n100.dat 16\n")
    ...     records = compare_directories(Path(folder), Path(folder), "atr")
    >>> records["100"].beats.count("NSVFQ", "NSVFQ")
    2
    """
    names = records or _records_of_both(reference, test, annotator, reference_annotator)
    paths = {
        name: (_find(reference, name, reference_annotator), _find(test, name, annotator)) for name in names
    }
    return {
        name: _compare_files(reference_path, test_path, reference_annotator, annotator, beat_map)
        for name, (reference_path, test_path) in paths.items()
    }


def _records_of_both(reference: Path, test: Path, annotator: str, reference_annotator: str) -> list[str]:
    reference_names, test_names = _records(reference, reference_annotator), _records(test, annotator)
    for names, missing in (
        (reference_names - test_names, f".{annotator} in {test}"),
        (test_names - reference_names, f".{reference_annotator} in {reference}"),
    ):
        if names:
            logger.warning("not compared, as there is no %s: %s", missing, " ".join(sorted(names)))
    if not reference_names & test_names:
        raise NothingToCompareError(
            f"{test}: no record in common with {reference}. Check the two directories and the annotators."
        )
    return sorted(reference_names & test_names)


def _records(folder: Path, annotator: str) -> set[str]:
    """Return the names of the records of an annotator, in a directory or each in a folder of its own."""
    if not folder.is_dir():
        raise NothingToCompareError(f"{folder}: no such directory. Give a directory of annotation files.")
    names = {path.stem for path in folder.glob(f"*.{annotator}")}
    names |= {path.stem for path in folder.glob(f"*/*.{annotator}") if path.parent.name == path.stem}
    if not names:
        other = sorted({path.suffix for path in folder.glob("*.*")} - _NO_ANNOTATORS)
        instead = f" It has {', '.join(other[:5])}." if other else ""
        raise NothingToCompareError(
            f"{folder}: no annotation files .{annotator}.{instead} Check the annotator's name."
        )
    return names


def _find(folder: Path, name: str, annotator: str) -> Path:
    """Return the path of a record, without suffix."""
    if name != Path(name).name:
        raise NothingToCompareError(f"{name}: a path, not the name of a record. Give a name such as 100.")
    for record in (folder / name, folder / name / name):
        if record.with_name(f"{name}.{annotator}").is_file():
            return record
    raise NothingToCompareError(
        f"{folder}: no annotation file {name}.{annotator}. Check the names of the record and the annotator."
    )


def _compare_files(
    reference: Path, test: Path, reference_annotator: str, annotator: str, beat_map: BeatMap
) -> RecordComparison:
    header = read_header(reference.with_name(f"{reference.name}.hea"))
    if header.n_frames and header.n_frames <= LEARNING_S * header.fs:
        raise UnreadableError(
            f"{header.path}: the record lasts {header.n_frames / header.fs:g} s, and the learning period of "
            f"{LEARNING_S:g} s is not scored. Leave the record out."
        )
    return compare_record(
        _read(reference, reference_annotator, header.fs, header.n_frames),
        _read(test, annotator, header.fs, header.n_frames),
        header.fs,
        beat_map=beat_map,
        n_samples=header.n_frames or None,
    )


def _read(record: Path, annotator: str, fs: float, n_frames: int) -> Annotations:
    """Read annotations, check their number and order, and convert them to the sampling rate of the record."""
    annotations = read_annotations(record, annotator)
    path = record.with_name(f"{record.name}.{annotator}")
    if not len(annotations):
        raise UnreadableError(
            f"{path}: the file has no annotations. Write it again, or leave the record out."
        )
    backwards = np.flatnonzero(np.diff(annotations.sample, prepend=0) < 0)
    if backwards.size:
        first = int(backwards[0])
        raise UnreadableError(
            f"{path}: annotation {first + 1} (sample {annotations.sample[first]}) is before the "
            "one that precedes it in the file. Sort the annotations by time."
        )
    ratio = fs / (_resolution(path) or fs)
    sample = np.floor(annotations.sample * ratio + 0.5).astype(np.int64)
    n_after = int((sample > n_frames + _LATE_S * fs).sum()) if n_frames else 0
    note = f"{n_after} of {len(sample)} annotations are after its end, and may be of another record or rate"
    return replace(annotations, sample=sample, notes=(*annotations.notes, *([note] if n_after else [])))


def _resolution(path: Path) -> float | None:
    """Return the time resolution in Hz that an annotation file states; None if it states none."""
    with path.open("rb") as file:
        stated = _RESOLUTION.search(file.read(_HEAD))
    resolution = None if stated is None else float(stated[1])
    if resolution == 0:
        raise UnreadableError(f"{path}: the file states a time resolution of 0 Hz. Write it again.")
    return resolution
