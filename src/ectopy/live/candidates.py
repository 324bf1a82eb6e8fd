"""Candidates for beats in a running signal: maxima of the QRS energy, a fifth of a second after they occur.

This is :mod:`ectopy.beats.qrs_candidates` without a look into the future: the energy is the magnitude of a
wavelet's response, and a lead is normalised by its mean energy so far.
"""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.signal import sosfilt

from ectopy.ecg import Mask, Signal
from ectopy.live.front_end import LIVE_FS

_QRS_HZ, _QRS_SD_HZ = 15.0, 6.0  # as in qrs_candidates
_APART = round(0.12 * LIVE_FS)  # samples; candidates closer than this are one candidate
_NEAR = round(0.06 * LIVE_FS)  # greatest distance between the energy peaks of two leads
_LEVEL_S = 3.0  # time constant of the mean energy
_TINY = np.float32(1e-9)


def _wavelet() -> NDArray[np.complex128]:
    sd = LIVE_FS / (2 * np.pi * _QRS_SD_HZ)
    time = np.arange(-round(3 * sd), round(3 * sd) + 1)
    window = np.exp(-0.5 * np.square(time / sd))
    wavelet = window * np.exp(2j * np.pi * _QRS_HZ * time / LIVE_FS)
    wavelet -= window * wavelet.sum() / window.sum()  # no response to a constant
    return np.asarray(wavelet * 2 / np.abs(wavelet).sum())


WAVELET = _wavelet()
EVEN, ODD = WAVELET.real.astype(np.float32), WAVELET.imag.astype(np.float32)
REACH = len(WAVELET) // 2
LATENCY = REACH + _APART + 1
"""Samples at LIVE_FS after which a candidate is known."""
_KEPT = 2 * _APART + REACH + 1  # samples of signal before the newest energy that a candidate needs
DECAY = np.float32(1 - np.exp(-1 / (_LEVEL_S * LIVE_FS)))
_MEAN = np.array([[DECAY, 0, 0, 1, DECAY - 1, 0]], dtype=np.float32)


class Candidate(NamedTuple):
    """A candidate for a beat."""

    sample: int
    """The R peak at LIVE_FS."""
    peak: int
    """The peak of the energy."""
    strength: tuple[float, ...]
    """The energy of each lead in mV; 0 where the lead is unusable."""


class CandidateFinder:
    """Find the candidates of a stream.

    Parameters
    ----------
    n_leads
        Number of leads.
    """

    def __init__(self, n_leads: int) -> None:
        self._n = 0  # samples pushed so far
        self._signal = np.zeros((REACH * 2, n_leads), dtype=np.float32)  # the last samples
        self._usable = np.zeros((REACH * 2, n_leads), dtype=bool)
        self._state = np.zeros((1, n_leads, 2), dtype=np.float32)
        self._energy = np.zeros((2 * _APART, n_leads), dtype=np.float32)
        self._level = np.full((2 * _APART, n_leads), np.float32(1), dtype=np.float32)
        self._combined = np.zeros(2 * _APART, dtype=np.float32)
        self._past = np.zeros((_KEPT + REACH, n_leads), dtype=np.float32)
        self._last_peak = -_APART

    def push(self, signal: Signal, usable: Mask) -> list[Candidate]:
        """Find the candidates that are known now.

        Parameters
        ----------
        signal
            The next samples at LIVE_FS, [m, n_leads] in mV.
        usable
            [m, n_leads], which of them are usable.

        Returns
        -------
        The new candidates, in order.
        """
        if not len(signal):
            return []
        self._n += len(signal)
        whole = np.concatenate((self._signal, signal))
        usable = np.concatenate((self._usable, usable))
        energy, inside = _energy(whole), _all_around(usable)
        energy[~inside] = 0
        level, self._state[:] = sosfilt(_MEAN, energy.T, axis=1, zi=self._state)
        level = np.maximum(level.T, _TINY)
        combined = np.sqrt(np.square(energy / level).sum(axis=1))
        past = np.concatenate((self._past, signal))
        energy = np.concatenate((self._energy, energy))
        level = np.concatenate((self._level, level))
        combined = np.concatenate((self._combined, combined))
        found = self._candidates(past, energy, level, combined)
        self._signal, self._usable = whole[-2 * REACH :], usable[-2 * REACH :]
        self._past = past[-len(self._past) :]
        self._energy, self._level, self._combined = (
            part[-2 * _APART :] for part in (energy, level, combined)
        )
        return found

    def _candidates(
        self, past: Signal, energy: Signal, level: Signal, combined: NDArray[np.float32]
    ) -> list[Candidate]:
        highest = sliding_window_view(combined, 2 * _APART + 1).max(axis=1)
        centre = combined[_APART:-_APART]
        start = self._n - REACH - len(combined) + _APART  # sample of the first centre
        found = []
        for at in np.flatnonzero((centre == highest) & (centre > 0)).tolist():
            if start + at - self._last_peak < _APART:
                continue
            self._last_peak = start + at
            strength = energy[at + _APART - _NEAR : at + _APART + _NEAR + 1].max(axis=0)
            first = self._last_peak - self._n + len(past) - _APART
            deflection = past[first : first + 2 * _APART + 1]
            offset = _largest_deflection(deflection, strength / level[at + _APART])
            found.append(Candidate(self._last_peak + offset, self._last_peak, tuple(strength.tolist())))
        return found


def _energy(signal: Signal) -> Signal:
    """Compute the magnitude of the wavelet's response, [n - 2 * REACH, n_leads]; sums go tap by tap."""
    n = len(signal) - 2 * REACH
    even, odd = (np.zeros((n, signal.shape[1]), dtype=np.float32) for _ in range(2))
    for tap in range(REACH):  # the even taps are symmetric, the odd ones antisymmetric
        first, last = signal[tap : tap + n], signal[2 * REACH - tap : 2 * REACH - tap + n]
        even += EVEN[tap] * (first + last)
        odd += ODD[tap] * (first - last)
    even += EVEN[REACH] * signal[REACH : REACH + n]
    return np.sqrt(even * even + odd * odd)


def _all_around(usable: Mask) -> Mask:
    """Check whether all samples within REACH are usable, [n - 2 * REACH, n_leads]."""
    if usable.all():
        return usable[2 * REACH :]
    return np.asarray(sliding_window_view(usable, 2 * REACH + 1, axis=0).all(axis=-1))


def _largest_deflection(signal: Signal, prominence: NDArray[np.float32]) -> int:
    """Find the R peak in [2 * _APART + 1, n_leads], as an offset from the middle.

    It is the largest deflection from the mean, in the first lead unless another is twice as prominent.
    """
    lead = int(np.argmax(prominence * np.where(np.arange(len(prominence)) == 0, 2, 1)))
    wave = signal[:, lead]
    return int(np.argmax(np.abs(wave - wave.mean()))) - _APART
