"""The batch: every recording for itself, nothing overwritten in silence, nothing half written."""

import csv
import json
import os
import shutil
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ectopy import readers
from ectopy.batch import planning, provenance, results, runner
from ectopy.batch.planning import Job, ModelSource, ScoreOptions
from ectopy.batch.results import BusyError, SummaryRow
from ectopy.ecg import Recording, UnreadableError
from ectopy.model.classifier import SHIPPED_MODEL
from ectopy.parallel.worker_pool import WorkerPool
from ectopy.report import SUMMARY_COLUMNS
from ectopy.report.fhir import MissingLibraryError
from tests.small import FS, Here, signal_of, write_model, write_record

OUTPUTS = {"beats.parquet", "events.csv", "report.html", "rhythm.csv", "summary.json"}


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "normal")


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "ventricular", name="small 2 (test)", always="V")


@pytest.fixture
def how(model: Path) -> ScoreOptions:
    return ScoreOptions(model)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def run(recordings: Iterable[Path], out: Path, how: ScoreOptions, *, workers: int = 1) -> list[SummaryRow]:
    """Score as the command does; give this run's rows in order of name."""
    with results.lock_output(out), Here() if workers == 1 else WorkerPool(workers) as processes:
        rows = list(runner.run(planning.plan(recordings, out, how), processes))
        results.write_summary(out, rows)
    return sorted(rows, key=lambda row: str(row["recording"]))


def summary(out: Path) -> dict[str, dict[str, str]]:
    with (out / "summary.csv").open(newline="") as file:
        return {row["recording"]: row for row in csv.DictReader(file)}


def statuses(out: Path) -> dict[str, str]:
    return {name: row["status"] for name, row in summary(out).items()}


def modified(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


class TestOutputs:
    def test_a_recording_gets_its_five_files_and_a_row(
        self, tmp_path: Path, out: Path, how: ScoreOptions
    ) -> None:
        (row,) = run([write_record(tmp_path)], out, how)
        assert {path.name for path in (out / "r").iterdir()} == {*OUTPUTS, "r.ectopy"}
        assert {path.name for path in out.iterdir()} == {"r", "summary.csv", "index.html"}
        assert tuple(row) == SUMMARY_COLUMNS
        assert (row["recording"], row["status"], row["path"]) == ("r", "scored", str(tmp_path / "r.hea"))
        assert (row["duration_s"], row["model"]) == (60.0, "small 1 (test)")

    def test_the_summary_says_where_the_results_come_from(
        self, tmp_path: Path, out: Path, how: ScoreOptions
    ) -> None:
        (row,) = run([write_record(tmp_path)], out, ScoreOptions(how.model, leads=("V1",)))
        written = json.loads((out / "r" / "summary.json").read_text())
        assert written["row"] == row
        origin = written["provenance"]
        assert origin["input_sha256"] == provenance.input_sha256(tmp_path / "r.hea")
        assert origin["model_id"] == planning.load_model(how.model).version_id
        assert (origin["model_run"], origin["model_from"]) == ("", "given")
        assert origin["settings"] == {"leads": ["V1"], "fs_hz": None}
        assert {"python", "ectopy", "numpy"} <= origin["versions"].keys()

    def test_a_unit_that_was_given_is_part_of_where_the_results_come_from(
        self, tmp_path: Path, out: Path, how: ScoreOptions
    ) -> None:
        header = write_record(tmp_path)
        header.write_text(header.read_text().replace("1000/mV", "1000/adu"))
        for unit in ("uV", "mV", "mV"):
            (row,) = run([header], out, ScoreOptions(how.model, unit=unit))
        assert row["status"] == "skipped"  # the same unit as before
        written = json.loads((out / "r" / "summary.json").read_text())
        assert written["provenance"]["settings"] == {"leads": [], "fs_hz": None, "unit": "mV"}

    def test_the_columns_are_those_of_the_contract_in_their_order(
        self, tmp_path: Path, out: Path, how: ScoreOptions
    ) -> None:
        run([write_record(tmp_path)], out, how)
        header = (out / "summary.csv").read_text().splitlines()[0]
        assert header == (
            "recording,path,status,reason,duration_s,analysable_s,n_beats,hr_mean_bpm,hr_min_bpm,hr_max_bpm,"
            "n_veb,veb_burden_pct,n_sveb,sveb_burden_pct,n_couplets,n_vt_runs,longest_vt_beats,af_burden_pct,"
            "longest_pause_s,findings,model,input_sha256,notes,review,start,rhythm"
        )

    def test_results_of_one_process_and_of_several_are_the_same(
        self, tmp_path: Path, out: Path, how: ScoreOptions
    ) -> None:
        records = [write_record(tmp_path, f"r{seed}", signal_of(seed=seed)) for seed in range(3)]
        alone, together = run(records, out, how), run(records, tmp_path / "out2", how, workers=2)
        assert alone == together
        assert len({row["input_sha256"] for row in alone}) == 3

    def test_results_can_be_read_by_others(self, tmp_path: Path, out: Path, how: ScoreOptions) -> None:
        # Not 0700, as temporary directories are made.
        run([write_record(tmp_path)], out, how)
        usual = tmp_path / "usual"
        usual.mkdir()
        assert (out / "r").stat().st_mode == usual.stat().st_mode

    def test_the_chosen_leads_are_the_ones_analysed(
        self, tmp_path: Path, out: Path, how: ScoreOptions
    ) -> None:
        run([write_record(tmp_path)], out, ScoreOptions(how.model, leads=("V1",)))
        assert json.loads((out / "r" / "summary.json").read_text())["recording"]["leads"] == ["V1"]

    def test_a_lead_that_is_not_there_is_a_reason_to_fail(
        self, tmp_path: Path, out: Path, how: ScoreOptions
    ) -> None:
        (row,) = run([write_record(tmp_path)], out, ScoreOptions(how.model, leads=("aVF",)))
        assert row["status"] == "failed"
        assert "aVF" in str(row["reason"])


class TestNames:
    def test_two_recordings_of_one_name_get_folders_of_their_own(
        self, tmp_path: Path, out: Path, how: ScoreOptions
    ) -> None:
        records = [write_record(tmp_path / place, "100") for place in "abc"]
        rows = run(records, out, how)
        assert [row["recording"] for row in rows] == ["100", "100-2", "100-3"]
        assert (out / "100-3" / "100-3.ectopy").is_file()

    def test_a_name_stays_whatever_the_order_or_company_of_later_runs(
        self, tmp_path: Path, out: Path, how: ScoreOptions
    ) -> None:
        first, second = (write_record(tmp_path / place, "100") for place in "ab")
        run([first], out, how)
        run([second, first], out, how)
        run([second], out, how)
        assert {name: row["path"] for name, row in summary(out).items()} == {
            "100": str(first),
            "100-2": str(second),
        }

    def test_a_recording_that_failed_keeps_its_name_too(
        self, tmp_path: Path, out: Path, how: ScoreOptions
    ) -> None:
        broken, whole = write_record(tmp_path / "a", "100"), write_record(tmp_path / "b", "100")
        data = broken.with_suffix(".dat").read_bytes()
        broken.with_suffix(".dat").write_bytes(data[:100])
        run([broken, whole], out, how)
        broken.with_suffix(".dat").write_bytes(data)
        run([whole, broken], out, how)
        assert summary(out)["100"]["path"] == str(broken)
        assert statuses(out) == {"100": "scored", "100-2": "skipped"}

    def test_a_folder_of_somebody_else_is_left_alone(
        self, tmp_path: Path, out: Path, how: ScoreOptions
    ) -> None:
        (out / "100").mkdir(parents=True)
        (out / "100" / "mine.txt").write_text("notes")
        (row,) = run([write_record(tmp_path, "100")], out, how)
        assert row["recording"] == "100-2"
        assert [path.name for path in (out / "100").iterdir()] == ["mine.txt"]

    @pytest.mark.parametrize(
        ("stem", "name"),
        [
            ("100", "100"),
            ("a.b c", "a_b_c"),
            ("Ärztin", "_rztin"),
            ("x" * 300, "x" * 100),
            ("-rf", "-rf"),
            ("../up", "___up"),
        ],
    )
    def test_names_follow_the_rule_of_wfdb(self, out: Path, how: ScoreOptions, stem: str, name: str) -> None:
        out.mkdir()
        (job,) = planning.plan([Path("/somewhere") / f"{stem.replace('/', '.')}.hea"], out, how)
        assert job.name == name

    def test_names_that_differ_in_case_alone_get_folders_that_differ_everywhere(
        self, out: Path, how: ScoreOptions
    ) -> None:
        out.mkdir()
        jobs = planning.plan([Path("/a/ecg.hea"), Path("/b/ECG.hea")], out, how)
        assert [job.name for job in jobs] == ["ecg", "ECG-2"]

    def test_a_number_that_is_itself_a_name_is_not_given_twice(self, out: Path, how: ScoreOptions) -> None:
        out.mkdir()
        jobs = planning.plan([Path("/a/100-2.hea"), Path("/a/100.hea"), Path("/b/100.hea")], out, how)
        assert [job.name for job in jobs] == ["100-2", "100", "100-3"]

    @pytest.mark.no_cover
    def test_thousands_of_one_name_are_numbered_in_linear_time(self, out: Path, how: ScoreOptions) -> None:
        # 5000 took 11 s, and four times as long for each doubling.
        out.mkdir()
        begun = time.process_time()
        jobs = planning.plan([Path(f"/patient{number}/ecg.hea") for number in range(20_000)], out, how)
        assert time.process_time() - begun < 10
        assert (jobs[0].name, jobs[1].name, jobs[-1].name) == ("ecg", "ecg-2", "ecg-20000")
        assert len({job.name for job in jobs}) == 20_000

    def test_a_path_that_is_no_unicode_can_be_written_down(
        self, tmp_path: Path, out: Path, how: ScoreOptions
    ) -> None:
        header = write_record(tmp_path)
        odd = tmp_path / os.fsdecode(b"m\xfcller.hea")
        header.rename(odd)
        for _ in range(2):
            (row,) = run([odd], out, how)
        assert (row["recording"], row["status"]) == ("m_ller", "skipped")
        assert summary(out)["m_ller"]["path"].endswith(r"m\udcfcller.hea")


class TestRepeated:
    def test_what_is_done_is_skipped_and_keeps_its_figures(
        self, tmp_path: Path, out: Path, how: ScoreOptions
    ) -> None:
        record = write_record(tmp_path)
        (first,) = run([record], out, how)
        before = modified(out / "r")
        (second,) = run([record], out, how)
        assert second == first | {"status": "skipped"}
        assert modified(out / "r") == before
        assert float(summary(out)["r"]["duration_s"]) == 60.0

    def test_a_third_run_skips_as_the_second(self, tmp_path: Path, out: Path, how: ScoreOptions) -> None:
        record = write_record(tmp_path)
        assert [run([record], out, how)[0]["status"] for _ in range(3)] == ["scored", "skipped", "skipped"]

    def test_changed_samples_are_scored_anew(self, tmp_path: Path, out: Path, how: ScoreOptions) -> None:
        (first,) = run([write_record(tmp_path)], out, how)
        (second,) = run([write_record(tmp_path, signal=signal_of(minutes=0.5))], out, how)
        assert (second["status"], second["duration_s"]) == ("scored", 30.0)
        assert second["input_sha256"] != first["input_sha256"]
        assert json.loads((out / "r" / "summary.json").read_text())["row"] == second

    def test_a_changed_header_is_scored_anew(self, tmp_path: Path, out: Path, how: ScoreOptions) -> None:
        record = write_record(tmp_path)
        run([record], out, how)
        record.write_text(record.read_text().replace("1000/mV", "500/mV"))
        assert run([record], out, how)[0]["status"] == "scored"

    def test_another_model_scores_anew(
        self, tmp_path: Path, out: Path, how: ScoreOptions, other_model: Path
    ) -> None:
        record = write_record(tmp_path)
        (normal,) = run([record], out, how)
        (ventricular,) = run([record], out, ScoreOptions(other_model))
        assert (normal["n_veb"], ventricular["n_veb"]) == (0, normal["n_beats"])
        assert summary(out)["r"]["model"] == "small 2 (test)"

    def test_a_model_replaced_in_its_place_scores_anew(
        self, tmp_path: Path, out: Path, how: ScoreOptions, other_model: Path
    ) -> None:
        champion = tmp_path / "champion"
        shutil.copytree(how.model, champion)
        record = write_record(tmp_path)
        run([record], out, ScoreOptions(champion))
        shutil.rmtree(champion)
        shutil.copytree(other_model, champion)
        assert run([record], out, ScoreOptions(champion))[0]["status"] == "scored"

    def test_other_leads_score_anew(self, tmp_path: Path, out: Path, how: ScoreOptions) -> None:
        record = write_record(tmp_path)
        run([record], out, how)
        assert run([record], out, ScoreOptions(how.model, leads=("V1",)))[0]["status"] == "scored"

    def test_force_scores_anew(self, tmp_path: Path, out: Path, how: ScoreOptions) -> None:
        record = write_record(tmp_path)
        run([record], out, how)
        before = modified(out / "r")
        assert run([record], out, ScoreOptions(how.model, force=True))[0]["status"] == "scored"
        assert all(modified(out / "r")[name] > time for name, time in before.items())

    def test_results_that_were_removed_are_made_again(
        self, tmp_path: Path, out: Path, how: ScoreOptions
    ) -> None:
        record = write_record(tmp_path)
        run([record], out, how)
        shutil.rmtree(out / "r")
        assert run([record], out, how)[0]["status"] == "scored"

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"row": {"recording": "r"}}'])
    def test_a_summary_that_is_broken_is_no_result(
        self, tmp_path: Path, out: Path, how: ScoreOptions, content: str
    ) -> None:
        record = write_record(tmp_path)
        run([record], out, how)
        (out / "r" / "summary.json").write_text(content)
        assert [row["status"] for row in run([record], out, how)] == ["scored"]

    def test_a_recording_that_breaks_later_is_failed_and_its_old_results_stay(
        self, tmp_path: Path, out: Path, how: ScoreOptions
    ) -> None:
        record = write_record(tmp_path)
        run([record], out, how)
        os.truncate(tmp_path / "r.dat", 10)
        for _ in range(2):
            (row,) = run([record], out, how)
            assert (row["status"], row["n_beats"]) == ("failed", "")
        assert statuses(out) == {"r": "failed"}
        assert (out / "r" / "report.html").is_file()


class TestSummaryOfAll:
    def test_it_covers_earlier_runs(self, tmp_path: Path, out: Path, how: ScoreOptions) -> None:
        run([write_record(tmp_path, "a")], out, how)
        run([write_record(tmp_path, "b")], out, how)
        assert statuses(out) == {"a": "scored", "b": "scored"}
        index = (out / "index.html").read_text()
        assert "a/report.html" in index
        assert "b/report.html" in index

    def test_it_keeps_what_failed_until_it_is_scored(
        self, tmp_path: Path, out: Path, how: ScoreOptions
    ) -> None:
        run([tmp_path / "gone.hea"], out, how)
        run([write_record(tmp_path, "b")], out, how)
        assert statuses(out) == {"b": "scored", "gone": "failed"}
        write_record(tmp_path, "gone")
        run([tmp_path / "gone.hea"], out, how)
        assert statuses(out) == {"b": "scored", "gone": "scored"}

    def test_it_finds_results_of_a_run_that_was_killed_before_it_was_written(
        self, tmp_path: Path, out: Path, how: ScoreOptions
    ) -> None:
        run([write_record(tmp_path, "a")], out, how)
        (out / "summary.csv").unlink()
        run([write_record(tmp_path, "b")], out, how)
        assert statuses(out) == {"a": "scored", "b": "scored"}

    def test_it_forgets_results_that_were_removed(self, tmp_path: Path, out: Path, how: ScoreOptions) -> None:
        run([write_record(tmp_path, "a"), write_record(tmp_path, "b")], out, how)
        shutil.rmtree(out / "a")
        run([tmp_path / "b.hea"], out, how)
        assert statuses(out) == {"b": "skipped"}

    def test_a_csv_that_is_not_ours_hides_nothing(self, tmp_path: Path, out: Path, how: ScoreOptions) -> None:
        run([write_record(tmp_path, "a")], out, how)
        (out / "summary.csv").write_text("name,age\nx,1\n")
        run([write_record(tmp_path, "b")], out, how)
        assert statuses(out) == {"a": "scored", "b": "scored"}


class TestFailures:
    def test_one_failure_stops_nobody(self, tmp_path: Path, out: Path, how: ScoreOptions) -> None:
        records = [write_record(tmp_path, name) for name in ("a", "b", "c")]
        os.truncate(tmp_path / "b.dat", 10)
        for workers in (1, 2):
            rows = run(records, out, ScoreOptions(how.model, force=True), workers=workers)
            assert [row["status"] for row in rows] == ["scored", "failed", "scored"]
        assert summary(out)["b"]["reason"] == (
            f"{tmp_path / 'b.dat'}: the file has 10 bytes, but its header describes 60000. Copy the complete file again."
        )

    def test_a_failed_recording_leaves_no_folder(self, tmp_path: Path, out: Path, how: ScoreOptions) -> None:
        write_record(tmp_path)
        os.truncate(tmp_path / "r.dat", 10)
        run([tmp_path / "r.hea"], out, how)
        assert {path.name for path in out.iterdir()} == {"summary.csv", "index.html"}

    def test_a_reason_is_one_line(self, out: Path, how: ScoreOptions) -> None:
        job = Job(Path("r.hea"), "r", out, how)
        row = runner.failed_job(job, UnreadableError("r.hea: this\n  and\n that"))
        assert row["reason"] == "r.hea: this and that"

    def test_an_unforeseen_error_is_named_by_its_kind(self, out: Path, how: ScoreOptions) -> None:
        def surprise(_: Job) -> SummaryRow:
            raise IndexError("out of range")

        row = runner.score_or_fail(surprise, Job(Path("r.hea"), "r", out, how))
        assert (row["status"], row["reason"]) == ("failed", "IndexError('out of range')")

    def test_a_model_with_training_patients_leaves_each_recording_s_profile(
        self, tmp_path: Path, out: Path, how: ScoreOptions
    ) -> None:
        from ectopy.features.extraction import FEATURE_NAMES
        from ectopy.monitoring.drift import MONITORED, fit_reference, write_reference

        model = write_model(tmp_path / "with patients")
        drawn = np.random.default_rng(0).normal(0, 1, (3, 300, len(FEATURE_NAMES))).astype(np.float32)
        write_reference(
            fit_reference(list(drawn), [np.eye(4, dtype=np.float32)[np.zeros(300, int)]] * 3), model
        )
        record = write_record(tmp_path / "in")
        (row,) = run([record], out, ScoreOptions(model))
        profile = json.loads((out / "r" / "summary.json").read_text())["profile"]
        assert set(profile) == set(MONITORED)
        assert {sum(counts) for counts in profile.values()} == {row["n_beats"]}
        run([record], out, ScoreOptions(how.model, force=True))  # the other model has nobody to compare with
        assert json.loads((out / "r" / "summary.json").read_text())["profile"] is None

    def test_what_a_failing_run_wrote_goes_with_it(
        self, tmp_path: Path, out: Path, how: ScoreOptions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def half(folder: Path, *_: object, **__: object) -> SummaryRow:
            (folder / "beats.parquet").write_bytes(b"half")
            raise OSError("No space left on device")

        record = write_record(tmp_path)
        (first,) = run([record], out, how)
        monkeypatch.setattr("ectopy.report.write_outputs", half)
        (row,) = run([record], out, ScoreOptions(how.model, force=True))
        assert (row["status"], row["reason"]) == ("failed", "No space left on device")
        assert {path.name for path in out.iterdir()} == {"r", "summary.csv", "index.html"}
        assert json.loads((out / "r" / "summary.json").read_text())["row"] == first


class TestClaim:
    def left_behind(self, out: Path, *names: str) -> Path:
        private = out / results.PRIVATE_FOLDER
        private.mkdir(parents=True)
        for name in names:
            (private / name).mkdir()
        return private

    def test_it_removes_what_a_killed_run_left(self, tmp_path: Path, out: Path, how: ScoreOptions) -> None:
        private = self.left_behind(out, "r.0a1b2c3d.new")
        (private / "r.0a1b2c3d.new" / "beats.parquet").write_bytes(b"half")
        (private / "summary.csv.0a1b2c3d.new").write_text("half")
        run([write_record(tmp_path)], out, how)
        assert {path.name for path in out.iterdir()} == {"r", "summary.csv", "index.html"}

    def test_it_puts_results_back_that_a_killed_run_had_moved_away(
        self, tmp_path: Path, out: Path, how: ScoreOptions
    ) -> None:
        # Killed between its two renames: the old results are away, the new ones not yet in their place.
        record = write_record(tmp_path)
        (first,) = run([record], out, how)
        private = self.left_behind(out, "r.0a1b2c3d.new")
        (out / "r").rename(private / "r.0a1b2c3d.old")
        assert run([record], out, how) == [first | {"status": "skipped"}]
        assert {path.name for path in out.iterdir()} == {"r", "summary.csv", "index.html"}

    def test_it_removes_old_results_that_a_killed_run_had_replaced(
        self, tmp_path: Path, out: Path, how: ScoreOptions
    ) -> None:
        # Killed after its second rename: both are there, and the new results are complete.
        record = write_record(tmp_path)
        run([record], out, how)
        self.left_behind(out, "r.0a1b2c3d.old")
        assert run([record], out, how)[0]["status"] == "skipped"
        assert {path.name for path in out.iterdir()} == {"r", "summary.csv", "index.html"}

    def test_it_leaves_other_hidden_files_alone(self, out: Path) -> None:
        out.mkdir()
        (out / ".gitignore").write_text("*")
        with results.lock_output(out):
            assert (out / ".gitignore").is_file()

    def test_two_runs_do_not_write_to_one_place(self, out: Path) -> None:
        with (
            results.lock_output(out),
            pytest.raises(BusyError, match="another run is writing"),
            results.lock_output(out),
        ):
            pass
        with results.lock_output(out):
            pass  # free again


class TestInputHash:
    def test_it_is_that_of_all_files_of_the_recording(self, tmp_path: Path) -> None:
        import hashlib

        header = write_record(tmp_path)
        content = header.read_bytes() + header.with_suffix(".dat").read_bytes()
        assert provenance.input_sha256(header) == hashlib.sha256(content).hexdigest()

    def test_annotations_are_no_part_of_it(self, tmp_path: Path) -> None:
        header = write_record(tmp_path)
        before = provenance.input_sha256(header)
        (tmp_path / "r.atr").write_bytes(b"\x00\x00")
        assert provenance.input_sha256(header) == before


class TestModels:
    def test_the_shipped_model_can_be_named_beside_a_champion(self, tmp_path: Path) -> None:
        write_model(tmp_path / "models" / "champion")
        found = planning.find_model("shipped", tmp_path)
        assert found == (SHIPPED_MODEL, planning.ModelSource.SHIPPED)

    def test_the_champion_comes_before_what_is_shipped(self, tmp_path: Path, model: Path) -> None:
        from ectopy.model.classifier import SHIPPED_MODEL

        assert planning.find_model(None, tmp_path) == (SHIPPED_MODEL, ModelSource.SHIPPED)
        champion = tmp_path / "models" / "champion"
        shutil.copytree(model, champion)
        assert planning.find_model(None, tmp_path) == (champion, ModelSource.CHAMPION)
        assert planning.find_model(str(champion), tmp_path).source == ModelSource.CHAMPION

    def test_a_directory_is_taken_as_it_is(self, tmp_path: Path, model: Path) -> None:
        assert planning.find_model(str(model), tmp_path) == (model, ModelSource.GIVEN)

    def test_a_model_that_does_not_exist_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"nowhere: model directory not found\. Check the path"):
            planning.find_model("nowhere", tmp_path)


class TestChangedModel:
    """Results name the model that made them, also when another one takes its place meanwhile."""

    def promote(self, model: Path, champion: Path) -> None:
        """Exchange the champion, as a promotion does."""
        link = champion.with_suffix(".link")
        link.unlink(missing_ok=True)
        link.symlink_to(model)
        link.replace(champion)

    def test_the_model_is_that_which_labelled_the_beats(
        self, tmp_path: Path, out: Path, how: ScoreOptions, other_model: Path
    ) -> None:
        champion, record = tmp_path / "champion", write_record(tmp_path)
        self.promote(how.model, champion)
        over = threading.Event()

        def promote_all_the_time() -> None:
            while not over.wait(0.005):
                for model in (other_model, how.model):
                    self.promote(model, champion)

        promoting = threading.Thread(target=promote_all_the_time)
        promoting.start()
        try:
            rows = [run([record], out, ScoreOptions(champion, force=True))[0] for _ in range(20)]
        finally:
            over.set()
            promoting.join()
        for row in rows:
            all_ventricular = row["n_veb"] == row["n_beats"]
            assert row["model"] == ("small 2 (test)" if all_ventricular else "small 1 (test)")

    def test_a_model_replaced_between_loading_and_scoring_is_not_named(
        self, tmp_path: Path, out: Path, how: ScoreOptions, other_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        champion, record, opened = tmp_path / "champion", write_record(tmp_path), readers.open_recording
        self.promote(how.model, champion)

        def promoted_meanwhile(*args: Any, **options: Any) -> Recording:
            self.promote(other_model, champion)
            return opened(*args, **options)

        monkeypatch.setattr(readers, "open_recording", promoted_meanwhile)
        (row,) = run([record], out, ScoreOptions(champion))
        assert (row["model"], row["n_veb"]) == ("small 1 (test)", 0)
        origin = json.loads((out / "r" / "summary.json").read_text())["provenance"]
        assert origin["model_id"] == planning.load_model(how.model).version_id

    def test_a_batch_follows_the_link_of_the_champion_once(
        self, tmp_path: Path, how: ScoreOptions, other_model: Path
    ) -> None:
        champion = tmp_path / "models" / "champion"
        champion.parent.mkdir()
        self.promote(how.model, champion)
        selected = planning.find_model(None, tmp_path)
        self.promote(other_model, champion)
        assert selected == (how.model, ModelSource.CHAMPION)
        assert planning.find_model(str(champion), tmp_path) == (other_model, ModelSource.CHAMPION)


class TestFilesOfTheUser:
    """Scoring again replaces the files of ectopy only, also those that nobody asks for this time."""

    def test_notes_and_corrected_annotations_stay(
        self, tmp_path: Path, out: Path, how: ScoreOptions, other_model: Path
    ) -> None:
        record = write_record(tmp_path)
        run([record], out, how)
        (out / "r" / "r.atr").write_bytes(b"corrected")
        (out / "r" / "letters").mkdir()
        (out / "r" / "letters" / "to the GP.txt").write_text("Dear")
        (row,) = run([record], out, ScoreOptions(other_model))
        assert (row["status"], row["model"]) == ("scored", "small 2 (test)")
        assert (out / "r" / "r.atr").read_bytes() == b"corrected"
        assert (out / "r" / "letters" / "to the GP.txt").read_text() == "Dear"

    @pytest.mark.parametrize("missing", ["", "--pdf: weasyprint is not installed"])
    def test_a_pdf_of_earlier_results_is_made_again_or_removed(
        self, tmp_path: Path, out: Path, how: ScoreOptions, monkeypatch: pytest.MonkeyPatch, missing: str
    ) -> None:
        # Left as it is, it would show other results than the report beside it.
        def require() -> None:
            if missing:
                raise MissingLibraryError(missing)

        monkeypatch.setattr("ectopy.report.pdf.require_weasyprint", require)
        monkeypatch.setattr(
            "ectopy.report.pdf.write_pdf", lambda page, pdf: pdf.write_text(page.read_text()[-9:])
        )
        record = write_record(tmp_path)
        run([record], out, ScoreOptions(how.model, pdf=True))
        (out / "r" / "report.pdf").write_text("old")
        run([record], out, ScoreOptions(how.model, fhir=True, force=True))
        assert (out / "r" / "fhir.json").is_file()
        assert (out / "r" / "report.pdf").exists() == (not missing)
        assert missing or (out / "r" / "report.pdf").read_text() != "old"


class TestNotAnalysable:
    """What can be read and holds no heartbeat is a result."""

    def scored(
        self, tmp_path: Path, out: Path, how: ScoreOptions, signal: np.ndarray, *, fs: float = FS
    ) -> SummaryRow:
        (row,) = run([write_record(tmp_path, signal=signal, fs=fs)], out, how)
        assert row["status"] == "scored", row["reason"]
        assert (out / "r" / "r.ectopy").is_file()
        return row

    @pytest.mark.parametrize(
        ("signal", "why"),
        [
            (np.full((15000, 2), np.nan), "every sample is missing"),
            (np.full((15000, 2), 0.5), "the signal is flat"),
            (np.empty((0, 2)), "the recording is empty"),
            (np.full((10, 1), 0.5), "the signal is flat"),
        ],
    )
    def test_without_a_heartbeat(
        self, tmp_path: Path, out: Path, how: ScoreOptions, signal: np.ndarray, why: str
    ) -> None:
        row = self.scored(tmp_path, out, how, signal)
        assert row["n_beats"] == 0
        assert f"not analysable: {why}" in str(row["findings"])

    def test_two_seconds(self, tmp_path: Path, out: Path, how: ScoreOptions) -> None:
        row = self.scored(tmp_path, out, how, signal_of()[: round(2 * FS)])
        assert row["duration_s"] == 2.0

    def test_one_lead_is_enough(self, tmp_path: Path, out: Path, how: ScoreOptions) -> None:
        both = self.scored(tmp_path, out, how, signal_of())
        one = self.scored(tmp_path, tmp_path / "out1", how, signal_of()[:, :1])
        assert one["n_beats"] == both["n_beats"]

    @pytest.mark.parametrize("fs", [100.0, 1000.0])
    def test_slow_and_fast_recorders_see_the_same_beats(
        self, tmp_path: Path, out: Path, how: ScoreOptions, fs: float
    ) -> None:
        from scipy.signal import resample_poly

        usual = self.scored(tmp_path, out, how, signal_of())
        other = resample_poly(signal_of(), round(fs), round(FS), axis=0, padtype="edge")
        row = self.scored(tmp_path, tmp_path / "other", how, other, fs=fs)
        assert row["n_beats"] == usual["n_beats"]
