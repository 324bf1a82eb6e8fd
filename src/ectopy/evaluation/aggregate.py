"""All metrics of a group of records, from beats to AF episodes, and their spread over ensemble members.

A metric's name begins with the part it comes from: ``beats/veb_f1``, ``ventricular/couplet_sensitivity``,
``af/duration_sensitivity``. Metrics are gross: every beat, run or second has the same weight. They are
fractions.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import mean, stdev
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from ectopy.ec57 import Comparison, EpisodeComparison, RunComparison, compute_metrics, gross, intervals
from ectopy.ec57.reference import DETECTED
from ectopy.ec57.runs import RUN_LENGTHS
from ectopy.evaluation.evaluate_record import Outcome, RecordEvaluation

RUN_PARTS = ("ventricular", "supraventricular")
Metrics = Mapping[str, float]
Bounds = Mapping[str, tuple[float, float]]


def _comparisons_by_part(outcomes: Iterable[Outcome]) -> dict[str, list[Comparison]]:
    """Return the comparisons of each part; ``af`` and ``flutter`` are those of records that have it."""
    outcomes = list(outcomes)
    with_af = [outcome for outcome in outcomes if outcome.af.reference_s]
    by_part: dict[str, list[Comparison]] = {
        "beats": [outcome.beats for outcome in outcomes],
        "ventricular": [outcome.ventricular for outcome in outcomes],
        "supraventricular": [outcome.supraventricular for outcome in outcomes],
        "af": [outcome.af for outcome in with_af],
        "af_epicmp": [outcome.af_epicmp for outcome in with_af],
        "af_anywhere": [outcome.af for outcome in outcomes],
        "flutter": [outcome.flutter for outcome in outcomes if outcome.flutter.reference_s],
    }
    return {part: comparisons for part, comparisons in by_part.items() if comparisons}


def gross_metrics(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Compute every gross metric; runs and AF episodes come with the counts behind them, which are small."""
    metrics: dict[str, float] = {}
    for part, comparisons in _comparisons_by_part(outcomes).items():
        total = gross(comparisons)
        metrics |= {
            f"{part}/{name}": value for name, value in {**compute_metrics(total), **_counts(total)}.items()
        }
    return metrics


def _counts(total: Comparison) -> dict[str, float]:
    if isinstance(total, EpisodeComparison):
        episodes = {"reference": total.found + total.missed, "test": total.confirmed + total.false}
        return {**episodes, "found": total.found, "reference_s": total.reference_s, "test_s": total.test_s}
    if not isinstance(total, RunComparison):
        return {}
    counts: dict[str, float] = {}
    for name in RUN_LENGTHS:
        found, missed, confirmed, false = total.tally(name)
        counts |= {f"{name}_reference": found + missed, f"{name}_found": found}
        counts |= {f"{name}_test": confirmed + false, f"{name}_confirmed": confirmed}
    return counts


def gross_intervals(
    outcomes: Sequence[tuple[str, Outcome]], *, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Compute 95 % confidence intervals of the gross metrics, by bootstrap over patients.

    Parameters
    ----------
    outcomes
        Pairs of a patient and the outcome of one record.
    seed
        Seed of the bootstrap.

    Returns
    -------
    Lower and upper bound by metric, as fractions. Parts that come from a single patient are left out.
    """
    bounds: dict[str, tuple[float, float]] = {}
    by_patient: dict[str, dict[str, list[Comparison]]] = {}
    for patient, outcome in outcomes:
        for part, comparisons in _comparisons_by_part([outcome]).items():
            by_patient.setdefault(part, {}).setdefault(patient, []).extend(comparisons)
    for part, patients in by_patient.items():
        if len(patients) < 2:
            continue
        of_part = intervals(patients.values(), rng=np.random.default_rng(seed))
        bounds |= {f"{part}/{name}": interval for name, interval in of_part.items()}
    return bounds


class Spread(NamedTuple):
    """Spread of a metric over ensemble members; the standard deviation of a single member is NaN."""

    mean: float
    sd: float
    low: float
    high: float


def spread(members: Sequence[Metrics]) -> dict[str, Spread]:
    """Compute the spread of each metric that is defined for every member of the ensemble."""
    spreads = {}
    for name in members[0] if members else ():
        values = [member[name] for member in members]
        if all(map(isfinite, values)):
            sd = stdev(values) if len(values) > 1 else float("nan")
            spreads[name] = Spread(mean(values), sd, min(values), max(values))
    return spreads


@dataclass(frozen=True, eq=False)
class Group:
    """Metrics of a group of records and their intervals; metrics that do not apply to it are absent."""

    title: str
    metrics: Metrics
    intervals: Bounds


def summarise_group(
    title: str,
    evaluations: Sequence[RecordEvaluation],
    *,
    condition: str = DETECTED,
    extra: Metrics = MappingProxyType({}),
) -> Group:
    """Compute the metrics of a group of records under one condition.

    Parameters
    ----------
    title
        Name of the group in tables.
    evaluations
        The evaluated records.
    condition
        One of :data:`ectopy.ec57.reference.CONDITIONS`.
    extra
        Further metrics to store with the group.

    Returns
    -------
    Metrics and their 95 % confidence intervals.
    """
    pairs = [(evaluation.reference.patient, evaluation.by_condition[condition]) for evaluation in evaluations]
    metrics = {**gross_metrics([outcome for _, outcome in pairs]), **extra, **shutdown_metrics(evaluations)}
    return Group(title, metrics, gross_intervals(pairs))


def summarise_with_paced(title: str, evaluations: Sequence[RecordEvaluation]) -> Group:
    """Compute the metrics of all records, those with paced beats included.

    EC57 leaves paced records out, so metrics by beat class and intervals are dropped.

    Parameters
    ----------
    title
        Name of the group in tables.
    evaluations
        The evaluated records.

    Returns
    -------
    Metrics without intervals.
    """
    group = summarise_group(title, evaluations)
    classes = ("beats/veb", "beats/sveb")
    metrics = {name: value for name, value in group.metrics.items() if not name.startswith(classes)}
    return Group(title, metrics, {})


def member_metrics(evaluations: Sequence[RecordEvaluation]) -> list[dict[str, float]]:
    """Compute the metrics of each network of the ensemble by itself, over the records it was tested on."""
    by_record = [evaluation.members for evaluation in evaluations if evaluation.members]
    return [gross_metrics(outcomes) for outcomes in zip(*by_record, strict=True)]


def shutdown_metrics(evaluations: Sequence[RecordEvaluation]) -> dict[str, float]:
    """Compute the share of unreadable time, and the beats after the learning period that lie in it."""
    beats = [evaluation.outcome.beats for evaluation in evaluations]
    unreadable_s = sum(comparison.shutdown_s for comparison in beats)
    n_lost = sum(comparison.count("NSVFQ", "X") for comparison in beats)
    n_beats = sum(comparison.count("NSVFQ", "NSVFQOX") for comparison in beats)
    return {
        "shutdown/seconds": unreadable_s,
        "shutdown/share": unreadable_s / sum(evaluation.duration_s for evaluation in evaluations),
        "shutdown/beats_lost": n_lost,
        "shutdown/beats_lost_share": n_lost / n_beats if n_beats else float("nan"),
    }


def metrics_with_bounds(group: Group) -> dict[str, float]:
    """Return the metrics of a group and their bounds, ``<metric>_low`` and ``<metric>_high``."""
    bounds = {
        f"{name}_{side}": bound
        for name, interval in group.intervals.items()
        for side, bound in zip(("low", "high"), interval, strict=True)
    }
    return {**group.metrics, **bounds}


def seed_metrics(spreads: Mapping[str, Spread]) -> dict[str, float]:
    """Return ``<metric>_mean``, ``_sd``, ``_min`` and ``_max`` over ensemble members, to be logged."""
    suffixes = ("mean", "sd", "min", "max")
    return {
        f"{metric}_{suffix}": value
        for metric, values in spreads.items()
        for suffix, value in zip(suffixes, values, strict=True)
    }
