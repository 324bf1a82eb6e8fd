"""Whole records compared: beats, runs and episodes together, from memory or from annotation files."""

import logging
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

logger = logging.getLogger(__name__)

RUN_KINDS: tuple[RunKind, ...] = ("ventricular", "supraventricular")
EPISODE_KINDS: tuple[EpisodeKind, ...] = ("AF", "VF")
_PACED = ("/", "f")


@dataclass(frozen=True, eq=False)
class RecordComparison:
    """Everything EC57 asks of one record, or of a sum of records; ``paced`` where any of them is."""

    beats: BeatComparison
    runs: Mapping[RunKind, RunComparison]
    episodes: Mapping[EpisodeKind, EpisodeComparison]
    paced: bool

    def __add__(self, other: Self) -> Self:
        return replace(
            self,
            beats=self.beats + other.beats,
            runs=MappingProxyType({kind: runs + other.runs[kind] for kind, runs in self.runs.items()}),
            episodes=MappingProxyType(
                {kind: episodes + other.episodes[kind] for kind, episodes in self.episodes.items()}
            ),
            paced=self.paced or other.paced,
        )


def compare_record(
    reference: Annotations,
    test: Annotations,
    fs: float,
    *,
    beat_map: BeatMap = "ec57",
    n_samples: int | None = None,
) -> RecordComparison:
    """Compare two annotators of one record beat by beat, run by run and episode by episode."""
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
    )
