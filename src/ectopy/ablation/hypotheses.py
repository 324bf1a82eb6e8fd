"""What is said of GRUs, each saying with what was measured and whether it holds on this task.

A difference counts when it is larger than its own spread, the standard deviation over pairs of the same seed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from ectopy.ablation.fold_runs import DISTANCES
from ectopy.ablation.trials import Trial

HOLDS, FAILS, PARTLY = "holds", "does not hold", "in part"
UNDECIDED = "undecided: one seed"
NEAR_LEAST = 1.1
"""A loss within a tenth of its own least is as good as converged."""
FORGOTTEN = 0.01
"""Of a beat's own influence: what lies further away is as good as forgotten."""
LONG = 2
"""A sequence is long at so many times the usual length."""
LITTLE = 1.0
"""Points of F1 that a smaller network may lose."""
F1 = {"VEB": "gross/veb_f1", "SVEB": "gross/sveb_f1"}

Group = Sequence[Trial]


@dataclass(frozen=True)
class Hypothesis:
    """A saying, what was measured, and a verdict."""

    hypothesis: str
    measured: str
    verdict: str


@dataclass(frozen=True)
class Difference:
    """By how much one group is above another: mean and spread over pairs of the same seed."""

    mean: float
    spread: float

    @property
    def more(self) -> bool:
        """Whether it is more, by more than its spread."""
        return self.mean > self.spread

    @property
    def less(self) -> bool:
        """Whether it is less, by more than its spread."""
        return -self.mean > self.spread

    def __str__(self) -> str:
        return f"{self.mean:+.1f} ± {self.spread:.1f}"


def difference(one: Group, other: Group, measure: Callable[[Trial], float]) -> Difference:
    """Subtract another group from one, seed by seed; a single seed has no spread."""
    others = {trial.seed: measure(trial) for trial in other}
    pairs = [measure(trial) - others[trial.seed] for trial in one if trial.seed in others]
    return Difference(fmean(pairs), stdev(pairs) if len(pairs) > 1 else 0.0)


def hypotheses(kinds: Mapping[str, Group], lengths: Mapping[int, Group]) -> list[Hypothesis]:
    """Judge every saying for which there are trials: of kinds by name, and of the GRU by length."""
    judged: list[Hypothesis] = []
    gru = kinds.get("gru")
    if gru is None:
        return judged
    if "lstm" in kinds:
        judged += against_lstm(gru, kinds["lstm"])
    judged.append(_forgets(gru))
    judged += _long(gru, lengths)
    for rival, saying in (
        ("gru-attention", "with attention it keeps both order and focus: it does better than without"),
        ("transformer", "it does at least as well as a Transformer here"),
        ("simple-rnn", "its gates are worth having: it does better than a simple RNN"),
        ("no-recurrence", "recurrence is worth having: it does better than no recurrence"),
    ):
        if rival in kinds:
            judged.append(_rival(saying, gru, kinds[rival], rival))
    judged += [_latency(gru), *_smaller(gru)]
    return judged if len(gru) > 1 else [replace(claim, verdict=UNDECIDED) for claim in judged]


def against_lstm(gru: Group, lstm: Group) -> Iterator[Hypothesis]:
    """Judge what is said of GRU and LSTM."""
    parameters = gru[0].n_parameters / lstm[0].n_parameters
    yield Hypothesis(
        "about three quarters of an LSTM's parameters",
        f"{parameters:.0%} of the whole network, of which the dense layers are the same",
        HOLDS if parameters < 0.875 else FAILS,
    )
    faster = difference(gru, lstm, lambda trial: trial.training_s)
    usual = fmean(trial.training_s for trial in lstm)
    yield Hypothesis(
        "it trains faster than an LSTM", f"{faster} CPU s of {usual:.1f}", HOLDS if faster.less else FAILS
    )
    sooner = difference(gru, lstm, converged)
    yield Hypothesis(
        "it converges sooner than an LSTM",
        f"{sooner} epochs until the loss out of fold is within a tenth of its least",
        HOLDS if sooner.less else FAILS,
    )
    better = _by_beat(gru, lstm)
    yield Hypothesis("it is as good as an LSTM", _told(better), _at_least(better))


def converged(trial: Trial) -> int:
    """Give the first epoch, from 1, whose loss is near the least."""
    enough = NEAR_LEAST * min(trial.losses)
    return next(epoch for epoch, loss in enumerate(trial.losses, start=1) if loss <= enough)


def _forgets(gru: Group) -> Hypothesis:
    reach = [fmean(each) for each in zip(*(trial.reach for trial in gru), strict=True)]
    beyond = next((d for d, share in zip(DISTANCES, reach, strict=True) if share < FORGOTTEN), None)
    told = (
        f"under 1 % of a beat's own influence from {beyond} beats away" if beyond else "no end within reach"
    )
    far = f"{100 * reach[DISTANCES.index(64)]:.2g} % at 64"
    return Hypothesis("it forgets over long sequences", f"{told}, {far}", HOLDS if beyond else FAILS)


def _long(gru: Group, lengths: Mapping[int, Group]) -> Iterator[Hypothesis]:
    usual = gru[0].contender.window_beats
    if LONG * usual in lengths:
        better = _by_beat(lengths[LONG * usual], gru)
        lost = any(each.less for each in better.values())
        saying = f"sequences of {LONG * usual} beats teach it less than those of {usual}"
        yield Hypothesis(saying, _told(better), HOLDS if lost else FAILS)


def _rival(saying: str, gru: Group, rival: Group, name: str) -> Hypothesis:
    if name == "gru-attention":
        better = _by_beat(rival, gru)
        return Hypothesis(saying, _told(better), _above(better))
    better = _by_beat(gru, rival)
    return Hypothesis(saying, _told(better), _at_least(better) if name == "transformer" else _above(better))


def _latency(gru: Group) -> Hypothesis:
    exported = gru[0].exported
    chunk_ms = 1000 * min(trial.exported.chunk_s for trial in gru)
    day_s = min(trial.exported.day_s for trial in gru)
    speed = f"{chunk_ms:.1f} ms for 512 beats, {day_s:.2f} s for 100,000, on one thread"
    size = f"{exported.size.plain:,} bytes"
    measured = f"{speed}; {size}; but it reads both ways, so a beat waits for those after it"
    return Hypothesis("low latency, on devices, streaming", measured, PARTLY)


def _smaller(gru: Group) -> Iterator[Hypothesis]:
    for form, saying in (
        ("weights in int8", "its weights quantise well"),
        (
            "computed in int8",
            "it computes well in eight bits: ONNX Runtime has no such GRU, only dense layers",
        ),
        ("pruned 50%", "half of its weights can go"),
        ("pruned 80%, refined", "four fifths can go with further training"),
    ):
        found = [(t, v) for t in gru for v in t.smaller if v.form == form]
        if found:
            lost = {
                beat: fmean(100 * (t.figures[n] - v.figures[n]) for t, v in found) for beat, n in F1.items()
            }
            size, whole = found[0][1].size, gru[0].exported.size
            measured = ", ".join(f"{beat} F1 {-points:+.1f}" for beat, points in lost.items())
            measured += (
                f"; {size.plain:,} bytes of {whole.plain:,}, with gzip {size.zipped:,} of {whole.zipped:,}"
            )
            yield Hypothesis(saying, measured, HOLDS if max(lost.values()) < LITTLE else FAILS)


def _by_beat(one: Group, other: Group) -> dict[str, Difference]:
    def points(figure: str) -> Callable[[Trial], float]:
        return lambda trial: 100 * trial.figures[figure]

    return {beat: difference(one, other, points(figure)) for beat, figure in F1.items()}


def _told(differences: Mapping[str, Difference]) -> str:
    return ", ".join(f"{beat} F1 {each}" for beat, each in differences.items())


def _at_least(differences: Mapping[str, Difference]) -> str:
    worse = [each.less for each in differences.values()]
    return FAILS if all(worse) else PARTLY if any(worse) else HOLDS


def _above(differences: Mapping[str, Difference]) -> str:
    better = [each.more for each in differences.values()]
    return HOLDS if all(better) else PARTLY if any(better) else FAILS
