"""Runs of an inbox without Prefect: in this process, or as a process that can be killed."""

import subprocess
import sys
from pathlib import Path

from ectopy.batch.inbox import InboxPolicy, open_inbox, score_new
from ectopy.batch.planning import Job, ScoreOptions
from ectopy.batch.results import SummaryRow
from ectopy.parallel.worker_pool import WorkerPool

AT_ONCE = InboxPolicy(settle_s=0, incomplete_timeout_s=0)
"""Nothing is waited for."""


def outcome(job: Job) -> SummaryRow | Exception:
    try:
        return score_new(job)
    except Exception as error:  # noqa: BLE001 - as a task of Prefect gives it
        return error


def run(inbox: Path | str, out: Path, how: ScoreOptions, rules: InboxPolicy = AT_ONCE) -> list[SummaryRow]:
    """Do what the flow does, one recording after the other."""
    with open_inbox(inbox, out, rules) as arrived:
        for job in arrived.plan(how):
            arrived.record_outcome(job, outcome(job))
        return arrived.finish()


def start(inbox: Path, out: Path, model: Path) -> subprocess.Popen[str]:
    """Start a run in a process of its own, which has one more that scores."""
    command = [sys.executable, "-m", "tests.inbox_runs", str(inbox), str(out), str(model)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def main() -> None:
    inbox, out, model = map(Path, sys.argv[1:])
    with open_inbox(inbox, out, AT_ONCE) as arrived, WorkerPool(1) as processes:
        for job in arrived.plan(ScoreOptions(model)):
            arrived.record_outcome(job, processes.call(score_new, job))
        sys.stdout.write(f"{len(arrived.finish())}\n")


if __name__ == "__main__":
    main()
