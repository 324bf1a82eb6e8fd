"""Processes that work apart: one that dies loses only what it was working on."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ectopy.workers import DiedError, Workers


def double(number: int) -> int:
    if number < 0:
        raise ValueError(f"{number} is negative")
    return 2 * number


def pid(_: object) -> int:
    return os.getpid()


def die(how: int) -> None:
    os.kill(os.getpid(), how)


def test_work_is_done_in_another_process() -> None:
    with Workers(1) as workers:
        first, second = workers.call(pid, None), workers.call(pid, None)
    assert first == second != os.getpid()


def test_an_error_of_the_work_comes_back_as_it_is() -> None:
    with Workers(1) as workers:
        with pytest.raises(ValueError, match="-1 is negative"):
            workers.call(double, -1)
        assert workers.call(double, 4) == 8


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_a_process_that_dies_is_replaced(how: int) -> None:
    with Workers(1) as workers:
        before = workers.call(pid, None)
        with pytest.raises(DiedError, match="died"):
            workers.call(die, how)
        assert workers.call(pid, None) != before


def test_threads_share_the_processes_and_a_death_is_nobody_elses() -> None:
    def work(number: int) -> int | None:
        try:
            return workers.call(double, number) if number != 3 else workers.call(die, signal.SIGKILL)
        except DiedError:
            return -1

    with Workers(2) as workers, ThreadPoolExecutor(4) as threads:
        assert list(threads.map(work, range(6))) == [0, 2, 4, -1, 8, 10]


def test_more_threads_than_processes_wait_for_their_turn() -> None:
    with Workers(1) as workers, ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(workers.call, [pid] * 4, range(4)))) == 1


def test_no_process_is_left_behind() -> None:
    threads_before = threading.active_count()
    with Workers(1) as workers:
        worker = workers.call(pid, None)
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    assert threading.active_count() <= threads_before
