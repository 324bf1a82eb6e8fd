"""Figures side by side, as tables by column: at a glance, over seeds; runs; AF and unreadable time."""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import NamedTuple

from ectopy.ec57.runs import RUN_LENGTHS
from ectopy.evaluation.aggregate import RUN_PARTS, Bounds, Metrics, Group, Spread, spread
from ectopy.evaluation.evaluate_record import RecordEvaluation


class Row(NamedTuple):
    """A line of the table at a glance: a share in percent or, with ``of``, a count out of another."""

    title: str
    metric: str
    digits: int = 1
    of: str = ""
    unit: float = 100.0

    def cell(self, told: Metrics) -> str:
        """Tell the figure; '' where it was not asked, '-' where it is undefined."""
        if self.metric not in told:
            return ""
        value = self._number(told[self.metric])
        return f"{value} of {told[self.of]:.0f}" if self.of else value

    def interval(self, bounds: Bounds) -> str:
        """Tell the 95 % interval."""
        if self.of or self.metric not in bounds or not isfinite(bounds[self.metric][0]):
            return ""
        return " - ".join(map(self._number, bounds[self.metric]))

    def over_seeds(self, told: Mapping[str, Spread]) -> str:
        """Tell mean, standard deviation and range."""
        if self.metric not in told:
            return ""
        over = told[self.metric]
        finer = max(self.digits, 1)  # a mean of counts is no count
        middle, sd = (self._number(value, finer) for value in over[:2])
        low, high = map(self._number, over[2:])
        return f"{middle} ± {sd} ({low} - {high})"

    def _number(self, value: float, digits: int | None = None) -> str:
        unit = 1.0 if self.of else self.unit
        form = f".{self.digits if digits is None else digits}f"
        return f"{unit * value:{form}}" if isfinite(value) else "-"


def _run_rows(part: str) -> Iterable[Row]:
    for length in ("couplet", "short_run"):
        for short, figure in (("Se", "sensitivity"), ("+P", "positive_predictivity")):
            yield Row(f"{part} {length.replace('_', ' ')} {short}", f"{part}/{length}_{figure}")
    for what, counts in (("found", ("found", "reference")), ("called, confirmed", ("confirmed", "test"))):
        figure, of = (f"{part}/long_run_{count}" for count in counts)
        yield Row(f"{part} long runs {what}", figure, digits=0, of=of)


def _beat_rows() -> Iterable[Row]:
    shares = (("Se", "sensitivity"), ("+P", "positive_predictivity"))
    for beat, names, digits in (
        ("qrs", shares, 2),
        ("veb", (*shares, ("F1", "f1")), 1),
        ("sveb", (*shares, ("F1", "f1")), 1),
    ):
        for short, figure in names:
            yield Row(f"{beat.upper()} {short}", f"beats/{beat}_{figure}", digits)


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
    Row("AF episodes called, all records", "af_anywhere/test", digits=0, unit=1.0),
    Row("flutter time called AF", "flutter/duration_sensitivity"),
    Row("calibration error (0 to 1)", "calibration_error/likeliest_class", digits=4, unit=1.0),
    *(
        Row(f"calibration error of {label} (0 to 1)", f"calibration_error/{label}", digits=4, unit=1.0)
        for label in "NSV"
    ),
    Row("error, no beat abstained from", "abstention/error_of_all", digits=2),
    Row("beats abstained from", "abstention/share", digits=2),
    Row("error of the other beats", "abstention/error_of_the_rest", digits=2),
    Row("area under risk-coverage", "risk_coverage/area", digits=3),
    Row("time unreadable", "shutdown/share", digits=2),
    Row("beats lost in it", "shutdown/beats_lost_share", digits=3),
)


def overview_table(
    held_out: Group, seeds: Mapping[str, Spread], everyone: Group | None = None, paced: Group | None = None
) -> dict[str, list[object]]:
    """Give the table of all figures by column, a row a figure that was asked of any group."""
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
    asked = [any(cells[1:]) for cells in zip(*table.values(), strict=True)]
    return {
        name: [cell for cell, kept in zip(cells, asked, strict=True) if kept] for name, cells in table.items()
    }


def seed_table(
    ensemble: Metrics, alone: Sequence[Metrics], *, rows: Iterable[Row] = ROWS
) -> dict[str, list[object]]:
    """Give a table by column: figures of the ensemble, of each member alone, and their spread."""
    seeds = spread(alone)
    rows = [row for row in rows if row.metric in seeds]
    table: dict[str, list[object]] = {"%": [row.title for row in rows]}
    table["ensemble"] = [row.cell(ensemble) for row in rows]
    for number, told in enumerate(alone):
        table[f"member {number}"] = [row.cell(told) for row in rows]
    table["mean ± sd (range)"] = [row.over_seeds(seeds) for row in rows]
    return table


def af_table(examined: Sequence[RecordEvaluation]) -> dict[str, list[object]]:
    """Give a table by column, a row a record with AF or flutter, or called so; seconds after learning."""
    rows: list[tuple[object, ...]] = []
    for each in examined:
        af, flutter, epicmp = each.outcome.af, each.outcome.flutter, each.outcome.af_epicmp
        if af.reference_s or flutter.reference_s or epicmp.test_s:
            seconds = (af.reference_s, af.test_s, af.reference_overlap_s)
            others = (flutter.reference_s, flutter.reference_overlap_s)
            episodes = (af.found + af.missed, af.found, af.confirmed + af.false, af.confirmed)
            rows.append((each.record, *(round(value, 1) for value in (*seconds, *others)), *episodes))
    columns = (
        *("record", "AF s", "called s", "of it AF s", "flutter s", "of it called AF s"),
        *("episodes", "found", "called", "confirmed"),
    )
    return {column: [row[k] for row in rows] for k, column in enumerate(columns)}


def run_table(groups: Sequence[Group]) -> dict[str, list[object]]:
    """Give a table by column: the runs of each group, by kind and length, with their intervals in percent."""
    rows: list[tuple[object, ...]] = []
    for group in groups:
        for part in RUN_PARTS:
            for length in RUN_LENGTHS:
                name = f"{part}/{length}"
                told: list[object] = [group.title, part, length.replace("_", " ")]
                for counts, figure in (
                    (("reference", "found"), "sensitivity"),
                    (("test", "confirmed"), "positive_predictivity"),
                ):
                    told += [int(group.metrics[f"{name}_{count}"]) for count in counts]
                    told += [_percent(group.metrics[f"{name}_{figure}"])]
                    told += map(_percent, group.intervals.get(f"{name}_{figure}", (float("nan"),) * 2))
                rows.append(tuple(told))
    columns = (
        *("records", "kind", "length", "reference", "found", "Se", "Se low", "Se high"),
        *("test", "confirmed", "+P", "+P low", "+P high"),
    )
    return {column: [row[k] for row in rows] for k, column in enumerate(columns)}


def shutdown_table(examined: Sequence[RecordEvaluation]) -> dict[str, list[object]]:
    """Give a table by column: time that could not be read and the beats lost in it, a row a record."""
    beats = [each.outcome.beats for each in examined]
    lost: dict[str, list[object]] = {
        f"lost {name.lower()}": [each.count(name, "X") for each in beats] for name in "NSVFQ"
    }
    return {
        "record": [each.record for each in examined],
        "seconds": [round(each.duration_s, 1) for each in examined],
        "unreadable s": [round(each.shutdown_s, 1) for each in beats],
        "percent": [
            round(100 * told.shutdown_s / each.duration_s, 2)
            for each, told in zip(examined, beats, strict=True)
        ],
        **lost,
    }


def _percent(value: float) -> float | None:
    return round(100 * value, 1) if isfinite(value) else None
