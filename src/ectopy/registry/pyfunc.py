"""The model as MLflow serves it: beats' features in, probabilities out. MLflow runs this file as code."""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd

from ectopy.ecg import CLASSES
from ectopy.features.extraction import FEATURE_NAMES
from ectopy.model.classifier import load_classifier


class ServedClassifier(mlflow.pyfunc.PythonModel):  # type: ignore[misc,name-defined]
    """One recording's beats a call, a row a beat in order of time."""

    def load_context(self, context: Any) -> None:
        """Load the exported network."""
        self._classify = load_classifier(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        """Give ``p_n, p_s, p_v, p_f, label, confident`` of each beat."""
        features = model_input[list(FEATURE_NAMES)].to_numpy(dtype=np.float32)
        probability, confident = self._classify(features)
        answer = pd.DataFrame(probability, columns=[f"p_{name.lower()}" for name in CLASSES])
        answer["label"] = np.array(CLASSES, dtype="U1")[probability.argmax(axis=1)]
        answer["confident"] = confident
        return answer


if __name__ != "ectopy.registry.pyfunc":  # imported by MLflow from a file
    mlflow.models.set_model(ServedClassifier())
