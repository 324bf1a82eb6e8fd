"""The Python API: from a path, a recording or an array to its analysis."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ectopy import pipeline
from ectopy.ecg import Analysis, NotAnalysableError, Recording, recording_of
from ectopy.model.classifier import SHIPPED_MODEL, classifier_in
from ectopy.parallel.blas_threads import one_blas_thread
from ectopy.readers import open_recording


def analyse(
    recording: Recording | str | Path | NDArray[np.floating],
    *,
    leads: Sequence[str] | str | None = None,
    model: str | Path = SHIPPED_MODEL,
    fs: float | None = None,
) -> Analysis:
    """Find and classify the beats of a recording, then its events.

    Parameters
    ----------
    recording
        A path, a :class:`ectopy.Recording`, or an array in mV, [n_samples] or [n_samples, n_leads].
    leads
        Name of a lead to analyse, or names of at most two; by default the usual Holter leads.
    model
        A directory with ``model.onnx`` and ``model.json``; by default the model that ships with ectopy.
    fs
        Sampling rate in Hz, for an array or for a file format that has none.

    Returns
    -------
    The analysis: beats, events, RR intervals and the intervals that could not be read.

    Raises
    ------
    UnreadableError
        If the file cannot be read as a recording.
    NotAnalysableError
        If the recording has no lead of that name, or if an array comes without ``fs``.

    Examples
    --------
    >>> import ectopy
    >>> patient = ectopy.simulate.draw_patient(np.random.default_rng(0))
    >>> recording = ectopy.simulate.simulate(patient, minutes=1, rng=np.random.default_rng(1)).recording
    >>> analysis = ectopy.analyse(recording)
    >>> len(analysis.beats) > 40
    True
    """
    names = [leads] if isinstance(leads, str) else leads
    with one_blas_thread():
        return pipeline.analyse(_opened(recording, fs), classifier_in(Path(model)), leads=names)


def read(path: str | Path, *, fs: float | None = None) -> Recording:
    """Read a recording of any supported format: metadata now, samples when they are needed.

    Parameters
    ----------
    path
        A file, or the name of a WFDB record without ``.hea``.
    fs
        Sampling rate in Hz, for a format that has none.

    Returns
    -------
    The recording.

    Raises
    ------
    UnreadableError
        If the file cannot be read as a recording.
    """
    return open_recording(path, fs=fs)


def _opened(recording: Recording | str | Path | NDArray[np.floating], fs: float | None) -> Recording:
    if isinstance(recording, Recording):
        return recording
    if isinstance(recording, str | Path):
        return read(recording, fs=fs)
    if fs is None:
        raise NotAnalysableError("an array has no sampling rate. Give it: analyse(array, fs=250.0)")
    signal = np.asarray(recording)
    if signal.ndim == 2 and signal.shape[1] > signal.shape[0] > 0:
        raise NotAnalysableError(
            f"an array of shape {signal.shape} has more leads than samples. Give its transpose, array.T"
        )
    return recording_of(signal, fs)
