"""All of MLflow: connect, run, log, register, promote, fetch a model."""

import atexit
import math
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # these are read when MLflow is imported
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

import mlflow
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from ectopy.ecg import CLASSES
from ectopy.features.extraction import FEATURE_NAMES, Floats
from ectopy.model.classifier import CARD_FILE, ModelError
from ectopy.monitoring import plots
from ectopy.monitoring.batch_summary import Batch

CHALLENGER, CHAMPION = "challenger", "champion"
HELD_OUT = "held out"
"""Parameter of a fold's run: the records whose patients its network has not seen."""
LONGEST_DESCRIPTION = 5000
"""Characters that MLflow keeps of a version's description; SQLite keeps more, PostgreSQL refuses them."""
_CUT = "\n\n... the rest is in `card.md`, an artifact of the run."
MEMBER = "member"
"""Tag of the run of one network of the ensemble: its number."""

DESCRIPTION = "mlflow.note.content"
"""Tag that MLflow shows as the description of a run, in Markdown."""


class TrackingError(ValueError):
    """A tracking store that does not answer as one."""


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


def _database(uri: str) -> Path | None:
    """Give the file of a store in SQLite; None for a server's address."""
    path = uri.removeprefix("sqlite:///")
    return None if path == uri else Path(path).absolute()


def connect(uri: str, experiment: str) -> str:
    """Work on an experiment of a tracking server, or of a SQLite file with its artifacts beside it.

    Gives the experiment's id.
    """
    artifacts = None
    if database := _database(uri):
        database.parent.mkdir(parents=True, exist_ok=True)
        uri = f"sqlite:///{database}"
        artifacts = (database.parent / "artifacts").as_uri()
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        if mlflow.get_experiment_by_name(experiment) is None:
            mlflow.create_experiment(experiment, artifact_location=artifacts)
        return str(mlflow.set_experiment(experiment).experiment_id)
    except MlflowException as error:
        raise TrackingError(f"{uri}: a tracking store expected, {error.message}") from error


@contextmanager
def run(
    name: str, *, nested: bool = False, tags: Mapping[str, str] | None = None, watched: bool = True
) -> Iterator[str]:
    """Open a run, and give its id; one that is not nested watches the machine too, if it is to be watched."""
    watched = watched and not nested
    with mlflow.start_run(
        run_name=name, nested=nested, tags=dict(tags or {}), log_system_metrics=watched
    ) as active:
        mlflow.set_tags({"ectopy_version": version("ectopy"), **commit(Path(__file__))})
        yield str(active.info.run_id)


@cache
def commit(source: Path) -> dict[str, str]:
    """Tell, as tags, which commit a file of a clone belongs to, and whether code was changed since."""
    with suppress(ImportError):  # of the program git, which this calls
        import git  # comes with MLflow

        with suppress(git.InvalidGitRepositoryError, ValueError):  # no clone, or one without a commit
            clone = git.Repo(source.parent, search_parent_directories=True)
            if not clone.ignored(source):  # as in an environment that lies in somebody's repository
                changed = clone.is_dirty(untracked_files=True, path=str(source.parent))
                return {"mlflow.source.git.commit": clone.head.commit.hexsha, "changed since": str(changed)}
    return {}


def log_parameters(parameters: Mapping[str, object]) -> None:
    """Log what the experiment chose."""
    mlflow.log_params(dict(parameters))


def log_config(config: Any, **more: object) -> None:
    """Log a frozen configuration whole."""
    log_parameters({**asdict(config), **more})


def log_metrics(metrics: Mapping[str, float], *, prefix: str = "", step: int | None = None) -> None:
    """Log what is defined of some figures."""
    defined = {prefix + name: value for name, value in metrics.items() if math.isfinite(value)}
    mlflow.log_metrics(defined, step=step)


def log_table(table: Mapping[str, Sequence[object]], file: str) -> None:
    """Log a table, given by column, as JSON that the UI shows."""
    with _unheard():
        mlflow.log_table({name: list(column) for name, column in table.items()}, artifact_file=file)


def log_figure(figure: Figure, file: str) -> None:
    """Log a drawing."""
    mlflow.log_figure(figure, file)


def log_text(text: str, file: str) -> None:
    """Log a page of text."""
    mlflow.log_text(text, file)


def log_folder(folder: Path, name: str) -> None:
    """Log all files of a folder."""
    mlflow.log_artifacts(str(folder), name)


def log_data(name: str, source: str, rows: Floats, labels: Sequence[str], *, context: str) -> None:
    """Log which data were used; MLflow adds a digest of them."""
    data: Any = mlflow.data.from_numpy(rows, source=source, targets=np.array(labels), name=name)  # type: ignore[attr-defined]
    mlflow.log_input(data, context=context)


def tag(**tags: str) -> None:
    """Tag the run in progress."""
    mlflow.set_tags(tags)


def log_batch(batch: Batch, *, index: Path) -> str:
    """Keep what a scoring batch came to as a run of its own, and give its id; ``index`` is its page."""
    told = ", ".join(f"{number} {status}" for status, number in batch.counts.items() if number)
    model = "{model}, {model_from}".format(**batch.model)
    about = "\n\n".join((told, f"Model: {model}", f"Drift: {batch.verdict}", f"Page: {index}"))
    tags = {"index": str(index), "drift": batch.verdict, DESCRIPTION: about}
    with run(told, tags=tags, watched=False) as run_id:
        log_parameters(batch.model)
        log_metrics(batch.figures)
        if batch.failures:
            log_table(
                {"reason": list(batch.failures), "recordings": list(batch.failures.values())}, "failures.json"
            )
        log_figure(plots.spread(batch), "spread.png")
        if batch.drift:
            log_table(batch.drift.table, "drift.json")
            log_figure(plots.drift(batch.drift), "drift.png")
        return run_id


def register(folder: Path, *, model: str, tags: Mapping[str, str]) -> Version:
    """Log a model directory as a pyfunc model of the run in progress, and register it as a challenger."""
    columns: list[Any] = [ColSpec("float", name) for name in FEATURE_NAMES]
    answer: list[Any] = [ColSpec("float", f"p_{name.lower()}") for name in CLASSES]
    signature = ModelSignature(
        Schema(columns), Schema([*answer, ColSpec("string", "label"), ColSpec("boolean", "confident")])
    )
    example = pd.DataFrame(0, index=[0], columns=list(FEATURE_NAMES), dtype="float32")
    with _unheard():
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
    describe(made, (folder / CARD_FILE).read_text())
    tag_version(made, tags)
    set_alias(made, CHALLENGER)
    return made


def aliased(model: str, alias: str) -> Version | None:
    """Find the version that bears an alias."""
    try:
        found = mlflow.MlflowClient().get_model_version_by_alias(model, alias)
    except MlflowException:
        return None
    return Version(model, str(found.version), str(found.run_id))


def newest(model: str) -> Version:
    """Find the challenger."""
    found = aliased(model, CHALLENGER)
    if found is None:
        raise ModelError(
            f"{model}: a challenger expected in the registry, none there; `ectopy train` makes one"
        )
    return found


def version_of(model: str, number: str) -> Version:
    """Find a version by its number."""
    try:
        found = mlflow.MlflowClient().get_model_version(model, number)
    except MlflowException as error:
        raise ModelError(f"{model}: version {number} expected in the registry, none there") from error
    return Version(model, str(found.version), str(found.run_id))


def versions(model: str) -> list[Version]:
    """Find all versions of a model, the newest first; none of a model that nobody has registered."""
    found = mlflow.MlflowClient().search_model_versions(f"name = '{model}'")
    told = [Version(model, str(version.version), str(version.run_id)) for version in found]
    return sorted(told, key=lambda version: -int(version.number))


def aliases_of(made: Version) -> tuple[str, ...]:
    """Give the aliases that a version bears."""
    return tuple(sorted(mlflow.MlflowClient().get_model_version(made.model, made.number).aliases))


def made_at(made: Version) -> datetime:
    """Tell when a version was registered."""
    found = mlflow.MlflowClient().get_model_version(made.model, made.number)
    return datetime.fromtimestamp(found.creation_timestamp / 1000, UTC)


def describe(made: Version, text: str) -> None:
    """Write the model card on a version, as much of it as the store has room for."""
    if len(text) > LONGEST_DESCRIPTION and not mlflow.get_tracking_uri().startswith("sqlite:"):
        text = text[: text.rfind("\n", 0, LONGEST_DESCRIPTION - len(_CUT))] + _CUT
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


def unseen_by(made: Version) -> dict[str, str]:
    """Map each training record of a version to the run of a network that was trained without its patient."""
    return {
        record: str(child.info.run_id)
        for child in _children(made)
        for record in child.data.params.get(HELD_OUT, "").split(",")
        if record
    }


def members_of(made: Version) -> list[str]:
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
    database = _database(uri)
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


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep MLflow's warnings about itself and about pandas 4 from users, who can do nothing about them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
