"""Where results come from: the input, the model, the versions and the settings."""

import hashlib
import json
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from ectopy.batch.planning import Job, Model, ModelSource, ScoreOptions
from ectopy.criteria import as_text

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
class InputFiles:
    """The files of a recording: their hash, and what the system said of them before they were opened."""

    source: Path
    stamps: tuple[tuple[int, ...], ...] | None
    sha256: str = ""

    @classmethod
    def of(cls, source: Path) -> "InputFiles":
        """Look at the files of a recording that is about to be opened."""
        return cls(source, _stamps(source))

    @property
    def unchanged(self) -> bool:
        """Whether nobody has written to them since."""
        return self.stamps is not None and self.stamps == _stamps(self.source)


def _stamps(source: Path) -> tuple[tuple[int, ...], ...] | None:
    """Return numbers that change whenever a file is written to; None if there is no telling."""
    from ectopy.readers import companion_files  # in a worker only: it imports numpy

    with suppress(OSError, ValueError):  # what is wrong with them is said when they are opened
        stats = [path.stat() for path in companion_files(source)]
        return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for stat in stats)
    return None


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
        """Check whether earlier results had the same input, model, settings and version of ectopy."""
        now, stated = self.as_dict(), earlier.get("versions")
        version = stated.get("ectopy") if isinstance(stated, Mapping) else None
        same = all(earlier.get(key) == now[key] for key in ("input_sha256", "model_id", "settings"))
        return same and (version is None or version == self.versions["ectopy"])


def model_provenance(model: Model, source: ModelSource) -> ModelProvenance:
    """Return the provenance of results.

    Parameters
    ----------
    model
        The very model that made them: its folder may hold another one by now.
    source
        The origin of the model.

    Returns
    -------
    The provenance of the model.
    """
    return ModelProvenance(model.name, model.version_id, model.specification.run, source)


def batch_provenance(model: Model, options: ScoreOptions) -> dict[str, str]:
    """Return what all results of a batch have in common, by name: the model and the criteria.

    Parameters
    ----------
    model
        The very model that made them.
    options
        How the recordings were scored.

    Returns
    -------
    The entries that MLflow holds.
    """
    return {
        **model_provenance(model, options.model_source).as_dict(),
        "criteria": as_text(options.criteria),
    }


def job_provenance(job: Job, model: Model) -> Provenance:
    """Return the provenance of the results that a job leads to; this reads the whole recording.

    Parameters
    ----------
    job
        The recording.
    model
        The model that scores it.

    Returns
    -------
    The provenance.
    """
    return Provenance(
        recording=job.name,
        path=job.display_path,
        input_sha256=input_sha256(job.source),
        model=model_provenance(model, job.options.model_source),
        versions=_versions(),
        settings=job.options.settings | _diary(job.options.diary) | _patient(job) | _stop(job),
    )


def _diary(diary: Path | None) -> dict[str, str]:
    """Return the hash of a diary that the user named; one beside the recording is one of its files."""
    if diary is None:
        return {}
    with diary.open("rb") as file:
        return {"diary_sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _patient(job: Job) -> dict[str, str]:
    """Return the hash of what the table of the lab says, so that a mended line scores the recording again."""
    if job.patient is None:
        return {}
    return {"patient_sha256": hashlib.sha256(json.dumps(asdict(job.patient)).encode()).hexdigest()}


def _stop(job: Job) -> dict[str, int]:
    """Return how many samples count, so that the whole recording has other results."""
    return {} if job.stop is None else {"n_samples": job.stop}


def input_sha256(source: Path) -> str:
    """Hash the content of all files of a recording; the file that is opened comes first."""
    from ectopy.readers import companion_files  # in a worker only: it imports numpy

    digest = hashlib.sha256()
    for path in companion_files(source):
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    """Find the versions; this takes as long as classifying half an hour of beats, hence the cache."""
    return {"python": platform.python_version()} | {name: version(name) for name in _TRACED}
