"""Test that ectopy contacts no host and leaves nothing in the home directory when it scores."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.small import write_record

SOURCES = sorted((Path(__file__).resolve().parent.parent / "src").rglob("*.py"))


def score(recording: Path, home: Path, *wrapper: str) -> subprocess.CompletedProcess[str]:
    """Score a recording in a new process with a home directory of its own."""
    command = [sys.executable, "-m", "ectopy", "score", str(recording), "--out", str(home.parent / "out")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    return subprocess.run(
        [*wrapper, *command],
        env=environment | {"HOME": str(home)},
        check=True,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_scoring_leaves_nothing_in_the_home_directory(tmp_path: Path, home: Path) -> None:
    score(write_record(tmp_path / "r"), home)
    assert [file for file in home.rglob("*") if file.is_file()] == []


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_scoring_opens_no_connection_and_looks_up_no_name(tmp_path: Path, home: Path) -> None:
    trace = tmp_path / "trace"
    score(
        write_record(tmp_path / "r"),
        home,
        "strace",
        "-f",
        "-qq",
        "-e",
        "trace=connect,sendto",
        "-o",
        str(trace),
    )
    lines = trace.read_text().splitlines()
    assert [line for line in lines if "AF_INET" in line or "nscd" in line] == []


def test_onnx_runtime_is_imported_where_its_telemetry_is_off() -> None:
    importers = set()
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            if any(name.split(".")[0] == "onnxruntime" for name in [*names, module]):
                importers.add(file.name)
    # compression.py quantises with a part of it, and imports onnx_runtime.py first
    # example.py is copied to a device, and sets the variable itself
    assert importers == {"onnx_runtime.py", "compression.py", "example.py"}


@pytest.mark.parametrize("module", ["ectopy.model.classifier", "ectopy.ablation.compression"])
def test_telemetry_is_off_before_onnx_runtime_can_be_imported(module: str) -> None:
    code = (
        f"import os, sys, {module}; print(os.environ['ORT_DISABLE_TELEMETRY'], 'onnxruntime' in sys.modules)"
    )
    environment = os.environ | {"ORT_DISABLE_TELEMETRY": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["1", "False"]
