"""The Keras GRU: build, fit, save with its input specification, export to ONNX.

A small network across beats, not samples: what makes a beat ectopic is how it relates to its neighbours, and
22 patients are too few to learn morphology from raw signal.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")  # compiles the GRU on two cores; read when Keras is imported

import jax
import keras
import numpy as np
from jax.experimental.compilation_cache.compilation_cache import reset_cache
from numpy.typing import NDArray

from ectopy.ec57.reference import DETECTED
from ectopy.features.extraction import FEATURE_NAMES, Floats
from ectopy.model.calibration import Calibration, HeldOut
from ectopy.model.classifier import MODEL_FILE, SPECIFICATION_FILE, Specification, in_chunks
from ectopy.model.folds import Fold, of_records, training_sequences
from ectopy.model.onnx_export import export_onnx
from ectopy.model.training_set import TRAINED_LABELS, TrainingRecord, TrainingSequence

logger = logging.getLogger(__name__)
KERAS_FILE = "model.keras"


@dataclass(frozen=True)
class TrainConfig:
    """Everything that an experiment chooses."""

    seed: int = 0
    n_folds: int = 5
    members: int = 5
    window_beats: int = 64
    dense_units: int = 40
    gru_units: int = 24
    dropout: float = 0.2
    epochs: int = 24
    windows_per_epoch: int = 1600
    batch_windows: int = 64
    learning_rate: float = 6e-3
    warmup_steps: int = 20
    weight_decay: float = 1e-2
    focal_gamma: float = 2.0
    class_weights: tuple[float, float, float] = (1.0, 2.5, 2.5)
    feature_offset_sd: float = 0.5
    noise_sd: float = 0.2
    feature_dropout: float = 0.2
    augmented_fraction: float = 0.5
    jitter_s: float = 0.02
    coverage: float = 0.97


@dataclass(frozen=True, eq=False)
class Network:
    """A trained model of logits with the standardisation of its input."""

    model: Any
    mean: Floats
    scale: Floats

    def logits(self, features: Floats) -> Floats:
        """Give logits [n, n_labels] of features [n, k], as :class:`ectopy.model.classifier.Classifier` does."""
        if not len(features):
            return np.empty((0, len(TRAINED_LABELS)), dtype=np.float32)
        standard = ((features - self.mean) / self.scale).astype(np.float32)
        return in_chunks(self.model.predict_on_batch, standard)  # compiled once a shape, unlike a call


OnEpoch = Callable[[int, dict[str, float]], None]
Build = Callable[[TrainConfig], Any]
Across = Callable[[Any, TrainConfig], Any]
"""What relates beats to their neighbours: tensor [batch, beats, dense_units] -> [batch, beats, any]."""
Judge = Callable[[Network], dict[str, float]]
"""Figures of a network half trained."""


def gru(x: Any, config: TrainConfig) -> Any:
    """Read the beats forwards and backwards with a GRU each."""
    return keras.layers.Bidirectional(keras.layers.GRU(config.gru_units, return_sequences=True))(x)


@contextmanager
def compiled_in(folder: Path) -> Iterator[None]:
    """Keep in a folder what is compiled meanwhile, and look there first: a run's networks are one program.

    Where JAX_COMPILATION_CACHE_DIR names another, that one serves as its owner wants.
    """
    config: Any = jax.config
    if config.jax_compilation_cache_dir:
        yield
        return
    chosen = {
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(config, name) for name in chosen}
    try:
        _configure(chosen)
        yield
    finally:
        _configure(before)


def _configure(values: Mapping[str, object]) -> None:
    config: Any = jax.config
    for name, value in values.items():
        config.update(name, value)
    reset_cache()  # JAX settles where to look at the first program that it compiles


def build(config: TrainConfig, *, across: Across = gru, n_features: int = len(FEATURE_NAMES)) -> Any:
    """Build the network, float32 [batch, beats, n_features] -> logits [batch, beats, len(TRAINED_LABELS)]."""
    beats = keras.Input((None, n_features))
    x = keras.layers.Dense(config.dense_units, activation="relu")(beats)
    x = keras.layers.Dropout(config.dropout)(x)
    x = across(x, config)
    x = keras.layers.Dropout(config.dropout)(x)
    return keras.Model(beats, keras.layers.Dense(len(TRAINED_LABELS))(x))


def fit(  # noqa: PLR0913 - all but two are choices
    examples: Sequence[TrainingSequence],
    config: TrainConfig,
    *,
    seed: int,
    on_epoch: OnEpoch | None = None,
    build: Build = build,
    judge: Judge | None = None,
) -> Network:
    """Train one network; ``on_epoch`` is told of each epoch's number, its losses and what ``judge`` adds."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    mean, scale = _standardisation(examples)
    draw = _Windows(examples, config, mean, scale).draw
    model = build(config)
    n_steps = config.epochs * (config.windows_per_epoch // config.batch_windows)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0,
        max(n_steps - config.warmup_steps, 1),
        warmup_target=config.learning_rate,
        warmup_steps=config.warmup_steps,
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=config.weight_decay, clipnorm=1.0),
        keras.losses.CategoricalFocalCrossentropy(
            alpha=list(config.class_weights), gamma=config.focal_gamma, from_logits=True
        ),
        weighted_metrics=["categorical_accuracy"],
    )
    for epoch in range(config.epochs):
        x, y, weight = draw(rng)
        history = model.fit(x, y, sample_weight=weight, batch_size=config.batch_windows, verbose=0).history
        losses = {name: float(values[-1]) for name, values in history.items()}
        if judge:
            losses |= judge(Network(model, mean, scale))
        if on_epoch:
            on_epoch(epoch, losses)
    return Network(model, mean, scale)


def fit_fold(
    lessons: Sequence[TrainingRecord], fold: Fold, config: TrainConfig, *, on_epoch: OnEpoch | None = None
) -> tuple[Network, list[HeldOut]]:
    """Train without the patients of a fold, and say what the network makes of their detected beats."""
    learned = training_sequences(lessons, fold)
    network = fit(learned, config, seed=config.seed, on_epoch=on_epoch)
    seen = [(lesson.variant(DETECTED), lesson.reference) for lesson in of_records(lessons, fold.test)]
    return network, [HeldOut(example, truth, network.logits(example.features)) for example, truth in seen]


def _standardisation(examples: Sequence[TrainingSequence]) -> tuple[Floats, Floats]:
    rows = np.concatenate([example.features for example in examples])
    return rows.mean(axis=0), rows.std(axis=0) + np.float32(1e-3)


class _Windows:
    """Random windows of training sequences, disturbed lest a patient's own level be learned by heart."""

    def __init__(
        self, examples: Sequence[TrainingSequence], config: TrainConfig, mean: Floats, scale: Floats
    ) -> None:
        self._config = config
        self._sequences = [_sequence(example, config.window_beats, mean, scale) for example in examples]
        self._chance = _chance(examples, config.augmented_fraction)

    def draw(self, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
        """Draw an epoch of windows from anywhere: x, one-hot y, and the weight of each beat."""
        drawn = rng.choice(len(self._sequences), self._config.windows_per_epoch, p=self._chance)
        windows = []
        for x, y in (self._sequences[index] for index in drawn):
            start = rng.integers(len(x) - self._config.window_beats + 1)
            within = slice(start, start + self._config.window_beats)
            windows.append((x[within], y[within]))
        x, y = (np.stack(part) for part in zip(*windows, strict=True))
        return self._disturb(x, rng), y, y.sum(axis=2)

    def _disturb(self, x: Floats, rng: np.random.Generator) -> Floats:
        config, per_sequence = self._config, (len(x), 1, x.shape[2])
        x = x + config.feature_offset_sd * rng.standard_normal(per_sequence, dtype=np.float32)
        x = x + config.noise_sd * rng.standard_normal(x.shape, dtype=np.float32)
        kept = rng.random(per_sequence) >= config.feature_dropout
        return np.asarray(x * (kept / (1 - config.feature_dropout)), dtype=np.float32)


def _sequence(example: TrainingSequence, at_least: int, mean: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """Standardise an example and lengthen it to a whole window, with beats that carry no weight."""
    lacking = ((0, max(at_least - len(example.label), 0)), (0, 0))
    x = np.pad((example.features - mean) / scale, lacking)
    return x.astype(np.float32), np.pad(_one_hot(example.label), lacking)


def _chance(examples: Sequence[TrainingSequence], made_share: float) -> NDArray[np.float64]:
    """Give each example its chance to be drawn.

    It goes by the root of its length and the share of its kind; true to made are as configured.
    """
    made = np.array([example.augmented for example in examples])
    chance = np.sqrt([max(len(example.label), 1) for example in examples])
    chance *= [example.share for example in examples]
    for kind, share in ((made, made_share), (~made, 1 - made_share)):
        chance[kind] *= share / max(chance[kind].sum(), 1e-12)
    return np.asarray(chance / chance.sum())


def _one_hot(label: NDArray[np.str_]) -> Floats:
    return np.asarray(label[:, None] == np.array(TRAINED_LABELS), dtype=np.float32)


def ensemble(networks: Sequence[Network]) -> Network:
    """Average the logits of networks that were trained on the same examples."""
    if len(networks) == 1:
        return networks[0]
    beats = keras.Input(networks[0].model.input_shape[1:])
    mean_logits = keras.layers.Average()([network.model(beats) for network in networks])
    return Network(keras.Model(beats, mean_logits), networks[0].mean, networks[0].scale)


def save(network: Network, folder: Path, calibration: Calibration, *, name: str, run: str) -> None:
    """Write a model directory: Keras model, ONNX export and the specification of its input."""
    folder.mkdir(parents=True, exist_ok=True)
    network.model.save(folder / KERAS_FILE)
    export_onnx(network.model, folder / MODEL_FILE)
    specification = Specification(
        name=name,
        run=run,
        labels=TRAINED_LABELS,
        features=FEATURE_NAMES,
        mean=tuple(network.mean.astype(float).tolist()),
        scale=tuple(network.scale.astype(float).tolist()),
        temperature=calibration.temperature,
        confidence_threshold=calibration.confidence_threshold,
        min_beats=MIN_BEATS,
    )
    (folder / SPECIFICATION_FILE).write_text(json.dumps(asdict(specification), indent=1) + "\n")


def load_keras(folder: Path) -> Any:
    """Load the Keras model of a model directory."""
    return keras.saving.load_model(folder / KERAS_FILE)


MIN_BEATS = 30
"""A patient's typical beat and rate, to which everything is relative, are not known from fewer."""


def export_onnx_with_keras(model: Any, path: Path) -> None:
    """Export a Keras model of logits with a free batch and time axis."""
    n_features = model.input_shape[-1]
    model(np.zeros((1, 2, n_features), dtype=np.float32))  # the exporter wants a model that was called
    signature = [keras.InputSpec(shape=(None, None, n_features), dtype="float32", name="beats")]
    model.export(str(path), format="onnx", input_signature=signature, verbose=False)
