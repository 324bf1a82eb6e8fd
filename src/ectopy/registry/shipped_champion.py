"""The model that ships with ectopy, as a version in the registry: the first champion.

Without it, the gate would promote the first challenger without a rival, and rollback could not return to the
model that scored until then.
"""

import json
import logging
import math
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from ectopy.ec57.record_counts import RecordCounts, from_json, to_json
from ectopy.model.classifier import SHIPPED_MODEL, ModelError, load_classifier
from ectopy.registry import model_versions, runs
from ectopy.registry.evidence import DETECTED_METRICS, OUT_OF_FOLD_RECORDS
from ectopy.registry.model_versions import CHAMPION, Version

logger = logging.getLogger(__name__)

REGISTERED_NAME = "ectopy"
"""The registered model whose first champion is the shipped one; models of other names begin without."""
OUT_OF_FOLD_FILE = "out_of_fold.json"
SHIPPED = "shipped"
"""Tag of a version that came with the package: the identifier of the model."""


class OutOfFold(NamedTuple):
    """Result of the cross-validation of a model: its database, metrics as fractions by name, and counts.

    Models of ectopy 0.2 have no counts.
    """

    database: str
    metrics: dict[str, float]
    records: tuple[RecordCounts, ...] = ()


def write_out_of_fold(folder: Path, result: OutOfFold) -> None:
    """Write the result of a cross-validation into a model directory.

    Parameters
    ----------
    folder
        The model directory.
    result
        The database, the metrics and the counts of each record.
    """
    defined = {name: value for name, value in result.metrics.items() if math.isfinite(value)}
    head = json.dumps({"database": result.database, "metrics": defined}, indent=1).removesuffix("\n}")
    content = f'{head},\n "records": {to_json(result.records).strip()}\n}}\n'
    (folder / OUT_OF_FOLD_FILE).write_text(content, encoding="utf-8")


def read_out_of_fold(folder: Path) -> OutOfFold:
    """Read the result of the cross-validation from a model directory."""
    content = json.loads((folder / OUT_OF_FOLD_FILE).read_text(encoding="utf-8"))
    records = from_json(json.dumps(content.get("records", [])))
    return OutOfFold(content["database"], content["metrics"], records)


def register_shipped(model: str) -> Version | None:
    """Register the shipped model, unless the registry has it; make it the champion if there is no other.

    A later version of ectopy may ship another model. It replaces the one that was shipped before, but never
    a version that was promoted.

    Parameters
    ----------
    model
        Name of the registered model.

    Returns
    -------
    The version of the shipped model; None for a model of another name, or if it cannot be read.
    """
    if model != REGISTERED_NAME:
        return None
    try:
        identifier = load_classifier(SHIPPED_MODEL).version_id
    except ModelError as error:  # a developer has changed the features, and trains the next model to ship
        logger.warning("the shipped model is not registered: %s", error)
        return None
    for version in model_versions.list_versions(model):
        if model_versions.tags_of(version).get(SHIPPED) == identifier:
            return version
    trained = read_out_of_fold(SHIPPED_MODEL)
    with runs.run(
        "the model that ships with ectopy",
        description="Registered by the first training, so that a challenger has a rival. `out_of_fold/` are "
        "the metrics of its cross-validation; its model card is the description of the version.",
        log_system_metrics=False,
    ):
        runs.log_metrics(trained.metrics, prefix=DETECTED_METRICS)
        if trained.records:
            runs.log_text(to_json(trained.records), OUT_OF_FOLD_RECORDS)
        tags = {"database": trained.database, SHIPPED: identifier}
        version = model_versions.log_version(SHIPPED_MODEL, model=model, tags=tags)
    champion = model_versions.version_by_alias(model, CHAMPION)
    if champion is None or SHIPPED in model_versions.tags_of(champion):
        model_versions.set_champion(version, _first_event(champion))
    return version


def _first_event(replaced: Version | None) -> str:
    place = f", in place of {replaced.number}" if replaced else ", the first"
    return f"champion{place}: it ships with ectopy {metadata.version('ectopy')}"
