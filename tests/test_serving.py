"""What MLflow does with a registered model outside ectopy: predict from a file, and an image for Docker."""

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ectopy.features.extraction import FEATURE_NAMES
from ectopy.registry import model_versions, runs
from tests.small import write_model


@pytest.fixture(scope="module")
def uri(tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a registered model that calls every beat ventricular."""
    folder = write_model(tmp_path_factory.mktemp("models") / "small", always="V")
    (folder / "card.md").write_text("# Small\n")
    runs.connect(tracking_uri, "serving")
    with runs.run("training", log_system_metrics=False):
        return model_versions.register(folder, model="served", tags={}).uri


def backend(uri: str, **options: Any) -> Any:
    from mlflow.models.flavor_backend_registry import get_flavor_backend

    return get_flavor_backend(uri, **options)


def test_mlflow_models_predict_labels_the_beats_of_a_file(uri: str, tmp_path: Path) -> None:
    beats = pd.DataFrame(np.zeros((3, len(FEATURE_NAMES)), dtype=np.float32), columns=list(FEATURE_NAMES))
    beats.to_csv(tmp_path / "beats.csv", index=False)
    backend(uri, env_manager="local").predict(
        uri, str(tmp_path / "beats.csv"), str(tmp_path / "labels.json"), "csv"
    )
    answer = json.loads((tmp_path / "labels.json").read_text())["predictions"]
    assert [row["label"] for row in answer] == ["V"] * 3
    assert set(answer[0]) == {"p_n", "p_s", "p_v", "p_f", "label", "confident"}


@pytest.fixture(scope="module")
def image(uri: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that ``mlflow models generate-dockerfile`` writes."""
    folder = tmp_path_factory.mktemp("image")
    backend(uri, docker_build=True, env_manager=None).generate_dockerfile(uri, str(folder))
    return folder


class TestImage:
    def test_it_copies_a_complete_model_and_starts_a_server(self, image: Path) -> None:
        dockerfile = (image / "Dockerfile").read_text()
        (copied,) = re.findall(r"^COPY (\S+) /opt/ml/model$", dockerfile, re.MULTILINE)
        assert re.search(r"^FROM python:3\.\d+", dockerfile, re.MULTILINE)
        assert "C._serve(" in dockerfile
        names = {path.name for path in (image / copied).rglob("*")}
        assert {"MLmodel", "pyfunc.py", "requirements.txt", "model.onnx", "model.json"} <= names

    def test_it_installs_this_version_from_a_package_index(self, image: Path) -> None:
        (requirements,) = image.rglob("requirements.txt")
        wanted = requirements.read_text().split()
        assert f"ectopy=={version('ectopy')}" in wanted
        assert not [line for line in wanted if "/" in line or "@" in line]  # no path and no address

    def test_what_it_copies_answers_like_the_registered_model(self, image: Path, uri: str) -> None:
        import mlflow

        (described,) = image.rglob("MLmodel")
        beats = pd.DataFrame(np.ones((2, len(FEATURE_NAMES)), dtype=np.float32), columns=list(FEATURE_NAMES))
        copied, registered = mlflow.pyfunc.load_model(str(described.parent)), mlflow.pyfunc.load_model(uri)
        pd.testing.assert_frame_equal(copied.predict(beats), registered.predict(beats))
