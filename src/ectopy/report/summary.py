"""Summarise an analysis: its row in summary.csv, its statistics in total and by time, its findings."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ectopy.confirmed import AUTOMATIC
from ectopy.ecg import Analysis, Recording, sample_segments
from ectopy.report.extremes import KindExtremes, find_extremes
from ectopy.report.marks import MarkedMoment, marked_moments
from ectopy.report.periods import HOUR_S, by_day, by_period
from ectopy.report.statistics import RecordingStats, Stats, recording_stats, stats
from ectopy.rhythm.findings import NO_BEAT, find_findings
from ectopy.rhythm.hrv import Variability, variability
from ectopy.rhythm.wording import Finding

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
    "notes",
    "review",
)
SHORTEST_S = 10.0
"""A shorter recording without a beat is called too short."""


@dataclass(frozen=True)
class Summary:
    """Summary: the row of :data:`SUMMARY_COLUMNS`, findings by urgency, statistics in total and by time.

    ``daily`` has no row if the recording lies within one day. ``extremes`` are the longest and the fastest
    event of each kind, and ``marks`` the rhythm at each mark of the patient. ``not_analysable`` is the reason
    if the recording has no beat, else "". ``recording`` are the values that further statistics of its parts
    need.
    """

    row: dict[str, object]
    findings: tuple[Finding, ...]
    hourly: tuple[Stats, ...]
    daily: tuple[Stats, ...]
    extremes: tuple[KindExtremes, ...]
    marks: tuple[MarkedMoment, ...]
    not_analysable: str
    stats: Stats
    hrv: Variability
    recording: RecordingStats


def summarise(analysis: Analysis, provenance: Mapping[str, object], *, review: str = AUTOMATIC) -> Summary:
    """Compute the summary of an analysis.

    Parameters
    ----------
    analysis
        The analysis of one recording.
    provenance
        As for :func:`ectopy.report.write_outputs`.
    review
        How far its review is.

    Returns
    -------
    The summary.
    """
    not_analysable = "" if len(analysis.beats) else not_analysable_reason(analysis.recording)
    findings = find_findings(analysis, not_analysable)
    recording = recording_stats(analysis)
    total = stats(recording, 0, analysis.duration_s)
    row = dict.fromkeys(SUMMARY_COLUMNS) | {
        **total,
        "recording": provenance["recording"],
        "path": str(provenance["path"]),
        "status": "scored",
        "reason": "",
        "findings": "; ".join(map(str, findings)),
        "model": provenance["model"],
        "input_sha256": provenance["input_sha256"],
        "notes": "; ".join(analysis.recording.notes),
        "review": review,
    }
    return Summary(
        {name: row[name] for name in SUMMARY_COLUMNS},
        findings,
        tuple(by_period(recording, HOUR_S)),
        tuple(by_day(recording)),
        tuple(find_extremes(analysis)),
        tuple(marked_moments(recording)),
        not_analysable,
        total,
        variability(recording.nn, analysis.duration_s, analysis.fs),
        recording,
    )


def not_analysable_reason(recording: Recording) -> str:
    """Return why a recording has no beat, from a few segments of its signal."""
    segments = [segment for segment in sample_segments(recording) if len(segment)]
    if not segments:
        return "the recording is empty"
    signal = np.concatenate(segments)
    present = signal[np.isfinite(signal).any(axis=1)]
    if not len(present):
        return "every sample is missing"
    if (np.nanmax(present, axis=0) == np.nanmin(present, axis=0)).all():
        return "the signal is flat"
    if recording.duration_s < SHORTEST_S:
        return f"{recording.duration_s:.1f} s are too short"
    return NO_BEAT
