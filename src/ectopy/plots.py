"""Drawings for the tracking UI: confusion matrix, figures by record, training curves."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from ectopy.ec57 import BeatComparison, figures, gross

_ROWS, _COLUMNS = "NSVFQ", "NSVO"
_NAMES = {"O": "missed"}


def confusion_matrix(comparison: BeatComparison, title: str) -> Figure:
    """Draw reference classes against what they were called, with counts and shares of the row."""
    counts = np.array([[comparison.count(row, column) for column in _COLUMNS] for row in _ROWS])
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(5.5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if share[row, column] > 0.6 else "black"
        axes.text(column, row, f"{count:,}\n{share[row, column]:.1%}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(_COLUMNS)), [_NAMES.get(name, name) for name in _COLUMNS])
    axes.set_yticks(range(len(_ROWS)), list(_ROWS))
    axes.set(xlabel="called", ylabel="reference", title=title)
    return figure


def forest(
    records: Mapping[str, BeatComparison], title: str, intervals: Mapping[str, tuple[float, float]]
) -> Figure:
    """Draw sensitivity and positive predictivity of VEB and SVEB, a row a record.

    The last row is gross, with the interval of each figure by name, as fractions.
    """
    told = {name: figures(comparison) for name, comparison in records.items()}
    told["gross"] = figures(gross(records.values()))
    names = list(told)
    figure = Figure(figsize=(9, 1.5 + 0.24 * len(names)), layout="constrained")
    for axes, beat in zip(figure.subplots(1, 2, sharey=True), ("veb", "sveb"), strict=True):
        for name, marker, colour in (("sensitivity", "o", "C0"), ("positive_predictivity", "x", "C1")):
            of_beat = f"{beat}_{name}"
            values = [100 * told[record][of_beat] for record in names]
            axes.plot(values, range(len(names)), marker, color=colour, label=name.replace("_", " "))
            bounds = [100 * bound for bound in intervals[of_beat]]
            axes.plot(bounds, [len(names) - 1] * 2, color=colour, linewidth=2, alpha=0.6)
        axes.axhline(len(names) - 1.5, color="grey", linewidth=0.8)
        axes.set(title=beat.upper(), xlabel="%", xlim=(-3, 103))
        axes.set_yticks(range(len(names)), names)
        axes.grid(visible=True, axis="both", alpha=0.3)
    figure.axes[0].invert_yaxis()
    figure.axes[0].legend(loc="lower left", fontsize="small")
    figure.suptitle(title)
    return figure


def noise_curve(by_noise: Mapping[int, Mapping[str, float]], title: str) -> Figure:
    """Draw QRS and VEB sensitivity and positive predictivity against the signal-to-noise ratio."""
    levels = sorted(by_noise)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, beat in zip(figure.subplots(1, 2, sharey=True), ("qrs", "veb"), strict=True):
        for name, marker in (("sensitivity", "o-"), ("positive_predictivity", "x--")):
            values = [100 * by_noise[level][f"gross/{beat}_{name}"] for level in levels]
            axes.plot(levels, values, marker, label=name.replace("_", " "))
        axes.set(title=beat.upper(), xlabel="signal-to-noise ratio (dB)", ylabel="%", xticks=levels)
        axes.grid(visible=True, alpha=0.3)
    figure.axes[0].legend(loc="lower right", fontsize="small")
    figure.suptitle(title)
    return figure
