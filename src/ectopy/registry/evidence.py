"""What the registry knows of a version on patients it has not seen, by which the promotion gate compares."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ectopy.ec57.record_counts import RecordCounts, from_json, to_json
from ectopy.registry import model_versions, runs
from ectopy.registry.model_versions import Version

DETECTED_METRICS = "out_of_fold/detected/"
"""Prefix of the metrics of the cross-validation with detected beats, on the run that trained a version."""

OUT_OF_FOLD_RECORDS = "out_of_fold/records.json"
"""Artifact of the run that trained a version: the counts of its training records, out of fold."""

UNSEEN_RECORDS = "unseen/records.json"
"""Artifact of the same run: the counts of records of databases that the version was not trained on."""

_LISTED = 5
"""Number of names in a message."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of a version on patients it has not seen, with detected beats.

    ``overall`` are the metrics of its whole cross-validation, ``metrics`` those by database, and ``records``
    the counts behind them. ``unseen`` are counts of databases that it was not trained on. Versions of ectopy
    0.2 have no counts.
    """

    overall: Mapping[str, float]
    metrics: Mapping[str, Mapping[str, float]]
    records: tuple[RecordCounts, ...] = ()
    unseen: tuple[RecordCounts, ...] = ()

    @property
    def counts(self) -> tuple[RecordCounts, ...]:
        """The counts of all records."""
        return self.records + self.unseen

    @property
    def databases(self) -> set[str]:
        """The databases of its cross-validation."""
        return {*self.metrics, *(counts.database for counts in self.records)}

    def can_be_given(self, counts: RecordCounts) -> bool:
        """Return whether this version can be given a record: it is new to it, and the version has counts."""
        named_after = {counts.database, counts.patient.partition("/")[0]}
        is_new = not named_after & self.databases
        return bool(self.counts) and is_new and counts.patient not in {own.patient for own in self.records}


def list_names(names: Sequence[str]) -> str:
    """Return the first names and how many more there are, as text."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def read_evidence(version: Version) -> Evidence:
    """Read what is known of a version."""
    overall = with_qrs_f1(model_versions.metrics_of(version, prefix=DETECTED_METRICS))
    by_database: dict[str, dict[str, float]] = {}
    for name, value in model_versions.metrics_of(version, prefix="out_of_fold/").items():
        database, found, metric = name.partition("/detected/")
        if found:
            by_database.setdefault(database, {})[metric] = value
    databases = model_versions.databases_of(version) or ("unknown",)
    if not by_database and overall and len(databases) == 1:
        by_database = {databases[0]: overall}
    return Evidence(
        overall,
        {database: with_qrs_f1(metrics) for database, metrics in by_database.items()},
        read_records(version, OUT_OF_FOLD_RECORDS),
        read_records(version, UNSEEN_RECORDS),
    )


def read_records(version: Version, file: str) -> tuple[RecordCounts, ...]:
    """Read counts from the run that trained a version.

    Parameters
    ----------
    version
        The version.
    file
        OUT_OF_FOLD_RECORDS or UNSEEN_RECORDS.

    Returns
    -------
    The counts by record; none if the run has no such file.
    """
    text = model_versions.read_text(version.run_id, file)
    return from_json(text) if text else ()


def add_unseen_records(version: Version, records: Iterable[RecordCounts]) -> None:
    """Keep counts of records that a version was not trained on, beside those that it has.

    Parameters
    ----------
    version
        The version.
    records
        The new counts.
    """
    known = {counts.key: counts for counts in (*read_records(version, UNSEEN_RECORDS), *records)}
    runs.log_text(to_json(known.values()), UNSEEN_RECORDS, run_id=version.run_id)


def with_qrs_f1(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics with ``gross/qrs_f1``, which older versions did not log."""
    shares = [metrics.get(f"gross/qrs_{name}", 0.0) for name in ("sensitivity", "positive_predictivity")]
    qrs_f1 = {"gross/qrs_f1": 2 / sum(1 / share for share in shares)} if all(shares) else {}
    return {**qrs_f1, **metrics}
