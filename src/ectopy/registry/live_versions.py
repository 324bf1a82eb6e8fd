"""Versions of the streaming model in MLflow, which is a registered model of its own."""

from collections.abc import Mapping
from contextlib import redirect_stderr
from importlib import metadata
from io import StringIO
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from ectopy.ecg import CLASSES
from ectopy.live.beat_features import FEATURES
from ectopy.model.classifier import CARD_FILE
from ectopy.registry import runs
from ectopy.registry.model_versions import (
    Version,
    make_challenger,
    set_description,
    tag_version,
)


def register_live(folder: Path, *, model: str, tags: Mapping[str, str]) -> Version:
    """Log a streaming model as a pyfunc model of the run in progress, and register it as the challenger.

    Parameters
    ----------
    folder
        The model directory.
    model
        Name of the registered model.
    tags
        Tags of the new version.

    Returns
    -------
    The new version.
    """
    columns: list[Any] = [ColSpec("double", name) for name in FEATURES]
    probabilities: list[Any] = [ColSpec("float", f"p_{name.lower()}") for name in CLASSES]
    signature = ModelSignature(Schema(columns), Schema([*probabilities, ColSpec("string", "label")]))
    with runs.suppress_warnings(), redirect_stderr(StringIO()):  # MLflow tells what it registers
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(
                Path(__file__).with_name("live_pyfunc.py")
            ),  # stored as code, nothing is pickled
            artifacts={"model": str(folder)},
            signature=signature,
            input_example=pd.DataFrame(0, index=[0], columns=list(FEATURES), dtype="float64"),
            pip_requirements=[f"ectopy=={metadata.version('ectopy')}", f"mlflow=={mlflow.__version__}"],
            registered_model_name=model,
        )
    version = Version(model, str(info.registered_model_version), str(info.run_id))
    set_description(version, (folder / CARD_FILE).read_text(encoding="utf-8"))
    tag_version(version, tags)
    make_challenger(version)
    return version
