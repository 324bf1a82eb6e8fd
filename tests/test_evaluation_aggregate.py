"""Every figure of a group of records: pooled, with intervals, over seeds, with paced records and shutdown."""

import math

import numpy as np
import pytest

from ectopy.ec57 import intervals
from ectopy.evaluation import aggregate
from tests.evaluations import evaluation_of, marks, with_shutdown

COUPLETS = evaluation_of("100", "NVVNNVVNNN", "NVVNNVNNNN", members=("NVVNNVVNNN", "NNNNNNNNNN"))
SHORT = evaluation_of("101", "NVVVNVNNNN", "NVVVNVNNNN", members=("NVVVNVNNNN", "NVVVNNNNNN"))
PACED = evaluation_of("102", "N/VVN/NNNN", "NNVVNNNNNN")
ALL_N = "N" * 100
FIBRILLATING = evaluation_of(
    "201", marks(ALL_N, {0: "(N", 40: "(AFIB", 90: "(N"}), marks(ALL_N, {0: "(N", 50: "(AFIB", 90: "(N"})
)
CALLED_FALSELY = evaluation_of("202", marks(ALL_N, {0: "(N"}), marks(ALL_N, {0: "(AFIB", 40: "(N"}))


def outcomes(*examined):
    return [each.outcome for each in examined]


class TestFigures:
    def test_they_pool_beats_runs_and_episodes(self):
        told = aggregate.gross_metrics(outcomes(COUPLETS, SHORT))
        assert told["beats/veb_sensitivity"] == 7 / 8
        assert told["ventricular/couplet_sensitivity"] == 1 / 2
        assert told["ventricular/short_run_sensitivity"] == 1
        assert (told["ventricular/couplet_reference"], told["ventricular/couplet_found"]) == (2, 1)
        assert math.isnan(told["supraventricular/couplet_sensitivity"])

    def test_long_runs_are_counts(self):
        told = aggregate.gross_metrics(outcomes(evaluation_of("r", "NVVVVVVVNN", "NVVVVVVVNN"), SHORT))
        assert (told["ventricular/long_run_reference"], told["ventricular/long_run_found"]) == (1, 1)

    def test_af_is_judged_on_records_that_have_it_and_its_false_calls_on_all(self):
        told = aggregate.gross_metrics(outcomes(FIBRILLATING, CALLED_FALSELY, COUPLETS))
        assert told["af/duration_sensitivity"] == pytest.approx(40 / 50)
        assert told["af/duration_positive_predictivity"] == 1
        assert told["af_anywhere/duration_positive_predictivity"] == pytest.approx(0.5, abs=1e-3)
        assert (told["af/reference"], told["af/found"], told["af_anywhere/test"]) == (1, 1, 2)

    def test_where_no_record_has_af_there_is_no_figure_of_it_but_the_count_of_calls(self):
        told = aggregate.gross_metrics(outcomes(COUPLETS))
        assert "af/duration_sensitivity" not in told
        assert told["af_anywhere/test"] == 0
        assert "flutter/duration_sensitivity" not in told


class TestIntervals:
    PAIRS = (("a", COUPLETS.outcome), ("b", SHORT.outcome), ("a", FIBRILLATING.outcome))

    def test_they_are_those_of_ec57_by_patient(self):
        told = aggregate.gross_intervals(self.PAIRS)
        by_patient = [[COUPLETS.outcome.beats, FIBRILLATING.outcome.beats], [SHORT.outcome.beats]]
        expected = intervals(by_patient, rng=np.random.default_rng(0))
        assert told["beats/veb_sensitivity"] == expected["veb_sensitivity"]

    def test_what_one_patient_alone_has_gets_none(self):
        assert "af/duration_sensitivity" not in aggregate.gross_intervals(self.PAIRS)
        assert aggregate.gross_intervals([("a", COUPLETS.outcome), ("a", SHORT.outcome)]) == {}


class TestSeeds:
    def test_each_member_is_summed_up_over_all_records(self):
        first, second = aggregate.member_metrics([COUPLETS, SHORT])
        assert (first["beats/veb_sensitivity"], second["beats/veb_sensitivity"]) == (1, 3 / 8)

    def test_mean_standard_deviation_and_range(self):
        told = aggregate.spread(aggregate.member_metrics([COUPLETS, SHORT]))["beats/veb_sensitivity"]
        assert (told.mean, told.low, told.high) == (11 / 16, 3 / 8, 1)
        assert told.sd == pytest.approx(5 / 8 / 2**0.5)

    def test_one_seed_has_no_standard_deviation(self):
        told = aggregate.spread(aggregate.member_metrics([COUPLETS, SHORT])[:1])["beats/veb_sensitivity"]
        assert (told.mean, told.low, told.high) == (1, 1, 1)
        assert math.isnan(told.sd)

    def test_a_figure_that_is_undefined_for_one_is_left_out(self):
        # The second member calls no couplet, so its +P is undefined.
        told = aggregate.spread(aggregate.member_metrics([COUPLETS]))
        assert "ventricular/couplet_sensitivity" in told
        assert "ventricular/couplet_positive_predictivity" not in told

    def test_records_without_members_have_none(self):
        assert aggregate.member_metrics([PACED]) == []
        assert aggregate.spread([]) == {}


class TestShutdown:
    SHUT = evaluation_of("103", "NNNVANNNNN", with_shutdown(marks("NNN...NNNN"), 3, 5))

    def test_time_and_beats_are_summed_up(self):
        told = aggregate.shutdown_metrics([self.SHUT, COUPLETS])
        assert told["shutdown/seconds"] == pytest.approx(2.4)
        assert told["shutdown/share"] == pytest.approx(2.4 / (2 * 309))  # of two records of 309 s
        assert (told["shutdown/beats_lost"], told["shutdown/beats_lost_share"]) == (3, 3 / 20)


class TestPaced:
    def test_their_beats_are_found_and_have_no_class(self):
        told = aggregate.summarise_with_paced("all 2", [COUPLETS, PACED]).metrics
        assert told["beats/qrs_sensitivity"] == 1
        assert not [name for name in told if name.startswith(("beats/veb", "beats/sveb"))]

    def test_runs_with_them_are_told(self):
        told = aggregate.summarise_with_paced("all 2", [COUPLETS, PACED]).metrics
        assert told["ventricular/couplet_reference"] == 3


class TestMetrics:
    def test_metrics_have_bounds_and_seeds_their_spread(self):
        told = aggregate.metrics_with_bounds(aggregate.summarise_group("DS2", [COUPLETS, SHORT]))
        assert told["beats/veb_sensitivity_low"] <= told["beats/veb_sensitivity"] == 7 / 8
        seeds = aggregate.spread(aggregate.member_metrics([COUPLETS, SHORT]))
        assert aggregate.seed_metrics(seeds)["beats/veb_sensitivity_min"] == 3 / 8
