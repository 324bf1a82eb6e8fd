"""Supraventricular tachycardia in a stream: it begins within a few beats, is regular, and its beats are S.

This is :mod:`ectopy.rhythm.tachycardia` without a look into the future. A sinus rate rises over tens of
seconds; a paroxysm begins suddenly (Brugada et al. 2020, Eur Heart J 41:655). The network sees a fast beat
among fast beats, and calls it normal after some beats. So this rule remembers how the episode began.
"""

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

import numpy as np
from numpy.typing import NDArray

from ectopy.ecg import CLASSES, BeatClass
from ectopy.rhythm.tachycardia import FAST_S, STEADY, SUDDEN

_BEATS = 5  # regular fast beats that make an episode
_BEFORE = 16  # normal beats before it that show the usual RR
_FEWEST, _REGULAR, _SAME = 5, 0.6, 3 * STEADY  # so many, and so large a share of them, have the same RR
_END = 0.15  # step of the log of RR that ends an episode
_RUN = 8  # beats of an episode whose median is its RR


@dataclass(frozen=True)
class Paroxysm:
    """What is known of the rate after some beats, logs of RR in seconds; never changed."""

    usual: tuple[float, ...] = ()
    """Of the last normal beats."""
    latest: tuple[float, ...] = ()
    """Of the last beats in a row that are not ventricular, nor just after one."""
    active: bool = False
    """Whether an episode goes on."""
    after_ventricular: bool = False

    def after(self, label: str, log_rr: float | None) -> "Paroxysm":
        """Return what is known after a beat.

        Parameters
        ----------
        label
            The class that the network gives it.
        log_rr
            The log of the RR interval that ends at it; None where it is unknown.

        Returns
        -------
        What is known now.
        """
        if log_rr is None:
            return Paroxysm(self.usual)
        if label == BeatClass.VEB or self.after_ventricular:
            return replace(self, after_ventricular=label == BeatClass.VEB)
        if self.active:
            if log_rr > median(self.latest) + _END:
                return Paroxysm(self.usual)
            return replace(self, latest=(*self.latest, log_rr)[-_RUN:])
        usual = (*self.usual, log_rr)[-_BEFORE - _BEATS :] if label == BeatClass.NORMAL else self.usual
        latest = (*self.latest, log_rr)[-_BEATS:]
        return Paroxysm(usual, latest, _begins(latest, usual))


def settle_paroxysm(probability: NDArray[np.float32], active: bool) -> NDArray[np.float32]:  # noqa: FBT001
    """Return the probabilities of a beat, in which N and S change places if it is a normal one of an episode.

    Parameters
    ----------
    probability
        [4], in the order of CLASSES.
    active
        Whether an episode goes on at the beat.

    Returns
    -------
    [4], the probabilities.
    """
    if not active or CLASSES[int(probability.argmax())] != BeatClass.NORMAL:
        return probability
    settled = probability.copy()
    settled[_COLUMNS] = probability[_COLUMNS[::-1]]
    return settled


_COLUMNS = [CLASSES.index(BeatClass.NORMAL), CLASSES.index(BeatClass.SVEB)]


def _begins(latest: tuple[float, ...], usual: tuple[float, ...]) -> bool:
    """Check whether the latest beats are a regular tachycardia far faster than the beats before."""
    before = usual[:-_BEATS] if len(usual) > _BEFORE else usual
    if len(latest) < _BEATS or len(before) < _FEWEST or max(latest) >= math.log(FAST_S):
        return False
    steps = [abs(later - earlier) for earlier, later in pairwise(latest)]
    middle = median(before)
    regular = sum(abs(one - middle) < _SAME for one in before) > _REGULAR * len(before)
    return regular and median(steps) < STEADY and middle - median(latest) > SUDDEN
