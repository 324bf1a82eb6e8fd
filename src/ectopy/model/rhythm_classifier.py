"""Inference with the rhythm network: rhythm features in, probabilities of the rhythms out.

Its directory contains ``model.onnx`` (the network) and ``model.json`` (the :class:`RhythmSpecification`). It
needs no Keras.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ectopy.beats.windows import Floats
from ectopy.features.rhythm import RHYTHM_FEATURES
from ectopy.model.classifier import (
    BATCH_CHUNKS,
    MODEL_FILE,
    SPECIFICATION_FILE,
    ModelError,
    in_chunks,
    softmax,
)
from ectopy.model.manifest import ManifestError, check_manifest
from ectopy.model.onnx_runtime import open_session
from ectopy.rhythm.rhythm_intervals import RHYTHMS

SHIPPED_RHYTHM_MODEL = Path(__file__).with_name("shipped_rhythm")
_RESTORE = "Train it again with `ectopy train-rhythm`, or install ectopy again."


@dataclass(frozen=True)
class RhythmSpecification:
    """Contents of ``model.json``: ``mean`` and ``scale`` standardise the ``features``.

    ``labels`` are the rhythms of the logits. ``trained_on`` are the patients of the training records.
    """

    name: str
    labels: tuple[str, ...]
    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    trained_on: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class RhythmClassifier:
    """A rhythm network; call it with rhythm features in parts, each float32 [n_i, k]."""

    folder: Path
    specification: RhythmSpecification

    def __call__(self, features: Iterable[Floats]) -> Floats:
        """Return probabilities [n_ticks, len(RHYTHMS)]."""
        logits = in_chunks(self._run, features, batch_size=BATCH_CHUNKS)
        if not len(logits):
            return np.empty((0, len(RHYTHMS)), dtype=np.float32)
        return softmax(logits, out=logits)

    @cached_property
    def _session(self) -> Any:
        try:
            return open_session(self.folder / MODEL_FILE)
        except Exception as error:  # ONNX Runtime raises its own classes, without a common base
            raise ModelError(
                f"{self.folder / MODEL_FILE}: not a complete ONNX network. {_RESTORE}"
            ) from error

    def _run(self, sequences: Floats) -> Floats:
        mean, scale = (np.array(values) for values in (self.specification.mean, self.specification.scale))
        standard = ((sequences - mean) / scale).astype(np.float32)
        (logits,) = self._session.run(None, {self._session.get_inputs()[0].name: standard})
        return np.asarray(logits)


@lru_cache(maxsize=8)
def load_rhythm_classifier(folder: Path = SHIPPED_RHYTHM_MODEL) -> RhythmClassifier:
    """Read the directory of a rhythm network; raise :class:`ModelError` if it cannot be used."""
    path = folder / SPECIFICATION_FILE
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()
        }
        specification = RhythmSpecification(**values)
        check_manifest(folder, required=folder == SHIPPED_RHYTHM_MODEL)
    except ManifestError as error:
        raise ModelError(str(error)) from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: no specification of a rhythm network. {_RESTORE}") from error
    if specification.features != tuple(RHYTHM_FEATURES) or specification.labels != RHYTHMS:
        raise ModelError(
            f"{folder}: trained with other features or rhythms than this version has. {_RESTORE}"
        )
    return RhythmClassifier(folder, specification)
