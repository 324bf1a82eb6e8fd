"""Episode-by-episode comparison, equal to the reference tool ``epicmp`` of the WFDB Software Package 10.7.

An episode is found if it overlaps any episode of the other annotator; duration metrics weigh by time. AF
lasts from a rhythm mark ``(AFIB`` to the next rhythm mark that is not AF. VF lasts from ``[`` to ``]``.
Flutter does not count as AF here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ectopy.annotations import Annotations
from ectopy.ec57.classes import LEARNING_S, to_samples
from ectopy.ec57.summary import Ratio
from ectopy.ecg import Mask, Samples

EpisodeKind: TypeAlias = Literal["AF", "VF"]

_FIELDS = (
    "found", "missed", "confirmed", "false",
    "reference_s", "reference_overlap_s", "test_s", "test_overlap_s",
)  # fmt: skip


def _ratio(part: str, *whole: str) -> Ratio:
    numerator, denominator = (
        np.array([field in fields for field in _FIELDS], dtype=np.int64) for fields in ((part,), whole)
    )
    return Ratio(numerator, denominator)


@dataclass(frozen=True)
class EpisodeComparison:
    """Episode-by-episode result of one record, or of a sum of records.

    Episodes of the reference are ``found`` or ``missed``, those of the test are ``confirmed`` or ``false``.
    Durations are in s after the learning period: all episodes of an annotator, and the part of them that
    overlaps with episodes of the other.
    """

    METRICS: ClassVar[Mapping[str, Ratio]] = MappingProxyType(
        {
            "episode_sensitivity": _ratio("found", "found", "missed"),
            "episode_positive_predictivity": _ratio("confirmed", "confirmed", "false"),
            "duration_sensitivity": _ratio("reference_overlap_s", "reference_s"),
            "duration_positive_predictivity": _ratio("test_overlap_s", "test_s"),
        }
    )

    found: int
    missed: int
    confirmed: int
    false: int
    reference_s: float
    reference_overlap_s: float
    test_s: float
    test_overlap_s: float

    @property
    def cells(self) -> NDArray[np.float64]:
        """All fields in order, from which METRICS are computed."""
        return np.array([getattr(self, field) for field in _FIELDS], dtype=np.float64)

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, field) + getattr(other, field) for field in _FIELDS))


class _Tally(NamedTuple):
    hits: int
    others: int
    duration_s: float
    overlap_s: float


def compare_episodes(  # noqa: PLR0913
    reference: Annotations,
    test: Annotations,
    fs: float,
    *,
    kind: EpisodeKind,
    learning_s: float = LEARNING_S,
    n_samples: int | None = None,
) -> EpisodeComparison:
    """Compare the episodes of AF or VF of two annotators of one record, as epicmp does.

    Parameters
    ----------
    reference, test
        Annotations in order of time.
    fs
        Sampling rate of the annotations in Hz.
    kind
        "AF" or "VF".
    learning_s
        Time at the start that is not scored, in s.
    n_samples
        Length of the record; without it, the comparison ends with the last mark.

    Returns
    -------
    Numbers and durations of the episodes, with their metrics.

    Examples
    --------
    AF from 10 to 20 s of the record, detected from 15 s on:

    >>> import numpy as np
    >>> from ectopy.annotations import Annotations
    >>> def rhythm(start_s):
    ...     samples = 100 * np.array([start_s, 20])
    ...     return Annotations(samples, np.array(["+", "+"]), np.zeros(2, int), ("(AFIB", "(N"))
    >>> episodes = compare_episodes(rhythm(10), rhythm(15), 100.0, kind="AF", learning_s=0.0, n_samples=3000)
    >>> episodes.found, episodes.reference_s, episodes.reference_overlap_s
    (1, 10.0, 5.0)
    """
    reference_episodes, test_episodes = (
        _episodes(annotations, kind, n_samples or 0) for annotations in (reference, test)
    )
    start = to_samples(learning_s, fs)
    sensitivity = _tally(reference_episodes, test_episodes, start, n_samples, fs)
    predictivity = _tally(test_episodes, reference_episodes, start, n_samples, fs)
    return EpisodeComparison(*sensitivity[:2], *predictivity[:2], *sensitivity[2:], *predictivity[2:])


def _episodes(annotations: Annotations, kind: EpisodeKind, end: int) -> Samples:
    """Return [start, stop] of each episode, int64 [k, 2]; the end of the record ends those without an end."""
    begins, ends = (np.flatnonzero(marks) for marks in _begins_and_ends(annotations, kind))
    episodes, last_mark = [], -1
    for begin in begins.tolist():
        if begin <= last_mark:
            continue
        end_mark = ends[np.searchsorted(ends, begin) :][:1]
        last_mark = int(end_mark[0]) if end_mark.size else len(annotations)
        stop = annotations.sample[last_mark] if end_mark.size else max(end, int(annotations.sample[-1]))
        episodes.append((annotations.sample[begin], stop))
    return np.array(episodes, dtype=np.int64).reshape(-1, 2)


def _begins_and_ends(annotations: Annotations, kind: EpisodeKind) -> tuple[Mask, Mask]:
    if kind == "VF":
        return annotations.symbol == "[", annotations.symbol == "]"
    af = np.array([note.startswith("(AFIB") for note in annotations.aux], dtype=bool)
    rhythm: Mask = annotations.symbol == "+"
    return rhythm & af, rhythm & ~af


def _tally(episodes: Samples, others: Samples, start: int, end: int | None, fs: float) -> _Tally:
    """Count the episodes within the test period that overlap others, and those that do not."""
    within = episodes[(episodes[:, 1] >= start) & (episodes[:, 0] < (end or np.inf))]
    begin, stop = np.maximum(within[:, 0], start), np.minimum(within[:, 1], end or np.inf)
    shared = np.minimum(stop[:, None], others[:, 1]) - np.maximum(begin[:, None], others[:, 0])
    overlap = np.maximum(shared, 0).sum(axis=1)
    hits = int((overlap > 0).sum())
    return _Tally(hits, len(within) - hits, float((stop - begin).sum() / fs), float(overlap.sum() / fs))
