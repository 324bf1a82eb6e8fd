"""The road from a recording to its analysis: the table of contents.

Two passes. The first goes through the signal and keeps a small summary of each beat, see
:mod:`ectopy.beats.detection`; the second looks at all summaries together: what each beat is like among the
patient's own, its class, the events. Memory grows with the beats and not with the signal.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ectopy.beats.detection import BLOCK_S, detect_beats, edges_to_recording, to_recording
from ectopy.beats.lead_selection import choose_leads, disconnected_leads
from ectopy.beats.windows import BeatWindows
from ectopy.ecg import CLASSES, Analysis, Beats, Mask, Recording, Samples
from ectopy.features import extraction
from ectopy.rhythm.atrial_fibrillation import af_penalty_from_morphology
from ectopy.rhythm.events import find_events, suppress_sveb_in_af, ventricular

Classify: TypeAlias = Callable[[Iterable[extraction.Floats]], tuple[NDArray[np.float32], Mask]]
"""Features in parts [n_i, k] -> probability [n, 4], as CLASSES has it, and whether to be confident [n]."""


@dataclass(frozen=True, eq=False)
class PreparedRecording:
    """A recording's beats before they are classified: sample on its grid, shapes.

    ``columns`` are the leads analysed; ``doubtful`` tells which beats lie in noise, [n]; ``unreadable`` as in
    :class:`ectopy.ecg.Analysis`.
    """

    recording: Recording
    columns: tuple[int, ...]
    sample: Samples
    shapes: BeatWindows
    doubtful: Mask
    unreadable: Samples

    @property
    def features(self) -> Iterator[extraction.Floats]:
        """What the network reads, [n_i, k], half an hour at a time: of two weeks it would fill 300 MB."""
        return extraction.iter_features(self.shapes)


def analyse(
    recording: Recording,
    classify: Classify,
    *,
    leads: Sequence[str] | None = None,
    r_peaks: Samples | None = None,
    block_s: float = BLOCK_S,
) -> Analysis:
    """Find and classify the beats of a recording, then its events.

    ``leads`` names those to analyse; ``r_peaks``, on the recording's grid, takes the place of detection.
    """
    return classify_beats(prepare(recording, leads=leads, r_peaks=r_peaks, block_s=block_s), classify)


def prepare(
    recording: Recording,
    *,
    leads: Sequence[str] | None = None,
    r_peaks: Samples | None = None,
    block_s: float = BLOCK_S,
) -> PreparedRecording:
    """Find the beats of a recording and describe them: all that does not depend on the classifier."""
    silent = () if leads else disconnected_leads(recording)
    columns = choose_leads(recording.leads, leads, silent=silent)
    found = detect_beats(recording, columns, r_peaks=r_peaks, block_s=block_s)
    sample = to_recording(found.shapes.sample, recording) if r_peaks is None else r_peaks
    unreadable = edges_to_recording(found.unreadable, recording)
    return PreparedRecording(recording, columns, sample, found.shapes, found.doubtful, unreadable)


def classify_beats(
    prepared: PreparedRecording, classify: Classify, *, features: Iterable[extraction.Floats] | None = None
) -> Analysis:
    """Classify the beats of a recording, and name its events; ``read`` are features made before."""
    recording, unreadable, doubtful = prepared.recording, prepared.unreadable, prepared.doubtful
    leads = tuple(recording.leads[column] for column in prepared.columns)
    probability, confident = classify(prepared.features if features is None else features)
    label = np.array(CLASSES, dtype="U1")[probability.argmax(axis=1)]
    beats = Beats(prepared.sample, label, probability, confident & ~doubtful, recording.fs)
    doubt_of_af = af_penalty_from_morphology(prepared.shapes, ventricular(beats))
    del prepared  # and with it, where nobody else has a use for them, the windows: half of all memory
    events = find_events(
        beats,
        duration_s=recording.duration_s,
        unreadable=unreadable,
        low_quality=doubtful,
        af_penalty=doubt_of_af,
    )
    return Analysis(
        name=recording.name,
        fs=recording.fs,
        n_samples=recording.n_samples,
        start=recording.start,
        recorded_leads=recording.leads,
        leads=leads,
        beats=suppress_sveb_in_af(beats, events),
        events=events,
        unreadable=unreadable,
    )
