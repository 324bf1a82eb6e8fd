"""Every rule of rhythm under the name of its convention, on beats made by hand."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike

from ectopy import annotations
from ectopy.ecg import Beats, Event, no_beats, true_intervals
from ectopy.rhythm.events import analyse_rhythm, suppress_sveb_in_af
from ectopy.rhythm.finders import runs
from ectopy.rhythm.heart_rate import heart_rate, rate_bpm, rr_intervals_s
from ectopy.rhythm.kinds import KINDS
from ectopy.rhythm.named_intervals import mit_rhythm
from ectopy.signal import rolling
from tests.handmade import FS, NOTHING_UNREADABLE, beats_of, events_of, fibrillating_rr_s


def events_in(
    beats: Beats, *, duration_s: float = 3600.0, unreadable: ArrayLike = NOTHING_UNREADABLE
) -> tuple[Event, ...]:
    return events_of(beats, duration_s=duration_s, unreadable=unreadable)


def of_kind(kind: str, beats: Beats) -> list[tuple[float, float, int, float]]:
    """(onset, offset, beats, rate) of each event of a kind."""
    return [
        (event.onset_s, event.offset_s, event.n_beats, event.rate_bpm)
        for event in events_in(beats)
        if event.kind == kind
    ]


class TestVentricularRuns:
    def test_two_in_a_row_are_a_couplet(self) -> None:
        assert events_in(beats_of("NVVN")) == (Event("veb_couplet", 1.6, 2.4, 2, 75.0),)

    def test_a_single_is_no_event(self) -> None:
        assert events_in(beats_of("NNVNN")) == ()

    def test_three_above_100_bpm_are_tachycardia(self) -> None:
        # 0.5 s apart: 120 bpm.
        assert events_in(beats_of("NVVVN", 0.5)) == (Event("vt", 1.0, 2.0, 3, 120.0),)

    def test_three_at_100_bpm_are_idioventricular_rhythm(self) -> None:
        assert events_in(beats_of("NVVVN", 0.6)) == (Event("idioventricular_rhythm", 1.2, 2.4, 3, 100.0),)

    def test_three_just_above_100_bpm_are_tachycardia(self) -> None:
        # 1.19 s for two intervals: 100.8 bpm.
        assert [event.kind for event in events_in(beats_of("NVVVN", [1, 0.6, 0.6, 0.59, 1]))] == ["vt"]

    def test_a_run_is_no_couplet(self) -> None:
        assert of_kind("veb_couplet", beats_of("NVVVN")) == []

    def test_fusion_beats_extend_a_run_as_in_ec57(self) -> None:
        assert of_kind("vt", beats_of("NVFVN", 0.5)) == [(1.0, 2.0, 3, 120.0)]

    def test_the_rate_of_a_run_is_that_within_it_without_the_coupling_interval(self) -> None:
        assert of_kind("vt", beats_of("NVVVN", [1, 0.3, 0.5, 0.5, 1])) == [(1.3, 2.3, 3, 120.0)]

    def test_runs_at_both_ends_of_the_recording_are_whole(self) -> None:
        assert of_kind("vt", beats_of("VVVNVVV", 0.5)) == [(0.5, 1.5, 3, 120.0), (2.5, 3.5, 3, 120.0)]

    def test_a_run_does_not_reach_across_a_pause(self) -> None:
        # Two and two with 2.01 s between them: two couplets.
        beats = beats_of("VVVV", [1, 0.5, 2.01, 0.5])
        assert of_kind("vt", beats) == []
        assert of_kind("veb_couplet", beats) == [(1.0, 1.5, 2, 120.0), (3.51, 4.01, 2, 120.0)]

    def test_a_run_does_not_reach_across_an_unreadable_interval(self) -> None:
        # Beats at 50, 100, 150 samples; samples 110 to 119 are unreadable.
        beats = beats_of("VVV", 0.5)
        assert events_in(beats, unreadable=[[110, 120]]) == (Event("veb_couplet", 0.5, 1.0, 2, 120.0),)


class TestSupraventricularRuns:
    def test_two_in_a_row_are_a_couplet(self) -> None:
        assert events_in(beats_of("NSSN")) == (Event("sveb_couplet", 1.6, 2.4, 2, 75.0),)

    def test_three_above_100_bpm_are_a_run(self) -> None:
        assert events_in(beats_of("NSSSN", 0.5)) == (Event("sv_run", 1.0, 2.0, 3, 120.0),)

    def test_three_at_100_bpm_or_less_are_an_atrial_rhythm_and_no_event(self) -> None:
        assert events_in(beats_of("NSSSN", 0.6)) == ()

    def test_ventricular_beats_interrupt_a_supraventricular_run(self) -> None:
        assert of_kind("sv_run", beats_of("NSSVSSN", 0.5)) == []


class TestPatterns:
    def test_three_cycles_of_n_v_are_bigeminy(self) -> None:
        assert events_in(beats_of("NVNVNV")) == (Event("bigeminy", 0.8, 4.8, 6, 75.0),)

    def test_two_cycles_are_not(self) -> None:
        assert events_in(beats_of("NVNV")) == ()

    def test_three_ventricular_beats_with_two_normal_ones_are_not_three_cycles(self) -> None:
        assert events_in(beats_of("VNVNV")) == ()

    def test_bigeminy_ends_with_its_last_ventricular_beat(self) -> None:
        assert events_in(beats_of("NNNVNVNVNN")) == (Event("bigeminy", 2.4, 6.4, 6, 75.0),)

    def test_a_premature_atrial_beat_may_stand_for_the_normal_one(self) -> None:
        assert of_kind("bigeminy", beats_of("NVSVNV")) == [(0.8, 4.8, 6, 75.0)]

    def test_an_unclassifiable_beat_may_not(self) -> None:
        assert of_kind("bigeminy", beats_of("NVQVNVNV")) == []

    def test_bigeminy_is_interrupted_by_a_second_normal_beat(self) -> None:
        assert of_kind("bigeminy", beats_of("NVNVNNVNV")) == []

    def test_an_unreadable_interval_between_cycles_interrupts_bigeminy(self) -> None:
        # Between the second V (sample 320) and the third N (400).
        assert events_in(beats_of("NVNVNV"), unreadable=[[350, 351]]) == ()

    def test_an_unreadable_interval_within_a_cycle_interrupts_bigeminy(self) -> None:
        assert events_in(beats_of("NVNVNV"), unreadable=[[250, 251]]) == ()

    def test_a_pause_interrupts_bigeminy(self) -> None:
        assert of_kind("bigeminy", beats_of("NVNVNV", [1, 0.5, 1, 0.5, 2.1, 0.5])) == []

    def test_three_cycles_of_n_n_v_are_trigeminy(self) -> None:
        assert events_in(beats_of("NNVNNVNNV")) == (Event("trigeminy", 0.8, 7.2, 9, 75.0),)

    def test_two_and_a_part_are_not(self) -> None:
        assert events_in(beats_of("NVNNVNNVN")) == ()

    def test_bigeminy_is_no_trigeminy_and_trigeminy_no_bigeminy(self) -> None:
        events = events_in(beats_of("NVNVNVNNVNNVNNV"))
        assert [(event.kind, event.n_beats) for event in events] == [("bigeminy", 6), ("trigeminy", 9)]

    def test_every_second_beat_supraventricular_is_bigeminy_too(self) -> None:
        assert events_in(beats_of("NSNSNS")) == (Event("sveb_bigeminy", 0.8, 4.8, 6, 75.0),)


class TestPauses:
    def test_an_interval_longer_than_2_s_is_a_pause_from_beat_to_beat(self) -> None:
        (pause,) = events_in(beats_of("NNN", [1, 1, 2.01]))
        assert (pause.kind, pause.onset_s, pause.offset_s, pause.n_beats) == ("pause", 2.0, 4.01, 2)

    def test_a_pause_has_no_rate(self) -> None:
        (pause,) = events_in(beats_of("NNN", [1, 1, 2.01]))
        assert np.isnan(pause.rate_bpm)

    def test_2_s_are_none(self) -> None:
        assert events_in(beats_of("NNN", [1, 1, 2.0])) == ()

    def test_the_time_before_the_first_beat_is_none(self) -> None:
        assert events_in(beats_of("NN", [5, 1])) == ()

    @pytest.mark.parametrize(
        ("unreadable", "n_pauses"),
        [
            ([100, 101], 0),  # at the first beat
            ([150, 200], 0),  # between them
            ([399, 500], 0),  # reaches over the second beat
            ([400, 500], 1),  # begins with the second beat
            ([50, 100], 1),  # ends just before the first beat
            ([0, 1000], 0),
        ],
    )
    def test_an_interval_across_an_unreadable_interval_is_no_pause(
        self, unreadable: list[int], n_pauses: int
    ) -> None:
        # Beats at samples 100 and 400.
        assert len(events_in(beats_of("NN", [1, 3]), unreadable=[unreadable])) == n_pauses

    def test_each_rr_interval_is_checked_against_its_own_unreadable_interval(self) -> None:
        # Beats every 3 s; the second and the fourth interval cannot be watched.
        beats = beats_of("NNNNN", 3.0)
        events = events_in(beats, unreadable=[[700, 710], [1300, 1310]])
        assert [event.onset_s for event in events if event.kind == "pause"] == [3.0, 9.0]


class TestBradycardiaAndTachycardia:
    def test_30_s_below_50_bpm_are_bradycardia(self) -> None:
        # 26 beats 1.25 s apart: 48 bpm for 31.25 s.
        assert events_in(beats_of("N" * 26, 1.25)) == (Event("bradycardia", 1.25, 32.5, 26, 48.0),)

    def test_less_than_30_s_are_none(self) -> None:
        # 24 beats: 28.75 s.
        assert events_in(beats_of("N" * 24, 1.25)) == ()

    def test_50_bpm_are_none(self) -> None:
        assert events_in(beats_of("N" * 100, 1.2)) == ()

    def test_30_s_above_100_bpm_are_tachycardia(self) -> None:
        # 61 beats 0.5 s apart.
        assert events_in(beats_of("N" * 61, 0.5)) == (Event("tachycardia", 0.5, 30.5, 61, 120.0),)

    def test_100_bpm_are_none(self) -> None:
        assert events_in(beats_of("N" * 100, 0.6)) == ()

    def test_only_the_slow_part_is_the_episode(self) -> None:
        # 30 intervals of 1.6 s between others of 0.8 s. Eight with four slow ones are at 50 bpm, with five below:
        # so the episode holds those 30 and three quick ones on either side, 37 beats.
        beats = beats_of("N" * 110, [0.8] * 40 + [1.6] * 30 + [0.8] * 40)
        (event,) = events_in(beats)
        assert (event.kind, event.n_beats) == ("bradycardia", 37)
        assert event.onset_s == pytest.approx(40 * 0.8 - 3 * 0.8)

    def test_a_missed_beat_is_no_bradycardia(self) -> None:
        assert events_in(beats_of("N" * 100, [0.8] * 50 + [1.6] + [0.8] * 49)) == ()

    def test_half_of_a_recording_shorter_than_a_minute_is_enough(self) -> None:
        # 10 s at 120 bpm.
        beats = beats_of("N" * 20, 0.5)
        assert [event.kind for event in events_in(beats, duration_s=10.0)] == ["tachycardia"]

    def test_an_unreadable_interval_parts_an_episode(self) -> None:
        beats = beats_of("N" * 200, 0.5)
        events = events_in(beats, unreadable=[[5010, 5020]])
        assert [(event.onset_s, event.offset_s) for event in events] == [(0.5, 50.0), (50.5, 100.0)]


class TestHeartRate:
    def test_a_mean_of_exactly_50_bpm_is_not_below_it(self) -> None:
        # 1.2 s are 120 samples at 100 Hz; in floating point their mean is a hair longer.
        beats = beats_of("N" * 5, 1.2)
        rr_s = rr_intervals_s(beats, NOTHING_UNREADABLE)
        assert heart_rate(beats.time_s, rr_s, rate_bpm(beats, rr_s)).mean_bpm == 50.0

    def test_it_is_the_mean_over_8_intervals_that_end_at_a_beat(self) -> None:
        beats = beats_of("N" * 10, [1] * 9 + [2])
        rr_s = rr_intervals_s(beats, NOTHING_UNREADABLE)
        rate = rate_bpm(beats, rr_s)
        assert np.isnan(rate[:8]).all()
        # Eight of 1 s; seven of 1 s and one of 2 s.
        assert rate[8:].tolist() == [60.0, pytest.approx(60 * 8 / 9)]

    def test_least_and_greatest_come_with_their_times(self) -> None:
        beats = beats_of("N" * 30, [1.0] * 10 + [0.5] * 10 + [2.0] * 10)
        rr_s = rr_intervals_s(beats, NOTHING_UNREADABLE)
        rate = heart_rate(beats.time_s, rr_s, rate_bpm(beats, rr_s))
        # 9 + 10 * 0.5 + 10 * 2 s for 29 intervals. The first windows of one rate alone begin at beats 10 and
        # 20, which end them at 14 and 31 s.
        assert rate == pytest.approx((60 * 29 / 34, 30.0, 120.0, 15.0, 10.0))

    def test_no_beat_for_10_s_is_no_heart_rate(self) -> None:
        beats = beats_of("NNNN", [1, 1, 10, 1])
        rr_s = rr_intervals_s(beats, NOTHING_UNREADABLE)
        assert heart_rate(beats.time_s, rr_s, rate_bpm(beats, rr_s)).mean_bpm == 60.0

    @pytest.mark.parametrize("letters", ["", "N"])
    def test_without_an_interval_there_is_none(self, letters: str) -> None:
        beats = beats_of(letters)
        rr_s = rr_intervals_s(beats, NOTHING_UNREADABLE)
        assert np.isnan(heart_rate(beats.time_s, rr_s, rate_bpm(beats, rr_s))).all()

    def test_a_few_intervals_have_a_mean_and_no_extremes(self) -> None:
        beats = beats_of("NNN", 1.0)
        rr_s = rr_intervals_s(beats, NOTHING_UNREADABLE)
        rate = heart_rate(beats.time_s, rr_s, rate_bpm(beats, rr_s))
        assert rate.mean_bpm == 60.0
        assert np.isnan([rate.min_bpm, rate.max_bpm]).all()

    @pytest.mark.parametrize(
        ("rr_s", "has_extremes"),
        [
            ([0.9] * 8 + [0.7] * 4, True),  # 67 to 75 bpm, and 72 in all
            ([1.0] * 4 + [0.7] * 4 + [1.0] * 4, False),  # each mean of eight is 71 bpm, and that of all is 67
            ([0.81] + [0.8] * 10 + [0.81], True),  # 74.8 bpm in all and 74.9 at least: 75 on each page
        ],
    )
    def test_no_page_has_a_mean_beyond_its_lowest_or_highest_rate(
        self, rr_s: list[float], *, has_extremes: bool
    ) -> None:
        beats = beats_of("N" * 13, [1.0, *rr_s])
        rate = heart_rate(beats.time_s, beats.rr_s, rate_bpm(beats, beats.rr_s))
        assert np.isfinite(rate.mean_bpm)
        assert np.isfinite(rate[1:]).tolist() == [has_extremes] * 4


class TestRuns:
    @pytest.mark.parametrize("bits", ["", "1", "0", "11", "01", "10", "1101110", "0110"])
    def test_without_gaps_they_are_the_intervals_of_true(self, bits: str) -> None:
        mask = np.array([bit == "1" for bit in bits], dtype=bool)
        together = np.full(len(mask), 0.5)
        assert runs(mask, together).tolist() == true_intervals(mask).tolist()

    def test_a_missing_interval_cuts_a_run_before_its_beat(self) -> None:
        mask = np.ones(4, dtype=bool)
        assert runs(mask, np.array([np.nan, 1, np.nan, 1])).tolist() == [[0, 2], [2, 4]]


class TestAllRules:
    @pytest.mark.parametrize("n", range(12))
    @pytest.mark.parametrize("letter", "NSVFQ")
    def test_recordings_of_few_beats_pass(self, n: int, letter: str) -> None:
        events = events_in(beats_of(letter * n, 0.7))
        assert {event.kind for event in events} <= set(KINDS)

    def test_no_beat_no_event(self) -> None:
        assert events_in(no_beats(FS)) == ()

    def test_events_come_in_order_of_onset(self) -> None:
        onsets = [event.onset_s for event in events_in(beats_of("NVVVNSSNVNVNVNNNVV", 0.5))]
        assert len(onsets) == 4
        assert onsets == sorted(onsets)

    def test_events_keep_their_times_when_the_recording_begins_later(self) -> None:
        beats = beats_of("NVVVNSSNVNVNVNNNVV", 0.5)
        later = Beats(beats.sample + 1000, beats.label, beats.probability, beats.confident, FS)
        assert [event.kind for event in events_in(later)] == [event.kind for event in events_in(beats)]
        onsets = [event.onset_s for event in events_in(beats)]
        assert [event.onset_s - 10 for event in events_in(later)] == pytest.approx(onsets)

    def test_events_do_not_depend_on_the_sampling_rate(self) -> None:
        beats = beats_of("NVVVNSSNVNVNVNNNVV", 0.5)
        faster = Beats(beats.sample * 10, beats.label, beats.probability, beats.confident, FS * 10)
        assert events_in(faster) == events_in(beats)

    def test_values_are_plain_python(self) -> None:
        (event,) = events_in(beats_of("NVVN"))
        assert [type(value) for value in vars(event).values()] == [str, float, float, int, float]

    def test_a_day_and_a_half_of_beats_has_every_event(self) -> None:
        # 154,000 beats; each of 7,000 rounds holds trigeminy, bigeminy and a couplet of either origin.
        beats = beats_of("NNVNNVNNVNVNVNVNVVNSSN" * 7_000)
        assert len(events_in(beats)) == 4 * 7_000


class TestBeatsInNoise:
    def test_no_interval_beside_one_counts(self) -> None:
        # The third of five V is in noise: a couplet on either side is left.
        beats = beats_of("N" * 20 + "VVVVV" + "N" * 20, 0.5)
        noisy = np.arange(45) == 22
        events = events_of(beats, duration_s=30, low_quality=noisy)
        assert [event.n_beats for event in events if event.kind == "veb_couplet"] == [2, 2]
        assert "vt" not in {event.kind for event in events}

    def test_a_pause_beside_one_may_be_a_beat_that_was_not_seen(self) -> None:
        beats = beats_of("N" * 20, np.where(np.arange(20) == 10, 3.0, 0.8))
        for noisy_beat, kinds in ((9, set()), (10, set()), (11, {"pause"})):
            events = events_of(beats, duration_s=30, low_quality=np.arange(20) == noisy_beat)
            assert {event.kind for event in events} == kinds

    def test_ten_seconds_without_a_beat_are_a_pause_even_beside_noise(self) -> None:
        # The beats after ventricular flutter are hard to distinguish from noise; the flutter must be reported.
        for noisy_beat in (9, 10):
            beats = beats_of("N" * 20, np.where(np.arange(20) == 10, 10.0, 0.8))
            noisy = np.arange(20) == noisy_beat
            events = events_of(beats, duration_s=60, low_quality=noisy)
            assert [event.offset_s - event.onset_s for event in events] == pytest.approx([10.0])


class TestAtrialFibrillation:
    rr_s = fibrillating_rr_s(100)

    def test_it_lasts_from_its_first_beat_to_its_last_and_has_their_rate(self) -> None:
        beats = beats_of("N" * 100, self.rr_s)
        ((onset_s, offset_s, n_beats, rate_bpm),) = of_kind("af", beats)
        assert (onset_s, offset_s, n_beats) == (beats.time_s[0], beats.time_s[-1], 100)
        assert rate_bpm == pytest.approx(60 * 99 / (offset_s - onset_s))

    def test_a_minute_needs_30_s_of_it(self) -> None:
        # 40 beats in 28 s.
        beats = beats_of("N" * 40, fibrillating_rr_s(40))
        assert "af" not in {event.kind for event in events_in(beats, duration_s=60)}

    def test_a_shorter_recording_needs_half_of_it(self) -> None:
        beats = beats_of("N" * 40, fibrillating_rr_s(40))
        assert "af" in {event.kind for event in events_in(beats, duration_s=30)}

    def test_its_early_beats_are_no_supraventricular_runs_couplets_or_bigeminy(self) -> None:
        # The same labels in a regular rhythm are two of each.
        letters = "NNSSSNNSSNNSNSNSNN" * 2 + "N" * 64
        early_s = np.where(np.array(list(letters)) == "S", 0.4, 0.6)
        kinds = [
            {event.kind for event in events_in(beats_of(letters, rr_s))} for rr_s in (early_s, self.rr_s)
        ]
        assert {"sv_run", "sveb_couplet", "sveb_bigeminy"} <= kinds[0]
        assert kinds[1] & {"sv_run", "sveb_couplet", "sveb_bigeminy", "af"} == {"af"}

    def test_ventricular_runs_and_couplets_in_it_are_events_of_their_own(self) -> None:
        letters = "N" * 30 + "VV" + "N" * 20 + "VVV" + "N" * 45
        rr_s = np.where(np.array(list(letters)) == "V", 0.4, self.rr_s)
        kinds = {event.kind for event in events_in(beats_of(letters, rr_s))}
        assert {"af", "veb_couplet", "vt"} <= kinds

    def test_supraventricular_events_before_it_stay(self) -> None:
        letters = "NNNSSSNN" + "N" * 60 + "N" * 100
        rr_s = np.concatenate([np.full(68, 0.5), self.rr_s])
        rr_s[3:6] = 0.35
        assert {"af", "sv_run"} <= {event.kind for event in events_in(beats_of(letters, rr_s))}

    def test_a_penalty_from_the_morphology_speaks_against_it(self) -> None:
        beats = beats_of("N" * 100, self.rr_s)
        events = events_of(beats, duration_s=70, af_penalty=np.full(100, 3, np.float32))
        assert "af" not in {event.kind for event in events}

    def test_none_of_its_beats_is_supraventricular_ectopic(self) -> None:
        letters = "NNNSSSNN" + "N" * 60 + "NNSNV" * 20
        rr_s = np.concatenate([np.full(68, 0.5), self.rr_s])
        rr_s[3:6] = 0.35
        beats = beats_of(letters, rr_s)
        rhythm = analyse_rhythm(beats, duration_s=3600, unreadable=NOTHING_UNREADABLE)
        (episode,) = (event for event in rhythm.events if event.kind == "af")
        settled = rhythm.beats
        within = (beats.time_s >= episode.onset_s) & (beats.time_s <= episode.offset_s)
        np.testing.assert_array_equal(settled.label[~within], beats.label[~within])
        assert list(settled.label[3:6]) == ["S", "S", "S"]
        was_early = within & (beats.label == "S")
        assert was_early.any()
        assert set(settled.label[was_early]) == {"N"}
        np.testing.assert_array_equal(settled.label == "V", beats.label == "V")

    def test_the_other_classes_keep_their_proportions(self) -> None:
        beats = beats_of("NNSNV" * 20, self.rr_s)
        thought = np.tile(np.float32([0.1, 0.6, 0.3, 0.0]), (100, 1))
        beats = replace(beats, label=np.full(100, "S"), probability=thought)
        settled = suppress_sveb_in_af(beats, np.array([[0, 100]]))
        np.testing.assert_allclose(settled.probability, [[0.25, 0, 0.75, 0]] * 100, atol=1e-5)
        assert set(settled.label) == {"V"}

    def test_a_beat_that_is_surely_early_is_normal(self) -> None:
        beats = beats_of("S" * 100, self.rr_s)
        surely = np.tile(np.float32([0, 1, 0, 0]), (100, 1))
        settled = suppress_sveb_in_af(replace(beats, probability=surely), np.array([[0, 100]]))
        assert set(settled.label) == {"N"}


KNOWN_KINDS = {
    "vf": "(VFL",
    "asystole": "(ASYS",
    "vt": "(VT",
    "pause": "",
    "af": "(AFIB",
    "afl": "(AFL",
    "idioventricular_rhythm": "(IVR",
    "sv_run": "(SVTA",
    "paced": "(P",
    "short_v_run": "",
    "veb_couplet": "",
    "bigeminy": "(B",
    "trigeminy": "(T",
    "bradycardia": "(SBR",
    "tachycardia": "",
    "sveb_bigeminy": "(AB",
    "sveb_couplet": "",
    "r_on_t": "",
}


def test_kinds_are_a_contract_with_the_rhythm_strings_of_mit_bih() -> None:
    # Programs read these from events.csv: a change here is a change of interface.
    assert {name: mit_rhythm(kind) for name, kind in KINDS.items()} == KNOWN_KINDS


@pytest.mark.real
def test_runs_of_record_203_are_those_of_its_reference_annotations(mitdb: Path) -> None:
    # DS1. The symbols alone, grouped: 64 pairs of V or F and 21 longer groups, the longest of 9; all are fast.
    marks = annotations.read_annotations(mitdb / "203", "atr")
    is_beat = np.isin(marks.symbol, list("NaVFQ"))
    sample, symbol = marks.sample[is_beat], marks.symbol[is_beat]
    n = len(sample)
    label = np.where(symbol == "a", "S", symbol)
    probability = (label[:, None] == np.array(list("NSVF"))).astype(np.float32)
    beats = Beats(sample, label, probability, np.ones(n, bool), 360.0)
    events = events_in(beats, duration_s=650_000 / 360)
    runs = [event.n_beats for event in events if event.kind == "vt"]
    assert (sum(event.kind == "veb_couplet" for event in events), len(runs), max(runs)) == (64, 21, 9)


class TestSilence:
    """Ten seconds of readable signal without a beat, at an end of the recording or beside lost signal."""

    @staticmethod
    def silences(
        beats: Beats, duration_s: float, unreadable: Sequence[Sequence[int]] = ()
    ) -> list[tuple[float, float, int]]:
        lost = np.array(unreadable, dtype=np.int64).reshape(-1, 2)
        rhythm = analyse_rhythm(beats, duration_s=duration_s, unreadable=lost)
        found = [event for event in rhythm.events if event.kind == "pause"]
        return [(event.onset_s, event.offset_s, event.n_beats) for event in found]

    # Ten beats, a second apart, the first at 1 s and the last at 10 s.
    BEATS = beats_of("NNNNNNNNNN", 1.0)

    def test_a_heart_that_stops_before_the_end_is_a_pause(self) -> None:
        assert self.silences(self.BEATS, 30) == [(10, 30, 1)]

    def test_less_than_ten_seconds_before_the_end_are_none(self) -> None:
        assert self.silences(self.BEATS, 19.9) == []

    def test_it_lasts_as_long_as_the_signal_can_be_read(self) -> None:
        assert self.silences(self.BEATS, 60, [[2500, 6000]]) == [(10, 25, 1)]
        assert self.silences(self.BEATS, 60, [[1500, 6000]]) == []

    def test_electrodes_that_come_off_at_once_are_no_standstill(self) -> None:
        assert self.silences(self.BEATS, 600, [[1050, 60_000]]) == []

    def test_between_two_times_of_lost_signal_it_has_no_beat(self) -> None:
        assert self.silences(self.BEATS, 60, [[1100, 1500], [4000, 6000]]) == [(15, 40, 0)]

    def test_after_lost_signal_it_ends_at_the_next_beat(self) -> None:
        beats = beats_of("NNNNN", [1, 1, 1, 40, 1])
        assert self.silences(beats, 45, [[400, 1000]]) == [(10, 43, 1)]

    def test_before_the_first_beat_it_begins_with_the_recording(self) -> None:
        assert self.silences(beats_of("NNN", [15, 1, 1]), 18) == [(0, 15, 1)]

    def test_beats_in_lost_signal_begin_none(self) -> None:
        assert self.silences(self.BEATS, 30, [[950, 3000]]) == []

    def test_lost_signal_from_the_start_is_none(self) -> None:
        assert self.silences(beats_of("NNN", [25, 1, 1]), 28, [[0, 2400]]) == []

    def test_an_interval_between_beats_is_told_once(self) -> None:
        assert self.silences(beats_of("NNNN", [1, 1, 20, 1]), 24) == [(2, 22, 2)]

    def test_without_any_beat_the_recording_is_not_analysable_instead(self) -> None:
        assert self.silences(beats_of("", []), 60) == []


@pytest.mark.parametrize("at_once", [1, 7, 1000])
@pytest.mark.parametrize("n", [0, 1, 8, 9, 10, 200])
def test_the_rate_at_a_beat_is_that_of_the_eight_intervals_before_it(
    n: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats = beats_of("N" * n, np.random.default_rng(n).uniform(0.5, 1.2, n))
    rr_s = np.where(np.arange(n) % 23 == 0, np.nan, beats.rr_s)
    monkeypatch.setattr(rolling, "_AT_ONCE", at_once)
    rate = rate_bpm(beats, rr_s)
    for beat in range(n):
        known = beat >= 8 and not np.isnan(rr_s[beat - 7 : beat + 1]).any()
        expected = 480 / (beats.time_s[beat] - beats.time_s[beat - 8]) if known else np.nan
        assert rate[beat] == pytest.approx(expected, nan_ok=True)
