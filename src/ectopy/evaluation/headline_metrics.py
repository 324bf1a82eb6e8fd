"""Headline beat metrics: gross and average, with confidence intervals, by subset of records and by noise."""

import math
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from ectopy.ec57 import (
    BeatComparison,
    average,
    compute_metrics,
    gross,
    intervals,
)

DS2_SUBSETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"all": (), "without_232": ("232",), "without_202": ("202",)}
)
"""Records left out: 232 has 75 % of all SVEB in DS2, and 202 is the same patient as 201 in DS1."""
SUBSET_TITLES = {"all": "all records", "without_232": "without 232", "without_202": "without 202"}
HEADLINE = (
    "qrs_sensitivity",
    "qrs_positive_predictivity",
    "veb_sensitivity",
    "veb_positive_predictivity",
    "veb_f1",
    "sveb_sensitivity",
    "sveb_positive_predictivity",
    "sveb_f1",
)
GROSS = tuple(f"gross/{name}" for name in HEADLINE)
OF_A_DATABASE = ("gross/veb_f1", "gross/sveb_f1")
"""Metrics of each training database that the run of a training shows in MLflow; its table has all."""
HELD_OUT = (
    *(f"beats/{name}" for name in HEADLINE),
    *("ventricular/couplet_sensitivity", "ventricular/short_run_sensitivity"),
    *("af/duration_sensitivity", "af_anywhere/duration_positive_predictivity"),
    *("calibration_error/likeliest_class", "abstention/share", "shutdown/share"),
)
"""Metrics of held-out patients that the run of an evaluation shows in MLflow."""
EVERYONE = ("beats/veb_f1", "beats/sveb_f1")
"""The same of all records without paced beats."""
UNDER_A_CONDITION = ("all/gross/veb_f1", "all/gross/sveb_f1")
"""The same of held-out patients under a condition, such as with given beats."""
Comparisons: TypeAlias = Mapping[str, BeatComparison]
"""Beat comparisons by record."""


def summarise(records: Comparisons, *, without: tuple[str, ...] = ()) -> dict[str, float]:
    """Compute the headline metrics of some records.

    Parameters
    ----------
    records
        Beat comparisons by record.
    without
        Names of the records to leave out.

    Returns
    -------
    Metrics ``gross/...`` and ``average/...`` as fractions, NaN where undefined.
    """
    comparisons = [comparison for record, comparison in records.items() if record not in without]
    pooled, mean = compute_metrics(gross(comparisons)), average(comparisons)
    return {
        f"{kind}/{name}": values[name]
        for kind, values in (("gross", pooled), ("average", mean))
        for name in HEADLINE
    }


def applicable_subsets(records: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return the subsets of DS2_SUBSETS that leave out one of these records; all records come first."""
    return {
        name: without for name, without in DS2_SUBSETS.items() if not without or set(without) & set(records)
    }


def by_subset(records: Comparisons) -> dict[str, float]:
    """Compute ``<subset>/gross/...`` and ``<subset>/average/...`` for each subset that applies."""
    summaries = {
        name: summarise(records, without=without) for name, without in applicable_subsets(records).items()
    }
    return {
        f"{name}/{metric}": value for name, summary in summaries.items() for metric, value in summary.items()
    }


def by_noise(records: Comparisons, noise_db: Mapping[str, int]) -> dict[int, dict[str, float]]:
    """Compute the gross metrics at each signal-to-noise ratio.

    ``unreadable`` is the share of beats that lie in unreadable time. ``qrs_sensitivity_elsewhere`` is the
    sensitivity for the other beats.

    Parameters
    ----------
    records
        Beat comparisons by record.
    noise_db
        Signal-to-noise ratio of each record in dB.

    Returns
    -------
    Metrics by signal-to-noise ratio, the cleanest first.
    """
    levels = sorted({noise_db[record] for record in records}, reverse=True)
    by_level = {
        level: {name: comparison for name, comparison in records.items() if noise_db[name] == level}
        for level in levels
    }
    return {
        level: summarise(comparisons) | _unreadable(gross(comparisons.values()))
        for level, comparisons in by_level.items()
    }


def _unreadable(beats: BeatComparison) -> dict[str, float]:
    detected, lost, total = (beats.count("NSVFQ", columns) for columns in ("NSVFQ", "X", "NSVFQOX"))
    return {
        "gross/unreadable": lost / total if total else math.nan,
        "gross/qrs_sensitivity_elsewhere": detected / (total - lost) if total > lost else math.nan,
    }


def group_by_subset(metrics: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Group metrics named ``<subset>/gross/...`` by subset."""
    groups: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        subset, _, metric = name.partition("/")
        groups.setdefault(subset, {})[metric] = value
    return groups


def interval_table(records: Comparisons, patients: Mapping[str, str]) -> dict[str, list[object]]:
    """Return a table by column: each gross metric with its 95 % interval, for each subset that applies.

    Parameters
    ----------
    records
        Beat comparisons by record.
    patients
        The patient of each record.

    Returns
    -------
    Table in percent.
    """
    rows: list[tuple[object, ...]] = []
    for name, without in applicable_subsets(records).items():
        summary = summarise(records, without=without)
        for metric, bounds in bootstrap_intervals(records, patients, without=without).items():
            value, low, high = (100 * number for number in (summary[f"gross/{metric}"], *bounds))
            rows.append((name, metric, round(value, 2), round(low, 2), round(high, 2)))
    columns = ("records", "figure", "percent", "low", "high")
    return {column: [row[k] for row in rows] for k, column in enumerate(columns)}


def interval_metrics(intervals: Mapping[str, Sequence[Any]]) -> dict[str, float]:
    """Return an interval table as ``<subset>/gross/<metric>_low`` and ``..._high``, as fractions."""
    rows = zip(*(intervals[name] for name in ("records", "figure", "low", "high")), strict=True)
    return {
        f"{subset}/gross/{metric}_{side}": bound / 100
        for subset, metric, low, high in rows
        for side, bound in (("low", low), ("high", high))
    }


def bootstrap_intervals(
    records: Comparisons, patients: Mapping[str, str], *, without: tuple[str, ...] = (), seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Compute 95 % confidence intervals of the gross metrics, by bootstrap over patients.

    Parameters
    ----------
    records
        Beat comparisons by record.
    patients
        The patient of each record.
    without
        Names of the records to leave out.
    seed
        Seed of the bootstrap.

    Returns
    -------
    Lower and upper bound by metric, as fractions.
    """
    by_patient: dict[str, list[BeatComparison]] = {}
    for record, comparison in records.items():
        if record not in without:
            by_patient.setdefault(patients[record], []).append(comparison)
    bounds = intervals(by_patient.values(), rng=np.random.default_rng(seed))
    return {name: bounds[name] for name in HEADLINE}


def metrics_by_record(records: Comparisons) -> dict[str, list[object]]:
    """Return a table by column: counts and metrics of each record, in percent with 2 digits."""
    table: dict[str, list[object]] = {"record": list(records)}
    for label in "NSVF":
        table[f"reference {label.lower()}"] = [c.count(label, "NSVFQOX") for c in records.values()]
    metrics = [compute_metrics(comparison) for comparison in records.values()]
    for name in HEADLINE:
        table[name] = [
            None if math.isnan(record[name]) else round(100 * record[name], 2) for record in metrics
        ]
    return table
