"""The analysis of a recording with a streaming model: the beats of a stream, then their events.

The labels are those that the stream gives. The events are found from them as in a reviewed recording: no rule
changes a label.
"""

from collections.abc import Sequence

import numpy as np

from ectopy import pipeline
from ectopy.criteria import DEFAULT_CRITERIA, Criteria
from ectopy.ecg import CLASSES, Analysis, Beats, Recording
from ectopy.live.network import LiveModel
from ectopy.live.stream import Stream, Update
from ectopy.pipeline import NameRhythm

_BLOCK_S = 60.0


def live_beats(recording: Recording, columns: Sequence[int], model: LiveModel) -> Beats:
    """Find and classify the beats of a recording as a stream does.

    Parameters
    ----------
    recording
        The recording.
    columns
        Columns of the leads to analyse, at most two.
    model
        The streaming model.

    Returns
    -------
    The final beats.
    """
    stream = Stream(recording.fs, [str(column) for column in columns], model=model)
    step, updates = round(_BLOCK_S * recording.fs), []
    for start in range(0, recording.n_samples, step):
        stop = min(start + step, recording.n_samples)
        updates += stream.push(recording.read_leads(columns, start, stop))
    return as_beats([*updates, *stream.finish()], recording.fs, recording.n_samples)


def as_beats(updates: Sequence[Update], fs: float, n_samples: int) -> Beats:
    """Return the final beats among the updates of a stream.

    Parameters
    ----------
    updates
        What a stream said, in order.
    fs
        Sampling rate of its input in Hz.
    n_samples
        Number of samples that it was given.

    Returns
    -------
    The beats.
    """
    final = [one for one in updates if one.kind == "beat"]
    sample = np.array([one.sample for one in final], dtype=np.int64)
    probability = np.array([one.probabilities for one in final], dtype=np.float32).reshape(-1, len(CLASSES))
    label = np.array([one.label for one in final], dtype="U1")
    confident = np.array([one.confident for one in final], dtype=bool)
    return Beats(np.minimum(sample, n_samples - 1), label, probability, confident, fs)


def analyse_live(
    recording: Recording,
    model: LiveModel,
    *,
    name_rhythm: NameRhythm | None = None,
    leads: Sequence[str] | None = None,
    criteria: Criteria = DEFAULT_CRITERIA,
) -> Analysis:
    """Find and classify the beats of a recording as a stream does, then find its events.

    Parameters
    ----------
    recording
        The recording.
    model
        The streaming model.
    name_rhythm, leads, criteria
        As for :func:`ectopy.pipeline.analyse`.

    Returns
    -------
    The analysis. Its labels are those of the stream.
    """
    columns = pipeline.analysed_columns(recording, leads)
    beats = live_beats(recording, columns, model)
    prepared = pipeline.prepare(recording, columns=columns, r_peaks=beats.sample)
    return pipeline.find_events_of(
        prepared, beats, name_rhythm=name_rhythm, criteria=criteria, keep_labels=True
    )
