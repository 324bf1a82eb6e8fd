"""Reader of tables in CSV or Parquet: one lead per column, in mV unless the column name gives a unit.

The sampling rate comes from the metadata or from a column of times. A table without column names is a
recording only if the user gives its rate.
"""

from pathlib import Path

from ectopy.ecg import Recording
from ectopy.readers.tables import csv_reader, parquet_reader

SUFFIXES: tuple[str, ...] = (".csv", ".tsv", ".txt", ".parquet")
_MAGIC = b"PAR1"


def matches(path: Path, head: bytes, *, fs: float | None = None) -> bool:
    """Return whether the first lines or the schema name leads."""
    if head.startswith(_MAGIC):
        return parquet_reader.matches(path)
    return csv_reader.matches(path, head, fs=fs)


def companion_files(path: Path) -> tuple[Path, ...]:
    """Return the file: a recording is one file."""
    return (path,)


def open_recording(path: Path, *, fs: float | None = None, unit: str | None = None) -> Recording:
    """Open a table; ``fs`` and ``unit`` are the rate in Hz and the unit of a table without them."""
    with path.open("rb") as file:
        is_parquet = file.read(len(_MAGIC)) == _MAGIC
    if is_parquet:
        return parquet_reader.open_recording(path, fs=fs, unit=unit)
    return csv_reader.open_recording(path, fs=fs, unit=unit)
