"""The flow that compares, on simulated patients: a run a contender and seed, tables and figure, no held-out patient."""

import json
import logging
import re
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import pytest

from ectopy.ablation import compressed_variants, compression
from ectopy.datasets import catalogue, download
from ectopy.datasets.simulate import simulate_database
from ectopy.flows.compare import compare
from ectopy.registry import runs
from ectopy.registry.closing import WIDTH, Study
from tests.small import work_here
from tests.test_ablation_trials import CONFIG

pytestmark = pytest.mark.usefixtures("prefect_harness")

LEARNED, EXAMINED = ("s0-001", "s0-002"), "s0-003"


class Compared(NamedTuple):
    """What the flow gave, where it wrote, and its run."""

    study: Study
    data: Path
    out: Path
    run: Any
    children: list[Any]
    said: list[str]

    def artifact(self, file: str) -> Path:
        import mlflow

        return Path(mlflow.artifacts.download_artifacts(run_id=self.run.info.run_id, artifact_path=file))


def few_short_variants(patch: pytest.MonkeyPatch) -> None:
    """Measure three of the variants, for a hundredth of a day: test_ablation_trials.py measures all."""
    every = compressed_variants.all_variants()
    few = {name: every[name] for name in (compressed_variants.NATIVE, compressed_variants.INT8, "pruned 50%")}
    patch.setattr(compressed_variants, "all_variants", lambda: few)
    patch.setattr(compression, "DAY_BEATS", 1000)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, tracking_uri: str) -> Compared:
    import mlflow

    data, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("out") / "new"
    simulate_database(data, recordings=3, minutes=6.0, seed=0)
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.getLogger("ectopy.flows.progress"), "info", lambda m, *a: said.append(m % a))
        work_here(patch)
        few_short_variants(patch)
        study = compare("simdb", data, 2, ("gru",), (8,), CONFIG, out, tracking_uri=tracking_uri)
    told = mlflow.search_runs(experiment_names=["ectopy-compare"], output_format="list")
    (parent,) = (run for run in told if "mlflow.parentRunId" not in run.data.tags)
    children = [run for run in told if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    return Compared(study, data, out, parent, sorted(children, key=lambda run: run.info.run_name), said)


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
            assert text.read_text() == compared.study.page
        for drawing in (compared.out / "comparison.png", compared.artifact("comparison.png")):
            assert drawing.read_bytes().startswith(b"\x89PNG")
        assert "| GRU |" in compared.study.page
        assert "± " in compared.study.page  # over two seeds
        assert (compared.study.path, compared.study.run_id) == (
            str(compared.out / "comparison.md"),
            compared.run.info.run_id,
        )

    def test_the_summary_fits_a_screen_and_has_a_row_for_each_architecture_and_length(
        self, compared: Compared
    ) -> None:
        head, titles, *rows, verdicts = compared.study.summary.splitlines()
        assert head == "out of fold on simdb, 2 seeds; gross F1 in percent"
        assert titles.split()[:5] == ["network", "VEB", "F1", "SVEB", "F1"]
        assert [row.split("  ")[0] for row in rows] == ["GRU, 16 beats", "GRU, 8 beats"]
        assert re.fullmatch(r"hypotheses about GRUs: \d+ 'holds'.*", verdicts)
        assert max(map(len, compared.study.summary.splitlines())) <= WIDTH

    def test_the_run_above_has_f1_of_each_architecture_and_says_what_it_is(self, compared: Compared) -> None:
        trials = [run for run in compared.children if run.info.run_name.startswith("gru, 16 beats")]
        f1 = [run.data.metrics["out_of_fold/detected/gross/veb_f1"] for run in trials]
        assert compared.run.data.metrics["veb_f1/gru"] == pytest.approx(fmean(f1))
        assert "comparison.md" in compared.run.data.tags[runs.DESCRIPTION]
        for run in (compared.run, *compared.children):
            assert len([name for name in run.data.metrics if not name.startswith("system/")]) <= 20
            assert run.data.tags[runs.DESCRIPTION]

    def test_every_epoch_of_every_fold_is_a_step_from_the_start(self, compared: Compared) -> None:
        steps = [line for line in compared.said if line.startswith("training: ")]
        total = CONFIG.n_folds * CONFIG.epochs * len(compared.children)
        assert steps[0] == f"training: 0 of {total}"
        assert len(steps) == total + 1
        assert "gru, 8 beats, seed 1, epoch 3, loss " in "".join(steps)

    def test_the_table_of_trials_has_a_row_a_run(self, compared: Compared) -> None:
        table = json.loads(compared.artifact("trials.json").read_text())
        assert len(table["data"]) == len(compared.children) == 4

    def test_no_held_out_patient_is_read(self, compared: Compared) -> None:
        assert compared.run.data.params["simdb/records"] == ",".join(LEARNED)
        folder = download.database_folder(catalogue.find_database("simdb"), compared.data)
        assert EXAMINED in download.annotated_records(folder)
        stored = {path.stem for path in (compared.data / "training" / "simdb" / "simdb").glob("*.npz")}
        assert stored == set(LEARNED)
