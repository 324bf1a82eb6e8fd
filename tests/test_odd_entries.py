"""One odd entry in an inbox or a folder of results makes nothing else unusable, and is kept."""

import csv
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ectopy.batch import results
from ectopy.batch.ledger import TABLE_FILE, LedgerError, Status, open_ledger
from ectopy.batch.planning import ScoreOptions
from ectopy.model.classifier import load_classifier
from ectopy.monitoring.batch_summary import read_profiles, summarise_batch
from ectopy.monitoring.drift import MONITORED, N_BINS
from ectopy.report import SUMMARY_COLUMNS
from tests.inbox_runs import run
from tests.small import signal_of, write_model, write_record


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder of these tests, whose paths are in the results, and a copy of it after a first run."""
    place = tmp_path_factory.mktemp("odd") / "place"
    for seed, name in enumerate("ab"):
        write_record(place / "inbox", name, signal_of(seed=seed))
    run(place / "inbox", place / "scored", ScoreOptions(write_model(place / "model")))
    return place, place.rename(place.with_name("kept"))


@pytest.fixture
def place(first_run: tuple[Path, Path]) -> Iterator[Path]:
    """The folder as it was after the first run."""
    folder, kept = first_run
    shutil.copytree(kept, folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def inbox(place: Path) -> Path:
    return place / "inbox"


@pytest.fixture
def out(place: Path) -> Path:
    return place / "scored"


@pytest.fixture
def options(place: Path) -> ScoreOptions:
    return ScoreOptions(place / "model")


def statuses(out: Path) -> dict[str, str]:
    with (out / "summary.csv").open(newline="", encoding="utf-8") as file:
        return {row["recording"]: row["status"] for row in csv.DictReader(file)}


def kept(out: Path) -> list[str]:
    """Return the names that the files had before they were set aside."""
    return sorted(path.name.partition(".damaged-")[0] for path in out.glob("*.damaged-*"))


ODD_ROWS: list[Any] = [
    *({"n_beats": value} for value in ("many", [7], {"n": 7}, "1e999", float("nan"), 10**400)),
    *({"findings": value} for value in (None, 7, ["urgent: x"], {"urgent": "x"}, "half a pair: \ud800")),
    {"path": ["a", "b"]},
    {"status": {"scored": True}},
    {"recording": 7},
    {"longest_pause_s": "1,5"},
]


class TestSummaryOfOneRecording:
    @pytest.mark.parametrize("column", SUMMARY_COLUMNS)
    def test_without_one_of_its_columns_it_is_a_result_without_that_value(
        self, out: Path, column: str
    ) -> None:
        self.edit(out / "a", lambda summary: summary["row"].pop(column))
        results.write_summary(out, [])
        assert statuses(out) == {"a": "failed" if column == "recording" else "scored", "b": "scored"}

    @pytest.mark.parametrize("change", ODD_ROWS)
    def test_with_an_odd_value_it_is_named_and_nobody_else_is_touched(
        self, inbox: Path, out: Path, options: ScoreOptions, change: dict[str, Any]
    ) -> None:
        self.edit(out / "a", lambda summary: summary["row"].update(change))
        write_record(inbox, "c", signal_of(seed=2))
        assert [row["recording"] for row in run(inbox, out, options)] == ["c"]
        assert statuses(out) == {"a": "failed", "b": "scored", "c": "scored"}
        assert "a/summary.json: damaged" in (out / "index.html").read_text(encoding="utf-8")

    @pytest.mark.parametrize(
        "content", [b"", b"\0" * 5000, b"\xff\xfe{", b"[" * 100_000, b'{"row": 7}', b"7"]
    )
    def test_one_that_is_damaged_is_made_again_in_its_place(
        self, inbox: Path, out: Path, options: ScoreOptions, content: bytes
    ) -> None:
        (out / "a" / "summary.json").write_bytes(content)
        write_record(inbox, "c", signal_of(seed=2))
        run(inbox, out, options)  # the summary knows the path of the recording from before
        os.utime(inbox / "a.hea")
        assert [(row["recording"], row["status"]) for row in run(inbox, out, options)] == [("a", "scored")]
        assert statuses(out) == dict.fromkeys("abc", "scored")

    @pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
    def test_one_that_is_no_file_is_not_waited_for(self, out: Path, make: Callable[[Path], None]) -> None:
        (out / "a" / "summary.json").unlink()
        make(out / "a" / "summary.json")
        results.write_summary(out, [])
        assert statuses(out) == {"a": "failed", "b": "scored"}

    @pytest.mark.parametrize(
        "profile",
        [
            *(7, [], "x", {"rr": [1]}),
            *(dict.fromkeys(MONITORED, counts) for counts in ([1, 2], [10**400] * N_BINS, ["x"] * N_BINS)),
        ],
    )
    def test_an_odd_profile_does_not_stop_the_comparison_of_the_others(
        self, out: Path, options: ScoreOptions, profile: object
    ) -> None:
        rows = results.earlier_rows(out)
        self.edit(out / "a", lambda summary: summary.update(profile=profile))
        model = load_classifier(options.model)
        assert read_profiles(rows, out, model.version_id) == []
        batch = summarise_batch(rows, out, origin={"model_id": model.version_id}, reference=None, time_s=1.0)
        assert batch.counts["scored"] == 2

    def edit(self, folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
        summary = json.loads((folder / "summary.json").read_text())
        change(summary)
        (folder / "summary.json").write_text(json.dumps(summary))


class TestSummaryOfAll:
    @pytest.mark.parametrize(
        "content",
        [
            b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
            b"\0" * 4096,
            b"recording,path,status\na,in/a.hea,sco\0red\n",
            b"recording;path;status\na;in/a.hea;failed\n",
            "recording,path,status\nä,in/ä.hea,failed\n".encode("latin-1"),
            b'recording,path,status\n"a,in/a.hea,failed\n',
            b"recording,path,status\na,in/a.hea," + b"x" * 200_000 + b"\n",
            b"name,age\nx,1\n",
        ],
    )
    def test_one_that_is_damaged_is_kept_and_made_from_the_results(
        self, inbox: Path, out: Path, options: ScoreOptions, content: bytes
    ) -> None:
        (inbox / "bad.edf").write_text("junk")
        run(inbox, out, options)
        (out / "summary.csv").write_bytes(content)
        write_record(inbox, "c", signal_of(seed=2))
        run(inbox, out, options)
        assert statuses(out) == {"a": "scored", "b": "scored", "bad": "failed", "c": "scored"}
        (aside,) = out.glob("summary.csv.damaged-*")
        assert aside.read_bytes() == content

    def test_a_folder_of_that_name_is_kept_too(self, inbox: Path, out: Path, options: ScoreOptions) -> None:
        shutil.rmtree(out)
        for name in ("summary.csv", "index.html"):
            (out / name).mkdir(parents=True)
            (out / name / "mine.txt").write_text("notes")
        run(inbox, out, options)
        assert statuses(out) == {"a": "scored", "b": "scored"}
        assert kept(out) == ["index.html", "summary.csv"]

    @pytest.mark.parametrize("name", ["../../elsewhere", "/etc/passwd", "a/b", "", ".", "..", "a b"])
    def test_a_name_that_leads_elsewhere_is_left_out(self, tmp_path: Path, name: str) -> None:
        row = {"recording": name, "path": "in/a.hea", "status": "failed"}
        with (tmp_path / "summary.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, row)
            writer.writeheader()
            writer.writerow(row)
        assert results.earlier_rows(tmp_path) == []

    def test_rows_with_more_or_fewer_cells_are_read(self, tmp_path: Path) -> None:
        (tmp_path / "summary.csv").write_text(
            "recording,path,status\na,in/a.hea,failed,x,y\nb,in/b.hea\n,,\n"
        )
        assert [row["recording"] for row in results.earlier_rows(tmp_path)] == ["a"]


def overwrite(start: int, content: bytes) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(start)
            file.write(content)

    return damage


def execute(*commands: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with sqlite3.connect(path) as table:
            for command in commands:
                table.execute(command)
        table.close()

    return damage


def replaced_by_a_folder(path: Path) -> None:
    path.unlink()
    (path / "mine").mkdir(parents=True)


DAMAGE = {
    "noise": lambda path: path.write_bytes(bytes(range(256)) * 50),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "text": lambda path: path.write_text("no database"),
    "truncated": lambda path: os.truncate(path, path.stat().st_size - 3000),
    "its first page": overwrite(100, b"\xff" * 200),
    "its second page": overwrite(4096, b"\xff" * 2000),
    "another table": execute("DROP TABLE recordings", "CREATE TABLE recordings (path, status)"),
    "one more column": execute("ALTER TABLE recordings ADD COLUMN note TEXT"),
    "text that is no UTF-8": execute("UPDATE recordings SET reason = CAST(x'ff00' AS TEXT)"),
    "a folder": replaced_by_a_folder,
}


class TestLedger:
    @pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
    def test_one_that_is_damaged_is_kept_and_made_from_the_results(
        self,
        tmp_path: Path,
        inbox: Path,
        out: Path,
        damage: Callable[[Path], None],
    ) -> None:
        before = {path: path.stat().st_mtime_ns for path in out.glob("*/summary.json")}
        damage(out / TABLE_FILE)
        write_record(inbox, "c", signal_of(seed=2))
        other = ScoreOptions(write_model(tmp_path / "another", name="small 2 (test)", always="V"))
        rows = run(inbox, out, other)  # a promotion does not score an archive again
        assert {row["recording"]: row["status"] for row in rows} == {
            "a": "skipped",
            "b": "skipped",
            "c": "scored",
        }
        assert {path: path.stat().st_mtime_ns for path in before} == before
        assert kept(out) == [TABLE_FILE]
        assert run(inbox, out, other) == []

    @pytest.mark.parametrize(
        "change",
        [
            "status = 'done'",
            "files = '[]'",
            "files = '7'",
            "files = '[[1]]'",
            "files = 'no json'",
            "seen_s = 9e999",
            "seen_s = -1",
        ],
    )
    def test_a_row_that_is_no_entry_is_looked_at_again(
        self, inbox: Path, out: Path, options: ScoreOptions, change: str
    ) -> None:
        execute(f"UPDATE recordings SET {change} WHERE path LIKE '%a.hea'")(out / TABLE_FILE)
        assert [(row["recording"], row["status"]) for row in run(inbox, out, options)] == [("a", "skipped")]
        assert kept(out) == []

    def test_one_that_somebody_has_locked_is_said_in_a_line_and_kept(
        self, inbox: Path, out: Path, options: ScoreOptions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connect = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", lambda path: connect(path, timeout=0.1))
        browser = connect(out / TABLE_FILE)
        browser.execute("BEGIN EXCLUSIVE")
        with pytest.raises(
            LedgerError, match=r"\.inbox\.db: database is locked\. Check the disk and who else"
        ):
            run(inbox, out, options)
        browser.close()
        assert run(inbox, out, options) == []
        assert kept(out) == []

    def test_one_that_is_empty_or_missing_is_new(self, tmp_path: Path) -> None:
        (tmp_path / TABLE_FILE).touch()
        with open_ledger(tmp_path) as ledger:
            assert ledger.entries(*Status) == []
        assert kept(tmp_path) == []
