"""EDF, EDF+ and BDF, written by edfio or by hand."""

from datetime import datetime
from pathlib import Path

import edfio
import numpy as np
import pytest
from numpy.typing import NDArray

from ectopy import readers
from ectopy.ecg import Recording, UnreadableError
from tests.format_files import counts, edf_in_parts, edf_signal, patch, write_edf

N_RECORDS, RECORD_S, HEADER_BYTES, DATE, RESERVED = 236, 244, 184, 168, 192
UNIT_OF_FIRST = 256 + 96 * 2  # of two signals: labels and transducers come before


def whole(recording: Recording) -> NDArray[np.float32]:
    return recording.read(0, recording.n_samples)


def two_leads(path: Path, stored: NDArray[np.int64] | None = None, *, kind: str = "edf") -> Path:
    stored = counts() if stored is None else stored
    signal, file = (edfio.EdfSignal, edfio.Edf) if kind == "edf" else (edfio.BdfSignal, edfio.Bdf)
    return write_edf(
        path,
        [edf_signal(stored[:, at], label, kind=signal) for at, label in enumerate(("II", "V1"))],
        kind=file,
    )


def of_labels(path: Path, *labels: str, unit: str = "uV", **more: object) -> Path:
    stored = counts(n_leads=len(labels))
    return write_edf(
        path, [edf_signal(stored[:, at], label, unit=unit, **more) for at, label in enumerate(labels)]
    )


class TestFacts:
    @pytest.mark.parametrize("kind", ["edf", "bdf"])
    def test_a_file_says_its_name_rate_leads_length_and_start(self, tmp_path: Path, kind: str) -> None:
        recording = readers.open_recording(two_leads(tmp_path / f"day.{kind}", kind=kind))
        assert recording.name == "day"
        assert (recording.fs, recording.leads, recording.n_samples) == (250, ("II", "V1"), 1000)
        assert recording.start == datetime(2024, 2, 29, 23, 59, 58)  # noqa: DTZ001

    @pytest.mark.parametrize("kind", ["edf", "bdf"])
    def test_a_file_is_known_by_content_whatever_its_name(self, tmp_path: Path, kind: str) -> None:
        path = two_leads(tmp_path / "recording.0001", kind=kind)
        assert readers.is_recording(path)
        assert readers.open_recording(path).n_samples == 1000

    @pytest.mark.parametrize("kind", ["edf", "bdf"])
    def test_facts_come_without_the_signal_being_read(self, tmp_path: Path, kind: str) -> None:
        # Two weeks of two leads at 250 Hz: sparse, as large as promised and nothing on the disk.
        path, bytes_a_second = two_leads(tmp_path / "long", kind=kind), 2 * 250 * (2 if kind == "edf" else 3)
        patch(path, N_RECORDS, "1209600 ")
        with path.open("rb+") as file:
            file.truncate(768 + 1_209_600 * bytes_a_second)
        recording = readers.open_recording(path)
        assert recording.duration_s == 14 * 86_400
        assert recording.read(302_000_000, 302_001_000).shape == (1000, 2)

    def test_the_second_may_have_a_fraction(self, tmp_path: Path) -> None:
        signals, start = [edf_signal(counts()[:, 0], "ECG")], datetime(2024, 1, 1, 12, 0, 0, 250_000)  # noqa: DTZ001
        path = write_edf(tmp_path / "a.edf", signals, starttime=start.time(), annotations=())
        assert readers.open_recording(path).start == start.replace(month=2, day=29)

    @pytest.mark.parametrize(
        ("recorded", "date", "start"),
        [
            ("Startdate X X X X", "01.01.85", None),  # anonymised as EDF+ has it
            ("Startdate not recorded", "01.01.85", None),  # as WFDB's mit2edf writes it
            (
                "Startdate 05-MAR-2090 X X X",
                "05.03.yy",
                None,
            ),  # the full date counts, but a time must be there
            ("Startdate 05-MAR-2090 X X X", "05.03.90", "2090-03-05T23:59:58"),
            ("Holter 7", "05.03.84", "2084-03-05T23:59:58"),
            ("Holter 7", "05.03.85", "1985-03-05T23:59:58"),
            ("Holter 7", "31.02.20", None),
        ],
    )
    def test_a_start_is_a_date_that_was_not_taken_away(
        self, tmp_path: Path, recorded: str, date: str, start: str | None
    ) -> None:
        path = patch(patch(two_leads(tmp_path / "a.edf"), DATE, date), 88, f"{recorded:80}")
        found = readers.open_recording(path).start
        assert (found and found.isoformat()) == start

    def test_a_recorder_that_did_not_count_its_data_records_left_all_there_are(self, tmp_path: Path) -> None:
        path = patch(two_leads(tmp_path / "a.edf"), N_RECORDS, "-1      ")
        with path.open("ab") as file:
            file.write(b"\0" * 999)  # a data record that was not finished
        assert readers.open_recording(path).n_samples == 1000

    def test_no_data_record_is_a_recording_of_no_length(self, tmp_path: Path) -> None:
        path = patch(two_leads(tmp_path / "a.edf"), N_RECORDS, "0       ")
        path.write_bytes(path.read_bytes()[:768])
        recording = readers.open_recording(path)
        assert (recording.n_samples, recording.notes) == (0, ())
        assert whole(recording).shape == (0, 2)

    def test_a_data_record_may_last_a_fraction_of_a_second(self, tmp_path: Path) -> None:
        # One sample a data record, as a converter of resting ECG writes it: 1 / 0.00125 s = 800 Hz.
        signal = edf_signal(counts()[:, 0], "ECG", fs=800)
        recording = readers.open_recording(
            write_edf(tmp_path / "a.edf", [signal], data_record_duration=0.00125)
        )
        assert recording.fs == 800


class TestLeads:
    @pytest.mark.parametrize(
        ("label", "lead"),
        [
            ("II", "II"),
            ("ECG II", "II"),
            ("EKG II", "II"),
            ("ECG V5-Ref", "V5"),
            ("Lead aVR", "aVR"),
            ("AVF", "aVF"),
            ("MLII", "MLII"),
            ("MCL1", "MCL1"),
            ("ECG", "ECG"),
            ("EKG", "EKG"),
            ("ECG1", "ECG1"),
            ("ECG1-ECG2", "ECG1-ECG2"),
            ("EEG EKG-REF", "EEG EKG-REF"),  # TUH's corpus of EEG
            ("DII", "II"),
        ],
    )
    def test_a_label_of_ecg_is_a_lead(self, tmp_path: Path, label: str, lead: str) -> None:
        path = of_labels(tmp_path / "a.edf", "EEG Fpz-Cz", label)
        assert readers.open_recording(path).leads == (lead,)

    @pytest.mark.parametrize(
        "label",
        [
            "EEG C3-A2",
            "Resp",
            "SpO2",
            "ECG HR",
            "ACC X",
            "Pleth",
            "EMG chin",
            "EOG L",
            "ECoG 1",
            "Thor",
            "A1",
        ],
    )
    def test_a_label_of_something_else_is_none(self, tmp_path: Path, label: str) -> None:
        assert readers.open_recording(of_labels(tmp_path / "a.edf", label, "ECG")).leads == ("ECG",)
        with pytest.raises(UnreadableError, match=r"no ECG lead in a unit of voltage\. Check the labels"):
            readers.open_recording(of_labels(tmp_path / "b.edf", label, "SpO2"))

    def test_an_ecg_in_no_unit_of_voltage_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableError, match=r"no ECG lead in a unit of voltage\. Check the labels"):
            readers.open_recording(of_labels(tmp_path / "a.edf", "ECG", unit="bpm"))

    def test_a_transducer_may_say_that_it_is_ecg(self, tmp_path: Path) -> None:
        path = of_labels(tmp_path / "a.edf", "A", "B", transducer_type="AgAgCl ECG electrode")
        assert readers.open_recording(path).leads == ("A", "B")

    def test_a_recorder_of_ecg_alone_may_only_count_its_leads(self, tmp_path: Path) -> None:
        assert readers.open_recording(of_labels(tmp_path / "a.edf", "CH1", "CH 2")).leads == ("CH1", "CH 2")

    def test_three_axes_together_are_franks_leads(self, tmp_path: Path) -> None:
        assert readers.open_recording(of_labels(tmp_path / "a.edf", "X", "Y", "Z")).leads == ("X", "Y", "Z")
        with pytest.raises(UnreadableError, match="no ECG lead in a unit of voltage"):
            readers.open_recording(of_labels(tmp_path / "b.edf", "X", "Y", "Z", unit="g"))

    def test_leads_of_one_name_are_told_apart(self, tmp_path: Path) -> None:
        assert readers.open_recording(of_labels(tmp_path / "a.edf", "ECG", "ECG")).leads == ("ECG", "ECG 2")

    def test_the_rate_is_that_of_most_leads(self, tmp_path: Path) -> None:
        stored = counts(4000, 4)
        signals = [edf_signal(stored[:2000, at], lead, fs=500) for at, lead in enumerate(("I", "II"))]
        fine = edf_signal(stored[:, 2], "V1", fs=1000)
        slow = edf_signal(stored[:100, 3], "Resp", fs=25)
        recording = readers.open_recording(write_edf(tmp_path / "a.edf", [fine, *signals, slow]))
        assert (recording.fs, recording.leads, recording.n_samples) == (500, ("I", "II"), 2000)
        np.testing.assert_allclose(whole(recording), stored[:2000, :2] / 1000, rtol=1e-6)
        assert recording.notes == ("leads of another sampling rate are left out (number of leads: 1)",)

    @pytest.mark.parametrize("annotated", [True, False])
    def test_annotations_are_no_lead(self, tmp_path: Path, *, annotated: bool) -> None:
        notes = [edfio.EdfAnnotation(0.5, None, "I felt dizzy")] if annotated else ()
        path = write_edf(tmp_path / "a.edf", [edf_signal(counts()[:, 0], "II")], annotations=notes)
        recording = readers.open_recording(path)
        assert (recording.leads, recording.n_samples) == (("II",), 1000)
        np.testing.assert_allclose(whole(recording)[:, 0], counts()[:, 0] / 1000, rtol=1e-6)


class TestSamples:
    @pytest.mark.parametrize("kind", ["edf", "bdf"])
    def test_samples_are_the_numbers_stored(self, tmp_path: Path, kind: str) -> None:
        signal = whole(readers.open_recording(two_leads(tmp_path / "a", kind=kind)))
        assert signal.dtype == np.float32
        np.testing.assert_array_equal(signal, (counts() * 1e-3).astype(np.float32))

    def test_bdf_keeps_24_bits(self, tmp_path: Path) -> None:
        stored = counts() * 20_000
        recording = readers.open_recording(two_leads(tmp_path / "a.bdf", stored, kind="bdf"))
        np.testing.assert_allclose(whole(recording), stored * 1e-3, rtol=1e-6)

    @pytest.mark.parametrize("kind", ["edf", "bdf"])
    def test_what_is_read_equals_edfio(self, tmp_path: Path, kind: str) -> None:
        path = two_leads(tmp_path / "a", kind=kind)
        reference = (edfio.read_edf if kind == "edf" else edfio.read_bdf)(path)
        expected = np.stack([signal.data for signal in reference.signals], axis=1) / 1000
        np.testing.assert_array_equal(whole(readers.open_recording(path)), expected.astype(np.float32))

    def test_a_block_larger_than_is_read_at_once_is_the_same(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = two_leads(tmp_path / "a.edf")
        signal = whole(readers.open_recording(path))
        monkeypatch.setattr(readers.edf.reader, "_READ_BYTES", 2500)  # two data records and a half
        np.testing.assert_array_equal(whole(readers.open_recording(path)), signal)

    @pytest.mark.parametrize("kind", ["edf", "bdf"])
    def test_blocks_of_any_size_give_the_samples_of_the_whole(self, tmp_path: Path, kind: str) -> None:
        recording = readers.open_recording(two_leads(tmp_path / "a", kind=kind))
        for size in (1, 7, 249, 250, 251, 1000):
            blocks = [recording.read(at, min(at + size, 1000)) for at in range(0, 1000, size)]
            np.testing.assert_array_equal(np.concatenate(blocks), whole(recording))

    @pytest.mark.parametrize(
        ("unit", "factor"), [("mV", 1), ("uV", 1e-3), ("nV", 1e-6), ("V", 1e3), ("microV", 1e-3)]
    )
    def test_units_of_voltage_become_millivolts(self, tmp_path: Path, unit: str, factor: float) -> None:
        path = of_labels(tmp_path / "a.edf", "ECG", unit=unit)
        np.testing.assert_allclose(whole(readers.open_recording(path)), counts(n_leads=1) * factor, rtol=1e-6)

    def test_a_micro_sign_in_latin_1_is_no_volt(self, tmp_path: Path) -> None:
        path = patch(two_leads(tmp_path / "a.edf"), UNIT_OF_FIRST, "\u00b5V")
        np.testing.assert_allclose(whole(readers.open_recording(path)), counts() / 1000, rtol=1e-6)

    def test_gain_and_offset_come_from_the_ranges(self, tmp_path: Path) -> None:
        # -500..1500 uV on -1000..3000: half a uV a unit, 0 at 0.
        signal = edfio.EdfSignal.from_digital(
            counts()[:, 0].astype(np.int16), 250, label="ECG", physical_dimension="uV",
            physical_range=(-400, 1600), digital_range=(-1000, 3000),
        )  # fmt: skip
        expected = (counts()[:, 0] / 2 + 100) / 1000
        np.testing.assert_allclose(
            whole(readers.open_recording(write_edf(tmp_path / "a.edf", [signal])))[:, 0], expected, rtol=1e-5
        )

    def test_decimal_commas_are_understood(self, tmp_path: Path) -> None:
        path = two_leads(tmp_path / "a.edf")
        patch(patch(path, UNIT_OF_FIRST + 16, "-3276,8 "), UNIT_OF_FIRST + 32, "3276,7  ")
        np.testing.assert_allclose(
            whole(readers.open_recording(path))[:, 0], counts()[:, 0] / 10_000, rtol=1e-5
        )

    def test_what_only_fills_the_last_data_record_is_missing(self, tmp_path: Path) -> None:
        # WFDB's mit2edf fills up with its missing sample.
        stored = counts()
        stored[900:] = -(2**15)
        signal = whole(readers.open_recording(two_leads(tmp_path / "a.edf", stored)))
        assert np.isnan(signal[900:]).all()
        np.testing.assert_allclose(signal[:900], stored[:900] / 1000, rtol=1e-6)

    def test_the_lowest_number_alone_is_a_sample(self, tmp_path: Path) -> None:
        stored = counts()
        stored[[500, 999]] = -(2**15)
        assert np.isfinite(whole(readers.open_recording(two_leads(tmp_path / "a.edf", stored)))).all()


class TestInParts:
    def test_between_the_parts_samples_are_missing(self, tmp_path: Path) -> None:
        stored = counts(1000, 1)[:, 0]
        recording = readers.open_recording(edf_in_parts(tmp_path / "a.edf", stored, [0, 1, 5.5, 6.5]))
        assert recording.n_samples == 7.5 * 250
        signal = whole(recording)[:, 0]
        np.testing.assert_allclose(signal[:500], stored[:500] / 1000, rtol=1e-6)
        assert np.isnan(signal[500:1375]).all()
        np.testing.assert_allclose(signal[1375:], stored[500:] / 1000, rtol=1e-6)

    def test_a_block_across_a_gap_equals_the_whole(self, tmp_path: Path) -> None:
        recording = readers.open_recording(
            edf_in_parts(tmp_path / "a.edf", counts(1000, 1)[:, 0], [0, 2, 3, 9])
        )
        signal = whole(recording)
        for size in (1, 100, 333, 1000):
            blocks = [recording.read(at, min(at + size, 2500)) for at in range(0, 2500, size)]
            np.testing.assert_array_equal(np.concatenate(blocks), signal)

    def test_the_first_part_may_begin_later_than_the_header_says(self, tmp_path: Path) -> None:
        recording = readers.open_recording(edf_in_parts(tmp_path / "a.edf", counts(500, 1)[:, 0], [60, 62]))
        assert recording.start == datetime(2024, 1, 1, 0, 1)  # noqa: DTZ001
        assert recording.n_samples == 750

    def test_a_clock_that_is_not_quite_right_makes_no_gap(self, tmp_path: Path) -> None:
        # 8 ms early and late: two samples of 250 Hz.
        stored = counts(1000, 1)[:, 0]
        recording = readers.open_recording(edf_in_parts(tmp_path / "a.edf", stored, [0, 1.008, 2, 2.992]))
        assert recording.n_samples == 1000
        np.testing.assert_allclose(whole(recording)[:, 0], stored / 1000, rtol=1e-6)

    @pytest.mark.parametrize("duration", ["0       ", "-1      ", "1e-300  "])
    def test_parts_of_no_duration_are_refused(self, tmp_path: Path, duration: str) -> None:
        path = patch(edf_in_parts(tmp_path / "a.edf", counts(500, 1)[:, 0], [0, 2]), RECORD_S, duration)
        with pytest.raises(UnreadableError, match=r"outside 50 to 50000 Hz\. Correct the rate"):
            readers.open_recording(path)

    def test_parts_out_of_order_are_refused(self, tmp_path: Path) -> None:
        path = edf_in_parts(tmp_path / "a.edf", counts(500, 1)[:, 0], [5, 3])
        with pytest.raises(
            UnreadableError, match=r"the data records are not in order of time, or they overlap\. Export"
        ):
            readers.open_recording(path)

    def test_a_gap_of_years_is_a_damaged_time(self, tmp_path: Path) -> None:
        path = edf_in_parts(tmp_path / "a.edf", counts(500, 1)[:, 0], [0, 999_999_999])
        with pytest.raises(UnreadableError, match=r"longer than 100 days\. Correct the length"):
            readers.open_recording(path)

    def test_a_part_that_does_not_say_when_is_refused(self, tmp_path: Path) -> None:
        path = edf_in_parts(tmp_path / "a.edf", counts(500, 1)[:, 0], [0, 1])
        content = path.read_bytes().replace(b"+1\x14", b"yes")
        path.write_bytes(content)
        with pytest.raises(UnreadableError, match=r"a data record does not state its onset\. Export"):
            readers.open_recording(path)


class TestWhatIsNoRecording:
    def refuse(self, path: Path, match: str) -> None:
        with pytest.raises(UnreadableError, match=match) as caught:
            readers.open_recording(path)
        assert str(path) in str(caught.value)

    def test_a_file_that_is_cut(self, tmp_path: Path) -> None:
        path = two_leads(tmp_path / "a.edf")
        path.write_bytes(path.read_bytes()[: 768 + 999])
        self.refuse(path, "states 4 data records of 1000 bytes, but 999 bytes follow it. Copy")

    @pytest.mark.parametrize("size", [0, 100, 255])
    def test_a_header_that_is_cut(self, tmp_path: Path, size: int) -> None:
        path = two_leads(tmp_path / "a.edf")
        path.write_bytes(path.read_bytes()[:size])
        self.refuse(path, "not an EDF or BDF file .bad header.. Export")

    def test_a_header_that_is_cut_between_its_signals(self, tmp_path: Path) -> None:
        path = two_leads(tmp_path / "a.edf")
        path.write_bytes(path.read_bytes()[:300])
        self.refuse(path, "the header needs 768 bytes, but the file has 300. Copy")

    def test_a_text_named_as_edf(self, tmp_path: Path) -> None:
        (tmp_path / "a.edf").write_text("Dear Jane Doe, " * 50)
        self.refuse(tmp_path / "a.edf", "not an EDF or BDF file .bad header.. Export")

    @pytest.mark.parametrize(
        ("at", "field", "match"),
        [
            (252, "0   ", "states 0 signals, outside 1 to 2048. Export"),
            (252, "9999", "states 9999 signals, outside 1 to 2048"),
            (252, "-1  ", "states -1 signals, outside 1 to 2048"),
            (252, "two ", "the number of signals in the header is not a number. Export"),
            (HEADER_BYTES, "512     ", "states its size as 512 bytes, but 2 signals need 768. Export"),
            (RECORD_S, "0       ", "the sampling rate is 0 Hz, outside 50 to 50000 Hz"),
            (RECORD_S, "-1      ", "outside 50 to 50000 Hz. Correct the rate"),
            (RECORD_S, "1000    ", "the sampling rate is 0.25 Hz, outside 50 to 50000 Hz"),
            (RECORD_S, "1e-300  ", "outside 50 to 50000 Hz. Correct the rate"),
        ],
    )
    def test_a_header_that_cannot_be_true(self, tmp_path: Path, at: int, field: str, match: str) -> None:
        self.refuse(patch(two_leads(tmp_path / "a.edf"), at, field), match)

    def test_a_patient_is_never_named(self, tmp_path: Path) -> None:
        path = patch(of_labels(tmp_path / "a.edf", "EEG"), 8, "0815 F 01-JAN-1950 Jane_Doe")
        with pytest.raises(UnreadableError) as caught:
            readers.open_recording(path)
        assert "Jane" not in str(caught.value)

    def test_a_file_that_shrinks_after_it_was_opened(self, tmp_path: Path) -> None:
        path = two_leads(tmp_path / "a.edf")
        recording = readers.open_recording(path)
        path.write_bytes(path.read_bytes()[:1500])
        with pytest.raises(
            UnreadableError, match=r"ends too early \(732 of 4000 numbers read\)\. Copy the complete file"
        ):
            whole(recording)

    def test_a_file_that_is_gone_after_it_was_opened(self, tmp_path: Path) -> None:
        path = two_leads(tmp_path / "a.edf")
        recording = readers.open_recording(path)
        path.unlink()
        with pytest.raises(
            UnreadableError,
            match=r"cannot read the samples \(No such file.*\)\. Check that the file still exists",
        ):
            whole(recording)
