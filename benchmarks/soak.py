"""The inbox under fire: recordings of which some are bad, and a run that is killed again and again.

``uv run python benchmarks/soak.py --recordings 2000 --kills 10`` simulates recordings of a minute, 5 % of
them broken in the ways of :data:`BROKEN`, starts ``score_inbox`` on them, kills it or one of its processes
and starts it again, until nothing is left to do. What it prints must say ``lost`` 0 and ``scored_twice`` 0.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
from measure import memory_of, options, report

from ectopy.batch.ledger import Status, open_ledger
from ectopy.datasets.simulate import draw_patient, simulate

if TYPE_CHECKING:
    from collections.abc import Iterator

N_PATIENTS = 100
LOOK_EVERY_S = 2.0
RUN = [sys.executable, "-c", "from ectopy.flows.score import score_inbox; score_inbox()"]
RULES = {
    "ECTOPY_INBOX_QUIET_S": "0",
    "ECTOPY_INBOX_PATIENCE_S": "0",
    "ECTOPY_INBOX_TRIES": "4",
    "ECTOPY_RECORDING_TIME_S": "600",
}


def write_recording(
    folder: Path, name: str, number: int, patients: Sequence[tuple[np.ndarray, float]]
) -> Path:
    """Write a minute of one of the patients, as nobody else has it: begun elsewhere, another gain."""
    signal_mv, fs = patients[number % len(patients)]
    rng = np.random.default_rng(number)
    own = np.roll(signal_mv, rng.integers(len(signal_mv)), axis=0) * rng.uniform(0.7, 1.4)
    (folder / f"{name}.dat").write_bytes(np.round(own * 1000).astype("<i2").tobytes())
    return write_header(folder / f"{name}.hea", f"{name}.dat", fs, len(own))


def write_header(header: Path, signals: str, fs: float, n_samples: int) -> Path:
    """Write a header of two leads in format 16."""
    lines = [f"{signals} 16 1000/mV 16 0 0 0 0 {lead}" for lead in ("MLII", "V1")]
    header.write_text("\n".join([f"{header.stem} 2 {fs:g} {n_samples}", *lines]) + "\n")
    return header


def cut(header: Path) -> None:
    """Cut the signals off in the middle: a copy that was given up."""
    os.truncate(header.with_suffix(".dat"), 20_001)


def without_signals(header: Path) -> None:
    """Take the signals away."""
    header.with_suffix(".dat").unlink()


def empty(header: Path) -> None:
    """Empty the header."""
    header.write_bytes(b"")


def garbage(header: Path) -> None:
    """Put noise into the header."""
    header.write_bytes(random.Random(0).randbytes(500))  # noqa: S311


def outside(header: Path) -> None:
    """Let the header name a file outside its folder."""
    write_header(header, "../../../etc/passwd", 360, 21_600)


def too_many_leads(header: Path) -> None:
    """Let the header promise a million leads."""
    header.write_text(f"{header.stem} 1000000 360 21600\n")


def instead(suffix: str, content: bytes) -> Callable[[Path], None]:
    """Put a broken file of another format in the place of the recording."""

    def replace(header: Path) -> None:
        header.with_suffix(".dat").unlink()
        header.unlink()
        header.with_suffix(suffix).write_bytes(content)

    return replace


BROKEN: dict[str, Callable[[Path], None]] = {
    "signals cut off": cut,
    "signals missing": without_signals,
    "header empty": empty,
    "header of noise": garbage,
    "signals outside the folder": outside,
    "a million leads": too_many_leads,
    "EDF empty": instead(".edf", b""),
    "EDF of noise": instead(".edf", random.Random(1).randbytes(5000)),  # noqa: S311
    "BDF cut off": instead(".bdf", b"\xffBIOSEMI" + b" " * 200),
    "SCP of noise": instead(".scp", random.Random(2).randbytes(5000)),  # noqa: S311
    "ISHNE cut off": instead(".ecg", b"ISHNE1.0" + bytes(100)),
    "aECG cut off": instead(".xml", b'<?xml version="1.0"?><AnnotatedECG xmlns="urn:hl7-org:v3"><id/>'),
    "table without a rate": instead(".csv", b"II,V1\n" + b"0.1,0.2\n" * 500),
}


def endless(header: Path) -> None:
    """Make a recording of 90 days, with holes on the disk: it takes longer than it may."""
    n_samples = 90 * 86_400 * 360
    os.truncate(header.with_suffix(".dat"), n_samples * 4)
    write_header(header, header.with_suffix(".dat").name, 360, n_samples)


def fill(inbox: Path, n: int, n_broken: int, n_endless: int) -> None:
    """Lay recordings into the inbox, the broken ones anywhere among them."""
    inbox.mkdir(parents=True)
    patients = []
    for number in range(min(N_PATIENTS, n)):
        rng = np.random.default_rng(number)
        recording = simulate(
            draw_patient(rng), minutes=1, fs=float(rng.choice([128, 250, 360, 500])), rng=rng
        ).recording
        patients.append((recording.read(0, recording.n_samples), recording.fs))
    broken = random.Random(0).sample(range(n), n_broken)  # noqa: S311
    ways = [*[endless] * n_endless, *BROKEN.values()]
    for number in range(n):
        header = write_recording(inbox, f"r{number:05d}", number, patients)
        if number in broken:
            ways[broken.index(number) % len(ways)](header)


@dataclass
class Watch:
    """What is seen from outside: when each result was written, and the memory of the run at its peak."""

    scored: Path
    first_seen: dict[str, tuple[int, int]] = field(default_factory=dict)
    twice: set[str] = field(default_factory=set)
    peak_mb: float = 0.0

    def look(self) -> int:
        """Look at the results; one whose file is another than before was scored twice."""
        with os.scandir(self.scored) as entries:
            names = [entry.name for entry in entries if entry.is_dir() and entry.name[0] != "."]
        for name in names:
            with suppress(FileNotFoundError):  # it is just being replaced: the next look sees by what
                stat = (self.scored / name / "summary.json").stat()
                now = (stat.st_ino, stat.st_mtime_ns)
                if self.first_seen.setdefault(name, now) != now:
                    self.twice.add(name)
        return len(names)


def soak(data: Path, n: int, n_kills: int, environment: dict[str, str]) -> dict[str, object]:
    """Run until nothing is left to do, killed so many times, after equal parts of the work."""
    chance = random.Random(0)  # noqa: S311
    (data / "scored").mkdir()
    watch, runs, killed = Watch(data / "scored"), 0, Counter[str]()
    begun = time.perf_counter()
    while True:
        runs += 1
        with (data / "runs.log").open("a") as log:
            run = psutil.Popen(RUN, env=os.environ | environment, stdout=log, stderr=log)
        while run.poll() is None:
            watch.peak_mb = max(watch.peak_mb, memory_of(run) / 2**20)
            if watch.look() > n * (killed.total() + 1) / (n_kills + 1.5) and killed.total() < n_kills:
                time.sleep(chance.uniform(0, 0.5))
                killed[kill(run, chance)] += 1
            time.sleep(LOOK_EVERY_S)
        watch.look()
        if run.returncode == 0 and not left(data):
            break
    return {
        "runs": runs,
        "killed": dict(killed),
        "minutes": round((time.perf_counter() - begun) / 60, 1),
        "peak_mb": round(watch.peak_mb),
        **ends(data, n),
        "scored_twice": len(watch.twice),
    }


def kill(run: psutil.Process, chance: random.Random) -> str:
    """Kill the run, or in one of three cases a process that scores for it."""
    scoring = [child for child in run.children() if "spawn_main" in " ".join(child.cmdline())]
    if scoring and chance.random() < 1 / 3:
        chance.choice(scoring).send_signal(signal.SIGKILL)
        return "a process that scores"
    run.send_signal(signal.SIGKILL)
    return "the run"


def left(data: Path) -> int:
    """Count what waits."""
    with open_ledger(data / "scored") as ledger:
        return len(ledger.entries(Status.WAITING, Status.BAD))


def ends(data: Path, n: int) -> dict[str, object]:
    """Count how recordings ended, each by its name."""
    whole = {
        path.parent.name
        for path in (data / "scored").glob("[!.]*/summary.json")
        if json.loads(path.read_text())
    }
    with open_ledger(data / "scored") as ledger:
        away = {entry.name: entry.reason for entry in ledger.entries(Status.QUARANTINED)}
        others = {Path(entry.path).stem for entry in ledger.entries(Status.OTHER)}
    every = {f"r{number:05d}" for number in range(n)}
    reasons = Counter(reason.partition(": ")[2] or reason for reason in away.values())
    return {
        "recordings": n,
        "scored": len(whole),
        "quarantined": len(away),
        "left_as_no_recording": len(others - whole - away.keys()),
        "lost": len(every - whole - away.keys() - others),
        "reasons": dict(reasons.most_common()),
    }


@contextmanager
def prefect_server(home: Path) -> "Iterator[str]":
    """Start a Prefect server for all runs; give its address."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home.mkdir()
    environment = os.environ | {"PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    with (home / "server.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        wait_for(port)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        server.terminate()
        server.wait()


def wait_for(port: int) -> None:
    """Wait until something listens."""
    for _ in range(2000):
        with closing(socket.socket()) as door:
            if door.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    raise SystemExit("the Prefect server did not come up")


def main() -> None:
    """Fill an inbox and see what becomes of it."""
    parser = options(__doc__ or "")
    parser.add_argument("--recordings", type=int, default=2000)
    parser.add_argument("--bad", type=float, default=0.05, help="share of them")
    parser.add_argument("--endless", type=int, default=0, help="of the bad ones so many that take too long")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--keep", type=Path, help="a new folder for all of it, which stays")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data = (chosen.keep or Path(temporary, "soak")).absolute()
        fill(data / "inbox", chosen.recordings, round(chosen.recordings * chosen.bad), chosen.endless)
        with prefect_server(data / "prefect") as api:
            told = {
                "PREFECT_API_URL": api,
                "PREFECT_HOME": str(data / "prefect"),
                "ECTOPY_DATA_DIR": str(data),
            }
            environment = {**RULES, **told, "ECTOPY_WORKERS": str(chosen.workers)}
            figures = soak(data, chosen.recordings, chosen.kills, environment)
    report("soak", figures, chosen.json)


if __name__ == "__main__":
    main()
