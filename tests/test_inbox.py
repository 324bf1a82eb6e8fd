"""The inbox: each recording is scored once, whatever happens to the run, the disk or the file."""

import csv
import errno
import json
import os
import random
import shutil
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

import pytest

from ectopy.batch import runner
from ectopy.batch.inbox import DeferredError, InboxPolicy, open_inbox
from ectopy.batch.ledger import Status, open_ledger
from ectopy.batch.planning import Job, ScoreOptions
from ectopy.batch.pseudonyms import Pseudonyms
from ectopy.batch.results import BusyError, SummaryRow
from ectopy.batch.storage import Folder
from ectopy.parallel.worker_pool import LimitExceededError, WorkerDiedError
from tests.inbox_runs import AT_ONCE, die_reading, outcome, run, start
from tests.small import signal_of, write_model, write_record

FILES = {"beats.parquet", "events.csv", "report.html", "rhythm.csv", "summary.json"}
PATIENT = InboxPolicy(settle_s=0, incomplete_timeout_s=3600)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "normal")


@pytest.fixture
def how(model: Path) -> ScoreOptions:
    return ScoreOptions(model)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "scored"


def statuses(rows: list[SummaryRow]) -> dict[str, str]:
    return {str(row["recording"]): str(row["status"]) for row in rows}


def written(out: Path) -> dict[str, int]:
    """When each result was written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob("[!.]*/summary.json")}


def known(out: Path) -> dict[str, Status]:
    with open_ledger(out) as ledger:
        return {Path(entry.path).name: entry.status for entry in ledger.entries(*Status)}


def quarantined(inbox: Path) -> dict[str, set[str]]:
    """Which files lie in each folder of the quarantine; its name without the time."""
    folders = (inbox.parent / "quarantine").iterdir()
    return {folder.name.partition(".")[0]: {path.name for path in folder.iterdir()} for folder in folders}


def death(job: Job) -> WorkerDiedError:
    """Leave what a process leaves that dies while it reads a recording."""
    die_reading(job.out, job.name)
    return WorkerDiedError("out of memory?")


class TestOnce:
    def test_what_is_scored_is_not_looked_at_again(self, inbox: Path, out: Path, how: ScoreOptions) -> None:
        write_record(inbox, "a")
        assert statuses(run(inbox, out, how)) == {"a": "scored"}
        before = written(out), (out / "summary.csv").stat().st_mtime_ns
        assert run(inbox, out, how) == []
        assert (written(out), (out / "summary.csv").stat().st_mtime_ns) == before

    def test_nor_with_another_model_or_after_its_results_were_taken_away(
        self, tmp_path: Path, inbox: Path, out: Path, how: ScoreOptions
    ) -> None:
        # A promotion on Sunday night must not score a year of recordings again, nor an archive that is moved.
        write_record(inbox, "a")
        run(inbox, out, how)
        shutil.rmtree(out / "a")
        other = write_model(tmp_path / "other", name="small 2 (test)", always="V")
        assert run(inbox, out, ScoreOptions(other)) == []

    def test_one_that_changes_is_scored_anew(self, inbox: Path, out: Path, how: ScoreOptions) -> None:
        write_record(inbox, "a")
        run(inbox, out, how)
        write_record(inbox, "a", signal_of(minutes=0.5))
        assert [row["duration_s"] for row in run(inbox, out, how)] == [30.0]

    def test_the_summary_of_a_run_that_was_killed_is_written_by_the_next(
        self, inbox: Path, out: Path, how: ScoreOptions
    ) -> None:
        write_record(inbox, "a")
        (inbox / "bad.edf").write_text("junk")
        with open_inbox(inbox, out, AT_ONCE, how) as arrived:
            for job in arrived.plan():
                arrived.record_outcome(job, outcome(job))
        assert not (out / "summary.csv").exists()  # it was killed before it finished
        assert run(inbox, out, how) == []
        rows = (out / "summary.csv").read_text().splitlines()[1:]
        assert [row.split(",")[2] for row in rows] == ["scored", "failed"]

    def test_results_that_a_killed_run_did_not_note_are_found_by_their_hash(
        self, inbox: Path, out: Path, how: ScoreOptions
    ) -> None:
        write_record(inbox, "a")
        with open_inbox(inbox, out, AT_ONCE, how) as arrived:
            (job,) = arrived.plan()
            outcome(job)
        before = written(out)
        assert statuses(run(inbox, out, how)) == {"a": "skipped"}
        assert written(out) == before

    def test_a_diary_belongs_to_its_recording_and_goes_with_it_to_the_quarantine(
        self, inbox: Path, out: Path, how: ScoreOptions
    ) -> None:
        write_record(inbox, "a")
        (inbox / "a.diary.csv").write_text("time\n5\n")
        assert statuses(run(inbox, out, how)) == {"a": "scored"}
        assert '"time_s": 5.0' in (out / "a" / "summary.json").read_text()
        (inbox / "a.diary.csv").write_text("time\nnoon\n")
        assert statuses(run(inbox, out, how)) == {"a": "failed"}
        assert quarantined(inbox) == {"a": {"a.hea", "a.dat", "a.diary.csv", "reason.txt"}}

    def test_what_is_no_recording_is_left_alone(self, inbox: Path, out: Path, how: ScoreOptions) -> None:
        write_record(inbox, "a")
        (inbox / "a.atr").write_bytes(b"\0\0")
        (inbox / "notes.md").write_text("Monday's")
        assert statuses(run(inbox, out, how)) == {"a": "scored"}
        assert known(out) == {"a.hea": Status.SCORED, "a.atr": Status.OTHER, "notes.md": Status.OTHER}
        assert {path.name for path in inbox.iterdir()} == {"a.hea", "a.dat", "a.atr", "notes.md"}


class TestWhole:
    """A recording that is being copied is left until it is whole."""

    def test_one_that_has_just_changed_is_left(self, inbox: Path, out: Path, how: ScoreOptions) -> None:
        header = write_record(inbox)
        os.utime(header, (0, 0))  # as `cp -p` leaves it: only the system knows when it was put there
        os.utime(header.with_suffix(".dat"), (0, 0))
        assert run(inbox, out, how, InboxPolicy(settle_s=30, incomplete_timeout_s=0)) == []
        assert known(out) == {"r.hea": Status.WAITING}

    def test_one_that_grows_is_scored_once_and_whole(self, inbox: Path, out: Path, how: ScoreOptions) -> None:
        # Without a length in its header nothing but its growth tells that a file is not whole.
        signal = signal_of()
        header = write_record(inbox, signal=signal)
        header.write_text(header.read_text().replace(f" {len(signal)}\n", "\n", 1))
        signals = header.with_suffix(".dat")
        whole = signals.read_bytes()
        signals.write_bytes(whole[:10_000])

        def copy() -> None:
            for at in range(10_000, len(whole), 10_000):
                time.sleep(0.1)
                with signals.open("ab") as file:
                    file.write(whole[at : at + 10_000])

        copying = threading.Thread(target=copy)
        copying.start()
        rows: list[SummaryRow] = []
        while copying.is_alive() or not rows:
            rows += run(inbox, out, how, InboxPolicy(settle_s=2, incomplete_timeout_s=0))
            time.sleep(0.05)
        assert [(row["status"], row["duration_s"]) for row in rows] == [("scored", 60.0)]

    @pytest.mark.parametrize("n_bytes", [None, 0, 1000])
    def test_one_whose_signals_are_missing_or_short_waits_for_them(
        self, inbox: Path, out: Path, how: ScoreOptions, n_bytes: int | None
    ) -> None:
        signals = write_record(inbox).with_suffix(".dat")
        whole = signals.read_bytes()
        signals.unlink()
        if n_bytes is not None:
            signals.write_bytes(whole[:n_bytes])
        for _ in range(3):
            assert run(inbox, out, how, PATIENT) == []
        assert not (inbox.parent / "quarantine").exists()
        signals.write_bytes(whole)
        assert statuses(run(inbox, out, how, PATIENT)) == {"r": "scored"}

    def test_signals_before_their_header_are_no_recording_yet(
        self, inbox: Path, out: Path, how: ScoreOptions
    ) -> None:
        header = write_record(inbox)
        kept = header.read_bytes()
        header.unlink()
        assert run(inbox, out, how) == []
        header.write_bytes(kept)
        assert statuses(run(inbox, out, how)) == {"r": "scored"}


class TestLinks:
    """Whoever may fill an inbox must not have files read that lie elsewhere."""

    def test_a_link_to_a_recording_elsewhere_is_not_followed(
        self, tmp_path: Path, inbox: Path, out: Path, how: ScoreOptions
    ) -> None:
        header = write_record(tmp_path / "elsewhere", "private")
        inbox.mkdir()
        for file in (header, header.with_suffix(".dat")):
            (inbox / file.name).symlink_to(file)
        (inbox / "folder").symlink_to(header.parent)
        write_record(inbox, "own")
        assert statuses(run(inbox, out, how)) == {"own": "scored"}
        assert known(out) == {
            "own.hea": Status.SCORED,
            "private.hea": Status.OTHER,
            "private.dat": Status.OTHER,
        }
        assert header.is_file()


class TestQuarantine:
    def test_with_pseudonyms_the_true_path_is_in_no_summary(
        self, inbox: Path, out: Path, model: Path
    ) -> None:
        pseudonyms = Pseudonyms("a salt of the tests alone")
        options = ScoreOptions(model, pseudonyms=pseudonyms)
        os.truncate(write_record(inbox / "ward 7", "Doe_Jane").with_suffix(".dat"), 10)
        for n_runs in (1, 2):  # the second one writes the row from the ledger, as a killed run left it
            (out / "summary.csv").unlink(missing_ok=True)
            rows = run(inbox, out, options)
            assert len(rows) == (n_runs == 1)
            (row,) = csv.DictReader((out / "summary.csv").read_text().splitlines())
            path = str(inbox / "ward 7" / "Doe_Jane.hea")
            assert (row["status"], row["path"]) == ("failed", pseudonyms.of(path))
            for file in (out / "summary.csv", out / "index.html"):
                assert not any(part in file.read_text() for part in ("Doe", "Jane", "ward"))

    def test_a_bad_recording_goes_there_with_its_reason_and_does_not_come_back(
        self, inbox: Path, out: Path, how: ScoreOptions
    ) -> None:
        write_record(inbox / "monday", "good")
        signals = write_record(inbox / "monday", "bad").with_suffix(".dat")
        os.truncate(signals, 10)
        assert statuses(run(inbox, out, how)) == {"good": "scored", "bad": "failed"}
        (folder,) = (inbox.parent / "quarantine").iterdir()
        reason = (
            f"{signals}: the file has 10 bytes, but its header describes 60000. Copy the complete file again."
        )
        assert (folder / "reason.txt").read_text().splitlines() == [str(signals.with_suffix(".hea")), reason]
        assert {path.name for path in (folder / "monday").iterdir()} == {"bad.hea", "bad.dat"}
        assert {path.name for path in (inbox / "monday").iterdir()} == {"good.hea", "good.dat"}
        assert run(inbox, out, how) == []

    def test_one_that_is_mended_and_put_back_is_scored(
        self, inbox: Path, out: Path, how: ScoreOptions
    ) -> None:
        os.truncate(write_record(inbox).with_suffix(".dat"), 10)
        run(inbox, out, how)
        write_record(inbox)
        assert statuses(run(inbox, out, how)) == {"r": "scored"}
        assert "failed" not in (out / "summary.csv").read_text()

    def test_one_that_comes_back_unmended_gets_a_folder_of_its_own(
        self, inbox: Path, out: Path, how: ScoreOptions
    ) -> None:
        for _ in range(2):
            inbox.mkdir(exist_ok=True)
            (inbox / "x.edf").write_text("junk")
            run(inbox, out, how)
            time.sleep(1.1)  # folders are told apart by the second
        assert len(list((inbox.parent / "quarantine").iterdir())) == 2

    def test_one_that_lacks_samples_waits_and_is_scored_with_a_note_when_nothing_more_comes(
        self, inbox: Path, out: Path, how: ScoreOptions
    ) -> None:
        signals = write_record(inbox).with_suffix(".dat")
        os.truncate(signals, 48_000)  # 48 s of 60 s: it may still be uploading
        assert run(inbox, out, how, PATIENT) == []
        assert signals.is_file()
        (row,) = run(inbox, out, how)
        assert (row["status"], row["duration_s"]) == ("scored", 48.0)
        assert "the header states 15000 frames, the signal files have 12000" in str(row["notes"])

    def test_one_whose_rest_comes_late_is_scored_again(
        self, inbox: Path, out: Path, how: ScoreOptions
    ) -> None:
        signals = write_record(inbox).with_suffix(".dat")
        whole = signals.read_bytes()
        os.truncate(signals, 48_000)
        run(inbox, out, how)
        signals.write_bytes(whole)
        (row,) = run(inbox, out, how, PATIENT)
        assert (row["duration_s"], row["notes"]) == (60.0, "")

    def test_a_file_of_another_recording_stays(self, inbox: Path, out: Path, how: ScoreOptions) -> None:
        good = write_record(inbox, "good")
        (inbox / "bad.hea").write_text("bad 1 250 15000\ngood.dat 999 1000/mV 16 0 0 0 0 MLII\n")
        assert statuses(run(inbox, out, how)) == {"good": "scored", "bad": "failed"}
        assert good.with_suffix(".dat").is_file()
        assert quarantined(inbox) == {"bad": {"bad.hea", "reason.txt"}}

    def test_a_move_that_was_broken_off_is_continued(
        self, inbox: Path, out: Path, how: ScoreOptions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        os.truncate(write_record(inbox, "bad").with_suffix(".dat"), 10)
        move = Folder.move

        def killed_after_one(self: Folder, name: str, target: str) -> None:
            move(self, name, target)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Folder, "move", killed_after_one)
            with pytest.raises(KeyboardInterrupt):
                run(inbox, out, how)
        assert len(list(inbox.iterdir())) == 1
        assert run(inbox, out, how) == []
        assert quarantined(inbox) == {"bad": {"bad.hea", "bad.dat", "reason.txt"}}
        assert list(inbox.iterdir()) == []

    def test_where_nothing_may_be_moved_it_does_not_come_back_either(
        self, inbox: Path, out: Path, how: ScoreOptions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inbox.mkdir()
        (inbox / "x.edf").write_text("junk")

        def refused(*_: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Folder, "move", refused)
        assert statuses(run(inbox, out, how)) == {"x": "failed"}
        assert run(inbox, out, how) == []
        assert (inbox / "x.edf").is_file()

    def test_what_is_out_of_bounds_goes_at_once(self, inbox: Path, out: Path, how: ScoreOptions) -> None:
        write_record(inbox, "slow")
        with open_inbox(inbox, out, PATIENT, how) as arrived:
            (job,) = arrived.plan()
            arrived.record_outcome(job, LimitExceededError("stopped: it took longer than the limit of 60 s"))
            (row,) = arrived.finish()
        assert (row["status"], row["reason"]) == ("failed", "stopped: it took longer than the limit of 60 s")
        assert quarantined(inbox) == {"slow": {"slow.hea", "slow.dat", "reason.txt"}}


class TestPage:
    """The page of an inbox lists what has no result: since when, and why."""

    def page(self, out: Path) -> str:
        return (out / "index.html").read_text(encoding="utf-8")

    def test_what_waits_is_on_it_with_its_reason_until_it_is_scored(
        self, inbox: Path, out: Path, how: ScoreOptions
    ) -> None:
        write_record(inbox, "a")
        signals = write_record(inbox, "late").with_suffix(".dat")
        whole = signals.read_bytes()
        signals.unlink()
        run(inbox, out, how, PATIENT)
        assert "1 waiting" in self.page(out)
        assert f"{inbox / 'late.hea'}" in self.page(out)
        assert "not found in the same folder" in self.page(out)
        assert time.strftime("%Y-%m-%d", time.gmtime()) in self.page(out)
        signals.write_bytes(whole)
        run(inbox, out, how, PATIENT)
        assert "waiting" not in self.page(out).lower()

    def test_what_has_just_changed_is_on_it(self, inbox: Path, out: Path, how: ScoreOptions) -> None:
        write_record(inbox, "a")
        run(inbox, out, how, InboxPolicy(settle_s=3600))
        assert "it had changed shortly before the last run" in self.page(out)

    def test_signals_without_a_header_and_other_files_are_on_it_until_they_are_gone(
        self, inbox: Path, out: Path, how: ScoreOptions
    ) -> None:
        write_record(inbox, "lone").unlink()
        (inbox / "notes.md").write_text("Monday's")
        run(inbox, out, how)
        assert all(str(inbox / name) in self.page(out) for name in ("lone.dat", "notes.md"))
        assert "2 other files" in self.page(out)
        (inbox / "notes.md").unlink()
        run(inbox, out, how)
        assert "notes.md" not in self.page(out)
        assert "1 other file<" in self.page(out)

    def test_with_pseudonyms_no_name_is_on_it_not_even_of_a_failure_from_before_the_salt(
        self, inbox: Path, out: Path, model: Path
    ) -> None:
        ward = inbox / "ward 7"
        os.truncate(write_record(ward, "Doe_Jane").with_suffix(".dat"), 10)
        os.truncate(write_record(ward, "Doe_John").with_suffix(".dat"), 10)
        run(inbox, out, ScoreOptions(model), PATIENT)
        os.utime(ward / "Doe_John.hea")
        with open_ledger(out) as ledger:  # one has failed, the other waits; both reasons name the file
            ledger.set_status(
                str(ward / "Doe_Jane.hea"), Status.QUARANTINED, f"{ward / 'Doe_Jane.dat'}: short"
            )
        assert "Doe_John" in self.page(out)
        (inbox / "Doe_notes.md").write_text("Monday's")
        options = ScoreOptions(model, pseudonyms=Pseudonyms("a salt of the tests alone"))
        run(inbox, out, options, PATIENT)
        for file in (out / "summary.csv", out / "index.html"):
            assert not any(part in file.read_text() for part in ("Doe", "Jane", "John", "ward"))
        assert "short" in self.page(out)


class TestDeaths:
    """A process that dies may be nobody's fault, or that of the recording: so it is tried again, not for ever."""

    def test_a_recording_is_given_up_after_three_and_comes_last_until_then(
        self, inbox: Path, out: Path, how: ScoreOptions
    ) -> None:
        write_record(inbox, "a")
        rows: list[SummaryRow] = []
        for n_deaths in range(1, 4):
            write_record(inbox, f"b{n_deaths}")
            with open_inbox(inbox, out, AT_ONCE, how) as arrived:
                jobs = arrived.plan()
                assert [job.name for job in jobs] == ([f"b{n_deaths}", "a"] if n_deaths > 1 else ["a", "b1"])
                for job in jobs:
                    arrived.record_outcome(job, death(job) if job.name == "a" else outcome(job))
                rows += arrived.finish()
        assert statuses(rows) == {"b1": "scored", "b2": "scored", "b3": "scored", "a": "failed"}
        assert rows[-1]["reason"] == "the worker process died 3 times, perhaps for lack of memory"

    def test_what_a_killed_run_left_behind_counts(self, inbox: Path, out: Path, how: ScoreOptions) -> None:
        write_record(inbox, "a")
        for _ in range(3):
            with open_inbox(inbox, out, AT_ONCE, how) as arrived:
                death(arrived.plan()[0])
        (row,) = run(inbox, out, how)
        assert (row["status"], row["reason"]) == (
            "failed",
            "the worker process died 3 times, perhaps for lack of memory",
        )
        assert known(out) == {"a.hea": Status.QUARANTINED}


class TestNoRoom:
    """A disk that is full is no fault of a recording: nothing is given up, the run fails and the next goes on."""

    def test_nothing_is_lost_and_the_run_says_why(
        self, inbox: Path, out: Path, how: ScoreOptions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(folder: Path, *_: object, **__: object) -> SummaryRow:
            (folder / "beats.parquet").write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

        write_record(inbox, "a")
        with monkeypatch.context() as patch:
            patch.setattr("ectopy.report.write_outputs", full)
            with pytest.raises(DeferredError, match=r"1 recording waits: .*No space left"):
                run(inbox, out, how)
        assert {path.name for path in out.iterdir()} == {".inbox.db", "summary.csv", "index.html"}
        assert known(out) == {"a.hea": Status.WAITING}
        assert statuses(run(inbox, out, how)) == {"a": "scored"}

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root may mount a small disk")
    def test_a_disk_that_is_truly_full(self, tmp_path: Path, inbox: Path, how: ScoreOptions) -> None:
        disk = tmp_path / "disk"
        disk.mkdir()
        for number in range(6):
            write_record(inbox, f"r{number}", signal_of(seed=number))
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=260k", "none", disk], check=False).returncode:
            pytest.skip("no small disk can be mounted here")
        try:
            with pytest.raises(
                (DeferredError, OSError, sqlite3.OperationalError), match=r"No space left|full"
            ):
                run(inbox, disk / "scored", how)
            n_done = len(written(disk / "scored"))
            assert 0 < n_done < 6
            assert all(
                {path.name for path in folder.iterdir()} >= FILES for folder in (disk / "scored").glob("r*")
            )
            assert Status.QUARANTINED not in known(disk / "scored").values()
            subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
            run(inbox, disk / "scored", how)
            assert len(written(disk / "scored")) == 6
        finally:
            subprocess.run(["umount", disk], check=True)


class TestTwoRuns:
    def test_the_second_is_refused_and_does_nothing(self, inbox: Path, out: Path, how: ScoreOptions) -> None:
        write_record(inbox, "a")
        with open_inbox(inbox, out, AT_ONCE, how) as first:
            jobs = first.plan()
            with pytest.raises(BusyError, match="another run"):
                run(inbox, out, how)
            first.record_outcome(jobs[0], outcome(jobs[0]))
            assert statuses(first.finish()) == {"a": "scored"}
        assert run(inbox, out, how) == []

    def test_two_processes_share_no_recording(self, inbox: Path, out: Path, model: Path) -> None:
        for number in range(4):
            write_record(inbox, f"r{number}", signal_of(seed=number))
        both = [start(inbox, out, model), start(inbox, out, model)]
        answers = [process.communicate(timeout=300) for process in both]
        n_scored = [int(told) for told, _ in answers if told.strip()]
        assert sum(n_scored) == len(written(out)) == 4
        assert all("another run" in said for told, said in answers if not told.strip())

    def test_a_killed_one_keeps_nobody_out(
        self, inbox: Path, out: Path, model: Path, how: ScoreOptions
    ) -> None:
        for number in range(3):
            write_record(inbox, f"r{number}", signal_of(seed=number))
        killed = start(inbox, out, model)
        while not (out / ".inbox.db").exists():
            time.sleep(0.01)
        killed.kill()
        killed.communicate()
        assert len(run(inbox, out, how)) == 3


def test_killed_again_and_again_it_loses_nothing_and_scores_nothing_twice(
    inbox: Path, out: Path, model: Path
) -> None:
    n = 12
    for number in range(n):
        write_record(inbox, f"r{number:02d}", signal_of(seed=number))
    chance, seen, n_kills = random.Random(0), dict[str, int](), 0
    while n_kills < 5:
        done = len(written(out))
        process = start(inbox, out, model)
        while process.poll() is None and len(written(out)) < min(done + 2, n):
            time.sleep(0.01)  # some work is done between two kills, so that this ends
        time.sleep(chance.uniform(0, 0.2))
        process.kill()
        process.communicate()
        n_kills += 1
        now = written(out)
        assert {name: now[name] for name in seen} == seen  # nothing is written a second time
        seen |= now
        for name in now:
            assert {path.name for path in (out / name).iterdir()} == FILES | {f"{name}.ectopy"}
    last = start(inbox, out, model)
    _, said = last.communicate(timeout=300)
    assert last.returncode == 0, said
    with open_ledger(out) as ledger:
        missing = [entry for entry in ledger.entries(*Status) if entry.status is not Status.SCORED]
    assert missing == []
    assert len(written(out)) == n
    assert {name: written(out)[name] for name in seen} == seen
    assert set(known(out).values()) == {Status.SCORED}
    assert len((out / "summary.csv").read_text().splitlines()) == 1 + n
    rows = [json.loads(path.read_text())["row"] for path in out.glob("r*/summary.json")]
    alone = [
        runner.score_one(
            Job(inbox / f"{row['recording']}.hea", str(row["recording"]), inbox, ScoreOptions(model))
        )
        for row in rows
    ]
    assert rows == alone  # as if nothing had happened
