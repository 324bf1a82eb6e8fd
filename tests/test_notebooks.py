"""The notebooks run, each cell as it stands, and what is saved in them is of no machine in particular."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = ["01-from-signal-to-beats", "02-train-and-inspect-in-mlflow", "03-score-and-read-a-report", "04-live"]
# An absolute path, an address that is no public page's, an escape sequence of a terminal.
OF_A_MACHINE = re.compile(
    r"(?<![\w.:/<])/(?:home|root|tmp|work|var|usr|opt|private|Users)\b|[A-Z]:\\|file://|127\.0\.0\.1|\x1b"
)


SHORTER = {"02-train-and-inspect-in-mlflow": ("windows_per_epoch=1280", "windows_per_epoch=64")}
"""A training that shows curves takes 100 CPU seconds, and one of a twentieth the same way."""


def cells(path: Path) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = json.loads(path.read_text())["cells"]
    return [cell for cell in told if cell["cell_type"] == "code"]


def texts(cell: dict[str, Any]) -> str:
    """All that a reader sees below a cell, pictures apart."""
    shown = [output.get("data", {"": output.get("text", "")}) for output in cell["outputs"]]
    return "\n".join(
        "".join(text)
        for data in shown
        for kind, text in data.items()
        if kind not in {"image/png", "application/json"}
    )


def test_there_are_four() -> None:
    assert [path.stem for path in NOTEBOOKS] == NAMES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
class TestSaved:
    def test_a_notebook_is_saved_as_it_ran_from_top_to_bottom(self, path: Path) -> None:
        ran = [cell["execution_count"] for cell in cells(path)]
        assert ran == list(range(1, len(ran) + 1))

    def test_outputs_name_no_machine(self, path: Path) -> None:
        for cell in cells(path):
            assert not (found := OF_A_MACHINE.search(texts(cell))), found

    def test_outputs_hold_no_warning_and_no_noise(self, path: Path) -> None:
        for cell in cells(path):
            assert not re.search(r"Warning|Traceback|INFO|it/s\]", texts(cell)), texts(cell)
            assert [output for output in cell["outputs"] if output["output_type"] == "error"] == []

    def test_there_is_something_to_look_at(self, path: Path) -> None:
        pictures = [
            kind
            for cell in cells(path)
            for output in cell["outputs"]
            for kind in output.get("data", {})
            if kind.startswith("image/")
        ]
        assert pictures


@pytest.mark.parametrize(
    ("text", "tells"),
    [
        ("wrote /tmp/x/results", True),
        ("model in /home/ada/models", True),
        (r"C:\Users", True),
        ("file:///mlruns", True),
        ("on https://physionet.org/content/mitdb", False),
        ("results/summary.csv", False),
        ("QRS Se / +P", False),
    ],
)
def test_a_path_of_a_machine_is_told_from_other_text(text: str, tells: bool) -> None:  # noqa: FBT001
    assert bool(OF_A_MACHINE.search(text)) is tells


@pytest.mark.usefixtures("prefect_harness")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Jupyter's own
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty directory, on the tests' own Prefect server and one process at a time: each starts for seconds."""
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
    monkeypatch.setenv("ECTOPY_WORKERS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    text = path.read_text()
    if path.stem in SHORTER:
        assert text.count(SHORTER[path.stem][0]) == 1
        text = text.replace(*SHORTER[path.stem])
    notebook = nbformat.reads(text, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
