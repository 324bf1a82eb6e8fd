"""Results to review: a few minutes of a simulated patient, scored with the shipped model."""

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from ectopy.batch import planning, results, runner
from ectopy.batch.planning import ScoreOptions
from ectopy.datasets.simulate import write
from ectopy.model.classifier import SHIPPED_MODEL
from tests.small import Here, simulated

MINUTES = 4.0


@cache
def _scored(seed: int) -> Path:
    """Score a patient once for all tests of this process; return the folder of the recording and the results."""
    folder = Path(mkdtemp(prefix="ectopy-reviewed-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    header = write(simulated(minutes=MINUTES, seed=seed), folder)
    out = folder / "out"
    with results.lock_output(out), Here() as processes:
        rows = list(runner.run(planning.plan([header], out, ScoreOptions(SHIPPED_MODEL)), processes))
        results.write_summary(out, rows)
    return folder


def write_results(folder: Path, *, seed: int = 1) -> tuple[Path, str]:
    """Write results to review into a folder, beside the recording.

    Parameters
    ----------
    folder
        An empty folder.
    seed
        Seed of the patient.

    Returns
    -------
    The folder of results, and the name of its one recording.
    """
    shutil.copytree(_scored(seed), folder, dirs_exist_ok=True)
    (summary,) = folder.glob("out/*/summary.json")
    text = summary.read_text(encoding="utf-8")
    summary.write_text(text.replace(str(_scored(seed)), str(folder)), encoding="utf-8")
    return folder / "out", summary.parent.name
