"""Strips of ECG on paper, drawn with Matplotlib for notebooks and figures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ectopy.printable import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ectopy.ecg import Beats

MM_PER_S, MM_PER_MV = 25.0, 10.0
"""The usual scale of ECG paper."""
MIN_REACH_MV, MAX_REACH_MV = 1.0, 3.0
"""Paper above and below the median of a lead: at least, and at most; a higher trace is cut off."""
_INCH_MM = 25.4
_PAPER = {"fine": "#f4c9c9", "bold": "#e79c9c", "frame": "#d8d8d8"}
_COLOURS = {"N": "#333333", "S": "#1f6fb4", "V": "#c1272d", "F": "#8a5a00", "Q": "#6b6b6b"}


def plot_strip(
    signal: NDArray[np.floating],
    fs: float,
    *,
    leads: Sequence[str] = (),
    beats: "Beats | None" = None,
    start_s: float = 0.0,
) -> "Figure":
    """Draw a strip on ECG paper, 25 mm/s and 10 mm/mV, with the class of each beat above it.

    Parameters
    ----------
    signal
        Signal in mV, [n_samples] or [n_samples, n_leads]; NaN where a sample is missing.
    fs
        Sampling rate in Hz.
    leads
        Names of the leads, written beside them.
    beats
        Beats of the whole recording; those inside the strip are marked. A question mark follows the class of
        a beat on which the classifier abstains.
    start_s
        Time of the first sample since the start of the recording, in seconds.

    Returns
    -------
    A Matplotlib figure.

    Raises
    ------
    ValueError
        If the number of names is not the number of leads.

    Examples
    --------
    >>> import numpy as np
    >>> from ectopy import plot_strip
    >>> figure = plot_strip(np.zeros((2500, 2)), 250.0, leads=("II", "V1"))
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['II', 'V1']
    """
    from matplotlib.figure import Figure

    columns = np.asarray(signal, dtype=np.float64).reshape(len(signal), -1)
    names = tuple(leads) or ("",) * columns.shape[1]
    if len(names) != columns.shape[1]:
        raise ValueError(f"{len(names)} lead names for {columns.shape[1]} leads. Name each lead once.")
    stop_s = start_s + len(columns) / fs
    traces = [lead - _median(lead) for lead in columns.T]
    limits = [_limits_mv(trace) for trace in traces]
    heights = [high - low for low, high in limits]
    width_mm, height_mm = max((stop_s - start_s) * MM_PER_S, 40.0), sum(heights) * MM_PER_MV
    size = (width_mm / _INCH_MM + 0.8, height_mm / _INCH_MM + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    time_s = start_s + np.arange(len(columns)) / fs
    grid = {"height_ratios": heights}
    every = figure.subplots(len(traces), 1, sharex=True, squeeze=False, gridspec_kw=grid)[:, 0]
    for axes, name, trace, limit in zip(every, names, traces, limits, strict=True):
        axes.plot(time_s, trace, color="black", linewidth=0.8)
        axes.set_ylabel(printable(name), parse_math=False, rotation=0, ha="right", va="center")
        axes.set(xlim=(start_s, stop_s), ylim=limit)
        _rule_paper(axes)
    every[-1].set_xlabel("s", loc="right")
    if beats is not None:
        _mark_beats(every[0], beats, start_s, stop_s)
    return figure


def _median(lead: NDArray[np.float64]) -> float:
    return float(np.nanmedian(lead)) if np.isfinite(lead).any() else 0.0


def _limits_mv(trace: NDArray[np.float64]) -> tuple[float, float]:
    """Return the lowest and highest millivolt on the paper of a lead, on bold lines."""
    present = trace[np.isfinite(trace)]
    low, high = (present.min(), present.max()) if len(present) else (0.0, 0.0)
    below = np.clip(np.ceil(-2 * low) / 2, MIN_REACH_MV, MAX_REACH_MV)
    above = np.clip(np.ceil(2 * high) / 2, MIN_REACH_MV, MAX_REACH_MV)
    return -float(below), float(above)


def _rule_paper(axes: Any) -> None:
    """Draw the grid: 1 mm fine, 5 mm bold."""
    from matplotlib.ticker import MultipleLocator

    axes.set_aspect(MM_PER_MV / MM_PER_S)
    axes.xaxis.set_major_locator(MultipleLocator(1.0))
    axes.yaxis.set_major_locator(MultipleLocator(0.5))
    axes.yaxis.set_minor_locator(MultipleLocator(0.1))
    axes.set_yticklabels([])
    (low, high), limits = axes.get_xlim(), axes.get_ylim()
    for step_s, colour in ((0.04, _PAPER["fine"]), (0.2, _PAPER["bold"])):
        axes.vlines(
            np.arange(np.ceil(low / step_s), np.floor(high / step_s) + 1) * step_s,
            *limits,
            color=colour,
            linewidth=0.4,
            zorder=0,
        )
    axes.grid(visible=True, which="minor", axis="y", color=_PAPER["fine"], linewidth=0.4, zorder=0)
    axes.grid(visible=True, which="major", axis="y", color=_PAPER["bold"], linewidth=0.4, zorder=0)
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set_color(_PAPER["frame"])


def _mark_beats(axes: Any, beats: "Beats", start_s: float, stop_s: float) -> None:
    """Write the class of each beat above its R peak."""
    inside = beats.between(start_s, stop_s)
    marks = zip(beats.time_s[inside], beats.label[inside], beats.confident[inside], strict=True)
    for time_s, label, confident in marks:
        axes.annotate(
            f"{label}{'' if confident else '?'}",
            (time_s, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            color=_COLOURS.get(str(label), "black"),
            fontsize=8,
        )
