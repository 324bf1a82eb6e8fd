"""What `score` writes, read back as other programs read it."""

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wfdb
from numpy.typing import ArrayLike
from pyarrow import parquet

from ectopy import report
from ectopy.ecg import Analysis, Beats, Event, Recording, recording_of
from ectopy.report import data_files, summary
from ectopy.report.statistics import recording_stats
from ectopy.rhythm import findings, wording
from tests.handmade import (
    FS,
    NOTHING_UNREADABLE,
    analysis_of,
    beats_of,
    fibrillating_rr_s,
    provenance_of,
    recording_for,
)


def written(
    folder: Path,
    letters: str,
    rr_s: ArrayLike = 0.8,
    *,
    n_samples: int = 6000,
    unreadable: ArrayLike = NOTHING_UNREADABLE,
) -> Mapping[str, object]:
    """Write the outputs of a minute with these beats; give the row."""
    beats = beats_of(letters, rr_s)
    recording = recording_for(beats, n_samples)
    analysis = analysis_of(recording, beats, unreadable=np.asarray(unreadable, dtype=np.int64))
    return report.write_outputs(folder, analysis, provenance_of())


def marks(folder: Path, name: str = "r1") -> list[tuple[int, str, int, str]]:
    """(sample, symbol, subtype, text) of the annotation file, as wfdb reads it."""
    read = wfdb.rdann(str(folder / name), "ectopy")
    aux = [note.rstrip("\x00") for note in read.aux_note]
    return list(zip(read.sample.tolist(), read.symbol, read.subtype.tolist(), aux, strict=True))


class TestFolder:
    def test_it_holds_the_five_files_of_the_interface(self, tmp_path: Path) -> None:
        written(tmp_path, "NNN")
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {"r1.ectopy", "beats.parquet", "events.csv", "summary.json", "report.html"}

    @pytest.mark.parametrize("letters", ["", "V", "NN"])
    def test_few_beats_or_none_give_all_files_too(self, tmp_path: Path, letters: str) -> None:
        row = written(tmp_path, letters)
        assert len(list(tmp_path.iterdir())) == 5
        assert (row["status"], row["n_beats"]) == ("scored", len(letters))


class TestAnnotationFile:
    def test_every_beat_stands_at_its_r_peak_with_its_class(self, tmp_path: Path) -> None:
        written(tmp_path, "NSVFQ")
        beats = [(sample, symbol) for sample, symbol, _, _ in marks(tmp_path) if symbol in "NSVFQ"]
        assert beats == [(80, "N"), (160, "S"), (240, "V"), (320, "F"), (400, "Q")]

    def test_the_file_tells_the_sampling_rate(self, tmp_path: Path) -> None:
        written(tmp_path, "NNN")
        assert wfdb.rdann(str(tmp_path / "r1"), "ectopy").fs == 100

    def test_rhythm_changes_stand_a_sample_before_the_first_beat_of_each(self, tmp_path: Path) -> None:
        written(tmp_path, "NNVVVNN", 0.5)
        changes = [(sample, aux) for sample, symbol, _, aux in marks(tmp_path) if symbol == "+"]
        assert changes == [(49, "(N"), (149, "(VT"), (299, "(N")]

    def test_unreadable_stretches_are_noise_marks_that_bxb_reads_as_shutdowns(self, tmp_path: Path) -> None:
        written(tmp_path, "NNN", unreadable=[[1000, 2000], [5000, 6000]])
        noise = [(sample, subtype) for sample, symbol, subtype, _ in marks(tmp_path) if symbol == "~"]
        assert noise == [(1000, -1), (2000, 0), (5000, -1), (6000, 0)]

    def test_marks_come_in_order_of_time(self, tmp_path: Path) -> None:
        written(tmp_path, "NNVVVNN", 0.5, unreadable=[[0, 30], [120, 130]])
        samples = [sample for sample, *_ in marks(tmp_path)]
        assert samples == sorted(samples)

    def test_without_a_beat_a_note_says_why(self, tmp_path: Path) -> None:
        written(tmp_path, "")
        assert marks(tmp_path) == [(1, '"', 0, "not analysable: the signal is flat")]

    def test_beats_far_apart_keep_their_samples(self, tmp_path: Path) -> None:
        # More than 1023 samples apart needs a SKIP in the format.
        written(tmp_path, "NN", [1, 40])
        assert [sample for sample, symbol, _, _ in marks(tmp_path) if symbol == "N"] == [100, 4100]


class TestRhythmChanges:
    @staticmethod
    def of(letters: str, rr_s: ArrayLike = 0.5) -> list[str]:
        beats = beats_of(letters, rr_s)
        return data_files.rhythm_changes(analysis_of(recording_for(beats, 60_000), beats))[1]

    @pytest.mark.parametrize(
        ("letters", "rr_s", "rhythms"),
        [
            ("NNN", 0.8, ["(N"]),
            ("NVVVN", 0.8, ["(N", "(IVR", "(N"]),
            ("NVVVN", 0.5, ["(N", "(VT", "(N"]),
            ("NSSSN", 0.5, ["(N", "(SVTA", "(N"]),
            ("NVNVNVNN", 0.8, ["(B", "(N"]),
            ("NNVNNVNNVN", 0.8, ["(T", "(N"]),
            ("NSNSNSNN", 0.8, ["(AB", "(N"]),
            ("N" * 40, 1.5, ["(SBR"]),
            ("N" * 80, fibrillating_rr_s(80), ["(AFIB"]),
            ("NVVN", 0.5, ["(N"]),  # MIT has no string for a couplet
            ("", 0.8, []),
        ],
    )
    def test_they_bear_the_strings_of_mit_bih(
        self, letters: str, rr_s: ArrayLike, rhythms: list[str]
    ) -> None:
        assert self.of(letters, rr_s) == rhythms

    def test_where_events_overlap_the_more_urgent_names_the_rhythm(self) -> None:
        # A run inside a bradycardia.
        assert self.of("N" * 20 + "VVV" + "N" * 20, [1.5] * 21 + [0.5] * 2 + [1.5] * 20) == [
            "(SBR",
            "(VT",
            "(SBR",
        ]

    def test_fibrillation_ends_where_its_last_beat_was(self) -> None:
        regular, rr_s = np.full(60, 0.8), fibrillating_rr_s(80)
        assert self.of("N" * 200, np.concatenate([regular, rr_s, regular])) == ["(N", "(AFIB", "(N"]

    def test_ventricular_tachycardia_interrupts_fibrillation_as_in_mit_bih(self) -> None:
        rr_s = np.concatenate([fibrillating_rr_s(60), [0.4] * 3, fibrillating_rr_s(60)])
        assert self.of("N" * 60 + "VVV" + "N" * 60, rr_s) == ["(AFIB", "(VT", "(AFIB"]


class TestBeatsTable:
    def test_columns_are_those_of_the_interface(self, tmp_path: Path) -> None:
        written(tmp_path, "NNN")
        names = parquet.read_table(tmp_path / "beats.parquet").column_names
        assert names == [
            "sample",
            "time_s",
            "rr_s",
            "label",
            "p_n",
            "p_s",
            "p_v",
            "p_f",
            "confident",
            "low_quality",
        ]

    def test_rows_are_the_beats(self, tmp_path: Path) -> None:
        written(tmp_path, "NV", [1.0, 0.5])
        first, second = parquet.read_table(tmp_path / "beats.parquet").to_pylist()
        common = {"p_s": 0.0, "p_f": 0.0, "confident": True, "low_quality": False}
        assert (
            first == {"sample": 100, "time_s": 1.0, "rr_s": None, "label": "N", "p_n": 1, "p_v": 0} | common
        )
        assert (
            second == {"sample": 150, "time_s": 1.5, "rr_s": 0.5, "label": "V", "p_n": 0, "p_v": 1} | common
        )

    def test_an_interval_across_an_unreadable_stretch_is_null(self, tmp_path: Path) -> None:
        written(tmp_path, "NNN", unreadable=[[170, 200]])
        assert parquet.read_table(tmp_path / "beats.parquet")["rr_s"].to_pylist() == [None, 0.8, None]

    def test_a_table_without_a_beat_has_the_same_types(self, tmp_path: Path) -> None:
        for name, letters in (("none", ""), ("some", "NV")):
            (tmp_path / name).mkdir()
            written(tmp_path / name, letters)
        none, some = (parquet.read_schema(tmp_path / name / "beats.parquet") for name in ("none", "some"))
        assert none.equals(some)


class TestEventsTable:
    @staticmethod
    def rows(folder: Path) -> list[dict[str, str]]:
        with (folder / "events.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def test_rows_are_the_events(self, tmp_path: Path) -> None:
        written(tmp_path, "NVVVN", 0.5)
        assert self.rows(tmp_path) == [
            {"kind": "vt", "onset_s": "1.000", "offset_s": "2.000", "n_beats": "3", "rate_bpm": "120.0"}
        ]

    def test_the_rate_of_a_pause_is_empty(self, tmp_path: Path) -> None:
        written(tmp_path, "NN", [1, 3])
        assert self.rows(tmp_path)[0]["rate_bpm"] == ""

    def test_without_events_there_is_the_heading(self, tmp_path: Path) -> None:
        written(tmp_path, "NN")
        assert (tmp_path / "events.csv").read_text().split() == ["kind,onset_s,offset_s,n_beats,rate_bpm"]


class TestSummary:
    def test_columns_are_those_of_the_interface_in_their_order(self, tmp_path: Path) -> None:
        assert list(written(tmp_path, "NNN")) == list(report.SUMMARY_COLUMNS)

    def test_figures_of_a_minute_with_every_kind_of_beat(self, tmp_path: Path) -> None:
        # 20 beats 0.5 s apart up to 10 s, then a pause of 2.5 s: 18 intervals of 0.5 s and one of 2.5 s are 11.5 s.
        row = written(tmp_path, "NNVVNVVVNSNNFNNQNNNN", [0.5] * 19 + [2.5], unreadable=[[3000, 4500]])
        assert {name: row[name] for name in ("duration_s", "analysable_s", "n_beats")} == {
            "duration_s": 60.0,
            "analysable_s": 45.0,
            "n_beats": 20,
        }
        assert (row["n_veb"], row["veb_burden_pct"]) == (5, 25.0)
        assert (row["n_sveb"], row["sveb_burden_pct"]) == (1, 5.0)
        assert (row["n_couplets"], row["n_vt_runs"], row["longest_vt_beats"]) == (1, 1, 3)
        assert row["longest_pause_s"] == 2.5
        assert row["hr_mean_bpm"] == round(60 * 19 / 11.5, 1)
        assert row["hr_max_bpm"] == 120.0
        # Seven of 0.5 s and the pause: 6 s for 8 intervals.
        assert row["hr_min_bpm"] == 80.0

    def test_without_fibrillation_its_burden_is_0(self, tmp_path: Path) -> None:
        assert written(tmp_path, "NNN")["af_burden_pct"] == 0.0

    def test_the_burden_of_fibrillation_is_its_share_of_the_time_analysed(self, tmp_path: Path) -> None:
        beats = beats_of("N" * 60, fibrillating_rr_s(60))
        lasting_s = float(beats.time_s[-1] - beats.time_s[0])
        row = written(tmp_path, "N" * 60, fibrillating_rr_s(60), unreadable=[[5000, 6000]])
        # Of a minute, 50 s can be read.
        assert row["af_burden_pct"] == pytest.approx(100 * lasting_s / 50, abs=0.005)

    def test_it_says_where_it_comes_from(self, tmp_path: Path) -> None:
        row = written(tmp_path, "NNN")
        named = [row[name] for name in ("recording", "path", "status", "reason", "model", "input_sha256")]
        assert named == ["r1", "in/r1.hea", "scored", "", "shipped", "ab" * 32]

    def test_findings_are_one_text_with_their_urgency(self, tmp_path: Path) -> None:
        text = str(written(tmp_path, "NVVVN", 0.5)["findings"])
        assert text.split("; ", maxsplit=1)[0] == (
            "important: Non-sustained ventricular tachycardia: 1 triplet at 0:00:01, 120 bpm"
        )

    def test_without_a_beat_there_are_no_rates_and_no_shares(self, tmp_path: Path) -> None:
        row = written(tmp_path, "")
        empty = ("hr_mean_bpm", "hr_min_bpm", "hr_max_bpm", "veb_burden_pct", "longest_pause_s")
        assert [row[name] for name in empty] == [None] * 5

    def test_the_document_holds_the_row_in_full(self, tmp_path: Path) -> None:
        row = written(tmp_path, "NVVVN", 0.5)
        document = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
        assert document["row"] == row
        assert document["schema_version"] == 3
        assert document["provenance"] == provenance_of()

    def test_the_document_is_strict_json(self, tmp_path: Path) -> None:
        # A pause has no rate, which must not become NaN.
        written(tmp_path, "NN", [1, 3])

        def refuse(constant: str) -> None:
            pytest.fail(f"{constant} is no JSON")

        document = json.loads((tmp_path / "summary.json").read_text(), parse_constant=refuse)
        assert document["findings"][0]["example"]["rate_bpm"] is None

    def test_the_document_keeps_the_recordings_facts_and_not_its_name(self, tmp_path: Path) -> None:
        written(tmp_path, "NN", unreadable=[[3000, 4500]])
        text = (tmp_path / "summary.json").read_text(encoding="utf-8")
        assert "Miller" not in text
        assert json.loads(text)["recording"] == {
            "fs_hz": 100.0,
            "n_samples": 6000,
            "start": None,
            "recorded_leads": ["II", "V1"],
            "leads": ["II", "V1"],
            "unreadable_samples": [[3000, 4500]],
        }


class TestHours:
    @staticmethod
    def hours(n_hours: float) -> list[tuple[object, object, object]]:
        beats = beats_of("N" * 20 + "V" + "N" * 20, [3500] + [10] * 40)
        recording = recording_for(beats, round(n_hours * 3600 * FS))
        parts = summary.by_period(recording_stats(analysis_of(recording, beats)), summary.HOUR_S)
        return [(part["start_s"], part["stop_s"], part["n_beats"]) for part in parts]

    def test_each_beat_counts_in_its_hour(self) -> None:
        # Beats at 3500, 3510 ... 3590 belong to the first hour.
        assert self.hours(2) == [(0.0, 3600.0, 10), (3600.0, 7200.0, 31)]

    def test_the_last_may_be_shorter(self) -> None:
        assert [stop for _, stop, _ in self.hours(2.5)] == [3600.0, 7200.0, 9000.0]

    def test_a_rest_below_a_tenth_belongs_to_the_last(self) -> None:
        assert [stop for _, stop, _ in self.hours(2.05)] == [3600.0, 7380.0]

    def test_a_recording_shorter_than_an_hour_is_one_part(self) -> None:
        assert self.hours(1.11) == [(0.0, 3600.0, 10), (3600.0, 3996.0, 31)]
        beats = beats_of("NN")
        parts = summary.by_period(
            recording_stats(analysis_of(recording_for(beats, 1000), beats)), summary.HOUR_S
        )
        assert [(part["start_s"], part["stop_s"]) for part in parts] == [(0.0, 10.0)]

    def test_fibrillation_counts_in_each_hour_by_the_part_that_lies_there(self) -> None:
        # From 3540 s to 3690 s: a minute of the first hour, a minute and a half of the second.
        beats = beats_of("N" * 199, 36)
        analysis = analysis_of(recording_for(beats, 7200 * 100), beats)
        analysis = replace(analysis, events=(Event("af", 3540.0, 3690.0, 200, 80.0),))
        burden = [part["af_burden_pct"] for part in summary.by_period(recording_stats(analysis), 3600.0)]
        assert burden == [round(100 * 60 / 3600, 2), round(100 * 90 / 3600, 2)]

    def test_unreadable_time_is_taken_off_the_hour_it_lies_in(self) -> None:
        beats = beats_of("NN")
        recording = recording_for(beats, 7200 * 100)
        around_the_hour = np.array([[3590 * 100, 3620 * 100]])
        parts = summary.by_period(
            recording_stats(analysis_of(recording, beats, unreadable=around_the_hour)), summary.HOUR_S
        )
        assert [part["analysable_s"] for part in parts] == [3590.0, 3580.0]


class TestWhyNotAnalysable:
    @pytest.mark.parametrize(
        ("signal", "why"),
        [
            (np.empty((0, 1)), "the recording is empty"),
            (np.full((6000, 2), np.nan), "every sample is missing"),
            (np.full((6000, 2), 0.3), "the signal is flat"),
            (np.sin(np.arange(200))[:, None], "2.0 s are too short"),
            (np.sin(np.arange(6000))[:, None], "no beat was found"),
        ],
    )
    def test_it_names_the_cause(self, signal: np.ndarray, why: str) -> None:
        assert summary.not_analysable_reason(recording_of(signal, FS)) == why

    def test_one_flat_lead_of_two_is_not_the_cause(self) -> None:
        signal = np.column_stack((np.zeros(6000), np.sin(np.arange(6000))))
        assert summary.not_analysable_reason(recording_of(signal, FS)) == "no beat was found"

    def test_it_looks_at_a_few_seconds_of_a_long_recording(self) -> None:
        asked: list[int] = []

        def read(start: int, stop: int) -> np.ndarray:
            asked.append(stop - start)
            return np.zeros((stop - start, 1), dtype=np.float32)

        fourteen_days = Recording("long", FS, ("II",), 14 * 86_400 * 100, read)
        assert summary.not_analysable_reason(fourteen_days) == "the signal is flat"
        assert sum(asked) == 80 * 100


class TestFindings:
    @staticmethod
    def of(
        letters: str, rr_s: ArrayLike = 0.8, *, n_samples: int = 360_000, unsure: tuple[int, ...] = ()
    ) -> list[tuple[int, str]]:
        beats = beats_of(letters, rr_s)
        beats.confident[list(unsure)] = False
        found = findings.find_findings(analysis_of(recording_for(beats, n_samples), beats))
        return [(finding.urgency, finding.text) for finding in found]

    def test_nothing_to_say_is_said(self) -> None:
        assert self.of("N" * 50) == [(0, "No ectopic beat, run, pause or change of rate found")]

    def test_six_beats_of_ventricular_tachycardia_are_urgent_five_are_not(self) -> None:
        assert self.of("N" + "V" * 6 + "N", 0.5)[0] == (
            3,
            "Non-sustained ventricular tachycardia: 1 run of 6 beats at 0:00:01, 120 bpm",
        )
        assert self.of("N" + "V" * 5 + "N", 0.5)[0][0] == 2

    def test_tachycardia_is_sustained_from_30_s_on(self) -> None:
        assert self.of("V" * 61, 0.5)[0][1].startswith("Sustained")
        assert self.of("V" * 60, 0.5)[0][1].startswith("Non-sustained")

    def test_several_runs_name_the_longest_and_the_fastest(self) -> None:
        letters = "N" + "VVV" + "N" + "VVVV" + "N"
        rr_s = [1, 1, 0.4, 0.4, 1, 1, 0.5, 0.5, 0.5, 1]
        assert self.of(letters, rr_s)[0][1] == (
            "Non-sustained ventricular tachycardia: 2 runs (1 triplet), longest 4 beats at 0:00:04, fastest 150 bpm at 0:00:02"
        )

    def test_a_pause_is_urgent_from_3_s_on(self) -> None:
        assert self.of("NN", [1, 3]) == [(3, "1 pause longer than 2 s, longest 3.0 s at 0:00:01")]
        assert self.of("NNN", [1, 2.99, 2.5]) == [(1, "2 pauses longer than 2 s, longest 3.0 s at 0:00:01")]

    def test_ten_seconds_without_a_beat_are_said_apart(self) -> None:
        assert self.of("NN", [1, 70])[0] == (
            3,
            "No beat for 1 min 10 s at 0:00:01: asystole, ventricular fibrillation or lost signal",
        )

    @pytest.mark.parametrize(
        ("n_veb", "urgency", "word"),
        [(9, 0, "Rare"), (10, 1, "Frequent"), (100, 1, "Frequent"), (101, 2, "Very")],
    )
    def test_ventricular_ectopy_is_rare_below_1_and_very_frequent_above_10_percent(
        self, n_veb: int, urgency: int, word: str
    ) -> None:
        # 1000 beats, the ventricular ones every fifth.
        letters = ("NNNNV" * n_veb).ljust(1000, "N")
        found = [(level, text) for level, text in self.of(letters) if "ventricular ectopy" in text]
        assert [(level, text.split()[0]) for level, text in found] == [(urgency, word)]

    def test_counts_by_the_hour_and_words_for_how_frequent_need_a_quarter_of_one(self) -> None:
        assert self.of("NNVN")[0][1] == "Very frequent ventricular ectopy: 1 beat (25.0 %), 1 an hour"
        assert self.of("NNVN", n_samples=90_001)[0][1].startswith("Very frequent")
        assert self.of("NNVN", n_samples=90_000)[0] == (2, "Ventricular ectopy: 1 beat (25.0 %)")

    def test_a_strip_of_few_beats_has_its_mean_rate_told_where_it_is_slow_or_fast(self) -> None:
        # 7 beats are six intervals, and a heart rate is one over eight.
        told = [self.of("N" * 7, rr_s, n_samples=1100)[0][1] for rr_s in (1.48, 1.19, 0.61, 0.5)]
        nothing = "No ectopic beat, run, pause or change of rate found"
        assert told == [
            "Bradycardia: 41 bpm, mean of 7 beats",
            nothing,
            nothing,
            "Tachycardia: 120 bpm, mean of 7 beats",
        ]

    def test_two_intervals_are_no_rate(self) -> None:
        assert self.of("NNN", 1.48)[0][0] == self.of("NNNN", 1.19)[0][0] == 0
        assert self.of("NNNN", 1.48)[0][0] == 1

    def test_ectopic_beats_that_the_classifier_is_unsure_of_are_counted_apart(self) -> None:
        letters = "NNVNNNVNNN" + "N" * 90
        assert self.of(letters)[0][1] == "Frequent ventricular ectopy: 2 beats (2.0 %), 2 an hour"
        assert self.of(letters, unsure=(2,))[0][1].endswith("2 an hour, 1 of them uncertain")
        assert self.of(letters, unsure=(2, 6))[0][1].endswith("2 an hour, uncertain")
        assert self.of(letters, unsure=(3,))[0][1].endswith("2 an hour")

    def test_a_run_is_uncertain_where_half_of_its_beats_are(self) -> None:
        tachycardia = "Non-sustained ventricular tachycardia: 1 run of 6 beats at 0:00:01, 120 bpm"
        told = [self.of("N" + "V" * 6 + "N", 0.5, unsure=unsure)[0] for unsure in ((1, 2), (1, 2, 6))]
        # An urgent finding stays one: a classifier that has never seen a tachycardia may well be unsure of it.
        assert told == [(3, tachycardia), (3, f"{tachycardia}, uncertain")]

    def test_of_several_runs_the_uncertain_ones_are_counted(self) -> None:
        letters = "NVVVNNVVVN"
        told = [self.of(letters, 0.5, unsure=unsure)[0][1] for unsure in ((1, 2), (1, 2, 6, 7, 8))]
        assert [text.partition("at 0:00:01, ")[2] for text in told] == [
            "fastest 120 bpm at 0:00:01, 1 of them uncertain",
            "fastest 120 bpm at 0:00:01, all uncertain",
        ]

    def test_idioventricular_rhythm_is_important_unless_nothing_of_it_is_sure(self) -> None:
        # Noise over normal beats makes them look wide, and a classifier unsure.
        assert self.of("NVVVN", 1.0)[0][0] == 2
        rhythm = [text for text in self.of("NVVVN" + "N" * 40, 1.0, unsure=(1, 2)) if "Idio" in text[1]]
        assert rhythm == [(1, "Idioventricular rhythm: 1 triplet at 0:00:02, 60 bpm, uncertain")]

    def test_couplets_tell_how_many_are_uncertain(self) -> None:
        letters = "NVVN" + "N" * 30 + "VVN"
        told = [text for _, text in self.of(letters, unsure=(1,)) if "couplet" in text]
        assert told == ["2 ventricular couplets, shortest 800 ms at 0:00:01, 1 of them uncertain"]

    def test_fibrillation_is_told_by_burden_longest_and_rate(self) -> None:
        beats = beats_of("N" * 100, fibrillating_rr_s(100))
        rate_bpm = 60 * 99 / (beats.time_s[-1] - beats.time_s[0])
        urgency, text = self.of("N" * 100, fibrillating_rr_s(100))[0]
        # 72 s of an hour.
        told = "1 episode, 2.0 % of the time analysed, longest 1 min 12 s at 0:00:00"
        assert (urgency, text) == (2, f"Atrial fibrillation: {told}, {rate_bpm:.0f} bpm")

    def test_fibrillation_is_urgent_above_110_bpm(self) -> None:
        # About 85, 107 and 125 bpm.
        urgency = [self.of("N" * 200, fibrillating_rr_s(200, s))[0][0] for s in (0.7, 0.55, 0.47)]
        assert urgency == [2, 2, 3]

    def test_several_episodes_name_the_longest_the_mean_rate_and_the_fastest(self) -> None:
        slow, regular, fast = fibrillating_rr_s(200), np.full(100, 0.8), fibrillating_rr_s(150, 0.45)
        urgency, text = self.of("N" * 450, np.concatenate([slow, regular, fast]))[0]
        # Made to last 143 s, 80 s and 70 s.
        assert urgency == 3
        assert text == (
            "Atrial fibrillation: 2 episodes, 5.8 % of the time analysed, longest 2 min 19 s at 0:00:00, 99 bpm, "
            "fastest 129 bpm at 0:03:43"
        )

    def test_supraventricular_runs_are_urgent_above_30_s(self) -> None:
        assert self.of("S" * 62, 0.5)[0][0] == 3
        assert self.of("S" * 61, 0.5)[0] == (
            2,
            "Very frequent supraventricular ectopy: 61 beats (100.0 %), 61 an hour",
        )

    def test_the_most_urgent_comes_first(self) -> None:
        urgencies = [urgency for urgency, _ in self.of("NNVVN" + "NNVVVN" + "NN", [0.5] * 12 + [3.5])]
        assert urgencies == sorted(urgencies, reverse=True)
        assert urgencies[0] == 3

    def test_time_that_was_lost_is_important_from_half_of_it_on(self) -> None:
        beats = beats_of("NNN")
        recording = recording_for(beats, 6000)
        lost = {
            share: findings.find_findings(
                analysis_of(recording, beats, unreadable=np.array([[6000 - share * 60, 6000]]))
            )[0]
            for share in (4, 49, 50)
        }
        assert [(lost[share].urgency, lost[share].text) for share in (49, 50)] == [
            (1, "29.4 s (49.0 %) could not be analysed"),
            (2, "30.0 s (50.0 %) could not be analysed"),
        ]

    def test_doubt_of_the_classifier_is_told(self) -> None:
        beats = beats_of("N" * 200)
        unsure = np.arange(200) < 2
        beats = Beats(beats.sample, beats.label, beats.probability, ~unsure, FS)
        found = findings.find_findings(analysis_of(recording_for(beats, 60_000), beats))
        assert found[0].text == "2 beats (1.0 %) of uncertain class"

    def test_the_example_of_ectopy_is_a_beat_that_stands_alone_and_is_sure(self) -> None:
        beats = beats_of("NVVNVNNVN")
        doubtful = Beats(beats.sample, beats.label, beats.probability, np.arange(9) != 4, FS)
        (ectopy,) = (
            finding
            for finding in findings.find_findings(analysis_of(recording_for(beats, 6000), doubtful))
            if "ctopy" in finding.text
        )
        # The pair does not stand alone, the fifth beat is in doubt: the eighth, at 6.4 s.
        assert ectopy.event is not None
        assert (ectopy.event.kind, ectopy.event.onset_s) == ("V", 6.4)

    def test_no_text_holds_what_parts_findings_in_the_summary(self) -> None:
        every = self.of("NVVVNSSSNVVNSSNVNVNVNNVNNVNNVNSNSNSN" + "N" * 80, [0.5] * 80 + [12] + [1.5] * 35)
        assert len(every) > 8
        assert not any(";" in text for _, text in every)


class TestTimes:
    @pytest.mark.parametrize(
        ("seconds", "written"), [(0, "0:00:00"), (59.9, "0:00:59"), (3661, "1:01:01"), (360_000, "100:00:00")]
    )
    def test_elapsed(self, seconds: float, written: str) -> None:
        assert wording.elapsed(seconds) == written

    @pytest.mark.parametrize(
        ("seconds", "written"),
        [
            (0.256, "256 ms"),
            (2.5, "2.5 s"),
            (59.94, "59.9 s"),
            (59.97, "1 min 0 s"),
            (221, "3 min 41 s"),
            (3600, "1 h 0 min"),
        ],
    )
    def test_duration(self, seconds: float, written: str) -> None:
        assert wording.duration(seconds) == written


def test_outputs_do_not_depend_on_anything_but_their_input(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        written(tmp_path / name, "NVVVNSSNVNVNV", 0.5)
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("a", "b")
    )
    assert first == second


def test_an_event_of_a_kind_that_has_no_rhythm_string_leaves_the_rhythm_alone() -> None:
    beats = beats_of("NNNN")
    recording = recording_for(beats, 6000)
    analysis = analysis_of(recording, beats)
    odd = Analysis(**{**vars(analysis), "events": (Event("pause", 0.8, 1.6, 2, float("nan")),)})
    assert data_files.rhythm_changes(odd)[1] == ["(N"]


@pytest.mark.real
def test_the_report_of_a_true_record_is_light_and_its_beats_come_back(mitdb: Path, tmp_path: Path) -> None:
    # Record 203 of DS1 with its reference beats: 2529 N, 2 a, 444 V, 1 F, 4 Q; two leads, every ventricular event.
    reference = wfdb.rdann(str(mitdb / "203"), "atr")
    is_beat = np.isin(reference.symbol, list("NaVFQ"))
    sample = reference.sample[is_beat].astype(np.int64)
    label = np.where(np.array(reference.symbol)[is_beat] == "a", "S", np.array(reference.symbol)[is_beat])
    n = len(sample)
    probability = (label[:, None] == np.array(list("NSVF"))).astype(np.float32)
    beats = Beats(sample, label, probability, np.ones(n, dtype=bool), 360.0)
    signal = wfdb.rdrecord(str(mitdb / "203")).p_signal
    recording = recording_of(signal, 360.0, name="203", leads=("MLII", "V1"))
    row = report.write_outputs(tmp_path, analysis_of(recording, beats), provenance_of())
    # Both SVEB lie in atrial fibrillation, where no beat is premature.
    assert (row["n_beats"], row["n_veb"], row["n_sveb"]) == (2980, 444, 0)
    assert (row["n_couplets"], row["n_vt_runs"], row["longest_vt_beats"]) == (64, 21, 9)
    back = [(at, symbol) for at, symbol, _, _ in marks(tmp_path) if symbol in "NSVFQ"]
    assert back == list(zip(sample.tolist(), np.where(label == "S", "N", label).tolist(), strict=True))
    # Every second of half an hour is on it; what longer recordings may weigh is told in test_report_page.
    assert (tmp_path / "report.html").stat().st_size < 1_000_000
