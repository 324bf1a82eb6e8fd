"""The number of open questions in the work list, counted before anybody opens a recording."""

import json
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from ectopy.review import background, desk, open_review
from ectopy.review.background import BackgroundCount, keep_count, read_count, write_count
from ectopy.review.desk import Desk
from ectopy.review.edits import InsertBeat
from ectopy.review.log import EditLog
from tests.reviewed import write_results
from tests.small import Here


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the results of one recording; what would be another process is this one."""
    monkeypatch.setattr(background, "WorkerPool", lambda _n: Here())
    monkeypatch.setattr(open_review, "WorkerPool", lambda _n: Here())
    monkeypatch.setattr(os, "nice", lambda step: step)
    out, name = write_results(tmp_path / "results")
    return out / name


def copied(results: Path, name: str, **row: object) -> Path:
    """Copy results under another name, with other values in their row of the table."""
    folder = results.with_name(name)
    shutil.copytree(results, folder)
    path = folder / "summary.json"
    document = json.loads(path.read_text())
    document["row"] |= {"recording": name, **row}
    path.write_text(json.dumps(document))
    return folder


def counts(on: Desk) -> dict[str, int | None]:
    return {row["name"]: row["n_decisions"] for row in on.rows()}


def test_the_work_list_knows_the_number_before_anybody_opens_the_recording(results):
    on = Desk(results.parent)
    assert counts(on) == {results.name: None}
    on.count_in_background().wait()
    (n,) = counts(on).values()
    review = on.open(results.name)
    while review.is_preparing:
        threading.Event().wait(0.02)
    assert n == len(review.decisions()) > 0
    assert Desk(results.parent).rows()[0]["n_decisions"] == n  # it is kept for the next time


def test_an_edit_or_another_scoring_makes_the_number_unknown_again(results):
    keep_count(results, 7, last_id=0)
    on = Desk(results.parent)
    assert counts(on) == {results.name: 7}
    EditLog(results.parent / f"{results.name}.review" / "edits.jsonl").append(
        InsertBeat(50, "N"), by="AB", base=""
    )
    assert counts(on) == {results.name: None}
    keep_count(results, 6, last_id=1)
    assert counts(on) == {results.name: 6}
    os.utime(results / "summary.json", ns=(1, 1))
    assert counts(on) == {results.name: None}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"after": 5}', '{"open": "x", "after": [1, 2]}'])
def test_a_damaged_number_is_none(results, content):
    keep_count(results, 7, last_id=0)
    (results.parent / f"{results.name}.review" / background.COUNT_FILE).write_text(content)
    assert read_count(results, last_id=0) is None


def test_the_most_urgent_is_counted_first_and_only_so_many_hours(results, monkeypatch):
    hour = {"duration_s": "3600"}
    for name, findings, veb_pct in (
        ("quiet", "", "50"),
        ("urgent", "urgent: a long pause", "0"),
        ("note", "note: a couplet", "0"),
        ("more", "note: a couplet", "9"),
    ):
        copied(results, name, findings=findings, veb_burden_pct=veb_pct, **hour)
    shutil.rmtree(results)
    asked: list[str] = []
    monkeypatch.setattr(background, "write_count", lambda folder, **_: asked.append(folder.name))
    monkeypatch.setattr(desk, "MOST_HOURS_COUNTED", 3.0)
    Desk(results.parent).count_in_background().wait()
    assert asked == ["urgent", "more", "note"]


def test_one_that_fails_is_left_out_and_the_others_are_counted(results, monkeypatch, caplog):
    copied(results, "broken", findings="urgent: ?")
    (results.with_name("broken") / "beats.parquet").write_bytes(b"no table")
    on = Desk(results.parent)
    on.count_in_background().wait()
    known = counts(on)
    assert known["broken"] is None
    assert known[results.name] is not None
    assert "broken: questions not counted" in caplog.text


def test_without_its_signal_a_recording_is_not_counted(results):
    for file in results.parent.parent.glob("*.dat"):
        file.unlink()
    write_count(results)
    assert read_count(results, last_id=0) is None
    assert not results.with_name(f"{results.name}.review").exists()


def test_nothing_is_counted_after_the_end(results, monkeypatch):
    """The server ends while a recording is counted: no other one is begun."""
    begun, go_on, asked = threading.Event(), threading.Event(), []

    def slow(folder: Path, **_: object) -> None:
        asked.append(folder.name)
        begun.set()
        go_on.wait(10)

    monkeypatch.setattr(background, "write_count", slow)
    names = iter(np.array(["a", "b", "c"]))
    count = BackgroundCount(lambda: Path(next(names)))
    begun.wait(10)
    monkeypatch.setattr(count._process, "interrupt", go_on.set)
    count.stop()
    count.wait()
    assert asked == ["a"]


def test_a_folder_that_cannot_be_written_costs_nothing_but_the_number(results, monkeypatch):
    def refused(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refused)
    keep_count(results, 7, last_id=0)
    assert read_count(results, last_id=0) is None
