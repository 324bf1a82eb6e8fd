"""Everything an annotator marks besides beats: intervals of VF and of shutdown, as ``bxb`` reads them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ectopy.annotations import Annotations
from ectopy.ec57.classes import BeatMap, classes_of
from ectopy.ecg import Labels, Mask

CELLS = "NSVFQOX"
"""Order of rows and columns of a confusion matrix; O is no beat, X a shutdown."""
NO_BEAT, SHUTDOWN = CELLS.index("O"), CELLS.index("X")
NOT_COUNTED = -1
FLUTTER_WAVE = "!"
"""A flutter wave. Outside VF, bxb pairs it like a beat, but it has no class and counts as O."""
NEVER = np.iinfo(np.int64).max // 4
"""A time after every end of file, in samples."""

_BOTH_SIGNALS = 0x30  # bits 4 and 5 of the subtype of ~: neither signal can be read


class Intervals(NamedTuple):
    """Intervals in the order of the file, and a last one that contains nothing.

    ``mark`` is the index of the annotation that opens an interval [k]. ``start`` and ``stop`` are its first
    and last sample [k]. ``length`` is the number of samples it adds to the total duration [k].
    """

    mark: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    length: NDArray[np.int64]

    def n_read_before(self, marks: NDArray[np.intp]) -> NDArray[np.intp]:
        """Count the intervals that bxb has read at each step of a timeline with these marks.

        That is none at the mark at sample 0, and all at the two ends of file.
        """
        n = len(self.mark) - 1
        return np.concatenate(([0], np.searchsorted(self.mark[:n], marks), [n, n]))

    def contain(self, samples: NDArray[np.int64], n_read: NDArray[np.intp]) -> Mask:
        """Return which samples lie in an interval that bxb still remembers.

        Parameters
        ----------
        samples
            Samples to look up [n].
        n_read
            Number of intervals read by then; bxb remembers the latest two [n].

        Returns
        -------
        Mask of the samples [n].
        """
        return _in_latest_two(n_read, lambda k: (self.start[k] <= samples) & (samples <= self.stop[k]))

    def start_in(self, start: NDArray[np.int64], stop: NDArray[np.int64], n_read: NDArray[np.intp]) -> Mask:
        """Return where an interval that bxb still remembers starts in [start, stop).

        Parameters
        ----------
        start, stop
            Samples between which an interval may start [n].
        n_read
            Number of intervals read by then; bxb remembers the latest two [n].

        Returns
        -------
        Mask of the pairs [n].
        """
        return _in_latest_two(n_read, lambda k: (start <= self.start[k]) & (self.start[k] < stop))


def _in_latest_two(n_read: NDArray[np.intp], test: Callable[[NDArray[np.intp]], Mask]) -> Mask:
    latest, previous = (np.where(n_read >= back, n_read - back, -1) for back in (1, 2))
    return test(latest) | test(previous)


@dataclass(frozen=True, eq=False)
class AnnotatorTimeline:
    """One annotator as bxb reads it: a mark at sample 0, the beats outside VF, and the end of file twice.

    All arrays have one entry for each of them. ``row`` is the class as an index into CELLS. ``rr`` is the RR
    interval before the beat in samples, or 0 if it is not valid. ``n_vf_read`` and ``n_shutdown_read`` count
    the intervals that have been read by then.
    """

    time: NDArray[np.int64]
    row: NDArray[np.intp]
    rr: NDArray[np.int64]
    vf: Intervals
    n_vf_read: NDArray[np.intp]
    shutdown: Intervals
    n_shutdown_read: NDArray[np.intp]


def pad_times(samples: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return beats with the mark at sample 0 from which bxb starts, and with two ends of file."""
    return np.concatenate(([0], samples, [NEVER, NEVER]))


def read_timeline(
    annotations: Annotations, beat_map: BeatMap, tolerance: int, *, end: int | None, reuse_last_end: bool
) -> AnnotatorTimeline:
    """Read one annotator as bxb does.

    Parameters
    ----------
    annotations
        Marks in order of time.
    beat_map
        Class of escape beats.
    tolerance
        Match window in samples.
    end
        Length of the record in samples, if known.
    reuse_last_end
        Repeat a fault that bxb has for test annotators. A shutdown that never ends should last to the end of
        the record. It gets the end of the shutdown before it instead, so that beats missed in it count as O.

    Returns
    -------
    Beats, their classes and RR intervals, VF and shutdowns.
    """
    row = _rows(annotations.symbol, beat_map)
    vf, shutdown, counted = _vf_and_shutdowns(
        annotations, row != NOT_COUNTED, tolerance, end, reuse_last_end=reuse_last_end
    )
    beats = np.flatnonzero(counted)
    time = pad_times(annotations.sample[beats])
    n_vf_read, n_shutdown_read = vf.n_read_before(beats), shutdown.n_read_before(beats)
    previous = np.concatenate(([0], time[:-1]))
    interrupted = vf.start_in(previous, time, n_vf_read) | shutdown.start_in(previous, time, n_shutdown_read)
    rr = np.where(interrupted | (previous == 0) | (time == NEVER), 0, time - previous)
    row = np.concatenate(([NOT_COUNTED], row[beats], [NOT_COUNTED, NOT_COUNTED]))
    return AnnotatorTimeline(time, row, rr, vf, n_vf_read, shutdown, n_shutdown_read)


def _rows(symbols: Labels, beat_map: BeatMap) -> NDArray[np.intp]:
    classes = classes_of(symbols, beat_map)
    row = np.full(len(symbols), NOT_COUNTED, dtype=np.intp)
    for index, letter in enumerate(CELLS[:NO_BEAT]):
        row[classes == letter] = index
    row[symbols == FLUTTER_WAVE] = NO_BEAT
    return row


class _Interval(NamedTuple):
    mark: int
    start: int
    stop: int
    length: int


def _as_arrays(intervals: list[_Interval]) -> Intervals:
    return Intervals(*np.array([*intervals, _Interval(NEVER, NEVER, -1, 0)], dtype=np.int64).T)


def _vf_and_shutdowns(
    annotations: Annotations, is_beat: Mask, tolerance: int, end: int | None, *, reuse_last_end: bool
) -> tuple[Intervals, Intervals, Mask]:
    """Find VF, shutdowns, and the beats outside VF; from [ to ] bxb reads nothing else."""
    vf: list[_Interval] = []
    shutdowns: list[_Interval] = []
    counted, next_mark = is_beat.copy(), 0
    is_shutdown, vf_ends = starts_shutdown(annotations), np.flatnonzero(annotations.symbol == "]")
    for mark in np.flatnonzero(is_shutdown | (annotations.symbol == "[")).tolist():
        if mark < next_mark:
            continue
        if not is_shutdown[mark]:
            next_mark, interval = _vf_interval(annotations, mark, vf_ends, vf)
            counted[mark:next_mark] = False
            vf.append(interval)
        elif mark + 1 == len(annotations):
            earlier = shutdowns if reuse_last_end else []
            shutdowns.append(_endless_shutdown(annotations, mark, end, earlier))
        elif annotations.symbol[mark + 1] == "~" and not is_shutdown[mark + 1]:
            start, stop = annotations.sample[mark : mark + 2].tolist()
            shutdowns.append(_Interval(mark, start, stop, stop - start))
        else:
            previous = max(_last_beat(annotations, counted[:mark]), vf[-1].stop if vf else 0)
            shutdowns.append(_aha_shutdown(annotations, mark, previous, tolerance))
    return _as_arrays(vf), _as_arrays(shutdowns), counted


def starts_shutdown(annotations: Annotations) -> Mask:
    """Return which marks start a shutdown: from there on neither signal can be read."""
    is_noise: Mask = annotations.symbol == "~"
    unreadable: Mask = (annotations.subtype & _BOTH_SIGNALS) == _BOTH_SIGNALS
    return is_noise & unreadable


def _vf_interval(
    annotations: Annotations, mark: int, ends: NDArray[np.intp], earlier: list[_Interval]
) -> tuple[int, _Interval]:
    """Read from a [ to its ]; if there is none, bxb reuses the end of the VF before it, if there was one."""
    start, stop = int(annotations.sample[mark]), ends[np.searchsorted(ends, mark) :]
    if stop.size:
        return int(stop[0]) + 1, _Interval(mark, start, int(annotations.sample[stop[0]]), 0)
    return len(annotations), _Interval(mark, start, earlier[-1].stop if earlier else NEVER, 0)


def _endless_shutdown(
    annotations: Annotations, mark: int, end: int | None, earlier: list[_Interval]
) -> _Interval:
    start = int(annotations.sample[mark])
    return _Interval(mark, start, earlier[-1].stop if earlier else NEVER, end - start if end else 0)


def _aha_shutdown(annotations: Annotations, mark: int, previous: int, tolerance: int) -> _Interval:
    """Read the single mark of the AHA database: the shutdown fills the time between its neighbours."""
    stop = int(annotations.sample[mark + 1]) - tolerance
    start = min(previous + tolerance, stop)
    return _Interval(mark, start, stop, stop - start)


def _last_beat(annotations: Annotations, is_beat: Mask) -> int:
    return int(annotations.sample[: len(is_beat)][is_beat].max(initial=0))
