"""Beats of public databases whose label is doubtful, as a data file of the package.

The file is ``doubtful_labels.csv`` beside this module, with the columns of :class:`DoubtfulLabel`. Nobody
corrects the databases: a doubtful label is left out of training, or its beat is scored as unclassifiable.
"""

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ectopy.ecg import Mask, Samples

FILE = Path(__file__).with_name("doubtful_labels.csv")
"""The list that ships with the package."""


class DoubtfulLabelsError(ValueError):
    """A list of doubtful labels that cannot be read."""


class DoubtfulLabel(NamedTuple):
    """An annotated beat, its class in the database, the class that seems right, and why.

    ``sample`` is on the record's own grid. ``suggested`` is empty where only the doubt is certain.
    """

    database: str
    record: str
    sample: int
    label: str
    suggested: str
    reason: str


@cache
def read_doubtful_labels(path: Path = FILE) -> Mapping[tuple[str, str], tuple[DoubtfulLabel, ...]]:
    """Read a list of doubtful labels.

    Parameters
    ----------
    path
        The CSV file; a missing one is an empty list.

    Returns
    -------
    The doubtful labels by database and record.

    Raises
    ------
    DoubtfulLabelsError
        If the columns are others, or a sample is not a whole number.
    """
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != DoubtfulLabel._fields:
            raise DoubtfulLabelsError(
                f"{path}: the columns are not {','.join(DoubtfulLabel._fields)}. "
                "Name them so in the first line."
            )
        found: dict[tuple[str, str], list[DoubtfulLabel]] = {}
        for row in reader:
            sample = _whole_number(row.pop("sample"), path, reader.line_num)
            label = DoubtfulLabel(sample=sample, **row)
            found.setdefault((label.database, label.record), []).append(label)
    return {record: tuple(labels) for record, labels in found.items()}


def _whole_number(text: str, path: Path, line: int) -> int:
    if not (text or "").isdecimal():
        raise DoubtfulLabelsError(f"{path}: line {line}: sample {text!r} is not a whole number. Correct it.")
    return int(text)


def doubtful_samples(database: str, record: str, path: Path = FILE) -> Samples:
    """Return the samples of the beats of a record whose label is doubtful.

    Parameters
    ----------
    database
        Name of the database.
    record
        Name of the record.
    path
        The list of doubtful labels.

    Returns
    -------
    Samples [n] on the record's own grid, in order of time.
    """
    labels = read_doubtful_labels(path).get((database, record), ())
    return np.array(sorted(label.sample for label in labels), dtype=np.int64)


def is_near(sample: Samples, others: Samples, tolerance: int) -> Mask:
    """Return which samples have another one nearby, such as which beats have a doubtful label.

    Parameters
    ----------
    sample
        Samples [n].
    others
        The other samples [k], in order of time.
    tolerance
        Largest distance in samples.

    Returns
    -------
    Mask [n].
    """
    first = np.searchsorted(others, sample - tolerance)
    return np.asarray(first < np.searchsorted(others, sample + tolerance, side="right"))
