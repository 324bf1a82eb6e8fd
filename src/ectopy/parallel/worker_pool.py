"""Worker processes, each with one task at a time: if a process dies, only its own task is lost."""

import contextvars
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

from ectopy.parallel.blas_threads import limit_blas_threads
from ectopy.parallel.memory import share_one_heap
from ectopy.printable import PrintableFormatter

logger = logging.getLogger(__name__)
T = TypeVar("T")
R = TypeVar("R")

_AT_ONCE = 64
"""Arguments of :meth:`WorkerPool.call_each` that are sent together."""
_INTERRUPT_S = 10.0
"""Time in which an interrupted task must end; then its process is killed."""
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
"""On Windows SIGTERM ends a process at once."""


class WorkerStartError(OSError):
    """A worker process that ended before any task. The machine is the cause, and no task is to blame."""


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

    def within(self, time_s: float | None) -> "ResourceLimits":
        """Return these limits with another limit of time, if that is shorter."""
        times = [limit for limit in (self.time_s, time_s) if limit is not None]
        return ResourceLimits(min(times, default=None), self.memory_mb)


NO_LIMITS = ResourceLimits()


class WorkerPool:
    """At most ``n`` worker processes, which threads share by :meth:`call`.

    Each process is a pool of its own: a pool of several would be lost as a whole if one of them died. What a
    task says by :func:`report` is given to ``on_report``, in a thread of this process.
    """

    def __init__(
        self, n: int, limits: ResourceLimits = NO_LIMITS, on_report: Callable[[Any], None] | None = None
    ) -> None:
        self.n = n
        self._limits, self._on_report = limits, on_report
        self._closed = False
        self._free = threading.Semaphore(n)
        self._idle: SimpleQueue[ProcessPoolExecutor] = SimpleQueue()
        self._pids: dict[ProcessPoolExecutor, int] = {}

    def start(self, function: Callable[[], object]) -> None:
        """Start a process now, and let it call a function while the caller goes on.

        Parameters
        ----------
        function
            A function that can be pickled, such as one that imports what the tasks need.
        """
        worker = _new_worker(self._limits, self._on_report)
        worker.submit(function)
        self._idle.put(worker)

    def call(self, function: Callable[[T], R], argument: T, *, time_s: float | None = None) -> R:
        """Call a function in an idle process; wait for one if necessary.

        Parameters
        ----------
        function
            A function that can be pickled.
        argument
            Its argument.
        time_s
            The limit of time in s, if it is shorter than that of the pool.

        Returns
        -------
        The result of the function.

        Raises
        ------
        WorkerStartError
            If no process can be started.
        WorkerDiedError
            If the process died, or the pool was interrupted.
        LimitExceededError
            If the function took more time or memory than allowed.
        """
        limits = self._limits.within(time_s)
        with self._free:
            self._require_open()
            worker = self._answering_worker()
            self._require_open()
            started_s = time.monotonic()
            try:
                result = worker.submit(_call_within_limits, limits, function, argument).result()
            except BrokenProcessPool as error:
                del self._pids[worker]
                raise _reason_of_death(limits, time.monotonic() - started_s) from error
            except BaseException:
                self._idle.put(worker)
                raise
            self._idle.put(worker)
            return result

    def call_each(
        self, function: Callable[[T], R], arguments: Iterable[T], *, time_s: float | None = None
    ) -> list[R | Exception]:
        """Call a function with each of many arguments; none of them can do harm to the others.

        They are sent together. Where this ends a process or exceeds a limit, each is sent alone.

        Parameters
        ----------
        function
            A function that can be pickled.
        arguments
            Its arguments.
        time_s
            The limit of time in s, for those that are sent together and for one that is sent alone.

        Returns
        -------
        For each argument the result, or the error that the function raised or caused.
        """
        every = list(arguments)
        outcomes: list[R | Exception] = []
        for start in range(0, len(every), _AT_ONCE):
            together = every[start : start + _AT_ONCE]
            try:
                outcomes += self.call(partial(_outcomes, function), together, time_s=time_s)
            except (WorkerDiedError, LimitExceededError):
                outcomes += [self._outcome(function, argument, time_s) for argument in together]
        return outcomes

    def _outcome(self, function: Callable[[T], R], argument: T, time_s: float | None) -> R | Exception:
        try:
            return self.call(function, argument, time_s=time_s)
        except WorkerStartError:
            raise
        except Exception as error:  # noqa: BLE001 - it is the outcome
            return error

    def _answering_worker(self) -> ProcessPoolExecutor:
        """Return a process that answers: so a death is that of the task, not that of an idle process."""
        while True:
            try:
                worker, is_new = self._idle.get_nowait(), False
            except Empty:
                worker, is_new = _new_worker(self._limits, self._on_report), True
            try:
                self._pids[worker] = worker.submit(os.getpid).result()
            except BrokenProcessPool as error:
                self._pids.pop(worker, None)
                if is_new:
                    raise WorkerStartError(
                        "no worker process can be started, perhaps for lack of memory. "
                        "Free some memory and try again."
                    ) from error
            else:
                return worker

    def interrupt(self) -> None:
        """End all tasks: each process raises SystemExit, so that it removes what it was writing."""
        for pid in list(self._pids.values()):
            with suppress(OSError):  # it has ended; Windows has several errors for that
                os.kill(pid, signal.SIGTERM)

    def _require_open(self) -> None:
        """Refuse a task that has waited until the pool was interrupted."""
        if self._closed:
            raise WorkerDiedError("interrupted. Run the same command again.")

    def _kill_later(self) -> None:
        """Kill the processes that do not end: one that is busy in a library answers no signal."""

        def kill() -> None:
            for pid in list(self._pids.values()):
                with suppress(OSError):
                    os.kill(pid, _KILL)

        timer = threading.Timer(_INTERRUPT_S, kill)
        timer.daemon = True
        timer.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._closed = True
            self.interrupt()
            self._kill_later()
        while not self._idle.empty():
            self._idle.get().shutdown(cancel_futures=True)


@cache
def shared_pool(limits: ResourceLimits) -> WorkerPool:
    """Return the pool that all threads of this process share; it lasts as long as the process."""
    return WorkerPool(sys.maxsize, limits)


def _new_worker(
    limits: ResourceLimits, on_report: Callable[[Any], None] | None = None
) -> ProcessPoolExecutor:
    # Spawned, not forked: a fork copies the locks of all threads in whatever state they are.
    context, sender = multiprocessing.get_context("spawn"), None
    if on_report is not None:  # a pipe for each process: one that dies cannot leave a lock to the others
        receiver, sender = context.Pipe(duplex=False)
        forward = contextvars.copy_context().run  # log records belong to the flow run of the caller
        threading.Thread(target=forward, args=(_forward, receiver, on_report), daemon=True).start()
    initialise = partial(_initialise_worker, limits.memory_mb, sender)
    return ProcessPoolExecutor(1, context, initializer=initialise)


def _forward(receiver: Connection, on_report: Callable[[Any], None]) -> None:
    """Hand on what a process reports, until it ends."""
    with suppress(EOFError, OSError):
        while True:
            said = receiver.recv()
            try:
                on_report(said)
            except Exception as error:  # noqa: BLE001 - a process must not wait until somebody listens
                logger.warning("progress is not shown: %s", error)


_sender: Connection | None = None
"""The pipe of this process to the one that started it, if that wants reports."""


def report(value: object) -> None:
    """Send how far a task is to the process that has given it; do nothing in another process.

    Parameters
    ----------
    value
        A value that can be pickled.
    """
    if _sender is not None:
        with suppress(OSError):
            _sender.send(value)


def _initialise_worker(memory_mb: int | None, sender: Connection | None) -> None:
    """Ignore Ctrl-C, which the parent handles, and end with the parent, even if that is killed."""
    global _sender  # noqa: PLW0603 - a process has one
    _sender = sender
    limit_blas_threads()
    share_one_heap()
    if logging.lastResort is not None:  # warnings name files
        logging.lastResort.setFormatter(PrintableFormatter())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_task)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if memory_mb is not None:
        with suppress(ImportError):  # Windows has no such limit
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


def _outcomes(function: Callable[[T], R], arguments: Sequence[T]) -> list[R | Exception]:
    """Call a function with each argument; too little memory for one is left to a second try."""
    outcomes: list[R | Exception] = []
    for argument in arguments:
        try:
            outcomes.append(function(argument))
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - it is the outcome of this argument
            outcomes.append(error)
    return outcomes


def _reason_of_death(limits: ResourceLimits, elapsed_s: float) -> WorkerDiedError | LimitExceededError:
    if limits.time_s is not None and elapsed_s >= limits.time_s:
        return LimitExceededError(
            f"stopped: it took longer than the limit of {limits.time_s:g} s. "
            "Raise the limit if this is expected."
        )
    return WorkerDiedError("the worker process died, perhaps for lack of memory. Try fewer workers.")


def _end_task(*_: object) -> NoReturn:
    sys.exit(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
