"""One fold of a comparison: a network trained without some patients, its losses, times and predictions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ectopy.ec57.reference import DETECTED
from ectopy.evaluation import headline_metrics
from ectopy.features.extraction import Floats
from ectopy.model import calibration, network
from ectopy.model.calibration import OutOfFoldPrediction
from ectopy.model.folds import Fold, pick_records, training_sequences
from ectopy.model.network import Epoch, Network, TrainConfig
from ectopy.model.training import EpochReport
from ectopy.model.training_set import TrainingRecord, TrainingSequence
from ectopy.model.training_sources import TRAINED_LABELS
from ectopy.parallel.worker_pool import report

DISTANCES_BEATS = (0, 1, 2, 4, 8, 16, 32, 64, 128)
"""Distances between two beats, in beats, at which the influence of one on the other is measured."""
RECEPTIVE_FIELD_WINDOWS = 64
"""Number of windows of beats from which the receptive field is measured."""


@dataclass(frozen=True, eq=False)
class FoldRun:
    """The network of one fold, its training and test sequences, and the loss and CPU time of each epoch.

    ``losses`` are those of the test sequences after each epoch; ``epoch_s`` is in CPU seconds.
    """

    network: Network
    config: TrainConfig
    train_sequences: Sequence[TrainingSequence]
    test_sequences: Sequence[tuple[TrainingRecord, TrainingSequence]]
    losses: Sequence[float]
    epoch_s: Sequence[float]

    @property
    def n_test_beats(self) -> int:
        """Number of labelled beats in the test sequences, from which the loss is computed."""
        return sum(int((sequence.label != "").sum()) for _, sequence in self.test_sequences)

    def predictions(self, run: Callable[[Floats], Floats]) -> list[OutOfFoldPrediction]:
        """Apply ``run``, standardised features [n, k] to logits, to the test sequences of the fold."""
        mean, scale = self.network.mean, self.network.scale
        return [
            OutOfFoldPrediction(
                sequence, record.reference, run(((sequence.features - mean) / scale).astype(np.float32))
            )
            for record, sequence in self.test_sequences
        ]


def train_without(records: Sequence[TrainingRecord], fold: Fold, config: TrainConfig) -> FoldRun:
    """Train without the test patients of a fold, and compute the loss on their beats after every epoch.

    Each epoch is reported, see :func:`ectopy.parallel.worker_pool.report`.

    Parameters
    ----------
    records
        The training set.
    fold
        The records to train on and to test on.
    config
        The training configuration, with the architecture.

    Returns
    -------
    The trained network with its losses and times.
    """
    train = training_sequences(records, fold)
    test = [(record, record.get(DETECTED)) for record in pick_records(records, fold.test)]
    losses: list[float] = []
    epoch_s: list[float] = []
    name = f"{config.architecture}, {config.window_beats} beats, seed {config.seed}"

    def note(epoch: Epoch) -> None:
        losses.append(held_out_loss(epoch.network, [sequence for _, sequence in test]))
        epoch_s.append(epoch.cpu_s)
        report(EpochReport(name, epoch.number, {"loss": losses[-1]}))

    fitted = network.fit(train, config, seed=config.seed, callbacks=[note])
    return FoldRun(fitted, config, train, test, tuple(losses), tuple(epoch_s))


def held_out_loss(fitted: Network, sequences: Sequence[TrainingSequence]) -> float:
    """Compute the training loss on sequences of other patients.

    Parameters
    ----------
    fitted
        The trained network.
    sequences
        Sequences of patients on which it was not trained.

    Returns
    -------
    The mean loss of the labelled beats.
    """
    logits = np.concatenate([fitted.logits(sequence.features) for sequence in sequences])
    label = np.concatenate([sequence.label for sequence in sequences])
    one_hot = (label[:, None] == np.array(TRAINED_LABELS)).astype(np.float32)
    labelled = label != ""
    return float(fitted.model.loss(one_hot[labelled], logits[labelled]))


def mean_epoch_seconds(runs: Sequence[FoldRun]) -> list[float]:
    """Return the mean CPU seconds of a fold: of compilation, then of each epoch.

    The first epoch contains the compilation. It is assumed to take as long as the median of the others.
    """
    first, *others = np.mean([run.epoch_s for run in runs], axis=0).tolist()
    median = float(np.median(others)) if others else first
    return [first - median, median, *others]


def receptive_field(fitted: Network, sequences: Sequence[TrainingSequence]) -> tuple[float, ...]:
    """Measure by how much the logits of a beat change when an earlier beat is replaced.

    The replacement is a random beat of another window. Windows around random beats of held-out patients are
    used.

    Parameters
    ----------
    fitted
        The trained network.
    sequences
        Sequences of held-out patients.

    Returns
    -------
    The change at each of DISTANCES_BEATS, relative to that when the beat itself is replaced. NaN if all
    sequences are too short.
    """
    rng, span = np.random.default_rng(0), max(DISTANCES_BEATS)
    long_enough = [sequence.features for sequence in sequences if len(sequence.features) > 2 * span]
    if not long_enough:
        return (float("nan"),) * len(DISTANCES_BEATS)
    drawn = [long_enough[index] for index in rng.integers(len(long_enough), size=RECEPTIVE_FIELD_WINDOWS)]
    starts = [rng.integers(len(rows) - 2 * span) for rows in drawn]
    windows = np.stack(
        [rows[start : start + 2 * span + 1] for rows, start in zip(drawn, starts, strict=True)]
    )
    windows = ((windows - fitted.mean) / fitted.scale).astype(np.float32)
    others = windows[rng.permutation(RECEPTIVE_FIELD_WINDOWS)]
    unchanged = fitted.model.predict_on_batch(windows)[:, span]
    change = []
    for distance in DISTANCES_BEATS:
        replaced = windows.copy()
        replaced[:, span - distance] = others[:, span - distance]
        logits = fitted.model.predict_on_batch(replaced)[:, span]
        change.append(float(np.abs(logits - unchanged).mean()))
    return tuple(value / change[0] for value in change)


def headline_of(predictions: Sequence[OutOfFoldPrediction]) -> dict[str, float]:
    """Return the headline metrics on detected beats."""
    return headline_metrics.summarise(calibration.compare_records(predictions))
