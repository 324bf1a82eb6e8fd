"""Metrics as tables by column: the overview, ensemble members, runs, AF and unreadable time."""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import NamedTuple

from ectopy.ec57.runs import RUN_LENGTHS
from ectopy.evaluation.aggregate import RUN_PARTS, Bounds, Group, Metrics, Spread, spread
from ectopy.evaluation.evaluate_record import RecordEvaluation


class Row(NamedTuple):
    """Row of the overview table: a share in percent, or a count out of the metric ``of``."""

    title: str
    metric: str
    digits: int = 1
    of: str = ""
    unit: float = 100.0

    def cell(self, metrics: Metrics) -> str:
        """Return the metric as text: "" if it does not apply to the group, "-" if it is undefined."""
        if self.metric not in metrics:
            return ""
        value = self._number(metrics[self.metric])
        return f"{value} of {metrics[self.of]:.0f}" if self.of else value

    def interval(self, bounds: Bounds) -> str:
        """Return the 95 % interval as text."""
        if self.of or self.metric not in bounds or not isfinite(bounds[self.metric][0]):
            return ""
        return " - ".join(map(self._number, bounds[self.metric]))

    def over_seeds(self, spreads: Mapping[str, Spread]) -> str:
        """Return mean, standard deviation and range over ensemble members as text."""
        if self.metric not in spreads:
            return ""
        mean, sd, *extremes = spreads[self.metric]
        digits = max(self.digits, 1)  # the mean of counts is not an integer
        low, high = map(self._number, extremes)
        return f"{self._number(mean, digits)} ± {self._number(sd, digits)} ({low} - {high})"

    def _number(self, value: float, digits: int | None = None) -> str:
        unit = 1.0 if self.of else self.unit
        form = f".{self.digits if digits is None else digits}f"
        return f"{unit * value:{form}}" if isfinite(value) else "-"


def _run_rows(part: str) -> Iterable[Row]:
    for length in ("couplet", "short_run"):
        for short, metric in (("Se", "sensitivity"), ("+P", "positive_predictivity")):
            yield Row(f"{part} {length.replace('_', ' ')} {short}", f"{part}/{length}_{metric}")
    for what, counts in (("found", ("found", "reference")), ("detected, confirmed", ("confirmed", "test"))):
        metric, of = (f"{part}/long_run_{count}" for count in counts)
        yield Row(f"{part} long runs {what}", metric, digits=0, of=of)


def _beat_rows() -> Iterable[Row]:
    shares = (("Se", "sensitivity"), ("+P", "positive_predictivity"))
    for beat, names, digits in (
        ("qrs", shares, 2),
        ("veb", (*shares, ("F1", "f1")), 1),
        ("sveb", (*shares, ("F1", "f1")), 1),
    ):
        for short, metric in names:
            yield Row(f"{beat.upper()} {short}", f"beats/{beat}_{metric}", digits)


BEAT_ROWS = tuple(_beat_rows())
ROWS = (
    *BEAT_ROWS,
    *(row for part in RUN_PARTS for row in _run_rows(part)),
    Row("AF time Se, AF records", "af/duration_sensitivity"),
    Row("AF time +P, AF records", "af/duration_positive_predictivity"),
    Row("AF time +P, all records", "af_anywhere/duration_positive_predictivity"),
    Row("AF time +P, AF records, flutter as false", "af_epicmp/duration_positive_predictivity"),
    Row("AF episodes found", "af/found", digits=0, of="af/reference"),
    Row("AF episode Se", "af/episode_sensitivity"),
    Row("AF episode +P, all records", "af_anywhere/episode_positive_predictivity"),
    Row("AF episodes detected, all records", "af_anywhere/test", digits=0, unit=1.0),
    Row("flutter time detected as AF", "flutter/duration_sensitivity"),
    Row("calibration error (0 to 1)", "calibration_error/likeliest_class", digits=4, unit=1.0),
    *(
        Row(f"calibration error of {label} (0 to 1)", f"calibration_error/{label}", digits=4, unit=1.0)
        for label in "NSV"
    ),
    Row("error of all beats", "abstention/error_of_all", digits=2),
    Row("low-confidence beats", "abstention/share", digits=2),
    Row("error of the confident beats", "abstention/error_of_the_rest", digits=2),
    Row("area under risk-coverage", "risk_coverage/area", digits=3),
    Row("unreadable time", "shutdown/share", digits=2),
    Row("beats in unreadable time", "shutdown/beats_lost_share", digits=3),
)


def overview_table(
    held_out: Group, seeds: Mapping[str, Spread], everyone: Group | None = None, paced: Group | None = None
) -> dict[str, list[object]]:
    """Return the overview table by column, with a row for each metric that applies to any group.

    Parameters
    ----------
    held_out
        Metrics of the held-out records.
    seeds
        Spread of each metric over the ensemble members; empty if there are none.
    everyone
        Metrics of all records without paced beats.
    paced
        Metrics of all records.

    Returns
    -------
    Cells as text.
    """
    table: dict[str, list[object]] = {"%": [row.title for row in ROWS]}
    table[held_out.title] = [row.cell(held_out.metrics) for row in ROWS]
    table["95 %"] = [row.interval(held_out.intervals) for row in ROWS]
    if seeds:
        table["each member alone"] = [row.over_seeds(seeds) for row in ROWS]
    if everyone:
        table[everyone.title] = [row.cell(everyone.metrics) for row in ROWS]
        table["95 % of these"] = [row.interval(everyone.intervals) for row in ROWS]
    if paced:
        table[paced.title] = [row.cell(paced.metrics) for row in ROWS]
    applies = [any(cells[1:]) for cells in zip(*table.values(), strict=True)]
    return {
        name: [cell for cell, shown in zip(cells, applies, strict=True) if shown]
        for name, cells in table.items()
    }


def seed_table(
    ensemble: Metrics, members: Sequence[Metrics], *, rows: Iterable[Row] = ROWS
) -> dict[str, list[object]]:
    """Return a table by column: metrics of the ensemble and of each member, and their spread.

    Parameters
    ----------
    ensemble
        Metrics of the ensemble.
    members
        Metrics of each network of the ensemble.
    rows
        The rows to show; those without a spread are left out.

    Returns
    -------
    Cells as text.
    """
    seeds = spread(members)
    rows = [row for row in rows if row.metric in seeds]
    table: dict[str, list[object]] = {"%": [row.title for row in rows]}
    table["ensemble"] = [row.cell(ensemble) for row in rows]
    for number, member in enumerate(members):
        table[f"member {number}"] = [row.cell(member) for row in rows]
    table["mean ± sd (range)"] = [row.over_seeds(seeds) for row in rows]
    return table


def af_table(evaluations: Sequence[RecordEvaluation]) -> dict[str, list[object]]:
    """Return a table by column, one row per record with annotated AF or flutter or detected AF.

    Seconds are counted after the learning period.
    """
    rows: list[tuple[object, ...]] = []
    for evaluation in evaluations:
        outcome = evaluation.outcome
        af, flutter, epicmp = outcome.af, outcome.flutter, outcome.af_epicmp
        if af.reference_s or flutter.reference_s or epicmp.test_s:
            af_s = (af.reference_s, af.test_s, af.reference_overlap_s)
            flutter_s = (flutter.reference_s, flutter.reference_overlap_s)
            episodes = (af.found + af.missed, af.found, af.confirmed + af.false, af.confirmed)
            seconds = (round(value, 1) for value in (*af_s, *flutter_s))
            rows.append((evaluation.record, *seconds, *episodes))
    columns = (
        *("record", "AF s", "called s", "of it AF s", "flutter s", "of it called AF s"),
        *("episodes", "found", "called", "confirmed"),
    )
    return {column: [row[k] for row in rows] for k, column in enumerate(columns)}


def run_table(groups: Sequence[Group]) -> dict[str, list[object]]:
    """Return a table by column: runs of each group, by kind and length, with their intervals in percent."""
    rows: list[tuple[object, ...]] = []
    for group in groups:
        for part in RUN_PARTS:
            for length in RUN_LENGTHS:
                name = f"{part}/{length}"
                cells: list[object] = [group.title, part, length.replace("_", " ")]
                for counts, metric in (
                    (("reference", "found"), "sensitivity"),
                    (("test", "confirmed"), "positive_predictivity"),
                ):
                    cells += [int(group.metrics[f"{name}_{count}"]) for count in counts]
                    cells += [_percent(group.metrics[f"{name}_{metric}"])]
                    cells += map(_percent, group.intervals.get(f"{name}_{metric}", (float("nan"),) * 2))
                rows.append(tuple(cells))
    columns = (
        *("records", "kind", "length", "reference", "found", "Se", "Se low", "Se high"),
        *("test", "confirmed", "+P", "+P low", "+P high"),
    )
    return {column: [row[k] for row in rows] for k, column in enumerate(columns)}


def shutdown_table(evaluations: Sequence[RecordEvaluation]) -> dict[str, list[object]]:
    """Return a table by column: unreadable time and the beats in it, one row per record."""
    beats = [evaluation.outcome.beats for evaluation in evaluations]
    lost: dict[str, list[object]] = {
        f"lost {name.lower()}": [comparison.count(name, "X") for comparison in beats] for name in "NSVFQ"
    }
    return {
        "record": [evaluation.record for evaluation in evaluations],
        "seconds": [round(evaluation.duration_s, 1) for evaluation in evaluations],
        "unreadable s": [round(comparison.shutdown_s, 1) for comparison in beats],
        "percent": [
            round(100 * comparison.shutdown_s / evaluation.duration_s, 2)
            for evaluation, comparison in zip(evaluations, beats, strict=True)
        ],
        **lost,
    }


def _percent(value: float) -> float | None:
    return round(100 * value, 1) if isfinite(value) else None
