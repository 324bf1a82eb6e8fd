"""Verdicts on hypotheses about GRUs: a difference counts when it is larger than its spread."""

from dataclasses import replace

import pytest

from ectopy.ablation import hypotheses
from ectopy.ablation.compressed_variants import Variant
from ectopy.ablation.compression import Size
from ectopy.ablation.fold_runs import DISTANCES_BEATS
from ectopy.ablation.hypotheses import FAILS, HOLDS, PARTLY, UNDECIDED, difference
from tests.test_ablation_results_page import metrics, trial


def group(kind="gru", veb=(0.90, 0.92, 0.94), sveb=0.7, **changes):
    made = [trial(kind, seed=seed, veb=each, sveb=sveb) for seed, each in enumerate(veb)]
    return [replace(each, **changes) for each in made]


def verdicts(**groups):
    kinds = {name.replace("_", "-"): trials for name, trials in groups.items()}
    return {hypothesis.statement: hypothesis.verdict for hypothesis in hypotheses.check_hypotheses(kinds, {})}


class TestDifference:
    def test_it_is_taken_seed_by_seed(self):
        """Seeds differ by 4 points here, kinds by 1 each time: that is no chance."""
        apart = difference(group(), group(veb=(0.89, 0.91, 0.93)), lambda t: 100 * t.metrics["gross/veb_f1"])
        assert apart.mean == pytest.approx(1)
        assert apart.spread == pytest.approx(0, abs=1e-9)
        assert apart.more
        assert not apart.less

    def test_one_within_its_spread_is_neither_more_nor_less(self):
        apart = difference(group(), group(veb=(0.88, 0.92, 0.95)), lambda t: 100 * t.metrics["gross/veb_f1"])
        assert not apart.more
        assert not apart.less

    def test_seeds_that_only_one_has_are_left_out(self):
        apart = difference(group(), group(veb=(0.80,)), lambda t: t.metrics["gross/veb_f1"])
        assert apart.mean == pytest.approx(0.1)
        assert apart.spread == 0


class TestAgainstAnLSTM:
    LSTM = group("lstm", n_parameters=14_547)

    def test_parameters_are_of_the_whole_network(self):
        (hypothesis, *_) = hypotheses.check_against_lstm(group(), self.LSTM)
        assert (hypothesis.measured.split()[0], hypothesis.verdict) == ("80%", HOLDS)  # 11,571 of 14,547

    def test_as_long_is_not_faster(self):
        assert verdicts(gru=group(), lstm=self.LSTM)["it trains faster than an LSTM"] == FAILS

    def test_a_second_less_each_time_is(self):
        gru = group(epoch_s=(1.0, 2.0, 3.0))
        assert verdicts(gru=gru, lstm=self.LSTM)["it trains faster than an LSTM"] == HOLDS

    def test_converged_is_near_the_least_loss_not_at_it(self):
        assert hypotheses.epochs_to_converge(replace(trial(), losses=(0.3, 0.105, 0.2, 0.1))) == 2

    def test_one_that_starts_better_converges_sooner(self):
        gru = group(losses=(0.1, 0.1, 0.1))
        assert verdicts(gru=gru, lstm=self.LSTM)["it converges sooner than an LSTM"] == HOLDS

    @pytest.mark.parametrize(
        ("sveb", "verdict"), [(0.7, PARTLY), (0.8, FAILS)], ids=["VEB worse", "both worse"]
    )
    def test_worse_in_one_kind_of_beat_is_in_part(self, sveb, verdict):
        lstm = group("lstm", veb=(0.92, 0.94, 0.96), sveb=sveb)
        assert verdicts(gru=group(), lstm=lstm)["it is as good as an LSTM"] == verdict


class TestForgetting:
    statement = "it forgets over long sequences"

    def test_under_a_hundredth_is_forgotten(self):
        reach = tuple(0.5**distance for distance in DISTANCES_BEATS)
        (hypothesis,) = (
            each
            for each in hypotheses.check_hypotheses({"gru": group(receptive_field=reach)}, {})
            if each.statement == self.statement
        )
        assert hypothesis.verdict == HOLDS
        assert "from 8 beats away" in hypothesis.measured  # a halving a beat: 1/16 at 4, 1/256 at 8

    def test_influence_that_stays_is_not_forgotten(self):
        assert (
            verdicts(gru=group(receptive_field=(1.0, *[0.2] * (len(DISTANCES_BEATS) - 1))))[self.statement]
            == FAILS
        )


class TestRivals:
    attention = "attention improves it"

    def test_attention_that_adds_nothing_is_not_better(self):
        assert verdicts(gru=group(), gru_attention=group("gru-attention"))[self.attention] == FAILS

    def test_attention_that_finds_more_veb_is_better_in_part(self):
        better = group("gru-attention", veb=(0.93, 0.95, 0.97))
        assert verdicts(gru=group(), gru_attention=better)[self.attention] == PARTLY

    def test_recurrence_that_adds_to_both_is_worth_having(self):
        none = group("no-recurrence", veb=(0.8, 0.82, 0.84), sveb=0.5)
        statement = "recurrence helps: it is better than no recurrence"
        assert verdicts(gru=group(), no_recurrence=none)[statement] == HOLDS

    def test_long_sequences_are_checked_at_twice_the_usual(self):
        longer = [
            replace(each, architecture=replace(each.architecture, window_beats=128))
            for each in group(veb=(0.8, 0.8, 0.8))
        ]
        checked = hypotheses.check_hypotheses({"gru": group()}, {128: longer})
        (hypothesis,) = (
            each for each in checked if each.statement.startswith("training on sequences of 128 beats")
        )
        assert hypothesis.verdict == HOLDS
        assert hypothesis.measured.startswith("VEB F1 -12.0 ± 2.0")


class TestCompressed:
    @pytest.mark.parametrize(("veb", "verdict"), [(0.899, HOLDS), (0.85, FAILS)])
    def test_a_point_of_f1_may_be_lost(self, veb, verdict):
        stored = Variant("weights in int8", Size(15_000, 14_000), 0.2, 0.0005, 0.0, metrics(veb, 0.7))
        gru = [trial(seed=seed, veb=0.9, sveb=0.7, variants=(stored,)) for seed in (0, 1)]
        (hypothesis,) = (
            each
            for each in hypotheses.check_hypotheses({"gru": gru}, {})
            if "stored in int8" in each.statement
        )
        assert hypothesis.verdict == verdict
        assert hypothesis.measured.endswith("15,000 bytes of 47,000, with gzip 14,000 of 43,000")


def test_one_seed_decides_nothing():
    assert set(verdicts(gru=group()[:1], lstm=group("lstm")[:1]).values()) == {UNDECIDED}


def test_without_a_gru_nothing_is_said_of_it():
    assert hypotheses.check_hypotheses({"lstm": group("lstm")}, {}) == []
