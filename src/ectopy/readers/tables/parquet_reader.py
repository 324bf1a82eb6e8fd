"""Read Parquet files: the schema when opened, rows in batches; metadata is that of the schema."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Recording, Signal, UnreadableError
from ectopy.readers.tables.columns import SECONDS, Columns, Grid, infer_columns, infer_time_grid, rate_in
from ectopy.readers.validation import check_length, check_rate

_BATCH_ROWS = 2**16
_MOST_ROWS = 2**32


@dataclass(frozen=True, eq=False)
class _Table:
    """Table with the columns of the leads, their units in mV, and the grid from rows to samples."""

    path: Path
    names: list[str]
    in_mv: list[float]
    grid: Grid
    n_rows: int


def matches(path: Path) -> bool:
    """Return whether a column of numbers has the name of an ECG lead."""
    with suppress(UnreadableError):
        file = _open(path)
        return _columns(file, _metadata(file)).named
    return False


def open_recording(path: Path, *, fs: float | None = None) -> Recording:
    """Open a table; ``fs`` is the rate in Hz of a table without a rate and without times."""
    file = _open(path)
    metadata = _metadata(file)
    columns, n_rows = _columns(file, metadata), file.metadata.num_rows
    if not columns.leads:
        raise UnreadableError(
            f"{path}: no column with the name of an ECG lead. Name the columns, for example II and V1."
        )
    if not 0 <= n_rows <= _MOST_ROWS:
        raise UnreadableError(
            f"{path}: the table has {n_rows} rows, more than the limit of {_MOST_ROWS}. "
            "Split it into shorter files."
        )
    names = list(file.schema_arrow.names)
    grid = infer_time_grid(path, _times(path, file, names, columns)) if columns.time is not None else None
    rate = (grid.fs if grid else None) or rate_in(metadata) or fs
    if not rate:
        raise UnreadableError(
            f"{path}: no sampling rate. "
            "Give it with --fs HZ, as fs in the metadata, or add a column of times."
        )
    grid = grid or Grid(rate, np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64))
    in_mv = list(columns.in_mv.values())
    end = int(grid.sample[-1]) + n_rows - int(grid.row[-1])
    return Recording(
        name=path.stem,
        fs=check_rate(path, rate),
        leads=tuple(columns.leads.values()),
        n_samples=check_length(path, end, rate),
        read=partial(_read, _Table(path, [names[column] for column in columns.leads], in_mv, grid, n_rows)),
        start=_start(metadata),
    )


def _open(path: Path) -> Any:
    try:
        from pyarrow.parquet import ParquetFile

        return ParquetFile(path, memory_map=False)
    except Exception as error:  # pyarrow raises ArrowInvalid, OSError, and what its decoders raise
        raise UnreadableError(
            f"{path}: not a complete Parquet file ({type(error).__name__}). Copy or export it again."
        ) from error


def _metadata(file: Any) -> dict[str, str]:
    stored: Mapping[bytes, bytes] = file.schema_arrow.metadata or {}
    return {
        key.decode("utf-8", "replace").casefold(): value.decode("utf-8", "replace")
        for key, value in stored.items()
        if len(value) < 200
    }


def _columns(file: Any, metadata: dict[str, str]) -> Columns:
    """Return the columns of leads and time; columns that are neither numbers nor times are ignored."""
    from pyarrow import types

    units = [
        (field.metadata or {}).get(b"unit", b"").decode("utf-8", "replace") for field in file.schema_arrow
    ]
    names = [
        field.name if _is_number(types, field.type) or _is_time(types, field.type) else "\0"
        for field in file.schema_arrow
    ]
    return infer_columns(
        names, units, unit=metadata.get("unit", metadata.get("units", "")), lead=metadata.get("lead", "")
    )


def _is_number(types: Any, kind: Any) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind))


def _is_time(types: Any, kind: Any) -> bool:
    return bool(types.is_timestamp(kind) or types.is_duration(kind))


def _times(path: Path, file: Any, names: list[str], columns: Columns) -> Iterator[NDArray[np.float64]]:
    """Yield the times in s, in batches."""
    name = names[columns.time or 0]
    for batch in _batches(path, file, [name], range(file.metadata.num_row_groups)):
        values = batch[name]
        if values.dtype.kind in "mM":
            yield values.view(np.int64).astype(np.float64) * SECONDS.get(
                np.datetime_data(values.dtype)[0], 1.0
            )
        else:
            yield values.astype(np.float64) * columns.time_s


def _batches(path: Path, file: Any, names: list[str], groups: Any) -> Iterator[dict[str, NDArray[Any]]]:
    try:
        for batch in file.iter_batches(
            _BATCH_ROWS, row_groups=list(groups), columns=names, use_threads=False
        ):
            yield {name: batch.column(name).to_numpy(zero_copy_only=False) for name in names}
    except UnreadableError:
        raise
    except Exception as error:  # as in _open
        raise UnreadableError(
            f"{path}: the rows of the Parquet file are damaged ({type(error).__name__}). "
            "Copy or export it again."
        ) from error


def _read(table: _Table, start: int, stop: int) -> Signal:
    """Read samples [start, stop) in mV; NaN between runs of rows."""
    block = np.full((stop - start, len(table.names)), np.nan, dtype=np.float32)
    grid = table.grid
    ends = np.append(grid.row[1:], table.n_rows)
    file = _open(table.path)
    for row, sample, end in zip(grid.row.tolist(), grid.sample.tolist(), ends.tolist(), strict=True):
        first, last = max(start, sample), min(stop, sample + end - row)
        if first < last:
            part = _rows(table, file, row + first - sample, row + last - sample)
            block[first - start : last - start] = part * table.in_mv
    return block


def _rows(table: _Table, file: Any, first: int, last: int) -> NDArray[np.float64]:
    """Read rows [first, last) as [n_rows, n_leads], from the row groups that contain them."""
    sizes = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
    ends = np.cumsum(sizes).tolist()
    groups = [group for group, end in enumerate(ends) if end > first and end - sizes[group] < last]
    rows = np.full((last - first, len(table.names)), np.nan)
    row = ends[groups[0]] - sizes[groups[0]] if groups else 0
    for batch in _batches(table.path, file, table.names, groups):
        n = len(batch[table.names[0]])
        begin, end = max(first, row), min(last, row + n)
        if begin < end:
            for column, name in enumerate(table.names):
                rows[begin - first : end - first, column] = batch[name][begin - row : end - row]
        row += n
        if row >= last:
            break
    return rows


def _start(metadata: dict[str, str]) -> datetime | None:
    """Return local date and time of the start, if the metadata states it; a time zone is ignored."""
    for key in ("start", "start_time", "starttime"):
        with suppress(ValueError):
            return datetime.fromisoformat(metadata.get(key, "")).replace(tzinfo=None)
    return None
