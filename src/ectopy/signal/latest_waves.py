"""Waves of the newest signal: those of :mod:`ectopy.signal.waves`, of two windows at once.

In a running signal the time goes into calls of numpy and not into samples. So both windows share each call,
and spectra are products with a matrix.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from ectopy.ecg import Mask, Signal
from ectopy.signal.waves import (
    BANDS_HZ,
    BEATING_HZ,
    FLAT,
    LAGS,
    NEAR_PEAK_HZ,
    SLOW_FS,
    SMALL,
    TINY,
    WAVES,
)

_N_SHAPE = 7  # columns of the shape; the others are of the spectrum


def measure_latest_waves(leads: Signal, fs: int) -> Signal:
    """Compute the waves of a signal, and of its second half.

    Parameters
    ----------
    leads
        [n_leads, n], band-passed signal in mV, of an even number of seconds, 4 or more.
    fs
        Its sampling rate in Hz, a multiple of 25 Hz.

    Returns
    -------
    [2, n_leads, len(WAVES)], as of :func:`ectopy.signal.waves.measure_waves`.
    """
    n_leads, slow = len(leads), leads.reshape(len(leads), -1, fs // SLOW_FS)
    waves = np.empty((n_leads, 2, len(WAVES)), dtype=np.float32)
    _measure_shape(leads.reshape(n_leads, -1, fs), slow[:, :, 0], waves[:, :, :_N_SHAPE])
    _measure_spectrum(slow.mean(axis=2), waves[:, :, _N_SHAPE:])
    return waves.swapaxes(0, 1)


def _measure_shape(seconds: Signal, slow: Signal, out: Signal) -> None:
    """Compute the first columns, [n_leads, 2, _N_SHAPE], from the seconds of each lead."""
    n_leads, n_seconds, fs = seconds.shape
    half = n_seconds // 2
    high, low = seconds.max(axis=2), seconds.min(axis=2)
    square, step = seconds * seconds, np.abs(seconds[:, :, 1:] - seconds[:, :, :-1])
    each, between = np.full(fs, 1 / fs, np.float32), np.full(fs - 1, 1 / (fs - 1), np.float32)
    of_seconds = np.empty((5, n_leads, n_seconds), dtype=np.float32)
    np.matmul(square, each, out=of_seconds[0])
    np.matmul(square * square, each, out=of_seconds[1])
    np.matmul(step, between, out=of_seconds[2])
    step.max(axis=2, out=of_seconds[3])
    np.maximum(high, -low, out=of_seconds[4])
    size, fourth, mean_step, steepest, deflection = of_seconds @ _shares(n_seconds)
    size = np.sqrt(size) + SMALL
    newest_first = (high - low)[:, ::-1]
    both = [n_seconds - 1, half - 1]
    smallest = np.minimum.accumulate(newest_first, axis=1)[:, both] + np.float32(1e-3)
    out[:, :, 0] = size
    out[:, :, 1] = fourth / size**4 + SMALL
    out[:, :, 2] = mean_step / size + np.float32(1e-3)
    out[:, :, 3] = steepest / (mean_step + np.float32(1e-6)) + SMALL
    out[:, :, 4] = smallest
    out[:, :, 5] = np.maximum.accumulate(newest_first, axis=1)[:, both] / smallest + np.float32(1e-3)
    np.log(out[:, :, :6], out=out[:, :, :6])
    is_flat = np.abs(slow)[:, None] < (FLAT * (deflection + SMALL))[:, :, None]
    out[:, 0, 6] = is_flat[:, 0].mean(axis=1)
    out[:, 1, 6] = is_flat[:, 1, half * SLOW_FS :].mean(axis=1)


def _measure_spectrum(slow: Signal, out: Signal) -> None:
    """Compute the other columns from a signal at SLOW_FS, [n_leads, n]."""
    n_leads, n = slow.shape
    basis = _spectral_basis(n)
    wave = slow @ basis.waves
    power = np.square(wave, out=wave).reshape(n_leads, 2, -1).sum(axis=1)
    sums = power @ basis.sums
    bands, correlation = (sums[:, part].reshape(n_leads, 2, -1) for part in (basis.bands, basis.correlation))
    total, again = bands[:, :, -1] + TINY, correlation[:, :, 1:]
    peak = np.stack([power[:, part].argmax(axis=1) + part.start for part in basis.beating], axis=1)
    near = sums[np.arange(n_leads)[:, None], basis.near.start + peak]
    n_bands = len(BANDS_HZ)
    np.divide(bands[:, :, :-1], total[:, :, None], out=out[:, :, :n_bands])
    out[:, :, n_bands] = basis.hz[peak] / 5
    out[:, :, n_bands + 1] = near / total
    out[:, :, n_bands + 2] = again.max(axis=2) / (correlation[:, :, 0] + TINY)
    out[:, :, n_bands + 3] = (again.argmax(axis=2) + LAGS.start) / SLOW_FS


@cache
def _shares(n_seconds: int) -> Signal:
    """Return the share of each second in the mean of either window, [n_seconds, 2]."""
    half = n_seconds // 2
    share = np.zeros((n_seconds, 2), dtype=np.float32)
    share[:, 0], share[half:, 1] = 1 / n_seconds, 1 / half
    return share


class _SpectralBasis(NamedTuple):
    """Matrices of the spectra of both windows, whose frequencies stand side by side.

    The first k of them are under Hann's window: ``hz``. The others are of the autocorrelation. The signal
    times ``waves`` [n, 2 * all] gives their cosines and sines. Their power times ``sums`` gives the columns
    ``bands``, of each window the sums of the bands and of all; ``near``, the sums of the frequencies near
    each; and ``correlation``, of each window at lag 0 and at LAGS. ``beating`` has those of heart beats.
    """

    hz: Signal
    waves: Signal
    sums: Signal
    bands: slice
    near: slice
    correlation: slice
    beating: tuple[slice, slice]


@cache
def _spectral_basis(n: int) -> _SpectralBasis:
    """Compute the matrices for a signal of n samples at SLOW_FS."""
    whole, half = _window_basis(n), _window_basis(n // 2)
    before = ((n - n // 2, 0), (0, 0))
    waves = np.hstack([whole.hann, np.pad(half.hann, before), whole.padded, np.pad(half.padded, before)])
    bands, near = block_diag(whole.bands, half.bands), block_diag(whole.near, half.near)
    correlation = block_diag(whole.correlation, half.correlation)
    sums = block_diag(np.hstack([bands, near]), correlation)
    first, second = bands.shape[1], bands.shape[1] + near.shape[1]
    of_whole, of_half = (np.searchsorted(part.hz, BEATING_HZ).tolist() for part in (whole, half))
    return _SpectralBasis(
        hz=np.append(whole.hz, half.hz).astype(np.float32),
        waves=np.hstack([waves.real, waves.imag]).astype(np.float32),
        sums=sums.astype(np.float32),
        bands=slice(0, first),
        near=slice(first, second),
        correlation=slice(second, sums.shape[1]),
        beating=(slice(*of_whole), slice(*(len(whole.hz) + at for at in of_half))),
    )


class _WindowBasis(NamedTuple):
    """The same of one window: complex waves under Hann's window and padded with zeros, and what is summed."""

    hz: NDArray[np.float64]
    hann: NDArray[np.complex128]
    padded: NDArray[np.complex128]
    bands: Mask
    near: Mask
    correlation: NDArray[np.float64]


def _window_basis(n: int) -> _WindowBasis:
    """Compute the matrices of a window of n samples at SLOW_FS."""
    time, number = np.arange(n)[:, None], np.arange(1, n // 2)
    angle, hz = 2 * np.pi * time / n, number * SLOW_FS / n
    reach = round(NEAR_PEAK_HZ * n / SLOW_FS)
    bands = [(hz >= low) & (hz < top) for low, top in (*BANDS_HZ, (0.0, np.inf))]
    twice = np.arange(n + 1)  # frequencies of the signal with as many zeros
    lags = np.append(0, np.arange(LAGS.start, min(LAGS.stop, n)))
    weight = np.where((twice == 0) | (twice == n), 0.5, 1.0)[:, None] / n
    return _WindowBasis(
        hz,
        (1 - np.cos(angle)) * np.exp(1j * angle * number),
        np.exp(1j * angle / 2 * twice),
        np.stack(bands, axis=1),
        np.abs(number[:, None] - number) <= reach,
        weight * np.cos(np.pi * twice[:, None] * lags / n),
    )
