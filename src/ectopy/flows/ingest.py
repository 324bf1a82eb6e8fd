"""Bring a PhysioNet database to the data directory, every file checked."""

import logging
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner

from ectopy.datasets import catalogue, download
from ectopy.settings import load_settings

logger = logging.getLogger(__name__)


class IngestError(ValueError):
    """A database that is not whole; ``failures`` has one line for each record that could not be had."""

    def __init__(self, database: str, failures: tuple[str, ...], n_asked: int) -> None:
        super().__init__(f"{database}: {len(failures)} of {n_asked} records failed: {'; '.join(failures)}")
        self.failures = failures


def _worth_another_try(_task: object, _run: object, state: State[Any]) -> bool:
    unreachable = isinstance(state.data, download.UnreachableError)
    if unreachable:
        logger.warning("%s; trying again", state.data)
    return unreachable


_RETRY: dict[str, Any] = {
    "retries": 3,
    "retry_delay_seconds": [1, 5, 15],
    "retry_condition_fn": _worth_another_try,
}
_CONNECTIONS: Any = ThreadPoolTaskRunner(max_workers=4)  # a public server is shared

fetch_index = task(**_RETRY)(download.fetch_index)
fetch_record = task(**_RETRY, task_run_name="{name} {record}")(download.fetch_record)


@flow(task_runner=_CONNECTIONS)
def ingest(
    database: str,
    source: str | None = None,
    data_dir: Path | None = None,
    records: tuple[str, ...] | None = None,
) -> Path:
    """Fetch a database, or some of its records, and tell where; one that fails stops no other."""
    settings = load_settings()
    place: dict[str, Any] = {
        "source": source or settings.source,
        "data_dir": data_dir or settings.data_dir,
    }
    names = fetch_index(database, records=records, **place)
    fetched = fetch_record.map(database, names, **place)
    outcomes = [future.result(raise_on_failure=False) for future in fetched]
    failures = tuple(str(outcome) for outcome in outcomes if isinstance(outcome, Exception))
    if failures:
        raise IngestError(database, failures, len(names))
    return download.database_folder(catalogue.find_database(database), place["data_dir"])


if __name__ == "__main__":
    ingest("mitdb")
