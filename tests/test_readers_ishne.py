"""ISHNE Holter recordings and their annotations, written by hand after Badilini 1998."""

import struct
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from ectopy import readers
from ectopy.ecg import UnreadableError
from ectopy.readers.ishne import read_annotations
from tests.format_files import counts, ishne, ishne_annotations


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


class TestFacts:
    def test_a_file_says_its_name_rate_leads_length_and_start(self, tmp_path: Path) -> None:
        recording = readers.open_recording(write(tmp_path / "day.ecg", ishne(counts())))
        assert (recording.name, recording.fs) == ("day", 200)
        assert (recording.leads, recording.n_samples) == (("II", "V1"), 1000)
        assert recording.start == datetime(2024, 2, 29, 23, 59, 58)  # noqa: DTZ001

    def test_a_file_is_known_by_content_whatever_its_name(self, tmp_path: Path) -> None:
        assert readers.is_recording(write(tmp_path / "0001.bin", ishne(counts())))
        assert not readers.is_recording(write(tmp_path / "notes.ecg", b"Dear reader"))

    def test_facts_come_without_the_signal_being_read(self, tmp_path: Path) -> None:
        path = write(tmp_path / "long.ecg", ishne(counts(), n_said=14 * 86_400 * 200))
        with path.open("rb+") as file:
            file.truncate(522 + 14 * 86_400 * 200 * 4)  # sparse
        recording = readers.open_recording(path)
        assert recording.duration_s == 14 * 86_400
        assert recording.read(241_000_000, 241_001_000).shape == (1000, 2)

    @pytest.mark.parametrize("codes", [(5, 6), (2, 3), (17, 19)])
    def test_leads_have_the_names_of_the_table(self, tmp_path: Path, codes: tuple[int, ...]) -> None:
        names = {5: "I", 6: "II", 2: "X", 3: "Y", 17: "ES", 19: "AI"}
        path = write(tmp_path / "a.ecg", ishne(counts(), codes=codes))
        assert readers.open_recording(path).leads == tuple(names[code] for code in codes)

    @pytest.mark.parametrize("codes", [(0, 1), (-9, 99)])
    def test_leads_without_a_name_are_counted(self, tmp_path: Path, codes: tuple[int, ...]) -> None:
        path = write(tmp_path / "a.ecg", ishne(counts(), codes=codes))
        assert readers.open_recording(path).leads == ("lead 1", "lead 2")

    def test_a_date_that_cannot_be_is_no_start(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.ecg", ishne(counts(), day=(-9, -9, -9)))
        assert readers.open_recording(path).start is None

    @pytest.mark.parametrize("n_said", [1000, 2000, 0, -9])
    def test_a_length_may_be_of_one_lead_of_all_or_unknown(self, tmp_path: Path, n_said: int) -> None:
        path = write(tmp_path / "a.ecg", ishne(counts(), n_said=n_said))
        assert readers.open_recording(path).n_samples == 1000


class TestSamples:
    def test_samples_are_the_numbers_stored_by_the_resolution(self, tmp_path: Path) -> None:
        recording = readers.open_recording(write(tmp_path / "a.ecg", ishne(counts(), nanovolts=2500)))
        signal = recording.read(0, 1000)
        assert signal.dtype == np.float32
        np.testing.assert_allclose(signal, counts() * 2.5e-3, rtol=1e-6)

    def test_samples_begin_after_the_variable_part(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.ecg", ishne(counts(), variable=b"a recorder's own words, 31 bytes"))
        np.testing.assert_allclose(readers.open_recording(path).read(0, 1000), counts() * 5e-3, rtol=1e-6)

    def test_the_lowest_number_is_missing(self, tmp_path: Path) -> None:
        stored = counts()
        stored[100, 1] = -(2**15)
        signal = readers.open_recording(write(tmp_path / "a.ecg", ishne(stored))).read(0, 1000)
        assert np.argwhere(np.isnan(signal)).tolist() == [[100, 1]]

    def test_blocks_of_any_size_give_the_samples_of_the_whole(self, tmp_path: Path) -> None:
        recording = readers.open_recording(write(tmp_path / "a.ecg", ishne(counts())))
        for size in (1, 7, 333):
            blocks = [recording.read(at, min(at + size, 1000)) for at in range(0, 1000, size)]
            np.testing.assert_array_equal(np.concatenate(blocks), recording.read(0, 1000))


class TestWhatIsNoRecording:
    @pytest.mark.parametrize("kept", [1999, 1500, 1200])
    def test_a_file_that_is_cut_off_is_not_taken_for_one_that_counts_all_leads_together(
        self, tmp_path: Path, kept: int
    ) -> None:
        # 2000 samples of two leads at 200 Hz: half of them would fit, with a second or more to spare.
        path = write(tmp_path / "a.ecg", ishne(counts(2000)[:kept], n_said=2000))
        recording = readers.open_recording(path)
        assert recording.n_samples == kept
        assert recording.incomplete
        assert recording.notes == (
            f"the header states 2000 samples of each lead, the file has {kept}, which are read",
        )

    def refuse(self, path: Path, match: str) -> None:
        with pytest.raises(UnreadableError, match=match) as caught:
            readers.open_recording(path)
        assert str(path) in str(caught.value)

    def test_a_file_that_is_cut(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.ecg", ishne(counts())[: 522 + 600])
        self.refuse(path, "states 1000 samples of 2 leads, but the file has 150. Copy")

    def test_a_header_that_is_cut(self, tmp_path: Path) -> None:
        self.refuse(
            write(tmp_path / "a.ecg", ishne(counts())[:500]),
            r"does not start with a complete ISHNE1\.0 header\. Check",
        )

    @pytest.mark.parametrize(
        ("at", "value", "match"),
        [
            (156, 0, "states 0 leads, outside 1 to 12. Export"),
            (156, 13, "states 13 leads, outside 1 to 12. Export"),
            (272, 0, "the sampling rate is 0 Hz, outside 50 to 50000 Hz"),
            (272, -200, "the sampling rate is -200 Hz, outside 50 to 50000 Hz"),
            (22, 100, "should start at byte 100, but the file has 4522 bytes. Copy"),
            (22, 32000, "should start at byte 32000, but the file has 4522 bytes"),
        ],
    )
    def test_a_header_that_cannot_be_true(self, tmp_path: Path, at: int, value: int, match: str) -> None:
        content = bytearray(ishne(counts()))
        struct.pack_into("<h", content, at, value)
        self.refuse(write(tmp_path / "a.ecg", bytes(content)), match)

    def test_a_patient_is_never_named(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableError) as caught:
            readers.open_recording(write(tmp_path / "a.ecg", ishne(counts())[:600]))
        assert "Jane" not in str(caught.value)


class TestAnnotations:
    def test_marks_lie_so_many_samples_after_one_another(self, tmp_path: Path) -> None:
        marks = [("N", 100), ("V", 150), ("X", 50), ("S", 200), ("!", 10)]
        found = read_annotations(write(tmp_path / "a.ann", ishne_annotations(marks, first=1000)))
        assert found.sample.tolist() == [1100, 1250, 1300, 1500, 1510]
        assert found.symbol.tolist() == [
            "N",
            "V",
            "|",
            "S",
            "~",
        ]  # MIT's signs of an artefact, and of a pause

    def test_they_are_no_recording(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.ann", ishne_annotations([("N", 100)]))
        assert not readers.is_recording(path)
        with pytest.raises(UnreadableError, match="Unsupported file format"):
            readers.open_recording(path)

    def test_a_recording_is_no_annotations(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableError, match=r"does not start with a complete ANN  1\.0 header\. Check"):
            read_annotations(write(tmp_path / "a.ecg", ishne(counts())))

    def test_nothing_after_the_header_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableError, match=r"no annotations after the header \(0 bytes\)\. Copy"):
            read_annotations(write(tmp_path / "a.ann", ishne_annotations([])[:-4]))
