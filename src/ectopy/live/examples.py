"""Training records of a streaming model: what a stream would have known of each beat, with its label.

They are records of :mod:`ectopy.model.training_set`, with features of a stream. Their variants are "detected"
and "noisy", each with both leads, with the leads swapped, and with either lead alone; and "given" with the
annotated beats, which decides the folds.
"""

from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ectopy.annotations import read_annotations
from ectopy.beats.lead_selection import choose_leads
from ectopy.ec57.reference import DETECTED, GIVEN, Reference
from ectopy.ecg import Labels, Mask, Recording, Samples, Signal
from ectopy.live.beat_features import (
    AFTER,
    BEFORE,
    FEATURES,
    N_LEADS,
    WINDOW_AFTER,
    WINDOW_BEFORE,
    Floats,
    Patient,
    describe,
)
from ectopy.live.candidates import CandidateFinder
from ectopy.live.front_end import LIVE_FS, FrontEnd
from ectopy.live.selection import BeatSelector
from ectopy.model.training_set import TrainingRecord, TrainingSequence, labels_near
from ectopy.model.training_sources import MATCH_S, LabelledRecord
from ectopy.readers import open_recording
from ectopy.signal.noise import add_noise

NOISY = "noisy"
_BLOCK_S = 10.0
_LEADS = {"": (0, 1), ", swapped": (1, 0), ", first lead": (0, -1), ", second lead": (1, -1)}
"""Ending of a variant's name, and the columns that take the place of the two leads; -1 for none."""


class DetectedSignal(NamedTuple):
    """A recording as a stream sees it: the filtered signal at LIVE_FS, and the beats that it settles on."""

    signal: Signal
    usable: Mask
    beats: Samples
    delay_s: float


def detect(recording: Recording, columns: Sequence[int]) -> DetectedSignal:
    """Filter a recording and find its beats as a stream does.

    Parameters
    ----------
    recording
        The recording.
    columns
        Columns of the leads to analyse.

    Returns
    -------
    Signal and beats at LIVE_FS.
    """
    front_end = FrontEnd(recording.fs, len(columns))
    finder, selector = CandidateFinder(len(columns)), BeatSelector(len(columns))
    parts, beats, clock, step = [], [], 0, round(_BLOCK_S * recording.fs)
    for start in range(0, recording.n_samples, step):
        block = recording.read_leads(columns, start, min(start + step, recording.n_samples))
        signal, usable = front_end.push(block)
        parts.append((signal, usable))
        clock += len(signal)
        beats += list(selector.push(finder.push(signal, usable), clock))
    beats += selector.pending
    whole, all_usable = (np.concatenate(part) for part in zip(*parts, strict=True))
    sample = np.array([beat.sample for beat in beats], dtype=np.int64)
    return DetectedSignal(whole, all_usable, sample, front_end.delay_s)


def describe_beats(signal: Signal, usable: Mask, beats: Samples, leads: Sequence[int]) -> Floats:
    """Compute the features of beats, [n, len(FEATURES)], each from the signal and the beats before it.

    Parameters
    ----------
    signal, usable
        [n_samples, n_leads] at LIVE_FS.
    beats
        R peaks at LIVE_FS, [n].
    leads
        The columns that take the place of the two leads; -1 for none.
    """
    before, after = WINDOW_BEFORE, WINDOW_AFTER
    padded = np.zeros((N_LEADS, len(signal) + before + after), dtype=np.float32)
    readable = np.zeros(padded.shape, dtype=bool)
    for place, lead in enumerate(leads):
        if 0 <= lead < signal.shape[1]:
            padded[place, before : before + len(signal)] = signal[:, lead]
            readable[place, before : before + len(signal)] = usable[:, lead]
    lost = np.cumsum(~readable.any(axis=0))
    patient, features = Patient(), np.empty((len(beats), len(FEATURES)), dtype=np.float32)
    for number, beat in enumerate(beats.tolist()):
        window = padded[:, beat : beat + before + 1 + after]
        qrs = readable[:, beat + before - BEFORE : beat + before + AFTER + 1].all(axis=1)
        last = int(beats[number - 1]) if number else -1
        known = number > 0 and lost[beat + before] == lost[last + before]
        rr_s = (beat - last) / LIVE_FS if known else np.nan
        features[number], patient = describe(patient, window, qrs, rr_s)
    return features


def read_live_record(record: LabelledRecord, *, seed: int = 0) -> TrainingRecord:
    """Read a record as a stream does, with labels.

    Parameters
    ----------
    record
        The record, with beat annotations in ``.atr``.
    seed
        Seed of the noise.

    Returns
    -------
    The training record.
    """
    recording, annotations = open_recording(record.path), read_annotations(record.path, "atr")
    rng = np.random.default_rng([seed, crc32(record.key.encode())])
    columns = choose_leads(recording.leads)
    reference_sample, reference_label = record.label_beats(annotations, recording.fs)
    clean = detect(recording, columns)
    sequences = _sequences(DETECTED, record, recording, clean, reference_sample, reference_label)
    noisy = detect(add_noise(recording, rng), columns)
    sequences += _sequences(NOISY, record, recording, noisy, reference_sample, reference_label)
    nothing = np.empty((len(reference_sample), 0), dtype=np.float32)
    sequences.append(
        TrainingSequence(record.key, record.patient, GIVEN, reference_sample, nothing, reference_label)
    )
    reference = Reference(
        record.path.name, record.patient, annotations, recording.fs, recording.n_samples
    )
    return TrainingRecord(tuple(sequences), reference)


def to_recording(beats: Samples, recording: Recording, delay_s: float) -> Samples:
    """Return the samples of a recording at which R peaks at LIVE_FS are, [n]."""
    at: NDArray[np.float64] = np.round((beats / LIVE_FS - delay_s) * recording.fs)
    return np.clip(at, 0, max(recording.n_samples - 1, 0)).astype(np.int64)


def _sequences(  # noqa: PLR0913, PLR0917 - the fields of a training sequence
    variant: str,
    record: LabelledRecord,
    recording: Recording,
    detected: DetectedSignal,
    reference_sample: Samples,
    reference_label: Labels,
) -> list[TrainingSequence]:
    sample = to_recording(detected.beats, recording, detected.delay_s)
    tolerance = round(MATCH_S * recording.fs)
    label = labels_near(sample, reference_sample, reference_label, tolerance=tolerance)
    one_lead = detected.signal.shape[1] == 1
    return [
        TrainingSequence(
            record.key,
            record.patient,
            variant + ending,
            sample,
            describe_beats(detected.signal, detected.usable, detected.beats, leads),
            label,
            weight=record.weight,
        )
        for ending, leads in _LEADS.items()
        if not one_lead or ending == ""
    ]
