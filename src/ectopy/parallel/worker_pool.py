"""Processes that work on one thing at a time: where one dies, only what it was working on is lost."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache, partial
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self, TypeVar

from ectopy.parallel.blas_threads import limit_blas_threads

T = TypeVar("T")
R = TypeVar("R")


class WorkerDiedError(RuntimeError):
    """A process that ended before its work did."""


class LimitExceededError(RuntimeError):
    """Work that was stopped: it took more time or memory than it may."""


@dataclass(frozen=True)
class ResourceLimits:
    """What one piece of work may take: seconds by the clock, and MB of memory; None is no bound.

    The kernel keeps them, whatever the work is doing: an alarm that ends the process, and a limit to its
    data (``RLIMIT_DATA``; Linux counts all memory that is written to). Windows knows neither.
    """

    time_s: float | None = None
    memory_mb: int | None = None


NO_LIMITS = ResourceLimits()


class WorkerPool:
    """So many processes at most, each in a pool of its own; threads share them by :meth:`call`."""

    def __init__(self, n: int, bounds: ResourceLimits = NO_LIMITS) -> None:
        self._bounds = bounds
        self._free = threading.Semaphore(n)
        self._idle: SimpleQueue[ProcessPoolExecutor] = SimpleQueue()

    def call(self, function: Callable[[T], R], argument: T) -> R:
        """Call a function in an idle process; wait for one if there is none."""
        with self._free:
            process = self._idle_or_new()
            begun = time.monotonic()
            try:
                return process.submit(_bounded, self._bounds, function, argument).result()
            except BrokenProcessPool as error:
                process = _process(self._bounds)
                raise self._why_it_ended(time.monotonic() - begun) from error
            finally:
                self._idle.put(process)

    def _idle_or_new(self) -> ProcessPoolExecutor:
        try:
            return self._idle.get_nowait()
        except Empty:
            return _process(self._bounds)

    def _why_it_ended(self, took_s: float) -> WorkerDiedError | LimitExceededError:
        if self._bounds.time_s is not None and took_s >= self._bounds.time_s:
            return LimitExceededError(f"at most {self._bounds.time_s:g} s expected: stopped")
        return WorkerDiedError("the process that worked on it died (out of memory?)")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while not self._idle.empty():
            self._idle.get().shutdown(cancel_futures=True)


@cache
def workers_here(bounds: ResourceLimits) -> WorkerPool:
    """Give the workers of this process, which end with it: one for each thread that calls."""
    return WorkerPool(sys.maxsize, bounds)


def _process(bounds: ResourceLimits) -> ProcessPoolExecutor:
    # Spawned, not forked: a fork copies the threads' locks in whatever state they are.
    begin = partial(_begin, bounds.memory_mb)
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=begin)


def _begin(memory_mb: int | None) -> None:
    """Leave Ctrl-C to the parent, and end with it: a killed run leaves no process behind."""
    limit_blas_threads()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if memory_mb is not None and os.name == "posix":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (memory_mb * 2**20, memory_mb * 2**20))


def _bounded(bounds: ResourceLimits, function: Callable[[T], R], argument: T) -> R:
    """Work within bounds; an alarm that nobody handles ends the process, even one that hangs in C."""
    timed = bounds.time_s is not None and hasattr(signal, "setitimer")
    if timed:
        signal.setitimer(signal.ITIMER_REAL, bounds.time_s or 0)
    try:
        return function(argument)
    except MemoryError as error:
        raise LimitExceededError(f"at most {bounds.memory_mb} MB of memory expected: stopped") from error
    finally:
        if timed:
            signal.setitimer(signal.ITIMER_REAL, 0)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
