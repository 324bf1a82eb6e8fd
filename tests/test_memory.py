"""Freed memory goes back to the system, or stays with the process."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ectopy.parallel.memory import keep_memory_of_blocks, return_freed_memory
from ectopy.parallel.worker_pool import WorkerPool

RESIDENT_AFTER_ARRAYS = """
import numpy as np
from ectopy.parallel.memory import return_memory_at_once

def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6

if {returns}:
    return_memory_at_once()
for _ in range(3):  # glibc raises its limit when the first is freed
    held = [np.ones(2_000_000) for _ in range(20)]
    between = bytearray(100_000)
    before = resident_mb()
    kept = held[::2]
    del held
print(before - resident_mb())
"""


def printed_by(code: str) -> str:
    """Run code in a process of its own."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def given_back_mb(*, returns: bool) -> float:
    return float(printed_by(RESIDENT_AFTER_ARRAYS.format(returns=returns)))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_every_other_array_that_is_freed_goes_back():
    assert given_back_mb(returns=True) > 150


RESIDENT_AFTER_PIECES = """
from threading import Thread
from ectopy.parallel.memory import return_freed_memory

def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6

def allocate():
    held = [bytearray(20_000) for _ in range(5000)]
    kept.extend(held[::50])

kept = []
for thread in (Thread(target=allocate), Thread(target=allocate)):
    thread.start()
    thread.join()
before = resident_mb()
return_freed_memory()
print(before - resident_mb())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the setting is that of glibc")
def test_what_threads_freed_between_pieces_in_use_goes_back():
    assert float(printed_by(RESIDENT_AFTER_PIECES)) > 50


FAULTS_OF_ARRAYS = """
import resource
from threading import Thread
from ectopy.parallel.memory import keep_freed_memory, keep_memory_of_blocks, return_memory_at_once

{before}()

def allocate():
    b"1" * {n}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        b"1" * {n}
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

{call}
"""


def page_faults(n: int, call: str, *, before: str) -> int:
    return int(printed_by(FAULTS_OF_ARRAYS.format(n=n, call=call, before=before)))


@pytest.mark.skipif(sys.platform != "linux", reason="the setting is that of glibc")
@pytest.mark.parametrize("call", ["allocate()", "Thread(target=allocate).start()"])
def test_pages_of_an_array_that_was_freed_are_used_again(call):
    n = 40_000_000  # glibc always gives back 32 MB and more
    assert page_faults(n, call, before="keep_freed_memory") < 10 * n // 4096 / 10


@pytest.mark.skipif(sys.platform != "linux", reason="the setting is that of glibc")
def test_a_short_recording_after_a_long_one_uses_freed_memory_again():
    n = 4_000_000  # as the arrays of a block
    pages = 10 * n // 4096
    assert page_faults(n, "allocate()", before="return_memory_at_once") > pages / 2
    before = "return_memory_at_once(), keep_memory_of_blocks"
    assert page_faults(n, "allocate()", before=before) < pages / 10


@pytest.mark.skipif(sys.platform != "linux", reason="the setting is that of glibc")
def test_an_array_of_all_beats_of_two_weeks_goes_back_at_once():
    n = 12_000_000
    assert page_faults(n, "allocate()", before="keep_memory_of_blocks") > 10 * n // 4096 / 2


RESIDENT_AFTER_THREAD = """
from threading import Thread
from ectopy.parallel.memory import keep_memory_of_blocks, return_freed_memory, share_one_heap

def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6

if {shares}:
    share_one_heap()
keep_memory_of_blocks()
before = resident_mb()
thread = Thread(target=lambda: [bytearray(1_000_000) for _ in range(30)])
thread.start()
thread.join()
return_freed_memory()
print(resident_mb() - before)
"""


def left_by_a_thread_mb(*, shares: bool) -> float:
    return float(printed_by(RESIDENT_AFTER_THREAD.format(shares=shares)))


@pytest.mark.skipif(sys.platform != "linux", reason="the setting is that of glibc")
def test_what_a_thread_has_freed_goes_back_if_it_shares_the_heap():
    assert left_by_a_thread_mb(shares=True) < 5 < left_by_a_thread_mb(shares=False)


def left_by_a_thread_of_a_worker_mb(_: None) -> float:
    keep_memory_of_blocks()
    before = resident_mb()
    thread = threading.Thread(target=lambda: [bytearray(1_000_000) for _ in range(30)])
    thread.start()
    thread.join()
    return_freed_memory()
    return resident_mb() - before


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


@pytest.mark.skipif(sys.platform != "linux", reason="the setting is that of glibc")
def test_threads_of_a_worker_process_share_one_heap():
    with WorkerPool(1) as workers:
        assert workers.call(left_by_a_thread_of_a_worker_mb, None) < 5
