"""Find doubtful labels of the training databases, and draw some of them.

``uv run python tools/doubtful_labels.py find``    writes src/ectopy/datasets/doubtful_labels.csv
``uv run python tools/doubtful_labels.py strips``  draws docs/doubtful-labels/*.png

``find`` trains 25 networks. It keeps the records that it read in ``<data-dir>/training/doubtful-labels``.
Delete this folder after a change of features. DS2 is never read.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ectopy import plot_strip
from ectopy.annotations import read_annotations
from ectopy.datasets import catalogue, download
from ectopy.datasets.doubtful_labels import FILE, DoubtfulLabel, doubtful_samples
from ectopy.ecg import Beats
from ectopy.model import folds, network, training
from ectopy.model.calibration import OutOfFoldPrediction
from ectopy.model.label_doubts import find_doubtful_labels
from ectopy.model.network import TrainConfig
from ectopy.model.training import TrainingFolder
from ectopy.model.training_set import run_job
from ectopy.model.training_sources import DEFAULT_SOURCES, labelled_beats, select_records
from ectopy.readers import open_recording
from ectopy.settings import load_settings

RUNS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1))
"""Seeds of the fold split and of the network."""
STRIPS = (("svdb", "826", 783.0), ("svdb", "852", 1317.8), ("svdb", "881", 449.0))
"""Database, record and first second of each strip."""
STRIP_S = 8.0
PICTURES = Path("docs/doubtful-labels")

app = typer.Typer(add_completion=False)
DataDir = Annotated[Path | None, typer.Option(help="Folder of the databases. [env: ECTOPY_DATA_DIR]")]


@app.command()
def find(data_dir: DataDir = None, out: Path = FILE) -> None:
    """Train networks on all labels, out of fold, and write the list of doubtful labels."""
    config = TrainConfig(use_doubtful_labels=True)
    found = find_doubtful_labels(list(_predictions(config, RUNS, data_dir)))
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(DoubtfulLabel._fields)
        writer.writerows(found)
    print(f"{out}: {len(found)} doubtful labels")


@app.command()
def strips(data_dir: DataDir = None) -> None:
    """Draw strips with the labels of the database; a question mark follows a doubtful one."""
    PICTURES.mkdir(exist_ok=True)
    for name, record, start_s in STRIPS:
        database = catalogue.find_database(name)
        path = download.database_folder(database, data_dir or load_settings().data_dir) / record
        recording = open_recording(path)
        fs, sample, label = recording.fs, *labelled_beats(read_annotations(path, "atr"))
        probability = np.zeros((len(label), 4), dtype=np.float32)
        confident = ~np.isin(sample, doubtful_samples(name, record))
        start, stop = round(start_s * fs), round((start_s + STRIP_S) * fs)
        figure = plot_strip(
            recording.read(start, stop),
            fs,
            leads=recording.leads,
            beats=Beats(sample, label, probability, confident, fs),
            start_s=start_s,
        )
        figure.savefig(PICTURES / f"{name}-{record}.png", dpi=70)


def _predictions(
    config: TrainConfig, runs: Iterable[tuple[int, int]], data_dir: Path | None
) -> Iterator[list[OutOfFoldPrediction]]:
    """Predict every record by networks that were not trained on its patient, for each pair of seeds."""
    data_dir = data_dir or load_settings().data_dir
    work = TrainingFolder(data_dir / "training" / "doubtful-labels")
    jobs = training.record_jobs(select_records(DEFAULT_SOURCES, data_dir), config, work)
    for job in jobs:
        if not job.training_record.is_file():
            run_job(job)
    records = training.load_records(jobs)
    with network.compilation_cache(work.compiled):
        for split, seed in runs:
            yield [
                prediction
                for fold in folds.split_folds(records, config.n_folds, seed=split)
                for prediction in network.fit_fold(records, fold, replace(config, seed=seed))[1]
            ]


if __name__ == "__main__":
    app()
