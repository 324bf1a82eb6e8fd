"""Test heart rate variability by the definitions of the Task Force, on intervals with known measures."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from ectopy import annotations
from ectopy.ecg import Beats, Event
from ectopy.rhythm import hrv
from ectopy.rhythm.heart_rate import rr_intervals_s
from ectopy.rhythm.hrv import NormalIntervals, Variability
from tests.handmade import NOTHING_UNREADABLE, beats_of

Floats = NDArray[np.float64]


def intervals_of(
    letters: str,
    rr_s: ArrayLike = 0.8,
    *,
    unreadable: object = NOTHING_UNREADABLE,
    events: tuple[Event, ...] = (),
) -> NormalIntervals:
    beats = beats_of(letters, rr_s)
    readable_rr_s = rr_intervals_s(beats, np.asarray(unreadable, dtype=np.int64))
    in_af = np.zeros(len(beats), dtype=bool)
    for event in events:
        in_af[beats.between(event.onset_s, event.offset_s)] = True
    return hrv.normal_intervals(beats, readable_rr_s, in_af)


def normal(nn_ms: ArrayLike) -> NormalIntervals:
    """Return NN intervals without a gap between them."""
    ms = np.asarray(nn_ms, dtype=float)
    return NormalIntervals(np.cumsum(ms) / 1000, ms, np.arange(len(ms)) > 0)


def swinging(minutes: float, *waves: tuple[float, float]) -> NormalIntervals:
    """Return intervals around 800 ms with sine waves of (amplitude in ms, frequency in Hz)."""
    time_s, nn_ms = 0.0, []
    while time_s < 60 * minutes:
        swing = sum(amplitude * np.sin(2 * np.pi * hz * time_s) for amplitude, hz in waves)
        nn_ms.append(800 + swing)
        time_s += nn_ms[-1] / 1000
    return normal(nn_ms)


def of(nn: NormalIntervals, duration_s: float | None = None, fs: float = 250.0) -> Variability:
    return hrv.variability(nn, float(nn.time_s[-1]) if duration_s is None else duration_s, fs)


class TestNormalToNormal:
    def test_it_runs_from_a_normal_beat_to_the_next(self) -> None:
        # Of the five intervals, N-V, V-N and the first are none.
        nn = intervals_of("NNVNN", [1, 0.8, 0.5, 1.1, 0.9])
        assert nn.nn_ms == pytest.approx([800, 900])
        assert nn.time_s == pytest.approx([1.8, 4.3])

    @pytest.mark.parametrize("letter", "SVFQ")
    def test_no_other_beat_begins_or_ends_one(self, letter: str) -> None:
        assert len(intervals_of("N" + letter + "N").nn_ms) == 0

    def test_the_pair_across_an_ectopic_beat_is_not_adjacent(self) -> None:
        assert intervals_of("NNNVNNN").adjacent.tolist() == [False, True, False, True]

    def test_an_unreadable_interval_is_none(self) -> None:
        # Beats at 80, 160, 240 samples.
        assert len(intervals_of("NNN", unreadable=[[170, 180]]).nn_ms) == 1

    def test_a_pause_is_none_for_it_may_be_a_beat_that_was_missed(self) -> None:
        assert intervals_of("NNNN", [1, 2.0, 2.01, 1]).nn_ms == pytest.approx([2000, 1000])

    def test_one_shorter_than_300_ms_is_none(self) -> None:
        assert intervals_of("NNN", [1, 0.29, 0.30]).nn_ms == pytest.approx([300])

    def test_in_atrial_fibrillation_there_is_none_neither_into_it_nor_out_of_it(self) -> None:
        # Beats every 0.8 s; the episode holds the third and the fourth.
        fibrillation = [Event("af", 2.4, 3.2, 2, 75.0)]
        assert intervals_of("NNNNNN", events=fibrillation).time_s == pytest.approx([1.6, 4.8])

    @pytest.mark.parametrize("letters", ["", "N", "V"])
    def test_few_beats_have_none(self, letters: str) -> None:
        assert len(intervals_of(letters).nn_ms) == 0


class TestTimeDomain:
    # 800 and 860 ms in turn: mean 830, each 30 away from it; every difference is 60 ms.
    in_turn = normal([800, 860] * 200)

    def test_sdnn_is_the_standard_deviation_of_all_intervals(self) -> None:
        assert hrv.sdnn_ms(self.in_turn) == pytest.approx(30 * np.sqrt(400 / 399))

    def test_rmssd_is_the_root_mean_square_of_differences(self) -> None:
        assert hrv.rmssd_ms(self.in_turn) == pytest.approx(60)

    def test_pnn50_is_the_share_of_differences_above_50_ms(self) -> None:
        assert hrv.pnn50_pct(self.in_turn) == 100
        assert hrv.pnn50_pct(normal([800, 850, 800])) == 0
        assert hrv.pnn50_pct(normal([800, 851, 851])) == 50

    def test_differences_are_taken_between_adjacent_intervals_alone(self) -> None:
        apart = NormalIntervals(
            np.array([1.0, 2, 9, 10]), np.array([800.0, 810, 900, 910]), np.array([0, 1, 0, 1]) > 0
        )
        assert hrv.rmssd_ms(apart) == pytest.approx(10)
        assert hrv.pnn50_pct(apart) == 0

    def test_without_a_pair_there_is_no_difference(self) -> None:
        alone = NormalIntervals(np.arange(1.0, 4), np.full(3, 800.0), np.zeros(3, dtype=bool))
        assert (hrv.rmssd_ms(alone), hrv.pnn50_pct(alone)) == (None, None)

    def test_sdann_is_the_deviation_of_means_over_five_minutes_and_sdnn_index_the_mean_of_deviations(
        self,
    ) -> None:
        # Fourteen segments of 300 s: 375 intervals about 800 ms and 300 about 1000 ms in turn, swinging by 10 and 20 ms.
        slow, fast = np.tile([980.0, 1020.0], 150), np.append(np.tile([790.0, 810.0], 187), 800.0)
        nn = normal(np.tile(np.append(fast, slow), 7))
        # A little earlier, so that none ends with its segment to the sample.
        measures = of(NormalIntervals(nn.time_s - 0.1, nn.nn_ms, nn.adjacent), 4200)
        assert measures.n_segments == 14
        assert measures.sdann_ms == pytest.approx(100 * np.sqrt(14 / 13), abs=0.3)
        assert measures.sdnn_index_ms == pytest.approx(15, abs=0.1)
        assert measures.sdnn_ms is not None
        assert measures.sdnn_ms > 95

    def test_sdann_and_sdnn_index_need_an_hour(self) -> None:
        shorter, longer = of(normal([800.0] * 4400)), of(normal([800.0, 810.0] * 2251))
        assert (shorter.n_segments, shorter.sdann_ms, shorter.sdnn_index_ms) == (11, None, None)
        assert (longer.n_segments, longer.sdann_ms) == (12, 0.0)


class TestEnough:
    def test_five_minutes_are_enough_and_less_is_not(self) -> None:
        nn = normal([800.0, 820.0] * 185)  # 299.7 s
        assert hrv.short_term(nn, 300).sdnn_ms == pytest.approx(10.0, abs=0.05)
        assert hrv.short_term(nn, 299.9).sdnn_ms is None

    def test_three_quarters_of_the_time_must_be_normal_as_18_hours_of_24(self) -> None:
        nn = normal([750.0] * 400)  # 300 s
        assert hrv.short_term(nn, 400).sdnn_ms == 0.0
        assert hrv.short_term(nn, 401).sdnn_ms is None

    def test_without_measures_there_is_the_share(self) -> None:
        assert of(normal([750.0] * 400), 1200) == Variability(nn_share_pct=25.0, n_nn=400)

    def test_a_recording_without_a_beat_has_none(self) -> None:
        assert hrv.variability(intervals_of(""), 0.0, 250.0) == Variability(nn_share_pct=0.0, n_nn=0)

    def test_a_segment_with_less_is_left_out(self) -> None:
        # The third of four segments is empty.
        nn = normal([750.0] * 1600)
        is_kept = (nn.time_s <= 600) | (nn.time_s > 900)
        parted = NormalIntervals(nn.time_s[is_kept], nn.nn_ms[is_kept], nn.adjacent[is_kept])
        assert of(parted, 1200).n_segments == 3


class TestFrequencyDomain:
    def test_the_power_of_a_swing_is_half_its_amplitude_squared_in_the_band_of_its_frequency(self) -> None:
        measures = of(swinging(20, (30, 0.1), (20, 0.25)))
        assert measures.lf_ms2 == pytest.approx(30**2 / 2, rel=0.02)
        assert measures.hf_ms2 == pytest.approx(20**2 / 2, rel=0.02)
        assert measures.lf_hf == pytest.approx(2.25, rel=0.03)

    def test_noise_has_in_each_band_its_part_of_the_variance(self) -> None:
        # 20 ms about 800 ms: 400 ms² over 0 to 0.625 Hz.
        measures = of(normal(np.random.default_rng(0).normal(800, 20, 20_000)))
        assert measures.lf_ms2 == pytest.approx(400 * 0.11 / 0.625, rel=0.05)
        assert measures.hf_ms2 == pytest.approx(400 * 0.25 / 0.625, rel=0.05)

    def test_beats_left_out_do_not_change_it_much(self) -> None:
        nn = swinging(20, (30, 0.1), (20, 0.25))
        is_kept = np.random.default_rng(1).random(len(nn.nn_ms)) > 0.1
        measures = of(NormalIntervals(nn.time_s[is_kept], nn.nn_ms[is_kept], nn.adjacent[is_kept]), 1200)
        assert measures.lf_ms2 == pytest.approx(450, rel=0.1)
        assert measures.hf_ms2 == pytest.approx(200, rel=0.1)

    def test_a_trend_is_no_power(self) -> None:
        assert of(normal(np.linspace(780, 820, 1500))).lf_ms2 == pytest.approx(0, abs=1)

    def test_below_48_bpm_beats_are_too_few_to_show_hf(self) -> None:
        measures = of(normal([1300.0, 1310.0] * 500))
        assert (measures.lf_ms2, measures.hf_ms2, measures.lf_hf) == (None, None, None)
        assert measures.sdnn_ms == 5.0

    def test_the_jitter_of_r_peaks_on_their_grid_is_what_it_is_computed_to_be(self) -> None:
        # A regular 75 bpm, peaks rounded to 5 ms: 1.4 ms² in HF, and 3.5 ms of RMSSD, as the module says.
        off_ms = np.random.default_rng(0).uniform(-2.5, 2.5, 20_001)
        nn = normal(800 + np.diff(off_ms))
        measures = of(nn, fs=1e9)
        assert hrv.jitter_ms2(nn, fs=1e9) == pytest.approx(1.37, abs=0.01)
        assert measures.hf_ms2 == pytest.approx(1.4, abs=0.1)
        assert hrv.rmssd_ms(nn) == pytest.approx(np.sqrt(6 * 25 / 12), abs=0.03)

    def test_a_band_is_integrated_over_its_width(self) -> None:
        # A density of 1 on the grid from 0.04 to 0.4 Hz: 0.15 - 0.04 and 0.4 - 0.15.
        frequency = hrv.STEP_HZ * np.arange(24, 241)
        flat = np.ones_like(frequency)
        assert hrv._integral(frequency, flat, hrv.LF_HZ) == pytest.approx(0.11)
        assert hrv._integral(frequency, flat, hrv.HF_HZ) == pytest.approx(0.25)

    def test_a_fast_heart_without_a_full_segment_has_no_ratio(self) -> None:
        # 182 bpm, at which jitter is 0.1 ms². 70 % of the only segment and all of the 299 s after it are NN.
        nn = normal([330.0] * 1536)
        late = nn.time_s > 210
        parted = NormalIntervals(nn.time_s + 90 * late, nn.nn_ms, nn.adjacent)
        measures = of(parted, 599, fs=1000.0)
        assert (measures.n_nn, measures.n_segments, measures.lf_hf) == (1536, 0, None)
        assert measures.sdnn_ms == 0.0

    def test_a_ratio_that_rests_on_jitter_is_not_given(self) -> None:
        assert of(swinging(20, (30, 0.1), (2, 0.25))).lf_hf is None
        # Of 450 ms² in LF one leaks into the 12.5 of HF.
        assert of(swinging(20, (30, 0.1), (5, 0.25))).lf_hf == pytest.approx(450 / 13.5, rel=0.03)


@pytest.mark.real
def test_measures_of_record_122_are_those_of_its_reference_intervals(mitdb: Path) -> None:
    # DS1, 2476 beats, all N: every interval but the first is NN, so plain numpy must agree.
    marks = annotations.read_annotations(mitdb / "122", "atr")
    sample = marks.sample[marks.symbol == "N"]
    assert len(sample) == 2476
    beats = Beats(sample, np.full(2476, "N"), np.zeros((2476, 4), np.float32), np.ones(2476, bool), 360.0)
    rr_s = rr_intervals_s(beats, NOTHING_UNREADABLE)
    measures = of(hrv.normal_intervals(beats, rr_s, np.zeros(2476, bool)), 650_000 / 360, fs=360.0)
    rr_ms = np.diff(sample) / 0.36
    assert measures.n_nn == 2475
    assert measures.sdnn_ms == round(float(np.std(rr_ms, ddof=1)), 1)
    assert measures.rmssd_ms == round(float(np.sqrt(np.mean(np.diff(rr_ms) ** 2))), 1)
    assert measures.n_segments == 6
