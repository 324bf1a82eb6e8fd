"""Comparison of findings with a reference: episodes found, and findings that are false.

* An episode is found if an event that names its rhythm, or points to it, overlaps it.
* An event is false if it overlaps no episode of a rhythm that it may name, grown by TOLERANCE_S at both ends.
  Events of malignant rhythms may name each other: that the name is wrong is counted on its own.
* In an interval marked as noise nothing is judged. An event that reaches into one is judged by its part
  outside, if this lasts OUTSIDE_S or more. An event of a rhythm of which the database does not state all
  episodes is not judged.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ectopy.ec57.summary import Ratio
from ectopy.ecg import Analysis, BeatClass, Event, merge_intervals
from ectopy.evaluation.finding_reference import (
    BY_NAME,
    NOISE,
    RHYTHMS,
    STRIPS,
    Episode,
    FindingReference,
    Rhythm,
)
from ectopy.rhythm.findings import find_findings
from ectopy.rhythm.kinds import KINDS
from ectopy.rhythm.wording import Urgency

TOLERANCE_S = 2.0
"""A finding that ends or begins so close to an episode is not false, in seconds."""
OUTSIDE_S = 2.0
"""An event that overlaps noise is judged if so much of it is outside, in seconds."""
LONG_S = 5.0
"""Malignant episodes of this length are also counted on their own, in seconds."""
DAY_S = 86_400.0
LOUD = (Urgency.URGENT, Urgency.IMPORTANT)
"""The urgencies of findings that a reader must not miss."""

_PER_RHYTHM = ("reference", "found", "called", "false", "days")
_MALIGNANT = ("reference", "named", "right", "false", "days", "false_in_noise", "noise_days")
_AF_TIME = ("reference_s", "reference_overlap_s", "test_s", "test_overlap_s", "error_s", "days")
_WINDOWS = ("shockable", "shockable_named", "other", "other_not_named")
_STRIPS = ("n", "with_veb", "with_loud_finding", "called_af")
FIELDS = (
    *(f"{rhythm.name}/{field}" for rhythm in RHYTHMS for field in _PER_RHYTHM),
    *(f"malignant/{field}" for field in _MALIGNANT),
    *(f"findings/false_{urgency.name.lower()}" for urgency in LOUD),
    "findings/days",
    *(f"af_time/{field}" for field in _AF_TIME),
    *(f"windows/{field}" for field in _WINDOWS),
    *(f"strips/{strip}/{field}" for strip in STRIPS for field in _STRIPS),
)
"""Names of the counts of a comparison, in their order."""
_INDEX = {field: index for index, field in enumerate(FIELDS)}


def _sum_of(*fields: str, weight: int = 1) -> NDArray[np.int64]:
    weights = np.zeros(len(FIELDS), dtype=np.int64)
    for field in fields:
        weights[_INDEX[field]] += weight
    return weights


def _metrics() -> Iterator[tuple[str, Ratio]]:
    for rhythm in RHYTHMS:
        name = rhythm.name
        yield f"{name}/found_share", Ratio(_sum_of(f"{name}/found"), _sum_of(f"{name}/reference"))
        yield f"{name}/false_per_24h", Ratio(_sum_of(f"{name}/false"), _sum_of(f"{name}/days"))
    yield "malignant/named_share", Ratio(_sum_of("malignant/named"), _sum_of("malignant/reference"))
    yield "malignant/right_share", Ratio(_sum_of("malignant/right"), _sum_of("malignant/named"))
    yield "malignant/false_per_24h", Ratio(_sum_of("malignant/false"), _sum_of("malignant/days"))
    yield (
        "malignant/false_in_noise_per_24h",
        Ratio(_sum_of("malignant/false_in_noise"), _sum_of("malignant/noise_days")),
    )
    for urgency in LOUD:
        field = f"findings/false_{urgency.name.lower()}"
        yield f"{field}_per_24h", Ratio(_sum_of(field), _sum_of("findings/days"))
    for side, name in (("reference", "sensitivity"), ("test", "positive_predictivity")):
        yield f"af_time/{name}", Ratio(_sum_of(f"af_time/{side}_overlap_s"), _sum_of(f"af_time/{side}_s"))
    # Seconds of error in a day of 86,400 s; 3,600 times the days give hours a day.
    yield "af_time/error_h_per_day", Ratio(_sum_of("af_time/error_s"), _sum_of("af_time/days", weight=3600))
    for group, right in (("shockable", "shockable_named"), ("other", "other_not_named")):
        yield f"windows/{right}_share", Ratio(_sum_of(f"windows/{right}"), _sum_of(f"windows/{group}"))
    for strip in STRIPS:
        for field in _STRIPS[1:]:
            share = Ratio(_sum_of(f"strips/{strip}/{field}"), _sum_of(f"strips/{strip}/n"))
            yield f"strips/{strip}/{field}_share", share
    true = _sum_of("strips/af/called_af", weight=2)
    called_or_true = _sum_of("strips/af/n", *(f"strips/{strip}/called_af" for strip in STRIPS))
    yield "strips/af_f1", Ratio(true, called_or_true, required=_sum_of("strips/af/n"))


@dataclass(frozen=True, eq=False)
class FindingCounts:
    """Counts of one record, or of a sum of records, in the order of FIELDS.

    Days are the time in which findings are judged. The metrics are shares, or numbers in 24 h of it.
    """

    METRICS: ClassVar[Mapping[str, Ratio]] = MappingProxyType(dict(_metrics()))

    cells: NDArray[np.float64]

    def __getitem__(self, field: str) -> float:
        return float(self.cells[_INDEX[field]])

    def __add__(self, other: Self) -> Self:
        return type(self)(self.cells + other.cells)


@dataclass(frozen=True)
class CalledEvent:
    """An event of an analysis, with the urgency that a finding of it alone would have."""

    kind: str
    start_s: float
    stop_s: float
    urgency: Urgency

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.stop_s - self.start_s


@dataclass(frozen=True)
class Called:
    """What an analysis says of a record. A loud finding is an urgent or an important one."""

    events: tuple[CalledEvent, ...]
    has_veb: bool = False
    has_loud_finding: bool = False


@dataclass(frozen=True, eq=False)
class FindingComparison:
    """Counts of one record, with its false events and its missed episodes."""

    counts: FindingCounts
    false: tuple[CalledEvent, ...]
    missed: tuple[Episode, ...]


def called_of(analysis: Analysis, not_analysable: str = "") -> Called:
    """Return what an analysis says of a record.

    Parameters
    ----------
    analysis
        The analysis.
    not_analysable
        The reason if it has no beat.

    Returns
    -------
    Its events with their urgency.
    """
    events = tuple(
        CalledEvent(event.kind, event.onset_s, event.offset_s, urgency_of(event, analysis))
        for event in analysis.events
    )
    findings = find_findings(analysis, not_analysable)
    return Called(
        events,
        has_veb=bool((analysis.beats.label == BeatClass.VEB).any()),
        has_loud_finding=any(finding.urgency in LOUD for finding in findings),
    )


def urgency_of(event: Event, analysis: Analysis) -> Urgency:
    """Return the urgency of the finding if this were the only event of its kind.

    Parameters
    ----------
    event
        The event.
    analysis
        Its analysis.

    Returns
    -------
    The urgency.
    """
    describe = KINDS[event.kind].describe
    if describe is None:
        return Urgency.NOTE
    return max((finding.urgency for finding in describe((event,), analysis)), default=Urgency.NOTE)


def compare_findings(reference: FindingReference, called: Called) -> FindingComparison:
    """Compare the findings of a record with its reference.

    Parameters
    ----------
    reference
        What is known of the record.
    called
        What the analysis says.

    Returns
    -------
    Counts, false events and missed episodes.
    """
    counts = dict.fromkeys(FIELDS, 0.0)
    noise = [episode for episode in reference.episodes if episode.rhythm == NOISE]
    judged_s = reference.duration_s - _total_s(noise)
    false: list[CalledEvent] = []
    missed: list[Episode] = []
    for rhythm in RHYTHMS:
        if rhythm.name not in reference.known:
            continue
        episodes, claims = _counted(reference, rhythm), _claims(rhythm, called.events)
        events = _outside(claims, noise)
        not_found = [episode for episode in episodes if not _overlaps_any(episode, claims)]
        wrong = [event for event in events if is_false(event, rhythm, reference)]
        numbers = (len(episodes), len(episodes) - len(not_found), len(events), len(wrong), judged_s / DAY_S)
        counts |= {
            f"{rhythm.name}/{field}": number for field, number in zip(_PER_RHYTHM, numbers, strict=True)
        }
        false += wrong
        missed += not_found
    counts |= _malignant(reference, called, noise)
    if reference.known:
        counts["findings/days"] = judged_s / DAY_S
        for urgency in LOUD:
            number = sum(event.urgency == urgency for event in false)
            counts[f"findings/false_{urgency.name.lower()}"] = number
    counts |= _af_time(reference, called) | _windows(reference, called) | _strip(reference, called)
    cells = np.array([counts[field] for field in FIELDS], dtype=np.float64)
    return FindingComparison(FindingCounts(cells), tuple(false), tuple(missed))


def is_false(event: CalledEvent, rhythm: Rhythm, reference: FindingReference) -> bool:
    """Return whether an event that names a rhythm overlaps no episode of a rhythm that it may name.

    Parameters
    ----------
    event
        The event.
    rhythm
        The rhythm that it names or points to.
    reference
        What is known of the record.

    Returns
    -------
    True if the event is false.
    """
    accepted = {rhythm.name, *rhythm.accepts}
    if rhythm.malignant:
        accepted |= {other.name for other in RHYTHMS if other.malignant}
    near = [episode for episode in reference.episodes if episode.rhythm in accepted]
    return not _overlaps_any(event, near, tolerance_s=TOLERANCE_S)


def _malignant(
    reference: FindingReference,
    called: Called,
    noise: Sequence[Episode],
) -> dict[str, float]:
    """Count malignant rhythms together: long episodes that are named, and false findings elsewhere."""
    rhythms = [rhythm for rhythm in RHYTHMS if rhythm.malignant and rhythm.name in reference.known]
    if not rhythms:
        return {}
    long = [
        (rhythm, episode)
        for rhythm in rhythms
        for episode in _counted(reference, rhythm)
        if episode.duration_s >= LONG_S
    ]
    naming = {kind for rhythm in rhythms for kind in rhythm.kinds}
    name_one = [event for event in called.events if event.kind in naming]
    claims = {rhythm: _claims(rhythm, called.events) for rhythm in rhythms}
    named = [
        (rhythm, episode) for rhythm, episode in long if _overlaps_any(episode, [*name_one, *claims[rhythm]])
    ]
    right = [(rhythm, episode) for rhythm, episode in named if _overlaps_any(episode, claims[rhythm])]
    false = sum(
        is_false(event, rhythm, reference) for rhythm in rhythms for event in _outside(claims[rhythm], noise)
    )
    claiming = {event for events in claims.values() for event in events}
    in_noise = len(claiming) - len(_outside(claiming, noise))
    names = {rhythm.name for rhythm in rhythms}
    taken = [episode for episode in reference.episodes if episode.rhythm in {NOISE, *names}]
    numbers = (len(long), len(named), len(right), false)
    days = ((reference.duration_s - _total_s(taken)) / DAY_S, in_noise, _total_s(noise) / DAY_S)
    return {
        f"malignant/{field}": float(number)
        for field, number in zip(_MALIGNANT, (*numbers, *days), strict=True)
    }


def _af_time(reference: FindingReference, called: Called) -> dict[str, float]:
    if not reference.timed:
        return {}
    rhythm = BY_NAME["af"]
    true = [(episode.start_s, episode.stop_s) for episode in reference.episodes if episode.rhythm == "af"]
    test = [(event.start_s, event.stop_s) for event in called.events if event.kind in rhythm.kinds]
    true_s, test_s = (sum(stop - start for start, stop in spans) for spans in (true, test))
    shared_s = sum(
        max(0.0, min(stop, other_stop) - max(start, other_start))
        for start, stop in true
        for other_start, other_stop in test
    )
    numbers = (true_s, shared_s, test_s, shared_s, abs(test_s - true_s), reference.duration_s / DAY_S)
    return {f"af_time/{field}": number for field, number in zip(_AF_TIME, numbers, strict=True)}


def _windows(reference: FindingReference, called: Called) -> dict[str, float]:
    naming = {*BY_NAME["vt"].kinds, *BY_NAME["vf"].kinds}
    events = [event for event in called.events if event.kind in naming]
    counts = dict.fromkeys((f"windows/{field}" for field in _WINDOWS), 0.0)
    for window in reference.windows:
        named = _overlaps_any(window, events)
        counts["windows/shockable" if window.shockable else "windows/other"] += 1
        counts["windows/shockable_named"] += window.shockable and named
        counts["windows/other_not_named"] += not (window.shockable or named)
    return counts


def _strip(reference: FindingReference, called: Called) -> dict[str, float]:
    if not reference.strip:
        return {}
    called_af = any(event.kind in BY_NAME["af"].kinds for event in called.events)
    numbers = (1, called.has_veb, called.has_loud_finding, called_af)
    return {
        f"strips/{reference.strip}/{field}": float(number)
        for field, number in zip(_STRIPS, numbers, strict=True)
    }


def _counted(reference: FindingReference, rhythm: Rhythm) -> list[Episode]:
    """Return the episodes of a rhythm that must be found."""
    return [
        episode
        for episode in reference.episodes
        if episode.rhythm == rhythm.name and episode.counts and episode.duration_s >= rhythm.shortest_s
    ]


def _claims(rhythm: Rhythm, events: Iterable[CalledEvent]) -> list[CalledEvent]:
    """Return the events that name a rhythm, or point to it."""
    kinds = {*rhythm.kinds, *rhythm.also}
    return [event for event in events if event.kind in kinds and event.duration_s >= rhythm.shortest_event_s]


class _Span(Protocol):
    @property
    def start_s(self) -> float: ...

    @property
    def stop_s(self) -> float: ...


def _overlaps_any(span: _Span, others: Iterable[_Span], *, tolerance_s: float = 0.0) -> bool:
    return any(
        span.start_s < other.stop_s + tolerance_s and other.start_s - tolerance_s < span.stop_s
        for other in others
    )


def _merged(spans: Iterable[_Span]) -> list[list[float]]:
    bounds = np.array([(span.start_s, span.stop_s) for span in spans]).reshape(-1, 2)
    merged: list[list[float]] = merge_intervals(bounds).tolist()
    return merged


def _total_s(spans: Iterable[_Span]) -> float:
    """Return the time that some intervals cover together."""
    return sum(stop - start for start, stop in _merged(spans))


def _outside(events: Iterable[CalledEvent], noise: Sequence[Episode]) -> list[CalledEvent]:
    """Return the parts of events outside noise: from where it first ends to where it last begins."""
    parts, merged = [], _merged(noise)
    for event in events:
        within = [span for span in merged if span[0] < event.stop_s and event.start_s < span[1]]
        lost_s = sum(min(stop, event.stop_s) - max(start, event.start_s) for start, stop in within)
        if not within:
            parts.append(event)
        elif event.duration_s - lost_s >= OUTSIDE_S:
            start_s = within[0][1] if within[0][0] <= event.start_s else event.start_s
            stop_s = within[-1][0] if within[-1][1] >= event.stop_s else event.stop_s
            parts.append(replace(event, start_s=start_s, stop_s=stop_s))
    return parts
