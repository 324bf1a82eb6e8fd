"""The front end of a stream: samples of a recorder to filtered samples at 125 Hz, as they arrive.

All filters are causal and recursive, so their state is a few numbers per lead. Every output sample is
computed from the same numbers in the same order, so the size of the chunks changes no bit of the output.
A device does the same in C, sample by sample.
"""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from ectopy.ecg import MAX_WRONG_UNIT, Mask, Signal

LIVE_FS = 125
"""Sampling rate of the live analysis in Hz: half of what wearables use, and enough for 35 Hz."""
LOW_HZ, HIGH_HZ = 0.5, 35.0
"""Band of the filters: Butterworth, order 2 and 6."""
LEAST_FS = 100.0
"""Lowest sampling rate in Hz that can be analysed live."""

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
        self.delay_s = _group_delay_s(self.low_pass, fs)
        self._flat = round(_FLAT_S * fs)
        self._bridged = round(_BRIDGED_S * fs)
        self._n_in = self._n_out = 0
        self._held = np.zeros(n_leads)  # the last sample of each lead, as the filters saw it
        self._raw = np.full(n_leads, np.nan)  # the last sample of each lead, as it was pushed
        self._offset = np.full(n_leads, np.nan)
        self._missing = np.ones(n_leads, dtype=np.int64)  # samples since the last known one
        self._same = np.zeros(n_leads, dtype=np.int64)  # samples that were equal to the one before
        self._low_state = np.zeros((len(self.low_pass), n_leads, 2), dtype=np.float32)
        self._high_state = np.zeros((1, n_leads, 2), dtype=np.float32)
        self._tail = np.zeros((1, n_leads), dtype=np.float32)  # low-passed samples from ``_tail_start`` on
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
        self._tail = np.concatenate((self._tail, _filtered(self.low_pass, known, self._low_state)))
        self._tail_usable = np.concatenate((self._tail_usable, usable))
        resampled, is_usable = self._resampled()
        return _filtered(self.high_pass, resampled, self._high_state), is_usable

    def _without_gaps(self, samples: NDArray[np.float64]) -> tuple[Signal, Mask]:
        """Return the samples as if the signal went on after a gap where it stopped, and which are usable."""
        known = np.empty(samples.shape, dtype=np.float32)
        usable = np.ones(samples.shape, dtype=bool)
        for lead in range(samples.shape[1]):
            known[:, lead], usable[:, lead] = self._lead_without_gaps(samples[:, lead], lead)
        return known, usable

    def _lead_without_gaps(self, samples: NDArray[np.float64], lead: int) -> tuple[Signal, Mask]:
        finite = (
            np.abs(samples) <= MAX_WRONG_UNIT
        )  # what is beyond would fill the filters for hours; NaN is not
        was_known = self._missing[lead] == 0
        n_before, self._missing[lead] = _run_lengths(~finite, self._missing[lead])
        same = np.diff(samples, prepend=self._raw[lead]) == 0
        n_same, self._same[lead] = _run_lengths(same, self._same[lead])
        usable = (n_before < self._bridged) & (n_same < self._flat)
        self._raw[lead] = samples[-1]
        if finite.all() and was_known:
            known = samples - self._offset[lead]
            self._held[lead] = known[-1]
            return known.astype(np.float32), usable
        known = np.empty_like(samples)
        held, offset, in_gap = self._held[lead], self._offset[lead], bool(np.isnan(self._offset[lead]))
        for at, (value, is_known) in enumerate(zip(samples.tolist(), finite.tolist(), strict=True)):
            if is_known:
                if in_gap:
                    offset, in_gap = value - held, False
                held = value - offset
            else:
                in_gap = True
            known[at] = held
        self._held[lead] = held
        self._offset[lead] = np.nan if in_gap else offset
        return known.astype(np.float32), usable

    def _resampled(self) -> tuple[Signal, Mask]:
        """Interpolate the low-passed samples at the points of LIVE_FS: a cubic through four neighbours."""
        ratio = self.ratio
        last = self._n_in - 1 - _AHEAD  # the last input sample with enough samples after it
        stop = last * ratio.denominator // ratio.numerator + 1 if last >= 0 else 0
        point = np.arange(self._n_out, max(stop, self._n_out), dtype=np.int64)
        before, rest = np.divmod(point * ratio.numerator, ratio.denominator)
        share = (rest / ratio.denominator).astype(np.float32)[:, None]
        at = before - self._tail_start
        a, b, c, d = (self._tail[at + step] for step in (-1, 0, 1, 2))
        # Catmull and Rom 1974
        half = np.float32(0.5)
        value = b + half * share * (
            (c - a) + share * ((2 * a - 5 * b + 4 * c - d) + share * (3 * (b - c) + d - a))
        )
        usable = self._tail_usable[at] & self._tail_usable[at + 1]
        self._n_out += len(point)
        next_before = self._n_out * ratio.numerator // ratio.denominator
        drop = max(min(next_before - 1, self._n_in) - self._tail_start, 0)
        self._tail, self._tail_usable = self._tail[drop:], self._tail_usable[drop:]
        self._tail_start += drop
        return value.astype(np.float32), usable


def _filtered(sos: NDArray[np.float32], samples: Signal, state: Signal) -> Signal:
    """Filter the next samples [n, n_leads], and bring the state up to date."""
    if not len(samples):
        return samples
    filtered, state[:] = sosfilt(sos, samples.T, axis=1, zi=state)
    return np.ascontiguousarray(filtered.T)


def _run_lengths(mask: Mask, before: int) -> tuple[NDArray[np.int64], int]:
    """Count how many True values in a row end at each place, [n], and at the end.

    ``before`` values in a row came before the first one.
    """
    if not mask.any():
        return np.zeros(len(mask), dtype=np.int64), 0
    place = np.arange(1, len(mask) + 1)
    last_false = np.maximum.accumulate(np.where(mask, 0, place))
    length = place - last_false + np.where(last_false == 0, before, 0)
    return length, int(length[-1])


def _group_delay_s(sos: NDArray[np.float32], fs: float, hz: float = 10.0) -> float:
    """Compute the group delay of a filter in seconds at a frequency where QRS complexes have most power."""
    step = 0.1
    z = np.exp(-2j * np.pi * np.array((hz - step, hz + step)) / fs)
    response = np.ones(2, dtype=np.complex128)
    for b0, b1, b2, _, a1, a2 in sos.astype(np.float64):
        response *= (b0 + b1 * z + b2 * z**2) / (1 + a1 * z + a2 * z**2)
    phase = np.unwrap(np.angle(response))
    return float((phase[0] - phase[1]) / (2 * np.pi * 2 * step))
