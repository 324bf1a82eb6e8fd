"""What docs/security.md promises of models, servers and Prefect; promises about files are kept in their tests."""

import ast
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from ectopy.batch import planning
from ectopy.batch.pseudonyms import Pseudonyms
from ectopy.flows import local_stack
from ectopy.flows.local_stack import Ports, addresses, deploy, run_local_stack, servers, worker
from ectopy.flows.score import score_inbox
from ectopy.flows.server_access import ServerAccess
from ectopy.model.classifier import SHIPPED_MODEL, load_classifier
from ectopy.registry import model_versions, runs
from ectopy.settings import Settings
from tests.small import write_model, write_record

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "flows").rglob("*.py")])
SALT, NAME = "a salt of the tests alone", "Doe_Jane-1960"


def names_in(source: Path) -> Iterator[str]:
    """Give what a file imports, and what it calls."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Call):
            yield ast.unparse(node.func)


class TestCode:
    def test_nothing_that_runs_what_it_reads_is_used_anywhere(self) -> None:
        dangerous = {
            "pickle",
            "cloudpickle",
            "dill",
            "joblib",
            "marshal",
            "shelve",
            "eval",
            "exec",
            "yaml.load",
            "os.system",
        }
        assert len(SOURCES) > 100
        assert [source.name for source in SOURCES if dangerous & set(names_in(source))] == []

    def test_arrays_are_read_without_objects_in_them(self) -> None:
        loads = [line for source in SOURCES for line in re.findall(r"np\.load\(.*", source.read_text())]
        assert loads
        assert [line for line in loads if "allow_pickle=False" not in line] == []

    def test_no_command_goes_through_a_shell(self) -> None:
        assert not any("shell=True" in source.read_text() for source in SOURCES)

    def test_only_the_services_module_listens_and_only_here(self) -> None:
        anywhere = re.compile(r"0\.0\.0\.0|\"::\"")
        assert [source.name for source in SOURCES if anywhere.search(source.read_text())] == []


class TestModels:
    def test_the_shipped_one_is_onnx_json_and_a_card(self) -> None:
        assert {path.suffix for path in SHIPPED_MODEL.iterdir()} == {".onnx", ".json", ".md"}

    def test_code_in_a_registered_model_is_not_run(self, tracking_uri: str, tmp_path: Path) -> None:
        # Whoever can write to the registry can put code there, which MLflow's own loading would run.
        trap, sprung = tmp_path / "trap", tmp_path / "sprung"
        (write_model(trap) / "card.md").write_text("# Trap\n")
        runs.connect(tracking_uri, "traps")
        with runs.run("trap"):
            model_versions.register(trap, model="trap", tags={})
        code = f"import pathlib; pathlib.Path({str(sprung)!r}).touch()\n"
        store = Path(tracking_uri.removeprefix("sqlite:///")).parent / "artifacts"
        (serving,) = [
            path for path in store.rglob("pyfunc.py") if "trap" in str(list(path.parent.rglob("*")))
        ]
        serving.write_text(code)
        (serving.parent / "python_model.pkl").write_bytes(
            b"cposix\nsystem\n(S'touch " + str(sprung).encode() + b"'\ntR."
        )
        fetched = model_versions.download_model("models:/trap@challenger", tracking_uri)
        classify: Any = planning.load_model(fetched)
        assert classify(np.zeros((3, len(classify.specification.features)), np.float32))[0].shape == (3, 4)
        assert classify.version_id == load_classifier(trap).version_id
        assert not sprung.exists()


ACCESS = ServerAccess("http://127.0.0.1:4200/api", "not-a-true-password")


def tracked(address: str) -> Settings:
    return Settings().model_copy(update={"tracking_uri": address})


class TestServers:
    def test_each_binds_to_this_machine_alone(self) -> None:
        for service in servers(tracked("sqlite:///x.db"), Ports()):
            assert service.command[service.command.index("--host") + 1] == "127.0.0.1"

    def test_a_worker_listens_nowhere(self) -> None:
        assert "--with-healthcheck" not in worker(Ports(), ACCESS).command

    def test_a_tracking_server_elsewhere_is_not_started_again_here(self) -> None:
        settings = tracked("http://127.0.0.1:5000")
        assert [service.name for service in servers(settings, Ports())] == ["Prefect server"]

    def test_a_store_s_password_is_neither_shown_nor_on_a_command_line(self) -> None:
        settings = tracked("postgresql://mlflow:secret@db/mlflow")
        told = [*addresses(settings, Ports(), ACCESS), *map(str, servers(settings, Ports()))]
        assert not any("secret" in line for line in told)

    def test_outside_of_a_clone_it_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"prefect\.yaml not found\. Run `ectopy up` in a clone"):
            run_local_stack(Settings(), Ports(), tmp_path)

    def test_an_installation_that_is_older_than_the_guard_is_told_the_remedy(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "prefect.yaml").touch()
        monkeypatch.setattr(local_stack, "entry_points", lambda **_: ())
        with pytest.raises(ValueError, match="Run `uv sync`"):
            run_local_stack(Settings(), Ports(), tmp_path)

    def test_flows_that_cannot_be_deployed_are_told_with_the_reason(self, tmp_path: Path) -> None:
        (tmp_path / "prefect.yaml").write_text("deployments: [{name: x, entrypoint: nowhere.py:flow}]\n")
        environment = {
            "PREFECT_API_URL": "http://127.0.0.1:9/api",
            "PREFECT_HOME": str(tmp_path),
            "HOME": str(tmp_path),
        }
        with pytest.raises(ValueError, match=r"^prefect\.yaml: Prefect rejected the deployments: \S+"):
            deploy(tmp_path, environment)


@pytest.mark.usefixtures("prefect_harness")
def test_prefect_learns_no_name_of_a_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECTOPY_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ECTOPY_WORKERS", "1")
    monkeypatch.setenv("ECTOPY_INBOX_QUIET_S", "0")
    monkeypatch.setenv("ECTOPY_INBOX_PATIENCE_S", "0")
    monkeypatch.setenv("ECTOPY_TRACKING_URI", f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    monkeypatch.setenv("ECTOPY_PSEUDONYM_SALT", SALT)
    inbox, model = tmp_path / "data" / "inbox" / "Jane", write_model(tmp_path / "model")
    write_record(inbox, NAME)
    (inbox / "Jane_broken.edf").write_bytes(b"0" + b" " * 400)
    state = score_inbox(model=str(model), return_state=True)
    of = Pseudonyms(SALT).of
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    run = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
    deadline_s = time.monotonic() + 30
    with get_client(sync_client=True) as client:
        while True:
            tasks = client.read_task_runs(flow_run_filter=run)
            if {task.state_name for task in tasks} == {
                "Completed",
                "Failed",
            } or time.monotonic() > deadline_s:
                break
            time.sleep(0.1)
        artifacts = client.read_artifacts(flow_run_filter=run)
        (flow_run,) = client.read_flow_runs(flow_run_filter=run)
    named = {task.name: task.state_name for task in tasks if not task.name.startswith("record ectopy://")}
    assert named == {
        of(NAME): "Completed",
        of("Jane_broken"): "Failed",
        "log batch": "Completed",
    }
    (failed,) = [task.state for task in tasks if task.state_name == "Failed"]
    assert failed is not None
    assert f"UnreadableError: {of('Jane_broken')}: " in str(failed.message)
    told = [flow_run, *tasks, *artifacts]
    # The year of the name is no part of this: four digits also come up in ids and times by chance.
    assert not any(part in each.model_dump_json() for each in told for part in ("Jane", "Doe"))
