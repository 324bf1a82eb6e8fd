"""Recordings of the formats that are read whole: stored numbers in memory, scaled when they are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Recording, Signal, UnreadableError
from ectopy.readers.validation import check_length, check_rate, check_scale


@dataclass(frozen=True, eq=False)
class Piece:
    """A stretch of a lead from sample ``start``: ``stored * scale + offset`` in mV; ``missing`` is none."""

    lead: str
    stored: NDArray[Any]
    scale: float
    offset: float = 0.0
    start: int = 0
    missing: float | None = None

    @property
    def stop(self) -> int:
        """Sample after the last."""
        return self.start + len(self.stored)


def in_memory_recording(
    path: Path, pieces: Sequence[Piece], *, fs: float, start: datetime | None = None
) -> Recording:
    """Make a recording of pieces, at least one; of two pieces of a lead that overlap the first counts."""
    if not pieces:
        raise UnreadableError(f"{path}: at least one lead of ECG expected, 0 came")
    for piece in pieces:
        check_scale(path, piece.scale, piece.lead)
    check_rate(path, fs)
    leads = tuple(dict.fromkeys(piece.lead for piece in pieces))
    n_samples = check_length(path, max(piece.stop for piece in pieces), fs)
    return Recording(path.stem, fs, leads, n_samples, partial(_read, tuple(pieces), leads), start)


def _read(pieces: Sequence[Piece], leads: Sequence[str], start: int, stop: int) -> Signal:
    """Put [start, stop) together; what no piece has is missing."""
    block = np.full((stop - start, len(leads)), np.nan, dtype=np.float32)
    for piece in reversed(pieces):
        first, last = max(start, piece.start), min(stop, piece.stop)
        if first < last:
            stored = piece.stored[first - piece.start : last - piece.start].astype(np.float64)
            physical = stored * piece.scale + piece.offset
            if piece.missing is not None:
                physical[stored == piece.missing] = np.nan
            block[first - start : last - start, leads.index(piece.lead)] = physical
    return block
