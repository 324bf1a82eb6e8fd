"""Confirmed results: all files say who confirmed and what was changed, and nothing replaces them in silence."""

import csv
import json
import logging
from datetime import datetime

import jsonschema
import pytest
from fhir.resources.R4B.bundle import Bundle

from ectopy.annotations import read_annotations
from ectopy.batch.planning import ScoreOptions
from ectopy.batch.results import PRIVATE_FOLDER, lock_output
from ectopy.batch.reviews import review_of
from ectopy.report.confirmation import Confirmation
from ectopy.report.data_files import summary_schema
from ectopy.report.fhir import MissingLibraryError
from ectopy.report.strips import strips
from ectopy.review import confirm as confirming
from ectopy.review.changes import changes_document, find_changes, review_seconds
from ectopy.review.confirm import confirm, read_changes, settle_confirmation
from ectopy.review.desk import Desk
from ectopy.review.documents import recording_document
from ectopy.review.edits import (
    ChooseStrip,
    Comment,
    DeleteBeats,
    EditError,
    InsertBeat,
    MarkInterval,
    MoveEvent,
    RejectEvent,
    RelabelBeats,
    RelabelEvent,
    Reopen,
)
from ectopy.review.log import EditConflictError, EditLog
from ectopy.review.recordings import open_result
from ectopy.review.reviewed_events import event_ref
from ectopy.review.state import replay
from tests.edited import analysis_from, entries_of, ref, relabel
from tests.scored import scored
from tests.small import write_model, write_record

FILES = {
    "beats.parquet",
    "changes.json",
    "events.csv",
    "fhir.json",
    "r.reviewed",
    "report.html",
    "rhythm.csv",
    "summary.json",
}


@pytest.fixture
def out(tmp_path):
    return scored([write_record(tmp_path)], tmp_path / "out", ScoreOptions(write_model(tmp_path / "m")))


@pytest.fixture
def result(out):
    return open_result(out, "r")


def reviewed(result, *actions):
    """Return the log of a recording after some actions."""
    log = EditLog(result.log_path)
    for action in actions:
        log.append(action, by="AB", base=result.base)
    return log


def vt(result):
    """Relabel three beats in a row as ventricular."""
    samples = result.analysis.beats.sample[10:13]
    return RelabelBeats(samples, "V", "NNN")


def confirmed_folder(result):
    return result.review_folder / "confirmed"


def row(out):
    with (out / "summary.csv").open(newline="") as file:
        return next(csv.DictReader(file))


class TestFiles:
    def test_they_are_those_of_a_recording_and_the_automatic_ones_stay(self, out, result):
        before = {path.name: path.read_bytes() for path in (out / "r").iterdir()}
        confirm(result, reviewed(result, vt(result)), by="AB")
        assert {path.name for path in confirmed_folder(result).iterdir()} == FILES
        assert {path.name: path.read_bytes() for path in (out / "r").iterdir()} == before

    def test_they_hold_the_labels_of_the_reader(self, out, result):
        confirm(result, reviewed(result, vt(result)), by="AB")
        labels = read_annotations(confirmed_folder(result) / "r", "reviewed").symbol
        assert (labels == "V").sum() == 3
        assert not (read_annotations(out / "r" / "r", "ectopy").symbol == "V").any()
        assert json.loads((confirmed_folder(result) / "summary.json").read_text())["figures"]["n_veb"] == 3

    def test_the_summary_is_as_its_schema_says_and_states_the_reader(self, result):
        entry = confirm(result, reviewed(result, vt(result)), by="AB")
        document = json.loads((confirmed_folder(result) / "summary.json").read_text())
        jsonschema.validate(document, summary_schema())
        assert document["review"] == {"confirmed_by": "AB", "confirmed_at": entry.at}
        assert document["row"]["review"] == f"confirmed by AB on {entry.at[:10]}"

    def test_the_report_says_who_confirmed_it_and_what_was_changed(self, result):
        comment = Comment(None, "a <b>good</b> night")
        confirm(result, reviewed(result, vt(result), comment), by="A&B")
        page = (confirmed_folder(result) / "report.html").read_text()
        assert page.count("Confirmed by A&amp;B on") == 2
        assert "3 beats relabelled from N to V" in page
        assert "<h3>Comments of the reader</h3>" in page
        assert "a &lt;b&gt;good&lt;/b&gt; night" in page
        assert "Automatic, unconfirmed." not in page

    def test_without_a_change_the_report_says_so(self, result):
        confirm(result, reviewed(result), by="AB")
        page = (confirmed_folder(result) / "report.html").read_text()
        assert "The reader changed nothing in the automatic analysis." in page

    def test_the_fhir_bundle_is_final_and_valid(self, result):
        entry = confirm(result, reviewed(result, vt(result)), by="AB")
        bundle = json.loads((confirmed_folder(result) / "fhir.json").read_text())
        Bundle.model_validate(bundle)
        resources = [item["resource"] for item in bundle["entry"]]
        assert {resource["status"] for resource in resources} == {"final"}
        assert resources[0]["issued"] == entry.at
        assert resources[0]["resultsInterpreter"] == [{"display": "Reader AB"}]
        assert "Confirmed by AB on" in resources[0]["conclusion"]
        assert "unconfirmed" not in json.dumps(bundle).lower()

    def test_without_the_library_there_is_no_bundle_and_that_is_said(self, result, monkeypatch, caplog):
        def missing():
            raise MissingLibraryError("--fhir: fhir is not installed.")

        monkeypatch.setattr(confirming, "require_library", missing)
        confirm(result, reviewed(result), by="AB")
        assert {path.name for path in confirmed_folder(result).iterdir()} == FILES - {"fhir.json"}
        assert "no fhir.json is written" in caplog.text

    def test_the_strip_that_a_reader_chose_is_in_the_report(self, result):
        log = reviewed(result, vt(result))
        (event,) = replay(result.analysis, log.entries, base=result.base).analysis.events
        chosen = event_ref(event, result.analysis.fs)
        log = reviewed(result, ChooseStrip(chosen, chosen.onset - 100))
        drawn = strips(result.analysis, {event: chosen.onset - 100})[event]
        assert drawn.start_s == pytest.approx(event.onset_s - 100 / result.analysis.fs)
        confirm(result, log, by="AB")
        page = (confirmed_folder(result) / "report.html").read_text()
        assert drawn.leads[0].trace.path in page

    def test_the_same_log_gives_the_same_bytes(self, out, result):
        log = reviewed(result, vt(result), Comment(None, "twice"))
        first = confirm(result, log, by="AB")
        files = {path.name: path.read_bytes() for path in confirmed_folder(result).iterdir()}
        log.path.write_bytes(b"".join(entry.to_line() for entry in log.entries[:2]))
        again = EditLog(log.path)
        confirm(open_result(out, "r"), again, by="AB", at=datetime.fromisoformat(first.at))
        assert {path.name: path.read_bytes() for path in confirmed_folder(result).iterdir()} == files


class TestState:
    def test_a_confirmed_recording_is_edited_only_after_it_is_reopened(self, out, result):
        log = reviewed(result, vt(result))
        confirm(result, log, by="AB")
        with pytest.raises(EditError, match="confirmed by AB"):
            confirm(result, log, by="CD")
        reviewed(result, Reopen(), vt(result))
        assert row(out)["review"].startswith("confirmed by AB on ")  # until the next run
        log = EditLog(result.log_path)
        confirm(result, log, by="CD")
        assert read_changes(confirmed_folder(result))["confirmed_by"] == "CD"

    def test_files_that_were_reopened_are_not_called_confirmed_any_more(self, out, result):
        log = reviewed(result, vt(result))
        first = confirm(result, log, by="AB")
        files = {path.name: path.read_bytes() for path in confirmed_folder(result).iterdir()}
        log = reviewed(result, Reopen())
        assert not settle_confirmation(result, log.entries)
        assert not confirmed_folder(result).exists()
        (kept,) = result.review_folder.glob("reopened-*")
        assert kept.name == f"reopened-{first.at.replace(':', '')}"
        assert {path.name: path.read_bytes() for path in kept.iterdir()} == files
        assert row(out)["review"] == "in review"

    def test_nothing_is_confirmed_that_could_not_be_written(self, result, monkeypatch):
        def full(*_args, **_options):
            raise OSError("no space left")

        log = reviewed(result, vt(result))
        monkeypatch.setattr(confirming, "write_outputs", full)
        with pytest.raises(OSError, match="no space left"):
            confirm(result, log, by="AB")
        assert not confirmed_folder(result).exists()
        assert EditLog(result.log_path).last_id == 1

    def test_what_another_window_changed_meanwhile_is_not_confirmed_unseen(self, result):
        log = reviewed(result, vt(result))
        reviewed(result, Comment(None, "wait"), InsertBeat(20, "N"))
        with pytest.raises(EditConflictError):
            confirm(result, log, by="AB", expected_last_id=1)
        assert not confirmed_folder(result).exists()

    def test_a_comment_that_the_reader_has_not_seen_is_not_lost_from_the_report(self, result):
        log = reviewed(result, vt(result))
        reviewed(result, Comment(None, "ask again"))
        with pytest.raises(EditConflictError):
            confirm(result, log, by="AB")
        confirm(result, log, by="AB")
        assert "ask again" in (confirmed_folder(result) / "report.html").read_text()

    def test_the_table_and_the_index_show_the_state(self, out, result):
        assert row(out)["review"] == "automatic"
        entry = confirm(result, reviewed(result, vt(result)), by="AB")
        assert row(out)["review"] == f"confirmed by AB on {entry.at[:10]}"
        index = (out / "index.html").read_text()
        assert 'href="r.review/confirmed/report.html"' in index
        assert "except where a confirmed report is linked" in index

    def test_a_run_that_is_writing_the_index_is_not_disturbed(self, out, result):
        with lock_output(out):
            confirm(result, reviewed(result), by="AB")
        assert row(out)["review"] == "automatic"


def killed_before_the_files_had_their_name(result):
    """Leave what a process leaves that dies after the entry of the log: the new files in the private folder."""
    private = result.review_folder / PRIVATE_FOLDER
    private.mkdir()
    confirmed_folder(result).rename(private / "confirmed.0123abcd.new")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class TestKilledWhileConfirming:
    def test_who_opens_the_recording_gets_the_files_that_were_confirmed(self, out, result):
        confirm(result, reviewed(result, vt(result), Comment(None, "seen")), by="AB", seconds=7.5)
        files = contents(confirmed_folder(result))
        killed_before_the_files_had_their_name(result)
        assert review_of(out, "r") == "in review"
        (listed,) = Desk(out).rows()
        assert (listed["status"], listed["confirmed_by"]) == ("in review", "")
        desk = Desk(out)
        assert desk.open("r").state.status == "confirmed"
        assert contents(confirmed_folder(result)) == files
        assert not (result.review_folder / PRIVATE_FOLDER).exists()
        assert review_of(out, "r") == row(out)["review"]
        assert desk.rows()[0]["confirmed_by"] == "AB"

    def test_files_of_an_earlier_confirmation_are_not_taken_for_those_of_the_last(self, out, result):
        confirm(result, reviewed(result), by="AB", at=datetime.fromisoformat("2026-11-01T12:00:00+00:00"))
        earlier = contents(confirmed_folder(result))
        log = reviewed(result, Reopen(), vt(result))
        confirm(result, log, by="CD")
        for path in confirmed_folder(result).iterdir():
            path.write_bytes(earlier[path.name])
        assert review_of(out, "r") == "in review"
        assert settle_confirmation(result, log.entries)
        assert read_changes(confirmed_folder(result))["confirmed_by"] == "CD"
        assert not settle_confirmation(result, log.entries)

    def test_nothing_is_completed_while_another_process_confirms(self, result):
        log = reviewed(result, vt(result))
        confirm(result, log, by="AB")
        killed_before_the_files_had_their_name(result)
        with lock_output(result.review_folder):
            assert not settle_confirmation(result, log.entries)
        assert settle_confirmation(result, log.entries)

    def test_other_results_than_those_that_were_confirmed_are_not_confirmed(self, tmp_path, out, result):
        log = reviewed(result, vt(result))
        confirm(result, log, by="AB")
        killed_before_the_files_had_their_name(result)
        scored([tmp_path / "r.hea"], out, ScoreOptions(write_model(tmp_path / "other", always="S")))
        assert not settle_confirmation(open_result(out, "r"), log.entries)
        assert row(out)["review"] == "in review"


class TestScoringAgain:
    def test_the_edits_and_the_confirmed_report_stay_and_that_is_said(self, tmp_path, out, result, caplog):
        confirm(result, reviewed(result, vt(result)), by="AB")
        kept = {path: path.read_bytes() for path in sorted(result.review_folder.rglob("*")) if path.is_file()}
        other = ScoreOptions(write_model(tmp_path / "other", name="small 2 (test)", always="S"))
        with caplog.at_level(logging.WARNING):
            scored([tmp_path / "r.hea"], out, other)
        assert {path: path.read_bytes() for path in kept} == kept
        assert row(out)["review"].endswith(", scored again since")
        assert "The confirmed report stays as it is." in caplog.text
        assert "scored again since" in (out / "index.html").read_text()
        again = open_result(out, "r")
        state = replay(again.analysis, EditLog(again.log_path).entries, base=again.base)
        assert state.is_outdated
        assert [conflict.text for conflict in state.conflicts] == [
            "relabel_beats: 3 beats that were called V are S now"
        ]
        (note,) = recording_document(Desk(out).open("r"))["notes"]
        assert "scored again since it was confirmed" in note

    def test_the_same_results_again_are_no_news(self, tmp_path, out, result, caplog):
        confirm(result, reviewed(result, vt(result)), by="AB")
        scored([tmp_path / "r.hea"], out, ScoreOptions(tmp_path / "m", force=True))
        assert recording_document(Desk(out).open("r"))["notes"] == []
        assert row(out)["review"].startswith("confirmed by AB on ")
        assert "scored again" not in row(out)["review"] + caplog.text

    def test_a_recording_that_cannot_be_scored_any_more_keeps_its_review(self, tmp_path, out, result):
        confirm(result, reviewed(result), by="AB")
        (tmp_path / "r.dat").unlink()
        scored([tmp_path / "r.hea"], out, ScoreOptions(tmp_path / "m", force=True))
        assert row(out)["status"] == "failed"
        assert row(out)["review"].startswith("confirmed by AB on ")

    def test_edits_are_in_review_for_the_table(self, tmp_path, out, result):
        reviewed(result, vt(result))
        scored([tmp_path / "r.hea"], out, ScoreOptions(tmp_path / "m"))
        assert row(out)["review"] == "in review"
        assert '<span class="tag">in review</span>' in (out / "index.html").read_text()


class TestChanges:
    def test_corrections_count_each_beat_once_by_both_labels(self):
        automatic = analysis_from("NNNNNNNNNV" * 10)
        edits = (
            relabel(automatic, [0, 1], "S"),
            relabel(automatic, [1], "V"),
            relabel(automatic, [2], "N"),
            relabel(automatic, [3], "|"),
            DeleteBeats(automatic.beats.sample[4:5], "N"),
            InsertBeat(int(automatic.beats.sample[5]) + 40, "V"),
        )
        changes = find_changes(replay(automatic, entries_of(edits)))
        assert [tuple(change) for change in changes.labels] == [
            ("", "V", 1),
            ("N", "", 2),
            ("N", "S", 1),
            ("N", "V", 1),
        ]
        assert (changes.corrections, changes.per_1000_beats, changes.decisions) == (5, 50.0, 6)
        assert changes.sentences() == (
            "1 beat added as V",
            "2 beats called N left out, as artefact or as no beat",
            "1 beat relabelled from N to S",
            "1 beat relabelled from N to V",
        )
        assert changes.figures["n_veb"] == (10, 12)

    def test_paced_beats_are_called_paced_in_sentences_and_q_in_the_file(self):
        automatic = analysis_from("N" * 10 + "Q" * 30 + "N" * 10)
        sample = automatic.beats.sample
        paced = MarkInterval(
            int(sample[10]), int(sample[29]), "paced"
        )  # the last 10 of class Q are not in it
        automatic = replay(automatic, entries_of([paced])).analysis
        edits = (
            relabel(automatic, [10, 11, 12], "N"),
            relabel(automatic, [35, 36], "N"),
            relabel(automatic, [5], "Q"),
            relabel(automatic, [20], "|"),
            RejectEvent(ref(automatic, "paced")),
        )
        changes = find_changes(replay(automatic, entries_of(edits)))
        assert changes.sentences()[:4] == (
            "1 beat relabelled from N to Q",
            "1 beat called paced left out, as artefact or as no beat",
            "3 beats relabelled from paced to N",
            "2 beats relabelled from Q to N",
        )
        # Those that are merely no longer in paced rhythm keep their class, and are no corrections.
        assert changes.corrections == 7
        document = changes_document(changes, Confirmation("AB", "2026-11-01T10:00"), seconds=1.0)
        assert document["beats"] == [
            {"was": "N", "to": "Q", "n": 1},
            {"was": "Q", "to": None, "n": 1},
            {"was": "Q", "to": "N", "n": 5},
        ]

    def test_events_are_told_by_what_the_reader_did(self):
        automatic = analysis_from("NNNVVVVNNNNNVVVVNNNNNVVVVNNN", 0.5)
        edits = (
            RejectEvent(ref(automatic, "vt", 0)),
            RelabelEvent(ref(automatic, "vt", 1), "sv_run"),
            MoveEvent(ref(automatic, "vt", 2), 1000, 1250),
            MarkInterval(1300, 1400, "af"),
            Comment(ref(automatic, "vt", 0), "noise"),
        )
        changes = find_changes(replay(automatic, entries_of(edits)))
        assert changes.sentences() == (
            "Ventricular tachycardia at 0:00:02: rejected",
            "Ventricular tachycardia at 0:00:06: now supraventricular run",
            "Ventricular tachycardia at 0:00:11: now from 0:00:10 to 0:00:12",
            "Atrial fibrillation at 0:00:13: added",
        )
        assert changes.comments() == (("Ventricular tachycardia at 0:00:02", "noise"),)

    def test_a_recording_without_beats_has_no_rate_of_corrections(self):
        automatic = analysis_from("N")
        none = replay(automatic, entries_of([DeleteBeats(automatic.beats.sample, "N")])).analysis
        assert find_changes(replay(none, ())).per_1000_beats is None

    def test_the_time_of_a_review_leaves_out_breaks(self):
        entries = entries_of([InsertBeat(sample, "N") for sample in range(1, 4)])
        assert review_seconds(entries) == 2.0
        late = entries_of([InsertBeat(1, "N")])[0]
        late = type(late)(4, "2026-11-01T17:00:00.000+00:00", "AB", "", late.action)
        assert review_seconds([*entries, late]) == 122.0
        assert review_seconds([]) == 0.0
