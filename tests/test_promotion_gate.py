"""A challenger is promoted by its cross-validation: floors, and no figure worse than the champion's."""

import pytest

from ectopy.registry.promotion_gate import GATE_METRICS, MinimumScores, decide_promotion

GOOD = {"gross/veb_f1": 0.95, "gross/sveb_f1": 0.7, "average/veb_f1": 0.9, "average/sveb_f1": 0.6}


class TestPromotion:
    def test_without_a_champion_the_floors_decide(self):
        assert decide_promotion(GOOD, None, MinimumScores(veb_f1=0.9, sveb_f1=0.6)).promoted

    def test_under_a_floor_there_is_no_promotion_and_the_reason_says_which(self):
        verdict = decide_promotion(GOOD, None, MinimumScores(veb_f1=0.96, sveb_f1=0.6))
        assert not verdict.promoted
        assert verdict.reason == "gross/veb_f1 95.0 % is below the minimum of 96.0 %"

    @pytest.mark.parametrize("figure", GATE_METRICS)
    def test_a_challenger_worse_in_any_figure_is_not_promoted(self, figure):
        verdict = decide_promotion(GOOD | {figure: GOOD[figure] - 0.01}, GOOD, MinimumScores(0.5, 0.3))
        assert not verdict.promoted
        assert figure in verdict.reason

    def test_an_equal_challenger_is_promoted(self):
        assert decide_promotion(GOOD, GOOD, MinimumScores(0.5, 0.3)).promoted

    def test_what_is_undefined_is_under_every_floor(self):
        assert not decide_promotion(
            GOOD | {"gross/sveb_f1": float("nan")}, None, MinimumScores(0.5, 0.0)
        ).promoted
        assert not decide_promotion({}, None, MinimumScores(0.0, 0.0)).promoted

    def test_figures_on_held_out_patients_have_no_say(self):
        worse_there = GOOD | {"detected/all/gross/veb_f1": 0.1}
        assert decide_promotion(
            worse_there, GOOD | {"detected/all/gross/veb_f1": 0.99}, MinimumScores(0.5, 0.3)
        ).promoted
