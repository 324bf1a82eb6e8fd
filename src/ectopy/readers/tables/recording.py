"""The recording of a table: its rows, placed on the time grid when they are needed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Recording, Signal
from ectopy.readers.tables.columns import Columns
from ectopy.readers.tables.time_grid import Grid
from ectopy.readers.validation import check_rate, check_size


class About(TypedDict):
    """What a file says about its recording: the local start, and notes on what was left out or mended."""

    start: datetime | None
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a table: how many, and a function that reads the leads of rows [first, last), [n, n_leads]."""

    n: int
    read: Callable[[int, int], NDArray[Any]]


def table_recording(
    path: Path, columns: Columns, rows: Rows, grid: Grid, **about: Unpack[About]
) -> Recording:
    """Build the recording of a table.

    Parameters
    ----------
    path
        File that the recording comes from; the recording is named after it.
    columns
        Columns of the leads.
    rows
        Rows of the table, with one column for each lead.
    grid
        Time grid of the rows.
    **about
        Start and notes.

    Returns
    -------
    The recording.

    Raises
    ------
    UnreadableError
        The rate or the length is implausible.
    """
    return Recording(
        name=path.stem,
        fs=check_rate(path, grid.fs),
        leads=tuple(columns.leads.values()),
        n_samples=check_size(path, grid.n_samples(rows.n), grid.fs, n_leads=len(columns.leads)),
        read=partial(_read, columns, rows, grid),
        **about,
    )


def _read(columns: Columns, rows: Rows, grid: Grid, start: int, stop: int) -> Signal:
    """Read samples [start, stop) in mV; NaN between runs of rows."""
    block = np.full((stop - start, len(columns.leads)), np.nan, dtype=np.float32)
    first, samples = grid.rows_between(start, stop, rows.n)
    if len(samples):
        scale = np.array([columns.in_mv[column] for column in columns.leads])
        offset = np.array([columns.offset_mv.get(column, 0.0) for column in columns.leads])
        inside = (samples >= start) & (samples < stop)
        stored = rows.read(first, first + len(samples))[inside]
        block[samples[inside] - start] = stored * scale + offset
    return block
