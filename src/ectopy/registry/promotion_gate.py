"""The promotion gate: it decides whether a challenger replaces the champion.

Both versions are compared on patients that neither has learned from, by the ensembles of the folds of their
cross-validation. A database that only one of them was trained on counts too: the other has not seen its
patients at all. The challenger is promoted if

1. it reaches :class:`MinimumScores`;
2. no metric, on any database or on all records, is worse beyond noise: the 95 % interval of the difference
   does not lie wholly below zero (:mod:`ectopy.ec57.paired`);
3. none is lower by more than its margin (:class:`Margins`), noise or not;
4. the mean of the differences over all records is not below zero.

Rule 2 alone would let large losses pass where patients are few and intervals wide, hence rule 3. Rules 2 and
3 would let each model be a little worse than the one before, again and again ("biocreep" of trials of
non-inferiority), hence rule 4. An improvement need not be beyond noise: where patients are few, hardly any
is. An equal model is promoted.

What cannot be judged is not promoted. Both must have counts of each record of the champion's
cross-validation, with the same reference beats, unless only metrics of the champion are known. Both must
also have counts of each record of the challenger's that the champion can be given
(:mod:`ectopy.evaluation.unseen`). No metric may be undefined for one of them alone. The reason tells what was
compared, and names what was not.

Metrics on held-out patients have no influence, otherwise the models would be selected on the test set.
:mod:`ectopy.registry.promotion` carries the decision out. A person may decide otherwise with
``ectopy models promote`` or ``rollback``. They ask for a reason, and keep it beside the decision of the gate.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from types import MappingProxyType

from ectopy.ec57 import BeatComparison
from ectopy.ec57.paired import COMPARED, Difference, RecordPair, compare_pairs, summarise_networks
from ectopy.ec57.record_counts import RecordCounts
from ectopy.registry import model_versions
from ectopy.registry.evidence import Evidence, list_names, read_evidence
from ectopy.registry.model_versions import CHAMPION, ROLLED_BACK, Version

GATE_METRICS = tuple(COMPARED)
"""Metrics with detected beats that decide on promotion."""

ALL_RECORDS = "all"
"""Name of the records of all databases in the table of the gate."""

_LISTED = 4
"""Number of failures that a reason lists; the table has all."""
WORSE, UNKNOWN = "worse", "cannot be judged"
"""Beginnings of the verdicts that stop the promotion."""

_SAME_BEATS = 2
"""Largest difference of reference beats of a class between two counts of a record with the same labels."""


@dataclass(frozen=True)
class MinimumScores:
    """Gross scores that any champion must reach in cross-validation, as fractions."""

    veb_f1: float = 0.85
    sveb_f1: float = 0.40

    def minimum_of(self, metric: str) -> float:
        """Return the minimum of a metric such as ``gross/veb_f1``."""
        return self.veb_f1 if metric.endswith("/veb_f1") else self.sveb_f1


@dataclass(frozen=True)
class Margins:
    """Losses that no database may exceed, as fractions.

    Two ensembles of three networks that differ in their seeds alone were compared on the 22 training patients
    of mitdb. Their metrics by beat class differ by 0.3, 2.5, 2.9 and 2.5 points (standard deviation). The
    margins are about twice that. Detection does not depend on seeds.
    """

    qrs_f1: float = 0.001
    gross_veb_f1: float = 0.01
    gross_sveb_f1: float = 0.05
    average_veb_f1: float = 0.06
    average_sveb_f1: float = 0.05

    def margin_of(self, metric: str) -> float:
        """Return the margin of a metric such as ``gross/veb_f1``."""
        if metric == "gross/qrs_f1":
            return self.qrs_f1
        return float(getattr(self, metric.replace("/", "_")))


@dataclass(frozen=True)
class Row:
    """One metric of both versions on the records of one database, or of all.

    ``seeds`` are the lowest and the highest of the single networks, of champion and challenger. The interval
    is NaN where only the metrics are known, or where there is a single patient.
    """

    records: str
    patients: int
    metric: str
    difference: Difference
    seeds: tuple[str, str] = ("", "")

    def verdict(self, margins: Margins) -> str:
        """Return what the difference means; one that stops the promotion begins with WORSE or UNKNOWN."""
        if not math.isfinite(self.difference.value):
            return UNKNOWN
        if self.difference.high < 0:
            return f"{WORSE} beyond noise"
        if self.difference.value < -margins.margin_of(self.metric):
            return f"{WORSE} by more than {100 * margins.margin_of(self.metric):g} points"
        if self.difference.low > 0:
            return "better beyond noise"
        return "within noise" if math.isfinite(self.difference.low) else "within the margin"

    def interval(self) -> str:
        """Return the interval of the difference in points."""
        bounds = (self.difference.low, self.difference.high)
        return " to ".join(f"{100 * bound:+.2f}" for bound in bounds) if math.isfinite(bounds[0]) else ""

    def __str__(self) -> str:
        """Return the row as text."""
        challenger, champion = _percent(self.difference.second), _percent(self.difference.first)
        interval = self.interval()
        uncertain = f" ({_points(self.difference.value)}, 95 % {interval})" if interval else ""
        return f"{self.metric} on {self.records} {challenger}, the champion's {champion}{uncertain}"


@dataclass(frozen=True)
class PromotionDecision:
    """Whether a challenger is promoted, and why or why not.

    ``comparison`` is the table of the gate by column. ``report`` has all metrics, as Markdown, and
    ``summary`` the first of them for a terminal. ``run_id`` is the run that has them.
    """

    promoted: bool
    reason: str
    report: str = ""
    comparison: Mapping[str, Sequence[object]] = field(default_factory=lambda: MappingProxyType({}))
    summary: str = ""
    run_id: str = ""

    def __str__(self) -> str:
        """Return the decision and its reason."""
        return f"{'promoted' if self.promoted else 'not promoted'}: {self.reason}"


def decide(challenger: Version, minimum: MinimumScores, margins: Margins | None = None) -> PromotionDecision:
    """Decide whether a challenger replaces the champion; one that was rolled back is not promoted again.

    Parameters
    ----------
    challenger
        The version in question.
    minimum
        The scores that any champion must reach.
    margins
        The losses that no database may exceed.

    Returns
    -------
    The decision and its reason.
    """
    if cause := model_versions.tags_of(challenger).get(ROLLED_BACK):
        reason = f"it was rolled back: {cause}; `ectopy models promote` promotes it all the same"
        return PromotionDecision(False, reason)
    champion = model_versions.version_by_alias(challenger.model, CHAMPION)
    return decide_between(challenger, champion, minimum, margins)


def decide_between(
    challenger: Version, champion: Version | None, minimum: MinimumScores, margins: Margins | None = None
) -> PromotionDecision:
    """Decide between two versions of the registry.

    Parameters
    ----------
    challenger, minimum, margins
        As for :func:`decide`.
    champion
        The version to replace, or None if there is no champion.

    Returns
    -------
    The decision and its reason.
    """
    rival = None if champion is None else read_evidence(champion)
    return judge(read_evidence(challenger), rival, minimum, margins or Margins())


def judge(
    challenger: Evidence, champion: Evidence | None, minimum: MinimumScores, margins: Margins
) -> PromotionDecision:
    """Apply the rules of the gate.

    Parameters
    ----------
    challenger, champion
        What is known of both; None if there is no champion.
    minimum
        The scores that any champion must reach.
    margins
        The losses that no database may exceed.

    Returns
    -------
    The decision and its reason.
    """
    overall = challenger.overall
    failures = [
        f"{metric} {_percent(overall.get(metric))} is below the minimum of "
        f"{_percent(minimum.minimum_of(metric))}"
        for metric in ("gross/veb_f1", "gross/sveb_f1")
        if not overall.get(metric, -1.0) >= minimum.minimum_of(metric)
    ]
    scores = ", ".join(f"{name} {_percent(overall[name])}" for name in GATE_METRICS if name in overall)
    if champion is None:
        reason = "; ".join(failures) or f"out of fold: {scores}; above the minimum, and there is no champion"
        return PromotionDecision(not failures, reason)
    rows = compare(challenger, champion)
    verdicts = [row.verdict(margins) for row in rows]
    failures += _missing(rows, challenger, champion)
    failures += [
        f"{row}: {verdict}"
        for row, verdict in zip(rows, verdicts, strict=True)
        if verdict.startswith((WORSE, UNKNOWN))
    ]
    change = mean_difference(rows)
    if not change >= 0:
        failures.append(f"the mean of the differences over all records is {_points(change)}")
    if len(failures) > _LISTED:
        failures[_LISTED:] = [f"and {len(failures) - _LISTED} more, see the table"]
    reason = "; ".join(failures) or (
        f"out of fold: {scores}; no metric is worse than the champion's beyond noise or its margin, "
        f"and the mean of the differences over all records is {_points(change)}"
    )
    reason = "; ".join([reason, *_remarks(rows, challenger, champion)])
    return PromotionDecision(not failures, reason, comparison=_table(rows, verdicts))


def compare(challenger: Evidence, champion: Evidence) -> list[Row]:
    """Compare two versions on each database and on all records.

    Parameters
    ----------
    challenger, champion
        What is known of both.

    Returns
    -------
    A row for each metric, by database; all records come last. A database of which only the metrics of both
    are known has rows without an interval, and is not among all records.
    """
    pairs = _pair_records(champion, challenger)
    counted, measured = {first.database for first, _ in pairs}, challenger.metrics.keys() & champion.metrics
    rows: list[Row] = []
    for database in sorted(counted | measured):
        on_database = [pair for pair in pairs if pair[0].database == database]
        rows += _paired_rows(database, on_database) or _unpaired_rows(database, challenger, champion)
    if len({champions.database for champions, _ in pairs}) > 1:
        rows += _paired_rows(ALL_RECORDS, pairs)
    return rows


def mean_difference(rows: Sequence[Row]) -> float:
    """Return the mean of the differences over all records, and over databases that are not among them."""
    pooled = any(row.records == ALL_RECORDS for row in rows)
    counted = [row for row in rows if not pooled or row.records == ALL_RECORDS or not row.patients]
    return fmean(row.difference.value for row in counted) if counted else math.nan


def _pair_records(first: Evidence, second: Evidence) -> list[tuple[RecordCounts, RecordCounts]]:
    """Pair the counts of records that both have; those with other reference beats are left out."""
    by_key = {counts.key: counts for counts in second.counts}
    pairs = [(counts, by_key[counts.key]) for counts in first.counts if counts.key in by_key]
    return [pair for pair in pairs if _same_reference(*(counts.beats for counts in pair))]


def _same_reference(first: BeatComparison, second: BeatComparison) -> bool:
    n_beats = [comparison.counts[: len("NSVFQ")].sum(axis=1) for comparison in (first, second)]
    return bool((abs(n_beats[0] - n_beats[1]) <= _SAME_BEATS).all())


def _paired_rows(name: str, pairs: Sequence[tuple[RecordCounts, RecordCounts]]) -> list[Row]:
    if not pairs:
        return []
    differences = compare_pairs(
        [
            RecordPair(first.patient, first.record, first.beats, second.beats, first.members, second.members)
            for first, second in pairs
        ]
    )
    n_patients = len({first.patient for first, _ in pairs})
    seeds = [_over_seeds(side) for side in zip(*pairs, strict=True)]
    return [
        Row(name, n_patients, metric, difference, (seeds[0].get(metric, ""), seeds[1].get(metric, "")))
        for metric, difference in differences.items()
    ]


def _over_seeds(records: Sequence[RecordCounts]) -> dict[str, str]:
    """Return the range of each metric over the single networks, if all records have been given to them."""
    networks = summarise_networks([counts.members for counts in records])
    return {
        name: " - ".join(f"{100 * value:.1f}" for value in (min(values), max(values)))
        for name in (networks[0] if networks else ())
        if (values := [network[name] for network in networks])
    }


def _unpaired_rows(database: str, challenger: Evidence, champion: Evidence) -> list[Row]:
    new, old = (evidence.metrics.get(database, {}) for evidence in (challenger, champion))
    both = [(name, old.get(name, math.nan), new.get(name, math.nan)) for name in GATE_METRICS]
    return [
        Row(database, 0, name, Difference(before, after, math.nan, math.nan))
        for name, before, after in both
        if math.isfinite(before) or math.isfinite(after)
    ]


def _missing(rows: Sequence[Row], challenger: Evidence, champion: Evidence) -> list[str]:
    """Return what the gate would have to compare and cannot, as reasons against the promotion."""
    counted = {counts.database for counts in champion.records}
    unknown = sorted(champion.databases - counted - {row.records for row in rows})
    reasons = [f"it cannot be compared with the champion on {name}: no metrics of both" for name in unknown]
    lacking = _not_compared(champion, challenger).values()
    reasons += [_cannot_judge(missing, champion, challenger, "it") for missing in lacking]
    new = _not_given(challenger, champion).values()
    reasons += [_cannot_judge(missing, challenger, champion, "the champion") for missing in new]
    return reasons


def _not_given(challenger: Evidence, champion: Evidence) -> dict[str, list[RecordCounts]]:
    """Return the challenger's records that the champion could be given and was not, by database."""
    return {
        database: new
        for database, missing in _not_compared(challenger, champion).items()
        if (new := [counts for counts in missing if champion.can_be_given(counts)])
    }


def _cannot_judge(missing: Sequence[RecordCounts], owner: Evidence, rival: Evidence, name: str) -> str:
    """Return which records of one version the rival of this name has not been counted on."""
    reason = f"{UNKNOWN} on {_name_records(missing, owner)}: {name} has no counts with the same beats"
    if rival.can_be_given(missing[0]):
        reason += (
            f", run `ectopy ingest {missing[0].database}` and `ectopy evaluate`, or if this version of "
            f"ectopy cannot load {name}, `ectopy models promote --reason TEXT`"
        )
    return reason


def _not_compared(owner: Evidence, rival: Evidence) -> dict[str, list[RecordCounts]]:
    """Return the records of a cross-validation that are not compared with a rival, by database."""
    paired = {counts.key for counts, _ in _pair_records(owner, rival)}
    missing: dict[str, list[RecordCounts]] = {}
    for counts in owner.records:
        if counts.key not in paired:
            missing.setdefault(counts.database, []).append(counts)
    return missing


def _name_records(records: Sequence[RecordCounts], owner: Evidence) -> str:
    """Return how many and which of the owner's records of one database these are."""
    database = records[0].database
    total = sum(counts.database == database for counts in owner.records)
    names = list_names(sorted(counts.record for counts in records))
    return f"{len(records)} of {total} records of {database} ({names})"


def _table(rows: Sequence[Row], verdicts: Sequence[str]) -> dict[str, list[object]]:
    """Return the table of the gate by column, in percent and points."""
    table: dict[str, list[object]] = {
        "records": [row.records for row in rows],
        "patients": [row.patients or None for row in rows],
        "metric": [row.metric for row in rows],
        "champion": [_hundredfold(row.difference.first) for row in rows],
        "challenger": [_hundredfold(row.difference.second) for row in rows],
        "difference": [
            f"{100 * row.difference.value:+.2f}" if math.isfinite(row.difference.value) else ""
            for row in rows
        ],
        "95 %": [row.interval() for row in rows],
        "verdict": list(verdicts),
    }
    for side, name in enumerate(("champion", "challenger")):
        if any(row.seeds[side] for row in rows):
            table[f"single networks, {name}"] = [row.seeds[side] for row in rows]
    return table


def _remarks(rows: Sequence[Row], challenger: Evidence, champion: Evidence) -> list[str]:
    """Return what was compared and what was not, as the end of the reason."""
    paired = Counter(counts.database for counts, _ in _pair_records(champion, challenger))
    unpaired = sorted({row.records for row in rows if not row.patients})
    named = {row.records for row in rows} | _not_given(challenger, champion).keys()
    alone = sorted(challenger.databases - named)
    remarks = []
    if paired:
        records = ", ".join(f"{n} records of {database}" for database, n in sorted(paired.items()))
        remarks.append(f"compared on {records}")
    for name, missing in _not_compared(challenger, champion).items():
        others = [counts for counts in missing if not champion.can_be_given(counts)]
        if others and name in paired:
            remarks.append(f"not compared on {_name_records(others, challenger)}")
    if unpaired:
        remarks.append(f"on {', '.join(unpaired)} only the metrics of both are known, so without intervals")
    if alone:
        remarks.append(f"not compared on {', '.join(alone)}, where the champion has no metrics")
    return remarks


def _hundredfold(value: float) -> float | None:
    return round(100 * value, 2) if math.isfinite(value) else None


def _percent(value: float | None) -> str:
    return "undefined" if value is None or math.isnan(value) else f"{100 * value:.1f} %"


def _points(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{100 * value:+.2f} points"
