"""Atrial flutter, kept out of the metrics of atrial fibrillation.

EC57 scores fibrillation and has no item for flutter. Its program ``epicmp`` counts flutter as no
fibrillation, so AF detected during flutter would be false. Readers treat both rhythms alike. Therefore
flutter counts neither for nor against the test here: its rhythm is cleared where the reference has flutter.
AF detected on either side is scored as usual. The share of flutter detected as AF is reported separately.
Flutter that the test names counts as AF detected, except in the metrics of ``epicmp``.
"""

from dataclasses import replace

import numpy as np

from ectopy.annotations import Annotations
from ectopy.ecg import Mask, Samples

FIBRILLATION, FLUTTER = "(AFIB", "(AFL"
NEITHER = "(N"
_NO_END = np.iinfo(np.int64).max


def flutter_intervals(reference: Annotations) -> Samples:
    """Return [start, stop) of each interval of flutter, int64 [k, 2]; flutter at the end has no stop."""
    rhythm = _rhythm_marks(reference)
    edges = np.append(reference.sample[rhythm], _NO_END)
    starts = np.flatnonzero([reference.aux[mark].startswith(FLUTTER) for mark in rhythm.tolist()])
    return np.stack((edges[starts], edges[starts + 1]), axis=1)


def clear_rhythm(test: Annotations, intervals: Samples) -> Annotations:
    """Set the rhythm to normal inside some intervals, and resume the annotated rhythm after each.

    Parameters
    ----------
    test
        Annotations of an analysis.
    intervals
        Intervals [start, stop) in samples, [k, 2].

    Returns
    -------
    Annotations with the same beats.
    """
    for start, stop in intervals.tolist():
        test = _clear_interval(test, start, stop)
    return test


def flutter_as_fibrillation(reference: Annotations) -> Annotations:
    """Return annotations whose flutter is marked as fibrillation, and whose fibrillation is not marked."""
    renamed = {FIBRILLATION: NEITHER, FLUTTER: FIBRILLATION}
    aux = tuple(
        next((new for old, new in renamed.items() if note.startswith(old)), note) for note in reference.aux
    )
    return replace(reference, aux=aux)


def flutter_too(test: Annotations) -> Annotations:
    """Return annotations whose flutter is marked as fibrillation, like their fibrillation."""
    aux = tuple(FIBRILLATION if note.startswith(FLUTTER) else note for note in test.aux)
    return replace(test, aux=aux)


def _clear_interval(test: Annotations, start: int, stop: int) -> Annotations:
    rhythm = _rhythm_marks(test)
    inside: Mask = (test.sample >= start) & (test.sample < stop) & (test.symbol == "+")
    until_stop = rhythm[test.sample[rhythm] <= stop]
    resumed = test.aux[until_stop[-1]] if until_stop.size else NEITHER
    marks = [(start, NEITHER)]
    if stop != _NO_END and not (test.sample[rhythm] == stop).any():
        marks.append((stop, resumed))
    return _insert(_select(test, ~inside), marks)


def _rhythm_marks(annotations: Annotations) -> Samples:
    return np.flatnonzero(annotations.symbol == "+")


def _select(annotations: Annotations, mask: Mask) -> Annotations:
    return Annotations(
        annotations.sample[mask],
        annotations.symbol[mask],
        annotations.subtype[mask],
        tuple(note for note, selected in zip(annotations.aux, mask.tolist(), strict=True) if selected),
    )


def _insert(annotations: Annotations, marks: list[tuple[int, str]]) -> Annotations:
    """Insert rhythm marks before the annotations at the same sample."""
    samples = np.array([sample for sample, _ in marks], dtype=np.int64)
    index = np.searchsorted(annotations.sample, samples)
    aux = list(annotations.aux)
    for position, (_, note) in sorted(zip(index.tolist(), marks, strict=True), reverse=True):
        aux.insert(position, note)
    return Annotations(
        np.insert(annotations.sample, index, samples),
        np.insert(annotations.symbol, index, "+"),
        np.insert(annotations.subtype, index, 0),
        tuple(aux),
    )
