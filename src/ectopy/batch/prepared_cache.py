"""A cache of all that does not depend on the model, so that another model scores an archive quickly.

An entry holds a :class:`ectopy.pipeline.PreparedRecording` and the features of its beats. Its name is a hash
of everything that decides them. It holds no name of a patient or a file, and no signal but the window of each
beat. An entry that is damaged, or is not what its name says, is written again.

It begins with the SHA-256 of all that follows. Then come a line of JSON and the arrays of :data:`_LAYOUT`.
"""

import hashlib
import json
import math
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from io import BufferedReader
from itertools import chain
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ectopy import pipeline
from ectopy.batch.cache_folder import CacheFolder, warn_once
from ectopy.batch.planning import ScoreOptions
from ectopy.batch.provenance import InputFiles
from ectopy.beats.detection import Waves
from ectopy.beats.windows import N_LEADS, WINDOW, BeatWindows
from ectopy.compiled import is_compiled
from ectopy.ecg import Recording, Samples
from ectopy.features.extraction import FEATURE_NAMES, Floats, segments
from ectopy.parallel.blas_threads import blas_in_use
from ectopy.pipeline import PreparedRecording
from ectopy.signal.waves import WAVES

PREPARING = (
    *("beats", "compiled", "features", "parallel", "readers", "signal", "batch/prepared_cache.py"),
    *("annotations.py", "criteria.py", "ecg.py", "pipeline.py", "plotting.py", "printable.py"),
)
"""Packages and modules whose code decides what an entry holds; a test compares them with what is imported."""

_LAYOUT: Mapping[str, tuple[str, tuple[str | int, ...]]] = MappingProxyType(
    {
        "windows.sample": ("i8", ("beats",)),
        "windows.signal": ("f2", ("beats", "leads", WINDOW)),
        "windows.scale": ("f4", ("beats", N_LEADS)),
        "windows.readable": ("?", ("beats", N_LEADS)),
        "windows.after_gap": ("?", ("beats",)),
        "sample": ("i8", ("beats",)),
        "low_quality": ("?", ("beats",)),
        "beside_gap": ("?", ("beats",)),
        "unreadable": ("i8", ("intervals", 2)),
        "waves.of_leads": ("f2", ("ticks", "leads", len(WAVES))),
        "waves.usable": ("f2", ("ticks",)),
        "spikes": ("i8", ("spikes",)),
    }
)
"""The arrays of an entry in their order, each with its type and its shape. The features follow them."""
_FEATURES = (len(FEATURE_NAMES), np.dtype("f4").itemsize)
_DIGEST_BYTES = hashlib.sha256().digest_size
_LONGEST_HEADER = 2**20


class Prepared(NamedTuple):
    """A prepared recording, and the features of its beats in parts, [n_i, k]."""

    recording: PreparedRecording
    features: Iterable[Floats]


@contextmanager
def prepared(recording: Recording, options: ScoreOptions, files: InputFiles) -> Iterator[Prepared]:
    """Prepare a recording, or find what an earlier scoring has prepared.

    Parameters
    ----------
    recording
        The recording.
    options
        How it is scored. With ``force`` it is prepared again, and its entry is replaced.
    files
        The files that it was read from. Nothing is kept if they have changed meanwhile.

    Yields
    ------
    The same with and without a cache.
    """
    folder, leads = options.cache, options.leads or None
    if folder is None:
        new = pipeline.prepare(recording, leads=leads)
        yield Prepared(new, new.features)
        return
    key = _key(recording, options, files.sha256)
    if not options.force:
        with _entry(folder, key, recording) as entry:
            if entry:
                yield entry.prepared(recording)
                return
    new = pipeline.prepare(recording, leads=leads)
    if not files.unchanged:
        yield Prepared(new, new.features)
        return
    try:
        _write(folder, key, new, n_notes=len(recording.notes))
    except OSError as error:
        warn_once(folder.path, error)
    with _entry(folder, key, recording) as entry:
        yield Prepared(new, entry.features(new.windows.sample) if entry else new.features)


def _key(recording: Recording, options: ScoreOptions, input_sha256: str) -> str:
    """Hash all that decides what is prepared: input, options, code, and what may round in another way."""
    decisive = {
        "input": input_sha256,
        "read as": [recording.fs, recording.n_samples, recording.leads],
        "options": [options.leads, options.fs, options.unit],
        "code": [_code_sha256(), is_compiled()],
        "libraries": _libraries(),
        "processor": [platform.machine(), _simd(), blas_in_use()],
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


@cache
def _code_sha256() -> str:
    """Hash the code that prepares: no number of a version has to be remembered when it changes."""
    digest, package = hashlib.sha256(), Path(pipeline.__file__).parent
    for name in PREPARING:
        for file in sorted((package / name).rglob("*")) or [package / name]:
            if file.is_file() and file.parent.name != "__pycache__":
                content = file.read_bytes()
                digest.update(f"{file.relative_to(package).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


@cache
def _libraries() -> list[str]:
    """Return the versions of the libraries that prepare; to look one up takes as long as to read an entry."""
    return [np.__version__, version("scipy"), pa.__version__]


def _simd() -> object:
    """Return the instructions of this processor that numpy uses; others may round in another way."""
    configuration: Any = np.show_config("dicts")
    return configuration.get("SIMD Extensions")


@dataclass(frozen=True, eq=False)
class _Entry:
    """An entry that is open at its first array. ``sizes`` are the lengths of axes by name."""

    file: BufferedReader
    columns: tuple[int, ...]
    notes: tuple[str, ...]
    sizes: Mapping[str, int]

    def prepared(self, recording: Recording) -> Prepared:
        arrays = {
            name: np.fromfile(self.file, dtype, math.prod(shape)).reshape(shape)
            for name, (dtype, shape) in _layout(self.sizes).items()
        }
        windows = BeatWindows(**_fields(arrays, "windows."))
        waves = Waves(**_fields(arrays, "waves."))
        recording = replace(recording, notes=(*recording.notes, *self.notes))
        others = {name: array for name, array in arrays.items() if "." not in name}
        found = PreparedRecording(recording, self.columns, windows=windows, waves=waves, **others)
        return Prepared(found, self.features(windows.sample))

    def features(self, sample: Samples) -> Iterator[Floats]:
        """Read the features as they are requested, in the parts in which they were computed."""
        n_features, item_bytes = _FEATURES
        self.file.seek(-len(sample) * n_features * item_bytes, os.SEEK_END)
        for part in segments(sample) if len(sample) else ():
            n_beats = part.stop - part.start
            yield np.fromfile(self.file, "f4", n_beats * n_features).reshape(n_beats, n_features)


@contextmanager
def _entry(folder: CacheFolder, key: str, recording: Recording) -> Iterator[_Entry | None]:
    """Open an entry; None if there is none, or it is not what this version has written under its name."""
    file = folder.open(key)
    if file is None:
        yield None
        return
    with file:
        yield _checked(file, key, len(recording.leads))


def _checked(file: BufferedReader, key: str, n_leads: int) -> _Entry | None:
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        stated = file.read(_DIGEST_BYTES)
        header = json.loads(file.readline(_LONGEST_HEADER))
        columns, notes = tuple(map(int, header["columns"])), tuple(map(str, header["notes"]))
        sizes = {axis: int(size) for axis, size in header["sizes"].items()}
        n_bytes = os.fstat(file.fileno()).st_size - file.tell()
        fits = len(columns) == sizes["leads"] and set(columns) <= set(range(n_leads))
        if header["key"] != key or not fits or n_bytes != _n_bytes(sizes) or min(sizes.values()) < 0:
            return None  # before all of it is read, however large it is
        arrays = file.tell()
        file.seek(_DIGEST_BYTES)
        if hashlib.file_digest(file, "sha256").digest() == stated:
            file.seek(arrays)
            return _Entry(file, columns, notes, sizes)
    return None


def _write(folder: CacheFolder, key: str, new: PreparedRecording, *, n_notes: int) -> None:
    """Write an entry; ``n_notes`` are the notes of the reader, which reads the file again."""
    arrays = {name: np.ascontiguousarray(attrgetter(name)(new), kind) for name, (kind, _) in _LAYOUT.items()}
    sizes = {
        "beats": len(new.sample),
        "leads": len(new.columns),
        "intervals": len(new.unreadable),
        "ticks": len(new.waves.usable),
        "spikes": len(arrays["spikes"]),
    }
    stated = {"key": key, "columns": new.columns, "notes": new.recording.notes[n_notes:], "sizes": sizes}
    header = json.dumps(stated).encode() + b"\n"
    digest = hashlib.sha256(header)
    with folder.write(key, _DIGEST_BYTES + len(header) + _n_bytes(sizes)) as file:
        file.write(bytes(_DIGEST_BYTES) + header)
        for array in chain(arrays.values(), map(np.ascontiguousarray, new.features)):
            digest.update(array.data)
            file.write(array.data)
        file.seek(0)
        file.write(digest.digest())


def _fields(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _layout(sizes: Mapping[str, int]) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
    """Return the type and the shape of each array of an entry."""
    return {
        name: (np.dtype(kind), tuple(sizes[axis] if isinstance(axis, str) else axis for axis in shape))
        for name, (kind, shape) in _LAYOUT.items()
    }


def _n_bytes(sizes: Mapping[str, int]) -> int:
    """Return the size of all arrays and features of an entry."""
    arrays = sum(dtype.itemsize * math.prod(shape) for dtype, shape in _layout(sizes).values())
    return arrays + sizes["beats"] * math.prod(_FEATURES)
