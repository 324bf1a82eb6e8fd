"""Waves of the newest signal: they are those of the windows of a recording, whatever the signal."""

import numpy as np
import pytest

from ectopy.signal.latest_waves import measure_latest_waves
from ectopy.signal.waves import WAVES, measure_waves
from tests.drawn_ecg import drawn, steady

COLUMN = {name: column for column, name in enumerate(WAVES)}


def beats(fs):
    return drawn(steady(8), 8, fs=fs)[round(2 * fs) :]


def sine(fs, hz):
    return np.sin(2 * np.pi * hz * np.arange(6 * fs) / fs)


def noise(fs, seed):
    return np.random.default_rng(seed).normal(size=6 * fs)


@pytest.mark.parametrize("fs", [50, 125, 250])
@pytest.mark.parametrize("window_s", [4, 6])
@pytest.mark.parametrize(
    "signals",
    [
        lambda fs: [beats(fs)[:, 0]],
        lambda fs: [sine(fs, 4.7), sine(fs, 1.6)],
        lambda fs: [noise(fs, 1), 1e-3 * noise(fs, 2), 30 + noise(fs, 3)],
        lambda fs: [np.append(noise(fs, 4)[: 3 * fs], np.zeros(3 * fs)), np.zeros(6 * fs)],
    ],
    ids=["beats", "sines", "noise", "standstill"],
)
def test_both_windows_are_those_of_a_recording(signals, window_s, fs):
    leads = np.array(signals(fs), dtype=np.float32)[:, : window_s * fs]
    whole, half = measure_latest_waves(leads, fs)
    (expected,) = measure_waves(leads, fs, window_s=window_s, hop_s=1)
    (of_half,) = measure_waves(
        leads[:, window_s * fs // 2 :], fs, window_s=window_s // 2, hop_s=window_s // 2
    )
    np.testing.assert_allclose(whole, expected, rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(half, of_half, rtol=1e-4, atol=2e-5)


def test_only_the_second_half_has_its_own_frequency():
    fs = 125
    leads = np.append(sine(fs, 2.0)[: 2 * fs], sine(fs, 6.0)[: 2 * fs])[None].astype(np.float32)
    _, half = measure_latest_waves(leads, fs)
    assert 5 * half[0, COLUMN["peak frequency"]] == pytest.approx(6)
    assert half[0, COLUMN["power near the peak"]] > 0.95


def test_nothing_has_no_waves_and_no_failure():
    waves = measure_latest_waves(np.zeros((2, 500), dtype=np.float32), 125)
    assert waves.shape == (2, 2, len(WAVES))
    assert np.isfinite(waves).all()
