"""The beats of a recording as a reader has left them.

Three things differ. A deleted beat is none, so the RR interval reaches across it. A beat that is an artefact
is none either, but RR intervals across it are unknown, as a beat may be hidden there. An interval of artefact
cannot be read, so nothing in it counts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import CLASSES, Analysis, Beats, Labels, Mask, Samples, is_inside, merge_intervals
from ectopy.review.edits import (
    ARTEFACT,
    DeleteBeats,
    Entry,
    ExcludeRates,
    InsertBeat,
    LabelSimilar,
    MarkInterval,
    RelabelBeats,
)
from ectopy.rhythm.heart_rate import Seconds, rr_intervals_s
from ectopy.rhythm.named_intervals import ARTEFACT as ARTEFACT_RHYTHM

MATCH_S = 0.05
"""An edit concerns the nearest beat, at most this far away: another scoring may find it a little beside."""
NO_SAMPLES: Samples = np.empty((0, 2), dtype=np.int64)


class Conflict(NamedTuple):
    """An edit that does not fit the results any more, by the id of its entry, and why."""

    entry: int
    text: str


@dataclass(frozen=True, eq=False)
class ReviewedBeats:
    """Beats after the edits of a reader.

    ``by_reader`` is True for beats whose label the reader gave, [n]. ``low_quality`` is as in
    :class:`ectopy.ecg.Analysis`; a beat whose label the reader changed could be read. ``unreadable`` and
    ``artefact`` are half-open intervals in samples, [k, 2]. ``gaps`` are samples that are artefacts and not
    beats, and ``excluded`` the intervals whose RR intervals do not count, [k, 2] each.
    """

    beats: Beats
    by_reader: Mask
    low_quality: Mask
    unreadable: Samples
    artefact: Samples
    gaps: Samples
    excluded: Samples
    conflicts: tuple[Conflict, ...]

    @property
    def artefacts(self) -> Samples:
        """The samples that are artefacts and not beats, [k]."""
        return self.gaps[:, 0]

    def rr_s(self, fibrillation: Samples) -> Seconds:
        """Compute the RR intervals in seconds that count, [n]; none in ventricular fibrillation, [k, 2]."""
        noisy = self.low_quality | is_inside(self.beats.sample, self.artefact)
        unknown = merge_intervals(np.concatenate((self.unreadable, fibrillation, self.gaps)))
        rr_s = rr_intervals_s(self.beats, unknown, noisy)
        rr_s[is_inside(self.beats.sample, self.excluded)] = np.nan
        return rr_s


class _Candidates(NamedTuple):
    """All samples that are a beat before or after any edit, [n], and what they are at the moment."""

    sample: Samples
    label: Labels
    is_beat: Mask
    by_reader: Mask

    def find(self, samples: Samples, within: int) -> tuple[Samples, Mask]:
        """Find the beats at some samples, or the nearest; return their numbers and whether there is one."""
        beats = np.flatnonzero(self.is_beat)
        if not len(beats):
            return np.zeros(len(samples), dtype=np.int64), np.zeros(len(samples), dtype=bool)
        edges = self.sample[beats]
        after = np.minimum(np.searchsorted(edges, samples), len(edges) - 1)
        before = np.maximum(after - 1, 0)
        nearest = np.where(samples - edges[before] < np.abs(edges[after] - samples), before, after)
        return beats[nearest], np.abs(edges[nearest] - samples) <= within

    def set(self, at: Samples, label: str) -> None:
        """Have a reader label some candidates."""
        self.label[at], self.is_beat[at], self.by_reader[at] = label, True, True


def review_beats(automatic: Analysis, edits: Sequence[Entry], base: str) -> ReviewedBeats:
    """Apply the edits of beats and intervals.

    Parameters
    ----------
    automatic
        The automatic analysis.
    edits
        The edits that count, in order; those of events are left out.
    base
        Hash of the automatic results. An edit that was made on others may be in conflict with them.

    Returns
    -------
    The beats.
    """
    candidates = _candidates(automatic, edits)
    conflicts = []
    for entry in edits:
        conflicts += [Conflict(entry.id, text) for text in _apply(entry, candidates, automatic, base)]
    read_as_artefact, unreadable, artefact = _intervals(automatic, edits)
    kept = candidates.is_beat & ~is_inside(candidates.sample, read_as_artefact)
    is_artefact = kept & (candidates.label == ARTEFACT)
    beats, by_reader, low_quality = _with_labels(automatic, candidates, kept & ~is_artefact)
    gaps = candidates.sample[is_artefact]
    excluded = [(e.action.start, e.action.stop) for e in edits if isinstance(e.action, ExcludeRates)]
    return ReviewedBeats(
        beats,
        by_reader,
        low_quality,
        merge_intervals(np.concatenate((unreadable, read_as_artefact))),
        artefact,
        np.stack((gaps, gaps + 1), axis=1),
        merge_intervals(np.array(excluded, dtype=np.int64).reshape(-1, 2)),
        tuple(conflicts),
    )


def _candidates(automatic: Analysis, edits: Sequence[Entry]) -> _Candidates:
    beats = automatic.beats
    inserted = [entry.action.sample for entry in edits if isinstance(entry.action, InsertBeat)]
    new = np.array(sorted({sample for sample in inserted if sample < automatic.n_samples}), dtype=np.int64)
    new = new[~is_inside(new, np.stack((beats.sample, beats.sample + 1), axis=1))] if len(new) else new
    sample = np.insert(beats.sample, np.searchsorted(beats.sample, new), new)
    at = np.searchsorted(sample, beats.sample)
    label = np.full(len(sample), ARTEFACT, dtype="U1")
    label[at] = beats.label
    is_beat = np.zeros(len(sample), dtype=bool)
    is_beat[at] = True
    return _Candidates(sample, label, is_beat, np.zeros(len(sample), dtype=bool))


def _apply(entry: Entry, candidates: _Candidates, automatic: Analysis, base: str) -> list[str]:
    """Apply an edit of beats; return what is in conflict with it."""
    action, within = entry.action, round(MATCH_S * automatic.fs)
    if isinstance(action, InsertBeat):
        if action.sample >= automatic.n_samples:
            return ["insert_beat: it lies after the end of the recording"]
        sample = np.array([action.sample])
        at, found = candidates.find(sample, within)
        candidates.set(np.where(found, at, np.searchsorted(candidates.sample, sample)), action.label)
    elif isinstance(action, LabelSimilar):
        at, found = candidates.find(action.samples, within)
        found &= ~candidates.by_reader[at]
        candidates.label[at[found]] = np.array(list(action.labels), dtype="U1")[found]
    elif isinstance(action, DeleteBeats):
        at, found = candidates.find(action.samples, within)
        candidates.is_beat[at[found]] = False
    elif isinstance(action, RelabelBeats):
        at, found = candidates.find(action.samples, within)
        now, was = candidates.label[at[found]], np.array(list(action.was), dtype="U1")[found]
        candidates.set(at[found], action.to)
        if entry.base != base:
            return list(_relabel_conflicts(action.to, now, was, n_lost=int((~found).sum())))
    return []


def _relabel_conflicts(to: str, now: Labels, was: Labels, *, n_lost: int) -> Iterator[str]:
    """Find beats that have another label now than the reader saw or gave, or that are not found."""
    if n_lost:
        yield f"relabel_beats: {n_lost:,} beats that were called {to} are not found any more"
    differs = (now != was) & (now != to)
    if differs.any():
        others = ", ".join(np.unique(now[differs]).tolist())
        yield f"relabel_beats: {int(differs.sum()):,} beats that were called {to} are {others} now"


def _intervals(automatic: Analysis, edits: Sequence[Entry]) -> tuple[Samples, Samples, Samples]:
    """Return the artefact of the reader, and what is unreadable and artefact elsewhere."""
    by_reader, unreadable, artefact = NO_SAMPLES, automatic.unreadable, automatic.artefact
    for entry in edits:
        if isinstance(entry.action, MarkInterval):
            start, stop = entry.action.start, min(entry.action.stop, automatic.n_samples)
            by_reader, unreadable, artefact = (
                _without(spans, start, stop) for spans in (by_reader, unreadable, artefact)
            )
            if entry.action.rhythm == ARTEFACT_RHYTHM:
                by_reader = merge_intervals(np.concatenate((by_reader, [[start, stop]])))
    return by_reader, unreadable, artefact


def _without(spans: Samples, start: int, stop: int) -> Samples:
    """Cut [start, stop) out of half-open intervals."""
    before = np.stack((spans[:, 0], np.minimum(spans[:, 1], start)), axis=1)
    after = np.stack((np.maximum(spans[:, 0], stop), spans[:, 1]), axis=1)
    return merge_intervals(np.concatenate((before, after)))


def _with_labels(automatic: Analysis, candidates: _Candidates, kept: Mask) -> tuple[Beats, Mask, Mask]:
    """Return the beats that are left, whose label a reader gave, and which of them lie in noise."""
    n, beats = len(candidates.sample), automatic.beats
    at = np.searchsorted(candidates.sample, beats.sample)
    probability = np.zeros((n, len(CLASSES)), dtype=np.float32)
    probability[at] = beats.probability
    by_reader = candidates.by_reader
    probability[by_reader] = candidates.label[by_reader, None] == np.array(CLASSES, dtype="U1")
    confident, low_quality = np.zeros((2, n), dtype=bool)
    confident[at] = beats.confident
    changed = np.ones(n, dtype=bool)
    changed[at] = candidates.label[at] != beats.label
    _exchange(probability, candidates.label, np.flatnonzero(changed & ~by_reader))
    low_quality[at] = automatic.low_quality
    low_quality &= ~(by_reader & changed)
    final = Beats(
        candidates.sample[kept],
        candidates.label[kept],
        probability[kept],
        (confident | by_reader)[kept],
        beats.fs,
    )
    return final, by_reader[kept], low_quality[kept]


def _exchange(probability: NDArray[np.float32], label: Labels, rows: Samples) -> None:
    """Have the label of some beats be their likeliest; the probabilities of both classes change places."""
    rows = rows[np.isin(label[rows], CLASSES)]
    one = (label[rows, None] == np.array(CLASSES, dtype="U1")).argmax(axis=1)
    other = probability[rows].argmax(axis=1)
    probability[rows, one], probability[rows, other] = probability[rows, other], probability[rows, one]
