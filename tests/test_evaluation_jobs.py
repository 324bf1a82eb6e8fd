"""Which network analyses which record: one that has not seen the patient, whatever database the patient is in."""

from dataclasses import replace
from pathlib import Path

import pytest

from ectopy.datasets import catalogue
from ectopy.evaluation.jobs import challenger_jobs, out_of_fold_jobs
from ectopy.model.calibration import Calibration
from ectopy.model.classifier import load_classifier
from ectopy.model.folds import Fold
from ectopy.model.network import TrainConfig
from ectopy.model.training import (
    TrainingFolder,
    calibrate_members,
    fold_networks,
    member_networks,
    record_jobs,
)
from ectopy.model.training_sources import SourceRecords, TrainingSource
from ectopy.registry import model_versions, runs
from tests.small import write_model

MITDB, SVDB, NSTDB = map(catalogue.find_database, ("mitdb", "svdb", "nstdb"))
WORK = TrainingFolder(Path("work"))
CONFIG = TrainConfig(n_folds=2, fold_members=2, members=3)


@pytest.fixture(autouse=True)
def connected(tracking_uri: str) -> None:
    runs.connect(tracking_uri, "jobs")


@pytest.fixture
def register(tmp_path: Path, request: pytest.FixtureRequest):
    """Register a version with folds that held out these records, each with a network of its own."""

    def made(database: str, *held_out: str) -> model_versions.Version:
        with runs.run(request.node.name):
            for number, records in enumerate(held_out):
                with runs.run(f"fold {number}", nested=True):
                    runs.log_parameters({model_versions.HELD_OUT: records})
                    runs.log_folder(write_model(tmp_path / f"{number}", name=f"fold {number}"), "model")
            folder = write_model(tmp_path / "all")
            (folder / "card.md").write_text("# Small\n")
            return model_versions.register(folder, model=request.node.name, tags={"database": database})

    return made


def models_of(version: model_versions.Version, database: catalogue.Database, *records: str) -> dict[str, str]:
    """Give the name of the model of each record that is evaluated."""
    from ectopy.model.classifier import load_classifier

    ensemble = model_versions.fetch_model(version.uri)
    jobs = challenger_jobs(version, ensemble, database, [Path(record) for record in records])
    return {
        job.record.name: "all" if job.model == ensemble else load_classifier(job.model).specification.name
        for job in jobs
    }


@pytest.mark.parametrize(
    ("first", "second"), [("101,106", "108"), ("mitdb/101,mitdb/106", "mitdb/108")], ids=["before", "today"]
)
def test_records_of_a_fold_are_found_by_their_name_of_today_and_of_before(register, first, second) -> None:
    version = register("mitdb", first, second)
    assert models_of(version, MITDB, "100", "101", "106", "108") == {
        "100": "all",
        "101": "fold 0",
        "106": "fold 0",
        "108": "fold 1",
    }


def test_each_of_several_databases_is_evaluated_as_a_whole(register) -> None:
    version = register("mitdb,svdb", "mitdb/101,svdb/800", "svdb/801")
    assert model_versions.databases_of(version) == ("mitdb", "svdb")
    assert models_of(version, SVDB, "800", "801", "803") == {"800": "fold 0", "801": "fold 1", "803": "all"}
    assert models_of(version, MITDB, "101") == {"101": "fold 0"}


def test_a_record_that_was_not_trained_on_leaves_the_held_out_records_alone(register) -> None:
    assert models_of(register("mitdb", "mitdb/101"), MITDB, "100", "101", "106") == {"100": "all"}


def test_the_same_patient_in_another_database_has_the_same_network(register) -> None:
    assert models_of(register("mitdb,svdb", "svdb/800", "mitdb/118"), NSTDB, "118e24") == {"118e24": "fold 1"}


class TestOutOfFold:
    sources = tuple(
        SourceRecords(TrainingSource(name), catalogue.find_database(name), Path(name), records, (), ())
        for name, records in (("mitdb", ("101", "201")), ("svdb", ("876", "877")))
    )
    jobs = record_jobs(sources, CONFIG, WORK)
    folds = (
        Fold(("mitdb/201",), ("mitdb/101", "svdb/876", "svdb/877")),
        Fold(("mitdb/101", "svdb/876", "svdb/877"), ("mitdb/201",)),
    )

    def test_files_of_records_with_one_name_do_not_meet(self) -> None:
        assert [job.training_record.as_posix() for job in self.jobs] == [
            f"work/{key}.npz" for key in ("mitdb/101", "mitdb/201", "svdb/876", "svdb/877")
        ]

    def test_patients_of_every_database_lend_beats_and_nobody_to_himself(self) -> None:
        lenders = {job.record.key: {donor.key for donor in job.donors} for job in self.jobs}
        assert lenders["mitdb/101"] == {"mitdb/201", "svdb/876", "svdb/877"}
        assert lenders["svdb/876"] == {"mitdb/101", "mitdb/201"}  # 877 is the same patient

    def test_a_record_has_the_ensemble_and_the_networks_of_the_fold_that_held_it_out(self) -> None:
        by_fold = fold_networks(self.jobs, self.folds, CONFIG, WORK)
        first, second, *_ = out_of_fold_jobs(self.jobs, by_fold, WORK)
        assert (first.record, first.patient, first.model) == (Path("mitdb/101"), "mitdb/101", WORK.fold(0))
        assert first.members == (WORK.fold_network(0, 0), WORK.fold_network(0, 1))
        assert second.model == WORK.fold(1)

    def test_networks_of_an_ensemble_differ_in_their_seed_alone(self) -> None:
        networks = fold_networks(self.jobs, self.folds, CONFIG, WORK)[1]
        assert [network.config.seed for network in networks] == [0, 1]
        members = member_networks(self.jobs, CONFIG, WORK)
        assert [(member.config.seed, member.fold) for member in members] == [(0, None), (1, None), (2, None)]


class TestCalibrateMembers:
    def test_the_calibration_alone_changes(self, tmp_path: Path) -> None:
        folder = write_model(tmp_path / "member")
        before = load_classifier(folder).specification
        calibrate_members([folder], Calibration(temperature=1.7, confidence_threshold=0.6))
        after = load_classifier(folder).specification
        assert after == replace(before, temperature=1.7, confidence_threshold=0.6)
