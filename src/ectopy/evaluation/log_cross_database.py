"""Log an evaluation across databases to MLflow, and write its page."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ectopy.ec57.record_counts import RecordCounts, to_json
from ectopy.ec57.reference import DETECTED
from ectopy.evaluation.cross_database import CrossTest, metrics_of, summarise
from ectopy.evaluation.cross_database_page import (
    FIGURE,
    PAGE,
    RECORDS,
    build_page,
    draw_figure,
    glance_columns,
)
from ectopy.evaluation.headline_metrics import metrics_by_record
from ectopy.evaluation.log_out_of_fold import record_counts
from ectopy.model.network import TrainConfig
from ectopy.model.training_sources import SourceRecords
from ectopy.registry import runs
from ectopy.registry.closing import Study, of_overview


def log_test(test: CrossTest) -> None:
    """Log metrics, a table of all records, and the counts of each record of one test."""
    metrics = metrics_of(test)
    headline = [name for name in metrics if re.fullmatch(r"[^/]+/detected/gross/s?veb_f1", name)]
    runs.log_results(metrics, headline)
    runs.log_table(metrics_by_record(test.beats(DETECTED)), "records-table.json")
    runs.log_text(to_json(record_counts(test.evaluations)), "records.json")


def log_page(
    tests: Sequence[CrossTest],
    sources: Sequence[SourceRecords],
    config: TrainConfig,
    *,
    out: Path | None,
    run_id: str,
) -> Study:
    """Log the page, its figure, and F1 of each test.

    Parameters
    ----------
    tests
        The tests.
    sources
        The databases.
    config
        The choices of all trainings.
    out
        A folder to which page, figure and counts are written too.
    run_id
        Id of the run in progress.

    Returns
    -------
    The page, its summary, where it lies, and the run.
    """
    page = build_page(tests, sources, config)
    figure = draw_figure(tests)
    runs.log_text(page, PAGE)
    runs.log_figure(figure, FIGURE)
    for test in tests:
        f1 = {name: value for name, value in summarise(test, DETECTED).gross.items() if name.endswith("_f1")}
        runs.log_metrics(f1, prefix=f"{test.name.replace(' ', '_')}/")
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / PAGE).write_text(page, encoding="utf-8")
        figure.savefig(out / FIGURE, dpi=100)
        counts = {test.name: record_counts(test.evaluations) for test in tests}
        (out / RECORDS).write_text(_counts_by_test(counts), encoding="utf-8")
    head = "patients that no network has seen; detected beats, gross, in percent, with 95 % intervals of F1"
    summary = "\n".join([head, *of_overview(glance_columns(tests))])
    return Study(page, summary, str(out / PAGE) if out else runs.path_of(run_id, PAGE), run_id)


def _counts_by_test(counts: Mapping[str, Sequence[RecordCounts]]) -> str:
    body = ",\n".join(f'"{name}": {to_json(records).strip()}' for name, records in counts.items())
    return f"{{\n{body}\n}}\n"
