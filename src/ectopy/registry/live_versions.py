"""Versions of the streaming model in MLflow, which is a registered model of its own."""

from collections.abc import Mapping
from pathlib import Path

from mlflow.types import ColSpec

from ectopy.live.beat_features import FEATURES
from ectopy.registry.model_versions import Version, log_pyfunc, make_challenger


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
    answers = [ColSpec("string", "label")]
    version = log_pyfunc(folder, "live_pyfunc.py", tuple(FEATURES), answers, model=model, tags=tags)
    make_challenger(version)
    return version
