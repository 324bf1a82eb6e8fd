"""The same networks in smaller forms: written, pruned, in eight bits; each form measured and judged again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ectopy.ablation import compression
from ectopy.ablation.compression import Size
from ectopy.ablation.fold_runs import FoldRun, figures_of
from ectopy.ecg import Mask
from ectopy.model import network, onnx_export
from ectopy.model.classifier import CHUNK
from ectopy.model.network import Network

SPARSITIES = (0.5, 0.7, 0.8, 0.9)
INT8 = "computed in int8"
REFINED = (0.8, 0.9)
"""Sparsities that are also reached with further training in between."""
REFINING_SHARE = 0.5
"""Of the epochs of a training, and of its learning rate."""

Shrink = Callable[[FoldRun, Path], None]
"""Writes a round's network to a file, in some form."""


@dataclass(frozen=True)
class Variant:
    """Networks in one form: how large one is, how fast, and how good they are out of fold."""

    form: str
    size: Size
    day_s: float
    chunk_s: float
    sparsity: float = 0.0
    figures: Mapping[str, float] = field(default_factory=dict)


def exported_of(fitted: Network, folder: Path) -> Variant:
    """Measure a network as ONNX, with recurrent nodes where ONNX has them, else as the exporter traces it."""
    path = folder / "exported.onnx"
    try:
        onnx_export.export_onnx(fitted.model, path)
    except onnx_export.UnsupportedLayerError:
        network.export_onnx_with_keras(fitted.model, path)
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


def every() -> dict[str, Shrink]:
    """List every form; in the last ones the network is pruned for good, and must come in this order."""
    listed: dict[str, Shrink] = {
        "traced": lambda each, path: network.export_onnx_with_keras(each.network.model, path),
        "native": _write,
        INT8: write_int8,
        "weights in int8": partial(_write, eight_bits=True),
    }
    for sparsity in SPARSITIES:
        listed[f"pruned {sparsity:.0%}"] = partial(_write_pruned, sparsity=sparsity)
    for sparsity in REFINED:
        listed[f"pruned {sparsity:.0%}, refined"] = partial(_write_refined, sparsity=sparsity)
    listed[f"pruned {REFINED[-1]:.0%}, refined, weights in int8"] = partial(_write, eight_bits=True)
    return listed


def judged(rounds: Sequence[FoldRun], shrinks: Mapping[str, Shrink], folder: Path) -> tuple[Variant, ...]:
    """Judge the networks in each of some forms."""
    return tuple(_judged_in(form, shrink, rounds, folder) for form, shrink in shrinks.items())


def _judged_in(form: str, shrink: Shrink, rounds: Sequence[FoldRun], folder: Path) -> Variant:
    held_out, sparsity = [], []
    for number, each in enumerate(rounds):
        path = folder / f"{number}.onnx"
        shrink(each, path)
        held_out += each.held_out(compression.runner(path))
        sparsity.append(compression.sparsity_of_file(path))
    variant = _measured(form, folder / "0.onnx", rounds[0].network)
    return replace(variant, sparsity=float(np.mean(sparsity)), figures=figures_of(held_out))


def _write(each: FoldRun, path: Path, *, eight_bits: bool = False) -> None:
    onnx_export.export_onnx(each.network.model, path, eight_bits=eight_bits)


def write_int8(each: FoldRun, path: Path) -> None:
    """Write a network to be computed in eight bits."""
    _write(each, path)
    compression.quantise(path)


def _write_pruned(each: FoldRun, path: Path, *, sparsity: float) -> None:
    model = each.network.model
    whole = model.get_weights()
    model.set_weights(compression.pruned(whole, sparsity))
    _write(each, path)
    model.set_weights(whole)


def _write_refined(each: FoldRun, path: Path, *, sparsity: float) -> None:
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
