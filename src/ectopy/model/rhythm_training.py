"""Training of the rhythm network: its settings, its examples, and the windows that are drawn from them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ectopy.beats.windows import N_LEADS, Floats
from ectopy.ecg import Mask
from ectopy.features.rhythm import FROM_BEATS
from ectopy.rhythm.rhythm_intervals import RHYTHMS, Rhythm
from ectopy.signal.waves import WAVES

_SHARE = {
    Rhythm.ORGANISED: 0.45,
    Rhythm.VT: 0.15,
    Rhythm.VF: 0.2,
    Rhythm.ASYSTOLE: 0.1,
    Rhythm.ARTEFACT: 0.1,
}
"""Shares of the training windows that are drawn around a tick of each rhythm."""
_COUNTS = (
    *("n_folds", "members", "dense_units", "gru_units", "epochs", "steps"),
    *("batch_windows", "window_ticks"),
)


@dataclass(frozen=True)
class RhythmTrainConfig:
    """All settings of the training of a rhythm network, an ensemble of ``members`` that differ in their seed.

    Windows are of ``window_ticks`` ticks. ``offset_sd`` is the standard deviation of what is added to a
    feature in a whole window, and ``noise_sd`` of what is added in each tick. Their unit is the standard
    deviation of the feature.
    ``without_beats`` is the share of windows whose features of beats are hidden, so that the network does not
    trust the beats alone. ``swapped`` is the share of windows whose leads change places.
    """

    seed: int = 0
    n_folds: int = 4
    members: int = 3
    dense_units: int = 32
    gru_units: int = 24
    dropout: float = 0.2
    epochs: int = 12
    steps: int = 120
    batch_windows: int = 64
    window_ticks: int = 32
    learning_rate: float = 4e-3
    weight_decay: float = 1e-2
    offset_sd: float = 0.3
    noise_sd: float = 0.1
    without_beats: float = 0.15
    swapped: float = 0.3

    def __post_init__(self) -> None:
        for name in _COUNTS:
            if getattr(self, name) < 1:
                raise ValueError(
                    f"{name}: {getattr(self, name)} is less than 1. Give a whole number from 1 on."
                )


@dataclass(frozen=True, eq=False)
class RhythmExample:
    """A training record: its rhythm features [n, k], and which rhythms its labels allow in each tick [n, 5].

    ``key`` is its name, such as ``mitdb/101``.
    """

    key: str
    patient: str
    features: Floats
    allowed: Mask

    @property
    def database(self) -> str:
        """Name of its database."""
        return self.key.partition("/")[0]


def standardisation(examples: Sequence[RhythmExample]) -> tuple[Floats, Floats]:
    """Return mean and scale of all features, [k] each."""
    features = np.concatenate([example.features for example in examples])
    return features.mean(axis=0), features.std(axis=0) + np.float32(1e-3)


def draw_batches(
    examples: Sequence[RhythmExample], mean: Floats, scale: Floats, config: RhythmTrainConfig
) -> Iterator[tuple[Floats, Floats]]:
    """Draw the batches of a training: windows around ticks of each rhythm.

    Parameters
    ----------
    examples
        The training records.
    mean, scale
        What standardises the features, [k] each.
    config
        The settings.

    Yields
    ------
    Features [batch_windows, window_ticks, k], and 1 for each rhythm that is allowed, else 0.
    """
    rng = np.random.default_rng(config.seed)
    places = {rhythm: _places(examples, rhythm) for rhythm in RHYTHMS}
    present = [rhythm for rhythm in RHYTHMS if places[rhythm]]
    chance = np.array([_SHARE[rhythm] for rhythm in present])
    shape = (config.batch_windows, config.window_ticks)
    for _ in range(config.epochs * config.steps):
        x = np.zeros((*shape, len(mean)), dtype=np.float32)
        allowed = np.ones((*shape, len(RHYTHMS)), dtype=np.float32)
        for row, rhythm in enumerate(rng.choice(present, config.batch_windows, p=chance / chance.sum())):
            groups = places[Rhythm(rhythm)]
            group = groups[rng.integers(len(groups))]
            example, ticks = group[rng.integers(len(group))]
            first = int(rng.choice(ticks)) - int(rng.integers(config.window_ticks))
            first = max(min(first, len(example.features) - config.window_ticks), 0)
            window = slice(first, first + config.window_ticks)
            n = len(example.features[window])
            x[row, :n] = (example.features[window] - mean) / scale
            allowed[row, :n] = example.allowed[window]
        yield _disturb(x, config, rng), allowed


_Places = list[tuple[RhythmExample, NDArray[np.intp]]]


def _places(examples: Sequence[RhythmExample], rhythm: Rhythm) -> list[_Places]:
    """Return in which ticks of which examples a rhythm is; organised ones in a group for each database."""
    groups: dict[str, _Places] = {}
    for example in examples:
        if len(ticks := np.flatnonzero(_is_certain(example.allowed, rhythm))):
            group = example.database if rhythm == Rhythm.ORGANISED else ""
            groups.setdefault(group, []).append((example, ticks))
    return list(groups.values())


def _is_certain(allowed: Mask, rhythm: Rhythm) -> Mask:
    """Return the ticks of a rhythm, [n].

    VF may be VT in a database that does not distinguish them, and artefact may have beats.
    """
    of = {name: allowed[:, column] for column, name in enumerate(RHYTHMS)}
    if rhythm == Rhythm.VF:
        return np.asarray(of[rhythm] & ~of[Rhythm.ORGANISED])
    if rhythm == Rhythm.ARTEFACT:
        return np.asarray(of[rhythm] & ~of[Rhythm.VT])
    return np.asarray(of[rhythm] & (allowed.sum(axis=1) == 1))


def _disturb(x: Floats, config: RhythmTrainConfig, rng: np.random.Generator) -> Floats:
    n, of_leads = len(x), N_LEADS * len(WAVES)
    swapped = rng.random(n) < config.swapped
    leads = x[swapped, :, :of_leads].reshape(-1, x.shape[1], N_LEADS, len(WAVES))
    x[swapped, :, :of_leads] = leads[:, :, ::-1].reshape(-1, x.shape[1], of_leads)
    x[rng.random(n) < config.without_beats, :, FROM_BEATS] = 0
    x += config.offset_sd * rng.standard_normal((n, 1, x.shape[2]), dtype=np.float32)
    x += config.noise_sd * rng.standard_normal(x.shape, dtype=np.float32)
    return x
