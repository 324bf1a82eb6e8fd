"""Networks made smaller: nearly the same answers from eight bits, the smallest weights gone."""

from dataclasses import replace

import numpy as np
import pytest

from ectopy.ablation import compression
from ectopy.features.extraction import FEATURE_NAMES
from ectopy.model import network
from ectopy.model.classifier import CHUNK, in_chunks
from ectopy.model.onnx_export import export_onnx
from tests.test_onnx_export import CONFIG, operators, shaken

K = len(FEATURE_NAMES)
KINDS = ("gru", "lstm")


@pytest.fixture(scope="module")
def models():
    return {kind: shaken(network.build(replace(CONFIG, architecture=kind))) for kind in KINDS}


@pytest.fixture(scope="module")
def gru(models):
    return models["gru"]


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).normal(size=(CHUNK + 9, K)).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


class TestEightBits:
    @pytest.mark.parametrize(
        ("kind", "expected"),
        [("gru", {"MatMulInteger", "GRU"}), ("lstm", {"MatMulInteger", "DynamicQuantizeLSTM"})],
    )
    def test_computing_in_eight_bits_reaches_an_lstm_but_no_gru(self, kind, expected, models, x, path):
        export_onnx(models[kind], path)
        compression.quantise(path)
        assert expected <= set(operators(path))
        told = in_chunks(models[kind].predict_on_batch, x)
        assert np.mean(compression.load_onnx(path)(x).argmax(axis=1) == told.argmax(axis=1)) > 0.97


class TestPruning:
    @pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9])
    def test_the_smallest_weights_go_whatever_matrix_they_are_in(self, sparsity, gru):
        weights = gru.get_weights()
        cut = compression.prune(weights, sparsity)
        gone = np.concatenate([np.abs(w[c == 0]) for w, c in zip(weights, cut, strict=True)])
        kept = np.concatenate([np.abs(c[c != 0]) for c in cut if c.ndim == 2 and len(c) > 2])
        assert len(gone) / (len(gone) + len(kept)) == pytest.approx(sparsity, abs=0.001)
        assert not len(gone) or gone.max() <= kept.min()

    def test_biases_stay(self, gru):
        weights = gru.get_weights()
        cut = compression.prune(weights, 0.9)
        biases = [k for k, w in enumerate(weights) if w.ndim == 1 or len(w) == 2]
        assert len(biases) == 4  # of two dense layers, and of a GRU each way
        assert all(np.array_equal(weights[k], cut[k]) for k in biases)

    def test_zeros_are_found_in_the_file_and_gzip_gains_by_them(self, path):
        model = shaken(network.build(CONFIG))
        export_onnx(model, path)
        whole = compression.size_of(path)
        model.set_weights(compression.prune(model.get_weights(), 0.8))
        export_onnx(model, path)
        assert compression.sparsity_of_file(path) == pytest.approx(0.8, abs=0.001)
        pruned = compression.size_of(path)
        assert pruned.plain == whole.plain
        assert pruned.zipped < 0.5 * whole.zipped


def test_times_are_of_as_many_beats_as_asked():
    seen = []

    def run(rows):
        seen.append(len(rows))
        return rows

    assert compression.seconds_for(run, 30, 2, repeats=3) >= 0
    assert seen == [30] * 4  # one to warm up
