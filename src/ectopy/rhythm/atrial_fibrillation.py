"""Find atrial fibrillation: irregular RR intervals, and no constant P wave before the beats.

Irregularity is the conditional entropy of RR intervals, after Lake & Moorman (2011, Am J Physiol 300: H319).
It compares how often two or three intervals in a row recur with how often a single interval recurs. It is
near 0 in a regular rhythm and in any rhythm that repeats itself (bigeminy, breathing). It is high where every
interval is independent of the others.

Differs from the paper:

* Intervals match by ratio instead of by difference.
* Sequences of three intervals are compared; this separates breathing from chance.
* Lags are short, and the window moves from beat to beat.
* Ventricular beats are removed, together with the intervals on either side of them.

Flutter with a changing block is as irregular; :mod:`ectopy.rhythm.atrial_flutter` tells it apart. Atrial
flutter with a constant block is regular and is not detected.
"""

import numpy as np
from numpy.typing import NDArray

from ectopy.beats.windows import BEFORE, N_LEADS, BeatWindows, Floats, pad_leads
from ectopy.ecg import Mask, true_intervals
from ectopy.signal.filters import WORKING_FS
from ectopy.signal.rolling import parts_in_context, uniform_filter1d

AF_CONTINUES, AF_ONSET = 0.75, 1.1
"""Irregularity above which an episode continues, and irregularity that it must exceed at least once.

These and the other limits of this module were chosen on DS1, where two patients have atrial fibrillation, and
on simulated rhythms.
"""
TOLERANCE = 0.07
"""Two intervals match if the logarithm of their ratio is smaller than this."""
LAGS, WINDOW = 12, 33
"""Number of preceding intervals to compare with, and number of intervals whose comparisons are pooled."""
REACH = 10
"""Beats that are added at either end of the irregular windows of an episode.

Regular intervals match so often that a window stops being irregular before its middle has left fibrillation.
"""
BRIDGE_S = 15.0
"""An interruption shorter than this does not end an episode, in seconds."""
CONSTANT_P, P_WEIGHT = 0.35, 3.0
"""Correlation of P waves above which more irregularity is required, and how much more per unit."""
CONSTANT_QRS, QRS_WEIGHT = 0.75, 4.0
"""Correlation of QRS complexes below which more irregularity is required, and how much more per unit."""

STRIP_S = 60.0
"""A recording of this length or less is one strip, see :func:`find_fibrillating_strip`."""
STRIP_CHANGE, STRIP_P_WEIGHT = -3.2, 3.5
"""Log of the change of RR above which a strip without any common P wave fibrillates, and how much more is
required per unit of correlation of P waves.

They are those of a logistic regression on 228 strips of the Challenge 2017 and on strips of 10, 20 and 30 s
of DS1.
"""

AFTER_T_S = 0.5
"""P waves are examined only after longer RR intervals: in shorter ones the T wave lies at their position."""

_SHORTEST_RR_S, _LONGEST_RR_S = 0.2, 3.0
_MIN_CHANGES, _MIN_STRIP_SHARE = 4, 0.5  # of RR intervals in a strip that noise and V leave
_LEAST_CHANGE = 0.005  # of log RR, a sample at 200 Hz
_MIN_PAIRS = 150  # of the 396 of a whole window
_LONGEST_WINDOW_S = 180.0
_MIN_SHARE = 1 / 4  # of the intervals or beats, for a result from the rest
_P = slice(BEFORE - 30, BEFORE - 11)  # up to 110 ms before the R peak: a wide QRS may begin later
_QRS = slice(BEFORE - 8, BEFORE + 9)
_CHUNK = 8192  # beats or intervals that are looked at at once

Seconds = NDArray[np.float64]
Spans = NDArray[np.intp]


def find_atrial_fibrillation(  # noqa: PLR0913
    time_s: Seconds, rr_s: Seconds, ventricular: Mask, early: Mask, *, af_penalty: Floats, shortest_s: float
) -> Spans:
    """Find the episodes of atrial fibrillation.

    Parameters
    ----------
    time_s
        Times of the beats in seconds, [n].
    rr_s
        RR intervals in seconds that end at each beat, NaN where unknown, [n].
    ventricular
        True for ventricular beats, [n].
    early
        True for beats labelled supraventricular ectopic, [n]. In fibrillation many of these labels are wrong.
    af_penalty
        Irregularity that the morphology subtracts, [n]; see :func:`af_penalty_from_morphology`.
    shortest_s
        Minimum length of an episode in seconds.

    Returns
    -------
    Half-open [start, stop) spans of beats, [k, 2].
    """
    evidence = _irregularity(time_s, rr_s, ventricular, early)
    evidence -= af_penalty
    spans = true_intervals(evidence > AF_CONTINUES)
    n_onset = np.append(0, (evidence > AF_ONSET).cumsum())
    spans = spans[n_onset[spans[:, 1]] > n_onset[spans[:, 0]]]
    spans = _join(np.clip(spans + np.array([-REACH, REACH]), 0, len(time_s)), time_s)
    return spans[time_s[spans[:, 1] - 1] - time_s[spans[:, 0]] >= shortest_s]


def find_fibrillating_strip(
    time_s: Seconds, rr_s: Seconds, ventricular: Mask, early: Mask, shapes: BeatWindows
) -> Spans:
    """Decide whether a whole strip is in atrial fibrillation: too few beats for the entropy of a window.

    It is if the RR intervals are irregular, the P waves differ and the QRS complexes do not. As in long
    recordings, early beats must not be the only cause.

    Parameters
    ----------
    time_s, rr_s, ventricular, early
        As for :func:`find_atrial_fibrillation`.
    shapes
        Windows of the beats.

    Returns
    -------
    Half-open [start, stop) spans of beats, [k, 2]: the strip without long intervals, or none.
    """
    none = np.empty((0, 2), dtype=np.intp)
    for ectopic, min_share in ((ventricular, _MIN_STRIP_SHARE), (ventricular | early, _MIN_SHARE)):
        change, p_wave, qrs = strip_features(rr_s, ectopic, shapes, min_share=min_share)
        if ectopic is not ventricular and np.isnan(change):
            break  # too few intervals are left
        if not (qrs > CONSTANT_QRS and np.log(change) > STRIP_CHANGE + STRIP_P_WEIGHT * p_wave):
            return none
    linked = np.append(False, np.diff(time_s) < _LONGEST_RR_S)[: len(time_s)]
    return np.asarray(true_intervals(linked) - (1, 0), dtype=np.intp)


def strip_features(rr_s: Seconds, ectopic: Mask, shapes: BeatWindows, *, min_share: float) -> Seconds:
    """Compute the features of a strip.

    Parameters
    ----------
    rr_s
        RR intervals in seconds that end at each beat, NaN where unknown, [n].
    ectopic
        True for the beats that are left out, [n].
    shapes
        Windows of the beats.
    min_share
        Share of the intervals that must be left.

    Returns
    -------
    The median change of log RR from beat to beat, and the mean correlation of neighbouring P waves and of QRS
    complexes, [3]. NaN with too few intervals.
    """
    usable = (rr_s > _SHORTEST_RR_S) & (rr_s < _LONGEST_RR_S) & ~_beside(ectopic)
    change = np.abs(np.diff(np.log(rr_s)))[usable[1:] & usable[:-1]]
    if len(change) < max(_MIN_CHANGES, min_share * len(rr_s)):
        return np.full(3, np.nan)
    use, windows = shapes.readable & ~ectopic[:, None], pad_leads(shapes.signal)
    p_wave, qrs = (_best_correlation(windows[..., part], use, min_share=_MIN_SHARE) for part in (_P, _QRS))
    return np.array([np.median(change) + _LEAST_CHANGE, p_wave.mean(), qrs.mean()])


def extend_over_runs(spans: Spans, runs: Spans, time_s: Seconds) -> Spans:
    """Extend episodes over the runs of supraventricular beats next to them.

    A run that begins or ends in fibrillation, with no sinus beat in between, is not a separate tachycardia.
    It is fibrillation or flutter that has become more regular.

    Parameters
    ----------
    spans
        Episodes of atrial fibrillation: half-open [start, stop) spans of beats in order, [k, 2].
    runs
        Runs of supraventricular beats, in the same form, [m, 2].
    time_s
        Times of the beats in seconds, [n].

    Returns
    -------
    The extended episodes, [j, 2].
    """
    if not len(spans):
        return spans
    both = np.concatenate((spans, runs))
    order = np.argsort(both[:, 0], kind="stable")
    both, is_episode = both[order], order < len(spans)
    last_stop = np.maximum.accumulate(both[:, 1])
    apart = time_s[both[1:, 0]] - time_s[last_stop[:-1] - 1] >= BRIDGE_S
    groups = np.split(np.arange(len(both)), np.flatnonzero(apart) + 1)
    joined = [(both[group[0], 0], last_stop[group[-1]]) for group in groups if is_episode[group].any()]
    return np.array(joined, dtype=np.intp).reshape(-1, 2)


def _join(spans: Spans, time_s: Seconds) -> Spans:
    """Join spans with less than BRIDGE_S between them; split them where no beat was detected for as long."""
    linked = np.zeros(len(time_s), dtype=bool)  # to the beat before, in one episode
    last_stop = 0
    for start, stop in spans.tolist():
        bridged = last_stop and time_s[start] - time_s[last_stop - 1] < BRIDGE_S
        linked[(last_stop if bridged else start + 1) : stop] = True
        last_stop = stop
    linked[1:] &= np.diff(time_s) < BRIDGE_S
    return true_intervals(linked) - (1, 0)


def _irregularity(time_s: Seconds, rr_s: Seconds, ventricular: Mask, early: Mask) -> Seconds:
    """Compute the irregularity of the rhythm around each beat, [n]; 0 where it cannot be computed.

    Early beats may be the only cause of irregularity in a regular rhythm. So it is also computed without
    them, where enough intervals remain, and the lower value counts. In fibrillation the rest is just as
    irregular.
    """
    plausible = (rr_s > _SHORTEST_RR_S) & (rr_s < _LONGEST_RR_S)  # False for NaN
    usable = plausible & ~_beside(ventricular)
    on_time = usable & ~_beside(early)
    irregularity = _entropy_around_beats(time_s, rr_s, usable)
    without_early = _entropy_around_beats(time_s, rr_s, on_time)
    for part in parts_in_context(len(time_s), WINDOW):
        left, all_of_them = (
            uniform_filter1d(mask[part.around], WINDOW, mode="constant")[part.inside]
            for mask in (on_time, usable)
        )
        of_part = irregularity[part.core]
        enough = left > _MIN_SHARE * all_of_them
        np.minimum(of_part, without_early[part.core], out=of_part, where=enough)
    return irregularity


def _beside(ectopic: Mask) -> Mask:
    """Return the intervals that begin or end with an ectopic beat."""
    return np.asarray(ectopic | np.append(False, ectopic)[:-1])


def _entropy_around_beats(time_s: Seconds, rr_s: Seconds, usable: Mask) -> Seconds:
    """Compute the entropy around each beat from the usable intervals; other beats get that of the nearest."""
    used, around = np.flatnonzero(usable), np.zeros(len(time_s))
    if len(used) <= LAGS:
        return around
    entropy = conditional_entropy(rr_s[used])
    for part in parts_in_context(len(used), 0):
        entropy[part.core][_window_s(time_s, used, part.core) >= _LONGEST_WINDOW_S] = 0
    for part in parts_in_context(len(time_s), 0):
        of_part = time_s[part.core]
        first, stop = np.searchsorted(used, (part.core.start, part.core.stop)).tolist()
        first = max(first - 1, 0)  # of the intervals among which the nearest are
        some = used[first : stop + 1]
        nearest = first + np.searchsorted(
            (some[1:] + some[:-1]) // 2, np.arange(*part.core.indices(len(time_s)))
        )
        near = np.abs(time_s[used[nearest]] - of_part) < BRIDGE_S
        around[part.core] = np.where(near, entropy[nearest], 0)
    return around


def _window_s(time_s: Seconds, used: NDArray[np.intp], part: slice) -> Seconds:
    """Return how long the windows of intervals around some of those that are used are, in seconds."""
    reach, index = (WINDOW + LAGS) // 2, np.arange(part.start, part.stop)
    last, first = np.minimum(index + reach, len(used) - 1), np.maximum(index - reach, 0)
    return np.asarray(time_s[used[last]] - time_s[used[first]])


def conditional_entropy(rr_s: Seconds) -> Seconds:
    """Compute the conditional entropy of RR intervals in seconds around each of them, [n].

    It is half the logarithm of a ratio: how often one interval recurs, divided by how often three in a row
    recur. Matches are counted among the LAGS intervals before each interval and pooled over WINDOW intervals.
    """
    entropy = np.empty(len(rr_s))
    for part in parts_in_context(len(rr_s), 2 * WINDOW, size=_CHUNK):
        entropy[part.core] = _entropy_in_chunk(rr_s[part.around])[part.inside]
    return entropy


def _entropy_in_chunk(rr_s: Seconds) -> Seconds:
    n, log_rr = len(rr_s), np.log(rr_s)
    single, triple, single_pairs, triple_pairs = np.zeros((4, n))
    for lag in range(1, min(LAGS, n - 3) + 1):
        match = np.abs(log_rr[lag:] - log_rr[:-lag]) < TOLERANCE
        single[lag:] += match
        triple[lag + 2 :] += match[2:] & match[1:-1] & match[:-2]
        single_pairs[lag:] += 1
        triple_pairs[lag + 2 :] += 1
    singles, triples, n_singles, n_triples = map(_pool, (single, triple, single_pairs, triple_pairs))
    # A constant is added to each count, so that no count is 0.
    entropy = 0.5 * np.log((singles + 1) / (n_singles + 1) * (n_triples + 1) / (triples + 0.25))
    return np.asarray(np.where(n_triples >= _MIN_PAIRS, entropy, 0))


def _pool(counts: Seconds) -> Seconds:
    """Sum counts over a window; a pair counts at its middle, half of LAGS before its later interval."""
    pooled = uniform_filter1d(np.pad(counts, WINDOW), WINDOW, mode="constant") * WINDOW
    middle = WINDOW + LAGS // 2
    return np.asarray(pooled[middle : middle + len(counts)].round())


def af_penalty_from_morphology(shapes: BeatWindows, ventricular: Mask) -> Floats:
    """Compute how much the morphology around each beat speaks against atrial fibrillation.

    Constant P waves before the beats speak against it. So do QRS complexes that do not resemble each other:
    these beats are probably noise. The lead with the highest correlation counts for each of the two.

    Parameters
    ----------
    shapes
        Windows of the n beats.
    ventricular
        True for ventricular beats, which are left out, [n].

    Returns
    -------
    The penalty in units of irregularity, float32 [n]. Without a usable P wave its P-wave part is 0. Without a
    usable QRS complex its QRS part is the greatest possible.
    """
    penalty = np.zeros(len(shapes), dtype=np.float32)
    after_t = np.diff(shapes.sample, prepend=-np.inf) / WORKING_FS > AFTER_T_S
    for start in range(0, len(shapes), _CHUNK):
        first, stop = max(start - WINDOW, 0), min(start + _CHUNK, len(shapes))
        part = slice(first, stop + WINDOW)
        around = shapes.take(part)
        use, windows = around.readable & ~ventricular[part, None], pad_leads(around.signal)
        p_wave = _best_correlation(windows[..., _P], use & after_t[part, None], min_share=_MIN_SHARE)
        qrs = _best_correlation(windows[..., _QRS], use, min_share=1 / WINDOW)
        against = P_WEIGHT * np.maximum(p_wave - CONSTANT_P, 0)
        against += QRS_WEIGHT * np.maximum(CONSTANT_QRS - qrs, 0)
        penalty[start:stop] = against[start - first : stop - first]
    return penalty


def _best_correlation(windows: NDArray[np.float16], use: Mask, *, min_share: float) -> Floats:
    """Compute the mean correlation of neighbours [n, N_LEADS, k] with each other's sum, in the better lead.

    Where less than ``min_share`` of the neighbours is usable, it is reduced in proportion.
    """
    leads = [
        _correlation(windows[:, lead].astype(np.float32), use[:, lead], min_share=min_share)
        for lead in range(N_LEADS)
    ]
    return np.asarray(np.max(leads, axis=0))


def _correlation(windows: Floats, use: Mask, *, min_share: float) -> Floats:
    level = windows - windows.mean(axis=1, keepdims=True)
    slope = np.linspace(-1, 1, windows.shape[1], dtype=np.float32)
    slope /= np.linalg.norm(slope)
    waves = np.where(use[:, None], level - (level @ slope)[:, None] * slope, np.float32(0))
    others = uniform_filter1d(waves, WINDOW, mode="constant") * WINDOW - waves
    size = np.linalg.norm(waves, axis=1) * np.linalg.norm(others, axis=1)
    correlation = np.where(use, (waves * others).sum(axis=1) / (size + np.float32(1e-6)), np.float32(0))
    share = uniform_filter1d(use.astype(np.float32), WINDOW, mode="constant")
    return np.asarray(uniform_filter1d(correlation, WINDOW, mode="constant") / np.maximum(share, min_share))
