"""Lost packets cost beats, and make none: no ventricular run, no pause, no confident ectopic beat.

The patients have sinus rhythm without an ectopic beat, unless stated otherwise. A receiver loses packets and
leaves them out or fills them in.
"""

from dataclasses import replace

import numpy as np
import pytest

import ectopy
from ectopy.datasets import simulate
from ectopy.ecg import Analysis, Samples, Signal
from ectopy.features.extraction import FEATURE_NAMES, extract_features
from ectopy.pipeline import prepare
from ectopy.rhythm.findings import find_findings
from ectopy.rhythm.wording import Urgency

FILLS = ("missing", "zeros", "last value", "rail", "mean")
FALSE_EVENTS = {"vt", "idioventricular_rhythm", "veb_couplet", "pause", "r_on_t", "sv_run", "af"}


def sinus(seed: int, fs: float, *, leads: int, pvc_per_1000: float = 0.0) -> tuple[Signal, Samples]:
    """Simulate four minutes of sinus rhythm; return the ventricular beats too."""
    rng = np.random.default_rng(seed)
    patient = simulate.draw_patient(rng)
    patient = replace(
        patient,
        episodes_per_1000={"single PVC": pvc_per_1000} if pvc_per_1000 else {},
        af_share=0.0,
        noise=replace(patient.noise, motion_share=0.0, baseline_mv=0.1),
    )
    simulated = simulate.simulate(patient, minutes=4, fs=fs, rng=rng)
    signal = simulated.recording.read(0, simulated.recording.n_samples)[:, :leads]
    annotations = simulated.annotations
    return signal, annotations.sample[annotations.symbol == "V"]


def lose(signal: Signal, fs: float, *, one_in: int, length_s: float, fill: str, seed: int = 0) -> Signal:
    """Lose one packet in so many."""
    signal, n = signal.copy(), round(length_s * fs)
    mean = np.median(signal, axis=0)
    lost = np.random.default_rng(seed).random(len(signal) // n) < 1 / one_in
    for start in (np.flatnonzero(lost[1:]) + 1) * n:
        values = {"missing": np.nan, "zeros": 0.0, "last value": signal[start - 1], "rail": 5.0, "mean": mean}
        signal[start : start + n] = values[fill]
    return signal


def assert_nothing_is_made_up(analysis: Analysis, *, at_most: int) -> None:
    ectopic = np.isin(analysis.beats.label, ("V", "F", "S"))
    assert ectopic.sum() <= at_most
    assert not (ectopic & analysis.beats.confident).any()
    assert not FALSE_EVENTS & {event.kind for event in analysis.events}
    assert max(finding.urgency for finding in find_findings(analysis)) < Urgency.IMPORTANT


@pytest.mark.parametrize("offset_mv", [0.0, -0.8])
@pytest.mark.parametrize("one_in", [40, 10])
@pytest.mark.parametrize("fill", FILLS)
def test_a_wearable_at_130_hz_that_loses_packets_of_half_a_second_has_no_ectopic_beat(
    fill: str, one_in: int, offset_mv: float
) -> None:
    signal, _ = sinus(20, 130.0, leads=1)
    lost = lose(signal + np.float32(offset_mv), 130.0, one_in=one_in, length_s=0.56, fill=fill)
    assert_nothing_is_made_up(ectopy.analyse(lost, fs=130.0), at_most=0)


@pytest.mark.parametrize("case", range(20))
def test_no_rate_of_loss_length_of_packets_or_sampling_rate_makes_beats(case: int) -> None:
    rng = np.random.default_rng(case)
    fs, leads = float(rng.choice([125, 200, 360, 500, 1000])), int(rng.integers(1, 3))
    signal, _ = sinus(100 + case, fs, leads=leads)
    signal = signal + np.float32(rng.uniform(-1, 1))
    length_s = float(np.exp(rng.uniform(np.log(0.1), np.log(2))))
    lost = lose(
        signal,
        fs,
        one_in=int(rng.choice([100, 30, 10, 4])),
        length_s=length_s,
        fill=FILLS[case % 5],
        seed=case,
    )
    assert_nothing_is_made_up(ectopy.analyse(lost, fs=fs), at_most=2)


@pytest.mark.parametrize("fill", FILLS)
def test_ventricular_beats_beside_a_loss_are_still_found(fill: str) -> None:
    signal, ventricular = sinus(31, 250.0, leads=2, pvc_per_1000=300)
    lost = lose(signal, 250.0, one_in=10, length_s=0.3, fill=fill)
    gone = np.isnan(lose(signal, 250.0, one_in=10, length_s=0.3, fill="missing")[:, 0])
    kept = np.array([not gone[max(at - 50, 0) : at + 50].any() for at in ventricular])
    beats = ectopy.analyse(lost, fs=250.0).beats
    found = beats.sample[np.isin(beats.label, ("V", "F"))]
    distance = np.abs(found[:, None] - ventricular)
    assert kept.sum() > 10
    assert (distance.min(axis=0)[kept] < 40).mean() > 0.9
    assert (distance.min(axis=1) > 40).sum() <= 1


def test_one_lead_that_loses_packets_costs_the_other_no_beat() -> None:
    signal, _ = sinus(25, 250.0, leads=2)
    expected = ectopy.analyse(signal, fs=250.0)
    lost = signal.copy()
    lost[:, 0] = lose(signal[:, :1], 250.0, one_in=10, length_s=0.56, fill="zeros")[:, 0]
    analysis = ectopy.analyse(lost, fs=250.0)
    assert_nothing_is_made_up(analysis, at_most=0)
    assert len(analysis.unreadable) == 0
    assert len(analysis.beats) == pytest.approx(len(expected.beats), abs=2)
    assert np.isfinite(analysis.rr_s).mean() > 0.9


def test_an_interval_across_a_gap_makes_no_beat_early_or_late() -> None:
    signal, _ = sinus(25, 250.0, leads=1)
    signal = signal.copy()
    signal[20_000:20_400] = np.nan  # 1.6 s, two beats
    analysis = ectopy.analyse(signal, fs=250.0)
    after = int(np.searchsorted(analysis.beats.sample, 20_400))
    assert np.isnan(analysis.rr_s[after])
    assert analysis.beats.rr_s[after] > 1.6
    prepared = prepare(ectopy.recording_of(signal, 250.0))
    features = extract_features(prepared.windows)
    relative = features[:, FEATURE_NAMES.index("rr over local median")]
    assert np.abs(relative[after - 1 : after + 2]).max() < 0.15
    assert prepared.windows.after_gap.nonzero()[0].tolist() == [after]


def test_beats_beside_a_gap_are_not_confident_and_the_others_are() -> None:
    signal, _ = sinus(25, 250.0, leads=1)
    signal = signal.copy()
    signal[20_000:20_250] = np.nan
    beats = ectopy.analyse(signal, fs=250.0).beats
    near = (beats.sample > 20_000 - 130) & (beats.sample < 20_250 + 90)
    assert near.sum() >= 1
    assert not beats.confident[near].any()
    assert beats.confident[(beats.sample < 19_800) | (beats.sample > 20_400)].mean() > 0.98
