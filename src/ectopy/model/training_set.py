"""What is learned from, and how it is judged without looking at a patient twice.

An :class:`Example` is one pass over one record: its features and the labels of its beats. The same record
gives several: with given and with detected beats, under noise, cut into strips, with its leads swapped or
lost, and as other patients that are made of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias
from zlib import crc32

import numpy as np

from ectopy.annotations import Annotations, read_annotations
from ectopy.beats.detection import detect_beats, to_recording
from ectopy.beats.lead_selection import choose_leads
from ectopy.beats.windows import pad_leads
from ectopy.ec57 import classes_of, match_beats
from ectopy.ec57.reference import DETECTED, GIVEN, Reference
from ectopy.ecg import Labels, Recording, Samples
from ectopy.features import extraction
from ectopy.model import augmentation
from ectopy.readers import open_recording
from ectopy.signal.noise import add_noise

TRAINED_LABELS = ("N", "S", "V")
"""Classes that are modelled. F is one patient in either half of the database: nothing to learn from."""
MATCH_S = 0.150
"""A detected beat takes the label of the annotated beat this near, as in EC57."""
AUGMENTED = "made: "
"""Begins the views of a patient made of a record; its own are DETECTED, by our detector, and GIVEN."""
STRIPS = "strips"
"""View of a record's own beats as if it were many short recordings."""
STRIP_BEATS = (12, 30, 60, 100, 200)
BORROWED = tuple(
    AUGMENTED + kind for kind in augmentation.SHARES if kind.startswith("ventricular beats of another")
)
"""Views of a patient made of two."""
FIBRILLATION = ("(AFIB", "(AFL")

LabelledBeats: TypeAlias = tuple[extraction.BeatWindows, Labels]
"""Beats and their labels."""
RecordRef: TypeAlias = tuple[Path, str]
"""A record and whose it is."""


@dataclass(frozen=True, eq=False)
class TrainingSequence:
    """Features [n, k] and labels [n] of one record's beats, '' where a beat has none to learn from.

    ``sample`` is on the record's grid, that of a made patient on WORKING_FS; ``view`` says how the record
    was looked at; ``donor`` is the other patient whose beats a made one has, if any.
    """

    record: str
    patient: str
    variant: str
    sample: Samples
    features: extraction.Floats
    label: Labels
    donor: str = ""

    @property
    def patients(self) -> set[str]:
        """Whose beats these are: a made patient may have some of a second one, the donor."""
        return {self.patient, self.donor} - {""}

    @property
    def augmented(self) -> bool:
        """Whether this is a patient made of a true one."""
        return self.variant.startswith(AUGMENTED)

    @property
    def share(self) -> float:
        """How often this kind of patient is drawn, relative to other kinds."""
        return augmentation.SHARES.get(self.variant.removeprefix(AUGMENTED).partition(",")[0], 1.0)


@dataclass(frozen=True, eq=False)
class TrainingRecord:
    """One record's examples and its truth."""

    sequences: tuple[TrainingSequence, ...]
    reference: Reference

    def variant(self, name: str) -> TrainingSequence:
        """Give the example that looks at the record in one way."""
        return next(example for example in self.sequences if example.variant == name)


def read_training_record(
    record: Path, patient: str, *, jitter_s: float = 0.0, seed: int = 0, donors: Sequence[RecordRef] = ()
) -> TrainingRecord:
    """Read a record and look at it in every way that training uses; one of ``donors`` lends it beats."""
    recording, rng = open_recording(record), np.random.default_rng([seed, crc32(record.name.encode())])
    annotations = read_annotations(record, "atr")
    columns = choose_leads(recording.leads)
    sample, label = labelled_beats(annotations)
    found = _shapes(recording, columns)
    given = _shapes(recording, columns, r_peaks=sample)
    tolerance = round(MATCH_S * recording.fs)

    def labelled(shapes: extraction.BeatWindows) -> LabelledBeats:
        at = to_recording(shapes.sample, recording)
        return shapes, labels_near(at, sample, label, tolerance=tolerance)

    noisy = add_noise(recording, rng)
    looks = {
        DETECTED: labelled(found),
        GIVEN: (given, label),
        STRIPS: labelled(found),
        "noisy": labelled(_shapes(noisy, columns)),
    }
    if jitter_s:
        jittered = _jittered(sample, recording, jitter_s, rng)
        looks["jittered"] = labelled(_shapes(recording, columns, r_peaks=jittered))
    donor, lent = _draw_donor(donors, rng)
    fibrillates = any(note.startswith(FIBRILLATION) for note in annotations.aux)
    made = augmentation.augmented(given, label, rng, fibrillates=fibrillates, donor=lent)
    looks |= {AUGMENTED + name: look for name, look in made.items()}
    examples = tuple(
        example
        for view, look in looks.items()
        for example in _examples(recording, patient, view, look, rng, donor=donor if view in BORROWED else "")
    )
    truth = Reference(record.name, patient, annotations, recording.fs, recording.n_samples)
    return TrainingRecord(examples, truth)


def _shapes(
    recording: Recording, columns: Sequence[int], r_peaks: Samples | None = None
) -> extraction.BeatWindows:
    """Find the beats, with a slot for each lead that is read: leads are going to be exchanged."""
    found = detect_beats(recording, columns, r_peaks=r_peaks).shapes
    return replace(found, windows=pad_leads(found.windows))


def _examples(  # noqa: PLR0913 - the fields of an example
    recording: Recording,
    patient: str,
    view: str,
    look: LabelledBeats,
    rng: np.random.Generator,
    *,
    donor: str,
) -> Iterator[TrainingSequence]:
    """Give a look at a record with its leads as they are, swapped, and with either one alone."""
    shapes, label = look
    made = view.startswith(AUGMENTED)  # whose beats are at times of their own, and may outlast the recording
    sample = shapes.sample if made else to_recording(shapes.sample, recording)
    strips = _strips(len(label), rng) if view == STRIPS else [slice(None)]
    for leads, seen in _lead_views(shapes).items():
        name = view if leads == "both" else f"{view}, {leads}"
        described = np.concatenate([extraction.extract_features(seen.take(strip)) for strip in strips])
        yield TrainingSequence(recording.name, patient, name, sample, described, label, donor)


def _strips(n_beats: int, rng: np.random.Generator) -> list[slice]:
    """Cut a record into recordings of a few seconds or minutes, whose typical beat is hard to tell."""
    n_most = n_beats // min(STRIP_BEATS) + 1
    edges = np.append(0, rng.choice(STRIP_BEATS, n_most).cumsum())
    edges = np.append(edges[edges < n_beats], n_beats)
    return [slice(*edge) for edge in pairwise(edges.tolist())] or [slice(None)]


def _draw_donor(donors: Sequence[RecordRef], rng: np.random.Generator) -> tuple[str, LabelledBeats | None]:
    """Choose a patient with ventricular beats to lend at random: who it is, and the beats."""
    for index in rng.permutation(len(donors)):
        record, patient = donors[index]
        sample, label = labelled_beats(read_annotations(record, "atr"))
        if np.count_nonzero(label == "V") >= augmentation.ENOUGH_VENTRICULAR:
            recording = open_recording(record)
            columns = choose_leads(recording.leads)
            return patient, (_shapes(recording, columns, r_peaks=sample), label)
    return "", None


_KEPT = ("sample", "features", "label", "donor")


def save_training_record(lesson: TrainingRecord, path: Path) -> None:
    """Write a lesson's examples to an .npz file; its truth stays with the record."""
    arrays = {}
    for example in lesson.sequences:
        for name in _KEPT:
            arrays[f"{example.variant}/{name}"] = np.asarray(getattr(example, name))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, allow_pickle=False, **arrays)


def load_training_record(path: Path, record: Path, patient: str) -> TrainingRecord:
    """Read what :func:`save_lesson` wrote."""
    recording = open_recording(record)
    truth = Reference(
        record.name, patient, read_annotations(record, "atr"), recording.fs, recording.n_samples
    )
    with np.load(path, allow_pickle=False) as arrays:
        views = dict.fromkeys(name.partition("/")[0] for name in arrays)
        kept = {view: {name: arrays[f"{view}/{name}"] for name in _KEPT} for view in views}
    examples = (
        TrainingSequence(record.name, patient, view, **told | {"donor": str(told["donor"])})
        for view, told in kept.items()
    )
    return TrainingRecord(tuple(examples), truth)


@dataclass(frozen=True)
class RecordJob:
    """A record to be read for training, and where its lesson goes."""

    record: Path
    patient: str
    training_record: Path
    jitter_s: float
    seed: int
    donors: tuple[RecordRef, ...] = ()

    def load(self) -> TrainingRecord:
        """Load the lesson that was read."""
        return load_training_record(self.training_record, self.record, self.patient)


def read(reading: RecordJob) -> RecordJob:
    """Read a record for training, in whatever process this is called."""
    lesson = read_training_record(
        reading.record,
        reading.patient,
        jitter_s=reading.jitter_s,
        seed=reading.seed,
        donors=reading.donors,
    )
    save_training_record(lesson, reading.training_record)
    return reading


def labelled_beats(annotations: Annotations) -> tuple[Samples, Labels]:
    """Give the annotated beats and their classes, escape beats as N (de Chazal 2004), F and Q as ''."""
    label = classes_of(annotations.symbol, "dechazal")
    beat = label != ""
    sample, label = annotations.sample[beat], label[beat]
    return sample, np.where(np.isin(label, TRAINED_LABELS), label, "")


def labels_near(sample: Samples, reference: Samples, label: Labels, *, tolerance: int) -> Labels:
    """Give each beat the label of the reference beat it matches, '' without one."""
    near = np.full(len(sample), "", dtype="U1")
    matches = match_beats(reference, sample, tolerance=tolerance)
    near[matches.test] = label[matches.reference]
    return near


def _jittered(sample: Samples, recording: Recording, sd_s: float, rng: np.random.Generator) -> Samples:
    moved = sample + np.round(rng.normal(0, sd_s * recording.fs, len(sample))).astype(np.int64)
    return np.unique(np.clip(moved, 0, recording.n_samples - 1))


def _lead_views(shapes: extraction.BeatWindows) -> dict[str, extraction.BeatWindows]:
    """Look at the same beats with their leads as they are, swapped, and with either one alone."""
    swapped = replace(
        shapes,
        windows=shapes.windows[:, ::-1],
        scale=shapes.scale[:, ::-1],
        readable=shapes.readable[:, ::-1],
    )
    first = np.arange(extraction.N_LEADS) == 0
    return {
        "both": shapes,
        "swapped": swapped,
        "first lead": replace(shapes, readable=shapes.readable & first),
        "second lead": replace(swapped, readable=swapped.readable & first),
    }


def stacked(examples: Sequence[TrainingSequence]) -> extraction.Floats:
    """Put the features of examples under one another."""
    return np.concatenate([example.features for example in examples])
