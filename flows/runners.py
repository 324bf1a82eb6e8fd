"""Where tasks run: threads of this process, or workers of Dask."""

from typing import Any

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
