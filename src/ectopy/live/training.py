"""Training of a streaming model with Keras: the forward GRU, its weights for numpy, and its calibration."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")  # read when Keras is imported

import keras
import numpy as np

from ectopy.live.beat_features import FEATURES, Floats
from ectopy.live.network import LiveModel, LiveSpecification, save_live_model
from ectopy.model import network
from ectopy.model.calibration import Calibration
from ectopy.model.network import Network, TrainConfig
from ectopy.model.training_set import TrainingSequence
from ectopy.model.training_sources import TRAINED_LABELS


def fit(
    sequences: Sequence[TrainingSequence],
    config: TrainConfig,
    *,
    look_ahead: int,
    seed: int,
) -> Network:
    """Train one network.

    Parameters
    ----------
    sequences
        Sequences to draw the training windows from.
    config
        The training configuration. Its settings of folds, ensembles and features do not apply.
    look_ahead
        Beats after a beat that its last answer considers.
    seed
        Seed of the initial weights and the drawn windows.

    Returns
    -------
    The network. Its answers are those to a beat after 0, 1, 2 ... further beats, one after the other.
    """

    def build(config: TrainConfig) -> Any:
        return _build(config, look_ahead)

    heads = look_ahead + 1
    return network.fit(sequences, config, seed=seed, build=build, heads=heads)


def _build(config: TrainConfig, look_ahead: int) -> Any:
    """Build the untrained network, [batch, beats, features] to logits [batch, beats * heads, labels]."""
    beats = keras.Input((None, len(FEATURES)))
    x = keras.layers.Dense(config.dense_units, activation="relu")(beats)
    x = keras.layers.Dropout(config.dropout)(x)
    x = keras.layers.GRU(config.gru_units, return_sequences=True)(x)
    x = keras.layers.Dropout(config.dropout)(x)
    n_labels = len(TRAINED_LABELS)
    steps = keras.layers.Dense(n_labels * (look_ahead + 1))(x)
    answers = [
        keras.ops.pad(
            steps[:, after:, after * n_labels : (after + 1) * n_labels], ((0, 0), (0, after), (0, 0))
        )
        for after in range(look_ahead + 1)
    ]
    of_beats = keras.ops.concatenate(answers, axis=-1)
    return keras.Model(beats, keras.layers.Reshape((-1, n_labels))(of_beats))


def weights(trained: Network) -> dict[str, Floats]:
    """Return the weights of a network by the names of :mod:`ectopy.live.network`."""
    parts = [layer.get_weights() for layer in trained.model.layers if layer.get_weights()]
    (dense, dense_bias), (kernel, recurrent, bias), (out, out_bias) = parts
    return {
        "dense": dense,
        "dense_bias": dense_bias,
        "kernel": kernel,
        "recurrent": recurrent,
        "bias": bias,
        "out": out,
        "out_bias": out_bias,
    }


def as_live_model(
    trained: Network, calibrations: Sequence[Calibration], *, name: str, run: str = ""
) -> LiveModel:
    """Return a trained network as a streaming model.

    Parameters
    ----------
    trained
        The network.
    calibrations
        The calibration of its answers after 0, 1, 2 ... further beats.
    name
        Name of the model in outputs.
    run
        MLflow run that trained it.

    Returns
    -------
    The streaming model.
    """
    specification = LiveSpecification(
        name=name,
        run=run,
        labels=TRAINED_LABELS,
        features=tuple(FEATURES),
        mean=tuple(trained.mean.astype(float).tolist()),
        scale=tuple(trained.scale.astype(float).tolist()),
        look_ahead=len(calibrations) - 1,
        temperature=tuple(one.temperature for one in calibrations),
        confidence_threshold=tuple(one.confidence_threshold for one in calibrations),
    )
    return LiveModel(specification, weights(trained), "")


def save(trained: Network, calibrations: Sequence[Calibration], folder: Path, *, name: str, run: str) -> None:
    """Write a streaming model.

    Parameters
    ----------
    trained, calibrations, name, run
        As for :func:`as_live_model`.
    folder
        The model directory.
    """
    model = as_live_model(trained, calibrations, name=name, run=run)
    save_live_model(folder, model.specification, model.weights)


def answers(trained: Network, sequence: TrainingSequence, *, look_ahead: int) -> Floats:
    """Compute what a stream says of each beat.

    At the end of a record, the last answer that was possible stands for those that need more beats.

    Parameters
    ----------
    trained
        The network.
    sequence
        The beats.
    look_ahead
        Beats after a beat that its last answer considers.

    Returns
    -------
    Logits [n_beats, look_ahead + 1, n_labels].
    """
    standard = ((sequence.features - trained.mean) / trained.scale).astype(np.float32)
    n, heads = len(standard), look_ahead + 1
    padded = np.pad(standard, ((0, -n % _PADDED), (0, 0)))
    logits = np.asarray(trained.model.predict_on_batch(padded[None]))[0]
    of_beats = logits.reshape(len(padded), heads, -1)[:n]
    after = np.minimum(np.arange(heads), (n - 1 - np.arange(n))[:, None])
    return np.asarray(np.take_along_axis(of_beats, after[:, :, None], axis=1))


_PADDED = 1024  # the network is compiled once per length
