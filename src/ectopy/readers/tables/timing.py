"""Sampling rate of a table: from its column of times, from what the file states, or from the user."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import HIGHEST_HZ, LOWEST_HZ, UnreadableError
from ectopy.readers.tables.clock import read_clock
from ectopy.readers.tables.time_grid import (
    Grid,
    Spacing,
    UnsortedTimesError,
    UnusableTimesError,
    even_grid,
    find_spacing,
)

_UNITS = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9}
_FROM_2000_TO_2100_S = (946_684_800.0, 4_102_444_800.0)
"""Seconds since 1970."""
_HIGHEST_GUESSED_HZ = 5000.0
"""A higher rate in the only plausible unit means another unit, such as ticks of 100 ns or 0.1 ms."""
_CLOCK_STEPS_S = (40.0, 4040.0)
"""Steps from 59 s to the next minute or hour, if 12:59:59 is written as 125959."""
_SAME = 1e-3
"""Two rates that differ by less are the same one."""
_SAME_ROUGHLY = 0.02


@dataclass(frozen=True, eq=False)
class Times:
    """Column of times: a function that reads it in batches, and its unit in s, None if nobody states one.

    ``named`` is whether the column has the name of a time. ``first_row`` is what a reader of the file calls
    the first row.
    """

    read: Callable[[], Iterable[NDArray[np.float64]]]
    unit_s: float | None
    named: bool = True
    first_row: int = 1


def clock_times(batches: Iterable[Any], *, first_row: int = 1) -> tuple[Times, tuple[str, ...]]:
    """Read a column of times that are text, such as ``23:59:59.998``.

    Parameters
    ----------
    batches
        The times, each batch a PyArrow array of strings.
    first_row
        What a reader of the file calls the first row.

    Returns
    -------
    The times, and notes on how they were read. A text that is no time fails when the times are used.
    """
    try:
        seconds, notes = read_clock(batches)
    except UnusableTimesError as error:
        return Times(partial(_fail, error), 1.0, first_row=first_row), ()
    return Times(lambda: [seconds], 1.0, first_row=first_row), notes


def _fail(error: UnusableTimesError) -> NoReturn:
    raise error


def find_grid(
    path: Path, times: Times | None, *, stated: tuple[float, ...], fs: float | None
) -> tuple[Grid, tuple[str, ...]]:
    """Find the time grid of a table.

    The times count most, then the rate in the file, then the rate of the user. Times that cannot be used are
    replaced by the next one. A number that can be read in two ways is settled by another rate, or refused.

    Parameters
    ----------
    path
        File to name in messages.
    times
        Column of times, if there is one.
    stated
        Readings of the rate in the file, in Hz; more than one if it can be read in two ways.
    fs
        Rate in Hz that the user gives.

    Returns
    -------
    The grid, and notes on what was not used.

    Raises
    ------
    UnreadableError
        There is no rate, or there are two.
    """
    other = _stated_rate(path, stated, fs)
    if times is None:
        if not other:
            raise UnreadableError(
                f"{path}: no sampling rate. Give it with --fs HZ or in the file (in a CSV file as first line "
                "`# fs: 250`, in Parquet as `fs` in the metadata), or add a column of times."
            )
        return even_grid(other), _unused(fs, other, "the file states")
    try:
        spacing = find_spacing(times.read)
        rate, notes = _rate(path, spacing, times, other)
    except UnusableTimesError as error:
        where = "" if error.row is None else f" (row {times.first_row + error.row})"
        if isinstance(error, UnsortedTimesError):
            raise UnreadableError(f"{path}: {error.problem}{where}. Sort the rows by time.") from error
        if not other:
            raise UnreadableError(
                f"{path}: {error.problem}{where}. "
                "Correct the column of times, or give the rate with --fs HZ to do without it."
            ) from error
        return even_grid(other), (f"the column of times is not used: {error.problem}{where}",)
    return Grid(rate, spacing.row, spacing.sample), (*notes, *_unused(other, rate, "the times give"))


def _stated_rate(path: Path, stated: tuple[float, ...], fs: float | None) -> float | None:
    """Return the rate that the file states, else the one that the user gives."""
    if len(stated) < 2:
        return stated[0] if stated else fs
    if fs and (same := [rate for rate in stated if abs(rate / fs - 1) < _SAME_ROUGHLY]):
        return same[0]
    readings = " or ".join(f"{rate:g}" for rate in stated)
    raise UnreadableError(
        f"{path}: the sampling rate in the file may be {readings} Hz. Give the right one with --fs HZ."
    )


def _unused(other: float | None, rate: float, source: str) -> tuple[str, ...]:
    """Return a note on a rate that does not count, if it differs."""
    if not other or abs(other / rate - 1) < _SAME_ROUGHLY:
        return ()
    return (f"the sampling rate of {other:g} Hz is not used: {source} {rate:g} Hz",)


def _rate(path: Path, spacing: Spacing, times: Times, other: float | None) -> tuple[float, tuple[str, ...]]:
    """Return the rate in Hz that the times give in their unit, or in the only plausible one."""
    notes: tuple[str, ...] = ()
    unit = times.unit_s
    if unit is None:
        if _counts(spacing):
            return _rate_of_numbers(other), ("the column of times is read as numbers of samples",)
        if _is_digits_of_a_clock(spacing):
            raise UnusableTimesError("the times may be the digits of a clock, such as 125959 for 12:59:59")
        name = _only_unit(spacing)
        unit = _UNITS[name]
        notes = (f"the times have no unit and are read as {name}",) if name != "seconds" else ()
    rate = 1 / (spacing.period * unit)
    margin = spacing.tolerance * rate
    if rate + margin < LOWEST_HZ or rate - margin > HIGHEST_HZ:
        raise UnusableTimesError(f"the times give {rate:g} Hz, outside {LOWEST_HZ:g} to {HIGHEST_HZ:g} Hz")
    doubtful = bool(notes) or not times.named
    if doubtful and other and abs(other / rate - 1) > _SAME_ROUGHLY:
        column = "the column of times" if times.named else "the first column, which has no name,"
        raise UnreadableError(
            f"{path}: {column} gives {rate:g} Hz if it holds times, but --fs or the file says {other:g} Hz. "
            "Name the columns with their units (`time_ms`, `sample`), or give the right rate."
        )
    if notes and not times.named and not other:
        raise UnusableTimesError(
            f"the first column has no name, and may be times in {name} ({rate:g} Hz) or something else"
        )
    close = max(spacing.tolerance, 5 * _SAME if spacing.shared else _SAME)
    if other and abs(other / rate - 1) <= close:
        return other, notes
    return _rounded(rate, spacing.tolerance), notes


def _counts(spacing: Spacing) -> bool:
    """Check whether the times are 0, 1, 2, ...: numbers of samples, or milliseconds at 1000 Hz."""
    return spacing.period == 1 and spacing.first in {0, 1}


def _is_digits_of_a_clock(spacing: Spacing) -> bool:
    """Check whether all gaps are those of times such as ``125959``."""
    lost = np.diff(spacing.sample) - np.diff(spacing.row)
    steps = lost[lost > 0] * spacing.period
    nearest = [np.abs(steps - step) <= 2 * spacing.period for step in _CLOCK_STEPS_S]
    return bool(len(steps) and np.logical_or(*nearest).all())


def _rate_of_numbers(other: float | None) -> float:
    if other:
        return other
    raise UnusableTimesError(
        "the times rise by 1, so that they may be numbers of samples, or milliseconds at 1000 Hz"
    )


def _only_unit(spacing: Spacing) -> str:
    """Return the unit in which the times are moments of this century, or else give a plausible rate."""
    low, high = _FROM_2000_TO_2100_S
    for name, unit in _UNITS.items():
        if low <= spacing.first * unit < high:
            return name
    rates = {name: 1 / (spacing.period * unit) for name, unit in _UNITS.items()}
    plausible = [name for name, rate in rates.items() if LOWEST_HZ <= rate <= _HIGHEST_GUESSED_HZ]
    if len(plausible) == 1:
        return plausible[0]
    readings = " or ".join(
        f"{rates[name]:g} Hz in {name}" for name in plausible or ["seconds", "milliseconds"]
    )
    raise UnusableTimesError(f"the times have no unit, and give {readings}")


def _rounded(fs: float, tolerance: float) -> float:
    """Return the nearest whole number of Hz if the rate, found from rounded times, is close enough."""
    return float(round(fs)) if abs(fs - round(fs)) < tolerance * fs else fs
