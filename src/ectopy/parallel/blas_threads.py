"""One BLAS thread per process: recordings are analysed in parallel, so each needs one core only.

The matrix products here are small. Threads of linear algebra would wait for each other and keep a core busy
while they wait. In a pool of processes this would double the computing time.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import current_thread, main_thread
from typing import Any


def limit_blas_threads() -> None:
    """Limit linear algebra to one thread in this process; call this before numpy is imported."""
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit linear algebra to one thread during the block, in a process of the user.

    The limit applies to the whole process. So it is set in the main thread only: if blocks of several threads
    overlapped, the last one could not restore the number that was set before the first.
    """
    if current_thread() is not main_thread():
        yield
        return
    with _linear_algebra().limit(limits=1, user_api="blas"):
        yield


def blas_in_use() -> list[tuple[str, str, int]]:
    """Return what the sums of linear algebra are rounded by: the library, its kernels and its threads.

    ``OPENBLAS_CORETYPE`` chooses other kernels, and ``OPENBLAS_NUM_THREADS`` other threads.
    """
    known = (library for library in _linear_algebra().info() if library["user_api"] == "blas")
    return sorted({(one["internal_api"], one.get("architecture", ""), one["num_threads"]) for one in known})


@cache
def _linear_algebra() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
