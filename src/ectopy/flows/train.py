"""Train a challenger: records -> features -> cross-validation -> GRU -> the MLflow registry."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from ectopy.datasets import catalogue, download
from ectopy.ec57 import gross
from ectopy.ec57.reference import DETECTED, GIVEN
from ectopy.evaluation import (
    EvaluationJob,
    RecordEvaluation,
    beats_by_condition,
    headline_metrics,
    model_card,
    plots,
)
from ectopy.flows.evaluate import examine_records
from ectopy.model import augmentation, calibration, folds, network, training_set
from ectopy.monitoring.drift import write_reference
from ectopy.parallel.worker_pool import WorkerPool
from ectopy.registry import model_versions, runs
from ectopy.settings import load_settings

logger = logging.getLogger(__name__)


@flow
def train(  # noqa: PLR0913, PLR0917 - parameters of a flow are its form
    database: str = "mitdb",
    data_dir: Path | None = None,
    config: network.TrainConfig | None = None,
    experiment: str = "ectopy-train",
    model: str = "ectopy",
    tracking_uri: str | None = None,
) -> model_versions.Version:
    """Cross-validate by patient, train on all training records, and register the model as challenger."""
    settings, config = load_settings(), config or network.TrainConfig()
    data_dir = data_dir or settings.data_dir
    known = catalogue.find_database(database)
    folder = download.database_folder(known, data_dir)
    present = download.annotated_records(folder)
    records, examined = catalogue.split(known, present)
    work = data_dir / "training" / database
    runs.connect(tracking_uri or settings.tracking_uri, experiment)
    with (
        runs.run(f"train on {database}") as run_id,
        TemporaryDirectory() as compiled,
        network.compiled_in(Path(compiled)),
    ):
        readings = readings_of(known, folder, records, config, work)
        lessons = [reading.load() for reading in read_records(readings, settings.workers)]
        made = {f"made/{kind}": share for kind, share in augmentation.SHARES.items()}
        runs.log_config(config, database=database, records=",".join(records), **made)
        log_data(lessons, known)
        parts = folds.folds(lessons, config.n_folds, seed=config.seed)
        held_out = [
            held
            for number, fold in enumerate(parts)
            for held in cross_validate(number, fold, lessons, config, work)
        ]
        calibrated = calibration.calibrate_on(held_out, coverage=config.coverage)
        runs.log_metrics(asdict(calibrated), prefix="calibration/")
        figures = log_out_of_fold(examine_records(unseen(readings, parts, work), settings.workers))
        members = [fit_member(number, lessons, config, calibrated, work) for number in range(config.members)]
        text = model_card.build_model_card(
            model=f"{model}, run {run_id[:8]}",
            data=f"{known.title} ({database} {known.version})",
            records=records,
            held_out=examined,
            left_out=[record for record in present if record not in {*records, *examined}],
            config=asdict(config) | made,
            out_of_fold=figures,
            calibration_error=calibrated.expected_error,
        )
        network.save(
            network.ensemble(members), work / "model", calibrated, name=f"{model} {run_id[:8]}", run=run_id
        )
        (work / "model" / "card.md").write_text(text)
        write_reference(calibration.reference_of(held_out, calibrated), work / "model")
        runs.log_text(text, "card.md")
        return model_versions.register(work / "model", model=model, tags={"database": database})


def readings_of(
    database: catalogue.Database,
    folder: Path,
    records: Sequence[str],
    config: network.TrainConfig,
    work: Path,
) -> list[training_set.RecordJob]:
    """Say which records are to be read, whose they are, who lends them beats, and where their lessons go."""
    patients = {record: catalogue.patient_of(database, record) for record in records}
    return [
        training_set.RecordJob(
            record=folder / record,
            patient=patient,
            training_record=work / f"{record}.npz",
            jitter_s=config.jitter_s,
            seed=config.seed,
            donors=tuple((folder / other, whose) for other, whose in patients.items() if whose != patient),
        )
        for record, patient in patients.items()
    ]


def read_records(readings: Sequence[training_set.RecordJob], workers: int) -> list[training_set.RecordJob]:
    """Read the records side by side, a task each."""
    with WorkerPool(workers) as processes:

        @task(task_run_name="read {reading.record.name}", cache_policy=NO_CACHE)
        def read_record(reading: training_set.RecordJob) -> training_set.RecordJob:
            return processes.call(training_set.read, reading)

        return read_record.map(readings).result()


@task(task_run_name="fold {number}", cache_policy=NO_CACHE)
def cross_validate(
    number: int, fold: folds.Fold, lessons: Any, config: network.TrainConfig, work: Path
) -> list[calibration.HeldOut]:
    """Train without the patients of one fold and see what the network makes of them."""
    with runs.run(f"fold {number}", nested=True):
        runs.log_parameters({model_versions.HELD_OUT: ",".join(fold.test)})
        logger.info("fold %d: training without %s", number, " ".join(fold.test))
        fitted, held_out = network.fit_fold(lessons, fold, config, on_epoch=_log_epoch)
        folder = fold_folder(work, number)
        network.save(fitted, folder, calibration.UNCALIBRATED, name=f"fold {number}", run="out of fold")
        runs.log_folder(folder, "model")
        runs.log_metrics(headline_metrics.summarise(calibration.comparisons(held_out)))
        return held_out


@task(task_run_name="member {number}", cache_policy=NO_CACHE)
def fit_member(
    number: int,
    lessons: Any,
    config: network.TrainConfig,
    calibration: calibration.Calibration,
    work: Path,
) -> network.Network:
    """Train one network of the ensemble on all training records, and keep it to be examined alone."""
    with runs.run(f"member {number}", nested=True, tags={model_versions.MEMBER: str(number)}):
        member = replace(config, seed=config.seed + number)
        runs.log_config(member)
        logger.info("member %d: training on all %d records", number, len(lessons))
        examples = [example for lesson in lessons for example in lesson.examples]
        fitted = network.fit(examples, member, seed=member.seed, on_epoch=_log_epoch)
        folder = work / f"member-{number}"
        network.save(fitted, folder, calibration, name=f"member {number}", run="one of the ensemble")
        runs.log_folder(folder, "model")
        return fitted


def unseen(
    readings: Sequence[training_set.RecordJob], folds: Sequence[folds.Fold], work: Path
) -> list[EvaluationJob]:
    """Pair each record with the network of the fold that it was left out of."""
    networks = {record: fold_folder(work, k) for k, fold in enumerate(folds) for record in fold.test}
    return [EvaluationJob(reading.record, reading.patient, networks[reading.record.name]) for reading in readings]


def fold_folder(work: Path, number: int) -> Path:
    """Say where the network of a fold is kept."""
    return work / f"fold-{number}"


def log_out_of_fold(examined: Sequence[RecordEvaluation]) -> dict[str, float]:
    """Log how analyses with the folds' networks did on patients they never saw; give the headline figures."""
    figures = {}
    patients = {each.record: each.reference.patient for each in examined}
    for way in (DETECTED, GIVEN):
        records = beats_by_condition({each.record: each for each in examined}, way)
        figures[way] = headline_metrics.summarise(records)
        runs.log_metrics(figures[way], prefix=f"out_of_fold/{way}/")
        runs.log_table(headline_metrics.metrics_by_record(records), f"out_of_fold/{way}.json")
        title = f"out of fold, {way} beats"
        runs.log_figure(plots.confusion_matrix(gross(records.values()), title), f"out_of_fold/{way}.png")
        spread = headline_metrics.bootstrap_intervals(records, patients)
        runs.log_figure(plots.forest(records, title, spread), f"out_of_fold/{way}-by-record.png")
    return figures[DETECTED]


def log_data(lessons: Sequence[training_set.TrainingRecord], database: catalogue.Database) -> None:
    """Log the data set with its digest."""
    given = [lesson.variant(GIVEN) for lesson in lessons]
    runs.log_data(
        f"{database.name} {database.version}, training records",
        f"https://physionet.org/content/{database.name}/{database.version}/",
        training_set.stacked(given),
        [label for example in given for label in example.label],
        context="training",
    )


def _log_epoch(epoch: int, losses: dict[str, float]) -> None:
    runs.log_metrics(losses, step=epoch)


if __name__ == "__main__":
    train()
