"""Every figure of a group of records, from beats to episodes, and its spread over seeds.

A figure's name begins with the part it comes from: ``beats/veb_f1``, ``ventricular/couplet_sensitivity``,
``af/duration_sensitivity``. Figures are gross ones (every beat, run or second counts the same), as fractions.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import mean, stdev
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from ectopy.ec57 import Comparison, EpisodeComparison, RunComparison, figures, gross, intervals
from ectopy.ec57.reference import DETECTED
from ectopy.ec57.runs import RUN_LENGTHS
from ectopy.evaluation.evaluate_record import Outcome, RecordEvaluation

RUN_PARTS = ("ventricular", "supraventricular")
Metrics = Mapping[str, float]
Bounds = Mapping[str, tuple[float, float]]


def comparisons_by_part(outcomes: Iterable[Outcome]) -> dict[str, list[Comparison]]:
    """Give the comparisons of each part; ``af`` and ``flutter`` are of records that have it."""
    each = list(outcomes)
    af = [outcome for outcome in each if outcome.af.reference_s]
    made: dict[str, list[Comparison]] = {
        "beats": [outcome.beats for outcome in each],
        "ventricular": [outcome.ventricular for outcome in each],
        "supraventricular": [outcome.supraventricular for outcome in each],
        "af": [outcome.af for outcome in af],
        "af_epicmp": [outcome.af_epicmp for outcome in af],
        "af_anywhere": [outcome.af for outcome in each],
        "flutter": [outcome.flutter for outcome in each if outcome.flutter.reference_s],
    }
    return {part: comparisons for part, comparisons in made.items() if comparisons}


def gross_metrics(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Give every gross figure, and the counts it is made of where they are few."""
    told: dict[str, float] = {}
    for part, comparisons in comparisons_by_part(outcomes).items():
        total = gross(comparisons)
        told |= {f"{part}/{name}": value for name, value in {**figures(total), **_counts(total)}.items()}
    return told


def _counts(total: Comparison) -> dict[str, float]:
    if isinstance(total, EpisodeComparison):
        episodes = {"reference": total.found + total.missed, "test": total.confirmed + total.false}
        return {**episodes, "found": total.found, "reference_s": total.reference_s, "test_s": total.test_s}
    if not isinstance(total, RunComparison):
        return {}
    told: dict[str, float] = {}
    for name in RUN_LENGTHS:
        found, missed, confirmed, false = total.tally(name)
        told |= {f"{name}_reference": found + missed, f"{name}_found": found}
        told |= {f"{name}_test": confirmed + false, f"{name}_confirmed": confirmed}
    return told


def gross_intervals(outcomes: Sequence[tuple[str, Outcome]], *, seed: int = 0) -> dict[str, tuple[float, float]]:
    """Give 95 % intervals of the gross figures of (patient, outcome) pairs, by bootstrap over patients.

    A part that comes from one patient alone has none.
    """
    told: dict[str, tuple[float, float]] = {}
    by_patient: dict[str, dict[str, list[Comparison]]] = {}
    for patient, outcome in outcomes:
        for part, comparisons in comparisons_by_part([outcome]).items():
            by_patient.setdefault(part, {}).setdefault(patient, []).extend(comparisons)
    for part, patients in by_patient.items():
        if len(patients) < 2:
            continue
        drawn = intervals(patients.values(), rng=np.random.default_rng(seed))
        told |= {f"{part}/{name}": bounds for name, bounds in drawn.items()}
    return told


class Spread(NamedTuple):
    """How a figure varies over seeds; the standard deviation of one is undefined."""

    mean: float
    sd: float
    low: float
    high: float


def spread(told: Sequence[Metrics]) -> dict[str, Spread]:
    """Give the spread of each figure that is defined for every seed."""
    made = {}
    for name in told[0] if told else ():
        values = [each[name] for each in told]
        if all(map(isfinite, values)):
            sd = stdev(values) if len(values) > 1 else float("nan")
            made[name] = Spread(mean(values), sd, min(values), max(values))
    return made


@dataclass(frozen=True, eq=False)
class Group:
    """The figures of some records; those not asked of a group are absent."""

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
    """Sum up some records as judged in one way; ``more`` figures are put beside."""
    pairs = [(each.reference.patient, each.by_condition[condition]) for each in evaluations]
    told = {**gross_metrics([outcome for _, outcome in pairs]), **extra, **shutdown_metrics(evaluations)}
    return Group(title, told, gross_intervals(pairs))


def summarise_with_paced(title: str, evaluations: Sequence[RecordEvaluation]) -> Group:
    """Sum up all records, the paced ones too, without the classes of their beats: EC57 leaves these out."""
    group = summarise_group(title, evaluations)
    classes = ("beats/veb", "beats/sveb")
    kept = {name: value for name, value in group.metrics.items() if not name.startswith(classes)}
    return Group(title, kept, {})


def member_metrics(evaluations: Sequence[RecordEvaluation]) -> list[dict[str, float]]:
    """Give the figures of each member of the ensemble alone, over the records they examined."""
    alone = [each.members for each in evaluations if each.members]
    return [gross_metrics(outcomes) for outcomes in zip(*alone, strict=True)]


def shutdown_metrics(evaluations: Sequence[RecordEvaluation]) -> dict[str, float]:
    """Give the share of time that could not be read, and the beats after the learning period lost in it."""
    unread_s = sum(each.outcome.beats.shutdown_s for each in evaluations)
    lost = sum(each.outcome.beats.count("NSVFQ", "X") for each in evaluations)
    beats = sum(each.outcome.beats.count("NSVFQ", "NSVFQOX") for each in evaluations)
    return {
        "shutdown/seconds": unread_s,
        "shutdown/share": unread_s / sum(each.duration_s for each in evaluations),
        "shutdown/beats_lost": lost,
        "shutdown/beats_lost_share": lost / beats if beats else float("nan"),
    }


def metrics_with_bounds(group: Group) -> dict[str, float]:
    """Give the figures of a group with their bounds, ``<figure>_low`` and ``<figure>_high``, for tracking."""
    bounds = {
        f"{name}_{side}": bound
        for name, both in group.intervals.items()
        for side, bound in zip(("low", "high"), both, strict=True)
    }
    return {**group.metrics, **bounds}


def seed_metrics(seeds: Mapping[str, Spread]) -> dict[str, float]:
    """Give ``<figure>_mean``, ``_sd``, ``_min`` and ``_max`` over seeds, for tracking."""
    names = ("mean", "sd", "min", "max")
    return {
        f"{figure}_{name}": value
        for figure, told in seeds.items()
        for name, value in zip(names, told, strict=True)
    }
