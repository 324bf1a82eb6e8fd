"""The Keras network: build, train, save with its input specification, export to ONNX.

The network is small and reads features of beats, not samples of signal. The class of a beat depends on how it
compares with its neighbours. Some 80 recordings are too few to learn morphology from the raw signal.
"""

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental.compilation_cache.compilation_cache import reset_cache
from numpy.typing import NDArray

from ectopy.ec57.reference import DETECTED
from ectopy.features.extraction import FEATURE_NAMES, Floats, feature_columns
from ectopy.model.architectures import ARCHITECTURES, CHOSEN
from ectopy.model.calibration import Calibration, OutOfFoldPrediction
from ectopy.model.classifier import MODEL_FILE, SPECIFICATION_FILE, Specification, in_chunks
from ectopy.model.folds import Fold, pick_records, training_sequences
from ectopy.model.onnx_export import UnsupportedLayerError, export_onnx
from ectopy.model.training_set import TrainingRecord, TrainingSequence
from ectopy.model.training_sources import TRAINED_LABELS
from ectopy.parallel.memory import keep_freed_memory

import keras  # isort: skip - after architectures, which chooses its backend

logger = logging.getLogger(__name__)
KERAS_FILE = "model.keras"


class TrainConfigError(ValueError):
    """A value of the training configuration that does not exist or cannot be read."""


_BOUNDS = {
    "seed": (0, 2**31 - 1),
    "n_folds": (2, 1000),
    "members": (1, 1000),
    "fold_members": (1, 1000),
    "window_beats": (2, 100_000),
    "dense_units": (1, 10_000),
    "gru_units": (1, 10_000),
    "dropout": (0, 0.99),
    "epochs": (1, 1_000_000),
    "windows_per_epoch": (1, 10_000_000),
    "batch_windows": (1, 100_000),
    "learning_rate": (1e-9, 10),
    "warmup_steps": (0, 1_000_000),
    "weight_decay": (0, 10),
    "focal_gamma": (0, 100),
    "class_weights": (0, 1e6),
    "feature_offset_sd": (0, 100),
    "noise_sd": (0, 100),
    "feature_dropout": (0, 0.99),
    "augmented_fraction": (0, 1),
    "jitter_s": (0, 1),
    "coverage": (0.01, 1),
}
"""Lowest and highest value of each setting of a training; beyond them, training fails or means nothing."""


@dataclass(frozen=True)
class TrainConfig:
    """All settings of one training: cross-validation, network, optimiser, augmentation and calibration.

    To change a setting for one training, for example the learning rate:

    * on the command line: ``ectopy train --set learning_rate=0.003``;
    * in a file: ``ectopy train --config FILE``;
    * in Python: ``ectopy.flows.train.train(config=TrainConfig(learning_rate=3e-3))``;
    * in the run form of the deployment in Prefect: the field ``config``.

    MLflow logs the settings as parameters of the run.

    Parameters
    ----------
    seed
        Seed of folds, added noise, augmentation, initial weights and drawn windows. Network k of an ensemble
        uses seed + k.
    n_folds
        Number of folds of the cross-validation.
    members
        Number of networks in the ensemble, whose logits are averaged.
    fold_members
        Number of networks in the ensemble of each fold.
    use_doubtful_labels
        Whether to train on labels that the list of doubtful labels names.
    window_beats
        Length of a training window, in beats.
    architecture
        What relates a beat to its neighbours: a name in ARCHITECTURES, such as gru, lstm or transformer.
    dense_units
        Units of the dense layer that reads the features of each beat.
    gru_units
        Units of the GRU in each direction, or of what another architecture has in its place.
    dropout
        Probability with which a unit is dropped after the dense layer and after the GRU.
    epochs
        Number of epochs.
    windows_per_epoch
        Number of training windows drawn in an epoch.
    batch_windows
        Number of windows in a batch.
    learning_rate
        Learning rate of AdamW at the end of the warm-up; then it falls to 0 along a cosine.
    warmup_steps
        Number of batches during which the learning rate rises from 0.
    weight_decay
        Weight decay of AdamW.
    focal_gamma
        Exponent of the focal loss; 0 is cross-entropy.
    class_weights
        Weights of N, S and V in the loss.
    feature_offset_sd
        Standard deviation of an offset that is added to a feature in a whole window, so that the network does
        not memorise the usual level of a patient. In standard deviations of the feature.
    noise_sd
        Standard deviation of noise that is added to a feature of each beat, in standard deviations of the
        feature.
    feature_dropout
        Probability with which a feature is set to 0 in a whole window.
    augmented_fraction
        Fraction of windows drawn from augmented patients.
    jitter_s
        Standard deviation of the shift of beats in the jittered variant, in seconds; 0 omits the variant.
    coverage
        Fraction of beats of held-out patients that are confident after calibration.
    features
        Names of the features that the networks read; none stands for all features.
    """

    seed: int = 0
    n_folds: int = 5
    members: int = 5
    window_beats: int = 64
    architecture: str = CHOSEN
    dense_units: int = 64
    gru_units: int = 40
    dropout: float = 0.2
    epochs: int = 24
    windows_per_epoch: int = 3200
    batch_windows: int = 128
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
    fold_members: int = 3
    use_doubtful_labels: bool = False
    features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            given = value if isinstance(value, tuple) else (value,)
            if not all(low <= number <= high for number in given):
                raise TrainConfigError(
                    f"{name}: {value} is outside {low:g} to {high:g}. Give a value within these bounds."
                )
        if self.architecture not in ARCHITECTURES:
            raise TrainConfigError(
                f"architecture: {self.architecture!r} is unknown. Use one of {', '.join(ARCHITECTURES)}."
            )
        if unknown := [name for name in self.features if name not in FEATURE_NAMES]:
            near = get_close_matches(unknown[0], FEATURE_NAMES, n=1, cutoff=0.0)[0]
            raise TrainConfigError(f"features: {unknown[0]!r} is not a feature. Did you mean {near!r}?")
        if len({*self.features}) < len(self.features):
            raise TrainConfigError("features: one is named twice. Name each feature once.")

    def with_values(self, values: Mapping[str, str]) -> "TrainConfig":
        """Return a copy with some settings changed, from texts such as ``{"learning_rate": "0.003"}``.

        ``class_weights`` are three numbers separated by commas, and ``features`` are names separated by
        semicolons, because some have commas. A yes or no is ``true`` or ``false``. Raises
        :class:`TrainConfigError` for an unknown name, or for a text of another type than the setting.
        """
        defaults = {field.name: field.default for field in fields(self)}
        if unknown := [name for name in values if name not in defaults]:
            near = get_close_matches(unknown[0], defaults, n=1)
            raise TrainConfigError(
                f"{', '.join(unknown)}: unknown training setting. Use one of {', '.join(defaults)}."
                + "".join(f" Did you mean {name}?" for name in near)
            )
        return replace(self, **{name: _parse(name, text, defaults[name]) for name, text in values.items()})


_TRUTH = {"true": True, "false": False}


def _parse(name: str, text: str, default: Any) -> Any:
    """Read a text as a value of the type of a default."""
    if default == ():
        return tuple(part.strip() for part in text.split(";") if part.strip())
    if isinstance(default, tuple):
        parts = text.split(",")
        if len(parts) != len(default):
            raise TrainConfigError(
                f"{name}: {text!r} has {len(parts)} numbers. Give {len(default)}, separated by commas."
            )
        return tuple(_parse(name, part, value) for part, value in zip(parts, default, strict=True))
    kind = type(default)
    if kind is str:
        return text.strip()
    if kind is bool:
        if text.lower() not in _TRUTH:
            raise TrainConfigError(f"{name}: {text.strip()!r} is neither true nor false. Give one of them.")
        return _TRUTH[text.lower()]
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        what = "an integer" if kind is int else "a number"
        raise TrainConfigError(f"{name}: {text.strip()!r} is not {what}. Give {what} such as {default}.")
    return value


@dataclass(frozen=True, eq=False)
class Network:
    """A trained Keras model that returns logits, with the mean and scale that standardise its input.

    ``features`` are the names of the features that it reads; none stands for all.
    """

    model: Any
    mean: Floats
    scale: Floats
    features: tuple[str, ...] = ()

    def logits(self, features: Floats) -> Floats:
        """Compute logits [n, n_labels] of all features [n, k], in chunks as the classifier does."""
        if not len(features):
            return np.empty((0, len(TRAINED_LABELS)), dtype=np.float32)
        features = _select(features, self.features)
        standard = ((features - self.mean) / self.scale).astype(np.float32)
        return in_chunks(self.model.predict_on_batch, standard)  # compiled once per shape, unlike a call


@dataclass(frozen=True, eq=False)
class Epoch:
    """A finished epoch of training: its number from 0, its losses, its CPU time, and the network so far.

    ``cpu_s`` is the CPU time of the training steps in seconds, without drawing the windows.
    """

    number: int
    losses: Mapping[str, float]
    cpu_s: float
    network: Network


def _select(features: Floats, names: Sequence[str]) -> Floats:
    """Return the columns of some features, by name; without names, all of them and no copy."""
    return features[:, feature_columns(names)] if names else features


Callback = Callable[[Epoch], None]
"""A function that :func:`fit` calls after each epoch."""
Builder = Callable[[TrainConfig], Any]
"""Builds an untrained Keras model from the training configuration."""


@contextmanager
def compilation_cache(folder: Path) -> Iterator[None]:
    """Keep compiled JAX programs in a folder, because all networks of a training are the same program.

    If the environment variable JAX_COMPILATION_CACHE_DIR is set, the folder that it names is used instead.
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
    reset_cache()  # JAX chooses the folder when it compiles its first program


def build(config: TrainConfig, *, n_features: int | None = None, n_labels: int = len(TRAINED_LABELS)) -> Any:
    """Build the untrained network: a dense layer per beat, its architecture, logits per beat.

    Parameters
    ----------
    config
        The training configuration, which names the architecture.
    n_features
        Number of features of a beat; by default those of the configuration.
    n_labels
        Number of labels that a beat may have.

    Returns
    -------
    Keras model, float32 [batch, beats, n_features] to logits [batch, beats, n_labels].
    """
    beats = keras.Input((None, n_features or len(config.features or FEATURE_NAMES)))
    x = keras.layers.Dense(config.dense_units, activation="relu")(beats)
    x = keras.layers.Dropout(config.dropout)(x)
    x = ARCHITECTURES[config.architecture](x, config)
    x = keras.layers.Dropout(config.dropout)(x)
    return keras.Model(beats, keras.layers.Dense(n_labels)(x))


def fit(  # noqa: PLR0913 - each of the last three has a default
    sequences: Sequence[TrainingSequence],
    config: TrainConfig,
    *,
    seed: int,
    callbacks: Sequence[Callback] = (),
    build: Builder = build,
    heads: int = 1,
) -> Network:
    """Train one network.

    Parameters
    ----------
    sequences
        Sequences to draw the training windows from.
    config
        The training configuration.
    seed
        Seed of the initial weights and the drawn windows.
    callbacks
        Functions that are called after each epoch.
    build
        Builds the untrained network.
    heads
        Number of answers of the network to each beat, one after the other; all are trained on its label.

    Returns
    -------
    The trained network, with the standardisation of these sequences.
    """
    keep_freed_memory()
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    if config.features:
        sequences = [replace(one, features=_select(one.features, config.features)) for one in sequences]
    mean, scale = _standardisation(sequences)
    draw = _Windows(sequences, config, mean, scale).draw
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
    for number in range(config.epochs):
        x, y, weight = draw(rng)
        y, weight = (np.repeat(target, heads, axis=1) for target in (y, weight))
        start_s = time.process_time()
        history = model.fit(x, y, sample_weight=weight, batch_size=config.batch_windows, verbose=0).history
        cpu_s = time.process_time() - start_s
        losses = {name: float(values[-1]) for name, values in history.items()}
        for callback in callbacks:
            callback(Epoch(number, losses, cpu_s, Network(model, mean, scale, config.features)))
    return Network(model, mean, scale, config.features)


def fit_fold(
    records: Sequence[TrainingRecord], fold: Fold, config: TrainConfig, *, callbacks: Sequence[Callback] = ()
) -> tuple[Network, list[OutOfFoldPrediction]]:
    """Train a network without the test patients of a fold, and apply it to their detected beats.

    Parameters
    ----------
    records
        The training set.
    fold
        The records to train on and to test on.
    config
        The training configuration.
    callbacks
        Functions that are called after each epoch.

    Returns
    -------
    The network, and its predictions for the test records.
    """
    network = fit(training_sequences(records, fold), config, seed=config.seed, callbacks=callbacks)
    test = [(record.get(DETECTED), record.reference) for record in pick_records(records, fold.test)]
    return network, [
        OutOfFoldPrediction(sequence, reference, network.logits(sequence.features))
        for sequence, reference in test
    ]


def _standardisation(sequences: Sequence[TrainingSequence]) -> tuple[Floats, Floats]:
    """Return mean and scale of all features [k], from those of each sequence (Chan 1979)."""
    n, means, deviations = (np.array(part) for part in zip(*(one.moments for one in sequences), strict=True))
    mean = n @ means / n.sum()
    variance = (deviations.sum(axis=0) + n @ np.square(means - mean)) / n.sum()
    return mean.astype(np.float32), np.sqrt(variance).astype(np.float32) + np.float32(1e-3)


class _Windows:
    """Random windows of training sequences, with noise so that the network does not memorise patients."""

    def __init__(
        self, sequences: Sequence[TrainingSequence], config: TrainConfig, mean: Floats, scale: Floats
    ) -> None:
        self._config, self._mean, self._scale = config, mean, scale
        self._sequences = sequences
        self._chance = _chance(sequences, config.augmented_fraction)

    def draw(self, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
        """Draw the windows of an epoch: features, one-hot labels, and the weight of each beat.

        A window of a short sequence is padded with beats of no label.
        """
        config = self._config
        shape = config.windows_per_epoch, config.window_beats
        x = np.zeros((*shape, len(self._mean)), dtype=np.float32)
        label = np.zeros(shape, dtype="U1")
        drawn = rng.choice(len(self._sequences), len(x), p=self._chance)
        for index, features, labels in zip(drawn, x, label, strict=True):
            sequence = self._sequences[index]
            n_beats = min(len(sequence.label), config.window_beats)
            start = rng.integers(len(sequence.label) - n_beats + 1)
            window = slice(start, start + n_beats)
            np.subtract(sequence.features[window], self._mean, out=features[:n_beats])
            labels[:n_beats] = sequence.label[window]
        x /= self._scale
        self._disturb(x, rng)
        y = _one_hot(label)
        return x, y, y.sum(axis=2)

    def _disturb(self, x: Floats, rng: np.random.Generator) -> None:
        """Add noise to windows in place, and set some features of a window to 0."""
        config, per_window = self._config, (len(x), 1, x.shape[2])
        x += config.feature_offset_sd * rng.standard_normal(per_window, dtype=np.float32)
        noise = np.empty(x.shape[1:], dtype=np.float32)
        for window in x:  # one at a time: noise for all of them would be as large as x
            rng.standard_normal(out=noise, dtype=np.float32)
            noise *= config.noise_sd
            np.add(window, noise, out=window)
        kept = rng.random(per_window) >= config.feature_dropout
        x *= (kept / (1 - config.feature_dropout)).astype(np.float32)


def _chance(sequences: Sequence[TrainingSequence], augmented_fraction: float) -> NDArray[np.float64]:
    """Compute the probability with which each sequence is drawn.

    It is proportional to the square root of the number of beats and to the sampling weight of the sequence.
    Augmented sequences together have the configured fraction.
    """
    augmented = np.array([sequence.augmented for sequence in sequences])
    chance = np.sqrt([max(len(sequence.label), 1) for sequence in sequences])
    chance *= [sequence.sampling_weight for sequence in sequences]
    for group, fraction in ((augmented, augmented_fraction), (~augmented, 1 - augmented_fraction)):
        chance[group] *= fraction / max(chance[group].sum(), 1e-12)
    return np.asarray(chance / chance.sum())


def _one_hot(label: NDArray[np.str_]) -> Floats:
    """Return the one-hot labels [..., n_labels] of one character each; those of '' are 0."""
    code, trained = (text.view(np.uint32) for text in (label, np.array(TRAINED_LABELS)))  # faster to compare
    return np.asarray(code[..., None] == trained, dtype=np.float32)


def ensemble(networks: Sequence[Network]) -> Network:
    """Return a network whose logits are the mean of those of networks with the same standardisation."""
    if len(networks) == 1:
        return networks[0]
    for number, network in enumerate(networks):
        network.model.name = f"network_{number}"  # processes that train in parallel give the same names
    first = networks[0]
    beats = keras.Input(first.model.input_shape[1:])
    mean_logits = keras.layers.Average()([network.model(beats) for network in networks])
    return Network(keras.Model(beats, mean_logits), first.mean, first.scale, first.features)


def save(network: Network, folder: Path, calibration: Calibration, *, name: str, run: str) -> None:
    """Write a model directory: the Keras model, its ONNX export and its specification.

    Parameters
    ----------
    network
        The trained network.
    folder
        The model directory; created if missing.
    calibration
        The calibration of the network.
    name
        Name of the model in outputs.
    run
        MLflow run that trained it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network.model.save(folder / KERAS_FILE)
    export(network.model, folder / MODEL_FILE)
    specification = Specification(
        name=name,
        run=run,
        labels=TRAINED_LABELS,
        features=network.features or FEATURE_NAMES,
        mean=tuple(network.mean.astype(float).tolist()),
        scale=tuple(network.scale.astype(float).tolist()),
        temperature=calibration.temperature,
        confidence_threshold=calibration.confidence_threshold,
        min_beats=MIN_BEATS,
    )
    write_specification(specification, folder)


def write_specification(specification: Specification, folder: Path) -> None:
    """Write the specification of a model into its directory.

    Parameters
    ----------
    specification
        The specification.
    folder
        The model directory.
    """
    (folder / SPECIFICATION_FILE).write_text(json.dumps(asdict(specification), indent=1) + "\n")


def load_keras(folder: Path) -> Any:
    """Load the Keras model of a model directory."""
    return keras.saving.load_model(folder / KERAS_FILE)


MIN_BEATS = 30
"""Beats that a recording needs for confident labels, because features compare with its template and rate."""


def export(model: Any, path: Path) -> bool:
    """Write a Keras model to an ONNX file, as scoring reads it.

    Parameters
    ----------
    model
        The Keras model, [batch, beats, n_features] to logits.
    path
        The ONNX file to write.

    Returns
    -------
    Whether each recurrent layer is one node. A model with a layer that :func:`export_onnx` does not know, as
    attention is, goes to the Keras exporter.
    """
    try:
        export_onnx(model, path)
    except UnsupportedLayerError:
        export_onnx_with_keras(model, path)
        return False
    return True


def export_onnx_with_keras(model: Any, path: Path) -> None:
    """Export a Keras model with the Keras exporter.

    It supports all layers, but writes recurrent ones as loops. Batch size and number of beats stay free.

    Parameters
    ----------
    model
        The Keras model, [batch, beats, n_features] to logits.
    path
        The ONNX file to write.
    """
    n_features = model.input_shape[-1]
    model(np.zeros((1, 2, n_features), dtype=np.float32))  # the exporter needs a model that was called once
    signature = [keras.InputSpec(shape=(None, None, n_features), dtype="float32", name="beats")]
    model.export(str(path), format="onnx", input_signature=signature, verbose=False)
