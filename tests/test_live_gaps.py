"""Gaps of a stream: lost signal, samples that the clock shows to be missing, and clocks that are set."""

import numpy as np
import pytest

from ectopy.ecg import NotAnalysableError
from ectopy.live.stream import LONGEST_GAP_S, Stream
from tests.drawn_ecg import drawn
from tests.live import live_model

MODEL = live_model()
FS = 250.0
SIGNAL = drawn(np.arange(0.5, 39, 0.8).tolist(), 40, fs=FS)


def gaps(updates):
    return [
        (one.reason, round(one.time_s, 1), round(one.duration_s, 1)) for one in updates if one.kind == "gap"
    ]


def beats(updates):
    return [one.time_s for one in updates if one.kind == "beat"]


def stream():
    return Stream(FS, ["II"], model=MODEL)


def test_lost_signal_is_told_when_it_is_lost_and_when_it_is_back():
    signal = SIGNAL.copy()
    signal[15 * 250 : 21 * 250] = np.nan
    running, lost_at, back_at = stream(), None, None
    for start in range(0, len(signal), 25):
        for one in running.push(signal[start : start + 25]):
            if one.kind == "gap":
                lost_at, back_at = (one.at_s, None) if one.reason == "lost" else (lost_at, one.at_s)
                assert one.reason == ("lost" if one.at_s < 20 else "back")
    assert lost_at == pytest.approx(15.25, abs=0.15)  # 0.1 s may be bridged
    assert back_at == pytest.approx(21.1, abs=0.15)


def test_an_electrode_that_falls_off_leaves_a_flat_lead():
    signal = SIGNAL.copy()
    signal[15 * 250 : 21 * 250] = 0.3
    assert gaps(stream().push(signal)) == [("lost", 16.0, 0.0), ("back", 21.0, 5.0)]


def test_one_lead_of_two_is_enough():
    both = np.repeat(SIGNAL, 2, axis=1)
    both[15 * 250 : 21 * 250, 0] = np.nan
    assert gaps(Stream(FS, ["II", "V1"], model=MODEL).push(both)) == []


def test_a_jump_forward_is_lost_signal():
    running = stream()
    first = running.push(SIGNAL[: 15 * 250], time_s=1000.0)
    second = running.push(SIGNAL[21 * 250 :], time_s=1021.0)
    assert gaps(first) == []
    assert gaps(second) == [("lost", 15.1, 0.0), ("back", 21.0, 5.9)]
    assert running.n_samples == len(SIGNAL)
    signal = SIGNAL.copy()
    signal[15 * 250 : 21 * 250] = np.nan
    missing = stream()
    told = missing.push(signal)
    assert beats([*first, *second, *running.finish()]) == beats([*told, *missing.finish()])


@pytest.mark.parametrize("fs", [250.0, 360.0])
@pytest.mark.parametrize("gap_s", [301.0, 7200.0])
def test_a_long_gap_costs_no_time_and_shifts_all_that_follows(fs, gap_s):
    signal = drawn(np.arange(0.5, 24, 0.8).tolist(), 25, fs=fs)
    running, whole = Stream(fs, ["II"], model=MODEL), Stream(fs, ["II"], model=MODEL)
    told = [*running.push(signal, time_s=0.0), *running.push(signal, time_s=25.0 + gap_s), *running.finish()]
    missing = np.full((round(300 * fs), 1), np.nan, dtype=np.float32)
    expected = [*whole.push(np.concatenate((signal, missing, signal))), *whole.finish()]
    shift = gap_s - 300
    assert beats(told) == pytest.approx([at if at < 30 else at + shift for at in beats(expected)], abs=0.005)
    (lost, back) = [one for one in told if one.kind == "gap"]
    assert lost.time_s == pytest.approx(25.1, abs=0.05)
    assert back.duration_s == pytest.approx(gap_s - 0.1, abs=0.05)
    assert running.n_samples >= round((50 + gap_s) * fs)


def test_jitter_and_drift_are_no_gap():
    running, rng, told = stream(), np.random.default_rng(0), []
    for start in range(0, len(SIGNAL), 50):
        time_s = 1.02 * start / FS + rng.uniform(-0.03, 0.03)
        told += running.push(SIGNAL[start : start + 50], time_s=time_s)
    assert gaps(told) == []
    assert running.n_samples == len(SIGNAL)


@pytest.mark.parametrize("jump_s", [-0.5, -3600.0, LONGEST_GAP_S + 1, 2e9])
def test_a_clock_that_was_set_is_told_and_the_samples_go_on(jump_s):
    running = stream()
    first = running.push(SIGNAL[:5000], time_s=1e6)
    second = running.push(SIGNAL[5000:], time_s=1e6 + 20 + jump_s)
    assert gaps(second) == [("clock", 20.0, round(jump_s, 1))]
    plain = stream()
    told = [*plain.push(SIGNAL), *plain.finish()]
    assert beats([*first, *second, *running.finish()]) == beats(told)


def test_after_a_jump_the_new_clock_counts():
    running = stream()
    running.push(SIGNAL[:5000], time_s=100.0)
    assert gaps(running.push(SIGNAL[5000:6000], time_s=10.0)) == [("clock", 20.0, -110.0)]
    assert gaps(running.push(SIGNAL[6000:7000], time_s=14.0)) == []


def test_a_push_of_nothing_tells_of_a_gap():
    running = stream()
    running.push(SIGNAL[:5000], time_s=0.0)
    assert [one[0] for one in gaps(running.push(SIGNAL[:0], time_s=30.0))] == ["lost"]
    assert running.n_samples == 7500


def test_a_fill_value_is_missing():
    """One sample of 1e30 would fill the recursive filters for good."""
    signal = SIGNAL.copy()
    signal[5000] = 1e30
    running = stream()
    assert len(beats([*running.push(signal), *running.finish()])) == 49


@pytest.mark.parametrize(
    ("fs", "leads", "problem"),
    [
        (50.0, ["II"], "sampling rate is 50.0 Hz"),
        (20_000.0, ["II"], "from 100 to 10000 Hz"),
        ("250", ["II"], "sampling rate"),
        (250.0, [], "one or two leads"),
        (250.0, ["I", "II", "V1"], "one or two leads"),
        (250.0, ["II", "II"], "one or two leads"),
        (250.0, 2, "one or two leads"),
    ],
)
def test_what_cannot_be_streamed_is_refused(fs, leads, problem):
    with pytest.raises(NotAnalysableError, match=problem):
        Stream(fs, leads, model=MODEL)


@pytest.mark.parametrize("samples", [np.zeros((5, 2)), np.zeros((5, 1, 1)), np.array([["a"]]), [["0.1"]]])
def test_samples_of_another_shape_are_refused(samples):
    with pytest.raises(NotAnalysableError, match="a column for each of II"):
        stream().push(samples)


@pytest.mark.parametrize("time_s", [np.nan, np.inf, "now"])
def test_a_time_is_a_number(time_s):
    with pytest.raises(NotAnalysableError, match="time of the first sample"):
        stream().push(SIGNAL[:10], time_s=time_s)


def test_one_lead_may_come_without_a_column_and_by_its_name():
    flat = Stream(FS, "II", model=MODEL)
    assert flat.leads == ("II",)
    assert beats(flat.push(SIGNAL[:, 0])) == beats(stream().push(SIGNAL))
