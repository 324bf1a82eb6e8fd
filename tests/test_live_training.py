"""The streaming model from records to the registry, on simulated patients."""

import mlflow
import numpy as np
import pytest
from typer.testing import CliRunner

from ectopy.cli import app
from ectopy.datasets.simulate import simulate_database
from ectopy.ec57.reference import DETECTED, GIVEN
from ectopy.flows.train_live import train_live, usable
from ectopy.live import training
from ectopy.live.beat_features import FEATURES
from ectopy.live.examples import describe_beats, detect, read_live_record
from ectopy.live.fold_answers import Answers, calibrate_answers, metrics_by_look_ahead, table
from ectopy.live.network import load_live_model
from ectopy.model.calibration import UNCALIBRATED
from ectopy.model.network import TrainConfig
from ectopy.model.training_sources import TrainingSource, select_records
from ectopy.readers import open_recording
from ectopy.registry import model_versions
from tests.small import work_here

SMALL = TrainConfig(
    n_folds=2,
    epochs=2,
    windows_per_epoch=16,
    batch_windows=8,
    window_beats=16,
    dense_units=8,
    gru_units=6,
    warmup_steps=1,
)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    simulate_database(folder, recordings=4, minutes=1.5, seed=0)
    return folder


@pytest.fixture(scope="module")
def labelled(data_dir):
    (source,) = select_records([TrainingSource("simdb")], data_dir)
    return source.labelled(use_doubtful=True)


@pytest.fixture(scope="module")
def record(labelled):
    return read_live_record(labelled[0], donors=labelled[1:])


@pytest.fixture(scope="module")
def network(record):
    return training.fit(usable(record.sequences), SMALL, look_ahead=2, seed=0)


def test_a_training_record_has_what_a_stream_knows(record, labelled):
    recording = open_recording(labelled[0].path)
    detected = record.get(DETECTED)
    stream = detect(recording, (0, 1))
    again = describe_beats(stream.signal, stream.usable, stream.beats, (0, 1))
    np.testing.assert_array_equal(detected.features, again)
    assert (detected.label != "").mean() > 0.95


def test_variants_differ_in_their_leads_and_in_their_patient(record):
    names = {sequence.variant for sequence in record.sequences}
    assert {DETECTED, f"{DETECTED}, swapped", f"{DETECTED}, first lead", GIVEN} <= names
    assert any(name.startswith("augmented: early beats") for name in names)
    both, swapped = (record.get(name).features for name in (DETECTED, f"{DETECTED}, swapped"))
    columns = [list(FEATURES).index(f"lead {lead}: readable") for lead in (1, 2)]
    np.testing.assert_array_equal(both[:, columns], swapped[:, columns[::-1]])
    alone = record.get(f"{DETECTED}, first lead").features
    assert not alone[:, columns[1]].any()
    assert all(np.isfinite(sequence.features).all() for sequence in record.sequences)


def test_a_patient_that_lent_beats_is_named(record):
    borrowed = [sequence for sequence in record.sequences if "of another" in sequence.variant]
    assert all(sequence.donor for sequence in borrowed)
    assert all(not sequence.donor for sequence in record.sequences if sequence not in borrowed)


def test_the_steps_in_numpy_are_those_of_keras(network, record):
    sequence = record.get(DETECTED)
    logits = training.answers(network, sequence, look_ahead=2)
    model = training.as_live_model(network, [UNCALIBRATED] * 3, name="small")
    state, steps = model.start(), []
    for features in sequence.features:
        state, probability = model.step(state, features)
        steps.append(probability[:, :3])
    for after in range(3):
        expected = np.exp(logits[: len(steps) - after, after])
        expected /= expected.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(np.array(steps)[after:, after], expected, atol=2e-5)


def test_at_the_end_of_a_record_the_last_answer_stands(network, record):
    logits = training.answers(network, record.get(DETECTED), look_ahead=2)
    np.testing.assert_array_equal(logits[-1, 1], logits[-1, 0])
    np.testing.assert_array_equal(logits[-2, 2], logits[-2, 1])


def test_answers_are_calibrated_and_compared_for_each_look_ahead(network, record):
    sequence = record.get(DETECTED)
    logits = training.answers(network, sequence, look_ahead=2)
    true = Answers(sequence, record.reference, np.where(_one_hot(sequence.label), 5.0, 0.0))
    assert len(calibrate_answers([Answers(sequence, record.reference, logits)], coverage=0.9)) == 3
    rows = metrics_by_look_ahead([true])["simdb"]
    assert len(rows) == 3
    assert table({"simdb": rows}).count("\n") == 4


def _one_hot(label):
    classes = np.array(["N", "S", "V"])
    return np.repeat((label[:, None] == classes)[:, None], 3, axis=1)


def test_a_streaming_model_is_trained_registered_and_read_back(data_dir, tracking_uri, monkeypatch):
    work_here(monkeypatch)
    monkeypatch.setattr("ectopy.flows.train_live.WorkerPool", _Here)
    version = train_live([TrainingSource("simdb")], data_dir, SMALL, look_ahead=1, tracking_uri=tracking_uri)
    assert (version.model, version.number) == ("ectopy-live", "1")
    model = load_live_model(data_dir / "training" / "live" / "model")
    assert model.look_ahead == 1
    assert model.specification.run == version.run_id
    card = model_versions.card_of(version)
    assert "one forward GRU" in card
    assert "| simdb | 1 |" in card
    assert model_versions.version_by_alias("ectopy-live", "challenger") == version
    served = mlflow.pyfunc.load_model(version.uri)
    answer = served.predict(served.input_example)
    assert answer["label"].isin(["N", "S", "V"]).all()
    assert answer[["p_n", "p_s", "p_v"]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)


def test_too_few_patients_are_refused_before_any_work(data_dir):
    result = CliRunner().invoke(
        app, ["train-live", "--database", "simdb", "--data-dir", str(data_dir), "--set", "n_folds=40"]
    )
    assert "too few for 40 folds" in str(result.exception)


class _Here:
    """Workers that are this process."""

    def __init__(self, _: int) -> None:
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def call_each(self, function, arguments):
        return [function(argument) for argument in arguments]
