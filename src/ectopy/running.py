"""Running mean, median and extremes: those of scipy.ndimage, without the half second that it takes to import.

Each gives an array as long as the one it is given, along its first axis. ``size`` is that of the window about
each element; beyond the ends ``mode`` goes on as scipy has it: "reflect", "nearest" or "constant" (0).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Values = NDArray[Any]

_WORTH_SCIPY = 3_000_000
"""Elements of all windows from which on scipy, whose median costs less, is worth its import."""


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
    """Give the median of [n] values; ``size`` is odd."""
    if len(values) * size > _WORTH_SCIPY:
        from scipy import ndimage

        return np.asarray(ndimage.median_filter(values, size, mode=mode))  # type: ignore[arg-type]
    if not len(values):
        return values
    windows = sliding_window_view(_padded(values, size, mode), size)
    return np.asarray(np.partition(windows, size // 2, axis=1)[:, size // 2])


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
