"""Read the signal once for everything that a page shows of the whole recording."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ectopy.ecg import Analysis, Samples, Signal
from ectopy.report.beat_letters import BEAT_NAMES, shown_letters

CUT_BEFORE_S, CUT_AFTER_S = 0.3, 0.5
"""Extent of a cut around its R peak in seconds: from the P wave to the end of the T wave of a wide beat."""
MAX_CUTS = 300
"""Maximum number of beats per letter, spread over the recording: the mean of more beats looks the same."""
LINE_BINS = 800
"""Bins of a line of the overview, each drawn by its extremes: a third of a millimetre on an A4 page."""
LINES_S = (60.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0)
"""Lengths of a line to choose from, in seconds."""
MAX_LINES = 150
"""Maximum number of lines: a day fits with ten minutes per line."""
BLOCK_S = 300.0
"""Length of the blocks of signal in memory at once, in seconds."""


class SignalOverview(NamedTuple):
    """Overview of the signal: extremes of the first lead in each bin, and cuts around beats.

    ``low`` and ``high`` are the extremes in mV, [n_bins], NaN where the signal is missing. ``edges`` are the
    edges of the bins in samples, int64 [n_bins + 1]. ``line_bins`` bins make a line of ``line_s`` seconds.
    ``cuts`` is the signal around beats of each letter that occurs, in mV, float32 [n_beats, n_leads,
    n_samples].
    """

    line_s: float
    line_bins: int
    edges: Samples
    low: Signal
    high: Signal
    cuts: dict[str, Signal]


def signal_overview(analysis: Analysis) -> SignalOverview:
    """Read the analysed leads once, block by block, and return their overview."""
    line_s, line_bins = lines_of(analysis.duration_s, analysis.fs)
    edges = bin_edges(analysis.n_samples, line_s * analysis.fs / line_bins)
    low, high = np.full((2, len(edges) - 1), np.nan, dtype=np.float32)
    r_peaks = _spread_beats(analysis)
    r_peak = np.concatenate([np.empty(0, dtype=np.int64), *r_peaks.values()])
    before, after = (round(reach_s * analysis.fs) for reach_s in (CUT_BEFORE_S, CUT_AFTER_S))
    cuts = np.full((len(r_peak), len(analysis.leads), before + after), np.nan, np.float32)
    in_time = np.argsort(r_peak)
    for first, last in _blocks(edges, analysis.fs):
        start, stop = int(edges[first]), int(edges[last])
        begin = max(start - before, 0)
        leads = analysis.read(begin, min(stop + after, analysis.n_samples)).T
        lead = np.ascontiguousarray(leads[0, start - begin : stop - begin])
        low[first:last] = np.fmin.reduceat(lead, edges[first:last] - start)
        high[first:last] = np.fmax.reduceat(lead, edges[first:last] - start)
        beats = in_time[slice(*np.searchsorted(r_peak, (start, stop), sorter=in_time))]
        _cut(leads, r_peak[beats] - before - begin, cuts, beats)
    ends = np.cumsum([len(peaks) for peaks in r_peaks.values()])
    by_letter = dict(zip(r_peaks, np.split(cuts, ends[:-1]), strict=False))
    return SignalOverview(line_s, line_bins, edges, low, high, by_letter)


def lines_of(duration_s: float, fs: float) -> tuple[float, int]:
    """Choose the length of a line of the overview, and its number of bins.

    Parameters
    ----------
    duration_s
        Length of the recording in seconds.
    fs
        Sampling rate in Hz.

    Returns
    -------
    The length in seconds, and the number of bins, each of at least one sample.
    """
    if 0 < duration_s < LINES_S[0]:
        return duration_s, min(LINE_BINS, round(duration_s * fs))
    line_s = next((line_s for line_s in LINES_S if duration_s <= MAX_LINES * line_s), LINES_S[-1])
    return line_s, min(LINE_BINS, max(round(line_s * fs), 1))


def bin_edges(n_samples: int, bin_samples: float) -> Samples:
    """Split a recording into bins of whole samples; the last one may be shorter.

    Parameters
    ----------
    n_samples
        Number of samples of the recording.
    bin_samples
        Mean number of samples per bin.

    Returns
    -------
    Edges of the bins in samples, int64 [n_bins + 1].
    """
    n_bins = int(np.ceil(n_samples / bin_samples))
    edges = np.minimum(np.round(np.arange(n_bins + 1) * bin_samples).astype(np.int64), n_samples)
    return edges[np.diff(edges, prepend=-1) > 0]


def _blocks(edges: Samples, fs: float) -> Iterator[tuple[int, int]]:
    """Yield the bins [first, last) of each block of BLOCK_S, or one bin where it is longer."""
    first, n_bins = 0, len(edges) - 1
    while first < n_bins:
        last = int(np.searchsorted(edges, edges[first] + BLOCK_S * fs, side="right")) - 1
        last = min(max(last, first + 1), n_bins)
        yield first, last
        first = last


def _spread_beats(analysis: Analysis) -> dict[str, Samples]:
    """Return the R peaks of at most MAX_CUTS beats of each letter that occurs, in samples."""
    letters, peaks = shown_letters(analysis), {}
    for letter in BEAT_NAMES:
        if len(which := np.flatnonzero(letters == letter)):
            spread = np.linspace(0, len(which) - 1, min(MAX_CUTS, len(which))).round().astype(int)
            peaks[letter] = analysis.beats.sample[which[spread]]
    return peaks


def _cut(leads: Signal, starts: Samples, cuts: Signal, beats: Samples) -> None:
    """Copy the signal from some samples on to the cuts of their beats.

    Samples beyond the ends of the recording stay missing.
    """
    length = cuts.shape[2]
    whole = (starts >= 0) & (starts + length <= leads.shape[1])
    if whole.any():
        windows = sliding_window_view(leads, length, axis=1)
        cuts[beats[whole]] = windows[:, starts[whole]].swapaxes(0, 1)
    for beat, start in zip(beats[~whole].tolist(), starts[~whole].tolist(), strict=True):
        first, last = max(start, 0), min(start + length, leads.shape[1])
        cuts[beat, :, first - start : last - start] = leads[:, first:last]
