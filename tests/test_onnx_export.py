"""Networks as native nodes: the same answers, and nearly the same from weights of eight bits."""

from dataclasses import replace

import numpy as np
import onnx
import pytest

from ectopy.ablation.compression import load_onnx, size_of
from ectopy.features.extraction import FEATURE_NAMES
from ectopy.model import network
from ectopy.model.classifier import CHUNK, in_chunks
from ectopy.model.network import Network, TrainConfig
from ectopy.model.onnx_export import UnsupportedLayerError, export_onnx

import keras  # isort: skip - after network, which chooses its backend
from keras import layers  # isort: skip

K = len(FEATURE_NAMES)
CONFIG = TrainConfig(dense_units=16, gru_units=12)
NATIVE = ("simple-rnn", "gru", "lstm", "no-recurrence")


def shaken(model, *, seed=0):
    """Give a model weights of which none is zero or equal to another, biases included."""
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(0, 0.3, w.shape).astype(np.float32) for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def models():
    return {kind: shaken(network.build(replace(CONFIG, architecture=kind))) for kind in NATIVE}


@pytest.fixture(scope="module")
def gru(models):
    return models["gru"]


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).normal(size=(CHUNK + 9, K)).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


def operators(path):
    return [node.op_type for node in onnx.load(path).graph.node]


class TestNative:
    @pytest.mark.parametrize("kind", NATIVE)
    def test_it_answers_as_keras_does(self, kind, models, x, path):
        export_onnx(models[kind], path)
        expected = in_chunks(models[kind].predict_on_batch, x)
        np.testing.assert_allclose(load_onnx(path)(x), expected, atol=1e-5)

    @pytest.mark.parametrize(("kind", "node"), [("simple-rnn", "RNN"), ("gru", "GRU"), ("lstm", "LSTM")])
    def test_recurrence_is_one_node_and_no_loop(self, kind, node, models, path):
        export_onnx(models[kind], path)
        assert operators(path).count(node) == 1
        assert not {"Loop", "Scan"} & set(operators(path))

    def test_an_ensemble_is_the_mean_of_its_members(self, x, path):
        members = [Network(shaken(network.build(CONFIG), seed=seed), 0, 1) for seed in (1, 2)]
        whole = network.ensemble(members).model
        export_onnx(whole, path)
        expected = in_chunks(whole.predict_on_batch, x)
        np.testing.assert_allclose(load_onnx(path)(x), expected, atol=1e-5)

    def test_batch_and_time_are_free(self, gru, path):
        export_onnx(gru, path)
        run = load_onnx(path)
        assert [run(np.zeros((n, K), np.float32)).shape for n in (1, 700)] == [(1, 3), (700, 3)]

    def test_the_file_is_a_valid_model(self, gru, path):
        export_onnx(gru, path)
        onnx.checker.check_model(onnx.load(path), full_check=True)

    def test_what_has_no_node_is_refused_by_name(self, path):
        with pytest.raises(
            UnsupportedLayerError, match="no ONNX node for a layer of type LayerNormalization"
        ):
            export_onnx(network.build(replace(CONFIG, architecture="gru-attention")), path)

    @pytest.mark.parametrize(
        ("layer", "option"),
        [
            (layers.Bidirectional(layers.GRU(4, return_sequences=True), merge_mode="sum"), "merge_mode"),
            (layers.Bidirectional(layers.GRU(4, return_sequences=True, activation="relu")), "activation"),
            (layers.Bidirectional(layers.GRU(4, return_sequences=True, reset_after=False)), "reset_after"),
            (layers.Bidirectional(layers.LSTM(4, return_sequences=True, use_bias=False)), "use_bias"),
            (layers.Dense(4, use_bias=False), "without a bias"),
            (layers.Dense(4, activation="gelu"), "gelu"),
            (keras.Sequential([layers.Dense(4), layers.Dense(4)]), "of type Sequential"),
        ],
    )
    def test_what_a_node_would_compute_differently_is_refused(self, layer, option, path):
        """A network of parts with a name of their own is no ensemble, and none of them is exported alone."""
        beats = keras.Input((None, K))
        with pytest.raises(UnsupportedLayerError, match=option):
            export_onnx(keras.Model(beats, layers.Dense(3)(layer(beats))), path)


class TestEightBits:
    def test_each_weight_is_right_to_half_a_step_of_its_unit(self, gru, path):
        export_onnx(gru, path, eight_bits=True)
        kernel = gru.layers[1].get_weights()[0]
        kept = {each.name: onnx.numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer}
        stored, scale = kept["weights_0"], kept["weights_1"]
        assert stored.dtype == np.int8
        assert (np.abs(stored * scale - kernel) <= scale / 2 + 1e-7).all()

    def test_answers_stay_near_those_of_floats(self, gru, x, path):
        """Steps of 1/127 of the largest weight are errors of about 1 %, and independent: the class stays."""
        export_onnx(gru, path, eight_bits=True)
        expected = in_chunks(gru.predict_on_batch, x)
        small = load_onnx(path)(x)
        assert np.abs(small - expected).mean() < 0.03 * np.abs(expected).mean()
        assert np.mean(small.argmax(axis=1) == expected.argmax(axis=1)) > 0.98

    def test_a_unit_without_weights_stays_without(self, path):
        model = network.build(CONFIG)
        model.set_weights([np.zeros_like(w) for w in model.get_weights()])
        export_onnx(model, path, eight_bits=True)
        assert not load_onnx(path)(np.ones((5, K), np.float32)).any()

    def test_a_network_of_usual_size_takes_a_third_of_the_bytes(self, path):
        model = shaken(network.build(TrainConfig()))
        export_onnx(model, path)
        floats = size_of(path).plain
        export_onnx(model, path, eight_bits=True)
        assert size_of(path).plain < 0.35 * floats  # a quarter, and names, biases and scales
