"""The results of a detector as a CSV file, from which a public table of several detectors can be built.

A file has a row for each metric of beats, gross and averaged, and of each record. The files of several
detectors can be joined: the columns are always the same.
"""

import csv
import io
from collections.abc import Mapping
from math import isfinite

import numpy as np

from ectopy.ec57.classes import BeatMap
from ectopy.ec57.records import RecordComparison
from ectopy.ec57.summary import average, compute_metrics, gross, intervals

RESULT_COLUMNS = {
    "detector": "name of the detector",
    "reference": "database of the reference and its annotator",
    "map": "class of escape beats: ec57 or dechazal",
    "records": "number of records that the row is of",
    "group": "gross, average, or the name of a record",
    "metric": "name of the metric, as in the JSON file",
    "value": "the metric as a fraction; empty where it is undefined",
    "low": "lower bound of the 95 % interval over patients, of gross metrics",
    "high": "upper bound of the 95 % interval over patients, of gross metrics",
}
"""Columns of the file, with their meaning."""


def results_csv(
    records: Mapping[str, RecordComparison],
    patients: Mapping[str, str],
    *,
    detector: str,
    reference: str,
    beat_map: BeatMap,
) -> str:
    """Return the metrics of beats of a detector as CSV.

    Parameters
    ----------
    records
        Comparisons by record name.
    patients
        The patient of each record.
    detector
        Name of the detector.
    reference
        Name of the reference.
    beat_map
        Class of escape beats.

    Returns
    -------
    The file, with a line of names first.
    """
    beats = [record.beats for record in records.values()]
    by_patient = [
        [record.beats for name, record in records.items() if patients[name] == patient]
        for patient in dict.fromkeys(patients[name] for name in records)
    ]
    bounds = intervals(by_patient, rng=np.random.default_rng(0))
    rows: list[tuple[object, ...]] = []
    for metric, value in compute_metrics(gross(beats)).items():
        rows.append((len(beats), "gross", metric, _text(value), *map(_text, bounds[metric])))
    rows += [
        (len(beats), "average", metric, _text(value), "", "") for metric, value in average(beats).items()
    ]
    rows += [
        (1, name, metric, _text(value), "", "")
        for name, record in records.items()
        for metric, value in compute_metrics(record.beats).items()
    ]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(RESULT_COLUMNS)
    writer.writerows((detector, reference, beat_map, *row) for row in rows)
    return file.getvalue()


def _text(value: float) -> str:
    return f"{value:.6f}" if isfinite(value) else ""
