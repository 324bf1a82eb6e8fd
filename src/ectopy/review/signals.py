"""The signal as the pages draw it: every sample, or the lowest and highest of every few."""

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import VALUES_AT_ONCE, NotAnalysableError, Recording

MOST_VALUES = 2**26
"""Samples x leads that one request may cover: a day of one lead at 360 Hz is half of it."""


def envelope(
    recording: Recording, columns: tuple[int, ...], start: int, stop: int, step: int
) -> NDArray[np.float32]:
    """Read the extremes of a recording in bins of equal length.

    Parameters
    ----------
    recording
        The recording.
    columns
        Columns of its leads.
    start, stop
        Half-open interval of samples. It is cut at the end of the recording.
    step
        Number of samples of a bin; the last bin may have fewer.

    Returns
    -------
    float32 in mV: [n_leads, n_bins, 2], the lowest and the highest of each bin, or [n_leads, n_samples, 1] if
    ``step`` is 1. NaN where every sample is missing.

    Raises
    ------
    NotAnalysableError
        If the interval is not within the recording, or too long for one request.
    """
    stop = min(stop, recording.n_samples)
    if not (0 <= start < stop and step >= 1):
        raise NotAnalysableError(
            f"{recording.name}: no samples from {start} to {stop} in steps of {step}. "
            f"Choose some from 0 to {recording.n_samples}."
        )
    if (stop - start) * len(recording.leads) > MOST_VALUES:
        raise NotAnalysableError(
            f"{recording.name}: too much signal at once. Ask for {MOST_VALUES:,} values."
        )
    if step == 1:
        return np.ascontiguousarray(
            recording.read_leads(columns, start, stop).T[:, :, None], dtype=np.float32
        )
    step = min(step, stop - start)
    at_once = max(VALUES_AT_ONCE // len(recording.leads) // step, 1) * step
    parts = [
        _extremes(recording.read_leads(columns, first, min(first + at_once, stop)), step)
        for first in range(start, stop, at_once)
    ]
    return np.concatenate(parts, axis=1)


def _extremes(signal: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Compute the lowest and the highest of every bin, [n_leads, n_bins, 2]."""
    spare = -len(signal) % step
    if spare:
        signal = np.concatenate((signal, np.full((spare, signal.shape[1]), np.nan, dtype=np.float32)))
    bins = signal.reshape(-1, step, signal.shape[1])
    return np.stack((np.fmin.reduce(bins, axis=1).T, np.fmax.reduce(bins, axis=1).T), axis=2)
