"""What an analysis comes to: the row of the summary and the figures of each hour."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ectopy.beats.lead_selection import sample_segments
from ectopy.ecg import Analysis, Recording
from ectopy.report.findings import Finding, find_findings
from ectopy.report.statistics import Figures, Rates, RecordingStats, rates, recording_stats, stats
from ectopy.rhythm.hrv import Variability, variability

__all__ = [
    "HOUR_S",
    "SUMMARY_COLUMNS",
    "Rates",
    "Summary",
    "by_period",
    "not_analysable_reason",
    "rates",
    "summarise",
]

SUMMARY_COLUMNS = (
    "recording",
    "path",
    "status",
    "reason",
    "duration_s",
    "analysable_s",
    "n_beats",
    "hr_mean_bpm",
    "hr_min_bpm",
    "hr_max_bpm",
    "n_veb",
    "veb_burden_pct",
    "n_sveb",
    "sveb_burden_pct",
    "n_couplets",
    "n_vt_runs",
    "longest_vt_beats",
    "af_burden_pct",
    "longest_pause_s",
    "findings",
    "model",
    "input_sha256",
)
HOUR_S = 3600.0
SHORTEST_S = 10.0
"""A shorter recording without a beat is called too short."""


@dataclass(frozen=True)
class Summary:
    """The row of :data:`SUMMARY_COLUMNS`, findings (the most urgent first), figures by the hour and in all.

    ``why_not`` says why nothing could be analysed; "" where something could.
    """

    row: dict[str, object]
    findings: tuple[Finding, ...]
    hourly: tuple[Figures, ...]
    why_not: str
    figures: Figures
    hrv: Variability


def summarise(analysis: Analysis, recording: Recording, provenance: Mapping[str, object]) -> Summary:
    """Sum an analysis up; ``provenance`` as for :func:`ectopy.report.write_outputs`."""
    why_not = "" if len(analysis.beats) else not_analysable_reason(recording)
    findings = find_findings(analysis, why_not)
    of = recording_stats(analysis)
    found = stats(of, 0, analysis.duration_s)
    row = dict.fromkeys(SUMMARY_COLUMNS) | {
        **found,
        "recording": provenance["recording"],
        "path": str(provenance["path"]),
        "status": "scored",
        "reason": "",
        "findings": "; ".join(map(str, findings)),
        "model": provenance["model"],
        "input_sha256": provenance["input_sha256"],
    }
    return Summary(
        {name: row[name] for name in SUMMARY_COLUMNS},
        findings,
        tuple(_by_period(of, HOUR_S)),
        why_not,
        found,
        variability(of.nn, analysis.duration_s, analysis.fs),
    )


def by_period(analysis: Analysis, period_s: float) -> tuple[Figures, ...]:
    """Figures of each period; the last may be shorter, and a rest below a tenth of one belongs to it."""
    return tuple(_by_period(recording_stats(analysis), period_s))


def _by_period(of: RecordingStats, period_s: float) -> Iterator[Figures]:
    end = of.analysis.duration_s
    starts = [0.0, *np.arange(period_s, end - period_s / 10, period_s).tolist()]
    for start, stop in pairwise((*starts, end)):
        yield {"start_s": start, "stop_s": stop, **stats(of, start, stop)}


def not_analysable_reason(recording: Recording) -> str:
    """Say why a recording without a beat has none, from a few looks at its signal."""
    seen = [look for look in sample_segments(recording) if len(look)]
    if not seen:
        return "the recording is empty"
    signal = np.concatenate(seen)
    present = signal[np.isfinite(signal).any(axis=1)]
    if not len(present):
        return "every sample is missing"
    if (np.nanmax(present, axis=0) == np.nanmin(present, axis=0)).all():
        return "the signal is flat"
    if recording.duration_s < SHORTEST_S:
        return f"{recording.duration_s:.1f} s are too short"
    return "no beat was found"
