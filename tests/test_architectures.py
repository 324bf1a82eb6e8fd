"""Architectures: what each may know of other beats, and that all can be saved, exported and scored with."""

import re
from dataclasses import replace

import numpy as np
import pytest

from ectopy.ablation.compression import load_onnx
from ectopy.features.extraction import FEATURE_NAMES
from ectopy.model import network
from ectopy.model.architectures import ARCHITECTURES, CHOSEN
from ectopy.model.calibration import UNCALIBRATED
from ectopy.model.classifier import CHUNK, load_classifier
from ectopy.model.network import TrainConfig
from ectopy.model.training_sources import TRAINED_LABELS
from tests.conftest import ROOT
from tests.small import write_record

import keras  # isort: skip - after network, which chooses its backend

K = len(FEATURE_NAMES)
TINY = TrainConfig(dense_units=8, gru_units=4)
KINDS = tuple(ARCHITECTURES)
AT = 20
"""A beat in the middle."""


def build(architecture, config=TINY):
    return network.build(replace(config, architecture=architecture))


@pytest.fixture(scope="module")
def models():
    keras.utils.set_random_seed(0)
    return {name: build(name) for name in KINDS}


def beats(*, n=41, seed=0):
    return np.random.default_rng(seed).normal(size=(1, n, K)).astype(np.float32)


def changed(model, x, at):
    """How much the logits of the beat in the middle change when the beat ``at`` does."""
    other = x.copy()
    other[:, at] += 1
    return np.abs(model.predict_on_batch(other) - model.predict_on_batch(x))[0, AT].max()


class TestWhatABeatKnows:
    @pytest.mark.parametrize("kind", sorted(set(KINDS) - {"no-recurrence"}))
    @pytest.mark.parametrize("at", [AT - 2, AT + 2])
    def test_of_beats_before_and_after(self, kind, at, models):
        assert changed(models[kind], beats(), at) > 1e-5

    @pytest.mark.parametrize("at", [AT - 1, AT + 1])
    def test_of_none_without_recurrence(self, at, models):
        assert changed(models["no-recurrence"], beats(), at) == 0

    @pytest.mark.parametrize("kind", KINDS)
    def test_of_itself_above_all(self, kind, models):
        x = beats()
        assert changed(models[kind], x, AT) > changed(models[kind], x, AT - 5)

    @pytest.mark.parametrize("kind", sorted(set(KINDS) - {"no-recurrence"}))
    def test_in_which_order_the_others_came(self, kind, models):
        """Attention alone would not: it is told before from after by its heads, and near from far by slopes."""
        x = beats()
        turned = x.copy()
        turned[:, AT - 2], turned[:, AT + 2] = x[:, AT + 2], x[:, AT - 2]
        logits = (models[kind].predict_on_batch(each)[0, AT] for each in (x, turned))
        assert np.abs(np.subtract(*logits)).max() > 1e-5


class TestPage:
    """The code of docs/how-to/add-a-model.md runs as it is written."""

    def block(self, word: str) -> str:
        page = (ROOT / "docs/how-to/add-a-model.md").read_text()
        (found,) = (text for text in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if word in text)
        return str(found)

    def test_its_classifier_analyses_a_recording(self, tmp_path, monkeypatch):
        header = write_record(tmp_path, "holter")
        monkeypatch.chdir(tmp_path)
        names = {}
        exec(self.block("def my_classify").replace("holter.edf", header.name), names)
        beats_of = names["analysis"].beats
        assert len(beats_of) > 30
        assert {*beats_of.label} <= {"N", "V"}
        features = np.zeros((2, K), dtype=np.float32)
        features[1, [names["EARLY"], names["PAUSE"]]] = -0.4, 0.6
        assert names["my_classify"]([features])[0].argmax(axis=1).tolist() == [0, 2]


class TestAlike:
    @pytest.mark.parametrize("kind", KINDS)
    def test_each_gives_logits_for_every_beat_of_a_sequence_of_any_length(self, kind, models):
        for n in (1, 7, 41):
            assert models[kind].predict_on_batch(beats(n=n)).shape == (1, n, len(TRAINED_LABELS))

    def test_the_chosen_one_is_the_network_that_ships(self):
        def shapes(model):
            return [(type(layer).__name__, [w.shape for w in layer.get_weights()]) for layer in model.layers]

        assert shapes(build(CHOSEN)) == shapes(network.build(TINY))

    def test_a_gru_has_three_quarters_of_the_recurrent_weights_of_an_lstm(self, models):
        """Three blocks of them to four; its second bias, which resets after, is not counted."""

        def recurrent(kind):
            (layer,) = (each for each in models[kind].layers if "bidirectional" in each.name)
            return sum(w.size for w in layer.get_weights() if w.ndim == 2 and len(w) > 2)

        assert recurrent("gru") / recurrent("lstm") == 3 / 4

    def test_without_recurrence_there_are_about_as_many_parameters(self):
        gru, none = (build(name, TrainConfig()).count_params() for name in (CHOSEN, "no-recurrence"))
        assert none == pytest.approx(gru, rel=0.1)


class TestKept:
    @pytest.mark.parametrize("kind", KINDS)
    def test_each_exports_with_free_batch_and_time(self, kind, models, tmp_path):
        native = network.export(models[kind], tmp_path / "model.onnx")
        assert native or kind not in {"simple-rnn", "gru", "lstm", "no-recurrence"}
        run = load_onnx(tmp_path / "model.onnx")
        for n in (7, 41):
            x = beats(n=n)
            np.testing.assert_allclose(run(x[0]), models[kind].predict_on_batch(x)[0], atol=1e-5)

    def test_an_ensemble_with_attention_is_scored_like_any(self, models, tmp_path):
        """Its folder is read as that of a GRU is: ONNX for scoring, Keras for an ensemble of its networks."""
        mean, scale = np.ones(K, np.float32), np.full(K, 2, np.float32)
        parts = [
            network.Network(model, mean, scale) for model in (models["transformer"], build("transformer"))
        ]
        whole = network.ensemble(parts)
        network.save(whole, tmp_path, UNCALIBRATED, name="mine", run="")
        x = beats(n=CHUNK + 9)[0]
        expected = whole.logits(x)
        assert np.abs(expected - parts[0].logits(x)).max() > 1e-3
        np.testing.assert_allclose(load_classifier(tmp_path).logits(x), expected, atol=1e-4)
        again = network.Network(network.load_keras(tmp_path), mean, scale)
        np.testing.assert_allclose(again.logits(x), expected, atol=1e-5)

    def test_attention_takes_any_number_of_units(self):
        model = build("gru-attention", replace(TINY, gru_units=3))  # six values for four heads
        assert model.predict_on_batch(beats(n=7)).shape == (1, 7, len(TRAINED_LABELS))
