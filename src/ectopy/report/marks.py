"""Describe the rhythm at the moments that the patient marked."""

from collections.abc import Iterator
from typing import NamedTuple

from ectopy.ecg import Analysis, Event, Mark
from ectopy.report.statistics import RecordingStats, Stats, stats
from ectopy.rhythm.kinds import KINDS
from ectopy.rhythm.named_intervals import RHYTHM_NAMES, named_intervals, rhythms_at

AROUND_S = 30.0
"""Time before and after a mark that counts as the moment: patients press the button late."""
_SHOWN = ("analysable_s", "n_beats", "n_veb", "n_sveb", "hr_mean_bpm", "hr_min_bpm", "hr_max_bpm")


class MarkedMoment(NamedTuple):
    """Moment that the patient marked: its number from 1 on, its rhythm, the kinds of events around it.

    ``rhythm`` is a key of :data:`ectopy.rhythm.named_intervals.RHYTHM_NAMES`, and ``title`` its title.
    ``stats`` are values of :func:`ectopy.report.statistics.stats` within AROUND_S of the mark.
    """

    number: int
    mark: Mark
    rhythm: str
    events: tuple[str, ...]
    stats: Stats

    @property
    def title(self) -> str:
        """What readers see of the rhythm."""
        return RHYTHM_NAMES[self.rhythm].title

    @property
    def event(self) -> Event:
        """The moment as an event without a length, for a strip."""
        return Event("mark", self.mark.time_s, self.mark.time_s, 0, float("nan"))


def marked_moments(recording: RecordingStats) -> Iterator[MarkedMoment]:
    """Describe the rhythm at each mark of a recording.

    Parameters
    ----------
    recording
        The values that all parts of the recording need.

    Yields
    ------
    The moments in order of time.
    """
    analysis = recording.analysis
    if not analysis.recording.marks:
        return
    marks = analysis.recording.marks
    rhythms = rhythms_at(named_intervals(analysis), [mark.time_s for mark in marks])
    for number, (mark, rhythm) in enumerate(zip(marks, rhythms, strict=True), 1):
        start_s, stop_s = max(mark.time_s - AROUND_S, 0.0), min(mark.time_s + AROUND_S, analysis.duration_s)
        around = stats(recording, start_s, stop_s)
        yield MarkedMoment(
            number,
            mark,
            rhythm,
            events_between(analysis, start_s, stop_s),
            {name: around[name] for name in _SHOWN},
        )


def events_between(analysis: Analysis, start_s: float, stop_s: float) -> tuple[str, ...]:
    """Name the kinds of events that reach into a part of a recording.

    Parameters
    ----------
    analysis
        The analysis of the recording.
    start_s, stop_s
        The part, in seconds from the start of the recording.

    Returns
    -------
    Names of kinds, in the order of the registry: the most urgent first.
    """
    present = {event.kind for event in analysis.events if event.onset_s < stop_s and event.offset_s > start_s}
    return tuple(name for name in KINDS if name in present)
