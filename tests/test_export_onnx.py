"""The network of a stream as ONNX: the same probabilities as the step in numpy."""

import json
import subprocess
import sys

import numpy as np
import pytest

from ectopy.live.beat_features import FEATURES
from ectopy.live.export_onnx import EXAMPLE, FLOAT_MODEL, INT8_MODEL, SPECIFICATION, export_onnx
from ectopy.live.quantisation import quantised
from tests.live import random_live_model

pytest.importorskip("onnx", reason="onnx is of the extra pipeline")
onnxruntime = pytest.importorskip("onnxruntime")

MODEL = random_live_model()
BEATS = np.random.default_rng(2).normal(size=(40, len(FEATURES))).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx") / "new"
    export_onnx(folder, MODEL)
    return folder


def steps(model):
    """Return what the network in numpy says of BEATS: probabilities [beats, look_ahead + 1, 4], and states."""
    state, answers, states = model.start(), [], []
    for features in BEATS:
        state, probability = model.step(state, features)
        answers.append(probability)
        states.append(state)
    return np.array(answers), np.array(states)


@pytest.mark.parametrize(("file", "model"), [(FLOAT_MODEL, MODEL), (INT8_MODEL, quantised(MODEL))])
def test_a_step_gives_the_probabilities_and_the_state_of_numpy(folder, file, model):
    session = onnxruntime.InferenceSession(str(folder / file), providers=["CPUExecutionProvider"])
    state = model.start()
    for features, probability, next_state in zip(BEATS, *steps(model), strict=True):
        told, state = session.run(None, {"features": features, "state": state})
        np.testing.assert_allclose(told, probability, atol=2e-5)
        np.testing.assert_allclose(state, next_state, atol=2e-5)


def test_eight_bits_are_smaller(folder):
    assert (folder / INT8_MODEL).stat().st_size < 0.5 * (folder / FLOAT_MODEL).stat().st_size


def test_the_specification_says_what_goes_in_and_comes_out(folder):
    specification = json.loads((folder / SPECIFICATION).read_text())
    session = onnxruntime.InferenceSession(str(folder / FLOAT_MODEL), providers=["CPUExecutionProvider"])
    for said, values in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
        assert {one.name: one.shape for one in values} == {
            name: about["shape"] for name, about in specification[said].items()
        }
    columns = specification["inputs"]["features"]["columns"]
    assert [one["name"] for one in columns] == list(MODEL.specification.features)
    assert all(one["meaning"] == FEATURES[one["name"]] for one in columns)


@pytest.mark.parametrize("file", [FLOAT_MODEL, INT8_MODEL])
def test_the_example_prints_the_labels_after_the_look_ahead(folder, file):
    text = "\n".join(",".join(map(repr, row)) for row in BEATS.tolist())
    ended = subprocess.run(
        [sys.executable, folder / EXAMPLE.name, folder / file],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.split(",") for line in ended.stdout.splitlines()]
    answers, _ = steps(MODEL if file == FLOAT_MODEL else quantised(MODEL))
    n, look_ahead = len(BEATS), MODEL.look_ahead
    seen = np.minimum(look_ahead, n - 1 - np.arange(n))
    expected = answers[np.arange(n) + seen, seen]
    assert [row[0] for row in rows] == ["NSVF"[one] for one in expected.argmax(axis=1)]
    np.testing.assert_allclose(np.array([row[1:] for row in rows], dtype=float), expected, atol=3e-5)


def test_the_example_imports_numpy_and_onnx_runtime_only():
    lines = EXAMPLE.read_text().splitlines()
    imports = [line.split() for line in lines if line.startswith(("import ", "from "))]
    assert {words[1].split(".")[0] for words in imports} == {
        "json",
        "os",
        "sys",
        "pathlib",
        "numpy",
        "onnxruntime",
    }
