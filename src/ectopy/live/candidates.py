"""Candidates for beats in a running signal: maxima of the QRS energy, a fifth of a second after they occur.

This is :mod:`ectopy.beats.qrs_candidates` without a look into the future: the energy is the magnitude of a
wavelet's response, and a lead is normalised by its mean energy so far.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d
from scipy.signal import lfilter

from ectopy.ecg import Mask, Signal
from ectopy.live.front_end import LIVE_FS, run_lengths

_QRS_HZ, _QRS_SD_HZ = 15.0, 6.0  # as in qrs_candidates
_APART = round(0.12 * LIVE_FS)  # samples; candidates closer than this are one candidate
_NEAR = round(0.06 * LIVE_FS)  # greatest distance between the energy peaks of two leads
_R_NEAR = round(0.07 * LIVE_FS)  # greatest distance of the R peak from the energy peak
_LEVEL_S = 3.0  # time constant of the mean energy
_TINY = np.float32(1e-9)
_PREFERENCE = np.array((2, 1), dtype=np.float32)  # the first lead has the R peaks unless it is far weaker


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
_AROUND = 2 * _APART  # samples of energy that are kept: a candidate is a maximum among those around it
_KEPT = _AROUND + REACH  # samples of signal that are kept
DECAY = np.float32(1 - np.exp(-1 / (_LEVEL_S * LIVE_FS)))
# Filters as scipy.signal.lfilter takes them.
_QRS_FILTER = (WAVELET.astype(np.complex64), np.array((1, 0), dtype=np.complex64))
_MEAN_FILTER = (np.array((DECAY, 0), dtype=np.float32), np.array((1, DECAY - 1), dtype=np.float32))


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
        self._usable = np.zeros(n_leads, dtype=np.int64)  # usable samples in a row
        self._response = np.zeros((2 * REACH, n_leads), dtype=np.complex64)  # state of the filters
        self._mean = np.zeros((1, n_leads), dtype=np.float32)
        self._signal = np.zeros((_KEPT, n_leads), dtype=np.float32)  # the last samples
        self._energy = np.zeros((_AROUND, n_leads), dtype=np.float32)
        self._level = np.ones((_AROUND, n_leads), dtype=np.float32)
        self._combined = np.zeros(_AROUND, dtype=np.float32)
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
        new, new_level = self._energy_of(signal, usable)
        signal = np.concatenate((self._signal, signal))
        energy = np.concatenate((self._energy, new))
        level = np.concatenate((self._level, new_level))
        new_combined = np.sqrt(np.square(new / new_level).sum(axis=1))
        combined = np.concatenate((self._combined, new_combined))
        found = list(self._candidates(signal, energy, level, combined))
        self._signal = signal[-_KEPT:]
        self._energy, self._level, self._combined = (part[-_AROUND:] for part in (energy, level, combined))
        return found

    def _energy_of(self, signal: Signal, usable: Mask) -> tuple[Signal, Signal]:
        """Compute the QRS energy REACH samples ago, and its mean so far, [m, n_leads]."""
        response, self._response = lfilter(*_QRS_FILTER, signal, axis=0, zi=self._response)
        n_usable = run_lengths(usable, self._usable)
        self._usable = n_usable[-1]
        energy = np.abs(response) * (n_usable > 2 * REACH)
        mean, self._mean = lfilter(*_MEAN_FILTER, energy, axis=0, zi=self._mean)
        return energy, np.maximum(mean, _TINY)

    def _candidates(
        self, signal: Signal, energy: Signal, level: Signal, combined: NDArray[np.float32]
    ) -> Iterator[Candidate]:
        highest = maximum_filter1d(combined, _AROUND + 1)[_APART:-_APART]
        centre = combined[_APART:-_APART]
        start = self._n - REACH - len(combined) + _APART  # sample of the first centre
        for at in np.flatnonzero((centre == highest) & (centre > 0)).tolist():
            if start + at - self._last_peak < _APART:
                continue
            self._last_peak = start + at
            strength = energy[at + _APART - _NEAR : at + _APART + _NEAR + 1].max(axis=0)
            deflection = signal[at : at + 2 * _APART + 1]
            offset = _largest_deflection(deflection, strength / level[at + _APART])
            yield Candidate(self._last_peak + offset, self._last_peak, tuple(strength.tolist()))


def _largest_deflection(signal: Signal, prominence: NDArray[np.float32]) -> int:
    """Find the R peak in [2 * _APART + 1, n_leads], as an offset from the middle.

    It is the largest deflection from the mean, in the first lead unless another is twice as prominent. It is
    near the middle, as the T wave of a wide beat is not far.
    """
    lead = int(np.argmax(prominence * _PREFERENCE[: len(prominence)]))
    deflection = np.abs(signal[:, lead] - signal[:, lead].mean())
    return int(np.argmax(deflection[_APART - _R_NEAR : _APART + _R_NEAR + 1])) - _R_NEAR
