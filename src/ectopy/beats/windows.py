"""A window of signal around each beat: all that later stages need of the signal."""

import mmap
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ectopy import compiled
from ectopy.ecg import Mask, Samples, Signal
from ectopy.signal.filters import WORKING_FS
from ectopy.signal.rolling import minimum_filter1d

N_LEADS = 2
"""Number of leads that are analysed. In a recording of one lead, the second counts as unreadable."""
WINDOW_FS = 100.0
"""Sampling rate of the windows in Hz, enough for the band of 40 Hz."""
BEFORE_S, AFTER_S = 0.30, 0.45
"""Extent of a window around its R peak, in seconds: from the P wave to the end of a wide beat's T wave."""

Floats = NDArray[np.float32]

_STEP = round(WORKING_FS / WINDOW_FS)
BEFORE, AFTER = round(BEFORE_S * WINDOW_FS), round(AFTER_S * WINDOW_FS)
WINDOW = BEFORE + AFTER + 1
WHOLE = (BEFORE, AFTER)
"""Samples of a window on either side of the R peak."""
QRS = slice(BEFORE - round(0.12 * WINDOW_FS), BEFORE + round(0.15 * WINDOW_FS))
"""The part of a window that a QRS complex takes, however wide."""
LARGEST_SHIFT = round(0.04 * WINDOW_FS)
"""Samples by which a QRS complex is moved at most to align it with another."""

_OFFSETS = np.arange(-BEFORE, AFTER + 1)
_RINGING_S = 0.05  # two taps of a low-pass of 40 Hz
_QRS_SAMPLES = round(0.05 * WINDOW_FS)  # on either side of the R peak
_NEARBY = 8  # whole windows on either side whose median is the usual beat
_CHUNK = 1024  # windows that are completed at once


@dataclass(frozen=True, eq=False)
class BeatWindows:
    """Windows of signal around n beats."""

    sample: Samples
    """[n], the R peaks on the grid of WORKING_FS."""
    signal: NDArray[np.float16]
    """[n, n_leads, WINDOW] with N_LEADS leads at most; each window is scaled to a largest deflection of 1.

    Those of a long recording are read from a file as they are looked at.
    """
    scale: Floats
    """[n, N_LEADS], the largest deflection of each window in mV."""
    readable: Mask
    """[n, N_LEADS], whether the lead can be used at this beat."""
    after_gap: Mask
    """[n], whether a part between the beat before and this one was not recorded: RR is then unknown."""

    def __len__(self) -> int:
        return len(self.sample)

    def take(self, index: NDArray[np.intp] | Mask | slice) -> "BeatWindows":
        """Return some of the beats. Memory of those that were read from a file before goes back."""
        file = self.signal.base
        if isinstance(file, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):  # Windows has none
            file.madvise(mmap.MADV_DONTNEED)
        return BeatWindows(*(getattr(self, field.name)[index] for field in fields(self)))


def join(parts: Sequence[BeatWindows]) -> BeatWindows:
    """Concatenate the beats of consecutive blocks."""
    columns = ([getattr(part, field.name) for part in parts] for field in fields(BeatWindows))
    return BeatWindows(*(np.concatenate(column) for column in columns))


def pad_leads(windows: NDArray[np.float16]) -> NDArray[np.float16]:
    """Pad [n, n_leads, WINDOW] with zeros to N_LEADS leads."""
    if windows.shape[1] == N_LEADS:
        return windows
    padded = np.zeros((len(windows), N_LEADS, WINDOW), dtype=np.float16)
    padded[:, : windows.shape[1]] = windows
    return padded


def qrs_vectors(windows: BeatWindows, beats: NDArray[np.intp], part: slice) -> Floats:
    """Return the QRS complexes of some beats as vectors of length 1, all leads in one.

    Parameters
    ----------
    windows
        Windows of n beats.
    beats
        Indices of beats, of any shape [...].
    part
        The part of a window that is the QRS complex, of m samples.

    Returns
    -------
    [..., n_leads * m], each lead without its mean.
    """
    n_leads = windows.signal.shape[1]
    qrs = windows.signal[beats][..., part] * windows.scale[beats][..., :n_leads, None]
    vector = (qrs - qrs.mean(axis=-1, keepdims=True)).reshape(*beats.shape, -1)
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    return np.asarray(vector / np.maximum(length, np.finfo(np.float32).tiny))


def cut_windows(filtered: Signal, usable: Mask, r_peaks: Samples) -> BeatWindows:
    """Cut a window around each R peak.

    Beyond the ends of the signal, its last value is repeated. A lead is readable at a beat if its QRS complex
    is intact. No beat is after a gap yet.

    Parameters
    ----------
    filtered
        [n, n_leads], band-passed signal in mV at WORKING_FS.
    usable
        [n, n_leads], which samples can be analysed.
    r_peaks
        [n_beats], samples at WORKING_FS.

    Returns
    -------
    The windows of the first N_LEADS leads.
    """
    n_leads = min(filtered.shape[1], N_LEADS)
    signal = np.empty((len(r_peaks), n_leads, WINDOW), dtype=np.float16)
    scale = np.full((len(r_peaks), N_LEADS), np.finfo(np.float32).tiny, dtype=np.float32)
    for lead in range(n_leads):
        _cut(filtered[:, lead], r_peaks, signal[:, lead], scale[:, lead])
    readable: Mask = np.asarray((intact_samples(usable, r_peaks) >= _QRS_SAMPLES).all(axis=2))
    return BeatWindows(r_peaks, signal, scale, readable, np.zeros(len(r_peaks), dtype=bool))


def intact_samples(usable: Mask, r_peaks: Samples) -> NDArray[np.int8]:
    """Count the samples of each window that are intact on either side of the R peak.

    A sample is intact if nothing within _RINGING_S of it is lost. Beyond, the filters respond to the edge.
    What lies before the first sample and after the last is lost too.

    Parameters
    ----------
    usable
        [n, n_leads], which samples can be analysed, at WORKING_FS.
    r_peaks
        [n_beats], samples at WORKING_FS.

    Returns
    -------
    [n_beats, N_LEADS, 2], samples before and after the R peak, at most BEFORE and AFTER; -1 where the R peak
    itself is touched.
    """
    intact = np.zeros((len(r_peaks), N_LEADS, 2), dtype=np.int8)
    ringing = round(_RINGING_S * WORKING_FS)
    reach = _STEP * max(WHOLE) + ringing
    near_ends = (r_peaks < reach) | (r_peaks >= len(usable) - reach)
    whole = usable.all()
    for lead in range(min(usable.shape[1], N_LEADS)):
        intact[:, lead] = WHOLE
        some = np.flatnonzero(near_ends | (not whole and not usable[:, lead].all()))
        if len(some):
            inside = minimum_filter1d(np.pad(usable[:, lead], reach), 2 * ringing + 1)
            lost = ~_around(inside, r_peaks[some] + reach)
            for side, part in enumerate((lost[:, BEFORE::-1], lost[:, BEFORE:])):
                touched = part.any(axis=1)
                intact[some[touched], lead, side] = part[touched].argmax(axis=1) - 1
    return intact


def is_whole(windows: BeatWindows, intact: NDArray[np.int8]) -> Mask:
    """Return which windows of readable leads are intact from end to end.

    Parameters
    ----------
    windows
        The windows of n beats.
    intact
        [n, N_LEADS, 2], their :func:`intact_samples`.

    Returns
    -------
    Mask [n, N_LEADS].
    """
    return np.asarray(windows.readable & (intact == WHOLE).all(axis=2))


def complete(windows: BeatWindows, intact: NDArray[np.int8]) -> BeatWindows:
    """Complete the windows that are partly lost by the usual beat nearby, the median of whole windows.

    What is lost can then look neither ectopic nor like noise. Where no lead is readable, the whole window is
    the usual one.

    Parameters
    ----------
    windows
        The windows of n beats.
    intact
        [n, N_LEADS, 2], their :func:`intact_samples`.

    Returns
    -------
    The completed windows.
    """
    whole = is_whole(windows, intact)
    unread = np.asarray(~windows.readable.any(axis=1))
    intact = np.where(unread[:, None, None], np.int8(-1), intact)  # then not even the R peak
    partial = (windows.readable & ~whole) | unread[:, None]
    if not partial.any():
        return windows
    signal, scale, readable = windows.signal.copy(), windows.scale.copy(), windows.readable.copy()
    for lead in range(signal.shape[1]):
        source, target = np.flatnonzero(whole[:, lead]), np.flatnonzero(partial[:, lead])
        if not len(source):
            continue
        readable[target, lead] = True
        for some in np.split(target, range(_CHUNK, len(target), _CHUNK)):
            usual = _usual(windows.signal[:, lead], windows.scale[:, lead], source, some)
            before, after = np.split(intact[some, lead], 2, axis=1)
            lost = (-before > _OFFSETS) | (after < _OFFSETS)
            mv = np.where(lost, usual, signal[some, lead].astype(np.float32) * scale[some, lead, None])
            scale[some, lead] = np.abs(mv).max(axis=1) + np.finfo(np.float32).tiny
            signal[some, lead] = mv / scale[some, lead, None]
    return replace(windows, signal=signal, scale=scale, readable=readable)


def _usual(
    signal: NDArray[np.float16], scale: Floats, source: NDArray[np.intp], at: NDArray[np.intp]
) -> Floats:
    """Compute the median in mV of the _NEARBY windows of ``source`` on either side of some beats."""
    near = np.searchsorted(source, at)[:, None] + np.arange(-_NEARBY, _NEARBY)
    near = source[np.clip(near, 0, len(source) - 1)]
    return np.asarray(np.median(signal[near].astype(np.float32) * scale[near, None], axis=1))


def _cut(lead: Signal, r_peaks: Samples, signal: NDArray[np.float16], scale: Floats) -> None:
    """Cut a window around each R peak into ``signal`` [n, WINDOW], and its scale into ``scale`` [n]."""
    if compiled.is_compiled():
        compiled.cut_windows(lead, r_peaks, BEFORE * _STEP, _STEP, signal, scale)
        return
    windows = _around(lead, r_peaks)
    scale += np.abs(windows).max(axis=1)
    signal[:] = windows / scale[:, None]


def _around(lead: NDArray[Any], r_peaks: Samples) -> NDArray[Any]:
    before, after = BEFORE * _STEP, AFTER * _STEP
    padded = np.pad(lead, (before, after), mode="edge")
    return sliding_window_view(padded, before + after + 1)[r_peaks, ::_STEP]
