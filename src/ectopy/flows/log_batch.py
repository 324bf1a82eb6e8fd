"""Log each scoring batch as an MLflow run; emit an event if the batch has drifted."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.events import emit_event

from ectopy.batch import results
from ectopy.monitoring import batch_summary, drift
from ectopy.registry import runs
from ectopy.settings import load_settings

logger = logging.getLogger(__name__)

DRIFTED = "ectopy.batch.drifted"
"""Name of the event. Its resource states ``ectopy.on-drift``, which the trigger of `train` checks."""


@dataclass(frozen=True)
class Tracking:
    """Where batches are logged: the experiment, and the tracking store if it is not that of the settings."""

    experiment: str = "ectopy-score"
    tracking_uri: str | None = None


DEFAULT_TRACKING = Tracking()


def log_new_batch(  # noqa: PLR0913 - all of them small values
    rows: Sequence[results.SummaryRow],
    out: Path,
    origin: Mapping[str, str],
    reference: drift.ReferenceProfile | None,
    tracking: Tracking,
    *,
    time_s: float,
) -> str:
    """Log a batch if anything in it is new; a store that does not answer does not cost the results.

    Parameters
    ----------
    rows
        The rows of the summary.
    out
        The folder of results.
    origin
        The model and the criteria, see :func:`ectopy.batch.provenance.batch_provenance`.
    reference
        The training patients of the model, if it has them.
    tracking
        Where the batch is logged.
    time_s
        How long the batch took, in seconds.

    Returns
    -------
    Id of the run; "" if there is none.
    """
    if not any(row["status"] != "skipped" for row in rows):
        return ""
    state = log_batch(rows, out, origin, reference, tracking, time_s, return_state=True)
    return str(state.result()) if state.is_completed() else ""


def _at_most_three(_task: object, run: TaskRun, _state: object) -> bool:
    return run.run_count <= 3


# Prefect prints a traceback when its own number of retries is used up.
@task(
    task_run_name="log batch",
    cache_policy=NO_CACHE,
    retries=4,
    retry_delay_seconds=10,
    retry_condition_fn=_at_most_three,
)
def log_batch(  # noqa: PLR0913, PLR0917 - all of them small values
    rows: Sequence[results.SummaryRow],
    out: Path,
    origin: Mapping[str, str],
    reference: drift.ReferenceProfile | None,
    tracking: Tracking,
    time_s: float,
) -> str:
    """Log a batch as a run, and emit an event if it has drifted.

    Parameters
    ----------
    rows
        The rows of the summary.
    out
        The folder of results.
    origin
        The model and the criteria, see :func:`ectopy.batch.provenance.batch_provenance`.
    reference
        The training patients of the model, if it has them.
    tracking
        Where the batch is logged.
    time_s
        How long the batch took, in seconds.

    Returns
    -------
    Id of the run.
    """
    settings = load_settings()
    batch = batch_summary.summarise_batch(rows, out, origin=origin, reference=reference, time_s=time_s)
    runs.connect(tracking.tracking_uri or settings.tracking_uri, tracking.experiment)
    run_id = runs.log_batch(batch, index=out / "index.html")
    if batch.drifted:
        logger.warning("%s: %s", origin["model"], batch.verdict)
        emit_event(
            DRIFTED,
            resource={
                "prefect.resource.id": f"ectopy.batch.{run_id}",
                "prefect.resource.name": origin["model"],
                "ectopy.on-drift": settings.on_drift,
            },
            payload={"verdict": batch.verdict, "run": run_id, "results": str(out)},
        )
    return run_id
