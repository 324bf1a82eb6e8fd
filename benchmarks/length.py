"""Time and memory against the length of a recording: 1 h, 6 h, 24 h, 3 and 14 days of one lead at 250 Hz.

``uv run python benchmarks/length.py --json results.json`` runs the command with all outputs. The lead is
that of simulated patients, half an hour each, one after the other. The report says how far the times
deviate from a straight line.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from measure import Cost, cost_of, costs, ectopy, options, report
from numpy.typing import NDArray

from ectopy.datasets.simulate import draw_patient, simulate

HOURS = (1, 6, 24, 72, 336)
FS, MINUTES, PATIENTS = 250, 30, 12
STEPS_PER_MV = 200


def main() -> None:
    """Measure each length in turns."""
    parser = options(__doc__ or "")
    parser.add_argument("--hours", type=int, nargs="+", default=HOURS)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        halves = list(half_hours())
        headers = {hours: write(Path(folder), hours, halves) for hours in chosen.hours}
        runs: dict[int, list[Cost]] = {hours: [] for hours in headers}
        for _ in range(chosen.runs):
            for hours, header in headers.items():
                out = tempfile.mkdtemp(dir=folder)
                runs[hours].append(
                    cost_of(ectopy("score", header, "--out", out, "--workers", str(chosen.workers)))
                )
        by_length = {f"{hours} h": costs(measured) for hours, measured in runs.items()}
    metrics = {
        "one lead at 250 Hz, command, all outputs": by_length,
        "off a straight line, %": {
            kind: off_line(chosen.hours, [by_length[f"{hours} h"][kind]["median"] for hours in chosen.hours])
            for kind in ("wall_s", "cpu_s")
        },
    }
    report("length", metrics, chosen.json)


def half_hours() -> Iterator[NDArray[np.int16]]:
    """Simulate one lead of some patients, in steps of a 12-bit recorder."""
    for seed in range(PATIENTS):
        rng = np.random.default_rng(seed)
        recording = simulate(draw_patient(rng), minutes=MINUTES, fs=FS, rng=rng).recording
        mv = recording.read(0, recording.n_samples)[:, 0]
        yield np.round(mv * STEPS_PER_MV).astype("<i2")


def write(folder: Path, hours: int, halves: Sequence[NDArray[np.int16]]) -> Path:
    """Write a WFDB record in format 16 that repeats the half hours."""
    header = folder / f"{hours}h.hea"
    with header.with_suffix(".dat").open("wb") as file:
        for half in range(hours * 60 // MINUTES):
            file.write(halves[half % len(halves)].tobytes())
    header.write_text(
        f"{header.stem} 1 {FS} {hours * 3600 * FS}\n{header.stem}.dat 16 {STEPS_PER_MV}/mV 12 0 0 0 0 II\n"
    )
    return header


def off_line(hours: Sequence[int], seconds: Sequence[float]) -> float | None:
    """Fit a line by the relative error, and return the largest relative error in percent."""
    if len(hours) < 3:
        return None
    weighted = np.vander(np.asarray(hours, dtype=float), 2) / np.asarray(seconds)[:, None]
    line = np.linalg.lstsq(weighted, np.ones(len(hours)), rcond=None)[0]
    return round(100 * float(np.abs(weighted @ line - 1).max()), 1)


if __name__ == "__main__":
    main()
