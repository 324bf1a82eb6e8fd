"""The exported network at work: features in, calibrated class probabilities out (ONNX Runtime, no Keras)."""

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
from ectopy.features.extraction import FEATURE_NAMES, Floats, in_parts
from ectopy.monitoring.drift import REFERENCE_FILE, ReferenceProfile, read_reference

SHIPPED_MODEL = Path(__file__).with_name("shipped")
MODEL_FILE, SPECIFICATION_FILE, CARD_FILE = "model.onnx", "model.json", "card.md"

_RENAMED = {"confident_from": "confidence_threshold", "enough_beats": "min_beats"}  # fields of version 0.1
_FOLDER_OF_WEIGHTS = "session.model_external_initializers_file_folder_path"

CHUNK = 512
"""Beats that the network reads at once; longer recordings are read in chunks."""
CONTEXT = 64
"""Beats on either side of a chunk's share that only lend context: a training sequence."""
AT_ONCE = 8
"""Chunks of one call: more are no faster, and what the network makes of them in between takes memory."""


class ModelError(ValueError):
    """A model directory that cannot be used; the message says why."""


@dataclass(frozen=True)
class Specification:
    """All that turns features into probabilities, apart from the network itself.

    ``mean`` and ``scale`` standardise ``features``; logits of ``labels`` are divided by ``temperature``;
    below ``confidence_threshold``, or with fewer than ``min_beats`` beats, the classifier abstains.
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
            raise ModelError(
                f"{len(self.features)} features, {len(self.mean)} means, {len(self.scale)} scales"
            )
        if unknown := set(self.labels) - set(CLASSES):
            raise ModelError(
                f"labels out of {', '.join(CLASSES)} expected, {', '.join(sorted(unknown))} came"
            )
        numbers = [*self.mean, *self.scale, self.temperature, self.confidence_threshold, self.min_beats]
        if not np.isfinite(np.array(numbers, dtype=np.float64)).all():
            raise ModelError("finite numbers expected, others came")
        if not min(*self.scale, self.temperature) > 0:
            raise ModelError("scales and a temperature above 0 expected, others came")


@dataclass(frozen=True, eq=False)
class Classifier:
    """A network with its specification; call it with features [n, k], or with parts of them in turn.

    ``version_id`` is the SHA-256 over the files that decide a result, read once: the folder may be replaced.
    ``reference`` sums up the training patients, where the model brings them along.
    """

    folder: Path
    specification: Specification
    network: bytes
    version_id: str
    reference: ReferenceProfile | None = None

    @property
    def name(self) -> str:
        """What outputs call the model."""
        return self.specification.name

    @cached_property
    def _session(self) -> Any:
        import onnxruntime  # a quarter of a second that --help need not pay

        onnxruntime.set_default_logger_severity(3)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # recordings are scored side by side, by process
        # Weights in files of their own would come from the working directory: a file is no folder of them.
        options.add_session_config_entry(_FOLDER_OF_WEIGHTS, str(self.folder / MODEL_FILE))
        try:
            return onnxruntime.InferenceSession(self.network, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises classes of its own, derived from nothing else
            what = f"{self.folder / MODEL_FILE}: a whole network in ONNX expected"
            raise ModelError(f"{what}, {type(error).__name__} came") from error

    def __call__(self, features: Floats | Iterable[Floats]) -> tuple[NDArray[np.float32], Mask]:
        """Give probability [n, 4] in the order of CLASSES and whether to be confident [n]."""
        specification = self.specification
        logits = self.logits(features) / np.float32(specification.temperature)
        probability = by_class(softmax(logits), specification.labels)
        confident = probability.max(axis=1) >= specification.confidence_threshold
        return probability, confident & (len(logits) >= specification.min_beats)

    def logits(self, features: Floats | Iterable[Floats]) -> Floats:
        """Give the network's answer before calibration, [n, n_labels]."""
        n_labels = len(self.specification.labels)
        logits = in_chunks(self._run, map(self._fitting, in_parts(features)), at_once=AT_ONCE)
        if not len(logits):
            return np.empty((0, n_labels), dtype=np.float32)
        if logits.shape[1] != n_labels:
            raise ModelError(f"{self.folder}: {n_labels} answers a beat expected, {logits.shape[1]} came")
        return logits

    def _fitting(self, features: Floats) -> Floats:
        specification = self.specification
        if features.shape[1:] != (len(specification.features),):
            shape = f"[n, {len(specification.features)}]"
            raise ModelError(f"{self.folder}: features of shape {shape} expected, {features.shape} came")
        return features

    def _run(self, sequences: Floats) -> Floats:
        specification = self.specification
        standard = (sequences - np.array(specification.mean)) / np.array(specification.scale)
        name = self._session.get_inputs()[0].name
        (logits,) = self._session.run(None, {name: standard.astype(np.float32)})
        return np.asarray(logits)


def in_chunks(run: Any, x: Floats | Iterable[Floats], *, at_once: int | None = None) -> Floats:
    """Apply ``run``, [batch, time, k] -> [batch, time, m], to a sequence [n, k] in chunks that overlap.

    The sequence may come in parts, of which no more than a batch needs is held at once; ``at_once`` is the
    greatest batch, without it all chunks are one. Nothing leads to [0].
    """
    starts, answers = [], []
    chunks = _chunks(in_parts(x))
    while batch := list(islice(chunks, at_once)):
        starts += [start for start, _ in batch]
        answers += list(run(np.stack([chunk for _, chunk in batch])))
    if not answers:
        return np.empty(0, dtype=np.float32)
    y = np.empty((starts[-1] + len(answers[-1]), answers[-1].shape[1]), dtype=np.float32)
    for start, answer in zip(starts, answers, strict=True):
        skip = CONTEXT if start else 0
        y[start + skip : start + CHUNK] = answer[skip:]
    return y


def _chunks(parts: Iterable[Floats]) -> Iterator[tuple[int, Floats]]:
    """Cut a sequence into chunks with where they start; the last one ends where the sequence does."""
    held, first, start = np.empty((0, 0), dtype=np.float32), 0, 0
    for part in parts:
        held = np.concatenate((held, part)) if len(held) else part
        while start + CHUNK < first + len(held):
            yield start, held[start - first : start - first + CHUNK]
            start += CHUNK - 2 * CONTEXT
        done = max(len(held) - CHUNK, 0)  # of what is left the last chunk may be made
        held, first = held[done:], first + done
    if len(held):
        yield first, held


def by_class(probability: Floats, labels: Sequence[str]) -> Floats:
    """Put probabilities of labels [n, n_labels] in the order of CLASSES, [n, 4]; 0 where none is modelled."""
    every = np.zeros((len(probability), len(CLASSES)), dtype=np.float32)
    every[:, [CLASSES.index(label) for label in labels]] = probability
    return every


def softmax(logits: Floats) -> Floats:
    """Turn logits [n, m] into probabilities."""
    power = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(power / power.sum(axis=1, keepdims=True))


def load_classifier(folder: Path) -> Classifier:
    """Read a model directory: ``model.onnx`` and ``model.json``, nothing that could run code."""
    folder = folder.resolve()  # the champion's is a link, which may be turned to another model meanwhile
    for file in (MODEL_FILE, SPECIFICATION_FILE):
        if not (folder / file).is_file():
            raise ModelError(f"{folder}: a model directory with {file} expected, none there")
    network, specified = ((folder / file).read_bytes() for file in (MODEL_FILE, SPECIFICATION_FILE))
    try:
        stored: dict[str, Any] = dict(json.loads(specified))
        fields = {_RENAMED.get(key, key): _frozen(value) for key, value in stored.items()}
        specification = Specification(**fields)
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise ModelError(f"{folder / SPECIFICATION_FILE}: {error}") from error
    if specification.features != FEATURE_NAMES:
        raise ModelError(
            f"{folder}: a model for the features of this version expected; train or score with its own"
        )
    try:
        reference = read_reference(folder)
    except ValueError as error:
        raise ModelError(str(error)) from error
    version_id = hashlib.sha256(network + specified).hexdigest()
    return Classifier(folder, specification, network, version_id, reference)


def _frozen(value: Any) -> Any:
    """Return a list as a tuple, and anything else unchanged."""
    return tuple(value) if isinstance(value, list) else value


def classifier_in(folder: Path) -> Classifier:
    """Give the classifier of a model directory, read once a process; anew where another took its place."""
    folder = folder.resolve()  # the champion's is a link
    files = [folder / name for name in (MODEL_FILE, SPECIFICATION_FILE, REFERENCE_FILE)]
    known = (file.stat() for file in files if file.is_file())
    return _read_once(folder, tuple((each.st_ino, each.st_size, each.st_mtime_ns) for each in known))


@lru_cache(maxsize=1)
def _read_once(folder: Path, _files: tuple[tuple[int, ...], ...]) -> Classifier:
    return load_classifier(folder)
