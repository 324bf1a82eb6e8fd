"""Hum or noise of electrodes that are off is no signal; a flat line of electrodes that are on is asystole."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

import ectopy
from ectopy.datasets import simulate
from ectopy.ecg import Analysis
from ectopy.rhythm.findings import find_findings
from ectopy.rhythm.wording import Urgency

FS = 250.0
OFF_S = (60, 100)
KINDS = ("50 Hz", "60 Hz", "weak hum", "hum and drift", "harmonics", "clipped", "open input")


def patient(*, hum_mv: float = 0.0) -> NDArray[np.float64]:
    """Simulate two and a half minutes of sinus rhythm."""
    rng = np.random.default_rng(20)
    drawn = simulate.draw_patient(rng)
    noise = replace(drawn.noise, motion_share=0.0, baseline_mv=0.1, powerline_mv=hum_mv)
    drawn = replace(drawn, episodes_per_1000={}, af_share=0.0, noise=noise)
    recording = simulate.simulate(drawn, minutes=2.5, fs=FS, rng=rng).recording
    return recording.read(0, recording.n_samples).astype(np.float64)


def off(kind: str, seconds: float) -> NDArray[np.float64]:
    """Return what a recorder stores while its electrodes are off, one lead."""
    time_s = np.arange(round(seconds * FS)) / FS
    rng = np.random.default_rng(1)
    hum = np.sin(2 * np.pi * 50 * time_s)
    signal = {
        "50 Hz": hum,
        "60 Hz": np.sin(2 * np.pi * 60 * time_s),
        "weak hum": 0.3 * hum,
        "hum and drift": hum + 0.8 * np.sin(2 * np.pi * 0.1 * time_s),
        "harmonics": hum
        + 0.5 * np.sin(2 * np.pi * 100 * time_s + 2)
        + 0.3 * np.sin(2 * np.pi * 120 * time_s),
        "clipped": np.clip(6 * hum, -2, 2),
        "open input": rng.normal(scale=0.5, size=len(time_s)),
    }[kind]
    return np.asarray(signal + rng.normal(scale=0.005, size=len(time_s)))


def with_part(leads: list[int], part: NDArray[np.float64]) -> Analysis:
    """Replace the signal of some leads between OFF_S."""
    signal = patient()
    signal[round(OFF_S[0] * FS) : round(OFF_S[1] * FS), leads] = part[:, None]
    return ectopy.analyse(signal, fs=FS)


@pytest.mark.parametrize("kind", KINDS)
def test_electrodes_that_fall_off_are_no_asystole(kind: str) -> None:
    analysis = with_part([0, 1], off(kind, OFF_S[1] - OFF_S[0]))
    assert not analysis.events_of("pause")
    assert max(finding.urgency for finding in find_findings(analysis)) < Urgency.URGENT
    assert analysis.duration_s - analysis.analysable_s == pytest.approx(OFF_S[1] - OFF_S[0], abs=3)
    inside = (analysis.beats.time_s > OFF_S[0]) & (analysis.beats.time_s < OFF_S[1])
    assert not analysis.beats.confident[inside].any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_recording_without_electrodes_is_unreadable(kind: str) -> None:
    analysis = ectopy.analyse(off(kind, 60), fs=FS)
    assert not analysis.events
    assert analysis.analysable_s < 3


@pytest.mark.parametrize("kind", KINDS)
def test_one_lead_that_is_off_costs_no_beat_of_the_other(kind: str) -> None:
    analysis = with_part([1], off(kind, OFF_S[1] - OFF_S[0]))
    assert not analysis.events_of("pause")
    assert analysis.analysable_s == analysis.duration_s
    assert len(analysis.beats) == len(ectopy.analyse(patient(), fs=FS).beats)


@pytest.mark.parametrize("noise_mv", [0.005, 0.02])
@pytest.mark.parametrize("hum_mv", [0.0, 0.03])
def test_a_flat_line_with_the_usual_noise_is_still_asystole(noise_mv: float, hum_mv: float) -> None:
    time_s = np.arange(round((OFF_S[1] - OFF_S[0]) * FS)) / FS
    flat = np.random.default_rng(0).normal(scale=noise_mv, size=len(time_s))
    analysis = with_part([0, 1], flat + hum_mv * np.sin(2 * np.pi * 50 * time_s))
    (asystole,) = analysis.events_of("asystole")
    assert asystole.duration_s == pytest.approx(OFF_S[1] - OFF_S[0], abs=2)
    assert not analysis.events_of("pause")
    assert find_findings(analysis)[0].urgency == Urgency.URGENT


def test_hum_on_beats_hides_none() -> None:
    expected, found = (ectopy.analyse(patient(hum_mv=hum), fs=FS) for hum in (0.0, 0.5))
    assert len(found.unreadable) == 0
    assert len(found.beats) == pytest.approx(len(expected.beats), abs=1)


def test_a_burst_of_hum_does_not_excuse_an_asystole() -> None:
    flat = np.random.default_rng(0).normal(scale=0.01, size=round((OFF_S[1] - OFF_S[0]) * FS))
    flat[2000:3000] += off("50 Hz", 4)
    analysis = with_part([0, 1], flat)
    silent = analysis.events_of("pause") + analysis.events_of("asystole")
    assert sum(event.duration_s for event in silent) > 30  # hum may begin like a beat
    assert find_findings(analysis)[0].urgency == Urgency.URGENT
