"""A model examined: records analysed once, compared in every way EC57 knows, and what is told of it.

========== ==========================================================================================
records    a record examined with a model: beats, runs and episodes in each way, and what was called
flutter    fibrillation judged with flutter apart
confidence how far the probabilities can be believed: calibration, and the error that abstaining leaves
headline   the figures of beats that everybody quotes: gross and average, their intervals, by noise
groups     every figure of a group of records, from beats to episodes, and its spread over seeds
tables     these side by side as tables: at a glance, over seeds, runs, AF, unreadable time
failures   the records with most errors, and a piece of each around a typical one
verdict    whether a challenger is promoted; the examination has no say in it
card       the model card and its sections, as Markdown
plots      drawings
report     all of it to the tracking store and the card
========== ==========================================================================================

``report`` and ``plots`` bring MLflow and Matplotlib, and are imported by their names.
"""

from ectopy.evaluation.evaluate_record import (
    EvaluationJob,
    NothingToEvaluateError,
    RecordEvaluation,
    beats_by_condition,
    evaluate_record,
)
from ectopy.registry.promotion_gate import MinimumScores, PromotionDecision, decide_promotion

__all__ = [
    "EvaluationJob",
    "MinimumScores",
    "NothingToEvaluateError",
    "PromotionDecision",
    "RecordEvaluation",
    "beats_by_condition",
    "decide_promotion",
    "evaluate_record",
]
