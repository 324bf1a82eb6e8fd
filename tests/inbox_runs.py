"""Runs of an inbox without Prefect: in this process, or as a process that can be killed."""

import os
import subprocess
import sys
from pathlib import Path

from ectopy.batch import results
from ectopy.batch.inbox import InboxPolicy, open_inbox, score_new
from ectopy.batch.planning import Job, ScoreOptions
from ectopy.batch.results import SummaryRow
from ectopy.parallel.worker_pool import WorkerPool

AT_ONCE = InboxPolicy(settle_s=0, incomplete_timeout_s=0)
"""Score at once, and give up at once."""


def outcome(job: Job) -> SummaryRow | Exception:
    try:
        return score_new(job)
    except Exception as error:  # noqa: BLE001 - as a Prefect task returns it
        return error


def die_reading(out: Path, name: str) -> None:
    """Leave what a process leaves that is killed while it reads a recording."""
    if (child := os.fork()) == 0:
        with results.reading(out, name):
            os._exit(9)
    os.waitpid(child, 0)


def run(
    inbox: Path | str, out: Path, options: ScoreOptions, policy: InboxPolicy = AT_ONCE
) -> list[SummaryRow]:
    """Run an inbox as the flow does, one recording after the other."""
    with open_inbox(inbox, out, policy, options) as opened:
        for job in opened.plan():
            opened.record_outcome(job, outcome(job))
        return opened.finish()


def start(inbox: Path, out: Path, model: Path) -> subprocess.Popen[str]:
    """Start a run in a process of its own, which starts one worker process."""
    command = [sys.executable, "-m", "tests.inbox_runs", str(inbox), str(out), str(model)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def main() -> None:
    inbox, out, model = map(Path, sys.argv[1:])
    with open_inbox(inbox, out, AT_ONCE, ScoreOptions(model)) as opened, WorkerPool(1) as processes:
        for job in opened.plan():
            opened.record_outcome(job, processes.call(score_new, job))
        sys.stdout.write(f"{len(opened.finish())}\n")


if __name__ == "__main__":
    main()
