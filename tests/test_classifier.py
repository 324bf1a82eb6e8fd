import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from ectopy.ecg import CLASSES
from ectopy.features import extraction
from ectopy.features.extraction import FEATURE_NAMES
from ectopy.model import classifier as classifier_module
from ectopy.model.classifier import (
    CHUNK,
    MODEL_FILE,
    ModelError,
    classifier_in,
    in_chunks,
    load_classifier,
    softmax,
)
from ectopy.model.onnx_runtime import open_session
from tests.small import write_model


def features(n):
    return np.random.default_rng(0).normal(size=(n, len(FEATURE_NAMES))).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "small", always="V")


def respecified(folder, tmp_path, **changes):
    told = json.loads((folder / "model.json").read_text()) | changes
    (tmp_path / "model.onnx").write_bytes((folder / "model.onnx").read_bytes())
    (tmp_path / "model.json").write_text(json.dumps(told))
    return tmp_path


def test_probabilities_come_in_the_order_of_the_classes(folder):
    probability, _ = load_classifier(folder)(features(5))
    assert probability.shape == (5, 4)
    assert (probability.argmax(axis=1) == CLASSES.index("V")).all()
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-6)


def test_logits_are_divided_by_the_temperature(folder, tmp_path):
    classifier = load_classifier(respecified(folder, tmp_path, temperature=2.0))
    expected = softmax(classifier.logits(features(3)) / 2)
    np.testing.assert_allclose(classifier(features(3))[0], expected, atol=1e-6)


def test_a_class_that_is_not_modelled_has_probability_zero(folder, tmp_path):
    classifier = load_classifier(respecified(folder, tmp_path, labels=["N", "S", "V"]))
    classifier.__dict__["logits"] = lambda x: np.zeros((len(x), 3), np.float32)
    probability, _ = classifier(features(2))
    np.testing.assert_allclose(probability, [[1 / 3, 1 / 3, 1 / 3, 0]] * 2)


def test_abstaining_changes_confidence_and_no_label(folder, tmp_path):
    sure = load_classifier(folder)(features(40))
    unsure = load_classifier(respecified(folder, tmp_path, confidence_threshold=0.99))(features(40))
    assert sure[1].all()
    assert not unsure[1].any()
    np.testing.assert_array_equal(sure[0], unsure[0])


@pytest.mark.parametrize("bias", [[np.nan] * 4, [0, 0, np.inf, 0], [0, -np.inf, 0, 0]])
def test_a_network_that_answers_no_numbers_labels_no_beat_and_is_named(tmp_path, bias):
    folder = write_model(tmp_path / "damaged", name="damaged 7", bias=bias)
    with pytest.raises(ModelError, match="damaged: the network of the model damaged 7 answers NaN or inf"):
        load_classifier(folder)(features(40))


def test_a_network_that_fails_in_one_beat_of_a_long_recording_is_refused(folder):
    classifier = load_classifier(folder)
    whole = classifier.__class__.logits
    assert whole(classifier, features(2000)).shape == (2000, 4)
    run = classifier._run

    def fails_once(sequences):
        logits = run(sequences).copy()
        logits[-1, -1, 0] = np.nan
        return logits

    classifier.__dict__["_run"] = fails_once
    with pytest.raises(ModelError, match="NaN or infinity"):
        classifier(features(2000))


def test_a_temperature_that_overflows_is_refused_and_not_called_normal(folder, tmp_path):
    with pytest.raises(ModelError, match="NaN or infinity"), np.errstate(over="ignore", invalid="ignore"):
        load_classifier(respecified(folder, tmp_path, temperature=1e-39))(features(3))


def test_features_that_are_no_numbers_are_not_blamed_on_the_model(folder):
    with pytest.raises(ValueError, match="a feature is NaN"):
        load_classifier(folder)(np.full((40, len(FEATURE_NAMES)), np.nan, dtype=np.float32))


@pytest.mark.parametrize("at_once", [1, 2, 8])
def test_however_many_chunks_are_read_at_once_the_answer_is_one(at_once):
    x = features(4 * CHUNK + 7)
    sizes = []

    def summed(chunks):
        sizes.append(len(chunks))
        return np.cumsum(chunks, axis=1)

    np.testing.assert_array_equal(in_chunks(summed, x, batch_size=at_once), in_chunks(summed, x))
    *some, every = sizes
    assert max(some) == min(at_once, every)
    assert sum(some) == every


def test_few_beats_are_never_called_with_confidence(folder, tmp_path):
    classifier = load_classifier(respecified(folder, tmp_path, min_beats=30))
    assert [bool(classifier(features(n))[1].any()) for n in (29, 30)] == [False, True]


def test_no_beats_give_no_probabilities(folder):
    probability, confident = load_classifier(folder)(features(0))
    assert (probability.shape, confident.shape) == ((0, 4), (0,))


def test_the_version_is_that_of_the_files_that_decide(folder, tmp_path):
    same = respecified(folder, tmp_path)
    (same / "model.json").write_bytes((folder / "model.json").read_bytes())
    assert load_classifier(same).version_id == load_classifier(folder).version_id
    other = load_classifier(respecified(folder, tmp_path, temperature=2.0))
    assert other.version_id != load_classifier(folder).version_id


@pytest.mark.parametrize("n", [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 1999])
def test_chunks_put_together_are_the_whole(n):
    x = np.arange(n, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(in_chunks(lambda chunks: 2 * chunks, x), 2 * x)


def test_a_chunk_s_share_has_context_on_both_sides():
    """Each value is the sum of 64 before and after: chunks agree with the whole where context suffices."""

    def summed(chunks):
        kernel = np.ones(129)
        return np.stack([np.convolve(chunk[:, 0], kernel, mode="same") for chunk in chunks])[:, :, None]

    x = np.random.default_rng(1).normal(size=(1500, 1))
    np.testing.assert_allclose(in_chunks(summed, x), summed(x[None])[0], atol=1e-5)


def test_features_of_another_shape_are_refused_with_both_shapes(folder):
    with pytest.raises(
        ModelError, match=rf"features have shape \(5, 3\), but the model needs \[n, {len(FEATURE_NAMES)}\]"
    ):
        load_classifier(folder)(np.zeros((5, 3), np.float32))


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ModelError, match=rf"{tmp_path}: not a model directory \(no model\.onnx\)"):
        load_classifier(tmp_path)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"labels": ["N", "X"]}, "unknown labels X. Only N, S, V, F are allowed"),
        ({"mean": [0.0]}, "features, 1 means, .*: the numbers must be equal"),
        ({"surprise": 1}, "unexpected keyword"),
        ({"temperature": 0.0}, "a scale or the temperature is not above 0"),
        ({"temperature": "hot"}, r"model\.json: could not convert"),
        ({"min_beats": float("inf")}, "a number is not finite"),
        ({"confidence_threshold": 10**400}, r"model\.json: int too large"),
        ({"scale": [0.0] * len(FEATURE_NAMES)}, "a scale or the temperature is not above 0"),
        ({"mean": [[0.0]] * len(FEATURE_NAMES)}, r"model\.json: "),
    ],
)
def test_a_wrong_specification_is_refused_with_the_reason(folder, tmp_path, changes, complaint):
    with pytest.raises(ModelError, match=complaint):
        load_classifier(respecified(folder, tmp_path, **changes))


def model_of(names: list[str], weight: list[float], folder: Path) -> Path:
    """Write a model of one layer, whose logits are the weighted sum of some features for N, and 0 for others."""
    write_model(folder)
    model = onnx.load(folder / "model.onnx")
    n = len(names)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = n
    weights = np.zeros((n, 4), dtype=np.float32)
    weights[:, 0] = weight
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(weights, "w"))
    model.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(np.zeros(4, dtype=np.float32), "b"))
    onnx.save(model, folder / "model.onnx")
    specification = json.loads((folder / "model.json").read_text())
    specification |= {"features": names, "mean": [0.0] * n, "scale": [1.0] * n}
    (folder / "model.json").write_text(json.dumps(specification))
    return folder


class TestFeaturesOfAModel:
    """A model names its features; they are selected by name from those that this version computes."""

    names = (FEATURE_NAMES[7], FEATURE_NAMES[2])

    def test_it_reads_them_in_its_own_order(self, tmp_path: Path) -> None:
        x = features(50)
        logits = load_classifier(model_of([*self.names], [1.0, 10.0], tmp_path / "m")).logits(x)
        np.testing.assert_allclose(logits[:, 0], x[:, 7] + 10 * x[:, 2], rtol=1e-5)

    def test_one_that_reads_all_in_another_order_gives_the_same_probabilities(self, tmp_path: Path) -> None:
        weight = np.random.default_rng(1).normal(size=len(FEATURE_NAMES)).tolist()
        one = load_classifier(model_of([*FEATURE_NAMES], weight, tmp_path / "one"))
        other = load_classifier(model_of([*FEATURE_NAMES[::-1]], weight[::-1], tmp_path / "other"))
        np.testing.assert_allclose(one(features(50))[0], other(features(50))[0], atol=1e-5)

    def test_a_feature_of_a_later_version_changes_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = model_of([*self.names], [1.0, 10.0], tmp_path / "m")
        before = load_classifier(model)(features(50))[0]
        with_new = np.insert(features(50), 0, 99.0, axis=1)
        for module in (classifier_module, extraction):
            monkeypatch.setattr(module, "FEATURE_NAMES", ("phase of the moon", *FEATURE_NAMES))
        np.testing.assert_array_equal(load_classifier(model)(with_new)[0], before)

    def test_nan_in_a_feature_that_it_does_not_read_is_no_error(self, tmp_path: Path) -> None:
        x = features(3)
        x[:, 0] = np.nan
        load_classifier(model_of([*self.names], [1.0, 10.0], tmp_path / "m"))(x)
        with pytest.raises(ValueError, match="a feature is NaN or infinite"):
            load_classifier(model_of([FEATURE_NAMES[0]], [1.0], tmp_path / "other"))(x)

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["colour"], "features that this version does not compute: 'colour'. Retrain"),
            (
                ["rr recurrence", "colour", "taste"],
                "does not compute: 'colour' and 1 more. Retrain, or use a",
            ),
        ],
    )
    def test_one_that_this_version_does_not_compute_is_named(
        self, tmp_path: Path, names: list[str], message: str
    ) -> None:
        model = model_of(names, [1.0] * len(names), tmp_path / "m")
        with pytest.raises(ModelError, match=message):
            load_classifier(model)


def test_a_folder_that_is_replaced_changes_no_classifier_that_was_loaded(folder, tmp_path):
    classifier = load_classifier(respecified(folder, tmp_path))
    (tmp_path / "model.onnx").write_bytes(b"")
    assert classifier(features(3))[0].shape == (3, 4)


def model_with_weights_in(location: str, folder: Path) -> None:
    """Move the first weights of a model to a file beside it, as ONNX allows."""
    model = onnx.load(folder / "model.onnx")
    weights = model.graph.initializer[0]
    weights.ClearField("float_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location)
    onnx.save(model, folder / "model.onnx")


@pytest.mark.parametrize("location", ["weights", "./weights", "../weights", "/etc/passwd"])
def test_weights_of_a_file_that_nobody_hashed_are_refused(folder, tmp_path, monkeypatch, location):
    # ONNX Runtime takes them from the working directory: the same model would answer otherwise elsewhere.
    (tmp_path / "inner").mkdir()
    elsewhere = respecified(folder, tmp_path / "inner")
    model_with_weights_in(location, elsewhere)
    n_weights = len(FEATURE_NAMES) * 4
    for place in (elsewhere, tmp_path):
        np.ones(n_weights, dtype=np.float32).tofile(place / "weights")
    monkeypatch.chdir(elsewhere)
    with pytest.raises(ModelError, match=r"model\.onnx: not a complete ONNX network"):
        load_classifier(elsewhere)(features(3))


@pytest.mark.parametrize("content", [b"", b"\x80\x04\x95c__builtin__\nexit\n", b"no network"])
def test_what_is_no_network_is_refused_by_name(folder, tmp_path, content):
    other = respecified(folder, tmp_path)
    (other / "model.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.onnx: not a complete ONNX network"):
        load_classifier(other)(features(3))


@pytest.mark.parametrize("text", ["{", "1", "[]", '"model"', "null", "[" * 100_000, '{"a": ' * 100_000])
def test_a_specification_that_is_none_is_refused_by_name(folder, tmp_path, text):
    broken = respecified(folder, tmp_path)
    (broken / "model.json").write_text(text)
    with pytest.raises(ModelError, match=r"model\.json"):
        load_classifier(broken)


@pytest.mark.parametrize(
    "cuts", [[3], [CHUNK], [CHUNK + 1, CHUNK + 2], [100, 900, 901, 2000], list(range(1, 60))]
)
def test_a_sequence_that_comes_in_parts_has_the_answer_of_the_whole(cuts):
    def summed(chunks):
        return np.cumsum(chunks, axis=1)

    x = features(2100)
    for n in (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2100):
        parts = np.split(x[:n], [cut for cut in cuts if cut < n])
        for at_once in (1, 3, None):
            found = in_chunks(summed, iter(parts), batch_size=at_once)
            np.testing.assert_array_equal(found, in_chunks(summed, x[:n], batch_size=at_once))


def test_no_more_of_a_sequence_is_held_than_its_chunks_need():
    """Two weeks of features would fill 300 MB."""
    asked, answered = [], []

    def parts():
        for at in range(20):
            asked.append(at)
            yield features(CHUNK)

    def run(chunks):
        answered.append(len(asked))
        return chunks

    in_chunks(run, parts(), batch_size=2)
    assert answered[0] <= 3
    assert max(np.diff(answered)) <= 3


def test_a_network_with_other_answers_than_labels_is_named(folder, tmp_path):
    classifier = load_classifier(respecified(folder, tmp_path, labels=["N"]))
    with pytest.raises(ModelError, match=r"the network returns [34] values per beat for 1 labels"):
        classifier(features(6))


def test_a_classifier_is_read_once_until_another_takes_its_place(folder, tmp_path):
    first = classifier_in(respecified(folder, tmp_path, name="one"))
    assert classifier_in(tmp_path) is first
    respecified(folder, tmp_path, name="another")
    assert classifier_in(tmp_path).name == "another"


def test_a_chunk_is_512_beats_of_which_64_on_either_side_are_context():
    # The next chunk begins 512 - 2 x 64 beats later, and the last one ends with the sequence.
    starts = []

    def run(chunks):
        starts.extend(chunks[:, 0, 0].astype(int).tolist())
        return chunks

    in_chunks(run, np.arange(1000, dtype=np.float32)[:, None])
    assert starts == [0, 384, 488]


def test_large_logits_have_probabilities():
    # The exponential of 100 does not fit into float32. exp(-1) is 0.37 of the larger power.
    probability = softmax(np.array([[100.0, 99.0], [-200.0, -201.0]], dtype=np.float32))
    np.testing.assert_allclose(probability, [[0.7311, 0.2689]] * 2, atol=1e-4)


def test_the_network_gets_features_less_their_mean_in_units_of_their_scale(folder, tmp_path):
    n = len(FEATURE_NAMES)
    changes = {"mean": [3.0] * n, "scale": [0.5] * (n - 1) + [4.0]}
    classifier = load_classifier(respecified(folder, tmp_path, **changes))
    received = []

    class Session:
        def get_inputs(self):
            return [SimpleNamespace(name="x")]

        def run(self, _, inputs):
            received.append(inputs["x"])
            return (np.zeros((*inputs["x"].shape[:2], 4), dtype=np.float32),)

    classifier.__dict__["_session"] = Session()
    classifier.logits(np.full((2, n), 5.0, dtype=np.float32))
    # 5 - 3 = 2 is four scales of 0.5 and half of one of 4.
    assert received[0].dtype == np.float32
    assert received[0].tolist() == [[[4.0] * (n - 1) + [0.5]] * 2]


def test_probabilities_may_take_the_place_of_the_logits():
    logits = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    expected = softmax(logits)
    given = logits.copy()
    assert softmax(given, out=given) is given
    np.testing.assert_array_equal(given, expected)


def test_a_network_keeps_no_memory_of_the_batches_that_it_has_seen(folder):
    options = open_session(folder / MODEL_FILE).get_session_options()
    assert (options.enable_cpu_mem_arena, options.intra_op_num_threads) == (False, 1)
