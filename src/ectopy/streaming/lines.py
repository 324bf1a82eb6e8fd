"""Updates as JSON lines: one schema for programs, for the page and for files."""

import json
from dataclasses import fields
from importlib import resources
from typing import Any

from ectopy.ecg import CLASSES
from ectopy.live.stream import Update

_BEATS = ("beat", "provisional")
_ALWAYS = ("kind", "sample", "time_s", "at_s")
_DIGITS = 6


def as_document(update: Update) -> dict[str, Any]:
    """Return an update as an object of JSON.

    Beats have ``label``, ``confident`` and ``probabilities`` by class. Of other kinds, all fields that are
    not empty are there.

    Parameters
    ----------
    update
        What a stream said.
    """
    document = {name: getattr(update, name) for name in _ALWAYS}
    for one in fields(update):
        value = getattr(update, one.name)
        if one.name not in document and (value not in {"", (), False} or update.kind in _BEATS):
            document[one.name] = value
    if update.kind in _BEATS:
        letters = map(str, CLASSES)
        document["probabilities"] = dict(zip(letters, update.probabilities, strict=True))
        document = {name: document[name] for name in (*_ALWAYS, "label", "confident", "probabilities")}
    return {name: _rounded(value) for name, value in document.items()}


def as_line(document: dict[str, Any]) -> str:
    """Return a document as a line, without its end."""
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


def update_schema() -> dict[str, Any]:
    """Return the JSON Schema of a line."""
    text = resources.files("ectopy.streaming").joinpath("update.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return value
