"""Which records a network learns from: databases, their records, weights and maps, and doubtful labels."""

from pathlib import Path

import numpy as np
import pytest

from ectopy.annotations import Annotations
from ectopy.datasets import doubtful_labels, simulate
from ectopy.datasets.catalogue import FetchError
from ectopy.datasets.doubtful_labels import DoubtfulLabel
from ectopy.model.training_sources import (
    DEFAULT_SOURCES,
    LabelledRecord,
    TrainingSource,
    TrainingSourceError,
    select_records,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with three records of simulated patients, of which the third is held out."""
    data = tmp_path_factory.mktemp("data")
    simulate.simulate_database(data, recordings=3, minutes=0.2, seed=0)
    return data


class TestSource:
    def test_the_shipped_model_learns_from_two_databases(self) -> None:
        assert [source.database for source in DEFAULT_SOURCES] == ["mitdb", "svdb"]

    def test_a_text_names_a_database_and_its_weight(self) -> None:
        assert TrainingSource.parse("svdb") == TrainingSource("svdb")
        assert TrainingSource.parse(" svdb = 0.5 ") == TrainingSource("svdb", weight=0.5)

    @pytest.mark.parametrize("text", ["svdb=", "svdb=half", "svdb=0", "svdb=-1", "svdb=nan", "svdb=1e9"])
    def test_what_is_no_weight_is_refused_with_the_database(self, text: str) -> None:
        with pytest.raises(TrainingSourceError, match=r"svdb.*weight"):
            TrainingSource.parse(text)

    def test_an_unknown_database_or_map_is_refused_with_the_known_ones(self) -> None:
        with pytest.raises(FetchError, match=r"nodb: unknown database\. Choose one of mitdb"):
            TrainingSource.parse("nodb=2")
        with pytest.raises(TrainingSourceError, match=r"'aami'\. Choose one of ec57, dechazal"):
            TrainingSource("mitdb", beat_map="aami")


class TestSelection:
    def test_all_training_records_are_taken_and_held_out_ones_are_not(self, data: Path) -> None:
        (records,) = select_records([TrainingSource("simdb")], data)
        assert (records.training, records.held_out) == (("s0-001", "s0-002"), ("s0-003",))

    def test_a_choice_of_records_is_taken_as_it_is(self, data: Path) -> None:
        (records,) = select_records([TrainingSource("simdb", ("s0-002",), 0.5, "ec57")], data)
        (record,) = records.labelled(use_doubtful=False)
        assert record.key == record.patient == "simdb/s0-002"
        assert (record.weight, record.beat_map, record.use_doubtful) == (0.5, "ec57", False)

    @pytest.mark.parametrize("record", ["s0-003", "nobody"])
    def test_a_held_out_or_missing_record_is_never_trained_on(self, data: Path, record: str) -> None:
        with pytest.raises(TrainingSourceError, match=f"{record}: not among the training records here"):
            select_records([TrainingSource("simdb", (record,))], data)

    def test_a_missing_database_is_reported_with_the_command_that_brings_it(self, data: Path) -> None:
        with pytest.raises(FetchError, match=r"the database svdb is missing.*`ectopy ingest"):
            select_records([TrainingSource("simdb"), TrainingSource("svdb")], data)

    def test_a_database_without_a_training_record_is_refused(self, data: Path, tmp_path: Path) -> None:
        with pytest.raises(
            TrainingSourceError, match=r"ltdb: not a database to train on\. Choose one of mit"
        ):
            select_records([TrainingSource("ltdb")], tmp_path)
        (tmp_path / "mitdb").mkdir()
        (tmp_path / "mitdb" / "1.0.0").symlink_to(data / "simdb" / "1.0.0")
        with pytest.raises(TrainingSourceError, match=r"no record to train on\. Choose one of mitdb, svdb"):
            select_records([TrainingSource("mitdb")], tmp_path)

    def test_a_record_that_does_not_train_is_refused_before_its_folder_is_looked_for(
        self, tmp_path: Path
    ) -> None:
        for record in ("100", "999"):
            with pytest.raises(TrainingSourceError, match=f"mitdb: {record}: not among its training records"):
                select_records([TrainingSource("mitdb", ("101", record))], tmp_path)
        with pytest.raises(TrainingSourceError, match="mitdb: 101: named twice"):
            TrainingSource("mitdb", ("101", "106", "101"))

    def test_patients_of_another_database_can_be_left_out(self, data: Path) -> None:
        (records,) = select_records([TrainingSource("simdb")], data)
        assert records.without({"simdb/s0-001", "mitdb/101"}).training == ("s0-002",)
        with pytest.raises(TrainingSourceError, match="all training patients are also among those to test"):
            records.without({"simdb/s0-001", "simdb/s0-002"})

    def test_the_same_database_twice_or_none_is_refused(self, data: Path) -> None:
        with pytest.raises(TrainingSourceError, match="simdb: named twice"):
            select_records([TrainingSource("simdb"), TrainingSource("simdb", weight=2)], data)
        with pytest.raises(TrainingSourceError, match="no database"):
            select_records([], data)


class TestDigest:
    def test_the_hash_covers_headers_signals_and_annotations_of_the_training_records(
        self, tmp_path: Path
    ) -> None:
        simulate.simulate_database(tmp_path, recordings=3, minutes=0.1, seed=0)
        folder = tmp_path / "simdb" / "1.0.0"

        def digest() -> str:
            return select_records([TrainingSource("simdb")], tmp_path)[0].digest()

        seen = [digest()]
        for file in ("s0-001.hea", "s0-001.dat", "s0-002.atr"):
            with (folder / file).open("ab") as opened:
                opened.write(b"\n")
            seen.append(digest())
        assert len(set(seen)) == 4
        (folder / "s0-003.dat").write_bytes(b"")  # held out
        assert digest() == seen[-1]

    def test_a_run_is_told_version_records_weight_map_and_hash(self, data: Path) -> None:
        (records,) = select_records([TrainingSource("simdb", weight=2)], data)
        assert records.parameters() == {
            "simdb/version": "1.0.0",
            "simdb/records": "s0-001,s0-002",
            "simdb/weight": 2,
            "simdb/map": "dechazal",
            "simdb/sha256": records.digest(),
        }


class TestDoubtfulLabels:
    annotations = Annotations(np.array([100, 200, 300]), np.array(list("NSV")), np.zeros(3, int), ("",) * 3)

    @pytest.mark.parametrize(("shift", "labels"), [(0, "N|| V"), (19, "N|| V"), (20, "N|S| V")])
    def test_a_doubtful_beat_within_150_ms_has_no_label(
        self, shift: int, labels: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        listed = {("svdb", "800"): (DoubtfulLabel("svdb", "800", 200 - shift, "S", "N", "a test"),)}
        monkeypatch.setattr(doubtful_labels, "read_doubtful_labels", lambda _path: listed)
        for record, use_doubtful, expected in (
            ("800", False, labels.replace(" ", "")),
            ("800", True, "N|S|V"),
            ("801", False, "N|S|V"),
        ):
            labelled = LabelledRecord("svdb", Path(record), "p", use_doubtful=use_doubtful)
            sample, label = labelled.label_beats(self.annotations, 128.0)
            assert sample.tolist() == [100, 200, 300]
            assert "|".join(label) == expected
