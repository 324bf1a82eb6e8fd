"""EC57 run by run: what is a run, when it is found, and what rxr makes of VF, AF and marks that never end."""

import math

import numpy as np
import pytest

from ectopy import ec57
from ectopy.annotations import Annotations
from tests.ec57_marks import END, FS, START, lengths, marks, runs


def test_two_veb_in_a_row_are_a_couplet() -> None:
    found = runs("N:0 V:100 V:200 N:300", "N:0 V:100 V:200 N:300")
    assert lengths(found.counts[0]) == lengths(found.counts[1]) == {(2, 2): 1}
    assert found.tally("couplet") == (1, 0, 1, 0)


def test_three_to_five_are_a_short_run_and_six_a_long_one() -> None:
    three = "V:100 V:200 V:300 N:400"
    five, six = (" ".join(f"V:{100 * i}" for i in range(10, 10 + n)) + f" N:{1000 + 100 * n}" for n in (5, 6))
    assert runs(f"{three} {five}", three).tally("short_run") == (1, 1, 1, 0)
    assert runs(six, six).tally("long_run") == (1, 0, 1, 0)


def test_a_single_veb_is_no_run() -> None:
    found = runs("N:0 V:100 N:200", "N:0 N:100 N:200")
    assert lengths(found.counts[0]) == {(1, 0): 1}
    assert all(math.isnan(figure) for figure in ec57.compute_metrics(found).values())


def test_runs_longer_than_six_count_as_six() -> None:
    nine = " ".join(f"V:{100 * i}" for i in range(1, 10)) + " N:1000"
    assert lengths(runs(nine, nine).counts[0]) == {(6, 6): 1}


def test_f_extends_a_ventricular_run() -> None:
    assert lengths(runs("V:100 F:200 V:300 N:400", "V:100 V:200 V:300 N:400").counts[0]) == {(3, 3): 1}


@pytest.mark.parametrize("breaking", ["N:200", "S:200", "Q:200", "~:200:-1 ~:250:0"])
def test_any_other_beat_or_a_shutdown_breaks_it(breaking: str) -> None:
    reference = f"V:100 {breaking} V:300 N:400"
    assert lengths(runs(reference, reference).counts[0]) == {(1, 1): 2}


@pytest.mark.parametrize("mark", ["+:200:(N", "|:200", "!:200", "~:200:0", "s:200"])
def test_other_marks_do_not(mark: str) -> None:
    reference = f"V:100 {mark} V:300 N:400"
    assert lengths(runs(reference, reference).counts[0]) == {(2, 2): 1}


def test_a_run_is_found_as_long_as_the_longest_in_its_window() -> None:
    # Of five VEB the test saw one, then three: a short run all the same.
    found = runs("V:100 V:200 V:300 V:400 V:500 N:600", "V:100 N:200 V:300 V:400 V:500 N:600")
    assert lengths(found.counts[0]) == {(5, 3): 1}
    assert lengths(found.counts[1]) == {(1, 1): 1, (3, 3): 1}
    assert found.tally("short_run") == (1, 0, 1, 0)


def test_a_couplet_seen_as_two_single_veb_is_missed() -> None:
    assert runs("V:100 V:200 N:300", "V:100 N:150 V:200 N:300").tally("couplet") == (0, 1, 0, 0)


def test_a_couplet_seen_as_a_short_run_is_found_and_the_short_run_false() -> None:
    found = runs("V:100 V:200 N:300", "V:100 V:200 V:300 N:400")
    assert found.tally("couplet") == (1, 0, 0, 0)
    assert found.tally("short_run") == (0, 0, 0, 1)


def test_the_window_reaches_150_ms_beyond_a_run() -> None:
    assert lengths(runs("V:100 V:200 N:400", "V:85 V:215 N:400").counts[0]) == {(2, 2): 1}
    assert lengths(runs("V:100 V:200 N:400", "V:84 V:216 N:400").counts[0]) == {(2, 0): 1}


def test_runs_in_the_learning_period_do_not_count() -> None:
    assert not runs("V:-300 V:-200 N:-100 N:0", "V:-300 V:-200 N:-100 N:0").counts.any()


def test_of_a_run_that_straddles_its_end_the_rest_counts() -> None:
    straddling = "V:-100 V:0 V:100 N:200"
    assert lengths(runs(straddling, straddling).counts[0]) == {(2, 2): 1}


def test_a_run_that_the_end_of_the_record_breaks_off_does_not_count() -> None:
    late = f"V:100 V:{END - START + 1}"
    assert not runs(late, late).counts.any()


def test_where_the_length_is_unknown_the_file_is_the_record() -> None:
    pair = marks("V:100 V:200 N:300 V:400 V:500"), marks("V:100 V:200 N:300 V:400 N:500")
    found = ec57.compare_runs(*pair, FS, kind="ventricular")
    assert lengths(found.counts[0]) == {(2, 2): 1, (2, 1): 1}
    assert lengths(found.counts[1]) == {(2, 2): 1, (1, 1): 1}  # in the window of one beat there is one


def test_a_run_at_the_end_of_the_file_counts() -> None:
    assert lengths(runs("V:100 V:200", "V:100 V:200").counts[0]) == {(2, 2): 1}


class TestVentricularFibrillation:
    def test_vf_counts_as_a_run_of_six(self) -> None:
        found = runs("N:0 [:100 ]:900 N:1000", "N:0 [:120 ]:890 N:1000")
        assert lengths(found.counts[0]) == lengths(found.counts[1]) == {(6, 6): 1}

    def test_any_veb_of_the_test_in_it_confirm_a_long_run(self) -> None:
        found = runs("N:0 [:100 ]:900 N:1000", "N:0 V:300 V:400 N:500 N:1000")
        assert lengths(found.counts[0]) == {(6, 2): 1}
        assert lengths(found.counts[1]) == {(6, 2): 1}
        assert found.tally("couplet") == (0, 0, 1, 0)

    def test_vf_by_a_rhythm_mark_counts_too(self) -> None:
        assert lengths(runs("[:100 ]:900 N:1000", "+:100:(VFL +:900:(N N:1000").counts[0]) == {(6, 6): 1}

    def test_vf_under_way_when_the_learning_period_ends_counts(self) -> None:
        under_way = "N:-500 [:-300 ]:400 N:600"
        assert lengths(runs(under_way, under_way).counts[0]) == {(6, 6): 1}

    def test_test_vf_that_never_ends_confirms_every_later_run(self) -> None:
        found = runs("N:0 V:500 V:600 N:700", "N:0 [:100 N:700")
        assert lengths(found.counts[0]) == {(2, 6): 1}


class TestSupraventricular:
    def test_s_extends_and_v_breaks_a_run(self) -> None:
        reference = "S:100 S:200 S:300 V:400 S:500 N:600"
        assert lengths(runs(reference, reference, "supraventricular").counts[0]) == {(3, 3): 1, (1, 1): 1}

    def test_beats_called_n_in_af_count_as_s(self) -> None:
        found = runs("+:50:(AFIB N:100 N:200 +:250:(N N:300", "S:100 S:200 N:300", "supraventricular")
        assert lengths(found.counts[0]) == {(6, 2): 1}
        assert lengths(found.counts[1]) == {(6, 2): 1}

    def test_flutter_is_af_here(self) -> None:
        found = runs("+:50:(AFL N:100 +:250:(N N:300", "+:50:(AFIB N:100 +:250:(N N:300", "supraventricular")
        assert lengths(found.counts[0]) == {(6, 6): 1}

    def test_a_rhythm_mark_without_text_does_not_end_af(self) -> None:
        found = runs("+:50:(AFIB N:100 +:150 N:200 +:250:(N N:300", "S:100 N:300", "supraventricular")
        assert lengths(found.counts[0]) == {(6, 1): 1}

    def test_escape_beats_follow_the_map(self) -> None:
        pair = marks("e:100 e:200 N:300"), marks("S:100 S:200 N:300")
        options = {"kind": "supraventricular", "n_samples": END}
        assert lengths(ec57.compare_runs(*pair, FS, **options).counts[0]) == {(2, 2): 1}
        mapped = ec57.compare_runs(*pair, FS, beat_map="dechazal", **options)
        assert lengths(mapped.counts[0]) == {}


class TestWhatRxrLeavesBehind:
    def test_the_last_mark_of_a_pass_is_the_first_of_the_next(self) -> None:
        # rxr forgets to clear what it read last, here the begin of AF at the end of the test: when it
        # then looks for supraventricular runs, the whole file is in AF for it.
        found = runs("S:100 S:200 N:400", "N:100 N:200 N:400 +:500:(AFIB", "supraventricular")
        assert lengths(found.counts[0]) == {(2, 6): 1}

    def test_but_not_if_a_run_was_under_way(self) -> None:
        # Then it has made an unclassifiable beat of it.
        found = runs("S:100 S:200 N:400", "N:100 N:200 V:400 +:500:(AFIB", "supraventricular")
        assert lengths(found.counts[0]) == {(2, 0): 1}


def test_a_run_under_way_at_the_end_leaves_no_mark_for_the_next_pass() -> None:
    # If the second mark of the reference, [, were left over, VF would last from the start of the file.
    found = runs("N:50 [:500 ]:900 N:950 V:1000 V:1100", "V:200 V:300 N:400 N:1000")
    assert lengths(found.counts[1]) == {(0, 2): 1}


def test_empty_sides_have_no_runs() -> None:
    none = ec57.compare_runs(marks(""), marks(""), FS, kind="ventricular")
    assert none.counts.shape == (2, 7, 7)
    assert not none.counts.any()


def test_the_sampling_rate_does_not_matter() -> None:
    words = "N:0 V:100 V:200 N:300 V:400 [:500 ]:900 N:1000"
    slow = runs(words, "N:0 V:105 N:200 N:300 V:400 V:500 N:1000")
    pair = marks(words), marks("N:0 V:105 N:200 N:300 V:400 V:500 N:1000")
    reference, test = (Annotations(side.sample * 5, side.symbol, side.subtype, side.aux) for side in pair)
    fast = ec57.compare_runs(reference, test, 5 * FS, kind="ventricular", n_samples=5 * END)
    np.testing.assert_array_equal(fast.counts, slow.counts)
