"""The patient header: from the fields of every format, from a table of the lab, and from nowhere else."""

import csv
import json
import struct
from pathlib import Path

import pytest

from ectopy import cli, readers
from ectopy.batch import planning
from ectopy.batch.planning import ScoreOptions
from ectopy.batch.pseudonyms import Pseudonyms
from ectopy.ecg import PatientHeader
from ectopy.readers.patients import (
    PatientsError,
    completed,
    date_of_digits,
    iso_date,
    patient_header,
    patient_of,
    read_patients,
    shared_lines,
)
from ectopy.report.fhir import bundle
from ectopy.report.summary import summarise
from ectopy.review.recordings import open_result
from tests.format_files import (
    aecg,
    aecg_series,
    aecg_set,
    counts,
    dicom_group,
    edf_signal,
    ishne,
    limb_leads,
    patch,
    scp,
    scp_about,
    scp_file,
    scp_leads,
    scp_signals,
    sierra,
    two_aecg_leads,
    two_dicom_leads,
    write_dicom,
    write_edf,
)
from tests.handmade import analysis_of, beats_of, provenance_of, recording_for
from tests.scored import scored
from tests.small import simulated, write_model

SALT = "a salt of the tests alone"
JANE = ("Doe", "Jane", "4711", "1950", "Syncope", "Lifecard")
"""No part of it may be in an output with pseudonyms."""


def of(path: Path) -> PatientHeader | None:
    return readers.open_recording(path).patient


def fields(header: PatientHeader | None) -> tuple[str, ...]:
    assert header is not None
    return (
        header.name,
        header.identifier,
        header.birth_date,
        header.sex,
        header.indication,
        header.recorder,
    )


def edf(path: Path, patient: str, recording: str = "Startdate 29-FEB-2024 X X Lifecard_CF") -> Path:
    """Write an EDF whose header says this of the patient and the recording."""
    write_edf(path, [edf_signal(counts(15_000, 1)[:, 0], "ECG II")])
    return patch(patch(path, 8, f"{patient:80}"), 88, f"{recording:80}")


class TestEdf:
    def test_edf_plus_codes_id_sex_birth_and_name(self, tmp_path: Path) -> None:
        header = of(edf(tmp_path / "a.edf", "47_11 F 02-MAR-1950 Jane_van_Doe"))
        assert fields(header) == ("Jane van Doe", "47 11", "1950-03-02", "female", "", "Lifecard CF")

    @pytest.mark.parametrize("recording", ["Startdate 29-FEB-2024 X X X", "Startdate 29-FEB-2024", ""])
    def test_an_x_says_nothing(self, tmp_path: Path, recording: str) -> None:
        assert of(edf(tmp_path / "a.edf", "X X X X", recording)) is None
        assert of(edf(tmp_path / "b.edf", "", recording)) is None

    def test_what_is_known_is_kept_where_the_rest_is_not(self, tmp_path: Path) -> None:
        header = of(edf(tmp_path / "a.edf", "X M X X", "Startdate 29-FEB-2024 X X X"))
        assert fields(header) == ("", "", "", "male", "", "")

    def test_edf_without_plus_has_a_free_text(self, tmp_path: Path) -> None:
        header = of(edf(tmp_path / "a.edf", "Jane Doe, ward 7", "any text of the recorder"))
        assert fields(header) == ("Jane Doe, ward 7", "", "", "", "", "")

    @pytest.mark.parametrize("born", ["31-FEB-1950", "02-FOO-1950", "02-MAR-0001"])
    def test_a_birth_that_cannot_be_is_not_known(self, tmp_path: Path, born: str) -> None:
        assert fields(of(edf(tmp_path / "a.edf", f"4711 F {born} Jane_Doe")))[:3] == ("Jane Doe", "4711", "")


class TestIshne:
    @staticmethod
    def write(path: Path, *, sex: int = 2, born: tuple[int, int, int] = (2, 3, 1950)) -> Path:
        content = bytearray(ishne(counts()))
        for begin, text in ((28, b"Jane"), (68, b"Doe"), (108, b"4711"), (232, b"Lifecard CF")):
            content[begin : begin + 12] = text.ljust(12, b"\0")
        struct.pack_into("<5h", content, 128, sex, 0, *born)
        path.write_bytes(bytes(content))
        return path

    def test_its_fields(self, tmp_path: Path) -> None:
        expected = ("Doe, Jane", "4711", "1950-03-02", "female", "", "Lifecard CF")
        assert fields(of(self.write(tmp_path / "a.ecg"))) == expected

    def test_zeros_are_nothing(self, tmp_path: Path) -> None:
        header = of(self.write(tmp_path / "a.ecg", sex=0, born=(0, 0, 0)))
        assert fields(header)[2:4] == ("", "")


class TestScp:
    @staticmethod
    def write(path: Path, tags: list[tuple[int, bytes]]) -> Path:
        stored = counts()
        about = b"".join(struct.pack("<BH", tag, len(value)) + value for tag, value in tags) + scp_about()
        sections = {
            1: about,
            3: scp_leads([(1, len(stored))] * 2, (1, 2), flags=4 | 2 << 3),
            6: scp_signals([stored[:, at].astype("<i2").tobytes() for at in range(2)]),
        }
        path.write_bytes(scp_file(sections))
        return path

    def test_its_tags(self, tmp_path: Path) -> None:
        tags = [
            (1, b"Jane\0"),
            (2, b"4711\0"),
            (5, struct.pack("<HBB", 1950, 3, 2)),
            (8, b"\2"),
            (13, b"Syncope\0"),
            (14, bytes(8) + b"CARD 7\0\0"),
        ]
        expected = ("Doe, Jane", "4711", "1950-03-02", "female", "Syncope", "CARD 7")
        assert fields(of(self.write(tmp_path / "a.scp", tags))) == expected

    def test_empty_and_cut_tags_are_nothing(self, tmp_path: Path) -> None:
        tags = [(5, b"\1"), (8, b""), (14, b"short")]
        assert fields(of(self.write(tmp_path / "a.scp", tags))) == ("Doe", "", "", "", "", "")

    def test_the_plain_file_of_the_other_tests(self, tmp_path: Path) -> None:
        (tmp_path / "a.scp").write_bytes(scp(counts()))
        assert fields(of(tmp_path / "a.scp"))[0] == "Doe"


class TestDicom:
    def test_its_attributes(self, tmp_path: Path) -> None:
        path = write_dicom(
            tmp_path / "a.dcm",
            [dicom_group(counts(), two_dicom_leads())],
            SpecificCharacterSet="ISO_IR 192",
            PatientName="van Doe^Jane^Mary=\u8587",
            PatientID="4711",
            PatientBirthDate="19500302",
            PatientSex="O",
            ReasonForTheRequestedProcedure="Syncope",
            Manufacturer="Acme",
            ManufacturerModelName="Card 7",
        )
        expected = ("van Doe, Jane Mary", "4711", "1950-03-02", "other", "Syncope", "Acme Card 7")
        assert fields(of(path)) == expected

    def test_the_reason_for_the_study_is_the_second_choice(self, tmp_path: Path) -> None:
        groups = [dicom_group(counts(), two_dicom_leads())]
        assert fields(of(write_dicom(tmp_path / "a.dcm", groups, ReasonForStudy="Syncope")))[4] == "Syncope"

    def test_what_cannot_be_decoded_does_not_stop_the_recording(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(_data: object) -> None:
            raise LookupError("unknown encoding")

        monkeypatch.setattr("ectopy.readers.dicom._stated_patient", fails)
        assert of(write_dicom(tmp_path / "a.dcm", [dicom_group(counts(), two_dicom_leads())])) is None


class TestXml:
    SUBJECT = (
        "<componentOf><timepointEvent><componentOf><subjectAssignment><subject><trialSubject>"
        '<id root="1.2" extension="4711"/><subjectDemographicPerson>{person}</subjectDemographicPerson>'
        "</trialSubject></subject></subjectAssignment></componentOf></timepointEvent></componentOf>"
    )
    PERSON = (
        "<name><given>Jane</given> <family>Doe</family></name>"
        '<administrativeGenderCode code="F"/><birthTime value="19500302"/>'
    )
    DEVICE = (
        "<author><seriesAuthor><manufacturedSeriesDevice><manufacturerModelName>Lifecard CF"
        "</manufacturerModelName></manufacturedSeriesDevice></seriesAuthor></author>"
    )

    def write(self, path: Path, before: str, *, device: str = "") -> Path:
        series = aecg_series([aecg_set(two_aecg_leads(counts()))]).replace("<series>", f"<series>{device}")
        path.write_text(aecg([before, series]), encoding="utf-8")
        return path

    def test_an_annotated_ecg_has_a_subject(self, tmp_path: Path) -> None:
        path = self.write(tmp_path / "a.xml", self.SUBJECT.format(person=self.PERSON), device=self.DEVICE)
        assert fields(of(path)) == ("Jane Doe", "4711", "1950-03-02", "female", "", "Lifecard CF")

    def test_a_subject_may_be_a_number_or_nobody(self, tmp_path: Path) -> None:
        only_id = self.write(tmp_path / "a.xml", self.SUBJECT.format(person=""))
        assert fields(of(only_id)) == ("", "4711", "", "", "", "")
        assert of(self.write(tmp_path / "b.xml", "")) is None

    def test_a_name_elsewhere_in_the_document_is_not_the_patient(self, tmp_path: Path) -> None:
        # The title of the document of the other tests is "Jane Doe".
        assert of(self.write(tmp_path / "a.xml", "<author><name>Jane Doe</name></author>")) is None

    def test_sierra(self, tmp_path: Path) -> None:
        patient = (
            "<patient><generalpatientdata><patientid>4711</patientid><name><lastname>Doe</lastname>"
            "<firstname>Jane</firstname></name><age><dateofbirth>1950-03-02</dateofbirth></age>"
            "<sex>Female</sex></generalpatientdata></patient><waveforms>"
        )
        path = tmp_path / "a.xml"
        path.write_text(sierra(limb_leads()).replace("<waveforms>", patient), encoding="utf-8")
        assert fields(of(path)) == ("Doe, Jane", "4711", "1950-03-02", "female", "", "")


class TestHeader:
    def test_no_representation_shows_it(self) -> None:
        assert repr(patient_header(name="Jane Doe", identifier="4711")) == "PatientHeader()"

    def test_a_text_is_one_printable_line_of_at_most_100_characters(self) -> None:
        header = patient_header(name="Jane\x1b[2J\n Doe", indication="x" + "y" * 200)
        assert header is not None
        assert header.name == "Jane\\x1b[2J Doe"
        assert len(header.indication) == 100

    @pytest.mark.parametrize(
        ("text", "sex"),
        [("F", "female"), ("2", "female"), ("Male", "male"), ("UN", "other"), ("9", ""), ("", "")],
    )
    def test_sexes_by_their_codes(self, text: str, sex: str) -> None:
        header = patient_header(name="Jane", sex=text)
        assert header is not None
        assert header.sex == sex

    def test_dates(self) -> None:
        assert iso_date(1950, 3, 2) == date_of_digits("19500302") == date_of_digits("19500302120000")
        assert [iso_date(*day) for day in ((1879, 1, 1), (1950, 13, 1), (0, 0, 0))] == ["", "", ""]
        assert date_of_digits("1950") == ""

    def test_the_table_of_the_lab_counts_before_the_file(self) -> None:
        of_file = PatientHeader("DOE JANE", "1", sex="female", recorder="Card")
        lab = PatientHeader("Doe, Jane", indication="Syncope")
        both = PatientHeader("Doe, Jane", "1", sex="female", indication="Syncope", recorder="Card")
        assert completed(lab, of_file) == both
        assert (completed(None, of_file), completed(lab, None), completed(None, None)) == (of_file, lab, None)


def table(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


class TestTable:
    def test_a_recording_is_named_by_its_file_or_its_stem(self, tmp_path: Path) -> None:
        patients = read_patients(
            table(tmp_path / "p.csv", "recording,name,sex\na.edf,Jane,f\nb,John,M\n,nobody,\nc,,\n")
        )
        assert fields(patient_of(patients, Path("x/a.edf")))[:4] == ("Jane", "", "", "female")
        assert fields(patient_of(patients, Path("b.ecg")))[0] == "John"
        assert patient_of(patients, Path("a.ecg")) is None
        assert set(patients) == {"a.edf", "b"}

    def test_a_line_for_recordings_of_several_folders_is_found(self, tmp_path: Path) -> None:
        patients = read_patients(table(tmp_path / "p.csv", "recording,name\na,Jane\na.edf,Jo\nb,Joe\n"))
        of_one_visit = (Path("x/b.edf"), Path("x/b.csv"), Path("x/c.edf"), Path("y/c.edf"))
        assert shared_lines(patients, of_one_visit) == set()
        # a.edf has a line of its own, and a.ecg has the other one.
        assert shared_lines(patients, (Path("x/a.edf"), Path("y/a.ecg"))) == set()
        assert shared_lines(patients, (Path("x/a.edf"), Path("y/a.edf"), Path("y/b.ecg"))) == {"a.edf"}

    def test_columns_in_any_order_and_others_beside_them(self, tmp_path: Path) -> None:
        patients = read_patients(
            table(tmp_path / "p.csv", "Ward;ID;Birth_Date;Recording;Recorder\n7;4711;1950-03-02;a;Card\n")
        )
        assert fields(patients["a"]) == ("", "4711", "1950-03-02", "", "", "Card")

    def test_a_row_ends_where_its_line_does(self, tmp_path: Path) -> None:
        # In Windows-1252 the dots are byte 0x85, at which Python's splitlines ends a line, as at U+2028.
        (path := tmp_path / "p.csv").write_bytes(
            "recording,indication,name\r\na,Syncope\u2026,J\u00f6rg\r\n".encode("cp1252")
        )
        (header,) = read_patients(path).values()
        assert (header.indication, header.name) == ("Syncope\u2026", "J\u00f6rg")
        text = 'recording,name,id\ra,"Doe\rJane",1\rb,John\u2028Roe,2\r'
        patients = read_patients(table(tmp_path / "q.csv", text))
        assert {name: header.identifier for name, header in patients.items()} == {"a": "1", "b": "2"}
        assert patients["a"].name == "Doe Jane"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "",
                "the first line names no column recording, or no other that is known. Begin it with the line: ",
            ),
            ("recording\na\n", "no other that is known"),
            ("name,id\nJane,1\n", "names no column recording"),
            ("recording,name\na,Jane\na,John\n", "line 3 repeats a recording. Keep one line for each."),
            (
                "recording,birth_date\na,2.3.1950\n",
                "line 2: the birth date is not valid. Write it as 1950-03-02.",
            ),
            ("recording,birth_date\na,1950-02-31\n", "line 2: the birth date is not valid"),
            ("recording,sex\na,Jane\n", "line 2: the sex is not valid. Write female, male or other."),
            ('recording,name\na,"Jane\nb,John\n', "the table of patients is not a table"),
            ("recording,name\0\n", "a table of patients is a table of text in UTF-8"),
        ],
    )
    def test_what_is_wrong_is_said_without_a_name(self, tmp_path: Path, text: str, message: str) -> None:
        path = table(tmp_path / "p.csv", text)
        with pytest.raises(PatientsError) as caught:
            read_patients(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert message in str(caught.value)
        assert "Jane" not in str(caught.value)

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(PatientsError, match=r"p\.csv: .*Check"):
            read_patients(tmp_path / "p.csv")


class TestOptions:
    def test_a_table_and_pseudonyms_exclude_each_other(self, tmp_path: Path) -> None:
        path = table(tmp_path / "p.csv", "recording,name\n")
        planning.check_patients(path, None)
        planning.check_patients(None, Pseudonyms(SALT))
        with pytest.raises(planning.PatientTableError, match="pseudonyms hide all patients"):
            planning.check_patients(path, Pseudonyms(SALT))

    def test_a_table_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(planning.PatientTableError, match=r"--patients .*no such file\. Check its path"):
            planning.check_patients(tmp_path / "p.csv", None)

    @pytest.mark.parametrize("is_there", [False, True])
    def test_the_command_says_so_at_once(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        *,
        is_there: bool,
    ) -> None:
        path = tmp_path / "p.csv"
        if is_there:
            table(path, "recording,name\na,Jane Doe\n")
            monkeypatch.setenv("ECTOPY_PSEUDONYM_SALT", SALT)
        recording = edf(tmp_path / "a.edf", "X X X X")
        monkeypatch.setenv("ECTOPY_PATIENTS", str(path))
        with pytest.raises(SystemExit):
            cli.main(["score", str(recording), "--out", str(tmp_path / "out")])
        expected = "pseudonyms hide all patients" if is_there else "no such file"
        assert expected in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "normal")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Write a simulated recording as EDF, with a patient in its header."""
    signal = simulated(minutes=1.0).recording
    stored = (signal.read(0, signal.n_samples)[:, 0] * 1000).round().astype("int64")
    fs = signal.fs
    path = tmp_path / "holter.edf"
    write_edf(path, [edf_signal(stored[: int(len(stored) // fs * fs)], "ECG II", fs=fs)])
    return patch(
        patch(path, 8, f"{'4711 F 02-MAR-1950 Jane_Doe':80}"),
        88,
        f"{'Startdate 29-FEB-2024 X X Lifecard_CF':80}",
    )


def texts_in(out: Path) -> str:
    """Return all bytes of all files below a folder, and their names."""
    return "".join(
        f"{file.name}\n{file.read_bytes().decode('latin-1')}" for file in out.rglob("*") if file.is_file()
    )


class TestScored:
    def test_the_report_the_summary_and_fhir_name_the_patient(
        self, tmp_path: Path, recording: Path, model: Path
    ) -> None:
        out = scored([recording], tmp_path / "out", ScoreOptions(model, fhir=True))
        page, summary, fhir = (
            (out / "holter" / name).read_text(encoding="utf-8")
            for name in ("report.html", "summary.json", "fhir.json")
        )
        assert all("Jane Doe" in text for text in (page, summary, fhir))
        (patient,) = (
            entry for entry in json.loads(fhir)["entry"] if entry["resource"]["resourceType"] == "Patient"
        )
        assert patient["resource"] == {
            "resourceType": "Patient",
            "identifier": [{"value": "4711"}],
            "name": [{"text": "Jane Doe"}],
            "gender": "female",
            "birthDate": "1950-03-02",
        }
        others = [entry["resource"] for entry in json.loads(fhir)["entry"] if entry is not patient]
        assert {other["subject"]["reference"] for other in others if other["resourceType"] != "Patient"} == {
            patient["fullUrl"]
        }

    def test_the_table_and_the_index_of_a_batch_do_not(
        self, tmp_path: Path, recording: Path, model: Path
    ) -> None:
        out = scored([recording], tmp_path / "out", ScoreOptions(model))
        for name in ("summary.csv", "index.html"):
            assert "Jane" not in (out / name).read_text(encoding="utf-8")

    def test_of_two_recordings_with_one_name_the_table_names_neither(
        self, tmp_path: Path, recording: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        patients = table(tmp_path / "p.csv", f"recording,name\n{recording.stem},Jo Roe\n")
        options = ScoreOptions(tmp_path, patients=patients)
        other = tmp_path / "ward" / recording.name
        (out := tmp_path / "out").mkdir()

        def names(*paths: Path) -> list[str]:
            return [job.patient.name if job.patient else "" for job in planning.plan(paths, out, options)]

        assert names(recording) == ["Jo Roe"]
        assert caplog.text == ""
        assert names(recording, other) == ["", ""]
        assert "p.csv: 1 of its lines cannot be used: recordings in several folders" in caplog.text
        assert "Roe" not in caplog.text

    def test_the_table_of_the_lab_completes_it_and_a_change_scores_again(
        self, tmp_path: Path, recording: Path, model: Path
    ) -> None:
        patients = table(tmp_path / "p.csv", 'recording,name,indication\nholter,"Doe, Jane",Syncope\n')
        options = ScoreOptions(model, patients=patients)

        def status() -> str:
            scored([recording], tmp_path / "out", options)
            with (tmp_path / "out" / "summary.csv").open(encoding="utf-8", newline="") as file:
                return next(csv.DictReader(file))["status"]

        assert [status(), status()] == ["scored", "skipped"]
        document = json.loads((tmp_path / "out" / "holter" / "summary.json").read_text(encoding="utf-8"))
        assert document["patient"] == {
            "name": "Doe, Jane",
            "identifier": "4711",
            "birth_date": "1950-03-02",
            "sex": "female",
            "indication": "Syncope",
            "recorder": "Lifecard CF",
        }
        table(patients, 'recording,name,indication\nholter,"Doe, Jane",Dizziness\n')
        assert status() == "scored"

    def test_a_review_keeps_what_the_results_state(
        self, tmp_path: Path, recording: Path, model: Path
    ) -> None:
        patients = table(tmp_path / "p.csv", "recording,indication\nholter,Syncope\n")
        out = scored([recording], tmp_path / "out", ScoreOptions(model, patients=patients))
        opened = open_result(out, "holter").analysis.recording.patient
        assert fields(opened) == ("Jane Doe", "4711", "1950-03-02", "female", "Syncope", "Lifecard CF")
        recording.unlink()
        assert open_result(out, "holter").analysis.recording.patient == opened

    def test_with_pseudonyms_nothing_of_it_is_in_any_file(
        self, tmp_path: Path, recording: Path, model: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        options = ScoreOptions(model, fhir=True, pseudonyms=Pseudonyms(SALT))
        with caplog.at_level(0):
            out = scored([recording], tmp_path / "out", options)
        texts = texts_in(out) + caplog.text
        assert not [part for part in JANE if part in texts]
        (summary,) = out.glob("*/summary.json")
        assert json.loads(summary.read_text(encoding="utf-8"))["patient"] is None
        opened = open_result(out, summary.parent.name)
        assert opened.analysis.recording.patient is None

    def test_without_pseudonyms_no_log_has_it(
        self, tmp_path: Path, recording: Path, model: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(0):
            scored([recording], tmp_path / "out", ScoreOptions(model))
        assert not [part for part in JANE if part in caplog.text]

    def test_a_job_shows_nothing_of_it(self, tmp_path: Path, recording: Path, model: Path) -> None:
        patients = table(tmp_path / "p.csv", "recording,name\nholter,Jane Doe\n")
        (tmp_path / "out").mkdir()
        (job,) = planning.plan([recording], tmp_path / "out", ScoreOptions(model, patients=patients))
        assert job.patient == PatientHeader("Jane Doe")
        assert "Jane" not in repr(job)


def test_fhir_without_a_patient_has_no_subject() -> None:
    beats = beats_of("N" * 20)
    document = bundle(
        summarise(analysis_of(recording_for(beats, 2000), beats), provenance_of()), provenance_of()
    )
    assert "subject" not in json.dumps(document)
    assert "Rhythm: Sinus rhythm throughout, mean 75 bpm" in document["entry"][0]["resource"]["conclusion"]
