"""How long an edit takes: a cluster of 80,000 beats of a day relabelled, and the new numbers.

``python benchmarks/review_edits.py`` prints the seconds of each step, and the median of five repetitions.
"""

import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from ectopy.ecg import Analysis, Beats, Recording
from ectopy.report.statistics import recording_stats, stats
from ectopy.review.edits import RelabelBeats, action_from_json, action_to_json
from ectopy.review.log import EditLog
from ectopy.review.state import replay
from ectopy.rhythm.events import analyse_rhythm

DAY_S, FS, N_BEATS, N_RELABELLED = 86_400.0, 250.0, 100_000, 80_000


def day(seed: int = 0) -> Analysis:
    """Return the analysis of a simulated day: of 100,000 beats, 3 % are ventricular and 2 % premature."""
    rng = np.random.default_rng(seed)
    label = rng.choice(np.array(list("NVS")), N_BEATS, p=(0.95, 0.03, 0.02))
    rr_s = np.where(label == "N", 1.0, 0.7) * rng.normal(1, 0.05, N_BEATS)
    sample = np.round(np.cumsum(rr_s) * (DAY_S - 60) / rr_s.sum() * FS).astype(np.int64)
    probability = (label[:, None] == np.array(list("NSVF"))).astype(np.float32)
    beats = Beats(sample, label, probability, np.ones(N_BEATS, dtype=bool), FS)
    none = np.empty((0, 2), dtype=np.int64)
    low_quality = np.zeros(N_BEATS, dtype=bool)
    rhythm = analyse_rhythm(beats, duration_s=DAY_S, unreadable=none, low_quality=low_quality)
    recording = Recording("day", FS, ("II", "V1"), int(DAY_S * FS), _nothing)
    return Analysis(recording, (0, 1), rhythm.beats, rhythm.rr_s, low_quality, rhythm.events, none)


def _nothing(start: int, stop: int) -> np.ndarray:
    return np.zeros((stop - start, 2), dtype=np.float32)


def measure(automatic: Analysis, folder: Path) -> dict[str, float]:
    """Relabel a cluster, and return the seconds of each step."""
    log = EditLog(folder / "day.review" / "edits.jsonl")
    samples = automatic.beats.sample[:N_RELABELLED]
    was = "".join(automatic.beats.label[:N_RELABELLED].tolist())
    asked = action_to_json(RelabelBeats(samples, "V", was))
    replay(automatic, ())  # as when the recording was opened
    marks = [perf_counter()]
    action = action_from_json(asked)
    marks.append(perf_counter())
    log.append(action, by="AB", base="")
    marks.append(perf_counter())
    state = replay(automatic, log.entries)
    marks.append(perf_counter())
    stats(recording_stats(state.analysis), 0, DAY_S)
    marks.append(perf_counter())
    steps = dict(zip(("read", "log", "replay", "statistics"), np.diff(marks).tolist(), strict=True))
    return steps | {"in all": sum(steps.values())}


if __name__ == "__main__":
    automatic = day()
    print(f"{N_BEATS:,} beats, {len(automatic.events):,} events")
    results = []
    for _ in range(5):
        with tempfile.TemporaryDirectory() as folder:
            results.append(measure(automatic, Path(folder)))
    for step in results[0]:
        print(f"{step:12}{median(result[step] for result in results):8.3f} s")
