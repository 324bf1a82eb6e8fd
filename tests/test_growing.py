"""An array that grows by parts is the concatenation of the parts."""

import mmap
import tracemalloc
from tempfile import TemporaryFile

import numpy as np
import pytest

from ectopy.signal.growing import GrowingArray


@pytest.mark.parametrize("dtype", [np.int64, np.float16, bool])
@pytest.mark.parametrize("shape", [(), (2,), (3, 4)])
def test_parts_of_any_length_are_concatenated(dtype, shape):
    parts = [np.random.default_rng(n).integers(0, 2, (n, *shape)).astype(dtype) for n in (3, 0, 1, 1000)]
    growing = GrowingArray(dtype, *shape)
    for part in parts:
        growing.append(part)
    whole = growing.array()
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    assert whole.dtype == dtype
    whole[:] = 0  # it may be changed
    assert not whole.any()


def test_in_a_file_it_is_the_same_and_outlives_it():
    with TemporaryFile() as file:
        growing = GrowingArray(np.float16, 2, file=file)
        growing.append(np.ones((3, 2)))
        growing.append(np.zeros((2, 2)))
        growing.put(1, np.full((1, 2), 5.0))
        whole = growing.array()
    np.testing.assert_array_equal(whole[:, 0], [1, 5, 1, 0, 0])
    assert isinstance(whole.base, mmap.mmap)


def test_without_a_part_it_is_empty():
    assert GrowingArray(np.float32, 2).array().shape == (0, 2)
    growing = GrowingArray(np.float32)
    growing.append(np.empty(0, dtype=np.float32))
    assert growing.array().shape == (0,)


def test_a_part_is_taken_as_the_type_and_whatever_its_order_in_memory():
    growing = GrowingArray(np.float32, 2)
    columns = np.arange(10.0).reshape(2, 5)
    growing.append(columns.T)
    growing.append(columns.T[::-2])
    np.testing.assert_array_equal(growing.array(), np.concatenate((columns.T, columns.T[::-2])))


def test_rows_replace_those_that_are_there():
    growing, plain = GrowingArray(np.int64), np.zeros(0, dtype=np.int64)
    rng = np.random.default_rng(0)
    for number in range(50):
        at, rows = rng.integers(0, len(plain) + 1), np.full(rng.integers(0, 9), number)
        growing.put(at, rows)
        plain = np.concatenate((plain[:at], rows, plain[at + len(rows) :]))
        if number % 7 == 0:
            growing.append(rows)
            plain = np.concatenate((plain, rows))
    np.testing.assert_array_equal(growing.array(), plain)


def peak_of(collect, n_parts: int = 200) -> int:
    tracemalloc.start()
    collect(np.full(10_000, part, dtype=np.float64) for part in range(n_parts))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_it_takes_less_memory_than_a_list_of_parts():
    def grow(parts):
        growing = GrowingArray(np.float64)
        for part in parts:
            growing.append(part)
        return growing.array()

    assert peak_of(grow) < 0.75 * peak_of(lambda parts: np.concatenate(list(parts)))
