"""Criteria: each changes what it says, bad ones are refused by name, and every output states those in force."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from numpy.typing import ArrayLike

import ectopy
from ectopy import cli, report
from ectopy.batch import planning, results, runner
from ectopy.batch.planning import ScoreOptions
from ectopy.criteria import CRITERIA, DEFAULT_CRITERIA, Criteria, CriteriaError, as_text, as_toml
from ectopy.ecg import Analysis
from ectopy.report.data_files import summary_schema
from ectopy.report.statistics import recording_stats, stats
from ectopy.report.summary import summarise
from ectopy.rhythm.findings import find_findings
from ectopy.rhythm.prematurity import keep_premature_sveb, prematurity_pct
from tests.conftest import ROOT
from tests.handmade import (
    NOTHING_UNREADABLE,
    analysis_of,
    beats_of,
    fibrillating_rr_s,
    provenance_of,
    recording_for,
)
from tests.small import Here, write_model, write_record

Look = Callable[[Criteria], object]


def analysed(
    criteria: Criteria,
    letters: str,
    rr_s: ArrayLike = 0.8,
    *,
    seconds: float = 3600,
    unreadable: ArrayLike = NOTHING_UNREADABLE,
) -> Analysis:
    beats = beats_of(letters, rr_s)
    lost = np.asarray(unreadable, dtype=np.int64)
    return analysis_of(recording_for(beats, round(seconds * 100)), beats, unreadable=lost, criteria=criteria)


def events(letters: str, rr_s: ArrayLike = 0.8) -> Callable[[Criteria], list[str]]:
    """Look at the kinds of the events."""
    return lambda criteria: [event.kind for event in analysed(criteria, letters, rr_s).events]


def finding(letters: str, rr_s: ArrayLike = 0.8, *, words: int = 3, unreadable_s: int = 0) -> Look:
    """Look at the first words of the most urgent finding, some at the end of an hour being unreadable."""
    lost = [[360_000 - 100 * unreadable_s, 360_000]]

    def look(criteria: Criteria) -> str:
        first, *_ = find_findings(analysed(criteria, letters, rr_s, unreadable=lost))
        return " ".join(str(first).split()[:words])

    return look


def value(name: str, letters: str, rr_s: ArrayLike = 0.8, *, seconds: float = 3600) -> Look:
    """Look at one of the statistics."""

    def look(criteria: Criteria) -> object:
        analysis = analysed(criteria, letters, rr_s, seconds=seconds)
        return stats(recording_stats(analysis), 0, analysis.duration_s)[name]

    return look


TWO_PCT, THREE_PCT = ("N" * 49 + "V") * 3, ("N" * 32 + "V") * 3
SV_RUN = ("NNSSSSNN", [0.8, 0.8, *[0.5] * 4, 0.8, 0.8])
FIBRILLATING = ("N" * 200, fibrillating_rr_s(200))

CASES: dict[str, tuple[float, Look, object, object]] = {
    "pause_s": (2.5, events("NNN", [1, 2.2, 1]), ["pause"], []),
    "urgent_pause_s": (4, finding("NN", [1, 3.5]), "urgent: 1 pause", "note: 1 pause"),
    "no_beat_s": (5, finding("NN", [1, 6]), "urgent: 1 pause", "urgent: No beat"),
    "pauses_beside_ectopic_beats": (False, events("NVNN", [1, 0.7, 2.5, 1]), ["pause"], []),
    "vt_bpm": (130, events("NVVVN", 0.5), ["vt"], ["idioventricular_rhythm"]),
    "vt_beats": (4, events("NVVVN", 0.5), ["vt"], ["short_v_run"]),
    "urgent_vt_beats": (
        *(4, finding("NVVVVN", 0.5, words=2)),
        *("important: Non-sustained", "urgent: Non-sustained"),
    ),
    "sustained_s": (10, finding("V" * 41, 0.5, words=2), "urgent: Non-sustained", "urgent: Sustained"),
    "sv_prematurity_pct": (30, value("n_sveb", "NNNNSN", [0.8, 0.8, 0.8, 0.8, 0.6, 1]), 1, 0),
    "sv_run_bpm": (130, events(*SV_RUN), ["sv_run"], []),
    "sv_run_beats": (5, events(*SV_RUN), ["sv_run"], []),
    "pattern_cycles": (4, events("NVNVNV"), ["bigeminy"], []),
    "bradycardia_bpm": (35, events("N" * 60, 1.5), ["bradycardia"], []),
    "bradycardia_s": (120, events("N" * 60, 1.5), ["bradycardia"], []),
    "tachycardia_bpm": (130, events("N" * 100, 0.5), ["tachycardia"], []),
    "tachycardia_s": (60, events("N" * 100, 0.5), ["tachycardia"], []),
    "pauses_in_lowest_rate": (
        *(False, value("hr_min_bpm", "N" * 100, [0.8] * 15 + [4.0] + [0.6] * 84)),
        *(50.0, 75.0),  # 8 intervals in 9.6 s; without the pause, those before it are 0.8 s long
    ),
    "detect_af": (False, value("n_af", *FIBRILLATING), 1, None),
    "af_s": (300, value("n_af", *FIBRILLATING), 1, 0),
    "urgent_af_bpm": (60, finding(*FIBRILLATING, words=2), "important: Atrial", "urgent: Atrial"),
    "frequent_pct": (2.5, finding(TWO_PCT, words=2), "note: Frequent", "info: Rare"),
    "very_frequent_pct": (2.5, finding(THREE_PCT, words=2), "note: Frequent", "important: Very"),
    "partly_unreadable_pct": (1, finding("N" * 9, words=1, unreadable_s=72), "info:", "note:"),
    "mostly_unreadable_pct": (30, finding("N" * 9, words=1, unreadable_s=1440), "note:", "important:"),
    # 8 of 10 intervals of 0.8 s, in 10 s
    "sveb_in_hrv": (True, value("nn_share_pct", "NNNNNSNNNNN", 0.8, seconds=10), 64.0, 80.0),
}
"""By name: another value, what to look at, and what is seen with the default and with the other value."""


@pytest.mark.parametrize("name", CRITERIA)
def test_every_criterion_changes_what_it_says(name: str) -> None:
    other, look, by_default, changed = CASES[name]
    assert look(DEFAULT_CRITERIA) == by_default
    assert look(Criteria(**{name: other})) == changed  # type: ignore[arg-type, unused-ignore]


class TestLimits:
    @pytest.mark.parametrize("name", [name for name in CRITERIA if "lowest" in CRITERIA[name].metadata])
    def test_every_number_has_bounds_that_hold(self, name: str) -> None:
        lowest, highest = CRITERIA[name].metadata["lowest"], CRITERIA[name].metadata["highest"]
        assert lowest <= getattr(DEFAULT_CRITERIA, name) <= highest
        for outside in (lowest - 1, highest + 1, float("nan"), float("inf")):
            with pytest.raises(CriteriaError, match=f"^{name} = "):
                Criteria(**{name: outside})

    def test_an_event_at_a_limit_follows_the_sentence(self) -> None:
        # "above" and "from on": 150 bpm is not above 150 bpm, 4 beats are 4 or more.
        assert events("NVVVVN", 0.4)(Criteria(vt_bpm=150)) == ["idioventricular_rhythm"]
        assert events("NVVVVN", 0.4)(Criteria(vt_beats=4)) == ["vt"]

    def test_a_pause_may_be_short_without_ending_a_run(self) -> None:
        # A reader who calls 0.7 s a pause does not mean that no two ventricular beats are consecutive.
        assert "idioventricular_rhythm" in events("NVVVN")(Criteria(pause_s=0.7))

    def test_a_standstill_after_a_ventricular_beat_is_always_a_pause(self) -> None:
        assert events("NVN", [1, 1, 12])(Criteria(pauses_beside_ectopic_beats=False)) == ["pause"]

    def test_silence_at_the_end_follows_no_beat_s(self) -> None:
        beats = beats_of("NN")
        recording = recording_for(beats, 800)  # 6.4 s after the last beat
        silent = [
            len(analysis_of(recording, beats, whole=True, criteria=criteria).events_of("pause"))
            for criteria in (DEFAULT_CRITERIA, Criteria(no_beat_s=5))
        ]
        assert silent == [0, 1]

    def test_pauses_of_3_s_are_counted_whatever_is_urgent(self) -> None:
        assert value("n_pauses_3s", "NNN", [1, 3.2, 4])(Criteria(urgent_pause_s=6)) == 2

    def test_in_a_short_strip_half_of_it_is_enough(self) -> None:
        strip = analysed(Criteria(tachycardia_s=60), "N" * 30, 0.5, seconds=20)
        assert [event.kind for event in strip.events] == ["tachycardia"]


class TestPrematurity:
    def test_it_is_the_share_of_the_usual_interval_that_is_missing(self) -> None:
        beats = beats_of("NNNSN", [1, 1, 1, 0.75, 1.25])
        assert prematurity_pct(beats, beats.rr_s).round(6).tolist()[2:] == [0, 25, -25]

    def test_the_beats_of_a_run_are_compared_with_the_rhythm_before_it(self) -> None:
        beats = beats_of("NNNSSSN", [1, 1, 1, 0.75, 0.75, 0.75, 1])
        assert "".join(keep_premature_sveb(beats, beats.rr_s, 20).label) == "NNNSSSN"
        assert "".join(keep_premature_sveb(beats, beats.rr_s, 30).label) == "NNNNNNN"

    def test_one_at_the_limit_stays(self) -> None:
        beats = beats_of("NNNSN", [1, 1, 1, 0.75, 1])
        assert "S" in keep_premature_sveb(beats, beats.rr_s, 25).label

    def test_what_cannot_be_compared_stays(self) -> None:
        first, after_noise = beats_of("SNNN"), beats_of("NNNSN")
        rr_s = after_noise.rr_s
        rr_s[3] = np.nan
        assert "S" in keep_premature_sveb(first, first.rr_s, 80).label
        assert "S" in keep_premature_sveb(after_noise, rr_s, 80).label

    def test_the_probabilities_follow_the_label(self) -> None:
        beats = keep_premature_sveb(beats_of("NNNS"), beats_of("NNNS").rr_s, 10)
        assert beats.probability.argmax(axis=1).tolist() == [0, 0, 0, 0]

    def test_it_concerns_supraventricular_beats_only(self) -> None:
        beats = beats_of("NNNVNQ")
        assert "".join(keep_premature_sveb(beats, beats.rr_s, 80).label) == "NNNVNQ"

    def test_the_median_is_that_of_the_last_eight(self) -> None:
        beats = beats_of("N" * 20 + "S", [2.0] * 12 + [1.0] * 9)
        assert prematurity_pct(beats, beats.rr_s)[-1] == pytest.approx(0)


class TestFile:
    @pytest.fixture
    def study(self, tmp_path: Path) -> Path:
        return tmp_path / "study.toml"

    def test_the_template_holds_every_criterion_with_its_meaning_and_gives_the_defaults(
        self, study: Path
    ) -> None:
        study.write_text(as_toml(DEFAULT_CRITERIA))
        assert Criteria.read(study) == DEFAULT_CRITERIA
        for name, criterion in CRITERIA.items():
            assert f"\n{name} = " in study.read_text()
            first_word, *_ = criterion.metadata["meaning"].split()
            assert f"# {first_word}" in study.read_text()

    def test_what_is_printed_of_a_study_is_that_study(self, study: Path) -> None:
        criteria = Criteria(**{name: other for name, (other, *_) in CASES.items()})
        study.write_text(as_toml(criteria))
        assert Criteria.read(study) == criteria
        assert criteria.changed().keys() == CRITERIA.keys()

    def test_what_it_leaves_out_has_its_default(self, study: Path) -> None:
        study.write_text("pause_s = 3  # a whole number is a number\n")
        assert Criteria.read(study) == Criteria(pause_s=3.0)
        assert json.dumps(asdict(Criteria.read(study))) == json.dumps(asdict(Criteria(pause_s=3.0)))

    def test_an_empty_one_and_one_with_a_mark_of_windows_are_fine(self, study: Path) -> None:
        study.write_bytes(b"\xef\xbb\xbf\r\n")
        assert Criteria.read(study) == DEFAULT_CRITERIA

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("pauze_s = 3", "'pauze_s' is not a criterion. Did you mean pause_s? `ectopy criteria` prints all."),
            ("[pauses]\nlength = 3", "'pauses' is not a criterion. Did you mean pause_s? `ectopy criteria` prints all."),
            ("pause_s = '3 s'", "pause_s = '3 s' is not a number. Give 0.5 to 20 seconds."),
            ("pause_s = true", "pause_s = True is not a number. Give 0.5 to 20 seconds."),
            ("pause_s = -1", "pause_s = -1 is out of bounds. Give 0.5 to 20 seconds."),
            ("pause_s = nan", "pause_s = nan is out of bounds. Give 0.5 to 20 seconds."),
            ("vt_beats = 3.5", "vt_beats = 3.5 is not a whole number. Give 3 to 100 beats."),
            ("vt_beats = 2", "vt_beats = 2 is out of bounds. Give 3 to 100 beats."),
            ("detect_af = 1", "detect_af = 1 is neither true nor false. Give true or false."),
            ("vt_bpm = [100]", "vt_bpm = [100] is not a number. Give 60 to 250 beats per minute."),
            (
                "bradycardia_bpm = 90\ntachycardia_bpm = 80",
                "bradycardia_bpm = 90 is above tachycardia_bpm = 80. Give bradycardia_bpm at most the value of tachycardia_bpm.",
            ),
            ("pause_s = 12", "pause_s = 12 is above no_beat_s = 10. Give pause_s at most the value of no_beat_s."),
            (
                "pause_s: 3",
                "not TOML: expected '=' after a key in a key/value pair (at line 1, column 8). Give lines such as pause_s = 2.5.",
            ),
        ],
    )  # fmt: skip
    def test_a_mistake_is_named_with_the_file_and_what_to_give(
        self, study: Path, text: str, said: str
    ) -> None:
        study.write_text(text)
        with pytest.raises(CriteriaError) as error:
            Criteria.read(study)
        assert str(error.value) == f"{study}: {said}"

    @pytest.mark.parametrize(
        "content", [b"\xff\xfe", b"pause_s = " + b"[" * 100_000, b"pause_s = 1" + b"0" * 4000]
    )
    def test_odd_content_is_a_mistake_and_no_traceback(self, study: Path, content: bytes) -> None:
        study.write_bytes(content)
        with pytest.raises(CriteriaError, match=str(study)) as error:
            Criteria.read(study)
        assert len(str(error.value)) < 400

    def test_a_file_that_is_not_there_is_named(self, study: Path) -> None:
        with pytest.raises(CriteriaError, match=r"study\.toml: no such file\. Check its path"):
            Criteria.read(study)
        with pytest.raises(CriteriaError, match="no such file"):
            Criteria.read(study.parent)


class TestOutputs:
    CRITERIA = Criteria(pause_s=2.5, vt_beats=4, vt_bpm=120, sv_run_beats=5, detect_af=False, sustained_s=20)

    def test_the_report_states_the_rules_in_force_and_what_was_changed(self, tmp_path: Path) -> None:
        analysis = analysed(self.CRITERIA, "N" * 12 + "VVV" + "N" * 12, 0.4)
        report.write_outputs(tmp_path, analysis, provenance_of())
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        for sentence in (
            (
                "4 or more ventricular beats in a row above 120 bpm; or 3 s or more by the waves of the signal; "
                "urgent from 20 s or 6 beats on, else important"
            ),
            "RR interval longer than 2.5 s",
            "4 or more beats above 120 bpm",
            "none above 2.5 s",
            "Short ventricular runs: 1 triplet at",
            "5 or more supraventricular ectopic beats in a row above 100 bpm",
            "Atrial fibrillation and flutter: not looked for, by the criteria of this study",
            "pause_s = 2.5 (default 2.0); vt_bpm = 120.0 (default 100.0); vt_beats = 4 (default 3);",
            "detect_af = false (default true)",
        ):
            assert sentence in page, sentence
        assert "of the time analysed" not in page

    def test_a_report_by_the_defaults_names_no_criterion_and_no_kind_that_cannot_be(
        self, tmp_path: Path
    ) -> None:
        report.write_outputs(tmp_path, analysed(DEFAULT_CRITERIA, "N" * 30), provenance_of())
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert "<dt>Criteria</dt><dd>the defaults of this version</dd>" in page
        assert "Short ventricular run" not in page

    @pytest.mark.parametrize("criteria", [DEFAULT_CRITERIA, CRITERIA], ids=["defaults", "others"])
    def test_the_summary_holds_all_of_them_and_obeys_its_schema(
        self, tmp_path: Path, criteria: Criteria
    ) -> None:
        report.write_outputs(tmp_path, analysed(criteria, "N" * 12 + "VVV", 0.4), provenance_of())
        document = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
        Draft202012Validator(summary_schema()).validate(document)
        assert document["criteria"] == asdict(criteria)

    def test_the_findings_state_the_pause_in_force(self) -> None:
        look = finding("NN", [1, 3], words=6)
        assert look(Criteria(pause_s=2.5)) == "urgent: 1 pause longer than 2.5"

    def test_fhir_states_them_and_leaves_out_what_was_not_looked_for(self) -> None:
        from ectopy.report.fhir import bundle

        summary = summarise(analysed(self.CRITERIA, "N" * 30), provenance_of())
        text = json.dumps(bundle(summary, provenance_of()))
        assert "Ventricular tachycardias, 4 beats or more above 120 per minute" in text
        assert "Ventricular tachycardias of 20 s or more" in text
        assert "Pauses, RR intervals longer than 2.5 s" in text
        assert "trial fibrillation" not in text

    def test_what_is_included_on_request_is_said_beside_the_value(self, tmp_path: Path) -> None:
        from ectopy.report.fhir import bundle

        criteria = Criteria(sveb_in_hrv=True, pauses_in_lowest_rate=False)
        for chosen, expected in ((criteria, True), (DEFAULT_CRITERIA, False)):
            analysis = analysed(chosen, "N" * 400, seconds=321)
            report.write_outputs(tmp_path, analysis, provenance_of())
            page = (tmp_path / "report.html").read_text(encoding="utf-8")
            assert ("(NN) intervals, of supraventricular ectopic beats too, which fill" in page) == expected
            assert (", without pauses" in page) == expected
            observed = json.dumps(bundle(summarise(analysis, provenance_of()), provenance_of()))
            assert (
                "normal-to-normal intervals, of supraventricular ectopic beats too" in observed
            ) == expected

    def test_python_takes_criteria_and_nothing_else(self) -> None:
        with pytest.raises(
            CriteriaError, match=r"^'study\.toml' are not criteria\. Give Criteria\(\.\.\.\) or"
        ):
            ectopy.analyse(np.zeros(1000), fs=250, criteria="study.toml")

    def test_an_analysis_knows_its_criteria(self, tmp_path: Path) -> None:
        header, model = write_record(tmp_path), write_model(tmp_path / "model")
        criteria = ectopy.Criteria(tachycardia_bpm=60, bradycardia_bpm=30)
        by_default, by_study = (
            ectopy.analyse(header, model=model, criteria=chosen) for chosen in (DEFAULT_CRITERIA, criteria)
        )
        assert (by_default.criteria, by_study.criteria) == (DEFAULT_CRITERIA, criteria)
        kinds = [[event.kind for event in analysis.events] for analysis in (by_default, by_study)]
        assert kinds == [[], ["tachycardia"]]


class TestBatch:
    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        return write_model(tmp_path / "model")

    def run(self, tmp_path: Path, options: ScoreOptions) -> object:
        out, header = tmp_path / "out", write_record(tmp_path)
        with results.lock_output(out):
            (row,) = runner.run(planning.plan([header], out, options), Here())
        return row["status"]

    def test_other_criteria_score_anew_and_the_same_do_not(self, tmp_path: Path, model: Path) -> None:
        by_default, by_study = ScoreOptions(model), ScoreOptions(model, criteria=Criteria(pause_s=2.5))
        done = [self.run(tmp_path, how) for how in (by_default, by_study, by_study, by_default, by_default)]
        assert done == ["scored", "scored", "skipped", "scored", "skipped"]

    def test_the_provenance_names_what_differs_and_nothing_else(self, tmp_path: Path, model: Path) -> None:
        # Results by the defaults have the same settings as those of earlier versions.
        settings = []
        for criteria in (DEFAULT_CRITERIA, Criteria(pause_s=2.5)):
            self.run(tmp_path, ScoreOptions(model, criteria=criteria))
            document = json.loads((tmp_path / "out" / "r" / "summary.json").read_text())
            settings.append(document["provenance"]["settings"])
        assert settings[0] == {"leads": [], "fs_hz": None}
        assert settings[1] == settings[0] | {"criteria": {"pause_s": 2.5}}

    def test_they_are_one_line_for_a_person(self) -> None:
        assert as_text(DEFAULT_CRITERIA) == "defaults"
        assert as_text(Criteria(pause_s=2.5, detect_af=False)) == "pause_s = 2.5, detect_af = false"


class TestCommand:
    def ended(self, *arguments: str | Path) -> int:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        return int(ended.value.code or 0)

    def test_it_prints_what_it_then_reads(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.ended("criteria") == 0
        (tmp_path / "study.toml").write_text(
            capsys.readouterr().out.replace("pause_s = 2.0", "pause_s = 2.5")
        )
        assert self.ended("criteria", tmp_path / "study.toml") == 0
        assert "\npause_s = 2.5\n" in capsys.readouterr().out
        assert Criteria.read(tmp_path / "study.toml") == Criteria(pause_s=2.5)

    @pytest.mark.parametrize("way", ["option", "setting"])
    def test_score_takes_them_and_says_so(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, way: str
    ) -> None:
        (tmp_path / "study.toml").write_text("tachycardia_bpm = 60\n")
        option = ["--criteria", tmp_path / "study.toml"] if way == "option" else []
        monkeypatch.setenv(
            "ECTOPY_CRITERIA", str(tmp_path / "study.toml") if way == "setting" else "none.toml"
        )
        model, out = write_model(tmp_path / "model"), tmp_path / "out"
        arguments = ("score", write_record(tmp_path), "--out", out, "--model", model, "--workers", "1")
        assert self.ended(*arguments, *option) == 0
        assert "criteria: tachycardia_bpm = 60.0\n" in capsys.readouterr().err
        assert "\ntachycardia," in (out / "r" / "events.csv").read_text()

    def test_a_mistake_in_them_stops_it_before_any_recording(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "study.toml").write_text("pauze_s = 2\n")
        arguments = ("score", write_record(tmp_path), "--out", tmp_path / "out")
        assert self.ended(*arguments, "--criteria", tmp_path / "study.toml") == 2
        assert capsys.readouterr().err.startswith(
            f"ectopy: {tmp_path / 'study.toml'}: 'pauze_s' is not a criterion."
        )
        assert not (tmp_path / "out").exists()


def test_the_table_in_the_documentation_is_that_of_the_code() -> None:
    printed = subprocess.run(
        [sys.executable, ROOT / "tools" / "criteria_table.py"], capture_output=True, text=True, check=True
    ).stdout
    assert (ROOT / "docs" / "reference" / "criteria.md").read_text(encoding="utf-8") == printed


def test_the_comparison_in_the_guide_names_no_criterion_that_is_not_there() -> None:
    guide = (ROOT / "docs" / "how-to" / "criteria.md").read_text(encoding="utf-8")
    table = [line for line in guide.splitlines() if line.startswith("|")]
    named = set(re.findall(r"`(\w+)`", "".join(table)))
    assert len(named) > 10
    assert named <= CRITERIA.keys()
