"""Download a PhysioNet database to the data directory, and verify the checksum of every file."""

import logging
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner

from ectopy.datasets import catalogue, download
from ectopy.flows.assets import database_asset, record_asset
from ectopy.flows.expected import without_traceback
from ectopy.settings import load_settings

logger = logging.getLogger(__name__)


class IngestError(ValueError):
    """An incomplete database; ``failures`` has one line for each record that could not be downloaded."""

    def __init__(self, database: str, failures: tuple[str, ...], n_records: int) -> None:
        super().__init__(
            f"{database}: {len(failures)} of {n_records} records failed: {'; '.join(failures)}. "
            "Run `ectopy ingest` again; verified files are kept."
        )
        self.failures = failures


def _should_retry(_task: object, _run: object, state: State[Any]) -> bool:
    unreachable = isinstance(state.data, download.UnreachableError)
    if unreachable:
        logger.warning("%s; trying again", state.data)
    return unreachable


_RETRY: dict[str, Any] = {
    "retries": 3,
    "retry_delay_seconds": [1, 5, 15],
    "retry_condition_fn": _should_retry,
}
_CONNECTIONS: Any = ThreadPoolTaskRunner(max_workers=4)  # others use the public server too

fetch_index = task(**_RETRY)(download.fetch_index)
fetch_record = task(**_RETRY, task_run_name="{name} {record}")(download.fetch_record)


@flow(task_runner=_CONNECTIONS)
@without_traceback
def ingest(
    database: str,
    source: str | None = None,
    data_dir: Path | None = None,
    records: tuple[str, ...] | None = None,
) -> Path:
    """Download a database; a record that fails does not stop the others.

    Parameters
    ----------
    database
        The name of the database.
    source
        The base address, or a directory laid out like PhysioNet; by default that of the settings.
    data_dir
        The folder of databases; by default that of the settings.
    records
        The records to download; by default all.

    Returns
    -------
    The folder of the database.

    Raises
    ------
    IngestError
        If a record could not be downloaded.
    """
    settings = load_settings()
    places: dict[str, Any] = {
        "source": source or settings.source,
        "data_dir": data_dir or settings.data_dir,
    }
    names = fetch_index(database, records=records, **places)
    futures = fetch_record.map(database, names, **places)
    outcomes = [future.result(raise_on_failure=False) for future in futures]
    failures = tuple(str(outcome) for outcome in outcomes if isinstance(outcome, Exception))
    if failures:
        raise IngestError(database, failures, len(names))
    folder = download.database_folder(catalogue.find_database(database), places["data_dir"])
    record_asset(database_asset(database), [], {"records": len(names), "folder": folder})
    return folder
