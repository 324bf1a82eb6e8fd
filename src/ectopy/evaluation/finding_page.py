"""The page of an evaluation of findings, in Markdown."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from math import isfinite
from typing import NamedTuple

from ectopy.datasets.catalogue import find_database
from ectopy.evaluation.aggregate import Group, gross_intervals, gross_metrics
from ectopy.evaluation.finding_comparison import LONG_S, OUTSIDE_S, TOLERANCE_S
from ectopy.evaluation.finding_reference import BY_NAME, LABELS, RHYTHMS
from ectopy.evaluation.finding_summary import FEWEST, FREE, QUIET, FindingGroup, loud_of
from ectopy.evaluation.model_card import markdown
from ectopy.evaluation.record_findings import RecordFindings
from ectopy.evaluation.tables import run_table
from ectopy.rhythm.kinds import KINDS

PAGE = "findings-evaluation.md"
"""Name of the file of the page."""
_WORST = 15
"""Records in the table of those with the most false findings."""

INTRO = """\
# Evaluation of findings

This page was written by ectopy {version} with the model {model}:

```
{commands}
```

{windows}It tells how well ectopy finds what a reader must see, and how often it
reports what is not there. As far as we know, no other open project publishes its false findings per day.

## Protocol

* {unseen}
* On its training databases, networks of the fold without the patient stand for the model. They have its
  calibration. The same holds for the [rhythm network](explanation/rhythm.md).
* {records}
* An **episode** is found if an event that names its rhythm overlaps it. The table of
  [rhythms](#rhythms) has the kinds of events that name each.
* An event is **false** if it overlaps no episode of a rhythm that it may name, grown by {tolerance:g} s at
  both ends. In intervals that are marked as noise nothing is judged. An
  event that reaches into one is judged by its part outside, if this lasts {outside:g} s or more.
* **Malignant** rhythms are ventricular tachycardia, ventricular flutter or fibrillation, and asystole. In an
  episode of one of them, an event of another is a wrong name and not a false finding.
* A pause of 3 s or more counts for asystole. It does not name fibrillation, although its finding mentions it.
* The urgency is that of a finding of the event alone. Numbers per 24 h are per 24 h of recorded time.
* The whole record counts. Only the comparison by EC57 has a learning period of 5 minutes.
* The 95 % intervals are a percentile bootstrap over patients with 2,000 draws. Where no finding is false, the
  upper bound is the rule of three: 3 divided by the time. Below {fewest} patients no interval is shown.
{without}* Labels are those of the databases, with their errors. Short ventricular tachycardia in `vfdb`
  and beats in artefacts of `svdb` are not all labelled. So some false findings are true.
"""

_EC57 = """\
The same analyses, compared by ANSI/AAMI EC57: runs of beats, and episodes of atrial fibrillation without
flutter. Se is sensitivity and +P positive predictivity, in percent.
"""


class Line(NamedTuple):
    """A line of the first table: a metric of a group, and how to write it."""

    title: str
    group: str
    metric: str
    unit: str = "%"


GLANCE = (
    Line(f"malignant episodes of {LONG_S:g} s or more, named as malignant", "vfdb", "malignant/named_share"),
    Line("of these by the right name", "vfdb", "malignant/right_share"),
    Line("false malignant findings", "vfdb", "malignant/false_per_24h", "per h"),
    Line("false malignant findings in noise", "vfdb", "malignant/false_in_noise_per_24h", "per h"),
    Line("false VF findings", QUIET, "vf/false", "count"),
    Line("false asystole findings and pauses of 3 s or more", QUIET, "asystole/false", "count"),
    Line("false VT findings", QUIET, "vt/false", "count"),
    Line("5 s windows in VT or VF, named", "cudb", "windows/shockable_named_share"),
    Line("other 5 s windows, not named", "cudb", "windows/other_not_named_share"),
    Line("strips: F1 of AF against all others", "challenge-2017", "strips/af_f1"),
    Line("normal strips with a VEB", "challenge-2017", "strips/normal/with_veb_share"),
    Line(
        "normal strips with an urgent or important finding",
        "challenge-2017",
        "strips/normal/with_loud_finding_share",
    ),
    Line(
        "noisy strips with an urgent or important finding",
        "challenge-2017",
        "strips/noise/with_loud_finding_share",
    ),
    Line("AF and flutter time, Se", "mitdb", "af_time/sensitivity"),
    Line("AF and flutter time, +P", "mitdb", "af_time/positive_predictivity"),
    Line("AF burden, mean error", "mitdb", "af_time/error_h_per_day", "h a day"),
    Line("10 s strips in AF or flutter, called", "ludb", "strips/af/called_af_share"),
    Line("10 s strips in sinus rhythm, called", "ludb", "strips/normal/called_af_share"),
    Line("1 min strips in AF, called", "aftdb", "strips/af/called_af_share"),
    Line("records without AF, called", "afpdb", "strips/other/called_af_share"),
    Line("records that begin in AF, called", "afpdb", "strips/af/called_af_share"),
)
"""The figures that stand first."""


def build_page(  # noqa: PLR0913 - what the page states
    results: Sequence[RecordFindings],
    groups: Mapping[str, FindingGroup],
    *,
    model: str,
    commands: Sequence[str],
    held_out: bool,
    left_out: Sequence[str] = (),
) -> str:
    """Build the page: protocol, the main figures, and tables by database, urgency and rhythm.

    Parameters
    ----------
    results
        The evaluated records.
    groups
        The same by group.
    model
        Name of the model.
    commands
        The commands that repeat it.
    held_out
        Whether held-out records were evaluated.
    left_out
        Records that could not be evaluated.

    Returns
    -------
    The page in Markdown.
    """
    records = (
        "Of a database with training records, the held-out ones are evaluated."
        if held_out
        else "Of a database with training records, these are evaluated, and no held-out record was opened.\n"
        "  Of a database for tests alone, all records are."
    )
    names = [name for name in groups if name in LABELS]
    intro = INTRO.format(
        version=metadata.version("ectopy"),
        model=f"`{model}`",
        commands="\n".join(commands),
        windows=_WINDOWS if "cudb" in names else "",
        unseen=_unseen(names),
        records=records,
        tolerance=TOLERANCE_S,
        outside=OUTSIDE_S,
        fewest=FEWEST,
        without=_without_event(),
    )
    sections = [
        intro,
        "## At a glance",
        glance_table(groups),
        "## Episodes and false findings by rhythm",
        rhythm_table(groups),
        "## False findings by urgency",
        urgency_table(groups),
        "## The same by EC57",
        _EC57,
        *_ec57_tables(results),
        "## Records with the most false findings",
        worst_table(results),
        "## Rhythms",
        _definitions(),
        "## Data",
        _data(groups),
        *([f"Could not be evaluated: {', '.join(left_out)}."] if left_out else ()),
    ]
    return "\n\n".join(section.strip("\n") for section in sections) + "\n"


_WINDOWS = """\
The labels of `cudb` are those of `windows_5s.csv`. PhysioNet does not have this file: some mirrors add
it, with a third party's label of each 5 s. Copy it into the folder of the database.

"""
_NO_EVENT = "- (ectopy has no such event)"


def _unseen(names: Sequence[str]) -> str:
    """Return whether the networks may have seen a patient."""
    lines = ["No network has seen the patient, as far as the databases tell."]
    for database in map(find_database, names):
        if database.may_share:
            shared = ", ".join(f"`{name}`" for name in database.may_share)
            lines.append(
                f"The exception is `{database.name}`. Some of its records are of patients of {shared}, and "
                "it is not published which. A network may have seen them."
            )
    return textwrap.fill(" ".join(lines), 108, subsequent_indent="  ")


def _without_event() -> str:
    """Return which rhythms no event of ectopy names."""
    names = [rhythm.title for rhythm in RHYTHMS if not rhythm.has_event]
    text = (
        f"* ectopy has no event that names {', '.join(names)}. It misses all episodes, and none can be false."
    )
    return textwrap.fill(text, 110, subsequent_indent="  ") + "\n" if names else ""


def glance_table(groups: Mapping[str, FindingGroup]) -> str:
    """Return the table of the main figures, in Markdown."""
    rows = [
        (line.title, line.group, *_figure(groups[line.group], line.metric, line.unit))
        for line in GLANCE
        if line.group in groups
    ]
    return _table(("figure", "records", "value", "95 %"), rows)


def rhythm_table(groups: Mapping[str, FindingGroup]) -> str:
    """Return the table of episodes and false findings by database and rhythm, in Markdown."""
    rows = []
    for name, group in groups.items():
        for rhythm in RHYTHMS if name in LABELS else ():
            counts = {field: group.counts[f"{rhythm.name}/{field}"] for field in ("reference", "found")}
            days, false_shown = (
                group.counts[f"{rhythm.name}/days"],
                f"{group.counts[f'{rhythm.name}/false']:.0f}",
            )
            if days:
                share = " ".join(_figure(group, f"{rhythm.name}/found_share", "%")).strip()
                rate = " ".join(_figure(group, f"{rhythm.name}/false_per_24h", "per 24 h")).strip()
                shown = [f"{counts[field]:.0f}" for field in ("reference", "found")]
                if not rhythm.has_event:
                    shown, false_shown, rate = [shown[0], "-"], "-", _NO_EVENT
                rows.append((name, rhythm.title, f"{24 * days:.1f}", *shown, share, false_shown, rate))
    head = ("database", "rhythm", "hours", "episodes", "found", "%", "false", "false per 24 h")
    return _table(head, rows)


def urgency_table(groups: Mapping[str, FindingGroup]) -> str:
    """Return the table of false urgent and important findings, in Markdown."""
    rows = []
    for name, group in groups.items():
        if (name in LABELS or name.endswith(FREE)) and (days := group.counts["findings/days"]):
            rates = [
                " ".join(_figure(group, f"findings/false_{urgency}_per_24h", "per 24 h")).strip()
                for urgency in ("urgent", "important")
            ]
            rows.append((name, f"{len(group.results)}", f"{group.n_patients}", f"{24 * days:.1f}", *rates))
    head = ("records of", "records", "patients", "hours", "false urgent per 24 h", "false important per 24 h")
    return _table(head, rows)


def worst_table(results: Sequence[RecordFindings]) -> str:
    """Return the table of the records with the most false urgent and important findings, in Markdown."""
    worst = sorted((result for result in results if loud_of(result)), key=lambda each: -len(loud_of(each)))
    rows = []
    for result in worst[:_WORST]:
        kinds = [event.kind for event in loud_of(result)]
        named = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
        rows.append((result.reference.key, f"{len(kinds)}", named))
    return _table(("record", "false", "kinds"), rows) if rows else "None."


def _figure(group: FindingGroup, metric: str, unit: str) -> tuple[str, str]:
    """Return a value and its interval as text."""
    rhythm = BY_NAME.get(metric.partition("/")[0])
    if rhythm is not None and not rhythm.has_event:
        return _NO_EVENT, ""
    if unit == "count":
        hours = 24 * group.counts[f"{metric.partition('/')[0]}/days"]
        return f"{group.counts[metric]:.0f} in {hours:.1f} h", ""
    factor, digits = {"%": (100.0, 1), "per h": (1 / 24, 2), "per 24 h": (1.0, 1), "h a day": (1.0, 2)}[unit]
    value = group.metrics[metric]
    low, high = group.bounds.get(metric, (float("nan"), float("nan")))
    suffix = "" if unit == "per 24 h" else f" {unit}"
    if not isfinite(value):
        return "-", ""
    bounds = (
        f"({factor * low:.{digits}f} - {factor * high:.{digits}f})"
        if isfinite(low)
        else _few(group.n_patients)
    )
    return f"{factor * value:.{digits}f}{suffix}", bounds


def _few(n_patients: int) -> str:
    return f"(n = {n_patients})" if n_patients < FEWEST else ""


def _ec57_tables(results: Sequence[RecordFindings]) -> Iterator[str]:
    by_database: dict[str, list[RecordFindings]] = {}
    for result in results:
        if result.ec57:
            by_database.setdefault(result.reference.key.partition("/")[0], []).append(result)
    groups = []
    for name, records in by_database.items():
        pairs = [(record.reference.patient, record.ec57) for record in records if record.ec57]
        outcomes = [outcome for _, outcome in pairs]
        enough = len({patient for patient, _ in pairs}) >= FEWEST
        groups.append(Group(name, gross_metrics(outcomes), gross_intervals(pairs) if enough else {}))
    if not groups:
        yield "No database with labels of beats was evaluated."
        return
    yield markdown(run_table(groups))
    rows = [
        (
            group.title,
            *(f"{group.metrics[f'af_anywhere/{count}']:.0f}" for count in ("reference", "found", "test")),
            *(
                _share(group, f"af_anywhere/{what}_{side}")
                for what in ("episode", "duration")
                for side in _SIDES
            ),
        )
        for group in groups
        if "af" in LABELS[group.title].known
    ]
    head = ("records", "AF episodes", "found", "called", "Se", "+P", "Se of time", "+P of time")
    yield _table(head, rows) if rows else "No database with marks of atrial fibrillation was evaluated."


_SIDES = ("sensitivity", "positive_predictivity")


def _share(group: Group, metric: str) -> str:
    value = group.metrics[metric]
    low, high = group.intervals.get(metric, (float("nan"), float("nan")))
    bounds = f" ({100 * low:.1f} - {100 * high:.1f})" if isfinite(low) else ""
    return f"{100 * value:.1f}{bounds}" if isfinite(value) else "-"


def _definitions() -> str:
    rows = [
        (
            rhythm.title,
            ", ".join(f"`{mark}`" for mark in rhythm.marks),
            ", ".join(f"`{kind}`" for kind in rhythm.kinds if kind in KINDS) or "no event",
            ", ".join(f"`{kind}`" for kind in rhythm.also) or "-",
            ", ".join(rhythm.accepts) or "-",
            "yes" if rhythm.malignant else "no",
        )
        for rhythm in RHYTHMS
    ]
    head = ("rhythm", "marks", "named by", "also found by", "not false in", "malignant")
    text = (
        "Beats that are labelled state rhythms too. Three or more ventricular beats in a row above 100 bpm "
        "are ventricular tachycardia, and supraventricular ones supraventricular tachycardia. An interval of "
        "3 s or more between beats is a pause. With a mark of noise or artefact in it, it is uncertain: it "
        "need not be found, and a finding in it is not false."
    )
    return f"{textwrap.fill(text, 110)}\n\n{_table(head, rows)}"


def _data(groups: Mapping[str, FindingGroup]) -> str:
    lines = []
    for name in LABELS:
        if group := groups.get(name):
            database = find_database(name)
            hours = sum(result.reference.duration_s for result in group.results) / 3600
            lines.append(
                f"* `{name}` {database.version}, {database.title}: {len(group.results)} records, "
                f"{group.n_patients} patients, {hours:.1f} h."
            )
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return markdown({name: [row[k] for row in rows] for k, name in enumerate(head)})
