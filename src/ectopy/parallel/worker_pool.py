"""Worker processes, each with one task at a time: if a process dies, only its own task is lost."""

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
    """A worker process that ended before its task."""


class LimitExceededError(RuntimeError):
    """A task that was stopped because it took more time or memory than allowed."""


@dataclass(frozen=True)
class ResourceLimits:
    """Limits of one task: wall time in seconds, and memory in MB; None means no limit.

    The kernel enforces them, whatever the task is doing. An alarm ends the process, and ``RLIMIT_DATA``
    limits its memory (Linux counts all memory that is written to). Windows supports neither.
    """

    time_s: float | None = None
    memory_mb: int | None = None


NO_LIMITS = ResourceLimits()


class WorkerPool:
    """At most ``n`` worker processes, which threads share by :meth:`call`.

    Each process is a pool of its own: a pool of several would be lost as a whole if one of them died.
    """

    def __init__(self, n: int, limits: ResourceLimits = NO_LIMITS) -> None:
        self._limits = limits
        self._free = threading.Semaphore(n)
        self._idle: SimpleQueue[ProcessPoolExecutor] = SimpleQueue()

    def call(self, function: Callable[[T], R], argument: T) -> R:
        """Call a function in an idle process; wait for one if necessary.

        Parameters
        ----------
        function
            A function that can be pickled.
        argument
            Its argument.

        Returns
        -------
        The result of the function.

        Raises
        ------
        WorkerDiedError
            If the process died.
        LimitExceededError
            If the function took more time or memory than allowed.
        """
        with self._free:
            worker = self._idle_or_new()
            started_s = time.monotonic()
            try:
                return worker.submit(_call_within_limits, self._limits, function, argument).result()
            except BrokenProcessPool as error:
                worker = _new_worker(self._limits)
                raise self._reason_of_death(time.monotonic() - started_s) from error
            finally:
                self._idle.put(worker)

    def _idle_or_new(self) -> ProcessPoolExecutor:
        try:
            return self._idle.get_nowait()
        except Empty:
            return _new_worker(self._limits)

    def _reason_of_death(self, elapsed_s: float) -> WorkerDiedError | LimitExceededError:
        if self._limits.time_s is not None and elapsed_s >= self._limits.time_s:
            return LimitExceededError(
                f"stopped: it took longer than the limit of {self._limits.time_s:g} s. "
                "Raise the limit if this is expected."
            )
        return WorkerDiedError("the worker process died, perhaps for lack of memory. Try fewer workers.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while not self._idle.empty():
            self._idle.get().shutdown(cancel_futures=True)


@cache
def shared_pool(limits: ResourceLimits) -> WorkerPool:
    """Return the pool that all threads of this process share; it lasts as long as the process."""
    return WorkerPool(sys.maxsize, limits)


def _new_worker(limits: ResourceLimits) -> ProcessPoolExecutor:
    # Spawned, not forked: a fork copies the locks of all threads in whatever state they are.
    initialise = partial(_initialise_worker, limits.memory_mb)
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=initialise)


def _initialise_worker(memory_mb: int | None) -> None:
    """Ignore Ctrl-C, which the parent handles, and end with the parent, even if that is killed."""
    limit_blas_threads()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if memory_mb is not None and os.name == "posix":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (memory_mb * 2**20, memory_mb * 2**20))


def _call_within_limits(limits: ResourceLimits, function: Callable[[T], R], argument: T) -> R:
    """Call a function; an alarm without a handler ends the process, even while it is busy in C."""
    timed = limits.time_s is not None and hasattr(signal, "setitimer")
    if timed:
        signal.setitimer(signal.ITIMER_REAL, limits.time_s or 0)
    try:
        return function(argument)
    except MemoryError as error:
        raise LimitExceededError(
            f"stopped: it took more memory than the limit of {limits.memory_mb} MB. "
            "Raise the limit if this is expected."
        ) from error
    finally:
        if timed:
            signal.setitimer(signal.ITIMER_REAL, 0)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
