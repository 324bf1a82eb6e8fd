"""All formats together: true recordings, the command, and what is imported when."""

import csv
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import edfio
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from ectopy import pipeline, readers
from ectopy.ecg import Recording, UnreadableError
from ectopy.model.classifier import SHIPPED_MODEL, load_classifier
from ectopy.readers.ishne import read_annotations
from tests import format_files as made
from tests.format_files import TWELVE
from tests.small import FS, find_recordings, signal_of, write_model

LIBRARIES = ("wfdb", "pandas", "pydicom", "defusedxml", "pyarrow", "soundfile", "edfio", "scipy")


def whole(recording: Recording) -> NDArray[np.float32]:
    return recording.read(0, recording.n_samples)


def heart_rate(recording: Recording) -> float:
    """Give beats a minute from the first beat to the last."""
    beats = pipeline.analyse(recording, load_classifier(SHIPPED_MODEL)).beats
    return float(60 * (len(beats) - 1) / (beats.time_s[-1] - beats.time_s[0]))


def write_all(folder: Path) -> list[Path]:
    """Write a simulated patient of one minute in every format."""
    stored = np.round(signal_of() * 200).astype(np.int64)  # 5 uV a unit
    microvolts = stored * 5
    times = np.arange(len(stored)) / FS
    made.write_edf(
        folder / "edf.edf", [made.edf_signal(microvolts[:, at], name) for at, name in ((0, "II"), (1, "V1"))]
    )
    signals = [
        made.edf_signal(microvolts[:, at], name, kind=edfio.BdfSignal) for at, name in ((0, "II"), (1, "V1"))
    ]
    made.write_edf(folder / "bdf.bdf", signals, kind=edfio.Bdf)
    (folder / "ishne.ecg").write_bytes(made.ishne(stored, fs=round(FS)))
    (folder / "scp.scp").write_bytes(made.scp(stored, ids=(2, 3), order=2, coded=True))
    channels = [made.dicom_channel(at, code=f"5.6.3-9-{at + 2}") for at in range(2)]
    made.write_dicom(folder / "dicom.dcm", [made.dicom_group(stored, channels, fs=FS)])
    leads = [made.aecg_lead("MDC_ECG_LEAD_II", stored[:, 0]), made.aecg_lead("MDC_ECG_LEAD_V1", stored[:, 1])]
    (folder / "aecg.xml").write_text(made.aecg([made.aecg_series([made.aecg_set(leads, step="0.004")])]))
    sierra = made.sierra(stored, rest=False, names=("II", "V1"), duration_ms=round(4 * len(stored)))
    (folder / "sierra.xml").write_text(sierra.replace(">500<", ">250<"))
    rows = [
        f"{time:.3f},{one / 200:.3f},{two / 200:.3f}"
        for time, (one, two) in zip(times, stored.tolist(), strict=True)
    ]
    (folder / "table.csv").write_text("time,II,V1\n" + "\n".join(rows))
    return sorted(folder.iterdir())


class TestTogether:
    def test_the_command_scores_every_format_alike(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        paths = write_all(tmp_path / "in")
        model, out = write_model(tmp_path / "model"), tmp_path / "out"
        command = [
            sys.executable,
            "-m",
            "ectopy",
            "score",
            str(tmp_path / "in"),
            "--out",
            str(out),
            "--model",
            str(model),
        ]
        run = subprocess.run([*command, "--workers", "1"], check=False, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        with (out / "summary.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [row["recording"] for row in rows] == [path.stem for path in paths]
        assert {row["status"] for row in rows} == {"scored"}
        # One minute of one patient: the same beats, whatever it is stored in.
        assert len({row["n_beats"] for row in rows}) == 1
        assert {row["duration_s"] for row in rows} == {"60.0"}

    def test_a_search_finds_every_format_by_content(self, tmp_path: Path) -> None:
        paths = [
            path.rename(path.with_suffix(".bin")) for path in write_all(tmp_path) if path.suffix != ".csv"
        ]
        (tmp_path / "table.csv").unlink()
        assert find_recordings([tmp_path]).recordings == tuple(sorted(paths))

    def test_libraries_are_imported_for_their_own_format_only(self, tmp_path: Path) -> None:
        code = (
            "import sys; from pathlib import Path; from ectopy import readers; seen = set()\n"
            f"for path in sorted(Path({str(tmp_path)!r}).iterdir()):\n"
            "    recording = readers.open_recording(path); recording.read(0, 100)\n"
            f"    now = set({LIBRARIES!r}) & set(sys.modules)\n"
            "    print(path.stem, *sorted(now - seen)); seen = now"
        )
        write_all(tmp_path)
        run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        assert [line for line in run.stdout.splitlines() if " " in line] == [
            "aecg defusedxml",  # the first of two, sierra being the other
            "dicom pydicom",
            "table pandas pyarrow",  # pandas brings pyarrow
        ]


@pytest.mark.real
class TestTrueRecordings:
    def test_scp_and_edf_of_one_recording_agree_in_counts(self, formats: Path) -> None:
        with (formats / "scp" / "0000050.ECG.truth.csv").open() as file:
            truth = np.array([[float(cell or "nan") for cell in row] for row in csv.reader(file)])
        scp = readers.open_recording(formats / "scp" / "0000050.ECG.scp")
        edf = readers.open_recording(formats / "edf" / "0000050.ECG.edf")
        for recording in (scp, edf):
            assert (recording.leads, recording.fs) == (TWELVE, 800)
            assert recording.start == datetime(2020, 11, 16, 21, 44, 39)  # noqa: DTZ001
        # The EDF maps all 65,536 counts on 2 V, a scale nobody meant; its V1 to V6 are off, and so is the truth's.
        from_edf = (whole(edf).astype(np.float64) + 1000) * 65_535 / 2000 - 2**15
        assert (scp.n_samples, edf.n_samples, len(truth)) == (32_767, 37_855, 37_855)
        np.testing.assert_array_equal(np.round(from_edf[:, :6]), truth[:, :6])
        np.testing.assert_array_equal(np.round(whole(scp)[:, :6] / 5e-3), truth[:32_767, :6])
        assert not whole(scp)[:, 6:].any()
        assert heart_rate(scp) == pytest.approx(heart_rate(edf), abs=1)

    def test_an_edf_made_of_wfdb_ends_where_the_recording_did(self, formats: Path) -> None:
        recording = readers.open_recording(formats / "edf" / "cardio_sample.edf")
        assert (recording.fs, recording.leads, recording.n_samples, recording.start) == (
            300,
            ("ECG",),
            12_000,
            None,
        )
        signal = whole(recording)[:, 0]
        assert np.isnan(signal[9000:]).all()  # 30 s of 40: the last of four data records is padding
        reference = edfio.read_edf(formats / "edf" / "cardio_sample.edf").signals[0].data[:9000]
        np.testing.assert_allclose(signal[:9000], reference, atol=1e-6)  # a unit is 1e-3 mV

    @pytest.mark.parametrize("name", ["duplicate_channel_labels.edf", "test_uneven_samp.edf"])
    def test_edf_files_without_an_ecg_are_refused(self, formats: Path, name: str) -> None:
        with pytest.raises(UnreadableError, match=rf"{name}: no ECG lead in a unit of voltage\. Check"):
            readers.open_recording(formats / "not_ecg" / name)

    def test_dicom_equals_pydicom_and_leaves_median_beats_alone(self, formats: Path) -> None:
        path = formats / "dicom" / "pydicom_waveform_ecg.dcm"
        recording = readers.open_recording(path)
        assert (recording.fs, recording.leads, recording.n_samples) == (1000, TWELVE, 10_000)
        assert recording.start == datetime(2013, 1, 25, 10, 59, 19)  # noqa: DTZ001
        np.testing.assert_allclose(
            whole(recording), pydicom.dcmread(path).waveform_array(0) / 1000, atol=1e-6
        )

    def test_beats_of_the_ishne_recording_are_those_of_its_annotations(self, formats: Path) -> None:
        recording = readers.open_recording(formats / "ishne" / "ECG_P28.01.ecg")
        assert (recording.fs, recording.leads, recording.n_samples) == (1000, TWELVE, 95_573)
        assert recording.start == datetime(2000, 1, 1, 7)  # noqa: DTZ001
        marks = read_annotations(formats / "ishne" / "ECG_P28.01.ann")
        annotated = marks.sample[marks.symbol != "|"]
        beats = pipeline.analyse(recording, load_classifier(SHIPPED_MODEL)).beats.sample
        nearest = np.abs(annotated[:, None] - beats).min(axis=1)
        assert (nearest <= 150).all()  # EC57's 150 ms at 1000 Hz: none is missed

    @pytest.mark.parametrize("name", ["ecg_hl7.xml", "subject1_0.xml"])
    def test_aecg_limb_leads_obey_einthoven(self, formats: Path, name: str) -> None:
        recording = readers.open_recording(formats / "hl7_aecg" / name)
        assert (recording.fs, recording.n_samples, set(recording.leads)) == (500, 5000, set(TWELVE))
        assert recording.start == datetime(2002, 11, 22, 9, 10)  # noqa: DTZ001
        leads = dict(zip(recording.leads, whole(recording).T, strict=True))
        np.testing.assert_allclose(leads["II"] - leads["I"], leads["III"], atol=0.0026)  # a unit is 2.5 uV
        np.testing.assert_allclose((leads["I"] + leads["II"]) / -2, leads["aVR"], atol=0.0026)

    def test_an_aecg_without_a_series_is_refused(self, formats: Path) -> None:
        with pytest.raises(UnreadableError, match=r"empty\.xml: no rhythm series with ECG leads\. Export"):
            readers.open_recording(formats / "hl7_aecg" / "empty.xml")

    @pytest.mark.parametrize(
        ("name", "start", "rate"),
        [
            ("129DYPRG.XML", datetime(2011, 12, 1, 7, 27, 34), 41),  # noqa: DTZ001
            ("3191723_ZZDEMOPTONLY_1-04_orig.xml", datetime(2010, 1, 19, 15, 19, 22), 82),  # noqa: DTZ001
        ],
    )
    def test_sierra_limb_leads_obey_einthoven(
        self, formats: Path, name: str, start: datetime, rate: float
    ) -> None:
        recording = readers.open_recording(formats / "philips_sierra" / name)
        assert (recording.fs, recording.leads, recording.n_samples) == (500, TWELVE, 5500)
        assert recording.start == start
        signal = whole(recording)
        assert np.isnan(signal[-200:]).all()  # a calibration pulse of 1 mV in all leads
        one, two, three, avr = signal[:5000, :4].T
        # A unit is 5 uV; each lead was filtered and rounded for itself.
        np.testing.assert_allclose(two - one, three, atol=0.0101)
        np.testing.assert_allclose((one + two) / -2, avr, atol=0.0101)
        assert heart_rate(recording) == pytest.approx(rate, abs=2)

    def test_a_document_of_another_program_is_refused(self, formats: Path) -> None:
        with pytest.raises(
            UnreadableError,
            match=r"invalid-doc-type\.xml: the document type is neither PhilipsECG nor SierraECG\. Export",
        ):
            readers.open_recording(formats / "philips_sierra" / "invalid-doc-type.xml")

    def test_a_date_written_wrong_hides_no_recording(self, formats: Path) -> None:
        recording = readers.open_recording(formats / "malformed" / "A00006.hea")
        assert (recording.fs, recording.leads, recording.n_samples) == (300, ("ECG",), 9000)
        assert recording.start == datetime(2014, 3, 23, 4, 3, 20)  # noqa: DTZ001
        assert whole(recording)[0, 0] == np.float32(-0.266)  # the header's own initial value

    def test_a_search_takes_the_recordings_and_counts_the_rest(self, formats: Path) -> None:
        found = find_recordings([formats])
        # 14 are called a recording; the annotations and the truth's bare numbers are none.
        assert (len(found.recordings), found.n_other) == (14, 2)
