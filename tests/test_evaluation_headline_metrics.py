"""The headline figures: what is pooled, what is averaged, who is left out."""

import pytest

from ectopy.evaluation import headline_metrics
from tests.evaluations import RECORDS


class TestFigures:
    def test_gross_pools_beats_and_average_counts_records_alike(self):
        told = headline_metrics.summarise(RECORDS)
        assert told["gross/sveb_sensitivity"] == pytest.approx(45 / 60)
        assert told["average/sveb_sensitivity"] == pytest.approx((40 / 50 + 5 / 10) / 2)

    def test_records_are_left_out_by_name(self):
        assert headline_metrics.summarise(RECORDS, without=("232",))["gross/sveb_sensitivity"] == 0.5

    def test_232_and_202_are_reported_without(self):
        told = headline_metrics.by_subset(RECORDS)
        assert told["without_232/gross/sveb_sensitivity"] == 0.5
        assert told["without_202/gross/sveb_sensitivity"] == 0.8
        assert told["all/gross/sveb_sensitivity"] == 0.75

    def test_a_subset_that_leaves_nothing_out_is_not_reported(self):
        told = headline_metrics.by_subset({"231": RECORDS["231"]})
        assert {name.split("/")[0] for name in told} == {"all"}

    def test_a_record_without_ectopic_beats_has_no_figure_in_the_table(self):
        table = headline_metrics.metrics_by_record(RECORDS)
        assert table["record"] == ["231", "232", "202"]
        assert table["sveb_sensitivity"] == [None, 80.0, 50.0]
        assert table["reference v"] == [10, 0, 0]

    def test_intervals_hold_the_figure_and_widen_with_what_patients_differ_in(self):
        patients = {record: record for record in RECORDS}
        low, high = headline_metrics.bootstrap_intervals(RECORDS, patients)["sveb_sensitivity"]
        assert low <= 45 / 60 <= high
        assert (low, high) == (0.5, 0.8)

    def test_the_interval_table_names_its_subset(self):
        table = headline_metrics.interval_table(RECORDS, {record: record for record in RECORDS})
        assert set(table["records"]) == {"all", "without_232", "without_202"}

    def test_noise_levels_come_cleanest_first(self):
        found = headline_metrics.by_noise(RECORDS, {"231": 24, "232": -6, "202": 24})
        assert list(found) == [24, -6]
        assert found[-6]["gross/sveb_sensitivity"] == 0.8
        assert found[24]["gross/veb_sensitivity"] == 0.9

    def test_bounds_are_metrics_by_subset_and_figure(self):
        table = headline_metrics.interval_table(RECORDS, {record: record for record in RECORDS})
        told = headline_metrics.interval_metrics(table)
        assert (told["all/gross/sveb_sensitivity_low"], told["all/gross/sveb_sensitivity_high"]) == (0.5, 0.8)
