"""The log of edits: no acknowledged edit is ever lost, and two windows do not overwrite each other."""

import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from ectopy.review.edits import (
    AcceptEvent,
    Comment,
    Confirm,
    EditError,
    Entry,
    EventRef,
    InsertBeat,
    LabelSimilar,
    MarkInterval,
    MoveEvent,
    Redo,
    RejectEvent,
    RelabelBeats,
    Reopen,
    Undo,
)
from ectopy.review.history import history
from ectopy.review.log import DamagedLogError, EditConflictError, EditLog
from tests.edited import BASE

VT = EventRef("vt", 500, 900)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "r1.review" / "edits.jsonl"


def inserted(entries: Any) -> list[int]:
    return [entry.action.sample for entry in entries]


def add(log, *actions, **options):
    return [log.append(action, by="AB", base=BASE, **options) for action in actions]


def test_what_was_appended_is_read_again_in_order(path):
    written = add(EditLog(path), InsertBeat(10, "N"), RejectEvent(VT), Comment(None, "done"))
    read = EditLog(path).entries
    assert [entry.to_line() for entry in read] == [entry.to_line() for entry in written]
    assert [entry.id for entry in read] == [1, 2, 3]


def test_nothing_is_written_before_the_first_edit(path):
    log = EditLog(path)
    assert (log.entries, log.last_id, path.parent.exists()) == ((), 0, False)


def test_the_time_of_an_entry_is_utc(path):
    noon = datetime(2026, 11, 1, 12, 0, tzinfo=timezone(timedelta(hours=2)))
    (entry,) = add(EditLog(path), InsertBeat(10, "N"), at=noon)
    assert entry.at == "2026-11-01T10:00:00.000+00:00"
    (now,) = add(EditLog(path), InsertBeat(20, "N"))
    assert abs(datetime.fromisoformat(now.at) - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_log_is_closed_to_other_accounts(path):
    add(EditLog(path), InsertBeat(10, "N"))
    assert not path.stat().st_mode & 0o007


@pytest.mark.parametrize("lost", [1, 2, 30])
def test_of_a_damaged_end_the_last_edit_is_lost_and_that_is_said(path, lost):
    add(EditLog(path), InsertBeat(10, "N"), InsertBeat(20, "N"), InsertBeat(30, "N"))
    path.write_bytes(path.read_bytes()[:-lost])
    log = EditLog(path)
    assert inserted(log.entries) == [10, 20]
    assert log.notes == ("edits.jsonl: its end was damaged, so the last edit is lost",)
    add(log, InsertBeat(40, "N"))
    assert inserted(EditLog(path).entries) == [10, 20, 40]
    assert EditLog(path).notes == ()
    assert path.with_name("edits.jsonl.damaged").read_bytes().startswith(b'{"id":3')


def test_of_a_longer_damaged_end_the_number_of_lost_edits_is_said(path):
    add(EditLog(path), *(InsertBeat(10 * number, "N") for number in range(1, 6)))
    path.write_bytes(
        path.read_bytes().replace(b'"sample":3', b'"sample"?3').replace(b'"sample":4', b"\0" * 9)[:-30]
    )
    log = EditLog(path)
    assert inserted(log.entries) == [10, 20]
    assert log.notes == ("edits.jsonl: its end was damaged, so the last 3 edits are lost",)


@pytest.mark.parametrize("garbage", [b"\0" * 100, b"\xff\n\xfe\n\r\n", b'{"id":7}\n', b"\n"])
def test_garbage_after_the_last_line_costs_no_edit(path, garbage):
    add(EditLog(path), InsertBeat(10, "N"))
    with path.open("ab") as file:
        file.write(garbage)
    log = EditLog(path)
    assert len(log.entries) == 1
    add(log, InsertBeat(20, "N"))
    assert [entry.id for entry in EditLog(path).entries] == [1, 2]


def test_an_entry_of_a_newer_version_is_not_taken_for_damage(path):
    add(EditLog(path), InsertBeat(100, "N"))
    newer = path.read_bytes().replace(b'"id":1', b'"id":2').replace(b"insert_beat", b"dream_up_beat")
    with path.open("ab") as file:
        file.write(newer)
    with pytest.raises(DamagedLogError, match=r"does not know the action dream_up_beat\. Use"):
        EditLog(path)
    assert not path.with_name("edits.jsonl.damaged").exists()
    assert path.read_bytes().endswith(newer)


@pytest.mark.parametrize(
    ("known", "newer"),
    [
        (b'"label":"N"', b'"label":"N","reason":"noise"'),
        (b'"label":"N"', b'"label":"P"'),
        (b'"sample":100,', b""),
    ],
    ids=["field", "value", "without"],
)
def test_entries_with_more_than_this_version_knows_are_kept(path, known, newer):
    """Taken for a damaged end, all of them would be set aside by the next edit."""
    add(EditLog(path), InsertBeat(100, "N"), InsertBeat(100, "N"))
    content = path.read_bytes().replace(known, newer)
    path.write_bytes(content)
    with pytest.raises(DamagedLogError, match=r"does not know all that insert_beat states\. Use"):
        EditLog(path)
    assert path.read_bytes() == content


def test_a_line_damaged_in_the_middle_is_not_guessed_at(path):
    add(EditLog(path), InsertBeat(10, "N"), InsertBeat(20, "N"), InsertBeat(30, "N"))
    path.write_bytes(path.read_bytes().replace(b'"id":2', b'"id"?2'))
    with pytest.raises(
        DamagedLogError, match=r"edits.jsonl: line 2 is damaged, but not the last. Restore it"
    ):
        EditLog(path)


def test_a_log_that_became_shorter_is_refused(path):
    log = EditLog(path)
    add(log, InsertBeat(10, "N"), InsertBeat(20, "N"))
    path.write_bytes(b"")
    with pytest.raises(DamagedLogError, match="shorter than it was"):
        log.refresh()


def test_a_full_disk_changes_nothing(path, monkeypatch):
    log = EditLog(path)
    add(log, InsertBeat(10, "N"))
    before = path.read_bytes()
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, line: write(file, line[: len(line) // 2]))
    with pytest.raises(OSError, match="the disk is full"):
        add(log, InsertBeat(20, "N"))
    monkeypatch.setattr(os, "write", write)
    assert path.read_bytes() == before
    add(log, InsertBeat(30, "N"))
    assert inserted(EditLog(path).entries) == [10, 30]


def test_an_edit_that_may_not_be_on_the_disk_is_not_acknowledged(path, monkeypatch):
    log = EditLog(path)
    add(log, InsertBeat(10, "N"))

    def fail(_file):
        raise OSError("no such device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no such device"):
        add(log, InsertBeat(20, "N"))
    monkeypatch.undo()
    assert len(EditLog(path).entries) == 1


APPENDING = """
import os, sys
from pathlib import Path
from ectopy.review.edits import InsertBeat
from ectopy.review.log import EditLog
for _ in range(int(sys.argv[2])):
    if not (child := os.fork()):  # a new process each time, without the time that imports take
        print(os.getpid(), flush=True)
        log = EditLog(Path(sys.argv[1]))
        while True:
            id = log.append(InsertBeat(log.last_id, "N"), by="AB", base="").id
            os.write(1, b"%d\\n" % id)  # a line or nothing, whenever it is killed
    os.waitpid(child, 0)
    print("dead", flush=True)
"""
KILLS = 50


def test_kill_9_loses_no_acknowledged_edit(path):
    """A process appends and acknowledges until it is killed, at another moment each time."""
    moments = np.random.default_rng(0).integers(1, 12, KILLS).tolist()
    command = [sys.executable, "-c", APPENDING, str(path), str(KILLS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        said: Any = parent.stdout
        for n_edits in moments:
            child = int(said.readline())
            acknowledged = [int(said.readline()) for _ in range(n_edits)]
            os.kill(child, signal.SIGKILL)
            acknowledged += [int(line) for line in iter(said.readline, "dead\n")]
            log = EditLog(path)
            assert log.last_id >= acknowledged[-1]
            assert inserted(log.entries) == list(range(log.last_id))
    assert log.last_id >= sum(moments)


def test_two_windows_that_edit_different_things_are_merged(path):
    one, other = EditLog(path), EditLog(path)
    add(one, RelabelBeats(np.array([100, 200]), "V", "NN"))
    add(other, RelabelBeats(np.array([101, 300]), "S", "NN"), RejectEvent(VT), expected_last_id=0)
    add(one, AcceptEvent(EventRef("vt", 901, 1200)), Comment(VT, "?"), expected_last_id=1)
    assert one.last_id == 5
    assert len(other.refresh()) == 2
    assert [e.to_line() for e in one.entries] == [e.to_line() for e in other.entries]


def test_a_reader_goes_before_beats_that_followed_in_another_window(path):
    one, other = EditLog(path), EditLog(path)
    add(one, RelabelBeats(np.array([100]), "V", "N"), LabelSimilar(np.array([200, 300]), "VV", "NN"))
    add(other, RelabelBeats(np.array([200]), "S", "N"), expected_last_id=0)
    assert len(EditLog(path).entries) == 3
    with pytest.raises(EditConflictError):
        add(other, Confirm(), expected_last_id=1)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (RelabelBeats(np.array([100, 200]), "V", "NN"), RelabelBeats(np.array([200]), "S", "N")),
        (MarkInterval(150, 250, "artefact"), RelabelBeats(np.array([100, 200]), "S", "NN")),
        (InsertBeat(200, "N"), MarkInterval(150, 250, "af")),
        (RejectEvent(VT), MoveEvent(EventRef("vt", 880, 990), 870, 990)),
        (MoveEvent(VT, 1000, 1100), AcceptEvent(EventRef("vt", 1050, 1200))),
        (InsertBeat(200, "N"), Undo(1)),
        (InsertBeat(200, "N"), Confirm()),
        (Confirm(), InsertBeat(200, "N")),
    ],
)
def test_two_windows_that_edit_the_same_are_in_conflict(path, first, second):
    one, other = EditLog(path), EditLog(path)
    add(one, first)
    with pytest.raises(EditConflictError, match="AB changed the same") as conflict:
        add(other, second)
    assert [entry.id for entry in conflict.value.entries] == [1]
    assert other.last_id == 1  # it has seen the other window's edit by now
    assert len(EditLog(path).entries) == 1


ANSWER, SIMILAR = RelabelBeats(np.array([100]), "V", "N"), LabelSimilar(np.array([200, 300]), "VV", "NN")


def done_and_undone(actions):
    """Return the numbers of the entries that count, and what each undo took back."""
    past = history([Entry(number, "", "AB", BASE, action) for number, action in enumerate(actions, 1)])
    return [entry.id for entry in past.done], [[entry.id for entry in group] for group in past.undone]


def test_beats_that_followed_an_answer_are_undone_and_redone_with_it(path):
    log = EditLog(path)
    add(log, InsertBeat(20, "N"), ANSWER, SIMILAR)
    assert [entry.id for entry in history(log.entries).next_undo] == [2, 3]
    add(log, Undo(2))
    past = history(log.entries)
    assert [entry.id for entry in past.done] == [1]
    assert [entry.id for entry in past.next_redo] == [2, 3]
    add(log, Redo(2))
    assert [entry.id for entry in history(log.entries).done] == [1, 2, 3]
    add(log, Undo(2), Undo(1))
    assert history(log.entries).next_undo == ()
    with pytest.raises(EditError, match="redo: entry 3"):  # it comes back with its answer only
        add(log, Redo(3))


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ([Undo(3)], ([1, 2], [[3]])),
        ([Undo(3), Undo(2)], ([1], [[3], [2]])),
        ([Undo(3), Undo(2), Redo(2)], ([1, 2], [[3]])),
        ([Undo(3), Undo(2), Redo(2), Redo(3)], ([1, 2, 3], [])),
        ([Undo(3), Undo(2), InsertBeat(40, "N")], ([1, 6], [])),
    ],
)
def test_a_log_that_undoes_an_answer_and_its_similar_beats_apart_means_the_same(actions, expected):
    """An earlier version wrote an undo for each of them."""
    assert done_and_undone([InsertBeat(20, "N"), ANSWER, SIMILAR, *actions]) == expected


def test_after_such_a_log_one_undo_takes_both_back():
    apart = [InsertBeat(20, "N"), ANSWER, SIMILAR, Undo(3), Undo(2), Redo(2), Redo(3)]
    assert done_and_undone([*apart, Undo(2)]) == ([1], [[2, 3]])


def test_windows_that_append_at_once_lose_nothing(path):
    def work(first):
        log = EditLog(path)
        for sample in range(first, first + 100, 4):
            add(log, InsertBeat(sample, "N"))

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = EditLog(path).entries
    assert [entry.id for entry in entries] == list(range(1, 101))
    assert sorted(inserted(entries)) == list(range(100))


def test_confirmed_results_are_not_edited_until_they_are_reopened(path):
    log = EditLog(path)
    add(log, InsertBeat(10, "N"), Confirm(60.0))
    for action in (InsertBeat(20, "N"), Undo(1), Confirm()):
        with pytest.raises(EditError, match=r"confirmed by AB\. Reopen them first"):
            add(log, action)
    add(log, Reopen(), InsertBeat(20, "N"))
    with pytest.raises(EditError, match="not confirmed"):
        add(log, Reopen())
    assert history(log.entries).confirmed is None


def test_only_what_was_done_can_be_undone_and_only_what_was_undone_redone(path):
    log = EditLog(path)
    add(log, InsertBeat(10, "N"), Undo(1))
    for action, problem in (
        (Undo(1), "undo: entry 1"),
        (Undo(9), "undo: entry 9"),
        (Redo(9), "redo: entry 9"),
    ):
        with pytest.raises(EditError, match=problem):
            add(log, action)
    add(log, Redo(1), InsertBeat(20, "N"), Undo(4), InsertBeat(30, "N"))
    with pytest.raises(EditError, match="redo: entry 4"):  # a new edit took its place
        add(log, Redo(4))
    assert [entry.id for entry in history(log.entries).done] == [1, 6]
