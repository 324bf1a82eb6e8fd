"""Prefect flows: the order of the steps, retries, schedules. Only this package imports Prefect.

============= ======================================================================
ingest        download a PhysioNet database
train         cross-validate, train an ensemble, register it as challenger
evaluate      evaluate the challenger, and promote it if the promotion gate passes it
compare       compare network architectures
score         score recordings, or what has arrived in the inbox
demo          all of these on simulated patients; the only flow that calls others
tasks         tasks that several flows share
progress      how far a flow is, and where its run in MLflow is
expected      errors that a user can correct are a message and no traceback
assets        databases, models and results, and which was made from which
inbox_page    the state of the inbox as one artifact
log_batch     log a scoring batch to MLflow; report drift
task_runners  where tasks run: threads, or a Dask cluster
quiet_logging settings that silence Prefect and MLflow in the command line
local_stack   ``ectopy up``: Prefect, a worker and MLflow on one machine
supervisor    keep the processes of the local stack running
============= ======================================================================
"""
