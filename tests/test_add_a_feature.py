"""A stranger follows docs/how-to/add-a-feature.md in a copy: the new feature is tested, trained with and scored with.

The change of the page is applied as it is written there.
"""

import re
from pathlib import Path

import numpy as np
import pytest

from ectopy.features.extraction import FEATURE_NAMES, extract_features
from ectopy.model.classifier import SHIPPED_MODEL, load_classifier
from ectopy.pipeline import prepare
from ectopy.readers import open_recording
from tests.conftest import ROOT
from tests.recipes import changed_copy, python

PAGE = ROOT / "docs/how-to/add-a-feature.md"
NEW = "irregularity of every third beat"

# What the stranger does in the copy: score with the shipped model, train, and score with the result.
PROGRAM = """
import sys
from pathlib import Path

import numpy as np

from ectopy.features.extraction import FEATURE_NAMES, extract_features
from ectopy.model import network
from ectopy.model.calibration import UNCALIBRATED
from ectopy.model.classifier import SHIPPED_MODEL, load_classifier
from ectopy.model.training_set import TrainingSequence
from ectopy.pipeline import prepare
from ectopy.readers import open_recording

record, out = Path(sys.argv[1]), Path(sys.argv[2])
features = extract_features(prepare(open_recording(record)).windows)
n = len(features)
np.savez(out / "shipped.npz", features=features, probability=load_classifier(SHIPPED_MODEL)(features)[0])
label = np.array(["N", "S", "V"])[np.arange(n) % 3]
sequence = TrainingSequence("db/r", "p", "detected", np.arange(n), features, label)
config = network.TrainConfig(
    window_beats=4, dense_units=4, gru_units=2, epochs=1, windows_per_epoch=8, batch_windows=8, augmented_fraction=0
)
network.save(network.fit([sequence], config, seed=0), out / "model", UNCALIBRATED, name="mine", run="")
model = load_classifier(out / "model")
np.savez(out / "mine.npz", names=model.specification.features, probability=model(features)[0])
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, changed as the page says."""
    return changed_copy(tmp_path_factory.mktemp("clone"), PAGE, "test_features_values.py")


def test_its_test_passes_as_written(copy: Path) -> None:
    told = python(
        copy,
        "-m",
        "pytest",
        "-q",
        "-n0",
        "-p",
        "no:cacheprovider",
        "tests/test_features_values.py",
        "-k",
        "third",
    )
    assert re.search(r"^1 passed", told, re.MULTILINE)


def test_every_model_scores_and_the_shipped_one_as_before(copy: Path, simdb_source: Path) -> None:
    record = next(simdb_source.glob("simdb/*/*-001.hea"))
    (copy / "program.py").write_text(PROGRAM)
    python(copy, "program.py", record, copy)
    before = extract_features(prepare(open_recording(record)).windows)
    with np.load(copy / "shipped.npz") as told:
        new = told["features"].shape[1] - len(FEATURE_NAMES)
        assert new == 1
        np.testing.assert_array_equal(told["probability"], load_classifier(SHIPPED_MODEL)(before)[0])
    with np.load(copy / "mine.npz") as told:
        assert {*told["names"]} == {*FEATURE_NAMES, NEW}
        assert told["probability"].shape == (len(before), 4)
