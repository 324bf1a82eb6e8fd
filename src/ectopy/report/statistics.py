"""Compute the statistics of a recording or a part of it, by topic.

Their meaning and unit are in the schema of ``summary.json``. Beats count where they are. Events and groups of
ectopic beats count where they begin. Atrial fibrillation and flutter, bradycardia and tachycardia also count
with the time that lies in the part. A value that does not exist is None.
"""

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from ectopy.ecg import Analysis, BeatClass, Event, Labels, Mask
from ectopy.rhythm.finders import Spans, count_groups, runs, supraventricular, ventricular
from ectopy.rhythm.heart_rate import Seconds, heart_rate, rate_bpm
from ectopy.rhythm.hrv import NormalIntervals, normal_intervals, short_term
from ectopy.rhythm.kinds import ATRIAL, KINDS
from ectopy.rhythm.wording import burden_pct, overlap_s

Stats = dict[str, object]

LONG_PAUSE_S = 3.0
"""Pauses from here on are counted as ``n_pauses_3s``, whatever the reader calls urgent."""


class Rates(NamedTuple):
    """Series with one element per beat: time, RR interval and heart rate."""

    time_s: Seconds
    rr_s: Seconds
    rate_bpm: Seconds


class RecordingStats(NamedTuple):
    """Values that all parts of a recording need: rates, groups of ectopic beats, NN intervals.

    ``lasting`` are the events, by kind, that count with the time that lies in a part. ``known`` are the
    statistics of the parts that were asked for, by start and end: a short recording is one hour.
    """

    analysis: Analysis
    lasting: dict[str, list[Event]]
    rates: Rates
    ventricular: Spans
    supraventricular: Spans
    nn: NormalIntervals
    known: dict[tuple[float, float], Stats]


class PeriodStats(NamedTuple):
    """Part [start_s, stop_s) of a recording, with the events that begin in it."""

    recording: RecordingStats
    start_s: float
    stop_s: float
    label: Labels
    confident: Mask
    rates: Rates
    events: dict[str, list[Event]]

    @property
    def duration_s(self) -> float:
        """Return the length of the part in seconds."""
        return self.stop_s - self.start_s


def recording_stats(analysis: Analysis) -> RecordingStats:
    """Compute the values that all parts of a recording need."""
    beats, rr_s, criteria = analysis.beats, analysis.rr_s, analysis.criteria
    in_af = np.zeros(len(beats), dtype=bool)
    for episode in (episode for kind in ATRIAL for episode in analysis.events_of(kind)):
        in_af[beats.between(episode.onset_s, episode.offset_s)] = True
    rated_s = rr_s if criteria.pauses_in_lowest_rate else np.where(rr_s > criteria.pause_s, np.nan, rr_s)
    return RecordingStats(
        analysis,
        {name: analysis.events_of(name) for name, kind in KINDS.items() if kind.lasts},
        Rates(beats.time_s, rr_s, rate_bpm(beats, rated_s)),
        runs(ventricular(beats), rr_s),
        runs(supraventricular(beats), rr_s),
        normal_intervals(beats, rr_s, in_af, with_sveb=criteria.sveb_in_hrv),
        {},
    )


def stats(recording: RecordingStats, start_s: float, stop_s: float) -> Stats:
    """Compute all statistics of the part [start_s, stop_s) of a recording.

    Parameters
    ----------
    recording
        The values that all parts need.
    start_s, stop_s
        The part, in seconds from the start of the recording.

    Returns
    -------
    Values by name; :func:`ectopy.report.data_files.summary_schema` describes them.
    """
    part = (start_s, stop_s)
    if part not in recording.known:
        period = _period(recording, start_s, stop_s)
        topics = (_extent, _rate, _counts, _ventricular, _supraventricular, _pauses, _lasting, _variability)
        recording.known[part] = {name: value for topic in topics for name, value in topic(period).items()}
    return dict(recording.known[part])


def _period(recording: RecordingStats, start_s: float, stop_s: float) -> PeriodStats:
    rates, beats = recording.rates, recording.analysis.beats
    part = slice(*np.searchsorted(rates.time_s, (start_s, stop_s)).tolist())
    events: dict[str, list[Event]] = {name: [] for name in KINDS}
    for event in _begun_events(recording.analysis.events, start_s, stop_s):
        events[event.kind].append(event)
    return PeriodStats(
        recording,
        start_s,
        stop_s,
        beats.label[part],
        beats.confident[part],
        Rates(*(values[part] for values in rates)),
        events,
    )


def _extent(period: PeriodStats) -> Stats:
    """Return the length, the readable time, and the numbers of unclassifiable and low-confidence beats."""
    return {
        "duration_s": round(period.duration_s, 3),
        "analysable_s": round(period.recording.analysis.readable_s(period.start_s, period.stop_s), 3),
        "n_beats": len(period.label),
        "n_unclassifiable": int((period.label == BeatClass.UNKNOWN).sum()),
        "n_low_confidence": int((~period.confident).sum()),
    }


def _rate(period: PeriodStats) -> Stats:
    """Return the mean, lowest and highest heart rate over eight intervals, with their times."""
    rate = heart_rate(*period.rates)
    return {
        "hr_mean_bpm": _rounded(rate.mean_bpm),
        "hr_min_bpm": _rounded(rate.min_bpm),
        "hr_max_bpm": _rounded(rate.max_bpm),
        "hr_min_at_s": _rounded(rate.min_at_s, 3),
        "hr_max_at_s": _rounded(rate.max_at_s, 3),
    }


def _counts(period: PeriodStats) -> Stats:
    """Return the number of events of each kind; None for a kind that the criteria leave out."""
    criteria = period.recording.analysis.criteria
    return {
        kind.count: len(period.events[name]) if kind.is_sought(criteria) else None
        for name, kind in KINDS.items()
    }


def _ventricular(period: PeriodStats) -> Stats:
    """Return VEB alone, in pairs and in runs, and the longest and fastest tachycardia."""
    tachycardia = period.events["vt"]
    groups = count_groups(_begun(period.recording.ventricular, period))
    sustained_s = period.recording.analysis.criteria.sustained_s
    return {
        **_ectopic(period, "veb", BeatClass.VEB),
        "n_fusion": int((period.label == BeatClass.FUSION).sum()),
        "n_veb_singles": groups.singles,
        "n_veb_triplets": groups.triplets,
        "n_veb_runs": groups.runs,
        "veb_run_beats": groups.run_beats,
        "n_vt_sustained": sum(run.duration_s >= sustained_s for run in tachycardia),
        "longest_vt_beats": _most_beats(tachycardia),
        "longest_vt_s": _longest(tachycardia)[0],
        "fastest_vt_bpm": _fastest_bpm(tachycardia),
    }


def _supraventricular(period: PeriodStats) -> Stats:
    """Return SVEB alone, in pairs and in runs, and the longest and fastest run."""
    fast = period.events["sv_run"]
    groups = count_groups(_begun(period.recording.supraventricular, period))
    return {
        **_ectopic(period, "sveb", BeatClass.SVEB),
        "n_sveb_singles": groups.singles,
        "n_sveb_triplets": groups.triplets,
        "n_sveb_runs": groups.runs,
        "sveb_run_beats": groups.run_beats,
        "longest_sv_run_beats": _most_beats(fast),
        "longest_sv_run_s": _longest(fast)[0],
        "fastest_sv_run_bpm": _fastest_bpm(fast),
    }


def _pauses(period: PeriodStats) -> Stats:
    """Return the long pauses, and the longest one with its time."""
    longest_s, at_s = _longest(period.events["pause"])
    return {
        "n_pauses_3s": sum(pause.duration_s >= LONG_PAUSE_S for pause in period.events["pause"]),
        "longest_pause_s": longest_s,
        "longest_pause_at_s": at_s,
    }


def _lasting(period: PeriodStats) -> Stats:
    """Return AF and flutter by their share of the readable time, and the time of slow and of fast rates."""
    lasting, span = period.recording.lasting, (period.start_s, period.stop_s)
    analysis = period.recording.analysis
    has_burden = len(period.label) and analysis.criteria.detect_af
    atrial = [episode for kind in ATRIAL for episode in lasting[kind]]
    burden = burden_pct(atrial, analysis, *span) if has_burden else np.nan
    return {
        "af_burden_pct": _rounded(burden, 2),
        "longest_af_s": _longest([episode for kind in ATRIAL for episode in period.events[kind]])[0],
        "bradycardia_s": round(overlap_s(lasting["bradycardia"], *span), 3),
        "tachycardia_s": round(overlap_s(lasting["tachycardia"], *span), 3),
    }


def _variability(period: PeriodStats) -> Stats:
    """Return the share of normal-to-normal intervals and, where they are enough, their variability."""
    hrv = short_term(period.recording.nn.between(period.start_s, period.stop_s), period.duration_s)
    return {"nn_share_pct": hrv.nn_share_pct, "sdnn_ms": hrv.sdnn_ms, "rmssd_ms": hrv.rmssd_ms}


def _ectopic(period: PeriodStats, name: str, label: BeatClass) -> Stats:
    count = int((period.label == label).sum())
    burden = round(100 * count / len(period.label), 2) if len(period.label) else None
    return {f"n_{name}": count, f"{name}_burden_pct": burden}


def _begun_events(events: Sequence[Event], start_s: float, stop_s: float) -> Sequence[Event]:
    """Find the events that begin in [start_s, stop_s); they are in order of onset."""
    onset_s = attrgetter("onset_s")
    return events[bisect_left(events, start_s, key=onset_s) : bisect_left(events, stop_s, key=onset_s)]


def _begun(spans: Spans, period: PeriodStats) -> Spans:
    begin_s = period.recording.rates.time_s[spans[:, 0]]
    return spans[(begin_s >= period.start_s) & (begin_s < period.stop_s)]


def _most_beats(events: Sequence[Event]) -> int:
    return max((event.n_beats for event in events), default=0)


def _fastest_bpm(events: Sequence[Event]) -> float | None:
    rates = (round(event.rate_bpm, 1) for event in events if event.rate_bpm > 0)  # NaN without beats
    return max(rates, default=None)


def _longest(events: Sequence[Event]) -> tuple[float | None, float | None]:
    """Return the length and the onset of the longest event, in seconds."""
    if not events:
        return None, None
    longest = max(events, key=attrgetter("duration_s"))
    return round(longest.duration_s, 3), round(longest.onset_s, 3)


def _rounded(value: float, digits: int = 1) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None
