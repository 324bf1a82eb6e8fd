"""Work ahead in a thread: the results of ``map``, in its order, with its errors."""

import threading
import time

import pytest

from ectopy.parallel.ahead import map_ahead


@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_results_are_those_of_map(n: int) -> None:
    assert list(map_ahead(str, range(n))) == list(map(str, range(n)))


def test_the_next_item_is_worked_on_while_the_caller_is_busy() -> None:
    begun = [threading.Event() for _ in range(3)]

    def work(number: int) -> int:
        begun[number].set()
        return number

    results = map_ahead(work, range(3))
    assert next(results) == 0
    assert begun[1].wait(10)  # nobody has asked for it yet
    assert not begun[2].is_set()
    assert list(results) == [1, 2]


def test_an_error_comes_in_place_of_its_result() -> None:
    results = map_ahead(lambda number: 1 // number, [1, 1, 0, 1])
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_an_error_of_the_items_is_the_one_of_the_caller() -> None:
    def items():
        yield 1
        raise KeyError("no more")

    with pytest.raises(KeyError, match="no more"):
        list(map_ahead(str, items()))


def test_no_thread_is_left_if_the_caller_stops_early() -> None:
    def work(number: int) -> int:
        time.sleep(0.01)
        return number

    before = threading.active_count()
    results = map_ahead(work, range(100))
    assert next(results) == 0
    results.close()
    assert threading.active_count() == before
