"""The front end of a stream: samples of a recorder to filtered samples at 125 Hz, as they arrive.

All filters are causal and recursive, so their state is a few numbers per lead. Every output sample is
computed from the same numbers in the same order, so the size of the chunks changes no bit of the output.
A device does the same in C, sample by sample.
"""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, sos2tf

from ectopy.ecg import Mask, Signal

LIVE_FS = 125
"""Sampling rate of the live analysis in Hz: half of what wearables use, and enough for 35 Hz."""
LOW_HZ, HIGH_HZ = 0.5, 35.0
"""Band of the filters: Butterworth, order 2 and 6."""
LEAST_FS = 100.0
"""Lowest sampling rate in Hz that can be analysed live."""

MOST_MV = 1e9
"""A larger sample is missing: it fills the filters for hours, and float32 cannot hold its fourth power."""

_FLAT_S = 1.0  # a lead that is constant for this time has no electrode
_BRIDGED_S = 0.1  # a shorter gap hides no QRS complex
_AHEAD = 2  # input samples that the interpolation needs after a point


class FrontEnd:
    """Filter and resample the leads of a stream.

    Parameters
    ----------
    fs
        Sampling rate of the input in Hz.
    n_leads
        Number of leads.
    """

    def __init__(self, fs: float, n_leads: int) -> None:
        self.ratio = (Fraction(fs).limit_denominator(1000) / LIVE_FS).limit_denominator(100_000)
        self.low_pass = butter(6, HIGH_HZ, fs=fs, output="sos").astype(np.float32)
        self.high_pass = butter(2, LOW_HZ, "highpass", fs=LIVE_FS, output="sos").astype(np.float32)
        self.low_transfer = sos2tf(self.low_pass.astype(np.float64))  # the sections as one filter
        self.delay_s = _group_delay_s(self.low_pass, fs)
        self._flat = round(_FLAT_S * fs)
        self._bridged = round(_BRIDGED_S * fs)
        self._n_in = self._n_out = 0
        self._held = np.zeros(n_leads)  # the last sample of each lead, as the filters saw it
        self._raw = np.full(n_leads, np.nan)  # the last sample of each lead, as it was pushed
        self._offset = np.full(n_leads, np.nan)
        self._missing = np.ones(n_leads, dtype=np.int64)  # samples since the last known one
        self._same = np.zeros(n_leads, dtype=np.int64)  # samples that were equal to the one before
        self._low_state = np.zeros((2 * len(self.low_pass), n_leads))
        self._high_state = np.zeros((2, n_leads), dtype=np.float32)
        self._tail = np.zeros((1, n_leads))  # low-passed samples from ``_tail_start`` on
        self._tail_usable = np.ones((1, n_leads), dtype=bool)
        self._tail_start = -1

    def push(self, samples: Signal) -> tuple[Signal, Mask]:
        """Filter the next samples.

        Parameters
        ----------
        samples
            [n, n_leads] in mV; NaN where missing. n may be 0.

        Returns
        -------
        The samples at LIVE_FS that are complete now, [m, n_leads], and which of them are usable.
        """
        if not len(samples):
            empty = np.empty((0, len(self._held)), dtype=np.float32)
            return empty, empty.astype(bool)
        known, usable = self._without_gaps(np.asarray(samples, dtype=np.float64))
        self._n_in += len(samples)
        low, self._low_state = lfilter(*self.low_transfer, known, axis=0, zi=self._low_state)
        self._tail = np.concatenate((self._tail, low))
        self._tail_usable = np.concatenate((self._tail_usable, usable))
        resampled, is_usable = self._resampled()
        if len(resampled):
            b, a = self.high_pass[0, :3], self.high_pass[0, 3:]
            resampled, self._high_state = lfilter(b, a, resampled, axis=0, zi=self._high_state)
        return resampled, is_usable

    def _without_gaps(self, samples: NDArray[np.float64]) -> tuple[NDArray[np.float64], Mask]:
        """Return the samples as if the signal went on after a gap where it stopped, and which are usable."""
        is_known = np.abs(samples) <= MOST_MV  # NaN is not
        same = run_lengths(samples == np.concatenate((self._raw[None], samples[:-1])), self._same)
        known, usable = samples - self._offset, np.asarray(same < self._flat)
        if self._missing.any() or not is_known.all():
            missing = run_lengths(~is_known, self._missing)
            for lead in range(samples.shape[1]):
                known[:, lead] = self._across_gaps(samples[:, lead], is_known[:, lead], lead)
            usable &= missing < self._bridged
            self._missing = missing[-1].copy()
        self._raw, self._held, self._same = samples[-1].copy(), known[-1].copy(), same[-1].copy()
        return known, usable

    def _across_gaps(self, samples: NDArray[np.float64], is_known: Mask, lead: int) -> list[float]:
        """Hold the last known sample in a gap, and begin with it after the gap."""
        held, offset, in_gap = self._held[lead], self._offset[lead], bool(np.isnan(self._offset[lead]))
        filled = []
        for value, known in zip(samples.tolist(), is_known.tolist(), strict=True):
            if known:
                if in_gap:
                    offset = value - held
                held = value - offset
            in_gap = not known
            filled.append(held)
        self._offset[lead] = np.nan if in_gap else offset
        return filled

    def _resampled(self) -> tuple[Signal, Mask]:
        """Interpolate the low-passed samples at the points of LIVE_FS: a cubic through four neighbours."""
        ratio = self.ratio
        last = self._n_in - 1 - _AHEAD  # the last input sample with enough samples after it
        stop = last * ratio.denominator // ratio.numerator + 1 if last >= 0 else 0
        point = np.arange(self._n_out, max(stop, self._n_out), dtype=np.int64)
        before, rest = np.divmod(point * ratio.numerator, ratio.denominator)
        at = before - self._tail_start
        value, usable = self._tail[at], self._tail_usable[at] & self._tail_usable[at + 1]
        if rest.any():  # points between two samples
            a, c, d = (self._tail[at + step] for step in (-1, 1, 2))
            share = (rest / ratio.denominator)[:, None]
            # Catmull and Rom 1974
            value = value + share / 2 * (
                (c - a) + share * ((2 * a - 5 * value + 4 * c - d) + share * (3 * (value - c) + d - a))
            )
        self._n_out += len(point)
        next_before = self._n_out * ratio.numerator // ratio.denominator
        drop = max(min(next_before - 1, self._n_in) - self._tail_start, 0)
        self._tail, self._tail_usable = self._tail[drop:].copy(), self._tail_usable[drop:].copy()
        self._tail_start += drop
        return value.astype(np.float32), usable


def run_lengths(mask: Mask, before: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count how many True values in a row end at each place.

    Parameters
    ----------
    mask
        [n, n_leads].
    before
        How many True values in a row came before, [n_leads].

    Returns
    -------
    [n, n_leads].
    """
    place = np.arange(1, len(mask) + 1)[:, None]
    if mask.all():
        return place + before
    return np.asarray(place - np.maximum.accumulate(np.where(mask, -before, place)))


def _group_delay_s(sos: NDArray[np.float32], fs: float, hz: float = 10.0) -> float:
    """Compute the group delay of a filter in seconds at a frequency where QRS complexes have most power."""
    step = 0.1
    z = np.exp(-2j * np.pi * np.array((hz - step, hz + step)) / fs)
    response = np.ones(2, dtype=np.complex128)
    for b0, b1, b2, _, a1, a2 in sos.astype(np.float64):
        response *= (b0 + b1 * z + b2 * z**2) / (1 + a1 * z + a2 * z**2)
    phase = np.unwrap(np.angle(response))
    return float((phase[0] - phase[1]) / (2 * np.pi * 2 * step))
