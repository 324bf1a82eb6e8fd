"""Gross figures, record averages and their intervals."""

import math

import numpy as np
import pytest

from ectopy import ec57
from tests.ec57_marks import beats, episodes, runs

# One VEB of two found; all of three found, and a false one.
HALF = beats("V:100 V:300 N:500", "V:100 N:300 N:500")
ALL = beats("V:100 V:300 V:500 N:700", "V:100 V:300 V:500 V:700")
NONE_THERE = beats("N:100", "N:100")


def comparison(found: int, missed: int) -> ec57.BeatComparison:
    counts = np.zeros((7, 7), dtype=np.int64)
    counts[2, 2], counts[2, 5] = found, missed
    return ec57.BeatComparison(counts)


class TestGross:
    def test_every_beat_counts_the_same(self) -> None:
        assert ec57.gross([HALF, ALL]).veb_sensitivity == 4 / 5

    def test_rr_errors_and_shutdowns_are_pooled(self) -> None:
        quiet = beats("N:100 N:200 N:300", "N:100 N:210 N:300 ~:600:-1 ~:700:0")
        both = ec57.gross([quiet, quiet])
        assert (both.n_rr, both.shutdown_s) == (4, 2.0)
        assert both.rms_rr_error_ms == pytest.approx(quiet.rms_rr_error_ms)

    def test_runs_are_pooled_too(self) -> None:
        run = runs("V:100 V:200 N:300", "V:100 V:200 N:300")
        assert ec57.gross([run, run, run]).tally("couplet") == (3, 0, 3, 0)

    def test_one_record_is_its_own_gross(self) -> None:
        assert ec57.gross([HALF]) is HALF


class TestAverage:
    def test_every_record_counts_the_same(self) -> None:
        assert ec57.average([HALF, ALL])["veb_sensitivity"] == (1 / 2 + 1) / 2

    def test_records_where_a_figure_is_undefined_are_left_out_of_it(self) -> None:
        averages = ec57.average([HALF, NONE_THERE])
        assert (averages["veb_sensitivity"], averages["qrs_sensitivity"]) == (1 / 2, 1.0)

    def test_it_is_undefined_where_no_record_has_it(self) -> None:
        assert math.isnan(ec57.average([NONE_THERE])["veb_f1"])

    def test_figures_have_the_names_of_the_properties(self) -> None:
        for name, value in ec57.compute_metrics(HALF).items():
            assert getattr(HALF, name) == pytest.approx(value, nan_ok=True)


class TestIntervals:
    def test_one_patient_has_no_spread(self) -> None:
        interval = ec57.bootstrap([[HALF, ALL]], "veb_sensitivity", rng=np.random.default_rng(0))
        assert interval == pytest.approx((4 / 5, 4 / 5))

    def test_patients_are_drawn_not_records(self) -> None:
        # Two records of one patient always go together: with one other, only three outcomes exist.
        first, second = [comparison(1, 0), comparison(0, 1)], [comparison(4, 0)]
        rng = np.random.default_rng(0)
        assert ec57.bootstrap([first, second], "veb_sensitivity", rng=rng) == pytest.approx((1 / 2, 1.0))

    def test_it_is_that_of_the_binomial_where_patients_are_one_beat_each(self) -> None:
        # 100 patients, 80 found: the standard error is 4 points, 95 % are within 1.96 of them.
        patients = [[comparison(1, 0)]] * 80 + [[comparison(0, 1)]] * 20
        low, high = ec57.bootstrap(patients, "veb_sensitivity", rng=np.random.default_rng(0), n=20_000)
        assert (low, high) == pytest.approx((0.8 - 1.96 * 0.04, 0.8 + 1.96 * 0.04), abs=0.006)

    def test_a_narrower_level_gives_a_narrower_interval(self) -> None:
        patients = [[comparison(1, 0)]] * 8 + [[comparison(0, 1)]] * 2
        wide, narrow = (
            ec57.bootstrap(patients, "veb_sensitivity", rng=np.random.default_rng(0), level=level)
            for level in (0.95, 0.5)
        )
        assert wide[0] < narrow[0] <= narrow[1] < wide[1]

    def test_the_same_seed_gives_the_same_interval(self) -> None:
        patients = [[comparison(n, 3)] for n in range(10)]
        once, again = (
            ec57.intervals(patients, rng=np.random.default_rng(7))["veb_sensitivity"] for _ in range(2)
        )
        assert once == again

    def test_by_default_it_is_of_95_percent_and_2000_draws(self) -> None:
        patients = [[comparison(n, 3)] for n in range(10)]
        one = ec57.intervals(patients, rng=np.random.default_rng(7))["veb_sensitivity"]
        other = ec57.bootstrap(patients, "veb_sensitivity", rng=np.random.default_rng(7))
        options = {"n": 2000, "level": 0.95}
        assert one == ec57.intervals(patients, rng=np.random.default_rng(7), **options)["veb_sensitivity"]
        assert other == one

    def test_draws_without_the_class_are_left_out(self) -> None:
        # One of two patients has VEB, all found: where drawn the figure is 1, else undefined.
        patients = [[comparison(3, 0)], [NONE_THERE]]
        assert ec57.bootstrap(patients, "veb_sensitivity", rng=np.random.default_rng(0)) == (1.0, 1.0)

    def test_it_is_undefined_where_no_patient_has_the_class(self) -> None:
        low, high = ec57.bootstrap([[NONE_THERE]], "veb_sensitivity", rng=np.random.default_rng(0))
        assert math.isnan(low)
        assert math.isnan(high)

    def test_every_gross_figure_has_one_that_holds_it(self) -> None:
        patients = [[HALF], [ALL], [NONE_THERE], [beats("S:100 F:200 N:300", "S:100 S:200 S:300")]]
        total = ec57.compute_metrics(ec57.gross(record for records in patients for record in records))
        found = ec57.intervals(patients, rng=np.random.default_rng(0))
        assert set(found) == set(total)
        assert all(low <= total[name] <= high for name, (low, high) in found.items())

    def test_runs_and_episodes_have_them_too(self) -> None:
        run, episode = runs("V:100 V:200 N:300", "V:100 N:300"), episodes("+:1:(AFIB +:9:(N", "N:5")
        rng = np.random.default_rng(0)
        assert ec57.bootstrap([[run]], "couplet_sensitivity", rng=rng) == (0.0, 0.0)
        assert ec57.bootstrap([[episode]], "duration_sensitivity", rng=rng) == (0.0, 0.0)

    def test_no_patient_and_no_such_figure_are_errors(self) -> None:
        rng = np.random.default_rng(0)
        with pytest.raises(ValueError, match="at least one patient"):
            ec57.intervals([], rng=rng)
        with pytest.raises(KeyError, match="veb_accuracy"):
            ec57.bootstrap([[HALF]], "veb_accuracy", rng=rng)
