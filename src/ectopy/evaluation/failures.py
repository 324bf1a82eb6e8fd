"""Where a model fails: the records with most errors, and a piece of each around a typical one."""

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
from ectopy.report.signal_overview import columns_of
from ectopy.report.strips import STRIP_S

Kind: TypeAlias = Literal["veb", "sveb"]
KINDS: tuple[Kind, ...] = ("veb", "sveb")
N_WORST = 5
NO_BEAT = "O"
# EC57: F or Q called V is no error, nor is Q called S.
_ERRORS: Mapping[Kind, tuple[tuple[str, str], ...]] = MappingProxyType(
    {"veb": (("V", "NSFQOX"), ("NSOX", "V")), "sveb": (("S", "NVFQOX"), ("NVFOX", "S"))}
)


class Errors(NamedTuple):
    """Beats that were called wrong: when, what the reference says and what was called, O for no beat."""

    sample: Samples
    reference: Labels
    test: Labels


@dataclass(frozen=True, eq=False)
class Failure:
    """A record among the worst of its kind; ``sample`` is the typical error that a strip shows."""

    evaluation: RecordEvaluation
    kind: Kind
    missed: int
    false: int
    sample: int
    typical: str
    share: float

    @property
    def picture_file(self) -> str:
        """Name of the picture."""
        return f"{self.evaluation.record}-{self.kind}.png"

    @property
    def text(self) -> str:
        """What went wrong, in one sentence."""
        return (
            f"{self.evaluation.record}, {self.kind.upper()}: {self.missed} missed, {self.false} false; "
            f"shown at {self.sample / self.evaluation.reference.fs:.0f} s, "
            f"{self.typical} ({100 * self.share:.0f} % of these errors)"
        )


def n_errors(beats: BeatComparison, kind: Kind) -> tuple[int, int]:
    """Count the ectopic beats of a kind that were missed, and those called it falsely."""
    missed, false = (beats.count(rows, columns) for rows, columns in _ERRORS[kind])
    return missed, false


def worst_records(examined: Iterable[RecordEvaluation], kind: Kind, *, n: int = N_WORST) -> list[Failure]:
    """Give the records with most errors of a kind, none without any."""
    ranked = sorted(examined, key=lambda each: -sum(n_errors(each.outcome.beats, kind)))
    failures = (_failure(each, kind) for each in ranked[:n])
    return [failure for failure in failures if failure is not None]


def _failure(examined: RecordEvaluation, kind: Kind) -> Failure | None:
    errors = find_errors(examined, kind)
    if not len(errors.sample):
        return None
    missed, false = n_errors(examined.outcome.beats, kind)
    pairs = list(zip(errors.reference.tolist(), errors.test.tolist(), strict=True))
    (commonest, n), *_ = Counter(pairs).most_common(1)
    like = errors.sample[[pair == commonest for pair in pairs]]
    return Failure(
        examined, kind, missed, false, int(like[len(like) // 2]), _in_words(*commonest), n / len(pairs)
    )


def find_errors(examined: RecordEvaluation, kind: Kind) -> Errors:
    """Find the beats after the learning period that were called wrong, in order of time.

    Each beat is paired with the nearest; EC57's counts, by which records are ranked, may differ by a beat.
    """
    truth = examined.reference
    (reference, expected), (test, called) = (
        _beats(each.sample, each.symbol) for each in (truth.annotations, examined.test)
    )
    matches = match_beats(reference, test, tolerance=round(MATCH_WINDOW_S * truth.fs))
    missed = np.setdiff1d(np.arange(len(reference)), matches.reference)
    extra = np.setdiff1d(np.arange(len(test)), matches.test)
    sample = np.concatenate((reference[matches.reference], reference[missed], test[extra]))
    expected = np.concatenate((expected[matches.reference], expected[missed], _none(extra)))
    called = np.concatenate((called[matches.test], _none(missed), called[extra]))
    wrong = np.logical_or.reduce(
        [np.isin(expected, list(rows)) & np.isin(called, list(columns)) for rows, columns in _ERRORS[kind]]
    )
    at = np.flatnonzero(wrong & (sample >= LEARNING_S * truth.fs))
    at = at[np.argsort(sample[at], kind="stable")]
    return Errors(sample[at], expected[at], called[at])


def _beats(sample: Samples, symbol: Labels) -> tuple[Samples, Labels]:
    label = classes_of(symbol, "dechazal")
    return sample[label != ""], label[label != ""]


def _none(at: NDArray[np.intp]) -> Labels:
    return np.full(len(at), NO_BEAT, dtype="U1")


def _in_words(reference: str, called: str) -> str:
    if called == NO_BEAT:
        return f"{reference} not found"
    return f"{called} where no beat is" if reference == NO_BEAT else f"{reference} called {called}"


class Marks(NamedTuple):
    """Letters at times in seconds from the start of the recording."""

    time_s: Sequence[float]
    letter: Sequence[str]


class Excerpt(NamedTuple):
    """A piece of recording in mV, [n, n_leads], with the marks of both annotators."""

    signal: Signal
    fs: float
    leads: tuple[str, ...]
    start_s: float
    reference: Marks
    test: Marks


def read_excerpt(failure: Failure, *, length_s: float = STRIP_S) -> Excerpt:
    """Read the signal around a typical error, which stands in the middle where the record allows."""
    examined, fs = failure.evaluation, failure.evaluation.reference.fs
    recording = open_recording(examined.path)
    length = min(round(length_s * fs), recording.n_samples)
    start = min(max(failure.sample - length // 2, 0), recording.n_samples - length)
    signal = recording.read(start, start + length)[:, columns_of(examined.leads, recording.leads)]
    marks = [
        _marks(each.sample, each.symbol, start, start + length, fs)
        for each in (examined.reference.annotations, examined.test)
    ]
    return Excerpt(signal, fs, examined.leads, start / fs, *marks)


def _marks(sample: Samples, symbol: Labels, start: int, stop: int, fs: float) -> Marks:
    beats, label = _beats(sample, symbol)
    inside = (beats >= start) & (beats < stop)
    return Marks((beats[inside] / fs).tolist(), label[inside].tolist())
