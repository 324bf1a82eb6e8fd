"""Tables, CSV or Parquet: a lead a column, in mV unless they say otherwise, the rate said or told by times.

A table without names is a recording only where the user gives its rate.
"""

from pathlib import Path

from ectopy.ecg import Recording
from ectopy.readers.tables import csv_reader, parquet_reader

SUFFIXES: tuple[str, ...] = (".csv", ".tsv", ".txt", ".parquet")
_MAGIC = b"PAR1"


def matches(path: Path, head: bytes, *, fs: float | None = None) -> bool:
    """Tell by names of leads, in the first lines or in the schema."""
    if head.startswith(_MAGIC):
        return parquet_reader.matches(path)
    return csv_reader.matches(path, head, fs=fs)


def companion_files(path: Path) -> tuple[Path, ...]:
    """Give the file: it is all there is."""
    return (path,)


def open_recording(path: Path, *, fs: float | None = None) -> Recording:
    """Open a table; ``fs`` is for one that tells no rate."""
    with path.open("rb") as file:
        is_parquet = file.read(len(_MAGIC)) == _MAGIC
    if is_parquet:
        return parquet_reader.open_recording(path, fs=fs)
    return csv_reader.open_recording(path, fs=fs)
