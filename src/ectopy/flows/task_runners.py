"""Where tasks run: threads of this process, or workers of Dask."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

LOCAL, DASK = "local", "dask"


def task_runner(runner: str, workers: int) -> TaskRunner[Any]:
    """Give ``local`` threads, a ``dask`` cluster of so many workers here, or the one at an address."""
    if runner == LOCAL:
        return ThreadPoolTaskRunner(max_workers=max(workers, 1))
    import dask
    from prefect_dask.task_runners import DaskTaskRunner

    if runner != DASK:
        return DaskTaskRunner(address=runner)
    dask.config.set({"distributed.worker.daemon": False})  # else they may have no process within bounds
    return DaskTaskRunner(
        cluster_kwargs={"n_workers": max(workers, 1), "threads_per_worker": 1, "dashboard_address": None}
    )


@contextmanager
def one_server() -> Iterator[None]:
    """Let all processes of a run have one temporary server, where none is set: each would start its own."""
    if PREFECT_API_URL.value():
        yield
        return
    from prefect.server.api.server import SubprocessASGIServer  # the server in whole: a second

    server = SubprocessASGIServer()
    server.start(timeout=90)
    try:
        with temporary_settings({PREFECT_API_URL: server.api_url}):
            yield
    finally:
        APILogWorker.instance().drain()  # what is logged is to reach the server first
        server.stop()
