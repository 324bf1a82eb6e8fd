"""The state of a stream in a file: numbers, text and arrays only, so that reading it can run no code.

The objects of a stream refer to each other, and some are compared by identity. So each is written once, with
a number, and restored once. Only the classes that the caller lists are restored. Of a data class, all fields
are state; of another class, its private attributes are. The public ones follow from its arguments.
"""

import json
import os
import zipfile
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from io import BytesIO
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
from numpy.typing import NDArray

STATE_VERSION = 5
"""Rises with each change of what a stream keeps."""
_FORMAT = "ectopy stream"
_DOCUMENT = "document"
_AGAIN = "Start a new stream, or give the file that Stream.save wrote."


class SavedStateError(ValueError):
    """A file that is no usable state of a stream."""


@dataclass(frozen=True, eq=False)
class SavedState:
    """A state that was read. ``about`` is what the stream was made with."""

    about: dict[str, Any]
    document: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    def fill(self, stream: object, classes: Iterable[type]) -> None:
        """Write the state into a new stream.

        Parameters
        ----------
        stream
            The stream, as it was made.
        classes
            The classes that its state may hold.
        """
        _Reader(self.document["objects"], self.arrays, classes).fill(stream, self.document["stream"])


def write_state(path: Path, about: dict[str, Any], stream: object, classes: Iterable[type]) -> None:
    """Write the state of a stream; the file appears whole or not at all.

    Parameters
    ----------
    path
        The file.
    about
        What the stream was made with.
    stream
        The stream.
    classes
        The classes that its state may hold.
    """
    writer = _Writer(classes)
    document = {
        "format": _FORMAT,
        "version": STATE_VERSION,
        "about": about,
        "stream": writer.attributes(stream),
        "objects": writer.objects,
    }
    text = np.frombuffer(json.dumps(document).encode(), dtype=np.uint8)
    content = BytesIO()
    np.savez(content, allow_pickle=False, **{_DOCUMENT: text}, **writer.arrays)
    temporary = path.with_name(f"{path.name}.{token_hex(4)}.new")
    try:
        with temporary.open("wb") as file:
            file.write(content.getvalue())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def read_state(path: Path) -> Iterator[SavedState]:
    """Read a state; what does not fit, here or while it is used, is an error that names the file.

    Parameters
    ----------
    path
        What :func:`write_state` wrote.

    Yields
    ------
    The state.

    Raises
    ------
    SavedStateError
        If the file is none, is damaged, or is of another version.
    """
    try:
        yield _parsed(path)
    except SavedStateError:
        raise
    except OSError as error:
        raise SavedStateError(
            f"{path}: cannot be read ({error.strerror or error}). Check the path."
        ) from error
    except (
        *(ValueError, TypeError, LookupError, AttributeError, EOFError, RecursionError, MemoryError),
        *(zipfile.BadZipFile, zlib.error, NotImplementedError),
    ) as error:
        raise SavedStateError(f"{path}: damaged, or not the state of a stream. {_AGAIN}") from error


def _parsed(path: Path) -> SavedState:
    with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    document = json.loads(arrays.pop(_DOCUMENT).tobytes())
    if document["format"] != _FORMAT:
        raise SavedStateError(f"{path}: not the state of a stream. {_AGAIN}")
    if document["version"] != STATE_VERSION:
        raise SavedStateError(f"{path}: the state of a stream of another version of ectopy. {_AGAIN}")
    return SavedState(document["about"], document, arrays)


def _state_of(thing: object) -> dict[str, Any]:
    if is_dataclass(thing):
        return {field.name: getattr(thing, field.name) for field in fields(thing)}
    return {name: value for name, value in vars(thing).items() if name.startswith("_")}


def _kind(value: object) -> object:
    """Return what a value must have in common with that which it replaces."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind, value.ndim, value.shape[1:]
    return float if isinstance(value, int | float) else type(value)


class _Writer:
    """Turn objects into a list of JSON values that refer to each other by number."""

    def __init__(self, classes: Iterable[type]) -> None:
        self.objects: list[Any] = []
        self.arrays: dict[str, NDArray[Any]] = {}
        self._number: dict[int, int] = {}
        self._known = set(classes)

    def attributes(self, thing: object) -> dict[str, Any]:
        return {name: self._value(value) for name, value in _state_of(thing).items()}

    def _value(self, value: Any) -> Any:
        if value is None or type(value) in {bool, int, float, str}:
            return value
        if id(value) not in self._number:
            number = self._number[id(value)] = len(self.objects)
            self.objects.append(None)
            self.objects[number] = self._object(value, number)
        return {"see": self._number[id(value)]}

    def _object(self, value: Any, number: int) -> Any:
        if isinstance(value, np.ndarray | np.generic):
            self.arrays[f"array {number}"] = np.asarray(value)
            return {"array": f"array {number}", "scalar": isinstance(value, np.generic)}
        if type(value) in {list, tuple}:
            return {type(value).__name__: [self._value(one) for one in value]}
        if isinstance(value, deque):
            return {"deque": [self._value(one) for one in value], "maxlen": value.maxlen}
        if isinstance(value, dict):
            return {"dict": [[self._value(key), self._value(one)] for key, one in value.items()]}
        if type(value) not in self._known:
            raise TypeError(f"{type(value).__name__} is not among the classes of a state")
        if isinstance(value, tuple):  # a NamedTuple
            return {"class": type(value).__name__, "tuple": [self._value(one) for one in value]}
        return {"class": type(value).__name__, "state": self.attributes(value)}


class _Reader:
    """Make the objects again, each once."""

    def __init__(self, objects: list[Any], arrays: dict[str, NDArray[Any]], classes: Iterable[type]) -> None:
        self._objects = objects
        self._arrays = arrays
        self._made: dict[int, Any] = {}
        self._classes = {one.__name__: one for one in classes}

    def fill(self, thing: Any, state: dict[str, Any]) -> None:
        """Write its state into an object; it must have the same attributes, of the same types."""
        present = _state_of(thing)
        if present.keys() != state.keys():
            raise ValueError("other attributes")
        for name, value in state.items():
            before = present[name]
            if type(before) in self._classes.values() and not is_dataclass(before):
                self.fill(before, self._objects[value["see"]]["state"])
            else:
                made = self._value(value)
                if before is not None and _kind(made) != _kind(before):
                    raise TypeError(name)
                setattr(thing, name, made)

    def _value(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        number = value["see"]
        if number not in self._made:
            self._made[number] = self._object(self._objects[number])
        return self._made[number]

    def _object(self, stored: dict[str, Any]) -> Any:
        if "array" in stored:
            array = self._arrays[stored["array"]]
            return array[()] if stored["scalar"] else array
        if "class" in stored:
            return self._instance(stored)
        if "deque" in stored:
            return deque(map(self._value, stored["deque"]), stored["maxlen"])
        if "dict" in stored:
            return {self._value(key): self._value(one) for key, one in stored["dict"]}
        return (
            list(map(self._value, stored["list"]))
            if "list" in stored
            else tuple(map(self._value, stored["tuple"]))
        )

    def _instance(self, stored: dict[str, Any]) -> Any:
        kind = self._classes[stored["class"]]
        if "tuple" in stored:
            return kind(*map(self._value, stored["tuple"]))
        return kind(**{name: self._value(one) for name, one in stored["state"].items()})
