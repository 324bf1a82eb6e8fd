"""Run the notebooks and store their outputs.

``uv run python tools/notebooks.py`` runs all, and ``uv run python tools/notebooks.py 01 03`` these.
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def run(path: Path) -> None:
    """Run a notebook as it stands, and write it with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook, timeout=600, record_timing=False, resources={"metadata": {"path": folder}}
        )
        client.execute()
    nbformat.write(notebook, path)


if __name__ == "__main__":
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    for number in sys.argv[1:] or ("01", "02", "03", "04"):
        for path in NOTEBOOKS.glob(f"{number}*.ipynb"):
            run(path)
