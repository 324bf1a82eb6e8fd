"""The first pass: through the signal once, to the beats and a small summary of each.

By block, with overlap: resample, band-pass, mark what cannot be read, find candidates for beats and cut a
window around each. Every step of it has finite support, so blocks of any size give the same candidates.
By chapter of some hours: choose the beats among the candidates and let go of the rest. So memory grows with
neither the signal nor what is found in it that is no beat.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ectopy.beats import beat_selection, qrs_candidates, signal_to_noise
from ectopy.beats.beat_selection import select_beats
from ectopy.beats.qrs_candidates import find_candidates
from ectopy.beats.windows import WINDOW, BeatWindows, cut_windows, join
from ectopy.ecg import Mask, Recording, Samples, Signal, merge_intervals, true_intervals
from ectopy.signal import quality
from ectopy.signal.filters import (
    MARGIN_S,
    WORKING_FS,
    bandpass,
    fill_gaps,
    rate_ratio,
    resample,
    working_length,
)

BLOCK_S = 600.0
"""Signal that is in memory at once."""
CHUNK_S = 6 * 3600.0
"""Time whose candidates are in memory at once, about: a recording has chapters of equal length."""
CONTEXT_S = 600.0
"""Time on either side of a chapter that is known when its beats are chosen: five times what any choice on the
records of mitdb and nstdb rests on."""


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
class DetectedBeats:
    """Beats on the grid of WORKING_FS, and which of them lie in noise, [n].

    ``unreadable`` is where no lead can be read, [start, stop) int64 [k, 2], on that grid too.
    """

    shapes: BeatWindows
    doubtful: Mask
    unreadable: Samples


@dataclass(frozen=True, eq=False)
class CandidateBeats:
    """What was seen: candidates, the shape of each, and where no lead can be used, [k, 2]."""

    candidates: qrs_candidates.Candidates
    shapes: BeatWindows
    unusable: Samples

    def between(self, start: int, stop: int) -> "CandidateBeats":
        """Keep the candidates of a stretch; a copy, for a view would keep all of them."""
        part = np.arange(*np.searchsorted(self.candidates.sample, (start, stop)))
        return replace(self, candidates=self.candidates[part], shapes=self.shapes.take(part))


def detect_beats(
    recording: Recording,
    columns: Sequence[int],
    *,
    r_peaks: Samples | None = None,
    block_s: float = BLOCK_S,
) -> DetectedBeats:
    """Walk through the signal once and keep the small summary of each beat; given ones are taken on trust."""
    _keep_memory()
    walk = blocks(recording, columns, block_s=block_s)
    if r_peaks is None:
        return _merge(_detected(walk, working_length(recording.n_samples, recording.fs)), len(columns))
    return _merge(_beats_from_annotations(walk, to_working(r_peaks, recording)), len(columns))


def _keep_memory() -> None:
    """Have the memory of one block kept for the next, and not given back to be cleared each time.

    The C library of Linux keeps twice as much as was ever freed in one piece, up to 64 MB: M_MMAP_THRESHOLD
    of mallopt(3). A piece that nobody writes to takes no memory and no time.
    """
    np.empty(31 * 2**20, dtype=np.uint8)


def _beats_from_annotations(walk: Iterable[Block], r_peaks: Samples) -> Iterator[DetectedBeats]:
    for block in walk:
        first, last = np.searchsorted(r_peaks, (block.start, block.stop))
        shapes = _cut_windows(block, r_peaks[first:last])
        yield DetectedBeats(shapes, np.zeros(len(shapes), dtype=bool), _unusable_intervals(block))


def _detected(walk: Iterable[Block], n_working: int) -> Iterator[DetectedBeats]:
    """Choose the beats chapter by chapter, as soon as what lies around one has been seen, too."""
    around = round(CONTEXT_S * WORKING_FS)
    chapters = pairwise(_chunk_edges(n_working))
    start, stop = next(chapters)
    held: list[CandidateBeats] = []
    for block in walk:
        held.append(_find_candidates(block))
        while block.stop >= min(stop + around, n_working):
            held = [_concatenate(held)]
            yield select(held[0].between(start - around, stop + around), start, stop)
            if stop == n_working:
                return
            start, stop = next(chapters)
            held = [replace(held[0].between(start - around, block.stop), unusable=held[0].unusable[:0])]


def _chunk_edges(n_working: int) -> list[int]:
    n_chapters = max(round(n_working / (CHUNK_S * WORKING_FS)), 1)
    return [round(n_working * chapter / n_chapters) for chapter in range(n_chapters + 1)]


def _find_candidates(block: Block) -> CandidateBeats:
    found = qrs_candidates.find_candidates(block.clean, block.usable).shifted(block.first)
    found = found.between(block.start, block.stop)
    return CandidateBeats(found, _cut_windows(block, found.sample), _unusable_intervals(block))


def _cut_windows(block: Block, at: Samples) -> BeatWindows:
    return replace(cut_windows(block.clean, block.usable, at - block.first), sample=at)


def _unusable_intervals(block: Block) -> Samples:
    if block.usable.all():
        return np.empty((0, 2), dtype=np.int64)
    off: Mask = np.asarray(~block.usable[block.answers_for].any(axis=1))
    return true_intervals(off) + block.start


def _concatenate(parts: Sequence[CandidateBeats]) -> CandidateBeats:
    candidates = qrs_candidates.join([part.candidates for part in parts])
    unusable = np.concatenate([part.unusable for part in parts])
    return CandidateBeats(candidates, join([part.shapes for part in parts]), unusable)


def _merge(parts: Iterable[DetectedBeats], n_leads: int) -> DetectedBeats:
    """Put the beats of successive parts in one row.

    Windows are most of what is kept: each part's are put there at once, without a copy in the end.
    """
    windows, kept = bytearray(), []
    for part in parts:
        windows += part.shapes.windows.tobytes()
        without = np.empty((len(part.shapes), 0, 0), dtype=np.float16)
        kept.append(replace(part, shapes=replace(part.shapes, windows=without)))
    in_row = np.frombuffer(windows, dtype=np.float16).reshape(-1, n_leads, WINDOW)
    return DetectedBeats(
        replace(join([part.shapes for part in kept]), windows=in_row),
        np.concatenate([part.doubtful for part in kept]),
        merge_intervals(np.concatenate([part.unreadable for part in kept])),
    )


def select(seen: CandidateBeats, start: int, stop: int) -> DetectedBeats:
    """Choose the beats of [start, stop), all that was seen considered.

    A lead is dropped where it is noise and another clearer, and all are where none is of use.
    """
    candidates, shapes = seen.candidates, seen.shapes
    beat = np.zeros(len(candidates), dtype=bool)
    beat[beat_selection.select_beats(candidates)] = True
    told = candidates.strength, candidates.background, shapes.windows, shapes.scale
    clear = signal_to_noise.signal_quality_index(*told, beat=beat)
    lost = signal_to_noise.unreadable(clear, shapes.windows)
    readable = shapes.readable.copy()
    readable[:, : clear.shape[1]] &= ~signal_to_noise.noisy_leads(clear)
    between = (candidates.sample[1:] + candidates.sample[:-1]) // 2
    noise = np.concatenate(([start], between, [stop]))[true_intervals(lost)]
    inside = (candidates.sample >= start) & (candidates.sample < stop)
    kept = np.flatnonzero(beat & ~lost & inside)
    return DetectedBeats(
        replace(shapes, readable=readable).take(kept),
        signal_to_noise.low_quality(clear)[kept],
        np.concatenate((seen.unusable, np.clip(noise, start, stop))),
    )


def blocks(recording: Recording, columns: Sequence[int], *, block_s: float = BLOCK_S) -> Iterator[Block]:
    """Read and clean a recording block by block; at least one block, were it empty."""
    ratio = rate_ratio(recording.fs)
    # A block begins where a sample of one grid falls on a sample of the other: every `denominator` samples.
    margin = (
        -(-round((MARGIN_S + qrs_candidates.REACH_S) * recording.fs) // ratio.denominator) * ratio.denominator
    )
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
    return np.minimum(edges_to_recording(sample, recording), max(recording.n_samples - 1, 0))


def edges_to_recording(edge: Samples, recording: Recording) -> Samples:
    """Move edges of stretches, where the last may be the recording's end, as :func:`to_recording` does."""
    moved = np.round(edge / float(rate_ratio(recording.fs))).astype(np.int64)
    return np.minimum(moved, recording.n_samples)


def to_working(sample: Samples, recording: Recording) -> Samples:
    """Move indices from the recording's grid to that of WORKING_FS."""
    moved = np.round(sample * float(rate_ratio(recording.fs))).astype(np.int64)
    return np.minimum(moved, max(working_length(recording.n_samples, recording.fs) - 1, 0))


def detect_qrs(signal: NDArray[np.floating], fs: float) -> Samples:
    """Find R peaks in mV, [n] or [n, n_leads], as samples on the grid of ``fs``; NaN where missing."""
    leads = np.asarray(signal, dtype=np.float32)
    leads = leads[:, None] if leads.ndim == 1 else leads
    clean = bandpass(resample(fill_gaps(leads), fs)) if len(leads) else leads
    candidates = find_candidates(clean, quality.usable(leads, fs))
    beats = candidates.sample[select_beats(candidates)]
    return np.minimum(np.round(beats / float(rate_ratio(fs))), len(leads) - 1).astype(np.int64)
