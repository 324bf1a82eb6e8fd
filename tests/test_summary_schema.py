"""Test the schema of summary.json: every document obeys it, and it describes every field and its unit."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator, ValidationError

from ectopy import report
from ectopy.batch import planning, results, runner
from ectopy.batch.planning import ScoreOptions
from ectopy.ecg import recording_of
from ectopy.report import data_files, summary
from tests.handmade import (
    NOTHING_UNREADABLE,
    analysis_of,
    beats_of,
    fibrillating_rr_s,
    provenance_of,
    recording_for,
)
from tests.small import Here, write_model, write_record

SCHEMA: Any = data_files.summary_schema()
UNITS = {
    "_s": ("s", "seconds"),
    "_pct": ("%", "percent"),
    "_bpm": ("bpm", "beats per minute"),
    "_ms": ("ms", "milliseconds"),
    "_ms2": ("ms2", "square milliseconds"),
    "_hz": ("Hz", "hertz"),
}

Json = dict[str, Any]


def check(document: Json) -> None:
    Draft202012Validator(SCHEMA).validate(document)


def written(
    folder: Path, letters: str, rr_s: object = 0.8, *, unreadable: object = NOTHING_UNREADABLE
) -> Json:
    beats = beats_of(letters, rr_s)
    recording = recording_for(beats, max(6000, int(beats.sample[-1]) + 100) if letters else 6000)
    analysis = analysis_of(recording, beats, unreadable=np.asarray(unreadable, dtype=np.int64))
    report.write_outputs(folder, analysis, provenance_of())
    return dict(json.loads((folder / "summary.json").read_text(encoding="utf-8")))


def fields(schema: object, path: str = "") -> Iterator[tuple[str, Json]]:
    """Yield every named field of a schema."""
    if isinstance(schema, list):
        for part in schema:
            yield from fields(part, path)
    elif isinstance(schema, dict):
        for name, field in schema.get("properties", {}).items():
            yield f"{path}/{name}", field
        for keyword, part in schema.items():
            yield from fields(part, f"{path}/{keyword}")


FIELDS = dict(fields(SCHEMA))


class TestSchema:
    def test_it_is_a_schema(self) -> None:
        Draft202012Validator.check_schema(SCHEMA)

    def test_it_has_the_version_of_the_documents(self) -> None:
        assert SCHEMA["properties"]["schema_version"]["const"] == data_files.SCHEMA_VERSION
        assert SCHEMA["$id"] == f"urn:ectopy:summary:{data_files.SCHEMA_VERSION}"

    def test_every_field_is_described_or_refers_to_one_that_is(self) -> None:
        assert len(FIELDS) > 100
        assert [name for name, field in FIELDS.items() if not {"description", "$ref"} & field.keys()] == []

    def test_every_number_names_its_unit(self) -> None:
        numbers = {
            name: field
            for name, field in FIELDS.items()
            if {"number", "integer"} & {*np.atleast_1d(field.get("type", "")).tolist()}
        }
        assert len(numbers) > 60
        assert [name for name, field in numbers.items() if not field.get("unit")] == []

    @pytest.mark.parametrize(("suffix", "unit", "words"), [(end, *named) for end, named in UNITS.items()])
    def test_the_unit_in_a_name_is_that_of_its_description(self, suffix: str, unit: str, words: str) -> None:
        named = {
            name: field for name, field in FIELDS.items() if name.endswith(suffix) and "$ref" not in field
        }
        assert named
        for name, field in named.items():
            assert field["unit"] == unit, name
            assert words in field["description"].lower(), name

    def test_it_states_that_results_are_advisory(self) -> None:
        assert "automatic and unconfirmed" in SCHEMA["description"]
        assert "not a medical device" in SCHEMA["description"]

    def test_the_row_has_the_columns_of_the_summary(self) -> None:
        assert tuple(SCHEMA["properties"]["row"]["required"]) == summary.SUMMARY_COLUMNS

    def test_it_comes_with_the_package(self) -> None:
        assert Path(data_files.__file__).with_name("summary.schema.json").is_file()


class TestDocuments:
    @pytest.mark.parametrize("letters", ["", "N", "V", "NN", "Q" * 20, "NSVFQ" * 30])
    def test_few_beats_or_odd_ones_obey_it(self, tmp_path: Path, letters: str) -> None:
        check(written(tmp_path, letters))

    def test_one_with_every_kind_of_event_obeys_it(self, tmp_path: Path) -> None:
        letters = "N" * 12 + "VNVVVNSSSNVVNSSNVNVNVNNVNNVNNVNSNSNSN" + "N" * 60
        rr_s = [0.8] * 12 + [0.3] + [0.5] * 56 + [12] + [1.5] * 39
        document = written(tmp_path, letters, rr_s)
        assert len({finding["text"] for finding in document["findings"]}) > 8
        check(document)

    def test_one_with_fibrillation_and_unreadable_time_obeys_it(self, tmp_path: Path) -> None:
        document = written(tmp_path, "N" * 200, fibrillating_rr_s(200), unreadable=[[13000, 13100]])
        assert document["figures"]["n_af"] == 1
        check(document)

    def test_an_hour_and_a_half_of_normal_beats_has_every_figure_of_variability(self, tmp_path: Path) -> None:
        swing = 0.8 + 0.03 * np.sin(np.arange(6750) * 0.8 * 2 * np.pi * 0.1)
        document = written(
            tmp_path, "N" * 6750, swing + 0.05 * np.sin(np.arange(6750) * 0.8 * 2 * np.pi * 0.25)
        )
        assert None not in document["hrv"].values()
        assert [hour["sdnn_ms"] is None for hour in document["hourly"]] == [False, False]
        check(document)

    def test_what_a_run_of_the_batch_writes_obeys_it_with_all_of_its_provenance(self, tmp_path: Path) -> None:
        how = ScoreOptions(write_model(tmp_path / "model"), leads=("V1",))
        with results.lock_output(tmp_path / "out"):
            (row,) = runner.run(planning.plan([write_record(tmp_path)], tmp_path / "out", how), Here())
        document = json.loads((tmp_path / "out" / "r" / "summary.json").read_text())
        check(document)
        assert (document["row"], document["provenance"]["model_from"]) == (row, "given")
        assert document["provenance"].keys() == SCHEMA["properties"]["provenance"]["properties"].keys()

    def test_an_empty_recording_obeys_it(self, tmp_path: Path) -> None:
        recording = recording_of(np.empty((0, 1)), 100.0)
        analysis = analysis_of(recording, beats_of(""))
        report.write_outputs(tmp_path, analysis, provenance_of())
        check(json.loads((tmp_path / "summary.json").read_text()))


class TestBrokenDocuments:
    @pytest.fixture
    def document(self, tmp_path: Path) -> Json:
        return written(tmp_path, "NVVVN")

    @pytest.mark.parametrize("part", ["row", "figures", "hrv", "recording", "provenance"])
    def test_a_field_that_is_missing_is_found(self, document: Json, part: str) -> None:
        required = {"provenance": "model_id"}.get(part) or next(iter(document[part]))
        del document[part][required]
        with pytest.raises(ValidationError, match="required property"):
            check(document)

    @pytest.mark.parametrize("part", ["row", "figures", "hrv", "recording"])
    def test_an_undescribed_field_is_found(self, document: Json, part: str) -> None:
        document[part]["new"] = 1
        with pytest.raises(ValidationError, match="new"):
            check(document)

    def test_one_in_an_hour_too(self, document: Json) -> None:
        document["hourly"][0]["new"] = 1
        with pytest.raises(ValidationError, match="new"):
            check(document)

    def test_text_for_a_number_is_found(self, document: Json) -> None:
        document["figures"]["n_veb"] = "3"
        with pytest.raises(ValidationError, match="integer"):
            check(document)

    def test_another_version_is_found(self, document: Json) -> None:
        document["schema_version"] = 1
        with pytest.raises(ValidationError):
            check(document)
