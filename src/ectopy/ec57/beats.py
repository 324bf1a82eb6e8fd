"""Beat-by-beat comparison, as the reference tool ``bxb`` of the WFDB Software Package 10.7 does it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ectopy.annotations import Annotations
from ectopy.ec57.classes import LEARNING_S, MATCH_WINDOW_S, BeatMap, to_samples
from ectopy.ec57.marks import (
    CELLS,
    NEVER,
    NO_BEAT,
    NOT_COUNTED,
    SHUTDOWN,
    AnnotatorTimeline,
    pad_times,
    read_timeline,
)
from ectopy.ec57.summary import Counts, Ratio
from ectopy.ecg import Samples

_MATCH, _EXTRA, _MISSED = 0, 1, 2


class Matches(NamedTuple):
    """Indices of beats that belong together, in order of time."""

    reference: NDArray[np.intp]
    test: NDArray[np.intp]


def match_beats(reference: Samples, test: Samples, *, tolerance: int) -> Matches:
    """Pair beats at most ``tolerance`` samples apart, each with at most one, the closer where two compete.

    Both in order of time. This is the pairing of bxb without a learning period.
    """
    steps, _ = _walk(pad_times(reference), pad_times(test), (1, 1), tolerance, until=(NEVER - 1, NEVER - 1))
    pairs = steps[steps[:, 2] == _MATCH] - 1
    return Matches(pairs[:, 0], pairs[:, 1])


def _walk(
    reference: Samples, test: Samples, start: tuple[int, int], tolerance: int, until: tuple[int, int]
) -> tuple[NDArray[np.intp], int]:
    """Walk both timelines; give the steps (index of reference, of test, what happened) and where test ends.

    The earlier of the two current beats is paired if the other is in reach and does not suit a later one
    better; "better" looks one beat ahead on both sides (bxb.c, cases 1 to 4, as of November 2002).
    """
    ref_times, test_times = reference.tolist(), test.tolist()  # lists are faster than arrays, one by one
    (i, j), (ref_until, test_until), steps = start, until, []
    while ref_times[i] <= ref_until or test_times[j] <= test_until:
        ref, now, ref_next, test_next = ref_times[i], test_times[j], ref_times[i + 1], test_times[j + 1]
        gap = abs(ref - now)
        rival = abs(ref - test_next) if now < ref else abs(now - ref_next)
        if gap <= tolerance and (gap < rival or abs(ref_next - test_next) < rival):
            steps.append((i, j, _MATCH))
            i, j = i + 1, j + 1
        elif now < ref:
            steps.append((i, j, _EXTRA))
            j += 1
        else:
            steps.append((i, j, _MISSED))
            i += 1
    return np.array(steps, dtype=np.intp).reshape(-1, 3), j


def _cells(rows: str, columns: str) -> Counts:
    """Mark cells of the confusion matrix with 1: some classes of the reference by some of the test."""
    row, column = (
        np.array([cell in classes for cell in CELLS], dtype=np.int64) for classes in (rows, columns)
    )
    return np.outer(row, column)


_BEATS = CELLS[:NO_BEAT]
_VV, _V_PRESENT, _V_CALLED = _cells("V", "V"), _cells("V", CELLS), _cells("NSVOX", "V")
_SS, _S_PRESENT, _S_CALLED = _cells("S", "S"), _cells("S", CELLS), _cells("NSVFOX", "S")
_V_FALSE = _cells("NSOX", "V")

# The formulae of print_results() in bxb.c: F or Q called V is no error, nor is Q called S. F1, the harmonic
# mean of sensitivity and positive predictivity, is ours: NaN where the reference has no such beat.
BEAT_METRICS: Mapping[str, Ratio] = MappingProxyType(
    {
        "qrs_sensitivity": Ratio(_cells(_BEATS, _BEATS), _cells(_BEATS, CELLS)),
        "qrs_positive_predictivity": Ratio(_cells(_BEATS, _BEATS), _cells(CELLS, _BEATS)),
        "veb_sensitivity": Ratio(_VV, _V_PRESENT),
        "veb_positive_predictivity": Ratio(_VV, _V_CALLED),
        "veb_f1": Ratio(2 * _VV, _V_PRESENT + _V_CALLED, required=_V_PRESENT),
        "veb_false_positive_rate": Ratio(_V_FALSE, _V_FALSE | _cells("NSFQOX", "NSFQ")),
        "sveb_sensitivity": Ratio(_SS, _S_PRESENT),
        "sveb_positive_predictivity": Ratio(_SS, _S_CALLED),
        "sveb_f1": Ratio(2 * _SS, _S_PRESENT + _S_CALLED, required=_S_PRESENT),
        "sveb_positive_predictivity_sumstats": Ratio(_SS, _cells("NSVOX", "S")),
    }
)


@dataclass(frozen=True, eq=False)
class BeatComparison:
    """What one record, or a sum of records, gives beat by beat.

    ``counts`` is int64 [7, 7]: rows of the reference, columns of the test, both in the order of CELLS.
    ``rr_square_error_s2`` sums the squared differences of ``n_rr`` pairs of RR intervals, ``shutdown_s``
    is how long the test annotator was shut down.
    """

    METRICS: ClassVar[Mapping[str, Ratio]] = BEAT_METRICS

    counts: Counts
    rr_square_error_s2: float = 0.0
    n_rr: int = 0
    shutdown_s: float = 0.0

    @property
    def cells(self) -> Counts:
        """The confusion matrix: all that FIGURES are made of."""
        return self.counts

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.counts + other.counts,
            self.rr_square_error_s2 + other.rr_square_error_s2,
            self.n_rr + other.n_rr,
            self.shutdown_s + other.shutdown_s,
        )

    def count(self, rows: str, columns: str) -> int:
        """Sum the cells of some reference classes by some test classes, as ``count("V", "NSFQ")``."""
        return int((self.counts * _cells(rows, columns)).sum())

    def _figure(self, name: str) -> float:
        return float(self.METRICS[name](self.counts))

    @property
    def qrs_sensitivity(self) -> float:
        """Share of reference beats that were found."""
        return self._figure("qrs_sensitivity")

    @property
    def qrs_positive_predictivity(self) -> float:
        """Share of test beats that are beats."""
        return self._figure("qrs_positive_predictivity")

    @property
    def veb_sensitivity(self) -> float:
        """Share of VEB that were called V."""
        return self._figure("veb_sensitivity")

    @property
    def veb_positive_predictivity(self) -> float:
        """Share of beats called V that are VEB; F and Q called V do not count."""
        return self._figure("veb_positive_predictivity")

    @property
    def veb_f1(self) -> float:
        """Harmonic mean of sensitivity and positive predictivity of VEB."""
        return self._figure("veb_f1")

    @property
    def veb_false_positive_rate(self) -> float:
        """Share of test beats at no VEB that were called V; F and Q called V do not count."""
        return self._figure("veb_false_positive_rate")

    @property
    def sveb_sensitivity(self) -> float:
        """Share of SVEB that were called S."""
        return self._figure("sveb_sensitivity")

    @property
    def sveb_positive_predictivity(self) -> float:
        """Share of beats called S that are SVEB; F called S counts against it, Q does not, as in bxb."""
        return self._figure("sveb_positive_predictivity")

    @property
    def sveb_positive_predictivity_sumstats(self) -> float:
        """The same where F called S does not count either: sumstats cannot tell it from Q called S."""
        return self._figure("sveb_positive_predictivity_sumstats")

    @property
    def sveb_f1(self) -> float:
        """Harmonic mean of sensitivity and positive predictivity of SVEB."""
        return self._figure("sveb_f1")

    @property
    def rms_rr_error_ms(self) -> float:
        """Root mean square difference of RR intervals, in ms, NaN without any."""
        return float(np.sqrt(self.rr_square_error_s2 / self.n_rr)) * 1000 if self.n_rr else float("nan")


def compare_beats(  # noqa: PLR0913 - two annotators, and what the standard fixes
    reference: Annotations,
    test: Annotations,
    fs: float,
    *,
    beat_map: BeatMap = "ec57",
    learning_s: float = LEARNING_S,
    match_window_s: float = MATCH_WINDOW_S,
    n_samples: int | None = None,
) -> BeatComparison:
    """Compare two annotators of one record, both in order of time, as bxb does.

    Without ``n_samples``, the length of the record, the comparison ends with the last reference beat.
    Test marks ``~`` of subtype -1 (begins) and 0 (ends) are a shutdown, ``[`` and ``]`` are VF.
    """
    tolerance = to_samples(match_window_s, fs)
    ref = read_timeline(reference, beat_map, tolerance, end=n_samples, reuse_last_end=False)
    tst = read_timeline(test, beat_map, tolerance, end=n_samples, reuse_last_end=True)
    first, start = _begin(ref.time, tst.time, to_samples(learning_s, fs), tolerance)
    until = (n_samples, n_samples) if n_samples else (NEVER - 1, -1)
    steps, last = _walk(ref.time, tst.time, start, tolerance, until)
    steps = np.concatenate((first, steps))
    errors = ref.rr[steps[:, 0]] - tst.rr[steps[:, 1]]
    errors = errors[(ref.rr[steps[:, 0]] > 0) & (tst.rr[steps[:, 1]] > 0)]
    per_s = to_samples(1, fs)
    return BeatComparison(
        _confusion(ref, tst, steps),
        float((errors**2).sum()) / per_s**2,
        len(errors),
        float(tst.shutdown.length[: tst.n_shutdown_read[last + 1]].sum()) / per_s,
    )


def _begin(
    reference: Samples, test: Samples, start: int, tolerance: int
) -> tuple[NDArray[np.intp], tuple[int, int]]:
    """Leave the learning period: give the step that straddles its end, if any, and where to walk from.

    The last test beat inside may match the first reference beat outside. A test beat just outside that
    suits that beat less than the one after it is dropped, for its reference may lie inside.
    """
    i = int(np.searchsorted(reference, start))
    j = max(int(np.searchsorted(test, start)) - 1, 0)
    first, last_inside, next_test = reference[i], test[j], test[j + 1]
    if first - last_inside < abs(first - next_test) and first - last_inside <= tolerance:
        return np.array([(i, j, _MATCH)], dtype=np.intp), (i + 1, j + 1)
    j += 1
    if next_test - start <= tolerance and abs(first - test[j + 1]) < abs(first - next_test):
        j += 1
    return np.empty((0, 3), dtype=np.intp), (i, j)


def _confusion(reference: AnnotatorTimeline, test: AnnotatorTimeline, steps: NDArray[np.intp]) -> Counts:
    """Count what each step says; test beats in a reference's VF are not counted."""
    i, j, kind = steps.T
    row, column = reference.row[i], test.row[j]
    now = test.time[j]
    known = reference.n_vf_read[i + 1], reference.n_shutdown_read[i + 1]
    extra = np.where(reference.shutdown.contain(now, known[1]), SHUTDOWN, NO_BEAT)
    extra = np.where(reference.vf.contain(now, known[0]), NOT_COUNTED, extra)
    quiet = test.shutdown.contain(reference.time[i], test.n_shutdown_read[j + 1])
    row = np.where(kind == _EXTRA, extra, row)
    column = np.where(kind == _MISSED, np.where(quiet, SHUTDOWN, NO_BEAT), column)
    counted = (row != NOT_COUNTED) & (column != NOT_COUNTED)
    n = len(CELLS)
    counts = np.bincount(row[counted] * n + column[counted], minlength=n * n).reshape(n, n)
    counts[NO_BEAT:, NO_BEAT:] = 0  # neither is a beat, as where a flutter wave is met by nothing
    return counts
