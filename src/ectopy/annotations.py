"""WFDB annotation files, read and written; wfdb, and pandas with it, is imported when one is."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Labels, Samples, UnreadableError


@dataclass(frozen=True, eq=False)
class Annotations:
    """One annotation file: sample, MIT symbol, subtype and text (NUL-free) of each mark, in order of time."""

    sample: Samples
    symbol: Labels
    subtype: NDArray[np.int64]
    aux: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sample)


def read_annotations(record: Path, annotator: str) -> Annotations:
    """Read ``<record>.<annotator>``, ``record`` being the path without suffix."""
    path = record.parent / f"{record.name}.{annotator}"
    if not path.is_file():
        raise UnreadableError(f"{path}: an annotation file expected, none there")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas 3 deprecations inside wfdb
            import wfdb

            read = wfdb.rdann(str(record), annotator)
    except Exception as error:  # wfdb raises whatever comes: ValueError, IndexError, struct.error ...
        raise UnreadableError(
            f"{path}: WFDB annotations expected, {type(error).__name__}: {error}"
        ) from error
    return Annotations(
        np.asarray(read.sample, dtype=np.int64),
        # codes that WFDB leaves undefined come as NaN, of which U1 would keep the n of an escape beat
        np.array([mark if isinstance(mark, str) else "" for mark in read.symbol], dtype="U1"),
        np.asarray(read.subtype, dtype=np.int64),
        tuple(note.rstrip("\x00") for note in read.aux_note),
    )


def write_annotations(record: Path, annotator: str, annotations: Annotations, *, fs: float) -> None:
    """Write ``<record>.<annotator>``; marks must be in order of time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import wfdb

        wfdb.wrann(
            record.name,
            annotator,
            annotations.sample,
            symbol=annotations.symbol.tolist(),
            subtype=annotations.subtype,
            aux_note=list(annotations.aux),
            fs=fs,
            write_dir=str(record.parent),
        )
