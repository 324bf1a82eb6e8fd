"""Evaluate across databases: out of fold over all, and on each with networks trained on the others."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from prefect import flow

from ectopy.batch import results
from ectopy.evaluation.cross_database import CrossTest
from ectopy.evaluation.cross_database_page import PAGE
from ectopy.evaluation.evaluate_record import EvaluationJob
from ectopy.evaluation.jobs import out_of_fold_jobs
from ectopy.evaluation.log_cross_database import log_page, log_test
from ectopy.flows.expected import without_traceback
from ectopy.flows.progress import announce
from ectopy.flows.tasks import evaluate_records, log_data, read_records
from ectopy.flows.train import cross_validate, fit_with_curves, log_network, require_training
from ectopy.model import network, training
from ectopy.model.calibration import UNCALIBRATED
from ectopy.model.training import TrainingFolder
from ectopy.model.training_set import RecordJob
from ectopy.model.training_sources import (
    DEFAULT_SOURCES,
    SourceRecords,
    TrainingSource,
    TrainingSourceError,
)
from ectopy.registry import runs
from ectopy.registry.closing import Study
from ectopy.settings import load_settings

logger = logging.getLogger(__name__)

_DESCRIPTION = """One recipe on {names}: how good it is on patients of each that no network has seen.

* **Artifacts**: `{page}` is the page.
* **Metrics**: `out_of_fold/` are of all databases together, `without_NAME/` of a database by networks that
  were trained on the others.
* The runs below this one are the tests, with the networks of each."""


@flow
@without_traceback
def cross_database(  # noqa: PLR0913, PLR0917 - the parameters of a flow are its form in Prefect
    databases: Sequence[TrainingSource] = DEFAULT_SOURCES,
    data_dir: Path | None = None,
    seeds: int = 3,
    config: network.TrainConfig | None = None,
    out: Path | None = None,
    experiment: str = "ectopy-cross-database",
    tracking_uri: str | None = None,
) -> Study:
    """Evaluate the recipe on patients of every database that no network has seen.

    No held-out record is opened.

    Parameters
    ----------
    databases
        The databases, with the weight and the label map of each; at least two.
    data_dir
        The folder of databases; by default that of the settings.
    seeds
        The number of networks in each ensemble.
    config
        The choices of all trainings.
    out
        A folder to which the page, its figure and the counts of each record are written too.
    experiment
        The name of the MLflow experiment.
    tracking_uri
        The MLflow tracking store; by default that of the settings.

    Returns
    -------
    The page, its summary, where it lies, and the run.

    Raises
    ------
    TrainingSourceError
        If there are fewer than two databases.
    TooFewPatientsError
        If there are fewer patients than folds.
    """
    settings = load_settings()
    config = replace(config or network.TrainConfig(), fold_members=seeds, members=seeds)
    data_dir = data_dir or settings.data_dir
    sources = require_databases(databases, data_dir, config)
    work = data_dir / "training" / "cross-database"
    work.mkdir(parents=True, exist_ok=True)
    runs.connect(tracking_uri or settings.tracking_uri, experiment)
    names = ",".join(source.database.name for source in sources)
    description = _DESCRIPTION.format(names=names.replace(",", ", "), page=PAGE)
    with results.lock_folder(work), runs.run(f"across {names}", description=description) as run_id:
        announce(run_id)
        runs.log_config(config, database=names)
        tests = [run_out_of_fold(sources, config, TrainingFolder(work / "out-of-fold"))]
        for source in sources:
            name = source.database.name
            logger.info("%s: training on the other databases", name)
            tests.append(run_without(source, sources, config, TrainingFolder(work / f"without-{name}")))
        return log_page(tests, sources, config, out=out, run_id=run_id)


def require_databases(
    databases: Sequence[TrainingSource], data_dir: Path, config: network.TrainConfig
) -> list[SourceRecords]:
    """Find the records of all databases; refuse what cannot be evaluated before any work begins.

    Parameters
    ----------
    databases
        The databases.
    data_dir
        The folder of databases.
    config
        The choices of all trainings.

    Returns
    -------
    The records of each database.

    Raises
    ------
    TrainingSourceError
        If there are fewer than two databases.
    TooFewPatientsError
        If there are fewer patients than folds.
    """
    if len(databases) < 2:
        raise TrainingSourceError("one database is not enough to leave one out. Name at least two.")
    return require_training(databases, data_dir, config)


def run_out_of_fold(
    sources: Sequence[SourceRecords], config: network.TrainConfig, work: TrainingFolder
) -> CrossTest:
    """Cross-validate over all databases, as a nested run.

    Parameters
    ----------
    sources
        The databases.
    config
        The choices of the training.
    work
        The folder of this test.

    Returns
    -------
    The test.
    """
    description = "Every patient of all databases by networks of the cross-validation that have not seen it."
    with runs.run("out of fold", description=description, nested=True) as run_id:
        jobs = _read(sources, config, work)
        by_fold = cross_validate(jobs, training.make_folds(jobs, config), config, work, run_id)
        names = tuple(source.database.name for source in sources)
        keys = [job.record.key for job in jobs]
        return _evaluate("out of fold", names, names, keys, out_of_fold_jobs(jobs, by_fold, work))


def run_without(
    left_out: SourceRecords,
    sources: Sequence[SourceRecords],
    config: network.TrainConfig,
    work: TrainingFolder,
) -> CrossTest:
    """Train on all databases but one, and evaluate on that one, as a nested run.

    Doubtful labels are trained on like others, whatever ``config`` says. Networks that know the database that
    is left out have found them.

    Parameters
    ----------
    left_out
        The database to evaluate on; its patients are left out of the other databases.
    sources
        The databases, with that one.
    config
        The choices of the training.
    work
        The folder of this test.

    Returns
    -------
    The test.
    """
    name = f"without {left_out.database.name}"
    config = replace(config, use_doubtful_labels=True)
    records = left_out.labelled(use_doubtful=True)
    patients = {record.patient for record in records}
    others = [source.without(patients) for source in sources if source is not left_out]
    description = f"Networks that were trained on the other databases, on {left_out.database.name}."
    with runs.run(name, description=description, nested=True) as run_id:
        jobs = _read(others, config, work)
        fitted = fit_with_curves(training.member_networks(jobs, config, work), run_id)
        for member in fitted:
            log_network(member)
        members = tuple(member.job.model for member in fitted)
        training.save_ensemble(members, work.model, UNCALIBRATED, name=name, run="cross-database")
        evaluation_jobs = [
            EvaluationJob(record.path, record.patient, work.model, members) for record in records
        ]
        trained_on = tuple(source.database.name for source in others)
        keys = [record.key for record in records]
        return _evaluate(name, trained_on, (left_out.database.name,), keys, evaluation_jobs)


def _read(
    sources: Sequence[SourceRecords], config: network.TrainConfig, work: TrainingFolder
) -> list[RecordJob]:
    jobs = read_records(training.record_jobs(sources, config, work), load_settings().workers)
    log_data(sources, jobs)
    return jobs


def _evaluate(
    name: str,
    trained_on: tuple[str, ...],
    tested: tuple[str, ...],
    keys: Sequence[str],
    jobs: Sequence[EvaluationJob],
) -> CrossTest:
    evaluations = evaluate_records(jobs, load_settings().workers)
    test = CrossTest(name, trained_on, tested, dict(zip(keys, evaluations, strict=True)))
    log_test(test)
    return test
