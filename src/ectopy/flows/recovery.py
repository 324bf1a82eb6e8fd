"""After a power cut, end in Prefect what it interrupted, and go on with the inbox.

``python -m ectopy.flows.recovery POOL`` does this; no worker may serve the pool. Without it, interrupted runs
would stay "running" for ever, and all runs that came due meanwhile would start at once.
"""

import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

_IN_PROGRESS = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]


def end_interrupted_runs(client: SyncPrefectClient, pool: str) -> None:
    """Mark the runs of a worker that is gone as crashed, and remove the scheduled ones that came due.

    Parameters
    ----------
    client
        The client of the Prefect server.
    pool
        The work pool, which no worker serves now.
    """
    for run in _runs(client, pool, _IN_PROGRESS):
        client.set_flow_run_state(run.id, Crashed(message="The machine or its worker stopped."), force=True)
    for run in _runs(client, pool, [StateType.SCHEDULED]):
        if run.auto_scheduled:  # one that a person started still waits
            client.delete_flow_run(run.id)


def start_deployment(client: SyncPrefectClient, name: str) -> None:
    """Start a run of a deployment as soon as there is a worker.

    Parameters
    ----------
    client
        The client of the Prefect server.
    name
        The name of the deployment, with that of its flow. Nothing happens if it does not exist.
    """
    with suppress(ObjectNotFound):
        client.create_flow_run_from_deployment(client.read_deployment_by_name(name).id)


def _runs(client: SyncPrefectClient, pool: str, states: list[StateType]) -> Iterator[FlowRun]:
    chosen: dict[str, Any] = {
        "work_pool_filter": WorkPoolFilter(name=WorkPoolFilterName(any_=[pool])),
        "flow_run_filter": FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=states)),
            expected_start_time=FlowRunFilterExpectedStartTime.model_validate({"before_": datetime.now(UTC)}),
        ),
    }
    runs: list[FlowRun] = []
    while page := client.read_flow_runs(**chosen, offset=len(runs)):
        runs += page
    yield from runs


if __name__ == "__main__":
    with get_client(sync_client=True) as client:
        end_interrupted_runs(client, sys.argv[1])
        start_deployment(client, "score-inbox/score-inbox")  # recordings may have waited
