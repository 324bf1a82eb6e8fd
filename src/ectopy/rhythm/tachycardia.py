"""Tell sinus tachycardia from supraventricular tachycardia by how it begins and ends.

A sinus rate rises and falls over tens of seconds. A paroxysmal tachycardia begins and ends within a few beats
(Brugada et al. 2020, Eur Heart J 41:655). The network sees a fast beat among fast beats and cannot
always tell the two apart. So this module looks for sudden steps of the rate:

* a fast and regular episode between a step up and a step down is a paroxysm, and its N become S;
* a run of S without a step at its beginning and its end is sinus tachycardia, and its S become N.

A tachycardia whose QRS complex differs from that of the beats before it is ventricular until the contrary is
proven (same guidelines, wide QRS tachycardia): its S become V.

An episode that follows an irregular rhythm is no paroxysm: in flutter, regular conduction comes and goes.
"""

from dataclasses import replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ectopy.beats.windows import LARGEST_SHIFT, QRS, BeatWindows
from ectopy.ecg import CLASSES, BeatClass, Beats, Mask
from ectopy.rhythm.finders import is_consecutive, long_runs, supraventricular, ventricular
from ectopy.rhythm.heart_rate import Seconds
from ectopy.signal.rolling import maximum_filter1d, median_filter, medians, parts_in_context

STEP_BEATS = 5
"""A step compares the median of so many RR intervals with that of so many before."""
SUDDEN = 0.2
"""Step of the log of RR at which a paroxysm begins and ends."""
GRADUAL = 0.12
"""Steps of the log of RR below this are no sudden change."""
FAST_S = 0.6
"""RR of a tachycardia is shorter than this, in seconds."""
STEADY = 0.05
"""Median change of the log of RR from beat to beat in a regular rhythm."""
_DRIFT = 0.35  # change of the log of RR from the beginning to the end of a paroxysm
_SHORTEST_PAROXYSM = 6  # beats
UNLIKE = 0.75
"""A QRS complex that correlates less than this with the usual one is of another origin or conduction.

Of 0.75 and 0.85, the second turns true runs of S into V (out of fold in DS1 and svdb).
"""
_USUAL_BEATS, _USUAL_WITHIN = 24, 64  # normal beats that show the usual QRS, within so many before a run
_MOSTLY = 0.5  # share of normal beats there; a few N in an idioventricular rhythm are no measure (record 207)
_FEWEST = 3  # readable beats whose median is a QRS complex
_BEATS_BEFORE = 16  # beats before a paroxysm that show whether the rhythm was regular


def settle_tachycardia(beats: Beats, rr_s: Seconds) -> Beats:
    """Return the beats with the labels of sinus and supraventricular tachycardia settled.

    The probabilities of N and S change places where a label changes.

    Parameters
    ----------
    beats
        Classified beats in order of time, [n].
    rr_s
        RR intervals in seconds that end at each beat, NaN where unknown, [n].

    Returns
    -------
    Beats with new labels and probabilities.
    """
    return exchange_classes(beats, _is_unsettled(beats, rr_s), BeatClass.NORMAL, BeatClass.SVEB)


def _is_unsettled(beats: Beats, rr_s: Seconds) -> Mask:
    """Return which beats are N in a paroxysm or S in sinus tachycardia, [n]."""
    conducted = ~ventricular(beats)
    index = np.flatnonzero(is_consecutive(rr_s) & conducted & np.append(False, conducted)[:-1])
    if len(index) < 2 * STEP_BEATS:
        return np.zeros(len(beats), dtype=bool)
    log_rr = np.log(rr_s[index])
    step = _steps(log_rr)
    paroxysmal, sudden = np.zeros((2, len(beats)), dtype=bool)
    for start, stop in _paroxysms(log_rr, step, normal=beats.label[index] == BeatClass.NORMAL):
        fast = log_rr[start:stop] < np.median(log_rr[start:stop]) + SUDDEN  # a late beat is no part of it
        paroxysmal[index[start:stop][fast]] = True
    sudden[index] = np.abs(step) > GRADUAL
    sinus = np.zeros(len(beats), dtype=bool)
    for start, stop in long_runs(supraventricular(beats) & ~paroxysmal, rr_s).tolist():
        near = _beats_near(start, len(beats)), _beats_near(stop, len(beats))
        steps = any(sudden[some].any() for some in near)
        sinus[start:stop] = not (steps or _is_beside_a_pause(rr_s, start, stop))
    return np.asarray((paroxysmal & (beats.label == BeatClass.NORMAL)) | sinus)


def name_wide_runs(beats: Beats, rr_s: Seconds, windows: BeatWindows) -> Beats:
    """Return the beats with fast runs of S called V if their QRS is unlike that of the normal beats before.

    The probabilities of S and V change places where a label changes.

    Parameters
    ----------
    beats
        Beats in order of time, [n].
    rr_s
        As for :func:`settle_tachycardia`.
    windows
        The windows of the same beats.

    Returns
    -------
    Beats with new labels and probabilities.
    """
    normal, wide = beats.label == BeatClass.NORMAL, np.zeros(len(beats), dtype=bool)
    for start, stop in long_runs(supraventricular(beats), rr_s).tolist():
        first = max(start - _USUAL_WITHIN, 0)
        usual = first + np.flatnonzero(normal[first:start])[-_USUAL_BEATS:]
        fast = np.median(rr_s[start + 1 : stop]) <= FAST_S
        mostly_normal = start > first and normal[first:start].mean() > _MOSTLY
        if fast and mostly_normal and len(usual) >= STEP_BEATS:
            run = np.arange(start, min(stop, start + _USUAL_WITHIN))
            wide[start:stop] = _qrs_correlation(windows.take(run), windows.take(usual)) < UNLIKE
    return exchange_classes(beats, wide, BeatClass.SVEB, BeatClass.VEB)


def _qrs_correlation(run: BeatWindows, usual: BeatWindows) -> float:
    """Compute the correlation of the median QRS of two groups of beats, as a mean over the readable leads."""
    correlations = []
    for lead in range(run.signal.shape[1]):
        groups = [beats.take(beats.readable[:, lead]) for beats in (run, usual)]
        if min(map(len, groups)) >= _FEWEST:
            one, other = (medians((beats.signal[:, lead] * beats.scale[:, lead, None]).T) for beats in groups)
            shifted = sliding_window_view(
                other[QRS.start - LARGEST_SHIFT : QRS.stop + LARGEST_SHIFT], len(one[QRS])
            )
            correlations.append(float(np.corrcoef(one[QRS], shifted)[0, 1:].max()))
    return float(np.mean(correlations)) if correlations else 1.0


def _beats_near(edge: int, n_beats: int) -> slice:
    """Return the beats on either side of the edge of a run, at which its rate may change suddenly."""
    return slice(max(edge - STEP_BEATS, 0), min(edge + STEP_BEATS, n_beats))


def _is_beside_a_pause(rr_s: Seconds, start: int, stop: int) -> bool:
    """Check whether one long RR precedes or follows a run, as in sick sinus syndrome: no median shows it."""
    longer = np.float64(np.exp(GRADUAL))
    before = start > 0 and rr_s[start - 1] > longer * rr_s[start]
    return bool(before or (stop < len(rr_s) and rr_s[stop] > longer * rr_s[stop - 1]))


def _steps(log_rr: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute by how much the rate rises at each beat: the log of RR before minus that from here on."""
    padded, step = np.pad(log_rr, (STEP_BEATS, STEP_BEATS - 1), mode="edge"), np.empty(len(log_rr))
    for part in parts_in_context(len(log_rr), 0):
        compared = slice(part.core.start, part.core.stop + 2 * STEP_BEATS - 1)
        median = median_filter(padded[compared], STEP_BEATS)[STEP_BEATS // 2 : -(STEP_BEATS // 2)]
        step[part.core] = median[:-STEP_BEATS] - median[STEP_BEATS:]
    return step


def _paroxysms(
    log_rr: NDArray[np.float64], step: NDArray[np.float64], *, normal: Mask
) -> list[tuple[int, int]]:
    """Find the episodes [start, stop) between two sudden steps that are fast, regular and begin suddenly."""
    is_cut = np.empty(len(step), dtype=bool)
    for part in parts_in_context(len(step), STEP_BEATS):
        size = np.abs(step[part.around])
        largest = maximum_filter1d(size, 2 * STEP_BEATS + 1)
        is_cut[part.core] = ((size > SUDDEN) & (size == largest))[part.inside]
    cut = np.flatnonzero(is_cut)
    rises = step[cut] > 0
    cut = _sharpest(log_rr, cut, np.where(rises, 1, -1))
    start, stop = cut, np.append(cut[1:], len(log_rr))
    falls_next = ~np.append(rises[1:], False)  # the end of the recording ends it too
    chosen = rises & falls_next & (stop - start >= _SHORTEST_PAROXYSM)
    return [
        episode
        for episode in zip(start[chosen].tolist(), stop[chosen].tolist(), strict=True)
        if _is_fast_and_steady(log_rr[slice(*episode)]) and _is_faster_than_before(log_rr, episode, normal)
    ]


def _sharpest(log_rr: NDArray[np.float64], cut: NDArray[np.intp], sign: NDArray[np.int_]) -> NDArray[np.intp]:
    """Move each cut to the beat with the largest change of RR nearby; medians are equal over a few beats."""
    change = -np.diff(log_rr, prepend=log_rr[:1])
    nearby = np.clip(cut[:, None] + np.arange(-2, 3), 0, len(log_rr) - 1)
    sharpest = (change[nearby] * sign[:, None]).argmax(axis=1)
    return np.asarray(nearby[np.arange(len(cut)), sharpest])


def _is_fast_and_steady(log_rr: NDArray[np.float64]) -> bool:
    first, last = medians(log_rr[:STEP_BEATS]), medians(log_rr[-STEP_BEATS:])
    return bool(
        medians(log_rr) < np.log(FAST_S)
        and medians(np.abs(np.diff(log_rr))) < STEADY
        and abs(last - first) < _DRIFT
    )


def _is_faster_than_before(log_rr: NDArray[np.float64], episode: tuple[int, int], normal: Mask) -> bool:
    """Check that most normal beats before an episode had about the same RR, and a longer one.

    Where few beats before it are normal, nothing speaks against a paroxysm.
    """
    start, stop = episode
    before = slice(max(start - _BEATS_BEFORE, 0), start)
    rr = log_rr[before][normal[before]]
    if len(rr) < STEP_BEATS:
        return True
    usual = np.median(rr)
    regular = np.mean(np.abs(rr - usual) < 3 * STEADY) > 0.6
    return bool(regular and usual - np.median(log_rr[start:stop]) > SUDDEN)


def exchange_classes(beats: Beats, changed: Mask, one: BeatClass, other: BeatClass) -> Beats:
    """Return the beats, with two classes exchanged in the labels and probabilities of some.

    Parameters
    ----------
    beats
        Classified beats, [n].
    changed
        [n], which beats change. All of them have one of the two classes.
    one, other
        The classes.

    Returns
    -------
    Beats with new labels and probabilities.
    """
    rows = np.flatnonzero(changed)
    if not len(rows):
        return beats
    columns = [CLASSES.index(one), CLASSES.index(other)]
    label, probability = beats.label.copy(), beats.probability.copy()
    probability[rows[:, None], columns] = beats.probability[rows[:, None], columns[::-1]]
    label[rows] = np.where(label[rows] == one, other, one)
    return replace(beats, label=label, probability=probability)
