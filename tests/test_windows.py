"""Windows of signal around beats: which samples they hold, their scale, and where a lead is readable."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ectopy.beats.windows import (
    BEFORE,
    N_LEADS,
    WINDOW,
    BeatWindows,
    complete,
    cut_windows,
    intact_samples,
    is_whole,
    join,
    pad_leads,
)


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

    @pytest.mark.parametrize(
        ("gap", "readable"), [((420, 480), True), ((420, 484), False), ((522, 560), True)]
    )
    def test_a_lead_is_readable_if_nothing_is_lost_near_its_qrs(
        self, gap: tuple[int, int], *, readable: bool
    ) -> None:
        # 50 ms of QRS on either side, and 50 ms that respond to the edge: 20 samples of 200 Hz.
        signal = ramp()
        usable = np.ones(signal.shape, dtype=bool)
        usable[slice(*gap), 1] = False
        assert cut(signal, [500], usable).readable.tolist() == [[True, readable]]


class TestWindowsThatArePartlyLost:
    """Fifty beats, of which the one at 5000 has lost what is beyond 5040, 0.2 s later."""

    def beats(self, *, lost: slice = slice(5040, 5200)) -> tuple[BeatWindows, NDArray[np.int8]]:
        signal = np.zeros((10_500, 1), dtype=np.float32)
        for r_peak in range(200, 10_200, 200):
            signal[r_peak - 4 : r_peak + 5] = 1
            signal[r_peak + 50 : r_peak + 70] = 0.4
        signal[5050:5300] = -3  # what a filter makes of the edge
        usable = np.ones(signal.shape, dtype=bool)
        usable[lost] = False
        r_peaks = np.arange(200, 10_200, 200)
        return cut_windows(signal, usable, r_peaks), intact_samples(usable, r_peaks)

    def test_intact_samples_are_counted_from_the_r_peak_outwards(self) -> None:
        _, intact = self.beats()
        assert intact[24, 0].tolist() == [30, 14]  # at 100 Hz: up to 5028, 5030 is within 50 ms of the edge
        assert (intact[[22, 23, 26], 0] == (30, 45)).all()
        assert intact[25, 0].tolist() == [-1, -1]  # the R peak at 5200 follows the end at once

    def test_what_is_lost_is_the_usual_beat_and_the_rest_its_own(self) -> None:
        windows, intact = self.beats()
        whole = complete(windows, intact)
        mv = whole.signal[:, 0].astype(np.float32) * whole.scale[:, :1]
        np.testing.assert_allclose(mv[24], mv[0], atol=2e-3)
        np.testing.assert_array_equal(whole.signal[:24], windows.signal[:24])

    def test_a_beat_of_which_nothing_is_left_is_a_usual_beat(self) -> None:
        windows, intact = self.beats(lost=slice(4990, 5300))
        assert not windows.readable[24].any()
        whole = complete(windows, intact)
        assert whole.readable[24].tolist() == [True, False]
        np.testing.assert_allclose(whole.signal[24], whole.signal[0], atol=2e-3)

    def test_beats_without_a_loss_are_not_copied(self) -> None:
        windows, intact = self.beats(lost=slice(0, 0))
        assert complete(windows, intact) is windows
        assert is_whole(windows, intact)[:, 0].all()

    def test_what_lies_beyond_the_ends_of_the_recording_is_lost_too(self) -> None:
        """A strip begins in the middle of a beat; the filter starts there with a swing that looks wide."""
        signal = np.zeros((2000, 1), dtype=np.float32)
        signal[:30] = -2  # the swing
        r_peaks = np.array([12, 40, 240, 440, 640, 1960])
        for r_peak in r_peaks[1:]:
            signal[r_peak - 4 : r_peak + 5] = 1
        usable = np.ones(signal.shape, dtype=bool)
        intact = intact_samples(usable, r_peaks)
        assert intact[:, 0].tolist() == [[1, 45], [15, 45], [30, 45], [30, 45], [30, 45], [30, 14]]
        windows = complete(cut_windows(signal, usable, r_peaks), intact)
        np.testing.assert_allclose(windows.signal[0], windows.signal[3], atol=2e-3)
        assert not is_whole(windows, intact)[[0, 1, 5]].any()

    def test_without_a_whole_beat_nothing_is_made_up(self) -> None:
        windows, intact = self.beats(lost=slice(0, 10_500))
        assert not complete(windows, intact).readable.any()


def test_blocks_are_joined_in_order_and_beats_taken_by_index_or_slice() -> None:
    whole = cut(ramp(), [100, 300, 500, 700])
    joined = join([whole.take(slice(0, 1)), whole.take(slice(1, 1)), whole.take(np.array([1, 2, 3]))])
    assert len(joined) == 4
    for name in ("sample", "signal", "scale", "readable"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name))
    assert whole.take(np.array([2])).sample.tolist() == [500]
