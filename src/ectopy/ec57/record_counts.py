"""Beat counts of each record by one model, as a JSON file: what two models are compared by.

The model of a record is one that has not seen the patient. Metrics of any group of records, and their
intervals by patient, can be computed again from the counts.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ectopy.ec57.beats import BeatComparison


@dataclass(frozen=True, eq=False)
class RecordCounts:
    """The confusion matrix of a record, by an ensemble and by each of its networks."""

    database: str
    record: str
    patient: str
    beats: BeatComparison
    members: tuple[BeatComparison, ...] = ()

    @property
    def key(self) -> str:
        """Name of the record among those of all databases, such as ``mitdb/101``."""
        return f"{self.database}/{self.record}"


def to_json(records: Iterable[RecordCounts]) -> str:
    """Return the counts as JSON, one line for each record."""
    lines = [
        json.dumps(
            {
                "database": record.database,
                "record": record.record,
                "patient": record.patient,
                "counts": record.beats.counts.tolist(),
                "members": [member.counts.tolist() for member in record.members],
            }
        )
        for record in records
    ]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def from_json(text: str) -> tuple[RecordCounts, ...]:
    """Read the counts that :func:`to_json` wrote."""
    return tuple(
        RecordCounts(
            *(row["database"], row["record"], row["patient"]),
            _beats(row["counts"]),
            tuple(_beats(member) for member in row["members"]),
        )
        for row in json.loads(text)
    )


def _beats(counts: list[list[int]]) -> BeatComparison:
    return BeatComparison(np.array(counts, dtype=np.int64))
