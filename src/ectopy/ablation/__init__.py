"""Ablation study: network architectures compared on the training patients, with equal budgets.

============================ ===========================================================================
module                       contents
============================ ===========================================================================
:mod:`.fold_runs`            one fold: a trained network, its losses, times and receptive field
:mod:`.compression`          pruning and int8 quantisation; size and speed of ONNX files
:mod:`.compressed_variants`  the trained networks in each compressed variant, evaluated again
:mod:`.trials`               the cross-validation of an architecture with one sequence length and seed
:mod:`.hypotheses`           common hypotheses about GRUs, tested with the trials
:mod:`.results_page`         tables, figure and page of all trials
:mod:`.log_trials`           the same in MLflow
============================ ===========================================================================
"""

from ectopy.ablation.trials import (
    Architecture,
    Attempt,
    Trial,
    costs_of,
    parameters_of,
    run_attempt,
    select_architectures,
)

__all__ = [
    "Architecture",
    "Attempt",
    "Trial",
    "costs_of",
    "parameters_of",
    "run_attempt",
    "select_architectures",
]
