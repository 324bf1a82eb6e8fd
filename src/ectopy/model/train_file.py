"""The file of a training, in TOML: its settings and its databases.

``ectopy train --config FILE`` reads one. Every training logs the file that repeats it as ``training.toml``.
"""

import inspect
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

from ectopy.criteria import toml_value
from ectopy.datasets.catalogue import CORRECTIONS, UnknownDatabaseError, find_database
from ectopy.features.extraction import FEATURE_NAMES
from ectopy.model.network import TrainConfig, TrainConfigError
from ectopy.model.training_sources import (
    DEFAULT_SOURCES,
    TrainingSource,
    TrainingSourceError,
    require_known,
)

_HEAD = """\
# A training of ectopy: `ectopy train --config FILE`. A line that is left out has its default.
"""
_DATABASES = """
# The databases to train on. Without any, mitdb and svdb. `weight` is how often a window is drawn,
# relative to a database with weight 1. `map` is the class of escape beats: "dechazal" (N) or "ec57" (S).
# `records` are those to train on; without them, all training records that are present.
"""
_KEYS: Mapping[str, type | tuple[type, ...]] = {
    "name": str,
    "weight": (int, float),
    "map": str,
    "records": list,
}


class TrainFile(NamedTuple):
    """What the file of a training says: the settings, and the databases."""

    config: TrainConfig
    sources: tuple[TrainingSource, ...]


def read_train_file(path: Path) -> TrainFile:
    """Read the file of a training; settings and databases that it leaves out have their defaults.

    Raises
    ------
    TrainConfigError
        If the file is missing, is not TOML, or has a name or a value that cannot be used; it names the file.
    """
    try:
        settings, databases = _parts(_toml(path))
        config = TrainConfig().with_values({name: _text(name, value) for name, value in settings.items()})
        sources = tuple(_source(entry) for entry in databases) or DEFAULT_SOURCES
        require_known(sources)
        return TrainFile(config, sources)
    except (TrainConfigError, TrainingSourceError, UnknownDatabaseError) as error:
        raise TrainConfigError(f"{path}: {error}") from error


def _parts(content: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the table of settings and those of the databases."""
    if unknown := content.keys() - {"settings", "databases"}:
        raise TrainConfigError(
            f"{', '.join(sorted(unknown))}: neither [settings] nor [[databases]]. "
            "Write settings such as learning_rate below a line [settings]."
        )
    settings, databases = content.get("settings", {}), content.get("databases", [])
    if not isinstance(settings, dict):
        raise TrainConfigError("settings: not a table. Write them below a line [settings].")
    if not (isinstance(databases, list) and all(isinstance(entry, dict) for entry in databases)):
        raise TrainConfigError("databases: not tables. Begin each with a line [[databases]].")
    return settings, databases


def as_toml(config: TrainConfig, sources: Iterable[TrainingSource]) -> str:
    """Return the file that repeats a training, with what each setting means as a comment.

    Parameters
    ----------
    config
        The settings.
    sources
        The databases.

    Returns
    -------
    The file, in TOML.
    """
    meanings = {
        name: fill(text, 100, initial_indent="# ", subsequent_indent="# ")
        for name, text in _meanings().items()
    }
    settings = "".join(
        f"\n{meanings[name]}\n{name} = {toml_value(value)}\n" for name, value in asdict(config).items()
    )
    # Confirmed recordings are no database that a file can name: they lie in folders of results.
    tables = [_table(source) for source in sources if source.database != CORRECTIONS]
    return f"{_HEAD}\n[settings]\n{settings}{_DATABASES}{''.join(tables)}"


def _table(source: TrainingSource) -> str:
    values: dict[str, object] = {"name": source.database, "weight": source.weight, "map": source.beat_map}
    if source.records:
        values["records"] = list(source.records)
    return "\n[[databases]]\n" + "".join(f"{key} = {toml_value(value)}\n" for key, value in values.items())


def _meanings() -> dict[str, str]:
    """Return what each setting means, from the docstring of TrainConfig."""
    text = inspect.getdoc(TrainConfig) or ""
    found = re.findall(r"^(\w+)\n((?:    .*\n?)+)", text, re.MULTILINE)
    return {name: " ".join(meaning.split()) for name, meaning in found}


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise TrainConfigError("no such file. Check its path.") from error
    except OSError as error:
        raise TrainConfigError(f"{(error.strerror or 'unreadable').lower()}. Check the file.") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        problem = str(error)[:1].lower() + str(error)[1:].rstrip(".")
        raise TrainConfigError(f"not TOML: {problem}. Give lines such as learning_rate = 0.003.") from error
    except UnicodeDecodeError as error:
        raise TrainConfigError("not text in UTF-8. Save it as UTF-8.") from error


_DEFAULTS: Mapping[str, Any] = asdict(TrainConfig()) | {"features": FEATURE_NAMES[:2]}
"""A value of each setting as it is written; features have none by default."""


def _text(name: str, value: object) -> str:
    """Return a value as ``--set`` gives it, so that both have the same rules and messages.

    What TOML tells apart stays apart: a list is no number, and a number in quotation marks is a text.
    """
    parts = value if isinstance(value, list) else [value]
    if (default := _DEFAULTS.get(name)) is not None:
        has_parts = isinstance(default, tuple)
        is_text = isinstance(default[0] if has_parts else default, str)
        if isinstance(value, list) != has_parts or any(isinstance(part, str) != is_text for part in parts):
            raise TrainConfigError(
                f"{name}: {value!r} is written wrongly. Write it as in {name} = {toml_value(default)}."
            )
    texts = (part if isinstance(part, str) else json.dumps(part, default=str) for part in parts)
    return (";" if name == "features" else ",").join(texts)


def _source(entry: Mapping[str, Any]) -> TrainingSource:
    if unknown := entry.keys() - _KEYS.keys():
        raise TrainConfigError(
            f"databases: {', '.join(sorted(unknown))}: unknown. Use some of {', '.join(_KEYS)}."
        )
    if "name" not in entry:
        raise TrainConfigError('databases: one has no name. Give one, such as name = "mitdb".')
    for key, kind in _KEYS.items():
        if key in entry and (not isinstance(entry[key], kind) or isinstance(entry[key], bool)):
            raise TrainConfigError(
                f"databases: {key} = {entry[key]!r} is not {_WHAT[key]}. Give {_WHAT[key]}."
            )
    find_database(entry["name"])
    if any(isinstance(record, list | dict | bool) for record in entry.get("records", ())):
        raise TrainConfigError(f"databases: a record is no name. Give {_WHAT['records']}.")
    records = tuple(str(record) for record in entry.get("records", ()))
    return TrainingSource(
        entry["name"], records, float(entry.get("weight", 1.0)), entry.get("map", "dechazal")
    )


_WHAT = {
    "name": "a name in quotation marks",
    "weight": "a number",
    "map": "a name in quotation marks",
    "records": 'a list such as ["101", "106"]',
}
