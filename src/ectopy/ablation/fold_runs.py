"""One fold of a comparison: a network trained without some patients, and what it makes of them.

Watched while it trains: the loss on them after each epoch, and the CPU seconds.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ectopy.ablation import architectures
from ectopy.ec57.reference import DETECTED
from ectopy.evaluation import headline_metrics
from ectopy.features.extraction import Floats
from ectopy.model import calibration, folds, network
from ectopy.model.calibration import HeldOut
from ectopy.model.folds import Fold
from ectopy.model.network import Build, Network, TrainConfig
from ectopy.model.training_set import TRAINED_LABELS, TrainingRecord, TrainingSequence

DISTANCES = (0, 1, 2, 4, 8, 16, 32, 64, 128)
"""How many beats away another beat is, where its influence is measured."""
REACH_WINDOWS = 64


@dataclass(frozen=True, eq=False)
class FoldRun:
    """One fold's network and what it was trained on and is judged by."""

    network: Network
    config: TrainConfig
    learned: Sequence[TrainingSequence]
    judged: Sequence[tuple[TrainingRecord, TrainingSequence]]
    losses: Sequence[float]
    epoch_s: Sequence[float]

    @property
    def weight(self) -> int:
        """How many beats have a say in the loss."""
        return sum(int((example.label != "").sum()) for _, example in self.judged)

    def held_out(self, run: Callable[[Floats], Floats]) -> list[HeldOut]:
        """Say what the network makes of the fold's patients when standardised features go through ``run``."""
        mean, scale = self.network.mean, self.network.scale
        return [
            HeldOut(example, lesson.reference, run(((example.features - mean) / scale).astype(np.float32)))
            for lesson, example in self.judged
        ]


def train_without(
    lessons: Sequence[TrainingRecord], fold: Fold, config: TrainConfig, architecture: str
) -> FoldRun:
    """Train without the patients of a fold, and take the loss on them after every epoch."""
    learned = folds.training_sequences(lessons, fold)
    judged = [(lesson, lesson.variant(DETECTED)) for lesson in folds.of_records(lessons, fold.test)]
    watch = _Watch([example for _, example in judged])
    build = watch.following(architectures.builder(architecture))
    fitted = network.fit(learned, config, seed=config.seed, build=build, judge=watch)
    return FoldRun(fitted, config, learned, judged, tuple(watch.losses), tuple(watch.seconds))


class _Watch:
    """Notes the CPU seconds of each epoch, and after it the loss on held-out patients.

    Drawing the windows is off the clock: it takes as long as the training itself, and as long for every kind.
    """

    def __init__(self, held_out: Sequence[TrainingSequence]) -> None:
        self.seconds: list[float] = []
        self.losses: list[float] = []
        self._held_out = held_out

    def __call__(self, fitted: Network) -> dict[str, float]:
        self.losses.append(loss_on(fitted, self._held_out))
        return {}

    def following(self, build: Build) -> Build:
        """Build a model that is on the clock whenever it is fitted."""

        def followed(config: TrainConfig) -> Any:
            model = build(config)
            fit = model.fit

            def on_the_clock(*given: Any, **named: Any) -> Any:
                start = time.process_time()
                history = fit(*given, **named)
                self.seconds.append(time.process_time() - start)
                return history

            model.fit = on_the_clock
            return model

        return followed


def loss_on(fitted: Network, examples: Sequence[TrainingSequence]) -> float:
    """Give the loss that a network was trained by on beats of other patients."""
    logits = np.concatenate([fitted.logits(example.features) for example in examples])
    label = np.concatenate([example.label for example in examples])
    one_hot = (label[:, None] == np.array(TRAINED_LABELS)).astype(np.float32)
    known = label != ""
    return float(fitted.model.loss(one_hot[known], logits[known]))


def seconds_of(rounds: Sequence[FoldRun]) -> list[float]:
    """Give CPU seconds of a fold: of set-up, then of each epoch; the first epoch is as long as the others."""
    first, *others = np.mean([each.epoch_s for each in rounds], axis=0).tolist()
    usual = float(np.median(others)) if others else first
    return [first - usual, usual, *others]


def receptive_field(fitted: Network, examples: Sequence[TrainingSequence]) -> tuple[float, ...]:
    """Give how much a beat's logits change when a beat so many before it is another's, relative to its own.

    From windows of held-out patients around beats drawn at random; NaN where their records are too short.
    """
    rng, span = np.random.default_rng(0), max(DISTANCES)
    long = [example.features for example in examples if len(example.features) > 2 * span]
    if not long:
        return (float("nan"),) * len(DISTANCES)
    drawn = [long[index] for index in rng.integers(len(long), size=REACH_WINDOWS)]
    starts = [rng.integers(len(rows) - 2 * span) for rows in drawn]
    windows = np.stack([rows[at : at + 2 * span + 1] for rows, at in zip(drawn, starts, strict=True)])
    windows = ((windows - fitted.mean) / fitted.scale).astype(np.float32)
    strange = windows[rng.permutation(REACH_WINDOWS)]
    as_is = fitted.model.predict_on_batch(windows)[:, span]
    change = []
    for distance in DISTANCES:
        changed = windows.copy()
        changed[:, span - distance] = strange[:, span - distance]
        change.append(float(np.abs(fitted.model.predict_on_batch(changed)[:, span] - as_is).mean()))
    return tuple(each / change[0] for each in change)


def figures_of(held_out: Sequence[HeldOut]) -> dict[str, float]:
    """Give the headline figures of detected beats."""
    return headline_metrics.summarise(calibration.comparisons(held_out))
