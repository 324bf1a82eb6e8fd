"""The flow that compares, on simulated patients: a run a contender and seed, tables and figure, no held-out patient."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ectopy.datasets import catalogue, download
from ectopy.datasets.simulate import simulate_database
from ectopy.flows.compare import compare
from tests.test_ablation_trials import CONFIG

pytestmark = pytest.mark.usefixtures("prefect_harness")

LEARNED, EXAMINED = ("s0-001", "s0-002"), "s0-003"


class Compared(NamedTuple):
    """What the flow gave, where it wrote, and its run."""

    page: str
    data: Path
    out: Path
    run: Any
    children: list[Any]

    def artifact(self, file: str) -> Path:
        import mlflow

        return Path(mlflow.artifacts.download_artifacts(run_id=self.run.info.run_id, artifact_path=file))


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, tracking_uri: str) -> Compared:
    import mlflow

    data, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("out") / "new"
    simulate_database(data, recordings=3, minutes=6.0, seed=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ECTOPY_WORKERS", "1")
        page = compare("simdb", data, 2, ("gru",), (8,), CONFIG, out, tracking_uri=tracking_uri)
    told = mlflow.search_runs(experiment_names=["ectopy-compare"], output_format="list")
    (parent,) = (run for run in told if "mlflow.parentRunId" not in run.data.tags)
    children = [run for run in told if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    return Compared(page, data, out, parent, sorted(children, key=lambda run: run.info.run_name))


class TestCompare:
    def test_there_is_a_run_a_contender_and_seed(self, compared: Compared) -> None:
        names = [run.info.run_name for run in compared.children]
        contenders = ("gru, 16 beats", "gru, 8 beats")
        assert names == [f"{name}, seed {seed}" for name in contenders for seed in (0, 1)]

    def test_each_has_its_choices_figures_and_a_loss_an_epoch(self, compared: Compared) -> None:
        import mlflow

        for run in compared.children:
            assert run.data.params["windows_per_epoch"] == (
                "64" if ", 8 beats" in run.info.run_name else "32"
            )
            assert "out_of_fold/detected/gross/qrs_sensitivity" in run.data.metrics
            assert run.data.metrics["cost/training_s"] > 0
            losses = mlflow.MlflowClient().get_metric_history(run.info.run_id, "out_of_fold/loss")
            assert [point.step for point in losses] == [0, 1, 2]

    def test_the_forms_of_the_chosen_kind_are_a_table_of_its_run(self, compared: Compared) -> None:
        import mlflow

        for run in compared.children:
            files = {file.path for file in mlflow.MlflowClient().list_artifacts(run.info.run_id)}
            assert ("smaller.json" in files) == run.info.run_name.startswith("gru, 16 beats")

    def test_page_and_figure_are_on_the_run_and_in_the_directory(self, compared: Compared) -> None:
        for text in (compared.out / "comparison.md", compared.artifact("comparison.md")):
            assert text.read_text() == compared.page
        for drawing in (compared.out / "comparison.png", compared.artifact("comparison.png")):
            assert drawing.read_bytes().startswith(b"\x89PNG")
        assert "| GRU |" in compared.page
        assert "± " in compared.page  # over two seeds

    def test_the_table_of_trials_has_a_row_a_run(self, compared: Compared) -> None:
        table = json.loads(compared.artifact("trials.json").read_text())
        assert len(table["data"]) == len(compared.children) == 4

    def test_no_held_out_patient_is_read(self, compared: Compared) -> None:
        assert compared.run.data.params["simdb/records"] == ",".join(LEARNED)
        folder = download.database_folder(catalogue.find_database("simdb"), compared.data)
        assert EXAMINED in download.annotated_records(folder)
        stored = {path.stem for path in (compared.data / "training" / "simdb" / "simdb").glob("*.npz")}
        assert stored == set(LEARNED)
