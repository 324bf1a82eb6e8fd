"""Faults of the machine cost no recording: each one waits, the run says why once, and the next one scores it."""

import errno
import os
import shutil
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from ectopy import readers
from ectopy.batch import runner
from ectopy.batch.faults import MachineError, reason_of
from ectopy.batch.inbox import DeferredError, open_inbox, score_new
from ectopy.batch.ledger import Entry, Status, open_ledger
from ectopy.batch.planning import Job, ScoreOptions
from ectopy.batch.results import SummaryRow
from ectopy.parallel.worker_pool import LimitExceededError, ResourceLimits, WorkerDiedError, WorkerPool
from tests.inbox_runs import AT_ONCE, die_reading, run
from tests.small import signal_of, write_model, write_record

NAMES = ("a", "b", "c")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    for seed, name in enumerate(NAMES):
        write_record(tmp_path / "inbox", name, signal_of(seed=seed))
    return tmp_path / "inbox"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "scored"


def entries(out: Path) -> dict[str, Entry]:
    with open_ledger(out) as ledger:
        return {Path(entry.path).stem: entry for entry in ledger.entries(*Status)}


def run_with(
    score: Callable[[Job], SummaryRow], inbox: Path, out: Path, options: ScoreOptions
) -> list[SummaryRow]:
    """Run an inbox with another function in place of that which scores."""
    with open_inbox(inbox, out, AT_ONCE, options) as opened:
        for job in opened.plan():
            try:
                opened.record_outcome(job, score(job))
            except Exception as error:  # noqa: BLE001 - as a Prefect task returns it
                opened.record_outcome(job, error)
        return opened.finish()


def assert_all_wait(inbox: Path, out: Path, *, done: int = 0) -> None:
    """Check that nothing is blamed or moved, and that nothing counts as an attempt."""
    states = entries(out).values()
    assert [entry.status for entry in states].count(Status.SCORED) == done
    assert [entry.status for entry in states].count(Status.WAITING) == len(NAMES) - done
    assert {entry.crashes for entry in states} == {0}
    assert not (inbox.parent / "quarantine").exists()


class TestModel:
    def test_a_model_that_disappears_during_a_run(self, inbox: Path, out: Path, model: Path) -> None:
        def loses_model(job: Job) -> SummaryRow:
            row = score_new(job)
            if job.name == "a":
                model.rename(model.with_name("away"))
            return row

        for _ in range(4):  # one more than a recording may crash
            with pytest.raises(DeferredError, match=r"2 recordings wait: .*not a model directory"):
                run_with(loses_model, inbox, out, ScoreOptions(model))
            assert_all_wait(inbox, out, done=1)
        model.with_name("away").rename(model)
        assert [row["status"] for row in run(inbox, out, ScoreOptions(model))] == ["scored"] * 2

    @pytest.mark.parametrize("content", [b"", b"{", b"noise" * 100])
    @pytest.mark.parametrize("file", ["model.onnx", "model.json"])
    def test_a_model_that_is_broken(
        self, inbox: Path, out: Path, model: Path, file: str, content: bytes
    ) -> None:
        whole = (model / file).read_bytes()
        (model / file).write_bytes(content)
        with pytest.raises(DeferredError, match=rf"3 recordings wait: .*{file}.*\. The next run"):
            run(inbox, out, ScoreOptions(model))
        assert_all_wait(inbox, out)
        (model / file).write_bytes(whole)
        assert len(run(inbox, out, ScoreOptions(model))) == 3


class TestLibraries:
    @pytest.mark.parametrize(
        ("library", "code"),
        [
            *product(
                ("onnxruntime", "pyarrow"),
                (
                    "raise ImportError('libstdc++.so.6: cannot open shared object file')",
                    "raise RuntimeError('compiled with another version of numpy')",
                ),
            ),
            # A process that has ended takes seconds, and looks the same whichever library ended it.
            ("pyarrow", "import os; os._exit(1)"),
            ("onnxruntime", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"),
        ],
    )
    def test_a_library_that_cannot_be_imported(  # noqa: PLR0917 - fixtures
        self, tmp_path: Path, inbox: Path, out: Path, model: Path, library: str, code: str
    ) -> None:
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / f"{library}.py").write_text(code)
        options = ScoreOptions(model)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "path", [str(tmp_path / "broken"), *sys.path])  # workers take it over
            with WorkerPool(1) as processes:
                for _ in range(2):
                    with pytest.raises(DeferredError, match=r"3 recordings wait: .+ The next run"):
                        run_with(lambda job: processes.call(score_new, job), inbox, out, options)
        assert_all_wait(inbox, out)
        assert len(run(inbox, out, options)) == 3

    def test_a_worker_that_has_too_little_memory_to_start(self, inbox: Path, out: Path, model: Path) -> None:
        with WorkerPool(1, ResourceLimits(memory_mb=20)) as processes, pytest.raises(DeferredError):
            run_with(lambda job: processes.call(score_new, job), inbox, out, ScoreOptions(model))
        assert_all_wait(inbox, out)


class TestWorkers:
    """A process that dies is the fault of a recording only if it had begun to read it."""

    def died(self, _: Job) -> SummaryRow:
        raise WorkerDiedError("the worker process died")

    def died_reading(self, job: Job) -> SummaryRow:
        die_reading(job.out, job.name)
        return self.died(job)

    def test_one_that_dies_before_it_reads(self, inbox: Path, out: Path, model: Path) -> None:
        for _ in range(4):
            with pytest.raises(DeferredError, match="3 recordings wait: the worker process died"):
                run_with(self.died, inbox, out, ScoreOptions(model))
        assert_all_wait(inbox, out)

    def test_one_that_dies_while_it_reads_counts(self, inbox: Path, out: Path, model: Path) -> None:
        run_with(self.died_reading, inbox, out, ScoreOptions(model))
        assert {entry.crashes for entry in entries(out).values()} == {1}

    def test_one_killed_by_what_it_reads_counts(self, inbox: Path, out: Path, model: Path) -> None:
        with open_inbox(inbox, out, AT_ONCE, ScoreOptions(model)) as opened, WorkerPool(1) as processes:
            job = opened.plan()[0]
            with pytest.raises(WorkerDiedError) as caught:
                processes.call(die_while_reading, job)
            opened.record_outcome(job, caught.value)
            opened.finish()
        assert {name: entry.crashes for name, entry in entries(out).items()} == {"a": 1, "b": 0, "c": 0}


def die_while_reading(job: Job) -> SummaryRow:
    """Score a recording whose reader ends the process, as a segmentation fault does."""
    setattr(readers, "open_recording", lambda *_, **__: os._exit(9))  # noqa: B010 - in this process alone
    return score_new(job)


class TestDisks:
    def failing(self, monkeypatch: pytest.MonkeyPatch, target: str, error: BaseException) -> None:
        def fail(*_: Any, **__: Any) -> Any:
            raise error

        monkeypatch.setattr(target, fail)

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE])
    def test_results_that_cannot_be_written(
        self, inbox: Path, out: Path, model: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        with monkeypatch.context() as patch:
            self.failing(patch, "ectopy.report.write_outputs", OSError(number, os.strerror(number)))
            with pytest.raises(DeferredError, match=f"3 recordings wait: .*{os.strerror(number)}"):
                run(inbox, out, ScoreOptions(model))
        assert_all_wait(inbox, out)
        assert len(run(inbox, out, ScoreOptions(model))) == 3

    @pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES, errno.EMFILE, errno.ENOTCONN])
    def test_recordings_that_the_system_does_not_hand_out(
        self, inbox: Path, out: Path, model: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        with monkeypatch.context() as patch:
            self.failing(patch, "numpy.fromfile", OSError(number, os.strerror(number)))
            with pytest.raises(DeferredError, match="3 recordings wait"):
                run(inbox, out, ScoreOptions(model))
        assert_all_wait(inbox, out)
        assert len(run(inbox, out, ScoreOptions(model))) == 3

    def test_a_folder_that_may_not_be_listed_waits_on_the_page_with_its_reason(
        self, inbox: Path, out: Path, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        closed, scan = inbox / "closed", os.scandir
        write_record(closed, "d", signal_of(seed=9))

        def refused(path: Path) -> Any:
            if Path(path) == closed:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return scan(path)

        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", refused)  # root may list everything
            assert len(run(inbox, out, ScoreOptions(model))) == 3
            since = entries(out)["closed"].first_seen_s
            assert run(inbox, out, ScoreOptions(model)) == []
            assert entries(out)["closed"].first_seen_s == since
        assert "the folder cannot be listed (Permission denied)" in (out / "index.html").read_text()
        assert len(run(inbox, out, ScoreOptions(model))) == 1
        assert "cannot be listed" not in (out / "index.html").read_text()

    def test_a_library_that_is_missing_when_formats_are_found(
        self, inbox: Path, out: Path, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fault = MachineError("no module named pyarrow")
        monkeypatch.setattr(WorkerPool, "call_each", lambda _, __, files, **___: [fault] * len(files))
        for _ in range(4):
            with pytest.raises(DeferredError, match=r"recordings wait: .*pyarrow"):
                run(inbox, out, ScoreOptions(model))
            assert {(entry.status, entry.crashes) for entry in entries(out).values()} == {(Status.WAITING, 0)}

    @pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
    def test_a_refusal_of_the_system_names_the_file_first(self, number: int) -> None:
        error = OSError(number, os.strerror(number), "/inbox/a.dat")
        assert reason_of(error) == f"/inbox/a.dat: {os.strerror(number)}. Check the permissions and the disk."
        nameless = OSError(number, os.strerror(number))
        assert reason_of(nameless) == f"{os.strerror(number)}. Check the permissions and the disk."

    def test_an_inbox_whose_disk_is_removed_during_the_run(self, inbox: Path, out: Path, model: Path) -> None:
        def loses_inbox(job: Job) -> SummaryRow:
            if inbox.exists():
                inbox.rename(inbox.with_name("unmounted"))
            return score_new(job)

        assert run_with(loses_inbox, inbox, out, ScoreOptions(model)) == []
        assert_all_wait(inbox, out)
        inbox.with_name("unmounted").rename(inbox)
        assert len(run(inbox, out, ScoreOptions(model))) == 3

    def test_an_output_folder_that_is_removed_during_the_run_is_not_made_anew(
        self, inbox: Path, out: Path, model: Path
    ) -> None:
        # Its disk is gone; a folder of that name would be on the wrong one.
        def loses_output(job: Job) -> SummaryRow:
            shutil.rmtree(out, ignore_errors=True)
            return score_new(job)

        with pytest.raises(OSError, match=r"unable to open|readonly|disk I/O|No such file"):
            run_with(loses_output, inbox, out, ScoreOptions(model))
        assert not out.exists()
        assert len(run(inbox, out, ScoreOptions(model))) == 3

    def test_a_recording_that_changes_while_it_is_read_is_tried_again(
        self, inbox: Path, out: Path, model: Path
    ) -> None:
        whole = (inbox / "b.dat").read_bytes()

        def arrives(job: Job) -> SummaryRow:
            if job.name == "b":
                os.truncate(inbox / "b.dat", 10)
            return score_new(job)

        assert [row["recording"] for row in run_with(arrives, inbox, out, ScoreOptions(model))] == ["a", "c"]
        (inbox / "b.dat").write_bytes(whole)
        assert [row["status"] for row in run(inbox, out, ScoreOptions(model))] == ["scored"]


class TestUnforeseen:
    def test_a_defect_that_one_recording_shows_is_tried_three_times_and_said(
        self, inbox: Path, out: Path, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        analyse = runner._analyse

        def defect(recording: Any, *more: Any) -> Any:
            if recording.name == "b":
                raise IndexError("index 7 is out of bounds")
            return analyse(recording, *more)

        monkeypatch.setattr(runner, "_analyse", defect)
        rows = [row for _ in range(3) for row in run(inbox, out, ScoreOptions(model))]
        assert {row["recording"]: row["status"] for row in rows} == {
            "a": "scored",
            "c": "scored",
            "b": "failed",
        }
        assert rows[-1]["reason"] == "IndexError('index 7 is out of bounds'), in 3 attempts"

    def test_a_limit_that_is_exceeded_is_the_recordings(self, inbox: Path, out: Path, model: Path) -> None:
        def slow(job: Job) -> SummaryRow:
            if job.name == "b":
                die_reading(job.out, job.name)
                raise LimitExceededError("stopped: it took longer than the limit of 60 s")
            return score_new(job)

        rows = run_with(slow, inbox, out, ScoreOptions(model))
        assert {row["recording"]: row["status"] for row in rows} == {
            "a": "scored",
            "c": "scored",
            "b": "failed",
        }
