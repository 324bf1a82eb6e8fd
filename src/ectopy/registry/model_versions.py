"""Versions of the registered model."""

import atexit
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from ectopy.ecg import CLASSES
from ectopy.features.extraction import FEATURE_NAMES
from ectopy.model.classifier import CARD_FILE, ModelError
from ectopy.registry.runs import local_database, suppress_warnings

CHALLENGER, CHAMPION = "challenger", "champion"

HELD_OUT = "held out"
"""Parameter of a fold's run: the records whose patients its network has not seen."""

MAX_DESCRIPTION_CHARS = 5000
"""Characters that MLflow keeps of a version's description; SQLite keeps more, PostgreSQL refuses them."""

_CUT = "\n\n... the rest is in `card.md`, an artifact of the run."

MEMBER = "member"
"""Tag of the run of one network of the ensemble: its number."""


@dataclass(frozen=True)
class Version:
    """A version of a registered model and the run that made it."""

    model: str
    number: str
    run_id: str

    @property
    def uri(self) -> str:
        """Where MLflow finds it."""
        return f"models:/{self.model}/{self.number}"


def register(folder: Path, *, model: str, tags: Mapping[str, str]) -> Version:
    """Log a model directory as a pyfunc model of the run in progress, and register it as a challenger."""
    columns: list[Any] = [ColSpec("float", name) for name in FEATURE_NAMES]
    answer: list[Any] = [ColSpec("float", f"p_{name.lower()}") for name in CLASSES]
    signature = ModelSignature(
        Schema(columns), Schema([*answer, ColSpec("string", "label"), ColSpec("boolean", "confident")])
    )
    example = pd.DataFrame(0, index=[0], columns=list(FEATURE_NAMES), dtype="float32")
    with suppress_warnings():
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("pyfunc.py")),  # read as code: nothing is pickled
            artifacts={"model": str(folder)},
            signature=signature,
            input_example=example,
            pip_requirements=[f"ectopy=={version('ectopy')}", f"mlflow=={mlflow.__version__}"],
            registered_model_name=model,
        )
    made = Version(model, str(info.registered_model_version), str(info.run_id))
    set_description(made, (folder / CARD_FILE).read_text())
    tag_version(made, tags)
    set_alias(made, CHALLENGER)
    return made


def version_by_alias(model: str, alias: str) -> Version | None:
    """Find the version that bears an alias."""
    try:
        found = mlflow.MlflowClient().get_model_version_by_alias(model, alias)
    except MlflowException:
        return None
    return Version(model, str(found.version), str(found.run_id))


def challenger(model: str) -> Version:
    """Find the challenger."""
    found = version_by_alias(model, CHALLENGER)
    if found is None:
        raise ModelError(
            f"{model}: a challenger expected in the registry, none there; `ectopy train` makes one"
        )
    return found


def version_by_number(model: str, number: str) -> Version:
    """Find a version by its number."""
    try:
        found = mlflow.MlflowClient().get_model_version(model, number)
    except MlflowException as error:
        raise ModelError(f"{model}: version {number} expected in the registry, none there") from error
    return Version(model, str(found.version), str(found.run_id))


def list_versions(model: str) -> list[Version]:
    """Find all versions of a model, the newest first; none of a model that nobody has registered."""
    found = mlflow.MlflowClient().search_model_versions(f"name = '{model}'")
    told = [Version(model, str(version.version), str(version.run_id)) for version in found]
    return sorted(told, key=lambda version: -int(version.number))


def aliases_of(made: Version) -> tuple[str, ...]:
    """Give the aliases that a version bears."""
    return tuple(sorted(mlflow.MlflowClient().get_model_version(made.model, made.number).aliases))


def created_at(made: Version) -> datetime:
    """Tell when a version was registered."""
    found = mlflow.MlflowClient().get_model_version(made.model, made.number)
    return datetime.fromtimestamp(found.creation_timestamp / 1000, UTC)


def set_description(made: Version, text: str) -> None:
    """Write the model card on a version, as much of it as the store has room for."""
    if len(text) > MAX_DESCRIPTION_CHARS and not mlflow.get_tracking_uri().startswith("sqlite:"):
        text = text[: text.rfind("\n", 0, MAX_DESCRIPTION_CHARS - len(_CUT))] + _CUT
    mlflow.MlflowClient().update_model_version(made.model, made.number, description=text)


def card_of(made: Version) -> str:
    """Give the model card that a version bears."""
    return str(mlflow.MlflowClient().get_model_version(made.model, made.number).description or "")


def set_alias(made: Version, alias: str) -> None:
    """Let a version bear an alias, and take it from any other."""
    mlflow.MlflowClient().set_registered_model_alias(made.model, alias, made.number)


def tag_version(made: Version, tags: Mapping[str, str]) -> None:
    """Write on a version what became of it."""
    for name, value in tags.items():
        mlflow.MlflowClient().set_model_version_tag(made.model, made.number, name, value)


def untag_version(made: Version, name: str) -> None:
    """Take back what was written on a version; nothing where it was not."""
    if name in tags_of(made):
        mlflow.MlflowClient().delete_model_version_tag(made.model, made.number, name)


def tags_of(made: Version) -> dict[str, str]:
    """Give what was written on a version."""
    return dict(mlflow.MlflowClient().get_model_version(made.model, made.number).tags)


def metrics_of(made: Version, *, prefix: str = "") -> dict[str, float]:
    """Give the figures of the run that made a version, those with a prefix, without it."""
    metrics = mlflow.get_run(made.run_id).data.metrics
    return {name.removeprefix(prefix): value for name, value in metrics.items() if name.startswith(prefix)}


def out_of_fold_runs(made: Version) -> dict[str, str]:
    """Map each training record of a version to the run of a network that was trained without its patient."""
    return {
        record: str(child.info.run_id)
        for child in _children(made)
        for record in child.data.params.get(HELD_OUT, "").split(",")
        if record
    }


def member_runs(made: Version) -> list[str]:
    """Give the runs of the networks that a version's ensemble is made of, in their order."""
    numbered = {
        int(child.data.tags[MEMBER]): str(child.info.run_id)
        for child in _children(made)
        if MEMBER in child.data.tags
    }
    return [numbered[number] for number in sorted(numbered)]


def _children(made: Version) -> list[Any]:
    experiment = mlflow.get_run(made.run_id).info.experiment_id
    found = mlflow.search_runs(
        [experiment], f"tags.`mlflow.parentRunId` = '{made.run_id}'", output_format="list"
    )
    return list(found)


def download_folder(run_id: str, name: str) -> Path:
    """Fetch a folder that a run logged."""
    folder = _fresh_folder()
    return Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=name, dst_path=folder))


def _fresh_folder() -> str:
    """Make a folder for what is fetched; it lasts as long as the process does."""
    folder = tempfile.TemporaryDirectory(prefix="ectopy-model-", ignore_cleanup_errors=True)
    atexit.register(folder.cleanup)
    return folder.name


def download_model(uri: str, tracking_uri: str) -> Path:
    """Fetch the model directory behind an address such as ``models:/ectopy@champion`` of a store."""
    connect_registry(tracking_uri)
    return fetch_model(uri)


def connect_registry(uri: str) -> None:
    """Work on a registry without an experiment of one's own; one that is not there is not made."""
    database = local_database(uri)
    if database and not database.is_file():
        raise ModelError(f"a tracking store expected at {database}, none there; `ectopy train` makes one")
    mlflow.set_tracking_uri(f"sqlite:///{database}" if database else uri)


def fetch_model(uri: str) -> Path:
    """Fetch the model directory behind an address from the store one is connected to."""
    try:
        folder = mlflow.artifacts.download_artifacts(uri, dst_path=_fresh_folder())
    except MlflowException as error:
        raise ModelError(f"{uri}: a registered model expected, {error.message}") from error
    found = sorted(Path(folder).glob("artifacts/*/model.json"))
    if not found:
        raise ModelError(f"{uri}: a model of ectopy expected, no model.json in it")
    return found[0].parent
