"""A window of signal around each beat: all that later stages need of the signal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ectopy.ecg import Mask, Samples, Signal
from ectopy.signal.filters import WORKING_FS

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


@dataclass(frozen=True, eq=False)
class BeatWindows:
    """Windows of signal around n beats."""

    sample: Samples
    """[n], the R peaks on the grid of WORKING_FS."""
    signal: NDArray[np.float16]
    """[n, n_leads, WINDOW] with N_LEADS leads at most; each window is scaled to a largest deflection of 1."""
    scale: Floats
    """[n, N_LEADS], the largest deflection of each window in mV."""
    readable: Mask
    """[n, N_LEADS], whether the lead can be used at this beat."""

    def __len__(self) -> int:
        return len(self.sample)

    def take(self, index: NDArray[np.intp] | slice) -> "BeatWindows":
        """Return some of the beats."""
        return BeatWindows(self.sample[index], self.signal[index], self.scale[index], self.readable[index])


def join(parts: Sequence[BeatWindows]) -> BeatWindows:
    """Concatenate the beats of consecutive blocks."""
    return BeatWindows(
        np.concatenate([part.sample for part in parts]),
        np.concatenate([part.signal for part in parts]),
        np.concatenate([part.scale for part in parts]),
        np.concatenate([part.readable for part in parts]),
    )


def pad_leads(windows: NDArray[np.float16]) -> NDArray[np.float16]:
    """Pad [n, n_leads, WINDOW] with zeros to N_LEADS leads."""
    if windows.shape[1] == N_LEADS:
        return windows
    padded = np.zeros((len(windows), N_LEADS, WINDOW), dtype=np.float16)
    padded[:, : windows.shape[1]] = windows
    return padded


def cut_windows(filtered: Signal, usable: Mask, r_peaks: Samples) -> BeatWindows:
    """Cut a window around each R peak.

    Beyond the ends of the signal, its last value is repeated. A lead is readable at a beat if more than 90 %
    of the window is usable.

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
    windows = np.empty((len(r_peaks), n_leads, WINDOW), dtype=np.float32)
    scale = np.full((len(r_peaks), N_LEADS), np.finfo(np.float32).tiny, dtype=np.float32)
    readable = np.zeros((len(r_peaks), N_LEADS), dtype=bool)
    for lead in range(n_leads):
        windows[:, lead] = _around(filtered[:, lead], r_peaks)
        readable[:, lead] = usable[:, lead].all() or _around(usable[:, lead], r_peaks).mean(axis=1) > 0.9
    scale[:, :n_leads] += np.abs(windows).max(axis=2)
    return BeatWindows(r_peaks, (windows / scale[:, :n_leads, None]).astype(np.float16), scale, readable)


def _around(lead: NDArray[Any], r_peaks: Samples) -> NDArray[Any]:
    before, after = BEFORE * _STEP, AFTER * _STEP
    padded = np.pad(lead, (before, after), mode="edge")
    return sliding_window_view(padded, before + after + 1)[r_peaks, ::_STEP]
