"""What a batch plans, skips and writes: names, origins, rows and files."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ectopy.batch import faults, planning, provenance, results, runner
from ectopy.batch.planning import Job, ModelSource, ScoreOptions, SelectedModel
from ectopy.parallel.worker_pool import LimitExceededError, WorkerDiedError
from tests.inbox_runs import die_reading
from tests.small import Here, write_model, write_record


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "normal")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


class TestPlan:
    def test_the_second_of_a_name_has_number_2_and_the_first_none(self, out: Path, model: Path) -> None:
        recordings = [Path(folder) / "100.hea" for folder in "abc"]
        jobs = planning.plan(recordings, out, ScoreOptions(model))
        assert [job.name for job in jobs] == ["100", "100-2", "100-3"]

    def test_a_name_has_100_characters_at_most(self, out: Path, model: Path) -> None:
        jobs = planning.plan([Path("x" * 99), Path("y" * 100), Path("z" * 101)], out, ScoreOptions(model))
        assert [len(job.name) for job in jobs] == [99, 100, 100]

    def test_a_recording_to_download_has_its_address_as_path(self, out: Path, model: Path) -> None:
        here, there = planning.plan(["s3://ecg/100.hea", Path("a/101.hea")], out, ScoreOptions(model))
        assert (here.path, here.name, here.address) == ("s3://ecg/100.hea", "100", "s3://ecg/100.hea")
        assert (there.path, there.name, there.address) == ("a/101.hea", "101", "")

    def test_settings_are_those_that_decide_a_result(self, model: Path) -> None:
        # The other options change which files are written, and no number in them.
        options = ScoreOptions(model, leads=("II",), fs=250.0, force=True, fhir=True, pdf=True)
        assert options.settings == {"leads": ["II"], "fs_hz": 250.0}


class TestModel:
    def test_its_origin_is_stated(self, tmp_path: Path, model: Path) -> None:
        assert planning.find_model(str(model), tmp_path) == SelectedModel(model, ModelSource.GIVEN)
        assert planning.find_model(None, tmp_path).source == ModelSource.SHIPPED
        champion = write_model(tmp_path / "models" / "champion")
        assert planning.find_model(None, tmp_path) == SelectedModel(champion, ModelSource.CHAMPION)
        assert planning.find_model(str(champion), tmp_path).source == ModelSource.CHAMPION

    def test_its_name_and_origin_are_shown(self, model: Path) -> None:
        assert planning.describe_model(SelectedModel(model, ModelSource.GIVEN)) == "small 1 (test), given"


class TestProvenance:
    def test_it_names_what_led_to_the_results(self, tmp_path: Path, out: Path, model: Path) -> None:
        record = write_record(tmp_path)
        job = Job(record, "r", out, ScoreOptions(model, model_source=ModelSource.CHAMPION))
        stated = provenance.job_provenance(job, planning.load_model(model)).as_dict()
        classifier = planning.load_model(model)
        assert (stated["model"], stated["model_id"]) == ("small 1 (test)", classifier.version_id)
        assert (stated["recording"], stated["path"]) == ("r", str(record))
        assert stated["model_from"] == "champion"
        versions = stated["versions"]
        assert isinstance(versions, dict)
        assert list(versions) == ["python", "ectopy", "numpy", "scipy", "onnxruntime"]

    @pytest.mark.parametrize("key", ["input_sha256", "model_id", "settings"])
    def test_another_input_model_or_setting_gives_other_results(
        self, tmp_path: Path, out: Path, model: Path, key: str
    ) -> None:
        job = Job(write_record(tmp_path), "r", out, ScoreOptions(model))
        origin = provenance.job_provenance(job, planning.load_model(model))
        same = origin.as_dict()
        assert origin.gives_same_results(same | {"recording": "other", "versions": {}})
        for version in ("0.1.0", ["0.2.0"], 7):
            assert not origin.gives_same_results(same | {"versions": {"ectopy": version}})
        assert not origin.gives_same_results(same | {key: "other"})
        assert not origin.gives_same_results({name: same[name] for name in same if name != key})


class TestRun:
    def test_recordings_with_results_are_separated_from_the_others(
        self, tmp_path: Path, out: Path, model: Path
    ) -> None:
        recordings = [write_record(tmp_path, name) for name in ("a", "b")]
        done, new = planning.plan(recordings, out, ScoreOptions(model))
        row = runner.score_one(done)
        rows, others = runner.split_cached([done, new], Here())
        assert rows == [row | {"status": "skipped"}]
        assert others == [new]

    def test_a_pdf_is_written_beside_its_report(
        self, tmp_path: Path, out: Path, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def write_pdf(page: Path, path: Path) -> None:
            path.write_text(f"{page.name} of {len(page.read_text()) > 1000}")

        monkeypatch.setattr("ectopy.report.pdf.write_pdf", write_pdf)
        (job,) = planning.plan([write_record(tmp_path)], out, ScoreOptions(model, pdf=True))
        runner.score_one(job)
        assert (out / "r" / "report.pdf").read_text() == "report.html of True"
        assert runner.cached_result(job)
        (out / "r" / "report.pdf").unlink()
        assert runner.cached_result(job) is None

    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            (ValueError("no beat"), "no beat"),
            (OSError("disk full"), "disk full"),
            (WorkerDiedError("killed by signal 9"), "killed by signal 9"),
            (LimitExceededError("more than 60 s"), "more than 60 s"),
            (ValueError(), "ValueError()"),
            (KeyError("x"), "KeyError('x')"),
        ],
    )
    def test_an_expected_error_has_its_message_as_reason_and_another_its_type(
        self, error: Exception, reason: str
    ) -> None:
        assert faults.reason_of(error) == reason

    def test_an_empty_batch_has_no_rows(self) -> None:
        assert list(runner.run([], Here())) == []


class TestLeftovers:
    def private(self, out: Path) -> Path:
        folder = out / results.PRIVATE_FOLDER
        folder.mkdir()
        return folder

    def test_half_written_results_are_removed_and_other_files_of_that_name_are_not(
        self, tmp_path: Path
    ) -> None:
        private = self.private(tmp_path)
        for name in ("100.12ab34cd.new", "notes", "100.12ab34cd.new.txt"):
            (private / name).mkdir()
        (private / "summary.csv.00000000.new").write_text("half")
        with results.lock_output(tmp_path):
            assert {path.name for path in private.iterdir()} == {"notes", "100.12ab34cd.new.txt"}

    @pytest.mark.parametrize("name", [".x.tmp-y", ".100.tmp-12ab34cd", ".100.tmp-12ab34cd-old"])
    def test_a_folder_of_the_user_that_looks_like_one_is_left_alone(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.txt").write_text("notes")
        with results.lock_output(tmp_path):
            pass
        assert (tmp_path / name / "mine.txt").read_text() == "notes"
        assert [path.name for path in tmp_path.iterdir()] == [name]

    def test_recordings_that_were_being_read_are_returned_once(self, tmp_path: Path) -> None:
        self.private(tmp_path)
        for name in ("a.b", "100"):
            die_reading(tmp_path, name)
        with results.lock_output(tmp_path) as interrupted:
            assert interrupted == ["100", "a.b"]
        with results.lock_output(tmp_path) as interrupted:
            assert interrupted == []

    def test_a_power_cut_is_no_fault_of_what_was_being_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.private(tmp_path)
        die_reading(tmp_path, "100")
        (tmp_path / "boot").write_text("another start of the machine")
        monkeypatch.setattr(results, "_BOOT_ID", tmp_path / "boot")
        with results.lock_output(tmp_path) as interrupted:
            assert interrupted == []

    def test_old_results_come_back_under_their_name_where_no_new_ones_are(self, tmp_path: Path) -> None:
        private = self.private(tmp_path)
        for folder in (private / "a.00000000.old", private / "b.00000000.old", tmp_path / "b"):
            folder.mkdir()
            (folder / "summary.json").write_text(folder.name)
        with results.lock_output(tmp_path):
            pass
        assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}
        assert (tmp_path / "a" / "summary.json").read_text() == "a.00000000.old"
        assert (tmp_path / "b" / "summary.json").read_text() == "b"


class TestReplacement:
    """Ectopy replaces its own files, all of them or none, and leaves those of others."""

    OURS = (
        "r.ectopy",
        "beats.parquet",
        "events.csv",
        "rhythm.csv",
        "summary.json",
        "report.html",
        "report.pdf",
        "fhir.json",
    )

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Results with notes of a user, a corrected annotation and a folder beside them."""
        folder = tmp_path / "r"
        (folder / "letters").mkdir(parents=True)
        for name in (*self.OURS, "notes.txt", "r.atr", "letters/one.txt"):
            (folder / name).write_text("first")
        return folder

    def content(self, folder: Path) -> dict[str, str]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_text() for path in files}

    def replace(self, folder: Path) -> None:
        with results.atomic_directory(folder) as new:
            for name in ("r.ectopy", "summary.json"):
                (new / name).write_text("second")

    def test_files_of_the_user_stay_and_those_of_ectopy_are_replaced(self, folder: Path) -> None:
        self.replace(folder)
        assert self.content(folder) == {
            "r.ectopy": "second",
            "summary.json": "second",
            "notes.txt": "first",
            "r.atr": "first",
            "letters/one.txt": "first",
        }
        assert list((folder.parent / results.PRIVATE_FOLDER).iterdir()) == []

    @pytest.mark.parametrize("n_steps", range(12))
    def test_killed_after_any_step_it_loses_nothing(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, n_steps: int
    ) -> None:
        before, left = self.content(folder), iter(range(n_steps))

        def killed_later(function: Callable[..., Any]) -> Callable[..., Any]:
            def step(*args: Any, **more: Any) -> Any:
                if next(left, None) is None:
                    os._exit(9)
                return function(*args, **more)

            return step

        if (child := os.fork()) == 0:
            monkeypatch.setattr(Path, "rename", killed_later(Path.rename))
            monkeypatch.setattr(os, "unlink", killed_later(os.unlink))
            monkeypatch.setattr(os, "fsync", killed_later(os.fsync))
            self.replace(folder)
            os._exit(0)
        os.waitpid(child, 0)
        with results.lock_output(folder.parent):
            pass
        after = self.content(folder)
        theirs = {"notes.txt", "r.atr", "letters/one.txt"}
        assert {name: after[name] for name in theirs} == dict.fromkeys(theirs, "first")
        ours = {name: text for name, text in after.items() if name not in theirs}
        assert ours in (
            {name: before[name] for name in self.OURS},
            {"r.ectopy": "second", "summary.json": "second"},
        )
        assert [path.name for path in folder.parent.iterdir()] == ["r"]

    def test_old_results_stay_where_new_ones_cannot_take_their_place(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before, rename = self.content(folder), Path.rename

        def refused(self: Path, target: Path) -> Path:
            if self.name.endswith(".new"):
                raise PermissionError(errno.EACCES, "Permission denied")
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", refused)
        with pytest.raises(PermissionError):
            self.replace(folder)
        assert self.content(folder) == before

    def test_results_that_were_moved_elsewhere_and_linked_stay_there(self, folder: Path) -> None:
        archive = folder.parent / "archive"
        folder.rename(archive)
        folder.symlink_to(archive)
        before = self.content(archive)
        self.replace(folder)
        assert self.content(archive) == before
        assert self.content(folder) == {"r.ectopy": "second", "summary.json": "second"}

    def test_a_file_in_the_place_of_results_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "r").write_text("mine")
        with pytest.raises(FileExistsError, match=r"r: a file, not a folder of results\. Move it away"):
            self.replace(tmp_path / "r")
        assert (tmp_path / "r").read_text() == "mine"


class TestEarlierRows:
    def test_rows_come_from_the_results_and_failures_from_the_summary(self, tmp_path: Path) -> None:
        columns = "recording,path,status\n"
        (tmp_path / "summary.csv").write_text(
            f"{columns}a,in/a.hea,skipped\nb,in/b.hea,failed\nc,in/c.hea,scored\n"
        )
        for name in ("a", "d"):
            (tmp_path / name).mkdir()
            row = {"recording": name, "path": f"in/{name}.hea", "status": "scored", "n_beats": 7}
            (tmp_path / name / "summary.json").write_text(json.dumps({"row": row, "provenance": {}}))
        # c has been removed, d is not in the summary yet, and the status is that of the summary.
        assert [(row["recording"], row["status"]) for row in results.earlier_rows(tmp_path)] == [
            ("b", "failed"),
            ("a", "skipped"),
            ("d", "scored"),
        ]

    def test_a_summary_of_another_folder_or_without_provenance_is_no_result(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        row = {"recording": "a", "status": "scored"}
        for content, is_result in (
            ({"row": row, "provenance": {"model_id": "1"}}, True),
            ({"row": row | {"recording": "b"}, "provenance": {}}, False),
            ({"row": row}, False),
            ([], False),
        ):
            (tmp_path / "a" / "summary.json").write_text(json.dumps(content))
            assert (results.earlier_result(tmp_path / "a") is not None) == is_result
        assert results.earlier_rows(tmp_path) == []

    def test_rows_of_this_run_replace_those_of_earlier_ones_and_are_sorted(self, tmp_path: Path) -> None:
        results.write_summary(tmp_path, [results.failed_row(name, f"in/{name}", "") for name in "ba"])
        rows = results.write_summary(tmp_path, [results.failed_row("b", "in/b", "no beat")])
        assert [(row["recording"], row["reason"]) for row in rows] == [("a", ""), ("b", "no beat")]
        assert (tmp_path / "summary.csv").read_text().splitlines()[2].startswith("b,in/b,failed,no beat")
        names = {path.name for path in tmp_path.iterdir()} - {results.PRIVATE_FOLDER}
        assert names == {"summary.csv", "index.html"}


def test_a_summary_that_somebody_cut_down_loses_no_failure(out: Path) -> None:
    # A spreadsheet kept three of the columns; the page of the batch shows the reason of each failure.
    (out / "summary.csv").write_text("recording,path,status\n100,in/100.hea,failed\n", encoding="utf-8")
    (row,) = results.write_summary(out, [])
    assert (row["recording"], row["status"], row["reason"]) == ("100", "failed", "")
    assert "100" in (out / "index.html").read_text(encoding="utf-8")
