"""The whole road on simulated patients, offline: ingest, train, evaluate, promote, score, compare."""

import logging
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import flow

from ectopy import ec57
from ectopy.batch.planning import find_model
from ectopy.datasets.simulate import DATABASE, simulate_database
from ectopy.flows.evaluate import evaluate
from ectopy.flows.ingest import ingest
from ectopy.flows.score import score
from ectopy.flows.train import train
from ectopy.model import network
from ectopy.registry import runs
from ectopy.registry.promotion_gate import MinimumScores, PromotionDecision

logger = logging.getLogger(__name__)

NAME = "ectopy-demo"
"""Of the experiment and of the registered model: nothing here mixes with what was learned from patients."""
CONFIG = network.TrainConfig(n_folds=2, members=1, epochs=6, windows_per_epoch=640)
FLOORS = MinimumScores(veb_f1=0.6, sveb_f1=0.3)


@dataclass(frozen=True)
class Places:
    """Where the demo keeps what; ``out`` is absolute."""

    out: Path

    @property
    def source(self) -> Path:
        """The patients to learn from and be examined on, laid out like PhysioNet."""
        return self.out / "source"

    @property
    def new(self) -> Path:
        """The patients that come later."""
        return self.out / "new"

    @property
    def data(self) -> Path:
        """The data directory: what was ingested, the champion."""
        return self.out / "data"

    @property
    def results(self) -> Path:
        """What scoring writes."""
        return self.out / "results"

    @property
    def tracking_uri(self) -> str:
        """The tracking store."""
        return f"sqlite:///{self.out.as_posix()}/mlruns/mlflow.db"


@flow
def demo(
    out: Path = Path("ectopy-demo"),
    *,
    patients: int = 12,
    minutes: float = 9.0,
    config: network.TrainConfig = CONFIG,
    floors: MinimumScores = FLOORS,
) -> str:
    """Walk the whole road with everything under ``out``; tell what was found and where it lies.

    A third as many new patients are scored as there are to learn from. EC57 passes over five of the minutes.
    """
    places = Places(out.absolute())
    logger.info("1/5  %d patients are simulated and ingested", patients)
    simulate_database(places.source, recordings=patients, minutes=minutes, seed=1)
    ingest(DATABASE, str(places.source), places.data)
    verdict = learn(places, config, floors)
    logger.info("4/5  %d new patients are scored", new := patients // 3)
    simulated = simulate_database(places.new, recordings=new, minutes=minutes, seed=2)
    score(
        [str(simulated)],
        places.results,
        model=str(find_model(None, places.data)),
        experiment=NAME,
        tracking_uri=places.tracking_uri,
    )
    logger.info("5/5  their beats are compared with the truth")
    compared = ec57.compare_directories(simulated, places.results, "ectopy")
    return "\n".join(["", ec57.table(compared, beat_map="ec57"), *signposts(places), "", verdict.reason])


def learn(places: Places, config: network.TrainConfig, floors: MinimumScores) -> PromotionDecision:
    """Train a challenger and examine it; the first there is becomes champion."""
    logger.info("2/5  a challenger is trained, %d epochs", config.epochs)
    where: dict[str, Any] = {
        "data_dir": places.data,
        "experiment": NAME,
        "model": NAME,
        "tracking_uri": places.tracking_uri,
    }
    version = train(DATABASE, config=config, **where)
    logger.info("3/5  version %s of %s is examined on patients it has not seen", version.number, NAME)
    verdict: PromotionDecision = evaluate(DATABASE, floors=floors, why="the demo", **where)
    logger.info("     %s: %s", "promoted" if verdict.promoted else "not promoted", verdict.reason)
    return verdict


def signposts(places: Places) -> list[str]:
    """Tell where everything lies; commands can be pasted from any directory."""
    experiment = runs.connect(places.tracking_uri, NAME)
    mlflow = shlex.join(
        [str(Path(sys.executable).with_name("mlflow")), "ui", "--backend-store-uri", places.tracking_uri]
    )
    return [
        f"reports  {places.results / 'index.html'}",
        f"table    {places.results / 'summary.csv'}",
        f"model    {places.data / 'models' / 'champion'}",
        f"MLflow   {mlflow}",
        f"         then http://127.0.0.1:5000/#/experiments/{experiment}/runs",
    ]


if __name__ == "__main__":
    demo()
