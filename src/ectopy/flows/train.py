"""Train a challenger: records -> features -> cross-validation -> ensemble -> the MLflow registry."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect import flow, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed

from ectopy.batch import results
from ectopy.datasets import catalogue, download
from ectopy.evaluation import headline_metrics, model_card
from ectopy.evaluation.jobs import out_of_fold_jobs
from ectopy.evaluation.log_out_of_fold import log_out_of_fold
from ectopy.flows.tasks import evaluate_records, log_data, read_records
from ectopy.model import augmentation, network, training
from ectopy.model.calibration import Calibration
from ectopy.model.folds import Fold
from ectopy.model.training import TrainingFolder
from ectopy.model.training_set import RecordJob
from ectopy.registry import model_versions, runs
from ectopy.registry.shipped_champion import OutOfFold, register_shipped, write_out_of_fold
from ectopy.settings import load_settings

logger = logging.getLogger(__name__)


@flow
def train(  # noqa: PLR0913, PLR0917 - the parameters of a flow are its form in Prefect
    database: str = "mitdb",
    data_dir: Path | None = None,
    config: network.TrainConfig | None = None,
    experiment: str = "ectopy-train",
    model: str = "ectopy",
    tracking_uri: str | None = None,
) -> model_versions.Version:
    """Cross-validate by patient, train on all training records, and register the model as challenger.

    Parameters
    ----------
    database
        The name of the training database.
    data_dir
        The folder of databases and models; by default that of the settings.
    config
        The choices of the experiment.
    experiment
        The name of the MLflow experiment.
    model
        The name of the registered model.
    tracking_uri
        The MLflow tracking store; by default that of the settings.

    Returns
    -------
    The new version, which is the challenger.

    Raises
    ------
    BusyError
        If another training is at work there. A run of a deployment is then "skipped": its completion would
        start the deployment ``evaluate``.
    """
    settings, config = load_settings(), config or network.TrainConfig()
    data_dir = data_dir or settings.data_dir
    source = catalogue.find_database(database)
    folder = download.database_folder(source, data_dir)
    download.annotated_records(folder)  # without a database, nothing is written
    work = TrainingFolder(data_dir / "training" / database)
    work.path.mkdir(parents=True, exist_ok=True)
    runs.connect(tracking_uri or settings.tracking_uri, experiment)
    try:
        with results.lock_folder(work.path):
            return _train(source, folder, work, config, model)
    except results.BusyError as error:
        if runtime.deployment.id is None:
            raise
        return Completed(name="Skipped", message=str(error))  # type: ignore[return-value] # Prefect takes a state


def _train(
    source: catalogue.Database, folder: Path, work: TrainingFolder, config: network.TrainConfig, model: str
) -> model_versions.Version:
    database, workers = source.name, load_settings().workers
    present = download.annotated_records(folder)
    records, held_out = catalogue.split(source, present)
    patients = {record: catalogue.patient_of(source, record) for record in records}
    register_shipped(model)
    with (
        runs.run(f"train on {database}") as run_id,
        TemporaryDirectory() as compiled,
        network.compilation_cache(Path(compiled)),
    ):
        jobs = read_records(training.record_jobs(folder, patients, config, work), workers)
        weights = {f"made/{kind}": weight for kind, weight in augmentation.SAMPLING_WEIGHTS.items()}
        runs.log_config(config, database=database, records=",".join(records), **weights)
        log_data(jobs, source)
        folds = training.split_folds(jobs, config)
        predictions = [cross_validate(number, fold, jobs, config, work) for number, fold in enumerate(folds)]
        calibrated = training.calibrate_folds(jobs, predictions, config)
        runs.log_metrics(asdict(calibrated), prefix="calibration/")
        metrics = log_out_of_fold(evaluate_records(out_of_fold_jobs(jobs, folds, work), workers))
        members = [fit_member(number, jobs, config, calibrated, work) for number in range(config.members)]
        card = model_card.build_model_card(
            model=f"{model}, run {run_id[:8]}",
            data=f"{source.title} ({database} {source.version})",
            records=records,
            held_out=held_out,
            left_out=[record for record in present if record not in {*records, *held_out}],
            config=asdict(config) | weights,
            out_of_fold=metrics,
            calibration_error=calibrated.expected_error,
        )
        name = f"{model} {run_id[:8]}"
        training.save_ensemble(members, work.model, calibrated, name=name, run=run_id)
        training.save_reference_profile(jobs, predictions, calibrated, work.model)
        (work.model / "card.md").write_text(card)
        write_out_of_fold(work.model, OutOfFold(database, metrics))
        runs.log_text(card, "card.md")
        return model_versions.register(work.model, model=model, tags={"database": database})


@task(task_run_name="fold {number}", cache_policy=NO_CACHE)
def cross_validate(
    number: int, fold: Fold, jobs: Sequence[RecordJob], config: network.TrainConfig, work: TrainingFolder
) -> Path:
    """Train a network without the patients of one fold, and apply it to them.

    Parameters
    ----------
    number
        The number of the fold, from 0.
    fold
        The records for training and the held-out records.
    jobs
        The jobs that have written the training records.
    config
        The choices of the experiment.
    work
        The folder of this training.

    Returns
    -------
    The file with the logits of the held-out records.
    """
    name, predictions = f"fold {number}", work.predictions(number)
    with runs.run(name, nested=True):
        runs.log_parameters({model_versions.HELD_OUT: ",".join(fold.test)})
        logger.info("fold %d: training without %s", number, " ".join(fold.test))
        comparisons = training.fit_fold(
            *(jobs, fold, config),
            model=work.fold(number),
            predictions=predictions,
            name=name,
            callbacks=[_log_epoch],
        )
        runs.log_folder(work.fold(number), "model")
        runs.log_metrics(headline_metrics.summarise(comparisons))
        return predictions


@task(task_run_name="member {number}", cache_policy=NO_CACHE)
def fit_member(
    number: int,
    jobs: Sequence[RecordJob],
    config: network.TrainConfig,
    calibrated: Calibration,
    work: TrainingFolder,
) -> Path:
    """Train one network of the ensemble on all training records.

    Parameters
    ----------
    number
        The number of the network, from 0.
    jobs
        The jobs that have written the training records.
    config
        The choices of the experiment.
    calibrated
        The calibration from the cross-validation.
    work
        The folder of this training.

    Returns
    -------
    The model directory of the network.
    """
    name, folder = f"member {number}", work.member(number)
    with runs.run(name, nested=True, tags={model_versions.MEMBER: str(number)}):
        member = training.member_config(config, number)
        runs.log_config(member)
        logger.info("member %d: training on all %d records", number, len(jobs))
        training.fit_member(jobs, member, calibrated, model=folder, name=name, callbacks=[_log_epoch])
        runs.log_folder(folder, "model")
        return folder


def _log_epoch(epoch: network.Epoch) -> None:
    runs.log_metrics(epoch.losses, step=epoch.number)
