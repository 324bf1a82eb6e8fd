"""Alarms of a running signal: once a second, by its waves and its beats so far. Never for life support.

The clock is that of the signal, so the size of the chunks changes no alarm. Nothing is known of the future.
While the signal cannot be read or is in noise, no alarm begins: that is what "hold" means here.

Asystole, extreme rates and runs of ventricular beats are judged by the definitions of Clifford and others
2015, The PhysioNet/Computing in Cardiology Challenge: reducing false arrhythmia alarms in the ICU. Its limit
of 140 a minute for an extreme tachycardia is for patients in bed; ours is higher. Fibrillation, and
ventricular tachycardia without separate beats, are judged by :mod:`ectopy.live.alarm_network`.
"""

import math
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal, NamedTuple

import numpy as np

from ectopy.ecg import Mask, Signal
from ectopy.live.alarm_network import (
    SHORT_S,
    WINDOW_S,
    AlarmModel,
    Floats,
    alarm_features,
    follow_usual,
    next_belief,
    over_leads,
)
from ectopy.live.front_end import LIVE_FS
from ectopy.rhythm.rhythm_intervals import RHYTHMS, Rhythm
from ectopy.signal.latest_waves import measure_latest_waves
from ectopy.signal.waves import WAVES

ALARMS = ("vf", "asystole", "vt", "extreme_tachycardia", "extreme_bradycardia")
"""Names of the alarms, the most urgent first."""
WINDOW = WINDOW_S * LIVE_FS
"""Samples at LIVE_FS that are judged together."""

_ON, _OFF = 0.5, 0.2  # belief in a rhythm at which its alarm begins, and below which it ends
_END = 3 * LIVE_FS  # an alarm ends if its conditions are not met for this time
_SURE = 0.8  # belief in organised beats at which their intervals name the rhythm
_NOISY = 0.3  # probability of artefact in a second from which its beats tell nothing
_STEADY_BEATS, _STEADY_BPM, _STEADY_CHANGE = 4, 130.0, 0.15
_UNLIKELY = np.float32(0.1)  # how likely such steady beats are in VT or VF, against an organised rhythm
_SMALL_BEAT = 0.29  # of the usual strength, as in beats.standstill: no P wave of DS1 and svdb is larger
_SMALL_WAVES = 0.3  # of the usual height: as much as a P wave or a trembling baseline has
_HALF, _P_WAVE_MV = 0.5, 0.3  # waves of half the usual height are beats, unless they are as small as P waves
_LEAST_MV = 0.05  # leads with a lower usual height have no beats
_BEAT_SHARE = 1 / 16  # of a new beat in the usual strength and height
_N_KEPT = 24  # beats that the alarms remember
_IRREGULAR, _REGULAR = 0.12, 0.08  # median relative change of RR; sinus rhythm of a rested heart has less
_SAME_S = 5  # a change between regular and irregular is told after so many seconds
_VT, _VF, _ARTEFACT = (RHYTHMS.index(one) for one in (Rhythm.VT, Rhythm.VF, Rhythm.ARTEFACT))
_SMALLEST, _CHANGE = (list(WAVES).index(name) for name in ("smallest second", "change of size"))


@dataclass(frozen=True)
class AlarmLimits:
    """Limits of the alarms: times in seconds, rates in beats a minute.

    A rate is extreme if ``bradycardia_beats`` or ``tachycardia_beats`` in a row have it on average.
    """

    asystole_s: float = 4.0
    vt_beats: int = 5
    vt_bpm: float = 100.0
    bradycardia_bpm: float = 40.0
    bradycardia_beats: int = 5
    tachycardia_bpm: float = 180.0
    tachycardia_beats: int = 10

    def __post_init__(self) -> None:
        for name in ("vt_beats", "bradycardia_beats", "tachycardia_beats"):
            if not 2 <= getattr(self, name) <= _N_KEPT:
                raise ValueError(
                    f"{name}: {getattr(self, name)} is not a number of beats from 2 to {_N_KEPT}."
                )


class LiveBeat(NamedTuple):
    """A beat with its label of the moment; ``strength`` is that of the detector, of each lead."""

    sample: int
    label: str
    strength: tuple[float, ...]


class Said(NamedTuple):
    """What the alarms say: that an alarm begins or ends, or that the rhythm has changed, and since when."""

    kind: Literal["alarm", "alarm_end", "rhythm"]
    name: str
    sample: int


class AlarmFinder:
    """Find the alarms of a stream.

    Parameters
    ----------
    n_leads
        Number of leads.
    model
        The network of the waves; without it, there is no alarm by the waves.
    limits
        The limits.
    """

    def __init__(self, n_leads: int, model: AlarmModel | None, limits: AlarmLimits | None = None) -> None:
        self.model, self.limits = model, limits or AlarmLimits()
        self._usual: Floats = np.zeros((n_leads, len(WAVES)), dtype=np.float32)
        self._height = np.full(n_leads, np.nan)  # usual log of the height of a second with beats
        self._strength = np.full(n_leads, np.nan)  # usual strength of beats
        self._belief: Floats = np.eye(len(RHYTHMS), dtype=np.float32)[0]
        self._n_seconds = 0
        self._calm = 0  # sample up to which the waves were organised
        self._read_from = 0  # sample from which the signal could be read without a break
        self._beats_from = 0  # sample from which beats tell the rate: those in fibrillation do not
        self._measured = -1  # the last beat that counts in the usual strength
        self._active: dict[str, int] = {}  # onset of each alarm, by name
        self._last_met: dict[str, int] = {}  # clock at which the conditions of each alarm were met
        self._rhythm, self._new_rhythm, self._new_for = "", "", 0

    def second(self, clock: int, signal: Signal, readable: Mask, beats: Sequence[LiveBeat]) -> Iterator[Said]:
        """Judge another second.

        Parameters
        ----------
        clock
            Samples at LIVE_FS so far, of whole seconds.
        signal, readable
            The last WINDOW samples, [WINDOW, n_leads] in mV, and which of them can be read.
        beats
            The beats so far, the last _N_KEPT or more.

        Yields
        ------
        What is new.
        """
        self._n_seconds += 1
        clear = np.asarray(readable.all(axis=0))
        if not clear.any() and not readable[-LIVE_FS:].any(axis=1).all():
            self._read_from = clock
        long, short = measure_latest_waves(np.ascontiguousarray(signal.T), LIVE_FS)
        beats = beats[-_N_KEPT:]
        self._believe(clock, self._probability(long, short, clear), beats)
        begins = dict(self._begins(clock, short, clear, beats))
        self._last_met |= dict.fromkeys(begins, clock)
        before = frozenset(self._active)
        for name in [one for one in ALARMS if one in before and self._ends(one, clock, begins, beats)]:
            del self._active[name]
            if name in {"vf", "asystole"}:
                self._beats_from = clock
            yield Said("alarm_end", name, clock)
        for name in ALARMS:
            if (
                name in begins
                and name not in self._active
                and not _is_covered(name, before | self._active.keys())
            ):
                self._active[name] = begins[name]
                yield Said("alarm", name, begins[name])
        yield from self._rhythm_change(clock, beats)

    @property
    def _holds(self) -> bool:
        return bool(self._belief.argmax() == _ARTEFACT)

    def _probability(self, long: Floats, short: Floats, clear: Mask) -> Floats:
        """Return the probability of each rhythm by the waves of this second."""
        if self.model is None:
            return np.asarray(np.eye(len(RHYTHMS), dtype=np.float32)[0 if clear.any() else _ARTEFACT])
        usual = follow_usual(self._usual, long, self._n_seconds)
        self._usual = usual if clear.all() else np.where(clear[:, None], usual, self._usual)
        return over_leads(self.model.of_leads(alarm_features(long, short, self._usual)), clear)

    def _believe(self, clock: int, probability: Floats, beats: Sequence[LiveBeat]) -> None:
        """Bring the belief in each rhythm up to date."""
        if self.model is None:
            self._belief = probability
            return
        if are_steady(beats, clock, self.limits.vt_bpm):
            probability = probability.copy()
            probability[[_VT, _VF]] *= _UNLIKELY
        self._belief = next_belief(self._belief, probability)
        if self._belief[_VT] + self._belief[_VF] < _OFF:
            self._calm = clock
        if probability[_ARTEFACT] > _NOISY or self._holds:
            self._beats_from = clock

    def _last_large_beat(self, clock: int, beats: Sequence[LiveBeat], short: Floats, clear: Mask) -> int:
        """Return the last beat that is not far smaller than usual, as P waves are; learn the usual size."""
        usual = self._strength.tolist()
        learnt = max(self._measured, self._beats_from)
        for beat in [one for one in beats if one.sample > learnt and not _is_small(one, usual)]:
            self._measured = beat.sample
            strength = np.array(beat.strength)
            self._strength = _learn(self._strength, strength, strength > 0)
        last = next((one.sample for one in reversed(beats) if not _is_small(one, usual)), 0)
        if last > max(clock - SHORT_S * LIVE_FS, self._beats_from) and not self._active:
            height = (short[:, _SMALLEST] + short[:, _CHANGE]).astype(float)
            self._height = _learn(self._height, height, clear)
        return last

    def _begins(
        self, clock: int, short: Floats, clear: Mask, beats: Sequence[LiveBeat]
    ) -> Iterator[tuple[str, int]]:
        """Yield the alarms whose conditions are met now, with their onsets."""
        limits, belief = self.limits, self._belief
        quiet_from = max(self._last_large_beat(clock, beats, short, clear), self._read_from)
        # Waves as small as these are no noise.
        if clock - quiet_from >= limits.asystole_s * LIVE_FS and self._is_still(short, clear):
            yield "asystole", quiet_from
        if self._holds:
            return
        if belief[_VT] + belief[_VF] > _ON:
            yield ("vf" if belief[_VF] >= belief[_VT] else "vt"), max(self._calm - LIVE_FS, 0)
        still_s = (clock - beats[-1].sample) / LIVE_FS if beats else math.inf
        read = [beat for beat in beats if beat.sample >= max(self._read_from, self._beats_from)]
        run = [beat.sample for beat in _last_run(read)]
        if len(run) >= limits.vt_beats and _bpm(run[-limits.vt_beats :]) >= limits.vt_bpm and still_s < 2:
            yield "vt", run[0]
        at = [beat.sample for beat in read]
        slow, fast = at[-limits.bradycardia_beats :], at[-limits.tachycardia_beats :]
        if len(slow) == limits.bradycardia_beats and _bpm(slow) < limits.bradycardia_bpm:
            yield "extreme_bradycardia", slow[0]
        if len(fast) == limits.tachycardia_beats and _bpm(fast) > limits.tachycardia_bpm and still_s < 1:
            yield "extreme_tachycardia", fast[0]

    def _is_still(self, short: Floats, clear: Mask) -> bool:
        """Return whether the waves of all leads together are small, and those of no lead are as usual.

        They are taken together, as a weak lead is soon in noise. Where one lead fails, another has its beats.
        """
        known = clear & ~np.isnan(self._height)
        usual_mv = np.exp(self._height[known])
        now_mv = np.exp(short[known, _SMALLEST] + short[known, _CHANGE])
        has_beats = (now_mv > _HALF * usual_mv) & (now_mv > _P_WAVE_MV)
        return bool(
            usual_mv.sum() > _LEAST_MV
            and now_mv.sum() < _SMALL_WAVES * usual_mv.sum()
            and not has_beats.any()
        )

    def _ends(self, name: str, clock: int, begins: dict[str, int], beats: Sequence[LiveBeat]) -> bool:
        """Return whether an alarm is over. One by the waves lasts as long as either of their rhythms may."""
        if name == "vt" and "vf" in begins:
            return True  # it has become fibrillation
        if self._holds or clock < self._last_met[name] + _END:
            return False
        if name in {"vf", "vt"} and self._belief[_VT] + self._belief[_VF] >= _OFF:
            return False
        return name in {"vt", "extreme_tachycardia", "extreme_bradycardia"} or (
            bool(beats) and clock < beats[-1].sample + _END
        )

    def _rhythm_change(self, clock: int, beats: Sequence[LiveBeat]) -> Iterator[Said]:
        name = next((one for one in ("vf", "asystole", "vt") if one in self._active), "")
        at_once = bool(name)
        if not name and (self._holds or self._belief[0] > _SURE):
            name = "artefact" if self._holds else self._regularity(beats)
        self._new_for = self._new_for + 1 if name == self._new_rhythm else 1
        self._new_rhythm = name
        if name and name != self._rhythm and (at_once or self._new_for >= _SAME_S):
            self._rhythm = name
            yield Said("rhythm", name, self._active.get(name, clock - (self._new_for - 1) * LIVE_FS))

    def _regularity(self, beats: Sequence[LiveBeat]) -> str:
        """Name the rhythm by the RR intervals between beats that are neither premature nor ventricular."""
        rr = [
            later.sample - earlier.sample
            for earlier, later in pairwise(beats)
            if earlier.sample >= max(self._read_from, self._beats_from)
            and earlier.label == later.label == "N"
        ]
        if len(rr) < _N_KEPT // 2:
            return ""
        change = median(abs(later - earlier) / earlier for earlier, later in pairwise(rr))
        limit = _REGULAR if self._rhythm == "irregular" else _IRREGULAR
        return "irregular" if change > limit else "regular"


def _is_covered(name: str, lasting: AbstractSet[str]) -> bool:
    """Return whether a more urgent alarm that lasts says it already."""
    if name == "vt":
        return "vf" in lasting
    return name.startswith("extreme") and bool(lasting & {"vf", "vt", "asystole"})


def _is_small(beat: LiveBeat, usual: Sequence[float]) -> bool:
    """Return whether a beat is far smaller than usual, in all leads together, as one may be weak."""
    known = [(now, often) for now, often in zip(beat.strength, usual, strict=True) if now > 0 and often > 0]
    return sum(now for now, _ in known) < _SMALL_BEAT * sum(often for _, often in known)


def _learn(usual: Floats, value: Floats, known: Mask) -> Floats:
    """Return a running mean after another value; the first known value begins it."""
    new = np.where(np.isnan(usual), value, usual + (value - usual) * _BEAT_SHARE)
    return np.asarray(np.where(known, new, usual))


def _last_run(beats: Sequence[LiveBeat]) -> Sequence[LiveBeat]:
    """Return the ventricular beats at the end."""
    start = len(beats)
    while start and beats[start - 1].label == "V":
        start -= 1
    return beats[start:]


def are_steady(beats: Sequence[LiveBeat], clock: int, slow_bpm: float) -> bool:
    """Return whether beats come regularly up to now: normal ones not fast, or any ones slowly.

    Parameters
    ----------
    beats
        The beats so far.
    clock
        Samples at LIVE_FS so far.
    slow_bpm
        Below this rate, the label of the beats does not matter.

    Returns
    -------
    Whether they do.
    """
    last = beats[-_STEADY_BEATS:]
    rr = [later.sample - earlier.sample for earlier, later in pairwise(last)]
    if len(last) < _STEADY_BEATS or min(rr) < (1 - _STEADY_CHANGE) * max(rr):
        return False
    limit_bpm = _STEADY_BPM if all(beat.label == "N" for beat in last) else slow_bpm
    return _bpm([beat.sample for beat in last]) < limit_bpm and clock - last[-1].sample < 1.5 * max(rr)


def _bpm(samples: Sequence[int]) -> float:
    return 60 * LIVE_FS * (len(samples) - 1) / max(samples[-1] - samples[0], 1)
