"""SCP-ECG, put together by hand after EN 1064: plain, in differences, coded, with reference beats."""

import struct
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ectopy import readers
from ectopy.ecg import Recording, UnreadableError
from ectopy.readers.scp.huffman import DEFAULT_TABLE
from tests.format_files import (
    counts,
    differences,
    huffman,
    plain,
    scp,
    scp_about,
    scp_file,
    scp_leads,
    scp_section,
    scp_signals,
)

BEAT = (np.hanning(40) * 200).astype(np.int64)  # a reference beat, its fiducial at sample 20 of 40
FIDUCIAL = 20


def write(folder: Path, content: bytes) -> Path:
    path = folder / "a.scp"
    path.write_bytes(content)
    return path


def whole(recording: Recording) -> NDArray[np.float32]:
    return recording.read(0, recording.n_samples)


def beats_section(complexes: list[tuple[int, ...]], *, length_ms: int = 160) -> bytes:
    """Section 4: type, start, fiducial and end of each subtraction, then where all samples were kept."""
    section = struct.pack("<HHH", length_ms, FIDUCIAL, len(complexes))
    section += b"".join(struct.pack("<HIII", *each[:4]) for each in complexes)
    return section + b"".join(struct.pack("<II", *each[4:]) for each in complexes)


class TestFacts:
    def test_a_file_says_its_name_rate_leads_length_and_start(self, tmp_path: Path) -> None:
        recording = readers.open_recording(write(tmp_path, scp(counts(), ids=(2, 62))))
        assert recording.name == "a"
        assert (recording.fs, recording.leads, recording.n_samples) == (250, ("II", "aVR"), 1000)
        assert recording.start == datetime(2024, 2, 29, 23, 59, 58)  # noqa: DTZ001

    def test_a_file_is_known_by_content_whatever_its_name(self, tmp_path: Path) -> None:
        path = write(tmp_path, scp(counts())).rename(tmp_path / "0001.bin")
        assert readers.is_recording(path)
        assert readers.open_recording(path).n_samples == 1000

    def test_a_file_without_a_date_has_no_start(self, tmp_path: Path) -> None:
        sections = {3: scp_leads([(1, 1000)], (1,)), 6: scp_signals([plain(counts()[:, 0])])}
        assert readers.open_recording(write(tmp_path, scp_file(sections))).start is None

    def test_leads_the_table_does_not_know_are_counted(self, tmp_path: Path) -> None:
        path = write(tmp_path, scp(counts(), ids=(0, 255)))
        assert readers.open_recording(path).leads == ("lead 1", "lead 2")

    def test_leads_recorded_one_after_the_other_keep_their_time(self, tmp_path: Path) -> None:
        stored = counts(500)
        sections = {
            3: scp_leads([(101, 600), (351, 850)], (1, 2)),
            6: scp_signals([plain(stored[:, 0]), plain(stored[:, 1])]),
        }
        signal = whole(readers.open_recording(write(tmp_path, scp_file(sections))))
        assert signal.shape == (750, 2)
        np.testing.assert_allclose(signal[:500, 0], stored[:, 0] * 5e-3, rtol=1e-6)
        np.testing.assert_allclose(signal[250:, 1], stored[:, 1] * 5e-3, rtol=1e-6)
        assert np.isnan(signal[500:, 0]).all()
        assert np.isnan(signal[:250, 1]).all()


class TestSamples:
    @pytest.mark.parametrize("coded", [False, True])
    @pytest.mark.parametrize("order", [0, 1, 2])
    def test_differences_and_codes_are_undone(self, tmp_path: Path, order: int, *, coded: bool) -> None:
        recording = readers.open_recording(write(tmp_path, scp(counts(), order=order, coded=coded)))
        np.testing.assert_allclose(whole(recording), counts() * 5e-3, rtol=1e-6)

    def test_a_block_equals_the_whole(self, tmp_path: Path) -> None:
        recording = readers.open_recording(write(tmp_path, scp(counts(), order=2, coded=True)))
        np.testing.assert_array_equal(recording.read(333, 777), whole(recording)[333:777])

    def test_the_scale_is_in_nanovolts_and_the_interval_in_microseconds(self, tmp_path: Path) -> None:
        recording = readers.open_recording(write(tmp_path, scp(counts(), nanovolts=1250, interval_us=1000)))
        assert recording.fs == 1000
        np.testing.assert_allclose(whole(recording), counts() * 1.25e-3, rtol=1e-6)

    def test_a_lead_longer_than_its_length_field_can_say_ends_there(self, tmp_path: Path) -> None:
        # 16 bits: 65,534 bytes or 32,767 samples, whatever section 3 says.
        stored = counts(32_767, 1)
        sections = {3: scp_leads([(1, 37_855)], (1,)), 6: scp_signals([plain(stored[:, 0])])}
        assert readers.open_recording(write(tmp_path, scp_file(sections))).n_samples == 32_767

    def test_tables_of_its_own_are_used(self, tmp_path: Path) -> None:
        # Table 1: 0 -> 5, 10 -> table 2, 11 -> 4 bits as they are. Table 2: 0 -> -7, 1 -> table 1.
        codes = [
            [(1, 1, 1, 5, 0), (2, 2, 0, 2, 0b01), (2, 6, 1, 0, 0b11)],
            [(1, 1, 1, -7, 0), (1, 1, 0, 1, 1)],
        ]
        tables = struct.pack("<H", 2) + b"".join(
            struct.pack("<H", len(table)) + b"".join(struct.pack("<BBBhI", *code) for code in table)
            for table in codes
        )
        bits = "0" + "10" + "0" + "0" + "1" + "11" + "1001" + "0" + "000"  # 5 | -7 -7 | -7 (1001) 5
        lead = int(bits, 2).to_bytes(2, "big")
        sections = {2: tables, 3: scp_leads([(1, 5)], (1,)), 6: scp_signals([lead])}
        signal = whole(readers.open_recording(write(tmp_path, scp_file(sections))))
        np.testing.assert_allclose(signal[:, 0], np.array([5, -7, -7, -7, 5]) * 5e-3, rtol=1e-6)

    def test_the_default_table_is_that_of_the_standard(self) -> None:
        # EN 1064, C.3.7.4 has 19 codes of 1, 3, 3, 4, 4 ... 10, 10 and twice 10 bits of prefix.
        lengths = sorted(len(prefix) for prefix in DEFAULT_TABLE)
        assert lengths == [1, *(n for n in range(3, 10) for _ in range(2)), 10, 10, 10, 10]


class TestReferenceBeats:
    def subtracted(self, stored: NDArray[np.int64], fiducials: list[int]) -> NDArray[np.int64]:
        rest = stored.copy()
        for at in fiducials:
            rest[at - FIDUCIAL : at - FIDUCIAL + len(BEAT)] -= BEAT
        return rest

    def sections(
        self, rest: NDArray[np.int64], complexes: list[tuple[int, ...]], **more: int
    ) -> dict[int, bytes]:
        return {
            1: scp_about(),
            2: struct.pack("<H", 19999),
            3: scp_leads([(1, 1000)], (2,), flags=1),
            4: beats_section(complexes),
            5: scp_signals([huffman(differences(BEAT, 2))], differences=2),
            6: scp_signals([huffman(differences(rest, 2))], differences=2, **more),
        }

    def test_they_are_added_where_they_were_subtracted(self, tmp_path: Path) -> None:
        stored = counts(1000, 1)[:, 0]
        rest = self.subtracted(stored, [100, 400, 800])
        # Samples count from 1, and so does the fiducial of the beat.
        complexes = [(0, at - 19, at, at + 20, at - 19, at + 20) for at in (100, 400, 800)]
        signal = whole(readers.open_recording(write(tmp_path, scp_file(self.sections(rest, complexes)))))
        np.testing.assert_allclose(signal[:, 0], stored * 5e-3, rtol=1e-5)

    def test_a_complex_of_another_type_kept_its_own(self, tmp_path: Path) -> None:
        stored = counts(1000, 1)[:, 0]
        complexes = [(0, 81, 100, 120, 81, 120), (1, 381, 400, 420, 381, 420)]
        path = write(tmp_path, scp_file(self.sections(self.subtracted(stored, [100]), complexes)))
        np.testing.assert_allclose(whole(readers.open_recording(path))[:, 0], stored * 5e-3, rtol=1e-5)

    def test_a_beat_at_the_edge_is_cut_there(self, tmp_path: Path) -> None:
        stored = counts(1000, 1)[:, 0]
        rest = stored.copy()
        rest[:30] -= BEAT[10:]
        path = write(tmp_path, scp_file(self.sections(rest, [(0, 1, 10, 30, 1, 30)])))
        np.testing.assert_allclose(whole(readers.open_recording(path))[:, 0], stored * 5e-3, rtol=1e-5)

    @pytest.mark.parametrize("interval_us", [4000, 16_000])
    def test_what_was_thinned_out_comes_back_as_lines(self, tmp_path: Path, interval_us: int) -> None:
        # A straight line survives means of four; in the QRS complex (samples 81 to 120) all were kept.
        line = np.arange(1000) * 4
        whole_beat = line.copy()
        whole_beat[80:120] += np.random.default_rng(5).integers(-50, 50, 40)
        means = whole_beat.reshape(-1, 4).mean(axis=1).astype(np.int64)
        rest = np.concatenate((means[:20], self.subtracted(whole_beat, [100])[80:120], means[30:]))
        sections = self.sections(rest, [(0, 81, 100, 120, 81, 120)], bimodal=1, interval_us=interval_us)
        recording = readers.open_recording(write(tmp_path, scp_file(sections)))
        assert (recording.fs, recording.n_samples) == (250, 1000)
        signal = whole(recording)[:, 0] / 5e-3
        np.testing.assert_allclose(signal[80:120], whole_beat[80:120], atol=1e-3)
        # Half a group at the ends of a thinned-out stretch is held: 6 a unit; and the mean is cut to a whole number.
        assert np.abs(signal - whole_beat).max() <= 8

    def test_a_beat_that_was_thinned_out_otherwise_is_refused(self, tmp_path: Path) -> None:
        sections = self.sections(counts(1000, 1)[:, 0], [(0, 81, 100, 120, 81, 120)], interval_us=2000)
        with pytest.raises(
            UnreadableError, match=r"a sample every 2000 us, but the reference beat every 4000 us\. Export"
        ):
            readers.open_recording(write(tmp_path, scp_file(sections)))

    @pytest.mark.parametrize("missing", [4, 5])
    def test_without_their_sections_they_cannot_be_added(self, tmp_path: Path, missing: int) -> None:
        sections = self.sections(counts(1000, 1)[:, 0], [(0, 81, 100, 120, 81, 120)])
        del sections[missing]
        with pytest.raises(
            UnreadableError,
            match=r"the QRS complexes or the reference beat are missing \(sections 4 and 5\)\. Export",
        ):
            readers.open_recording(write(tmp_path, scp_file(sections)))


class TestWhatIsNoRecording:
    def refuse(self, path: Path, match: str) -> None:
        with pytest.raises(UnreadableError, match=match) as caught:
            readers.open_recording(path)
        assert str(path) in str(caught.value)
        assert "Doe" not in str(caught.value)

    def sections(self, **changed: bytes) -> dict[int, bytes]:
        made = {
            "s1": scp_about(),
            "s3": scp_leads([(1, 1000)], (1,)),
            "s6": scp_signals([plain(counts()[:, 0])]),
        }
        return {int(name[1:]): data for name, data in (made | changed).items() if data}

    def test_a_file_that_is_cut(self, tmp_path: Path) -> None:
        content = scp(counts())
        self.refuse(
            write(tmp_path, content[:200]),  # within section 3
            f"the file has 200 bytes, but its header states {len(content)}. Copy",
        )

    @pytest.mark.parametrize("size", [0, 5, 21])
    def test_a_header_that_is_cut(self, tmp_path: Path, size: int) -> None:
        self.refuse(
            write(tmp_path, scp(counts())[:size]), rf"not an SCP-ECG file \(only {size} bytes\)\. Copy"
        )

    def test_a_bit_that_fell_over(self, tmp_path: Path) -> None:
        content = bytearray(scp(counts()))
        content[-100] ^= 4
        self.refuse(write(tmp_path, bytes(content)), r"section 6 has checksum \d+, but \d+ is stored\. Copy")

    def test_a_program_that_reckons_no_sums_is_believed(self, tmp_path: Path) -> None:
        content, section = scp(counts()), scp_section(6, scp_signals([plain(lead) for lead in counts().T]))
        at = content.index(section)
        path = write(tmp_path, content[:at] + b"\0\0" + content[at + 2 :])
        assert readers.open_recording(path).n_samples == 1000

    @pytest.mark.parametrize("missing", ["s3", "s6"])
    def test_a_file_without_rhythm(self, tmp_path: Path, missing: str) -> None:
        path = write(tmp_path, scp_file(self.sections(**{missing: b""})))
        self.refuse(path, r"no leads or no rhythm data \(sections 3 and 6\)\. Export")

    @pytest.mark.parametrize(
        ("changed", "match"),
        [
            ({"s3": scp_leads([], ())}, "section 3 has no lead with samples. Export"),
            (
                {"s3": scp_leads([(1000, 1)], (1,))},
                "section 3 has no lead with samples. Export",
            ),
            ({"s3": b"\x02\x00"}, "a section of the SCP-ECG file ends too early. Copy"),
            ({"s3": b"\xff\x00"}, "states 255 leads, more than the limit of 64. Export"),
            ({"s6": b"\x01\x02"}, "a section of the SCP-ECG file ends too early. Copy"),
            (
                {"s6": scp_signals([plain(counts()[:, 0])], nanovolts=0)},
                "scale, sampling interval or coding of the samples is invalid. Export",
            ),
            (
                {"s6": scp_signals([plain(counts()[:, 0])], interval_us=0)},
                "scale, sampling interval or coding of the samples is invalid. Export",
            ),
            (
                {"s6": scp_signals([plain(counts()[:, 0])], differences=3)},
                "scale, sampling interval or coding of the samples is invalid. Export",
            ),
            (
                {"s6": scp_signals([plain(counts()[:, 0])], interval_us=50_000)},
                "the sampling rate is 20 Hz, outside 50 to 50000 Hz",
            ),
            (
                {"s6": scp_signals([plain(counts()[:, 0])])[:-1900]},
                "a lead has 50 samples, but section 3 states 1000. Copy",
            ),
            ({"s2": struct.pack("<H", 0)}, "a Huffman table in section 2 has no codes. Export"),
            ({"s2": struct.pack("<HH", 1, 60_000)}, "the Huffman tables in section 2 are damaged. Export"),
            (
                {"s2": struct.pack("<HHBBBhI", 1, 1, 0, 0, 1, 0, 0)},
                "the Huffman tables in section 2 are damaged. Export",
            ),
            (
                {"s2": struct.pack("<HHBBBhI", 1, 1, 1, 200, 1, 0, 0)},
                "the Huffman tables in section 2 are damaged. Export",
            ),
            (
                {"s2": struct.pack("<HHBBBhI", 1, 1, 32, 32, 1, 0, 9)},
                "the samples are not codes of the Huffman tables. Copy",
            ),
            (
                {"s2": struct.pack("<HHBBBhI", 1, 1, 1, 1, 0, 7, 0)},
                "the samples refer to Huffman table 7 of 1. Export",
            ),
        ],
    )
    def test_sections_that_cannot_be_true(
        self, tmp_path: Path, changed: dict[str, bytes], match: str
    ) -> None:
        self.refuse(write(tmp_path, scp_file(self.sections(**changed))), match)

    def test_a_stretch_of_all_samples_that_ends_before_it_begins(self, tmp_path: Path) -> None:
        # Found by fuzzing: it gave back samples, so that more means seemed to be there than were stored.
        signal, beat = scp_signals([bytes(100)], bimodal=1), scp_signals([bytes(160)], differences=0)
        kept = beats_section([(0, 81, 100, 120, 299, 81)])
        sections = {3: scp_leads([(1, 300)], (2,)), 4: kept, 5: beat, 6: signal}
        self.refuse(
            write(tmp_path, scp_file(sections)), "a lead has 50 stored samples, but needs at least 75. Copy"
        )

    def test_a_pointer_beyond_the_end(self, tmp_path: Path) -> None:
        section = scp_section(0, struct.pack("<HII", 6, 100, 10**9), reserved=b"SCPECG")
        content = b"\0\0" + struct.pack("<I", len(section) + 6) + section
        self.refuse(write(tmp_path, content), "section 6 lies outside the 32 bytes of the file. Copy")

    def test_a_pointer_to_another_section(self, tmp_path: Path) -> None:
        content = bytearray(scp(counts()))
        third = 22 + 10 * 3
        content[third : third + 10] = struct.pack("<H", 3) + bytes(content[22 + 60 + 2 : 22 + 70])
        content[6:8] = b"\0\0"  # the sum of the pointers no longer fits
        self.refuse(write(tmp_path, bytes(content)), "section 6 was found in place of section 3. Export")
