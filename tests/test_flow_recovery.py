"""What is done in Prefect after a power cut, and runs that find another one at work."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from prefect import flow, runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.objects import State
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.states import Completed, Pending, Running, Scheduled

from ectopy.batch.results import BusyError, lock_folder
from ectopy.datasets.simulate import simulate_database
from ectopy.flows.recovery import end_interrupted_runs, start_deployment
from ectopy.flows.train import train

pytestmark = pytest.mark.usefixtures("prefect_harness")


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def pool(client: SyncPrefectClient, request: pytest.FixtureRequest) -> str:
    name = f"pool-{abs(hash(request.node.name))}"
    client.create_work_pool(WorkPoolCreate(name=name, type="process"))
    return name


@flow
def inbox() -> None:
    """Do nothing; it stands for the flow of the inbox."""


@pytest.fixture
def deployment(client: SyncPrefectClient, pool: str) -> UUID:
    every = DeploymentScheduleCreate(schedule=IntervalSchedule(interval=timedelta(minutes=10)))
    return client.create_deployment(
        client.create_flow(inbox), name=pool, work_pool_name=pool, schedules=[every]
    )


def states(client: SyncPrefectClient, deployment: UUID) -> list[str]:
    runs = client.read_flow_runs()
    return sorted(str(run.state_name) for run in runs if run.deployment_id == deployment)


class TestRecovery:
    @pytest.mark.parametrize("state", [Running(), Pending()])
    def test_a_run_that_was_interrupted_is_said_to_have_crashed(
        self, client: SyncPrefectClient, pool: str, deployment: UUID, state: State
    ) -> None:
        client.create_flow_run_from_deployment(deployment, state=state)
        end_interrupted_runs(client, pool)
        assert states(client, deployment) == ["Crashed"]

    def test_runs_of_the_schedule_that_came_due_meanwhile_do_not_all_start_now(
        self, client: SyncPrefectClient, pool: str, deployment: UUID
    ) -> None:
        now = datetime.now(UTC)
        span = {"start_time": str(now - timedelta(hours=1)), "end_time": str(now + timedelta(minutes=15))}
        client.request("POST", "/deployments/{id}/schedule", path_params={"id": deployment}, json=span)
        assert len(states(client, deployment)) in {7, 8}
        end_interrupted_runs(client, pool)
        assert states(client, deployment) in (["Scheduled"], ["Scheduled"] * 2)  # those to come

    def test_what_a_person_has_started_and_what_is_done_stays(
        self, client: SyncPrefectClient, pool: str, deployment: UUID
    ) -> None:
        for state in (Scheduled(scheduled_time=datetime.now(UTC)), Completed()):
            client.create_flow_run_from_deployment(deployment, state=state)
        end_interrupted_runs(client, pool)
        assert states(client, deployment) == ["Completed", "Scheduled"]

    def test_runs_of_other_pools_are_not_touched(self, client: SyncPrefectClient, deployment: UUID) -> None:
        client.create_flow_run_from_deployment(deployment, state=Running())
        end_interrupted_runs(client, "another")
        assert states(client, deployment) == ["Running"]

    def test_the_inbox_goes_on_at_once_if_it_is_deployed(
        self, client: SyncPrefectClient, pool: str, deployment: UUID
    ) -> None:
        start_deployment(client, "inbox/not-deployed")
        start_deployment(client, f"inbox/{pool}")
        assert states(client, deployment) == ["Scheduled"]


class TestTwoAtOnce:
    def test_no_deployment_has_a_limit_whose_slot_a_power_cut_would_keep(self) -> None:
        deployments = yaml.safe_load(Path("prefect.yaml").read_text())["deployments"]
        assert [each["name"] for each in deployments if "concurrency_limit" in each] == []

    @pytest.fixture
    def busy(self, tmp_path: Path) -> Iterator[dict[str, Any]]:
        simulate_database(tmp_path, recordings=8, minutes=0.2, seed=0)
        work = tmp_path / "training" / "simdb"
        work.mkdir(parents=True)
        with lock_folder(work):
            yield {
                "database": "simdb",
                "data_dir": tmp_path,
                "tracking_uri": f"sqlite:///{tmp_path}/mlflow.db",
            }

    def test_a_person_who_trains_beside_a_training_is_told_so(
        self, busy: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        with pytest.raises(BusyError, match=r"training/simdb: another run is writing"):
            train(**busy)
        assert "The parameter `database` goes in version 0.4" in caplog.text  # the name of version 0.2

    def test_a_scheduled_training_is_then_skipped_which_starts_no_evaluation(
        self, busy: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(runtime.deployment, "id", "a-deployment", raising=False)
        state = train(**busy, return_state=True)
        assert state.is_completed()
        assert state.name == "Skipped"  # the deployment `evaluate` waits for the event of "Completed"
        triggers = Path("prefect.yaml").read_text()
        assert "prefect.flow-run.Completed" in triggers
