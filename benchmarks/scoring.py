"""Time and memory of scoring: by stage, in one process, as a command, and compared with other tools.

``uv run python benchmarks/scoring.py data/mitdb/1.0.0 --json results.json`` scores the 48 records, which
together last a day. Other tools read the first lead of one record: xqrs of wfdb, sleepecg and NeuroKit2.
``--sleepecg PYTHON`` and ``--neurokit PYTHON`` name interpreters that have them. ``--program GIVES COMMAND``
names a compiled program, and what it gives; it may be repeated, such as ``--program beats "gqrs -r {record}"
--program "beats, N and V" "osea {record}"``.

Tools in Python are called twice in one process, and the second call counts. Of a compiled program the whole
process counts, which reads the record. What it takes for the first second alone shows the cost of its start.
"""

import argparse
import shlex
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import wfdb
from measure import Cost, Stages, cost_of, costs, ectopy, options, report, spread
from threadpoolctl import threadpool_limits

import ectopy.report as ectopy_report
from ectopy import compiled, ec57, pipeline, readers
from ectopy.api import analyse
from ectopy.batch import planning, runner
from ectopy.beats import detection, signal_to_noise
from ectopy.features import extraction
from ectopy.model.classifier import SHIPPED_MODEL, Classifier
from ectopy.readers import open_recording
from ectopy.signal import quality

IMPORTS = [sys.executable, "-c", "import numpy, scipy.signal"]
PEER = """
import sys, time, numpy
{imports}
lead, fs = numpy.load(sys.argv[1]), float(sys.argv[2])
{call}
begun = time.process_time()
{call}
print(time.process_time() - begun)
"""
PEERS = {
    "sleepecg": PEER.format(imports="import sleepecg", call="sleepecg.detect_heartbeats(lead, fs=fs)"),
    "NeuroKit2": PEER.format(
        imports="import neurokit2",
        call="neurokit2.ecg_peaks(neurokit2.ecg_clean(lead, sampling_rate=fs), sampling_rate=fs)",
    ),
}
OURS, BEATS, ALL = "ectopy, the whole analysis", "beats", "all"
STAGES: dict[str, list[tuple[Any, str]]] = {
    "quality": [
        (quality, "not_recorded"),
        (signal_to_noise, "drowned"),
        (signal_to_noise, "signal_quality_index"),
        (pipeline, "analysed_columns"),
    ],
    "filter": [
        (detection, "divide_spikes"),
        (detection, "fill_gaps"),
        (detection, "resample"),
        (detection, "bandpass"),
    ],
    "detect": [(detection, "find_candidates"), (detection, "_find_beats"), (detection, "_cut_windows")],
    "waves": [(detection, "waves_of_ticks")],
    "features": [(extraction, "_segment_features")],
    "classify": [(Classifier, "__call__")],
    "name the rhythm": [(pipeline, "name_rhythm_intervals")],
    "rhythm": [(pipeline, "analyse_rhythm"), (pipeline, "af_penalty_from_morphology")],
    "write": [(ectopy_report, "write_outputs")],
}


def by_stage(records: Sequence[Path], out: Path) -> dict[str, float]:
    """Score in this process, and measure the CPU time of each stage in seconds."""
    stages = Stages()

    def open_timed(path: Path, **options: Any) -> Any:
        recording = open_recording(path, **options)
        return replace(recording, read=stages.timed("read", recording.read))

    readers.open_recording = open_timed
    try:
        with stages.of(STAGES):
            whole = stages.timed("other", lambda: [runner.score_one(job) for job in jobs_of(records, out)])
            whole()
    finally:
        readers.open_recording = open_recording
    return stages.seconds


def jobs_of(records: Sequence[Path], out: Path) -> list[planning.Job]:
    """Return the jobs of scoring into a new folder."""
    folder = Path(tempfile.mkdtemp(dir=out))
    return planning.plan(records, folder, planning.ScoreOptions(SHIPPED_MODEL))


def warm(records: Sequence[Path]) -> float:
    """Analyse with the Python interface in this process, without report; return the wall time in seconds."""
    begun = time.perf_counter()
    for record in records:
        analyse(open_recording(record))
    return time.perf_counter() - begun


def warm_in_numpy(records: Sequence[Path]) -> float:
    """Measure the same without the loops in C."""
    library, compiled._library = compiled._library, None  # noqa: SLF001 - as without a C compiler
    try:
        return warm(records)
    finally:
        compiled._library = library  # noqa: SLF001


def warm_side_by_side(records: Sequence[Path], workers: int) -> float:
    """Measure the same with a pool of processes that has started and has loaded the model."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(analyse, records[:workers] * 2))
        begun = time.perf_counter()
        list(pool.map(analyse, records))
        return time.perf_counter() - begun


def compared(folder: Path) -> float:
    """Measure the comparison by EC57 of all reference annotations of a folder with themselves."""
    return timed(lambda: ec57.compare_directories(folder, folder, "atr"))


def cold(paths: Sequence[Path], out: Path, workers: int) -> Cost:
    """Measure the command that scores into a new folder, with all outputs."""
    folder = Path(tempfile.mkdtemp(dir=out))
    return cost_of(ectopy_score(paths, folder, workers))


def ectopy_score(paths: Sequence[Path], folder: Path, workers: int) -> list[str]:
    """Return the command that scores into a folder."""
    return ectopy("score", *paths, "--out", folder, "--workers", str(workers))


def timed(run: Callable[[], object]) -> float:
    """Return the CPU time of a function in seconds."""
    begun = time.process_time()
    run()
    return time.process_time() - begun


def warmed(run: Callable[[], object]) -> float:
    """Return the CPU time of the second of two calls in seconds."""
    run()
    return timed(run)


class Tool(NamedTuple):
    """A tool to compare: what it gives, and a function that runs it and returns its seconds."""

    gives: str
    run: Callable[[], float]


def peers(
    record: Path,
    out: Path,
    interpreters: Mapping[str, str | None],
    programs: Sequence[tuple[str, str]] = (),
) -> dict[str, Tool]:
    """Return the tools, ours first, that read the first lead of one record."""
    recording = open_recording(record)
    lead, fs = recording.read(0, recording.n_samples)[:, 0].astype(np.float64), recording.fs
    np.save(out / "lead.npy", lead)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from wfdb.processing import xqrs_detect

    tools = {
        OURS: Tool(ALL, lambda: warmed(lambda: analyse(open_recording(record), leads=recording.leads[:1]))),
        "ectopy, detection": Tool(BEATS, lambda: warmed(lambda: detection.detect_qrs(lead, fs))),
        "wfdb xqrs": Tool(BEATS, lambda: warmed(lambda: xqrs_detect(lead, fs, verbose=False))),
    }
    for name, interpreter in interpreters.items():
        if interpreter:
            command = [interpreter, "-W", "ignore", "-c", PEERS[name], str(out / "lead.npy"), str(fs)]
            tools[name] = Tool(BEATS, partial(_printed_seconds, command))
    if programs:
        short = first_second(record, out)
        for gives, program in programs:
            name = Path(shlex.split(program)[0]).name
            tools[name] = Tool(gives, partial(_cpu_of, program, record))
            tools[f"{name}, the first second alone"] = Tool(gives, partial(_cpu_of, program, short))
    return tools


def first_second(record: Path, out: Path) -> Path:
    """Write the first second of a record, in its format; return its header."""
    short = wfdb.rdrecord(
        str(record.with_suffix("")), sampto=round(open_recording(record).fs), physical=False
    )
    short.wrsamp(write_dir=str(out))
    return out / record.name


def _cpu_of(program: str, record: Path) -> float:
    command = [word.format(record=record.with_suffix("")) for word in shlex.split(program)]
    return cost_of(command).cpu_s


def _printed_seconds(command: Sequence[str]) -> float:
    return float(subprocess.check_output(command, text=True).split()[-1])


def beside(tools: Mapping[str, Tool], n: int) -> dict[str, dict[str, object]]:
    """Measure tools in turns, after one run to warm up; ratios are to our whole analysis."""
    seconds: dict[str, list[float]] = {name: [] for name in tools}
    for turn in range(n + 1):
        for name, tool in tools.items():
            took = tool.run()
            if turn:
                seconds[name].append(took)
    spreads = {name: spread(values) for name, values in seconds.items()}
    ours = spreads[OURS]["median"]
    return {
        name: {"gives": tools[name].gives, **values, "of ours": round(values["median"] / ours, 2)}
        for name, values in spreads.items()
    }


def command_line() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = options(__doc__ or "")
    parser.add_argument("folder", type=Path, help="WFDB records, such as data/mitdb/1.0.0")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--record", default="100", help="for start-up and beside other tools")
    parser.add_argument("--sleepecg", help="an interpreter that has sleepecg")
    parser.add_argument("--neurokit", help="an interpreter that has NeuroKit2")
    parser.add_argument(
        "--program",
        nargs=2,
        action="append",
        default=[],
        metavar=("GIVES", "COMMAND"),
        help="what a compiled program gives, such as beats, and its command, where {record} is put in",
    )
    return parser


def main() -> None:
    """Run all measurements and report them."""
    chosen = command_line().parse_args()
    records = sorted(chosen.folder.glob("*.hea"))
    one = chosen.folder / f"{chosen.record}.hea"
    hours = sum(open_recording(record).duration_s for record in records) / 3600
    # Threads of linear algebra that wait for each other would count as work.
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        out = Path(folder)
        warm([one])
        cold([one], out, chosen.workers)
        staged, warmed, in_numpy, pooled, judged, colds, starts, imports = ([] for _ in range(8))
        for _ in range(chosen.runs):
            staged.append(by_stage(records, out))
            warmed.append(warm(records))
            in_numpy.append(warm_in_numpy(records))
            pooled.append(warm_side_by_side(records, chosen.workers))
            judged.append(compared(chosen.folder))
            colds.append(cold([chosen.folder], out, chosen.workers))
            imports.append(cost_of(IMPORTS))
            starts.append(cold([one], out, chosen.workers))
        metrics = {
            "recordings": {"number": len(records), "hours": round(hours, 2)},
            "by stage, seconds of one core": {
                stage: spread([run[stage] for run in staged]) for stage in staged[0]
            },
            "Python, warm, one process, without report, s": spread(warmed),
            "the same without the loops in C, s": {
                **spread(in_numpy),
                "of those with them": spread(
                    [without / with_ for without, with_ in zip(in_numpy, warmed, strict=True)]
                ),
            },
            "Python, warm, a pool of processes, without report, s": {
                "workers": chosen.workers,
                **spread(pooled),
            },
            "EC57, against themselves, seconds of one core": spread(judged),
            "command, cold, all outputs": {"workers": chosen.workers, **costs(colds)},
            "command, cold, one record": {
                **costs(starts),
                "of importing numpy and scipy.signal": spread(
                    [start.wall_s / alone.wall_s for start, alone in zip(starts, imports, strict=True)]
                ),
            },
            "beside others, first lead of one record, seconds of one core": beside(
                peers(one, out, {"sleepecg": chosen.sleepecg, "NeuroKit2": chosen.neurokit}, chosen.program),
                chosen.runs,
            ),
        }
    report("scoring", metrics, chosen.json)


if __name__ == "__main__":
    main()
