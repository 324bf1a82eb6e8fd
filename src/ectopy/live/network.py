"""The forward GRU of a stream, in numpy: one step per beat, with a bounded look ahead.

A step reads the features of a beat. Its output are logits for this beat and for each of the beats before it,
up to ``look_ahead``: what the network says of a beat once it has seen 0, 1, 2 ... beats after it.
"""

import hashlib
import json
import zipfile
import zlib
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import CLASSES
from ectopy.live.alarm_network import ALARMS_FILE, AlarmModel, load_alarm_model
from ectopy.live.beat_features import FEATURES
from ectopy.live.model_files import SHIPPED_LIVE_MODEL, WEIGHTS_FILE
from ectopy.model.classifier import SPECIFICATION_FILE, ModelError, by_class, softmax
from ectopy.model.manifest import ManifestError, check_manifest

Floats = NDArray[np.float32]

_RESTORE = "Restore the original folder: install ectopy or train the model again."
_NAMES = ("dense", "dense_bias", "kernel", "recurrent", "bias", "out", "out_bias")


@dataclass(frozen=True)
class LiveSpecification:
    """Contents of ``model.json`` of a streaming model.

    ``temperature`` and ``confidence_threshold`` have a value for each number of beats seen after the beat,
    from 0 to ``look_ahead``.
    """

    name: str
    run: str
    labels: tuple[str, ...]
    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    look_ahead: int
    temperature: tuple[float, ...]
    confidence_threshold: tuple[float, ...]

    def __post_init__(self) -> None:
        if unknown := [name for name in self.features if name not in FEATURES]:
            raise ModelError(
                f"{self.name}: this version has no feature {unknown[0]!r}. Train the model again."
            )


@dataclass(frozen=True, eq=False)
class LiveModel:
    """A streaming model: its specification and its weights in float32, and the network of the alarms."""

    specification: LiveSpecification
    weights: dict[str, Floats]
    version_id: str
    alarms: AlarmModel | None = None

    @property
    def name(self) -> str:
        """Name of the model in outputs."""
        return self.specification.name

    @property
    def reference(self) -> None:
        """The training patients, for drift: a streaming model has no such profile."""
        return

    def open_network(self) -> None:
        """Do nothing: the weights are read with the model."""

    @property
    def look_ahead(self) -> int:
        """Beats after a beat that its final label considers."""
        return self.specification.look_ahead

    def start(self) -> Floats:
        """Return the state before the first beat, [units]."""
        return np.zeros(len(self.weights["recurrent"]), dtype=np.float32)

    def step(self, state: Floats, features: Floats) -> tuple[Floats, Floats]:
        """Read a beat.

        Parameters
        ----------
        state
            The state before the beat, [units].
        features
            All features of the beat, [len(FEATURES)].

        Returns
        -------
        The state after the beat, and probabilities [look_ahead + 1, 4] in the order of CLASSES: row k is of
        the beat k before this one.
        """
        w, n = self.weights, len(state)
        x = (features[self._columns] - self._mean) / self._scale
        dense = np.maximum(x @ w["dense"] + w["dense_bias"], 0)
        inputs = dense @ w["kernel"] + w["bias"][0]
        recurrent = state @ w["recurrent"] + w["bias"][1]
        update, reset = _sigmoid(inputs[: 2 * n] + recurrent[: 2 * n]).reshape(2, n)
        candidate = np.tanh(inputs[2 * n :] + reset * recurrent[2 * n :])
        state = update * state + (1 - update) * candidate
        logits = (state @ w["out"] + w["out_bias"]).reshape(self.look_ahead + 1, -1)
        return state, by_class(softmax(logits / self._temperature), self.specification.labels)

    @cached_property
    def _columns(self) -> list[int]:
        names = list(FEATURES)
        return [names.index(name) for name in self.specification.features]

    @cached_property
    def _mean(self) -> Floats:
        return np.array(self.specification.mean, dtype=np.float32)

    @cached_property
    def _scale(self) -> Floats:
        return np.array(self.specification.scale, dtype=np.float32)

    @cached_property
    def _temperature(self) -> Floats:
        return np.array(self.specification.temperature, dtype=np.float32)[:, None]


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x))  # without overflow


def save_live_model(folder: Path, specification: LiveSpecification, weights: dict[str, Floats]) -> None:
    """Write a streaming model: ``model.json`` and ``weights.npz``.

    Parameters
    ----------
    folder
        The model directory; created if missing.
    specification
        Its specification.
    weights
        Its weights by name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / WEIGHTS_FILE, allow_pickle=False, **{name: weights[name] for name in _NAMES})
    text = json.dumps(asdict(specification), indent=1)
    (folder / SPECIFICATION_FILE).write_text(f"{text}\n", encoding="utf-8")


def _check_shapes(specification: LiveSpecification, weights: dict[str, Floats]) -> None:
    """Raise ValueError if a step of the network would fail, or has no number for a class."""
    n, units, answers = len(specification.features), len(weights["recurrent"]), specification.look_ahead + 1
    dense, n_labels = weights["dense_bias"].size, len(specification.labels)
    expected = {
        "dense": (n, dense),
        "dense_bias": (dense,),
        "kernel": (dense, 3 * units),
        "recurrent": (units, 3 * units),
        "bias": (2, 3 * units),
        "out": (units, answers * n_labels),
        "out_bias": (answers * n_labels,),
    }
    if wrong := [name for name, shape in expected.items() if weights[name].shape != shape]:
        raise ValueError(f"{wrong[0]} has the shape {weights[wrong[0]].shape}")
    if wrong := [name for name in _NAMES if not np.isfinite(weights[name]).all()]:
        raise ValueError(f"{wrong[0]} has values that are no numbers")
    for name, length in {
        "mean": n,
        "scale": n,
        "temperature": answers,
        "confidence_threshold": answers,
    }.items():
        values = np.array(getattr(specification, name), dtype=float)
        if values.shape != (length,) or np.isnan(values).any():
            raise ValueError(f"{name} is not {length} numbers")
    if min(*specification.scale, *specification.temperature) <= 0:
        raise ValueError("scale and temperature are above 0")
    if unknown := [label for label in specification.labels if label not in CLASSES]:
        raise ValueError(f"{unknown[0]} is no class")


@lru_cache(maxsize=4)
def load_live_model(folder: Path = SHIPPED_LIVE_MODEL) -> LiveModel:
    """Read a streaming model.

    Parameters
    ----------
    folder
        The model directory; by default the model that ships with ectopy.

    Returns
    -------
    The model.

    Raises
    ------
    ModelError
        If a file is missing or damaged.
    """
    try:
        check_manifest(folder)
        text = (folder / SPECIFICATION_FILE).read_bytes()
        content = (folder / WEIGHTS_FILE).read_bytes()
        read: dict[str, Any] = json.loads(text)
        values: dict[str, Any] = {
            name: tuple(one) if isinstance(one, list) else one for name, one in read.items()
        }
        specification = LiveSpecification(**values)
        with np.load(BytesIO(content), allow_pickle=False) as arrays:
            weights = {name: arrays[name].astype(np.float32) for name in _NAMES}
        _check_shapes(specification, weights)
    except ModelError:
        raise
    except ManifestError as error:
        raise ModelError(str(error)) from error
    except (
        *(OSError, ValueError, TypeError, LookupError, AttributeError),
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ModelError(f"{folder}: not a complete streaming model ({error}). {_RESTORE}") from error
    of_alarms = folder / ALARMS_FILE
    content += of_alarms.read_bytes() if of_alarms.exists() else b""
    version = hashlib.sha256(text + content).hexdigest()
    return LiveModel(specification, weights, version, load_alarm_model(folder))
