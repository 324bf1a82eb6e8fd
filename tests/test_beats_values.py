"""Numbers of the beat detection: levels, intervals, certain beats and the filters behind the candidates."""

import numpy as np
import pytest

from ectopy.beats import beat_selection, qrs_candidates, signal_to_noise
from ectopy.beats.lead_selection import choose_leads
from ectopy.beats.qrs_candidates import Candidates
from ectopy.ecg import recording_of, sample_segments


def candidates(sample: list[int], strength: list[list[float]]) -> Candidates:
    height = np.array(strength, dtype=np.float32)
    return Candidates(np.array(sample, dtype=np.int64), height, height, height / 10)


class TestLevels:
    @pytest.mark.parametrize(("n_high", "followed"), [(8, False), (9, True)])
    def test_the_level_of_beats_follows_the_majority_of_17(self, n_high: int, *, followed: bool) -> None:
        # Nine are more than half of 17, eight are not.
        values = np.zeros(60)
        values[20 : 20 + n_high] = 1.0
        medians = beat_selection._running_median(values, np.ones(60, dtype=bool))
        assert (medians.max() == 1.0) == followed

    def test_candidates_before_the_first_beat_have_its_level(self) -> None:
        # The two candidates before the first beat are three times as high as any beat, and do not count.
        values = np.concatenate(([6.0, 6.0], np.full(30, 1.0), np.full(30, 2.0)))
        where = np.arange(62) >= 2
        medians = beat_selection._running_median(values, where)
        assert medians[:3].tolist() == [1.0, 1.0, 1.0]
        assert medians[-1] == 2.0

    @pytest.mark.parametrize(("n_high", "followed"), [(3, False), (4, True)])
    def test_the_first_level_ignores_six_seconds_of_noise_and_follows_eight(
        self, n_high: int, *, followed: bool
    ) -> None:
        # One candidate in every two seconds: the median of seven ignores three of them.
        amplitude = np.zeros(40)
        amplitude[20 : 20 + n_high] = 1.0
        level = beat_selection._first_level(amplitude, np.arange(40) * 2.0 + 0.5)
        assert (level.max() == 1.0) == followed

    def test_a_lead_that_is_off_for_a_while_counts_elsewhere(self) -> None:
        # The first lead is the same everywhere, so the second alone separates beats from the rest. It is
        # off during the first 8 of 40 seconds.
        sample = np.arange(100) * 80
        beat = np.arange(100) % 2 == 0
        second = np.where(beat, 1.0, 0.1)
        second[:20] = np.nan
        strength = np.stack([np.ones(100), second], axis=1)
        selected = beat_selection.select_beats(candidates(sample.tolist(), strength.tolist()))
        assert selected[selected >= 20].tolist() == list(range(20, 100, 2))

    def test_one_beat_has_no_interval_and_so_the_first_estimate(self) -> None:
        usual_s = beat_selection._usual_rr(np.array([1.0, 2.0, 3.0]), np.array([False, True, False]))
        assert usual_s.tolist() == [0.6, 0.6, 0.6]

    def test_two_beats_have_their_interval(self) -> None:
        usual_s = beat_selection._usual_rr(np.array([1.0, 1.5, 2.0]), np.array([True, False, True]))
        assert usual_s.tolist() == [1.0, 1.0, 1.0]

    def test_a_lead_is_off_where_another_has_beats_and_it_has_none(self) -> None:
        # exp(-1.5) is a quarter of the height of a beat. Both leads are low from 8 s on: a pause, not a lead.
        time_s = np.arange(12) + 0.5
        relative = np.zeros((12, 2))
        relative[3:, 1] = -1.6
        relative[8:, 0] = -1.6
        off = beat_selection._lead_off(relative, time_s)
        # The seconds on either side count, too.
        assert np.flatnonzero(off[:, 1]).tolist() == [4, 5, 6, 7, 8]
        assert not off[:, 0].any()


class TestCertainBeats:
    def test_the_strongest_neighbour_after_a_beat_counts_and_not_the_last(self) -> None:
        # Two penalties of 4 and the neighbour of 11, 0.1 s later: 18 is less than 19.
        time_s = np.array([1.0, 1.1, 1.2])
        assert not beat_selection._certain_beats(time_s, np.array([18.0, 11.0, 1.0]))[0]
        assert beat_selection._certain_beats(time_s, np.array([18.0, 9.0, 1.0]))[0]

    def test_the_strongest_neighbour_before_a_beat_counts_and_not_the_first(self) -> None:
        time_s = np.array([1.0, 1.1, 1.2])
        assert not beat_selection._certain_beats(time_s, np.array([1.0, 11.0, 18.0]))[2]
        assert beat_selection._certain_beats(time_s, np.array([1.0, 9.0, 18.0]))[2]


class TestQrsBand:
    def test_a_wave_of_15_hz_has_its_amplitude_as_energy(self) -> None:
        time_s = np.arange(2000) / 200
        wave = (0.5 * np.sin(2 * np.pi * 15 * time_s)).astype(np.float32)[:, None]
        energy = qrs_candidates._qrs_energy(wave)[200:-200]
        # The wavelet is scaled to keep the amplitude of its own frequency.
        np.testing.assert_allclose(energy, 0.5, rtol=0.02)

    def test_a_constant_has_no_energy(self) -> None:
        energy = qrs_candidates._qrs_energy(np.full((2000, 1), 5.0, dtype=np.float32))[200:-200]
        assert np.abs(energy).max() < 1e-4

    def test_frequencies_away_from_15_hz_are_attenuated_by_the_normal_curve(self) -> None:
        # One standard deviation of 6 Hz: exp(-1/2).
        time_s = np.arange(2000) / 200
        for hz in (9.0, 21.0):
            wave = np.sin(2 * np.pi * hz * time_s).astype(np.float32)[:, None]
            energy = qrs_candidates._qrs_energy(wave)[200:-200]
            assert energy.mean() == pytest.approx(np.exp(-0.5), rel=0.05)


class TestSimilarity:
    def test_the_last_of_eight_beats_is_compared_with_the_first(self) -> None:
        # The first beat resembles the last two only, and the second most similar counts.
        windows = np.random.default_rng(0).normal(size=(8, 76)).astype(np.float32)
        windows[6:] = windows[0]
        similarity = signal_to_noise._similarity(windows, np.ones(8), np.arange(8))
        # Fisher's z of the greatest correlation that counts.
        assert similarity[[0, 6, 7]] == pytest.approx(np.arctanh(0.999), rel=1e-3)
        assert similarity[1:6].max() < 1.0

    def test_beats_of_half_the_size_are_less_similar(self) -> None:
        # 2 / (2 + 1/2) = 0.8.
        windows = np.repeat(np.random.default_rng(0).normal(size=(1, 76)), 8, axis=0).astype(np.float32)
        scale = np.ones(8)
        scale[4] = 0.5
        similarity = signal_to_noise._similarity(windows, scale, np.arange(8))
        assert similarity[4] == pytest.approx(np.arctanh(0.8), rel=1e-3)
        assert similarity[3] == pytest.approx(np.arctanh(0.999), rel=1e-3)

    @pytest.mark.parametrize("by", [-2, 2])
    def test_r_peaks_may_be_20_ms_apart_in_either_direction(self, by: int) -> None:
        # One beat is moved by two samples of 10 ms: it resembles the others as they do each other.
        wave = np.random.default_rng(0).normal(size=90)
        windows = np.stack([wave[7 : 7 + 76]] * 9).astype(np.float32)
        windows[0] = wave[7 + by : 7 + by + 76]
        similarity = signal_to_noise._similarity(windows, np.ones(9), np.arange(9))
        assert similarity[0] == pytest.approx(np.arctanh(0.999), rel=1e-3)

    @pytest.mark.parametrize("by", [-3, 3])
    def test_30_ms_are_too_many(self, by: int) -> None:
        wave = np.random.default_rng(0).normal(size=90)
        windows = np.stack([wave[7 : 7 + 76]] * 9).astype(np.float32)
        windows[0] = wave[7 + by : 7 + by + 76]
        similarity = signal_to_noise._similarity(windows, np.ones(9), np.arange(9))
        assert similarity[0] < 1.0

    def test_seven_beats_are_too_few_to_resemble_each_other_and_eight_are_not(self) -> None:
        windows = np.repeat(np.random.default_rng(0).normal(size=(1, 76)), 8, axis=0).astype(np.float32)
        few, enough = (
            signal_to_noise._similarity(windows[:n], np.ones(n), np.arange(n)).tolist() for n in (7, 8)
        )
        assert few == [1.0] * 7
        assert enough == pytest.approx([np.arctanh(0.999)] * 8, rel=1e-3)


def test_of_two_leads_with_the_name_that_is_wanted_the_first_is_analysed() -> None:
    assert choose_leads(("V1", "II", "II"), ("II",)) == (1,)


def test_segments_of_ten_seconds_are_read_at_eight_places() -> None:
    # 80 s of an hour are enough to find a lead that is off.
    recording = recording_of(np.arange(360_000, dtype=np.float32)[:, None] / 64, 100.0)
    segments = list(sample_segments(recording))
    assert [len(segment) for segment in segments] == [1000] * 8
    # From the first sample to the last: steps of (360000 - 1000) / 7 samples.
    assert [int(segment[0, 0] * 64) for segment in segments] == [round(k * 359_000 / 7) for k in range(8)]
