"""Labelled beats -> events and heart rates.

A rule of rhythm is a mask over the beats and its runs. Every rule takes the beats and ``rr_s``, the RR
intervals in seconds that end at each beat: NaN for the first beat and across an unreadable stretch, see
:func:`readable_rr_s`. An interval that could not be watched is no interval and never a pause. It ends
every couplet, run and pattern, and so does a pause: beats further apart than 2 s do not follow each other.

Conventions are those of Holter reading. In couplets, runs and patterns ventricular means V or F, as in the
runs of ANSI/AAMI EC57; a count of VEB is one of V alone, as in its table of beats. So in any recording V and
F together are the singles, twice the couplets and the beats in runs, see :func:`groups`.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ectopy.beats.windows import Floats
from ectopy.ecg import CLASSES, BeatClass, Beats, Event, Mask, Samples, true_intervals
from ectopy.rhythm.atrial_fibrillation import find_atrial_fibrillation, with_runs
from ectopy.rhythm.r_on_t import may_fall_on_t

FAST_BPM = 100.0
"""A run above this rate is a tachycardia (AHA/ACC/HRS 2017), at or below it an ectopic rhythm."""
BRADYCARDIA_BPM = 50.0
"""ACC/AHA/HRS 2018 guideline on bradycardia; older texts say 60."""
PAUSE_S = 2.0
"""Longer RR intervals are counted as pauses."""
NO_RATE_S = 10.0
"""From here on an interval is asystole, fibrillation or lost signal, and no part of a heart rate."""
RUN_BEATS = 3
CYCLES = 3
"""A pattern such as N-V is called bigeminy from three cycles on."""
RATE_INTERVALS = 8
"""Heart rates are means over so many RR intervals in a row."""
EPISODE_S = 30.0
"""Shortest bradycardia, tachycardia or atrial fibrillation."""

Seconds = NDArray[np.float64]
Spans = NDArray[np.intp]


class Kind(NamedTuple):
    """What a kind of event is called, its MIT-BIH rhythm string ("" where MIT has none) and its rule."""

    title: str
    rhythm: str
    rule: str


# The stable names of `events.csv`, the most urgent first.
KINDS = {
    "vt": Kind("Ventricular tachycardia", "(VT", "3 or more ventricular beats in a row above 100 bpm"),
    "pause": Kind("Pause", "", "RR interval longer than 2 s; urgent from 3 s"),
    "af": Kind(
        "Atrial fibrillation",
        "(AFIB",
        "RR intervals without any pattern for 30 s or longer, and no constant P wave; "
        "flutter with a changing block too",
    ),
    "idioventricular_rhythm": Kind(
        "Idioventricular rhythm", "(IVR", "3 or more ventricular beats in a row at 100 bpm or less"
    ),
    "sv_run": Kind(
        "Supraventricular run", "(SVTA", "3 or more supraventricular ectopic beats in a row above 100 bpm"
    ),
    "veb_couplet": Kind("Ventricular couplet", "", "2 ventricular beats in a row"),
    "bigeminy": Kind("Ventricular bigeminy", "(B", "every second beat ventricular, 3 or more cycles"),
    "trigeminy": Kind("Ventricular trigeminy", "(T", "every third beat ventricular, 3 or more cycles"),
    "bradycardia": Kind("Bradycardia", "(SBR", "below 50 bpm, mean of 8 intervals, for 30 s or longer"),
    "tachycardia": Kind("Tachycardia", "", "above 100 bpm, mean of 8 intervals, for 30 s or longer"),
    "sveb_bigeminy": Kind(
        "Supraventricular bigeminy", "(AB", "every second beat supraventricular ectopic, 3 or more cycles"
    ),
    "sveb_couplet": Kind("Supraventricular couplet", "", "2 supraventricular ectopic beats in a row"),
    "r_on_t": Kind(
        "Possible R-on-T",
        "",
        "ventricular beat before the expected end of QT of the beat before (Fridericia, QTc 0.40 s); "
        "by timing alone",
    ),
}


ATRIAL = ("sv_run", "sveb_bigeminy", "sveb_couplet")
"""What a fibrillating atrium cannot have."""


def find_events(
    beats: Beats,
    *,
    duration_s: float,
    unreadable: Samples,
    low_quality: Mask | None = None,
    af_penalty: Floats | None = None,
) -> tuple[Event, ...]:
    """Find every event of :data:`KINDS`, in order of onset; they may overlap.

    An event lasts from the R peak of its first beat to that of its last, a pause from beat to beat.
    ``unreadable`` is int64 [k, 2], half-open stretches in samples; ``doubtful``, [n], tells which beats lie
    in noise, where some may be missed or none: no interval below NO_RATE_S beside them counts.
    ``doubt_of_af`` is what the shapes of beats say, see :func:`ectopy.rhythm.atrial_fibrillation.doubt_from_shapes`:
    without it, RR alone tells.
    """
    rr_s = readable_rr_s(beats, unreadable)
    if low_quality is not None:
        beside = low_quality | np.append(False, low_quality)[: len(beats)]
        # A beat that was missed explains no ten seconds: those may be asystole or fibrillation.
        rr_s[beside & (rr_s < NO_RATE_S)] = np.nan
    rate = rate_bpm(beats, rr_s)
    # A recording shorter than a minute cannot hold much of an episode: half of it is enough.
    shortest_s = min(EPISODE_S, duration_s / 2)
    doubt = np.zeros(len(beats), dtype=np.float32) if af_penalty is None else af_penalty
    fibrillation = [*atrial_fibrillation(beats, rr_s, doubt, shortest_s=shortest_s)]
    events = (
        *fibrillation,
        *couplets(beats, rr_s, "veb_couplet", ventricular(beats)),
        *ventricular_runs(beats, rr_s),
        *couplets(beats, rr_s, "sveb_couplet", supraventricular(beats)),
        *supraventricular_runs(beats, rr_s),
        *pattern(beats, rr_s, "bigeminy", ventricular(beats), period=2),
        *pattern(beats, rr_s, "trigeminy", ventricular(beats), period=3),
        *pattern(beats, rr_s, "sveb_bigeminy", supraventricular(beats), period=2),
        *pauses(beats, rr_s),
        *r_on_t(beats, rr_s, rate),
        *episodes(beats, "bradycardia", rate < BRADYCARDIA_BPM, shortest_s=shortest_s),
        *episodes(beats, "tachycardia", rate > FAST_BPM, shortest_s=shortest_s),
    )
    kept = _drop_atrial_events_in_af(events, fibrillation)
    return tuple(sorted(kept, key=lambda event: (event.onset_s, event.kind)))


def suppress_sveb_in_af(beats: Beats, events: Iterable[Event]) -> Beats:
    """Call no beat in fibrillation an SVEB: none is early where no beat is in time.

    So annotators have it: in the fibrillation of DS1, one in two hundred beats that are not ventricular
    is SVEB. The other classes keep their proportions.
    """
    within = in_atrial_fibrillation(beats, events)
    probability = beats.probability.copy()
    left = probability[within]
    left[:, CLASSES.index(BeatClass.SVEB)] = 0
    left[:, CLASSES.index(BeatClass.NORMAL)] += np.float32(1e-6)  # something is left to share
    probability[within] = left / left.sum(axis=1, keepdims=True)
    likeliest = np.array(CLASSES, dtype="U1")[probability.argmax(axis=1)]
    return replace(beats, label=np.where(within, likeliest, beats.label), probability=probability)


def in_atrial_fibrillation(beats: Beats, events: Iterable[Event]) -> Mask:
    """Mark the beats of episodes of atrial fibrillation, the first and the last included."""
    within, time_s = np.zeros(len(beats), dtype=bool), beats.time_s
    for event in events:
        if event.kind == "af":
            within[beats_of(event, time_s)] = True
    return within


def beats_of(event: Event, time_s: Seconds) -> slice:
    """Give the beats of an event, the first and the last included, among beats at ``time_s``."""
    return slice(np.searchsorted(time_s, event.onset_s), np.searchsorted(time_s, event.offset_s, "right"))


def readable_rr_s(beats: Beats, unreadable: Samples) -> Seconds:
    """RR intervals that end at each beat; NaN for the first and where an unreadable stretch lies between."""
    rr_s = beats.rr_s
    begun = np.searchsorted(unreadable[:, 0], beats.sample[1:], side="left")
    ended = np.searchsorted(unreadable[:, 1], beats.sample[:-1], side="right")
    rr_s[1:][begun > ended] = np.nan
    return rr_s


def is_consecutive(rr_s: Seconds) -> Mask:
    """Beats whose interval to the beat before was seen and is no pause."""
    return rr_s <= PAUSE_S  # False for NaN


def ventricular(beats: Beats) -> Mask:
    """Beats that begin in the ventricles, wholly or in part: V and F."""
    return np.isin(beats.label, (BeatClass.VEB, BeatClass.FUSION))


def supraventricular(beats: Beats) -> Mask:
    """Premature beats from above the ventricles: S."""
    return np.asarray(beats.label == BeatClass.SVEB)


def runs(mask: Mask, rr_s: Seconds) -> Spans:
    """Half-open [start, stop) pairs of the True stretches, each cut where :func:`follows` is False."""
    linked = mask[1:] & mask[:-1] & is_consecutive(rr_s)[1:]
    start = np.flatnonzero(mask & ~np.append(False, linked)[: len(mask)])
    stop = np.flatnonzero(mask & ~np.append(linked, False)[: len(mask)]) + 1
    return np.column_stack((start, stop))


class EctopyCounts(NamedTuple):
    """Ectopic beats that stand alone, in pairs, in threes, in runs of three or more; beats in those runs."""

    singles: int
    couplets: int
    triplets: int
    runs: int
    run_beats: int


def count_groups(spans: Spans) -> EctopyCounts:
    """Count the :func:`runs` of ectopic beats by their length; a triplet is a run of exactly three."""
    length = np.diff(spans)[:, 0]
    in_runs = length >= RUN_BEATS
    counts = ((length == 1).sum(), (length == 2).sum(), (length == RUN_BEATS).sum())
    return EctopyCounts(*map(int, (*counts, in_runs.sum(), length[in_runs].sum())))


def couplets(beats: Beats, rr_s: Seconds, kind: str, mask: Mask) -> Iterator[Event]:
    """Two ectopic beats in a row, no more and no fewer."""
    spans = runs(mask, rr_s)
    return _events(kind, beats, spans[np.diff(spans)[:, 0] == 2])


def ventricular_runs(beats: Beats, rr_s: Seconds) -> Iterator[Event]:
    """Three or more in a row: tachycardia above 100 bpm, idioventricular rhythm at or below."""
    spans = _long(runs(ventricular(beats), rr_s))
    fast = _mean_bpm(beats, spans) > FAST_BPM
    yield from _events("vt", beats, spans[fast])
    yield from _events("idioventricular_rhythm", beats, spans[~fast])


def supraventricular_runs(beats: Beats, rr_s: Seconds) -> Iterator[Event]:
    """Three or more in a row above 100 bpm; slower ones are an atrial rhythm and no event."""
    spans = _long(runs(supraventricular(beats), rr_s))
    return _events("sv_run", beats, spans[_mean_bpm(beats, spans) > FAST_BPM])


def pattern(beats: Beats, rr_s: Seconds, kind: str, ectopic: Mask, *, period: int) -> Iterator[Event]:
    """Every ``period``-th beat ectopic, the others not, for CYCLES cycles or more; a cycle ends ectopic."""
    if len(beats) < period:
        return iter(())
    regular = ~ectopic & np.isin(beats.label, (BeatClass.NORMAL, BeatClass.SVEB))
    cycle = np.append(np.ones(period - 1, dtype=bool), False)
    in_order = (sliding_window_view(regular, period) == cycle).all(axis=1) & ectopic[period - 1 :]
    unbroken = sliding_window_view(is_consecutive(rr_s), period)[:, 1:].all(axis=1)
    first = np.flatnonzero(in_order & unbroken)
    linked = (np.diff(first) == period) & is_consecutive(rr_s)[first[1:]]
    chains = true_intervals(np.append(linked, False)[: len(first)])
    # A chain of k links joins k + 1 cycles.
    chains = chains[np.diff(chains)[:, 0] >= CYCLES - 1]
    return _events(kind, beats, np.column_stack((first[chains[:, 0]], first[chains[:, 1]] + period)))


def pauses(beats: Beats, rr_s: Seconds) -> Iterator[Event]:
    """RR intervals longer than 2 s, from beat to beat."""
    last = np.flatnonzero(rr_s > PAUSE_S)
    return _events("pause", beats, np.column_stack((last - 1, last + 1)))


def r_on_t(beats: Beats, rr_s: Seconds, rate: Seconds) -> Iterator[Event]:
    """V that may fall on the T wave of a normal or supraventricular beat, from that beat to V."""
    conducted = np.isin(beats.label, (BeatClass.NORMAL, BeatClass.SVEB))
    # A fusion beat comes when the next beat was due, long after any T wave.
    last = np.flatnonzero(may_fall_on_t(rr_s, rate, beats.label == BeatClass.VEB, conducted))
    return _events("r_on_t", beats, np.column_stack((last - 1, last + 1)))


def rate_bpm(beats: Beats, rr_s: Seconds) -> Seconds:
    """Heart rate at each beat: over the RATE_INTERVALS intervals that end there, NaN where one is missing."""
    rate = np.full(len(beats), np.nan)
    if len(beats) > RATE_INTERVALS:
        seen = sliding_window_view(rr_s < NO_RATE_S, RATE_INTERVALS)[1:].all(axis=1)
        # From samples, as _mean_bpm.
        span = beats.sample[RATE_INTERVALS:] - beats.sample[:-RATE_INTERVALS]
        rate[RATE_INTERVALS:] = np.where(seen, 60 * beats.fs * RATE_INTERVALS / span, np.nan)
    return rate


def episodes(beats: Beats, kind: str, beyond: Mask, *, shortest_s: float) -> Iterator[Event]:
    """Unions of the windows of :func:`rate_bpm` that are ``beyond`` a limit, where they last long enough."""
    # A window that ends at beat i holds the intervals i - 7 ... i, hence the beats i - 8 ... i.
    ahead = sliding_window_view(np.append(beyond, np.zeros(RATE_INTERVALS, dtype=bool)), RATE_INTERVALS)
    held = np.asarray(ahead.any(axis=1))[:-1]
    spans = true_intervals(held) - (1, 0)
    time_s = beats.time_s
    lasting = time_s[spans[:, 1] - 1] - time_s[spans[:, 0]] >= shortest_s
    return _events(kind, beats, spans[lasting])


def atrial_fibrillation(beats: Beats, rr_s: Seconds, doubt: Floats, *, shortest_s: float) -> Iterator[Event]:
    """Episodes of atrial fibrillation, see :mod:`ectopy.rhythm.atrial_fibrillation`, with the runs of S next to them."""
    early, time_s = supraventricular(beats), beats.time_s
    spans = find_atrial_fibrillation(
        time_s, rr_s, ventricular(beats), early, af_penalty=doubt, shortest_s=shortest_s
    )
    return _events("af", beats, with_runs(spans, _long(runs(early, rr_s)), time_s))


def _drop_atrial_events_in_af(events: Iterable[Event], fibrillation: Sequence[Event]) -> Iterator[Event]:
    """Leave out the ATRIAL events that begin in fibrillation, where an early beat is one like the others."""
    onset_s = [episode.onset_s for episode in fibrillation]
    for event in events:
        before = bisect_right(onset_s, event.onset_s)
        if event.kind in ATRIAL and before and event.onset_s <= fibrillation[before - 1].offset_s:
            continue
        yield event


class HeartRate(NamedTuple):
    """Mean over all readable intervals; least and greatest :func:`rate_bpm` with their times; NaN if none."""

    mean_bpm: float
    min_bpm: float
    max_bpm: float
    min_at_s: float
    max_at_s: float


NO_RATE = HeartRate(*[np.nan] * 5)


def heart_rate(time_s: Seconds, rr_s: Seconds, rate: Seconds) -> HeartRate:
    """Heart rate of a recording or a part of it, from the beats' times, ``rr_s`` and ``rate_bpm``."""
    beating = rr_s[rr_s < NO_RATE_S]
    if not len(beating):
        return NO_RATE
    mean_bpm = 60 / float(beating.mean())
    if np.isnan(rate).all():
        return NO_RATE._replace(mean_bpm=mean_bpm)
    low, high = np.nanargmin(rate), np.nanargmax(rate)
    return HeartRate(mean_bpm, *map(float, (rate[low], rate[high], time_s[low], time_s[high])))


def _long(spans: Spans) -> Spans:
    return spans[np.diff(spans)[:, 0] >= RUN_BEATS]


def _mean_bpm(beats: Beats, spans: Spans) -> Seconds:
    start, last = spans[:, 0], spans[:, 1] - 1
    # From samples: in seconds, a run at exactly 100 bpm might be a hair above.
    return np.asarray(60 * beats.fs * (last - start) / (beats.sample[last] - beats.sample[start]))


def _events(kind: str, beats: Beats, spans: Spans) -> Iterator[Event]:
    time_s = beats.time_s
    # One interval makes no rate worth the name where the interval itself is the finding.
    bpm = np.full(len(spans), np.nan) if kind in {"pause", "r_on_t"} else _mean_bpm(beats, spans)
    columns = (time_s[spans[:, 0]], time_s[spans[:, 1] - 1], np.diff(spans)[:, 0], bpm)
    return (Event(kind, *row) for row in zip(*(column.tolist() for column in columns), strict=True))
