"""Common hypotheses about GRUs: what was measured for each, and whether it holds for this task.

A difference counts if it is larger than its standard deviation over pairs of trials with the same seed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from ectopy.ablation.fold_runs import DISTANCES_BEATS
from ectopy.ablation.trials import Trial

HOLDS, FAILS, PARTLY = "holds", "does not hold", "holds in part"
UNDECIDED = "undecided: one seed"
CONVERGED = 1.1
"""A training has converged when its loss is at most this multiple of its lowest loss."""
FORGOTTEN = 0.01
"""A beat is forgotten when its influence is below this fraction of the influence of the beat itself."""
LONG = 2
"""Long sequences have this multiple of the usual length."""
ACCEPTED_LOSS = 1.0
"""Percentage points of F1 that a compressed network may lose."""
F1 = {"VEB": "gross/veb_f1", "SVEB": "gross/sveb_f1"}
"""Name of the metric of each kind of ectopic beat."""

Group = Sequence[Trial]
"""Trials of one architecture, one for each seed."""


@dataclass(frozen=True)
class Hypothesis:
    """A statement about GRUs, the measurement, and the verdict."""

    statement: str
    measured: str
    verdict: str


@dataclass(frozen=True)
class Difference:
    """Mean and standard deviation of a difference between two groups, over pairs with the same seed."""

    mean: float
    spread: float

    @property
    def more(self) -> bool:
        """Whether the first group is higher by more than the spread."""
        return self.mean > self.spread

    @property
    def less(self) -> bool:
        """Whether the first group is lower by more than the spread."""
        return -self.mean > self.spread

    def __str__(self) -> str:
        return f"{self.mean:+.1f} ± {self.spread:.1f}"


def difference(first: Group, second: Group, measure: Callable[[Trial], float]) -> Difference:
    """Compute the difference of a measurement between two groups, seed by seed.

    Parameters
    ----------
    first
        Trials of one architecture.
    second
        Trials of another; seeds that only one group has are ignored.
    measure
        Returns the measurement of a trial.

    Returns
    -------
    First minus second; the spread of a single pair is 0.
    """
    second_by_seed = {trial.seed: measure(trial) for trial in second}
    differences = [
        measure(trial) - second_by_seed[trial.seed] for trial in first if trial.seed in second_by_seed
    ]
    return Difference(fmean(differences), stdev(differences) if len(differences) > 1 else 0.0)


def check_hypotheses(by_kind: Mapping[str, Group], by_length: Mapping[int, Group]) -> list[Hypothesis]:
    """Check each hypothesis for which there are trials.

    Parameters
    ----------
    by_kind
        Trials of each architecture at the usual sequence length.
    by_length
        Trials of the GRU at each sequence length, in beats.

    Returns
    -------
    The hypotheses with their verdicts; none without trials of a GRU.
    """
    checked: list[Hypothesis] = []
    gru = by_kind.get("gru")
    if gru is None:
        return checked
    if "lstm" in by_kind:
        checked += check_against_lstm(gru, by_kind["lstm"])
    checked.append(_forgets(gru))
    checked += _long_sequences(gru, by_length)
    for rival, statement in (
        ("gru-attention", "attention improves it"),
        ("transformer", "it is at least as good as a Transformer"),
        ("simple-rnn", "its gates help: it is better than a simple RNN"),
        ("no-recurrence", "recurrence helps: it is better than no recurrence"),
    ):
        if rival in by_kind:
            checked.append(_against_rival(statement, gru, by_kind[rival], rival))
    checked += [_latency(gru), *_compressed(gru)]
    return checked if len(gru) > 1 else [replace(hypothesis, verdict=UNDECIDED) for hypothesis in checked]


def check_against_lstm(gru: Group, lstm: Group) -> Iterator[Hypothesis]:
    """Check the hypotheses that compare a GRU with an LSTM.

    Parameters
    ----------
    gru
        Trials of the GRU.
    lstm
        Trials of the LSTM.

    Yields
    ------
    The hypotheses with their verdicts.
    """
    parameters = gru[0].n_parameters / lstm[0].n_parameters
    yield Hypothesis(
        "it has about three quarters of the parameters of an LSTM",
        f"{parameters:.0%} of the whole network, in which the dense layers are the same",
        HOLDS if parameters < 0.875 else FAILS,
    )
    faster = difference(gru, lstm, lambda trial: trial.training_s)
    lstm_s = fmean(trial.training_s for trial in lstm)
    yield Hypothesis(
        "it trains faster than an LSTM",
        f"{faster} CPU s, where the LSTM takes {lstm_s:.1f}",
        HOLDS if faster.less else FAILS,
    )
    sooner = difference(gru, lstm, epochs_to_converge)
    yield Hypothesis(
        "it converges sooner than an LSTM",
        f"{sooner} epochs until the out-of-fold loss is at most 10 % above its lowest value",
        HOLDS if sooner.less else FAILS,
    )
    better = _f1_differences(gru, lstm)
    yield Hypothesis("it is as good as an LSTM", _text(better), _at_least(better))


def epochs_to_converge(trial: Trial) -> int:
    """Return the first epoch, from 1, whose loss is near the lowest."""
    threshold = CONVERGED * min(trial.losses)
    return next(epoch for epoch, loss in enumerate(trial.losses, start=1) if loss <= threshold)


def _forgets(gru: Group) -> Hypothesis:
    influence = [fmean(values) for values in zip(*(trial.receptive_field for trial in gru), strict=True)]
    beyond = next(
        (distance for distance, value in zip(DISTANCES_BEATS, influence, strict=True) if value < FORGOTTEN),
        None,
    )
    limit = (
        f"influence below 1 % of that of the beat itself from {beyond} beats away"
        if beyond
        else "influence never below 1 % of that of the beat itself"
    )
    at_64 = f"{100 * influence[DISTANCES_BEATS.index(64)]:.2g} % at 64 beats"
    return Hypothesis("it forgets over long sequences", f"{limit}, {at_64}", HOLDS if beyond else FAILS)


def _long_sequences(gru: Group, by_length: Mapping[int, Group]) -> Iterator[Hypothesis]:
    usual = gru[0].architecture.window_beats
    if LONG * usual in by_length:
        better = _f1_differences(by_length[LONG * usual], gru)
        worse = any(value.less for value in better.values())
        statement = f"training on sequences of {LONG * usual} beats is worse than on {usual}"
        yield Hypothesis(statement, _text(better), HOLDS if worse else FAILS)


def _against_rival(statement: str, gru: Group, rival: Group, name: str) -> Hypothesis:
    if name == "gru-attention":
        better = _f1_differences(rival, gru)
        return Hypothesis(statement, _text(better), _better(better))
    better = _f1_differences(gru, rival)
    return Hypothesis(
        statement, _text(better), _at_least(better) if name == "transformer" else _better(better)
    )


def _latency(gru: Group) -> Hypothesis:
    exported = gru[0].exported
    chunk_ms = 1000 * min(trial.exported.chunk_s for trial in gru)
    day_s = min(trial.exported.day_s for trial in gru)
    speed = f"{chunk_ms:.1f} ms for 512 beats and {day_s:.2f} s for 100,000 beats on one thread"
    size = f"{exported.size.plain:,} bytes"
    delay = "but it is bidirectional, so a beat needs the beats after it"
    return Hypothesis("it suits devices and streaming", f"{speed}; {size}; {delay}", PARTLY)


def _compressed(gru: Group) -> Iterator[Hypothesis]:
    for name, statement in (
        ("weights in int8", "its weights can be stored in int8"),
        (
            "computed in int8",
            "it can be computed in int8 (ONNX Runtime supports this for dense layers, not for a GRU)",
        ),
        ("pruned 50%", "half of its weights can be removed"),
        ("pruned 80%, refined", "80 % of its weights can be removed with further training"),
    ):
        pairs = [(trial, variant) for trial in gru for variant in trial.variants if variant.name == name]
        if pairs:
            lost = {
                beat: fmean(100 * (trial.metrics[f1] - variant.metrics[f1]) for trial, variant in pairs)
                for beat, f1 in F1.items()
            }
            size, full = pairs[0][1].size, gru[0].exported.size
            measured = ", ".join(f"{beat} F1 {-points:+.1f}" for beat, points in lost.items())
            measured += (
                f"; {size.plain:,} bytes of {full.plain:,}, with gzip {size.zipped:,} of {full.zipped:,}"
            )
            yield Hypothesis(statement, measured, HOLDS if max(lost.values()) < ACCEPTED_LOSS else FAILS)


def _f1_differences(first: Group, second: Group) -> dict[str, Difference]:
    """Compute the difference in F1 by kind of beat, in percentage points."""

    def points(metric: str) -> Callable[[Trial], float]:
        return lambda trial: 100 * trial.metrics[metric]

    return {beat: difference(first, second, points(metric)) for beat, metric in F1.items()}


def _text(differences: Mapping[str, Difference]) -> str:
    return ", ".join(f"{beat} F1 {value}" for beat, value in differences.items())


def _at_least(differences: Mapping[str, Difference]) -> str:
    worse = [value.less for value in differences.values()]
    return FAILS if all(worse) else PARTLY if any(worse) else HOLDS


def _better(differences: Mapping[str, Difference]) -> str:
    better = [value.more for value in differences.values()]
    return HOLDS if all(better) else PARTLY if any(better) else FAILS
