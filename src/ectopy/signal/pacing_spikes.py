"""Pacing spikes: deflections of a few milliseconds, each before a wave of the ventricles.

A pulse of a pacemaker lasts 0.5 ms to 2 ms. A recorder of 250 Hz to 500 Hz shows it as a few samples, if its
filters leave it at all. Luo, Johnston and Hong (2008, Computers in Cardiology 35:349) found 78 % of spikes in
12 leads at 500 Hz, and nearly 100 % at 32 kHz. As in Haq, Javadekar and Tereshchenko (2021, Comput Biol Med
133:104396), the slope decides. A spike is steep on both sides. What surrounds it is not, as a paced QRS
complex is wide. A narrow QRS complex is steep too, but hardly any wave of the ventricles follows it.
"""

import numpy as np
from numpy.typing import NDArray

from ectopy import compiled
from ectopy.ecg import Samples, Signal

LOWEST_FS = 200.0
"""At a lower sampling rate in Hz, a narrow QRS complex has no more samples than a spike."""
WIDTHS_S = (0.004, 0.008)
"""A spike rises and falls within one of these times. The pulse itself is shorter, but not its image."""
SMALLEST_MV = 0.05
"""A lower spike is not told from noise."""
QUIET_S, QUIET = 0.025, 0.5
"""For so long before and after a spike, no step of the same width is larger than this part of it."""
WAVE_S, WAVE = (0.045, 0.15), 0.6
"""In this time after a spike, a lead has a wave of this part of it: a wide QRS complex goes on there."""
AWAY_S, BARE = 0.015, 0.4
"""From so long on, before and after a bare spike, each lead stays within this part of its height.

Of the beats of 26 records of mitdb, one has what looks like a bare spike: in 104, which is paced.
"""
REACH_S = 0.2
"""Signal on either side of a sample on which the decision on that sample depends, in seconds."""

_FEWEST = 2  # samples of a width


def find_spikes(signal: Signal, fs: float) -> Samples:
    """Find the pacing spikes in the signal as it was recorded, before any filter.

    Parameters
    ----------
    signal
        [n, n_leads] in mV; NaN where missing.
    fs
        Its sampling rate in Hz.

    Returns
    -------
    Samples of the spikes in order, [k]; none at less than LOWEST_FS.
    """
    return divide_spikes(signal, fs)[0]


def divide_spikes(signal: Signal, fs: float) -> tuple[Samples, Samples]:
    """Find the spikes that a wave of the ventricles follows, and the bare ones, with no wave around.

    A bare spike is a pulse that does not capture, or a fault of an electrode.

    Parameters
    ----------
    signal, fs
        As for :func:`find_spikes`.

    Returns
    -------
    Samples of both in order, [k] and [m]; none at less than LOWEST_FS.
    """
    none = np.empty(0, dtype=np.int64)
    if fs < LOWEST_FS or len(signal) < 2 * REACH_S * fs:
        return none, none
    widths = sorted({max(round(width_s * fs), _FEWEST) for width_s in WIDTHS_S})
    leads = np.ascontiguousarray(signal.T)
    found = [_narrow_peaks(lead, widths, round(QUIET_S * fs)) for lead in leads]
    sample, height = (np.concatenate(parts) for parts in zip(*found, strict=True))
    first, last = (round(time_s * fs) for time_s in WAVE_S)
    inside = sample + last <= len(signal)
    sample, height = _highest(sample[inside], height[inside], widths[-1])
    # A lead with a missing sample has no wave.
    wave = sample[:, None] + np.arange(first, last, widths[-1])
    has_wave = np.array([np.ptp(lead[wave], axis=1) >= WAVE * height for lead in leads]).any(axis=0)
    sides = np.arange(round(AWAY_S * fs), last)
    bare = ~has_wave & (sample >= last)
    for side in (sides, -sides):
        around = sample[bare, None] + side
        bare[bare] = ~np.array([np.ptp(lead[around], axis=1) >= BARE * height[bare] for lead in leads]).any(
            axis=0
        )
    return sample[has_wave].astype(np.int64), sample[bare].astype(np.int64)


def without_spikes(signal: Signal, spikes: Samples, fs: float) -> Signal:
    """Return the signal with a straight line in place of each spike.

    Parameters
    ----------
    signal
        [n, n_leads] in mV.
    spikes
        Samples of bare spikes, [k].
    fs
        Its sampling rate in Hz.

    Returns
    -------
    The signal; the same if there are no spikes.
    """
    if not len(spikes):
        return signal
    reach = round(AWAY_S * fs)
    share = (np.arange(2 * reach + 1) / (2 * reach)).astype(signal.dtype)[:, None]
    before, after = signal[spikes - reach][:, None], signal[spikes + reach][:, None]
    replaced, at = signal.copy(), spikes[:, None] + np.arange(-reach, reach + 1)
    line = before + share * (after - before)
    replaced[at] = np.where(np.isnan(line), signal[at], line)
    return replaced


def _narrow_peaks(lead: Signal, widths: list[int], quiet: int) -> tuple[Samples, NDArray[np.float32]]:
    """Find the samples that lie above or below those of some width before and after, with quiet around them.

    Return the samples, [k], and how far above or below they lie in mV, [k]; a sample may occur once a width.
    """
    widest = widths[-1]
    if compiled.is_compiled():
        return compiled.narrow_peaks(lead, widths, quiet, -(SMALLEST_MV**2), SMALLEST_MV, QUIET)
    step = lead[widest:] - lead[:-widest]  # step i is that from sample i to sample i + widest
    turns = step[:-widest] * step[widest:] < -(SMALLEST_MV**2)  # False where a sample is missing
    sample = np.flatnonzero(turns) + widest
    sample = sample[(sample >= quiet + 2 * widest) & (sample < len(lead) - quiet - 2 * widest)]
    sample = sample[(lead[sample] - lead[sample - 1]) * (lead[sample] - lead[sample + 1]) >= 0]
    found = [_with_quiet(lead, sample, width, quiet) for width in widths]
    samples, heights = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return samples, heights


def _with_quiet(lead: Signal, sample: Samples, width: int, quiet: int) -> tuple[Samples, NDArray[np.float32]]:
    """Keep the spikes of a width around which no step of that width is large."""
    sample, height = _spikes(lead, sample, width)
    for away in (range(1), range(1, quiet)):  # the nearest steps exclude most, so that few are left for all
        after = sample[:, None] + width + np.array(away)
        before = sample[:, None] - width - np.array(away)
        steps = np.concatenate(
            (lead[after + width] - lead[after], lead[before - width] - lead[before]), axis=1
        )
        is_quiet = (np.abs(steps) <= QUIET * height[:, None]).all(axis=1)
        sample, height = sample[is_quiet], height[is_quiet]
    return sample, height


def _spikes(lead: Signal, sample: Samples, width: int) -> tuple[Samples, NDArray[np.float32]]:
    """Keep the samples that lie SMALLEST_MV above or below those ``width`` before and after."""
    rise, fall = lead[sample] - lead[sample - width], lead[sample] - lead[sample + width]
    height = np.minimum(np.abs(rise), np.abs(fall))
    kept = (rise * fall > 0) & (height >= SMALLEST_MV)
    return sample[kept], height[kept]


def _highest(sample: Samples, height: NDArray[np.float32], near: int) -> tuple[Samples, NDArray[np.float32]]:
    """Keep the highest of the spikes that are near each other, as those of several leads are."""
    order = np.argsort(sample, kind="stable")
    sample, height = sample[order], height[order]
    group = np.append(0, np.cumsum(np.diff(sample) > near))[: len(sample)]
    order = np.lexsort((-height, group))
    first = np.append(True, np.diff(group[order]) > 0)[: len(sample)]
    return sample[order][first], height[order][first]
