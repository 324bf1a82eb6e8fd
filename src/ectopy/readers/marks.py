"""Marks of a patient from files and diaries: cleaned, in order of time, within the recording."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ectopy.ecg import Mark, Recording
from ectopy.printable import printable

MOST_MARKS = 1000
"""More annotations than this are no marks of a patient but labels of a program."""
MOST_CHARACTERS = 100
"""Length of the text of a mark; the rest is left out."""

Moment = tuple[float, str]
"""Time in seconds from the start of the recording, and text."""


def add_marks(recording: Recording, moments: Sequence[Moment], origin: str) -> Recording:
    """Add marks to a recording; a note says how many are left out.

    Parameters
    ----------
    recording
        The recording.
    moments
        Times and texts, in any order.
    origin
        Where they come from, for the note: ``diary``.

    Returns
    -------
    The recording with all its marks in order of time.
    """
    if len(moments) > MOST_MARKS:
        note = f"the {origin} has more than {MOST_MARKS} marks, too many for those of a patient: none is read"
        return replace(recording, notes=(*recording.notes, note))
    inside = [moment for moment in moments if 0 <= moment[0] <= recording.duration_s]
    marks = {(mark.time_s, mark.text): mark for mark in (*recording.marks, *_cleaned(inside))}
    n_outside = len(moments) - len(inside)
    number = "1 mark is" if n_outside == 1 else f"{n_outside} marks are"
    note = f"{number} left out: not within the recording, by the {origin}"
    return replace(
        recording,
        marks=tuple(marks[key] for key in sorted(marks)),
        notes=(*recording.notes, note) if n_outside else recording.notes,
    )


def _cleaned(moments: Iterable[Moment]) -> Iterable[Mark]:
    """Return marks whose texts are one short line each."""
    return (Mark(float(time_s), clean_text(text)) for time_s, text in moments)


def clean_text(text: str) -> str:
    """Return the text of a mark as one printable line of at most MOST_CHARACTERS."""
    line = printable(" ".join(text[: 4 * MOST_CHARACTERS].split()))
    return line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 3]}..."
