"""Recordings of formats that are read whole: stored numbers in memory, converted to mV when needed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import PatientHeader, Recording, Samples, Signal, UnreadableError
from ectopy.readers.lead_names import name_for_notes
from ectopy.readers.validation import check_in_memory, check_rate, check_size, leave_out, scale_problem


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


def in_memory_recording(  # noqa: PLR0913 - what a recording consists of
    path: Path,
    pieces: Sequence[Piece],
    *,
    fs: float,
    start: datetime | None = None,
    notes: Sequence[str] = (),
    incomplete: bool = False,
    patient: PatientHeader | None = None,
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
    notes
        What the reader left out or mended.
    incomplete
        Whether the file has less than its header states.
    patient
        Who was recorded, if the file states it.

    Returns
    -------
    The recording. Samples that no interval covers are NaN. Leads without a gain are left out.

    Raises
    ------
    UnreadableError
        There is no lead, or the rate or the length is implausible.
    """
    if not pieces:
        raise UnreadableError(f"{path}: the file has no ECG lead. Export it again with the ECG signals.")
    recorded = dict.fromkeys(piece.lead for piece in pieces)
    problems = {piece.lead: problem for piece in pieces if (problem := scale_problem(piece.scale))}
    usable, left_out = leave_out(
        path,
        [(name_for_notes(lead, number), problems.get(lead, "")) for number, lead in enumerate(recorded, 1)],
    )
    columns = {list(recorded)[number]: column for column, number in enumerate(usable)}
    kept = [piece for piece in pieces if piece.lead in columns]
    check_rate(path, fs)
    check_in_memory(path, sum(len(piece.stored) for piece in kept))
    n_samples = check_size(path, max(piece.stop for piece in kept), fs, n_leads=len(columns))
    return Recording(
        name=path.stem,
        fs=fs,
        leads=tuple(columns),
        n_samples=n_samples,
        read=partial(_read, tuple(kept), np.array([(piece.start, piece.stop) for piece in kept]), columns),
        start=start,
        notes=(*left_out, *notes),
        incomplete=incomplete,
        patient=patient,
    )


@np.errstate(over="ignore")  # a damaged scale may make infinite samples, which count as missing
def _read(
    pieces: Sequence[Piece], spans: Samples, columns: Mapping[str, int], start: int, stop: int
) -> Signal:
    """Read samples [start, stop) in mV; NaN where no piece has a sample."""
    block = np.full((stop - start, len(columns)), np.nan, dtype=np.float32)
    inside = np.flatnonzero((spans[:, 0] < stop) & (spans[:, 1] > start))  # there may be very many pieces
    for piece in (pieces[number] for number in reversed(inside.tolist())):
        first, last = max(start, piece.start), min(stop, piece.stop)
        stored = piece.stored[first - piece.start : last - piece.start].astype(np.float64)
        physical = stored * piece.scale + piece.offset
        if piece.missing is not None:
            physical[stored == piece.missing] = np.nan
        block[first - start : last - start, columns[piece.lead]] = physical
    return block
