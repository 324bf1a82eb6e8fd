"""Read Parquet files: the schema when opened, rows in batches; metadata is that of the schema."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import VALUES_AT_ONCE, Recording, UnreadableError
from ectopy.readers.lead_names import lead_of
from ectopy.readers.tables.columns import SECONDS, Columns, infer_columns, is_time
from ectopy.readers.tables.preamble import rates_in, start_in
from ectopy.readers.tables.recording import Rows, table_recording
from ectopy.readers.tables.timing import Times, clock_times, find_grid

_BATCH_ROWS = 2**16
_MOST_ROWS = 2**32


def matches(path: Path) -> bool:
    """Return whether a column of numbers has the name of an ECG lead."""
    with suppress(UnreadableError):
        file = _open(path)
        return _columns(file, _metadata(file)).named
    return False


def open_recording(path: Path, *, fs: float | None = None, unit: str | None = None) -> Recording:
    """Open a table; ``fs`` counts if it has neither a rate nor usable times, ``unit`` if it has none."""
    file = _open(path)
    metadata = _metadata(file)
    columns, unit_notes = _columns(file, metadata).in_unit(unit)
    n_rows = file.metadata.num_rows
    if not columns.leads:
        if any(lead_of(name) for name in file.schema_arrow.names):
            raise UnreadableError(
                f"{path}: the columns with the names of ECG leads hold no numbers. Store numbers."
            )
        raise UnreadableError(
            f"{path}: no column with the name of an ECG lead. Name the columns, for example II and V1."
        )
    if not 0 <= n_rows <= _MOST_ROWS:
        raise UnreadableError(
            f"{path}: the table has {n_rows} rows, more than the limit of {_MOST_ROWS}. "
            "Split it into shorter files."
        )
    names = list(file.schema_arrow.names)
    used = [names[column] for column in (*columns.leads, *([] if columns.time is None else [columns.time]))]
    if any(names.count(name) > 1 for name in used):
        raise UnreadableError(
            f"{path}: two columns have the same name. Give each lead and the times names of their own."
        )
    times, notes = _times(path, file, columns)
    grid, unused = find_grid(path, times, stated=rates_in(metadata), fs=fs)
    leads = [names[column] for column in columns.leads]
    return table_recording(
        path,
        columns,
        Rows(n_rows, partial(_rows, path, leads)),
        grid,
        start=start_in(metadata),
        notes=(*columns.notes, *unit_notes, *notes, *unused),
    )


def _open(path: Path) -> Any:
    try:
        from pyarrow.parquet import ParquetFile

        return ParquetFile(path, memory_map=False)
    except Exception as error:  # pyarrow raises ArrowInvalid, OSError, and what its decoders raise
        raise UnreadableError(f"{path}: not a complete Parquet file. Copy or export it again.") from error


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
    names = [field.name if _is_readable(types, field) else "\0" for field in file.schema_arrow]
    moments = [n for n, field in enumerate(file.schema_arrow) if _is_time(types, field.type)]
    if len(moments) == 1 and not any(map(is_time, names)):
        names[moments[0]] = "time"  # pandas calls an index without a name `__index_level_0__`
    return infer_columns(
        names, units, unit=metadata.get("unit", metadata.get("units", "")), lead=metadata.get("lead", "")
    )


def _is_number(types: Any, kind: Any) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _is_text(types: Any, kind: Any) -> bool:
    text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    return bool(text or (types.is_dictionary(kind) and _is_text(types, kind.value_type)))


def _is_readable(types: Any, field: Any) -> bool:
    """Return whether a column is a lead or a time by its type; only times may be text."""
    text = _is_text(types, field.type)
    return (text and is_time(field.name)) or _is_number(types, field.type) or _is_time(types, field.type)


def _is_time(types: Any, kind: Any) -> bool:
    return bool(types.is_timestamp(kind) or types.is_duration(kind))


def _times(path: Path, file: Any, columns: Columns) -> tuple[Times | None, tuple[str, ...]]:
    """Return the column of times, and notes on how it was read."""
    from pyarrow import types

    if columns.time is None:
        return None, ()
    field = file.schema_arrow.field(columns.time)
    if _is_text(types, field.type):
        return clock_times(_text_batches(path, file, field.name))
    unit = 1.0 if _is_time(types, field.type) else columns.time_s
    return Times(partial(_time_batches, path, field.name), unit), ()


def _time_batches(path: Path, name: str) -> Iterator[NDArray[np.float64]]:
    """Yield the times in batches: numbers as they are, moments and durations in s from the first one."""
    origin = None
    for batch in _batches(path, _open(path), [name]):
        values = batch[name]
        if values.dtype.kind in "mM" and len(values):
            origin = values[0] if origin is None else origin
            factor = SECONDS.get(np.datetime_data(values.dtype)[0], 1.0)
            since = values - origin
            values = np.where(np.isnat(since), np.nan, since.astype(np.int64) * factor)
        yield values.astype(np.float64)


def _text_batches(path: Path, file: Any, name: str) -> Iterator[Any]:
    """Yield the times in batches of text."""
    import pyarrow as pa

    for batch in _arrow_batches(path, file, [name]):
        yield batch.column(name).cast(pa.string())


def _batches(
    path: Path, file: Any, names: list[str], groups: Iterable[int] | None = None
) -> Iterator[dict[str, NDArray[Any]]]:
    for batch in _arrow_batches(path, file, names, groups):
        yield {name: batch.column(name).to_numpy(zero_copy_only=False) for name in names}


def _arrow_batches(
    path: Path, file: Any, names: list[str], groups: Iterable[int] | None = None
) -> Iterator[Any]:
    """Yield some columns in batches, from all row groups or from some."""
    groups = range(file.metadata.num_row_groups) if groups is None else groups
    n_rows = max(min(_BATCH_ROWS, VALUES_AT_ONCE // len(names)), 1)
    try:
        yield from file.iter_batches(n_rows, row_groups=list(groups), columns=names, use_threads=False)
    except Exception as error:  # as in _open
        raise UnreadableError(
            f"{path}: the rows of the Parquet file are damaged. Copy or export it again."
        ) from error


def _rows(path: Path, names: list[str], first: int, last: int) -> NDArray[np.float64]:
    """Read rows [first, last) as [n_rows, n_leads], from the row groups that contain them."""
    file = _open(path)
    ends = np.cumsum(
        [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
    )
    begin_group = int(np.searchsorted(ends, first, "right"))
    end_group = int(np.searchsorted(ends, last, "left")) + 1
    rows = np.full((last - first, len(names)), np.nan)
    row = int(ends[begin_group - 1]) if begin_group else 0
    for batch in _batches(path, file, names, range(begin_group, min(end_group, len(ends)))):
        n = len(batch[names[0]])
        begin, end = max(first, row), min(last, row + n)
        if begin < end:
            for column, name in enumerate(names):
                rows[begin - first : end - first, column] = batch[name][begin - row : end - row]
        row += n
        if row >= last:
            break
    return rows
