"""Simulated noise has the requested strength, kinds and place, and nothing else changes."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ectopy.datasets import simulate
from ectopy.ecg import Recording, recording_of
from ectopy.signal import noise

FS = 250.0


@pytest.fixture(scope="module")
def clean() -> Recording:
    """Four minutes of a simulated patient without any noise."""
    rng = np.random.default_rng(1)
    patient = simulate.draw_patient(rng)
    return simulate.simulate(replace(patient, noise=simulate.NO_NOISE), minutes=4, fs=FS, rng=rng).recording


def samples(recording: Recording) -> NDArray[np.float32]:
    return recording.read(0, recording.n_samples)


def added(recording: Recording, seed: int = 0, **how: object) -> NDArray[np.float32]:
    """Return the noise alone."""
    noisy = noise.add_noise(recording, np.random.default_rng(seed), **how)
    return samples(noisy) - samples(recording)


def share_below(signal: noise.Floats, hz: float, fs: float = FS) -> float:
    """Return the fraction of a lead's power below a frequency."""
    power = np.abs(np.fft.rfft(signal[:, 0] - signal[:, 0].mean())) ** 2
    return float(power[np.fft.rfftfreq(len(signal), 1 / fs) < hz].sum() / power.sum())


def test_the_same_seed_gives_the_same_noise(clean: Recording) -> None:
    np.testing.assert_array_equal(added(clean, 3), added(clean, 3))
    assert (added(clean, 3) != added(clean, 4)).any()


def test_the_recording_given_is_left_as_it_is(clean: Recording) -> None:
    before = samples(clean).copy()
    noisy = noise.add_noise(clean, np.random.default_rng(0))
    np.testing.assert_array_equal(samples(clean), before)
    assert (noisy.name, noisy.fs, noisy.leads, noisy.n_samples) == (
        clean.name,
        clean.fs,
        clean.leads,
        clean.n_samples,
    )


def test_a_noisy_recording_is_read_in_any_parts(clean: Recording) -> None:
    noisy = noise.add_noise(clean, np.random.default_rng(0))
    np.testing.assert_array_equal(noisy.read(1000, 2000), samples(noisy)[1000:2000])


def test_noise_lies_on_about_the_share_asked_for(clean: Recording) -> None:
    # Intervals of half a minute in four minutes: 40 recordings have some 160 of them, the mean is near.
    disturbed = [(added(clean, seed, noisy_fraction=0.3) != 0).any(axis=1).mean() for seed in range(40)]
    assert np.mean(disturbed) == pytest.approx(0.3, abs=0.1)


def test_no_share_is_no_noise(clean: Recording) -> None:
    assert not added(clean, noisy_fraction=0.0).any()


@pytest.mark.parametrize("snr_db", [-6.0, 6.0, 18.0])
def test_the_ratio_is_that_of_the_noise_stress_test(clean: Recording, snr_db: float) -> None:
    # QRS peak-to-peak squared over 8, over the mean power within a second; a second kind adds 0.4 dB at most.
    height_mv = noise.qrs_height_mv(samples(clean), FS)
    noise_mv = added(clean, noisy_fraction=1.0, snr_db=(snr_db, snr_db))
    power = noise_mv[: 4 * 60 * 250].reshape(-1, 250, 2).var(axis=1)
    measured_db = 10 * np.log10(height_mv**2 / 8 / power.mean(axis=0))
    assert measured_db.min() == pytest.approx(snr_db, abs=1.0)


def test_noise_grows_with_the_gain_of_the_recorder(clean: Recording) -> None:
    louder = recording_of(10 * samples(clean), FS, leads=clean.leads)
    np.testing.assert_allclose(added(louder), 10 * added(clean), rtol=1e-2, atol=1e-3)


def test_the_height_of_beats_is_that_of_most(clean: Recording) -> None:
    torn = samples(clean).copy()
    torn[: 40 * 250] = np.nan
    torn[50 * 250 : 60 * 250] *= 20
    expected = noise.qrs_height_mv(samples(clean), FS)
    np.testing.assert_allclose(noise.qrs_height_mv(torn, FS), expected, rtol=0.1)


def test_missing_samples_stay_missing(clean: Recording) -> None:
    torn = samples(clean).copy()
    torn[1000:9000, 0] = np.nan
    noisy = noise.add_noise(recording_of(torn, FS), np.random.default_rng(0), noisy_fraction=1.0)
    np.testing.assert_array_equal(np.isnan(samples(noisy)), np.isnan(torn))


@pytest.mark.parametrize("n_samples", [0, 1, 7, 400])
@pytest.mark.parametrize("n_leads", [1, 2, 3])
def test_a_recording_of_any_length_and_leads_is_noisy(n_samples: int, n_leads: int) -> None:
    recording = recording_of(np.ones((n_samples, n_leads)), FS)
    noisy = noise.add_noise(recording, np.random.default_rng(0), noisy_fraction=1.0)
    assert samples(noisy).shape == (n_samples, n_leads)
    assert np.isfinite(samples(noisy)).all()


def test_some_stretches_disturb_one_lead_only() -> None:
    rng = np.random.default_rng(0)
    spared = [(noise.draw_noise(500, 2, FS, rng) == 0).all(axis=0).any() for _ in range(200)]
    assert np.mean(spared) == pytest.approx(0.3, abs=0.1)


@pytest.mark.parametrize("fs", [100.0, 360.0, 1000.0])
@pytest.mark.parametrize("kind", noise.KINDS)
def test_every_kind_is_there_at_every_rate(kind: noise.Draw, fs: float) -> None:
    drawn = kind(round(20 * fs), 2, fs, np.random.default_rng(0))
    assert drawn.shape == (round(20 * fs), 2)
    assert (drawn.std(axis=0) > 0).all()


def test_motion_is_slow_as_electrodes_are() -> None:
    # nstdb's electrode motion has 90 % of its power below 5 Hz and 97 % below 10 Hz.
    motion = np.concatenate([noise.motion(15_000, 1, FS, np.random.default_rng(seed)) for seed in range(9)])
    assert share_below(motion, 5.0) > 0.8
    assert share_below(motion, 10.0) > 0.9


def test_motion_has_swings_that_stand_out_as_beats_do() -> None:
    # A normal distribution has a kurtosis of 3.
    motion = np.concatenate([noise.motion(15_000, 1, FS, np.random.default_rng(seed)) for seed in range(9)])
    fast = np.diff(motion[:, 0])
    assert np.mean((fast - fast.mean()) ** 4) / fast.var() ** 2 > 4


def test_muscle_is_fast_wander_slow_and_mains_one_tone() -> None:
    rng = np.random.default_rng(0)
    assert share_below(noise.muscle(20_000, 1, FS, rng), 8.0) < 0.05
    assert share_below(noise.wander(20_000, 1, FS, rng), 1.0) > 0.99
    assert share_below(noise.mains(20_000, 1, FS, rng), 49.0) < 0.01


@pytest.mark.parametrize("slope", [0.0, 1.0])
def test_noise_of_a_band_has_unit_power(slope: float) -> None:
    drawn = noise.band_noise(50_000, 2, FS, (1, 40), np.random.default_rng(0), slope=slope)
    np.testing.assert_allclose(drawn.std(axis=0), 1, atol=0.1)


def test_on_and_off_is_on_for_its_share() -> None:
    on = noise.on_and_off(1_000_000, share=0.2, mean_length=100, rng=np.random.default_rng(0))
    assert on.mean() == pytest.approx(0.2, abs=0.02)
