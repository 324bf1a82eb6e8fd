"""Processes that work on one thing at a time: where one dies, only what it was working on is lost."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from queue import SimpleQueue
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class DiedError(RuntimeError):
    """A process that ended before its work did."""


class Workers:
    """So many processes, each in a pool of its own; threads share them by :meth:`call`."""

    def __init__(self, n: int) -> None:
        self._idle: SimpleQueue[ProcessPoolExecutor] = SimpleQueue()
        for _ in range(n):
            self._idle.put(_process())

    def call(self, function: Callable[[T], R], argument: T) -> R:
        """Call a function in an idle process; wait for one if there is none."""
        process = self._idle.get()
        try:
            return process.submit(function, argument).result()
        except BrokenProcessPool as error:
            process = _process()
            raise DiedError("the process that worked on it died (out of memory?)") from error
        finally:
            self._idle.put(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while not self._idle.empty():
            self._idle.get().shutdown(cancel_futures=True)


def _process() -> ProcessPoolExecutor:
    # Spawned, not forked: a fork copies the threads' locks in whatever state they are.
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_begin)


def _begin() -> None:
    """Leave Ctrl-C to the parent, and end with it: a killed run leaves no process behind."""
    keep_to_one_core()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def keep_to_one_core() -> None:
    """Let linear algebra have one thread, before numpy is imported: more would wait for each other.

    Products of matrices are small here, and a thread that waits for the next one takes a core while it does.
    """
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
