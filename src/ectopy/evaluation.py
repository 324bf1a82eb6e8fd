"""What records are judged by; figures of a set of records, beat by beat; whether they are good enough."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from ectopy.annotations import Annotations
from ectopy.ec57 import (
    BeatComparison,
    BeatMap,
    average,
    compare_beats,
    figures,
    gross,
    intervals,
)

DS2_SUBSETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"all": (), "without_232": ("232",), "without_202": ("202",)}
)
"""Records left out: 232 holds 75 % of DS2's SVEB, and 202 is a man of DS1 (201)."""
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
GATE = ("gross/veb_f1", "gross/sveb_f1", "average/veb_f1", "average/sveb_f1")
"""Out-of-fold figures, with detected beats, that decide on promotion."""

Comparisons: TypeAlias = Mapping[str, BeatComparison]
"""One comparison a record."""


class NothingToExamineError(ValueError):
    """A database without a record of a held-out patient."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What a record is judged by."""

    record: str
    patient: str
    annotations: Annotations
    fs: float
    n_samples: int

    def compare(self, test: Annotations, *, beat_map: BeatMap = "dechazal") -> BeatComparison:
        """Judge another annotator of the record by EC57; de Chazal's map counts escape beats as N."""
        return compare_beats(self.annotations, test, self.fs, beat_map=beat_map, n_samples=self.n_samples)


DETECTED, GIVEN, EC57_MAP = "detected", "given", "detected-ec57-map"
WAYS: Mapping[str, str] = MappingProxyType(
    {
        DETECTED: "detected beats, escape beats as N (de Chazal's map)",
        GIVEN: "given R peaks, escape beats as N (de Chazal's map)",
        EC57_MAP: "detected beats, escape beats as SVEB (the map of EC57 and bxb)",
    }
)


def summarise(records: Comparisons, *, without: tuple[str, ...] = ()) -> dict[str, float]:
    """Give the headline figures, ``gross/...`` and ``average/...``, as fractions; NaN where undefined."""
    kept = [comparison for record, comparison in records.items() if record not in without]
    pooled, mean = figures(gross(kept)), average(kept)
    return {
        f"{kind}/{name}": values[name]
        for kind, values in (("gross", pooled), ("average", mean))
        for name in HEADLINE
    }


def subsets_of(records: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Give the subsets of DS2_SUBSETS that leave one of these records out, and all records first."""
    return {
        name: without for name, without in DS2_SUBSETS.items() if not without or set(without) & set(records)
    }


def by_subset(records: Comparisons) -> dict[str, float]:
    """Give ``<subset>/gross/...`` and ``<subset>/average/...`` for each subset that leaves a record out."""
    summaries = {name: summarise(records, without=without) for name, without in subsets_of(records).items()}
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


def grouped(figures: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Turn ``<subset>/gross/...`` into a dictionary a subset."""
    groups: dict[str, dict[str, float]] = {}
    for name, value in figures.items():
        subset, _, figure = name.partition("/")
        groups.setdefault(subset, {})[figure] = value
    return groups


def interval_table(records: Comparisons, patients: Mapping[str, str]) -> dict[str, list[object]]:
    """Give a table by column: each gross figure with its 95 % interval, all records and without some."""
    rows: list[tuple[object, ...]] = []
    for name, without in subsets_of(records).items():
        told = summarise(records, without=without)
        for figure, bounds in uncertainty(records, patients, without=without).items():
            value, low, high = (100 * number for number in (told[f"gross/{figure}"], *bounds))
            rows.append((name, figure, round(value, 2), round(low, 2), round(high, 2)))
    columns = ("records", "figure", "percent", "low", "high")
    return {column: [row[k] for row in rows] for k, column in enumerate(columns)}


def bounds(intervals: Mapping[str, Sequence[Any]]) -> dict[str, float]:
    """Turn an interval table into ``<subset>/gross/<figure>_low`` and ``..._high``, as fractions."""
    rows = zip(*(intervals[name] for name in ("records", "figure", "low", "high")), strict=True)
    return {
        f"{subset}/gross/{figure}_{side}": bound / 100
        for subset, figure, low, high in rows
        for side, bound in (("low", low), ("high", high))
    }


def uncertainty(
    records: Comparisons, patients: Mapping[str, str], *, without: tuple[str, ...] = (), seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Give 95 % intervals of the gross figures, by bootstrap over patients."""
    by_patient: dict[str, list[BeatComparison]] = {}
    for record, comparison in records.items():
        if record not in without:
            by_patient.setdefault(patients[record], []).append(comparison)
    drawn = intervals(by_patient.values(), rng=np.random.default_rng(seed))
    return {name: drawn[name] for name in HEADLINE}


def per_record(records: Comparisons) -> dict[str, list[object]]:
    """Give a table by column: the counts and figures of each record, percentages to 2 digits."""
    table: dict[str, list[object]] = {"record": list(records)}
    for label in "NSVF":
        table[f"reference {label.lower()}"] = [c.count(label, "NSVFQOX") for c in records.values()]
    told = [figures(comparison) for comparison in records.values()]
    for name in HEADLINE:
        table[name] = [None if math.isnan(each[name]) else round(100 * each[name], 2) for each in told]
    return table


@dataclass(frozen=True)
class Floors:
    """What a champion must reach in cross-validation at the very least, as fractions."""

    veb_f1: float = 0.85
    sveb_f1: float = 0.40

    def of(self, figure: str) -> float:
        """Give the floor of a figure such as ``gross/veb_f1``."""
        return self.veb_f1 if figure.endswith("/veb_f1") else self.sveb_f1


@dataclass(frozen=True)
class Verdict:
    """Whether a challenger is promoted, and why or why not; ``report`` has the figures, as Markdown."""

    promoted: bool
    reason: str
    report: str = ""


def judge(challenger: Mapping[str, float], champion: Mapping[str, float] | None, floors: Floors) -> Verdict:
    """Compare out-of-fold figures of training patients; the examination set has no say.

    Only gross figures have floors: a record's average hangs on records with a handful of ectopic beats.
    """
    against = [
        f"{figure} {_percent(challenger.get(figure))} is under the floor of {_percent(floors.of(figure))}"
        for figure in GATE
        if figure.startswith("gross/") and not challenger.get(figure, -1.0) >= floors.of(figure)
    ]
    if champion is not None:
        against += [
            f"{figure} {_percent(challenger.get(figure))} < the champion's {_percent(champion[figure])}"
            for figure in GATE
            if figure in champion and not challenger.get(figure, -1.0) >= champion[figure]
        ]
    if against:
        return Verdict(False, "; ".join(against))
    told = ", ".join(f"{figure} {_percent(challenger[figure])}" for figure in GATE if figure in challenger)
    rival = "no champion before it" if champion is None else "at least the champion's"
    return Verdict(True, f"out of fold: {told}; above the floors and {rival}")


def _percent(value: float | None) -> str:
    return "undefined" if value is None or math.isnan(value) else f"{100 * value:.1f} %"
