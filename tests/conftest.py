"""Where the true databases are, for the tests marked ``real``."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def database(name: str, version: str = "1.0.0") -> Path:
    """Find a database under ECTOPY_SOURCE (when a directory) or data/; skip, saying why, without it."""
    for base in (Path(os.environ.get("ECTOPY_SOURCE", "-")), ROOT / "data"):
        folder = base / name / version
        if (folder / "RECORDS").is_file():
            return folder
    pytest.skip(f"{name} {version} is neither under ECTOPY_SOURCE nor in data/; `ectopy ingest {name}` fetches it")


@pytest.fixture(scope="session")
def mitdb() -> Path:
    return database("mitdb")


@pytest.fixture(scope="session")
def nstdb() -> Path:
    return database("nstdb")
