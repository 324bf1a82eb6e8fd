"""Windows of signal around beats: which samples they hold, their scale, and where a lead is readable."""

import numpy as np
import pytest

from ectopy.beats.windows import BEFORE, N_LEADS, WINDOW, BeatWindows, cut_windows, join, pad_leads


def ramp(n_samples: int = 1000, n_leads: int = 2) -> np.ndarray:
    """Each sample holds its own index; the second lead is negative and half as high."""
    gain = np.array([1.0, -0.5, 3.0])[:n_leads]
    return np.asarray(np.arange(n_samples)[:, None] * gain, dtype=np.float32)


def cut(signal: np.ndarray, r_peaks: list[int], usable: np.ndarray | None = None) -> BeatWindows:
    usable = np.ones(signal.shape, dtype=bool) if usable is None else usable
    return cut_windows(signal, usable, np.array(r_peaks, dtype=np.int64))


def millivolts(windows: BeatWindows, lead: int) -> np.ndarray:
    return windows.signal[:, lead].astype(np.float64) * windows.scale[:, lead, None]


class TestSamples:
    def test_a_window_holds_every_second_sample_from_300_ms_before_to_450_ms_after(self) -> None:
        # 200 Hz to 100 Hz: 60 samples before the R peak and 90 after it, both ends included.
        expected = np.arange(500 - 60, 500 + 90 + 1, 2)
        windows = cut(ramp(), [500])
        assert windows.signal.shape == (1, 2, 76)
        # float16 has 11 bits: half a unit of 2^-11 of the largest deflection.
        np.testing.assert_allclose(millivolts(windows, 0)[0], expected, atol=590 / 2**11)
        np.testing.assert_allclose(millivolts(windows, 1)[0], -0.5 * expected, atol=295 / 2**11)

    def test_the_r_peak_is_at_its_place(self) -> None:
        signal = np.zeros((1000, 1), dtype=np.float32)
        signal[500] = -2.0
        windows = cut(signal, [500])
        assert np.flatnonzero(windows.signal[0, 0]).tolist() == [BEFORE]
        assert windows.signal[0, 0, BEFORE] == -1.0

    def test_beyond_the_ends_the_last_sample_is_repeated(self) -> None:
        signal = ramp() + 1
        first, last = cut(signal, [0, 999]).signal[:, 0].astype(float)
        assert (first[: BEFORE + 1] == first[0]).all()
        assert (last[BEFORE:] == 1.0).all()
        assert last[BEFORE - 1] < 1.0


class TestScale:
    def test_the_scale_is_the_largest_deflection_in_mv_of_either_sign(self) -> None:
        windows = cut(ramp(), [500, 600])
        np.testing.assert_allclose(windows.scale, [[590, 295], [690, 345]], rtol=1e-6)
        assert np.abs(windows.signal).max(axis=2).tolist() == [[1, 1], [1, 1]]

    def test_a_flat_lead_has_a_scale_above_zero(self) -> None:
        windows = cut(np.zeros((1000, 1), dtype=np.float32), [500])
        assert (windows.scale > 0).all()
        assert not windows.signal.any()


class TestLeads:
    def test_a_single_lead_is_padded_with_an_unreadable_one(self) -> None:
        windows = cut(ramp(n_leads=1), [500])
        assert windows.signal.shape == (1, 1, WINDOW)
        assert windows.scale.shape == windows.readable.shape == (1, N_LEADS)
        assert windows.readable.tolist() == [[True, False]]
        padded = pad_leads(windows.signal)
        np.testing.assert_array_equal(padded[:, :1], windows.signal)
        assert padded.shape == (1, N_LEADS, WINDOW)
        assert not padded[:, 1].any()

    def test_two_leads_are_not_copied(self) -> None:
        signal = cut(ramp(), [500]).signal
        assert pad_leads(signal) is signal

    def test_a_third_lead_is_left_out(self) -> None:
        assert cut(ramp(n_leads=3), [500]).signal.shape == (1, N_LEADS, WINDOW)

    @pytest.mark.parametrize(("n_unusable", "readable"), [(7, True), (8, False), (76, False)])
    def test_a_lead_is_readable_if_more_than_90_percent_of_its_window_is_usable(
        self, n_unusable: int, *, readable: bool
    ) -> None:
        # Of 76 samples, 7.6 are a tenth.
        signal = ramp()
        usable = np.ones(signal.shape, dtype=bool)
        start = 500 - 60
        usable[start : start + 2 * n_unusable, 1] = False
        assert cut(signal, [500], usable).readable.tolist() == [[True, readable]]


def test_blocks_are_joined_in_order_and_beats_taken_by_index_or_slice() -> None:
    whole = cut(ramp(), [100, 300, 500, 700])
    joined = join([whole.take(slice(0, 1)), whole.take(slice(1, 1)), whole.take(np.array([1, 2, 3]))])
    assert len(joined) == 4
    for name in ("sample", "signal", "scale", "readable"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name))
    assert whole.take(np.array([2])).sample.tolist() == [500]
