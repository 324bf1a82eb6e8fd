"""Several kinds of networks on the same lessons, folds, optimiser and budget: what each learns, and how fast.

Only training patients have a part in this: every figure is out of fold.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from ectopy.ablation import architectures, compressed_variants
from ectopy.ablation.compressed_variants import Variant
from ectopy.ablation.fold_runs import figures_of, receptive_field, seconds_of, train_without
from ectopy.model import folds
from ectopy.model.calibration import HeldOut
from ectopy.model.network import TrainConfig, compiled_in
from ectopy.model.training_set import RecordJob, TrainingRecord


@dataclass(frozen=True)
class Architecture:
    """A kind of network, and how many beats long the sequences are that it learns from."""

    architecture: str
    window_beats: int

    @property
    def name(self) -> str:
        """What runs and rows are called."""
        return f"{self.architecture}, {self.window_beats} beats"

    def config(self, config: TrainConfig) -> TrainConfig:
        """Change the length of sequences, and nothing else: as many beats a step and steps an epoch."""
        ratio = config.window_beats / self.window_beats
        return replace(
            config,
            window_beats=self.window_beats,
            windows_per_epoch=max(1, round(config.windows_per_epoch * ratio)),
            batch_windows=max(1, round(config.batch_windows * ratio)),
        )


@dataclass(frozen=True)
class Attempt:
    """One contender and one seed, on lessons that lie on disk; ``compiled`` is shared by all attempts."""

    contender: Architecture
    seed: int
    config: TrainConfig
    readings: tuple[RecordJob, ...]
    compiled: Path


@dataclass(frozen=True)
class Trial:
    """What came of an attempt.

    ``losses`` are out of fold after each epoch; ``epoch_s`` and ``set_up_s`` (to compile) are CPU seconds of
    one fold; ``reach`` is the influence of beats at each of DISTANCES, relative to a beat's own.
    """

    contender: Architecture
    seed: int
    n_parameters: int
    losses: tuple[float, ...]
    epoch_s: tuple[float, ...]
    set_up_s: float
    reach: tuple[float, ...]
    figures: Mapping[str, float]
    exported: Variant
    smaller: tuple[Variant, ...] = ()

    @property
    def best_epoch(self) -> int:
        """The epoch of least loss, from 1."""
        return int(np.argmin(self.losses)) + 1

    @property
    def training_s(self) -> float:
        """CPU seconds of all epochs of one fold."""
        return sum(self.epoch_s)

    @property
    def best_s(self) -> float:
        """CPU seconds of one fold up to the epoch of least loss."""
        return sum(self.epoch_s[: self.best_epoch])


def select_architectures(
    names: Sequence[str], lengths: Sequence[int], config: TrainConfig
) -> tuple[Architecture, ...]:
    """List every kind at the configured length, and the one that ships at each of the lengths."""
    for name in names:
        architectures.builder(name)  # an unknown one is refused before anything is read
    kinds = [Architecture(name, config.window_beats) for name in names]
    longer = [Architecture(architectures.CHOSEN, length) for length in lengths]
    return tuple(dict.fromkeys([*kinds, *longer]))


def try_out(attempt: Attempt) -> Trial:
    """Cross-validate a contender, in whatever process this is called."""
    with compiled_in(attempt.compiled):
        return _tried(attempt)


def _tried(attempt: Attempt) -> Trial:
    lessons = _load(attempt.readings)
    config = replace(attempt.contender.config(attempt.config), seed=attempt.seed)
    parts = folds.folds(lessons, config.n_folds, seed=attempt.config.seed)  # the same for every seed
    rounds = [train_without(lessons, fold, config, attempt.contender.architecture) for fold in parts]
    held_out = [
        HeldOut(example, lesson.reference, each.network.logits(example.features))
        for each in rounds
        for lesson, example in each.judged
    ]
    set_up_s, *epoch_s = seconds_of(rounds)
    first = rounds[0]
    with tempfile.TemporaryDirectory() as scratch:
        return Trial(
            contender=attempt.contender,
            seed=attempt.seed,
            n_parameters=int(first.network.model.count_params()),
            losses=tuple(
                np.average([e.losses for e in rounds], axis=0, weights=[e.weight for e in rounds]).tolist()
            ),
            epoch_s=tuple(epoch_s),
            set_up_s=set_up_s,
            reach=receptive_field(first.network, [example for _, example in first.judged]),
            figures=figures_of(held_out),
            exported=compressed_variants.exported_of(first.network, Path(scratch)),
            smaller=compressed_variants.judged(rounds, _forms_for(attempt), Path(scratch)),
        )


@cache
def _load(readings: tuple[RecordJob, ...]) -> tuple[TrainingRecord, ...]:
    return tuple(reading.load() for reading in readings)


def _forms_for(attempt: Attempt) -> dict[str, compressed_variants.Shrink]:
    """Say in which forms networks are judged: those of the length that ships, the GRU in all."""
    if attempt.contender.window_beats != attempt.config.window_beats:
        return {}
    if attempt.contender.architecture == architectures.CHOSEN:
        return compressed_variants.every()
    return (
        {compressed_variants.INT8: compressed_variants.write_int8}
        if attempt.contender.architecture == "lstm"
        else {}
    )


def parameters_of(trial: Trial, config: TrainConfig) -> dict[str, object]:
    """Give what a trial's run chose, for the tracking store."""
    chosen = replace(trial.contender.config(config), seed=trial.seed)
    return {
        "architecture": trial.contender.architecture,
        "n_parameters": trial.n_parameters,
        **asdict(chosen),
    }


def costs_of(trial: Trial) -> dict[str, float]:
    """Give what a trial took, for the tracking store."""
    return {
        "best_epoch": trial.best_epoch,
        "cost/best_s": trial.best_s,
        "cost/training_s": trial.training_s,
        "cost/set_up_s": trial.set_up_s,
        "cost/day_s": trial.exported.day_s,
        "cost/chunk_s": trial.exported.chunk_s,
        "cost/bytes": trial.exported.size.plain,
        "n_parameters": trial.n_parameters,
    }
