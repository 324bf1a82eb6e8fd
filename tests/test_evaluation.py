import pytest

from ectopy import evaluation
from ectopy.evaluation import Floors, judge
from tests.examined import RECORDS

GOOD = {"gross/veb_f1": 0.95, "gross/sveb_f1": 0.7, "average/veb_f1": 0.9, "average/sveb_f1": 0.6}


class TestFigures:
    def test_gross_pools_beats_and_average_counts_records_alike(self):
        told = evaluation.summarise(RECORDS)
        assert told["gross/sveb_sensitivity"] == pytest.approx(45 / 60)
        assert told["average/sveb_sensitivity"] == pytest.approx((40 / 50 + 5 / 10) / 2)

    def test_records_are_left_out_by_name(self):
        assert evaluation.summarise(RECORDS, without=("232",))["gross/sveb_sensitivity"] == 0.5

    def test_232_and_202_are_reported_without(self):
        told = evaluation.by_subset(RECORDS)
        assert told["without_232/gross/sveb_sensitivity"] == 0.5
        assert told["without_202/gross/sveb_sensitivity"] == 0.8
        assert told["all/gross/sveb_sensitivity"] == 0.75

    def test_a_subset_that_leaves_nothing_out_is_not_reported(self):
        told = evaluation.by_subset({"231": RECORDS["231"]})
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
