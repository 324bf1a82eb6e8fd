"""The search for recordings: no entry of a folder, however odd or harmful, costs another one."""

import csv
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest
from pyarrow import parquet

from ectopy import readers
from ectopy.batch import planning, runner, search
from ectopy.batch.faults import UnforeseenError
from ectopy.batch.planning import ScoreOptions
from ectopy.batch.pseudonyms import Pseudonyms
from ectopy.batch.search import UnlistedError
from ectopy.cli import main
from ectopy.ecg import UnreadableError
from ectopy.parallel import worker_pool
from ectopy.parallel.worker_pool import LimitExceededError, ResourceLimits, WorkerDiedError
from tests import inbox_runs
from tests.harmful import HARM, HarmedPool, nested_parquet
from tests.small import find_recordings, write_model, write_record

NOBODY = 65534


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "normal")


@pytest.fixture(scope="module")
def workers() -> Iterator[HarmedPool]:
    with HarmedPool(1, ResourceLimits(memory_mb=2048)) as pool:
        yield pool


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(folder)


@contextmanager
def somebody_else() -> Iterator[None]:
    """Be a user for whom permissions count: root may read everything."""
    before = os.geteuid()
    if before == 0:
        for name in ("_strptime", "encodings.utf_8_sig"):  # of a Python that only root may read
            import_module(name)
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


class TestHarm:
    """A file that harms the process which looks at it is a recording that fails; the others are found."""

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory that is written to")
    def test_each_is_named_with_its_reason_and_the_others_are_found(
        self, tmp_path: Path, workers: HarmedPool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search, "LOOK_TIME_S", 3)
        good = [write_record(tmp_path, name) for name in ("a", "z")]
        for harm in HARM:
            (tmp_path / harm.decode()).write_bytes(harm)
        found = search.find_recordings([tmp_path], workers)
        assert set(found.recordings) == {*good, *(tmp_path / harm.decode() for harm in HARM)}
        assert found.files[good[0]] == (good[0], good[0].with_suffix(".dat"))
        kinds = {path.name: type(error) for path, error in found.errors.items()}
        assert kinds == {
            "crash": WorkerDiedError,
            "hang": LimitExceededError,
            "fill": LimitExceededError,
            "raise": UnforeseenError,
        }
        assert "ended the process. Remove it" in str(found.errors[tmp_path / "crash"])
        assert "more than 3 s or too much memory. Remove it" in str(found.errors[tmp_path / "hang"])

    def test_a_parquet_footer_nested_twenty_thousand_deep(self, tmp_path: Path, workers: HarmedPool) -> None:
        (tmp_path / "shallow.parquet").write_bytes(nested_parquet(3))
        assert parquet.ParquetFile(tmp_path / "shallow.parquet").schema.column(0).path == "g.g.g.x"
        (tmp_path / "deep.parquet").write_bytes(nested_parquet(20_000))
        good = write_record(tmp_path)
        found = search.find_recordings([tmp_path], workers)
        assert set(found.recordings) == {tmp_path / "deep.parquet", good}
        assert isinstance(found.errors[tmp_path / "deep.parquet"], WorkerDiedError)
        assert found.n_other == 1  # the shallow one has no lead

    def test_a_header_that_does_harm_hides_no_other(self, tmp_path: Path, workers: HarmedPool) -> None:
        good = write_record(tmp_path)
        (tmp_path / "x.hea").write_bytes(b"crash")
        found = search.find_recordings([tmp_path], workers)
        assert (found.recordings, set(found.errors)) == ((good, tmp_path / "x.hea"), {tmp_path / "x.hea"})


class TestOddEntries:
    def test_links_that_lead_nowhere_or_in_a_circle(self, tmp_path: Path) -> None:
        good = write_record(tmp_path)
        (tmp_path / "gone.edf").symlink_to(tmp_path / "nowhere")
        (tmp_path / "gone.lock").symlink_to(tmp_path / "nowhere")
        (tmp_path / "circle.csv").symlink_to(tmp_path / "circle.csv")
        (tmp_path / "up").symlink_to(tmp_path)
        found = find_recordings([tmp_path])
        assert found.recordings == (tmp_path / "circle.csv", tmp_path / "gone.edf", good)
        assert found.n_other == 1  # the lock
        with pytest.raises(UnreadableError, match=r"gone\.edf: a link to a file that does not exist\. Copy"):
            readers.open_recording(tmp_path / "gone.edf")
        with pytest.raises(UnreadableError, match=r"circle\.csv: cannot open the file .*levels of symbolic"):
            readers.open_recording(tmp_path / "circle.csv")

    def test_names_that_no_text_file_could_hold(self, tmp_path: Path) -> None:
        names = ["two\nlines", os.fsdecode(b"m\xfcller"), "  ", "-rf", "a" * 251, "\x1b[2J", "%s{}"]
        for name in names:
            write_record(tmp_path).rename(tmp_path / f"{name}.hea")
        found = find_recordings([tmp_path])
        assert {path.stem for path in found.recordings} == set(names)
        assert {len(files) for files in found.files.values()} == {2}

    def test_folders_deeper_than_python_calls_itself(self, tmp_path: Path) -> None:
        folders = [tmp_path]
        good = write_record(tmp_path)
        for _ in range(sys.getrecursionlimit() + 10):
            folders.append(folders[-1] / "a")
            folders[-1].mkdir()
        found = find_recordings([tmp_path])
        for folder in reversed(folders[1:]):  # pytest could not remove them
            folder.rmdir()
        assert found.recordings == (good,)

    def test_a_file_that_vanishes_after_it_was_listed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        good = write_record(tmp_path)
        (tmp_path / "gone.edf").write_text("junk")
        listed = search.files_below

        def then_one_vanishes(*arguments: object, **options: object) -> Iterator[Path]:
            files = list(listed(*arguments, **options))
            (tmp_path / "gone.edf").unlink(missing_ok=True)
            return iter(files)

        monkeypatch.setattr(search, "files_below", then_one_vanishes)
        assert find_recordings([tmp_path]).recordings == (good,)

    def test_files_that_are_done_are_not_looked_at(self, tmp_path: Path) -> None:
        done, new = (write_record(tmp_path, name) for name in "ab")
        found = find_recordings([tmp_path], done={done, done.with_suffix(".dat")})
        assert (found.recordings, found.n_other) == ((new,), 0)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
class TestPermissions:
    def test_what_may_not_be_read_is_a_recording_that_fails(self, open_folder: Path) -> None:
        good = write_record(open_folder)
        closed = write_record(open_folder / "closed", "c")
        for path in (closed, closed.with_suffix(".dat"), open_folder / "x.edf", open_folder / "IM0001"):
            path.touch()
            path.chmod(0)
        with somebody_else():
            found = find_recordings([open_folder])
            assert found.recordings == (open_folder / "IM0001", good, open_folder / "x.edf", closed)
            with pytest.raises(
                UnreadableError, match=r"cannot open the file \(Permission denied\)\. Check that you may"
            ):
                readers.open_recording(closed)

    def test_a_folder_that_may_not_be_listed_is_named(self, open_folder: Path) -> None:
        good = write_record(open_folder)
        (open_folder / "closed").mkdir(mode=0)
        with somebody_else():
            found = find_recordings([open_folder])
        assert found.recordings == (good,)
        ((folder, error),) = found.unlisted.items()
        assert (folder, type(error)) == (open_folder / "closed", UnlistedError)
        assert "the folder cannot be listed (Permission denied). Check that you may read it." in str(error)

    def test_a_link_into_a_folder_that_may_not_be_entered(self, open_folder: Path) -> None:
        good = write_record(open_folder)
        other = write_record(open_folder / ".closed", "other")
        (open_folder / "other.hea").symlink_to(other)
        (open_folder / "folder").symlink_to(other.parent)
        other.parent.chmod(0)
        with somebody_else():
            found = find_recordings([open_folder])
            assert found.recordings == (open_folder / "other.hea", good)
            assert find_recordings([open_folder], follow_links=False).recordings == (good,)
            assert find_recordings([other]).recordings == (
                other,
            )  # it was named: opening it gives the reason

    def test_a_folder_that_may_be_listed_but_not_entered(self, open_folder: Path) -> None:
        good = write_record(open_folder)
        closed = write_record(open_folder / "closed", "c")
        closed.parent.chmod(0o744)
        with somebody_else():
            assert set(find_recordings([open_folder]).recordings) == {
                good,
                closed,
                closed.with_suffix(".dat"),
            }


def write_harmful(folder: Path) -> None:
    for name in ("a", "z"):
        write_record(folder, name)
    for harm in HARM:
        (folder / harm.decode()).write_bytes(harm)
    (folder / "deep.parquet").write_bytes(nested_parquet(20_000))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory that is written to")
class TestWhereFilesComeFrom:
    """The command and the inbox go on after each harmful file, and name it."""

    def test_the_command_scores_the_others_and_names_what_did_harm(
        self, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search, "LOOK_TIME_S", 3)
        monkeypatch.setattr(worker_pool, "WorkerPool", HarmedPool)
        write_harmful(tmp_path / "in")
        command = ["score", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--model", str(model)]
        for status in ("scored", "skipped"):
            with pytest.raises(SystemExit) as ended:
                main(command)
            assert ended.value.code == 1
            with (tmp_path / "out" / "summary.csv").open(newline="") as file:
                rows = {row["recording"]: row for row in csv.DictReader(file)}
            assert {name: row["status"] for name, row in rows.items()} == {
                **dict.fromkeys(("a", "z"), status),
                **dict.fromkeys(("crash", "deep", "fill", "hang", "raise"), "failed"),
            }
            assert rows["deep"]["reason"] == (
                f"{tmp_path / 'in' / 'deep.parquet'}: reading it ended the process. Remove it or export it again."
            )

    def test_with_pseudonyms_no_reason_names_a_file(
        self, tmp_path: Path, model: Path, workers: HarmedPool
    ) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "Doe_Jane").write_bytes(b"crash")
        (tmp_path / "out").mkdir()
        options = ScoreOptions(model, pseudonyms=Pseudonyms("a salt of the tests alone"))
        found = search.find_recordings([tmp_path / "in"], workers)
        (row,) = runner.run(planning.plan_batch(found, tmp_path / "out", options), workers)
        assert "ended the process" in str(row["reason"])
        assert not [value for value in row.values() if "Doe" in str(value) or str(tmp_path) in str(value)]

    def test_the_inbox_scores_the_others_and_puts_them_into_quarantine(
        self, tmp_path: Path, model: Path, workers: HarmedPool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search, "LOOK_TIME_S", 3)
        monkeypatch.setattr("ectopy.batch.inbox.shared_pool", lambda limits: workers)
        write_harmful(tmp_path / "inbox")
        scored, failed = list[str](), list[str]()
        for _ in range(4):
            for row in inbox_runs.run(tmp_path / "inbox", tmp_path / "out", ScoreOptions(model)):
                (scored if row["status"] == "scored" else failed).append(str(row["recording"]))
        assert (sorted(scored), sorted(failed)) == (
            ["a", "z"],
            ["crash", "deep", "fill", "hang", "raise"],
        )
        assert {path.name for path in (tmp_path / "inbox").iterdir()} == {"a.hea", "a.dat", "z.hea", "z.dat"}
        assert len(list((tmp_path / "quarantine").iterdir())) == 5

    def test_a_folder_that_cannot_be_listed_is_a_row_of_the_summary(
        self, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_record(tmp_path / "in" / "closed")
        write_record(tmp_path / "in", "good")
        scan = os.scandir

        def refused(folder: Path) -> object:
            if Path(folder).name == "closed":
                raise PermissionError(errno.EACCES, "Permission denied")
            return scan(folder)

        monkeypatch.setattr(os, "scandir", refused)  # root may list everything
        with pytest.raises(SystemExit) as ended:
            main(["score", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--model", str(model)])
        assert ended.value.code == 1
        with (tmp_path / "out" / "summary.csv").open(newline="") as file:
            rows = {row["recording"]: (row["status"], row["reason"]) for row in csv.DictReader(file)}
        reason = f"{tmp_path / 'in' / 'closed'}: the folder cannot be listed (Permission denied). Check that you may read it."
        assert rows == {"good": ("scored", ""), "closed": ("failed", reason)}
