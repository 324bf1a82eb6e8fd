"""The evaluation across databases, on two small databases of simulated patients: page, runs and what is not read."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from ectopy.datasets import catalogue
from ectopy.datasets.simulate import simulate_database
from ectopy.ec57 import gross
from ectopy.ec57.record_counts import from_json
from ectopy.flows.cross_database import cross_database
from ectopy.model import training
from ectopy.model.training_sources import TrainingSource, TrainingSourceError
from ectopy.registry import runs
from ectopy.registry.closing import WIDTH, Study
from tests.small import work_here
from tests.test_flow_train import CONFIG

pytestmark = pytest.mark.usefixtures("prefect_harness")

OTHER = replace(catalogue.find_database("simdb"), name="otherdb")
SOURCES = (TrainingSource("simdb", weight=0.5), TrainingSource("otherdb"))
TESTS = {"out of fold": ["simdb", "otherdb"], "without simdb": ["simdb"], "without otherdb": ["otherdb"]}
"""The tests, and the databases of their records."""


class Evaluated(NamedTuple):
    """What the flow gave, where it wrote, and its run with the nested ones by name."""

    study: Study
    data: Path
    out: Path
    run: Any
    tests: dict[str, Any]
    doubtful_used: dict[str, set[bool]]

    def artifact(self, run: Any, file: str) -> Path:
        import mlflow

        return Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path=file))


def children(run: Any) -> dict[str, Any]:
    import mlflow

    found = mlflow.search_runs(
        experiment_names=["ectopy-cross-database"],
        filter_string=f"tags.mlflow.parentRunId = '{run.info.run_id}'",
        output_format="list",
    )
    return {child.info.run_name: child for child in found}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory, tracking_uri: str) -> Evaluated:
    import mlflow

    data, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("out") / "new"
    simulate_database(data, recordings=3, minutes=6.0, seed=0)
    other = simulate_database(tmp_path_factory.mktemp("other"), recordings=3, minutes=6.0, seed=1)
    (data / "otherdb").mkdir()
    other.rename(data / "otherdb" / "1.0.0")
    doubtful_used: dict[str, set[bool]] = {}
    record_jobs = training.record_jobs

    def noted(*arguments: Any) -> list[Any]:
        jobs = record_jobs(*arguments)
        labelled = [record for job in jobs for record in (job.record, *job.donors)]
        doubtful_used[arguments[2].path.name] = {record.use_doubtful for record in labelled}
        return jobs

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "record_jobs", noted)
        work_here(patch)
        patch.setattr(catalogue, "DATABASES", {**catalogue.DATABASES, "otherdb": OTHER})
        study = cross_database(SOURCES, data, 2, CONFIG, out, tracking_uri=tracking_uri)
    found = mlflow.search_runs(experiment_names=["ectopy-cross-database"], output_format="list")
    (parent,) = (run for run in found if "mlflow.parentRunId" not in run.data.tags)
    return Evaluated(study, data, out, parent, children(parent), doubtful_used)


def test_there_is_a_run_for_each_test_with_its_networks(evaluated: Evaluated) -> None:
    assert set(evaluated.tests) == set(TESTS)
    assert set(children(evaluated.tests["out of fold"])) == {"fold 0", "fold 1"}
    assert set(children(evaluated.tests["without otherdb"])) == {"member 0", "member 1"}


def test_a_left_out_database_is_in_no_data_set_of_its_training(evaluated: Evaluated) -> None:
    for name, used in (("without otherdb", "simdb"), ("without simdb", "otherdb")):
        run = evaluated.tests[name]
        assert [each.dataset.name for each in run.inputs.dataset_inputs] == [
            f"{used} 1.0.0, training records"
        ]
        prepared = {
            path.parent.name
            for path in evaluated.data.glob(f"training/cross-database/{name.replace(' ', '-')}/*/*.npz")
        }
        assert prepared == {used}


def test_labels_that_networks_of_the_tested_database_doubted_are_used_without_it(
    evaluated: Evaluated,
) -> None:
    assert evaluated.doubtful_used == {
        "out-of-fold": {False},
        "without-simdb": {True},
        "without-otherdb": {True},
    }
    (member, *_) = children(evaluated.tests["without simdb"]).values()
    assert member.data.params["use_doubtful_labels"] == "True"


def test_every_training_record_is_tested_once_in_each_kind_of_test_and_no_held_out_one(
    evaluated: Evaluated,
) -> None:
    for name, databases in TESTS.items():
        records = from_json(evaluated.artifact(evaluated.tests[name], "records.json").read_text())
        assert {record.database for record in records} == set(databases)
        per_database = [[r.record for r in records if r.database == database] for database in databases]
        assert all(len(names) == len(set(names)) == 2 for names in per_database)
        assert all(len(record.members) == 2 for record in records)
        assert f"## Records, {name}\n" in evaluated.study.page
    assert not list(evaluated.data.glob("training/**/*003*"))


def test_the_metrics_are_those_of_the_counts(evaluated: Evaluated) -> None:
    for name, (*_, database) in TESTS.items():
        run = evaluated.tests[name]
        records = from_json(evaluated.artifact(run, "records.json").read_text())
        told = runs.all_metrics(run.info.run_id)
        beats = gross(record.beats for record in records if record.database == database)
        for metric in ("qrs_sensitivity", "veb_sensitivity", "sveb_positive_predictivity"):
            expected = getattr(beats, metric)
            if np.isfinite(expected):
                assert told[f"{database}/detected/gross/{metric}"] == pytest.approx(expected)


def test_page_figure_and_counts_are_on_the_run_and_in_the_folder(evaluated: Evaluated) -> None:
    for path in (evaluated.out / "cross-database.md", evaluated.artifact(evaluated.run, "cross-database.md")):
        assert path.read_text() == evaluated.study.page
    for path in (
        evaluated.out / "cross-database.png",
        evaluated.artifact(evaluated.run, "cross-database.png"),
    ):
        assert path.read_bytes().startswith(b"\x89PNG")
    counts = json.loads((evaluated.out / "cross-database-records.json").read_text())
    assert {name: len(records) for name, records in counts.items()} == {
        "out of fold": 4,
        "without simdb": 2,
        "without otherdb": 2,
    }


def test_the_page_names_the_command_with_every_changed_choice(evaluated: Evaluated) -> None:
    command = (
        "ectopy cross-database --database simdb=0.5 --database otherdb=1 --seeds 2 --out DIR --set n_folds=2 "
    )
    assert command in evaluated.study.page
    assert "--set epochs=2 " in evaluated.study.page


def test_the_summary_fits_a_screen_and_has_a_row_for_each_test_and_database(evaluated: Evaluated) -> None:
    _, titles, *rows = lines = evaluated.study.summary.splitlines()
    assert titles.split()[:3] == ["test", "on", "records"]
    assert [row.split("  ")[0] for row in rows] == [*["out of fold"] * 3, "without simdb", "without otherdb"]
    cells = [row[len("without otherdb") :].split()[:2] for row in rows]
    assert cells == [["all", "4"], ["simdb", "2"], ["otherdb", "2"], ["simdb", "2"], ["otherdb", "2"]]
    assert max(map(len, lines)) <= WIDTH
    assert Path(evaluated.study.path) == evaluated.out / "cross-database.md"


def test_the_run_above_has_f1_of_each_test_and_no_run_more_than_twenty_metrics(evaluated: Evaluated) -> None:
    above = evaluated.run.data.metrics
    for name, (*_, database) in TESTS.items():
        told = runs.all_metrics(evaluated.tests[name].info.run_id)
        of_test = "all" if name == "out of fold" else database
        for beat in ("veb", "sveb"):
            expected = told.get(f"{of_test}/detected/gross/{beat}_f1")
            assert above.get(f"{name.replace(' ', '_')}/{beat}_f1") == expected
    for run in (evaluated.run, *evaluated.tests.values()):
        assert len([name for name in run.data.metrics if not name.startswith("system/")]) <= 20
        assert run.data.tags[runs.DESCRIPTION]


def test_without_a_folder_the_page_is_that_of_the_run(evaluated: Evaluated) -> None:
    page = runs.path_of(evaluated.study.run_id, "cross-database.md")
    assert Path(page).read_text() == evaluated.study.page


def test_one_database_cannot_be_left_out() -> None:
    with pytest.raises(TrainingSourceError, match="one database is not enough"):
        cross_database(SOURCES[:1])
