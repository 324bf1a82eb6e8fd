"""Time to score many short recordings, and time to classify beats in chunks of several sizes.

``uv run python benchmarks/batch.py --json results.json`` scores 2,000 simulated recordings of 60 s with the
command, all outputs. Then it classifies a day of beats with ONNX Runtime in chunks of several sizes (see
``ectopy.model.classifier.CHUNK``). It also compares the probabilities with those of the size in use.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
from measure import cost_of, costs, ectopy, options, report, spread
from numpy.typing import NDArray

from ectopy.datasets.simulate import draw_patient, simulate
from ectopy.features.extraction import FEATURE_NAMES
from ectopy.model import classifier
from ectopy.model.classifier import SHIPPED_MODEL, load_classifier

FS, SECONDS, MINUTES = 360, 60, 20
STEPS_PER_MV = 200
CHUNKS = (192, 256, 512, 1024, 2048, 4096)
DAY_BEATS = 100_000


def main() -> None:
    """Run both benchmarks and report them."""
    parser = options(__doc__ or "")
    parser.add_argument("--recordings", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        short = Path(folder) / "short"
        short.mkdir()
        write(short, chosen.recordings)
        runs = [
            cost_of(
                ectopy(
                    "score", short, "--out", tempfile.mkdtemp(dir=folder), "--workers", str(chosen.workers)
                )
            )
            for _ in range(chosen.runs)
        ]
    metrics = {
        "recordings of 60 s, two leads, command, all outputs": {
            "number": chosen.recordings,
            "workers": chosen.workers,
            **costs(runs),
        },
        "a day of beats by chunk": by_chunk(chosen.runs),
    }
    report("batch", metrics, chosen.json)


def write(folder: Path, number: int) -> None:
    """Write WFDB records in format 16, cut from longer ones of simulated patients."""
    per_patient = MINUTES * 60 // SECONDS
    for index in range(number):
        patient, piece = divmod(index, per_patient)
        if piece == 0:
            samples = patient_of(patient)
        cut = samples[piece * SECONDS * FS :][: SECONDS * FS]
        name = f"p{patient:03d}_{piece:02d}"
        (folder / f"{name}.dat").write_bytes(cut.tobytes())
        leads = "".join(f"{name}.dat 16 {STEPS_PER_MV}/mV 12 0 0 0 0 {lead}\n" for lead in ("II", "V1"))
        (folder / f"{name}.hea").write_text(f"{name} 2 {FS} {len(cut)}\n{leads}")


def patient_of(seed: int) -> NDArray[np.int16]:
    """Simulate a patient: two leads [n, 2] in steps of a 12-bit recorder."""
    rng = np.random.default_rng(seed)
    recording = simulate(draw_patient(rng), minutes=MINUTES, fs=FS, rng=rng).recording
    return np.round(recording.read(0, recording.n_samples)[:, :2] * STEPS_PER_MV).astype("<i2")


def by_chunk(n_runs: int, chunks: Sequence[int] = CHUNKS) -> dict[str, object]:
    """Measure the classification of a day of beats by chunk size, in turns, after one run to warm up."""
    classify = load_classifier(SHIPPED_MODEL)
    features = np.random.default_rng(0).normal(size=(DAY_BEATS, len(FEATURE_NAMES))).astype(np.float32)
    seconds: dict[int, list[float]] = {chunk: [] for chunk in chunks}
    answers = {}
    for turn in range(n_runs + 1):
        for chunk in chunks:
            with patch.object(classifier, "CHUNK", chunk):
                begun = time.process_time()
                answers[chunk] = classify(features)[0]
                if turn:
                    seconds[chunk].append(time.process_time() - begun)
    usual = answers[classifier.CHUNK]
    return {
        str(chunk): {
            "cpu_s": spread(took),
            "largest difference of a probability": float(np.abs(answers[chunk] - usual).max()),
        }
        for chunk, took in seconds.items()
    }


if __name__ == "__main__":
    main()
