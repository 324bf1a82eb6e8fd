"""How results say whether a reader has confirmed them, in tables, on pages and in reports."""

from typing import Final

AUTOMATIC: Final = "automatic"
"""State of results that nobody has reviewed."""
IN_REVIEW: Final = "in review"


def confirmed_by(by: str, at: str) -> str:
    """Return who confirmed results, and on which day.

    Parameters
    ----------
    by
        Initials of the reader.
    at
        The time in UTC, ISO 8601.

    Returns
    -------
    For example ``confirmed by AB on 2026-11-01``.
    """
    return f"confirmed by {by} on {at[:10]}"
