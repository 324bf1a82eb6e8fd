"""Log the cross-validation of a training to MLflow: analyses by networks that have not seen the patient."""

from collections.abc import Sequence

from ectopy.ec57 import gross
from ectopy.ec57.reference import DETECTED, GIVEN
from ectopy.evaluation import headline_metrics, plots
from ectopy.evaluation.evaluate_record import RecordEvaluation, beats_by_condition
from ectopy.registry import runs


def log_out_of_fold(evaluations: Sequence[RecordEvaluation]) -> dict[str, float]:
    """Log metrics, tables and plots for detected and given beats; return the metrics of detected ones."""
    metrics = {}
    by_name = {evaluation.record: evaluation for evaluation in evaluations}
    patients = {evaluation.record: evaluation.reference.patient for evaluation in evaluations}
    for condition in (DETECTED, GIVEN):
        records = beats_by_condition(by_name, condition)
        metrics[condition] = headline_metrics.summarise(records)
        runs.log_metrics(metrics[condition], prefix=f"out_of_fold/{condition}/")
        runs.log_table(headline_metrics.metrics_by_record(records), f"out_of_fold/{condition}.json")
        title = f"out of fold, {condition} beats"
        runs.log_figure(
            plots.confusion_matrix(gross(records.values()), title), f"out_of_fold/{condition}.png"
        )
        intervals = headline_metrics.bootstrap_intervals(records, patients)
        runs.log_figure(plots.forest(records, title, intervals), f"out_of_fold/{condition}-by-record.png")
    return metrics[DETECTED]
