"""The front end of a stream: chunks change no bit, and the filters do what a recorder's should."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter, sosfilt

from ectopy.live.front_end import LIVE_FS, FrontEnd, run_lengths


def in_chunks(signal, fs, sizes):
    front_end, start, parts = FrontEnd(fs, signal.shape[1]), 0, []
    for size in sizes:
        parts.append(front_end.push(signal[start : start + size]))
        start += size
    parts.append(front_end.push(signal[start:]))
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def noise(fs, seconds, n_leads=2, seed=0):
    return np.random.default_rng(seed).standard_normal((round(fs * seconds), n_leads)).cumsum(axis=0) / 20


@pytest.mark.parametrize("fs", [100.0, 125.0, 128.0, 250.0, 257.3, 360.0, 1000.0])
@settings(max_examples=8, deadline=None)
@given(sizes=st.lists(st.integers(0, 700), max_size=30))
def test_chunks_change_no_bit_of_the_output(fs, sizes):
    signal = noise(fs, 6)
    signal[round(2 * fs) : round(2.5 * fs), 0] = np.nan  # a gap
    signal[round(3 * fs) : round(4.5 * fs), 1] = signal[round(3 * fs), 1]  # an electrode off
    for whole, cut in zip(in_chunks(signal, fs, []), in_chunks(signal, fs, sizes), strict=True):
        np.testing.assert_array_equal(cut, whole)


@pytest.mark.parametrize("fs", [100.0, 128.0, 250.0, 360.0, 1000.0])
def test_ten_minutes_give_as_many_samples_as_125_hz_has(fs):
    signal, usable = in_chunks(np.zeros((round(600 * fs), 1)), fs, [])
    assert abs(len(signal) - 600 * LIVE_FS) <= 4
    assert usable.shape == signal.shape


@pytest.mark.parametrize("fs", [128.0, 250.0, 360.0, 1000.0])
def test_a_wave_in_the_band_keeps_its_size_and_its_time(fs):
    time = np.arange(round(20 * fs)) / fs
    signal, _ = in_chunks(np.sin(2 * np.pi * 10 * time)[:, None], fs, [])
    at = np.arange(len(signal)) / LIVE_FS - FrontEnd(fs, 1).delay_s
    settled = slice(10 * LIVE_FS, None)
    np.testing.assert_allclose(
        signal[settled, 0], np.sin(2 * np.pi * 10 * at[settled]), atol=0.16
    )  # 2 ms: the high-pass is early


@pytest.mark.parametrize(("hz", "most"), [(0.05, 0.02), (0.3, 0.4), (60.0, 0.06)])
def test_wander_and_hum_are_filtered_out(hz, most):
    time = np.arange(360 * 60) / 360
    signal, _ = in_chunks(np.sin(2 * np.pi * hz * time)[:, None], 360.0, [])
    assert np.abs(signal[30 * LIVE_FS :]).max() < most


def test_a_constant_offset_leaves_no_step():
    signal = noise(250, 10, n_leads=1)
    plain, _ = in_chunks(signal, 250.0, [])
    shifted, _ = in_chunks(signal + 300, 250.0, [])
    np.testing.assert_allclose(shifted, plain, atol=1e-3)


def test_after_a_gap_the_signal_goes_on_where_it_stopped():
    signal = noise(250, 10, n_leads=1)
    signal[1000:1200] = np.nan
    back = signal.copy()
    back[1200:] += 5.0  # the electrode came back with another offset
    (plain, _), (filtered, usable) = in_chunks(signal, 250.0, []), in_chunks(back, 250.0, [])
    np.testing.assert_allclose(filtered, plain, atol=1e-4)
    gap_s = np.flatnonzero(~usable[:, 0]) / LIVE_FS
    assert 4.05 < gap_s[0] < 4.15  # a tenth of a second is bridged
    assert 4.75 < gap_s[-1] < 4.85


def test_a_lead_that_is_constant_for_a_second_is_off():
    signal = noise(250, 10, n_leads=1)
    signal[1000:2000] = signal[1000]
    _, usable = in_chunks(signal, 250.0, [])
    off_s = np.flatnonzero(~usable[:, 0]) / LIVE_FS
    assert 4.9 < off_s[0] < 5.1
    assert 7.9 < off_s[-1] < 8.1


def test_no_samples_change_nothing():
    front_end = FrontEnd(250.0, 2)
    signal, usable = front_end.push(np.empty((0, 2)))
    assert signal.shape == usable.shape == (0, 2)


@given(mask=st.lists(st.booleans(), min_size=1, max_size=30), before=st.integers(0, 5))
def test_run_lengths_count_on_from_what_came_before(mask, before):
    expected, length = [], before
    for is_true in mask:
        length = length + 1 if is_true else 0
        expected.append([length])
    found = run_lengths(np.array(mask)[:, None], np.array([before]))
    assert found.tolist() == expected


@pytest.mark.parametrize("fs", [100.0, 250.0, 1000.0, 10_000.0])
def test_the_low_pass_as_one_filter_is_that_of_its_sections(fs):
    signal = noise(fs, 10, n_leads=1)[:, 0]
    front_end = FrontEnd(fs, 1)
    sections = sosfilt(front_end.low_pass.astype(np.float64), signal)
    np.testing.assert_allclose(lfilter(*front_end.low_transfer, signal), sections, atol=1e-3)  # a microvolt


def test_what_was_pushed_may_be_overwritten():
    signal = noise(250, 4)
    plain, _ = in_chunks(signal, 250.0, [])
    front_end, buffer, parts = FrontEnd(250.0, 2), np.empty((10, 2)), []
    for start in range(0, len(signal), 10):
        buffer[:] = signal[start : start + 10]
        parts.append(front_end.push(buffer)[0])
        buffer[:] = np.nan
    np.testing.assert_array_equal(np.concatenate(parts), plain)
