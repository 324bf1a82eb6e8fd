"""Supraventricular tachycardia in a stream: a sudden regular fast rhythm, until it ends."""

import math

import numpy as np
import pytest

from ectopy.live.paroxysm import Paroxysm, settle_paroxysm


def active(rhythm):
    """Return at which beats (label, RR in s) an episode goes on."""
    paroxysm, during = Paroxysm(), []
    for label, rr_s in rhythm:
        paroxysm = paroxysm.after(label, None if rr_s is None else math.log(rr_s))
        during.append(paroxysm.active)
    return np.array(during)


SINUS = [("N", 0.8 + 0.02 * (-1) ** number) for number in range(30)]
FAST = [("N", 0.4)] * 40


def test_a_sudden_regular_tachycardia_is_one_until_it_ends():
    during = active([*SINUS, *FAST, *SINUS])
    assert not during[:30].any()
    assert during[34:70].all()  # from the fifth fast beat on
    assert not during[70:].any()


def test_a_rate_that_rises_slowly_is_sinus_tachycardia():
    exercise = [("N", 0.8 * 0.985**number) for number in range(60)]
    assert not active([*SINUS, *exercise]).any()


@pytest.mark.parametrize(
    "rhythm",
    [
        [("N", 0.62)] * 30,  # not fast
        [("N", rr_s) for rr_s in (0.3, 0.5, 0.4, 0.55, 0.35) * 6],  # not regular
        [("V", 0.4)] * 30,  # ventricular
    ],
)
def test_other_fast_rhythms_are_none(rhythm):
    assert not active([*SINUS, *rhythm]).any()


def test_an_irregular_rhythm_before_it_speaks_against_it():
    irregular = [("N", rr_s) for rr_s in (0.5, 0.9, 0.7, 1.1, 0.6, 0.8) * 6]
    assert not active([*irregular, *FAST]).any()


def test_a_ventricular_beat_does_not_end_it():
    during = active([*SINUS, *FAST[:20], ("V", 0.35), ("N", 0.5), *FAST[:10]])
    assert during[-10:].all()


def test_a_gap_ends_it():
    assert not active([*SINUS, *FAST, ("N", None), *FAST])[70:74].any()


def test_memory_is_bounded():
    paroxysm = Paroxysm()
    for label, rr_s in (SINUS + FAST) * 50:
        paroxysm = paroxysm.after(label, math.log(rr_s))
        assert len(paroxysm.usual) + len(paroxysm.latest) < 40


def test_a_normal_beat_of_an_episode_becomes_supraventricular():
    normal, ventricular = np.array([0.7, 0.2, 0.1, 0], "f4"), np.array([0.1, 0.2, 0.7, 0], "f4")
    np.testing.assert_array_equal(settle_paroxysm(normal, True), np.array([0.2, 0.7, 0.1, 0], "f4"))
    np.testing.assert_array_equal(settle_paroxysm(normal, False), normal)
    np.testing.assert_array_equal(settle_paroxysm(ventricular, True), ventricular)
