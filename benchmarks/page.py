"""The figures of all benchmarks as a page and a picture.

``uv run python benchmarks/page.py docs/benchmarks.json`` writes ``docs/benchmarks.md`` and
``docs/benchmarks.png`` beside it. What was not measured is not on them.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

Figures = Mapping[str, Any]

DAY, ONE = "command, cold, all outputs", "command, cold, one record"
LENGTHS, SHORT = (
    "one lead at 250 Hz, command, all outputs",
    "recordings of 60 s, two leads, command, all outputs",
)
STAGES, BESIDE = (
    "by stage, seconds of one core",
    "beside others, first lead of one record, seconds of one core",
)
POOL = "Python, warm, a pool of processes, without report, s"
JUDGED = "EC57, against themselves, seconds of one core"
WARM, START = "Python, warm, one process, without report, s", "of importing numpy and scipy.signal"
OURS = "#0b5cad"


def by_number(told: dict[str, Any]) -> list[tuple[str, Any]]:
    """Put what begins with a number in its order."""
    return sorted(told.items(), key=lambda item: int(item[0].split()[0]))


def main(path: Path) -> None:
    """Write both."""
    told = json.loads(path.read_text(encoding="utf-8"))
    draw(told).savefig(path.with_suffix(".png"), dpi=110)
    path.with_suffix(".md").write_text("\n".join(page(told, path.stem)) + "\n", encoding="utf-8")


def page(told: Figures, name: str) -> Iterator[str]:
    """Give the lines of the page."""
    yield "# Benchmarks"
    yield ""
    yield "Medians, in brackets least and greatest of all runs. CPU is the time of all cores together:"
    yield "where the machine does other things too, the clock says more of those. Memory is the proportional"
    yield "set size of all processes at its peak. Made by `benchmarks/page.py`; each benchmark says in its"
    yield "first lines how it is run."
    yield ""
    yield f"![Stages, time against length, others]({name}.png)"
    for benchmark, lines in (
        ("scoring", scoring),
        ("length", length),
        ("batch", batch),
        ("training", training),
    ):
        if benchmark in told:
            yield ""
            yield from lines(told[benchmark])
            yield ""
            yield on(told[benchmark]["machine"])


def on(machine: Figures) -> str:
    """Say where and when something was measured."""
    return (
        f"{machine['date']}; {machine['cores']} cores of {machine['processor']}, {machine['memory_gb']} GB, "
        f"Python {machine['python']}; load at the end: {machine['load_of_the_last_minute']}."
    )


def cell(of: Figures, digits: int = 1) -> str:
    """Write a median with its spread."""
    return f"{of['median']:,.{digits}f} [{of['least']:,.{digits}f} - {of['greatest']:,.{digits}f}]"


def row(name: str, of: Figures) -> str:
    """Write the costs of a command."""
    return f"| {name} | {cell(of['wall_s'])} | {cell(of['cpu_s'])} | {cell(of['peak_mb'], 0)} |"


COST_HEAD = ("| | by the clock, s | CPU, s | memory, MB |", "|---|---|---|---|")


def scoring(told: Figures) -> Iterator[str]:
    """Write what `scoring.py` found."""
    hours = told["recordings"]["hours"]
    yield f"## {told['recordings']['number']} recordings, {hours:g} h of two leads"
    yield ""
    yield from COST_HEAD
    yield row(f"`ectopy score`, {told[DAY]['workers']} processes, all outputs", told[DAY])
    yield row("`ectopy score`, one record of half an hour", told[ONE])
    yield ""
    yield f"One record takes {cell(told[ONE][START], 2)} times what"
    yield "`python -c 'import numpy, scipy.signal'` takes in the same run."
    yield f"In Python, warm and without a report, all take {cell(told[WARM])} s in one process,"
    yield f"{cell(told[POOL])} s in a pool of {told[POOL]['workers']}."
    yield f"EC57 of all their annotations takes {cell(told[JUDGED], 2)} s of one core."
    yield ""
    yield "| stage | CPU, s | share |"
    yield "|---|---|---|"
    total = sum(of["median"] for of in told[STAGES].values())
    for stage, of in told[STAGES].items():
        yield f"| {stage} | {cell(of, 2)} | {100 * of['median'] / total:.0f} % |"
    yield ""
    yield "| first lead of one record | CPU, s | of our whole analysis |"
    yield "|---|---|---|"
    for name, of in told[BESIDE].items():
        yield f"| {name} | {cell(of, 3)} | {of['of ours']:g} |"
    yield ""
    yield "Of a compiled program (`--program`) all counts, from its start to its end; of the others the call."


def length(told: Figures) -> Iterator[str]:
    """Write what `length.py` found."""
    yield "## One lead at 250 Hz, by length"
    yield ""
    yield from COST_HEAD
    for name, of in by_number(told[LENGTHS]):
        yield row(name, of)
    off = told["off a straight line, %"]
    yield ""
    yield f"Off a straight line by {off['cpu_s']} % at most in CPU, {off['wall_s']} % by the clock."


def batch(told: Figures) -> Iterator[str]:
    """Write what `batch.py` found."""
    yield "## Many short recordings"
    yield ""
    yield from COST_HEAD
    yield row(
        f"{told[SHORT]['number']:,} recordings of 60 s, {told[SHORT]['workers']} processes", told[SHORT]
    )
    yield ""
    yield "| beats the network reads at once | CPU, s, of a day | largest difference of a probability |"
    yield "|---|---|---|"
    for chunk, of in by_number(told["a day of beats by chunk"]):
        yield f"| {chunk} | {cell(of['cpu_s'], 2)} | {of['largest difference of a probability']:.1g} |"


def training(told: Figures) -> Iterator[str]:
    """Write what `training.py` found."""
    yield "## Training"
    yield ""
    yield from COST_HEAD
    yield row(f"{told['folds']} folds, {told['members']} members", told)


def draw(told: Figures) -> Figure:
    """Draw stages, lengths and others side by side, as far as they were measured."""
    panels = [
        (draw_bars, "Seconds of one core by stage", told.get("scoring", {}).get(STAGES)),
        (draw_lengths, "Time against length", told.get("length", {}).get(LENGTHS)),
        (draw_others, "First lead of one record, s of one core", told.get("scoring", {}).get(BESIDE)),
    ]
    known = [panel for panel in panels if panel[2]]
    figure = Figure(figsize=(4.6 * max(len(known), 1), 3.6), layout="constrained")
    for number, (drawn, title, of) in enumerate(known, 1):
        axes = figure.add_subplot(1, len(known), number)
        axes.set_title(title, fontsize=10)
        drawn(axes, of)
    return figure


def draw_bars(axes: Axes, of: Figures) -> None:
    """Draw a bar a name, with its spread."""
    names = list(of)[::-1]
    medians = [of[name]["median"] for name in names]
    low, high = ([abs(of[name][end] - of[name]["median"]) for name in names] for end in ("least", "greatest"))
    axes.barh(
        names, medians, xerr=(low, high), color=[OURS if "ectopy" in name else "#8a8f98" for name in names]
    )
    for at, median in enumerate(medians):
        axes.text(median, at, f" {median:.2g}", va="bottom", fontsize=8)


def draw_others(axes: Axes, of: Figures) -> None:
    """Draw bars on a scale of powers of ten."""
    draw_bars(axes, of)
    axes.set_xscale("log")


def draw_lengths(axes: Axes, of: Figures) -> None:
    """Draw time by the clock and of all cores, and memory, over hours."""
    of = dict(by_number(dict(of)))
    hours = [float(name.split()[0]) for name in of]
    for kind, name in (("wall_s", "clock, s"), ("cpu_s", "CPU, s"), ("peak_mb", "memory, MB")):
        axes.loglog(hours, [each[kind]["median"] for each in of.values()], marker="o", label=name)
    axes.set_xlabel("hours of one lead at 250 Hz")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
