"""Atrial fibrillation: RR intervals that follow no pattern, and no P wave that comes back before each beat.

Irregularity is the conditional entropy of RR intervals, after Lake & Moorman (2011, Am J Physiol 300: H319):
how much less often two or three intervals in a row come again than one alone does. It is near 0 in a regular
rhythm and in any that repeats itself (bigeminy, breathing), and high where every interval is drawn anew.
Differs from the paper: intervals match by ratio instead of by difference; three intervals in a row are looked
for, which tells breathing from chance; lags are short and the window slides from beat to beat; ventricular
beats are taken out together with the intervals on either side of them.

Flutter with a constant block is regular and not found; with a changing block it is called fibrillation.
"""

import numpy as np
from numpy.typing import NDArray

from ectopy.beats.windows import BEFORE, N_LEADS, BeatWindows, Floats, pad_leads
from ectopy.ecg import Mask, true_intervals
from ectopy.signal.filters import WORKING_FS
from ectopy.signal.rolling import uniform_filter1d

AF_CONTINUES, AF_ONSET = 0.75, 1.1
"""Irregularity that goes on being fibrillation, and that must be reached at least once in an episode.

Chosen, as the other figures here, on DS1, where two patients fibrillate, and on made rhythms.
"""
TOLERANCE = 0.07
"""Intervals whose ratio is nearer to 1 than this are alike."""
LAGS, WINDOW = 12, 33
"""Intervals before each that it is compared with, and intervals whose comparisons are pooled."""
REACH = 10
"""Beats by which an episode is longer at either end than the middles of its irregular windows.

A window ceases to be irregular before its middle has left fibrillation: regular intervals are so much alike.
"""
BRIDGE_S = 15.0
"""A shorter interruption does not end an episode."""
CONSTANT_P, P_WEIGHT = 0.35, 3.0
"""Likeness of P waves from which on a rhythm must be more irregular to count, and by how much a unit."""
CONSTANT_QRS, QRS_WEIGHT = 0.75, 4.0
"""Likeness of QRS complexes below which a rhythm must be more irregular to count, and by how much a unit."""

AFTER_T_S = 0.5
"""P waves are looked for after longer intervals alone: in shorter ones a T wave lies in their place."""

_SHORTEST_RR_S, _LONGEST_RR_S = 0.2, 3.0
_ENOUGH_PAIRS = 150  # of the 396 of a whole window
_LONGEST_WINDOW_S = 180.0
_ENOUGH_LEFT = 1 / 4  # of the intervals, for a verdict without early beats
_P = slice(BEFORE - 30, BEFORE - 11)  # up to 110 ms before the R peak: a wide QRS may begin later
_QRS = slice(BEFORE - 8, BEFORE + 9)
_CHUNK = 8192  # beats whose shapes are in memory at once

Seconds = NDArray[np.float64]
Spans = NDArray[np.intp]


def find_atrial_fibrillation(  # noqa: PLR0913
    time_s: Seconds, rr_s: Seconds, ventricular: Mask, early: Mask, *, af_penalty: Floats, shortest_s: float
) -> Spans:
    """Find episodes of atrial fibrillation, half-open spans of beats, [k, 2].

    ``rr_s`` is NaN where an interval was not seen; ``early`` are supraventricular beats, of which in
    fibrillation many are none; ``doubt`` is that of :func:`doubt_from_shapes`.
    """
    evidence = irregularity(time_s, rr_s, ventricular, early) - af_penalty
    spans = true_intervals(evidence > AF_CONTINUES)
    sure = np.append(0, (evidence > AF_ONSET).cumsum())
    spans = spans[sure[spans[:, 1]] > sure[spans[:, 0]]]
    spans = _join(np.clip(spans + np.array([-REACH, REACH]), 0, len(time_s)), time_s)
    return spans[time_s[spans[:, 1] - 1] - time_s[spans[:, 0]] >= shortest_s]


def extend_over_runs(spans: Spans, runs: Spans, time_s: Seconds) -> Spans:
    """Let episodes reach over the runs of early beats next to them, [k, 2] each, both half-open and in order.

    What goes over into fibrillation, or comes out of it, without a beat of the sinus node in time is not
    another tachycardia but fibrillation or flutter that has become more regular.
    """
    if not len(spans):
        return spans
    both = np.concatenate((spans, runs))
    order = np.argsort(both[:, 0], kind="stable")
    both, fibrillating = both[order], order < len(spans)
    reached = np.maximum.accumulate(both[:, 1])
    apart = time_s[both[1:, 0]] - time_s[reached[:-1] - 1] >= BRIDGE_S
    groups = np.split(np.arange(len(both)), np.flatnonzero(apart) + 1)
    joined = [(both[group[0], 0], reached[group[-1]]) for group in groups if fibrillating[group].any()]
    return np.array(joined, dtype=np.intp).reshape(-1, 2)


def _join(spans: Spans, time_s: Seconds) -> Spans:
    """Join spans with less than BRIDGE_S between them, and part them where no beat was seen for as long."""
    linked = np.zeros(len(time_s), dtype=bool)  # to the beat before, in one episode
    reached = 0
    for start, stop in spans.tolist():
        bridged = reached and time_s[start] - time_s[reached - 1] < BRIDGE_S
        linked[(reached if bridged else start + 1) : stop] = True
        reached = stop
    linked[1:] &= np.diff(time_s) < BRIDGE_S
    return true_intervals(linked) - (1, 0)


def irregularity(time_s: Seconds, rr_s: Seconds, ventricular: Mask, early: Mask) -> Seconds:
    """Give the irregularity of the rhythm about each beat, 0 where it cannot be told.

    Early beats may be what makes a regular rhythm irregular. So they too are taken out where enough is left,
    and the lower figure counts: in fibrillation the rest is as irregular.
    """
    seen = (rr_s > _SHORTEST_RR_S) & (rr_s < _LONGEST_RR_S)  # False for NaN
    usable = seen & ~_beside(ventricular)
    on_time = usable & ~_beside(early)
    every, without = (_about_each_beat(time_s, rr_s, mask) for mask in (usable, on_time))
    share = [uniform_filter1d(mask.astype(float), WINDOW, mode="constant") for mask in (on_time, usable)]
    return np.where(share[0] > _ENOUGH_LEFT * share[1], np.minimum(every, without), every)


def _beside(ectopic: Mask) -> Mask:
    """Intervals that begin or end with an ectopic beat."""
    return np.asarray(ectopic | np.append(False, ectopic)[:-1])


def _about_each_beat(time_s: Seconds, rr_s: Seconds, usable: Mask) -> Seconds:
    """Give the entropy of the usable intervals about each beat; to others that of the nearest of them."""
    kept = np.flatnonzero(usable)
    if len(kept) <= LAGS:
        return np.zeros(len(time_s))
    reach = (WINDOW + LAGS) // 2
    ends = np.clip(np.arange(len(kept)) + np.array([[-reach], [reach]]), 0, len(kept) - 1)
    first_s, last_s = time_s[kept[ends]]
    found = np.where(last_s - first_s < _LONGEST_WINDOW_S, conditional_entropy(rr_s[kept]), 0)
    nearest = np.searchsorted((kept[1:] + kept[:-1]) / 2, np.arange(len(time_s)))
    near = np.abs(time_s[kept[nearest]] - time_s) < BRIDGE_S
    return np.where(near, found[nearest], 0)


def conditional_entropy(rr_s: Seconds) -> Seconds:
    """Give half the logarithm of how much rarer three intervals in a row come again than one, about each.

    Matches are counted among the LAGS intervals before each one and pooled over WINDOW of them.
    """
    n, log_rr = len(rr_s), np.log(rr_s)
    one, three, pairs_of_one, pairs_of_three = np.zeros((4, n))
    for lag in range(1, min(LAGS, n - 3) + 1):
        match = np.abs(log_rr[lag:] - log_rr[:-lag]) < TOLERANCE
        one[lag:] += match
        three[lag + 2 :] += match[2:] & match[1:-1] & match[:-2]
        pairs_of_one[lag:] += 1
        pairs_of_three[lag + 2 :] += 1
    singles, triples, n_singles, n_triples = map(_pool, (one, three, pairs_of_one, pairs_of_three))
    # Something is added to each count, so that none is 0.
    entropy = 0.5 * np.log((singles + 1) / (n_singles + 1) * (n_triples + 1) / (triples + 0.25))
    return np.asarray(np.where(n_triples >= _ENOUGH_PAIRS, entropy, 0))


def _pool(counts: Seconds) -> Seconds:
    """Sum over a window; a pair counts in its middle, half of LAGS before its later interval."""
    pooled = uniform_filter1d(np.pad(counts, WINDOW), WINDOW, mode="constant") * WINDOW
    middle = WINDOW + LAGS // 2
    return np.asarray(pooled[middle : middle + len(counts)].round())


def af_penalty_from_morphology(shapes: BeatWindows, ventricular: Mask) -> Floats:
    """Say how much about each beat speaks against fibrillation, in units of irregularity, [n].

    P waves that come back before each beat, or QRS complexes that do not look like each other: then it is
    likely noise that was taken for beats. Each in the lead where likeness is greatest; nothing can be told
    where no lead can be read or all beats are ventricular.
    """
    doubt = np.zeros(len(shapes), dtype=np.float32)
    after_t = np.diff(shapes.sample, prepend=-np.inf) / WORKING_FS > AFTER_T_S
    for start in range(0, len(shapes), _CHUNK):
        first, stop = max(start - WINDOW, 0), min(start + _CHUNK, len(shapes))
        part = slice(first, stop + WINDOW)
        use = shapes.readable[part] & ~ventricular[part, None]
        windows = pad_leads(shapes.signal[part])
        p_wave = _likeness(windows[..., _P], use & after_t[part, None], enough=_ENOUGH_LEFT)
        qrs = _likeness(windows[..., _QRS], use, enough=1 / WINDOW)
        against = P_WEIGHT * np.maximum(p_wave - CONSTANT_P, 0)
        against += QRS_WEIGHT * np.maximum(CONSTANT_QRS - qrs, 0)
        doubt[start:stop] = against[start - first : stop - first]
    return doubt


def _likeness(windows: NDArray[np.float16], use: Mask, *, enough: float) -> Floats:
    """Give the mean correlation of neighbours [n, N_SLOTS, k] with each other's sum, in the better lead.

    Where less than the share ``enough`` of them is of use, it is as much nearer to 0.
    """
    leads = [
        _likeness_in(windows[:, lead].astype(np.float32), use[:, lead], enough=enough)
        for lead in range(N_LEADS)
    ]
    return np.asarray(np.max(leads, axis=0))


def _likeness_in(windows: Floats, use: Mask, *, enough: float) -> Floats:
    level = windows - windows.mean(axis=1, keepdims=True)
    slope = np.linspace(-1, 1, windows.shape[1], dtype=np.float32)
    slope /= np.linalg.norm(slope)
    waves = np.where(use[:, None], level - (level @ slope)[:, None] * slope, np.float32(0))
    others = uniform_filter1d(waves, WINDOW, mode="constant") * WINDOW - waves
    size = np.linalg.norm(waves, axis=1) * np.linalg.norm(others, axis=1)
    alike = np.where(use, (waves * others).sum(axis=1) / (size + np.float32(1e-6)), np.float32(0))
    share = uniform_filter1d(use.astype(np.float32), WINDOW, mode="constant")
    return np.asarray(uniform_filter1d(alike, WINDOW, mode="constant") / np.maximum(share, enough))
