"""Fibrillation judged with flutter apart, beside what ``epicmp`` says.

EC57 has an item for fibrillation and none for flutter, and ``epicmp`` takes flutter for no fibrillation: time
called AF there would be false. To a reader of a recording the two are treated alike, so flutter neither
counts for nor against here: wherever the reference says flutter, the test's rhythm is silenced, and what it
calls AF on either side is judged as it stands. How much of the flutter was called AF is told beside it.
"""

from dataclasses import replace

import numpy as np

from ectopy.annotations import Annotations
from ectopy.ecg import Mask, Samples

FIBRILLATION, FLUTTER = "(AFIB", "(AFL"
NEITHER = "(N"
_NEVER = np.iinfo(np.int64).max


def flutter_intervals(reference: Annotations) -> Samples:
    """Give [start, stop) of each stretch of flutter, int64 [k, 2]; a last one has no end."""
    at = _rhythm_marks(reference)
    edges = np.append(reference.sample[at], _NEVER)
    begins = np.flatnonzero([reference.aux[mark].startswith(FLUTTER) for mark in at.tolist()])
    return np.stack((edges[begins], edges[begins + 1]), axis=1)


def clear_rhythm(test: Annotations, stretches: Samples) -> Annotations:
    """Let an annotator say no rhythm in [start, stop) stretches, and go on after each as it would have."""
    for start, stop in stretches.tolist():
        test = _silence_one(test, start, stop)
    return test


def flutter_as_fibrillation(reference: Annotations) -> Annotations:
    """Say fibrillation where the reference says flutter, and nowhere else."""
    renamed = {FIBRILLATION: NEITHER, FLUTTER: FIBRILLATION}
    aux = tuple(
        next((new for old, new in renamed.items() if note.startswith(old)), note) for note in reference.aux
    )
    return replace(reference, aux=aux)


def _silence_one(test: Annotations, start: int, stop: int) -> Annotations:
    rhythm = _rhythm_marks(test)
    inside: Mask = (test.sample >= start) & (test.sample < stop) & (test.symbol == "+")
    until = rhythm[test.sample[rhythm] <= stop]
    after = test.aux[until[-1]] if until.size else NEITHER
    kept = _take(test, ~inside)
    marks = [(start, NEITHER)]
    if stop != _NEVER and not (test.sample[rhythm] == stop).any():
        marks.append((stop, after))
    return _insert(kept, marks)


def _rhythm_marks(annotations: Annotations) -> Samples:
    return np.flatnonzero(annotations.symbol == "+")


def _take(annotations: Annotations, kept: Mask) -> Annotations:
    return Annotations(
        annotations.sample[kept],
        annotations.symbol[kept],
        annotations.subtype[kept],
        tuple(note for note, keep in zip(annotations.aux, kept.tolist(), strict=True) if keep),
    )


def _insert(annotations: Annotations, marks: list[tuple[int, str]]) -> Annotations:
    """Add rhythm marks, before what stands at the same sample."""
    samples = np.array([sample for sample, _ in marks], dtype=np.int64)
    at = np.searchsorted(annotations.sample, samples)
    aux = list(annotations.aux)
    for place, (_, note) in sorted(zip(at.tolist(), marks, strict=True), reverse=True):
        aux.insert(place, note)
    return Annotations(
        np.insert(annotations.sample, at, samples),
        np.insert(annotations.symbol, at, "+"),
        np.insert(annotations.subtype, at, 0),
        tuple(aux),
    )
