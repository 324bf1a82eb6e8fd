"""Rolling statistics equal those of scipy.ndimage, and those of numpy window by window."""

from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import ndimage

from ectopy.signal import rolling

MODES = {"reflect": "symmetric", "nearest": "edge", "constant": "constant"}
EXTREMES = ("maximum_filter1d", "minimum_filter1d")


def drawn(*shape: int, kind: type = np.float32) -> NDArray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(kind)


def windows(values: NDArray, size: int, mode: str) -> NDArray:
    """Every window, one after the other: slow, and plain to see."""
    around: Any = [(size // 2, size // 2), *[(0, 0)] * (values.ndim - 1)]
    padded = np.pad(values, around, mode=MODES[mode])  # type: ignore[call-overload]
    return sliding_window_view(padded, size, axis=0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [1, 3, 17, 301])
@pytest.mark.parametrize("n", [1, 2, 8, 150, 1000])
class TestWindowByWindow:
    """Also where windows are many times as long as what they run over."""

    def test_mean(self, n: int, size: int, mode: str) -> None:
        expected = windows(drawn(n, 2, kind=float), size, mode).mean(axis=-1)
        found = rolling.uniform_filter1d(drawn(n, 2, kind=float), size, mode=mode)
        np.testing.assert_allclose(found, expected, atol=1e-12)

    def test_median(self, n: int, size: int, mode: str) -> None:
        expected = np.median(windows(drawn(n), size, mode), axis=-1)
        np.testing.assert_array_equal(rolling.median_filter(drawn(n), size, mode=mode), expected)

    def test_extremes(self, n: int, size: int, mode: str) -> None:
        seen = windows(drawn(n, 2), size, mode)
        found = [getattr(rolling, name)(drawn(n, 2), size, mode=mode) for name in EXTREMES]
        np.testing.assert_array_equal(found, [seen.max(axis=-1), seen.min(axis=-1)])


@pytest.mark.parametrize("name", [*EXTREMES, "median_filter"])
@pytest.mark.parametrize("mode", MODES)
def test_what_is_chosen_among_elements_is_what_scipy_chooses(name: str, mode: str) -> None:
    expected = getattr(ndimage, name)(drawn(2000), 21, mode=mode)
    np.testing.assert_array_equal(getattr(rolling, name)(drawn(2000), 21, mode=mode), expected)


@pytest.mark.parametrize("mode", MODES)
def test_a_mean_is_that_of_scipy_but_for_rounding(mode: str) -> None:
    expected = ndimage.uniform_filter1d(drawn(120_000, 2), 1201, axis=0, mode=mode)
    found = rolling.uniform_filter1d(drawn(120_000, 2), 1201, mode=mode)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_the_mean_of_booleans_is_a_share() -> None:
    share = rolling.uniform_filter1d(np.array([True, True, False, False]), 3, mode="constant")
    assert share.dtype == np.float32
    np.testing.assert_allclose(share, [2 / 3, 2 / 3, 1 / 3, 0], rtol=1e-6)


def test_the_extremes_of_booleans_are_booleans() -> None:
    edge = np.arange(10) < 5
    assert rolling.minimum_filter1d(edge, 3).tolist() == [True] * 4 + [False] * 6
    assert rolling.maximum_filter1d(edge, 3).tolist() == [True] * 6 + [False] * 4


@pytest.mark.parametrize("name", [*EXTREMES, "median_filter", "uniform_filter1d"])
def test_of_nothing_there_is_nothing(name: str) -> None:
    assert getattr(rolling, name)(np.empty(0), 5).shape == (0,)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [129, 131, 301])
def test_a_window_that_is_kept_in_order_has_the_same_median(size: int, mode: str) -> None:
    values = np.round(drawn(3000), 1)  # many are equal
    found = rolling.median_filter(values, size, mode=mode)
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, ndimage.median_filter(values, size, mode=mode))


@pytest.mark.parametrize("n", [1, 2, 7, 8, 331])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_medians_of_rows_are_those_of_numpy(n: int, kind: type) -> None:
    rows = drawn(5, 3, n, kind=kind)
    found = rolling.medians(rows)
    assert found.dtype == kind
    np.testing.assert_array_equal(found, np.median(rows, axis=-1))
    np.testing.assert_array_equal(rolling.medians(rows.T), np.median(rows, axis=0).T)


@pytest.mark.parametrize("size", [1, 3, 10, 50])
@pytest.mark.parametrize("context", [0, 1, 7])
@pytest.mark.parametrize("n", [0, 1, 10, 31])
def test_parts_cover_a_series_once_with_context_that_ends_where_it_does(
    n: int, context: int, size: int
) -> None:
    series, parts = np.arange(n), list(rolling.parts_in_context(n, context, size=size))
    assert [at for part in parts for at in series[part.core].tolist()] == series.tolist()
    for part in parts:
        around = series[part.around]
        np.testing.assert_array_equal(around[part.inside], series[part.core])
        first, last = max(series[part.core][0] - context, 0), min(series[part.core][-1] + context, n - 1)
        assert (around[0], around[-1]) == (first, last)
        assert len(series[part.core]) <= size


@pytest.mark.parametrize("size", [1, 40, 1000])
def test_a_rolling_function_by_parts_is_that_of_the_whole(size: int) -> None:
    values = drawn(200)
    by_parts = np.empty_like(values)
    for part in rolling.parts_in_context(len(values), 8, size=size):
        by_parts[part.core] = rolling.maximum_filter1d(values[part.around], 17)[part.inside]
    np.testing.assert_array_equal(by_parts, rolling.maximum_filter1d(values, 17))
