"""The loop: what readers confirm trains the next challenger, whose figures change.

The model that scores the clinic's patients calls every beat normal, and the other training patients have no
ventricular beat. So what the next challenger knows of ventricular beats, it knows from the reader.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from ectopy.annotations import read_annotations
from ectopy.batch.planning import ScoreOptions
from ectopy.datasets import simulate
from ectopy.flows.train import train
from ectopy.model import network
from ectopy.model.training_set import labels_near
from ectopy.model.training_sources import TrainingSource, labelled_beats
from ectopy.registry import model_versions, runs
from ectopy.review.confirm import confirm
from ectopy.review.edits import RelabelBeats
from ectopy.review.log import EditLog
from ectopy.review.recordings import open_result, result_names
from tests.scored import scored
from tests.small import work_here, write_model

pytestmark = pytest.mark.usefixtures("prefect_harness")

CONFIG = network.TrainConfig(
    *(0, 2, 1),
    fold_members=1,
    window_beats=16,
    dense_units=8,
    gru_units=4,
    epochs=8,
    windows_per_epoch=128,
    batch_windows=16,
    jitter_s=0.0,
)
MODEL = "looped"


def write_patients(folder: Path, names: list[str], *, pvcs_per_1000: float, seed: int) -> list[Path]:
    """Write recordings of patients with ventricular beats, or without any ectopic beat."""
    headers = []
    for number, name in enumerate(names):
        rng = np.random.default_rng([seed, number])
        patient = replace(
            simulate.draw_patient(rng),
            episodes_per_1000={"single PVC": pvcs_per_1000} if pvcs_per_1000 else {},
            af_share=0.0,
            noise=simulate.NO_NOISE,
        )
        headers.append(simulate.write(simulate.simulate(patient, minutes=6.5, rng=rng, name=name), folder))
    return headers


def correct(out: Path, name: str, clinic: Path) -> None:
    """Have a reader give each beat its true label, one decision for each class, and confirm."""
    result = open_result(out, name)
    beats, log = result.analysis.beats, EditLog(result.log_path)
    sample, label = labelled_beats(read_annotations(clinic / name, "atr"))
    true = labels_near(beats.sample, sample, label, tolerance=round(0.15 * beats.fs))
    for letter in ("N", "S", "V"):
        wrong = (true == letter) & (beats.label != letter)
        if wrong.any():
            edit = RelabelBeats(beats.sample[wrong], letter, "".join(beats.label[wrong]))
            log.append(edit, by="AB", base=result.base)
    confirm(result, log, by="AB", seconds=42.0)


class Loop(NamedTuple):
    """The folders, the tracking store, and the version that was trained with its run."""

    data: Path
    out: Path
    uri: str
    version: model_versions.Version
    run: Any


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory, tracking_uri: str) -> Any:
    import mlflow

    folder = tmp_path_factory.mktemp("loop")
    data, clinic, out = folder / "data", folder / "clinic", folder / "out"
    quiet = data / "simdb" / "1.0.0"
    names = ["s0-001", "s0-002"]
    write_patients(quiet, names, pvcs_per_1000=0, seed=0)
    (quiet / "RECORDS").write_text("\n".join(names))
    patients = write_patients(clinic, ["Miller", "Smith", "Jones"], pvcs_per_1000=120, seed=1)
    scored(patients, out, ScoreOptions(write_model(folder / "model")))
    for name in result_names(out):
        correct(out, name, clinic)
    (out / "patients.csv").write_text("recording,patient\nMiller,7\nSmith,8\nJones,7\n")
    with pytest.MonkeyPatch.context() as patch:
        work_here(patch)
        version = train(
            [TrainingSource("simdb")],
            data,
            CONFIG,
            model=MODEL,
            tracking_uri=tracking_uri,
            corrections=[out],
            corrections_weight=2.0,
        )
        yield Loop(data, out, tracking_uri, version, mlflow.get_run(version.run_id))


def review_run(parent: Any) -> Any:
    import mlflow

    (run,) = mlflow.search_runs(
        experiment_names=["ectopy-train"],
        filter_string=f"tags.mlflow.parentRunId = '{parent.info.run_id}' and attributes.run_name LIKE 'review%'",
        output_format="list",
    )
    return run


def test_the_figures_of_the_next_challenger_change(loop):
    """The first model finds no ventricular beat of these patients; the next one does, out of fold."""
    quiet = loop.data / "simdb" / "1.0.0"
    assert not any("V" in read_annotations(quiet / record, "atr").symbol for record in ("s0-001", "s0-002"))
    automatic = review_run(loop.run).data.metrics
    challenger = runs.all_metrics(loop.run.info.run_id)
    assert automatic["ec57/gross/veb_sensitivity"] == 0
    assert challenger["out_of_fold/corrections/detected/gross/veb_sensitivity"] > 0.5
    assert challenger["out_of_fold/corrections/detected/gross/veb_f1"] > 0.5
    assert model_versions.challenger(MODEL) == loop.version


def test_the_review_is_a_run_with_corrections_decisions_and_seconds(loop):
    run = review_run(loop.run)
    assert run.info.run_name == "review of 3 recordings"
    metrics = run.data.metrics
    assert metrics["recordings"] == 3
    assert metrics["seconds/median"] == 42
    assert 1 <= metrics["decisions/median"] <= 3
    changes = [json.loads(path.read_text()) for path in loop.out.glob("*.review/confirmed/changes.json")]
    corrections, beats = (sum(each[name] for each in changes) for name in ("corrections", "n_beats"))
    assert metrics["corrections_per_1000_beats"] == pytest.approx(1000 * corrections / beats)
    assert corrections > 100


def test_recordings_of_one_patient_are_in_one_fold(loop):
    records = loop.run.data.params["corrections/records"].split(",")
    patients = {record.partition("-")[0] for record in records}
    assert (len(records), len(patients)) == (3, 2)


def test_weight_and_origin_are_on_the_run(loop):
    import mlflow

    params = loop.run.data.params
    assert params["corrections/weight"] == "2.0"
    assert params["database"] == "simdb,corrections"
    file = mlflow.artifacts.download_artifacts(run_id=loop.run.info.run_id, artifact_path="corrections.json")
    origins = json.loads(Path(file).read_text())
    assert sorted(origins) == sorted(params["corrections/records"].split(","))
    assert {origin["model"] for origin in origins.values()} == {"small 1 (test)"}
    assert {origin["decisions"] > 0 for origin in origins.values()} == {True}


def test_no_name_of_a_recording_reaches_the_store_or_the_database(loop):
    names = ("Miller", "Smith", "Jones")
    texts = [str(run.data) for run in (loop.run, review_run(loop.run))]
    texts += [
        path.read_text(errors="ignore") for path in (loop.data / "corrections").rglob("*.*") if path.is_file()
    ]
    texts += [str(path) for path in (loop.data / "corrections").rglob("*")]
    assert not [name for name in names for text in texts if name in text]


def test_the_copies_have_the_signal_and_the_labels_of_the_reader(loop):
    folder = loop.data / "corrections" / "1.0.0"
    headers = sorted(folder.glob("*.hea"))
    assert len(headers) == 3
    import ectopy

    for name in ("Miller", "Smith"):
        result = open_result(loop.out, name)
        copy = next(path for path in headers if path.stem.endswith(result.provenance["input_sha256"][:12]))
        n = result.analysis.n_samples
        original, copied = result.analysis.recording, ectopy.read(copy)
        np.testing.assert_allclose(copied.read(0, n), original.read(0, n), atol=0.001)
        confirmed = read_annotations(result.review_folder / "confirmed" / name, "reviewed")
        np.testing.assert_array_equal(read_annotations(copy.with_suffix(""), "atr").symbol, confirmed.symbol)
