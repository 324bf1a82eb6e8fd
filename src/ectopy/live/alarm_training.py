"""Training of the rhythm network of the alarms: gradient descent in numpy, as the network is small.

A label allows one rhythm or several, as a database may leave open which one it is. The loss is minus the log
of the total probability of the allowed ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ectopy.ecg import Mask, Samples
from ectopy.live.alarm_network import N_FEATURES, AlarmModel, Floats, alarm_features, follow_usual
from ectopy.rhythm.rhythm_intervals import RHYTHMS, Rhythm

N_FOLDS = 4
_UNITS, _STEPS, _BATCH, _RATE, _DECAY = 20, 1200, 256, 3e-3, 1e-4
_AT_ONCE = 4  # seconds that are drawn from a record together
_SHIFT_SD = 0.2  # of what is added to the features of a drawn second: no patient is like another
_SHARE = {
    Rhythm.ORGANISED: 0.45,
    Rhythm.VT: 0.15,
    Rhythm.VF: 0.2,
    Rhythm.ASYSTOLE: 0.1,
    Rhythm.ARTEFACT: 0.1,
}
"""Shares of the drawn seconds; those of a rhythm come from all records that have it alike."""


@dataclass(frozen=True, eq=False)
class AlarmExample:
    """A training record: features [n_seconds, n_leads, N_FEATURES], and which rhythms each lead may have."""

    key: str
    patient: str
    features: Floats
    allowed: Mask


def with_usual(long: Floats, short: Floats) -> Floats:
    """Return the features of a recording.

    Parameters
    ----------
    long, short
        The waves of both windows, [n_seconds, n_leads, len(WAVES)].

    Returns
    -------
    [n_seconds, n_leads, N_FEATURES].
    """
    usual, current = np.empty_like(long), np.zeros_like(long[0])
    for second, waves in enumerate(long):
        usual[second] = current = follow_usual(current, waves, second + 1)
    return alarm_features(long, short, usual)


def split_patients(examples: Sequence[AlarmExample], seed: int = 0) -> list[frozenset[str]]:
    """Return the patients of each fold; those of each database are dealt to all folds alike.

    Parameters
    ----------
    examples
        The training records.
    seed
        Seed of the order in which patients are dealt.

    Returns
    -------
    The patients of N_FOLDS folds.
    """
    rng, folds = np.random.default_rng(seed), [set[str]() for _ in range(N_FOLDS)]
    patients = list(dict.fromkeys((one.key.partition("/")[0], one.patient) for one in examples))
    for database in dict.fromkeys(name for name, _ in patients):
        own = [patient for name, patient in patients if name == database]
        for place, number in enumerate(rng.permutation(len(own)).tolist()):
            folds[place % N_FOLDS].add(own[number])
    return [frozenset(fold) for fold in folds]


def fit(examples: Sequence[AlarmExample], *, seed: int = 0, steps: int = 0) -> AlarmModel:
    """Train the network by Adam (Kingma and Ba 2015) on drawn seconds of drawn leads.

    Parameters
    ----------
    examples
        The training records.
    seed
        Seed of the first weights and of what is drawn.
    steps
        Number of steps; by default _STEPS.

    Returns
    -------
    The network.
    """
    rng, steps = np.random.default_rng(seed), steps or _STEPS
    every = np.concatenate([one.features.reshape(-1, N_FEATURES) for one in examples])
    mean, scale = every.mean(axis=0), every.std(axis=0) + np.float32(1e-3)
    weights = [
        (rng.standard_normal((N_FEATURES, _UNITS)) * np.sqrt(2 / N_FEATURES)).astype(np.float32),
        np.zeros(_UNITS, dtype=np.float32),
        (rng.standard_normal((_UNITS, len(RHYTHMS))) * np.sqrt(1 / _UNITS)).astype(np.float32),
        np.zeros(len(RHYTHMS), dtype=np.float32),
    ]
    first, second = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    draw = _Draw(examples, rng)
    for step in range(1, steps + 1):
        x, allowed = draw.batch()
        x = np.clip((x - mean) / scale, -5, 5)
        x = x + rng.normal(0, _SHIFT_SD, x.shape).astype(np.float32)
        rate = _RATE * (1 + np.cos(np.pi * step / steps)) / 2
        for place, gradient in enumerate(_gradients(weights, x, allowed)):
            first[place] += (gradient - first[place]) / 10
            second[place] += (np.square(gradient) - second[place]) / 1000
            unbiased = np.sqrt(second[place] / (1 - 0.999**step)) + np.float32(1e-7)
            weights[place] -= (
                np.float32(rate) * (first[place] / (1 - 0.9**step) / unbiased + _DECAY * weights[place])
            ).astype(np.float32)
    return AlarmModel(mean, scale, *weights)


def _gradients(weights: Sequence[Floats], x: Floats, allowed: Mask) -> list[Floats]:
    """Compute the gradients of minus the mean log of the total probability of the allowed rhythms."""
    hidden, hidden_bias, out, out_bias = weights
    unit = np.maximum(x @ hidden + hidden_bias, 0)
    logits = unit @ out + out_bias
    power = np.exp(logits - logits.max(axis=1, keepdims=True))
    probability = power / power.sum(axis=1, keepdims=True)
    wanted = probability * allowed
    error = (probability - wanted / np.maximum(wanted.sum(axis=1, keepdims=True), 1e-9)) / np.float32(len(x))
    back = (error @ out.T) * (unit > 0)
    return [x.T @ back, back.sum(axis=0), unit.T @ error, error.sum(axis=0)]


class _Draw:
    """Draws seconds: first a rhythm, then a record that has it, then a second and a lead of it."""

    def __init__(self, examples: Sequence[AlarmExample], rng: np.random.Generator) -> None:
        self._rng, self._examples = rng, examples
        self._places: dict[Rhythm, list[tuple[int, Samples]]] = {}
        for rhythm in RHYTHMS:
            certain = [
                (number, np.flatnonzero((one.allowed == np.isin(RHYTHMS, (rhythm,))).all(axis=2)))
                for number, one in enumerate(examples)
            ]
            self._places[rhythm] = [(number, places) for number, places in certain if len(places)]
        if open_ := [
            (number, np.flatnonzero(one.allowed[..., 0] & (one.allowed.sum(axis=2) > 1)))
            for number, one in enumerate(examples)
        ]:
            self._places[Rhythm.ORGANISED] += [(number, places) for number, places in open_ if len(places)]
        self._present = [rhythm for rhythm in RHYTHMS if self._places[rhythm]]

    def batch(self) -> tuple[Floats, Mask]:
        chance = np.array([_SHARE[rhythm] for rhythm in self._present])
        counts = self._rng.multinomial(_BATCH, chance / chance.sum())
        x, allowed = [], []
        for rhythm, count in zip(self._present, counts.tolist(), strict=True):
            groups = self._places[rhythm]
            for number in self._rng.integers(len(groups), size=-(-count // _AT_ONCE)).tolist():
                example, places = groups[number]
                drawn = self._rng.choice(places, _AT_ONCE)
                x.append(self._examples[example].features.reshape(-1, N_FEATURES)[drawn])
                allowed.append(self._examples[example].allowed.reshape(-1, len(RHYTHMS))[drawn])
        return np.concatenate(x), np.concatenate(allowed)
