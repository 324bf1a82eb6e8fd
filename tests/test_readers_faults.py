"""Files that do not keep what their header states, in every format: what is there is read, and a note says so."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ectopy import readers
from ectopy.ecg import Recording, UnreadableError
from ectopy.readers import validation
from ectopy.readers.validation import millivolts, unit_problem
from tests.format_files import (
    aecg,
    aecg_lead,
    aecg_series,
    aecg_set,
    counts,
    dicom_channel,
    dicom_group,
    edf_in_parts,
    edf_signal,
    ishne,
    limb_leads,
    patch,
    scp,
    scp_file,
    scp_leads,
    scp_signals,
    sierra,
    two_dicom_leads,
    write_dicom,
    write_edf,
)

N_RECORDS, UNIT, LOW = 236, 256 + 96 * 2, 256 + 104 * 2  # of an EDF with two signals
UTF8_MICRO = "\u00b5V".encode().decode("latin-1")


def edf(path: Path, *, n_records: str = "60", units: str = "uV") -> Path:
    """Write 60 data records of 1 s, II and V1."""
    stored = counts(60 * 250)
    write_edf(path, [edf_signal(stored[:, at], lead) for at, lead in enumerate(("II", "V1"))])
    patch(path, UNIT, f"{units:8}")
    return patch(path, N_RECORDS, f"{n_records:8}")


def wfdb(
    folder: Path, *, n_frames: int, files: tuple[str, ...] = ("a.dat", "a.dat"), unit: str = "mV"
) -> Path:
    """Write 1,000 frames of II and V1 at 250 Hz, in one file or in two."""
    for name in set(files):
        leads = [at for at, own in enumerate(files) if own == name]
        (folder / name).write_bytes(counts()[:, leads].astype("<i2").tobytes())
    lines = [
        f"{name} 16 1000/{unit} 16 0 0 0 0 {lead}" for name, lead in zip(files, ("II", "V1"), strict=True)
    ]
    path = folder / "a.hea"
    path.write_text("\n".join([f"a 2 250 {n_frames}", *lines]))
    return path


def whole(recording: Recording) -> np.ndarray:
    return recording.read(0, recording.n_samples)


class TestCounts:
    @pytest.mark.parametrize(
        ("stated", "incomplete"),
        [("0", False), ("58", False), ("-2", False), ("61", True), ("86400", True), ("9999999", True)],
    )
    def test_edf_has_the_whole_records_of_the_file(
        self, tmp_path: Path, stated: str, *, incomplete: bool
    ) -> None:
        recording = readers.open_recording(edf(tmp_path / "a.edf", n_records=stated))
        np.testing.assert_allclose(whole(recording), counts(60 * 250) / 1000, rtol=1e-6)
        assert recording.incomplete == incomplete
        note = f"the header states {stated} data records, the file has 60 whole ones, which are read"
        assert recording.notes == (() if stated == "-2" else (note,))

    @pytest.mark.parametrize("lost", [1, 999, 1000])
    def test_edf_without_the_end_of_its_last_record_has_the_others(self, tmp_path: Path, lost: int) -> None:
        path = edf(tmp_path / "a.edf")
        os.truncate(path, path.stat().st_size - lost)
        recording = readers.open_recording(path)
        np.testing.assert_allclose(whole(recording), counts(60 * 250)[: 59 * 250] / 1000, rtol=1e-6)
        assert recording.incomplete
        assert "states 60 data records, the file has 59 whole ones" in recording.notes[0]

    def test_edf_in_parts_has_the_whole_records_of_the_file(self, tmp_path: Path) -> None:
        path = edf_in_parts(tmp_path / "a.edf", counts(750, 1)[:, 0], [0, 1, 5])
        os.truncate(path, path.stat().st_size - 1)
        recording = readers.open_recording(path)
        assert (recording.n_samples, recording.incomplete) == (500, True)

    def test_what_follows_the_records_of_a_file_in_parts_may_be_no_record(self, tmp_path: Path) -> None:
        path = edf_in_parts(tmp_path / "a.edf", counts(750, 1)[:, 0], [0, 1, 5])
        with path.open("ab") as file:
            file.write(bytes(540))
        recording = readers.open_recording(path)
        assert (recording.n_samples, recording.incomplete, recording.notes) == (1500, False, ())

    def test_a_data_record_as_long_as_the_recording_is_read_in_blocks(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stored = counts(5000)
        signals = [edf_signal(stored[:, at], lead) for at, lead in enumerate(("II", "V1"))]
        path = write_edf(tmp_path / "a.edf", signals, data_record_duration=20)
        monkeypatch.setattr(readers.edf.reader, "_READ_BYTES", 2000)
        recording = readers.open_recording(path)
        for start, stop in ((0, 5000), (0, 1), (1234, 4321), (4999, 5000)):
            np.testing.assert_allclose(recording.read(start, stop), stored[start:stop] / 1000, rtol=1e-6)

    @pytest.mark.parametrize(("stated", "incomplete"), [(900, False), (1001, True), (10**9, True)])
    def test_wfdb_has_the_whole_frames_of_the_file(
        self, tmp_path: Path, stated: int, *, incomplete: bool
    ) -> None:
        recording = readers.open_recording(wfdb(tmp_path, n_frames=stated))
        np.testing.assert_array_equal(whole(recording), (counts() / 1000).astype(np.float32))
        assert recording.incomplete == incomplete
        note = f"the header states {stated} frames, the signal files have 1000, which are read"
        assert recording.notes == (note,)

    @pytest.mark.parametrize("n_frames", [0, 1000])
    def test_wfdb_files_of_unequal_length_are_read_to_the_end_of_the_longest(
        self, tmp_path: Path, n_frames: int
    ) -> None:
        path = wfdb(tmp_path, n_frames=n_frames, files=("a.dat", "b.dat"))
        os.truncate(tmp_path / "b.dat", 2 * 500)
        recording = readers.open_recording(path)
        signal = whole(recording)
        np.testing.assert_array_equal(signal[:, 0], (counts()[:, 0] / 1000).astype(np.float32))
        assert np.isfinite(signal[:500, 1]).all()
        assert np.isnan(signal[500:, 1]).all()
        assert recording.notes == ("a signal file ends 2.0 s before another one",)
        assert recording.incomplete == bool(n_frames)

    def test_without_one_of_its_signal_files_wfdb_has_the_other_leads(self, tmp_path: Path) -> None:
        path = wfdb(tmp_path, n_frames=1000, files=("a.dat", "b.dat"))
        (tmp_path / "a.dat").unlink()
        recording = readers.open_recording(path)
        assert (recording.leads, recording.incomplete) == (("V1",), True)
        assert recording.notes == ("lead II is left out: its signal file is missing or damaged",)
        np.testing.assert_array_equal(whole(recording)[:, 0], (counts()[:, 1] / 1000).astype(np.float32))

    @pytest.mark.parametrize(("stated", "incomplete"), [(0, False), (400, False), (700, True), (10**9, True)])
    def test_dicom_has_the_samples_of_the_file(
        self, tmp_path: Path, stated: int, *, incomplete: bool
    ) -> None:
        group = dicom_group(counts(600), two_dicom_leads(), NumberOfWaveformSamples=stated)
        recording = readers.open_recording(write_dicom(tmp_path / "a.dcm", [group]))
        np.testing.assert_allclose(whole(recording), counts(600) * 5e-3, rtol=1e-6)
        assert recording.incomplete == incomplete
        note = f"the file states {stated} samples of a waveform, and has 600"
        assert recording.notes == (note,)

    @pytest.mark.parametrize(("lost", "n_samples"), [(1, 3999), (2000, 3500), (7900, 2025)])
    def test_a_dicom_file_that_was_cut_has_the_samples_that_are_left(
        self, tmp_path: Path, lost: int, n_samples: int
    ) -> None:
        later = dicom_group(counts(2000), two_dicom_leads(), MultiplexGroupTimeOffset=4000)
        path = write_dicom(tmp_path / "a.dcm", [dicom_group(counts(2000), two_dicom_leads()), later])
        os.truncate(path, path.stat().st_size - lost)
        recording = readers.open_recording(path)
        assert (recording.n_samples, recording.incomplete) == (n_samples, True)
        assert recording.notes == (f"the file states 2000 samples of a waveform, and has {n_samples - 2000}",)

    def test_the_byte_that_makes_a_dicom_length_even_is_no_sample(self, tmp_path: Path) -> None:
        group = dicom_group(counts(601, 1, limit=100), [dicom_channel()], dtype="i1", interpretation="SB")
        group.WaveformData += b"\0"
        recording = readers.open_recording(write_dicom(tmp_path / "a.dcm", [group]))
        assert (recording.n_samples, recording.notes) == (601, ())

    @pytest.mark.parametrize("stated", [1001, 2**32 - 1])
    def test_scp_has_the_samples_of_the_file(self, tmp_path: Path, stated: int) -> None:
        stored = counts(1000, 1)
        sections = {3: scp_leads([(1, stated)], (2,)), 6: scp_signals([stored.astype("<i2").tobytes()])}
        (tmp_path / "a.scp").write_bytes(scp_file(sections))
        recording = readers.open_recording(tmp_path / "a.scp")
        np.testing.assert_allclose(whole(recording), stored * 5e-3, rtol=1e-6)
        assert recording.incomplete
        assert recording.notes == (
            f"leads are shorter than section 3 states, the longest of them has 1000 of {stated} samples",
        )

    @pytest.mark.parametrize("coded", [False, True])
    def test_an_scp_file_that_was_cut_has_what_is_left_of_its_rhythm(
        self, tmp_path: Path, *, coded: bool
    ) -> None:
        content = scp(counts(), coded=coded, order=2)
        (tmp_path / "a.scp").write_bytes(content[: -len(content) // 4])
        recording = readers.open_recording(tmp_path / "a.scp")
        signal = whole(recording)
        assert (recording.leads, recording.incomplete) == (("I", "II"), True)
        left = np.isfinite(signal[:, 1]).sum()
        assert 300 < left < 700
        np.testing.assert_allclose(signal[:, 0], counts()[:, 0] * 5e-3, rtol=1e-5)
        np.testing.assert_allclose(signal[: left - 2, 1], counts()[: left - 2, 1] * 5e-3, rtol=1e-5)

    def test_sierra_has_the_samples_of_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.xml").write_text(sierra(limb_leads(600), duration_ms=1400))
        recording = readers.open_recording(tmp_path / "a.xml")
        assert (recording.n_samples, recording.incomplete) == (600, True)
        assert recording.notes == ("the file states 700 samples of a lead, and has 600, which are read",)

    def test_ishne_with_more_samples_than_stated_has_them_all(self, tmp_path: Path) -> None:
        (tmp_path / "a.ecg").write_bytes(ishne(counts(3000), n_said=2500))
        recording = readers.open_recording(tmp_path / "a.ecg")
        assert (recording.n_samples, recording.incomplete) == (3000, False)
        assert recording.notes == (
            "the header states 2500 samples of each lead, the file has 3000, which are read",
        )

    def test_a_count_that_could_mean_all_leads_together_is_noted(self, tmp_path: Path) -> None:
        (tmp_path / "a.ecg").write_bytes(ishne(counts(1000), n_said=2000))
        assert readers.open_recording(tmp_path / "a.ecg").notes == (
            "the header states 2000 samples, taken as those of all leads together",
        )


@pytest.mark.filterwarnings("error")
class TestScalesBeyondReason:
    def test_samples_are_infinite_without_a_warning_of_a_library(self, tmp_path: Path) -> None:
        path = patch(edf(tmp_path / "a.edf"), LOW, f"{'-1e300':8}{'-1':8}{'1e300':8}{'1':8}")
        assert np.isinf(whole(readers.open_recording(path))[:, 0]).any()
        header = wfdb(tmp_path, n_frames=1000)
        header.write_text(header.read_text().replace("1000/mV", "1e-99/mV", 1))
        assert np.isinf(whole(readers.open_recording(header))[:, 0]).any()
        signal = whole(readers.open_recording(aecg_without_scale(tmp_path / "a.xml", scale="1e90")))
        assert np.isinf(signal[:, 1]).any()


def edf_without_range(path: Path) -> Path:
    return patch(edf(path), LOW + 8, f"{'0':8}" + f"{'32767':8}{'0':8}")


def ishne_without_resolution(path: Path) -> Path:
    content = bytearray(ishne(counts()))
    struct.pack_into("<h", content, 208, 0)
    path.write_bytes(content)
    return path


def dicom_without_sensitivity(path: Path, **second: object) -> Path:
    second = second or {"sensitivity": 0}
    channels = [dicom_channel(0, code="5.6.3-9-2"), dicom_channel(1, code="5.6.3-9-3", **second)]
    return write_dicom(path, [dicom_group(counts(), channels)])


def aecg_without_scale(path: Path, **second: str) -> Path:
    leads = [
        aecg_lead("MDC_ECG_LEAD_II", counts()[:, 0]),
        aecg_lead("MDC_ECG_LEAD_V1", counts()[:, 1], **(second or {"scale": "0"})),
    ]
    path.write_text(aecg([aecg_series([aecg_set(leads)])]))
    return path


def scp_without_samples(path: Path) -> Path:
    stored = counts(1000, 1)
    sections = {
        3: scp_leads([(1, 1000), (1, 0)], (1, 3)),
        6: scp_signals([stored.astype("<i2").tobytes(), b""]),
    }
    path.write_bytes(scp_file(sections))
    return path


class TestOneUnusableLead:
    @pytest.mark.parametrize(
        ("name", "write", "problem"),
        [
            ("a.edf", edf_without_range, "it has no physical range"),
            ("a.ecg", ishne_without_resolution, "it has no resolution"),
            ("a.dcm", dicom_without_sensitivity, "it has no sensitivity"),
            (
                "b.dcm",
                lambda path: dicom_without_sensitivity(path, ChannelSensitivity=None),
                "it has no sensitivity",
            ),
            ("c.dcm", lambda path: dicom_without_sensitivity(path, unit="Miller"), "its unit is not known"),
            ("a.xml", aecg_without_scale, "it has no scale"),
            ("b.xml", lambda path: aecg_without_scale(path, unit=""), "it has no unit"),
            (
                "c.xml",
                lambda path: aecg_without_scale(path, origin="Miller"),
                "its scale, origin or samples are not all numbers",
            ),
            ("a.scp", scp_without_samples, "it has no samples"),
        ],
    )
    def test_is_left_out_by_name(
        self, tmp_path: Path, name: str, write: Callable[[Path], Path], problem: str
    ) -> None:
        recording = readers.open_recording(write(tmp_path / name))
        assert recording.notes == (f"lead V1 is left out: {problem}",)
        assert len(recording.leads) == 1
        assert np.isfinite(whole(recording)).all()

    def test_what_is_left_is_the_right_lead(self, tmp_path: Path) -> None:
        signal = whole(readers.open_recording(dicom_without_sensitivity(tmp_path / "a.dcm")))
        np.testing.assert_allclose(signal[:, 0], counts()[:, 0] * 5e-3, rtol=1e-6)
        signal = whole(readers.open_recording(ishne_without_resolution(tmp_path / "a.ecg")))
        np.testing.assert_allclose(signal[:, 0], counts()[:, 0] * 5e-3, rtol=1e-6)

    def test_without_any_usable_lead_a_file_is_refused(self, tmp_path: Path) -> None:
        path = edf(tmp_path / "a.edf", units="uV      ADU")
        patch(path, LOW, f"{'0':8}" * 4)
        with pytest.raises(UnreadableError) as refused:
            readers.open_recording(path)
        assert str(refused.value) == (
            f"{path}: no lead can be read (lead II is left out: it has no physical range; lead V1 is left out: "
            "its unit ADU is not a known unit of voltage). Give the unit if you know it, such as --unit uV, or correct the header."
        )


class TestUnits:
    @pytest.mark.parametrize(
        ("unit", "factor"),
        [
            (UTF8_MICRO, 1e-3),
            ("\u03bcV".encode().decode("latin-1"), 1e-3),
            ("\u00b5V", 1e-3),
            ("\u00e6V", 1e-3),
            ("[uV]", 1e-3),
            ("uV.", 1e-3),
            ("uVolt", 1e-3),
            ("MICROV", 1e-3),
            ("mVolts", 1.0),
            ("milli V", 1.0),
            ("V", 1e3),
        ],
    )
    def test_spellings_of_voltage_are_known(self, tmp_path: Path, unit: str, factor: float) -> None:
        recording = readers.open_recording(edf(tmp_path / "a.edf", units=unit))
        np.testing.assert_allclose(whole(recording)[:, 0], counts(15_000)[:, 0] * factor, rtol=1e-6)
        assert recording.notes == ()

    @pytest.mark.parametrize("unit", ["", ".V", "?V", "ADU", "Miller"])
    def test_an_unknown_unit_leaves_a_lead_out_unless_it_is_given(self, tmp_path: Path, unit: str) -> None:
        path = edf(tmp_path / "a.edf", units=unit)
        recording = readers.open_recording(path)
        assert recording.leads == ("V1",)
        assert recording.notes == (f"lead II is left out: {unit_problem(unit)}",)
        given = readers.open_recording(path, unit="mV")
        assert given.notes == ("lead II is read in mV, as given: the file has no known unit",)
        np.testing.assert_allclose(whole(given), counts(15_000) * [1, 1e-3], rtol=1e-6)

    def test_a_stated_unit_is_not_overruled(self, tmp_path: Path) -> None:
        for unit in ("uV", "mmHg"):
            path = edf(tmp_path / "a.edf", units=unit)
            ours, given = readers.open_recording(path), readers.open_recording(path, unit="V")
            assert (given.leads, given.notes) == (ours.leads, ours.notes)
            np.testing.assert_array_equal(whole(given), whole(ours))

    @pytest.mark.parametrize("unit", ["Miller", "J.Doe", "Wu"])
    def test_text_in_a_unit_is_not_quoted(self, tmp_path: Path, unit: str) -> None:
        for path in (
            edf(tmp_path / "a.edf", units=f"{unit:8}{unit}"),
            wfdb(tmp_path, n_frames=1000, unit=unit),
            dicom_without_sensitivity(tmp_path / "a.dcm", unit=unit),
        ):
            try:
                said = str(readers.open_recording(path).notes)
            except UnreadableError as error:
                said = str(error).removeprefix(str(path))
            assert "its unit is not known" in said
            assert unit not in said

    def test_wfdb_in_an_unknown_unit_takes_the_given_one(self, tmp_path: Path) -> None:
        path = wfdb(tmp_path, n_frames=1000, unit="NU")
        with pytest.raises(
            UnreadableError, match=r"\(its unit NU is not a known unit of voltage\)\. Give the unit"
        ):
            readers.open_recording(path)
        recording = readers.open_recording(path, unit="uV")
        np.testing.assert_allclose(whole(recording), counts() * 1e-6, rtol=1e-6)
        assert recording.notes == ("leads II, V1 are read in uV, as given: the file has no known unit",)

    def test_a_label_that_may_be_a_name_is_not_quoted(self, tmp_path: Path) -> None:
        path = write_edf(
            tmp_path / "a.edf",
            [edf_signal(counts()[:, at], f"ECG {name}") for at, name in enumerate(("II", "Miller"))],
        )
        patch(path, UNIT + 8, " " * 8)
        assert readers.open_recording(path).notes == ("lead number 2 is left out: it has no unit",)

    def test_only_units_of_voltage_can_be_given(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"mmHg: not a unit of voltage\. Give mV, uV, V or nV"):
            readers.open_recording(edf(tmp_path / "a.edf"), unit="mmHg")

    def test_no_unit_of_something_else_is_one_of_voltage(self) -> None:
        assert not any(millivolts(unit) for unit in validation._OTHER_UNITS | validation._UNKNOWN_UNITS)


class TestBounds:
    def refuse(self, match: str, *, n_samples: int = 1000, fs: float = 500.0, n_leads: int = 2) -> None:
        with pytest.raises(UnreadableError, match=match):
            validation.check_size(Path("a"), n_samples, fs, n_leads=n_leads)

    def test_size_is_bounded_in_leads_rate_and_length_together(self) -> None:
        self.refuse(r"a: 2049 leads, more than the limit of 2048\. Split", n_leads=2049)
        self.refuse(
            r"a: 2048 leads at 50000 Hz are more than 4,194,304 samples a second", n_leads=2048, fs=5e4
        )
        self.refuse(r"samples of 12 leads are more than 17,179,869,184 values", n_samples=2**31, n_leads=12)
        self.refuse(r"longer than 100 days", n_samples=2**34)

    @pytest.mark.parametrize(
        ("n_leads", "fs", "days"),
        [(32, 2000, 0.1), (12, 1000, 1), (1, 1000, 14), (256, 2000, 0.02), (12, 1000, 14), (3, 250, 100)],
    )
    def test_what_recorders_record_is_within_the_bounds(self, n_leads: int, fs: float, days: float) -> None:
        validation.check_size(Path("a"), round(days * 86_400 * fs), fs, n_leads=n_leads)

    def test_an_annotated_ecg_of_too_many_leads_is_refused(self, tmp_path: Path) -> None:
        leads = [aecg_lead("MDC_ECG_LEAD_II", counts(2, 1)[:, 0])] * 2049
        (tmp_path / "a.xml").write_text(aecg([aecg_series([aecg_set(leads)])]))
        with pytest.raises(UnreadableError, match="2049 leads, more than the limit of 2048"):
            readers.open_recording(tmp_path / "a.xml")

    def test_a_file_that_is_read_whole_is_bounded_in_samples_times_leads(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(validation, "MOST_VALUES_IN_MEMORY", 1999)
        (tmp_path / "a.scp").write_bytes(scp(counts(1000)))
        with pytest.raises(
            UnreadableError, match=r"2,000 samples x leads in a file that is read whole, more than"
        ):
            readers.open_recording(tmp_path / "a.scp")

    def test_of_a_wide_signal_file_only_a_part_is_read_at_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recording = readers.open_recording(wfdb(tmp_path, n_frames=1000))
        signal = whole(recording)
        monkeypatch.setattr(readers.wfdb.signals, "VALUES_AT_ONCE", 70)  # 35 frames of two signals
        np.testing.assert_array_equal(whole(recording), signal)
