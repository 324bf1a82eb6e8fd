"""The streaming model as MLflow serves it: features in, probabilities out. MLflow runs this file as code."""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd

from ectopy.ecg import CLASSES
from ectopy.live.beat_features import FEATURES
from ectopy.live.network import load_live_model


class ServedLiveModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc,name-defined]
    """Streaming model for MLflow; each call takes the beats of one recording, in order of time."""

    def load_context(self, context: Any) -> None:
        """Load the weights."""
        self._model = load_live_model(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        """Return ``p_n, p_s, p_v, p_f, label`` of each beat, without a look ahead.

        Parameters
        ----------
        context
            Not used.
        model_input
            Features, one column for each.
        params
            Not used.

        Returns
        -------
        One row per beat.
        """
        state, rows = self._model.start(), []
        for features in model_input[list(FEATURES)].to_numpy(dtype=np.float32):
            state, probability = self._model.step(state, features)
            rows.append(probability[0])
        output = pd.DataFrame(
            np.reshape(rows, (-1, len(CLASSES))), columns=[f"p_{name.lower()}" for name in CLASSES]
        )
        output["label"] = np.array(CLASSES, dtype="U1")[output.to_numpy().argmax(axis=1)]
        return output


if __name__ != "ectopy.registry.live_pyfunc":  # MLflow imports it from a file
    mlflow.models.set_model(ServedLiveModel())
