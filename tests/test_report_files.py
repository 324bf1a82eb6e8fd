"""Test the annotation file of a recording, as LightWAVE, WAVE and other programs of WFDB read it."""

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wfdb
from pyarrow import parquet

from ectopy.ecg import Analysis, Beats, Event, Mark, Recording
from ectopy.report import data_files
from ectopy.rhythm.heart_rate import rr_intervals_s
from ectopy.rhythm.kinds import KINDS
from ectopy.rhythm.named_intervals import RHYTHM_NAMES
from tests.handmade import FS, NOTHING_UNREADABLE, beats_of

# Symbols that WFDB's annot.h defines: other programs show and count these.
KNOWN_TO_WFDB = set("NLRaVFJASEjQe~+snoB\"=?!\x00xpt@*D`'^|ru[]rf()T")
# Rhythm strings of the MIT-BIH Arrhythmia Database's directory.
MIT_RHYTHMS = {
    "(AB", "(AFIB", "(AFL", "(B", "(BII", "(IVR", "(N", "(NOD",
    "(P", "(PREX", "(SBR", "(SVTA", "(T", "(VFL", "(VT",
    "(ASYS", "(NOISE",
}  # fmt: skip


def analysis_of(
    beats: Beats, *, events: tuple[Event, ...] = (), unreadable: object = NOTHING_UNREADABLE
) -> Analysis:
    intervals = np.asarray(unreadable, dtype=np.int64)
    n_samples = int(max(beats.sample.max(initial=0), intervals.max(initial=0))) + 1
    recording = Recording(
        "r", beats.fs, ("II",), n_samples, lambda start, stop: np.zeros((stop - start, 1), np.float32)
    )
    low_quality = np.zeros(len(beats), dtype=bool)
    return Analysis(recording, (0,), beats, rr_intervals_s(beats, intervals), low_quality, events, intervals)


def beats_at(samples: list[int], letters: str, fs: float = FS) -> Beats:
    n = len(samples)
    label = np.array(list(letters), dtype="U1")
    return Beats(np.array(samples, np.int64), label, np.zeros((n, 4), np.float32), np.ones(n, bool), fs)


def read_back(folder: Path, analysis: Analysis, not_analysable: str = "") -> wfdb.Annotation:
    data_files.write_annotation_file(folder / "r", analysis, not_analysable)
    return wfdb.rdann(str(folder / "r"), "ectopy")


def marks_in(path: Path) -> list[tuple[int, int]]:
    """(time, code) of each mark by the definition of the MIT format, apart from wfdb's own reading."""
    words = list(struct.unpack(f"<{path.stat().st_size // 2}H", path.read_bytes()))
    time, marks = 0, []
    while words and (word := words.pop(0)):
        code, value = word >> 10, word & 1023
        if code == 59:  # SKIP: a signed 32-bit interval, its high half first
            time += struct.unpack("<i", struct.pack("<HH", words[1], words[0]))[0]
            del words[:2]
        elif code == 63:  # AUX: so many bytes of text, padded to an even number
            del words[: (value + 1) // 2]
        elif code < 50:
            time += value
            marks.append((time, code))
    return marks


class TestReadBack:
    analysis = analysis_of(
        beats_of("NSVFQ" + "V" * 6 + "NN", [0.8] * 5 + [0.5] * 8),
        events=(Event("vt", 4.5, 7.0, 6, 120.0),),
        unreadable=[[1000, 2000], [2500, 4000]],
    )

    def test_every_beat_comes_back_at_its_sample_with_its_letter(self, tmp_path: Path) -> None:
        annotation = read_back(tmp_path, self.analysis)
        is_beat = np.isin(annotation.symbol, list("NSVFQ"))
        assert annotation.sample[is_beat].tolist() == self.analysis.beats.sample.tolist()
        assert np.array(annotation.symbol)[is_beat].tolist() == self.analysis.beats.label.tolist()

    def test_rhythms_come_back_as_strings_of_mit(self, tmp_path: Path) -> None:
        annotation = read_back(tmp_path, self.analysis)
        notes = [
            note for note, symbol in zip(annotation.aux_note, annotation.symbol, strict=True) if symbol == "+"
        ]
        assert notes == ["(N", "(VT", "(N", "(NOISE", "(N", "(NOISE"]
        assert {note for note in annotation.aux_note if note} <= MIT_RHYTHMS

    def test_noise_marks_come_back_in_pairs_with_their_subtypes(self, tmp_path: Path) -> None:
        annotation = read_back(tmp_path, self.analysis)
        noise = np.array(annotation.symbol) == "~"
        assert annotation.sample[noise].tolist() == [1000, 2000, 2500, 4000]
        assert annotation.subtype[noise].tolist() == [-1, 0, -1, 0]
        assert set(annotation.subtype[~noise].tolist()) == {0}

    def test_no_symbol_is_unknown_to_wfdb(self, tmp_path: Path) -> None:
        assert set(read_back(tmp_path, self.analysis).symbol) <= KNOWN_TO_WFDB

    def test_no_two_marks_have_one_time_which_wfdb_allows_on_different_leads_alone(
        self, tmp_path: Path
    ) -> None:
        samples = read_back(tmp_path, self.analysis).sample.tolist()
        assert len(set(samples)) == len(samples)

    def test_marks_at_the_time_of_a_beat_follow_it_one_by_one(self) -> None:
        analysis = analysis_of(beats_of("NNN"))
        marks = tuple(map(Mark, (0.8, 0.8, 0.8, 0.81)))
        marked = replace(analysis, recording=replace(analysis.recording, marks=marks))
        annotations = data_files.annotations_of(marked)
        noted = np.array(annotations.aux) == "patient mark"
        assert annotations.sample[noted].tolist() == [81, 82, 83, 84]

    @pytest.mark.parametrize("beats_at_once", [1, 2, 5, 12, 13])
    def test_parts_are_those_of_the_whole_in_order(self, beats_at_once: int) -> None:
        marks = tuple(map(Mark, (0.0, 0.8, 0.8, 4.0, 4.0, 9.0)))
        marked = replace(self.analysis, recording=replace(self.analysis.recording, marks=marks))
        whole = data_files.annotations_of(marked)
        parts = list(data_files.annotation_parts(marked, beats_at_once=beats_at_once))
        assert len(parts) == -(-13 // beats_at_once)
        for name in ("sample", "symbol", "subtype", "aux"):
            assert [value for part in parts for value in getattr(part, name)] == list(getattr(whole, name))
        assert len(whole) == 13 + 6 + 4 + 6  # beats, changes of rhythm, edges of noise and marks
        assert all(np.isin(part.symbol, list("NSVFQ")).sum() <= beats_at_once for part in parts)

    def test_every_rhythm_of_an_event_is_one_of_mit(self) -> None:
        assert {rhythm.mit for rhythm in RHYTHM_NAMES.values()} <= MIT_RHYTHMS
        assert {kind.rhythm for kind in KINDS.values()} - {""} <= set(RHYTHM_NAMES)

    def test_why_there_is_no_beat_comes_back_as_a_note(self, tmp_path: Path) -> None:
        annotation = read_back(tmp_path, analysis_of(beats_at([], "")), not_analysable="the signal is flat")
        assert (annotation.symbol, annotation.aux_note) == (['"'], ["not analysable: the signal is flat"])

    def test_by_the_definition_of_the_format_it_says_the_same_as_by_wfdb(self, tmp_path: Path) -> None:
        annotation = read_back(tmp_path, self.analysis)
        # What stands at time 0 is a note of wfdb's with the sampling rate.
        marks = [mark for mark in marks_in(tmp_path / "r.ectopy") if mark[0]]
        codes = {"N": 1, "V": 5, "F": 6, "S": 9, "Q": 13, "~": 14, "+": 28}
        assert marks == [
            (time, codes[mark])
            for time, mark in zip(annotation.sample.tolist(), annotation.symbol, strict=True)
        ]


class TestLongRecordings:
    @pytest.mark.parametrize("gap", [1023, 1024, 65_535, 65_536, 2**31 - 1, 2**31, 2**31 + 1, 2**32 + 5])
    def test_a_gap_of_any_length_keeps_the_samples(self, tmp_path: Path, gap: int) -> None:
        # 10 bits hold 1023; a SKIP holds 31 bits and its sign; what is longer takes several.
        samples = [100, 100 + gap, 100 + gap + 80]
        annotation = read_back(tmp_path, analysis_of(beats_at(samples, "NVN", 1000.0)))
        assert annotation.sample[np.array(annotation.symbol) != "+"].tolist() == samples
        assert [time for time, code in marks_in(tmp_path / "r.ectopy") if time and code < 28] == samples

    def test_noise_over_days_keeps_its_ends(self, tmp_path: Path) -> None:
        # A fortnight at 2000 Hz: 2,419,200,000 samples, beyond 31 bits.
        end = 14 * 86_400 * 2000
        annotation = read_back(
            tmp_path, analysis_of(beats_at([100], "N", 2000.0), unreadable=[[500, end - 500], [end - 9, end]])
        )
        noise = np.array(annotation.symbol) == "~"
        assert annotation.sample[noise].tolist() == [500, end - 500, end - 9, end]

    def test_a_rhythm_far_out_stands_a_sample_before_its_beat(self, tmp_path: Path) -> None:
        first = 2**31 + 1000
        beats = beats_at([100, first, first + 50, first + 100, first + 200], "NVVVN", 1000.0)
        run = Event("vt", first / 1000, (first + 100) / 1000, 3, 120.0)
        annotation = read_back(tmp_path, analysis_of(beats, events=(run,)))
        changes = np.array(annotation.symbol) == "+"
        assert annotation.sample[changes].tolist() == [99, first - 1, first + 199]
        assert [note for note in annotation.aux_note if note] == ["(N", "(VT", "(N"]


class TestTableOfBeats:
    def analysis(self, n: int) -> Analysis:
        rng = np.random.default_rng(n)
        label, probability = rng.choice(list("NSVFQ"), n), rng.random((n, 4), dtype=np.float32)
        sample = np.cumsum(rng.integers(50, 300, n), dtype=np.int64)
        return analysis_of(Beats(sample, label, probability, rng.random(n) < 0.5, FS))

    @pytest.mark.parametrize("n", [0, 1, 23, 24, 25, 100])
    def test_row_groups_hold_the_rows_in_order(
        self, n: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        analysis = self.analysis(n)
        data_files.write_beats(tmp_path / "whole.parquet", analysis)
        monkeypatch.setattr(data_files, "LONGEST_GROUP", 24)
        monkeypatch.setattr(data_files, "ROWS_IN_GROUP", 10)
        data_files.write_beats(tmp_path / "parts.parquet", analysis)
        whole, parts = (parquet.ParquetFile(tmp_path / f"{name}.parquet") for name in ("whole", "parts"))
        assert parts.read().equals(whole.read(), check_metadata=True)
        assert whole.num_row_groups == 1
        assert (
            [parts.metadata.row_group(at).num_rows for at in range(parts.num_row_groups)]
            == [min(10, n - first) for first in range(0, n, 10)]
            if n > 24
            else [n]
        )

    def test_columns_are_those_of_the_analysis(self, tmp_path: Path) -> None:
        analysis = self.analysis(50)
        data_files.write_beats(tmp_path / "beats.parquet", analysis)
        table = parquet.read_table(tmp_path / "beats.parquet").to_pydict()
        assert table["sample"] == analysis.beats.sample.tolist()
        assert table["label"] == analysis.beats.label.tolist()
        assert table["rr_s"] == [None, *analysis.rr_s[1:].tolist()]
        assert table["p_v"] == analysis.beats.probability[:, 2].tolist()
        assert table["confident"] == analysis.beats.confident.tolist()
