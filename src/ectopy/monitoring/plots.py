"""Drawings of a batch: how its recordings are spread, and what differs from the training patients."""

import numpy as np
from matplotlib.figure import Figure

from ectopy.monitoring.batch_summary import RECORDING_METRICS, BatchSummary
from ectopy.monitoring.drift import MONITORED, N_BINS, Drift

MAX_BARS, MAX_PANELS = 16, 4


def recording_histograms(batch: BatchSummary) -> Figure:
    """Draw a histogram of each figure over the recordings of a batch."""
    figure = Figure(figsize=(10, 5), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(2, 3).flat, RECORDING_METRICS.items(), strict=True):
        values = batch.by_recording[name]
        axes.hist(values[np.isfinite(values)], bins=20, color="C0")
        axes.set(xlabel=title)
        axes.yaxis.get_major_locator().set_params(integer=True)
    figure.suptitle(f"{batch.counts['scored']} recordings")
    return figure


def drift_plot(found: Drift) -> Figure:
    """Draw how far each figure is from the training patients, and the shares of beats of the farthest."""
    figure = Figure(figsize=(11, 5.5), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1, 1.1))[0]
    order = found.order[:MAX_BARS]
    axes = left.subplots()
    colours = ["C3" if found.exceeds_bound[k] else "C0" for k in order]
    axes.barh(range(len(order)), found.psi[order], color=colours)
    axes.plot(found.bound[order], range(len(order)), "k|", markersize=10, label="bound")
    axes.set_yticks(range(len(order)), [MONITORED[k] for k in order], fontsize="small")
    axes.invert_yaxis()
    axes.set(xlabel="population stability index")
    axes.legend(loc="lower right", fontsize="small")
    for axes, k in zip(right.subplots(2, 2).flat, order[:MAX_PANELS], strict=True):
        axes.stairs(100 * found.expected[k], np.arange(N_BINS + 1), color="grey", label="training patients")
        axes.stairs(100 * found.observed[k], np.arange(N_BINS + 1), color=colours[order.index(k)], label="these")
        axes.set_title(MONITORED[k], fontsize="small")
        axes.set(xlabel="tenth of the training patients", ylabel="% of beats")
    axes.legend(fontsize="small")
    figure.suptitle(found.verdict)
    return figure
