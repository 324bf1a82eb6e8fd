"""Compare directories of annotation files."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ectopy.annotations import Annotations, read_annotations
from ectopy.ec57.classes import LEARNING_S, BeatMap
from ectopy.ec57.records import RecordComparison, compare_record, logger
from ectopy.ecg import UnreadableError
from ectopy.readers.wfdb.header import read_header

_RESOLUTION = re.compile(rb"## time resolution: ([0-9.]+)")

_HEAD = 256  # bytes in which it stands, if at all


class NothingToCompareError(ValueError):
    """A directory, an annotator or a record that is not there."""


def compare_directories(  # noqa: PLR0913 - as many as the command has options
    reference: Path,
    test: Path,
    annotator: str,
    *,
    reference_annotator: str = "atr",
    records: Sequence[str] | None = None,
    beat_map: BeatMap = "ec57",
) -> dict[str, RecordComparison]:
    """Compare ``<record>.<annotator>`` of one directory with the reference of another, by record name.

    Either file lies in its directory or in ``<record>/`` there, the header beside the reference. Without
    ``records``, all that the test directory holds are compared, and those only one side has are logged.
    """
    names = records or _records_of_both(reference, test, annotator, reference_annotator)
    paths = {
        name: (_find(reference, name, reference_annotator), _find(test, name, annotator)) for name in names
    }
    return {
        name: _compare_files(expected, called, reference_annotator, annotator, beat_map)
        for name, (expected, called) in paths.items()
    }


def _records_of_both(reference: Path, test: Path, annotator: str, reference_annotator: str) -> list[str]:
    known, judged = _records(reference, reference_annotator), _records(test, annotator)
    for only, where in (
        (known - judged, f".{annotator} in {test}"),
        (judged - known, f".{reference_annotator} in {reference}"),
    ):
        if only:
            logger.warning("not compared, as there is no %s: %s", where, " ".join(sorted(only)))
    if not known & judged:
        raise NothingToCompareError(f"{test}: no record that {reference} has too")
    return sorted(known & judged)


def _records(folder: Path, annotator: str) -> set[str]:
    """Name the records of an annotator, in a directory or each in a directory of its own."""
    if not folder.is_dir():
        raise NothingToCompareError(f"{folder}: a directory of annotations expected, none there")
    names = {path.stem for path in folder.glob(f"*.{annotator}")}
    names |= {path.stem for path in folder.glob(f"*/*.{annotator}") if path.parent.name == path.stem}
    if not names:
        raise NothingToCompareError(f"{folder}: annotations .{annotator} expected, none there")
    return names


def _find(folder: Path, name: str, annotator: str) -> Path:
    """Give the path of a record, without suffix."""
    for record in (folder / name, folder / name / name):
        if record.with_name(f"{name}.{annotator}").is_file():
            return record
    raise NothingToCompareError(f"{folder}: record {name} with .{annotator} expected, none there")


def _compare_files(
    reference: Path, test: Path, reference_annotator: str, annotator: str, beat_map: BeatMap
) -> RecordComparison:
    header = read_header(reference.with_name(f"{reference.name}.hea"))
    if header.n_frames and header.n_frames <= LEARNING_S * header.fs:
        raise UnreadableError(
            f"{header.path}: more than the learning period of {LEARNING_S:g} s expected, "
            f"{header.n_frames / header.fs:g} s came"
        )
    return compare_record(
        _read(reference, reference_annotator, header.fs),
        _read(test, annotator, header.fs),
        header.fs,
        beat_map=beat_map,
        n_samples=header.n_frames or None,
    )


def _read(record: Path, annotator: str, fs: float) -> Annotations:
    """Read annotations that can be compared: some, in order of time, on the time grid of the record."""
    annotations = read_annotations(record, annotator)
    path = record.with_name(f"{record.name}.{annotator}")
    if not len(annotations):
        raise UnreadableError(f"{path}: annotations expected, the file holds none")
    backwards = np.flatnonzero(np.diff(annotations.sample, prepend=0) < 0)
    if backwards.size:
        raise UnreadableError(
            f"{path}: annotations in order of time expected, number {backwards[0] + 1} "
            f"(sample {annotations.sample[backwards[0]]}) lies before its predecessor"
        )
    resolution = _RESOLUTION.search(path.read_bytes()[:_HEAD])
    ratio = fs / float(resolution[1]) if resolution else 1.0
    return replace(annotations, sample=np.floor(annotations.sample * ratio + 0.5).astype(np.int64))
