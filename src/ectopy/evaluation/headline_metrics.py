"""The figures of beats that everybody quotes: gross and average, without some records, and by noise."""

import math
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from ectopy.ec57 import (
    BeatComparison,
    average,
    figures,
    gross,
    intervals,
)

DS2_SUBSETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"all": (), "without_232": ("232",), "without_202": ("202",)}
)
"""Records left out: 232 holds 75 % of DS2's SVEB, and 202 is a man of DS1 (201)."""
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
Comparisons: TypeAlias = Mapping[str, BeatComparison]
"""One comparison a record."""


def summarise(records: Comparisons, *, without: tuple[str, ...] = ()) -> dict[str, float]:
    """Give the headline figures, ``gross/...`` and ``average/...``, as fractions; NaN where undefined."""
    kept = [comparison for record, comparison in records.items() if record not in without]
    pooled, mean = figures(gross(kept)), average(kept)
    return {
        f"{kind}/{name}": values[name]
        for kind, values in (("gross", pooled), ("average", mean))
        for name in HEADLINE
    }


def applicable_subsets(records: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Give the subsets of DS2_SUBSETS that leave one of these records out, and all records first."""
    return {
        name: without for name, without in DS2_SUBSETS.items() if not without or set(without) & set(records)
    }


def by_subset(records: Comparisons) -> dict[str, float]:
    """Give ``<subset>/gross/...`` and ``<subset>/average/...`` for each subset that leaves a record out."""
    summaries = {name: summarise(records, without=without) for name, without in applicable_subsets(records).items()}
    return {f"{name}/{figure}": value for name, told in summaries.items() for figure, value in told.items()}


def by_noise(records: Comparisons, noise_db: Mapping[str, int]) -> dict[int, dict[str, float]]:
    """Give the gross figures at each signal-to-noise ratio in dB, the cleanest first.

    ``unreadable`` is the share of beats lost in time that could not be read, ``qrs_sensitivity_elsewhere``
    that of the others that were found.
    """
    levels = sorted({noise_db[record] for record in records}, reverse=True)
    at = {
        level: {name: found for name, found in records.items() if noise_db[name] == level} for level in levels
    }
    return {level: summarise(found) | _unreadable(gross(found.values())) for level, found in at.items()}


def _unreadable(beats: BeatComparison) -> dict[str, float]:
    found, lost, beat = (beats.count("NSVFQ", columns) for columns in ("NSVFQ", "X", "NSVFQOX"))
    return {
        "gross/unreadable": lost / beat if beat else math.nan,
        "gross/qrs_sensitivity_elsewhere": found / (beat - lost) if beat > lost else math.nan,
    }


def group_by_subset(figures: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Turn ``<subset>/gross/...`` into a dictionary a subset."""
    groups: dict[str, dict[str, float]] = {}
    for name, value in figures.items():
        subset, _, figure = name.partition("/")
        groups.setdefault(subset, {})[figure] = value
    return groups


def interval_table(records: Comparisons, patients: Mapping[str, str]) -> dict[str, list[object]]:
    """Give a table by column: each gross figure with its 95 % interval, all records and without some."""
    rows: list[tuple[object, ...]] = []
    for name, without in applicable_subsets(records).items():
        told = summarise(records, without=without)
        for figure, bounds in bootstrap_intervals(records, patients, without=without).items():
            value, low, high = (100 * number for number in (told[f"gross/{figure}"], *bounds))
            rows.append((name, figure, round(value, 2), round(low, 2), round(high, 2)))
    columns = ("records", "figure", "percent", "low", "high")
    return {column: [row[k] for row in rows] for k, column in enumerate(columns)}


def interval_metrics(intervals: Mapping[str, Sequence[Any]]) -> dict[str, float]:
    """Turn an interval table into ``<subset>/gross/<figure>_low`` and ``..._high``, as fractions."""
    rows = zip(*(intervals[name] for name in ("records", "figure", "low", "high")), strict=True)
    return {
        f"{subset}/gross/{figure}_{side}": bound / 100
        for subset, figure, low, high in rows
        for side, bound in (("low", low), ("high", high))
    }


def bootstrap_intervals(
    records: Comparisons, patients: Mapping[str, str], *, without: tuple[str, ...] = (), seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Give 95 % intervals of the gross figures, by bootstrap over patients."""
    by_patient: dict[str, list[BeatComparison]] = {}
    for record, comparison in records.items():
        if record not in without:
            by_patient.setdefault(patients[record], []).append(comparison)
    drawn = intervals(by_patient.values(), rng=np.random.default_rng(seed))
    return {name: drawn[name] for name in HEADLINE}


def metrics_by_record(records: Comparisons) -> dict[str, list[object]]:
    """Give a table by column: the counts and figures of each record, percentages to 2 digits."""
    table: dict[str, list[object]] = {"record": list(records)}
    for label in "NSVF":
        table[f"reference {label.lower()}"] = [c.count(label, "NSVFQOX") for c in records.values()]
    told = [figures(comparison) for comparison in records.values()]
    for name in HEADLINE:
        table[name] = [None if math.isnan(each[name]) else round(100 * each[name], 2) for each in told]
    return table
