"""Features are relative to the patient: units, gain, polarity and time of day do not matter."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ectopy.beats.windows import BEFORE
from ectopy.ecg import Mask, Samples, Signal
from ectopy.features import extraction as f
from ectopy.features import morphology
from ectopy.signal.filters import WORKING_FS

RR = round(0.8 * WORKING_FS)


def wave(at_s: float, width_s: float, height: float, time_s: NDArray[np.float64]) -> NDArray[np.float64]:
    return height * np.exp(-0.5 * ((time_s - at_s) / width_s) ** 2)


def beat(*, wide: bool = False) -> NDArray[np.float64]:
    """P, QRS and T over 1.2 s, the R peak at 0.6 s; a wide one has no P wave and a T wave turned over."""
    time_s = np.arange(round(1.2 * WORKING_FS)) / WORKING_FS
    if wide:
        return wave(0.6, 0.04, 1.4, time_s) + wave(0.9, 0.05, -0.3, time_s)
    return wave(0.44, 0.02, 0.1, time_s) + wave(0.6, 0.012, 1.0, time_s) + wave(0.87, 0.05, 0.2, time_s)


def ecg(sample: Samples, wide: Mask | None = None, *, n_leads: int = 2) -> Signal:
    """Clean signal with a beat at each sample, and a little noise of its own in each lead."""
    wide = np.zeros(len(sample), dtype=bool) if wide is None else wide
    half = round(0.6 * WORKING_FS)
    signal = np.zeros((int(sample[-1]) + 2 * half, n_leads))
    for at, is_wide in zip(sample, wide, strict=True):
        start = max(0, at - half)
        shape = beat(wide=bool(is_wide))[start - (at - half) :]
        signal[start : start + len(shape)] += shape[:, None] * np.linspace(1, 0.6, n_leads)
    noise = 0.005 * np.random.default_rng(0).normal(size=signal.shape)
    return np.asarray(signal + noise, dtype=np.float32)


def windows_of(signal: Signal, sample: Samples) -> f.BeatWindows:
    return f.cut_windows(signal, np.ones(signal.shape, dtype=bool), sample)


def steady(n_beats: int = 60) -> Samples:
    return 200 + RR * np.arange(n_beats)


def with_early(sample: Samples, *which: int) -> Samples:
    """Bring some beats forward by a third of an RR; the next ones come when they would have."""
    moved = sample.copy()
    moved[list(which)] -= RR // 3
    return moved


def column(x: f.Floats, name: str) -> f.Floats:
    return x[:, f.FEATURE_NAMES.index(name)]


@pytest.fixture
def ordinary() -> tuple[Signal, Samples, Mask]:
    """A patient with two wide early beats and one narrow early beat among sixty."""
    sample = with_early(steady(), 20, 30, 40)
    wide = np.isin(np.arange(60), [20, 40])
    return ecg(sample, wide), sample, wide


@pytest.mark.parametrize("gain", [1e-4, 1e-2, 1e2, 1e4])
def test_the_gain_of_the_recorder_changes_nothing(
    ordinary: tuple[Signal, Samples, Mask], gain: float
) -> None:
    signal, sample, _ = ordinary
    expected = f.extract_features(windows_of(signal, sample))
    np.testing.assert_allclose(
        f.extract_features(windows_of(signal * np.float32(gain), sample)), expected, atol=0.02
    )


def test_polarity_changes_nothing(ordinary: tuple[Signal, Samples, Mask]) -> None:
    signal, sample, _ = ordinary
    expected = f.extract_features(windows_of(signal, sample))
    np.testing.assert_allclose(f.extract_features(windows_of(-signal, sample)), expected, atol=1e-3)


def test_the_time_of_day_changes_nothing(ordinary: tuple[Signal, Samples, Mask]) -> None:
    signal, sample, _ = ordinary
    windows = windows_of(signal, sample)
    later = replace(windows, sample=windows.sample + 24 * 3600 * round(WORKING_FS))
    np.testing.assert_array_equal(f.extract_features(later), f.extract_features(windows))


def test_there_is_one_name_a_column(ordinary: tuple[Signal, Samples, Mask]) -> None:
    signal, sample, _ = ordinary
    x = f.extract_features(windows_of(signal, sample))
    assert x.shape == (60, len(f.FEATURE_NAMES))
    assert x.dtype == np.float32
    assert len(set(f.FEATURE_NAMES)) == len(f.FEATURE_NAMES)


def test_swapped_leads_swap_their_columns(ordinary: tuple[Signal, Samples, Mask]) -> None:
    signal, sample, _ = ordinary
    x, swapped = (f.extract_features(windows_of(leads, sample)) for leads in (signal, signal[:, ::-1]))
    for name in f.MORPHOLOGY:
        np.testing.assert_allclose(
            column(x, f"lead 1: {name}"), column(swapped, f"lead 2: {name}"), rtol=1e-5
        )
    for name in (*f.TIMING, *f.ALL_LEADS, *f.CLUSTER):
        np.testing.assert_allclose(column(x, name), column(swapped, name), atol=1e-4)


def test_a_missing_lead_is_zero_and_leaves_the_other_alone(ordinary: tuple[Signal, Samples, Mask]) -> None:
    signal, sample, _ = ordinary
    both, one = (
        f.extract_features(windows_of(signal, sample)),
        f.extract_features(windows_of(signal[:, :1], sample)),
    )
    for name in f.MORPHOLOGY:
        np.testing.assert_array_equal(column(one, f"lead 2: {name}"), 0)
        np.testing.assert_array_equal(column(one, f"lead 1: {name}"), column(both, f"lead 1: {name}"))


def test_only_the_first_leads_are_read(ordinary: tuple[Signal, Samples, Mask]) -> None:
    signal, sample, wide = ordinary
    twelve = np.concatenate([signal, ecg(sample, ~wide, n_leads=10)], axis=1)
    np.testing.assert_array_equal(
        f.extract_features(windows_of(twelve, sample)), f.extract_features(windows_of(signal, sample))
    )


def test_a_lead_that_falls_off_is_unreadable_where_it_did(ordinary: tuple[Signal, Samples, Mask]) -> None:
    signal, sample, _ = ordinary
    usable = np.ones(signal.shape, dtype=bool)
    usable[: sample[30], 0] = False  # 0.30 of 0.75 s of beat 30's window too, more than a tenth
    readable = f.cut_windows(signal, usable, sample).readable
    np.testing.assert_array_equal(readable[:, 0], np.arange(60) > 30)
    assert readable[:, 1].all()


@pytest.mark.parametrize("n_beats", [1, 2, 3, 5, 40])
def test_a_strip_of_few_beats_has_features(n_beats: int) -> None:
    sample = steady(n_beats)
    x = f.extract_features(windows_of(ecg(sample), sample))
    assert x.shape == (n_beats, len(f.FEATURE_NAMES))
    assert np.isfinite(x).all()


def test_no_beats_have_no_features() -> None:
    none = np.empty(0, dtype=np.int64)
    assert f.extract_features(windows_of(ecg(steady(3)), none)).shape == (0, len(f.FEATURE_NAMES))


@pytest.mark.parametrize("level", [0.0, 1.0, -5.12])
def test_flat_windows_have_finite_features(level: float) -> None:
    sample = steady()
    x = f.extract_features(windows_of(np.full((int(sample[-1]) + 100, 2), level, dtype=np.float32), sample))
    assert np.isfinite(x).all()


def test_beats_at_the_very_ends_have_windows() -> None:
    signal = ecg(steady(3))
    windows = windows_of(signal, np.array([0, 1, len(signal) - 1]))
    assert windows.signal.shape == (3, f.N_LEADS, f.WINDOW)
    assert np.isfinite(windows.signal).all()


def test_windows_are_scaled_to_their_largest_deflection(ordinary: tuple[Signal, Samples, Mask]) -> None:
    signal, sample, _ = ordinary
    windows = windows_of(signal, sample)
    np.testing.assert_allclose(np.abs(windows.signal).max(axis=2), 1, atol=1e-3)
    # 1 mV of R wave in the first lead, 0.6 in the second, and some noise.
    np.testing.assert_allclose(np.median(windows.scale, axis=0), [1.0, 0.6], atol=0.02)


def test_an_early_beat_has_a_short_rr_and_a_pause_after_it(ordinary: tuple[Signal, Samples, Mask]) -> None:
    signal, sample, _ = ordinary
    x = f.extract_features(windows_of(signal, sample))
    early = [20, 30, 40]
    # A third of an RR early: log(2/3) before it, log(4/3) to the next beat, twice the usual RR together.
    np.testing.assert_allclose(column(x, "rr over local median")[early], np.log(2 / 3), atol=0.02)
    np.testing.assert_allclose(column(x, "next rr over rr")[early], np.log(2), atol=0.03)
    np.testing.assert_allclose(column(x, "two rr over two local medians")[early], 0, atol=0.02)
    assert (np.abs(np.delete(column(x, "rr over local median"), [20, 21, 30, 31, 40, 41])) < 0.01).all()


def test_a_wide_beat_is_wider_and_unlike_the_template_one(ordinary: tuple[Signal, Samples, Mask]) -> None:
    signal, sample, wide = ordinary
    x = f.extract_features(windows_of(signal, sample))
    for slot in (1, 2):
        width = column(x, f"lead {slot}: width")
        likeness = column(x, f"lead {slot}: correlation")
        assert width[wide].min() > 0.5
        assert np.abs(width[~wide]).max() < 0.1
        assert likeness[wide].max() < likeness[~wide].min()


def test_a_narrow_early_beat_is_like_the_template_one(ordinary: tuple[Signal, Samples, Mask]) -> None:
    signal, sample, wide = ordinary
    likeness = column(f.extract_features(windows_of(signal, sample)), "lead 1: correlation")
    assert likeness[30] > np.median(likeness[~wide]) - 1


def test_unlikeness_is_measured_in_the_patients_own_spread(ordinary: tuple[Signal, Samples, Mask]) -> None:
    signal, sample, wide = ordinary
    noisy = signal + np.random.default_rng(1).normal(scale=0.15, size=signal.shape).astype(np.float32)
    quiet_z, noisy_z = (
        column(f.extract_features(windows_of(leads, sample)), "residual in own spread")
        for leads in (signal, noisy)
    )
    for z in (quiet_z, noisy_z):
        assert abs(np.median(z[~wide])) < 0.5
        assert z[wide].min() > z[~wide].max()
    assert quiet_z[wide].min() > noisy_z[wide].max()  # the same beat stands out less among noise


@pytest.mark.parametrize("n_beats", [40, 400])
def test_the_template_beat_of_a_patient_in_bigeminy_is_the_normal_one(n_beats: int) -> None:
    # Every second beat is ectopic, so that the median beat may be either; the late ones are normal.
    sample = with_early(steady(n_beats), *range(1, n_beats, 2))
    wide = np.arange(n_beats) % 2 == 1
    x = f.extract_features(windows_of(ecg(sample, wide), sample))
    likeness = column(x, "lead 1: correlation")
    assert likeness[~wide].min() > likeness[wide].max()


def test_pauses_that_make_up_for_early_beats_do_not_set_the_pace() -> None:
    # Every fifth beat is early by a third of the usual RR, the one after it late by as much.
    sample = with_early(steady(400), *range(4, 400, 5))
    in_time = np.isin(np.arange(400) % 5, (1, 2, 3))
    x = f.extract_features(windows_of(ecg(sample), sample))
    np.testing.assert_allclose(column(x, "rr over late rr")[in_time], 0, atol=0.02)


def test_late_beats_that_nothing_early_explains_set_the_pace() -> None:
    # Runs of nine at the same RR, then one beat after twice as long: the late ones are the sinus node's.
    rr = np.where(np.arange(400) % 10 == 9, 2 * RR, RR)
    sample = steady(1)[0] + np.cumsum(rr) - rr[0]
    x = f.extract_features(windows_of(ecg(sample), sample))
    assert np.median(column(x, "rr over late rr")[rr == RR]) < -0.35  # they seem early by a third or more


def test_the_share_of_similar_beats_is_how_often_a_morphology_occurs() -> None:
    sample, wide = steady(120), np.arange(120) % 4 == 3
    share = np.exp(
        column(f.extract_features(windows_of(ecg(sample, wide), sample)), "share of similar beats")
    )
    np.testing.assert_allclose(share[wide], 1 / 4, atol=0.02)
    np.testing.assert_allclose(share[~wide], 3 / 4, atol=0.02)


def test_similar_beats_show_that_a_morphology_is_premature() -> None:
    early = np.arange(7, 120, 10)
    sample, wide = with_early(steady(120), *early), np.isin(np.arange(120), early)
    sample[57] += RR // 3  # one of them comes in time, but the similar beats are premature
    similar = column(
        f.extract_features(windows_of(ecg(sample, wide), sample)), "prematurity of similar beats"
    )
    assert similar[57] < -0.3
    assert np.abs(similar[~wide]).max() < 0.05


def test_an_irregular_rhythm_is_distinguished_from_a_regular_one_with_early_beats() -> None:
    rng = np.random.default_rng(1)
    fibrillating = 200 + np.cumsum(np.round(RR * np.exp(0.2 * rng.normal(size=200)))).astype(np.int64)
    bigeminy = with_early(steady(200), *range(1, 200, 2))
    lonely = with_early(steady(200), *range(5, 200, 12))
    entropy = {
        name: np.median(column(f.extract_features(windows_of(ecg(sample), sample)), "sample entropy"))
        for name, sample in (("af", fibrillating), ("bigeminy", bigeminy), ("lonely", lonely))
    }
    assert entropy["af"] > entropy["lonely"] + 0.5
    assert entropy["af"] > entropy["bigeminy"] + 0.5


@pytest.mark.parametrize(("minutes", "expected"), [(1, 1), (30, 1), (44, 1), (46, 2), (24 * 60, 48)])
def test_a_recording_is_read_in_half_hours(minutes: int, expected: int) -> None:
    sample = np.arange(0, minutes * 60 * round(WORKING_FS), RR)
    parts = f.segments(sample)
    assert len(parts) == expected
    np.testing.assert_array_equal(np.concatenate([sample[part] for part in parts]), sample)


def test_a_gap_of_hours_leaves_no_empty_segment() -> None:
    sample = np.concatenate([steady(), steady() + 5 * 3600 * round(WORKING_FS)])
    assert [part.stop - part.start for part in f.segments(sample)] == [60, 60]
    assert np.isfinite(f.extract_features(windows_of(ecg(steady(120)), steady(120)))).all()


def test_blocks_joined_are_the_whole(ordinary: tuple[Signal, Samples, Mask]) -> None:
    signal, sample, _ = ordinary
    whole = windows_of(signal, sample)
    parts = f.join([whole.take(slice(0, 17)), whole.take(slice(17, 17)), whole.take(slice(17, None))])
    np.testing.assert_array_equal(f.extract_features(parts), f.extract_features(whole))
    assert len(parts) == len(whole) == 60


def test_a_beat_is_aligned_where_it_correlates_best_shift_by_shift() -> None:
    rng = np.random.default_rng(5)
    wave = rng.normal(size=27).astype(np.float32)
    waves = rng.normal(size=(50, 35)).astype(np.float32) + rng.normal(size=(50, 1)).astype(np.float32) * 30
    expected = [[np.corrcoef(each[lag : lag + 27], wave)[0, 1] for lag in range(9)] for each in waves]
    np.testing.assert_allclose(morphology._correlations(waves, wave), expected, atol=1e-4)


def test_a_flat_wave_correlates_with_nothing() -> None:
    wave = np.sin(np.arange(27, dtype=np.float32))
    assert not morphology._correlations(np.full((3, 35), 7, dtype=np.float32), wave).any()


def features_at(sample: Samples, wide: Mask | None = None) -> f.Floats:
    return f.extract_features(windows_of(ecg(sample, wide), sample))


def test_in_bigeminy_the_early_beats_are_early_although_they_are_half_of_all() -> None:
    sample = with_early(steady(200), *range(1, 200, 2))
    early = np.arange(200) % 2 == 1  # the last beat has no next one
    x = features_at(sample)
    for name in ("rr over longer neighbour rr", "rr over local longer rr"):
        assert column(x, name)[early][:-1].max() < -0.3
        assert column(x, name)[~early][1:].min() > -0.05


def test_bigeminy_repeats_every_second_interval_and_fibrillation_none() -> None:
    bigeminy = with_early(steady(200), *range(1, 200, 2))
    rr = np.round(RR * np.exp(0.2 * np.random.default_rng(0).standard_normal(200))).astype(np.int64)
    fibrillation = 200 + np.cumsum(rr)
    name = "irregularity of every second beat"
    assert np.median(column(features_at(bigeminy), name)) < 0.02
    assert np.median(column(features_at(fibrillation), name)) > 0.1


def test_the_beat_after_an_interpolated_one_is_a_usual_rr_from_the_beat_before_it() -> None:
    # Beat 30 lies between two beats that are one RR apart: it takes the time of no other.
    usual = steady(60)
    sample = np.sort(np.append(usual, usual[29] + RR // 2))
    wide = np.arange(61) == 30
    from_before = column(features_at(sample, wide), "two rr over local longer rr")
    assert from_before[31] == pytest.approx(0, abs=0.03)
    assert from_before[20] == pytest.approx(np.log(2), abs=0.03)


def test_an_early_p_wave_is_found_under_the_t_wave_and_a_ventricular_beat_has_none() -> None:
    sample = with_early(steady(60), 20, 40)
    sample[[20, 40]] -= RR // 6  # half an RR early: the P wave falls on the T wave
    x = features_at(sample, np.arange(60) == 40)
    atrial, ventricular = column(x, "lead 1: P residual without T")[[20, 40]]
    assert atrial > ventricular + 0.5
    plain, without_t = (
        x[20, f.FEATURE_NAMES.index(f"lead 1: {n}")] for n in ("P correlation", "P correlation without T")
    )
    assert without_t > plain + 0.5
    assert without_t > 1.5


def test_without_p_waves_no_p_waves_are_nearby() -> None:
    sample = steady(80)
    windows = windows_of(ecg(sample), sample)
    signal = windows.signal.copy()
    signal[:, :, : BEFORE - 8] = 0.02 * np.random.default_rng(0).normal(size=(80, 2, BEFORE - 8))
    without = replace(windows, signal=signal)
    assert column(f.extract_features(windows), "P correlation nearby").min() > 1.5
    assert np.median(column(f.extract_features(without), "P correlation nearby")) < 0.8
