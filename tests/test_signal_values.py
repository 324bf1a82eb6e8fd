"""Filters, resampling and simulated noise against formulas of their own, to the digit."""

import numpy as np
import pytest
import scipy.signal

from ectopy.ecg import recording_of
from ectopy.signal import filters, noise
from ectopy.signal.time_grid import TimeGrid


def test_the_band_pass_filter_is_that_of_firwin() -> None:
    # 4 s of taps at 200 Hz, 0.5 to 40 Hz, without response to a constant.
    taps = scipy.signal.firwin(801, (0.5, 40), pass_zero=False, fs=200)
    impulse = np.zeros((2001, 1), dtype=np.float32)
    impulse[1000] = 1
    response = filters.bandpass(impulse)[:, 0]
    np.testing.assert_allclose(response[600:1401], taps - taps.mean(), atol=2e-7)
    assert np.abs(response[:600]).max() < 2e-7  # it reaches 2 s, not further
    assert np.abs(response[1401:]).max() < 2e-7


def test_its_gain_is_1_in_the_middle_of_the_band() -> None:
    time_s = np.arange(4000) / 200
    tone = np.sin(2 * np.pi * 20.25 * time_s)[:, None].astype(np.float32)
    np.testing.assert_allclose(filters.bandpass(tone)[400:-400], tone[400:-400], atol=2e-4)


@pytest.mark.parametrize("fs", [100, 128, 250, 360, 500, 1000])
def test_resampling_is_that_of_resample_poly(fs: int) -> None:
    signal = np.random.default_rng(0).normal(size=(3 * fs, 2)).astype(np.float32)
    ratio = filters.rate_ratio(fs)
    expected = scipy.signal.resample_poly(signal, ratio.numerator, ratio.denominator, padtype="edge")
    got = filters.resample(signal, fs)
    assert got.shape == (600, 2)
    np.testing.assert_allclose(got[60:-60], expected[60:-60], atol=1e-5)


@pytest.mark.parametrize(
    ("n_samples", "fs", "n_working"), [(0, 360, 0), (1, 360, 1), (9, 360, 5), (10, 360, 6), (360, 360, 200)]
)
def test_lengths_are_rounded_up(n_samples: int, fs: int, n_working: int) -> None:
    # 5 / 9 of the samples: 10 of them are 5.6.
    assert filters.working_length(n_samples, fs) == n_working


def test_a_gap_of_2_s_is_bridged_and_a_longer_one_is_not() -> None:
    for gap in (200, 201):  # at 100 Hz
        signal = np.zeros((400, 1), dtype=np.float32)
        signal[100 + gap :] = 1
        signal[100 : 100 + gap] = np.nan
        filled = filters.fill_gaps(signal, 100.0)[100 : 100 + gap, 0]
        if gap == 200:
            np.testing.assert_allclose(filled, np.arange(1, 201) / 201, atol=1e-6)
        else:
            assert filled.tolist() == [0.0] * 101 + [1.0] * 100  # half way, each end's own level


def test_the_level_beside_a_gap_is_the_median_of_as_much_signal_and_of_200_ms_at_most() -> None:
    for gap in (1, 3, 10, 100):
        signal = np.full((300, 1), 7, dtype=np.float32)
        signal[80:100, 0] = [7] * 5 + [0] * 13 + [5] * 2
        signal[100 : 100 + gap] = np.nan
        known = sorted(signal[max(100 - gap, 80) : 100, 0].tolist())
        left = known[(len(known) - 1) // 2]
        assert left == {1: 5, 3: 5, 10: 0, 100: 0}[gap]
        assert filters.fill_gaps(signal, 100.0)[100, 0] == pytest.approx(left + (7 - left) / (gap + 1))


def test_gaps_at_the_ends_have_the_level_beside_them() -> None:
    signal = np.full((10, 2), np.nan, dtype=np.float32)
    signal[3:6, 0] = (1, 2, 3)
    filled = filters.fill_gaps(signal, 100.0)
    assert filled[:, 0].tolist() == [2, 2, 2, 1, 2, 3, 2, 2, 2, 2]  # the median of 3 samples
    assert filled[:, 1].tolist() == [0] * 10


def test_steps_of_the_baseline_come_3_times_in_10_s_and_decay_within_1_5_s() -> None:
    # 10,000 s: 3,000 steps, standard deviation 55; between two of them the level falls by a constant ratio.
    level = noise._steps(2_000_000, 1, 200, np.random.default_rng(0))[:, 0]
    level = level[np.flatnonzero(level)[0] :]
    decay = np.median(level[1:] / level[:-1])
    n_steps = 1 + np.count_nonzero(np.abs(level[1:] - decay * level[:-1]) > 1e-9)
    assert n_steps == pytest.approx(3000, abs=4 * 55)
    assert 0.2 <= -1 / np.log(decay) / 200 <= 1.5


def test_noise_of_unit_power_has_it_within_a_second() -> None:
    # Three seconds with the variances 1, 4 and 4 about their own means: the mean power is 3.
    seconds = [np.tile([1.0, -1.0], 50) + 10, np.tile([2.0, -2.0], 50), np.tile([2.0, -2.0], 50) - 5]
    signal = np.concatenate(seconds)[:, None]
    np.testing.assert_allclose(noise._unit(signal, 100), signal / np.sqrt(3))
    assert noise._unit(np.zeros((300, 1)), 100).tolist() == [[0.0]] * 300


@pytest.mark.parametrize("snr_db", [-6.0, 0.0, 18.0])
def test_noise_has_the_power_of_moody_1984(monkeypatch: pytest.MonkeyPatch, snr_db: float) -> None:
    # Beats of 2 mV: a signal power of 4 / 8 mV², and noise of 1 as drawn becomes its root at the ratio.
    signal = np.zeros((36_000, 1), dtype=np.float32)
    signal[::100] = 2
    monkeypatch.setattr(noise, "draw_noise", lambda n, n_leads, _fs, _rng: np.ones((n, n_leads)))
    recording = recording_of(signal, 100.0)
    noisy = noise.add_noise(recording, np.random.default_rng(0), snr_db=(snr_db, snr_db)).read(0, 36_000)
    added = np.unique((noisy - signal).round(4))
    assert added == pytest.approx([0, np.sqrt(4 / 8 / 10 ** (snr_db / 10))], abs=2e-4)


def test_a_lead_without_samples_has_no_height() -> None:
    signal = np.full((300, 3), np.nan, dtype=np.float32)
    signal[:, 1] = np.tile([0.0, 1.5], 150)
    signal[:150, 2] = np.tile([0.0, 2.0], 75)  # a window with missing samples does not count
    assert noise.qrs_height_mv(signal, 100).tolist() == [0.0, 1.5, 2.0]


def test_swings_last_as_long_as_a_qrs_complex() -> None:
    # Four widths of 15 to 80 ms, each as far as 4 sigma: half of the power is below 1 / (2 pi 15 ms) = 10.6 Hz.
    swings = noise._swings(200_000, 1, 200, np.random.default_rng(0))[:, 0]
    hz, power = scipy.signal.welch(swings, 200, nperseg=2000)
    assert hz[np.searchsorted(np.cumsum(power), power.sum() / 2)] < 10.6
    # On average 1.2 swings in a second: without one, the signal is exactly 0.
    assert 0.2 < np.mean(swings == 0) < 0.9


@pytest.mark.parametrize("fs", [100.0, 360.0])
def test_the_last_working_sample_is_in_the_recording(fs: float) -> None:
    grid = TimeGrid(fs, 1000)
    last = np.array([0, filters.working_length(1000, fs) - 1, filters.working_length(1000, fs)])
    assert grid.to_recording(last)[0] == 0
    assert grid.to_recording(last)[-1] == 999
