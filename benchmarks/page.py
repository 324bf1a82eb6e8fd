"""Results of all benchmarks as a page and a plot.

``uv run python benchmarks/page.py docs/benchmarks.json`` writes ``docs/benchmarks.md`` and
``docs/benchmarks.png`` beside it. Benchmarks without results are left out.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

Results = Mapping[str, Any]

DAY, ONE = "command, cold, all outputs", "command, cold, one record"
LENGTHS, SHORT = (
    "one lead at 250 Hz, command, all outputs",
    "recordings of 60 s, two leads, command, all outputs",
)
STAGES, BESIDE = (
    "by stage, seconds of one core",
    "beside others, first lead of one record, seconds of one core",
)
WITHOUT, EMPTY, FULL = "without a cache", "into an empty cache", "with another model, from the cache"
POOL = "Python, warm, a pool of processes, without report, s"
IN_NUMPY, OF_COMPILED = "the same without the loops in C, s", "of those with them"
JUDGED = "EC57, against themselves, seconds of one core"
WARM, START = "Python, warm, one process, without report, s", "of importing numpy and scipy.signal"
OURS = "#0b5cad"


def by_number(results: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return items in the order of the numbers with which their names start."""
    return sorted(results.items(), key=lambda item: int(item[0].split()[0]))


def main(path: Path) -> None:
    """Write the page and the plot."""
    results = json.loads(path.read_text(encoding="utf-8"))
    draw(results).savefig(path.with_suffix(".png"), dpi=110)
    path.with_suffix(".md").write_text("\n".join(page(results, path.stem)) + "\n", encoding="utf-8")


def page(results: Results, name: str) -> Iterator[str]:
    """Return the lines of the page."""
    yield "# Benchmarks"
    yield ""
    yield "Results are medians, with the least and greatest of all runs in brackets. CPU is the time of all"
    yield "cores together. Wall time also depends on other load on the machine. Memory is the peak of the"
    yield "proportional set size of all processes. `benchmarks/page.py` writes this page. The first lines of"
    yield "each benchmark say how to run it. Below its results each names the version that was measured."
    yield ""
    yield f"![Stages, time against length, others]({name}.png)"
    for benchmark, lines in (
        ("scoring", scoring),
        ("length", length),
        ("batch", batch),
        ("rescoring", rescoring),
        ("training", training),
    ):
        if benchmark in results:
            yield ""
            yield from lines(results[benchmark])
            yield ""
            yield conditions(results[benchmark]["machine"])


def conditions(machine: Results) -> str:
    """Return the version, the machine and the time of a measurement."""
    loops = f", loops {machine['loops']}" if "loops" in machine else ""
    return (
        f"ectopy {machine['ectopy']}{loops}; {machine['date']}; "
        f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gb']} GB, "
        f"Python {machine['python']}; "
        f"load at the end: {machine['load_of_the_last_minute']}."
    )


def cell(spread: Results, digits: int = 1) -> str:
    """Return a median with least and greatest."""
    least, greatest = (f"{spread[end]:,.{digits}f}" for end in ("least", "greatest"))
    return f"{spread['median']:,.{digits}f} [{least} - {greatest}]"


def row(name: str, cost: Results) -> str:
    """Return the table row of the costs of a command."""
    return f"| {name} | {cell(cost['wall_s'])} | {cell(cost['cpu_s'])} | {cell(cost['peak_mb'], 0)} |"


COST_HEAD = ("| | wall time, s | CPU, s | memory, MB |", "|---|---|---|---|")


def scoring(results: Results) -> Iterator[str]:
    """Return the lines of `scoring.py`."""
    hours = results["recordings"]["hours"]
    yield f"## {results['recordings']['number']} recordings, {hours:g} h of two leads"
    yield ""
    yield from COST_HEAD
    yield row(f"`ectopy score`, {results[DAY]['workers']} processes, all outputs", results[DAY])
    yield row("`ectopy score`, one record of half an hour", results[ONE])
    yield ""
    yield f"One record takes {cell(results[ONE][START], 2)} times as much wall time as"
    yield "`python -c 'import numpy, scipy.signal'` in the same run."
    yield f"In Python, without start-up and report, all records take {cell(results[WARM])} s in one process,"
    yield f"{cell(results[POOL])} s in a pool of {results[POOL]['workers']}."
    yield "Without the [loops in C](explanation/own-or-library.md#loops-in-c), one process takes"
    yield f"{cell(results[IN_NUMPY][OF_COMPILED], 2)} times as long."
    yield f"EC57 of all their annotations takes {cell(results[JUDGED], 2)} s of one core."
    yield ""
    yield "| stage | CPU, s | share |"
    yield "|---|---|---|"
    total = sum(spread["median"] for spread in results[STAGES].values())
    for stage, spread in results[STAGES].items():
        yield f"| {stage} | {cell(spread, 2)} | {100 * spread['median'] / total:.0f} % |"
    yield ""
    yield "| first lead of one record | gives | CPU, s | of our whole analysis |"
    yield "|---|---|---|---|"
    for name, spread in results[BESIDE].items():
        yield f"| {name} | {spread['gives']} | {cell(spread, 3)} | {spread['of ours']:g} |"
    yield ""
    yield "The time of a compiled program (`--program`) is that of its whole process, which reads the record."
    yield "Its start costs less than the first second alone. That of others is the second call in a process."
    yield "*All* are beats with their classes, noise, rhythm, findings and intervals."


def length(results: Results) -> Iterator[str]:
    """Return the lines of `length.py`."""
    yield "## One lead at 250 Hz, by length"
    yield ""
    yield from COST_HEAD
    for name, cost in by_number(results[LENGTHS]):
        yield row(name, cost)
    off = results["off a straight line, %"]
    yield ""
    yield f"Largest deviation from a straight line: {off['cpu_s']} % of CPU, {off['wall_s']} % of wall time."


def batch(results: Results) -> Iterator[str]:
    """Return the lines of `batch.py`."""
    yield "## Many short recordings"
    yield ""
    yield from COST_HEAD
    yield row(
        f"{results[SHORT]['number']:,} recordings of 60 s, {results[SHORT]['workers']} processes",
        results[SHORT],
    )
    yield ""
    yield "| beats in a chunk | CPU for a day of beats, s | largest difference of a probability |"
    yield "|---|---|---|"
    for chunk, values in by_number(results["a day of beats by chunk"]):
        difference = values["largest difference of a probability"]
        yield f"| {chunk} | {cell(values['cpu_s'], 2)} | {difference:.1g} |"


def rescoring(results: Results) -> Iterator[str]:
    """Return the lines of `rescoring.py`."""
    ratio = results["of scoring without a cache"]
    yield f"## {results['recordings']['number']} recordings again, with another model"
    yield ""
    yield from COST_HEAD
    for name in (WITHOUT, EMPTY, FULL):
        yield row(f"`ectopy score` {name}, {results['workers']} processes", results[name])
    yield ""
    full, empty = ratio[FULL], ratio[EMPTY]
    yield f"From the [cache](how-to/rescore-an-archive.md), it takes {cell(full['cpu_s'], 2)} times the CPU"
    yield f"and {cell(full['wall_s'], 2)} times the wall time of scoring without one. Filling the cache takes"
    yield f"{cell(empty['cpu_s'], 2)} times the CPU. All files of results are the same with and without it."
    yield f"It takes {results['cache, MB in an hour of signal']:g} MB for an hour of these recordings."


def training(results: Results) -> Iterator[str]:
    """Return the lines of `training.py`."""
    yield "## Training"
    yield ""
    yield from COST_HEAD
    yield row(results["what"], results)


def draw(results: Results) -> Figure:
    """Draw stages, lengths and other tools side by side, as far as they were measured."""
    panels = [
        (draw_bars, "Seconds of one core by stage", results.get("scoring", {}).get(STAGES)),
        (draw_lengths, "Time against length", results.get("length", {}).get(LENGTHS)),
        (draw_others, "First lead of one record, s of one core", results.get("scoring", {}).get(BESIDE)),
    ]
    measured = [panel for panel in panels if panel[2]]
    figure = Figure(figsize=(4.6 * max(len(measured), 1), 3.6), layout="constrained")
    for number, (draw_panel, title, values) in enumerate(measured, 1):
        axes = figure.add_subplot(1, len(measured), number)
        axes.set_title(title, fontsize=10)
        draw_panel(axes, values)
    return figure


def draw_bars(axes: Axes, values: Results) -> None:
    """Draw one bar for each name, from least to greatest."""
    names = list(values)[::-1]
    medians = [values[name]["median"] for name in names]
    low, high = (
        [abs(values[name][end] - values[name]["median"]) for name in names] for end in ("least", "greatest")
    )
    axes.barh(
        names, medians, xerr=(low, high), color=[OURS if "ectopy" in name else "#8a8f98" for name in names]
    )
    for position, median in enumerate(medians):
        axes.text(median, position, f" {median:.2g}", va="bottom", fontsize=8)


def draw_others(axes: Axes, values: Results) -> None:
    """Draw bars on a logarithmic scale."""
    draw_bars(axes, values)
    axes.set_xscale("log")


def draw_lengths(axes: Axes, values: Results) -> None:
    """Draw wall time, CPU time and memory over hours."""
    costs = dict(by_number(dict(values)))
    hours = [float(name.split()[0]) for name in costs]
    for kind, name in (("wall_s", "wall time, s"), ("cpu_s", "CPU, s"), ("peak_mb", "memory, MB")):
        axes.loglog(hours, [cost[kind]["median"] for cost in costs.values()], marker="o", label=name)
    axes.set_xlabel("hours of one lead at 250 Hz")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
