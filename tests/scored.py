"""Score recordings in this process, for the tests of what comes after."""

from collections.abc import Iterable
from pathlib import Path

from ectopy.batch import planning, results, runner
from ectopy.batch.planning import ScoreOptions
from tests.small import Here


def scored(recordings: Iterable[Path], out: Path, options: ScoreOptions) -> Path:
    """Score recordings as the command does, and return the folder of results."""
    with results.lock_output(out):
        rows = list(runner.run(planning.plan(recordings, out, options), Here()))
        results.write_summary(out, rows)
    return out
