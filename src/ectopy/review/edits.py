"""Edits of a reader: what is changed in the results of a recording.

Each action is a frozen value. It names beats, intervals and events by samples of the recording. So it still
means the same when the recording has been scored again. Labels are the letters of
:class:`ectopy.ecg.BeatClass`, or :data:`ARTEFACT`. ``edit.schema.json`` describes the JSON of an entry.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import datetime
from importlib import resources
from types import MappingProxyType, UnionType
from typing import Any, Final, TypeAlias

import numpy as np

from ectopy.ecg import BeatClass, Samples
from ectopy.printable import printable
from ectopy.rhythm.kinds import KINDS
from ectopy.rhythm.named_intervals import RHYTHM_NAMES

ARTEFACT: Final = "|"
"""Label of what is no beat but noise, as in WFDB; RR intervals across it are unknown."""
LABELS: Final = (*map(str, BeatClass), ARTEFACT)
LONGEST_TEXT: Final = 2000
"""Most characters of a comment."""
_WIDEST = 2**53  # JavaScript has no larger whole numbers


class EditError(ValueError):
    """An edit that makes no sense; the message states the field."""


@dataclass(frozen=True)
class EventRef:
    """An event by its kind, and its onset and offset in samples."""

    kind: str
    onset: int
    offset: int


@dataclass(frozen=True, eq=False)
class RelabelBeats:
    """Give beats another label. ``was`` has a letter for each beat: its label before."""

    samples: Samples
    to: str
    was: str


@dataclass(frozen=True, eq=False)
class LabelSimilar:
    """Give beats that no reader has labelled the labels that the answers on similar beats make likeliest.

    ``labels`` and ``was`` have a letter for each beat. It belongs to the edit before, and is undone with it.
    """

    samples: Samples
    labels: str
    was: str


@dataclass(frozen=True)
class InsertBeat:
    """Insert a beat that was missed."""

    sample: int
    label: str


@dataclass(frozen=True, eq=False)
class DeleteBeats:
    """Delete beats that are none; the RR interval then reaches from the beat before to the beat after."""

    samples: Samples
    was: str


@dataclass(frozen=True)
class MarkInterval:
    """State the rhythm of [start, stop), a key of RHYTHM_NAMES; in ``artefact`` nothing counts."""

    start: int
    stop: int
    rhythm: str


@dataclass(frozen=True)
class ExcludeRates:
    """Leave out RR intervals that end in [start, stop): of rates, pauses and heart rate variability."""

    start: int
    stop: int


@dataclass(frozen=True)
class AcceptEvent:
    """Agree with an event."""

    event: EventRef


@dataclass(frozen=True)
class RejectEvent:
    """Remove an event."""

    event: EventRef


@dataclass(frozen=True)
class RelabelEvent:
    """Give an event another kind."""

    event: EventRef
    kind: str


@dataclass(frozen=True)
class MoveEvent:
    """Change onset and offset of an event."""

    event: EventRef
    onset: int
    offset: int


@dataclass(frozen=True)
class AddEvent:
    """Add an event that was missed."""

    kind: str
    onset: int
    offset: int


@dataclass(frozen=True)
class ChooseStrip:
    """Choose where the strip of an event begins in the report."""

    event: EventRef
    start: int


@dataclass(frozen=True)
class Comment:
    """Comment on an event, or on the recording; the last comment counts, and an empty one removes it."""

    event: EventRef | None
    text: str


@dataclass(frozen=True)
class Undo:
    """Undo the entry of this id."""

    entry: int


@dataclass(frozen=True)
class Redo:
    """Redo the entry of this id, which was undone."""

    entry: int


@dataclass(frozen=True)
class Confirm:
    """Confirm the results as they are after the entries before. ``seconds`` is how long the review took."""

    seconds: float = 0.0


@dataclass(frozen=True)
class Reopen:
    """Reopen confirmed results for further edits."""


Edit: TypeAlias = (
    RelabelBeats
    | LabelSimilar
    | InsertBeat
    | DeleteBeats
    | MarkInterval
    | ExcludeRates
    | AcceptEvent
    | RejectEvent
    | RelabelEvent
    | MoveEvent
    | AddEvent
    | ChooseStrip
    | Comment
)
"""What changes the results, and can be undone."""
Action: TypeAlias = Edit | Undo | Redo | Confirm | Reopen


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


ACTIONS: Final = MappingProxyType({_snake(action.__name__): action for action in Action.__args__})
"""Every action by its name in the log, such as ``relabel_beats``."""


def action_name(action: Action) -> str:
    """Return the name of an action in the log."""
    return _snake(type(action).__name__)


def action_to_json(action: Action) -> dict[str, Any]:
    """Return an action as JSON values, with its name as ``action``."""
    values = {field.name: _to_json(getattr(action, field.name)) for field in fields(action)}
    return {"action": action_name(action), **values}


def _to_json(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return dict(vars(value)) if isinstance(value, EventRef) else value


def action_from_json(values: Any) -> Action:
    """Return the action that JSON values state.

    Parameters
    ----------
    values
        An object with ``action`` and the fields of that action, and nothing else.

    Returns
    -------
    The action.

    Raises
    ------
    EditError
        If a field is missing, unknown or not possible.
    """
    name = values.get("action") if isinstance(values, dict) else None
    if not isinstance(name, str) or name not in ACTIONS:
        raise EditError(f"action: not one of {', '.join(ACTIONS)}.")
    given = {field: value for field, value in values.items() if field != "action"}
    read: Action = _read(ACTIONS[name], given, f"{name}.")
    _check_order(read)
    return read


def _read(kind: Any, given: Any, where: str) -> Any:
    """Read a dataclass from an object with exactly its fields."""
    names = [field.name for field in fields(kind)]
    if not isinstance(given, dict) or sorted(given) != sorted(names):
        raise EditError(f"{where.rstrip('.')}: give {', '.join(names) or 'no fields'}, and nothing else.")
    return kind(**{name: _read_field(kind, name, given, where) for name in names})


def _read_field(kind: Any, name: str, given: dict[str, Any], where: str) -> Any:
    """Read one field; fields of the same name have the same values in all actions."""
    value, what = given[name], f"{where}{name}"
    if name == "event":
        optional = isinstance(kind.__annotations__[name], UnionType)
        return None if optional and value is None else _read(EventRef, value, f"{what}.")
    is_possible, expected = _POSSIBLE.get(name, _SAMPLE)
    if not is_possible(value):
        raise EditError(f"{what}: give {expected}.")
    return _READ.get(name, lambda value: value)(value)


def _is_sample(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _WIDEST


def _is_time(text: str) -> bool:
    """Check for a time that states its zone: another cannot be compared."""
    with suppress(ValueError):
        return datetime.fromisoformat(text).tzinfo is not None
    return False


def _are_samples(values: Any) -> bool:
    """Check for samples in increasing order; in whole arrays, as they may be those of 80,000 beats."""
    if not isinstance(values, list) or not values or set(map(type, values)) != {int}:
        return False
    return min(values) >= 0 and max(values) < _WIDEST and bool((np.diff(values) > 0).all())


def _is_text_of(choices: Collection[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in choices


_SAMPLE = (_is_sample, "a whole number from 0 on")
_LABEL = (_is_text_of(LABELS), f"one of {' '.join(LABELS)}")
_POSSIBLE: Mapping[str, tuple[Callable[[Any], bool], str]] = MappingProxyType(
    {
        "samples": (_are_samples, "whole numbers from 0 on, in increasing order, at least one"),
        **dict.fromkeys(
            ("was", "labels"),
            (lambda value: isinstance(value, str) and set(value) <= {*LABELS}, "a letter for each beat"),
        ),
        "to": _LABEL,
        "label": _LABEL,
        "kind": (_is_text_of(KINDS), f"one of {', '.join(KINDS)}"),
        "rhythm": (_is_text_of(RHYTHM_NAMES), f"one of {', '.join(RHYTHM_NAMES)}"),
        "text": (
            lambda value: isinstance(value, str) and len(value) <= LONGEST_TEXT,
            f"a text of at most {LONGEST_TEXT} characters",
        ),
        "seconds": (
            lambda value: (
                isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _WIDEST
            ),
            "seconds",
        ),
    }
)
"""What a field may be, by its name, and how a message says so; the other fields are samples."""
_READ: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {"samples": lambda values: np.array(values, dtype=np.int64), "text": printable, "seconds": float}
)


def _check_order(action: Any) -> None:
    """Check what concerns two fields of an action."""
    name = action_name(action)
    for letters in ("was", "labels"):
        if hasattr(action, letters) and len(getattr(action, letters)) != len(action.samples):
            raise EditError(f"{name}.{letters}: give a letter for each of the {len(action.samples)} beats.")
    for first, last in (("start", "stop"), ("onset", "offset")):
        if hasattr(action, last) and getattr(action, first) >= getattr(action, last):
            raise EditError(f"{name}.{last}: give a sample after {first}.")


def check_within(action: Action, n_samples: int) -> None:
    """Check that a new edit lies within the recording; a log may be older than the recording that it is for.

    Parameters
    ----------
    action
        The edit.
    n_samples
        Number of samples of the recording.

    Raises
    ------
    EditError
        If it begins or ends outside.
    """
    event: EventRef | None = getattr(action, "event", None)
    for where, part in {"": action, "event.": event}.items():
        for field, last in _BOUNDS.items():
            value = getattr(part, field, None)
            if value is not None and value > n_samples + last:
                raise EditError(
                    f"{action_name(action)}.{where}{field}: {value} is beyond the end of the recording. "
                    f"Give a sample up to {n_samples + last}."
                )
    if event is not None and event.onset > event.offset:
        raise EditError(f"{action_name(action)}.event.offset: give a sample from onset on.")


_BOUNDS: Final = MappingProxyType({"sample": -1, "start": -1, "onset": -1, "stop": 0, "offset": 0})
"""Fields that are samples, and how far the last possible one is from the end of the recording."""


@dataclass(frozen=True)
class Entry:
    """An entry of the log.

    ``id`` counts from 1, ``at`` is the time in UTC (ISO 8601), and ``by`` are the initials of the reader.
    ``base`` is the hash of the automatic results that the reader saw.
    """

    id: int
    at: str
    by: str
    base: str
    action: Action

    def to_line(self) -> bytes:
        """Return the entry as a line of JSON."""
        head = {"id": self.id, "at": self.at, "by": self.by, "base": self.base}
        text = json.dumps(head | action_to_json(self.action), ensure_ascii=False, separators=(",", ":"))
        return text.encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Entry":
        """Read a line of JSON; raise :class:`EditError` if it is no entry."""
        try:
            values = json.loads(line)
            head = {name: values.pop(name) for name in ("id", "at", "by", "base")}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise EditError(f"no entry of a log: {error}") from error
        number, texts = head.pop("id"), all(isinstance(value, str) for value in head.values())
        if not (_is_sample(number) and texts and _is_time(head["at"])):
            raise EditError("id, at, by or base: not a number and texts, or no time with its zone.")
        return cls(number, **head, action=action_from_json(values))


def entry_schema() -> dict[str, Any]:
    """Return the JSON schema of an entry, ``edit.schema.json``."""
    text = resources.files("ectopy.review").joinpath("edit.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
