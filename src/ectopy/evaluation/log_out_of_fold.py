"""Log the cross-validation of a training to MLflow: analyses by networks that have not seen the patient."""

from collections.abc import Mapping
from typing import Any

from ectopy.ec57 import gross
from ectopy.ec57.record_counts import RecordCounts, to_json
from ectopy.ec57.reference import DETECTED, GIVEN
from ectopy.evaluation import aggregate, headline_metrics, plots
from ectopy.evaluation.evaluate_record import RecordEvaluation, beats_by_condition
from ectopy.registry import runs
from ectopy.registry.evidence import OUT_OF_FOLD_RECORDS


def log_out_of_fold(evaluations: Mapping[str, RecordEvaluation]) -> dict[str, float]:
    """Log metrics, tables and plots of all databases together, and the table of the metrics of each.

    Parameters
    ----------
    evaluations
        The evaluated training records by key, such as ``mitdb/101``.

    Returns
    -------
    The metrics of all databases together with detected beats, as fractions.
    """
    metrics: dict[str, dict[str, float]] = {}
    everything: dict[str, float] = {}
    patients = {key: evaluation.reference.patient for key, evaluation in evaluations.items()}
    for condition in (DETECTED, GIVEN):
        records = beats_by_condition(evaluations, condition)
        metrics[condition] = headline_metrics.summarise(records)
        everything |= {f"{condition}/{name}": value for name, value in metrics[condition].items()}
        runs.log_table(headline_metrics.metrics_by_record(records), f"out_of_fold/{condition}.json")
        title = f"out of fold, {condition} beats"
        runs.log_figure(
            plots.confusion_matrix(gross(records.values()), title), f"out_of_fold/{condition}.png"
        )
        intervals = headline_metrics.bootstrap_intervals(records, patients)
        runs.log_figure(plots.forest(records, title, intervals), f"out_of_fold/{condition}-by-record.png")
    everything |= {f"seeds/{name}": value for name, value in _seed_metrics(evaluations).items()}
    for database, of_database in by_database(evaluations).items():
        for condition in (DETECTED, GIVEN):
            summary = headline_metrics.summarise(beats_by_condition(of_database, condition))
            everything |= {f"{database}/{condition}/{name}": value for name, value in summary.items()}
        seeds = _seed_metrics(of_database)
        everything |= {f"{database}/seeds/{name}": value for name, value in seeds.items()}
    headline = [f"{DETECTED}/{name}" for name in headline_metrics.GROSS]
    runs.log_results(everything, headline, prefix="out_of_fold/")
    runs.log_text(to_json(record_counts(evaluations)), OUT_OF_FOLD_RECORDS)
    return metrics[DETECTED]


def log_by_database(
    evaluations: Mapping[str, RecordEvaluation], model_id: str | None, datasets: Mapping[str, Any]
) -> None:
    """Log the headline metrics of each database on the run, the model and the data set.

    Parameters
    ----------
    evaluations
        The evaluated training records by key.
    model_id
        Id of the logged model.
    datasets
        The data set of each database, as MLflow knows it.
    """
    for database, of_database in by_database(evaluations).items():
        metrics = headline_metrics.summarise(beats_by_condition(of_database, DETECTED))
        runs.log_metrics(
            {name: metrics[name] for name in headline_metrics.OF_A_DATABASE},
            prefix=f"out_of_fold/{database}/{DETECTED}/",
            model_id=model_id,
            dataset=datasets[database],
        )


def by_database(evaluations: Mapping[str, RecordEvaluation]) -> dict[str, dict[str, RecordEvaluation]]:
    """Group evaluations by key, such as ``mitdb/101``, by their database."""
    groups: dict[str, dict[str, RecordEvaluation]] = {}
    for key, evaluation in evaluations.items():
        groups.setdefault(key.partition("/")[0], {})[key] = evaluation
    return groups


def record_counts(evaluations: Mapping[str, RecordEvaluation]) -> list[RecordCounts]:
    """Return the beat counts of each record with detected beats, by the ensemble and by each network."""
    return [
        RecordCounts(
            key.partition("/")[0],
            evaluation.record,
            evaluation.reference.patient,
            evaluation.outcome.beats,
            tuple(member.beats for member in evaluation.members),
        )
        for key, evaluation in evaluations.items()
    ]


def _seed_metrics(evaluations: Mapping[str, RecordEvaluation]) -> dict[str, float]:
    """Compute the spread of the headline metrics over the networks of the folds.

    Network k of all folds together is one cross-validation.
    """
    n_members = min(len(evaluation.members) for evaluation in evaluations.values())
    members = [
        headline_metrics.summarise({key: each.members[k].beats for key, each in evaluations.items()})
        for k in range(n_members)
    ]
    return aggregate.seed_metrics(aggregate.spread(members))
