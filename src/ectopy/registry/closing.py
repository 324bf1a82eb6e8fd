"""What the terminal shows of trainings, evaluations, studies and versions: at most WIDTH columns."""

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import NamedTuple

from ectopy.ec57.report import align
from ectopy.registry import model_versions
from ectopy.registry.evidence import DETECTED_METRICS
from ectopy.registry.model_versions import Version

WIDTH = 100
"""Columns of the widest line; a link may be longer."""
_OUT_OF_FOLD = {
    "QRS Se": "gross/qrs_sensitivity",
    "QRS +P": "gross/qrs_positive_predictivity",
    "VEB F1": "gross/veb_f1",
    "SVEB F1": "gross/sveb_f1",
}


class Study(NamedTuple):
    """A page that a flow has written: its Markdown, a summary of one screen, where it lies, and its run."""

    page: str
    summary: str
    path: str
    run_id: str


def of_training(version: Version) -> str:
    """Return what a training came to: the metrics out of fold, over all records and by database."""
    databases = model_versions.databases_of(version)
    metrics = model_versions.metrics_of(version, prefix="out_of_fold/")
    all_of_it = DETECTED_METRICS.removeprefix("out_of_fold/")
    prefixes = {"all": all_of_it, **{name: f"{name}/{all_of_it}" for name in databases}}
    rows = [
        [name, *(_percent(metrics.get(f"{prefix}{metric}")) for metric in _OUT_OF_FOLD.values())]
        for name, prefix in prefixes.items()
    ]
    return "\n".join(
        [
            *wrap(f"{version.uri} is the challenger, trained on {', '.join(databases)}", WIDTH),
            align([["out of fold, %", *_OUT_OF_FOLD], *rows]),
        ]
    )


def of_versions(table: Mapping[str, Sequence[object]]) -> str:
    """Return the table of a model's versions, each with its last event in the lines below.

    Parameters
    ----------
    table
        Cells by column, see :func:`ectopy.registry.promotion.version_table`.

    Returns
    -------
    Lines of at most WIDTH columns.
    """
    *titles, _ = table
    cells = [
        ["-" if cell in {None, ""} else str(cell) for cell in row]
        for row in zip(*table.values(), strict=True)
    ]
    head, *rows = align([titles, *(row[:-1] for row in cells)]).splitlines()
    events = [wrap(row[-1], WIDTH, initial_indent="    ", subsequent_indent="    ") for row in cells]
    return "\n".join(
        [head, *(line for row, event in zip(rows, events, strict=True) for line in (row, *event))]
    )


def of_overview(table: Mapping[str, Sequence[object]], rows: int = 20) -> list[str]:
    """Return the first rows and columns of an overview table that fit a screen.

    Parameters
    ----------
    table
        Cells by column, such as of :func:`ectopy.evaluation.tables.overview_table`.
    rows
        Largest number of rows.

    Returns
    -------
    A line for the titles and for each row.
    """
    titles = list(table)
    cells = [[str(cell) for cell in row] for row in zip(*table.values(), strict=True)][:rows]
    while len((lines := align([titles, *cells]).splitlines())[0]) > WIDTH:
        titles, cells = titles[:-1], [row[:-1] for row in cells]
    return lines


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
