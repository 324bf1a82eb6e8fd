"""Run the whole pipeline on simulated patients, offline: ingest, train, evaluate, promote, score, compare."""

import logging
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import flow

from ectopy import ec57
from ectopy.datasets.simulate import DATABASE, simulate_database
from ectopy.flows.evaluate import evaluate
from ectopy.flows.ingest import ingest
from ectopy.flows.score import score
from ectopy.flows.train import train
from ectopy.model import network
from ectopy.model.training_sources import TrainingSource
from ectopy.registry import runs
from ectopy.registry.promotion_gate import MinimumScores, PromotionDecision

logger = logging.getLogger(__name__)

NAME = "ectopy-demo"
"""Name of the experiment and of the registered model, apart from those that are trained on real patients."""
CONFIG = network.TrainConfig(n_folds=2, members=1, fold_members=1, epochs=6, windows_per_epoch=640)
MINIMUM = MinimumScores(veb_f1=0.6, sveb_f1=0.3)


@dataclass(frozen=True)
class DemoFolder:
    """Layout of the folder of the demo; ``out`` is its absolute path."""

    out: Path

    @property
    def source(self) -> Path:
        """The simulated database for training and evaluation, laid out like PhysioNet."""
        return self.out / "source"

    @property
    def new(self) -> Path:
        """The simulated patients to score."""
        return self.out / "new"

    @property
    def data(self) -> Path:
        """The data directory: the ingested database and the champion."""
        return self.out / "data"

    @property
    def results(self) -> Path:
        """The results of scoring."""
        return self.out / "results"

    @property
    def tracking_uri(self) -> str:
        """The MLflow tracking store."""
        return f"sqlite:///{self.out.as_posix()}/mlruns/mlflow.db"


@flow
def demo(
    out: Path = Path("ectopy-demo"),
    *,
    patients: int = 12,
    minutes: float = 9.0,
    config: network.TrainConfig = CONFIG,
    minimum: MinimumScores = MINIMUM,
) -> str:
    """Run the whole pipeline with all files in one folder.

    Parameters
    ----------
    out
        The folder.
    patients
        The number of patients for training and evaluation; a third as many new patients are scored.
    minutes
        The length of each recording. EC57 does not score the first five minutes.
    config
        The choices of the training.
    minimum
        The scores that a champion must reach.

    Returns
    -------
    The EC57 table of the new patients, and where everything is.
    """
    folder = DemoFolder(out.absolute())
    logger.info("1/5  simulating and ingesting %d patients", patients)
    simulate_database(folder.source, recordings=patients, minutes=minutes, seed=1)
    ingest(DATABASE, str(folder.source), folder.data)
    decision = train_and_evaluate(folder, config, minimum)
    logger.info("4/5  scoring %d new patients", n_new := patients // 3)
    simulated = simulate_database(folder.new, recordings=n_new, minutes=minutes, seed=2)
    score(
        [str(simulated)],
        folder.results,
        experiment=NAME,
        tracking_uri=folder.tracking_uri,
        data_dir=folder.data,
    )
    logger.info("5/5  comparing their beats with the simulated ones")
    comparison = ec57.compare_directories(simulated, folder.results, "ectopy")
    table = ec57.table(comparison, beat_map="ec57")
    return "\n".join(["", table, *addresses(folder), "", decision.reason])


def train_and_evaluate(
    folder: DemoFolder, config: network.TrainConfig, minimum: MinimumScores
) -> PromotionDecision:
    """Train a challenger and evaluate it; the first one becomes champion if it reaches the minimum.

    Parameters
    ----------
    folder
        The folder of the demo.
    config
        The choices of the training.
    minimum
        The scores that a champion must reach.

    Returns
    -------
    The decision and its reason.
    """
    logger.info("2/5  training a challenger, %d epochs", config.epochs)
    shared: dict[str, Any] = {
        "data_dir": folder.data,
        "experiment": NAME,
        "model": NAME,
        "tracking_uri": folder.tracking_uri,
    }
    version = train([TrainingSource(DATABASE)], config=config, **shared)
    logger.info("3/5  evaluating version %s of %s on patients it has not seen", version.number, NAME)
    decision: PromotionDecision = evaluate(DATABASE, minimum=minimum, reason="the demo", **shared)
    logger.info("     %s", decision)
    return decision


def addresses(folder: DemoFolder) -> list[str]:
    """Return where everything is; commands can be pasted in any directory."""
    experiment = runs.connect(folder.tracking_uri, NAME)
    ectopy = shlex.quote(str(Path(sys.executable).with_name("ectopy")))
    mlflow = f"ECTOPY_TRACKING_URI={shlex.quote(folder.tracking_uri)} {ectopy} ui"
    return [
        f"reports  {folder.results / 'index.html'}",
        f"table    {folder.results / 'summary.csv'}",
        f"model    {folder.data / 'models' / 'champion'}",
        f"MLflow   {mlflow}",
        f"         then http://127.0.0.1:5000/#/experiments/{experiment}/runs",
    ]
