"""Processes that work apart: one that dies loses only what it was working on."""

import os
import re
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from ectopy import cli
from ectopy.parallel import worker_pool
from ectopy.parallel.worker_pool import (
    LimitExceededError,
    ResourceLimits,
    WorkerDiedError,
    WorkerPool,
    WorkerStartError,
)


def double(number: int) -> int:
    if number < 0:
        raise ValueError(f"{number} is negative")
    return 2 * number


def pid(_: object) -> int:
    return os.getpid()


def die(how: int) -> None:
    os.kill(os.getpid(), how)


def test_work_is_done_in_another_process() -> None:
    with WorkerPool(1) as workers:
        first, second = workers.call(pid, None), workers.call(pid, None)
    assert first == second != os.getpid()


def test_an_error_of_the_work_comes_back_as_it_is() -> None:
    with WorkerPool(1) as workers:
        with pytest.raises(ValueError, match="-1 is negative"):
            workers.call(double, -1)
        assert workers.call(double, 4) == 8


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_a_process_that_dies_is_replaced(how: int) -> None:
    with WorkerPool(1) as workers:
        before = workers.call(pid, None)
        with pytest.raises(WorkerDiedError, match="died"):
            workers.call(die, how)
        assert workers.call(pid, None) != before


def test_threads_share_the_processes_and_a_death_is_nobody_elses() -> None:
    def work(number: int) -> int | None:
        try:
            return workers.call(double, number) if number != 3 else workers.call(die, signal.SIGKILL)
        except WorkerDiedError:
            return -1

    with WorkerPool(2) as workers, ThreadPoolExecutor(4) as threads:
        assert list(threads.map(work, range(6))) == [0, 2, 4, -1, 8, 10]


def test_more_threads_than_processes_wait_for_their_turn() -> None:
    with WorkerPool(1) as workers, ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(workers.call, [pid] * 4, range(4)))) == 1


def test_one_that_dies_while_it_is_idle_is_blamed_on_no_work() -> None:
    with WorkerPool(1) as workers:
        idle = workers.call(pid, None)
        os.kill(idle, signal.SIGKILL)
        time.sleep(0.5)
        assert workers.call(double, 4) == 8


def test_where_none_can_be_started_no_work_is_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "_initialise_worker", os._exit)
    with WorkerPool(1) as workers:
        for _ in range(2):
            with pytest.raises(WorkerStartError, match="no worker process can be started"):
                workers.call(double, 4)
        with pytest.raises(WorkerStartError):
            workers.call_each(double, [1, 2])


def test_a_process_can_be_started_before_it_is_needed(tmp_path: Path) -> None:
    with WorkerPool(1) as workers:
        workers.start(partial(Path.touch, tmp_path / "imported"))
        assert workers.call(Path.exists, tmp_path / "imported")


def test_work_that_is_interrupted_tidies_up(tmp_path: Path) -> None:
    with WorkerPool(1) as workers, ThreadPoolExecutor(1) as threads:
        future = threads.submit(workers.call, work_in, tmp_path / "half")
        while not (tmp_path / "half").exists():
            time.sleep(0.01)
        workers.interrupt()
        with pytest.raises(SystemExit):
            future.result()
        assert not (tmp_path / "half").exists()


def be_deaf(path: Path) -> None:
    """Work on whatever signal comes, like a library that compiles for minutes."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    path.touch()
    time.sleep(600)


def count_up(to: int) -> int:
    for number in range(to):
        worker_pool.report(number)
    return to


def talk(to: int) -> int:
    for _ in range(to):
        worker_pool.report("x" * 10_000)
    return to


def test_what_work_reports_arrives_in_its_order_while_it_goes_on() -> None:
    told: list[int] = []
    with WorkerPool(1, on_report=told.append) as workers:
        assert workers.call(count_up, 3) == 3
        deadline = time.monotonic() + 30
        while len(told) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert told == [0, 1, 2]


def test_a_listener_that_fails_does_not_hold_up_the_work(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: str) -> None:
        raise ValueError("no such terminal")

    with WorkerPool(1, on_report=fail) as workers:
        assert workers.call(talk, 20) == 20  # far more than a pipe holds
    assert "progress is not shown: no such terminal" in caplog.text
    worker_pool.report("in a process that nobody listens to")


def test_work_that_has_waited_does_not_begin_once_the_pool_is_interrupted(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as threads:
        with suppress(KeyboardInterrupt), WorkerPool(1) as workers:
            first = threads.submit(workers.call, work_in, tmp_path / "first")
            while not (tmp_path / "first").exists():
                time.sleep(0.01)
            second = threads.submit(workers.call, work_in, tmp_path / "second")
            raise KeyboardInterrupt
        with pytest.raises(SystemExit):
            first.result()
        with pytest.raises(WorkerDiedError, match="interrupted"):
            second.result()
    assert not (tmp_path / "second").exists()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_work_that_answers_no_signal_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(worker_pool, "_INTERRUPT_S", 1.0)
    with ThreadPoolExecutor(1) as threads:
        with suppress(KeyboardInterrupt), WorkerPool(1) as workers:
            busy = threads.submit(workers.call, be_deaf, tmp_path / "deaf")
            while not (tmp_path / "deaf").exists():
                time.sleep(0.01)
            raise KeyboardInterrupt
        with pytest.raises(WorkerDiedError):
            busy.result(timeout=60)


class TestEach:
    def test_outcomes_are_in_the_order_of_the_arguments(self) -> None:
        with WorkerPool(1) as workers:
            outcomes = workers.call_each(double, range(-1, 200))
        assert str(outcomes[0]) == "-1 is negative"
        assert outcomes[1:] == [2 * number for number in range(200)]

    def test_what_kills_or_takes_too_long_is_alone_in_that(self) -> None:
        numbers = [1, 2, -signal.SIGKILL, 3, -600, 4]
        with WorkerPool(1, ResourceLimits(time_s=600)) as workers:
            one, two, dead, three, slow, four = workers.call_each(harm, numbers, time_s=2)
        assert (one, two, three, four) == (1, 2, 3, 4)
        assert isinstance(dead, WorkerDiedError)
        assert isinstance(slow, LimitExceededError)

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts all memory that is written to")
    def test_so_is_what_takes_too_much_memory(self) -> None:
        with WorkerPool(1, ResourceLimits(memory_mb=512)) as workers:
            small, large, last = workers.call_each(fill, [1, 2**30, 2])
        assert (small, last) == (1, 2)
        assert isinstance(large, LimitExceededError)


def test_no_process_is_left_behind() -> None:
    threads_before = threading.active_count()
    with WorkerPool(1) as workers:
        worker = workers.call(pid, None)
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    assert threading.active_count() <= threads_before


class TestBounds:
    """What takes too long or too much is stopped, alone; the kernel does it, whatever the work is doing."""

    def test_work_that_takes_too_long_is_stopped_and_the_next_is_done(self) -> None:
        with WorkerPool(1, ResourceLimits(time_s=2)) as workers:
            assert workers.call(double, 1) == 2
            begun = time.monotonic()
            with pytest.raises(LimitExceededError, match="it took longer than the limit of 2 s"):
                workers.call(time.sleep, 600)
            assert 2 <= time.monotonic() - begun < 60
            assert workers.call(double, 4) == 8

    def test_so_is_work_that_lets_no_signal_handler_run(self) -> None:
        # A regular expression that backtracks for years holds the interpreter, and no Python code gets its turn.
        with WorkerPool(1, ResourceLimits(time_s=2)) as workers, pytest.raises(LimitExceededError):
            workers.call(backtrack, 100)

    def test_the_alarm_is_off_between_two_pieces_of_work(self) -> None:
        with WorkerPool(1, ResourceLimits(time_s=1)) as workers:
            before = workers.call(pid, None)
            time.sleep(1.5)
            assert workers.call(pid, None) == before

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts all memory that is written to")
    def test_work_that_takes_too_much_memory_is_stopped_and_the_next_is_done(self) -> None:
        with WorkerPool(1, ResourceLimits(memory_mb=512)) as workers:
            before = workers.call(pid, None)
            with pytest.raises(LimitExceededError, match="it took more memory than the limit of 512 MB"):
                workers.call(fill, 2**30)
            assert workers.call(fill, 2**27) == 2**27
            assert workers.call(pid, None) == before  # nobody had to die

    def test_a_death_within_bounds_is_a_death(self) -> None:
        with (
            WorkerPool(1, ResourceLimits(time_s=600, memory_mb=1024)) as workers,
            pytest.raises(WorkerDiedError),
        ):
            workers.call(die, signal.SIGKILL)

    def test_processes_are_begun_when_they_are_needed(self) -> None:
        workers = WorkerPool(1000)
        assert len({workers.call(pid, None) for _ in range(3)}) == 1
        with workers:
            pass


def harm(number: int) -> int:
    """Return a number; die by the signal of a small negative one, and wait for a large one."""
    if number < -100:
        time.sleep(-number)
    elif number < 0:
        die(-number)
    return number


def work_in(path: Path) -> None:
    path.touch()
    try:
        for _ in range(60_000):  # a signal just before a long sleep would wait for its end
            time.sleep(0.01)
    finally:
        path.unlink()


def fill(n_bytes: int) -> int:
    return len(bytes(n_bytes))


def backtrack(n: int) -> object:
    return re.match("(a+)+$", "a" * n + "b")


def test_a_worker_that_dies_before_any_recording_ends_a_command_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def died(*_: object, **__: object) -> None:
        raise WorkerDiedError("the worker process died, perhaps for lack of memory")

    monkeypatch.setattr("ectopy.cli.app", died)
    with pytest.raises(SystemExit, match="1"):
        cli.main(["score"])
    assert capsys.readouterr().err == "ectopy: the worker process died, perhaps for lack of memory\n"
