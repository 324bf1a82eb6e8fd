"""Tools of the benchmarks: time and memory of a command with all its processes, and the report.

Results are medians over runs, with the least and the greatest. Things that are compared run in turns, so
that other load on the machine affects all of them. Memory is the proportional set size of the command and
its children, in which shared pages count once.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from types import ModuleType
from typing import Any, NamedTuple

import psutil

LOOK_EVERY_S = 0.05
"""Least interval at which memory is sampled; a shorter peak may be missed."""
PART_FOR_LOOKING = 0.1
"""Greatest part of the time for which memory is sampled: a look at large processes takes long."""


class Cost(NamedTuple):
    """Cost of one run of a command: wall time, CPU time of all cores, and peak of memory."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def cost_of(command: Sequence[str], **environment: str) -> Cost:
    """Run a command that must succeed, and measure it with all its children.

    Python keeps what it has compiled, as it does for users: otherwise it compiles all modules at each start.
    """
    surroundings = {name: os.environ[name] for name in os.environ if name != "PYTHONDONTWRITEBYTECODE"}
    before = getrusage(RUSAGE_CHILDREN)
    begun = time.perf_counter()
    with (
        tempfile.TemporaryFile() as told,
        psutil.Popen(
            command, env=surroundings | environment, stdout=subprocess.DEVNULL, stderr=told
        ) as process,
    ):
        peak = 0
        while process.poll() is None:
            looked = time.perf_counter()
            peak = max(peak, memory_of(process))
            time.sleep(max(LOOK_EVERY_S, (time.perf_counter() - looked) / PART_FOR_LOOKING))
        wall_s = time.perf_counter() - begun
        after = getrusage(RUSAGE_CHILDREN)
        if process.returncode:
            told.seek(0)
            raise SystemExit(f"{' '.join(command)}: {told.read().decode()}")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall_s, cpu_s, peak / 2**20)


def memory_of(process: psutil.Process) -> int:
    """Add up the proportional set sizes of a process and its descendants, in bytes."""
    total = 0
    try:
        for member in (process, *process.children(recursive=True)):
            total += member.memory_full_info().pss
    except psutil.Error:  # one of them has just ended: the next sample counts
        return 0
    return total


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, least and greatest of some runs."""
    return {
        "median": round(statistics.median(values), 3),
        "least": round(min(values), 3),
        "greatest": round(max(values), 3),
    }


def costs(runs: Sequence[Cost]) -> dict[str, dict[str, float]]:
    """Return median, least and greatest of each kind of cost."""
    return {name: spread(values) for name, values in zip(Cost._fields, zip(*runs, strict=True), strict=True)}


class Stages:
    """CPU time in seconds by stage; the time of an inner stage does not count for the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner: list[float] = []

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function whose CPU time is added to ``stage``."""

        @wraps(function)
        def clocked(*arguments: Any, **named: Any) -> Any:
            self._inner.append(0.0)
            begun = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                took = time.process_time() - begun
                own = took - self._inner.pop()
                self.seconds[stage] = self.seconds.get(stage, 0.0) + own
                if self._inner:
                    self._inner[-1] += took

        return clocked

    @contextmanager
    def of(self, where: Mapping[str, Sequence[tuple[ModuleType, str]]]) -> Iterator[None]:
        """Measure functions, given as (module, name) by stage, as long as the context lasts."""
        originals = [
            (module, name, getattr(module, name)) for names in where.values() for module, name in names
        ]
        for stage, names in where.items():
            for module, name in names:
                setattr(module, name, self.timed(stage, getattr(module, name)))
        try:
            yield
        finally:
            for module, name, function in originals:
                setattr(module, name, function)


def machine() -> dict[str, object]:
    """Return the machine, the date, the load of the last minute, and the version of ectopy."""
    from ectopy.compiled import is_compiled

    model = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_of_the_last_minute": round(os.getloadavg()[0], 2),
        "ectopy": subprocess.run(
            ["git", "describe", "--tags", "--always", "--dirty"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip(),
        "loops": "in C" if is_compiled() else "in numpy",
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def options(about: str) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="how often each is run, in turns")
    parser.add_argument("--json", type=Path, help="a file to which the results are added")
    return parser


def report(name: str, metrics: Mapping[str, object], path: Path | None) -> None:
    """Print the results of a benchmark, and add them to a file with those of others."""
    results = {"machine": machine(), **metrics}
    print(json.dumps({name: results}, indent=1))
    if path is not None:
        others = json.loads(path.read_text()) if path.is_file() else {}
        path.write_text(json.dumps(others | {name: results}, indent=1, sort_keys=True) + "\n")


def ectopy(*arguments: str | Path) -> list[str]:
    """Return the command line of ``ectopy`` for this interpreter."""
    return [sys.executable, "-m", "ectopy", *map(str, arguments)]
