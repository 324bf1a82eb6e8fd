"""The exact text of ``sumstats``: the lines of a tool, then their sum, gross metrics and record average.

``sumstats`` works from the lines. Therefore it leaves F called S out of the SVEB +P, and takes the overlap of AF
and VF from durations and whole percents. :func:`gross` and :func:`average` of ``ectopy.ec57`` do neither. All
other numbers agree to the digit printed.
"""

from collections.abc import Collection, Iterable, Mapping
from math import isfinite

from ectopy.ec57 import lines
from ectopy.ec57.beats import BeatComparison
from ectopy.ec57.episodes import EpisodeComparison, EpisodeKind
from ectopy.ec57.marks import CELLS
from ectopy.ec57.runs import RUN_LENGTHS, RunComparison, RunKind
from ectopy.ec57.summary import Comparison, average, gross

_SVEB = ("sveb_sensitivity", "sveb_positive_predictivity_sumstats")


def bxb_sumstats(records: Mapping[str, BeatComparison], *, sveb: bool = True) -> str:
    """Return the summary of ``bxb -L``, or of ``bxb -l`` without ``sveb``."""
    summary = _sveb_summary(records.values()) if sveb else _veb_summary(records.values())
    return lines.bxb_lines(records, sveb=sveb) + summary + _closing(records)


def rxr_sumstats(records: Mapping[str, RunComparison], kind: RunKind) -> str:
    """Return the summary of ``rxr -L``."""
    total = gross(records.values())
    counts = " ".join(f"{count:3}" for length in RUN_LENGTHS for count in total.tally(length))
    couplets, short_runs, long_runs = (sum(total.tally(length)[:2]) for length in RUN_LENGTHS)
    return (
        f"{lines.rxr_lines(records, kind)}{'_' * 77}\nSum    {counts}\n"
        f"{'Gross':55}{lines.percents(total, total.METRICS, '3.0f')}\n"
        f"{'Average':55}{_average(records.values(), total.METRICS, '3.0f')}\n"
        f"Total couplets: {couplets}  Total short runs: {short_runs}  Total long runs: {long_runs}\n"
        f"{_closing(records)}"
    )


def epicmp_sumstats(records: Mapping[str, EpisodeComparison], kind: EpisodeKind) -> str:
    """Return the summary of ``epicmp -L``."""
    total = gross(records.values())
    reference, test = (
        sum(lines.to_ms(seconds) for seconds in durations)
        for durations in zip(
            *((record.reference_s, record.test_s) for record in records.values()), strict=True
        )
    )
    overlap = _overlap_ms(records.values())
    episodes, durations = tuple(total.METRICS)[:2], tuple(total.METRICS)[2:]
    return (
        f"{lines.epicmp_lines(records, kind)}{'_' * 72}\n"
        f"Sum    {total.found:4} {total.missed:4} {total.confirmed:4} {total.false:4}"
        f"{'':19}{lines.clock(reference)}   {lines.clock(test)}\n"
        f"{'Gross':27}{lines.percents(total, episodes, '3.0f')}"
        f"{lines.percent(overlap, reference, '3.0f')}{lines.percent(overlap, test, '3.0f')}\n"
        f"{'Average':27}{_average(records.values(), episodes, '3.0f')}"
        f"{''.join(_average_of_whole(records.values(), figure) for figure in durations)}\n"
        f"{_closing(records)}"
    )


def _sveb_summary(records: Collection[BeatComparison]) -> str:
    total, figures = gross(records), (*lines.QRS_AND_VEB, *_SVEB)
    errors = [round(beats.rms_rr_error_ms, 2) for beats in records if beats.n_rr]
    return (
        f"{'_' * 132}\nSum  {lines.count_columns(total, lines.SVEB_COLUMNS)}\n"
        f"{'Gross':83}{lines.percents(total, figures, '6.2f')}\n"
        f"{'Average':83}{_average(records, figures, '6.2f')}"
        f"{lines.percent(sum(errors) / 100, len(errors), '6.2f')}\n"
        f"Total QRS complexes: {_reference_beats(total, 'NSVFQ')}  "
        f"Total VEBs: {_reference_beats(total, 'V')}  Total SVEBs: {_reference_beats(total, 'S')}\n"
    )


def _veb_summary(records: Collection[BeatComparison]) -> str:
    total, rate = gross(records), ("veb_false_positive_rate",)
    return (
        f"{'_' * 86}\nSum   {lines.count_columns(lines.merge_sveb_into_normal(total), lines.VEB_COLUMNS)}\n"
        f"{'Gross':54}{lines.percents(total, lines.QRS_AND_VEB, '6.2f')}"
        f"{lines.percents(total, rate, '6.3f')}\n"
        f"{'Average':54}{_average(records, lines.QRS_AND_VEB, '6.2f')}{_average(records, rate, '6.3f')}\n"
        f"Total QRS complexes: {_reference_beats(total, 'NSVFQ')}  "
        f"Total VEBs: {_reference_beats(total, 'V')}\n"
    )


def _reference_beats(beats: BeatComparison, classes: str) -> int:
    return beats.count(classes, CELLS)


def _average(records: Collection[Comparison], figures: Iterable[str], form: str) -> str:
    means = average(list(records))
    return "".join(_defined(means[figure], form) for figure in figures)


def _average_of_whole(records: Iterable[EpisodeComparison], figure: str) -> str:
    values = [lines.whole_percent(episodes, figure) for episodes in records]
    defined = [value for value in values if value is not None]
    return lines.percent(sum(defined) / 100, len(defined), "3.0f")


def _defined(value: float, form: str) -> str:
    return lines.percent(value, 1, form) if isfinite(value) else lines.percent(0, 0, form)


def _overlap_ms(records: Iterable[EpisodeComparison]) -> int:
    """Compute the overlap of each record from its longer duration and the overlap in whole percents."""
    overlap = 0
    for episodes in records:
        reference, test = lines.to_ms(episodes.reference_s), lines.to_ms(episodes.test_s)
        longer, figure = (reference, "sensitivity") if reference > test else (test, "positive_predictivity")
        if longer:
            overlap = int(
                overlap + longer * ((lines.whole_percent(episodes, f"duration_{figure}") or 0) / 100)
            )
    return overlap


def _closing(records: Mapping[str, Comparison]) -> str:
    return f"\nSummary of results from {len(records)} record{'' if len(records) == 1 else 's'}\n"
