"""Comparisons as a table for people and as JSON for programs."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Literal, TypeAlias

from ectopy.ec57 import lines
from ectopy.ec57.beats import BeatComparison
from ectopy.ec57.classes import LEARNING_S, MATCH_WINDOW_S, BeatMap
from ectopy.ec57.marks import CELLS, NO_BEAT
from ectopy.ec57.records import EPISODE_KINDS, RUN_KINDS, RecordComparison
from ectopy.ec57.runs import RUN_LENGTHS, RunComparison, RunTally
from ectopy.ec57.summary import Comparison, average, compute_metrics, gross
from ectopy.printable import printable

OutputFormat: TypeAlias = Literal["table", "bxb", "rxr", "epicmp"]

_HEADER = (
    "record", "beats", "QRS Se", "QRS +P", "VEB", "Se", "+P", "F1", "FPR",
    "SVEB", "Se", "+P", "F1", "RR ms", "shut s",
)  # fmt: skip
_QRS = ("qrs_sensitivity", "qrs_positive_predictivity")
_VEB = ("veb_sensitivity", "veb_positive_predictivity", "veb_f1")
_SVEB = ("sveb_sensitivity", "sveb_positive_predictivity", "sveb_f1")
_OTHERS = ("", "reference", "found", "test", "confirmed", "gross Se", "+P", "average Se", "+P")
_MAPS: Mapping[BeatMap, str] = {
    "ec57": "SVEB, as in EC57 and bxb",
    "dechazal": "N, as in de Chazal 2004",
}


def text(records: Mapping[str, RecordComparison], output_format: OutputFormat, *, beat_map: BeatMap) -> str:
    """Return a comparison as our table, or in the format of a reference tool.

    Parameters
    ----------
    records
        Comparisons by record name.
    output_format
        "table", or the name of the tool. rxr has ventricular runs first, epicmp has AF first.
    beat_map
        Class of escape beats, which the output names.

    Returns
    -------
    Lines of text.
    """
    records = {printable(name): record for name, record in records.items()}
    if output_format == "bxb":
        return lines.bxb_lines({name: record.beats for name, record in records.items()})
    if output_format == "rxr":
        runs = {kind: {name: record.runs[kind] for name, record in records.items()} for kind in RUN_KINDS}
        return "".join(lines.rxr_lines(runs[kind], kind) for kind in RUN_KINDS)
    if output_format == "epicmp":
        episodes = {
            kind: {name: record.episodes[kind] for name, record in records.items()} for kind in EPISODE_KINDS
        }
        return "".join(lines.epicmp_lines(episodes[kind], kind) for kind in EPISODE_KINDS)
    return table(records, beat_map=beat_map)


def table(records: Mapping[str, RecordComparison], *, beat_map: BeatMap) -> str:
    """Return a table of beats by record, gross and average, and a table of runs and episodes of all records.

    Parameters
    ----------
    records
        Comparisons by record name.
    beat_map
        Class of escape beats, which the output names.

    Returns
    -------
    Two tables and notes, as lines of text.
    """
    said = "\n".join(notes(records, beat_map))
    return f"{align(beat_rows(records))}\n\n{align(other_rows(records))}\n\n{said}\n"


def beat_rows(records: Mapping[str, RecordComparison]) -> list[tuple[str, ...]]:
    """Return the cells of the table of beats, its header first: each record, then gross and average."""
    rows = [_HEADER, *(_beat_row(name, record.beats) for name, record in records.items())]
    for suffix, group in _groups(records).items():
        beats = [record.beats for record in group]
        rows += [_beat_row(f"gross{suffix}", gross(beats)), _average_row(f"average{suffix}", beats)]
    return rows


def other_rows(records: Mapping[str, RecordComparison]) -> list[tuple[str, ...]]:
    """Return the cells of the table of runs and episodes of all records, its header first."""
    return [_OTHERS, *_run_rows(records), *_episode_rows(records)]


def as_json(records: Mapping[str, RecordComparison], *, beat_map: BeatMap) -> dict[str, Any]:
    """Return every count and metric in a form that JSON can hold.

    Parameters
    ----------
    records
        Comparisons by record name.
    beat_map
        Class of escape beats, which the output names.

    Returns
    -------
    Records, gross and average; metrics are fractions, and null where undefined.
    """
    groups = _groups(records)
    return {
        "standard": "ANSI/AAMI EC57",
        "map": beat_map,
        "learning_s": LEARNING_S,
        "match_window_s": MATCH_WINDOW_S,
        "paced": _paced(records),
        "notes": {name: list(record.notes) for name, record in records.items() if record.notes},
        "records": {name: _record(record) for name, record in records.items()},
        **{f"gross{suffix.replace(' ', '_')}": _record(gross(group)) for suffix, group in groups.items()},
        **{f"average{suffix.replace(' ', '_')}": _averages(group) for suffix, group in groups.items()},
    }


def _groups(records: Mapping[str, RecordComparison]) -> dict[str, list[RecordComparison]]:
    """Return all records and, if some of them are paced, those that EC57 keeps."""
    unpaced = [record for record in records.values() if not record.paced]
    some = {" unpaced": unpaced} if 0 < len(unpaced) < len(records) else {}
    return {"": list(records.values()), **some}


def _paced(records: Mapping[str, RecordComparison]) -> list[str]:
    return [name for name, record in records.items() if record.paced]


def _beat_row(name: str, beats: BeatComparison) -> tuple[str, ...]:
    n_beats, n_veb, n_sveb = (str(beats.count(classes, CELLS)) for classes in ("NSVFQ", "V", "S"))
    counts = (n_beats, n_veb, n_sveb, f"{beats.shutdown_s:.0f}")
    return _metric_row(name, counts, compute_metrics(beats), beats.rms_rr_error_ms)


def _average_row(name: str, beats: Sequence[BeatComparison]) -> tuple[str, ...]:
    return _metric_row(name, ("", "", "", ""), average(beats), _mean_rr_error_ms(beats))


def _metric_row(
    name: str, counts: tuple[str, str, str, str], values: Mapping[str, float], rr_error_ms: float
) -> tuple[str, ...]:
    qrs, veb, sveb = ([_percent(values[metric]) for metric in names] for names in (_QRS, _VEB, _SVEB))
    rate, error = _percent(values["veb_false_positive_rate"], 3), _number(rr_error_ms, 2)
    n_beats, n_veb, n_sveb, shutdown = counts
    return (name, n_beats, *qrs, n_veb, *veb, rate, n_sveb, *sveb, error, shutdown)


def _run_rows(records: Mapping[str, RecordComparison]) -> list[tuple[str, ...]]:
    return [
        _count_row(
            f"{kind} {length.replace('_', ' ')}s",
            gross(record.runs[kind] for record in records.values()).tally(length),
            [record.runs[kind] for record in records.values()],
            (f"{length}_sensitivity", f"{length}_positive_predictivity"),
        )
        for kind in RUN_KINDS
        for length in RUN_LENGTHS
    ]


def _episode_rows(records: Mapping[str, RecordComparison]) -> list[tuple[str, ...]]:
    rows = []
    for kind in EPISODE_KINDS:
        comparisons = [record.episodes[kind] for record in records.values()]
        total = gross(comparisons)
        tally = RunTally(total.found, total.missed, total.confirmed, total.false)
        episode, duration = tuple(total.METRICS)[:2], tuple(total.METRICS)[2:]
        seconds = (total.reference_s, total.reference_overlap_s, total.test_s, total.test_overlap_s)
        rows += [
            _count_row(f"{kind} episodes", tally, comparisons, episode),
            (
                f"{kind} seconds",
                *(_number(value, 1) for value in seconds),
                *_gross_and_average(comparisons, duration),
            ),
        ]
    return rows


def _count_row(
    name: str, tally: RunTally, comparisons: Sequence[Comparison], names: tuple[str, ...]
) -> tuple[str, ...]:
    found, missed, confirmed, false = tally
    counts = (found + missed, found, confirmed + false, confirmed)
    return (name, *map(str, counts), *_gross_and_average(comparisons, names))


def _gross_and_average(comparisons: Sequence[Comparison], names: tuple[str, ...]) -> tuple[str, ...]:
    pooled, mean = compute_metrics(gross(comparisons)), average(comparisons)
    return tuple(_percent(values[name]) for values in (pooled, mean) for name in names)


def notes(records: Mapping[str, RecordComparison], beat_map: BeatMap) -> list[str]:
    """Return how a table was made, and what is wrong with the files of which record.

    Parameters
    ----------
    records
        Comparisons by record name.
    beat_map
        Class of escape beats, which is named.

    Returns
    -------
    One line each.
    """
    paced = _paced(records)
    said = [
        f"Se, +P, F1, FPR in %. Not scored: first {LEARNING_S:g} s. Window: {MATCH_WINDOW_S * 1000:g} ms.",
        f"Escape beats e, j, n count as {_MAPS[beat_map]}.",
        "SVEB +P counts F called S as false, as bxb does; sumstats leaves it out (--json has both).",
    ]
    if paced:
        said.append(
            f"EC57 leaves records with paced beats out: {' '.join(paced)}. bxb counts these beats as Q."
        )
    return said + [f"Record {name}, {note}." for name, record in records.items() for note in record.notes]


def align(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines of text, the first column aligned left and the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _percent(value: float, digits: int = 2) -> str:
    return _number(100 * value, digits)


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if isfinite(value) else "-"


def _mean_rr_error_ms(beats: Sequence[BeatComparison]) -> float:
    errors = [record.rms_rr_error_ms for record in beats if record.n_rr]
    return sum(errors) / len(errors) if errors else float("nan")


def _record(record: RecordComparison) -> dict[str, Any]:
    return {
        "beats": _beats(record.beats),
        "runs": {kind: _runs(runs) for kind, runs in record.runs.items()},
        "episodes": {
            kind: {**vars(episodes), **_nulls(compute_metrics(episodes))}
            for kind, episodes in record.episodes.items()
        },
    }


def _beats(beats: BeatComparison) -> dict[str, Any]:
    """Return the cells by the names of bxb: reference class, then test class in lower case."""
    return {
        "counts": {
            row + column.lower(): int(beats.counts[i, j])
            for i, row in enumerate(CELLS)
            for j, column in enumerate(CELLS)
            if min(i, j) < NO_BEAT
        },
        **_nulls(compute_metrics(beats)),
        "rms_rr_error_ms": _null(beats.rms_rr_error_ms),
        "n_rr": beats.n_rr,
        "shutdown_s": beats.shutdown_s,
    }


def _runs(runs: RunComparison) -> dict[str, Any]:
    return {
        "reference_runs": runs.counts[0].tolist(),
        "test_runs": runs.counts[1].tolist(),
        **{length: runs.tally(length)._asdict() for length in RUN_LENGTHS},
        **_nulls(compute_metrics(runs)),
    }


def _averages(records: Sequence[RecordComparison]) -> dict[str, Any]:
    beats = [record.beats for record in records]
    return {
        "beats": {**_nulls(average(beats)), "rms_rr_error_ms": _null(_mean_rr_error_ms(beats))},
        "runs": {kind: _nulls(average([record.runs[kind] for record in records])) for kind in RUN_KINDS},
        "episodes": {
            kind: _nulls(average([record.episodes[kind] for record in records])) for kind in EPISODE_KINDS
        },
    }


def _nulls(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _null(value) for name, value in values.items()}


def _null(value: float) -> float | None:
    return value if isfinite(value) else None
