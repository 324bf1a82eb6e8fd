"""The demo: the whole road, offline, again and again, and nothing outside its folder."""

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ectopy.annotations import read_annotations
from ectopy.datasets.simulate import DEFAULT_FS
from ectopy.flows.demo import demo
from ectopy.model.network import TrainConfig
from ectopy.registry import model_versions, runs
from ectopy.registry.promotion_gate import MinimumScores
from tests.small import work_here

pytestmark = pytest.mark.usefixtures("prefect_harness")

CONFIG = TrainConfig(
    n_folds=2,
    members=1,
    fold_members=1,
    window_beats=16,
    epochs=1,
    windows_per_epoch=32,
    batch_windows=16,
    dense_units=8,
    gru_units=4,
)
NO_FLOORS = MinimumScores(veb_f1=-1.0, sveb_f1=-1.0)


class Shown(NamedTuple):
    """A demo that ran in an empty directory, and what it told."""

    out: Path
    text: str

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.out}/mlruns/mlflow.db"

    def rows(self) -> list[dict[str, str]]:
        with (self.out / "results" / "summary.csv").open(newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, tracking_uri: str) -> Iterator[Shown]:
    here = tmp_path_factory.mktemp("here")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.setenv("ECTOPY_WORKERS", "1")
        patch.setenv("ECTOPY_TRACKING_URI", "sqlite:///never.db")
        patch.setenv("ECTOPY_DATA_DIR", "never")
        text = demo(Path("out"), patients=3, minutes=6.0, config=CONFIG, minimum=NO_FLOORS)
        yield Shown(here / "out", text)


def test_everything_lies_under_one_folder(shown: Shown) -> None:
    assert [path.name for path in shown.out.parent.iterdir()] == ["out"]
    assert sorted(path.name for path in shown.out.iterdir()) == ["data", "mlruns", "new", "results", "source"]
    assert sorted(path.name for path in (shown.out / "mlruns").iterdir()) == ["artifacts", "mlflow.db"]


def test_every_place_it_names_is_there(shown: Shown) -> None:
    named = re.findall(r"^(?:reports|table|model) +(\S+)$", shown.text, re.MULTILINE)
    assert [Path(path).relative_to(shown.out).as_posix() for path in named] == [
        "results/index.html",
        "results/summary.csv",
        "data/models/champion",
    ]
    assert all(Path(path).exists() for path in named)


def test_the_command_it_gives_for_mlflow_can_be_run(shown: Shown) -> None:
    (program,) = re.findall(r"^MLflow +ECTOPY_TRACKING_URI=\S+ (\S+) ui$", shown.text, re.MULTILINE)
    assert os.access(program, os.X_OK)
    assert shown.uri in shown.text


def test_experiment_and_model_bear_the_demo_s_own_name(shown: Shown) -> None:
    import mlflow

    assert runs.connect(shown.uri, "ectopy-demo") in shown.text
    names = {experiment.name for experiment in mlflow.search_experiments()}
    assert names == {"Default", "ectopy-demo"}
    assert [model.name for model in mlflow.search_registered_models()] == ["ectopy-demo"]


def test_the_champion_scored_patients_that_nobody_had_learned_from(shown: Shown) -> None:
    (row,) = shown.rows()
    assert (row["recording"], row["status"]) == ("s2-001", "scored")
    assert row["model"].startswith("ectopy-demo")
    assert (shown.out / "results" / "s2-001" / "report.html").is_file()


def test_the_beats_found_are_compared_with_those_simulated(shown: Shown) -> None:
    # Of six minutes EC57 scores the last.
    truth = read_annotations(shown.out / "new" / "simdb" / "1.0.0" / "s2-001", "atr")
    last_minute = (truth.sample >= 300 * DEFAULT_FS) & (truth.symbol != "+")
    (row,) = re.findall(r"^s2-001 +(\d+) +([\d.]+) +([\d.]+)", shown.text, re.MULTILINE)
    assert row == (str(last_minute.sum()), "100.00", "100.00")


def test_a_second_demo_in_the_same_folder_adds_a_version(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    work_here(monkeypatch)  # the first trained in processes of its own
    runs.connect(shown.uri, "ectopy-demo")
    before = model_versions.challenger("ectopy-demo")
    demo(shown.out, patients=3, minutes=6.0, config=CONFIG, minimum=NO_FLOORS)
    assert int(model_versions.challenger("ectopy-demo").number) == int(before.number) + 1
    # Training on other threads differs in the last digit, which is enough to be worse than the champion.
    promoted = model_versions.version_by_alias("ectopy-demo", "champion") == model_versions.challenger(
        "ectopy-demo"
    )
    assert [row["status"] for row in shown.rows()] == ["scored" if promoted else "skipped"]
