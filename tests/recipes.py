"""A copy of the sources, changed as a page of the docs says, and Python in it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT


def changed_copy(folder: Path, page: Path, *tests: str) -> Path:
    """Copy the sources and some tests into a folder, and apply the change that a page shows."""
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tests").mkdir()
    for test in tests:
        shutil.copyfile(ROOT / "tests" / test, folder / "tests" / test)
    change = re.findall(r"```diff\n(.*?)```", page.read_text(), re.DOTALL)
    (folder / "change.diff").write_text("".join(change))
    subprocess.run(["git", "apply", "change.diff"], cwd=folder, check=True)
    return folder


def python(copy: Path, *arguments: object) -> str:
    """Run Python with the sources of a copy; return what it prints."""
    told = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr[-2000:] + told.stdout[-2000:]
    return told.stdout
