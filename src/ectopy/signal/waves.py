"""Waves of the signal every 2 s: how large, fast and regular they are, whether or not there are beats.

Fibrillation has no beat to measure. So the rhythm of 2 s is judged from the 4 s of signal around them. A
running signal has no signal to come: there, :func:`measure_waves` measures the windows that end now.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ectopy.ecg import Mask, Signal
from ectopy.signal.filters import WORKING_FS

TICK_S = 2
"""Length of a tick in seconds: the rhythm is judged once in each."""
TICK = TICK_S * round(WORKING_FS)
"""Samples of a tick on the working grid."""
REACH_S = 3.0
"""Signal that the waves of a tick need on either side of its start, in seconds."""

_WINDOW_S = 4
_BEFORE = (_WINDOW_S - TICK_S) * round(WORKING_FS) // 2  # samples of the window before the tick, and after it
_STEP = 4  # samples whose mean is one sample at 50 Hz; higher frequencies are noise
_FS = 50
SLOW_FS = 25  # of spectra: a divisor of every sampling rate here
_AT_ONCE = 512  # ticks whose spectra are in memory at once
BANDS_HZ = ((0.0, 1.5), (1.5, 4.0), (4.0, 9.0), (9.0, 12.6))
BEATING_HZ = (1.5, 9.1)
NEAR_PEAK_HZ = 0.75  # on either side
LAGS = slice(round(0.16 * SLOW_FS), 2 * SLOW_FS)
FLAT = np.float32(0.15)
SMALL = np.float32(1e-4)  # mV
TINY = np.float32(1e-9)

WAVES: Mapping[str, str] = MappingProxyType(
    {
        "size": "log of the root mean square, in mV",
        "kurtosis": "log of the kurtosis: large where narrow waves stand out of a quiet baseline",
        "slope": "log of the mean absolute step between samples, over the root mean square",
        "steepness": "log of the largest step of a second over the mean step",
        "smallest second": "log of the range of the quietest of the four seconds, in mV",
        "change of size": "log of the range of the loudest second over that of the quietest",
        "flat part": "share of the samples below 0.15 of the mean largest deflection of a second",
        **{f"{low:g}-{top:g} hz": f"share of the power at {low:g} to {top:g} Hz" for low, top in BANDS_HZ},
        "peak frequency": "frequency of the largest power between 1.5 and 9 Hz, in units of 5 Hz",
        "power near the peak": "share of the power within 0.75 Hz of the peak frequency",
        "autocorrelation": "largest autocorrelation at a lag of 0.16 to 2 s",
        "lag": "the lag of the largest autocorrelation, in s",
    }
)
"""Name and meaning of each property of the waves, in the order of the columns."""

LAG, _AUTOCORRELATION = (list(WAVES).index(name) for name in ("lag", "autocorrelation"))


def leads_by_regularity(of_leads: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return the leads of each tick, that with the largest autocorrelation first.

    Parameters
    ----------
    of_leads
        The waves, [n_ticks, n_leads, len(WAVES)].

    Returns
    -------
    Numbers of leads, [n_ticks, n_leads].
    """
    return np.argsort(-of_leads[:, :, _AUTOCORRELATION], axis=1, kind="stable")


def waves_of_ticks(
    filtered: Signal, usable: Mask, first: int, start: int, stop: int
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Compute the waves of every whole tick whose middle lies in an interval.

    Half precision is enough, and keeps two weeks of two leads in 40 MB.

    Parameters
    ----------
    filtered
        [n, n_leads], band-passed signal in mV at WORKING_FS, with a margin of REACH_S around the interval
        except at the ends of the recording. There the signal is mirrored.
    usable
        [n, n_leads], which samples can be analysed.
    first
        Sample at which ``filtered`` begins.
    start, stop
        The interval in samples, half-open.

    Returns
    -------
    The waves [n_ticks, n_leads, len(WAVES)], and which share of each tick has a usable lead [n_ticks]. A part
    of a tick at the end of the recording is no whole tick.
    """
    n_whole, n_leads = (first + len(filtered)) // TICK, filtered.shape[1]
    tick, last = (min(-(-(at - TICK // 2) // TICK), n_whole) for at in (start, stop))
    if tick >= last:
        return np.empty((0, n_leads, len(WAVES)), dtype=np.float16), np.empty(0, dtype=np.float16)
    begin, end = TICK * tick - _BEFORE - first, TICK * last + _BEFORE - first
    inside, missing = filtered[max(begin, 0) : end], (max(-begin, 0), max(end - len(filtered), 0))
    leads = np.pad(inside.T, ((0, 0), missing), mode="reflect") if any(missing) else inside.T
    mean: Signal = np.asarray(sum(leads[:, at::_STEP] for at in range(_STEP)) * np.float32(1 / _STEP))
    waves = measure_waves(mean, _FS, window_s=_WINDOW_S, hop_s=TICK_S)
    return waves.astype(np.float16), _covered(usable[TICK * tick - first : TICK * last - first])


def measure_waves(leads: Signal, fs: int, *, window_s: int, hop_s: int) -> Signal:
    """Compute the waves of windows of a signal.

    Parameters
    ----------
    leads
        [n_leads, n], band-passed signal in mV of whole seconds.
    fs
        Its sampling rate in Hz, a multiple of 25 Hz.
    window_s
        Length of a window in seconds.
    hop_s
        Seconds between the starts of windows.

    Returns
    -------
    The waves of all windows that lie in the signal, [n_windows, n_leads, len(WAVES)].
    """
    windows = (window_s, hop_s)
    return np.concatenate([_shape(leads, fs, windows), _spectrum(leads, fs, windows)], axis=2).swapaxes(0, 1)


def _covered(usable: Mask) -> NDArray[np.float16]:
    """Compute the share of each tick in which a lead is usable, [n_ticks]."""
    if usable.all():
        return np.ones(len(usable) // TICK, dtype=np.float16)
    return np.asarray(usable.any(axis=1).reshape(-1, TICK).mean(axis=1), dtype=np.float16)


def _shape(leads: Signal, fs: int, windows: tuple[int, int]) -> Signal:
    """Compute the first columns from each second of the leads, [n_leads, n_windows, k]."""
    seconds = leads.reshape(len(leads), -1, fs)
    step = np.abs(np.diff(seconds, axis=2))
    square = seconds * seconds
    size = np.sqrt(_over_windows(square.mean(axis=2), windows).mean(axis=2)) + SMALL
    fourth = _over_windows((square * square).mean(axis=2), windows).mean(axis=2)
    mean_step = _over_windows(step.mean(axis=2), windows).mean(axis=2)
    steepest = _over_windows(step.max(axis=2), windows).mean(axis=2)
    extent = _over_windows(np.ptp(seconds, axis=2), windows)
    smallest = extent.min(axis=2) + np.float32(1e-3)
    deflection = _over_windows(np.sqrt(square.max(axis=2)), windows).mean(axis=2) + SMALL
    flat = _over_windows(np.abs(leads[:, :: fs // SLOW_FS]), windows, SLOW_FS) < FLAT * deflection[:, :, None]
    return np.stack(
        [
            np.log(size),
            np.log(fourth / size**4 + SMALL),
            np.log(mean_step / size + np.float32(1e-3)),
            np.log(steepest / (mean_step + np.float32(1e-6)) + SMALL),
            np.log(smallest),
            np.log(extent.max(axis=2) / smallest + np.float32(1e-3)),
            flat.mean(axis=2, dtype=np.float32),
        ],
        axis=2,
    )


def _spectrum(leads: Signal, fs: int, windows: tuple[int, int]) -> Signal:
    """Compute the other columns from spectra at 25 Hz, [n_leads, n_windows, k]."""
    n = fs // SLOW_FS
    slow: Signal = np.asarray(sum(leads[:, at::n] for at in range(n)) * np.float32(1 / n))
    views = _over_windows(slow, windows, SLOW_FS)
    parts = [_of_spectrum(views[:, at : at + _AT_ONCE]) for at in range(0, views.shape[1], _AT_ONCE)]
    return np.concatenate(parts, axis=1)


def _of_spectrum(windows: Signal) -> Signal:
    n = windows.shape[2]
    hz, near = np.fft.rfftfreq(n, 1 / SLOW_FS), round(NEAR_PEAK_HZ * n / SLOW_FS)
    beating = slice(*np.searchsorted(hz, BEATING_HZ))
    spectrum = np.fft.rfft(windows, 2 * n, axis=2)
    power = spectrum.real**2 + spectrum.imag**2
    # Hann's window is a difference of neighbours in the spectrum.
    hann = spectrum[:, :, 2:-2:2] - (spectrum[:, :, :-4:2] + spectrum[:, :, 4::2]) / 2
    smooth = np.zeros((*windows.shape[:2], len(hz)), dtype=np.float32)
    smooth[:, :, 1:-1] = hann.real**2 + hann.imag**2
    total = smooth.sum(axis=2) + TINY
    bands = [smooth[:, :, slice(*np.searchsorted(hz, band))].sum(axis=2) / total for band in BANDS_HZ]
    peak = smooth[:, :, beating].argmax(axis=2) + beating.start
    below = np.cumsum(smooth, axis=2)
    upper, lower = (
        np.take_along_axis(below, (peak + offset)[:, :, None], axis=2)[:, :, 0]
        for offset in (near, -near - 1)
    )
    correlation = np.fft.irfft(power, axis=2)[:, :, : min(LAGS.stop, n)]
    lag = correlation[:, :, LAGS].argmax(axis=2) + LAGS.start
    largest = np.take_along_axis(correlation, lag[:, :, None], axis=2)[:, :, 0]
    regular = (largest / (correlation[:, :, 0] + TINY), lag / SLOW_FS)
    return np.stack([*bands, hz[peak] / 5, (upper - lower) / total, *regular], axis=2, dtype=np.float32)


def _over_windows(samples: Signal, windows: tuple[int, int], fs: int = 1) -> Signal:
    """Return the samples of each window, [n_leads, n_windows, window_s * fs]."""
    window_s, hop_s = windows
    if samples.shape[1] == window_s * fs:  # as in a running signal, where time counts
        return samples[:, None]
    return np.asarray(sliding_window_view(samples, window_s * fs, axis=1)[:, :: hop_s * fs])
