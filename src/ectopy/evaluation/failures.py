"""Where a model fails: the records with the most errors, and the signal around a typical one."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ectopy.ec57 import LEARNING_S, MATCH_WINDOW_S, BeatComparison, classes_of, match_beats
from ectopy.ecg import Labels, Samples, Signal
from ectopy.evaluation.evaluate_record import RecordEvaluation
from ectopy.readers import open_recording
from ectopy.report.strips import STRIP_S

Kind: TypeAlias = Literal["veb", "sveb"]
KINDS: tuple[Kind, ...] = ("veb", "sveb")
N_WORST = 5
NO_BEAT = "O"
# Reference classes and test classes that make an error. EC57: F or Q classified as V is no error, nor is Q
# classified as S.
_ERRORS: Mapping[Kind, tuple[tuple[str, str], ...]] = MappingProxyType(
    {"veb": (("V", "NSFQOX"), ("NSOX", "V")), "sveb": (("S", "NVFQOX"), ("NVFOX", "S"))}
)


class Errors(NamedTuple):
    """Beats that were misclassified, missed or falsely detected.

    ``reference`` and ``test`` are the classes of the reference and of the analysis, O for no beat.
    """

    sample: Samples
    reference: Labels
    test: Labels


@dataclass(frozen=True, eq=False)
class Failure:
    """A record with many errors of one kind; ``sample`` is the position of a typical error."""

    evaluation: RecordEvaluation
    kind: Kind
    missed: int
    false: int
    sample: int
    typical: str
    share: float

    @property
    def picture_file(self) -> str:
        """Name of the picture of the typical error."""
        return f"{self.evaluation.record}-{self.kind}.png"

    @property
    def text(self) -> str:
        """Number of errors and the typical one, in one sentence."""
        return (
            f"{self.evaluation.record}, {self.kind.upper()}: {self.missed} missed, {self.false} false; "
            f"shown at {self.sample / self.evaluation.reference.fs:.0f} s, "
            f"{self.typical} ({100 * self.share:.0f} % of these errors)"
        )


def n_errors(beats: BeatComparison, kind: Kind) -> tuple[int, int]:
    """Count the missed and the false beats of a kind.

    Parameters
    ----------
    beats
        The comparison of a record.
    kind
        VEB or SVEB.

    Returns
    -------
    Number of missed beats, number of false ones.
    """
    missed, false = (beats.count(rows, columns) for rows, columns in _ERRORS[kind])
    return missed, false


def worst_records(evaluations: Iterable[RecordEvaluation], kind: Kind, *, n: int = N_WORST) -> list[Failure]:
    """Find the records with the most errors of a kind.

    Parameters
    ----------
    evaluations
        The evaluated records.
    kind
        VEB or SVEB.
    n
        Number of records to return at most.

    Returns
    -------
    Records with at least one error, the worst first.
    """
    ranked = sorted(evaluations, key=lambda evaluation: -sum(n_errors(evaluation.outcome.beats, kind)))
    failures = (_failure(evaluation, kind) for evaluation in ranked[:n])
    return [failure for failure in failures if failure is not None]


def _failure(evaluation: RecordEvaluation, kind: Kind) -> Failure | None:
    errors = find_errors(evaluation, kind)
    if not len(errors.sample):
        return None
    missed, false = n_errors(evaluation.outcome.beats, kind)
    pairs = list(zip(errors.reference.tolist(), errors.test.tolist(), strict=True))
    (most_common, n), *_ = Counter(pairs).most_common(1)
    alike = errors.sample[[pair == most_common for pair in pairs]]
    middle = int(alike[len(alike) // 2])
    return Failure(evaluation, kind, missed, false, middle, _describe(*most_common), n / len(pairs))


def find_errors(evaluation: RecordEvaluation, kind: Kind) -> Errors:
    """Find the errors of a kind after the learning period.

    Each beat is paired with the nearest one. The counts of EC57, by which records are ranked, may therefore
    differ by a beat.

    Parameters
    ----------
    evaluation
        The evaluated record.
    kind
        VEB or SVEB.

    Returns
    -------
    The errors in order of time.
    """
    reference = evaluation.reference
    (reference_sample, reference_label), (test_sample, test_label) = (
        _beats(annotations.sample, annotations.symbol)
        for annotations in (reference.annotations, evaluation.test)
    )
    tolerance = round(MATCH_WINDOW_S * reference.fs)
    matches = match_beats(reference_sample, test_sample, tolerance=tolerance)
    missed = np.setdiff1d(np.arange(len(reference_sample)), matches.reference)
    false = np.setdiff1d(np.arange(len(test_sample)), matches.test)
    sample = np.concatenate(
        (reference_sample[matches.reference], reference_sample[missed], test_sample[false])
    )
    expected = np.concatenate((reference_label[matches.reference], reference_label[missed], _no_beat(false)))
    predicted = np.concatenate((test_label[matches.test], _no_beat(missed), test_label[false]))
    wrong = np.logical_or.reduce(
        [np.isin(expected, list(rows)) & np.isin(predicted, list(columns)) for rows, columns in _ERRORS[kind]]
    )
    index = np.flatnonzero(wrong & (sample >= LEARNING_S * reference.fs))
    index = index[np.argsort(sample[index], kind="stable")]
    return Errors(sample[index], expected[index], predicted[index])


def _beats(sample: Samples, symbol: Labels) -> tuple[Samples, Labels]:
    label = classes_of(symbol, "dechazal")
    return sample[label != ""], label[label != ""]


def _no_beat(index: NDArray[np.intp]) -> Labels:
    return np.full(len(index), NO_BEAT, dtype="U1")


def _describe(reference: str, test: str) -> str:
    if test == NO_BEAT:
        return f"{reference} not detected"
    if reference == NO_BEAT:
        return f"{test} where there is no beat"
    return f"{reference} classified as {test}"


class Marks(NamedTuple):
    """Beat labels at times in seconds from the start of the recording."""

    time_s: Sequence[float]
    letter: Sequence[str]


class Excerpt(NamedTuple):
    """Part of a recording in mV, [n, n_leads], with the beat labels of the reference and of the analysis."""

    signal: Signal
    fs: float
    leads: tuple[str, ...]
    start_s: float
    reference: Marks
    test: Marks


def read_excerpt(failure: Failure, *, length_s: float = STRIP_S) -> Excerpt:
    """Read the signal around a typical error.

    Parameters
    ----------
    failure
        The record and its typical error.
    length_s
        Length of the excerpt in seconds.

    Returns
    -------
    Signal and beat labels, with the error in the middle unless it is near an end of the record.
    """
    evaluation, fs = failure.evaluation, failure.evaluation.reference.fs
    recording = open_recording(evaluation.path)
    length = min(round(length_s * fs), recording.n_samples)
    start = min(max(failure.sample - length // 2, 0), recording.n_samples - length)
    signal = recording.read_leads(evaluation.columns, start, start + length)
    marks = [
        _marks(annotations.sample, annotations.symbol, start, start + length, fs)
        for annotations in (evaluation.reference.annotations, evaluation.test)
    ]
    leads = tuple(recording.leads[column] for column in evaluation.columns)
    return Excerpt(signal, fs, leads, start / fs, *marks)


def _marks(sample: Samples, symbol: Labels, start: int, stop: int, fs: float) -> Marks:
    beats, label = _beats(sample, symbol)
    inside = (beats >= start) & (beats < stop)
    return Marks((beats[inside] / fs).tolist(), label[inside].tolist())
