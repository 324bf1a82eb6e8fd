"""Several kinds of networks on the same lessons, folds, optimiser and budget: what each learns, and how fast.

Only training patients have a part in this: every figure is out of fold.
"""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from ectopy import architectures, compression, network, training
from ectopy.classifier import CHUNK
from ectopy.compression import Size
from ectopy.ecg import Mask
from ectopy.examination import headline
from ectopy.features import Floats
from ectopy.network import Build, Network, TrainConfig
from ectopy.training import TRAINED_LABELS, Example, Fold, HeldOut, Lesson, Reading
from ectopy.truth import DETECTED

DISTANCES = (0, 1, 2, 4, 8, 16, 32, 64, 128)
"""How many beats away another beat is, where its influence is measured."""
REACH_WINDOWS = 64
SPARSITIES = (0.5, 0.7, 0.8, 0.9)
INT8 = "computed in int8"
REFINED = (0.8, 0.9)
"""Sparsities that are also reached with further training in between."""
REFINING_SHARE = 0.5
"""Of the epochs of a training, and of its learning rate."""


@dataclass(frozen=True)
class Contender:
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

    contender: Contender
    seed: int
    config: TrainConfig
    readings: tuple[Reading, ...]
    compiled: Path


@dataclass(frozen=True)
class Variant:
    """Networks in one form: how large one is, how fast, and how good they are out of fold."""

    form: str
    size: Size
    day_s: float
    chunk_s: float
    sparsity: float = 0.0
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """What came of an attempt.

    ``losses`` are out of fold after each epoch; ``epoch_s`` and ``set_up_s`` (to compile) are CPU seconds of
    one fold; ``reach`` is the influence of beats at each of DISTANCES, relative to a beat's own.
    """

    contender: Contender
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


@dataclass(frozen=True, eq=False)
class Round:
    """One fold's network and what it was trained on and is judged by."""

    network: Network
    config: TrainConfig
    learned: Sequence[Example]
    judged: Sequence[tuple[Lesson, Example]]
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
            HeldOut(example, lesson.truth, run(((example.features - mean) / scale).astype(np.float32)))
            for lesson, example in self.judged
        ]


def contenders(names: Sequence[str], lengths: Sequence[int], config: TrainConfig) -> tuple[Contender, ...]:
    """List every kind at the configured length, and the one that ships at each of the lengths."""
    for name in names:
        architectures.builder(name)  # an unknown one is refused before anything is read
    kinds = [Contender(name, config.window_beats) for name in names]
    longer = [Contender(architectures.CHOSEN, length) for length in lengths]
    return tuple(dict.fromkeys([*kinds, *longer]))


def try_out(attempt: Attempt) -> Trial:
    """Cross-validate a contender, in whatever process this is called."""
    architectures.keep_compiled(attempt.compiled)
    lessons = _load(attempt.readings)
    config = replace(attempt.contender.config(attempt.config), seed=attempt.seed)
    folds = training.folds(lessons, config.n_folds, seed=attempt.config.seed)  # the same for every seed
    rounds = [train_without(lessons, fold, config, attempt.contender.architecture) for fold in folds]
    held_out = [
        HeldOut(example, lesson.truth, each.network.logits(example.features))
        for each in rounds
        for lesson, example in each.judged
    ]
    set_up_s, *epoch_s = _seconds(rounds)
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
            reach=reach(first.network, [example for _, example in first.judged]),
            figures=_figures(held_out),
            exported=_exported(first.network, Path(scratch)),
            smaller=smaller(rounds, _forms_for(attempt), Path(scratch)),
        )


@cache
def _load(readings: tuple[Reading, ...]) -> tuple[Lesson, ...]:
    return tuple(reading.load() for reading in readings)


def train_without(lessons: Sequence[Lesson], fold: Fold, config: TrainConfig, architecture: str) -> Round:
    """Train without the patients of a fold, and take the loss on them after every epoch."""
    learned = [e for lesson in training.of_records(lessons, fold.train) for e in lesson.examples]
    judged = [(lesson, lesson.view(DETECTED)) for lesson in training.of_records(lessons, fold.test)]
    watch = _Watch([example for _, example in judged])
    build = watch.following(architectures.builder(architecture))
    fitted = network.fit(learned, config, seed=config.seed, build=build, judge=watch)
    return Round(fitted, config, learned, judged, tuple(watch.losses), tuple(watch.seconds))


class _Watch:
    """Notes the CPU seconds of each epoch, and after it the loss on held-out patients.

    Drawing the windows is off the clock: it takes as long as the training itself, and as long for every kind.
    """

    def __init__(self, held_out: Sequence[Example]) -> None:
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


def loss_on(fitted: Network, examples: Sequence[Example]) -> float:
    """Give the loss that a network was trained by on beats of other patients."""
    logits = np.concatenate([fitted.logits(example.features) for example in examples])
    label = np.concatenate([example.label for example in examples])
    one_hot = (label[:, None] == np.array(TRAINED_LABELS)).astype(np.float32)
    known = label != ""
    return float(fitted.model.loss(one_hot[known], logits[known]))


def _seconds(rounds: Sequence[Round]) -> list[float]:
    """Give CPU seconds of a fold: of set-up, then of each epoch; the first epoch is as long as the others."""
    first, *others = np.mean([each.epoch_s for each in rounds], axis=0).tolist()
    usual = float(np.median(others)) if others else first
    return [first - usual, usual, *others]


def reach(fitted: Network, examples: Sequence[Example]) -> tuple[float, ...]:
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


def _figures(held_out: Sequence[HeldOut]) -> dict[str, float]:
    return headline.summarise(training.comparisons(held_out, DETECTED))


def _exported(fitted: Network, folder: Path) -> Variant:
    """Measure a network as ONNX, with recurrent nodes where ONNX has them, else as the exporter traces it."""
    path = folder / "exported.onnx"
    try:
        compression.write_native(fitted.model, path)
    except compression.NotNativeError:
        network.export_onnx(fitted.model, path)
        return _measured("traced", path, fitted)
    return _measured("native", path, fitted)


def _measured(form: str, path: Path, fitted: Network) -> Variant:
    run, k = compression.runner(path), len(fitted.mean)
    return Variant(
        form,
        compression.size_of(path),
        day_s=compression.seconds_for(run, compression.DAY_BEATS, k),
        chunk_s=compression.seconds_for(run, CHUNK, k, repeats=20),
    )


Shrink = Callable[[Round, Path], None]
"""Writes a round's network to a file, in some form."""


def _forms_for(attempt: Attempt) -> dict[str, Shrink]:
    """Say in which forms networks are judged: those of the length that ships, the GRU in all."""
    if attempt.contender.window_beats != attempt.config.window_beats:
        return {}
    if attempt.contender.architecture == architectures.CHOSEN:
        return forms()
    return {INT8: _write_int8} if attempt.contender.architecture == "lstm" else {}


def forms() -> dict[str, Shrink]:
    """List every form; in the last ones the network is pruned for good, and must come in this order."""
    listed: dict[str, Shrink] = {
        "traced": lambda each, path: network.export_onnx(each.network.model, path),
        "native": _write,
        INT8: _write_int8,
        "weights in int8": partial(_write, eight_bits=True),
    }
    for sparsity in SPARSITIES:
        listed[f"pruned {sparsity:.0%}"] = partial(_write_pruned, sparsity=sparsity)
    for sparsity in REFINED:
        listed[f"pruned {sparsity:.0%}, refined"] = partial(_write_refined, sparsity=sparsity)
    listed[f"pruned {REFINED[-1]:.0%}, refined, weights in int8"] = partial(_write, eight_bits=True)
    return listed


def smaller(rounds: Sequence[Round], shrinks: Mapping[str, Shrink], folder: Path) -> tuple[Variant, ...]:
    """Judge the networks in each of some forms."""
    return tuple(_judged(form, shrink, rounds, folder) for form, shrink in shrinks.items())


def _judged(form: str, shrink: Shrink, rounds: Sequence[Round], folder: Path) -> Variant:
    held_out, sparsity = [], []
    for number, each in enumerate(rounds):
        path = folder / f"{number}.onnx"
        shrink(each, path)
        held_out += each.held_out(compression.runner(path))
        sparsity.append(compression.sparsity_of_file(path))
    variant = _measured(form, folder / "0.onnx", rounds[0].network)
    return replace(variant, sparsity=float(np.mean(sparsity)), figures=_figures(held_out))


def _write(each: Round, path: Path, *, eight_bits: bool = False) -> None:
    compression.write_native(each.network.model, path, eight_bits=eight_bits)


def _write_int8(each: Round, path: Path) -> None:
    _write(each, path)
    compression.quantise(path)


def _write_pruned(each: Round, path: Path, *, sparsity: float) -> None:
    model = each.network.model
    whole = model.get_weights()
    model.set_weights(compression.pruned(whole, sparsity))
    _write(each, path)
    model.set_weights(whole)


def _write_refined(each: Round, path: Path, *, sparsity: float) -> None:
    """Prune the network as it stands for good, and train what is left a little further."""
    model, config = each.network.model, each.config
    model.set_weights(compression.pruned(model.get_weights(), sparsity))
    for variable in model.trainable_variables:
        variable.constraint = _only(np.asarray(variable) != 0)
    shorter = replace(
        config,
        epochs=max(1, round(config.epochs * REFINING_SHARE)),
        learning_rate=config.learning_rate * REFINING_SHARE,
    )
    network.fit(each.learned, shorter, seed=config.seed, build=lambda _: model)
    _write(each, path)


def _only(kept: Mask) -> Callable[[Any], Any]:
    return lambda weights: weights * kept.astype(np.float32)


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
