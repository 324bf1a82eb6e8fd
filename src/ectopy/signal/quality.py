"""Find the samples of each lead that were recorded: not missing, not flat, not filled, not at the rail.

Noise is recognised later, from the beats: see :mod:`ectopy.beats.signal_to_noise`.
"""

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import Mask, Samples, Signal, true_intervals
from ectopy.signal.filters import all_finite, rate_ratio, working_length

FLAT_S = 2.0
"""A lead that is constant for this time has no electrode or is at the rail.

The noise of a recorder changes its last bit more often than that.
"""
MISSING_S = 0.1
"""Shorter gaps are bridged: no QRS complex fits into them."""
RAIL_S = 0.2
"""A peak may be cut off at the rail for a moment, but no peak lasts this long."""
FILLED_S = 0.095
"""A lead that is constant for this time may be a lost packet: the recorder has filled it, as with zeros.

A lead may also be constant by nature, because its steps are coarse or its noise was removed. It then has
shorter constant runs nearby, or comes to rest beside the run. The highest or lowest run may be a peak
that was cut off. But a jump shows a fill in any case.
"""
REACH_S = 6.5
"""Signal on either side of a sample on which the decision on that sample depends, in seconds."""
_RAIL_NEAR_S = 2.0  # a rail is the highest or lowest value within this time on either side,
_RAIL_FRACTION = (
    0.3  # and at least this fraction of the range away from the mean; the isoelectric line is nearer
)
_NATURAL_S = (0.045, 0.085)  # a lead that is constant by nature has runs of these lengths too,
_NATURAL_NEAR_S = 4.0  # within this time on either side,
_NATURAL_RUNS = 2  # and at least so many
_USUAL_NEAR_S = 1.0  # time on either side of a run whose mean step is usual
_SMALL = 0.02  # a smaller share of the usual step is rest,
_RESTING = 0.8  # and the signal comes to rest if so many of the next steps are so small
_JUMP = 8.0  # a jump into or out of a fill is so many times the mean step beside it, and the smallest one,
_JUMP_ALONE = 4.0  # and so many times a usual step, and the next ones: a QRS complex has several large steps
_STEPS, _NEXT_STEPS = 12, 4  # number of steps on either side of a run that are compared
_SHORTEST = 8  # samples of a fill; fewer are equal by chance

_STRIDES = 8  # samples of a run that are tested before all of them are

Floats = NDArray[np.floating]


def usable(signal: Signal, fs: float) -> Mask:
    """Find the samples that can be analysed.

    Parameters
    ----------
    signal
        [n, n_leads] in mV; NaN where missing.
    fs
        Its sampling rate in Hz.

    Returns
    -------
    Mask [n_working, n_leads] at WORKING_FS.
    """
    return on_working_grid(~not_recorded(signal, fs), fs)


def on_working_grid(mask: Mask, fs: float) -> Mask:
    """Take a mask at the samples nearest to those of the working grid.

    Parameters
    ----------
    mask
        [n, n_leads].
    fs
        Its sampling rate in Hz.

    Returns
    -------
    Mask [n_working, n_leads] at WORKING_FS.
    """
    if mask.all():
        return np.ones((mask.shape[1], working_length(len(mask), fs)), dtype=bool).T
    return np.take(mask.T, _nearest_samples(len(mask), fs), axis=1).T  # each lead contiguous in memory


def not_recorded(signal: Signal, fs: float) -> Mask:
    """Find the samples that were not recorded: missing, flat, filled or at the rail.

    Parameters
    ----------
    signal
        [n, n_leads] in mV; NaN where missing.
    fs
        Its sampling rate in Hz.

    Returns
    -------
    Mask [n, n_leads].
    """
    lost = np.zeros_like(signal, dtype=bool)  # in the order of the signal, each lead contiguous in memory
    if not all_finite(signal):
        lost |= long_runs(~np.isfinite(signal), round(MISSING_S * fs))
    same = signal[1:] == signal[:-1]  # False beside a missing sample
    shortest = max(round(FILLED_S * fs), _SHORTEST) - 1
    for lead in np.flatnonzero(_may_last(same, max(min(shortest, len(same)), 1))).tolist():
        runs = true_intervals(same[:, lead]) + np.array((0, 1))  # in samples
        for start, stop in _without_signal(signal[:, lead], runs, fs).tolist():
            lost[start:stop, lead] = True
    return lost


def _without_signal(lead: Signal, runs: Samples, fs: float) -> Samples:
    """Find the constant runs of a lead in which nothing was recorded: flat, at the rail or filled, [k, 2]."""
    length_s = (runs[:, 1] - runs[:, 0]) / fs
    is_flat = length_s >= min(FLAT_S, len(lead) / fs)
    tested = ~is_flat & (length_s >= max(FILLED_S, _SHORTEST / fs))
    flat, natural, runs = runs[is_flat], runs[_between(length_s, *_NATURAL_S)], runs[tested]
    if not len(runs):
        return flat
    near = round(_NATURAL_NEAR_S * fs)
    n_natural = np.searchsorted(natural[:, 0], runs[:, 1] + near) - np.searchsorted(
        natural[:, 0], runs[:, 0] - near
    )
    is_extreme = _is_extreme(lead, runs, round(_RAIL_NEAR_S * fs))
    rests, jumps = _edges(np.nan_to_num(np.abs(np.diff(lead))), runs, round(_USUAL_NEAR_S * fs))
    at_rail = is_extreme & (length_s[tested] >= RAIL_S)
    by_nature = (n_natural >= _NATURAL_RUNS) | rests | is_extreme
    return np.concatenate((flat, runs[at_rail | jumps | ~by_nature]))


def _between(values: Floats, low: float, high: float) -> Mask:
    return np.asarray((values >= low) & (values < high))


def _around(runs: Samples, near: int, n_samples: int) -> tuple[Samples, Samples]:
    return np.maximum(runs[:, 0] - near, 0), np.minimum(runs[:, 1] + near, n_samples)


def _is_extreme(lead: Signal, runs: Samples, near: int) -> Mask:
    """Check whether each constant run is the highest or lowest part nearby and far from the mean, [k]."""
    first, last = _around(runs, near, len(lead))
    known = np.isfinite(lead)
    padded = np.append(np.where(known, lead, np.nan), np.nan)  # so that ``last`` is an index
    spans = np.column_stack((first, last)).ravel()
    highest, lowest = (extreme.reduceat(padded, spans)[::2] for extreme in (np.fmax, np.fmin))
    total = np.append(0, np.cumsum(np.where(known, lead, 0), dtype=np.float64))
    number = np.append(0, np.cumsum(known))
    mean = (total[last] - total[first]) / (number[last] - number[first])
    value = lead[runs[:, 0]]
    away = np.abs(value - mean) > _RAIL_FRACTION * (highest - lowest)
    return np.asarray(((value == highest) | (value == lowest)) & away)


def _edges(steps: Floats, runs: Samples, near: int) -> tuple[Mask, Mask]:
    """Check whether the signal comes to rest beside each constant run, and whether it jumps there, [k]."""
    padded = np.pad(steps, _STEPS + 1)
    into, out = runs[:, 0] + _STEPS, runs[:, 1] + _STEPS  # the step before the first sample, after the last
    beside = np.arange(1, _STEPS + 1)
    before, after = padded[into[:, None] - beside], padded[out[:, None] + beside]
    total = np.append(0, np.cumsum(steps, dtype=np.float64))
    first, last = _around(runs, near, len(steps))
    usual = (total[last] - total[first]) / (last - first)
    resolution = steps[steps > 0].min(initial=np.inf)
    high = np.maximum(_JUMP_ALONE * usual, _JUMP * resolution)
    rests, jumps = np.zeros(len(runs), dtype=bool), np.zeros(len(runs), dtype=bool)
    for edge, side in ((padded[into], before), (padded[out], after)):
        rests |= (side <= _SMALL * usual[:, None]).mean(axis=1) > _RESTING
        alone = edge >= _JUMP_ALONE * side[:, :_NEXT_STEPS].max(axis=1)
        jumps |= (edge > high) & (edge > _JUMP * side.mean(axis=1)) & alone
    return rests, jumps


def long_runs(mask: Mask, n_samples: int) -> Mask:
    """Keep the long runs of True along each lead.

    Parameters
    ----------
    mask
        [n, n_leads].
    n_samples
        Least length of a run. In a shorter recording, a run must fill all of it.

    Returns
    -------
    Mask [n, n_leads] of the long runs.
    """
    n_samples = max(min(n_samples, len(mask)), 1)
    long = np.zeros_like(mask)
    for lead in np.flatnonzero(_may_last(mask, n_samples)).tolist():
        edges = true_intervals(mask[:, lead])
        for start, stop in edges[edges[:, 1] - edges[:, 0] >= n_samples].tolist():
            long[start:stop, lead] = True
    return long


def _may_last(mask: Mask, n_samples: int) -> Mask:
    """Check for each lead whether a run of ``n_samples`` is possible, from a few samples of it."""
    stride = n_samples // _STRIDES
    if not stride:
        return np.asarray(mask.any(axis=0))
    in_a_row = np.ascontiguousarray(mask[::stride].T)  # a long run contains _STRIDES of these in a row
    reach = 1
    while reach < _STRIDES:
        in_a_row, reach = in_a_row[:, reach:] & in_a_row[:, :-reach], 2 * reach
    return np.asarray(in_a_row.any(axis=1))


def _nearest_samples(n_samples: int, fs: float) -> NDArray[np.int64]:
    ratio = rate_ratio(fs)
    working = np.arange(working_length(n_samples, fs))
    nearest = (working * ratio.denominator + ratio.numerator // 2) // ratio.numerator
    return np.minimum(nearest, n_samples - 1)
