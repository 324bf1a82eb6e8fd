"""Beat classification by leads, sampling rate and length of recording, out of fold by patient.

``uv run python benchmarks/leads_and_rates.py data`` prints a Markdown table, from the networks that the last
``ectopy train`` left in the folder of the databases. Each record is analysed by the networks of the fold that
held out its patient. DS2 is not read.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from ectopy import ec57, pipeline
from ectopy.annotations import Annotations, read_annotations
from ectopy.ecg import NotAnalysableError, Recording, recording_in_any_unit
from ectopy.model.classifier import Classifier, load_classifier
from ectopy.model.training import TrainingFolder
from ectopy.model.training_sources import DEFAULT_SOURCES, LabelledRecord, select_records
from ectopy.readers import open_recording
from ectopy.report.data_files import annotations_of

Cut = Callable[[Recording], Iterator[tuple[int, Recording]]]
"""Makes recordings of one record: the first sample of each in the record, and the recording."""


def with_leads(*columns: int) -> Cut:
    """Keep some leads, in this order; without names, so that the pipeline does not order them by name."""

    def cut(record: Recording) -> Iterator[tuple[int, Recording]]:
        signal = record.read(0, record.n_samples)[:, list(columns)]
        yield 0, recording_in_any_unit(signal, record.fs, name=record.name)

    return cut


def at_rate(fs: int) -> Cut:
    """Resample the record."""

    def cut(record: Recording) -> Iterator[tuple[int, Recording]]:
        signal = np.nan_to_num(record.read(0, record.n_samples))
        resampled = resample_poly(signal, fs, round(record.fs), axis=0).astype(np.float32)
        yield 0, recording_in_any_unit(resampled, float(fs), name=record.name, leads=record.leads)

    return cut


def in_strips(length_s: int) -> Cut:
    """Cut the record into strips, each analysed as a recording of its own; the last one is shorter."""

    def cut(record: Recording) -> Iterator[tuple[int, Recording]]:
        step, signal = round(length_s * record.fs), record.read(0, record.n_samples)
        for start in range(0, len(signal), step):
            strip = signal[start : start + step]
            yield start, recording_in_any_unit(strip, record.fs, name=record.name, leads=record.leads)

    return cut


CUTS: dict[str, Cut] = {
    "both leads": with_leads(0, 1),
    "leads exchanged": with_leads(1, 0),
    "first lead alone": with_leads(0),
    "second lead alone": with_leads(1),
    "resampled to 100 Hz": at_rate(100),
    "resampled to 250 Hz": at_rate(250),
    "resampled to 500 Hz": at_rate(500),
    "resampled to 1000 Hz": at_rate(1000),
    "strips of 10 s": in_strips(10),
    "strips of 60 s": in_strips(60),
}


def compare(record: LabelledRecord, model: Path) -> dict[str, ec57.BeatComparison]:
    """Compare the analyses of one record with its annotations, by the name of the cut."""
    recording, reference = open_recording(record.path), read_annotations(record.path, "atr")
    classify = load_classifier(model)
    return {
        name: ec57.compare_beats(
            reference,
            _analyse(cut(recording), recording.fs, classify),
            recording.fs,
            beat_map="dechazal",
            n_samples=recording.n_samples,
        )
        for name, cut in CUTS.items()
    }


def _analyse(parts: Iterator[tuple[int, Recording]], fs: float, classify: Classifier) -> Annotations:
    """Return the annotations of all parts on the samples of the record."""
    sample, symbol = [np.empty(0, np.int64)], [np.empty(0, "U1")]
    for start, part in parts:
        with suppress(NotAnalysableError):  # nothing readable: its beats count as missed
            beats = annotations_of(pipeline.analyse(part, classify))
            sample.append(start + np.round(beats.sample * (fs / part.fs)).astype(np.int64))
            symbol.append(beats.symbol)
    joined = np.concatenate(sample), np.concatenate(symbol)
    return Annotations(*joined, np.zeros(len(joined[0]), np.int64), ("",) * len(joined[0]))


def fold_models(work: TrainingFolder) -> dict[str, Path]:
    """Find the ensemble that did not see the patient of each record, by the key of the record."""
    models: dict[str, Path] = {}
    for predictions in sorted(work.path.glob("fold-*/network-0.npz")):
        with np.load(predictions) as arrays:
            models |= dict.fromkeys(arrays, predictions.parent / "model")
    return models


def main(data_dir: Path) -> None:
    """Print the table, by database, with one row for each cut."""
    sources = select_records(DEFAULT_SOURCES, data_dir)
    names = [source.database.name for source in sources]
    models = fold_models(TrainingFolder(data_dir / "training" / "+".join(names)))
    records = [record for source in sources for record in source.labelled(use_doubtful=True)]
    comparisons: dict[tuple[str, str], list[ec57.BeatComparison]] = defaultdict(list)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        results = pool.map(compare, records, [models[record.key] for record in records])
        for record, by_cut in zip(records, results, strict=True):
            for name, comparison in by_cut.items():
                comparisons[name, record.database].append(comparison)
    print(f"| recording | {' | '.join(f'{name}: QRS Se / +P, VEB F1, SVEB F1' for name in names)} |")
    print("|---" * (len(names) + 1) + "|")
    for cut in CUTS:
        cells = []
        for name in names:
            total = ec57.gross(comparisons[cut, name])
            qrs = f"{100 * total.qrs_sensitivity:.2f} / {100 * total.qrs_positive_predictivity:.2f}"
            cells.append(f"{qrs}, {100 * total.veb_f1:.1f}, {100 * total.sveb_f1:.1f}")
        print(f"| {cut} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
