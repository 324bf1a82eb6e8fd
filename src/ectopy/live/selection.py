"""Choice of the beats among the candidates of a running signal, with two seconds of hindsight.

This is :mod:`ectopy.beats.beat_selection` without a look into the future. Each candidate is judged by levels
of the beats and of the other candidates before it. Dynamic programming keeps the most likely sequence up to
now. A beat of that sequence is provisional for _LAG, and final after that.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from ectopy.live.candidates import LATENCY, Candidate
from ectopy.live.front_end import LIVE_FS

LEARNING_S = 6.0
"""Time at the beginning in which the size of the beats is learnt."""
LEARNT_FROM_S = 8.0
"""What is older is not learnt from: the signal of a beat is kept for ten seconds."""
LAG_S = 2.0
"""Time after which a beat is final."""

# As in beat_selection: amplitudes and RR intervals are natural logarithms, evidence is in nats.
_LAG = round(LAG_S * LIVE_FS)
_SECONDS = 2 * LIVE_FS  # every two seconds contain a beat
_REFRACTORY = 0.24 * LIVE_FS
_VARIANCE = 0.25  # of log amplitude
_MAX_CONTRAST, _FIRST_CONTRAST, _MIN_CONTRAST = 3.0, 1.8, 0.6
_ONE_SIZE = 0.16
_MAX_LLR = 9.0
_CLEAR = 2.0
_OFF = 2 * LIVE_FS  # a lead without a clear beat for this time is off, if another one has some
_SILENCE = 2.5 * LIVE_FS  # after this time without a beat, the size of the beats may have changed
_RR_SPREAD, _MAX_RR_PENALTY = 0.25, 4.0
_FIRST_RR = 0.6 * LIVE_FS
_N_BEATS, _N_OTHERS, _N_RR = 9, 17, 8
_LOOK_BACK = 14
_NO_ENERGY = -math.inf


@dataclass(eq=False)
class Node:
    """A candidate in the search for the most likely sequence.

    ``score`` is that of the best sequence that ends at it, and counts from the last final beat: so it stays
    small for ever.
    """

    candidate: Candidate
    amplitude: tuple[float, ...]
    clear: tuple[bool, ...]
    score: float
    before: "Node | None"

    def follows(self, beat: "Node") -> bool:
        """Check whether the best sequence that ends here contains a beat."""
        node: Node | None = self
        while node is not None and node is not beat:
            node = node.before
        return node is beat


@dataclass(eq=False)
class LeadSizes:
    """The sizes of the beats and of other candidates in a lead."""

    beats: deque[float] = field(default_factory=lambda: deque(maxlen=_N_BEATS))
    others: deque[float] = field(default_factory=lambda: deque(maxlen=_N_OTHERS))
    first: float = _NO_ENERGY
    last_clear: int = 0

    def evidence(self, amplitude: float, recent: float, *, silent: bool) -> float:
        """Return the log likelihood ratio of beat against no beat.

        Parameters
        ----------
        amplitude
            Log of the energy of the candidate.
        recent
            The greatest one of the last seconds.
        silent
            Whether there was no beat for so many seconds that the size of the beats may have changed.

        Returns
        -------
        The ratio in nats.
        """
        high = median(self.beats) if len(self.beats) >= 3 else self.first
        if silent:
            high = min(high, recent)
        if _NO_ENERGY in {amplitude, high}:
            return 0.0
        low = median(self.others) if len(self.others) >= 3 else high - _FIRST_CONTRAST
        if self.every_second(high):
            low = high - _FIRST_CONTRAST
        elif not silent and high - low < _MIN_CONTRAST and self._has_one_size(high):
            low = high - _MIN_CONTRAST
        low = min(max(low, high - _MAX_CONTRAST), high)
        ratio = (high - low) * (amplitude - (high + low) / 2) / _VARIANCE
        return min(max(ratio, -_MAX_LLR), _MAX_LLR)

    def every_second(self, high: float | None = None) -> bool:
        """Check whether the other candidates are like the beats: only every second beat was chosen."""
        if len(self.beats) < _N_BEATS or len(self.others) < _N_BEATS:
            return False
        high = median(self.beats) if high is None else high
        return self._has_one_size(high) and median(abs(size - high) for size in self.others) < 2 * _ONE_SIZE

    def _has_one_size(self, high: float) -> bool:
        if len(self.beats) < _N_BEATS:
            return False
        return median(abs(size - high) for size in self.beats) < _ONE_SIZE


class BeatSelector:
    """Select the beats of a stream.

    ``pending`` are the provisional beats, in order of time.

    Parameters
    ----------
    n_leads
        Number of leads.
    """

    def __init__(self, n_leads: int) -> None:
        self._leads = [LeadSizes() for _ in range(n_leads)]
        self._learnt = False
        self._learning: list[Candidate] = []
        self._nodes: list[Node] = []  # that are not decided yet
        self._path: list[Node] = []  # the most likely sequence of them
        self._root: Node | None = None  # the last final beat
        self._first_rr = _FIRST_RR
        self._rr: deque[float] = deque(maxlen=_N_RR)
        self._recent: deque[Candidate] = deque()

    def push(self, candidates: list[Candidate], clock: int) -> Iterator[Candidate]:
        """Return the beats that are final by a time.

        Parameters
        ----------
        candidates
            The candidates that have become known until then.
        clock
            The time in samples at LIVE_FS.

        Yields
        ------
        Beats in order.
        """
        for candidate in candidates:
            known = candidate.peak + LATENCY
            yield from self._advance(known)
            if self._learnt:
                self._add(candidate)
            else:
                oldest = candidate.sample - LEARNT_FROM_S * LIVE_FS
                self._learning = [one for one in self._learning if one.sample > oldest]
                self._learning.append(candidate)
        yield from self._advance(clock)

    @property
    def pending(self) -> list[Candidate]:
        """The beats of the most likely sequence that are not final yet."""
        return [node.candidate for node in self._path]

    def finish(self) -> None:
        """Learn from what there is, at the end of a signal shorter than the learning time."""
        if not self._learnt and self._learning:
            self._learn()

    def _advance(self, clock: int) -> Iterator[Candidate]:
        if not self._learnt:
            if clock < LEARNING_S * LIVE_FS or len(self._learning) < 3:
                return
            self._learn()
        while self._nodes and self._nodes[0].candidate.sample + _LAG <= clock:
            due = self._nodes.pop(0)
            if self._path and self._path[0] is due:
                self._settle(due)
                yield due.candidate
            else:
                for lead, size in zip(self._leads, due.amplitude, strict=True):
                    if size > _NO_ENERGY:
                        lead.others.append(size)
                for node in self._nodes:  # sequences through it go on without it
                    if node.before is due:
                        node.before = self._root

    def _settle(self, beat: Node) -> None:
        """Make a beat final, and give up all sequences without it."""
        for lead, size, clear in zip(self._leads, beat.amplitude, beat.clear, strict=True):
            if size > _NO_ENERGY:
                lead.beats.append(size)
            if clear:
                lead.last_clear = beat.candidate.sample
        if self._root is not None:
            self._rr.append(beat.candidate.sample - self._root.candidate.sample)
        for node in self._nodes:
            node.score = node.score - beat.score if node.follows(beat) else _NO_ENERGY
        self._root, beat.before, beat.score = beat, None, 0.0
        del self._path[0]

    def _learn(self) -> None:
        """Estimate the size of the beats from the highest candidate of every two seconds, and their RR."""
        for number, lead in enumerate(self._leads):
            highest: dict[int, float] = {}
            for candidate in self._learning:
                second = candidate.peak // _SECONDS
                highest[second] = max(highest.get(second, 0.0), candidate.strength[number])
            sizes = [_log(size) for size in highest.values()]
            lead.first = median(sizes)
        self._learnt = True
        high = [
            one.sample
            for one in self._learning
            if any(
                _log(size) > lead.first - _FIRST_CONTRAST / 2
                for lead, size in zip(self._leads, one.strength, strict=True)
            )
        ]
        rr = [later - earlier for earlier, later in pairwise(high) if later - earlier >= _REFRACTORY]
        self._first_rr = median(rr) if rr else _FIRST_RR
        for candidate in self._learning:
            self._add(candidate)
        self._learning = []

    def _add(self, candidate: Candidate) -> None:
        now = candidate.sample
        amplitude = tuple(_log(size) for size in candidate.strength)
        self._recent.append(candidate)
        while self._recent[0].sample < now - _SILENCE:
            self._recent.popleft()
        evidence = self._evidence(amplitude, now)
        usual = max(self._usual_rr(), 1)  # two peaks of energy may have one R peak
        root = self._root
        score = -_MAX_RR_PENALTY if root else 0.0
        before = root
        if root and now - root.candidate.sample < _REFRACTORY:
            score = _NO_ENERGY
        earlier = [node for node in self._nodes[-_LOOK_BACK:] if node.score > _NO_ENERGY]
        for node in [root, *earlier] if root else earlier:
            rr = now - node.candidate.sample
            if rr < _REFRACTORY:
                continue
            penalty = min(math.log(rr / usual) ** 2 / (2 * _RR_SPREAD**2), _MAX_RR_PENALTY)
            if node.score - penalty > score:
                score, before = node.score - penalty, node
        clear = tuple(value > _CLEAR for value in evidence)
        node = Node(candidate, amplitude, clear, score + sum(evidence), before)
        self._nodes.append(node)
        if node.score > (self._path[-1].score if self._path else 0.0):
            self._path = self._sequence_to(node)

    def _sequence_to(self, node: Node | None) -> list[Node]:
        sequence = []
        while node is not None and node is not self._root:
            sequence.append(node)
            node = node.before
        return sequence[::-1]

    def _usual_rr(self) -> float:
        if all(lead.every_second() for lead in self._leads) and len(self._recent) > 2:
            return median(later.sample - earlier.sample for earlier, later in pairwise(self._recent))
        return median(self._rr) if len(self._rr) >= 3 else self._first_rr

    def _evidence(self, amplitude: tuple[float, ...], now: int) -> list[float]:
        last = self._path[-1] if self._path else self._root
        silent = last is not None and now - last.candidate.sample > _SILENCE
        evidence = []
        latest = max(lead.last_clear for lead in self._leads)
        for number, (lead, size) in enumerate(zip(self._leads, amplitude, strict=True)):
            recent = _log(max(one.strength[number] for one in self._recent))
            value = lead.evidence(size, recent, silent=silent)
            off = lead.last_clear < latest - _OFF
            evidence.append(0.0 if off and value < 0 else value)
        return evidence


def _log(size: float) -> float:
    return math.log(size) if size > 0 else _NO_ENERGY
