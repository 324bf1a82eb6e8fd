"""Trials: the cross-validation of one architecture, with one sequence length and one seed.

All trials share training records, folds, optimiser and budget. All metrics are out of fold; the test records
are not used.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from ectopy.ablation import compressed_variants
from ectopy.ablation.compressed_variants import Variant, VariantWriter
from ectopy.ablation.fold_runs import headline_of, mean_epoch_seconds, receptive_field, train_without
from ectopy.model import network
from ectopy.model.architectures import CHOSEN
from ectopy.model.calibration import OutOfFoldPrediction
from ectopy.model.folds import split_folds
from ectopy.model.network import TrainConfig
from ectopy.model.training_set import RecordJob, TrainingRecord


@dataclass(frozen=True)
class Architecture:
    """An architecture to compare: its name in ARCHITECTURES, and the length of training windows in beats."""

    kind: str
    window_beats: int

    @property
    def name(self) -> str:
        """Name in runs and tables."""
        return f"{self.kind}, {self.window_beats} beats"

    def config(self, config: TrainConfig) -> TrainConfig:
        """Return its configuration, with as many beats per batch and per epoch at any window length."""
        ratio = config.window_beats / self.window_beats
        return replace(
            config,
            architecture=self.kind,
            window_beats=self.window_beats,
            windows_per_epoch=max(1, round(config.windows_per_epoch * ratio)),
            batch_windows=max(1, round(config.batch_windows * ratio)),
        )


@dataclass(frozen=True)
class Attempt:
    """Input of a trial: an architecture, a seed, the shared configuration, and the prepared training records.

    ``compilation_cache`` is a folder for compiled programs that all attempts share.
    """

    architecture: Architecture
    seed: int
    config: TrainConfig
    jobs: tuple[RecordJob, ...]
    compilation_cache: Path


@dataclass(frozen=True)
class Trial:
    """Result of an attempt.

    ``losses`` are out of fold, after each epoch. ``epoch_s`` and ``set_up_s`` (compilation) are CPU seconds
    of one fold. ``receptive_field`` is the influence of a beat at each of DISTANCES_BEATS, relative to that
    of the beat itself. ``exported`` is the ONNX export; ``variants`` are the compressed variants, if any.
    """

    architecture: Architecture
    seed: int
    n_parameters: int
    losses: tuple[float, ...]
    epoch_s: tuple[float, ...]
    set_up_s: float
    receptive_field: tuple[float, ...]
    metrics: Mapping[str, float]
    exported: Variant
    variants: tuple[Variant, ...] = ()

    @property
    def best_epoch(self) -> int:
        """The epoch of lowest loss, from 1."""
        return int(np.argmin(self.losses)) + 1

    @property
    def training_s(self) -> float:
        """CPU seconds of all epochs of one fold."""
        return sum(self.epoch_s)

    @property
    def best_s(self) -> float:
        """CPU seconds of one fold up to the epoch of lowest loss."""
        return sum(self.epoch_s[: self.best_epoch])


def select_architectures(
    names: Sequence[str], lengths: Sequence[int], config: TrainConfig
) -> tuple[Architecture, ...]:
    """List the architectures to compare.

    Parameters
    ----------
    names
        Names of ARCHITECTURES, each compared at the configured window length.
    lengths
        Further window lengths of the shipped architecture, in beats.
    config
        The training configuration.

    Returns
    -------
    The architectures, each once.
    """
    at_usual_length = [Architecture(name, config.window_beats) for name in names]
    at_other_lengths = [Architecture(CHOSEN, length) for length in lengths]
    selected = tuple(dict.fromkeys([*at_usual_length, *at_other_lengths]))
    for architecture in selected:
        architecture.config(config)  # an unknown name is an error before any record is read
    return selected


def run_attempt(attempt: Attempt) -> Trial:
    """Cross-validate an architecture; runs in any process."""
    with network.compilation_cache(attempt.compilation_cache):
        return _cross_validate(attempt)


def _cross_validate(attempt: Attempt) -> Trial:
    records = _load(attempt.jobs)
    config = replace(attempt.architecture.config(attempt.config), seed=attempt.seed)
    folds = split_folds(records, config.n_folds, seed=attempt.config.seed)  # the same for every seed
    runs = [train_without(records, fold, config) for fold in folds]
    predictions = [
        OutOfFoldPrediction(sequence, record.reference, run.network.logits(sequence.features))
        for run in runs
        for record, sequence in run.test_sequences
    ]
    set_up_s, *epoch_s = mean_epoch_seconds(runs)
    losses = np.average([run.losses for run in runs], axis=0, weights=[run.n_test_beats for run in runs])
    first = runs[0]
    with tempfile.TemporaryDirectory() as scratch:
        return Trial(
            architecture=attempt.architecture,
            seed=attempt.seed,
            n_parameters=int(first.network.model.count_params()),
            losses=tuple(losses.tolist()),
            epoch_s=tuple(epoch_s),
            set_up_s=set_up_s,
            receptive_field=receptive_field(
                first.network, [sequence for _, sequence in first.test_sequences]
            ),
            metrics=headline_of(predictions),
            exported=compressed_variants.measure_export(first.network, Path(scratch)),
            variants=compressed_variants.evaluate_variants(runs, _variants_for(attempt), Path(scratch)),
        )


@cache
def _load(jobs: tuple[RecordJob, ...]) -> tuple[TrainingRecord, ...]:
    return tuple(job.load() for job in jobs)


def _variants_for(attempt: Attempt) -> dict[str, VariantWriter]:
    """Return the variants to evaluate: at the usual length all for the GRU, and int8 for the LSTM."""
    if attempt.architecture.window_beats != attempt.config.window_beats:
        return {}
    if attempt.architecture.kind == CHOSEN:
        return compressed_variants.all_variants()
    if attempt.architecture.kind == "lstm":
        return {compressed_variants.INT8: compressed_variants.write_int8}
    return {}


def parameters_of(trial: Trial, config: TrainConfig) -> dict[str, object]:
    """Return the parameters of a trial for MLflow.

    Parameters
    ----------
    trial
        The trial.
    config
        The configuration that all trials share.

    Returns
    -------
    Parameters by name.
    """
    return asdict(replace(trial.architecture.config(config), seed=trial.seed))


def costs_of(trial: Trial) -> dict[str, float]:
    """Return time, size and number of parameters of a trial for MLflow."""
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
