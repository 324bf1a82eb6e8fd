"""Progress of a flow: a bar on a terminal, and a line for each step in the log elsewhere."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from ectopy.flows.server_access import mlflow_address
from ectopy.registry import runs

logger = logging.getLogger(__name__)


def link_to(run_id: str) -> str:
    """Return the address of the page of a run in MLflow, with its metrics and curves."""
    page = runs.page_of(run_id)
    return page if page.startswith("http") else f"{mlflow_address()}{page}"


def announce(run_id: str) -> None:
    """Log where a run can be watched in MLflow while it goes on."""
    logger.info("watch it, while `ectopy up` or `ectopy ui` runs: %s", link_to(run_id))


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[str], None]]:
    """Show how many steps of a stage are done.

    Parameters
    ----------
    title
        What is done, such as ``reading records``.
    total
        The number of steps.

    Yields
    ------
    A function to call at the end of each step, from any thread, with a text on this step.
    """
    if not sys.stderr.isatty():
        numbers = count(1)

        def log(text: str) -> None:
            logger.info("%s: %d of %d, %s", title, next(numbers), total, text)

        logger.info("%s: 0 of %d", title, total)
        yield log
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    text = TextColumn("{task.description}", markup=False)
    columns = (text, BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total)
        yield lambda text: bar.update(task, advance=1, description=f"{title}: {text}")
