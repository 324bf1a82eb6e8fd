"""Comparison of whole records: beats, runs and episodes together."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Self

import numpy as np

from ectopy.annotations import Annotations
from ectopy.ec57.beats import BeatComparison, compare_beats
from ectopy.ec57.classes import BeatMap
from ectopy.ec57.episodes import EpisodeComparison, EpisodeKind, compare_episodes
from ectopy.ec57.runs import RunComparison, RunKind, compare_runs

RUN_KINDS: tuple[RunKind, ...] = ("ventricular", "supraventricular")
EPISODE_KINDS: tuple[EpisodeKind, ...] = ("AF", "VF")
_PACED = ("/", "f")


@dataclass(frozen=True, eq=False)
class RecordComparison:
    """Everything EC57 asks for one record, or a sum of records; ``paced`` if any of them has paced beats.

    ``notes`` state what is wrong with the annotation files.
    """

    beats: BeatComparison
    runs: Mapping[RunKind, RunComparison]
    episodes: Mapping[EpisodeKind, EpisodeComparison]
    paced: bool
    notes: tuple[str, ...] = ()

    def __add__(self, other: Self) -> Self:
        return replace(
            self,
            beats=self.beats + other.beats,
            runs=MappingProxyType({kind: runs + other.runs[kind] for kind, runs in self.runs.items()}),
            episodes=MappingProxyType(
                {kind: episodes + other.episodes[kind] for kind, episodes in self.episodes.items()}
            ),
            paced=self.paced or other.paced,
            notes=self.notes + other.notes,
        )


def compare_record(
    reference: Annotations,
    test: Annotations,
    fs: float,
    *,
    beat_map: BeatMap = "ec57",
    n_samples: int | None = None,
) -> RecordComparison:
    """Compare two annotators of one record beat by beat, run by run and episode by episode.

    Parameters
    ----------
    reference, test
        Annotations in order of time.
    fs
        Sampling rate of the annotations in Hz.
    beat_map
        Class of escape beats: "ec57" or "dechazal".
    n_samples
        Length of the record in samples; without it, the comparisons end with the annotations.

    Returns
    -------
    All comparisons of the record.

    Examples
    --------
    Beats in the learning period of 5 minutes do not count, so the annotations begin after it:

    >>> import numpy as np
    >>> from ectopy.annotations import Annotations
    >>> def annotations(symbols):
    ...     n = len(symbols)
    ...     return Annotations(30_000 + 100 * np.arange(n), np.array(symbols), np.zeros(n, int), ("",) * n)
    >>> record = compare_record(annotations(["N", "V", "V"]), annotations(["N", "V", "V"]), 100.0)
    >>> record.beats.veb_f1, record.runs["ventricular"].tally("couplet").found, record.paced
    (1.0, 1, False)
    """
    pair = reference, test, fs
    return RecordComparison(
        compare_beats(*pair, beat_map=beat_map, n_samples=n_samples),
        MappingProxyType(
            {
                kind: compare_runs(*pair, kind=kind, beat_map=beat_map, n_samples=n_samples)
                for kind in RUN_KINDS
            }
        ),
        MappingProxyType(
            {kind: compare_episodes(*pair, kind=kind, n_samples=n_samples) for kind in EPISODE_KINDS}
        ),
        paced=bool(np.isin(reference.symbol, _PACED).any()),
        notes=tuple(
            f"{role}: {note}"
            for role, annotations in (("reference", reference), ("test", test))
            for note in annotations.notes
        ),
    )
