"""Rolling mean, median, maximum and minimum, with the names and results of scipy.ndimage.

scipy.ndimage takes half a second to import, which these functions save. Each returns an array as long as its
input, along the first axis. ``mode`` sets how values go on beyond the ends, as in scipy.ndimage: "reflect",
"nearest" or "constant" (0).
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ectopy import compiled

Values = NDArray[Any]

_AT_ONCE = 8192
"""Elements of a part of a series."""
_WORTH_SORTING = 130
"""From this window size on, keeping the window sorted is faster than computing each median anew."""


class Part(NamedTuple):
    """A part of a series, the same with its context on either side, and where it lies inside that."""

    core: slice
    around: slice
    inside: slice


def parts_in_context(n: int, context: int, *, size: int | None = None) -> Iterator[Part]:
    """Cut a series into parts, so that what a rolling function needs is not as long as the series.

    Parameters
    ----------
    n
        Length of the series.
    context
        Elements on either side of a part on which its result depends.
    size
        Length of the parts; by default one of which a few arrays fit into the cache of a processor.

    Yields
    ------
    The parts in order. The context ends where the series does.
    """
    size = size or _AT_ONCE
    for start in range(0, n, size):
        stop, first = min(start + size, n), max(start - context, 0)
        yield Part(
            slice(start, stop), slice(first, min(stop + context, n)), slice(start - first, stop - first)
        )


def uniform_filter1d(values: Values, size: int, *, mode: str = "reflect") -> Values:
    """Compute the rolling mean.

    Parameters
    ----------
    values
        [n, ...]. For booleans, the result is the fraction that is True, as float32.
    size
        Length of the window around each element.
    mode
        How the values go on beyond the ends.

    Returns
    -------
    The means, [n, ...].
    """
    padded = _padded(values, size, mode).T
    if compiled.is_compiled() and padded.dtype == np.float32 and padded.size:
        means = compiled.moving_mean(padded.reshape(-1, padded.shape[-1]), size)
        return np.asarray(means.reshape(*padded.shape[:-1], -1).T)
    total = np.zeros((*padded.shape[:-1], padded.shape[-1] + 1))
    np.cumsum(padded, axis=-1, out=total[..., 1:])
    mean = (total[..., size:] - total[..., :-size]) / size
    return np.asarray(mean.T, dtype=np.float32 if values.dtype == bool else values.dtype)


def maximum_filter1d(values: Values, size: int, *, mode: str = "reflect") -> Values:
    """Compute the rolling maximum.

    Parameters
    ----------
    values
        [n, ...].
    size
        Length of the window around each element.
    mode
        How the values go on beyond the ends.

    Returns
    -------
    The maxima, [n, ...].
    """
    return _extreme(values, size, mode, np.maximum)


def minimum_filter1d(values: Values, size: int, *, mode: str = "reflect") -> Values:
    """Compute the rolling minimum.

    Parameters
    ----------
    values
        [n, ...].
    size
        Length of the window around each element.
    mode
        How the values go on beyond the ends.

    Returns
    -------
    The minima, [n, ...].
    """
    return _extreme(values, size, mode, np.minimum)


def median_filter(values: Values, size: int, *, mode: str = "reflect") -> Values:
    """Compute the rolling median.

    Parameters
    ----------
    values
        [n], none of them NaN.
    size
        Length of the window around each element; odd.
    mode
        How the values go on beyond the ends.

    Returns
    -------
    The medians, [n].
    """
    if not len(values):
        return values
    padded = _padded(values, size, mode)
    if compiled.is_compiled():
        return compiled.moving_median(padded, size).astype(values.dtype)
    if size > _WORTH_SORTING:
        return np.array(_medians_of_sorted(padded.tolist(), size), dtype=values.dtype)
    return np.asarray(np.partition(sliding_window_view(padded, size), size // 2, axis=1)[:, size // 2])


def medians(values: Values) -> Values:
    """Compute the median along the last axis: numpy sorts rows several times faster than it finds medians.

    Parameters
    ----------
    values
        [..., n], none of them NaN.

    Returns
    -------
    The medians, [...].
    """
    ordered, n = np.sort(values, axis=-1), values.shape[-1]
    if n % 2:
        return np.asarray(ordered[..., n // 2])
    return np.asarray((ordered[..., n // 2 - 1] + ordered[..., n // 2]) / 2, dtype=values.dtype)


def _medians_of_sorted(values: list[float], size: int) -> list[float]:
    """Compute the medians from a window that stays sorted while one value enters and one leaves."""
    window = sorted(values[:size])
    medians = [window[size // 2]]
    for new, old in zip(values[size:], values, strict=False):
        del window[bisect_left(window, old)]
        insort(window, new)
        medians.append(window[size // 2])
    return medians


def _extreme(values: Values, size: int, mode: str, better: Callable[[Values, Values], Values]) -> Values:
    """Compute rolling extremes by doubling the window: two windows that overlap make a wider one."""
    best, width = _padded(values, size, mode), 1
    while width < size:
        step = min(width, size - width)
        best, width = better(best[:-step], best[step:]), width + step
    return best


def _padded(values: Values, size: int, mode: str) -> Values:
    if not len(values):  # there is no end to continue
        return np.zeros((size - 1, *values.shape[1:]), dtype=values.dtype)
    before, after = size // 2, (size - 1) // 2
    padded = np.empty((*values.shape[:0:-1], before + len(values) + after), dtype=values.dtype).T
    padded[before : before + len(values)] = values  # each lead contiguous in memory
    if mode == "constant":
        padded[:before] = padded[before + len(values) :] = 0
    else:
        padded[:before] = values[_inside(np.arange(-before, 0), len(values), mode)]
        padded[before + len(values) :] = values[_inside(len(values) + np.arange(after), len(values), mode)]
    return padded


def _inside(beyond: NDArray[np.intp], n: int, mode: str) -> NDArray[np.intp]:
    """Map indices beyond the ends to the elements that stand for them."""
    if mode == "reflect":  # the end itself is repeated: d c b a | a b c d | d c b a
        return np.minimum(beyond % (2 * n), (-1 - beyond) % (2 * n))
    return np.clip(beyond, 0, n - 1)
