"""Training records of the alarms: what their network reads each second, and which rhythms the labels allow.

Few databases mark artefact, and few patients have asystole. So records with labels of beats are read twice
more: with strong noise added to intervals of them, and with made standstill.
"""

import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ectopy.beats.lead_selection import choose_leads
from ectopy.datasets import catalogue, download
from ectopy.ecg import Mask, Recording
from ectopy.evaluation.finding_reference import LABELS, FindingReference, read_reference
from ectopy.evaluation.rhythm_examples import allowed_rhythms, with_standstill
from ectopy.live.alarm_network import N_FEATURES, WINDOW_S, Floats, live_waves
from ectopy.live.alarm_training import AlarmExample, with_usual
from ectopy.live.front_end import LIVE_FS, FrontEnd
from ectopy.readers import open_recording
from ectopy.rhythm.rhythm_intervals import RHYTHMS, Rhythm
from ectopy.signal.noise import add_noise
from ectopy.signal.waves import WAVES

WITH_FIBRILLATION = ("vfdb", "cudb")
DATABASES = (*WITH_FIBRILLATION, "mitdb", "svdb")
_LABEL_S = (1.9, 1.0, 0.1)  # before the end of a window: the rhythms at these times are allowed
_SNR_DB, _NOISY = (-18.0, 12.0), 0.5
_DROWNED = 1.5  # log of how much larger noise makes a signal of which nothing is left
_STILL_AT = 2.5  # a standstill is certain so many seconds after its onset
_COLUMN = {rhythm: column for column, rhythm in enumerate(RHYTHMS)}


def features_of(recording: Recording) -> Floats:
    """Compute what the network reads of a recording, [n_seconds - WINDOW_S + 1, n_leads, N_FEATURES]."""
    columns = choose_leads(recording.leads)
    signal, _ = FrontEnd(recording.fs, len(columns)).push(
        recording.read_leads(columns, 0, recording.n_samples)
    )
    whole = len(signal) // LIVE_FS * LIVE_FS
    if whole < WINDOW_S * LIVE_FS:
        return np.empty((0, len(columns), N_FEATURES), dtype=np.float32)
    return with_usual(*live_waves(signal[:whole]))


def labels_of(reference: FindingReference, n: int) -> Mask:
    """Return which rhythms the labels of a record allow in each window.

    Parameters
    ----------
    reference
        What its database states.
    n
        Number of windows, of which the first ends after WINDOW_S.

    Returns
    -------
    Mask [n, len(RHYTHMS)].
    """
    end_s = np.arange(n, dtype=np.float64) + WINDOW_S
    return np.asarray(np.any([allowed_rhythms(reference, end_s - before) for before in _LABEL_S], axis=0))


def read_alarm_examples(database: str, record: Path) -> list[AlarmExample]:
    """Read a training record; one with labels of beats also with noise, and with standstill.

    Parameters
    ----------
    database
        Name of its database.
    record
        Path of the record without suffix.

    Returns
    -------
    The examples.
    """
    found = catalogue.find_database(database)
    recording, patient = open_recording(record), catalogue.patient_of(found, record.name)
    reference = read_reference(found, record, patient=patient, fs=recording.fs, n_samples=recording.n_samples)
    features = features_of(recording)
    allowed = np.repeat(labels_of(reference, len(features))[:, None], features.shape[1], axis=1)
    example = AlarmExample(f"{database}/{record.name}", patient, features, allowed)
    if not LABELS[database].beats:
        return [example]
    seed = zlib.crc32(example.key.encode())  # the same noise and standstill in every training
    noisy = features_of(
        add_noise(recording, np.random.default_rng(seed), snr_db=_SNR_DB, noisy_fraction=_NOISY)
    )
    signal, still = with_standstill(recording, np.random.default_rng(seed))
    stopped = features_of(replace(recording, read=lambda start, stop: signal[start:stop]))
    return [
        example,
        replace(example, features=noisy, allowed=_in_noise(example, noisy)),
        replace(example, features=stopped, allowed=_in_standstill(example, still, recording.fs)),
    ]


def _in_noise(example: AlarmExample, noisy: Floats) -> Mask:
    """Allow artefact where a lead has noise, and nothing else where the noise drowns all beats."""
    waves = slice(0, len(WAVES))
    changed = np.abs(noisy[..., waves] - example.features[..., waves]).max(axis=-1) > 1e-3
    drowned = noisy[..., 0] - example.features[..., 0] > _DROWNED
    allowed = example.allowed.copy()
    allowed[changed, _COLUMN[Rhythm.ARTEFACT]] = True
    organised = ~example.allowed[..., _COLUMN[Rhythm.VF]]
    allowed[drowned & organised] = np.isin(RHYTHMS, (Rhythm.ARTEFACT,))
    return allowed


def _in_standstill(example: AlarmExample, still: Mask, fs: float) -> Mask:
    """Name the windows that end in a standstill of some seconds; around its ends it may be either."""
    end = np.arange(len(example.features)) + WINDOW_S
    now, before, start = (
        still[np.clip(np.round((end - at) * fs).astype(np.intp), 0, len(still) - 1)]
        for at in (0.1, _STILL_AT, WINDOW_S)
    )
    allowed = example.allowed.copy()
    allowed[now | before | start, :, _COLUMN[Rhythm.ASYSTOLE]] = True
    allowed[now & before] = np.isin(RHYTHMS, (Rhythm.ASYSTOLE,))
    return allowed


def training_records(data_dir: Path) -> Iterator[tuple[str, Path]]:
    """Yield database and path of the training records that are present."""
    for name in DATABASES:
        database = catalogue.find_database(name)
        wanted = {Path(record).name for record in database.training}
        for header in sorted(download.database_folder(database, data_dir).rglob("*.hea")):
            if header.stem in wanted:
                yield name, header.with_suffix("")
