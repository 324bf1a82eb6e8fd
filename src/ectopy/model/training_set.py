"""The training set: features and labels of the training records, in several variants of each record.

* A **training record** (:class:`TrainingRecord`) is one annotated recording: its reference annotations and
  all its training sequences.
* A **training sequence** (:class:`TrainingSequence`) is one pass over the recording: the features and the
  label of each beat, in order of time. The network trains on windows of consecutive beats from it.
* A **variant** is the way in which a sequence was obtained from the recording. ``record.get("detected")``
  returns a sequence by the name of its variant.

These are the variants:

detected
    Beats found by the ectopy detector, each with the label of the annotated beat within 150 ms.
given
    Annotated beats.
strips
    Detected beats; features are computed as if the record were many recordings of 12 to 200 beats.
noisy
    Detected beats of the recording with added noise.
jittered
    Annotated beats, shifted in time at random.
augmented: NAME
    Annotated beats, changed into those of a new patient. See :mod:`ectopy.model.augmentation`.

Each variant exists four times: with both leads, with the leads swapped, and with either lead alone. The name
then ends in ", swapped", ", first lead" or ", second lead".
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ectopy.annotations import Annotations, read_annotations
from ectopy.beats.detection import detect_beats
from ectopy.beats.lead_selection import choose_leads
from ectopy.beats.windows import N_LEADS, BeatWindows, pad_leads
from ectopy.ec57 import match_beats
from ectopy.ec57.reference import DETECTED, GIVEN, Reference
from ectopy.ecg import Labels, Recording, Samples
from ectopy.features.extraction import Floats, extract_features
from ectopy.model import augmentation
from ectopy.model.training_sources import MATCH_S, LabelledRecord
from ectopy.readers import open_recording
from ectopy.signal.noise import add_noise
from ectopy.signal.time_grid import TimeGrid

AUGMENTED = "augmented: "
"""Prefix of the variants made by augmentation."""
STRIPS = "strips"
"""Variant of the detected beats whose features are computed as if the record were many short recordings."""
STRIP_BEATS = (12, 30, 60, 100, 200)
BORROWED_VARIANTS = tuple(AUGMENTED + name for name in augmentation.WITH_DONOR)
"""Augmented variants with ventricular beats of a second patient."""
AF_RHYTHMS = ("(AFIB", "(AFL")
"""Rhythm annotations of atrial fibrillation and atrial flutter."""

Doubles: TypeAlias = NDArray[np.float64]
LabelledBeats: TypeAlias = tuple[BeatWindows, Labels]
"""Beats and their labels."""


@dataclass(frozen=True, eq=False)
class TrainingSequence:
    """Features [n, k] and labels [n] of consecutive beats of one record, in one variant.

    ``record`` is the key of the record, such as ``mitdb/101``. The label is '' for beats that must not be
    trained on. ``sample`` is on the grid of the recording; in an augmented variant it is on the grid of
    WORKING_FS. ``donor`` is the patient whose ventricular beats were borrowed, or ''. ``weight`` is that of
    the database.
    """

    record: str
    patient: str
    variant: str
    sample: Samples
    features: Floats
    label: Labels
    donor: str = ""
    weight: float = 1.0

    @property
    def patients(self) -> set[str]:
        """The patients whose beats are in the sequence: the patient and, if any, the donor."""
        return {self.patient, self.donor} - {""}

    @property
    def augmented(self) -> bool:
        """Whether the sequence was made by augmentation."""
        return self.variant.startswith(AUGMENTED)

    @cached_property
    def moments(self) -> tuple[int, Doubles, Doubles]:
        """Number of beats, mean of their features [k], and sum of the squared deviations from it [k].

        All networks that a process trains read the same sequences, each with other records left out.
        """
        if not len(self.features):
            return 0, np.zeros(self.features.shape[1]), np.zeros(self.features.shape[1])
        mean = self.features.mean(axis=0, dtype=np.float64)
        return len(self.features), mean, np.square(self.features - mean).sum(axis=0)

    @property
    def sampling_weight(self) -> float:
        """How often training draws from this sequence, relative to others with as many beats."""
        name = self.variant.removeprefix(AUGMENTED).partition(",")[0]
        return self.weight * augmentation.SAMPLING_WEIGHTS.get(name, 1.0)


@dataclass(frozen=True, eq=False)
class TrainingRecord:
    """All training sequences of one record, and its reference annotations."""

    sequences: tuple[TrainingSequence, ...]
    reference: Reference

    @property
    def key(self) -> str:
        """Name of the record among those of all databases, such as ``mitdb/101``."""
        return self.sequences[0].record

    def get(self, variant: str) -> TrainingSequence:
        """Return the sequence of one variant."""
        return next(sequence for sequence in self.sequences if sequence.variant == variant)


@dataclass(frozen=True)
class RecordJob:
    """A record to prepare for training, and the ``.npz`` file for the result.

    ``jitter_s`` is the standard deviation of the shift in the jittered variant, in seconds; 0 omits the
    variant. One of ``donors`` lends ventricular beats.
    """

    record: LabelledRecord
    training_record: Path
    jitter_s: float
    seed: int
    donors: tuple[LabelledRecord, ...] = ()

    @property
    def key(self) -> str:
        """Name of the record among those of all databases, such as ``mitdb/101``."""
        return self.record.key

    def load(self, variants: Collection[str] | None = None) -> TrainingRecord:
        """Load the training record that :func:`run_job` wrote, or some of its variants."""
        return load_training_record(self.training_record, self.record, variants)


def run_job(job: RecordJob) -> RecordJob:
    """Prepare a record for training, write the result, and return the job; runs in any process."""
    record = read_training_record(job.record, jitter_s=job.jitter_s, seed=job.seed, donors=job.donors)
    save_training_record(record, job.training_record)
    return job


def read_training_record(
    record: LabelledRecord, *, jitter_s: float = 0.0, seed: int = 0, donors: Sequence[LabelledRecord] = ()
) -> TrainingRecord:
    """Read a record and compute the features of all its variants.

    Parameters
    ----------
    record
        The record, with beat annotations in ``.atr``.
    jitter_s
        Standard deviation of the shift of beats in the jittered variant, in seconds; 0 omits the variant.
    seed
        Seed of the noise and the augmentation; each record has its own random numbers for a seed.
    donors
        Records of other patients; the first with enough ventricular beats, in random order, lends some.

    Returns
    -------
    The training record with all its sequences.
    """
    recording, annotations = open_recording(record.path), read_annotations(record.path, "atr")
    rng = np.random.default_rng([seed, crc32(record.key.encode())])
    columns = choose_leads(recording.leads)
    sample, labels = record.label_beats(annotations, recording.fs)
    detected = beat_windows(recording, columns)
    given = beat_windows(recording, columns, r_peaks=sample)
    tolerance = round(MATCH_S * recording.fs)

    def with_labels(beats: BeatWindows) -> LabelledBeats:
        positions = TimeGrid.of(recording).to_recording(beats.sample)
        return beats, labels_near(positions, sample, labels, tolerance=tolerance)

    noisy = add_noise(recording, rng)
    variants = {
        DETECTED: with_labels(detected),
        GIVEN: (given, labels),
        STRIPS: with_labels(detected),
        "noisy": with_labels(beat_windows(noisy, columns)),
    }
    if jitter_s:
        jittered = _jittered(sample, recording, jitter_s, rng)
        variants["jittered"] = with_labels(beat_windows(recording, columns, r_peaks=jittered))
    donor, donor_beats = draw_donor(donors, rng)
    has_af = any(note.startswith(AF_RHYTHMS) for note in annotations.aux)
    augmented = augmentation.augment_patient(given, labels, rng, has_af=has_af, donor=donor_beats)
    variants |= {AUGMENTED + name: beats for name, beats in augmented.items()}
    sequences = tuple(
        sequence
        for name, beats in variants.items()
        for sequence in _sequences(
            recording, record, name, beats, rng, donor=donor if name in BORROWED_VARIANTS else ""
        )
    )
    return TrainingRecord(sequences, _reference(record, recording, annotations))


def _reference(record: LabelledRecord, recording: Recording, annotations: Annotations) -> Reference:
    return Reference(record.path.name, record.patient, annotations, recording.fs, recording.n_samples)


def beat_windows(recording: Recording, columns: Sequence[int], r_peaks: Samples | None = None) -> BeatWindows:
    """Find the beats of a recording; their windows have room for both leads, which will be swapped.

    Parameters
    ----------
    recording, columns, r_peaks
        As for :func:`ectopy.beats.detection.detect_beats`.

    Returns
    -------
    The windows.
    """
    beats = detect_beats(recording, columns, r_peaks=r_peaks).windows
    return replace(beats, signal=pad_leads(beats.signal))


def _sequences(  # noqa: PLR0913 - the fields of a training sequence
    recording: Recording,
    record: LabelledRecord,
    variant: str,
    labelled: LabelledBeats,
    rng: np.random.Generator,
    *,
    donor: str,
) -> Iterator[TrainingSequence]:
    """Compute the features of one variant with both leads, swapped leads, and either lead alone."""
    beats, labels = labelled
    # The beats of an augmented patient have times of their own, possibly after the end of the recording.
    augmented = variant.startswith(AUGMENTED)
    sample = beats.sample if augmented else TimeGrid.of(recording).to_recording(beats.sample)
    strips = _strips(len(labels), rng) if variant == STRIPS else [slice(None)]
    for leads, view in _lead_variants(beats).items():
        name = variant if leads == "both" else f"{variant}, {leads}"
        features = np.concatenate([extract_features(view.take(strip)) for strip in strips])
        yield TrainingSequence(
            record.key, record.patient, name, sample, features, labels, donor, record.weight
        )


def _strips(n_beats: int, rng: np.random.Generator) -> list[slice]:
    """Cut a record into recordings of seconds to minutes, whose template beat is less certain."""
    n_most = n_beats // min(STRIP_BEATS) + 1
    edges = np.append(0, rng.choice(STRIP_BEATS, n_most).cumsum())
    edges = np.append(edges[edges < n_beats], n_beats)
    return [slice(*edge) for edge in pairwise(edges.tolist())] or [slice(None)]


def draw_donor(
    donors: Sequence[LabelledRecord], rng: np.random.Generator
) -> tuple[str, LabelledBeats | None]:
    """Return a random patient with enough ventricular beats, and the beats of that patient.

    Parameters
    ----------
    donors
        Records of other patients.
    rng
        Source of random numbers.

    Returns
    -------
    The patient, or '', and the beats.
    """
    for index in rng.permutation(len(donors)):
        donor = donors[index]
        recording = open_recording(donor.path)
        sample, labels = donor.label_beats(read_annotations(donor.path, "atr"), recording.fs)
        if augmentation.is_donor(labels):
            columns = choose_leads(recording.leads)
            return donor.patient, (beat_windows(recording, columns, r_peaks=sample), labels)
    return "", None


_ARRAYS = ("sample", "features", "label")


def save_training_record(record: TrainingRecord, path: Path) -> None:
    """Write the sequences of a training record to an ``.npz`` file; the reference is not stored.

    Parameters
    ----------
    record
        The training record.
    path
        File to write; missing folders are created.
    """
    arrays = {}
    for sequence in record.sequences:
        for name in (*_ARRAYS, "donor"):
            arrays[f"{sequence.variant}/{name}"] = np.asarray(getattr(sequence, name))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, allow_pickle=False, **arrays)


def load_training_record(
    path: Path, record: LabelledRecord, variants: Collection[str] | None = None
) -> TrainingRecord:
    """Read the file that :func:`save_training_record` wrote.

    Parameters
    ----------
    path
        The ``.npz`` file.
    record
        The record, whose annotations are the reference.
    variants
        The variants to read; by default all.

    Returns
    -------
    The training record with these sequences.
    """
    recording, annotations = open_recording(record.path), read_annotations(record.path, "atr")
    with np.load(path, allow_pickle=False) as arrays:
        variants = variants or dict.fromkeys(name.partition("/")[0] for name in arrays)
        stored = {
            variant: {name: arrays[f"{variant}/{name}"] for name in _ARRAYS}
            | {"donor": str(arrays[f"{variant}/donor"])}
            for variant in variants
        }
    sequences = [
        TrainingSequence(record.key, record.patient, variant, **fields, weight=record.weight)
        for variant, fields in stored.items()
    ]
    return TrainingRecord(tuple(sequences), _reference(record, recording, annotations))


def labels_near(sample: Samples, reference: Samples, label: Labels, *, tolerance: int) -> Labels:
    """Return for each beat the label of the reference beat that it matches, or ''.

    Parameters
    ----------
    sample
        Times of the beats, in samples.
    reference
        Times of the reference beats, in samples.
    label
        Labels of the reference beats.
    tolerance
        Largest distance of a match, in samples.

    Returns
    -------
    Labels [n] of the beats.
    """
    labels = np.full(len(sample), "", dtype="U1")
    matches = match_beats(reference, sample, tolerance=tolerance)
    labels[matches.test] = label[matches.reference]
    return labels


def _jittered(sample: Samples, recording: Recording, sd_s: float, rng: np.random.Generator) -> Samples:
    moved = sample + np.round(rng.normal(0, sd_s * recording.fs, len(sample))).astype(np.int64)
    return np.unique(np.clip(moved, 0, recording.n_samples - 1))


def _lead_variants(beats: BeatWindows) -> dict[str, BeatWindows]:
    """Return the same beats with both leads, with the leads swapped, and with either lead alone."""
    swapped = replace(
        beats,
        signal=beats.signal[:, ::-1],
        scale=beats.scale[:, ::-1],
        readable=beats.readable[:, ::-1],
    )
    first = np.arange(N_LEADS) == 0
    return {
        "both": beats,
        "swapped": swapped,
        "first lead": replace(beats, readable=beats.readable & first),
        "second lead": replace(swapped, readable=swapped.readable & first),
    }


def stack_features(sequences: Sequence[TrainingSequence]) -> Floats:
    """Return the features of all sequences in one array [n, k]."""
    return np.concatenate([sequence.features for sequence in sequences])
