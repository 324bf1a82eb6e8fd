"""Examined records made by hand: a letter a beat, after the learning period, so that every count is known."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ectopy.annotations import Annotations
from ectopy.ec57 import LEARNING_S, BeatComparison
from ectopy.ec57.reference import DETECTED, EC57_MAP, GIVEN, Reference
from ectopy.ecg import CLASSES, Beats
from ectopy.evaluation.calibration import collect_calibration
from ectopy.evaluation.evaluate_record import Outcome, RecordEvaluation

FS = 100.0
RR_S = 0.8
ORDER = "NSVFQOX"


def comparison(**cells: int) -> BeatComparison:
    """``comparison(VN=3)``: three VEB that were called N."""
    counts = np.zeros((7, 7), dtype=np.int64)
    for cell, n in cells.items():
        counts[ORDER.index(cell[0]), ORDER.index(cell[1])] = n
    return BeatComparison(counts)


RECORDS = {
    "231": comparison(NN=90, VV=9, VN=1),
    "232": comparison(NN=50, SS=40, SN=10),
    "202": comparison(NN=80, SS=5, SN=5, NV=10),
}


def at_s(beat: int) -> float:
    """Time of a letter: the first stands a second after the learning period."""
    return LEARNING_S + 1 + beat * RR_S


def marks(letters: str, rhythms: Mapping[int, str] | None = None) -> Annotations:
    """One beat a letter, ``.`` for none; ``rhythms`` begin one sample before the letter of that number."""
    rows = [(round(at_s(k) * FS), letter, "") for k, letter in enumerate(letters) if letter != "."]
    rows += [(round(at_s(k) * FS) - 1, "+", note) for k, note in (rhythms or {}).items()]
    sample, symbol, aux = zip(*sorted(rows), strict=True)
    n = len(rows)
    return Annotations(np.array(sample), np.array(symbol, dtype="U1"), np.zeros(n, np.int64), aux)


def with_shutdown(test: Annotations, first: int, last: int) -> Annotations:
    """Mark the time from before one letter to after another as unreadable; it has no beats."""
    edges = [round((at_s(k) + shift) * FS) for k, shift in ((first, -RR_S / 2), (last, RR_S / 2))]
    at = np.searchsorted(test.sample, edges)
    return Annotations(
        np.insert(test.sample, at, edges),
        np.insert(test.symbol, at, "~"),
        np.insert(test.subtype, at, (-1, 0)),
        (*test.aux[: at[0]], "", "", *test.aux[at[0] :]),
    )


def truth_of(record: str, reference: str | Annotations, patient: str = "") -> Reference:
    """What is known of a record, which ends an interval after its last mark."""
    known = marks(reference) if isinstance(reference, str) else reference
    return Reference(record, patient or record, known, FS, int(known.sample[-1] + RR_S * FS))


def beats_of(test: Annotations, certainty: Sequence[float] | float = 0.9, threshold: float = 0.5) -> Beats:
    """The beats of an annotator, as sure of each letter as told, the rest shared by the other classes."""
    beat = np.isin(test.symbol, list("NSV"))
    sure = np.broadcast_to(certainty, beat.sum()).astype(np.float32)
    label = test.symbol[beat]
    hit = label[:, None] == np.array(CLASSES)
    modelled = np.array(CLASSES) != "F"
    probability = np.where(hit, sure[:, None], modelled * (1 - sure[:, None]) / 2).astype(np.float32)
    return Beats(test.sample[beat], label, probability, sure >= threshold, FS)


def evaluation_of(
    record: str,
    reference: str | Annotations,
    test: str | Annotations,
    *,
    members: Sequence[str] = (),
    held_out: bool = True,
    patient: str = "",
    path: Path | None = None,
    certainty: Sequence[float] | float = 0.9,
) -> RecordEvaluation:
    """A record as the reference has it and as it was called, in every way alike."""
    truth = truth_of(record, reference, patient)
    called = marks(test) if isinstance(test, str) else test
    ways = {DETECTED: "dechazal", GIVEN: "dechazal", EC57_MAP: "ec57"}
    return RecordEvaluation(
        path=path or Path(record),
        reference=truth,
        held_out=held_out,
        columns=(0,),
        test=called,
        by_condition={
            way: Outcome.compare(truth, called, beat_map=beat_map) for way, beat_map in ways.items()
        },
        members=tuple(Outcome.compare(truth, marks(member)) for member in members),
        calibration=collect_calibration(truth, beats_of(called, certainty)),
    )
