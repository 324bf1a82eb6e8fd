"""A recording that is still running: samples in, beats out, at once and then for good."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ectopy.ecg import CLASSES, Mask, Signal
from ectopy.live.beat_features import (
    AFTER,
    BEFORE,
    N_LEADS,
    WINDOW_AFTER,
    WINDOW_BEFORE,
    Floats,
    Patient,
    describe,
)
from ectopy.live.candidates import Candidate, CandidateFinder
from ectopy.live.front_end import LIVE_FS, FrontEnd
from ectopy.live.network import LiveModel, load_live_model
from ectopy.live.paroxysm import Paroxysm, settle_paroxysm
from ectopy.live.selection import LAG_S, BeatSelector

FINAL_S = 5.0
"""A label is final after this time, even if too few beats have followed."""

_FINAL = round(FINAL_S * LIVE_FS)
_END_S = 0.3  # of a constant at the end, so that the last beat is found
_KEPT = 10 * LIVE_FS  # samples of signal that are kept: beats of the learning time are described at its end

Kind = Literal["beat", "provisional", "revoked", "gap"]


@dataclass(frozen=True)
class Update:
    """What a stream says.

    ``kind`` is "beat" for a final beat and "provisional" for a beat that may still change. It is "revoked"
    for a provisional beat that is none, and "gap" for lost signal. ``sample`` is on the grid of the input,
    and ``time_s`` the same in seconds. ``at_s`` is how much signal had come when it was said. The others
    are of beats: the label, the probabilities in the order of CLASSES, and whether the label is confident.
    """

    kind: Kind
    sample: int
    time_s: float
    at_s: float
    label: str = ""
    probabilities: tuple[float, ...] = ()
    confident: bool = False


@dataclass(frozen=True, eq=False)
class _Described:
    """A beat with what is known after it."""

    beat: Candidate
    patient: Patient
    state: Floats
    probability: Floats
    paroxysm: Paroxysm


@dataclass(eq=False)
class _Open:
    """A settled beat, and what the network says of it after ``seen`` further beats."""

    beat: Candidate
    paroxysmal: bool
    probability: Floats = field(default_factory=lambda: np.empty(0, dtype=np.float32))
    seen: int = 0


class Stream:
    """Find and classify the beats of a running signal.

    Parameters
    ----------
    fs
        Sampling rate in Hz, 100 to 10,000.
    n_leads
        Number of leads, 1 or 2.
    model
        The streaming model; by default the one that ships with ectopy.
    """

    def __init__(self, fs: float, n_leads: int, *, model: LiveModel | None = None) -> None:
        self.fs = fs
        self._model = model or load_live_model()
        self._front_end = FrontEnd(fs, n_leads)
        self._finder = CandidateFinder(n_leads)
        self._selector = BeatSelector(n_leads)
        self._newest = np.zeros((0, n_leads), dtype=np.float32)
        self._clock = 0
        self._n_in = 0
        self._signal = np.zeros((_KEPT, N_LEADS), dtype=np.float32)
        self._readable = np.zeros((_KEPT, N_LEADS), dtype=bool)
        self._lost: deque[int] = deque(maxlen=64)  # samples with which lost signal ended
        nothing = Candidate(0, 0, ())
        no_answer = np.empty((0, len(CLASSES)), dtype=np.float32)
        self._last = _Described(nothing, Patient(), self._model.start(), no_answer, Paroxysm())
        self._open: deque[_Open] = deque()  # settled beats without a final label
        self._guesses: list[_Described] = []
        self._told: dict[int, str] = {}  # provisional beats that were told, by sample

    def push(self, samples: Signal) -> list[Update]:
        """Take the next samples.

        Parameters
        ----------
        samples
            [n, n_leads] in mV, NaN where missing; any number of samples.

        Returns
        -------
        What is new.
        """
        self._newest = samples[-1:] if len(samples) else self._newest
        signal, usable = self._front_end.push(samples)
        self._n_in += len(samples)
        return [*self._final(signal, usable), *self._provisional()]

    def finish(self) -> list[Update]:
        """Return the beats that are still open at the end of the signal, as final."""
        held = np.repeat(self._newest, round(_END_S * self.fs), axis=0)
        updates = [one for one in self.push(held) if one.kind == "beat"]
        self._selector.finish()
        for candidate in self._selector.pending:
            if candidate.sample < self._clock - round(_END_S * LIVE_FS):
                updates += self._settle(candidate)
        updates += [self._tell(one) for one in self._open]
        self._open.clear()
        return updates

    def _final(self, signal: Signal, usable: Mask) -> Iterator[Update]:
        for start in range(0, len(signal), LIVE_FS):  # so that the signal of a settled beat is still kept
            part = slice(start, start + LIVE_FS)
            self._keep(signal[part], usable[part])
            for beat in self._selector.push(self._finder.push(signal[part], usable[part]), self._clock):
                yield from self._settle(beat)
            yield from self._overdue(self._clock)

    def _keep(self, signal: Signal, usable: Mask) -> None:
        n, n_leads = signal.shape
        lost = np.asarray(~usable.any(axis=1))
        if lost.any():
            self._lost += (self._clock + np.flatnonzero(lost & ~np.append(lost[1:], False))).tolist()
        self._clock += n
        self._signal[:-n], self._readable[:-n] = self._signal[n:].copy(), self._readable[n:].copy()
        self._signal[-n:, :n_leads], self._readable[-n:, :n_leads] = signal, usable

    def _settle(self, beat: Candidate) -> Iterator[Update]:
        """Take a beat of the detector that is final."""
        yield from self._overdue(beat.sample + round(LAG_S * LIVE_FS))
        guess = self._guesses.pop(0) if self._guesses and self._guesses[0].beat is beat else None
        if guess is None:
            self._guesses = []
        self._last = guess or self._describe(beat, self._last)
        self._open.append(_Open(beat, paroxysmal=self._last.paroxysm.active))
        for seen, one in enumerate(reversed(self._open)):
            one.probability, one.seen = self._last.probability[seen], seen
        if len(self._open) > self._model.look_ahead:
            yield self._tell(self._open.popleft())

    def _overdue(self, clock: int) -> Iterator[Update]:
        while self._open and self._open[0].beat.sample + _FINAL <= clock:
            yield self._tell(self._open.popleft())

    def _tell(self, one: _Open) -> Update:
        self._told.pop(one.beat.sample, None)
        return self._update("beat", one.beat, settle_paroxysm(one.probability, one.paroxysmal), one.seen)

    def _provisional(self) -> Iterator[Update]:
        """Return what to say of the beats that are not settled yet, with the label of the moment."""
        path = [beat for beat in self._selector.pending if beat.sample + WINDOW_AFTER < self._clock]
        same = 0
        for guess, beat in zip(self._guesses, path, strict=False):
            if guess.beat is not beat:
                break
            same += 1
        self._guesses = self._guesses[:same]
        for beat in path[same:]:
            self._guesses.append(self._describe(beat, self._guesses[-1] if self._guesses else self._last))
        settled = {one.beat.sample for one in self._open}
        present = {beat.sample for beat in path} | settled
        for sample in [one for one in self._told if one not in present]:
            del self._told[sample]
            yield Update("revoked", *self._position(sample), self._n_in / self.fs)
        for place, guess in enumerate(self._guesses):
            seen = min(len(self._guesses) - 1 - place, self._model.look_ahead)
            probability = self._guesses[place + seen].probability[seen]
            probability = settle_paroxysm(probability, guess.paroxysm.active)
            label = CLASSES[int(probability.argmax())]
            if self._told.get(guess.beat.sample) != label:
                self._told[guess.beat.sample] = label
                yield self._update("provisional", guess.beat, probability, seen)

    def _describe(self, beat: Candidate, before: _Described) -> _Described:
        first = beat.sample - WINDOW_BEFORE - self._clock + _KEPT
        part = slice(max(first, 0), max(first, 0) + WINDOW_BEFORE + 1 + WINDOW_AFTER)
        window, usable = self._signal[part].T, self._readable[part].T
        if window.shape[1] < part.stop - part.start:  # at the end of the signal
            missing = part.stop - part.start - window.shape[1]
            window = np.pad(window, ((0, 0), (0, missing)), mode="edge")
            usable = np.pad(usable, ((0, 0), (0, missing)))
        readable = np.asarray(usable[:, WINDOW_BEFORE - BEFORE : WINDOW_BEFORE + AFTER + 1].all(axis=1))
        rr_s = self._rr_s(beat, before.beat)
        features, patient = describe(before.patient, window, readable, rr_s)
        state, probability = self._model.step(before.state, features)
        label = CLASSES[int(probability[0].argmax())]
        paroxysm = before.paroxysm.after(label, None if math.isnan(rr_s) else math.log(rr_s))
        return _Described(beat, patient, state, probability, paroxysm)

    def _rr_s(self, beat: Candidate, before: Candidate) -> float:
        if not before.strength or any(before.sample < end <= beat.sample for end in self._lost):
            return math.nan
        return (beat.sample - before.sample) / LIVE_FS

    def _position(self, sample: int) -> tuple[int, float]:
        at = max(round((sample / LIVE_FS - self._front_end.delay_s) * self.fs), 0)
        return at, at / self.fs

    def _update(self, kind: Kind, beat: Candidate, probability: Floats, seen: int) -> Update:
        """Return what to say of a beat after so many further beats were seen."""
        best = int(probability.argmax())
        return Update(
            kind,
            *self._position(beat.sample),
            self._n_in / self.fs,
            str(CLASSES[best]),
            tuple(probability.tolist()),
            float(probability[best]) >= self._model.specification.confidence_threshold[seen],
        )
