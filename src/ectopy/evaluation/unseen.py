"""Records of a database that one version was trained on and its rival was not: the rival on them, as a whole.

Patients of a database that a version never trained on are new to it, so its own analysis of them is a fair
one. With it, the promotion gate compares both versions on every training database of either.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from ectopy.datasets import catalogue, download
from ectopy.ec57.record_counts import RecordCounts
from ectopy.evaluation.evaluate_record import EvaluationJob, RecordEvaluation
from ectopy.model.classifier import ModelError, load_classifier
from ectopy.registry import evidence, model_versions

logger = logging.getLogger(__name__)


def unseen_jobs(
    version: model_versions.Version, rival: model_versions.Version, data_dir: Path
) -> dict[tuple[str, str], EvaluationJob]:
    """Find the training records of the rival that are new to a version, and pair each with its model.

    A record is left out if the version has counts of it. So is a record of a database or of a patient that
    the version was trained on. Held-out records are never among them. Records whose files are not here are
    named in a warning, and the promotion gate refuses to judge without them. A version that does not name its
    training database gets no jobs, nor one that this version of ectopy cannot load.

    Parameters
    ----------
    version
        The version to evaluate.
    rival
        The version whose counts it is to be compared with.
    data_dir
        The folder of databases.

    Returns
    -------
    A job for each database and record.
    """
    trained_on = set(model_versions.databases_of(version))
    if not trained_on:
        return {}
    known = {counts.key for counts in evidence.read_evidence(version).counts}
    seen = _training_patients(version, min(trained_on))
    wanted = [
        counts
        for counts in evidence.read_records(rival, evidence.OUT_OF_FOLD_RECORDS)
        if counts.key not in known
        and not trained_on & {counts.database, counts.patient.partition("/")[0]}
        and counts.patient not in seen
    ]
    paths = _training_paths({counts.database for counts in wanted}, data_dir)
    if absent := [counts.key for counts in wanted if (counts.database, counts.record) not in paths]:
        logger.warning(
            "%s: %s is not compared on %s: not among the training records here. "
            "`ectopy ingest` brings the records of a database.",
            data_dir,
            version.uri,
            evidence.list_names(absent),
        )
        wanted = [counts for counts in wanted if counts.key not in absent]
    if not wanted:
        return {}
    model = model_versions.fetch_model(version.uri)
    try:
        load_classifier(model)
    except ModelError as error:  # such as a champion of an earlier version of ectopy, with other features
        logger.warning(
            "%s is not analysed on %s, because this version of ectopy cannot load it: %s The gate does not "
            "judge without them. `ectopy models promote --reason TEXT` promotes by hand.",
            version.uri,
            evidence.list_names([counts.key for counts in wanted]),
            error,
        )
        return {}
    networks = [model_versions.download_folder(run, "model") for run in model_versions.member_runs(version)]
    return {
        name: EvaluationJob(paths[name], counts.patient, model, tuple(networks), held_out=False)
        for counts in wanted
        if (name := (counts.database, counts.record))
    }


def add_evidence(
    version: model_versions.Version,
    names: Sequence[tuple[str, str]],
    evaluations: Sequence[RecordEvaluation],
) -> None:
    """Keep the results of such jobs with the version.

    Parameters
    ----------
    version
        The version that was evaluated.
    names
        Database and record of each job.
    evaluations
        The results, in the same order.
    """
    evidence.add_unseen_records(
        version,
        [
            RecordCounts(
                *name,
                evaluation.reference.patient,
                evaluation.outcome.beats,
                tuple(member.beats for member in evaluation.members),
            )
            for name, evaluation in zip(names, evaluations, strict=True)
        ],
    )


def _training_patients(version: model_versions.Version, database: str) -> set[str]:
    """Return the patients of a version's cross-validation; older versions name records without database."""
    counted = {counts.patient for counts in evidence.read_records(version, evidence.OUT_OF_FOLD_RECORDS)}
    keys = [name.rpartition("/") for name in model_versions.out_of_fold_runs(version)]
    return counted | {
        catalogue.patient_of(catalogue.find_database(named or database), record) for named, _, record in keys
    }


def _training_paths(databases: set[str], data_dir: Path) -> dict[tuple[str, str], Path]:
    """Return the paths of the annotated training records that are here."""
    paths: dict[tuple[str, str], Path] = {}
    for name in databases:
        database = catalogue.find_database(name)
        folder = download.database_folder(database, data_dir)
        if folder.is_dir():
            training, _ = catalogue.split(database, download.annotated_records(folder))
            paths |= {(name, record): folder / record for record in training}
    return paths
