"""Counts of ectopic beats by the length of their runs."""

import numpy as np

from ectopy.rhythm.finders import EctopyCounts, count_groups, runs


def test_runs_are_counted_by_their_length() -> None:
    # Two singles, three couplets, two triplets, and runs of 4 and 5: four runs of 15 beats.
    lengths = [1, 2, 3, 1, 2, 4, 3, 2, 5]
    mask = np.concatenate([[True] * length + [False] for length in lengths])
    spans = runs(mask, np.full(len(mask), 0.8))
    assert np.diff(spans)[:, 0].tolist() == lengths
    assert count_groups(spans) == EctopyCounts(singles=2, couplets=3, triplets=2, runs=4, run_beats=15)


def test_without_beats_there_are_no_runs() -> None:
    spans = runs(np.zeros(0, dtype=bool), np.zeros(0))
    assert spans.shape == (0, 2)
    assert count_groups(spans) == EctopyCounts(0, 0, 0, 0, 0)


def test_a_pause_or_a_missing_interval_cuts_a_run() -> None:
    # 2 s are no pause yet.
    rr_s = np.array([0.8, 2.0, 2.01, 0.8, np.nan, 0.8])
    assert runs(np.ones(6, dtype=bool), rr_s).tolist() == [[0, 2], [2, 4], [4, 6]]
