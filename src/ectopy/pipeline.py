"""The pipeline from a recording to its analysis: the table of contents of ectopy.

Data flows in one direction, in two passes. The first pass goes through the signal block by block and keeps a
small window of each beat (:mod:`ectopy.beats.detection`). The second pass looks at all beats together: their
features, their classes, atrial fibrillation, final labels, and every other event
(:mod:`ectopy.rhythm.events`). Memory grows with the number of beats and not with the length of the signal.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ectopy.beats.detection import BLOCK_S, LONGEST_IN_MEMORY_S, Waves, detect_beats
from ectopy.beats.lead_selection import choose_leads, disconnected_leads
from ectopy.beats.windows import BeatWindows
from ectopy.criteria import DEFAULT_CRITERIA, Criteria
from ectopy.ecg import (
    CLASSES,
    Analysis,
    Beats,
    Event,
    Mask,
    NotAnalysableError,
    Recording,
    Samples,
    merge_intervals,
)
from ectopy.features import extraction
from ectopy.features.rhythm import iter_rhythm_features
from ectopy.parallel.memory import return_freed_memory, return_memory_at_once
from ectopy.rhythm.atrial_fibrillation import af_penalty_from_morphology
from ectopy.rhythm.events import analyse_rhythm
from ectopy.rhythm.finders import ventricular
from ectopy.rhythm.rhythm_intervals import RhythmInterval, find_rhythm_intervals, without_slow_vt
from ectopy.signal.limits import notes_on_limits
from ectopy.signal.p_waves import has_p_waves
from ectopy.signal.pacing_spikes import divide_spikes
from ectopy.signal.time_grid import TimeGrid

Classify: TypeAlias = Callable[[Iterable[extraction.Floats]], tuple[NDArray[np.float32], Mask]]
"""Features in parts [n_i, k] -> probabilities [n, 4] in the order of CLASSES, and confidence [n]."""
NameRhythm: TypeAlias = Callable[[Iterable[extraction.Floats]], NDArray[np.float32]]
"""Rhythm features in parts [n_i, k] -> probabilities [n, k] in the order of RHYTHMS."""
_PULSES = 3  # pulses that do not capture, in a standstill
_AFTER_QRS_S, _BEFORE_QRS_S = 0.6, 0.3  # at the ends of a standstill, a QRS complex and a T wave may be
_LOOK_S = 120.0  # a longer standstill is judged by its beginning


@dataclass(frozen=True, eq=False)
class PreparedRecording:
    """A recording with its beats before they are classified: all that does not depend on the classifier.

    ``columns`` are the leads that were analysed. ``sample`` are the R peaks on the grid of the recording.
    ``low_quality`` is True where a beat lies in noise, and ``beside_gap`` where signal beside it is lost,
    [n]. ``unreadable`` is as in :class:`ectopy.ecg.Analysis`. ``waves`` are those of every tick. ``spikes``
    are the pacing spikes on the grid of the recording, [k].
    """

    recording: Recording
    columns: tuple[int, ...]
    sample: Samples
    windows: BeatWindows
    low_quality: Mask
    beside_gap: Mask
    unreadable: Samples
    waves: Waves
    spikes: Samples | None = None

    @property
    def features(self) -> Iterator[extraction.Floats]:
        """Features of the beats, [n_i, k], half an hour at a time: those of two weeks would fill 300 MB."""
        return extraction.iter_features(self.windows)


def analyse(  # noqa: PLR0913 - each has a default
    recording: Recording,
    classify: Classify,
    *,
    name_rhythm: NameRhythm | None = None,
    leads: Sequence[str] | None = None,
    r_peaks: Samples | None = None,
    block_s: float = BLOCK_S,
    criteria: Criteria = DEFAULT_CRITERIA,
) -> Analysis:
    """Find and classify the beats of a recording, then its events.

    Parameters
    ----------
    recording
        The recording to analyse.
    classify
        The classifier, such as :class:`ectopy.model.classifier.Classifier`.
    name_rhythm
        The rhythm network, such as :class:`ectopy.model.rhythm_classifier.RhythmClassifier`. Without it, the
        beats decide alone, and neither fibrillation nor artefact is named.
    leads
        Names of the leads to analyse; by default they are chosen.
    r_peaks
        R peaks in samples of the recording, [n]; they replace detection.
    block_s
        Length in seconds of the blocks of signal that are in memory at once.
    criteria
        What is called a pause, a run or an episode.

    Returns
    -------
    The analysis.
    """
    prepared = prepare(recording, leads=leads, r_peaks=r_peaks, block_s=block_s)
    return classify_beats(prepared, classify, name_rhythm=name_rhythm, criteria=criteria)


def prepare(
    recording: Recording,
    *,
    leads: Sequence[str] | None = None,
    columns: Sequence[int] | None = None,
    r_peaks: Samples | None = None,
    block_s: float = BLOCK_S,
) -> PreparedRecording:
    """Find the beats of a recording, with a window of signal around each.

    Parameters
    ----------
    recording, leads, r_peaks, block_s
        As for :func:`analyse`.
    columns
        What :func:`analysed_columns` returned for these leads, if it was called already.

    Returns
    -------
    All that a classifier needs.
    """
    if r_peaks is not None:
        r_peaks = _checked(r_peaks, recording)
    columns = analysed_columns(recording, leads) if columns is None else tuple(columns)
    grid = TimeGrid.of(recording)
    detected = detect_beats(recording, columns, r_peaks=r_peaks, block_s=block_s)
    sample = grid.to_recording(detected.windows.sample) if r_peaks is None else r_peaks
    unreadable = grid.edges_to_recording(detected.unreadable)
    recording = replace(recording, notes=(*recording.notes, *notes_on_limits(recording, columns)))
    return PreparedRecording(
        recording,
        columns,
        sample,
        detected.windows,
        detected.low_quality,
        detected.beside_gap,
        unreadable,
        detected.waves,
        detected.spikes,
    )


def analysed_columns(recording: Recording, leads: Sequence[str] | None = None) -> tuple[int, ...]:
    """Return the columns of the leads to analyse.

    Parameters
    ----------
    recording
        The recording.
    leads
        Names of leads; by default the usual ones with signal.

    Returns
    -------
    At most two columns.
    """
    disconnected = () if leads else disconnected_leads(recording)
    return choose_leads(recording.leads, leads, disconnected=disconnected, notes=recording.notes)


def _checked(r_peaks: Samples, recording: Recording) -> Samples:
    """Check that R peaks are samples of a recording, in order of time."""
    peaks = np.asarray(r_peaks)
    inside = (
        peaks.ndim == 1 and peaks.dtype.kind in "iu" and ((peaks >= 0) & (peaks < recording.n_samples)).all()
    )
    if len(peaks) and not (inside and (peaks[1:] > peaks[:-1]).all()):
        raise NotAnalysableError(
            f"{recording.name}: the R peaks are not samples of the recording in order of time, each once. "
            f"Give whole numbers from 0 to {recording.n_samples - 1}."
        )
    return peaks.astype(np.int64)


def classify_beats(
    prepared: PreparedRecording,
    classify: Classify,
    *,
    features: Iterable[extraction.Floats] | None = None,
    name_rhythm: NameRhythm | None = None,
    criteria: Criteria = DEFAULT_CRITERIA,
) -> Analysis:
    """Classify the beats of a recording and find its events.

    Parameters
    ----------
    prepared
        The recording with its beats.
    classify
        The classifier.
    features
        Features that were computed before, in parts [n_i, k]; by default they are computed now.
    name_rhythm, criteria
        As for :func:`analyse`.

    Returns
    -------
    The analysis.
    """
    parts = prepared.features if features is None else features
    return find_events_of(
        prepared, _classified(prepared, classify, parts), name_rhythm=name_rhythm, criteria=criteria
    )


def _classified(
    prepared: PreparedRecording, classify: Classify, features: Iterable[extraction.Floats]
) -> Beats:
    probability, confident = classify(features)
    label = np.array(CLASSES, dtype="U1")[probability.argmax(axis=1)]
    confident &= ~(prepared.low_quality | prepared.beside_gap)
    return Beats(prepared.sample, label, probability, confident, prepared.recording.fs)


def find_events_of(
    prepared: PreparedRecording,
    beats: Beats,
    *,
    name_rhythm: NameRhythm | None = None,
    criteria: Criteria = DEFAULT_CRITERIA,
    keep_labels: bool = False,
) -> Analysis:
    """Find the events of a recording from its classified beats.

    Parameters
    ----------
    prepared
        The recording with its beats.
    beats
        The same beats with their classes.
    name_rhythm, criteria
        As for :func:`analyse`.
    keep_labels
        Whether the labels are final already; by default the rhythm decides on some.

    Returns
    -------
    The analysis.
    """
    recording, columns = prepared.recording, prepared.columns
    low_quality, unreadable, windows = prepared.low_quality, prepared.unreadable, prepared.windows
    intervals = name_rhythm_intervals(prepared, beats, name_rhythm, criteria) if name_rhythm else ()
    af_penalty, given = af_penalty_from_morphology(windows, ventricular(beats)), [beats]
    if recording.duration_s > LONGEST_IN_MEMORY_S:  # from here on, many arrays are as long as the beats
        return_memory_at_once()
        return_freed_memory()
    del beats  # so that their 40 MB go, in a recording of two weeks, as soon as the rhythm has made others
    rhythm = analyse_rhythm(
        given.pop(),
        duration_s=recording.duration_s,
        unreadable=unreadable,
        low_quality=low_quality,
        af_penalty=af_penalty,
        windows=windows,
        intervals=intervals,
        spikes=prepared.spikes,
        criteria=criteria,
        keep_labels=keep_labels,
    )
    return Analysis(
        recording,
        columns,
        rhythm.beats,
        rhythm.rr_s,
        low_quality,
        rhythm.events,
        unreadable,
        criteria,
        rhythm.artefact,
        find_p_waves(recording, columns, rhythm.events, criteria),
    )


def find_p_waves(
    recording: Recording, columns: Sequence[int], events: Sequence[Event], criteria: Criteria
) -> Samples:
    """Find the standstills in which P waves go on: they are few, so their signal is read once more.

    Parameters
    ----------
    recording
        The recording.
    columns
        Columns of the leads that were analysed.
    events
        The events of the recording. Those of asystole are standstills, and pauses of ``no_beat_s`` or more.
    criteria
        The criteria of the reader.

    Returns
    -------
    Half-open [start, stop) intervals in samples, [k, 2], in order.
    """
    found = []
    for event in events:
        if event.kind == "asystole" or (event.kind == "pause" and event.duration_s >= criteria.no_beat_s):
            start, stop = (round(edge_s * recording.fs) for edge_s in (event.onset_s, event.offset_s))
            first, last = (
                start + round(_AFTER_QRS_S * recording.fs),
                stop - round(_BEFORE_QRS_S * recording.fs),
            )
            last = min(last, first + round(_LOOK_S * recording.fs))
            if first < last:
                signal = recording.read_leads(columns, first, last)
                _, bare = divide_spikes(signal, recording.fs)
                # What follows pulses that do not capture comes as regularly as P waves do.
                if len(bare) < _PULSES and has_p_waves(signal, recording.fs):
                    found.append((start, stop))
    return merge_intervals(np.array(found, dtype=np.int64).reshape(-1, 2))


def name_rhythm_intervals(
    prepared: PreparedRecording, beats: Beats, name_rhythm: NameRhythm, criteria: Criteria = DEFAULT_CRITERIA
) -> tuple[RhythmInterval, ...]:
    """Name the rhythm of every moment of a recording.

    Parameters
    ----------
    prepared
        The recording, with the waves of its ticks.
    beats
        Its classified beats.
    name_rhythm
        The rhythm network.
    criteria
        The criteria of the reader, which say how fast VT is.

    Returns
    -------
    The intervals in order of time, which cover the recording once.
    """
    waves = prepared.waves
    probability = name_rhythm(iter_rhythm_features(waves, beats, prepared.windows))
    intervals = find_rhythm_intervals(probability, waves.usable, prepared.recording.duration_s)
    return without_slow_vt(intervals, waves.period_s, criteria.vt_bpm)
