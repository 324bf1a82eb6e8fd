"""The Keras network that names the rhythm of each tick: build, train, save."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")  # read when Keras is imported

import keras
import numpy as np

from ectopy.beats.windows import Floats
from ectopy.features.rhythm import RHYTHM_FEATURES
from ectopy.model import network
from ectopy.model.classifier import MODEL_FILE, SPECIFICATION_FILE
from ectopy.model.manifest import write_manifest
from ectopy.model.network import TrainConfig
from ectopy.model.onnx_export import export_onnx
from ectopy.model.rhythm_classifier import RhythmSpecification
from ectopy.model.rhythm_training import RhythmExample, RhythmTrainConfig, draw_batches, standardisation
from ectopy.parallel.memory import keep_freed_memory
from ectopy.rhythm.rhythm_intervals import RHYTHMS

_IMPOSSIBLE = -30.0  # added to the log probability of a rhythm that is not allowed


def train(examples: Sequence[RhythmExample], config: RhythmTrainConfig, folder: Path, *, name: str) -> float:
    """Train an ensemble of networks and write its model directory.

    Parameters
    ----------
    examples
        The training records.
    config
        The settings.
    folder
        The model directory to write.
    name
        The name of the model.

    Returns
    -------
    The mean loss of the last epoch.
    """
    mean, scale = standardisation(examples)
    seeds = range(config.seed, config.seed + config.members)
    fitted = [_fit(examples, mean, scale, replace(config, seed=seed)) for seed in seeds]
    ensemble = network.ensemble([network.Network(model, mean, scale) for model, _ in fitted])
    folder.mkdir(parents=True, exist_ok=True)
    export_onnx(ensemble.model, folder / MODEL_FILE)
    specification = RhythmSpecification(
        name=name,
        labels=RHYTHMS,
        features=tuple(RHYTHM_FEATURES),
        mean=tuple(np.round(mean, 5).astype(float).tolist()),
        scale=tuple(np.round(scale, 5).astype(float).tolist()),
        trained_on=tuple(sorted({example.patient for example in examples})),
    )
    (folder / SPECIFICATION_FILE).write_text(json.dumps(asdict(specification), indent=1) + "\n")
    write_manifest(folder)
    return float(np.mean([loss for _, loss in fitted]))


def _fit(
    examples: Sequence[RhythmExample], mean: Floats, scale: Floats, config: RhythmTrainConfig
) -> tuple[Any, float]:
    """Train one network; return it with the mean loss of its last epoch."""
    keep_freed_memory()
    keras.utils.set_random_seed(config.seed)
    size = TrainConfig(
        dense_units=config.dense_units, gru_units=config.gru_units, dropout=config.dropout
    )  # a tick takes the place of a beat
    model = network.build(size, n_features=len(RHYTHM_FEATURES), n_labels=len(RHYTHMS))
    rate = keras.optimizers.schedules.CosineDecay(config.learning_rate, config.epochs * config.steps)
    model.compile(keras.optimizers.AdamW(rate, weight_decay=config.weight_decay), loss=_loss)
    losses = [float(model.train_on_batch(*batch)) for batch in draw_batches(examples, mean, scale, config)]
    return model, float(np.mean(losses[-config.steps :]))


def _loss(allowed: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
    """Compute minus the log of the total probability of the allowed rhythms."""
    log_p = logits - keras.ops.logsumexp(logits, axis=-1, keepdims=True)
    return -keras.ops.logsumexp(log_p + (1 - allowed) * _IMPOSSIBLE, axis=-1)
