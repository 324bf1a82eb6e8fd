"""The text of the model card, as Markdown that is also readable as plain text.

It begins with what the model is, its training data and what it must not be used for. An evaluation adds
sections with the results.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from ectopy.evaluation.failures import Failure
from ectopy.evaluation.headline_metrics import SUBSET_TITLES
from ectopy.features.extraction import ALL_LEADS, CLUSTER, FEATURE_NAMES, MORPHOLOGY, TIMING
from ectopy.model.training_sources import SourceRecords

SHARED_PATIENT = (
    "In de Chazal's split, 202 is the same patient as 201 of the training records. "
    "The rows without 202 leave this patient out."
)
PICTURES_FOLDER = "where-it-fails"
"""Folder of the ECG strips among the artifacts of a run."""

GLANCE = """The metrics are for detected beats, with escape beats as N. They are gross, in percent, with a
learning period of 5 min and a match window of 150 ms. The 95 % intervals are a bootstrap over patients."""
EVERYONE = """In the columns of all records, the training records are evaluated with the network of the
cross-validation that has not seen the patient. The other records are evaluated with the ensemble."""
SHARED = (
    """202 is the same patient as 201, a training record. It is evaluated with the ensemble all the same."""
)
PACED = """EC57 leaves out records with paced beats: {paced}. Here QRS metrics include them, and metrics by
beat class do not. Runs and AF are also reported with them, because other tools include them."""
RUNS = """Runs are defined as in EC57 and `rxr`: a couplet has 2 beats, a short run 3 to 5, a long run 6 or
more. F extends a ventricular run, and VF counts as a long one. AF and flutter count as long supraventricular
runs, and N beats in them as S. A reference run is found if a run of the test is at least as long, within
150 ms. A run of the test is confirmed if a reference run is at least as long. The last rows are the held-out
records with the map of EC57 and `rxr`, which counts escape beats (e, j, n) as S."""
AF = """Seconds are counted after the learning period, as in `epicmp`. Flutter is left out, because EC57 has
no item for it. Where the reference has flutter, the rhythm of the test is cleared, so AF detected there is
neither right nor wrong. `epicmp` itself counts it as false. The table at a glance has that metric too."""
CONFIDENCE = """Only beats after the learning period that match an annotated N, S or V count. The expected
calibration error, 0 to 1, has 15 bins of equal width. It is given for the most likely class, and for each
class against the rest."""
RISK = """The error is the share of wrong labels among the most confident beats. Below its own threshold the
model abstains. This never changes a label: the beat keeps it and is marked as not confident."""
SHUTDOWN = """In unreadable time no lead can be analysed. It is marked as a shutdown, as in EC57. Beats after
the learning period that lie in it are listed by class. They count as missed in every metric."""
SEEDS = """The networks of the ensemble differ only in their random seed. Mean, standard deviation and range
are over the networks. All of them classify the same detected beats of the same records."""
PROMOTION = """The promotion gate compares the challenger with the champion on training patients, each by
networks that have not seen the patient. Metrics are in percent, differences in points. The 95 % intervals are
a bootstrap over patients, the same for both, and over networks. In rows without an interval only the metrics
of the champion's cross-validation are known, which were those of single networks before ectopy 0.3."""
FAILS = """For each kind, the records with the most errors, each with an ECG strip around a typical error.
The typical error is the middle one in time of the most common confusion."""


def build_model_card(
    *,
    model: str,
    sources: Sequence[SourceRecords],
    config: Mapping[str, object],
    out_of_fold: Mapping[str, float],
    calibration_error: float,
) -> str:
    """Return the card of a model before its evaluation: data, settings and out-of-fold metrics.

    Parameters
    ----------
    model
        Name of the model and its training run.
    sources
        The training databases with their records.
    config
        Settings of the training by name.
    out_of_fold
        Headline metrics of the cross-validation, as fractions.
    calibration_error
        Expected calibration error of the cross-validation, 0 to 1.

    Returns
    -------
    The card as Markdown.
    """
    chosen: Sequence[str] = config.get("features") or ()  # type: ignore[assignment] # names, by TrainConfig
    data = "\n".join(_data(source) for source in sources)
    settings = "\n".join(f"| {name} | {value} |" for name, value in config.items())
    return f"""# Model card: {model}

Classifies each heartbeat of an ECG as N (normal), S (supraventricular ectopic) or V (ventricular ectopic).
It is a network over the sequence of beats (architecture: {config.get("architecture", "gru")}). Its features
are RR intervals and beat morphology relative to the patient's own beats. F (fusion) and Q (unclassifiable)
are not modelled.

**Use.** Research, and a first analysis that a reader confirms. Not a medical device; not the sole basis of a
diagnosis; not for alarms or life support. Not for paced rhythm, nor for children: the training data have
neither.

**Data.** {len(sources)} {"databases" if len(sources) > 1 else "database"}, split by patient. F and Q are left
out. All values were chosen by cross-validation in the training records.

{data}

**Features.** {len(chosen or FEATURE_NAMES)} numbers per beat, all relative to the patient:

{_chosen_list(chosen) if chosen else feature_list()}

## Out of fold, with detected beats

Cross-validation grouped by patient; networks per fold: {config.get("fold_members", 1)}. EC57 with a learning
period of 5 min and a match window of 150 ms; de Chazal's map. The settings were chosen on these patients, so
the metrics are optimistic.

{metrics_table({"training patients": out_of_fold})}

The expected calibration error out of fold is {calibration_error:.3f}. It is optimistic too: it is that of
the networks of the folds on the beats to which the temperature was fitted.

## Recipe

| choice | value |
|---|---|
{settings}
"""


def _data(source: SourceRecords) -> str:
    database, escape = source.database, "S" if source.source.beat_map == "ec57" else "N"
    names = (
        ", ".join(records) or "none"
        for records in (source.training, database.held_out or source.held_out, source.left_out)
    )
    training, held_out, left_out = names
    return (
        f"* {database.title} ({database.name} {database.version}), weight {source.source.weight:g}, "
        f"escape beats (e, j, n) as {escape}: {training}.\n"
        f"  Held out: {held_out}.\n"
        f"  Used for neither: {left_out}."
    )


MEANINGS: Mapping[str, tuple[Iterable[str], str]] = MappingProxyType(
    {
        "timing": (
            TIMING,
            "RR intervals as logarithms of ratios to the patient's own, and how regular they are",
        ),
        "all leads": (
            ALL_LEADS,
            "similarity to the template beat over all leads, relative to the spread of the patient's beats",
        ),
        "similar beats": (
            CLUSTER,
            "how many beats have this morphology, how premature they are, and the pauses after them",
        ),
        "each lead": (
            MORPHOLOGY,
            "shape, width, amplitude, P and T compared with the template beat and the neighbouring beats",
        ),
    }
)
"""Groups of features, with their names and meaning; the last group exists once per lead."""


def feature_list() -> str:
    """Return all features by group, as a Markdown list."""
    grouped = {name for names, _ in MEANINGS.values() for name in names}
    others = [name for name in FEATURE_NAMES if name.rpartition(": ")[2] not in grouped]
    lines = [f"* {group}: {meaning} ({', '.join(names)})" for group, (names, meaning) in MEANINGS.items()]
    return "\n".join([*lines, *([f"* others: {', '.join(others)}"] if others else [])])


def _chosen_list(names: Sequence[str]) -> str:
    return "\n".join(f"* {name}" for name in names)


def held_out_section(
    title: str, by_subset: Mapping[str, Mapping[str, float]], intervals: Mapping[str, Sequence[object]]
) -> str:
    """Return the section on held-out patients.

    Parameters
    ----------
    title
        Title of the section.
    by_subset
        Headline metrics of each subset of the records, as fractions.
    intervals
        Table by column of :func:`ectopy.evaluation.headline_metrics.interval_table`, in percent.

    Returns
    -------
    Markdown with one table of metrics and one of their intervals.
    """
    return f"""
## {title}

{metrics_table(by_subset)}
{SHARED_PATIENT if "without_202" in by_subset else ""}

95 % confidence intervals of the gross metrics, by bootstrap over patients:

{interval_rows(intervals)}
"""


def record_table(table: Mapping[str, Sequence[object]]) -> str:
    """Return counts and metrics of each record as a Markdown table."""
    names = [name for name in _SHORT if name in table]
    columns = ["record", "reference n", "reference s", "reference v", *names]
    head = ["record", "N", "S", "V", *(_SHORT[name] for name in names)]
    rows = zip(*(table[name] for name in columns), strict=True)
    body = [["-" if value is None else str(value) for value in row] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *body]]
    return "\nBy record:\n\n" + "\n".join(lines) + "\n"


def interval_rows(table: Mapping[str, Sequence[object]]) -> str:
    """Return the intervals of the gross metrics as a Markdown table, one row per subset of records."""
    by_subset: dict[object, list[str]] = {}
    rows: Iterable[tuple[object, float, float]] = zip(
        table["records"], *(map(float, map(str, table[side])) for side in ("low", "high")), strict=True
    )
    for subset, low, high in rows:
        by_subset.setdefault(subset, []).append(f"{low:.1f} - {high:.1f}" if math.isfinite(low) else "-")
    names = list(dict.fromkeys(str(name) for name in table["figure"]))
    head = ["records", *(_SHORT.get(name, name) for name in names)]
    body = [
        [SUBSET_TITLES.get(str(subset), str(subset)), *intervals] for subset, intervals in by_subset.items()
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *body])


_SHORT = {
    f"{beat}_{name}": f"{beat.upper()} {short}"
    for beat in ("qrs", "veb", "sveb")
    for name, short in (("sensitivity", "Se"), ("positive_predictivity", "+P"), ("f1", "F1"))
}


def metrics_table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Return QRS, VEB and SVEB metrics, gross and average over records, as a Markdown table."""
    lines = [
        "| records | | QRS Se / +P | VEB Se / +P / F1 | SVEB Se / +P / F1 |",
        "|---|---|---|---|---|",
    ]
    for name, metrics in rows.items():
        for kind in ("gross", "average"):
            beats = [
                _cells(metrics, kind, "qrs", ("sensitivity", "positive_predictivity")),
                _cells(metrics, kind, "veb", ("sensitivity", "positive_predictivity", "f1")),
                _cells(metrics, kind, "sveb", ("sensitivity", "positive_predictivity", "f1")),
            ]
            lines.append(f"| {SUBSET_TITLES.get(name, name)} | {kind} | {' | '.join(beats)} |")
    return "\n".join(lines)


def noise_table(by_noise: Mapping[int, Mapping[str, float]]) -> str:
    """Return gross QRS and VEB metrics by signal-to-noise ratio as a Markdown table."""
    lines = [
        "| SNR (dB) | QRS Se / +P | VEB Se / +P / F1 | beats in unreadable time | QRS Se elsewhere |",
        "|---|---|---|---|---|",
    ]
    for level, metrics in by_noise.items():
        qrs = _cells(metrics, "gross", "qrs", ("sensitivity", "positive_predictivity"))
        veb = _cells(metrics, "gross", "veb", ("sensitivity", "positive_predictivity", "f1"))
        unreadable = _percent(metrics.get("gross/unreadable", math.nan), 1)
        elsewhere = _cells(metrics, "gross", "qrs", ("sensitivity_elsewhere",))
        lines.append(f"| {level} | {qrs} | {veb} | {unreadable} | {elsewhere} |")
    return "\n".join(lines)


def _cells(metrics: Mapping[str, float], kind: str, beat: str, names: Sequence[str]) -> str:
    digits = 2 if beat == "qrs" else 1
    return " / ".join(_percent(metrics.get(f"{kind}/{beat}_{name}", math.nan), digits) for name in names)


def _percent(value: float, digits: int) -> str:
    return f"{100 * value:.{digits}f}" if math.isfinite(value) else "-"


def markdown(table: Mapping[str, Sequence[object]]) -> str:
    """Return a table by column as Markdown with aligned columns."""
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
    """Return a section of the card from its title and paragraphs."""
    return "\n\n".join((f"\n## {title}", *paragraphs)) + "\n"


def failures_section(failures: Sequence[Failure], pictures: str = "") -> str:
    """Return the section on the records with the most errors.

    Parameters
    ----------
    failures
        The records with the most errors.
    pictures
        The folder of the pictures beside the card, or "" if they are only among the artifacts of the run.

    Returns
    -------
    Markdown.
    """
    if not failures:
        return section("Where it fails", "No ectopic beat was missed or falsely detected.")
    lines = [
        f"* {failure.text}" + (f"\n  ![]({pictures}/{failure.picture_file})" if pictures else "")
        for failure in failures
    ]
    place = f"The strips are artifacts of the run that evaluated the model: `{PICTURES_FOLDER}/`."
    return section("Where it fails", FAILS, "\n".join(lines), *(() if pictures else (place,)))
