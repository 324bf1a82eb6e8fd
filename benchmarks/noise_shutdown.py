"""Effect of marking noise as unreadable: metrics of the shipped model with and without it, by noise level.

``uv run python benchmarks/noise_shutdown.py data/nstdb/1.0.0 data/mitdb/1.0.0`` prints Markdown tables.
They are of nstdb, and of eight other training records with the electrode motion of nstdb (118e_6 minus 118)
added. All patients are training patients, so the tables compare two methods and do not measure performance.
No record of DS2 is read.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ectopy import ec57, pipeline
from ectopy.annotations import Annotations, read_annotations
from ectopy.beats import signal_to_noise
from ectopy.datasets.catalogue import noise_db
from ectopy.ecg import Recording, recording_of
from ectopy.model.classifier import SHIPPED_MODEL, Classifier, load_classifier
from ectopy.readers import open_recording
from ectopy.report.data_files import annotations_of
from ectopy.signal import noise

OTHERS = ("101", "109", "116", "124", "201", "203", "208", "223")
LEVELS_DB = (12, 6, 0, -6)
FIRST_S, ON_S, EVERY_S = 300, 120, 240
"""Noise starts after five minutes: two minutes with it, two without, in s."""
NEVER = -np.inf


@dataclass(frozen=True, eq=False)
class Case:
    """Recording, its reference annotations, and a mask of its noisy samples."""

    recording: Recording
    reference: Annotations
    noisy: NDArray[np.bool_]


def noisy_part(n_samples: int, fs: float) -> NDArray[np.bool_]:
    """Return which samples of a record of nstdb are noisy."""
    time_s = np.arange(n_samples) / fs
    return np.asarray((time_s >= FIRST_S) & ((time_s - FIRST_S) % EVERY_S < ON_S))


def stress_case(record: Path) -> Case:
    """Read a record of nstdb."""
    recording = open_recording(record)
    return Case(recording, read_annotations(record, "atr"), noisy_part(recording.n_samples, recording.fs))


def electrode_motion(nstdb: Path, mitdb: Path) -> NDArray[np.float64]:
    """Return the noise of nstdb alone: its noisy parts joined, with a median power of 1 within a second."""
    noisy, clean = (open_recording(path) for path in (nstdb / "118e_6", mitdb / "118"))
    alone = (noisy.read(0, noisy.n_samples) - clean.read(0, clean.n_samples)).astype(np.float64)
    on = alone[noisy_part(len(alone), noisy.fs)]
    on = on - np.median(on, axis=0)
    seconds = on[: len(on) // 360 * 360].reshape(-1, 360, on.shape[1])
    return np.asarray(on / np.sqrt(np.median(seconds.var(axis=1), axis=0)))


def mixed_case(record: Path, motion: NDArray[np.float64], db: int) -> Case:
    """Add the noise to a record, from a random offset, with random sign and order of leads."""
    recording, rng = open_recording(record), np.random.default_rng([int(record.name), db + 100])
    signal = recording.read(0, recording.n_samples).copy()
    noisy = noisy_part(len(signal), recording.fs)
    drawn = np.resize(np.roll(motion, -rng.integers(len(motion)), axis=0), (noisy.sum(), 2))
    drawn = drawn[:, rng.permutation(2)] * rng.choice((-1, 1), 2)
    rms_mv = noise.qrs_height_mv(signal, recording.fs) / np.sqrt(8) * 10 ** (-db / 20)
    signal[noisy] += (drawn * rms_mv).astype(np.float32)
    mixed = recording_of(signal, recording.fs, name=recording.name, leads=recording.leads)
    return Case(mixed, read_annotations(record, "atr"), noisy)


def metrics_of(cases: Iterable[Case], classify: Classifier) -> str:
    """Compute QRS and VEB Se / +P, false V per hour of noise, and the unreadable fraction of the noise."""
    compared, fractions, false_v, hours = [], [], 0, 0.0
    for case in cases:
        analysis = pipeline.analyse(case.recording, classify)
        n_samples, fs = analysis.n_samples, analysis.fs
        compared.append(
            ec57.compare_beats(
                case.reference, annotations_of(analysis), fs, beat_map="dechazal", n_samples=n_samples
            )
        )
        unreadable = np.zeros(n_samples, dtype=bool)
        for start, stop in analysis.unreadable.tolist():
            unreadable[start:stop] = True
        fractions.append(unreadable[case.noisy].mean())
        false_v += sum(compared[-1].count(row, "V") for row in "NSOX")
        hours += float(case.noisy.sum() / fs / 3600)
    metrics = ec57.compute_metrics(ec57.gross(compared))
    names = ("qrs_sensitivity", "qrs_positive_predictivity", "veb_sensitivity", "veb_positive_predictivity")
    qrs_se, qrs_pp, veb_se, veb_pp = (f"{100 * metrics[name]:.1f}" for name in names)
    percent = 100 * np.mean(fractions)
    return f"{qrs_se} / {qrs_pp} | {veb_se} / {veb_pp} | {false_v / hours:.0f} | {percent:.0f} %"


def main(nstdb: Path, mitdb: Path) -> None:
    """Print the tables, with one row for each signal-to-noise ratio."""
    classify, motion = load_classifier(SHIPPED_MODEL), electrode_motion(nstdb, mitdb)
    records = sorted({path.with_suffix("") for path in nstdb.glob("*.atr")})
    levels = sorted({db for record in records if (db := noise_db(record.name)) is not None}, reverse=True)
    rows = {
        f"nstdb, {db} dB": [stress_case(record) for record in records if noise_db(record.name) == db]
        for db in levels
    }
    rows |= {
        f"others, {db} dB": [mixed_case(mitdb / name, motion, db) for name in OTHERS] for db in LEVELS_DB
    }
    print("| | without: QRS Se / +P | VEB Se / +P | false V per hour | marked unreadable", end=" ")
    print("| with: QRS Se / +P | VEB Se / +P | false V per hour | marked unreadable |")
    print("|---" * 9 + "|")
    usual = signal_to_noise.SQI_UNREADABLE
    for name, cases in rows.items():
        signal_to_noise.SQI_UNREADABLE = NEVER  # type: ignore[misc]
        without = metrics_of(cases, classify)
        signal_to_noise.SQI_UNREADABLE = usual  # type: ignore[misc]
        print(f"| {name} | {without} | {metrics_of(cases, classify)} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
