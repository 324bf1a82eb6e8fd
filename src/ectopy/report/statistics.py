"""The figures of a recording or a part of it, topic by topic; their meaning and unit are in the schema.

Beats count where they are, events and groups of ectopic beats where they begin; fibrillation, bradycardia and
tachycardia with the time that lies in the part. None where there is no figure.
"""

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from ectopy.ecg import Analysis, BeatClass, Event, Labels
from ectopy.report.findings import (
    SUSTAINED_S,
    URGENT_PAUSE_S,
    analysable_s,
    burden_pct,
    of_kind,
    overlap_s,
    seconds,
)
from ectopy.rhythm.events import (
    HeartRate,
    Seconds,
    Spans,
    count_groups,
    heart_rate,
    in_atrial_fibrillation,
    rate_bpm,
    readable_rr_s,
    runs,
    supraventricular,
    ventricular,
)
from ectopy.rhythm.hrv import NormalIntervals, normal_intervals, short_term

Figures = dict[str, object]

LASTING = ("af", "bradycardia", "tachycardia")


class Rates(NamedTuple):
    """What heart rates are taken from, an element a beat: time, RR interval, heart rate."""

    time_s: Seconds
    rr_s: Seconds
    rate_bpm: Seconds


class RecordingStats(NamedTuple):
    """What is computed once for all parts: rates, groups of ectopic beats of either origin, NN intervals.

    ``lasting`` are the events that count with the time that lies in a part, by kind.
    """

    analysis: Analysis
    lasting: dict[str, list[Event]]
    rates: Rates
    ventricular: Spans
    supraventricular: Spans
    nn: NormalIntervals


class PeriodStats(NamedTuple):
    """What begins in [start_s, stop_s) of a recording."""

    whole: RecordingStats
    start_s: float
    stop_s: float
    label: Labels
    rates: Rates
    events: list[Event]

    @property
    def duration_s(self) -> float:
        """Length of the part."""
        return self.stop_s - self.start_s


def rates(analysis: Analysis) -> Rates:
    """Compute times, readable RR intervals and heart rates once for all parts."""
    rr_s = readable_rr_s(analysis.beats, analysis.unreadable)
    return Rates(analysis.beats.time_s, rr_s, rate_bpm(analysis.beats, rr_s))


def recording_stats(analysis: Analysis) -> RecordingStats:
    """Compute what all parts of a recording need."""
    of, beats = rates(analysis), analysis.beats
    fibrillating = in_atrial_fibrillation(beats, analysis.events)
    return RecordingStats(
        analysis,
        {kind: of_kind(analysis.events, kind) for kind in LASTING},
        of,
        runs(ventricular(beats), of.rr_s),
        runs(supraventricular(beats), of.rr_s),
        normal_intervals(beats, of.rr_s, fibrillating),
    )


def stats(of: RecordingStats, start_s: float, stop_s: float) -> Figures:
    """Give all figures of the part [start_s, stop_s) of a recording."""
    found = slice(*np.searchsorted(of.rates.time_s, (start_s, stop_s)).tolist())
    part = PeriodStats(
        of,
        start_s,
        stop_s,
        of.analysis.beats.label[found],
        Rates(*(values[found] for values in of.rates)),
        _begun_events(of.analysis.events, start_s, stop_s),
    )
    topics = (extent, rate, ventricular_ectopy, supraventricular_ectopy, pauses, episodes, normal)
    return {name: value for topic in topics for name, value in topic(part).items()}


def extent(part: PeriodStats) -> Figures:
    """How much there is, and how much of it could be read."""
    readable_s = analysable_s(part.whole.analysis, part.start_s, part.stop_s)
    return {
        "duration_s": round(part.duration_s, 3),
        "analysable_s": round(readable_s, 3),
        "n_beats": len(part.label),
        "n_unclassifiable": int((part.label == BeatClass.UNKNOWN).sum()),
    }


def rate(part: PeriodStats) -> Figures:
    """Heart rate: mean, least and greatest over eight intervals with their times."""
    found: HeartRate = heart_rate(*part.rates)
    return {
        "hr_mean_bpm": _rounded(found.mean_bpm),
        "hr_min_bpm": _rounded(found.min_bpm),
        "hr_max_bpm": _rounded(found.max_bpm),
        "hr_min_at_s": _rounded(found.min_at_s, 3),
        "hr_max_at_s": _rounded(found.max_at_s, 3),
    }


def ventricular_ectopy(part: PeriodStats) -> Figures:
    """VEB alone, in pairs and in runs; runs by rate and length; bigeminy, trigeminy."""
    tachycardia = of_kind(part.events, "vt")
    counted = count_groups(_begun(part.whole.ventricular, part))
    return {
        **_ectopic(part, "veb", BeatClass.VEB),
        "n_fusion": int((part.label == BeatClass.FUSION).sum()),
        "n_veb_singles": counted.singles,
        "n_couplets": counted.couplets,
        "n_veb_triplets": counted.triplets,
        "n_veb_runs": counted.runs,
        "veb_run_beats": counted.run_beats,
        "n_vt_runs": len(tachycardia),
        "n_vt_sustained": sum(seconds(run) >= SUSTAINED_S for run in tachycardia),
        "longest_vt_beats": _most_beats(tachycardia),
        "longest_vt_s": _longest(tachycardia)[0],
        "fastest_vt_bpm": _fastest_bpm(tachycardia),
        "n_idioventricular_runs": len(of_kind(part.events, "idioventricular_rhythm")),
        "n_bigeminy": len(of_kind(part.events, "bigeminy")),
        "n_trigeminy": len(of_kind(part.events, "trigeminy")),
        "n_r_on_t": len(of_kind(part.events, "r_on_t")),
    }


def supraventricular_ectopy(part: PeriodStats) -> Figures:
    """SVEB alone, in pairs and in runs; the fast runs; bigeminy."""
    fast = of_kind(part.events, "sv_run")
    counted = count_groups(_begun(part.whole.supraventricular, part))
    return {
        **_ectopic(part, "sveb", BeatClass.SVEB),
        "n_sveb_singles": counted.singles,
        "n_sveb_couplets": counted.couplets,
        "n_sveb_triplets": counted.triplets,
        "n_sveb_runs": counted.runs,
        "sveb_run_beats": counted.run_beats,
        "n_sv_runs": len(fast),
        "longest_sv_run_beats": _most_beats(fast),
        "longest_sv_run_s": _longest(fast)[0],
        "fastest_sv_run_bpm": _fastest_bpm(fast),
        "n_sveb_bigeminy": len(of_kind(part.events, "sveb_bigeminy")),
    }


def pauses(part: PeriodStats) -> Figures:
    """Pauses, those of 3 s and more, the longest and when it began."""
    found = of_kind(part.events, "pause")
    longest_s, at_s = _longest(found)
    return {
        "n_pauses": len(found),
        "n_pauses_3s": sum(seconds(pause) >= URGENT_PAUSE_S for pause in found),
        "longest_pause_s": longest_s,
        "longest_pause_at_s": at_s,
    }


def episodes(part: PeriodStats) -> Figures:
    """Atrial fibrillation by its share of the readable time; time of slow and of fast rates."""
    lasting, span = part.whole.lasting, (part.start_s, part.stop_s)
    burden = burden_pct(lasting["af"], part.whole.analysis, *span) if len(part.label) else np.nan
    return {
        "n_af": len(of_kind(part.events, "af")),
        "af_burden_pct": _rounded(burden, 2),
        "longest_af_s": _longest(of_kind(part.events, "af"))[0],
        "bradycardia_s": round(overlap_s(lasting["bradycardia"], *span), 3),
        "tachycardia_s": round(overlap_s(lasting["tachycardia"], *span), 3),
    }


def normal(part: PeriodStats) -> Figures:
    """Share of normal-to-normal intervals and, where they are enough, their variability."""
    found = short_term(part.whole.nn.between(part.start_s, part.stop_s), part.duration_s)
    return {"nn_share_pct": found.nn_share_pct, "sdnn_ms": found.sdnn_ms, "rmssd_ms": found.rmssd_ms}


def _ectopic(part: PeriodStats, name: str, letter: BeatClass) -> Figures:
    count = int((part.label == letter).sum())
    burden = round(100 * count / len(part.label), 2) if len(part.label) else None
    return {f"n_{name}": count, f"{name}_burden_pct": burden}


def _begun_events(events: Sequence[Event], start_s: float, stop_s: float) -> list[Event]:
    """Find those that begin in [start_s, stop_s); they are in order of onset."""
    onset_s = attrgetter("onset_s")
    return [*events[bisect_left(events, start_s, key=onset_s) : bisect_left(events, stop_s, key=onset_s)]]


def _begun(spans: Spans, part: PeriodStats) -> Spans:
    at_s = part.whole.rates.time_s[spans[:, 0]]
    return spans[(at_s >= part.start_s) & (at_s < part.stop_s)]


def _most_beats(events: Sequence[Event]) -> int:
    return max((event.n_beats for event in events), default=0)


def _fastest_bpm(events: Sequence[Event]) -> float | None:
    return max((round(event.rate_bpm, 1) for event in events), default=None)


def _longest(events: Sequence[Event]) -> tuple[float | None, float | None]:
    """Give the length and the onset of the longest event."""
    if not events:
        return None, None
    longest = max(events, key=seconds)
    return round(seconds(longest), 3), round(longest.onset_s, 3)


def _rounded(value: float, digits: int = 1) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None
