"""Annotations for tests of EC57, written as words: ``symbol:sample[:note or subtype]``.

Samples are counted from the end of the learning period, at 100 Hz: the match window is 15 samples.
"""

from typing import Any

import numpy as np

from ectopy import ec57
from ectopy.annotations import Annotations

FS = 100.0
START = 30_000  # 300 s
END = 60_000


def marks(words: str, *, start: int = START) -> Annotations:
    """Read marks such as ``"N:100 ~:250:-1 +:300:(AFIB"``."""
    parts = [word.split(":") for word in words.split()]
    extra = ["".join(part[2:]) for part in parts]
    return Annotations(
        np.array([int(part[1]) + start for part in parts], dtype=np.int64),
        np.array([part[0] for part in parts], dtype="U1"),
        np.array([int(note) if note and note[0] != "(" else 0 for note in extra], dtype=np.int64),
        tuple(note if note[:1] == "(" else "" for note in extra),
    )


def beats(reference: str, test: str, **options: Any) -> ec57.BeatComparison:
    """Compare two annotators beat by beat, on a record of ten minutes."""
    return ec57.compare_beats(marks(reference), marks(test), FS, **{"n_samples": END, **options})


def cells(comparison: ec57.BeatComparison) -> dict[str, int]:
    """Return the cells that are not empty, named as in bxb."""
    names = [row + column.lower() for row in "NSVFQOX" for column in "NSVFQOX"]
    return {name: int(n) for name, n in zip(names, comparison.counts.ravel(), strict=True) if n}


def runs(reference: str, test: str, kind: ec57.RunKind = "ventricular") -> ec57.RunComparison:
    """Compare two annotators run by run, on a record of ten minutes."""
    return ec57.compare_runs(marks(reference), marks(test), FS, kind=kind, n_samples=END)


def lengths(matrix: np.ndarray[Any, Any]) -> dict[tuple[int, int], int]:
    """Return the cells of a run matrix that are not empty, by length in the reference and in the test."""
    return {(int(i), int(j)): int(matrix[i, j]) for i, j in np.argwhere(matrix)}


def episodes(reference: str, test: str, kind: ec57.EpisodeKind = "AF") -> ec57.EpisodeComparison:
    """Compare two annotators episode by episode, on a record of ten minutes."""
    return ec57.compare_episodes(marks(reference), marks(test), FS, kind=kind, n_samples=END)
