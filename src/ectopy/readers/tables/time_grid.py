"""Sampling rate and gaps from a column of times, of any unit and resolution."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MOST_RUNS = 10_000_000
_SHARES = (0.05, 0.01)
"""Largest shares of gaps and of uneven steps among all steps."""
_PACKET_SHARES = (0.3, 0.3)
"""The same where rows share a time: radio links lose and delay packets."""
_UNSORTED_SHARE = 0.2
_LATE = 8
"""A time may be late; it is a gap only if this many times after it are late too."""
_FINEST = 2e-4
"""Relative error of a rate that is measured by the clock of a recorder."""


class UnusableTimesError(ValueError):
    """Times from which no sampling rate follows; the message says why, and ``row`` where, counted from 0."""

    def __init__(self, problem: str, *, row: int | None = None) -> None:
        super().__init__(problem)
        self.problem, self.row = problem, row


class UnsortedTimesError(UnusableTimesError):
    """Rows that are in no order of time, so that a sampling rate alone does not help."""


class _UnevenError(UnusableTimesError):
    """Times that are not evenly spaced."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Time grid: rate in Hz, and the first row of each run without a gap with its sample number."""

    fs: float
    row: NDArray[np.int64]
    sample: NDArray[np.int64]

    def n_samples(self, n_rows: int) -> int:
        """Return the number of samples of a table of ``n_rows`` rows."""
        return int(self.sample[-1]) + n_rows - int(self.row[-1])

    def rows_between(self, start: int, stop: int, n_rows: int) -> tuple[int, NDArray[np.int64]]:
        """Find the rows that hold the samples [start, stop).

        Parameters
        ----------
        start, stop
            Half-open interval of samples.
        n_rows
            Number of rows of the table.

        Returns
        -------
        The first row, and the sample of each row from there on, [n_rows_found]. Rows that repeat a time may
        lie outside the interval.
        """
        first_run = max(int(np.searchsorted(self.sample, start, "right")) - 1, 0)
        end_run = int(np.searchsorted(self.sample, stop, "left"))
        if end_run <= first_run:
            return 0, np.empty(0, dtype=np.int64)
        run_end = int(self.row[end_run]) if end_run < len(self.row) else n_rows
        last = min(int(self.row[end_run - 1]) + stop - int(self.sample[end_run - 1]), run_end)
        first = int(self.row[first_run]) + max(start - int(self.sample[first_run]), 0)
        rows = np.arange(first, max(last, first))
        run = np.searchsorted(self.row, rows, "right") - 1
        return first, self.sample[run] + rows - self.row[run]


@dataclass(frozen=True, eq=False)
class Spacing:
    """Spacing of a column of times: ``period`` between samples, in the unit of the times, and its gaps.

    ``tolerance`` is the relative error of the period, and ``shared`` is
    whether rows share a time. ``row`` and ``sample`` are as in :class:`Grid`.
    """

    first: float
    period: float
    tolerance: float
    shared: bool
    row: NDArray[np.int64]
    sample: NDArray[np.int64]


def even_grid(fs: float) -> Grid:
    """Return the grid of a table without gaps, at ``fs`` Hz."""
    return Grid(fs, np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64))


def find_spacing(times: Callable[[], Iterable[NDArray[np.float64]]]) -> Spacing:
    """Find the period and the gaps of a column of times.

    Several rows may share a time: recorders stamp a packet, and programs round to whole seconds.

    Parameters
    ----------
    times
        Function that reads the times in batches; it is called once or twice.

    Returns
    -------
    The spacing.

    Raises
    ------
    UnusableTimesError
        The times fall, are missing or are not evenly spaced, or there are too few.
    """
    try:
        return _Walk(rounded=False).spacing(times())
    except _UnevenError as error:
        try:  # at 1024 Hz, times in whole ms repeat now and then, and are even all the same
            return _Walk(rounded=True).spacing(times())
        except UnusableTimesError:
            raise error from None


class _Walk:
    """One pass over the times. Its first batch gives the period; the lasting delays are the gaps."""

    def __init__(self, *, rounded: bool) -> None:
        self._rounded = rounded
        self._row = [np.zeros(1, dtype=np.int64)]
        self._skipped = [np.zeros(1, dtype=np.int64)]
        self._n_runs = 1
        self._even_time, self._even_rows, self._n_steps, self._n_uneven = 0.0, 0, 0, 0
        self._jitter = 0.0

    def spacing(self, batches: Iterable[NDArray[np.float64]]) -> Spacing:
        """Return the spacing of the times, which are read once."""
        rows, times = np.empty(0, dtype=np.int64), np.empty(0)
        first, start, start_row, looked, n_rows = 0.0, 0.0, 0, False, 0
        for new_rows, new_times, n_rows in _knots(batches):  # noqa: B007 - the last number counts
            rows, times = np.append(rows, new_rows), np.append(times, new_times)
            if not looked and len(times) > 1:
                first, looked = float(times[0]), True
                self._look(rows, times)
                start, start_row = times[0], rows[0]
            decided = max(len(times) - _LATE - 2, 0) if looked else 0
            self._take(rows, times, decided)
            rows, times = rows[decided:], times[decided:]
        if not looked:
            raise UnusableTimesError(f"{n_rows} rows at one time are too few for a sampling rate")
        self._take(rows, times, len(times) - 1)
        if not self._even_rows:
            raise _UnevenError("the times are not evenly spaced", row=0)
        row, skipped = np.concatenate(self._row), np.concatenate(self._skipped)
        order = np.argsort(row, kind="stable")
        row, skipped = row[order], skipped[order]
        sample = np.maximum.accumulate(row + np.cumsum(skipped))
        period = self._even_time / self._even_rows
        if self._count > 1:  # the time of a packet is rough; the errors cancel in the sum of all
            period = float(times[-1] - start) / (rows[-1] + skipped.sum() - start_row)
        tolerance = max(_FINEST, self._coarse / self._even_time)
        return Spacing(first, period, tolerance, self._count > 1, row, sample)

    def _look(self, rows: NDArray[np.int64], times: NDArray[np.float64]) -> None:
        """Take the period from the first times, ``_step`` apart with ``_count`` rows each."""
        steps, counts = np.diff(times), np.diff(rows)
        self._step, self._count = float(np.median(steps)), float(np.median(counts))
        if self._rounded:
            self._period = float(np.polyfit(rows - rows[0], times - times[0], 1)[0])
            late = times - times[0] - (rows - rows[0]) * self._period
            self._coarse = float(steps.min())
            if np.ptp(late) > 1.5 * self._coarse:
                raise _UnevenError("the times are not evenly spaced", row=0)
            self._lasting = self._uneven = 1.02 * self._coarse
            return
        whole = (steps <= 1.5 * self._step) & (counts <= 1.5 * self._count)
        self._period = float(steps[whole].sum() / counts[whole].sum()) if whole.any() else self._step
        self._lasting = self._uneven = 0.5 * self._step
        self._coarse = 0.5 * self._period
        if self._count > 1:
            excess = steps - counts * self._period
            self._jitter = float(np.median(np.abs(excess - np.median(excess))))
            clean = whole & (np.abs(excess - np.median(excess)) <= max(1.5 * self._period, 6 * self._jitter))
            self._period = float(steps[clean].sum() / counts[clean].sum()) if clean.any() else self._period
            self._lasting = min(self._lasting, max(1.5 * self._period, 6 * self._jitter))
            self._coarse = self._period + 2 * self._jitter
            if counts[0] < self._count and steps[0] <= 1.5 * self._step:  # the first packet may be cut
                times[0] = times[1] - counts[0] * self._period

    def _take(self, rows: NDArray[np.int64], times: NDArray[np.float64], n_steps: int) -> None:
        """Count the first steps between times, and note the gaps among them."""
        if n_steps < 1:
            return
        late = (times - times[0]) - (rows - rows[0]) * self._period
        soonest = late.copy()
        for ahead in range(1, min(_LATE, len(late) - 1) + 1):
            np.minimum(soonest[:-ahead], late[ahead:], out=soonest[:-ahead])
        jump = np.diff(soonest)[:n_steps]
        steps, excess = np.diff(times)[:n_steps], np.diff(late)[:n_steps]
        regular = np.abs(excess) <= self._uneven
        if self._count == 1 and not self._rounded:
            regular &= np.abs(steps - self._step) <= self._uneven
        apart = np.abs(jump) > self._lasting
        at = np.flatnonzero(apart) + 1
        # The window of _LATE times shows a repeated row as soon as it comes into sight.
        at = np.where(jump[apart] < 0, np.minimum(at + _LATE, len(rows) - 1), at)
        self._row.append(rows[at])
        self._skipped.append(self._lost(jump[apart]))
        self._n_runs += int(apart.sum())
        counted = regular & ~apart
        self._even_time += float(steps[counted].sum())
        self._even_rows += int(np.diff(rows)[:n_steps][counted].sum())
        uneven = ~regular & ~(jump > self._lasting)
        self._n_steps, self._n_uneven = self._n_steps + n_steps, self._n_uneven + int(uneven.sum())
        gap_share, uneven_share = _PACKET_SHARES if self._count > 1 else _SHARES
        most_gaps = min(_MOST_RUNS, gap_share * self._n_steps + 10)
        if self._n_runs > most_gaps or self._n_uneven > uneven_share * self._n_steps + 1:
            where = np.flatnonzero(uneven | apart)
            row = int(rows[1 + where[0]]) if len(where) else int(rows[0])
            raise _UnevenError("the times are not evenly spaced", row=row)

    def _lost(self, gaps: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return how many samples each gap misses: whole packets, if it is about that long."""
        samples = np.round(gaps / self._period)
        if self._count > 1:
            packets = gaps / (self._count * self._period)
            error = min(max(4 * self._jitter / self._step, 0.02), 0.5)
            are_whole = (np.round(packets) != 0) & (np.abs(packets - np.round(packets)) <= error)
            samples = np.where(are_whole, np.round(packets) * round(self._count), samples)
        return samples.astype(np.int64)


def _knots(
    batches: Iterable[NDArray[np.float64]],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64], int]]:
    """Yield the rows at which the time changes and their times, in batches, and the number of rows so far."""
    last, row = None, 0
    for times in batches:
        if not np.isfinite(times).all():
            missing = int(np.flatnonzero(~np.isfinite(times))[0])
            raise UnusableTimesError("a time is missing", row=row + missing)
        if not len(times):
            continue
        steps = np.diff(times, prepend=times[0] if last is None else last)
        falls = np.flatnonzero(steps < 0)
        if len(falls) > _UNSORTED_SHARE * np.count_nonzero(steps):
            raise UnsortedTimesError("the rows are not in the order of their times", row=row + int(falls[0]))
        if len(falls):
            raise UnusableTimesError("the time falls", row=row + int(falls[0]))
        changed = np.flatnonzero(steps if last is not None else np.append(1, steps[1:]))
        last, row = times[-1], row + len(times)
        yield row - len(times) + changed, times[changed], row
