"""Read CSV files into memory, in the layout that their first lines show."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import VALUES_AT_ONCE, Recording, UnreadableError
from ectopy.readers.tables.columns import Columns
from ectopy.readers.tables.csv_layout import Layout, detect_layout, is_number, layout_columns
from ectopy.readers.tables.recording import Rows, table_recording
from ectopy.readers.tables.timing import Times, clock_times, find_grid
from ectopy.readers.validation import check_in_memory

_HEAD_BYTES = 2**16
_LARGEST = 2**30
_BATCH_ROWS = 2**18


def matches(path: Path, head: bytes, *, fs: float | None = None) -> bool:
    """Return whether a file is a table of numbers under lead names; without names ``fs`` must be given."""
    if path.suffix.lower() not in {".csv", ".tsv", ".txt"}:
        return False
    layout = detect_layout(head)
    if layout is None:
        return False
    if layout.problem:
        return layout.names_leads or bool(fs)
    return layout_columns(layout).named if layout.identifies_ecg else bool(fs)


def open_recording(path: Path, *, fs: float | None = None, unit: str | None = None) -> Recording:
    """Read a table; ``fs`` counts if it has neither a rate nor usable times, ``unit`` if it has none."""
    if (size := path.stat().st_size) > _LARGEST:
        raise UnreadableError(
            f"{path}: the text has {size} bytes, more than the limit of {_LARGEST}. "
            "Save the table as Parquet, or split it into shorter files."
        )
    with path.open("rb") as file:
        layout = detect_layout(file.read(_HEAD_BYTES))
    if layout is None:
        raise UnreadableError(f"{path}: not a table of numbers. Write one lead per column, in mV.")
    if layout.problem:
        raise UnreadableError(f"{path}: {layout.problem}")
    columns, unit_notes = layout_columns(layout).in_unit(unit)
    _check_leads(path, columns)
    leads, texts = _read(path, layout, columns)
    if any(map(_may_have_thousands, leads.T)):
        raise UnreadableError(
            f"{path}: `1.234` can be read as 1.234, or as 1234 with a point between the thousands. "
            "Export the table with nothing between the thousands."
        )
    columns, leads = _with_numbers(columns, leads)
    _check_leads(path, columns)
    times, notes = _times(layout, columns, texts)
    opensignals, before = layout.opensignals, layout.preamble
    stated = opensignals.rates if opensignals else before.rates
    grid, unused = find_grid(path, times, stated=stated, fs=fs)
    return table_recording(
        path,
        columns,
        Rows(len(leads), lambda first, last: leads[first:last]),
        grid,
        start=opensignals.start if opensignals else before.start,
        notes=(*columns.notes, *unit_notes, *_unknown_units(layout, unit), *notes, *unused),
    )


def _unknown_units(layout: Layout, unit: str | None) -> tuple[str, ...]:
    """Return a note on columns of OpenSignals that are neither converted nor of a known sensor."""
    if not layout.opensignals or unit:
        return ()
    return tuple(
        f"the unit of column {column + 1} is unknown, and its numbers are read as mV"
        for column in layout.opensignals.columns.without_unit
    )


def _check_leads(path: Path, columns: Columns) -> None:
    if not columns.leads:
        raise UnreadableError(
            f"{path}: no column with the name of an ECG lead. Name the columns, for example II and V1."
        )


def _read(path: Path, layout: Layout, columns: Columns) -> tuple[NDArray[np.float32], Any]:
    """Read the leads, [n_rows, n_leads], and the column of times, unchanged; None if there is none."""
    import pandas as pd

    times: Any = [] if columns.time is None else [columns.time]
    # Without `usecols`, pandas refuses rows with more cells than the first one.
    dtype: dict[int, Any] = dict.fromkeys(range(layout.n_columns), str)
    dtype |= dict.fromkeys((*columns.leads, *times), np.float64)
    dtype |= dict.fromkeys(times, str) if _is_clock(layout, columns) else {}
    try:
        parts = pd.read_csv(
            path,
            sep=r"\s+" if layout.delimiter == " " else layout.delimiter,
            header=None,
            skiprows=layout.n_before,
            dtype=dtype,
            decimal=layout.decimal,
            na_values=["-", "--", "?"],
            encoding=layout.encoding,
            encoding_errors="replace",
            compression=None,
            skipinitialspace=True,
            chunksize=min(_BATCH_ROWS, VALUES_AT_ONCE // len(dtype)),
        )
        leads, time_parts, n_values = [], [], 0
        for part in parts:
            n_values += part.size
            check_in_memory(path, n_values)
            leads.append(part[list(columns.leads)].to_numpy(np.float32))
            time_parts += [part[column] for column in times]
    except UnreadableError:
        raise
    except (ValueError, OverflowError, MemoryError) as error:  # pandas' ParserError is a ValueError
        raise UnreadableError(
            f"{path}: some rows do not consist of {layout.n_columns} numbers. Correct or remove them."
        ) from error
    return np.concatenate(leads), pd.concat(time_parts) if times else None


def _may_have_thousands(lead: NDArray[np.float32]) -> bool:
    """Return whether numbers are whole up to 999, and have three digits after the point from 1 on."""
    size = np.abs(lead[np.isfinite(lead)].astype(np.float64))
    whole = size == np.round(size)
    parts = size[~whole]
    if not len(parts) or not whole.any() or not 100 <= size[whole].max() < 1000:
        return False
    has_three, has_two = (np.abs(parts * n - np.round(parts * n)) <= 0.05 for n in (1000, 100))
    return bool(parts.min() > 1 and has_three.all() and np.mean(has_two) < 0.7)


def _is_clock(layout: Layout, columns: Columns) -> bool:
    return columns.time is not None and not is_number(layout.rows[0][columns.time])


def _with_numbers(columns: Columns, leads: NDArray[np.float32]) -> tuple[Columns, NDArray[np.float32]]:
    """Leave out unnamed columns without any number."""
    if columns.named:
        return columns, leads
    kept = [index for index in range(leads.shape[1]) if np.isfinite(leads[:, index]).any()]
    items = list(columns.leads.items())
    return replace(columns, leads=dict(items[index] for index in kept)), leads[:, kept]


def _times(layout: Layout, columns: Columns, texts: Any) -> tuple[Times | None, tuple[str, ...]]:
    """Return the column of times, and notes on how it was read."""
    if columns.time is None:
        return None, ()
    row = layout.n_before + 1
    named = bool(layout.names)
    if not _is_clock(layout, columns):
        numbers = texts.to_numpy(np.float64)
        return Times(lambda: [numbers], columns.time_s, named=named, first_row=row), ()
    return clock_times(_text_batches(texts), first_row=row)


def _text_batches(texts: Any) -> Iterator[Any]:
    """Yield the texts of a column as arrays of PyArrow."""
    import pyarrow as pa

    for first in range(0, len(texts), _BATCH_ROWS):
        batch = pa.array(texts.iloc[first : first + _BATCH_ROWS], type=pa.string())
        yield batch.combine_chunks() if isinstance(batch, pa.ChunkedArray) else batch
