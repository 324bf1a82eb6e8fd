"""Simulated noise of ambulatory recordings, for training and for tests.

Electrode motion resembles beats most. It consists of wander whose power falls with frequency, steps that
decay, and single swings as wide as a QRS complex. The signal-to-noise ratio is defined as in the MIT-BIH
Noise Stress Test Database (Moody 1984). It is the squared QRS peak-to-peak amplitude over 8, divided by the
power of the noise within a second, in dB.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from ectopy.ecg import Mask, Recording, Signal, true_intervals

Floats: TypeAlias = NDArray[np.float64]
Draw: TypeAlias = Callable[[int, int, float, np.random.Generator], Floats]
"""A function of the number of samples, the number of leads, the rate in Hz and a random generator.

It returns noise [n_samples, n_leads] of any strength.
"""

MEAN_INTERVAL_S = 30.0
"""Mean length of an interval with noise."""
_ONE_LEAD = 0.3  # fraction of the intervals in which only one lead is noisy
_SECOND_KIND = 0.3  # greatest amplitude of a second kind of noise, relative to the main one
_HEIGHT_WINDOW_S = 1.5  # nearly always contains a beat, and little wander
_MOTION_HZ = (0.2, 25.0)
_STEPS_HZ, _STEP_DECAY_S = 0.3, (0.2, 1.5)  # steps per second, and the time constant of their decay
# Swings per second, and their width (sigma): from a narrow QRS complex to a wide one with its T wave.
_SWINGS_HZ, _SWING_S = 1.2, (0.015, 0.08)


def add_noise(
    recording: Recording,
    rng: np.random.Generator,
    *,
    snr_db: tuple[float, float] = (-6.0, 18.0),
    noisy_fraction: float = 0.5,
) -> Recording:
    """Add noise of random kind and strength to random intervals of a recording.

    All samples are read at once. Missing samples stay missing.

    Parameters
    ----------
    recording
        The recording, which is left unchanged.
    rng
        Random generator.
    snr_db
        Range of the signal-to-noise ratio in dB; each interval has its own.
    noisy_fraction
        Fraction of the recording that has noise, approximately.

    Returns
    -------
    The recording with noise.
    """
    signal = recording.read(0, recording.n_samples).astype(np.float32)
    height_mv = qrs_height_mv(signal, recording.fs)
    mean_length = MEAN_INTERVAL_S * recording.fs
    noisy = on_and_off(len(signal), share=noisy_fraction, mean_length=mean_length, rng=rng)
    for start, stop in true_intervals(noisy).tolist():
        noise = draw_noise(stop - start, len(recording.leads), recording.fs, rng)
        rms_mv = height_mv / np.sqrt(8) * 10 ** (-rng.uniform(*snr_db) / 20)
        signal[start:stop] += (noise * rms_mv).astype(np.float32)
    return replace(recording, read=lambda start, stop: signal[start:stop])


def qrs_height_mv(signal: Signal, fs: float) -> Floats:
    """Estimate the usual peak-to-peak amplitude of the beats.

    Parameters
    ----------
    signal
        [n, n_leads] in mV.
    fs
        Its sampling rate in Hz.

    Returns
    -------
    The amplitude in mV, [n_leads]; 0 for a lead without samples.
    """
    n_samples = max(min(round(_HEIGHT_WINDOW_S * fs), len(signal)), 1)
    whole = signal[: len(signal) // n_samples * n_samples]
    windows = whole.reshape(-1, n_samples, signal.shape[1])
    height = np.ptp(windows, axis=1).astype(np.float64)
    complete = [lead[np.isfinite(lead)] for lead in height.T]
    return np.array([np.median(lead) if len(lead) else 0.0 for lead in complete])


def draw_noise(n_samples: int, n_leads: int, fs: float, rng: np.random.Generator) -> Floats:
    """Draw noise of random kind, on all leads or on one of them.

    Parameters
    ----------
    n_samples, n_leads
        Size of the noise.
    fs
        Sampling rate in Hz.
    rng
        Random generator.

    Returns
    -------
    Noise [n_samples, n_leads]; the main kind has unit power within a second.
    """
    main, second = rng.choice(len(KINDS), 2, p=list(KINDS.values()))
    kinds = list(KINDS)
    noise = _unit(kinds[main](n_samples, n_leads, fs, rng), fs)
    noise += _SECOND_KIND * rng.random() * _unit(kinds[second](n_samples, n_leads, fs, rng), fs)
    if n_leads > 1 and rng.random() < _ONE_LEAD:
        noise *= np.arange(n_leads) == rng.integers(n_leads)
    return noise


def motion(n_samples: int, n_leads: int, fs: float, rng: np.random.Generator) -> Floats:
    """Draw electrode motion: wander, steps and swings, partly common to all leads.

    Parameters
    ----------
    n_samples, n_leads
        Size of the noise.
    fs
        Sampling rate in Hz.
    rng
        Random generator.

    Returns
    -------
    Noise [n_samples, n_leads] of any strength.
    """
    wander = _unit(band_noise(n_samples, n_leads, fs, _MOTION_HZ, rng, slope=1.0), fs)
    steps = _unit(_steps(n_samples, n_leads, fs, rng), fs)
    swings = _unit(_swings(n_samples, n_leads, fs, rng), fs)
    restless = np.exp(0.5 * band_noise(n_samples, n_leads, fs, (0.02, 0.3), rng))
    return restless * (wander + rng.uniform(0, 1) * steps + rng.uniform(1, 3) * swings)


def muscle(n_samples: int, n_leads: int, fs: float, rng: np.random.Generator) -> Floats:
    """Draw muscle noise, whose strength varies with time.

    Parameters
    ----------
    n_samples, n_leads
        Size of the noise.
    fs
        Sampling rate in Hz.
    rng
        Random generator.

    Returns
    -------
    Noise [n_samples, n_leads] of any strength.
    """
    tension = np.exp(0.7 * band_noise(n_samples, n_leads, fs, (0.02, 0.5), rng))
    return tension * band_noise(n_samples, n_leads, fs, (10, 150), rng)


def wander(n_samples: int, n_leads: int, fs: float, rng: np.random.Generator) -> Floats:
    """Draw the baseline wander of breathing and sweating.

    Parameters
    ----------
    n_samples, n_leads
        Size of the noise.
    fs
        Sampling rate in Hz.
    rng
        Random generator.

    Returns
    -------
    Noise [n_samples, n_leads] of any strength.
    """
    return band_noise(n_samples, n_leads, fs, (0.05, 0.8), rng)


def mains(n_samples: int, n_leads: int, fs: float, rng: np.random.Generator) -> Floats:
    """Draw mains hum with its third harmonic, stronger on some leads.

    Parameters
    ----------
    n_samples, n_leads
        Size of the noise.
    fs
        Sampling rate in Hz.
    rng
        Random generator.

    Returns
    -------
    Noise [n_samples, n_leads] of any strength.
    """
    turns = rng.choice((50.0, 60.0)) * np.arange(n_samples) / fs + rng.random()
    hum = np.sin(2 * np.pi * turns) + rng.uniform(0, 0.3) * np.sin(6 * np.pi * turns)
    return np.asarray(hum[:, None] * rng.uniform(0.3, 1.0, n_leads))


KINDS: dict[Draw, float] = {motion: 0.6, muscle: 0.25, wander: 0.1, mains: 0.05}
"""Probability of each main kind of noise. Electrode motion is the most frequent: it costs the most beats."""


def band_noise(  # noqa: PLR0913 - the size and the spectrum
    n_samples: int,
    n_leads: int,
    fs: float,
    band_hz: tuple[float, float],
    rng: np.random.Generator,
    *,
    slope: float = 0.0,
) -> Floats:
    """Draw noise of unit power in a band of frequencies.

    Parameters
    ----------
    n_samples, n_leads
        Size of the noise.
    fs
        Sampling rate in Hz.
    band_hz
        Lowest and highest frequency in Hz.
    rng
        Random generator.
    slope
        The amplitude is proportional to the frequency to the power of ``-slope``.

    Returns
    -------
    Noise [n_samples, n_leads].
    """
    frequency_hz = np.fft.rfftfreq(n_samples, 1 / fs)
    in_band = (frequency_hz >= band_hz[0]) & (frequency_hz < band_hz[1])
    spectrum = np.zeros((len(frequency_hz), n_leads), dtype=np.complex128)
    spectrum[in_band] = rng.standard_normal((in_band.sum(), 2 * n_leads)).view(np.complex128)
    fall = frequency_hz[in_band] ** -slope
    spectrum[in_band] *= fall[:, None]
    strength = n_samples / np.sqrt(4 * max(float(np.square(fall).sum()), 1e-12))
    return np.asarray(np.fft.irfft(spectrum, n_samples, axis=0) * strength)


def on_and_off(n: int, *, share: float, mean_length: float, rng: np.random.Generator) -> Mask:
    """Draw random intervals.

    Parameters
    ----------
    n
        Number of samples.
    share
        Fraction of the samples in the intervals, approximately.
    mean_length
        Mean length of an interval in samples.
    rng
        Random generator.

    Returns
    -------
    Mask [n], True in the intervals.
    """
    if share <= 0:
        return np.zeros(n, dtype=bool)
    means = np.array([mean_length * (1 - share) / share, mean_length])
    lengths = np.ceil(rng.exponential(np.resize(means, 2 * (n // round(means.sum()) + 8)))).astype(np.int64)
    states = np.resize([False, True], len(lengths))
    return np.resize(np.repeat(states, lengths), n)


def _steps(n_samples: int, n_leads: int, fs: float, rng: np.random.Generator) -> Floats:
    """Draw jumps of the baseline, which decay by the high-pass filter of the amplifier."""
    jumps = _impulses(n_samples, n_leads, _STEPS_HZ / fs, rng)
    decay = np.exp(-1 / (rng.uniform(*_STEP_DECAY_S) * fs))
    return np.asarray(lfilter([1.0], [1.0, -decay], jumps, axis=0))


def _swings(n_samples: int, n_leads: int, fs: float, rng: np.random.Generator) -> Floats:
    """Draw single swings, in one direction or in both."""
    swings = np.zeros((n_samples, n_leads))
    for width_s in rng.uniform(*_SWING_S, 4):
        time = np.arange(-round(4 * width_s * fs), round(4 * width_s * fs) + 1) / (width_s * fs)
        shape = np.exp(-0.5 * time**2) * (1 + rng.uniform(-2, 2) * time)
        impulses = _impulses(n_samples, n_leads, _SWINGS_HZ / 4 / fs, rng)
        swings += lfilter(shape, [1.0], impulses, axis=0)
    return swings


def _impulses(n_samples: int, n_leads: int, rate: float, rng: np.random.Generator) -> Floats:
    """Draw impulses of random strength at random times, on average ``rate`` per sample."""
    sample = np.flatnonzero(rng.random(n_samples) < rate)
    strength = rng.laplace(size=(len(sample), 1)) + 0.5 * rng.laplace(size=(len(sample), n_leads))
    impulses = np.zeros((n_samples, n_leads))
    impulses[sample] = strength
    return impulses


def _unit(noise: Floats, fs: float) -> Floats:
    """Scale each lead to unit power within a second, not counting the mean of that second."""
    n_samples = max(min(round(fs), len(noise)), 1)
    seconds = noise[: len(noise) // n_samples * n_samples].reshape(-1, n_samples, noise.shape[1])
    power = seconds.var(axis=1).mean(axis=0)
    return np.asarray(noise / np.sqrt(np.where(power > 0, power, 1)))
