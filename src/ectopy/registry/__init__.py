"""Registry: runs and model versions in MLflow, and the promotion of a version to champion.

Of the versions of a model, one is the *champion*, which scoring uses. The last one trained is the
*challenger*.

=============== =====================================================================================
promotion_gate  decides whether a challenger is promoted, from the evidence on both versions
evidence        what is known of a version on patients it has not seen: metrics and counts
promotion       carries a decision out: promote, roll back, install the champion, keep the history
model_versions  register, find, tag and download versions of the model
runs            open MLflow runs, and log metrics, tables, plots and scored batches
learning_curves curves on the run of a training, while it goes on
closing         what the terminal shows of trainings, evaluations and versions
pyfunc          the model as MLflow serves it
pages           MLflow's server behind the guard
=============== =====================================================================================

This is the only package that imports MLflow. A person can promote any version with ``ectopy models promote``.
"""
