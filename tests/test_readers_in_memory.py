"""Recordings in memory: pieces of leads in any order, with gaps and overlaps."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ectopy.readers.in_memory import Piece, in_memory_recording

RNG = np.random.default_rng(0)


def pieces(n: int, *, length: int = 10, spread: int = 4000) -> list[Piece]:
    """Pieces of two leads at random places; some overlap."""
    starts = RNG.integers(0, spread, n)
    return [
        Piece(
            "I" if RNG.random() < 0.5 else "II",
            RNG.integers(-100, 100, length),
            0.01,
            start=int(start),
            missing=7,
        )
        for start in starts
    ]


def by_sample(held: list[Piece], n_samples: int) -> NDArray[np.float32]:
    """Fill in the samples one by one; of two pieces the first one counts."""
    leads = list(dict.fromkeys(piece.lead for piece in held))
    filled = np.zeros((n_samples, 2), dtype=bool)
    signal = np.full((n_samples, 2), np.nan, dtype=np.float32)
    for piece in held:
        for at, value in enumerate(piece.stored.tolist(), piece.start):
            place = at, leads.index(piece.lead)
            signal[place] = signal[place] if filled[place] else np.nan if value == 7 else value * 0.01
            filled[place] = True
    return signal


@pytest.mark.parametrize("block", [1, 37, 500, 10_000])
def test_blocks_hold_the_first_piece_at_each_sample(block: int) -> None:
    held = pieces(600)
    recording = in_memory_recording(Path("a"), held, fs=250)
    blocks = [
        recording.read(start, min(start + block, recording.n_samples))
        for start in range(0, recording.n_samples, block)
    ]
    np.testing.assert_allclose(np.concatenate(blocks), by_sample(held, recording.n_samples), rtol=1e-6)
