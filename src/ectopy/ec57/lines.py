"""The exact lines of the reference tools: ``bxb -L`` and ``-l``, ``rxr -L`` and ``epicmp -L``.

There is one function for each file that a tool writes. The line format has fewer columns than the comparison
has cells: F and Q share a column, and X is added to O. ``sumstats`` works from those lines. Therefore it
leaves F called S out of the SVEB +P, and takes AF and VF overlaps from whole percents.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import floor

import numpy as np

from ectopy.ec57.beats import BeatComparison
from ectopy.ec57.episodes import EpisodeComparison, EpisodeKind
from ectopy.ec57.marks import CELLS
from ectopy.ec57.runs import RUN_LENGTHS, RunComparison, RunKind
from ectopy.ec57.summary import Comparison

# Rows and columns of the matrix that are added up in each column of the line format, and its width.
SVEB_COLUMNS = (
    ("N", "NFQ", 5), ("S", "NFQ", 3), ("V", "NFQ", 3), ("FQ", "NFQ", 3), ("OX", "NFQ", 3),
    ("N", "S", 3), ("S", "S", 3), ("V", "S", 3), ("FQ", "S", 3), ("OX", "S", 3),
    ("N", "V", 3), ("S", "V", 3), ("V", "V", 4), ("FQ", "V", 3), ("OX", "V", 3),
    ("N", "OX", 3), ("S", "OX", 3), ("V", "OX", 3), ("FQ", "OX", 3),
)  # fmt: skip
VEB_COLUMNS = (
    ("N", "NFQ", 5), ("V", "NFQ", 3), ("FQ", "NFQ", 3), ("OX", "NFQ", 3),
    ("N", "V", 3), ("V", "V", 4), ("FQ", "V", 3), ("OX", "V", 3),
    ("N", "OX", 3), ("V", "OX", 3), ("FQ", "OX", 3),
)  # fmt: skip
_SVEB_HEADER = (
    "Record Nn' Sn' Vn' Fn' On'  Ns  Ss  Vs  Fs' Os' Nv  Sv   Vv  Fv' Ov' No' So' Vo' Fo'"
    "  Q Se   Q +P   V Se   V +P   S Se   S +P RR err\n"
)
_VEB_HEADER = "Record Nn' Vn' Fn' On'  Nv   Vv  Fv' Ov' No' Vo' Fo'  Q Se   Q +P   V Se   V +P  V FPR\n"
_SHUTDOWN_HEADER = {
    True: "Record Nx   Sx   Vx   Fx   Qx  % beats  % N    % S    % V    % F   Total Shutdown\n"
    "                                missed missed missed missed missed      Time\n",
    False: "Record Nx   Vx   Fx   Qx  % beats  % N    % V    % F   Total Shutdown\n"
    "                           missed missed missed missed      Time\n",
}
_RUN_HEADER = "Record CTs CFN CTp CFP STs SFN STp SFP LTs LFN LTp LFP  CSe C+P SSe S+P LSe L+P\n"
_RUN_TITLE: Mapping[RunKind, str] = {"ventricular": "", "supraventricular": "(SVE run detection)\n"}
_EPISODE_HEADER = "Record  TPs   FN  TPp   FP  ESe E+P DSe D+P  Ref duration  Test duration \n"
QRS_AND_VEB = (
    "qrs_sensitivity", "qrs_positive_predictivity", "veb_sensitivity", "veb_positive_predictivity",
)  # fmt: skip


def bxb_lines(records: Mapping[str, BeatComparison], *, sveb: bool = True) -> str:
    """Return the first file of bxb.

    Parameters
    ----------
    records
        Comparisons by record name.
    sveb
        As with ``bxb -L``; else as with ``bxb -l``, which counts S as N.

    Returns
    -------
    A header, and one line for each record.
    """
    if sveb:
        return _SVEB_HEADER + "".join(_sveb_line(name, beats) for name, beats in records.items())
    merged = {name: merge_sveb_into_normal(beats) for name, beats in records.items()}
    return _VEB_HEADER + "".join(_veb_line(name, beats) for name, beats in merged.items())


def shutdown_lines(records: Mapping[str, BeatComparison], *, sveb: bool = True) -> str:
    """Return the second file of bxb: beats missed in shutdowns.

    Parameters
    ----------
    records
        Comparisons by record name.
    sveb
        As with ``bxb -L``; else as with ``bxb -l``, which counts S as N.

    Returns
    -------
    A header, and one line for each record.
    """
    lines = (
        _shutdown_line(name, beats if sveb else merge_sveb_into_normal(beats), "NSVF" if sveb else "NVF")
        for name, beats in records.items()
    )
    return _SHUTDOWN_HEADER[sveb] + "".join(lines)


def rxr_lines(records: Mapping[str, RunComparison], kind: RunKind) -> str:
    """Return the first file of ``rxr -L`` (ventricular runs) or its second (supraventricular runs).

    Parameters
    ----------
    records
        Comparisons by record name.
    kind
        Kind of the runs that were compared.

    Returns
    -------
    A header, and one line for each record.
    """
    return _RUN_TITLE[kind] + _RUN_HEADER + "".join(_run_line(name, runs) for name, runs in records.items())


def epicmp_lines(records: Mapping[str, EpisodeComparison], kind: EpisodeKind) -> str:
    """Return the file of ``epicmp -L -A`` (AF) or ``epicmp -L -V`` (VF).

    Parameters
    ----------
    records
        Comparisons by record name.
    kind
        Kind of the episodes that were compared.

    Returns
    -------
    A header, and one line for each record.
    """
    lines = (_episode_line(name, episodes) for name, episodes in records.items())
    return f"({kind} detection)\n{_EPISODE_HEADER}" + "".join(lines)


def _sveb_line(name: str, beats: BeatComparison) -> str:
    names = (*QRS_AND_VEB, "sveb_sensitivity", "sveb_positive_predictivity")
    error = f" {beats.rms_rr_error_ms:6.2f}" if beats.n_rr else "     -"
    return f"{name:>4} {count_columns(beats, SVEB_COLUMNS)}{percents(beats, names, '6.2f')}{error}\n"


def _veb_line(name: str, beats: BeatComparison) -> str:
    rate = percents(beats, ("veb_false_positive_rate",), "6.3f")
    return f"{name:>4} {count_columns(beats, VEB_COLUMNS)}{percents(beats, QRS_AND_VEB, '6.2f')}{rate}\n"


def _shutdown_line(name: str, beats: BeatComparison, classes: str) -> str:
    total = {label: beats.count(label, CELLS) for label in "NSVFQ"}
    missed = {label: beats.count(label, "X") for label in "NSVFQ"}
    n_missed = missed["N"] + missed["V"] + missed["F"] + missed["Q"]  # sic: bxb leaves S out of this sum
    ratios = [(n_missed, sum(total.values())), *((missed[label], total[label]) for label in classes)]
    counts = " ".join(f"{missed[label]:4}" for label in classes + "Q")
    shares = "".join(percent(part, whole, "6.2f") for part, whole in ratios)
    totals = " ".join(str(number) for number in total.values())
    return f"{name:>4} {counts}  {shares}{floor(beats.shutdown_s + 0.5):5} seconds {totals}\n"


def _run_line(name: str, runs: RunComparison) -> str:
    counts = " ".join(f"{count:3}" for length in RUN_LENGTHS for count in runs.tally(length))
    return f"{name:>4} {counts} {_whole_percents(runs)}\n"


def _episode_line(name: str, episodes: EpisodeComparison) -> str:
    counts = f"{episodes.found:4} {episodes.missed:4} {episodes.confirmed:4} {episodes.false:4}"
    durations = "   ".join(
        clock(to_ms(seconds)) if seconds else "       0.000"
        for seconds in (episodes.reference_s, episodes.test_s)
    )
    return f"{name:>6} {counts} {_whole_percents(episodes)}  {durations}\n"


def merge_sveb_into_normal(beats: BeatComparison) -> BeatComparison:
    """Return a comparison in which S counts as N, which is the default of bxb."""
    merge = np.eye(len(CELLS), dtype=np.int64)
    merge[CELLS.index("S")] = merge[CELLS.index("N")]
    return replace(beats, counts=merge.T @ beats.counts @ merge)


def count_columns(beats: BeatComparison, columns: Iterable[tuple[str, str, int]]) -> str:
    """Return the columns of counts of a line.

    Parameters
    ----------
    beats
        Comparison of a record.
    columns
        Reference classes, test classes and width of each column.

    Returns
    -------
    The columns, separated by a space.
    """
    return " ".join(f"{beats.count(rows, called):{width}}" for rows, called, width in columns)


def percent(part: float, whole: float, spec: str) -> str:
    """Return a ratio in percent, after a space.

    Parameters
    ----------
    part, whole
        Numerator and denominator.
    spec
        Format of the number, such as "6.2f".

    Returns
    -------
    The number, or ``-`` of the same width if ``whole`` is 0.
    """
    width = int(spec.partition(".")[0])
    return f" {100.0 * part / whole:{spec}}" if whole > 0 else f" {'-':>{width}}"


def percents(comparison: Comparison, names: Iterable[str], spec: str) -> str:
    """Return some metrics in percent, each after a space.

    Parameters
    ----------
    comparison
        Result of one record or of a sum of records.
    names
        Names of the metrics.
    spec
        Format of a number, such as "6.2f".

    Returns
    -------
    One number or ``-`` for each name.
    """
    sums = (comparison.METRICS[name].sums(comparison.cells) for name in names)
    return "".join(percent(float(part), float(whole), spec) for part, whole in sums)


def _whole_percents(comparison: RunComparison | EpisodeComparison) -> str:
    values = (whole_percent(comparison, name) for name in comparison.METRICS)
    return "".join("   -" if value is None else f" {value:3}" for value in values)


def whole_percent(comparison: Comparison, name: str) -> int | None:
    """Return a metric in whole percents, halves upwards, as rxr and epicmp do.

    Parameters
    ----------
    comparison
        Result of one record or of a sum of records.
    name
        Name of the metric.

    Returns
    -------
    The percentage, or None if the metric is undefined.
    """
    part, whole = comparison.METRICS[name].sums(comparison.cells)
    return floor(100.0 * float(part) / float(whole) + 0.5 + _SLACK) if whole > 0 else None


_SLACK = 1e-7
"""Durations are stored in s. A half that is exact in samples must not be lost to rounding errors."""


def to_ms(seconds: float) -> int:
    """Return the nearest millisecond, halves upwards."""
    return floor(seconds * 1000 + 0.5 + _SLACK)


def clock(ms: int) -> str:
    """Return a duration in ms as text, in the format of mstimstr() of WFDB."""
    minutes, ms = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{ms // 1000:02}.{ms % 1000:03}"
    return f"{hours:2}:{minutes:02}:{seconds}" if hours else f"   {minutes:2}:{seconds}"
