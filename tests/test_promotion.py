"""Promotion and rollback: one version is in use, the tags say what happened, no reader ever finds none."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from ectopy import cli
from ectopy.batch import planning
from ectopy.model.classifier import SPECIFICATION_FILE, ModelError, load_classifier
from ectopy.registry import model_versions, promotion, runs
from ectopy.registry.model_versions import ROLLED_BACK, Version
from ectopy.registry.promotion import HISTORY, PREVIOUS_CHAMPION, PromotionError, promote, rollback
from tests.small import write_model

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ "


@pytest.fixture(autouse=True)
def connected(tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECTOPY_TRACKING_URI", tracking_uri)
    monkeypatch.setenv("ECTOPY_DATA_DIR", str(tmp_path / "data"))
    runs.connect(tracking_uri, "promotions")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A registered model of the test's own."""
    return re.sub(r"\W", "-", request.node.name)


def register(name: str, folder: Path, **figures: float) -> Version:
    """Register a model that bears the name of its version."""
    number = len(model_versions.list_versions(name)) + 1
    model = write_model(folder / f"{number}", name=f"{name} {number}")
    (model / "card.md").write_text(f"# {number}\n")
    (model / "model.keras").write_text("not for scoring")
    with runs.run(name):
        told = {f"gross/{figure}": value for figure, value in figures.items()}
        runs.log_metrics(told, prefix="out_of_fold/detected/")
        return model_versions.register(model, model=name, tags={"database": "simdb"})


@pytest.fixture
def three(name: str, tmp_path: Path) -> list[Version]:
    return [register(name, tmp_path / "models") for _ in range(3)]


def in_use(data: Path) -> str:
    return planning.load_model(planning.find_model(None, data).folder).name


def history(version: Version) -> list[str]:
    told = model_versions.tags_of(version).get(HISTORY, "").splitlines()
    assert all(re.match(STAMP, line) for line in told)
    return [re.sub(STAMP, "", line) for line in told]


class TestPromote:
    def test_alias_folder_and_tags_agree(self, three: list[Version], data: Path) -> None:
        first, second, _ = three
        promote(first, data_dir=data, decided_by="the gate", reason="good")
        change = promote(second, data_dir=data, decided_by="hand", reason="better on our patients")
        assert change == (second, first)
        assert model_versions.version_by_alias(second.model, "champion") == second
        assert in_use(data) == f"{second.model} 2"
        assert history(first) == ["champion by the gate, the first: good", "replaced by 2"]
        assert history(second) == ["champion by hand, in place of 1: better on our patients"]
        assert [model_versions.tags_of(version)[PREVIOUS_CHAMPION] for version in (first, second)] == [
            "",
            "1",
        ]

    def test_scoring_is_given_everything_but_the_keras_model(self, three: list[Version], data: Path) -> None:
        promote(three[0], data_dir=data, decided_by="hand", reason="a test")
        champion = data / "models" / "champion"
        assert {path.name for path in champion.iterdir()} == {"model.onnx", "model.json", "card.md"}
        assert (champion / "card.md").read_text() == "# 1\n"
        assert planning.find_model(None, data) == (champion.resolve(), planning.ModelSource.CHAMPION)

    def test_the_champion_promoted_once_more_is_laid_anew_and_nothing_else(
        self, three: list[Version], data: Path
    ) -> None:
        promote(three[0], data_dir=data, decided_by="hand", reason="a test")
        elsewhere = data / "of another machine"
        promote(three[0], data_dir=elsewhere, decided_by="hand", reason="a new machine")
        assert in_use(elsewhere) == f"{three[0].model} 1"
        assert history(three[0]) == ["champion by hand, the first: a test"]

    def test_a_model_that_cannot_be_used_changes_nothing(
        self, three: list[Version], name: str, tmp_path: Path, data: Path
    ) -> None:
        promote(three[0], data_dir=data, decided_by="hand", reason="a test")
        model = write_model(tmp_path / "old")
        (model / "card.md").write_text("# Old\n")
        specified = (model / SPECIFICATION_FILE).read_text()
        (model / SPECIFICATION_FILE).write_text(specified.replace("local irregularity", "a feature of old"))
        with runs.run(name):
            old = register_broken(model, name)
        with pytest.raises(PromotionError, match=rf"{old.uri}: this version of ectopy cannot use the model"):
            promote(old, data_dir=data, decided_by="hand", reason="a test")
        assert model_versions.version_by_alias(name, "champion") == three[0]
        assert in_use(data) == f"{name} 1"

    def test_a_folder_as_it_was_laid_before_is_replaced_by_the_link(
        self, three: list[Version], data: Path
    ) -> None:
        write_model(data / "models" / "champion", name="laid as a folder")
        assert in_use(data) == "laid as a folder"
        promote(three[0], data_dir=data, decided_by="hand", reason="a test")
        assert in_use(data) == f"{three[0].model} 1"

    def test_what_a_killed_promotion_left_is_removed_and_one_model_before_is_kept(
        self, three: list[Version], data: Path
    ) -> None:
        write_model(data / "models" / ".champion-half")
        (data / "models" / ".champion-half.link").symlink_to(".champion-half")
        for version in three:
            promote(version, data_dir=data, decided_by="hand", reason="a test")
        kept = [path for path in (data / "models").iterdir() if path.name != "champion"]
        assert {load_classifier(path).name for path in kept} == {f"{three[0].model} {n}" for n in (2, 3)}

    def test_whoever_scores_meanwhile_finds_one_model_whole(self, data: Path, tmp_path: Path) -> None:
        # Either model calls all beats by its own letter: a mixture would bear one's name and the other's id.
        models = [write_model(tmp_path / letter, name=letter, always=letter) for letter in "NV"]
        ids = {load_classifier(model).version_id for model in models}
        champion = data / "models" / "champion"
        promotion.install_champion(models[0], "", champion)
        seen: list[str] = []
        done = Event()

        def read() -> None:
            while not done.is_set():
                seen.append(load_classifier(planning.find_model(None, data).folder).version_id)

        with ThreadPoolExecutor(1) as threads:
            reader = threads.submit(read)
            for turn in range(50):
                promotion.install_champion(models[turn % 2], "", champion)
                n_read = len(seen)
                while len(seen) == n_read and not reader.done():  # nobody reads through two promotions
                    time.sleep(0)
            done.set()
            reader.result()
        assert set(seen) == ids


def register_broken(model: Path, name: str) -> Version:
    """Log a directory as MLflow would hold it, without loading it as a registration does."""
    import mlflow

    runs.log_folder(model, "model/artifacts/old")
    run = mlflow.active_run()
    assert run is not None
    made = mlflow.MlflowClient().create_model_version(
        name, f"{run.info.artifact_uri}/model", run_id=run.info.run_id
    )
    return Version(name, str(made.version), str(run.info.run_id))


class TestRollback:
    def test_the_champion_before_is_back_in_registry_and_folder(
        self, three: list[Version], data: Path
    ) -> None:
        for version in three:
            promote(version, data_dir=data, decided_by="the gate", reason="better")
        change = rollback(three[0].model, data_dir=data, reason="too many false VEB at night")
        assert change == (three[1], three[2])
        assert model_versions.version_by_alias(three[0].model, "champion") == three[1]
        assert in_use(data) == f"{three[0].model} 2"
        assert history(three[1])[-1] == "champion again, in place of 3: too many false VEB at night"
        assert history(three[2])[-1] == "rolled back to 2: too many false VEB at night"

    def test_each_goes_one_further_back_until_there_is_none(self, three: list[Version], data: Path) -> None:
        for version in three:
            promote(version, data_dir=data, decided_by="the gate", reason="better")
        backs = [rollback(three[0].model, data_dir=data, reason="worse").current.number for _ in range(2)]
        assert backs == ["2", "1"]
        with pytest.raises(PromotionError, match="/1: there was no champion before it"):
            rollback(three[0].model, data_dir=data, reason="worse")
        assert in_use(data) == f"{three[0].model} 1"

    def test_one_that_skipped_a_version_goes_back_to_what_was_in_use(
        self, three: list[Version], data: Path
    ) -> None:
        first, _, third = three
        promote(first, data_dir=data, decided_by="the gate", reason="good")
        promote(third, data_dir=data, decided_by="the gate", reason="better")
        assert rollback(first.model, data_dir=data, reason="worse").current == first

    def test_what_was_rolled_back_says_so_until_a_hand_promotes_it(
        self, three: list[Version], data: Path
    ) -> None:
        for version in three[:2]:
            promote(version, data_dir=data, decided_by="the gate", reason="better")
        rollback(three[0].model, data_dir=data, reason="worse")
        assert model_versions.tags_of(three[1])[ROLLED_BACK] == "worse"
        promote(three[1], data_dir=data, decided_by="hand", reason="it was the electrodes")
        assert ROLLED_BACK not in model_versions.tags_of(three[1])

    def test_without_a_champion_there_is_nothing_to_roll_back(self, three: list[Version], data: Path) -> None:
        with pytest.raises(PromotionError, match="no version is champion, so none can be rolled back"):
            rollback(three[0].model, data_dir=data, reason="worse")


class TestCommand:
    def run(self, *arguments: str) -> int:
        with pytest.raises(SystemExit) as ended:
            cli.main(["models", *arguments])
        return int(ended.value.code or 0)

    def test_list_shows_figures_aliases_and_what_became_of_each(
        self, name: str, tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        champion = register(name, tmp_path / "models", veb_f1=0.931, sveb_f1=0.847)
        promote(champion, data_dir=data, decided_by="the gate", reason="good")
        judged, _ = (register(name, tmp_path / "models") for _ in range(2))
        model_versions.tag_version(judged, {"promoted": "False", "reason": "below the minimum"})
        assert self.run("list", "--model", name) == 0
        told = capsys.readouterr().out.splitlines()
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in told[2:5]]
        assert [row[0] for row in cells] == ["3", "2", "1"]
        assert [row[1] for row in cells] == ["challenger", "", "champion"]
        assert cells[2][3:6] == ["simdb", "93.1", "84.7"]
        assert [re.sub(STAMP, "", row[-1]) for row in cells] == [
            "not evaluated yet",
            "not promoted: below the minimum",
            "champion by the gate, the first: good",
        ]
        assert told[-1] == f"in use here: {name} 1, champion"

    def test_list_of_a_model_nobody_made_says_how_to_make_one(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run("list", "--model", "nobody") == 0
        told = capsys.readouterr().out.splitlines()
        assert told[0] == "nobody: no version yet. Run `ectopy train` to make one."
        assert told[1].endswith(", shipped")

    def test_promote_and_rollback_say_what_is_in_use_now(
        self, three: list[Version], data: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        model = three[0].model
        for number in ("1", "3"):
            assert self.run("promote", number, "--why", "a test", "--model", model) == 0
        assert self.run("rollback", "--why", "another", "--model", model) == 0
        assert capsys.readouterr().out.splitlines() == [
            f"champion: models:/{model}/1",
            f"champion: models:/{model}/3, in place of 1",
            f"champion: models:/{model}/1, in place of 3",
        ]
        assert in_use(data) == f"{model} 1"

    @pytest.mark.parametrize("command", [["promote", "1"], ["rollback"]])
    def test_both_want_a_reason(self, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        assert self.run(*command) == 2
        assert "--reason" in capsys.readouterr().err

    def test_a_version_that_is_not_there_is_named(
        self, three: list[Version], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run("promote", "9", "--why", "a test", "--model", three[0].model) == 1
        assert f"{three[0].model}: the registry has no version 9" in capsys.readouterr().err

    def test_a_store_that_is_not_there_is_not_made(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("ECTOPY_TRACKING_URI", f"sqlite:///{tmp_path}/none.db")
        assert self.run("list") == 1
        assert "no such tracking store" in capsys.readouterr().err
        assert not (tmp_path / "none.db").exists()


def test_an_unknown_version_is_an_error_of_ours(three: list[Version]) -> None:
    with pytest.raises(ModelError, match="the registry has no version 7"):
        model_versions.version_by_number(three[0].model, "7")
