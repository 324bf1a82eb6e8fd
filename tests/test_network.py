from dataclasses import fields, replace
from inspect import cleandoc
from typing import Any

import numpy as np
import pytest

from ectopy.ec57.reference import Reference
from ectopy.features.extraction import FEATURE_NAMES
from ectopy.model import folds, network, training_set
from ectopy.model.calibration import UNCALIBRATED, Calibration
from ectopy.model.classifier import CHUNK, load_classifier, softmax
from ectopy.model.network import TrainConfig, TrainConfigError
from ectopy.model.training_set import TrainingSequence
from ectopy.model.training_sources import TRAINED_LABELS

TINY = TrainConfig(
    epochs=6,
    windows_per_epoch=64,
    batch_windows=16,
    dense_units=8,
    gru_units=6,
    window_beats=16,
    noise_sd=0.0,
)
LEARNS = {
    "epochs": 25,
    "warmup_steps": 5,
    "feature_dropout": 0.0,
    "feature_offset_sd": 0.1,
    "dropout": 0.0,
    "learning_rate": 0.02,
}
K = len(FEATURE_NAMES)


def example_of(record, *, n=200, seed=0, variant="given", shuffled=False):
    """A patient whose class is epochs by the first feature: N near 0, S near 3, V near -3."""
    rng = np.random.default_rng(seed)
    label = rng.choice(TRAINED_LABELS, n, p=[0.6, 0.2, 0.2])
    x = rng.normal(0, 0.3, (n, K)).astype(np.float32)
    x[:, 0] += 3 * (label == "S") - 3 * (label == "V")
    if shuffled:
        label = rng.permutation(label)
    return TrainingSequence(record, record, variant, np.arange(n) * 200, x, label)


def accuracy(fitted, example):
    called = np.array(TRAINED_LABELS)[fitted.logits(example.features).argmax(axis=1)]
    return np.mean(called == example.label)


@pytest.fixture(scope="module")
def fitted():
    config = replace(TINY, **LEARNS)
    return network.fit([example_of("a", n=2000), example_of("b", n=2000, seed=1)], config, seed=0)


class TestFit:
    def test_what_can_be_epochs_apart_is_learned_for_patients_never_seen(self, fitted):
        assert accuracy(fitted, example_of("c", seed=2)) > 0.95

    def test_shuffled_labels_fall_to_chance(self):
        config = replace(TINY, **LEARNS)
        learned = [example_of(name, seed=n, shuffled=True) for n, name in enumerate("ab")]
        by_chance = 0.6  # the share of N: the best that labels without a meaning allow
        assert accuracy(network.fit(learned, config, seed=0), example_of("c", seed=2)) < by_chance + 0.1

    def test_labels_of_ten_seconds_later_fall_to_chance(self):
        """A leak would survive this: labels would be learned from elsewhere than the beats they belong to."""
        learned = [
            replace(example, label=np.roll(example.label, 12))
            for example in (example_of(name, seed=n) for n, name in enumerate("ab"))
        ]
        judged = example_of("c", seed=2)
        judged = replace(judged, label=np.roll(judged.label, 12))
        assert accuracy(network.fit(learned, replace(TINY, **LEARNS), seed=0), judged) < 0.6 + 0.1

    def test_the_standardisation_is_that_of_the_training_patients(self, fitted):
        rows = np.concatenate([example_of("a", n=2000).features, example_of("b", n=2000, seed=1).features])
        np.testing.assert_allclose(fitted.mean, rows.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(fitted.scale, rows.std(axis=0) + 1e-3, atol=1e-5)

    def test_the_same_seed_gives_the_same_network(self):
        config = replace(TINY, epochs=1)
        one, same, other = (network.fit([example_of("a")], config, seed=seed) for seed in (3, 3, 4))
        x = example_of("b", seed=1).features
        np.testing.assert_array_equal(one.logits(x), same.logits(x))
        assert not np.array_equal(one.logits(x), other.logits(x))

    def test_every_epoch_is_epochs_of(self):
        epochs = []
        fitted = network.fit([example_of("a")], TINY, seed=0, callbacks=[epochs.append])
        assert [epoch.number for epoch in epochs] == list(range(TINY.epochs))
        assert all(np.isfinite(epoch.losses["loss"]) and epoch.cpu_s > 0 for epoch in epochs)
        assert epochs[-1].network.model is fitted.model

    def test_a_record_shorter_than_a_window_is_learned_from(self):
        network.fit([example_of("a", n=5), example_of("b", seed=1)], replace(TINY, epochs=1), seed=0)


class TestDraw:
    """The windows of an epoch, against the same drawn without haste."""

    CONFIG = replace(TINY, windows_per_epoch=40, noise_sd=0.3, feature_dropout=0.2)
    SEQUENCES = (example_of("a", n=50), example_of("b", n=7, seed=1), example_of("c", n=300, seed=2))

    def draw(self, config=CONFIG):
        mean, scale = network._standardisation(self.SEQUENCES)
        drawn = network._Windows(self.SEQUENCES, config, mean, scale).draw(np.random.default_rng(5))
        return *drawn, mean, scale

    def slowly(self, mean, scale):
        config, rng = self.CONFIG, np.random.default_rng(5)
        weight = np.sqrt([len(one.label) for one in self.SEQUENCES])
        windows, label = [], []
        for index in rng.choice(len(self.SEQUENCES), config.windows_per_epoch, p=weight / weight.sum()):
            one = self.SEQUENCES[index]
            start = rng.integers(max(len(one.label) - config.window_beats, 0) + 1)
            window = slice(start, start + config.window_beats)
            missing = config.window_beats - len(one.label[window])
            windows.append(np.pad((one.features[window] - mean) / scale, ((0, missing), (0, 0))))
            label.append(np.pad(one.label[window], (0, missing)))
        x = np.array(windows, dtype=np.float32)
        x += config.feature_offset_sd * rng.standard_normal((len(x), 1, K), dtype=np.float32)
        x += config.noise_sd * rng.standard_normal(x.shape, dtype=np.float32)
        kept = rng.random((len(x), 1, K)) >= config.feature_dropout
        y = np.array(label)[..., None] == np.array(TRAINED_LABELS)
        return x * np.float32(1.25) * kept, y.astype(np.float32)

    def test_features_and_labels_are_those_of_the_drawn_beats(self):
        x, y, weight, mean, scale = self.draw()
        expected_x, expected_y = self.slowly(mean, scale)
        np.testing.assert_array_equal(x, expected_x)
        np.testing.assert_array_equal(y, expected_y)
        np.testing.assert_array_equal(weight, expected_y.sum(axis=2))
        assert x.dtype == y.dtype == weight.dtype == np.float32

    def test_beats_without_a_label_and_those_after_the_end_weigh_nothing(self):
        unlabelled = replace(self.SEQUENCES[0], label=np.full(50, "", dtype="U1"))
        windows = network._Windows([unlabelled], self.CONFIG, np.zeros(K), np.ones(K))
        _, y, weight = windows.draw(np.random.default_rng(0))
        assert not y.any()
        assert not weight.any()

    def test_a_sequence_without_beats_adds_nothing_to_the_standardisation(self):
        nobody = example_of("d", n=0)
        expected = network._standardisation(self.SEQUENCES)
        np.testing.assert_array_equal(network._standardisation((*self.SEQUENCES, nobody)), expected)

    def test_the_mean_of_large_values_that_hardly_differ_is_exact(self):
        """The mean of squares less the square of the mean would leave no digit of the variance."""
        rng = np.random.default_rng(0)
        far = [
            replace(one, features=(1e4 + rng.normal(0, 0.5, one.features.shape)).astype(np.float32))
            for one in self.SEQUENCES
        ]
        rows = np.concatenate([one.features for one in far]).astype(np.float64)
        mean, scale = network._standardisation(far)
        np.testing.assert_allclose(mean, rows.mean(axis=0), rtol=1e-7)
        np.testing.assert_allclose(scale, rows.std(axis=0) + 1e-3, rtol=1e-6)


@pytest.fixture
def learned(monkeypatch):
    """What networks would have learned from, instead of learning."""
    noted = []

    def note(examples, *_, **__):
        noted.extend(examples)
        return network.Network(None, 0, 1)

    monkeypatch.setattr(network, "fit", note)
    monkeypatch.setattr(network.Network, "logits", lambda _, x: np.zeros((len(x), 3)))
    return noted


class TestHoldOut:
    def test_a_fold_s_patients_are_judged_on_detected_beats_and_not_learned_from(self, learned):
        records = [
            training_set.TrainingRecord(
                (example_of(name, seed=n), example_of(name, seed=n, variant="detected")), truth
            )
            for n, name in enumerate("abc")
            for truth in [Reference(name, name, None, 200.0, 50_000)]
        ]
        _, held = network.fit_fold(records, folds.Fold(("a", "b"), ("c",)), TINY)
        assert {example.record for example in learned} == {"a", "b"}
        assert [(each.sequence.record, each.sequence.variant) for each in held] == [("c", "detected")]

    def test_what_was_made_with_a_held_out_patient_s_beats_is_not_learned_from(self, learned):
        own, lent = example_of("a"), replace(example_of("a", variant="augmented: x"), donor="b")
        records = [
            training_set.TrainingRecord((own, lent), Reference("a", "a", None, 200.0, 50_000)),
            training_set.TrainingRecord(
                (example_of("b", seed=1, variant="detected"),), Reference("b", "b", None, 200.0, 50_000)
            ),
        ]
        network.fit_fold(records, folds.Fold(("a",), ("b",)), TINY)
        assert learned == [own]


class TestWindows:
    def windows(self, examples, **changes):
        config = replace(TINY, windows_per_epoch=400, feature_offset_sd=0.0, feature_dropout=0.0, **changes)
        return network._Windows(examples, config, np.zeros(K), np.ones(K))

    def test_a_window_is_beats_in_order_of_time(self):
        example = replace(example_of("a"), features=np.repeat(np.arange(200.0)[:, None], K, axis=1))
        x, _, _ = self.windows([example]).draw(np.random.default_rng(0))
        assert (np.diff(x[:, :, 0], axis=1) == 1).all()

    def test_beats_without_a_label_have_no_weight(self):
        label = example_of("a").label.copy()
        label[::2] = ""
        _, y, weight = self.windows([replace(example_of("a"), label=label)]).draw(np.random.default_rng(0))
        np.testing.assert_array_equal(weight, y.sum(axis=2))
        assert weight.mean() == pytest.approx(0.5)

    def test_true_and_made_patients_are_drawn_as_configured(self):
        made = replace(example_of("b"), variant="augmented: x", features=np.full((200, K), 9.0))
        drawn = self.windows([example_of("a"), made], augmented_fraction=0.25).draw(np.random.default_rng(0))[
            0
        ]
        assert (drawn[:, 0, 0] == 9).mean() == pytest.approx(0.25, abs=0.06)

    def test_a_database_is_drawn_by_its_weight(self):
        rare = replace(example_of("b"), weight=0.25)
        assert network._chance([example_of("a"), rare], 0.5).tolist() == [0.8, 0.2]

    def test_without_made_patients_only_true_ones_are_drawn(self):
        assert network._chance([example_of("a"), example_of("b")], 0.5).tolist() == [0.5, 0.5]


class TestExport:
    def test_the_export_agrees_with_keras(self, fitted, tmp_path):
        network.save(fitted, tmp_path, UNCALIBRATED, name="x", run="y")
        for n in (1, 7, CHUNK, 2 * CHUNK + 5):
            x = example_of("c", n=n, seed=5).features
            np.testing.assert_allclose(load_classifier(tmp_path).logits(x), fitted.logits(x), atol=1e-5)

    def test_the_specification_carries_all_that_scoring_needs(self, fitted, tmp_path):
        network.save(fitted, tmp_path, Calibration(1.5, 0.7), name="ectopy 3", run="abc")
        epochs = load_classifier(tmp_path).specification
        assert (epochs.name, epochs.run, epochs.temperature, epochs.confidence_threshold) == (
            "ectopy 3",
            "abc",
            1.5,
            0.7,
        )
        assert epochs.features == FEATURE_NAMES
        assert epochs.labels == TRAINED_LABELS

    def test_the_keras_model_can_be_loaded_again(self, fitted, tmp_path):
        network.save(fitted, tmp_path, UNCALIBRATED, name="x", run="y")
        model = network.load_keras(tmp_path)
        x = np.zeros((1, 10, K), np.float32)
        np.testing.assert_allclose(np.asarray(model(x)), np.asarray(fitted.model(x)), atol=1e-6)


def test_an_ensemble_averages_logits(fitted):
    other = network.Network(network.build(TINY), fitted.mean, fitted.scale)
    x = example_of("c").features
    mean = (fitted.logits(x) + other.logits(x)) / 2
    np.testing.assert_allclose(network.ensemble([fitted, other]).logits(x), mean, atol=1e-5)


def test_networks_of_an_ensemble_may_have_one_name(fitted):
    # Each process that trains gives its first network the same name.
    other = network.Network(network.build(TINY), fitted.mean, fitted.scale)
    other.model.name = fitted.model.name
    x = example_of("c").features
    mean = (fitted.logits(x) + other.logits(x)) / 2
    np.testing.assert_allclose(network.ensemble([fitted, other]).logits(x), mean, atol=1e-5)


def test_calibrated_probabilities_are_those_of_the_classifier(fitted, tmp_path):
    network.save(fitted, tmp_path, Calibration(2.0, 0.5), name="x", run="y")
    x = example_of("c").features
    probability, _ = load_classifier(tmp_path)(x)
    np.testing.assert_allclose(probability[:, :3], softmax(fitted.logits(x) / 2), atol=1e-5)
    assert not probability[:, 3].any()


class TestCompiled:
    """To compile takes as long as a short training, and every network of a run is the same program."""

    @pytest.fixture
    def nowhere(self):
        """As where nobody has said where to keep it."""
        import jax

        config: Any = jax.config
        before = config.jax_compilation_cache_dir
        config.update("jax_compilation_cache_dir", None)
        yield
        config.update("jax_compilation_cache_dir", before)

    @pytest.mark.usefixtures("nowhere")
    def test_a_program_is_kept_once_for_all_networks(self, tmp_path):
        with network.compilation_cache(tmp_path):
            one = network.fit([example_of("a")], replace(TINY, epochs=1), seed=0)
            after_one = {path.name for path in tmp_path.glob("jit_train_step-*")}
            other = network.fit([example_of("b", seed=1)], replace(TINY, epochs=1), seed=1)
        assert len(after_one) == 1
        assert {path.name for path in tmp_path.glob("jit_train_step-*")} == after_one
        x = example_of("c", seed=2).features
        assert not np.array_equal(one.logits(x), other.logits(x))

    @pytest.mark.usefixtures("nowhere")
    def test_afterwards_nothing_is_kept_there(self, tmp_path):
        with network.compilation_cache(tmp_path / "first"):
            pass
        network.fit([example_of("a")], replace(TINY, epochs=1), seed=0)
        assert not list(tmp_path.glob("first/*"))

    def test_where_the_environment_says_so_it_is_kept_elsewhere(self, tmp_path):
        with network.compilation_cache(tmp_path):
            network.fit([example_of("a")], replace(TINY, epochs=1), seed=0)
        assert not list(tmp_path.iterdir())


class TestWithValues:
    def test_texts_are_read_by_the_type_of_the_setting(self):
        values = {"learning_rate": "3e-3", "epochs": "12", "class_weights": "1, 2,3.5"}
        expected = TrainConfig(learning_rate=0.003, epochs=12, class_weights=(1.0, 2.0, 3.5))
        assert TrainConfig().with_values(values) == expected

    def test_other_settings_keep_their_value(self):
        assert TINY.with_values({"seed": "7"}) == replace(TINY, seed=7)

    def test_a_misspelt_name_is_refused_with_the_nearest_one(self):
        with pytest.raises(
            TrainConfigError, match=r"learning_rte: .*features\. Did you mean learning_rate\?$"
        ):
            TrainConfig().with_values({"learning_rte": "0.003"})
        with pytest.raises(TrainConfigError, match=r"colour: .*features\.$"):
            TrainConfig().with_values({"colour": "0.003"})

    def test_an_unknown_name_is_refused_with_the_known_ones(self):
        complaint = r"learning_speed: unknown training setting\. Use one of seed, .*learning_rate, .*use_doubtful_labels, features\."
        with pytest.raises(TrainConfigError, match=complaint):
            TrainConfig().with_values({"learning_speed": "1"})

    @pytest.mark.parametrize(
        ("name", "text", "complaint"),
        [
            ("use_doubtful_labels", "1", r"use_doubtful_labels: '1' is neither true nor false\."),
            ("epochs", "2.5", r"epochs: '2\.5' is not an integer\. Give an integer such as 24\."),
            ("learning_rate", "fast", r"learning_rate: 'fast' is not a number\. Give a number such as"),
            ("dropout", "nan", "dropout: 'nan' is not a number"),
            ("dropout", "", "dropout: '' is not a number"),
            ("class_weights", "1,2", r"class_weights: '1,2' has 2 numbers\. Give 3, separated by commas\."),
            ("class_weights", "1,x,2", "class_weights: 'x' is not a number"),
        ],
    )
    def test_a_text_of_another_type_is_refused_by_name(self, name, text, complaint):
        with pytest.raises(TrainConfigError, match=complaint):
            TrainConfig().with_values({name: text})

    def test_every_setting_is_documented(self):
        text = cleandoc(TrainConfig.__doc__ or "")  # from 3.13 on, Python itself takes the indent away
        names = [field.name for field in fields(TrainConfig)]
        assert [name for name in names if f"\n{name}\n    " not in text] == []
