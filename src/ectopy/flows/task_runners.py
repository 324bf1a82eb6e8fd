"""Task runners: threads of this process, or the workers of a Dask cluster."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

LOCAL, DASK = "local", "dask"


def task_runner(runner: str, workers: int) -> TaskRunner[Any]:
    """Return a task runner.

    Parameters
    ----------
    runner
        ``local`` for threads, ``dask`` for a new cluster on this machine, or the address of a scheduler.
    workers
        The number of threads or Dask workers.

    Returns
    -------
    The task runner.
    """
    if runner == LOCAL:
        return ThreadPoolTaskRunner(max_workers=max(workers, 1))
    import dask
    from prefect_dask.task_runners import DaskTaskRunner

    if runner != DASK:
        return DaskTaskRunner(address=runner)
    # A daemonic worker may not start the process that scores within limits.
    dask.config.set({"distributed.worker.daemon": False})
    # Dask would report the start and the end of each worker.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    return DaskTaskRunner(
        cluster_kwargs={"n_workers": max(workers, 1), "threads_per_worker": 1, "dashboard_address": None}
    )


@contextmanager
def one_server() -> Iterator[None]:
    """Start one temporary Prefect server, if none is set; otherwise each process would start its own."""
    if PREFECT_API_URL.value():
        yield
        return
    from prefect.server.api.server import SubprocessASGIServer  # importing the server takes a second

    server = SubprocessASGIServer()
    server.start(timeout=90)
    try:
        with temporary_settings({PREFECT_API_URL: server.api_url}):
            yield
            # The last log records must reach the server before it stops; else the process tries for a minute.
            APILogWorker.drain_all()
    finally:
        server.stop()
