"""Beats of a running signal: the detector of a stream, on drawn and simulated recordings."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ectopy.ec57 import match_beats
from ectopy.ecg import recording_of
from ectopy.live.candidates import LATENCY, Candidate, CandidateFinder
from ectopy.live.examples import detect, to_recording
from ectopy.live.front_end import LIVE_FS, FrontEnd
from ectopy.live.selection import LAG_S, LEARNING_S, BeatSelector
from tests.drawn_ecg import drawn
from tests.small import simulated


def beats_s(lead, fs=360.0):
    recording = recording_of(lead, fs)
    found = detect(recording, range(len(recording.leads)))
    return to_recording(found.beats, recording, found.delay_s) / fs


def regular(rr_s, seconds):
    return (np.arange(0.5, seconds - 1, rr_s)).tolist()


@pytest.mark.parametrize("fs", [100.0, 125.0, 250.0, 360.0, 1000.0])
def test_r_peaks_are_found_to_ten_milliseconds(fs):
    peaks = regular(0.8, 40)
    np.testing.assert_allclose(beats_s(drawn(peaks, 40, fs=fs), fs), peaks, atol=0.012)


@pytest.mark.parametrize("rr_s", [0.3, 0.45, 1.0, 1.8])
def test_slow_and_fast_rhythms_keep_all_their_beats(rr_s):
    peaks = regular(rr_s, 60)
    assert len(beats_s(drawn(peaks, 60))) == len(peaks)


def test_gain_and_polarity_do_not_matter():
    lead = drawn(regular(0.8, 40), 40)
    found = beats_s(lead)
    np.testing.assert_allclose(beats_s(-30 * lead), found, atol=0.03)


def test_a_standstill_has_no_beat():
    peaks = [peak for peak in regular(0.8, 60) if not 30 < peak < 42]
    assert len(beats_s(drawn(peaks, 60))) == len(peaks)


def test_beats_that_become_small_are_found_again():
    lead = drawn(regular(0.8, 120), 120)
    lead[60 * 360 :] *= 0.15
    found = beats_s(lead)
    late = [peak for peak in regular(0.8, 120) if peak > 70]
    assert len(
        match_beats(
            np.round(np.array(late) * 360).astype(int), np.round(found * 360).astype(int), tolerance=54
        ).test
    ) >= 0.95 * len(late)


def test_an_electrode_that_comes_off_leaves_the_other_lead():
    peaks = regular(0.8, 60)
    both = np.hstack([drawn(peaks, 60)] * 2)
    both[20 * 360 : 40 * 360, 0] = 0.3
    assert len(beats_s(both)) == len(peaks)


def test_simulated_patients_lose_hardly_a_beat():
    patient = simulated()
    recording = patient.recording
    found = detect(recording, (0, 1))
    sample = to_recording(found.beats, recording, found.delay_s)
    reference = patient.annotations.sample[patient.annotations.symbol != "+"]
    matched = match_beats(reference, sample, tolerance=round(0.15 * recording.fs))
    assert len(matched.reference) >= 0.99 * len(reference)
    assert len(matched.test) >= 0.99 * len(sample)


def settled(recording, sizes):
    """Push a recording in chunks; return the settled beats, and the clock at which each was settled."""
    front_end, finder, selector = FrontEnd(recording.fs, 2), CandidateFinder(2), BeatSelector(2)
    beats, start, clock = [], 0, 0
    for size in sizes:
        signal, usable = front_end.push(recording.read(start, min(start + size, recording.n_samples)))
        start += size
        clock += len(signal)
        beats += [(beat.sample, clock) for beat in selector.push(finder.push(signal, usable), clock)]
    return beats, selector


def test_chunks_do_not_change_what_is_settled():
    recording = simulated().recording
    n = recording.n_samples
    whole, _ = settled(recording, [n])
    rng = np.random.default_rng(0)
    some, _ = settled(recording, rng.integers(0, 500, n // 200).tolist())
    assert [sample for sample, _ in some] == [sample for sample, _ in whole][: len(some)]
    assert len(some) > 0.9 * len(whole)


def test_a_beat_is_settled_two_seconds_after_its_r_peak():
    recording = simulated().recording
    beats, selector = settled(recording, [36] * (recording.n_samples // 36))
    late_s = [(clock - sample) / LIVE_FS for sample, clock in beats if clock > (LEARNING_S + 1) * LIVE_FS]
    assert max(late_s) < LAG_S + 0.15
    assert all(earlier[0] < later[0] for earlier, later in pairwise(beats))
    assert all(beat.sample > beats[-1][0] for beat in selector.pending)


@pytest.mark.parametrize("seed", range(4))
def test_noise_leaves_no_candidate_undecided_for_more_than_two_seconds(seed):
    # A sequence through a candidate that was no beat when it was due may become the most likely one.
    rng, selector, clock = np.random.default_rng(seed), BeatSelector(1), 0
    for _ in range(600):
        clock += int(rng.integers(20, 70))
        size = float(np.exp(rng.normal(scale=0.7)))
        list(selector.push([Candidate(clock, clock, (size,))], clock + LATENCY))
        if clock > LEARNING_S * LIVE_FS and selector.pending:
            assert selector.pending[0].sample + LAG_S * LIVE_FS > clock + LATENCY


def test_two_candidates_of_each_beat_may_have_one_r_peak():
    # So it is in a flutter, whose waves have an energy peak on either side: vfdb 611.
    selector, beats = BeatSelector(1), []
    for peak in range(100, 40 * LIVE_FS, 54):
        twins = [Candidate(peak, peak + offset, (1.0,)) for offset in (-7, 14)]
        beats += selector.push(twins, peak + 14 + LATENCY)
    assert {later.sample - earlier.sample for earlier, later in pairwise(beats)} == {54}


def test_a_candidate_is_known_a_fifth_of_a_second_after_it():
    lead = drawn([2.0, 3.0, 4.0, 5.0], 8, fs=LIVE_FS).reshape(-1, 1).astype(np.float32)
    finder = CandidateFinder(1)
    known = {}
    for clock, sample in enumerate(lead):
        for one in finder.push(sample[None], np.ones((1, 1), dtype=bool)):
            known[one.peak] = clock + 1 - one.peak
    assert set(known.values()) == {LATENCY}
    assert pytest.approx(0.208) == LATENCY / LIVE_FS


def test_a_lead_that_cannot_be_used_gives_no_candidate():
    lead = drawn(regular(0.8, 10), 10, fs=LIVE_FS).reshape(-1, 1).astype(np.float32)
    assert CandidateFinder(1).push(lead, np.zeros(lead.shape, dtype=bool)) == []


def test_scores_stay_small_for_ever():
    # They count from the last final beat, so those of a second day are as large and as exact as of the first.
    rng, selector, largest, n_beats = np.random.default_rng(0), BeatSelector(2), [], 0
    clock = 0
    for number in range(4000):
        clock += int(rng.integers(90, 110)) if number % 2 else 35  # beats, and T waves after them
        size = float(np.exp((number % 2 == 0) * 1.5 + rng.normal(scale=0.1)))
        n_beats += len(list(selector.push([Candidate(clock, clock, (size, size))], clock + LATENCY)))
        largest.append(max((abs(node.score) for node in selector._nodes), default=0.0))
    assert n_beats > 1800
    assert max(largest[2000:]) == pytest.approx(max(largest[:2000]), rel=0.2)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_pending_beats_are_the_most_likely_sequence(seed):
    """The sequence that is kept is the one that a search over all undecided candidates would find."""
    rng, selector, clock = np.random.default_rng(seed), BeatSelector(1), 0
    for _ in range(120):
        clock += int(rng.integers(16, 120))
        size = float(np.exp(rng.normal(scale=1)))
        list(selector.push([Candidate(clock, clock, (size,))], clock + LATENCY))
        best = max(selector._nodes, key=lambda node: node.score, default=None)
        sequence = []
        node = best if best is not None and best.score > 0 else None
        while node is not None and node is not selector._root:
            sequence.append(node.candidate)
            node = node.before
        assert selector.pending == sequence[::-1]
