"""Beat-by-beat comparison, equal to the reference tool ``bxb`` of the WFDB Software Package 10.7."""

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
    """Indices of the beats that form pairs, in order of time [n]."""

    reference: NDArray[np.intp]
    test: NDArray[np.intp]


def match_beats(reference: Samples, test: Samples, *, tolerance: int) -> Matches:
    """Find the pairs of reference and test beats, as bxb does, but without a learning period.

    A beat is in at most one pair. Where two beats compete for a third, the closer one gets it.

    Parameters
    ----------
    reference, test
        Samples of the beats, in order of time.
    tolerance
        Largest distance within a pair, in samples.

    Returns
    -------
    Indices of the paired beats.

    Examples
    --------
    The detection at 110 is within 15 samples of both beats, and closer to the second:

    >>> import numpy as np
    >>> matches = match_beats(np.array([100, 112]), np.array([110]), tolerance=15)
    >>> matches.reference.tolist(), matches.test.tolist()
    ([1], [0])
    """
    steps, _ = _walk(pad_times(reference), pad_times(test), (1, 1), tolerance, until=(NEVER - 1, NEVER - 1))
    pairs = steps[steps[:, 2] == _MATCH] - 1
    return Matches(pairs[:, 0], pairs[:, 1])


def _walk(
    reference: Samples, test: Samples, start: tuple[int, int], tolerance: int, until: tuple[int, int]
) -> tuple[NDArray[np.intp], int]:
    """Return the steps (index of reference, index of test, kind) and the index of test at the end.

    The current beats are a pair if they are within reach and the later one has no better partner. The search
    for a better partner looks one beat ahead on both sides (bxb.c, cases 1 to 4, as of November 2002).
    """
    ref_times, test_times = reference.tolist(), test.tolist()  # single items of lists are faster to read
    (i, j), (ref_until, test_until), steps = start, until, []
    while ref_times[i] <= ref_until or test_times[j] <= test_until:
        ref, tst, ref_next, test_next = ref_times[i], test_times[j], ref_times[i + 1], test_times[j + 1]
        gap = abs(ref - tst)
        rival = abs(ref - test_next) if tst < ref else abs(tst - ref_next)
        if gap <= tolerance and (gap < rival or abs(ref_next - test_next) < rival):
            steps.append((i, j, _MATCH))
            i, j = i + 1, j + 1
        elif tst < ref:
            steps.append((i, j, _EXTRA))
            j += 1
        else:
            steps.append((i, j, _MISSED))
            i += 1
    return np.array(steps, dtype=np.intp).reshape(-1, 3), j


def _cells(rows: str, columns: str) -> Counts:
    """Return a confusion matrix [7, 7] with 1 in the cells of these reference and test classes, else 0."""
    row, column = (
        np.array([cell in classes for cell in CELLS], dtype=np.int64) for classes in (rows, columns)
    )
    return np.outer(row, column)


_BEATS = CELLS[:NO_BEAT]
_VV, _V_PRESENT, _V_CALLED = _cells("V", "V"), _cells("V", CELLS), _cells("NSVOX", "V")
_SS, _S_PRESENT, _S_CALLED = _cells("S", "S"), _cells("S", CELLS), _cells("NSVFOX", "S")
_V_FALSE = _cells("NSOX", "V")

# The formulae of print_results() in bxb.c: F or Q called V is no error, nor is Q called S. F1 is not in EC57.
# It is the harmonic mean of sensitivity and positive predictivity, NaN where the reference has no such beat.
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
QRS_F1 = Ratio(2 * _cells(_BEATS, _BEATS), _cells(_BEATS, CELLS) + _cells(CELLS, _BEATS))
"""One number for the detection of beats, to compare two models; EC57 has no such metric."""


@dataclass(frozen=True, eq=False)
class BeatComparison:
    """Beat-by-beat result of one record, or of a sum of records.

    ``counts`` is the confusion matrix, int64 [7, 7]. Its rows are classes of the reference, its columns are
    classes of the test, both in the order of CELLS. ``rr_square_error_s2`` is the sum of the squared
    differences of ``n_rr`` pairs of RR intervals, in s². ``shutdown_s`` is the time in shutdown of the test
    annotator, in s.
    """

    METRICS: ClassVar[Mapping[str, Ratio]] = BEAT_METRICS

    counts: Counts
    rr_square_error_s2: float = 0.0
    n_rr: int = 0
    shutdown_s: float = 0.0

    @property
    def cells(self) -> Counts:
        """The confusion matrix, from which METRICS are computed."""
        return self.counts

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.counts + other.counts,
            self.rr_square_error_s2 + other.rr_square_error_s2,
            self.n_rr + other.n_rr,
            self.shutdown_s + other.shutdown_s,
        )

    def count(self, rows: str, columns: str) -> int:
        """Return the sum of some cells, such as ``count("V", "NSFQ")``.

        Parameters
        ----------
        rows
            Classes of the reference.
        columns
            Classes of the test.

        Returns
        -------
        The number of beats.
        """
        return int((self.counts * _cells(rows, columns)).sum())

    def _metric(self, name: str) -> float:
        return float(self.METRICS[name](self.counts))

    @property
    def qrs_sensitivity(self) -> float:
        """Fraction of reference beats that were detected."""
        return self._metric("qrs_sensitivity")

    @property
    def qrs_positive_predictivity(self) -> float:
        """Fraction of test beats that are beats of the reference."""
        return self._metric("qrs_positive_predictivity")

    @property
    def veb_sensitivity(self) -> float:
        """Fraction of VEB that were called V."""
        return self._metric("veb_sensitivity")

    @property
    def veb_positive_predictivity(self) -> float:
        """Fraction of beats called V that are VEB; F and Q called V do not count."""
        return self._metric("veb_positive_predictivity")

    @property
    def veb_f1(self) -> float:
        """Harmonic mean of sensitivity and positive predictivity of VEB."""
        return self._metric("veb_f1")

    @property
    def veb_false_positive_rate(self) -> float:
        """Fraction of test beats that are no VEB and were called V; F and Q called V do not count."""
        return self._metric("veb_false_positive_rate")

    @property
    def sveb_sensitivity(self) -> float:
        """Fraction of SVEB that were called S."""
        return self._metric("sveb_sensitivity")

    @property
    def sveb_positive_predictivity(self) -> float:
        """Fraction of beats called S that are SVEB; F called S is an error and Q called S is not (bxb)."""
        return self._metric("sveb_positive_predictivity")

    @property
    def sveb_positive_predictivity_sumstats(self) -> float:
        """The same without F called S, which sumstats cannot distinguish from Q called S."""
        return self._metric("sveb_positive_predictivity_sumstats")

    @property
    def sveb_f1(self) -> float:
        """Harmonic mean of sensitivity and positive predictivity of SVEB."""
        return self._metric("sveb_f1")

    @property
    def rms_rr_error_ms(self) -> float:
        """Root mean square difference of RR intervals in ms, NaN if there are none."""
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
    """Compare the beats of two annotators of one record, as bxb does.

    ``[`` and ``]`` enclose VF. ``~`` of subtype -1 starts a shutdown, and ``~`` of subtype 0 ends it.

    Parameters
    ----------
    reference, test
        Annotations in order of time.
    fs
        Sampling rate of the annotations in Hz.
    beat_map
        Class of escape beats: "ec57" or "dechazal".
    learning_s
        Time at the start that is not scored, in s.
    match_window_s
        Largest distance between the beats of a pair, in s.
    n_samples
        Length of the record; without it, the comparison ends with the last reference beat.

    Returns
    -------
    The confusion matrix with its metrics, errors of RR intervals, and the time in shutdown.

    Examples
    --------
    One of two ventricular beats is called normal:

    >>> import numpy as np
    >>> from ectopy.annotations import Annotations
    >>> def annotations(symbols):
    ...     n = len(symbols)
    ...     return Annotations(100 * np.arange(1, n + 1), np.array(symbols), np.zeros(n, int), ("",) * n)
    >>> reference, test = annotations(["N", "V", "V", "N"]), annotations(["N", "V", "N", "N"])
    >>> beats = compare_beats(reference, test, 100.0, learning_s=0.0, n_samples=500)
    >>> beats.veb_sensitivity, beats.veb_positive_predictivity
    (0.5, 1.0)
    >>> beats.count("V", "N")
    1
    """
    tolerance = to_samples(match_window_s, fs)
    ref = read_timeline(reference, beat_map, tolerance, end=n_samples, reuse_last_end=False)
    tst = read_timeline(test, beat_map, tolerance, end=n_samples, reuse_last_end=True)
    first, start = _begin(ref.time, tst.time, to_samples(learning_s, fs), tolerance)
    until = (n_samples, n_samples) if n_samples else (NEVER - 1, -1)  # -1: test beats do not matter
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
    """Return the pair across the end of the learning period, if there is one, and where to go on.

    The last test beat inside may match the first reference beat outside. The first test beat outside is
    dropped if the test beat after it matches that reference beat better: its own partner may lie inside.
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
    """Return the confusion matrix of the steps; test beats in VF of the reference are not counted."""
    i, j, kind = steps.T
    time = test.time[j]
    in_reference_shutdown = reference.shutdown.contain(time, reference.n_shutdown_read[i + 1])
    in_reference_vf = reference.vf.contain(time, reference.n_vf_read[i + 1])
    in_test_shutdown = test.shutdown.contain(reference.time[i], test.n_shutdown_read[j + 1])
    row_of_extra = np.where(in_reference_shutdown, SHUTDOWN, NO_BEAT)
    row_of_extra = np.where(in_reference_vf, NOT_COUNTED, row_of_extra)
    column_of_missed = np.where(in_test_shutdown, SHUTDOWN, NO_BEAT)
    row = np.where(kind == _EXTRA, row_of_extra, reference.row[i])
    column = np.where(kind == _MISSED, column_of_missed, test.row[j])
    counted = (row != NOT_COUNTED) & (column != NOT_COUNTED)
    n = len(CELLS)
    counts = np.bincount(row[counted] * n + column[counted], minlength=n * n).reshape(n, n)
    counts[NO_BEAT:, NO_BEAT:] = 0  # neither is a beat, as where a flutter wave has no partner
    return counts
