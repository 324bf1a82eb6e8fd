"""Who never trained on a database is compared on it as a whole, and nobody on a patient it has seen."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ectopy.datasets.simulate import simulate_database
from ectopy.ec57.record_counts import RecordCounts, to_json
from ectopy.evaluation import EvaluationJob, evaluate_record
from ectopy.evaluation.unseen import add_evidence, unseen_jobs
from ectopy.model import classifier
from ectopy.registry import model_versions, runs
from ectopy.registry.evidence import OUT_OF_FOLD_RECORDS, UNSEEN_RECORDS, read_evidence, read_records
from ectopy.registry.model_versions import Version
from ectopy.registry.promotion_gate import compare
from tests.counts import beats
from tests.small import write_model

TRAINING, HELD_OUT = ("s0-001", "s0-002"), "s0-003"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("data")
    simulate_database(data, recordings=3, minutes=6.0, seed=0)  # EC57 does not score the first five
    return data


@pytest.fixture(autouse=True)
def connected(tracking_uri: str) -> None:
    runs.connect(tracking_uri, "unseen")


def counts_of(*names: str, patient: str = "") -> list[RecordCounts]:
    return [RecordCounts("simdb", name, patient or f"simdb/{name}", beats(NN=9)) for name in names]


@pytest.fixture
def register(tmp_path: Path, request: pytest.FixtureRequest):
    """Register versions of a model of the test's own, which call every beat by one letter."""

    def made(
        database: str, records: Sequence[RecordCounts] = (), *, always: str = "N", held_out: str = ""
    ) -> Version:
        name = request.node.name
        folder = write_model(tmp_path / f"{len(model_versions.list_versions(name))}", always=always)
        (folder / "card.md").write_text("# Small\n")
        with runs.run(name):
            if records:
                runs.log_text(to_json(records), OUT_OF_FOLD_RECORDS)
            with runs.run("fold 0", nested=True):
                runs.log_parameters({model_versions.HELD_OUT: held_out})
            return model_versions.register(
                folder, model=name, tags={"database": database} if database else {}
            )

    return made


def test_the_training_records_of_the_rival_are_analysed_and_no_others(register, data: Path) -> None:
    version, rival = register("mitdb"), register("simdb", counts_of(*TRAINING))
    jobs = unseen_jobs(version, rival, data)
    assert list(jobs) == [("simdb", name) for name in TRAINING]
    assert all(not job.held_out for job in jobs.values())
    assert [job.patient for job in jobs.values()] == [f"simdb/{name}" for name in TRAINING]


def test_a_held_out_record_is_never_analysed(register, data: Path) -> None:
    rival = register("simdb", counts_of(HELD_OUT))
    assert unseen_jobs(register("mitdb"), rival, data) == {}


def test_nobody_is_tested_on_a_database_it_was_trained_on(register, data: Path) -> None:
    rival = register("simdb", counts_of(*TRAINING))
    assert unseen_jobs(register("mitdb,simdb"), rival, data) == {}


def test_a_patient_who_was_seen_in_another_database_is_left_out(register, data: Path) -> None:
    rival = register("simdb", [*counts_of(TRAINING[0], patient="mitdb/118"), *counts_of(TRAINING[1])])
    seen_by_name = register("mitdb")
    seen_in_a_fold = register("nstdb", held_out="nstdb/118e06,nstdb/119e06")
    seen_in_an_old_fold = register("nstdb", held_out="118e06")
    for version in (seen_by_name, seen_in_a_fold, seen_in_an_old_fold):
        assert list(unseen_jobs(version, rival, data)) == [("simdb", TRAINING[1])]


def test_a_version_of_which_nobody_knows_the_patients_is_not_tested(register, data: Path) -> None:
    assert unseen_jobs(register(""), register("simdb", counts_of(*TRAINING)), data) == {}


def test_records_that_are_not_here_are_named(
    register, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    version, rival = register("mitdb"), register("simdb", counts_of(*TRAINING, "s0-004"))
    assert list(unseen_jobs(version, rival, data)) == [("simdb", name) for name in TRAINING]
    assert f"{data}: {version.uri} is not compared on simdb/s0-004: not among" in caplog.text
    assert unseen_jobs(version, rival, tmp_path) == {}
    assert "not compared on simdb/s0-001, simdb/s0-002, simdb/s0-004" in caplog.text


def test_results_are_kept_with_the_version_and_not_computed_again(register, data: Path) -> None:
    trained = register("simdb")
    network = model_versions.fetch_model(trained.uri)
    folder = data / "simdb" / "1.0.0"
    analyses = [evaluate_record(EvaluationJob(folder / name, f"simdb/{name}", network, held_out=False)) for name in TRAINING]  # fmt: skip
    rival = register("simdb", [
        RecordCounts("simdb", analysis.record, analysis.reference.patient, analysis.outcome.beats)
        for analysis in analyses
    ])  # fmt: skip
    version = register("mitdb", always="V")
    jobs = unseen_jobs(version, rival, data)
    add_evidence(version, list(jobs)[:1], [evaluate_record(next(iter(jobs.values())))])
    assert list(unseen_jobs(version, rival, data)) == list(jobs)[1:]
    add_evidence(version, list(jobs)[1:], [evaluate_record(job) for job in list(jobs.values())[1:]])
    assert [counts.record for counts in read_records(version, UNSEEN_RECORDS)] == list(TRAINING)
    rows = {row.metric: row for row in compare(read_evidence(version), read_evidence(rival))}
    assert rows["gross/veb_f1"].patients == 2
    assert rows["gross/veb_f1"].difference.first == 0.0  # all N
    assert rows["gross/veb_f1"].difference.second > 0  # all V
    assert np.isclose(rows["gross/qrs_f1"].difference.value, 0.0)


def test_a_champion_of_other_features_is_not_analysed_and_a_warning_says_why(
    register, data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    version, rival = register("mitdb"), register("simdb", counts_of(*TRAINING))
    monkeypatch.setattr(classifier, "FEATURE_NAMES", ("a feature of a later version",))
    assert unseen_jobs(version, rival, data) == {}
    assert "features that this version does not compute: 'rr over late rr' and" in caplog.text
    assert "The gate does not judge without them. `ectopy models promote --reason TEXT`" in caplog.text
