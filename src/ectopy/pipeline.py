"""The road from a recording to its analysis: the table of contents.

Two passes. The first goes through the signal by block, with overlap, and keeps a small summary of each beat;
the second looks at all summaries together. Memory does not grow with the signal, and as every step of the
first pass has finite support, blocks of any size give the same beats.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ectopy import features, qrs, quality
from ectopy.ecg import CLASSES, Analysis, Beats, Mask, Recording, Samples, Signal, joined, stretches
from ectopy.fibrillation import doubt_from_shapes
from ectopy.filters import MARGIN_S, bandpass, fill_gaps, rate_ratio, resample, working_length
from ectopy.leads import choose_leads, silent_leads
from ectopy.rhythm import find_events, none_early_in_fibrillation, ventricular
from ectopy.shapes import WINDOW

BLOCK_S = 600.0
"""Signal that is in memory at once."""

Classify: TypeAlias = Callable[[features.Floats], tuple[NDArray[np.float32], Mask]]
"""Features [n, k] -> probability [n, 4] in the order of CLASSES, and whether to be confident [n]."""


@dataclass(frozen=True, eq=False)
class Block:
    """A stretch of clean signal on the grid of WORKING_FS with the overlap that its edges need.

    ``clean`` and ``usable``, [n, n_leads], begin at ``first``; the block answers for [start, stop).
    """

    first: int
    start: int
    stop: int
    clean: Signal
    usable: Mask

    @property
    def answers_for(self) -> slice:
        """Where in ``clean`` the stretch lies that the block answers for."""
        return slice(self.start - self.first, self.stop - self.first)


@dataclass(frozen=True, eq=False)
class Described:
    """A recording's beats before they are classified: sample on its grid, shapes, features [n, k].

    ``columns`` are the leads analysed; ``doubtful`` tells which beats lie in noise, [n]; ``unreadable`` as in
    :class:`ectopy.ecg.Analysis`.
    """

    recording: Recording
    columns: tuple[int, ...]
    sample: Samples
    shapes: features.BeatShapes
    features: features.Floats
    doubtful: Mask
    unreadable: Samples


@dataclass(frozen=True, eq=False)
class Found:
    """What the first pass leaves: beats on the grid of WORKING_FS, and which of them lie in noise, [n].

    ``unreadable`` is where no lead can be read, [start, stop) int64 [k, 2] on the recording's grid.
    """

    shapes: features.BeatShapes
    doubtful: Mask
    unreadable: Samples


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
    return conclude(describe(recording, leads=leads, r_peaks=r_peaks, block_s=block_s), classify)


def describe(
    recording: Recording,
    *,
    leads: Sequence[str] | None = None,
    r_peaks: Samples | None = None,
    block_s: float = BLOCK_S,
) -> Described:
    """Find the beats of a recording and describe them: all that does not depend on the classifier."""
    silent = () if leads else silent_leads(recording)
    columns = choose_leads(recording.leads, leads, silent=silent)
    found = find_beats(recording, columns, r_peaks=r_peaks, block_s=block_s)
    sample = to_recording(found.shapes.sample, recording) if r_peaks is None else r_peaks
    described = features.features(found.shapes)
    return Described(recording, columns, sample, found.shapes, described, found.doubtful, found.unreadable)


def conclude(described: Described, classify: Classify) -> Analysis:
    """Classify the beats of a recording, and name its events."""
    recording, unreadable = described.recording, described.unreadable
    probability, confident = classify(described.features)
    label = np.array(CLASSES, dtype="U1")[probability.argmax(axis=1)]
    beats = Beats(described.sample, label, probability, confident & ~described.doubtful, recording.fs)
    events = find_events(
        beats,
        duration_s=recording.duration_s,
        unreadable=unreadable,
        doubtful=described.doubtful,
        doubt_of_af=doubt_from_shapes(described.shapes, ventricular(beats)),
    )
    return Analysis(
        name=recording.name,
        fs=recording.fs,
        n_samples=recording.n_samples,
        start=recording.start,
        recorded_leads=recording.leads,
        leads=tuple(recording.leads[column] for column in described.columns),
        beats=none_early_in_fibrillation(beats, events),
        events=events,
        unreadable=unreadable,
    )


def find_beats(
    recording: Recording,
    columns: Sequence[int],
    *,
    r_peaks: Samples | None = None,
    block_s: float = BLOCK_S,
) -> Found:
    """Walk through the signal once and keep the small summary of each beat; given ones are taken on trust."""
    given = None if r_peaks is None else to_working(r_peaks, recording)
    candidates, shapes, unusable, windows = [], [], [], bytearray()
    for block in blocks(recording, columns, block_s=block_s):
        found = qrs.find_candidates(block.clean, block.usable).shifted(block.first)
        found = found.between(block.start, block.stop)
        at = found.sample if given is None else _between(given, block.start, block.stop)
        cut = features.cut_windows(block.clean, block.usable, at - block.first)
        candidates.append(found)
        # Windows are most of what is kept: they are put in one row at once, without a copy in the end.
        windows += cut.windows[:, : len(columns)].tobytes()
        shapes.append(replace(cut, sample=at, windows=np.empty((len(at), 0, 0), dtype=np.float16)))
        off: Mask = np.asarray(~block.usable[block.answers_for].any(axis=1))
        unusable.append(stretches(off) + block.start)
    in_row = np.frombuffer(windows, dtype=np.float16)
    kept = replace(features.join(shapes), windows=in_row.reshape(-1, len(columns), WINDOW))
    shut, doubtful = np.concatenate(unusable), np.zeros(len(kept), dtype=bool)
    if given is None:
        n_working = working_length(recording.n_samples, recording.fs)
        kept, doubtful, lost = leave_out_noise(qrs.join(candidates), kept, n_working)
        shut = np.concatenate((shut, lost))
    return Found(kept, doubtful, _on_grid(joined(shut), recording))


def leave_out_noise(
    candidates: qrs.Candidates, shapes: features.BeatShapes, n_working: int
) -> tuple[features.BeatShapes, Mask, Samples]:
    """Choose the beats; drop a lead where it is noise and another clearer, and all where none is of use.

    Gives the beats, which of them are doubtful, and the stretches of noise, [start, stop) int64 [k, 2], in a
    recording of ``n_working`` samples on the grid of WORKING_FS.
    """
    beat = np.zeros(len(candidates), dtype=bool)
    beat[qrs.select_beats(candidates)] = True
    told = candidates.strength, candidates.background, shapes.windows, shapes.scale
    clear = quality.clarity(*told, beat=beat)
    lost = quality.useless(clear, shapes.windows)
    readable = shapes.readable.copy()
    readable[:, : clear.shape[1]] &= ~quality.worse(clear)
    between = (candidates.sample[1:] + candidates.sample[:-1]) // 2
    edges = np.concatenate(([0], between, [n_working]))
    kept = np.flatnonzero(beat & ~lost)
    beats = replace(shapes, readable=readable).take(kept)
    return beats, quality.doubtful(clear)[kept], edges[stretches(lost)]


def blocks(recording: Recording, columns: Sequence[int], *, block_s: float = BLOCK_S) -> Iterator[Block]:
    """Read and clean a recording block by block; at least one block, were it empty."""
    ratio = rate_ratio(recording.fs)
    # A block begins where a sample of one grid falls on a sample of the other: every `denominator` samples.
    margin = -(-round((MARGIN_S + qrs.REACH_S) * recording.fs) // ratio.denominator) * ratio.denominator
    step = max(round(block_s * recording.fs) // ratio.denominator, 1) * ratio.denominator
    n_samples, n_working = recording.n_samples, working_length(recording.n_samples, recording.fs)
    for start in range(0, max(n_samples, 1), step):
        first, last = max(start - margin, 0), min(start + step + margin, n_samples)
        raw = recording.read_leads(columns, first, last)
        if not n_samples:  # filters need a sample to hold; the block answers for none
            raw = np.full((1, len(columns)), np.nan, dtype=np.float32)
        yield Block(
            first=first * ratio.numerator // ratio.denominator,
            start=start * ratio.numerator // ratio.denominator,
            stop=min((start + step) * ratio.numerator // ratio.denominator, n_working),
            clean=bandpass(resample(fill_gaps(raw), recording.fs)),
            usable=quality.usable(raw, recording.fs),
        )


def to_recording(sample: Samples, recording: Recording) -> Samples:
    """Move indices from the grid of WORKING_FS to the recording's, by the ratio that it was resampled by."""
    moved = np.round(sample / float(rate_ratio(recording.fs))).astype(np.int64)
    return np.minimum(moved, max(recording.n_samples - 1, 0))


def to_working(sample: Samples, recording: Recording) -> Samples:
    """Move indices from the recording's grid to that of WORKING_FS."""
    moved = np.round(sample * float(rate_ratio(recording.fs))).astype(np.int64)
    return np.minimum(moved, max(working_length(recording.n_samples, recording.fs) - 1, 0))


def _between(sample: Samples, start: int, stop: int) -> Samples:
    return sample[np.searchsorted(sample, start) : np.searchsorted(sample, stop)]


def _on_grid(stretched: Samples, recording: Recording) -> Samples:
    on_grid = np.round(stretched / float(rate_ratio(recording.fs))).astype(np.int64)
    return np.minimum(on_grid, recording.n_samples)
