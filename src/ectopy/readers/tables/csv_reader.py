"""Read CSV files into memory, in the layout that their first lines show."""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import HIGHEST_HZ, LOWEST_HZ, Recording, UnreadableError
from ectopy.readers.in_memory import Piece, in_memory_recording
from ectopy.readers.tables.columns import Columns, Grid, infer_time_grid, rate_in
from ectopy.readers.tables.csv_layout import START_KEYS, Layout, detect_layout, is_number, layout_columns
from ectopy.readers.validation import check_length

_HEAD_BYTES = 2**16
_LARGEST = 2**30


def matches(path: Path, head: bytes, *, fs: float | None = None) -> bool:
    """Return whether a file is a table of numbers under lead names; without names ``fs`` must be given."""
    if path.suffix.lower() not in {".csv", ".tsv", ".txt"}:
        return False
    layout = detect_layout(head)
    if layout is None:
        return False
    return layout_columns(layout).named if layout.names or "lead" in layout.metadata else bool(fs)


def open_recording(path: Path, *, fs: float | None = None) -> Recording:
    """Read a whole table; ``fs`` is the rate in Hz of a table without a rate and without times."""
    if (size := path.stat().st_size) > _LARGEST:
        raise UnreadableError(
            f"{path}: the text has {size} bytes, more than the limit of {_LARGEST}. "
            "Save the table as Parquet, or split it into shorter files."
        )
    with path.open("rb") as file:
        layout = detect_layout(file.read(_HEAD_BYTES))
    if layout is None:
        raise UnreadableError(f"{path}: not a table of numbers. Write one lead per column, in mV.")
    columns = layout_columns(layout)
    if not columns.leads:
        raise UnreadableError(
            f"{path}: no column with the name of an ECG lead. Name the columns, for example II and V1."
        )
    leads, times = _read(path, layout, columns)
    grid = infer_time_grid(path, [times * columns.time_s]) if times is not None else None
    if grid and not layout.names and not LOWEST_HZ <= grid.fs <= HIGHEST_HZ:
        raise UnreadableError(
            f"{path}: no column names, and the first column read as times gives {grid.fs:g} Hz. "
            "Add a line with the column names."
        )
    rate = (grid.fs if grid else None) or rate_in(layout.metadata) or fs
    if not rate:
        missing = "no sampling rate" if layout.names else "no lead names and no sampling rate"
        raise UnreadableError(
            f"{path}: {missing}. "
            "Give the rate with --fs HZ, in a first line `# fs: 250`, or add a column of times."
        )
    pieces = list(_pieces(path, columns, leads, grid))
    return in_memory_recording(path, pieces, fs=float(rate), start=_start(layout.metadata))


def _read(
    path: Path, layout: Layout, columns: Columns
) -> tuple[NDArray[np.float32], NDArray[np.float64] | None]:
    """Read the leads, [n_rows, n_leads], and the times in their unit; None if there is no column of times."""
    import pandas as pd

    times: Any = [] if columns.time is None else [columns.time]
    clock = bool(times) and not is_number(layout.rows[0][columns.time or 0], layout.delimiter)
    dtype: dict[int, Any] = dict.fromkeys((*columns.leads, *times), np.float64)
    dtype |= dict.fromkeys(times, str) if clock else {}
    try:
        parts = pd.read_csv(
            path,
            sep=r"\s+" if layout.delimiter == " " else layout.delimiter,
            header=None,
            skiprows=layout.n_before,
            usecols=sorted(dtype),
            dtype=dtype,
            decimal=layout.decimal,
            na_values=["-", "--", "?"],
            encoding=layout.encoding,
            encoding_errors="replace",
            compression=None,
            skipinitialspace=True,
            chunksize=2**18,
        )
        leads, time_parts = [], []
        for part in parts:
            leads.append(part[list(columns.leads)].to_numpy(np.float32))
            time_parts += [part[column] for column in times]
    except (ValueError, OverflowError, MemoryError) as error:  # pandas' ParserError is a ValueError
        raise UnreadableError(
            f"{path}: some rows do not consist of {layout.n_columns} numbers. Correct or remove them."
        ) from error
    if not times:
        return np.concatenate(leads), None
    whole = pd.concat(time_parts)
    return np.concatenate(leads), _clock_s(path, whole) if clock else whole.to_numpy(np.float64)


def _clock_s(path: Path, texts: Any) -> NDArray[np.float64]:
    """Return times of day or dates with times, such as 0:01.004 or 2020-01-31 12:00:00.25, in s."""
    import pandas as pd

    plain = texts.str.strip(" '\"[]")
    try:
        if plain.iloc[0][4:5] == "-":
            moments = pd.to_datetime(plain, format="ISO8601", utc=True)
            return np.asarray((moments - moments.iloc[0]).dt.total_seconds(), dtype=np.float64)
        full = plain.where(plain.str.count(":") == 2, "0:" + plain)
        # pandas before 3.1 ignores characters after the digits; it refuses a text without digits.
        full = full.mask(full.str.contains(r":[\d.]*[^\d.:\s]", na=False), "x")
        return np.asarray(pd.to_timedelta(full).dt.total_seconds(), dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise UnreadableError(
            f"{path}: some times are neither times of day nor dates with times. "
            "Correct them, or write seconds."
        ) from error


def _pieces(path: Path, columns: Columns, leads: NDArray[np.float32], grid: Grid | None) -> Iterator[Piece]:
    """Yield each run of rows without a gap, per lead; unnamed columns without any number are skipped."""
    rows = [0] if grid is None else grid.row.tolist()
    samples = [0] if grid is None else grid.sample.tolist()
    check_length(path, samples[-1] + len(leads) - rows[-1], grid.fs if grid else 50_000.0)
    has_number = [bool(np.isfinite(leads[:, index]).any()) for index in range(leads.shape[1])]
    for index, (column, lead) in enumerate(columns.leads.items()):
        if has_number[index] or columns.named:
            for (first, last), sample in zip(pairwise([*rows, len(leads)]), samples, strict=True):
                yield Piece(lead, leads[first:last, index], columns.in_mv[column], start=sample)


def _start(metadata: dict[str, str]) -> datetime | None:
    """Return local date and time of the start, if the metadata states both; a time zone is ignored."""
    for key in START_KEYS:
        match = re.match(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?", metadata.get(key, ""))
        if match:
            with suppress(ValueError):
                return datetime.fromisoformat(match[0])
    return None
