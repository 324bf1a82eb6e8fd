"""EC57 episode by episode: AF and VF, found by any overlap, weighed by time."""

import math

import pytest

from ectopy import ec57
from tests.ec57_marks import END, START, episodes

LAST_S = (END - START) / 100


def test_any_overlap_finds_an_episode() -> None:
    # 10 s of AF; the test sees the last 0.1 s of it and 5 s after.
    found = episodes("+:1000:(AFIB +:2000:(N", "+:1990:(AFIB +:2500:(N")
    assert (found.found, found.missed, found.confirmed, found.false) == (1, 0, 1, 0)


def test_durations_weigh_by_time() -> None:
    found = episodes("+:1000:(AFIB +:2000:(N", "+:1500:(AFIB +:2300:(N")
    assert (found.reference_s, found.test_s) == (10.0, 8.0)
    values = ec57.compute_metrics(found)
    assert (values["duration_sensitivity"], values["duration_positive_predictivity"]) == (5 / 10, 5 / 8)


def test_episodes_that_only_touch_do_not_overlap() -> None:
    found = episodes("+:1000:(AFIB +:2000:(N", "+:2000:(AFIB +:2500:(N")
    assert (found.missed, found.false) == (1, 1)


def test_one_long_episode_finds_all_within() -> None:
    found = episodes("+:100:(AFIB +:200:(N +:300:(AFIB +:400:(N", "+:50:(AFIB +:900:(N")
    assert (found.found, found.confirmed, found.reference_overlap_s, found.test_overlap_s) == (2, 1, 2.0, 2.0)


def test_flutter_is_not_fibrillation() -> None:
    assert episodes("+:100:(AFL +:200:(N", "+:100:(AFIB +:200:(N").false == 1


def test_flutter_ends_fibrillation() -> None:
    assert episodes("+:100:(AFIB +:300:(AFL +:900:(N", "N:5").reference_s == 2.0


def test_a_second_mark_of_fibrillation_begins_no_other() -> None:
    found = episodes("+:100:(AFIB +:300:(AFIB +:900:(N", "N:5")
    assert (found.missed, found.reference_s) == (1, 8.0)


def test_an_episode_that_never_ends_lasts_to_the_end() -> None:
    assert episodes("+:1000:(AFIB N:1100", "N:5").reference_s == LAST_S - 10


def test_episodes_in_the_learning_period_do_not_count() -> None:
    found = episodes("+:-900:(AFIB +:-100:(N", "+:-900:(AFIB +:-100:(N")
    assert (found.found, found.confirmed, found.test_s) == (0, 0, 0.0)


def test_of_one_that_straddles_its_end_the_rest_counts() -> None:
    found = episodes("+:-900:(AFIB +:100:(N", "+:-900:(AFIB +:100:(N")
    assert (found.found, found.reference_s, found.reference_overlap_s) == (1, 1.0, 1.0)


def test_one_that_ends_with_the_learning_period_counts_without_time() -> None:
    # As epicmp has it: only an episode that ends before the test period is left out.
    found = episodes("+:-900:(AFIB +:0:(N", "N:5")
    assert (found.missed, found.reference_s) == (1, 0.0)
    assert episodes("+:-900:(AFIB +:-1:(N", "N:5").missed == 0


def test_after_the_record_nothing_counts() -> None:
    late = END - START
    found = episodes(f"+:{late - 100}:(AFIB +:{late + 900}:(N", f"+:{late}:(AFIB +:{late + 900}:(N")
    assert (found.missed, found.reference_s, found.false) == (1, 1.0, 0)


def test_vf_is_what_lies_between_its_brackets() -> None:
    found = episodes("[:100 ]:900", "[:200 !:300 ]:1000 +:2000:(VFL", "VF")
    assert (found.found, found.confirmed, found.reference_overlap_s, found.test_s) == (1, 1, 7.0, 8.0)


def test_without_episodes_all_figures_are_undefined() -> None:
    assert all(math.isnan(value) for value in ec57.compute_metrics(episodes("N:100", "N:100")).values())


def test_sums_are_of_all_fields() -> None:
    one = episodes("+:1000:(AFIB +:2000:(N", "+:1500:(AFIB +:2300:(N")
    both = one + one
    assert (both.found, both.confirmed) == (2, 2)
    assert (both.reference_s, both.reference_overlap_s) == pytest.approx((20.0, 10.0))
    assert (both.test_s, both.test_overlap_s) == pytest.approx((16.0, 10.0))
