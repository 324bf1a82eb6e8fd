"""Running mean, median and extremes: those of scipy.ndimage, without the half second that it takes to import.

Each gives an array as long as the one it is given, along its first axis. ``size`` is that of the window about
each element; beyond the ends ``mode`` goes on as scipy has it: "reflect", "nearest" or "constant" (0).
"""

from bisect import bisect_left, insort
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Values = NDArray[Any]

_WORTH_SORTING = 130
"""Size of a window from which on it costs less to keep it in order than to look for each median anew."""


def uniform_filter1d(values: Values, size: int, *, mode: str = "reflect") -> Values:
    """Give the mean; of booleans, the share that is True in float32."""
    padded = _padded(values, size, mode).T
    total = np.zeros((*padded.shape[:-1], padded.shape[-1] + 1))
    np.cumsum(padded, axis=-1, out=total[..., 1:])
    mean = (total[..., size:] - total[..., :-size]) / size
    return np.asarray(mean.T, dtype=np.float32 if values.dtype == bool else values.dtype)


def maximum_filter1d(values: Values, size: int, *, mode: str = "reflect") -> Values:
    """Give the greatest."""
    return _extreme(values, size, mode, np.maximum)


def minimum_filter1d(values: Values, size: int, *, mode: str = "reflect") -> Values:
    """Give the least."""
    return _extreme(values, size, mode, np.minimum)


def median_filter(values: Values, size: int, *, mode: str = "reflect") -> Values:
    """Give the median of [n] values, none of them NaN; ``size`` is odd."""
    if not len(values):
        return values
    padded = _padded(values, size, mode)
    if size > _WORTH_SORTING:
        return np.array(_medians_of_sorted(padded.tolist(), size), dtype=values.dtype)
    return np.asarray(np.partition(sliding_window_view(padded, size), size // 2, axis=1)[:, size // 2])


def _medians_of_sorted(values: list[float], size: int) -> list[float]:
    """Keep a window in order while one value comes and one goes."""
    window = sorted(values[:size])
    medians = [window[size // 2]]
    for new, old in zip(values[size:], values, strict=False):
        del window[bisect_left(window, old)]
        insort(window, new)
        medians.append(window[size // 2])
    return medians


def _extreme(values: Values, size: int, mode: str, better: Callable[[Values, Values], Values]) -> Values:
    """Widen windows, at first of one element, by as much again as long as they do not get too wide."""
    best, width = _padded(values, size, mode), 1
    while width < size:
        step = min(width, size - width)
        best, width = better(best[:-step], best[step:]), width + step
    return best


def _padded(values: Values, size: int, mode: str) -> Values:
    if not len(values):  # there is no end to go on from
        return np.zeros((size - 1, *values.shape[1:]), dtype=values.dtype)
    before, after = np.arange(-(size // 2), 0), np.arange(len(values), len(values) + (size - 1) // 2)
    ends = [values[_inside(beyond, len(values), mode)] for beyond in (before, after)]
    if mode == "constant":
        ends = [np.zeros_like(end) for end in ends]
    return np.concatenate((ends[0].T, values.T, ends[1].T), axis=-1).T  # lead after lead


def _inside(beyond: NDArray[np.intp], n: int, mode: str) -> NDArray[np.intp]:
    """Bring indices beyond the ends back inside: as in a mirror that shows the end twice, or to that end."""
    if mode == "reflect":
        return np.minimum(beyond % (2 * n), (-1 - beyond) % (2 * n))
    return np.clip(beyond, 0, n - 1)
