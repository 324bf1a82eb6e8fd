"""Run-by-run comparison, as the reference tool ``rxr`` of the WFDB Software Package 10.7 does it.

A run is two or more ectopic beats in a row: a couplet (2), a short run (3 to 5), a long run (6 or more). V
and F both extend a ventricular run, and VF counts as a run of 6. Beats called N in AF count as S, and AF as
a run of 6. A run is found as long as the longest run of the other annotator in its window.
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
"""Runs are measured up to here; a longer one, VF and AF count as this long."""
RunKind: TypeAlias = Literal["ventricular", "supraventricular"]

RUN_LENGTHS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"couplet": (2, 2), "short_run": (3, 5), "long_run": (MAX_RUN_LENGTH, MAX_RUN_LENGTH)}
)
"""Shortest and longest run of each name (EC57, as rxr has it)."""


class _Rules(NamedTuple):
    """Letters that extend, break, open and close runs, and the one that opens the other kind of episode."""

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
    """One annotator as rxr reads it: samples, and letters.

    Letters are the classes of beats, [ ] of VF, { } of AF, U where neither signal can be read, else ''.
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
    for at in marks.tolist():
        if annotations.symbol[at] == "~":
            letter[at] = "U" if shutdown[at] and not unreadable else ""
            unreadable = bool(shutdown[at])
        else:
            letter[at], rhythm = _rhythm(annotations.symbol[at], annotations.aux[at], rhythm)
        rhythms.append(rhythm)
    in_af = np.array(rhythms)[np.searchsorted(marks, np.arange(len(letter)))] == "{"
    letter[in_af & (letter == "N")] = "S"
    return _Marks(annotations.sample.tolist(), letter.tolist())


def _rhythm(symbol: str, note: str, now: str) -> tuple[str, str]:
    """Give the letter of a rhythm mark, and the rhythm after it: { in AF, [ in VF, else ''."""
    if symbol == "[" or (symbol == "+" and note.startswith("(VF")):
        return ("" if now == "[" else "["), "["
    if symbol == "+" and note.startswith("(AF"):
        return ("" if now == "{" else "{"), "{"
    if symbol == "]":
        return ("]", "") if now == "[" else ("", now)
    return ({"[": "]", "{": "}"}.get(now, ""), "") if note else ("", now)


def _runs(marks: _Marks, rules: _Rules, start: int, end: int, tolerance: int) -> tuple[list[_Run], int]:
    """Find the runs of one annotator, and the index of the mark at which rxr leaves its file.

    A run that the end of the record breaks off is not counted; one that the end of the file breaks off is,
    and then the index is -1, for rxr has made an unclassifiable beat of that mark.
    """
    first = int(np.searchsorted(marks.sample, start))
    run = _run_at(marks.letter[:first], rules, start, tolerance)
    found: list[_Run] = []
    for at in range(first, len(marks.sample)):
        sample, letter = marks.sample[at], marks.letter[at]
        if end and sample > end and at > first:
            return found, at
        if letter and letter in rules.extends:
            begin = run.start if run.length else sample - tolerance
            run = _Run(min(run.length + 1, MAX_RUN_LENGTH), begin, sample + tolerance)
        elif run.length and letter and letter in rules.breaks:
            found.append(run)
            run = run._replace(length=0)
        elif run.length and letter == rules.closes:
            run = run._replace(stop=sample + tolerance)
        elif not run.length and letter == rules.opens:
            run = run._replace(length=MAX_RUN_LENGTH, start=sample - tolerance)
    if not run.length:
        return found, len(marks.sample) - 1
    beyond_end = end and marks.sample[-1] > end
    return (found if beyond_end else [*found, run]), -1


def _run_at(before: list[str], rules: _Rules, start: int, tolerance: int) -> _Run:
    """Tell whether VF (AF) is under way when the learning period ends."""
    told = [letter for letter in before if letter and letter in rules.opens + "]}"]
    if told and told[-1] == rules.opens:
        return _Run(MAX_RUN_LENGTH, start - tolerance, start + tolerance)
    return _Run(0, 0, 0)


def _longest_runs(marks: _Marks, rules: _Rules, windows: list[_Run]) -> list[int]:
    """Find the longest run in each window, reading on from where the window before was left."""
    longest, at, episode_end = [], 0, 0
    for window in windows:
        length = MAX_RUN_LENGTH
        if episode_end <= window.start:
            length, at, episode_end = _longest_run(marks, rules, at, window)
        longest.append(length)
    return longest


def _longest_run(marks: _Marks, rules: _Rules, at: int, window: _Run) -> tuple[int, int, int]:
    """Give the longest run in a window, where reading stops, and the end of a VF (AF) met."""
    sample, letter = marks
    while at < len(sample) and sample[at] < window.start:
        if letter[at] == rules.opens:
            at, episode_end = _end_of_episode(marks, rules, at)
            if episode_end > window.start:
                return MAX_RUN_LENGTH, at, episode_end
        at += 1
    longest = length = 0
    while at < len(sample) and sample[at] <= window.stop:
        if letter[at] == rules.opens:
            return MAX_RUN_LENGTH, *_end_of_episode(marks, rules, at)
        if letter[at] and letter[at] in rules.extends:
            length += 1
        elif letter[at] and letter[at] in rules.breaks + rules.other:
            length = 0
        longest = max(longest, length)
        at += 1
    return min(longest, MAX_RUN_LENGTH), at, 0


def _end_of_episode(marks: _Marks, rules: _Rules, at: int) -> tuple[int, int]:
    """Read on to the mark that ends VF (AF), past the end of the file where none does."""
    for stop in range(at + 1, len(marks.letter)):
        if marks.letter[stop] and marks.letter[stop] in rules.closes + rules.other + "U":
            return stop, marks.sample[stop]
    return len(marks.letter), NEVER


def _read_again(annotations: Annotations, leftover: int) -> Annotations:
    """Begin a file as rxr finds it: with what it read last of that file, if anything, now at sample 0."""
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
    """Runs of some length: of the reference found or missed, of the test confirmed or false."""

    found: int
    missed: int
    confirmed: int
    false: int


def _cells_of(shortest: int, longest: int) -> tuple[Counts, Counts, Counts, Counts]:
    """Mark the cells of found, missed, confirmed and false runs of some lengths."""
    found, missed, confirmed, false = np.zeros((4, 2, MAX_RUN_LENGTH + 1, MAX_RUN_LENGTH + 1), dtype=np.int64)
    lengths = slice(shortest, longest + 1)
    found[0, lengths, shortest:] = 1
    missed[0, lengths, :shortest] = 1
    confirmed[1, shortest:, lengths] = 1
    false[1, :shortest, lengths] = 1
    return found, missed, confirmed, false


def _run_figures() -> dict[str, Ratio]:
    made: dict[str, Ratio] = {}
    for name, lengths in RUN_LENGTHS.items():
        found, missed, confirmed, false = _cells_of(*lengths)
        made[f"{name}_sensitivity"] = Ratio(found, found + missed)
        made[f"{name}_positive_predictivity"] = Ratio(confirmed, confirmed + false)
    return made


@dataclass(frozen=True, eq=False)
class RunComparison:
    """What one record, or a sum of records, gives run by run.

    ``counts`` is int64 [2, 7, 7], rows the length of the reference's run, columns of the test's, 6 for any
    longer: [0] each run of the reference by the longest run of the test in its window, [1] each run of the
    test by the longest of the reference.
    """

    METRICS: ClassVar[Mapping[str, Ratio]] = MappingProxyType(_run_figures())

    counts: Counts

    @property
    def cells(self) -> Counts:
        """Both matrices: all that FIGURES are made of."""
        return self.counts

    def __add__(self, other: Self) -> Self:
        return type(self)(self.counts + other.counts)

    def tally(self, name: str) -> RunTally:
        """Count the runs called ``couplet``, ``short_run`` or ``long_run``."""
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
    """Compare the ventricular or supraventricular runs of two annotators of one record, as rxr does."""
    rules, end = _RULES[kind], n_samples or 0
    times = to_samples(learning_s, fs), end, to_samples(match_window_s, fs)
    test_marks = _marks(test, beat_map)
    expected, ref_left = _runs(_marks(reference, beat_map), rules, *times)
    called, _ = _runs(test_marks, rules, *times)
    # rxr does ventricular runs first: of the test it then still holds what that left.
    test_left = -1 if kind == "ventricular" else _runs(test_marks, _RULES["ventricular"], *times)[1]
    found = _longest_runs(_marks(_read_again(test, test_left), beat_map), rules, expected)
    meant = _longest_runs(_marks(_read_again(reference, ref_left), beat_map), rules, called)
    counts = np.zeros((2, MAX_RUN_LENGTH + 1, MAX_RUN_LENGTH + 1), dtype=np.int64)
    np.add.at(counts[0], ([run.length for run in expected], found), 1)
    np.add.at(counts[1], (meant, [run.length for run in called]), 1)
    return RunComparison(counts)
