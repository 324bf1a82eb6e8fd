"""A comparison of networks as tables in Markdown and one figure, each row over all its seeds."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean, stdev
from types import MappingProxyType
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ectopy.ablation.architectures import BLOCKS, CHOSEN, HEADS
from ectopy.ablation.compressed_variants import Variant
from ectopy.ablation.fold_runs import DISTANCES
from ectopy.ablation.hypotheses import Hypothesis, hypotheses
from ectopy.ablation.trials import Architecture, Trial
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
F1_HEADINGS = ("VEB F1", "SVEB F1", "VEB F1, record average", "SVEB F1, record average")
LEARNED_HEADINGS = (*F1_HEADINGS, "best epoch", "CPU s to it", "CPU s in all")
SPEED_HEADINGS = ("100,000 beats, s", "512 beats, ms")
REACH_SHOWN = (1, 8, 32, 64)

INTRO = """\
# Why a GRU

Made by `ectopy compare --database {database} --out DIR`. Every kind of network had the same lessons of the
training records, the same {n_folds} folds by patient, {epochs} epochs of as many beats, the same optimiser
and {seeds} seed(s). All figures are out of fold, of detected beats, by EC57 (escape beats as N), F1 in
percent: gross where nothing else is said; mean ± standard deviation over seeds, which is not the spread
over patients. Nothing here has seen the examination set.

Each has a dense layer of {dense_units} units a beat, then what relates a beat to others, then logits. What
is recurrent reads both ways with {gru_units} units each. Attention has {heads} heads, two that look back
and two ahead, each the less the further (ALiBi); it is added to the GRU, or makes {blocks} blocks as wide
as both directions of it. "No recurrence" is a dense layer a beat with as many weights as the GRU has.
Learning rate, loss and disturbances were chosen for the GRU, which favours it; longer sequences came in
smaller batches, so that a step is as many beats.

* **best epoch**: of least loss out of fold. **CPU s**: of one fold's training up to it and in all, without
  compiling and without drawing the windows, which takes as long for all.
* **100,000 beats, 512 beats**: ONNX Runtime, one thread, CPU time, in chunks as scoring reads; recurrence
  as ONNX's own node, attention as Keras' exporter traces it.
* **reach 8**: how much a beat's logits change when the beat 8 before it is another, drawn at random, against
  when the beat itself is.
* **weights in int8** are kept so, one scale a unit, and computed with as floats; **computed in int8** is
  ONNX Runtime's dynamic quantisation. **Pruned**: the smallest weights of all matrices are zero;
  **refined**: then trained again with half the epochs at half the rate.

![Loss by epoch, F1 by kind and by length of sequence, influence by distance](comparison.png)

## What holds

A difference counts when it is larger than its spread over pairs of the same seed.
"""
"""Begins the page."""

Group = Sequence[Trial]
"""Trials of one contender, a seed each."""


def grouped(trials: Iterable[Trial]) -> dict[Architecture, list[Trial]]:
    """Put the trials of a contender together, in the order they were tried."""
    groups: dict[Architecture, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.contender, []).append(trial)
    return groups


def kinds(trials: Iterable[Trial], window_beats: int) -> dict[str, list[Trial]]:
    """Give the groups that learned from sequences of the usual length, by architecture."""
    groups = grouped(trials).items()
    return {one.architecture: group for one, group in groups if one.window_beats == window_beats}


def lengths(trials: Iterable[Trial], architecture: str) -> dict[int, list[Trial]]:
    """Give the groups of one architecture by length of sequence, the shortest first."""
    groups = grouped(trials).items()
    found = {one.window_beats: group for one, group in groups if one.architecture == architecture}
    return dict(sorted(found.items()))


def page(trials: Sequence[Trial], config: TrainConfig, *, database: str) -> str:
    """Write the page about a comparison: how it was made, what holds, and all tables."""
    by_kind, by_length = kinds(trials, config.window_beats), lengths(trials, CHOSEN)
    seeds = len({trial.seed for trial in trials})
    intro = INTRO.format(database=database, seeds=seeds, blocks=BLOCKS, heads=HEADS, **asdict(config))
    parts = [intro, claim_table(hypotheses(by_kind, by_length))]
    parts += [f"## Kinds, {config.window_beats} beats a sequence", kind_table(by_kind)]
    if by_length:
        parts += [f"## Lengths of sequence, {TITLES[CHOSEN]}", length_table(by_length)]
    for architecture, group in by_kind.items():
        if group[0].smaller:
            parts += [f"## Smaller, {TITLES[architecture]}", smaller_table(group)]
    return "\n\n".join(parts) + "\n"


def claim_table(judged: Sequence[Hypothesis]) -> str:
    """Write a row a saying about GRUs."""
    return _table(
        ("said of GRUs", "measured", "here it"), [[c.hypothesis, c.measured, c.verdict] for c in judged]
    )


def kind_table(groups: Mapping[str, Group]) -> str:
    """Write a row a kind of network."""
    headings = ["network", "parameters", *LEARNED_HEADINGS, *SPEED_HEADINGS, *_reach_headings()]
    rows = [
        [TITLES[architecture], f"{group[0].n_parameters:,}", *_learned(group), *_speed(group), *_reach(group)]
        for architecture, group in groups.items()
    ]
    return _table(headings, rows)


def length_table(groups: Mapping[int, Group]) -> str:
    """Write a row a length of sequence."""
    headings = ["beats", *LEARNED_HEADINGS, *_reach_headings()]
    return _table(headings, [[str(n), *_learned(group), *_reach(group)] for n, group in groups.items()])


def smaller_table(group: Group) -> str:
    """Write a row a form of the same networks; what is lost is against the networks as they were trained."""
    headings = ["form", "zeros", "bytes", "gzip", *SPEED_HEADINGS, *F1_HEADINGS[:2], "VEB lost", "SVEB lost"]
    rows = []
    for number, first in enumerate(group[0].smaller):
        variants = [trial.smaller[number] for trial in group]
        lost = [
            _spread([100 * (t.figures[name] - t.smaller[number].figures[name]) for t in group], signed=True)
            for name in F1[:2]
        ]
        told = [_percent([variant.figures[name] for variant in variants]) for name in F1[:2]]
        rows.append(
            [
                first.form,
                f"{fmean(v.sparsity for v in variants):.0%}",
                f"{first.size.plain:,}",
                f"{first.size.zipped:,}",
                *_fastest(variants),
                *told,
                *lost,
            ]
        )
    return _table(headings, rows)


def columns(trials: Sequence[Trial]) -> dict[str, list[object]]:
    """Give a table by column for the tracking store, a row a trial."""
    told: dict[str, Callable[[Trial], object]] = {
        "architecture": lambda t: t.contender.architecture,
        "window_beats": lambda t: t.contender.window_beats,
        "seed": lambda t: t.seed,
        "parameters": lambda t: t.n_parameters,
        "best_epoch": lambda t: t.best_epoch,
        "best_s": lambda t: round(t.best_s, 2),
        "training_s": lambda t: round(t.training_s, 2),
        "export": lambda t: t.exported.form,
        "bytes": lambda t: t.exported.size.plain,
        "day_s": lambda t: round(t.exported.day_s, 4),
        "chunk_s": lambda t: round(t.exported.chunk_s, 6),
    }
    table = {name: [give(trial) for trial in trials] for name, give in told.items()}
    for name in F1:
        values = [trial.figures[name] for trial in trials]
        table[name] = [None if math.isnan(value) else round(100 * value, 2) for value in values]
    return table


def variant_columns(trial: Trial) -> dict[str, list[object]]:
    """Give a table by column of the forms that a trial's networks were judged in."""
    rows = [
        {
            "form": variant.form,
            "zeros": round(variant.sparsity, 4),
            "bytes": variant.size.plain,
            "gzip": variant.size.zipped,
            "day_s": variant.day_s,
            "chunk_s": variant.chunk_s,
            **{name: variant.figures[name] for name in F1},
        }
        for variant in trial.smaller
    ]
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def figure(trials: Sequence[Trial], config: TrainConfig) -> Figure:
    """Draw loss by epoch, F1 by kind and by length, and how far each kind looks."""
    by_kind, by_length = kinds(trials, config.window_beats), lengths(trials, CHOSEN)
    drawn = Figure(figsize=(11, 8), layout="constrained")
    axes = drawn.subplots(2, 2)
    _draw_losses(axes[0, 0], by_kind)
    _draw_f1(axes[0, 1], [TITLES[name] for name in by_kind], list(by_kind.values()))
    axes[0, 1].set(title=f"out of fold, {config.window_beats} beats a sequence")
    _draw_f1(axes[1, 0], [str(n) for n in by_length], list(by_length.values()))
    axes[1, 0].set(title=f"{TITLES[CHOSEN]} by length of sequence", ylabel="beats")
    _draw_reach(axes[1, 1], by_kind)
    drawn.suptitle("The same lessons, folds, optimiser and budget; detected beats, a mark a seed")
    return drawn


def _draw_losses(axes: Axes, groups: Mapping[str, Group]) -> None:
    for architecture, group in groups.items():
        mean = [fmean(losses) for losses in zip(*(trial.losses for trial in group), strict=True)]
        axes.plot(range(1, len(mean) + 1), mean, label=TITLES[architecture])
    axes.set(title="loss out of fold", xlabel="epoch", yscale="log")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend(fontsize="small")


def _draw_f1(axes: Axes, names: Sequence[str], groups: Sequence[Group]) -> None:
    for figure_name, marker, colour in zip(F1, "ooxx", ("C0", "C1", "C0", "C1"), strict=True):
        kind, _, beat = figure_name.partition("/")
        values = [(100 * t.figures[figure_name], row) for row, group in enumerate(groups) for t in group]
        label = f"{beat.removesuffix('_f1').upper()}, {kind}"
        axes.plot(*zip(*values, strict=True), marker, color=colour, label=label, alpha=0.7)
    axes.set(xlabel="F1 (%)")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(visible=True, alpha=0.3)
    low, high = axes.get_xlim()
    axes.set_xlim(left=low - 0.4 * (high - low))  # the legend lies on no mark
    axes.legend(fontsize="small", loc="center left")


def _draw_reach(axes: Axes, groups: Mapping[str, Group]) -> None:
    for architecture, group in groups.items():
        mean = [100 * fmean(each) for each in zip(*(trial.reach for trial in group), strict=True)]
        axes.plot(DISTANCES[1:], [max(value, 1e-3) for value in mean[1:]], "o-", label=TITLES[architecture])
    axes.set(title="influence of a beat so many before", xlabel="beats", ylabel="% of a beat's own")
    axes.set(xscale="log", yscale="log", xticks=DISTANCES[1:], xticklabels=[str(d) for d in DISTANCES[1:]])
    axes.grid(visible=True, alpha=0.3)


def _learned(group: Group) -> list[str]:
    return [
        *(_percent([trial.figures[name] for trial in group]) for name in F1),
        _spread([trial.best_epoch for trial in group]),
        _spread([trial.best_s for trial in group]),
        _spread([trial.training_s for trial in group]),
    ]


def _speed(group: Group) -> list[str]:
    return _fastest([trial.exported for trial in group])


def _fastest(variants: Sequence[Variant]) -> list[str]:
    """Give the least of the times, which other work on the machine only lengthens."""
    day_s, chunk_s = (min(times) for times in zip(*((v.day_s, v.chunk_s) for v in variants), strict=True))
    return [f"{day_s:.2f}", f"{1000 * chunk_s:.1f}"]


def _reach_headings() -> list[str]:
    return [f"reach {distance}" for distance in REACH_SHOWN]


def _reach(group: Group) -> list[str]:
    shown = [DISTANCES.index(distance) for distance in REACH_SHOWN]
    return [f"{100 * fmean(trial.reach[index] for trial in group):.2g} %" for index in shown]


def _percent(fractions: Sequence[float]) -> str:
    return _spread([100 * fraction for fraction in fractions])


def _spread(values: Sequence[float], *, signed: bool = False) -> str:
    """Give mean and standard deviation over seeds; the value alone where there is one."""
    sign = "+" if signed else ""
    if len(values) == 1:
        return f"{values[0]:{sign}.1f}"
    return f"{fmean(values):{sign}.1f} ± {stdev(values):.1f}"


def _table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
