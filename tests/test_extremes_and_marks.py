"""Test the longest and fastest events, and the rhythm at marks: values, pages, and what stays private."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from ectopy import report
from ectopy.annotations import read_annotations
from ectopy.batch import planning, results, runner
from ectopy.batch.planning import DiaryError, ScoreOptions
from ectopy.batch.pseudonyms import Pseudonyms
from ectopy.ecg import Analysis, Event, Mark
from ectopy.report import data_files, page, strips
from ectopy.report.extremes import find_extremes
from ectopy.report.marks import AROUND_S, events_between, marked_moments
from ectopy.report.statistics import recording_stats
from ectopy.rhythm.kinds import KINDS
from tests.handmade import FS, analysis_of, beats_of, provenance_of, recording_for
from tests.small import Here, find_recordings, write_model, write_record
from tests.test_report_page import HOSTILE, Page

NAN = float("nan")


def analysis_with(
    events: Sequence[Event] = (), marks: Sequence[Mark] = (), letters: str = "N" * 740
) -> Analysis:
    """Ten minutes at 75 bpm with the events and marks that are given."""
    beats = beats_of(letters)
    recording = replace(recording_for(beats, round(600 * FS)), marks=tuple(marks))
    return replace(analysis_of(recording, beats, whole=True), events=tuple(events))


def document_of(folder: Path, analysis: Analysis, **options: Any) -> dict[str, Any]:
    report.write_outputs(folder, analysis, provenance_of(), **options)
    document = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    Draft202012Validator(data_files.summary_schema()).validate(document)
    return dict(document)


class TestExtremes:
    def test_the_longest_the_fastest_and_their_times_are_those_of_their_events(self) -> None:
        runs = [Event("vt", 10, 12, 5, 120.0), Event("vt", 50, 51, 4, 180.0), Event("vt", 90, 92, 6, 150.0)]
        (of_vt,) = find_extremes(analysis_with(runs))
        assert (of_vt.kind.name, of_vt.n_events) == ("vt", 3)
        assert (of_vt.longest, of_vt.fastest, of_vt.slowest) == (runs[0], runs[1], None)

    def test_of_slow_rhythm_the_slowest_counts(self) -> None:
        slow = [Event("bradycardia", 0, 40, 30, 45.0), Event("bradycardia", 100, 131, 20, 38.0)]
        (of_slow,) = find_extremes(analysis_with(slow))
        assert (of_slow.longest, of_slow.fastest, of_slow.slowest) == (slow[0], None, slow[1])

    def test_a_pause_has_no_rate(self) -> None:
        (of_pauses,) = find_extremes(
            analysis_with([Event("pause", 5, 8.5, 2, NAN), Event("pause", 50, 53, 2, NAN)])
        )
        assert (of_pauses.longest.onset_s, of_pauses.fastest, of_pauses.slowest) == (5, None, None)

    def test_a_tachycardia_that_shows_no_beats_has_no_rate_either(self) -> None:
        (of_vt,) = find_extremes(analysis_with([Event("vt", 5, 15, 0, NAN)]))
        assert (of_vt.longest.onset_s, of_vt.fastest) == (5, None)

    def test_events_of_a_fixed_number_of_beats_have_none(self) -> None:
        fixed = {name for name, kind in KINDS.items() if not kind.has_length}
        assert fixed == {"veb_couplet", "sveb_couplet", "r_on_t"}
        assert (
            list(find_extremes(analysis_with([Event(name, 5, 6, 2, 60.0) for name in sorted(fixed)]))) == []
        )

    def test_kinds_stand_in_the_order_of_the_registry(self) -> None:
        events = [Event(name, 10.0 * at, 10.0 * at + 5, 9, 90.0) for at, name in enumerate(reversed(KINDS))]
        names = [extremes.kind.name for extremes in find_extremes(analysis_with(events))]
        assert names == [name for name, kind in KINDS.items() if kind.has_length]

    def test_the_summary_and_the_page_have_them(self, tmp_path: Path) -> None:
        events = [Event("pause", 5, 8.5, 2, NAN), Event("bradycardia", 100, 140, 30, 45.4)]
        document = document_of(tmp_path, analysis_with(events))
        assert [
            (row["kind"], row["longest"]["onset_s"], row["fastest"], (row["slowest"] or {}).get("rate_bpm"))
            for row in document["extremes"]
        ] == [("pause", 5, None, None), ("bradycardia", 100, None, 45.4)]
        text = Page(tmp_path / "report.html").source
        rows = re.findall(r'<tr><th scope="row">(Pause|Bradycardia)</th>(.+)</tr>', text)
        cells = {name: re.findall(r"<td[^>]*>([^<]*)</td>", row) for name, row in rows[:2]}
        assert cells == {
            "Pause": ["1", "3.5 s", "\N{EN DASH}", "0:00:05", "\N{EN DASH}", "\N{EN DASH}"],
            "Bradycardia": ["1", "40.0 s", "30", "0:01:40", "45 bpm (slowest)", "0:01:40"],
        }

    def test_without_an_event_the_page_has_no_such_table(self, tmp_path: Path) -> None:
        assert document_of(tmp_path, analysis_with())["extremes"] == []
        assert "h-extremes" not in Page(tmp_path / "report.html").source


class TestRhythmAtAMark:
    def test_events_that_reach_into_the_time_are_named_the_most_urgent_first(self) -> None:
        events = [
            Event("af", 0, 71, 90, 80.0),  # ends a second after the time begins
            Event("veb_couplet", 120, 121, 2, 90.0),
            Event("vt", 128, 133, 9, 150.0),  # begins two seconds before it ends
            Event("pause", 131, 134, 2, NAN),  # begins after it
        ]
        assert events_between(analysis_with(events), 70, 130) == ("vt", "af", "veb_couplet")

    def test_one_that_ends_or_begins_at_the_edge_does_not_reach_in(self) -> None:
        events = [Event("af", 0, 70, 90, 80.0), Event("vt", 130, 133, 9, 150.0)]
        assert events_between(analysis_with(events), 70, 130) == ()

    def test_beats_and_rates_are_those_within_half_a_minute(self) -> None:
        letters = "N" * 100 + "V" + "N" * 300 + "S" + "N" * 300
        (moment,) = marked_moments(recording_stats(analysis_with(marks=[Mark(100.0)], letters=letters)))
        # Beats 0.8 s apart; the V is at 80.8 s, within, and the S at 321.6 s is not.
        assert (moment.number, moment.stats["n_beats"], moment.stats["n_veb"], moment.stats["n_sveb"]) == (
            1,
            75,
            1,
            0,
        )
        assert (moment.event.kind, moment.event.onset_s, moment.event.n_beats) == ("mark", 100.0, 0)
        assert (moment.stats["hr_mean_bpm"], moment.stats["analysable_s"]) == (75.0, 2 * AROUND_S)

    def test_at_the_ends_there_is_less_time(self) -> None:
        first, last = marked_moments(recording_stats(analysis_with(marks=[Mark(0.0), Mark(600.0)])))
        assert (first.stats["analysable_s"], last.stats["analysable_s"]) == (30.0, 30.0)


class TestReport:
    MARKS = (Mark(60.0, "Jane felt dizzy"), Mark(300.0, "palpitations"), Mark(590.0))

    def test_what_a_mark_says_is_not_shown_unless_it_is_asked_for(self, tmp_path: Path) -> None:
        document = document_of(tmp_path, analysis_with(marks=self.MARKS))
        assert [(mark["time_s"], mark["text"]) for mark in document["marks"]] == [
            (60, None),
            (300, None),
            (590, None),
        ]
        for file in tmp_path.iterdir():
            assert b"dizzy" not in file.read_bytes(), file.name
        text = Page(tmp_path / "report.html").text
        assert "Patient mark 1" in text
        assert "Patient mark 3" in text

    def test_with_the_option_it_is_in_the_page_and_the_summary(self, tmp_path: Path) -> None:
        document = document_of(tmp_path, analysis_with(marks=self.MARKS), mark_text=True)
        assert [mark["text"] for mark in document["marks"]] == ["Jane felt dizzy", "palpitations", None]
        assert (
            Page(tmp_path / "report.html").text.count("Jane felt dizzy") == 2
        )  # in the table, and at the strip

    def test_a_hostile_text_is_escaped(self, tmp_path: Path) -> None:
        marks = [Mark(60.0, f"{HOSTILE}\x1b[2J")]
        document = document_of(tmp_path, analysis_with(marks=marks), mark_text=True)
        source = Page(tmp_path / "report.html").source
        assert "<script>" not in source
        assert "{{ 7 * 7 }}" in source.replace("&#34;", '"')
        assert "\x1b" not in source + json.dumps(document, ensure_ascii=False)

    def test_the_rhythm_at_each_mark_is_in_both(self, tmp_path: Path) -> None:
        events = [Event("af", 280.0, 320.0, 50, 75.0)]
        document = document_of(tmp_path, analysis_with(events, self.MARKS))
        assert [mark["events"] for mark in document["marks"]] == [[], ["af"], []]
        assert [mark["rhythm"] for mark in document["marks"]] == ["sinus", "af", "sinus"]
        text = Page(tmp_path / "report.html").source
        rows = re.findall(r'<tr><th scope="row"><a href="#mark-(\d)">\d</a></th>(.+?)</tr>', text)
        assert [(number, re.findall(r"<td[^>]*>([^<]*)</td>", row)[:5]) for number, row in rows] == [
            ("1", ["0:01:00", "Sinus rhythm", "none", "75", "75"]),
            ("2", ["0:05:00", "Atrial fibrillation", "Atrial fibrillation", "75", "75"]),
            ("3", ["0:09:50", "Sinus rhythm", "none", "41", "75"]),
        ]

    def test_where_nothing_was_readable_the_page_says_so(self, tmp_path: Path) -> None:
        beats = beats_of("N" * 100)
        recording = replace(recording_for(beats, round(600 * FS)), marks=(Mark(400.0),))
        lost = np.array([[round(100 * FS), round(600 * FS)]])
        document = document_of(tmp_path, analysis_of(recording, beats, unreadable=lost))
        assert (document["marks"][0]["analysable_s"], document["marks"][0]["hr_mean_bpm"]) == (0, None)
        assert 'data-name="Events">not analysable</td>' in Page(tmp_path / "report.html").source

    @pytest.mark.parametrize("mark_text", [False, True])
    def test_marks_are_notes_among_the_annotations(self, tmp_path: Path, *, mark_text: bool) -> None:
        document_of(tmp_path, analysis_with(marks=[Mark(100.0, "dizzy"), Mark(600.0)]), mark_text=mark_text)
        (written,) = tmp_path.glob("*.ectopy")
        notes = read_annotations(written.with_suffix(""), "ectopy")
        is_mark = [text.startswith("patient mark") for text in notes.aux]
        assert notes.sample[is_mark] == pytest.approx([100 * FS, 600 * FS - 1], abs=2)
        assert [text for text in notes.aux if text.startswith("patient mark")] == [
            "patient mark: dizzy" if mark_text else "patient mark",
            "patient mark",
        ]

    def test_the_trend_has_a_lane_of_marks(self, tmp_path: Path) -> None:
        document_of(tmp_path, analysis_with(marks=self.MARKS))
        assert "Patient marks over time, 3 in all" in Page(tmp_path / "report.html").pictures

    def test_twelve_have_strips_those_with_an_event_first_and_the_page_says_so(self, tmp_path: Path) -> None:
        marks = [Mark(20.0 * number) for number in range(30)]
        events = [Event("vt", 575.0, 577.0, 5, 150.0)]
        document_of(tmp_path, analysis_with(events, marks))
        parsed = Page(tmp_path / "report.html")
        drawn = [int(name.removeprefix("mark-")) for name in parsed.all("id") if name.startswith("mark-")]
        # The run is within half a minute of the last two marks, at 560 and 580 s.
        assert drawn == [*range(1, page.MAX_MARK_STRIPS - 1), 29, 30]
        assert "Strips of 12 of 30 marks: those with an event first, then the earliest." in parsed.text

    def test_a_hundred_are_listed_and_the_summary_has_all(self, tmp_path: Path) -> None:
        document = document_of(tmp_path, analysis_with(marks=[Mark(5.0 * number) for number in range(120)]))
        assert len(document["marks"]) == 120
        assert "The first 100 of 120 marks; summary.json has all." in Page(tmp_path / "report.html").text

    def test_without_marks_the_page_says_nothing_of_them(self, tmp_path: Path) -> None:
        assert document_of(tmp_path, analysis_with())["marks"] == []
        text = Page(tmp_path / "report.html").text
        assert "Patient mark" not in text
        assert "its marks" not in text

    def test_ids_are_unique_and_every_picture_has_a_name(self, tmp_path: Path) -> None:
        events = [Event("vt", 295.0, 297.0, 5, 150.0)]
        document_of(tmp_path, analysis_with(events, self.MARKS))
        parsed = Page(tmp_path / "report.html")
        ids = parsed.all("id")
        assert len(ids) == len(set(ids))
        assert {link[1:] for link in parsed.all("href") if link.startswith("#")} <= set(ids)
        assert parsed.unnamed == []

    def test_a_strip_shows_what_came_before_the_mark(self) -> None:
        moment = Event("mark", 300.0, 300.0, 0, NAN)
        drawn = strips.strips(analysis_with(), {moment: None})[moment]
        assert drawn.start_s == 300.0 - strips.MARK_LEAD_IN_S
        assert drawn.from_mm == drawn.to_mm == pytest.approx(25 * strips.MARK_LEAD_IN_S)


class TestScoring:
    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        return write_model(tmp_path / "model")

    def score(self, folder: Path, options: ScoreOptions) -> tuple[dict[str, object], dict[str, Any]]:
        with results.lock_output(folder / "out"):
            (row,) = runner.run(planning.plan([folder / "r.hea"], folder / "out", options), Here())
            results.write_summary(folder / "out", [row])
        written = folder / "out" / str(row["recording"]) / "summary.json"
        return row, json.loads(written.read_text()) if written.exists() else {}

    def test_a_diary_beside_the_record_is_read_and_a_changed_one_is_read_again(
        self, tmp_path: Path, model: Path
    ) -> None:
        write_record(tmp_path)
        marks, states = [], []
        for diary in (None, "time\n5\n", "time\n5\n", "time\n5\n7\n"):
            if diary:
                (tmp_path / "r.diary.csv").write_text(diary)
            row, document = self.score(tmp_path, ScoreOptions(model))
            states.append(row["status"])
            marks.append([mark["time_s"] for mark in document["marks"]])
        assert marks == [[], [5], [5], [5, 7]]
        assert states == ["scored", "scored", "skipped", "scored"]

    def test_one_that_is_named_is_part_of_where_the_results_come_from(
        self, tmp_path: Path, model: Path
    ) -> None:
        write_record(tmp_path)
        diary = tmp_path / "Miller.csv"
        states = []
        for text in ("time,text\n5,x\n", "time,text\n5,x\n", "time,text\n6,x\n"):
            diary.write_text(text)
            row, document = self.score(tmp_path, ScoreOptions(model, diary=diary, mark_text=True))
            states.append(row["status"])
        assert states == ["scored", "skipped", "scored"]
        settings = document["provenance"]["settings"]
        assert settings["mark_text"] is True
        assert re.fullmatch("[0-9a-f]{64}", settings["diary_sha256"])
        assert [(mark["time_s"], mark["text"]) for mark in document["marks"]] == [(6, "x")]
        assert "Miller" not in json.dumps(document)

    def test_to_ask_for_the_text_scores_again(self, tmp_path: Path, model: Path) -> None:
        write_record(tmp_path)
        (tmp_path / "r.diary.csv").write_text("time,text\n5,dizzy\n")
        (first, without), (second, with_text) = (
            self.score(tmp_path, ScoreOptions(model, mark_text=mark_text)) for mark_text in (False, True)
        )
        assert (first["status"], second["status"]) == ("scored", "scored")
        assert (without["marks"][0]["text"], with_text["marks"][0]["text"]) == (None, "dizzy")

    def test_a_bad_one_fails_its_recording_with_a_reason(self, tmp_path: Path, model: Path) -> None:
        write_record(tmp_path)
        (tmp_path / "r.diary.csv").write_text("time\nnoon\n")
        row, _ = self.score(tmp_path, ScoreOptions(model))
        assert row["status"] == "failed"
        assert str(row["reason"]).startswith(f"{tmp_path / 'r.diary.csv'}: line 2 has no valid time.")

    def test_pseudonyms_hide_the_name_of_a_diary(self, tmp_path: Path, model: Path) -> None:
        write_record(tmp_path)
        (tmp_path / "elsewhere").mkdir()
        diary = tmp_path / "elsewhere" / "Miller.csv"
        diary.write_text("time\nnoon\n")
        options = ScoreOptions(model, diary=diary, pseudonyms=Pseudonyms("a salt of the tests alone"))
        row, _ = self.score(tmp_path, options)
        assert "line 2 has no valid time" in str(row["reason"])
        assert "Miller" not in str(row["reason"])
        assert "elsewhere" not in str(row["reason"])

    def test_a_named_diary_belongs_to_one_recording(self, tmp_path: Path) -> None:
        found = find_recordings([write_record(tmp_path), write_record(tmp_path, "s")])
        diary = tmp_path / "named.csv"
        planning.check_diary(None, found)
        with pytest.raises(DiaryError, match=r"named.csv: no such file\. Check its path"):
            planning.check_diary(diary, found)
        diary.write_text("time\n5\n")
        with pytest.raises(DiaryError, match=r"belongs to one recording, but 2 were found\. Name that"):
            planning.check_diary(diary, found)
        planning.check_diary(diary, find_recordings([tmp_path / "s.hea"]))
