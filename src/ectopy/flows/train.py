"""Train a challenger: records -> features -> cross-validation -> ensemble -> the MLflow registry."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path

from prefect import flow, runtime
from prefect.states import Completed

from ectopy.batch import results
from ectopy.datasets.catalogue import CORRECTIONS
from ectopy.evaluation import headline_metrics, model_card
from ectopy.evaluation.jobs import out_of_fold_jobs
from ectopy.evaluation.log_out_of_fold import log_by_database, log_out_of_fold, record_counts
from ectopy.flows.assets import database_asset, model_asset, record_asset
from ectopy.flows.expected import without_traceback
from ectopy.flows.log_reviews import log_review_batch
from ectopy.flows.progress import announce
from ectopy.flows.tasks import evaluate_records, fit_networks, log_data, read_records
from ectopy.model import augmentation, calibration, network, training
from ectopy.model.folds import Fold, require_patients
from ectopy.model.manifest import write_manifest
from ectopy.model.train_file import as_toml
from ectopy.model.training import EpochReport, FittedNetwork, NetworkJob, TrainingFolder
from ectopy.model.training_set import RecordJob
from ectopy.model.training_sources import DEFAULT_SOURCES, SourceRecords, TrainingSource, select_records
from ectopy.registry import model_versions, runs
from ectopy.registry.learning_curves import LearningCurves
from ectopy.registry.shipped_champion import OutOfFold, register_shipped, write_out_of_fold
from ectopy.review.agreement import read_reviews
from ectopy.review.corrections import import_corrections, origins
from ectopy.settings import load_settings

logger = logging.getLogger(__name__)

_DESCRIPTION = """Training on {databases}: cross-validation by patient, then the ensemble that is registered.

* **Model metrics**: `by_epoch/` has the loss by epoch, and `out_of_fold/` the metrics on patients that
  no network of their fold has seen.
* **Artifacts**: `metrics.json` has all metrics, `out_of_fold/detected.json` each record, `card.md` the model
  card.
* The runs below this one are the folds and the networks."""


@flow
@without_traceback
def train(  # noqa: PLR0913, PLR0917 - the parameters of a flow are its form in Prefect
    databases: Sequence[TrainingSource] | str = DEFAULT_SOURCES,
    data_dir: Path | None = None,
    config: network.TrainConfig | None = None,
    experiment: str = "ectopy-train",
    model: str = "ectopy",
    tracking_uri: str | None = None,
    database: str | None = None,
    corrections: Sequence[Path] = (),
    corrections_weight: float = 1.0,
) -> model_versions.Version:
    """Cross-validate by patient, train on all training records, and register the model as challenger.

    Parameters
    ----------
    databases
        The databases to train on, with the weight and the label map of each; or the name of one.
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
    database
        The name of a single training database, in place of ``databases``; the parameter of version 0.2,
        accepted until version 0.4.
    corrections
        Folders of results with recordings that readers have confirmed, to train on as well.
    corrections_weight
        How often a window of them is drawn, relative to a record as long of a database with weight 1.

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
    if database:
        logger.warning("The parameter `database` goes in version 0.4. Give `databases` instead.")
        databases = database
    if isinstance(databases, str):
        databases = [TrainingSource(databases)]
    if corrections:
        records = import_corrections(corrections, data_dir)
        databases = [*databases, TrainingSource(CORRECTIONS, records, corrections_weight)]
    sources = require_training(databases, data_dir, config)
    work = TrainingFolder(data_dir / "training" / "+".join(source.database.name for source in sources))
    work.path.mkdir(parents=True, exist_ok=True)
    runs.connect(tracking_uri or settings.tracking_uri, experiment)
    try:
        with results.lock_folder(work.path):
            return _train(sources, work, config, model, corrections)
    except results.BusyError as error:
        if runtime.deployment.id is None:
            raise
        return Completed(name="Skipped", message=str(error))  # type: ignore[return-value] # Prefect takes a state


def _train(
    sources: Sequence[SourceRecords],
    work: TrainingFolder,
    config: network.TrainConfig,
    model: str,
    corrections: Sequence[Path],
) -> model_versions.Version:
    databases, workers = ",".join(source.database.name for source in sources), load_settings().workers
    register_shipped(model)
    with runs.run(f"train on {databases}", description=_DESCRIPTION.format(databases=databases)) as run_id:
        announce(run_id)
        jobs = read_records(training.record_jobs(sources, config, work), workers)
        weights = {f"augmented/{kind}": weight for kind, weight in augmentation.SAMPLING_WEIGHTS.items()}
        runs.log_config(config, database=databases, **weights)
        runs.log_text(as_toml(config, [source.source for source in sources]), "training.toml")
        datasets = log_data(sources, jobs)
        if reviews := [review for out in corrections for review in read_reviews(out)]:
            log_review_batch(reviews, nested=True)
            runs.log_text(origins(sources), "corrections.json")
        folds = training.make_folds(jobs, config)
        by_fold = training.fold_networks(jobs, folds, config, work)
        members = training.member_networks(jobs, config, work)
        fitted = fit_with_curves([*chain(*by_fold), *members], run_id)  # together: no core waits between them
        log_folds(folds, by_fold, fitted[: -config.members], work)
        predictions = training.load_predictions(by_fold)
        calibrated = calibration.calibrate_predictions(predictions, coverage=config.coverage)
        errors = calibration.errors_by_database(predictions, calibrated).items()
        calibration_metrics = asdict(calibrated) | {f"expected_error/{name}": error for name, error in errors}
        runs.log_results(calibration_metrics, ("expected_error",), prefix="calibration/")
        evaluations = evaluate_records(out_of_fold_jobs(jobs, by_fold, work), workers)
        by_key = dict(zip([job.record.key for job in jobs], evaluations, strict=True))
        metrics = log_out_of_fold(by_key)
        folders = [member.model for member in members]
        training.calibrate_members(folders, calibrated)
        for number, member in enumerate(fitted[-config.members :]):
            log_network(member, tags={model_versions.MEMBER: str(number)})
        card = model_card.build_model_card(
            model=f"{model}, run {run_id[:8]}",
            sources=sources,
            config=asdict(config) | weights,
            out_of_fold=metrics,
            calibration_error=calibrated.expected_error,
        )
        training.save_ensemble(folders, work.model, calibrated, name=f"{model} {run_id[:8]}", run=run_id)
        training.save_reference_profile(predictions, calibrated, work.model)
        (work.model / "card.md").write_text(card)
        write_out_of_fold(work.model, OutOfFold(databases, metrics, tuple(record_counts(by_key))))
        write_manifest(work.model)
        runs.log_text(card, "card.md")
        version = model_versions.register(work.model, model=model, tags={"database": databases})
        log_by_database(by_key, model_versions.model_id_of(version), datasets)
        made_from = [database_asset(source.database.name) for source in sources]
        record_asset(model_asset(model), made_from, {"version": version.number, "run": run_id})
        return version


def require_training(
    databases: Sequence[TrainingSource], data_dir: Path, config: network.TrainConfig
) -> list[SourceRecords]:
    """Find the records to train on; refuse what cannot be trained before any work begins.

    Parameters
    ----------
    databases
        The databases to train on.
    data_dir
        The folder of databases.
    config
        The choices of the experiment.

    Returns
    -------
    The records of each database.

    Raises
    ------
    TooFewPatientsError
        If there are fewer patients than folds.
    """
    sources = select_records(databases, data_dir)
    records = [record for source in sources for record in source.labelled(use_doubtful=True)]
    require_patients((record.patient for record in records), config.n_folds)
    return sources


def fit_with_curves(jobs: Sequence[NetworkJob], run_id: str) -> list[FittedNetwork]:
    """Train networks; their learning curves grow on the run while they train.

    Parameters
    ----------
    jobs
        The networks to train.
    run_id
        The run that shows the curves.

    Returns
    -------
    The trained networks.
    """
    groups = {job.name: job.name.partition(",")[0] if job.fold else "ensemble" for job in jobs}
    curves = LearningCurves(run_id, groups)
    fitted = fit_networks(jobs, load_settings().workers, curves.add)
    for each in fitted:
        for epoch, losses in enumerate(each.losses):  # a report may be late
            curves.add(EpochReport(each.job.name, epoch, losses))
    return fitted


def cross_validate(
    jobs: Sequence[RecordJob],
    folds: Sequence[Fold],
    config: network.TrainConfig,
    work: TrainingFolder,
    run_id: str,
) -> list[list[NetworkJob]]:
    """Train the networks of every fold without its patients, and apply them to these.

    Parameters
    ----------
    jobs
        The jobs that have written the training records.
    folds
        The records for training and the held-out records of each fold.
    config
        The choices of the experiment.
    work
        The folder of this training.
    run_id
        The run that shows the learning curves.

    Returns
    -------
    The networks of each fold, which are trained.
    """
    by_fold = training.fold_networks(jobs, folds, config, work)
    log_folds(folds, by_fold, fit_with_curves([*chain(*by_fold)], run_id), work)
    return by_fold


def log_folds(
    folds: Sequence[Fold],
    by_fold: Sequence[Sequence[NetworkJob]],
    fitted: Sequence[FittedNetwork],
    work: TrainingFolder,
) -> None:
    """Write the ensemble of each fold, and log it with its networks as a run of its own.

    Parameters
    ----------
    folds
        The records for training and the held-out records of each fold.
    by_fold
        The networks of each fold.
    fitted
        The same networks, trained, fold after fold.
    work
        The folder of this training.
    """
    each = iter(fitted)
    for number, (fold, networks) in enumerate(zip(folds, by_fold, strict=True)):
        description = f"The ensemble of fold {number}, on the {len(fold.test)} records that it has not seen."
        with runs.run(f"fold {number}", description=description, nested=True):
            runs.log_parameters({model_versions.HELD_OUT: ",".join(fold.test)})
            comparisons = training.save_fold(networks, work.fold(number))
            runs.log_folder(work.fold(number), "model")
            runs.log_metrics(headline_metrics.summarise(comparisons))
            for network in islice(each, len(networks)):
                log_network(network)


def log_network(fitted: FittedNetwork, tags: Mapping[str, str] | None = None) -> None:
    """Log a network as a run of its own: its settings, losses and files.

    Parameters
    ----------
    fitted
        The trained network.
    tags
        Tags of the run.
    """
    description = "One network: its settings, its loss by epoch and its files."
    with runs.run(fitted.job.name, description=description, nested=True, tags=tags):
        runs.log_config(fitted.job.config)
        for epoch, losses in enumerate(fitted.losses):
            runs.log_metrics(losses, step=epoch)
        runs.log_metrics({"cost/cpu_s": fitted.cpu_s})
        runs.log_folder(fitted.job.model, "model")
