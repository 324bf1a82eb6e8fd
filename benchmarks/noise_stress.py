"""QRS detection by signal-to-noise ratio: our detector and xqrs of wfdb, compared by EC57 on nstdb.

``uv run python benchmarks/noise_stress.py data/nstdb/1.0.0`` prints a Markdown table. The patients 118 and
119 are training patients. No detector was trained on them, but ours was tuned by looking at them.
"""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ectopy import ec57
from ectopy.annotations import Annotations, read_annotations
from ectopy.beats.detection import detect_qrs
from ectopy.datasets.catalogue import noise_db
from ectopy.ecg import Samples
from ectopy.readers import open_recording

Detector = Callable[[NDArray[np.float32], float], Samples]


def xqrs(signal: NDArray[np.float32], fs: float) -> Samples:
    """Find beats with the detector of wfdb, which reads one lead."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from wfdb.processing import xqrs_detect

        return np.asarray(xqrs_detect(signal[:, 0].astype(float), fs, verbose=False), dtype=np.int64)


DETECTORS: dict[str, Detector] = {
    "ectopy, two leads": detect_qrs,
    "ectopy, first lead": lambda signal, fs: detect_qrs(signal[:, 0], fs),
    "wfdb xqrs, first lead": xqrs,
}


def compare(record: Path, detect: Detector) -> ec57.BeatComparison:
    """Compare one detector with the reference of one record."""
    recording = open_recording(record)
    beats = detect(recording.read(0, recording.n_samples), recording.fs)
    marks = Annotations(beats, np.full(len(beats), "N"), np.zeros(len(beats), np.int64), ("",) * len(beats))
    reference = read_annotations(record, "atr")
    return ec57.compare_beats(reference, marks, recording.fs, n_samples=recording.n_samples)


def main(folder: Path) -> None:
    """Print the table, with one row for each signal-to-noise ratio."""
    records = sorted({path.with_suffix("") for path in folder.glob("*.atr")})
    levels = sorted({db for record in records if (db := noise_db(record.name)) is not None}, reverse=True)
    print(f"| SNR (dB) | {' | '.join(f'{name}: QRS Se / +P' for name in DETECTORS)} |")
    print("|---" * (len(DETECTORS) + 1) + "|")
    for level in levels:
        cells = []
        for detect in DETECTORS.values():
            of_level = (record for record in records if noise_db(record.name) == level)
            total = ec57.gross(compare(record, detect) for record in of_level)
            metrics = (total.qrs_sensitivity, total.qrs_positive_predictivity)
            cells.append(" / ".join(f"{100 * value:.2f}" for value in metrics))
        print(f"| {level} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
