"""Two annotators side by side: the metrics of each, their difference, and its interval over patients.

Both have the same drawn patients, so what is hard about one cancels out. See :mod:`ectopy.ec57.paired`.
"""

from collections.abc import Mapping
from math import isfinite

from ectopy.ec57.beats import BEAT_METRICS, QRS_F1
from ectopy.ec57.paired import ComparedMetrics, Difference, RecordPair, average_of, compare_pairs, gross_of
from ectopy.ec57.records import RecordComparison
from ectopy.ec57.report import align

_METRICS = {
    "QRS Se": BEAT_METRICS["qrs_sensitivity"],
    "QRS +P": BEAT_METRICS["qrs_positive_predictivity"],
    "QRS F1": QRS_F1,
    "VEB Se": BEAT_METRICS["veb_sensitivity"],
    "VEB +P": BEAT_METRICS["veb_positive_predictivity"],
    "VEB F1": BEAT_METRICS["veb_f1"],
    "SVEB Se": BEAT_METRICS["sveb_sensitivity"],
    "SVEB +P": BEAT_METRICS["sveb_positive_predictivity"],
    "SVEB F1": BEAT_METRICS["sveb_f1"],
}
SIDE_BY_SIDE: ComparedMetrics = {
    f"{kind} {name}": (summary, metric)
    for kind, summary in (("gross", gross_of), ("average", average_of))
    for name, metric in _METRICS.items()
}
"""What two annotators are compared by: metrics of beats, gross and averaged over records."""


def compare_annotators(
    first: Mapping[str, RecordComparison],
    second: Mapping[str, RecordComparison],
    patients: Mapping[str, str],
) -> dict[str, Difference]:
    """Compare two annotators on the records that both have.

    Parameters
    ----------
    first, second
        The comparison of each with the reference, by record name.
    patients
        The patient of each record.

    Returns
    -------
    Both values of each metric, with the 95 % interval of ``second - first`` over patients.
    """
    pairs = [
        RecordPair(patients[name], name, first[name].beats, second[name].beats)
        for name in first
        if name in second
    ]
    return compare_pairs(pairs, compared=SIDE_BY_SIDE)


def side_by_side(differences: Mapping[str, Difference], names: tuple[str, str]) -> str:
    """Return a table of two annotators in percent, with the difference in percentage points.

    Parameters
    ----------
    differences
        As :func:`compare_annotators` returns them.
    names
        Names of the two annotators.

    Returns
    -------
    Lines of text.
    """
    rows: list[tuple[str, ...]] = [("", *names, "difference", "95 %")]
    for name, difference in differences.items():
        low, high = (f"{100 * bound:+.2f}" if isfinite(bound) else "-" for bound in difference[2:])
        values = [_percent(value) for value in difference[:2]]
        rows.append((name, *values, _percent(difference.value, "+"), f"{low} to {high}"))
    note = (
        "In %, the difference in points. Interval: paired bootstrap over records; those that are known\n"
        "to be of one patient are drawn together."
    )
    return f"{align(rows)}\n\n{note}"


def _percent(value: float, sign: str = "") -> str:
    return f"{100 * value:{sign}.2f}" if isfinite(value) else "-"
