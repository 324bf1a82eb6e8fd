"""The Python API: from a path, a recording or an array to its analysis."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ectopy import pipeline
from ectopy.criteria import DEFAULT_CRITERIA, Criteria, CriteriaError
from ectopy.ecg import (
    LOWEST_HZ,
    Analysis,
    NotAnalysableError,
    Recording,
    UnreadableError,
    check_rate,
    recording_of,
)
from ectopy.model.classifier import SHIPPED_MODEL, classifier_in
from ectopy.model.rhythm_classifier import load_rhythm_classifier
from ectopy.parallel.blas_threads import one_blas_thread
from ectopy.readers import open_recording


def analyse(  # noqa: PLR0913 - each has a default
    recording: Recording | str | Path | NDArray[np.floating],
    *,
    leads: Sequence[str] | str | None = None,
    model: str | Path = SHIPPED_MODEL,
    fs: float | None = None,
    unit: str | None = None,
    criteria: Criteria = DEFAULT_CRITERIA,
) -> Analysis:
    """Find and classify the beats of a recording, then its events.

    Parameters
    ----------
    recording
        A path, a :class:`ectopy.Recording`, or an array in mV, [n_samples] or [n_samples, n_leads].
    leads
        Name of a lead to analyse, or names of at most two; by default the usual Holter leads. The leads of an
        array are ``lead 1``, ``lead 2`` and so on; :func:`ectopy.recording_of` gives them names.
    model
        A directory with ``model.onnx`` and ``model.json``; by default the model that ships with ectopy.
    fs
        Sampling rate in Hz, for an array or for a file format that has none.
    unit
        Unit of a file whose leads have no unit or an unknown one: mV, uV, V or nV. A stated unit counts.
        An array is in mV.
    criteria
        What is called a pause, a run or an episode; see :class:`ectopy.Criteria`.

    Returns
    -------
    The analysis: beats, events, RR intervals and the intervals that could not be read.

    Raises
    ------
    UnreadableError
        If the file cannot be read as a recording.
    NotAnalysableError
        If the recording has no lead of that name, or if an array is no signal in mV, comes without ``fs`` or
        comes with a ``unit``.
    ModelError
        If the model cannot be used.
    CriteriaError
        If the criteria are none.

    Examples
    --------
    >>> import ectopy
    >>> patient = ectopy.simulate.draw_patient(np.random.default_rng(0))
    >>> recording = ectopy.simulate.simulate(patient, minutes=1, rng=np.random.default_rng(1)).recording
    >>> analysis = ectopy.analyse(recording)
    >>> len(analysis.beats) > 40
    True
    """
    names, folder = _lead_names(leads), _model_folder(model)
    if not isinstance(criteria, Criteria):
        raise CriteriaError(f"{criteria!r} are not criteria. Give Criteria(...) or Criteria.read(path).")
    with one_blas_thread():
        opened = _opened(recording, fs, unit, names)
        classify, name_rhythm = classifier_in(folder), load_rhythm_classifier()
        return pipeline.analyse(opened, classify, name_rhythm=name_rhythm, leads=names, criteria=criteria)


def read(
    path: str | Path, *, fs: float | None = None, unit: str | None = None, diary: str | Path | None = None
) -> Recording:
    """Read a recording of any supported format: metadata now, samples when they are needed.

    Parameters
    ----------
    path
        A file, or the name of a WFDB record without ``.hea``.
    fs
        Sampling rate in Hz, for a format that has none.
    unit
        Unit of leads that have no unit or an unknown one: mV, uV, V or nV. A stated unit counts.
    diary
        Diary of the patient, whose marks the recording gets; by default ``<name>.diary.csv`` beside the file.

    Returns
    -------
    The recording.

    Raises
    ------
    UnreadableError
        If the file cannot be read as a recording, or the diary as a diary.
    """
    if not isinstance(path, str | PathLike):
        raise UnreadableError(f"a path cannot be {type(path).__name__}. Give text or a Path.")
    if fs is not None:
        check_rate(fs, str(path))
    return open_recording(path, fs=fs, unit=unit, diary=diary)


def _opened(recording: object, fs: float | None, unit: str | None, names: Sequence[str] | None) -> Recording:
    if isinstance(recording, Recording):
        return recording
    if isinstance(recording, str | PathLike):
        return read(Path(recording), fs=fs, unit=unit)
    if unit is not None:
        raise NotAnalysableError(
            "unit is for files; an array is in mV. Leave unit out, and divide uV by 1000."
        )
    signal: Any = recording  # recording_of names what is wrong with it
    read_from_array = recording_of(signal, LOWEST_HZ if fs is None else fs)
    if fs is None:
        raise NotAnalysableError("an array has no sampling rate. Give it: analyse(array, fs=250.0)")
    if not {name.lower() for name in names or ()} <= {*read_from_array.leads}:
        raise NotAnalysableError(
            f"the leads of an array are numbered: {', '.join(read_from_array.leads)}. "
            "To name all of them: recording_of(array, fs, leads=('I', 'II', ...))."
        )
    return read_from_array


def _lead_names(leads: object) -> list[str] | None:
    names = [leads] if isinstance(leads, str) else leads
    if names is None or (isinstance(names, Sequence) and all(isinstance(name, str) for name in names)):
        return None if names is None else list(names)
    raise NotAnalysableError(f"leads {leads!r} are not names. Give names of leads, such as ['II', 'V1'].")


def _model_folder(model: object) -> Path:
    if isinstance(model, str | PathLike) and not str(model).startswith("models:"):
        return Path(model)
    raise NotAnalysableError(
        f"model {str(model)!r}: not a model directory. "
        "Give the path of one; only `ectopy score` takes models:/NAME@ALIAS."
    )
