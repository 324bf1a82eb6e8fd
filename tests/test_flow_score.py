"""The flow that scores: a task a recording, one that fails stops nobody, what is done is no task."""

import csv
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey, FlowRunFilter, FlowRunFilterId
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, temporary_settings

from ectopy.batch.planning import NothingToScoreError
from ectopy.batch.results import lock_output
from ectopy.flows import log_batch
from ectopy.flows.score import score, score_inbox
from ectopy.flows.task_runners import one_server
from ectopy.model.classifier import ModelError
from ectopy.monitoring.batch_summary import BatchSummary
from tests.small import signal_of, write_model, write_record

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

pytestmark = pytest.mark.usefixtures("prefect_harness")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_model(tmp_path_factory.mktemp("models") / "normal"))


@pytest.fixture(autouse=True)
def data(tmp_path: Path, tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ECTOPY_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ECTOPY_TRACKING_URI", tracking_uri)
    monkeypatch.setenv("ECTOPY_WORKERS", "2")
    return tmp_path / "data"


def statuses(out: Path) -> dict[str, str]:
    with (out / "summary.csv").open(newline="") as file:
        return {row["recording"]: row["status"] for row in csv.DictReader(file)}


def run_of(state: "State[Any]") -> FlowRunFilter:
    run = state.state_details.flow_run_id
    assert isinstance(run, UUID)
    return FlowRunFilter(id=FlowRunFilterId(any_=[run]))


def tasks(state: "State[Any]", n: int) -> dict[str, str]:
    """Wait until a run has ``n`` ended tasks; give the state of each by its name."""
    deadline = time.monotonic() + 30
    with get_client(sync_client=True) as client:
        while True:
            runs = client.read_task_runs(flow_run_filter=run_of(state))
            runs = [run for run in runs if not run.name.startswith(("log batch", "record "))]
            ended = {run.name: run.state_name or "" for run in runs if run.state and run.state.is_final()}
            if len(ended) == n or time.monotonic() > deadline:
                return ended
            time.sleep(0.1)


def table(state: "State[Any]") -> list[dict[str, object]]:
    """Give the table that a run leaves in Prefect."""
    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["scored-recordings"]))
        (artifact,) = client.read_artifacts(artifact_filter=wanted, flow_run_filter=run_of(state))
    rows: list[dict[str, object]] = json.loads(str(artifact.data))
    return rows


def page_of_inbox() -> str:
    """Return the state of the inbox, of which there is one page."""
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["inbox"]))
    with get_client(sync_client=True) as client:
        (artifact,) = client.read_artifacts(artifact_filter=wanted)
    return str(artifact.data)


def test_a_failed_recording_is_a_failed_task_and_the_others_are_scored(tmp_path: Path, model: str) -> None:
    for name in ("a", "b", "c"):
        write_record(tmp_path / "in", name)
    os.truncate(tmp_path / "in" / "b.dat", 10)
    state = score([str(tmp_path / "in")], tmp_path / "out", model=model, return_state=True)
    assert state.is_completed()
    assert statuses(tmp_path / "out") == {"a": "scored", "b": "failed", "c": "scored"}
    assert tasks(state, 3) == {"a": "Completed", "b": "Failed", "c": "Completed"}
    shown = {str(row["recording"]): row for row in table(state)}
    assert (
        shown["b"]["reason"]
        == f"{tmp_path / 'in' / 'b.dat'}: the file has 10 bytes, but its header describes 60000. Copy the complete file again."
    )
    assert shown["a"]["status"] == "scored"
    assert next(iter(shown)) == "b"  # what failed comes first
    assert Path(str(shown["a"]["report"])).is_file()


def test_a_run_repeated_has_no_task_and_still_shows_its_table(tmp_path: Path, model: str) -> None:
    write_record(tmp_path / "in")
    for _ in range(2):
        state = score([str(tmp_path / "in")], tmp_path / "out", model=model, return_state=True)
    assert statuses(tmp_path / "out") == {"r": "skipped"}
    assert [row["status"] for row in table(state)] == ["skipped"]
    assert tasks(state, 0) == {}


def test_the_flow_and_the_inbox_share_a_cache(
    tmp_path: Path, data: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_record(data / "inbox")
    score([str(data / "inbox")], tmp_path / "flow", model=model, cache=tmp_path / "cache")
    (entry,) = (tmp_path / "cache" / "ectopy-prepared").iterdir()
    os.utime(entry, (1, 1))
    monkeypatch.setenv("ECTOPY_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("ECTOPY_INBOX_QUIET_S", "0")
    (row,) = score_inbox(model=model)
    assert row["status"] == "scored"
    assert list(entry.parent.iterdir()) == [entry]
    assert entry.stat().st_mtime > 1  # it was used


def test_the_flow_writes_what_the_command_writes(tmp_path: Path, model: str) -> None:
    from ectopy import cli

    header = write_record(tmp_path / "in")
    score([str(header)], tmp_path / "flow", model=model)
    with pytest.raises(SystemExit, match="0"):
        cli.main(["score", str(header), "--out", str(tmp_path / "command"), "--model", model])
    for name in ("summary.csv", "r/summary.json", "r/events.csv", "r/r.ectopy"):
        assert (tmp_path / "flow" / name).read_bytes() == (tmp_path / "command" / name).read_bytes()


def test_nothing_to_score_fails_the_run(tmp_path: Path, model: str) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(NothingToScoreError, match="no recording found in 0 files"):
        score([str(tmp_path / "in")], tmp_path / "out", model=model)


def test_a_model_that_cannot_be_used_fails_the_run_and_not_each_recording(tmp_path: Path) -> None:
    write_record(tmp_path / "in")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"not a model directory \(no model\.onnx\)"):
        score([str(tmp_path / "in")], tmp_path / "out", model=str(tmp_path / "empty"))
    assert not (tmp_path / "out").exists()


def test_a_search_takes_tables_of_bare_numbers_where_their_rate_is_given(tmp_path: Path, model: str) -> None:
    (tmp_path / "in").mkdir()
    rows = "\n".join(f"{value:.3f}" for value in signal_of(seed=0)[:, 0] / 200)
    (tmp_path / "in" / "bare.csv").write_text(rows + "\n")
    (row,) = score([str(tmp_path / "in")], tmp_path / "out", model=model, fs=360.0, workers=1)
    assert (row["recording"], row["status"]) == ("bare", "scored")


def test_a_flow_takes_the_unit_of_files_that_have_none(tmp_path: Path, model: str) -> None:
    header = write_record(tmp_path / "in")
    header.write_text(header.read_text().replace("1000/mV", "1000/adu"))
    (row,) = score([str(tmp_path / "in")], tmp_path / "out", model=model, unit="mV", workers=1)
    assert row["notes"] == "leads MLII, V1 are read in mV, as given: the file has no known unit"


@pytest.mark.parametrize("way", ["form", "setting"])
def test_the_flows_take_the_criteria_of_a_study(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    study = tmp_path / "study.toml"
    study.write_text("tachycardia_bpm = 60\n")
    form = study if way == "form" else None
    if way == "setting":
        monkeypatch.setenv("ECTOPY_CRITERIA", str(study))
    monkeypatch.setenv("ECTOPY_INBOX_QUIET_S", "0")
    write_record(tmp_path / "in")
    score([str(tmp_path / "in")], tmp_path / "flow", model=model, workers=1, criteria=form)
    score_inbox(str(tmp_path / "in"), tmp_path / "inbox", model, criteria=form)
    for out in ("flow", "inbox"):
        assert "\ntachycardia," in (tmp_path / out / "r" / "events.csv").read_text()
    assert [run.data.params["criteria"] for run in batches()[:2]] == ["tachycardia_bpm = 60.0"] * 2


def test_the_flows_take_diaries_and_the_setting_for_their_text(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = write_record(tmp_path / "in")
    (tmp_path / "in" / f"{header.stem}.diary.csv").write_text("time,text\n5,dizzy\n")
    named = tmp_path / "named.csv"
    named.write_text("time,text\n7,palpitations\n")
    score([str(header)], tmp_path / "flow", model=model, workers=1, diary=named, mark_text=True)
    monkeypatch.setenv("ECTOPY_MARK_TEXT", "true")
    monkeypatch.setenv("ECTOPY_INBOX_QUIET_S", "0")
    score_inbox(str(tmp_path / "in"), tmp_path / "inbox", model)
    marks = [
        json.loads((tmp_path / out / header.stem / "summary.json").read_text())["marks"]
        for out in ("flow", "inbox")
    ]
    assert [[(mark["time_s"], mark["text"]) for mark in of_one] for of_one in marks] == [
        [(7, "palpitations")],
        [(5, "dizzy")],
    ]


def test_criteria_that_cannot_be_used_fail_the_inbox_in_one_line(tmp_path: Path, model: str) -> None:
    study = tmp_path / "study.toml"
    study.write_text("tachycardia_bpm = 6\n")
    state = score_inbox(str(tmp_path), tmp_path / "out", model, criteria=study, return_state=True)
    assert state.is_failed()
    assert state.message == (
        f"{study}: tachycardia_bpm = 6 is out of bounds. Give 60 to 250 beats per minute."
    )


def batches() -> list[Any]:
    """The runs of the experiment of scoring, the newest first."""
    import mlflow

    return list(mlflow.search_runs(experiment_names=["ectopy-score"], output_format="list"))


class TestMemory:
    def test_a_batch_is_a_run_and_one_with_nothing_new_is_none(self, tmp_path: Path, model: str) -> None:
        write_record(tmp_path / "in", "a")
        write_record(tmp_path / "in", "b")
        os.truncate(tmp_path / "in" / "b.dat", 10)
        score([str(tmp_path / "in")], tmp_path / "out", model=model)
        newest, *before = batches()
        assert newest.info.run_name == "1 scored, 1 failed"
        assert newest.data.params["model"] == "small 1 (test)"
        assert newest.data.params["model_from"] == "given"
        assert newest.data.params["criteria"] == "defaults"
        assert newest.data.metrics["recordings/scored"] == 1
        assert newest.data.tags["index"] == str(tmp_path / "out" / "index.html")
        score([str(tmp_path / "in" / "a.hea")], tmp_path / "out", model=model)
        assert len(batches()) == len(before) + 1

    def test_a_store_that_does_not_answer_costs_no_results_and_a_line_for_each_try(
        self,
        tmp_path: Path,
        model: str,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        (tmp_path / "broken.db").write_text("no database")
        monkeypatch.setenv("ECTOPY_TRACKING_URI", f"sqlite:///{tmp_path}/broken.db")
        monkeypatch.setattr(log_batch, "log_batch", log_batch.log_batch.with_options(retry_delay_seconds=0))
        write_record(tmp_path / "in")
        state = score([str(tmp_path / "in")], tmp_path / "out", model=model, return_state=True)
        said = caplog.text + "".join(capfd.readouterr())
        assert "Retry 3/" in said
        assert "Retry 4/" not in said
        assert "Traceback" not in said
        assert state.is_completed()
        assert statuses(tmp_path / "out") == {"r": "scored"}

    @pytest.mark.parametrize("setting", ["warn", "train"])
    def test_drift_is_an_event_that_bears_the_setting(
        self, tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch, setting: str
    ) -> None:
        monkeypatch.setenv("ECTOPY_ON_DRIFT", setting)
        sent: list[dict[str, Any]] = []
        monkeypatch.setattr(
            log_batch, "emit_event", lambda event, **told: sent.append({"event": event, **told})
        )
        monkeypatch.setattr(BatchSummary, "drifted", property(lambda _: True))
        write_record(tmp_path / "in")
        score([str(tmp_path / "in")], tmp_path / "out", model=model)
        (event,) = sent
        run = batches()[0]
        assert event["event"] == "ectopy.batch.drifted"
        assert event["resource"]["prefect.resource.id"] == f"ectopy.batch.{run.info.run_id}"
        assert event["resource"]["ectopy.on-drift"] == setting
        assert event["payload"]["verdict"] == run.data.tags["drift"]

    def test_the_deployment_of_training_waits_for_that_event(self) -> None:
        import yaml  # Prefect brings it

        deployments = yaml.safe_load(Path("prefect.yaml").read_text())["deployments"]
        (trigger,) = next(each for each in deployments if each["name"] == "train")["triggers"]
        assert trigger["expect"] == [log_batch.DRIFTED]
        assert trigger["match"]["ectopy.on-drift"] == "train"


class TestInbox:
    @pytest.fixture(autouse=True)
    def at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ECTOPY_INBOX_QUIET_S", "0")
        monkeypatch.setenv("ECTOPY_INBOX_PATIENCE_S", "0")

    def test_an_inbox_that_does_not_exist_yet_is_made_and_empty(self, data: Path, model: str) -> None:
        assert score_inbox(model=model) == []
        assert (data / "inbox").is_dir()

    def test_what_arrives_is_scored_once(self, data: Path, model: str) -> None:
        write_record(data / "inbox", "first")
        assert [row["status"] for row in score_inbox(model=model)] == ["scored"]
        write_record(data / "inbox" / "monday", "second")
        assert [row["recording"] for row in score_inbox(model=model)] == ["second"]
        assert statuses(data / "scored") == {"first": "scored", "second": "scored"}

    def test_a_recording_still_being_copied_is_scored_when_it_is_whole(
        self, data: Path, model: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ECTOPY_INBOX_PATIENCE_S", "60")
        signals = write_record(data / "inbox").with_suffix(".dat")
        whole = signals.read_bytes()
        signals.write_bytes(whole[:1000])
        assert score_inbox(model=model) == []
        signals.write_bytes(whole)
        assert [row["status"] for row in score_inbox(model=model)] == ["scored"]

    def test_a_bad_one_is_a_failed_task_and_lies_in_quarantine(self, data: Path, model: str) -> None:
        write_record(data / "inbox", "a")
        os.truncate(write_record(data / "inbox", "b").with_suffix(".dat"), 10)
        state = score_inbox(model=model, return_state=True)
        assert state.is_completed()
        assert tasks(state, 2) == {"a": "Completed", "b": "Failed"}
        assert statuses(data / "scored") == {"a": "scored", "b": "failed"}
        assert len(list((data / "quarantine").glob("b.*/b.dat"))) == 1

    def test_one_that_takes_too_long_is_stopped_alone(
        self, data: Path, model: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ECTOPY_RECORDING_TIME_S", "5")
        os.truncate(write_record(data / "inbox", "z").with_suffix(".dat"), 8 * 10**9)  # a hole
        header = data / "inbox" / "z.hea"
        header.write_text(header.read_text().replace(" 15000\n", " 2000000000\n", 1))
        found = {str(row["recording"]): str(row["reason"]) for row in score_inbox(model=model)}
        assert found == {
            "z": "stopped: it took longer than the limit of 5 s. Raise the limit if this is expected."
        }

    def test_while_another_run_is_at_it_there_is_nothing_to_do(self, data: Path, model: str) -> None:
        write_record(data / "inbox")
        with lock_output(data / "scored"):
            assert score_inbox(model=model) == []
        assert [row["status"] for row in score_inbox(model=model)] == ["scored"]

    def test_the_page_of_the_inbox_is_that_of_the_last_run_whatever_it_came_to(
        self, data: Path, model: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ECTOPY_INBOX_PATIENCE_S", "60")
        write_record(data / "inbox", "a")
        write_record(data / "inbox", "b").with_suffix(".dat").unlink()
        score_inbox(model=model)
        page = page_of_inbox()
        assert f"# Inbox {data / 'inbox'}" in page
        assert "| 1 | 1 | 0 | 0 |" in " ".join(page.split())
        assert "b.hea" in page
        score_inbox(model=str(Path(model).parent / "gone"), return_state=True)
        assert "gone: model directory not found" in page_of_inbox()
        score_inbox(model=model)
        assert "## Waiting" in page_of_inbox()

    def test_what_waits_is_in_the_table_of_the_run(
        self, data: Path, model: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ECTOPY_INBOX_PATIENCE_S", "60")
        write_record(data / "inbox", "a").with_suffix(".dat").unlink()
        (data / "inbox" / "notes.md").write_text("Monday's")
        shown = table(score_inbox(model=model, return_state=True))
        assert [(Path(str(row["recording"])).name, row["status"]) for row in shown] == [
            ("a.hea", "waiting"),
            ("notes.md", "no recording"),
        ]
        assert all(str(row["reason"]).startswith("since 20") for row in shown)

    def test_expected_conditions_are_a_line_of_the_log_and_no_traceback(
        self, data: Path, model: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        os.truncate(write_record(data / "inbox", "short").with_suffix(".dat"), 10)
        write_record(data / "inbox", "whole")
        with lock_output(data / "scored"):
            score_inbox(model=model)
        state = score_inbox(model=str(Path(model).parent / "gone"), return_state=True)
        assert state.is_failed()
        assert "gone: model directory not found" in str(state.message)
        score_inbox(model=model)
        said = caplog.text + "".join(capfd.readouterr())
        assert "the file has 10 bytes, but its header describes 60000" in said
        assert "nothing to do" in said
        assert "Traceback" not in said

    def test_a_deferred_run_fails_with_the_cause_as_its_message(
        self, tmp_path: Path, data: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        write_record(data / "inbox", "a")
        broken = write_model(tmp_path / "broken")
        (broken / "model.onnx").write_bytes(b"noise")
        state = score_inbox(model=str(broken), return_state=True)
        assert state.is_failed()
        assert str(state.message).startswith(
            f"1 recording waits: {broken / 'model.onnx'}: not a complete ONNX"
        )
        assert "Traceback" not in "".join(capfd.readouterr())

    def test_the_champion_is_the_default_model(self, data: Path) -> None:
        write_model(data / "models" / "champion", name="small 3 (champion)")
        write_record(data / "inbox")
        assert [row["model"] for row in score_inbox()] == ["small 3 (champion)"]


class TestDask:
    """The same flow on workers of Dask: all scored once, as here."""

    @pytest.fixture(autouse=True)
    def quiet(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ECTOPY_INBOX_QUIET_S", "0")

    def test_a_worker_killed_half_way_costs_nothing(
        self, tmp_path: Path, data: Path, model: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from dask import config
        from distributed import LocalCluster

        monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__DAEMON", "False")
        names = [f"r{number}" for number in range(8)]
        for number, name in enumerate(names):
            write_record(data / "inbox", name, signal_of(seed=number))
        with (
            config.set({"distributed.worker.daemon": False}),
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        ):
            killer = threading.Thread(target=kill_one, args=(cluster, data / "scored"))
            killer.start()
            rows = score_inbox(model=model, runner=cluster.scheduler_address)
            killer.join()
        assert sorted(str(row["recording"]) for row in rows) == names
        # One that the killed worker had finished is found done when its task runs again.
        assert statuses(data / "scored").keys() == set(names)
        assert set(statuses(data / "scored").values()) <= {"scored", "skipped"}
        score([str(data / "inbox")], tmp_path / "here", model=model)
        for name in names:
            for file in ("summary.json", "events.csv", f"{name}.ectopy", "beats.parquet"):
                there, here = data / "scored" / name / file, tmp_path / "here" / name / file
                assert there.read_bytes() == here.read_bytes()


class TestOneServer:
    """A temporary Prefect server, which `ectopy score --runner dask` starts for all its workers."""

    def test_log_records_are_sent_before_it_stops(self, monkeypatch: pytest.MonkeyPatch) -> None:
        events: list[str] = []

        class Server:
            api_url = "http://127.0.0.1:9/api"

            def start(self, timeout: int) -> None:
                events.append(f"start within {timeout} s")

            def stop(self) -> None:
                events.append("stop")

        def drain() -> None:
            events.append(f"drain to {PREFECT_API_URL.value()}")

        monkeypatch.setattr("prefect.server.api.server.SubprocessASGIServer", Server)
        monkeypatch.setattr(APILogWorker, "drain_all", drain)
        with temporary_settings(restore_defaults={PREFECT_API_URL}), one_server():
            events.append("flow")
        assert events == ["start within 90 s", "flow", f"drain to {Server.api_url}", "stop"]


def kill_one(cluster: Any, out: Path) -> None:
    """Kill one of two workers as soon as two recordings are scored."""
    while len(list(out.glob("r*/summary.json"))) < 2:
        time.sleep(0.05)
    os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
