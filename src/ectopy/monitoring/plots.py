"""Plots of a batch: distributions over its recordings, and drift from the training patients."""

import numpy as np
from matplotlib.figure import Figure

from ectopy.monitoring.batch_summary import RECORDING_METRICS, BatchSummary
from ectopy.monitoring.drift import N_BINS, Drift

MAX_BARS, MAX_PANELS = 16, 4


def recording_histograms(batch: BatchSummary) -> Figure:
    """Draw a histogram of each metric over the recordings of a batch."""
    figure = Figure(figsize=(10, 5), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(2, 3).flat, RECORDING_METRICS.items(), strict=True):
        values = batch.by_recording[name]
        axes.hist(values[np.isfinite(values)], bins=20, color="C0")
        axes.set(xlabel=title)
        axes.yaxis.get_major_locator().set_params(integer=True)
    figure.suptitle(f"{batch.counts['scored']} recordings")
    return figure


def drift_plot(drift: Drift) -> Figure:
    """Draw the stability index of each variable with its bound, and the variables with the largest drift."""
    figure = Figure(figsize=(11, 5.5), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1, 1.1))[0]
    order = drift.order[:MAX_BARS]
    axes = left.subplots()
    colours = ["C3" if drift.exceeds_bound[k] else "C0" for k in order]
    axes.barh(range(len(order)), drift.psi[order], color=colours)
    axes.plot(drift.bound[order], range(len(order)), "k|", markersize=10, label="bound")
    axes.set_yticks(range(len(order)), [drift.names[k] for k in order], fontsize="small")
    axes.invert_yaxis()
    axes.set(xlabel="population stability index")
    axes.legend(loc="lower right", fontsize="small")
    for axes, k in zip(right.subplots(2, 2).flat, order[:MAX_PANELS], strict=True):
        colour = colours[order.index(k)]
        axes.stairs(100 * drift.expected[k], np.arange(N_BINS + 1), color="grey", label="training patients")
        axes.stairs(100 * drift.observed[k], np.arange(N_BINS + 1), color=colour, label="this batch")
        axes.set_title(drift.names[k], fontsize="small")
        axes.set(xlabel="tenth of the training patients", ylabel="% of beats")
    axes.legend(fontsize="small")
    figure.suptitle(drift.verdict)
    return figure
