"""The filters keep what they should, remove what they should, and reach no further than they say."""

import numpy as np
import pytest

from ectopy.ecg import Signal
from ectopy.signal import filters

FS = filters.WORKING_FS


def tone(hz: float, *, fs: float = FS, seconds: float = 30) -> Signal:
    time_s = np.arange(round(seconds * fs)) / fs
    return np.sin(2 * np.pi * hz * time_s).astype(np.float32)[:, None]


def inner(signal: Signal, *, fs: float = FS) -> Signal:
    """Return the samples that do not depend on the ends."""
    margin = round(filters.MARGIN_S * fs)
    return signal[margin:-margin]


@pytest.fixture
def noise() -> Signal:
    return np.random.default_rng(0).normal(size=(7200, 2)).astype(np.float32)


@pytest.mark.parametrize("hz", [2.0, 5.0, 17.0, 30.0])
def test_what_an_ecg_is_made_of_passes_unchanged_and_unshifted(hz: float) -> None:
    assert np.abs(inner(filters.bandpass(tone(hz)) - tone(hz))).max() < 0.02


@pytest.mark.parametrize("hz", [0.05, 50.0, 60.0])
def test_baseline_wander_and_mains_are_removed(hz: float) -> None:
    assert np.abs(inner(filters.bandpass(tone(hz)))).max() < 0.12


def test_a_constant_leaves_nothing() -> None:
    assert np.abs(filters.bandpass(np.full((4000, 2), 5.12, np.float32))).max() < 1e-5


def test_the_band_pass_is_linear_in_the_gain(noise: Signal) -> None:
    np.testing.assert_allclose(
        filters.bandpass(1e4 * noise), 1e4 * filters.bandpass(noise), rtol=1e-3, atol=1e-2
    )


@pytest.mark.parametrize("n_samples", [1, 2, 50, 4001])
def test_any_length_is_filtered_to_the_same_length(noise: Signal, n_samples: int) -> None:
    assert filters.bandpass(noise[:n_samples]).shape == (n_samples, 2)


def test_samples_stay_single_precision(noise: Signal) -> None:
    resampled = filters.resample(filters.fill_gaps(noise, 360.0), 360.0)
    assert resampled.dtype == filters.bandpass(resampled).dtype == np.float32


@pytest.mark.parametrize("fs", [100.0, 128.0, 250.0, 257.0, 360.0, 500.0, 1000.0])
def test_a_tone_is_the_same_tone_at_the_working_rate(fs: float) -> None:
    resampled = filters.resample(tone(10, fs=fs), fs)
    assert len(resampled) == int(np.ceil(30 * 200))
    assert np.abs(inner(resampled - tone(10)[: len(resampled)])).max() < 0.01


def test_a_recording_at_the_working_rate_is_left_alone(noise: Signal) -> None:
    assert filters.resample(noise, 200.0) is noise


@pytest.mark.parametrize(
    ("fs", "ratio"), [(360.0, (5, 9)), (250.0, (4, 5)), (128.0, (25, 16)), (200.0, (1, 1))]
)
def test_rates_become_ratios_of_small_numbers(fs: float, ratio: tuple[int, int]) -> None:
    assert filters.rate_ratio(fs).as_integer_ratio() == ratio


def test_a_block_with_its_margin_gives_the_samples_of_the_whole(noise: Signal) -> None:
    margin = round(filters.MARGIN_S * 360)
    whole = filters.bandpass(filters.resample(noise, 360.0))
    block = filters.bandpass(filters.resample(noise[3600 - margin : 5400 + margin], 360.0))
    np.testing.assert_allclose(block[margin * 5 // 9 :][:1000], whole[2000:3000], atol=1e-5)


def test_a_signal_without_gaps_is_left_alone(noise: Signal) -> None:
    assert filters.fill_gaps(noise, FS) is noise


def test_a_short_gap_becomes_a_straight_line() -> None:
    lead = np.array([[0.0], [1.0], [np.nan], [3.0], [4.0], [5.0]], dtype=np.float32)
    assert filters.fill_gaps(lead, FS)[:, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_a_gap_in_a_qrs_complex_joins_the_levels_beside_it_and_not_its_slopes() -> None:
    lead = np.zeros((200, 1), dtype=np.float32)
    lead[95:105, 0] = (1, 2, 3, 4, 5, 5, 4, 3, 2, 1)
    lead[100:140] = np.nan  # from the peak on
    np.testing.assert_array_equal(filters.fill_gaps(lead, FS)[100:140], 0)


def test_a_long_gap_holds_its_ends_as_far_as_its_middle() -> None:
    lead = np.full((1000, 1), np.nan, dtype=np.float32)
    lead[0], lead[-1] = 1, 5
    assert filters.fill_gaps(lead, FS)[[1, 499, 500, 998], 0].tolist() == [1, 1, 5, 5]


def test_what_is_missing_at_an_end_is_held() -> None:
    lead = np.array([[np.nan], [2.0], [3.0], [np.nan]], dtype=np.float32)
    assert filters.fill_gaps(lead, FS)[:, 0].tolist() == [2, 2, 3, 3]


def test_a_lead_without_a_sample_becomes_zero_and_its_neighbour_stays(noise: Signal) -> None:
    noise[:, 1] = np.nan
    filled = filters.fill_gaps(noise, FS)
    assert not filled[:, 1].any()
    np.testing.assert_array_equal(filled[:, 0], noise[:, 0])


@pytest.mark.parametrize("gap_s", [0.1, 1.9, 3, 12])
def test_beside_a_gap_a_block_gives_the_samples_of_the_whole(noise: Signal, gap_s: float) -> None:
    # The block ends inside the gap or beyond it: what is outside must not know.
    end, margin = round(6 * FS), round(filters.MARGIN_S * FS)
    noise[end : end + round(gap_s * FS)] = np.nan
    whole = filters.bandpass(filters.fill_gaps(noise, FS))[:end]
    block = filters.bandpass(filters.fill_gaps(noise[: end + margin], FS))[:end]
    np.testing.assert_allclose(block, whole, atol=1e-5)
