"""What one annotator says besides beats: stretches of VF and of shutdown, read as ``bxb`` reads them."""

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
"""No beat of any class, yet bxb pairs it outside VF: it takes a beat's place and counts as none (O)."""
NEVER = np.iinfo(np.int64).max // 4
"""A time after every end of file."""

_BOTH_SIGNALS = 0x30  # bits 4 and 5 of the subtype of ~: neither signal can be read


class Intervals(NamedTuple):
    """Stretches in the order of the file: where their mark stands, samples [on, off], samples they count.

    The last one stands for those that are not there: it holds nothing.
    """

    mark: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    length: NDArray[np.int64]

    def n_read_before(self, at: NDArray[np.intp]) -> NDArray[np.intp]:
        """Count the stretches read before each mark; none before the first beat, all at the end of file."""
        n = len(self.mark) - 1
        return np.concatenate(([0], np.searchsorted(self.mark[:n], at), [n, n]))

    def contain(self, samples: NDArray[np.int64], known: NDArray[np.intp]) -> Mask:
        """Tell which samples lie in one of the two latest of the known stretches; bxb forgets the others."""
        return _either(known, lambda span: (self.start[span] <= samples) & (samples <= self.stop[span]))

    def start_in(self, start: NDArray[np.int64], stop: NDArray[np.int64], known: NDArray[np.intp]) -> Mask:
        """Tell whether one of the two latest known stretches begins in [start, stop)."""
        return _either(known, lambda span: (start <= self.start[span]) & (self.start[span] < stop))


def _either(known: NDArray[np.intp], holds: Callable[[NDArray[np.intp]], Mask]) -> Mask:
    latest, earlier = (np.where(known >= back, known - back, -1) for back in (1, 2))
    return holds(latest) | holds(earlier)


@dataclass(frozen=True, eq=False)
class AnnotatorTimeline:
    """One annotator as bxb reads it: a mark at 0, the beats outside VF, twice the end of file.

    ``row`` is the class of each as an index into CELLS, ``rr`` the interval before it in samples or 0
    where none is valid, ``*_known`` how many stretches have been read when it is.
    """

    time: NDArray[np.int64]
    row: NDArray[np.intp]
    rr: NDArray[np.int64]
    vf: Intervals
    n_vf_read: NDArray[np.intp]
    shutdown: Intervals
    n_shutdown_read: NDArray[np.intp]


def pad_times(samples: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put beats between what bxb starts from, a mark at 0, and the end of file."""
    return np.concatenate(([0], samples, [NEVER, NEVER]))


def read_timeline(
    annotations: Annotations, beat_map: BeatMap, tolerance: int, *, end: int | None, reuse_last_end: bool
) -> AnnotatorTimeline:
    """Read one annotator of a record of ``end`` samples.

    A shutdown that nothing follows lasts to the end. But bxb is ``forgetful`` for test annotators: it keeps
    such a one with the end of the one before, so that beats missed in it count as O unless it is the first.
    """
    row = _rows(annotations.symbol, beat_map)
    vf, shutdown, counted = _stretches(annotations, row != NOT_COUNTED, tolerance, end, forgetful=reuse_last_end)
    at = np.flatnonzero(counted)
    time = pad_times(annotations.sample[at])
    vf_known, shutdown_known = vf.n_read_before(at), shutdown.n_read_before(at)
    before, now = np.concatenate(([0], time[:-1])), time
    broken = vf.start_in(before, now, vf_known) | shutdown.start_in(before, now, shutdown_known)
    rr = np.where(broken | (before == 0) | (now == NEVER), 0, now - before)
    row = np.concatenate(([NOT_COUNTED], row[at], [NOT_COUNTED, NOT_COUNTED]))
    return AnnotatorTimeline(time, row, rr, vf, vf_known, shutdown, shutdown_known)


def _rows(symbols: Labels, beat_map: BeatMap) -> NDArray[np.intp]:
    classes = classes_of(symbols, beat_map)
    row = np.full(len(symbols), NOT_COUNTED, dtype=np.intp)
    for index, letter in enumerate(CELLS[:NO_BEAT]):
        row[classes == letter] = index
    row[symbols == FLUTTER_WAVE] = NO_BEAT
    return row


class _Span(NamedTuple):
    at: int
    on: int
    off: int
    length: int


def _spans(found: list[_Span]) -> Intervals:
    return Intervals(*np.array([*found, _Span(NEVER, NEVER, -1, 0)], dtype=np.int64).T)


def _stretches(
    annotations: Annotations, beat: Mask, tolerance: int, end: int | None, *, forgetful: bool
) -> tuple[Intervals, Intervals, Mask]:
    """Find VF and shutdowns, and the beats outside VF: from [ to ] bxb reads nothing else."""
    vf: list[_Span] = []
    shutdown: list[_Span] = []
    counted, read = beat.copy(), 0
    quiet, ends_vf = starts_shutdown(annotations), np.flatnonzero(annotations.symbol == "]")
    for at in np.flatnonzero(quiet | (annotations.symbol == "[")).tolist():
        if at < read:
            continue
        if not quiet[at]:
            read, span = _vf_span(annotations, at, ends_vf, vf)
            counted[at:read] = False
            vf.append(span)
        elif at + 1 == len(annotations):
            shutdown.append(_endless_shutdown(annotations, at, end, shutdown if forgetful else []))
        elif annotations.symbol[at + 1] == "~" and not quiet[at + 1]:
            on, off = annotations.sample[at : at + 2].tolist()
            shutdown.append(_Span(at, on, off, off - on))
        else:
            before = max(_last_beat(annotations, counted[:at]), vf[-1].off if vf else 0)
            shutdown.append(_aha_shutdown(annotations, at, before, tolerance))
    return _spans(vf), _spans(shutdown), counted


def starts_shutdown(annotations: Annotations) -> Mask:
    """Tell which marks say that from here neither signal can be read."""
    noise: Mask = annotations.symbol == "~"
    unreadable: Mask = (annotations.subtype & _BOTH_SIGNALS) == _BOTH_SIGNALS
    return noise & unreadable


def _vf_span(
    annotations: Annotations, at: int, ends: NDArray[np.intp], earlier: list[_Span]
) -> tuple[int, _Span]:
    """Read on from a [ to its ]; without one bxb keeps the end of the VF before, if there was one."""
    on, stop = int(annotations.sample[at]), ends[np.searchsorted(ends, at) :]
    if stop.size:
        return int(stop[0]) + 1, _Span(at, on, int(annotations.sample[stop[0]]), 0)
    return len(annotations), _Span(at, on, earlier[-1].off if earlier else NEVER, 0)


def _endless_shutdown(annotations: Annotations, at: int, end: int | None, earlier: list[_Span]) -> _Span:
    on = int(annotations.sample[at])
    return _Span(at, on, earlier[-1].off if earlier else NEVER, end - on if end else 0)


def _aha_shutdown(annotations: Annotations, at: int, before: int, tolerance: int) -> _Span:
    """Read the single mark of the AHA database: the shutdown fills the time between its neighbours."""
    off = int(annotations.sample[at + 1]) - tolerance
    on = min(before + tolerance, off)
    return _Span(at, on, off, off - on)


def _last_beat(annotations: Annotations, beat: Mask) -> int:
    return int(annotations.sample[: len(beat)][beat].max(initial=0))
