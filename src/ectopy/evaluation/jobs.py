"""Which records are evaluated, and with which model: never with a network that has seen the patient."""

from collections.abc import Sequence
from pathlib import Path

from ectopy.datasets import catalogue
from ectopy.evaluation.evaluate_record import EvaluationJob
from ectopy.model.folds import Fold
from ectopy.model.training import TrainingFolder
from ectopy.model.training_set import RecordJob
from ectopy.registry import model_versions


def out_of_fold_jobs(
    jobs: Sequence[RecordJob], folds: Sequence[Fold], work: TrainingFolder
) -> list[EvaluationJob]:
    """Pair each training record with the network of the fold that held it out.

    Parameters
    ----------
    jobs
        The jobs that have written the training records.
    folds
        The folds of the cross-validation.
    work
        The folder with the networks of the folds.

    Returns
    -------
    A job for each record.
    """
    networks = {record: work.fold(number) for number, fold in enumerate(folds) for record in fold.test}
    return [EvaluationJob(job.record, job.patient, networks[job.record.name]) for job in jobs]


def challenger_jobs(
    challenger: model_versions.Version, ensemble: Path, database: catalogue.Database, records: Sequence[Path]
) -> list[EvaluationJob]:
    """Pair each record with the ensemble, or with a network that has not seen the patient.

    All records of the challenger's own database are evaluated if MLflow has the networks of its folds.
    Otherwise only held-out records are.

    Parameters
    ----------
    challenger
        The version to evaluate.
    ensemble
        The model directory of that version.
    database
        The database of the records.
    records
        Paths of the annotated records, without suffix.

    Returns
    -------
    A job for each record that can be evaluated.
    """
    training, held_out = catalogue.split(database, [record.name for record in records])
    patients = {record: catalogue.patient_of(database, record.name) for record in records}
    members = tuple(
        model_versions.download_folder(run, "model") for run in model_versions.member_runs(challenger)
    )
    if training_database(challenger, database) == database:
        unseen = {name: model for name, model in _networks_by_record(challenger).items() if name in training}
        complete = set(unseen) == set(training)
        models = {record: unseen.get(record.name, ensemble) for record in records}
    else:
        by_patient = _networks_by_patient(challenger, database)
        complete = False
        models = {record: by_patient.get(patient, ensemble) for record, patient in patients.items()}
    return [
        EvaluationJob(
            record,
            patients[record],
            model,
            members if model == ensemble and record.name in held_out else (),
            held_out=record.name in held_out,
        )
        for record, model in models.items()
        if complete or record.name in held_out
    ]


def training_database(challenger: model_versions.Version, default: catalogue.Database) -> catalogue.Database:
    """Return the database that a version was trained on.

    Parameters
    ----------
    challenger
        The version.
    default
        The database to assume if the version does not name one.

    Returns
    -------
    The training database.
    """
    return catalogue.find_database(model_versions.tags_of(challenger).get("database", default.name))


def _networks_by_record(challenger: model_versions.Version) -> dict[str, Path]:
    """Download, for each training record, a network of the folds that has not seen its patient."""
    runs = model_versions.out_of_fold_runs(challenger)
    models = {run: model_versions.download_folder(run, "model") for run in set(runs.values())}
    return {record: models[run] for record, run in runs.items()}


def _networks_by_patient(challenger: model_versions.Version, database: catalogue.Database) -> dict[str, Path]:
    """Download the same for each training patient, who may also be in another database."""
    training = training_database(challenger, database)
    networks = _networks_by_record(challenger)
    return {catalogue.patient_of(training, record): model for record, model in networks.items()}
