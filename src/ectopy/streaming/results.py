"""The results of what was played: those that ``ectopy score`` writes with the same streaming model."""

from dataclasses import replace
from pathlib import Path

from ectopy.batch.planning import ScoreOptions, plan
from ectopy.batch.results import SummaryRow, lock_output, write_summary
from ectopy.batch.runner import score_one, score_or_fail


def write_results(
    recording: Path, out: Path, options: ScoreOptions, *, stop: int | None = None
) -> SummaryRow:
    """Score a recording into a folder of results.

    Parameters
    ----------
    recording
        The file that was played, or the record of what came.
    out
        The folder of results.
    options
        How it is scored; its model is the streaming model.
    stop
        The number of samples that were played, if it was not played to its end.

    Returns
    -------
    The row of the summary.
    """
    with lock_output(out):
        (job,) = plan([recording], out, options)
        row = score_or_fail(score_one, replace(job, stop=stop))
        write_summary(out, [row])
    return row
