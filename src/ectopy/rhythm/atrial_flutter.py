"""Tell atrial flutter from fibrillation: in flutter, one frequency explains the waves between the beats.

Flutter is one wave front that circles in an atrium, 220 to 350 times a minute. So its waves have a narrow
spectrum, and those of fibrillation a broad one (Hoppe et al. 2005, J Am Coll Cardiol 46: 2079). The irregular
rhythm alone cannot tell: with a changing block, flutter is as irregular as fibrillation.

1. Each beat is subtracted, as the mean of a group of beats in a row, and its QRS complex is left out. What
   is left are the waves of the atria, and noise.
2. Of every 6 s of them, each frequency of flutter explains a share: that of a sine and of its first harmonic
   in the least-squares sense.
3. The shares of some 20 s are averaged, frequency by frequency. In fibrillation the best frequency changes
   from moment to moment, so that no average is large. The largest is the regularity of the waves.

Only windows of beats are read. In a slow rhythm they leave gaps, which have no weight.

Waves that keep their distance from the QRS complexes are part of the mean beat, and are subtracted with it.
So flutter with a constant block is not found.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ectopy.beats.windows import BEFORE, BeatWindows, Floats
from ectopy.ecg import Mask, true_intervals
from ectopy.rhythm.finders import Spans
from ectopy.rhythm.heart_rate import Seconds
from ectopy.signal.filters import WORKING_FS
from ectopy.signal.rolling import uniform_filter1d

SLOWEST_HZ, FASTEST_HZ = 3.6, 5.9
"""Frequencies of the waves of atrial flutter, 216 and 354 per minute."""
FLUTTER_ONSET, FLUTTER_CONTINUES = 0.35, 0.2
"""Regularity that flutter must exceed at least once, and regularity above which it continues."""
POOLED = 5
"""Number of windows of waves whose shares are averaged: 22 s."""

_FS = 50  # Hz; two samples of a window of a beat are one
_PER_SAMPLE = round(WORKING_FS) // _FS
_BEFORE, _LENGTH = BEFORE // 2, 38  # samples of a window of a beat
_OFFSETS = np.arange(_LENGTH) - _BEFORE
_QRS = slice(_BEFORE - 3, _BEFORE + 5)  # 60 ms before the R peak to 100 ms after it
_GROUP = 33  # beats whose mean is subtracted
_FEWEST = 8  # of them
_STEP, _WINDOW = 4 * _FS, 6 * _FS
_LEAST_COVERED = 1 / 3  # of a window of waves
_BASELINE = _FS // 2  # samples of the running mean that is subtracted, twice
_HZ = np.arange(SLOWEST_HZ, FASTEST_HZ, 1 / 12, dtype=np.float32)
_PHASE = 2 * np.pi * np.arange(_WINDOW, dtype=np.float32)[:, None] / _FS * np.append(_HZ, 2 * _HZ)
_COSINE, _SINE = np.cos(_PHASE), np.sin(_PHASE)
_CHUNK = 60 * _GROUP  # beats whose waves are in memory at once
_TINY = np.float32(1e-9)


def find_atrial_flutter(
    fibrillation: Spans, time_s: Seconds, shapes: BeatWindows, ventricular: Mask, *, shortest_s: float
) -> tuple[Spans, Spans]:
    """Divide episodes without a regular rhythm into fibrillation and flutter.

    Parameters
    ----------
    fibrillation
        Half-open [start, stop) spans of beats, [k, 2]; see
        :func:`ectopy.rhythm.atrial_fibrillation.find_atrial_fibrillation`.
    time_s
        Times of the beats in seconds, [n].
    shapes
        Windows of the beats.
    ventricular
        True for ventricular beats, [n].
    shortest_s
        Minimum length of either rhythm in seconds, unless it is the whole episode.

    Returns
    -------
    The spans of fibrillation and of flutter. Where one follows the other, they share a beat, so that no time
    is lost.
    """
    rest: list[list[int]] = []
    flutter: list[list[int]] = []
    for start, stop in fibrillation.tolist():
        regularity = regularity_of_waves(shapes, ventricular, start, stop)
        inside = start + _flutter_within(regularity, time_s[start:stop], shortest_s)
        flutter += inside.tolist()
        edges = np.concatenate(([start], np.ravel(inside - (-1, 1)) if len(inside) else [], [stop]))
        rest += [
            [first, last] for first, last in edges.reshape(-1, 2).astype(int).tolist() if last - first > 1
        ]
    return _as_spans(rest), _as_spans(flutter)


def regularity_of_waves(shapes: BeatWindows, ventricular: Mask, start: int, stop: int) -> Floats:
    """Compute how much of the waves between beats one frequency of flutter explains.

    Parameters
    ----------
    shapes
        Windows of the n beats.
    ventricular
        True for ventricular beats, which are left out, [n].
    start, stop
        The first beat of interest, and the one after the last.

    Returns
    -------
    The share around each beat, from 0 to 1, float32 [stop - start].
    """
    tick = shapes.sample[start:stop] // _PER_SAMPLE // _STEP
    ticks = np.arange(tick[0], tick[-1] + 1)
    shares = np.zeros((shapes.signal.shape[1], len(ticks), len(_HZ)), dtype=np.float32)
    for first in range(start, stop, _CHUNK):
        part = slice(first, min(first + _CHUNK, stop))
        wanted = slice(*np.searchsorted(ticks, (tick[part.start - start], tick[part.stop - start - 1] + 1)))
        around = slice(max(start, part.start - _GROUP), min(stop, part.stop + _GROUP))
        shares[:, wanted] = _shares(shapes.take(around), ventricular[around], ticks[wanted])
    n = min(POOLED, len(ticks))
    pooled = [sliding_window_view(lead, n, axis=0).mean(axis=2).max(axis=1) for lead in shares]
    middle = np.clip(tick - tick[0] - n // 2, 0, len(ticks) - n)
    return np.asarray(np.max(pooled, axis=0)[middle])


def _flutter_within(regularity: Floats, time_s: Seconds, shortest_s: float) -> Spans:
    """Find flutter among the beats of an episode, [k, 2]; too short a rest beside it is flutter too."""
    n_onset = np.append(0, (regularity > FLUTTER_ONSET).cumsum())
    spans = true_intervals(regularity > FLUTTER_CONTINUES)
    spans = spans[n_onset[spans[:, 1]] > n_onset[spans[:, 0]]]
    inside = np.zeros(len(time_s), dtype=bool)
    for start, stop in spans.tolist():
        inside[start:stop] = True
    for value in (False, True):
        for start, stop in true_intervals(inside == value).tolist():
            last = min(stop, len(time_s) - 1)
            if time_s[last] - time_s[max(start - 1, 0)] < shortest_s:
                inside[start:stop] = not value
    return true_intervals(inside)


def _as_spans(spans: list[list[int]]) -> Spans:
    return np.array(spans, dtype=np.intp).reshape(-1, 2)


def _shares(shapes: BeatWindows, ventricular: Mask, ticks: Spans) -> Floats:
    """Compute the share of the waves around each tick that each frequency explains, [n_leads, n, n_hz]."""
    waves, weight = _waves_between_beats(shapes, ventricular)
    origin = int(shapes.sample[0]) // _PER_SAMPLE - _BEFORE
    begin = (int(ticks[0]) * _STEP) + (_STEP - _WINDOW) // 2 - origin
    length = _WINDOW + (len(ticks) - 1) * _STEP
    missing = max(-begin, 0), max(begin + length - waves.shape[1], 0)
    parts = (np.pad(lead, ((0, 0), missing)) for lead in (waves, weight))
    begin = max(begin, 0)
    windows = (
        np.ascontiguousarray(
            sliding_window_view(lead[:, begin : begin + length], _WINDOW, axis=1)[:, ::_STEP]
        )
        for lead in parts
    )
    return _explained(*windows)


def _waves_between_beats(shapes: BeatWindows, ventricular: Mask) -> tuple[Floats, Floats]:
    """Return the leads without their beats at _FS, and 1 where they are known, [n_leads, n_samples] each.

    They begin with the window of the first beat.
    """
    n_leads = shapes.signal.shape[1]
    at = shapes.sample // _PER_SAMPLE
    at = at - at[0] + _BEFORE
    until_next = np.diff(at, append=at[-1] + 2 * _LENGTH)
    known = (until_next[:, None] - _BEFORE > _OFFSETS) & ~ventricular[:, None]
    index = at[:, None] + _OFFSETS
    first = np.arange(max(len(at) // _GROUP, 1)) * _GROUP  # the last group has the rest too
    group = np.minimum(np.arange(len(at)) // _GROUP, len(first) - 1)
    waves, weight = np.zeros((2, n_leads, int(at[-1]) + _LENGTH), dtype=np.float32)
    for lead in range(n_leads):
        mv = shapes.signal[:, lead, : 2 * _LENGTH].astype(np.float32) * shapes.scale[:, lead, None]
        halved = (mv[:, ::2] + mv[:, 1::2]) / 2
        use = known & shapes.readable[:, lead, None]
        count = np.add.reduceat(use, first, axis=0, dtype=np.int16)
        mean = np.add.reduceat(np.where(use, halved, 0), first, axis=0) / np.maximum(count, 1)
        use &= (count >= _FEWEST)[group]
        use[:, _QRS] = False
        known_at = index[use]
        waves[lead, known_at] = (halved - mean[group])[use]
        weight[lead, known_at] = 1
    scale = weight.T / np.maximum(uniform_filter1d(weight.T, _BASELINE, mode="constant"), _TINY)
    for _ in range(2):
        waves -= (scale * uniform_filter1d(waves.T, _BASELINE, mode="constant")).T
    return waves, weight


def _explained(waves: Floats, weight: Floats) -> Floats:
    """Compute which share of the power of windows [n_leads, n, k] each frequency explains.

    The sine at a frequency is fitted by weighted least squares. Its harmonic is taken for orthogonal to it.
    """
    n = len(_HZ)
    total, n_known = (waves**2).sum(axis=2)[..., None], weight.sum(axis=2)[..., None]
    cosine, sine = waves @ _COSINE, waves @ _SINE
    twice = weight @ _COSINE[:, n:], weight @ _SINE[:, n:]
    along, across, both = (n_known + twice[0]) / 2, (n_known - twice[0]) / 2, twice[1] / 2
    c, s = cosine[..., :n], sine[..., :n]
    fitted = (across * c**2 - 2 * both * c * s + along * s**2) / np.maximum(along * across - both**2, 1)
    harmonic = 2 * (cosine[..., n:] ** 2 + sine[..., n:] ** 2) / np.maximum(n_known, 1)
    share = (fitted + harmonic) / (total + _TINY)
    return np.asarray(np.where(n_known > _LEAST_COVERED * _WINDOW, np.minimum(share, 1), 0), dtype=np.float32)
