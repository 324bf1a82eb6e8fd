"""WFDB recordings as they come, every storage format, every way a header can be wrong; and the search."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import wfdb
from numpy.typing import NDArray

from ectopy import readers
from ectopy.ecg import Recording, UnreadableError
from ectopy.readers import validation
from tests.small import find_recordings

FS = 250
# Formats of fixed width as (bits a sample, how a stored number becomes bytes).
WHOLE_BYTES = {16: "<i2", 32: "<i4", 61: ">i2", 80: "u1", 160: "<u2"}
LOWEST = {16: -(2**15), 24: -(2**23), 32: -(2**31), 61: -(2**15), 80: -128, 160: -(2**15), 212: -2048}


def stored_numbers(n_samples: int = 1000, n_leads: int = 2, *, limit: int = 120) -> NDArray[np.int64]:
    """Numbers that fit every format, no two rows alike, so that a shift by one sample shows."""
    return np.random.default_rng(7).integers(-limit, limit, (n_samples, n_leads))


def encode(stored: NDArray[np.int64], fmt: int) -> bytes:
    """Store numbers as signal(5) describes, written apart from the reader it tests."""
    flat = stored.reshape(-1)
    if fmt in WHOLE_BYTES:
        shift = {80: 128, 160: 32768}.get(fmt, 0)
        return (flat + shift).astype(WHOLE_BYTES[fmt]).tobytes()
    if fmt == 24:
        return b"".join(int(number).to_bytes(3, "little", signed=True) for number in flat)
    pairs = [(int(number) & 0xFFF) for number in [*flat, *[0] * (len(flat) % 2)]]
    packed = b"".join(
        bytes((low & 0xFF, low >> 8 | (high >> 8) << 4, high & 0xFF))
        for low, high in zip(pairs[::2], pairs[1::2], strict=True)
    )
    return packed[: math.ceil(len(flat) * 1.5)]


def write_record(
    folder: Path, header: str, stored: NDArray[np.int64] | None = None, fmt: int = 16, *, name: str = "r"
) -> Path:
    """Write ``name.hea`` as given and ``name.dat`` beside it."""
    path = folder / f"{name}.hea"
    path.write_text(header, encoding="utf-8")
    if stored is not None:
        path.with_suffix(".dat").write_bytes(encode(stored, fmt))
    return path


def two_leads(fmt: int | str = 16, *, n_samples: int = 1000, fs: str = "250") -> str:
    return f"r 2 {fs} {n_samples}\nr.dat {fmt} 100/mV 12 0 0 0 0 I\nr.dat {fmt} 100/mV 12 0 0 0 0 II\n"


def whole(recording: Recording) -> NDArray[np.float32]:
    return recording.read(0, recording.n_samples)


class TestFacts:
    def test_a_record_says_its_name_rate_leads_and_length(self, tmp_path: Path) -> None:
        recording = readers.open_recording(write_record(tmp_path, two_leads(), stored_numbers()))
        assert recording.name == "r"
        assert recording.fs == 250.0
        assert recording.leads == ("I", "II")
        assert recording.n_samples == 1000
        assert recording.start is None

    def test_a_record_opens_by_its_name_without_suffix(self, tmp_path: Path) -> None:
        write_record(tmp_path, two_leads(), stored_numbers())
        assert readers.open_recording(tmp_path / "r").n_samples == 1000
        assert readers.open_recording(str(tmp_path / "r.hea")).n_samples == 1000

    def test_facts_come_without_the_signal_being_read(self, tmp_path: Path) -> None:
        path = write_record(tmp_path, two_leads(n_samples=10**9))
        with path.with_suffix(".dat").open("wb") as file:
            file.truncate(4 * 10**9)  # sparse: as large as promised, and nothing on the disk
        recording = readers.open_recording(path)
        assert recording.duration_s == 4_000_000
        assert recording.read(999_999_000, 10**9).shape == (1000, 2)

    @pytest.mark.parametrize(
        ("line", "start"),
        [
            ("r 2 250 1000 10:30:00 23/03/2014", "2014-03-23T10:30:00"),
            ("r 2 250 1000 10:30:00.5 23/03/2014", "2014-03-23T10:30:00.500000"),
            ("r 2 250 1000 2014-03-23 04:03:20 ", "2014-03-23T04:03:20"),  # CinC 2017, which wfdb refuses
            ("r 2 250 1000 10:30:00", None),  # a time of day alone is no start
            ("r 2 250 1000 99:99:99 99/99/9999", None),
            ("r 2 250 1000 yesterday", None),
        ],
    )
    def test_a_start_is_date_and_time_or_nothing(self, tmp_path: Path, line: str, start: str | None) -> None:
        header = two_leads().replace("r 2 250 1000", line, 1)
        found = readers.open_recording(write_record(tmp_path, header, stored_numbers())).start
        assert (found and found.isoformat()) == start

    def test_counter_frequencies_are_no_part_of_the_rate(self, tmp_path: Path) -> None:
        path = write_record(tmp_path, two_leads(fs="360/1.5(-20)"), stored_numbers())
        assert readers.open_recording(path).fs == 360

    def test_a_header_without_a_rate_means_250_hz_unless_the_user_knows_better(self, tmp_path: Path) -> None:
        path = write_record(tmp_path, "r 1\nr.dat 16\n", stored_numbers(n_leads=1))
        assert readers.open_recording(path).fs == 250
        assert readers.open_recording(path, fs=500).fs == 500

    def test_a_rate_in_the_header_counts_more_than_the_option(self, tmp_path: Path) -> None:
        path = write_record(tmp_path, two_leads(fs="360"), stored_numbers())
        assert readers.open_recording(path, fs=500).fs == 360

    @pytest.mark.parametrize("length", ["", " 0"])
    def test_a_length_the_header_leaves_out_is_the_size_of_the_file(
        self, tmp_path: Path, length: str
    ) -> None:
        header = f"r 2 250{length}\nr.dat 212 100/mV\nr.dat 212 100/mV\n"
        path = write_record(tmp_path, header, stored_numbers(), 212)
        assert readers.open_recording(path).n_samples == 1000

    def test_gain_baseline_and_unit_have_the_defaults_of_wfdb(self, tmp_path: Path) -> None:
        path = write_record(tmp_path, "r 1 250 1000\nr.dat 16\n", stored_numbers(n_leads=1))
        recording = readers.open_recording(path)
        assert recording.leads == ("lead 1",)
        np.testing.assert_allclose(whole(recording), stored_numbers(n_leads=1) / 200)

    def test_the_zero_of_the_converter_is_the_baseline_where_none_is_named(self, tmp_path: Path) -> None:
        path = write_record(
            tmp_path, "r 1 250 1000\nr.dat 16 100 12 1024 0 0 0 I\n", stored_numbers(n_leads=1)
        )
        np.testing.assert_allclose(
            whole(readers.open_recording(path)), (stored_numbers(n_leads=1) - 1024) / 100, rtol=1e-6
        )

    def test_the_default_rate_is_said_unless_the_user_gives_one(self, tmp_path: Path) -> None:
        path = write_record(tmp_path, "r 1\nr.dat 16 100/mV\n", stored_numbers(n_leads=1))
        recording = readers.open_recording(path)
        assert recording.fs == 250
        assert recording.notes == ("the header states no sampling rate, and 250 Hz is the default of WFDB",)
        assert (readers.open_recording(path, fs=360).fs, readers.open_recording(path, fs=360).notes) == (
            360,
            (),
        )

    def test_a_signal_that_the_first_line_does_not_count_is_not_mixed_into_another(
        self, tmp_path: Path
    ) -> None:
        path = write_record(tmp_path, two_leads().replace("r 2", "r 1"), stored_numbers())
        with pytest.raises(UnreadableError, match=r"states 1 signals, but more of them are described\. "):
            readers.open_recording(path)

    def test_a_gain_of_zero_means_200(self, tmp_path: Path) -> None:
        path = write_record(tmp_path, "r 1 250 1000\nr.dat 16 0/mV\n", stored_numbers(n_leads=1))
        np.testing.assert_allclose(whole(readers.open_recording(path)), stored_numbers(n_leads=1) / 200)

    @pytest.mark.parametrize("gain", ["nan", "inf", "-inf"])
    def test_a_gain_that_is_no_number_costs_its_lead_only(self, tmp_path: Path, gain: str) -> None:
        header = two_leads().replace("100/mV", f"{gain}/mV", 1)
        recording = readers.open_recording(write_record(tmp_path, header, stored_numbers()))
        assert len(recording.leads) == 1
        assert recording.notes[0].endswith(f"is left out: its gain is {gain}")

    def test_leads_of_one_name_are_told_apart(self, tmp_path: Path) -> None:
        header = two_leads().replace(" II\n", " ECG\n").replace(" I\n", " ECG\n")
        assert readers.open_recording(write_record(tmp_path, header, stored_numbers())).leads == (
            "ECG",
            "ECG 2",
        )

    def test_a_third_lead_of_a_name_avoids_names_that_are_taken(self) -> None:
        assert validation.unique_names(["ECG", "ECG 2", "ECG", "ECG"]) == ("ECG", "ECG 2", "ECG 3", "ECG 4")

    def test_a_lead_may_have_a_name_of_several_words(self, tmp_path: Path) -> None:
        header = two_leads().replace(" II\n", " chan 1, V1\n")
        assert (
            readers.open_recording(write_record(tmp_path, header, stored_numbers())).leads[1] == "chan 1, V1"
        )


class TestSamples:
    @pytest.mark.parametrize("fmt", [16, 24, 32, 61, 80, 160, 212])
    def test_every_fixed_format_gives_the_numbers_stored(self, tmp_path: Path, fmt: int) -> None:
        stored = stored_numbers()
        recording = readers.open_recording(write_record(tmp_path, two_leads(fmt), stored, fmt))
        signal = whole(recording)
        assert signal.dtype == np.float32
        np.testing.assert_array_equal(signal, (stored / 100).astype(np.float32))

    @pytest.mark.parametrize("fmt", [16, 24, 32, 61, 80, 160, 212])
    def test_the_lowest_number_means_missing(self, tmp_path: Path, fmt: int) -> None:
        stored = stored_numbers()
        stored[10, 1] = LOWEST[fmt]
        signal = whole(readers.open_recording(write_record(tmp_path, two_leads(fmt), stored, fmt)))
        assert np.argwhere(np.isnan(signal)).tolist() == [[10, 1]]

    @pytest.mark.parametrize("fmt", [16, 24, 32, 61, 80, 160, 212])
    def test_what_is_read_directly_equals_wfdb(self, tmp_path: Path, fmt: int) -> None:
        stored = stored_numbers()
        stored[::97] = LOWEST[fmt]
        path = write_record(tmp_path, two_leads(fmt), stored, fmt)
        reference = wfdb.rdrecord(str(path.with_suffix(""))).p_signal
        np.testing.assert_array_equal(whole(readers.open_recording(path)), reference.astype(np.float32))

    @pytest.mark.parametrize("n_leads", [1, 2, 3])
    @pytest.mark.parametrize("fmt", [16, 24, 212])
    def test_blocks_of_any_size_give_the_samples_of_the_whole(
        self, tmp_path: Path, fmt: int, n_leads: int
    ) -> None:
        # 3 leads of 333 samples in format 212: blocks begin in the middle of a pair, the file ends in one.
        lines = f"r.dat {fmt} 100/mV\n" * n_leads
        stored = stored_numbers(333, n_leads)
        recording = readers.open_recording(
            write_record(tmp_path, f"r {n_leads} 250 333\n{lines}", stored, fmt)
        )
        for size in (1, 7, 100, 333):
            blocks = [recording.read(at, min(at + size, 333)) for at in range(0, 333, size)]
            np.testing.assert_array_equal(np.concatenate(blocks), (stored / 100).astype(np.float32))

    def test_an_empty_block_keeps_its_leads(self, tmp_path: Path) -> None:
        recording = readers.open_recording(write_record(tmp_path, two_leads(), stored_numbers()))
        assert recording.read(500, 500).shape == (0, 2)

    def test_samples_begin_after_the_offset(self, tmp_path: Path) -> None:
        # MATLAB files of the CinC challenges: 24 bytes of their own header.
        path = write_record(tmp_path, two_leads("16+24"), stored_numbers())
        data = path.with_suffix(".dat")
        data.write_bytes(b"\xff" * 24 + data.read_bytes())
        np.testing.assert_allclose(whole(readers.open_recording(path)), stored_numbers() / 100, rtol=1e-6)

    def test_leads_may_lie_in_several_files_of_several_formats(self, tmp_path: Path) -> None:
        stored = stored_numbers()
        (tmp_path / "a.dat").write_bytes(encode(stored[:, :1], 16))
        (tmp_path / "b.dat").write_bytes(encode(stored[:, 1:], 212))
        path = write_record(tmp_path, "r 2 250 1000\na.dat 16 100/mV\nb.dat 212 100/mV\n")
        recording = readers.open_recording(path)
        np.testing.assert_allclose(whole(recording), stored / 100, rtol=1e-6)
        assert readers.companion_files(path) == (path, tmp_path / "a.dat", tmp_path / "b.dat")

    @pytest.mark.parametrize(
        ("unit", "factor"),
        [("mV", 1), ("mv", 1), ("uV", 1e-3), ("\u00b5V", 1e-3), ("\u03bcV", 1e-3), ("V", 1000), ("nV", 1e-6)],
    )
    def test_units_of_voltage_become_millivolts(self, tmp_path: Path, unit: str, factor: float) -> None:
        path = write_record(tmp_path, two_leads().replace("mV", unit), stored_numbers())
        expected = stored_numbers() / 100 * factor
        np.testing.assert_allclose(whole(readers.open_recording(path)), expected, rtol=1e-5)

    def test_a_micro_sign_in_latin_1_does_not_turn_microvolts_into_volts(self, tmp_path: Path) -> None:
        path = write_record(tmp_path, "", stored_numbers())
        path.write_bytes(two_leads().replace("mV", "\u00b5V").encode("latin-1"))
        np.testing.assert_allclose(whole(readers.open_recording(path)), stored_numbers() / 1e5, rtol=1e-5)

    def test_a_lead_in_no_unit_of_voltage_is_left_out(self, tmp_path: Path) -> None:
        header = two_leads().replace("100/mV", "100/mmHg", 1)
        recording = readers.open_recording(write_record(tmp_path, header, stored_numbers()))
        assert recording.leads == ("II",)
        np.testing.assert_allclose(whole(recording), stored_numbers()[:, 1:] / 100, rtol=1e-6)

    def test_the_fastest_leads_set_the_rate(self, tmp_path: Path) -> None:
        # Frames of 1 + 4 samples at 125 Hz: breathing at 125 Hz, ECG at 500 Hz.
        stored = stored_numbers(200, 5)
        header = "r 2 125 200\nr.dat 16x1 100/mV 12 0 0 0 0 RESP\nr.dat 16x4 100/mV 12 0 0 0 0 II\n"
        path = write_record(tmp_path, header, stored)
        recording = readers.open_recording(path)
        assert (recording.fs, recording.leads, recording.n_samples) == (500, ("II",), 800)
        np.testing.assert_allclose(whole(recording)[:, 0], stored[:, 1:].reshape(-1) / 100, rtol=1e-6)
        np.testing.assert_array_equal(recording.read(333, 555), whole(recording)[333:555])

    @pytest.mark.parametrize("other", ["RESP", "EEG (C4-A1)", "ABP", "PLETH", "EOG"])
    def test_a_signal_that_bears_the_name_of_something_else_is_no_lead(
        self, tmp_path: Path, other: str
    ) -> None:
        # As in polysomnography: all in mV, and all at one rate.
        header = two_leads().replace(" I\n", f" {other}\n")
        recording = readers.open_recording(write_record(tmp_path, header, stored_numbers()))
        assert recording.leads == ("II",)

    def test_a_file_that_shrinks_after_it_was_opened_is_an_error(self, tmp_path: Path) -> None:
        path = write_record(tmp_path, two_leads(), stored_numbers())
        recording = readers.open_recording(path)
        os.truncate(path.with_suffix(".dat"), 100)
        with pytest.raises(
            UnreadableError,
            match=r"r\.dat: the file ends too early \(50 of 2000 samples read\)\. Copy the complete file",
        ):
            whole(recording)


class TestRarerStorage:
    def write(self, folder: Path, fmt: str, **options: object) -> tuple[Path, NDArray[np.float64]]:
        signal = np.random.default_rng(3).integers(-50, 50, (3000, 2)).cumsum(axis=0) % 300 - 150
        wfdb.wrsamp(
            "r",
            fs=250,
            units=["mV", "mV"],
            sig_name=["I", "II"],
            d_signal=signal.astype(np.int64),
            fmt=[fmt, fmt],
            adc_gain=[100.0, 100.0],
            baseline=[0, 0],
            write_dir=str(folder),
            **options,
        )
        return folder / "r.hea", signal / 100

    def test_compressed_signals_are_read_by_block(self, tmp_path: Path) -> None:
        path, signal = self.write(tmp_path, "516")
        recording = readers.open_recording(path)
        np.testing.assert_allclose(recording.read(1001, 2000), signal[1001:2000], rtol=1e-6)

    def test_a_compressed_file_that_is_cut_is_an_error(self, tmp_path: Path) -> None:
        path, _ = self.write(tmp_path, "516")
        data = path.with_suffix(".dat")
        data.write_bytes(data.read_bytes()[:100])
        with pytest.raises(
            UnreadableError,
            match=r"r\.dat: (not a FLAC file|the FLAC samples are damaged|the file ends too early).*\. Copy",
        ):
            whole(readers.open_recording(path))

    def test_differences_add_up_across_blocks(self, tmp_path: Path) -> None:
        # wfdb alone begins every block at the initial value of the header.
        steps = np.random.default_rng(1).integers(-20, 20, (1000, 1))
        (tmp_path / "r.dat").write_bytes(steps.astype("i1").tobytes())
        path = write_record(tmp_path, "r 1 250 1000\nr.dat 8 100/mV 8 0 5 0 0 I\n")
        expected = (5 + steps.cumsum(axis=0)) / 100
        np.testing.assert_allclose(readers.open_recording(path).read(700, 900), expected[700:900], rtol=1e-5)

    @pytest.mark.parametrize("fmt", [310, 311])
    def test_ten_bit_formats_are_read_by_block(self, tmp_path: Path, fmt: int) -> None:
        stored = np.random.default_rng(2).integers(0, 256, (1000, 4), dtype=np.uint8)
        stored[:, 3] &= 0x3F if fmt == 311 else 0xFF  # two bits of 32 are not used, and wfdb needs them empty
        (tmp_path / "r.dat").write_bytes(stored.tobytes())
        path = write_record(tmp_path, f"r 2 250 1500\nr.dat {fmt} 100/mV\nr.dat {fmt} 100/mV\n")
        recording = readers.open_recording(path)
        reference = wfdb.rdrecord(str(path.with_suffix(""))).p_signal
        np.testing.assert_allclose(recording.read(301, 707), reference[301:707], rtol=1e-6)

    def test_a_skewed_lead_is_brought_back_into_time(self, tmp_path: Path) -> None:
        stored = stored_numbers()
        header = two_leads().replace("r.dat 16 ", "r.dat 16:3 ", 1)
        signal = whole(readers.open_recording(write_record(tmp_path, header, stored)))
        np.testing.assert_allclose(signal[:-3, 0], stored[3:, 0] / 100, rtol=1e-6)
        np.testing.assert_allclose(signal[:, 1], stored[:, 1] / 100, rtol=1e-6)

    def test_a_skewed_block_equals_the_whole(self, tmp_path: Path) -> None:
        header = two_leads().replace("r.dat 16 ", "r.dat 16:3 ", 1)
        recording = readers.open_recording(write_record(tmp_path, header, stored_numbers()))
        signal = whole(recording)
        assert np.isnan(signal[-3:, 0]).all()  # sampled later than the other lead, it ends earlier
        for size in (1, 7, 333, 999):
            blocks = [recording.read(at, min(at + size, 1000)) for at in range(0, 1000, size)]
            np.testing.assert_array_equal(np.concatenate(blocks), signal)

    def test_differences_of_several_leads_add_up_over_a_long_file(self, tmp_path: Path) -> None:
        # 200,000 frames of 2 + 1 samples: beyond the 65,536 frames after which sums are kept.
        steps = np.random.default_rng(1).integers(-20, 20, (200_000, 3))
        (tmp_path / "r.dat").write_bytes(steps.astype("i1").tobytes())
        lines = "r.dat 8x2 100/mV 8 0 5 0 0 I\nr.dat 8 100/mV 8 0 -7 0 0 RESP\n"
        recording = readers.open_recording(write_record(tmp_path, f"r 2 250 200000\n{lines}"))
        assert (recording.leads, recording.n_samples) == (("I",), 400_000)
        expected = (5 + steps[:, :2].reshape(-1).cumsum()) / 100
        np.testing.assert_allclose(
            recording.read(399_001, 399_501)[:, 0], expected[399_001:399_501], rtol=1e-5
        )
        np.testing.assert_allclose(whole(recording)[:, 0], expected, rtol=1e-5)

    @pytest.mark.parametrize(("fmt", "bits"), [(508, 8), (516, 16), (524, 24)])
    @pytest.mark.parametrize("per_frame", [1, 4])
    def test_flac_holds_so_many_bits_a_sample(
        self, tmp_path: Path, fmt: int, bits: int, per_frame: int
    ) -> None:
        limit = 2 ** (bits - 1)
        stored = np.random.default_rng(4).integers(-limit, limit, (4000, 2))
        stored[:100] = np.arange(100)[:, None] - 50
        stored[17, 0] = -limit  # the missing sample
        subtype = {8: "PCM_S8", 16: "PCM_16", 24: "PCM_24"}[bits]
        data = (stored << (32 - bits)).astype(np.int32)
        soundfile.write(tmp_path / "r.dat", data, 250, format="FLAC", subtype=subtype)
        line = f"r.dat {fmt}x{per_frame} 100/mV 16 0 0 0 0"
        path = write_record(tmp_path, f"r 2 250 {4000 // per_frame}\n{line} I\n{line} II\n")
        recording = readers.open_recording(path)
        assert (recording.fs, recording.n_samples) == (250 * per_frame, 4000)
        signal = whole(recording)
        assert np.argwhere(np.isnan(signal)).tolist() == np.argwhere(stored == -limit).tolist()
        np.testing.assert_allclose(signal[stored != -limit], stored[stored != -limit] / 100, rtol=1e-6)
        np.testing.assert_array_equal(recording.read(1003, 2001), signal[1003:2001])

    def test_flac_tells_its_length_where_the_header_does_not(self, tmp_path: Path) -> None:
        path, _ = self.write(tmp_path, "516")
        path.write_text(path.read_text().replace("r 2 250 3000", "r 2 250"))
        assert readers.open_recording(path).n_samples == 3000

    def test_what_is_read_does_not_need_wfdb(self, tmp_path: Path) -> None:
        path, signal = self.write(tmp_path, "212")
        code = (
            "import sys; from ectopy import readers; "
            f"readers.open_recording({str(path)!r}).read(0, 100); sys.exit('wfdb' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
        assert len(signal) == 3000

    def segments(self, folder: Path) -> tuple[Path, NDArray[np.int64]]:
        """A record of two segments with a gap of 100 samples between them."""
        stored = stored_numbers(500)
        for name, part in (("s1", stored[:200]), ("s2", stored[200:])):
            header = (
                two_leads(n_samples=len(part)).replace("r ", f"{name} ", 1).replace("r.dat", f"{name}.dat")
            )
            write_record(folder, header, part, name=name)
        return write_record(folder, "m/3 2 250 600\ns1 200\n~ 100\ns2 300\n", name="m"), stored

    def test_segments_make_one_recording_with_its_gaps_missing(self, tmp_path: Path) -> None:
        path, stored = self.segments(tmp_path)
        recording = readers.open_recording(path)
        assert (recording.n_samples, recording.leads) == (600, ("I", "II"))
        signal = whole(recording)
        np.testing.assert_allclose(signal[:200], stored[:200] / 100, rtol=1e-6)
        assert np.isnan(signal[200:300]).all()
        np.testing.assert_allclose(signal[300:], stored[200:] / 100, rtol=1e-6)

    def test_a_trailing_gap_belongs_to_the_recording(self, tmp_path: Path) -> None:
        self.segments(tmp_path)
        recording = readers.open_recording(write_record(tmp_path, "m/2 2 250 300\ns1 200\n~ 100\n", name="m"))
        assert recording.n_samples == 300
        assert np.isnan(recording.read(200, 300)).all()

    def test_leads_may_change_from_segment_to_segment(self, tmp_path: Path) -> None:
        # A variable layout: the first segment, of no length, names all leads that will come.
        self.segments(tmp_path)
        lead_two = "s2 1 250 300\ns2.dat 16x1 100/mV 12 0 0 0 0 II\n"
        (tmp_path / "s2.hea").write_text(lead_two)
        (tmp_path / "m_layout.hea").write_text(
            "m_layout 2 250 0\n~ 0 100/mV 12 0 0 0 0 I\n~ 0 100/mV 12 0 0 0 0 II\n"
        )
        path = write_record(tmp_path, "m/3 2 250 500\nm_layout 0\ns1 200\ns2 300\n", name="m")
        signal = whole(readers.open_recording(path))
        assert np.isnan(signal[200:, 0]).all()
        assert np.isfinite(signal[:, 1]).all()
        np.testing.assert_array_equal(
            signal, wfdb.rdrecord(str(path.with_suffix(""))).p_signal.astype(np.float32)
        )

    def test_a_block_across_segments_equals_the_whole(self, tmp_path: Path) -> None:
        recording = readers.open_recording(self.segments(tmp_path)[0])
        np.testing.assert_array_equal(recording.read(150, 350), whole(recording)[150:350])

    def test_segments_belong_to_the_record(self, tmp_path: Path) -> None:
        path, _ = self.segments(tmp_path)
        names = [file.name for file in readers.companion_files(path)]
        assert names == ["m.hea", "s1.hea", "s1.dat", "s2.hea", "s2.dat"]

    @pytest.mark.parametrize("suffix", [".hea", ".dat"])
    def test_a_missing_segment_is_a_gap(self, tmp_path: Path, suffix: str) -> None:
        path, _ = self.segments(tmp_path)
        complete = whole(readers.open_recording(path))
        (tmp_path / f"s1{suffix}").unlink()
        recording = readers.open_recording(path)
        assert recording.notes == ("1 of 2 segments are missing or shorter than stated",)
        assert recording.incomplete
        signal = whole(recording)
        assert np.isnan(signal[:300]).all()
        np.testing.assert_array_equal(signal[300:], complete[300:])

    def test_segments_of_which_hardly_anything_is_there_are_refused(self, tmp_path: Path) -> None:
        path, _ = self.segments(tmp_path)
        (tmp_path / "s2.dat").unlink()  # 0.8 s are left
        with pytest.raises(UnreadableError, match=r"signal file s2\.dat not found in the same folder\. Copy"):
            readers.open_recording(path)

    def test_a_truncated_segment_ends_in_a_gap(self, tmp_path: Path) -> None:
        path, _ = self.segments(tmp_path)
        complete = whole(readers.open_recording(path))
        os.truncate(tmp_path / "s1.dat", 399)  # 99 frames of 200
        recording = readers.open_recording(path)
        assert recording.notes == ("1 of 2 segments are missing or shorter than stated",)
        signal = whole(recording)
        np.testing.assert_array_equal(signal[:99], complete[:99])
        assert np.isnan(signal[99:200]).all()
        np.testing.assert_array_equal(signal[200:], complete[200:])

    def test_segments_of_segments_are_refused(self, tmp_path: Path) -> None:
        path = write_record(tmp_path, "m/1 2 250 600\nm 600\n", name="m")
        assert readers.companion_files(path) == (path,)
        with pytest.raises(
            UnreadableError, match=r"no segment with signals, .* Name only segments that have signal files"
        ):
            readers.open_recording(path)


class TestWhatIsNoRecording:
    def refuse(self, path: Path, match: str) -> None:
        with pytest.raises(UnreadableError, match=match) as caught:
            readers.open_recording(path)
        assert str(path.parent) in str(caught.value)

    def test_a_missing_file(self, tmp_path: Path) -> None:
        self.refuse(tmp_path / "100", "no such file. Check the path")

    def test_a_directory(self, tmp_path: Path) -> None:
        self.refuse(tmp_path, "a folder, not a file. Name a file in it")

    def test_a_format_that_is_not_read(self, tmp_path: Path) -> None:
        (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff")
        self.refuse(tmp_path / "photo.jpg", "Unsupported file format. Supported: WFDB, EDF, ")

    @pytest.mark.parametrize(
        "text",
        ["", "# only a comment\n", "Dear reader,\nthis is a letter.\n", "\x00\x01\x02", "r\n", "r two 250\n"],
    )
    def test_a_text_file_named_as_a_header(self, tmp_path: Path, text: str) -> None:
        self.refuse(
            write_record(tmp_path, text),
            "not a WFDB header .the first line describes no record.. Correct the line",
        )

    def test_a_text_file_is_not_quoted_in_the_message(self, tmp_path: Path) -> None:
        path = write_record(tmp_path, "Jane Doe, born 1950\n")
        with pytest.raises(UnreadableError) as caught:
            readers.open_recording(path)
        assert "Jane" not in str(caught.value)

    @pytest.mark.parametrize("header", ["r 0 250 1000\n", "r/0 2 250 1000\n", "r/2 0 250 1000\n"])
    def test_a_header_that_names_no_lead(self, tmp_path: Path, header: str) -> None:
        self.refuse(write_record(tmp_path, header), "the header describes no lead. Correct the numbers")

    def test_a_header_without_its_signal_file(self, tmp_path: Path) -> None:
        self.refuse(
            write_record(tmp_path, two_leads()),
            r"r\.hea: signal file r\.dat not found in the same folder\. Copy it there",
        )

    def test_a_header_with_fewer_lines_than_leads(self, tmp_path: Path) -> None:
        header = two_leads().rpartition("r.dat")[0]
        self.refuse(
            write_record(tmp_path, header, stored_numbers()),
            "needs 2 lines after the first, but has 1. Copy the complete header",
        )

    def test_a_signal_that_is_not_described(self, tmp_path: Path) -> None:
        header = "r 2 250 1000\nr.dat 16 100/mV\n?\n"
        self.refuse(
            write_record(tmp_path, header, stored_numbers()),
            "the line of signal 2 is not a WFDB signal line. Correct it",
        )

    @pytest.mark.parametrize(("fmt", "promised"), [(16, 4000), (212, 3000), (24, 6000), (80, 2000)])
    def test_a_truncated_signal_file(self, tmp_path: Path, fmt: int, promised: int) -> None:
        path = write_record(tmp_path, two_leads(fmt), stored_numbers(), fmt)
        size = promised // 5  # 0.8 s at 250 Hz: nothing to analyse
        os.truncate(path.with_suffix(".dat"), size)
        self.refuse(path, rf"r\.dat: the file has {size} bytes, but its header describes {promised}\. Copy")

    @pytest.mark.parametrize(
        "name", ["/etc/passwd", "../r.dat", "sub/r.dat", "..", "sub\\r.dat", "C:r.dat", "s3://bucket/r.dat"]
    )
    def test_a_signal_file_outside_the_folder(self, tmp_path: Path, name: str) -> None:
        folder = tmp_path / "inner"
        (folder / "sub").mkdir(parents=True)
        for data in (tmp_path / "r.dat", folder / "sub" / "r.dat"):
            data.write_bytes(encode(stored_numbers(), 16))
        path = write_record(folder, two_leads().replace("r.dat", name))
        self.refuse(path, "names a file outside its own folder. Copy the file next to the header")
        with pytest.raises(UnreadableError, match="a file outside its own folder"):
            readers.companion_files(path)

    def test_a_segment_outside_the_folder(self, tmp_path: Path) -> None:
        self.refuse(write_record(tmp_path, "m/1 2 250 600\n../s1 600\n"), "a file outside its own folder")

    def test_a_signal_without_a_file_is_missing(self, tmp_path: Path) -> None:
        # Found by fuzzing: a layout header has such signals, and so may one with samples of the others.
        path = write_record(tmp_path, two_leads().replace("r.dat 16", "~ 16", 1), stored_numbers()[:, 1:])
        block = whole(readers.open_recording(path))
        assert np.isnan(block[:, 0]).all()
        assert np.isfinite(block[:, 1]).all()

    def test_a_signal_file_that_is_a_link_out_of_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "inner").mkdir()
        (tmp_path / "secret").write_bytes(encode(stored_numbers(), 16))
        path = write_record(tmp_path / "inner", two_leads(), stored_numbers())
        path.with_suffix(".dat").unlink()
        path.with_suffix(".dat").symlink_to(tmp_path / "secret")
        self.refuse(path, r"r\.dat. is a link to a file outside the folder\. Copy the file itself")

    def test_a_link_within_the_folder_is_followed(self, tmp_path: Path) -> None:
        path = write_record(tmp_path, two_leads(), stored_numbers())
        path.with_suffix(".dat").rename(tmp_path / "same")
        path.with_suffix(".dat").symlink_to(tmp_path / "same")
        assert readers.open_recording(path).n_samples == len(stored_numbers())

    @pytest.mark.parametrize("n_characters", [256, 4097])
    def test_a_name_longer_than_file_systems_have(self, tmp_path: Path, n_characters: int) -> None:
        # Found by fuzzing: asking for such a file is an OSError of its own.
        path = write_record(tmp_path, two_leads().replace("r.dat", "r" * n_characters))
        self.refuse(
            path, f"names a file with {n_characters} characters, more than a file system allows. Correct"
        )

    @pytest.mark.parametrize("fs", ["0", "-360", "1", "1e9", "360e-30"])
    def test_a_rate_that_no_recording_has(self, tmp_path: Path, fs: str) -> None:
        path = write_record(tmp_path, two_leads(fs=fs), stored_numbers())
        self.refuse(path, "outside 50 to 50000 Hz. Correct the rate")

    def test_leads_in_no_unit_of_voltage(self, tmp_path: Path) -> None:
        path = write_record(tmp_path, two_leads().replace("mV", "mmHg"), stored_numbers())
        self.refuse(
            path,
            r"no lead in a unit of voltage \(its unit mmHg is not a known unit of voltage\)\. Correct the units",
        )

    def test_one_file_in_two_formats(self, tmp_path: Path) -> None:
        header = two_leads().replace("16", "212", 1)
        self.refuse(
            write_record(tmp_path, header, stored_numbers()),
            r"the signals of .r\.dat. have different formats or offsets\. Correct the header",
        )

    def test_what_is_called_flac_and_is_none(self, tmp_path: Path) -> None:
        path = write_record(tmp_path, "r 1 250\nr.dat 516 100/mV\n", stored_numbers(n_leads=1))
        self.refuse(path, r"r\.dat: not a FLAC file, as its header says\. Copy")

    def test_a_format_nobody_knows(self, tmp_path: Path) -> None:
        path = write_record(tmp_path, two_leads(999), stored_numbers())
        self.refuse(path, "unknown storage format 999. Correct the format")

    def test_a_header_larger_than_any_is_not_read_whole(self, tmp_path: Path) -> None:
        path = write_record(tmp_path, "")
        with path.open("wb") as file:
            file.truncate(2**33)
        self.refuse(path, "not a WFDB header .the first line describes no record.. Correct the line")


class TestSearch:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for place in ("a", "b/c"):
            (tmp_path / place).mkdir(parents=True)
            write_record(tmp_path / place, two_leads(), stored_numbers())
        (tmp_path / "a" / "r.atr").write_bytes(b"")
        (tmp_path / "notes.txt").write_text("not ECG")
        return tmp_path

    def test_a_directory_is_searched_recursively_and_the_rest_counted(self, folder: Path) -> None:
        found = find_recordings([folder])
        assert found.recordings == (folder / "a" / "r.hea", folder / "b" / "c" / "r.hea")
        assert found.n_other == 2  # r.atr and notes.txt; the two r.dat belong to their headers

    def test_a_glob_finds_files_and_directories(self, folder: Path) -> None:
        assert find_recordings([f"{folder}/a/*"]).recordings == (folder / "a" / "r.hea",)
        assert find_recordings([f"{folder}/**/r.hea"]).recordings == find_recordings([folder]).recordings
        assert find_recordings([f"{folder}/b*"]).recordings == (folder / "b" / "c" / "r.hea",)

    def test_a_name_with_marks_of_a_glob_is_taken_as_it_is(self, tmp_path: Path) -> None:
        odd = tmp_path / "day[1]"
        odd.mkdir()
        write_record(odd, two_leads(), stored_numbers())
        assert find_recordings([odd]).recordings == (odd / "r.hea",)

    def test_a_record_named_without_suffix_or_by_its_signal_file_is_its_header(self, folder: Path) -> None:
        header = folder / "a" / "r.hea"
        for name in ("r", "r.hea", "r.dat"):
            assert find_recordings([folder / "a" / name]).recordings == (header,)

    def test_a_recording_named_twice_is_scored_once(self, folder: Path) -> None:
        assert len(find_recordings([folder, folder / "a", folder / "a" / "r"]).recordings) == 2

    def test_a_path_relative_to_here_is_the_same_recording(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(folder)
        assert find_recordings(["a/r"]).recordings == (folder / "a" / "r.hea",)

    def test_a_named_file_that_is_no_recording_stands_for_itself(self, folder: Path) -> None:
        assert find_recordings([folder / "notes.txt"]).recordings == (folder / "notes.txt",)

    def test_a_path_that_does_not_exist_is_an_error(self, folder: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"nowhere: no such file or directory\. Check the path"):
            find_recordings([folder / "nowhere"])
        with pytest.raises(FileNotFoundError, match="no such file"):
            find_recordings([f"{folder}/*.hea"])

    def test_an_empty_directory_holds_nothing(self, tmp_path: Path) -> None:
        assert find_recordings([tmp_path]).recordings == ()

    def test_results_are_not_searched_through(self, folder: Path) -> None:
        assert find_recordings([folder], outside=folder / "b").recordings == (folder / "a" / "r.hea",)

    def test_what_begins_with_a_dot_is_not_meant(self, folder: Path) -> None:
        (folder / "a" / "._r.hea").write_bytes(b"\x00\x05\x16\x07")  # as a Mac leaves it on every disk
        assert len(find_recordings([folder]).recordings) == 2

    def test_a_broken_header_is_a_recording_that_fails_and_hides_no_other(self, folder: Path) -> None:
        (folder / "a" / "x.hea").write_text("Dear reader")
        assert [path.name for path in find_recordings([folder / "a"]).recordings] == ["r.hea", "x.hea"]

    def test_segments_are_no_recordings_of_their_own(self, tmp_path: Path) -> None:
        write_record(tmp_path, two_leads(), stored_numbers())
        write_record(tmp_path, "m/1 2 250 1000\nr 1000\n", name="m")
        found = find_recordings([tmp_path])
        assert ([path.name for path in found.recordings], found.n_other) == (["m.hea"], 0)

    def test_headers_that_name_each_other_hide_neither_twice(self, tmp_path: Path) -> None:
        write_record(tmp_path, "a/1 1 250 10\nb 10\n", name="a")
        write_record(tmp_path, "b/1 1 250 10\na 10\n", name="b")
        assert [path.name for path in find_recordings([tmp_path]).recordings] == ["a.hea"]

    def test_a_symbolic_link_keeps_its_own_name_and_place(self, folder: Path, tmp_path: Path) -> None:
        # Annex and cache directories link to files named by their hash.
        links = tmp_path / "links"
        links.mkdir()
        (links / "100.hea").symlink_to(folder / "a" / "r.hea")
        (links / "r.dat").symlink_to(folder / "a" / "r.dat")
        (found,) = find_recordings([links]).recordings
        assert found == links / "100.hea"
        assert readers.open_recording(found).name == "100"

    def test_where_others_fill_the_folder_a_link_is_no_recording(self, folder: Path, tmp_path: Path) -> None:
        inbox = tmp_path / "inbox"
        inbox.mkdir()
        (inbox / "100.hea").symlink_to(folder / "a" / "r.hea")
        (inbox / "r.dat").symlink_to(folder / "a" / "r.dat")
        assert find_recordings([inbox], follow_links=False).recordings == ()

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without named pipes")
    def test_a_pipe_is_left_alone(self, folder: Path) -> None:
        os.mkfifo(folder / "a" / "pipe.edf")  # who opens it waits for ever
        assert len(find_recordings([folder]).recordings) == 2


@pytest.mark.real
class TestRealRecords:
    def test_every_record_equals_wfdb(self, mitdb: Path, nstdb: Path) -> None:
        headers = [*sorted(mitdb.glob("*.hea")), *sorted(nstdb.glob("*.hea"))]
        assert len(headers) == 60
        for path in headers:
            recording = readers.open_recording(path)
            assert recording.n_samples == 650_000
            # One as a whole; a minute of the others at their beginning, in their middle and at their end.
            minutes = ((0, 21_600), (317_123, 338_723), (628_400, 650_000))
            for start, stop in ((0, 650_000),) if path.stem == "101" else minutes:
                reference = wfdb.rdrecord(str(path.with_suffix("")), sampfrom=start, sampto=stop)
                assert recording.leads == tuple(reference.sig_name)
                read = recording.read(start, stop)
                np.testing.assert_array_equal(read, reference.p_signal.astype(np.float32))

    def test_the_database_is_48_recordings_and_nothing_else_but_annotations(self, mitdb: Path) -> None:
        found = find_recordings([mitdb])
        others = [path for path in mitdb.iterdir() if path.suffix not in {".hea", ".dat"}]
        assert (len(found.recordings), found.n_other) == (48, len(others))
