"""Monitoring: summaries of scored batches, and drift of their recordings from the training patients.

============= ====================================================================================
batch_summary metrics of one batch of recordings: counts, failures, distributions, drift
drift         whether the features and labels of a batch differ from those of the training patients
plots         histograms of a batch, and a plot of its drift
============= ====================================================================================

:mod:`ectopy.registry.runs` logs these summaries to MLflow.
"""
