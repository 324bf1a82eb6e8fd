"""The Python API: a recording, by path or loaded, to its analysis with a model of one's choice."""

from collections.abc import Sequence
from pathlib import Path

from ectopy import pipeline
from ectopy.ecg import Analysis, Recording
from ectopy.model.classifier import SHIPPED_MODEL, classifier_in
from ectopy.parallel.blas_threads import one_blas_thread
from ectopy.readers import open_recording


def analyse(
    recording: Recording | str | Path,
    *,
    leads: Sequence[str] | None = None,
    model: str | Path = SHIPPED_MODEL,
    fs: float | None = None,
) -> Analysis:
    """Find and classify the beats of a recording, then its events.

    ``leads`` names at most two to analyse, by default the usual Holter leads; ``model`` is a directory with
    ``model.onnx`` and ``model.json``; ``fs`` is for formats that carry no rate. Raises ``UnreadableError``
    for a file that is no recording, ``NotAnalysableError`` for a lead it does not have.
    """
    opened = recording if isinstance(recording, Recording) else open_recording(recording, fs=fs)
    with one_blas_thread():
        return pipeline.analyse(opened, classifier_in(Path(model)), leads=leads)
