"""Latency, load and memory of the live analysis.

``uv run python benchmarks/live.py --data-dir data`` prints three tables. The first is the time from the R
peak to the first label and to the final one, over the records of DS1, in packets of 40 ms. The second is how
many streams of two leads at 250 Hz one core carries in real time. The third is the memory of a stream now and
after a simulated week. ``--part latency``, ``--part load`` and ``--part week`` run one of them.
"""

import argparse
import gc
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from ectopy import pipeline
from ectopy.datasets.catalogue import DS1
from ectopy.datasets.simulate import draw_patient, simulate
from ectopy.live.model_files import SHIPPED_LIVE_MODEL
from ectopy.live.network import LiveModel, load_live_model
from ectopy.live.stream import Stream
from ectopy.parallel.blas_threads import limit_blas_threads
from ectopy.readers import open_recording

PACKET_S = 0.04
FS, LEADS = 250.0, ("II", "V1")
PACKETS_S = (0.04, 0.2, 1.0)
STREAMS = 100
DAYS = 7
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400


def main() -> None:
    """Measure what was asked for, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--model", type=Path, default=SHIPPED_LIVE_MODEL)
    parser.add_argument("--minutes", type=float, default=30.0, help="of each record, for the latency")
    parser.add_argument("--hours", type=float, default=4.0, help="of signal on each day of the week")
    parser.add_argument("--part", choices=("latency", "load", "week"))
    chosen = parser.parse_args()
    limit_blas_threads()
    model = load_live_model(chosen.model)
    if chosen.part in {None, "latency"}:
        print(latency_table(chosen.data_dir, model, 60 * chosen.minutes))
    if chosen.part in {None, "load"}:
        print(load_table(model))
    if chosen.part in {None, "week"}:
        print(week_table(model, chosen.hours))


def latency_table(data_dir: Path, model: LiveModel, seconds: float) -> str:
    """Return the time from R peaks to their labels, over the records of DS1."""
    first_s: list[float] = []
    final_s: list[float] = []
    push_ms: list[float] = []
    changed = 0
    for record in DS1:
        recording = open_recording(data_dir / "mitdb" / "1.0.0" / f"{record}.hea")
        columns = pipeline.analysed_columns(recording)
        stop = min(round(seconds * recording.fs), recording.n_samples)
        signal = recording.read_leads(columns, 0, stop)
        stream = Stream(recording.fs, [recording.leads[column] for column in columns], model=model)
        told: dict[int, tuple[float, str]] = {}
        for packet in packets(signal, round(PACKET_S * recording.fs)):
            began = time.process_time()
            updates = stream.push(packet)
            push_ms.append(1000 * (time.process_time() - began))
            for one in updates:
                if one.kind == "provisional":
                    told.setdefault(one.sample, (one.at_s - one.time_s, one.label))
                if one.kind == "beat":
                    label_s, label = told.pop(one.sample, (one.at_s - one.time_s, one.label))
                    first_s.append(label_s)
                    final_s.append(one.at_s - one.time_s)
                    changed += label != one.label
    rows = [
        ("first label", *quantiles(first_s, "s")),
        ("final label", *quantiles(final_s, "s")),
        ("computing a packet of 40 ms", *quantiles(push_ms, "ms")),
    ]
    lines = [f"| {name} | {median} | {high} |" for name, median, high in rows]
    share = 100 * changed / max(len(final_s), 1)
    note = f"{len(final_s):,} beats of {len(DS1)} records; the first label changed for {share:.1f} %."
    return "\n".join(
        ("| after the R peak | median | 95th percentile |", "|---|---|---|", *lines, "", note, "")
    )


def quantiles(values: list[float], unit: str) -> tuple[str, str]:
    """Return the median and the 95th percentile as text."""
    median, high = np.quantile(values, (0.5, 0.95))
    return f"{median:.2f} {unit}", f"{high:.2f} {unit}"


def load_table(model: LiveModel) -> str:
    """Return how many streams of two leads at 250 Hz one core carries, by the length of their packets."""
    signal = patient()
    lines = []
    for packet_s in PACKETS_S:
        stream = Stream(FS, LEADS, model=model)
        began = time.process_time()
        for packet in packets(signal, round(packet_s * FS)):
            stream.push(packet)
        carried = len(signal) / FS / (time.process_time() - began)
        lines.append(f"| {packet_s:g} s | {carried:.0f} |")
    return "\n".join(("| packets of | streams on one core |", "|---|---|", *lines, ""))


def week_table(model: LiveModel, hours: float) -> str:
    """Return the memory of a stream, after an hour and after each day of a simulated week."""
    process, rng, signal = psutil.Process(), np.random.default_rng(1), patient()
    before = resident(process)
    streams = [Stream(FS, LEADS, model=model) for _ in range(STREAMS)]
    for stream in streams:
        stream.push(signal[: round(MINUTE_S * FS)])
    each_kb = (resident(process) - before) / STREAMS / 1e3
    stream = Stream(FS, LEADS, model=model)
    del streams
    lines, n_beats = [], 0
    for day in range(DAYS):
        for minute in range(round(60 * hours)):
            minute_signal = altered_minute(signal, rng)
            told = stream.push(minute_signal, time_s=day * DAY_S + minute * MINUTE_S)
            n_beats += sum(one.kind == "beat" for one in told)
            if minute == 59 and not day:
                lines.append(week_row("1 h", process, stream, n_beats))
        lines.append(week_row(f"{day + 1} d", process, stream, n_beats))
    head = ("| time so far | beats | memory of the process | saved state |", "|---|---|---|---|")
    return "\n".join((f"One stream of {STREAMS} takes {each_kb:.0f} kB.", "", *head, *lines, ""))


def altered_minute(signal: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a minute from anywhere in a signal: with another gain, with noise, and at times with gaps."""
    n = round(MINUTE_S * FS)
    start = rng.integers(len(signal) - n)
    noise = rng.normal(scale=rng.choice((0.01, 0.02, 0.5), p=(0.5, 0.4, 0.1)), size=(n, len(LEADS)))
    minute: NDArray[np.float32] = signal[start : start + n] * rng.uniform(0.5, 2) + noise.astype(np.float32)
    if rng.random() < 0.2:
        lost = rng.integers(n, size=2)
        minute[lost.min() : lost.max(), : rng.integers(1, len(LEADS) + 1)] = np.nan
    return minute


def week_row(time_so_far: str, process: psutil.Process, stream: Stream, n_beats: int) -> str:
    """Return a row of the table of the week."""
    with tempfile.TemporaryDirectory() as folder:
        stream.save(Path(folder) / "state")
        state_kb = (Path(folder) / "state").stat().st_size / 1e3
    return f"| {time_so_far} | {n_beats:,} | {resident(process) / 1e6:.1f} MB | {state_kb:.0f} kB |"


def resident(process: psutil.Process) -> float:
    """Return the memory of a process in bytes."""
    gc.collect()
    return float(process.memory_info().rss)


def patient() -> NDArray[np.float32]:
    """Simulate ten minutes of two leads."""
    rng = np.random.default_rng(0)
    recording = simulate(draw_patient(rng), minutes=10, fs=FS, rng=rng).recording
    return recording.read(0, recording.n_samples)


def packets(signal: NDArray[np.float32], size: int) -> Iterator[NDArray[np.float32]]:
    """Yield a signal in packets of so many samples."""
    for start in range(0, len(signal), size):
        yield signal[start : start + size]


if __name__ == "__main__":
    main()
