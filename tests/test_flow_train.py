"""The flows that train and evaluate, on simulated patients: what MLflow keeps, who becomes champion and why."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from ectopy.batch import planning
from ectopy.datasets import catalogue
from ectopy.datasets.simulate import simulate_database
from ectopy.ec57 import gross
from ectopy.ec57.record_counts import from_json, to_json
from ectopy.ecg import CLASSES
from ectopy.evaluation import NothingToEvaluateError
from ectopy.evaluation.finding_jobs import find_model
from ectopy.evaluation.jobs import challenger_jobs
from ectopy.features.extraction import FEATURE_NAMES
from ectopy.flows.evaluate import evaluate
from ectopy.flows.train import train
from ectopy.model import network, training_set
from ectopy.model.classifier import ModelError, load_classifier
from ectopy.model.train_file import read_train_file
from ectopy.model.training_sources import DEFAULT_SOURCES, LabelledRecord, TrainingSource
from ectopy.monitoring import drift
from ectopy.registry import model_versions, runs
from ectopy.registry.evidence import OUT_OF_FOLD_RECORDS
from ectopy.registry.promotion_gate import GATE_METRICS, MinimumScores, PromotionDecision
from ectopy.registry.shipped_champion import read_out_of_fold
from tests.small import work_here, write_model

pytestmark = pytest.mark.usefixtures("prefect_harness")

CONFIG = network.TrainConfig(
    *(0, 2, 2),
    fold_members=2,
    window_beats=16,
    dense_units=8,
    gru_units=4,
    epochs=2,
    windows_per_epoch=32,
    batch_windows=16,
    jitter_s=0.0,
)
MODEL = "simulated"
"""The registered model of these tests; that of the default name has the shipped one for a first champion."""
LEARNED, EXAMINED = ("s0-001", "s0-002"), "s0-003"
NO_FLOORS = MinimumScores(veb_f1=-1.0, sveb_f1=-1.0)


class Trained(NamedTuple):
    """A data directory, its tracking store and the version that was trained on them."""

    data: Path
    uri: str
    version: model_versions.Version
    run: Any

    def children(self, name: str, parent: Any = None) -> Any:
        import mlflow

        parent_id = (parent or self.run).info.run_id

        told = mlflow.search_runs(
            experiment_names=["ectopy-train"],
            filter_string=f"tags.mlflow.parentRunId = '{parent_id}' and attributes.run_name LIKE '{name}%'",
            output_format="list",
        )
        return sorted(told, key=lambda run: run.info.run_name)

    @property
    def metrics(self) -> dict[str, float]:
        """All of them: those on the page of the run, and the rows of its table."""
        return runs.all_metrics(self.version.run_id)

    def artifact(self, file: str) -> Path:
        import mlflow

        return Path(mlflow.artifacts.download_artifacts(run_id=self.version.run_id, artifact_path=file))

    def lesson(self, record: str) -> training_set.TrainingRecord:
        stored = self.data / "training" / "simdb" / "simdb" / f"{record}.npz"
        labelled = LabelledRecord("simdb", self.data / "simdb" / "1.0.0" / record, record)
        return training_set.load_training_record(stored, labelled)


@pytest.fixture(scope="module", autouse=True)
def workers() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        work_here(patch)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tracking_uri: str) -> Trained:
    import mlflow

    data = tmp_path_factory.mktemp("data")
    simulate_database(data, recordings=3, minutes=6.0, seed=0)  # EC57 does not score the first five
    version = train(
        [TrainingSource("simdb", weight=0.5)], data, CONFIG, model=MODEL, tracking_uri=tracking_uri
    )
    return Trained(data, tracking_uri, version, mlflow.get_run(version.run_id))


class TestTrain:
    def test_the_version_is_the_challenger_and_not_yet_champion(self, trained: Trained) -> None:
        assert model_versions.challenger(MODEL) == trained.version
        assert model_versions.version_by_alias(MODEL, "champion") is None

    def test_its_findings_are_evaluated_by_networks_that_have_not_seen_the_patient(
        self, trained: Trained
    ) -> None:
        model = find_model(f"models:/{MODEL}/{trained.version.number}")
        assert model.training == ("simdb",)
        assert set(model.folds) == {f"simdb/{record}" for record in LEARNED}
        assert len(set(model.folds.values())) == 2
        assert model.calibration is not None
        assert find_model(f"models:/{MODEL}@challenger").name == model.name
        with pytest.raises(ModelError, match="models:/nobody@champion: not the address of a model"):
            find_model("models:/nobody@champion")

    def test_what_mlflow_serves_is_what_the_classifier_says(self, trained: Trained) -> None:
        import mlflow

        features = trained.lesson(LEARNED[0]).get("detected").features
        probability, confident = load_classifier(model_versions.fetch_model(trained.version.uri))(features)
        served = mlflow.pyfunc.load_model(trained.version.uri).predict(
            pd.DataFrame(features, columns=list(FEATURE_NAMES))
        )
        np.testing.assert_array_equal(served[[f"p_{name.lower()}" for name in CLASSES]], probability)
        np.testing.assert_array_equal(served["confident"], confident)
        assert served["label"].tolist() == [CLASSES[k] for k in probability.argmax(axis=1)]

    def test_everything_that_the_experiment_chose_is_on_the_run(self, trained: Trained) -> None:
        told = trained.run.data.params
        assert {name: told[name] for name in asdict(CONFIG)} == {k: str(v) for k, v in asdict(CONFIG).items()}
        assert (told["database"], told["simdb/records"]) == ("simdb", ",".join(LEARNED))
        assert (told["simdb/weight"], told["simdb/map"]) == ("0.5", "dechazal")

    def test_the_file_that_repeats_it_is_on_the_run(self, trained: Trained) -> None:
        assert read_train_file(trained.artifact("training.toml")) == (
            CONFIG,
            (TrainingSource("simdb", weight=0.5),),
        )

    def test_every_fold_and_member_has_a_curve_with_a_point_an_epoch(self, trained: Trained) -> None:
        import mlflow

        folds = trained.children("fold")
        assert [run.info.run_name for run in folds] == ["fold 0", "fold 1"]
        networks = [run for fold in folds for run in trained.children("fold", fold)]
        assert [run.info.run_name for run in networks] == [
            f"fold {k}, network {n}" for k in (0, 1) for n in (0, 1)
        ]
        for run in [*networks, *trained.children("member")]:
            curve = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
            assert [point.step for point in curve] == [0, 1]

    def test_each_training_record_is_held_out_once_and_an_examined_one_is_nowhere(
        self, trained: Trained
    ) -> None:
        held_out = [run.data.params["held out"] for run in trained.children("fold")]
        assert sorted(held_out) == sorted(f"simdb/{record}" for record in LEARNED)
        assert not (trained.data / "training" / "simdb" / "simdb" / f"{EXAMINED}.npz").exists()

    def test_a_member_differs_from_the_first_in_its_seed_alone(self, trained: Trained) -> None:
        first, second = (run.data.params for run in trained.children("member"))
        assert {name for name in first if first[name] != second[name]} == {"seed"}

    def test_out_of_fold_figures_come_as_metrics_table_and_drawings(self, trained: Trained) -> None:
        for view in ("detected", "given"):
            assert f"out_of_fold/{view}/gross/qrs_sensitivity" in trained.metrics
            table = json.loads(trained.artifact(f"out_of_fold/{view}.json").read_text())
            records = [row[table["columns"].index("record")] for row in table["data"]]
            assert records == [f"simdb/{record}" for record in LEARNED]
            for drawing in (f"{view}.png", f"{view}-by-record.png"):
                assert trained.artifact(f"out_of_fold/{drawing}").read_bytes().startswith(b"\x89PNG")

    def test_the_figures_of_a_database_are_those_of_its_records_by_ensemble_and_by_network(
        self, trained: Trained
    ) -> None:
        told = trained.metrics
        for metric in ("gross/qrs_sensitivity", "average/veb_positive_predictivity"):  # of a single database
            for view in ("detected", "given"):
                assert told.get(f"out_of_fold/simdb/{view}/{metric}") == told.get(
                    f"out_of_fold/{view}/{metric}"
                )
        low, mean, high = (
            told[f"out_of_fold/seeds/gross/qrs_sensitivity_{name}"] for name in ("min", "mean", "max")
        )
        assert low <= mean <= high

    def test_the_counts_of_each_record_are_kept_for_comparison(self, trained: Trained) -> None:
        text = trained.artifact("out_of_fold/records.json").read_text()
        records = from_json(text)
        kept = read_out_of_fold(model_versions.fetch_model(trained.version.uri))
        assert to_json(kept.records) == text
        assert [(record.database, record.record, len(record.members)) for record in records] == [
            ("simdb", name, 2) for name in LEARNED
        ]
        told = trained.metrics["out_of_fold/detected/gross/qrs_sensitivity"]
        assert gross(record.beats for record in records).qrs_sensitivity == told

    def test_given_beats_are_all_found(self, trained: Trained) -> None:
        assert trained.metrics["out_of_fold/given/gross/qrs_sensitivity"] == 1.0

    def test_the_page_of_the_run_has_few_metrics_and_the_table_all(self, trained: Trained) -> None:
        shown = {name for name in trained.run.data.metrics if not name.startswith("system/")}
        assert len(shown) <= 20
        assert len(trained.metrics) > 100
        assert {f"by_epoch/loss {group}" for group in ("fold 0", "fold 1", "ensemble")} <= shown
        assert "calibration/expected_error" in shown
        assert {"calibration/temperature", "calibration/expected_error/simdb"} <= set(trained.metrics) - shown
        assert set(trained.run.data.metrics) <= set(trained.metrics)

    def test_a_training_with_the_default_settings_has_at_most_twenty_metrics(self, trained: Trained) -> None:
        families = {"by_epoch/": CONFIG.n_folds + 1, "calibration/": 1, "out_of_fold/detected/": 8}
        of_a_database = "out_of_fold/simdb/detected/"
        for prefix, most in {**families, of_a_database: 2}.items():
            assert sum(name.startswith(prefix) for name in trained.run.data.metrics) <= most
        by_default = sum(families.values()) + network.TrainConfig().n_folds - CONFIG.n_folds
        assert by_default + 2 * len(DEFAULT_SOURCES) == 19

    def test_learning_curves_are_the_mean_loss_of_the_networks(self, trained: Trained) -> None:
        import mlflow

        client = mlflow.MlflowClient()
        networks = [run for fold in trained.children("fold")[:1] for run in trained.children("fold", fold)]
        curves = [client.get_metric_history(run.info.run_id, "loss") for run in networks]
        mean = client.get_metric_history(trained.version.run_id, "by_epoch/loss fold 0")
        assert [point.step for point in mean] == [0, 1]
        for point, *of_networks in zip(mean, *curves, strict=True):
            assert point.value == pytest.approx(np.mean([each.value for each in of_networks]))

    def test_every_run_says_what_it_is_for(self, trained: Trained) -> None:
        for run in (trained.run, *trained.children("fold"), *trained.children("member")):
            assert run.data.tags[runs.DESCRIPTION]
        assert "by_epoch/" in trained.run.data.tags[runs.DESCRIPTION]

    def test_the_model_says_how_good_it_is_on_which_database(self, trained: Trained) -> None:
        import mlflow

        model_id = model_versions.model_id_of(trained.version)
        assert model_id is not None
        metrics = mlflow.get_logged_model(model_id).metrics or []
        by_data = {metric.key: metric.value for metric in metrics if metric.dataset_name}
        told = trained.metrics
        names = [f"out_of_fold/simdb/detected/gross/{beat}_f1" for beat in ("veb", "sveb")]
        assert by_data == {name: told[name] for name in names if name in told}
        assert {metric.dataset_name for metric in metrics if metric.dataset_name} <= {
            "simdb 1.0.0, training records"
        }

    def test_the_data_set_is_on_the_run_with_a_digest(self, trained: Trained) -> None:
        (used,) = trained.run.inputs.dataset_inputs
        assert used.dataset.name == "simdb 1.0.0, training records"
        assert trained.run.data.params["simdb/sha256"].startswith(used.dataset.digest)

    def test_the_model_bears_the_metrics_that_the_next_challenger_must_reach(self, trained: Trained) -> None:
        kept = read_out_of_fold(model_versions.fetch_model(trained.version.uri))
        assert kept.database == "simdb"
        logged = trained.metrics
        assert {f"out_of_fold/detected/{name}" for name in kept.metrics} <= logged.keys()
        assert all(logged[f"out_of_fold/detected/{name}"] == value for name, value in kept.metrics.items())

    def test_the_version_bears_its_card(self, trained: Trained) -> None:
        import mlflow

        card = mlflow.MlflowClient().get_model_version(MODEL, trained.version.number).description
        assert card == (model_versions.fetch_model(trained.version.uri) / "card.md").read_text()
        assert (
            "Simulated patients (simdb 1.0.0), weight 0.5, escape beats (e, j, n) as N: s0-001, s0-002."
            in card
        )

    def test_the_version_brings_its_training_patients_along_each_as_one_that_was_not_learned_from(
        self, trained: Trained
    ) -> None:
        reference = drift.read_reference(model_versions.fetch_model(trained.version.uri))
        assert reference is not None
        n_beats = [len(trained.lesson(record).get("detected").label) for record in LEARNED]
        assert sorted(reference.counts[:, 0].sum(axis=1)) == sorted(n_beats)

    def test_the_code_of_a_run_is_told_by_version_and_commit(self, trained: Trained) -> None:
        for run in (trained.run, *trained.children("fold")):
            assert run.data.tags["ectopy_version"]
            assert re.fullmatch("[0-9a-f]{40}", run.data.tags["mlflow.source.git.commit"])
            assert run.data.tags["changed since"] in {"True", "False"}

    def test_each_network_is_kept_to_be_examined_alone(self, trained: Trained) -> None:
        import mlflow

        for run in [*trained.children("fold"), *trained.children("member")]:
            files = {file.path for file in mlflow.MlflowClient().list_artifacts(run.info.run_id, "model")}
            assert {"model/model.onnx", "model/model.json"} <= files

    def test_the_members_have_the_calibration_of_the_ensemble(self, trained: Trained) -> None:
        """They are trained along with the folds, before there is one."""
        folders = [model_versions.fetch_model(trained.version.uri)]
        folders += [
            model_versions.download_folder(run, "model")
            for run in model_versions.member_runs(trained.version)
        ]
        ensemble, *members = (load_classifier(folder).specification for folder in folders)
        assert (ensemble.temperature, ensemble.confidence_threshold) != (1, 0)
        for member in members:
            assert member.temperature == ensemble.temperature
            assert member.confidence_threshold == ensemble.confidence_threshold

    def test_the_members_are_found_in_their_order_and_average_to_the_ensemble(self, trained: Trained) -> None:
        runs = model_versions.member_runs(trained.version)
        assert runs == [run.info.run_id for run in trained.children("member")]
        features = trained.lesson(LEARNED[0]).get("detected").features
        members = [load_classifier(model_versions.download_folder(run, "model")) for run in runs]
        ensemble = load_classifier(model_versions.fetch_model(trained.version.uri))
        mean = np.mean([member.logits(features) for member in members], axis=0)
        np.testing.assert_allclose(ensemble.logits(features), mean, atol=1e-4)

    def test_the_card_names_the_split(self, trained: Trained) -> None:
        text = (model_versions.fetch_model(trained.version.uri) / "card.md").read_text()
        assert f"Held out: {EXAMINED}.\n  Used for neither: none." in text


def register(name: str, folder: Path, **figures: float) -> model_versions.Version:
    """Register a model directory as a challenger whose cross-validation gave these figures."""
    with runs.run(name):
        told = dict.fromkeys(GATE_METRICS, 0.5) | {
            figure.replace("_", "/", 1): x for figure, x in figures.items()
        }
        runs.log_metrics(told, prefix="out_of_fold/detected/")
        return model_versions.register(folder, model=name, tags={})


def tags_of(version: model_versions.Version) -> dict[str, str]:
    import mlflow

    return dict(mlflow.MlflowClient().get_model_version(version.model, version.number).tags)


def description_of(version: model_versions.Version) -> str:
    import mlflow

    return str(mlflow.MlflowClient().get_model_version(version.model, version.number).description)


@pytest.fixture
def constant(tmp_path: Path) -> Path:
    """A model that calls every beat normal, which no held-out patient is judged well by."""
    folder = write_model(tmp_path / "constant", always="N")
    (folder / "card.md").write_text("# Constant\n")
    return folder


def examine(
    trained: Trained, model: str, minimum: MinimumScores = NO_FLOORS, card_to: Path | None = None
) -> PromotionDecision:
    return evaluate(
        "simdb",
        trained.data,
        minimum,
        model=model,
        tracking_uri=trained.uri,
        reason="a test",
        card_to=card_to,
    )


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the card is laid."""
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def promoted(trained: Trained, pages: Path) -> PromotionDecision:
    return examine(trained, MODEL, card_to=pages)


def run_of(version: model_versions.Version) -> Any:
    """The run that examined a version."""
    import mlflow

    (run,) = mlflow.search_runs(
        experiment_names=["ectopy-evaluate"],
        filter_string=f"params.model = '{version.uri}'",
        output_format="list",
    )
    return run


def artifacts(run: Any, folder: str = "") -> list[str]:
    import mlflow

    return [file.path for file in mlflow.MlflowClient().list_artifacts(run.info.run_id, folder)]


class TestPromotion:
    def test_above_the_floors_the_first_challenger_is_champion(
        self, trained: Trained, promoted: PromotionDecision
    ) -> None:
        assert promoted.promoted
        assert model_versions.version_by_alias(MODEL, "champion") == trained.version
        tags = tags_of(trained.version)
        assert re.search(
            rf"Z champion by the gate, the first: {re.escape(promoted.reason)}$", tags.pop("history")
        )
        assert tags == {
            "database": "simdb",
            "promoted": "True",
            "reason": promoted.reason,
            "champion before": "",
        }

    @pytest.mark.usefixtures("promoted")
    def test_the_champion_lies_where_scoring_finds_it_without_mlflow(self, trained: Trained) -> None:
        champion = planning.find_model(None, trained.data).folder
        assert champion == (trained.data / "models" / "champion").resolve()
        assert {path.name for path in champion.iterdir()} == {
            *("model.onnx", "model.json", "card.md", "reference.json", "out_of_fold.json", "manifest.json")
        }
        registered = load_classifier(model_versions.fetch_model(f"models:/{MODEL}@champion"))
        assert load_classifier(champion).version_id == registered.version_id
        assert (champion / "card.md").read_text() == description_of(trained.version)

    @pytest.mark.usefixtures("promoted")
    def test_the_model_says_how_good_it_is_on_held_out_patients_and_the_gate_does_not_read_it(
        self, trained: Trained
    ) -> None:
        import mlflow

        run, model_id = run_of(trained.version), model_versions.model_id_of(trained.version)
        assert model_id is not None
        shown = {name for name in run.data.metrics if not name.startswith("system/")}
        assert len(shown) <= 20
        assert run.data.tags[runs.DESCRIPTION].startswith("**promoted: ")
        of_data = {
            metric.key
            for metric in mlflow.get_logged_model(model_id).metrics or ()
            if metric.dataset_name == "simdb 1.0.0, held-out records"
        }
        assert "held_out/beats/qrs_sensitivity" in of_data
        assert of_data <= shown
        assert not any(name.startswith(("held_out", "everyone")) for name in trained.metrics)

    @pytest.mark.usefixtures("promoted")
    def test_figures_on_held_out_patients_are_on_run_and_version(self, trained: Trained) -> None:
        import mlflow

        run = run_of(trained.version)
        assert (run.data.tags["why"], run.data.tags["verdict"]) == ("a test", "promoted")
        for beats in ("detected", "given"):
            assert f"{beats}/all/gross/qrs_sensitivity" in runs.all_metrics(run.info.run_id)
            names = ("by-record.json", "by-record.png", "confusion.png", "intervals.json")
            assert artifacts(run, beats) == [f"{beats}/{name}" for name in names]
            assert f"Held-out patients of simdb: {beats} " in description_of(trained.version)
        told = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/detected/by-record.json")
        assert [row[0] for row in told["data"]] == [EXAMINED]


def test_a_database_without_beats_is_not_evaluated(tmp_path: Path) -> None:
    with pytest.raises(NothingToEvaluateError, match=r"vfdb: its labels do not test beats\. Choose"):
        evaluate("vfdb", tmp_path)


@pytest.mark.usefixtures("promoted")
class TestExamination:
    def table(self, trained: Trained, file: str) -> pd.DataFrame:
        import mlflow

        told = mlflow.artifacts.load_dict(f"{run_of(trained.version).info.artifact_uri}/{file}")
        return pd.DataFrame(told["data"], columns=told["columns"])

    def test_held_out_and_all_records_are_told_apart(self, trained: Trained) -> None:
        table = self.table(trained, "at-a-glance.json")
        assert list(table) == [
            *("%", "held out", "95 %", "each member alone"),
            *("all 3", "95 % of these"),
        ]
        told = runs.all_metrics(run_of(trained.version).info.run_id)
        n = {group: told[f"{group}/ventricular/couplet_test"] for group in ("held_out", "everyone_not_paced")}
        assert n["held_out"] <= n["everyone_not_paced"]

    def test_records_learned_from_are_called_by_networks_that_have_not_seen_them(
        self, trained: Trained
    ) -> None:
        # What the folds found in training must come out again when their records are examined.
        import mlflow

        held = {run.data.params["held out"]: run for run in trained.children("fold")}
        ensemble = model_versions.fetch_model(trained.version.uri)
        records = [trained.data / "simdb" / "1.0.0" / record for record in (*LEARNED, EXAMINED)]
        candidates = challenger_jobs(trained.version, ensemble, catalogue.find_database("simdb"), records)
        for candidate in candidates:
            if candidate.held_out:
                assert (candidate.record.name, candidate.model) == (EXAMINED, ensemble)
                assert len(candidate.members) == CONFIG.members
                continue
            own = held[f"simdb/{candidate.record.name}"].info.run_id
            kept = Path(mlflow.artifacts.download_artifacts(run_id=own, artifact_path="model"))
            assert load_classifier(candidate.model).version_id == load_classifier(kept).version_id
            assert candidate.members == ()

    def test_seeds_have_mean_deviation_and_range(self, trained: Trained) -> None:
        told = runs.all_metrics(run_of(trained.version).info.run_id)
        low, middle, high = (
            told[f"seeds/all/beats/veb_sensitivity_{name}"] for name in ("min", "mean", "max")
        )
        assert low <= middle <= high
        table = self.table(trained, "seeds/all.json")
        assert list(table)[:4] == ["%", "ensemble", "member 0", "member 1"]

    def test_confidence_runs_af_and_shutdown_are_on_the_run(self, trained: Trained) -> None:
        run = run_of(trained.version)
        told = runs.all_metrics(run.info.run_id)
        for name in (
            *("calibration_error/likeliest_class", "calibration_error/V", "risk_coverage/area"),
            *("abstention/share", "shutdown/share", "af_anywhere/test", "ventricular/long_run_reference"),
        ):
            assert f"held_out/{name}" in told
        assert artifacts(run, "confidence") == [
            f"confidence/{file}"
            for file in ("calibration.json", "reliability.png", "risk-coverage.json", "risk-coverage.png")
        ]
        for file, records in (("unreadable.json", (*LEARNED, EXAMINED)), ("runs.json", None)):
            table = self.table(trained, file)
            assert records is None or tuple(table["record"]) == records

    def test_where_it_fails_is_drawn_and_the_card_shows_it(self, trained: Trained, pages: Path) -> None:
        drawn = [Path(file).name for file in artifacts(run_of(trained.version), "where-it-fails")]
        assert drawn  # two epochs of a tiny network do not suffice
        page = (pages / "model-card.md").read_text()
        for file in drawn:
            assert re.fullmatch(rf"{EXAMINED}-s?veb\.png", file)
            assert f"(model-card/{file})" in page
            assert (pages / "model-card" / file).read_bytes().startswith(b"\x89PNG")

    def test_the_exported_card_has_the_figures_and_says_where_the_strips_are(self, trained: Trained) -> None:
        text = description_of(trained.version)
        for title in ("At a glance", "Runs", "Atrial fibrillation", "Confidence", "Unreadable", "Seeds"):
            assert f"## {title}\n" in text
        assert "![" not in text
        assert "artifacts of the run that evaluated the model: `where-it-fails/`" in text

    def test_the_table_at_a_glance_comes_last_in_the_terminal(self, promoted: PromotionDecision) -> None:
        titles = re.findall("^## (.*)$", promoted.report, re.MULTILINE)
        assert titles[-1] == "At a glance"
        assert "| VEB F1 " in promoted.report.split("## At a glance")[1]


class TestVerdict:
    @pytest.fixture(autouse=True)
    def without_drawings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Save no drawing: that takes most of the time, and TestExamination looks at those of the first run."""
        monkeypatch.setattr(runs, "log_figure", lambda *_: None)

    def test_a_version_without_kept_networks_is_examined_on_held_out_patients_alone(
        self, trained: Trained, constant: Path
    ) -> None:
        told = examine(trained, register("lonely", constant).model).report
        glance = told.split("## At a glance")[1]
        assert re.search(r"^\| % +\| held out \| +95 % \|$", glance, re.MULTILINE)
        assert "## Seeds" not in told

    def test_under_the_floors_there_is_no_champion_and_the_version_says_why(
        self, trained: Trained, constant: Path
    ) -> None:
        version = register("floored", constant, gross_veb_f1=0.7)
        verdict = examine(trained, "floored", MinimumScores(veb_f1=0.9, sveb_f1=0.1))
        assert not verdict.promoted
        assert verdict.reason == "gross/veb_f1 70.0 % is below the minimum of 90.0 %"
        assert tags_of(version) == {"promoted": "False", "reason": verdict.reason}
        assert model_versions.version_by_alias("floored", "champion") is None

    def test_worse_out_of_fold_than_the_champion_is_not_promoted_however_good_on_held_out_patients(
        self, trained: Trained, constant: Path
    ) -> None:
        champion = register("rivals", constant, gross_veb_f1=0.8)
        model_versions.set_champion(champion, "champion: a test")
        register("rivals", model_versions.fetch_model(trained.version.uri), gross_veb_f1=0.78)
        verdict = examine(trained, "rivals")
        assert not verdict.promoted
        assert verdict.reason.startswith(
            "gross/veb_f1 on unknown 78.0 %, the champion's 80.0 %: worse by more"
        )
        assert model_versions.version_by_alias("rivals", "champion") == champion

    def test_a_model_of_other_patients_never_takes_the_champion_s_place(
        self, trained: Trained, constant: Path
    ) -> None:
        champion = register("others", constant, gross_veb_f1=0.8)
        model_versions.tag_version(champion, {"database": "mitdb"})
        model_versions.set_champion(champion, "champion: a test")
        model_versions.tag_version(register("others", constant, gross_veb_f1=0.99), {"database": "simdb"})
        verdict = examine(trained, "others")
        assert not verdict.promoted
        assert verdict.reason.startswith("it cannot be compared with the champion on mitdb")
        assert model_versions.version_by_alias("others", "champion") == champion

    def test_a_champion_of_other_patients_is_compared_on_those_of_the_challenger(
        self, trained: Trained, constant: Path
    ) -> None:
        network = model_versions.fetch_model(trained.version.uri)
        with runs.run("guests"):
            champion = model_versions.register(constant, model="guests", tags={"database": "mitdb"})
        model_versions.set_champion(champion, "champion: a test")
        with runs.run("guests"):
            runs.log_text(trained.artifact(OUT_OF_FOLD_RECORDS).read_text(), OUT_OF_FOLD_RECORDS)
            runs.log_metrics(dict.fromkeys(GATE_METRICS, 0.5), prefix="out_of_fold/detected/")
            challenger = model_versions.register(network, model="guests", tags={"database": "simdb"})
        verdict = examine(trained, "guests")
        assert set(verdict.comparison["records"]) == {"simdb"}
        assert set(verdict.comparison["patients"]) == {len(LEARNED)}
        assert verdict.promoted
        assert "## Promotion\n" in description_of(challenger)
        assert "promotion-gate.json" in artifacts(run_of(challenger))

    def test_better_out_of_fold_is_promoted_however_bad_on_held_out_patients(
        self, trained: Trained, constant: Path
    ) -> None:
        model_versions.set_champion(register("betters", constant, gross_veb_f1=0.8), "champion: a test")
        better = register("betters", constant, gross_veb_f1=0.81)
        assert examine(trained, "betters").promoted
        assert model_versions.version_by_alias("betters", "champion") == better

    def test_a_version_that_was_rolled_back_is_not_promoted_again_however_good(
        self, trained: Trained, constant: Path
    ) -> None:
        champion, better = (register("returned", constant, gross_veb_f1=f1) for f1 in (0.8, 0.9))
        model_versions.set_champion(champion, "champion: a test")
        model_versions.tag_version(better, {model_versions.ROLLED_BACK: "false alarms"})
        verdict = examine(trained, "returned")
        assert not verdict.promoted
        assert verdict.reason.startswith("it was rolled back: false alarms")

    def test_a_folder_for_the_card_that_cannot_be_made_is_an_error_before_anybody_is_examined(
        self, trained: Trained, tmp_path: Path
    ) -> None:
        (tmp_path / "a file").write_text("")
        with pytest.raises(FileExistsError, match="a file"):
            examine(trained, "nobody examined", card_to=tmp_path / "a file")

    def test_without_a_challenger_the_command_that_makes_one_is_named(self, trained: Trained) -> None:
        with pytest.raises(
            ValueError, match=r"nobody: the registry has no challenger\. Train one with `ectopy train`"
        ):
            examine(trained, "nobody")
