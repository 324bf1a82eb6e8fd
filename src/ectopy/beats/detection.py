"""Beat detection: one pass through the signal, from samples to beats with a window of signal around each.

The signal is processed in overlapping blocks: resample, filter, find unusable samples, find candidates for
beats and cut a window around each. Every step has finite reach, so blocks of any size give the same
candidates. The beats are then selected among the candidates in chunks of some hours. Memory therefore does
not grow with the length of the signal, nor with the number of candidates that are not beats.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import pairwise
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ectopy.beats import qrs_candidates, signal_to_noise
from ectopy.beats.beat_selection import select_beats
from ectopy.beats.fast_rhythms import beats_in_gaps, fast_beats
from ectopy.beats.qrs_candidates import find_candidates
from ectopy.beats.standstill import small_waves
from ectopy.beats.t_waves import t_waves
from ectopy.beats.windows import (
    N_LEADS,
    WINDOW,
    BeatWindows,
    complete,
    cut_windows,
    intact_samples,
    is_whole,
    join,
)
from ectopy.ecg import (
    VALUES_AT_ONCE,
    Mask,
    Recording,
    Samples,
    Signal,
    after_gap,
    merge_intervals,
    recording_in_any_unit,
    true_intervals,
)
from ectopy.parallel.ahead import map_ahead
from ectopy.parallel.memory import keep_memory_of_blocks, return_freed_memory
from ectopy.signal import quality
from ectopy.signal.filters import (
    MARGIN_S,
    WORKING_FS,
    bandpass,
    fill_gaps,
    rate_ratio,
    resample,
    without_offset,
    working_length,
)
from ectopy.signal.growing import GrowingArray
from ectopy.signal.pacing_spikes import divide_spikes, without_spikes
from ectopy.signal.time_grid import TimeGrid
from ectopy.signal.waves import LAG, WAVES, leads_by_regularity, waves_of_ticks

BLOCK_S = 600.0
"""Length of the blocks of signal in memory at once, in seconds."""
CHUNK_S = 6 * 3600.0
"""Approximate length of a chunk, whose candidates are in memory at once, in seconds.

All chunks of a recording have the same length.
"""
CONTEXT_S = 600.0
"""Time on either side of a chunk whose candidates are considered when its beats are selected, in seconds.

This is five times the longest reach of any selection on the records of mitdb and nstdb.
"""
LONG_S = 3600.0
"""A longer recording is often scored alone, so it may use two processor cores. Short ones come in batches."""
LONGEST_IN_MEMORY_S = 2 * 86_400.0
"""The windows of a longer recording are in a temporary file: those of two weeks fill 230 MB a lead."""
_BEATLESS_S = 2.0  # a pause; a shorter time without a beat is nothing that needs an excuse
_NEAR_OFF_S = 0.6  # an electrode that comes off or on looks like a beat


@dataclass(frozen=True, eq=False)
class Block:
    """An interval of filtered signal on the working grid, with a margin on either side."""

    first: int
    """Sample where ``filtered`` and ``usable`` begin."""
    start: int
    """First sample of the block without its margins."""
    stop: int
    """End of the block without its margins, exclusive."""
    filtered: Signal
    """[n, n_leads], the band-passed signal in mV, with the margins."""
    usable: Mask
    """[n, n_leads], which samples can be analysed."""
    drowned: Samples
    """[k, 2], intervals in which hum or noise of high frequency drowns every lead."""
    spikes: Samples
    """[k], the pacing spikes of the block, on the grid of the recording."""

    @property
    def core(self) -> slice:
        """The part of ``filtered`` without the margins."""
        return slice(self.start - self.first, self.stop - self.first)


@dataclass(frozen=True, eq=False)
class Waves:
    """The waves of every tick of 2 s, whether or not there are beats: see :mod:`ectopy.signal.waves`."""

    of_leads: NDArray[np.float16]
    """[n_ticks, n_leads, len(WAVES)]."""
    usable: NDArray[np.float16]
    """[n_ticks], the share of the tick in which a lead is usable."""

    @property
    def period_s(self) -> NDArray[np.floating]:
        """[n_ticks], seconds after which the waves of the more regular lead come again."""
        if not len(self.of_leads):
            return np.empty(0)
        most_regular = leads_by_regularity(self.of_leads)[:, :1]
        return np.take_along_axis(self.of_leads[:, :, LAG], most_regular, axis=1)[:, 0]


_NO_WAVES = Waves(np.empty((0, 0, len(WAVES)), dtype=np.float16), np.empty(0, dtype=np.float16))


@dataclass(frozen=True, eq=False)
class DetectedBeats:
    """Beats on the working grid of 200 Hz."""

    windows: BeatWindows
    """R peaks of the n beats, and a window of signal around each."""
    low_quality: Mask
    """[n], which beats lie in noise on every lead."""
    beside_gap: Mask
    """[n], which beats have no lead whose window is whole: signal beside them is lost."""
    unusable: Samples
    """[j, 2], intervals in which no lead was recorded: first sample and end, exclusive."""
    unreadable: Samples
    """[k, 2], intervals in which no lead can be analysed: not recorded, or noise."""
    waves: Waves = _NO_WAVES
    spikes: Samples = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """[m], the pacing spikes, on the grid of the recording."""


@dataclass(frozen=True, eq=False)
class CandidateBeats:
    """Candidates for beats on the working grid, with a window of signal around each."""

    candidates: qrs_candidates.Candidates
    windows: BeatWindows
    intact: NDArray[np.int8]
    """[n, N_LEADS, 2], see :func:`ectopy.beats.windows.intact_samples`."""
    unusable: Samples
    """[k, 2], intervals in which no lead is usable."""
    drowned: Samples
    """[k, 2], intervals in which hum or noise of high frequency drowns every lead."""

    def between(self, start: int, stop: int) -> "CandidateBeats":
        """Return the candidates of an interval as a copy; a view would keep all of them in memory.

        Parameters
        ----------
        start, stop
            The interval [start, stop) on the working grid.

        Returns
        -------
        The candidates of the interval.
        """
        part = np.arange(*np.searchsorted(self.candidates.sample, (start, stop)))
        candidates, windows = self.candidates[part], self.windows.take(part)
        return replace(self, candidates=candidates, windows=windows, intact=self.intact[part])


def detect_beats(  # noqa: PLR0913 - the sizes of the parts in memory
    recording: Recording,
    columns: Sequence[int],
    *,
    r_peaks: Samples | None = None,
    block_s: float = BLOCK_S,
    chunk_s: float = CHUNK_S,
    context_s: float = CONTEXT_S,
) -> DetectedBeats:
    """Find the beats of a recording, with a window of signal around each.

    Parameters
    ----------
    recording
        The recording.
    columns
        Columns of the leads to analyse.
    r_peaks
        Samples of known R peaks on the grid of the recording. All of them are kept, and no others are sought.
    block_s
        Length of the blocks of signal in memory at once, in seconds.
    chunk_s
        Approximate time whose candidates are in memory at once, in seconds.
    context_s
        Time on either side of a chunk whose candidates are considered too, in seconds.

    Returns
    -------
    Beats and unreadable intervals on the working grid of 200 Hz.
    """
    keep_memory_of_blocks()
    grid = TimeGrid.of(recording)
    waves = GrowingArray(np.float16, len(columns), len(WAVES)), GrowingArray(np.float16)
    spikes = GrowingArray(np.int64)
    signal_blocks = _noting(blocks(recording, columns, block_s=block_s), waves, spikes)
    if r_peaks is not None:
        parts = _beats_from_annotations(signal_blocks, grid.to_working(r_peaks))
    else:
        edges = _chunk_edges(grid.n_working, chunk_s)
        chunks = _chunks_in_context(signal_blocks, edges, context=round(context_s * WORKING_FS))
        # Beats are selected in a thread while the candidates of the next chunk are found.
        parts = (map_ahead if len(edges) > 2 else map)(lambda chunk: select_in_chunk(*chunk), chunks)
    detected = _merge(parts, len(columns), in_file=recording.duration_s > LONGEST_IN_MEMORY_S)
    if recording.duration_s > LONG_S:
        return_freed_memory()
    return replace(detected, waves=Waves(*(column.array() for column in waves)), spikes=spikes.array())


def _noting(
    signal_blocks: Iterable[Block], waves: tuple[GrowingArray, GrowingArray], spikes: GrowingArray
) -> Iterator[Block]:
    """Pass the blocks on, and append the waves, their usable share and the pacing spikes of each."""
    for block in signal_blocks:
        spikes.append(block.spikes)
        of_ticks = waves_of_ticks(block.filtered, block.usable, block.first, block.start, block.stop)
        for column, part in zip(waves, of_ticks, strict=True):
            column.append(part)
        yield block


def _beats_from_annotations(signal_blocks: Iterable[Block], r_peaks: Samples) -> Iterator[DetectedBeats]:
    for block in signal_blocks:
        first, last = np.searchsorted(r_peaks, (block.start, block.stop))
        windows, intact = _cut_windows(block, r_peaks[first:last])
        beside_gap = np.asarray(~is_whole(windows, intact).any(axis=1))
        clean = np.zeros(len(windows), dtype=bool)
        unusable = _unusable_intervals(block)
        yield DetectedBeats(complete(windows, intact), clean, beside_gap, unusable, unusable)


def _chunks_in_context(
    signal_blocks: Iterable[Block], edges: Sequence[int], *, context: int
) -> Iterator[tuple[CandidateBeats, int, int]]:
    """Yield the candidates of each chunk and its context, as soon as they are complete, with its edges."""
    chunks, n_working = pairwise(edges), edges[-1]
    start, stop = next(chunks)
    pending: list[CandidateBeats] = []
    for block in signal_blocks:
        pending.append(_find_candidates(block))
        while block.stop >= min(stop + context, n_working):
            whole = _concatenate(pending)
            yield whole.between(start - context, stop + context), start, stop
            if stop == n_working:
                return
            start, stop = next(chunks)
            pending = [
                replace(
                    whole.between(start - context, block.stop),
                    unusable=whole.unusable[:0],
                    drowned=whole.drowned[:0],
                )
            ]


def _chunk_edges(n_working: int, chunk_s: float) -> list[int]:
    n_chunks = max(round(n_working / (chunk_s * WORKING_FS)), 1)
    return [round(n_working * chunk / n_chunks) for chunk in range(n_chunks + 1)]


def _find_candidates(block: Block) -> CandidateBeats:
    candidates = find_candidates(block.filtered, block.usable).shifted(block.first)
    candidates = candidates.between(block.start, block.stop)
    windows, intact = _cut_windows(block, candidates.sample)
    return CandidateBeats(candidates, windows, intact, _unusable_intervals(block), block.drowned)


def _cut_windows(block: Block, sample: Samples) -> tuple[BeatWindows, NDArray[np.int8]]:
    inside = sample - block.first
    windows = cut_windows(block.filtered, block.usable, inside)
    return replace(windows, sample=sample), intact_samples(block.usable, inside)


def _unusable_intervals(block: Block) -> Samples:
    if block.usable.all():
        return np.empty((0, 2), dtype=np.int64)
    unusable: Mask = np.asarray(~block.usable[block.core].any(axis=1))
    return true_intervals(unusable) + block.start


def _concatenate(parts: Sequence[CandidateBeats]) -> CandidateBeats:
    candidates = qrs_candidates.join([part.candidates for part in parts])
    intact, unusable, drowned = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("intact", "unusable", "drowned")
    )
    return CandidateBeats(candidates, join([part.windows for part in parts]), intact, unusable, drowned)


def _merge(parts: Iterable[DetectedBeats], n_leads: int, *, in_file: bool) -> DetectedBeats:
    """Concatenate the beats of successive parts.

    The windows take most of the memory. If ``in_file``, they are in a temporary file, which no other process
    can open by a name.
    """
    columns = [
        GrowingArray(np.int64),
        GrowingArray(np.float32, N_LEADS),
        *(GrowingArray(bool, *shape) for shape in ((N_LEADS,), (), ())),
    ]
    spans: tuple[list[Samples], list[Samples]] = ([], [])
    with TemporaryFile() if in_file else nullcontext() as file:
        signals = GrowingArray(np.float16, n_leads, WINDOW, file=file)
        for part in parts:
            windows = part.windows
            signals.append(windows.signal)
            of_beats: tuple[NDArray[Any], ...] = (windows.sample, windows.scale, windows.readable)
            for column, values in zip(columns, (*of_beats, part.low_quality, part.beside_gap), strict=True):
                column.append(values)
            for some, more in zip(spans, (part.unusable, part.unreadable), strict=True):
                some.append(more)
        sample, scale, readable, low_quality, beside_gap = (column.array() for column in columns)
        signal = signals.array()
    unusable, unreadable = (merge_intervals(np.concatenate(some)) for some in spans)
    windows = BeatWindows(sample, signal, scale, readable, after_gap(sample, unusable))
    return DetectedBeats(windows, low_quality, beside_gap, unusable, unreadable)


def select_in_chunk(context: CandidateBeats, start: int, stop: int) -> DetectedBeats:
    """Select the beats of a chunk.

    A noisy lead counts as unreadable where another one has less noise. Where all leads are too noisy, the
    signal is unreadable and no beat is reported.

    Parameters
    ----------
    context
        Candidates of the chunk and of the context around it.
    start, stop
        The chunk, [start, stop) on the working grid.

    Returns
    -------
    The beats and unreadable intervals of the chunk.
    """
    candidates, windows = context.candidates, context.windows
    beat, uncertain = _find_beats(candidates, windows)
    sqi = signal_to_noise.signal_quality_index(
        candidates.strength, candidates.background, windows.signal, windows.scale, beat=beat
    )
    in_noise = signal_to_noise.unreadable(sqi, windows.signal)
    readable = windows.readable.copy()
    readable[:, : sqi.shape[1]] &= ~signal_to_noise.noisy_leads(sqi)
    between = (candidates.sample[1:] + candidates.sample[:-1]) // 2
    noise = np.concatenate(([start], between, [stop]))[true_intervals(in_noise)]
    inside = (candidates.sample >= start) & (candidates.sample < stop)
    selected = np.flatnonzero(beat & ~in_noise & inside)
    chosen, intact = replace(windows, readable=readable).take(selected), context.intact[selected]
    electrodes_off = _without_beats(context, beat)
    beside_gap = ~is_whole(chosen, intact).any(axis=1) | _is_near(chosen.sample, electrodes_off)
    return DetectedBeats(
        complete(chosen, intact),
        (signal_to_noise.low_quality(sqi) | uncertain)[selected],
        beside_gap,
        context.unusable,
        np.concatenate((context.unusable, np.clip(noise, start, stop), electrodes_off)),
    )


def _without_beats(context: CandidateBeats, beat: Mask) -> Samples:
    """Return the parts of drowned intervals in which no beat was found for some seconds, [k, 2].

    Electrodes that are off give hum and no beat, which is no asystole. Hum on beats does no harm.
    """
    if not len(context.drowned):
        return context.drowned
    sample = context.candidates.sample[beat]
    last = int(context.drowned[:, 1].max())
    edges = np.concatenate(([0], sample, [max(last, int(sample.max(initial=0)))]))
    alone = np.diff(edges) > _BEATLESS_S * WORKING_FS
    parts = [context.drowned[:0]]
    for begin, end in zip(edges[:-1][alone].tolist(), edges[1:][alone].tolist(), strict=True):
        inside = np.clip(context.drowned, begin, end)
        if np.diff(inside).sum() > (end - begin) / 2:  # else it may be noise on asystole
            parts.append(inside)
    return merge_intervals(np.concatenate(parts))


def _is_near(sample: Samples, spans: Samples) -> Mask:
    """Check which samples lie in some intervals or within _NEAR_OFF_S of one, [n]."""
    reach = round(_NEAR_OFF_S * WORKING_FS)
    begun = np.searchsorted(spans[:, 0] - reach, sample, side="right")
    return np.asarray(begun > np.searchsorted(spans[:, 1] + reach, sample, side="left"))


def _find_beats(candidates: qrs_candidates.Candidates, windows: BeatWindows) -> tuple[Mask, Mask]:
    """Select the beats among some candidates, then drop what their context shows to be none.

    The masks are those of the beats, and of the beats that may be none.
    """
    beat = np.zeros(len(candidates), dtype=bool)
    beat[select_beats(candidates)] = True
    beat |= fast_beats(candidates, windows, beat)
    beat |= beats_in_gaps(candidates, beat)
    beat[t_waves(candidates, windows, beat)] = False
    none, uncertain = small_waves(candidates, windows, beat)
    return beat & ~none, uncertain


def blocks(recording: Recording, columns: Sequence[int], *, block_s: float = BLOCK_S) -> Iterator[Block]:
    """Read and filter a recording block by block; of a long one, the next block is filtered in a thread.

    Parameters
    ----------
    recording
        The recording.
    columns
        Columns of the leads to read.
    block_s
        Length of a block without its margins, in seconds.

    Yields
    ------
    Blocks in order of time; one without samples of its own for an empty recording.
    """
    ratio = rate_ratio(recording.fs)
    # A block begins where the two grids have a sample at the same time: every `denominator` samples.
    margin = (
        -(-round((MARGIN_S + qrs_candidates.REACH_S) * recording.fs) // ratio.denominator) * ratio.denominator
    )
    most = min(round(block_s * recording.fs), VALUES_AT_ONCE // max(len(columns), 1))
    step = max(most // ratio.denominator, 1) * ratio.denominator
    n_samples, n_working = recording.n_samples, working_length(recording.n_samples, recording.fs)
    is_long = recording.duration_s > LONG_S

    def read(start: int) -> tuple[int, int, Signal, Mask]:
        first, last = max(start - margin, 0), min(start + step + margin, n_samples)
        raw, lost = _recorded(recording, columns, first, last)
        return start, first, np.copy(raw) if is_long else raw, lost

    def filter_(part: tuple[int, int, Signal, Mask]) -> Block:
        start, first, raw, lost = part
        filtered, usable, drowned, spikes = _filtered(raw, lost, recording.fs)
        spikes += first
        spikes = spikes[(spikes >= start) & (spikes < start + step)]
        begin, from_, to = (at * ratio.numerator // ratio.denominator for at in (first, start, start + step))
        to = min(to, n_working)
        drowned_spans = np.clip(true_intervals(drowned) + begin, from_, to)
        return Block(begin, from_, to, filtered, usable, drowned_spans, spikes)

    # Read in this thread: the function of a user may not be for another one, and may use its memory again.
    recorded = map(read, range(0, max(n_samples, 1), step))
    yield from (map_ahead if is_long else map)(filter_, recorded)


def _recorded(recording: Recording, columns: Sequence[int], first: int, last: int) -> tuple[Signal, Mask]:
    """Read samples, and find those that were not recorded from the signal around them."""
    if not recording.n_samples:  # the filters need at least one sample; it lies outside the core of the block
        return np.full((1, len(columns)), np.nan, dtype=np.float32), np.ones((1, len(columns)), dtype=bool)
    reach = round(quality.REACH_S * recording.fs)
    begin, end = max(first - reach, 0), min(last + reach, recording.n_samples)
    raw = recording.read_leads(columns, begin, end)
    wanted = slice(first - begin, last - begin)
    return raw[wanted], quality.not_recorded(raw, recording.fs)[wanted]


def _filtered(raw: Signal, lost: Mask, fs: float) -> tuple[Signal, Mask, Mask, Samples]:
    """Filter the signal as if it went on smoothly where it is lost, without pulses that do not capture.

    Return the filtered signal, which samples are usable, where all leads are drowned, [n], and the pacing
    spikes in samples of ``raw``. A long gap costs no filter.
    """
    spikes, bare = divide_spikes(raw, fs)
    usable = quality.on_working_grid(~lost, fs)
    if not usable.any():
        return np.zeros(usable.shape, dtype=np.float32), usable, np.zeros(len(usable), dtype=bool), spikes
    # A pulse that does not capture is no beat: taken for one, it would hide an asystole.
    raw = without_spikes(raw, bare, fs)
    known = np.where(lost, np.float32(np.nan), raw) if lost.any() else raw
    resampled = resample(fill_gaps(without_offset(known), fs), fs)
    filtered = bandpass(resampled)
    return filtered, usable, signal_to_noise.drowned(resampled, filtered, usable), spikes


def detect_qrs(signal: NDArray[np.floating], fs: float) -> Samples:
    """Find the R peaks of a signal in memory.

    Parameters
    ----------
    signal
        [n] or [n, n_leads] in mV; NaN where missing.
    fs
        Its sampling rate in Hz.

    Returns
    -------
    Samples of the R peaks at ``fs``, [n_beats].

    Raises
    ------
    NotAnalysableError
        If the signal is no array of numbers, one column a lead.
    UnreadableError
        If the rate is implausible.
    """
    recording = recording_in_any_unit(signal, fs)
    leads = recording.read_leads(range(len(recording.leads)), 0, recording.n_samples)
    if not len(leads):
        return np.empty(0, dtype=np.int64)
    filtered, usable, _, _ = _filtered(leads, quality.not_recorded(leads, fs), fs)
    candidates = find_candidates(filtered, usable)
    beat, _ = _find_beats(candidates, cut_windows(filtered, usable, candidates.sample))
    return TimeGrid(fs, len(leads)).to_recording(candidates.sample[beat])
