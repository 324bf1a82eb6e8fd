"""A recording that is still running: samples in, beats out, at once and then for good."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import numpy as np

from ectopy.ecg import CLASSES, Mask, NotAnalysableError, Signal
from ectopy.live.alarms import WINDOW, AlarmFinder, AlarmLimits, LiveBeat
from ectopy.live.beat_features import (
    AFTER,
    BEFORE,
    N_LEADS,
    WINDOW_AFTER,
    WINDOW_BEFORE,
    Floats,
    Patient,
    T,
    describe,
    t_wave_between,
)
from ectopy.live.candidates import Candidate, CandidateFinder
from ectopy.live.front_end import LEAST_FS, LIVE_FS, FrontEnd
from ectopy.live.network import LiveModel, load_live_model
from ectopy.live.paroxysm import Paroxysm, settle_paroxysm
from ectopy.live.selection import LAG_S, BeatSelector, LeadSizes, Node
from ectopy.live.state import SavedStateError, read_state, write_state

FINAL_S = 5.0
"""A label is final after this time, even if too few beats have followed."""

STEP_S = 0.04
"""The signal is analysed in steps of this length, so small packets cost no more than larger ones."""

JUMP_S = 0.1
"""Clocks of sender and recorder may differ by this from one push to the next. A shorter gap hides no beat."""
LONGEST_GAP_S = 86_400.0
"""After a longer jump, the clock of the sender was set: no signal was lost."""

_HIGHEST_FS = 10_000.0
_FINAL = round(FINAL_S * LIVE_FS)
_END_S = 0.3  # of a constant at the end, so that the last beat is found
_SETTLED_S = 300.0  # of lost signal, after which more of it changes nothing
_KEPT = 10 * LIVE_FS  # samples of signal that are kept: beats of the learning time are described at its end

_N_BEFORE = 24  # final beats that the alarms see

Kind = Literal["beat", "provisional", "revoked", "gap", "alarm", "alarm_end", "rhythm"]
Reason = Literal["", "lost", "back", "clock"]


@dataclass(frozen=True)
class Update:
    """What a stream says.

    ``kind`` is "beat" for a final beat, and "provisional" for a beat that may still change. It is "revoked"
    for a provisional beat that is none, and "gap" for lost signal. ``sample`` is on the grid of the input,
    and ``time_s`` the same in seconds. ``at_s`` is how much signal had come when it was said.

    Of beats are the label, the probabilities in the order of CLASSES, and whether the label is confident.

    An "alarm" begins, and an "alarm_end" ends it; a "rhythm" has changed. Of these, ``label`` is the name,
    and the time is that of the onset or end.

    Of gaps is ``reason``. It is "lost" if no lead can be read from here on, and "back" if one can be read
    again: ``duration_s`` is then the length of the gap. It is "clock" if the clock of the sender was set:
    ``duration_s`` is then by how much, and the samples go on.
    """

    kind: Kind
    sample: int
    time_s: float
    at_s: float
    label: str = ""
    probabilities: tuple[float, ...] = ()
    confident: bool = False
    reason: Reason = ""
    duration_s: float = 0.0


@dataclass(frozen=True, eq=False)
class Described:
    """A beat with what is known after it."""

    beat: Candidate
    patient: Patient
    state: Floats
    probability: Floats
    paroxysm: Paroxysm


@dataclass(eq=False)
class Open:
    """A settled beat, and what the network says of it after ``seen`` further beats."""

    beat: Candidate
    paroxysmal: bool
    probability: Floats = field(default_factory=lambda: np.empty(0, dtype=np.float32))
    seen: int = 0


class Stream:
    """Find and classify the beats of a running signal.

    The final beats do not depend on how the signal is divided into pushes. Memory does not grow with time.

    Parameters
    ----------
    fs
        Sampling rate in Hz, 100 to 10,000.
    leads
        Names of the leads, one or two.
    model
        The streaming model; by default the one that ships with ectopy.
    limits
        The limits of the alarms; by default those of :class:`AlarmLimits`.

    Raises
    ------
    NotAnalysableError
        If the rate or the leads cannot be analysed.

    Examples
    --------
    >>> stream = Stream(250.0, ["II", "V1"], model=model)  # doctest: +SKIP
    >>> for samples in recorder:  # doctest: +SKIP
    ...     for update in stream.push(samples):
    ...         print(update.kind, update.time_s, update.label)
    """

    def __init__(
        self,
        fs: float,
        leads: Sequence[str],
        *,
        model: LiveModel | None = None,
        limits: AlarmLimits | None = None,
    ) -> None:
        self.fs = float(_checked_rate(fs))
        self.leads = _checked_leads(leads)
        n_leads = len(self.leads)
        self.model = model or load_live_model()
        self._front_end = FrontEnd(self.fs, n_leads)
        self._finder = CandidateFinder(n_leads)
        self._selector = BeatSelector(n_leads)
        self._alarms = AlarmFinder(n_leads, self.model.alarms, limits)
        self._final_beats: deque[LiveBeat] = deque(maxlen=_N_BEFORE)
        self._step = round(STEP_S * self.fs)
        self._waiting = np.zeros((0, n_leads), dtype=np.float32)  # samples of a step that is not complete
        self._newest = np.zeros((0, n_leads), dtype=np.float32)  # the last sample
        self._clock = 0  # samples at LIVE_FS
        self._n_in = 0  # samples that were analysed
        self._skipped = 0  # samples of long gaps that were not
        self._next_s = math.nan  # time at which the sender should send the next sample
        self._skipped_before = 0  # of _skipped, where lost signal began
        self._signal = np.zeros((_KEPT, n_leads), dtype=np.float32)
        self._readable = np.zeros((_KEPT, n_leads), dtype=bool)
        # Intervals without a readable lead at LIVE_FS, half-open; infinite while none can be read.
        self._lost: deque[tuple[int, float]] = deque(maxlen=64)
        nothing = Candidate(0, 0, ())
        no_answer = np.empty((0, len(CLASSES)), dtype=np.float32)
        self._last = Described(nothing, Patient(), self.model.start(), no_answer, Paroxysm())
        self._open: deque[Open] = deque()  # settled beats without a final label
        self._guesses: list[Described] = []
        self._told: dict[int, str] = {}  # provisional beats that were told, by sample
        self._all_told = True  # whether no beat has changed since
        self._has_ended = False

    @property
    def n_samples(self) -> int:
        """Samples so far, with those that the time stamps show to be missing."""
        return self._n_in + self._skipped

    @property
    def duration_s(self) -> float:
        """Time so far in seconds, with gaps."""
        return self.n_samples / self.fs

    def push(self, samples: Signal, time_s: float | None = None) -> list[Update]:
        """Take the next samples.

        Parameters
        ----------
        samples
            [n, n_leads] in mV, NaN where missing; any number of samples. One lead may be [n].
        time_s
            Time of the first sample on the clock of the sender, in seconds from any moment on. A jump forward
            of more than JUMP_S is lost signal. After a jump backward, or of more than LONGEST_GAP_S, the
            samples go on as if there were none, and it is told.

        Returns
        -------
        What is new.

        Raises
        ------
        NotAnalysableError
            If the samples have another number of leads, the time is no number, or the stream has ended.
        """
        self._refuse_if_ended()
        signal = self._checked(samples)
        updates = [] if time_s is None else self._follow(_checked_time(time_s))
        self._n_in += len(signal)
        self._next_s += len(signal) / self.fs
        return [*updates, *self._take(signal)]

    def save(self, path: str | Path) -> None:
        """Write the state, so that the stream can go on in another process.

        Parameters
        ----------
        path
            The file to write; an existing one is replaced. It has the last ten seconds of signal, and is
            therefore personal data.
        """
        about = {"fs": self.fs, "leads": list(self.leads), "model": self.model.version_id}
        write_state(Path(path), about, self, _OF_STATE)

    @classmethod
    def restore(
        cls, path: str | Path, *, model: LiveModel | None = None, limits: AlarmLimits | None = None
    ) -> Self:
        """Return a stream as it was saved: what it says from there on is the same.

        Parameters
        ----------
        path
            What :meth:`save` wrote.
        model
            The streaming model that it had; by default the one that ships with ectopy.
        limits
            The limits of the alarms; by default those of :class:`AlarmLimits`.

        Raises
        ------
        SavedStateError
            If the file is no state of a stream, is damaged, or is of another model or version.

        Returns
        -------
        The stream.
        """
        model = model or load_live_model()
        with read_state(Path(path)) as saved:
            stream = cls(saved.about["fs"], saved.about["leads"], model=model, limits=limits)
            if saved.about["model"] != model.version_id:
                raise SavedStateError(f"{path}: saved with another model than {model.name}. Give that model.")
            saved.fill(stream, _OF_STATE)
        return stream

    def finish(self) -> list[Update]:
        """Return the beats that are still open at the end of the signal, as final; nothing may follow.

        Raises
        ------
        NotAnalysableError
            If the stream has ended already.
        """
        self._refuse_if_ended()
        self._has_ended = True
        updates = self._analyse(self._waiting)
        held = np.repeat(self._newest, round(_END_S * self.fs), axis=0)
        updates += [one for one in self._analyse(held) if one.kind == "beat"]
        self._selector.finish()
        for candidate in self._selector.pending:
            if candidate.sample < self._clock - round(_END_S * LIVE_FS):
                updates += self._settle(candidate)
        updates += [self._tell(one) for one in self._open]
        self._open.clear()
        return updates

    def _refuse_if_ended(self) -> None:
        if self._has_ended:
            raise NotAnalysableError("the stream has ended: finish() was called. Begin a new ectopy.Stream.")

    def _checked(self, samples: Signal) -> Signal:
        signal, n_leads = np.asarray(samples), len(self.leads)
        if signal.ndim == 1 and n_leads == 1:
            signal = signal[:, None]
        if signal.dtype.kind not in "fiu" or signal.ndim != 2 or signal.shape[1] != n_leads:
            raise NotAnalysableError(
                f"samples of shape {signal.shape} and type {signal.dtype}. "
                f"Give numbers in mV, [n, {n_leads}]: a column for each of {', '.join(self.leads)}."
            )
        return signal

    def _follow(self, time_s: float) -> list[Update]:
        """Compare a time of the sender with the expected one; put missing samples where it jumped forward."""
        jump_s = time_s - self._next_s
        self._next_s = time_s
        if math.isnan(jump_s) or abs(jump_s) <= JUMP_S:
            return []
        if not 0 < jump_s <= LONGEST_GAP_S:
            at = self.n_samples
            return [Update("gap", at, at / self.fs, at / self.fs, reason="clock", duration_s=jump_s)]
        n = round(jump_s * self.fs)
        block = round(10 * self.fs)
        seen = min(n, round(_SETTLED_S * self.fs))
        # What is skipped must not move the points of LIVE_FS on the grid of the input.
        skipped = (n - seen) // self._front_end.ratio.numerator * self._front_end.ratio.numerator
        updates: list[Update] = []
        for start in range(0, n - skipped, block):
            missing = np.full((min(block, n - skipped - start), len(self.leads)), np.nan, dtype=np.float32)
            self._n_in += len(missing)
            updates += self._take(missing)
        self._skipped += skipped
        return updates

    def _take(self, samples: Signal) -> list[Update]:
        """Take samples, and analyse what is complete."""
        samples = np.concatenate((self._waiting, samples))
        whole = len(samples) - len(samples) % self._step
        self._waiting = samples[whole:].copy()
        if len(samples):
            self._newest = samples[-1:].copy()
        return self._analyse(samples[:whole]) if whole else []

    def _analyse(self, samples: Signal) -> list[Update]:
        signal, usable = self._front_end.push(samples)
        return [*self._final(signal, usable), *self._provisional()]

    def _final(self, signal: Signal, usable: Mask) -> Iterator[Update]:
        start = 0
        while start < len(signal):  # in seconds, so that the signal of a settled beat is still kept
            part = slice(start, start + LIVE_FS - self._clock % LIVE_FS)
            yield from self._gaps(np.asarray(usable[part].any(axis=1)))
            self._keep(signal[part], usable[part])
            for beat in self._selector.push(self._finder.push(signal[part], usable[part]), self._clock):
                yield from self._settle(beat)
            yield from self._overdue(self._clock)
            if self._clock % LIVE_FS == 0:
                yield from self._alarm()
            start = part.stop

    def _alarm(self) -> Iterator[Update]:
        """Judge the second that has just ended; its clock tells when, whatever the chunks."""
        if self._clock < WINDOW:
            return
        self._guess()
        window, readable = self._signal[-WINDOW:], self._readable[-WINDOW:]
        at_s = self._clock / LIVE_FS + self._skipped / self.fs
        for said in self._alarms.second(self._clock, window, readable, self._beats_so_far()):
            yield Update(said.kind, *self._position(said.sample), at_s, said.name)

    def _beats_so_far(self) -> list[LiveBeat]:
        """Return the last beats with their labels of the moment."""
        moment = [(one.beat, settle_paroxysm(one.probability, one.paroxysmal)) for one in self._open]
        moment += [(guess.beat, self._of_guess(place)[0]) for place, guess in enumerate(self._guesses)]
        return [
            *self._final_beats,
            *(LiveBeat(beat.sample, _label(probability), beat.strength) for beat, probability in moment),
        ]

    def _gaps(self, read: Mask) -> Iterator[Update]:
        """Find where no lead can be read any more, and where one can be read again."""
        is_lost = bool(self._lost) and math.isinf(self._lost[-1][1])
        if not read.any() if is_lost else read.all():  # so nearly always
            return
        for place in np.flatnonzero(np.diff(read, prepend=not is_lost)).tolist():
            at = self._clock + place
            if read[place]:
                start, _ = self._lost.pop()
                self._lost.append((start, at))
                skipped = self._skipped - self._skipped_before
                yield self._gap("back", at, (at - start) / LIVE_FS + skipped / self.fs)
            else:
                self._skipped_before = self._skipped
                self._lost.append((at, math.inf))
                yield self._gap("lost", at, 0.0)

    def _gap(self, reason: Reason, at: int, duration_s: float) -> Update:
        return Update("gap", *self._position(at), self.duration_s, reason=reason, duration_s=duration_s)

    def _keep(self, signal: Signal, usable: Mask) -> None:
        self._clock += len(signal)
        self._signal = np.concatenate((self._signal[len(signal) :], signal))
        self._readable = np.concatenate((self._readable[len(signal) :], usable))

    def _settle(self, beat: Candidate) -> Iterator[Update]:
        """Take a beat of the detector that is final."""
        yield from self._overdue(beat.sample + round(LAG_S * LIVE_FS))
        guess = self._guesses.pop(0) if self._guesses and self._guesses[0].beat is beat else None
        if guess is None:
            self._guesses = []
        self._all_told = False
        self._last = guess or self._describe(beat, self._last)
        self._open.append(Open(beat, paroxysmal=self._last.paroxysm.active))
        for seen, one in enumerate(reversed(self._open)):
            one.probability, one.seen = self._last.probability[seen], seen
        if len(self._open) > self.model.look_ahead:
            yield self._tell(self._open.popleft())

    def _overdue(self, clock: int) -> Iterator[Update]:
        while self._open and self._open[0].beat.sample + _FINAL <= clock:
            yield self._tell(self._open.popleft())

    def _tell(self, one: Open) -> Update:
        self._told.pop(one.beat.sample, None)
        probability = settle_paroxysm(one.probability, one.paroxysmal)
        self._final_beats.append(LiveBeat(one.beat.sample, _label(probability), one.beat.strength))
        return self._update("beat", one.beat, probability, one.seen)

    def _guess(self) -> None:
        """Describe the beats that the detector has not settled yet."""
        path = [beat for beat in self._selector.pending if beat.sample + WINDOW_AFTER < self._clock]
        same = 0
        for guess, beat in zip(self._guesses, path, strict=False):
            if guess.beat is not beat:
                break
            same += 1
        if same == len(path) == len(self._guesses):
            return
        self._all_told = False
        self._guesses = self._guesses[:same]
        for beat in path[same:]:
            self._guesses.append(self._describe(beat, self._guesses[-1] if self._guesses else self._last))

    def _of_guess(self, place: int) -> tuple[Floats, int]:
        """Return what the network says of a beat that is not settled, and after how many further beats."""
        seen = min(len(self._guesses) - 1 - place, self.model.look_ahead)
        probability = self._guesses[place + seen].probability[seen]
        return settle_paroxysm(probability, self._guesses[place].paroxysm.active), seen

    def _provisional(self) -> Iterator[Update]:
        """Return the beats that the detector has not settled yet, with the label of the moment."""
        self._guess()
        if self._all_told:
            return
        self._all_told = True
        present = {one.beat.sample for one in self._open} | {one.beat.sample for one in self._guesses}
        for sample in [one for one in self._told if one not in present]:
            del self._told[sample]
            yield Update("revoked", *self._position(sample), self.duration_s)
        for place, guess in enumerate(self._guesses):
            probability, seen = self._of_guess(place)
            label = _label(probability)
            if self._told.get(guess.beat.sample) != label:
                self._told[guess.beat.sample] = label
                yield self._update("provisional", guess.beat, probability, seen)

    def _describe(self, beat: Candidate, before: Described) -> Described:
        window, readable = self._window(beat.sample)
        rr_s = self._rr_s(beat, before.beat)
        t_wave = self._t_wave(before.beat, rr_s)
        features, patient = describe(before.patient, window, t_wave, readable, rr_s)
        state, probability = self.model.step(before.state, features)
        paroxysm = before.paroxysm.after(_label(probability[0]), None if math.isnan(rr_s) else math.log(rr_s))
        return Described(beat, patient, state, probability, paroxysm)

    def _window(self, r_peak: int) -> tuple[Floats, Mask]:
        """Return the signal around a beat, [N_LEADS, n], and which leads can be read at its QRS complex.

        None can of a beat whose signal is no longer kept, as of a strip with few beats and a long silence.
        """
        first = r_peak - WINDOW_BEFORE - self._clock + _KEPT
        part = slice(max(first, 0), max(first, 0) + WINDOW_BEFORE + 1 + WINDOW_AFTER)
        window, usable = self._signal[part].T, self._readable[part].T
        missing = ((0, N_LEADS - len(window)), (0, part.stop - part.start - window.shape[1]))
        if missing != ((0, 0), (0, 0)):  # a stream of one lead, or the end of the signal
            window = np.pad(window, (missing[0], (0, 0)))
            window, usable = np.pad(window, ((0, 0), missing[1]), mode="edge"), np.pad(usable, missing)
        readable = usable[:, WINDOW_BEFORE - BEFORE : WINDOW_BEFORE + AFTER + 1].all(axis=1)
        return window, np.asarray(readable & (first >= 0))

    def _t_wave(self, beat: Candidate, rr_s: float) -> Floats:
        """Return the T wave after a beat; zeros if the next one, ``rr_s`` later, or lost signal hides it."""
        t_wave = np.zeros((N_LEADS, T.stop - T.start), dtype=np.float32)
        first = beat.sample + T.start - self._clock + _KEPT
        if first >= 0 and t_wave_between(rr_s):
            part = slice(first, first + T.stop - T.start)
            t_wave[: len(self.leads)] = (self._signal[part] * self._readable[part].all(axis=0)).T
        return t_wave

    def _rr_s(self, beat: Candidate, before: Candidate) -> float:
        """Return the RR interval; it is unknown if signal between the beats was lost."""
        if not before.strength or any(
            start <= beat.sample and before.sample + 1 < stop for start, stop in self._lost
        ):
            return math.nan
        return (beat.sample - before.sample) / LIVE_FS

    def _position(self, sample: int) -> tuple[int, float]:
        ratio = self._front_end.ratio  # not fs: over weeks, even its last digits count
        in_input = sample * ratio.numerator / ratio.denominator
        at = max(round(in_input - self._front_end.delay_s * self.fs), 0) + self._skipped
        return at, at / self.fs

    def _update(self, kind: Kind, beat: Candidate, probability: Floats, seen: int) -> Update:
        """Return what to say of a beat after so many further beats were seen."""
        best = int(probability.argmax())
        return Update(
            kind,
            *self._position(beat.sample),
            self.duration_s,
            str(CLASSES[best]),
            tuple(probability.tolist()),
            float(probability[best]) >= self.model.specification.confidence_threshold[seen],
        )


def _label(probability: Floats) -> str:
    return str(CLASSES[int(probability.argmax())])


def _checked_rate(fs: float) -> float:
    if not isinstance(fs, int | float | np.number) or not LEAST_FS <= fs <= _HIGHEST_FS:
        raise NotAnalysableError(
            f"the sampling rate is {fs!r} Hz. A stream needs one from {LEAST_FS:g} to {_HIGHEST_FS:g} Hz."
        )
    return float(fs)


def _checked_leads(leads: Sequence[str]) -> tuple[str, ...]:
    names = (leads,) if isinstance(leads, str) else leads
    if not (
        isinstance(names, Sequence)
        and 0 < len(names) <= N_LEADS
        and all(isinstance(name, str) for name in names)
        and len(set(names)) == len(names)
    ):
        raise NotAnalysableError(
            f"leads {leads!r}. Give the names of one or two leads, such as ['II', 'V1']."
        )
    return tuple(names)


def _checked_time(time_s: float) -> float:
    if not isinstance(time_s, int | float | np.number) or not math.isfinite(time_s):
        raise NotAnalysableError(f"time_s is {time_s!r}. Give the time of the first sample in seconds.")
    return float(time_s)


_OF_STATE = (
    *(FrontEnd, CandidateFinder, Candidate, Patient, BeatSelector, Node, LeadSizes),
    *(Described, Open, Paroxysm, AlarmFinder, LiveBeat),
)
"""The classes of what a stream keeps."""
