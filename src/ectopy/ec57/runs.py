"""Run-by-run comparison, equal to the reference tool ``rxr`` of the WFDB Software Package 10.7.

A run is two or more ectopic beats in a row: a couplet (2), a short run (3 to 5), a long run (6 or more). V
and F both extend a ventricular run, and VF counts as a run of 6. N beats in AF count as S, and AF counts as a
run of 6. The length of a run is compared with that of the longest run of the other annotator in its window.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal, NamedTuple, Self, TypeAlias

import numpy as np

from ectopy.annotations import Annotations
from ectopy.ec57.classes import LEARNING_S, MATCH_WINDOW_S, BeatMap, classes_of, to_samples
from ectopy.ec57.marks import NEVER, starts_shutdown
from ectopy.ec57.summary import Counts, Ratio

MAX_RUN_LENGTH = 6
"""Longer runs count as this long, and so do VF and AF."""
RunKind: TypeAlias = Literal["ventricular", "supraventricular"]

RUN_LENGTHS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"couplet": (2, 2), "short_run": (3, 5), "long_run": (MAX_RUN_LENGTH, MAX_RUN_LENGTH)}
)
"""Shortest and longest run of each name, as in rxr; lengths are capped at MAX_RUN_LENGTH."""


class _Rules(NamedTuple):
    """Letters that extend, break, open and close runs; ``other`` opens the other kind of episode."""

    extends: str
    breaks: str
    opens: str
    closes: str
    other: str


_RULES: Mapping[RunKind, _Rules] = MappingProxyType(
    {
        "ventricular": _Rules("VF", "NQSU", "[", "]", "{"),
        "supraventricular": _Rules("S", "NQVFU", "{", "}", "["),
    }
)


class _Marks(NamedTuple):
    """One annotator as rxr reads it: the samples and the letters of its marks.

    The letter is the class of a beat, [ or ] for VF, { or } for AF, U for the start of a shutdown, else ''.
    """

    sample: list[int]
    letter: list[str]


class _Run(NamedTuple):
    length: int
    start: int
    stop: int


def _marks(annotations: Annotations, beat_map: BeatMap) -> _Marks:
    letter, shutdown = classes_of(annotations.symbol, beat_map), starts_shutdown(annotations)
    marks = np.flatnonzero(np.isin(annotations.symbol, ("~", "[", "]", "+")))
    rhythm, unreadable, rhythms = "", False, [""]
    for mark in marks.tolist():
        if annotations.symbol[mark] == "~":
            letter[mark] = "U" if shutdown[mark] and not unreadable else ""
            unreadable = bool(shutdown[mark])
        else:
            letter[mark], rhythm = _rhythm(annotations.symbol[mark], annotations.aux[mark], rhythm)
        rhythms.append(rhythm)
    in_af = np.array(rhythms)[np.searchsorted(marks, np.arange(len(letter)))] == "{"
    letter[in_af & (letter == "N")] = "S"
    return _Marks(annotations.sample.tolist(), letter.tolist())


def _rhythm(symbol: str, note: str, rhythm: str) -> tuple[str, str]:
    """Return the letter of a rhythm mark, and the rhythm after it: { in AF, [ in VF, else ''."""
    if symbol == "[" or (symbol == "+" and note.startswith("(VF")):
        return ("" if rhythm == "[" else "["), "["
    if symbol == "+" and note.startswith("(AF"):
        return ("" if rhythm == "{" else "{"), "{"
    if symbol == "]":
        return ("]", "") if rhythm == "[" else ("", rhythm)
    return ({"[": "]", "{": "}"}.get(rhythm, ""), "") if note else ("", rhythm)


def _runs(marks: _Marks, rules: _Rules, start: int, end: int, tolerance: int) -> tuple[list[_Run], int]:
    """Find the runs of one annotator, and the index of the mark at which rxr stops reading.

    A run is not counted if the end of the record cuts it off, but it is if the end of the file does. In that
    case the index is -1, because rxr has replaced the mark by an unclassifiable beat.
    """
    first = int(np.searchsorted(marks.sample, start))
    run = _run_under_way(marks.letter[:first], rules, start, tolerance)
    runs: list[_Run] = []
    for mark in range(first, len(marks.sample)):
        sample, letter = marks.sample[mark], marks.letter[mark]
        if end and sample > end and mark > first:
            return runs, mark
        if letter and letter in rules.extends:
            begin = run.start if run.length else sample - tolerance
            run = _Run(min(run.length + 1, MAX_RUN_LENGTH), begin, sample + tolerance)
        elif run.length and letter and letter in rules.breaks:
            runs.append(run)
            run = run._replace(length=0)
        elif run.length and letter == rules.closes:
            run = run._replace(stop=sample + tolerance)
        elif not run.length and letter == rules.opens:
            run = run._replace(length=MAX_RUN_LENGTH, start=sample - tolerance)
    if not run.length:
        return runs, len(marks.sample) - 1
    beyond_end = end and marks.sample[-1] > end
    return (runs if beyond_end else [*runs, run]), -1


def _run_under_way(letters: list[str], rules: _Rules, start: int, tolerance: int) -> _Run:
    """Return VF (AF) that is under way when the learning period ends, else a run of length 0."""
    rhythms = [letter for letter in letters if letter and letter in rules.opens + "]}"]
    if rhythms and rhythms[-1] == rules.opens:
        return _Run(MAX_RUN_LENGTH, start - tolerance, start + tolerance)
    return _Run(0, 0, 0)


def _longest_runs(marks: _Marks, rules: _Rules, windows: list[_Run]) -> list[int]:
    """Find the longest run in each window; each search goes on where the one before it stopped."""
    longest, mark, episode_end = [], 0, 0
    for window in windows:
        length = MAX_RUN_LENGTH
        if episode_end <= window.start:
            length, mark, episode_end = _longest_run(marks, rules, mark, window)
        longest.append(length)
    return longest


def _longest_run(marks: _Marks, rules: _Rules, mark: int, window: _Run) -> tuple[int, int, int]:
    """Return the longest run in a window, the mark where the search stops, and the end of VF (AF) or 0."""
    sample, letter = marks
    while mark < len(sample) and sample[mark] < window.start:
        if letter[mark] == rules.opens:
            mark, episode_end = _end_of_episode(marks, rules, mark)
            if episode_end > window.start:
                return MAX_RUN_LENGTH, mark, episode_end
        mark += 1
    longest = length = 0
    while mark < len(sample) and sample[mark] <= window.stop:
        if letter[mark] == rules.opens:
            return MAX_RUN_LENGTH, *_end_of_episode(marks, rules, mark)
        if letter[mark] and letter[mark] in rules.extends:
            length += 1
        elif letter[mark] and letter[mark] in rules.breaks + rules.other:
            length = 0
        longest = max(longest, length)
        mark += 1
    return min(longest, MAX_RUN_LENGTH), mark, 0


def _end_of_episode(marks: _Marks, rules: _Rules, mark: int) -> tuple[int, int]:
    """Find the mark that ends VF (AF) and its sample; without one, the end of the file."""
    for stop in range(mark + 1, len(marks.letter)):
        if marks.letter[stop] and marks.letter[stop] in rules.closes + rules.other + "U":
            return stop, marks.sample[stop]
    return len(marks.letter), NEVER


def _second_pass(annotations: Annotations, leftover: int) -> Annotations:
    """Return a file as rxr reads it the second time: the mark it read last is now the first, at sample 0."""
    symbol, subtype, note = " ", 0, ""
    if leftover >= 0:
        symbol, subtype, note = (
            str(annotations.symbol[leftover]),
            int(annotations.subtype[leftover]),
            annotations.aux[leftover],
        )
    return Annotations(
        np.concatenate(([0], annotations.sample)),
        np.concatenate(([symbol], annotations.symbol)),
        np.concatenate(([subtype], annotations.subtype)),
        (note, *annotations.aux),
    )


class RunTally(NamedTuple):
    """Number of runs of one name: reference runs found or missed, test runs confirmed or false."""

    found: int
    missed: int
    confirmed: int
    false: int


def _cells_of(shortest: int, longest: int) -> tuple[Counts, Counts, Counts, Counts]:
    """Return the cells [2, 7, 7] of found, missed, confirmed and false runs of these lengths: 1, else 0."""
    found, missed, confirmed, false = np.zeros((4, 2, MAX_RUN_LENGTH + 1, MAX_RUN_LENGTH + 1), dtype=np.int64)
    lengths = slice(shortest, longest + 1)
    found[0, lengths, shortest:] = 1
    missed[0, lengths, :shortest] = 1
    confirmed[1, shortest:, lengths] = 1
    false[1, :shortest, lengths] = 1
    return found, missed, confirmed, false


def _run_metrics() -> dict[str, Ratio]:
    metrics: dict[str, Ratio] = {}
    for name, lengths in RUN_LENGTHS.items():
        found, missed, confirmed, false = _cells_of(*lengths)
        metrics[f"{name}_sensitivity"] = Ratio(found, found + missed)
        metrics[f"{name}_positive_predictivity"] = Ratio(confirmed, confirmed + false)
    return metrics


@dataclass(frozen=True, eq=False)
class RunComparison:
    """Run-by-run result of one record, or of a sum of records.

    ``counts`` is int64 [2, 7, 7]: the number of pairs of runs by length in the reference (rows) and in the
    test (columns). 6 stands for 6 or more. [0] has each run of the reference and the longest test run in its
    window. [1] has each run of the test and the longest reference run in its window.
    """

    METRICS: ClassVar[Mapping[str, Ratio]] = MappingProxyType(_run_metrics())

    counts: Counts

    @property
    def cells(self) -> Counts:
        """Both matrices, from which METRICS are computed."""
        return self.counts

    def __add__(self, other: Self) -> Self:
        return type(self)(self.counts + other.counts)

    def tally(self, name: str) -> RunTally:
        """Count the runs of one name: ``couplet``, ``short_run`` or ``long_run``."""
        return RunTally(*(int((self.counts * cells).sum()) for cells in _cells_of(*RUN_LENGTHS[name])))


def compare_runs(  # noqa: PLR0913 - two annotators, and what the standard fixes
    reference: Annotations,
    test: Annotations,
    fs: float,
    *,
    kind: RunKind,
    beat_map: BeatMap = "ec57",
    learning_s: float = LEARNING_S,
    match_window_s: float = MATCH_WINDOW_S,
    n_samples: int | None = None,
) -> RunComparison:
    """Compare the ventricular or supraventricular runs of two annotators of one record, as rxr does.

    Parameters
    ----------
    reference, test
        Annotations in order of time.
    fs
        Sampling rate of the annotations in Hz.
    kind
        "ventricular" or "supraventricular".
    beat_map
        Class of escape beats: "ec57" or "dechazal".
    learning_s
        Time at the start that is not scored, in s.
    match_window_s
        Distance that the window around a run reaches beyond it, in s.
    n_samples
        Length of the record; without it, the comparison ends with the last mark.

    Returns
    -------
    Run lengths of both annotators against each other, with their metrics.

    Examples
    --------
    Of a run of three ventricular beats, the test has only a couplet:

    >>> import numpy as np
    >>> from ectopy.annotations import Annotations
    >>> def annotations(symbols):
    ...     n = len(symbols)
    ...     return Annotations(100 * np.arange(1, n + 1), np.array(symbols), np.zeros(n, int), ("",) * n)
    >>> reference, test = annotations(["N", "V", "V", "V", "N"]), annotations(["N", "N", "V", "V", "N"])
    >>> runs = compare_runs(reference, test, 100.0, kind="ventricular", learning_s=0.0, n_samples=600)
    >>> runs.tally("short_run")
    RunTally(found=0, missed=1, confirmed=0, false=0)
    >>> runs.tally("couplet")
    RunTally(found=0, missed=0, confirmed=1, false=0)
    """
    rules, end = _RULES[kind], n_samples or 0
    times = to_samples(learning_s, fs), end, to_samples(match_window_s, fs)
    test_marks = _marks(test, beat_map)
    reference_runs, reference_left = _runs(_marks(reference, beat_map), rules, *times)
    test_runs, _ = _runs(test_marks, rules, *times)
    # rxr compares ventricular runs first, and keeps the test mark that it read last in that comparison.
    test_left = -1 if kind == "ventricular" else _runs(test_marks, _RULES["ventricular"], *times)[1]
    test_again = _marks(_second_pass(test, test_left), beat_map)
    reference_again = _marks(_second_pass(reference, reference_left), beat_map)
    test_lengths = _longest_runs(test_again, rules, reference_runs)
    reference_lengths = _longest_runs(reference_again, rules, test_runs)
    counts = np.zeros((2, MAX_RUN_LENGTH + 1, MAX_RUN_LENGTH + 1), dtype=np.int64)
    np.add.at(counts[0], ([run.length for run in reference_runs], test_lengths), 1)
    np.add.at(counts[1], (reference_lengths, [run.length for run in test_runs]), 1)
    return RunComparison(counts)
