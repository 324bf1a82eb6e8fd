"""Time and memory of training: cross-validation by patient and one member, or as many as ship.

``uv run python benchmarks/training.py data --runs 1 --members 1 --json results.json`` runs the flow of
``ectopy train`` from records to a registered model, in a tracking store of its own. ``data`` is the
directory that holds mitdb (see ``ectopy ingest``).
"""

import sys
import tempfile
from pathlib import Path

from measure import cost_of, costs, options, report

TRAIN = """
import sys
from pathlib import Path
from ectopy.flows.train import train
from ectopy.model.network import TrainConfig
train("mitdb", Path(sys.argv[1]), TrainConfig(members=int(sys.argv[2])))
"""


def main() -> None:
    """Run the training several times and report its costs."""
    parser = options(__doc__ or "")
    parser.add_argument("data", type=Path, help="directory that holds mitdb/1.0.0")
    parser.add_argument("--members", type=int, default=1, help="networks of the ensemble")
    chosen = parser.parse_args()
    runs = []
    for _ in range(chosen.runs):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "mitdb").symlink_to((chosen.data / "mitdb").absolute())
            runs.append(
                cost_of(
                    [sys.executable, "-c", TRAIN, folder, str(chosen.members)],
                    ECTOPY_TRACKING_URI=f"sqlite:///{folder}/mlflow.db",
                    PYTHONPATH=str(Path(__file__).resolve().parent.parent),
                )
            )
    report("training", {"members": chosen.members, "folds": 5, **costs(runs)}, chosen.json)


if __name__ == "__main__":
    main()
