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
    kind = np.float32 if values.dtype == bool else values.dtype
    total = np.cumsum(_padded(values, size, mode), axis=0, dtype=np.float64)
    total[size:] -= total[:-size].copy()
    return np.asarray(total[size - 1 :] / size, dtype=kind)


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

        return np.asarray(ndimage.median_filter(values, size, mode=mode))
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
    before, after = size // 2, (size - 1) // 2
    if mode == "constant":
        padded = np.zeros((before + len(values) + after, *values.shape[1:]), dtype=values.dtype)
        padded[before : before + len(values)] = values
        return padded
    index = np.arange(-before, len(values) + after)
    return values[np.clip(index, 0, len(values) - 1) if mode == "nearest" else _mirrored(index, len(values))]


def _mirrored(index: NDArray[np.intp], n: int) -> NDArray[np.intp]:
    """Fold indices back at either end, where the last element is seen twice."""
    return np.minimum(index % (2 * n), (-1 - index) % (2 * n))
