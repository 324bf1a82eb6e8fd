"""MLflow kept at arm's length: what is logged can be read back, and aliases say which model is in use."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from matplotlib.figure import Figure

from ectopy.model.classifier import ModelError, load_classifier
from ectopy.model.network import TrainConfig
from ectopy.model.training import EpochReport
from ectopy.registry import model_versions, runs
from ectopy.registry.learning_curves import LearningCurves
from tests.small import write_model


@pytest.fixture(autouse=True)
def connected(tracking_uri: str) -> str:
    """The id of an experiment to work on."""
    return runs.connect(tracking_uri, "experiment")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_model(tmp_path_factory.mktemp("models") / "small")
    (folder / "card.md").write_text("# Small\n")
    return folder


def read(run_id: str) -> Any:
    import mlflow

    return mlflow.get_run(run_id)


def artifact(run_id: str, file: str) -> Any:
    import mlflow

    return mlflow.artifacts.load_dict(f"{read(run_id).info.artifact_uri}/{file}")


class TestDescription:
    """Of a registered version: MLflow keeps 5000 characters, which PostgreSQL enforces and SQLite does not."""

    CARD = "# Card\n" + "| a row of some table |\n" * 1000

    def described(self, address: str, text: str, monkeypatch: pytest.MonkeyPatch) -> str:
        import mlflow

        told: dict[str, str] = {}
        monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: address)
        monkeypatch.setattr(mlflow.MlflowClient, "update_model_version", lambda *_, **more: told.update(more))
        model_versions.set_description(model_versions.Version("ectopy", "1", "run"), text)
        return told["description"]

    def test_on_a_server_it_is_cut_after_a_whole_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        told = self.described("http://127.0.0.1:5000", self.CARD, monkeypatch)
        assert 4900 < len(told) <= 5000
        kept, _, rest = told.partition("\n\n... ")
        assert self.CARD.startswith(kept + "\n")
        assert rest == "the rest is in `card.md`, an artifact of the run."

    def test_what_fits_is_whole(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.described("http://127.0.0.1:5000", "x" * 5000, monkeypatch) == "x" * 5000

    def test_sqlite_keeps_all_of_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.described("sqlite:///mlflow.db", self.CARD, monkeypatch) == self.CARD


class TestConnect:
    def test_artifacts_lie_beside_the_database(self, tracking_uri: str) -> None:
        with runs.run("any") as run_id:
            where = read(run_id).info.artifact_uri
        beside = Path(tracking_uri.removeprefix("sqlite:///")).parent / "artifacts"
        assert where.startswith(beside.as_uri())

    def test_an_experiment_keeps_its_id(self, tracking_uri: str, connected: str) -> None:
        other = runs.connect(tracking_uri, "another experiment")
        assert runs.connect(tracking_uri, "experiment") == connected != other

    def test_a_relative_address_is_meant_from_here(
        self, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import mlflow

        (tmp_path / "mlruns").mkdir()
        (tmp_path / "mlruns" / "mlflow.db").write_bytes(empty_store.read_bytes())
        monkeypatch.chdir(tmp_path)
        runs.connect("sqlite:///mlruns/mlflow.db", "here")
        assert mlflow.get_tracking_uri() == f"sqlite:///{tmp_path}/mlruns/mlflow.db"


class TestRun:
    def test_a_configuration_is_logged_whole(self) -> None:
        with runs.run("whole") as run_id:
            runs.log_config(TrainConfig(epochs=3), database="simdb")
        told = read(run_id).data.params
        assert set(told) == set(TrainConfig.__dataclass_fields__) | {"database"}
        assert (told["epochs"], told["database"]) == ("3", "simdb")

    def test_what_is_undefined_is_no_metric(self) -> None:
        with runs.run("figures") as run_id:
            runs.log_metrics({"se": 0.5, "ppv": float("nan"), "ratio": float("inf")}, prefix="veb/")
        assert read(run_id).data.metrics == {"veb/se": 0.5}

    def test_a_figure_of_each_epoch_is_a_curve(self) -> None:
        import mlflow

        with runs.run("curve") as run_id:
            for epoch, loss in enumerate((0.9, 0.5, 0.4)):
                runs.log_metrics({"loss": loss}, step=epoch)
        points = mlflow.MlflowClient().get_metric_history(run_id, "loss")
        assert [(point.step, point.value) for point in points] == [(0, 0.9), (1, 0.5), (2, 0.4)]

    def test_a_nested_run_knows_its_parent(self) -> None:
        with runs.run("parent") as parent, runs.run("child", nested=True) as child:
            pass
        assert read(child).data.tags["mlflow.parentRunId"] == parent

    def test_the_version_of_ectopy_is_on_every_run(self) -> None:
        with runs.run("tagged", tags={"why": "a test"}) as run_id:
            runs.tag(verdict="none")
        told = read(run_id).data.tags
        assert (told["ectopy_version"], told["why"], told["verdict"]) == (version("ectopy"), "a test", "none")

    @pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit])
    def test_a_run_that_is_interrupted_is_marked_as_killed(self, signal: type[BaseException]) -> None:
        with pytest.raises(signal), runs.run("parent") as parent, runs.run("child", nested=True) as child:
            raise signal
        assert [read(run_id).info.status for run_id in (child, parent)] == ["KILLED", "KILLED"]
        with runs.run("next") as after:
            pass
        assert read(after).info.status == "FINISHED"
        assert "mlflow.parentRunId" not in read(after).data.tags

    def test_a_run_is_described(self) -> None:
        with runs.run("described", description="What it is for") as run_id:
            assert read(run_id).data.tags[runs.DESCRIPTION] == "What it is for"
            runs.describe("What it came to")
        assert read(run_id).data.tags[runs.DESCRIPTION] == "What it came to"

    def test_the_table_has_every_metric_and_mlflow_the_headline(self) -> None:
        told = {"veb_f1": 0.9, "sveb_f1": 0.7, "couplets": float("nan")}
        with runs.run("results") as run_id:
            runs.log_results(told, ["veb_f1", "qrs_f1"], prefix="all/")
            runs.log_results({"veb_f1": 0.8}, [], prefix="svdb/")
        assert read(run_id).data.metrics == {"all/veb_f1": 0.9}
        assert runs.all_metrics(run_id) == {"all/veb_f1": 0.9, "all/sveb_f1": 0.7, "svdb/veb_f1": 0.8}

    def test_the_page_of_a_run_shows_its_curves(
        self, connected: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with runs.run("page") as run_id:
            page = runs.page_of(run_id)
            assert page == f"/#/experiments/{connected}/runs/{run_id}/model-metrics"
            monkeypatch.setattr("mlflow.get_tracking_uri", lambda: "https://mlflow.example.org/")
            assert runs.page_of(run_id) == f"https://mlflow.example.org{page}"

    def test_a_run_that_fails_is_marked_as_failed(self) -> None:
        with pytest.raises(ZeroDivisionError), runs.run("failing") as run_id:
            raise ZeroDivisionError
        assert read(run_id).info.status == "FAILED"


class TestArtifacts:
    def test_a_table_comes_back_by_column_with_its_gaps(self) -> None:
        with runs.run("table") as run_id:
            runs.log_table({"record": ["100", "101"], "veb_f1": [None, 97.5]}, "by-record.json")
        told = artifact(run_id, "by-record.json")
        assert (told["columns"], told["data"]) == (["record", "veb_f1"], [["100", None], ["101", 97.5]])

    def test_rows_that_come_later_follow_those_before(self) -> None:
        with runs.run("rows") as run_id:
            runs.log_table({"record": ["100"], "n": [1]}, "all/records.json")
            assert runs.all_metrics(run_id) == {}  # as far as the run has come
            with runs.run("within", nested=True) as other_id:
                runs.log_table({"record": ["900"]}, "all/records.json")
            runs.log_table({"record": ["101"], "n": [2]}, "all/records.json")
        assert artifact(run_id, "all/records.json")["data"] == [["100", 1], ["101", 2]]
        assert artifact(other_id, "all/records.json")["data"] == [["900"]]

    def test_metrics_of_a_run_in_progress_can_be_read(self) -> None:
        with runs.run("progress") as run_id:
            runs.log_results({"first": 1.0}, ())
            assert runs.all_metrics(run_id) == {"first": 1.0}
            runs.log_results({"second": 2.0}, ())
        assert runs.all_metrics(run_id) == {"first": 1.0, "second": 2.0}

    def test_mlflow_shows_the_tables_of_a_run_that_failed_too(self) -> None:
        with suppress(ZeroDivisionError), runs.run("failing with a table") as run_id:
            runs.log_table({"record": ["100"]}, "records.json")
            runs.log_table({"reason": ["no signal"]}, "failures.json")
            raise ZeroDivisionError
        assert read(run_id).info.status == "FAILED"
        shown = json.loads(read(run_id).data.tags["mlflow.loggedArtifacts"])
        assert shown == [{"path": file, "type": "table"} for file in ("records.json", "failures.json")]
        assert artifact(run_id, "records.json")["data"] == [["100"]]

    def test_a_table_is_as_mlflow_would_write_it(self) -> None:
        import mlflow

        table = {"record": ["100", None], "VEB, %": [1.5, float("nan")], "n": [3, 4], "é\n": [True, False]}
        with runs.run("both") as run_id:
            runs.log_table(table, "ours.json")
            with runs.suppress_warnings():
                mlflow.log_table(table, "theirs.json")
        assert artifact(run_id, "ours.json") == artifact(run_id, "theirs.json")

    def test_a_table_needs_a_run(self) -> None:
        with pytest.raises(RuntimeError, match=r"no run is in progress\. Open one"):
            runs.log_table({"record": ["100"]}, "records.json")

    def test_drawings_texts_and_folders_are_files_of_the_run(self, model: Path) -> None:
        import mlflow

        with runs.run("files") as run_id:
            runs.log_figure(Figure(), "drawing.png")
            runs.log_text("# Card", "card.md")
            runs.log_folder(model, "fold")
        client = mlflow.MlflowClient()
        files = [file.path for folder in ("", "fold") for file in client.list_artifacts(run_id, folder)]
        assert files == [
            *("card.md", "drawing.png", "fold"),
            *("fold/card.md", "fold/model.json", "fold/model.onnx"),
        ]

    def test_data_are_known_by_the_beginning_of_their_hash(self) -> None:
        rows, digest = np.zeros((4, 2), dtype=np.float32), "0123456789abcdef" * 4
        with runs.run("data") as run_id:
            runs.log_data(
                "simdb", "https://example.org/simdb", rows, list("NNSV"), context="training", digest=digest
            )
        (used,) = read(run_id).inputs.dataset_inputs
        assert used.dataset.digest == digest[:36]


class TestLearningCurves:
    GROUPS: ClassVar = {"fold 0, network 0": "fold 0", "fold 0, network 1": "fold 0", "member 0": "ensemble"}

    def curve(self, run_id: str, group: str) -> list[tuple[int, float]]:
        import mlflow

        points = mlflow.MlflowClient().get_metric_history(run_id, f"by_epoch/loss {group}")
        return [(point.step, point.value) for point in points]

    def test_a_point_is_the_mean_of_all_networks_once_they_have_it(self) -> None:
        with runs.run("curves") as run_id:
            curves = LearningCurves(run_id, self.GROUPS)
            curves.add(EpochReport("fold 0, network 0", 0, {"loss": 0.6}))
            curves.add(EpochReport("fold 0, network 0", 1, {"loss": 0.4}))
            assert self.curve(run_id, "fold 0") == []
            curves.add(EpochReport("fold 0, network 1", 0, {"loss": 0.8}))
            ((step, loss),) = self.curve(run_id, "fold 0")
            assert step == 0
            assert loss == pytest.approx(0.7)

    def test_what_comes_twice_or_from_another_thread_is_one_point(self) -> None:
        with runs.run("late") as run_id, ThreadPoolExecutor(1) as threads:
            curves = LearningCurves(run_id, self.GROUPS)
            report = EpochReport("member 0", 0, {"loss": 0.5})
            threads.submit(curves.add, report).result()
            curves.add(report)
        assert self.curve(run_id, "ensemble") == [(0, 0.5)]


class TestModelPage:
    def test_metrics_are_on_the_model_with_the_data_they_were_measured_on(self, model: Path) -> None:
        import mlflow

        with runs.run("training"):
            version = model_versions.register(model, model="page", tags={})
        with runs.run("evaluation") as run_id:
            data = runs.log_test_data("simdb 1.0.0, held-out records", None, digest="0" * 64)
            model_id = model_versions.model_id_of(version)
            runs.log_metrics({"veb_f1": 0.9}, prefix="held_out/", model_id=model_id, dataset=data)
        assert model_id is not None
        metrics = mlflow.get_logged_model(model_id).metrics
        assert metrics is not None
        (metric,) = metrics
        assert (metric.key, metric.value, metric.run_id) == ("held_out/veb_f1", 0.9, run_id)
        assert metric.dataset_name == "simdb 1.0.0, held-out records"
        (used,) = read(run_id).inputs.dataset_inputs
        assert [tag.value for tag in used.tags] == ["evaluation"]

    def test_its_description_says_which_version_it_is_and_what_happened_last(self, model: Path) -> None:
        import mlflow

        with runs.run("training"):
            version = model_versions.register(model, model="told", tags={})
        model_id = model_versions.model_id_of(version)
        assert model_id is not None
        assert "not been evaluated" in mlflow.get_logged_model(model_id).tags[runs.DESCRIPTION]
        model_versions.append_history(version, "champion by the gate, the first: good")
        told = mlflow.get_logged_model(model_id).tags[runs.DESCRIPTION]
        assert told.startswith("Version 1 of the registered model `told`")
        assert told.endswith("Z champion by the gate, the first: good")


class TestRegistry:
    @pytest.fixture
    def name(self, request: pytest.FixtureRequest) -> str:
        """A registered model of each test's own."""
        return re.sub(r"\W", "-", request.node.name)

    def register(self, name: str, model: Path) -> model_versions.Version:
        with runs.run(name):
            return model_versions.register(model, model=name, tags={"database": "simdb"})

    def test_the_newest_version_is_the_challenger(self, name: str, model: Path) -> None:
        first, second = self.register(name, model), self.register(name, model)
        assert (first.number, second.number) == ("1", "2")
        assert model_versions.challenger(name) == second

    def test_one_version_at_a_time_is_champion(self, name: str, model: Path) -> None:
        first, second = self.register(name, model), self.register(name, model)
        model_versions.set_champion(first, "champion: a test")
        model_versions.set_champion(second, "champion: a test")
        assert model_versions.version_by_alias(name, model_versions.CHAMPION) == second

    def test_nobody_becomes_champion_without_an_event(self, name: str, model: Path) -> None:
        version = self.register(name, model)
        model_versions.set_champion(version, "champion: first\nforged", {"note": "kept"})
        (event,) = model_versions.history(version)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ champion: first\\nforged", event)
        assert model_versions.tags_of(version)["note"] == "kept"
        public = {attribute for attribute in vars(model_versions) if not attribute.startswith("_")}
        assert {attribute for attribute in public if attribute.startswith("set_")} == {
            "set_champion",
            "set_description",
        }

    def test_nobody_is_champion_of_a_model_that_is_not_there(self) -> None:
        assert model_versions.version_by_alias("unheard of", model_versions.CHAMPION) is None

    def test_a_version_bears_card_and_tags(self, name: str, model: Path) -> None:
        import mlflow

        version = self.register(name, model)
        model_versions.tag_version(version, {"promoted": "False"})
        told = mlflow.MlflowClient().get_model_version(name, version.number)
        assert (told.description, told.tags) == ("# Small\n", {"database": "simdb", "promoted": "False"})

    def test_figures_of_the_run_that_made_a_version_are_read_by_prefix(self, name: str, model: Path) -> None:
        with runs.run(name):
            runs.log_metrics({"out_of_fold/veb_f1": 0.9, "loss": 0.1})
            version = model_versions.register(model, model=name, tags={})
        assert model_versions.metrics_of(version, prefix="out_of_fold/") == {"veb_f1": 0.9}

    def test_members_of_an_ensemble_are_found_in_their_order_and_folds_are_none_of_them(
        self, name: str, model: Path
    ) -> None:
        members = {}
        with runs.run(name):
            version = model_versions.register(model, model=name, tags={})
            for number in ("10", "2"):
                with runs.run("member", nested=True, tags={model_versions.MEMBER: number}) as members[number]:
                    runs.log_folder(model, "model")
            with runs.run("fold 0", nested=True) as fold:
                runs.log_parameters({model_versions.HELD_OUT: "101,106"})
        assert model_versions.member_runs(version) == [members["2"], members["10"]]
        assert model_versions.out_of_fold_runs(version) == {"101": fold, "106": fold}

    def test_a_version_of_one_network_has_no_members(self, name: str, model: Path) -> None:
        assert model_versions.member_runs(self.register(name, model)) == []

    @pytest.mark.parametrize("address", ["models:/{}/1", "models:/{}@challenger"])
    def test_a_registered_model_comes_back_as_it_was(self, name: str, model: Path, address: str) -> None:
        version = self.register(name, model)
        fetched = model_versions.fetch_model(address.format(version.model))
        assert {path.name for path in fetched.iterdir()} == {path.name for path in model.iterdir()}
        assert load_classifier(fetched).version_id == load_classifier(model).version_id

    def test_an_alias_that_nobody_bears_is_an_error_that_names_it(self, name: str, model: Path) -> None:
        self.register(name, model)
        with pytest.raises(ModelError, match=rf"models:/{name}@champion: the registry has no such model"):
            model_versions.fetch_model(f"models:/{name}@champion")

    def test_another_s_model_is_refused(self, name: str) -> None:
        import mlflow

        with runs.run(name):
            runs.log_text("not a model", "model/readme.txt")
            run_id = mlflow.active_run().info.run_id  # type: ignore[union-attr]
        with pytest.raises(ModelError, match=r"not a model of ectopy \(no model\.json\)"):
            model_versions.fetch_model(f"runs:/{run_id}/model")

    def test_a_store_that_is_not_there_is_named_and_not_made(self, tmp_path: Path) -> None:
        store = tmp_path / "mlruns" / "mlflow.db"
        with pytest.raises(ModelError, match=f"{store}: no such tracking store"):
            model_versions.download_model("models:/ectopy@champion", f"sqlite:///{store}")
        assert not store.parent.exists()


def test_a_store_that_was_moved_is_named_with_its_former_place(model: Path, tmp_path: Path) -> None:
    former, moved = tmp_path / "former", tmp_path / "moved"
    runs.connect(f"sqlite:///{former}/mlflow.db", "a move")
    with runs.run("training"):
        runs.log_folder(model, "network")
        version = model_versions.register(model, model="moved", tags={})
    former.rename(moved)
    model_versions.connect_registry(f"sqlite:///{moved}/mlflow.db")
    problem = rf"{former}/artifacts: the tracking store expects its files there.*moved"
    for address in (version.uri, "models:/moved@challenger"):
        with pytest.raises(ModelError, match=problem):
            model_versions.fetch_model(address)
    with pytest.raises(ModelError, match=problem):
        model_versions.download_folder(version.run_id, "network")
    former.symlink_to(moved)  # the remedy in the message
    assert (model_versions.fetch_model(version.uri) / "model.json").is_file()
