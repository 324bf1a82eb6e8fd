"""What a Holter reader looks for: patient, conclusion, strips, episodes, short recordings, paced beats."""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

import ectopy
from ectopy import report
from ectopy.ecg import Analysis, BeatClass, Event, Mark, PatientHeader, Recording
from ectopy.report.average_beats import average_beats
from ectopy.report.beat_letters import BEAT_NAMES, class_of, shown_letters
from ectopy.report.conclusion import draft_conclusion
from ectopy.report.episodes import MAX_EPISODES, episode_lists
from ectopy.report.examples import MAX_EXAMPLES, MAX_STRIPS, examples, extreme_rates
from ectopy.report.full_disclosure import COLOURED, classes
from ectopy.report.patient import patient_facts, running_head
from ectopy.report.sheet import MAX_SHEET_S, sheets
from ectopy.report.signal_overview import signal_overview
from ectopy.report.strips import STRIP_S, beat_marks
from ectopy.report.summary import summarise
from ectopy.report.templates import bpm, css_text, line_length, table_rows
from ectopy.rhythm.findings import find_findings
from ectopy.rhythm.heart_rate import NO_HEART_RATE, HeartRate
from tests.handmade import FS, analysis_of, beats_of, provenance_of, recording_for
from tests.test_report_page import Page

JANE = PatientHeader("Doe, Jane", "4711", "1950-03-02", "female", "Syncope", "Lifecard CF")
START = datetime(2024, 3, 1, 9, 30)  # noqa: DTZ001 - recorders know no time zone
HOUR = 3600


def analysis_for(letters: str, rr_s: float | list[float] = 0.8, *, seconds: int = 0) -> Analysis:
    """Return an analysis of a recording of some length, of which nothing is unreadable."""
    beats = beats_of(letters, rr_s)
    n_samples = round(seconds * FS) or int(beats.sample[-1]) + 100
    return analysis_of(recording_for(beats, n_samples), beats, whole=not seconds)


def with_patient(analysis: Analysis, patient: PatientHeader | None = JANE) -> Analysis:
    return replace(analysis, recording=replace(analysis.recording, patient=patient, start=START))


def written(folder: Path, analysis: Analysis) -> Page:
    report.write_outputs(folder, analysis, provenance_of())
    return Page(folder / "report.html")


def conclusion_of(analysis: Analysis) -> str:
    return " ".join(draft_conclusion(summarise(analysis, provenance_of())))


class TestPatient:
    def test_the_page_and_the_summary_name_the_patient(self, tmp_path: Path) -> None:
        page = written(tmp_path, with_patient(analysis_for("N" * 40)))
        # The day before her 74th birthday.
        for text in ("Doe, Jane", "4711", "1950-03-02 (73 years)", "female", "Syncope", "Lifecard CF"):
            assert text in page.text
        document = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
        assert document["patient"] == {
            "name": "Doe, Jane",
            "identifier": "4711",
            "birth_date": "1950-03-02",
            "sex": "female",
            "indication": "Syncope",
            "recorder": "Lifecard CF",
        }

    def test_what_is_not_known_has_no_line(self) -> None:
        analysis = with_patient(analysis_for("NN"), PatientHeader(identifier="4711"))
        assert patient_facts(analysis) == [("ID", "4711")]
        assert patient_facts(with_patient(analysis, None)) == []

    def test_without_a_start_there_is_no_age(self) -> None:
        analysis = with_patient(analysis_for("NN"))
        unknown = replace(analysis, recording=replace(analysis.recording, start=None))
        assert ("Born", "1950-03-02") in patient_facts(unknown)

    @pytest.mark.parametrize(
        ("day", "years"),
        [(datetime(2024, 3, 1), 73), (datetime(2024, 3, 2), 74), (datetime(2024, 12, 1), 74)],  # noqa: DTZ001
    )
    def test_an_age_is_in_whole_years(self, day: datetime, years: int) -> None:
        analysis = with_patient(analysis_for("NN"))
        on_day = replace(analysis, recording=replace(analysis.recording, start=day))
        assert ("Born", f"1950-03-02 ({years} years)") in patient_facts(on_day)

    def test_a_recording_from_before_the_birth_has_no_age(self) -> None:
        analysis = with_patient(analysis_for("NN"))
        hidden = replace(analysis, recording=replace(analysis.recording, start=datetime(1901, 1, 1)))  # noqa: DTZ001
        assert ("Born", "1950-03-02") in patient_facts(hidden)

    def test_each_printed_page_names_the_recording_the_patient_and_the_day(self, tmp_path: Path) -> None:
        analysis = with_patient(analysis_for("N" * 40))
        assert running_head(analysis, "r1") == "r1 · Doe, Jane · 4711 · 2024-03-01"
        assert running_head(with_patient(analysis, None), "r1") == "r1 · 2024-03-01"
        source = written(tmp_path, analysis).source
        assert f"@top-left {{ content: {css_text('r1 · Doe, Jane · 4711 · 2024-03-01')};" in source

    def test_a_name_cannot_leave_the_style_sheet(self, tmp_path: Path) -> None:
        hostile = '"; } </style><script>alert(1)</script> \\ {{ 7 * 7 }}'
        page = written(tmp_path, with_patient(analysis_for("N" * 40), PatientHeader(hostile)))
        assert "script" not in page.elements
        assert hostile in page.text
        assert set(re.findall(r"[^\w\\]", css_text(hostile)[1:-1])) == set()

    def test_css_shows_the_text_again(self) -> None:
        text = "Ä b, 1é\n"
        shown = re.sub(r"\\([0-9a-f]{6})", lambda code: chr(int(code[1], 16)), css_text(text)[1:-1])
        assert shown == text


class TestConclusion:
    def test_it_states_what_was_found_and_what_was_not(self) -> None:
        letters = "N" * 30 + "V" + "N" * 9 + "VV" + "N" * 9 + "VVV" + "N" * 1000
        analysis = analysis_for(letters, 1.0)
        assert conclusion_of(analysis) == (
            "Recording of 17 min 35 s, 1,054 beats. "
            "Sinus rhythm for 99.7 % of the time analysed, mean 60 bpm, lowest 60, highest 60. "
            "6 ventricular ectopic beats (0.6 % of beats), with 1 couplet and 1 run of 3 or more beats. "
            "No supraventricular ectopic beats. No atrial fibrillation or flutter. No pause longer than 2 s."
        )

    def test_a_short_recording_excludes_nothing(self) -> None:
        text = conclusion_of(analysis_for("N" * 12))
        assert text.endswith("A recording of 10.6 s cannot exclude rare events.")
        assert "No " not in text

    def test_urgent_findings_and_pauses_are_named(self) -> None:
        text = conclusion_of(analysis_for("N" * 20, [1.0] * 10 + [3.5] + [1.0] * 9))
        assert "Urgent: 1 pause longer than 2 s, longest 3.5 s at 0:00:10." in text
        assert "1 pause longer than 2 s, the longest 3.5 s." in text

    def test_fibrillation_is_said_once(self) -> None:
        analysis = replace(analysis_for("N" * 2000, 0.5), events=(Event("af", 0.5, 1000.0, 2000, 120.0),))
        assert conclusion_of(analysis).lower().count("fibrillation") == 2  # as rhythm, and as urgent
        short = replace(analysis, events=(Event("af", 100.0, 105.0, 10, 120.0),))
        assert "Atrial fibrillation or flutter for 0.5 % of the time analysed." in conclusion_of(short)

    def test_marks_are_counted_with_those_near_an_event(self) -> None:
        analysis = analysis_for("N" * 1500 + "VV" + "N" * 100)
        near, far = Mark(float(analysis.beats.time_s[1500])), Mark(100.0)
        for marks, text in (
            ((far, near), "2 patient marks, 1 of them near an event."),
            ((far,), "1 patient mark, none of them near an event."),
        ):
            marked = replace(analysis, recording=replace(analysis.recording, marks=marks))
            assert text in conclusion_of(marked)

    def test_what_was_lost_is_stated(self) -> None:
        analysis = replace(analysis_for("N" * 100, 1.0), artefact=np.array([[0, 5050]]))
        assert conclusion_of(analysis).startswith(
            "Recording of 1 min 41 s, 50.0 % of it analysed, 100 beats."
        )

    def test_without_a_beat_there_is_only_the_reason(self) -> None:
        beats = beats_of("")
        analysis = analysis_of(recording_for(beats, 2000), beats)
        assert conclusion_of(analysis) == "Not analysable: the signal is flat."

    def test_it_is_in_the_page_and_the_summary_and_called_a_draft(self, tmp_path: Path) -> None:
        page = written(tmp_path, analysis_for("N" * 40))
        sentences = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["conclusion"]
        assert " ".join(sentences) in page.text
        assert "Conclusion: automatic draft" in page.text


class TestExamples:
    @staticmethod
    def chosen(letters: str, rr_s: float = 1.0) -> list[Event]:
        analysis = analysis_for(letters, rr_s)
        return examples(analysis, find_findings(analysis))

    def test_a_finding_has_several_that_are_apart(self) -> None:
        couplets = [event for event in self.chosen(("N" * 20 + "VV") * 6) if event.kind == "veb_couplet"]
        assert len(couplets) == MAX_EXAMPLES
        onsets_s = sorted(event.onset_s for event in couplets)
        assert min(np.diff(onsets_s)) > STRIP_S

    def test_those_on_one_strip_are_shown_once(self) -> None:
        kinds = [event.kind for event in self.chosen("N" * 20 + "VVNVV" + "N" * 20)]
        assert kinds.count("veb_couplet") == 1

    def test_the_longest_and_the_fastest_come_before_others(self) -> None:
        runs = ["V" * n for n in (3, 3, 3, 8, 3)]
        analysis = analysis_for("N" * 20 + ("N" * 20).join(runs) + "N" * 20, 0.5)
        tachycardias = [one for one in examples(analysis, find_findings(analysis)) if one.kind == "vt"]
        assert tachycardias[0].n_beats == 8
        assert [one.onset_s for one in tachycardias[1:]] == [
            analysis.events_of("vt")[0].onset_s,
            analysis.events_of("vt")[-1].onset_s,
        ]

    def test_many_findings_leave_fewer_to_each(self) -> None:
        pattern = "N" * 30 + "VVV" + "N" * 9 + "VV" + "N" * 9 + "SS" + "N" * 9 + "VNVNVNVN" + "N" * 9
        chosen = self.chosen((pattern + "SNSNSNSN" + "N" * 9 + "VNNVNNVNN") * 4, 0.5)
        assert len(chosen) == len(set(chosen)) == MAX_STRIPS

    def test_the_rates_span_their_intervals(self) -> None:
        slow, fast = extreme_rates(HeartRate(70.0, 48.0, 120.0, 100.0, 200.0))
        assert (slow.kind, slow.onset_s, slow.offset_s, slow.n_beats) == ("slowest_rate", 100.0, 110.0, 9)
        assert (fast.kind, fast.onset_s, fast.offset_s, fast.rate_bpm) == (
            "fastest_rate",
            200.0,
            204.0,
            120.0,
        )
        assert list(extreme_rates(NO_HEART_RATE)) == []

    def test_the_page_has_strips_of_them_unless_it_is_short(self, tmp_path: Path) -> None:
        assert "Lowest heart rate" in written(tmp_path, analysis_for("N" * 100)).pictures[-4]
        titles = " ".join(written(tmp_path, analysis_for("N" * 12)).pictures)
        assert "heart rate," not in titles


class TestEpisodes:
    def test_every_one_is_listed_with_its_time(self) -> None:
        analysis = analysis_for(("N" * 20 + "VVV") * 3 + "N", 0.5)
        (tachycardia, *_) = (one for one in episode_lists(analysis) if one.kind.name == "vt")
        assert tachycardia.n_episodes == 3
        assert tachycardia.rows == [
            ("0:00:10", "1.0 s", "3", "120 bpm"),
            ("0:00:22", "1.0 s", "3", "120 bpm"),
            ("0:00:33", "1.0 s", "3", "120 bpm"),
        ]

    def test_a_pause_has_no_beats_and_no_rate(self) -> None:
        (pauses,) = episode_lists(analysis_for("N" * 4, [1, 1, 2.5, 1]))
        assert pauses.rows == [("0:00:02", "2.5 s")]

    def test_the_page_lists_each_episode_of_a_kind_without_a_rate(self, tmp_path: Path) -> None:
        analysis = analysis_for("N" * 40, [1.0, 2.5] * 20)
        (pauses,) = (one for one in episode_lists(analysis) if one.kind.name == "pause")
        assert len(pauses.rows) == 20
        rows = "\n".join(f"<tr><td>{when}</td><td>{length}</td></tr>" for when, length in pauses.rows)
        assert rows in written(tmp_path, analysis).source

    def test_all_text_of_a_row_is_escaped(self) -> None:
        rows = table_rows([("<b>", "a & b"), ('"', "'")])
        first, second = "<td>&lt;b&gt;</td><td>a &amp; b</td>", "<td>&#34;</td><td>&#39;</td>"
        assert rows == f"<tr>{first}</tr>\n<tr>{second}</tr>"

    def test_a_long_list_is_cut_and_says_so(self, tmp_path: Path) -> None:
        n = MAX_EPISODES + 1
        page = written(tmp_path, analysis_for("NNNVV" * n, 1.0))
        assert (
            f"Ventricular couplet: the first {MAX_EPISODES} of {n}, the others are in events.csv" in page.text
        )

    def test_without_a_table_the_lists_are_left_out_of_print(self, tmp_path: Path) -> None:
        for letters, is_left_out in (("N" * 40 + "VVN", True), ("N" * 40 + "VVVN", False)):
            source = written(tmp_path, analysis_for(letters)).source
            assert ('<section aria-labelledby="h-extremes" class="on-screen">' in source) == is_left_out

    def test_a_single_one_is_called_so(self, tmp_path: Path) -> None:
        assert "Ventricular couplet: the only one" in written(tmp_path, analysis_for("N" * 40 + "VVN")).text


def unsure(analysis: Analysis, which: Iterable[int] | slice = slice(None)) -> Analysis:
    """Return the analysis with some beats, or all, not confident."""
    confident = analysis.beats.confident.copy()
    confident[which if isinstance(which, slice) else list(which)] = False
    return replace(analysis, beats=replace(analysis.beats, confident=confident))


class TestShortRecordings:
    def test_too_few_beats_to_judge_are_not_called_uncertain(self, tmp_path: Path) -> None:
        page = written(tmp_path, unsure(analysis_for("N" * 12)))
        assert "No ectopic beat, run, pause or change of rate found in 12 beats" in page.text
        assert "too few to judge confidence" in page.text
        assert "low confidence" not in page.text.lower().replace("low-confidence", "low confidence")
        assert "100.0 % low" not in page.text
        assert "N?" not in page.source

    def test_its_letters_have_no_question_mark(self) -> None:
        brief = unsure(analysis_for("N" * 12))
        assert all(mark.confident for mark in beat_marks(brief, 0, brief.n_samples))

    def test_of_enough_beats_all_may_be_uncertain(self) -> None:
        findings = [finding.text for finding in find_findings(unsure(analysis_for("N" * 30)))]
        assert "Class uncertain: 30 beats (100.0 %)" in findings

    def test_one_sure_beat_shows_that_confidence_is_known(self) -> None:
        findings = [finding.text for finding in find_findings(unsure(analysis_for("N" * 12), range(11)))]
        assert "Class uncertain: 11 beats (91.7 %)" in findings


class TestPacedBeats:
    @staticmethod
    def paced() -> Analysis:
        """Return 20 paced beats, then ten that cannot be classified."""
        analysis = analysis_for("Q" * 30)
        last_s = float(analysis.beats.time_s[19])
        return replace(analysis, events=(Event("paced", 0.8, last_s, 20, 75.0),))

    def test_they_are_p_on_the_page_and_q_in_the_files(self, tmp_path: Path) -> None:
        analysis = self.paced()
        assert "".join(shown_letters(analysis)) == "P" * 20 + "Q" * 10
        page = written(tmp_path, analysis)
        assert ", P for paced" in page.text
        assert re.search(r", II and V1, beats P P P", " ".join(page.pictures))

    def test_they_have_a_row_and_a_mean_beat_of_their_own(self) -> None:
        analysis = self.paced()
        means = average_beats(analysis, signal_overview(analysis).cuts)
        assert [(mean.label, mean.name, mean.n_beats) for mean in means] == [
            ("P", "Paced", 20),
            ("Q", "Unclassifiable", 10),
        ]

    def test_the_whole_recording_has_no_colour_for_them(self) -> None:
        analysis = self.paced()
        overview = signal_overview(analysis)
        shown = classes(analysis, overview)[np.searchsorted(overview.edges, analysis.beats.sample) - 1]
        unclassifiable = COLOURED.index(BeatClass.UNKNOWN) + 1
        assert shown.tolist() == [0] * 20 + [unclassifiable] * 10

    def test_each_letter_has_a_name_and_the_class_of_the_files(self) -> None:
        assert [class_of(letter) for letter in BEAT_NAMES] == ["N", "S", "V", "F", "Q", "Q"]
        assert {class_of(letter) for letter in BEAT_NAMES} == set(map(str, BeatClass))

    def test_without_pacing_the_letters_are_the_classes(self) -> None:
        analysis = analysis_for("NVSQ")
        assert shown_letters(analysis) is analysis.beats.label


class TestIndex:
    @staticmethod
    def written(path: Path, *, with_pdf: frozenset[str] = frozenset()) -> Page:
        row = summarise(with_patient(analysis_for("N" * 40)), provenance_of()).row
        report.write_index(path, [row], with_pdf=with_pdf)
        return Page(path)

    def test_a_recording_has_its_date_and_its_rhythm_and_no_patient(self, tmp_path: Path) -> None:
        page = self.written(tmp_path / "index.html")
        assert "2024-03-01 09:30" in page.text
        assert "Sinus rhythm throughout, mean 75 bpm, lowest 75, highest 75" in page.text
        assert "Doe" not in page.source

    def test_the_pdf_is_linked_where_there_is_one(self, tmp_path: Path) -> None:
        path = tmp_path / "index.html"
        assert "r1/report.pdf" not in self.written(path).all("href")
        assert "r1/report.pdf" in self.written(path, with_pdf=frozenset({"r1"})).all("href")

    def test_a_row_of_an_earlier_version_has_neither(self, tmp_path: Path) -> None:
        row = summarise(with_patient(analysis_for("N" * 40)), provenance_of()).row
        report.write_index(tmp_path / "index.html", [{**row, "start": "", "rhythm": ""}])
        assert "Sinus rhythm" not in Page(tmp_path / "index.html").text


class TestSlowAndFast:
    @pytest.mark.parametrize(("minutes", "level"), [(14, "note"), (20, "important")])
    def test_a_rate_that_lasts_is_important_in_a_long_recording(self, minutes: int, level: str) -> None:
        analysis = analysis_for("N" * (minutes * 120), 0.5)
        (finding,) = (str(one) for one in find_findings(analysis) if "Tachycardia:" in one.text)
        assert finding.startswith(f"{level}: Tachycardia: 1 episode, {minutes} min 0 s in all")
        assert ("% of the time analysed" in finding) == (level == "important")
        assert finding.endswith("fastest 120 bpm")

    def test_a_slow_rate_names_the_slowest(self) -> None:
        analysis = analysis_for("N" * 1000, 1.5)
        (finding,) = (one.text for one in find_findings(analysis) if one.text.startswith("Bradycardia"))
        assert finding == (
            "Bradycardia: 1 episode, 24 min 58 s in all (99.8 % of the time analysed), "
            "longest 24 min 58 s at 0:00:01, slowest 40 bpm"
        )


class TestWords:
    @pytest.mark.parametrize(
        ("value", "shown"),
        [(72.4, "72"), (72.46, "73"), (72.5, "73"), (73.5, "74"), (49.94, "50"), (None, None)],
    )
    def test_a_rate_is_rounded_from_the_tenths_that_the_files_hold(
        self, value: float | None, shown: str | None
    ) -> None:
        assert bpm(value) == shown
        assert bpm(None if value is None else round(value, 1)) == shown

    @pytest.mark.parametrize(
        ("seconds", "shown"),
        [
            (8.0, "8.0 s"),
            (60.0, "one minute"),
            (600.0, "10 minutes"),
            (HOUR, "one hour"),
            (4 * HOUR, "4 hours"),
        ],
    )
    def test_the_length_of_a_line(self, seconds: float, shown: str) -> None:
        assert line_length(seconds) == shown

    def test_the_whole_recording_says_how_it_is_drawn(self, tmp_path: Path) -> None:
        page = written(tmp_path, analysis_for("N" * 200, 1.0))
        assert "Lead II, one minute per line; line height " in page.text
        assert "Line: heart rate in bpm (8-beat average)." in page.text

    def test_a_long_recording_is_shaded(self, tmp_path: Path) -> None:
        page = written(tmp_path, analysis_for("N" * 1000))
        assert "Shaded: lowest to highest rate (8-beat average)." in page.text


class TestConclusionIsTrusted:
    def test_no_supraventricular_beat_is_sought_in_fibrillation(self) -> None:
        whole = analysis_for("N" * 1500)
        af = replace(whole, events=(Event("af", 0.8, 600.0, 750, 75.0),))
        always = replace(whole, events=(Event("af", 0.0, 1201.0, 1500, 75.0),))
        assert "No supraventricular ectopic beats." in conclusion_of(whole)
        assert "supraventricular" not in conclusion_of(always)
        assert "No supraventricular ectopic beats outside atrial fibrillation." in conclusion_of(af)

    @pytest.mark.parametrize(("letters", "is_explained"), [("N", True), ("V", False)])
    def test_a_tachycardia_of_the_waves_is_explained(self, letters: str, *, is_explained: bool) -> None:
        # Without this, a run of 50 beats stands beside "no ventricular ectopic beats, no runs".
        analysis = analysis_for("N" * 50 + letters * 50 + "N" * 50, 0.5)
        analysis = replace(analysis, events=(Event("vt", 25.5, 50.0, 50, 120.0),))
        assert ("named by its waves" in conclusion_of(analysis)) is is_explained


class TestSheet:
    @staticmethod
    def resting_ecg(n_leads: int = 12, flat: tuple[int, ...] = (), seconds: float = 10.0) -> Analysis:
        """Return ten seconds of a few leads, some of which are flat."""
        beats = beats_of("N" * 11, 0.8)
        n = round(seconds * FS)
        signal = np.random.default_rng(0).normal(scale=0.2, size=(n, n_leads)).astype(np.float32)
        signal[:, list(flat)] = 0.0
        names = tuple(f"L{number}" for number in range(n_leads))
        recording = Recording("ecg", FS, names, n, lambda start, stop: signal[start:stop])
        whole = replace(analysis_of(recording, beats, whole=False), unreadable=np.empty((0, 2), np.int64))
        return replace(whole, columns=(0, 1))

    def test_all_readable_leads_are_shown_from_the_first_to_the_last_sample(self) -> None:
        drawn = sheets(self.resting_ecg(flat=(3, 8)))
        names = [lead.name for sheet in drawn for lead in sheet.leads]
        assert names == ["L0", "L1", "L2", "L4", "L5", "L6", "L7", "L9", "L10", "L11"]
        assert [len(sheet.leads) for sheet in drawn] == [6, 4]
        assert {sheet.width_mm for sheet in drawn} == {250.0}  # 25 mm/s
        assert [len(sheet.beats) for sheet in drawn] == [11, 11]

    def test_a_lead_without_any_sample_is_left_out(self) -> None:
        analysis = self.resting_ecg(2)
        signal = analysis.read(0, analysis.n_samples).copy()
        signal[:, 1] = np.nan
        recording = replace(analysis.recording, read=lambda start, stop: signal[start:stop])
        (sheet,) = sheets(replace(analysis, recording=recording))
        assert [lead.name for lead in sheet.leads] == ["L0"]

    def test_the_page_has_the_sheet_and_nothing_of_a_long_recording(self, tmp_path: Path) -> None:
        page = written(tmp_path, self.resting_ecg())
        assert re.findall(r'id="h-([a-z]+)"', page.source) == [
            "findings",
            "conclusion",
            "sheet",
            "figures",
            "beats",
            "not",
            "from",
        ]
        assert "size: A4 landscape" in page.source
        assert "Lowest heart rate" not in page.text
        assert "Leads L2, L3, L4, L5, L6, L7, L8, L9, L10, L11, which are shown" in page.text

    def test_each_link_of_the_page_leads_somewhere(self, tmp_path: Path) -> None:
        source = written(tmp_path, self.resting_ecg()).source
        targets = set(re.findall(r'href="#([^"]+)"', source))
        assert targets
        assert targets <= set(re.findall(r'id="([^"]+)"', source))

    @pytest.mark.parametrize("value", [0.0, np.nan])
    def test_a_flat_recording_has_neither_a_sheet_nor_a_strip(self, tmp_path: Path, value: float) -> None:
        page = written(tmp_path, ectopy.analyse(np.full((2500, 12), value), fs=250))
        assert "Not analysable: " in page.text
        for absent in ("h-sheet", "h-strips", "#strip-"):
            assert absent not in page.source

    def test_a_longer_recording_has_strips(self, tmp_path: Path) -> None:
        page = written(tmp_path, self.resting_ecg(seconds=MAX_SHEET_S + 0.1))
        assert "h-sheet" not in page.source
        assert "h-strips" in page.source
