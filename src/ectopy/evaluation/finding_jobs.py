"""Which records' findings are evaluated, and with which model: never with a network that saw the patient."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ectopy.datasets import catalogue, download
from ectopy.evaluation.evaluate_record import NothingToEvaluateError
from ectopy.evaluation.finding_reference import LABELS
from ectopy.evaluation.jobs import networks_by_record
from ectopy.evaluation.record_findings import FindingJob
from ectopy.model.calibration import Calibration
from ectopy.model.classifier import SHIPPED_MODEL, ModelError, load_classifier
from ectopy.model.rhythm_classifier import SHIPPED_RHYTHM_MODEL, load_rhythm_classifier
from ectopy.registry import model_versions, shipped_champion

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FindingModel:
    """A model with what is needed to evaluate it on its own training patients.

    ``folds`` are model directories by key of a training record: networks that have not seen its patient.
    ``training`` are the names of its training databases. ``calibration`` is that of the model, which the
    networks of its folds take over. ``version`` is that of the registry, None for the shipped model.
    """

    name: str
    folder: Path
    training: tuple[str, ...]
    folds: Mapping[str, Path]
    calibration: Calibration | None = None
    version: model_versions.Version | None = None


def find_model(name: str) -> FindingModel:
    """Find a model with the networks of its folds.

    Parameters
    ----------
    name
        ``shipped``, or an address of the connected registry: ``models:/ectopy@champion`` or
        ``models:/ectopy/2``.

    Returns
    -------
    The model. The shipped one has no networks of folds, so it is not evaluated on its training databases.

    Raises
    ------
    ModelError
        If the registry has no such model.
    """
    if name == shipped_champion.SHIPPED:
        trained = shipped_champion.read_out_of_fold(SHIPPED_MODEL).database
        return FindingModel(load_classifier(SHIPPED_MODEL).name, SHIPPED_MODEL, tuple(trained.split(",")), {})
    version = _version(name)
    folder = model_versions.fetch_model(version.uri)
    training = model_versions.databases_of(version) or ("mitdb",)
    folds = networks_by_record(version, training[0])
    specification = load_classifier(folder).specification
    calibration = Calibration(specification.temperature, specification.confidence_threshold)
    return FindingModel(specification.name, folder, training, folds, calibration, version)


def _version(address: str) -> model_versions.Version:
    model, at, alias = address.removeprefix("models:/").partition("@")
    version = None
    if at:
        version = model_versions.version_by_alias(model, alias)
    elif "/" in model:
        version = model_versions.version_by_number(*model.split("/", 1))
    if version is None or not address.startswith("models:/"):
        raise ModelError(
            f"{address}: not the address of a model in the registry. "
            "Give `shipped`, `models:/ectopy@champion` or `models:/ectopy/2`."
        )
    return version


def finding_jobs(
    model: FindingModel, databases: Sequence[str], data_dir: Path, *, held_out: bool = False
) -> list[FindingJob]:
    """Pair the records of some databases with a model that has not seen the patient.

    Of a database with training records, these are evaluated, or with ``held_out`` the held-out ones. Of a
    database for tests alone, all are. Records whose patient the model has seen are left out, with a warning.

    Parameters
    ----------
    model
        The model.
    databases
        Names of the databases; none stands for all that are present.
    data_dir
        The folder of databases.
    held_out
        Whether to evaluate held-out records instead.

    Returns
    -------
    A job for each record.

    Raises
    ------
    NothingToEvaluateError
        If a database has no labels of rhythm, or nothing is left to evaluate.
    FetchError
        If a database that is named is missing.
    """
    if unlabelled := [name for name in databases if catalogue.find_database(name).name not in LABELS]:
        raise NothingToEvaluateError(
            f"{', '.join(unlabelled)}: no labels by which findings can be evaluated. "
            f"Choose some of {', '.join(LABELS)}."
        )
    jobs: list[FindingJob] = []
    for name in databases or LABELS:
        database = catalogue.find_database(name)
        folder = download.database_folder(database, data_dir)
        if not databases and not (folder / "RECORDS").is_file():
            logger.info("%s: not here, and left out. `ectopy ingest %s` brings it.", folder, name)
            continue
        jobs += _jobs_on(database, folder, model, held_out=held_out)
    jobs = _with_rhythm_models(jobs, rhythm_folder(data_dir))
    if not jobs:
        raise NothingToEvaluateError(
            f"{data_dir}: no record here that {model.name} has not seen. Download a database, such as with "
            "`ectopy ingest vfdb`, or choose a model of the registry, which has the networks of its folds."
        )
    return jobs


def _jobs_on(
    database: catalogue.Database, folder: Path, model: FindingModel, *, held_out: bool
) -> list[FindingJob]:
    by_patient = {_patient_of(key): fold for key, fold in model.folds.items()}
    seen = {
        catalogue.patient_of(trained, record)
        for trained in map(catalogue.find_database, model.training)
        for record in trained.training
    }
    jobs, left_out = [], []
    for record in _records(database, folder, held_out=held_out):
        key, patient = f"{database.name}/{Path(record).name}", catalogue.patient_of(database, record)
        if fold := model.folds.get(key) or by_patient.get(patient):
            jobs.append(FindingJob(database.name, folder / record, patient, fold, model.calibration))
        elif patient in seen:
            left_out.append(record)
        else:
            jobs.append(FindingJob(database.name, folder / record, patient, model.folder))
    if left_out:
        logger.warning(
            "%s: %d records are left out: %s was trained on their patients, and there are no networks of "
            "its folds. Choose a model that `ectopy train` registered.",
            folder,
            len(left_out),
            model.name,
        )
    return jobs


def rhythm_folder(data_dir: Path) -> Path:
    """Return the folder in which ``ectopy train-rhythm`` keeps its networks."""
    return data_dir / "training" / "rhythm"


def _with_rhythm_models(jobs: Sequence[FindingJob], trained: Path) -> list[FindingJob]:
    """Find for each job a rhythm network that has not seen its patient: the shipped one, or of a fold."""
    folders = [SHIPPED_RHYTHM_MODEL, *sorted(folder.parent for folder in trained.glob("fold-*/model.json"))]
    seen = {folder: set(load_rhythm_classifier(folder).specification.trained_on) for folder in folders}
    given = [
        replace(
            job, rhythm_model=next((folder for folder in folders if job.patient not in seen[folder]), None)
        )
        for job in jobs
    ]
    if without := sum(job.rhythm_model is None for job in given):
        logger.warning(
            "%d records are evaluated without the rhythm network, which was trained on their patients. "
            "Train the networks of its folds with `ectopy train-rhythm`.",
            without,
        )
    return given


def _records(database: catalogue.Database, folder: Path, *, held_out: bool) -> list[str]:
    """Return the records to evaluate whose header is here."""
    wanted = database.training if database.training and not held_out else database.held_out
    stems = {Path(record).name for record in wanted}
    listed = download.read_records(folder)  # that of a partial mirror may omit some
    present = dict.fromkeys((*listed, *sorted(header.stem for header in folder.glob("*.hea"))))
    return [
        record for record in present if Path(record).name in stems and (folder / f"{record}.hea").is_file()
    ]


def _patient_of(key: str) -> str:
    name, _, record = key.partition("/")
    return catalogue.patient_of(catalogue.find_database(name), record)
