"""DICOM waveforms, written by pydicom."""

import zlib
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from ectopy import readers
from ectopy.ecg import Recording, UnreadableError
from tests.format_files import counts, dicom_channel, dicom_group, two_dicom_leads, write_dicom


def whole(recording: Recording) -> NDArray[np.float32]:
    return recording.read(0, recording.n_samples)


def of_one(path: Path, **channel: object) -> Path:
    return write_dicom(path, [dicom_group(counts(n_leads=1), [dicom_channel(**channel)])])


class TestFacts:
    def test_a_file_says_its_name_rate_leads_length_and_start(self, tmp_path: Path) -> None:
        recording = readers.open_recording(
            write_dicom(tmp_path / "a.dcm", [dicom_group(counts(), two_dicom_leads())])
        )
        assert recording.name == "a"
        assert (recording.fs, recording.leads, recording.n_samples) == (500, ("I", "II"), 1000)
        assert recording.start == datetime(2024, 2, 29, 23, 59, 58, 500_000)  # noqa: DTZ001

    @pytest.mark.parametrize("kind", ["1.1", "1.2", "1.3", "1.4"])  # 12-lead, general, ambulatory, 32 bits
    def test_a_file_is_known_by_content_whatever_its_name(self, tmp_path: Path, kind: str) -> None:
        groups = [dicom_group(counts(), two_dicom_leads())]
        path = write_dicom(tmp_path / "IM000001", groups, sop_class=f"1.2.840.10008.5.1.4.1.1.9.{kind}")
        assert readers.is_recording(path)
        assert readers.open_recording(path).n_samples == 1000

    def test_an_image_is_no_recording_but_says_why_when_it_is_named(self, tmp_path: Path) -> None:
        path = write_dicom(tmp_path / "a.dcm", [], sop_class="1.2.840.10008.5.1.4.1.1.2", WaveformSequence=[])
        assert not readers.is_recording(path)
        with pytest.raises(
            UnreadableError, match=r"a\.dcm: no waveform with ECG leads in a unit of voltage\. Export"
        ):
            readers.open_recording(path)

    @pytest.mark.parametrize(
        ("said", "start"),
        [
            (
                {"AcquisitionDateTime": "20240229", "ContentDate": "20240301", "ContentTime": "101112"},
                "2024-03-01T10:11:12",
            ),
            (
                {"AcquisitionDateTime": "", "StudyDate": "20240301", "StudyTime": "101112.25"},
                "2024-03-01T10:11:12.250000",
            ),
            ({"AcquisitionDateTime": ""}, None),
        ],
    )
    def test_the_start_is_what_has_date_and_time(
        self, tmp_path: Path, said: dict[str, str], start: str | None
    ) -> None:
        path = write_dicom(tmp_path / "a.dcm", [dicom_group(counts(), two_dicom_leads())], **said)
        found = readers.open_recording(path).start
        assert (found and found.isoformat()) == start

    @pytest.mark.parametrize(
        ("code", "scheme", "lead"),
        [
            ("5.6.3-9-2", "SCPECG", "II"),
            ("5.6.3-9-61", "SCPECG", "III"),
            ("5.6.3-9-62", "SCPECG", "aVR"),
            ("2:3", "MDC", "V1"),
            ("2:257", "MDC", "I"),
            ("131389", "MDC", "III"),  # 2 << 16 | 256 | 61 less 256: the plain code of 11073-10101
            ("MDC_ECG_LEAD_AVF", "MDC", "aVF"),
        ],
    )
    def test_leads_are_known_by_their_codes(self, tmp_path: Path, code: str, scheme: str, lead: str) -> None:
        assert readers.open_recording(of_one(tmp_path / "a.dcm", code=code, scheme=scheme)).leads == (lead,)

    @pytest.mark.parametrize(
        ("meaning", "lead"), [("Lead II", "II"), ("Lead I (Einthoven)", "I"), ("ECG", "ECG")]
    )
    def test_or_by_their_names(self, tmp_path: Path, meaning: str, lead: str) -> None:
        path = of_one(tmp_path / "a.dcm", code="X1", scheme="99VENDOR", meaning=meaning)
        assert readers.open_recording(path).leads == (lead,)

    def test_an_unknown_lead_of_an_ecg_is_counted(self, tmp_path: Path) -> None:
        channels = [dicom_channel(at, code="X1", scheme="99VENDOR", meaning="Kanal") for at in range(2)]
        group = dicom_group(counts(), channels)
        assert readers.open_recording(write_dicom(tmp_path / "a.dcm", [group])).leads == ("lead 1", "lead 2")
        hemodynamic = write_dicom(tmp_path / "b.dcm", [group], sop_class="1.2.840.10008.5.1.4.1.1.9.2.1")
        with pytest.raises(
            UnreadableError, match=r"no waveform with ECG leads in a unit of voltage\. Export"
        ):
            readers.open_recording(hemodynamic)

    @pytest.mark.parametrize("meaning", ["Arterial pressure", "Respiration", "EEG C3", "Pleth"])
    def test_another_source_is_no_lead(self, tmp_path: Path, meaning: str) -> None:
        other = dicom_channel(1, code="1-2", scheme="SRT", meaning=meaning)
        path = write_dicom(tmp_path / "a.dcm", [dicom_group(counts(), [dicom_channel(0), other])])
        assert readers.open_recording(path).leads == ("I",)
        with pytest.raises(
            UnreadableError, match=r"no waveform with ECG leads in a unit of voltage\. Export"
        ):
            readers.open_recording(of_one(tmp_path / "b.dcm", code="1-2", scheme="SRT", meaning=meaning))


class TestSamples:
    @pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
    def test_every_transfer_syntax_gives_the_numbers_stored(self, tmp_path: Path, syntax: str) -> None:
        path = write_dicom(tmp_path / "a.dcm", [dicom_group(counts(), two_dicom_leads())], syntax=syntax)
        np.testing.assert_allclose(whole(readers.open_recording(path)), counts() * 5e-3, rtol=1e-6)

    def test_high_bytes_may_come_first(self, tmp_path: Path) -> None:
        groups = [dicom_group(counts(), two_dicom_leads(), dtype=">i2")]
        path = write_dicom(tmp_path / "a.dcm", groups, syntax=ExplicitVRBigEndian)
        np.testing.assert_allclose(whole(readers.open_recording(path)), counts() * 5e-3, rtol=1e-6)

    @pytest.mark.parametrize(
        ("interpretation", "dtype"),
        [("SB", "i1"), ("UB", "u1"), ("SS", "<i2"), ("US", "<u2"), ("SL", "<i4"), ("UL", "<u4")],
    )
    def test_every_kind_of_number_is_read(self, tmp_path: Path, interpretation: str, dtype: str) -> None:
        stored = counts(limit=100) + (0 if dtype.lstrip("<")[0] == "i" else 60)
        group = dicom_group(stored, two_dicom_leads(), dtype=dtype, interpretation=interpretation)
        np.testing.assert_allclose(
            whole(readers.open_recording(write_dicom(tmp_path / "a.dcm", [group]))), stored * 5e-3, rtol=1e-6
        )

    @pytest.mark.parametrize(("unit", "factor"), [("uV", 1e-3), ("mV", 1), ("V", 1e3), ("nV", 1e-6)])
    def test_sensitivity_correction_and_baseline_scale_a_channel(
        self, tmp_path: Path, unit: str, factor: float
    ) -> None:
        path = of_one(
            tmp_path / "a.dcm",
            unit=unit,
            sensitivity=2.0,
            ChannelSensitivityCorrectionFactor=1.5,
            ChannelBaseline=100,
        )
        expected = (counts(n_leads=1) * 3.0 + 100) * factor
        np.testing.assert_allclose(whole(readers.open_recording(path)), expected, rtol=1e-5)

    def test_what_reads_here_equals_pydicom(self, tmp_path: Path) -> None:
        path = write_dicom(tmp_path / "a.dcm", [dicom_group(counts(), two_dicom_leads(sensitivity=1.25))])
        reference = pydicom.dcmread(path).waveform_array(0) / 1000
        np.testing.assert_allclose(whole(readers.open_recording(path)), reference, rtol=1e-6)

    def test_the_lowest_number_of_16_bits_is_missing_without_padding_too(self, tmp_path: Path) -> None:
        stored = counts()
        stored[100, 1] = -(2**15)
        signal = whole(
            readers.open_recording(write_dicom(tmp_path / "a.dcm", [dicom_group(stored, two_dicom_leads())]))
        )
        assert np.argwhere(np.isnan(signal)).tolist() == [[100, 1]]

    def test_padding_is_missing(self, tmp_path: Path) -> None:
        stored = counts()
        stored[10, 1] = -(2**15)
        group = dicom_group(stored, two_dicom_leads(), WaveformPaddingValue=b"\x00\x80")
        signal = whole(readers.open_recording(write_dicom(tmp_path / "a.dcm", [group])))
        assert np.argwhere(np.isnan(signal)).tolist() == [[10, 1]]

    def test_a_skewed_channel_begins_later(self, tmp_path: Path) -> None:
        channels = [dicom_channel(0), dicom_channel(1, code="5.6.3-9-2", ChannelSampleSkew=3)]
        signal = whole(
            readers.open_recording(write_dicom(tmp_path / "a.dcm", [dicom_group(counts(), channels)]))
        )
        assert signal.shape == (1003, 2)
        np.testing.assert_allclose(signal[3:, 1], counts()[:, 1] * 5e-3, rtol=1e-6)


class TestGroups:
    def test_median_beats_are_no_rhythm(self, tmp_path: Path) -> None:
        beats = dicom_group(
            counts(1200, seed=1), two_dicom_leads(), label="MEDIAN BEAT", WaveformOriginality="DERIVED"
        )
        for groups in (
            [dicom_group(counts(), two_dicom_leads()), beats],
            [beats, dicom_group(counts(), two_dicom_leads())],
        ):
            recording = readers.open_recording(write_dicom(tmp_path / "a.dcm", groups))
            assert recording.n_samples == 1000
            np.testing.assert_allclose(whole(recording), counts() * 5e-3, rtol=1e-6)

    def test_median_beats_alone_are_no_recording(self, tmp_path: Path) -> None:
        beats = dicom_group(counts(), two_dicom_leads(), label="MEDIAN BEAT", WaveformOriginality="DERIVED")
        with pytest.raises(
            UnreadableError, match=r"no waveform with ECG leads in a unit of voltage\. Export"
        ):
            readers.open_recording(write_dicom(tmp_path / "a.dcm", [beats]))

    def test_what_was_recorded_counts_more_than_what_was_derived(self, tmp_path: Path) -> None:
        derived = dicom_group(
            counts(2000, seed=1), two_dicom_leads(), WaveformOriginality="DERIVED", label="FILTERED"
        )
        path = write_dicom(tmp_path / "a.dcm", [derived, dicom_group(counts(), two_dicom_leads())])
        assert readers.open_recording(path).n_samples == 1000
        assert readers.open_recording(write_dicom(tmp_path / "b.dcm", [derived])).n_samples == 2000

    def test_groups_one_after_the_other_make_one_recording(self, tmp_path: Path) -> None:
        # The four columns of a printed ECG: two leads for 2 s, then two others.
        later = [dicom_channel(at, code=f"5.6.3-9-{at + 3}") for at in range(2)]
        groups = [
            dicom_group(counts(), two_dicom_leads(), MultiplexGroupTimeOffset=0),
            dicom_group(counts(seed=8), later, MultiplexGroupTimeOffset=2500),
        ]
        recording = readers.open_recording(write_dicom(tmp_path / "a.dcm", groups))
        assert (recording.leads, recording.n_samples) == (("I", "II", "V1", "V2"), 2250)
        signal = whole(recording)
        np.testing.assert_allclose(signal[:1000, :2], counts() * 5e-3, rtol=1e-6)
        np.testing.assert_allclose(signal[1250:, 2:], counts(seed=8) * 5e-3, rtol=1e-6)
        assert np.isnan(signal[1000:, :2]).all()
        assert np.isnan(signal[:1250, 2:]).all()

    @pytest.mark.parametrize(
        "damage",
        [
            {"WaveformSampleInterpretation": "MB"},  # sound
            {"WaveformBitsAllocated": 8},
            {"NumberOfWaveformChannels": 3},
            {"WaveformData": None},
            {"SamplingFrequency": None},
        ],
    )
    def test_a_group_that_cannot_be_read_does_not_cost_the_rhythm(
        self, tmp_path: Path, damage: dict[str, object]
    ) -> None:
        bad = dicom_group(counts(), two_dicom_leads(), **damage)
        for name in [name for name, value in damage.items() if value is None]:
            delattr(bad, name)
        path = write_dicom(tmp_path / "a.dcm", [bad, dicom_group(counts(), two_dicom_leads())])
        recording = readers.open_recording(path)
        np.testing.assert_allclose(whole(recording), counts() * 5e-3, rtol=1e-6)
        assert recording.notes == ("1 of 2 waveforms cannot be read and are left out",)

    def test_a_channel_without_a_sensitivity_does_not_cost_the_other(self, tmp_path: Path) -> None:
        channels = two_dicom_leads()
        del channels[1].ChannelSensitivity
        recording = readers.open_recording(write_dicom(tmp_path / "a.dcm", [dicom_group(counts(), channels)]))
        assert recording.leads == ("I",)
        assert recording.notes == ("lead II is left out: it has no sensitivity",)

    def test_two_waveforms_of_one_time_are_not_both_read_in_silence(self, tmp_path: Path) -> None:
        groups = [dicom_group(counts(), two_dicom_leads()), dicom_group(counts(seed=8), two_dicom_leads())]
        recording = readers.open_recording(write_dicom(tmp_path / "a.dcm", groups))
        np.testing.assert_allclose(whole(recording), counts() * 5e-3, rtol=1e-6)
        assert recording.notes == ("a second waveform of a lead and time is left out",)


class TestWhatIsNoRecording:
    def refuse(self, path: Path, match: str) -> None:
        with pytest.raises(UnreadableError, match=match) as caught:
            readers.open_recording(path)
        assert str(path) in str(caught.value)
        assert "Doe" not in str(caught.value)

    @pytest.mark.parametrize("share", [0.05, 0.3])
    def test_a_file_that_is_cut(self, tmp_path: Path, share: float) -> None:
        path = write_dicom(tmp_path / "a.dcm", [dicom_group(counts(), two_dicom_leads())])
        path.write_bytes(path.read_bytes()[: round(path.stat().st_size * share)])
        self.refuse(path, "(again|as a DICOM waveform object)\\.$")

    def test_a_text_named_as_dicom(self, tmp_path: Path) -> None:
        (tmp_path / "a.dcm").write_text("Dear reader")
        self.refuse(tmp_path / "a.dcm", "cannot read the DICOM waveform. Copy or export")

    def test_a_file_without_a_waveform(self, tmp_path: Path) -> None:
        path = write_dicom(tmp_path / "a.dcm", [])
        data = pydicom.dcmread(path)
        del data.WaveformSequence
        data.save_as(path)
        self.refuse(path, "the file has no waveform. Export the ECG")

    @pytest.mark.parametrize(
        ("group", "match"),
        [
            (
                {"WaveformData": bytes(1000), "NumberOfWaveformSamples": 1000},
                "the file states 1000 samples of a waveform, and has 250. Copy",
            ),
            ({"NumberOfWaveformChannels": 0}, "has 0 channels, but describes 2. Export"),
            ({"NumberOfWaveformChannels": 3}, "has 3 channels, but describes 2. Export"),
            ({"NumberOfWaveformChannels": 1}, "has 1 channels, but describes 2. Export"),
            ({"SamplingFrequency": 0}, "the sampling rate is 0 Hz, outside 50 to 50000 Hz"),
            ({"SamplingFrequency": -500}, "outside 50 to 50000 Hz. Correct the rate"),
            (
                {"WaveformSampleInterpretation": "MB"},
                "unsupported sample type. Export the samples as one of SB, UB, SS, US, SL, UL, SV, UV.",
            ),
            ({"WaveformBitsAllocated": 8}, "8 bits per sample do not fit the sample type SS. Export"),
        ],
    )
    def test_a_group_that_cannot_be_true(self, tmp_path: Path, group: dict[str, object], match: str) -> None:
        groups = [dicom_group(counts(), two_dicom_leads(), **group)]
        self.refuse(write_dicom(tmp_path / "a.dcm", groups), match)

    def test_a_gain_of_nothing(self, tmp_path: Path) -> None:
        self.refuse(
            of_one(tmp_path / "a.dcm", sensitivity=0),
            r"no lead can be read \(lead I is left out: it has no sensitivity\)\. ",
        )

    def test_a_group_that_begins_beyond_all_time(self, tmp_path: Path) -> None:
        late = dicom_group(counts(), two_dicom_leads(), MultiplexGroupTimeOffset="1e15")
        path = write_dicom(tmp_path / "a.dcm", [dicom_group(counts(), two_dicom_leads()), late])
        self.refuse(path, "longer than 100 days. Correct the length")

    def test_a_unit_that_is_no_voltage(self, tmp_path: Path) -> None:
        self.refuse(
            of_one(tmp_path / "a.dcm", unit="mm[Hg]"),
            "no waveform with ECG leads in a unit of voltage. Export",
        )

    @pytest.mark.parametrize("step", [1, 7, 2**20])
    def test_a_deflated_file_is_measured_step_by_step(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
    ) -> None:
        groups = [dicom_group(counts(), two_dicom_leads())]
        path = write_dicom(tmp_path / "a.dcm", groups, syntax=DeflatedExplicitVRLittleEndian)
        monkeypatch.setattr(readers.dicom, "_INFLATE_STEP", step)
        np.testing.assert_allclose(whole(readers.open_recording(path)), counts() * 5e-3, rtol=1e-6)

    def test_a_file_that_swells(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write_dicom(
            tmp_path / "a.dcm",
            [dicom_group(counts(), two_dicom_leads())],
            syntax=DeflatedExplicitVRLittleEndian,
        )
        content = path.read_bytes()
        squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        bomb = squeezer.compress(b"\0" * 2**24) + squeezer.flush()
        end_of_meta = 144 + int.from_bytes(content[140:144], "little")
        path.write_bytes(content[:end_of_meta] + bomb)
        monkeypatch.setattr(readers.dicom, "_LARGEST_INFLATED", 2**20)
        self.refuse(path, "the inflated file exceeds the limit of 1048576 bytes. Split")
