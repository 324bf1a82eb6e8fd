"""Noise as ambulatory recorders have it, made rather than copied: to learn under and to be tested with.

Electrode motion is what looks like beats: wander whose power falls with frequency, steps that decay, and
single swings as wide as a QRS complex. Strength is told as in the MIT-BIH Noise Stress Test Database (Moody
1984): the QRS peak-to-peak amplitude squared over 8, over the power of the noise within a second, in dB.
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
"""Number of samples and of leads, rate, generator -> noise [n_samples, n_leads] of any strength."""

MEAN_STRETCH_S = 30.0
"""Noise lasts about so long at a time."""
_ONE_LEAD = 0.3  # of the stretches disturb one lead only
_BESIDE = 0.3  # strength of a second kind of noise beside the main one
_HEIGHT_WINDOW_S = 1.5  # nearly always holds a beat, and little wander
_MOTION_HZ = (0.2, 25.0)
_STEPS_HZ, _STEP_DECAY_S = 0.3, (0.2, 1.5)
_SWINGS_HZ, _SWING_S = 1.2, (0.015, 0.08)  # a width (sigma): from a QRS complex to a wide one with its T wave


def add_noise(
    recording: Recording,
    rng: np.random.Generator,
    *,
    snr_db: tuple[float, float] = (-6.0, 18.0),
    share: float = 0.5,
) -> Recording:
    """Give a recording with noise on about ``share`` of it, of a kind and a ratio drawn for each stretch.

    All samples are read at once. What is missing stays missing.
    """
    signal = recording.read(0, recording.n_samples).astype(np.float32)
    height_mv = qrs_height_mv(signal, recording.fs)
    on = on_and_off(len(signal), share=share, mean_length=MEAN_STRETCH_S * recording.fs, rng=rng)
    for start, stop in true_intervals(on).tolist():
        noise = draw_noise(stop - start, len(recording.leads), recording.fs, rng)
        rms_mv = height_mv / np.sqrt(8) * 10 ** (-rng.uniform(*snr_db) / 20)
        signal[start:stop] += (noise * rms_mv).astype(np.float32)
    return replace(recording, read=lambda start, stop: signal[start:stop])


def qrs_height_mv(signal: Signal, fs: float) -> Floats:
    """Give the usual peak-to-peak amplitude of each lead's beats; 0 where nothing is to be seen."""
    n_samples = max(min(round(_HEIGHT_WINDOW_S * fs), len(signal)), 1)
    whole = signal[: len(signal) // n_samples * n_samples]
    windows = whole.reshape(-1, n_samples, signal.shape[1])
    height = np.ptp(windows, axis=1).astype(np.float64)
    seen = [lead[np.isfinite(lead)] for lead in height.T]
    return np.array([np.median(lead) if len(lead) else 0.0 for lead in seen])


def draw_noise(n_samples: int, n_leads: int, fs: float, rng: np.random.Generator) -> Floats:
    """Draw noise [n_samples, n_leads] of unit power within a second, on all leads or on one of them."""
    main, beside = rng.choice(len(KINDS), 2, p=list(KINDS.values()))
    kinds = list(KINDS)
    noise = _unit(kinds[main](n_samples, n_leads, fs, rng), fs)
    noise += _BESIDE * rng.random() * _unit(kinds[beside](n_samples, n_leads, fs, rng), fs)
    if n_leads > 1 and rng.random() < _ONE_LEAD:
        noise *= np.arange(n_leads) == rng.integers(n_leads)
    return noise


def motion(n_samples: int, n_leads: int, fs: float, rng: np.random.Generator) -> Floats:
    """Draw electrode motion: wander, steps and swings, in part the same on all leads."""
    wander = _unit(band_noise(n_samples, n_leads, fs, _MOTION_HZ, rng, slope=1.0), fs)
    steps = _unit(_steps(n_samples, n_leads, fs, rng), fs)
    swings = _unit(_swings(n_samples, n_leads, fs, rng), fs)
    restless = np.exp(0.5 * band_noise(n_samples, n_leads, fs, (0.02, 0.3), rng))
    return restless * (wander + rng.uniform(0, 1) * steps + rng.uniform(1, 3) * swings)


def muscle(n_samples: int, n_leads: int, fs: float, rng: np.random.Generator) -> Floats:
    """Draw the noise of muscles, whose tension comes and goes."""
    tension = np.exp(0.7 * band_noise(n_samples, n_leads, fs, (0.02, 0.5), rng))
    return tension * band_noise(n_samples, n_leads, fs, (10, 150), rng)


def wander(n_samples: int, n_leads: int, fs: float, rng: np.random.Generator) -> Floats:
    """Draw the baseline wander of breathing and sweating."""
    return band_noise(n_samples, n_leads, fs, (0.05, 0.8), rng)


def mains(n_samples: int, n_leads: int, fs: float, rng: np.random.Generator) -> Floats:
    """Draw the hum of the mains with a harmonic, stronger on some leads."""
    turns = rng.choice((50.0, 60.0)) * np.arange(n_samples) / fs + rng.random()
    hum = np.sin(2 * np.pi * turns) + rng.uniform(0, 0.3) * np.sin(6 * np.pi * turns)
    return np.asarray(hum[:, None] * rng.uniform(0.3, 1.0, n_leads))


KINDS: dict[Draw, float] = {motion: 0.6, muscle: 0.25, wander: 0.1, mains: 0.05}
"""How often a stretch is mostly of one kind: electrode motion costs the most beats."""


def band_noise(  # noqa: PLR0913 - a spectrum on a grid
    n_samples: int,
    n_leads: int,
    fs: float,
    band_hz: tuple[float, float],
    rng: np.random.Generator,
    *,
    slope: float = 0.0,
) -> Floats:
    """Draw noise [n_samples, n_leads] of unit power between two frequencies; amplitude falls by ``slope``."""
    frequency_hz = np.fft.rfftfreq(n_samples, 1 / fs)
    kept = (frequency_hz >= band_hz[0]) & (frequency_hz < band_hz[1])
    spectrum = np.zeros((len(frequency_hz), n_leads), dtype=np.complex128)
    spectrum[kept] = rng.standard_normal((kept.sum(), 2 * n_leads)).view(np.complex128)
    fall = frequency_hz[kept] ** -slope
    spectrum[kept] *= fall[:, None]
    strength = n_samples / np.sqrt(4 * max(float(np.square(fall).sum()), 1e-12))
    return np.asarray(np.fft.irfft(spectrum, n_samples, axis=0) * strength)


def on_and_off(n: int, *, share: float, mean_length: float, rng: np.random.Generator) -> Mask:
    """Switch on and off at random, being on for about ``share`` of n, ``mean_length`` at a time."""
    if share <= 0:
        return np.zeros(n, dtype=bool)
    means = np.array([mean_length * (1 - share) / share, mean_length])
    lengths = np.ceil(rng.exponential(np.resize(means, 2 * (n // round(means.sum()) + 8)))).astype(np.int64)
    states = np.resize([False, True], len(lengths))
    return np.resize(np.repeat(states, lengths), n)


def _steps(n_samples: int, n_leads: int, fs: float, rng: np.random.Generator) -> Floats:
    """Draw jumps of the baseline that an amplifier's high-pass lets decay."""
    jumps = _impulses(n_samples, n_leads, _STEPS_HZ / fs, rng)
    decay = np.exp(-1 / (rng.uniform(*_STEP_DECAY_S) * fs))
    return np.asarray(lfilter([1.0], [1.0, -decay], jumps, axis=0))


def _swings(n_samples: int, n_leads: int, fs: float, rng: np.random.Generator) -> Floats:
    """Draw single swings to one side or to both."""
    swings = np.zeros((n_samples, n_leads))
    for width_s in rng.uniform(*_SWING_S, 4):
        time = np.arange(-round(4 * width_s * fs), round(4 * width_s * fs) + 1) / (width_s * fs)
        shape = np.exp(-0.5 * time**2) * (1 + rng.uniform(-2, 2) * time)
        impulses = _impulses(n_samples, n_leads, _SWINGS_HZ / 4 / fs, rng)
        swings += lfilter(shape, [1.0], impulses, axis=0)
    return swings


def _impulses(n_samples: int, n_leads: int, rate: float, rng: np.random.Generator) -> Floats:
    """Draw when something happens, and how strongly on each lead; in the mean ``rate`` times a sample."""
    at = np.flatnonzero(rng.random(n_samples) < rate)
    strength = rng.laplace(size=(len(at), 1)) + 0.5 * rng.laplace(size=(len(at), n_leads))
    impulses = np.zeros((n_samples, n_leads))
    impulses[at] = strength
    return impulses


def _unit(noise: Floats, fs: float) -> Floats:
    """Scale each lead to unit power within a second, the mean of that second left out."""
    n_samples = max(min(round(fs), len(noise)), 1)
    seconds = noise[: len(noise) // n_samples * n_samples].reshape(-1, n_samples, noise.shape[1])
    power = seconds.var(axis=1).mean(axis=0)
    return np.asarray(noise / np.sqrt(np.where(power > 0, power, 1)))
