"""The underlying rhythm: what a report says first, such as sinus rhythm or atrial fibrillation."""

from collections.abc import Iterable
from typing import NamedTuple

from ectopy.ecg import Analysis, once
from ectopy.rhythm.kinds import ATRIAL
from ectopy.rhythm.named_intervals import ARTEFACT, RHYTHM_NAMES, SINUS, named_intervals
from ectopy.rhythm.wording import overlap_s

WITHIN_SINUS = ("sinus_bradycardia", "sinus_tachycardia", "bigeminy", "trigeminy", "sveb_bigeminy")
"""Rhythms that sinus rhythm underlies: its rate, and patterns of ectopic beats in it."""
LEAST_PCT = 1.0
"""A rhythm with a smaller share is a finding, but not part of the underlying rhythm."""
_ALL_PCT = 99.95


class RhythmShare(NamedTuple):
    """A rhythm, a key of :data:`ectopy.rhythm.named_intervals.RHYTHM_NAMES`, and how long it lasts."""

    rhythm: str
    seconds: float


@once
def rhythm_shares(analysis: Analysis) -> tuple[RhythmShare, ...]:
    """Compute how long each rhythm lasts.

    A tachycardia during atrial fibrillation or flutter counts as both, so that the time of these is all of
    their episodes.

    Parameters
    ----------
    analysis
        The analysis of a recording.

    Returns
    -------
    The rhythms that occur, artefact among them, in the order of their names.
    """
    seconds = dict.fromkeys(RHYTHM_NAMES, 0.0)
    episodes = {name: analysis.events_of(name) for name in ATRIAL}
    for rhythm, start_s, stop_s in named_intervals(analysis):
        seconds[rhythm] += stop_s - start_s
        for name, events in episodes.items():
            if rhythm not in {name, ARTEFACT}:
                seconds[name] += overlap_s(events, start_s, stop_s)
    return tuple(RhythmShare(rhythm, total_s) for rhythm, total_s in seconds.items() if total_s)


def underlying_rhythm(analysis: Analysis) -> str:
    """Return which rhythm a recording has, and for which share of the time analysed.

    Parameters
    ----------
    analysis
        The analysis of a recording.

    Returns
    -------
    For example ``Sinus rhythm throughout``; "" where nothing could be analysed.
    """
    shares = {rhythm: total_s for rhythm, total_s in rhythm_shares(analysis) if rhythm != ARTEFACT}
    named_s = sum(stop_s - start_s for name, start_s, stop_s in named_intervals(analysis) if name != ARTEFACT)
    if not len(analysis.beats) or not named_s:
        return ""
    within = {rhythm: shares.pop(rhythm) for rhythm in WITHIN_SINUS if rhythm in shares}
    shares[SINUS] = shares.get(SINUS, 0.0) + sum(within.values())
    (main, main_s), *others = sorted(shares.items(), key=lambda share: -share[1])
    main_pct = 100 * main_s / named_s
    if main_pct >= _ALL_PCT:
        text = f"{RHYTHM_NAMES[main].title} throughout"
    else:
        text = f"{RHYTHM_NAMES[main].title} for {main_pct:.1f} % of the time analysed"
    patterns = _with_shares(within.items(), named_s)
    inside = f" ({_listed(patterns)})" if patterns else ""
    besides = [
        part + (inside if rhythm == SINUS else "")
        for rhythm, total_s in others
        for part in _with_shares([(rhythm, total_s)], named_s)
    ]
    return text + (inside if main == SINUS else "") + (f", with {_listed(besides)}" if besides else "")


def _with_shares(seconds: Iterable[tuple[str, float]], all_s: float) -> list[str]:
    """Return the rhythms with a share of LEAST_PCT or more, with it, the longest first."""
    return [
        f"{_in_sentence(RHYTHM_NAMES[rhythm].title)} for {share:.1f} %"
        for rhythm, total_s in sorted(seconds, key=lambda share: -share[1])
        if (share := 100 * total_s / all_s) >= LEAST_PCT
    ]


def _in_sentence(title: str) -> str:
    return title[0].lower() + title[1:]


def _listed(parts: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
