"""Call supraventricular ectopic only what comes as early as the reader asks for.

A supraventricular ectopic beat is premature by definition, but readers differ in how premature it must be.
The classifier needs no limit. Where a study sets one, S that come less early are called N.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ectopy.ecg import BeatClass, Beats
from ectopy.rhythm.finders import is_consecutive, supraventricular
from ectopy.rhythm.heart_rate import Seconds
from ectopy.rhythm.limits import RATE_INTERVALS
from ectopy.rhythm.tachycardia import exchange_classes


def keep_premature_sveb(beats: Beats, rr_s: Seconds, least_pct: float) -> Beats:
    """Return the beats, with S called N that are less premature than a limit.

    The probabilities of N and S change places where a label changes. A beat whose RR interval is unknown, or
    that has no normal interval before it, stays.

    Parameters
    ----------
    beats
        Classified beats in order of time, [n].
    rr_s
        RR intervals in seconds that end at each beat, NaN where unknown, [n].
    least_pct
        Prematurity that an S must have, in percent; 0 for no limit.

    Returns
    -------
    Beats with new labels and probabilities.
    """
    if not least_pct:
        return beats
    late = supraventricular(beats) & (prematurity_pct(beats, rr_s) < least_pct)
    return exchange_classes(beats, late, BeatClass.NORMAL, BeatClass.SVEB)


def prematurity_pct(beats: Beats, rr_s: Seconds) -> Seconds:
    """Compute by how much each beat comes early, in percent of the usual RR interval before it.

    The usual interval is the median of the last RATE_INTERVALS intervals between two normal beats. So all
    beats of a run are compared with the rhythm before the run.

    Parameters
    ----------
    beats
        Classified beats in order of time, [n].
    rr_s
        RR intervals in seconds that end at each beat, NaN where unknown, [n].

    Returns
    -------
    Percent, [n]; NaN where the interval or the usual one is unknown, negative for a late beat.
    """
    normal = beats.label == BeatClass.NORMAL
    usual = np.flatnonzero(normal & np.append(False, normal)[: len(beats)] & is_consecutive(rr_s))
    medians = np.array([np.nan])
    if len(usual):
        intervals = np.pad(rr_s[usual], (RATE_INTERVALS - 1, 0), constant_values=np.nan)
        medians = np.append(np.nan, np.nanmedian(sliding_window_view(intervals, RATE_INTERVALS), axis=1))
    before = np.searchsorted(usual, np.arange(len(beats)))  # number of normal intervals before each beat
    return np.asarray(100 * (1 - rr_s / medians[before]))
