"""How many cores a recording takes: one. Recordings are analysed side by side.

Products of matrices are small here. Threads of linear algebra would wait for each other, which takes a core
while they do, and in a pool of processes as long again as the work.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import current_thread, main_thread
from typing import Any


def limit_blas_threads() -> None:
    """Let linear algebra of this process have one thread, before numpy is imported."""
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let it have one thread meanwhile, in a process of somebody else's.

    The limit is that of the process: threads besides the main one are left to whoever started them, for the
    last of several that overlap would not know what there was before the first.
    """
    if current_thread() is not main_thread():
        yield
        return
    with _linear_algebra().limit(limits=1, user_api="blas"):
        yield


@cache
def _linear_algebra() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
