"""The model card, as Markdown that reads well unrendered.

First what a model is, learned from and must not be used for; then the sections that an examination adds.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from ectopy.evaluation.failures import Failure
from ectopy.evaluation.headline_metrics import SUBSET_TITLES
from ectopy.features.extraction import ALL_LEADS, CLUSTER, FEATURE_NAMES, MORPHOLOGY, TIMING

SHARED_PATIENT = (
    "202 is 201 of the training records in de Chazal's split; the rows without 202 are free of him."
)
PICTURES_FOLDER = "where-it-fails"
"""Folder of the strips among the artifacts of a run."""

GLANCE = """Detected beats, escape beats as N; 5 min learning period, 150 ms; gross figures in percent,
with 95 % intervals by bootstrap over patients."""
EVERYONE = """In the columns of all records, those learned from are called by the fold network that has not
seen the patient, the others by the ensemble."""
SHARED = """202 is the patient of 201, from whom was learned, and is called by the ensemble all the same."""
PACED = """EC57 leaves records with paced beats out: {paced}. QRS figures have them in, figures by class have
not; runs and AF with them in are given as other tools print them."""
RUNS = """Runs as EC57 and `rxr` have them: couplet 2, short run 3 to 5, long run 6 or more. F extends a
ventricular run, and VF counts as a long one; AF and flutter count as long supraventricular runs, and N in
them as S. Found: at least as long in the test, within 150 ms; confirmed: at least as long in the other.
The last rows are the held-out records by the map of EC57 and `rxr`, escape beats (e, j, n) as S."""
AF = """Seconds after the learning period, as `epicmp` counts, but flutter apart: EC57 has no item for
flutter, so wherever the reference says flutter the test's rhythm is silenced, and time called AF there
is neither right nor wrong. `epicmp` itself would count it as false; the table at a glance has that too."""
CONFIDENCE = """Beats after the learning period that match an annotated N, S or V. Expected calibration
error, 0 to 1, over 15 bins of equal width: of the likeliest class, and of each class against the rest."""
RISK = """Share of wrong labels among the most confident beats. The own threshold is where the model
abstains, which never changes a label: the beat keeps it and is marked as not confident."""
SHUTDOWN = """Time in which no lead could be read, marked as EC57's shutdown; beats after the learning
period lost in it, by their class, count as missed in every figure."""
SEEDS = """The members of the ensemble differ in their seed alone. Mean, standard deviation and range are
over members that examine the same records, with the same beats found."""
FAILS = """Records with most errors of each kind, and a strip of each around a typical error: the middle
one, in time, of the commonest confusion."""


def build_model_card(  # noqa: PLR0913 - every fact by its name
    *,
    model: str,
    data: str,
    records: Sequence[str],
    held_out: Sequence[str],
    left_out: Sequence[str],
    config: Mapping[str, object],
    out_of_fold: Mapping[str, float],
    calibration_error: float,
) -> str:
    """Write the card of a model before it is examined: data, recipe and out-of-fold figures."""
    settings = "\n".join(f"| {name} | {value} |" for name, value in config.items())
    return f"""# Model card: {model}

Classifies each heartbeat of an ECG as N (normal), S (supraventricular ectopic) or V (ventricular ectopic):
a GRU across beats, fed with timing and likeness relative to the patient. F (fusion) and Q are not modelled.

**Use.** Research, and a first pass that a reader confirms. Not a medical device; not the sole basis of a
diagnosis; not for alarms or life support. Not for paced rhythm, nor for children: it saw none.

**Data.** {data}: {", ".join(records)}.
Escape beats (e, j, n) count as N (de Chazal's map), F and Q are left out.

**Split.** By patient. Never learned from, examined on: {", ".join(held_out) or "none"}.
In neither: {", ".join(left_out) or "none"}. Choices were made by cross-validation in the training records.

**Features.** {len(FEATURE_NAMES)} numbers a beat, all relative to the patient:

{feature_list()}

## Out of fold, with detected beats

Patient-grouped cross-validation, a network a fold; EC57 (5 min learning period, 150 ms), de Chazal's map.
The recipe was chosen on these patients: the figures are optimistic.

{metrics_table({"training patients": out_of_fold})}

Expected calibration error out of fold: {calibration_error:.3f}, of single networks on the beats that the
temperature was fitted to: optimistic too.

## Recipe

| choice | value |
|---|---|
{settings}
"""


MEANINGS: Mapping[str, tuple[Sequence[str], str]] = MappingProxyType(
    {
        "timing": (
            TIMING,
            "RR intervals as logarithms of ratios to the patient's own, and how regular they are",
        ),
        "all leads": (
            ALL_LEADS,
            "likeness to the typical beat over all leads, in spreads of the patient's own beats",
        ),
        "kin": (CLUSTER, "how many beats have this shape, and whether these come early and pause after"),
        "each lead": (
            MORPHOLOGY,
            "shape, width, amplitude, P and T against the typical beat and the neighbours",
        ),
    }
)
"""Groups of features, their names and what they tell; those of each lead come once a lead."""


def feature_list() -> str:
    """List the features by group as Markdown; every one of FEATURE_NAMES is in it."""
    grouped = {name for names, _ in MEANINGS.values() for name in names}
    others = [name for name in FEATURE_NAMES if name.rpartition(": ")[2] not in grouped]
    lines = [f"* {group}: {meaning} ({', '.join(names)})" for group, (names, meaning) in MEANINGS.items()]
    return "\n".join([*lines, *([f"* others: {', '.join(others)}"] if others else [])])


def held_out_section(
    title: str, by_subset: Mapping[str, Mapping[str, float]], intervals: Mapping[str, Sequence[object]]
) -> str:
    """Write the section on held-out patients, one row a subset of records, and the intervals."""
    return f"""
## {title}

{metrics_table(by_subset)}
{SHARED_PATIENT if "without_202" in by_subset else ""}

95 % intervals of the gross figures, by bootstrap over patients:

{interval_rows(intervals)}
"""


def record_table(table: Mapping[str, Sequence[object]]) -> str:
    """Lay out counts and figures of each record as Markdown, with the map of the section before."""
    names = [name for name in _SHORT if name in table]
    columns = ["record", "reference n", "reference s", "reference v", *names]
    head = ["record", "N", "S", "V", *(_SHORT[name] for name in names)]
    rows = zip(*(table[name] for name in columns), strict=True)
    body = [["-" if value is None else str(value) for value in row] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *body]]
    return "\nBy record:\n\n" + "\n".join(lines) + "\n"


def interval_rows(table: Mapping[str, Sequence[object]]) -> str:
    """Lay out ``low - high`` of each gross figure as Markdown, one row a subset of records."""
    by_subset: dict[object, list[str]] = {}
    rows: Iterable[tuple[object, float, float]] = zip(
        table["records"], *(map(float, map(str, table[side])) for side in ("low", "high")), strict=True
    )
    for subset, low, high in rows:
        by_subset.setdefault(subset, []).append(f"{low:.1f} - {high:.1f}" if math.isfinite(low) else "-")
    names = list(dict.fromkeys(str(name) for name in table["figure"]))
    head = ["records", *(_SHORT.get(name, name) for name in names)]
    body = [[SUBSET_TITLES.get(str(subset), str(subset)), *spans] for subset, spans in by_subset.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *body])


_SHORT = {
    f"{beat}_{name}": f"{beat.upper()} {short}"
    for beat in ("qrs", "veb", "sveb")
    for name, short in (("sensitivity", "Se"), ("positive_predictivity", "+P"), ("f1", "F1"))
}


def metrics_table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Lay out QRS, VEB and SVEB figures, gross and record average, as Markdown."""
    lines = [
        "| records | | QRS Se / +P | VEB Se / +P / F1 | SVEB Se / +P / F1 |",
        "|---|---|---|---|---|",
    ]
    for name, told in rows.items():
        for kind in ("gross", "average"):
            beats = [
                _figures(told, kind, "qrs", ("sensitivity", "positive_predictivity")),
                _figures(told, kind, "veb", ("sensitivity", "positive_predictivity", "f1")),
                _figures(told, kind, "sveb", ("sensitivity", "positive_predictivity", "f1")),
            ]
            lines.append(f"| {SUBSET_TITLES.get(name, name)} | {kind} | {' | '.join(beats)} |")
    return "\n".join(lines)


def noise_table(by_noise: Mapping[int, Mapping[str, float]]) -> str:
    """Lay out gross QRS and VEB figures by signal-to-noise ratio as Markdown."""
    lines = [
        "| SNR (dB) | QRS Se / +P | VEB Se / +P / F1 | beats in unreadable time | QRS Se elsewhere |",
        "|---|---|---|---|---|",
    ]
    for level, told in by_noise.items():
        qrs = _figures(told, "gross", "qrs", ("sensitivity", "positive_predictivity"))
        veb = _figures(told, "gross", "veb", ("sensitivity", "positive_predictivity", "f1"))
        unreadable = _percent(told.get("gross/unreadable", math.nan), 1)
        elsewhere = _figures(told, "gross", "qrs", ("sensitivity_elsewhere",))
        lines.append(f"| {level} | {qrs} | {veb} | {unreadable} | {elsewhere} |")
    return "\n".join(lines)


def _figures(told: Mapping[str, float], kind: str, beat: str, names: Sequence[str]) -> str:
    digits = 2 if beat == "qrs" else 1
    return " / ".join(_percent(told.get(f"{kind}/{beat}_{name}", math.nan), digits) for name in names)


def _percent(value: float, digits: int) -> str:
    return f"{100 * value:.{digits}f}" if math.isfinite(value) else "-"


def markdown(table: Mapping[str, Sequence[object]]) -> str:
    """Lay a table by column out as Markdown, its columns aligned."""
    columns = [[name, *map(_cell, cells)] for name, cells in table.items()]
    widths = [max(map(len, column)) for column in columns]
    aligned = [
        [cell.ljust(width) if not k else cell.rjust(width) for cell in column]
        for k, (column, width) in enumerate(zip(columns, widths, strict=True))
    ]
    head, *rows = zip(*aligned, strict=True)
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def _cell(value: object) -> str:
    return "-" if value is None or value != value else str(value)  # noqa: PLR0124 - NaN is not itself


def section(title: str, *paragraphs: str) -> str:
    """Write a section of the card."""
    return "\n\n".join((f"\n## {title}", *paragraphs)) + "\n"


def failures_section(found: Sequence[Failure], pictures: str = "") -> str:
    """List where the model fails, with the pictures in a folder beside the card, if there is one."""
    if not found:
        return section("Where it fails", "No ectopic beat was missed or called falsely.")
    lines = [f"* {each.text}" + (f"\n  ![]({pictures}/{each.picture_file})" if pictures else "") for each in found]
    where = (
        () if pictures else (f"The strips are artifacts of the run that examined the model: `{PICTURES_FOLDER}/`.",)
    )
    return section("Where it fails", FAILS, "\n".join(lines), *where)
