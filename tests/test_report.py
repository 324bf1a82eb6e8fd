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
from ectopy.report import data_files, periods, summary
from ectopy.report.statistics import recording_stats
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
    """Write the outputs of a minute with these beats; return the row."""
    beats = beats_of(letters, rr_s)
    recording = recording_for(beats, n_samples)
    analysis = analysis_of(recording, beats, unreadable=np.asarray(unreadable, dtype=np.int64))
    return report.write_outputs(folder, analysis, provenance_of())


def marks(folder: Path, name: str = "r1") -> list[tuple[int, str, int, str]]:
    """Return (sample, symbol, subtype, text) of each annotation, as wfdb reads it."""
    marks = wfdb.rdann(str(folder / name), "ectopy")
    aux = [note.rstrip("\x00") for note in marks.aux_note]
    return list(zip(marks.sample.tolist(), marks.symbol, marks.subtype.tolist(), aux, strict=True))


class TestFolder:
    def test_it_holds_the_five_files_of_the_interface(self, tmp_path: Path) -> None:
        written(tmp_path, "NNN")
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {
            "r1.ectopy",
            "beats.parquet",
            "events.csv",
            "rhythm.csv",
            "summary.json",
            "report.html",
        }

    @pytest.mark.parametrize("letters", ["", "V", "NN"])
    def test_few_beats_or_none_give_all_files_too(self, tmp_path: Path, letters: str) -> None:
        row = written(tmp_path, letters)
        assert len(list(tmp_path.iterdir())) == 6
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
            {
                "kind": "vt",
                "onset_s": "1.000",
                "offset_s": "2.000",
                "n_beats": "3",
                "rate_bpm": "120.0",
                "rhythm": "vt",
            }
        ]

    def test_each_row_has_the_rhythm_in_which_the_event_begins(self, tmp_path: Path) -> None:
        written(tmp_path, "NNVVNNNN" + "VVVV" + "N", [0.8] * 8 + [0.4] * 5)
        assert {row["kind"]: row["rhythm"] for row in self.rows(tmp_path)} == {
            "veb_couplet": "sinus",
            "vt": "vt",
        }

    def test_the_intervals_of_rhythm_have_a_table_of_their_own(self, tmp_path: Path) -> None:
        written(tmp_path, "NVVVN", 0.5)
        lines = (tmp_path / "rhythm.csv").read_text().split()
        assert lines[:3] == ["rhythm,start_s,stop_s", "sinus,0.000,1.000", "vt,1.000,2.500"]
        assert lines[3].startswith("sinus,2.500,")

    def test_the_rate_of_a_pause_is_empty(self, tmp_path: Path) -> None:
        written(tmp_path, "NN", [1, 3])
        assert self.rows(tmp_path)[0]["rate_bpm"] == ""

    def test_without_events_there_is_the_heading(self, tmp_path: Path) -> None:
        written(tmp_path, "NN")
        assert (tmp_path / "events.csv").read_text().split() == [
            "kind,onset_s,offset_s,n_beats,rate_bpm,rhythm"
        ]


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
            "artefact_samples": [],
            "p_wave_samples": [],
        }


class TestNotes:
    NOTE = "lead V5 is left out: it has no physical range <b>"

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        beats = beats_of("NNNNNNNNNNNN", 0.8)
        recording = replace(recording_for(beats, 6000), notes=(self.NOTE, "2 records are missing"))
        report.write_outputs(tmp_path, analysis_of(recording, beats), provenance_of())
        return tmp_path

    def test_what_the_reader_left_out_is_in_the_summary(self, folder: Path) -> None:
        row = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["row"]
        assert row["notes"] == f"{self.NOTE}; 2 records are missing"

    def test_what_the_reader_left_out_is_on_the_page_and_escaped(self, folder: Path) -> None:
        page = (folder / "report.html").read_text(encoding="utf-8")
        assert "Lead V5 is left out: it has no physical range &lt;b&gt;." in page
        assert "2 records are missing." in page


class TestHours:
    @staticmethod
    def hours(n_hours: float) -> list[tuple[object, object, object]]:
        beats = beats_of("N" * 20 + "V" + "N" * 20, [3500] + [10] * 40)
        recording = recording_for(beats, round(n_hours * 3600 * FS))
        parts = periods.by_period(recording_stats(analysis_of(recording, beats)), periods.HOUR_S)
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
        parts = periods.by_period(
            recording_stats(analysis_of(recording_for(beats, 1000), beats)), periods.HOUR_S
        )
        assert [(part["start_s"], part["stop_s"]) for part in parts] == [(0.0, 10.0)]

    def test_fibrillation_counts_in_each_hour_by_the_part_that_lies_there(self) -> None:
        # From 3540 s to 3690 s: a minute of the first hour, a minute and a half of the second.
        beats = beats_of("N" * 199, 36)
        analysis = analysis_of(recording_for(beats, 7200 * 100), beats)
        analysis = replace(analysis, events=(Event("af", 3540.0, 3690.0, 200, 80.0),))
        burden = [part["af_burden_pct"] for part in periods.by_period(recording_stats(analysis), 3600.0)]
        assert burden == [round(100 * 60 / 3600, 2), round(100 * 90 / 3600, 2)]

    def test_unreadable_time_is_taken_off_the_hour_it_lies_in(self) -> None:
        beats = beats_of("NN")
        recording = recording_for(beats, 7200 * 100)
        around_the_hour = np.array([[3590 * 100, 3620 * 100]])
        parts = periods.by_period(
            recording_stats(analysis_of(recording, beats, unreadable=around_the_hour)), periods.HOUR_S
        )
        assert [part["analysable_s"] for part in parts] == [3590.0, 3580.0]


class TestWhyNotAnalysable:
    @pytest.mark.parametrize(
        ("signal", "why"),
        [
            (np.empty((0, 1)), "the recording is empty"),
            (np.full((6000, 2), np.nan), "every sample is missing"),
            (np.full((6000, 2), 0.3), "the signal is flat"),
            (np.sin(np.arange(200))[:, None], "2.0 s is too short"),
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
    analysis = analysis_of(recording, beats)
    row = report.write_outputs(tmp_path, analysis, provenance_of())
    # Both SVEB lie in atrial fibrillation, where no beat is premature.
    assert (row["n_beats"], row["n_veb"], row["n_sveb"]) == (2980, 444, 0)
    assert (row["n_couplets"], row["n_vt_runs"], row["longest_vt_beats"]) == (64, 21, 9)
    # In fibrillation, a beat becomes N if the classifier has no probability for it but that of S.
    in_af = np.zeros(n, dtype=bool)
    for episode in analysis.events_of("af"):
        in_af[beats.between(episode.onset_s, episode.offset_s)] = True
    final = np.where(in_af & (label == "S"), "N", label)
    assert (in_af & (label == "S")).sum() == 2
    written_beats = [(time, symbol) for time, symbol, _, _ in marks(tmp_path) if symbol in "NSVFQ"]
    assert written_beats == list(zip(sample.tolist(), final.tolist(), strict=True))
    # The page has every second of half an hour; test_report_page limits the size for longer recordings.
    assert (tmp_path / "report.html").stat().st_size < 1_000_000
