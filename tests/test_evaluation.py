import numpy as np
import pytest

from ectopy import card, evaluation, plots
from ectopy.ec57 import BeatComparison, gross
from ectopy.evaluation import Floors, judge

GOOD = {"gross/veb_f1": 0.95, "gross/sveb_f1": 0.7, "average/veb_f1": 0.9, "average/sveb_f1": 0.6}
ORDER = "NSVFQOX"


def comparison(**cells):
    """``comparison(VN=3)``: three VEB that were called N."""
    counts = np.zeros((7, 7), dtype=np.int64)
    for cell, n in cells.items():
        counts[ORDER.index(cell[0]), ORDER.index(cell[1])] = n
    return BeatComparison(counts)


RECORDS = {
    "231": comparison(NN=90, VV=9, VN=1),
    "232": comparison(NN=50, SS=40, SN=10),
    "202": comparison(NN=80, SS=5, SN=5, NV=10),
}


class TestFigures:
    def test_gross_pools_beats_and_average_counts_records_alike(self):
        told = evaluation.summarise(RECORDS)
        assert told["gross/sveb_sensitivity"] == pytest.approx(45 / 60)
        assert told["average/sveb_sensitivity"] == pytest.approx((40 / 50 + 5 / 10) / 2)

    def test_records_are_left_out_by_name(self):
        assert evaluation.summarise(RECORDS, without=("232",))["gross/sveb_sensitivity"] == 0.5

    def test_232_and_202_are_reported_without(self):
        told = evaluation.by_subset(RECORDS, evaluation.DS2_SUBSETS)
        assert told["without_232/gross/sveb_sensitivity"] == 0.5
        assert told["without_202/gross/sveb_sensitivity"] == 0.8
        assert told["all/gross/sveb_sensitivity"] == 0.75

    def test_a_subset_that_leaves_nothing_out_is_not_reported(self):
        told = evaluation.by_subset({"231": RECORDS["231"]}, evaluation.DS2_SUBSETS)
        assert {name.split("/")[0] for name in told} == {"all"}

    def test_a_record_without_ectopic_beats_has_no_figure_in_the_table(self):
        table = evaluation.per_record(RECORDS)
        assert table["record"] == ["231", "232", "202"]
        assert table["sveb_sensitivity"] == [None, 80.0, 50.0]
        assert table["reference v"] == [10, 0, 0]

    def test_intervals_hold_the_figure_and_widen_with_what_patients_differ_in(self):
        patients = {record: record for record in RECORDS}
        low, high = evaluation.uncertainty(RECORDS, patients)["sveb_sensitivity"]
        assert low <= 45 / 60 <= high
        assert (low, high) == (0.5, 0.8)

    def test_the_interval_table_names_its_subset(self):
        table = evaluation.interval_table(RECORDS, {record: record for record in RECORDS})
        assert set(table["records"]) == {"all", "without_232", "without_202"}

    def test_noise_levels_come_cleanest_first(self):
        found = evaluation.by_noise(RECORDS, {"231": 24, "232": -6, "202": 24})
        assert list(found) == [24, -6]
        assert found[-6]["gross/sveb_sensitivity"] == 0.8
        assert found[24]["gross/veb_sensitivity"] == 0.9


class TestPromotion:
    def test_without_a_champion_the_floors_decide(self):
        assert judge(GOOD, None, Floors(veb_f1=0.9, sveb_f1=0.6)).promoted

    def test_under_a_floor_there_is_no_promotion_and_the_reason_says_which(self):
        verdict = judge(GOOD, None, Floors(veb_f1=0.96, sveb_f1=0.6))
        assert not verdict.promoted
        assert verdict.reason == "gross/veb_f1 95.0 % is under the floor of 96.0 %"

    @pytest.mark.parametrize("figure", evaluation.GATE)
    def test_a_challenger_worse_in_any_figure_is_not_promoted(self, figure):
        verdict = judge(GOOD | {figure: GOOD[figure] - 0.01}, GOOD, Floors(0.5, 0.3))
        assert not verdict.promoted
        assert figure in verdict.reason

    def test_an_equal_challenger_is_promoted(self):
        assert judge(GOOD, GOOD, Floors(0.5, 0.3)).promoted

    def test_what_is_undefined_is_under_every_floor(self):
        assert not judge(GOOD | {"gross/sveb_f1": float("nan")}, None, Floors(0.5, 0.0)).promoted
        assert not judge({}, None, Floors(0.0, 0.0)).promoted

    def test_figures_on_held_out_patients_have_no_say(self):
        worse_there = GOOD | {"detected/all/gross/veb_f1": 0.1}
        assert judge(worse_there, GOOD | {"detected/all/gross/veb_f1": 0.99}, Floors(0.5, 0.3)).promoted


class TestDrawings:
    def test_the_confusion_matrix_shows_every_count(self):
        figure = plots.confusion_matrix(gross(RECORDS.values()), "title")
        texts = [text.get_text().split("\n")[0] for text in figure.axes[0].texts]
        assert texts[:4] == ["220", "0", "10", "0"]
        assert len(texts) == 20

    def test_the_forest_has_a_row_a_record_and_gross_with_its_intervals_last(self):
        spread = evaluation.uncertainty(RECORDS, {record: record for record in RECORDS})
        veb, sveb = plots.forest(RECORDS, "title", spread).axes
        assert [label.get_text() for label in veb.get_yticklabels()] == [*RECORDS, "gross"]
        sensitivity, interval = sveb.lines[0], sveb.lines[1]
        np.testing.assert_allclose(sensitivity.get_xdata(), [np.nan, 80, 50, 75])
        np.testing.assert_allclose(interval.get_xdata(), [50, 80])

    def test_the_noise_curve_goes_from_noisy_to_clean(self):
        found = evaluation.by_noise(RECORDS, {"231": 24, "232": -6, "202": 6})
        figure = plots.noise_curve(found, "title")
        assert np.asarray(figure.axes[0].lines[0].get_xdata()).tolist() == [-6, 6, 24]


class TestCard:
    def test_the_card_says_what_the_model_must_not_be_used_for_and_what_it_reaches(self):
        text = card.model_card(
            model="ectopy",
            data="mitdb",
            records=("101", "106"),
            config={"epochs": 3},
            out_of_fold=evaluation.summarise(RECORDS),
            calibration_error=0.0123,
        )
        assert "Not a medical device" in text
        assert "101, 106" in text
        assert "| epochs | 3 |" in text
        assert "75.0 / 100.0 / 85.7" in text  # SVEB Se, +P, F1 of 45 of 60, none false

    def test_intervals_stand_under_the_short_names_of_their_figures(self):
        table = evaluation.interval_table(RECORDS, {record: record for record in RECORDS})
        head, _, first, *_ = card.interval_rows(table).splitlines()
        assert (
            head == "| records | QRS Se | QRS +P | VEB Se | VEB +P | VEB F1 | SVEB Se | SVEB +P | SVEB F1 |"
        )
        assert first.split(" | ")[0] == "| all records"
        assert first.split(" | ")[6] == "50.0 - 80.0"

    def test_an_interval_of_nothing_is_a_dash(self):
        table = {"records": ["all"], "figure": ["veb_f1"], "low": [float("nan")], "high": [float("nan")]}
        assert card.interval_rows(table).splitlines()[-1] == "| all records | - |"

    def test_the_record_table_has_a_row_a_record_and_dashes_for_what_is_undefined(self):
        lines = card.record_table(evaluation.per_record(RECORDS)).splitlines()
        head = "| record | N | S | V | QRS Se | QRS +P | VEB Se | VEB +P | VEB F1 | SVEB Se | SVEB +P | SVEB F1 |"
        assert head in lines
        assert lines[-1].startswith("| 202 | 90 | 10 | 0 | 100.0 | 100.0 | - | 0.0 | - | 50.0 | 100.0 |")

    def test_the_card_says_that_202_is_a_training_patient(self):
        table = evaluation.interval_table(RECORDS, {record: record for record in RECORDS})
        figures = evaluation.grouped(evaluation.by_subset(RECORDS, evaluation.DS2_SUBSETS))
        assert "202 is 201 of the training records" in card.examination("title", figures, table)

    def test_bounds_are_metrics_by_subset_and_figure(self):
        table = evaluation.interval_table(RECORDS, {record: record for record in RECORDS})
        told = evaluation.bounds(table)
        assert (told["all/gross/sveb_sensitivity_low"], told["all/gross/sveb_sensitivity_high"]) == (0.5, 0.8)

    def test_an_undefined_figure_is_a_dash(self):
        assert "- / - / -" in card.figures_table({"x": {}})
