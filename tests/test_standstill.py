"""After the last QRS complex, P waves are no beats; beats that become smaller are."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ectopy.beats import detection
from ectopy.beats.detection import DetectedBeats
from ectopy.ecg import Signal, recording_of
from ectopy.readers import open_recording
from tests.drawn_ecg import FS, WAVES, Waves, sketched, steady

BEFORE_S, AFTER_S = 40.0, 30.0


def detected(signal: Signal) -> DetectedBeats:
    return detection.detect_beats(recording_of(signal, FS), range(signal.shape[1]))


def two_leads(r_peaks_s: dict[Waves, Sequence[float]], seconds: float) -> Signal:
    second = {tuple((c, w, -0.6 * h) for c, w, h in waves): at for waves, at in r_peaks_s.items()}
    return np.hstack([sketched(r_peaks_s, seconds), sketched(second, seconds)])


@pytest.mark.parametrize("standstill_s", [3.0, 10.0, 30.0, 180.0])
@pytest.mark.parametrize(("height", "width"), [(0.05, 0.022), (0.15, 0.022), (0.25, 0.02)])
@pytest.mark.parametrize("n_leads", [1, 2])
def test_p_waves_during_a_standstill_are_no_beats(
    standstill_s: float, height: float, width: float, n_leads: int
) -> None:
    end_s = BEFORE_S + standstill_s
    beats_s = [time_s for time_s in steady(end_s + AFTER_S) if not BEFORE_S < time_s < end_s]
    p_waves_s = np.arange(BEFORE_S + 0.2, end_s - 0.2, 0.75).tolist()
    signal = two_leads({WAVES: beats_s, ((0.0, width, height),): p_waves_s}, end_s + AFTER_S)
    time_s = detected(signal[:, :n_leads]).windows.sample / 200
    assert len(time_s) == len(beats_s)
    np.testing.assert_allclose(time_s, beats_s, atol=0.02)


def test_p_waves_at_the_end_of_a_recording_are_no_beats() -> None:
    beats_s = steady(BEFORE_S)
    p_waves_s = np.arange(BEFORE_S + 0.2, 100, 0.8).tolist()
    signal = sketched({WAVES: beats_s, ((0.0, 0.022, 0.2),): p_waves_s}, 100)
    assert len(detected(signal).windows) == len(beats_s)


@pytest.mark.parametrize("size", [0.1, 0.4])
@pytest.mark.parametrize("change", ["drop", "drop slowly", "grow"])
def test_beats_that_change_their_size_are_all_found(size: float, change: str) -> None:
    beats_s = steady(120)
    signal = two_leads({WAVES: beats_s}, 120)
    after_s = np.arange(len(signal))[:, None] / FS - 60
    gain = {
        "drop": np.where(after_s > 0, size, 1),
        "drop slowly": np.clip(1 - (1 - size) * after_s / 30, size, 1),
        "grow": np.where(after_s > 0, 1, size),
    }[change]
    found = detected((signal * gain).astype(np.float32))
    np.testing.assert_allclose(found.windows.sample / 200, beats_s, atol=0.02)
    assert not found.low_quality.any()


def test_beats_after_artefacts_of_many_times_their_size_are_found() -> None:
    # Artefacts are no measure of how large beats are.
    rng = np.random.default_rng(0)
    beats_s = steady(120)
    signal = 0.1 * sketched({WAVES: beats_s}, 120)
    pops = np.flatnonzero(rng.random(60 * round(FS)) < 1.5 / FS)
    for pop in pops.tolist():
        length = min(round(FS * rng.uniform(0.05, 0.3)), 60 * round(FS) - pop)
        signal[pop : pop + length, 0] += rng.normal(0, 3)
    found = detected(signal)
    time_s = found.windows.sample / 200
    late_s = np.array([time_s for time_s in beats_s if time_s > 70])
    assert np.abs(time_s[:, None] - late_s).min(axis=0).max() <= 0.03


@pytest.mark.parametrize("seconds", [2.0, 6.0])
def test_few_beats_are_no_measure_and_all_of_them_stay(seconds: float) -> None:
    assert len(detected(sketched({WAVES: steady(seconds)}, seconds)).windows) == len(steady(seconds))


def test_a_recording_without_beats_has_none() -> None:
    assert len(detected(np.zeros((5000, 1), dtype=np.float32)).windows) == 0


def test_a_lead_of_small_beats_in_noise_does_not_hide_a_standstill() -> None:
    # As in a lead V1 of 0.1 mV beside a clear lead II: its noise is 5 % of its beats, that of both is 1 %.
    beats_s = [time_s for time_s in steady(100) if not BEFORE_S < time_s < 70]
    p_waves_s = np.arange(BEFORE_S + 0.2, 69.8, 0.8).tolist()
    signal = two_leads({WAVES: beats_s, ((0.0, 0.03, 0.05),): p_waves_s}, 100) * np.array([1, 0.12])
    noise = np.random.default_rng(0).normal(0, 0.006, signal.shape)
    found = detected((signal + noise).astype(np.float32)).windows.sample / 200
    np.testing.assert_allclose(found, beats_s, atol=0.02)


@pytest.mark.parametrize("noise_mv", [0.01, 0.03, 0.06])
def test_p_waves_in_the_noise_of_everyday_are_no_beats(noise_mv: float) -> None:
    beats_s = [time_s for time_s in steady(100) if not BEFORE_S < time_s < 70]
    p_waves_s = np.arange(BEFORE_S + 0.2, 69.8, 0.8).tolist()
    signal = sketched({WAVES: beats_s, ((0.0, 0.03, 0.12),): p_waves_s}, 100)
    noisy = (signal + np.random.default_rng(1).normal(0, noise_mv, signal.shape)).astype(np.float32)
    found = detected(noisy).windows.sample / 200
    assert [time_s for time_s in found if 41 < time_s < 69] == []


@pytest.mark.real
def test_one_lead_has_its_beats_between_intervals_of_noise(nstdb: Path) -> None:
    recording = open_recording(nstdb / "118e_6")
    lead = replace(recording, leads=recording.leads[:1], read=lambda a, b: recording.read(a, b)[:, :1])
    minute = (detection.detect_beats(lead, [0]).windows.sample / 200 / 60).astype(int)
    clean = [minute for minute in range(29) if minute < 5 or (minute - 5) // 2 % 2]
    assert min(np.bincount(minute, minlength=30)[clean]) >= 55
