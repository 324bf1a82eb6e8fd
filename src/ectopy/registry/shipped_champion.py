"""The model that ships with ectopy, as a version in the registry: the first champion.

Without it, the gate would promote the first challenger without a rival, and rollback could not return to the
model that scored until then.
"""

import json
import math
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from ectopy.model.classifier import SHIPPED_MODEL, load_classifier
from ectopy.registry import model_versions, runs
from ectopy.registry.model_versions import CHAMPION, Version
from ectopy.registry.promotion import append_history
from ectopy.registry.promotion_gate import OUT_OF_FOLD_PREFIX

REGISTERED_NAME = "ectopy"
"""The registered model whose first champion is the shipped one; models of other names begin without."""
OUT_OF_FOLD_FILE = "out_of_fold.json"
SHIPPED = "shipped"
"""Tag of a version that came with the package: the identifier of the model."""


class OutOfFold(NamedTuple):
    """Result of the cross-validation of a model: its database and its metrics, as fractions by name."""

    database: str
    metrics: dict[str, float]


def write_out_of_fold(folder: Path, result: OutOfFold) -> None:
    """Write the result of a cross-validation into a model directory.

    Parameters
    ----------
    folder
        The model directory.
    result
        The database and the metrics.
    """
    defined = {name: value for name, value in result.metrics.items() if math.isfinite(value)}
    content = json.dumps({"database": result.database, "metrics": defined}, indent=1)
    (folder / OUT_OF_FOLD_FILE).write_text(content + "\n", encoding="utf-8")


def read_out_of_fold(folder: Path) -> OutOfFold:
    """Read the result of the cross-validation from a model directory."""
    return OutOfFold(**json.loads((folder / OUT_OF_FOLD_FILE).read_text(encoding="utf-8")))


def register_shipped(model: str) -> None:
    """Register the shipped model, unless the registry has it; make it the champion if there is no other.

    A later version of ectopy may ship another model. It replaces the one that was shipped before, but never
    a version that was promoted.
    """
    if model != REGISTERED_NAME:
        return
    identifier = load_classifier(SHIPPED_MODEL).version_id
    versions = model_versions.list_versions(model)
    if any(model_versions.tags_of(version).get(SHIPPED) == identifier for version in versions):
        return
    trained = read_out_of_fold(SHIPPED_MODEL)
    with runs.run("the model that ships with ectopy", log_system_metrics=False):
        runs.log_metrics(trained.metrics, prefix=OUT_OF_FOLD_PREFIX)
        tags = {"database": trained.database, SHIPPED: identifier}
        version = model_versions.log_version(SHIPPED_MODEL, model=model, tags=tags)
    champion = model_versions.version_by_alias(model, CHAMPION)
    if champion is None or SHIPPED in model_versions.tags_of(champion):
        model_versions.set_alias(version, CHAMPION)
        append_history(version, _first_event(champion))


def _first_event(replaced: Version | None) -> str:
    place = f", in place of {replaced.number}" if replaced else ", the first"
    return f"champion{place}: it ships with ectopy {metadata.version('ectopy')}"
