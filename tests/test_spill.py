import gc
from pathlib import Path

import numpy as np
import pytest

from ectopy.spill import Rows, Store, concatenate


def windows(n, *, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 2, 76)).astype(np.float16)


@pytest.fixture
def both():
    """An array, and the same in a file, written by parts of uneven length, one of them empty."""
    array, store = windows(100), Store(np.float16, (2, 76))
    return array, concatenate([store.add(part) for part in np.split(array, [7, 7, 60])])


def test_rows_have_the_length_shape_and_type_of_the_array(both):
    array, rows = both
    assert (len(rows), rows.shape, rows[:, 0].dtype) == (100, array.shape, array.dtype)


@pytest.mark.parametrize(
    "index",
    [
        (slice(None), 0),
        (slice(10, 90), slice(None), slice(5, 20)),
        (np.array([99, 3, 3]), 1),
        (np.arange(100) % 2 == 0, slice(None, 1)),
        (np.empty(0, dtype=np.intp), 0),
        (slice(40, 40), slice(None), slice(None, 4)),
    ],
)
def test_an_index_of_what_is_in_them_reads_as_from_an_array(both, index):
    array, rows = both
    np.testing.assert_array_equal(rows[index], array[index])


@pytest.mark.parametrize("index", [slice(20, 50), np.array([5, 80]), np.arange(100) > 96])
def test_chosen_rows_stay_in_their_file_until_they_are_read(both, index):
    array, rows = both
    assert isinstance(rows[index], Rows)
    np.testing.assert_array_equal(rows[index].astype(np.float32), array[index].astype(np.float32))


def test_rows_may_be_chosen_among_chosen_rows(both):
    array, rows = both
    np.testing.assert_array_equal(rows[10:90][np.array([0, 79])][:, 0], array[[10, 89], 0])


def test_what_is_read_is_a_copy(both):
    array, rows = both
    rows[:, 0][:] = 0
    np.testing.assert_array_equal(rows[:, 0], array[:, 0])


def test_arrays_in_memory_stay_arrays():
    np.testing.assert_array_equal(concatenate([windows(3), windows(4, seed=1)])[3:], windows(4, seed=1))


def test_a_store_without_a_row_is_empty():
    rows = concatenate([Store(np.float16, (2, 76)).add(windows(0))])
    assert rows.shape == (0, 2, 76)
    assert rows[:, 0].shape == rows.astype(np.float32)[:, 0].shape == (0, 76)


def test_parts_are_stored_in_the_type_of_the_store():
    rows = Store(np.float16, (2, 76)).add(windows(3).astype(np.float64))
    np.testing.assert_array_equal(rows[:, 1], windows(3)[:, 1])


def test_the_file_is_closed_when_no_rows_of_it_are_left():
    store = Store(np.float16, (2, 76))
    rows, file = store.add(windows(5))[:2], store._file
    del store
    assert not file.closed
    del rows
    gc.collect()
    assert file.closed


@pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="the memory of a process is told by Linux alone"
)
def test_a_reading_keeps_no_page_of_the_file():
    """What is mapped is let go at once: a day of beats that was read is not in memory after it."""
    rows = Store(np.float16, (2, 76)).add(windows(50_000))
    before = Path("/proc/self/statm").read_text().split()[1]
    for start in range(0, 50_000, 1000):
        rows[start : start + 1000, 0]
    after = Path("/proc/self/statm").read_text().split()[1]
    assert (int(after) - int(before)) * 4096 < rows.store._n_rows * 2 * 76  # half of the file's bytes
