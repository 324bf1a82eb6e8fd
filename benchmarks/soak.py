"""Stress test of the inbox: some recordings are broken, and the run is killed again and again.

``uv run python benchmarks/soak.py --recordings 2000 --kills 10`` simulates recordings of a minute, 5 % of
them broken in the ways of :data:`BROKEN`. It starts ``score_inbox``, kills it or one of its processes, and
starts it again until no recording is waiting. The result must have ``lost`` 0 and ``scored_twice`` 0.

``uv run python benchmarks/soak.py --recordings 600 --power-cuts 20`` kills all processes of ``ectopy up`` at
once instead: servers, worker and run. Then it starts ``ectopy up`` again. ``slowest_s`` is the longest time
from a start to the next result; it must be below 600.
"""

import json
import os
import random
import shutil
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
    """Write a minute of one of the patients, made unique by a random start and gain."""
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
    """Truncate the signals, as an interrupted copy does."""
    os.truncate(header.with_suffix(".dat"), 20_001)


def without_signals(header: Path) -> None:
    """Remove the signals."""
    header.with_suffix(".dat").unlink()


def empty(header: Path) -> None:
    """Empty the header."""
    header.write_bytes(b"")


def garbage(header: Path) -> None:
    """Write random bytes into the header."""
    header.write_bytes(random.Random(0).randbytes(500))  # noqa: S311


def outside(header: Path) -> None:
    """Write a header that names a file outside its folder."""
    write_header(header, "../../../etc/passwd", 360, 21_600)


def too_many_leads(header: Path) -> None:
    """Write a header with a million leads."""
    header.write_text(f"{header.stem} 1000000 360 21600\n")


def instead(suffix: str, content: bytes) -> Callable[[Path], None]:
    """Return a function that replaces the recording by a broken file of another format."""

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
    """Write a recording of 90 days as a sparse file: scoring takes longer than the limit."""
    n_samples = 90 * 86_400 * 360
    os.truncate(header.with_suffix(".dat"), n_samples * 4)
    write_header(header, header.with_suffix(".dat").name, 360, n_samples)


def fill(inbox: Path, n: int, n_broken: int, n_endless: int) -> None:
    """Write recordings into the inbox, the broken ones at random places."""
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
    """Observer of a run: when each result was written, and the peak of memory."""

    scored: Path
    first_seen: dict[str, tuple[int, int]] = field(default_factory=dict)
    twice: set[str] = field(default_factory=set)
    peak_mb: float = 0.0

    def look(self) -> int:
        """Check the results: a recording whose file was replaced was scored twice."""
        with os.scandir(self.scored) as entries:
            names = [entry.name for entry in entries if entry.is_dir() and entry.name[0] != "."]
        for name in names:
            with suppress(FileNotFoundError):  # it is being replaced: the next look sees the new file
                stat = (self.scored / name / "summary.json").stat()
                version = (stat.st_ino, stat.st_mtime_ns)
                if self.first_seen.setdefault(name, version) != version:
                    self.twice.add(name)
        return len(names)


def soak(data: Path, n: int, n_kills: int, environment: dict[str, str]) -> dict[str, object]:
    """Run until no recording waits, and kill the run ``n_kills`` times, after equal parts of the work."""
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


def cut_power_often(
    root: Path, data: Path, n: int, n_cuts: int, environment: dict[str, str]
) -> dict[str, object]:
    """Run the whole stack, and cut its power again and again: while it scores, sometimes earlier."""
    chance = random.Random(0)  # noqa: S311
    ports = [str(free_port()) for _ in range(2)]
    command = [str(Path(sys.executable).with_name("ectopy")), "up"]
    command += ["--prefect-port", ports[0], "--mlflow-port", ports[1]]
    (data / "scored").mkdir()
    watch, cuts, waits_s = Watch(data / "scored"), Counter[str](), [0.0]
    begun = time.perf_counter()
    while cuts.total() <= n_cuts:
        with (root / "up.log").open("a") as log:
            up = psutil.Popen(command, cwd=root, env=os.environ | environment, stdout=log, stderr=log)
        before, started, last = watch.look(), time.perf_counter(), cuts.total() == n_cuts
        if not last and chance.random() < 1 / 4:
            time.sleep(chance.uniform(0, 40))
            moment = "while it started"
        else:
            while watch.look() == before and unfinished(data, n):
                watch.peak_mb = max(watch.peak_mb, memory_of(up) / 2**20)
                if up.poll() is not None or time.perf_counter() - started > 900:
                    raise SystemExit(f"ectopy up did not go on with the inbox. Read {root / 'up.log'}.")
                time.sleep(0.2)
            waits_s.append(time.perf_counter() - started)
            moment = "while it scored"
        if last:
            break
        time.sleep(chance.uniform(0, 2))
        cut_power(up)
        cuts[moment] += 1
        watch.look()
    while unfinished(data, n):
        watch.look()
        time.sleep(LOOK_EVERY_S)
    up.terminate()
    up.wait()
    watch.look()
    return {
        "power_cuts": dict(cuts),
        "slowest_s": round(max(waits_s)),
        "minutes": round((time.perf_counter() - begun) / 60, 1),
        "peak_mb": round(watch.peak_mb),
        **ends(data, n),
        "scored_twice": len(watch.twice),
    }


def unfinished(data: Path, n: int) -> bool:
    """Check whether a recording has neither been scored nor put away."""
    return not (data / "scored" / ".inbox.db").is_file() or bool(ends(data, n)["lost"] or left(data))


def cut_power(up: psutil.Process) -> None:
    """Kill a process and all its descendants at once: they are stopped first, so that none starts another."""
    family = [up, *up.children(recursive=True)]
    for signal_number in (signal.SIGSTOP, signal.SIGKILL):
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal_number)
        with suppress(psutil.NoSuchProcess):
            family = [*family, *up.children(recursive=True)]
    psutil.wait_procs(family, timeout=30)


def make_project(root: Path) -> None:
    """Copy what `ectopy up` needs of a clone, with a run of the inbox every 30 seconds."""
    clone = Path(__file__).resolve().parent.parent
    shutil.copytree(clone / "flows", root / "flows")
    deployments = (clone / "prefect.yaml").read_text()
    (root / "prefect.yaml").write_text(deployments.replace("interval: 600", "interval: 30"))


def kill(run: psutil.Process, chance: random.Random) -> str:
    """Kill the run, or in one of three cases one of its scoring processes."""
    scoring = [child for child in run.children() if "spawn_main" in " ".join(child.cmdline())]
    if scoring and chance.random() < 1 / 3:
        chance.choice(scoring).send_signal(signal.SIGKILL)
        return "a process that scores"
    run.send_signal(signal.SIGKILL)
    return "the run"


def left(data: Path) -> int:
    """Count the recordings that wait."""
    with open_ledger(data / "scored") as ledger:
        return len(ledger.entries(Status.WAITING, Status.BAD))


def ends(data: Path, n: int) -> dict[str, object]:
    """Count the recordings by how they ended."""
    whole = {
        path.parent.name
        for path in (data / "scored").glob("[!.]*/summary.json")
        if json.loads(path.read_text())
    }
    with open_ledger(data / "scored") as ledger:
        away = {entry.name: entry.reason for entry in ledger.entries(Status.QUARANTINED)}
        others = {Path(entry.path).stem for entry in ledger.entries(Status.OTHER)}
    names = {f"r{number:05d}" for number in range(n)}
    reasons = Counter(reason.partition(": ")[2] or reason for reason in away.values())
    return {
        "recordings": n,
        "scored": len(whole),
        "quarantined": len(away),
        "left_as_no_recording": len(others - whole - away.keys()),
        "lost": len(names - whole - away.keys() - others),
        "reasons": dict(reasons.most_common()),
    }


@contextmanager
def prefect_server(home: Path) -> "Iterator[str]":
    """Start a Prefect server for all runs, and return its address."""
    port = free_port()
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


def free_port() -> int:
    """Find a port that is free."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(port: int) -> None:
    """Wait until a server listens on a port."""
    for _ in range(2000):
        with closing(socket.socket()) as door:
            if door.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    raise SystemExit("The Prefect server did not start. Read server.log in the folder of --keep.")


def main() -> None:
    """Fill an inbox, run the stress test, and report it."""
    parser = options(__doc__ or "")
    parser.add_argument("--recordings", type=int, default=2000)
    parser.add_argument("--bad", type=float, default=0.05, help="fraction of broken recordings")
    parser.add_argument(
        "--endless", type=int, default=0, help="number of broken recordings that take too long"
    )
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--power-cuts", type=int, default=0, help="cut the power of the whole stack instead")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--keep", type=Path, help="a new folder for all files, which is not deleted")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data = (chosen.keep or Path(temporary, "soak")).absolute()
        fill(data / "inbox", chosen.recordings, round(chosen.recordings * chosen.bad), chosen.endless)
        environment = {
            **RULES,
            "ECTOPY_DATA_DIR": str(data),
            "ECTOPY_WORKERS": str(chosen.workers),
            "PREFECT_HOME": str(data / "prefect"),
        }
        if chosen.power_cuts:
            make_project(root := data / "project")
            metrics = cut_power_often(root, data, chosen.recordings, chosen.power_cuts, environment)
        else:
            with prefect_server(data / "prefect") as api:
                environment["PREFECT_API_URL"] = api
                metrics = soak(data, chosen.recordings, chosen.kills, environment)
    report("soak", metrics, chosen.json)


if __name__ == "__main__":
    main()
