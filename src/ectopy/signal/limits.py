"""Notes on samples that no heart and no electrode can cause: see :attr:`ectopy.ecg.Recording.limits_mv`."""

from collections.abc import Iterator, Sequence

import numpy as np

from ectopy.ecg import MAX_MV, VALUES_AT_ONCE, Recording, Samples


def notes_on_limits(recording: Recording, columns: Sequence[int]) -> tuple[str, ...]:
    """Write a note for each lead that has samples beyond the limits.

    Parameters
    ----------
    recording
        The recording, after it was read.
    columns
        Columns of the leads that were read.

    Returns
    -------
    The notes; none, without reading anything again, if no sample was beyond 0.5 V.
    """
    if not recording.exceeds_limits:
        return ()
    return tuple(_notes(recording, columns, _number_beyond(recording, columns)))


def _number_beyond(recording: Recording, columns: Sequence[int]) -> Samples:
    """Count the samples of each lead that are beyond its limit, or infinite."""
    number, step = np.zeros(len(columns), dtype=np.int64), max(VALUES_AT_ONCE // len(recording.leads), 1)
    for start in range(0, recording.n_samples, step):
        size = np.abs(recording.read(start, min(start + step, recording.n_samples))[:, list(columns)])
        number += (size > recording.limits_mv[list(columns)]).sum(axis=0)
    return number


def _notes(recording: Recording, columns: Sequence[int], number: Samples) -> Iterator[str]:
    for column, beyond in zip(columns, number.tolist(), strict=True):
        name, limit_mv = recording.leads[column], recording.limits_mv[column]
        if limit_mv > MAX_MV:
            yield f"the unit of lead {name} is wrong: most samples are beyond {MAX_MV / 1000:g} V"
        if beyond:
            samples = "sample" if beyond == 1 else "samples"
            yield f"{beyond:,} {samples} of lead {name} beyond {limit_mv / 1000:g} V count as missing"
