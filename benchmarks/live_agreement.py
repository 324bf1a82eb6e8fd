"""Whether a stream says the same as ``ectopy score``, on every recording of a folder.

``uv run python benchmarks/live_agreement.py FILES`` prints a Markdown table, where FILES has a folder for
each database. Each recording is analysed three times: by ``ectopy score --model live``, by a stream in
packets of random length (0.01 to 30 s), and by ``ectopy score`` with the shipped model for whole recordings.
The first two must have the same beats, labels and probabilities. For the third, the table states how many
beats both have, and how many of these have the same class, paced beats apart. DS2 of mitdb is left out, as it
is the examination. No reference is read.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np

from ectopy import pipeline
from ectopy.datasets.catalogue import DS2
from ectopy.ec57 import MATCH_WINDOW_S, match_beats
from ectopy.ecg import BeatClass, Beats, Recording
from ectopy.live.analysis import as_beats, live_beats
from ectopy.live.network import LiveModel, load_live_model
from ectopy.live.stream import Stream
from ectopy.model.classifier import SHIPPED_MODEL, load_classifier
from ectopy.parallel.worker_pool import WorkerPool
from ectopy.readers import open_recording

PACKET_S = (0.01, 30.0)


class Agreement(NamedTuple):
    """Of a recording: hours, and numbers of beats. Known are those in common that are not paced."""

    hours: float
    n_beats: int
    is_same: bool
    n_batch: int
    n_common: int
    n_known: int
    n_alike: int


def main() -> None:
    """Compare all recordings, and print a row for each database."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("files", type=Path)
    parser.add_argument("--database", help="only this one")
    parser.add_argument("--every", type=int, default=1, help="only every nth recording")
    chosen = parser.parse_args()
    print(
        "| database | recordings | hours | beats of the stream | different in packets "
        "| beats of `ectopy score` | in both | of the same class |\n|---|---|---|---|---|---|---|---|"
    )
    for database in sorted(chosen.files.glob(chosen.database or "*/")):
        headers = [one for one in sorted(database.rglob("*.hea")) if not is_examination(one)]
        with WorkerPool(2) as processes:
            outcomes = processes.call_each(compare, headers[:: chosen.every])
        done = [one for one in outcomes if isinstance(one, Agreement)]
        for header, one in zip(headers[:: chosen.every], outcomes, strict=True):
            if not isinstance(one, Agreement):
                print(f"{header}: {one}")
            elif not one.is_same:
                print(f"{header}: other beats in packets")
        hours, beats, same, batch, common, known, alike = np.sum(done, axis=0)
        print(
            f"| {database.name} | {len(done)} | {hours:.1f} | {beats:,.0f} | {len(done) - same:.0f} "
            f"| {batch:,.0f} | {100 * common / max(batch, 1):.2f} % | {100 * alike / max(known, 1):.2f} % |",
            flush=True,
        )


def is_examination(header: Path) -> bool:
    """Check whether a record is of DS2."""
    return "mitdb" in header.parts and header.stem in DS2


def compare(header: Path) -> Agreement:
    """Analyse a recording in the three ways."""
    recording, live, batch = open_recording(header), load_live_model(), load_classifier(SHIPPED_MODEL)
    columns = pipeline.analysed_columns(recording)
    beats = live_beats(recording, columns, live)
    in_packets = beats_in_packets(recording, columns, live, seed=crc32(header.stem.encode()))
    whole = pipeline.analyse(recording, batch).beats
    tolerance = round(MATCH_WINDOW_S * recording.fs)
    matches = match_beats(whole.sample, beats.sample, tolerance=tolerance)
    judged, said = whole.label[matches.reference], beats.label[matches.test]
    is_known = judged != BeatClass.UNKNOWN  # a stream does not know paced beats
    return Agreement(
        recording.duration_s / 3600,
        len(beats.sample),
        are_equal(beats, in_packets),
        len(whole.sample),
        len(matches.test),
        int(is_known.sum()),
        int((judged == said)[is_known].sum()),
    )


def beats_in_packets(recording: Recording, columns: tuple[int, ...], model: LiveModel, *, seed: int) -> Beats:
    """Return the final beats of a stream that is given packets of random length."""
    stream = Stream(recording.fs, [str(column) for column in columns], model=model)
    updates = []
    for start, stop in packets(recording, np.random.default_rng(seed)):
        updates += stream.push(recording.read_leads(columns, start, stop))
    return as_beats([*updates, *stream.finish()], recording.fs, recording.n_samples)


def packets(recording: Recording, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Yield the first and last sample of packets, whose lengths are drawn evenly on a log scale."""
    start = 0
    while start < recording.n_samples:
        length_s = np.exp(rng.uniform(*np.log(PACKET_S)))
        stop = min(start + max(round(length_s * recording.fs), 1), recording.n_samples)
        yield start, stop
        start = stop


def are_equal(one: Beats, other: Beats) -> bool:
    """Check whether beats, labels and probabilities are the same."""
    return (
        np.array_equal(one.sample, other.sample)
        and np.array_equal(one.label, other.label)
        and np.array_equal(one.probability, other.probability)
    )


if __name__ == "__main__":
    main()
