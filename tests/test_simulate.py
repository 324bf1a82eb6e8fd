"""A simulated recording holds what its truth says, and nothing is left to chance but the seed."""

import hashlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import wfdb

from ectopy.annotations import Annotations, read_annotations
from ectopy.datasets import simulate
from ectopy.ecg import Labels, Mask, Samples, Signal

FS = simulate.DEFAULT_FS


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def healthy() -> simulate.Patient:
    """A patient without extra beats, on a recorder without noise."""
    patient = simulate.draw_patient(rng(3))
    return replace(patient, episodes_per_1000={}, noise=simulate.NO_NOISE, af_share=0.0, f_wave_mv=0.0)


def recorded(
    patient: simulate.Patient, *, minutes: float = 5.0, seed: int = 0
) -> tuple[Signal, Samples, Labels]:
    simulated = simulate.simulate(patient, minutes=minutes, rng=rng(seed))
    recording, annotations = simulated.recording, simulated.annotations
    beat = annotations.symbol != "+"
    return recording.read(0, recording.n_samples), annotations.sample[beat], annotations.symbol[beat]


def run_lengths(symbols: Labels, letter: str) -> list[int]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], symbols == letter, [False]])))
    return [int(length) for length in edges[1::2] - edges[::2]]


def test_one_seed_gives_one_recording() -> None:
    first, second = (recorded(simulate.draw_patient(rng(7)), minutes=1) for _ in range(2))
    for ours, theirs in zip(first, second, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_another_seed_gives_another_recording() -> None:
    patient = simulate.draw_patient(rng(7))
    assert not np.array_equal(recorded(patient, seed=1)[0], recorded(patient, seed=2)[0])


def test_patients_differ_in_shape_rate_and_habits() -> None:
    patients = [simulate.draw_patient(rng(seed)) for seed in range(60)]
    assert len({patient.timing.rr_s for patient in patients}) == 60
    assert {len(patient.shapes.foci) for patient in patients} == {1, 2}
    assert {patient.af_share for patient in patients} == {0.0, 0.3, 0.6}
    assert {name for patient in patients for name in patient.episodes_per_1000} == set(simulate.PATTERNS)


@pytest.mark.parametrize(("minutes", "fs"), [(0.5, 250), (1.0, 360), (0.1, 1000)])
def test_a_recording_is_as_long_and_as_fine_as_asked(
    healthy: simulate.Patient, minutes: float, fs: float
) -> None:
    simulated = simulate.simulate(healthy, minutes=minutes, fs=fs, rng=rng())
    assert simulated.recording.n_samples == round(minutes * 60 * fs)
    assert simulated.recording.fs == fs
    assert simulated.recording.leads == ("MLII", "V1")


def test_a_recording_shorter_than_a_beat_has_none(healthy: simulate.Patient) -> None:
    seldom = replace(healthy, timing=replace(healthy.timing, rr_s=60.0))
    signal, beats, _ = recorded(seldom, minutes=0.01, seed=1)
    assert signal.shape == (216, 2)
    assert len(beats) == 0


def test_a_healthy_patient_has_normal_beats_at_their_own_rate(healthy: simulate.Patient) -> None:
    _, beats, symbols = recorded(healthy)
    assert set(symbols) == {"N"}
    # Breathing and drift sway the rate by some per cent and leave the mean.
    assert np.diff(beats).mean() / FS == pytest.approx(healthy.timing.rr_s, rel=0.05)


def test_a_healthy_heart_breathes() -> None:
    """RR intervals sway with the breath, by as much as the patient's swing."""
    patient = replace(simulate.draw_patient(rng(3)), episodes_per_1000={}, af_share=0.0)
    calm, deep = (
        recorded(replace(patient, timing=replace(patient.timing, breath_amplitude=swing)))[1]
        for swing in (0.0, 0.1)
    )
    assert np.diff(deep).std() > 1.5 * np.diff(calm).std()


@pytest.mark.parametrize("seed", range(6))
def test_every_beat_is_marked_at_the_extreme_of_its_qrs(seed: int) -> None:
    patient = replace(simulate.draw_patient(rng(seed)), noise=simulate.NO_NOISE, f_wave_mv=0.0)
    signal, beats, symbols = recorded(patient)
    inside = (beats > 40) & (beats < len(signal) - 40)
    windows = signal[beats[inside][:, None] + np.arange(-18, 19), 0]  # 50 ms either side
    off = np.abs(np.argmax(np.abs(windows), axis=1) - 18)
    # T waves of the beat before may lean on an early beat; 20 ms is 7 samples.
    assert off.max() <= 7
    assert (off[symbols[inside] == "N"] <= 1).mean() > 0.99


def test_beats_stand_in_order_inside_the_recording() -> None:
    signal, beats, _ = recorded(simulate.draw_patient(rng(5)), minutes=10)
    assert beats[0] >= 0
    assert beats[-1] < len(signal)
    # Nothing beats faster than 214 a minute: half a sample of rounding at either end.
    assert np.diff(beats).min() >= simulate._SHORTEST_RR_S * FS - 1


@pytest.mark.parametrize(
    ("habit", "letter", "lengths"),
    [
        ("single PVC", "V", {1}),
        ("couplet", "V", {2}),
        ("ventricular run", "V", set(range(3, 11))),
        ("bigeminy", "V", {1}),
        ("trigeminy", "V", {1}),
        ("single PAC", "A", {1}),
        ("atrial couplet", "A", {2}),
        ("atrial run", "A", set(range(3, 13))),
    ],
)
def test_extra_beats_come_in_the_company_of_their_pattern(
    healthy: simulate.Patient, habit: str, letter: str, lengths: set[int]
) -> None:
    _, _, symbols = recorded(replace(healthy, episodes_per_1000={habit: 3.0}), minutes=10)
    found = run_lengths(symbols[1:-1], letter)
    assert found
    assert set(found) <= lengths


def test_in_bigeminy_every_second_beat_is_ventricular(healthy: simulate.Patient) -> None:
    _, _, symbols = recorded(replace(healthy, episodes_per_1000={"bigeminy": 5.0}), minutes=10)
    assert "VNVNVN" in "".join(symbols)
    assert "VV" not in "".join(symbols)


def test_in_trigeminy_every_third_beat_is_ventricular(healthy: simulate.Patient) -> None:
    _, _, symbols = recorded(replace(healthy, episodes_per_1000={"trigeminy": 5.0}), minutes=10)
    assert "VNNVNNVNN" in "".join(symbols)


def test_a_recording_may_end_in_the_middle_of_an_episode(healthy: simulate.Patient) -> None:
    """Runs so frequent that one reaches beyond the last beat whatever the seed."""
    runs = replace(healthy, episodes_per_1000={"ventricular run": 500.0, "bigeminy": 500.0})
    for seed in range(20):
        _, _, symbols = recorded(runs, minutes=0.1, seed=seed)
        assert set(symbols[1:]) <= {"N", "V"}


def test_habits_count_episodes_in_1000_beats(healthy: simulate.Patient) -> None:
    _, _, symbols = recorded(replace(healthy, episodes_per_1000={"single PVC": 50.0}), minutes=30)
    # Poisson with mean 50 in 1000, over some 2000 beats: 4 standard deviations are 0.02.
    assert (symbols == "V").mean() == pytest.approx(0.05, abs=0.02)


def test_a_ventricular_beat_is_early_and_its_pause_compensates(healthy: simulate.Patient) -> None:
    still = replace(
        healthy, timing=replace(healthy.timing, breath_amplitude=0.0), episodes_per_1000={"single PVC": 20.0}
    )
    _, beats, symbols = recorded(still, minutes=30)
    pvc = np.flatnonzero(symbols[1:-1] == "V") + 1
    before, after = (beats[pvc] - beats[pvc - 1]) / FS, (beats[pvc + 1] - beats[pvc]) / FS
    assert (before < 0.9 * still.timing.rr_s).all()
    # The sinus node keeps its time: both intervals together are two of its own.
    assert np.mean(before + after) == pytest.approx(2 * still.timing.rr_s, rel=0.05)


def test_an_atrial_beat_is_early_and_resets_the_sinus_node(healthy: simulate.Patient) -> None:
    _, beats, symbols = recorded(replace(healthy, episodes_per_1000={"single PAC": 20.0}), minutes=30)
    pac = np.flatnonzero(symbols[1:-1] == "A") + 1
    both = (beats[pac + 1] - beats[pac - 1]) / FS
    assert np.mean(both) < 1.95 * healthy.timing.rr_s


def mean_beat(signal: Signal, beats: Samples, before_s: float, after_s: float) -> Signal:
    inside = beats[(beats > before_s * FS) & (beats < len(signal) - after_s * FS)]
    grid = np.arange(-round(before_s * FS), round(after_s * FS))
    return np.asarray(signal[inside[:, None] + grid].mean(axis=0))


def test_a_ventricular_beat_is_wider_than_a_normal_one(healthy: simulate.Patient) -> None:
    signal, beats, symbols = recorded(replace(healthy, episodes_per_1000={"single PVC": 20.0}))
    widths = []
    for letter in "NV":
        beat = np.abs(mean_beat(signal, beats[symbols == letter], 0.1, 0.1)[:, 0])
        widths.append((beat > beat.max() / 2).sum())
    assert widths[1] > 1.5 * widths[0]


def test_an_atrial_beat_has_a_p_wave_of_its_own(healthy: simulate.Patient) -> None:
    patient = replace(healthy, episodes_per_1000={"single PAC": 20.0}, aberrancy=0.0)
    signal, beats, symbols = recorded(patient)
    p_of = {letter: mean_beat(signal, beats[symbols == letter], 0.2, 0)[:50, 0] for letter in "NA"}
    qrs_of = {letter: mean_beat(signal, beats[symbols == letter], 0.03, 0.03)[:, 0] for letter in "NA"}
    # T waves of the beat before reach into the P window of an early beat, hardly into its QRS.
    assert np.abs(p_of["N"] - p_of["A"]).max() > 0.05 * patient.r_mv
    assert np.corrcoef(qrs_of["N"], qrs_of["A"])[0, 1] > 0.98


def test_an_aberrant_atrial_beat_is_wider(healthy: simulate.Patient) -> None:
    narrow, wide = (
        replace(healthy, episodes_per_1000={"single PAC": 20.0}, aberrancy=share) for share in (0.0, 1.0)
    )
    widths = []
    for patient in (narrow, wide):
        signal, beats, symbols = recorded(patient)
        beat = np.abs(mean_beat(signal, beats[symbols == "A"], 0.05, 0.05)[:, 0])
        widths.append((beat > beat.max() / 2).sum())
    assert widths[1] > 1.2 * widths[0]


def test_a_pause_lasts_over_two_seconds(healthy: simulate.Patient) -> None:
    _, beats, _ = recorded(replace(healthy, episodes_per_1000={"pause": 5.0}), minutes=10)
    rr_s = np.diff(beats) / FS
    assert ((rr_s > 2.0) & (rr_s < 4.0)).sum() > 0
    assert not ((rr_s > 1.5 * healthy.timing.rr_s) & (rr_s < 2.0)).any()


def fibrillating_beats(annotations: Annotations) -> Mask:
    """Whether each beat lies after ``(AFIB`` and before the next mark."""
    state, states = False, []
    for symbol, aux in zip(annotations.symbol, annotations.aux, strict=True):
        if symbol == "+":
            state = aux == "(AFIB"
        else:
            states.append(state)
    return np.array(states)


def test_fibrillation_is_marked_irregular_and_without_p_waves(healthy: simulate.Patient) -> None:
    patient = replace(healthy, af_share=0.5, timing=replace(healthy.timing, breath_amplitude=0.01))
    annotations = simulate.simulate(patient, minutes=30, rng=rng(2)).annotations
    signal, beats, _ = recorded(patient, minutes=30, seed=2)
    af = fibrillating_beats(annotations)
    assert 0.2 < af.mean() < 0.8
    rr_s = np.diff(beats) / FS
    spread = {state: (rr_s[af[1:] == state].std() / rr_s[af[1:] == state].mean()) for state in (True, False)}
    assert spread[True] > 0.15 > spread[False]
    p_height = {}
    for state in (True, False):
        early = mean_beat(signal, beats[af == state], 0.25, 0)[:, 0]
        p_height[state] = early[: round(0.2 * FS)].max() - early[: round(0.03 * FS)].mean()
    assert p_height[False] > 2 * p_height[True]


def test_fine_waves_fill_fibrillation_alone(healthy: simulate.Patient) -> None:
    patient = replace(healthy, af_share=0.5, f_wave_mv=0.1)
    with_waves = recorded(patient, minutes=5, seed=2)[0]
    without = recorded(replace(patient, f_wave_mv=0.0), minutes=5, seed=2)[0]
    difference = with_waves - without
    annotations = simulate.simulate(patient, minutes=5, rng=rng(2)).annotations
    marks = annotations.sample[annotations.symbol == "+"]
    texts = [aux for aux in annotations.aux if aux]
    assert "(AFIB" in texts
    for text, start, stop in zip(texts, marks, [*marks[1:], len(difference)], strict=True):
        inside = difference[start + 2 * round(FS) : stop - 2 * round(FS)]
        if text == "(N":
            assert not inside.any()
        elif len(inside):
            assert inside[:, 1].std() == pytest.approx(0.1, rel=0.3)


def test_atrial_extra_beats_do_not_arise_in_fibrillation(healthy: simulate.Patient) -> None:
    patient = replace(healthy, af_share=0.5, episodes_per_1000={"single PAC": 50.0, "single PVC": 50.0})
    annotations = simulate.simulate(patient, minutes=30, rng=rng(2)).annotations
    symbols = annotations.symbol[annotations.symbol != "+"]
    af = fibrillating_beats(annotations)
    assert set(symbols[af]) == {"N", "V"}
    assert set(symbols[~af]) == {"N", "A", "V"}


def test_a_rhythm_is_marked_at_the_start_and_at_each_change(healthy: simulate.Patient) -> None:
    annotations = simulate.simulate(replace(healthy, af_share=0.5), minutes=30, rng=rng(2)).annotations
    texts = [aux for aux in annotations.aux if aux]
    assert annotations.symbol[0] == "+"
    assert len(texts) > 2
    assert all(now != then for now, then in pairwise(texts))


@pytest.mark.parametrize(
    ("noise", "rms_mv"),
    [
        (simulate.Noise(baseline_mv=0.2), 0.2),
        (simulate.Noise(motion_mv=0.3, motion_share=1 - 1e-9), 0.3),
        (simulate.Noise(powerline_mv=0.1), 0.1),
    ],
)
def test_noise_is_as_strong_as_said(healthy: simulate.Patient, noise: simulate.Noise, rms_mv: float) -> None:
    noisy, clean = (recorded(replace(healthy, noise=kind))[0] for kind in (noise, simulate.NO_NOISE))
    assert np.sqrt(np.mean((noisy - clean) ** 2)) == pytest.approx(rms_mv, rel=0.05)


def test_muscle_noise_is_fast_and_baseline_wander_slow(healthy: simulate.Patient) -> None:
    def share_below_10_hz(noise: simulate.Noise) -> float:
        difference = np.subtract(
            *(recorded(replace(healthy, noise=kind))[0][:, 0] for kind in (noise, simulate.NO_NOISE))
        )
        power = np.abs(np.fft.rfft(difference)) ** 2
        return float(power[np.fft.rfftfreq(len(difference), 1 / FS) < 10].sum() / power.sum())

    assert share_below_10_hz(simulate.Noise(muscle_mv=0.1)) < 0.05
    assert share_below_10_hz(simulate.Noise(baseline_mv=0.1)) > 0.99


def test_motion_comes_and_goes(healthy: simulate.Patient) -> None:
    noise = simulate.Noise(motion_mv=0.3, motion_share=0.1)
    noisy, clean = (
        recorded(replace(healthy, noise=kind), minutes=30)[0] for kind in (noise, simulate.NO_NOISE)
    )
    # Thirty minutes hold some 18 spells of ten seconds: their share is 0.1 within a factor of two.
    assert 0.05 < ((noisy - clean) != 0).any(axis=1).mean() < 0.2


def test_samples_are_those_of_a_12_bit_recorder(healthy: simulate.Patient) -> None:
    signal = recorded(replace(healthy, r_mv=30.0))[0]
    assert np.abs(signal).max() == simulate.LIMIT_MV
    steps = signal * simulate.STEPS_PER_MV
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)


def test_what_is_written_reads_back_sample_for_sample(tmp_path: Path) -> None:
    simulated = simulate.simulate(simulate.draw_patient(rng(4)), minutes=1, rng=rng(), name="s1")
    header = simulate.write(simulated, tmp_path)
    assert header == tmp_path / "s1.hea"
    read = wfdb.rdrecord(str(tmp_path / "s1"))
    assert (read.fs, read.sig_name, read.fmt) == (360, ["MLII", "V1"], ["212", "212"])
    np.testing.assert_array_equal(read.p_signal.astype(np.float32), simulated.recording.read(0, read.sig_len))


def test_the_truth_reads_back_mark_for_mark(tmp_path: Path) -> None:
    simulated = simulate.simulate(simulate.draw_patient(rng(4)), minutes=5, rng=rng(), name="s1")
    simulate.write(simulated, tmp_path)
    read = read_annotations(tmp_path / "s1", "atr")
    np.testing.assert_array_equal(read.sample, simulated.annotations.sample)
    np.testing.assert_array_equal(read.symbol, simulated.annotations.symbol)
    assert read.aux == simulated.annotations.aux


def test_a_database_is_laid_out_as_physionet_lays_out_its_own(tmp_path: Path) -> None:
    folder = simulate.simulate_database(tmp_path, recordings=2, minutes=0.2, seed=5)
    assert folder == tmp_path / "simdb" / "1.0.0"
    assert (folder / "RECORDS").read_text().split() == ["s5-001", "s5-002"]
    assert (folder / "ANNOTATORS").read_text().startswith("atr\t")
    lines = (folder / "SHA256SUMS.txt").read_text().splitlines()
    sums = {name: sha256 for sha256, name in (line.split(" ") for line in lines)}
    assert set(sums) == {path.name for path in folder.iterdir()} - {"SHA256SUMS.txt"}
    for name, expected in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected


def test_a_patient_stays_the_same_whatever_number_is_asked_for(tmp_path: Path) -> None:
    few = simulate.simulate_database(tmp_path / "few", recordings=1, minutes=0.2, seed=5)
    many = simulate.simulate_database(tmp_path / "many", recordings=3, minutes=0.2, seed=5)
    for suffix in ("hea", "dat", "atr"):
        assert (few / f"s5-001.{suffix}").read_bytes() == (many / f"s5-001.{suffix}").read_bytes()
