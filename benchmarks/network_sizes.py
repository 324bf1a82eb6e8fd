"""What a smaller streaming network costs in accuracy: fewer units, 8-bit weights, and pruning.

``uv run python benchmarks/network_sizes.py data`` prints a Markdown table. It needs the records that
``ectopy train-live`` has left in ``data/training/live``, of ``mitdb`` without DS2 and of ``svdb``. For each
size, a network is trained without the patients of each of five folds, and labels the beats of these. Pruning
sets the smallest weights of each matrix to 0, without further training. All figures are gross, EC57, of
detected beats, after one further beat.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ectopy.ec57.reference import DETECTED
from ectopy.flows.train_live import LOOK_AHEAD, usable
from ectopy.live import training
from ectopy.live.fold_answers import Answers, metrics_by_look_ahead
from ectopy.live.network import Floats
from ectopy.live.quantisation import MATRICES, quantise
from ectopy.model.folds import pick_records, split_folds, training_sequences
from ectopy.model.network import TrainConfig
from ectopy.model.training import TrainingFolder, load_records, record_jobs
from ectopy.model.training_sources import DEFAULT_SOURCES, select_records

SIZES = ((64, 40), (32, 20), (16, 10))
"""Units of the dense layer and of the GRU."""


def as_they_are(weights: Floats) -> Floats:
    """Return weights as they are."""
    return weights


def in_8_bits(weights: Floats) -> Floats:
    """Return the nearest weights that 8 bits can express."""
    integers, scale = quantise(weights)
    return integers * scale


def pruned(share: float) -> Callable[[Floats], Floats]:
    """Return what sets a share of the weights to 0, and the others to what 8 bits can express."""

    def prune(weights: Floats) -> Floats:
        return in_8_bits(np.where(np.abs(weights) < np.quantile(np.abs(weights), share), 0, weights))

    return prune


VARIANTS = {
    "float": as_they_are,
    "int8": in_8_bits,
    "int8, 30 % pruned": pruned(0.3),
    "int8, 50 % pruned": pruned(0.5),
    "int8, 70 % pruned": pruned(0.7),
}


def main() -> None:
    """Train, label and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data_dir", type=Path)
    data_dir = parser.parse_args().data_dir
    config = TrainConfig()
    sources = select_records(DEFAULT_SOURCES, data_dir)
    records = load_records(record_jobs(sources, config, TrainingFolder(data_dir / "training" / "live")))
    folds = split_folds(records, config.n_folds, seed=config.seed)
    print("| dense, GRU | weights | bytes of the weights | VEB F1 | SVEB F1 |\n|---|---|---|---|---|")
    for dense, gru in SIZES:
        sized = replace(config, dense_units=dense, gru_units=gru)
        answers: dict[str, list[Answers]] = {name: [] for name in VARIANTS}
        for fold in folds:
            sequences = usable(training_sequences(records, fold))
            network = training.fit(sequences, sized, look_ahead=LOOK_AHEAD, seed=sized.seed)
            own = training.weights(network)  # in the order of Keras
            for name, change in VARIANTS.items():
                network.model.set_weights([change(own[key]) if key in MATRICES else own[key] for key in own])
                for record in pick_records(records, fold.test):
                    beats = record.get(DETECTED)
                    said = training.answers(network, beats, look_ahead=LOOK_AHEAD)
                    answers[name].append(Answers(beats, record.reference, said))
        for name, of_variant in answers.items():
            final = metrics_by_look_ahead(of_variant)["all"][-1]
            size = n_bytes(own, 4 if name == "float" else 1)
            veb, sveb = (f"{100 * final[metric]:.1f}" for metric in ("veb_f1", "sveb_f1"))
            print(f"| {dense}, {gru} | {name} | {size:,} | {veb} | {sveb} |", flush=True)


def n_bytes(weights: dict[str, Floats], of_one: int) -> int:
    """Return the bytes of the weights; 8-bit ones have a scale of 4 bytes for each output."""
    size = 0
    for name, values in weights.items():
        is_matrix = name in MATRICES
        size += values.size * (of_one if is_matrix else 4)
        size += 4 * values.shape[-1] if is_matrix and of_one == 1 else 0
    return size


if __name__ == "__main__":
    main()
