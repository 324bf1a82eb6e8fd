"""What an analysis comes to: the row of the summary and the figures of each hour."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ectopy.ecg import Analysis, BeatClass, Event, Mask, Recording, Signal
from ectopy.report.findings import Finding, analysable_s, burden_pct, find_findings, of_kind
from ectopy.rhythm import Seconds, heart_rate, rate_bpm, readable_rr_s

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
LOOK_S, N_LOOKS = 10.0, 8


@dataclass(frozen=True)
class Summary:
    """The row of :data:`SUMMARY_COLUMNS`, findings (the most urgent first), figures by the hour.

    ``why_not`` says why nothing could be analysed; "" where something could.
    """

    row: dict[str, object]
    findings: tuple[Finding, ...]
    hourly: tuple[dict[str, object], ...]
    why_not: str


class Rates(NamedTuple):
    """What heart rates are taken from, an element a beat: time, RR interval, heart rate."""

    time_s: Seconds
    rr_s: Seconds
    rate_bpm: Seconds


def rates(analysis: Analysis) -> Rates:
    """Compute times, readable RR intervals and heart rates once for all periods."""
    rr_s = readable_rr_s(analysis.beats, analysis.unreadable)
    return Rates(analysis.beats.time_s, rr_s, rate_bpm(analysis.beats, rr_s))


def summarise(analysis: Analysis, recording: Recording, provenance: Mapping[str, object]) -> Summary:
    """Sum an analysis up; ``provenance`` as for :func:`ectopy.report.write_outputs`."""
    why_not = "" if len(analysis.beats) else why_not_analysable(recording)
    findings = find_findings(analysis, why_not)
    row = dict.fromkeys(SUMMARY_COLUMNS) | {
        **figures(analysis, rates(analysis), 0, analysis.duration_s),
        "recording": provenance["recording"],
        "path": str(provenance["path"]),
        "status": "scored",
        "reason": "",
        "findings": "; ".join(map(str, findings)),
        "model": provenance["model"],
        "input_sha256": provenance["input_sha256"],
    }
    return Summary(
        {name: row[name] for name in SUMMARY_COLUMNS}, findings, by_period(analysis, HOUR_S), why_not
    )


def by_period(analysis: Analysis, period_s: float) -> tuple[dict[str, object], ...]:
    """Figures of each period; the last may be shorter, and a rest below a tenth of one belongs to it."""
    of, end = rates(analysis), analysis.duration_s
    starts = [0.0, *np.arange(period_s, end - period_s / 10, period_s).tolist()]
    return tuple(
        {"start_s": start, "stop_s": stop, **figures(analysis, of, start, stop)}
        for start, stop in pairwise((*starts, end))
    )


def figures(analysis: Analysis, of: Rates, start_s: float, stop_s: float) -> dict[str, object]:
    """Figures of the beats and events that begin in [start_s, stop_s); None where there is no figure.

    Fibrillation counts with the part of it that lies there.
    """
    part = slice(*np.searchsorted(of.time_s, (start_s, stop_s)).tolist())
    label = analysis.beats.label[part]
    events = [event for event in analysis.events if start_s <= event.onset_s < stop_s]
    rate = heart_rate(of.time_s[part], of.rr_s[part], of.rate_bpm[part])
    return {
        "duration_s": round(stop_s - start_s, 3),
        "analysable_s": round(analysable_s(analysis, start_s, stop_s), 3),
        "n_beats": len(label),
        "hr_mean_bpm": _rounded(rate.mean_bpm),
        "hr_min_bpm": _rounded(rate.min_bpm),
        "hr_max_bpm": _rounded(rate.max_bpm),
        **_ectopy("veb", label == BeatClass.VEB),
        **_ectopy("sveb", label == BeatClass.SVEB),
        "n_couplets": len(of_kind(events, "veb_couplet")),
        "n_vt_runs": len(of_kind(events, "vt")),
        "longest_vt_beats": max((event.n_beats for event in of_kind(events, "vt")), default=0),
        "af_burden_pct": _af_burden_pct(analysis, start_s, stop_s) if len(label) else None,
        "n_pauses": len(of_kind(events, "pause")),
        "longest_pause_s": _longest_s(of_kind(events, "pause")),
    }


def why_not_analysable(recording: Recording) -> str:
    """Say why a recording without a beat has none, from a few looks at its signal."""
    looks = [look for look in _looks(recording) if len(look)]
    if not looks:
        return "the recording is empty"
    signal = np.concatenate(looks)
    present = signal[np.isfinite(signal).any(axis=1)]
    if not len(present):
        return "every sample is missing"
    if (np.nanmax(present, axis=0) == np.nanmin(present, axis=0)).all():
        return "the signal is flat"
    if recording.duration_s < SHORTEST_S:
        return f"{recording.duration_s:.1f} s are too short"
    return "no beat was found"


def _looks(recording: Recording) -> Iterator[Signal]:
    length = min(recording.n_samples, round(LOOK_S * recording.fs))
    for start in np.linspace(0, recording.n_samples - length, N_LOOKS).round().astype(int).tolist():
        yield recording.read(start, start + length)


def _ectopy(name: str, ectopic: Mask) -> dict[str, object]:
    count = int(ectopic.sum())
    burden = round(100 * count / len(ectopic), 2) if len(ectopic) else None
    return {f"n_{name}": count, f"{name}_burden_pct": burden}


def _af_burden_pct(analysis: Analysis, start_s: float, stop_s: float) -> float | None:
    burden = burden_pct(of_kind(analysis.events, "af"), analysis, start_s, stop_s)
    return round(burden, 2) if np.isfinite(burden) else None


def _longest_s(pauses: Sequence[Event]) -> float | None:
    return max((round(event.offset_s - event.onset_s, 3) for event in pauses), default=None)


def _rounded(value: float) -> float | None:
    return round(value, 1) if np.isfinite(value) else None
