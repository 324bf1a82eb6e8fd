"""Signal quality index (SQI) of each lead around each candidate for a beat.

The SQI of a lead is the sum of two logarithms. One measures how far beats rise above the level between them.
The other measures how similar each beat is to other beats nearby, be it normal or ectopic. Nearby means among
a dozen beats on either side, whatever the rhythm. It follows the indices of Li (2008) and Orphanidou (2015),
who compare beats with one template.
"""

import numpy as np
from numpy.typing import NDArray

from ectopy import compiled
from ectopy.beats.windows import BEFORE, WINDOW_FS
from ectopy.ecg import Mask, true_intervals
from ectopy.signal.quality import Floats, long_runs
from ectopy.signal.rolling import median_filter

SQI_NOISY_LEAD = 2.8
"""A lead with a lower SQI is not used where another lead has a higher one."""
SQI_UNREADABLE, SQI_UNREADABLE_MARGIN = 2.2, 2.6
"""The signal is unreadable where every lead is below the first limit.

The unreadable interval extends in both directions until at least one lead rises above the second limit. No
beat is reported in it. docs/noise-stress.md compares other limits.
"""
SQI_LOW_CONFIDENCE = 3.2
"""Where every lead is below this limit, beats and rhythm are reported with low confidence."""

_NEIGHBOURS = 11  # beats in the running median of their level
_USUAL_NEIGHBOURS = 301  # beats in the running median of their usual level: some five minutes
_MAX_ABOVE_USUAL = 0.5  # artefacts exceed the usual level by more, beats by e^0.5 at most
_MIN_UNREADABLE = 6  # candidates, about two seconds: shorter noise is not marked as unreadable
_NEARBY = 12  # beats on either side that are compared; the second most similar counts, as one may be chance
_ENOUGH_BEATS = 8  # fewer beats need not be similar to each other,
_FEW_SIMILARITY = 1.0  # and are assumed to correlate by 0.76, Fisher's z of 1: similarity may be chance
_QRS = slice(BEFORE - 15, BEFORE + 20)
_BIN, _IN_BIN = 100, 20  # samples of half a second, and those of them that are looked at: 5 cycles of 50 Hz
_MIN_BINS = 4  # two seconds: shorter noise is not marked
_DROWNING_MV = 0.08  # mean step above the band of the ECG; that of connected electrodes is smaller,
_DROWNING = 0.8  # and it is so many times the mean deflection within the band; white noise has 1.3 times
_SHIFTS = range(-2, 3)  # R peaks are aligned within 20 ms
_PERIODS = range(round(0.12 * WINDOW_FS), round(0.36 * WINDOW_FS))  # of flutter and fibrillation, in samples
_PERIODIC = 0.65  # least median autocorrelation of these: noise has 0.45, the VF of record 207 has 0.9
_PERIODIC_NEIGHBOURS = 31  # candidates, some ten seconds
_CHUNK = 4096  # candidates whose windows are in memory at once as float32


def signal_quality_index(
    strength: Floats, background: Floats, windows: Floats, scale: Floats, *, beat: Mask
) -> NDArray[np.float64]:
    """Compute the SQI of each lead around each candidate: about 2 in noise, about 6 otherwise.

    Parameters
    ----------
    strength, background
        [n, n_leads], as in :class:`ectopy.beats.qrs_candidates.Candidates`.
    windows, scale
        [n, n_leads, WINDOW] and [n, N_LEADS]: ``signal`` and ``scale`` of
        :class:`ectopy.beats.windows.BeatWindows`.
    beat
        [n], which candidates are beats.

    Returns
    -------
    [n, n_leads]; NaN where a lead is off or has no beat.
    """
    sqi = np.full(strength.shape, np.nan, order="F")
    for lead, usable in enumerate(~np.isnan(strength.T)):
        beats = beat & usable
        if beats.any():
            similarity = _similarity(windows[:, lead], scale[:, lead], np.flatnonzero(beats))
            amplitude, level = np.log(strength[usable, lead]), np.log(background[usable, lead])
            contrast = _contrast(amplitude, level, beat[usable])
            sqi[usable, lead] = contrast + _level(similarity, beat[usable], _NEIGHBOURS)
    return sqi


def noisy_leads(sqi: NDArray[np.float64]) -> Mask:
    """Find the leads that are noisy at a candidate while another lead has a higher SQI, [n, n_leads]."""
    best = np.nan_to_num(sqi, nan=-np.inf).max(axis=1, keepdims=True)
    return np.asarray((sqi < SQI_NOISY_LEAD) & (sqi < best))


def low_quality(sqi: NDArray[np.float64], *, below: float = SQI_LOW_CONFIDENCE) -> Mask:
    """Find the candidates that are noisy on every connected lead.

    Parameters
    ----------
    sqi
        [n, n_leads]; NaN where a lead is off. A candidate without any lead is not noisy.
    below
        Limit of the SQI.

    Returns
    -------
    Mask [n].
    """
    best = np.nan_to_num(sqi, nan=-np.inf).max(axis=1)
    return np.asarray(~np.isnan(sqi).all(axis=1) & (best < below))


def unreadable(sqi: NDArray[np.float64], windows: Floats) -> Mask:
    """Find the candidates where noise hides the beats on every lead.

    Ventricular flutter and fibrillation have a low SQI, too. They are periodic and not marked.

    Parameters
    ----------
    sqi
        [n, n_leads], the signal quality index.
    windows
        [n, n_leads, WINDOW], ``signal`` of :class:`ectopy.beats.windows.BeatWindows`.

    Returns
    -------
    Mask [n].
    """
    core, margin = (low_quality(sqi, below=limit) for limit in (SQI_UNREADABLE, SQI_UNREADABLE_MARGIN))
    noise = _intervals_containing(core, margin)
    for start, stop in true_intervals(noise).tolist():
        noise[start:stop] = ~_is_periodic(windows[start:stop, : sqi.shape[1]])
    return long_runs(noise[:, None], _MIN_UNREADABLE)[:, 0]


def drowned(resampled: Floats, filtered: Floats, usable: Mask) -> Mask:
    """Find where content above the band of the ECG drowns every usable lead, as hum does an open electrode.

    Parameters
    ----------
    resampled, filtered
        [n, n_leads] in mV at WORKING_FS, before and after the band-pass filter.
    usable
        [n, n_leads], which samples can be analysed.

    Returns
    -------
    Mask [n], in steps of half a second.
    """
    n_bins, size = len(filtered) // _BIN, min(_IN_BIN, len(filtered))
    if not n_bins:
        return np.zeros(len(filtered), dtype=bool)
    shape = (n_bins, _BIN, filtered.shape[1])
    inside, raw = (
        np.moveaxis(part[: n_bins * _BIN].reshape(shape)[:, :size], 1, 0) for part in (filtered, resampled)
    )
    beyond = np.diff(raw - inside, axis=0)
    band, high = (np.abs(part).mean(axis=0) for part in (inside, beyond))  # a jump counts as one step
    off = (high > _DROWNING_MV) & (high > _DROWNING * band)
    unused = ~usable[: n_bins * _BIN : _BIN]
    every = long_runs(((off | unused).all(axis=1) & off.any(axis=1))[:, None], _MIN_BINS)[:, 0]
    return np.append(np.repeat(every, _BIN), np.repeat(every[-1:], len(filtered) - n_bins * _BIN))


def _contrast(amplitude: Floats, background: Floats, beat: Mask) -> Floats:
    """Compute how far beats rise above the background around each candidate; all values are logarithms."""
    height = _level(amplitude[beat], beat, _NEIGHBOURS)
    usual = _level(amplitude[beat], beat, _USUAL_NEIGHBOURS)
    return np.asarray(np.minimum(height, usual + _MAX_ABOVE_USUAL) - background)


def _level(values: Floats, beat: Mask, n_neighbours: int) -> Floats:
    """Compute the running median of the values of the beats, at each candidate."""
    running = median_filter(values, n_neighbours, mode="reflect")
    return np.asarray(running[np.maximum(np.cumsum(beat) - 1, 0)])


def _similarity(windows: Floats, scale: Floats, beats: NDArray[np.intp]) -> Floats:
    """Compute the correlation of each beat with the second most similar beat nearby, as Fisher's z (1915)."""
    if len(beats) < _ENOUGH_BEATS:
        return np.full(len(beats), _FEW_SIMILARITY)
    parts = []
    for start in range(0, len(beats), _CHUNK):
        first = max(start - _NEARBY, 0)
        chunk = beats[first : start + _CHUNK + _NEARBY]
        similarity = _similarity_in_chunk(windows[chunk] * scale[chunk, None])
        parts.append(similarity[start - first :][: min(_CHUNK, len(beats) - start)])
    return np.concatenate(parts)


def _similarity_in_chunk(windows: Floats) -> Floats:
    """Compute the similarity of beats that are in memory at once."""
    if compiled.is_compiled():
        second = compiled.second_similarity(windows, _QRS, max(_SHIFTS), _NEARBY)
        return np.asarray(np.arctanh(np.clip(second, 0, 0.999)))
    shifted = [_normalised(windows[:, _QRS.start + by : _QRS.stop + by]) for by in _SHIFTS]
    unit, size = shifted[len(shifted) // 2]
    fit = np.zeros((len(windows), 2 * _NEARBY), dtype=np.float32)
    for k in range(min(_NEARBY, len(windows) - 1)):
        earlier, later = slice(None, -k - 1), slice(k + 1, None)
        best = np.max([np.einsum("ij,ij->i", unit[earlier], qrs[later]) for qrs, _ in shifted], axis=0)
        ratio = size[later] / size[earlier]
        fit[later, k] = fit[earlier, _NEARBY + k] = best * 2 / (ratio + 1 / ratio)  # less if sizes differ
    return np.asarray(np.arctanh(np.clip(np.partition(fit, -2, axis=1)[:, -2], 0, 0.999)))


def _normalised(x: Floats) -> tuple[Floats, Floats]:
    """Subtract the mean of each row and scale it to length 1; return the length too."""
    centred = x - x.mean(axis=1, keepdims=True)
    size = np.linalg.norm(centred, axis=1) + np.finfo(np.float32).tiny
    return np.asarray(centred / size[:, None]), np.asarray(size)


def _intervals_containing(core: Mask, margin: Mask) -> Mask:
    """Return the intervals of ``margin`` that contain at least one element of ``core``."""
    containing = np.zeros_like(margin)
    for start, stop in true_intervals(margin).tolist():
        containing[start:stop] = core[start:stop].any()
    return containing


def _is_periodic(windows: Floats) -> Mask:
    """Find the windows [n, n_leads, WINDOW] that are periodic, as in ventricular flutter or fibrillation."""
    chunks = [windows[start : start + _CHUNK] for start in range(0, len(windows), _CHUNK)]
    regular = np.concatenate([_autocorrelation(chunk.astype(np.float32)) for chunk in chunks])
    return np.asarray(median_filter(regular, _PERIODIC_NEIGHBOURS, mode="reflect") >= _PERIODIC)


def _autocorrelation(windows: Floats) -> Floats:
    """Compute the highest correlation of each window with itself a period later, in its best lead."""
    best = np.full(windows.shape[:2], -1.0, dtype=np.float32)
    for period in _PERIODS:
        earlier, _ = _normalised(windows[..., :-period].reshape(-1, windows.shape[2] - period))
        later, _ = _normalised(windows[..., period:].reshape(-1, windows.shape[2] - period))
        best = np.maximum(best, np.einsum("ij,ij->i", earlier, later).reshape(best.shape))
    return np.asarray(best.max(axis=1))
