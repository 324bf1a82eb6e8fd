"""Metrics of findings by group of records, with intervals by patient, to be logged and shown."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ectopy.ec57 import compute_metrics, gross, intervals
from ectopy.evaluation.finding_comparison import FIELDS, LOUD, CalledEvent, FindingCounts
from ectopy.evaluation.finding_reference import BY_NAME
from ectopy.evaluation.record_findings import RecordFindings

QUIET = "mitdb and svdb without VF"
"""The group of records whose beats are labelled and that have no ventricular flutter or fibrillation."""
FREE = " without any such rhythm"
"""End of the name of a group: its records have no episode of any rhythm, and are known to have none."""
PER_DAY = "_per_24h"
FEWEST = 5
"""Patients below which there are no intervals."""
_RULE_OF_THREE = 3.0
"""Upper 95 % bound of a number of which none was seen (Hanley & Lippman-Hand 1983)."""


@dataclass(frozen=True, eq=False)
class FindingGroup:
    """Records whose findings are evaluated together."""

    name: str
    results: tuple[RecordFindings, ...]

    @cached_property
    def counts(self) -> FindingCounts:
        """The sum over all records."""
        return gross(result.comparison.counts for result in self.results)

    @cached_property
    def metrics(self) -> dict[str, float]:
        """All metrics by name; NaN where undefined, and for a rhythm of which ectopy has no event."""
        without = {rhythm.name for rhythm in BY_NAME.values() if not rhythm.has_event}
        metrics = compute_metrics(self.counts)
        return {
            name: np.nan if name.partition("/")[0] in without else value for name, value in metrics.items()
        }

    @cached_property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """95 % intervals by bootstrap over patients; by the rule of three where no finding was false.

        There are none below FEWEST patients.
        """
        by_patient: dict[str, list[FindingCounts]] = {}
        for result in self.results:
            by_patient.setdefault(result.reference.patient, []).append(result.comparison.counts)
        if len(by_patient) < FEWEST:
            return {}
        bounds = intervals(by_patient.values(), rng=np.random.default_rng(0))
        for name, value in self.metrics.items():
            if name.endswith(PER_DAY) and value == 0:
                _, days = FindingCounts.METRICS[name].sums(self.counts.cells)
                bounds[name] = (0.0, _RULE_OF_THREE / float(days))
        return bounds

    @property
    def n_patients(self) -> int:
        """Number of patients."""
        return len({result.reference.patient for result in self.results})


def group_findings(results: Sequence[RecordFindings]) -> dict[str, FindingGroup]:
    """Group the records: by database, those of it without any rhythm, and those without VF.

    Parameters
    ----------
    results
        The evaluated records.

    Returns
    -------
    The groups by name; those without a record are left out.
    """
    names = list(dict.fromkeys(_database(result) for result in results))
    members: dict[str, list[RecordFindings]] = {}
    for name in names:
        of_database = [result for result in results if _database(result) == name]
        members[name] = of_database
        members[name + FREE] = [result for result in of_database if is_free(result)]
    members[QUIET] = [
        result
        for result in results
        if _database(result) in {"mitdb", "svdb"} and not result.reference.has("vf")
    ]
    return {name: FindingGroup(name, tuple(records)) for name, records in members.items() if records}


def is_free(result: RecordFindings) -> bool:
    """Return whether a record has no episode of any rhythm, and its database would state it if it had.

    Atrial fibrillation is the exception: of a database that does not state it, it is not judged.
    """
    rhythms = set(BY_NAME)
    return rhythms - {"af"} <= result.reference.known and not result.reference.has(*rhythms)


def metrics_of(groups: Mapping[str, FindingGroup]) -> dict[str, float]:
    """Return the metrics and counts of all groups by name, such as ``vfdb/malignant/named_share``.

    Bounds end in ``_low`` and ``_high``. Metrics and counts that do not apply to a group are left out.
    """
    metrics: dict[str, float] = {}
    for name, group in groups.items():
        defined = {metric: value for metric, value in group.metrics.items() if np.isfinite(value)}
        values = {field: group.counts[field] for field in FIELDS if group.counts[field]} | defined
        for metric in defined.keys() & group.bounds.keys():
            values[f"{metric}_low"], values[f"{metric}_high"] = group.bounds[metric]
        metrics |= {f"{name.replace(' ', '_')}/{metric}": value for metric, value in values.items()}
    return metrics


def headline_of(metrics: Iterable[str]) -> list[str]:
    """Return the names of the metrics to see first: what is found and what is false, on each database."""
    return [
        name
        for name in metrics
        if re.fullmatch(r"[a-z0-9-]+/(malignant/named_share|findings/false_urgent_per_24h)", name)
    ]


def false_table(results: Iterable[RecordFindings]) -> dict[str, list[object]]:
    """Return a table by column of all false urgent and important findings, the worst records first."""
    by_record = sorted(results, key=lambda result: -len(loud_of(result)))
    rows = [
        (
            result.reference.key,
            event.kind,
            round(event.start_s, 1),
            round(event.stop_s, 1),
            event.urgency.name,
        )
        for result in by_record
        for event in loud_of(result)
    ]
    return _by_column(("record", "kind", "onset_s", "offset_s", "urgency"), rows)


def missed_table(results: Iterable[RecordFindings]) -> dict[str, list[object]]:
    """Return a table by column of every missed episode."""
    rows = [
        (result.reference.key, episode.rhythm, round(episode.start_s, 1), round(episode.stop_s, 1))
        for result in results
        for episode in result.comparison.missed
    ]
    return _by_column(("record", "rhythm", "onset_s", "offset_s"), rows)


def loud_of(result: RecordFindings) -> list[CalledEvent]:
    """Return the false findings of a record that are urgent or important."""
    return [event for event in result.comparison.false if event.urgency in LOUD]


def _database(result: RecordFindings) -> str:
    return result.reference.key.partition("/")[0]


def _by_column(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> dict[str, list[object]]:
    return {column: [row[k] for row in rows] for k, column in enumerate(columns)}
