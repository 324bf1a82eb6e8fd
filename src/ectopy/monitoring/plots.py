"""Plots of a batch: distributions over its recordings, and drift from the training patients."""

import numpy as np
from matplotlib.figure import Figure

from ectopy.monitoring.batch_summary import RECORDING_METRICS, BatchSummary
from ectopy.monitoring.drift import N_BINS, Drift

MAX_BARS, MAX_PANELS = 16, 4
# The layout is fixed, since Matplotlib takes longer to find one than to draw the figure.


def recording_histograms(batch: BatchSummary) -> Figure:
    """Draw a histogram of each metric over the recordings of a batch."""
    figure = Figure(figsize=(10, 5))
    figure.subplots_adjust(left=0.05, right=0.98, bottom=0.1, top=0.93, wspace=0.15, hspace=0.3)
    for axes, (name, title) in zip(figure.subplots(2, 3).flat, RECORDING_METRICS.items(), strict=True):
        values = batch.by_recording[name]
        axes.hist(values[np.isfinite(values)], bins=20, color="C0")
        axes.set(xlabel=title)
        axes.yaxis.get_major_locator().set_params(integer=True)
    figure.suptitle(f"{batch.counts['scored']} recordings")
    return figure


def drift_plot(drift: Drift) -> Figure:
    """Draw the stability index of each variable with its bound, and the variables with the largest drift."""
    figure = Figure(figsize=(11, 5.5))
    order = drift.order[:MAX_BARS]
    for_names = min(0.02 + 0.006 * max(len(drift.names[k]) for k in order), 0.4)
    left = figure.add_gridspec(1, 1, left=for_names, right=0.47, bottom=0.1, top=0.92)
    right = figure.add_gridspec(2, 2, left=0.53, right=0.98, bottom=0.1, top=0.88, wspace=0.3, hspace=0.45)
    axes = figure.add_subplot(left[0, 0])
    colours = ["C3" if drift.exceeds_bound[k] else "C0" for k in order]
    axes.barh(range(len(order)), drift.psi[order], color=colours)
    axes.plot(drift.bound[order], range(len(order)), "k|", markersize=10, label="bound")
    axes.set_yticks(range(len(order)), [drift.names[k] for k in order], fontsize="small")
    axes.invert_yaxis()
    axes.set(xlabel="population stability index")
    axes.legend(loc="lower right", fontsize="small")
    for panel, k in enumerate(order[:MAX_PANELS]):
        axes, colour = figure.add_subplot(right[divmod(panel, 2)]), colours[panel]
        axes.stairs(100 * drift.expected[k], np.arange(N_BINS + 1), color="grey", label="training patients")
        axes.stairs(100 * drift.observed[k], np.arange(N_BINS + 1), color=colour, label="this batch")
        axes.set_title(drift.names[k], fontsize="small")
        axes.set(xlabel="tenth of the training patients", ylabel="% of beats")
    axes.legend(fontsize="small")
    figure.suptitle(drift.verdict)
    return figure
