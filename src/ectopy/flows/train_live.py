"""Train the streaming model: records as a stream sees them -> folds by patient -> look ahead -> model."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from prefect import flow

from ectopy.batch import results
from ectopy.ec57.reference import DETECTED
from ectopy.evaluation.alarm_examples import WITH_FIBRILLATION, read_alarm_examples, training_records
from ectopy.flows.assets import database_asset, model_asset, record_asset
from ectopy.flows.expected import without_traceback
from ectopy.flows.progress import announce, progress
from ectopy.flows.tasks import without_failures
from ectopy.flows.train import require_training
from ectopy.live import alarm_training, training
from ectopy.live.alarm_network import ALARMS_FILE, save_alarm_model
from ectopy.live.examples import run_job
from ectopy.live.fold_answers import Answers, calibrate_answers, metrics_by_look_ahead, table
from ectopy.live.live_card import build_live_card
from ectopy.model.classifier import CARD_FILE
from ectopy.model.folds import Fold, pick_records, split_folds, training_sequences
from ectopy.model.manifest import write_manifest
from ectopy.model.network import TrainConfig
from ectopy.model.training import TrainingFolder, load_records, record_jobs
from ectopy.model.training_set import RecordJob, TrainingRecord, TrainingSequence
from ectopy.model.training_sources import DEFAULT_SOURCES, SourceRecords, TrainingSource
from ectopy.parallel.worker_pool import WorkerPool
from ectopy.registry import live_versions, model_versions, runs
from ectopy.settings import load_settings

logger = logging.getLogger(__name__)

REGISTERED_NAME = "ectopy-live"
LOOK_AHEAD = 1
"""Beats after a beat that its final label considers; docs/live.md has the trade-off."""

_DESCRIPTION = """The forward GRU of `ectopy stream`: cross-validation by patient, then all training records.
`look-ahead.md` among the artifacts has the metrics after 0, 1, 2 ... further beats."""
_AT_ONCE = 8


@flow
@without_traceback
def train_live(  # noqa: PLR0913, PLR0917 - one parameter for each choice of a run
    databases: Sequence[TrainingSource] = DEFAULT_SOURCES,
    data_dir: Path | None = None,
    config: TrainConfig | None = None,
    look_ahead: int = LOOK_AHEAD,
    experiment: str = REGISTERED_NAME,
    tracking_uri: str | None = None,
) -> model_versions.Version:
    """Cross-validate by patient, measure each look ahead, then train on all training records.

    Parameters
    ----------
    databases
        The databases to train on.
    data_dir
        The folder of databases and models; by default that of the settings.
    config
        The choices of the experiment. Those of ensembles, features and the architecture do not apply.
    look_ahead
        Beats after a beat that its final label considers.
    experiment
        The name of the MLflow experiment.
    tracking_uri
        The MLflow tracking store; by default that of the settings.

    Returns
    -------
    The new version of the registered model ``ectopy-live``, which is its challenger.

    Raises
    ------
    TooFewPatientsError
        If there are fewer patients than folds.
    """
    settings, config = load_settings(), config or TrainConfig()
    data_dir = data_dir or settings.data_dir
    sources = require_training(databases, data_dir, config)
    names = [source.database.name for source in sources]
    work = data_dir / "training" / "live"
    work.mkdir(parents=True, exist_ok=True)
    runs.connect(tracking_uri or settings.tracking_uri, experiment)
    title = f"train live on {','.join(names)}"
    with results.lock_folder(work), runs.run(title, description=_DESCRIPTION) as run_id:
        announce(run_id)
        runs.log_config(config, database=",".join(names), look_ahead=look_ahead)
        for source in sources:
            runs.log_parameters(source.parameters())
        records = read_all_records(sources, config, work, settings.workers)
        answers = cross_validate(records, config, look_ahead)
        metrics = metrics_by_look_ahead(answers)
        by_look_ahead = table(metrics)
        runs.log_text(f"{by_look_ahead}\n", "look-ahead.md")
        for after, row in enumerate(metrics["all"]):
            runs.log_metrics({name: row[name] for name in ("veb_f1", "sveb_f1")}, step=after)
        final = {name: rows[-1] for name, rows in metrics.items()}
        calibrations = calibrate_answers(answers, coverage=config.coverage)
        logger.info("training on all %d records", len(records))
        everything = [one for record in records for one in usable(record.sequences)]
        network = training.fit(everything, config, look_ahead=look_ahead, seed=config.seed)
        folder, name = work / "model", f"{REGISTERED_NAME} {run_id[:8]}"
        training.save(network, calibrations, folder, name=name, run=run_id)
        alarm_records = train_alarms(data_dir, folder)
        card = build_live_card(name, sources, asdict(config), look_ahead, by_look_ahead, alarm_records)
        (folder / CARD_FILE).write_text(card, encoding="utf-8")
        write_manifest(folder)
        runs.log_text(card, CARD_FILE)
        version = live_versions.register_live(
            folder, model=REGISTERED_NAME, tags={"database": ",".join(names)}
        )
        runs.log_metrics(
            {
                f"{name}/{metric}": row[metric]
                for name, row in final.items()
                for metric in ("veb_f1", "sveb_f1")
            },
            prefix="out_of_fold/",
            model_id=model_versions.model_id_of(version),
        )
        made_from = [database_asset(name) for name in names]
        record_asset(model_asset(REGISTERED_NAME), made_from, {"version": version.number, "run": run_id})
        return version


def train_alarms(data_dir: Path, folder: Path) -> dict[str, list[str]]:
    """Train the network of the alarms, and write it into the folder of a streaming model.

    Without a database of fibrillation there is none, and the stream judges alarms by the beats alone.

    Parameters
    ----------
    data_dir
        The folder of databases.
    folder
        The folder of the streaming model, whose manifest is written afterwards.

    Returns
    -------
    The names of the training records, by database; none if there is no network.
    """
    records = list(training_records(data_dir))
    (folder / ALARMS_FILE).unlink(missing_ok=True)
    if not any(name in WITH_FIBRILLATION for name, _ in records):
        logger.warning(
            "no alarm of fibrillation can be trained without %s. Download one with `ectopy ingest`.",
            " or ".join(WITH_FIBRILLATION),
        )
        return {}
    examples, names = [], dict[str, list[str]]()
    with progress("reading records for the alarms", len(records)) as step:
        for name, record in records:
            examples += read_alarm_examples(name, record)
            names.setdefault(name, []).append(record.name)
            step(f"{name}/{record.name}")
    save_alarm_model(alarm_training.fit(examples), folder)
    return names


def read_all_records(
    sources: Sequence[SourceRecords], config: TrainConfig, work: Path, workers: int
) -> list[TrainingRecord]:
    """Read the training records in parallel as a stream sees them, and write them to a folder.

    Parameters
    ----------
    sources
        The databases.
    config
        Supplies the seed, and whether doubtful labels are used.
    work
        The folder.
    workers
        The number of processes.

    Returns
    -------
    The training records; one that cannot be read is named in a warning and left out.
    """
    jobs = record_jobs(sources, config, TrainingFolder(work))
    outcomes: list[RecordJob | Exception] = []
    with progress("reading records", len(jobs)) as step, WorkerPool(workers) as processes:
        for start in range(0, len(jobs), _AT_ONCE):
            part = jobs[start : start + _AT_ONCE]
            outcomes += processes.call_each(run_job, part)
            for job in part:
                step(job.key)
    return load_records(without_failures(jobs, outcomes))


def cross_validate(records: Sequence[TrainingRecord], config: TrainConfig, look_ahead: int) -> list[Answers]:
    """Train a network without the patients of each fold, and return what it says of them.

    Parameters
    ----------
    records
        The training records.
    config
        The choices of the experiment.
    look_ahead
        Beats after a beat that its final label considers.

    Returns
    -------
    The answers for every record.
    """
    answers = []
    folds = split_folds(records, config.n_folds, seed=config.seed)
    with progress("training folds", len(folds)) as step:
        for number, fold in enumerate(folds):
            answers += answer_fold(records, fold, config, look_ahead)
            step(f"fold {number}")
    return answers


def answer_fold(
    records: Sequence[TrainingRecord], fold: Fold, config: TrainConfig, look_ahead: int
) -> list[Answers]:
    """Train a network on the training records of a fold, and apply it to the others.

    Parameters
    ----------
    records
        The training records of all folds.
    fold
        The fold.
    config, look_ahead
        As for :func:`cross_validate`.

    Returns
    -------
    The answers for the records that the fold leaves out.
    """
    sequences = usable(training_sequences(records, fold))
    network = training.fit(sequences, config, look_ahead=look_ahead, seed=config.seed)
    return [
        Answers(
            record.get(DETECTED),
            record.reference,
            training.answers(network, record.get(DETECTED), look_ahead=look_ahead),
        )
        for record in pick_records(records, fold.test)
    ]


def usable(sequences: Sequence[TrainingSequence]) -> list[TrainingSequence]:
    """Return the sequences that have features: the annotated beats decide the folds only."""
    return [sequence for sequence in sequences if sequence.features.shape[1]]
