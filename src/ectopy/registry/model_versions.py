"""Versions of the registered model in MLflow: register, find, tag and download them."""

import atexit
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from ectopy.ecg import CLASSES
from ectopy.model.classifier import CARD_FILE, ModelError, load_classifier
from ectopy.printable import printable
from ectopy.registry import runs
from ectopy.settings import local_database

CHALLENGER, CHAMPION = "challenger", "champion"

HELD_OUT = "held out"
"""Parameter of a fold's run: the records whose patients its network has not seen."""

MAX_DESCRIPTION_CHARS = 5000
"""Length of a version's description that MLflow allows. SQLite stores more, PostgreSQL rejects it."""

_CUT = "\n\n... the rest is in `card.md`, an artifact of the run."

MEMBER = "member"
"""Tag of the run of one network of the ensemble: its number."""
ROLLED_BACK = "rolled back"
"""Tag with the reason why a version was rolled back; the promotion gate does not promote it again."""
HISTORY = "history"
"""Tag with one line for each promotion, replacement and rollback of a version, the oldest first."""


@dataclass(frozen=True)
class Version:
    """A version of a registered model, and the run that trained it."""

    model: str
    number: str
    run_id: str

    @property
    def uri(self) -> str:
        """Address of the version in MLflow."""
        return f"models:/{self.model}/{self.number}"


def register(folder: Path, *, model: str, tags: Mapping[str, str]) -> Version:
    """Log a model directory as a pyfunc model of the run in progress, and register it as the challenger.

    Parameters
    ----------
    folder
        The model directory.
    model
        Name of the registered model.
    tags
        Tags of the new version.

    Returns
    -------
    The new version.
    """
    version = log_version(folder, model=model, tags=tags)
    make_challenger(version)
    return version


def log_version(folder: Path, *, model: str, tags: Mapping[str, str]) -> Version:
    """Log a model directory as a pyfunc model of the run in progress, and register it without an alias.

    Parameters
    ----------
    folder
        The model directory.
    model
        Name of the registered model.
    tags
        Tags of the new version.

    Returns
    -------
    The new version.
    """
    features = load_classifier(folder).specification.features
    answers = [ColSpec("string", "label"), ColSpec("boolean", "confident")]
    version = log_pyfunc(folder, "pyfunc.py", features, answers, model=model, tags=tags)
    describe_logged_model(version, "It has not been evaluated yet.")
    return version


def log_pyfunc(  # noqa: PLR0913 - a model, and what it reads and answers
    folder: Path,
    code: str,
    features: Sequence[str],
    answers: Sequence[ColSpec],
    *,
    model: str,
    tags: Mapping[str, str],
) -> Version:
    """Log a model directory as a pyfunc model of the run in progress, with its card as description.

    Parameters
    ----------
    folder
        The model directory.
    code
        The file beside this one that MLflow runs to serve it.
    features
        Names of the features of a beat that it reads.
    answers
        Its columns after the probability of each class.
    model
        Name of the registered model.
    tags
        Tags of the new version.

    Returns
    -------
    The new version, without an alias.
    """
    columns: list[Any] = [ColSpec("double", name) for name in features]  # as a CSV file has them
    probabilities: list[Any] = [ColSpec("float", f"p_{name.lower()}") for name in CLASSES]
    signature = ModelSignature(Schema(columns), Schema([*probabilities, *answers]))
    example = pd.DataFrame(0, index=[0], columns=list(features), dtype="float64")
    with runs.suppress_warnings(), redirect_stderr(StringIO()):  # MLflow tells what it registers
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name(code)),  # stored as code, nothing is pickled
            artifacts={"model": str(folder)},
            signature=signature,
            input_example=example,
            pip_requirements=[f"ectopy=={metadata.version('ectopy')}", f"mlflow=={mlflow.__version__}"],
            registered_model_name=model,
        )
    version = Version(model, str(info.registered_model_version), str(info.run_id))
    set_description(version, (folder / CARD_FILE).read_text(encoding="utf-8"))
    tag_version(version, tags)
    return version


def version_by_alias(model: str, alias: str) -> Version | None:
    """Find the version with an alias.

    Parameters
    ----------
    model
        Name of the registered model.
    alias
        Such as ``champion``.

    Returns
    -------
    The version, or None if no version has the alias.
    """
    try:
        info = mlflow.MlflowClient().get_model_version_by_alias(model, alias)
    except MlflowException:
        return None
    return Version(model, str(info.version), str(info.run_id))


def challenger(model: str) -> Version:
    """Find the challenger."""
    version = version_by_alias(model, CHALLENGER)
    if version is None:
        raise ModelError(f"model {model}: the registry has no challenger. Train one with `ectopy train`.")
    return version


def version_by_number(model: str, number: str) -> Version:
    """Find a version by its number.

    Parameters
    ----------
    model
        Name of the registered model.
    number
        Number of the version.

    Returns
    -------
    The version.

    Raises
    ------
    ModelError
        If the registry has no such version.
    """
    try:
        info = mlflow.MlflowClient().get_model_version(model, number)
    except MlflowException as error:
        raise ModelError(
            f"model {model}: the registry has no version {number}. `ectopy models list` shows the versions."
        ) from error
    return Version(model, str(info.version), str(info.run_id))


def list_versions(model: str) -> list[Version]:
    """Find all versions of a model, the newest first; the list is empty if the model is not registered."""
    infos = mlflow.MlflowClient().search_model_versions(f"name = '{model}'")
    versions = [Version(model, str(info.version), str(info.run_id)) for info in infos]
    return sorted(versions, key=lambda version: -int(version.number))


def model_id_of(version: Version) -> str | None:
    """Return the id of the logged model of a version; its page in MLflow has the metrics by data set.

    It is None for a version of a store that knows no logged models, as of MLflow 2.
    """
    outputs = mlflow.get_run(version.run_id).outputs
    return str(outputs.model_outputs[0].model_id) if outputs and outputs.model_outputs else None


def aliases_of(version: Version) -> tuple[str, ...]:
    """Return the aliases of a version."""
    return tuple(sorted(mlflow.MlflowClient().get_model_version(version.model, version.number).aliases))


def created_at(version: Version) -> datetime:
    """Return the time at which a version was registered, in UTC."""
    info = mlflow.MlflowClient().get_model_version(version.model, version.number)
    return datetime.fromtimestamp(info.creation_timestamp / 1000, UTC)


def set_description(version: Version, text: str) -> None:
    """Write the model card as the description of a version, cut to the length that the store allows.

    Parameters
    ----------
    version
        The version.
    text
        The model card, as Markdown.
    """
    if len(text) > MAX_DESCRIPTION_CHARS and not mlflow.get_tracking_uri().startswith("sqlite:"):
        text = text[: text.rfind("\n", 0, MAX_DESCRIPTION_CHARS - len(_CUT))] + _CUT
    mlflow.MlflowClient().update_model_version(version.model, version.number, description=text)


def describe_logged_model(version: Version, event: str) -> None:
    """Write on the page of a version's logged model which version it is, and what happened to it last.

    Parameters
    ----------
    version
        The version.
    event
        What happened, in Markdown.
    """
    if model_id := model_id_of(version):
        where = (
            f"Version {version.number} of the registered model `{version.model}`, which has the model card."
        )
        tags = {runs.DESCRIPTION: f"{where}\n\n{printable(event)}"}
        mlflow.MlflowClient().set_logged_model_tags(model_id, tags)


def card_of(version: Version) -> str:
    """Return the model card of a version, which is its description."""
    return str(mlflow.MlflowClient().get_model_version(version.model, version.number).description or "")


def set_champion(version: Version, event: str, tags: Mapping[str, str] | None = None) -> None:
    """Make a version the champion, and write the reason into its history; there is no way without one.

    Parameters
    ----------
    version
        The version.
    event
        What was decided, by whom and why; it begins with ``champion``.
    tags
        Further tags of the version.
    """
    append_history(version, event, tags)
    _set_alias(version, CHAMPION)


def append_history(version: Version, event: str, tags: Mapping[str, str] | None = None) -> None:
    """Append an event to the history of a version.

    Parameters
    ----------
    version
        The version.
    event
        The event; the time is added.
    tags
        Further tags to set in the same step.
    """
    line = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {printable(event)}"
    tag_version(version, {HISTORY: "\n".join([*history(version), line]), **(tags or {})})
    describe_logged_model(version, line)


def history(version: Version) -> list[str]:
    """Return the events of a version with their times, the oldest first."""
    return tags_of(version).get(HISTORY, "").splitlines()


def make_challenger(version: Version) -> None:
    """Write the alias of the challenger to a version, which takes it from the version that had it."""
    _set_alias(version, CHALLENGER)


def _set_alias(version: Version, alias: str) -> None:
    mlflow.MlflowClient().set_registered_model_alias(version.model, alias, version.number)


def tag_version(version: Version, tags: Mapping[str, str]) -> None:
    """Set tags on a version.

    Parameters
    ----------
    version
        The version.
    tags
        Values by name.
    """
    for name, value in tags.items():
        mlflow.MlflowClient().set_model_version_tag(version.model, version.number, name, value)


def untag_version(version: Version, name: str) -> None:
    """Delete a tag from a version, if it has it.

    Parameters
    ----------
    version
        The version.
    name
        Name of the tag.
    """
    if name in tags_of(version):
        mlflow.MlflowClient().delete_model_version_tag(version.model, version.number, name)


def tags_of(version: Version) -> dict[str, str]:
    """Return the tags of a version."""
    return dict(mlflow.MlflowClient().get_model_version(version.model, version.number).tags)


def databases_of(version: Version) -> tuple[str, ...]:
    """Return the names of the databases that a version was trained on; none if it does not name them."""
    return tuple(name for name in tags_of(version).get("database", "").split(",") if name)


def metrics_of(version: Version, *, prefix: str = "") -> dict[str, float]:
    """Return the metrics of the run that trained a version.

    Parameters
    ----------
    version
        The version.
    prefix
        Only metrics whose name begins with this are returned, and it is removed from their name.

    Returns
    -------
    Metrics by name.
    """
    metrics = runs.all_metrics(version.run_id)
    return {name.removeprefix(prefix): value for name, value in metrics.items() if name.startswith(prefix)}


def out_of_fold_runs(version: Version) -> dict[str, str]:
    """Map each training record of a version to the run of a network that was trained without its patient."""
    return {
        record: str(child.info.run_id)
        for child in _child_runs(version)
        for record in child.data.params.get(HELD_OUT, "").split(",")
        if record
    }


def member_runs(version: Version) -> list[str]:
    """Return the run ids of the networks of a version's ensemble, in their order."""
    by_number = {
        int(child.data.tags[MEMBER]): str(child.info.run_id)
        for child in _child_runs(version)
        if MEMBER in child.data.tags
    }
    return [by_number[number] for number in sorted(by_number)]


def _child_runs(version: Version) -> list[Any]:
    experiment = mlflow.get_run(version.run_id).info.experiment_id
    children = mlflow.search_runs(
        [experiment], f"tags.`mlflow.parentRunId` = '{version.run_id}'", output_format="list"
    )
    return list(children)


def download_folder(run_id: str, name: str) -> Path:
    """Download a folder from the artifacts of a run.

    Parameters
    ----------
    run_id
        Id of the run.
    name
        Name of the folder.

    Returns
    -------
    A temporary folder, which is deleted when the process ends.

    Raises
    ------
    ModelError
        If the run has no such folder, or if the store was moved.
    """
    folder = _temporary_folder()
    try:
        return Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=name, dst_path=folder))
    except MlflowException as error:
        _require_files_of_store()
        raise ModelError(
            f"run {run_id}: it has no folder {name!r} ({error.message}). Train the model again."
        ) from error


def read_text(run_id: str, file: str) -> str | None:
    """Read a text from the artifacts of a run.

    Parameters
    ----------
    run_id
        Id of the run.
    file
        Name of the artifact.

    Returns
    -------
    The text, or None if the run has no such artifact.
    """
    folder = file.rpartition("/")[0]
    artifacts = mlflow.MlflowClient().list_artifacts(run_id, folder or None)
    if file not in {artifact.path for artifact in artifacts}:
        return None
    return str(mlflow.artifacts.load_text(f"runs:/{run_id}/{file}"))


def _temporary_folder() -> str:
    """Create a folder for downloads, which is deleted when the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="ectopy-model-", ignore_cleanup_errors=True)
    atexit.register(folder.cleanup)
    return folder.name


def download_model(uri: str, tracking_uri: str) -> Path:
    """Connect to a tracking store and download a model directory from it.

    Parameters
    ----------
    uri
        Address of the model, such as ``models:/ectopy@champion``.
    tracking_uri
        Address of the store.

    Returns
    -------
    A temporary folder, which is deleted when the process ends.

    Raises
    ------
    ModelError
        If there is no such store or model.
    """
    connect_registry(tracking_uri)
    return fetch_model(uri)


def connect_registry(uri: str) -> None:
    """Connect to a tracking store without an experiment; a store that does not exist is not created."""
    database = local_database(uri)
    if database and not database.is_file():
        raise ModelError(
            f"{database}: no such tracking store. `ectopy train` creates it; "
            "ECTOPY_TRACKING_URI names another one."
        )
    mlflow.set_tracking_uri(f"sqlite:///{database}" if database else uri)


def fetch_model(uri: str) -> Path:
    """Download a model directory from the connected store into a temporary folder."""
    try:
        folder = mlflow.artifacts.download_artifacts(uri, dst_path=_temporary_folder())
    except MlflowException as error:
        raise ModelError(
            f"{uri}: the registry has no such model ({error.message}). "
            "`ectopy models list` shows the versions."
        ) from error
    specifications = sorted(Path(folder).glob("artifacts/*/model.json"))
    if not specifications:
        _require_files_of_store()
        raise ModelError(
            f"{uri}: not a model of ectopy (no model.json). Name a model that `ectopy train` registered."
        )
    return specifications[0].parent


def _require_files_of_store() -> None:
    """Check that the files of the store are where it expects them; MLflow takes missing ones for none."""
    for experiment in mlflow.search_experiments():
        location = str(experiment.artifact_location)
        folder = Path(url2pathname(urlsplit(location).path))
        if location.startswith("file:") and not folder.is_dir():
            raise ModelError(
                f"{folder}: the tracking store expects its files there, but there is no such folder. It was "
                "moved. Move it back, or make a symbolic link there that leads to the folder's new place."
            )
