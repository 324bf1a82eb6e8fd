"""What results come from."""

import hashlib
import platform
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from ectopy.batch.planning import Job, load_model, model_source
from ectopy.batch.results import SummaryRow
from ectopy.readers import companion_files

_TRACED = ("ectopy", "numpy", "scipy", "onnxruntime")


def model_provenance(model: Path) -> dict[str, str]:
    """Say which model results come from: its name, hash and run, and where it was found."""
    known = load_model(model)
    return {
        "model": known.name,
        "model_id": known.version_id,
        "model_run": known.specification.run,
        "model_from": model_source(model),
    }


def provenance(job: Job) -> SummaryRow:
    """Say what results come from: input by path and hash, model, versions, settings."""
    return {
        "recording": job.name,
        "path": job.shown,
        "input_sha256": input_sha256(job.source),
        **model_provenance(job.how.model),
        "versions": _versions(),
        "settings": job.how.settings,
    }


def input_sha256(source: Path) -> str:
    """Hash the content of all files of a recording, one after the other, the one that is opened first."""
    digest = hashlib.sha256()
    for path in companion_files(source):
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    """Look the versions up, which takes as long as to classify half an hour of beats."""
    return {"python": platform.python_version(), **{name: version(name) for name in _TRACED}}
