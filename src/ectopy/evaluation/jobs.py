"""Which records are evaluated, and with which model: never with a network that has seen the patient."""

from collections.abc import Sequence
from pathlib import Path

from ectopy.datasets import catalogue
from ectopy.evaluation.evaluate_record import EvaluationJob
from ectopy.model.training import NetworkJob, TrainingFolder
from ectopy.model.training_set import RecordJob
from ectopy.registry import model_versions


def out_of_fold_jobs(
    jobs: Sequence[RecordJob], by_fold: Sequence[Sequence[NetworkJob]], work: TrainingFolder
) -> list[EvaluationJob]:
    """Pair each training record with the ensemble of the fold that held it out, and with its networks.

    Parameters
    ----------
    jobs
        The jobs that have written the training records.
    by_fold
        The networks of each fold.
    work
        The folder with the ensembles of the folds.

    Returns
    -------
    A job for each record.
    """
    models = {
        record: (work.fold(number), tuple(job.model for job in networks))
        for number, networks in enumerate(by_fold)
        for record in (networks[0].fold.test if networks[0].fold else ())
    }
    return [EvaluationJob(job.record.path, job.record.patient, *models[job.record.key]) for job in jobs]


def challenger_jobs(
    challenger: model_versions.Version, ensemble: Path, database: catalogue.Database, records: Sequence[Path]
) -> list[EvaluationJob]:
    """Pair each record with the ensemble, or with a network that has not seen the patient.

    All records of a database that the challenger was trained on are evaluated if MLflow has the networks of
    its folds. Otherwise only held-out records are.

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
    unseen = networks_by_record(challenger, database.name)
    if database.name in (model_versions.databases_of(challenger) or {database.name}):
        models = {record: unseen.get(_key(database, record.name), ensemble) for record in records}
        complete = all(_key(database, record) in unseen for record in training)
    else:
        by_patient = {_patient_of(key): model for key, model in unseen.items()}
        models = {record: by_patient.get(patient, ensemble) for record, patient in patients.items()}
        complete = False
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


def networks_by_record(version: model_versions.Version, default: str) -> dict[str, Path]:
    """Download, for each training record, the networks of a fold that have not seen its patient.

    Versions from before ectopy 0.3 have a single database, and name the records alone.

    Parameters
    ----------
    version
        The version.
    default
        The training database of a version that names none.

    Returns
    -------
    Model directories by the key of a record, such as ``mitdb/101``.
    """
    found = model_versions.out_of_fold_runs(version)
    models = {run: model_versions.download_folder(run, "model") for run in set(found.values())}
    first, *_ = model_versions.databases_of(version) or (default,)
    return {name if "/" in name else f"{first}/{name}": models[run] for name, run in found.items()}


def _key(database: catalogue.Database, record: str) -> str:
    return f"{database.name}/{record}"


def _patient_of(key: str) -> str:
    name, _, record = key.partition("/")
    return catalogue.patient_of(catalogue.find_database(name), record)
