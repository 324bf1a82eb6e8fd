"""The file of a training: it says the same as options, a training logs it, and mistakes are named."""

import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ectopy.features.extraction import FEATURE_NAMES
from ectopy.model import network
from ectopy.model.network import TrainConfig, TrainConfigError
from ectopy.model.train_file import as_toml, read_train_file
from ectopy.model.training_set import TrainingSequence
from ectopy.model.training_sources import DEFAULT_SOURCES, TrainingSource
from tests.conftest import ROOT

EXAMPLE = ROOT / "docs/how-to/training.toml"


def read(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "t.toml"
    path.write_text(text)
    return read_train_file(path)


def test_the_example_of_the_docs_has_every_setting_with_its_default() -> None:
    # python -c "from ectopy.model.train_file import *; print(as_toml(TrainConfig(), DEFAULT_SOURCES), end='')"
    assert EXAMPLE.read_text() == as_toml(TrainConfig(), DEFAULT_SOURCES)
    assert read_train_file(EXAMPLE) == (TrainConfig(), DEFAULT_SOURCES)
    for field in fields(TrainConfig):
        assert re.search(rf"^# .+\n{field.name} = ", EXAMPLE.read_text(), re.MULTILINE)


def test_what_a_training_logs_repeats_it(tmp_path: Path) -> None:
    config = TrainConfig(
        seed=3,
        learning_rate=1e-3,
        architecture="gru-attention",
        class_weights=(1.0, 2.0, 3.5),
        use_doubtful_labels=True,
        features=FEATURE_NAMES[8:12],
    )
    sources = (TrainingSource("mitdb", weight=0.5), TrainingSource("svdb", ("800", "801"), beat_map="ec57"))
    assert read(tmp_path, as_toml(config, sources)) == (config, sources)


def test_confirmed_recordings_are_no_database_of_a_file() -> None:
    text = as_toml(TrainConfig(), [TrainingSource("mitdb"), TrainingSource("corrections", ("a",))])
    assert text.count("[[databases]]\nname") == 1


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    assert read(tmp_path, "") == (TrainConfig(), DEFAULT_SOURCES)
    assert read(tmp_path, "[settings]\nepochs = 2\n").config == TrainConfig(epochs=2)
    assert read(tmp_path, '[[databases]]\nname = "svdb"\n').sources == (TrainingSource("svdb"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[settings]\nspeed = 1", "speed: unknown training setting. Use one of seed,"),
        ("[settings]\nepochs = 1.5", "epochs: '1.5' is not an integer"),
        ("[settings]\nepochs = true", "epochs: 'true' is not an integer"),
        ("[settings]\ndropout = 2", "dropout: 2.0 is outside 0 to 0.99"),
        ("[settings]\nclass_weights = [1, 2]", "class_weights: '1,2' has 2 numbers. Give 3"),
        ("[settings]\nlearning_rate = [1]", r"learning_rate: \[1\] is written wrongly. .* = 0.006\."),
        ('[settings]\nepochs = "3"', "epochs: '3' is written wrongly. Write it as in epochs = 24"),
        ("[settings]\nclass_weights = 1.5", r"Write it as in class_weights = \[1.0, 2.5, 2.5\]"),
        ('[settings]\nclass_weights = [1, "2,3"]', "class_weights: .* is written wrongly"),
        ('[settings]\nfeatures = "rr recurrence"', r"features: 'rr recurrence' .* as in features = \[\""),
        ('[settings]\nfeatures = [["rr recurrence"]]', "features: .* is written wrongly"),
        (
            '[settings]\nfeatures = ["rr recurence"]',
            "'rr recurence' is not a feature. Did you mean 'rr recurrence'",
        ),
        ('[settings]\nfeatures = ["rr recurrence", "rr recurrence"]', "one is named twice"),
        (
            '[settings]\narchitecture = "gru2"',
            "architecture: 'gru2' is unknown. Use one of simple-rnn, gru, lstm, gru-attention",
        ),
        ("[settings]\narchitecture = 2", 'architecture: 2 is written wrongly. .* architecture = "gru"'),
        ("settings = 3", "settings: not a table"),
        ("databases = 3", "databases: not tables"),
        ("epochs = 2", r"epochs: neither \[settings\] nor \[\[databases\]\]"),
        ("[[databases]]\nweight = 1", "one has no name"),
        ('[[databases]]\nname = "svbd"', "svbd: unknown database"),
        ('[[databases]]\nname = "svdb"\nweight = -1', "svdb: the weight -1 is not between"),
        ('[[databases]]\nname = "svdb"\nweight = "much"', "weight = 'much' is not a number"),
        ('[[databases]]\nname = "svdb"\nmap = "mine"', "svdb: unknown map 'mine'"),
        ('[[databases]]\nname = "svdb"\nrecords = "800"', "records = '800' is not a list"),
        (2 * '[[databases]]\nname = "svdb"\n', "svdb: named twice. Name each database once"),
        ('[[databases]]\nname = "afdb"', "afdb: not a database to train on. Choose one of mitdb, svdb"),
        ('[[databases]]\nname = "mitdb"\nrecords = ["999"]', "mitdb: 999: not among its training records"),
        ('[[databases]]\nname = "mitdb"\nrecords = ["101", "100"]', "mitdb: 100: not among its training"),
        ('[[databases]]\nname = "mitdb"\nrecords = ["101", "101"]', "mitdb: 101: named twice"),
        ('[[databases]]\nname = "mitdb"\nrecords = [["101"]]', "a record is no name. Give a list such as"),
        ('[[databases]]\nname = "svdb"\nspeed = 1', "databases: speed: unknown. Use some of name, weight"),
        ("epochs", "not TOML: "),
    ],
)
def test_a_mistake_is_named_with_its_file(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TrainConfigError, match=rf"t\.toml: .*{message}"):
        read(tmp_path, text)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe")
    for name, message in (
        ("missing.toml", "no such file"),
        ("b.toml", "not text in UTF-8"),
        ("", "is a directory"),
    ):
        with pytest.raises(TrainConfigError, match=message):
            read_train_file(tmp_path / name)


class TestChosenFeatures:
    names = (FEATURE_NAMES[5], FEATURE_NAMES[2])
    config = TrainConfig(
        window_beats=8,
        dense_units=4,
        gru_units=2,
        epochs=1,
        windows_per_epoch=8,
        batch_windows=8,
        augmented_fraction=0,
    )

    @pytest.fixture
    def sequence(self) -> TrainingSequence:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(40, len(FEATURE_NAMES))).astype(np.float32)
        return TrainingSequence(
            "db/r", "p", "detected", np.arange(40), x, np.array(["N", "S", "V", "N"] * 10)
        )

    def test_a_network_reads_these_and_says_so(self, sequence: TrainingSequence, tmp_path: Path) -> None:
        from ectopy.model.calibration import UNCALIBRATED
        from ectopy.model.classifier import load_classifier
        from ectopy.model.training import save_ensemble

        fitted = network.fit([sequence], replace(self.config, features=self.names), seed=0)
        assert fitted.mean.tolist() == pytest.approx(
            sequence.features.mean(axis=0)[[5, 2]].tolist(), abs=1e-5
        )
        network.save(fitted, tmp_path / "one", UNCALIBRATED, name="one", run="")
        save_ensemble([tmp_path / "one"] * 2, tmp_path / "two", UNCALIBRATED, name="two", run="")
        model = load_classifier(tmp_path / "two")
        assert model.specification.features == self.names
        np.testing.assert_allclose(
            model.logits(sequence.features), fitted.logits(sequence.features), atol=1e-4
        )
