"""Signal to noise around each candidate for a beat."""

import numpy as np
from numpy.typing import NDArray

from ectopy.beats.windows import BEFORE, WINDOW_FS
from ectopy.ecg import Mask, true_intervals
from ectopy.signal.quality import Floats, _lasting
from ectopy.signal.rolling import median_filter

SQI_NOISY_LEAD = 2.8
"""A lead whose clarity is below that is not read where another one is clearer."""

SQI_UNREADABLE, SQI_UNREADABLE_MARGIN = 2.2, 2.6
"""Where every lead is below the first, nothing is reported: there, and as far around as every lead is below
the second. Noise without a beat lies there; see docs/noise-stress.md for what other lines cost.
"""

SQI_LOW_CONFIDENCE = 3.2
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

_CHUNK = 4096  # candidates whose windows are in memory at once as float32


def signal_quality_index(
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


def noisy_leads(clear: NDArray[np.float64]) -> Mask:
    """Tell for each candidate which leads are noise beside a clearer one, [n, n_leads]."""
    best = np.nan_to_num(clear, nan=-np.inf).max(axis=1, keepdims=True)
    return np.asarray((clear < SQI_NOISY_LEAD) & (clear < best))


def low_quality(clear: NDArray[np.float64], *, below: float = SQI_LOW_CONFIDENCE) -> Mask:
    """Tell which candidates are noisy on every lead that is on, [n]; what is off is not noise."""
    clearest = np.nan_to_num(clear, nan=-np.inf).max(axis=1)
    return np.asarray(~np.isnan(clear).all(axis=1) & (clearest < below))


def unreadable(clear: NDArray[np.float64], windows: Floats) -> Mask:
    """Tell which candidates are lost in noise on every lead: ``clear`` [n, n_leads], ``windows`` as above."""
    lost = _around(low_quality(clear, below=SQI_UNREADABLE), low_quality(clear, below=SQI_UNREADABLE_MARGIN))
    for start, stop in true_intervals(lost).tolist():
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
    for start, stop in true_intervals(doubtful).tolist():
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
