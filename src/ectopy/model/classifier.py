"""Inference with a model directory: features in, calibrated class probabilities out.

Uses ONNX Runtime only, not Keras. A model directory contains ``model.onnx`` (the network) and ``model.json``
(the :class:`Specification`). Most have ``reference.json`` (the training patients), ``card.md`` (the model
card) and ``manifest.json`` (the hashes of all files) too.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import CLASSES, Mask
from ectopy.features.extraction import FEATURE_NAMES, Floats, as_parts, feature_columns
from ectopy.model.manifest import ManifestError, check_manifest
from ectopy.model.onnx_runtime import open_session
from ectopy.monitoring.drift import REFERENCE_FILE, ReferenceProfile, read_reference
from ectopy.signal.growing import GrowingArray

SHIPPED_MODEL = Path(__file__).with_name("shipped")
MODEL_FILE, SPECIFICATION_FILE, CARD_FILE = "model.onnx", "model.json", "card.md"

_RENAMED = {"confident_from": "confidence_threshold", "enough_beats": "min_beats"}  # fields of version 0.1
_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"

CHUNK = 512
"""Beats in one input sequence of the network; longer recordings are split into chunks."""
CONTEXT = 64
"""Beats at either end of a chunk that give context only; their output is taken from the next chunk.

As many as the beats of a training window.
"""
BATCH_CHUNKS = 4
"""Chunks in one call of the network; more are not faster, and intermediate results take memory."""


_RESTORE = "Export the model again or restore the original file."


class ModelError(ValueError):
    """A model directory that cannot be used; the message states the problem and the remedy."""


@dataclass(frozen=True)
class Specification:
    """Contents of ``model.json``: how features become probabilities, apart from the network itself.

    ``features`` are the names of the features that the network reads, in its order; others are ignored.
    ``mean`` and ``scale`` standardise them. The logits of the ``labels`` are divided by
    ``temperature``. Beats with a probability below ``confidence_threshold`` are not confident; in recordings
    with fewer than ``min_beats`` beats none is.
    """

    name: str
    run: str
    labels: tuple[str, ...]
    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    temperature: float
    confidence_threshold: float
    min_beats: int

    def __post_init__(self) -> None:
        if not len(self.features) == len(self.mean) == len(self.scale):
            counts = f"{len(self.features)} features, {len(self.mean)} means, {len(self.scale)} scales"
            raise ModelError(f"{counts}: the numbers must be equal. {_RESTORE}")
        if unknown := set(self.labels) - set(CLASSES):
            raise ModelError(
                f"unknown labels {', '.join(sorted(unknown))}. Only {', '.join(CLASSES)} are allowed."
            )
        numbers = [*self.mean, *self.scale, self.temperature, self.confidence_threshold, self.min_beats]
        if not np.isfinite(np.array(numbers, dtype=np.float64)).all():
            raise ModelError(f"a number is not finite. {_RESTORE}")
        if not min(*self.scale, self.temperature) > 0:
            raise ModelError(f"a scale or the temperature is not above 0. {_RESTORE}")


@dataclass(frozen=True, eq=False)
class Classifier:
    """A network with its specification; call it with all features [n, k], or with an iterable of such parts.

    It takes those that the specification names, so a feature that is added later changes none of its answers.
    The files are read once, because the folder may be replaced. ``version_id`` is the SHA-256 over those that
    affect results. ``reference`` summarises the training patients, if the model directory contains it.
    """

    folder: Path
    specification: Specification
    network: bytes
    version_id: str
    reference: ReferenceProfile | None = None

    @property
    def name(self) -> str:
        """Name of the model in outputs."""
        return self.specification.name

    @cached_property
    def _session(self) -> Any:
        # ONNX Runtime would load external weights from the working directory. A file is no valid folder, so
        # that it refuses them.
        settings = {_WEIGHTS_FOLDER: str(self.folder / MODEL_FILE)}
        try:
            return open_session(self.network, settings)
        except ImportError as error:
            raise ModelError(
                f"ONNX Runtime cannot be imported ({error.name or 'a library'} is missing or damaged). "
                "Install it again: `pip install --force-reinstall onnxruntime`."
            ) from error
        except Exception as error:  # ONNX Runtime raises its own classes, without a common base
            problem = f"{self.folder / MODEL_FILE}: not a complete ONNX network"
            raise ModelError(f"{problem}. {_RESTORE}") from error

    def open_network(self) -> None:
        """Load ONNX Runtime and the network now, so that a later error has another cause."""
        _ = self._session

    def __call__(self, features: Floats | Iterable[Floats]) -> tuple[NDArray[np.float32], Mask]:
        """Return probabilities [n, 4] in the order of CLASSES, and whether each beat is confident [n]."""
        specification = self.specification
        logits = self.logits(features)
        logits /= np.float32(specification.temperature)
        probability = by_class(self._finite(softmax(logits, out=logits)), specification.labels)
        confident = probability.max(axis=1) >= specification.confidence_threshold
        return probability, confident & (len(logits) >= specification.min_beats)

    def logits(self, features: Floats | Iterable[Floats]) -> Floats:
        """Return the output of the network before calibration, [n, n_labels]."""
        n_labels = len(self.specification.labels)
        logits = in_chunks(self._run, map(self._selected, as_parts(features)), batch_size=BATCH_CHUNKS)
        if not len(logits):
            return np.empty((0, n_labels), dtype=np.float32)
        if logits.shape[1] != n_labels:
            problem = f"the network returns {logits.shape[1]} values per beat for {n_labels} labels"
            raise ModelError(f"{self.folder}: {problem}. {_RESTORE}")
        return self._finite(logits)

    def _finite(self, answer: Floats) -> Floats:
        """Return the answer of the network if it has no NaN and no infinity: argmax would call those N."""
        if not np.isfinite(answer).all():
            problem = f"the network of the model {self.name} answers NaN or infinity"
            raise ModelError(f"{self.folder}: {problem}. {_RESTORE}")
        return answer

    @cached_property
    def _columns(self) -> list[int]:
        return feature_columns(self.specification.features)

    def _selected(self, features: Floats) -> Floats:
        """Return the features that the model reads, of all features; the network gets numbers only."""
        if features.shape[1:] != (len(FEATURE_NAMES),):
            shape = f"[n, {len(FEATURE_NAMES)}]"
            raise ModelError(
                f"{self.folder}: features have shape {features.shape}, but the model needs {shape}. "
                "Use ectopy.features.extraction.extract_features."
            )
        selected = features[:, self._columns]
        if not np.isfinite(selected).all():  # so that the network is never blamed for them
            raise ValueError("a feature is NaN or infinite")
        return selected

    def _run(self, sequences: Floats) -> Floats:
        specification = self.specification
        standard = (sequences - np.array(specification.mean)) / np.array(specification.scale)
        name = self._session.get_inputs()[0].name
        try:
            (logits,) = self._session.run(None, {name: standard.astype(np.float32)})
        except Exception as error:  # ONNX Runtime raises its own classes, without a common base
            if "alloc" in str(error):
                raise MemoryError(str(error)) from error
            problem = f"{self.folder / MODEL_FILE}: the network cannot be run"
            raise ModelError(f"{problem}. {_RESTORE}") from error
        return np.asarray(logits)


def in_chunks(run: Any, x: Floats | Iterable[Floats], *, batch_size: int | None = None) -> Floats:
    """Apply a network to a long sequence in overlapping chunks.

    Parameters
    ----------
    run
        The network, [batch, beats, k] to [batch, beats, m].
    x
        The sequence [n, k], or an iterable of consecutive parts of it. Only the parts of one batch are in
        memory at once.
    batch_size
        Largest number of chunks in one call of ``run``; None for all chunks in one call.

    Returns
    -------
    The output [n, m], or an empty array [0] for an empty sequence.
    """
    y: GrowingArray | None = None
    chunks = _chunks(as_parts(x))
    while batch := list(islice(chunks, batch_size)):
        outputs = run(np.stack([chunk for _, chunk in batch]))
        y = y or GrowingArray(np.float32, outputs.shape[2])
        for (start, _), output in zip(batch, outputs, strict=True):
            skip = CONTEXT if start else 0
            y.put(start + skip, output[skip:])
    return np.empty(0, dtype=np.float32) if y is None else y.array()


def _chunks(parts: Iterable[Floats]) -> Iterator[tuple[int, Floats]]:
    """Yield overlapping chunks of a sequence, each with its start; the last one ends with the sequence."""
    buffer, first, start = np.empty((0, 0), dtype=np.float32), 0, 0
    for part in parts:
        buffer = np.concatenate((buffer, part)) if len(buffer) else part
        while start + CHUNK < first + len(buffer):
            yield start, buffer[start - first : start - first + CHUNK]
            start += CHUNK - 2 * CONTEXT
        done = max(len(buffer) - CHUNK, 0)  # the last chunk may need the remaining beats
        buffer, first = buffer[done:], first + done
    if len(buffer):
        yield first, buffer


def by_class(probability: Floats, labels: Sequence[str]) -> Floats:
    """Arrange probabilities in the order of CLASSES.

    Parameters
    ----------
    probability
        Probabilities [n, n_labels] of the labels of a model.
    labels
        Labels of the columns.

    Returns
    -------
    Probabilities [n, 4]; 0 for classes without a label.
    """
    ordered = np.zeros((len(probability), len(CLASSES)), dtype=np.float32)
    ordered[:, [CLASSES.index(label) for label in labels]] = probability
    return ordered


def softmax(logits: Floats, *, out: Floats | None = None) -> Floats:
    """Compute probabilities from logits.

    Parameters
    ----------
    logits
        [n, m].
    out
        Where the probabilities go, such as the logits themselves; by default a new array.

    Returns
    -------
    [n, m].
    """
    power = np.subtract(logits, logits.max(axis=1, keepdims=True), out=out)
    np.exp(power, out=power)
    power /= power.sum(axis=1, keepdims=True)
    return np.asarray(power)


def load_classifier(folder: Path) -> Classifier:
    """Read a model directory: ``model.onnx`` and ``model.json``, no file that could run code.

    Raises :class:`ModelError` if it cannot be used, or is not as its manifest says.
    """
    folder = folder.resolve()  # that of the champion is a link, which may change to another model meanwhile
    for file in (MODEL_FILE, SPECIFICATION_FILE):
        if not (folder / file).is_file():
            raise ModelError(f"{folder}: not a model directory (no {file}). Give a folder that contains it.")
    try:
        check_manifest(folder, required=folder == SHIPPED_MODEL.resolve())
    except ManifestError as error:
        raise ModelError(str(error)) from error
    network, specification_json = ((folder / file).read_bytes() for file in (MODEL_FILE, SPECIFICATION_FILE))
    try:
        stored: dict[str, Any] = dict(json.loads(specification_json))
        fields = {_RENAMED.get(key, key): _frozen(value) for key, value in stored.items()}
        specification = Specification(**fields)
    except ModelError as error:
        raise ModelError(f"{folder / SPECIFICATION_FILE}: {error}") from error
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise ModelError(f"{folder / SPECIFICATION_FILE}: {error}. {_RESTORE}") from error
    if unknown := [name for name in specification.features if name not in FEATURE_NAMES]:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise ModelError(
            f"{folder}: This model was trained with features that this version does not compute: "
            f"{unknown[0]!r}{more}. Retrain, or use a matching model, such as `--model shipped`."
        )
    try:
        reference = read_reference(folder)
    except ValueError as error:
        raise ModelError(str(error)) from error
    version_id = hashlib.sha256(network + specification_json).hexdigest()
    return Classifier(folder, specification, network, version_id, reference)


def _frozen(value: Any) -> Any:
    """Return a list as a tuple, and anything else unchanged."""
    return tuple(value) if isinstance(value, list) else value


def classifier_in(folder: Path) -> Classifier:
    """Return the classifier of a model directory; it is cached until its files change.

    It is read again if they change meanwhile: otherwise its files could be those of two models.
    """
    folder = folder.resolve()  # that of the champion is a link
    before: tuple[tuple[int, ...], ...] | None = None
    while before != (before := _stamps(folder)):
        classifier = _load_cached(folder, before)
    return classifier


def _stamps(folder: Path) -> tuple[tuple[int, ...], ...]:
    files = [folder / name for name in (MODEL_FILE, SPECIFICATION_FILE, REFERENCE_FILE)]
    stats = [file.stat() for file in files if file.is_file()]
    return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)


@lru_cache(maxsize=1)
def _load_cached(folder: Path, _files: tuple[tuple[int, ...], ...]) -> Classifier:
    return load_classifier(folder)
