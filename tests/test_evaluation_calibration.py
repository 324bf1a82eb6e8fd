"""Calibration and risk-coverage of beats made by hand: ten letters, every share a tenth."""

import numpy as np
import pytest

from ectopy.ec57 import LEARNING_S
from ectopy.evaluation import calibration
from ectopy.evaluation.calibration import collect_calibration
from ectopy.model.calibration import calibration_error
from tests.evaluations import FS, beats_of, evaluation_of, marks, truth_of


def judged(reference, test, certainty=0.9, threshold=0.5):
    return collect_calibration(truth_of("r", reference), beats_of(marks(test), certainty, threshold))


class TestWhichBeatsCount:
    def test_fusion_unclassifiable_and_what_is_no_beat_do_not(self):
        assert judged("NFQNA", "NVVNS").reference.tolist() == ["N", "N", "S"]
        assert len(judged("NN.N", "NNVN").reference) == 3

    def test_escape_beats_are_normal(self):
        assert judged("jen", "NNN").correct.tolist() == [True, True, True]
        assert judged("j", "S").correct.tolist() == [False]

    def test_beats_of_the_learning_period_do_not(self):
        truth, test = truth_of("r", "NNN"), marks("NNN")
        test.sample[0] = truth.annotations.sample[0] = round(LEARNING_S * FS) - 1
        assert len(collect_calibration(truth, beats_of(test)).reference) == 2

    def test_all_records_are_put_together_or_without_some(self):
        records = {"100": judged("NN", "NN"), "232": judged("AAA", "SSS")}
        assert len(calibration.join_without(records, ()).reference) == 5
        assert calibration.join_without(records, ("232",)).reference.tolist() == ["N", "N"]


class TestCalibration:
    def test_nine_of_ten_right_at_ninety_percent_is_calibrated(self):
        told = calibration.calibration_errors(judged("N" * 9 + "V", "N" * 10, 0.9))
        assert told["likeliest class"] == pytest.approx(0, abs=1e-6)

    def test_all_right_at_ninety_percent_is_off_by_ten(self):
        told = calibration.calibration_errors(judged("N" * 10, "N" * 10, 0.9))
        assert told["likeliest class"] == pytest.approx(0.1)
        # N is claimed at 0.9 and always true, S and V at 0.05 each and never true
        assert [told[name] for name in "NSV"] == pytest.approx([0.1, 0.05, 0.05])

    def test_it_is_the_error_that_training_reports(self):
        rng = np.random.default_rng(0)
        beats = judged("NV" * 50, "NN" * 50, rng.uniform(0.5, 1, 100))
        expected = calibration_error(beats.confidence, beats.correct)
        assert calibration.calibration_errors(beats)["likeliest class"] == expected

    def test_the_reliability_curve_is_weighted_to_the_same_error(self):
        beats = judged("NV" * 50, "NN" * 50, np.random.default_rng(0).uniform(0.5, 1, 100))
        mean, share, n = calibration.reliability(beats.confidence, beats.correct)
        error = float((np.abs(mean - share) * n).sum() / n.sum())
        assert error == pytest.approx(calibration_error(beats.confidence, beats.correct))

    def test_the_table_has_a_row_a_subset(self):
        beats = judged("N" * 10, "N" * 10, 0.9)
        table = calibration.calibration_table({"all records": beats, "without 232": beats})
        assert table["records"] == ["all records", "without 232"]
        assert table["likeliest class"] == pytest.approx([0.1, 0.1], abs=1e-4)


class TestAbstaining:
    # Ten beats, each surer than the one before; the two least sure are wrong, and below the threshold
    # of 0.72 lie five.
    CERTAINTY = np.linspace(0.5, 0.95, 10)

    @pytest.fixture
    def beats(self):
        return judged("VV" + "N" * 8, "N" * 10, self.CERTAINTY, threshold=0.72)

    def test_the_surest_come_first(self, beats):
        np.testing.assert_allclose(calibration.risk_curve(beats), [*[0] * 8, 1 / 9, 2 / 10])

    def test_the_area_is_the_mean_over_coverages(self, beats):
        assert calibration.risk_coverage_area(beats) == pytest.approx((1 / 9 + 2 / 10) / 10)

    def test_the_share_abstained_from_is_told_by_class(self, beats):
        told = calibration.abstention(beats)
        assert (told["share"], told["share of N"], told["share of V"]) == (0.5, 3 / 8, 1.0)
        assert np.isnan(told["share of S"])

    def test_the_error_is_that_of_all_labels_and_of_those_kept(self, beats):
        told = calibration.abstention(beats)
        assert (told["error of all"], told["error of the rest"]) == (0.2, 0.0)
        assert told["error of the abstained"] == 0.4

    def test_abstaining_never_changes_a_label(self, beats):
        bold = judged("VV" + "N" * 8, "N" * 10, self.CERTAINTY, threshold=0.0)
        np.testing.assert_array_equal(bold.correct, beats.correct)
        np.testing.assert_array_equal(calibration.risk_curve(bold), calibration.risk_curve(beats))

    def test_the_table_ends_with_the_model_s_own_threshold(self, beats):
        table = calibration.risk_table(beats)
        rows = list(zip(*table.values(), strict=True))
        assert rows[0] == ("100 %", 100.0, 10, 20.0)
        assert rows[5] == ("90 %", 90.0, 9, pytest.approx(100 / 9, abs=1e-3))
        assert rows[-1] == ("own threshold", 50.0, 5, 0.0)

    def test_it_is_told_in_words(self, beats):
        told = calibration.abstention_sentence(beats)
        assert "The model abstains from 50.00 % of the beats (37.50 % of N, - of S, 100.00 % of V)." in told
        assert told.endswith(
            " 40.00 % of their labels are wrong, and 0.00 % of the labels of the other beats."
        )

    def test_every_figure_is_a_metric(self, beats):
        told = calibration.metrics(beats)
        assert told["abstention/share"] == 0.5
        assert told["risk_coverage/error_at_90"] == pytest.approx(1 / 9)
        assert {"calibration_error/likeliest_class", "calibration_error/S", "risk_coverage/area"} <= set(told)


def test_without_a_beat_to_judge_all_is_undefined():
    none = evaluation_of("r", "QQ", "NN").calibration
    assert all(np.isnan(value) for value in calibration.metrics(none).values())
    assert calibration.risk_table(none)["beats"] == [0]
