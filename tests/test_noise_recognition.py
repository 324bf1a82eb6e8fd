"""Noise is marked as unreadable and no rhythm is, whatever the gain, rate, lead or block."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from wfdb import rdrecord

from ectopy import pipeline
from ectopy.annotations import read_annotations
from ectopy.beats import detection, signal_to_noise
from ectopy.datasets import simulate
from ectopy.ec57 import classes_of
from ectopy.ecg import CLASSES, Analysis, Mask, Recording, Samples, recording_of
from ectopy.features.extraction import Floats
from ectopy.rhythm.heart_rate import rr_intervals_s
from ectopy.signal import noise
from tests.drawn_ecg import drawn, steady

FS = 250.0
NOISE_S = (60.0, 100.0)
"""Interval with noise in these tests, in seconds."""


def all_normal(parts: Iterable[Floats]) -> tuple[NDArray[np.float32], Mask]:
    n = sum(map(len, parts))
    probability = np.zeros((n, len(CLASSES)), dtype=np.float32)
    probability[:, 0] = 1
    return probability, np.ones(n, dtype=bool)


def analysed(signal: NDArray[np.floating], fs: float = FS, *, block_s: float = 600) -> Analysis:
    return pipeline.analyse(recording_of(signal, fs), all_normal, block_s=block_s)


def patient(seed: int, *, minutes: float = 3.0, fs: float = FS) -> NDArray[np.float64]:
    """Return two leads of a simulated patient without noise."""
    rng = np.random.default_rng(seed)
    quiet = replace(simulate.draw_patient(rng), noise=simulate.NO_NOISE)
    recording = simulate.simulate(quiet, minutes=minutes, fs=fs, rng=rng).recording
    return recording.read(0, recording.n_samples).astype(np.float64)


def disturbed(
    signal: NDArray[np.float64], *, snr_db: float, fs: float = FS, leads: tuple[int, ...] = (0, 1)
) -> NDArray[np.float64]:
    """Add electrode motion during NOISE_S."""
    noisy = signal.copy()
    start, stop = (round(edge * fs) for edge in NOISE_S)
    n_leads = signal.shape[1]
    drawn = noise.motion(stop - start, n_leads, fs, np.random.default_rng(0))
    seconds = drawn[: round(40 * fs)].reshape(40, -1, n_leads)
    rms_mv = noise.qrs_height_mv(signal.astype(np.float32), fs) / np.sqrt(8) * 10 ** (-snr_db / 20)
    drawn *= rms_mv / np.sqrt(seconds.var(axis=1).mean(axis=0))
    for lead in leads:
        noisy[start:stop, lead] += drawn[:, lead]
    return noisy


def unreadable_fraction(analysis: Analysis, start_s: float = NOISE_S[0], stop_s: float = NOISE_S[1]) -> float:
    """Return the fraction of an interval that is unreadable."""
    unreadable = np.zeros(analysis.n_samples, dtype=bool)
    for start, stop in analysis.unreadable.tolist():
        unreadable[start:stop] = True
    return float(unreadable[round(start_s * analysis.fs) : round(stop_s * analysis.fs)].mean())


@pytest.mark.parametrize("seed", range(8))
def test_patients_of_all_rhythms_are_readable_throughout(seed: int) -> None:
    # Bigeminy, runs, fibrillation, pauses, bundle branch blocks: each seed has its own.
    assert len(analysed(patient(seed)).unreadable) == 0


@pytest.fixture(scope="module")
def clean() -> NDArray[np.float64]:
    return patient(1)


@pytest.fixture(scope="module")
def noisy(clean: NDArray[np.float64]) -> NDArray[np.float64]:
    return disturbed(clean, snr_db=-18)


@pytest.fixture(scope="module")
def in_noise(noisy: NDArray[np.float64]) -> Analysis:
    return analysed(noisy)


def test_noise_on_every_lead_is_unreadable_and_nothing_else_is(in_noise: Analysis) -> None:
    # Measured: 0.95. At each edge, about a second still passes for a beat.
    assert unreadable_fraction(in_noise) > 0.9
    assert (
        unreadable_fraction(in_noise, 0, NOISE_S[0] - 4)
        == unreadable_fraction(in_noise, NOISE_S[1] + 4, 180)
        == 0
    )


def test_no_beat_is_reported_where_nothing_can_be_read(in_noise: Analysis) -> None:
    for start, stop in in_noise.unreadable.tolist():
        assert not ((in_noise.beats.sample >= start) & (in_noise.beats.sample < stop)).any()


def test_noise_is_no_pause(in_noise: Analysis) -> None:
    # The longest RR interval of the patient is 1.4 s; the noise lasts 40 s.
    assert np.nanmax(rr_intervals_s(in_noise.beats, in_noise.unreadable)) < 2
    assert "pause" not in {event.kind for event in in_noise.events}


def test_little_noise_costs_nothing(clean: NDArray[np.float64]) -> None:
    analysis = analysed(disturbed(clean, snr_db=18))
    assert len(analysis.unreadable) == 0
    assert len(analysis.beats) == len(analysed(clean).beats)


@pytest.mark.parametrize("lead", [0, 1])
def test_noise_on_one_lead_leaves_the_other_to_read(clean: NDArray[np.float64], lead: int) -> None:
    # Measured: 0, as the other lead is clean.
    signal = disturbed(clean, snr_db=-6, leads=(lead,))
    assert unreadable_fraction(analysed(signal)) < 0.05
    windows = detection.detect_beats(recording_of(signal, FS), (0, 1)).windows
    # 4 s within the edges of the noise, so that the running median of 11 beats lies inside.
    inside = (windows.sample > 64 * 200) & (windows.sample < 96 * 200)
    assert windows.readable[inside, lead].mean() < 0.5  # measured: 0.3; at -6 dB single beats still stand out
    assert windows.readable[inside, 1 - lead].all()
    assert windows.readable[~inside & (windows.sample < 55 * 200)].all()


def test_one_lead_is_enough_to_tell(noisy: NDArray[np.float64]) -> None:
    assert unreadable_fraction(analysed(noisy[:, :1])) > 0.9


def test_a_lead_off_beside_a_noisy_one_is_unreadable(noisy: NDArray[np.float64]) -> None:
    noisy = noisy.copy()
    noisy[:, 1] = np.nan
    assert unreadable_fraction(analysed(noisy)) > 0.9


def test_given_r_peaks_are_all_kept(noisy: NDArray[np.float64]) -> None:
    given = np.arange(100, 44_000, 200)
    analysis = pipeline.analyse(recording_of(noisy, FS), all_normal, r_peaks=given)
    np.testing.assert_array_equal(analysis.beats.sample, given)


@pytest.mark.parametrize("gain", [1e-4, 1e4, -1.0])
def test_gain_polarity_and_offset_do_not_matter(
    noisy: NDArray[np.float64], in_noise: Analysis, gain: float
) -> None:
    values = (gain * (noisy + 3.0)).astype(np.float32)
    leads = ("II", "V1")  # not by recording_of, which asks about a unit that cannot be mV
    recording = Recording("any unit", FS, leads, len(values), lambda start, stop: values[start:stop])
    other = pipeline.analyse(recording, all_normal)
    np.testing.assert_allclose(other.unreadable, in_noise.unreadable, atol=2)
    assert len(other.beats) == len(in_noise.beats)


@pytest.mark.parametrize("block_s", [13.0, 47.0])
def test_blocks_of_any_size_find_the_same_noise(
    noisy: NDArray[np.float64], in_noise: Analysis, block_s: float
) -> None:
    cut = analysed(noisy, block_s=block_s)
    np.testing.assert_array_equal(cut.unreadable, in_noise.unreadable)
    np.testing.assert_array_equal(cut.beats.sample, in_noise.beats.sample)


@pytest.mark.parametrize("fs", [100.0, 360.0, 1000.0])
def test_the_sampling_rate_does_not_matter(fs: float) -> None:
    signal = patient(1, fs=fs)
    # Measured: 0.88 to 0.97; each rate has another draw of the noise.
    assert unreadable_fraction(analysed(disturbed(signal, snr_db=-18, fs=fs), fs)) > 0.85
    assert len(analysed(signal, fs).unreadable) == 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("seconds", [10, 30, 300])
def test_noise_alone_has_no_beat(seconds: int, seed: int) -> None:
    analysis = analysed(np.random.default_rng(seed).normal(size=(round(seconds * FS), 2)))
    assert len(analysis.beats) == 0
    # Measured: 0 s. Less than six candidates of noise, about 2 s, would not be marked.
    assert analysis.analysable_s < 0.1 * seconds


@pytest.mark.parametrize(
    ("snr_db", "least", "most"), [(6, 1.0, 1.0), (0, 0.5, 0.8), (-6, 0.0, 0.3), (-12, 0.0, 0.0)]
)
def test_the_stronger_the_noise_the_fewer_beats_are_confident(
    clean: NDArray[np.float64], snr_db: float, least: float, most: float
) -> None:
    # Measured: 1, 0.69, 0.20 and 0. The bounds between leave room for another draw of the noise.
    beats = analysed(disturbed(clean, snr_db=snr_db)).beats
    noisy = (beats.time_s > NOISE_S[0] + 2) & (beats.time_s < NOISE_S[1] - 2)
    assert least <= beats.confident[noisy].mean() <= most
    calm = (beats.time_s < NOISE_S[0] - 4) | (beats.time_s > NOISE_S[1] + 4)
    assert beats.confident[1:-1][
        calm[1:-1]
    ].all()  # the windows of the first and the last reach beyond the ends


def test_a_heart_that_stops_is_no_noise() -> None:
    # Twelve seconds between two beats, 5 uV of noise in them.
    times_s = [time_s for time_s in steady(60) if not 24 < time_s < 36]
    analysis = analysed(drawn(times_s, 60), 360.0)
    assert len(analysis.unreadable) == 0
    assert len(analysis.beats) == len(times_s)


def test_beats_a_tenth_as_high_for_a_while_are_no_noise() -> None:
    signal = drawn(steady(120), 120)
    signal[40 * 360 : 80 * 360] *= np.float32(0.1)
    assert len(analysed(signal, 360.0).unreadable) == 0


@pytest.mark.parametrize("rr_s", [0.26, 0.33, 0.45])
def test_a_long_ventricular_tachycardia_is_no_noise(rr_s: float) -> None:
    fast = [60 + rr_s * number for number in range(round(30 / rr_s))]
    times_s = [*(time_s for time_s in steady(120) if not 59.5 < time_s < 90.4), *fast]
    times_s.sort()
    wide = frozenset(number for number, time_s in enumerate(times_s) if 60 <= time_s < 90)
    assert len(analysed(drawn(times_s, 120, wide=wide), 360.0).unreadable) == 0


@pytest.mark.parametrize("hz", [3.3, 4.5, 6.5])
def test_ventricular_fibrillation_is_no_noise(hz: float) -> None:
    # Waves whose rate and height wander, in place of beats, from 60 s on.
    fs, rng = 360.0, np.random.default_rng(2)
    signal = drawn([time_s for time_s in steady(120) if time_s < 60], 120).astype(np.float64)
    n_samples = 60 * 360
    rate = hz * (1 + 0.1 * noise.band_noise(n_samples, 1, fs, (0.1, 1), rng))
    height = 0.4 * np.exp(0.3 * noise.band_noise(n_samples, 1, fs, (0.2, 1), rng))
    signal[-n_samples:] += height * np.sin(2 * np.pi * np.cumsum(rate, axis=0) / fs)
    # 5 s from either edge. Measured: 0 at each rate.
    assert unreadable_fraction(analysed(signal, fs), 65, 115) < 0.1


def test_the_sqi_is_high_in_a_clean_lead_low_in_noise_and_nan_without_a_lead() -> None:
    rng = np.random.default_rng(0)
    n = 60
    windows = np.repeat(rng.normal(size=(1, 2, 76)), n, axis=0)
    windows[:, 1] = rng.normal(size=(n, 76))
    strength = np.full((n, 2), 1.0)
    background = np.tile([0.02, 0.5], (n, 1))
    strength[:5, 1] = np.nan
    sqi = signal_to_noise.signal_quality_index(
        strength, background, windows, np.ones((n, 2)), beat=np.ones(n, dtype=bool)
    )
    # log 50 and the highest similarity that counts, arctanh 0.999; log 2 and what chance correlates.
    np.testing.assert_allclose(sqi[:, 0], np.log(50) + np.arctanh(0.999), rtol=1e-3)
    assert (sqi[5:, 1] < np.log(2) + 0.6).all()
    assert np.isnan(sqi[:5, 1]).all()


def unreadable(best: list[float]) -> str:
    """Return a letter per candidate, x where it is unreadable; the other of two leads is noisy throughout."""
    sqi = np.stack([best, np.full(len(best), 1.0)], axis=1)
    windows = np.random.default_rng(0).normal(size=(len(best), 2, 76))
    return "".join(np.where(signal_to_noise.unreadable(sqi, windows), "x", "."))


def test_an_unreadable_interval_extends_until_one_lead_is_above_the_second_limit() -> None:
    assert unreadable([9.0] * 3 + [2.5] * 4 + [2.0] + [2.5] * 2 + [9.0] * 2) == "...xxxxxxx.."
    assert unreadable([9.0] * 3 + [2.5] * 7 + [9.0] * 2) == "............"


def test_a_moment_of_noise_is_not_marked() -> None:
    assert unreadable([9.0] * 4 + [2.0] * 5 + [9.0] * 4) == "............."


def test_what_is_off_is_not_noise() -> None:
    windows = np.zeros((4, 2, 76))
    assert not signal_to_noise.unreadable(np.full((4, 2), np.nan), windows).any()


def test_waves_that_repeat_themselves_are_no_noise() -> None:
    time_s = np.arange(76) / 100
    waves = np.sin(2 * np.pi * (5 * time_s + np.random.default_rng(0).random((40, 1, 1))))
    assert not signal_to_noise.unreadable(np.full((40, 1), 1.0), waves).any()


@pytest.mark.parametrize("n_beats", [0, 1, 2, 7, 8, 30])
def test_any_number_of_beats_has_an_sqi(n_beats: int) -> None:
    windows = np.random.default_rng(0).normal(size=(n_beats, 1, 76))
    ones = np.ones((n_beats, 1))
    sqi = signal_to_noise.signal_quality_index(
        ones, ones / 30, windows, ones, beat=np.ones(n_beats, dtype=bool)
    )
    assert np.isfinite(sqi).all()


def test_each_candidate_in_noise_is_examined_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # The work grows with the candidates, and those with time: a day of noise costs a day's worth.
    examined, autocorrelation = [], signal_to_noise._autocorrelation

    def counted(windows: Floats) -> Floats:
        examined.append(len(windows))
        return np.asarray(autocorrelation(windows), dtype=np.float32)

    monkeypatch.setattr(signal_to_noise, "_autocorrelation", counted)
    monkeypatch.setattr(signal_to_noise, "_CHUNK", 100)
    sqi, windows = np.full((950, 2), 1.0), np.random.default_rng(0).normal(size=(950, 2, 76))
    sqi[300:400] = 9.0
    assert signal_to_noise.unreadable(sqi, windows).sum() == 850
    assert (sum(examined), max(examined)) == (850, 100)


def beats_of(record: Path) -> Samples:
    marks = read_annotations(record, "atr")
    return np.asarray(marks.sample[classes_of(marks.symbol) != ""])


def recorded(record: Path) -> Recording:
    """Return the leads of a record, read into memory."""
    return recording_of(np.asarray(rdrecord(str(record)).p_signal, dtype=np.float32), 360.0)


@pytest.mark.real
@pytest.mark.parametrize("name", ["119", "203", "207", "223"])
def test_no_annotated_beat_of_a_hard_record_lies_in_noise(mitdb: Path, name: str) -> None:
    # 203 is fibrillation with motion on both leads, 207 has flutter, 119 and 223 bigeminy and tachycardia.
    analysis = pipeline.analyse(recorded(mitdb / name), all_normal)
    beats = beats_of(mitdb / name)
    assert not [((beats >= start) & (beats < stop)).sum() for start, stop in analysis.unreadable.tolist()]


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "least", "most"), [("118e12", 1.0, 1.0), ("118e06", 0.5, 0.8), ("118e_6", 0.0, 0.2)]
)
def test_in_the_noise_stress_test_fewer_beats_are_confident_at_a_lower_ratio(
    nstdb: Path, name: str, least: float, most: float
) -> None:
    beats = pipeline.analyse(recorded(nstdb / name), all_normal).beats
    # From five minutes on, two minutes of noise and two without.
    noisy = (beats.time_s > 300) & ((beats.time_s - 300) % 240 < 120)
    noisy[-1] = False  # its window reaches beyond the end
    assert least <= beats.confident[noisy].mean() <= most
    # Small beats after noise of twice their size may be waves of a standstill: 20 s of 118e_6.
    # The window of the first beat reaches beyond the beginning.
    assert beats.confident[1:-1][~noisy[1:-1]].mean() >= (0.98 if name == "118e_6" else 1.0)
