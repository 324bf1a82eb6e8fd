import numpy as np
import pytest

from ectopy.ecg import (
    VALUES_AT_ONCE,
    Analysis,
    Beats,
    Recording,
    UnreadableError,
    distinct,
    merge_intervals,
    no_beats,
    recording_of,
    true_intervals,
)


def beats(sample, label="N"):
    n = len(sample)
    return Beats(np.array(sample), np.full(n, label), np.zeros((n, 4), np.float32), np.ones(n, bool), 250.0)


def test_an_rr_interval_ends_at_its_beat_and_the_first_beat_has_none():
    np.testing.assert_allclose(beats([250, 500, 1000]).rr_s, [np.nan, 1.0, 2.0])


def test_times_are_seconds_from_the_start_of_the_recording():
    assert beats([250, 500]).time_s.tolist() == [1.0, 2.0]


def test_beats_out_of_order_are_refused():
    with pytest.raises(ValueError, match="increasing order"):
        beats([500, 250])


def test_two_beats_at_one_sample_are_refused():
    with pytest.raises(ValueError, match="increasing order"):
        beats([250, 250])


def test_columns_of_different_lengths_are_refused_with_their_lengths():
    with pytest.raises(ValueError, match="1 beats, 1 labels, 1 flags, probabilities of shape \\(0, 4\\)"):
        Beats(np.array([1]), np.array(["N"]), np.zeros((0, 4), np.float32), np.ones(1, bool), 250.0)


def test_a_recording_without_beats_has_empty_columns():
    assert (len(no_beats(250.0)), no_beats(250.0).rr_s.tolist()) == (0, [])


def test_an_array_of_one_lead_becomes_a_recording():
    recording = recording_of(np.arange(10.0), 250)
    assert recording.leads == ("lead 1",)
    assert recording.read(2, 4).tolist() == [[2.0], [3.0]]
    assert recording.duration_s == 0.04


def test_leads_that_do_not_fit_the_array_are_refused():
    with pytest.raises(UnreadableError, match=r"3 lead names for an array of shape \(10, 2\)\. Give"):
        recording_of(np.zeros((10, 2)), 250, leads=("I", "II", "III"))


@pytest.mark.parametrize(
    "fs", [0.0, -1.0, 1, 2, 10.0, 49.9, 50_001, 1e6, float("nan"), float("inf"), True, "250", None]
)
def test_an_impossible_rate_is_refused(fs):
    with pytest.raises(UnreadableError, match=r"the sampling rate is .* Hz\. Give one from 50 to 50000 Hz"):
        recording_of(np.zeros(10), fs)


def test_a_recording_without_leads_is_refused():
    with pytest.raises(UnreadableError, match=r"x: no lead\. Name at least one"):
        Recording("x", 250.0, (), 10, lambda start, stop: np.zeros((stop - start, 0), np.float32))


def counted(n_leads: int, n_samples: int, requests: list[int]) -> Recording:
    """Make a recording whose samples are their own number; it notes how many values each request takes."""

    def read(start: int, stop: int):
        requests.append((stop - start) * n_leads)
        return np.repeat(np.arange(start, stop, dtype=np.float32)[:, None], n_leads, axis=1)

    return Recording("many", 50_000.0, tuple(map(str, range(n_leads))), n_samples, read)


def test_two_of_very_many_leads_are_read_in_parts():
    requests: list[int] = []
    signal = counted(2048, 10_000, requests).read_leads((5, 3), 100, 9_000)
    assert max(requests) <= VALUES_AT_ONCE < sum(requests)
    np.testing.assert_array_equal(signal, np.repeat(np.arange(100.0, 9_000)[:, None], 2, axis=1))


def test_an_empty_interval_of_some_leads_has_their_number():
    assert counted(12, 100, []).read_leads((5, 3), 7, 7).shape == (0, 2)


def test_unreadable_stretches_are_taken_from_the_analysable_time():
    unreadable = np.array([[0, 250], [500, 1000]])
    recording, none = recording_of(np.zeros(2500), 250.0, leads=("I",)), no_beats(250.0)
    analysis = Analysis(recording, (0,), none, none.rr_s, np.empty(0, dtype=bool), (), unreadable)
    assert (analysis.duration_s, analysis.analysable_s) == (10.0, 7.0)


class TestJoined:
    def of(self, *spans: tuple[int, int]) -> list[list[int]]:
        return [[int(a), int(b)] for a, b in merge_intervals(np.array(spans, dtype=np.int64).reshape(-1, 2))]

    def test_spans_that_overlap_touch_or_lie_within_each_other_are_one(self) -> None:
        assert self.of((5, 9), (0, 3), (3, 4), (8, 12), (6, 7)) == [[0, 4], [5, 12]]

    def test_nothing_stays_nothing_and_an_empty_span_is_none(self) -> None:
        assert self.of() == []
        assert self.of((3, 3)) == []

    def test_it_is_the_union_of_masks(self) -> None:
        rng = np.random.default_rng(0)
        spans = np.sort(rng.integers(0, 200, (30, 2)), axis=1)
        mask = np.zeros(200, dtype=bool)
        for start, stop in spans.tolist():
            mask[start:stop] = True
        np.testing.assert_array_equal(merge_intervals(spans), true_intervals(mask))


@pytest.mark.parametrize("values", [[], [0], [3, 3, 3], [-2, -2, 0, 1, 1, 7], [-0.5, 0.0, 0.25, 0.25]])
def test_distinct_values_of_a_sorted_array_are_those_of_numpy(values):
    seconds = np.array(values, dtype=np.float64)
    samples = seconds.astype(np.int64)
    np.testing.assert_array_equal(distinct(seconds), np.unique(seconds))
    np.testing.assert_array_equal(distinct(samples), np.unique(samples))
