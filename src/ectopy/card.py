"""The model card: what the model is, learned from and reaches, and what it must not be used for."""

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from ectopy.features import ALL_LEADS, FEATURE_NAMES, KIN, LIKENESS, TIMING

SUBSET_TITLES = {"all": "all records", "without_232": "without 232", "without_202": "without 202"}
SHARED_PATIENT = (
    "202 is 201 of the training records in de Chazal's split; the rows without 202 are free of him."
)


def model_card(  # noqa: PLR0913 - every fact by its name
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

{features_list()}

## Out of fold, with detected beats

Patient-grouped cross-validation, a network a fold; EC57 (5 min learning period, 150 ms), de Chazal's map.
The recipe was chosen on these patients: the figures are optimistic.

{figures_table({"training patients": out_of_fold})}

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
        "kin": (KIN, "how many beats have this shape, and whether these come early and pause after"),
        "each lead": (
            LIKENESS,
            "shape, width, amplitude, P and T against the typical beat and the neighbours",
        ),
    }
)
"""Groups of features, their names and what they tell; those of each lead come once a lead."""


def features_list() -> str:
    """List the features by group as Markdown; every one of FEATURE_NAMES is in it."""
    grouped = {name for names, _ in MEANINGS.values() for name in names}
    others = [name for name in FEATURE_NAMES if name.rpartition(": ")[2] not in grouped]
    lines = [f"* {group}: {meaning} ({', '.join(names)})" for group, (names, meaning) in MEANINGS.items()]
    return "\n".join([*lines, *([f"* others: {', '.join(others)}"] if others else [])])


def examination(
    title: str, by_subset: Mapping[str, Mapping[str, float]], intervals: Mapping[str, Sequence[object]]
) -> str:
    """Write the section on held-out patients, one row a subset of records, and the intervals."""
    return f"""
## {title}

{figures_table(by_subset)}
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


def figures_table(rows: Mapping[str, Mapping[str, float]]) -> str:
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
