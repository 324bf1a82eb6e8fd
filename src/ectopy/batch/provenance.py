"""Where results come from: the input, the model, the versions and the settings."""

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from ectopy.batch.planning import Job, ModelSource, ScoreOptions, load_model
from ectopy.readers import companion_files

_TRACED = ("ectopy", "numpy", "scipy", "onnxruntime")


@dataclass(frozen=True)
class ModelProvenance:
    """The model behind some results. ``run`` is the id of the MLflow run that trained it."""

    name: str
    version_id: str
    run: str
    source: ModelSource

    def as_dict(self) -> dict[str, str]:
        """Return the entries that files and MLflow hold."""
        return {
            "model": self.name,
            "model_id": self.version_id,
            "model_run": self.run,
            "model_from": self.source.value,
        }


@dataclass(frozen=True)
class Provenance:
    """Origin of the results of one recording. ``input_sha256`` is the hash of its files."""

    recording: str
    path: str
    input_sha256: str
    model: ModelProvenance
    versions: Mapping[str, str]
    settings: Mapping[str, object]

    def as_dict(self) -> dict[str, object]:
        """Return the entries of ``provenance`` in ``summary.json``."""
        return {
            "recording": self.recording,
            "path": self.path,
            "input_sha256": self.input_sha256,
            **self.model.as_dict(),
            "versions": dict(self.versions),
            "settings": dict(self.settings),
        }

    def gives_same_results(self, earlier: Mapping[str, object]) -> bool:
        """Check whether earlier results had the same input, model and settings."""
        now = self.as_dict()
        return all(earlier.get(key) == now[key] for key in ("input_sha256", "model_id", "settings"))


def model_provenance(options: ScoreOptions) -> ModelProvenance:
    """Return the provenance of the model of a batch."""
    model = load_model(options.model)
    return ModelProvenance(model.name, model.version_id, model.specification.run, options.model_source)


def job_provenance(job: Job) -> Provenance:
    """Return the provenance of the results that a job leads to; this reads the whole recording."""
    return Provenance(
        recording=job.name,
        path=job.display_path,
        input_sha256=input_sha256(job.source),
        model=model_provenance(job.options),
        versions=_versions(),
        settings=job.options.settings,
    )


def input_sha256(source: Path) -> str:
    """Hash the content of all files of a recording; the file that is opened comes first."""
    digest = hashlib.sha256()
    for path in companion_files(source):
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    """Find the versions; this takes as long as classifying half an hour of beats, hence the cache."""
    return {"python": platform.python_version()} | {name: version(name) for name in _TRACED}
