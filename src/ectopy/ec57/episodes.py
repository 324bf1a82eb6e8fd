"""Episode-by-episode comparison, as the reference tool ``epicmp`` of the WFDB Software Package 10.7 does it.

An episode is found if any of it overlaps one of the other annotator; durations weigh by time. AF is from a
rhythm mark ``(AFIB`` to the next rhythm mark that is none, VF from ``[`` to ``]``; flutter is not AF here.
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


def _share_of(part: str, *whole: str) -> Ratio:
    part_cells, whole_cells = (
        np.array([field in fields for field in _FIELDS], dtype=np.int64) for fields in ((part,), whole)
    )
    return Ratio(part_cells, whole_cells)


@dataclass(frozen=True)
class EpisodeComparison:
    """What one record, or a sum of records, gives episode by episode.

    Episodes of the reference are ``found`` or ``missed``, those of the test ``confirmed`` or ``false``;
    durations are those of either's episodes in the test period, and how much of them overlaps.
    """

    METRICS: ClassVar[Mapping[str, Ratio]] = MappingProxyType(
        {
            "episode_sensitivity": _share_of("found", "found", "missed"),
            "episode_positive_predictivity": _share_of("confirmed", "confirmed", "false"),
            "duration_sensitivity": _share_of("reference_overlap_s", "reference_s"),
            "duration_positive_predictivity": _share_of("test_overlap_s", "test_s"),
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
        """All fields in order: all that FIGURES are made of."""
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
    """Compare the episodes of AF or VF of two annotators of one record, as epicmp does."""
    expected, called = (_episodes(annotations, kind, n_samples or 0) for annotations in (reference, test))
    start = to_samples(learning_s, fs)
    sensitivity = _tally(expected, called, start, n_samples, fs)
    predictivity = _tally(called, expected, start, n_samples, fs)
    return EpisodeComparison(*sensitivity[:2], *predictivity[:2], *sensitivity[2:], *predictivity[2:])


def _episodes(annotations: Annotations, kind: EpisodeKind, end: int) -> Samples:
    """Give [start, stop] of each episode, int64 [k, 2]; one that never ends lasts to the end."""
    begins, ends = (np.flatnonzero(marks) for marks in _begins_and_ends(annotations, kind))
    found, read = [], -1
    for begin in begins.tolist():
        if begin <= read:
            continue
        stop = ends[np.searchsorted(ends, begin) :][:1]
        read = int(stop[0]) if stop.size else len(annotations)
        last = annotations.sample[read] if stop.size else max(end, int(annotations.sample[-1]))
        found.append((annotations.sample[begin], last))
    return np.array(found, dtype=np.int64).reshape(-1, 2)


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
