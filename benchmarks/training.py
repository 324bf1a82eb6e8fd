"""Time and memory of training: cross-validation by patient and one member, or as many as ship.

``uv run python benchmarks/training.py data --runs 1 --members 5 --json results.json`` runs the flow of
``ectopy train`` from records to a registered model, in a tracking store of its own. ``data`` is the
directory that holds the training databases (see ``ectopy ingest --all-training``).
"""

import sys
import tempfile
from pathlib import Path

from measure import cost_of, costs, options, report

from ectopy.model.network import TrainConfig
from ectopy.model.training_sources import DEFAULT_SOURCES

TRAIN = """
import sys
from pathlib import Path
from ectopy.flows.train import train
from ectopy.model.network import TrainConfig
train(data_dir=Path(sys.argv[1]), config=TrainConfig(members=int(sys.argv[2])))
"""


def main() -> None:
    """Run the training several times and report its costs."""
    parser = options(__doc__ or "")
    parser.add_argument("data", type=Path, help="directory that holds the training databases")
    parser.add_argument("--members", type=int, default=1, help="networks of the ensemble")
    chosen = parser.parse_args()
    databases = [source.database for source in DEFAULT_SOURCES]
    runs = []
    for _ in range(chosen.runs):
        with tempfile.TemporaryDirectory() as folder:
            for database in databases:
                (Path(folder) / database).symlink_to((chosen.data / database).absolute())
            runs.append(
                cost_of(
                    [sys.executable, "-c", TRAIN, folder, str(chosen.members)],
                    ECTOPY_TRACKING_URI=f"sqlite:///{folder}/mlflow.db",
                    PYTHONPATH=str(Path(__file__).resolve().parent.parent),
                )
            )
    config = TrainConfig()
    networks = f"{config.n_folds} folds of {config.fold_members} networks, {chosen.members} members"
    what = f"{' + '.join(databases)}: {networks}"
    report("training", {"what": what, **costs(runs)}, chosen.json)


if __name__ == "__main__":
    main()
