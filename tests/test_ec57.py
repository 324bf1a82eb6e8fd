"""EC57 beat by beat: each test is a clause of the standard, or what bxb does where the standard is silent."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ectopy import ec57
from ectopy.annotations import Annotations
from tests.ec57_marks import END, FS, START, beats, cells, marks

# WFDB ecgcodes.h: everything isqrs() is true of, but the flutter wave, which amap() gives no class.
WFDB_BEAT_SYMBOLS = set("NLRBaAJSejnVErFQ?/f")


class TestClasses:
    def test_every_wfdb_beat_symbol_has_a_class(self) -> None:
        assert set(ec57.BEAT_CLASS["ec57"]) == set(ec57.BEAT_CLASS["dechazal"]) == WFDB_BEAT_SYMBOLS

    def test_classes_are_those_of_the_standard(self) -> None:
        symbols = np.array(list("NLRBaAJSejnVErFQ?/f"))
        assert "".join(ec57.classes_of(symbols)) == "NNNNSSSSSSSVVVFQQQQ"

    def test_de_chazal_counts_escape_beats_as_normal(self) -> None:
        symbols = np.array(list("NLRBaAJSejnVErFQ?/f"))
        assert "".join(ec57.classes_of(symbols, "dechazal")) == "NNNNSSSSNNNVVVFQQQQ"

    def test_rhythm_noise_and_waves_are_no_beats(self) -> None:
        assert ec57.classes_of(np.array(list('+~|![]"=stTpu^x()'))).tolist() == [""] * 17

    def test_an_empty_array_has_no_classes(self) -> None:
        assert ec57.classes_of(np.array([], dtype="U1")).shape == (0,)

    def test_a_third_map_is_refused(self) -> None:
        with pytest.raises(KeyError, match="minnesota"):
            ec57.classes_of(np.array(["N"]), "minnesota")


class TestMatching:
    def test_one_detection_matches_one_beat(self) -> None:
        # Both beats are in reach of the detection; the nearer takes it, the other is missed.
        matches = ec57.match_beats(np.array([100, 112]), np.array([110]), tolerance=15)
        assert (matches.reference.tolist(), matches.test.tolist()) == ([1], [0])

    def test_one_beat_matches_one_detection(self) -> None:
        matches = ec57.match_beats(np.array([100]), np.array([90, 104]), tolerance=15)
        assert (matches.reference.tolist(), matches.test.tolist()) == ([0], [1])

    def test_the_match_window_is_150_ms(self) -> None:
        # 15 samples of 10 ms are within, 16 are not.
        assert cells(beats("N:100 N:500", "N:115 N:484")) == {"Nn": 1, "No": 1, "On": 1}

    def test_a_half_sample_of_window_is_rounded_up(self) -> None:
        # 150 ms at 250 Hz are 37.5 samples; WFDB's strtim() makes them 38.
        reference, test = marks("N:0", start=80_000), marks("N:38", start=80_000)
        assert cells(ec57.compare_beats(reference, test, 250.0, n_samples=90_000)) == {"Nn": 1}

    def test_two_beats_and_two_detections_all_within_reach_are_two_pairs(self) -> None:
        # The example in bxb.c of 2002, window 37: 128 is as far from 96 as from 160, but 160 has 185.
        matches = ec57.match_beats(np.array([96, 160]), np.array([128, 185]), tolerance=37)
        assert (matches.reference.tolist(), matches.test.tolist()) == ([0, 1], [0, 1])

    def test_of_a_chain_of_ties_only_the_last_is_a_pair(self) -> None:
        # All neighbours are 50 apart: no one suits 50 better than 0, so bxb gives 0 up, and then 50.
        matches = ec57.match_beats(np.array([0, 100]), np.array([50, 150]), tolerance=54)
        assert (matches.reference.tolist(), matches.test.tolist()) == ([1], [1])

    def test_of_two_beats_on_one_sample_the_second_is_paired(self) -> None:
        # Neither is nearer, so bxb gives the first up.
        matches = ec57.match_beats(np.array([100, 100]), np.array([100]), tolerance=15)
        assert (matches.reference.tolist(), matches.test.tolist()) == ([1], [0])

    def test_nothing_matches_nothing(self) -> None:
        none = np.array([], dtype=np.int64)
        for reference, test in ((none, none), (none, np.array([5])), (np.array([5]), none)):
            assert len(ec57.match_beats(reference, test, tolerance=15).reference) == 0

    @given(
        st.lists(st.integers(1, 3000), max_size=60).map(sorted),
        st.lists(st.integers(1, 3000), max_size=60).map(sorted),
        st.integers(0, 60),
    )
    @settings(deadline=None)
    def test_pairs_are_close_in_order_and_used_once(
        self, reference: list[int], test: list[int], tolerance: int
    ) -> None:
        ref, tst = np.array(reference, dtype=np.int64), np.array(test, dtype=np.int64)
        matches = ec57.match_beats(ref, tst, tolerance=tolerance)
        assert (np.diff(matches.reference) > 0).all()
        assert (np.diff(matches.test) > 0).all()
        assert (np.abs(ref[matches.reference] - tst[matches.test]) <= tolerance).all()


class TestLearningPeriod:
    def test_beats_in_the_learning_period_do_not_count(self) -> None:
        # Five minutes are 30,000 samples; the beat on sample 30,000 is the first that counts.
        assert cells(beats("V:-100 V:0 N:100", "N:-100 V:0 N:100")) == {"Nn": 1, "Vv": 1}

    def test_a_detection_just_inside_may_match_the_first_beat_outside(self) -> None:
        assert cells(beats("N:5 N:100", "V:-5 N:100")) == {"Nv": 1, "Nn": 1}

    def test_a_detection_just_outside_whose_beat_lies_inside_does_not_count(self) -> None:
        # Were it counted, it would be an extra detection (On) that the detector did not make.
        assert cells(beats("N:-5 N:100", "N:5 N:100")) == {"Nn": 1}

    def test_an_extra_detection_well_after_it_counts(self) -> None:
        assert cells(beats("N:-5 N:100", "N:-5 N:40 N:100")) == {"On": 1, "Nn": 1}

    def test_its_length_can_be_chosen(self) -> None:
        assert cells(beats("V:-200 N:100", "V:-200 N:100", learning_s=298.0)) == {"Vv": 1, "Nn": 1}

    def test_without_one_the_very_first_beat_counts(self) -> None:
        pair = marks("N:10 N:90", start=0), marks("N:12 N:90", start=0)
        found = ec57.compare_beats(*pair, FS, learning_s=0.0, n_samples=100)
        assert cells(found) == {"Nn": 2}
        assert found.n_rr == 1  # the time from the start to the first beat is no RR interval


class TestEndOfLearningPeriod:
    """Rules of bxb's main() at their limits: the match window is 15 samples."""

    def test_a_detection_inside_may_be_150_ms_away(self) -> None:
        assert cells(beats("N:8 N:100", "V:-7 N:100")) == {"Nv": 1, "Nn": 1}
        assert cells(beats("N:8 N:100", "V:-8 N:100")) == {"No": 1, "Nn": 1}

    def test_of_two_detections_as_far_away_the_one_outside_counts(self) -> None:
        assert cells(beats("N:5 N:100", "V:-5 N:15 N:100")) == {"Nn": 2}

    def test_one_150_ms_outside_is_dropped_if_the_next_is_nearer(self) -> None:
        assert cells(beats("N:30 N:100", "V:15 N:35 N:100")) == {"Nn": 2}
        assert cells(beats("N:30 N:100", "V:16 N:35 N:100")) == {"Ov": 1, "Nn": 2}

    def test_but_not_if_the_next_is_as_far_away(self) -> None:
        assert cells(beats("N:20 N:100", "V:10 N:30 N:100")) == {"Ov": 1, "Nn": 2}


class TestEndOfRecord:
    def test_beats_after_the_record_do_not_count(self) -> None:
        late = END - START + 50
        assert cells(beats(f"N:100 N:{late}", f"N:100 V:{late}")) == {"Nn": 1}

    def test_detections_after_the_last_beat_are_extra(self) -> None:
        assert cells(beats("N:100", "N:100 V:400 N:900")) == {"Nn": 1, "Ov": 1, "On": 1}

    def test_where_the_length_is_unknown_the_last_reference_beat_is_the_end(self) -> None:
        assert cells(beats("N:100", "N:100 V:400 N:900", n_samples=None)) == {"Nn": 1}

    def test_beats_on_the_last_sample_count(self) -> None:
        end = END - START
        assert cells(beats("N:100", f"N:100 V:{end}")) == {"Nn": 1, "Ov": 1}
        assert cells(beats("N:100", f"N:100 V:{end + 1}")) == {"Nn": 1}
        assert cells(beats(f"N:100 V:{end}", "N:100")) == {"Nn": 1, "Vo": 1}
        assert cells(beats(f"N:100 V:{end + 1}", "N:100")) == {"Nn": 1}

    def test_without_a_length_and_a_reference_beat_nothing_is_compared(self) -> None:
        test = f"N:{-START} V:{1 - START} V:100"
        assert cells(beats("", test, learning_s=0.0, n_samples=None)) == {}


class TestMatrix:
    def test_each_pair_is_counted_by_both_classes(self) -> None:
        found = cells(beats("N:100 A:200 V:300 F:400 Q:500", "V:100 S:200 V:300 N:400 F:500"))
        assert found == {"Nv": 1, "Ss": 1, "Vv": 1, "Fn": 1, "Qf": 1}

    def test_missed_and_extra_beats_have_a_column_and_a_row(self) -> None:
        assert cells(beats("V:100 N:500", "S:300 N:500")) == {"Vo": 1, "Os": 1, "Nn": 1}

    def test_paced_beats_are_unclassifiable(self) -> None:
        assert cells(beats("/:100 f:200", "N:100 V:200")) == {"Qn": 1, "Qv": 1}

    def test_escape_beats_follow_the_map(self) -> None:
        reference, test = "e:100 j:200 n:300", "N:100 S:200 N:300"
        assert cells(beats(reference, test)) == {"Sn": 2, "Ss": 1}
        assert cells(beats(reference, test, beat_map="dechazal")) == {"Nn": 2, "Ns": 1}

    def test_rhythm_marks_are_not_beats(self) -> None:
        assert cells(beats("+:90:(AFIB N:100 |:120", "N:100 +:101:(N")) == {"Nn": 1}

    def test_no_beat_at_all_leaves_all_cells_empty(self) -> None:
        assert cells(beats("+:90:(N", "+:90:(N")) == {}

    @given(st.lists(st.tuples(st.integers(20, 20_000), st.sampled_from("NSVFQ")), min_size=1, max_size=80))
    @settings(deadline=None)
    def test_every_reference_beat_is_counted_once(self, drawn: list[tuple[int, str]]) -> None:
        drawn = sorted(drawn)
        reference = marks(" ".join(f"{label}:{sample}" for sample, label in drawn))
        comparison = ec57.compare_beats(reference, reference, FS, n_samples=END)
        for row, label in enumerate("NSVFQ"):
            assert comparison.counts[row].sum() == sum(label == called for _, called in drawn)


class TestVentricularFibrillation:
    def test_test_beats_in_reference_vf_are_not_scored(self) -> None:
        assert cells(beats("N:100 [:200 ]:800 N:900", "N:100 V:300 N:500 N:900")) == {"Nn": 2}

    def test_flutter_waves_in_it_are_not_beats(self) -> None:
        assert cells(beats("N:100 [:200 !:250 !:300 ]:800 N:900", "N:100 N:900")) == {"Nn": 2}

    def test_reference_beats_in_test_vf_are_missed(self) -> None:
        # The detector said VF where there were beats: it did not find them.
        assert cells(beats("N:100 N:300 V:500 N:900", "N:100 [:200 N:300 ]:800 N:900")) == {
            "Nn": 2,
            "No": 1,
            "Vo": 1,
        }

    def test_reference_vf_that_never_ends_lasts_to_the_end(self) -> None:
        assert cells(beats("N:100 [:200 N:300", "N:100 N:300 V:900")) == {"Nn": 1}

    def test_test_vf_that_never_ends_hides_every_later_beat(self) -> None:
        assert cells(beats("N:100 N:300 N:900", "N:100 [:200 N:300 N:900")) == {"Nn": 1, "No": 2}

    def test_only_the_two_latest_that_were_read_are_remembered(self) -> None:
        # At the beat of 600 bxb has read up to the beat after it: a third VF makes it forget the first.
        test = "N:100 V:250 N:600 N:900"
        assert cells(beats("N:100 [:200 ]:300 [:400 ]:500 N:600 N:900", test)) == {"Nn": 3}
        third = "N:100 [:200 ]:300 [:400 ]:500 N:600 [:700 ]:800 N:900"
        assert cells(beats(third, test)) == {"Nn": 3, "Ov": 1}

    def test_a_flutter_wave_outside_vf_takes_the_place_of_a_beat(self) -> None:
        # As bxb has it: ! is read as a beat but has no class, so its partner counts as missed or extra.
        assert cells(beats("N:100 !:300", "!:100 V:300")) == {"No": 1, "Ov": 1}
        assert cells(beats("N:100", "N:100 !:300")) == {"Nn": 1}


class TestShutdown:
    def test_beats_missed_in_a_shutdown_count_apart(self) -> None:
        found = beats("N:100 N:300 V:500 N:900", "N:100 ~:200:-1 ~:600:0 N:900")
        assert cells(found) == {"Nn": 2, "Nx": 1, "Vx": 1}

    def test_they_are_missed_all_the_same(self) -> None:
        found = beats("N:100 N:300 V:500 N:900", "N:100 ~:200:-1 ~:600:0 N:900")
        assert (found.qrs_sensitivity, found.veb_sensitivity) == (0.5, 0.0)

    def test_its_time_is_told(self) -> None:
        # From the file's first mark on, the learning period included: 2 s there, 4 s later.
        found = beats("N:100", "~:-900:-1 ~:-700:0 N:100 ~:200:-1 ~:600:0 N:700")
        assert found.shutdown_s == pytest.approx(6.0)

    def test_noise_on_one_signal_is_no_shutdown(self) -> None:
        # Bits 4 and 5 of the subtype say which signals cannot be read: 16 is one of them, 48 both.
        assert cells(beats("N:300", "~:200:16 ~:600:0 N:900")) == {"No": 1, "On": 1}
        assert cells(beats("N:300", "~:200:48 ~:600:0 N:900")) == {"Nx": 1, "On": 1}

    def test_one_that_never_ends_lasts_to_the_end(self) -> None:
        found = beats("N:100 N:300 N:900", "N:100 ~:200:-1")
        assert cells(found) == {"Nn": 1, "Nx": 2}
        assert found.shutdown_s == (END - START - 200) / FS

    def test_a_later_one_that_never_ends_is_forgotten_as_by_bxb(self) -> None:
        # bxb keeps it with the end of the one before: its beats are O, its time still counts.
        found = beats("N:100 N:300 N:500 N:900", "N:100 ~:200:-1 ~:400:0 N:500 ~:600:-1")
        assert cells(found) == {"Nn": 2, "Nx": 1, "No": 1}
        assert found.shutdown_s == (200 + END - START - 600) / FS

    def test_a_single_mark_is_one_in_the_manner_of_the_aha(self) -> None:
        # It lies between the beats around it, 150 ms from either: 115 to 885.
        found = beats("N:100 N:300 N:900", "N:100 ~:400:-1 N:900")
        assert cells(found) == {"Nn": 2, "Nx": 1}
        assert found.shutdown_s == pytest.approx(7.70)

    def test_without_a_beat_before_it_that_one_starts_150_ms_after_the_file(self) -> None:
        found = beats("N:900", "~:400:-1 N:900")
        assert found.shutdown_s == pytest.approx((START + 900 - 15 - 15) / FS)

    def test_after_vf_it_starts_150_ms_after_that(self) -> None:
        found = beats("N:100 N:900", "N:100 [:200 ]:500 ~:600:-1 N:900")
        assert found.shutdown_s == pytest.approx((900 - 15 - 500 - 15) / FS)

    def test_the_samples_of_its_marks_belong_to_it(self) -> None:
        test = "N:100 ~:200:-1 ~:600:0 N:900"
        reference = (f"N:100 N:{sample} N:900" for sample in (199, 200, 600, 601))
        assert [cells(beats(words, test)).get("Nx", 0) for words in reference] == [0, 1, 1, 0]

    def test_one_that_never_ends_has_no_time_where_the_length_is_unknown(self) -> None:
        found = beats("N:100 N:300", "N:100 ~:200:-1", n_samples=None)
        assert (cells(found), found.shutdown_s) == ({"Nn": 1, "Nx": 1}, 0.0)

    def test_test_beats_in_a_reference_shutdown_have_a_row_of_their_own(self) -> None:
        found = beats("N:100 ~:200:-1 ~:600:0 N:900", "N:100 V:300 N:900")
        assert cells(found) == {"Nn": 2, "Xv": 1}
        assert found.veb_positive_predictivity == 0.0

    def test_its_time_counts_up_to_the_test_beat_after_the_next(self) -> None:
        # bxb reads one beat ahead: with the beat at 400 it has read up to 500, so only 0.3 s are known.
        test = "N:100 N:400 ~:420:-1 ~:450:0 N:500 ~:520:-1 ~:560:0 N:600"
        assert beats("N:100", test, n_samples=None).shutdown_s == pytest.approx(0.3)


class TestRRIntervals:
    def test_the_error_is_the_root_mean_square(self) -> None:
        # Reference 1000 1000 1000 ms, test 1100 900 1000: errors 100, -100 and 0 ms.
        found = beats("N:100 N:200 N:300 N:400", "N:100 N:210 N:300 N:400")
        assert found.rms_rr_error_ms == pytest.approx(math.sqrt(20_000 / 3))

    def test_no_interval_spans_vf(self) -> None:
        found = beats("N:100 [:200 ]:800 N:900 N:1000", "N:100 N:900 N:1000")
        assert (found.n_rr, found.rms_rr_error_ms) == (1, 0.0)

    def test_no_interval_spans_a_shutdown(self) -> None:
        assert beats("N:100 N:500 N:600", "N:100 ~:200:-1 ~:300:0 N:500 N:600").n_rr == 1

    def test_without_intervals_it_is_undefined(self) -> None:
        assert math.isnan(beats("N:100", "N:100").rms_rr_error_ms)


class TestFigures:
    def test_f_or_q_called_v_is_no_false_positive(self) -> None:
        found = beats("V:100 F:200 Q:300 N:400", "V:100 V:200 V:300 N:400")
        assert (found.veb_positive_predictivity, found.veb_false_positive_rate) == (1.0, 0.0)

    def test_f_called_s_is_a_false_positive_and_q_called_s_is_not(self) -> None:
        found = beats("S:100 F:200 Q:300", "S:100 S:200 S:300")
        assert found.sveb_positive_predictivity == 0.5

    def test_sumstats_cannot_tell_f_from_q_and_leaves_both_out(self) -> None:
        found = beats("S:100 F:200 Q:300", "S:100 S:200 S:300")
        assert found.sveb_positive_predictivity_sumstats == 1.0

    def test_sensitivity_counts_every_way_to_miss(self) -> None:
        # Eight VEB: one each called v n s f q, one missed (o), one missed in a shutdown (x), one v.
        reference = "V:100 V:200 V:300 V:400 V:500 V:600 V:800 V:900"
        found = beats(reference, "V:100 N:200 S:300 F:400 Q:500 ~:700:-1 ~:850:0 V:900")
        assert found.veb_sensitivity == 2 / 8

    def test_sveb_sensitivity_counts_them_too(self) -> None:
        found = beats("S:100 A:200 J:300 e:400", "S:100 N:200 V:300")
        assert found.sveb_sensitivity == 1 / 4

    def test_qrs_figures_ask_for_no_class(self) -> None:
        found = beats("N:100 V:200 N:300", "V:100 N:200 N:400 Q:500")
        assert (found.qrs_sensitivity, found.qrs_positive_predictivity) == (2 / 3, 2 / 4)

    def test_the_false_positive_rate_is_of_test_beats_at_no_veb(self) -> None:
        # Four such beats (three N, one O), of which one N and the O were called V.
        found = beats("N:100 N:200 N:300 V:400", "N:100 V:200 N:300 V:400 V:600")
        assert found.veb_false_positive_rate == 2 / 4

    def test_f1_is_the_harmonic_mean(self) -> None:
        found = beats("V:100 V:200 N:300", "V:100 N:200 N:300")
        assert found.veb_f1 == pytest.approx(2 * 0.5 * 1.0 / 1.5)

    def test_f1_of_sveb_is_too(self) -> None:
        # One of two SVEB found, and one false: Se 1/2, +P 1/2, F1 1/2. A second found: Se 2/3, +P 1.
        assert beats("S:100 S:200 N:300", "S:100 N:200 S:300").sveb_f1 == 0.5
        assert beats("S:100 S:200 S:300", "S:100 S:200 N:300").sveb_f1 == pytest.approx(2 * 2 / (3 + 2))

    def test_a_comparison_of_counts_alone_has_no_rr_and_no_shutdown(self) -> None:
        counts = np.zeros((7, 7), dtype=np.int64)
        counts[0, 0] = 5
        found = ec57.BeatComparison(counts)
        assert (found.rr_square_error_s2, found.n_rr, found.shutdown_s) == (0.0, 0, 0.0)
        assert found.qrs_sensitivity == 1.0
        assert math.isnan(found.rms_rr_error_ms)

    def test_figures_of_what_is_not_there_are_undefined(self) -> None:
        found = beats("N:100", "V:100")
        assert math.isnan(found.veb_sensitivity)
        assert math.isnan(found.veb_f1)
        assert found.veb_positive_predictivity == 0.0

    def test_f1_of_beats_all_missed_is_0(self) -> None:
        assert beats("V:100", "N:100").veb_f1 == 0.0


class TestInvariance:
    REFERENCE = "N:100 V:180 N:300 [:400 ]:700 S:800 ~:900:-1 ~:1200:0 N:1300 F:1400"
    TEST = "N:103 V:178 V:250 N:310 N:500 S:795 N:1000 ~:1250:-1 ~:1350:0 F:1404"

    def test_time_may_be_shifted_with_the_learning_period(self) -> None:
        pair = marks(self.REFERENCE, start=500), marks(self.TEST, start=500)
        shifted = ec57.compare_beats(*pair, FS, learning_s=5.0, n_samples=END - START + 500)
        np.testing.assert_array_equal(shifted.counts, beats(self.REFERENCE, self.TEST).counts)

    def test_the_sampling_rate_does_not_matter(self) -> None:
        def faster(annotations: Annotations) -> Annotations:
            return Annotations(
                annotations.sample * 5, annotations.symbol, annotations.subtype, annotations.aux
            )

        pair = faster(marks(self.REFERENCE)), faster(marks(self.TEST))
        fast = ec57.compare_beats(*pair, 5 * FS, n_samples=5 * END)
        slow = beats(self.REFERENCE, self.TEST)
        np.testing.assert_array_equal(fast.counts, slow.counts)
        assert fast.rms_rr_error_ms == pytest.approx(slow.rms_rr_error_ms)
        assert fast.shutdown_s == slow.shutdown_s

    def test_equal_annotators_agree_in_everything(self) -> None:
        found = beats(self.REFERENCE, self.REFERENCE)
        assert np.array_equal(found.counts, np.diag(np.diag(found.counts)))
        assert found.rms_rr_error_ms == 0.0
