"""Test the summary as FHIR R4: valid, preliminary, and without names."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from pydantic import ValidationError

from ectopy import cli
from ectopy.batch import runner
from ectopy.batch.planning import ScoreOptions
from ectopy.report import fhir
from ectopy.report.summary import summarise
from tests.handmade import analysis_of, beats_of, provenance_of, recording_for
from tests.small import write_model, write_record

Json = dict[str, Any]


def bundle_of(letters: str, rr_s: float = 0.5, name: str = "r1") -> Json:
    beats = beats_of(letters, rr_s)
    recording = recording_for(beats, max(6000, len(letters) * 100))
    provenance = provenance_of(name)
    return fhir.bundle(summarise(analysis_of(recording, beats), provenance), provenance)


def observed(bundle: Json) -> dict[str, Json]:
    """Return the observations by the name of their value."""
    resources = [entry["resource"] for entry in bundle["entry"][1:]]
    return {resource["code"]["coding"][-1]["code"]: resource for resource in resources}


class TestBundle:
    @pytest.mark.parametrize("letters", ["", "N", "NVVVN", "NSSSN", "N" * 700])
    def test_it_is_valid(self, letters: str) -> None:
        read = Bundle.model_validate(bundle_of(letters))
        assert read.type == "collection"

    def test_a_report_comes_first_and_refers_to_every_observation(self) -> None:
        report, *observations = bundle_of("NVVVN")["entry"]
        assert report["resource"]["resourceType"] == "DiagnosticReport"
        assert {entry["resource"]["resourceType"] for entry in observations} == {"Observation"}
        referred = [result["reference"] for result in report["resource"]["result"]]
        assert referred == [entry["fullUrl"] for entry in observations]
        assert len(set(referred)) == len(referred) > 15

    def test_all_of_it_is_preliminary_and_says_that_nobody_confirmed_it(self) -> None:
        for entry in bundle_of("NVVVN")["entry"]:
            resource = entry["resource"]
            assert resource["status"] == "preliminary"
            text = resource.get("conclusion") or resource["note"][0]["text"]
            assert "Automatic, unconfirmed" in text
            assert "not a medical device" in text

    def test_the_conclusion_holds_the_findings(self) -> None:
        report = bundle_of("NVVVN")["entry"][0]["resource"]
        assert "Non-sustained ventricular tachycardia: 1 triplet at 0:00:01, 120 bpm" in report["conclusion"]

    def test_a_recording_that_could_not_be_analysed_says_why_and_has_no_figure_that_is_none(self) -> None:
        bundle = bundle_of("")
        assert "not analysable: the signal is flat" in bundle["entry"][0]["resource"]["conclusion"]
        assert "hr_mean_bpm" not in observed(bundle)
        assert observed(bundle)["n_beats"]["valueQuantity"]["value"] == 0

    def test_figures_are_those_of_the_summary_with_units_of_ucum(self) -> None:
        values = {
            name: (resource["valueQuantity"]["value"], resource["valueQuantity"]["code"])
            for name, resource in observed(bundle_of("NVVVN")).items()
        }
        assert values["n_veb"] == (3, "{beats}")
        assert values["veb_burden_pct"] == (60.0, "%")
        assert values["fastest_vt_bpm"] == (120.0, "/min")
        assert values["hr_mean_bpm"] == (120.0, "/min")

    def test_loinc_is_used_where_a_code_fits_for_certain(self) -> None:
        # 630 s of normal beats in 700 s: enough for SDNN.
        bundle = bundle_of("N" * 700, 0.9)
        codes = {
            coding["code"]
            for entry in bundle["entry"]
            for coding in entry["resource"]["code"]["coding"]
            if coding["system"] == "http://loinc.org"
        }
        assert codes == {"11524-6", "80404-7"}
        assert observed(bundle)["sdnn_ms"]["code"]["coding"][0]["code"] == "80404-7"

    def test_it_names_neither_patient_nor_recording_nor_file_nor_time(self) -> None:
        text = json.dumps(bundle_of("NVVVN", name="Miller"))
        assert "Miller" not in text
        assert not any(
            f'"{field}"' in text for field in ("subject", "effectiveDateTime", "issued", "performer")
        )

    def test_the_same_summary_gives_the_same_ids_and_another_input_others(self) -> None:
        first, again = bundle_of("NVVVN"), bundle_of("NVVVN")
        assert first == again
        beats = beats_of("NVVVN", 0.5)
        recording = recording_for(beats, 6000)
        other = provenance_of() | {"input_sha256": "cd" * 32}
        theirs = fhir.bundle(summarise(analysis_of(recording, beats), other), other)
        assert not {entry["fullUrl"] for entry in first["entry"]} & {
            entry["fullUrl"] for entry in theirs["entry"]
        }


class TestFile:
    def test_it_is_written_where_it_is_asked_for(self, tmp_path: Path) -> None:
        beats = beats_of("NVVVN", 0.5)
        recording = recording_for(beats, 6000)
        fhir.write_fhir(tmp_path, summarise(analysis_of(recording, beats), provenance_of()), provenance_of())
        assert json.loads((tmp_path / "fhir.json").read_text(encoding="utf-8")) == bundle_of("NVVVN")

    def test_what_is_no_fhir_is_not_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fhir, "bundle", lambda *_: {"resourceType": "Bundle", "kind": "collection"})
        beats = beats_of("N")
        recording = recording_for(beats, 6000)
        with pytest.raises(ValidationError):
            fhir.write_fhir(
                tmp_path, summarise(analysis_of(recording, beats), provenance_of()), provenance_of()
            )
        assert not (tmp_path / "fhir.json").exists()


class TestCommand:
    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        return write_model(tmp_path / "model")

    def run(self, capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    def test_with_the_option_each_recording_has_one_and_without_none(
        self, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        arguments = (
            "score",
            write_record(tmp_path),
            "--out",
            tmp_path / "out",
            "--model",
            model,
            "--workers",
            "1",
        )
        written = tmp_path / "out" / "r" / "fhir.json"
        assert self.run(capsys, *arguments)[0] == 0
        assert not written.exists()
        # What is done without it is done again with it, and then skipped.
        status, out, _ = self.run(capsys, *arguments, "--fhir")
        assert (status, out.splitlines()[0]) == (0, "1 recording: 1 scored")
        Bundle.model_validate_json(written.read_text())
        assert "1 skipped" in self.run(capsys, *arguments, "--fhir")[1]

    def test_it_is_no_setting_that_decides_results(self, model: Path) -> None:
        assert ScoreOptions(model, fhir=True).settings == ScoreOptions(model).settings

    def test_without_the_library_it_says_what_to_install_before_it_begins(
        self, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "fhir"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "fhir", None)
        monkeypatch.setattr(runner, "run", lambda *_, **__: pytest.fail("it began"))
        record = write_record(tmp_path)
        status, _, printed = self.run(
            capsys, "score", record, "--out", tmp_path / "out", "--model", model, "--fhir"
        )
        assert status == 1
        assert "is not installed. Run `pip install 'ectopy[fhir]'`." in printed
        assert not (tmp_path / "out").exists()
