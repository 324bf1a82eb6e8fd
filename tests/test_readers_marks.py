"""Marks of patients: annotations of EDF+, diaries in CSV, notes of WFDB; times, limits, errors that help."""

from contextlib import suppress
from datetime import datetime
from pathlib import Path

import edfio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ectopy
from ectopy import readers
from ectopy.annotations import Annotations, write_annotations
from ectopy.ecg import Mark, Recording, UnreadableError
from ectopy.readers.diary import add_diary
from ectopy.readers.marks import MOST_MARKS, add_marks, clean_text
from tests.format_files import counts, edf_in_parts, edf_signal, patch, write_edf
from tests.small import find_recordings, write_record

TEN = datetime(2024, 2, 29, 10)  # noqa: DTZ001 - recorders know no time zone
HOUR_S = 3600.0


def recording_of_hours(n_hours: float, start: datetime | None = TEN) -> Recording:
    def read(start: int, stop: int) -> np.ndarray:
        return np.zeros((stop - start, 1), dtype=np.float32)

    return Recording("r", 100.0, ("II",), round(n_hours * HOUR_S * 100), read, start=start)


def seconds_of(recording: Recording) -> list[float]:
    return [mark.time_s for mark in recording.marks]


def texts_of(recording: Recording) -> list[str]:
    return [mark.text for mark in recording.marks]


class TestMarks:
    def test_they_are_in_order_and_each_counts_once(self) -> None:
        moments = [(9.0, "b"), (3.0, "a"), (9.0, "b"), (9.0, "a")]
        recording = add_marks(recording_of_hours(1), moments, "diary")
        assert recording.marks == (Mark(3.0, "a"), Mark(9.0, "a"), Mark(9.0, "b"))
        assert [mark.text for mark in add_marks(recording, [(1.0, "c")], "diary").marks] == [
            "c",
            "a",
            "a",
            "b",
        ]

    def test_those_outside_the_recording_are_left_out_with_a_note(self) -> None:
        recording = add_marks(
            recording_of_hours(1), [(-0.1, ""), (0.0, ""), (3600.0, ""), (3600.1, "")], "diary"
        )
        assert seconds_of(recording) == [0.0, 3600.0]
        assert recording.notes == ("2 marks are left out: not within the recording, by the diary",)

    def test_a_thousand_and_one_are_labels_of_a_program(self) -> None:
        recording = add_marks(recording_of_hours(1), [(1.0 * n, "N") for n in range(MOST_MARKS + 1)], "file")
        assert recording.marks == ()
        assert recording.notes == (
            "the file has more than 1000 marks, too many for those of a patient: none is read",
        )

    def test_a_text_is_one_short_line_that_shows_what_it_holds(self) -> None:
        assert clean_text("  two\nlines\tand \x1b[2J") == r"two lines and \x1b[2J"
        assert clean_text("\N{RIGHT-TO-LEFT OVERRIDE}x") == r"\u202ex"
        assert len(clean_text("y" * 10_000)) == 100
        assert clean_text("y" * 100) == "y" * 100
        assert clean_text("y" * 101) == "y" * 97 + "..."

    def test_neither_a_mark_nor_its_recording_prints_the_text(self) -> None:
        recording = add_marks(recording_of_hours(1), [(1.0, "Jane Doe felt dizzy")], "diary")
        assert "Jane" not in repr(recording) + repr(recording.marks)

    @pytest.mark.parametrize("times_s", [(-1.0,), (3601.0,), (2.0, 1.0), (float("nan"),)])
    def test_a_recording_refuses_marks_that_are_not_within_it_or_out_of_order(
        self, times_s: tuple[float, ...]
    ) -> None:
        with pytest.raises(UnreadableError, match=r"r: a mark is not within .* Give times from 0 to 3600 s"):
            Recording("r", 100.0, ("II",), 360_000, print, marks=tuple(map(Mark, times_s)))


class TestEdf:
    def annotated(
        self, path: Path, *annotations: tuple[float, float | None, str], kind: str = "edf", **more: object
    ) -> Path:
        signal, file = (edfio.EdfSignal, edfio.Edf) if kind == "edf" else (edfio.BdfSignal, edfio.Bdf)
        texts = [edfio.EdfAnnotation(*annotation) for annotation in annotations]
        return write_edf(
            path, [edf_signal(counts()[:, 0], "II", kind=signal)], kind=file, annotations=texts, **more
        )

    @pytest.mark.parametrize("kind", ["edf", "bdf"])
    def test_texts_of_the_annotation_signal_are_marks(self, tmp_path: Path, kind: str) -> None:
        path = self.annotated(
            tmp_path / f"a.{kind}",
            (0.25, None, "button"),
            (2.5, 1.5, "palpitations, \N{LATIN SMALL LETTER U WITH DIAERESIS}bel"),
            kind=kind,
        )
        assert readers.open_recording(path).marks == (
            Mark(0.25, "button"),
            Mark(2.5, "palpitations, \N{LATIN SMALL LETTER U WITH DIAERESIS}bel"),
        )

    def test_several_at_one_time_are_several(self, tmp_path: Path) -> None:
        path = self.annotated(tmp_path / "a.edf", (1.0, None, "button"), (1.0, None, "dizzy"))
        assert readers.open_recording(path).marks == (Mark(1.0, "button"), Mark(1.0, "dizzy"))

    def test_standard_texts_of_programs_are_none(self, tmp_path: Path) -> None:
        path = self.annotated(
            tmp_path / "a.edf",
            (0.0, None, "Recording starts"),
            (1.0, 30.0, "Sleep stage N2"),
            (2.0, None, "x"),
        )
        assert texts_of(readers.open_recording(path)) == ["x"]

    def test_without_annotations_there_are_none(self, tmp_path: Path) -> None:
        assert readers.open_recording(self.annotated(tmp_path / "a.edf")).marks == ()

    def test_times_count_from_the_first_sample_not_from_the_second_before_it(self, tmp_path: Path) -> None:
        path = self.annotated(
            tmp_path / "a.edf",
            (1.0, None, "x"),
            starttime=datetime(2024, 1, 1, 23, 59, 58, 500_000).time(),  # noqa: DTZ001
        )
        recording = readers.open_recording(path)
        assert recording.start == datetime(2024, 2, 29, 23, 59, 58, 500_000)  # noqa: DTZ001
        assert seconds_of(recording) == [1.0]

    def test_a_mark_after_a_gap_keeps_its_time(self, tmp_path: Path) -> None:
        path = edf_in_parts(tmp_path / "a.edf", counts(500, 1)[:, 0], [60, 100])
        content = path.read_bytes().replace(
            b"+100\x14\x14\x00" + bytes(15), b"+100\x14\x14\x00+100.5\x14hm\x14\x00\x00\x00\x00\x00"
        )
        path.write_bytes(content)
        recording = readers.open_recording(path)
        assert recording.marks == (Mark(40.5, "hm"),)

    def test_a_list_may_have_the_time_of_its_record_and_a_text(self, tmp_path: Path) -> None:
        path = edf_in_parts(tmp_path / "a.edf", counts(500, 1)[:, 0], [0, 1])
        path.write_bytes(path.read_bytes().replace(b"+1\x14\x14\x00\x00", b"+1\x14\x14a\x14"))
        assert readers.open_recording(path).marks == (Mark(1.0, "a"),)

    @pytest.mark.parametrize(
        "damage", [b"+1\x14" * 4, b"\x14\x14\x15\x14", b"+1e9\x14x\x14\x00", b"\xff" * 12]
    )
    def test_a_damaged_list_is_no_mark_and_no_error(self, tmp_path: Path, damage: bytes) -> None:
        path = edf_in_parts(tmp_path / "a.edf", counts(500, 1)[:, 0], [0, 1])
        room = b"+1\x14\x14\x00" + bytes(len(damage))
        content = path.read_bytes()
        assert room in content
        path.write_bytes(content.replace(room, b"+1\x14\x14\x00" + damage))
        assert [
            mark.text for mark in readers.open_recording(path).marks if mark.text not in {"+1", "x"}
        ] == []

    @pytest.mark.parametrize("n_bytes", [600, 1500])  # one data record at a time, and two
    def test_blocks_of_records_read_apart_give_the_same(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_bytes: int
    ) -> None:
        path = self.annotated(tmp_path / "a.edf", *((0.5 + n, None, f"mark {n}") for n in range(4)))
        whole = readers.open_recording(path).marks
        assert len(whole) == 4
        monkeypatch.setattr("ectopy.readers.edf.annotations._READ_BYTES", n_bytes)
        assert readers.open_recording(path).marks == whole

    def test_very_many_are_labels_of_a_program(self, tmp_path: Path) -> None:
        path = self.annotated(tmp_path / "a.edf", *((n / 400, None, "N") for n in range(1200)))
        recording = readers.open_recording(path)
        assert recording.marks == ()
        assert "more than 1000 marks" in recording.notes[-1]


class TestDiary:
    def add(self, folder: Path, text: str | bytes, recording: Recording | None = None) -> Recording:
        diary = folder / "r.diary.csv"
        diary.write_bytes(text.encode() if isinstance(text, str) else text)
        return add_diary(recording or recording_of_hours(10), diary)

    def test_times_are_seconds_times_of_day_or_dates(self, tmp_path: Path) -> None:
        rows = "time,text\n90,dizzy\n10:03,\n10:05:30.5,felt a pause\n2024-02-29T11:00,x\n2024-02-29 12:00:00+01:00,y\n"
        recording = self.add(tmp_path, rows)
        assert seconds_of(recording) == [90.0, 180.0, 330.5, 3600.0, 7200.0]
        assert texts_of(recording) == ["dizzy", "", "felt a pause", "x", "y"]

    def test_a_time_of_day_after_midnight_is_that_of_the_next_day(self, tmp_path: Path) -> None:
        late = recording_of_hours(10, datetime(2024, 2, 29, 22))  # noqa: DTZ001
        recording = self.add(tmp_path, "time\n22:00\n23:59\n00:00\n07:30\n", late)
        assert seconds_of(recording) == [0.0, 7140.0, 7200.0, 9.5 * HOUR_S]

    def test_a_time_before_the_start_is_outside_and_noted(self, tmp_path: Path) -> None:
        recording = self.add(tmp_path, "time,text\n09:59,early\n20:01,late\n12:00,noon\n")
        assert texts_of(recording) == ["noon"]
        assert recording.notes == ("2 marks are left out: not within the recording, by the diary",)

    def test_in_the_hour_that_summer_time_skips_the_clock_of_the_recorder_counts(
        self, tmp_path: Path
    ) -> None:
        night = recording_of_hours(10, datetime(2024, 3, 31, 1, 30))  # noqa: DTZ001
        assert seconds_of(self.add(tmp_path, "time\n02:30\n2024-03-31 04:00\n", night)) == [
            HOUR_S,
            2.5 * HOUR_S,
        ]

    @pytest.mark.parametrize(
        "table",
        [
            "time,text\n1.5,a\n2,b\n",
            "time;text\n1,5;a\n2;b\n",
            "Time\tSymptom\r\n1.5\ta\r\n\r\n2\tb\r\n",
            "\ufefftext,note to self,time\na,,1.5\nb,,2\n",
            'time,text\n"1.5","a"\n2,b,and more\n',
        ],
    )
    def test_offices_write_tables_in_several_ways(self, tmp_path: Path, table: str) -> None:
        assert self.add(tmp_path, table).marks == (Mark(1.5, "a"), Mark(2.0, "b"))

    def test_latin_1_is_read(self, tmp_path: Path) -> None:
        assert texts_of(self.add(tmp_path, b"time,text\n1,\xfcbel\n")) == [
            "\N{LATIN SMALL LETTER U WITH DIAERESIS}bel"
        ]

    def test_the_heading_alone_is_a_diary_without_marks(self, tmp_path: Path) -> None:
        assert self.add(tmp_path, "time,text\n").marks == ()

    @pytest.mark.parametrize(
        ("table", "problem"),
        [
            ("", "the first line of a diary names no column time. Begin it with the line: time,text"),
            ("when,what\n1,a\n", "the first line of a diary names no column time"),
            (
                "time,text\n1,a\nnoon,Jane Doe\n",
                "line 3 has no valid time. Give seconds from the start",
            ),
            ("time,text\n,a\n", "line 2 has no valid time"),
            ("time,text\n25:00,a\n", "line 2 has no valid time"),
            ("time,text\n10:61,a\n", "line 2 has no valid time"),
            ("time,text\nnan,a\n", "line 2 has no valid time"),
            ("time,text\n2024-02-29,a\n", "line 2 has no valid time"),
            ("time,text\n2024-02-30 10:00,a\n", "line 2 has no valid time"),
            ("time\0,text\n", "a diary is a table of text in UTF-8. Save it as CSV"),
            ("time,text\n" + "1,a\n" * 1001, "more than 1000 marks. Keep those of the patient only."),
            (
                "time,text\n1," + "a" * 200_000,
                "the diary is not a table (field larger than field limit (131072))",
            ),
        ],
    )
    def test_a_bad_diary_is_named_with_its_problem_and_not_quoted(
        self, tmp_path: Path, table: str, problem: str
    ) -> None:
        with pytest.raises(UnreadableError) as refused:
            self.add(tmp_path, table)
        assert str(refused.value).startswith(f"{tmp_path / 'r.diary.csv'}: {problem}")
        assert "Jane" not in str(refused.value)

    @settings(max_examples=200, deadline=None)
    @given(content=st.binary(max_size=80) | st.text("0123456789:.-T, ;aZ+\n", max_size=80).map(str.encode))
    def test_whatever_it_holds_it_is_read_or_refused(
        self, tmp_path_factory: pytest.TempPathFactory, content: bytes
    ) -> None:
        with suppress(UnreadableError):
            recording = self.add(tmp_path_factory.getbasetemp(), b"time,text\n" + content)
            assert all(0 <= time_s <= recording.duration_s for time_s in seconds_of(recording))

    def test_without_a_start_only_seconds_can_be_used(self, tmp_path: Path) -> None:
        unknown = recording_of_hours(1, None)
        assert seconds_of(self.add(tmp_path, "time\n5\n", unknown)) == [5.0]
        for time in ("10:05", "2024-02-29 10:05"):
            with pytest.raises(
                UnreadableError, match=r"line 2 has a time of day, but the start .* Give seconds"
            ):
                self.add(tmp_path, f"time\n{time}\n", unknown)

    def test_in_several_days_a_time_of_day_needs_its_date(self, tmp_path: Path) -> None:
        days = recording_of_hours(72)
        assert seconds_of(self.add(tmp_path, "time\n2024-03-02 09:00\n", days)) == [47 * HOUR_S]
        with pytest.raises(
            UnreadableError, match=r"line 2 has a time of day without its date.* Give the date too"
        ):
            self.add(tmp_path, "time\n10:05\n", days)

    def test_one_that_is_missing_or_a_folder_is_named(self, tmp_path: Path) -> None:
        for path in (tmp_path / "none.csv", tmp_path / "none.note", tmp_path):
            with pytest.raises(UnreadableError, match=str(path)):
                add_diary(recording_of_hours(1), path)


class TestNotes:
    def write(self, folder: Path, fs: float = 250.0) -> Path:
        samples, symbols = np.array([100, 500, 750, 1000]), np.array(["N", '"', '"', "+"])
        aux = ("", "palpitations", "", "(AFIB")
        write_annotations(
            folder / "r", "diary", Annotations(samples, symbols, np.zeros(4, dtype=np.int64), aux), fs=fs
        )
        return folder / "r.diary"

    def test_notes_with_a_text_are_marks_and_beats_and_rhythms_are_not(self, tmp_path: Path) -> None:
        header = write_record(tmp_path)
        recording = readers.open_recording(header, diary=self.write(tmp_path))
        assert recording.marks == (Mark(2.0, "palpitations"),)

    def test_annotations_beside_a_record_are_not_read_unless_they_are_named(self, tmp_path: Path) -> None:
        header = write_record(tmp_path)
        self.write(tmp_path).rename(tmp_path / "r.atr")
        assert readers.open_recording(header).marks == ()

    def test_annotations_of_a_record_count_its_frames(self, tmp_path: Path) -> None:
        header = write_record(tmp_path)
        text = header.read_text()
        record, *signals = text.splitlines()
        two = [line.replace(" 16", " 16x2", 1) for line in signals if line.strip()]
        assert two != signals
        header.write_text("\n".join([record.replace(" 250", " 125", 1), *two]) + "\n")
        recording = readers.open_recording(header, diary=self.write(tmp_path))
        assert recording.fs == 250
        assert seconds_of(recording) == [4.0]


class TestBesideTheRecording:
    @pytest.fixture
    def header(self, tmp_path: Path) -> Path:
        header = write_record(tmp_path)
        (tmp_path / f"{header.stem}.diary.csv").write_text("time,text\n5,dizzy\n")
        return header

    def test_its_marks_are_read_in_python_too(self, header: Path) -> None:
        assert ectopy.read(header).marks == (ectopy.Mark(5.0, "dizzy"),)
        assert ectopy.read(header.with_suffix("")).marks == (Mark(5.0, "dizzy"),)

    def test_another_that_is_named_counts_in_its_place(self, header: Path, tmp_path: Path) -> None:
        other = tmp_path / "other.csv"
        other.write_text("time\n7\n")
        assert seconds_of(ectopy.read(header, diary=other)) == [7.0]
        assert seconds_of(ectopy.read(header, diary=str(other))) == [7.0]

    def test_it_is_one_of_the_files_of_the_recording_and_no_other_file(
        self, header: Path, tmp_path: Path
    ) -> None:
        diary = tmp_path / f"{header.stem}.diary.csv"
        assert readers.companion_files(header)[-1] == diary
        found = find_recordings([tmp_path])
        assert (found.recordings, found.n_other) == ((header,), 0)

    def test_nor_is_it_another_file_beside_an_edf(self, tmp_path: Path) -> None:
        path = write_edf(tmp_path / "a.edf", [edf_signal(counts()[:, 0], "II")])
        (tmp_path / "a.diary.csv").write_text("time\n1\n")
        found = find_recordings([tmp_path])
        assert (found.recordings, found.n_other) == ((path,), 0)
        assert seconds_of(readers.open_recording(path)) == [1.0]

    def test_it_is_no_recording_also_if_it_is_named(self, header: Path) -> None:
        diary = header.with_name(f"{header.stem}.diary.csv")
        assert not readers.is_recording(diary, fs=250)
        with pytest.raises(UnreadableError, match=r"a diary, not a recording\. Name the recording beside it"):
            readers.open_recording(diary, fs=250)

    def test_a_link_is_no_diary_unless_the_recording_is_one(self, header: Path, tmp_path: Path) -> None:
        # Whoever may fill a folder must not have other files read.
        diary = tmp_path / f"{header.stem}.diary.csv"
        diary.rename(tmp_path / "elsewhere")
        diary.symlink_to(tmp_path / "elsewhere")
        assert ectopy.read(header).marks == ()
        assert diary not in readers.companion_files(header)
        header.rename(tmp_path / "header")
        header.symlink_to(tmp_path / "header")
        assert seconds_of(ectopy.read(header)) == [5.0]

    def test_a_patient_in_the_header_of_an_annotated_edf_is_never_named(self, tmp_path: Path) -> None:
        path = TestEdf().annotated(tmp_path / "a.edf", (1.0, None, "x"))
        recording = readers.open_recording(patch(path, 8, "Jane Doe"))
        assert texts_of(recording) == ["x"]
        assert "Jane" not in repr(recording) + str(recording.notes)
