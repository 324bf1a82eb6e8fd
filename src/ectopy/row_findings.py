"""Read the findings of a row of ``summary.csv``, in which they are one text."""

from collections.abc import Mapping


def findings_of(row: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the findings of a row.

    Parameters
    ----------
    row
        A row of ``summary.csv``; ``findings`` is such as ``urgent: ventricular tachycardia; note: a pause``.

    Returns
    -------
    (urgency, text) of each, the most urgent first, as they were written.
    """
    parts = (finding.partition(": ") for finding in str(row.get("findings") or "").split("; "))
    return [(urgency, text) for urgency, _, text in parts if text]
