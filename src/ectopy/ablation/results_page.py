"""The results page of an ablation study: tables in Markdown and one figure, over all seeds."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean, stdev
from types import MappingProxyType
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ectopy.ablation.compressed_variants import Variant
from ectopy.ablation.fold_runs import DISTANCES_BEATS
from ectopy.ablation.hypotheses import Hypothesis, check_hypotheses
from ectopy.ablation.trials import Architecture, Trial
from ectopy.features.extraction import FEATURE_NAMES
from ectopy.model.architectures import BLOCKS, CHOSEN, HEADS
from ectopy.model.network import TrainConfig

TITLES: Mapping[str, str] = MappingProxyType(
    {
        "simple-rnn": "simple RNN",
        "gru": "GRU",
        "lstm": "LSTM",
        "gru-attention": "GRU + attention",
        "transformer": "Transformer encoder",
        "no-recurrence": "no recurrence",
    }
)
F1 = ("gross/veb_f1", "gross/sveb_f1", "average/veb_f1", "average/sveb_f1")
_BOTH_F1 = (("VEB F1", "gross/veb_f1"), ("SVEB F1", "gross/sveb_f1"))
F1_HEADINGS = ("VEB F1", "SVEB F1", "VEB F1, record average", "SVEB F1, record average")
TRAINING_HEADINGS = (*F1_HEADINGS, "best epoch", "CPU s to best epoch", "CPU s in total")
SPEED_HEADINGS = ("100,000 beats, s", "512 beats, ms")
DISTANCES_SHOWN = (1, 8, 32, 64)

INTRO = """\
# Why a GRU

This page was written by `ectopy ablation --database {database} --out DIR`. All architectures were trained on
the same training records, with the same {n_folds} folds by patient, the same optimiser and {seeds} seed(s).
Each training had {epochs} epochs of the same number of beats. All metrics are out of fold, on detected
beats, by EC57 (escape beats as N). F1 is in percent, and gross unless stated otherwise. It is given as mean
± standard deviation over seeds, which is not the spread over patients. The test records were not used.

Each network reads {n_features} features of each beat. It has a dense layer of {dense_units} units for each
beat, a temporal layer that relates a beat to other beats, and a layer of logits. Recurrent layers are
bidirectional with {gru_units} units in each direction. Attention has {heads} heads: two look back, two look
ahead, and each attends less to beats further away (ALiBi). It is added to the GRU, or used in {blocks}
Transformer blocks as wide as both directions of the GRU. "No recurrence" is a dense layer for each beat
with as many weights as the GRU. Learning rate, loss and added noise were chosen for the GRU, which favours
it. Longer sequences came in smaller batches, so that each batch has the same number of beats.

* **best epoch**: the epoch with the lowest out-of-fold loss. **CPU s**: training time of one fold, up to the
  best epoch and in total. Compilation and the drawing of windows are not included; the latter takes equally
  long for all.
* **100,000 beats, 512 beats**: CPU time of ONNX Runtime on one thread, in chunks as in scoring. Recurrent
  layers are single ONNX nodes. Networks with attention were exported by the Keras exporter.
* **influence 8**: by how much the logits of a beat change when the beat 8 before it is replaced by a random
  one, relative to replacing the beat itself.
* **weights in int8** are stored in int8 with one scale per unit, and used as floats. **computed in int8** is
  the dynamic quantisation of ONNX Runtime. **pruned**: the smallest weights of all matrices are zero.
  **refined**: trained again after pruning, with half the epochs and half the learning rate.

![Loss by epoch, F1 by architecture and by sequence length, influence by distance](comparison.png)

## Hypotheses about GRUs

A difference counts if it is larger than its standard deviation over pairs of the same seed.
"""
"""The beginning of the page."""

Group = Sequence[Trial]
"""Trials of one architecture, one for each seed."""


def group_by_architecture(trials: Iterable[Trial]) -> dict[Architecture, list[Trial]]:
    """Return the trials of each architecture, in the order of the trials."""
    groups: dict[Architecture, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.architecture, []).append(trial)
    return groups


def by_kind(trials: Iterable[Trial], window_beats: int) -> dict[str, list[Trial]]:
    """Select the trials of one sequence length.

    Parameters
    ----------
    trials
        All trials.
    window_beats
        Sequence length in beats.

    Returns
    -------
    Trials by kind of architecture.
    """
    groups = group_by_architecture(trials).items()
    return {
        architecture.kind: group
        for architecture, group in groups
        if architecture.window_beats == window_beats
    }


def by_length(trials: Iterable[Trial], kind: str) -> dict[int, list[Trial]]:
    """Select the trials of one kind of architecture.

    Parameters
    ----------
    trials
        All trials.
    kind
        The kind of architecture.

    Returns
    -------
    Trials by sequence length in beats, the shortest first.
    """
    groups = group_by_architecture(trials).items()
    selected = {
        architecture.window_beats: group for architecture, group in groups if architecture.kind == kind
    }
    return dict(sorted(selected.items()))


def build_page(trials: Sequence[Trial], config: TrainConfig, *, database: str) -> str:
    """Build the page: method, hypotheses and all tables.

    Parameters
    ----------
    trials
        All trials.
    config
        The configuration that all trials share.
    database
        Name of the training database.

    Returns
    -------
    The page in Markdown.
    """
    kinds, lengths = by_kind(trials, config.window_beats), by_length(trials, CHOSEN)
    seeds = len({trial.seed for trial in trials})
    shared = {"n_features": len(FEATURE_NAMES), "blocks": BLOCKS, "heads": HEADS} | asdict(config)
    intro = INTRO.format(database=database, seeds=seeds, **shared)
    parts = [intro, hypothesis_table(check_hypotheses(kinds, lengths))]
    parts += [f"## Architectures, sequences of {config.window_beats} beats", kind_table(kinds)]
    if lengths:
        parts += [f"## Sequence lengths, {_title(CHOSEN)}", length_table(lengths)]
    for kind, group in kinds.items():
        if group[0].variants:
            parts += [f"## Compressed variants, {_title(kind)}", variant_table(group)]
    return "\n\n".join(parts) + "\n"


def hypothesis_table(hypotheses: Sequence[Hypothesis]) -> str:
    """Build the table of hypotheses."""
    rows = [[hypothesis.statement, hypothesis.measured, hypothesis.verdict] for hypothesis in hypotheses]
    return _table(("hypothesis", "measured", "verdict"), rows)


def kind_table(groups: Mapping[str, Group]) -> str:
    """Build the table with one row for each kind of architecture."""
    headings = ["network", "parameters", *TRAINING_HEADINGS, *SPEED_HEADINGS, *_influence_headings()]
    rows = [
        [
            _title(kind),
            f"{group[0].n_parameters:,}",
            *_training_cells(group),
            *_speed_cells([trial.exported for trial in group]),
            *_influence_cells(group),
        ]
        for kind, group in groups.items()
    ]
    return _table(headings, rows)


def length_table(groups: Mapping[int, Group]) -> str:
    """Build the table with one row for each sequence length."""
    headings = ["beats", *TRAINING_HEADINGS, *_influence_headings()]
    rows = [[str(n), *_training_cells(group), *_influence_cells(group)] for n, group in groups.items()]
    return _table(headings, rows)


def variant_table(group: Group) -> str:
    """Build the table with one row for each compressed variant, and the F1 that it loses."""
    headings = ["variant", "zeros", "bytes", "gzip", *SPEED_HEADINGS, *F1_HEADINGS[:2]]
    headings += ["VEB lost", "SVEB lost"]
    rows = []
    for number, first in enumerate(group[0].variants):
        variants = [trial.variants[number] for trial in group]
        lost = [
            _spread([100 * (t.metrics[name] - t.variants[number].metrics[name]) for t in group], signed=True)
            for name in F1[:2]
        ]
        f1 = [_percent([variant.metrics[name] for variant in variants]) for name in F1[:2]]
        rows.append(
            [
                first.name,
                f"{fmean(v.sparsity for v in variants):.0%}",
                f"{first.size.plain:,}",
                f"{first.size.zipped:,}",
                *_speed_cells(variants),
                *f1,
                *lost,
            ]
        )
    return _table(headings, rows)


def glance_columns(trials: Sequence[Trial]) -> dict[str, list[str]]:
    """Return the table for a terminal by column, with one row for each architecture and sequence length."""
    groups = group_by_architecture(trials)
    f1 = {
        title: [_percent([t.metrics[name] for t in g]) for g in groups.values()] for title, name in _BOTH_F1
    }
    return {
        "network": [f"{TITLES[each.kind]}, {each.window_beats} beats" for each in groups],
        **f1,
        "parameters": [f"{group[0].n_parameters:,}" for group in groups.values()],
        "best epoch": [_spread([trial.best_epoch for trial in group]) for group in groups.values()],
        "CPU s": [_spread([trial.training_s for trial in group]) for group in groups.values()],
    }


def verdict_counts(trials: Sequence[Trial], config: TrainConfig) -> list[str]:
    """Return how many hypotheses hold, as text for a terminal.

    Parameters
    ----------
    trials
        All trials.
    config
        The configuration that all trials share.

    Returns
    -------
    One line, or none if no hypothesis could be tested.
    """
    hypotheses = check_hypotheses(by_kind(trials, config.window_beats), by_length(trials, CHOSEN))
    verdicts = Counter(hypothesis.verdict for hypothesis in hypotheses).most_common()
    counts = ", ".join(f"{number} {verdict!r}" for verdict, number in verdicts)
    return [f"hypotheses about GRUs: {counts}"] if counts else []


def mean_f1(trials: Sequence[Trial], config: TrainConfig) -> dict[str, float]:
    """Return F1 of each architecture at the usual sequence length for MLflow.

    Parameters
    ----------
    trials
        All trials.
    config
        The configuration that all trials share.

    Returns
    -------
    The mean over seeds by name, such as ``veb_f1/gru``.
    """
    return {
        f"{metric.removeprefix('gross/')}/{kind}": fmean(trial.metrics[metric] for trial in group)
        for _, metric in _BOTH_F1
        for kind, group in by_kind(trials, config.window_beats).items()
    }


def trial_columns(trials: Sequence[Trial]) -> dict[str, list[object]]:
    """Return a table for MLflow by column, with one row for each trial."""
    getters: dict[str, Callable[[Trial], object]] = {
        "architecture": lambda t: t.architecture.kind,
        "window_beats": lambda t: t.architecture.window_beats,
        "seed": lambda t: t.seed,
        "parameters": lambda t: t.n_parameters,
        "best_epoch": lambda t: t.best_epoch,
        "best_s": lambda t: round(t.best_s, 2),
        "training_s": lambda t: round(t.training_s, 2),
        "export": lambda t: t.exported.name,
        "bytes": lambda t: t.exported.size.plain,
        "day_s": lambda t: round(t.exported.day_s, 4),
        "chunk_s": lambda t: round(t.exported.chunk_s, 6),
    }
    table = {name: [getter(trial) for trial in trials] for name, getter in getters.items()}
    for name in F1:
        values = [trial.metrics[name] for trial in trials]
        table[name] = [None if math.isnan(value) else round(100 * value, 2) for value in values]
    return table


def variant_columns(trial: Trial) -> dict[str, list[object]]:
    """Return a table for MLflow by column, with one row for each compressed variant of a trial."""
    rows = [
        {
            "form": variant.name,
            "zeros": round(variant.sparsity, 4),
            "bytes": variant.size.plain,
            "gzip": variant.size.zipped,
            "day_s": variant.day_s,
            "chunk_s": variant.chunk_s,
            **{name: variant.metrics[name] for name in F1},
        }
        for variant in trial.variants
    ]
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def draw_figure(trials: Sequence[Trial], config: TrainConfig) -> Figure:
    """Draw loss by epoch, F1 by architecture and by sequence length, and influence by distance.

    Parameters
    ----------
    trials
        All trials.
    config
        The configuration that all trials share.

    Returns
    -------
    The figure.
    """
    kinds, lengths = by_kind(trials, config.window_beats), by_length(trials, CHOSEN)
    figure = Figure(figsize=(11, 8), layout="constrained")
    axes = figure.subplots(2, 2)
    _draw_losses(axes[0, 0], kinds)
    _draw_f1(axes[0, 1], [_title(kind) for kind in kinds], list(kinds.values()))
    axes[0, 1].set(title=f"out of fold, sequences of {config.window_beats} beats")
    _draw_f1(axes[1, 0], [str(n) for n in lengths], list(lengths.values()))
    axes[1, 0].set(title=f"{_title(CHOSEN)} by sequence length", ylabel="beats")
    _draw_influence(axes[1, 1], kinds)
    figure.suptitle("Same training records, folds, optimiser and budget; detected beats; one mark per seed")
    return figure


def _draw_losses(axes: Axes, groups: Mapping[str, Group]) -> None:
    for kind, group in groups.items():
        mean = [fmean(losses) for losses in zip(*(trial.losses for trial in group), strict=True)]
        axes.plot(range(1, len(mean) + 1), mean, label=_title(kind))
    axes.set(title="out-of-fold loss", xlabel="epoch", yscale="log")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend(fontsize="small")


def _draw_f1(axes: Axes, names: Sequence[str], groups: Sequence[Group]) -> None:
    for metric, marker, colour in zip(F1, "ooxx", ("C0", "C1", "C0", "C1"), strict=True):
        summary, _, beat = metric.partition("/")
        points = [(100 * trial.metrics[metric], row) for row, group in enumerate(groups) for trial in group]
        label = f"{beat.removesuffix('_f1').upper()}, {summary}"
        axes.plot(*zip(*points, strict=True), marker, color=colour, label=label, alpha=0.7)
    axes.set(xlabel="F1 (%)")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(visible=True, alpha=0.3)
    low, high = axes.get_xlim()
    axes.set_xlim(left=low - 0.4 * (high - low))  # room for the legend, so that it covers no mark
    axes.legend(fontsize="small", loc="center left")


def _draw_influence(axes: Axes, groups: Mapping[str, Group]) -> None:
    for kind, group in groups.items():
        fields = zip(*(trial.receptive_field for trial in group), strict=True)
        mean = [100 * fmean(values) for values in fields]
        axes.plot(DISTANCES_BEATS[1:], [max(value, 1e-3) for value in mean[1:]], "o-", label=_title(kind))
    axes.set(title="influence of an earlier beat", xlabel="beats between", ylabel="% of the beat itself")
    ticks = DISTANCES_BEATS[1:]
    axes.set(xscale="log", yscale="log", xticks=ticks, xticklabels=[str(distance) for distance in ticks])
    axes.grid(visible=True, alpha=0.3)


def _title(kind: str) -> str:
    """Return the title of an architecture; one that is added has its name."""
    return TITLES.get(kind, kind)


def _training_cells(group: Group) -> list[str]:
    return [
        *(_percent([trial.metrics[name] for trial in group]) for name in F1),
        _spread([trial.best_epoch for trial in group]),
        _spread([trial.best_s for trial in group]),
        _spread([trial.training_s for trial in group]),
    ]


def _speed_cells(variants: Sequence[Variant]) -> list[str]:
    """Return the shortest times, because other work on the machine only makes them longer."""
    day_s, chunk_s = (min(times) for times in zip(*((v.day_s, v.chunk_s) for v in variants), strict=True))
    return [f"{day_s:.2f}", f"{1000 * chunk_s:.1f}"]


def _influence_headings() -> list[str]:
    return [f"influence {distance}" for distance in DISTANCES_SHOWN]


def _influence_cells(group: Group) -> list[str]:
    shown = [DISTANCES_BEATS.index(distance) for distance in DISTANCES_SHOWN]
    return [f"{100 * fmean(trial.receptive_field[index] for trial in group):.2g} %" for index in shown]


def _percent(fractions: Sequence[float]) -> str:
    return _spread([100 * fraction for fraction in fractions])


def _spread(values: Sequence[float], *, signed: bool = False) -> str:
    """Return mean ± standard deviation over seeds, or a single value alone."""
    sign = "+" if signed else ""
    if len(values) == 1:
        return f"{values[0]:{sign}.1f}"
    return f"{fmean(values):{sign}.1f} ± {stdev(values):.1f}"


def _table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
