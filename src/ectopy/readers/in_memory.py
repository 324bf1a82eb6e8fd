"""Recordings of formats that are read whole: stored numbers in memory, converted to mV when needed."""

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
    """Interval of one lead from sample ``start`` on; ``stored * scale + offset`` is in mV.

    A stored number equal to ``missing`` stands for a missing sample.
    """

    lead: str
    stored: NDArray[Any]
    scale: float
    offset: float = 0.0
    start: int = 0
    missing: float | None = None

    @property
    def stop(self) -> int:
        """Number of the sample after the last one."""
        return self.start + len(self.stored)


def in_memory_recording(
    path: Path, pieces: Sequence[Piece], *, fs: float, start: datetime | None = None
) -> Recording:
    """Build a recording from intervals of leads in memory.

    Parameters
    ----------
    path
        File that the recording comes from; the recording is named after it.
    pieces
        Intervals of leads. Where two intervals of a lead overlap, the first one counts.
    fs
        Sampling rate in Hz.
    start
        Local date and time of the first sample, if known.

    Returns
    -------
    The recording. Samples that no interval covers are NaN.

    Raises
    ------
    UnreadableError
        There is no lead, or the rate, the length or a gain is implausible.
    """
    if not pieces:
        raise UnreadableError(f"{path}: the file has no ECG lead. Export it again with the ECG signals.")
    for piece in pieces:
        check_scale(path, piece.scale, piece.lead)
    check_rate(path, fs)
    leads = tuple(dict.fromkeys(piece.lead for piece in pieces))
    n_samples = check_length(path, max(piece.stop for piece in pieces), fs)
    return Recording(path.stem, fs, leads, n_samples, partial(_read, tuple(pieces), leads), start)


def _read(pieces: Sequence[Piece], leads: Sequence[str], start: int, stop: int) -> Signal:
    """Read samples [start, stop) in mV; NaN where no piece has a sample."""
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
