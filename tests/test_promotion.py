"""Promotion and rollback: one version is in use, the tags say what happened, no reader ever finds none."""

import re
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from ectopy import cli
from ectopy.batch import planning
from ectopy.model.classifier import SPECIFICATION_FILE, ModelError, load_classifier
from ectopy.registry import model_versions, promotion, runs
from ectopy.registry.model_versions import ROLLED_BACK, Version
from ectopy.registry.promotion import (
    AGAINST_GATE,
    PREVIOUS_CHAMPION,
    PromotionError,
    promote,
    promote_by_hand,
    rollback,
)
from ectopy.registry.promotion_gate import PromotionDecision
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
    """The registered model of ``three``, or one of the test's own."""
    return "three" if "three" in request.fixturenames else re.sub(r"\W", "-", request.node.name)


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


def copy_database(source: Path, target: Path) -> None:
    """Copy all tables into a database that MLflow may have open."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


@pytest.fixture(scope="module")
def registered(tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Version], Path]:
    """Three versions that were registered once, which takes seconds, and a copy of the store that has them."""
    runs.connect(tracking_uri, "promotions")
    versions = [register("three", tmp_path_factory.mktemp("models")) for _ in range(3)]
    kept = tmp_path_factory.mktemp("registered") / "mlflow.db"
    copy_database(Path(tracking_uri.removeprefix("sqlite:///")), kept)
    return versions, kept


@pytest.fixture
def three(registered: tuple[list[Version], Path], tracking_uri: str) -> list[Version]:
    """Three versions to which nothing has happened yet: the store is as it was after their registration."""
    versions, kept = registered
    copy_database(kept, Path(tracking_uri.removeprefix("sqlite:///")))
    return list(versions)


def in_use(data: Path) -> str:
    return planning.load_model(planning.find_model(None, data).folder).name


def history(version: Version) -> list[str]:
    """The events of a version, without their times."""
    told = model_versions.history(version)
    assert all(re.match(STAMP, line) for line in told)
    return [re.sub(STAMP, "", line) for line in told]


UNDEFINED = (
    "gross/veb_f1 undefined is below the minimum of 85.0 %; "
    "gross/sveb_f1 undefined is below the minimum of 40.0 %"
)
"""Why the gate refuses a version without a cross-validation, before it compares."""


@pytest.fixture(autouse=True)
def ada(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")


class TestPromote:
    def test_alias_folder_and_tags_agree(self, three: list[Version], data: Path) -> None:
        first, second, _ = three
        promote(first, data_dir=data, decision=PromotionDecision(True, "good"))
        change = promote_by_hand(second, data_dir=data, reason="better on our patients")
        assert change == (second, first)
        assert model_versions.version_by_alias(second.model, "champion") == second
        assert in_use(data) == f"{second.model} 2"
        assert history(first) == ["champion by the gate, the first: good", "replaced by 2"]
        (event,) = history(second)
        assert event.startswith("champion by hand of ada, in place of 1: better on our patients [against the")
        assert [model_versions.tags_of(version)[PREVIOUS_CHAMPION] for version in (first, second)] == [
            "",
            "1",
        ]

    def test_scoring_is_given_everything_but_the_keras_model(self, three: list[Version], data: Path) -> None:
        promote_by_hand(three[0], data_dir=data, reason="a test")
        champion = data / "models" / "champion"
        assert {path.name for path in champion.iterdir()} == {
            *("model.onnx", "model.json", "card.md", "manifest.json")
        }
        assert (champion / "card.md").read_text() == model_versions.card_of(three[0])
        assert planning.find_model(None, data) == (champion.resolve(), planning.ModelSource.CHAMPION)

    def test_the_champion_promoted_once_more_is_laid_anew_and_nothing_else(
        self, three: list[Version], data: Path
    ) -> None:
        promote_by_hand(three[0], data_dir=data, reason="a test")
        elsewhere = data / "of another machine"
        promote_by_hand(three[0], data_dir=elsewhere, reason="a new machine")
        assert in_use(elsewhere) == f"{three[0].model} 1"
        assert len(history(three[0])) == 1

    def test_a_model_that_cannot_be_used_changes_nothing(
        self, three: list[Version], name: str, tmp_path: Path, data: Path
    ) -> None:
        promote_by_hand(three[0], data_dir=data, reason="a test")
        model = write_model(tmp_path / "old")
        (model / "card.md").write_text("# Old\n")
        specified = (model / SPECIFICATION_FILE).read_text()
        (model / SPECIFICATION_FILE).write_text(specified.replace("local irregularity", "a feature of old"))
        with runs.run(name):
            old = register_broken(model, name)
        with pytest.raises(PromotionError, match=rf"{old.uri}: this version of ectopy cannot use the model"):
            promote_by_hand(old, data_dir=data, reason="a test")
        assert model_versions.version_by_alias(name, "champion") == three[0]
        assert in_use(data) == f"{name} 1"

    def test_a_folder_as_it_was_laid_before_is_replaced_by_the_link(
        self, three: list[Version], data: Path
    ) -> None:
        write_model(data / "models" / "champion", name="laid as a folder")
        assert in_use(data) == "laid as a folder"
        promote_by_hand(three[0], data_dir=data, reason="a test")
        assert in_use(data) == f"{three[0].model} 1"

    def test_what_a_killed_promotion_left_is_removed_and_one_model_before_is_kept(
        self, three: list[Version], data: Path
    ) -> None:
        write_model(data / "models" / ".champion-half")
        (data / "models" / ".champion-half.link").symlink_to(".champion-half")
        for version in three:
            promote_by_hand(version, data_dir=data, reason="a test")
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


class TestAgainstTheGate:
    def test_the_gate_cannot_promote_what_it_refuses(self, three: list[Version], data: Path) -> None:
        with pytest.raises(PromotionError, match="the gate does not promote it: worse on svdb"):
            promote(three[0], data_dir=data, decision=PromotionDecision(False, "worse on svdb"))
        assert model_versions.version_by_alias(three[0].model, "champion") is None

    def test_history_tag_and_card_say_what_the_gate_had_said(self, three: list[Version], data: Path) -> None:
        promote_by_hand(three[0], data_dir=data, reason="three seeds of three are better")
        told = f"champion by hand of ada, the first: three seeds of three are better [against the gate: {UNDEFINED}]"
        assert history(three[0]) == [told]
        assert model_versions.tags_of(three[0])[AGAINST_GATE] == UNDEFINED
        card = (data / "models" / "champion" / "card.md").read_text()
        assert card == model_versions.card_of(three[0])
        assert re.fullmatch(rf"# 1\n\n\*\*Promotion\.\*\* {STAMP}{re.escape(told)}\n", card)
        assert promotion.version_table(three[0].model)["gate"] == [None, None, "overruled"]

    def test_the_gate_agrees_with_a_good_version(self, name: str, tmp_path: Path, data: Path) -> None:
        version = register(name, tmp_path / "models", veb_f1=0.95, sveb_f1=0.8)
        promote_by_hand(version, data_dir=data, reason="approved by the board")
        assert history(version) == [
            "champion by hand of ada, the first: approved by the board [the gate agrees]"
        ]
        assert AGAINST_GATE not in model_versions.tags_of(version)

    def test_a_later_promotion_by_the_gate_takes_the_mark_away(
        self, three: list[Version], data: Path
    ) -> None:
        first, second, _ = three
        promote_by_hand(first, data_dir=data, reason="a trial on our ward")
        promote(second, data_dir=data, decision=PromotionDecision(True, "better"))
        promote(first, data_dir=data, decision=PromotionDecision(True, "better again"))
        assert AGAINST_GATE not in model_versions.tags_of(first)
        (paragraph,) = re.findall(r"\*\*Promotion\.\*\* .*", model_versions.card_of(first))
        assert paragraph.endswith("champion by the gate, in place of 2: better again")

    def test_a_reason_of_several_lines_is_one_event(self, three: list[Version], data: Path) -> None:
        promote_by_hand(three[0], data_dir=data, reason="seen\n2026-01-01T00:00:00Z champion by the gate")
        (event,) = model_versions.history(three[0])
        assert "seen 2026-01-01T00:00:00Z champion by the gate [against" in event

    def test_an_account_without_a_name_is_told_as_such(
        self, three: list[Version], data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def nameless() -> str:
            raise OSError

        monkeypatch.setattr("getpass.getuser", nameless)
        promote_by_hand(three[0], data_dir=data, reason="a trial on our ward")
        assert "champion by hand of an unnamed account, the first" in history(three[0])[0]

    def test_a_reason_in_any_script_is_one(self, three: list[Version], data: Path) -> None:
        promote_by_hand(three[0], data_dir=data, reason="误报")
        assert "误报 [against" in history(three[0])[0]


@pytest.mark.parametrize(
    "reason", ["", " ", "\n", "-", "...", "xxx", "n/a", "TODO", "None.", "12", "?", "<reason>", "_"]
)
def test_a_placeholder_is_no_reason(reason: str, data: Path) -> None:
    with pytest.raises(PromotionError, match="it does not say why"):
        promote_by_hand(Version("never looked up", "1", "run"), data_dir=data, reason=reason)
    with pytest.raises(PromotionError, match="it does not say why"):
        rollback("never looked up", data_dir=data, reason=reason)


class TestRollback:
    def test_the_champion_before_is_back_in_registry_and_folder(
        self, three: list[Version], data: Path
    ) -> None:
        for version in three:
            promote(version, data_dir=data, decision=PromotionDecision(True, "better"))
        change = rollback(three[0].model, data_dir=data, reason="too many false VEB at night")
        assert change == (three[1], three[2])
        assert model_versions.version_by_alias(three[0].model, "champion") == three[1]
        assert in_use(data) == f"{three[0].model} 2"
        assert history(three[1])[-1].startswith(
            "champion again by hand of ada, in place of 3: too many false VEB at night [against the gate: "
        )
        assert history(three[2])[-1] == "rolled back to 2 by hand of ada: too many false VEB at night"

    def test_each_goes_one_further_back_until_there_is_none(self, three: list[Version], data: Path) -> None:
        for version in three:
            promote(version, data_dir=data, decision=PromotionDecision(True, "better"))
        backs = [rollback(three[0].model, data_dir=data, reason="worse").current.number for _ in range(2)]
        assert backs == ["2", "1"]
        with pytest.raises(
            PromotionError, match="/1: there was no champion before it that was not rolled back"
        ):
            rollback(three[0].model, data_dir=data, reason="worse")
        assert in_use(data) == f"{three[0].model} 1"

    def test_it_never_returns_to_a_version_that_was_rolled_back(
        self, three: list[Version], data: Path
    ) -> None:
        # 3 was in use before 1 and 2 took turns. Rollback must not take turns too.
        first, second, third = three
        for version in (third, first, second, first):
            promote(version, data_dir=data, decision=PromotionDecision(True, "better"))
        backs = [rollback(first.model, data_dir=data, reason="worse").current for _ in range(2)]
        assert backs == [second, third]
        assert [ROLLED_BACK in model_versions.tags_of(version) for version in three] == [True, True, False]
        with pytest.raises(PromotionError, match="/3: there was no champion before it that was not rolled"):
            rollback(first.model, data_dir=data, reason="worse")
        assert in_use(data) == f"{first.model} 3"

    def test_one_that_was_promoted_again_is_not_tagged_and_can_be_returned_to(
        self, three: list[Version], data: Path
    ) -> None:
        first, second, third = three
        for version in (first, second):
            promote(version, data_dir=data, decision=PromotionDecision(True, "better"))
        rollback(first.model, data_dir=data, reason="worse")
        promote_by_hand(second, data_dir=data, reason="it was the electrodes")
        promote(third, data_dir=data, decision=PromotionDecision(True, "better"))
        assert rollback(first.model, data_dir=data, reason="worse").current == second
        assert ROLLED_BACK not in model_versions.tags_of(second)
        assert rollback(first.model, data_dir=data, reason="worse").current == first

    def test_tags_of_version_0_2_name_the_latest_champion_alone_and_are_followed(
        self, three: list[Version], data: Path
    ) -> None:
        for version in three:
            promote(version, data_dir=data, decision=PromotionDecision(True, "better"))
        model_versions.tag_version(three[2], {PREVIOUS_CHAMPION: "2"})
        backs = [rollback(three[0].model, data_dir=data, reason="worse").current for _ in range(2)]
        assert backs == [three[1], three[0]]

    def test_a_version_that_was_deleted_is_passed_over(self, three: list[Version], data: Path) -> None:
        import mlflow

        for version in three:
            promote(version, data_dir=data, decision=PromotionDecision(True, "better"))
        mlflow.MlflowClient().delete_model_version(three[1].model, three[1].number)
        assert rollback(three[0].model, data_dir=data, reason="worse").current == three[0]

    def test_one_that_skipped_a_version_goes_back_to_what_was_in_use(
        self, three: list[Version], data: Path
    ) -> None:
        first, _, third = three
        promote(first, data_dir=data, decision=PromotionDecision(True, "good"))
        promote(third, data_dir=data, decision=PromotionDecision(True, "better"))
        assert rollback(first.model, data_dir=data, reason="worse").current == first

    def test_what_was_rolled_back_says_so_until_a_hand_promotes_it(
        self, three: list[Version], data: Path
    ) -> None:
        for version in three[:2]:
            promote(version, data_dir=data, decision=PromotionDecision(True, "better"))
        rollback(three[0].model, data_dir=data, reason="worse")
        assert model_versions.tags_of(three[1])[ROLLED_BACK] == "worse"
        promote_by_hand(three[1], data_dir=data, reason="it was the electrodes")
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
        promote(champion, data_dir=data, decision=PromotionDecision(True, "good"))
        judged, _ = (register(name, tmp_path / "models") for _ in range(2))
        model_versions.tag_version(judged, {"promoted": "False", "reason": "below the minimum"})
        assert self.run("list", "--model", name) == 0
        told = capsys.readouterr().out.splitlines()
        rows, events = [re.split(r"  +", line) for line in told[1:7:2]], told[2:7:2]
        assert max(map(len, told[:-1])) <= 100
        assert [row[0] for row in rows] == ["3", "2", "1"]
        assert [row[1] for row in rows] == ["challenger", "-", "champion"]
        assert rows[2][3:6] == ["simdb", "93.1", "84.7"]
        assert [re.sub(STAMP, "", event.strip()) for event in events] == [
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
        assert told[0] == "model nobody: no version yet. Run `ectopy train` to make one."
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

    def test_list_notices_a_champion_of_whom_nobody_wrote_why(
        self, three: list[Version], data: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        import mlflow

        first, second, _ = three
        promote(first, data_dir=data, decision=PromotionDecision(True, "good"))
        mlflow.MlflowClient().set_registered_model_alias(second.model, "champion", second.number)
        assert self.run("list", "--model", first.model) == 0
        told = capsys.readouterr().out
        assert (
            "champion without an event: the alias was set outside ectopy. `ectopy models promote 2 " in told
        )
        assert self.run("promote", "2", "--reason", "approved after all", "--model", first.model) == 0
        assert history(second)[-1].startswith(
            "champion by hand of ada, its alias had been set outside ectopy"
        )
        assert self.run("list", "--model", first.model) == 0
        assert "without an event" not in capsys.readouterr().out

    def test_show_tells_the_history_and_what_the_gate_says_now(
        self, name: str, tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        good = {"veb_f1": 0.95, "sveb_f1": 0.8}
        champion = register(name, tmp_path / "models", **good)
        promote(champion, data_dir=data, decision=PromotionDecision(True, "good"))
        register(name, tmp_path / "models", veb_f1=0.9, sveb_f1=0.8)
        assert self.run("show", "2", "--model", name) == 0
        told = capsys.readouterr().out
        assert f"models:/{name}/2, challenger\n" in told
        assert "not evaluated yet" in told
        assert "| worse by more than 1 points |" in told
        assert "not promoted: gross/veb_f1 on simdb 90.0 %, the champion's 95.0 %" in told
        assert self.run("show", "1", "--model", name) == 0
        assert "Z champion by the gate, the first: good\n" in capsys.readouterr().out

    @pytest.mark.parametrize("command", [["promote", "2"], ["rollback"]])
    def test_a_reason_that_says_nothing_changes_nothing(
        self, three: list[Version], data: Path, command: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        for version in three[:2]:
            promote(version, data_dir=data, decision=PromotionDecision(True, "better"))
        before = [history(version) for version in three]
        assert self.run(*command, "--reason", " ", "--model", three[0].model) == 1
        assert "it does not say why" in capsys.readouterr().err
        assert [history(version) for version in three] == before

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
