"""What a batch came to: sums that can be checked by hand, kinds of failures that name nobody, drift."""

import json
import os
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from ectopy.features.extraction import FEATURE_NAMES
from ectopy.monitoring import batch_summary, drift, plots
from ectopy.monitoring.batch_summary import (
    N_WITH_EARLIER,
    BatchSummary,
    failure_kind,
    read_profiles,
    summarise_batch,
)
from ectopy.monitoring.drift import MONITORED, ReferenceProfile
from ectopy.registry import runs

MODEL = {"model": "small 1", "model_id": "id", "model_run": "a run", "model_from": "champion"}
K = len(FEATURE_NAMES)


def scored(
    out: Path, name: str, *, moved: float = 0.0, model_id: str = "id", **figures: object
) -> dict[str, object]:
    """Lay the results of a recording of 300 beats, 30 of them unsure, as far as a batch reads them."""
    folder = out / name
    folder.mkdir(parents=True)
    rng = np.random.default_rng(list(name.encode()))
    features = rng.normal(rng.normal(0, 1, K) + moved, 1, (300, K)).astype(np.float32)
    profile = known().profile(features, np.tile(np.float32([1, 0, 0, 0]), (300, 1)))
    told = dict(zip(MONITORED, profile.tolist(), strict=True))
    (folder / "summary.json").write_text(json.dumps({"provenance": {"model_id": model_id}, "profile": told}))
    confident = np.arange(300) >= 30
    parquet.write_table(pa.table({"confident": confident}), folder / "beats.parquet")
    row = {"recording": name, "path": f"in/{name}.hea", "status": "scored", "reason": ""}
    told_row = {"duration_s": 1800.0, "analysable_s": 1710.0, "n_beats": 300, "hr_mean_bpm": 70.0}
    burdens = {"veb_burden_pct": 1.0, "sveb_burden_pct": 0.0, "af_burden_pct": ""}
    return {**row, **told_row, **burdens, **figures}


@cache
def known() -> ReferenceProfile:
    rng = np.random.default_rng(100)
    drawn = [rng.normal(rng.normal(0, 1, K), 1, (300, K)).astype(np.float32) for _ in range(20)]
    return drift.fit_reference(drawn, [np.tile(np.float32([1, 0, 0, 0]), (300, 1))] * 20)


def failed(name: str, reason: str) -> dict[str, object]:
    return {"recording": name, "path": f"in/{name}.hea", "status": "failed", "reason": reason}


def summed(
    rows: list[dict[str, object]], out: Path, reference: ReferenceProfile | None = None
) -> BatchSummary:
    return summarise_batch(rows, out, origin=MODEL, reference=reference, time_s=60.0)


class TestSums:
    def test_recordings_are_counted_by_status(self, tmp_path: Path) -> None:
        rows = [
            scored(tmp_path, "a"),
            failed("b", "in/b.dat: 10 came"),
            {"recording": "c", "status": "skipped"},
        ]
        assert summed(rows, tmp_path).counts == {"scored": 1, "failed": 1, "skipped": 1}

    def test_unreadable_and_unsure_shares_are_of_all_time_and_of_all_beats(self, tmp_path: Path) -> None:
        # 90 of 1800 s and 450 of 900 s; 30 of 300 beats twice.
        rows = [scored(tmp_path, "a"), scored(tmp_path, "b", duration_s=900.0, analysable_s=450.0)]
        figures = summed(rows, tmp_path).metrics
        assert figures["unreadable_pct"] == pytest.approx(100 * 540 / 2700)
        assert figures["unsure_pct"] == pytest.approx(10.0)
        assert (figures["unreadable_pct/max"], figures["unreadable_pct/median"]) == (50.0, 27.5)

    def test_the_summary_of_a_recording_has_the_number_of_low_confidence_beats(self, tmp_path: Path) -> None:
        row = scored(tmp_path, "a")
        path = tmp_path / "a" / "summary.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "figures": {"n_low_confidence": 60}}))
        (tmp_path / "a" / "beats.parquet").unlink()
        assert summed([row], tmp_path).metrics["unsure_pct"] == pytest.approx(20.0)

    def test_speed_is_recorded_time_over_time_taken(self, tmp_path: Path) -> None:
        figures = summed([scored(tmp_path, "a"), scored(tmp_path, "b")], tmp_path).metrics
        assert (figures["recorded_h"], figures["time_s"], figures["recorded_h_per_hour"]) == (1.0, 60.0, 60.0)

    def test_burdens_come_as_quantiles_over_recordings(self, tmp_path: Path) -> None:
        rows = [scored(tmp_path, f"{k}", veb_burden_pct=float(k)) for k in range(11)]
        figures = summed(rows, tmp_path).metrics
        told = [figures[f"veb_burden_pct/{at}"] for at in ("p10", "median", "p90", "max")]
        assert told == pytest.approx([1, 5, 9, 10])

    def test_what_no_recording_has_is_no_figure(self, tmp_path: Path) -> None:
        figures = summed([scored(tmp_path, "a")], tmp_path).metrics
        assert not any(name.startswith("af_burden_pct/") for name in figures)

    def test_a_batch_that_failed_whole_has_counts_and_no_shares(self, tmp_path: Path) -> None:
        figures = summed([failed("a", "in/a.dat: 10 came")], tmp_path).metrics
        assert figures["recordings/failed"] == 1
        assert np.isnan(figures["unreadable_pct"])  # which is no metric


class TestFailures:
    @pytest.mark.parametrize(
        ("reason", "told"),
        [
            (
                "inbox/Miller John.dat: the file has 10 bytes, but its header describes 60000. Copy it again.",
                "the file has N bytes, but its header describes N. Copy it again.",
            ),
            (
                "inbox/Miller John.hea: signal file Miller.dat not found in the same folder. Copy it there.",
                "signal file a file not found in the same folder. Copy it there.",
            ),
            ("[Errno 13] Permission denied: 'inbox/Miller John.dat'", "[Errno N] Permission denied: a file"),
            ("the process that scored it died: memory", "the process that scored it died: memory"),
            ("KeyError('Miller, John')", "KeyError(a file)"),
        ],
    )
    def test_the_kind_of_a_failure_names_no_file_and_no_number(self, reason: str, told: str) -> None:
        assert failure_kind(reason, Path("inbox/Miller John.hea")) == told

    def test_a_word_that_is_the_name_of_the_folder_too_stays(self) -> None:
        reason = "in/b.dat: not found in the same folder. Copy it there."
        assert failure_kind(reason, Path("in/b.hea")) == "not found in the same folder. Copy it there."

    def test_failures_of_a_kind_are_counted_the_most_frequent_first(self, tmp_path: Path) -> None:
        rows = [
            failed("a", "in/a.hea: no lead"),
            failed("b", "in/b.dat: 8 came"),
            failed("c", "in/c.dat: 9 came"),
        ]
        assert list(summed(rows, tmp_path).failures.items()) == [("N came", 2), ("no lead", 1)]


class TestDrift:
    def test_a_batch_like_those_learned_from_says_so(self, tmp_path: Path) -> None:
        found = summed([scored(tmp_path, f"r{k}") for k in range(8)], tmp_path, known())
        assert not found.drifted
        assert found.verdict == "8 recordings similar to the training patients"

    def test_a_batch_unlike_them_is_told_with_what_differs(self, tmp_path: Path) -> None:
        found = summed([scored(tmp_path, f"r{k}", moved=5.0) for k in range(8)], tmp_path, known())
        assert found.drifted
        assert found.metrics["drift/crossed"] == K
        assert found.verdict.startswith("8 recordings differ from the training patients: ")

    def test_a_model_without_training_patients_has_no_drift(self, tmp_path: Path) -> None:
        found = summed([scored(tmp_path, "a")], tmp_path)
        assert found.drift is None
        assert not found.drifted
        assert found.verdict == "the model has no profile of its training patients"

    def test_one_too_small_to_be_judged_is_filled_up_with_those_scored_last_before_it(
        self, tmp_path: Path
    ) -> None:
        for age in range(2 * N_WITH_EARLIER):
            scored(tmp_path, f"old{age}", moved=9.0 if age >= N_WITH_EARLIER else 0.0)
            os.utime(tmp_path / f"old{age}" / "summary.json", (10_000 - age,) * 2)
        found = summed([scored(tmp_path, "new")], tmp_path, known())
        assert found.drift is not None
        assert found.drift.n_recordings == N_WITH_EARLIER
        assert not found.drifted  # only the older ones differ

    def test_one_that_is_not_is_not_thinned_out_by_those_before(self, tmp_path: Path) -> None:
        for k in range(N_WITH_EARLIER):
            scored(tmp_path, f"old{k}")
        rows = [scored(tmp_path, f"r{k}") for k in range(drift.MIN_RECORDINGS)]
        assert len(read_profiles(rows, tmp_path, "id")) == drift.MIN_RECORDINGS

    def test_recordings_of_another_model_or_without_a_profile_take_no_part(self, tmp_path: Path) -> None:
        scored(tmp_path, "another", model_id="another")
        scored(tmp_path, "older")
        (tmp_path / "older" / "summary.json").write_text('{"provenance": {"model_id": "id"}}')
        (tmp_path / "torn").mkdir()
        (tmp_path / "torn" / "summary.json").write_text("{")
        assert len(read_profiles([scored(tmp_path, "new")], tmp_path, "id")) == 1


class TestReaders:
    def confirmed(self, out: Path, name: str, corrections: object, model_id: str = "id") -> None:
        folder = out / f"{name}.review" / "confirmed"
        folder.mkdir(parents=True)
        changes = {"n_beats": 1000, "corrections": corrections, "model_id": model_id}
        (folder / "changes.json").write_text(json.dumps(changes))

    def test_the_agreement_is_over_all_that_was_confirmed_of_this_model(self, tmp_path: Path) -> None:
        for name, corrections in (("a", 10), ("b", 30)):
            self.confirmed(tmp_path, name, corrections)
        self.confirmed(tmp_path, "c", 900, model_id="another")
        self.confirmed(tmp_path, "d", "?")
        metrics = summed([scored(tmp_path, "a")], tmp_path).metrics
        assert metrics["readers/recordings"] == 2
        assert metrics["readers/agreement_pct"] == pytest.approx(98)
        assert metrics["readers/corrections_per_1000_beats"] == 20

    def test_low_agreement_in_enough_recordings_is_drift(self, tmp_path: Path) -> None:
        rows = [scored(tmp_path, "a")]
        for number in range(4):
            self.confirmed(tmp_path, f"r{number}", 60)
        assert not summed(rows, tmp_path).drifted
        self.confirmed(tmp_path, "r5", 60)
        batch = summed(rows, tmp_path)
        assert batch.drifted
        assert batch.verdict.endswith("readers agree on 94.0 % of the beats of 5 recordings, too little")

    def test_without_a_review_there_is_no_agreement(self, tmp_path: Path) -> None:
        batch = summed([scored(tmp_path, "a")], tmp_path)
        assert batch.agreement is None
        assert not [name for name in batch.metrics if name.startswith("readers/")]


class TestDrawings:
    def test_a_panel_a_figure_and_a_bar_a_figure_that_differs_most(self, tmp_path: Path) -> None:
        found = summed([scored(tmp_path, f"r{k}", moved=5.0) for k in range(8)], tmp_path, known())
        assert [axes.get_xlabel() for axes in plots.recording_histograms(found).axes] == list(
            batch_summary.RECORDING_METRICS.values()
        )
        assert found.drift is not None
        bars, *shares = plots.drift_plot(found.drift).axes
        names = [label.get_text() for label in bars.get_yticklabels()]
        assert names == [MONITORED[k] for k in found.drift.order[: plots.MAX_BARS]]
        assert [axes.get_title() for axes in shares] == names[: plots.MAX_PANELS]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tracking_uri: str):
    """A batch of nine recordings as a run of MLflow."""
    import mlflow

    out = tmp_path_factory.mktemp("results")
    rows = [scored(out, f"Miller{k}", moved=5.0) for k in range(8)]
    rows.append(failed("Miller8", "in/Miller8.dat: 10 came"))
    runs.connect(tracking_uri, "ectopy-score")
    return mlflow.get_run(runs.log_batch(summed(rows, out, known()), index=Path("out/index.html")))


class TestRun:
    """What MLflow keeps of it."""

    def test_a_batch_is_a_run_with_all_that_people_look_for_and_no_name(self, run) -> None:
        import mlflow

        client = mlflow.MlflowClient()
        assert run.info.run_name == "8 scored, 1 failed"
        assert run.data.params == MODEL
        assert run.data.metrics["recordings/failed"] == 1
        assert runs.all_metrics(run.info.run_id)[f"psi/{MONITORED[0]}"] > 1
        assert run.data.tags["index"] == "out/index.html"
        assert run.data.tags["drift"].startswith("8 recordings differ from the training patients")
        assert [file.path for file in client.list_artifacts(run.info.run_id)] == [
            *("drift.json", "drift.png", "failures.json", "metrics.json", "spread.png")
        ]
        table = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/failures.json")
        assert table["data"] == [["N came", 1]]
        kept = json.dumps([run.data.to_dictionary(), table, runs.all_metrics(run.info.run_id)])
        assert "Miller" not in kept

    def test_at_most_twenty_metrics_are_on_its_page_and_all_in_its_table(self, run) -> None:
        everything = runs.all_metrics(run.info.run_id)
        assert set(run.data.metrics) == set(batch_summary.HEADLINE) & set(everything)
        assert len(batch_summary.HEADLINE) <= 20
        assert len(everything) > len(MONITORED)
        assert everything["veb_burden_pct/p90"] == run.data.metrics["veb_burden_pct/median"] == 1.0
