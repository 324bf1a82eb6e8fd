"""Training records of a streaming model: what a stream would have known of each beat, with its label.

They are records of :mod:`ectopy.model.training_set`, with features of a stream. The variant "detected" is
there with both leads, with the leads swapped, and with either lead alone; "noisy" and the augmented variants
in one of these ways, drawn at random. The variant "given" has the annotated beats, which decide the folds,
and no features.
"""

from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ectopy.annotations import read_annotations
from ectopy.beats.lead_selection import choose_leads
from ectopy.beats.windows import BEFORE_S, WINDOW, WINDOW_FS, BeatWindows
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
    T,
    describe,
    t_wave_between,
)
from ectopy.live.candidates import CandidateFinder
from ectopy.live.front_end import LIVE_FS, FrontEnd
from ectopy.live.selection import BeatSelector
from ectopy.model import augmentation
from ectopy.model.training_set import (
    AF_RHYTHMS,
    AUGMENTED,
    RecordJob,
    TrainingRecord,
    TrainingSequence,
    beat_windows,
    draw_donor,
    labels_near,
    save_training_record,
)
from ectopy.model.training_sources import MATCH_S, LabelledRecord
from ectopy.readers import open_recording
from ectopy.signal.filters import WORKING_FS
from ectopy.signal.noise import add_noise

NOISY = "noisy"
_BLOCK_S = 10.0
_LEADS = {"": (0, 1), ", swapped": (1, 0), ", first lead": (0, -1), ", second lead": (1, -1)}
"""Ending of a variant's name, and the columns that take the place of the two leads; -1 for none."""
_CHANCE = (0.4, 0.2, 0.2, 0.2)
WINDOW_AT_R = round(BEFORE_S * WINDOW_FS)


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
    """Compute the features of beats, each from the signal and the beats before it.

    Parameters
    ----------
    signal, usable
        [n_samples, n_leads] at LIVE_FS.
    beats
        R peaks at LIVE_FS, [n].
    leads
        The columns that take the place of the two leads; -1 for none.

    Returns
    -------
    [n, len(FEATURES)].
    """
    before, after = WINDOW_BEFORE, T.stop
    padded = np.zeros((N_LEADS, len(signal) + before + after), dtype=np.float32)
    readable = np.zeros(padded.shape, dtype=bool)
    for place, lead in enumerate(leads):
        if 0 <= lead < signal.shape[1]:
            padded[place, before : before + len(signal)] = signal[:, lead]
            readable[place, before : before + len(signal)] = usable[:, lead]
    lost = np.cumsum(~readable.any(axis=0))[beats + before]
    rr_s = np.diff(beats, prepend=0) / LIVE_FS
    rr_s[np.diff(lost, prepend=0) > 0] = np.nan
    windows = sliding_window_view(padded, before + 1 + after, axis=1)[:, beats].swapaxes(0, 1)
    qrs = sliding_window_view(readable, BEFORE + 1 + AFTER, axis=1)[:, beats + before - BEFORE]
    t_wave = sliding_window_view(readable, T.stop - T.start, axis=1)[:, beats + before + T.start]
    return _describe(windows, np.asarray(qrs.all(axis=2)).T, np.asarray(t_wave.all(axis=2)).T, rr_s)


def describe_windows(beats: BeatWindows, leads: Sequence[int]) -> Floats:
    """Compute the features of beats of which only the windows are left.

    Parameters
    ----------
    beats
        Windows with room for two leads. They were filtered without phase shift, which matters little.
    leads
        As for :func:`describe_beats`.

    Returns
    -------
    [n, len(FEATURES)].
    """
    at = np.arange(-WINDOW_BEFORE, T.stop + 1) / LIVE_FS
    time_s = (np.arange(WINDOW) - WINDOW_AT_R) / WINDOW_FS
    weight = np.stack([np.interp(at, time_s, row) for row in np.eye(WINDOW)]).astype(np.float32)
    mv = beats.signal.astype(np.float32) @ weight * beats.scale[:, :, None]
    windows, readable = np.zeros_like(mv), np.zeros(beats.readable.shape, dtype=bool)
    for place, lead in enumerate(leads):
        if lead >= 0:
            windows[:, place], readable[:, place] = mv[:, lead], beats.readable[:, lead]
    rr_s = np.diff(beats.sample, prepend=0) / WORKING_FS
    rr_s[beats.after_gap] = np.nan
    return _describe(windows, readable, readable, rr_s)


def _describe(windows: Signal, readable: Mask, t_readable: Mask, rr_s: NDArray[np.float64]) -> Floats:
    """Compute the features of beats from windows that reach to the end of their T waves."""
    patient, features = Patient(), np.empty((len(windows), len(FEATURES)), dtype=np.float32)
    rr_s[:1] = np.nan
    t_waves = windows[:, :, WINDOW_BEFORE + T.start : WINDOW_BEFORE + T.stop] * t_readable[:, :, None]
    t_waves = np.roll(t_waves, 1, axis=0)
    t_waves[[not t_wave_between(one) for one in rr_s.tolist()]] = 0
    windows = windows[:, :, : WINDOW_BEFORE + 1 + WINDOW_AFTER]
    beats = zip(windows, t_waves, readable, rr_s.tolist(), strict=True)
    for number, (window, t_wave, leads, interval_s) in enumerate(beats):
        features[number], patient = describe(patient, window, t_wave, leads, interval_s)
    return features


def read_live_record(
    record: LabelledRecord, *, seed: int = 0, donors: Sequence[LabelledRecord] = ()
) -> TrainingRecord:
    """Read a record as a stream does, with labels.

    Parameters
    ----------
    record
        The record, with beat annotations in ``.atr``.
    seed
        Seed of the noise and the augmentation.
    donors
        Records of other patients; the first with enough ventricular beats, in random order, lends some.

    Returns
    -------
    The training record.
    """
    recording, annotations = open_recording(record.path), read_annotations(record.path, "atr")
    rng = np.random.default_rng([seed, crc32(record.key.encode())])
    columns = choose_leads(recording.leads)
    sample, label = record.label_beats(annotations, recording.fs)
    sequences = []
    for variant, source in ((DETECTED, recording), (NOISY, add_noise(recording, rng))):
        detected = detect(source, columns)
        found = to_recording(detected.beats, recording, detected.delay_s)
        near = labels_near(found, sample, label, tolerance=round(MATCH_S * recording.fs))
        for ending, leads in _arrangements(variant, len(columns), rng):
            features = describe_beats(detected.signal, detected.usable, detected.beats, leads)
            sequences.append(_sequence(record, variant + ending, found, features, near))
    given = beat_windows(recording, columns, r_peaks=sample)
    donor, donor_beats = draw_donor(donors, rng)
    has_af = any(note.startswith(AF_RHYTHMS) for note in annotations.aux)
    augmented = augmentation.augment_patient(given, label, rng, has_af=has_af, donor=donor_beats)
    for name, (beats, new_label) in augmented.items():
        for ending, leads in _arrangements(name, len(columns), rng):
            features = describe_windows(beats, leads)
            borrowed = donor if name in augmentation.WITH_DONOR else ""
            variant = AUGMENTED + name + ending
            sequences.append(_sequence(record, variant, beats.sample, features, new_label, borrowed))
    nothing = np.empty((len(sample), 0), dtype=np.float32)
    sequences.append(_sequence(record, GIVEN, sample, nothing, label))
    reference = Reference(record.path.name, record.patient, annotations, recording.fs, recording.n_samples)
    return TrainingRecord(tuple(sequences), reference)


def _arrangements(variant: str, n_leads: int, rng: np.random.Generator) -> list[tuple[str, tuple[int, int]]]:
    """Return the arrangements of the leads of a variant: all of them, or one at random for an altered one."""
    if n_leads == 1:
        return [("", (0, -1))]
    if variant == DETECTED:
        return list(_LEADS.items())
    return [list(_LEADS.items())[rng.choice(len(_LEADS), p=_CHANCE)]]


def _sequence(  # noqa: PLR0913, PLR0917 - the fields of a training sequence
    record: LabelledRecord, variant: str, sample: Samples, features: Floats, label: Labels, donor: str = ""
) -> TrainingSequence:
    return TrainingSequence(
        record.key, record.patient, variant, sample, features, label, donor, record.weight
    )


def to_recording(beats: Samples, recording: Recording, delay_s: float) -> Samples:
    """Return the samples of a recording at which R peaks are.

    Parameters
    ----------
    beats
        R peaks at LIVE_FS, [n].
    recording
        The recording.
    delay_s
        By how much the filters delay them, in seconds.

    Returns
    -------
    Samples [n].
    """
    at: NDArray[np.float64] = np.round((beats / LIVE_FS - delay_s) * recording.fs)
    return np.clip(at, 0, max(recording.n_samples - 1, 0)).astype(np.int64)


def run_job(job: RecordJob) -> RecordJob:
    """Prepare a record for training, write the result, and return the job; runs in any process."""
    record = read_live_record(job.record, seed=job.seed, donors=job.donors)
    save_training_record(record, job.training_record)
    return job
