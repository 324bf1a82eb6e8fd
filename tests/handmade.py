"""Beats, recordings and analyses made by hand, for the tests of rhythm and report."""

from datetime import datetime

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ectopy.ecg import Analysis, Beats, Recording, Samples, recording_of
from ectopy.rhythm.events import find_events

FS = 100.0
NOTHING_UNREADABLE = np.empty((0, 2), dtype=np.int64)


def beats_of(letters: str, rr_s: ArrayLike = 0.8) -> Beats:
    """One beat a letter, as far apart as ``rr_s`` says, sure of its class."""
    sample = np.round(np.cumsum(np.broadcast_to(rr_s, len(letters))) * FS).astype(np.int64)
    label = np.array(list(letters), dtype="U1")
    probability = (label[:, None] == np.array(list("NSVF"))).astype(np.float32)
    return Beats(sample, label, probability, np.ones(len(letters), dtype=bool), FS)


def fibrillating_rr_s(n: int, usual_s: float = 0.7) -> NDArray[np.float64]:
    """Intervals drawn anew for each beat, as in atrial fibrillation, the same ones each time."""
    chance = np.random.default_rng(0).standard_normal(n)
    return np.asarray(np.maximum(usual_s * np.exp(0.2 * chance), 0.3))


def recording_for(beats: Beats, n_samples: int) -> Recording:
    """Two leads, II and V1, with a spike of 1 mV at every beat."""
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
) -> Analysis:
    events = find_events(beats, duration_s=recording.duration_s, unreadable=unreadable)
    return Analysis(
        recording.name,
        recording.fs,
        recording.n_samples,
        start,
        recording.leads,
        recording.leads if leads is None else leads,
        beats,
        events,
        unreadable,
    )


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
