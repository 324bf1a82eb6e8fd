"""A stranger follows docs/how-to/add-a-model.md in a copy: the new architecture is trained by name and scored with.

The change of the page is applied as it is written there.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from ectopy.model.architectures import ARCHITECTURES
from tests.conftest import ROOT
from tests.recipes import changed_copy, python

PAGE = ROOT / "docs/how-to/add-a-model.md"

# What the stranger does in the copy: train as the file says, and score as `ectopy score` does.
PROGRAM = """
import sys
from pathlib import Path

import numpy as np

from ectopy.features.extraction import extract_features
from ectopy.model import network
from ectopy.model.architectures import ARCHITECTURES
from ectopy.model.calibration import UNCALIBRATED
from ectopy.model.classifier import load_classifier
from ectopy.model.train_file import read_train_file
from ectopy.model.training import save_ensemble
from ectopy.model.training_set import TrainingSequence
from ectopy.pipeline import prepare
from ectopy.readers import open_recording

record, out = Path(sys.argv[1]), Path(sys.argv[2])
features = extract_features(prepare(open_recording(record)).windows)
label = np.array(["N", "S", "V"])[np.arange(len(features)) % 3]
sequence = TrainingSequence("db/r", "p", "detected", np.arange(len(features)), features, label)
config = read_train_file(out / "training.toml").config
fitted = network.fit([sequence], config, seed=0)
network.save(fitted, out / "one", UNCALIBRATED, name="one", run="")
save_ensemble([out / "one"] * 2, out / "mine", UNCALIBRATED, name="mine", run="")
logits = load_classifier(out / "mine").logits(features)
np.savez(out / "mine.npz", keras=fitted.logits(features), onnx=logits, names=list(ARCHITECTURES))
"""
SETTINGS = """
[settings]
architecture = "convolution"
window_beats = 16
dense_units = 4
gru_units = 2
epochs = 1
windows_per_epoch = 8
batch_windows = 8
augmented_fraction = 0
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory, simdb_source: Path) -> Path:
    """A copy of the sources, changed as the page says, with a model of the new architecture."""
    folder = changed_copy(tmp_path_factory.mktemp("clone"), PAGE)
    (folder / "training.toml").write_text(SETTINGS)
    (folder / "program.py").write_text(PROGRAM)
    python(folder, "program.py", record_of(simdb_source), folder)
    return folder


def record_of(source: Path) -> Path:
    return next(source.glob("simdb/*/*-001.hea"))


def test_it_is_trained_by_its_name_and_onnx_gives_the_same_numbers(copy: Path) -> None:
    with np.load(copy / "mine.npz") as told:
        assert {*told["names"]} == {*ARCHITECTURES, "convolution"}
        assert len(told["onnx"]) > 10
        assert np.ptp(told["onnx"], axis=0).min() > 0
        np.testing.assert_allclose(told["onnx"], told["keras"], atol=1e-4)


def test_the_command_scores_with_it(copy: Path, simdb_source: Path) -> None:
    record = record_of(simdb_source)
    python(copy, "-m", "ectopy", "score", record, "--out", copy / "results", "--model", copy / "mine")
    (summary,) = (copy / "results").glob("*/summary.json")
    assert json.loads(summary.read_text())["provenance"]["model"] == "mine"
