"""The model as MLflow serves it: features of beats in, probabilities out. MLflow runs this file as code."""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd

from ectopy.ecg import CLASSES
from ectopy.features.extraction import FEATURE_NAMES
from ectopy.model.classifier import load_classifier


class ServedClassifier(mlflow.pyfunc.PythonModel):  # type: ignore[misc,name-defined]
    """Classifier for MLflow; each call takes the beats of one recording, in order of time."""

    def load_context(self, context: Any) -> None:
        """Load the exported network."""
        self._classify = load_classifier(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        """Return ``p_n, p_s, p_v, p_f, label, confident`` of each beat.

        Parameters
        ----------
        context
            Not used.
        model_input
            Features, one column for each that the model reads.
        params
            Not used.

        Returns
        -------
        One row per beat.
        """
        own = model_input[list(self._classify.specification.features)]
        # Features of a later version have no column, and the classifier ignores them.
        features = own.reindex(columns=list(FEATURE_NAMES), fill_value=0).to_numpy(dtype=np.float32)
        probability, confident = self._classify(features)
        output = pd.DataFrame(probability, columns=[f"p_{name.lower()}" for name in CLASSES])
        output["label"] = np.array(CLASSES, dtype="U1")[probability.argmax(axis=1)]
        output["confident"] = confident
        return output


if __name__ != "ectopy.registry.pyfunc":  # MLflow imports it from a file
    mlflow.models.set_model(ServedClassifier())
