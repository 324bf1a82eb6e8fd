"""The page of an evaluation across databases: tables in Markdown, and a figure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from matplotlib.figure import Figure

from ectopy.datasets.doubtful_labels import doubtful_samples
from ectopy.ec57.reference import DETECTED, GIVEN
from ectopy.evaluation.cross_database import VIEWS, WITHOUT_DOUBTFUL, CrossTest, Summary, summarise
from ectopy.evaluation.headline_metrics import HEADLINE, metrics_by_record
from ectopy.evaluation.model_card import markdown, record_table
from ectopy.model.network import TrainConfig
from ectopy.model.training_sources import SourceRecords, TrainingSource

PAGE, FIGURE, RECORDS = "cross-database.md", "cross-database.png", "cross-database-records.json"
"""Names of the files of the page."""

INTRO = """\
# Cross-database evaluation

This page was written by

```
ectopy ingest --all-training
{command}
```

It tells how well ectopy classifies heartbeats of patients whom no network has seen, and of whole databases
that no network has seen. Beats are found by ectopy itself. As far as we know, nobody else has
published such a table: detected beats, both ectopic classes, intervals by patient, and every record. Please
compare with it, and repeat it.

A database is not a hospital. Several may come from one institute, with the same recorders and annotators, and
this page does not show how ectopy does elsewhere.

## Protocol

* **out of fold**: all databases are pooled and split into {n_folds} folds by patient. Each patient is
  analysed by networks that were trained on the other folds.
* **without a database**: the networks were trained on the other databases alone. Patients that are in both
  are left out of the training.
{labels}
* Each test has {networks} networks, which differ in their random seed. They form an ensemble, whose metrics
  are in bold type. The metrics of **single networks** are mean ± standard deviation over seeds.
* Beats are compared by ANSI/AAMI EC57, with a learning period of 5 minutes and a match window of 150 ms.
  **Gross** metrics weigh every beat the same, and **record average** every record. Both are in percent.
* The 95 % intervals are a percentile bootstrap over patients with 2,000 draws. They do not contain the spread
  over seeds.
* F1 is the harmonic mean of sensitivity (Se) and positive predictivity (+P). EC57 does not have it.
* VEB are V and E, SVEB are A, a, J and S. De Chazal's map, which most papers use, counts escape beats
  (e, j, n) as N, and EC57's map counts them as SVEB.
* No record that is held out was opened. Results on DS2 of MIT-BIH are in the [model card](model-card.md), and
  [each access is listed](ds2-openings.md).
* The recipe was chosen by tests like these, on the same patients. Both tests are therefore optimistic.
"""
"""The beginning of the page."""

LABELS = {
    False: """\
* Out of fold, training leaves out [doubtful labels](doubtful-labels.md). They were found with the help of
  networks that had learned from the tested patients, which may favour ectopy. **Without a database**,
  training uses all labels, so that nothing about the tested database reaches it.""",
    True: "* Training uses all labels, also [doubtful ones](doubtful-labels.md).",
}
"""What the page says of the labels of the training, by whether the recipe uses doubtful ones."""

OTHERS = """\
## Others on the same database

The figures of others are those that they report for `svdb` when they have not trained on it. They have one
lead, and records, learning period and rules of comparison may differ from ours. Ours are for {n_records}
training records of `svdb`; the others are held out. So only large differences mean something.

* WSDL-AD: Liu et al. 2022, [Front Physiol 13:850951](https://doi.org/10.3389/fphys.2022.850951). Trained on
  five data sets with one label for each recording.
* Kraft & Rumm 2026, [PMC12845891](https://pmc.ncbi.nlm.nih.gov/articles/PMC12845891/). Atrial premature
  beats.
"""
_PUBLISHED = (
    ("WSDL-AD", "five other data sets", "given", "one", "78.5", "51.6"),
    ("Kraft & Rumm", "Icentia11k, in-house data", "detected", "one", "-", "72"),
)
"""Figures of others on svdb: work, training data, R peaks, leads, VEB F1, SVEB F1."""
_OTHERS_ON = "svdb"

DOUBTFUL = """\
Beats with a doubtful label are counted as unclassifiable (Q). They still count for the detection of beats,
but not as VEB or SVEB. [The list](doubtful-labels.md) has {n} beats of these records. It was made with
networks like these, which had not seen the patient, and with rules of timing and shape. So these rows favour
ectopy: do not compare them with other programs.
"""
_TITLES = {
    f"{beat}_{metric}": f"{beat.upper()} {short}"
    for beat in ("qrs", "veb", "sveb")
    for metric, short in (("sensitivity", "Se"), ("positive_predictivity", "+P"), ("f1", "F1"))
}


def build_page(tests: Sequence[CrossTest], sources: Sequence[SourceRecords], config: TrainConfig) -> str:
    """Build the page: protocol, tables of all metrics and records, data and recipe.

    Parameters
    ----------
    tests
        The tests.
    sources
        The databases.
    config
        The choices of all trainings.

    Returns
    -------
    The page in Markdown.
    """
    parts = [part for test in tests for part in test.parts()]
    summaries = {view: [summarise(part, view) for part in parts] for view in VIEWS}
    networks = {len(each.members) for test in tests for each in test.evaluations.values()}
    command = _command([source.source for source in sources], config)
    labels = LABELS[config.use_doubtful_labels]
    intro = INTRO.format(command=command, n_folds=config.n_folds, networks=max(networks), labels=labels)
    sections = [intro, "## At a glance", _glance(parts, summaries[DETECTED]), f"![F1 of each test]({FIGURE})"]
    if any(part.tested == (_OTHERS_ON,) for part in parts):
        sections.append(_others(parts, summaries))
    for view, title in VIEWS.items():
        sections.append(f"## {title}")
        if view == WITHOUT_DOUBTFUL:
            sections.append(DOUBTFUL.format(n=_count_doubtful(tests)))
        sections.append(_all_metrics(parts, summaries[view]))
    for test in tests:
        sections += [f"## Records, {test.name}", record_table(metrics_by_record(test.beats(DETECTED)))]
    sections += ["## Data", *map(_data, sources), "## Recipe", _recipe(config)]
    return "\n\n".join(section.strip("\n") for section in sections) + "\n"


def glance_columns(tests: Sequence[CrossTest]) -> dict[str, list[str]]:
    """Return the table for a terminal by column, with one row for each test and each database in it."""
    parts = [part for test in tests for part in test.parts()]
    summaries = [summarise(part, DETECTED) for part in parts]
    return {
        "test": [part.name for part in parts],
        "on": [part.tested[0] if len(part.tested) == 1 else "all" for part in parts],
        "records": [str(len(part.evaluations)) for part in parts],
        **{
            _TITLES[name]: [_percent(name, summary.gross[name]) for summary in summaries]
            for name in ("qrs_sensitivity", "qrs_positive_predictivity")
        },
        **{
            _TITLES[name]: [_gross(summary, name).replace("*", "") for summary in summaries]
            for name in ("veb_f1", "sveb_f1")
        },
    }


def _command(sources: Sequence[TrainingSource], config: TrainConfig) -> str:
    """Return the command that repeats the evaluation, with all choices that differ from the defaults."""
    databases = [f"--database {source.database}={source.weight:g}" for source in sources]
    given, usual = asdict(config), asdict(TrainConfig())
    changes = [
        f"--set {name}={','.join(map(str, value)) if isinstance(value, tuple) else value}"
        for name, value in given.items()
        if value != usual[name] and name not in {"members", "fold_members"}
    ]
    return " ".join(["ectopy cross-database", *databases, f"--seeds {config.members}", "--out DIR", *changes])


def _glance(parts: Sequence[CrossTest], summaries: Sequence[Summary]) -> str:
    shown = ("qrs_sensitivity", "qrs_positive_predictivity", "veb_f1", "sveb_f1")
    return markdown(
        {
            **_names(parts),
            "records": [len(part.evaluations) for part in parts],
            "patients": [part.n_patients for part in parts],
            **{_TITLES[name]: [_gross(summary, name) for summary in summaries] for name in shown},
        }
    )


def _names(parts: Sequence[CrossTest]) -> dict[str, list[str]]:
    return {
        "test": [part.name for part in parts],
        "trained on": [" + ".join(part.training) for part in parts],
        "tested on": [" + ".join(part.tested) for part in parts],
    }


def _all_metrics(parts: Sequence[CrossTest], summaries: Sequence[Summary]) -> str:
    """Return a table with up to three rows for each part: gross, single networks, record average."""
    rows: list[list[str]] = []
    for part, summary in zip(parts, summaries, strict=True):
        where = [part.name, " + ".join(part.tested)]
        rows.append([*where, "gross", *(_gross(summary, name) for name in HEADLINE)])
        if summary.seeds:
            rows.append([*where, "single networks", *(_seeds(summary, name) for name in HEADLINE)])
        averages = (_percent(name, summary.average[name]) for name in HEADLINE)
        rows.append([*where, "record average", *averages])
    head = ["test", "tested on", "", *(_TITLES[name] for name in HEADLINE)]
    return markdown(dict(zip(head, map(list, zip(*rows, strict=True)), strict=True)))


def _gross(summary: Summary, name: str) -> str:
    low, high = (_percent(name, side[name]) for side in (summary.low, summary.high))
    return f"**{_percent(name, summary.gross[name])}** ({low} - {high})"


def _seeds(summary: Summary, name: str) -> str:
    if name not in summary.seeds:
        return "-"
    return f"{_percent(name, summary.seeds[name].mean)} ± {_percent(name, summary.seeds[name].sd)}"


def _percent(name: str, value: float) -> str:
    digits = 2 if name.startswith("qrs") else 1
    return f"{100 * value:.{digits}f}" if math.isfinite(value) else "-"


def _others(parts: Sequence[CrossTest], summaries: Mapping[str, Sequence[Summary]]) -> str:
    rows: list[tuple[str, ...]] = list(_PUBLISHED)
    numbers = [number for number, part in enumerate(parts) if part.tested == (_OTHERS_ON,)]
    for number in numbers:
        part = parts[number]
        data = " + ".join(part.training) + (f", {part.name}" if _OTHERS_ON in part.training else "")
        for view, peaks in ((DETECTED, "detected"), (GIVEN, "given")):
            scores = (_percent(name, summaries[view][number].gross[name]) for name in ("veb_f1", "sveb_f1"))
            rows.append(("**ectopy**", data, peaks, "two", *scores))
    head = ("work", "trained on", "R peaks", "leads", "VEB F1", "SVEB F1")
    table = markdown(dict(zip(head, map(list, zip(*rows, strict=True)), strict=True)))
    return OTHERS.format(n_records=len(parts[numbers[0]].evaluations)) + "\n" + table


def _count_doubtful(tests: Iterable[CrossTest]) -> int:
    keys = {key for test in tests for key in test.evaluations}
    return sum(len(doubtful_samples(key.partition("/")[0], key.partition("/")[2])) for key in keys)


def _data(source: SourceRecords) -> str:
    database = source.database
    patients = {record.patient for record in source.labelled(use_doubtful=True)}
    cite = f" {database.citation}" if database.citation else ""
    doi = f" [doi:{database.doi}](https://doi.org/{database.doi})." if database.doi else ""
    return "\n".join(
        [
            f"### {database.title}",
            "",
            f"`{database.name}` {database.version}, {database.license}.{cite}{doi}",
            "",
            f"* Records: {len(source.training)}, patients: {len(patients)}. {', '.join(source.training)}.",
            f"* Held out and not read here: {', '.join(database.held_out or source.held_out) or 'none'}.",
            f"* Used for neither: {', '.join(source.left_out) or 'none'}.",
            f"* In training: weight {source.source.weight:g}, label map `{source.source.beat_map}`.",
            f"* SHA-256 of headers, signals and annotations of the records: `{source.digest()}`.",
        ]
    )


def _recipe(config: TrainConfig) -> str:
    choices: dict[str, object] = asdict(config)
    if not config.use_doubtful_labels:
        choices["use_doubtful_labels"] = "False, but True without a database"
    rows = "\n".join(f"| {name} | {value} |" for name, value in choices.items())
    return f"| choice | value |\n|---|---|\n{rows}"


def draw_figure(tests: Sequence[CrossTest]) -> Figure:
    """Draw F1 of VEB and SVEB of each test: the ensemble with its interval, and single networks.

    Parameters
    ----------
    tests
        The tests.

    Returns
    -------
    The plot.
    """
    parts = [part for test in tests for part in test.parts()]
    summaries = [summarise(part, DETECTED) for part in parts]
    figure = Figure(figsize=(8, 1.2 + 0.45 * len(parts)), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2, sharey=True), ("veb_f1", "sveb_f1"), strict=True):
        for row, summary in enumerate(summaries):
            bounds = [100 * summary.low[name], 100 * summary.high[name]]
            axes.plot(bounds, [row, row], color="tab:blue", linewidth=2)
            axes.plot(100 * summary.gross[name], row, "o", color="tab:blue")
            if name in summary.seeds:
                ends = [100 * summary.seeds[name].low, 100 * summary.seeds[name].high]
                axes.plot(ends, [row + 0.25] * 2, "|-", color="tab:grey")
        axes.set(title=_TITLES[name], xlabel="%")
        axes.grid(axis="x", alpha=0.3)
    titles = [f"{part.name}\non {' + '.join(part.tested)}" for part in parts]
    axes = figure.axes[0]
    axes.set_yticks(range(len(parts)), titles)
    axes.invert_yaxis()
    figure.suptitle("F1 with 95 % interval by patient; below it, the range of single networks", fontsize=10)
    return figure
