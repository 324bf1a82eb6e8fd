"""Rhythm features: what the signal and its beats are like around each tick of 2 s."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ectopy.beats.detection import Waves
from ectopy.beats.windows import N_LEADS, QRS, BeatWindows, Floats
from ectopy.ecg import CLASSES, BeatClass, Beats
from ectopy.features.columns import stack_columns
from ectopy.features.extraction import segments
from ectopy.signal.filters import WORKING_FS
from ectopy.signal.rolling import medians
from ectopy.signal.waves import TICK_S, WAVES, leads_by_regularity

AROUND_S = 2.0
"""The beats of a tick are those within this time of its middle, in seconds."""
FAR_S = 10.0
"""A beat that is further away counts as this far away, in seconds."""
_TICKS_AT_ONCE = 1800
_RR_S = (0.2, 3.0)
_TINY = np.float32(1e-6)
_N_VALUES = 7  # that are averaged over beats

OF_BEATS: Mapping[str, str] = MappingProxyType(
    {
        "beats": "number of beats within 2 s, over 5",
        "p(v)": "their mean probability of VEB",
        "p(s)": "their mean probability of SVEB",
        "rr": "their mean log of RR in seconds",
        "spread of rr": "the standard deviation of their log of RR",
        "likeness to the beat before": "mean correlation of the QRS complexes with those of the beats before",
        "likeness to the usual beat": "mean correlation of the QRS complexes with the median of half an hour",
        "nearest beat": "time to the nearest beat in seconds, at most 10",
        "low confidence": "share of the beats that are not confident",
    }
)
"""Name and meaning of each feature of the beats around a tick; 0 where there is no beat."""
RHYTHM_FEATURES: Mapping[str, str] = MappingProxyType(
    {
        **{
            f"{lead} lead: {name}": meaning
            for lead in ("more regular", "other")
            for name, meaning in WAVES.items()
        },
        **OF_BEATS,
        "usable": "share of the tick in which a lead is usable",
    }
)
"""Name and meaning of each rhythm feature, in the order of the columns.

The more regular lead is the one with the larger autocorrelation. A single lead is both.
"""
FROM_BEATS = slice(N_LEADS * len(WAVES), N_LEADS * len(WAVES) + len(OF_BEATS))
"""The columns of the features of beats."""


def iter_rhythm_features(waves: Waves, beats: Beats, windows: BeatWindows) -> Iterator[Floats]:
    """Compute the rhythm features an hour at a time, as they are requested.

    Parameters
    ----------
    waves
        The waves of n ticks.
    beats
        Classified beats in order of time.
    windows
        Their windows.

    Yields
    ------
    float32 [n_i, len(RHYTHM_FEATURES)].
    """
    time_s = np.asarray(windows.sample / WORKING_FS, dtype=np.float64)
    likeness = _likeness(windows)
    begin, sums = 0, np.zeros((1, _N_VALUES))
    for first in range(0, len(waves.usable), _TICKS_AT_ONCE):
        part = slice(first, first + _TICKS_AT_ONCE)
        leads = _more_regular_first(waves.of_leads[part].astype(np.float32))
        middle_s = tick_middles_s(len(leads), first)
        near = slice(*np.searchsorted(time_s, (middle_s[0] - AROUND_S, middle_s[-1] + AROUND_S)).tolist())
        values = _values_of_beats(beats, time_s, likeness, near)
        # The sums go on from those of the hour before, so that they are rounded in the same way.
        sums = np.cumsum(np.concatenate((sums[near.start - begin, None], values)), axis=0)
        begin = near.start
        usable = waves.usable[part, None].astype(np.float32)
        around = _around(middle_s, time_s, sums, begin)
        yield np.concatenate((leads, around, usable), axis=1, dtype=np.float32)


def tick_middles_s(n: int, first: int = 0) -> NDArray[np.float64]:
    """Compute the middles of some ticks in seconds.

    Parameters
    ----------
    n
        Number of ticks.
    first
        Number of the first one.

    Returns
    -------
    [n].
    """
    return np.asarray(TICK_S * (np.arange(first, first + n) + 0.5), dtype=np.float64)


def _more_regular_first(leads: Floats) -> Floats:
    """Put the lead with the larger autocorrelation first, [n, N_LEADS * len(WAVES)]."""
    chosen = leads_by_regularity(leads)[:, [0, -1]]
    return np.take_along_axis(leads, chosen[:, :, None], axis=1).reshape(len(leads), -1)


def _values_of_beats(
    beats: Beats, time_s: NDArray[np.float64], likeness: Floats, part: slice
) -> NDArray[np.float64]:
    """Return what is averaged over some beats, [n, _N_VALUES].

    It is P(V), P(S), log of RR, its square, low confidence, and the two columns of ``likeness``.
    """
    rr_s = np.diff(time_s[part], prepend=time_s[max(part.start - 1, 0) :][:1])
    if not part.start:
        rr_s[:1] = 1.0
    log_rr = np.log(np.clip(rr_s, *_RR_S))
    probability = [beats.probability[part, CLASSES.index(label)] for label in (BeatClass.VEB, BeatClass.SVEB)]
    columns = [*probability, log_rr, log_rr**2, ~beats.confident[part], *likeness[part].T]
    return np.stack(columns, axis=1, dtype=np.float64)


def _likeness(windows: BeatWindows) -> Floats:
    """Correlate each QRS complex with that of the beat before and with the usual one, [n, 2]."""
    likeness = np.ones((len(windows), 2), dtype=np.float32)
    for segment in segments(windows.sample) if len(windows) else ():
        part = windows.take(segment)
        qrs = part.signal[:, :, QRS].astype(np.float32) * part.scale[:, : part.signal.shape[1], None]
        qrs = (qrs - qrs.mean(axis=2, keepdims=True)).reshape(len(part), -1)
        usual = medians(qrs.T)
        qrs /= np.linalg.norm(qrs, axis=1, keepdims=True) + _TINY
        likeness[segment][1:, 0] = np.einsum("ij,ij->i", qrs[1:], qrs[:-1])
        likeness[segment][:, 1] = qrs @ (usual / (np.linalg.norm(usual) + _TINY))
    return likeness


def _around(
    middle_s: NDArray[np.float64], time_s: NDArray[np.float64], sums: NDArray[np.float64], begin: int
) -> Floats:
    """Compute the features of the beats around some ticks.

    ``sums`` are the cumulative sums of the values of the beats, the first of them before beat ``begin``.
    """
    first, stop = np.searchsorted(time_s, (middle_s - AROUND_S, middle_s + AROUND_S)) - begin
    number = stop - first
    mean = (sums[stop] - sums[first]) / np.maximum(number, 1)[:, None]
    p_v, p_s, log_rr, square, uncertain, before, usual = mean.T
    nearest_s = np.full(len(middle_s), FAR_S)
    if len(time_s):
        after = np.searchsorted(time_s, middle_s)
        for beat in (np.minimum(after, len(time_s) - 1), np.maximum(after - 1, 0)):
            nearest_s = np.minimum(nearest_s, np.abs(time_s[beat] - middle_s))
    return stack_columns(
        {
            "beats": number / 5,
            "p(v)": p_v,
            "p(s)": p_s,
            "rr": log_rr,
            "spread of rr": np.sqrt(np.maximum(square - log_rr**2, 0)),
            "likeness to the beat before": before,
            "likeness to the usual beat": usual,
            "nearest beat": nearest_s,
            "low confidence": uncertain,
        },
        OF_BEATS,
    )
