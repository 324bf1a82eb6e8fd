"""The trained networks in compressed variants: exported, pruned or in int8; each is evaluated again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ectopy.ablation import compression
from ectopy.ablation.compression import Size
from ectopy.ablation.fold_runs import FoldRun, headline_of
from ectopy.ecg import Mask
from ectopy.model import network, onnx_export
from ectopy.model.classifier import CHUNK
from ectopy.model.network import Network

SPARSITIES = (0.5, 0.7, 0.8, 0.9)
"""Fractions of pruned weights, without further training."""
KERAS_EXPORTER, NATIVE = "Keras exporter", "native"
"""ONNX files written by the Keras exporter, and with the recurrent nodes of ONNX."""
INT8 = "computed in int8"
REFINED = (0.8, 0.9)
"""Fractions of pruned weights that are also evaluated after further training."""
REFINING_SHARE = 0.5
"""Epochs and learning rate of the further training, over those of the training."""

VariantWriter = Callable[[FoldRun, Path], None]
"""Writes the network of a fold to an ONNX file, in some variant."""


@dataclass(frozen=True)
class Variant:
    """Size, speed and out-of-fold metrics of networks in one variant.

    ``day_s`` and ``chunk_s`` are the CPU seconds for 100,000 beats and for one chunk. ``sparsity`` is the
    fraction of weights that are zero.
    """

    name: str
    size: Size
    day_s: float
    chunk_s: float
    sparsity: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)


def measure_export(fitted: Network, folder: Path) -> Variant:
    """Measure the ONNX export of a network: with native recurrent nodes, or by the Keras exporter.

    Parameters
    ----------
    fitted
        The trained network.
    folder
        Folder for the ONNX file.

    Returns
    -------
    Size and speed, without metrics.
    """
    path = folder / "exported.onnx"
    native = network.export(fitted.model, path)
    return _measure(NATIVE if native else KERAS_EXPORTER, path, fitted)


def _measure(name: str, path: Path, fitted: Network) -> Variant:
    run, n_features = compression.load_onnx(path), len(fitted.mean)
    return Variant(
        name,
        compression.size_of(path),
        day_s=compression.seconds_for(run, compression.DAY_BEATS, n_features),
        chunk_s=compression.seconds_for(run, CHUNK, n_features, repeats=20),
    )


def all_variants() -> dict[str, VariantWriter]:
    """Return the writer of every variant by its name.

    The last ones prune the network itself, so they must be written in this order.
    """
    writers: dict[str, VariantWriter] = {
        KERAS_EXPORTER: lambda run, path: network.export_onnx_with_keras(run.network.model, path),
        NATIVE: _write,
        INT8: write_int8,
        "weights in int8": partial(_write, eight_bits=True),
    }
    for sparsity in SPARSITIES:
        writers[f"pruned {sparsity:.0%}"] = partial(_write_pruned, sparsity=sparsity)
    for sparsity in REFINED:
        writers[f"pruned {sparsity:.0%}, refined"] = partial(_write_refined, sparsity=sparsity)
    writers[f"pruned {REFINED[-1]:.0%}, refined, weights in int8"] = partial(_write, eight_bits=True)
    return writers


def evaluate_variants(
    runs: Sequence[FoldRun], writers: Mapping[str, VariantWriter], folder: Path
) -> tuple[Variant, ...]:
    """Evaluate the networks of all folds in some variants.

    Parameters
    ----------
    runs
        The folds.
    writers
        Writers of the variants by name.
    folder
        Folder for the ONNX files.

    Returns
    -------
    The variants, in the order of ``writers``.
    """
    return tuple(_evaluate_variant(name, writer, runs, folder) for name, writer in writers.items())


def _evaluate_variant(name: str, writer: VariantWriter, runs: Sequence[FoldRun], folder: Path) -> Variant:
    predictions, sparsity = [], []
    for number, run in enumerate(runs):
        path = folder / f"{number}.onnx"
        writer(run, path)
        predictions += run.predictions(compression.load_onnx(path))
        sparsity.append(compression.sparsity_of_file(path))
    variant = _measure(name, folder / "0.onnx", runs[0].network)
    return replace(variant, sparsity=float(np.mean(sparsity)), metrics=headline_of(predictions))


def _write(run: FoldRun, path: Path, *, eight_bits: bool = False) -> None:
    onnx_export.export_onnx(run.network.model, path, eight_bits=eight_bits)


def write_int8(run: FoldRun, path: Path) -> None:
    """Write a network that computes in int8.

    Parameters
    ----------
    run
        The fold with the network.
    path
        The ONNX file.
    """
    _write(run, path)
    compression.quantise(path)


def _write_pruned(run: FoldRun, path: Path, *, sparsity: float) -> None:
    model = run.network.model
    unpruned = model.get_weights()
    model.set_weights(compression.prune(unpruned, sparsity))
    _write(run, path)
    model.set_weights(unpruned)


def _write_refined(run: FoldRun, path: Path, *, sparsity: float) -> None:
    """Prune the network permanently, and train the remaining weights a little further."""
    model, config = run.network.model, run.config
    model.set_weights(compression.prune(model.get_weights(), sparsity))
    for variable in model.trainable_variables:
        variable.constraint = _keep_zeros(np.asarray(variable) != 0)
    shorter = replace(
        config,
        epochs=max(1, round(config.epochs * REFINING_SHARE)),
        learning_rate=config.learning_rate * REFINING_SHARE,
    )
    network.fit(run.train_sequences, shorter, seed=config.seed, build=lambda _: model)
    _write(run, path)


def _keep_zeros(nonzero: Mask) -> Callable[[Any], Any]:
    return lambda weights: weights * nonzero.astype(np.float32)
