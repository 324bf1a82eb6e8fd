"""Plots of an evaluation: confusion matrix, metrics by record, calibration, ECG strips of errors."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from ectopy.ec57 import MATCH_WINDOW_S, BeatComparison, compute_metrics, gross
from ectopy.evaluation import calibration
from ectopy.evaluation.failures import Excerpt, Marks

_ROWS, _COLUMNS = "NSVFQ", "NSVO"
_NAMES = {"O": "missed"}


def confusion_matrix(comparison: BeatComparison, title: str) -> Figure:
    """Draw the confusion matrix of beat classes, with counts and shares of the row.

    Parameters
    ----------
    comparison
        The beats of one or more records.
    title
        Title of the plot.

    Returns
    -------
    The plot.
    """
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
    axes.set(xlabel="classified as", ylabel="reference", title=title)
    return figure


def forest(
    records: Mapping[str, BeatComparison], title: str, intervals: Mapping[str, tuple[float, float]]
) -> Figure:
    """Draw sensitivity and positive predictivity of VEB and SVEB, one row per record and a gross one.

    Parameters
    ----------
    records
        Beat comparisons by record.
    title
        Title of the plot.
    intervals
        Interval of each gross metric, as fractions.

    Returns
    -------
    The plot.
    """
    metrics = {name: compute_metrics(comparison) for name, comparison in records.items()}
    metrics["gross"] = compute_metrics(gross(records.values()))
    names = list(metrics)
    figure = Figure(figsize=(9, 1.5 + 0.24 * len(names)), layout="constrained")
    for axes, beat in zip(figure.subplots(1, 2, sharey=True), ("veb", "sveb"), strict=True):
        for name, marker, colour in (("sensitivity", "o", "C0"), ("positive_predictivity", "x", "C1")):
            metric = f"{beat}_{name}"
            values = [100 * metrics[record][metric] for record in names]
            axes.plot(values, range(len(names)), marker, color=colour, label=name.replace("_", " "))
            bounds = [100 * bound for bound in intervals[metric]]
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
    """Draw QRS and VEB sensitivity and positive predictivity against the signal-to-noise ratio.

    Parameters
    ----------
    by_noise
        Headline metrics by signal-to-noise ratio in dB, as fractions.
    title
        Title of the plot.

    Returns
    -------
    The plot.
    """
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


def reliability(data: calibration.CalibrationData, title: str) -> Figure:
    """Draw reliability diagrams of the most likely class and of each class, with the number of beats.

    Parameters
    ----------
    data
        Predictions for beats whose class is known.
    title
        Title of the plot.

    Returns
    -------
    The plot.
    """
    figure = Figure(figsize=(5.5, 6), layout="constrained")
    curves, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    curves.plot((0, 1), (0, 1), color="grey", linewidth=0.8)
    for name, (probability, outcome) in calibration.reliability_data(data).items():
        mean, share, n = calibration.reliability(probability, outcome)
        curves.plot(mean, share, "o-", markersize=4, linewidth=1, label=name)
        counts.plot(mean, n, ".-", linewidth=0.8)
    curves.set(ylabel="share of beats of this class", title=title)
    curves.legend(loc="upper left", fontsize="small")
    counts.set(xlabel="predicted probability", ylabel="beats", yscale="log")
    for axes in (curves, counts):
        axes.grid(visible=True, alpha=0.3)
    return figure


def risk_coverage(data: calibration.CalibrationData, title: str) -> Figure:
    """Draw the error among the most confident beats against their share, and the model's own threshold.

    Parameters
    ----------
    data
        Predictions for beats whose class is known.
    title
        Title of the plot.

    Returns
    -------
    The plot.
    """
    error = 100 * calibration.risk_curve(data)
    own = calibration.abstention(data)
    figure = Figure(figsize=(5.5, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(100 * np.arange(1, len(error) + 1) / len(error), error, linewidth=1.2)
    axes.plot(100 * (1 - own["share"]), 100 * own["error of the rest"], "o", label="own threshold")
    axes.set(xlabel="most confident beats (%)", ylabel="wrong labels (%)", title=title, xlim=(0, 101))
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(loc="upper left", fontsize="small")
    return figure


def strip(excerpt: Excerpt, title: str) -> Figure:
    """Draw part of a recording on ECG paper, with the beat labels of the reference and of the analysis.

    Labels that differ are red. A large square is 0.2 s and 0.5 mV.

    Parameters
    ----------
    excerpt
        The signal in mV with its labels.
    title
        Title of the plot.

    Returns
    -------
    The plot.
    """
    time_s = excerpt.start_s + np.arange(len(excerpt.signal)) / excerpt.fs
    figure = Figure(figsize=(9, 1.2 + 1.6 * len(excerpt.leads)), layout="constrained")
    leads = figure.subplots(len(excerpt.leads), 1, sharex=True, squeeze=False)[:, 0]
    for axes, name, lead in zip(leads, excerpt.leads, excerpt.signal.T, strict=True):
        axes.plot(time_s, lead, color="black", linewidth=0.7)
        axes.set_ylabel(f"{name} (mV)")
        axes.set_xlim(time_s[0], time_s[-1])
        _paper(axes)
    _letters(leads[0], excerpt.reference, excerpt.test, y=1.14, name="reference")
    _letters(leads[0], excerpt.test, excerpt.reference, y=1.02, name="test")
    leads[-1].set_xlabel("s", loc="right")
    figure.suptitle(title, fontsize="medium")
    return figure


def _paper(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MultipleLocator(1))
    axes.xaxis.set_minor_locator(MultipleLocator(0.2))
    axes.yaxis.set_major_locator(MultipleLocator(1))
    axes.yaxis.set_minor_locator(MultipleLocator(0.5))
    axes.grid(visible=True, which="both", color="#f0c0c0", linewidth=0.6)


def _letters(axes: Axes, marks: Marks, others: Marks, *, y: float, name: str) -> None:
    across = axes.get_xaxis_transform()  # x in seconds, y in heights of the axes
    axes.text(-0.01, y, name, transform=axes.transAxes, ha="right", fontsize="small")
    for time_s, letter in zip(*marks, strict=True):
        agreed = any(
            letter == other and abs(time_s - other_s) <= MATCH_WINDOW_S
            for other_s, other in zip(*others, strict=True)
        )
        colour = "#606060" if agreed else "red"
        axes.text(time_s, y, letter, transform=across, ha="center", color=colour, weight="bold")
