"""Build beats, recordings and analyses by hand, for the tests of rhythm and report."""

from dataclasses import replace
from datetime import datetime

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ectopy.criteria import DEFAULT_CRITERIA, Criteria
from ectopy.ecg import Analysis, Beats, Event, Recording, Samples, merge_intervals, recording_of
from ectopy.rhythm.events import analyse_rhythm

FS = 100.0
NOTHING_UNREADABLE = np.empty((0, 2), dtype=np.int64)


def beats_of(letters: str, rr_s: ArrayLike = 0.8) -> Beats:
    """Return one confident beat per letter, with RR intervals ``rr_s`` in seconds."""
    sample = np.round(np.cumsum(np.broadcast_to(rr_s, len(letters))) * FS).astype(np.int64)
    label = np.array(list(letters), dtype="U1")
    probability = (label[:, None] == np.array(list("NSVF"))).astype(np.float32)
    return Beats(sample, label, probability, np.ones(len(letters), dtype=bool), FS)


def fibrillating_rr_s(n: int, usual_s: float = 0.7) -> NDArray[np.float64]:
    """Return random independent intervals, as in atrial fibrillation, with a fixed seed."""
    chance = np.random.default_rng(0).standard_normal(n)
    return np.asarray(np.maximum(usual_s * np.exp(0.2 * chance), 0.3))


def recording_for(beats: Beats, n_samples: int) -> Recording:
    """Return a recording of two leads, II and V1, with a spike of 1 mV at every beat."""
    signal = np.zeros((n_samples, 2), dtype=np.float32)
    signal[beats.sample] = 1.0
    return recording_of(signal, FS, name="Miller, John 1951", leads=("II", "V1"))


def analysis_of(
    recording: Recording,
    beats: Beats,
    *,
    unreadable: Samples = NOTHING_UNREADABLE,
    start: datetime | None = None,
    leads: tuple[str, ...] | None = None,
    whole: bool = False,
    criteria: Criteria = DEFAULT_CRITERIA,
) -> Analysis:
    """Analyse the rhythm of beats with given labels; ``whole``: nothing around them is unreadable."""
    recording = replace(recording, start=start)
    columns = tuple(recording.leads.index(lead) for lead in leads or recording.leads)
    lost = unreadable if whole else only_around(beats, recording.duration_s, unreadable)
    rhythm = analyse_rhythm(beats, duration_s=recording.duration_s, unreadable=lost, criteria=criteria)
    low_quality = np.zeros(len(beats), dtype=bool)
    return Analysis(
        recording, columns, rhythm.beats, rhythm.rr_s, low_quality, rhythm.events, unreadable, criteria
    )


def only_around(beats: Beats, duration_s: float, unreadable: Samples) -> Samples:
    """Take all but the beats and a second around them for unreadable.

    A test of a rule draws some beats of an hour. The rest of the hour is no standstill.
    """
    if not len(beats):
        return unreadable
    second, end = round(beats.fs), round(duration_s * beats.fs)
    first, last = int(beats.sample[0]) - second, int(beats.sample[-1]) + second
    drawn = [[0, first]] * (first > 0) + [[last, end]] * (last < end)
    return merge_intervals(np.concatenate((unreadable, np.array(drawn, dtype=np.int64).reshape(-1, 2))))


def events_of(
    beats: Beats,
    *,
    duration_s: float = 3600.0,
    unreadable: ArrayLike = NOTHING_UNREADABLE,
    low_quality: NDArray[np.bool_] | None = None,
    af_penalty: NDArray[np.float32] | None = None,
) -> tuple[Event, ...]:
    """Find the events of beats, in the order of the pipeline."""
    return analyse_rhythm(
        beats,
        duration_s=duration_s,
        unreadable=only_around(beats, duration_s, np.asarray(unreadable, dtype=np.int64)),
        low_quality=low_quality,
        af_penalty=af_penalty,
    ).events


def provenance_of(name: str = "r1") -> dict[str, object]:
    return {
        "recording": name,
        "path": f"in/{name}.hea",
        "input_sha256": "ab" * 32,
        "model": "shipped",
        "model_id": "7",
        "versions": {"ectopy": "0.1.0"},
        "settings": {"leads": None},
    }
