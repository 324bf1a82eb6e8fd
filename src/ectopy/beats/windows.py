"""The small summary of each beat that the first pass keeps: a window of each lead around the R peak."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ectopy.ecg import Mask, Samples, Signal
from ectopy.signal.filters import WORKING_FS

N_LEADS = 2
"""Leads that are read; a recording with one leaves the second slot unreadable."""
WINDOW_FS = 100.0
"""Rate of the beat windows, enough for the 40 Hz band."""
BEFORE_S, AFTER_S = 0.30, 0.45
"""Extent of a window around its R peak: P wave to the end of a wide beat's T wave."""

Floats = NDArray[np.float32]

_STEP = round(WORKING_FS / WINDOW_FS)
BEFORE, AFTER = round(BEFORE_S * WINDOW_FS), round(AFTER_S * WINDOW_FS)
WINDOW = BEFORE + AFTER + 1


@dataclass(frozen=True, eq=False)
class BeatWindows:
    """The small summary of each beat that the first pass keeps.

    ``sample`` int64 [n] on the grid of WORKING_FS; ``windows`` float16 [n, n_leads, WINDOW], of N_SLOTS
    leads at most (see :func:`all_slots`), each scaled to a largest deflection of 1;
    ``scale`` float32 [n, N_SLOTS] in mV; ``readable`` bool [n, N_SLOTS].
    """

    sample: Samples
    windows: NDArray[np.float16]
    scale: Floats
    readable: Mask

    def __len__(self) -> int:
        return len(self.sample)

    def take(self, index: NDArray[np.intp] | slice) -> "BeatWindows":
        """Keep some of the beats."""
        return BeatWindows(self.sample[index], self.windows[index], self.scale[index], self.readable[index])


def join(parts: Sequence[BeatWindows]) -> BeatWindows:
    """Put the beats of consecutive blocks together."""
    return BeatWindows(
        np.concatenate([part.sample for part in parts]),
        np.concatenate([part.windows for part in parts]),
        np.concatenate([part.scale for part in parts]),
        np.concatenate([part.readable for part in parts]),
    )


def pad_leads(windows: NDArray[np.float16]) -> NDArray[np.float16]:
    """Give windows [n, n_leads, WINDOW] a slot for each lead that is read, 0 where none was recorded."""
    if windows.shape[1] == N_LEADS:
        return windows
    every = np.zeros((len(windows), N_LEADS, WINDOW), dtype=np.float16)
    every[:, : windows.shape[1]] = windows
    return every


def cut_windows(clean: Signal, usable: Mask, r_peaks: Samples) -> BeatWindows:
    """Cut a window around each R peak of [n, n_leads] clean signal at WORKING_FS; the ends are held.

    A lead counts as readable at a beat where 90 % of the window is usable.
    """
    n_leads = min(clean.shape[1], N_LEADS)
    windows = np.empty((len(r_peaks), n_leads, WINDOW), dtype=np.float32)
    scale = np.full((len(r_peaks), N_LEADS), np.finfo(np.float32).tiny, dtype=np.float32)
    readable = np.zeros((len(r_peaks), N_LEADS), dtype=bool)
    for lead in range(n_leads):
        windows[:, lead] = _around(clean[:, lead], r_peaks)
        readable[:, lead] = usable[:, lead].all() or _around(usable[:, lead], r_peaks).mean(axis=1) > 0.9
    scale[:, :n_leads] += np.abs(windows).max(axis=2)
    return BeatWindows(r_peaks, (windows / scale[:, :n_leads, None]).astype(np.float16), scale, readable)


def _around(lead: NDArray[Any], r_peaks: Samples) -> NDArray[Any]:
    before, after = BEFORE * _STEP, AFTER * _STEP
    padded = np.pad(lead, (before, after), mode="edge")
    return sliding_window_view(padded, before + after + 1)[r_peaks, ::_STEP]
