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
from ectopy.rhythm.underlying_rhythm import underlying_rhythm
from ectopy.rhythm.wording import Finding, whole_bpm

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
    "start",
    "rhythm",
)
SHORTEST_S = 10.0
"""A shorter recording without a beat is called too short."""


@dataclass(frozen=True)
class Summary:
    """Summary: the row of :data:`SUMMARY_COLUMNS`, findings by urgency, statistics in total and by time.

    ``daily`` has no row if the recording lies within one day. ``extremes`` are the longest and the fastest
    event of each kind, and ``marks`` the rhythm at each mark of the patient. ``rhythm`` is the underlying
    rhythm with its rate. ``not_analysable`` is the reason if the recording has no beat, else "".
    ``recording`` are the values that further statistics of its parts need.
    """

    row: dict[str, object]
    findings: tuple[Finding, ...]
    hourly: tuple[Stats, ...]
    daily: tuple[Stats, ...]
    extremes: tuple[KindExtremes, ...]
    marks: tuple[MarkedMoment, ...]
    rhythm: str
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
    underlying = underlying_rhythm(analysis)
    rhythm = f"{underlying}{_rates(total)}" if underlying else ""
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
        "start": "" if analysis.start is None else analysis.start.isoformat(sep=" ", timespec="seconds"),
        "rhythm": rhythm,
    }
    return Summary(
        {name: row[name] for name in SUMMARY_COLUMNS},
        findings,
        tuple(by_period(recording, HOUR_S)),
        tuple(by_day(recording)),
        tuple(find_extremes(analysis)),
        tuple(marked_moments(recording)),
        rhythm,
        not_analysable,
        total,
        variability(recording.nn, analysis.duration_s, analysis.fs),
        recording,
    )


def _rates(total: Stats) -> str:
    """Return mean, lowest and highest heart rate as the end of a sentence; "" where there is none."""
    shown = [
        f"{name} {whole_bpm(float(str(total[field])))}{unit}"
        for name, field, unit in (
            ("mean", "hr_mean_bpm", " bpm"),
            ("lowest", "hr_min_bpm", ""),
            ("highest", "hr_max_bpm", ""),
        )
        if total[field] is not None
    ]
    return "".join(f", {text}" for text in shown)


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
        return f"{recording.duration_s:.1f} s is too short"
    return NO_BEAT
