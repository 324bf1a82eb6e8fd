"""Which stretches of each lead can be analysed: not missing, flat, at the rail of the recorder, or noise.

The first three are told from the signal, noise from its beats. A lead is clear where beats stand out from
what lies between them, and where each beat has its like nearby, be it ectopic: both measures are logarithms,
and their sum is the lead's clarity. Nearby means among a dozen beats on either side, whatever the rhythm.
After the signal quality indices of Li (2008) and Orphanidou (2015), who compare beats with one template.
"""

import numpy as np
from numpy.typing import NDArray

from ectopy.beats.windows import BEFORE, WINDOW_FS
from ectopy.ecg import Mask, Signal, stretches
from ectopy.signal.filters import all_finite, rate_ratio, working_length
from ectopy.signal.rolling import maximum_filter1d, median_filter, minimum_filter1d, uniform_filter1d

FLAT_S = 2.0
"""No recorder's noise stays below its last bit for so long: no electrode, or a rail."""
MISSING_S = 0.1
"""Gaps up to this are bridged: no QRS complex hides in one."""
RAIL_S = 0.2
"""A peak may be cut off at the rail for a moment; no peak lasts so long."""
_RAIL_NEAR_S = 2.0  # a rail is the highest or lowest value of this time on either side,
_RAIL_SHARE = 0.3  # and this share of the range away from the mean: the isoelectric line is near it

NOISE = 2.8
"""A lead whose clarity is below that is not read where another one is clearer."""
USELESS, AROUND = 2.2, 2.6
"""Where every lead is below the first, nothing is reported: there, and as far around as every lead is below
the second. Noise without a beat lies there; see docs/noise-stress.md for what other lines cost.
"""
DOUBT = 3.2
"""Below it on every lead, beats are reported and nobody is sure of them, nor of the rhythm they make."""
_NEIGHBOURS = 11  # beats that make a running level
_USUAL_NEIGHBOURS = 301  # some five minutes: artefacts are higher than what is usual, beats by e^0.5 at most
_MOST_ABOVE_USUAL = 0.5
_FEWEST = 6  # candidates, two seconds: less is not worth a shutdown
_KIN = 12  # beats on either side among which a beat has its like; the second nearest: one may be chance
_ENOUGH_BEATS = 8  # of fewer none need be like another,
_FEW_LIKENESS = 1.0  # and are taken to correlate by 0.76: so few may be chance
_QRS = slice(BEFORE - 15, BEFORE + 20)
_SHIFTS = range(-2, 3)  # fiducials differ by 20 ms
_PERIODS = range(round(0.12 * WINDOW_FS), round(0.36 * WINDOW_FS))  # of flutter and fibrillation, in samples
_PERIODIC = 0.65  # median autocorrelation from which on it is that: noise has 0.45, record 207's VF 0.9
_PERIODIC_NEIGHBOURS = 31  # candidates, some ten seconds
_STRIDES = 8  # samples of a run that are looked at before all of them are
_CHUNK = 4096  # candidates whose windows are in memory at once as float32

Floats = NDArray[np.floating]


def usable(signal: Signal, fs: float) -> Mask:
    """Tell which samples, [n_working, n_leads] at WORKING_FS, of a signal in mV at ``fs`` can be analysed."""
    railed = _lasting(_still(signal), round(RAIL_S * fs))
    bad = _lasting(railed, round(FLAT_S * fs))
    if not all_finite(signal):
        bad |= _lasting(~np.isfinite(signal), round(MISSING_S * fs))
    if railed.any():
        bad |= railed & _extreme(np.where(np.isfinite(signal), signal, np.float32(0)), fs)
    if not bad.any():
        return np.ones((working_length(len(signal), fs), signal.shape[1]), dtype=bool)
    return ~bad[_nearest_samples(len(signal), fs)]


def _still(signal: Signal) -> Mask:
    """Tell which samples equal the one before or the one after."""
    still = np.zeros_like(signal, dtype=bool)
    equal = signal[1:] == signal[:-1]
    still[1:] = equal
    still[:-1] |= equal
    return still


def _lasting(mask: Mask, n_samples: int) -> Mask:
    """Keep the runs of True along each lead that last ``n_samples``, or the whole of a shorter recording."""
    n_samples = max(min(n_samples, len(mask)), 1)
    kept = np.zeros_like(mask)
    for lead in np.flatnonzero(_may_last(mask, n_samples)).tolist():
        edges = stretches(mask[:, lead])
        for start, stop in edges[edges[:, 1] - edges[:, 0] >= n_samples].tolist():
            kept[start:stop, lead] = True
    return kept


def _may_last(mask: Mask, n_samples: int) -> Mask:
    """Tell of each lead whether a run so long is possible, from one sample in _STRIDES of them."""
    stride = n_samples // _STRIDES
    if not stride:
        return np.asarray(mask.any(axis=0))
    some = mask[::stride].T  # a run holds so many of these in a row
    for _ in range(_STRIDES - 1):
        some = some[:, 1:] & some[:, :-1]
    return np.asarray(some.any(axis=1))


def _extreme(signal: Signal, fs: float) -> Mask:
    """Tell which samples are as high or as low as any near them, and far from their mean."""
    size = 2 * round(_RAIL_NEAR_S * fs) + 1
    highest, lowest = maximum_filter1d(signal, size), minimum_filter1d(signal, size)
    away = np.abs(signal - uniform_filter1d(signal.astype(np.float64), size))
    outermost = (signal == highest) | (signal == lowest)
    return np.asarray(outermost & (away > _RAIL_SHARE * (highest - lowest)))


def _nearest_samples(n_samples: int, fs: float) -> NDArray[np.int64]:
    ratio = rate_ratio(fs)
    at = np.arange(working_length(n_samples, fs))
    nearest = (at * ratio.denominator + ratio.numerator // 2) // ratio.numerator
    return np.minimum(nearest, n_samples - 1)


def clarity(
    strength: Floats, background: Floats, windows: Floats, scale: Floats, *, beat: Mask
) -> NDArray[np.float64]:
    """Say how clear each lead is around each candidate for a beat, [n, n_leads]: 2 in noise, else about 6.

    ``strength`` and ``background`` are those of :class:`qrs.Candidates`, ``windows`` and ``scale`` those of
    :class:`shapes.BeatShapes`, ``beat`` tells which were chosen. NaN where a lead is off or has no beat.
    """
    clear = np.full(strength.shape, np.nan)
    for lead, seen in enumerate(~np.isnan(strength.T)):
        beats = beat & seen
        if beats.any():
            likeness = _likeness(windows[:, lead], scale[:, lead], np.flatnonzero(beats))
            told = _contrast(np.log(strength[seen, lead]), np.log(background[seen, lead]), beat[seen])
            clear[seen, lead] = told + _level(likeness, beat[seen], _NEIGHBOURS)
    return clear


def worse(clear: NDArray[np.float64]) -> Mask:
    """Tell for each candidate which leads are noise beside a clearer one, [n, n_leads]."""
    best = np.nan_to_num(clear, nan=-np.inf).max(axis=1, keepdims=True)
    return np.asarray((clear < NOISE) & (clear < best))


def doubtful(clear: NDArray[np.float64], *, below: float = DOUBT) -> Mask:
    """Tell which candidates are noisy on every lead that is on, [n]; what is off is not noise."""
    clearest = np.nan_to_num(clear, nan=-np.inf).max(axis=1)
    return np.asarray(~np.isnan(clear).all(axis=1) & (clearest < below))


def useless(clear: NDArray[np.float64], windows: Floats) -> Mask:
    """Tell which candidates are lost in noise on every lead: ``clear`` [n, n_leads], ``windows`` as above."""
    lost = _around(doubtful(clear, below=USELESS), doubtful(clear, below=AROUND))
    for start, stop in stretches(lost).tolist():
        lost[start:stop] = ~_oscillates(windows[start:stop, : clear.shape[1]])
    return _lasting(lost[:, None], _FEWEST)[:, 0]


def _contrast(strength: Floats, background: Floats, beat: Mask) -> Floats:
    """Give how far beats rise above the background around each candidate; all in logarithms."""
    height = _level(strength[beat], beat, _NEIGHBOURS)
    usual = _level(strength[beat], beat, _USUAL_NEIGHBOURS)
    return np.asarray(np.minimum(height, usual + _MOST_ABOVE_USUAL) - background)


def _level(values: Floats, beat: Mask, n_neighbours: int) -> Floats:
    """Give at each candidate the running median of the beats' values."""
    running = median_filter(values, n_neighbours, mode="reflect")
    return np.asarray(running[np.maximum(np.cumsum(beat) - 1, 0)])


def _likeness(windows: Floats, scale: Floats, beats: NDArray[np.intp]) -> Floats:
    """Give each beat's likeness to its second nearest kin, on the scale of Fisher (1915)."""
    if len(beats) < _ENOUGH_BEATS:
        return np.full(len(beats), _FEW_LIKENESS)
    parts = []
    for start in range(0, len(beats), _CHUNK):
        first = max(start - _KIN, 0)
        some = beats[first : start + _CHUNK + _KIN]
        alike = _likeness_in(windows[some] * scale[some, None])
        parts.append(alike[start - first :][: min(_CHUNK, len(beats) - start)])
    return np.concatenate(parts)


def _likeness_in(windows: Floats) -> Floats:
    """Give the likeness of beats that are in memory at once."""
    moved = [_normalised(windows[:, _QRS.start + by : _QRS.stop + by]) for by in _SHIFTS]
    unit, size = moved[len(moved) // 2]
    fit = np.zeros((len(windows), 2 * _KIN), dtype=np.float32)
    for k in range(min(_KIN, len(windows) - 1)):
        one, other = slice(None, -k - 1), slice(k + 1, None)
        best = np.max([np.einsum("ij,ij->i", unit[one], shape[other]) for shape, _ in moved], axis=0)
        ratio = size[other] / size[one]
        fit[other, k] = fit[one, _KIN + k] = best * 2 / (ratio + 1 / ratio)  # less than 1 where sizes differ
    return np.asarray(np.arctanh(np.clip(np.partition(fit, -2, axis=1)[:, -2], 0, 0.999)))


def _normalised(x: Floats) -> tuple[Floats, Floats]:
    """Take the mean out of each row and scale it to length 1; give that length too."""
    centred = x - x.mean(axis=1, keepdims=True)
    size = np.linalg.norm(centred, axis=1) + np.finfo(np.float32).tiny
    return np.asarray(centred / size[:, None]), np.asarray(size)


def _around(sure: Mask, doubtful: Mask) -> Mask:
    """Keep the doubtful stretches that hold something sure."""
    kept = np.zeros_like(doubtful)
    for start, stop in stretches(doubtful).tolist():
        kept[start:stop] = sure[start:stop].any()
    return kept


def _oscillates(windows: Floats) -> Mask:
    """Tell where windows [n, n_leads, WINDOW] repeat themselves as in ventricular flutter or fibrillation."""
    chunks = [windows[start : start + _CHUNK] for start in range(0, len(windows), _CHUNK)]
    regular = np.concatenate([_autocorrelation(chunk.astype(np.float32)) for chunk in chunks])
    return np.asarray(median_filter(regular, _PERIODIC_NEIGHBOURS, mode="reflect") >= _PERIODIC)


def _autocorrelation(windows: Floats) -> Floats:
    """Give each window's highest correlation with itself a period later, in its most regular lead."""
    best = np.full(windows.shape[:2], -1.0, dtype=np.float32)
    for period in _PERIODS:
        one, _ = _normalised(windows[..., :-period].reshape(-1, windows.shape[2] - period))
        other, _ = _normalised(windows[..., period:].reshape(-1, windows.shape[2] - period))
        best = np.maximum(best, np.einsum("ij,ij->i", one, other).reshape(best.shape))
    return np.asarray(best.max(axis=1))
