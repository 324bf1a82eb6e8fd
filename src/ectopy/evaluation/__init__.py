"""Evaluation: how well a model does on annotated records, by the rules of ANSI/AAMI EC57.

Each record is analysed once and compared with its annotations under several conditions. The metrics go to
MLflow and to the model card. This package does not decide on promotion: :mod:`ectopy.registry.promotion_gate`
does, from the cross-validation in the training patients only.

================== ======================================================================================
jobs               which records are evaluated, each with a model that has not seen the patient
evaluate_record    analyse one record with a model; compare its beats, runs and AF episodes
flutter            keep atrial flutter out of the metrics of atrial fibrillation
calibration        how reliable the probabilities are, and the error when low-confidence beats are left out
headline_metrics   gross and average beat metrics, their confidence intervals, metrics by noise level
aggregate          all metrics of a group of records, and how they vary over the members of the ensemble
tables             these metrics as tables: overview, by member, runs, AF, unreadable time
failures           the records with the most errors, and an excerpt of the signal around a typical one
model_card         the text of the model card, as Markdown
plots              confusion matrix, metrics by record, calibration curves, ECG strips of errors
log_evaluation     log all of this to MLflow, and write the model card as a page
cross_database     metrics of patients of several databases that no network has seen; ``_page`` is its page
finding_reference  the rhythms that findings are compared with, and how each database states them
finding_comparison episodes found, and false findings, of one record
record_findings    analyse one record with a model; compare its findings
finding_jobs       which records' findings are evaluated, each with a model that has not seen the patient
finding_summary    these metrics by group of records, with intervals; ``finding_page`` is the page
log_out_of_fold    log the metrics of the cross-validation, on which the promotion gate decides
unseen             a version on the training database of its rival, for the promotion gate
================== ======================================================================================

``jobs``, ``finding_jobs``, ``log_evaluation``, ``log_out_of_fold`` and ``unseen`` import MLflow, and
``plots`` imports Matplotlib. Import these modules by their names.
"""

from ectopy.evaluation.evaluate_record import (
    EvaluationJob,
    NothingToEvaluateError,
    RecordEvaluation,
    beats_by_condition,
    evaluate_record,
)

__all__ = [
    "EvaluationJob",
    "NothingToEvaluateError",
    "RecordEvaluation",
    "beats_by_condition",
    "evaluate_record",
]
