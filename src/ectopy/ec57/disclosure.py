"""The tables that IEC 60601-2-47 asks a manufacturer to disclose, as one page of Markdown.

The standard takes its comparisons from ANSI/AAMI EC57. Its text may not be quoted; the headings are ours.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ectopy.ec57.classes import LEARNING_S, MATCH_WINDOW_S, BeatMap
from ectopy.ec57.records import RecordComparison
from ectopy.ec57.report import beat_rows, notes, other_rows
from ectopy.printable import printable

_NOT_IN_EC57 = "F1"
_COLUMNS = (
    "QRS, VEB and SVEB: sensitivity, positive predictivity and, of VEB, the false positive rate. "
    "RR ms: RMS error of RR intervals. shut s: time that the annotator under test called unreadable."
)
_NOT_MEASURED = (
    "Noise: compare annotations of the records of a noise stress database in the same way.",
    "Heart rate and its variability, beyond the errors of RR intervals above: not measured here.",
    "ST segments: ectopy has no ST analysis, and does not compare ST episodes.",
    "Pacemaker pulses: records with paced beats are left out of the summaries.",
    "Every database that the standard names and this page does not: not tested here.",
)


class Compared(NamedTuple):
    """What was compared: the database and both annotators, by name."""

    database: str
    reference_annotator: str
    annotator: str


def disclosure(records: Mapping[str, RecordComparison], compared: Compared, *, beat_map: BeatMap) -> str:
    """Return the tables to disclose: beats by record, runs, episodes, and what was not measured.

    Parameters
    ----------
    records
        Comparisons by record name.
    compared
        The database and the annotators.
    beat_map
        Class of escape beats, which the page names.

    Returns
    -------
    A page of Markdown. Records with paced beats have a row in the table of beats, and are in no sum or
    average and no table of runs and episodes, unless all records are paced.
    """
    records = {printable(name): record for name, record in records.items()}
    counted = {name: record for name, record in records.items() if not record.paced} or records
    database, reference, test = map(printable, compared)
    left_out = [name for name in records if name not in counted]
    return "\n".join(
        [
            "# Performance by IEC 60601-2-47 and ANSI/AAMI EC57",
            "",
            *_table(
                [
                    ("item", "value"),
                    ("database", database),
                    ("reference annotator", reference),
                    ("annotator under test", test),
                    ("records compared", f"{len(records)}: {' '.join(records)}"),
                    ("left out of the summaries, for paced beats", " ".join(left_out) or "none"),
                    ("learning period, not scored", f"{LEARNING_S:g} s"),
                    ("match window", f"{1000 * MATCH_WINDOW_S:g} ms"),
                ]
            ),
            "",
            "## Beats by record",
            "",
            _COLUMNS,
            "",
            *_table(_grouped([*beat_rows(records)[: len(records) + 1], *beat_rows(counted)[-2:]])),
            "",
            "## Runs and episodes",
            "",
            *_table(other_rows(counted)),
            "",
            "## Rules",
            "",
            *(f"* {note}" for note in notes(records, beat_map)),
            "",
            "## Not in these tables",
            "",
            *(f"* {item}" for item in _NOT_MEASURED),
            "",
        ]
    )


def database_of(folder: Path) -> str:
    """Return the name of the database in a folder, with its version if the folder is named by it."""
    named = folder.resolve()
    return f"{named.parent.name} {named.name}" if re.fullmatch(r"\d+(\.\d+)+", named.name) else named.name


def _grouped(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the table of beats without F1, each column named with its kind of beat: "VEB Se"."""
    kind, names = "", []
    for name in rows[0]:
        kind = name if name.endswith("EB") else kind
        names.append(f"{kind} {name}" if kind and name in {"Se", "+P", _NOT_IN_EC57, "FPR"} else name)
    kept = [index for index, name in enumerate(rows[0]) if name != _NOT_IN_EC57]
    return [tuple(row[index] for index in kept) for row in (tuple(names), *rows[1:])]


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the lines of a Markdown table; the first row is its header, the first column its names."""
    header, *body = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return [header, f"|---|{'---:|' * (len(rows[0]) - 1)}", *body]
