"""Each scoring batch as a run of MLflow; an event where its patients differ from those learned from."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from ectopy.batch import planning, provenance, results
from ectopy.monitoring import batch_summary
from ectopy.registry import runs
from ectopy.settings import load_settings

logger = logging.getLogger(__name__)

DRIFTED = "ectopy.batch.drifted"
"""The event. Its resource bears ``ectopy.on-drift``, the setting, which the trigger of `train` looks for."""


@dataclass(frozen=True)
class Memory:
    """Where batches are kept: the experiment, and the tracking store if it is not that of the settings."""

    experiment: str = "ectopy-score"
    tracking_uri: str | None = None


USUAL = Memory()


def log_new_batch(
    rows: Sequence[results.SummaryRow], out: Path, model: Path, memory: Memory, *, time_s: float
) -> None:
    """Keep what a batch came to, if anything in it was new; a store that does not answer costs no results."""
    if any(row["status"] != "skipped" for row in rows):
        log_batch(rows, out, model, memory, time_s, return_state=True)


@task(task_run_name="log batch", cache_policy=NO_CACHE, retries=3, retry_delay_seconds=10)
def log_batch(
    rows: Sequence[results.SummaryRow], out: Path, model: Path, memory: Memory, time_s: float
) -> None:
    """Log a batch as a run, and say so where it has drifted."""
    settings, classify = load_settings(), planning.load_model(model)
    told = provenance.model_provenance(model)
    summed = batch_summary.summarise_batch(rows, out, model=told, reference=classify.reference, time_s=time_s)
    runs.connect(memory.tracking_uri or settings.tracking_uri, memory.experiment)
    run_id = runs.log_batch(summed, index=out / "index.html")
    if summed.drifted:
        logger.warning("%s: %s", classify.name, summed.verdict)
        emit_event(
            DRIFTED,
            resource={
                "prefect.resource.id": f"ectopy.batch.{run_id}",
                "prefect.resource.name": classify.name,
                "ectopy.on-drift": settings.on_drift,
            },
            payload={"verdict": summed.verdict, "run": run_id, "results": str(out)},
        )
